//! Datagrams where the kernel cannot divert them: all that the container sends is read as frames, before any kernel has looked at it.
//!
//! So all is checked here that else the kernel checks: lengths, sums, that it is no piece of a datagram. What is sent in goes by sockets
//! as ever.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;

use ctr_sys::net::datagram::{BATCH, receive};
use rustix::io::Errno;

use super::{Said, TURNS};
use crate::netd::{FRAME, Netd, plain};
use crate::router::RESOLVER;
use crate::rung::Rung;
use crate::tap::Whole;
use crate::wire::Datagram;

impl Netd {
    /// The tap has datagrams; whether there may be more.
    pub(in crate::netd) fn see_datagrams(&mut self) -> bool {
        let mut frames = std::mem::take(&mut self.frames);
        let mut has_more = true;
        for _ in 0..TURNS {
            let mut arrivals = [None; BATCH];
            let tap = self.router.datagrams.as_ref().ok_or(Errno::AFNOSUPPORT);
            let received = tap.and_then(|tap| receive(tap.as_fd(), &mut frames, FRAME, &mut arrivals));
            let count = match received {
                // Said once of an interface that has gone: what came by it before is there still.
                Err(Errno::NETDOWN) => continue,
                received => received.unwrap_or(0),
            };
            for (arrival, room) in arrivals.iter().flatten().zip(frames.chunks_exact(FRAME)) {
                if let Some(frame) = room.get(..arrival.length).filter(|_| !arrival.cut) {
                    self.saw_datagram(frame, arrival.checksum_ready);
                }
            }
            has_more = count == BATCH;
            if !has_more {
                break;
            }
        }
        self.frames = frames;
        has_more
    }

    fn saw_datagram(&mut self, frame: &[u8], checksum_ready: bool) {
        let Some(whole) = Whole::of(frame) else { return };
        let datagram = match Datagram::parse(whole.packet, checksum_ready) {
            Ok(datagram) => datagram,
            Err(refused) => return self.counters.passes_over(refused),
        };
        let pair = (plain(datagram.source), plain(datagram.destination));
        if !self.is_of_the_router(pair.1) {
            self.caught(pair, Said { bytes: datagram.payload, segment: whole.segment, in_pieces: false });
        }
    }

    /// The router's own kernel gets it too, and answers for its network; at the gateway only who is asked for names does.
    fn is_of_the_router(&self, to: SocketAddr) -> bool {
        let is_link_local = |to: IpAddr| matches!(to, IpAddr::V6(six) if six.is_unicast_link_local());
        if self.inner.is_gateway(to.ip()) {
            return to.port() == RESOLVER;
        }
        self.inner.contains(to.ip()) || is_link_local(to.ip())
    }

    /// Whom a caller from outside looks like, of datagrams. Where there is no router an answer finds no way but to the container's own
    /// addresses.
    pub(super) fn datagrams_appear_from(&self, caller: IpAddr) -> IpAddr {
        let seen = self.policy.appearance(caller);
        if self.router.rung == Rung::Published { self.policy.at_home(seen) } else { seen }.address()
    }
}
