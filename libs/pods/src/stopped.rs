//! That it was a user who stopped a container: `stop`, or `kill` with whatever signal, as Podman counts it.
//!
//! A note in the container's folder says which start that was for, so the next start makes it void and nobody has to take it
//! away. It is a word to readers and nothing depends on it: where it cannot be written, the container is stopped all the
//! same.

use std::path::PathBuf;

use ctr_core::file::{self, FileError};
use ctr_core::process::Identity;
use ctr_core::{atomic, limits};

use crate::containers::Container;

/// Notes that a user is about to stop a container, whether it runs or not.
///
/// # Errors
/// The note cannot be written.
pub fn note(container: &Container) -> Result<(), FileError> {
    let path = place(container);
    let bytes =
        serde_json::to_vec(&start(container)).map_err(|error| FileError::new("write", &path, error))?;
    atomic::write_transient(&path, &bytes)
}

/// Whether a user has stopped the last start of a container.
#[must_use]
pub fn by_user(container: &Container) -> bool {
    let noted = file::read_json::<Option<Identity>>(&place(container), limits::RECORD);
    noted.is_ok_and(|noted| noted.as_ref() == start(container))
}

/// Its first process, which no other start has; `None` before the first.
fn start(container: &Container) -> Option<&Identity> {
    container.state.as_ref().map(|state| &state.init)
}

fn place(container: &Container) -> PathBuf {
    container.folder.join("stopped.json")
}
