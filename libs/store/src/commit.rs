//! What a container wrote, as a layer on top of its image.
//!
//! # Theory of operation
//! ```text
//! upper directory → archive → pipe → digest and tree     one pass; the archive is not kept
//! base's config and manifest, and the layer → image      named once the tree is flushed
//! squash: the new tree over the base's → archive → …     the same once more
//! ```
//! The tree is the truth of such a layer: nothing has its archive until it is saved or pushed.
//!
//! A running container goes on writing meanwhile. Its upper directory is read, never mounted a second time: each file is
//! what it was at one moment, and the whole is of no single moment unless somebody stopped the container.
//!
//! # Process context
//! In A, whose ids the files have. A thread of its own packs; nothing here clones.
//!
//! # Failure
//! What was staged goes with the session.

use std::fs::File;
use std::io::BufWriter;
use std::os::fd::OwnedFd;

use ctr_core::Digest;
use ctr_core::digest::HashingReader;
use ctr_core::file::FileError;
use ctr_core::oci::media::{self, Compression, Family};
use ctr_core::oci::{Descriptor, History, ImageConfig, Manifest, RootFs, RunConfig};
use ctr_core::rooted::{Root, TreeError};
use ctr_userns::map::{IdMaps, Key};

use crate::apply::{self, Applied, ApplyError};
use crate::assembly::{self, AssemblyError};
use crate::diff::{self, PackError};
use crate::image::ImageError;
use crate::layer::TREE;
use crate::overlay::View;
use crate::session::{NewImage, Session, Stage};
use crate::{Image, Store, StoreError, ingest};

/// How often a container that writes while it is read is read again.
const TRIES: u32 = 3;

/// A container could not be made an image.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The base.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// A tree.
    #[error("cannot open a layer")]
    Tree(#[from] TreeError),
    /// What the container wrote cannot be packed.
    #[error("cannot pack what the container wrote")]
    Pack(#[from] PackError),
    /// The new layer cannot be unpacked.
    #[error("cannot make a layer of what the container wrote")]
    Apply(#[from] ApplyError),
    /// The new image cannot be stacked.
    #[error(transparent)]
    Assembly(#[from] AssemblyError),
    /// A layer of the base that is not here.
    #[error("the image lacks its layer {}", .0.short())]
    NoLayer(Digest),
    /// A document cannot be written.
    #[error("cannot write the {what} of the image")]
    Document {
        /// Which.
        what: &'static str,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// A layer that the format has no name for.
    #[error("the image has layers in zstd, which Docker's manifests cannot name: use the format oci")]
    Format,
    /// A pipe, or a thread.
    #[error("cannot pack and unpack at the same time")]
    Pipe(#[source] std::io::Error),
}

impl From<FileError> for CommitError {
    fn from(error: FileError) -> Self {
        Self::Store(error.into())
    }
}

/// What the new image says of itself.
#[derive(Debug, Clone)]
pub struct About {
    /// When, RFC 3339.
    pub created: String,
    /// Who made it.
    pub author: String,
    /// A remark.
    pub comment: String,
    /// The name of the image that it was made from.
    pub from: Option<String>,
    /// What was run.
    pub created_by: String,
    /// How to run it.
    pub config: RunConfig,
}

/// What a container wrote, and where.
#[derive(Debug)]
pub struct Written<'a> {
    /// The container's image.
    pub base: &'a Image,
    /// Its upper directory, or a copy of its whole root where there is no overlay; none before its first start.
    pub files: Option<&'a Root>,
    /// It is a copy of the whole root.
    pub is_whole: bool,
    /// The container's maps, outer ids being A's.
    pub maps: &'a IdMaps,
}

/// How the image is made.
#[derive(Debug, Clone, Copy)]
pub struct How {
    /// Of A's map: that of the new trees.
    pub key: Key,
    /// Whose media types.
    pub family: Family,
    /// One layer for all.
    pub squash: bool,
}

/// Makes an image, which counts once it has a name or is kept.
///
/// # Errors
/// Something cannot be read, packed or written.
pub fn commit(
    session: &Session,
    written: &Written<'_>,
    how: How,
    about: About,
) -> Result<Image, CommitError> {
    let store = session.store();
    let base = written.base;
    for layer in &base.layers {
        session.pin_tree(layer, how.key)?;
    }
    let mut layer = changes(session, written, how.key)?;
    let mut config = store.config(base.id)?;
    let mut layers = store.manifest(base.id, base.manifest)?.layers;
    if how.squash {
        let trees = [Root::open(layer.stage.path().join(TREE))?];
        let trees = trees.into_iter().map(Ok).chain(below(store, base, how.key));
        let view = View::of(trees.collect::<Result<_, _>>()?);
        layer = take(session, |out| diff::export(&view, out).map(drop))?;
        (config.history, config.rootfs) = (Vec::new(), RootFs::default());
        layers.clear();
    }
    let applied = serde_json::to_value(&layer.applied)
        .map_err(|source| CommitError::Document { what: "note", source })?;
    session.publish_tree(&layer.stage, &layer.diff_id, how.key, layer.applied.bytes, applied)?;
    let documents = Documents::of(config, layers, &layer, how.family, about)?;
    let diff_ids = &documents.diff_ids;
    let size = session.image_size(&documents.manifest, &documents.config, diff_ids, how.key)?;
    let digest = Digest::of(&documents.manifest);
    let new = NewImage { manifest: &documents.manifest, digest, config: &documents.config, size };
    let image = session.publish_image(&new)?;
    assembly::ensure(store, &image, how.key)?;
    // The tree is all that there is of the layer: it is flushed before anything names it.
    store.settle()?;
    Ok(image)
}

/// The trees of an image, topmost first.
fn below<'a>(
    store: &'a Store,
    image: &'a Image,
    key: Key,
) -> impl Iterator<Item = Result<Root, CommitError>> + 'a {
    image.layers.iter().rev().map(move |layer| {
        let tree = store.tree(layer, key)?.ok_or(CommitError::NoLayer(*layer))?;
        Ok(Root::open(tree.path)?)
    })
}

/// A layer that is staged.
struct Taken {
    diff_id: Digest,
    length: u64,
    applied: Applied,
    stage: Stage,
}

/// Makes a layer of what a container wrote. A file that shrinks while it is read is one that the container writes: then
/// all is read again.
fn changes(session: &Session, written: &Written<'_>, key: Key) -> Result<Taken, CommitError> {
    let mut tries = 0;
    loop {
        tries += 1;
        let taken = match written.files {
            Some(files) if written.is_whole => {
                let old = View::of(below(session.store(), written.base, key).collect::<Result<_, _>>()?);
                let new = View::plain(files.try_clone()?);
                take(session, |out| diff::layer_from(&old, &new, written.maps, out).map(drop))
            }
            Some(files) => take(session, |out| diff::upper(files, written.maps, out).map(drop)),
            None => take(session, |out| diff::nothing(out).map(drop)),
        };
        match taken {
            Err(CommitError::Pack(error)) if tries < TRIES && error.is_race() => {}
            other => return other,
        }
    }
}

/// Packs and unpacks at the same time.
fn take(
    session: &Session,
    write: impl FnOnce(BufWriter<File>) -> Result<(), PackError> + Send,
) -> Result<Taken, CommitError> {
    let stage = session.stage()?;
    let path = stage.path().join(TREE);
    ingest::make_root(&path)?;
    let tree = Root::open(&path)?;
    let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)
        .map_err(|errno| CommitError::Pipe(errno.into()))?;
    let (packed, applied) = std::thread::scope(|scope| {
        let packing = scope.spawn(move || write(buffered(writer)));
        let applied = unpack(File::from(reader), &tree);
        (packing.join(), applied)
    });
    let packed = packed.map_err(|_panic| CommitError::Pipe(std::io::Error::other("packing ended early")))?;
    match (packed, applied) {
        // Who packs knows why the other got half of it; a pipe that nobody reads is the other's doing.
        (Err(error), Ok(_)) => Err(error.into()),
        (Err(error), Err(_)) if !error.is_broken_pipe() => Err(error.into()),
        (_, Err(error)) => Err(error.into()),
        (Ok(()), Ok((applied, diff_id, length))) => Ok(Taken { diff_id, length, applied, stage }),
    }
}

fn buffered(pipe: OwnedFd) -> BufWriter<File> {
    BufWriter::with_capacity(256 << 10, File::from(pipe))
}

/// Reads to the end, or closes the pipe so that whoever writes it ends too.
fn unpack(stream: File, tree: &Root) -> Result<(Applied, Digest, u64), ApplyError> {
    let mut stream = HashingReader::new(stream);
    let applied = apply::layer(&mut stream, tree, &apply::Options::default())?;
    let (digest, length) = stream.finish();
    Ok((applied, digest, length))
}

/// The documents of the new image.
struct Documents {
    config: Vec<u8>,
    manifest: Vec<u8>,
    diff_ids: Vec<Digest>,
}

impl Documents {
    fn of(
        base: ImageConfig,
        mut layers: Vec<Descriptor>,
        layer: &Taken,
        family: Family,
        about: About,
    ) -> Result<Self, CommitError> {
        let document = |what| move |source| CommitError::Document { what, source };
        let mut rootfs = base.rootfs;
        rootfs.diff_ids.push(layer.diff_id);
        let mut history = base.history;
        let remarks = [Some(about.comment.clone()), about.from.map(|name| format!("FROM {name}"))];
        let remarks: Vec<String> = remarks.into_iter().flatten().filter(|text| !text.is_empty()).collect();
        history.push(History {
            created: Some(about.created.clone()),
            created_by: about.created_by,
            author: about.author.clone(),
            comment: remarks.join(" "),
            empty_layer: false,
        });
        let author = if about.author.is_empty() { base.author } else { about.author };
        let comment = if family == Family::Docker { about.comment } else { String::new() };
        let config = ImageConfig {
            created: Some(about.created),
            author,
            config: about.config,
            rootfs,
            history,
            comment,
            docker_version: String::new(),
            parent: String::new(),
            ..base
        };
        let diff_ids = config.rootfs.diff_ids.clone();
        let config = serde_json::to_vec(&config).map_err(document("config"))?;
        let plain = family.layer(Compression::None).unwrap_or(media::OCI_LAYER);
        for known in &mut layers {
            let packed = media::layer_compression(&known.media_type).unwrap_or(Compression::Gzip);
            family.layer(packed).ok_or(CommitError::Format)?.clone_into(&mut known.media_type);
            known.annotations.clear();
        }
        layers.push(Descriptor::new(plain, layer.diff_id, layer.length));
        let manifest = Manifest {
            schema_version: 2,
            media_type: Some(family.manifest().to_owned()),
            artifact_type: None,
            config: Descriptor::new(family.config(), Digest::of(&config), config.len() as u64),
            layers,
            subject: None,
            annotations: ctr_core::oci::Annotations::new(),
        };
        let manifest = serde_json::to_vec(&manifest).map_err(document("manifest"))?;
        Ok(Self { config, manifest, diff_ids })
    }
}
