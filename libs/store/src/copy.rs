//! Carries images from a [`Source`] to a [`Sink`].
//!
//! # Theory of operation
//! The document on offer is an image or an index. Of an index one image is chosen by platform, or all are carried and
//! the index after them. Manifests pass as the bytes they are; one is written anew only where the sink's format needs
//! other media types or a flag asks for it, and then the config keeps its bytes, so that the image keeps its id.
//!
//! What a sink has under the name already is asked first, and the source's digest before its bytes ([`already`]): where
//! the two are equal nothing is read or written. What a copy would do otherwise is told by [`plan`], without doing it.
//!
//! # Invariants
//! Every blob is checked against its digest while it is copied. What a sink shows under a name is whole: documents
//! follow what they name.

use std::io;

use ctr_core::digest::Mismatch;
use ctr_core::oci::media::{self, Compression, Family};
use ctr_core::oci::{Descriptor, Document, DocumentError, ImageConfig, Index, Manifest};
use ctr_core::{Digest, Platform, Reference, limits};

use recode::Layers;

use crate::StoreError;
use crate::archive::ArchiveError;
use crate::ingest::IngestError;
use crate::refs::Target;
use crate::transport::{Known, Offer, Source, TransportError};
use crate::worker::WorkerError;

pub mod dir_sink;
pub mod docker_sink;
pub mod files;
pub mod layout_sink;
pub mod packed;
pub mod parallel;
pub mod plan;
pub mod recode;
pub mod store_sink;
mod unpacked;
pub mod watch;

/// An image could not be copied.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// The source.
    #[error(transparent)]
    Source(#[from] TransportError),
    /// A layer on its way into the store.
    #[error(transparent)]
    Ingest(#[from] IngestError),
    /// The child that unpacks.
    #[error(transparent)]
    Worker(#[from] WorkerError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What is written to.
    #[error("cannot write {what}")]
    Write {
        /// What.
        what: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A document on the way.
    #[error("cannot use {what}")]
    Document {
        /// Which.
        what: &'static str,
        /// Why not.
        #[source]
        source: DocumentError,
    },
    /// A blob was not what its digest says.
    #[error("a blob is damaged")]
    Digest(#[from] Mismatch),
    /// The index has nothing for the platform.
    #[error("no image found in image index for architecture \"{}\", variant \"{}\", OS \"{}\"", .0.architecture, .0.variant.as_deref().unwrap_or(""), .0.os)]
    NoPlatform(Platform),
    /// The sink's format cannot hold this.
    #[error("{0}")]
    Unsupported(&'static str),
    /// A place that is not on this machine.
    #[error(transparent)]
    Remote(Box<dyn std::error::Error + Send + Sync>),
    /// Copying would change the digest, which a flag forbids.
    #[error("the manifest would have to be changed, which --preserve-digests forbids: {0}")]
    WouldChange(&'static str),
}

impl CopyError {
    /// Why a stream could not be written somewhere. If it is the stream that broke, what its source says of that travels in the error.
    pub(crate) fn of_writing(what: String, error: io::Error) -> Self {
        match error.downcast::<TransportError>() {
            Ok(error) => error.into(),
            Err(source) => Self::Write { what, source },
        }
    }
}

impl From<ArchiveError> for CopyError {
    fn from(error: ArchiveError) -> Self {
        Self::Source(error.into())
    }
}

/// Which of the images of an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// The one for a platform.
    Platform(Platform),
    /// All of them, and the index.
    All,
    /// Those for some platforms, and an index of them.
    Some(Vec<Platform>),
    /// The index alone.
    IndexOnly,
}

impl Choice {
    /// The platform, if one image is chosen.
    #[must_use]
    pub const fn platform(&self) -> Option<&Platform> {
        match self {
            Self::Platform(platform) => Some(platform),
            Self::All | Self::Some(_) | Self::IndexOnly => None,
        }
    }
}

/// How to copy.
#[derive(Debug, Clone)]
pub struct Options {
    /// Which images of an index.
    pub choice: Choice,
    /// The family that manifests shall have; theirs if nothing is said.
    pub family: Option<Family>,
    /// Whether a change of a digest is an error.
    pub preserve_digests: bool,
    /// Whether a sink that can have an index with one of its images gets it too: what is known by the index's digest is found by
    /// it then.
    pub keep_index: bool,
}

impl Default for Options {
    fn default() -> Self {
        let choice = Choice::Platform(Platform::host());
        Self { choice, family: None, preserve_digests: false, keep_index: false }
    }
}

/// An image in the hand.
#[derive(Debug, Clone)]
pub struct Parts {
    /// The manifest, raw.
    pub bytes: Vec<u8>,
    /// Whether it was written anew, so that nobody was promised its digest.
    pub is_new: bool,
    /// Its digest.
    pub digest: Digest,
    /// Its media type.
    pub media_type: String,
    /// The manifest.
    pub manifest: Manifest,
    /// The config, raw.
    pub config: Vec<u8>,
    /// The config.
    pub parsed: ImageConfig,
}

/// Something that a sink has taken.
#[derive(Debug, Clone)]
pub struct Placed {
    /// How an index or a layout names it.
    pub descriptor: Descriptor,
    /// What it is in a store.
    pub target: Option<Target>,
}

/// Where images go.
pub trait Sink {
    /// The family that manifests must have here, if it matters.
    fn family(&self) -> Option<Family>;

    /// Whether manifests of the other family may stand here too, where their digests are to stay.
    fn bears_others(&self) -> bool {
        false
    }

    /// What is there already under the name that the image or index is going to have, where that is quickly told.
    fn there(&mut self) -> Result<Option<Known>, CopyError> {
        Ok(None)
    }

    /// How layers shall be packed here. A sink that says something else than that they stay packs them itself, as
    /// [`recode`] can.
    fn layers(&self) -> Layers {
        Layers::AsTheyCome
    }

    /// Whether an image is there, whole, by the digest of its manifest, where that is quickly told.
    fn has(&mut self, _manifest: &Digest) -> Result<bool, CopyError> {
        Ok(false)
    }

    /// Takes an image. `instance` tells that it is one of several of an index.
    fn image(&mut self, source: &dyn Source, parts: &Parts, instance: bool) -> Result<Placed, CopyError>;

    /// Takes an index whose images were taken.
    fn index(&mut self, bytes: &[u8], media_type: &str, placed: &[Placed]) -> Result<Placed, CopyError>;

    /// Gives names to what was taken.
    fn name(&mut self, placed: &Placed, names: &[Reference]) -> Result<(), CopyError>;

    /// Writes what can only be written at the end.
    fn finish(&mut self) -> Result<(), CopyError>;
}

/// Copies what is on offer.
pub fn copy(
    source: &dyn Source,
    offer: &Offer,
    sink: &mut dyn Sink,
    options: &Options,
) -> Result<Placed, CopyError> {
    let document = |source| CopyError::Document { what: "the manifest", source };
    match ctr_core::oci::parse(&offer.bytes, offer.media_type.as_deref()).map_err(document)? {
        Document::Manifest(manifest) => {
            let said = manifest.media_type.as_deref().or(offer.media_type.as_deref());
            if let Some(placed) = same(sink, options, &offer.digest, said, offer.bytes.len() as u64)? {
                return Ok(placed);
            }
            let parts = parts(source, *manifest, &offer.bytes, offer.digest, offer.media_type.as_deref())?;
            image(source, parts, sink, options, false)
        }
        Document::Index(index) => match &options.choice {
            Choice::Platform(platform) => {
                let entry = index.select(platform).ok_or_else(|| CopyError::NoPlatform(platform.clone()))?;
                if let Some(placed) = same(sink, options, &entry.digest, Some(&entry.media_type), entry.size)?
                {
                    return Ok(placed);
                }
                let parts = instance(source, entry)?;
                let placed = image(source, parts, sink, options, false)?;
                if options.keep_index && placed.descriptor.digest == entry.digest {
                    return sink.index(&offer.bytes, &media_of_index(&index, offer), &[placed]);
                }
                Ok(placed)
            }
            Choice::All => {
                let said = media_of_index(&index, offer);
                let size = offer.bytes.len() as u64;
                match same(sink, options, &offer.digest, Some(&said), size)? {
                    Some(placed) => Ok(placed),
                    None => whole_index(source, *index, offer, sink, options, false),
                }
            }
            Choice::Some(platforms) => {
                let all = index.manifests.len();
                let chosen = subset(*index, platforms)?;
                let is_less = chosen.manifests.len() < all;
                if is_less && options.preserve_digests {
                    return Err(CopyError::WouldChange("an index of some of its images is another one"));
                }
                whole_index(source, chosen, offer, sink, options, is_less)
            }
            Choice::IndexOnly => sink.index(&offer.bytes, &media_of_index(&index, offer), &[]),
        },
    }
}

/// Asks both sides for a digest before anything is read: what the sink has, if copying would bring nothing else.
pub fn already(
    source: &dyn Source,
    sink: &mut dyn Sink,
    options: &Options,
) -> Result<Option<Placed>, CopyError> {
    // The sink first: where it has nothing the source needs not be asked twice.
    if sink.there()?.is_none() {
        return Ok(None);
    }
    let Some(known) = source.known()? else { return Ok(None) };
    let said = known.media_type.as_deref();
    // Of an index one image may be meant, which only its bytes tell.
    let is_meant = match said.and_then(media::kind) {
        Some(media::Kind::Manifest) => true,
        Some(media::Kind::Index) => options.choice == Choice::All,
        None => false,
    };
    if is_meant { same(sink, options, &known.digest, said, 0) } else { Ok(None) }
}

/// What the sink has under the name, if that is what it would get.
fn same(
    sink: &mut dyn Sink,
    options: &Options,
    digest: &Digest,
    media_type: Option<&str>,
    size: u64,
) -> Result<Option<Placed>, CopyError> {
    if !is_kept(sink, options, media_type) {
        return Ok(None);
    }
    let Some(known) = sink.there()?.filter(|known| known.digest == *digest) else { return Ok(None) };
    let media_type = known.media_type.or_else(|| media_type.map(str::to_owned)).unwrap_or_default();
    Ok(Some(Placed { descriptor: Descriptor::new(media_type, *digest, size), target: None }))
}

/// Whether a manifest of this type is to stay as it is.
fn is_kept(sink: &dyn Sink, options: &Options, media_type: Option<&str>) -> bool {
    let wanted = wanted_family(sink, options);
    let is_kept = wanted.is_none() || media_type.and_then(media::family) == wanted;
    is_kept && !sink.layers().is_forced()
}

fn media_of_index(index: &Index, offer: &Offer) -> String {
    let said = index.media_type.clone().or_else(|| offer.media_type.clone());
    said.filter(|text| media::kind(text).is_some()).unwrap_or_else(|| media::OCI_INDEX.to_owned())
}

/// An index of its images for some platforms, in its order.
fn subset(mut index: Index, platforms: &[Platform]) -> Result<Index, CopyError> {
    let mut chosen = Vec::new();
    for platform in platforms {
        let entry = index.select(platform).ok_or_else(|| CopyError::NoPlatform(platform.clone()))?;
        chosen.push(entry.digest);
    }
    index.manifests.retain(|entry| chosen.contains(&entry.digest));
    Ok(index)
}

/// Copies the images of an index, and the index, which is written anew if it or one of them is another than was offered.
fn whole_index(
    source: &dyn Source,
    mut index: Index,
    offer: &Offer,
    sink: &mut dyn Sink,
    options: &Options,
    mut changed: bool,
) -> Result<Placed, CopyError> {
    let mut placed = Vec::new();
    let media_type = media_of_index(&index, offer);
    let family = wanted_family(sink, options).filter(|family| media::family(&media_type) != Some(*family));
    if family.is_some() && options.preserve_digests {
        return Err(CopyError::WouldChange("the index needs other media types"));
    }
    for entry in &mut index.manifests {
        if media::kind(&entry.media_type) == Some(media::Kind::Index) {
            return Err(CopyError::Unsupported("an index within an index"));
        }
        // What is there as it is wanted need not even be read.
        if is_kept(sink, options, Some(&entry.media_type)) && sink.has(&entry.digest)? {
            placed.push(Placed { descriptor: entry.clone(), target: None });
            continue;
        }
        let parts = instance(source, entry)?;
        let done = image(source, parts, sink, options, true)?;
        if done.descriptor.digest != entry.digest {
            changed = true;
            entry.digest = done.descriptor.digest;
            entry.size = done.descriptor.size;
            entry.media_type.clone_from(&done.descriptor.media_type);
        }
        placed.push(done);
    }
    if !changed && family.is_none() {
        return sink.index(&offer.bytes, &media_type, &placed);
    }
    if options.preserve_digests {
        return Err(CopyError::WouldChange("the index needs other media types"));
    }
    let (bytes, media_type) = index_of(index, family.map_or(&media_type, |family| family.index()))?;
    sink.index(&bytes, &media_type, &placed)
}

/// Writes an index anew, as one of a media type.
pub fn index_of(mut index: Index, media_type: &str) -> Result<(Vec<u8>, String), CopyError> {
    index.media_type = Some(media_type.to_owned());
    if media::family(media_type) == Some(Family::Docker) {
        // Docker's schema has no room for these.
        index.annotations.clear();
        (index.subject, index.artifact_type) = (None, None);
    }
    let document =
        |source: serde_json::Error| CopyError::Document { what: "the index", source: source.into() };
    Ok((serde_json::to_vec(&index).map_err(document)?, media_type.to_owned()))
}

fn instance(source: &dyn Source, entry: &Descriptor) -> Result<Parts, CopyError> {
    let bytes = source.document(entry, limits::MANIFEST)?;
    let announced = Some(entry.media_type.as_str()).filter(|text| !text.is_empty());
    let document = |source| CopyError::Document { what: "a manifest of the index", source };
    let manifest = ctr_core::oci::parse_manifest(&bytes, announced).map_err(document)?;
    parts(source, manifest, &bytes, entry.digest, announced)
}

fn parts(
    source: &dyn Source,
    manifest: Manifest,
    bytes: &[u8],
    digest: Digest,
    announced: Option<&str>,
) -> Result<Parts, CopyError> {
    let document = |source| CopyError::Document { what: "the config", source };
    if !media::is_image_config(&manifest.config.media_type) {
        return Err(CopyError::Unsupported("it is an artifact, not an image: its config is of another type"));
    }
    let config = source.document(&manifest.config, limits::CONFIG)?;
    manifest.config.digest.verify(&config)?;
    let parsed = ImageConfig::parse(&config).map_err(document)?;
    parsed.check_layers(&manifest).map_err(document)?;
    let guessed =
        if manifest.config.media_type == media::DOCKER_CONFIG { Family::Docker } else { Family::Oci };
    let said = manifest.media_type.as_deref().or(announced).filter(|text| media::kind(text).is_some());
    let media_type = said.unwrap_or_else(|| guessed.manifest()).to_owned();
    Ok(Parts { bytes: bytes.to_vec(), is_new: false, digest, media_type, manifest, config, parsed })
}

fn image(
    source: &dyn Source,
    parts: Parts,
    sink: &mut dyn Sink,
    options: &Options,
    instance: bool,
) -> Result<Placed, CopyError> {
    let layers = sink.layers();
    let parts = match wanted_family(sink, options) {
        Some(family) if media::family(&parts.media_type) != Some(family) => {
            if options.preserve_digests {
                return Err(CopyError::WouldChange("the destination needs other media types"));
            }
            let layers = layers.of(&Parts { is_new: true, ..parts.clone() });
            converted(parts, family, |layer, diff_id| layers.change(layer, diff_id).is_none())?
        }
        _ => parts,
    };
    check_layers(layers.of(&parts), &parts, options)?;
    sink.image(source, &parts, instance)
}

/// The family that manifests will have, if it is not all the same.
fn wanted_family(sink: &dyn Sink, options: &Options) -> Option<Family> {
    let usual = || sink.family().filter(|_| !(options.preserve_digests && sink.bears_others()));
    options.family.or_else(|| sink.layers().family()).or_else(usual)
}

/// Checks before anything is read that layers may become what the sink will make of them.
fn check_layers(layers: Layers, parts: &Parts, options: &Options) -> Result<(), CopyError> {
    let family = media::family(&parts.media_type).unwrap_or(Family::Oci);
    let all = parts.manifest.layers.iter().zip(&parts.parsed.rootfs.diff_ids);
    for change in all.filter_map(|(layer, diff_id)| layers.change(layer, diff_id)) {
        if options.preserve_digests {
            return Err(CopyError::WouldChange("layers would be packed otherwise"));
        }
        let packed = change.packing.map_or(Compression::None, |packing| packing.format().compression());
        family.layer(packed).ok_or(recode::NO_ZSTD)?;
    }
    Ok(())
}

/// Writes a manifest anew with the media types of another family. The config keeps its bytes.
pub fn convert(parts: Parts, family: Family) -> Result<Parts, CopyError> {
    converted(parts, family, |_, _| true)
}

/// The same, where layers that will be packed otherwise get their media type from who packs them.
fn converted(
    mut parts: Parts,
    family: Family,
    stays: impl Fn(&Descriptor, &Digest) -> bool,
) -> Result<Parts, CopyError> {
    parts.manifest.media_type = Some(family.manifest().to_owned());
    parts.manifest.config.media_type = family.config().to_owned();
    let layers = parts.manifest.layers.iter_mut().zip(&parts.parsed.rootfs.diff_ids);
    for (layer, _) in layers.filter(|(layer, diff_id)| stays(layer, diff_id)) {
        layer.media_type = layer_type(&layer.media_type, family)?.to_owned();
    }
    if family == Family::Docker {
        parts.manifest.layers.iter_mut().for_each(|layer| layer.annotations.clear());
        // Docker's schema has no room for these.
        parts.manifest.annotations.clear();
        parts.manifest.subject = None;
        parts.manifest.artifact_type = None;
    }
    rewritten(parts, family)
}

/// The media type of a layer in another family.
fn layer_type(media_type: &str, family: Family) -> Result<&'static str, CopyError> {
    let Some(packed) = media::layer_compression(media_type) else {
        return Err(CopyError::Unsupported(
            "layers of a type that only their own manifest can name: signatures, attestations",
        ));
    };
    let named =
        if media::is_foreign(media_type) { family.foreign_layer(packed) } else { family.layer(packed) };
    named.ok_or(recode::NO_ZSTD)
}

/// Serialises a manifest that was changed.
pub fn rewritten(mut parts: Parts, family: Family) -> Result<Parts, CopyError> {
    let document =
        |source: serde_json::Error| CopyError::Document { what: "the manifest", source: source.into() };
    parts.bytes = serde_json::to_vec(&parts.manifest).map_err(document)?;
    parts.digest = Digest::of(&parts.bytes);
    parts.is_new = true;
    parts.media_type = family.manifest().to_owned();
    Ok(parts)
}

/// Describes an image for an index or a layout.
#[must_use]
pub fn describe(parts: &Parts) -> Descriptor {
    let mut descriptor = Descriptor::new(parts.media_type.clone(), parts.digest, parts.bytes.len() as u64);
    if !parts.parsed.os.is_empty() && !parts.parsed.architecture.is_empty() {
        descriptor.platform = Some((&parts.parsed.platform()).into());
    }
    descriptor
}
