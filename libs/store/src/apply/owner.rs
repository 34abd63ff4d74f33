//! Giving files away.

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd};

use ctr_core::Foreign;
use rustix::fs::{AtFlags, Gid, Uid};
use rustix::io::Errno;

use super::error::{ApplyError, IdKind};
use crate::tar::Header;

/// What is given away.
#[derive(Debug, Clone, Copy)]
pub(super) enum Object<'a> {
    /// An open file or directory.
    Open(BorrowedFd<'a>),
    /// A name in a directory; a link itself.
    Named(BorrowedFd<'a>, &'a OsStr),
}

impl Object<'_> {
    fn chown(self, uid: Option<Uid>, gid: Option<Gid>) -> rustix::io::Result<()> {
        match self {
            Self::Open(file) => rustix::fs::fchown(file, uid, gid),
            Self::Named(dir, name) => rustix::fs::chownat(dir, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW),
        }
    }
}

/// Gives an object to the owner and group of its entry.
pub(super) fn give(object: Object<'_>, header: &Header) -> Result<(), ApplyError> {
    let not_mapped = |kind, id| ApplyError::IdNotMapped { kind, id, path: Foreign::new(&*header.path) };
    let uid = id(header.uid).map(Uid::from_raw).ok_or_else(|| not_mapped(IdKind::Uid, header.uid))?;
    let gid = id(header.gid).map(Gid::from_raw).ok_or_else(|| not_mapped(IdKind::Gid, header.gid))?;
    match object.chown(Some(uid), Some(gid)) {
        Ok(()) => Ok(()),
        // The kernel says EINVAL for both; only one of the two alone tells which.
        Err(Errno::INVAL) if object.chown(Some(uid), None) == Err(Errno::INVAL) => {
            Err(not_mapped(IdKind::Uid, header.uid))
        }
        Err(Errno::INVAL) => Err(not_mapped(IdKind::Gid, header.gid)),
        Err(errno) => {
            let path = Foreign::new(&*header.path);
            Err(ApplyError::Refused { verb: "change the owner of", path, errno })
        }
    }
}

/// The largest number is no id: to the kernel it says "leave it", and a file would stay root's.
fn id(value: u64) -> Option<u32> {
    u32::try_from(value).ok().filter(|id| *id != u32::MAX)
}

/// Tells whether what we create is root's without being given to it.
pub(super) fn creates_as_root(tree: impl AsFd) -> bool {
    let root = rustix::process::geteuid().is_root() && rustix::process::getegid().is_root();
    // In a directory with the set-group-id bit the directory's group would be taken.
    root && ctr_core::rooted::Stat::of(tree).is_ok_and(|stat| !stat.mode.contains(rustix::fs::Mode::SGID))
}
