//! How many bytes the files of a tree have, however deep or wide it is, also while somebody changes it.
//!
//! One directory is open at a time. The way back up is `..`, which in a tree that is being changed may lead anywhere: the
//! directory found there must be the one we came from, or nothing more is counted.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::{Errno, Result};

use super::{Entries, Stat};

/// A directory that is being counted.
struct Level {
    device: u64,
    inode: u64,
    /// Directories in it that are still to be counted.
    pending: Vec<OsString>,
}

/// What was counted so far.
#[derive(Default)]
struct Count {
    bytes: u64,
    /// Files with several names that were seen.
    seen: HashSet<(u64, u64)>,
}

/// The sum of the sizes of all regular files below a directory; one with several names counts once.
pub(super) fn below(top: OwnedFd) -> Result<u64> {
    let mut count = Count::default();
    let mut levels = vec![count.level(&top)?];
    let mut here = top;
    while let Some(level) = levels.last_mut() {
        if let Some(name) = level.pending.pop() {
            if let Some(below) = open(&here, &name)? {
                levels.push(count.level(&below)?);
                here = below;
            }
            continue;
        }
        levels.pop();
        let Some(above) = levels.last() else { break };
        match open(&here, OsStr::new(".."))? {
            Some(dir) if is(&dir, above)? => here = dir,
            _ => break,
        }
    }
    Ok(count.bytes)
}

impl Count {
    /// Counts the files of a directory.
    fn level(&mut self, dir: &OwnedFd) -> Result<Level> {
        let own = Stat::of(dir)?;
        let listing = rustix::fs::openat(dir, c".", FLAGS, Mode::empty())?;
        let mut entries = Entries::new(listing)?;
        let mut pending = Vec::new();
        while let Some(entry) = entries.next() {
            let entry = entry?;
            match entry.kind {
                FileType::Directory => pending.push(entry.name),
                FileType::RegularFile => self.file(entries.dir()?, &entry.name)?,
                _ => {}
            }
        }
        Ok(Level { device: own.device, inode: own.inode, pending })
    }

    fn file(&mut self, dir: BorrowedFd<'_>, name: &OsStr) -> Result<()> {
        let stat = match Stat::at(dir, name) {
            Ok(stat) => stat,
            Err(Errno::NOENT) => return Ok(()),
            Err(errno) => return Err(errno),
        };
        let is_new = stat.nlink < 2 || self.seen.insert((stat.device, stat.inode));
        if is_new && stat.kind == FileType::RegularFile {
            self.bytes = self.bytes.saturating_add(stat.size);
        }
        Ok(())
    }
}

const FLAGS: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Opens a directory, if it is still one.
fn open(dir: &OwnedFd, name: &OsStr) -> Result<Option<OwnedFd>> {
    match rustix::fs::openat(dir, name, FLAGS, Mode::empty()) {
        Ok(dir) => Ok(Some(dir)),
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
        Err(errno) => Err(errno),
    }
}

fn is(dir: &OwnedFd, level: &Level) -> Result<bool> {
    let stat = Stat::of(dir)?;
    Ok((stat.device, stat.inode) == (level.device, level.inode))
}
