//! The addresses inside a network. They are fixed and know nothing of the host's, so that a container starts with no
//! interface up and goes on through another Wi-Fi, a VPN or a suspend.
//!
//! ```text
//! 10.0.2.0/24   .1 gateway and resolver   .100 container     169.254.1.2     the host, from inside
//! fd00::/64     ::1                       ::100              fd00:0:0:1::2
//! ```
//!
//! The host's aliases lie outside of the subnets: the container sends what is for them to its gateway, and nobody has
//! to answer ARP or neighbour solicitations in their name.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A text or a number that is no prefix, or one that a network cannot have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Not `ADDRESS/LENGTH`.
    #[error("{0:?} is not a network like 10.0.2.0/24")]
    NotAPrefix(String),
    /// The length is beyond that of the address.
    #[error("a prefix of {address} has no {length} bits")]
    TooLong {
        /// The address.
        address: IpAddr,
        /// The length that was asked for.
        length: u8,
    },
    /// The network has no room for a gateway and a container, or is not one for containers.
    #[error("{0} is not a network for containers")]
    Unfit(Prefix),
    /// An address is not within its network, or is somebody else's.
    #[error("{address} cannot be a container's address in {network}")]
    Outside {
        /// The address.
        address: IpAddr,
        /// The network.
        network: Prefix,
    },
}

/// An address with its insignificant bits zero, and how many of them are significant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Prefix {
    address: IpAddr,
    length: u8,
}

impl Prefix {
    /// The prefix of an address; the other bits are cleared.
    pub fn new(address: IpAddr, length: u8) -> Result<Self, AddressError> {
        let too_long = AddressError::TooLong { address, length };
        let address = match address {
            IpAddr::V4(four) if length <= 32 => Ipv4Addr::from_bits(four.to_bits() & mask4(length)).into(),
            IpAddr::V6(six) if length <= 128 => Ipv6Addr::from_bits(six.to_bits() & mask6(length)).into(),
            _ => return Err(too_long),
        };
        Ok(Self { address, length })
    }

    /// A prefix that is written in the source.
    pub(crate) const fn four(address: [u8; 4], length: u8) -> Self {
        let [a, b, c, d] = address;
        Self { address: IpAddr::V4(Ipv4Addr::new(a, b, c, d)), length }
    }

    /// The same of IPv6: its first four groups.
    pub(crate) const fn six(groups: [u16; 4], length: u8) -> Self {
        let [a, b, c, d] = groups;
        Self { address: IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0)), length }
    }

    /// The first address.
    #[must_use]
    pub const fn address(&self) -> IpAddr {
        self.address
    }

    /// How many bits are significant.
    #[must_use]
    pub const fn length(&self) -> u8 {
        self.length
    }

    /// The last address: of an IPv4 network the one that is for all in it.
    #[must_use]
    pub const fn last(&self) -> IpAddr {
        match self.address {
            IpAddr::V4(first) => IpAddr::V4(Ipv4Addr::from_bits(first.to_bits() | !mask4(self.length))),
            IpAddr::V6(first) => IpAddr::V6(Ipv6Addr::from_bits(first.to_bits() | !mask6(self.length))),
        }
    }

    /// Whether an address is of the prefix; one of the other family never is, not even in its mapped form.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(own), IpAddr::V4(other)) => other.to_bits() & mask4(self.length) == own.to_bits(),
            (IpAddr::V6(own), IpAddr::V6(other)) => other.to_bits() & mask6(self.length) == own.to_bits(),
            _ => false,
        }
    }

    /// Whether two prefixes have an address in common.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        self.contains(other.address) || other.contains(self.address)
    }
}

const fn mask4(length: u8) -> u32 {
    if length == 0 { 0 } else { u32::MAX << (32 - length) }
}

const fn mask6(length: u8) -> u128 {
    if length == 0 { 0 } else { u128::MAX << (128 - length) }
}

impl fmt::Display for Prefix {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}", self.address, self.length)
    }
}

impl FromStr for Prefix {
    type Err = AddressError;

    /// `10.0.2.0/24`; an address alone is that one address.
    fn from_str(text: &str) -> Result<Self, AddressError> {
        let wrong = || AddressError::NotAPrefix(text.chars().take(64).collect());
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_not_one| wrong())?;
        let length = match length {
            // "+8" and "08" would be numbers too.
            Some(length) if length.starts_with(|c: char| !c.is_ascii_digit()) => return Err(wrong()),
            Some(length) if length.len() > 1 && length.starts_with('0') => return Err(wrong()),
            Some(length) => length.parse().map_err(|_not_one| wrong())?,
            None if address.is_ipv4() => 32,
            None => 128,
        };
        Self::new(address, length)
    }
}

/// One family's addresses in a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Family<A> {
    /// All of the network's own.
    pub network: Prefix,
    /// The router's, which is the resolver's too.
    pub gateway: A,
    /// The container's; of several, the first one's.
    pub container: A,
    /// What inside means the host.
    pub host: A,
}

/// The addresses of a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inner {
    /// Those of IPv4.
    pub v4: Family<Ipv4Addr>,
    /// Those of IPv6, unless the kernel or the user has none of it.
    pub v6: Option<Family<Ipv6Addr>>,
}

/// The smallest network that has room for a gateway, a container, and the first and last address.
const LONGEST: u8 = 30;

/// Where the container is in its network, as with slirp4netns.
const CONTAINER: u32 = 100;

impl Default for Inner {
    fn default() -> Self {
        Self {
            v4: Family {
                network: Prefix::four([10, 0, 2, 0], 24),
                gateway: Ipv4Addr::new(10, 0, 2, 1),
                container: Ipv4Addr::new(10, 0, 2, 100),
                host: Ipv4Addr::new(169, 254, 1, 2),
            },
            v6: Some(Family {
                network: Prefix::six([0xfd00, 0, 0, 0], 64),
                gateway: Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1),
                container: Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 0x100),
                host: Ipv6Addr::new(0xfd00, 0, 0, 1, 0, 0, 0, 2),
            }),
        }
    }
}

impl Inner {
    /// The same with another IPv4 network: its first address is the gateway, its hundredth the container, or the second
    /// where there are not so many.
    pub fn with_v4(self, network: Prefix) -> Result<Self, AddressError> {
        let unfit = AddressError::Unfit(network);
        let IpAddr::V4(first) = network.address() else { return Err(unfit) };
        let kept = [
            Prefix::four([0, 0, 0, 0], 8),
            Prefix::four([127, 0, 0, 0], 8),
            Prefix::four([169, 254, 0, 0], 16),
            Prefix::four([224, 0, 0, 0], 3),
        ];
        if network.length() > LONGEST || kept.iter().any(|kept| kept.overlaps(&network)) {
            return Err(unfit);
        }
        let last = first.to_bits() | !mask4(network.length());
        let wished = first.to_bits() + CONTAINER;
        let container = if wished < last { wished } else { first.to_bits() + 2 };
        let v4 = Family {
            network,
            gateway: Ipv4Addr::from_bits(first.to_bits() + 1),
            container: Ipv4Addr::from_bits(container),
            host: self.v4.host,
        };
        Ok(Self { v4, ..self })
    }

    /// The same with the address that was asked for the container (`--ip`, `--ip6`).
    pub fn with_container(self, address: IpAddr) -> Result<Self, AddressError> {
        let network = match (address, self.v6) {
            (IpAddr::V6(_), Some(v6)) => v6.network,
            _ => self.v4.network,
        };
        let reserved = self.is_gateway(address)
            || address == network.address()
            || address.is_ipv4() && address == network.last();
        if reserved || !network.contains(address) {
            return Err(AddressError::Outside { address, network });
        }
        Ok(match (address, self.v6) {
            (IpAddr::V4(container), _) => Self { v4: Family { container, ..self.v4 }, ..self },
            (IpAddr::V6(container), v6) => Self { v6: v6.map(|v6| Family { container, ..v6 }), ..self },
        })
    }

    /// Whether an address is the router's.
    #[must_use]
    pub fn is_gateway(&self, address: IpAddr) -> bool {
        self.gateway(address) == Some(address)
    }

    /// Whether an address is what inside means the host.
    #[must_use]
    pub fn is_host(&self, address: IpAddr) -> bool {
        self.host(address) == Some(address)
    }

    /// Whether an address is of the network.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        self.v4.network.contains(address) || self.v6.is_some_and(|v6| v6.network.contains(address))
    }

    /// The router's address of the family of `like`.
    #[must_use]
    pub fn gateway(&self, like: IpAddr) -> Option<IpAddr> {
        match like {
            IpAddr::V4(_) => Some(self.v4.gateway.into()),
            IpAddr::V6(_) => self.v6.map(|v6| v6.gateway.into()),
        }
    }

    /// The host's alias of the family of `like`.
    #[must_use]
    pub fn host(&self, like: IpAddr) -> Option<IpAddr> {
        match like {
            IpAddr::V4(_) => Some(self.v4.host.into()),
            IpAddr::V6(_) => self.v6.map(|v6| v6.host.into()),
        }
    }

    /// The container's address of the family of `like`.
    #[must_use]
    pub fn container(&self, like: IpAddr) -> Option<IpAddr> {
        match like {
            IpAddr::V4(_) => Some(self.v4.container.into()),
            IpAddr::V6(_) => self.v6.map(|v6| v6.container.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn prefix(text: &str) -> Prefix {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn a_prefix_contains_its_own_family_s_addresses_and_no_others() {
        for (text, inside, outside) in [
            ("10.0.2.0/24", "10.0.2.255", "10.0.3.0"),
            ("0.0.0.0/0", "255.255.255.255", "::"),
            ("10.0.2.7/32", "10.0.2.7", "10.0.2.6"),
            ("fd00::/64", "fd00::ffff:ffff:ffff:ffff", "fd00:0:0:1::"),
            ("::/0", "ffff::", "1.2.3.4"),
            ("::ffff:0.0.0.0/96", "::ffff:127.0.0.1", "127.0.0.1"),
        ] {
            let prefix = prefix(text);
            assert_eq!(prefix.to_string(), text);
            assert!(prefix.contains(inside.parse().unwrap()), "{inside} in {text}");
            assert!(!prefix.contains(outside.parse().unwrap()), "{outside} in {text}");
        }
        assert_eq!(prefix("10.0.2.99/24"), prefix("10.0.2.0/24"));
        assert_eq!(prefix("10.0.2.99").to_string(), "10.0.2.99/32");
        assert_eq!(prefix("fd00::1").length(), 128);
    }

    #[test]
    fn what_is_no_prefix_is_refused() {
        for text in
            ["", "/", "10.0.2.0/", "10.0.2.0/33", "::/129", "10.0.2/24", "x/8", "1.2.3.4/+8", "1.2.3.4/08"]
        {
            assert!(text.parse::<Prefix>().is_err(), "{text}");
        }
    }

    #[test]
    fn another_network_has_its_gateway_and_container_where_they_are_looked_for() {
        let inner = |text| Inner::default().with_v4(prefix(text));
        assert_eq!(inner("10.0.2.0/24"), Ok(Inner::default()));
        let small = inner("192.168.7.8/30").unwrap().v4;
        assert_eq!(
            (small.gateway.to_string(), small.container.to_string()),
            ("192.168.7.9".into(), "192.168.7.10".into())
        );
        assert_eq!(inner("172.16.0.0/12").unwrap().v4.container, Ipv4Addr::new(172, 16, 0, 100));
        for unfit in [
            "10.0.0.0/31",
            "127.1.0.0/16",
            "0.0.0.0/0",
            "224.0.0.0/8",
            "fd00::/64",
            "169.254.1.0/24",
            "128.0.0.0/1",
        ] {
            assert!(inner(unfit).is_err(), "{unfit}");
        }
    }

    #[test]
    fn a_container_s_own_address_is_one_of_its_network_that_nobody_else_has() {
        let at = |text: &str| Inner::default().with_container(text.parse().unwrap());
        assert_eq!(at("10.0.2.7").unwrap().v4.container, Ipv4Addr::new(10, 0, 2, 7));
        assert_eq!(at("fd00::7").unwrap().v6.unwrap().container, "fd00::7".parse::<Ipv6Addr>().unwrap());
        for taken in ["10.0.2.0", "10.0.2.1", "10.0.2.255", "10.0.3.1", "fd00::", "fd00::1", "fd01::7"] {
            assert!(at(taken).is_err(), "{taken}");
        }
        let four = Inner { v6: None, ..Inner::default() };
        assert!(four.with_container("fd00::7".parse().unwrap()).is_err());
    }

    proptest! {
        #[test]
        fn a_prefix_is_read_back_as_it_is_written(bits: u128, length in 0u8..=128, four: bool) {
            let address: IpAddr = if four {
                let [.., a, b, c, d] = bits.to_be_bytes();
                Ipv4Addr::new(a, b, c, d).into()
            } else {
                Ipv6Addr::from_bits(bits).into()
            };
            let length = if four { length / 4 } else { length };
            let prefix = Prefix::new(address, length).unwrap();
            prop_assert!(prefix.contains(address));
            prop_assert_eq!(prefix.to_string().parse::<Prefix>().unwrap(), prefix);
        }
    }
}
