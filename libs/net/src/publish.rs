//! Published ports: what `-p` means, and what of it a record keeps.
//!
//! ```text
//! [[ADDRESS:][PORT[-END]]:]CONTAINER[-END][/PROTOCOL[,PROTOCOL]]
//!    1.2.3.4    none or 0: random     as many as of the host    tcp, udp
//!    [::1]
//! ```
//!
//! The grammar and the texts of its errors are podman's, since scripts read them. It is wider by docker's `0:80`, and
//! narrower by SCTP, which nobody could serve. [`arrange`] makes one list of all that a container publishes, and finds what
//! contradicts itself before anything is bound.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, SocketAddr};

use ctr_core::limits;
use ctr_sys::monitor::ports::{self, LEADS, PLACE};
use serde::{Deserialize, Serialize};

mod arrange;
pub mod bind;
pub mod holder;
mod listed;
#[cfg(test)]
mod tests;

pub use arrange::arrange;
pub use listed::{Bound, bindings, each, listed};

/// What a published port carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

impl fmt::Display for Transport {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        })
    }
}

/// Whether two sockets of one port are in each other's way, by their addresses.
fn meet(one: IpAddr, other: IpAddr) -> bool {
    one == other || one.is_ipv4() == other.is_ipv4() && (one.is_unspecified() || other.is_unspecified())
}

/// Where a socket of the host's is bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// What it carries.
    pub transport: Transport,
    /// Its address and port.
    pub at: SocketAddr,
}

impl Place {
    /// Whether two sockets are in each other's way: of one port, unless each has an address of its own.
    #[must_use]
    pub fn meets(&self, other: &Self) -> bool {
        self.transport == other.transport
            && self.at.port() == other.at.port()
            && meet(self.at.ip(), other.at.ip())
    }

    /// As it is told to whoever serves it.
    #[must_use]
    pub fn to_bytes(self) -> [u8; PLACE] {
        ports::place(self.transport == Transport::Tcp, &self.at)
    }

    /// The same back.
    pub(crate) fn of(bytes: &[u8]) -> Option<Self> {
        let (is_stream, at) = ports::placed(bytes.try_into().ok()?)?;
        Some(Self { transport: if is_stream { Transport::Tcp } else { Transport::Udp }, at })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}", self.at, self.transport)
    }
}

/// Where a socket of the host's leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leads {
    /// The port inside.
    pub inside: u16,
    /// What it carries.
    pub transport: Transport,
}

impl Leads {
    /// In few bytes, since there may be thousands.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; LEADS] {
        let [low, high] = self.inside.to_le_bytes();
        [low, high, matches!(self.transport, Transport::Udp) as u8]
    }

    /// The same back.
    pub(crate) fn of(bytes: [u8; LEADS]) -> Option<Self> {
        let [low, high, transport] = bytes;
        let transport = [Transport::Tcp, Transport::Udp].get(usize::from(transport)).copied()?;
        Some(Self { inside: u16::from_le_bytes([low, high]), transport })
    }
}

/// Ports of the host that lead into a container, as podman's records and lists have them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mapping {
    /// The address on the host; none is all of them, of both families.
    #[serde(rename = "host_ip", with = "written")]
    pub address: Option<IpAddr>,
    /// The first port inside.
    #[serde(rename = "container_port")]
    pub inside: u16,
    /// The first port on the host; 0 is one that is yet to be chosen.
    #[serde(rename = "host_port")]
    pub outside: u16,
    /// How many, one after the other.
    #[serde(rename = "range")]
    pub count: u16,
    /// What they carry.
    #[serde(rename = "protocol")]
    pub transport: Transport,
}

impl Mapping {
    /// Each pair of a port on the host and one inside; where the first is yet to be chosen it is 0 in all of them.
    pub fn pairs(&self) -> impl Iterator<Item = (u16, u16)> + use<> {
        let Self { inside, outside, count, .. } = *self;
        (0..count).map(move |at| {
            let outside = if outside == 0 { 0 } else { outside.saturating_add(at) };
            (outside, inside.saturating_add(at))
        })
    }

    /// The port on the host that leads to one inside.
    #[must_use]
    pub fn leads_to(&self, inside: u16) -> Option<u16> {
        self.pairs().find(|pair| pair.1 == inside).map(|pair| pair.0)
    }
}

/// An address in a record: empty where there is none.
mod written {
    use std::net::IpAddr;

    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(address: &Option<IpAddr>, to: S) -> Result<S::Ok, S::Error> {
        match address {
            Some(address) => to.collect_str(address),
            None => to.serialize_str(""),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<IpAddr>, D::Error> {
        match String::deserialize(from)?.as_str() {
            "" => Ok(None),
            text => text.parse().map(Some).map_err(de::Error::custom),
        }
    }
}

/// What an exposed port carries; that there is SCTP is no error until it is to be published.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Carrier {
    /// SCTP.
    Sctp,
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

impl Carrier {
    /// As it is published.
    fn transport(self, port: u16) -> Result<Transport, PublishError> {
        match self {
            Self::Tcp => Ok(Transport::Tcp),
            Self::Udp => Ok(Transport::Udp),
            Self::Sctp => Err(PublishError::Sctp { port }),
        }
    }
}

impl fmt::Display for Carrier {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Sctp => "sctp",
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        })
    }
}

/// Ports that an image or `--expose` names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exposed {
    ports: BTreeSet<(Carrier, u16)>,
    /// How many were named, each as often as it was.
    named: usize,
}

impl Exposed {
    /// Adds what one `--expose`, or an image's own word, says.
    pub fn add(&mut self, text: &str) -> Result<(), PublishError> {
        let (ports, protocols) = match text.split_once('/') {
            None => (text, "tcp"),
            Some((_, protocols)) if protocols.contains('/') => return Err(PublishError::Protocols("expose")),
            Some(parts) => parts,
        };
        let (first, count) = range(ports).map_err(PublishError::Exposed)?;
        for carrier in carriers(protocols)? {
            self.named += usize::from(count);
            if self.named > limits::EXPOSED_PORTS {
                return Err(PublishError::TooManyExposed {});
            }
            self.ports.extend((0..count).map(|at| (carrier, first.saturating_add(at))));
        }
        Ok(())
    }

    /// Each of them once, in the order of lists.
    pub fn iter(&self) -> impl Iterator<Item = (Carrier, u16)> + '_ {
        self.ports.iter().copied()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ports.is_empty()
    }
}

/// What cannot be published. The texts are podman's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// More than one slash.
    #[error("invalid {0} format - protocol can only be specified once")]
    Protocols(&'static str),
    /// A bracket that nothing opened.
    #[error("invalid port format - IPv6 addresses must be enclosed by []")]
    Brackets {},
    /// Something else behind the bracket.
    #[error("invalid port format - IPv6 address must be followed by a colon (':')")]
    NoColon {},
    /// Two brackets.
    #[error("invalid port format - at most one IPv6 address can be specified in a --publish")]
    Addresses {},
    /// `[::1]:80`.
    #[error("invalid port format - must provide host and destination port if specifying an IP")]
    OnlyOnePort {},
    /// `[::1]:1:2:3`.
    #[error("invalid port format - when v6 address specified, must be [ipv6]:hostPort:ctrPort")]
    TooManyAfterAddress {},
    /// `1:2:3:4`.
    #[error("invalid port format - format is [[hostIP:]hostPort:]containerPort")]
    TooMany {},
    /// Nothing behind the last colon.
    #[error("must provide a non-empty container port to publish")]
    NoPort {},
    /// Nothing behind the slash.
    #[error("must provide a non-empty protocol to publish")]
    NoProtocol {},
    /// Nothing before the first of two colons.
    #[error("must provide a non-empty container host IP to publish")]
    NoAddress {},
    /// What is no address.
    #[error("cannot parse {0:?} as an IP address")]
    Address(String),
    /// A protocol that is not known.
    #[error("unrecognized protocol {0:?} in port mapping")]
    Protocol(String),
    /// SCTP, which is known and cannot be had.
    #[error("publishing port {port} with protocol sctp is not supported")]
    Sctp {
        /// The port inside.
        port: u16,
    },
    /// A range inside and one outside.
    #[error("host and container port ranges have different lengths: {outside} vs {inside}")]
    Lengths {
        /// How many outside.
        outside: u16,
        /// How many inside.
        inside: u16,
    },
    /// The port inside is none.
    #[error("parsing container port: {0}")]
    Inside(PortError),
    /// The port outside is none.
    #[error("parsing host port: {0}")]
    Outside(PortError),
    /// An exposed port is none.
    #[error("{0}")]
    Exposed(PortError),
    /// More than every port of every protocol several times.
    #[error("more than {max} ports are exposed", max = limits::EXPOSED_PORTS)]
    TooManyExposed {},
    /// One port on the host for two inside.
    #[error("conflicting port mappings for host port {port} (protocol {transport})")]
    Conflict {
        /// The first such port.
        port: u16,
        /// Of what.
        transport: Transport,
    },
}

/// What is no port and no range of ports.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PortError {
    /// More than two ends.
    #[error("invalid port format - port ranges are formatted as startPort-stopPort")]
    Ends {},
    /// Nothing before the dash.
    #[error("port numbers cannot be negative")]
    Negative {},
    /// Nothing behind it.
    #[error("must provide ending number for port range")]
    NoEnd {},
    /// The last one is not behind the first.
    #[error("the end port of a range must be higher than the start port - {end} is not higher than {start}")]
    Order {
        /// The first.
        start: u16,
        /// The last.
        end: u16,
    },
    /// Not a number.
    #[error("invalid port number: strconv.Atoi: parsing {0:?}: invalid syntax")]
    NotANumber(String),
    /// A number that no machine counts to.
    #[error("invalid port number: strconv.Atoi: parsing {0:?}: value out of range")]
    Huge(String),
    /// A number that is no port.
    #[error("port numbers must be between 1 and 65535 (inclusive), got {0}")]
    NoPort(i64),
}

/// What one `-p` says: a mapping for each protocol.
pub fn parse(text: &str) -> Result<Vec<Mapping>, PublishError> {
    let (ports, protocols) = match text.split_once('/') {
        None => (text, ""),
        Some((_, protocols)) if protocols.contains('/') => return Err(PublishError::Protocols("port")),
        Some(parts) => parts,
    };
    let (address, outside, inside) = split(ports)?;
    if inside.is_empty() {
        return Err(PublishError::NoPort {});
    }
    let (inside, count) = range(inside).map_err(PublishError::Inside)?;
    if protocols.is_empty() && text.contains('/') {
        return Err(PublishError::NoProtocol {});
    }
    let address = address.map(ip).transpose()?;
    let outside = match outside {
        None | Some("" | "0") => 0,
        Some(outside) => {
            let (outside, other) = range(outside).map_err(PublishError::Outside)?;
            if other != count {
                return Err(PublishError::Lengths { outside: other, inside: count });
            }
            outside
        }
    };
    let mapping = |carrier: Carrier| {
        let transport = carrier.transport(inside)?;
        Ok(Mapping { address, inside, outside, count, transport })
    };
    carriers(protocols)?.into_iter().map(mapping).collect()
}

/// Address and port of the host, and port inside.
type Parts<'a> = (Option<&'a str>, Option<&'a str>, &'a str);

fn split(text: &str) -> Result<Parts<'_>, PublishError> {
    if let Some((address, rest)) = text.split_once(']') {
        if rest.contains(']') {
            return Err(PublishError::Addresses {});
        }
        let address = address.strip_prefix('[').ok_or(PublishError::Brackets {})?;
        let rest = rest.strip_prefix(':').ok_or(PublishError::NoColon {})?;
        let (outside, inside) = rest.split_once(':').ok_or(PublishError::OnlyOnePort {})?;
        if inside.contains(':') {
            return Err(PublishError::TooManyAfterAddress {});
        }
        return Ok((Some(address), Some(outside), inside));
    }
    let mut parts = text.rsplitn(4, ':');
    let (inside, outside, address) = (parts.next().unwrap_or_default(), parts.next(), parts.next());
    if parts.next().is_some() {
        return Err(PublishError::TooMany {});
    }
    Ok((address, outside, inside))
}

fn ip(text: &str) -> Result<IpAddr, PublishError> {
    if text.is_empty() {
        return Err(PublishError::NoAddress {});
    }
    let address: IpAddr = text.parse().map_err(|_not_one| PublishError::Address(shown(text)))?;
    Ok(address.to_canonical())
}

/// The protocols of a list, each once.
fn carriers(text: &str) -> Result<BTreeSet<Carrier>, PublishError> {
    let carrier = |name: &str| match name.to_ascii_lowercase().as_str() {
        "" | "tcp" => Ok(Carrier::Tcp),
        "udp" => Ok(Carrier::Udp),
        "sctp" => Ok(Carrier::Sctp),
        _ => Err(PublishError::Protocol(shown(name))),
    };
    text.split(',').map(carrier).collect()
}

/// The first of a range, and how many they are.
fn range(text: &str) -> Result<(u16, u16), PortError> {
    let (start, end) = match text.split_once('-') {
        Some((_, end)) if end.contains('-') => return Err(PortError::Ends {}),
        Some((start, end)) => (start, Some(end)),
        None => (text, None),
    };
    if start.is_empty() {
        return Err(PortError::Negative {});
    }
    let start = port(start)?;
    match end {
        None => Ok((start, 1)),
        Some("") => Err(PortError::NoEnd {}),
        Some(end) => match port(end)? {
            end if end > start => Ok((start, end - start + 1)),
            end => Err(PortError::Order { start, end }),
        },
    }
}

fn port(text: &str) -> Result<u16, PortError> {
    let digits = text.strip_prefix('+').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(PortError::NotANumber(shown(text)));
    }
    let number: i64 = digits.parse().map_err(|_too_long| PortError::Huge(shown(text)))?;
    u16::try_from(number).ok().filter(|port| *port != 0).ok_or(PortError::NoPort(number))
}

/// As much of what was typed as an error needs.
fn shown(text: &str) -> String {
    text.chars().take(64).collect()
}
