//! Published and exposed ports as lists and `inspect` show them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use serde::Serialize;

use super::{Carrier, Exposed, Mapping, Transport};

/// An end on the host, as `inspect` has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Bound {
    /// The address; where none was asked for, all of IPv4, as podman says it.
    #[serde(rename = "HostIp")]
    pub address: String,
    /// The port.
    #[serde(rename = "HostPort")]
    pub port: String,
}

/// The address as it is shown.
fn address(mapping: &Mapping) -> IpAddr {
    mapping.address.unwrap_or(Ipv4Addr::UNSPECIFIED.into())
}

/// Each port of a mapping: the one inside, and its end on the host.
pub fn each(mapping: &Mapping) -> impl Iterator<Item = (u16, Bound)> + use<> {
    let address = address(mapping).to_string();
    mapping
        .pairs()
        .map(move |(outside, inside)| (inside, Bound { address: address.clone(), port: outside.to_string() }))
}

/// Ends on the host by `80/tcp`.
#[must_use]
pub fn bindings(mappings: &[Mapping]) -> BTreeMap<String, Vec<Bound>> {
    let mut all: BTreeMap<String, Vec<Bound>> = BTreeMap::new();
    for mapping in mappings {
        for (inside, bound) in each(mapping) {
            all.entry(format!("{inside}/{}", mapping.transport)).or_default().push(bound);
        }
    }
    all
}

/// The cell of a list: `0.0.0.0:8080->80/tcp, 443/tcp`.
#[must_use]
pub fn listed(mappings: &[Mapping], exposed: &Exposed) -> String {
    let mut words = Vec::new();
    let mut published = BTreeSet::new();
    for mapping in mappings {
        let outside = ports(mapping.outside, mapping.count);
        let inside = ports(mapping.inside, mapping.count);
        words.push(format!("{}:{outside}->{inside}/{}", address(mapping), mapping.transport));
        let carrier = match mapping.transport {
            Transport::Tcp => Carrier::Tcp,
            Transport::Udp => Carrier::Udp,
        };
        published.extend(mapping.pairs().map(|(_, inside)| (carrier, inside)));
    }
    let mut runs: Vec<(Carrier, u16, u16)> = Vec::new();
    for (carrier, port) in exposed.iter().filter(|one| !published.contains(one)) {
        match runs.last_mut() {
            Some(run) if run.0 == carrier && run.1.checked_add(run.2) == Some(port) => run.2 += 1,
            _ => runs.push((carrier, port, 1)),
        }
    }
    words
        .extend(runs.into_iter().map(|(carrier, first, count)| format!("{}/{carrier}", ports(first, count))));
    words.join(", ")
}

fn ports(first: u16, count: u16) -> String {
    match count {
        0 | 1 => first.to_string(),
        _ => format!("{first}-{}", first.saturating_add(count - 1)),
    }
}
