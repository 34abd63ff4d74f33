//! Becoming a container's monitor.
//!
//! The monitor is a program of its own, `ctr-monitor`, which this library carries inside like `ctr-init`: it waits for
//! days, and a fork of the launcher would hold several times the memory. See [`ctr_sys::monitor`] for what it is told, and
//! for what it says to clients.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use ctr_sys::clone::sealed;
use ctr_sys::monitor::{MAX_TASK, Task};
use ctr_sys::step::Strings;
use rustix::io::Errno;

/// `ctr-monitor`, as the build script made it.
const MONITOR: &[u8] = include_bytes!(env!("CTR_MONITOR"));

/// Becomes the monitor of a container that runs; people see it as `ctr-monitor`, the short id and the name.
///
/// It gets the task's descriptors, those of the network's script, and no others, and standard input, output and error lead nowhere. Returns only if that
/// fails, and then the process has to end: descriptors may have been replaced.
#[must_use]
pub fn become_monitor(
    task: &Task<'_, BorrowedFd<'_>>,
    beside: &[OwnedFd],
    short_id: &str,
    name: &str,
) -> Errno {
    match try_to(task, beside, short_id, name) {
        Ok(errno) | Err(errno) => errno,
    }
}

fn try_to(
    task: &Task<'_, BorrowedFd<'_>>,
    beside: &[OwnedFd],
    short_id: &str,
    name: &str,
) -> Result<Errno, Errno> {
    let mut bytes = Vec::new();
    task.encode(&mut |piece: &[u8]| bytes.extend_from_slice(piece));
    if bytes.len() > MAX_TASK {
        return Err(Errno::TOOBIG);
    }
    let orders = sealed(c"ctr-task", &bytes)?;
    let mut fds = Vec::new();
    task.map(|fd| fds.push(fd));
    fds.extend(beside.iter().map(AsFd::as_fd));
    let program = sealed(c"ctr-monitor", MONITOR)?;
    let title = format!("ctr-monitor\0{short_id}\0{name}\0");
    let title = Strings::new(title.as_bytes()).ok_or(Errno::INVAL)?;
    Ok(ctr_sys::monitor::become_monitor(program.as_fd(), orders.as_fd(), &fds, title))
}
