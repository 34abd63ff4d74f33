//! The host as its neighbours see it: the addresses that it speaks from, which the host's alias stands for.
//!
//! They are asked of the kernel's routes when a flow to the alias begins, and not again for a while: so a change of the host's network
//! is followed, and nobody has to watch it.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use ctr_sys::net::options::Family;
use rustix::net::{SocketFlags, SocketType, connect, getsockname, socket_with};

use super::Netd;
use super::trace::Named;
use crate::policy::{HostAddresses, Protocol, Verdict};

/// How long what was found counts: a flood of first packets is no flood of questions.
const KEPT: Duration = Duration::from_secs(1);

/// Servers of the root of all names: where a default route leads to, if there is one. Nothing is sent there.
const FAR: [SocketAddr; 2] = [
    SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::new(198, 41, 0, 4)), 53),
    SocketAddr::new(IpAddr::V6(std::net::Ipv6Addr::new(0x2001, 0x503, 0xba3e, 0, 0, 0, 2, 0x30)), 53),
];

impl Netd {
    /// What is to be done about a new flow, to the host as it is now.
    pub(super) fn decide(
        &mut self,
        protocol: Protocol,
        source: SocketAddr,
        destination: SocketAddr,
    ) -> Verdict {
        if self.inner.is_host(destination.ip()) && self.is_host_stale() {
            let [v4, v6] = FAR.map(speaks_from);
            let v4 = v4.and_then(|address| if let IpAddr::V4(four) = address { Some(four) } else { None });
            let v6 = v6.and_then(|address| if let IpAddr::V6(six) = address { Some(six) } else { None });
            self.policy.set_host(HostAddresses { v4, v6 });
            self.host_found = Some(self.now);
        }
        let verdict = self.policy.decide(protocol, source, destination);
        if let Verdict::Reject(why) | Verdict::Drop(why) = verdict {
            self.counters.refuses(why);
        }
        let flow = Named::own(protocol, (source, destination));
        match verdict {
            Verdict::Connect(to) if to == destination => self.trace.say(|| format!("{flow}: allowed")),
            Verdict::Connect(to) => self.trace.say(|| format!("{flow}: allowed, to {to} of the host")),
            Verdict::Reject(why) => self.trace.say(|| format!("{flow}: refused: {why}")),
            Verdict::Drop(why) => self.trace.say(|| format!("{flow}: dropped without a word: {why}")),
            Verdict::Router => {}
        }
        verdict
    }

    fn is_host_stale(&self) -> bool {
        self.host_found.is_none_or(|found: Instant| self.now.duration_since(found) >= KEPT)
    }
}

/// From which address the host would send to another one; none where it has no way there.
fn speaks_from(to: SocketAddr) -> Option<IpAddr> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(Family::of(&to).domain(), SocketType::DGRAM, flags, None).ok()?;
    // A datagram's socket looks its way up, and that is all.
    connect(&socket, &to).ok()?;
    SocketAddr::try_from(getsockname(&socket).ok()?).ok().map(|own| own.ip())
}
