//! The OCI image layout, in a folder or an archive.

use std::io::Read;
use std::sync::Arc;

use ctr_core::digest::Mismatch;
use ctr_core::oci::{Descriptor, Document};
use ctr_core::{Digest, limits};

use super::{Offer, Source, TransportError};
use crate::archive::{Archive, ArchiveError};
use crate::ingest::{IngestError, Ingested};

/// The file that says that this is a layout.
pub const LAYOUT: &str = "oci-layout";
/// What that file says.
pub const LAYOUT_CONTENT: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;
/// The index of the layout.
pub const INDEX: &str = "index.json";
/// The annotation that holds a name, of OCI.
pub const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// The annotation that holds a full name, of containerd; it goes first.
pub const CONTAINERD_NAME: &str = "io.containerd.image.name";

/// A layout to read from.
#[derive(Debug)]
pub struct Layout {
    archive: Archive,
    /// Where its blobs are, if layouts share them.
    shared: Option<Archive>,
}

/// The name of a blob in a layout.
#[must_use]
pub fn blob_name(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm().name(), digest.hex())
}

/// The name of a blob in a folder that layouts share.
#[must_use]
pub fn shared_name(digest: &Digest) -> String {
    format!("{}/{}", digest.algorithm().name(), digest.hex())
}

impl Layout {
    /// Takes the archive or folder for a layout.
    #[must_use]
    pub const fn new(archive: Archive) -> Self {
        Self { archive, shared: None }
    }

    /// A folder whose blobs are in another one, which several layouts have together.
    #[must_use]
    pub const fn shared(archive: Archive, blobs: Archive) -> Self {
        Self { archive, shared: Some(blobs) }
    }

    /// Where a blob is, and what it is called there.
    fn place(&self, digest: &Digest) -> (&Archive, String) {
        match &self.shared {
            Some(blobs) => (blobs, shared_name(digest)),
            None => (&self.archive, blob_name(digest)),
        }
    }

    /// Tells whether an archive is a layout.
    #[must_use]
    pub fn is(archive: &Archive) -> bool {
        archive.has(INDEX) && archive.has(LAYOUT)
    }

    /// Gives the archive back.
    #[must_use]
    pub fn into_archive(self) -> Archive {
        self.archive
    }

    fn offer(&self, entry: &Descriptor) -> Result<Offer, TransportError> {
        let name = entry.annotations.get(CONTAINERD_NAME).or_else(|| entry.annotations.get(REF_NAME));
        Ok(Offer {
            names: name.filter(|name| !name.is_empty()).cloned().into_iter().collect(),
            bytes: self.document(entry, limits::MANIFEST)?,
            media_type: Some(entry.media_type.clone()).filter(|text| !text.is_empty()),
            digest: entry.digest,
        })
    }
}

impl Source for Layout {
    fn offers(&self) -> Result<Vec<Offer>, TransportError> {
        let bytes = self.archive.read(INDEX, limits::MANIFEST)?;
        let document = |source| TransportError::Document { what: INDEX.to_owned(), source };
        match ctr_core::oci::parse(&bytes, None).map_err(document)? {
            Document::Index(index) => index.manifests.iter().map(|entry| self.offer(entry)).collect(),
            Document::Manifest(_) => {
                Err(TransportError::Unsupported("its index.json is the manifest of one image"))
            }
        }
    }

    fn document(&self, descriptor: &Descriptor, limit: u64) -> Result<Vec<u8>, TransportError> {
        let (blobs, name) = self.place(&descriptor.digest);
        let bytes = blobs.read(&name, limit)?;
        let damaged = |source: Mismatch| TransportError::Digest { what: "a document in it", source };
        descriptor.digest.verify(&bytes).map_err(damaged)?;
        Ok(bytes)
    }

    fn blob(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send + '_>, TransportError> {
        let (blobs, name) = self.place(&descriptor.digest);
        let size = blobs.size(&name)?;
        if size != descriptor.size {
            let why = std::io::Error::other(format!(
                "a blob has {size} bytes, where {} were promised",
                descriptor.size
            ));
            return Err(ArchiveError::Read(why).into());
        }
        Ok(blobs.stream(&name)?)
    }

    fn taken(&self, descriptor: &Descriptor) -> Option<Arc<Result<Ingested, IngestError>>> {
        self.archive.taken(&blob_name(&descriptor.digest))
    }
}
