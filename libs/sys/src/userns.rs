//! User namespaces: making one, asking whose one is, and children that wait for ours to be made.
//!
//! # Process context
//! A process that moves into a new user namespace loses its power over the old one, also that of running set-uid
//! programs there. Whoever is to write its id maps must therefore exist before the move and act after it: a child behind a
//! [`Gate`]. It is forked, waits for one byte, and then runs a program or writes files. Between the fork and that it only
//! makes system calls.
//!
//! # Failure
//! If the parent dies, the gate closes and the child exits without having done anything.

#![expect(unsafe_code, reason = "wraps calls that rustix lacks or leaves unsafe")]

use core::ffi::{CStr, c_char, c_int, c_uint};

use rustix::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd};
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat2};
use rustix::io::{Errno, Result};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, RawPid, WaitId, WaitIdOptions, waitid};

use crate::raw;

/// `_IO(NSIO, 0x2)`: the parent of a user namespace.
const NS_GET_PARENT: libc::Ioctl = 0xb702;
/// `_IO(NSIO, 0x3)`: the kind of a namespace.
const NS_GET_NSTYPE: libc::Ioctl = 0xb703;
/// `_IO(NSIO, 0x4)`: the owner of a user namespace.
const NS_GET_OWNER_UID: libc::Ioctl = 0xb704;
/// `_IO(NSIO, 0x1)`: the user namespace that owns a namespace.
const NS_GET_USERNS: libc::Ioctl = 0xb701;

/// The most arguments a program behind a gate is run with: three for each of 340 lines of a map, and some.
const MAX_ARGUMENTS: usize = 1024;

/// Moves the calling process into a new user namespace, and with `mounts` into a new mount namespace owned by it.
///
/// # Errors
/// EINVAL if the process has threads; EPERM, EACCES, ENOSPC, EUSERS where the kernel forbids it.
pub fn move_into_new(mounts: bool) -> Result<()> {
    let flags = libc::CLONE_NEWUSER | if mounts { libc::CLONE_NEWNS } else { 0 };
    unshare(flags)
}

/// Moves the calling process into a new mount namespace, owned by its user namespace.
///
/// # Errors
/// EPERM without CAP_SYS_ADMIN there, ENOSPC at a limit.
pub fn move_into_new_mounts() -> Result<()> {
    unshare(libc::CLONE_NEWNS)
}

/// Moves the calling thread into a new network namespace, owned by its user namespace.
///
/// # Errors
/// EPERM without CAP_SYS_ADMIN there, ENOSPC at a limit.
pub fn move_into_new_network() -> Result<()> {
    unshare(libc::CLONE_NEWNET)
}

fn unshare(flags: c_int) -> Result<()> {
    // SAFETY: neither flag separates what the program's memory safety rests on (no CLONE_FILES: descriptors stay valid).
    let done = unsafe { libc::unshare(flags) };
    checked(done).map(drop)
}

/// The owner of a user namespace, as an id of ours.
///
/// # Errors
/// EINVAL if it is no user namespace.
pub fn owner(namespace: BorrowedFd<'_>) -> Result<u32> {
    let mut uid: libc::uid_t = 0;
    // SAFETY: NS_GET_OWNER_UID writes one uid_t to the address, which is that of a live local variable.
    let done = unsafe { libc::ioctl(namespace.as_raw_fd(), NS_GET_OWNER_UID, &raw mut uid) };
    checked(done).map(|_| uid)
}

/// Whether a descriptor is of a user namespace; of a namespace of another kind, or of none, it is not.
#[must_use]
pub fn is_one(namespace: BorrowedFd<'_>) -> bool {
    kind(namespace) == libc::CLONE_NEWUSER
}

/// The same of a network namespace.
#[must_use]
pub fn is_network(namespace: BorrowedFd<'_>) -> bool {
    kind(namespace) == libc::CLONE_NEWNET
}

fn kind(namespace: BorrowedFd<'_>) -> c_int {
    // SAFETY: the request takes no argument; the result is a kind or -1.
    unsafe { libc::ioctl(namespace.as_raw_fd(), NS_GET_NSTYPE) }
}

/// Sends a child into a user namespace and looks at it there, at its id maps for instance: only of a process they can be
/// read. The child is hidden from those in the namespace, and gone when this returns.
///
/// # Errors
/// What setns says.
pub fn visit<T>(namespace: BorrowedFd<'_>, look: impl FnOnce(Pid) -> T) -> Result<T> {
    let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
    let mut pidfd: c_int = -1;
    let Some(pid) = fork(&mut pidfd)? else { stay_in(namespace, theirs.as_fd(), ours.as_fd()) };
    // SAFETY: clone with CLONE_PIDFD succeeded and stored a new descriptor (O_CLOEXEC) that only we know.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    drop(theirs);
    let mut errno = [0_u8; 2];
    let seen = match rustix::io::read(&ours, &mut errno) {
        Ok(2) if errno == [0, 0] => Ok(look(pid)),
        Ok(2) => Err(Errno::from_raw_os_error(i32::from(u16::from_le_bytes(errno)))),
        Ok(_) => Err(Errno::IO),
        Err(errno) => Err(errno),
    };
    drop(ours);
    while matches!(waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED), Err(Errno::INTR)) {}
    seen
}

/// The life of a visitor: in, told, and out when the parent closes its end.
fn stay_in(namespace: BorrowedFd<'_>, own: BorrowedFd<'_>, parents: BorrowedFd<'_>) -> ! {
    // SAFETY: our copy of the parent's end, which nobody uses in this process any more.
    unsafe { libc::close(parents.as_raw_fd()) };
    // SAFETY: takes numbers only; a namespace holds nothing of this program's memory.
    let enter = || checked(unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWUSER) });
    let entered = crate::cred::set_dumpable(false).and_then(|()| enter());
    let errno = entered.map_or_else(|errno| u16::try_from(errno.raw_os_error()).unwrap_or(u16::MAX), |_| 0);
    let mut byte = [0_u8];
    if rustix::io::write(own, &errno.to_le_bytes()).is_ok() {
        while rustix::io::read(own, &mut byte) == Err(Errno::INTR) {}
    }
    leave(0)
}

/// A detached copy of the mount at a path below the root of another mount namespace. No link on the path is followed: it
/// is somebody else's. A child goes there, which shares our descriptors.
///
/// # Errors
/// What setns, openat2 and open_tree say.
pub fn copy_mount_of(mounts: BorrowedFd<'_>, path: &CStr) -> Result<OwnedFd> {
    let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
    let mut pidfd: c_int = -1;
    let Some(_) = fork_with(&mut pidfd, libc::CLONE_FILES)? else { copy_there(mounts, path, theirs.as_fd()) };
    // SAFETY: clone with CLONE_PIDFD succeeded and stored a new descriptor (O_CLOEXEC) that only we know.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    // Its end of the socket is ours too, so that only its own end is a sign.
    while matches!(waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED), Err(Errno::INTR)) {}
    drop(theirs);
    let mut told = [0_u8; 4];
    let number = match rustix::io::read(&ours, &mut told)? {
        4 => i32::from_le_bytes(told),
        _ => return Err(Errno::IO),
    };
    if number < 0 {
        return Err(Errno::from_raw_os_error(-number));
    }
    // SAFETY: the child has made this descriptor in the table that it shared with us, and is gone: nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// The life of a child that copies a mount: its descriptors are the parent's, so what it opened for itself it closes.
fn copy_there(mounts: BorrowedFd<'_>, path: &CStr, own: BorrowedFd<'_>) -> ! {
    // SAFETY: takes numbers only; a namespace holds nothing of this program's memory.
    let enter = || checked(unsafe { libc::setns(mounts.as_raw_fd(), libc::CLONE_NEWNS) });
    let copy = || {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS | ResolveFlags::IN_ROOT;
        let place = openat2(CWD, path, flags, Mode::empty(), resolve)?;
        crate::mount::copy(place.as_fd(), false)
    };
    let copied = crate::cred::set_dumpable(false).and_then(|()| enter()).and_then(|_| copy());
    let number = copied.map_or_else(|errno| -errno.raw_os_error(), IntoRawFd::into_raw_fd);
    match rustix::io::write(own, &number.to_le_bytes()) {
        Ok(_) | Err(_) => leave(0),
    }
}

/// The parent of a user namespace.
///
/// # Errors
/// EPERM if it is not ours nor a descendant of ours.
pub fn parent(namespace: BorrowedFd<'_>) -> Result<OwnedFd> {
    related(namespace, NS_GET_PARENT)
}

/// The user namespace that owns a namespace of another kind.
///
/// # Errors
/// EPERM if it is not ours nor a descendant of ours.
pub fn owning(namespace: BorrowedFd<'_>) -> Result<OwnedFd> {
    related(namespace, NS_GET_USERNS)
}

fn related(namespace: BorrowedFd<'_>, which: libc::Ioctl) -> Result<OwnedFd> {
    // SAFETY: these two requests take no argument; the result is a descriptor or -1.
    let fd = unsafe { libc::ioctl(namespace.as_raw_fd(), which) };
    let fd = checked(fd)?;
    // SAFETY: the kernel has just made this descriptor for us (O_CLOEXEC), and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// The negative result of a libc call as the error it left.
fn checked(result: c_int) -> Result<c_int> {
    if result >= 0 {
        return Ok(result);
    }
    Err(last_errno())
}

/// The error that this thread's last call of the C library left.
pub(crate) fn last_errno() -> Errno {
    // SAFETY: takes nothing and returns the address of this thread's errno.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: that address is valid for as long as the thread lives.
    Errno::from_raw_os_error(unsafe { *errno })
}

/// What a child behind a gate does once that opens.
#[derive(Debug, Clone, Copy)]
pub enum Deed<'a> {
    /// Becomes this program, with these arguments (the first is its name) and no environment.
    Run {
        /// The program's path.
        path: &'a CStr,
        /// Its arguments.
        arguments: &'a [&'a CStr],
    },
    /// Writes these files one after the other, each with one `write`, as id maps want it.
    Write(&'a [(&'a CStr, &'a [u8])]),
}

/// A child that waits behind a gate or is past it.
#[derive(Debug)]
pub struct Child {
    /// The process, to be waited for.
    pub pidfd: OwnedFd,
    /// Its id.
    pub pid: Pid,
}

/// Holds one child back until it is opened.
///
/// One for each: of two that read from one pipe the kernel wakes the second when the first has read, and on the first
/// one's processor, where it waits in vain for as long as that works.
#[derive(Debug)]
pub struct Gate {
    inner: OwnedFd,
    outer: OwnedFd,
}

impl Gate {
    /// Forks a child that waits for the gate. Its standard error is `report`, where [`Deed::Write`] and a program that
    /// cannot be run leave [`Failed`].
    ///
    /// # Errors
    /// E2BIG for too many arguments, else what the kernel says.
    pub fn before(deed: Deed<'_>, report: BorrowedFd<'_>) -> Result<(Self, Child)> {
        let mut arguments = [core::ptr::null::<c_char>(); MAX_ARGUMENTS + 1];
        if let Deed::Run { arguments: given, .. } = deed {
            if given.len() > MAX_ARGUMENTS {
                return Err(Errno::TOOBIG);
            }
            for (slot, argument) in arguments.iter_mut().zip(given) {
                *slot = argument.as_ptr();
            }
        }
        let (inner, outer) = pipe_with(PipeFlags::CLOEXEC)?;
        let mut pidfd: c_int = -1;
        match fork(&mut pidfd)? {
            None => wait_and_act(inner.as_fd(), outer.as_fd(), deed, &arguments, report),
            Some(pid) => {
                // SAFETY: clone with CLONE_PIDFD succeeded and stored a new descriptor (O_CLOEXEC) that only we know.
                let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
                Ok((Self { inner, outer }, Child { pidfd, pid }))
            }
        }
    }

    /// Lets the child through.
    ///
    /// # Errors
    /// EPIPE if it is dead.
    pub fn open(self) -> Result<()> {
        let Self { inner, outer } = self;
        // Ours is closed first, so that a dead child gives EPIPE instead of a byte nobody reads.
        drop(inner);
        rustix::io::write(&outer, b"!").map(drop)
    }
}

/// Forks, with a pidfd: `None` in the child. Not by clone3, which seccomp programs around us may refuse.
fn fork(pidfd: &mut c_int) -> Result<Option<Pid>> {
    fork_with(pidfd, 0)
}

/// The same with more flags, but none that shares memory.
fn fork_with(pidfd: &mut c_int, more: c_int) -> Result<Option<Pid>> {
    let flags = raw::int(libc::CLONE_PIDFD | libc::SIGCHLD | (more & !libc::CLONE_VM));
    let place = core::ptr::from_mut(pidfd) as usize;
    // SAFETY: without CLONE_VM and a stack this is a fork: the child has a copy of our memory and goes on here. The kernel
    // stores the pidfd in a live variable. Callers are single-threaded (and if not: the child only makes system calls
    // until it execs or exits).
    let pid = unsafe { raw::call(libc::SYS_clone, [flags, 0, place, 0, 0, 0]) }?;
    Ok(RawPid::try_from(pid).ok().and_then(Pid::from_raw))
}

/// The child's whole life. Nothing here allocates, unwinds or returns.
fn wait_and_act(
    gate: BorrowedFd<'_>,
    outer: BorrowedFd<'_>,
    deed: Deed<'_>,
    arguments: &[*const c_char; MAX_ARGUMENTS + 1],
    report: BorrowedFd<'_>,
) -> ! {
    // SAFETY: our copy of the gate's other end, which nobody uses in this process any more. While it were open, the
    // parent's death would not be the end of the file.
    unsafe { libc::close(outer.as_raw_fd()) };
    let mut byte = [0_u8];
    loop {
        match rustix::io::read(gate, &mut byte) {
            Ok(1) => break,
            Err(Errno::INTR) => {}
            _ => leave(Failed::NEVER_LET_THROUGH),
        }
    }
    match deed {
        Deed::Run { path, .. } => become_program(path, arguments, report),
        Deed::Write(files) => write_files(files, report),
    }
}

fn become_program(path: &CStr, arguments: &[*const c_char; MAX_ARGUMENTS + 1], report: BorrowedFd<'_>) -> ! {
    let keep = rustix::io::fcntl_dupfd_cloexec(report, 3);
    // SAFETY: replaces our own copy of standard error; nobody else in this process uses it.
    let placed = unsafe { libc::dup2(report.as_raw_fd(), libc::STDERR_FILENO) };
    // SAFETY: only sets flags; descriptors stay open until exec. Not there before Linux 5.11: the program then inherits
    // what we have without O_CLOEXEC, as it would from a shell.
    unsafe { libc::syscall(libc::SYS_close_range, 3 as c_uint, c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    if placed >= 0 {
        let environment = [core::ptr::null::<c_char>()];
        // SAFETY: path, arguments and environment are NUL-terminated strings in NULL-terminated arrays, all alive.
        unsafe { libc::execve(path.as_ptr(), arguments.as_ptr(), environment.as_ptr()) };
    }
    let failed = Failed { file: 0, errno: last_errno() };
    if let Ok(keep) = keep {
        failed.tell(keep.as_fd());
    }
    leave(Failed::STATUS)
}

fn write_files(files: &[(&CStr, &[u8])], report: BorrowedFd<'_>) -> ! {
    for (index, (path, text)) in files.iter().enumerate() {
        let flags = rustix::fs::OFlags::WRONLY | rustix::fs::OFlags::CLOEXEC;
        let written = rustix::fs::open(*path, flags, rustix::fs::Mode::empty())
            .and_then(|file| rustix::io::write(&file, text))
            .and_then(|len| if len == text.len() { Ok(()) } else { Err(Errno::IO) });
        if let Err(errno) = written {
            Failed { file: u8::try_from(index).unwrap_or(u8::MAX), errno }.tell(report);
            leave(Failed::STATUS);
        }
    }
    leave(0)
}

/// Ends the child without running anything of the parent's.
fn leave(status: c_int) -> ! {
    // SAFETY: ends the process at once; no destructor or handler of the copied parent runs.
    unsafe { libc::_exit(status) }
}

/// How a child's deed failed, as told through its report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failed {
    /// Which of the files; 0 for a program.
    pub file: u8,
    /// Why.
    pub errno: Errno,
}

impl Failed {
    /// The exit status of a child that has told a failure.
    pub const STATUS: i32 = 124;
    /// The exit status of a child whose gate was never opened.
    pub const NEVER_LET_THROUGH: i32 = 123;

    /// What no text begins with: a helper's own words share the pipe.
    const MARK: u8 = 0;

    /// Reads a report; `None` if it is something else.
    #[must_use]
    pub fn read(report: &[u8]) -> Option<Self> {
        let [Self::MARK, file, low, high] = *report else { return None };
        let errno = Errno::from_raw_os_error(i32::from(u16::from_le_bytes([low, high])));
        Some(Self { file, errno })
    }

    fn tell(self, report: BorrowedFd<'_>) {
        let [low, high] = u16::try_from(self.errno.raw_os_error()).unwrap_or_default().to_le_bytes();
        // Where the report cannot be written, the exit status still says that it failed.
        match rustix::io::write(report, &[Self::MARK, self.file, low, high]) {
            Ok(_) | Err(_) => {}
        }
    }
}
