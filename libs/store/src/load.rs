//! Loading: from a file, a stream or a folder of whatever format into the store.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use ctr_core::{Platform, Reference};

use crate::archive::{Archive, ArchiveError, Input};
use crate::copy::store_sink::StoreSink;
use crate::copy::{Choice, CopyError, Options, Placed, Sink, copy};
use crate::ingest::Ingest;
use crate::transport::dir::Dir;
use crate::transport::docker_archive::DockerArchive;
use crate::transport::oci::Layout;
use crate::transport::{Offer, Source, TransportError};

/// What was loaded.
#[derive(Debug)]
pub struct Loaded {
    /// The image or index.
    pub placed: Placed,
    /// The id, of an image.
    pub id: Option<crate::ImageId>,
    /// The names that it has now.
    pub names: Vec<Reference>,
}

/// What is loaded.
pub enum From<'a> {
    /// A path: of an archive or of a folder.
    Path(&'a Path),
    /// A stream.
    Stream(Box<dyn Read + Send>),
}

impl std::fmt::Debug for From<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Path(path) => f.debug_tuple("From::Path").field(path).finish(),
            Self::Stream(_) => f.write_str("From::Stream"),
        }
    }
}

/// Loads all images of an archive or folder; names with no domain are local ones.
pub fn load(
    ingest: Ingest<'_>,
    from: From<'_>,
    origin: &str,
    parallel: usize,
) -> Result<Vec<Loaded>, CopyError> {
    let source = open(ingest, from)?;
    let mut sink = StoreSink::new(ingest, origin, parallel);
    let mut loaded = Vec::new();
    for offer in source.offers()? {
        loaded.push(one(source.as_ref(), &offer, &mut sink)?);
    }
    Ok(loaded)
}

/// An index is kept whole when all of its images are there, else the image of this machine is taken.
fn one(source: &dyn Source, offer: &Offer, sink: &mut StoreSink<'_>) -> Result<Loaded, CopyError> {
    let options = |choice| Options { choice, ..Options::default() };
    let all = copy(source, offer, sink, &options(Choice::All));
    let placed = match all {
        Err(CopyError::Source(TransportError::Archive(error))) if error.is_missing() => {
            copy(source, offer, sink, &options(Choice::Platform(Platform::host())))?
        }
        other => other?,
    };
    // A name that is no reference is somebody's note; the image is found by its id.
    let names: Vec<_> = offer.names.iter().filter_map(|name| Reference::parse_local(name).ok()).collect();
    sink.name(&placed, &names)?;
    let id = match placed.target {
        Some(crate::refs::Target::Image { id, .. }) => Some(id),
        _ => None,
    };
    Ok(Loaded { placed, id, names })
}

fn open(ingest: Ingest<'_>, from: From<'_>) -> Result<Box<dyn Source>, CopyError> {
    let stream = match from {
        From::Path(path) if path.is_dir() => return folder(path),
        From::Path(path) => {
            Input::of(File::open(path).map_err(ArchiveError::Read)?).map_err(ArchiveError::Read)?
        }
        From::Stream(stream) => Input::Stream(stream),
    };
    archive(ingest, stream)
}

fn archive(ingest: Ingest<'_>, input: Input) -> Result<Box<dyn Source>, CopyError> {
    let archive = match Archive::open(input, ingest.session, Some(&ingest)) {
        Ok(archive) => archive,
        Err(ArchiveError::Tar(error)) => {
            let reason = crate::worker::Failure::of(&error).message;
            let reasons = ["oci", "oci-archive", "docker-archive", "dir"].map(|name| (name, reason.clone()));
            return Err(TransportError::Format(reasons.into()).into());
        }
        Err(ArchiveError::Read(error)) if is_nonsense(&error) => {
            return Err(TransportError::Format(vec![("archive", error.to_string())]).into());
        }
        Err(error) => return Err(error.into()),
    };
    if Layout::is(&archive) {
        return Ok(Box::new(Layout::new(archive)));
    }
    if DockerArchive::is(&archive) {
        return Ok(Box::new(DockerArchive::new(archive)?));
    }
    let reasons = vec![
        ("oci-archive", "no index.json in it".to_owned()),
        ("docker-archive", "no manifest.json in it".to_owned()),
    ];
    Err(TransportError::Format(reasons).into())
}

/// The content is at fault, not the disk.
fn is_nonsense(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput | io::ErrorKind::UnexpectedEof
    )
}

fn folder(path: &Path) -> Result<Box<dyn Source>, CopyError> {
    let folder = Archive::folder(path)?;
    if Layout::is(&folder) {
        return Ok(Box::new(Layout::new(folder)));
    }
    if Dir::is(&folder) {
        return Ok(Box::new(Dir::new(folder)));
    }
    let reasons =
        vec![("oci", "no index.json in it".to_owned()), ("dir", "no manifest.json in it".to_owned())];
    Err(TransportError::Format(reasons).into())
}

/// Unpacks again, from their blobs, the layers of an image that have no tree under A's map: after a power loss, or
/// with other ranges of ids.
pub fn restore(ingest: Ingest<'_>, image: &crate::Image) -> Result<(), CopyError> {
    let (store, session, worker) = (ingest.store(), ingest.session, ingest.worker);
    let manifest = store.manifest(image.id, image.manifest).map_err(TransportError::from)?;
    for (layer, diff_id) in manifest.layers.iter().zip(&image.layers) {
        if session.pin_tree(diff_id, worker.key())?.is_some() {
            continue;
        }
        let lost = || TransportError::from(lost(store, image, diff_id));
        let blob = session.pin_blob(&layer.digest)?.ok_or_else(lost)?;
        let file = blob.open().map_err(ArchiveError::File)?;
        let ingested = ingest.promised(file, &layer.digest, diff_id)?;
        ingested.publish(session, worker, &blob.note.source)?;
    }
    Ok(worker.assemble(image.id)?)
}

fn lost(store: &crate::Store, image: &crate::Image, layer: &ctr_core::Digest) -> crate::image::ImageError {
    let source = match store.has_tree(layer) {
        Ok(true) => crate::image::Damage::OtherIds(*layer),
        _ => crate::image::Damage::Layer(*layer),
    };
    crate::image::ImageError::Damaged { id: image.id, source }
}
