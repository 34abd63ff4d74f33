//! Images of a store, as a source.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::PathBuf;

use ctr_core::oci::{Descriptor, Manifest, media};
use ctr_core::{Digest, Platform};
use serde_json::Value;

use super::{Offer, Source, TransportError};
use crate::archive::ArchiveError;
use crate::image::{Damage, ImageError};
use crate::refs::Target;
use crate::session::{Session, Stage};
use crate::worker::Worker;
use crate::{ImageId, Store};

/// One name or id of a store, to read from.
#[derive(Debug)]
pub struct Local<'a> {
    store: &'a Store,
    offers: Vec<Offer>,
    /// Layers whose blobs are gone and that were packed anew.
    packed: HashMap<Digest, PathBuf>,
    /// Keeps those.
    _stages: Vec<Stage>,
}

/// What packs layers whose blobs are gone.
#[derive(Debug, Clone, Copy)]
pub struct Packer<'a> {
    /// Pins what is read.
    pub session: &'a Session,
    /// Reads trees. Without it an image that needs that is an error: [`TransportError::OnlyFiles`].
    pub worker: Option<&'a Worker>,
}

impl<'a> Local<'a> {
    /// Opens an image or index. Layers whose blobs fell to the budget are packed anew; the manifest that is offered
    /// then is a new one, which [`Local::repacked`] tells.
    pub fn open(
        store: &'a Store,
        text: &str,
        names: Vec<String>,
        platform: Option<&Platform>,
        packer: &Packer<'_>,
    ) -> Result<Self, TransportError> {
        let found = store.lookup(text)?;
        let mut local = Self { store, offers: Vec::new(), packed: HashMap::new(), _stages: Vec::new() };
        let offer = match (found.target, platform) {
            (Target::Index { digest }, None) => {
                let stored = store.index(&digest)?;
                Offer { names, bytes: stored.bytes, media_type: stored.index.media_type, digest }
            }
            (Target::Index { .. }, Some(platform)) => {
                let image = store.resolve(text, Some(platform))?;
                local.image(image.id, image.manifest, names, packer)?
            }
            (Target::Image { id, manifest }, _) => local.image(id, manifest, names, packer)?,
        };
        local.offers.push(offer);
        Ok(local)
    }

    /// Returns whether some layer had to be packed anew, so that digests differ from those that came.
    #[must_use]
    pub fn repacked(&self) -> bool {
        !self.packed.is_empty()
    }

    fn image(
        &mut self,
        id: ImageId,
        digest: Digest,
        names: Vec<String>,
        packer: &Packer<'_>,
    ) -> Result<Offer, TransportError> {
        let bytes = self.store.manifest_bytes(id, digest)?;
        let manifest = self.store.manifest(id, digest)?;
        let missing = |layer: &&Descriptor| matches!(packer.session.pin_blob(&layer.digest), Ok(None));
        if !manifest.layers.iter().any(|layer| missing(&layer)) {
            return Ok(Offer { names, bytes, media_type: manifest.media_type, digest });
        }
        let bytes = self.repack(id, &bytes, &manifest, packer)?;
        Ok(Offer { names, digest: Digest::of(&bytes), bytes, media_type: manifest.media_type })
    }

    /// Makes a manifest whose missing layers are archives of their trees.
    fn repack(
        &mut self,
        id: ImageId,
        bytes: &[u8],
        manifest: &Manifest,
        packer: &Packer<'_>,
    ) -> Result<Vec<u8>, TransportError> {
        let diff_ids = self.store.image(id)?.layers;
        let damaged = |source: Damage| TransportError::Image(ImageError::Damaged { id, source });
        let document = |error: serde_json::Error| damaged(Damage::Document(error.into()));
        let mut raw: Value = serde_json::from_slice(bytes).map_err(document)?;
        for (at, (layer, diff_id)) in manifest.layers.iter().zip(&diff_ids).enumerate() {
            if packer.session.pin_blob(&layer.digest)?.is_some() {
                continue;
            }
            let (path, digest, size) =
                self.pack(diff_id, packer)?.ok_or_else(|| damaged(Damage::Layer(*diff_id)))?;
            let family = media::family(&layer.media_type).unwrap_or(media::Family::Oci);
            let plain = family.layer(media::Compression::None).unwrap_or(media::OCI_LAYER);
            raw["layers"][at] =
                serde_json::to_value(Descriptor::new(plain, digest, size)).map_err(document)?;
            self.packed.insert(digest, path);
        }
        serde_json::to_vec(&raw).map_err(document)
    }

    fn pack(
        &mut self,
        diff_id: &Digest,
        packer: &Packer<'_>,
    ) -> Result<Option<(PathBuf, Digest, u64)>, TransportError> {
        let worker = packer.worker.ok_or(TransportError::OnlyFiles)?;
        if packer.session.pin_tree(diff_id, worker.key())?.is_none() {
            return Ok(None);
        }
        let stage = packer.session.stage()?;
        let path = stage.path().join("layer");
        let file = File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&path)
            .map_err(ArchiveError::Read)?;
        let packed = worker.pack(*diff_id, worker.key(), std::os::fd::AsFd::as_fd(&file));
        packed.map_err(|error| TransportError::Layer(error.to_string()))?;
        let reopened = File::open(&path).map_err(ArchiveError::Read)?;
        let (digest, size) =
            ctr_core::digest::HashingReader::new(reopened).drain().map_err(ArchiveError::Read)?;
        self._stages.push(stage);
        Ok(Some((path, digest, size)))
    }

    /// Finds the image that has a document.
    fn holder(&self, digest: &Digest) -> Result<Option<Vec<u8>>, TransportError> {
        if let Some(hash) = digest.sha256() {
            let id = ImageId::from_hash(hash);
            if let Ok(config) = self.store.config_bytes(id) {
                return Ok(Some(config));
            }
        }
        for store in self.store.all() {
            for listed in store.images()? {
                if store.manifests(listed.id)?.contains(digest) {
                    return Ok(Some(store.manifest_bytes(listed.id, *digest)?));
                }
            }
        }
        Ok(None)
    }
}

impl Source for Local<'_> {
    fn offers(&self) -> Result<Vec<Offer>, TransportError> {
        Ok(self.offers.clone())
    }

    fn document(&self, descriptor: &Descriptor, _limit: u64) -> Result<Vec<u8>, TransportError> {
        let found = self.holder(&descriptor.digest)?;
        found.ok_or(TransportError::Absent(descriptor.digest))
    }

    fn blob(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send + '_>, TransportError> {
        if let Some(path) = self.packed.get(&descriptor.digest) {
            return Ok(Box::new(File::open(path).map_err(ArchiveError::Read)?));
        }
        match self.store.blob(&descriptor.digest).map_err(ArchiveError::File)? {
            Some(blob) => Ok(Box::new(blob.open().map_err(ArchiveError::File)?)),
            None => Err(TransportError::Absent(descriptor.digest)),
        }
    }

    fn came_from(&self, descriptor: &Descriptor) -> Option<String> {
        Some(self.store.blob(&descriptor.digest).ok()??.note.source)
    }

    fn unpacked_length(&self, diff_id: &Digest) -> Option<u64> {
        let key = self.store.tree_keys(diff_id).ok()?.into_iter().next()?;
        let tree = self.store.tree(diff_id, key).ok()??;
        tree.note.applied.get("stream")?.as_u64()
    }
}
