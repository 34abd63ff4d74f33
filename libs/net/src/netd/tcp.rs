//! Connections.
//!
//! ```text
//! first packet on the tap ──▶ held ──host's side answers──▶ entering ──accepted──▶ open ──both ended──▶ gone
//!                               │ refused: the container       │ never accepted:
//!                               ▼ gets the same answer         ▼ the host's side is reset
//!
//! accepted on the host's side ──▶ arriving ──container answers──▶ open
//!                                    │ refused: the caller's connection is reset
//!                                    ▼ at the address of IPv6 only: once more at that of IPv4
//! ```
//! The container's first packet is held until the host's side has an answer, so that a refusal inside is what it is outside, and
//! a connection inside means that there is one outside. Then the packet is sent in again, and the kernel does the rest; where it cannot
//! divert what comes, to a listener that stands where the packet goes ([`entrance`]).
//!
//! # Failure
//! Every socket is set to end with a reset, and told otherwise only when both ends have said goodbye: if we are killed, nobody
//! takes half of something for all of it.

mod arriving;
mod entrance;

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use ctr_sys::net::options::Family;
use rustix::io::Errno;
use rustix::net::{
    SendFlags, SocketFlags, SocketType, acceptfrom_with, connect, getsockname, sendto, socket_with, sockopt,
};

use self::arriving::Arriving;
use self::entrance::Entrances;
use super::pump::{End, Open, Pumped, Ready};
use super::slab::{KEPT, Key, Slab};
use super::timers::Due;
use super::trace::Named;
use super::{Netd, Source, plain, watch_for_room};
use crate::counters::{FlowKind, Limit};
use crate::outside::settle;
use crate::policy::{Protocol, Verdict};
use crate::wire::{Syn, Trouble, trouble, with_checksums};

/// How long a first packet that was sent in again may take to become a connection.
const ENTERING: Duration = Duration::from_secs(10);
/// How many connections to the host's side may be on their way.
pub(super) const CONNECTING: usize = 4096;
/// How long each of them has for an answer before it makes way for others.
pub(super) const UNANSWERED: Duration = Duration::from_secs(1);
/// How many connections are accepted before others get their turn.
const TURN: usize = 64;

/// Who speaks to whom, as the container sees it.
pub(super) type Pair = (SocketAddr, SocketAddr);

/// The same as a map keeps it: without what IPv6 only says of links, two thirds as long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Ends([IpAddr; 2], [u16; 2]);

impl From<Pair> for Ends {
    fn from((container, remote): Pair) -> Self {
        Self([container.ip(), remote.ip()], [container.port(), remote.port()])
    }
}

/// One connection.
#[derive(Debug)]
struct Flow {
    pair: Pair,
    state: State,
}

impl Flow {
    fn named(&self) -> Named {
        let from_outside = match &self.state {
            State::Held(_) => false,
            State::Arriving(_) => true,
            State::Open(open) => open.is_from_outside(),
        };
        Named { protocol: Protocol::Tcp, pair: self.pair, from_outside }
    }
}

#[derive(Debug)]
enum State {
    /// The container waits.
    Held(Held),
    /// Somebody outside waits.
    Arriving(Arriving),
    /// Bytes flow.
    Open(Box<Open>),
}

impl State {
    /// When it is given up, if it is to be.
    fn due(&self) -> Option<Instant> {
        match self {
            Self::Held(Held { since, is_entering: true, .. }) => Some(*since + ENTERING),
            Self::Arriving(arriving) => Some(arriving.due),
            Self::Held(_) | Self::Open(_) => None,
        }
    }
}

/// A connection to the host's side that has none inside yet.
#[derive(Debug)]
struct Held {
    outer: OwnedFd,
    told: Ready,
    /// The container's first packet.
    first: Box<[u8]>,
    /// Since when the host's side is waited for, and then the container's.
    since: Instant,
    /// It was sent in again.
    is_entering: bool,
}

/// All connections.
#[derive(Debug, Default)]
pub(super) struct Streams {
    flows: Slab<Flow>,
    known: HashMap<Ends, Key>,
    entrances: Entrances,
    /// How many of the container's are not open yet.
    on_their_way: usize,
    /// Those of them that the host's side has not answered, the oldest first.
    unanswered: BTreeSet<(Instant, Key)>,
    /// Have more to do than one turn allows.
    more: Vec<Key>,
    /// There is no descriptor for one more: nobody is accepted until there is.
    pub(super) is_full: bool,
}

impl Streams {
    pub(super) const fn has_more(&self) -> bool {
        !self.more.is_empty()
    }

    /// Who makes way for one more connection, where there are as many on their way as may be: that which the host's side has not answered
    /// for the longest time, if it had some. Where the container still wants it, it comes again. So who tries what does not answer does not
    /// keep itself from all else.
    fn makes_way(&self, now: Instant) -> Result<Option<Key>, Errno> {
        if self.on_their_way < CONNECTING {
            return Ok(None);
        }
        let oldest = self.unanswered.first().filter(|(since, _)| now.duration_since(*since) >= UNANSWERED);
        oldest.map(|(_, key)| Some(*key)).ok_or(Errno::NOBUFS)
    }

    /// After many connections the memory for them goes with the last.
    fn give_back(&mut self) {
        if self.flows.len() == 0 && self.flows.give_back() {
            self.known.shrink_to(KEPT);
            ctr_sys::memory::release_freed();
        }
    }

    /// Forgets what has not become a connection of both sides.
    pub(super) fn keep_open_ones(&mut self) {
        let others = self.flows.iter().filter(|(_, flow)| !matches!(flow.state, State::Open(_)));
        for key in others.map(|(key, _)| key).collect::<Vec<_>>() {
            self.flows.remove(key);
        }
        self.entrances = Entrances::default();
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.flows.len()
    }

    /// Nothing is left to be moved.
    pub(super) fn are_over(&self) -> bool {
        self.flows.len() == 0
    }
}

/// What the container hears when the host's side cannot be had.
pub(super) enum Answer {
    Reset,
    Tell(Trouble),
    /// Its own clock tells it.
    Silence,
}

impl Answer {
    /// What may not be, as it is told where it cannot be.
    pub(super) const fn forbidden(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Port => Self::Reset,
            other => Self::Tell(other),
        }
    }

    pub(super) const fn to(errno: Errno) -> Self {
        match errno {
            Errno::CONNREFUSED | Errno::CONNRESET => Self::Reset,
            Errno::NETUNREACH | Errno::NETDOWN => Self::Tell(Trouble::Network),
            Errno::ACCESS | Errno::PERM => Self::Tell(Trouble::Prohibited),
            Errno::TIMEDOUT => Self::Silence,
            // No way to the host, and what the host has run out of: descriptors, ports, memory.
            _ => Self::Tell(Trouble::Host),
        }
    }
}

impl Netd {
    /// The tap has a first packet.
    pub(super) fn begin_stream(&mut self, frame: &[u8], checksum_ready: bool) {
        let syn = match Syn::parse(frame, checksum_ready) {
            Ok(syn) => syn,
            Err(refused) => return self.counters.passes_over(refused),
        };
        let pair = (plain(syn.source), plain(syn.destination));
        let ends = pair.into();
        if let Some(key) = self.streams.known.get(&ends).copied() {
            match self.streams.flows.get(key).map(|flow| &flow.state) {
                Some(State::Held(held)) if held.is_entering => return self.enter_again(pair, frame),
                Some(State::Held(_)) => return,
                // The kernel answers for a connection that it has.
                Some(State::Open(open)) if !open.is_ending() => return self.enter_again(pair, frame),
                // The old one ends by itself; its addresses are the new one's.
                Some(State::Open(_) | State::Arriving(_)) | None => drop(self.streams.known.remove(&ends)),
            }
        }
        let to = match self.decide(Protocol::Tcp, pair.0, pair.1) {
            Verdict::Connect(to) => to,
            Verdict::Reject(why) => return self.answer(&syn, frame, &Answer::forbidden(why.trouble())),
            Verdict::Router | Verdict::Drop(_) => return,
        };
        if !self.has_room() {
            self.trace.say(|| format!("{}: there is no room for one more", Named::own(Protocol::Tcp, pair)));
            self.counters.hits(Limit::Descriptors);
            return self.answer(&syn, frame, &Answer::to(Errno::MFILE));
        }
        let Ok(one) = self.streams.makes_way(self.now) else {
            self.trace.say(|| format!("{}: there is no room for one more", Named::own(Protocol::Tcp, pair)));
            // Its clock brings it back.
            return self.counters.hits(Limit::Connecting);
        };
        one.into_iter().for_each(|one| drop(self.drop_stream(one)));
        self.counters.begins(FlowKind::Tcp, false);
        match connecting(to) {
            Ok(outer) => self.wait_for_host(pair, outer, frame),
            Err(errno) => {
                self.trace.say(|| format!("{}: not connected: {errno}", Named::own(Protocol::Tcp, pair)));
                self.answer(&syn, frame, &Answer::to(errno));
            }
        }
    }

    fn wait_for_host(&mut self, pair: Pair, (outer, told): (OwnedFd, Ready), frame: &[u8]) {
        let since = self.now;
        let held = Held { outer, told, first: frame.into(), since, is_entering: false };
        let key = self.streams.flows.insert(Flow { pair, state: State::Held(held) });
        self.streams.known.insert(pair.into(), key);
        self.streams.on_their_way += 1;
        self.streams.unanswered.insert((since, key));
        let watched = match self.streams.flows.get(key).map(|flow| &flow.state) {
            Some(State::Held(held)) => {
                self.watch_told(held.outer.as_fd(), Source::Stream(End::Outer, key), held.told)
            }
            _ => Ok(()),
        };
        if watched.is_err() {
            self.drop_stream(key);
        } else if told.writable {
            self.host_answered(key);
        }
    }

    /// Tells the container why there is no connection.
    fn answer(&self, syn: &Syn, frame: &[u8], answer: &Answer) {
        let packet = match answer {
            Answer::Reset => syn.reset(),
            Answer::Tell(what) => trouble(self.gateway_of(syn.source.ip()), *what, frame),
            Answer::Silence => return,
        };
        if let Ok(packet) = packet {
            self.send_inside(syn.source.ip(), &packet);
        }
    }

    /// Sends a first packet in again, where the kernel takes it.
    fn enter_again(&self, pair: Pair, frame: &[u8]) {
        let Ok(packet) = with_checksums(frame) else { return };
        let to = SocketAddr::new(pair.1.ip(), 0);
        // One that is lost comes again.
        if let Some(ports) = self.ports(Family::of(&to)) {
            sendto(&ports.again, &packet, SendFlags::DONTWAIT, &to).ok();
        }
    }

    /// The kernel tells of one side of a connection.
    pub(super) fn stream_is_ready(&mut self, end: End, key: Key, ready: Ready) {
        match self.streams.flows.get_mut(key).map(|flow| &mut flow.state) {
            Some(State::Held(held)) => {
                held.told.add(ready);
                if !held.is_entering {
                    self.host_answered(key);
                }
            }
            Some(State::Arriving(arriving)) => match end {
                End::Outer => {
                    arriving.outer.1.add(ready);
                    self.caller_is_ready(key);
                }
                End::Inner => {
                    arriving.inner.1.add(ready);
                    self.container_answered(key);
                }
            },
            Some(State::Open(open)) => {
                open.tell(end, ready);
                self.pump(key);
            }
            None => {}
        }
    }

    fn host_answered(&mut self, key: Key) {
        let Some(Flow { pair, state: State::Held(held) }) = self.streams.flows.get_mut(key) else { return };
        match held.told.check(&held.outer) {
            Ok(()) if held.told.writable => {}
            Ok(()) => return,
            Err(errno) => return self.host_refused(key, errno),
        }
        let (pair, first) = (*pair, held.first.clone());
        if let Err(errno) = self.open_entrance(pair.1) {
            return self.host_refused(key, errno);
        }
        if let Some(Flow { state: State::Held(held), .. }) = self.streams.flows.get_mut(key) {
            self.streams.unanswered.remove(&(held.since, key));
            (held.is_entering, held.since) = (true, self.now);
        }
        self.trace.say(|| format!("{}: connected", Named::own(Protocol::Tcp, pair)));
        self.is_awaited(key);
        self.enter_again(pair, &first);
        if !self.streams.is_full {
            // The handshake inside is over by the time that the packet is sent: nobody there waits for anybody.
            self.accept_streams(Family::of(&pair.1));
        }
    }

    fn host_refused(&mut self, key: Key, errno: Errno) {
        let Some(flow) = self.drop_stream(key) else { return };
        self.trace.say(|| format!("{}: not connected: {errno}", flow.named()));
        let State::Held(held) = &flow.state else { return };
        // It was parsed once; its checksum is of no matter any more.
        if let Ok(syn) = Syn::parse(&held.first, false) {
            self.answer(&syn, &held.first, &Answer::to(errno));
        }
    }

    /// Takes what the kernel has made of packets that were sent in again; whether there may be more.
    pub(super) fn accept_streams(&mut self, family: Family) -> bool {
        for _ in 0..TURN {
            let diverted = self.ports(family).and_then(|ports| ports.diverted.as_ref());
            let Some(diverted) = diverted else { return false };
            let accepted = accept(&diverted.streams);
            if !self.accepted(accepted) {
                return false;
            }
            // Where another is on its way still, the kernel will tell.
            if self.streams.on_their_way == 0 {
                return false;
            }
        }
        true
    }

    /// Takes one of those; false if there is no other to be taken now.
    fn accepted(&mut self, accepted: Result<(OwnedFd, Pair), Errno>) -> bool {
        match accepted {
            Ok((inner, pair)) => self.open_stream(pair, inner),
            Err(Errno::AGAIN) => return false,
            Err(Errno::MFILE | Errno::NFILE) => {
                self.stop_accepting();
                return false;
            }
            // It was gone before we came.
            Err(_) => {}
        }
        true
    }

    fn open_stream(&mut self, pair: Pair, inner: OwnedFd) {
        let Some(key) = self.streams.known.get(&pair.into()).copied() else { return };
        match self.streams.flows.get(key).map(|flow| &flow.state) {
            Some(State::Held(held)) if held.is_entering => {}
            // There was one with these addresses, which the container has forgotten.
            Some(State::Open(_)) => return drop(self.drop_stream(key)),
            Some(State::Held(_) | State::Arriving(_)) | None => return,
        }
        let watched = self.watch_told(inner.as_fd(), Source::Stream(End::Inner, key), Ready::WRITABLE);
        self.leave_entrance(pair.1);
        self.streams.on_their_way -= 1;
        self.is_awaited_no_more(key);
        self.streams.flows.change(key, |flow| Flow {
            pair,
            state: match flow.state {
                State::Held(held) => {
                    State::Open(Box::new(Open::new((held.outer, held.told), (inner, Ready::WRITABLE))))
                }
                other => other,
            },
        });
        match watched {
            Ok(()) => self.pump(key),
            Err(_) => drop(self.drop_stream(key)),
        }
    }

    /// Moves what one connection has to move.
    fn pump(&mut self, key: Key) {
        let Some(Flow { state: State::Open(open), .. }) = self.streams.flows.get_mut(key) else { return };
        let pumped = open.pump(&mut self.tools).and_then(|pumped| {
            for (end, socket) in open.newly_full() {
                watch_for_room(&self.epoll, socket, Source::Stream(end, key))?;
            }
            Ok(pumped)
        });
        match pumped {
            Ok(Pumped::Waiting) => {}
            Ok(Pumped::More) => self.streams.more.push(key),
            Ok(Pumped::Done) => self.part_in_peace(key),
            // Both ends hear of it by a reset.
            Err(errno) => {
                if let Some(flow) = self.streams.flows.get(key) {
                    self.trace.say(|| format!("{}: broken: {errno}", flow.named()));
                }
                drop(self.drop_stream(key));
            }
        }
    }

    /// Gives those a turn who had more to move.
    pub(super) fn pump_more(&mut self) {
        for key in std::mem::take(&mut self.streams.more) {
            self.pump(key);
        }
    }

    fn part_in_peace(&mut self, key: Key) {
        let Some(Flow { state: State::Open(open), .. }) = self.drop_stream(key) else { return };
        for socket in open.dissolve(&mut self.tools.pipes) {
            // What is still to be sent is sent.
            sockopt::set_socket_linger(&socket, None).ok();
        }
    }

    /// A connection has so long to become one of both sides.
    pub(super) fn is_awaited(&mut self, key: Key) {
        if let Some(due) = self.streams.flows.get(key).and_then(|flow| flow.state.due()) {
            self.timers.set(due, Duration::ZERO, Due::Stream(key));
        }
    }

    /// A connection that was given so long is one of both sides, or will not be one. A moment that was left would wake us for nothing, and
    /// keep memory of thousands that are gone.
    fn is_awaited_no_more(&mut self, key: Key) {
        if let Some(due) = self.streams.flows.get(key).and_then(|flow| flow.state.due()) {
            self.timers.forget(due, Due::Stream(key));
        }
    }

    /// Forgets a connection; whoever drops what comes back resets both sides.
    fn drop_stream(&mut self, key: Key) -> Option<Flow> {
        self.is_awaited_no_more(key);
        let flow = self.streams.flows.remove(key)?;
        if let State::Open(open) = &flow.state {
            let how = if open.is_done() { "ended" } else { "reset" };
            let (sent, received) = open.moved();
            self.trace.say(|| format!("{}: {how}; sent {sent} bytes, received {received}", flow.named()));
        }
        if self.streams.known.get(&flow.pair.into()) == Some(&key) {
            self.streams.known.remove(&flow.pair.into());
        }
        match &flow.state {
            State::Held(Held { is_entering, since, .. }) => {
                self.streams.on_their_way -= 1;
                self.streams.unanswered.remove(&(*since, key));
                if *is_entering {
                    self.leave_entrance(flow.pair.1);
                }
            }
            State::Arriving(Arriving { port, .. }) => self.one_arrived(*port),
            State::Open(_) => {}
        }
        self.accept_if_full();
        self.streams.give_back();
        Some(flow)
    }

    /// There may be a descriptor for one more by now.
    pub(super) fn accept_if_full(&mut self) {
        if std::mem::take(&mut self.streams.is_full) {
            self.accept_again();
        }
    }

    /// What waits for an answer has had its time.
    pub(super) fn stream_is_due(&mut self, key: Key) {
        let state = self.streams.flows.get(key).map(|flow| &flow.state);
        if matches!(state, Some(State::Held(_) | State::Arriving(_)))
            && let Some(flow) = self.drop_stream(key)
        {
            self.trace.say(|| format!("{}: given up, nobody answers", flow.named()));
        }
    }
}

/// Accepts a connection of the container's, and says whose it is.
fn accept(listener: &OwnedFd) -> Result<(OwnedFd, Pair), Errno> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let (inner, peer) = acceptfrom_with(listener, flags)?;
    let peer = SocketAddr::try_from(peer.ok_or(Errno::CONNABORTED)?)?;
    let here = getsockname(&inner).and_then(SocketAddr::try_from)?;
    Ok((inner, (plain(peer), plain(here))))
}

/// A connection to the host's side, on its way.
pub(super) fn connecting(to: SocketAddr) -> Result<(OwnedFd, Ready), Errno> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(Family::of(&to).domain(), SocketType::STREAM, flags, None)?;
    settle(&socket)?;
    let told = begin(&socket, &to)?;
    Ok((socket, told))
}

/// Begins to connect. What is on this very machine has answered by the time that the first packet is out, which is seen by asking again:
/// so nobody has to wait for being told.
fn begin(socket: &OwnedFd, to: &SocketAddr) -> Result<Ready, Errno> {
    match connect(socket, to) {
        Err(Errno::INPROGRESS) => match connect(socket, to) {
            Err(Errno::ALREADY) => Ok(Ready::default()),
            again => again.map(|()| Ready::WRITABLE),
        },
        connected => connected.map(|()| Ready::WRITABLE),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_not_answered_for_a_while_makes_way() {
        let (mut streams, begun) = (Streams::default(), Instant::now());
        let [first, second] = [1, 2].map(Key::from_bits);
        streams.unanswered.extend([(begun, first), (begun + UNANSWERED, second)]);
        assert_eq!(streams.makes_way(begun + UNANSWERED), Ok(None), "there is room");
        streams.on_their_way = CONNECTING;
        assert_eq!(streams.makes_way(begun), Err(Errno::NOBUFS));
        assert_eq!(streams.makes_way(begun + UNANSWERED), Ok(Some(first)));
        streams.unanswered.pop_first();
        assert_eq!(streams.makes_way(begun + UNANSWERED), Err(Errno::NOBUFS));
    }

    #[test]
    fn a_handshake_has_its_time() {
        let since = Instant::now();
        let held = |is_entering| {
            let outer = std::fs::File::open("/dev/null").unwrap().into();
            State::Held(Held { outer, told: Ready::default(), first: Box::default(), since, is_entering })
        };
        assert_eq!(held(true).due(), Some(since + ENTERING));
        // Whether the host's side answers its kernel knows.
        assert_eq!(held(false).due(), None);
    }
}
