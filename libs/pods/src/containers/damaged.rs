//! Kept containers whose record cannot be understood. They are in no list; who names one is told, and can have it removed.

use ctr_core::file;
use ctr_core::limits;

use super::{Containers, ContainersError, Kind, RECORD, ids_in, remove_tree, unheld};
use crate::record::{Record, VERSION};

impl Containers {
    /// The one such container that a name, an id or the beginning of one means.
    pub(super) fn damaged(&self, text: &str) -> Option<String> {
        let named = self.names(Kind::Kept).id_of(text);
        let mut ids = ids_in(&self.kept).ok()?;
        ids.retain(|id| (id.starts_with(text) || named.as_ref() == Some(id)) && self.is_damaged(id));
        if let [id] = &ids[..] { Some(id.clone()) } else { None }
    }

    /// Whether there is a record, of no use.
    fn is_damaged(&self, id: &str) -> bool {
        match file::read_json::<Record>(&self.kept.join(id).join(RECORD), limits::RECORD) {
            Ok(record) => record.version != VERSION,
            Err(error) => !error.is_missing(),
        }
    }

    /// Removes such a container, in A; `false` is one that somebody holds.
    ///
    /// # Errors
    /// Something cannot be removed.
    pub fn remove_damaged(&self, id: &str) -> Result<bool, ContainersError> {
        let dir = self.kept.join(id);
        let Some(lock) = unheld(&dir)? else { return Ok(!dir.exists()) };
        if self.is_damaged(id) {
            remove_tree(&dir)?;
        }
        drop(lock);
        self.names(Kind::Kept).sweep()?;
        Ok(true)
    }
}
