//! Frames, read and built: IPv4 and IPv6, TCP, UDP and ICMP.
//!
//! What is read here was sent by a container's root from a raw socket and seen by a packet socket before the kernel
//! looked at it, so nothing is true that is not checked: lengths lie within the frame, headers are bounded in number,
//! sums add up. A frame that a host would drop is refused with a reason that can be counted ([`Refused`]).
//!
//! ```text
//! frame ──ip::Packet── one of ──tcp──> Syn     ──> reset, or kept and sent on with its sums made whole
//!                              ──segment─> Segment ──> what a connection in user space lives on
//!                              ──udp──> Datagram
//!                              ──icmp─> Echo    ──> reply
//!                              ──icmp─> Unreachable ──> which packet of ours it was
//!                      any of them     ──icmp──> unreachable, too big
//!       ──pieces─> the frame that it was a piece of
//! ```
//!
//! Frames begin with the IP header: a packet socket of the kind `SOCK_DGRAM` and a TUN have no other.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

pub mod checksum;
pub mod icmp;
pub mod ip;
pub mod offload;
pub mod pieces;
pub mod segment;
pub mod tcp;
pub mod udp;

pub use icmp::{Echo, Trouble, Unreachable, trouble};
pub use offload::Offload;
pub use pieces::Pieces;
pub use segment::Segment;
pub use tcp::{Syn, with_checksums};
pub use udp::Datagram;

/// Why a frame is not for us.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, thiserror::Error,
)]
pub enum Refused {
    /// It ends before its headers do.
    #[error("too short")]
    Short,
    /// Neither IPv4 nor IPv6.
    #[error("not an IP packet")]
    Version,
    /// A header's own length is impossible.
    #[error("wrong length of a header")]
    HeaderLength,
    /// The packet's length is not that of the frame, or none that a packet can have.
    #[error("wrong length of the packet")]
    Length,
    /// A piece of a packet.
    #[error("a fragment")]
    Fragment,
    /// An IPv4 header with options: source routes are among them, and what an application needs is not.
    #[error("IP options")]
    Options,
    /// An IPv6 routing header with segments left (RFC 5095), or an extension header in a place where it cannot be.
    #[error("an extension header out of place")]
    Extension,
    /// More extension headers than anybody needs.
    #[error("too many extension headers")]
    Extensions,
    /// A checksum does not hold.
    #[error("wrong checksum")]
    Checksum,
    /// Another protocol than the one that was asked for.
    #[error("another protocol")]
    Protocol,
    /// TCP, but not the first segment of a connection.
    #[error("flags of no first segment")]
    Flags,
    /// ICMP, but no request for an echo.
    #[error("no echo request")]
    NotEcho,
    /// ICMP, but not that something did not arrive.
    #[error("no word of what did not arrive")]
    NotUnreachable,
    /// Nobody may be told of trouble with it (RFC 1122 §3.2.2, RFC 4443 §2.4 (e)).
    #[error("not to be answered")]
    Unanswerable,
}

impl Refused {
    /// Every reason, for tables of counters: each stands at its own [`Refused::index`].
    pub const ALL: [Self; 14] = [
        Self::Short,
        Self::Version,
        Self::HeaderLength,
        Self::Length,
        Self::Fragment,
        Self::Options,
        Self::Extension,
        Self::Extensions,
        Self::Checksum,
        Self::Protocol,
        Self::Flags,
        Self::NotEcho,
        Self::NotUnreachable,
        Self::Unanswerable,
    ];

    /// Its place in [`Refused::ALL`].
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }
}

/// The numbers of protocols.
pub mod number {
    /// ICMP.
    pub const ICMP: u8 = 1;
    /// TCP.
    pub const TCP: u8 = 6;
    /// UDP.
    pub const UDP: u8 = 17;
    /// ICMP of IPv6.
    pub const ICMP6: u8 = 58;
}

/// What stands in a field of a checksum: the sum of a segment whose field is zero.
fn fill(segment: &mut [u8], field: usize, sum: checksum::Sum) -> Result<(), Refused> {
    let place = segment.get_mut(field..).and_then(<[u8]>::first_chunk_mut).ok_or(Refused::Short)?;
    *place = sum.finish().to_be_bytes();
    Ok(())
}

/// The sum over a segment and its pseudo header. Two families never come out of one packet; if they came from elsewhere
/// there is no packet.
fn sum(
    source: SocketAddr,
    destination: SocketAddr,
    number: u8,
    segment: &[u8],
) -> Result<checksum::Sum, Refused> {
    checksum::transport(source, destination, number, segment).ok_or(Refused::Version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_a_place() {
        for (at, reason) in Refused::ALL.into_iter().enumerate() {
            assert_eq!(reason.index(), at, "{reason}");
        }
    }
}
