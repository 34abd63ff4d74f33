//! The root of a container: an image's layers, or a folder of the host, as a mount that is nowhere yet.
//!
//! # Process context
//! In A, with a mount namespace of our own.

use std::fs::DirBuilder;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::Path;

use ctr_core::file::FileError;
use ctr_core::rooted::{Root, TreeError};
use ctr_core::{Digest, limits};
use ctr_store::assembly::{self, AssemblyError, RootStack};
use ctr_store::overlay::{self, Attributes, RootfsError, Stack, Upper};
use ctr_store::{Image, Store};
use ctr_userns::level_a::LevelA;
use ctr_userns::level_b::Plan;
use ctr_userns::map::{IdMaps, MapError};
use rustix::mount::OpenTreeFlags;

use super::binds::{self, BindError};
use super::{Container, Note, session};
use crate::containers::Kind;
use crate::request::Source;

/// The root cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum RootError {
    /// The layers.
    #[error("cannot mount the root file system")]
    Mount(#[from] RootfsError),
    /// A layer is not here.
    #[error("the image lacks its layer {0}")]
    NoLayer(Digest),
    /// A file of ours.
    #[error(transparent)]
    File(#[from] FileError),
    /// `--rootfs`.
    #[error(transparent)]
    Folder(#[from] BindError),
    /// The container's map is not within A's.
    #[error("cannot tell which trees fit the container's ids")]
    Map(#[from] MapError),
    /// The image was not looked up.
    #[error("{0}: image not known")]
    NoImage(String),
    /// The image cannot be stacked for the container's ids.
    #[error("cannot stack the image for the container's ids")]
    Assembly(#[from] AssemblyError),
    /// Its upper folder is in use.
    #[error("the container's root is mounted in a session of `ctr unshare` (process {0})")]
    InSession(u32),
    /// A file of the image.
    #[error("cannot read the image's accounts")]
    Tree(#[from] TreeError),
}

/// Mounts the root.
pub(super) fn mount(
    container: &Container<'_>,
    a: &LevelA,
    plan: &Plan,
    note: &mut dyn FnMut(Note),
) -> Result<OwnedFd, RootError> {
    match (&container.request.source, container.image) {
        (Source::Folder { path, overlay: false }, _) => Ok(binds::clone(path, true, OpenTreeFlags::empty())?),
        (Source::Folder { path, overlay: true }, _) => {
            let folder = std::path::absolute(path).map_err(|error| FileError::new("find", path, error))?;
            let root = attributes(&folder)?;
            stacked(container, &RootStack { lower: vec![folder], data: Vec::new(), places: None, root }, note)
        }
        (Source::Image(_), Some(image)) => {
            let mut trees = stack_of(container.host.store, image, a, plan)?;
            // Whoever wants no file of ours finds none, not an empty one.
            trees.places.take_if(|_| container.request.leaves_files());
            stacked(container, &trees, note)
        }
        (Source::Image(name), None) => Err(RootError::NoImage(name.clone())),
    }
}

/// Finds how an image is stacked for the container's ids, and makes what is missing for that.
fn stack_of(store: &Store, image: &Image, a: &LevelA, plan: &Plan) -> Result<RootStack, RootError> {
    let key = plan.key(&a.maps)?;
    if let Some(stack) = store.stack(image, key)? {
        return Ok(stack);
    }
    if key != a.key {
        assembly::clone_for(store, image, a.key, key, &plan.maps)?;
    }
    assembly::ensure(store, image, key)?;
    let missing = || RootError::NoLayer(image.layers.first().copied().unwrap_or_else(|| image.id.digest()));
    store.stack(image, key)?.ok_or_else(missing)
}

/// What can be removed of a root while it is in use, so that less is to do at its end.
pub(super) fn tidy(container: &Container<'_>) {
    // What stays goes at the end with the rest.
    overlay::forget_mark(&container.claim.layer.join("work")).ok();
}

/// Puts an upper folder above the trees. One that is thrown away with its container is never flushed.
fn stacked(
    container: &Container<'_>,
    trees: &RootStack,
    note: &mut dyn FnMut(Note),
) -> Result<OwnedFd, RootError> {
    let layer = &container.claim.layer;
    if let Some(process) = session::user_of(layer)? {
        return Err(RootError::InSession(process));
    }
    let (upper, work, empty) = (layer.join("upper"), layer.join("work"), layer.join("empty"));
    private(layer)?;
    private(&work)?;
    private(&upper)?;
    if container.claim.kind == Kind::Transient {
        // A start that was killed may have left the mark of a root that was not flushed. In this boot that lost nothing.
        overlay::forget_mark(&work).ok();
    }
    let failed = |error: std::io::Error| FileError::new("prepare", &upper, error);
    let dir = std::fs::File::open(&upper).map_err(failed)?;
    trees.root.give(&dir.into()).map_err(|errno| failed(errno.into()))?;
    let mut stack =
        trees.under(Some(Upper { dir: &upper, work: &work, volatile: container.is_volatile() }), &empty);
    if stack.lower.is_empty() {
        private(&empty)?;
        stack.lower.push(&empty);
    }
    mounted(container, &stack, &layer.join("copy"), note)
}

fn mounted(
    container: &Container<'_>,
    stack: &Stack<'_>,
    copy_to: &Path,
    note: &mut dyn FnMut(Note),
) -> Result<OwnedFd, RootError> {
    let rootfs = overlay::rootfs(stack, copy_to, container.host.store.layout().driver)?;
    if let Some(text) = rootfs.how.notice() {
        note(Note::Root(text));
    }
    Ok(rootfs.mount)
}

/// The attributes that a directory has.
fn attributes(path: &Path) -> Result<Attributes, FileError> {
    let meta = std::fs::metadata(path).map_err(|error| FileError::new("inspect", path, error))?;
    let modified = (meta.mtime(), meta.mtime_nsec());
    Ok(Attributes { mode: meta.mode() & 0o7777, uid: meta.uid(), gid: meta.gid(), modified })
}

/// A folder of the host under an upper folder: kept where the user says, else thrown away with the container.
pub(super) fn volume(
    container: &Container<'_>,
    asked: &crate::mounts::Overlay,
    number: usize,
    note: &mut dyn FnMut(Note),
) -> Result<OwnedFd, RootError> {
    let absolute =
        |path: &Path| std::path::absolute(path).map_err(|error| FileError::new("find", path, error));
    let lower = absolute(&asked.source)?;
    let scratch = container.claim.layer.join(format!("volume-{number}"));
    let (upper, work) = match &asked.kept {
        Some(kept) => (absolute(&kept.upper)?, absolute(&kept.work)?),
        None => {
            private(&scratch)?;
            let (upper, work) = (scratch.join("upper"), scratch.join("work"));
            private(&work)?;
            private(&upper)?;
            let failed = |error: std::io::Error| FileError::new("prepare", &upper, error);
            let dir = std::fs::File::open(&upper).map_err(failed)?;
            attributes(&lower)?.give(&dir.into()).map_err(|errno| failed(errno.into()))?;
            (upper, work)
        }
    };
    let stack = Stack {
        lower: vec![&lower],
        data: Vec::new(),
        upper: Some(Upper {
            dir: &upper,
            work: &work,
            volatile: asked.kept.is_none() && container.goes_with_its_end(),
        }),
        empty: &scratch.join("empty"),
    };
    mounted(container, &stack, &scratch.join("copy"), note)
}

/// The files of an image, read-only or with what is thrown away on top.
pub(super) fn image(
    container: &Container<'_>,
    image: &Image,
    (a, plan): (&LevelA, &Plan),
    (writable, number): (bool, usize),
    note: &mut dyn FnMut(Note),
) -> Result<OwnedFd, RootError> {
    let mut trees = stack_of(container.host.store, image, a, plan)?;
    // It is not the root of anything: there are no places for mounts in it.
    trees.places = None;
    let scratch = container.claim.layer.join(format!("volume-{number}"));
    private(&scratch)?;
    let (upper, work, empty) = (scratch.join("upper"), scratch.join("work"), scratch.join("empty"));
    if writable {
        private(&work)?;
        private(&upper)?;
        let failed = |error: std::io::Error| FileError::new("prepare", &upper, error);
        let dir = std::fs::File::open(&upper).map_err(failed)?;
        trees.root.give(&dir.into()).map_err(|errno| failed(errno.into()))?;
    }
    let stack = trees.under(writable.then_some(Upper { dir: &upper, work: &work, volatile: true }), &empty);
    mounted(container, &stack, &scratch.join("copy"), note)
}

/// A folder where the root can be while it is nobody's.
pub(super) fn anchor(container: &Container<'_>) -> Result<std::path::PathBuf, RootError> {
    let at = container.claim.layer.join("at");
    private(&at)?;
    Ok(at)
}

/// A folder where a mount of ours can be.
pub(super) fn somewhere(container: &Container<'_>, number: usize) -> Result<std::path::PathBuf, FileError> {
    let at = container.claim.layer.join(format!("volume-{number}")).join("at");
    private(&at)?;
    Ok(at)
}

fn private(path: &Path) -> Result<(), FileError> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            ctr_core::atomic::private_directory(path)
        }
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            Err(FileError::new("create the directory", path, error))
        }
        _ => Ok(()),
    }
}

/// One past the highest id that the image's accounts name, nobody left out: what `--userns auto` must at least map.
pub(super) fn highest_id(store: &Store, image: Option<&Image>, a: &IdMaps) -> Result<u32, RootError> {
    let Some(image) = image else { return Ok(0) };
    let mut highest = 0;
    for file in ["etc/passwd", "etc/group"] {
        for layer in image.layers.iter().rev() {
            let tree = store.tree(layer, a.key())?.ok_or(RootError::NoLayer(*layer))?;
            let tree = Root::open(tree.path)?;
            match tree.read_bounded(file, limits::PASSWD) {
                Ok(bytes) => {
                    highest = highest.max(crate::user::Accounts::highest(&bytes));
                    break;
                }
                Err(error) if error.is_missing() => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(highest)
}
