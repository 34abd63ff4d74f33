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
use ctr_core::lock::Look;
use ctr_core::process::{Identity, Serial};

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

/// What is written of a container that bears on what it is doing.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Evidence<'a> {
    /// A start that cannot be read.
    pub(crate) damaged: bool,
    /// How the last start ended.
    pub(crate) ending: Option<Ending>,
    /// Its init.
    pub(crate) init: Option<(&'a Identity, Option<Serial>)>,
    /// Its command is not running yet.
    pub(crate) waiting: bool,
    /// Its control group.
    pub(crate) cgroup: Option<&'a Path>,
}

/// Judges by what is written, by what the lock tells to whoever knows whether init lives, and by what may have been written
/// meanwhile.
pub(crate) fn of(
    evidence: Evidence<'_>,
    look: impl Fn(bool) -> Result<Look, FileError>,
    ending_by_now: impl FnOnce() -> Option<Ending>,
) -> Result<Status, FileError> {
    let Evidence { damaged, ending, init, waiting, cgroup } = evidence;
    if let Some(ending) = ending {
        return Ok(Status::Exited(ending.into()));
    }
    let Some((init, serial)) = init else {
        // Nobody knows its init: all that can be asked is whether it is supervised.
        return Ok(match damaged {
            false => Status::Created,
            true if look(false)?.held => Status::Running,
            true => UNSEEN,
        });
    };
    let runs = init.runs_as(serial)?;
    let Look { held, marked } = look(runs)?;
    Ok(match (runs, held) {
        (true, true) if waiting => Status::Initialized,
        (true, true) if cgroup.is_some_and(is_frozen) => Status::Paused,
        (true, true) if marked => Status::Leaving,
        (true, true) => Status::Running,
        (true, false) | (false, true) => Status::Stopping,
        // Its monitor may have written down the end, and left, since the records were read.
        (false, false) => ending_by_now().map_or(UNSEEN, |ending| Status::Exited(ending.into())),
    })
}

/// Whether a control group is frozen; one that cannot be asked is not.
fn is_frozen(cgroup: &Path) -> bool {
    let events = std::fs::read_to_string(cgroup.join("cgroup.events")).unwrap_or_default();
    events.lines().any(|line| line == "frozen 1")
}
