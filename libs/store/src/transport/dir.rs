//! `dir:`, one image as bare files: `manifest.json`, blobs named by their digits, `version`.

use std::io::Read;

use ctr_core::digest::Mismatch;
use ctr_core::oci::Descriptor;
use ctr_core::{Digest, limits};

use super::{Offer, Source, TransportError};
use crate::archive::Archive;

/// The manifest or index.
pub const MANIFEST: &str = "manifest.json";
/// The file that tells the format.
pub const VERSION: &str = "version";
/// What it says.
pub const VERSION_CONTENT: &[u8] = b"Directory Transport Version: 1.1\n";

/// A folder to read from.
#[derive(Debug)]
pub struct Dir {
    folder: Archive,
}

/// The name of a blob.
#[must_use]
pub fn blob_name(digest: &Digest) -> String {
    digest.hex()
}

/// The name of a manifest that an index holds.
#[must_use]
pub fn instance_name(digest: &Digest) -> String {
    format!("{}.manifest.json", digest.hex())
}

impl Dir {
    /// Takes a folder.
    #[must_use]
    pub const fn new(folder: Archive) -> Self {
        Self { folder }
    }

    /// Tells whether a folder is of this format.
    #[must_use]
    pub fn is(folder: &Archive) -> bool {
        folder.has(MANIFEST)
    }
}

impl Source for Dir {
    fn offers(&self) -> Result<Vec<Offer>, TransportError> {
        let bytes = self.folder.read(MANIFEST, limits::MANIFEST)?;
        let digest = Digest::of(&bytes);
        Ok(vec![Offer { names: Vec::new(), bytes, media_type: None, digest }])
    }

    fn document(&self, descriptor: &Descriptor, limit: u64) -> Result<Vec<u8>, TransportError> {
        let instance = instance_name(&descriptor.digest);
        let name = if self.folder.has(&instance) { instance } else { blob_name(&descriptor.digest) };
        let bytes = self.folder.read(&name, limit)?;
        let damaged = |source: Mismatch| TransportError::Digest { what: "a document in it", source };
        descriptor.digest.verify(&bytes).map_err(damaged)?;
        Ok(bytes)
    }

    fn blob(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send + '_>, TransportError> {
        Ok(self.folder.stream(&blob_name(&descriptor.digest))?)
    }
}
