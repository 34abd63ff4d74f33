//! The loop.

use ctr_sys::monitor::{FileId, Log as LogTask, MESSAGE, Serving, Task, kind};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::process::{Signal, pidfd_send_signal};

use crate::client::{self, Client, Gone, PATIENCE};
use crate::end::{Ended, Exit, ExitFile};
use crate::gate::{Gate, answer};
use crate::input::{Input, never_wait, sink};
use crate::log::{Log, Stream};
use crate::memory::release;
use crate::network::{Inherited, LINE, line};
use crate::output::{Read, Source, sources};
use crate::ports;

/// The starting command's client is the first.
const CLIENTS: usize = 1 + client::MAX;
/// Init, who serves the network and its questions, the gate, the listener, input, two sources, and clients.
const WAITED: usize = 8 + CLIENTS;

/// How long nothing happens before memory is given back, in nanoseconds. Then it sleeps until something does.
const CALM: u64 = 1_000_000_000;

/// What something that happened is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Subject {
    Init,
    Network,
    Question,
    Gate,
    Listener,
    Input,
    Source(usize),
    Client(usize),
}

/// A container that is being monitored.
pub(crate) struct Monitor<'a> {
    init: OwnedFd,
    memory_events: Option<OwnedFd>,
    exit_file: ExitFile,
    ended: Ended<'a>,
    trusted: [FileId; 2],
    listener: Option<OwnedFd>,
    /// Whether there is a descriptor left to accept with.
    accepting: bool,
    clients: [Option<Client>; CLIENTS],
    input: Input<'a>,
    sources: [Option<Source>; 2],
    /// Which source is read first, so that neither starves.
    turn: usize,
    log: Option<Log<'a>>,
    /// The message on its way, and how long it is.
    message: &'a mut [u8],
    length: usize,
    ready: Option<OwnedFd>,
    /// Behind which the command waits for its start.
    gate: Gate,
    network: Option<Serving<'a, Inherited>>,
    /// How long the container may run; 0 is for ever.
    time: u64,
    /// When its time is up.
    deadline: Option<u64>,
    timed_out: bool,
    phase: Phase,
    exit: Option<Exit>,
    /// Nothing has happened for a while, and memory was given back.
    calm: bool,
}

/// How far the container has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Running,
    /// Init ended, then; what it left in the pipes is read.
    Draining(u64),
    /// Clients get the last message.
    Telling,
}

impl<'a> Monitor<'a> {
    pub(crate) fn new(
        task: Task<'a, OwnedFd>,
        beside: Inherited,
        message: &'a mut [u8],
        log: &'a mut [u8],
        input: &'a mut [u8],
    ) -> Self {
        let sink = sink(&task.output, task.input);
        let sources = sources(task.output);
        for fd in sources.iter().flatten().map(|source| &source.fd).chain(&task.listener) {
            never_wait(fd);
        }
        let log =
            task.log.map(|LogTask { folder, name, limit, files }| Log::new(folder, name, limit, files, log));
        let mut clients = [const { None }; CLIENTS];
        clients[0] = task.client.map(Client::own);
        let mut monitor = Self {
            init: task.init,
            memory_events: task.memory_events,
            exit_file: ExitFile::prepare(task.folder),
            ended: Ended { program: task.program, arguments: task.ended, _lock: task.lock },
            trusted: task.trusted,
            listener: task.listener,
            accepting: true,
            clients,
            input: Input::new(sink, input),
            sources,
            turn: 0,
            log,
            message,
            length: 0,
            ready: task.ready,
            gate: Gate::new(task.gate),
            network: task.network.map(|network| Serving::new(network, beside, now())),
            time: task.timeout.saturating_mul(1_000_000),
            deadline: None,
            timed_out: false,
            phase: Phase::Running,
            exit: None,
            calm: false,
        };
        if !monitor.gate.is_closed() {
            monitor.begin(now());
        }
        monitor
    }

    /// From now on the container's time counts.
    fn begin(&mut self, now: u64) {
        self.deadline = (self.time > 0).then(|| now.saturating_add(self.time));
    }

    /// Monitors to the end.
    pub(crate) fn run(mut self) -> Ended<'a> {
        if let Some(ready) = self.ready.take() {
            // Whoever waited for it may have been killed.
            rustix::io::write(&ready, b"!").ok();
        }
        loop {
            let (happened, count) = self.wait(now());
            let now = now();
            let mut readable = [false; 2];
            for (subject, flags) in happened.into_iter().take(count) {
                match subject {
                    _ if flags.is_empty() => {}
                    Subject::Init => self.begin_to_end(now),
                    Subject::Network => self.look_at_network(now),
                    Subject::Question => self.network.iter_mut().for_each(Serving::hear),
                    Subject::Gate => self.hear_of_start(),
                    Subject::Listener => self.accept(now),
                    Subject::Input => self.input.push(),
                    Subject::Source(which) => readable[which] = true,
                    Subject::Client(which) => self.serve(which, flags, now),
                }
            }
            if self.input.pending().is_none() {
                for client in self.clients.iter_mut().flatten() {
                    client.held = false;
                }
            }
            self.expire(now);
            self.rest(count > 0 && happened.iter().any(|(_, flags)| !flags.is_empty()));
            if self.phase == Phase::Running {
                self.carry_what_is(readable, now);
            } else if self.has_ended(now) {
                return self.ended;
            }
        }
    }

    /// Waits until something happens.
    fn wait(&self, now: u64) -> ([(Subject, PollFlags); WAITED], usize) {
        let mut happened = [(Subject::Init, PollFlags::empty()); WAITED];
        let mut fds: [PollFd<'_>; WAITED] =
            core::array::from_fn(|_| PollFd::from_borrowed_fd(self.init.as_fd(), PollFlags::empty()));
        let mut count = 0;
        self.each_wish(|subject, fd, flags| {
            // There is a place for everything there can be.
            if let (Some(waited), Some(about)) = (fds.get_mut(count), happened.get_mut(count)) {
                *waited = PollFd::from_borrowed_fd(fd, flags);
                about.0 = subject;
                count += 1;
            }
        });
        let patience = self.next_deadline(now).map(|until| {
            let left = until.saturating_sub(now);
            Timespec { tv_sec: (left / SECOND).cast_signed(), tv_nsec: (left % SECOND).cast_signed() }
        });
        let waited = fds.split_at_mut(count).0;
        // If it fails (a signal, or memory is short), the loop comes back here.
        if poll(waited, patience.as_ref()).is_ok() {
            for (about, waited) in happened.iter_mut().zip(waited) {
                about.1 = waited.revents();
            }
        }
        (happened, count)
    }

    /// Gives memory back when nothing has happened for a while.
    fn rest(&mut self, something: bool) {
        if something || self.is_owing() {
            self.calm = false;
            return;
        }
        if !self.calm {
            self.calm = true;
            release(self.message);
            self.input.release();
            if let Some(log) = &mut self.log {
                log.release();
            }
        }
    }

    /// Calls back for each descriptor to wait for.
    fn each_wish<'s>(&'s self, mut add: impl FnMut(Subject, BorrowedFd<'s>, PollFlags)) {
        if self.phase == Phase::Running {
            add(Subject::Init, self.init.as_fd(), PollFlags::IN);
            if let Some(netd) = self.network.as_ref().and_then(Serving::process) {
                add(Subject::Network, netd, PollFlags::IN);
            }
            if let Some(questions) = self.network.as_ref().and_then(Serving::questions) {
                add(Subject::Question, questions, PollFlags::IN);
            }
            if let Some(gate) = self.gate.answers() {
                add(Subject::Gate, gate.as_fd(), PollFlags::IN);
            }
            if let Some(input) = self.input.pending() {
                add(Subject::Input, input.as_fd(), PollFlags::OUT);
            }
            let owing = self.is_owing();
            for (which, source) in self.sources.iter().enumerate() {
                if let Some(source) = source.as_ref().filter(|_| !owing) {
                    add(Subject::Source(which), source.fd.as_fd(), PollFlags::IN);
                }
            }
        }
        for (which, client) in self.clients.iter().enumerate() {
            let Some(client) = client else { continue };
            // In the end nobody is listened to, but hanging up is noticed.
            let listens =
                if client.held || self.phase != Phase::Running { PollFlags::empty() } else { PollFlags::IN };
            let owed = if client.owed.is_some() { PollFlags::OUT } else { PollFlags::empty() };
            // One that is held back is not asked whether it hung up either: its message is still to be read.
            if !client.held || client.owed.is_some() {
                add(Subject::Client(which), client.socket.as_fd(), listens | owed);
            }
        }
        // Last: who hung up has left a place.
        if let Some(listener) = self.listener.as_ref().filter(|_| self.accepting) {
            add(Subject::Listener, listener.as_fd(), PollFlags::IN);
        }
    }

    /// When something is to be done though nothing happens.
    fn next_deadline(&self, now: u64) -> Option<u64> {
        let clients = self.clients.iter().flatten().filter_map(Client::deadline);
        let end = match self.phase {
            Phase::Draining(since) if self.exit.is_none() => Some(since.saturating_add(PATIENCE)),
            _ => None,
        };
        let calm = (!self.calm).then(|| now.saturating_add(CALM));
        let network = self.network.as_ref().and_then(Serving::deadline);
        clients.chain(self.deadline).chain(network).chain(end).chain(calm).min()
    }

    /// Whether a client has not got the message yet.
    fn is_owing(&self) -> bool {
        self.clients.iter().flatten().any(|client| client.owed.is_some())
    }

    /// Somebody connects.
    fn accept(&mut self, now: u64) {
        let Some(listener) = &self.listener else { return };
        match Client::accept(listener, now) {
            Ok(Some(client)) => match self.clients.iter_mut().skip(1).find(|place| place.is_none()) {
                Some(place) => *place = Some(client),
                None => client.leave_behind(),
            },
            Ok(None) | Err(Errno::AGAIN | Errno::INTR | Errno::CONNABORTED) => {}
            // Until a client goes there is nothing to accept with.
            Err(_) => self.accepting = false,
        }
    }

    /// Something happened to a client.
    fn serve(&mut self, which: usize, flags: PollFlags, now: u64) {
        let Some(client) = self.clients.get_mut(which).and_then(Option::as_mut) else { return };
        let served = if client.is_stranger() {
            client.introduce(&self.trusted)
        } else {
            let message = self.message.get(..self.length).unwrap_or_default();
            serve(client, &mut self.input, self.network.as_mut(), message, (flags, now))
        };
        if served.is_ok() && client.asked {
            self.start(which, now);
        }
        let hung_up = flags.intersects(PollFlags::HUP | PollFlags::ERR) && self.phase != Phase::Running;
        if hung_up || served == Err(Gone) {
            self.clients[which] = None;
            self.accepting = true;
        }
    }

    /// A client wants the command started.
    fn start(&mut self, which: usize, now: u64) {
        let file = &self.exit_file;
        match self.gate.open(|| file.begin_next()) {
            Ok(true) => self.begin(now),
            Ok(false) => {}
            Err(errno) => {
                if let Some(client) = self.clients.get_mut(which).and_then(Option::as_mut) {
                    client.asked = false;
                    answer(client, Err(errno));
                }
            }
        }
        self.gate.tell(&mut self.clients);
    }

    /// Something came of that.
    fn hear_of_start(&mut self) {
        self.gate.hear();
        self.gate.tell(&mut self.clients);
    }

    /// Who serves the network may have ended.
    fn look_at_network(&mut self, now: u64) {
        if let Some(network) = &mut self.network {
            network.look(self.exit_file.folder(), now);
        }
    }

    /// The next one may be due.
    fn go_on_with_network(&mut self, now: u64) {
        let program = self.ended.program.as_fd();
        let Some(death) = self.network.as_mut().and_then(|network| network.go_on(program, now)) else {
            return;
        };
        if let Some(log) = &mut self.log {
            let mut text = [0; LINE];
            log.write(Stream::Stderr, line(death, &mut text), ctr_sys::time::since_1970());
        }
    }

    /// Does what it is time for.
    fn expire(&mut self, now: u64) {
        if self.phase == Phase::Running {
            self.go_on_with_network(now);
        }
        if self.phase == Phase::Running && self.deadline.take_if(|until| *until <= now).is_some() {
            self.timed_out = true;
            // It may have ended by itself in this moment.
            pidfd_send_signal(&self.init, Signal::KILL).ok();
        }
        let message = self.message.get(..self.length).unwrap_or_default();
        for place in &mut self.clients {
            let is_late = |client: &mut Client| {
                // The kernel calls a socket writable once it is nearly empty; there may be room before that.
                client.is_late(now) && (client.give(message, now) == Err(Gone) || client.is_late(now))
            };
            if let Some(client) = place.take_if(is_late) {
                client.leave_behind();
                self.accepting = true;
            }
        }
    }

    /// Carries a piece of each source that has one.
    fn carry_what_is(&mut self, readable: [bool; 2], now: u64) {
        self.turn ^= 1;
        for which in [self.turn, self.turn ^ 1] {
            if readable[which] && !self.is_owing() {
                self.carry(which, now);
            }
        }
    }

    /// Carries a piece of output from a source to the log and to clients.
    fn carry(&mut self, which: usize, now: u64) {
        let Some(source) = &mut self.sources[which] else { return };
        let Some((first, into)) = self.message.get_mut(..MESSAGE).and_then(<[u8]>::split_first_mut) else {
            return;
        };
        match source.read(into) {
            Read::Nothing => {}
            Read::End => self.sources[which] = None,
            Read::Some(count) => {
                *first = source.kind();
                if let Some(log) = &mut self.log {
                    log.write(source.stream, into.split_at(count).0, ctr_sys::time::since_1970());
                }
                self.length = 1 + count;
                self.give(now);
            }
        }
    }

    /// Sends the message to everybody.
    fn give(&mut self, now: u64) {
        let message = self.message.get(..self.length).unwrap_or_default();
        for place in &mut self.clients {
            if place.as_mut().is_some_and(|client| client.give(message, now) == Err(Gone)) {
                *place = None;
                self.accepting = true;
            }
        }
    }

    /// Init ended.
    fn begin_to_end(&mut self, now: u64) {
        // It may have said why it ends.
        self.hear_of_start();
        self.phase = Phase::Draining(now);
        self.deadline = None;
        if let Some(network) = self.network.take() {
            network.end();
        }
        self.input.close();
        self.listener = None;
        self.exit_file.remove_socket();
        for source in self.sources.iter_mut().flatten() {
            source.limit();
        }
        let message = self.message.get(..self.length).unwrap_or_default();
        for place in &mut self.clients {
            place.take_if(|client| client.is_stranger());
            // What is left of the output should not have to wait for anybody.
            place.take_if(|client| {
                client.widen();
                client.owed.is_some() && client.give(message, now) == Err(Gone)
            });
        }
    }

    /// Goes on with the end as far as clients let it. True when there is nothing left to do.
    fn has_ended(&mut self, now: u64) -> bool {
        for which in 0..self.sources.len() {
            while self.sources[which].is_some() && !self.is_owing() {
                self.carry(which, now);
            }
        }
        if let Phase::Draining(since) = self.phase {
            let drained = !self.is_owing();
            // The starting command may take its time, the end of the container does not.
            if drained || since.saturating_add(PATIENCE) <= now {
                self.record();
            }
            if let (true, Some(exit)) = (drained, self.exit) {
                let last = [kind::ENDED, exit.code, exit.signal];
                self.message[..last.len()].copy_from_slice(&last);
                self.length = last.len();
                self.phase = Phase::Telling;
                self.give(now);
            }
        }
        self.phase == Phase::Telling && !self.is_owing()
    }

    /// Writes down how the container ended.
    fn record(&mut self) {
        if self.exit.is_some() {
            return;
        }
        let exit = Exit::of(&self.init, self.timed_out, self.memory_events.as_ref());
        if let Some(log) = &mut self.log {
            log.finish(exit.finished);
        }
        // Where even that fails there is nobody to tell; who finds no such file takes the container for killed.
        self.exit_file.publish(&exit).ok();
        self.exit = Some(exit);
    }
}

/// A client that is known: takes what it says, gives it what it is owed.
fn serve(
    client: &mut Client,
    input: &mut Input<'_>,
    network: Option<&mut Serving<'_, Inherited>>,
    message: &[u8],
    (flags, now): (PollFlags, u64),
) -> Result<(), Gone> {
    if client.owed.is_some() && flags.contains(PollFlags::OUT) {
        client.give(message, now)?;
    }
    let has_said = flags.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR);
    if !client.held && has_said && !ports::take(client, network)? {
        input.take(client)?;
    }
    Ok(())
}

/// The steady time in nanoseconds.
fn now() -> u64 {
    let now = ctr_sys::time::steady();
    now.tv_sec.cast_unsigned() * SECOND + now.tv_nsec.cast_unsigned()
}

const SECOND: u64 = 1_000_000_000;
