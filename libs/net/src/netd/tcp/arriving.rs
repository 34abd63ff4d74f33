//! Connections from outside, to published ports: the host has made its half when we hear of it, and the container's is made to match.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use ctr_sys::net::options::Family;
use rustix::io::Errno;
use rustix::net::{SocketFlags, acceptfrom_with, bind, getpeername};

use super::{Flow, Netd, Pair, State, TURN, begin};
use crate::counters::FlowKind;
use crate::netd::pool::Kind;
use crate::netd::pump::{End, Open, Ready};
use crate::netd::slab::Key;
use crate::netd::trace::Named;
use crate::netd::{Source, plain};
use crate::policy::Protocol;

/// How long the container may take to answer one.
const PATIENCE: Duration = Duration::from_secs(30);

/// A socket, and what was told of it.
type Told = (OwnedFd, Ready);

/// A connection from outside that the container has not taken yet.
#[derive(Debug)]
pub(super) struct Arriving {
    pub(super) outer: Told,
    pub(super) inner: Told,
    /// The published port that it is for.
    pub(super) port: Key,
    /// When the container has had its time.
    pub(super) due: Instant,
}

impl Netd {
    /// Takes connections from outside, which are for a port of the container's.
    pub(in crate::netd) fn accept_arrivals(&mut self, published: Key) {
        for _ in 0..TURN {
            if self.is_crowded(published) {
                return;
            }
            if !self.has_room() {
                return self.stop_accepting();
            }
            let Some((listener, inside)) = self.published.stream(published) else { return };
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            match acceptfrom_with(listener, flags) {
                Ok((outer, Some(peer))) => {
                    if let Ok(peer) = SocketAddr::try_from(peer) {
                        self.arrive(outer, plain(peer), (published, inside));
                    }
                }
                Ok((_, None)) => {}
                Err(Errno::AGAIN) => return,
                Err(Errno::MFILE | Errno::NFILE) => return self.stop_accepting(),
                // It was gone before we came.
                Err(_) => {}
            }
        }
    }

    /// Somebody outside has a connection, and the container is to have the other half.
    fn arrive(&mut self, outer: OwnedFd, peer: SocketAddr, (port, inside): (Key, u16)) {
        let callee = SocketAddr::new(self.policy.callee(peer.ip()), inside);
        let seen = SocketAddr::new(self.policy.appearance(peer.ip()).address(), peer.port());
        self.tell_of_namesake(peer.ip());
        // Who is not let in hears it by the reset that is the end of its socket.
        if self.tun.is_some() {
            return self.arrive_by_device((outer, peer), (callee, seen), port);
        }
        let named = |pair| Named { protocol: Protocol::Tcp, pair, from_outside: true };
        self.trace.say(|| format!("{}: arrives, from {peer} of the host's side", named((callee, seen))));
        self.counters.begins(FlowKind::Tcp, true);
        let (inner, pair) = match self.reaching_in_by_any((callee, seen)) {
            Ok(reached) => reached,
            Err(errno) => {
                return self.trace.say(|| format!("{}: not let in: {errno}", named((callee, seen))));
            }
        };
        let told = inner.1;
        // Who has called has something to say, most of the time.
        let arriving = Arriving { outer: (outer, Ready::UNKNOWN), inner, port, due: self.now + PATIENCE };
        let flow = Flow { pair, state: State::Arriving(arriving) };
        let key = self.streams.flows.insert(flow);
        self.one_arrives(port);
        let watched = match self.streams.flows.get(key).map(|flow| &flow.state) {
            Some(State::Arriving(Arriving { outer, inner, .. })) => self
                .watch_told(outer.0.as_fd(), Source::Stream(End::Outer, key), outer.1)
                .and_then(|()| self.watch_told(inner.0.as_fd(), Source::Stream(End::Inner, key), told)),
            _ => Ok(()),
        };
        if watched.is_err() {
            self.drop_stream(key);
        } else if told.writable {
            self.let_in(key);
        } else {
            self.is_awaited(key);
        }
    }

    /// A connection to the container, by IPv4 if by IPv6 there is nobody.
    fn reaching_in_by_any(&self, (callee, seen): Pair) -> Result<(Told, Pair), Errno> {
        match (self.reaching_in(seen, callee), self.by_other_family((callee, seen))) {
            (Err(Errno::CONNREFUSED), Some((callee, seen))) => {
                self.reaching_in(seen, callee).map(|(inner, seen)| (inner, (callee, seen)))
            }
            (reached, _) => reached.map(|(inner, seen)| (inner, (callee, seen))),
        }
    }

    /// A connection to the container on its way, from an address that it is to see. Where the port is taken, by somebody who
    /// looks the same, it comes from another.
    fn reaching_in(&self, seen: SocketAddr, callee: SocketAddr) -> Result<(Told, SocketAddr), Errno> {
        let kind = Kind { family: Family::of(&callee), is_stream: true };
        let from = |seen: SocketAddr| {
            let socket = self.pool.take(kind)?;
            bind(&socket, &seen)?;
            let told = begin(&socket, &callee)?;
            Ok(((socket, told), seen))
        };
        match from(seen) {
            Err(Errno::ADDRINUSE | Errno::ADDRNOTAVAIL) => from(SocketAddr::new(seen.ip(), 0)),
            reached => reached,
        }
    }

    /// Who called may be gone while the container has not answered: then there is nobody to answer.
    pub(super) fn caller_is_ready(&mut self, key: Key) {
        let Some(State::Arriving(Arriving { outer, .. })) =
            self.streams.flows.get(key).map(|flow| &flow.state)
        else {
            return;
        };
        if outer.1.check(&outer.0).is_err() {
            self.drop_stream(key);
        }
    }

    pub(super) fn container_answered(&mut self, key: Key) {
        let Some(Flow { pair, state: State::Arriving(Arriving { inner, .. }) }) = self.streams.flows.get(key)
        else {
            return;
        };
        match inner.1.check(&inner.0) {
            // What was told may be of the socket before this one.
            Ok(()) if inner.1.writable && getpeername(&inner.0).is_ok() => self.let_in(key),
            Ok(()) => {}
            Err(Errno::CONNREFUSED) if pair.0.is_ipv6() => self.arrive_by_other_family(key),
            // The caller's socket ends with a reset, as all of ours.
            Err(errno) => {
                if let Some(flow) = self.drop_stream(key) {
                    self.trace.say(|| format!("{}: not let in: {errno}", flow.named()));
                }
            }
        }
    }

    /// Both halves are there.
    fn let_in(&mut self, key: Key) {
        let Some(State::Arriving(Arriving { port, .. })) =
            self.streams.flows.get(key).map(|flow| &flow.state)
        else {
            return;
        };
        self.one_arrived(*port);
        self.is_awaited_no_more(key);
        self.streams.flows.change(key, |flow| match flow.state {
            State::Arriving(Arriving { outer, inner, .. }) => Flow {
                pair: flow.pair,
                state: State::Open(Box::new(Open::new(outer, inner).begun_outside())),
            },
            state => Flow { pair: flow.pair, state },
        });
        if let Some(flow) = self.streams.flows.get(key) {
            self.trace.say(|| format!("{}: connected", flow.named()));
        }
        self.pump(key);
    }

    /// The container's address of IPv4 and whom a caller of IPv6 looks like there.
    pub(in crate::netd) fn by_other_family(&self, (callee, seen): Pair) -> Option<Pair> {
        let IpAddr::V6(caller) = seen.ip() else { return None };
        let is_host = self.policy.inner().is_host(caller.into());
        let (caller, container) = self.policy.translated(if is_host { Ipv6Addr::LOCALHOST } else { caller });
        Some((SocketAddr::new(container.into(), callee.port()), SocketAddr::new(caller.into(), seen.port())))
    }

    /// Many servers only listen at IPv4: then that is where the caller of IPv6 is led to, looking like the gateway.
    fn arrive_by_other_family(&mut self, key: Key) {
        let Some(Flow { pair, .. }) = self.streams.flows.get(key) else { return };
        let Some((callee, seen)) = self.by_other_family(*pair) else { return };
        let Ok((inner, seen)) = self.reaching_in(seen, callee) else { return drop(self.drop_stream(key)) };
        let told = inner.1;
        if self.watch_told(inner.0.as_fd(), Source::Stream(End::Inner, key), told).is_err() {
            return drop(self.drop_stream(key));
        }
        self.streams.flows.change(key, |flow| match flow.state {
            State::Arriving(arriving) => {
                Flow { pair: (callee, seen), state: State::Arriving(Arriving { inner, ..arriving }) }
            }
            state => Flow { pair: flow.pair, state },
        });
        if told.writable {
            self.let_in(key);
        }
    }
}
