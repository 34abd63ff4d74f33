//! Ending containers for others than their supervisor.
//!
//! A signal goes to init through its pidfd, and its end is waited for there. What is left to do afterwards is its
//! supervisor's: that is waited for too, so that whoever comes next sees a container that has ended.
//!
//! # Deaf containers
//! The kernel drops signals for the first process of a pid namespace unless that process has a handler: a shell that never
//! set one cannot hear SIGTERM at all, and peers wait ten seconds for nothing. So init is asked (`/proc/PID/status`)
//! whether it can hear the signal; if it still cannot after a moment, in which it may have been about to say so, it is
//! killed at once.
//!
//! # Several at once
//! Whoever ends several asks all ([`ask`]) before it waits for the first: each has its time from when it was asked.

use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use ctr_core::file::FileError;
use ctr_core::lock::{Mark, Waiting};
use ctr_runtime::cgroup::GroupError;
use ctr_sys::signals;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::Signal;

use crate::containers::{Container, Containers, ContainersError, LOCK, STATE};
use crate::freezer;
use crate::status::Status;

/// How long a container that cannot hear a signal has to learn it.
const MOMENT: Duration = Duration::from_millis(100);

/// A container could not be ended, or not be sent a signal.
#[derive(Debug, thiserror::Error)]
pub enum StopError {
    /// There is nobody to send a signal to.
    #[error("can only kill running containers. {id} is in state {state}: container state improper")]
    NotRunning {
        /// Which.
        id: String,
        /// What it is doing.
        state: &'static str,
    },
    /// A signal cannot be sent.
    #[error("cannot send a signal to container {id}")]
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
    /// Nobody knows its init.
    #[error("cannot find the first process of container {id}: {path} cannot be understood")]
    Damaged {
        /// Which.
        id: String,
        /// What should tell.
        path: PathBuf,
    },
    /// It cannot be let go on.
    #[error(transparent)]
    Group(#[from] GroupError),
}

/// How a container is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stopping {
    /// How long it has to end by itself; none is for ever.
    pub grace: Option<Duration>,
    /// It has that time even if it cannot hear the signal, as with Podman.
    pub patient: bool,
}

/// How it came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// It was not running.
    Already,
    /// By itself.
    ByItself,
    /// It could not hear the signal.
    Deaf(i32),
    /// It did not end in time after the signal.
    Late(i32),
    /// It was given no time.
    Killed,
}

/// A container that was asked to end.
///
/// Several are asked before the first is waited for: they end side by side. The default is one that has ended already.
#[derive(Debug, Default)]
#[must_use = "it was asked, and nobody waits"]
pub struct Asked(Option<Dying>);

/// One that lived when it was asked.
#[derive(Debug)]
struct Dying {
    container: Container,
    init: OwnedFd,
    how: Stopping,
    /// What it was sent first; none where it had ended by then.
    sent: Option<Sent>,
    at: Instant,
    /// Whoever looks at it meanwhile sees what is going on; a stop that is killed leaves nothing behind.
    _mark: Option<Mark>,
}

/// The first signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sent {
    /// SIGKILL.
    Killing,
    /// Its own, which it can hear.
    Heard,
    /// Its own, which it cannot.
    Unheard,
}

/// Stops a container, and waits until that is written down. `on_wait` hears when somebody keeps that from being done.
///
/// # Errors
/// A signal cannot be sent.
pub fn stop(
    containers: &Containers,
    container: &Container,
    how: Stopping,
    on_wait: &mut dyn FnMut(&Waiting),
) -> Result<Stopped, StopError> {
    ask(containers, container, how, on_wait)?.wait(containers, on_wait)
}

/// Asks a container to end; the time it has for that begins.
///
/// # Errors
/// As [`stop`].
pub fn ask(
    containers: &Containers,
    container: &Container,
    how: Stopping,
    on_wait: &mut dyn FnMut(&Waiting),
) -> Result<Asked, StopError> {
    let Some((container, init)) = alive(containers, container, on_wait)? else { return Ok(Asked(None)) };
    let status = container.status()?;
    if status == Status::Paused {
        resume(&container)?;
    }
    // There is no command yet that could end by itself.
    let how =
        if status == Status::Initialized { Stopping { grace: Some(Duration::ZERO), ..how } } else { how };
    // A file system that has no such locks keeps nobody from stopping.
    let mark = Mark::set(&container.folder.join(LOCK)).ok().flatten();
    let sent = send_first(&container, &init, how).map_err(|errno| refused(&container, errno))?;
    Ok(Asked(Some(Dying { container, init, how, sent, at: Instant::now(), _mark: mark })))
}

impl Asked {
    /// Waits until it has ended, which is seen to, and until that is written down.
    ///
    /// # Errors
    /// As [`stop`].
    pub fn wait(
        self,
        containers: &Containers,
        on_wait: &mut dyn FnMut(&Waiting),
    ) -> Result<Stopped, StopError> {
        let Self(Some(dying)) = self else { return Ok(Stopped::Already) };
        let stopped = dying.see_to_it().map_err(|errno| refused(&dying.container, errno))?;
        containers.wait_gone(&dying.container, on_wait)?;
        Ok(stopped)
    }
}

impl Dying {
    fn see_to_it(&self) -> Result<Stopped, Errno> {
        let stopped = match self.sent {
            None => return Ok(Stopped::ByItself),
            Some(Sent::Killing) => Stopped::Killed,
            Some(Sent::Heard) => self.grant(self.left(self.how.grace))?,
            Some(Sent::Unheard) => self.grant_a_moment()?,
        };
        if stopped != Stopped::ByItself {
            send(&self.init, Signal::KILL.as_raw())?;
            ended(&self.init, None)?;
        }
        Ok(stopped)
    }

    /// Gives it time to end by itself.
    fn grant(&self, time: Option<Duration>) -> Result<Stopped, Errno> {
        let late = Stopped::Late(self.container.record.process.stop_signal);
        Ok(if ended(&self.init, time)? { Stopped::ByItself } else { late })
    }

    /// Whether one that could not hear the signal learns to.
    fn grant_a_moment(&self) -> Result<Stopped, Errno> {
        let signal = self.container.record.process.stop_signal;
        let moment = self.how.grace.map_or(MOMENT, |grace| grace.min(MOMENT));
        if ended(&self.init, self.left(Some(moment)))? {
            return Ok(Stopped::ByItself);
        }
        if !hears(&self.container, signal) {
            return Ok(Stopped::Deaf(signal));
        }
        // Now it can: the first one was dropped.
        send(&self.init, signal)?;
        self.grant(self.how.grace)
    }

    /// What is left of some time since it was asked.
    fn left(&self, time: Option<Duration>) -> Option<Duration> {
        time.map(|time| time.saturating_sub(self.at.elapsed()))
    }
}

fn refused(container: &Container, errno: Errno) -> StopError {
    StopError::Signal { id: container.record.id.to_string(), errno }
}

/// Sends the first signal; `None`: it has ended.
fn send_first(container: &Container, init: &OwnedFd, how: Stopping) -> Result<Option<Sent>, Errno> {
    let signal = container.record.process.stop_signal;
    let (signal, sent) = if how.grace == Some(Duration::ZERO) {
        (Signal::KILL.as_raw(), Sent::Killing)
    } else if how.patient || hears(container, signal) {
        (signal, Sent::Heard)
    } else {
        (signal, Sent::Unheard)
    };
    let there = send(init, signal)?;
    // Whoever is given no time is killed, be it gone by then.
    Ok((there || sent == Sent::Killing).then_some(sent))
}

/// A container with its init, if that lives. One that somebody has in hand is about to have an init, or about to be done
/// with it: whichever comes first is waited for.
fn alive(
    containers: &Containers,
    container: &Container,
    on_wait: &mut dyn FnMut(&Waiting),
) -> Result<Option<(Container, OwnedFd)>, StopError> {
    let mut now = container.clone();
    for turn in 0_u64.. {
        if let Some(init) = init_of(&now)? {
            return Ok(Some((now, init)));
        }
        // After a second it is said who that is.
        let hears: Option<&mut dyn FnMut(&Waiting)> = if turn == 1 { Some(&mut *on_wait) } else { None };
        if containers.is_left(&now, hears)? {
            break;
        }
        if turn > 0 && now.damaged {
            let id = now.record.id.to_string();
            return Err(StopError::Damaged { id, path: now.folder.join(STATE) });
        }
        match containers.by_id(now.record.id.as_str())? {
            Some(again) => now = again,
            None => break,
        }
    }
    Ok(None)
}

/// Sends a signal to a container's init.
///
/// # Errors
/// It does not run, or the signal cannot be sent.
pub fn kill(container: &Container, signal: i32) -> Result<(), StopError> {
    let not_running =
        |status: Status| StopError::NotRunning { id: container.record.id.to_string(), state: status.word() };
    let status = container.status()?;
    let init = if status.has_command() { init_of(container)? } else { None };
    let Some(init) = init else { return Err(not_running(status)) };
    match send(&init, signal) {
        Ok(true) => Ok(()),
        Ok(false) => Err(not_running(Status::Stopping)),
        Err(errno) => Err(refused(container, errno)),
    }
}

/// Lets a frozen container go on.
fn resume(container: &Container) -> Result<(), StopError> {
    freezer::thaw(container)?;
    Ok(())
}

/// A container's init, if it lives.
pub(crate) fn init_of(container: &Container) -> Result<Option<OwnedFd>, FileError> {
    if container.ending.is_some() {
        return Ok(None);
    }
    Ok(container.state.as_ref().map(|state| state.init.open()).transpose()?.flatten())
}

/// Whether a container's init can hear a signal. One about which nothing can be learned can.
fn hears(container: &Container, signal: i32) -> bool {
    let Some(state) = &container.state else { return true };
    let status = std::fs::read_to_string(format!("/proc/{}/status", state.init.pid)).unwrap_or_default();
    can_hear(&status, signal, container.record.host.has_own_pids()).unwrap_or(true)
}

/// Reads the masks of `/proc/PID/status`. The first process of a pid namespace gets a signal that it has blocked, or has a
/// handler for; any other gets all but those it ignores. Nobody misses SIGKILL.
fn can_hear(status: &str, signal: i32, first: bool) -> Option<bool> {
    let bit = 1_u64.checked_shl(u32::try_from(signal).ok()?.checked_sub(1)?)?;
    let mask = |name: &str| {
        let text = status.lines().find_map(|line| line.strip_prefix(name))?;
        u64::from_str_radix(text.trim(), 16).ok()
    };
    let (caught, blocked, ignored) = (mask("SigCgt:")?, mask("SigBlk:")?, mask("SigIgn:")?);
    let killing = signal == Signal::KILL.as_raw();
    Some(killing || if first { (caught | blocked) & bit != 0 } else { ignored & bit == 0 })
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
    // What does not fit is for ever.
    let limit = within.and_then(|within| Timespec::try_from(within).ok());
    loop {
        match poll(&mut [PollFd::new(init, PollFlags::IN)], limit.as_ref()) {
            Ok(count) => return Ok(count > 0),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_process_1() {
        let first = |pid: &str| {
            crate::record::HostRecord { pid: pid.to_owned(), ..Default::default() }.has_own_pids()
        };
        assert_eq!(["private", "", "host", "container:x"].map(first), [true, true, false, false]);
    }

    #[test]
    fn who_can_hear_what() {
        let status =
            "Name:\tsh\nSigBlk:\t0000000000000002\nSigIgn:\t0000000000004000\nSigCgt:\t0000000000000001\n";
        let hears = |signal, first| can_hear(status, signal, first);
        // 1 has a handler, 2 is blocked, 15 is ignored, 3 has its default.
        assert_eq!([1, 2, 15, 3, 9].map(|it| hears(it, true).unwrap()), [true, true, false, false, true]);
        assert_eq!([1, 2, 15, 3, 9].map(|it| hears(it, false).unwrap()), [true, true, false, true, true]);
        assert_eq!(can_hear("Name:\tsh\n", 15, true), None);
        assert_eq!(hears(0, true), None);
    }
}
