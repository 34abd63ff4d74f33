//! Kept containers that are of no use to us: whose record is damaged, was written by a newer version, or is not ours to
//! read. They are in no list, and keep their names; who names one is told, and can have it removed by force.

use std::time::Duration;

use ctr_core::file;
use ctr_core::limits;
use ctr_core::lock::{Lock, Mode};
use ctr_runtime::cgroup;

use super::claim::noted_group;
use super::sweep::remove_tree;
use super::{Containers, ContainersError, Kind, LOCK, RECORD, ids_in};
use crate::record::{Record, VERSION};

/// How long one is waited for whose monitor is about to go, or whose processes are about to follow it.
const PATIENCE: Duration = Duration::from_secs(5);

/// What all versions of a record have.
#[derive(serde::Deserialize)]
struct Versioned {
    version: u32,
}

impl ContainersError {
    /// The container that is there and of no use to us, if that is what is wrong.
    #[must_use]
    pub fn useless(&self) -> Option<&str> {
        match self {
            Self::Damaged(id) | Self::Newer(id) | Self::Unreadable { id, .. } => Some(id),
            _ => None,
        }
    }
}

impl Containers {
    /// What is wrong with the one such container that a name, an id or the beginning of one means.
    pub(super) fn damaged(&self, text: &str) -> Option<ContainersError> {
        let of_kind = |kind: Kind| {
            let named = self.names(kind).id_of(text);
            let ids = ids_in(self.records(kind)).unwrap_or_default().into_iter();
            let meant = ids.filter(move |id| id.starts_with(text) || named.as_ref() == Some(id));
            meant.filter_map(move |id| self.record(kind, &id).err())
        };
        let mut damages = of_kind(Kind::Transient).chain(of_kind(Kind::Kept));
        let only = damages.next()?;
        if damages.next().is_none() { Some(only) } else { None }
    }

    /// The record of one, if there is any.
    ///
    /// # Errors
    /// It is there, and of no use: why.
    pub(super) fn record(&self, kind: Kind, id: &str) -> Result<Option<Record>, ContainersError> {
        let id = || id.to_owned();
        let text = match file::read(&self.records(kind).join(id()).join(RECORD), limits::RECORD) {
            Ok(text) => text,
            Err(error) if error.is_missing() => return Ok(None),
            Err(source) if source.is_refused() => {
                return Err(ContainersError::Unreadable { id: id(), source });
            }
            Err(_) => return Err(ContainersError::Damaged(id())),
        };
        match serde_json::from_slice::<Record>(&text) {
            Ok(record) if record.version == VERSION => return Ok(Some(record)),
            _ => {}
        }
        Err(match serde_json::from_slice::<Versioned>(&text) {
            Ok(Versioned { version }) if version > VERSION => ContainersError::Newer(id()),
            _ => ContainersError::Damaged(id()),
        })
    }

    /// Removes such a container with the control group that its killed monitor left, in A; `false` is one that somebody holds.
    ///
    /// # Errors
    /// Something cannot be removed.
    pub fn remove_damaged(&self, id: &str) -> Result<bool, ContainersError> {
        let dir = self.folder_of(id);
        let lock = match Lock::acquire_within(&dir.join(LOCK), Mode::Exclusive, PATIENCE) {
            Ok(Some(lock)) => lock,
            Ok(None) => return Ok(!dir.exists()),
            Err(error) if error.is_missing() => return Ok(true),
            Err(error) => return Err(error.into()),
        };
        if let Some(group) = noted_group(&dir) {
            // Where somebody lives in it all the same, it is no reason to stay.
            cgroup::remove_once_empty(&group, PATIENCE).ok();
        }
        remove_tree(&self.kept.join(id))?;
        remove_tree(&dir)?;
        drop(lock);
        for kind in [Kind::Transient, Kind::Kept] {
            self.names(kind).sweep()?;
        }
        Ok(true)
    }
}
