//! The resolver's sockets: what [`crate::dns::resolver`] decides is done here.
//!
//! Who asks is in the router: datagrams and connections at the gateway's port 53. Who is asked is the host's resolvers, by a socket of
//! its own for each attempt. Nothing here waits for anybody: what cannot be written yet stays with its connection ([`talk`]), and
//! whoever is slow is given up.

mod talk;

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use ctr_sys::net::datagram::{BATCH, Way, receive, send};
use ctr_sys::net::options::Family;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::netdevice::name_to_index;
use rustix::net::{RecvFlags, SocketFlags, SocketType, acceptfrom_with, connect, recv, socket_with};
use rustix::rand::{GetRandomFlags, getrandom};

use self::talk::Talk;
use super::following::Following;
use super::slab::{Key, Slab};
use super::timers::Due;
use super::{Netd, Source, plain, trace};
use crate::counters::{FlowKind, Limit};
use crate::dns::names::Names;
use crate::dns::resolv_conf::{ResolvConf, Server};
use crate::dns::resolver::{Action, Client, Over, PORT, Resolver};
use crate::dns::stream::{ANSWER, QUESTION, Stream};

/// How many connections there may be that ask.
const ASKERS: usize = 64;

/// A connection inside that asks.
#[derive(Debug)]
struct Asker {
    talk: Talk,
    address: SocketAddr,
    /// How many of its questions have no answer yet.
    waiting: usize,
    /// When it is looked at whether its time is over.
    due: Option<Instant>,
}

impl Asker {
    /// It has asked its last, and heard everything.
    const fn is_done(&self) -> bool {
        self.talk.has_ended && self.waiting == 0 && self.talk.is_taken()
    }
}

/// Whether there are as many connections that ask as may be.
fn are_many(askers: &Slab<Asker>) -> bool {
    askers.len() >= ASKERS
}

/// A question to one of the host's resolvers.
#[derive(Debug)]
struct Attempt {
    number: u64,
    way: By,
}

/// How a resolver is asked.
#[derive(Debug)]
enum By {
    Udp(OwnedFd),
    Tcp(Talk),
}

/// All questions.
#[derive(Debug)]
pub(super) struct Questions {
    pub(super) resolver: Resolver,
    askers: Slab<Asker>,
    attempts: Slab<Attempt>,
    by_number: HashMap<u64, Key>,
    /// The resolver counts time from here.
    start: Instant,
    pub(super) following: Following,
}

impl Questions {
    /// How many descriptors it takes to ask and to be asked.
    pub(super) fn descriptors(&self) -> usize {
        self.askers.len() + self.attempts.len()
    }

    pub(super) fn new(names: Names, conf: ResolvConf, start: Instant) -> Self {
        Self {
            resolver: Resolver::new(names, conf),
            askers: Slab::default(),
            attempts: Slab::default(),
            by_number: HashMap::new(),
            start,
            following: Following::default(),
        }
    }
}

/// Sixteen bits that nobody can guess. Without them there would be no question that counts.
fn chance() -> u16 {
    let mut bytes = [0; 2];
    // The kernel has as many as anybody wants once it has booted.
    while !matches!(getrandom(&mut bytes, GetRandomFlags::empty()), Ok(2)) {}
    u16::from_ne_bytes(bytes)
}

impl Netd {
    pub(super) fn since_start(&self) -> Duration {
        self.now.saturating_duration_since(self.questions.start)
    }

    /// Datagrams that ask.
    pub(super) fn hear_questions(&mut self, family: Family) {
        let Some(ports) = self.ports(family) else { return };
        let mut arrivals = [None; BATCH];
        let mut room = vec![0; BATCH * QUESTION];
        if receive(ports.questions.as_fd(), &mut room, QUESTION, &mut arrivals).is_err() {
            return;
        }
        for (arrival, bytes) in arrivals.iter().flatten().zip(room.chunks_exact(QUESTION)) {
            if let (Some(from), Some(bytes)) = (arrival.from, bytes.get(..arrival.length)) {
                self.ask(Client { address: plain(from), stream: None }, bytes);
            }
        }
    }

    pub(super) fn ask(&mut self, client: Client, bytes: &[u8]) {
        if !self.puts_aside(client, bytes) {
            self.query(client, bytes);
        }
    }

    /// Somebody asks, and it is known who else is to be asked.
    pub(super) fn query(&mut self, client: Client, bytes: &[u8]) {
        self.counters.begins(FlowKind::Name, false);
        self.trace.say(|| format!("name {}: asked by {}", trace::name_in(bytes), client.address));
        let now = self.since_start();
        let actions = self.questions.resolver.query(client, bytes, now, &mut chance);
        self.act(actions);
    }

    /// Does what the resolver wants done.
    fn act(&mut self, actions: Vec<Action>) {
        let mut todo = std::collections::VecDeque::from(actions);
        while let Some(action) = todo.pop_front() {
            match action {
                Action::Answer { client, bytes } => self.tell_asker(client, &bytes),
                Action::Ask { attempt, server, over, bytes } => {
                    if self.attempt(attempt, &server, over, &bytes).is_err() {
                        todo.extend(self.questions.resolver.failed(attempt, &mut chance));
                    }
                }
                Action::Close { attempt } => drop(self.close_attempt(attempt)),
            }
        }
        if let Some(deadline) = self.questions.resolver.deadline() {
            let rest = deadline.saturating_sub(self.since_start());
            self.timers.set(self.now, rest, Due::Questions);
        }
    }

    fn tell_asker(&mut self, client: Client, bytes: &[u8]) {
        self.trace.say(|| format!("name {}: {}", trace::name_in(bytes), trace::answer_in(bytes)));
        let Some(stream) = client.stream else {
            let Some(ports) = self.ports(Family::of(&client.address)) else {
                return self.write_answer(client.address, bytes);
            };
            // One that is lost is asked for again.
            let way = Way { to: Some(client.address), ..Way::default() };
            send(ports.questions.as_fd(), bytes, &way).ok();
            return;
        };
        let key = Key::from_bits(stream);
        let Some(asker) = self.questions.askers.get_mut(key) else { return };
        asker.waiting = asker.waiting.saturating_sub(1);
        match asker.talk.say(bytes) {
            Ok(()) => self.wait_for_asker(key),
            Err(_) => self.drop_asker(key),
        }
    }

    /// Sends a question to one of the host's resolvers.
    fn attempt(&mut self, number: u64, server: &Server, over: Over, bytes: &[u8]) -> Result<(), Errno> {
        let to = address_of(server).ok_or(Errno::NODEV)?;
        self.trace.say(|| format!("name {}: {to} is asked", trace::name_in(bytes)));
        let kind = if over == Over::Tcp { SocketType::STREAM } else { SocketType::DGRAM };
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(Family::of(&to).domain(), kind, flags, None)?;
        match connect(&socket, &to) {
            Ok(()) | Err(Errno::INPROGRESS) => {}
            Err(errno) => return Err(errno),
        }
        let way = match over {
            Over::Tcp => {
                let mut talk = Talk::new(socket, Stream::new(ANSWER, self.since_start()));
                talk.say(bytes)?;
                By::Tcp(talk)
            }
            Over::Udp => {
                send(socket.as_fd(), bytes, &Way::default())?;
                By::Udp(socket)
            }
        };
        let key = self.questions.attempts.insert(Attempt { number, way });
        self.questions.by_number.insert(number, key);
        let watched = self.watch_attempt(key);
        if watched.is_err() {
            self.close_attempt(number);
        }
        watched
    }

    /// Has an attempt tell what can be done about it.
    fn watch_attempt(&mut self, key: Key) -> Result<(), Errno> {
        let Some(attempt) = self.questions.attempts.get_mut(key) else { return Ok(()) };
        attempt.way.watch(self.epoll.as_fd(), Source::Attempt(key).token())
    }

    fn close_attempt(&mut self, number: u64) -> Option<Attempt> {
        let key = self.questions.by_number.remove(&number)?;
        self.questions.attempts.remove(key)
    }

    /// One of the host's resolvers says something, or its socket does.
    pub(super) fn attempt_is_ready(&mut self, key: Key) {
        let now = self.since_start();
        let Some(attempt) = self.questions.attempts.get_mut(key) else { return };
        let number = attempt.number;
        match attempt.way.hear(now) {
            Ok(messages) => {
                for message in messages {
                    let actions = self.questions.resolver.answer(number, &message, &mut chance);
                    self.act(actions);
                }
                if self.watch_attempt(key).is_err() {
                    self.attempt_failed(number);
                }
            }
            Err(_) => self.attempt_failed(number),
        }
    }

    fn attempt_failed(&mut self, number: u64) {
        self.close_attempt(number);
        let actions = self.questions.resolver.failed(number, &mut chance);
        self.act(actions);
    }

    /// Connections that are going to ask.
    pub(super) fn accept_askers(&mut self, family: Family) {
        let Some(ports) = self.ports(family) else { return };
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let (socket, peer) = match acceptfrom_with(&ports.long_questions, flags) {
            Ok((socket, Some(peer))) => (socket, peer),
            Err(Errno::MFILE | Errno::NFILE) => return self.stop_accepting(),
            _ => return,
        };
        let Ok(address) = SocketAddr::try_from(peer) else { return };
        self.take_asker(socket, plain(address));
    }

    /// Takes a connection that is going to ask; false where there are too many.
    pub(super) fn take_asker(&mut self, socket: OwnedFd, address: SocketAddr) -> bool {
        if are_many(&self.questions.askers) {
            self.counters.hits(Limit::Askers);
            return false;
        }
        let talk = Talk::new(socket, Stream::new(QUESTION, self.since_start()));
        let key = self.questions.askers.insert(Asker { talk, address, waiting: 0, due: None });
        self.wait_for_asker(key);
        self.questions.askers.get(key).is_some()
    }

    /// A connection says something, or has room again for what it is told.
    pub(super) fn asker_is_ready(&mut self, key: Key) {
        let now = self.since_start();
        let Some(asker) = self.questions.askers.get_mut(key) else { return };
        let client = Client { address: asker.address, stream: Some(key.to_bits()) };
        let Ok(messages) = asker.talk.go_on(now) else { return self.drop_asker(key) };
        asker.waiting += messages.len();
        for message in messages {
            if self.questions.askers.get(key).is_none() {
                return;
            }
            self.ask(client, &message);
        }
        self.wait_for_asker(key);
    }

    /// Hears what a connection says next, for as long as it has; ends with it where that was all.
    fn wait_for_asker(&mut self, key: Key) {
        let Some(asker) = self.questions.askers.get_mut(key) else { return };
        let watched = asker.talk.watch(self.epoll.as_fd(), Source::Asker(key).token());
        if watched.is_err() || asker.is_done() {
            return self.drop_asker(key);
        }
        let due = self.questions.start + asker.talk.deadline();
        // Where there is more time than there was, that is found when the other moment comes.
        if asker.due.is_some_and(|earlier| earlier <= due) {
            return;
        }
        if let Some(later) = asker.due.replace(due) {
            self.timers.forget(later, Due::Asker(key));
        }
        self.timers.set(due, Duration::ZERO, Due::Asker(key));
    }

    fn drop_asker(&mut self, key: Key) {
        let Some(asker) = self.questions.askers.remove(key) else { return };
        if let Some(due) = asker.due {
            self.timers.forget(due, Due::Asker(key));
        }
        let client = Client { address: asker.address, stream: Some(key.to_bits()) };
        let actions = self.questions.resolver.forget(client);
        self.act(actions);
    }

    /// A connection that asks has had its time, unless it said something since.
    pub(super) fn asker_is_due(&mut self, key: Key) {
        let now = self.since_start();
        let Some(asker) = self.questions.askers.get_mut(key) else { return };
        asker.due = None;
        if asker.talk.deadline() > now {
            self.wait_for_asker(key);
        } else {
            self.drop_asker(key);
        }
    }

    /// The next resolver is to be asked, or nobody is waited for any longer.
    pub(super) fn questions_are_due(&mut self) {
        let now = self.since_start();
        let actions = self.questions.resolver.expire(now, &mut chance);
        if !actions.is_empty() {
            self.act(actions);
        }
    }
}

impl By {
    /// Has it tell what can be done, as long as that is so: several datagrams may have come.
    fn watch(&mut self, epoll: BorrowedFd<'_>, token: u64) -> Result<(), Errno> {
        match self {
            Self::Tcp(talk) => talk.watch(epoll, token),
            Self::Udp(socket) => {
                match epoll::add(epoll, &*socket, EventData::new_u64(token), EventFlags::IN) {
                    // It is watched still.
                    Err(Errno::EXIST) => Ok(()),
                    added => added,
                }
            }
        }
    }

    /// What comes next, as whole messages.
    fn hear(&mut self, now: Duration) -> Result<Vec<Vec<u8>>, Errno> {
        match self {
            Self::Tcp(talk) => match talk.go_on(now)? {
                _ if talk.has_ended => Err(Errno::CONNRESET),
                messages => Ok(messages),
            },
            Self::Udp(socket) => {
                let mut room = vec![0; ANSWER];
                match recv(&*socket, room.as_mut_slice(), RecvFlags::DONTWAIT) {
                    Ok((length, _)) => {
                        room.truncate(length);
                        Ok(vec![room])
                    }
                    Err(Errno::AGAIN | Errno::INTR) => Ok(Vec::new()),
                    Err(errno) => Err(errno),
                }
            }
        }
    }
}

/// Where a resolver listens.
fn address_of(server: &Server) -> Option<SocketAddr> {
    match (server.address, &server.scope) {
        (IpAddr::V6(six), Some(scope)) => {
            Some(SocketAddr::V6(SocketAddrV6::new(six, PORT, 0, index_of(scope)?)))
        }
        (address, None) => Some(SocketAddr::new(address, PORT)),
        (IpAddr::V4(_), Some(_)) => None,
    }
}

/// The number that an interface of the host has now. One that is not there makes its resolver one that does not answer.
fn index_of(scope: &str) -> Option<u32> {
    scope.parse().ok().or_else(|| {
        let socket = socket_with(Family::V6.domain(), SocketType::DGRAM, SocketFlags::CLOEXEC, None).ok()?;
        name_to_index(&socket, scope).ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interface_is_found_by_name_and_by_number() {
        let at = |scope: &str| {
            let server =
                Server { address: "fe80::1".parse().expect("an address"), scope: Some(scope.to_owned()) };
            address_of(&server)
        };
        assert_eq!((at("lo"), at("7")), ("[fe80::1%1]:53".parse().ok(), "[fe80::1%7]:53".parse().ok()));
        assert_eq!(at("not-there"), None);
    }

    #[test]
    fn so_many_may_ask_at_once() {
        let mut askers = Slab::default();
        while askers.len() < ASKERS {
            assert!(!are_many(&askers));
            let socket = std::fs::File::open("/dev/null").unwrap().into();
            let talk = Talk::new(socket, Stream::new(QUESTION, Duration::ZERO));
            let address = ([10, 0, 2, 100], 5000).into();
            askers.insert(Asker { talk, address, waiting: 0, due: None });
        }
        assert!(are_many(&askers));
    }
}
