//! The ways into and out of the store: archives and folders of other tools, other stores, and plain file trees.
//!
//! ```text
//! docker-archive:PATH[:REF|:@N]      docker save, podman save
//! oci-archive:PATH[:REF|:@N]         an OCI layout in a tar
//! oci:PATH[:REF|:@N]                 an OCI layout in a folder
//! dir:PATH                           one image as bare files
//! containers-storage:[[driver@root+runroot]]REF, store:…   a store of ours
//! docker-daemon:REF                  a daemon of Docker's, likewise
//! docker://REF                       a registry, which other libraries know to talk to
//! tarball:PATH                       a file tree in a tar, read only
//! ```
//! A [`Source`] offers documents and opens blobs by descriptor; a [`Sink`](crate::copy::Sink) takes whole images. What
//! is read is checked against its digest where one is known.

use std::fmt;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ctr_core::digest::Mismatch;
use ctr_core::oci::{Descriptor, DocumentError};
use ctr_core::reference::ReferenceError;
use ctr_core::{Digest, Foreign, Reference};

use crate::archive::ArchiveError;
use crate::image::ImageError;
use crate::ingest::{IngestError, Ingested};
use crate::{ResolveError, StoreError};

pub mod dir;
pub mod docker_archive;
pub mod local;
pub mod oci;
pub mod tarball;

/// Where an image is or shall be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A docker archive.
    DockerArchive(Chosen),
    /// An OCI layout in an archive.
    OciArchive(Chosen),
    /// An OCI layout in a folder.
    Oci(Chosen),
    /// A folder with one image.
    Dir(PathBuf),
    /// A store.
    Store {
        /// Which one; ours if none is named.
        at: Option<StoreAt>,
        /// The name or id.
        name: String,
    },
    /// A file tree in an archive.
    Tarball(PathBuf),
    /// A daemon of Docker's: the tag is `latest` if none is named.
    DockerDaemon(Reference),
    /// A registry: the tag is `latest` if none is named.
    Registry(Reference),
}

/// A path, and which image in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chosen {
    /// The path.
    pub path: PathBuf,
    /// Which image.
    pub which: Option<Which>,
}

/// Which of several images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    /// The one of this name.
    Name(String),
    /// The one at this position.
    Position(usize),
}

/// A store other than ours: `[driver@root+runroot:options]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreAt {
    /// The driver.
    pub driver: Option<String>,
    /// The data directory.
    pub root: PathBuf,
    /// The run directory.
    pub run_root: Option<PathBuf>,
}

/// A text names no place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlaceError {
    /// It has no transport in front.
    #[error("Invalid image name \"{text}\", expected colon-separated transport:reference")]
    NoTransport {
        /// What was typed.
        text: String,
    },
    /// The transport is none that anybody has.
    #[error("Invalid image name \"{text}\", unknown transport \"{transport}\"")]
    Unknown {
        /// What was typed.
        text: String,
        /// The transport.
        transport: String,
    },
    /// The transport is one of the peers' that is not supported yet.
    #[error("the transport {transport}: is not supported yet")]
    Later {
        /// The transport.
        transport: String,
    },
    /// What stands behind the transport is not understood.
    #[error("invalid reference \"{text}\": {why}")]
    Syntax {
        /// What was typed.
        text: String,
        /// What is wrong.
        why: &'static str,
    },
    /// A registry's image without slashes in front.
    #[error("Invalid image name \"{text}\", docker: image reference {rest} does not start with //")]
    NoSlashes {
        /// What was typed.
        text: String,
        /// What stands behind the transport.
        rest: String,
    },
    /// A registry's image of a name that cannot be.
    #[error("Invalid image name \"{text}\"")]
    Name {
        /// What was typed.
        text: String,
        /// Why not.
        #[source]
        source: ReferenceError,
    },
}

impl Place {
    /// Reads `transport:rest`.
    pub fn parse(text: &str) -> Result<Self, PlaceError> {
        let syntax = |why| PlaceError::Syntax { text: text.to_owned(), why };
        let Some((transport, rest)) = text.split_once(':') else {
            return Err(PlaceError::NoTransport { text: text.to_owned() });
        };
        match transport {
            "docker-archive" => Ok(Self::DockerArchive(Chosen::parse(rest).map_err(syntax)?)),
            "oci-archive" => Ok(Self::OciArchive(Chosen::parse(rest).map_err(syntax)?)),
            "oci" => Ok(Self::Oci(Chosen::parse(rest).map_err(syntax)?)),
            "dir" if rest.is_empty() => Err(syntax("no path")),
            "dir" => Ok(Self::Dir(rest.into())),
            "tarball" if rest.is_empty() => Err(syntax("no path")),
            "tarball" => Ok(Self::Tarball(rest.into())),
            "containers-storage" | "store" => Self::parse_store(rest).map_err(syntax),
            "docker" => Self::parse_registry(text, rest),
            "docker-daemon" => Self::parse_daemon(text, rest),
            "ostree" | "sif" | "atomic" => Err(PlaceError::Later { transport: transport.to_owned() }),
            _ => Err(PlaceError::Unknown { text: text.to_owned(), transport: transport.to_owned() }),
        }
    }

    fn parse_registry(text: &str, rest: &str) -> Result<Self, PlaceError> {
        let Some(name) = rest.strip_prefix("//") else {
            return Err(PlaceError::NoSlashes { text: text.to_owned(), rest: rest.to_owned() });
        };
        let reference =
            Reference::parse(name).map_err(|source| PlaceError::Name { text: text.to_owned(), source })?;
        Ok(Self::Registry(reference.or_latest()))
    }

    fn parse_daemon(text: &str, name: &str) -> Result<Self, PlaceError> {
        let reference =
            Reference::parse(name).map_err(|source| PlaceError::Name { text: text.to_owned(), source })?;
        Ok(Self::DockerDaemon(reference.or_latest()))
    }

    fn parse_store(text: &str) -> Result<Self, &'static str> {
        let (at, name) = match text.strip_prefix('[') {
            None => (None, text),
            Some(rest) => {
                let (store, name) = rest.split_once(']').ok_or("no closing bracket")?;
                (Some(StoreAt::parse(store)?), name)
            }
        };
        if name.is_empty() {
            return Err("no image is named");
        }
        Ok(Self::Store { at, name: name.to_owned() })
    }
}

impl Chosen {
    /// Reads `path[:reference]` or `path[:@position]`; the path ends at the first colon.
    fn parse(text: &str) -> Result<Self, &'static str> {
        let (path, which) = match text.split_once(':') {
            None => (text, None),
            Some((path, "")) => (path, None),
            Some((path, which)) => {
                let which = match which.strip_prefix('@') {
                    Some(position) => {
                        Which::Position(position.parse().map_err(|_nan| "the position is no number")?)
                    }
                    None => Which::Name(which.to_owned()),
                };
                (path, Some(which))
            }
        };
        if path.is_empty() { Err("no path") } else { Ok(Self { path: path.into(), which }) }
    }

    /// A path with no image chosen.
    #[must_use]
    pub fn all(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), which: None }
    }
}

impl StoreAt {
    fn parse(text: &str) -> Result<Self, &'static str> {
        let (driver, rest) = match text.split_once('@') {
            Some((driver, rest)) => (Some(driver).filter(|driver| !driver.is_empty()), rest),
            None => (None, text),
        };
        // Options of their storage library follow a colon; none of them has a meaning here.
        let (paths, options) = rest.split_once(':').unwrap_or((rest, ""));
        if !options.is_empty() {
            return Err("storage options in brackets are not supported");
        }
        let (root, run_root) = match paths.split_once('+') {
            Some((root, run_root)) => (root, Some(run_root)),
            None => (paths, None),
        };
        if !Path::new(root).is_absolute() || run_root.is_some_and(|path| !Path::new(path).is_absolute()) {
            return Err("the directories of a store must be absolute");
        }
        Ok(Self {
            driver: driver.map(str::to_owned),
            root: root.into(),
            run_root: run_root.map(PathBuf::from),
        })
    }
}

/// A document on offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// The names that come with it; foreign text.
    pub names: Vec<String>,
    /// The document, raw.
    pub bytes: Vec<u8>,
    /// What it was announced as.
    pub media_type: Option<String>,
    /// Its digest.
    pub digest: Digest,
}

/// What is known of a document before it is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// Its digest.
    pub digest: Digest,
    /// What it is said to be.
    pub media_type: Option<String>,
}

/// Where images come from.
pub trait Source: Sync {
    /// What the one document on offer is, where that can be told without reading it.
    fn known(&self) -> Result<Option<Known>, TransportError> {
        Ok(None)
    }

    /// What is on offer, in the order of the place.
    fn offers(&self) -> Result<Vec<Offer>, TransportError>;

    /// Reads a manifest of an index, or a config.
    fn document(&self, descriptor: &Descriptor, limit: u64) -> Result<Vec<u8>, TransportError>;

    /// Opens a layer as it is.
    fn blob(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send + '_>, TransportError>;

    /// Opens a layer from a place on. Where nothing better is known, what stands before it is read and thrown away.
    fn blob_from(
        &self,
        descriptor: &Descriptor,
        from: u64,
    ) -> Result<Box<dyn Read + Send + '_>, TransportError> {
        let mut blob = self.blob(descriptor)?;
        io::copy(&mut blob.by_ref().take(from), &mut io::sink()).map_err(ArchiveError::Read)?;
        Ok(blob)
    }

    /// Whether what was read of a layer is worth keeping for another time.
    fn is_remote(&self) -> bool {
        false
    }

    /// What was taken in already while the place was read.
    fn taken(&self, _descriptor: &Descriptor) -> Option<Arc<Result<Ingested, IngestError>>> {
        None
    }

    /// Where a layer came from when it was taken in, as the user said it then.
    fn came_from(&self, _descriptor: &Descriptor) -> Option<String> {
        None
    }

    /// The length of what a layer unpacks to, where that is known without unpacking it.
    fn unpacked_length(&self, _diff_id: &Digest) -> Option<u64> {
        None
    }
}

/// A place cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// The archive or folder.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// A document in it.
    #[error("cannot use {what}")]
    Document {
        /// Which.
        what: String,
        /// Why not.
        #[source]
        source: DocumentError,
    },
    /// Something in it is not what its digest says.
    #[error("{what} is damaged")]
    Digest {
        /// What.
        what: &'static str,
        /// The digests.
        #[source]
        source: Mismatch,
    },
    /// It is in none of the formats that can be read.
    #[error("payload does not match any of the supported image formats:{}", Reasons(.0))]
    Format(Vec<(&'static str, String)>),
    /// It has no such image.
    #[error("no image {} in it", .name.for_terminal())]
    NoImage {
        /// The name or position.
        name: Foreign,
    },
    /// Several are in it, and one must be chosen.
    #[error("{count} images are in it: one must be chosen, by name or as @N")]
    Several {
        /// How many.
        count: usize,
    },
    /// The store does not have all of an index.
    #[error("the store has no {0}: of an index that came for one platform, only that image can go elsewhere")]
    Absent(Digest),
    /// A layer is there as files alone, and nobody was given who could read all of them.
    #[error("a layer has to be packed anew from its files")]
    OnlyFiles,
    /// A part has a form that cannot be used here.
    #[error("{0}")]
    Unsupported(&'static str),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An image of the store.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// A name in the store.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// A place that is not on this machine.
    #[error(transparent)]
    Remote(Box<dyn std::error::Error + Send + Sync>),
    /// A layer that was taken in on the way.
    #[error("cannot use a layer: {0}")]
    Layer(String),
}

impl TransportError {
    /// Why a stream of a source's could not be read on: what the source says of it travels in it.
    #[must_use]
    pub fn of_stream(error: io::Error) -> Self {
        error.downcast().unwrap_or_else(|error| ArchiveError::Read(error).into())
    }
}

struct Reasons<'a>(&'a [(&'static str, String)]);

impl fmt::Display for Reasons<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|(transport, reason)| write!(f, "\n * {transport}: {reason}"))
    }
}

/// Chooses among offers.
pub fn choose(mut offers: Vec<Offer>, which: Option<&Which>) -> Result<Offer, TransportError> {
    let no_image = |name: &str| TransportError::NoImage { name: name.into() };
    match which {
        None if offers.len() > 1 => Err(TransportError::Several { count: offers.len() }),
        None => offers.pop().ok_or_else(|| no_image("at all")),
        Some(Which::Position(position)) if *position < offers.len() => Ok(offers.swap_remove(*position)),
        Some(Which::Position(position)) => Err(no_image(&format!("@{position}"))),
        Some(Which::Name(wanted)) => {
            let normal = |name: &str| ctr_core::Reference::parse_local(name).map(|name| name.to_string());
            let same = |name: &String| {
                name == wanted || matches!((normal(name), normal(wanted)), (Ok(one), Ok(two)) if one == two)
            };
            // Archives of Docker's leave docker.io out of their names.
            let familiar = |name: &String| {
                let full = |name: &str| ctr_core::Reference::parse(name).map(|it| it.or_latest().to_string());
                matches!((full(name), full(wanted)), (Ok(one), Ok(two)) if one == two)
            };
            let found = offers.iter().position(|offer| offer.names.iter().any(same));
            let found = found.or_else(|| offers.iter().position(|offer| offer.names.iter().any(familiar)));
            found.map(|found| offers.swap_remove(found)).ok_or_else(|| no_image(wanted))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places() {
        let chosen = |path: &str, which: Option<Which>| Chosen { path: path.into(), which };
        let name = |name: &str| Some(Which::Name(name.to_owned()));
        for (text, place) in [
            ("docker-archive:/a/b.tar", Place::DockerArchive(chosen("/a/b.tar", None))),
            ("docker-archive:b.tar:x:1", Place::DockerArchive(chosen("b.tar", name("x:1")))),
            ("docker-archive:b.tar:@2", Place::DockerArchive(chosen("b.tar", Some(Which::Position(2))))),
            ("oci:d:x", Place::Oci(chosen("d", name("x")))),
            ("oci-archive:d", Place::OciArchive(chosen("d", None))),
            ("dir:/x:y", Place::Dir("/x:y".into())),
            ("docker://x", Place::Registry(Reference::parse("docker.io/library/x:latest").unwrap())),
            ("store:x", Place::Store { at: None, name: "x".into() }),
            (
                "containers-storage:[overlay@/d+/r]quay.io/x:1",
                Place::Store {
                    at: Some(StoreAt {
                        driver: Some("overlay".into()),
                        root: "/d".into(),
                        run_root: Some("/r".into()),
                    }),
                    name: "quay.io/x:1".into(),
                },
            ),
        ] {
            assert_eq!(Place::parse(text).as_ref(), Ok(&place), "{text}");
        }
        for bad in [
            "x",
            "nosuch:x",
            "docker:x",
            "docker://X",
            "dir:",
            "oci::x",
            "docker-archive:b:@x",
            "containers-storage:[overlay@/d",
            "containers-storage:[overlay@d]x",
            "store:",
        ] {
            assert!(Place::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_name_chooses_an_offer() {
        let offer = |names: &[&str]| Offer {
            names: names.iter().map(|&name| name.to_owned()).collect(),
            bytes: Vec::new(),
            media_type: None,
            digest: Digest::of(names.concat().as_bytes()),
        };
        let offers = vec![offer(&["docker.io/library/a:latest"]), offer(&["localhost/b:1", "c:2"])];
        let pick = |which: Which| choose(offers.clone(), Some(&which)).map(|offer| offer.names.len());
        assert_eq!(pick(Which::Name("a".into())).unwrap(), 1);
        assert_eq!(pick(Which::Name("b:1".into())).unwrap(), 2);
        assert_eq!(pick(Which::Name("c:2".into())).unwrap(), 2);
        assert_eq!(pick(Which::Position(1)).unwrap(), 2);
        assert!(pick(Which::Position(2)).is_err());
        assert!(pick(Which::Name("d".into())).is_err());
        assert!(matches!(choose(offers.clone(), None), Err(TransportError::Several { count: 2 })));
    }
}
