//! `ctr volume …`: folders that outlive the containers that use them.

pub mod archive;
pub mod create;
pub mod list;
pub mod mount;
pub mod prune;
pub mod remove;
pub(super) mod view;

use ctr_cli::app::Call;
use ctr_cli::exit::Exit;
use ctr_cli::peers::Sentence;
use ctr_cli::report::CommandError;
use ctr_cli::usage::{Arity, Verb};
use ctr_core::events::{Event, Kind, Status};
use ctr_store::Store;
use ctr_store::volume::{Volume, VolumeError};

use crate::place::Place;

/// `volume exists`.
pub const EXISTS: Verb = Verb::new("VOLUME", "Check if volume exists")
    .long("If the given volume exists, this exits with 0, otherwise the exit code will be 1.")
    .examples(&["volume exists myvol"])
    .arity(Arity::Exactly(1));

/// Looks.
///
/// # Errors
/// The records cannot be read.
pub fn exists(call: &Call) -> Result<Exit, CommandError> {
    let store = store(&Place::find(&call.globals)?)?;
    match store.volumes().get(call.flags.texts()?[0]) {
        Ok(_) => Ok(Exit::SUCCESS),
        Err(VolumeError::NotFound(_)) => Ok(Exit::NO),
        Err(error) => Err(told(error)),
    }
}

/// `volume reload`.
pub const RELOAD: Verb = Verb::new("", "Reload all volumes from volume plugins")
    .long("Checks all configured volume plugins. There are none here, so there is nothing to reload.");

/// Finds no plugins that could have volumes.
///
/// # Errors
/// None.
pub fn reload(_call: &Call) -> Result<Exit, CommandError> {
    Ok(Exit::SUCCESS)
}

/// The store, of which volumes are a part.
fn store(place: &Place) -> Result<Store, CommandError> {
    Store::open(&place.layout()).map_err(CommandError::environment)
}

/// All volumes; a word for each whose record is broken.
pub(super) fn all(call: &Call, store: &Store) -> Result<Vec<Volume>, CommandError> {
    let listing = store.volumes().list().map_err(told)?;
    for name in listing.damaged {
        call.ui.warn(&format!("the record of volume {name} is damaged; it was left out"));
    }
    Ok(listing.good)
}

/// Writes down what happened to volumes.
pub(super) fn happened<'a>(
    call: &Call,
    place: &Place,
    status: Status,
    names: impl IntoIterator<Item = &'a str>,
) {
    let event = |name: &str| Event::now(Kind::Volume, status).of(name, name);
    let events: Vec<Event> = names.into_iter().map(event).collect();
    call.ui.happened(&place.events, &events);
}

/// An error about a volume.
pub(crate) fn told(error: VolumeError) -> CommandError {
    match error {
        VolumeError::NotFound(name) => {
            CommandError::user(VolumeError::NotFound(name.clone())).peer(Sentence::NoSuchVolume(name))
        }
        VolumeError::InUse { name, users } => {
            let hint = format!("ctr volume rm --force {name}");
            CommandError::user(VolumeError::InUse { name, users }).exit(Exit::IN_USE).hint(hint)
        }
        other => CommandError::user(other),
    }
}
