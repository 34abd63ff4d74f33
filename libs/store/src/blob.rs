//! Layers as they came: compressed or not, with the digest that their manifest has.
//!
//! # Layout
//! `blobs/<digest>/` holds `data`, the bytes; `meta.json`, where they came from; and `synced`, once they were
//! flushed. Blobs are kept under a budget ([`crate::gc`]): a layer with a tree can do without its blob, at the
//! price that it is packed anew, and maybe under another digest, when it is sent somewhere.

use std::fs::File;
use std::path::PathBuf;

use ctr_core::Digest;
use ctr_core::boot::BootId;
use ctr_core::file::FileError;
use serde::{Deserialize, Serialize};

use crate::Store;
use crate::layer::{folder_name, trusted_note};

/// The name of the bytes in their directory.
pub(crate) const DATA: &str = "data";
/// The name of the note beside them.
pub(crate) const NOTE: &str = "meta.json";

/// What is known of a blob.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct BlobNote {
    /// The boot in which it was written.
    pub boot_id: BootId,
    /// Its size.
    pub size: u64,
    /// The digest of what it unpacks to.
    pub diff_id: Digest,
    /// Where it came from, as the user said it.
    pub source: String,
}

/// A blob that can be trusted.
#[derive(Debug, Clone)]
pub struct Blob {
    /// The file.
    pub path: PathBuf,
    /// What is known of it.
    pub note: BlobNote,
}

impl Blob {
    /// Opens the bytes.
    pub fn open(&self) -> Result<File, FileError> {
        File::open(&self.path).map_err(|error| FileError::new("open", &self.path, error))
    }
}

impl Store {
    pub(crate) fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.layout().blobs().join(folder_name(digest))
    }

    /// Returns a blob, if there is one that can be trusted.
    pub fn blob(&self, digest: &Digest) -> Result<Option<Blob>, FileError> {
        self.first(|store| store.own_blob(digest))
    }

    /// The same, of this store alone.
    pub(crate) fn own_blob(&self, digest: &Digest) -> Result<Option<Blob>, FileError> {
        let folder = self.blob_path(digest);
        let note: Option<BlobNote> = trusted_note(&folder, NOTE, |note: &BlobNote| &note.boot_id)?;
        Ok(note.map(|note| Blob { path: folder.join(DATA), note }))
    }
}
