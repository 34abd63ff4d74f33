//! What `docker save` writes: `manifest.json`, configs, layers that are usually not compressed.
//!
//! # Theory of operation
//! There are no manifests in such an archive, so each image gets one here, of Docker's schema 2. Its layers are named
//! by the digests of their bytes in the archive: for one that is not compressed that is its diff id, which the config
//! promises and unpacking checks; one that is compressed is hashed first.

use std::collections::HashMap;
use std::io::Read;
use std::sync::Arc;

use ctr_core::digest::HashingReader;
use ctr_core::oci::media::{self, Compression, Family};
use ctr_core::oci::{Descriptor, ImageConfig, Manifest};
use ctr_core::{Digest, limits};
use serde::{Deserialize, Serialize};

use super::{Offer, Source, TransportError};
use crate::archive::{Archive, ArchiveError};
use crate::compression::{Peeked, detect};
use crate::ingest::{IngestError, Ingested};

/// The list of images.
pub const MANIFEST: &str = "manifest.json";

/// An image in `manifest.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Entry {
    /// The member that holds the config.
    pub config: String,
    /// The names.
    #[serde(default)]
    pub repo_tags: Option<Vec<String>>,
    /// The members that hold the layers, lowest first.
    pub layers: Vec<String>,
}

/// A docker archive to read from.
#[derive(Debug)]
pub struct DockerArchive {
    archive: Archive,
    offers: Vec<Offer>,
    /// Where the blobs are.
    members: HashMap<Digest, String>,
}

impl DockerArchive {
    /// Tells whether an archive is of this format.
    #[must_use]
    pub fn is(archive: &Archive) -> bool {
        archive.has(MANIFEST)
    }

    /// Reads the list of images and makes a manifest for each.
    pub fn new(archive: Archive) -> Result<Self, TransportError> {
        let bytes = archive.read(MANIFEST, limits::ARCHIVE_MANIFEST)?;
        let document = |source: serde_json::Error| TransportError::Document {
            what: MANIFEST.to_owned(),
            source: source.into(),
        };
        let entries: Vec<Entry> = serde_json::from_slice(&bytes).map_err(document)?;
        let mut made = Self { archive, offers: Vec::new(), members: HashMap::new() };
        for entry in entries {
            let offer = made.offer(entry)?;
            made.offers.push(offer);
        }
        Ok(made)
    }

    fn offer(&mut self, entry: Entry) -> Result<Offer, TransportError> {
        let document =
            |source| TransportError::Document { what: "the config of an image in it".to_owned(), source };
        let config = self.archive.read(&entry.config, limits::CONFIG)?;
        let parsed = ImageConfig::parse(&config).map_err(document)?;
        let digest = Digest::of(&config);
        self.members.insert(digest, entry.config);
        let mut layers = Vec::new();
        for (member, diff_id) in entry.layers.iter().zip(&parsed.rootfs.diff_ids) {
            let layer = self.layer(member, diff_id)?;
            self.members.insert(layer.digest, member.clone());
            layers.push(layer);
        }
        let manifest = Manifest {
            schema_version: 2,
            media_type: Some(media::DOCKER_MANIFEST.to_owned()),
            artifact_type: None,
            config: Descriptor::new(media::DOCKER_CONFIG, digest, config.len() as u64),
            layers,
            subject: None,
            annotations: ctr_core::oci::Annotations::new(),
        };
        if entry.layers.len() != manifest.layers.len() {
            let (diff_ids, layers) = (parsed.rootfs.diff_ids.len(), entry.layers.len());
            return Err(document(ctr_core::oci::DocumentError::LayerCount { diff_ids, layers }));
        }
        let bytes = serde_json::to_vec(&manifest).map_err(|error| document(error.into()))?;
        Ok(Offer {
            names: entry.repo_tags.unwrap_or_default(),
            digest: Digest::of(&bytes),
            bytes,
            media_type: Some(media::DOCKER_MANIFEST.to_owned()),
        })
    }

    fn layer(&self, member: &str, diff_id: &Digest) -> Result<Descriptor, TransportError> {
        if let Some(taken) = self.archive.taken(member) {
            return match taken.as_ref() {
                Ok(taken) => describe(taken.compression, taken.blob, taken.size),
                Err(error) => Err(TransportError::Layer(crate::worker::Failure::of(error).message)),
            };
        }
        let size = self.archive.size(member)?;
        let stream = Peeked::new(self.archive.stream(member)?, 6).map_err(ArchiveError::Read)?;
        let compression = detect(stream.start());
        if compression == Compression::None {
            return describe(compression, *diff_id, size);
        }
        let (digest, size) = HashingReader::new(stream).drain().map_err(ArchiveError::Read)?;
        describe(compression, digest, size)
    }
}

fn describe(compression: Compression, digest: Digest, size: u64) -> Result<Descriptor, TransportError> {
    let media_type = match compression {
        // Docker's family has no name for it; some tools write this one.
        Compression::Zstd => Some(media::DOCKER_LAYER_ZSTD),
        other => Family::Docker.layer(other),
    };
    let media_type =
        media_type.ok_or(TransportError::Unsupported("a layer in xz, which no manifest can name"))?;
    Ok(Descriptor::new(media_type, digest, size))
}

impl DockerArchive {
    fn member(&self, digest: &Digest) -> Result<&str, TransportError> {
        let found = self.members.get(digest).map(String::as_str);
        found.ok_or_else(|| ArchiveError::Missing { name: digest.to_string().into() }.into())
    }
}

impl Source for DockerArchive {
    fn offers(&self) -> Result<Vec<Offer>, TransportError> {
        Ok(self.offers.clone())
    }

    fn document(&self, descriptor: &Descriptor, limit: u64) -> Result<Vec<u8>, TransportError> {
        let bytes = self.archive.read(self.member(&descriptor.digest)?, limit)?;
        let damaged = |source| TransportError::Digest { what: "a config in it", source };
        descriptor.digest.verify(&bytes).map_err(damaged)?;
        Ok(bytes)
    }

    fn blob(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send + '_>, TransportError> {
        Ok(self.archive.stream(self.member(&descriptor.digest)?)?)
    }

    fn taken(&self, descriptor: &Descriptor) -> Option<Arc<Result<Ingested, IngestError>>> {
        self.archive.taken(self.member(&descriptor.digest).ok()?)
    }
}
