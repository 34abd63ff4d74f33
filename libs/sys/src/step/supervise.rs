//! `--init`: the first process of a pid namespace stays small and does its duties, the command runs as its child.
//!
//! # Protocol
//! The init has every signal blocked and takes one after the other: SIGCHLD means that somebody is to be reaped, any
//! other is handed on to the command. When the command ends, the init ends with its exit code (128 and the number for a
//! signal), and the kernel ends the rest of the namespace.

#![expect(unsafe_code, reason = "signal masks, sigtimedwait, wait4")]

use core::ptr::null;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::{Errno, Result};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::run::Engine;
use crate::clone::{fork, leave};
use crate::control;
use crate::raw;

/// The highest signal.
const LAST_SIGNAL: usize = 64;
/// The bytes of the kernel's signal set.
const SET: usize = 8;
/// `SIG_SETMASK`.
const SET_MASK: usize = 2;

/// Gives every signal its default action, and blocks none: neither survives from whoever launched us.
pub(super) fn reset_signals() -> Result<()> {
    // The kernel's `struct sigaction` is no longer than this; all zeros are SIG_DFL, no flags, an empty mask.
    let default = [0_usize; 4];
    for signal in 1..=LAST_SIGNAL {
        let args = [signal, default.as_ptr() as usize, 0, SET, 0, 0];
        // SAFETY: the kernel reads an action from a live buffer; a default action calls nothing of ours.
        match unsafe { raw::call(libc::SYS_rt_sigaction, args) } {
            // SIGKILL and SIGSTOP have no other action.
            Ok(_) | Err(Errno::INVAL) => {}
            Err(errno) => return Err(errno),
        }
    }
    set_mask(0)
}

fn set_mask(mask: u64) -> Result<()> {
    let args = [SET_MASK, core::ptr::from_ref(&mask) as usize, 0, SET, 0, 0];
    // SAFETY: the kernel reads eight bytes of a live variable.
    unsafe { raw::call(libc::SYS_rt_sigprocmask, args) }.map(drop)
}

impl Engine {
    /// Becomes two: the elder is the init and never returns, the younger goes on to the command.
    pub(super) fn supervise(&mut self, terminal: bool) -> Result<()> {
        // Before the fork, so that no signal falls between.
        set_mask(u64::MAX)?;
        match fork()? {
            None => {
                lead(terminal)?;
                set_mask(0)
            }
            Some(child) => {
                self.forget_descriptors();
                watch(child)
            }
        }
    }
}

/// Makes the command's process a group of its own, and with a terminal the one in its foreground.
fn lead(terminal: bool) -> Result<()> {
    rustix::process::setpgid(None, None)?;
    if !terminal {
        return Ok(());
    }
    // SIGTTOU, which a process of the background would get for this, is still blocked.
    // SAFETY: the step before this one has put the terminal there.
    let terminal = unsafe { BorrowedFd::borrow_raw(0) };
    rustix::termios::tcsetpgrp(terminal, rustix::process::getpid())
}

/// The init's life.
fn watch(child: Pid) -> ! {
    loop {
        match next_signal() {
            Ok(libc::SIGCHLD) => {
                if let Some(code) = reap(child) {
                    leave(code);
                }
            }
            // Meant for the background job that an init is.
            Ok(libc::SIGTTIN | libc::SIGTTOU) => {}
            Ok(signal) => hand_on(child, signal),
            Err(_interrupted) => {}
        }
    }
}

/// The life of a process that only is another's parent: a process inside a pid namespace that nobody outside waits for
/// would keep that namespace's init from ending. What it writes to a terminal that nobody looks at is read and forgotten,
/// lest it wait for a reader.
pub(super) fn hold(child: Pid, master: Option<OwnedFd>) -> ! {
    if let Some(master) = master {
        // Without a descriptor to wait on, its terminal fills up: no reason not to wait for it.
        drain(child, &master).ok();
    }
    loop {
        match wait_for_anybody(0) {
            Some((pid, code)) if pid == child => leave(code),
            // Interrupted: a signal that is no reason to leave.
            _ => {}
        }
    }
}

/// Stays with the launcher, who looks at the process' terminal, until that process ends or the launcher leaves. Returns
/// the terminal's master side if the launcher handed it over; else it hangs up as the launcher leaves.
pub(super) fn heel(child: Pid, leash: &OwnedFd) -> Option<OwnedFd> {
    // As long as the launcher has not opened it, its id must not become another's.
    control::wait_for_go(leash.as_fd()).ok()?;
    let process = pidfd_open(child, PidfdFlags::empty()).ok()?;
    loop {
        let mut fds = [PollFd::new(leash, PollFlags::IN), PollFd::new(&process, PollFlags::IN)];
        match poll(&mut fds, None) {
            Ok(_) => {}
            Err(Errno::INTR) => continue,
            Err(_) => return None,
        }
        if !fds[0].revents().is_empty() {
            let mut handed = None;
            control::next_order(leash.as_fd(), |fd| handed = Some(fd)).ok();
            return handed;
        }
        if !fds[1].revents().is_empty() {
            return None;
        }
    }
}

/// Reads a terminal until the process ends, or everybody has closed its other side.
fn drain(child: Pid, master: &OwnedFd) -> Result<()> {
    let process = pidfd_open(child, PidfdFlags::empty())?;
    let mut bytes = [0_u8; 4096];
    loop {
        let mut fds = [PollFd::new(master, PollFlags::IN), PollFd::new(&process, PollFlags::IN)];
        match poll(&mut fds, None) {
            Ok(_) => {}
            Err(Errno::INTR) => continue,
            Err(errno) => return Err(errno),
        }
        if !fds[1].revents().is_empty() {
            return Ok(());
        }
        match rustix::io::read(master, &mut bytes[..]) {
            Ok(0) | Err(Errno::IO) => return Ok(()),
            Ok(_) | Err(_) => {}
        }
    }
}

fn next_signal() -> Result<i32> {
    let all = u64::MAX;
    let args = [core::ptr::from_ref(&all) as usize, 0, 0, SET, 0, 0];
    // SAFETY: the kernel reads eight bytes of a live variable, and writes nothing to null pointers.
    let signal = unsafe { raw::call(libc::SYS_rt_sigtimedwait, args) }?;
    i32::try_from(signal).map_err(|_overflow| Errno::INVAL)
}

fn hand_on(child: Pid, signal: i32) {
    let args = [raw::int(child.as_raw_nonzero().get()), raw::int(signal), 0, 0, 0, 0];
    // SAFETY: takes numbers only. The child has not been reaped, so its id is still its own.
    // A command that has just ended is told nothing any more.
    unsafe { raw::call(libc::SYS_kill, args) }.ok();
}

/// Reaps whoever has ended. Returns the command's exit code if it is among them.
fn reap(child: Pid) -> Option<i32> {
    let mut code = None;
    loop {
        match wait_for_anybody(libc::WNOHANG) {
            None => return code,
            Some((pid, ended)) => code = if pid == child { Some(ended) } else { code },
        }
    }
}

/// Somebody who has ended, with the exit code that stands for it.
fn wait_for_anybody(options: i32) -> Option<(Pid, i32)> {
    const ANYBODY: i32 = -1;
    let mut status: i32 = 0;
    let into = (&raw mut status) as usize;
    let args = [raw::int(ANYBODY), into, raw::int(options), null::<u8>() as usize, 0, 0];
    // SAFETY: the kernel writes one int to a live variable, and nothing to a null pointer.
    let pid = unsafe { raw::call(libc::SYS_wait4, args) }.ok()?;
    let signal = status & 0x7f;
    let code = if signal == 0 { (status >> 8) & 0xff } else { 128 + signal };
    Some((Pid::from_raw(i32::try_from(pid).ok()?)?, code))
}
