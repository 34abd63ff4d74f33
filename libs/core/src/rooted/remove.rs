//! Removes a tree that somebody else built, however deep, wide or locked up it is.
//!
//! Directories are held open while their contents go, at most [`MAX_OPEN`] of them: what lies deeper is first
//! moved up to the top of the tree that is being removed. Links are removed, never followed; a directory that
//! was made unreadable is made readable first, which is the right of its owner.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, RenameFlags};
use rustix::io::{Errno, Result};

use super::Entries;

/// How many directories are open at once.
const MAX_OPEN: usize = 64;

/// How many subdirectories of one directory are remembered between two looks at it.
const MAX_PENDING: usize = 1024;

/// How often a directory that somebody keeps filling is looked at again.
const MAX_REFILLS: u32 = 64;

struct Level {
    name: OsString,
    dir: OwnedFd,
    pending: Vec<OsString>,
    /// Looks that found nothing to do although the directory was not empty.
    refills: u32,
}

/// Removes `name` in `dir` with all below it. Missing is fine.
pub(super) fn tree(dir: BorrowedFd<'_>, name: &OsStr) -> Result<()> {
    if unlink(dir, name)? {
        return Ok(());
    }
    let Some(top) = open_level(dir, name)? else { return tree_again(dir, name) };
    let mut levels = vec![top];
    let mut moved = 0_u64;
    while let Some(level) = levels.last_mut() {
        if level.pending.is_empty() {
            level.pending = sweep(&level.dir)?;
        }
        if let Some(child) = level.pending.pop() {
            descend(&mut levels, child, &mut moved)?;
        } else if let Some(done) = levels.pop() {
            let parent = levels.last().map_or(dir, |level| level.dir.as_fd());
            if let Some(again) = finish(parent, done)? {
                levels.push(again);
            }
        }
    }
    Ok(())
}

/// The name stopped being a directory between two calls: whatever it is now is one name.
fn tree_again(dir: BorrowedFd<'_>, name: &OsStr) -> Result<()> {
    if unlink(dir, name)? { Ok(()) } else { Err(Errno::BUSY) }
}

/// Removes a name; false means that it is a directory.
fn unlink(dir: BorrowedFd<'_>, name: &OsStr) -> Result<bool> {
    match rustix::fs::unlinkat(dir, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(true),
        Err(Errno::ISDIR) => Ok(false),
        Err(errno) => Err(errno),
    }
}

fn open_level(parent: BorrowedFd<'_>, name: &OsStr) -> Result<Option<Level>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened = match rustix::fs::openat(parent, name, flags, Mode::empty()) {
        Err(Errno::ACCESS) => {
            unlock(parent, name)?;
            rustix::fs::openat(parent, name, flags, Mode::empty())
        }
        other => other,
    };
    match opened {
        Ok(dir) => Ok(Some(Level { name: name.to_owned(), dir, pending: Vec::new(), refills: 0 })),
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// Makes a directory readable for its owner. A link put in its place is not followed.
fn unlock(parent: BorrowedFd<'_>, name: &OsStr) -> Result<()> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let handle = rustix::fs::openat(parent, name, flags, Mode::empty())?;
    // fchmod refuses such a handle, and a second look at the name could find a link: the kernel's own link to
    // the handle cannot be swapped.
    let mut link = OsString::from("/proc/self/fd/");
    link.push(rustix::path::DecInt::from_fd(&handle).as_ref());
    rustix::fs::chmod(&link, Mode::RWXU)
}

/// Removes all that is no directory, and returns some of the directories.
fn sweep(dir: &OwnedFd) -> Result<Vec<OsString>> {
    let mut found = Vec::new();
    let listing =
        rustix::fs::openat(dir, c".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    for entry in Entries::new(listing)? {
        let entry = entry?;
        if entry.kind == FileType::Directory || !unlink(dir.as_fd(), &entry.name)? {
            found.push(entry.name);
            if found.len() == MAX_PENDING {
                break;
            }
        }
    }
    Ok(found)
}

fn descend(levels: &mut Vec<Level>, child: OsString, moved: &mut u64) -> Result<()> {
    let (Some(first), Some(level)) = (levels.first(), levels.last()) else { return Ok(()) };
    // An empty directory, the most frequent kind, is gone with one call.
    match rustix::fs::unlinkat(&level.dir, &child, AtFlags::REMOVEDIR) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        Err(Errno::NOTDIR) => return unlink(level.dir.as_fd(), &child).map(drop),
        Err(Errno::NOTEMPTY | Errno::EXIST | Errno::ACCESS | Errno::PERM) => {}
        Err(errno) => return Err(errno),
    }
    if levels.len() >= MAX_OPEN {
        return park(level, &child, first, moved);
    }
    if let Some(next) = open_level(level.dir.as_fd(), &child)? {
        levels.push(next);
    }
    Ok(())
}

/// Moves a directory up to the first level, where a later look finds it.
fn park(level: &Level, child: &OsStr, first: &Level, moved: &mut u64) -> Result<()> {
    loop {
        let parked = OsString::from(format!(".deep-{moved}"));
        *moved += 1;
        match rustix::fs::renameat_with(&level.dir, child, &first.dir, &parked, RenameFlags::NOREPLACE) {
            Err(Errno::EXIST) => {}
            other => return other,
        }
    }
}

/// Removes a directory that was seen empty; returns it if it no longer is.
fn finish(parent: BorrowedFd<'_>, mut level: Level) -> Result<Option<Level>> {
    match rustix::fs::unlinkat(parent, &level.name, AtFlags::REMOVEDIR) {
        Ok(()) | Err(Errno::NOENT) => Ok(None),
        Err(Errno::NOTDIR) => unlink(parent, &level.name).map(|_| None),
        Err(Errno::NOTEMPTY | Errno::EXIST) if level.refills < MAX_REFILLS => {
            level.refills += 1;
            Ok(Some(level))
        }
        Err(errno) => Err(errno),
    }
}
