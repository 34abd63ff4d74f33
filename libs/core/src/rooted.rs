//! Files inside a tree that somebody else wrote.
//!
//! A [`Root`] is a handle on an untrusted directory tree: a root file system, an unpacked layer, a build
//! context. Every path given to it is resolved *inside* the tree, as if the calling thread had its root
//! there: `..` stops at the root, and absolute symbolic links (`/var/run -> /run`) start at it again.
//! Nothing below ever hands a joined string to the kernel.
//!
//! # Theory of operation
//! The kernel does the resolving: `openat2` with `RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS`. Where that call
//! is missing (kernels before 5.6, or a seccomp filter that never heard of it) [`walk`] resolves one
//! component at a time with a stack of directory handles, so that `..` is a pop and not a question to a tree
//! that may change meanwhile. Creating directories on the way, also through dangling links, always walks.
//!
//! Operations on a name (create, unlink, rename, …) first resolve the directory that holds it, then act on
//! that one last component without following it.
//!
//! # Invariants
//! - Whatever is renamed or exchanged inside the tree meanwhile, no operation reaches an object outside it.
//! - Special files are never opened for reading or writing: what [`Root::open_file`] returns is a regular file.
//!
//! # References
//! openat2(2) (Linux 5.6); CVE-2018-15664, CVE-2021-30465, CVE-2024-45310, CVE-2024-9676.

mod entries;
mod remove;
mod size;
mod stat;
mod trail;
mod walk;

#[cfg(test)]
mod tests;

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, RenameFlags, ResolveFlags, Timestamps, Uid};
use rustix::io::Errno;

pub use entries::{Entries, Entry};
pub use stat::Stat;
pub use trail::Trail;
use walk::{Last, Missing};

/// How often a resolution that lost a race against a rename is tried again by the kernel before we walk.
const KERNEL_TRIES: u32 = 16;

/// An operation inside an untrusted tree failed.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// The kernel refused.
    #[error("cannot {verb} {path:?} in the tree")]
    Refused {
        /// What was tried, as an infinitive.
        verb: &'static str,
        /// The path inside the tree.
        path: PathBuf,
        /// Why.
        #[source]
        errno: Errno,
    },
    /// A FIFO, a device or a directory stands where a regular file is wanted.
    #[error("{path:?} in the tree is not a regular file")]
    NotRegular {
        /// The path inside the tree.
        path: PathBuf,
    },
    /// A file is larger than what anybody should have to read.
    #[error("{path:?} in the tree is larger than {limit} bytes")]
    TooLarge {
        /// The path inside the tree.
        path: PathBuf,
        /// The limit.
        limit: u64,
    },
    /// Reading the contents failed.
    #[error("cannot read {path:?} in the tree")]
    Read {
        /// The path inside the tree.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

impl TreeError {
    fn new(verb: &'static str, path: &Path, errno: Errno) -> Self {
        Self::Refused { verb, path: path.to_owned(), errno }
    }

    /// Returns the kernel's answer, if it was the kernel that refused.
    #[must_use]
    pub fn errno(&self) -> Option<Errno> {
        match self {
            Self::Refused { errno, .. } => Some(*errno),
            Self::Read { source, .. } => Errno::from_io_error(source),
            Self::NotRegular { .. } | Self::TooLarge { .. } => None,
        }
    }

    /// Tells whether the object does not exist.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        matches!(self.errno(), Some(Errno::NOENT | Errno::NOTDIR))
    }
}

/// The result of an operation inside a tree.
pub type Result<T, E = TreeError> = std::result::Result<T, E>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Resolver {
    Kernel,
    Walk,
}

/// A handle on an untrusted directory tree.
#[derive(Debug)]
pub struct Root {
    dir: OwnedFd,
    resolver: Resolver,
}

impl AsFd for Root {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }
}

impl From<Root> for OwnedFd {
    fn from(root: Root) -> Self {
        root.dir
    }
}

/// Making handles.
impl Root {
    /// Opens the tree at `path`, which is the caller's own, trusted path.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        rustix::fs::open(path, flags, Mode::empty())
            .map(Self::from_dir)
            .map_err(|errno| TreeError::new("open", path, errno))
    }

    /// Makes `dir`, a directory, the root of a tree.
    #[must_use]
    pub fn from_dir(dir: OwnedFd) -> Self {
        Self { dir, resolver: Resolver::Kernel }
    }

    /// Resolves without `openat2` from now on, as on a kernel that lacks it.
    #[must_use]
    pub fn without_openat2(mut self) -> Self {
        self.resolver = Resolver::Walk;
        self
    }

    /// Returns a second handle on the same tree.
    pub fn try_clone(&self) -> Result<Self> {
        let dir = self.dir.try_clone().map_err(|error| {
            TreeError::new("open", Path::new("/"), Errno::from_io_error(&error).unwrap_or(Errno::IO))
        })?;
        Ok(Self { dir, resolver: self.resolver })
    }

    /// Returns the directory at `path` as a root of its own: nothing above it can be reached through it.
    pub fn sub(&self, path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let dir = self.open_at("open", path, OFlags::PATH | OFlags::DIRECTORY, Mode::empty())?;
        Ok(Self { dir, resolver: self.resolver })
    }
}

/// Opening and reading.
impl Root {
    /// Opens `path` with `flags`; a link at its end is followed unless the flags say otherwise.
    ///
    /// With flags that read or write, the caller answers for what opening a FIFO or a device does.
    pub fn open_with(&self, path: impl AsRef<Path>, flags: OFlags, mode: Mode) -> Result<OwnedFd> {
        self.open_at("open", path.as_ref(), flags, mode)
    }

    /// Returns a handle (`O_PATH`) on the object at `path`, following a link at its end.
    pub fn resolve(&self, path: impl AsRef<Path>) -> Result<OwnedFd> {
        self.open_at("open", path.as_ref(), OFlags::PATH, Mode::empty())
    }

    /// Returns a handle (`O_PATH`) on the object at `path`, which may be a link itself.
    pub fn resolve_link(&self, path: impl AsRef<Path>) -> Result<OwnedFd> {
        self.open_at("open", path.as_ref(), OFlags::PATH | OFlags::NOFOLLOW, Mode::empty())
    }

    /// Opens the directory at `path` for reading.
    pub fn open_dir(&self, path: impl AsRef<Path>) -> Result<OwnedFd> {
        self.open_at("open", path.as_ref(), OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty())
    }

    /// Opens the regular file at `path` for reading; a FIFO or a device is refused without waiting for it.
    pub fn open_file(&self, path: impl AsRef<Path>) -> Result<File> {
        let path = path.as_ref();
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
        let file = self.open_at("open", path, flags, Mode::empty())?;
        self.require_regular(path, &file)?;
        Ok(File::from(file))
    }

    fn require_regular(&self, path: &Path, file: &OwnedFd) -> Result<Stat> {
        let stat = Stat::of(file).map_err(|errno| TreeError::new("stat", path, errno))?;
        if stat.kind == FileType::RegularFile {
            Ok(stat)
        } else {
            Err(TreeError::NotRegular { path: path.to_owned() })
        }
    }

    /// Reads the whole regular file at `path`, at most `limit` bytes.
    pub fn read_bounded(&self, path: impl AsRef<Path>, limit: u64) -> Result<Vec<u8>> {
        let path = path.as_ref();
        let file = self.open_file(path)?;
        let mut bytes = Vec::new();
        // One more than allowed: the size the file claims may be stale, or 0 as in procfs.
        let taken = file.take(limit.saturating_add(1)).read_to_end(&mut bytes);
        taken.map_err(|source| TreeError::Read { path: path.to_owned(), source })?;
        if u64::try_from(bytes.len()).is_ok_and(|len| len <= limit) {
            Ok(bytes)
        } else {
            Err(TreeError::TooLarge { path: path.to_owned(), limit })
        }
    }

    /// Returns what the object at `path` is, following a link at its end.
    pub fn stat(&self, path: impl AsRef<Path>) -> Result<Stat> {
        let path = path.as_ref();
        let object = self.resolve(path)?;
        Stat::of(&object).map_err(|errno| TreeError::new("stat", path, errno))
    }

    /// Returns what the object at `path` is; a link is described itself.
    pub fn lstat(&self, path: impl AsRef<Path>) -> Result<Stat> {
        let path = path.as_ref();
        let object = self.resolve_link(path)?;
        Stat::of(&object).map_err(|errno| TreeError::new("stat", path, errno))
    }

    /// Tells whether something is at `path`; a dangling link counts.
    pub fn exists(&self, path: impl AsRef<Path>) -> Result<bool> {
        match self.resolve_link(path) {
            Ok(_) => Ok(true),
            Err(error) if error.is_missing() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Returns the text of the symbolic link at `path`.
    pub fn read_link(&self, path: impl AsRef<Path>) -> Result<OsString> {
        let path = path.as_ref();
        let link = self.resolve_link(path)?;
        rustix::fs::readlinkat(&link, c"", Vec::new())
            .map(|text| OsString::from_vec(text.into_bytes()))
            // An empty name on a handle of something else than a link says ENOENT, not EINVAL.
            .map_err(|errno| TreeError::new("read the link", path, not_a_link(errno)))
    }

    /// Iterates over what is in the directory at `path`, without `.` and `..`.
    pub fn entries(&self, path: impl AsRef<Path>) -> Result<Entries> {
        let path = path.as_ref();
        let dir = self.open_dir(path)?;
        Entries::new(dir).map_err(|errno| TreeError::new("list", path, errno))
    }

    /// The sum of the sizes of all regular files below the directory at `path`; one with several names counts once.
    pub fn size_below(&self, path: impl AsRef<Path>) -> Result<u64> {
        let path = path.as_ref();
        let dir = self.open_dir(path)?;
        size::below(dir).map_err(|errno| TreeError::new("count the bytes of", path, errno))
    }
}

/// Creating, changing and removing.
impl Root {
    /// Creates the regular file at `path`, which must not exist, and opens it for reading and writing.
    pub fn create_new(&self, path: impl AsRef<Path>, mode: Mode) -> Result<File> {
        let path = path.as_ref();
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
        self.name_op("create", path, |dir, name| {
            rustix::fs::openat(dir, name, flags | OFlags::CLOEXEC, mode).map(File::from)
        })
    }

    /// Makes sure a file other than a directory is at `path`, also through dangling links, and returns a
    /// handle (`O_PATH`) on it. Missing directories on the way are made with `dirs`, a missing file with `mode`.
    pub fn ensure_file(&self, path: impl AsRef<Path>, mode: Mode, dirs: Mode) -> Result<OwnedFd> {
        let path = path.as_ref();
        match self.resolve(path) {
            Err(error) if error.is_missing() => {}
            other => return other,
        }
        let place = walk::walk(self.dir.as_fd(), path, Last::Follow, Missing::Create(dirs))
            .map_err(|errno| TreeError::new("create", path, errno))?;
        let name = place.name.as_deref().ok_or_else(|| TreeError::new("create", path, Errno::ISDIR))?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match rustix::fs::openat(&place.dir, name, flags, mode) {
            Ok(_) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(TreeError::new("create", path, errno)),
        }
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&place.dir, name, flags, Mode::empty())
            .map_err(|errno| TreeError::new("open", path, errno))?;
        match Stat::of(&file) {
            // Somebody swaps what is there.
            Ok(stat) if stat.kind == FileType::Symlink => Err(TreeError::new("create", path, Errno::LOOP)),
            Ok(_) => Ok(file),
            Err(errno) => Err(TreeError::new("stat", path, errno)),
        }
    }

    /// Makes the directory at `path`, which must not exist.
    pub fn mkdir(&self, path: impl AsRef<Path>, mode: Mode) -> Result<()> {
        self.name_op("make the directory", path.as_ref(), |dir, name| rustix::fs::mkdirat(dir, name, mode))
    }

    /// Makes the directory at `path` and those above it where they are missing, also where a dangling link
    /// says they should be, and returns a handle (`O_PATH`) on it.
    pub fn mkdir_all(&self, path: impl AsRef<Path>, mode: Mode) -> Result<OwnedFd> {
        let path = path.as_ref();
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        match self.open_at("open", path, flags, Mode::empty()) {
            Err(error) if error.errno() == Some(Errno::NOENT) => {}
            other => return other,
        }
        walk::directory(self.dir.as_fd(), path, Missing::Create(mode))
            .map_err(|errno| TreeError::new("make the directory", path, errno))
    }

    /// Makes a symbolic link at `path` with the text `target`, which is not looked at.
    pub fn symlink(&self, target: impl AsRef<OsStr>, path: impl AsRef<Path>) -> Result<()> {
        let target = target.as_ref();
        self.name_op("make the link", path.as_ref(), |dir, name| rustix::fs::symlinkat(target, dir, name))
    }

    /// Gives the object at `existing` (a link is not followed) a second name `path`.
    pub fn hard_link(&self, existing: impl AsRef<Path>, path: impl AsRef<Path>) -> Result<()> {
        let existing = existing.as_ref();
        let (from, from_name) = self.parent("link", existing)?;
        self.name_op("link", path.as_ref(), |dir, name| {
            rustix::fs::linkat(&from, from_name, dir, name, AtFlags::empty())
        })
    }

    /// Makes a special file at `path`.
    pub fn mknod(&self, path: impl AsRef<Path>, kind: FileType, mode: Mode, device: u64) -> Result<()> {
        self.name_op("make the node", path.as_ref(), |dir, name| {
            rustix::fs::mknodat(dir, name, kind, mode, device)
        })
    }

    /// Removes the name `path`, which is no directory.
    pub fn unlink(&self, path: impl AsRef<Path>) -> Result<()> {
        self.name_op("remove", path.as_ref(), |dir, name| rustix::fs::unlinkat(dir, name, AtFlags::empty()))
    }

    /// Removes the empty directory `path`.
    pub fn rmdir(&self, path: impl AsRef<Path>) -> Result<()> {
        self.name_op("remove", path.as_ref(), |dir, name| rustix::fs::unlinkat(dir, name, AtFlags::REMOVEDIR))
    }

    /// Removes whatever is at `path` with all below it; a link is removed, not followed. Missing is fine.
    pub fn remove_tree(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        match self.parent("remove", path) {
            Ok((dir, name)) => {
                remove::tree(dir.as_fd(), name).map_err(|errno| TreeError::new("remove", path, errno))
            }
            Err(error) if error.is_missing() => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Moves `from` to the name `to`, replacing what is there unless the flags say otherwise.
    pub fn rename(&self, from: impl AsRef<Path>, to: impl AsRef<Path>, flags: RenameFlags) -> Result<()> {
        let (from_dir, from_name) = self.parent("rename", from.as_ref())?;
        self.name_op("rename", to.as_ref(), |dir, name| {
            rustix::fs::renameat_with(&from_dir, from_name, dir, name, flags)
        })
    }

    /// Changes the owner of `path`; a link is changed itself.
    pub fn set_owner(&self, path: impl AsRef<Path>, uid: Option<u32>, gid: Option<u32>) -> Result<()> {
        let path = path.as_ref();
        let object = self.resolve_link(path)?;
        let (uid, gid) = (uid.map(Uid::from_raw), gid.map(Gid::from_raw));
        rustix::fs::chownat(&object, c"", uid, gid, AtFlags::EMPTY_PATH)
            .map_err(|errno| TreeError::new("change the owner of", path, errno))
    }

    /// Changes the times of `path`; a link is changed itself.
    pub fn set_times(&self, path: impl AsRef<Path>, times: &Timestamps) -> Result<()> {
        self.name_op("set the times of", path.as_ref(), |dir, name| {
            rustix::fs::utimensat(dir, name, times, AtFlags::SYMLINK_NOFOLLOW)
        })
    }

    /// Changes the mode of the directory or regular file at `path`; links are refused.
    pub fn set_mode(&self, path: impl AsRef<Path>, mode: Mode) -> Result<()> {
        let path = path.as_ref();
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::NOFOLLOW;
        let object = self.open_at("open", path, flags, Mode::empty())?;
        rustix::fs::fchmod(object, mode).map_err(|errno| TreeError::new("change the mode of", path, errno))
    }
}

/// Resolving.
impl Root {
    /// Resolves the directory that holds `path` and returns it with the last component, which is a plain name.
    ///
    /// For several operations on names of one directory, each by `*at` calls of the caller's.
    pub fn parent_of<'p>(&self, path: &'p Path) -> Result<(OwnedFd, &'p OsStr)> {
        self.parent("resolve", path)
    }

    fn parent<'p>(&self, verb: &'static str, path: &'p Path) -> Result<(OwnedFd, &'p OsStr)> {
        let (dir, name) = split(path).ok_or_else(|| TreeError::new(verb, path, Errno::INVAL))?;
        let dir = self.open_raw(dir, OFlags::PATH | OFlags::DIRECTORY, Mode::empty());
        Ok((dir.map_err(|errno| TreeError::new(verb, path, errno))?, name))
    }

    fn name_op<T>(
        &self,
        verb: &'static str,
        path: &Path,
        act: impl FnOnce(BorrowedFd<'_>, &OsStr) -> rustix::io::Result<T>,
    ) -> Result<T> {
        let (dir, name) = self.parent(verb, path)?;
        act(dir.as_fd(), name).map_err(|errno| TreeError::new(verb, path, errno))
    }

    fn open_at(&self, verb: &'static str, path: &Path, flags: OFlags, mode: Mode) -> Result<OwnedFd> {
        self.open_raw(path, flags, mode).map_err(|errno| TreeError::new(verb, path, errno))
    }

    fn open_raw(&self, path: &Path, flags: OFlags, mode: Mode) -> rustix::io::Result<OwnedFd> {
        let flags = flags | OFlags::CLOEXEC;
        // "" is the root itself, as "/" is.
        let path = if path.as_os_str().is_empty() { Path::new("/") } else { path };
        if self.resolver == Resolver::Kernel {
            match self.open_by_kernel(path, flags, mode) {
                // EPERM: seccomp filters older than the call refuse it so.
                Err(Errno::NOSYS | Errno::AGAIN | Errno::PERM) => {}
                other => return other,
            }
        }
        walk::open(self.dir.as_fd(), path, flags, mode)
    }

    fn open_by_kernel(&self, path: &Path, flags: OFlags, mode: Mode) -> rustix::io::Result<OwnedFd> {
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        let mode = if flags.intersects(OFlags::CREATE | OFlags::TMPFILE) { mode } else { Mode::empty() };
        let mut answer = Err(Errno::AGAIN);
        for _ in 0..KERNEL_TRIES {
            answer = rustix::fs::openat2(&self.dir, path, flags, mode, resolve);
            if !matches!(answer, Err(Errno::AGAIN | Errno::INTR)) {
                break;
            }
        }
        answer
    }
}

/// Splits a path into the directory and the last component; none if that is no plain name.
fn split(path: &Path) -> Option<(&Path, &OsStr)> {
    let bytes = path.as_os_str().as_bytes();
    let end = bytes.iter().rposition(|byte| *byte != b'/')?;
    let bytes = bytes.get(..=end)?;
    let start = bytes.iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
    let (dir, name) = bytes.split_at_checked(start)?;
    let plain = !name.is_empty() && name != b"." && name != b"..";
    plain.then(|| (Path::new(OsStr::from_bytes(dir)), OsStr::from_bytes(name)))
}

fn not_a_link(errno: Errno) -> Errno {
    if errno == Errno::NOENT { Errno::INVAL } else { errno }
}
