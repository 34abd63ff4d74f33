//! `localhost/hello` in a store that lacks it: loaded from this program, by the sibling that loads.

use std::io::Write as _;
use std::process::Stdio;

use ctr_cli::exit::Exit;
use ctr_cli::report::CommandError;
use ctr_core::reference::Reference;
use ctr_pods::hello;
use ctr_store::Store;

use crate::place::Place;

/// Loads the image if that is what `name` means and the store has no such thing.
pub(super) fn provide(name: &str, place: &Place, store: &Store) -> Result<(), CommandError> {
    // Nearly every name ends here.
    if !name.contains("hello") {
        return Ok(());
    }
    let meant = Reference::parse_local(name).is_ok_and(|reference| reference.to_string() == hello::NAME);
    if !meant || store.resolve(name, None).is_ok() {
        return Ok(());
    }
    let mut archive = Vec::new();
    hello::write_archive(&mut archive).map_err(CommandError::internal)?;
    let mut load = super::pull::sibling(place, store)?;
    load.args(["load", "--quiet"]);
    let failed = |error: std::io::Error| CommandError::environment(error).hint("ctr doctor");
    let mut child = load.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().map_err(failed)?;
    // One that failed early reads nothing: how it ended tells more than that.
    let written = child.stdin.take().map_or(Ok(()), |mut stdin| stdin.write_all(&archive));
    let status = child.wait().map_err(failed)?;
    match status.code() {
        Some(0) => written.map_err(failed),
        // Why, it has said itself.
        Some(_) => Err(CommandError::quiet(Exit::FAILURE)),
        None => {
            Err(CommandError::internal(format!("cannot load {}: ctr-copy ended by {status}", hello::NAME)))
        }
    }
}
