//! The tree of a layer with other owners.
//!
//! Under another id map (keep-id, auto, explicit maps) every file of an image belongs to another id on disk. From
//! Linux 6.16 that needs no second copy of the contents: the clone has the names, owners, modes, times and
//! attributes, and empty files of the right size that say by `user.overlay.metacopy` and `user.overlay.redirect`
//! where the contents are: in the original, stacked as a data-only layer. Elsewhere it is a copy, by reference if
//! the file system can.
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

use ctr_core::rooted::{Entries, Root, Stat, TreeError};
use ctr_userns::map::IdMaps;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, XattrFlags};
use rustix::io::Errno;

use super::mark;
use super::mount::{Stack, mount};
use super::replicate::{self, Contents, Failure, Marks, failed};
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
    source: &'t Root,
    into: &'t Root,
    maps: &'t IdMaps,
    /// Mode bits that the process takes away from what it creates.
    umask: Mode,
    /// Files with several names: where the first is. Locked until that is there.
    linked: Mutex<HashMap<(u64, u64), PathBuf>>,
    todo: Mutex<Todo>,
    changed: Condvar,
}

/// Directories that are there and empty.
#[derive(Default)]
struct Todo {
    paths: Vec<PathBuf>,
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

/// Clones the tree `source` into the empty directory `into`, both paths of ours on one file system, so that what
/// belongs to id N there belongs here to what `maps`, the container's as seen from A, make of N.
///
/// `scratch` is an empty directory on the same file system, for trying out what the kernel can.
pub fn clone(source: &Path, into: &Path, maps: &IdMaps, scratch: &Path) -> Result<Cloned, CloneError> {
    let how = if metadata_works(scratch)? { How::Redirect } else { How::Contents(Contents::Reflink) };
    let (source, into) = (Root::open(source)?, Root::open(into)?);
    clone_as(&source, &into, maps, how)
}

fn clone_as(source: &Root, into: &Root, maps: &IdMaps, how: How) -> Result<Cloned, CloneError> {
    take_off_acls(into.open_dir("/")?).map_err(|errno| CloneError::Refused {
        verb: "set an attribute of",
        path: PathBuf::new(),
        errno,
    })?;
    let clone = Clone {
        source,
        into,
        maps,
        umask: Mode::from_raw_mode(umask()),
        linked: Mutex::default(),
        todo: Mutex::new(Todo { paths: vec![PathBuf::new()], ..Todo::default() }),
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
    found: Vec<PathBuf>,
    failed: bool,
}

impl Drop for Turn<'_, '_> {
    fn drop(&mut self) {
        let mut todo = locked(&self.clone.todo);
        todo.paths.append(&mut self.found);
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
        while let Some(path) = self.next() {
            let mut turn = Turn { clone: self, found: Vec::new(), failed: true };
            turn.found = self.directory(&path, &mut how)?;
            turn.failed = false;
        }
        Ok(how)
    }

    fn next(&self) -> Option<PathBuf> {
        let mut todo = locked(&self.todo);
        loop {
            if todo.stopped {
                return None;
            }
            if let Some(path) = todo.paths.pop() {
                todo.busy += 1;
                return Some(path);
            }
            if todo.busy == 0 {
                return None;
            }
            todo = self.changed.wait(todo).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Clones what is in a directory, and makes its subdirectories; returns their paths.
    fn directory(&self, path: &Path, how: &mut How) -> Result<Vec<PathBuf>, CloneError> {
        let at = |verb| move |errno| self.failed(path, None)(Failure { verb, errno });
        let (from, to) = (self.source.open_dir(path)?, self.into.open_dir(path)?);
        let stat = Stat::of(&from).map_err(at("stat"))?;
        let listing = Entries::new(from).map_err(at("list"))?;
        let from =
            listing.dir().and_then(|dir| rustix::io::fcntl_dupfd_cloexec(dir, 0)).map_err(at("list"))?;
        let mut found = Vec::new();
        for entry in listing {
            let entry = entry.map_err(at("list"))?;
            let inner = path.join(&entry.name);
            if entry.kind == FileType::Directory {
                rustix::fs::mkdirat(&to, &entry.name, Mode::RWXU)
                    .map_err(failed("make the directory"))
                    .map_err(self.failed(&inner, None))?;
                found.push(inner);
            } else {
                self.object(&from, &to, &entry.name, &inner, how)?;
            }
        }
        replicate::describe(&to, &from, &stat, Some(self.maps), Marks::Keep, None)
            .map_err(self.failed(path, Some(&stat)))?;
        Ok(found)
    }

    fn object(
        &self,
        from: &OwnedFd,
        to: &OwnedFd,
        name: &OsStr,
        path: &Path,
        how: &mut How,
    ) -> Result<(), CloneError> {
        let stat = Stat::at(from.as_fd(), name)
            .map_err(|errno| self.failed(path, None)(Failure { verb: "stat", errno }))?;
        let several = stat.nlink > 1 && !stat.is_whiteout();
        let mut linked = several.then(|| locked(&self.linked));
        if let Some(first) = linked.as_ref().and_then(|linked| linked.get(&(stat.device, stat.inode))) {
            return self.link(first, to, name, path);
        }
        let made = match stat.kind {
            FileType::RegularFile => self.file(from, to, name, path, &stat, how),
            _ => self.special(from, to, name, &stat),
        };
        made.map_err(self.failed(path, Some(&stat)))?;
        if let Some(linked) = &mut linked {
            linked.insert((stat.device, stat.inode), path.to_owned());
        }
        Ok(())
    }

    fn file(
        &self,
        from: &OwnedFd,
        to: &OwnedFd,
        name: &OsStr,
        path: &Path,
        stat: &Stat,
        how: &mut How,
    ) -> replicate::Result<()> {
        let original = replicate::open(from.as_fd(), name, OFlags::empty())?;
        // Bits that a change of owner takes away come after it.
        let mode = stat.mode.intersection(Mode::RWXU | Mode::RWXG | Mode::RWXO).difference(self.umask);
        let file = replicate::create(to.as_fd(), name, mode)?;
        match how {
            // An empty file needs no contents; it may be a whiteout by attribute, too.
            How::Redirect if stat.size > 0 => redirect(&file, path, stat.size)?,
            How::Redirect => {}
            How::Contents(contents) => replicate::fill(&file, &original, stat.size, contents)?,
        }
        replicate::describe(&file, &original, stat, Some(self.maps), Marks::Keep, Some(mode))
    }

    fn special(&self, from: &OwnedFd, to: &OwnedFd, name: &OsStr, stat: &Stat) -> replicate::Result<()> {
        let text = match stat.kind {
            FileType::Symlink => {
                let text = rustix::fs::readlinkat(from, name, Vec::new()).map_err(failed("read the link"))?;
                Some(OsStr::from_bytes(text.as_bytes()).to_owned())
            }
            _ => None,
        };
        if replicate::special(to.as_fd(), name, stat, text)? && !stat.is_whiteout() {
            replicate::describe_special(to.as_fd(), name, stat, Some(self.maps))?;
        }
        Ok(())
    }

    fn link(&self, first: &Path, to: &OwnedFd, name: &OsStr, path: &Path) -> Result<(), CloneError> {
        let (dir, first) = self.into.parent_of(first)?;
        rustix::fs::linkat(&dir, first, to, name, AtFlags::empty())
            .map_err(|errno| self.failed(path, None)(Failure { verb: "link", errno }))
    }

    fn failed(&self, path: &Path, stat: Option<&Stat>) -> impl Fn(Failure) -> CloneError + use<> {
        let (path, ids) = (path.to_owned(), stat.map(|stat| (stat.uid, stat.gid)));
        move |Failure { verb, errno }| match (errno, ids) {
            (Errno::OVERFLOW, Some((uid, gid))) => CloneError::IdNotMapped { path: path.clone(), uid, gid },
            _ => CloneError::Refused { verb, path: path.clone(), errno },
        }
    }
}

#[cfg(test)]
pub(super) fn clone_by_copy(source: &Path, into: &Path, maps: &IdMaps) -> Result<Cloned, CloneError> {
    clone_as(&Root::open(source)?, &Root::open(into)?, maps, How::Contents(Contents::Reflink))
}
