//! Iterating over a directory of a tree.

use std::ffi::{OsStr, OsString};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{Dir, FileType};
use rustix::io::{Errno, Result};

use super::Stat;

/// One name in a directory.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The name, one component.
    pub name: OsString,
    /// The type of the object it had when it was listed.
    pub kind: FileType,
    /// The number of the object in its file system.
    pub inode: u64,
}

/// The names in a directory, without `.` and `..`, in no particular order.
#[derive(Debug)]
pub struct Entries {
    stream: Dir,
}

impl Entries {
    /// Lists an open directory from where it was last read to; from its beginning if it was just opened.
    pub fn new(dir: OwnedFd) -> Result<Self> {
        Ok(Self { stream: Dir::new(dir)? })
    }

    /// Returns the directory itself, for operations on the names in it.
    pub fn dir(&self) -> Result<BorrowedFd<'_>> {
        self.stream.fd()
    }

    /// Lists all of it, sorted by the bytes of the names.
    pub fn sorted(self) -> Result<Vec<Entry>> {
        let mut all = self.collect::<Result<Vec<_>>>()?;
        all.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Ok(all)
    }

    fn entry(&self, raw: &rustix::fs::DirEntry) -> Result<Option<Entry>> {
        let name = OsStr::from_bytes(raw.file_name().to_bytes());
        if name == "." || name == ".." {
            return Ok(None);
        }
        let kind = match raw.file_type() {
            // Some file systems keep no types in directories.
            FileType::Unknown => match Stat::at(self.dir()?, name) {
                Ok(stat) => stat.kind,
                Err(Errno::NOENT) => return Ok(None),
                Err(errno) => return Err(errno),
            },
            known => known,
        };
        Ok(Some(Entry { name: name.to_owned(), kind, inode: raw.ino() }))
    }
}

impl Iterator for Entries {
    type Item = Result<Entry>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let raw = match self.stream.next()? {
                Ok(raw) => raw,
                Err(errno) => return Some(Err(errno)),
            };
            match self.entry(&raw) {
                Ok(Some(entry)) => return Some(Ok(entry)),
                Ok(None) => {}
                Err(errno) => return Some(Err(errno)),
            }
        }
    }
}
