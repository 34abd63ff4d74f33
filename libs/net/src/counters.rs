//! What a network has carried and refused, as whoever serves it counts it and whoever asks is told.
//!
//! Bytes and packets are not here: the kernel counts those at the container's interface, also while nobody serves. What is here
//! begins anew with each process that serves ([`crate::netd`]), which counts as it goes and adds up nothing.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::policy::Why;
use crate::wire::Refused;

/// All of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Counters {
    /// What goes through the network.
    pub flows: BTreeMap<FlowKind, Flows>,
    /// What the policy did not let through: first packets, by the reason.
    pub refused: BTreeMap<Why, u64>,
    /// First packets that no host would take, by what is wrong with them.
    pub malformed: BTreeMap<Refused, u64>,
    /// How often there was no room for one more.
    pub limits: BTreeMap<Limit, u64>,
    /// First packets that came faster than they were read; those of connections come again.
    pub missed: u64,
    /// Datagrams that did, where they are read one by one (`mode=listen`): those are lost.
    #[serde(default)]
    pub missed_datagrams: u64,
    /// What became of frames that somebody wants to have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub captured: Option<Captured>,
}

/// What of the container's frames is in a file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Captured {
    /// So many are.
    pub frames: u64,
    /// So many came faster than they could be written.
    pub missed: u64,
    /// Why there are no more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<String>,
}

/// What a flow is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum FlowKind {
    /// A connection.
    Tcp,
    /// Two addresses that exchange datagrams.
    Udp,
    /// A series of requests for an echo.
    Echo,
    /// A question to the network's resolver.
    Name,
}

/// How many flows of a kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Flows {
    /// There are.
    pub now: u64,
    /// There have ever been.
    pub ever: u64,
    /// Of those, how many somebody outside began, at a published port or as somebody who was not asked.
    pub from_outside: u64,
}

/// What there is only so much of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Limit {
    /// The process's descriptors.
    Descriptors,
    /// Connections of the container's that are on their way.
    Connecting,
    /// Connections from outside that the container has not taken yet.
    Arriving,
    /// Pairs of addresses that exchange datagrams.
    Datagrams,
    /// Those of them that somebody outside began.
    DatagramsFromOutside,
    /// Series of requests for an echo.
    Echoes,
    /// Connections that ask for names.
    Askers,
}

impl Counters {
    /// A flow begins.
    pub(crate) fn begins(&mut self, kind: FlowKind, from_outside: bool) {
        let flows = self.flows.entry(kind).or_default();
        flows.ever += 1;
        flows.from_outside += u64::from(from_outside);
    }

    /// The policy is against one.
    pub(crate) fn refuses(&mut self, why: Why) {
        *self.refused.entry(why).or_default() += 1;
    }

    /// A first packet is none.
    pub(crate) fn passes_over(&mut self, refused: Refused) {
        *self.malformed.entry(refused).or_default() += 1;
    }

    /// There is no room for something.
    pub(crate) fn hits(&mut self, limit: Limit) {
        *self.limits.entry(limit).or_default() += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_told_by_name() {
        let mut counters = Counters::default();
        counters.begins(FlowKind::Tcp, false);
        counters.begins(FlowKind::Tcp, true);
        counters.refuses(Why::Loopback);
        counters.passes_over(Refused::Checksum);
        counters.hits(Limit::Connecting);
        let told = serde_json::to_string(&counters).unwrap();
        assert_eq!(
            told,
            r#"{"Flows":{"Tcp":{"Now":0,"Ever":2,"FromOutside":1}},"Refused":{"Loopback":1},"Malformed":{"Checksum":1},"Limits":{"Connecting":1},"Missed":0,"MissedDatagrams":0}"#
        );
        assert_eq!(serde_json::from_str::<Counters>(&told).unwrap(), counters);
    }
}
