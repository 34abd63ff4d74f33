//! What a container is doing: told by its records and by the kernel, never by a record alone.
//!
//! ```text
//! record only                                      created
//! a start, its init lives, held                    running, paused (its control group is frozen), initialized
//! a start, its init lives, held and marked         stopping: a `stop` waits for it
//! a start, its init lives, not held                stopping: the monitor was killed, and the kernel is killing init
//! a start, its init is gone, an ending             exited, with the code that the monitor wrote down
//! a start, its init is gone, no ending, held       stopping: the monitor is about to write it down
//! a start, its init is gone, no ending, not held   exited, 137: the monitor was killed, and the container with it
//! a start that cannot be read                      running while it is held, then exited, 137
//! ```

use std::path::Path;

use ctr_core::file::FileError;

use crate::containers::Container;
use crate::record::{Ending, Time};

/// What a container is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    /// It was never started.
    Created,
    /// Everything but its command is there.
    Initialized,
    /// Its command runs.
    Running,
    /// Its command runs, and was told to end.
    Leaving,
    /// It is frozen.
    Paused,
    /// Its command has ended, which is being written down.
    Stopping,
    /// It has ended.
    Exited(Exit),
}

/// How a container ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Exit {
    /// Its code.
    pub code: u8,
    /// When; none where nobody was there to see it.
    pub finished: Option<Time>,
    /// For want of memory.
    pub oom: bool,
    /// Its time was up.
    pub timed_out: bool,
    /// Nobody was there to see it: its monitor was killed, or the machine was.
    pub unseen: bool,
}

/// What stands for a container that went with its monitor.
const UNSEEN: Status =
    Status::Exited(Exit { code: 137, finished: None, oom: false, timed_out: false, unseen: true });

impl Status {
    /// The word that Podman has for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Initialized => "initialized",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Leaving | Self::Stopping => "stopping",
            Self::Exited(_) => "exited",
        }
    }

    /// Whether it has processes.
    #[must_use]
    pub const fn is_alive(self) -> bool {
        matches!(self, Self::Initialized | Self::Running | Self::Leaving | Self::Paused)
    }

    /// Whether its command runs, frozen ones aside.
    #[must_use]
    pub const fn runs(self) -> bool {
        matches!(self, Self::Running | Self::Leaving)
    }

    /// Whether it has a command that runs, be it frozen.
    #[must_use]
    pub const fn has_command(self) -> bool {
        self.runs() || matches!(self, Self::Paused)
    }

    /// How it ended, if it did.
    #[must_use]
    pub const fn exit(self) -> Option<Exit> {
        match self {
            Self::Exited(exit) => Some(exit),
            _ => None,
        }
    }
}

impl Exit {
    /// The code as lists show it: one whose time was up has none of its own.
    #[must_use]
    pub fn shown(self) -> i64 {
        if self.timed_out { -1 } else { i64::from(self.code) }
    }
}

impl From<Ending> for Exit {
    fn from(ending: Ending) -> Self {
        Self {
            code: ending.code,
            finished: Some(ending.finished),
            oom: ending.oom,
            timed_out: ending.timed_out,
            unseen: false,
        }
    }
}

pub(crate) fn of(container: &Container) -> Result<Status, FileError> {
    if let Some(ending) = container.ending {
        return Ok(Status::Exited(ending.into()));
    }
    let Some(state) = &container.state else { return without_state(container) };
    if state.init.runs()? {
        return Ok(match &state.cgroup {
            _ if !container.is_held()? => Status::Stopping,
            _ if state.waiting => Status::Initialized,
            Some(cgroup) if is_frozen(cgroup) => Status::Paused,
            _ if container.is_told_to_end()? => Status::Leaving,
            _ => Status::Running,
        });
    }
    Ok(if container.is_held()? { Status::Stopping } else { UNSEEN })
}

/// Nobody knows its init: all that can be asked is whether it is supervised.
fn without_state(container: &Container) -> Result<Status, FileError> {
    Ok(match container.damaged {
        false => Status::Created,
        true if container.is_held()? => Status::Running,
        true => UNSEEN,
    })
}

/// Whether a control group is frozen; one that cannot be asked is not.
fn is_frozen(cgroup: &Path) -> bool {
    let events = std::fs::read_to_string(cgroup.join("cgroup.events")).unwrap_or_default();
    events.lines().any(|line| line == "frozen 1")
}
