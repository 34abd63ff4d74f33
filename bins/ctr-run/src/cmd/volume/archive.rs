//! `volume export` and `volume import`.

use std::fs::File;
use std::io::Write as _;

use ctr_cli::app::Call;
use ctr_cli::exit::Exit;
use ctr_cli::report::CommandError;
use ctr_cli::ui::OutputError;
use ctr_cli::usage::{Arity, Flag, Verb};
use ctr_core::file::FileError;
use ctr_store::volume::{ArchiveError, Backing, Volume};
use ctr_userns::level_a::LevelA;

use super::{store, told};
use crate::place::Place;

/// `volume export`.
pub const EXPORT: Verb = Verb::new("[options] VOLUME", "Export volumes")
    .long("Writes all that is in a volume as a tar archive.")
    .examples(&["volume export myvol --output myvol.tar", "volume export myvol | gzip >myvol.tar.gz"])
    .flags(&[Flag::path("output", "Write to a specified file (default: stdout, which must be redirected)")
        .short('o')])
    .arity(Arity::Exactly(1));

/// `volume import`.
pub const IMPORT: Verb = Verb::new("VOLUME SOURCE", "Import a tarball contents into a podman volume")
    .long(
        "Adds the contents of a tar archive to a volume. It may be compressed with gzip, xz or zstd; - is standard input. \
         What is in the volume under the same names is replaced.",
    )
    .examples(&["volume import my_vol /home/user/import.tar", "cat ctr.tar | podman volume import my_vol -"])
    .arity(Arity::Exactly(2));

/// Writes an archive.
///
/// # Errors
/// There is no such volume, or the archive cannot be written.
pub fn export(call: &Call) -> Result<Exit, CommandError> {
    let path = call.flags.path("output");
    if path.is_some_and(|path| path.as_os_str().is_empty()) {
        return Err(CommandError::usage("must provide valid path for file to write to"));
    }
    if path.is_none() && call.ui.is_terminal() {
        return Err(CommandError::usage(
            "cannot write to terminal, use command-line redirection or the --output flag",
        ));
    }
    let (volume, _a) = find(call)?;
    match path {
        None => {
            let out = std::io::BufWriter::with_capacity(128 << 10, std::io::stdout().lock());
            let mut out = volume.export(out).map_err(written)?;
            out.flush().map_err(OutputError::from)?;
        }
        Some(path) => {
            let failed = |error| CommandError::user(FileError::new("write", path, error));
            let file = File::create(path).map_err(failed)?;
            let out = std::io::BufWriter::with_capacity(128 << 10, file);
            volume.export(out).map_err(written)?.flush().map_err(failed)?;
        }
    }
    Ok(Exit::SUCCESS)
}

/// An archive that could not be written; a reader that went away needs no words.
fn written(error: ArchiveError) -> CommandError {
    let broken = std::iter::successors(Some(&error as &(dyn std::error::Error + 'static)), |it| it.source())
        .filter_map(|it| it.downcast_ref::<std::io::Error>())
        .any(|it| it.kind() == std::io::ErrorKind::BrokenPipe);
    if broken { CommandError::quiet(Exit::BROKEN_PIPE) } else { CommandError::user(error) }
}

/// Unpacks an archive.
///
/// # Errors
/// There is no such volume, or the archive is broken or hostile.
pub fn import(call: &Call) -> Result<Exit, CommandError> {
    let texts = call.flags.texts()?;
    let source = texts.get(1).copied().unwrap_or_default();
    // Before A: the file is the user's.
    let file = match source {
        "-" => None,
        path => {
            Some(File::open(path).map_err(|error| CommandError::user(FileError::new("open", path, error)))?)
        }
    };
    let (volume, _a) = find(call)?;
    let done = match file {
        Some(file) => volume.import(file),
        None => volume.import(std::io::stdin().lock()),
    };
    done.map_err(CommandError::user)?;
    Ok(Exit::SUCCESS)
}

/// The volume, and this process in A, where its contents can be read and given away.
fn find(call: &Call) -> Result<(Volume, LevelA), CommandError> {
    let place = Place::find(&call.globals)?;
    let texts = call.flags.texts()?;
    let volume = store(&place)?.volumes().find(texts[0]).map_err(told)?;
    if matches!(volume.record.backing, Backing::Tmpfs { .. }) {
        return Err(CommandError::user(format!(
            "volume {} is kept in memory, which only its container can see",
            volume.record.name
        )));
    }
    let a = place.enter(false, &call.ui)?;
    // Modes come from the archive, whatever the user's shell masks.
    rustix::process::umask(rustix::fs::Mode::empty());
    Ok((volume, a))
}
