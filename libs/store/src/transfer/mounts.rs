//! Places where something is mounted, in whatever namespace.
//!
//! The kernel refuses to remove the name of a mount only in the namespace that has it; from another one, to remove it
//! detaches the mount there. A copy into a container would take its `/etc/hosts` away, or empty a folder that the user
//! bound into it.

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd};

use ctr_core::rooted::Entries;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, StatxFlags, statx};
use rustix::io::{Errno, Result};

/// How deep is looked; what lies deeper counts as mounted.
const MAX_DEPTH: u32 = 256;

/// Whether a name in a directory, or something below it, is where something is mounted.
pub(super) fn holds_one(dir: BorrowedFd<'_>, name: &OsStr) -> Result<bool> {
    let Some(here) = mount_of(dir, OsStr::new(""))?.0 else { return Ok(false) };
    holds(dir, name, here, MAX_DEPTH)
}

fn holds(dir: BorrowedFd<'_>, name: &OsStr, here: u64, depth: u32) -> Result<bool> {
    let (mount, kind) = match mount_of(dir, name) {
        // It went meanwhile.
        Err(Errno::NOENT) => return Ok(false),
        other => other?,
    };
    if mount.is_some_and(|mount| mount != here) {
        return Ok(true);
    }
    if kind != FileType::Directory {
        return Ok(false);
    }
    let Some(depth) = depth.checked_sub(1) else { return Ok(true) };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let inner = rustix::fs::openat(dir, name, flags, Mode::empty())?;
    for entry in Entries::new(rustix::io::fcntl_dupfd_cloexec(&inner, 0)?)? {
        if holds(inner.as_fd(), &entry?.name, here, depth)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The mount that something is on, where the kernel says it, and what it is.
fn mount_of(dir: BorrowedFd<'_>, name: &OsStr) -> Result<(Option<u64>, FileType)> {
    let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::EMPTY_PATH;
    let found = statx(dir, name, flags, StatxFlags::TYPE | StatxFlags::MNT_ID)?;
    let known = found.stx_mask & StatxFlags::MNT_ID.bits() != 0;
    Ok((known.then_some(found.stx_mnt_id), FileType::from_raw_mode(found.stx_mode.into())))
}
