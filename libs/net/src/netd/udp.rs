//! Datagrams.
//!
//! ```text
//! container :5000 ──▶ near (a socket of the router's, with the address that was sent to) ─┐
//!           :5000 ──▶ near (another address)                                             ─┴─▶ far (one socket of the host's)
//! ```
//! All that a port of the container's sends goes out by one socket, whatever it is for: so who is outside sees one address for it,
//! and may answer from another than was asked, as games and calls do (RFC 4787, endpoint-independent mapping and filtering).
//! Inside, each address that the container speaks to is a socket that is connected to the container's: the kernel prefers it to the
//! catcher, which gets the first datagram only.
//!
//! A published port is such a socket of the host's that is there before the container has said anything: who sends to it is somebody
//! who answers without having been asked. What the container's port sends goes out by it too, where it has all of the host's addresses.
//!
//! # Failure
//! What the network says of a datagram that went out is said to the container, as it would be without us: a refused port, no way.
//! A datagram for which there is no room is lost, which is what datagrams are.
//! Pairs are a limited number. Where that is reached a new one takes the place of the one that has waited for an answer the longest,
//! and where all are answered, of the one that has been quiet the longest. Those that begin outside are a smaller number, so that
//! nobody out there uses up all there are: one of them takes the place of another one of them, as long as one waits, then of one of the
//! container's that waits, and nobody's who was answered.

mod frames;
mod mtu;

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use ctr_sys::net::datagram::{Arrival, BATCH, Refusal, Way, next_refusal, receive, receive_one, send};
use ctr_sys::net::options::{self, Family, TooLong};
use rustix::event::epoll;
use rustix::io::Errno;
use rustix::net::{SocketFlags, SocketType, bind, connect, getsockname, socket_with};

use super::pool::Kind;
use super::slab::{Key, Slab};
use super::tcp::Pair;
use super::timers::Due;
use super::trace::{Named, Tally};
use super::tun::free_pair;
use super::{LAST_TURNS, Netd, Source, plain};
use crate::counters::{FlowKind, Limit};
use crate::policy::{Protocol, Verdict};
use crate::router::RESOLVER;
use crate::rung::Rung;
use crate::wire::{Datagram, Trouble, trouble};

/// Room for a datagram, or several that the kernel joined.
const SIZE: usize = 64 << 10;
/// How many pairs of addresses there may be.
const MOST: usize = 4096;
/// How many of them may have been begun outside.
const MOST_FROM_OUTSIDE: usize = MOST / 2;
/// How many turns one socket gets at a time.
const TURNS: usize = 4;
/// How many things two say in turns before others are looked at.
const WORDS: usize = 32;
/// The longest datagrams that the kernel cuts for us.
const LONGEST_SEGMENT: usize = 1472;

/// Nobody has answered.
const ONE_WAY: Duration = Duration::from_secs(30);
/// Both have spoken.
const TWO_WAYS: Duration = Duration::from_secs(180);
/// A question of names that was answered.
const ANSWERED: Duration = Duration::from_secs(5);

/// A pair of addresses that exchanges datagrams.
#[derive(Debug)]
struct Near {
    /// None where datagrams to the container are made here.
    socket: Option<OwnedFd>,
    pair: Pair,
    far: Key,
    /// Where it goes on the host's side.
    to: SocketAddr,
    begun: Begun,
    last: Instant,
    /// When it is looked at.
    due: Instant,
    is_answered: bool,
    /// How long the last datagram was.
    length: usize,
    way: Option<mtu::Known>,
    sent: Tally,
    received: Tally,
}

impl Near {
    fn named(&self) -> Named {
        Named { protocol: Protocol::Udp, pair: self.pair, from_outside: self.begun != Begun::Inside }
    }

    fn last_words(&self) -> String {
        format!("{}: ended; sent {}, received {}", self.named(), self.sent, self.received)
    }

    /// Who began it, where nobody has answered: it has its place among those who wait.
    fn waits(&self) -> Option<Begun> {
        (!self.is_answered).then_some(self.begun)
    }

    /// Whether the container calls it by the address that it has on the host's side: what the container's kernel is told of the way there
    /// it takes for true of all that has this address.
    fn is_itself(&self) -> bool {
        self.to.ip().to_canonical() == self.pair.1.ip()
    }
}

/// What the container says: a datagram, or several of one length but for the last.
#[derive(Debug, Clone, Copy)]
pub(super) struct Said<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) segment: Option<u16>,
    /// It came so, and may go on so.
    pub(super) in_pieces: bool,
}

impl<'a> Said<'a> {
    fn new(arrival: &Arrival, bytes: &'a [u8]) -> Self {
        Self { bytes, segment: arrival.segment, in_pieces: arrival.in_pieces }
    }

    /// How long each of them is.
    fn length(&self) -> usize {
        self.segment.map_or(self.bytes.len(), usize::from)
    }
}

/// Who sent a pair's first datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Begun {
    Inside,
    /// To this of the host's addresses, where the socket has them all: an answer from another is none.
    Outside(Option<IpAddr>),
}

/// Who speaks: the container by one of its pairs, or whoever is at the host's side of a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Speaker {
    Near(Key),
    Far(Key),
}

/// The host's side of one of the container's ports.
#[derive(Debug)]
struct Far {
    socket: OwnedFd,
    /// The socket's: a container without IPv6 is called by it all the same.
    family: Family,
    source: SocketAddr,
    /// It was outside that spoke last.
    is_answered: bool,
    too_long: TooLong,
    /// How many pairs it has.
    pairs: usize,
    /// It stays without any.
    published: Option<Reach>,
}

impl Far {
    /// Says what becomes of what is too long.
    fn set_too_long(&mut self, what: TooLong) {
        if what != self.too_long && options::too_long(self.socket.as_fd(), self.family, what).is_ok() {
            self.too_long = what;
        }
    }
}

/// At which of the host's addresses a published port is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    One,
    All,
}

/// Pairs that wait for an answer, by when they spoke last.
#[derive(Debug, Default)]
struct Waiting {
    inside: BTreeSet<(Instant, Key)>,
    outside: BTreeSet<(Instant, Key)>,
}

impl Waiting {
    const fn of(&mut self, begun: Begun) -> &mut BTreeSet<(Instant, Key)> {
        match begun {
            Begun::Inside => &mut self.inside,
            Begun::Outside(_) => &mut self.outside,
        }
    }

    /// Who makes way: for one of the container's who has waited the longest, for one from outside another one from there if any waits.
    fn first(&self, begun: Begun) -> Option<Key> {
        let (inside, outside) = (self.inside.first(), self.outside.first());
        let first = match begun {
            Begun::Inside => inside.into_iter().chain(outside).min(),
            Begun::Outside(_) => outside.or(inside),
        };
        first.map(|(_, key)| *key)
    }
}

/// All that exchange datagrams.
#[derive(Debug)]
pub(super) struct Datagrams {
    nears: Slab<Near>,
    fars: Slab<Far>,
    by_pair: HashMap<Pair, Key>,
    /// The same pairs by whom they are with on the host's side.
    by_answer: HashMap<(Key, SocketAddr), Key>,
    by_source: HashMap<SocketAddr, Key>,
    /// How many pairs were begun outside.
    from_outside: usize,
    waiting: Waiting,
    /// What all share: only what was touched counts.
    buffer: Vec<u8>,
}

impl Default for Datagrams {
    fn default() -> Self {
        Self {
            nears: Slab::default(),
            fars: Slab::default(),
            by_pair: HashMap::new(),
            by_answer: HashMap::new(),
            by_source: HashMap::new(),
            from_outside: 0,
            waiting: Waiting::default(),
            buffer: vec![0; BATCH * SIZE],
        }
    }
}

impl Datagrams {
    /// How many pairs there are.
    pub(super) fn len(&self) -> usize {
        self.nears.len()
    }

    /// How many descriptors they take.
    pub(super) fn descriptors(&self) -> usize {
        self.nears.len() + self.fars.len()
    }

    /// Somebody of a pair has said something: the container, or who is outside.
    fn spoke(&mut self, key: Key, is_container: bool, now: Instant) {
        let Some(near) = self.nears.get_mut(key) else { return };
        if let Some(far) = self.fars.get_mut(near.far) {
            far.is_answered = !is_container;
        }
        if let Some(begun) = near.waits() {
            self.waiting.of(begun).remove(&(near.last, key));
        }
        near.last = now;
        near.is_answered |= is_container != (near.begun == Begun::Inside);
        if let Some(begun) = near.waits() {
            self.waiting.of(begun).insert((now, key));
        }
    }

    /// Whether as many were begun outside as may be.
    const fn are_many_outside(&self) -> bool {
        self.from_outside >= MOST_FROM_OUTSIDE
    }

    /// Who makes way for one more, where there are as many as there may be.
    fn makes_way(&self, begun: Begun) -> Result<Option<Key>, Errno> {
        if begun != Begun::Inside && self.are_many_outside() {
            return self.waiting.outside.first().map(|(_, key)| Some(*key)).ok_or(Errno::NOBUFS);
        }
        if self.nears.len() < MOST {
            return Ok(None);
        }
        let quietest = || self.nears.iter().min_by_key(|(_, near)| near.last).map(|(key, _)| key);
        let one = match (self.waiting.first(begun), begun) {
            (None, Begun::Inside) => quietest(),
            (one, _) => one,
        };
        one.map(Some).ok_or(Errno::NOBUFS)
    }
}

impl Netd {
    /// The catcher has datagrams that belong to no pair yet; whether there may be more.
    pub(super) fn catch_datagrams(&mut self, family: Family) -> bool {
        let mut buffer = std::mem::take(&mut self.datagrams.buffer);
        let mut has_more = true;
        for _ in 0..TURNS {
            let mut arrivals = [None; BATCH];
            let received = self
                .ports(family)
                .and_then(|ports| ports.diverted.as_ref())
                .ok_or(Errno::AFNOSUPPORT)
                .and_then(|it| receive(it.datagrams.as_fd(), &mut buffer, SIZE, &mut arrivals));
            let count = received.unwrap_or(0);
            for (arrival, bytes) in pieces(&arrivals, &buffer) {
                if let (Some(from), Some(to)) = (arrival.from, arrival.to) {
                    self.caught((plain(from), plain(to)), Said::new(arrival, bytes));
                }
            }
            has_more = count == BATCH;
            if !has_more {
                break;
            }
        }
        self.datagrams.buffer = buffer;
        has_more
    }

    /// The container has sent a datagram, or several of one length.
    pub(super) fn caught(&mut self, pair: Pair, said: Said<'_>) {
        let key = match self.datagrams.by_pair.get(&pair) {
            Some(key) => Some(*key),
            None if self.control.is_none() => return self.send_last(pair, said),
            None => self.begin_pair(pair, said),
        };
        if let Some(key) = key {
            self.send_out(key, said);
        }
    }

    /// The first datagram from an address to another: may it be?
    fn begin_pair(&mut self, pair: Pair, said: Said<'_>) -> Option<Key> {
        let length = said.bytes.len();
        let to = match self.decide(Protocol::Udp, pair.0, pair.1) {
            Verdict::Connect(to) => to,
            Verdict::Reject(why) => {
                self.tell_of_datagram(pair, length, why.trouble());
                return None;
            }
            Verdict::Router | Verdict::Drop(_) => return None,
        };
        match self.far(pair.0).and_then(|far| self.pair(pair, far, to, Begun::Inside)) {
            Ok(key) => Some(key),
            // There is no way to the container any more: we are about to hear of its end.
            Err(Errno::NETUNREACH) => {
                self.send_last(pair, said);
                None
            }
            Err(errno) => {
                if matches!(errno, Errno::MFILE | Errno::NFILE) {
                    self.counters.hits(Limit::Descriptors);
                }
                self.trace.say(|| format!("{}: not sent: {errno}", Named::own(Protocol::Udp, pair)));
                self.tell_of_datagram(pair, length, trouble_of(errno)?);
                None
            }
        }
    }

    /// The container has ended, and with it the way back: what it sent goes out all the same.
    fn send_last(&mut self, (source, destination): Pair, Said { bytes, segment, .. }: Said<'_>) {
        let Verdict::Connect(to) = self.decide(Protocol::Udp, source, destination) else { return };
        let Ok(far) = self.far(source) else { return };
        if let Some(Far { socket, .. }) = self.datagrams.fars.get(far) {
            // There is nobody who could be told.
            send_all(socket, bytes, &Way { to: Some(to), from: None, segment }).ok();
        }
        self.leave_far(far);
    }

    /// Makes a pair that goes out by a host's side.
    fn pair(&mut self, pair: Pair, far: Key, to: SocketAddr, begun: Begun) -> Result<Key, Errno> {
        // Whoever makes way may be the last of the same host's side.
        if let Some(far) = self.datagrams.fars.get_mut(far) {
            far.pairs += 1;
        }
        // Nobody makes way for what cannot be.
        let made = self.who_makes_way(begun).and_then(|one| Ok((one, self.near(pair)?)));
        let (one, (socket, pair)) = match made {
            Ok(made) => made,
            Err(errno) => {
                self.lose_pair(far);
                return Err(errno);
            }
        };
        one.into_iter().for_each(|one| self.drop_pair(one));
        self.datagrams.from_outside += usize::from(begun != Begun::Inside);
        let near = Near {
            socket,
            pair,
            far,
            to,
            begun,
            last: self.now,
            due: self.now + ONE_WAY,
            is_answered: false,
            length: 0,
            way: None,
            sent: Tally::default(),
            received: Tally::default(),
        };
        let key = self.datagrams.nears.insert(near);
        self.datagrams.by_pair.insert(pair, key);
        self.datagrams.by_answer.insert((far, to), key);
        self.datagrams.waiting.of(begun).insert((self.now, key));
        let near = self.datagrams.nears.get(key).ok_or(Errno::BADF)?;
        if let Some(socket) = &near.socket
            && let Err(errno) = self.watch(socket.as_fd(), Source::Near(key))
        {
            self.drop_pair(key);
            return Err(errno);
        }
        self.counters.begins(FlowKind::Udp, begun != Begun::Inside);
        if let Some(near) = self.datagrams.nears.get(key).filter(|near| near.begun != Begun::Inside) {
            self.trace.say(|| format!("{}: arrives, from {to} of the host's side", near.named()));
        }
        self.timers.set(self.now, ONE_WAY, Due::Datagrams(key));
        Ok(key)
    }

    /// Who makes way for one more pair, which is counted.
    fn who_makes_way(&mut self, begun: Begun) -> Result<Option<Key>, Errno> {
        let one = self.datagrams.makes_way(begun);
        if one != Ok(None) {
            let are_many_outside = begun != Begun::Inside && self.datagrams.are_many_outside();
            self.counters.hits(if are_many_outside { Limit::DatagramsFromOutside } else { Limit::Datagrams });
        }
        one
    }

    /// The router's side of a pair. Two who look alike to the container are told apart by a port.
    fn near(&self, (container, mut remote): Pair) -> Result<(Option<OwnedFd>, Pair), Errno> {
        if self.tun.is_some() {
            let is_free = |pair: &Pair| !self.datagrams.by_pair.contains_key(pair);
            return Ok((None, free_pair((container, remote), is_free).ok_or(Errno::ADDRNOTAVAIL)?));
        }
        let kind = Kind { family: Family::of(&remote), is_stream: false };
        let socket = self.pool.take(kind)?;
        if self.datagrams.by_pair.contains_key(&(container, remote)) {
            remote.set_port(0);
        }
        match bind(&socket, &remote) {
            // In the container's own namespace the port may be the container's.
            Err(Errno::ADDRINUSE | Errno::ACCESS) if self.router.rung == Rung::Published => {
                remote.set_port(0);
                bind(&socket, &remote)?;
            }
            bound => bound?,
        }
        connect(&socket, &container)?;
        if remote.port() == 0 {
            remote = plain(SocketAddr::try_from(getsockname(&socket)?)?);
        }
        Ok((Some(socket), (container, remote)))
    }

    /// The host's side of one of the container's ports: one that is there, or a new one.
    fn far(&mut self, source: SocketAddr) -> Result<Key, Errno> {
        if let Some(far) = self.datagrams.by_source.get(&source) {
            return Ok(*far);
        }
        let family = Family::of(&source);
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(family.domain(), SocketType::DGRAM, flags, None)?;
        options::keep_refusals(socket.as_fd(), family)?;
        // Where it is not known each datagram comes alone.
        options::join_datagrams(socket.as_fd()).ok();
        let too_long = TooLong::Cut;
        self.keep_far(Far { socket, family, source, is_answered: false, too_long, pairs: 0, published: None })
    }

    /// A published port: a socket of the host's that leads to one of the container's.
    pub(super) fn publish_datagrams(&mut self, socket: OwnedFd, inside: u16) -> Result<Key, Errno> {
        let at = SocketAddr::try_from(getsockname(&socket)?)?;
        let source = SocketAddr::new(self.policy.callee(at.ip()), inside);
        let published = Some(if at.ip().is_unspecified() { Reach::All } else { Reach::One });
        let family = Family::of(&at);
        options::tell_destinations(socket.as_fd(), family)?;
        options::keep_refusals(socket.as_fd(), family)?;
        options::join_datagrams(socket.as_fd()).ok();
        // It may come from a netd that is no more, with what that one had set.
        let too_long = TooLong::Cut;
        options::too_long(socket.as_fd(), family, too_long)?;
        self.keep_far(Far { socket, family, source, is_answered: false, too_long, pairs: 0, published })
    }

    /// A published port is no more, nor is what came by it.
    pub(super) fn withdraw_datagrams(&mut self, far: Key) {
        if let Some(far) = self.datagrams.fars.get_mut(far) {
            far.published = None;
        }
        let pairs = self.datagrams.nears.iter().filter(|(_, near)| near.far == far);
        for key in pairs.map(|(key, _)| key).collect::<Vec<_>>() {
            self.drop_pair(key);
        }
        self.leave_far(far);
    }

    fn keep_far(&mut self, far: Far) -> Result<Key, Errno> {
        let source = far.source;
        // By a port of one address only that is reached which is there.
        let is_way_out = far.published != Some(Reach::One);
        let key = self.datagrams.fars.insert(far);
        let far = self.datagrams.fars.get(key).ok_or(Errno::BADF)?;
        if let Err(errno) = self.watch(far.socket.as_fd(), Source::Far(key)) {
            self.datagrams.fars.remove(key);
            return Err(errno);
        }
        if is_way_out {
            self.datagrams.by_source.entry(source).or_insert(key);
        }
        Ok(key)
    }

    /// From the container, by a socket of its own.
    pub(super) fn near_is_ready(&mut self, key: Key) {
        let far = self.datagrams.nears.get(key).and_then(|near| self.datagrams.fars.get(near.far));
        match far {
            Some(far) if far.is_answered => self.take_turns(Speaker::Near(key)),
            _ => drop(self.hear_near(key)),
        }
    }

    /// Whoever answers says one thing, and then it is the other's turn. Where they have one processor between them, the next thing is
    /// said by the time that the last was told: so it is looked for before anybody is waited for.
    fn take_turns(&mut self, first: Speaker) {
        let mut buffer = std::mem::take(&mut self.datagrams.buffer);
        let mut speaks = Some(first);
        for _ in 0..WORDS {
            let Some(speaker) = speaks else { break };
            speaks = self.hear_one(speaker, buffer.get_mut(..SIZE).unwrap_or_default());
        }
        self.datagrams.buffer = buffer;
    }

    /// One thing that somebody says; who is to answer it.
    fn hear_one(&mut self, speaker: Speaker, buffer: &mut [u8]) -> Option<Speaker> {
        match speaker {
            Speaker::Near(key) => {
                let near = self.datagrams.nears.get(key)?;
                let (arrival, far) = (receive_one(near.socket.as_ref()?.as_fd(), buffer).ok()?, near.far);
                self.send_out(key, Said::new(&arrival, buffer.get(..arrival.length)?));
                Some(Speaker::Far(far))
            }
            Speaker::Far(key) => {
                let far = self.datagrams.fars.get(key)?;
                let (received, source) = (receive_one(far.socket.as_fd(), buffer), far.source);
                match received {
                    Ok(arrival) => {
                        self.send_in(key, source, &arrival, buffer.get(..arrival.length)?).map(Speaker::Near)
                    }
                    Err(Errno::AGAIN) => None,
                    Err(_) => self.hear_refusals(key).then_some(speaker),
                }
            }
        }
    }

    /// All that the container says, by a socket of its own; whether there may be more.
    fn hear_near(&mut self, key: Key) -> bool {
        let mut buffer = std::mem::take(&mut self.datagrams.buffer);
        let mut has_more = true;
        for _ in 0..TURNS {
            let Some(near) = self.datagrams.nears.get(key) else { break };
            let mut arrivals = [None; BATCH];
            // An error here is that the container has closed its port: there is nobody to tell.
            let count = match &near.socket {
                Some(socket) => receive(socket.as_fd(), &mut buffer, SIZE, &mut arrivals).unwrap_or(0),
                None => 0,
            };
            for (arrival, bytes) in pieces(&arrivals, &buffer) {
                self.send_out(key, Said::new(arrival, bytes));
            }
            has_more = count == BATCH;
            if !has_more {
                break;
            }
        }
        self.datagrams.buffer = buffer;
        has_more
    }

    /// All that the container has sent by sockets of its own so far.
    pub(super) fn hear_all_nears(&mut self) {
        for key in self.datagrams.nears.iter().map(|(key, _)| key).collect::<Vec<_>>() {
            (0..LAST_TURNS).take_while(|_| self.hear_near(key)).count();
        }
    }

    fn send_out(&mut self, key: Key, said: Said<'_>) {
        self.datagrams.spoke(key, true, self.now);
        let too_long = if self.must_be_whole(key, &said) { TooLong::Tried } else { TooLong::Cut };
        let Some(near) = self.datagrams.nears.get_mut(key) else { return };
        near.length = said.length();
        near.sent.add(said.bytes.len(), said.segment);
        let (far, pair, length, to, is_itself) =
            (near.far, near.pair, near.length, near.to, near.is_itself());
        let from = if let Begun::Outside(at) = near.begun { at } else { None };
        let way = Way { to: Some(to), from, segment: said.segment };
        let Some(host) = self.datagrams.fars.get_mut(far) else { return };
        host.set_too_long(too_long);
        match send_all(&host.socket, said.bytes, &way) {
            Err(Errno::AGAIN) if has_no_port(&host.socket) => {
                let errno = Errno::ADDRNOTAVAIL;
                self.trace.say(|| format!("{}: not sent: {errno}", Named::own(Protocol::Udp, pair)));
                if let Some(what) = trouble_of(errno) {
                    self.tell_of_datagram(pair, length, what);
                }
            }
            Ok(()) | Err(Errno::AGAIN) => {}
            Err(Errno::MSGSIZE) => {
                if let Some(fits) = mtu::mtu_to(to).filter(|_| is_itself) {
                    self.tell_of_datagram(pair, length, Trouble::TooBig(fits));
                }
            }
            Err(errno) => {
                // It may be what came of an earlier one.
                let told = self.hear_refusals(far);
                let Some(socket) = self.datagrams.fars.get(far).map(|far| &far.socket) else { return };
                match send_all(socket, said.bytes, &way) {
                    Err(again) if !told || again != errno => {
                        self.trace.say(|| format!("{}: not sent: {again}", Named::own(Protocol::Udp, pair)));
                        if let Some(what) = trouble_of(again) {
                            self.tell_of_datagram(pair, length, what);
                        }
                    }
                    _ => {}
                }
            }
        }
    }

    /// From outside. The network may have said something though there is nothing to read, and says so until it is heard.
    pub(super) fn far_is_ready(&mut self, key: Key, has_refusals: bool) {
        if has_refusals {
            self.hear_refusals(key);
        }
        match self.datagrams.fars.get(key) {
            Some(far) if !far.is_answered => self.take_turns(Speaker::Far(key)),
            _ => self.hear_far(key),
        }
    }

    /// All that is said outside to one of the container's ports.
    fn hear_far(&mut self, key: Key) {
        let mut buffer = std::mem::take(&mut self.datagrams.buffer);
        for _ in 0..TURNS {
            let Some(far) = self.datagrams.fars.get(key) else { break };
            let mut arrivals = [None; BATCH];
            let count = match receive(far.socket.as_fd(), &mut buffer, SIZE, &mut arrivals) {
                Ok(count) => count,
                Err(Errno::AGAIN) => break,
                Err(_) => {
                    if !self.hear_refusals(key) {
                        break;
                    }
                    continue;
                }
            };
            let source = far.source;
            for (arrival, bytes) in pieces(&arrivals, &buffer) {
                self.send_in(key, source, arrival, bytes);
            }
            if count < BATCH {
                break;
            }
        }
        self.datagrams.buffer = buffer;
    }

    /// Says to the container what was said outside; to which pair.
    fn send_in(&mut self, far: Key, source: SocketAddr, arrival: &Arrival, bytes: &[u8]) -> Option<Key> {
        let from = arrival.from?;
        let known = self.datagrams.by_answer.get(&(far, from)).copied();
        let key = known.or_else(|| self.somebody_else(far, source, arrival))?;
        self.datagrams.spoke(key, false, self.now);
        let near = self.datagrams.nears.get_mut(key)?;
        near.received.add(bytes.len(), arrival.segment);
        let way = Way { segment: arrival.segment, ..Way::default() };
        // That the container's port is closed is told of the one before. One for which there is no room is lost.
        let Some(socket) = &near.socket else {
            let length = arrival.segment.map_or(SIZE, usize::from).max(1);
            // One of no length is one, too.
            let alone = bytes.is_empty().then_some(bytes);
            let (pair, all) = (near.pair, alone.into_iter().chain(bytes.chunks(length)));
            all.for_each(|one| self.write_datagram(pair, one));
            return Some(key);
        };
        if let Err(Errno::CONNREFUSED) = send_all(socket, bytes, &way) {
            send_all(socket, bytes, &way).ok();
        }
        Some(key)
    }

    /// Somebody speaks who was not spoken to.
    fn somebody_else(&mut self, key: Key, source: SocketAddr, arrival: &Arrival) -> Option<Key> {
        let from = arrival.from?;
        let seen = SocketAddr::new(self.datagrams_appear_from(from.ip()), from.port());
        if seen.is_ipv4() != source.is_ipv4() {
            return None;
        }
        self.tell_of_namesake(from.ip());
        let far = self.datagrams.fars.get(key)?;
        let at = arrival.to.filter(|_| far.published == Some(Reach::All)).map(|at| at.ip());
        match self.pair((source, seen), key, from, Begun::Outside(at)) {
            Ok(pair) => Some(pair),
            Err(errno) => {
                self.trace.say(|| format!("udp {from}: not let in: {errno}"));
                None
            }
        }
    }

    /// Tells the container what the network said of its datagrams; whether it said anything.
    fn hear_refusals(&mut self, key: Key) -> bool {
        let mut heard = false;
        for _ in 0..BATCH {
            let Some(far) = self.datagrams.fars.get(key) else { return heard };
            let Ok(Some(Refusal { to, errno, mtu, is_own })) = next_refusal(far.socket.as_fd()) else {
                return heard;
            };
            heard = true;
            // What this kernel says it has said when it was to send.
            let known = self.datagrams.by_answer.get(&(key, to)).filter(|_| !is_own);
            let Some(near) = known.and_then(|near| self.datagrams.nears.get(*near)) else { continue };
            let (pair, length, is_itself) = (near.pair, near.length, near.is_itself());
            self.trace.say(|| format!("{}: the network says: {errno}", near.named()));
            match mtu.map(Trouble::TooBig).or_else(|| trouble_of(errno)) {
                Some(Trouble::TooBig(_)) if !is_itself => {}
                Some(what) => self.tell_of_datagram(pair, length, what),
                None => {}
            }
        }
        heard
    }

    /// Tells the container of trouble with a datagram. Of that itself nothing is left but how long it was.
    fn tell_of_datagram(&self, (source, destination): Pair, length: usize, what: Trouble) {
        const FORGOTTEN: [u8; LONGEST_SEGMENT] = [0; LONGEST_SEGMENT];
        let payload = FORGOTTEN.get(..length).unwrap_or(&FORGOTTEN);
        let from = match what {
            // A closed port is told by who has it.
            Trouble::Port => destination.ip(),
            _ => self.gateway_of(source.ip()),
        };
        let packet = Datagram { source, destination, payload }.build();
        if let Ok(packet) = packet.and_then(|datagram| trouble(from, what, &datagram)) {
            self.send_inside(source.ip(), &packet);
        }
    }

    /// Says what became of all pairs.
    pub(super) fn tell_pairs(&self) {
        for (_, near) in self.datagrams.nears.iter() {
            self.trace.say(|| near.last_words());
        }
    }

    /// A pair that has been silent goes; one that has not is looked at again.
    pub(super) fn pair_is_due(&mut self, key: Key) {
        let Some(near) = self.datagrams.nears.get_mut(key) else { return };
        // Of two that talk it is the one who was spoken to first that is a resolver.
        let asked = if near.begun == Begun::Inside { near.pair.1 } else { near.pair.0 };
        let patience = match (near.is_answered, asked.port()) {
            (true, RESOLVER) => ANSWERED,
            (true, _) => TWO_WAYS,
            (false, _) => ONE_WAY,
        };
        let silent = self.now.saturating_duration_since(near.last);
        if silent < patience {
            near.due = self.now + (patience - silent);
            return self.timers.set(self.now, patience - silent, Due::Datagrams(key));
        }
        self.drop_pair(key);
    }

    fn drop_pair(&mut self, key: Key) {
        let Some(near) = self.datagrams.nears.remove(key) else { return };
        if let Some(begun) = near.waits() {
            self.datagrams.waiting.of(begun).remove(&(near.last, key));
        }
        self.timers.forget(near.due, Due::Datagrams(key));
        self.trace.say(|| near.last_words());
        let Near { pair, far, to, begun, .. } = near;
        if self.datagrams.by_pair.get(&pair) == Some(&key) {
            self.datagrams.by_pair.remove(&pair);
        }
        // Two that the container tells apart may be one to the host.
        if self.datagrams.by_answer.get(&(far, to)) == Some(&key) {
            self.datagrams.by_answer.remove(&(far, to));
        }
        self.datagrams.from_outside -= usize::from(begun != Begun::Inside);
        self.lose_pair(far);
    }

    /// A host's side has a pair less.
    fn lose_pair(&mut self, key: Key) {
        if let Some(far) = self.datagrams.fars.get_mut(key) {
            far.pairs = far.pairs.saturating_sub(1);
        }
        self.leave_far(key);
    }

    /// Nobody speaks by datagrams any more. The supervisor has a published port's socket too: to close ours does not end what is told
    /// of it.
    pub(super) fn end_datagrams(&mut self) {
        for (_, far) in self.datagrams.fars.iter() {
            epoll::delete(&self.epoll, &far.socket).ok();
        }
        self.datagrams = Datagrams::default();
    }

    /// The host's side goes with its last pair.
    fn leave_far(&mut self, key: Key) {
        if self.datagrams.fars.get(key).is_some_and(|far| far.pairs == 0 && far.published.is_none())
            && let Some(far) = self.datagrams.fars.remove(key)
            && self.datagrams.by_source.get(&far.source) == Some(&key)
        {
            self.datagrams.by_source.remove(&far.source);
        }
    }
}

/// What arrived, each with its bytes.
fn pieces<'a>(
    arrivals: &'a [Option<Arrival>; BATCH],
    buffer: &'a [u8],
) -> impl Iterator<Item = (&'a Arrival, &'a [u8])> {
    let whole = arrivals.iter().zip(buffer.chunks_exact(SIZE));
    whole.filter_map(|(arrival, bytes)| {
        let arrival = arrival.as_ref()?;
        Some((arrival, bytes.get(..arrival.length)?))
    })
}

/// Sends a datagram, or several that came in one piece: in one piece where the kernel cuts them.
fn send_all(socket: &OwnedFd, bytes: &[u8], way: &Way) -> Result<(), Errno> {
    let Some(length) = way.segment.map(usize::from) else { return send(socket.as_fd(), bytes, way) };
    let one_by_one = || {
        let alone = Way { segment: None, ..*way };
        bytes.chunks(length).try_for_each(|one| send(socket.as_fd(), one, &alone))
    };
    if length >= bytes.len() || length > LONGEST_SEGMENT {
        return one_by_one();
    }
    match send(socket.as_fd(), bytes, way) {
        // Each of them is more than the way takes.
        Err(Errno::MSGSIZE | Errno::INVAL) => one_by_one(),
        sent => sent,
    }
}

/// Whether a socket got no port when it was first to send: all of the host's are in use, and the kernel says of that what it says of a full
/// queue.
fn has_no_port(socket: &OwnedFd) -> bool {
    getsockname(socket).and_then(SocketAddr::try_from).is_ok_and(|own| own.port() == 0)
}

/// What an error means to the container; `None` is nothing that it would hear of.
const fn trouble_of(errno: Errno) -> Option<Trouble> {
    match errno {
        Errno::CONNREFUSED => Some(Trouble::Port),
        Errno::HOSTUNREACH | Errno::MFILE | Errno::NFILE | Errno::ADDRNOTAVAIL => Some(Trouble::Host),
        Errno::NETUNREACH | Errno::NETDOWN => Some(Trouble::Network),
        Errno::ACCESS | Errno::PERM => Some(Trouble::Prohibited),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A pair that has spoken last so many seconds after the first.
    fn near(begun: Begun, first: Instant, seconds: u64) -> Near {
        let (container, remote) = (([10, 0, 2, 100], 5000).into(), ([192, 0, 2, 1], 53).into());
        Near {
            socket: None,
            pair: (container, remote),
            far: Slab::default().insert(()),
            to: remote,
            begun,
            last: first + Duration::from_secs(seconds),
            due: first,
            is_answered: false,
            length: 0,
            way: None,
            sent: Tally::default(),
            received: Tally::default(),
        }
    }

    #[test]
    fn who_waits_the_longest_makes_way_and_then_who_is_quiet_the_longest() {
        const OUTSIDE: Begun = Begun::Outside(None);
        let (mut datagrams, first) = (Datagrams::default(), Instant::now());
        let [answered, waits, called, quiet] =
            [(Begun::Inside, 1), (Begun::Inside, 3), (OUTSIDE, 2), (OUTSIDE, 0)].map(|(begun, seconds)| {
                let near = near(begun, first, seconds);
                let last = near.last;
                let key = datagrams.nears.insert(near);
                datagrams.waiting.of(begun).insert((last, key));
                key
            });
        assert_eq!(datagrams.makes_way(Begun::Inside), Ok(None), "there is room");
        while datagrams.nears.len() < MOST {
            datagrams.nears.insert(near(Begun::Inside, first, 100));
        }
        let at = |seconds| first + Duration::from_secs(seconds);
        let makes_way = |datagrams: &Datagrams| [Begun::Inside, OUTSIDE].map(|it| datagrams.makes_way(it));
        // Whoever is not answered has spoken since.
        datagrams.spoke(answered, false, at(1));
        datagrams.spoke(quiet, true, at(0));
        assert_eq!(makes_way(&datagrams), [Ok(Some(called)); 2]);
        // Who calls from outside takes the place of somebody from there, though one of the container's waits for longer.
        datagrams.spoke(called, false, at(4));
        assert_eq!(makes_way(&datagrams), [Ok(Some(waits)), Ok(Some(called))]);
        datagrams.spoke(called, true, at(4));
        assert_eq!(makes_way(&datagrams), [Ok(Some(waits)); 2]);
        datagrams.spoke(waits, false, at(5));
        datagrams.spoke(called, true, at(6));
        // All are answered: who is outside takes nobody's place.
        assert_eq!(makes_way(&datagrams), [Ok(Some(quiet)), Err(Errno::NOBUFS)]);
        datagrams.spoke(quiet, false, at(7));
        assert_eq!(datagrams.makes_way(Begun::Inside), Ok(Some(answered)));
        // Of whom there are as many from outside as there may be: theirs is the place, whoever else waits.
        datagrams.from_outside = MOST_FROM_OUTSIDE;
        assert_eq!(datagrams.makes_way(OUTSIDE), Err(Errno::NOBUFS));
        datagrams.waiting.inside.insert((at(1), waits));
        assert_eq!(datagrams.makes_way(OUTSIDE), Err(Errno::NOBUFS));
        datagrams.waiting.outside.insert((at(8), called));
        assert_eq!(datagrams.makes_way(OUTSIDE), Ok(Some(called)));
    }
}
