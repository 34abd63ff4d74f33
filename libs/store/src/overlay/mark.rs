//! The marks by which overlayfs knows what a layer deletes.
//!
//! A deleted name is a character device 0:0. Where no device can be made it is an empty file with
//! `user.overlay.whiteout`, in a directory that says by `user.overlay.opaque=x` that such files count (Linux
//! 6.7). A directory with `user.overlay.opaque=y` hides all that is below it.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStringExt;

use ctr_core::rooted::Stat;
use rustix::fs::{FileType, Mode, OFlags, XattrFlags};
use rustix::io::{Errno, Result};

/// All attributes of overlayfs begin so.
pub const PREFIX: &[u8] = b"user.overlay.";
/// Hides what is below a directory (`y`), or says that it has whiteouts by attribute (`x`).
pub const OPAQUE: &str = "user.overlay.opaque";
/// Makes an empty file a whiteout.
pub const WHITEOUT: &str = "user.overlay.whiteout";
/// Says that a file's contents are elsewhere.
pub const METACOPY: &str = "user.overlay.metacopy";
/// Says where.
pub const REDIRECT: &str = "user.overlay.redirect";

/// How a directory relates to what is below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opacity {
    /// It is merged with it.
    Merged,
    /// It is merged, and empty files in it may be whiteouts.
    MarkedFiles,
    /// It hides it.
    Opaque,
}

/// Reads the mark of an open directory.
pub fn opacity(dir: impl AsFd) -> Result<Opacity> {
    let mut value = [0; 2];
    match rustix::fs::fgetxattr(dir, OPAQUE, &mut value) {
        Ok(count) => Ok(match value.get(..count) {
            Some(b"y") => Opacity::Opaque,
            Some(b"x") => Opacity::MarkedFiles,
            _ => Opacity::Merged,
        }),
        Err(Errno::NODATA | Errno::OPNOTSUPP | Errno::RANGE) => Ok(Opacity::Merged),
        Err(errno) => Err(errno),
    }
}

/// Returns where the contents of an open file are, if it is a metadata-only clone.
pub(crate) fn redirect(file: impl AsFd) -> Result<Option<OsString>> {
    match rustix::fs::fgetxattr(&file, METACOPY, &mut [0; 1]) {
        Ok(_) | Err(Errno::RANGE) => {}
        Err(Errno::NODATA | Errno::OPNOTSUPP) => return Ok(None),
        Err(errno) => return Err(errno),
    }
    let mut target = vec![0; 4096];
    match rustix::fs::fgetxattr(file, REDIRECT, target.as_mut_slice()) {
        Ok(count) => {
            target.truncate(count);
            Ok(Some(OsString::from_vec(target)))
        }
        Err(Errno::NODATA) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// Makes an open directory hide what is below it.
pub fn set_opaque(dir: impl AsFd) -> Result<()> {
    rustix::fs::fsetxattr(dir, OPAQUE, b"y", XattrFlags::empty())
}

/// Tells whether the object `name` in `dir`, of which `stat` is known, is a whiteout.
pub fn is_whiteout(dir: BorrowedFd<'_>, name: &OsStr, stat: &Stat, opacity: Opacity) -> Result<bool> {
    if stat.is_whiteout() {
        return Ok(true);
    }
    if opacity != Opacity::MarkedFiles || stat.kind != FileType::RegularFile || stat.size != 0 {
        return Ok(false);
    }
    let file = open(dir, name)?;
    match rustix::fs::fgetxattr(&file, WHITEOUT, &mut [0; 1]) {
        Ok(_) | Err(Errno::RANGE) => Ok(true),
        Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(false),
        Err(errno) => Err(errno),
    }
}

fn open(dir: BorrowedFd<'_>, name: &OsStr) -> Result<rustix::fd::OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    rustix::fs::openat(dir, name, flags, Mode::empty())
}

/// Makes a whiteout called `name` in the open directory `dir`.
pub fn make_whiteout(dir: BorrowedFd<'_>, name: &OsStr) -> Result<()> {
    match rustix::fs::mknodat(dir, name, FileType::CharacterDevice, Mode::empty(), 0) {
        // The rule of the kernel, or of a file system that has no devices at all.
        Err(Errno::PERM | Errno::OPNOTSUPP | Errno::INVAL) => make_marked_file(dir, name),
        other => other,
    }
}

/// Makes a whiteout where no device can be made.
pub fn make_marked_file(dir: BorrowedFd<'_>, name: &OsStr) -> Result<()> {
    if opacity(dir)? == Opacity::Merged {
        rustix::fs::fsetxattr(dir, OPAQUE, b"x", XattrFlags::empty())?;
    }
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::openat(dir, name, flags, Mode::empty())?;
    rustix::fs::fsetxattr(file, WHITEOUT, b"y", XattrFlags::empty())
}
