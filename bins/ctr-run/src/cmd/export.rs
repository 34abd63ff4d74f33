//! `ctr export`: the files of a container as an archive.

use std::fs::File;
use std::io::{BufWriter, Write};

use ctr_cli::app::Call;
use ctr_cli::exit::Exit;
use ctr_cli::report::CommandError;
use ctr_cli::ui::OutputError;
use ctr_cli::usage::{Arity, Flag, Verb};
use ctr_core::events::{Event, Kind, Status};
use ctr_core::file::FileError;
use ctr_pods::containers::{Container, Containers};
use ctr_pods::layers;
use ctr_store::Store;
use ctr_store::diff::export_container;
use ctr_userns::level_a::LevelA;

use crate::error;
use crate::place::Place;

/// What is written at once.
const CHUNK: usize = 256 << 10;

/// The verb.
pub const VERB: Verb =
    Verb::new("[options] CONTAINER", "Export container's filesystem contents as a tar archive")
        .long(
            "Exports the filesystem contents of a container as a tar archive, whether it runs or not. Volumes and other \
             mounts are no part of it.",
        )
        .examples(&["export web > web.tar", "export --output=web.tar web"])
        .flags(&[
            Flag::path("output", "Write to a specified file (default: stdout, which must be redirected)")
                .short('o'),
        ])
        .arity(Arity::Exactly(1));

/// Writes the archive.
///
/// # Errors
/// There is no such container, its files cannot be read, or the archive cannot be written.
pub fn run(call: &Call) -> Result<Exit, CommandError> {
    let texts = call.flags.texts()?;
    let path = call.flags.path("output").filter(|path| !path.as_os_str().is_empty());
    match path {
        None if call.ui.is_terminal() => {
            return Err(CommandError::usage("refusing to export to terminal. Use -o flag or redirect"));
        }
        // As podman has it, so that scripts work the same with both.
        Some(path) if path.as_os_str().as_encoded_bytes().contains(&b':') => {
            let text = format!("invalid filename (should not contain ':') {:?}", path.to_string_lossy());
            return Err(CommandError::usage(text));
        }
        _ => {}
    }
    let place = Place::find(&call.globals)?;
    let container = Containers::new(&place.dirs).find(texts[0]);
    let container = container.map_err(error::of_containers)?;
    let store = Store::open(&place.layout()).map_err(CommandError::environment)?;
    // A file is opened as the user, not as somebody in A.
    match path {
        None => {
            let a = place.enter(false, &call.ui)?;
            let mut out = BufWriter::with_capacity(CHUNK, std::io::stdout().lock());
            write(&store, &container, &a, &mut out)?;
            out.flush().map_err(OutputError::from)?;
        }
        Some(path) => {
            let failed = |error| CommandError::user(FileError::new("write", path, error));
            let mut out = BufWriter::with_capacity(CHUNK, File::create(path).map_err(failed)?);
            let a = place.enter(false, &call.ui)?;
            write(&store, &container, &a, &mut out)?;
            out.flush().map_err(failed)?;
        }
    }
    let record = &container.record;
    let event = Event::now(Kind::Container, Status::Export).of(record.id.to_string(), record.name.clone());
    call.ui.happened(&place.events, &[event]);
    Ok(Exit::SUCCESS)
}

fn write(store: &Store, container: &Container, a: &LevelA, out: &mut impl Write) -> Result<(), CommandError> {
    let view = layers::of_container(store, container, a.key).map_err(CommandError::user)?;
    let identity = a.maps.identity();
    let maps = container.maps().unwrap_or(&identity);
    export_container(&view, maps, out).map(drop).map_err(CommandError::user)
}
