//! Steps that enter namespaces and put a root together.

#![expect(unsafe_code, reason = "setns, unshare and an ioctl")]

use core::ffi::{CStr, c_char, c_short};

use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, StatxFlags, fstat, fstatfs, mkdirat, openat, openat2,
    statx,
};
use rustix::io::{Errno, Result};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountPropagationFlags, UnmountFlags, fsconfig_create,
    fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, mount_change, unmount,
};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};

use super::run::Engine;
use super::{Slot, Strings};
use crate::clone::{fork, leave, sibling};
use crate::control::{self, Report};
use crate::mount::{self, Attributes};
use crate::raw;
use crate::rooted::{self, Missing, PROC_MAGIC};

/// `IFF_UP | IFF_RUNNING`.
const UP_AND_RUNNING: c_short = 0x41;
/// `SIOCSIFFLAGS`.
const SET_INTERFACE_FLAGS: usize = 0x8914;

/// Makes new namespaces for the calling process.
pub(super) fn unshare(namespaces: u32) -> Result<()> {
    // SAFETY: the flags name namespaces only, so descriptors and memory stay what they are.
    unsafe { raw::call(libc::SYS_unshare, [raw::word(namespaces), 0, 0, 0, 0, 0]) }.map(drop)
}

/// Makes every mount a slave of what it was copied from: the host's changes come in, ours do not get out.
pub(super) fn isolate() -> Result<()> {
    mount_change(c"/", MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC)
}

/// `struct ifreq`, as SIOCSIFFLAGS reads it.
#[repr(C)]
struct Interface {
    name: [u8; 16],
    flags: c_short,
    rest: [u8; 22],
}

/// Brings `lo` up, which gives it its addresses too.
pub(super) fn bring_loopback_up() -> Result<()> {
    let socket = socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    let mut name = [0; 16];
    name[..2].copy_from_slice(b"lo");
    let request = Interface { name, flags: UP_AND_RUNNING, rest: [0; 22] };
    let args =
        [raw::int(socket.as_raw_fd()), SET_INTERFACE_FLAGS, core::ptr::from_ref(&request) as usize, 0, 0, 0];
    // SAFETY: the request reads a structure of 40 bytes, which this one has.
    unsafe { raw::call(libc::SYS_ioctl, args) }.map(drop)
}

impl Engine {
    pub(super) fn join(&mut self, namespace: Slot, kind: u32) -> Result<()> {
        let fd = self.slot(namespace)?.as_raw_fd();
        // SAFETY: takes numbers only; a namespace holds nothing of this program's memory.
        unsafe { raw::call(libc::SYS_setns, [raw::int(fd), raw::word(kind), 0, 0, 0, 0]) }.map(drop)
    }

    /// Enters namespaces of a process in one call: all of them or none.
    pub(super) fn enter(&mut self, process: Slot, namespaces: u32, root: Slot) -> Result<()> {
        self.join(process, namespaces)?;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        // Not the working directory, which was the host's and has just been set to this.
        let here = openat(CWD, c"/", flags, Mode::empty())?;
        self.fill_slot(root, here)
    }

    /// Becomes two, since a pid namespace is entered by children only: the younger goes on with the plan.
    pub(super) fn descend(&mut self, stays: bool, drains: Slot, leash: Slot) -> Result<()> {
        // Of both: the younger's copies are closed by its return.
        let (master, leash) = (self.take(drains), self.take(leash));
        let born = if stays { fork()? } else { sibling(0)? };
        let Some(pid) = born else { return Ok(()) };
        let report = Report::Born { pid: pid.as_raw_nonzero().get() };
        control::report(self.control()?, &report, None)?;
        if !stays {
            leave(0)
        }
        // The launcher's terminal is to be nothing to us, nor what its shell does with its jobs.
        rustix::process::setsid()?;
        // Nor is who reads from a pipe of the launcher's to wait for our end.
        self.forget_all_but([master.as_ref(), leash.as_ref()])?;
        let handed = leash.and_then(|leash| super::supervise::heel(pid, &leash));
        super::supervise::hold(pid, master.or(handed))
    }

    /// Becomes two: the elder reports the younger and ends, the younger waits for its id maps and goes on.
    pub(super) fn bear(&mut self, namespaces: u64) -> Result<()> {
        let Some(pid) = sibling(namespaces)? else { return control::wait_for_go(self.control()?) };
        let report = Report::Born { pid: pid.as_raw_nonzero().get() };
        control::report(self.control()?, &report, None)?;
        leave(0)
    }

    pub(super) fn fresh(
        &mut self,
        kind: &CStr,
        options: Strings<'_>,
        attributes: u64,
        fallback: &CStr,
        to: Slot,
    ) -> Result<()> {
        match make_file_system(kind, options, attributes) {
            Ok(made) => self.fill_slot(to, made),
            Err(errno @ (Errno::PERM | Errno::ACCESS)) if !fallback.is_empty() => {
                self.notice(errno)?;
                self.copy(fallback, true, 0, attributes, to)
            }
            Err(errno) => Err(errno),
        }
    }

    pub(super) fn copy(
        &mut self,
        path: &CStr,
        recursive: bool,
        device: u64,
        attributes: u64,
        to: Slot,
    ) -> Result<()> {
        let made = mount::copy_path(path, recursive)?;
        if device != 0 {
            let found = fstat(&made)?;
            let is_device = FileType::from_raw_mode(found.st_mode) == FileType::CharacterDevice;
            if !is_device || found.st_rdev != device {
                return Err(Errno::NODEV);
            }
        }
        if attributes != 0 {
            mount::set_attributes(made.as_fd(), &Attributes::new(attributes, 0, 0), recursive)?;
        }
        self.fill_slot(to, made)
    }

    pub(super) fn folder(&mut self, inside: Slot, name: &CStr, mode: u32) -> Result<()> {
        mkdirat(self.slot(inside)?, name, Mode::from_raw_mode(mode))
    }

    pub(super) fn place(&mut self, mount: Slot, inside: Slot, name: &CStr, make: u8) -> Result<()> {
        let at = make_in(self.slot(inside)?, name, make)?;
        mount::attach(self.slot(mount)?, at.as_fd())
    }

    pub(super) fn attach(
        &mut self,
        mount: Slot,
        root: Slot,
        path: &CStr,
        make: u8,
        plain: bool,
    ) -> Result<()> {
        let root = self.slot(root)?;
        let missing = match make {
            3 => alike(self.slot(mount)?)?,
            other => missing(other),
        };
        let at = if plain {
            match rooted::find_plain(root, path, OFlags::PATH) {
                Err(Errno::NOENT) if missing != Missing::Fails => {
                    drop(rooted::find_or_make(root, path, missing)?);
                    rooted::find_plain(root, path, OFlags::PATH)
                }
                other => other,
            }?
        } else {
            let at = rooted::find_or_make(root, path, missing)?;
            // CVE-2023-27561: a link of the image's that leads there, where the path as it was asked for did not.
            if !path.to_bytes().starts_with(b"/proc/") && is_procfs(&at)? {
                return Err(Errno::LOOP);
            }
            at
        };
        mount::attach(self.slot(mount)?, at.as_fd())
    }

    /// What the source forbids and has locked stays forbidden, and that is told.
    pub(super) fn attributes(&mut self, mount: Slot, change: (u64, u64, u64), recursive: bool) -> Result<()> {
        let (set, clear, propagation) = change;
        let mount = self.slot(mount)?;
        match mount::set_attributes(mount, &Attributes::new(set, clear, propagation), recursive) {
            Err(errno @ Errno::PERM) if clear != 0 => {
                mount::set_attributes(mount, &Attributes::new(set, 0, propagation), recursive)?;
                self.notice(errno)
            }
            other => other,
        }
    }

    pub(super) fn hide(&mut self, base: Slot, path: &CStr, null: Slot, empty: Slot) -> Result<()> {
        let Some(at) = find_if_there(self.slot(base)?, path)? else { return Ok(()) };
        let is_folder = FileType::from_raw_mode(fstat(&at)?.st_mode) == FileType::Directory;
        let cover = mount::copy(self.slot(if is_folder { empty } else { null })?, false)?;
        mount::attach(cover.as_fd(), at.as_fd())
    }

    pub(super) fn freeze(&mut self, base: Slot, path: &CStr) -> Result<()> {
        let Some(at) = find_if_there(self.slot(base)?, path)? else { return Ok(()) };
        let cover = mount::copy(at.as_fd(), true)?;
        mount::set_attributes(cover.as_fd(), &Attributes::new(libc::MOUNT_ATTR_RDONLY, 0, 0), true)?;
        mount::attach(cover.as_fd(), at.as_fd())
    }

    /// Writes only to procfs, whatever the path leads to.
    pub(super) fn write(&mut self, base: Slot, path: &CStr, value: &CStr) -> Result<()> {
        let how = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_XDEV;
        let file = openat2(self.slot(base)?, path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty(), how)?;
        if !is_procfs(&file)? {
            return Err(Errno::XDEV);
        }
        // One write: a setting that is written in parts is written wrongly.
        let written = rustix::io::write(&file, value.to_bytes())?;
        if written == value.to_bytes().len() { Ok(()) } else { Err(Errno::IO) }
    }

    pub(super) fn pivot(&mut self, root: Slot) -> Result<()> {
        let root = self.slot(root)?;
        mount::attach_over_root(root)?;
        rustix::process::fchdir(root)?;
        rustix::process::pivot_root(c".", c".")
    }

    /// Unmounts what pivot_root left on top of the new root: the staging area, which covers the old root, and that.
    pub(super) fn depart(&mut self, root: Slot) -> Result<()> {
        // As umount follows `.` to what is mounted on it, this is the staging area, and then the old root.
        unmount(c".", UnmountFlags::DETACH)?;
        unmount(c".", UnmountFlags::DETACH)?;
        rustix::process::chdir(c"/")?;
        // `..` of a root is that root, and then what is mounted on it. Were anything left there, this would be it.
        let here = statx(CWD, c"..", AtFlags::empty(), StatxFlags::MNT_ID | StatxFlags::INO)?;
        let root = statx(self.slot(root)?, c"", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID | StatxFlags::INO)?;
        if here.stx_mnt_id == root.stx_mnt_id && here.stx_ino == root.stx_ino {
            Ok(())
        } else {
            Err(Errno::XDEV)
        }
    }

    pub(super) fn folders(&mut self, root: Slot, path: &CStr) -> Result<()> {
        rooted::find_or_make(self.slot(root)?, path, Missing::Folder).map(drop)
    }

    pub(super) fn locate(&mut self, root: Slot, path: &CStr, to: Slot) -> Result<()> {
        let found = rooted::find_plain(self.slot(root)?, path, OFlags::PATH | OFlags::DIRECTORY)?;
        self.fill_slot(to, found)
    }
}

fn is_procfs(file: &OwnedFd) -> Result<bool> {
    Ok(u64::try_from(fstatfs(file)?.f_type) == Ok(PROC_MAGIC))
}

/// A path to mask: nothing where it does not exist. A link is refused, as it would be the container that says what is
/// masked.
fn find_if_there(base: BorrowedFd<'_>, path: &CStr) -> Result<Option<OwnedFd>> {
    match rooted::find_plain(base, path, OFlags::PATH) {
        Ok(found) => Ok(Some(found)),
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// Opens a name in a directory of our own, made first where that is asked for.
pub(super) fn make_in(inside: BorrowedFd<'_>, name: &CStr, make: u8) -> Result<OwnedFd> {
    match missing(make) {
        Missing::Fails => {}
        Missing::Folder => mkdirat(inside, name, Mode::from_raw_mode(0o755))?,
        Missing::File => {
            let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
            drop(openat(inside, name, flags, Mode::from_raw_mode(0o666))?);
        }
    }
    openat(inside, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
}

/// What a mount can be attached at.
fn alike(mount: BorrowedFd<'_>) -> Result<Missing> {
    let is_folder = FileType::from_raw_mode(fstat(mount)?.st_mode) == FileType::Directory;
    Ok(if is_folder { Missing::Folder } else { Missing::File })
}

const fn missing(make: u8) -> Missing {
    match make {
        0 => Missing::Fails,
        1 => Missing::Folder,
        _ => Missing::File,
    }
}

fn make_file_system(kind: &CStr, options: Strings<'_>, attributes: u64) -> Result<OwnedFd> {
    let context = fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
    let mut options = options.iter();
    while let (Some(name), Some(value)) = (options.next(), options.next()) {
        if value.is_empty() {
            fsconfig_set_flag(&context, name)?;
        } else {
            fsconfig_set_string(&context, name, value)?;
        }
    }
    fsconfig_create(&context)?;
    let attributes = u32::try_from(attributes).map_err(|_overflow| Errno::INVAL)?;
    fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::from_bits_retain(attributes))
}

/// The directory a process is in has a path that starts at its root; else it lies outside.
///
/// CVE-2024-21626: a working directory that was reached through a leaked descriptor of the host's.
pub(super) fn is_inside_root() -> Result<bool> {
    let mut path: [c_char; 4096] = [0; 4096];
    let args = [path.as_mut_ptr() as usize, path.len(), 0, 0, 0, 0];
    // SAFETY: the kernel writes at most as many bytes as the buffer has.
    unsafe { raw::call(libc::SYS_getcwd, args) }?;
    Ok(path[0].cast_unsigned() == b'/')
}
