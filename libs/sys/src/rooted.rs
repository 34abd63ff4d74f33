//! Paths inside a root that a stranger made.
//!
//! Every look-up starts at a descriptor of the root and is resolved by the kernel with RESOLVE_IN_ROOT: absolute links
//! end at the root, `/proc/*/fd` and its like are refused. What is missing is made in a directory that was opened in
//! this way, by one name, without following a link. Whoever renames things meanwhile can choose which file inside the
//! root is meant, never one outside.
//!
//! The kernel is not asked to resolve `..`: until the old root is unmounted it lies on top of the new one, and `..` of a
//! root is what is mounted on that. So links and `..` are taken apart here, and each piece is opened from the root.
//!
//! `ctr_core::rooted` is the same idea for programs with a heap; this one runs in `ctr-init`.

use core::ffi::CStr;

use rustix::fd::{BorrowedFd, OwnedFd};
use rustix::fs::{
    FileType, Mode, OFlags, ResolveFlags, fstat, fstatfs, mkdirat, openat, openat2, readlinkat_raw,
};
use rustix::io::{Errno, Result};

/// As many links are followed as the kernel would.
const MAX_LINKS: u32 = 40;
/// The longest path the kernel takes, its NUL included.
const PATH_MAX: usize = 4096;
/// What missing directories of a mount's path are made with.
const FOLDER_MODE: Mode = Mode::from_raw_mode(0o755);

/// `PROC_SUPER_MAGIC`.
pub(crate) const PROC_MAGIC: u64 = 0x9fa0;

/// What to make of a path that is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// Nothing: it is an error.
    Fails,
    /// A directory.
    Folder,
    /// An empty file.
    File,
}

/// Opens a path in the root for use as a place, links followed within the root.
///
/// # Errors
/// ELOOP for a magic link, ENOENT if nothing is there, and what else the path is worth.
pub fn find(root: BorrowedFd<'_>, path: &CStr, flags: OFlags) -> Result<OwnedFd> {
    if !climbs(path) {
        match open_plain(root, path, flags) {
            Err(Errno::LOOP) => {}
            other => return other,
        }
    }
    walk(root, path, flags, MAX_LINKS)
}

/// As [`find`], and refuses any symbolic link on the way.
///
/// # Errors
/// ELOOP for a link.
pub fn find_plain(root: BorrowedFd<'_>, path: &CStr, flags: OFlags) -> Result<OwnedFd> {
    if climbs(path) { walk(root, path, flags, 0) } else { open_plain(root, path, flags) }
}

/// Whether `..` is in a path.
fn climbs(path: &CStr) -> bool {
    path.to_bytes().split(|byte| *byte == b'/').any(|name| name == b"..")
}

/// Opens a path without links and `..`.
fn open_plain(root: BorrowedFd<'_>, path: &CStr, flags: OFlags) -> Result<OwnedFd> {
    let how = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_SYMLINKS;
    retry(|| openat2(root, path, flags | OFlags::CLOEXEC, Mode::empty(), how))
}

/// Opens a path whose links and `..` are taken apart, with at most so many links.
fn walk(root: BorrowedFd<'_>, path: &CStr, flags: OFlags, links: u32) -> Result<OwnedFd> {
    let mut links = links;
    let (mut real, mut todo, mut name) = (PathBuffer::new(), PathBuffer::new(), PathBuffer::new());
    todo.push(path.to_bytes())?;
    let mut kind = FileType::Directory;
    while todo.pop_component(&mut name)? {
        if kind != FileType::Directory {
            return Err(Errno::NOTDIR);
        }
        match name.bytes() {
            b"." => continue,
            b".." => {
                real.pop();
                continue;
            }
            _ => {}
        }
        let parent = real.len();
        real.push(b"/")?;
        real.push(name.bytes())?;
        let found = open_plain(root, real.as_path(), OFlags::PATH | OFlags::NOFOLLOW)?;
        kind = FileType::from_raw_mode(fstat(&found)?.st_mode);
        if kind == FileType::Symlink {
            links = links.checked_sub(1).ok_or(Errno::LOOP)?;
            refuse_magic(root, &found, real.as_path())?;
            let mut target = [0; PATH_MAX];
            let length = readlinkat_raw(&found, c"", &mut target[..])?;
            let target = target.get(..length).unwrap_or_default();
            real.truncate(if target.starts_with(b"/") { 0 } else { parent });
            todo.prepend(target)?;
            kind = FileType::Directory;
        }
    }
    let path = if real.is_empty() { c"/" } else { real.as_path() };
    open_plain(root, path, flags)
}

/// Refuses a link of procfs that is more than its text.
fn refuse_magic(root: BorrowedFd<'_>, link: &OwnedFd, path: &CStr) -> Result<()> {
    if u64::try_from(fstatfs(link)?.f_type) != Ok(PROC_MAGIC) {
        return Ok(());
    }
    let how = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    match retry(|| openat2(root, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), how)) {
        Err(Errno::LOOP) => Err(Errno::LOOP),
        // An ordinary one, as /proc/self is; where it leads is looked at by its text.
        _ => Ok(()),
    }
}

/// The kernel gives up with EAGAIN when something was renamed while it resolved.
fn retry(mut open: impl FnMut() -> Result<OwnedFd>) -> Result<OwnedFd> {
    for _ in 0..128 {
        match open() {
            Err(Errno::AGAIN | Errno::INTR) => {}
            other => return other,
        }
    }
    Err(Errno::AGAIN)
}

/// As [`find`], and makes what is missing, below dangling links too.
///
/// # Errors
/// As [`find`], and what making it is worth.
pub fn find_or_make(root: BorrowedFd<'_>, path: &CStr, missing: Missing) -> Result<OwnedFd> {
    match find(root, path, OFlags::PATH) {
        Err(Errno::NOENT) if missing != Missing::Fails => Maker::new(path)?.make(root, missing),
        other => other,
    }
}

/// Walks a path by one component after the other.
struct Maker {
    /// The components that are there, each after a slash.
    done: PathBuffer,
    /// What is still to be walked.
    todo: PathBuffer,
    /// How many links were followed.
    links: u32,
}

impl Maker {
    fn new(path: &CStr) -> Result<Self> {
        let mut todo = PathBuffer::new();
        todo.push(path.to_bytes())?;
        Ok(Self { done: PathBuffer::new(), todo, links: 0 })
    }

    fn make(mut self, root: BorrowedFd<'_>, missing: Missing) -> Result<OwnedFd> {
        let mut name = PathBuffer::new();
        while self.todo.pop_component(&mut name)? {
            let parent = self.done.len();
            self.done.push(b"/")?;
            self.done.push(name.bytes())?;
            let Err(errno) = find(root, self.done.as_path(), OFlags::PATH) else { continue };
            if errno != Errno::NOENT {
                return Err(errno);
            }
            let what = if self.todo.is_empty() { missing } else { Missing::Folder };
            self.make_one(root, parent, &name, what)?;
        }
        find(root, self.done.as_path(), OFlags::PATH)
    }

    /// Makes the last component of `done`, or replaces it by the target of the dangling link that it is.
    fn make_one(
        &mut self,
        root: BorrowedFd<'_>,
        parent: usize,
        name: &PathBuffer,
        what: Missing,
    ) -> Result<()> {
        let whole = self.done.len();
        let folder = self.done.with_len(parent, |path| {
            let path = if path.is_empty() { c"/" } else { path };
            find(root, path, OFlags::PATH | OFlags::DIRECTORY)
        })?;
        let made = match what {
            Missing::File => {
                let flags =
                    OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                openat(&folder, name.as_path(), flags, Mode::from_raw_mode(0o644)).map(drop)
            }
            _ => mkdirat(&folder, name.as_path(), FOLDER_MODE),
        };
        match made {
            Ok(()) => {
                self.done.truncate(whole);
                Ok(())
            }
            // Something is there that leads nowhere: a dangling link, or somebody was faster.
            Err(Errno::EXIST) => self.follow(&folder, parent, name),
            Err(errno) => Err(errno),
        }
    }

    /// Puts a link's target in the place of its name.
    fn follow(&mut self, folder: &OwnedFd, parent: usize, name: &PathBuffer) -> Result<()> {
        self.links += 1;
        if self.links > MAX_LINKS {
            return Err(Errno::LOOP);
        }
        let mut target = [0; PATH_MAX];
        let target: &[u8] = match readlinkat_raw(folder, name.as_path(), &mut target[..]) {
            Ok(length) => target.get(..length).unwrap_or_default(),
            // It is no link (any more): walk it again.
            Err(Errno::INVAL) => name.bytes(),
            Err(errno) => return Err(errno),
        };
        self.done.truncate(if target.starts_with(b"/") { 0 } else { parent });
        self.todo.prepend(target)
    }
}

/// A path that grows in place, always ended by a NUL.
struct PathBuffer {
    bytes: [u8; PATH_MAX],
    len: usize,
}

impl PathBuffer {
    const fn new() -> Self {
        Self { bytes: [0; PATH_MAX], len: 0 }
    }

    fn len(&self) -> usize {
        self.len
    }

    fn is_empty(&self) -> bool {
        self.bytes().iter().all(|byte| *byte == b'/')
    }

    fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    fn as_path(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.bytes).unwrap_or_default()
    }

    fn push(&mut self, bytes: &[u8]) -> Result<()> {
        let end = self.len + bytes.len();
        if end >= PATH_MAX {
            return Err(Errno::NAMETOOLONG);
        }
        self.bytes.get_mut(self.len..end).ok_or(Errno::NAMETOOLONG)?.copy_from_slice(bytes);
        self.truncate(end);
        Ok(())
    }

    /// Takes the last component away.
    fn pop(&mut self) {
        let slash = self.bytes().iter().rposition(|byte| *byte == b'/');
        self.truncate(slash.unwrap_or(0));
    }

    fn truncate(&mut self, len: usize) {
        self.len = len;
        if let Some(end) = self.bytes.get_mut(len) {
            *end = 0;
        }
    }

    /// Looks at the first `len` bytes as a path of their own.
    fn with_len<T>(&mut self, len: usize, look: impl FnOnce(&CStr) -> T) -> T {
        let held = self.bytes.get(len).copied().unwrap_or_default();
        if let Some(end) = self.bytes.get_mut(len) {
            *end = 0;
        }
        let result = look(self.as_path());
        if let Some(end) = self.bytes.get_mut(len) {
            *end = held;
        }
        result
    }

    /// Moves the first component to `name`. No slash is left before the next.
    fn pop_component(&mut self, name: &mut Self) -> Result<bool> {
        let start = self.bytes().iter().take_while(|byte| **byte == b'/').count();
        let rest = self.bytes().get(start..).unwrap_or_default();
        let length = rest.iter().take_while(|byte| **byte != b'/').count();
        name.truncate(0);
        name.push(rest.get(..length).unwrap_or_default())?;
        let end = self.len;
        self.bytes.copy_within(start + length..end, 0);
        self.truncate(end - start - length);
        Ok(length > 0)
    }

    /// Puts a path before what is there.
    fn prepend(&mut self, path: &[u8]) -> Result<()> {
        let shift = path.len() + 1;
        if self.len + shift >= PATH_MAX {
            return Err(Errno::NAMETOOLONG);
        }
        self.bytes.copy_within(..self.len, shift);
        for (place, byte) in self.bytes.iter_mut().zip(path.iter().chain(b"/")) {
            *place = *byte;
        }
        self.truncate(self.len + shift);
        Ok(())
    }
}
