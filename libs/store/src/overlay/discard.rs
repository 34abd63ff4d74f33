//! Getting rid of what a container wrote.
//!
//! Overlayfs keeps `work/work`, mode 000, in the work directory, with `incompat/volatile` in it where nothing was
//! flushed; upper directories belong to mapped ids. All of it can only be removed by root of A. It leaves its
//! place by one rename first, so that a kill in between leaves garbage in the trash and nothing half there.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use ctr_core::rooted::{Root, TreeError};
use rustix::fs::RenameFlags;
use rustix::io::Errno;

/// Something could not be discarded.
#[derive(Debug, thiserror::Error)]
#[error("cannot discard {name:?}")]
pub struct DiscardError {
    /// What.
    pub name: PathBuf,
    /// Why.
    #[source]
    pub source: TreeError,
}

/// Moves `name` out of `dir` into `trash`, on the same file system, and deletes it there. Missing is fine.
///
/// `unique` tells it from other things in the trash: the id of what it belonged to.
pub fn discard(dir: &Root, name: &OsStr, trash: &Root, unique: &str) -> Result<(), DiscardError> {
    let failed = |source| DiscardError { name: name.into(), source };
    for attempt in 0_u32.. {
        let mut grave = OsString::from(unique);
        grave.push(format!("-{attempt}"));
        let (from, from_name) = dir.parent_of(name.as_ref()).map_err(failed)?;
        match rustix::fs::renameat_with(&from, from_name, trash, &grave, RenameFlags::NOREPLACE) {
            Ok(()) => return trash.remove_tree(&grave).map_err(failed),
            Err(Errno::NOENT) => return Ok(()),
            Err(Errno::EXIST) => {}
            Err(errno) => {
                return Err(failed(TreeError::Refused {
                    verb: "move to the trash",
                    path: name.into(),
                    errno,
                }));
            }
        }
    }
    Ok(())
}
