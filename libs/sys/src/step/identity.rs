//! Steps that turn the process into what the container's command starts as.

#![expect(unsafe_code, reason = "prlimit, close_range")]

use core::ffi::CStr;

use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use rustix::fs::{Mode, OFlags, Uid, fchown, fstatfs, openat};
use rustix::io::{Errno, FdFlags, Result};
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use super::run::Engine;
use super::{Slot, Words, enter};
use crate::control::{self, Report};
use crate::cred::{self, Sets};
use crate::{mount, raw, rooted};

/// `DEVPTS_SUPER_MAGIC`.
const DEVPTS_MAGIC: u64 = 0x1cd1;

/// Linux takes no more supplementary groups.
const MAX_GROUPS: usize = 65_536;
/// How many groups fit without memory of their own. More than any container has had.
const GROUPS: usize = 1024;

/// `AUDIT_ARCH_X86_64`.
#[cfg(target_arch = "x86_64")]
const KEYRING_CALLS: &[(u32, [u32; 3])] =
    // add_key, request_key, keyctl of x86_64 and of i386.
    &[(0xc000_003e, [248, 249, 250]), (0x4000_0003, [286, 287, 288])];
/// `AUDIT_ARCH_AARCH64`, `AUDIT_ARCH_ARM`.
#[cfg(target_arch = "aarch64")]
const KEYRING_CALLS: &[(u32, [u32; 3])] = &[(0xc000_00b7, [217, 218, 219]), (0x4000_0028, [309, 310, 311])];

/// Sets the supplementary groups.
pub(super) fn set_groups(ids: Words<'_>) -> Result<()> {
    let mut groups = [0; GROUPS];
    let mut count = 0;
    for id in ids.iter() {
        *groups.get_mut(count).ok_or(Errno::INVAL)? = id;
        count += 1;
    }
    const { assert!(GROUPS <= MAX_GROUPS) };
    cred::set_groups(groups.get(..count).unwrap_or_default())
}

/// Changes ids and keeps the capabilities: what comes after still needs some.
pub(super) fn become_user(uid: u32, gid: u32) -> Result<()> {
    let held = cred::sets()?;
    cred::keep_capabilities()?;
    cred::set_group(gid)?;
    cred::set_user(uid)?;
    cred::set_sets(Sets { effective: held.permitted, ..held })
}

/// Sets two of the five sets, the others still full.
pub(super) fn set_ambient(inheritable: u64, ambient: u64) -> Result<()> {
    let held = cred::sets()?;
    cred::set_sets(Sets { inheritable, ..held })?;
    cred::set_ambient(ambient)
}

/// `struct rlimit64`.
#[repr(C)]
struct Limits {
    soft: u64,
    hard: u64,
}

/// Sets one resource limit.
pub(super) fn limit(resource: u32, soft: u64, hard: u64) -> Result<()> {
    let limits = Limits { soft, hard };
    let args = [0, raw::word(resource), core::ptr::from_ref(&limits) as usize, 0, 0, 0];
    // SAFETY: the kernel reads one structure of two 64 bit numbers, and writes nothing to a null pointer.
    unsafe { raw::call(libc::SYS_prlimit64, args) }.map(drop)
}

impl Engine {
    /// Opens a pair. Its master goes to the launcher, unless there is a slot of ours for it.
    pub(super) fn terminal(
        &mut self,
        devpts: Slot,
        uid: u32,
        size: (u16, u16),
        (keep, to): (Slot, Slot),
    ) -> Result<()> {
        // A directory that the container may have had its hands on: nothing else there has a `ptmx` that is one.
        if u64::try_from(fstatfs(self.slot(devpts)?)?.f_type) != Ok(DEVPTS_MAGIC) {
            return Err(Errno::NODEV);
        }
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let master = openat(self.slot(devpts)?, c"ptmx", flags, Mode::empty())?;
        unlockpt(&master)?;
        let slave =
            ioctl_tiocgptpeer(&master, OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        fchown(&slave, cred::kept(uid).map(Uid::from_raw), None)?;
        if size != (0, 0) {
            let (ws_row, ws_col) = size;
            tcsetwinsize(&master, Winsize { ws_row, ws_col, ws_xpixel: 0, ws_ypixel: 0 })?;
        }
        if keep == Slot::NONE {
            control::report(self.control()?, &Report::Terminal, Some(master.as_fd()))?;
        } else {
            self.fill_slot(keep, master)?;
        }
        self.fill_slot(to, slave)
    }

    pub(super) fn console(&mut self, terminal: Slot, inside: Slot, name: &CStr) -> Result<()> {
        let cover = mount::copy(self.slot(terminal)?, false)?;
        let at = enter::make_in(self.slot(inside)?, name, 2)?;
        mount::attach(cover.as_fd(), at.as_fd())
    }

    pub(super) fn take_terminal(&mut self, terminal: Slot) -> Result<()> {
        let terminal = self.slot(terminal)?;
        rustix::process::ioctl_tiocsctty(terminal)?;
        rustix::stdio::dup2_stdin(terminal)?;
        rustix::stdio::dup2_stdout(terminal)?;
        rustix::stdio::dup2_stderr(terminal)
    }

    /// A keyring of the container's own, or none: never the one of the user's login.
    pub(super) fn keyring(&mut self) -> Result<()> {
        match cred::join_new_keyring() {
            Ok(()) => Ok(()),
            // The kernel has none.
            Err(Errno::NOSYS) => Ok(()),
            Err(errno) => {
                deny_keyrings()?;
                self.notice(errno)
            }
        }
    }

    pub(super) fn change_directory(&mut self, root: Slot, path: &CStr) -> Result<()> {
        let folder = rooted::find(self.slot(root)?, path, OFlags::PATH | OFlags::DIRECTORY)?;
        rustix::process::fchdir(&folder)?;
        if enter::is_inside_root()? { Ok(()) } else { Err(Errno::XDEV) }
    }

    /// A parent that died before this was said is noticed by its end of the socket: the id of a parent in another pid
    /// namespace is 0 whether it lives or not.
    pub(super) fn die_with_parent(&mut self, signal: u32) -> Result<()> {
        cred::die_with_parent(signal)?;
        if control::is_deserted(self.control()?)? { Err(Errno::PIPE) } else { Ok(()) }
    }

    pub(super) fn close(&mut self, keep: Words<'_>) -> Result<()> {
        let mut first = 3;
        for kept in keep.iter() {
            // A number that nobody handed in may by now be one of ours.
            if kept < first || self.holds(kept) {
                return Err(Errno::BADF);
            }
            close_on_exec(first, kept)?;
            keep_open(kept)?;
            first = kept + 1;
        }
        close_on_exec(first, u32::MAX)
    }

    /// Closes what an exec would close, and all that steps needed: whoever waits keeps nobody's pipe open.
    pub(super) fn close_all_but(&mut self, keep: Words<'_>) -> Result<()> {
        self.drop_slots();
        let control = self.control()?.as_raw_fd().unsigned_abs();
        let mut first = 3;
        let before = keep.iter().filter(|kept| *kept < control);
        let after = keep.iter().filter(|kept| *kept > control);
        for kept in before.chain([control]).chain(after) {
            close_now(first, kept)?;
            first = kept + 1;
        }
        close_now(first, u32::MAX)
    }

    /// Closes what whoever launched us left open, and all that steps needed, but for these: for a process that stays behind.
    pub(super) fn forget_all_but(&mut self, kept: [Option<&OwnedFd>; 2]) -> Result<()> {
        self.forget_descriptors();
        let mut kept = kept.map(|fd| fd.map(|fd| fd.as_raw_fd().unsigned_abs()));
        kept.sort_unstable();
        let mut first = 3;
        for kept in kept.into_iter().flatten() {
            close_now(first, kept)?;
            first = kept + 1;
        }
        close_now(first, u32::MAX)
    }

    pub(super) fn seccomp(&mut self, program: &[u8], flags: u32) -> Result<()> {
        match cred::filter(program, flags)? {
            Some(listener) => control::report(self.control()?, &Report::Listener, Some(listener.as_fd())),
            None => Ok(()),
        }
    }
}

/// Marks descriptors from `first` up to but without `end`.
fn close_on_exec(first: u32, end: u32) -> Result<()> {
    // SAFETY: nothing is closed now, only marked.
    unsafe { close_range(first, end, libc::CLOSE_RANGE_CLOEXEC as usize) }
}

/// Closes descriptors from `first` up to but without `end`.
fn close_now(first: u32, end: u32) -> Result<()> {
    // SAFETY: the callers have let go of all descriptors but those that they leave out.
    unsafe { close_range(first, end, 0) }
}

/// # Safety
/// What is closed must be nobody's.
unsafe fn close_range(first: u32, end: u32, flags: usize) -> Result<()> {
    if first == end {
        return Ok(());
    }
    let args = [raw::word(first), raw::word(end - 1), flags, 0, 0, 0];
    // SAFETY: takes numbers only; whose they are is the caller's promise.
    unsafe { raw::call(libc::SYS_close_range, args) }.map(drop)
}

/// Takes the mark off a descriptor that the launcher's caller handed in.
fn keep_open(number: u32) -> Result<()> {
    let number = i32::try_from(number).map_err(|_overflow| Errno::BADF)?;
    // SAFETY: borrowed for one call; if nothing is open under that number, the call says so.
    let fd = unsafe { BorrowedFd::borrow_raw(number) };
    rustix::io::fcntl_setfd(fd, FdFlags::empty())
}

/// Lets add_key, request_key and keyctl fail with EPERM.
pub(super) fn deny_keyrings() -> Result<()> {
    const LOAD: u16 = 0x20;
    const JUMP_IF_EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    const ALLOW: u32 = 0x7fff_0000;
    const DENY: u32 = 0x0005_0000 | libc::EPERM.cast_unsigned();
    // Six instructions for each architecture, and the end.
    const LENGTH: usize = 2 * 6 + 1;
    const { assert!(KEYRING_CALLS.len() == 2) };
    let mut program = [0; LENGTH * 8];
    let mut at = program.chunks_exact_mut(8);
    let mut emit = |code: u16, yes: u8, no: u8, value: u32| {
        if let Some(place) = at.next() {
            place[..2].copy_from_slice(&code.to_ne_bytes());
            place[2] = yes;
            place[3] = no;
            place[4..].copy_from_slice(&value.to_ne_bytes());
        }
    };
    for (architecture, [add, request, control]) in KEYRING_CALLS {
        emit(LOAD, 0, 0, 4);
        // Of another architecture: on to the next block.
        emit(JUMP_IF_EQUAL, 0, 4, *architecture);
        emit(LOAD, 0, 0, 0);
        // The numbers of the three calls follow one another on every architecture.
        debug_assert!(request - add == 1 && control - request == 1);
        emit(0x35, 0, 2, *add);
        emit(0x25, 1, 0, *control);
        emit(RETURN, 0, 0, DENY);
    }
    emit(RETURN, 0, 0, ALLOW);
    cred::filter(&program, 0).map(drop)
}
