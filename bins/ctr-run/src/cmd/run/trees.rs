//! Images of additional stores whose trees do not fit our ids: the sibling unpacks them anew, into our own store.

use std::process::{Command, Stdio};

use ctr_cli::dispatch;
use ctr_cli::exit::Exit;
use ctr_cli::report::CommandError;
use ctr_cli::verbs::Program;
use ctr_core::Platform;
use ctr_store::Store;
use ctr_userns::map::Key;
use ctr_userns::ranges::{self, Facts, Files};

use crate::place::Place;

/// The sibling's hidden verb.
const TREES: &str = "__trees";

/// Makes what stacking an image takes, if there are additional stores and something is missing. An image that is not
/// known is somebody else's to tell.
pub(super) fn provide(
    name: &str,
    platform: Option<&str>,
    place: &Place,
    store: &Store,
) -> Result<(), CommandError> {
    if store.additional().is_empty() {
        return Ok(());
    }
    let platform = platform.map(Platform::parse).transpose().map_err(CommandError::user)?;
    let Ok(image) = store.resolve(name, platform.as_ref()) else { return Ok(()) };
    let stacked = match key(place) {
        Some(key) => store.stack(&image, key).map_err(CommandError::environment)?,
        None => None,
    };
    if stacked.is_some() {
        return Ok(());
    }
    let mut trees = Command::new(dispatch::path(Program::Copy)?);
    let images = store.layout().images_at();
    trees.arg(TREES).args([&images.data, &images.run, &place.own.run]);
    trees.arg(image.id.to_string()).args(&store.layout().additional);
    let ended = trees.stdin(Stdio::null()).stdout(Stdio::null()).status();
    let ended = ended.map_err(CommandError::environment)?;
    // Why not, it has said itself.
    if ended.success() { Ok(()) } else { Err(CommandError::quiet(Exit::FAILURE)) }
}

/// The key of A's map, as far as it is known before A is entered.
fn key(place: &Place) -> Option<Key> {
    let mut facts = Facts::of_this_process().ok()?;
    facts.name = facts.name.or_else(|| place.user.clone());
    Some(ranges::discover(&facts, &Files::default()).ok()?.source.maps().key())
}
