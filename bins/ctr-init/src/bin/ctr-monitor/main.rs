//! The monitor of a container: parent of its init, keeper of its log, server of its clients, witness of its end.
//!
//! # Theory of operation
//! The launcher becomes this program (see [`ctr_sys::monitor`] for what it leaves behind, and the protocol of clients):
//! one loop around one `poll`, which has a time limit only while somebody is slow or the container's time is limited. A
//! container that does nothing never wakes it.
//!
//! ```text
//! container ── pipes or terminal ──> chunk ──> log
//!                                        └───> clients (the chunk stays until each of them has it)
//! clients ── input, sizes ──> input buffer ──> pipe or terminal
//! the end of who serves the network ──> the next one ([`ctr_sys::monitor::Serving`])
//! init's end ──> what is still in the pipes ──> exit.json ──> clients are told ──> exec of `ctr-run __ended`
//! ```
//! There is one chunk at a time, so the slowest client sets the pace: the starting command's own client for as long as it
//! likes, as a program's output waits for its terminal; any other is left behind after a second.
//!
//! # Process context
//! No C library, no heap, no threads; what it needs lies in fixed buffers, whose pages are not there until they are used.
//! It lives in A. Signals that the end of a session or a terminal sends are ignored.
//!
//! # Failure
//! If it is killed, the kernel kills the container's init. It never ends before init does, whatever happens to the log,
//! to clients, or to its folder.
//!
//! Like `ctr-init` it is built once more without the standard library (`cfg(freestanding)`) and carried inside; an
//! ordinary build makes an ordinary program of the same code, for the checks.
#![cfg_attr(freestanding, no_std)]
#![cfg_attr(freestanding, no_main)]
#![expect(
    unsafe_code,
    reason = "the entry point, buffers, and taking over descriptors whose numbers are agreed on"
)]

mod client;
mod end;
mod gate;
mod input;
mod log;
mod memory;
mod monitor;
mod network;
mod output;
mod ports;
mod stamp;
#[cfg(freestanding)]
#[path = "../../start.rs"]
mod start;

use core::ffi::CStr;

use ctr_sys::monitor::{Environment, LOCK_AT, TASK_AT, Task};
use ctr_sys::signals::{self, Set};
use rustix::fd::{FromRawFd, OwnedFd};
use rustix::io::FdFlags;
use rustix::process::Signal;

use crate::memory::Memory;
use crate::monitor::Monitor;
use crate::network::Inherited;

/// The exit code when it was run by anybody but a launcher, or cannot become what it should.
const USELESS: i32 = 125;

/// What a session or a terminal that goes away sends; and a log that hits a limit is a full log, not our end.
const IGNORED: [Signal; 9] = [
    Signal::HUP,
    Signal::INT,
    Signal::QUIT,
    Signal::TERM,
    Signal::TSTP,
    Signal::TTIN,
    Signal::TTOU,
    Signal::PIPE,
    Signal::XFSZ,
];

/// Monitors a container to its end, and becomes what comes after that.
fn run(_argument: Option<&CStr>, environment: Environment) -> i32 {
    let Some(memory) = memory::take() else { return USELESS };
    // None of these fails; and if one did, the container would still be better off with a monitor.
    signals::ignore_only(IGNORED.into_iter().map(Signal::as_raw).fold(Set::EMPTY, Set::with)).ok();
    rustix::thread::set_name(c"ctr-monitor").ok();
    rustix::process::chdir(c"/").ok();
    let Memory { task, message, log, input } = memory;
    let Ok(length) = read_task(task) else { return USELESS };
    let Some(task) = task.get(..length).and_then(Task::decode) else { return USELESS };
    let mut next = LOCK_AT;
    let task = task.map(|()| {
        // SAFETY: the launcher left the task's descriptors at these numbers, in this order; nothing has touched them.
        let fd = unsafe { OwnedFd::from_raw_fd(next) };
        next += 1;
        fd
    });
    // SAFETY: and those of the script behind them.
    let beside = unsafe { Inherited::behind(next, &task) };
    let ended = Monitor::new(task, beside, message, log, input).run();
    // If that fails, the next command that looks at the container does what it would have done.
    ended.become_next(environment);
    USELESS
}

/// Reads the task to the end of its file.
fn read_task(into: &mut [u8]) -> rustix::io::Result<usize> {
    // SAFETY: the launcher left it here; if nobody launched us there may be anything or nothing, which is found out.
    let file = unsafe { OwnedFd::from_raw_fd(TASK_AT) };
    if let Err(errno) = rustix::io::fcntl_setfd(&file, FdFlags::CLOEXEC) {
        core::mem::forget(file);
        return Err(errno);
    }
    let mut length = 0;
    while let Some(rest) = into.get_mut(length..).filter(|rest| !rest.is_empty()) {
        match rustix::io::pread(&file, rest, length as u64)? {
            0 => break,
            count => length += count,
        }
    }
    Ok(length)
}

/// The entry of an ordinary build.
#[cfg(not(freestanding))]
fn main() -> std::process::ExitCode {
    let code = run(None, Environment::none());
    std::process::ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX))
}
