//! Between the user's streams and a connection.

use std::collections::VecDeque;
use std::os::fd::{AsFd, OwnedFd};

use ctr_sys::monitor::{INPUT_MESSAGE, MESSAGE, kind};
use ctr_sys::signals::{self, Set};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use rustix::process::{Signal, getpid, kill_process};

use super::Outcome;
use super::connection::Connection;
use super::keys::{DetachKeys, Matcher, Typed};
use super::print::Stream;
use crate::terminal::{Raw, own_size, stdin_is_terminal};

/// Relaying failed.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// A call of the loop.
    #[error("cannot wait for the container: {call}")]
    Wait {
        /// Which.
        call: &'static str,
        /// Why.
        #[source]
        errno: Errno,
    },
    /// The user's terminal.
    #[error("cannot use the terminal")]
    Terminal(#[source] Errno),
    /// Standard input.
    #[error("cannot read standard input")]
    Input(#[source] Errno),
    /// Whoever reads our output is gone (EPIPE), or its disk is full.
    #[error("cannot write to {stream}")]
    Output {
        /// Which stream.
        stream: &'static str,
        /// Why.
        #[source]
        errno: Errno,
    },
}

fn failed(call: &'static str) -> impl FnOnce(Errno) -> RelayError {
    move |errno| RelayError::Wait { call, errno }
}

/// What is relayed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// Standard input goes to the container.
    pub input: bool,
    /// Its standard output, or its terminal, is shown.
    pub stdout: bool,
    /// Its standard error is shown.
    pub stderr: bool,
    /// The container has a terminal: ours becomes raw, and tells its size.
    pub terminal: bool,
    /// Signals go to the container.
    pub proxy: bool,
    /// What to type to leave.
    pub detach_keys: DetachKeys,
}

/// Signals that stop us as a job of a shell.
const JOB: [Signal; 3] = [Signal::TSTP, Signal::TTIN, Signal::TTOU];

/// Signals whose default action would end us, and that people and supervisors send for that.
const ENDING: [Signal; 4] = [Signal::HUP, Signal::INT, Signal::QUIT, Signal::TERM];

/// Signals that arrive from now on, to be read by the relay.
#[derive(Debug)]
pub struct Signals(OwnedFd);

impl Signals {
    /// Starts to collect signals: before the container is started, so that none is lost in between.
    ///
    /// # Errors
    /// The kernel has no descriptor left.
    pub fn collect(proxy: bool, terminal: bool) -> Result<Self, RelayError> {
        let mut set = if proxy { Set::all_from_outside() } else { Set::EMPTY };
        // A reader that went away is told by the write; the rest is the kernel's talk with a parent.
        for kept in [Signal::PIPE, Signal::CHILD, Signal::URG] {
            set = set.without(kept.as_raw());
        }
        for job in JOB {
            // With a terminal in raw mode its settings must be put back before we stop.
            set = if terminal { set.with(job.as_raw()) } else { set.without(job.as_raw()) };
        }
        if terminal {
            for noticed in ENDING.into_iter().chain([Signal::WINCH, Signal::CONT]) {
                set = set.with(noticed.as_raw());
            }
        }
        signals::block(set).map_err(failed("sigmask"))?;
        signals::open(set).map(Self).map_err(failed("signalfd"))
    }
}

/// Relays until the container ends or the user leaves. Signals for the container are handed to `deliver`;
/// `started` hears that the command of one that was initialized runs.
///
/// # Errors
/// A stream or the terminal fails; the connection is closed then, and the container goes on.
pub fn relay(
    connection: Connection,
    rules: &Rules,
    signals: &Signals,
    deliver: &mut dyn FnMut(i32),
    started: &mut dyn FnMut(),
) -> Result<Outcome, RelayError> {
    let mut relay = Relay::new(connection, rules)?;
    loop {
        let ready = relay.poll(signals)?;
        if ready.signal {
            relay.take_signals(signals, deliver)?;
        }
        if ready.input && relay.read_input()? == Typed::Detach {
            return Ok(Outcome::Detached);
        }
        if ready.room {
            relay.flush()?;
        }
        if ready.output
            && let Some(outcome) = relay.show(signals, deliver, started)?
        {
            return Ok(outcome);
        }
    }
}

/// What happened.
struct Ready {
    signal: bool,
    input: bool,
    output: bool,
    room: bool,
}

struct Relay<'a> {
    socket: OwnedFd,
    rules: &'a Rules,
    raw: Option<Raw>,
    keys: Matcher,
    input_open: bool,
    /// Messages that the monitor has no room for yet.
    pending: VecDeque<Vec<u8>>,
    /// The last message of the monitor.
    message: Box<[u8]>,
    stdout: Stream,
    stderr: Stream,
}

impl<'a> Relay<'a> {
    fn new(connection: Connection, rules: &'a Rules) -> Result<Self, RelayError> {
        let raw = if rules.terminal && rules.input && stdin_is_terminal() {
            Some(Raw::enter().map_err(RelayError::Terminal)?)
        } else {
            None
        };
        // Keys are typed on a terminal; what comes from a file means itself.
        let keys = if raw.is_some() { rules.detach_keys.matcher() } else { DetachKeys::none().matcher() };
        let mut relay = Self {
            socket: connection.socket,
            rules,
            raw,
            keys,
            input_open: rules.input,
            pending: VecDeque::new(),
            message: vec![0; MESSAGE].into_boxed_slice(),
            stdout: Stream::stdout(),
            stderr: Stream::stderr(),
        };
        relay.resize()?;
        Ok(relay)
    }

    fn poll(&self, signals: &Signals) -> Result<Ready, RelayError> {
        let idle = self.pending.is_empty();
        let wanted = if idle { PollFlags::IN } else { PollFlags::IN | PollFlags::OUT };
        let mut fds = Vec::with_capacity(3);
        fds.push(PollFd::from_borrowed_fd(self.socket.as_fd(), wanted));
        fds.push(PollFd::from_borrowed_fd(signals.0.as_fd(), PollFlags::IN));
        if self.input_open && idle {
            fds.push(PollFd::from_borrowed_fd(rustix::stdio::stdin(), PollFlags::IN));
        }
        match poll(&mut fds, None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(failed("poll")(errno)),
        }
        let happened = |at: usize| fds.get(at).map_or(PollFlags::empty(), PollFd::revents);
        let socket = happened(0);
        Ok(Ready {
            signal: !happened(1).is_empty(),
            input: !happened(2).is_empty(),
            output: socket.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR),
            room: socket.contains(PollFlags::OUT),
        })
    }

    fn read_input(&mut self) -> Result<Typed, RelayError> {
        let mut bytes = [0; INPUT_MESSAGE - 1];
        let mut message = vec![kind::INPUT];
        let mut typed = Typed::Input;
        match rustix::io::read(rustix::stdio::stdin(), &mut bytes) {
            // EIO: the terminal is gone, or belongs to another job and we to no shell.
            Ok(0) | Err(Errno::IO) => {
                self.input_open = false;
                self.keys.finish(&mut message);
            }
            Ok(count) => typed = self.keys.feed(&bytes[..count], &mut message),
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(errno) => return Err(RelayError::Input(errno)),
        }
        // What was held back may make it longer than a message.
        let (kind, input) = message.split_at(1);
        for piece in input.chunks(INPUT_MESSAGE - 1) {
            self.pending.push_back([kind, piece].concat());
        }
        if !self.input_open {
            self.pending.push_back(vec![kind::END_OF_INPUT]);
        }
        self.flush()?;
        Ok(typed)
    }

    /// Sends what there is room for.
    fn flush(&mut self) -> Result<(), RelayError> {
        while let Some(message) = self.pending.front() {
            match send(&self.socket, message, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
                Ok(_) => drop(self.pending.pop_front()),
                Err(Errno::AGAIN | Errno::INTR | Errno::NOBUFS) => return Ok(()),
                // The monitor hung up: what it said before is still to be read.
                Err(Errno::PIPE | Errno::CONNRESET | Errno::NOTCONN) => {
                    self.pending.clear();
                    self.input_open = false;
                }
                Err(errno) => return Err(failed("send")(errno)),
            }
        }
        Ok(())
    }

    /// Shows the next message, if there is one.
    fn show(
        &mut self,
        signals: &Signals,
        deliver: &mut dyn FnMut(i32),
        started: &mut dyn FnMut(),
    ) -> Result<Option<Outcome>, RelayError> {
        let length = match recv(&self.socket, &mut self.message[..], RecvFlags::DONTWAIT) {
            Ok((length, _)) => length,
            Err(Errno::AGAIN | Errno::INTR) => return Ok(None),
            // It hung up before it read all that we sent; said once, and first.
            Err(Errno::CONNRESET) => return Ok(None),
            Err(errno) => return Err(failed("recv")(errno)),
        };
        match &self.message[..length] {
            [] => return Ok(Some(Outcome::Lost)),
            [kind @ (kind::OUTPUT | kind::ERROR_OUTPUT), ..] => {
                self.print(*kind, length, signals, deliver)?;
            }
            [kind::ENDED, code, signal, ..] => {
                return Ok(Some(Outcome::Ended { code: *code, signal: *signal }));
            }
            [kind::START, a, b, c, d] => {
                let errno = i32::from_le_bytes([*a, *b, *c, *d]);
                if errno != 0 {
                    return Ok(Some(Outcome::NotStarted(Errno::from_raw_os_error(errno))));
                }
                started();
            }
            [kind::LEFT_BEHIND, ..] => return Ok(Some(Outcome::Overtaken)),
            // What is not asked for, or what a newer monitor says.
            _ => {}
        }
        Ok(None)
    }

    /// Prints the output that the message has. As long as nobody reads it the container's next has to wait; signals do not.
    fn print(
        &mut self,
        kind: u8,
        length: usize,
        signals: &Signals,
        deliver: &mut dyn FnMut(i32),
    ) -> Result<(), RelayError> {
        let is_shown = if kind == kind::OUTPUT { self.rules.stdout } else { self.rules.stderr };
        let mut from = if is_shown { 1 } else { length };
        while from < length {
            let stream = if kind == kind::OUTPUT { &self.stdout } else { &self.stderr };
            match stream.write(&self.message[from..length]) {
                Ok(count) => from += count,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => {
                    let mut waited = [
                        PollFd::from_borrowed_fd(stream.fd, PollFlags::OUT),
                        PollFd::from_borrowed_fd(signals.0.as_fd(), PollFlags::IN),
                    ];
                    match poll(&mut waited, None) {
                        Ok(_) | Err(Errno::INTR) => {}
                        Err(errno) => return Err(failed("poll")(errno)),
                    }
                    if !waited[1].revents().is_empty() {
                        self.take_signals(signals, deliver)?;
                    }
                }
                Err(errno) => return Err(RelayError::Output { stream: stream.name, errno }),
            }
        }
        Ok(())
    }

    fn take_signals(&mut self, signals: &Signals, deliver: &mut dyn FnMut(i32)) -> Result<(), RelayError> {
        while let Some(received) = signals::read(signals.0.as_fd()).map_err(failed("read of signals"))? {
            let is = |which: Signal| which.as_raw() == received.signal;
            if self.rules.terminal {
                if is(Signal::WINCH) {
                    self.resize()?;
                    continue;
                }
                if JOB.into_iter().any(is) {
                    self.stop_as_a_job()?;
                    continue;
                }
                if is(Signal::CONT) {
                    continue;
                }
            }
            if self.rules.proxy {
                deliver(received.signal);
            } else if let Some(ending) = ENDING.into_iter().find(|ending| is(*ending)) {
                self.end_by(ending)?;
            }
        }
        Ok(())
    }

    /// Tells the container's terminal the size of ours.
    fn resize(&mut self) -> Result<(), RelayError> {
        let Some(size) = own_size().filter(|_| self.rules.terminal) else { return Ok(()) };
        let ([a, b], [c, d]) = (size.ws_row.to_le_bytes(), size.ws_col.to_le_bytes());
        self.pending.push_back(vec![kind::RESIZE, a, b, c, d]);
        self.flush()
    }

    /// Stops this process as the shell wants it, with the terminal as the shell knows it.
    fn stop_as_a_job(&mut self) -> Result<(), RelayError> {
        let was_raw = self.raw.take().is_some();
        kill_process(getpid(), Signal::STOP).map_err(failed("kill"))?;
        // Here the shell has let us go on.
        if was_raw {
            self.raw = Some(Raw::enter().map_err(RelayError::Terminal)?);
        }
        self.resize()
    }

    /// Ends this process as the signal would have ended it, with the terminal as it was.
    fn end_by(&mut self, signal: Signal) -> Result<(), RelayError> {
        drop(self.raw.take());
        signals::unblock(Set::EMPTY.with(signal.as_raw())).map_err(failed("sigmask"))?;
        // Where it is ignored, we go on.
        kill_process(getpid(), signal).map_err(failed("kill"))
    }
}
