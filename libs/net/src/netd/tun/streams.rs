//! All connections of a device.
//!
//! ```text
//! first segment ──▶ held ──host's side answers──▶ stream ──both ended──▶ lingering, or gone
//!                    │ refused: the container gets the same answer
//! accepted on the host's side ──▶ arriving: a stream whose container has still to answer
//! ```
//! The container's first segment has no answer until the host's side has one, as by a router.

use std::collections::{BTreeSet, HashMap};
use std::io::IoSlice;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::epoll;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair, sockopt};

use super::super::pump::{End, Ready};
use super::super::slab::{Key, Slab};
use super::super::tcp::{Answer, CONNECTING, Pair, UNANSWERED, connecting};
use super::super::timers::Due;
use super::super::trace::Named;
use super::super::{Netd, Source};
use super::stream::{LOOK, Stream, Tools, WINDOW, write_segment};
use super::{Tun, chance, free_pair};
use crate::counters::{FlowKind, Limit};
use crate::policy::{Protocol, Verdict};
use crate::router::tun::MTU;
use crate::stack::{Endpoint, Opening, Phase};
use crate::wire::segment::{HEADER, Header, flag, start};
use crate::wire::{Segment, Unreachable, trouble};

/// How many bytes are kept of what the host's sockets have not taken, of all connections: what comes then comes again later.
const HELD: usize = 64 << 20;
/// How many connections may be over and still answer what is late.
const LINGERING: usize = 1024;
/// What was said in a turn and is still to be passed on, in its order: by which connection, and what.
pub(in crate::netd) type Said<'a> = Vec<(Key, &'a [u8])>;

/// One connection.
#[derive(Debug)]
struct Flow {
    pair: Pair,
    from_outside: bool,
    state: State,
    /// When it will be looked at.
    due: Option<Instant>,
    /// It was heard in this turn.
    is_heard: bool,
}

impl Flow {
    fn named(&self) -> Named {
        Named { protocol: Protocol::Tcp, pair: self.pair, from_outside: self.from_outside }
    }
}

#[derive(Debug)]
enum State {
    /// The container waits.
    Held {
        outer: OwnedFd,
        told: Ready,
        header: Header,
        frame: Box<[u8]>,
        since: Instant,
    },
    /// Somebody outside waits, who called a published port.
    Arriving {
        stream: Box<Stream>,
        port: Key,
    },
    /// The container's kernel has still to hear that there is a connection.
    Beginning(Box<Stream>),
    Open(Box<Stream>),
    /// Both have said all.
    Lingering(Box<Endpoint>),
}

impl State {
    fn stream(&mut self) -> Option<&mut Stream> {
        match self {
            Self::Arriving { stream, .. } | Self::Beginning(stream) | Self::Open(stream) => Some(stream),
            Self::Held { .. } | Self::Lingering(_) => None,
        }
    }

    const fn is_on_its_way(&self) -> bool {
        matches!(self, Self::Held { .. } | Self::Beginning(_))
    }
}

/// All of them.
#[derive(Debug)]
pub(in crate::netd) struct Streams {
    flows: Slab<Flow>,
    known: HashMap<Pair, Key>,
    /// How many of the container's are not open yet.
    on_their_way: usize,
    /// Those that the host's side has not answered, the oldest first.
    unanswered: BTreeSet<(Instant, Key)>,
    lingering: usize,
    /// How many bytes are kept.
    held: usize,
    /// What has something to say at the end of a turn.
    heard: Vec<Key>,
    /// Have more to do than one turn allows.
    more: Vec<Key>,
    /// What all share: only what was touched counts.
    buffer: Vec<u8>,
}

impl Default for Streams {
    fn default() -> Self {
        Self {
            flows: Slab::default(),
            known: HashMap::new(),
            on_their_way: 0,
            unanswered: BTreeSet::new(),
            lingering: 0,
            held: 0,
            heard: Vec::new(),
            more: Vec::new(),
            buffer: vec![0; LOOK],
        }
    }
}

impl Streams {
    pub(in crate::netd) const fn has_more(&self) -> bool {
        !self.more.is_empty()
    }

    /// How many there are.
    pub(in crate::netd) fn len(&self) -> usize {
        self.flows.len() - self.lingering
    }

    /// Nothing is left to be moved.
    pub(in crate::netd) fn are_over(&self) -> bool {
        self.len() == 0
    }
}

fn opening(remote: IpAddr) -> Opening {
    let headers = u32::from(start(remote)) + u32::try_from(HEADER).unwrap_or_default();
    Opening { first: chance(), mss: u16::try_from(MTU - headers).unwrap_or(u16::MAX), room: WINDOW }
}

impl Netd {
    /// The container says something in a connection, or begins one.
    pub(super) fn take_segment<'a>(&mut self, segment: &Segment<'a>, packet: &[u8], said: &mut Said<'a>) {
        let pair = (segment.source, segment.destination);
        let Some(tun) = &self.tun else { return };
        let known = tun.streams.known.get(&pair).copied();
        if let Some(key) = known {
            if !self.gives_way(key, &segment.header) {
                return self.hear_segment(key, segment, said);
            }
            self.drop_flow(key);
        }
        if segment.header.begins() {
            self.begin_flow(pair, segment, packet);
        } else if !segment.header.has(flag::RST) {
            self.refuse(segment);
        }
    }

    /// Tells the container that there is no such connection.
    fn refuse(&self, segment: &Segment<'_>) {
        if self.inner.container(segment.source.ip()) == Some(segment.source.ip()) {
            let refusal = segment.header.refusal(segment.payload.len());
            self.write_alone((segment.source, segment.destination), &refusal);
        }
    }

    fn write_alone(&self, pair: Pair, header: &Header) {
        if let Some(tun) = &self.tun {
            write_segment(tun.device(), pair, header, &[], 0);
        }
    }

    fn gives_way(&self, key: Key, header: &Header) -> bool {
        match self.flow(key).map(|flow| &flow.state) {
            Some(State::Lingering(endpoint)) => endpoint.gives_way(header),
            _ => false,
        }
    }

    fn flow(&self, key: Key) -> Option<&Flow> {
        self.tun.as_ref()?.streams.flows.get(key)
    }

    fn begin_flow(&mut self, pair: Pair, segment: &Segment<'_>, packet: &[u8]) {
        let verdict = self.decide(Protocol::Tcp, pair.0, pair.1);
        if let Verdict::Reject(why) = verdict {
            return self.refuse_first(segment, packet, &Answer::forbidden(why.trouble()));
        }
        if matches!(verdict, Verdict::Drop(_)) {
            return;
        }
        if !self.has_room() {
            self.has_no_room(pair, Limit::Descriptors);
            return self.refuse_first(segment, packet, &Answer::to(Errno::MFILE));
        }
        if !self.may_one_more_begin() {
            // Its clock brings it back.
            return self.has_no_room(pair, Limit::Connecting);
        }
        let Verdict::Connect(to) = verdict else { return self.begin_asker(pair, &segment.header) };
        self.counters.begins(FlowKind::Tcp, false);
        match connecting(to) {
            Ok((outer, told)) => {
                let (header, frame, since) = (segment.header, packet.into(), self.now);
                self.insert(pair, State::Held { outer, told, header, frame, since });
            }
            Err(errno) => {
                self.trace.say(|| format!("{}: not connected: {errno}", Named::own(Protocol::Tcp, pair)));
                self.refuse_first(segment, packet, &Answer::to(errno));
            }
        }
    }

    fn has_no_room(&mut self, pair: Pair, limit: Limit) {
        self.trace.say(|| format!("{}: there is no room for one more", Named::own(Protocol::Tcp, pair)));
        self.counters.hits(limit);
    }

    /// Whether there are not too many on their way, once the one that the host's side has not answered for the longest time is given up,
    /// if it had some: as by a router.
    fn may_one_more_begin(&mut self) -> bool {
        let Some(tun) = &self.tun else { return false };
        if tun.streams.on_their_way < CONNECTING {
            return true;
        }
        let oldest = tun.streams.unanswered.first().copied();
        let oldest = oldest.filter(|(since, _)| self.now.duration_since(*since) >= UNANSWERED);
        oldest.is_some_and(|(_, key)| self.drop_flow(key).is_some())
    }

    /// A connection to the gateway's resolver: its other end is here.
    fn begin_asker(&mut self, pair: Pair, header: &Header) {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let Ok((outer, asker)) = socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None) else {
            return;
        };
        if self.take_asker(asker, pair.0) {
            let endpoint = Endpoint::accept(header, opening(pair.1.ip()));
            let stream = Box::new(Stream::new(endpoint, outer, Ready::UNKNOWN));
            if let Some(key) = self.insert(pair, State::Beginning(stream)) {
                self.speak_flow(key);
            }
        }
    }

    fn insert(&mut self, pair: Pair, state: State) -> Option<Key> {
        let streams = &mut self.tun.as_mut()?.streams;
        streams.on_their_way += usize::from(state.is_on_its_way());
        let from_outside = matches!(state, State::Arriving { .. });
        let flow = Flow { pair, from_outside, state, due: None, is_heard: false };
        let since = if let State::Held { since, .. } = flow.state { Some(since) } else { None };
        let key = streams.flows.insert(flow);
        streams.known.insert(pair, key);
        streams.unanswered.extend(since.map(|since| (since, key)));
        self.watch_flow(key)
    }

    fn watch_flow(&mut self, key: Key) -> Option<Key> {
        let outer = match &self.flow(key)?.state {
            State::Held { outer, .. } => outer.as_fd(),
            State::Arriving { stream, .. } | State::Beginning(stream) | State::Open(stream) => stream.outer(),
            State::Lingering(_) => return None,
        };
        if self.watch_edges(outer, Source::Stream(End::Outer, key)).is_err() {
            self.drop_flow(key);
            return None;
        }
        Some(key)
    }

    /// Tells the container why there is no connection.
    fn refuse_first(&self, segment: &Segment<'_>, packet: &[u8], answer: &Answer) {
        match answer {
            Answer::Reset => self.refuse(segment),
            Answer::Tell(what) => {
                if let Ok(told) = trouble(self.gateway_of(segment.source.ip()), *what, packet) {
                    self.write_packet(&told);
                }
            }
            Answer::Silence => {}
        }
    }

    /// The host's side of a connection tells something.
    pub(in crate::netd) fn flow_is_ready(&mut self, key: Key, ready: Ready) {
        let Some(tun) = &mut self.tun else { return };
        let Some(flow) = tun.streams.flows.get_mut(key) else { return };
        if let State::Held { told, .. } = &mut flow.state {
            told.add(ready);
            return self.host_side_answered(key);
        }
        let is_arriving = matches!(flow.state, State::Arriving { .. });
        let Some(stream) = flow.state.stream() else { return };
        // Who called may be gone while the container has not answered: then there is nobody to answer.
        if is_arriving && let Err(errno) = ready.check(stream.outer()) {
            return self.break_flow(key, errno);
        }
        let before = stream.held();
        let told = stream.tell(ready);
        tun.streams.held = tun.streams.held - before + stream.held();
        match told {
            Ok(()) => self.speak_flow(key),
            Err(errno) => self.break_flow(key, errno),
        }
    }

    fn host_side_answered(&mut self, key: Key) {
        let Some(Flow { pair, state: State::Held { outer, told, .. }, .. }) = self.flow(key) else { return };
        let pair = *pair;
        match told.check(outer) {
            Ok(()) if told.writable => {}
            Ok(()) => return,
            Err(errno) => {
                let Some(flow) = self.drop_flow(key) else { return };
                self.trace.say(|| format!("{}: not connected: {errno}", flow.named()));
                let State::Held { frame, .. } = &flow.state else { return };
                // Its sum is of no matter any more.
                if let Ok(segment) = Segment::parse(frame, false) {
                    self.refuse_first(&segment, frame, &Answer::to(errno));
                }
                return;
            }
        }
        self.trace.say(|| format!("{}: connected", Named::own(Protocol::Tcp, pair)));
        let Some(tun) = &mut self.tun else { return };
        tun.streams.flows.change(key, |flow| match flow.state {
            State::Held { outer, told, header, since, .. } => {
                tun.streams.unanswered.remove(&(since, key));
                let endpoint = Endpoint::accept(&header, opening(pair.1.ip()));
                Flow { state: State::Beginning(Box::new(Stream::new(endpoint, outer, told))), ..flow }
            }
            _ => flow,
        });
        self.speak_flow(key);
    }

    /// A connection from outside, which the container is to have the other half of, as it is to see it.
    pub(in crate::netd) fn arrive_by_device(
        &mut self,
        (outer, peer): (OwnedFd, SocketAddr),
        pair: Pair,
        port: Key,
    ) {
        self.counters.begins(FlowKind::Tcp, true);
        self.trace.say(|| {
            let flow = Named { protocol: Protocol::Tcp, pair, from_outside: true };
            format!("{flow}: arrives, from {peer} of the host's side")
        });
        self.call(outer, pair, port);
    }

    fn call(&mut self, outer: OwnedFd, (callee, seen): Pair, port: Key) {
        // Who is not let in hears it by the reset that is the end of its socket.
        let Some(pair) = self.free_arrival(callee, seen) else { return };
        let endpoint = Endpoint::connect(opening(seen.ip()));
        let stream = Box::new(Stream::new(endpoint, outer, Ready::UNKNOWN));
        self.one_arrives(port);
        if let Some(key) = self.insert(pair, State::Arriving { stream, port }) {
            self.speak_flow(key);
        }
    }

    /// Where the caller's port is taken, by somebody who looks the same, another.
    fn free_arrival(&self, callee: SocketAddr, seen: SocketAddr) -> Option<Pair> {
        let Tun { streams, is_gone, .. } = self.tun.as_ref()?;
        if *is_gone || !self.has_room() {
            return None;
        }
        free_pair((callee, seen), |pair| !streams.known.contains_key(pair))
    }

    /// Many servers only listen at IPv4: then that is where the caller of IPv6 is led to, looking like the gateway.
    fn call_other_family(&mut self, flow: Flow) {
        let Flow { pair, state: State::Arriving { stream, port }, .. } = flow else { return };
        let Some(pair) = self.by_other_family(pair) else { return };
        let (_, outer) = stream.into_outer();
        epoll::delete(&self.epoll, &outer).ok();
        self.call(outer, pair, port);
    }

    fn hear_segment<'a>(&mut self, key: Key, segment: &Segment<'a>, said: &mut Said<'a>) {
        let now = self.since_device();
        let Some(tun) = &mut self.tun else { return };
        let streams = &mut tun.streams;
        let Some(flow) = streams.flows.get_mut(key) else { return };
        if !std::mem::replace(&mut flow.is_heard, true) {
            streams.heard.push(key);
        }
        let (heard, phase) = match &mut flow.state {
            State::Held { .. } => {
                // The same once more, or that nobody waits any longer.
                if segment.header.has(flag::RST) {
                    self.drop_flow(key);
                }
                return;
            }
            State::Lingering(endpoint) => {
                endpoint.receive(&segment.header, segment.payload.len(), 0, now);
                if endpoint.phase() != Phase::Lingering {
                    // The container's kernel knows nothing of it any more.
                    self.drop_flow(key);
                }
                return;
            }
            State::Arriving { stream, .. } | State::Beginning(stream) | State::Open(stream) => {
                // Others that are not heard are no reason not to hear one that is.
                let most = if stream.takes() { usize::MAX } else { HELD.saturating_sub(streams.held) };
                (stream.hear(segment, most, now), stream.endpoint.phase())
            }
        };
        if !heard.says.is_empty() {
            said.push((key, heard.says));
        }
        if phase == Phase::Broken {
            // What it said before that was said.
            let own: Vec<_> = said.extract_if(.., |(by, _)| *by == key).map(|(_, says)| says).collect();
            self.settle_flow(key, &own).ok();
            self.end_flow(key, &segment.header);
        } else if heard.opened {
            self.open_flow(key);
        }
    }

    /// The host's side of a connection hears what was said in this turn.
    fn settle_flow(&mut self, key: Key, said: &[&[u8]]) -> Result<(), Errno> {
        let Some(Tun { streams, .. }) = &mut self.tun else { return Ok(()) };
        let Some(stream) = streams.flows.get_mut(key).and_then(|flow| flow.state.stream()) else {
            return Ok(());
        };
        let said: Vec<IoSlice<'_>> = said.iter().map(|piece| IoSlice::new(piece)).collect();
        let before = stream.held();
        let settled = stream.settle(&said, &mut streams.buffer);
        streams.held = streams.held - before + stream.held();
        settled
    }

    fn open_flow(&mut self, key: Key) {
        let Some(tun) = &mut self.tun else { return };
        let streams = &mut tun.streams;
        let mut arrived = None;
        streams.flows.change(key, |flow| {
            let state = match flow.state {
                State::Beginning(stream) => {
                    streams.on_their_way -= 1;
                    State::Open(stream)
                }
                State::Arriving { stream, port } => {
                    arrived = Some(port);
                    State::Open(stream)
                }
                other => other,
            };
            Flow { state, ..flow }
        });
        if let Some(port) = arrived {
            self.one_arrived(port);
            if let Some(flow) = self.flow(key) {
                self.trace.say(|| format!("{}: connected", flow.named()));
            }
        }
    }

    /// The container has ended it, or has never wanted it.
    fn end_flow(&mut self, key: Key, header: &Header) {
        let Some(flow) = self.drop_flow(key) else { return };
        let is_refused = header.has(flag::RST) && matches!(flow.state, State::Arriving { .. });
        if is_refused {
            self.turn_away(flow, Errno::CONNREFUSED);
        }
        // Whatever else it was, the host's side ends with a reset.
    }

    /// Somebody inside says that what was sent did not arrive. It is what ends a first segment, as it would end a host's; to a connection
    /// it is no more than a rumour.
    pub(super) fn hear_unreachable(&mut self, told: &Unreachable<'_>) {
        let Ok(segment) = Segment::parse(told.about, false) else { return };
        let pair = (segment.destination, segment.source);
        let known = self.tun.as_ref().and_then(|tun| tun.streams.known.get(&pair).copied());
        let is_of_the_container = self.inner.container(told.source) == Some(told.source);
        let Some(key) = known.filter(|_| is_of_the_container) else { return };
        let asks = |flow: &Flow| match &flow.state {
            State::Arriving { stream, .. } => stream.endpoint.asks_with(segment.header.sequence),
            _ => false,
        };
        if self.flow(key).is_some_and(asks)
            && let Some(flow) = self.drop_flow(key)
        {
            self.turn_away(flow, if told.is_refused { Errno::CONNREFUSED } else { Errno::HOSTUNREACH });
        }
    }

    /// Who called is not let in, unless somebody listens at the other protocol of IP.
    fn turn_away(&mut self, flow: Flow, why: Errno) {
        if why == Errno::CONNREFUSED && flow.pair.0.is_ipv6() {
            return self.call_other_family(flow);
        }
        self.trace.say(|| format!("{}: not let in: {why}", flow.named()));
    }

    /// The host's side is broken: so is the container's.
    fn break_flow(&mut self, key: Key, errno: Errno) {
        if let Some(flow) = self.flow(key) {
            self.trace.say(|| format!("{}: broken: {errno}", flow.named()));
        }
        let Some(mut flow) = self.drop_flow(key) else { return };
        if let Some(stream) = flow.state.stream() {
            let reset = stream.endpoint.reset();
            self.write_alone(flow.pair, &reset);
        }
    }

    /// At the end of a turn: what came is passed on.
    pub(super) fn settle_streams(&mut self, mut said: Said<'_>) {
        let Some(tun) = &mut self.tun else { return };
        let heard = std::mem::take(&mut tun.streams.heard);
        for key in &heard {
            let own: Vec<_> = said.extract_if(.., |(by, _)| by == key).map(|(_, says)| says).collect();
            if let Err(errno) = self.settle_flow(*key, &own) {
                self.break_flow(*key, errno);
            }
        }
        if let Some(tun) = &mut self.tun {
            tun.streams.heard = heard;
        }
    }

    /// What came has its answers.
    pub(super) fn answer_streams(&mut self) {
        let Some(tun) = &mut self.tun else { return };
        for key in std::mem::take(&mut tun.streams.heard) {
            if let Some(flow) = self.tun.as_mut().and_then(|tun| tun.streams.flows.get_mut(key)) {
                flow.is_heard = false;
                self.speak_flow(key);
            }
        }
    }

    /// Gives those a turn who had more to move.
    pub(in crate::netd) fn move_more(&mut self) {
        let more = self.tun.as_mut().map(|tun| std::mem::take(&mut tun.streams.more));
        for key in more.unwrap_or_default() {
            self.speak_flow(key);
        }
    }

    /// Says to the container what a connection has to say.
    fn speak_flow(&mut self, key: Key) {
        let now = self.since_device();
        let Some(tun) = &mut self.tun else { return };
        let streams = &mut tun.streams;
        let Some(flow) = streams.flows.get_mut(key) else { return };
        let device = tun.device.as_fd();
        if let State::Lingering(endpoint) = &mut flow.state {
            while let Some(header) = endpoint.speak(now) {
                write_segment(device, flow.pair, &header, &[], 0);
            }
            return self.time_flow(key);
        }
        let Some(stream) = flow.state.stream() else { return };
        let mut tools = Tools { device, buffer: &mut streams.buffer, now };
        match stream.speak(flow.pair, &mut tools) {
            Ok(_) if stream.is_done() => self.part_flow(key),
            Ok(has_more) => {
                if has_more && !streams.more.contains(&key) {
                    streams.more.push(key);
                }
                self.time_flow(key);
            }
            Err(errno) => self.break_flow(key, errno),
        }
    }

    /// Both have said all: the host's side goes, and what is late may still be answered.
    fn part_flow(&mut self, key: Key) {
        let Some(flow) = self.drop_flow(key) else { return };
        let State::Open(stream) = flow.state else { return };
        let (endpoint, outer) = stream.into_outer();
        // What is still to be sent is sent.
        sockopt::set_socket_linger(&outer, None).ok();
        let Some(tun) = &mut self.tun else { return };
        if endpoint.phase() == Phase::Lingering && tun.streams.lingering < LINGERING {
            tun.streams.lingering += 1;
            let state = State::Lingering(Box::new(endpoint));
            let pair = flow.pair;
            let flow = Flow { pair, from_outside: flow.from_outside, state, due: None, is_heard: false };
            let key = tun.streams.flows.insert(flow);
            tun.streams.known.insert(pair, key);
            self.time_flow(key);
        }
    }

    /// Forgets a connection; whoever drops what comes back resets the host's side.
    fn drop_flow(&mut self, key: Key) -> Option<Flow> {
        let streams = &mut self.tun.as_mut()?.streams;
        let mut flow = streams.flows.remove(key)?;
        if let State::Open(stream) = &flow.state {
            let how = if stream.is_done() { "ended" } else { "reset" };
            let (sent, received) = stream.moved();
            self.trace.say(|| format!("{}: {how}; sent {sent} bytes, received {received}", flow.named()));
        }
        if streams.known.get(&flow.pair) == Some(&key) {
            streams.known.remove(&flow.pair);
        }
        streams.on_their_way -= usize::from(flow.state.is_on_its_way());
        streams.lingering -= usize::from(matches!(flow.state, State::Lingering(_)));
        if let Some(stream) = flow.state.stream() {
            streams.held -= stream.held();
        }
        if let State::Held { since, .. } = flow.state {
            streams.unanswered.remove(&(since, key));
        }
        if let State::Arriving { port, .. } = &flow.state {
            self.one_arrived(*port);
        }
        self.accept_if_full();
        Some(flow)
    }

    /// Has a connection looked at when its endpoint wants it, unless it is before that.
    fn time_flow(&mut self, key: Key) {
        let Some(tun) = &mut self.tun else { return };
        let Some(flow) = tun.streams.flows.get_mut(key) else { return };
        let deadline = match &flow.state {
            State::Held { .. } => None,
            State::Arriving { stream, .. } | State::Beginning(stream) | State::Open(stream) => {
                stream.endpoint.deadline()
            }
            State::Lingering(endpoint) => endpoint.deadline(),
        };
        let Some(at) = deadline.map(|deadline| tun.start + deadline) else { return };
        if flow.due.is_none_or(|due| at < due) {
            flow.due = Some(at);
            self.timers.set(self.now, at.saturating_duration_since(self.now), Due::Stream(key));
        }
    }

    /// A connection is to be looked at.
    pub(in crate::netd) fn flow_is_due(&mut self, key: Key) {
        let (now, at) = (self.since_device(), self.now);
        let Some(tun) = &mut self.tun else { return };
        let Some(flow) = tun.streams.flows.get_mut(key) else { return };
        // Of several that were set only the last one counts.
        if flow.due.is_none_or(|due| due > at) {
            return;
        }
        flow.due = None;
        let is_over = match &mut flow.state {
            State::Held { .. } => return,
            State::Arriving { stream, .. } | State::Beginning(stream) | State::Open(stream) => {
                stream.endpoint.expire(now);
                stream.endpoint.phase() == Phase::Broken
            }
            State::Lingering(endpoint) => {
                endpoint.expire(now);
                matches!(endpoint.phase(), Phase::Ended | Phase::Broken)
            }
        };
        if is_over {
            // Nobody has answered for long, or nothing is late any more.
            if let Some(flow) = self.drop_flow(key)
                && !matches!(flow.state, State::Lingering(_))
            {
                self.trace.say(|| format!("{}: given up, nobody answers", flow.named()));
            }
        } else {
            self.speak_flow(key);
        }
    }

    fn since_device(&self) -> Duration {
        self.tun.as_ref().map_or(Duration::ZERO, |tun| self.now.saturating_duration_since(tun.start))
    }

    /// There is no container at the other end of any of them.
    pub(super) fn drop_all_flows(&mut self) {
        let Some(tun) = &self.tun else { return };
        for key in tun.streams.flows.iter().map(|(key, _)| key).collect::<Vec<_>>() {
            self.drop_flow(key);
        }
    }

    /// The container is gone: what is not a connection of both sides is forgotten.
    pub(in crate::netd) fn keep_open_flows(&mut self) {
        let Some(tun) = &self.tun else { return };
        let others = tun.streams.flows.iter().filter(|(_, flow)| !matches!(flow.state, State::Open(_)));
        for key in others.map(|(key, _)| key).collect::<Vec<_>>() {
            self.drop_flow(key);
        }
    }
}
