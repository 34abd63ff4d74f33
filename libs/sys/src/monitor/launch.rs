//! From one program to the next in the same process, with the descriptors that it needs and no others.

#![expect(unsafe_code, reason = "descriptors by their numbers, execveat, close_range")]

use core::ffi::{c_char, c_uint};
use core::ptr::null;
use core::sync::atomic::{AtomicBool, Ordering};

use rustix::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::{Errno, FdFlags, Result};

use super::{LOCK_AT, TASK_AT};
use crate::clone::{Half, SingleThreaded, leave, split};
use crate::step::Strings;
use crate::{raw, signals};

/// The most arguments of a program.
const MAX_ARGUMENTS: usize = 256;

/// The environment of a process, as the kernel or the C library holds it.
#[derive(Debug, Clone, Copy)]
pub struct Environment(*const *const c_char);

impl Environment {
    /// No environment.
    #[must_use]
    pub const fn none() -> Self {
        const NOTHING: &[usize; 1] = &[0];
        Self(NOTHING.as_ptr().cast())
    }

    /// The strings that a pointer leads to.
    ///
    /// # Safety
    /// It must be a vector of pointers to strings that end with a NUL, itself ended by a null pointer, that nobody
    /// changes or frees while the process lives.
    #[must_use]
    pub const unsafe fn at(vector: *const *const c_char) -> Self {
        Self(vector)
    }

    /// That of this process.
    fn own() -> Self {
        unsafe extern "C" {
            static environ: *const *const c_char;
        }
        // SAFETY: a single-threaded process that never changes its environment reads the C library's pointer to it.
        Self(unsafe { environ })
    }
}

/// Becomes the monitor: the process gets `title` as its arguments, keeps its environment, and of its descriptors only
/// the task, and those of the task in its order; standard input, output and error lead nowhere. Returns only if that fails.
/// Then the descriptors with numbers from [`TASK_AT`] on may have been replaced: whoever calls this has to end.
///
/// # Errors
/// Always one; E2BIG for too many descriptors or arguments.
#[must_use]
pub fn become_monitor(
    program: BorrowedFd<'_>,
    task: BorrowedFd<'_>,
    fds: &[BorrowedFd<'_>],
    title: Strings<'_>,
) -> Errno {
    match prepare_and_exec(program, task, fds, title) {
        Ok(errno) | Err(errno) => errno,
    }
}

fn prepare_and_exec(
    program: BorrowedFd<'_>,
    task: BorrowedFd<'_>,
    fds: &[BorrowedFd<'_>],
    title: Strings<'_>,
) -> Result<Errno> {
    let count = i32::try_from(fds.len()).map_err(|_many| Errno::TOOBIG)?;
    let null_device = rustix::fs::openat(CWD, c"/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
    // Above all that is wanted, and all numbers that are still to be given: nothing there is overwritten before its turn.
    let wanted = [program, task, null_device.as_fd()];
    let highest = wanted.iter().chain(fds).map(AsRawFd::as_raw_fd).max().unwrap_or_default();
    let aside = highest.max(TASK_AT.saturating_add(count)).saturating_add(1);
    let copy = |fd: BorrowedFd<'_>| rustix::io::fcntl_dupfd_cloexec(fd, aside);
    let (program, null_device) = (copy(program)?, copy(null_device.as_fd())?);
    let standard = Standard::keep(aside)?;
    // Behind these there is nobody whom we know.
    let first = copy(task)?.as_raw_fd();
    for (fd, number) in [task].iter().chain(fds).zip(first..) {
        place(*fd, number)?;
    }
    let next = TASK_AT.saturating_add(count).saturating_add(1);
    for (from, number) in (first..).zip(TASK_AT..next) {
        // SAFETY: the loop before has placed one there.
        place(unsafe { BorrowedFd::borrow_raw(from) }, number)?;
    }
    forget_at_exec(next)?;
    for number in 0..3 {
        place(null_device.as_fd(), number)?;
    }
    let errno = exec(program.as_fd(), title, Environment::own());
    standard.put_back();
    Ok(errno)
}

/// Standard input, output and error as they were, for a caller that has to say that it failed.
struct Standard([Option<OwnedFd>; 3]);

impl Standard {
    fn keep(aside: i32) -> Result<Self> {
        let mut kept = [const { None }; 3];
        for (number, kept) in (0..).zip(&mut kept) {
            // SAFETY: only copied; if nothing is open there, the kernel says so.
            let fd = unsafe { BorrowedFd::borrow_raw(number) };
            *kept = match rustix::io::fcntl_dupfd_cloexec(fd, aside) {
                Ok(copy) => Some(copy),
                Err(Errno::BADF) => None,
                Err(errno) => return Err(errno),
            };
        }
        Ok(Self(kept))
    }

    fn put_back(self) {
        for (number, kept) in (0..).zip(&self.0) {
            if let Some(kept) = kept {
                // It fails only where it cannot be said any more.
                place(kept.as_fd(), number).ok();
            }
        }
    }
}

/// Makes a descriptor known by a number, also after an exec.
fn place(fd: BorrowedFd<'_>, number: i32) -> Result<()> {
    let args = [raw::int(fd.as_raw_fd()), raw::int(number), 0, 0, 0, 0];
    // SAFETY: takes numbers only. What was there is replaced: the callers' contract says so.
    unsafe { raw::call(libc::SYS_dup3, args) }.map(drop)
}

/// Everything from a number on is closed by the next exec.
fn forget_at_exec(from: i32) -> Result<()> {
    let last = raw::word(c_uint::MAX);
    let args = [raw::int(from), last, raw::word(libc::CLOSE_RANGE_CLOEXEC), 0, 0, 0];
    // SAFETY: takes numbers only, and closes nothing yet.
    unsafe { raw::call(libc::SYS_close_range, args) }.map(drop)
}

/// Becomes the task's `ended` program, which gets these arguments and the lock at [`LOCK_AT`]. Returns why it could not.
#[must_use]
pub fn become_ended(program: BorrowedFd<'_>, arguments: Strings<'_>, environment: Environment) -> Errno {
    // SAFETY: only asked whether it is open; if not, the kernel says so.
    let lock = unsafe { BorrowedFd::borrow_raw(LOCK_AT) };
    if let Err(errno) = forget_at_exec(TASK_AT).and_then(|()| rustix::io::fcntl_setfd(lock, FdFlags::empty()))
    {
        return errno;
    }
    exec(program, arguments, environment)
}

/// Starts a program with a descriptor as its standard input, and no other of ours: a child, as a pidfd.
///
/// # Errors
/// There can be no more processes, or there is more than one thread here.
pub(super) fn start(
    program: BorrowedFd<'_>,
    arguments: Strings<'_>,
    input: BorrowedFd<'_>,
) -> Result<OwnedFd> {
    match split(&SingleThreaded::here()?)? {
        Half::Parent(child) => Ok(child.pidfd),
        Half::Child => {
            // Nobody is left to be told why it could not; that it ended is seen.
            run(program, arguments, input).ok();
            leave(125)
        }
    }
}

fn run(program: BorrowedFd<'_>, arguments: Strings<'_>, input: BorrowedFd<'_>) -> Result<Errno> {
    // Keys that are typed at a terminal are not for it, and what we ignore or read is none of its business.
    rustix::process::setpgid(None, None)?;
    signals::ignore_only(signals::Set::EMPTY)?;
    let null_device = rustix::fs::openat(CWD, c"/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
    place(input, 0)?;
    place(null_device.as_fd(), 1)?;
    place(null_device.as_fd(), 2)?;
    forget_at_exec(TASK_AT)?;
    Ok(exec(program, arguments, Environment::none()))
}

fn exec(program: BorrowedFd<'_>, arguments: Strings<'_>, environment: Environment) -> Errno {
    if arguments.count() > MAX_ARGUMENTS {
        return Errno::TOOBIG;
    }
    let mut vector = [null::<c_char>(); MAX_ARGUMENTS + 1];
    for (place, argument) in vector.iter_mut().zip(arguments.iter()) {
        *place = argument.as_ptr();
    }
    let (fd, flags) = (raw::int(program.as_raw_fd()), raw::int(libc::AT_EMPTY_PATH));
    let args = [fd, c"".as_ptr() as usize, vector.as_ptr() as usize, environment.0 as usize, flags, 0];
    // SAFETY: the path is a literal; the arguments end with a null pointer, and their strings outlive the call; so does
    // the environment, as whoever made it promised.
    match unsafe { raw::call(libc::SYS_execveat, args) } {
        Ok(_) => Errno::NOSYS,
        Err(errno) => errno,
    }
}

/// Takes over the lock that a monitor left to the program it became. Nothing if there is none, or the second time.
#[must_use]
pub fn inherited_lock() -> Option<OwnedFd> {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    // SAFETY: only asked whether it is open; if not, the kernel says so.
    let lock = unsafe { BorrowedFd::borrow_raw(LOCK_AT) };
    // What this program opened itself is close-on-exec from the start.
    if rustix::io::fcntl_getfd(lock).ok()?.contains(FdFlags::CLOEXEC) || TAKEN.swap(true, Ordering::Relaxed) {
        return None;
    }
    rustix::io::fcntl_setfd(lock, FdFlags::CLOEXEC).ok()?;
    // SAFETY: it was inherited, so nothing in this program owns it; and it is handed out once.
    Some(unsafe { OwnedFd::from_raw_fd(LOCK_AT) })
}
