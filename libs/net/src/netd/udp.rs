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
//! # Failure
//! What the network says of a datagram that went out is said to the container, as it would be without us: a refused port, no way.
//! A datagram for which there is no room is lost, which is what datagrams are.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use ctr_sys::net::datagram::{Arrival, BATCH, Refusal, next_refusal, receive, send};
use ctr_sys::net::options::{self, Family};
use rustix::io::Errno;
use rustix::net::{SocketFlags, SocketType, bind, connect, socket_with};

use super::pool::Kind;
use super::slab::{Key, Slab};
use super::tcp::Pair;
use super::timers::Due;
use super::{Netd, Source, plain};
use crate::policy::{Protocol, Verdict};
use crate::router::RESOLVER;
use crate::wire::{Datagram, Trouble, trouble};

/// Room for a datagram, or several that the kernel joined.
const SIZE: usize = 64 << 10;
/// How many pairs of addresses there may be.
const MOST: usize = 4096;
/// How many turns one socket gets at a time.
const TURNS: usize = 4;
/// The longest datagrams that the kernel cuts for us.
const LONGEST_SEGMENT: u16 = 1472;

/// Nobody has answered.
const ONE_WAY: Duration = Duration::from_secs(30);
/// Both have spoken.
const TWO_WAYS: Duration = Duration::from_secs(180);
/// A question of names that was answered.
const ANSWERED: Duration = Duration::from_secs(5);

/// A pair of addresses that exchanges datagrams.
#[derive(Debug)]
struct Near {
    socket: OwnedFd,
    pair: Pair,
    far: Key,
    /// Where it goes on the host's side.
    to: SocketAddr,
    last: Instant,
    is_answered: bool,
    /// How long the last datagram was.
    length: usize,
}

/// The host's side of one of the container's ports.
#[derive(Debug)]
struct Far {
    socket: OwnedFd,
    source: SocketAddr,
    /// How many pairs it has.
    pairs: usize,
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
            buffer: vec![0; BATCH * SIZE],
        }
    }
}

impl Netd {
    /// The catcher has datagrams that belong to no pair yet.
    pub(super) fn catch_datagrams(&mut self, family: Family) {
        let mut buffer = std::mem::take(&mut self.datagrams.buffer);
        for _ in 0..TURNS {
            let Some(ports) = self.ports(family) else { break };
            let mut arrivals = [None; BATCH];
            let Ok(count) = receive(ports.datagrams.as_fd(), &mut buffer, SIZE, &mut arrivals) else { break };
            for (arrival, bytes) in pieces(&arrivals, &buffer) {
                if let (Some(from), Some(to)) = (arrival.from, arrival.to) {
                    self.caught((plain(from), plain(to)), arrival, bytes);
                }
            }
            if count < BATCH {
                break;
            }
        }
        self.datagrams.buffer = buffer;
    }

    fn caught(&mut self, pair: Pair, arrival: &Arrival, bytes: &[u8]) {
        let key = match self.datagrams.by_pair.get(&pair) {
            Some(key) => Some(*key),
            None => self.begin_pair(pair, bytes.len()),
        };
        if let Some(key) = key {
            self.send_out(key, arrival.segment, bytes);
        }
    }

    /// The first datagram from an address to another: may it be?
    fn begin_pair(&mut self, pair: Pair, length: usize) -> Option<Key> {
        let to = match self.decide(Protocol::Udp, pair.0, pair.1) {
            Verdict::Connect(to) => to,
            Verdict::Reject(why) => {
                self.tell_of_datagram(pair, length, why.trouble());
                return None;
            }
            Verdict::Router | Verdict::Drop(_) => return None,
        };
        match self.pair(pair, to) {
            Ok(key) => key,
            Err(errno) => {
                self.tell_of_datagram(pair, length, trouble_of(errno)?);
                None
            }
        }
    }

    /// Makes a pair, with a host's side of its own or one that is there.
    fn pair(&mut self, pair: Pair, to: SocketAddr) -> Result<Option<Key>, Errno> {
        if self.datagrams.nears.len() >= MOST {
            return Ok(None);
        }
        let far = match self.datagrams.by_source.get(&pair.0) {
            Some(far) => *far,
            None => self.far(pair.0)?,
        };
        let near = self.near(pair);
        let near = match near {
            Ok(socket) => socket,
            Err(errno) => {
                self.leave_far(far);
                return Err(errno);
            }
        };
        if let Some(far) = self.datagrams.fars.get_mut(far) {
            far.pairs += 1;
        }
        let near = Near { socket: near, pair, far, to, last: self.now, is_answered: false, length: 0 };
        let key = self.datagrams.nears.insert(near);
        self.datagrams.by_pair.insert(pair, key);
        self.datagrams.by_answer.insert((far, to), key);
        if let Some(near) = self.datagrams.nears.get(key) {
            self.watch(near.socket.as_fd(), Source::Near(key))?;
        }
        self.timers.set(self.now, ONE_WAY, Due::Datagrams(key));
        Ok(Some(key))
    }

    fn near(&self, (container, remote): Pair) -> Result<OwnedFd, Errno> {
        let kind = Kind { family: Family::of(&remote), is_stream: false };
        let socket = self.pool.take(kind)?;
        bind(&socket, &remote)?;
        connect(&socket, &container)?;
        Ok(socket)
    }

    fn far(&mut self, source: SocketAddr) -> Result<Key, Errno> {
        let family = Family::of(&source);
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(family.domain(), SocketType::DGRAM, flags, None)?;
        options::keep_refusals(socket.as_fd(), family)?;
        // Where it is not known each datagram comes alone.
        options::join_datagrams(socket.as_fd()).ok();
        let key = self.datagrams.fars.insert(Far { socket, source, pairs: 0 });
        self.datagrams.by_source.insert(source, key);
        if let Some(far) = self.datagrams.fars.get(key) {
            self.watch(far.socket.as_fd(), Source::Far(key))?;
        }
        Ok(key)
    }

    /// From the container, by a socket of its own.
    pub(super) fn near_is_ready(&mut self, key: Key) {
        let mut buffer = std::mem::take(&mut self.datagrams.buffer);
        for _ in 0..TURNS {
            let Some(near) = self.datagrams.nears.get(key) else { break };
            let mut arrivals = [None; BATCH];
            // An error here is that the container has closed its port: there is nobody to tell.
            let Ok(count) = receive(near.socket.as_fd(), &mut buffer, SIZE, &mut arrivals) else { break };
            for (arrival, bytes) in pieces(&arrivals, &buffer) {
                self.send_out(key, arrival.segment, bytes);
            }
            if count < BATCH {
                break;
            }
        }
        self.datagrams.buffer = buffer;
    }

    fn send_out(&mut self, key: Key, segment: Option<u16>, bytes: &[u8]) {
        let Some(near) = self.datagrams.nears.get_mut(key) else { return };
        near.last = self.now;
        near.length = segment.map_or(bytes.len(), usize::from);
        let (far, to, pair, length) = (near.far, near.to, near.pair, near.length);
        let Some(socket) = self.datagrams.fars.get(far).map(|far| &far.socket) else { return };
        match send_all(socket, bytes, Some(&to), segment) {
            Ok(()) | Err(Errno::AGAIN) => {}
            Err(errno) => {
                // It may be what came of an earlier one.
                let told = self.hear_refusals(far);
                let Some(socket) = self.datagrams.fars.get(far).map(|far| &far.socket) else { return };
                match send_all(socket, bytes, Some(&to), segment) {
                    Err(again) if !told || again != errno => {
                        if let Some(what) = trouble_of(again) {
                            self.tell_of_datagram(pair, length, what);
                        }
                    }
                    _ => {}
                }
            }
        }
    }

    /// From outside.
    pub(super) fn far_is_ready(&mut self, key: Key) {
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
                if let Some(from) = arrival.from {
                    self.send_in(key, source, plain(from), arrival.segment, bytes);
                }
            }
            if count < BATCH {
                break;
            }
        }
        self.datagrams.buffer = buffer;
    }

    fn send_in(
        &mut self,
        far: Key,
        source: SocketAddr,
        from: SocketAddr,
        segment: Option<u16>,
        bytes: &[u8],
    ) {
        let key = match self.datagrams.by_answer.get(&(far, from)) {
            Some(key) => *key,
            None => match self.somebody_else(source, from) {
                Some(key) => key,
                None => return,
            },
        };
        let Some(near) = self.datagrams.nears.get_mut(key) else { return };
        near.last = self.now;
        near.is_answered = true;
        // That the container's port is closed is told of the one before. One for which there is no room is lost.
        if let Err(Errno::CONNREFUSED) = send_all(&near.socket, bytes, None, segment) {
            send_all(&near.socket, bytes, None, segment).ok();
        }
    }

    /// Somebody answers who was not asked.
    fn somebody_else(&mut self, source: SocketAddr, from: SocketAddr) -> Option<Key> {
        let seen = self.policy.appearance(from.ip()).address();
        if seen.is_ipv4() != source.is_ipv4() {
            return None;
        }
        self.pair((source, SocketAddr::new(seen, from.port())), from).ok().flatten()
    }

    /// Tells the container what the network said of its datagrams; whether it said anything.
    fn hear_refusals(&mut self, key: Key) -> bool {
        let mut heard = false;
        for _ in 0..BATCH {
            let Some(far) = self.datagrams.fars.get(key) else { return heard };
            let Ok(Some(Refusal { to, errno, mtu })) = next_refusal(far.socket.as_fd()) else { return heard };
            heard = true;
            let known = self.datagrams.by_answer.get(&(key, plain(to)));
            let Some(near) = known.and_then(|near| self.datagrams.nears.get(*near)) else { continue };
            let (pair, length) = (near.pair, near.length);
            if let Some(what) = mtu.map(Trouble::TooBig).or_else(|| trouble_of(errno)) {
                self.tell_of_datagram(pair, length, what);
            }
        }
        heard
    }

    /// Tells the container of trouble with a datagram. Of that itself nothing is left but how long it was.
    fn tell_of_datagram(&self, (source, destination): Pair, length: usize, what: Trouble) {
        const FORGOTTEN: [u8; LONGEST_SEGMENT as usize] = [0; LONGEST_SEGMENT as usize];
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

    /// A pair that has been silent goes; one that has not is looked at again.
    pub(super) fn pair_is_due(&mut self, key: Key) {
        let Some(near) = self.datagrams.nears.get(key) else { return };
        let patience = match (near.is_answered, near.pair.1.port()) {
            (true, RESOLVER) => ANSWERED,
            (true, _) => TWO_WAYS,
            (false, _) => ONE_WAY,
        };
        let silent = self.now.saturating_duration_since(near.last);
        if silent < patience {
            return self.timers.set(self.now, patience - silent, Due::Datagrams(key));
        }
        let (pair, far, to) = (near.pair, near.far, near.to);
        self.datagrams.nears.remove(key);
        self.datagrams.by_pair.remove(&pair);
        self.datagrams.by_answer.remove(&(far, to));
        if let Some(far) = self.datagrams.fars.get_mut(far) {
            far.pairs = far.pairs.saturating_sub(1);
        }
        self.leave_far(far);
    }

    /// The host's side goes with its last pair.
    fn leave_far(&mut self, key: Key) {
        if self.datagrams.fars.get(key).is_some_and(|far| far.pairs == 0)
            && let Some(far) = self.datagrams.fars.remove(key)
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
fn send_all(
    socket: &OwnedFd,
    bytes: &[u8],
    to: Option<&SocketAddr>,
    segment: Option<u16>,
) -> Result<(), Errno> {
    match segment {
        Some(length) if usize::from(length) < bytes.len() && length <= LONGEST_SEGMENT => {
            send(socket.as_fd(), bytes, to, segment)
        }
        Some(length) => {
            bytes.chunks(usize::from(length)).try_for_each(|one| send(socket.as_fd(), one, to, None))
        }
        None => send(socket.as_fd(), bytes, to, None),
    }
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
