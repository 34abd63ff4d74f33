//! Opening what is bound into a container, before anything of an image runs.
//!
//! # Process context
//! In A, with a mount namespace of our own. Sources are opened with the user's rights, relative to where the user is;
//! from then on they are descriptors, so no path is looked up twice.

use std::ffi::OsString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use ctr_core::rooted::{Entries, Trail};
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, StatxFlags, XattrFlags, fstat, openat, statx};
use rustix::io::Errno;
use rustix::mount::{MoveMountFlags, OpenTreeFlags, UnmountFlags, open_tree};
use rustix::path::DecInt;

use crate::mounts::Bind;

/// A source cannot be bound.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// It cannot be opened.
    #[error("statfs {path}")]
    Open {
        /// As the user spelled it.
        path: PathBuf,
        /// Why.
        #[source]
        errno: Errno,
    },
    /// A mount of it cannot be made.
    #[error("cannot bind {path}")]
    Clone {
        /// As the user spelled it.
        path: PathBuf,
        /// Why.
        #[source]
        errno: Errno,
    },
    /// Its owner cannot be changed.
    #[error("cannot give {path} to the container's user")]
    Chown {
        /// As the user spelled it.
        path: PathBuf,
        /// Why.
        #[source]
        errno: Errno,
    },
    /// Its SELinux label cannot be changed.
    #[error("failed to change selinux label of {path}")]
    Relabel {
        /// As the user spelled it.
        path: PathBuf,
        /// Why.
        #[source]
        errno: Errno,
    },
    /// A label for all that is there would break the host.
    #[error("SELinux relabeling of {0} is not allowed")]
    NotRelabelled(PathBuf),
    /// It is not a device, nor a folder of them.
    #[error("{0} is not a device node")]
    NotDevice(PathBuf),
}

/// Opens the source of a bind as a mount that is nowhere yet.
pub(super) fn open(bind: &Bind) -> Result<OwnedFd, BindError> {
    let follow =
        if bind.no_dereference { OpenTreeFlags::AT_SYMLINK_NOFOLLOW } else { OpenTreeFlags::empty() };
    clone(&bind.source, bind.recursive, follow)
}

/// Opens any path as a mount that is nowhere yet.
pub(super) fn clone(path: &Path, recursive: bool, follow: OpenTreeFlags) -> Result<OwnedFd, BindError> {
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | follow;
    if recursive {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    open_tree(CWD, path, flags).map_err(|errno| match errno {
        Errno::NOENT | Errno::ACCESS | Errno::NOTDIR | Errno::LOOP => {
            BindError::Open { path: path.to_owned(), errno }
        }
        _ => BindError::Clone { path: path.to_owned(), errno },
    })
}

/// Mounts what is nowhere yet.
pub(super) fn attach(mount: &OwnedFd, at: &Path) -> Result<(), Errno> {
    rustix::mount::move_mount(mount, "", CWD, at, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
}

/// Takes a mount off; what was copied of it stays.
pub(super) fn detach(at: &Path) -> Result<(), Errno> {
    rustix::mount::unmount(at, UnmountFlags::DETACH)
}

/// The device nodes that a path stands for: itself, or all below it.
pub(super) fn devices(path: &Path) -> Result<Vec<PathBuf>, BindError> {
    let failed = |errno| BindError::Open { path: path.to_owned(), errno };
    let status = statx(CWD, path, AtFlags::empty(), StatxFlags::TYPE).map_err(failed)?;
    match FileType::from_raw_mode(status.stx_mode.into()) {
        FileType::CharacterDevice | FileType::BlockDevice => Ok(vec![path.to_owned()]),
        FileType::Directory => below(path, 0),
        _ => Err(BindError::NotDevice(path.to_owned())),
    }
}

/// The device nodes of the host that the user can see. Other file systems in there (terminals, memory) have none that
/// are the host's, and a folder that cannot be read has none that can be seen.
pub(super) fn visible_devices() -> Vec<PathBuf> {
    const OTHERS: [&str; 4] = ["/dev/pts", "/dev/shm", "/dev/mqueue", "/dev/hugepages"];
    let mut nodes = Vec::new();
    for entry in std::fs::read_dir("/dev").into_iter().flatten().flatten() {
        let path = entry.path();
        let is_dir = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if is_dir && !OTHERS.iter().any(|other| path == Path::new(other)) {
            nodes.extend(below(&path, 0).unwrap_or_default());
        } else if is_node(&entry) {
            nodes.push(path);
        }
    }
    nodes.sort();
    nodes
}

fn is_node(entry: &std::fs::DirEntry) -> bool {
    use std::os::unix::fs::FileTypeExt as _;
    entry.file_type().is_ok_and(|kind| kind.is_char_device() || kind.is_block_device())
}

fn below(dir: &Path, depth: u32) -> Result<Vec<PathBuf>, BindError> {
    let failed = |error: std::io::Error| BindError::Open {
        path: dir.to_owned(),
        errno: Errno::from_io_error(&error).unwrap_or(Errno::IO),
    };
    let mut nodes = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if is_node(&entry) {
            nodes.push(entry.path());
        } else if entry.file_type().map_err(failed)?.is_dir() && depth < 8 {
            nodes.extend(below(&entry.path(), depth + 1)?);
        }
    }
    nodes.sort();
    Ok(nodes)
}

/// Gives a tree to an owner (ids of A), down to its last file; links are not followed, other mounts are not entered.
///
/// At a later start of a container a tree whose top is the owner's was given before: what others have in it since then
/// stays theirs, as with podman. The top is given last, so that what a kill left is given again.
pub(super) fn give(path: &Path, (uid, gid): (u32, u32), is_first: bool) -> Result<(), BindError> {
    let refused = |errno| BindError::Chown { path: path.to_owned(), errno };
    let top = rustix::fs::stat(path).map_err(refused)?;
    if !is_first && (top.st_uid, top.st_gid) == (uid, gid) {
        return Ok(());
    }
    let (uid, gid) = (rustix::fs::Uid::from_raw(uid), rustix::fs::Gid::from_raw(gid));
    let give =
        |node: BorrowedFd<'_>| rustix::fs::chownat(node, "", Some(uid), Some(gid), AtFlags::EMPTY_PATH);
    each(path, &give).map_err(refused)
}

/// Gives an extended attribute to a tree, in the same way.
pub(super) fn mark(path: &Path, name: &str, value: &[u8]) -> Result<(), BindError> {
    let set = |node: BorrowedFd<'_>| {
        // The kernel has no call that takes such a descriptor itself.
        let node = Path::new("/proc/self/fd").join(DecInt::from_fd(node));
        match rustix::fs::setxattr(&node, name, value, XattrFlags::empty()) {
            // A file system without labels has none to change.
            Err(Errno::OPNOTSUPP) => Ok(()),
            other => other,
        }
    };
    each(path, &set).map_err(|errno| BindError::Relabel { path: path.to_owned(), errno })
}

/// What is done to one file.
type Deed<'a> = &'a dyn Fn(BorrowedFd<'_>) -> Result<(), Errno>;

/// Does something to every file of a tree, to its top last.
fn each(path: &Path, deed: Deed<'_>) -> Result<(), Errno> {
    let root = openat(CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    let stat = fstat(&root)?;
    if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        each_below(openat(&root, ".", flags, Mode::empty())?, stat.st_dev, deed)?;
    }
    deed(root.as_fd())
}

/// Everything below a directory, however deep.
fn each_below(top: OwnedFd, device: u64, deed: Deed<'_>) -> Result<(), Errno> {
    let mut trail = Trail::new(top);
    let mut levels = vec![each_in(trail.here(), device, deed)?];
    while let Some(level) = levels.last_mut() {
        let Some(name) = level.pop() else {
            levels.pop();
            trail.leave()?;
            continue;
        };
        if !trail.enter(&name)? {
            continue;
        }
        if fstat(trail.here())?.st_dev == device {
            levels.push(each_in(trail.here(), device, deed)?);
        } else {
            trail.leave()?;
        }
    }
    Ok(())
}

/// Everything in a directory; the names of directories are returned.
fn each_in(dir: BorrowedFd<'_>, device: u64, deed: Deed<'_>) -> Result<Vec<OsString>, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut directories = Vec::new();
    for entry in Entries::new(openat(dir, ".", flags, Mode::empty())?)? {
        let name = entry?.name;
        let node = match openat(dir, &name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
        {
            // Somebody else works there too.
            Err(Errno::NOENT) => continue,
            other => other?,
        };
        let stat = fstat(&node)?;
        if stat.st_dev != device {
            continue;
        }
        deed(node.as_fd())?;
        if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
            directories.push(name);
        }
    }
    Ok(directories)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn every_file_of_a_deep_tree_is_reached_once_and_the_top_last() {
        const DEPTH: u64 = 900;
        let home = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let top = home.path().join("top");
        std::fs::create_dir(&top).unwrap();
        let mut trail = Trail::new(std::fs::File::open(&top).unwrap().into());
        for _ in 0..DEPTH {
            rustix::fs::mkdirat(trail.here(), "d", Mode::RWXU).unwrap();
            rustix::fs::symlinkat("/", trail.here(), "link").unwrap();
            trail.enter("d".as_ref()).unwrap();
        }
        let (count, last, highest) = (Cell::new(0), Cell::new(0), Cell::new(0));
        each(&top, &|node| {
            count.set(count.get() + 1);
            last.set(fstat(node)?.st_ino);
            // The kernel gives the lowest number that is free.
            let number: u32 = DecInt::from_fd(node).as_str().parse().unwrap_or(u32::MAX);
            highest.set(highest.get().max(number));
            Ok(())
        })
        .unwrap();
        assert_eq!(count.get(), 2 * DEPTH + 1);
        assert_eq!(last.get(), rustix::fs::stat(&top).unwrap().st_ino);
        assert!(highest.get() < 700, "{}", highest.get());
        ctr_core::rooted::Root::open(home.path()).unwrap().remove_tree("top").unwrap();
    }
}
