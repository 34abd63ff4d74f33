//! Indexes: one name for the images of several platforms, not all of which need be here.
//!
//! # Layout
//! `indexes/<digest>/index` are the raw bytes, `here.json` says which entries are in the store and as what.

use std::collections::BTreeMap;
use std::path::PathBuf;

use ctr_core::file;
use ctr_core::oci::{Descriptor, Document, Index};
use ctr_core::{Digest, Platform, atomic, limits};

use crate::layer::folder_name;
use crate::refs::{Target, damaged};
use crate::{Store, StoreError};

/// An index of the store.
#[derive(Debug, Clone)]
pub struct StoredIndex {
    /// The document.
    pub index: Index,
    /// The document, raw.
    pub bytes: Vec<u8>,
    /// Which entries are here, by the digests of their manifests.
    pub here: BTreeMap<String, Target>,
}

impl StoredIndex {
    /// The platform of the image that is meant where none is asked for: the usual one, unless another one's alone is here.
    #[must_use]
    pub fn platform_or(&self, usual: Platform) -> Platform {
        let is_here = |entry: &&Descriptor| self.here.contains_key(&entry.digest.to_string());
        if self.index.select(&usual).is_some_and(|entry| is_here(&entry)) {
            return usual;
        }
        let here: Vec<&Descriptor> = self.index.manifests.iter().filter(is_here).collect();
        match here.as_slice() {
            [Descriptor { platform: Some(only), .. }] => only.platform(),
            _ => usual,
        }
    }
}

impl Store {
    pub(crate) fn index_path(&self, digest: &Digest) -> PathBuf {
        self.layout().indexes().join(folder_name(digest))
    }

    /// Reads an index.
    pub fn index(&self, digest: &Digest) -> Result<StoredIndex, StoreError> {
        let there = self.additional().iter().find(|store| store.index_path(digest).is_dir());
        match there {
            Some(store) if !self.index_path(digest).is_dir() => store.own_index(digest),
            _ => self.own_index(digest),
        }
    }

    fn own_index(&self, digest: &Digest) -> Result<StoredIndex, StoreError> {
        let folder = self.index_path(digest);
        let path = folder.join("index");
        let bytes = file::read(&path, limits::MANIFEST)?;
        digest.verify(&bytes).map_err(|error| damaged(path.clone(), error))?;
        let index = match ctr_core::oci::parse(&bytes, None).map_err(|error| damaged(path.clone(), error))? {
            Document::Index(index) => *index,
            Document::Manifest(_) => return Err(damaged(path, "it is the manifest of one image")),
        };
        let here = match file::read_json(&folder.join("here.json"), limits::RECORD) {
            Ok(here) => here,
            Err(error) if error.is_missing() => BTreeMap::new(),
            Err(error) => return Err(error.into()),
        };
        Ok(StoredIndex { index, bytes, here })
    }

    /// Returns the indexes that have a name or are kept without one.
    pub fn indexes(&self) -> Result<Vec<Digest>, StoreError> {
        let mut all: Vec<_> = self.wanted()?.indexes.into_iter().collect();
        all.sort_unstable();
        Ok(all)
    }

    /// Returns the indexes that hold an image.
    pub fn index_holders(&self, id: crate::ImageId) -> Result<Vec<Digest>, StoreError> {
        let mut holders = Vec::new();
        for name in crate::names_in(&self.layout().indexes())? {
            let Some(digest) = crate::layer::digest_of_folder(&name) else { continue };
            let holds = |target: &Target| matches!(target, Target::Image { id: it, .. } if *it == id);
            // One that is damaged holds nothing.
            if self.index(&digest).is_ok_and(|stored| stored.here.values().any(holds)) {
                holders.push(digest);
            }
        }
        Ok(holders)
    }

    pub(crate) fn write_index(
        &self,
        bytes: &[u8],
        digest: Digest,
        here: &[(Digest, Target)],
    ) -> Result<(), StoreError> {
        let folder = self.index_path(&digest);
        let mut known = self.own_index(&digest).map(|stored| stored.here).unwrap_or_default();
        known.extend(here.iter().map(|(digest, target)| (digest.to_string(), *target)));
        atomic::private_directory(&folder)?;
        let record = serde_json::to_vec(&known).map_err(|error| damaged(folder.clone(), error))?;
        atomic::write_durable(&folder.join("here.json"), &record)?;
        atomic::write_durable(&folder.join("index"), bytes)?;
        Ok(atomic::sync_directory(&self.layout().indexes())?)
    }
}
