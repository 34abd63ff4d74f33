//! What an object in a tree is.

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{AtFlags, FileType, Mode, Statx, StatxFlags, Timespec, Timestamps};
use rustix::io::Result;

/// What an object in a tree is.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Stat {
    /// Its type.
    pub kind: FileType,
    /// The permission bits with set-user-id, set-group-id and sticky.
    pub mode: Mode,
    /// Its owner, as seen from the caller's user namespace.
    pub uid: u32,
    /// Its group, as seen from the caller's user namespace.
    pub gid: u32,
    /// Its size in bytes.
    pub size: u64,
    /// The number of 512-byte blocks it takes.
    pub blocks: u64,
    /// How many names it has.
    pub nlink: u32,
    /// The file system it is on.
    pub device: u64,
    /// Its number there.
    pub inode: u64,
    /// The device a special file stands for.
    pub special: u64,
    /// The last access.
    pub accessed: Timespec,
    /// The last change of its contents.
    pub modified: Timespec,
}

impl Stat {
    /// Describes an open object, which may be an `O_PATH` handle.
    pub fn of(object: impl AsFd) -> Result<Self> {
        let flags = AtFlags::EMPTY_PATH | AtFlags::SYMLINK_NOFOLLOW;
        rustix::fs::statx(object, c"", flags, StatxFlags::BASIC_STATS).map(|raw| Self::from_raw(&raw))
    }

    /// Describes the object called `name` (one component) in `dir`; a link is described itself.
    pub fn at(dir: BorrowedFd<'_>, name: &OsStr) -> Result<Self> {
        rustix::fs::statx(dir, name, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::BASIC_STATS)
            .map(|raw| Self::from_raw(&raw))
    }

    fn from_raw(raw: &Statx) -> Self {
        let mode = u32::from(raw.stx_mode);
        let time = |secs: i64, nanos: u32| Timespec { tv_sec: secs, tv_nsec: nanos.into() };
        Self {
            kind: FileType::from_raw_mode(mode),
            mode: Mode::from_raw_mode(mode),
            uid: raw.stx_uid,
            gid: raw.stx_gid,
            size: raw.stx_size,
            blocks: raw.stx_blocks,
            nlink: raw.stx_nlink,
            device: rustix::fs::makedev(raw.stx_dev_major, raw.stx_dev_minor),
            inode: raw.stx_ino,
            special: rustix::fs::makedev(raw.stx_rdev_major, raw.stx_rdev_minor),
            accessed: time(raw.stx_atime.tv_sec, raw.stx_atime.tv_nsec),
            modified: time(raw.stx_mtime.tv_sec, raw.stx_mtime.tv_nsec),
        }
    }

    /// Tells whether it is a directory.
    #[must_use]
    pub fn is_dir(&self) -> bool {
        self.kind == FileType::Directory
    }

    /// Tells whether it is a character device 0:0, which overlayfs takes for "nothing here".
    #[must_use]
    pub fn is_whiteout(&self) -> bool {
        self.kind == FileType::CharacterDevice && self.special == 0
    }

    /// Returns its times in the form in which they are set.
    #[must_use]
    pub fn times(&self) -> Timestamps {
        Timestamps { last_access: self.accessed, last_modification: self.modified }
    }
}
