//! A tree, or a single file, as the source.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use ctr_core::rooted::{Entries, Entry as Listed, Stat, Trail};
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
            sender.directory(source.object, name, source.without)?;
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

/// A directory that is being sent.
struct Level {
    name: Vec<u8>,
    /// What is still to be sent of it.
    entries: std::vec::IntoIter<Listed>,
}

impl Level {
    fn of(trail: &Trail, name: Vec<u8>, without: &[&str]) -> Result<Self, TransferError> {
        let copy = rustix::io::fcntl_dupfd_cloexec(trail.here(), 0).map_err(refused("open", &name))?;
        let mut all = Entries::new(copy).and_then(Entries::sorted).map_err(refused("list", &name))?;
        all.retain(|entry| !without.iter().any(|name| entry.name == *name));
        Ok(Self { name, entries: all.into_iter() })
    }
}

impl Sender<'_> {
    /// All that is in a directory, however deep.
    fn directory(&mut self, top: OwnedFd, name: Vec<u8>, without: &[&str]) -> Result<(), TransferError> {
        let mut trail = Trail::new(top);
        let mut levels = vec![Level::of(&trail, name, without)?];
        while let Some(level) = levels.last_mut() {
            let Some(entry) = level.entries.next() else {
                // It fails where who works there moves directories that lie deep.
                trail.leave().map_err(refused("come back from", &level.name))?;
                levels.pop();
                continue;
            };
            let mut name = level.name.clone();
            if !name.is_empty() {
                name.push(b'/');
            }
            name.extend_from_slice(entry.name.as_bytes());
            if self.object(trail.here(), &entry.name, &name)?
                && trail.enter(&entry.name).map_err(refused("open", &name))?
            {
                if levels.len() > MAX_DEPTH {
                    return Err(TransferError::Depth { path: path(&name) });
                }
                levels.push(Level::of(&trail, name, &[])?);
            }
        }
        Ok(())
    }

    /// One object; whether it is a directory, of which only itself was sent.
    fn object(&mut self, dir: BorrowedFd<'_>, entry: &OsStr, name: &[u8]) -> Result<bool, TransferError> {
        let stat = match Stat::at(dir, entry) {
            // It went in between, as things do where somebody works.
            Err(Errno::NOENT) => return Ok(false),
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
                return Ok(true);
            }
            FileType::RegularFile => {
                let file = open(OFlags::empty())?;
                // What the name leads to by now.
                let stat = Stat::of(&file).map_err(refused("inspect", name))?;
                if stat.kind != FileType::RegularFile {
                    return Err(TransferError::Kind { path: path(name) });
                }
                self.file(name, &stat, file)?;
            }
            FileType::Symlink => {
                let text = rustix::fs::readlinkat(dir, entry, Vec::new()).map_err(refused("read", name))?;
                let mut header = Header::of(name, Kind::Symlink, &stat);
                header.link = text.into_bytes();
                give(&mut header, self.owners)?;
                self.sink.take(&header, &mut io::empty())?;
            }
            FileType::Fifo => self.entry(name, Kind::Fifo, &stat, None)?,
            // Sockets are nothing without who listens, and nodes cannot be made.
            _ => {}
        }
        Ok(false)
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
