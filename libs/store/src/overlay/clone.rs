//! An image's tree with other owners.
//!
//! Under another id map (keep-id, auto, explicit maps) every file of an image belongs to another id on disk. From
//! Linux 6.16 that needs no second copy of the contents: the clone has the names, owners, modes, times and
//! attributes, and empty files of the right size that say by `user.overlay.metacopy` and `user.overlay.redirect`
//! where the contents are: in the originals, stacked as data-only layers. Elsewhere it is a copy, by reference if
//! the file system can.
//!
//! It is one tree for all layers: from any tree but the lowest overlayfs looks for the contents in the tree below, and
//! refuses that to an unprivileged mount. What a path leads to among the originals is the topmost that has it, which is
//! where the merged view has it from.
//!
//! # Theory of operation
//! Making an inode costs the kernel ten times what it costs us, so directories are shared out among a few threads. A
//! directory is finished by one of them: its objects, its subdirectories (empty, and left to whoever is free), then its
//! own owner, mode and times, which nothing changes any more. What waits is named by its path, not held open.
//!
//! # Process context
//! The threads are gone when [`clone`] returns: its caller clones processes later.
//!
//! # Invariants
//! A redirect is written here and nowhere else: [`crate::apply`] drops those of layers, and overlayfs itself
//! escapes what a container sets.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use ctr_core::rooted::{Root, TreeError};
use ctr_userns::map::IdMaps;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, XattrFlags};
use rustix::io::Errno;

use super::mark;
use super::mount::{Stack, mount};
use super::replicate::{self, Contents, Failure, Marks, failed};
use super::view::{Node, View, ViewError};
use crate::apply::owner::{take_off_acls, umask};

/// How a clone came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cloned {
    /// Names and owners only: stack the original among [`Stack::data`].
    Metadata,
    /// Blocks are shared with the original.
    Reflinked,
    /// Everything was copied.
    Copied,
}

/// A tree could not be cloned.
#[derive(Debug, thiserror::Error)]
pub enum CloneError {
    /// A tree cannot be opened.
    #[error("cannot open a tree")]
    Tree(#[from] TreeError),
    /// The originals cannot be read.
    #[error(transparent)]
    View(#[from] ViewError),
    /// A file belongs to an id that the other map does not have.
    #[error("{path:?} belongs to {uid}:{gid}, which the id map of the container does not have")]
    IdNotMapped {
        /// The file.
        path: PathBuf,
        /// Its owner in the image.
        uid: u32,
        /// Its group in the image.
        gid: u32,
    },
    /// An object cannot be made.
    #[error("cannot {verb} {path:?} in a clone")]
    Refused {
        /// What was tried, as an infinitive.
        verb: &'static str,
        /// The path inside the tree.
        path: PathBuf,
        /// Why.
        #[source]
        errno: Errno,
    },
}

/// More threads than this wait for the file system.
const THREADS: usize = 4;

/// What the threads share.
struct Clone<'t> {
    view: &'t View,
    into: &'t Root,
    maps: &'t IdMaps,
    /// Mode bits that the process takes away from what it creates.
    umask: Mode,
    /// Files with several names, by tree and number: where the first is. Locked until that is there.
    linked: Mutex<HashMap<(usize, u64, u64), PathBuf>>,
    todo: Mutex<Todo>,
    changed: Condvar,
}

/// Directories that are there and empty.
#[derive(Default)]
struct Todo {
    nodes: Vec<Node>,
    /// Threads that may yet find more.
    busy: usize,
    stopped: bool,
}

/// What becomes of the contents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    Redirect,
    Contents(Contents),
}

/// Clones what `view` shows into the empty directory `into`, a path of ours on the same file system, so that what
/// belongs to id N there belongs here to what `maps`, the container's as seen from A, make of N.
///
/// `scratch` is an empty directory on the same file system, for trying out what the kernel can; with none the contents
/// are taken along.
pub fn clone(view: &View, into: &Path, maps: &IdMaps, scratch: Option<&Path>) -> Result<Cloned, CloneError> {
    let how = match scratch {
        Some(scratch) if metadata_works(scratch)? => How::Redirect,
        _ => How::Contents(Contents::Reflink),
    };
    clone_as(view, &Root::open(into)?, maps, how)
}

fn clone_as(view: &View, into: &Root, maps: &IdMaps, how: How) -> Result<Cloned, CloneError> {
    take_off_acls(into.open_dir("/")?).map_err(|errno| CloneError::Refused {
        verb: "set an attribute of",
        path: PathBuf::new(),
        errno,
    })?;
    let clone = Clone {
        view,
        into,
        maps,
        umask: Mode::from_raw_mode(umask()),
        linked: Mutex::default(),
        todo: Mutex::new(Todo { nodes: vec![view.top()?], ..Todo::default() }),
        changed: Condvar::new(),
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(THREADS);
    let hows = std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(|| clone.work(how))).collect();
        let mut hows = vec![clone.work(how)];
        hows.extend(
            others
                .into_iter()
                .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))),
        );
        hows
    });
    let mut cloned = Cloned::Metadata;
    for how in hows {
        cloned = match (how?, cloned) {
            (How::Redirect, cloned) => cloned,
            (How::Contents(Contents::Copy), _) | (_, Cloned::Copied) => Cloned::Copied,
            (How::Contents(Contents::Reflink), _) => Cloned::Reflinked,
        };
    }
    Ok(cloned)
}

/// Tells whether the kernel reads contents from a data-only layer for an unprivileged mount: by trying.
fn metadata_works(scratch: &Path) -> Result<bool, CloneError> {
    let root = Root::open(scratch)?;
    for name in ["data", "meta"] {
        root.remove_tree(name)?;
        root.mkdir(name, Mode::RWXU)?;
    }
    let works = try_metadata(&root, scratch);
    root.remove_tree("data")?;
    root.remove_tree("meta")?;
    root.remove_tree("empty")?;
    works
}

fn try_metadata(root: &Root, scratch: &Path) -> Result<bool, CloneError> {
    const PROBE: &[u8] = b"contents";
    let refused = |verb| move |errno| CloneError::Refused { verb, path: PathBuf::new(), errno };
    let file = OwnedFd::from(root.create_new("data/f", Mode::RUSR | Mode::WUSR)?);
    rustix::io::write(&file, PROBE).map_err(refused("write"))?;
    let meta = OwnedFd::from(root.create_new("meta/f", Mode::RUSR | Mode::WUSR)?);
    let size = u64::try_from(PROBE.len()).unwrap_or(u64::MAX);
    match redirect(&meta, Path::new("f"), size) {
        Ok(()) => {}
        // No attributes here.
        Err(Failure { errno: Errno::OPNOTSUPP, .. }) => return Ok(false),
        Err(Failure { verb, errno }) => return Err(refused(verb)(errno)),
    }
    let (data, meta, empty) = (scratch.join("data"), scratch.join("meta"), scratch.join("empty"));
    let stack = Stack { lower: vec![&meta], data: vec![&data], upper: None, empty: &empty };
    let Ok(mounted) = mount(&stack) else { return Ok(false) };
    let opened = rustix::fs::openat(&mounted, "f", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
    let mut seen = [0; 16];
    let count = opened.and_then(|file| rustix::io::read(&file, &mut seen)).unwrap_or(0);
    Ok(seen.get(..count) == Some(PROBE))
}

/// Makes an empty file stand for the one at `path` in a data-only layer.
fn redirect(file: &OwnedFd, path: &Path, size: u64) -> replicate::Result<()> {
    let mut target = OsString::from("/");
    target.push(path);
    rustix::fs::ftruncate(file, size).map_err(failed("resize"))?;
    let set = |name, value: &[u8]| {
        rustix::fs::fsetxattr(file, name, value, XattrFlags::empty()).map_err(failed("set an attribute of"))
    };
    set(mark::REDIRECT, target.as_bytes())?;
    set(mark::METACOPY, b"")
}

/// One directory's worth of work. A thread that panics lets the others end.
struct Turn<'c, 't> {
    clone: &'c Clone<'t>,
    found: Vec<Node>,
    failed: bool,
}

impl Drop for Turn<'_, '_> {
    fn drop(&mut self) {
        let mut todo = locked(&self.clone.todo);
        todo.nodes.append(&mut self.found);
        todo.busy -= 1;
        todo.stopped |= self.failed;
        self.clone.changed.notify_all();
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Clone<'_> {
    /// Takes directories until all are done, or one failed. Returns what became of contents in the end.
    fn work(&self, mut how: How) -> Result<How, CloneError> {
        while let Some(node) = self.next() {
            let mut turn = Turn { clone: self, found: Vec::new(), failed: true };
            turn.found = self.directory(&node, &mut how)?;
            turn.failed = false;
        }
        Ok(how)
    }

    fn next(&self) -> Option<Node> {
        let mut todo = locked(&self.todo);
        loop {
            if todo.stopped {
                return None;
            }
            if let Some(node) = todo.nodes.pop() {
                todo.busy += 1;
                return Some(node);
            }
            if todo.busy == 0 {
                return None;
            }
            todo = self.changed.wait(todo).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Clones what is in a directory, and makes its subdirectories, which it returns.
    fn directory(&self, node: &Node, how: &mut How) -> Result<Vec<Node>, CloneError> {
        let to = self.into.open_dir(&node.path)?;
        let mut found = Vec::new();
        for (name, child) in self.view.children(node)? {
            if child.stat.is_dir() {
                rustix::fs::mkdirat(&to, &name, Mode::RWXU)
                    .map_err(failed("make the directory"))
                    .map_err(refused(&child))?;
                found.push(child);
            } else {
                self.object(&child, &to, &name, how)?;
            }
        }
        let from = OwnedFd::from(self.view.open(node)?);
        replicate::describe(to.as_fd(), &from, &node.stat, Some(self.maps), Marks::Drop, None)
            .map_err(refused(node))?;
        Ok(found)
    }

    fn object(&self, node: &Node, to: &OwnedFd, name: &OsStr, how: &mut How) -> Result<(), CloneError> {
        let key = (node.tree(), node.stat.device, node.stat.inode);
        let mut linked = (node.stat.nlink > 1).then(|| locked(&self.linked));
        if let Some(first) = linked.as_ref().and_then(|linked| linked.get(&key)) {
            return self.link(first, to, name, node);
        }
        match node.stat.kind {
            FileType::RegularFile => self.file(node, to, name, how)?,
            _ => self.special(node, to, name)?,
        }
        if let Some(linked) = &mut linked {
            linked.insert(key, node.path.clone());
        }
        Ok(())
    }

    fn file(&self, node: &Node, to: &OwnedFd, name: &OsStr, how: &mut How) -> Result<(), CloneError> {
        let original = OwnedFd::from(self.view.open(node)?);
        // Bits that a change of owner takes away come after it.
        let mode = node.stat.mode.intersection(Mode::RWXU | Mode::RWXG | Mode::RWXO).difference(self.umask);
        replicate::create(to.as_fd(), name, mode)
            .and_then(|file| {
                match how {
                    // An empty file needs no contents.
                    How::Redirect if node.stat.size > 0 => redirect(&file, &node.path, node.stat.size)?,
                    How::Redirect => {}
                    How::Contents(contents) => {
                        replicate::fill(&file, &original, node.stat.size, contents)?;
                    }
                }
                replicate::describe(
                    file.as_fd(),
                    &original,
                    &node.stat,
                    Some(self.maps),
                    Marks::Drop,
                    Some(mode),
                )
            })
            .map_err(refused(node))
    }

    fn special(&self, node: &Node, to: &OwnedFd, name: &OsStr) -> Result<(), CloneError> {
        let text = match node.stat.kind {
            FileType::Symlink => Some(self.view.read_link(node)?),
            _ => None,
        };
        let made = replicate::special(to.as_fd(), name, &node.stat, text).map_err(refused(node))?;
        if made {
            replicate::describe_special(to.as_fd(), name, &node.stat, Some(self.maps))
                .map_err(refused(node))?;
        }
        Ok(())
    }

    fn link(&self, first: &Path, to: &OwnedFd, name: &OsStr, node: &Node) -> Result<(), CloneError> {
        let (dir, first) = self.into.parent_of(first)?;
        rustix::fs::linkat(&dir, first, to, name, AtFlags::empty())
            .map_err(failed("link"))
            .map_err(refused(node))
    }
}

fn refused(node: &Node) -> impl Fn(Failure) -> CloneError + use<> {
    let (path, uid, gid) = (node.path.clone(), node.stat.uid, node.stat.gid);
    move |Failure { verb, errno }| match errno {
        Errno::OVERFLOW => CloneError::IdNotMapped { path: path.clone(), uid, gid },
        _ => CloneError::Refused { verb, path: path.clone(), errno },
    }
}

#[cfg(test)]
pub(super) fn clone_by_copy(view: &View, into: &Path, maps: &IdMaps) -> Result<Cloned, CloneError> {
    clone(view, into, maps, None)
}
