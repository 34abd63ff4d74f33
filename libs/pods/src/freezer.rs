//! Freezing a container: all its processes at once, by its control group.
//!
//! To ask a control group whether it is frozen takes longer than all else that a list asks of a container. So whoever freezes
//! one first leaves a mark in its folder, for good, and a long list asks only those that have one. A container that is
//! frozen by other hands than ours is running in a long list, and paused wherever else it is looked at.

use std::path::Path;

use ctr_core::atomic;
use ctr_core::file::FileError;
use ctr_runtime::cgroup::{self, GroupError};

use crate::containers::Container;

/// The mark of those that were frozen once.
const MARK: &str = "frozen";

/// A container could not be frozen.
#[derive(Debug, thiserror::Error)]
pub enum FreezeError {
    /// Its mark cannot be left.
    #[error(transparent)]
    Mark(#[from] FileError),
    /// Its control group refuses.
    #[error(transparent)]
    Group(#[from] GroupError),
}

/// Freezes a container; `false` is one that has no control group, and stays as it is.
///
/// # Errors
/// Its folder cannot be written to, or the kernel refuses.
pub fn freeze(container: &Container) -> Result<bool, FreezeError> {
    let Some(group) = container.group() else { return Ok(false) };
    atomic::write_transient(&container.folder.join(MARK), b"")?;
    cgroup::freeze(group, true)?;
    Ok(true)
}

/// Lets a container go on; `false` as in [`freeze`].
///
/// # Errors
/// The kernel refuses.
pub fn thaw(container: &Container) -> Result<bool, GroupError> {
    let Some(group) = container.group() else { return Ok(false) };
    cgroup::freeze(group, false)?;
    Ok(true)
}

/// Whether the container of a folder was frozen once.
pub(crate) fn was_frozen(folder: &Path) -> bool {
    folder.join(MARK).exists()
}
