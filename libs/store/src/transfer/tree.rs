//! A directory as the sink.

use std::ffi::OsStr;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use ctr_core::rooted::{Root, Stat, TreeError};
use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Timespec, Timestamps, Uid};
use rustix::io::Errno;

use super::archive::last;
use super::mounts;
use super::{Sink, TransferError, path, refused};
use crate::apply::xattr;
use crate::tar::{Header, Kind};

/// What is carried at once.
const CHUNK: usize = 128 << 10;
/// The mode of directories that an archive has no entry for.
const IMPLIED: Mode = Mode::from_raw_mode(0o755);

/// A directory that files come to.
#[derive(Debug)]
pub struct TreeSink {
    root: Root,
    folder: PathBuf,
    overwrite: bool,
    /// Directories that were made or described, with what has to wait until everything is in them.
    late: Vec<(PathBuf, Timestamps)>,
}

impl TreeSink {
    /// Files go into `folder` of a tree, and nowhere out of that. What is there of another kind is only replaced if that
    /// is said.
    #[must_use]
    pub fn new(root: Root, folder: impl Into<PathBuf>, overwrite: bool) -> Self {
        Self { root, folder: folder.into(), overwrite, late: Vec::new() }
    }

    fn place(&self, name: &[u8]) -> PathBuf {
        let name = name.strip_suffix(b"/").unwrap_or(name);
        self.folder.join(path(name))
    }

    /// The directory that an entry goes to.
    fn parent(&self, place: &Path) -> Result<OwnedFd, TransferError> {
        match self.root.parent_of(place) {
            Ok((dir, _)) => Ok(dir),
            Err(error) if error.errno() == Some(Errno::NOENT) => {
                let above = place.parent().unwrap_or(Path::new(""));
                Ok(self.root.mkdir_all(above, IMPLIED)?)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn other_kind(&self, name: &[u8]) -> TransferError {
        TransferError::OtherKind { path: Path::new("/").join(self.place(name)) }
    }

    /// Makes something new, in the place of what is there.
    fn exclusively<T>(
        &self,
        dir: BorrowedFd<'_>,
        header: &Header,
        verb: &'static str,
        make: impl Fn(BorrowedFd<'_>, &OsStr) -> rustix::io::Result<T>,
    ) -> Result<T, TransferError> {
        let name = last(&header.path);
        match make(dir, name) {
            Err(Errno::EXIST) => {
                self.clear(dir, header, false)?;
                make(dir, name).map_err(refused(verb, &header.path))
            }
            other => other.map_err(refused(verb, &header.path)),
        }
    }

    /// Removes what is in the place of a directory or of something else.
    fn clear(&self, dir: BorrowedFd<'_>, header: &Header, for_dir: bool) -> Result<(), TransferError> {
        let name = last(&header.path);
        let there = Stat::at(dir, name).map_err(refused("inspect", &header.path))?;
        if there.is_dir() != for_dir && !self.overwrite {
            return Err(self.other_kind(&header.path));
        }
        if mounts::holds_one(dir, name).map_err(refused("inspect", &header.path))? {
            return Err(refused("replace", &header.path)(Errno::BUSY));
        }
        let own = rustix::io::fcntl_dupfd_cloexec(dir, 0).map_err(refused("open", &header.path))?;
        Ok(Root::from_dir(own).remove_tree(name)?)
    }

    fn directory(&mut self, dir: BorrowedFd<'_>, header: &Header) -> Result<(), TransferError> {
        let name = last(&header.path);
        let make = || rustix::fs::mkdirat(dir, name, Mode::RWXU);
        match make() {
            Ok(()) => {}
            Err(Errno::EXIST) => {
                let there = Stat::at(dir, name).map_err(refused("inspect", &header.path))?;
                if !there.is_dir() {
                    self.clear(dir, header, true)?;
                    make().map_err(refused("make the directory", &header.path))?;
                }
            }
            Err(errno) => return Err(refused("make the directory", &header.path)(errno)),
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let made =
            rustix::fs::openat(dir, name, flags, Mode::empty()).map_err(refused("open", &header.path))?;
        describe(made.as_fd(), header)?;
        self.late.push((self.place(&header.path), times(header)));
        Ok(())
    }

    fn file(
        &self,
        dir: BorrowedFd<'_>,
        header: &Header,
        contents: &mut dyn Read,
    ) -> Result<(), TransferError> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let made = self.exclusively(dir, header, "create", |dir, name| {
            rustix::fs::openat(dir, name, flags, Mode::RUSR | Mode::WUSR)
        });
        let file = match made {
            // A file that is mounted there cannot be replaced; it can be written.
            Err(error) if is_busy(&error) => rewrite(dir, header).map_err(|_no_file| error)?,
            other => other?,
        };
        copy(&file, header, contents)?;
        describe(file.as_fd(), header)?;
        rustix::fs::futimens(&file, &times(header)).map_err(refused("set the times of", &header.path))
    }

    fn hard_link(&self, dir: BorrowedFd<'_>, header: &Header) -> Result<(), TransferError> {
        let first = self.place(&header.link);
        let (from, from_name) = self.root.parent_of(&first)?;
        let stat = Stat::at(from.as_fd(), from_name).map_err(refused("find", &header.link))?;
        let here = Stat::at(dir, last(&header.path));
        if stat.kind == FileType::Directory {
            return Err(TransferError::Unsafe {
                path: path(&header.path),
                why: "is a hard link to a directory",
            });
        }
        if here.is_ok_and(|here| (here.device, here.inode) == (stat.device, stat.inode)) {
            return Ok(());
        }
        self.exclusively(dir, header, "link", |dir, name| {
            rustix::fs::linkat(&from, from_name, dir, name, AtFlags::empty())
        })
    }

    fn special(&self, dir: BorrowedFd<'_>, header: &Header) -> Result<(), TransferError> {
        let name = last(&header.path);
        match header.kind {
            Kind::Symlink => {
                let text = OsStr::from_bytes(&header.link);
                self.exclusively(dir, header, "make the link", |dir, name| {
                    rustix::fs::symlinkat(text, dir, name)
                })?;
            }
            _ => self.exclusively(dir, header, "make the pipe", |dir, name| {
                let mode = Mode::from_raw_mode(header.mode & 0o777);
                rustix::fs::mknodat(dir, name, FileType::Fifo, mode, 0)
            })?,
        }
        let (uid, gid) = owner(header);
        rustix::fs::chownat(dir, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(refused("change the owner of", &header.path))?;
        rustix::fs::utimensat(dir, name, &times(header), AtFlags::SYMLINK_NOFOLLOW)
            .map_err(refused("set the times of", &header.path))
    }
}

impl Sink for TreeSink {
    fn take(&mut self, header: &Header, contents: &mut dyn Read) -> Result<(), TransferError> {
        let dir = self.parent(&self.place(&header.path))?;
        let dir = dir.as_fd();
        match header.kind {
            Kind::File => self.file(dir, header, contents),
            Kind::Directory => self.directory(dir, header),
            Kind::HardLink => self.hard_link(dir, header),
            Kind::Symlink | Kind::Fifo => self.special(dir, header),
            // Nobody in a user namespace can make one.
            Kind::CharDevice | Kind::BlockDevice => Ok(()),
        }
    }

    /// The times of directories, the innermost first: to make what is in them has changed them.
    fn finish(&mut self) -> Result<(), TransferError> {
        for (place, times) in self.late.drain(..).rev() {
            match self.root.set_times(&place, &times) {
                Ok(()) => {}
                // Somebody who works there has moved it.
                Err(TreeError::Refused { errno: Errno::NOENT | Errno::NOTDIR, .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

fn is_busy(error: &TransferError) -> bool {
    matches!(error, TransferError::Refused { errno: Errno::BUSY, .. })
}

/// Opens a regular file that is there, and empties it.
fn rewrite(dir: BorrowedFd<'_>, header: &Header) -> Result<OwnedFd, TransferError> {
    let flags = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = rustix::fs::openat(dir, last(&header.path), flags, Mode::empty())
        .map_err(refused("open", &header.path))?;
    let stat = Stat::of(&file).map_err(refused("inspect", &header.path))?;
    if stat.kind != FileType::RegularFile {
        return Err(TransferError::Kind { path: path(&header.path) });
    }
    rustix::fs::ftruncate(&file, 0).map_err(refused("empty", &header.path))?;
    Ok(file)
}

/// Carries the contents. Blocks of zeros become holes.
fn copy(file: &OwnedFd, header: &Header, contents: &mut dyn Read) -> Result<(), TransferError> {
    let failed = |source| TransferError::Contents { path: path(&header.path), source };
    let mut buffer = vec![0; CHUNK];
    let mut at = 0;
    while at < header.size {
        let wanted = usize::try_from(header.size - at).unwrap_or(CHUNK).min(CHUNK);
        let count = match contents.read(&mut buffer[..wanted]) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            other => other.map_err(failed)?,
        };
        // It became shorter while it was read.
        if count == 0 {
            break;
        }
        let bytes = &buffer[..count];
        if bytes.iter().any(|byte| *byte != 0) {
            write_all(file, bytes, at).map_err(refused("write", &header.path))?;
        }
        at += u64::try_from(count).unwrap_or(0);
    }
    rustix::fs::ftruncate(file, at).map_err(refused("write", &header.path))
}

fn write_all(file: &OwnedFd, mut bytes: &[u8], mut at: u64) -> rustix::io::Result<()> {
    while !bytes.is_empty() {
        match rustix::io::pwrite(file, bytes, at) {
            Ok(0) => return Err(Errno::NOSPC),
            Ok(count) => {
                bytes = &bytes[count..];
                at += u64::try_from(count).unwrap_or(0);
            }
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// Gives an open file or directory its owner, its mode (which the owner's change would cut) and its attributes.
fn describe(object: BorrowedFd<'_>, header: &Header) -> Result<(), TransferError> {
    let (uid, gid) = owner(header);
    rustix::fs::fchown(object, uid, gid).map_err(refused("change the owner of", &header.path))?;
    rustix::fs::fchmod(object, Mode::from_raw_mode(header.mode))
        .map_err(refused("change the mode of", &header.path))?;
    for (name, value) in &header.xattrs {
        if xattr::trust(name) == xattr::Trust::Set {
            // A file system without attributes keeps none.
            xattr::set(object, name, value).map_err(refused("set an attribute of", &header.path))?;
        }
    }
    Ok(())
}

fn owner(header: &Header) -> (Option<Uid>, Option<Gid>) {
    let id = |id: u64| u32::try_from(id).ok().filter(|id| *id != u32::MAX);
    (id(header.uid).map(Uid::from_raw), id(header.gid).map(Gid::from_raw))
}

fn times(header: &Header) -> Timestamps {
    let time = Timespec { tv_sec: header.modified.seconds, tv_nsec: header.modified.nanos.into() };
    Timestamps { last_access: time, last_modification: time }
}
