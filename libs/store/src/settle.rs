//! Makes what was written in bulk survive a power loss, all of it with one flush.
//!
//! Whoever published trees or blobs starts this in the background and does not wait for it: a crash before it is
//! through costs no more than doing the work again.

use std::fs::File;
use std::path::PathBuf;

use ctr_core::file::FileError;

use crate::layer::SYNCED;
use crate::{Store, StoreError, layer, names_in};

impl Store {
    /// Flushes trees and blobs that were not flushed yet, and marks them.
    pub fn settle(&self) -> Result<(), StoreError> {
        self.writable()?;
        let pending = self.unsettled()?;
        if pending.is_empty() {
            return Ok(());
        }
        let data = &self.layout().images_at().data;
        let handle = File::open(data).map_err(|error| FileError::new("open", data, error))?;
        rustix::fs::syncfs(&handle).map_err(|error| FileError::new("sync", data, error))?;
        for folder in pending {
            let mark = folder.join(SYNCED);
            match File::create(&mark) {
                Ok(file) => file.sync_all().map_err(|error| FileError::new("sync", mark, error))?,
                // gc took the object meanwhile.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(FileError::new("create", mark, error).into()),
            }
        }
        Ok(())
    }

    /// The directories of objects of this boot that bear no mark yet.
    fn unsettled(&self) -> Result<Vec<PathBuf>, StoreError> {
        let mut pending = Vec::new();
        let mut consider = |folder: PathBuf, current: bool| {
            if current && !folder.join(SYNCED).exists() {
                pending.push(folder);
            }
        };
        for name in names_in(&self.layout().layers())? {
            let Some(layer) = layer::digest_of_folder(&name) else { continue };
            for key in self.own_tree_keys(&layer)? {
                let current = self.own_tree(&layer, key)?.is_some();
                consider(self.layer_path(&layer).join(key.to_string()), current);
            }
        }
        for (folder, current) in self.assemblies()? {
            consider(folder, current);
        }
        for name in names_in(&self.layout().blobs())? {
            let Some(digest) = layer::digest_of_folder(&name) else { continue };
            let current = self.own_blob(&digest)?.is_some();
            consider(self.blob_path(&digest), current);
        }
        Ok(pending)
    }
}
