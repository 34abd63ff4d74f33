//! What a copy would do, without doing it.
//!
//! A [`Planner`] takes the place of the sink: it is given each image as that would be, asks an [`Outlook`] on the
//! destination what becomes of its parts, and writes that down.

use std::collections::HashSet;

use ctr_core::oci::Descriptor;
use ctr_core::oci::media::Family;
use ctr_core::{Digest, Reference};

use super::recode::Layers;
use super::{CopyError, Parts, Placed, Sink, describe};
use crate::transport::{Known, Source};

/// What becomes of a blob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// The destination has it.
    There,
    /// The destination may take it from this repository of its own.
    Mounted(String),
    /// It is written.
    Sent,
    /// It is compressed and written, under a digest that is not known before.
    Packed,
    /// It is left where its URLs say.
    Left,
}

/// How a destination looks before anything is written to it.
pub trait Outlook {
    /// The family that manifests must have there.
    fn family(&self) -> Option<Family> {
        None
    }

    /// How layers are packed there.
    fn layers(&self) -> Layers {
        Layers::AsTheyCome
    }

    /// What has the name already.
    fn there(&self) -> Result<Option<Known>, CopyError> {
        Ok(None)
    }

    /// Whether an image of an index is there, whole.
    fn has(&self, _manifest: &Digest) -> Result<bool, CopyError> {
        Ok(false)
    }

    /// What becomes of the blobs of an image, of which no two are the same.
    fn fates(
        &self,
        source: &dyn Source,
        parts: &Parts,
        blobs: &[&Descriptor],
    ) -> Result<Vec<Fate>, CopyError>;
}

/// A destination of which is known what it does to images, and which blobs it has.
pub struct Having<F> {
    /// The family that manifests must have there.
    pub family: Option<Family>,
    /// How layers are packed there.
    pub layers: Layers,
    /// Whether it has a blob.
    pub has: F,
}

impl<F> std::fmt::Debug for Having<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Having")
    }
}

impl<F: Fn(&Descriptor) -> bool> Outlook for Having<F> {
    fn family(&self) -> Option<Family> {
        self.family
    }

    fn layers(&self) -> Layers {
        self.layers
    }

    fn fates(
        &self,
        _source: &dyn Source,
        parts: &Parts,
        blobs: &[&Descriptor],
    ) -> Result<Vec<Fate>, CopyError> {
        let changes = self.layers.changes(parts);
        let fate = |blob: &&Descriptor| match changes.get(&blob.digest) {
            Some(_) => Fate::Packed,
            None if (self.has)(blob) => Fate::There,
            None => Fate::Sent,
        };
        Ok(blobs.iter().map(fate).collect())
    }
}

/// What a copy would do.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// The blobs, in the order of the images.
    pub blobs: Vec<(Descriptor, Fate)>,
    /// The manifests and indexes that would be written.
    pub documents: Vec<Descriptor>,
    /// Images of an index that are there.
    pub whole: Vec<Digest>,
}

/// A sink that only writes down what it would do.
pub struct Planner<'a> {
    outlook: &'a dyn Outlook,
    /// What that is.
    pub plan: Plan,
    seen: HashSet<Digest>,
}

impl std::fmt::Debug for Planner<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Planner").field("plan", &self.plan).finish_non_exhaustive()
    }
}

impl<'a> Planner<'a> {
    /// Plans for a destination.
    #[must_use]
    pub fn new(outlook: &'a dyn Outlook) -> Self {
        Self { outlook, plan: Plan::default(), seen: HashSet::new() }
    }
}

impl Sink for Planner<'_> {
    fn family(&self) -> Option<Family> {
        self.outlook.family()
    }

    fn layers(&self) -> Layers {
        self.outlook.layers()
    }

    fn there(&mut self) -> Result<Option<Known>, CopyError> {
        self.outlook.there()
    }

    fn has(&mut self, manifest: &Digest) -> Result<bool, CopyError> {
        let has = self.outlook.has(manifest)?;
        self.plan.whole.extend(has.then_some(*manifest));
        Ok(has)
    }

    fn image(&mut self, source: &dyn Source, parts: &Parts, _instance: bool) -> Result<Placed, CopyError> {
        let placed = Placed { descriptor: describe(parts), target: None };
        let blobs: Vec<&Descriptor> = blobs(parts).filter(|blob| self.seen.insert(blob.digest)).collect();
        let fates = self.outlook.fates(source, parts, &blobs)?;
        self.plan.blobs.extend(blobs.into_iter().cloned().zip(fates));
        self.plan.documents.push(placed.descriptor.clone());
        Ok(placed)
    }

    fn index(&mut self, bytes: &[u8], media_type: &str, _placed: &[Placed]) -> Result<Placed, CopyError> {
        let descriptor = Descriptor::new(media_type, Digest::of(bytes), bytes.len() as u64);
        self.plan.documents.push(descriptor.clone());
        Ok(Placed { descriptor, target: None })
    }

    fn name(&mut self, _placed: &Placed, _names: &[Reference]) -> Result<(), CopyError> {
        Ok(())
    }

    fn finish(&mut self) -> Result<(), CopyError> {
        Ok(())
    }
}

/// The layers and the config.
pub fn blobs(parts: &Parts) -> impl Iterator<Item = &Descriptor> {
    parts.manifest.layers.iter().chain([&parts.manifest.config])
}
