//! `volume create`.

use std::collections::BTreeMap;

use ctr_cli::app::Call;
use ctr_cli::exit::Exit;
use ctr_cli::report::CommandError;
use ctr_cli::usage::{Arity, Flag, Verb};
use ctr_core::events::Status;
use ctr_core::file::FileError;
use ctr_pods::units;
use ctr_store::volume::{self, Asked, Backing, NewVolume, VolumeError};

use super::{happened, store, told};
use crate::cmd::select;
use crate::place::Place;

/// The verb.
pub const VERB: Verb = Verb::new("[options] [NAME]", "Create a new volume")
    .long(
        "Creates a volume, in the volumes directory of the store. With -o type=bind and -o device=PATH it is a folder of \
         the host, with -o type=tmpfs it is memory; what else -o could ask to be mounted needs the root of the machine.",
    )
    .examples(&[
        "volume create myvol",
        "volume create --label foo=bar myvol",
        "volume create --uid 4321 --gid 1234 myvol",
        "volume create -o type=tmpfs -o o=size=2M myvol",
    ])
    .flags(&[
        Flag::string("driver", "Specify volume driver name").short('d').default("local"),
        Flag::int("gid", "Set the GID of the volume owner"),
        Flag::bool("ignore", "Don't fail if volume already exists"),
        Flag::array("label", "Set metadata for a volume").short('l'),
        Flag::array("opt", "Set driver specific options").short('o'),
        Flag::int("uid", "Set the UID of the volume owner"),
    ])
    .arity(Arity::Between(0, 1));

/// Makes a volume.
///
/// # Errors
/// There is one of that name, or it cannot be had as it was asked for.
pub fn run(call: &Call) -> Result<Exit, CommandError> {
    let new = asked(call)?;
    let place = Place::find(&call.globals)?;
    place.say(&call.ui);
    let store = store(&place)?;
    // Only there it can be given away.
    let given = new.uid.is_some() || new.gid.is_some();
    let _a = given.then(|| place.enter(false, &call.ui)).transpose()?;
    match store.volumes().create(&new) {
        Ok(_) => happened(call, &place, Status::Create, [new.name.as_str()]),
        Err(VolumeError::Exists(_)) if call.flags.bool("ignore") => {}
        Err(error) => return Err(told(error)),
    }
    call.ui.line(&new.name)?;
    Ok(Exit::SUCCESS)
}

fn asked(call: &Call) -> Result<NewVolume, CommandError> {
    let flags = &call.flags;
    match flags.string("driver") {
        "" | "local" => {}
        "image" => return Err(CommandError::not_supported("the volume driver image")),
        other => {
            return Err(CommandError::user(format!(
                "no volume plugin with name {other} available: required plugin missing"
            )));
        }
    }
    let options = pairs("option", &flags.strings("opt"))?;
    let Asked { backing, uid, gid } = Backing::of(&options).map_err(CommandError::user)?;
    if let Backing::Bind { device, .. } = &backing {
        std::fs::metadata(device).map_err(|error| no_device(device, error))?;
    }
    let name = match flags.texts()?.first() {
        Some(name) => (*name).to_owned(),
        None => volume::random_name().map_err(CommandError::environment)?,
    };
    Ok(NewVolume {
        labels: pairs("label", &flags.strings("label"))?,
        anonymous: flags.texts()?.is_empty(),
        options,
        backing,
        uid: id(call, "uid")?.or(uid),
        gid: id(call, "gid")?.or(gid),
        ..NewVolume::plain(name, select::now())
    })
}

fn no_device(device: &std::path::Path, error: std::io::Error) -> CommandError {
    let said =
        format!("invalid volume option device for driver 'local': faccessat {}: {}", device.display(), {
            if error.kind() == std::io::ErrorKind::NotFound {
                "no such file or directory"
            } else {
                "permission denied"
            }
        });
    CommandError::user(FileError::new("use the device", device, error))
        .peer(ctr_cli::peers::Sentence::Other(said))
}

/// `key=value` as they are given for labels and options; of one key the last counts.
fn pairs(what: &'static str, texts: &[String]) -> Result<BTreeMap<String, String>, CommandError> {
    texts.iter().map(|text| units::parse_pair(what, text, false).map_err(CommandError::usage)).collect()
}

/// An id that can be had.
fn id(call: &Call, flag: &str) -> Result<Option<u32>, CommandError> {
    // Not given and its default are told apart: root is an owner like others.
    if !call.flags.has(flag) {
        return Ok(None);
    }
    let number = call.flags.int(flag).unwrap_or(0);
    let fits = u32::try_from(number).ok().filter(|id| *id != u32::MAX);
    fits.map(Some).ok_or_else(|| CommandError::usage(format!("--{flag} {number} is no id")))
}
