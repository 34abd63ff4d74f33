//! Making the process that becomes a container's first.
//!
//! # Process context
//! Only a single-threaded process may clone: the child has a copy of all memory, and a lock that another thread held
//! stays locked in it for ever. [`SingleThreaded`] is the proof. Between the clone and the exec the child makes system
//! calls and nothing else, on memory that was laid out before.
//!
//! # Protocol
//! ```text
//! parent                                   child
//! clone(CLONE_NEWUSER  | …)                recv: waits
//! writes /proc/PID/{uid,gid}_map
//! sends Go                                 becomes id 0 of its namespace, raises ambient capabilities
//!                                          execs ctr-init from a sealed memfd, control socket kept open
//! ```
//! The wait is there because a program that is exec'd before the map is written loses all capabilities at the exec:
//! its id is then the overflow id, which is not root (tried). [`Birth::waits`] is false for a child that stays in the
//! parent's user namespace: it has nothing to wait for.
//!
//! # Failure
//! A step of the child's that fails is sent as [`control::Report::Stillborn`]; a parent that dies closes the socket, and
//! the child leaves.

#![expect(unsafe_code, reason = "clone, clone3, execveat and _exit")]

use core::ffi::CStr;
use core::marker::PhantomData;
use core::mem::size_of;

use rustix::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use rustix::io::{Errno, FdFlags, Result};
use rustix::process::Pid;

use crate::control::{self, Report};
use crate::{cred, raw};

/// Proof that the process has one thread, for as long as nobody starts another.
#[derive(Debug)]
pub struct SingleThreaded(PhantomData<*mut ()>);

impl SingleThreaded {
    /// Counts the threads of the calling process.
    ///
    /// # Errors
    /// EBUSY if there are several, else what /proc says.
    pub fn here() -> Result<Self> {
        // A directory has a link for each entry, `.` and `..`: one stat instead of reading it.
        let task = rustix::fs::statat(CWD, c"/proc/self/task", AtFlags::empty())?;
        if task.st_nlink == 3 { Ok(Self(PhantomData)) } else { Err(Errno::BUSY) }
    }
}

/// A child that nobody has waited for yet.
#[derive(Debug)]
pub struct Child {
    /// Its id in our pid namespace.
    pub pid: Pid,
    /// The process itself.
    pub pidfd: OwnedFd,
}

/// `CLONE_INTO_CGROUP`, which is wider than libc's type for it.
const INTO_CGROUP: u64 = 0x2_0000_0000;

/// `struct clone_args` of `linux/sched.h`, as of 5.7.
#[repr(C)]
#[derive(Debug, Default)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

/// What the first process of a container is born with.
#[derive(Debug)]
pub struct Birth<'fd> {
    /// New namespaces, as `CLONE_NEW…` flags.
    pub namespaces: u64,
    /// The cgroup to be born in.
    pub cgroup: Option<BorrowedFd<'fd>>,
    /// The program it becomes: `ctr-init`.
    pub program: BorrowedFd<'fd>,
    /// The child's end of the control socket.
    pub control: BorrowedFd<'fd>,
    /// The parent's end, which the child closes.
    pub parents: BorrowedFd<'fd>,
    /// Whether the parent has id maps to write first.
    pub waits: bool,
}

/// Clones a child that becomes `ctr-init` and then takes its orders from the control socket.
///
/// # Errors
/// What clone says.
pub fn bear(_proof: &SingleThreaded, birth: &Birth<'_>) -> Result<Child> {
    let mut pidfd: i32 = -1;
    let mut args = CloneArgs {
        flags: birth.namespaces | libc::CLONE_PIDFD as u64,
        pidfd: (&raw mut pidfd) as u64,
        exit_signal: libc::SIGCHLD as u64,
        ..CloneArgs::default()
    };
    if let Some(cgroup) = birth.cgroup {
        args.flags |= INTO_CGROUP;
        args.cgroup = u64::from(cgroup.as_raw_fd().unsigned_abs());
    }
    // SAFETY: no CLONE_VM, so the child runs on a copy of this memory, and it never returns from `live`.
    match unsafe { clone(&args) }? {
        None => live(birth),
        Some(pid) => {
            // SAFETY: CLONE_PIDFD has just made this descriptor for us.
            let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
            Ok(Child { pid, pidfd })
        }
    }
}

/// Clones a sibling: a child of the caller's parent, which gets its id from the result.
///
/// # Errors
/// What clone says.
pub(crate) fn sibling(namespaces: u64) -> Result<Option<Pid>> {
    let flags = namespaces | libc::CLONE_PARENT as u64;
    // SAFETY: no CLONE_VM. ctr-init, the only caller, has one thread and no heap: the copy is as good as the original.
    unsafe { clone(&CloneArgs { flags, ..CloneArgs::default() }) }
}

/// Which of two processes this is.
#[derive(Debug)]
pub enum Half {
    /// The one that was there before.
    Parent(Child),
    /// The other, which goes on with a copy of everything.
    Child,
}

/// Splits the process in two, both of which go on.
///
/// # Errors
/// What clone says; EAGAIN at a limit of processes.
pub fn split(_proof: &SingleThreaded) -> Result<Half> {
    let mut pidfd: i32 = -1;
    let args = CloneArgs {
        flags: libc::CLONE_PIDFD as u64,
        pidfd: (&raw mut pidfd) as u64,
        exit_signal: libc::SIGCHLD as u64,
        ..CloneArgs::default()
    };
    // SAFETY: no CLONE_VM, and one thread: the copy of the memory is as consistent as the original.
    match unsafe { clone(&args) }? {
        None => Ok(Half::Child),
        Some(pid) => {
            // SAFETY: CLONE_PIDFD has just made this descriptor for us.
            let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
            Ok(Half::Parent(Child { pid, pidfd }))
        }
    }
}

/// Clones a child with a copy of everything.
///
/// # Errors
/// What clone says.
pub(crate) fn fork() -> Result<Option<Pid>> {
    let args = CloneArgs { exit_signal: libc::SIGCHLD as u64, ..CloneArgs::default() };
    // SAFETY: no CLONE_VM, no new stack: as in `sibling`.
    unsafe { clone(&args) }
}

/// The call itself: nothing in the child, its id in the parent.
///
/// clone3 only where it says what clone cannot: common seccomp programs, those of container engines around us among them,
/// answer ENOSYS to it, as they cannot see its flags.
///
/// # Safety
/// Without CLONE_VM: the child runs on in a copy of this memory, and the caller must be the only thread.
unsafe fn clone(args: &CloneArgs) -> Result<Option<Pid>> {
    let word = args.flags | args.exit_signal;
    let pid = match usize::try_from(word) {
        // The low byte of the flags is the signal's here; it is CLONE_NEWTIME's there.
        Ok(word) if args.cgroup == 0 && args.flags & 0xff == 0 => {
            // The kernel stores a pidfd where it would otherwise store the parent's thread id.
            let place = usize::try_from(args.pidfd).unwrap_or_default();
            // SAFETY: no stack, and the place for the pidfd is a live variable of the caller's; the rest is its promise.
            unsafe { raw::call(libc::SYS_clone, [word, 0, place, 0, 0, 0]) }?
        }
        _ => {
            let address = core::ptr::from_ref(args) as usize;
            // SAFETY: pointer and size are those of a live structure; the rest is the caller's promise.
            unsafe { raw::call(libc::SYS_clone3, [address, size_of::<CloneArgs>(), 0, 0, 0, 0]) }?
        }
    };
    Ok(i32::try_from(pid).ok().and_then(Pid::from_raw))
}

/// The child, from the clone to the exec.
fn live(birth: &Birth<'_>) -> ! {
    let failure = match prepare(birth) {
        Ok(()) => become_init(birth.program, birth.control),
        Err(errno) => errno,
    };
    let report = Report::Stillborn { errno: failure.raw_os_error() };
    // Nobody is left to be told that telling failed.
    control::report(birth.control, &report, None).ok();
    leave(1)
}

/// Waits for the maps, takes root's ids and keeps every capability over the exec.
fn prepare(birth: &Birth<'_>) -> Result<()> {
    // SAFETY: the child's copy of the parent's descriptor is used by nothing that runs in the child.
    unsafe { rustix::io::close(birth.parents.as_raw_fd()) };
    rustix::io::fcntl_setfd(birth.control, FdFlags::empty())?;
    if birth.waits {
        control::wait_for_go(birth.control)?;
        cred::take_root()?;
    }
    Ok(())
}

/// Execs `ctr-init`, with the number of the control socket as its only argument. Returns why it could not.
fn become_init(program: BorrowedFd<'_>, control: BorrowedFd<'_>) -> Errno {
    let mut digits = [0; 12];
    let number = decimal(control.as_raw_fd().unsigned_abs(), &mut digits);
    let argv = [c"ctr-init".as_ptr(), number.as_ptr(), core::ptr::null()];
    let envp = [core::ptr::null()];
    // SAFETY: both vectors end with a null pointer, and their strings outlive the call.
    unsafe { execveat(program, argv.as_ptr(), envp.as_ptr()) }
}

/// Replaces the process by the program behind a descriptor. Returns why it could not.
///
/// # Safety
/// Both vectors must end with a null pointer and hold pointers to strings that end with a NUL.
unsafe fn execveat(
    program: BorrowedFd<'_>,
    argv: *const *const core::ffi::c_char,
    envp: *const *const core::ffi::c_char,
) -> Errno {
    let fd = raw::int(program.as_raw_fd());
    let args = [fd, c"".as_ptr() as usize, argv as usize, envp as usize, raw::int(libc::AT_EMPTY_PATH), 0];
    // SAFETY: the path is a literal, the vectors are the caller's promise.
    match unsafe { raw::call(libc::SYS_execveat, args) } {
        Ok(_) => Errno::NOSYS,
        Err(errno) => errno,
    }
}

/// Writes a number's decimal digits to the end of a buffer, and a NUL.
fn decimal(mut number: u32, buffer: &mut [u8; 12]) -> &CStr {
    let mut at = buffer.len() - 1;
    loop {
        at -= 1;
        buffer[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    CStr::from_bytes_until_nul(&buffer[at..]).unwrap_or(c"")
}

/// Ends the process, without running anything of the program's.
pub(crate) fn leave(code: i32) -> ! {
    loop {
        // SAFETY: ends the process; no memory is touched.
        unsafe { raw::call(libc::SYS_exit_group, [raw::int(code), 0, 0, 0, 0, 0]) }.ok();
    }
}

/// A memory file with these contents that nobody can change any more: what `ctr-init` runs from.
///
/// # Errors
/// If memory or descriptors are short.
pub fn sealed(name: &CStr, contents: &[u8]) -> Result<OwnedFd> {
    use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
    // MFD_EXEC is not named: kernels before 6.3 refuse what they do not know, and later ones take it as the default.
    let file = memfd_create(name, MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    let mut rest = contents;
    while !rest.is_empty() {
        let written = rustix::io::write(&file, rest)?;
        rest = rest.get(written..).ok_or(Errno::IO)?;
    }
    fcntl_add_seals(&file, SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE)?;
    Ok(file)
}

/// The namespaces of a process, by a descriptor of one of the files of `/proc/PID/ns`.
///
/// # Errors
/// What open says.
pub fn namespace(path: &CStr) -> Result<OwnedFd> {
    rustix::fs::openat(CWD.as_fd(), path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
}
