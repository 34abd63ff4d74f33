//! The one place where a new flow is decided, and where it is decided whom a caller from outside looks like.
//!
//! Every first segment, datagram and echo of a container passes [`Policy::decide`] once, before anything is made on the
//! host. Its frames come from whoever is root in there, so the addresses are checked as if no kernel had: a packet
//! socket sees a frame for `127.0.0.1` that the kernel would have thrown away, and a socket of the host's would connect
//! to it.
//!
//! ```text
//! whose?      one family, the container's own address, ports that exist      else drop: who would be answered?
//! where to?   the gateway: its resolver; the host's loopback where it is that   else refuse, as a host without services
//!             the host's alias: its loopback where that is allowed, else the host's address in its network
//!             not this host, not many, not the own network, no metadata      else drop or unreachable
//!             the same of an IPv4 address within an IPv6 one
//! ```

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use serde::{Deserialize, Serialize};

use crate::address::{Inner, Prefix};
use crate::wire::Trouble;

mod host;
#[cfg(test)]
mod tests;

pub use host::{Families, HostAccess, HostAccessError, Ports};

/// Where a resolver listens.
pub const DNS: u16 = 53;

/// What carries a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// Requests for an echo, of either ICMP; ports mean nothing.
    Echo,
}

/// What is done about a new flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is made, on the host, to this address.
    Connect(SocketAddr),
    /// It is for the router's own kernel and sockets.
    Router,
    /// The sender is told: see [`Why::trouble`].
    Reject(Why),
    /// Nobody is told anything.
    Drop(Why),
}

/// Why there is no flow.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, thiserror::Error,
)]
pub enum Why {
    /// Its two addresses are of two families.
    #[error("addresses of two families")]
    Families,
    /// The sender says it is somebody else.
    #[error("not the container's address")]
    Source,
    /// A port is zero.
    #[error("port 0")]
    Port,
    /// "This network" and "this host": 0/8, ::/64.
    #[error("no address of a host")]
    Nowhere,
    /// The host's loopback.
    #[error("the host's loopback")]
    Loopback,
    /// Multicast, broadcast, and what is reserved for a time when they are not enough.
    #[error("not one host")]
    Many,
    /// Of one link, which is not that of the container.
    #[error("a link-local address")]
    LinkLocal,
    /// Where clouds hand out credentials.
    #[error("a metadata address")]
    Metadata,
    /// Nobody in the network has the address.
    #[error("nobody in this network")]
    Network,
    /// The gateway, which has no such service.
    #[error("not a service of the gateway")]
    Gateway,
    /// The host, which is not to be reached there.
    #[error("no access to the host")]
    Host,
    /// The network has none of this family.
    #[error("no network of this family")]
    Family,
}

impl Why {
    /// What its sender is told, where it is told; [`Trouble::Port`] is a reset for TCP.
    #[must_use]
    pub const fn trouble(self) -> Trouble {
        match self {
            Self::Gateway | Self::Host => Trouble::Port,
            Self::Network => Trouble::Host,
            _ => Trouble::Network,
        }
    }
}

/// What a user may decide.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Options {
    /// What of the host's loopback is there for the container.
    pub host_access: HostAccess,
    /// At which of the alias's addresses that is so.
    pub loopback_at_alias: Families,
    /// Which of the gateway's addresses stand for the host's loopback, but where its own resolver is (`pasta:--map-gw`).
    pub loopback_at_gateway: Families,
    /// Whether the addresses where clouds hand out credentials are reached.
    pub metadata: bool,
    /// The host's own addresses in its networks: what listens there the alias reaches without further rights, as every
    /// neighbour of the host does.
    pub host: HostAddresses,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            host_access: HostAccess::None,
            loopback_at_alias: Families::BOTH,
            loopback_at_gateway: Families::NONE,
            metadata: false,
            host: HostAddresses::default(),
        }
    }
}

/// The host's own addresses, as far as it has any.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostAddresses {
    /// Of IPv4.
    pub v4: Option<Ipv4Addr>,
    /// Of IPv6, of global scope.
    pub v6: Option<Ipv6Addr>,
}

impl HostAddresses {
    /// The one that most can reach: that of IPv4, as in podman's `/etc/hosts`.
    #[must_use]
    pub fn preferred(self) -> Option<IpAddr> {
        self.v4.map(IpAddr::V4).or(self.v6.map(IpAddr::V6))
    }
}

/// Addresses where clouds hand out credentials to whoever asks: `EC2` and others, its task and pod identities, `GCE`, Scaleway.
const METADATA: [IpAddr; 8] = [
    four(169, 254, 169, 254),
    four(169, 254, 170, 2),
    four(169, 254, 170, 23),
    four(169, 254, 42, 42),
    six([0xfd00, 0xec2, 0, 0x254]),
    six([0xfd00, 0xec2, 0, 0x23]),
    six([0xfd20, 0xce, 0, 0x254]),
    six([0xfd00, 0x42, 0, 0x42]),
];

const fn four(a: u8, b: u8, c: u8, d: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(a, b, c, d))
}

/// The first two groups and the last two.
const fn six([a, b, g, h]: [u16; 4]) -> IpAddr {
    IpAddr::V6(Ipv6Addr::new(a, b, 0, 0, 0, 0, g, h))
}

/// Whom a caller from outside looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Appearance {
    /// Itself.
    Itself(IpAddr),
    /// The host: it called from its loopback.
    Host(IpAddr),
    /// The gateway: what it is called outside is inside somebody else's name, or nobody's.
    Gateway(IpAddr),
}

impl Appearance {
    /// The address that the container sees.
    #[must_use]
    pub const fn address(self) -> IpAddr {
        match self {
            Self::Itself(address) | Self::Host(address) | Self::Gateway(address) => address,
        }
    }
}

/// Decides about the flows of one network.
#[derive(Clone, Debug)]
pub struct Policy {
    inner: Inner,
    options: Options,
    /// Those who may send: the addresses of the network's containers.
    sources: Vec<IpAddr>,
}

impl Policy {
    /// For a network with its one container.
    #[must_use]
    pub fn new(inner: Inner, options: Options) -> Self {
        let sources = std::iter::once(inner.v4.container.into())
            .chain(inner.v6.map(|v6| v6.container.into()))
            .collect();
        Self { inner, options, sources }
    }

    /// The network's addresses.
    #[must_use]
    pub const fn inner(&self) -> &Inner {
        &self.inner
    }

    /// The host's addresses have changed.
    pub const fn set_host(&mut self, host: HostAddresses) {
        self.options.host = host;
    }

    /// What is to be done about a new flow.
    #[must_use]
    pub fn decide(&self, protocol: Protocol, source: SocketAddr, destination: SocketAddr) -> Verdict {
        if source.is_ipv4() != destination.is_ipv4() {
            return Verdict::Drop(Why::Families);
        }
        if !self.sources.contains(&source.ip()) {
            return Verdict::Drop(Why::Source);
        }
        if protocol != Protocol::Echo && (source.port() == 0 || destination.port() == 0) {
            return Verdict::Drop(Why::Port);
        }
        let to = destination.ip();
        if self.inner.is_gateway(to) {
            return self.to_gateway(protocol, destination);
        }
        if self.inner.is_host(to) {
            return self.to_host(protocol, destination);
        }
        match self.forbids(to) {
            None => Verdict::Connect(destination),
            // A host would not send these at all, or answer nobody.
            Some(why @ (Why::Nowhere | Why::Loopback | Why::Many)) => Verdict::Drop(why),
            Some(why) => Verdict::Reject(why),
        }
    }

    fn to_gateway(&self, protocol: Protocol, destination: SocketAddr) -> Verdict {
        let port = destination.port();
        if protocol == Protocol::Echo || port == DNS {
            return Verdict::Router;
        }
        if self.options.loopback_at_gateway.has(destination.ip()) {
            return Verdict::Connect((loopback(destination), port).into());
        }
        Verdict::Reject(Why::Gateway)
    }

    /// A flow to the host's alias. The address is made here, from nothing that the container said but the port.
    fn to_host(&self, protocol: Protocol, destination: SocketAddr) -> Verdict {
        let port = destination.port();
        let own = match destination {
            SocketAddr::V4(_) => self.options.host.v4.map(IpAddr::V4),
            SocketAddr::V6(_) => self.options.host.v6.map(IpAddr::V6),
        };
        let is_loopback =
            self.options.host_access.allows(port) && self.options.loopback_at_alias.has(destination.ip());
        // An echo of the loopback tells nothing of it.
        if protocol == Protocol::Echo || is_loopback {
            return Verdict::Connect((loopback(destination), port).into());
        }
        // One that happens to be within the inner network is the host's all the same, where it is connected to.
        let is_fit = |own: &IpAddr| matches!(self.forbids(*own), None | Some(Why::Network));
        match own.filter(is_fit) {
            Some(own) => Verdict::Connect((own, port).into()),
            None => Verdict::Reject(Why::Host),
        }
    }

    /// Why nothing may be sent to an address, of those that are neither the gateway's nor the host's.
    fn forbids(&self, to: IpAddr) -> Option<Why> {
        match to {
            IpAddr::V4(four) => self.forbids4(four),
            IpAddr::V6(six) => self.forbids6(six),
        }
    }

    fn forbids4(&self, to: Ipv4Addr) -> Option<Why> {
        let [first, ..] = to.octets();
        match first {
            0 => return Some(Why::Nowhere),
            127 => return Some(Why::Loopback),
            224.. => return Some(Why::Many),
            _ => {}
        }
        let network = &self.inner.v4.network;
        if network.contains(to.into()) {
            return Some(if network.last() == IpAddr::V4(to) { Why::Many } else { Why::Network });
        }
        if METADATA.contains(&to.into()) {
            return (!self.options.metadata).then_some(Why::Metadata);
        }
        to.is_link_local().then_some(Why::LinkLocal)
    }

    fn forbids6(&self, to: Ipv6Addr) -> Option<Why> {
        let Some(v6) = self.inner.v6 else { return Some(Why::Family) };
        if to.is_loopback() {
            return Some(Why::Loopback);
        }
        // All of ::/64: no address at all, mapped and compatible IPv4 addresses, and those of translators.
        if to.to_bits() >> 64 == 0 {
            return Some(Why::Nowhere);
        }
        if to.is_multicast() {
            return Some(Why::Many);
        }
        if to.is_unicast_link_local() {
            return Some(Why::LinkLocal);
        }
        if v6.network.contains(to.into()) {
            return Some(Why::Network);
        }
        if METADATA.contains(&to.into()) {
            return (!self.options.metadata).then_some(Why::Metadata);
        }
        embedded(to).and_then(|four| self.forbids4(four))
    }

    /// Whom a caller from outside looks like to the container; one without IPv6 sees callers of IPv6 as its gateway.
    #[must_use]
    pub fn appearance(&self, caller: IpAddr) -> Appearance {
        let caller = caller.to_canonical();
        let gateway = Appearance::Gateway(self.inner.gateway(caller).unwrap_or(self.inner.v4.gateway.into()));
        if caller.is_loopback() {
            return self.inner.host(caller).map_or(gateway, Appearance::Host);
        }
        let is_nobody = match caller {
            IpAddr::V4(four) => four.octets()[0] == 0 || four.octets()[0] >= 224,
            IpAddr::V6(six) => {
                self.inner.v6.is_none()
                    || six.to_bits() >> 64 == 0
                    || six.is_multicast()
                    || six.is_unicast_link_local()
            }
        };
        if is_nobody || self.is_namesake(caller) {
            return gateway;
        }
        Appearance::Itself(caller)
    }

    /// Whether the address of a caller from outside means somebody in the container's own network.
    #[must_use]
    pub fn is_namesake(&self, caller: IpAddr) -> bool {
        let caller = caller.to_canonical();
        self.inner.contains(caller) || self.inner.is_host(caller)
    }

    /// The same of a caller who has to have an address of the network's.
    #[must_use]
    pub fn at_home(&self, seen: Appearance) -> Appearance {
        match seen {
            Appearance::Itself(caller) => {
                Appearance::Gateway(self.inner.gateway(caller).unwrap_or(self.inner.v4.gateway.into()))
            }
            Appearance::Host(_) | Appearance::Gateway(_) => seen,
        }
    }

    /// Which of the container's addresses a caller from outside is led to, of one that has both.
    #[must_use]
    pub fn callee(&self, caller: IpAddr) -> IpAddr {
        self.inner.container(caller.to_canonical()).unwrap_or(self.inner.v4.container.into())
    }

    /// Whom a caller of IPv6 looks like to a container that only listens at its address of IPv4, and that address.
    #[must_use]
    pub fn translated(&self, caller: Ipv6Addr) -> (Ipv4Addr, Ipv4Addr) {
        let v4 = &self.inner.v4;
        (if caller.is_loopback() { v4.host } else { v4.gateway }, v4.container)
    }
}

/// The host's loopback of an address's family.
const fn loopback(of: SocketAddr) -> IpAddr {
    match of {
        SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
        SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
    }
}

/// The IPv4 address that a translator or a tunnel on the way would take out of an IPv6 one: NAT64 (RFC 6052, RFC 8215)
/// and 6to4 (RFC 3056).
fn embedded(to: Ipv6Addr) -> Option<Ipv4Addr> {
    let [_, _, a, b, c, d, ..] = to.octets();
    let [.., w, x, y, z] = to.octets();
    match to.segments() {
        [0x2002, ..] => Some(Ipv4Addr::new(a, b, c, d)),
        [0x64, 0xff9b, 0, 0, 0, 0, ..] | [0x64, 0xff9b, 1, ..] => Some(Ipv4Addr::new(w, x, y, z)),
        _ => None,
    }
}

/// What the router's own rules can drop before `netd` sees it: a part of what [`Policy`] drops anyway.
pub const MARTIANS: [Prefix; 4] = [
    Prefix::four([0, 0, 0, 0], 8),
    Prefix::four([127, 0, 0, 0], 8),
    Prefix::four([224, 0, 0, 0], 3),
    Prefix::six([0, 0, 0, 0], 64),
];
