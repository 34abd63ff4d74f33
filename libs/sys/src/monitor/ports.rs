//! Published ports as they go from a client to a monitor, and from that to who serves the network.
//!
//! ```text
//! PUBLISH   three bytes for each socket beside it: the port inside, the low byte first, and what it carries
//! WITHDRAW  where a socket is bound, [`PLACE`] bytes
//! ```

use core::net::{IpAddr, SocketAddr};

use rustix::fd::BorrowedFd;
use rustix::net::{SocketType, getsockname, sockopt};

/// More ports.
pub const PUBLISH: u8 = b'P';
/// One port less.
pub const WITHDRAW: u8 = b'W';

/// What is said of each socket.
pub const LEADS: usize = 3;

/// How long the description of a place is: what it carries, 4 or 6, the port, the address.
pub const PLACE: usize = 20;

/// The description of a place; a stream's or not.
#[must_use]
pub fn place(is_stream: bool, at: &SocketAddr) -> [u8; PLACE] {
    let mut place = [0; PLACE];
    let [low, high] = at.port().to_le_bytes();
    let (family, address) = match at.ip() {
        IpAddr::V4(four) => (4, four.to_ipv6_mapped().octets()),
        IpAddr::V6(six) => (6, six.octets()),
    };
    place[..4].copy_from_slice(&[u8::from(!is_stream), family, low, high]);
    place[4..].copy_from_slice(&address);
    place
}

/// What a description says, as [`place`] takes it.
#[must_use]
pub fn placed(bytes: &[u8; PLACE]) -> Option<(bool, SocketAddr)> {
    let [kind, family, low, high, address @ ..] = *bytes;
    let six = core::net::Ipv6Addr::from(address);
    let ip = match family {
        4 => IpAddr::V4(six.to_ipv4_mapped()?),
        6 => IpAddr::V6(six),
        _ => return None,
    };
    (kind <= 1).then_some((kind == 0, SocketAddr::new(ip, u16::from_le_bytes([low, high]))))
}

/// Where a socket is bound; nothing of what is none.
pub(super) fn place_of(socket: BorrowedFd<'_>) -> Option<[u8; PLACE]> {
    let at = SocketAddr::try_from(getsockname(socket).ok()?).ok()?;
    Some(place(sockopt::socket_type(socket).ok()? == SocketType::STREAM, &at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_as_it_was_written() {
        for (is_stream, at) in [(true, "127.0.0.1:80"), (false, "[::]:53"), (true, "[2001:db8::1]:65535")] {
            let at = at.parse().unwrap();
            assert_eq!(placed(&place(is_stream, &at)), Some((is_stream, at)));
        }
        assert_eq!(placed(&[9; PLACE]), None);
        assert_eq!(placed(&[0; PLACE]), None);
    }
}
