//! How many bytes containers take.

use ctr_cli::app::Call;
use ctr_cli::report::CommandError;
use ctr_core::rooted::{Root, TreeError};
use ctr_pods::containers::Container;
use ctr_store::Store;
use ctr_userns::level_a::LevelA;

use crate::place::Place;

/// The bytes of one container.
#[derive(Debug, Clone, Copy)]
pub(super) struct Size {
    /// Of what it wrote.
    pub(super) own: u64,
    /// With those of its image.
    pub(super) all: u64,
}

/// Counts bytes, as often as need be.
///
/// # Process context
/// It moves this process into A: files of a container belong to every id, so only there all of them can be seen.
#[derive(Debug, Default)]
pub(super) struct Scale {
    /// This process finds A through itself the next time.
    a: Option<LevelA>,
}

impl Scale {
    /// The bytes of containers, each in turn.
    pub(super) fn of<'a>(
        &mut self,
        call: &Call,
        place: &Place,
        containers: impl Iterator<Item = &'a Container>,
    ) -> Result<Vec<Size>, CommandError> {
        let store = Store::open(&place.layout()).map_err(CommandError::environment)?;
        if self.a.is_none() {
            self.a = Some(place.enter(false, &call.ui)?);
        }
        containers.map(|container| measure(&store, container)).collect()
    }
}

fn measure(store: &Store, container: &Container) -> Result<Size, CommandError> {
    let record = &container.record;
    let own = bytes(Root::open(container.layer.join("upper")))?;
    let image = record.image.and_then(|id| store.image(id).ok()).map_or(0, |image| image.size);
    Ok(Size { own, all: own.saturating_add(image) })
}

/// The bytes of what may be gone by now.
pub(super) fn bytes(root: Result<Root, TreeError>) -> Result<u64, CommandError> {
    match root.and_then(|root| root.size_below("/")) {
        Err(error) if error.is_missing() => Ok(0),
        other => other.map_err(CommandError::environment),
    }
}
