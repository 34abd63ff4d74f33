//! The store as a sink: layers in parallel, each in one pass.
//!
//! # Theory of operation
//! A layer that is here is not asked for: its blob is, and its tree is made of that if need be; or all of the image is. What comes
//! from far away is claimed first ([`partial`](crate::partial)), so that of several processes that want it one
//! fetches it and the others wait, and goes on where the last one stopped.
//!
//! # Failure
//! After the first failure the other layers stop where they are, which is kept. If what came is wrong and began with what was here
//! before, that is thrown away, and all of it is fetched once more.

use std::collections::HashMap;
use std::io::{self, Read};
use std::sync::atomic::{AtomicBool, Ordering};

use ctr_core::Digest;
use ctr_core::Reference;
use ctr_core::oci::Descriptor;
use ctr_core::oci::media::Family;

use super::watch::{Deaf, News, Watcher};
use super::{CopyError, Parts, Placed, Sink, describe, parallel};
use crate::ingest::{Ingest, IngestError};
use crate::refs::Target;
use crate::session::NewImage;
use crate::transport::{Source, TransportError};

/// How many layers are fetched at a time: most of their time is waiting.
const FETCHED: usize = 6;
/// Nobody needs more: each is several threads.
const MOST: usize = 8;

/// A store to write to.
#[derive(Debug)]
pub struct StoreSink<'a> {
    ingest: Ingest<'a>,
    /// What the user said the images come from.
    origin: &'a str,
    /// How many layers are taken in at a time.
    parallel: usize,
    /// The same of layers that come from far away.
    fetched: usize,
    watcher: &'a dyn Watcher,
    /// The images that were taken, in their order.
    pub taken: Vec<(crate::Image, Placed)>,
}

/// A layer that is wanted.
#[derive(Clone, Copy)]
struct Wanted<'a> {
    blob: &'a Descriptor,
    diff_id: &'a Digest,
    /// The image is here, so that its tree is enough.
    is_known: bool,
}

impl<'a> StoreSink<'a> {
    /// Writes through an ingest.
    #[must_use]
    pub const fn new(ingest: Ingest<'a>, origin: &'a str, parallel: usize) -> Self {
        Self { ingest, origin, parallel, fetched: FETCHED, watcher: &Deaf, taken: Vec::new() }
    }

    /// Takes in no more layers at a time than so many, wherever they come from.
    #[must_use]
    pub fn at_a_time(self, most: usize) -> Self {
        Self { parallel: most, fetched: most, ..self }
    }

    /// Says who hears what happens.
    #[must_use]
    pub fn watched(self, watcher: &'a dyn Watcher) -> Self {
        Self { watcher, ..self }
    }

    fn layers(&self, source: &dyn Source, parts: &Parts) -> Result<(), CopyError> {
        let is_known = self.knows(parts)?;
        let mut wanted: Vec<Wanted<'_>> = Vec::new();
        let mut seen = HashMap::new();
        for (blob, diff_id) in parts.manifest.layers.iter().zip(&parts.parsed.rootfs.diff_ids) {
            // The same layer twice in an image is one layer; the same blob for two layers is a lie.
            match seen.insert(blob.digest, diff_id) {
                None => wanted.push(Wanted { blob, diff_id, is_known }),
                Some(known) => known.expect(*diff_id)?,
            }
        }
        // Large ones first, so that the last to end is a small one.
        wanted.sort_by_key(|layer| std::cmp::Reverse(layer.blob.size));
        let at_a_time = if source.is_remote() { self.parallel.max(self.fetched) } else { self.parallel };
        let stop = AtomicBool::new(false);
        let take = |layer: &Wanted<'_>| {
            self.layer(source, *layer, &stop).inspect_err(|_| stop.store(true, Ordering::Relaxed))
        };
        parallel::each(&wanted, at_a_time.clamp(1, MOST), take).map(drop)
    }

    /// Whether the image is here, with this manifest.
    fn knows(&self, parts: &Parts) -> Result<bool, CopyError> {
        let id = crate::ImageId::of_config(&parts.config);
        let is_here = self.ingest.session.pin_image(id)?;
        Ok(is_here && self.ingest.store().manifest(id, parts.digest).is_ok())
    }

    fn layer(&self, source: &dyn Source, layer: Wanted<'_>, stop: &AtomicBool) -> Result<(), CopyError> {
        if let Some(taken) = source.taken(layer.blob) {
            let taken = taken.as_ref().as_ref().map_err(failed)?;
            taken.check(&layer.blob.digest, layer.diff_id)?;
            return Ok(taken.publish(self.ingest.session, self.ingest.worker, self.origin)?);
        }
        if self.is_here(layer)? {
            self.watcher.hear(News::Here(layer.blob));
            return Ok(());
        }
        if source.is_remote() {
            return self.fetch(source, layer, stop);
        }
        self.watcher.hear(News::Blob(layer.blob, 0));
        let stream = Stoppable { inner: source.blob(layer.blob)?, stop };
        let ingested = self.ingest.promised(stream, &layer.blob.digest, layer.diff_id)?;
        Ok(ingested.publish(self.ingest.session, self.ingest.worker, self.origin)?)
    }

    /// Whether a layer is here, or can be made of what is.
    fn is_here(&self, layer: Wanted<'_>) -> Result<bool, CopyError> {
        let (session, worker) = (self.ingest.session, self.ingest.worker);
        // What is loaded lasts, whatever becomes of additional stores.
        let tree = session.pin_own_tree(layer.diff_id, worker.key())?;
        let Some(blob) = session.pin_own_blob(&layer.blob.digest)? else {
            return Ok(tree.is_some() && layer.is_known);
        };
        layer.diff_id.expect(blob.note.diff_id)?;
        if tree.is_none() {
            let file = blob.open().map_err(IngestError::from)?;
            let ingested = self.ingest.promised(file, &layer.blob.digest, layer.diff_id)?;
            ingested.publish(session, worker, self.origin)?;
        }
        Ok(true)
    }

    /// Fetches a layer, from where somebody stopped if somebody did.
    fn fetch(&self, source: &dyn Source, layer: Wanted<'_>, stop: &AtomicBool) -> Result<(), CopyError> {
        let (session, worker) = (self.ingest.session, self.ingest.worker);
        let Descriptor { digest, size, .. } = *layer.blob;
        let mut waits = |waiting: &_| self.watcher.hear(News::Waits(layer.blob, waiting));
        let mut partial = session.claim(&digest, size, &mut waits, stop)?;
        if self.is_here(layer)? {
            self.watcher.hear(News::Here(layer.blob));
            return Ok(());
        }
        loop {
            let here = partial.here();
            self.watcher.hear(News::Blob(layer.blob, here));
            let rest = |from| {
                let blob = source.blob_from(layer.blob, from).map_err(io::Error::other)?;
                Ok(Stoppable { inner: blob, stop })
            };
            let error = match self.ingest.rest(&partial, rest, (&digest, size), layer.diff_id) {
                Ok(ingested) => {
                    ingested.publish(session, worker, self.origin)?;
                    // Another process may have published it by other ways.
                    return Ok(partial.clear()?);
                }
                Err(error) => error,
            };
            if error.blames_content() || error.lacks_room() {
                partial.clear()?;
            }
            if here == 0 || !error.blames_content() {
                return Err(told(error));
            }
        }
    }
}

/// A stream that ends with an error when nobody needs it any more.
struct Stoppable<'a, R> {
    inner: R,
    stop: &'a AtomicBool,
}

impl<R: Read> Read for Stoppable<'_, R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(io::Error::other("another layer failed"));
        }
        self.inner.read(into)
    }
}

/// What a source says of its stream is the source's error.
fn told(error: IngestError) -> CopyError {
    match error {
        IngestError::Read(error) => TransportError::of_stream(error).into(),
        error => error.into(),
    }
}

/// An error of a layer that several images may need.
fn failed(error: &IngestError) -> CopyError {
    CopyError::Source(TransportError::Layer(crate::worker::Failure::of(error).message))
}

impl Sink for StoreSink<'_> {
    fn family(&self) -> Option<Family> {
        None
    }

    fn image(&mut self, source: &dyn Source, parts: &Parts, _instance: bool) -> Result<Placed, CopyError> {
        self.layers(source, parts)?;
        self.watcher.hear(News::Config(&parts.manifest.config));
        let (session, worker) = (self.ingest.session, self.ingest.worker);
        let layers = &parts.parsed.rootfs.diff_ids;
        let size = session.image_size(&parts.bytes, &parts.config, layers, worker.key())?;
        let new = NewImage { manifest: &parts.bytes, digest: parts.digest, config: &parts.config, size };
        self.watcher.hear(News::Manifest);
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
