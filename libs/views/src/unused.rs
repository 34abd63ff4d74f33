//! Images that nobody uses go away: `image prune`, and its part of `system prune`.

use ctr_cli::report::CommandError;
use ctr_core::events::{Event, Kind, Status};
use ctr_core::lock::Waiting;
use ctr_store::Store;
use ctr_store::remove::{RemoveError, Removed};

use crate::filter::Filters;
use crate::listing;

/// Which of the images that no container uses.
#[derive(Debug, Clone, Copy)]
pub struct Which<'a> {
    /// Those with names too.
    pub all: bool,
    /// Only those that pass.
    pub filters: &'a [String],
}

/// Removes them. Whoever waits for a lock hears of it by `wait`; what happened is told to `log`, image by image.
///
/// # Errors
/// A filter is none, or one of them cannot be removed.
pub fn remove(
    store: &Store,
    which: Which<'_>,
    wait: &mut dyn FnMut(&Waiting),
    log: &mut dyn FnMut(&[Event]),
) -> Result<Vec<Removed>, CommandError> {
    let mut entries = listing::own(store).map_err(CommandError::user)?;
    let filters = Filters::parse(which.filters, store, &entries)?;
    entries
        .retain(|entry| entry.containers.is_empty() && (entry.is_dangling() || which.all && !entry.is_part));
    filters.keep(&mut entries);
    let mut removed = Vec::new();
    for entry in &entries {
        // An index is removed by each of its names, an image by its id with all of them.
        let by_name = entry.is_index() && !entry.names.is_empty();
        let words = if by_name { entry.name_texts() } else { vec![entry.id.clone()] };
        for word in words {
            match store.remove(&word, true, wait) {
                Ok(done) => {
                    log(&events(&entry.id, &done));
                    removed.extend(done);
                }
                // Somebody began to use it, or took it away, since it was listed.
                Err(RemoveError::InUse { .. }) => {}
                Err(RemoveError::Resolve(error)) if error.is_unknown() => {}
                Err(error) => return Err(CommandError::user(error)),
            }
        }
    }
    Ok(removed)
}

/// Which names of an image went, and which images.
#[must_use]
pub fn events(id: &str, removed: &[Removed]) -> Vec<Event> {
    let event = |one: &Removed| match one {
        Removed::Name(name) => Event::now(Kind::Image, Status::Untag).of(id, name.to_string()),
        Removed::Image(image) => {
            Event::now(Kind::Image, Status::Remove).of(image.to_string(), image.to_string())
        }
        Removed::Index(digest) => Event::now(Kind::Image, Status::Remove).of(digest.hex(), digest.hex()),
    };
    removed.iter().map(event).collect()
}

/// The ids of the images and indexes that went.
pub fn ids(removed: &[Removed]) -> impl Iterator<Item = String> {
    removed.iter().filter_map(|one| match one {
        Removed::Image(id) => Some(id.to_string()),
        Removed::Index(digest) => Some(digest.hex()),
        Removed::Name(_) => None,
    })
}
