//! `ctr cp`: files into containers, out of them, and between them.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use ctr_cli::app::Call;
use ctr_cli::exit::Exit;
use ctr_cli::report::CommandError;
use ctr_cli::usage::{Arity, Flag, Verb};
use ctr_pods::containers::Containers;
use ctr_pods::cp::{self, CopyError, Options, Side};
use ctr_pods::run::visit::VisitError;
use ctr_store::Store;

use super::begin;
use super::run::tell;
use crate::error;
use crate::place::Place;

/// The verb.
pub const VERB: Verb = Verb::new(
    "[options] [CONTAINER:]SRC_PATH [CONTAINER:]DEST_PATH",
    "Copy files/folders between a container and the local filesystem",
)
.long(
    "Copy files and folders into a container, out of one, or from one to another. A path that begins with a dot or a \
     slash is one of the host; `-` is an archive on standard input or output. A source that ends with `/.` is what is \
     in that folder.",
)
.examples(&["cp web:/etc/nginx/. conf", "cp page.html web:/srv/", "cp - web:/srv <site.tar.gz"])
.flags(&[
    Flag::bool("archive", "Give copied files to the user of the container they go to; otherwise owners are kept")
        .short('a')
        .default("true"),
    Flag::bool("overwrite", "Replace directories by files, and files by directories"),
])
.refuses(&[&["extract", "pause"]])
.arity(Arity::Exactly(2));

/// Copies.
///
/// # Errors
/// One side is not what it is to be, or something cannot be copied.
pub fn run(call: &Call) -> Result<Exit, CommandError> {
    let words = call.flags.args();
    let [from, to] = words else { return Err(CommandError::usage("you must specify paths")) };
    let place = Place::find(&call.globals)?;
    let containers = Containers::new(&place.dirs);
    let from = side(&containers, from)?;
    let to = side(&containers, to)?;
    let flags = &call.flags;
    let options = Options { archive: flags.bool("archive"), overwrite: flags.bool("overwrite") };
    let store = Store::open(&place.layout()).map_err(CommandError::environment)?;
    let streams = (std::io::stdin().lock(), std::io::stdout().lock());
    let host = begin::host(&place, &store, &call.ui);
    cp::copy(host, (&from, &to), options, streams, &mut |note| tell(&call.ui, &note)).map_err(of_copy)?;
    Ok(Exit::SUCCESS)
}

/// What a word names.
fn side(containers: &Containers, word: &OsStr) -> Result<Side, CommandError> {
    let bytes = word.as_bytes();
    let path = |bytes: &[u8]| PathBuf::from(OsStr::from_bytes(bytes));
    let colon = bytes.iter().position(|byte| *byte == b':');
    let (name, inside) = match (bytes, colon) {
        (b"-", _) => return Ok(Side::Stream),
        ([], _) => return Err(nothing(word)),
        ([b'.' | b'/', ..], _) | (_, None) => return Ok(Side::Host(path(bytes))),
        (_, Some(at)) => (&bytes[..at], &bytes[at + 1..]),
    };
    if inside.is_empty() {
        return Err(nothing(word));
    }
    let name = String::from_utf8_lossy(name);
    let container = containers.find(&name);
    let container = container.map_err(error::of_containers)?;
    Ok(Side::Container(Box::new(container), path(inside)))
}

fn nothing(word: &OsStr) -> CommandError {
    CommandError::usage(format!("invalid argument {:?}: you must specify paths", word.to_string_lossy()))
}

fn of_copy(error: CopyError) -> CommandError {
    match error {
        CopyError::Visit(VisitError::Run(error)) => error::of_run(*error).exit(Exit::FAILURE),
        other => CommandError::user(other),
    }
}
