//! Waiting until containers have done something.
//!
//! # Theory of operation
//! What is waited for shows in a container's folder or at its init: inotify tells of the one, a pidfd of the other. The end
//! of a container with a monitor is told by the monitor itself, so that the exit code is known also of one that is removed
//! at once. Only whether a container is frozen is told by nobody, nor when the last who held its lock lets go after init and
//! monitor have died, or before there is either: meanwhile there is a look at intervals. A container that was never started
//! has nothing to end, so that waiting for its end is over at once, with 0.

use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use ctr_core::file::FileError;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::io::Errno;

use crate::attach::{ConnectError, Connection, Wants};
use crate::containers::{Container, Containers, ContainersError};
use crate::status::Status;
use crate::stop::init_of;

/// How often to look at a container of which nobody is left to tell.
const DEAF: Duration = Duration::from_millis(50);

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// The end.
    Exited,
    /// A state by its name.
    State(&'static str),
    /// That it is being removed, or is gone.
    Removing,
    /// That nobody knows what it is doing: never.
    Unknown,
}

/// No such condition.
#[derive(Debug, thiserror::Error)]
#[error("unknown container state: {0}: invalid argument")]
pub struct NoCondition(String);

impl Condition {
    /// Reads a value of `--condition`.
    ///
    /// # Errors
    /// There is no such condition.
    pub fn parse(text: &str) -> Result<Self, NoCondition> {
        Ok(match text.to_ascii_lowercase().as_str() {
            "exited" | "stopped" => Self::Exited,
            "configured" | "created" => Self::State("created"),
            "initialized" => Self::State("initialized"),
            "running" => Self::State("running"),
            "paused" => Self::State("paused"),
            "stopping" => Self::State("stopping"),
            "removing" => Self::Removing,
            // No container here has a check of its health.
            "healthy" | "unhealthy" | "unknown" => Self::Unknown,
            _ => return Err(NoCondition(text.to_owned())),
        })
    }

    fn is_met(self, status: Status) -> bool {
        match self {
            Self::Exited => matches!(status, Status::Exited(_)),
            Self::State(word) => status.word() == word,
            Self::Removing | Self::Unknown => false,
        }
    }
}

/// What was waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waited {
    /// A container ended, with this code.
    Ended(u8),
    /// Another condition is met.
    Met,
    /// It ended, and nobody knows how.
    Unknown,
}

/// Waiting failed.
#[derive(Debug, thiserror::Error)]
pub enum WaitError {
    /// A call.
    #[error("cannot wait for the container: {call}")]
    Call {
        /// Which.
        call: &'static str,
        /// Why.
        #[source]
        errno: Errno,
    },
    /// Its records.
    #[error(transparent)]
    Containers(#[from] ContainersError),
    /// A file of ours.
    #[error(transparent)]
    File(#[from] FileError),
}

fn failed(call: &'static str) -> impl FnOnce(Errno) -> WaitError {
    move |errno| WaitError::Call { call, errno }
}

/// Waits until one of the containers meets one of the conditions; without conditions, until it has ended.
///
/// # Errors
/// A call failed.
pub fn first(
    containers: &Containers,
    waited: &[Container],
    conditions: &[Condition],
    interval: Duration,
) -> Result<Waited, WaitError> {
    let ends = [Condition::Exited];
    let conditions = if conditions.is_empty() { &ends[..] } else { conditions };
    let mut looks: Vec<Look> = waited.iter().map(Look::new).collect::<Result<_, _>>()?;
    // What happens without a trace in the folder.
    let asks_again = ["paused", "stopping"].iter().any(|word| conditions.contains(&Condition::State(word)));
    loop {
        for look in &mut looks {
            if let Some(done) = look.at(containers, conditions)? {
                return Ok(done);
            }
        }
        if looks.is_empty() {
            return Ok(Waited::Unknown);
        }
        let deaf = looks.iter().any(|look| look.deaf).then_some(DEAF);
        let next_look = asks_again.then_some(interval).into_iter().chain(deaf).min();
        // What does not fit is for ever.
        let limit = next_look.and_then(|time| Timespec::try_from(time).ok());
        let mut fds: Vec<PollFd<'_>> = looks.iter().flat_map(Look::events).collect();
        match poll(&mut fds, limit.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(failed("poll")(errno)),
        }
        for look in &looks {
            look.drain()?;
        }
    }
}

/// One container that is looked at.
struct Look {
    id: String,
    folder: OwnedFd,
    init: Option<OwnedFd>,
    /// Its monitor, which tells how it ends.
    monitor: Option<Connection>,
    /// It has not ended, but neither of the two is there any more.
    deaf: bool,
}

impl Look {
    fn new(container: &Container) -> Result<Self, WaitError> {
        let folder =
            inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).map_err(failed("inotify"))?;
        let of = WatchFlags::MOVED_TO | WatchFlags::CREATE | WatchFlags::DELETE | WatchFlags::DELETE_SELF;
        match inotify::add_watch(&folder, &container.folder, of) {
            // It has just been removed.
            Ok(_) | Err(Errno::NOENT) => {}
            Err(errno) => return Err(failed("inotify")(errno)),
        }
        Ok(Self { id: container.record.id.to_string(), folder, init: None, monitor: None, deaf: false })
    }

    /// Whether it is as is waited for; if not, what there is to listen to is opened.
    fn at(&mut self, containers: &Containers, conditions: &[Condition]) -> Result<Option<Waited>, WaitError> {
        if let Some(monitor) = &self.monitor
            && let Some(end) = monitor.last_word()
        {
            self.monitor = None;
            if let Some(code) = end
                && conditions.contains(&Condition::Exited)
            {
                return Ok(Some(Waited::Ended(code)));
            }
        }
        let Some(container) = containers.by_id(&self.id)? else {
            return Ok(Some(if conditions.contains(&Condition::Removing) {
                Waited::Met
            } else {
                Waited::Unknown
            }));
        };
        let status = container.status()?;
        if conditions.iter().any(|condition| condition.is_met(status)) {
            return Ok(Some(match status.exit() {
                Some(exit) => Waited::Ended(exit.code),
                None => Waited::Met,
            }));
        }
        if status == Status::Created && conditions.contains(&Condition::Exited) && !container.is_held()? {
            // Nobody is about to start it: it has ended as much as it ever will.
            return Ok(Some(Waited::Ended(0)));
        }
        if status.is_alive() && self.init.is_none() {
            self.init = init_of(&container)?;
        }
        if !status.is_alive() {
            self.init = None;
        }
        if status.is_alive() && self.monitor.is_none() && container.kind.has_monitor() {
            self.monitor = listen(&container)?;
        }
        let unfinished = status.is_alive() || matches!(status, Status::Stopping | Status::Created);
        self.deaf = unfinished && self.init.is_none() && self.monitor.is_none();
        Ok(None)
    }

    fn events(&self) -> impl Iterator<Item = PollFd<'_>> {
        let watch = |fd| PollFd::from_borrowed_fd(fd, PollFlags::IN);
        // The monitor tells of the end when it has written it down: its word comes after init's end.
        let init = self.init.as_ref().filter(|_| self.monitor.is_none());
        let told = [Some(self.folder.as_fd()), init.map(AsFd::as_fd), self.monitor.as_ref().map(AsFd::as_fd)];
        told.into_iter().flatten().map(watch)
    }

    /// What the folder's events are does not matter: all is looked at again.
    fn drain(&self) -> Result<(), WaitError> {
        let mut events = [0_u8; 4096];
        loop {
            match rustix::io::read(&self.folder, &mut events) {
                Ok(0) | Err(Errno::AGAIN) => return Ok(()),
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => return Err(failed("read of inotify")(errno)),
            }
        }
    }
}

/// A connection to the monitor of a container; none where it has none, or it is about to leave.
fn listen(container: &Container) -> Result<Option<Connection>, WaitError> {
    match Connection::open(&container.folder, Wants { output: false, input: false }) {
        Ok(connection) => Ok(Some(connection)),
        Err(ConnectError::System { doing, errno }) => Err(failed(doing)(errno)),
        Err(_) => Ok(None),
    }
}
