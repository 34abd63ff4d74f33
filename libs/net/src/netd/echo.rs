//! Requests for an echo, where the host lets its user send some (`net.ipv4.ping_group_range`).
//!
//! Each series (who asks, whom, and its number) has a socket of the host's, which puts a number of its own on it. What comes
//! back is sent to the container with the number that it knows.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use ctr_sys::net::datagram::{BATCH, receive};
use ctr_sys::net::options::Family;
use rustix::io::Errno;
use rustix::net::{SendFlags, SocketFlags, SocketType, connect, ipproto, send, socket_with};

use super::slab::{Key, Slab};
use super::timers::Due;
use super::{Netd, Source};
use crate::counters::{FlowKind, Limit};
use crate::policy::{Protocol, Verdict};
use crate::wire::{Echo, Trouble, trouble};

/// How many series there may be.
const MOST: usize = 256;
/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(30);
/// Type, code, checksum, number and place in the series.
const HEADER: usize = 8;

/// Who asks whom, and the series' number.
type Series = (IpAddr, IpAddr, u16);

#[derive(Debug)]
struct Asked {
    socket: OwnedFd,
    series: Series,
    last: Instant,
}

/// All series.
#[derive(Debug, Default)]
pub(super) struct Echoes {
    asked: Slab<Asked>,
    by_series: HashMap<Series, Key>,
}

impl Echoes {
    /// How many series there are.
    pub(super) fn len(&self) -> usize {
        self.asked.len()
    }

    /// Whether there are as many as may be.
    fn are_many(&self) -> bool {
        self.len() >= MOST
    }
}

impl Netd {
    /// The tap has a request.
    pub(super) fn ask_for_echo(&mut self, echo: &Echo<'_>, frame: &[u8]) {
        let series = (echo.source, echo.destination, echo.id);
        let to = match self.decide(
            Protocol::Echo,
            SocketAddr::new(echo.source, 0),
            SocketAddr::new(echo.destination, 0),
        ) {
            Verdict::Connect(to) => to,
            Verdict::Reject(why) => return self.tell_of_echo(echo, frame, why.trouble()),
            Verdict::Router => return self.echo_of_gateway(echo),
            Verdict::Drop(_) => return,
        };
        let key = match self.echoes.by_series.get(&series) {
            Some(key) => *key,
            None if self.echoes.are_many() => return self.counters.hits(Limit::Echoes),
            None => match self.begin_series(series, to) {
                Ok(key) => key,
                Err(errno) => return self.tell_of_echo(echo, frame, trouble_of(errno)),
            },
        };
        let Some(asked) = self.echoes.asked.get_mut(key) else { return };
        asked.last = self.now;
        // Its number and its checksum are filled in by the kernel.
        let [high, low] = echo.sequence.to_be_bytes();
        let kind = if echo.source.is_ipv4() { 8 } else { 128 };
        let request = [&[kind, 0, 0, 0, 0, 0, high, low][..], echo.payload].concat();
        if let Err(errno) = send(&asked.socket, &request, SendFlags::DONTWAIT) {
            self.tell_of_echo(echo, frame, trouble_of(errno));
        }
    }

    fn begin_series(&mut self, series: Series, to: SocketAddr) -> Result<Key, Errno> {
        let family = Family::of(&to);
        let protocol = match family {
            Family::V4 => ipproto::ICMP,
            Family::V6 => ipproto::ICMPV6,
        };
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(family.domain(), SocketType::DGRAM, flags, Some(protocol))?;
        connect(&socket, &to)?;
        let key = self.echoes.asked.insert(Asked { socket, series, last: self.now });
        let asked = self.echoes.asked.get(key).ok_or(Errno::BADF)?;
        if let Err(errno) = self.watch(asked.socket.as_fd(), Source::Echo(key)) {
            self.echoes.asked.remove(key);
            return Err(errno);
        }
        self.echoes.by_series.insert(series, key);
        self.counters.begins(FlowKind::Echo, false);
        self.timers.set(self.now, PATIENCE, Due::Echo(key));
        Ok(key)
    }

    /// Answers came.
    pub(super) fn echo_is_ready(&mut self, key: Key) {
        let mut frames = std::mem::take(&mut self.frames);
        let mut arrivals = [None; BATCH];
        if let Some(asked) = self.echoes.asked.get(key)
            && receive(asked.socket.as_fd(), &mut frames, super::FRAME, &mut arrivals).is_ok()
        {
            let (source, destination, id) = asked.series;
            for (arrival, room) in arrivals.iter().flatten().zip(frames.chunks_exact(super::FRAME)) {
                let message = room.get(..arrival.length).unwrap_or_default();
                let Some((header, payload)) = message.split_first_chunk::<HEADER>() else { continue };
                let [kind, _, _, _, _, _, high, low] = *header;
                // A reply, of either protocol.
                if matches!(kind, 0 | 129) {
                    let sequence = u16::from_be_bytes([high, low]);
                    let echo = Echo { source, destination, id, sequence, payload };
                    if let Ok(packet) = echo.reply() {
                        self.send_inside(source, &packet);
                    }
                }
            }
        }
        self.frames = frames;
    }

    fn tell_of_echo(&self, echo: &Echo<'_>, frame: &[u8], what: Trouble) {
        if let Ok(packet) = trouble(self.gateway_of(echo.source), what, frame) {
            self.send_inside(echo.source, &packet);
        }
    }

    /// A series that has been silent goes.
    pub(super) fn echo_is_due(&mut self, key: Key) {
        let Some(asked) = self.echoes.asked.get(key) else { return };
        let silent = self.now.saturating_duration_since(asked.last);
        if silent < PATIENCE {
            return self.timers.set(self.now, PATIENCE - silent, Due::Echo(key));
        }
        if let Some(asked) = self.echoes.asked.remove(key) {
            self.echoes.by_series.remove(&asked.series);
        }
    }
}

const fn trouble_of(errno: Errno) -> Trouble {
    match errno {
        Errno::NETUNREACH | Errno::NETDOWN => Trouble::Network,
        // The host does not let its user ask (`net.ipv4.ping_group_range`).
        Errno::ACCESS | Errno::PERM => Trouble::Prohibited,
        _ => Trouble::Host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_so_many_series() {
        let (mut echoes, last) = (Echoes::default(), Instant::now());
        let series = ([10, 0, 2, 100].into(), [192, 0, 2, 1].into(), 7);
        while echoes.len() < MOST {
            assert!(!echoes.are_many());
            let socket = std::fs::File::open("/dev/null").unwrap().into();
            echoes.asked.insert(Asked { socket, series, last });
        }
        assert!(echoes.are_many());
    }
}
