//! Layers that get another packing on their way, in one pass.
//!
//! # Theory of operation
//! ```text
//! source ─▶ hash ─▶ unpack ─▶ hash ─▶ pack ─▶ hash ─▶ destination
//! ```
//! What comes must be what its descriptor says, and what it unpacks to what the config says; both are known at the end of the
//! stream, which then ends with an error if they are not so. What goes is named by what it turned out to be.
//!
//! # Invariants
//! A layer that nobody asked to change keeps its bytes. One that is packed as it is wanted already is not packed anew, whatever the
//! level.

use std::collections::HashMap;
use std::io::{self, Read};
use std::sync::{Mutex, PoisonError};

use ctr_core::Digest;
use ctr_core::digest::{HashingReader, Mismatch};
use ctr_core::oci::Descriptor;
use ctr_core::oci::media::{self, Compression, Family};

use super::files::Files;
use super::{CopyError, Parts, rewritten};
use crate::compression::Unpacked;
use crate::compression::pack::{Format, Packing};
use crate::session::Session;
use crate::transport::{Source, TransportError};

/// Annotations about the inner order of one packing, which another one has not.
const OF_THE_PACKING: &str = "io.github.containers.zstd-chunked.";

/// How layers are to be packed at the destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Layers {
    /// As they come.
    #[default]
    AsTheyCome,
    /// Not at all.
    Unpacked,
    /// Those that are not packed get this packing where the manifest is written anew anyhow; else its digest counts for more.
    PackedWhereNew(Packing),
    /// Those that are not packed get this packing.
    Packed {
        /// How.
        packing: Packing,
        /// What becomes of those that are packed in another format.
        others: Others,
    },
}

/// What becomes of layers that are packed in another format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Others {
    /// They stay as they are.
    Stay,
    /// They are packed anew, unless the destination has them as they are.
    UnlessThere,
    /// They are packed anew.
    PackedAnew,
}

/// Another packing for a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// How it will be packed; not at all if nothing is said.
    pub packing: Option<Packing>,
    /// Whether it may stay as it is where the destination has it so.
    pub unless_there: bool,
}

impl Layers {
    /// Those that are not packed get the packing, others stay.
    #[must_use]
    pub const fn packed(packing: Packing) -> Self {
        Self::Packed { packing, others: Others::Stay }
    }

    /// What that means for an image.
    #[must_use]
    pub const fn of(self, parts: &Parts) -> Self {
        match self {
            Self::PackedWhereNew(packing) if parts.is_new => Self::packed(packing),
            Self::PackedWhereNew(_) => Self::AsTheyCome,
            decided => decided,
        }
    }

    /// What is to become of a layer, if it does not stay as it is.
    #[must_use]
    pub fn change(&self, layer: &Descriptor, diff_id: &Digest) -> Option<Change> {
        // What lies elsewhere stays there, as it is; and what is no archive of files has nothing to be packed: signatures and
        // attestations are named by the digest of what they say.
        if !layer.urls.is_empty() || media::layer_compression(&layer.media_type).is_none() {
            return None;
        }
        let is_plain = layer.digest == *diff_id;
        match *self {
            Self::AsTheyCome | Self::PackedWhereNew(_) => None,
            Self::Unpacked => (!is_plain).then_some(Change { packing: None, unless_there: false }),
            Self::Packed { packing, .. } if is_plain => {
                Some(Change { packing: Some(packing), unless_there: false })
            }
            Self::Packed { packing, others } => {
                let is_other = compression(layer) != packing.format().compression();
                let unless_there = others == Others::UnlessThere;
                let change = Change { packing: Some(packing), unless_there };
                (is_other && others != Others::Stay).then_some(change)
            }
        }
    }

    /// The layers of an image that do not stay as they are.
    #[must_use]
    pub fn changes(self, parts: &Parts) -> HashMap<Digest, Change> {
        let layers = self.of(parts);
        let all = parts.manifest.layers.iter().zip(&parts.parsed.rootfs.diff_ids);
        all.filter_map(|(layer, diff_id)| Some((layer.digest, layers.change(layer, diff_id)?))).collect()
    }

    /// Whether it does not count what the destination has.
    #[must_use]
    pub const fn is_forced(&self) -> bool {
        matches!(self, Self::Unpacked | Self::Packed { others: Others::PackedAnew, .. })
    }

    /// The family that can name such layers, if only one can.
    #[must_use]
    pub const fn family(&self) -> Option<Family> {
        match self {
            Self::Packed { packing, others: Others::UnlessThere | Others::PackedAnew }
                if matches!(packing.format(), Format::Zstd) =>
            {
                Some(Family::Oci)
            }
            _ => None,
        }
    }
}

/// How a layer says that it is packed.
fn compression(layer: &Descriptor) -> Compression {
    media::layer_compression(&layer.media_type).unwrap_or(Compression::Gzip)
}

/// A layer that gets another packing.
#[derive(Clone, Copy)]
pub struct Recoding<'a> {
    /// Where it is.
    pub source: &'a dyn Source,
    /// What it is there.
    pub layer: &'a Descriptor,
    /// What it unpacks to.
    pub diff_id: &'a Digest,
    /// How it will be packed; not at all if nothing is said.
    pub packing: Option<Packing>,
}

impl std::fmt::Debug for Recoding<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut text = f.debug_struct("Recoding");
        text.field("layer", &self.layer.digest).field("packing", &self.packing).finish_non_exhaustive()
    }
}

impl Recoding<'_> {
    /// Hands `take` the layer in its new packing, and returns what it made of that, with digest and size of what it read. All of it
    /// must be read; that it was not what was promised is known at its end.
    pub fn read<T>(
        &self,
        take: impl FnOnce(&mut dyn Read) -> Result<T, CopyError>,
    ) -> Result<(T, Digest, u64), CopyError> {
        let failure = Mutex::new(None);
        let plain = Plain::open(self, &failure)?;
        let counted = |stream: &mut dyn Read| {
            let mut stream = HashingReader::new(stream);
            let taken = take(&mut stream)?;
            let (digest, size) = stream.finish();
            Ok((taken, digest, size))
        };
        let done = match self.packing {
            Some(packing) => packing.read(plain, counted),
            None => counted(&mut { plain }),
        };
        match failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some(failure) => Err(failure),
            None => done,
        }
    }

    /// How it will be described.
    pub fn described(&self, family: Family, digest: Digest, size: u64) -> Result<Descriptor, CopyError> {
        let compression = self.packing.map_or(Compression::None, |packing| packing.format().compression());
        let media_type = family.layer(compression).ok_or(NO_ZSTD)?;
        let mut annotations = self.layer.annotations.clone();
        annotations.retain(|name, _| !name.starts_with(OF_THE_PACKING));
        Ok(Descriptor { annotations, ..Descriptor::new(media_type, digest, size) })
    }
}

/// What Docker's manifests cannot say.
pub(super) const NO_ZSTD: CopyError =
    CopyError::Unsupported("layers in zstd, which Docker's manifests cannot name");

/// A stream without its packing, hashed before and after.
type Opened<'a> = HashingReader<Unpacked<HashingReader<Box<dyn Read + Send + 'a>>>>;

/// A layer without its packing, checked at its end.
struct Plain<'a> {
    stream: Option<Opened<'a>>,
    layer: &'a Descriptor,
    diff_id: &'a Digest,
    /// What went wrong here, and not where the layer goes.
    failure: &'a Mutex<Option<CopyError>>,
}

impl<'a> Plain<'a> {
    fn open(recoding: &Recoding<'a>, failure: &'a Mutex<Option<CopyError>>) -> Result<Self, CopyError> {
        let Recoding { source, layer, diff_id, .. } = *recoding;
        let packed = HashingReader::with(source.blob(layer)?, layer.digest.algorithm());
        let unpacked = Unpacked::new(packed).map_err(TransportError::of_stream)?;
        let stream = Some(HashingReader::with(unpacked, diff_id.algorithm()));
        Ok(Self { stream, layer, diff_id, failure })
    }

    /// Keeps why the layer cannot be had, and tells who reads that it cannot.
    fn fail(&self, error: CopyError) -> io::Error {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
        io::Error::other("the layer cannot be read")
    }

    /// Checks what came.
    fn end(&mut self) -> Result<(), CopyError> {
        let Some(stream) = self.stream.take() else { return Ok(()) };
        let check = |promised: &Digest, found| promised.expect(found).map_err(|error: Mismatch| error.into());
        let (unpacked, found, _) = stream.into_parts();
        check(self.diff_id, found)?;
        let mut rest = unpacked.into_inner();
        // What follows the packing belongs to the blob.
        io::copy(&mut rest, &mut io::sink()).map_err(TransportError::of_stream)?;
        check(&self.layer.digest, rest.into_inner().finish().0)
    }
}

impl Read for Plain<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let Some(stream) = &mut self.stream else { return Ok(0) };
        match stream.read(into) {
            Ok(0) if !into.is_empty() => self.end().map(|()| 0).map_err(|error| self.fail(error)),
            Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                Err(self.fail(TransportError::of_stream(error).into()))
            }
            other => other,
        }
    }
}

/// Writes the layers of images, each in the packing that is wanted.
#[derive(Debug)]
pub(super) struct LayerWriter<'a> {
    layers: Layers,
    session: &'a Session,
    name: fn(&Digest) -> String,
    /// What layers became.
    done: HashMap<Digest, (Digest, u64)>,
}

impl<'a> LayerWriter<'a> {
    /// Files are called as `name` says.
    pub(super) fn new(layers: Layers, session: &'a Session, name: fn(&Digest) -> String) -> Self {
        Self { layers, session, name, done: HashMap::new() }
    }

    pub(super) const fn wanted(&self) -> Layers {
        self.layers
    }

    /// Writes the layers of an image, and returns it with a manifest that says how they are packed now.
    pub(super) fn write(
        &mut self,
        files: &mut dyn Files,
        source: &dyn Source,
        mut parts: Parts,
    ) -> Result<Parts, CopyError> {
        let family = media::family(&parts.media_type).unwrap_or(Family::Oci);
        let layers = self.layers.of(&parts);
        let diff_ids = parts.parsed.rootfs.diff_ids.clone();
        let mut changed = false;
        for (layer, diff_id) in parts.manifest.layers.iter_mut().zip(&diff_ids) {
            let is_there = files.has(&(self.name)(&layer.digest));
            // One whose media type is of the other family cannot be named as it is.
            let may_stay = is_there && media::family(&layer.media_type) == Some(family);
            let change = layers.change(layer, diff_id);
            let change = change.filter(|change| !(change.unless_there && may_stay));
            let Some(Change { packing, .. }) = change else {
                if !is_there {
                    let name = (self.name)(&layer.digest);
                    files.put(&name, layer.size, Some(&layer.digest), &mut source.blob(layer)?)?;
                }
                continue;
            };
            let recoding = Recoding { source, layer, diff_id, packing };
            let (digest, size) = match self.done.get(&layer.digest) {
                Some(done) => *done,
                None => files.put_recoded(&recoding, self.session, self.name)?,
            };
            self.done.insert(layer.digest, (digest, size));
            *layer = recoding.described(family, digest, size)?;
            changed = true;
        }
        if changed { rewritten(parts, family) } else { Ok(parts) }
    }
}
