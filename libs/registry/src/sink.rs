//! A repository of a registry, as a place to copy images to.
//!
//! ```text
//! HEAD manifest ─▶ the same: done
//! HEAD blob, each ─▶ there │ mount │ send: largest first, several at a time ─▶ config ─▶ manifest ─▶ (index)
//! ```
//! A blob goes from where it is read to where it is written in one pass, and is hashed on the way. What is not what its digest
//! says is noticed before its last byte is sent, so that no registry ever has all of it. Where an upload breaks, the blob is
//! opened again from the byte on that the registry wants.
//!
//! A registry that takes no manifests of OCI gets Docker's, unless something is said about the format or the digest.

use std::collections::{HashMap, HashSet};
use std::io::{self, Read, Seek, SeekFrom};
use std::sync::OnceLock;

use ctr_core::digest::Hasher;
use ctr_core::oci::media::{self, Family};
use ctr_core::oci::{Descriptor, Document};
use ctr_core::{Digest, Reference};
use ctr_store::compression::pack::{Format, Packing};
use ctr_store::copy::packed::Packed;
use ctr_store::copy::plan::{Fate, Outlook};
use ctr_store::copy::recode::{Layers, Recoding};
use ctr_store::copy::watch::{Deaf, News, Watcher};
use ctr_store::copy::{CopyError, Parts, Placed, Sink, convert, describe, index_of, parallel, rewritten};
use ctr_store::session::Session;
use ctr_store::transport::{Known, Source, TransportError};

use crate::auth::Scope;
use crate::client::upload::{Content, New};
use crate::client::{Found, Registry};
use crate::error::{RegistryError, Why};

/// How many blobs are sent at a time, as skopeo has it.
pub const PARALLEL: usize = 6;
/// Nobody needs more: each is a thread and a connection.
pub const MOST: usize = 64;

/// How images are written.
#[derive(Debug)]
pub struct Options<'a> {
    /// How many blobs at a time.
    pub parallel: usize,
    /// The repository of the same registry that has the blobs already.
    pub mounts_from: Option<String>,
    /// How layers shall be packed, where there is room for that.
    pub layers: Layers,
    /// Where layers are packed, if they may be.
    pub packs: Option<&'a Session>,
    /// Whether a registry that takes no manifests of OCI may get others.
    pub falls_back: bool,
    /// Who hears how it goes.
    pub watcher: &'a dyn Watcher,
}

impl Default for Options<'_> {
    fn default() -> Self {
        let layers = Layers::packed(Packing::usual(Format::Gzip));
        Self { parallel: PARALLEL, mounts_from: None, layers, packs: None, falls_back: true, watcher: &Deaf }
    }
}

/// A name in a registry to write to.
#[derive(Debug)]
pub struct RegistrySink<'a> {
    registry: Registry,
    reference: Reference,
    options: Options<'a>,
    there: OnceLock<Option<Known>>,
    /// What the registry takes, once it has refused the other.
    takes: Option<Family>,
}

/// A blob, and where it is read from.
struct Item<'a> {
    descriptor: &'a Descriptor,
    from: From<'a>,
    /// The repository of the same registry that may have it.
    mounts_from: Option<String>,
}

#[derive(Clone, Copy)]
enum From<'a> {
    Source(&'a dyn Source),
    Packed(&'a Packed),
    Bytes(&'a [u8]),
}

impl<'a> RegistrySink<'a> {
    /// Writes to a name that has a tag or a digest; `latest` is meant if it has none.
    #[must_use]
    pub fn new(registry: Registry, reference: Reference, options: Options<'a>) -> Self {
        let repository = reference.name.path();
        let mut scopes = vec![Scope::Push(repository.to_owned())];
        scopes.extend(options.mounts_from.clone().map(Scope::Pull));
        registry.expects(scopes);
        Self { registry, reference, options, there: OnceLock::new(), takes: None }
    }

    fn repository(&self) -> &str {
        self.reference.name.path()
    }

    /// How the manifest is named that is written last.
    fn which(&self) -> String {
        match (&self.reference.digest, &self.reference.tag) {
            (Some(digest), _) => digest.to_string(),
            (None, Some(tag)) => tag.as_str().to_owned(),
            (None, None) => "latest".to_owned(),
        }
    }

    /// Packs the layers that shall be packed otherwise, and writes that into the manifest. One after another, since each takes
    /// all processors and its share of memory.
    fn pack(
        &self,
        source: &dyn Source,
        mut parts: Parts,
    ) -> Result<(Parts, HashMap<Digest, Packed>), CopyError> {
        let (mut packed, mut became, mut is_other) = (HashMap::new(), HashMap::new(), false);
        let Some(session) = self.options.packs else { return Ok((parts, packed)) };
        let family = media::family(&parts.media_type).unwrap_or(Family::Oci);
        let layers = self.options.layers.of(&parts);
        let diff_ids = parts.parsed.rootfs.diff_ids.clone();
        for (layer, diff_id) in parts.manifest.layers.iter_mut().zip(&diff_ids) {
            let Some(change) = layers.change(layer, diff_id) else { continue };
            let described = match became.get(&layer.digest) {
                Some(described) => Descriptor::clone(described),
                // It stays as it is, under the name that this manifest's family has for it.
                None if change.unless_there && self.has_blob(&layer.digest)? => {
                    let packed = media::layer_compression(&layer.media_type);
                    let named = packed.and_then(|packed| family.layer(packed));
                    let media_type = named.map_or_else(|| layer.media_type.clone(), str::to_owned);
                    Descriptor { media_type, ..layer.clone() }
                }
                None => {
                    let recoding = Recoding { source, layer, diff_id, packing: change.packing };
                    let made = Packed::make(&recoding, session)?;
                    let described = recoding.described(family, made.digest, made.size)?;
                    packed.insert(made.digest, made);
                    described
                }
            };
            became.insert(layer.digest, described.clone());
            is_other |= *layer != described;
            *layer = described;
        }
        let parts = if is_other { rewritten(parts, family)? } else { parts };
        Ok((parts, packed))
    }

    fn has_blob(&self, digest: &Digest) -> Result<bool, CopyError> {
        Ok(self.registry.find_blob(self.repository(), digest).map_err(remote)?.is_some())
    }

    /// Sends what the registry has not.
    fn blobs(
        &self,
        source: &dyn Source,
        parts: &Parts,
        packed: &HashMap<Digest, Packed>,
    ) -> Result<(), CopyError> {
        let blobs = distinct(ctr_store::copy::plan::blobs(parts));
        let fates = self.fates(source, parts, &blobs)?;
        let missing =
            blobs.into_iter().zip(fates).filter(|(_, fate)| !matches!(fate, Fate::There | Fate::Left));
        let mut items: Vec<Item<'_>> = missing
            .map(|(descriptor, fate)| {
                let from = if descriptor.digest == parts.manifest.config.digest {
                    From::Bytes(&parts.config)
                } else {
                    packed.get(&descriptor.digest).map_or(From::Source(source), From::Packed)
                };
                let mounts_from = if let Fate::Mounted(from) = fate { Some(from) } else { None };
                Item { descriptor, from, mounts_from }
            })
            .collect();
        // Large ones first, so that the last to end is a small one.
        items.sort_by_key(|item| std::cmp::Reverse(item.descriptor.size));
        parallel::each(&items, self.options.parallel, |item| self.blob(item)).map(drop)
    }

    /// The repository of this registry that has a layer, as far as the source knows.
    fn other_repository(&self, source: &dyn Source, layer: &Descriptor) -> Option<String> {
        let known = self.options.mounts_from.clone();
        let known = known.or_else(|| {
            let text = source.came_from(layer)?;
            let from = Reference::parse(text.strip_prefix("docker://")?).ok()?;
            (from.name.domain() == self.reference.name.domain()).then(|| from.name.path().to_owned())
        });
        known.filter(|known| known != self.repository())
    }

    fn blob(&self, item: &Item<'_>) -> Result<(), CopyError> {
        let Descriptor { digest, size, .. } = item.descriptor;
        if !matches!(item.from, From::Bytes(_)) {
            self.options.watcher.hear(News::Blob(item.descriptor, 0));
        }
        let from = item.mounts_from.as_deref();
        let new = New { repository: self.repository(), digest, size: *size, from };
        let mut content = Checked::new(item);
        match self.registry.upload(new, &mut content) {
            Ok(_) => Ok(()),
            // Where the source fails, the registry is only told so.
            Err(error) => Err(content.failure.take().map_or_else(|| remote(error), CopyError::Source)),
        }
    }

    /// Writes a document under the name, or under its digest alone.
    fn document(&self, bytes: &[u8], media_type: &str, is_instance: bool) -> Result<(), RegistryError> {
        let which = if is_instance { Digest::of(bytes).to_string() } else { self.which() };
        self.registry.put_manifest(self.repository(), &which, media_type, bytes)
    }

    /// Whether a refusal is one of the format, which another may get round.
    fn is_of_the_format(&self, error: &RegistryError, media_type: &str) -> bool {
        let is_oci = media::family(media_type) == Some(Family::Oci);
        self.options.falls_back && is_oci && is_refused(error)
    }

    /// The name has a digest: then nothing else may get it.
    fn check_name(&self, digest: &Digest) -> Result<(), CopyError> {
        match &self.reference.digest {
            Some(named) if named != digest => {
                Err(CopyError::Unsupported("the destination's name has another digest than the image"))
            }
            _ => Ok(()),
        }
    }
}

impl Sink for RegistrySink<'_> {
    fn family(&self) -> Option<Family> {
        self.takes
    }

    fn layers(&self) -> Layers {
        if self.options.packs.is_some() { self.options.layers } else { Layers::AsTheyCome }
    }

    fn there(&mut self) -> Result<Option<Known>, CopyError> {
        Outlook::there(self)
    }

    fn has(&mut self, manifest: &Digest) -> Result<bool, CopyError> {
        Outlook::has(self, manifest)
    }

    fn image(&mut self, source: &dyn Source, parts: &Parts, instance: bool) -> Result<Placed, CopyError> {
        let (mut parts, packed) = self.pack(source, parts.clone())?;
        if !instance {
            self.check_name(&parts.digest)?;
        }
        self.blobs(source, &parts, &packed)?;
        self.options.watcher.hear(News::Config(&parts.manifest.config));
        self.options.watcher.hear(News::Manifest);
        match self.document(&parts.bytes, &parts.media_type, instance) {
            Err(error) if self.is_of_the_format(&error, &parts.media_type) => {
                // What is left of the copy begins with it.
                self.takes = Some(Family::Docker);
                parts = convert(parts, Family::Docker)?;
                self.document(&parts.bytes, &parts.media_type, instance).map_err(remote)?;
            }
            other => other.map_err(remote)?,
        }
        Ok(Placed { descriptor: describe(&parts), target: None })
    }

    fn index(&mut self, bytes: &[u8], media_type: &str, _placed: &[Placed]) -> Result<Placed, CopyError> {
        let (mut bytes, mut media_type) = (bytes.to_vec(), media_type.to_owned());
        let is_oci = media::family(&media_type) == Some(Family::Oci);
        if self.takes == Some(Family::Docker) && is_oci {
            (bytes, media_type) = as_list(&bytes)?;
        }
        self.check_name(&Digest::of(&bytes))?;
        self.options.watcher.hear(News::Manifest);
        match self.document(&bytes, &media_type, false) {
            Err(error) if self.is_of_the_format(&error, &media_type) => {
                (bytes, media_type) = as_list(&bytes)?;
                self.document(&bytes, &media_type, false).map_err(remote)?;
            }
            other => other.map_err(remote)?,
        }
        let descriptor = Descriptor::new(media_type, Digest::of(&bytes), bytes.len() as u64);
        Ok(Placed { descriptor, target: None })
    }

    fn name(&mut self, _placed: &Placed, _names: &[Reference]) -> Result<(), CopyError> {
        // It has its name from the writing of its manifest.
        Ok(())
    }

    fn finish(&mut self) -> Result<(), CopyError> {
        Ok(())
    }
}

impl Outlook for RegistrySink<'_> {
    fn family(&self) -> Option<Family> {
        self.takes
    }

    fn layers(&self) -> Layers {
        Sink::layers(self)
    }

    fn there(&self) -> Result<Option<Known>, CopyError> {
        if let Some(known) = self.there.get() {
            return Ok(known.clone());
        }
        let which = self.which();
        let found = self.registry.find_manifest(self.repository(), &which).map_err(remote)?;
        let known = match found {
            None => None,
            Some(Found { digest: Some(digest), media_type }) => Some(Known { digest, media_type }),
            // One that does not tell is read: what it says of itself costs less than asking for each blob.
            Some(_) => {
                let read = self.registry.manifest(self.repository(), &which).map_err(remote)?;
                Some(Known { digest: read.digest, media_type: read.media_type })
            }
        };
        Ok(self.there.get_or_init(|| known).clone())
    }

    fn has(&self, manifest: &Digest) -> Result<bool, CopyError> {
        let found = self.registry.find_manifest(self.repository(), &manifest.to_string()).map_err(remote)?;
        Ok(found.is_some())
    }

    fn fates(
        &self,
        source: &dyn Source,
        parts: &Parts,
        blobs: &[&Descriptor],
    ) -> Result<Vec<Fate>, CopyError> {
        let changes = Sink::layers(self).changes(parts);
        parallel::each(blobs, self.options.parallel, |blob| {
            if is_left(blob) {
                return Ok(Fate::Left);
            }
            let change = changes.get(&blob.digest);
            if change.is_some_and(|change| !change.unless_there) {
                return Ok(Fate::Packed);
            }
            if self.registry.find_blob(self.repository(), &blob.digest).map_err(remote)?.is_some() {
                return Ok(Fate::There);
            }
            let is_config = blob.digest == parts.manifest.config.digest;
            if change.is_some() {
                return Ok(Fate::Packed);
            }
            let from = if is_config { None } else { self.other_repository(source, blob) };
            Ok(from.map_or(Fate::Sent, Fate::Mounted))
        })
    }
}

fn remote(error: RegistryError) -> CopyError {
    CopyError::Remote(Box::new(error))
}

/// Layers that may not be distributed stay where their URLs lead to.
fn is_left(layer: &Descriptor) -> bool {
    media::is_foreign(&layer.media_type) && !layer.urls.is_empty()
}

/// Each once, in their order.
fn distinct<'a>(blobs: impl Iterator<Item = &'a Descriptor>) -> Vec<&'a Descriptor> {
    let mut seen = HashSet::new();
    blobs.filter(|blob| seen.insert(blob.digest)).collect()
}

/// What registries say of manifests of a type that they do not take.
fn is_refused(error: &RegistryError) -> bool {
    let invalid = |said: &str| {
        let said = said.to_ascii_lowercase();
        said.contains("manifest invalid") || said.contains("tag invalid")
    };
    match &*error.why {
        Why::Status { status: 415, .. } => true,
        Why::Status { status: 400, said } => said.as_deref().is_some_and(invalid),
        _ => false,
    }
}

/// An index as a list of Docker's.
fn as_list(bytes: &[u8]) -> Result<(Vec<u8>, String), CopyError> {
    let document = |source| CopyError::Document { what: "the index", source };
    let Document::Index(index) = ctr_core::oci::parse(bytes, None).map_err(document)? else {
        return Err(CopyError::Unsupported("an index that is a manifest"));
    };
    index_of(*index, Family::Docker.index())
}

/// A blob on its way, which is hashed as it is read.
struct Checked<'a> {
    item: &'a Item<'a>,
    hasher: Option<Hasher>,
    /// What went through the hasher.
    hashed: u64,
    /// Why the source could not be read.
    failure: Option<TransportError>,
}

impl<'a> Checked<'a> {
    fn new(item: &'a Item<'a>) -> Self {
        let hasher = Hasher::new(item.descriptor.digest.algorithm());
        Self { item, hasher: Some(hasher), hashed: 0, failure: None }
    }

    fn opened(&self, from: u64) -> Result<Box<dyn Read + Send + 'a>, TransportError> {
        match self.item.from {
            From::Source(source) if from == 0 => source.blob(self.item.descriptor),
            From::Source(source) => source.blob_from(self.item.descriptor, from),
            From::Packed(packed) => {
                let unreadable = |error: CopyError| TransportError::Layer(ctr_core::causes::chain(&error));
                let mut file = packed.stream().map_err(unreadable)?;
                file.seek(SeekFrom::Start(from)).map_err(|error| unreadable(written(error)))?;
                Ok(Box::new(file))
            }
            From::Bytes(bytes) => {
                let from = usize::try_from(from).unwrap_or(usize::MAX);
                Ok(Box::new(bytes.get(from..).unwrap_or_default()))
            }
        }
    }

    /// Keeps why the source failed, and tells who sends that it did.
    fn fail(&mut self, error: TransportError) -> io::Error {
        self.failure.get_or_insert(error);
        io::Error::other("the source cannot be read")
    }

    /// Hashes what was not hashed yet of bytes that begin at a place; the last ones must make the digest.
    fn hash(&mut self, at: u64, bytes: &[u8]) -> io::Result<()> {
        let known = usize::try_from(self.hashed.saturating_sub(at)).unwrap_or(usize::MAX);
        let new = bytes.get(known..).unwrap_or_default();
        let Some(hasher) = &mut self.hasher else { return Ok(()) };
        hasher.update(new);
        self.hashed += new.len() as u64;
        if self.hashed < self.item.descriptor.size {
            return Ok(());
        }
        let found = self.hasher.take().map(Hasher::finish);
        match found.map_or(Ok(()), |found| self.item.descriptor.digest.expect(found)) {
            Ok(()) => Ok(()),
            Err(source) => Err(self.fail(TransportError::Digest { what: "a layer of the source", source })),
        }
    }
}

fn written(source: io::Error) -> CopyError {
    CopyError::Write { what: "a layer".to_owned(), source }
}

impl Content for Checked<'_> {
    fn open(&mut self, from: u64) -> io::Result<Box<dyn Read + '_>> {
        match self.opened(from) {
            Ok(blob) => Ok(Box::new(Hashing { blob, at: from, checked: self })),
            Err(error) => Err(self.fail(error)),
        }
    }
}

/// A blob that is read from a place on.
struct Hashing<'a, 'b> {
    blob: Box<dyn Read + Send + 'b>,
    at: u64,
    checked: &'a mut Checked<'b>,
}

impl Read for Hashing<'_, '_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let size = match self.blob.read(into) {
            Ok(size) => size,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Err(error),
            Err(error) => {
                return Err(self.checked.fail(TransportError::of_stream(error)));
            }
        };
        if size == 0 && self.at < self.checked.item.descriptor.size && !into.is_empty() {
            let short = io::Error::from(io::ErrorKind::UnexpectedEof);
            return Err(self.checked.fail(TransportError::of_stream(short)));
        }
        self.checked.hash(self.at, &into[..size])?;
        self.at += size as u64;
        Ok(size)
    }
}
