//! Layers as trees: unpacked under a map, and named by that map's key.
//!
//! # Layout
//! `layers/<diff id>/<key>/` holds `fs`, the tree; `tree.json`, what is known of it; and `synced`, once it was
//! flushed. Without `synced` it counts only in the boot that `tree.json` names.

use std::path::{Path, PathBuf};

use ctr_core::boot::BootId;
use ctr_core::file::{self, FileError};
use ctr_core::{Digest, limits};
use ctr_userns::map::Key;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use crate::{Store, exists, names_in};

/// The name of the tree in its directory.
pub const TREE: &str = "fs";
/// The name of the note beside it.
pub(crate) const NOTE: &str = "tree.json";
/// The name of the mark that says that all of it is on the disk.
pub(crate) const SYNCED: &str = "synced";

/// What is known of a tree.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TreeNote {
    /// The boot in which it was written.
    pub boot_id: BootId,
    /// The bytes of its files.
    pub size: u64,
    /// What unpacking reported.
    pub applied: serde_json::Value,
    /// What the first stores wrote of a tree whose contents are in another: one layer was cloned for a map, where now an
    /// image is. Such a tree shows no contents.
    #[serde(rename = "data", default, skip_serializing)]
    pub(crate) elsewhere: Option<IgnoredAny>,
}

/// A tree that can be trusted.
#[derive(Debug, Clone)]
pub struct Tree {
    /// The directory.
    pub path: PathBuf,
    /// What is known of it.
    pub note: TreeNote,
}

/// The name of a digest's directory: the digits alone, for mounts have short options.
pub(crate) fn folder_name(digest: &Digest) -> String {
    digest.hex()
}

/// The digest that a directory is named by.
pub(crate) fn digest_of_folder(name: &str) -> Option<Digest> {
    let algorithm = if name.len() == 128 { "sha512" } else { "sha256" };
    Digest::parse(&format!("{algorithm}:{name}")).ok()
}

impl Store {
    pub(crate) fn layer_path(&self, layer: &Digest) -> PathBuf {
        self.layout().layers().join(folder_name(layer))
    }

    /// Returns the tree of a layer under a map, if there is one that can be trusted.
    pub fn tree(&self, layer: &Digest, key: Key) -> Result<Option<Tree>, FileError> {
        self.first(|store| store.own_tree(layer, key))
    }

    /// The same, of this store alone.
    pub(crate) fn own_tree(&self, layer: &Digest, key: Key) -> Result<Option<Tree>, FileError> {
        let folder = self.layer_path(layer).join(key.to_string());
        let note: Option<TreeNote> = trusted_note(&folder, NOTE, |note: &TreeNote| &note.boot_id)?;
        let Some(note) = note.filter(|note| note.elsewhere.is_none()) else { return Ok(None) };
        Ok(Some(Tree { path: folder.join(TREE), note }))
    }

    /// Returns whether a layer has a tree under any map.
    pub fn has_tree(&self, layer: &Digest) -> Result<bool, FileError> {
        for key in self.tree_keys(layer)? {
            if self.tree(layer, key)?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Returns the keys of the maps under which a layer has trees, trusted or not.
    pub fn tree_keys(&self, layer: &Digest) -> Result<Vec<Key>, FileError> {
        let mut keys = Vec::new();
        for store in self.all() {
            keys.extend(
                store.own_tree_keys(layer)?.into_iter().filter(|key| !keys.contains(key)).collect::<Vec<_>>(),
            );
        }
        Ok(keys)
    }

    /// The same, of this store alone.
    pub(crate) fn own_tree_keys(&self, layer: &Digest) -> Result<Vec<Key>, FileError> {
        Ok(names_in(&self.layer_path(layer))?.iter().filter_map(|name| name.parse().ok()).collect())
    }
}

/// Reads the note of an object, unless the object was lost with another boot.
///
/// A note that is missing or not understood is that of an object that does not exist: a power loss can leave such
/// things, and they can be made again.
pub(crate) fn trusted_note<T: for<'de> Deserialize<'de>>(
    folder: &Path,
    name: &str,
    boot: impl Fn(&T) -> &BootId,
) -> Result<Option<T>, FileError> {
    let bytes = match file::read(&folder.join(name), limits::RECORD) {
        Ok(bytes) => bytes,
        Err(error) if error.is_missing() => return Ok(None),
        Err(error) => return Err(error),
    };
    let Ok(note) = serde_json::from_slice::<T>(&bytes) else { return Ok(None) };
    let trusted = boot(&note).is_current()? || exists(&folder.join(SYNCED))?;
    Ok(trusted.then_some(note))
}
