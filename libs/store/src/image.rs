//! Images: a config, one or more manifests that lead to it, and the plan that a run reads.
//!
//! The id of an image is the digest of its config, so an image that arrived with two manifests (its layers in gzip
//! and in zstd, say) is one image with two files `manifest-…`. Each name remembers which of them it was given to.

use std::fmt;
use std::path::PathBuf;

use ctr_core::digest::DigestError;
use ctr_core::file::{self, FileError};
use ctr_core::oci::{DocumentError, ImageConfig, Manifest};
use ctr_core::{Digest, Reference, atomic, limits};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{Store, StoreError, names_in};

/// The identity of an image: the SHA-256 of its config.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ImageId([u8; 32]);

impl ImageId {
    /// The image with this config.
    #[must_use]
    pub fn of_config(config: &[u8]) -> Self {
        Self(Digest::of(config).sha256().unwrap_or_default())
    }

    /// The image whose config has this SHA-256.
    #[must_use]
    pub const fn from_hash(hash: [u8; 32]) -> Self {
        Self(hash)
    }

    /// Reads the 64 hexadecimal digits.
    pub fn parse(hex: &str) -> Result<Self, DigestError> {
        Digest::from_sha256_hex(hex)?.sha256().map(Self).ok_or(DigestError::Algorithm)
    }

    /// Returns the digest of the config.
    #[must_use]
    pub const fn digest(&self) -> Digest {
        Digest::from_sha256(self.0)
    }

    /// Returns the first twelve digits.
    #[must_use]
    pub fn short(&self) -> String {
        self.digest().short()
    }
}

impl fmt::Display for ImageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.digest().hex())
    }
}

impl fmt::Debug for ImageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for ImageId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ImageId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let hex = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&hex).map_err(serde::de::Error::custom)
    }
}

/// An image of the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Its identity.
    pub id: ImageId,
    /// The name that it was found by.
    pub name: Option<Reference>,
    /// The manifest that it was found by, else the one that it arrived with first.
    pub manifest: Digest,
    /// Its config, without the history (see [`Store::config`]).
    pub config: ImageConfig,
    /// The diff ids of its layers, lowest first.
    pub layers: Vec<Digest>,
    /// The bytes of its files.
    pub size: u64,
}

/// What a run needs of an image, in one file.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Plan {
    pub(crate) id: ImageId,
    pub(crate) manifest: Digest,
    pub(crate) size: u64,
    pub(crate) config: ImageConfig,
}

/// An image cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// There is none of this id.
    #[error("there is no image {}", id.short())]
    Missing {
        /// The id.
        id: ImageId,
    },
    /// Something of it cannot be read or is not what it should be.
    #[error("the image {} is damaged", id.short())]
    Damaged {
        /// The id.
        id: ImageId,
        /// What is wrong.
        #[source]
        source: Damage,
    },
}

/// What is wrong with an image.
#[derive(Debug, thiserror::Error)]
pub enum Damage {
    /// A file of it cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// A document of it is not understood.
    #[error("a document of it is not understood")]
    Document(#[from] DocumentError),
    /// The raw bytes are not those that were stored.
    #[error(transparent)]
    Digest(#[from] ctr_core::digest::Mismatch),
    /// A file names another image.
    #[error("its plan is that of another image")]
    Plan,
    /// A layer has a tree that is of no use under our map, and no blob to unpack.
    #[error("the layer {} is unpacked for other ids, and what it was unpacked from is not kept", .0.short())]
    OtherIds(Digest),
    /// A layer has neither a tree nor a blob that can be trusted.
    #[error("the layer {} is missing", .0.short())]
    Layer(Digest),
}

/// An image in a listing: it may be damaged, which harms no other.
#[derive(Debug)]
pub struct Listed {
    /// The id.
    pub id: ImageId,
    /// The image, or what is wrong with it.
    pub image: Result<Image, ImageError>,
}

impl Store {
    pub(crate) fn image_path(&self, id: ImageId) -> PathBuf {
        self.layout().images().join(id.to_string())
    }

    /// Reads an image.
    pub fn image(&self, id: ImageId) -> Result<Image, ImageError> {
        let path = self.image_home(id).join("plan.json");
        let plan: Plan = match file::read_json(&path, limits::RECORD) {
            Ok(plan) => plan,
            Err(error) if error.is_missing() && !self.image_home(id).is_dir() => {
                return Err(ImageError::Missing { id });
            }
            Err(error) => return Err(ImageError::Damaged { id, source: error.into() }),
        };
        if plan.id != id {
            return Err(ImageError::Damaged { id, source: Damage::Plan });
        }
        let layers = plan.config.rootfs.diff_ids.clone();
        Ok(Image { id, name: None, manifest: plan.manifest, config: plan.config, layers, size: plan.size })
    }

    /// Lists all images that something wants, in the order of their ids. Each is also checked to have its layers, in some form.
    pub fn images(&self) -> Result<Vec<Listed>, StoreError> {
        let wanted = self.wanted()?;
        let listed = wanted
            .images
            .into_iter()
            .map(|id| Listed { id, image: self.image(id).and_then(|image| self.whole(image)) });
        // One that was removed between the listing and the read is no image any more.
        Ok(listed.filter(|listed| !matches!(listed.image, Err(ImageError::Missing { .. }))).collect())
    }

    /// Checks that every layer of an image has a tree or a blob.
    fn whole(&self, image: Image) -> Result<Image, ImageError> {
        let damaged = |source: Damage| ImageError::Damaged { id: image.id, source };
        let mut missing = Vec::new();
        for layer in &image.layers {
            if !self.has_tree(layer).map_err(|error| damaged(error.into()))? {
                missing.push(*layer);
            }
        }
        if let Some(first) = missing.first() {
            let manifest = self.manifest(image.id, image.manifest)?;
            for layer in &missing {
                let position = image.layers.iter().position(|it| it == layer);
                let blob = position.and_then(|position| manifest.layers.get(position));
                let blob = blob
                    .map(|blob| self.blob(&blob.digest))
                    .transpose()
                    .map_err(|error| damaged(error.into()))?;
                if blob.flatten().is_none() {
                    return Err(damaged(Damage::Layer(*first)));
                }
            }
        }
        Ok(image)
    }

    /// Reads the config as it came.
    pub fn config_bytes(&self, id: ImageId) -> Result<Vec<u8>, ImageError> {
        let damaged = |source: Damage| ImageError::Damaged { id, source };
        let bytes =
            file::read(&self.image_home(id).join("config"), limits::CONFIG).map_err(|e| damaged(e.into()))?;
        id.digest().verify(&bytes).map_err(|error| damaged(error.into()))?;
        Ok(bytes)
    }

    /// Reads the whole config, with the history.
    pub fn config(&self, id: ImageId) -> Result<ImageConfig, ImageError> {
        let bytes = self.config_bytes(id)?;
        ImageConfig::parse(&bytes).map_err(|error| ImageError::Damaged { id, source: error.into() })
    }

    /// Reads a manifest as it came.
    pub fn manifest_bytes(&self, id: ImageId, digest: Digest) -> Result<Vec<u8>, ImageError> {
        let damaged = |source: Damage| ImageError::Damaged { id, source };
        let path = self.image_home(id).join(manifest_name(digest));
        let bytes = file::read(&path, limits::MANIFEST).map_err(|error| damaged(error.into()))?;
        digest.verify(&bytes).map_err(|error| damaged(error.into()))?;
        Ok(bytes)
    }

    /// Reads a manifest.
    pub fn manifest(&self, id: ImageId, digest: Digest) -> Result<Manifest, ImageError> {
        let bytes = self.manifest_bytes(id, digest)?;
        ctr_core::oci::parse_manifest(&bytes, None)
            .map_err(|error| ImageError::Damaged { id, source: error.into() })
    }

    /// Returns the digests of all manifests that the image arrived with.
    pub fn manifests(&self, id: ImageId) -> Result<Vec<Digest>, StoreError> {
        let names = names_in(&self.image_home(id))?;
        Ok(names.iter().filter_map(|name| manifest_of_name(name)).collect())
    }

    /// Returns the names that an image had, the last one first.
    #[must_use]
    pub fn name_history(&self, id: ImageId) -> Vec<String> {
        // A note for people: where it is missing or damaged there is none.
        file::read_json(&self.image_home(id).join("names.json"), limits::RECORD).unwrap_or_default()
    }

    pub(crate) fn remember_name(&self, id: ImageId, name: &Reference) -> Result<(), StoreError> {
        let mut names = self.name_history(id);
        let name = name.to_string();
        names.retain(|known| *known != name);
        names.insert(0, name);
        names.truncate(100);
        let path = self.image_path(id).join("names.json");
        let bytes = serde_json::to_vec(&names).map_err(|error| crate::refs::damaged(path.clone(), error))?;
        match atomic::write_transient(&path, &bytes) {
            // The image went meanwhile: so did its history.
            Err(error) if error.is_missing() => Ok(()),
            other => Ok(other?),
        }
    }
}

pub(crate) fn manifest_name(digest: Digest) -> String {
    format!("manifest-{}-{}", digest.algorithm().name(), digest.hex())
}

fn manifest_of_name(name: &str) -> Option<Digest> {
    let (algorithm, hex) = name.strip_prefix("manifest-")?.split_once('-')?;
    Digest::parse(&format!("{algorithm}:{hex}")).ok()
}
