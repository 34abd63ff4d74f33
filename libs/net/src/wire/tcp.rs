//! The first segment of a TCP connection (RFC 9293), which is held until the connection is decided.
//!
//! A refused connection is answered with the segment that a closed port sends (§3.10.7.1). A connection that came about
//! is given to the kernel of the router by sending the segment once more, with its sum made whole: the sender leaves that
//! to a network card that it does not have, and what is in the field is the sum of the pseudo header alone.

use std::net::SocketAddr;

use super::ip::{self, Packet};
use super::{Refused, checksum, fill, number, sum};

/// Bytes of a header without options.
const HEADER: usize = 20;
/// Where the sum is in a header.
const SUM: usize = 16;

const SYN: u8 = 0x02;
const RST: u8 = 0x04;
const ACK: u8 = 0x10;
/// ECN-echo and congestion window reduced: a first segment has both (RFC 3168 §6.1.1) or none.
const ECN: u8 = 0xc0;

/// What is asked by a connection's first segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Syn {
    /// The container's side.
    pub source: SocketAddr,
    /// Whom it wants to reach.
    pub destination: SocketAddr,
    /// Its sequence number.
    pub sequence: u32,
    /// All eight flags, as they came.
    pub flags: u8,
    /// Bytes of data in it (RFC 7413).
    pub data: u16,
}

impl Syn {
    /// Reads a frame. With `checksum_ready` the segment's sum must hold; without, it is still to be made (the kernel says
    /// so of each frame by `TP_STATUS_CSUMNOTREADY`).
    pub fn parse(frame: &[u8], checksum_ready: bool) -> Result<Self, Refused> {
        let packet = Packet::parse(frame)?;
        let segment = packet.carries(number::TCP, number::TCP)?;
        let header = segment.first_chunk::<HEADER>().ok_or(Refused::Short)?;
        let offset = usize::from(header[12] >> 4) * 4;
        if offset < HEADER {
            return Err(Refused::HeaderLength);
        }
        let data = segment.get(offset..).ok_or(Refused::HeaderLength)?.len();
        let flags = header[13];
        if flags & !ECN != SYN || !matches!(flags & ECN, 0 | ECN) {
            return Err(Refused::Flags);
        }
        let source = SocketAddr::new(packet.source, u16::from_be_bytes([header[0], header[1]]));
        let destination = SocketAddr::new(packet.destination, u16::from_be_bytes([header[2], header[3]]));
        if checksum_ready && !checksum::holds(sum(source, destination, number::TCP, segment)?) {
            return Err(Refused::Checksum);
        }
        let sequence = u32::from_be_bytes([header[4], header[5], header[6], header[7]]);
        let data = u16::try_from(data).map_err(|_too_long| Refused::Length)?;
        Ok(Self { source, destination, sequence, flags, data })
    }

    /// The whole packet that says "refused": a reset that acknowledges what was sent.
    pub fn reset(&self) -> Result<Vec<u8>, Refused> {
        let mut segment = Vec::with_capacity(HEADER);
        segment.extend_from_slice(&self.destination.port().to_be_bytes());
        segment.extend_from_slice(&self.source.port().to_be_bytes());
        segment.extend_from_slice(&[0; 4]);
        // The flag itself has a number too.
        let next = self.sequence.wrapping_add(1).wrapping_add(self.data.into());
        segment.extend_from_slice(&next.to_be_bytes());
        segment.extend_from_slice(&[0x50, RST | ACK, 0, 0, 0, 0, 0, 0]);
        let made = sum(self.destination, self.source, number::TCP, &segment)?;
        fill(&mut segment, SUM, made)?;
        ip::build(self.destination.ip(), self.source.ip(), number::TCP, 0, &segment)
    }
}

/// The same packet with all its sums made, and without what lies behind it in the frame.
pub fn with_checksums(frame: &[u8]) -> Result<Vec<u8>, Refused> {
    let packet = Packet::parse(frame)?;
    let segment = packet.carries(number::TCP, number::TCP)?;
    let start = packet.whole.len() - segment.len();
    let (source, destination) = (SocketAddr::new(packet.source, 0), SocketAddr::new(packet.destination, 0));
    let mut whole = packet.whole.to_vec();
    let segment = whole.get_mut(start..).ok_or(Refused::Short)?;
    segment.get_mut(SUM..SUM + 2).ok_or(Refused::Short)?.fill(0);
    let made = sum(source, destination, number::TCP, segment)?;
    fill(segment, SUM, made)?;
    ip::complete(&mut whole)?;
    Ok(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FOUR: (&str, &str) = ("10.0.2.100:40000", "192.0.2.1:443");
    const SIX: (&str, &str) = ("[fd00::100]:40000", "[2001:db8::1]:443");

    /// A segment, with the sum as it is in the field.
    fn frame((from, to): (&str, &str), offset: u8, flags: u8, rest: &[u8], is_summed: bool) -> Vec<u8> {
        let (from, to): (SocketAddr, SocketAddr) = (from.parse().unwrap(), to.parse().unwrap());
        let mut segment = Vec::new();
        segment.extend_from_slice(&from.port().to_be_bytes());
        segment.extend_from_slice(&to.port().to_be_bytes());
        segment.extend_from_slice(&[
            0xff,
            0xff,
            0xff,
            0xff,
            0,
            0,
            0,
            0,
            offset << 4,
            flags,
            0xff,
            0xff,
            0,
            0,
            0,
            0,
        ]);
        segment.extend_from_slice(rest);
        if is_summed {
            let made = sum(from, to, 6, &segment).unwrap();
            fill(&mut segment, SUM, made).unwrap();
        }
        ip::build(from.ip(), to.ip(), 6, 0, &segment).unwrap()
    }

    fn refused(frame: &[u8]) -> Refused {
        Syn::parse(frame, true).expect_err("a first segment")
    }

    #[test]
    fn a_first_segment_is_read() {
        for ends in [FOUR, SIX] {
            let syn = Syn::parse(&frame(ends, 6, SYN, b"\x02\x04\x05\xb4data", true), true).unwrap();
            assert_eq!((syn.source.to_string(), syn.destination.to_string()), (ends.0.into(), ends.1.into()));
            assert_eq!((syn.sequence, syn.flags, syn.data), (u32::MAX, SYN, 4));
            assert!(Syn::parse(&frame(ends, 5, SYN | ECN, b"", true), true).is_ok());
        }
    }

    #[test]
    fn a_sum_counts_only_where_it_is_ready() {
        for ends in [FOUR, SIX] {
            let frame = frame(ends, 5, SYN, b"", false);
            assert_eq!(refused(&frame), Refused::Checksum);
            assert!(Syn::parse(&frame, false).is_ok());
            let made = with_checksums(&frame).unwrap();
            assert_eq!(Syn::parse(&made, true), Syn::parse(&frame, false));
            assert_eq!(with_checksums(&made), Ok(made));
        }
    }

    #[test]
    fn a_packet_that_is_sent_on_has_no_padding() {
        let mut padded = frame(FOUR, 5, SYN, b"", true);
        let own = padded.len();
        padded.resize(60, 7);
        assert_eq!(with_checksums(&padded).unwrap(), padded[..own]);
    }

    #[test]
    fn odd_flags_are_no_first_segment() {
        for flags in 0..=u8::MAX {
            let is_first = Syn::parse(&frame(FOUR, 5, flags, b"", true), true).is_ok();
            assert_eq!(is_first, flags == SYN || flags == SYN | ECN, "{flags:#x}");
        }
    }

    #[test]
    fn a_header_that_is_not_there_is_refused() {
        assert_eq!(refused(&frame(FOUR, 4, SYN, b"", true)), Refused::HeaderLength);
        assert_eq!(refused(&frame(FOUR, 6, SYN, b"abc", true)), Refused::HeaderLength);
        assert_eq!(refused(&frame(SIX, 15, SYN, b"", true)), Refused::HeaderLength);
        let (from, to) = ([10, 0, 2, 100].into(), [192, 0, 2, 1].into());
        assert_eq!(refused(&ip::build(from, to, 6, 0, &[0; 19]).unwrap()), Refused::Short);
        assert_eq!(refused(&ip::build(from, to, 17, 0, &[0; 20]).unwrap()), Refused::Protocol);
        assert_eq!(with_checksums(&ip::build(from, to, 6, 0, &[0; 17]).unwrap()), Err(Refused::Short));
    }

    #[test]
    fn a_refusal_acknowledges_what_was_sent() {
        for ends in [FOUR, SIX] {
            for (data, acknowledged) in [(b"".as_slice(), 0), (b"fast", 4)] {
                let syn = Syn::parse(&frame(ends, 5, SYN, data, true), true).unwrap();
                let reset = syn.reset().unwrap();
                let packet = Packet::parse(&reset).unwrap();
                assert_eq!((packet.source, packet.destination), (syn.destination.ip(), syn.source.ip()));
                let header: &[u8; HEADER] = packet.payload.try_into().unwrap();
                assert_eq!(header[..4], [0x01, 0xbb, 0x9c, 0x40], "the ports change places");
                assert_eq!(header[4..8], [0; 4]);
                assert_eq!(header[8..12], u32::to_be_bytes(acknowledged));
                assert_eq!((header[12], header[13]), (0x50, RST | ACK));
                assert!(checksum::holds(sum(syn.destination, syn.source, 6, packet.payload).unwrap()));
            }
        }
    }
}
