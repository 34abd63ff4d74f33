//! A plain archive of files as an image of one layer.

use std::fs::File;
use std::io::{Read, Seek};
use std::path::{Path, PathBuf};

use ctr_core::digest::HashingReader;
use ctr_core::oci::media::{self, Compression, Family};
use ctr_core::oci::{Annotations, Descriptor, History, ImageConfig, Manifest, RootFs, RunConfig};
use ctr_core::{Digest, Platform};

use super::{Offer, Source, TransportError};
use crate::archive::ArchiveError;
use crate::compression::Unpacked;

/// What an image made of a file tree says about itself.
#[derive(Debug, Clone, Default)]
pub struct About {
    /// When, RFC 3339.
    pub created: String,
    /// A remark.
    pub comment: String,
    /// For which platform; this machine's if not said.
    pub platform: Option<Platform>,
    /// How to run it.
    pub config: RunConfig,
}

/// The documents of an image of one layer.
#[derive(Debug, Clone)]
pub struct Documents {
    /// The manifest.
    pub manifest: Vec<u8>,
    /// The config.
    pub config: Vec<u8>,
}

impl About {
    /// Makes the documents of an image with one layer.
    pub fn documents(&self, layer: Descriptor, diff_id: Digest) -> Result<Documents, serde_json::Error> {
        let platform = self.platform.clone().unwrap_or_else(Platform::host);
        let config = ImageConfig {
            created: Some(self.created.clone()),
            architecture: platform.architecture,
            variant: platform.variant,
            os: platform.os,
            config: self.config.clone(),
            rootfs: RootFs { diff_ids: vec![diff_id], ..RootFs::default() },
            history: vec![History {
                created: Some(self.created.clone()),
                comment: self.comment.clone(),
                ..History::default()
            }],
            ..ImageConfig::default()
        };
        let config = serde_json::to_vec(&config)?;
        let manifest = Manifest {
            schema_version: 2,
            media_type: Some(media::OCI_MANIFEST.to_owned()),
            artifact_type: None,
            config: Descriptor::new(media::OCI_CONFIG, Digest::of(&config), config.len() as u64),
            layers: vec![layer],
            subject: None,
            annotations: Annotations::new(),
        };
        Ok(Documents { manifest: serde_json::to_vec(&manifest)?, config })
    }
}

/// Describes a layer that was packed in some way.
pub fn layer_descriptor(
    compression: Compression,
    digest: Digest,
    size: u64,
) -> Result<Descriptor, TransportError> {
    let media_type = Family::Oci.layer(compression);
    let media_type =
        media_type.ok_or(TransportError::Unsupported("a layer in xz, which no manifest can name"))?;
    Ok(Descriptor::new(media_type, digest, size))
}

/// An archive of files to read from.
#[derive(Debug)]
pub struct Tarball {
    path: PathBuf,
    documents: Documents,
}

impl Tarball {
    /// Reads an archive once for its digests.
    pub fn open(path: &Path, about: &About) -> Result<Self, TransportError> {
        let mut file = File::open(path).map_err(ArchiveError::Read)?;
        let mut layer = HashingReader::new(Unpacked::new(&mut file).map_err(ArchiveError::Read)?);
        let mut buffer = vec![0; 128 << 10];
        while layer.read(&mut buffer).map_err(ArchiveError::Read)? > 0 {}
        let (diff_id, _) = layer.finish();
        file.rewind().map_err(ArchiveError::Read)?;
        let compression = Unpacked::new(&file).map_err(ArchiveError::Read)?.compression();
        file.rewind().map_err(ArchiveError::Read)?;
        let (digest, size) = HashingReader::new(&file).drain().map_err(ArchiveError::Read)?;
        let document = |error: serde_json::Error| TransportError::Document {
            what: "the config".into(),
            source: error.into(),
        };
        let layer = layer_descriptor(compression, digest, size)?;
        Ok(Self { path: path.to_owned(), documents: about.documents(layer, diff_id).map_err(document)? })
    }
}

impl Source for Tarball {
    fn offers(&self) -> Result<Vec<Offer>, TransportError> {
        let bytes = self.documents.manifest.clone();
        let digest = Digest::of(&bytes);
        Ok(vec![Offer { names: Vec::new(), bytes, media_type: Some(media::OCI_MANIFEST.to_owned()), digest }])
    }

    fn document(&self, _descriptor: &Descriptor, _limit: u64) -> Result<Vec<u8>, TransportError> {
        Ok(self.documents.config.clone())
    }

    fn blob(&self, _descriptor: &Descriptor) -> Result<Box<dyn Read + Send + '_>, TransportError> {
        Ok(Box::new(File::open(&self.path).map_err(ArchiveError::Read)?))
    }
}
