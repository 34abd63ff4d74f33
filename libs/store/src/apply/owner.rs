//! Giving files away.

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd};

use ctr_core::Foreign;
use rustix::fs::{AtFlags, Gid, Mode, Uid};
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

/// What the kernel gives a new object by itself, so that it need not be given again.
#[derive(Debug, Clone, Copy)]
pub(super) struct Defaults {
    /// It belongs to root.
    root: bool,
    /// Bits of its mode that the process takes away.
    umask: u32,
}

impl Defaults {
    /// Finds out what new objects in `tree` get.
    pub(super) fn find(tree: impl AsFd, umask: u32) -> rustix::io::Result<Self> {
        take_off_acls(&tree)?;
        let root = rustix::process::geteuid().is_root() && rustix::process::getegid().is_root();
        // In a directory with the set-group-id bit the directory's group would be taken.
        let stat = ctr_core::rooted::Stat::of(tree)?;
        Ok(Self { root: root && !stat.mode.contains(Mode::SGID), umask })
    }

    /// Tells whether a new object has the owner of its entry.
    pub(super) fn owns(self, header: &Header) -> bool {
        self.root && header.uid == 0 && header.gid == 0
    }

    /// Tells whether a new object has the mode of its entry if it is created with it: changing the owner takes
    /// bits away, and so does the process.
    pub(super) fn keeps_mode(self, header: &Header) -> bool {
        self.owns(header) && header.mode & (0o7000 | self.umask) == 0
    }
}

/// Takes ACLs off the top of a tree. A default one, which a folder of the user's may have handed down, would be in
/// everything that is made in there.
pub(crate) fn take_off_acls(tree: impl AsFd) -> rustix::io::Result<()> {
    for acl in ["system.posix_acl_default", "system.posix_acl_access"] {
        match rustix::fs::fremovexattr(&tree, acl) {
            Ok(()) | Err(Errno::NODATA | Errno::OPNOTSUPP) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// Returns the mode bits that the process takes away from what it creates; all, if that cannot be told.
pub(crate) fn umask() -> u32 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let field = status.lines().find_map(|line| line.strip_prefix("Umask:"));
    field.and_then(|text| u32::from_str_radix(text.trim(), 8).ok()).unwrap_or(0o777)
}
