//! Signals as data: blocked first, then read from a descriptor.
//!
//! A process that supervises another has no handlers: what arrives while it sets things up waits, and is read in the
//! same loop as everything else.

#![expect(unsafe_code, reason = "rustix has neither signal masks nor signalfd")]

use core::ffi::c_int;
use core::mem::MaybeUninit;

use rustix::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use rustix::io::{Errno, Result};

use crate::raw;

/// The highest signal of Linux.
const LAST: i32 = 64;

/// Some of the 64 signals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Set(u64);

impl Set {
    /// No signal.
    pub const EMPTY: Self = Self(0);

    /// The set with one more in it; what is no signal changes nothing.
    #[must_use]
    pub const fn with(self, signal: i32) -> Self {
        if signal < 1 || signal > LAST { self } else { Self(self.0 | 1 << (signal - 1)) }
    }

    /// The set without one.
    #[must_use]
    pub const fn without(self, signal: i32) -> Self {
        if signal < 1 || signal > LAST { self } else { Self(self.0 & !(1 << (signal - 1))) }
    }

    /// All signals that can be blocked but those that a fault of the process itself raises.
    #[must_use]
    pub const fn all_from_outside() -> Self {
        let kept = [
            libc::SIGKILL,
            libc::SIGSTOP,
            libc::SIGSEGV,
            libc::SIGBUS,
            libc::SIGILL,
            libc::SIGFPE,
            libc::SIGTRAP,
            libc::SIGSYS,
            libc::SIGABRT,
        ];
        let mut set = Self(u64::MAX);
        let mut at = 0;
        while at < kept.len() {
            set = set.without(kept[at]);
            at += 1;
        }
        set
    }

    /// Whether a signal is in the set.
    #[must_use]
    pub const fn contains(self, signal: i32) -> bool {
        signal >= 1 && signal <= LAST && self.0 & 1 << (signal - 1) != 0
    }

    fn raw(self) -> libc::sigset_t {
        let mut set = MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: sigemptyset writes the whole set that the pointer names.
        unsafe { libc::sigemptyset(set.as_mut_ptr()) };
        // SAFETY: written just above.
        let mut set = unsafe { set.assume_init() };
        for signal in (1..=LAST).filter(|signal| self.contains(*signal)) {
            // The C library refuses the two that it keeps for itself; nobody sends them.
            // SAFETY: the set is initialised and ours.
            unsafe { libc::sigaddset(&raw mut set, signal) };
        }
        set
    }
}

/// Ignores some signals, gives all others their default action, and blocks none: nothing of what whoever started this
/// program had set remains. (Without a C library: also for programs that have none.)
///
/// # Errors
/// None that is known.
pub fn ignore_only(ignored: Set) -> Result<()> {
    const IGNORE: usize = 1;
    const SET_MASK: usize = 2;
    const SIZE_OF_SET: usize = size_of::<u64>();
    for signal in 1..=LAST {
        // The kernel's `struct sigaction` is no longer than this: action, flags, two words more.
        let action = [if ignored.contains(signal) { IGNORE } else { 0 }, 0, 0, 0];
        let args = [raw::int(signal), action.as_ptr() as usize, 0, SIZE_OF_SET, 0, 0];
        // SAFETY: the kernel reads an action from a live buffer; neither action calls anything of ours.
        match unsafe { raw::call(libc::SYS_rt_sigaction, args) } {
            // SIGKILL and SIGSTOP have no other action.
            Ok(_) | Err(Errno::INVAL) => {}
            Err(errno) => return Err(errno),
        }
    }
    let none = 0_u64;
    let args = [SET_MASK, core::ptr::from_ref(&none) as usize, 0, SIZE_OF_SET, 0, 0];
    // SAFETY: the kernel reads eight bytes of a live variable.
    unsafe { raw::call(libc::SYS_rt_sigprocmask, args) }.map(drop)
}

/// Blocks signals for this thread, besides those that are blocked already.
///
/// # Errors
/// None that is known.
pub fn block(set: Set) -> Result<()> {
    change(libc::SIG_BLOCK, set)
}

/// Unblocks signals for this thread.
///
/// # Errors
/// None that is known.
pub fn unblock(set: Set) -> Result<()> {
    change(libc::SIG_UNBLOCK, set)
}

fn change(how: c_int, set: Set) -> Result<()> {
    let set = set.raw();
    // SAFETY: reads one initialised set; the old mask is not asked for.
    let failed = unsafe { libc::pthread_sigmask(how, &raw const set, core::ptr::null_mut()) };
    if failed == 0 { Ok(()) } else { Err(Errno::from_raw_os_error(failed)) }
}

/// Opens a descriptor from which blocked signals are read; it never blocks.
///
/// # Errors
/// EMFILE, ENFILE, ENOMEM.
pub fn open(set: Set) -> Result<OwnedFd> {
    let set = set.raw();
    // SAFETY: reads one initialised set; -1 asks for a new descriptor.
    let fd = unsafe { libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) };
    if fd < 0 {
        return Err(last_errno());
    }
    // SAFETY: the kernel has just made this descriptor for us, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// A signal that arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Received {
    /// Which.
    pub signal: i32,
    /// Who sent it; 0 is the kernel or a process outside of our pid namespace.
    pub sender: u32,
}

/// Takes the next signal, if there is one.
///
/// # Errors
/// The descriptor is none of signals.
pub fn read(fd: BorrowedFd<'_>) -> Result<Option<Received>> {
    const SIZE: usize = size_of::<libc::signalfd_siginfo>();
    let mut bytes = [0u8; SIZE];
    match rustix::io::read(fd, &mut bytes) {
        Ok(SIZE) => {}
        Ok(_) => return Err(Errno::INVAL),
        Err(Errno::AGAIN | Errno::INTR) => return Ok(None),
        Err(error) => return Err(error),
    }
    let word = |at: usize| {
        let mut word = [0; 4];
        word.copy_from_slice(&bytes[at..at + 4]);
        u32::from_ne_bytes(word)
    };
    let signal = word(core::mem::offset_of!(libc::signalfd_siginfo, ssi_signo));
    let sender = word(core::mem::offset_of!(libc::signalfd_siginfo, ssi_pid));
    Ok(Some(Received { signal: signal.cast_signed(), sender }))
}

/// Sends any signal to a process, also those that have no name.
///
/// # Errors
/// EPERM, ESRCH, or EINVAL for what is no signal.
pub fn send(process: BorrowedFd<'_>, signal: i32) -> Result<()> {
    let none = core::ptr::null::<libc::siginfo_t>();
    // SAFETY: with no siginfo the call takes numbers only.
    let sent = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, process.as_raw_fd(), signal, none, 0) };
    if sent == 0 { Ok(()) } else { Err(last_errno()) }
}

fn last_errno() -> Errno {
    // SAFETY: takes nothing and returns the address of this thread's errno.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: that address is valid for as long as the thread lives.
    Errno::from_raw_os_error(unsafe { *errno })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fd::AsFd;

    #[test]
    fn sets_hold_signals() {
        let set = Set::EMPTY.with(1).with(64).with(0).with(65);
        assert!(set.contains(1) && set.contains(64));
        assert!(!set.contains(2) && !set.contains(0) && !set.contains(65));
        assert!(!set.without(1).contains(1));
        let outside = Set::all_from_outside();
        assert!(outside.contains(libc::SIGTERM) && !outside.contains(libc::SIGSEGV));
    }

    #[test]
    fn a_blocked_signal_is_read() {
        let set = Set::EMPTY.with(libc::SIGUSR1);
        block(set).unwrap();
        let fd = open(set).unwrap();
        assert_eq!(read(fd.as_fd()), Ok(None));
        // To this thread alone: another one of the harness would die of it.
        // SAFETY: takes numbers and reads no memory.
        let sent = unsafe { libc::raise(libc::SIGUSR1) };
        assert_eq!(sent, 0);
        let own = rustix::process::getpid().as_raw_nonzero().get().cast_unsigned();
        assert_eq!(read(fd.as_fd()), Ok(Some(Received { signal: libc::SIGUSR1, sender: own })));
        assert_eq!(read(fd.as_fd()), Ok(None));
        unblock(set).unwrap();
    }
}
