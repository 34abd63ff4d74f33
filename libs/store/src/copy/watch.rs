//! What is told of a copy while it goes on.
//!
//! Sinks that take several blobs at a time tell it themselves. For all others [`Watched`] stands before the sink, and tells
//! what that reads of the source. How far blobs have come is told by a source that is [counted](Heard::counting), whatever the sink.

use std::fmt::Debug;
use std::io::{self, Read};
use std::sync::Arc;

use ctr_core::lock::Waiting;
use ctr_core::oci::Descriptor;
use ctr_core::oci::media::Family;
use ctr_core::{Digest, Reference};

use super::recode::Layers;
use super::{CopyError, Parts, Placed, Sink};
use crate::ingest::{IngestError, Ingested};
use crate::transport::{Known, Offer, Source, TransportError};

/// Something that happened.
#[derive(Debug, Clone, Copy)]
pub enum News<'a> {
    /// A blob is on its way; so much of it was here already.
    Blob(&'a Descriptor, u64),
    /// A blob need not come: it is here.
    Here(&'a Descriptor),
    /// Another process fetches the blob, and is waited for.
    Waits(&'a Descriptor, &'a Waiting),
    /// All blobs of an image are there, and this is its config.
    Config(&'a Descriptor),
    /// The manifest is written.
    Manifest,
}

/// Who hears it, from several threads.
pub trait Watcher: Sync + Debug {
    /// Hears of it.
    fn hear(&self, news: News<'_>);

    /// Hears that so many more bytes of a blob were read.
    fn read(&self, _blob: &Descriptor, _bytes: u64) {}
}

/// Hears nothing.
#[derive(Debug, Clone, Copy)]
pub struct Deaf;

impl Watcher for Deaf {
    fn hear(&self, _news: News<'_>) {}
}

/// A sink of which somebody hears.
pub struct Watched<'a> {
    sink: &'a mut dyn Sink,
    watcher: &'a dyn Watcher,
}

impl Debug for Watched<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watched").field("watcher", &self.watcher).finish_non_exhaustive()
    }
}

impl<'a> Watched<'a> {
    /// Tells `watcher` what `sink` takes.
    pub fn new(sink: &'a mut dyn Sink, watcher: &'a dyn Watcher) -> Self {
        Self { sink, watcher }
    }
}

impl Sink for Watched<'_> {
    fn family(&self) -> Option<Family> {
        self.sink.family()
    }

    fn bears_others(&self) -> bool {
        self.sink.bears_others()
    }

    fn layers(&self) -> Layers {
        self.sink.layers()
    }

    fn there(&mut self) -> Result<Option<Known>, CopyError> {
        self.sink.there()
    }

    fn has(&mut self, manifest: &Digest) -> Result<bool, CopyError> {
        self.sink.has(manifest)
    }

    fn image(&mut self, source: &dyn Source, parts: &Parts, instance: bool) -> Result<Placed, CopyError> {
        let placed = self.sink.image(&Heard::opening(source, self.watcher), parts, instance)?;
        self.watcher.hear(News::Config(&parts.manifest.config));
        self.watcher.hear(News::Manifest);
        Ok(placed)
    }

    fn index(&mut self, bytes: &[u8], media_type: &str, placed: &[Placed]) -> Result<Placed, CopyError> {
        self.watcher.hear(News::Manifest);
        self.sink.index(bytes, media_type, placed)
    }

    fn name(&mut self, placed: &Placed, names: &[Reference]) -> Result<(), CopyError> {
        self.sink.name(placed, names)
    }

    fn finish(&mut self) -> Result<(), CopyError> {
        self.sink.finish()
    }
}

/// A source of whose blobs somebody hears.
#[derive(Clone, Copy)]
pub struct Heard<'a> {
    source: &'a dyn Source,
    watcher: &'a dyn Watcher,
    what: Of,
}

/// Of what somebody hears.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Of {
    /// That a blob is opened.
    Opening,
    /// How much of it is read.
    Bytes,
}

impl Debug for Heard<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Heard").field("watcher", &self.watcher).finish_non_exhaustive()
    }
}

impl<'a> Heard<'a> {
    fn opening(source: &'a dyn Source, watcher: &'a dyn Watcher) -> Self {
        Self { source, watcher, what: Of::Opening }
    }

    /// Tells how much of each blob is read.
    pub fn counting(source: &'a dyn Source, watcher: &'a dyn Watcher) -> Self {
        Self { source, watcher, what: Of::Bytes }
    }

    fn counted<'b>(
        &'b self,
        blob: &Descriptor,
        stream: Box<dyn Read + Send + 'b>,
    ) -> Box<dyn Read + Send + 'b> {
        if self.what == Of::Opening {
            return stream;
        }
        Box::new(Counted { stream, blob: blob.clone(), watcher: self.watcher })
    }
}

/// A blob whose bytes are counted.
struct Counted<'a> {
    stream: Box<dyn Read + Send + 'a>,
    blob: Descriptor,
    watcher: &'a dyn Watcher,
}

impl Read for Counted<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let size = self.stream.read(into)?;
        self.watcher.read(&self.blob, size as u64);
        Ok(size)
    }
}

impl Source for Heard<'_> {
    fn known(&self) -> Result<Option<Known>, TransportError> {
        self.source.known()
    }

    fn offers(&self) -> Result<Vec<Offer>, TransportError> {
        self.source.offers()
    }

    fn document(&self, descriptor: &Descriptor, limit: u64) -> Result<Vec<u8>, TransportError> {
        self.source.document(descriptor, limit)
    }

    fn blob(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send + '_>, TransportError> {
        if self.what == Of::Opening {
            self.watcher.hear(News::Blob(descriptor, 0));
        }
        Ok(self.counted(descriptor, self.source.blob(descriptor)?))
    }

    fn blob_from(
        &self,
        descriptor: &Descriptor,
        from: u64,
    ) -> Result<Box<dyn Read + Send + '_>, TransportError> {
        Ok(self.counted(descriptor, self.source.blob_from(descriptor, from)?))
    }

    fn is_remote(&self) -> bool {
        self.source.is_remote()
    }

    fn taken(&self, descriptor: &Descriptor) -> Option<Arc<Result<Ingested, IngestError>>> {
        self.source.taken(descriptor)
    }

    fn came_from(&self, descriptor: &Descriptor) -> Option<String> {
        self.source.came_from(descriptor)
    }

    fn unpacked_length(&self, diff_id: &Digest) -> Option<u64> {
        self.source.unpacked_length(diff_id)
    }
}
