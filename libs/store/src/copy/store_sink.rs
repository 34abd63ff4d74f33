//! The store as a sink: layers in parallel, each in one pass.

use std::collections::HashMap;
use std::sync::Mutex;

use ctr_core::digest::Mismatch;
use ctr_core::oci::Descriptor;
use ctr_core::oci::media::Family;
use ctr_core::{Digest, Reference};

use super::{CopyError, Parts, Placed, Sink, describe};
use crate::ingest::{Ingest, IngestError};
use crate::refs::Target;
use crate::session::NewImage;
use crate::transport::Source;

/// A store to write to.
#[derive(Debug)]
pub struct StoreSink<'a> {
    ingest: Ingest<'a>,
    /// What the user said the images come from.
    origin: &'a str,
    /// How many layers are taken in at a time.
    parallel: usize,
    /// The images that were taken, in their order.
    pub taken: Vec<(crate::Image, Placed)>,
}

impl<'a> StoreSink<'a> {
    /// Writes through an ingest.
    #[must_use]
    pub const fn new(ingest: Ingest<'a>, origin: &'a str, parallel: usize) -> Self {
        Self { ingest, origin, parallel, taken: Vec::new() }
    }

    fn layers(&self, source: &dyn Source, parts: &Parts) -> Result<(), CopyError> {
        let mut wanted: Vec<(&Descriptor, &Digest)> = Vec::new();
        let mut seen = HashMap::new();
        for (layer, diff_id) in parts.manifest.layers.iter().zip(&parts.parsed.rootfs.diff_ids) {
            // The same layer twice in an image is one layer; the same blob for two layers is a lie.
            match seen.insert(layer.digest, diff_id) {
                None => wanted.push((layer, diff_id)),
                Some(known) => known.expect(*diff_id)?,
            }
        }
        // Large ones first, so that the last to end is a small one; taken from the end.
        wanted.sort_by_key(|(layer, _)| layer.size);
        let queue = Mutex::new(wanted);
        let failure = Mutex::new(None);
        std::thread::scope(|scope| {
            for _ in 0..self.parallel.clamp(1, 8) {
                scope.spawn(|| {
                    while let Some((layer, diff_id)) = next(&queue) {
                        if let Err(error) = self.layer(source, layer, diff_id) {
                            clear(&queue);
                            keep(&failure, error);
                        }
                    }
                });
            }
        });
        failure.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner).map_or(Ok(()), Err)
    }

    fn layer(&self, source: &dyn Source, layer: &Descriptor, diff_id: &Digest) -> Result<(), CopyError> {
        let (session, worker) = (self.ingest.session, self.ingest.worker);
        if let Some(taken) = source.taken(layer) {
            let taken = taken.as_ref().as_ref().map_err(failed)?;
            taken.check(&layer.digest, diff_id)?;
            return Ok(taken.publish(session, worker, self.origin)?);
        }
        // What is loaded lasts, whatever becomes of additional stores.
        let tree = session.pin_own_tree(diff_id, worker.key())?;
        let blob = session.pin_own_blob(&layer.digest)?;
        match (tree, blob) {
            (Some(_), Some(blob)) => Ok(check(diff_id, &blob.note.diff_id)?),
            (None, Some(blob)) => {
                let file = blob.open().map_err(IngestError::from)?;
                let ingested = self.ingest.promised(file, &layer.digest, diff_id)?;
                Ok(ingested.publish(session, worker, self.origin)?)
            }
            (_, None) => {
                let ingested = self.ingest.promised(source.blob(layer)?, &layer.digest, diff_id)?;
                Ok(ingested.publish(session, worker, self.origin)?)
            }
        }
    }
}

fn check(wanted: &Digest, found: &Digest) -> Result<(), Mismatch> {
    wanted.expect(*found)
}

/// An error of a layer that several images may need.
fn failed(error: &IngestError) -> CopyError {
    CopyError::Source(crate::transport::TransportError::Layer(crate::worker::Failure::of(error).message))
}

fn next<T>(queue: &Mutex<Vec<T>>) -> Option<T> {
    queue.lock().unwrap_or_else(std::sync::PoisonError::into_inner).pop()
}

fn clear<T>(queue: &Mutex<Vec<T>>) {
    queue.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clear();
}

fn keep(failure: &Mutex<Option<CopyError>>, error: CopyError) {
    failure.lock().unwrap_or_else(std::sync::PoisonError::into_inner).get_or_insert(error);
}

impl Sink for StoreSink<'_> {
    fn family(&self) -> Option<Family> {
        None
    }

    fn image(&mut self, source: &dyn Source, parts: &Parts, _instance: bool) -> Result<Placed, CopyError> {
        self.layers(source, parts)?;
        let (session, worker) = (self.ingest.session, self.ingest.worker);
        let layers = &parts.parsed.rootfs.diff_ids;
        let size = session.image_size(&parts.bytes, &parts.config, layers, worker.key())?;
        let new = NewImage { manifest: &parts.bytes, digest: parts.digest, config: &parts.config, size };
        let image = session.publish_image(&new)?;
        worker.assemble(image.id)?;
        let target = Target::Image { id: image.id, manifest: parts.digest };
        let placed = Placed { descriptor: describe(parts), target: Some(target) };
        self.taken.push((image, placed.clone()));
        Ok(placed)
    }

    fn index(&mut self, bytes: &[u8], media_type: &str, placed: &[Placed]) -> Result<Placed, CopyError> {
        let digest = Digest::of(bytes);
        let here: Vec<_> = placed
            .iter()
            .filter_map(|one| one.target.map(|target| (one.descriptor.digest, target)))
            .collect();
        self.ingest.session.publish_index(bytes, digest, &here)?;
        let descriptor = Descriptor::new(media_type, digest, bytes.len() as u64);
        Ok(Placed { descriptor, target: Some(Target::Index { digest }) })
    }

    fn name(&mut self, placed: &Placed, names: &[Reference]) -> Result<(), CopyError> {
        let Some(target) = placed.target else { return Ok(()) };
        if names.is_empty() {
            return Ok(self.ingest.session.keep(target)?);
        }
        for name in names {
            self.ingest.session.tag(name, target)?;
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), CopyError> {
        Ok(())
    }
}
