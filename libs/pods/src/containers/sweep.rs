//! Clearing away what killed supervisors left.

use std::path::Path;

use ctr_core::lock::{Lock, Mode};
use ctr_core::rooted::Root;

use super::{Containers, ContainersError, Kind, LOCK, STATE, ids_in, overview};
use crate::record::Record;

/// A container that was swept away.
#[derive(Debug, Default)]
pub struct Swept {
    /// What was asked for, of one that was started and has outlived the command that did so.
    pub record: Option<Record>,
    /// Nobody has logged its end.
    pub unseen: bool,
}

impl Containers {
    /// Removes what killed supervisors left. Only from a process in A: upper folders hold files of every id.
    ///
    /// Returns what went.
    ///
    /// # Errors
    /// Something cannot be removed; the rest was tried all the same.
    pub fn sweep(&self) -> Result<Vec<Swept>, ContainersError> {
        let mut swept = Vec::new();
        let mut failed = None;
        for (kind, sweep) in [
            (
                Kind::Fleeting,
                Self::sweep_fleeting as fn(&Self, &str) -> Result<Option<Swept>, ContainersError>,
            ),
            (Kind::Transient, Self::sweep_transient),
            (Kind::Kept, Self::sweep_kept),
        ] {
            for id in ids_in(self.records(kind))? {
                match sweep(self, &id) {
                    Ok(gone) => swept.extend(gone),
                    Err(error) => failed = Some(error),
                }
            }
        }
        for kind in [Kind::Fleeting, Kind::Kept] {
            self.names(kind).sweep()?;
        }
        failed.map_or(Ok(swept), Err)
    }

    fn sweep_fleeting(&self, id: &str) -> Result<Option<Swept>, ContainersError> {
        let dir = self.fleeting.join(id);
        let Some(lock) = unheld(&dir)? else { return Ok(None) };
        remove_tree(&self.kept.join(id))?;
        remove_tree(&dir)?;
        drop(lock);
        Ok(Some(Swept::default()))
    }

    /// One of another boot, one that was never published, or one that was to go with its end.
    fn sweep_transient(&self, id: &str) -> Result<Option<Swept>, ContainersError> {
        let dir = self.transient.join(id);
        let Some(lock) = unheld(&dir)? else { return Ok(None) };
        if self.is_wanted(Kind::Transient, id) {
            return Ok(None);
        }
        let gone = self.last_words(Kind::Transient, id);
        remove_tree(&self.kept.join(id))?;
        remove_tree(&dir)?;
        drop(lock);
        Ok(Some(gone))
    }

    /// The layer of a fleeting or a transient container that is gone, a kept one that was never published, or one that was to go with
    /// its end.
    fn sweep_kept(&self, id: &str) -> Result<Option<Swept>, ContainersError> {
        let dir = self.kept.join(id);
        if self.fleeting.join(id).exists() || self.transient.join(id).exists() {
            return Ok(None);
        }
        // A layer of another boot has no lock, and needs none: nobody makes folders of an id that is taken.
        let lock = if dir.join(LOCK).exists() { unheld(&dir)? } else { None };
        if (lock.is_none() && dir.join(LOCK).exists()) || self.is_wanted(Kind::Kept, id) {
            return Ok(None);
        }
        let gone = self.last_words(Kind::Kept, id);
        remove_tree(&dir)?;
        drop(lock);
        Ok(Some(gone))
    }

    /// What is to be logged of one that was started and goes.
    fn last_words(&self, kind: Kind, id: &str) -> Swept {
        let folder = self.records(kind).join(id);
        let record = self.record(kind, id).ok().flatten().filter(|_| folder.join(STATE).exists());
        Swept { unseen: record.is_some() && overview::ending(&folder).is_none(), record }
    }

    /// Whether the record of a kept or a transient container that nobody holds is still good for something. One that
    /// cannot be understood is: it may be a newer version's.
    pub(super) fn is_wanted(&self, kind: Kind, id: &str) -> bool {
        match self.record(kind, id) {
            Ok(Some(record))
                if kind == Kind::Transient && record.boot_id.is_current().is_ok_and(|is| !is) =>
            {
                false
            }
            Ok(Some(record)) => !record.auto_remove || !self.records(kind).join(id).join(STATE).exists(),
            Ok(None) => false,
            Err(_) => true,
        }
    }
}

/// Takes the lock of a folder if nobody has it.
fn unheld(dir: &Path) -> Result<Option<Lock>, ContainersError> {
    match Lock::try_acquire(&dir.join(LOCK), Mode::Exclusive) {
        Err(error) if error.is_missing() => Ok(None),
        other => Ok(other?),
    }
}

/// Removes a folder of ours with whatever a container put there; one that is not there is fine.
pub(super) fn remove_tree(path: &Path) -> Result<(), ContainersError> {
    let failed = |source| ContainersError::Remove { path: path.to_owned(), source };
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Ok(()) };
    let root = match Root::open(parent) {
        Err(error) if error.is_missing() => return Ok(()),
        other => other.map_err(failed)?,
    };
    match root.remove_tree(name) {
        Err(error) if error.is_missing() => Ok(()),
        other => other.map_err(failed),
    }
}
