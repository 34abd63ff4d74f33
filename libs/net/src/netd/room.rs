//! Descriptors, of which a process may have so many: who takes them.
//!
//! A connection takes two, and is begun only where both can be had: one that had got the first would be waited for by the container as
//! if it were there. Some are kept back, so that an order of the supervisor's that comes with descriptors always fits: without that a
//! container that uses up all there are would end us by the next order.

use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::io::fcntl_dupfd_cloexec;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::Netd;

/// Descriptors of the process itself: the router's, sockets that are ready, pipes.
const OWN: u64 = 320;
/// Those that are kept back: for as many ports as may be added to a container that runs, and one for whatever else is told.
const SPARE: u64 = ctr_sys::monitor::MOST_ADDED as u64 + 2;

/// What there is.
#[derive(Debug)]
pub(super) struct Room {
    /// How many may be used by all that comes and goes.
    most: usize,
    /// Copies that are there to be closed.
    spare: Vec<OwnedFd>,
}

impl Room {
    /// Of this process, whose limit is raised as far as it may be; any descriptor will do for copies.
    pub(super) fn new(any: BorrowedFd<'_>) -> Self {
        let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
        // What is not raised is a limit to the number of flows.
        setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).ok();
        let limit = getrlimit(Resource::Nofile).current.unwrap_or(1 << 20);
        let most = usize::try_from(limit.saturating_sub(OWN + SPARE)).unwrap_or(usize::MAX);
        let mut room = Self { most, spare: Vec::new() };
        room.keep_back(any);
        room
    }

    /// Makes room for what comes with an order.
    pub(super) fn give(&mut self, count: usize) {
        self.spare.truncate(self.spare.len().saturating_sub(count));
    }

    /// Keeps as many back as are to be had.
    pub(super) fn keep_back(&mut self, any: BorrowedFd<'_>) {
        while (self.spare.len() as u64) < SPARE {
            let Ok(copy) = fcntl_dupfd_cloexec(any, 0) else { return };
            self.spare.push(copy);
        }
    }
}

impl Netd {
    /// Whether there are descriptors for one more connection.
    pub(super) fn has_room(&self) -> bool {
        let others = [
            self.datagrams.descriptors(),
            self.questions.descriptors(),
            self.echoes.len(),
            self.published.len(),
        ];
        // Of those that end in a stack of ours only one is a socket.
        let streams = self.streams.len() + self.tun.as_ref().map_or(0, |tun| tun.streams.len());
        2 * (streams + 1) + others.iter().sum::<usize>() <= self.room.most
    }
}
