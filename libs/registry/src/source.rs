//! An image in a registry, as a place to copy from.
//!
//! # Failure
//! A blob whose connection breaks is read on from the byte where it broke, as often as the registry is asked again for
//! anything: who reads it sees one stream.

use std::io::{self, Read};

use ctr_core::oci::media::{self, Kind};
use ctr_core::oci::{Descriptor, DocumentError};
use ctr_core::{Digest, Reference};
use ctr_store::transport::{Known, Offer, Source, TransportError};

use crate::client::{Found, Range, Registry};
use crate::error::{Asked, RegistryError, Why};
use crate::http::{Body, HttpError};
use crate::retry;

/// Bytes that have to come before it is forgotten how often a blob broke.
const PROGRESS: u64 = 1 << 20;

/// An image in a registry.
#[derive(Debug)]
pub struct RemoteImage {
    registry: Registry,
    /// What is asked for there, which mirrors and rewriting may have made of what was typed.
    reference: Reference,
    /// What was typed.
    name: String,
}

impl RemoteImage {
    /// An image by the name that it has at a registry; `name` is what was typed.
    #[must_use]
    pub const fn new(registry: Registry, reference: Reference, name: String) -> Self {
        Self { registry, reference, name }
    }

    /// The registry.
    #[must_use]
    pub const fn registry(&self) -> &Registry {
        &self.registry
    }

    /// The repository.
    #[must_use]
    pub fn repository(&self) -> &str {
        self.reference.name.path()
    }

    /// How the manifest is asked for: by its digest if one is known, else by its tag.
    #[must_use]
    pub fn which(&self) -> String {
        match (&self.reference.digest, &self.reference.tag) {
            (Some(digest), _) => digest.to_string(),
            (None, Some(tag)) => tag.as_str().to_owned(),
            (None, None) => "latest".to_owned(),
        }
    }

    /// Looks whether it is there, without reading it.
    pub fn look(&self) -> Result<Option<Found>, RegistryError> {
        let which = self.which();
        let found = self.registry.find_manifest(self.repository(), &which)?;
        // What was asked for by its digest has that, whatever the registry says.
        let said = found.as_ref().and_then(|found| found.digest).zip(self.reference.digest);
        let other = said.filter(|(said, asked)| said.algorithm() == asked.algorithm());
        if let Some(Err(error)) = other.map(|(said, asked)| asked.expect(said)) {
            return Err(self.registry.error(Asked::Manifest(which), Some(self.repository()), error));
        }
        Ok(found)
    }

    /// Reads the manifest or index.
    pub fn offer(&self) -> Result<Offer, RegistryError> {
        let which = self.which();
        let found = self.registry.manifest(self.repository(), &which)?;
        if found.media_type.as_deref().is_some_and(is_schema_1) {
            let why = Why::SchemaOne { digest: found.digest };
            return Err(self.registry.error(Asked::Manifest(which), Some(self.repository()), why));
        }
        let media_type = found.media_type.filter(|text| media::kind(text).is_some());
        Ok(Offer { names: vec![self.name.clone()], bytes: found.bytes, media_type, digest: found.digest })
    }
}

/// Docker's first form of a manifest, which names layers that nobody can check.
fn is_schema_1(media_type: &str) -> bool {
    media_type.starts_with("application/vnd.docker.distribution.manifest.v1+")
}

fn remote(error: RegistryError) -> TransportError {
    TransportError::Remote(Box::new(error))
}

impl Source for RemoteImage {
    fn known(&self) -> Result<Option<Known>, TransportError> {
        let found = self.look().map_err(remote)?;
        Ok(found.and_then(|found| {
            Some(Known { digest: self.reference.digest.or(found.digest)?, media_type: found.media_type })
        }))
    }

    fn offers(&self) -> Result<Vec<Offer>, TransportError> {
        self.offer().map(|offer| vec![offer]).map_err(remote)
    }

    fn document(&self, descriptor: &Descriptor, limit: u64) -> Result<Vec<u8>, TransportError> {
        let is_manifest = matches!(media::kind(&descriptor.media_type), Some(Kind::Manifest | Kind::Index));
        if is_manifest {
            let found = self.registry.manifest(self.repository(), &descriptor.digest.to_string());
            return Ok(found.map_err(remote)?.bytes);
        }
        if descriptor.size > limit {
            let source = DocumentError::TooLarge { size: descriptor.size, limit };
            return Err(TransportError::Document { what: "the config".to_owned(), source });
        }
        let failed = |why: Why| {
            remote(self.registry.error(Asked::Blob(descriptor.digest), Some(self.repository()), why))
        };
        // As a stream, which is read on where its connection broke.
        let blob = Blob::open(self, descriptor, 0).map_err(remote)?;
        let mut bytes = Vec::new();
        let read = blob.take(limit).read_to_end(&mut bytes);
        read.map_err(TransportError::of_stream)?;
        descriptor.digest.verify(&bytes).map_err(|error| failed(error.into()))?;
        Ok(bytes)
    }

    fn blob(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send + '_>, TransportError> {
        self.blob_from(descriptor, 0)
    }

    fn blob_from(
        &self,
        descriptor: &Descriptor,
        from: u64,
    ) -> Result<Box<dyn Read + Send + '_>, TransportError> {
        Ok(Box::new(Blob::open(self, descriptor, from).map_err(remote)?))
    }

    fn is_remote(&self) -> bool {
        true
    }
}

/// A blob that is read on where its connection broke.
struct Blob<'a> {
    image: &'a RemoteImage,
    digest: Digest,
    size: u64,
    body: Body,
    /// What comes again first, from a registry that gives no parts, and is thrown away.
    again: u64,
    /// What was handed on, or is not wanted.
    given: u64,
    /// What of it came since it last broke.
    since: u64,
    /// How often it broke since much came.
    broken: u32,
}

impl<'a> Blob<'a> {
    fn open(image: &'a RemoteImage, blob: &Descriptor, from: u64) -> Result<Self, RegistryError> {
        let Descriptor { digest, size, .. } = *blob;
        let Range { start, body } = image.registry.blob(image.repository(), &digest, from)?;
        let again = from.saturating_sub(start);
        Ok(Self { image, digest, size, body, again, given: from, since: 0, broken: 0 })
    }

    fn error(&self, why: impl Into<Why>) -> io::Error {
        let error = self.image.registry.error(Asked::Blob(self.digest), Some(self.image.repository()), why);
        io::Error::other(remote(error))
    }

    /// Goes on where it broke.
    fn ask_again(&mut self) -> io::Result<()> {
        let range = self.image.registry.blob(self.image.repository(), &self.digest, self.given);
        let Range { start, body } = range.map_err(|error| io::Error::other(remote(error)))?;
        self.again = self.given.saturating_sub(start);
        self.body = body;
        Ok(())
    }

    /// Reads what is wanted, once.
    fn read_on(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.again > 0 {
            let thrown = io::copy(&mut Read::by_ref(&mut self.body).take(self.again), &mut io::sink())?;
            if thrown < self.again {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.again = 0;
        }
        self.body.read(into)
    }
}

impl Read for Blob<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            let error = match self.read_on(into) {
                Ok(0) if self.given < self.size && !into.is_empty() => io::ErrorKind::UnexpectedEof.into(),
                Ok(0) => return Ok(0),
                Ok(size) => {
                    self.given += size as u64;
                    self.since += size as u64;
                    if self.since >= PROGRESS {
                        (self.since, self.broken) = (0, 0);
                    }
                    if self.given > self.size {
                        return Err(self.error(Why::Answer("more than the blob has")));
                    }
                    return Ok(size);
                }
                Err(error) => error,
            };
            let error = HttpError::reading(error);
            let retry = self.image.registry.retry();
            if !error.may_pass() || self.broken >= retry.times {
                return Err(self.error(error));
            }
            std::thread::sleep(retry.wait(self.broken, retry::chance()));
            self.broken += 1;
            self.since = 0;
            self.ask_again()?;
        }
    }
}
