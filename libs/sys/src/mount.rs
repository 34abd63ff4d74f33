//! Mounts by descriptor: attributes, clones, and attaching at a place that was opened before.

#![expect(unsafe_code, reason = "mount_setattr, which rustix lacks")]

use core::ffi::CStr;
use core::mem::size_of;

use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use rustix::fs::CWD;
use rustix::io::Result;
use rustix::mount::{MoveMountFlags, OpenTreeFlags, move_mount, open_tree};

use crate::raw;

/// `struct mount_attr` of `linux/mount.h`.
#[repr(C)]
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Attributes {
    /// `MOUNT_ATTR_…` to set.
    pub set: u64,
    /// `MOUNT_ATTR_…` to clear.
    pub clear: u64,
    /// `MS_SHARED`, `MS_SLAVE`, `MS_PRIVATE`, `MS_UNBINDABLE`, or 0 to leave it.
    pub propagation: u64,
    /// Unused here: id-mapped mounts need privileges over the file system.
    userns_fd: u64,
}

impl Attributes {
    /// A change of flags and of propagation.
    #[must_use]
    pub const fn new(set: u64, clear: u64, propagation: u64) -> Self {
        Self { set, clear, propagation, userns_fd: 0 }
    }
}

/// Changes the attributes of a mount, with `recursive` also of those below it. What is not named stays: flags that are
/// locked because the mount came from a more privileged namespace are therefore kept.
///
/// # Errors
/// EPERM for clearing a locked flag, ENOSYS before Linux 5.12.
pub fn set_attributes(mount: BorrowedFd<'_>, change: &Attributes, recursive: bool) -> Result<()> {
    let flags = libc::AT_EMPTY_PATH | if recursive { libc::AT_RECURSIVE } else { 0 };
    let args = [
        raw::int(mount.as_raw_fd()),
        c"".as_ptr() as usize,
        raw::int(flags),
        core::ptr::from_ref(change) as usize,
        size_of::<Attributes>(),
        0,
    ];
    // SAFETY: the path is a literal, and the kernel reads `size` bytes of a live structure of that size.
    unsafe { raw::call(libc::SYS_mount_setattr, args) }.map(drop)
}

/// A detached copy of the mount tree at an open file or directory, which needs not be the root of a mount.
///
/// # Errors
/// EPERM without CAP_SYS_ADMIN over the mount namespace; EINVAL where locked mounts lie below and the copy is not
/// recursive, as it would reveal what they hide.
pub fn copy(of: BorrowedFd<'_>, recursive: bool) -> Result<OwnedFd> {
    open_tree(of, c"", tree_flags(recursive) | OpenTreeFlags::AT_EMPTY_PATH)
}

/// As [`copy`], of a path that nobody but the host's owner controls.
///
/// # Errors
/// As [`copy`], and what the path is worth.
pub fn copy_path(path: &CStr, recursive: bool) -> Result<OwnedFd> {
    open_tree(CWD, path, tree_flags(recursive) | OpenTreeFlags::AT_SYMLINK_NOFOLLOW)
}

fn tree_flags(recursive: bool) -> OpenTreeFlags {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    if recursive { flags | OpenTreeFlags::AT_RECURSIVE } else { flags }
}

/// Attaches a mount, detached or not, at an open file or directory.
///
/// # Errors
/// ENOTDIR if one is a directory and the other is not, EINVAL for what is not of our mount namespace.
pub fn attach(mount: BorrowedFd<'_>, at: BorrowedFd<'_>) -> Result<()> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    move_mount(mount, c"", at, c"", flags)
}

/// Attaches a mount on top of the root directory.
///
/// # Errors
/// As [`attach`].
pub(crate) fn attach_over_root(mount: BorrowedFd<'_>) -> Result<()> {
    move_mount(mount, c"", CWD.as_fd(), c"/", MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
}
