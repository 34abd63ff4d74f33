//! What is to be looked at, and when. Nothing here wakes anybody where there is nothing to look at.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use rustix::event::Timespec;

use super::slab::Key;

/// What is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Due {
    /// A connection whose first packet was sent in again.
    Stream(Key),
    /// A pair of addresses that exchanges datagrams.
    Datagrams(Key),
    /// What the host's resolvers were asked.
    Questions,
    /// The supervisor was asked who they are.
    Resolvers,
    /// A connection that asks for names.
    Asker(Key),
    /// A series of echo requests.
    Echo(Key),
    /// Connections that wait where there were no descriptors.
    Accept,
    /// The end of it all.
    End,
}

/// Moments, the next one first.
#[derive(Debug, Default)]
pub(super) struct Timers(BTreeSet<(Instant, Due)>);

impl Timers {
    /// Has something looked at after a while.
    pub(super) fn set(&mut self, now: Instant, after: Duration, due: Due) {
        self.0.insert((now + after, due));
    }

    /// Has something not looked at that was to be.
    pub(super) fn forget(&mut self, at: Instant, due: Due) {
        self.0.remove(&(at, due));
    }

    /// How long there is nothing to do; `None` is for ever.
    pub(super) fn rest(&self, now: Instant) -> Option<Timespec> {
        let (next, _) = self.0.first()?;
        // Rounded up, so that it is due when we wake.
        let rest = next.saturating_duration_since(now) + Duration::from_millis(1);
        Some(Timespec {
            tv_sec: i64::try_from(rest.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(rest.subsec_nanos()),
        })
    }

    /// The next thing that is due.
    pub(super) fn pop(&mut self, now: Instant) -> Option<Due> {
        let (next, due) = *self.0.first()?;
        (next <= now).then(|| {
            self.0.pop_first();
            due
        })
    }
}
