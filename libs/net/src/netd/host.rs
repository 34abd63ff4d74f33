//! A new flow is decided, to the host as it is now.
//!
//! The addresses that the host's alias stands for are asked of the kernel's routes when a flow to the alias begins, and not again for a while: so a change of the host's network
//! is followed, and nobody has to watch it.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::Netd;
use super::trace::Named;
use crate::host::addresses;
use crate::policy::{Protocol, Verdict};

/// How long what was found counts: a flood of first packets is no flood of questions.
const KEPT: Duration = Duration::from_secs(1);

impl Netd {
    /// What is to be done about a new flow, to the host as it is now.
    pub(super) fn decide(
        &mut self,
        protocol: Protocol,
        source: SocketAddr,
        destination: SocketAddr,
    ) -> Verdict {
        if self.inner.is_host(destination.ip()) && self.is_host_stale() {
            self.policy.set_host(addresses());
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
