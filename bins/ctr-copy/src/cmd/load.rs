//! `load`: images from an archive, a stream or a folder.

use std::io::IsTerminal;
use std::path::Path;

use ctr_cli::app::Call;
use ctr_cli::exit::Exit;
use ctr_cli::report::CommandError;
use ctr_cli::usage::{Flag, Verb};
use ctr_core::events::Status;
use ctr_store::ingest::Ingest;
use ctr_store::load::{From, Loaded, load};
use ctr_store::session::Session;

use crate::context::Context;
use crate::error::{of, of_copy};

pub(super) const VERB: Verb = Verb::new("[options]", "Load image(s) from a tar archive")
    .long("Loads an image from a locally stored archive (tar file) into container storage.")
    .flags(&[
        Flag::path("input", "Read from specified archive file (default: stdin)").short('i'),
        Flag::bool("quiet", "Suppress the output").short('q'),
    ])
    .refuses(&[&["signature-policy"]]);

pub(super) fn run(call: &Call) -> Result<Exit, CommandError> {
    let input = call.flags.path("input").filter(|path| !path.as_os_str().is_empty());
    let from = match input {
        Some(path) => from_path(path)?,
        None if std::io::stdin().is_terminal() => {
            return Err(CommandError::usage(
                "cannot read from terminal, use command-line redirection or the --input flag",
            ));
        }
        None => From::Stream(Box::new(std::io::stdin())),
    };
    let origin = input.map_or_else(|| "-".to_owned(), |path| path.display().to_string());
    let context = Context::new(&call.globals)?;
    let loaded = into_store(&context, call, from, &origin)?;
    let ids = loaded.iter().map(|image| (id_of(image), origin.clone()));
    context.happened(&call.ui, Status::Load, ids);
    for image in &loaded {
        for name in shown(image) {
            call.ui.line(&format!("Loaded image: {name}"))?;
        }
    }
    Ok(Exit::SUCCESS)
}

fn from_path(path: &Path) -> Result<From<'_>, CommandError> {
    let text = path.to_string_lossy();
    if text.starts_with("http://") || text.starts_with("https://") {
        return Err(CommandError::not_supported("loading from a URL"));
    }
    std::fs::metadata(path).map_err(|error| of(ctr_core::FileError::new("load", path, error)))?;
    Ok(From::Path(path))
}

fn into_store(
    context: &Context,
    call: &Call,
    from: From<'_>,
    origin: &str,
) -> Result<Vec<Loaded>, CommandError> {
    let store = context.store()?;
    let worker = context.worker()?;
    let session = Session::begin(&store).map_err(of)?;
    let ingest = Ingest { session: &session, worker: &worker };
    let loaded = load(ingest, from, origin, parallel()).map_err(of_copy)?;
    drop(session);
    context.settle_later(&call.ui);
    Ok(loaded)
}

/// How many layers are unpacked at a time.
pub(crate) fn parallel() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// What an event calls an image.
fn id_of(image: &Loaded) -> String {
    image.id.map_or_else(|| image.placed.descriptor.digest.hex(), |id| id.to_string())
}

/// What to call an image that was loaded: by its names, else by its id.
fn shown(image: &Loaded) -> Vec<String> {
    if image.names.is_empty() {
        let id =
            image.id.map_or_else(|| image.placed.descriptor.digest.to_string(), |id| format!("sha256:{id}"));
        return vec![id];
    }
    image.names.iter().map(ToString::to_string).collect()
}
