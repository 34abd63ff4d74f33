//! `volume mount` and `volume unmount`, inside `ctr unshare`.
//!
//! A volume in a folder of ours needs no mount: where it is, its files are. One that stands for a folder of the host is
//! bound there, for as long as the session lives.

use ctr_cli::app::Call;
use ctr_cli::exit::Exit;
use ctr_cli::peers::Sentence;
use ctr_cli::report::CommandError;
use ctr_cli::usage::{Arity, Verb};
use ctr_store::volume::{Backing, Volume};
use rustix::mount::{UnmountFlags, mount_bind_recursive, unmount as take_off};

use super::{store, told};
use crate::cmd::unshare;
use crate::place::Place;

/// `volume mount`.
pub const MOUNT: Verb = Verb::new("NAME [NAME...]", "Mount volume")
    .long("Mounts volumes and prints where they are. It works in the session of `unshare`, which sees all ids of a volume.")
    .examples(&["unshare ctr volume mount myvol"])
    .arity(Arity::AtLeast(1));

/// `volume unmount`.
pub const UNMOUNT: Verb = Verb::new("NAME [NAME...]", "Unmount volume")
    .long("Takes off what `volume mount` mounted in this session.")
    .examples(&["volume unmount myvol"])
    .arity(Arity::AtLeast(1));

/// Mounts volumes.
///
/// # Errors
/// This is no session of `unshare`, or one is not there.
pub fn mount(call: &Call) -> Result<Exit, CommandError> {
    if !unshare::is_session() {
        let hint = format!("{} unshare", call.caller.name);
        return Err(CommandError::user("volumes are mounted in a session of `ctr unshare`")
            .peer(Sentence::Other(
                "cannot run command \"podman volume mount\" in rootless mode, must execute `podman unshare` first"
                    .to_owned(),
            ))
            .hint(hint));
    }
    each(call, |volume| {
        let at = volume.mountpoint();
        match &volume.record.backing {
            Backing::Folder => {}
            Backing::Bind { device, .. } => mount_bind_recursive(device, &at).map_err(|errno| {
                CommandError::user(ctr_core::FileError::new("mount", device, std::io::Error::from(errno)))
            })?,
            Backing::Tmpfs { .. } => {
                return Err(CommandError::user(format!(
                    "volume {} is kept in memory, which only its container can see",
                    volume.record.name
                )));
            }
        }
        Ok(at.to_string_lossy().into_owned())
    })
}

/// Takes off what was mounted.
///
/// # Errors
/// One is not there, or not mounted.
pub fn unmount(call: &Call) -> Result<Exit, CommandError> {
    each(call, |volume| {
        let at = volume.mountpoint();
        if let Backing::Bind { .. } = volume.record.backing {
            take_off(&at, UnmountFlags::empty()).map_err(|errno| {
                CommandError::user(ctr_core::FileError::new("unmount", &at, std::io::Error::from(errno)))
            })?;
        }
        Ok(volume.record.name.clone())
    })
}

fn each(call: &Call, deed: impl Fn(&Volume) -> Result<String, CommandError>) -> Result<Exit, CommandError> {
    let store = store(&Place::find(&call.globals)?)?;
    let mut failed = Vec::new();
    for name in call.flags.texts()? {
        match store.volumes().find(name).map_err(told).and_then(|volume| deed(&volume)) {
            Ok(line) => call.ui.line(&line)?,
            Err(error) => failed.push(error),
        }
    }
    CommandError::several(failed).map_or(Ok(Exit::SUCCESS), Err)
}
