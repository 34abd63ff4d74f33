//! Resolves a path inside a tree one component at a time, for kernels without `openat2`.
//!
//! The directories passed so far are held open as a stack, and `..` pops it: no question about a parent is
//! ever put to a tree in which directories may be moved meanwhile. Each step opens one name with
//! `O_NOFOLLOW`, so a link that appears between looking and opening is noticed and looked at again.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags, PROC_SUPER_MAGIC};
use rustix::io::{Errno, Result};

/// As many links as the kernel follows in one path.
const MAX_LINKS: u32 = 40;

/// How often one step is repeated against somebody who swaps objects.
const MAX_RACES: u32 = 256;

/// What to do with a link as the last component.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Last {
    Follow,
    Keep,
}

/// What to do about a directory on the way that does not exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Missing {
    Fail,
    Create(Mode),
}

/// Where a walk ended: a name in a directory, or a directory itself.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) dir: OwnedFd,
    pub(super) name: Option<OsString>,
}

struct Walk<'r> {
    root: BorrowedFd<'r>,
    stack: Vec<OwnedFd>,
    /// Components still to take, the next one last.
    todo: Vec<OsString>,
    links: u32,
    races: u32,
}

impl Walk<'_> {
    fn top(&self) -> BorrowedFd<'_> {
        self.stack.last().map_or(self.root, AsFd::as_fd)
    }

    /// Puts the components of `path` in front of what is still to do.
    fn push_path(&mut self, path: &OsStr) {
        let bytes = path.as_bytes();
        if bytes.starts_with(b"/") {
            self.stack.clear();
        }
        if bytes.ends_with(b"/") {
            // What has a slash at its end must be a directory, and a link there is followed.
            self.todo.push(".".into());
        }
        let parts = bytes.split(|byte| *byte == b'/').filter(|part| !part.is_empty());
        self.todo.extend(parts.rev().map(|part| OsStr::from_bytes(part).to_owned()));
    }

    fn lost_race(&mut self) -> Result<()> {
        self.races += 1;
        if self.races > MAX_RACES { Err(Errno::AGAIN) } else { Ok(()) }
    }

    fn follow(&mut self, text: &OsStr) -> Result<()> {
        self.links += 1;
        if self.links > MAX_LINKS || is_magic(self.top(), text)? {
            return Err(Errno::LOOP);
        }
        if text.is_empty() {
            return Err(Errno::NOENT);
        }
        self.push_path(text);
        Ok(())
    }

    fn descend(&mut self, name: &OsStr, missing: Missing) -> Result<()> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match rustix::fs::openat(self.top(), name, flags, Mode::empty()) {
            Ok(dir) => {
                self.stack.push(dir);
                Ok(())
            }
            Err(Errno::NOENT) => {
                let Missing::Create(mode) = missing else { return Err(Errno::NOENT) };
                match rustix::fs::mkdirat(self.top(), name, mode) {
                    Ok(()) | Err(Errno::EXIST) => self.again(name),
                    Err(errno) => Err(errno),
                }
            }
            // A link took the place of what was none a moment ago: look again.
            Err(Errno::NOTDIR | Errno::LOOP) if is_link(self.top(), name)? => self.again(name),
            Err(errno) => Err(errno),
        }
    }

    fn again(&mut self, name: &OsStr) -> Result<()> {
        self.lost_race()?;
        self.todo.push(name.to_owned());
        Ok(())
    }
}

/// Resolves all but the last component of `path`, and that too where it is a link to follow.
pub(super) fn walk(root: BorrowedFd<'_>, path: &Path, last: Last, missing: Missing) -> Result<Place> {
    let mut walk = Walk { root, stack: Vec::new(), todo: Vec::new(), links: 0, races: 0 };
    walk.push_path(path.as_os_str());
    while let Some(name) = walk.todo.pop() {
        match name.as_bytes() {
            b"." => continue,
            b".." => {
                walk.stack.pop();
                continue;
            }
            _ => {}
        }
        let at_end = walk.todo.is_empty();
        if at_end && last == Last::Keep {
            return place(&walk, Some(name));
        }
        match rustix::fs::readlinkat(walk.top(), &name, Vec::new()) {
            Ok(text) => walk.follow(&OsString::from_vec(text.into_bytes()))?,
            Err(Errno::INVAL | Errno::NOENT) if at_end => return place(&walk, Some(name)),
            Err(Errno::INVAL | Errno::NOENT) => walk.descend(&name, missing)?,
            Err(errno) => return Err(errno),
        }
    }
    place(&walk, None)
}

fn place(walk: &Walk<'_>, name: Option<OsString>) -> Result<Place> {
    let dir = rustix::io::fcntl_dupfd_cloexec(walk.top(), 0)?;
    Ok(Place { dir, name })
}

/// Resolves `path` to a directory.
pub(super) fn directory(root: BorrowedFd<'_>, path: &Path, missing: Missing) -> Result<OwnedFd> {
    let mut path = path.as_os_str().to_owned();
    path.push("/.");
    Ok(walk(root, Path::new(&path), Last::Follow, missing)?.dir)
}

/// Opens `path` as `openat2` with `RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS` would.
pub(super) fn open(root: BorrowedFd<'_>, path: &Path, flags: OFlags, mode: Mode) -> Result<OwnedFd> {
    let keep = flags.contains(OFlags::NOFOLLOW) || flags.contains(OFlags::CREATE | OFlags::EXCL);
    let last = if keep { Last::Keep } else { Last::Follow };
    for _ in 0..MAX_RACES {
        let place = walk(root, path, last, Missing::Fail)?;
        let Some(name) = place.name else {
            // A directory: its own name "." opens it anew with the wanted flags.
            return rustix::fs::openat(&place.dir, c".", flags, mode);
        };
        match rustix::fs::openat(&place.dir, &name, flags | OFlags::NOFOLLOW, mode) {
            Err(Errno::LOOP | Errno::NOTDIR)
                if last == Last::Follow && is_link(place.dir.as_fd(), &name)? => {}
            Ok(object)
                if last == Last::Follow && flags.contains(OFlags::PATH) && is_link_itself(&object)? => {}
            other => return other,
        }
    }
    Err(Errno::AGAIN)
}

fn is_link(dir: BorrowedFd<'_>, name: &OsStr) -> Result<bool> {
    match rustix::fs::statat(dir, name, rustix::fs::AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(FileType::from_raw_mode(stat.st_mode) == FileType::Symlink),
        // Gone again: the next look will tell.
        Err(Errno::NOENT) => Ok(true),
        Err(errno) => Err(errno),
    }
}

fn is_link_itself(object: &OwnedFd) -> Result<bool> {
    rustix::fs::fstat(object).map(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Symlink)
}

/// Tells whether a link in `dir` is one of procfs that leads to an object instead of a path.
///
/// Their texts are absolute paths or `type:[inode]`; the ordinary links of procfs (`self`, `thread-self`,
/// `mounts`, `net`) are plain relative ones.
fn is_magic(dir: BorrowedFd<'_>, text: &OsStr) -> Result<bool> {
    if rustix::fs::fstatfs(dir)?.f_type != PROC_SUPER_MAGIC {
        return Ok(false);
    }
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'-' | b'_');
    Ok(text.as_bytes().starts_with(b"/") || !text.as_bytes().iter().all(plain))
}
