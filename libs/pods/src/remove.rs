//! Ending containers for others than their supervisor.
//!
//! A container is removed by whoever supervises it, once its init has ended; so this sends a signal, waits for the init's
//! end through its pidfd, and then for the supervisor to let go.

use std::time::Duration;

use ctr_core::file::FileError;
use ctr_sys::signals;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use std::os::fd::{AsFd, OwnedFd};

use crate::containers::{Container, Containers, ContainersError};

/// A container could not be removed.
#[derive(Debug, thiserror::Error)]
pub enum RemoveError {
    /// It runs, and nobody said that it may be ended.
    #[error(
        "cannot remove container {0} as it is running - running or paused containers cannot be removed without \
         force: container state improper"
    )]
    Running(String),
    /// A signal cannot be sent.
    #[error("cannot end container {id}")]
    Signal {
        /// Which.
        id: String,
        /// Why.
        #[source]
        errno: Errno,
    },
    /// Its init cannot be found.
    #[error(transparent)]
    File(#[from] FileError),
    /// Its records.
    #[error(transparent)]
    Containers(#[from] ContainersError),
}

/// How a container is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Removal {
    /// It may be ended.
    pub force: bool,
    /// How long it has after the signal that asks it to stop; none is for ever.
    pub grace: Option<Duration>,
}

/// Removes a container.
///
/// # Errors
/// It runs and may not be ended, or cannot be.
pub fn remove(containers: &Containers, container: &Container, how: Removal) -> Result<(), RemoveError> {
    let id = container.record.id.to_string();
    let init = container.state.as_ref().map(|state| state.init.open()).transpose()?.flatten();
    match init {
        Some(_) if !how.force => Err(RemoveError::Running(id)),
        Some(init) => {
            let failed = |errno| RemoveError::Signal { id: id.clone(), errno };
            end(&init, container.record.process.stop_signal, how.grace).map_err(failed)?;
            Ok(containers.wait_gone(&container.record.id)?)
        }
        // It is being made or unmade; whoever does that holds it for no longer than that takes.
        None => Ok(containers.wait_gone(&container.record.id)?),
    }
}

fn end(init: &OwnedFd, signal: i32, grace: Option<Duration>) -> Result<(), Errno> {
    if grace != Some(Duration::ZERO) && send(init, signal)? && ended(init, grace)? {
        return Ok(());
    }
    send(init, rustix::process::Signal::KILL.as_raw())?;
    ended(init, None).map(drop)
}

/// Sends a signal; `false`: it has ended.
fn send(init: &OwnedFd, signal: i32) -> Result<bool, Errno> {
    match signals::send(init.as_fd(), signal) {
        Ok(()) => Ok(true),
        Err(Errno::SRCH) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// Waits for the end; `false`: the time was up.
fn ended(init: &OwnedFd, within: Option<Duration>) -> Result<bool, Errno> {
    let limit = within.map(|within| Timespec {
        tv_sec: i64::try_from(within.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: within.subsec_nanos().into(),
    });
    loop {
        match poll(&mut [PollFd::new(init, PollFlags::IN)], limit.as_ref()) {
            Ok(count) => return Ok(count > 0),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}
