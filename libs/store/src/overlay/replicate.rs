//! Making one object of a tree once more somewhere else.

use std::ffi::{OsStr, OsString};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use ctr_core::rooted::Stat;
use ctr_userns::map::IdMaps;
use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, SeekFrom, Uid, XattrFlags};
use rustix::io::Errno;

use super::mark;

/// What to do with the contents of files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Contents {
    /// Share the blocks; the file system has shown that it can, or has not been asked yet.
    Reflink,
    /// Copy the bytes.
    Copy,
}

/// A step that failed, and where.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) verb: &'static str,
    pub(crate) errno: Errno,
}

pub(crate) type Result<T> = std::result::Result<T, Failure>;

pub(super) fn failed(verb: &'static str) -> impl Fn(Errno) -> Failure {
    move |errno| Failure { verb, errno }
}

/// Which attributes of overlayfs's own are taken along.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Marks {
    Keep,
    Drop,
}

/// Creates `name` in `dir` as a regular file, for reading and writing.
pub(super) fn create(dir: BorrowedFd<'_>, name: &OsStr, mode: Mode) -> Result<OwnedFd> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(dir, name, flags, mode).map_err(failed("create"))
}

/// Opens an object for reading, without following or waiting.
pub(crate) fn open(dir: BorrowedFd<'_>, name: &OsStr, flags: OFlags) -> Result<OwnedFd> {
    let flags =
        flags | OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    rustix::fs::openat(dir, name, flags, Mode::empty()).map_err(failed("open"))
}

/// Makes `name` in `dir` another of the special file or link that `stat` describes. Sockets are nothing without
/// the process that listened, devices cannot be made; false means that it was left out.
pub(super) fn special(
    dir: BorrowedFd<'_>,
    name: &OsStr,
    stat: &Stat,
    link: Option<OsString>,
) -> Result<bool> {
    match (stat.kind, link) {
        (FileType::Symlink, Some(text)) => {
            rustix::fs::symlinkat(&text, dir, name).map_err(failed("make the link"))?;
        }
        (FileType::Fifo, _) => {
            rustix::fs::mknodat(dir, name, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)
                .map_err(failed("make the pipe"))?;
        }
        (FileType::CharacterDevice, _) if stat.is_whiteout() => {
            mark::make_whiteout(dir, name).map_err(failed("make the whiteout"))?;
        }
        _ => return Ok(false),
    }
    Ok(true)
}

/// Gives a link or special file its owner, mode and times.
pub(super) fn describe_special(
    dir: BorrowedFd<'_>,
    name: &OsStr,
    stat: &Stat,
    maps: Option<&IdMaps>,
) -> Result<()> {
    let (uid, gid) = owner(stat, maps)?;
    rustix::fs::chownat(dir, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)
        .map_err(failed("change the owner of"))?;
    if stat.kind == FileType::Fifo {
        // Opened both ways a pipe never waits.
        let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        rustix::fs::openat(dir, name, flags, Mode::empty())
            .and_then(|pipe| rustix::fs::fchmod(pipe, stat.mode))
            .map_err(failed("change the mode of"))?;
    }
    rustix::fs::utimensat(dir, name, &stat.times(), AtFlags::SYMLINK_NOFOLLOW)
        .map_err(failed("set the times of"))
}

/// Gives an open file or directory owner, mode, attributes and times of another. A mode that it is known to have already
/// and keeps under another owner is not given again.
pub(super) fn describe(
    to: BorrowedFd<'_>,
    from: &OwnedFd,
    stat: &Stat,
    maps: Option<&IdMaps>,
    marks: Marks,
    has: Option<Mode>,
) -> Result<()> {
    let (uid, gid) = owner(stat, maps)?;
    rustix::fs::fchown(to, Some(uid), Some(gid)).map_err(failed("change the owner of"))?;
    if has != Some(stat.mode) {
        rustix::fs::fchmod(to, stat.mode).map_err(failed("change the mode of"))?;
    }
    for (name, value) in attributes(from)? {
        if marks == Marks::Keep || !name.as_bytes().starts_with(mark::PREFIX) {
            set_attribute(to, &name, &value)?;
        }
    }
    rustix::fs::futimens(to, &stat.times()).map_err(failed("set the times of"))
}

fn set_attribute(to: BorrowedFd<'_>, name: &OsStr, value: &[u8]) -> Result<()> {
    match rustix::fs::fsetxattr(to, name, value, XattrFlags::empty()) {
        // What the kernel shows of another namespace's, like a label, is not ours to set.
        Err(Errno::PERM) if name.as_bytes().starts_with(b"security.") && name != "security.capability" => {
            Ok(())
        }
        Err(Errno::PERM) if name.as_bytes().starts_with(b"trusted.") => Ok(()),
        other => other.map_err(failed("set an attribute of")),
    }
}

/// Returns the extended attributes of an open file.
pub(crate) fn attributes(file: &OwnedFd) -> Result<Vec<(OsString, Vec<u8>)>> {
    let mut names = [0; 1024];
    let listed = match rustix::fs::flistxattr(file, &mut names[..]) {
        Ok(0) | Err(Errno::OPNOTSUPP) => return Ok(Vec::new()),
        Ok(count) => names.get(..count).unwrap_or_default().to_vec(),
        Err(Errno::RANGE) => {
            let mut names = vec![0; 64 << 10];
            let count =
                rustix::fs::flistxattr(file, names.as_mut_slice()).map_err(failed("list attributes of"))?;
            names.truncate(count);
            names
        }
        Err(errno) => return Err(failed("list attributes of")(errno)),
    };
    let mut found = Vec::new();
    for name in listed.split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        let mut value = vec![0; 64 << 10];
        match rustix::fs::fgetxattr(file, name, value.as_mut_slice()) {
            Ok(count) => {
                value.truncate(count);
                found.push((OsStr::from_bytes(name).to_owned(), value));
            }
            // Listed and not to be read: a label of a security module that is not for us.
            Err(Errno::NODATA | Errno::OPNOTSUPP | Errno::PERM) => {}
            Err(errno) => return Err(failed("read an attribute of")(errno)),
        }
    }
    Ok(found)
}

/// Returns the owner that an object has under other maps.
fn owner(stat: &Stat, maps: Option<&IdMaps>) -> Result<(Uid, Gid)> {
    // What EOVERFLOW says elsewhere: an id that the namespace has no number for.
    let outer = |id, map: &ctr_userns::map::IdMap| {
        map.to_outer(id).ok_or(failed("map the owner of")(Errno::OVERFLOW))
    };
    let (uid, gid) = match maps {
        Some(maps) => (outer(stat.uid, &maps.uid)?, outer(stat.gid, &maps.gid)?),
        None => (stat.uid, stat.gid),
    };
    Ok((Uid::from_raw(uid), Gid::from_raw(gid)))
}

/// Fills an empty file with the contents of another; `contents` is corrected if blocks cannot be shared.
pub(super) fn fill(to: &OwnedFd, from: &OwnedFd, size: u64, contents: &mut Contents) -> Result<()> {
    if size == 0 {
        return Ok(());
    }
    if *contents == Contents::Reflink {
        match rustix::fs::ioctl_ficlone(to, from) {
            Ok(()) => return Ok(()),
            Err(Errno::OPNOTSUPP | Errno::XDEV | Errno::INVAL | Errno::NOTTY | Errno::PERM | Errno::BADF) => {
                *contents = Contents::Copy;
            }
            Err(errno) => return Err(failed("copy")(errno)),
        }
    }
    let mut at = 0;
    while at < size {
        let Some((start, end)) = next_data(from, at, size)? else { break };
        copy_range(to, from, start, end)?;
        at = end;
    }
    rustix::fs::ftruncate(to, size).map_err(failed("copy"))
}

/// Returns the next piece of a file that is no hole.
fn next_data(file: &OwnedFd, at: u64, size: u64) -> Result<Option<(u64, u64)>> {
    match rustix::fs::seek(file, SeekFrom::Data(at)) {
        Ok(start) => {
            let end = rustix::fs::seek(file, SeekFrom::Hole(start)).map_err(failed("read"))?;
            Ok(Some((start, end.min(size))))
        }
        Err(Errno::NXIO) => Ok(None),
        // The file system does not tell.
        Err(Errno::INVAL) => Ok(Some((at, size))),
        Err(errno) => Err(failed("read")(errno)),
    }
}

fn copy_range(to: &OwnedFd, from: &OwnedFd, mut at: u64, end: u64) -> Result<()> {
    let mut to_at = at;
    while at < end {
        let count = usize::try_from((end - at).min(1 << 30)).unwrap_or(1 << 30);
        match rustix::fs::copy_file_range(from, Some(&mut at), to, Some(&mut to_at), count) {
            Ok(0) => return Ok(()),
            Ok(_) | Err(Errno::INTR) => {}
            Err(Errno::XDEV | Errno::NOSYS | Errno::OPNOTSUPP | Errno::INVAL) => {
                return copy_bytes(to, from, at, end);
            }
            Err(errno) => return Err(failed("copy")(errno)),
        }
    }
    Ok(())
}

fn copy_bytes(to: &OwnedFd, from: &OwnedFd, mut at: u64, end: u64) -> Result<()> {
    let mut buffer = vec![0; 128 << 10];
    while at < end {
        let want = usize::try_from(end - at).unwrap_or(usize::MAX).min(buffer.len());
        let count = rustix::io::pread(from, buffer.get_mut(..want).unwrap_or_default(), at)
            .map_err(failed("read"))?;
        let mut bytes = buffer.get(..count).unwrap_or_default();
        if bytes.is_empty() {
            return Ok(());
        }
        while !bytes.is_empty() {
            let count = rustix::io::pwrite(to, bytes, at).map_err(failed("write"))?;
            bytes = bytes.get(count..).unwrap_or_default();
            at += u64::try_from(count).unwrap_or(u64::MAX);
        }
    }
    Ok(())
}

/// Makes a directory that nobody else can look into.
pub(super) fn make_dir(dir: BorrowedFd<'_>, name: &OsStr) -> Result<()> {
    rustix::fs::mkdirat(dir, name, Mode::RWXU).map_err(failed("make the directory"))
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    /// Between the look at a name and its opening, who runs in the container may have put a link there.
    #[test]
    fn a_link_that_came_in_between_is_not_followed() {
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir(home.path().join("outside")).unwrap();
        std::fs::write(home.path().join("file"), "").unwrap();
        std::os::unix::fs::symlink("outside", home.path().join("folder")).unwrap();
        std::os::unix::fs::symlink("file", home.path().join("plain")).unwrap();
        let dir = std::fs::File::open(home.path()).unwrap();
        let open = |name: &str, flags| open(dir.as_fd(), OsStr::new(name), flags);
        assert!(open("outside", OFlags::DIRECTORY).is_ok() && open("file", OFlags::empty()).is_ok());
        assert!(open("folder", OFlags::DIRECTORY).is_err() && open("plain", OFlags::empty()).is_err());
    }
}
