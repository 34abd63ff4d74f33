//! A tree, or a single file, as the source.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use ctr_core::rooted::{Entries, Stat};
use rustix::fs::{FileType, OFlags};
use rustix::io::Errno;

use super::{Owners, Sink, TransferError, give, path, refused};
use crate::apply::xattr::{Trust, trust};
use crate::overlay::replicate;
use crate::tar::{Header, Kind};

/// As many directories in one another as a path has room for.
const MAX_DEPTH: usize = 2048;

/// What is to be copied.
#[derive(Debug)]
pub struct Source<'a> {
    /// A regular file, or a directory, open for reading.
    pub object: OwnedFd,
    /// What it is called on the other side; of a directory, nothing: only what is in it is sent.
    pub name: Option<&'a OsStr>,
    /// Names right in it that are not sent.
    pub without: &'a [&'a str],
    /// Who owns it on the other side.
    pub owners: &'a dyn Owners,
}

impl std::fmt::Debug for dyn Owners + '_ {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Owners")
    }
}

/// Sends a file, or a directory with all that is in it.
///
/// # Errors
/// Something cannot be read, or the other side does not take it.
pub fn send(source: Source<'_>, sink: &mut dyn Sink) -> Result<(), TransferError> {
    let name = source.name.map(OsStr::as_bytes).unwrap_or_default().to_vec();
    let stat = Stat::of(&source.object).map_err(refused("inspect", &name))?;
    let mut sender = Sender { sink, owners: source.owners, linked: HashMap::new() };
    match stat.kind {
        FileType::Directory => {
            if !name.is_empty() {
                sender.entry(&name, Kind::Directory, &stat, Some(&source.object))?;
            }
            sender.directory(source.object, &name, source.without, 0)?;
        }
        FileType::RegularFile if !name.is_empty() => sender.file(&name, &stat, source.object)?,
        _ => return Err(TransferError::Kind { path: path(&name) }),
    }
    sink_end(sender)
}

fn sink_end(sender: Sender<'_>) -> Result<(), TransferError> {
    sender.sink.finish()
}

struct Sender<'a> {
    sink: &'a mut dyn Sink,
    owners: &'a dyn Owners,
    /// Files with several names, by file system and number: the name under which the first went.
    linked: HashMap<(u64, u64), Vec<u8>>,
}

impl Sender<'_> {
    fn directory(
        &mut self,
        dir: OwnedFd,
        name: &[u8],
        without: &[&str],
        depth: usize,
    ) -> Result<(), TransferError> {
        if depth > MAX_DEPTH {
            return Err(TransferError::Depth { path: path(name) });
        }
        let copy = rustix::io::fcntl_dupfd_cloexec(&dir, 0).map_err(refused("open", name))?;
        let entries = Entries::new(copy).and_then(Entries::sorted).map_err(refused("list", name))?;
        let left_out = |entry: &OsStr| without.iter().any(|name| entry == *name);
        for entry in entries.iter().filter(|entry| !left_out(&entry.name)) {
            let mut inner = name.to_vec();
            if !inner.is_empty() {
                inner.push(b'/');
            }
            inner.extend_from_slice(entry.name.as_bytes());
            self.object(dir.as_fd(), &entry.name, &inner, depth)?;
        }
        Ok(())
    }

    fn object(
        &mut self,
        dir: BorrowedFd<'_>,
        entry: &OsStr,
        name: &[u8],
        depth: usize,
    ) -> Result<(), TransferError> {
        let stat = match Stat::at(dir, entry) {
            // It went in between, as things do where somebody works.
            Err(Errno::NOENT) => return Ok(()),
            other => other.map_err(refused("inspect", name))?,
        };
        let open = |flags| {
            replicate::open(dir, entry, flags).map_err(|failure| refused("open", name)(failure.errno))
        };
        match stat.kind {
            FileType::Directory => {
                let inner = open(OFlags::DIRECTORY)?;
                let stat = Stat::of(&inner).map_err(refused("inspect", name))?;
                self.entry(name, Kind::Directory, &stat, Some(&inner))?;
                self.directory(inner, name, &[], depth + 1)
            }
            FileType::RegularFile => {
                let file = open(OFlags::empty())?;
                // What the name leads to by now.
                let stat = Stat::of(&file).map_err(refused("inspect", name))?;
                if stat.kind != FileType::RegularFile {
                    return Err(TransferError::Kind { path: path(name) });
                }
                self.file(name, &stat, file)
            }
            FileType::Symlink => {
                let text = rustix::fs::readlinkat(dir, entry, Vec::new()).map_err(refused("read", name))?;
                let mut header = Header::of(name, Kind::Symlink, &stat);
                header.link = text.into_bytes();
                give(&mut header, self.owners)?;
                self.sink.take(&header, &mut io::empty())
            }
            FileType::Fifo => self.entry(name, Kind::Fifo, &stat, None),
            // Sockets are nothing without who listens, and nodes cannot be made.
            _ => Ok(()),
        }
    }

    fn entry(
        &mut self,
        name: &[u8],
        kind: Kind,
        stat: &Stat,
        object: Option<&OwnedFd>,
    ) -> Result<(), TransferError> {
        let mut header = Header::of(name, kind, stat);
        if let Some(object) = object {
            attributes(&mut header, object)?;
        }
        give(&mut header, self.owners)?;
        self.sink.take(&header, &mut io::empty())
    }

    fn file(&mut self, name: &[u8], stat: &Stat, file: OwnedFd) -> Result<(), TransferError> {
        let mut header = Header::of(name, Kind::File, stat);
        if stat.nlink > 1 {
            match self.linked.entry((stat.device, stat.inode)) {
                Entry::Occupied(first) => {
                    (header.kind, header.size) = (Kind::HardLink, 0);
                    header.link.clone_from(first.get());
                    give(&mut header, self.owners)?;
                    return self.sink.take(&header, &mut io::empty());
                }
                Entry::Vacant(place) => {
                    place.insert(name.to_vec());
                }
            }
        }
        attributes(&mut header, &file)?;
        give(&mut header, self.owners)?;
        self.sink.take(&header, &mut File::from(file))
    }
}

/// Takes along what a layer could bring, too.
fn attributes(header: &mut Header, object: &OwnedFd) -> Result<(), TransferError> {
    let found = replicate::attributes(object)
        .map_err(|failure| refused(failure.verb, &header.path)(failure.errno))?;
    for (name, value) in found {
        if trust(name.as_bytes()) == Trust::Set {
            header.xattrs.push((name.as_bytes().to_vec(), value));
        }
    }
    Ok(())
}
