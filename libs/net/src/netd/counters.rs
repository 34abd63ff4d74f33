//! What is counted is told to whoever was allowed to ask, which the supervisor has found out: it hands over the socket that the
//! answer goes to. An answer that there is no room for is lost.

use std::os::fd::{AsFd, OwnedFd};

use ctr_sys::net::options;
use rustix::net::{SendFlags, send};

use super::Netd;
use crate::counters::{Counters, FlowKind};

impl Netd {
    /// Says what was counted so far.
    pub(super) fn tell_counters(&mut self, to: &OwnedFd) {
        // The kernel tells how many it were since it was asked the last time.
        let missed = |tap: &Option<OwnedFd>| {
            let missed = tap.as_ref().and_then(|tap| options::missed_frames(tap.as_fd()).ok());
            u64::from(missed.unwrap_or_default())
        };
        self.counters.missed += missed(&self.router.tap);
        self.counters.missed_datagrams += missed(&self.router.datagrams);
        let mut counters = self.counters.clone();
        counters.captured = self.capture.so_far();
        for (kind, now) in self.flows() {
            counters.flows.entry(kind).or_default().now = u64::try_from(now).unwrap_or(u64::MAX);
        }
        if let Ok(answer) = serde_json::to_vec::<Counters>(&counters) {
            send(to, &answer, SendFlags::DONTWAIT | SendFlags::NOSIGNAL).ok();
        }
    }

    /// How many flows there are.
    fn flows(&self) -> [(FlowKind, usize); 4] {
        [
            (FlowKind::Tcp, self.streams.len() + self.tun.as_ref().map_or(0, |tun| tun.streams.len())),
            (FlowKind::Udp, self.datagrams.len()),
            (FlowKind::Echo, self.echoes.len()),
            (FlowKind::Name, self.questions.resolver.pending()),
        ]
    }
}
