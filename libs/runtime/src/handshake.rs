//! What the launcher has heard from its child, as a state machine without processes.
//!
//! ```text
//!          Born, Done         Done             closed
//! Bearing ──────────▶ Staging ──────▶ Entering ──────▶ Running
//!    └── Stillborn, Failed, closed ──────┘ ▶ an error
//! ```
//! A command that waits for its start says so while it is entering: for the launcher that is the end.
//!
//! The main half may be sent before the first is done: the reports come in order, so [`Handshake`] knows which half a
//! step's number belongs to.

use ctr_sys::control::Report;

/// How far the child is known to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// A process enters a container, and makes the one that goes on inside.
    Joining,
    /// A go-between joins namespaces, and bears the process.
    Bearing,
    /// The first half is being executed.
    Staging,
    /// The second half is being executed, or waited for.
    Entering,
    /// The command was exec'd.
    Running,
}

/// What a report means to the launcher.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// Nothing to do but wait for more.
    Progress,
    /// The process has this id; it waits for its maps.
    Born(i32),
    /// The descriptor that came along is the terminal.
    Terminal,
    /// The descriptor that came along is seccomp's listener.
    Listener,
    /// A step was passed over or took its fallback.
    Notice {
        /// Which half the step is of.
        phase: Phase,
        /// Its number.
        step: u32,
        /// Why.
        errno: i32,
    },
    /// A step failed, and the child is ending.
    Failure {
        /// Which half the step is of.
        phase: Phase,
        /// Its number.
        step: u32,
        /// Why.
        errno: i32,
    },
    /// The child failed before it could execute anything.
    Stillborn(i32),
    /// All is there but the command.
    Waiting,
    /// The command runs.
    Running,
    /// The child ended, or spoke, out of turn.
    Broken,
}

/// The launcher's view of a child.
#[derive(Debug)]
pub struct Handshake {
    phase: Phase,
}

impl Handshake {
    /// A child that was just cloned, or a go-between.
    #[must_use]
    pub const fn new(through_go_between: bool) -> Self {
        Self { phase: if through_go_between { Phase::Bearing } else { Phase::Staging } }
    }

    /// A process that joins a container which is there already: it has one plan, and no halves.
    #[must_use]
    pub const fn joining() -> Self {
        Self { phase: Phase::Joining }
    }

    /// How far the child is known to be.
    #[must_use]
    pub const fn phase(&self) -> Phase {
        self.phase
    }

    /// Takes what the socket brought: a report, or its end.
    pub const fn hear(&mut self, report: Option<Report>) -> Meaning {
        let phase = self.phase;
        match (phase, report) {
            (Phase::Running, _) => Meaning::Broken,
            (_, Some(Report::Stillborn { errno })) => Meaning::Stillborn(errno),
            (_, Some(Report::Failed { step, errno })) => Meaning::Failure { phase, step, errno },
            (_, Some(Report::Noticed { step, errno })) => Meaning::Notice { phase, step, errno },
            (_, Some(Report::Terminal)) => Meaning::Terminal,
            (_, Some(Report::Listener)) => Meaning::Listener,
            (Phase::Bearing, Some(Report::Born { pid })) => Meaning::Born(pid),
            (Phase::Joining, Some(Report::Born { pid })) => {
                self.phase = Phase::Entering;
                Meaning::Born(pid)
            }
            // From here on it is the one that was born who speaks.
            (Phase::Bearing, Some(Report::Done)) => {
                self.phase = Phase::Staging;
                Meaning::Progress
            }
            (Phase::Staging, Some(Report::Done)) => {
                self.phase = Phase::Entering;
                Meaning::Progress
            }
            (Phase::Entering, None) => {
                self.phase = Phase::Running;
                Meaning::Running
            }
            (Phase::Entering, Some(Report::Waiting)) => Meaning::Waiting,
            (_, Some(Report::Born { .. } | Report::Done | Report::Waiting) | None) => Meaning::Broken,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(through_go_between: bool, reports: &[Option<Report>]) -> Vec<Meaning> {
        let mut handshake = Handshake::new(through_go_between);
        reports.iter().map(|report| handshake.hear(*report)).collect()
    }

    #[test]
    fn a_start_without_trouble() {
        let reports = [Some(Report::Done), Some(Report::Terminal), None, None];
        let expected = [Meaning::Progress, Meaning::Terminal, Meaning::Running, Meaning::Broken];
        assert_eq!(heard(false, &reports), expected);
    }

    #[test]
    fn a_go_between_has_to_bear_first() {
        let born = Some(Report::Born { pid: 7 });
        let done = Some(Report::Done);
        let expected = [Meaning::Born(7), Meaning::Progress, Meaning::Progress, Meaning::Running];
        assert_eq!(heard(true, &[born, done, done, None]), expected);
        assert_eq!(heard(true, &[None]), [Meaning::Broken]);
        assert_eq!(heard(false, &[born]), [Meaning::Broken]);
    }

    #[test]
    fn a_step_belongs_to_the_half_that_is_not_done() {
        let failed = Some(Report::Failed { step: 3, errno: 1 });
        let failure = |phase| Meaning::Failure { phase, step: 3, errno: 1 };
        assert_eq!(heard(false, &[failed]), [failure(Phase::Staging)]);
        assert_eq!(heard(false, &[Some(Report::Done), failed])[1], failure(Phase::Entering));
    }

    #[test]
    fn who_joins_enters_and_runs() {
        let mut handshake = Handshake::joining();
        let reports = [Some(Report::Terminal), Some(Report::Born { pid: 7 }), None];
        let heard: Vec<_> = reports.into_iter().map(|report| handshake.hear(report)).collect();
        assert_eq!(heard, [Meaning::Terminal, Meaning::Born(7), Meaning::Running]);
        assert_eq!(Handshake::joining().hear(None), Meaning::Broken);
        assert_eq!(Handshake::joining().hear(Some(Report::Done)), Meaning::Broken);
    }

    #[test]
    fn a_command_waits_only_once_all_is_there() {
        let (done, waiting) = (Some(Report::Done), Some(Report::Waiting));
        assert_eq!(heard(false, &[done, waiting]), [Meaning::Progress, Meaning::Waiting]);
        assert_eq!(heard(false, &[waiting]), [Meaning::Broken]);
    }

    #[test]
    fn an_end_before_the_second_half_is_no_start() {
        assert_eq!(heard(false, &[None]), [Meaning::Broken]);
        assert_eq!(heard(false, &[Some(Report::Done), Some(Report::Done)])[1], Meaning::Broken);
    }
}
