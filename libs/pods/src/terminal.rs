//! The user's terminal in front of a container's pseudo-terminal.
//!
//! # Theory of operation
//! ```text
//! keyboard ── stdin (raw) ──> master ══ devpts of the container ══ slave: the process
//! screen  <── stdout ──────── master
//! ```
//! Raw mode hands every key to the container: Ctrl-C and Ctrl-Z are bytes that *its* terminal makes signals of. What
//! stops this process as a job of the user's shell (SIGTSTP from outside) first puts the settings back, and takes them
//! again when the shell lets it go on.
//!
//! # Failure
//! Settings are put back when a [`Terminal`] is dropped; a kill leaves them raw (`reset` mends it), as in any program.

use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use rustix::process::{Signal, getpid, kill_process};
use rustix::termios::{self, OptionalActions, Termios, Winsize};

use crate::attach::{DetachKeys, Matcher, Typed};

/// The most that is carried at once.
const CHUNK: usize = 16 * 1024;

/// Both ends: the container's, and the user's own if it is one.
#[derive(Debug)]
pub struct Terminal {
    master: OwnedFd,
    /// `-i`: keys go to the container.
    interactive: bool,
    /// What to type to leave.
    detach_keys: DetachKeys,
}

impl Terminal {
    /// Puts the user's terminal in front of a container's.
    #[must_use]
    pub const fn new(master: OwnedFd, interactive: bool, detach_keys: DetachKeys) -> Self {
        Self { master, interactive, detach_keys }
    }

    /// The container's end.
    #[must_use]
    pub fn master(&self) -> BorrowedFd<'_> {
        self.master.as_fd()
    }
}

/// The size of the user's terminal, if there is one: of any of the three streams, as output may be redirected.
#[must_use]
pub fn own_size() -> Option<Winsize> {
    let streams = [rustix::stdio::stdin(), rustix::stdio::stdout(), rustix::stdio::stderr()];
    streams.into_iter().find_map(|stream| termios::tcgetwinsize(stream).ok())
}

/// Whether standard input is a terminal.
#[must_use]
pub fn stdin_is_terminal() -> bool {
    termios::isatty(rustix::stdio::stdin())
}

/// Settings of the user's terminal that are put back on drop.
#[derive(Debug)]
pub(crate) struct Raw {
    before: Termios,
}

impl Raw {
    pub(crate) fn enter() -> Result<Self, Errno> {
        let stdin = rustix::stdio::stdin();
        let before = termios::tcgetattr(stdin)?;
        let mut raw = before.clone();
        raw.make_raw();
        termios::tcsetattr(stdin, OptionalActions::Now, &raw)?;
        Ok(Self { before })
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // Nothing can be done about a terminal that is gone.
        termios::tcsetattr(rustix::stdio::stdin(), OptionalActions::Drain, &self.before).unwrap_or_default();
    }
}

/// Carries bytes both ways.
#[derive(Debug)]
pub(crate) struct Relay<'a> {
    terminal: &'a Terminal,
    raw: Option<Raw>,
    keys: Matcher,
    /// Keys that the container has not taken yet.
    pending: Vec<u8>,
    input_open: bool,
    output_open: bool,
}

impl<'a> Relay<'a> {
    pub(crate) fn new(terminal: &'a Terminal) -> Result<Self, Errno> {
        let raw = if terminal.interactive && stdin_is_terminal() { Some(Raw::enter()?) } else { None };
        let flags = rustix::fs::fcntl_getfl(&terminal.master)?;
        rustix::fs::fcntl_setfl(&terminal.master, flags | rustix::fs::OFlags::NONBLOCK)?;
        let input_open = terminal.interactive;
        // Keys are typed on a terminal; what comes from a file means itself.
        let keys = if raw.is_some() { terminal.detach_keys.matcher() } else { DetachKeys::none().matcher() };
        let relay = Self { terminal, raw, keys, pending: Vec::new(), input_open, output_open: true };
        relay.resize();
        Ok(relay)
    }

    /// What to wait for: keys, unless some still wait to be taken; what the container writes, and that it takes them.
    pub(crate) fn interest(&self) -> (Option<PollFd<'_>>, Option<PollFd<'_>>) {
        let idle = self.pending.is_empty();
        let stdin = rustix::stdio::stdin();
        let input = (self.input_open && idle).then(|| PollFd::from_borrowed_fd(stdin, PollFlags::IN));
        let wanted = if idle { PollFlags::IN } else { PollFlags::IN | PollFlags::OUT };
        let master = self.terminal.master.as_fd();
        let output = self.output_open.then(|| PollFd::from_borrowed_fd(master, wanted));
        (input, output)
    }

    /// Carries what is there, and says whether the user wants to leave.
    pub(crate) fn turn(&mut self, input: bool, output: bool) -> Result<Typed, Errno> {
        let typed = if input { self.read_keys()? } else { Typed::Input };
        if output {
            self.show()?;
        }
        self.type_pending()?;
        Ok(typed)
    }

    fn read_keys(&mut self) -> Result<Typed, Errno> {
        let mut bytes = [0u8; CHUNK];
        match rustix::io::read(rustix::stdio::stdin(), &mut bytes) {
            // The end of a file that is fed to a terminal is the key that says so.
            Ok(0) | Err(Errno::IO) => {
                self.input_open = false;
                self.keys.finish(&mut self.pending);
                self.pending.push(4);
            }
            Ok(count) => return Ok(self.keys.feed(&bytes[..count], &mut self.pending)),
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
        Ok(Typed::Input)
    }

    fn type_pending(&mut self) -> Result<(), Errno> {
        while !self.pending.is_empty() {
            match rustix::io::write(&self.terminal.master, &self.pending) {
                Ok(count) => drop(self.pending.drain(..count)),
                // Whoever has the slave reads slowly: the loop waits for room.
                Err(Errno::AGAIN | Errno::INTR) => return Ok(()),
                Err(Errno::IO) => self.pending.clear(),
                Err(errno) => return Err(errno),
            }
        }
        Ok(())
    }

    /// Shows what there is, at most one chunk.
    fn show(&mut self) -> Result<bool, Errno> {
        let mut bytes = [0u8; CHUNK];
        match rustix::io::read(&self.terminal.master, &mut bytes) {
            // EIO: nobody has the slave open, nor will: the container's process had it from the start.
            Ok(0) | Err(Errno::IO) => {
                self.output_open = false;
                Ok(false)
            }
            Ok(count) => {
                let mut stdout = std::io::stdout().lock();
                let shown = stdout.write_all(&bytes[..count]).and_then(|()| stdout.flush());
                // A reader that went away ends the showing, not the container.
                self.output_open = shown.is_ok();
                Ok(self.output_open)
            }
            Err(Errno::AGAIN | Errno::INTR) => Ok(false),
            Err(errno) => Err(errno),
        }
    }

    /// Gives the container's terminal the size of the user's.
    pub(crate) fn resize(&self) {
        if let Some(size) = own_size() {
            // It may just have been closed.
            termios::tcsetwinsize(&self.terminal.master, size).unwrap_or_default();
        }
    }

    /// Stops this process as the shell wants it, with the terminal as the shell knows it.
    pub(crate) fn stop_as_a_job(&mut self) -> Result<(), Errno> {
        let was_raw = self.raw.take().is_some();
        kill_process(getpid(), Signal::STOP)?;
        // Here the shell has let us go on.
        if was_raw {
            self.raw = Some(Raw::enter()?);
        }
        self.resize();
        Ok(())
    }

    /// Shows what the container still wrote before it ended.
    pub(crate) fn finish(mut self) -> Result<(), Errno> {
        while self.output_open && self.show()? {}
        Ok(())
    }
}
