//! Opening volumes and images as mounts that are nowhere yet.
//!
//! # Process context
//! In A, with a mount namespace of our own. What lies inside a volume belongs to whoever used it before: it is looked up
//! through rooted handles only, once, and mounted by descriptor.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use ctr_core::rooted::{Root, TreeError};
use ctr_store::volume::{Backing, FillError, First, VolumeError};
use ctr_userns::level_a::LevelA;
use ctr_userns::level_b::Plan;
use rustix::io::Errno;
use rustix::mount::OpenTreeFlags;

use super::binds::{self, BindError};
use super::labels::Labels;
use super::root::{self, RootError};
use super::{Container, Note, RunError};
use crate::mounts::{Bind, ImageMount, Named, Overlay, Target};

/// A volume cannot be mounted.
#[derive(Debug, thiserror::Error)]
pub enum VolumeMountError {
    /// The volume.
    #[error(transparent)]
    Volume(#[from] VolumeError),
    /// Its first use.
    #[error("cannot make volume {name} ready")]
    Fill {
        /// Which.
        name: String,
        /// Why.
        #[source]
        source: FillError,
    },
    /// A part of it that is not there.
    #[error("cannot mount {subpath:?} of {what}")]
    Subpath {
        /// The path.
        subpath: String,
        /// The volume or image.
        what: String,
        /// Why.
        #[source]
        source: TreeError,
    },
    /// No mount can be made of it.
    #[error("cannot mount {0}")]
    Clone(String, #[source] Errno),
    /// What keeps it.
    #[error(transparent)]
    Bind(#[from] BindError),
}

/// Where a volume is mounted, and for whom.
pub(super) struct Place<'a> {
    pub(super) container: &'a Container<'a>,
    pub(super) root: &'a Root,
    pub(super) target: &'a Target,
    /// The container's user, in ids of A.
    pub(super) user: (u32, u32),
    pub(super) labels: Option<&'a Labels>,
    /// Among the mounts of the container.
    pub(super) number: usize,
}

/// Opens a volume.
pub(super) fn open(
    asked: &Named,
    place: &Place<'_>,
    note: &mut dyn FnMut(Note),
) -> Result<OwnedFd, RunError> {
    let name = asked.name.as_deref().unwrap_or_default();
    let mut volume = place.container.host.store.volumes().get(name).map_err(VolumeMountError::from)?;
    let source = match &asked.backing {
        Backing::Bind { device, .. } => device.clone(),
        Backing::Folder | Backing::Tmpfs { .. } => {
            let there = place.root.sub(place.target.as_str()).ok();
            let first = First {
                place: there.as_ref(),
                copies: !asked.no_copy_up,
                adopts: !asked.chown,
                uid: place.user.0,
                gid: place.user.1,
            };
            volume.fill(&first).map_err(|source| VolumeMountError::Fill { name: name.to_owned(), source })?;
            volume.mountpoint()
        }
    };
    if asked.chown {
        binds::give(&source, place.user, !place.container.claim.was_started())?;
    }
    if let Some(labels) = place.labels {
        labels.mark(&as_bind(asked, &source), None)?;
    }
    if asked.overlay {
        let overlay = Overlay { source, kept: None, chown: false };
        return Ok(root::volume(place.container, &overlay, place.number, note)?);
    }
    match &asked.subpath {
        None => Ok(binds::clone(&source, true, OpenTreeFlags::empty())?),
        Some(subpath) => {
            let contents = Root::open(&source).map_err(|error| VolumeMountError::Subpath {
                subpath: "/".to_owned(),
                what: format!("volume {name}"),
                source: error,
            })?;
            Ok(part(&contents, subpath, &format!("volume {name}"))?)
        }
    }
}

fn as_bind(asked: &Named, source: &Path) -> Bind {
    Bind {
        source: source.to_owned(),
        access: asked.access,
        recursive: true,
        propagation: asked.propagation,
        relabel: asked.relabel,
        chown: false,
        no_dereference: false,
    }
}

/// A mount of a part of a tree, which is looked up once and never by a path again.
fn part(tree: &Root, subpath: &Path, what: &str) -> Result<OwnedFd, VolumeMountError> {
    let found = tree.resolve(subpath).map_err(|source| VolumeMountError::Subpath {
        subpath: subpath.to_string_lossy().into_owned(),
        what: what.to_owned(),
        source,
    })?;
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_EMPTY_PATH
        | OpenTreeFlags::AT_RECURSIVE;
    rustix::mount::open_tree(found.as_fd(), "", flags)
        .map_err(|errno| VolumeMountError::Clone(what.to_owned(), errno))
}

/// Opens an image.
pub(super) fn image(
    asked: &ImageMount,
    container: &Container<'_>,
    (a, plan): (&LevelA, &Plan),
    number: usize,
    note: &mut dyn FnMut(Note),
) -> Result<OwnedFd, RunError> {
    let image = container.host.store.resolve(&asked.image, None)?;
    let mounted = root::image(container, &image, (a, plan), (asked.writable, number), note)?;
    let Some(subpath) = &asked.subpath else { return Ok(mounted) };
    // Kernels before 6.15 copy only what is mounted somewhere.
    let what = format!("image {}", image.id.short());
    let at = root::somewhere(container, number).map_err(RootError::from)?;
    binds::attach(&mounted, &at).map_err(|errno| VolumeMountError::Clone(what.clone(), errno))?;
    let opened = Root::open(&at).map_err(RunError::from).and_then(|tree| Ok(part(&tree, subpath, &what)?));
    // The folder is removed with the container, which a mount on it would forbid.
    binds::detach(&at).map_err(|errno| VolumeMountError::Clone(what, errno))?;
    opened
}
