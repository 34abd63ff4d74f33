//! Directories that a layer only implied.
//!
//! A layer that has `etc/motd` and no entry for `etc` says nothing about `etc`. Overlayfs would take the
//! attributes of the topmost tree that has the directory, which we made up. A layer's tree is shared by images
//! with different layers under it, so it cannot be mended in place: each image that needs it gets one more tree
//! on top, with nothing in it but those directories.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use ctr_core::rooted::{Root, Stat, TreeError};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::replicate::{self, Failure, Marks};
use super::view::{View, ViewError};
use crate::apply::{Applied, TOP_MODE};

/// One layer of an image.
#[derive(Debug, Clone, Copy)]
pub struct Layer<'a> {
    /// Its tree.
    pub tree: &'a Root,
    /// What came of unpacking it.
    pub applied: &'a Applied,
}

/// What a fresh upper directory must have to look like the directory under it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attributes {
    /// Permission bits.
    pub mode: u32,
    /// The owner in A.
    pub uid: u32,
    /// The group in A.
    pub gid: u32,
    /// Seconds and nanoseconds of the last change.
    pub modified: (i64, i64),
}

impl Attributes {
    fn of(stat: &Stat) -> Self {
        let modified = (stat.modified.tv_sec, stat.modified.tv_nsec);
        Self { mode: stat.mode.as_raw_mode(), uid: stat.uid, gid: stat.gid, modified }
    }

    /// Gives them to an upper directory that was just made.
    pub fn give(&self, dir: &OwnedFd) -> rustix::io::Result<()> {
        let (uid, gid) = (rustix::fs::Uid::from_raw(self.uid), rustix::fs::Gid::from_raw(self.gid));
        rustix::fs::fchown(dir, Some(uid), Some(gid))?;
        rustix::fs::fchmod(dir, Mode::from_raw_mode(self.mode))?;
        let time = rustix::fs::Timespec { tv_sec: self.modified.0, tv_nsec: self.modified.1 };
        let times = rustix::fs::Timestamps { last_access: time, last_modification: time };
        rustix::fs::futimens(dir, &times)
    }
}

/// How an image is to be stacked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Assembly {
    /// The tree that was made has something in it: stack it above all layers.
    pub needed: bool,
    /// The attributes of the root, for an upper directory.
    pub root: Attributes,
    /// The lowest layer that shows; those before it are hidden as a whole.
    pub bottom: usize,
}

/// The attributes of implied directories could not be found or written.
#[derive(Debug, thiserror::Error)]
pub enum AssembleError {
    /// A layer cannot be read.
    #[error(transparent)]
    View(#[from] ViewError),
    /// A handle cannot be had.
    #[error("cannot open a layer")]
    Tree(#[from] TreeError),
    /// A directory cannot be made.
    #[error("cannot {verb} {path:?} of an image")]
    Refused {
        /// What was tried, as an infinitive.
        verb: &'static str,
        /// The directory.
        path: PathBuf,
        /// Why.
        #[source]
        errno: Errno,
    },
    /// There is no layer at all.
    #[error("the image has no layers")]
    Empty,
}

/// Finds what the layers of an image, the lowest first, only implied, and writes a tree with the attributes it
/// should have into the empty directory `into`.
pub fn attributes(layers: &[Layer<'_>], into: &Root) -> Result<Assembly, AssembleError> {
    let bottom = layers.iter().rposition(|layer| layer.applied.opaque_root).unwrap_or(0);
    let shown = layers.get(bottom..).unwrap_or_default();
    let trees = shown.iter().rev().map(|layer| layer.tree.try_clone()).collect::<Result<Vec<_>, _>>()?;
    if trees.is_empty() {
        return Err(AssembleError::Empty);
    }
    let view = View::of(trees);
    let implied: Vec<BTreeSet<&Path>> = shown
        .iter()
        .rev()
        .map(|layer| layer.applied.implied.iter().map(crate::apply::LayerPath::as_path).collect())
        .collect();
    let wanted = wanted(&view, &implied)?;
    let top = Path::new("");
    let said = match wanted.get(top) {
        Some(tree) => Attributes::of(&stat(&view.open_in(*tree, top, OFlags::DIRECTORY)?, top)?),
        None => Attributes::of(&view.top()?.stat),
    };
    // As in podman, which passes by what layers say of it.
    let root = Attributes { mode: TOP_MODE, ..said };
    // All are made before any gets its attributes: making one changes the time of the one around it.
    for path in wanted.keys().filter(|path| !path.as_os_str().is_empty()) {
        into.mkdir(path, Mode::RWXU)?;
    }
    for (path, tree) in &wanted {
        let from = view.open_in(*tree, path, OFlags::DIRECTORY)?;
        let dir = into.open_dir(path)?;
        replicate::describe(dir.as_fd(), &from, &stat(&from, path)?, None, Marks::Drop, None)
            .map_err(|Failure { verb, errno }| refused(verb, path, errno))?;
    }
    Ok(Assembly { needed: !wanted.is_empty(), root, bottom })
}

/// Returns the directories that need other attributes than those of the topmost tree that has them, with the tree
/// that has the right ones; and those around them, which the new tree covers too.
fn wanted(view: &View, implied: &[BTreeSet<&Path>]) -> Result<BTreeMap<PathBuf, usize>, AssembleError> {
    let mut wanted = BTreeMap::new();
    for path in implied.iter().flatten().copied().collect::<BTreeSet<_>>() {
        let Some(tree) = described(view, path, implied)? else { continue };
        wanted.insert(path.to_owned(), tree);
        for around in path.ancestors().skip(1) {
            if !wanted.contains_key(around)
                && let Some(node) = view.find(around)?
            {
                wanted.insert(around.to_owned(), node.tree());
            }
        }
    }
    Ok(wanted)
}

/// Returns the tree further down that describes a directory which the topmost that has it only implied.
fn described(view: &View, path: &Path, implied: &[BTreeSet<&Path>]) -> Result<Option<usize>, AssembleError> {
    let Some(node) = view.find(path)? else { return Ok(None) };
    let is_implied = |tree: usize| implied.get(tree).is_some_and(|set| set.contains(path));
    if !node.stat.is_dir() || !is_implied(node.tree()) {
        return Ok(None);
    }
    Ok(node.trees().iter().copied().find(|tree| !is_implied(*tree)))
}

fn stat(dir: &OwnedFd, path: &Path) -> Result<Stat, AssembleError> {
    Stat::of(dir).map_err(|errno| refused("stat", path, errno))
}

pub(super) fn refused(verb: &'static str, path: &Path, errno: Errno) -> AssembleError {
    AssembleError::Refused { verb, path: path.to_owned(), errno }
}
