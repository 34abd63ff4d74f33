//! A command that waits for its start: `ctr init` has made everything else.
//!
//! # Theory of operation
//! ```text
//! client: start it ──> state.next.json becomes state.json ──> init: go on ──> its socket closes, or it says why not ──> client
//! ```
//! The first client that says so has it started; whoever says so later is told the same.

use ctr_sys::control::{self, Order, Report};
use ctr_sys::monitor::kind;
use rustix::fd::{AsFd, OwnedFd};
use rustix::io::Errno;

use crate::client::Client;

/// Whether the command may run.
pub(crate) struct Gate {
    /// To init, until it has said what came of it.
    socket: Option<OwnedFd>,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Closed,
    /// Init was told to go on.
    Opening,
    /// It runs, or could not be run.
    Open(Result<(), Errno>),
}

impl Gate {
    /// A gate, if there is one; else the command runs.
    pub(crate) fn new(socket: Option<OwnedFd>) -> Self {
        let state = if socket.is_some() { State::Closed } else { State::Open(Ok(())) };
        Self { socket, state }
    }

    /// Whether the command waits.
    pub(crate) fn is_closed(&self) -> bool {
        self.state == State::Closed
    }

    /// What to listen to while init is on its way to the command.
    pub(crate) fn answers(&self) -> Option<&OwnedFd> {
        self.socket.as_ref().filter(|_| self.state == State::Opening)
    }

    /// Lets init go on, unless somebody has. What `before` does comes first: if it fails, nothing happens.
    pub(crate) fn open(&mut self, before: impl FnOnce() -> Result<(), Errno>) -> Result<bool, Errno> {
        let Some(socket) = self.socket.as_ref().filter(|_| self.state == State::Closed) else {
            return Ok(false);
        };
        before()?;
        // If it is gone, its end is about to be seen.
        control::order(socket.as_fd(), &Order::Go, &[]).ok();
        self.state = State::Opening;
        Ok(true)
    }

    /// Hears what came of it.
    pub(crate) fn hear(&mut self) {
        let Some(socket) = self.answers() else { return };
        self.state = match control::next_report(socket.as_fd(), drop) {
            Ok(Some(Report::Failed { errno, .. })) => State::Open(Err(Errno::from_raw_os_error(errno))),
            // Something that it can do without.
            Ok(Some(_)) => return,
            Ok(None) => State::Open(Ok(())),
            Err(errno) => State::Open(Err(errno)),
        };
        self.socket = None;
    }

    /// Answers those who asked, once there is an answer.
    pub(crate) fn tell(&self, clients: &mut [Option<Client>]) {
        let State::Open(outcome) = self.state else { return };
        for client in clients.iter_mut().flatten().filter(|client| client.asked) {
            client.asked = false;
            answer(client, outcome);
        }
    }
}

/// Says what came of a start.
pub(crate) fn answer(client: &Client, outcome: Result<(), Errno>) {
    // A client that cannot be told will see what the container does.
    client.tell_outcome(kind::START, outcome).ok();
}
