//! IPv4 (RFC 791) and IPv6 with its extension headers (RFC 8200).
//!
//! A fragment is no packet: putting them together is the kernel's, or [`super::pieces`]'.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::checksum::{self, Sum};
use super::{Refused, number};

/// Bytes of an IPv4 header without options.
pub(super) const HEADER4: usize = 20;
/// Bytes of an IPv6 header.
pub(super) const HEADER6: usize = 40;
/// Extension headers of one packet: each kind once, and destination options twice.
const EXTENSIONS: usize = 6;
/// Bytes of any packet.
pub(super) const LONGEST: usize = 65_535;

const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const DESTINATION: u8 = 60;

/// How far what we send may go: it only crosses one wire.
const HOPS: u8 = 64;

/// A packet that is whole.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    /// Who sent it, by its own word.
    pub source: IpAddr,
    /// Whom it is for.
    pub destination: IpAddr,
    /// The protocol of what it carries.
    pub number: u8,
    /// What it carries.
    pub payload: &'a [u8],
    /// All of it, from the first byte of its header, without padding behind it.
    pub whole: &'a [u8],
}

impl<'a> Packet<'a> {
    /// Reads a frame that begins with an IP header.
    pub fn parse(frame: &'a [u8]) -> Result<Self, Refused> {
        match frame.first().ok_or(Refused::Short)? >> 4 {
            4 => Self::four(frame),
            6 => Self::six(frame),
            _ => Err(Refused::Version),
        }
    }

    fn four(frame: &'a [u8]) -> Result<Self, Refused> {
        let header = frame.first_chunk::<HEADER4>().ok_or(Refused::Short)?;
        match usize::from(header[0] & 0x0f) * 4 {
            HEADER4 => {}
            longer if longer > HEADER4 => return Err(Refused::Options),
            _ => return Err(Refused::HeaderLength),
        }
        let total = usize::from(u16::from_be_bytes([header[2], header[3]]));
        let whole = frame.get(..total).ok_or(Refused::Length)?;
        let payload = whole.get(HEADER4..).ok_or(Refused::Length)?;
        if !checksum::holds(Sum::default().over(header)) {
            return Err(Refused::Checksum);
        }
        // More fragments, or an offset.
        if u16::from_be_bytes([header[6], header[7]]) & 0x3fff != 0 {
            return Err(Refused::Fragment);
        }
        let [.., a, b, c, d, e, f, g, h] = *header;
        let (source, destination) = (Ipv4Addr::new(a, b, c, d).into(), Ipv4Addr::new(e, f, g, h).into());
        Ok(Self { source, destination, number: header[9], payload, whole })
    }

    fn six(frame: &'a [u8]) -> Result<Self, Refused> {
        let (header, rest) = frame.split_first_chunk::<HEADER6>().ok_or(Refused::Short)?;
        let length = usize::from(u16::from_be_bytes([header[4], header[5]]));
        let mut payload = rest.get(..length).ok_or(Refused::Length)?;
        let whole = frame.get(..HEADER6 + length).ok_or(Refused::Length)?;
        let address = |at: usize| -> Option<IpAddr> {
            let octets: [u8; 16] = *header.get(at..)?.first_chunk()?;
            Some(Ipv6Addr::from(octets).into())
        };
        let (source, destination) = address(8).zip(address(24)).ok_or(Refused::Short)?;
        let mut number = header[6];
        for place in 0..EXTENSIONS {
            match number {
                HOP_BY_HOP if place > 0 => return Err(Refused::Extension),
                HOP_BY_HOP | ROUTING | DESTINATION => {
                    (number, payload) = extension(number, payload)?;
                }
                FRAGMENT => return Err(Refused::Fragment),
                _ => return Ok(Self { source, destination, number, payload, whole }),
            }
        }
        match number {
            HOP_BY_HOP | ROUTING | DESTINATION | FRAGMENT => Err(Refused::Extensions),
            _ => Ok(Self { source, destination, number, payload, whole }),
        }
    }

    /// The protocol's bytes, if it is the one that is looked for.
    pub(super) fn carries(&self, four: u8, six: u8) -> Result<&'a [u8], Refused> {
        let wanted = if self.source.is_ipv4() { four } else { six };
        if self.number == wanted { Ok(self.payload) } else { Err(Refused::Protocol) }
    }

    /// Whether it carries ICMP of its family.
    pub(super) fn is_icmp(&self) -> bool {
        self.carries(number::ICMP, number::ICMP6).is_ok()
    }
}

/// What an extension header says comes next, and the bytes of that.
fn extension(kind: u8, bytes: &[u8]) -> Result<(u8, &[u8]), Refused> {
    let &[next, units, _routing_type, segments_left, ..] = bytes else { return Err(Refused::Short) };
    if kind == ROUTING && segments_left != 0 {
        return Err(Refused::Extension);
    }
    let rest = bytes.get((usize::from(units) + 1) * 8..).ok_or(Refused::HeaderLength)?;
    Ok((next, rest))
}

/// A packet of ours; `class` is the precedence that errors have.
pub(super) fn build(
    source: IpAddr,
    destination: IpAddr,
    number: u8,
    class: u8,
    payload: &[u8],
) -> Result<Vec<u8>, Refused> {
    let mut packet = header(source, destination, number, class, payload.len())?;
    packet.extend_from_slice(payload);
    Ok(packet)
}

/// The header of a packet of ours that carries so many bytes.
pub(super) fn header(
    source: IpAddr,
    destination: IpAddr,
    number: u8,
    class: u8,
    length: usize,
) -> Result<Vec<u8>, Refused> {
    match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let total = u16::try_from(HEADER4 + length).map_err(|_too_long| Refused::Length)?;
            let [high, low] = total.to_be_bytes();
            // Never to be fragmented, so it needs no identification (RFC 6864 §4.1).
            let mut packet = vec![0x45, class, high, low, 0, 0, 0x40, 0, HOPS, number, 0, 0];
            packet.extend_from_slice(&source.octets());
            packet.extend_from_slice(&destination.octets());
            let sum = Sum::default().over(&packet);
            super::fill(&mut packet, 10, sum)?;
            Ok(packet)
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            if HEADER6 + length > LONGEST {
                return Err(Refused::Length);
            }
            let [high, low] = u16::try_from(length).map_err(|_too_long| Refused::Length)?.to_be_bytes();
            let mut packet = vec![0x60 | class >> 4, class << 4, 0, 0, high, low, number, HOPS];
            packet.extend_from_slice(&source.octets());
            packet.extend_from_slice(&destination.octets());
            Ok(packet)
        }
        _ => Err(Refused::Version),
    }
}

/// Makes the sum of an IPv4 header whole; IPv6 has none.
pub(super) fn complete(packet: &mut [u8]) -> Result<(), Refused> {
    if packet.first().ok_or(Refused::Short)? >> 4 != 4 {
        return Ok(());
    }
    let header = packet.get_mut(..HEADER4).ok_or(Refused::Short)?;
    header[10..12].fill(0);
    let sum = Sum::default().over(header);
    super::fill(header, 10, sum)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn four(payload: &[u8]) -> Vec<u8> {
        build([10, 0, 2, 100].into(), [192, 0, 2, 1].into(), 6, 0, payload).unwrap()
    }

    fn six(payload: &[u8]) -> Vec<u8> {
        let (from, to): (Ipv6Addr, Ipv6Addr) = ("fd00::100".parse().unwrap(), "2001:db8::1".parse().unwrap());
        build(from.into(), to.into(), 6, 0, payload).unwrap()
    }

    /// Extension headers before the payload, each as (kind, type and segments of a routing header, units of eight).
    fn extended(kinds: &[(u8, u8, u8)], last: u8) -> Vec<u8> {
        let mut payload = Vec::new();
        for (at, &(_, segments, units)) in kinds.iter().enumerate() {
            let next = kinds.get(at + 1).map_or(last, |next| next.0);
            payload.extend_from_slice(&[next, units, 0, segments, 0, 0, 0, 0]);
            payload.resize(payload.len() + usize::from(units) * 8, 0);
        }
        payload.extend_from_slice(b"carried");
        let mut packet = six(&payload);
        packet[6] = kinds.first().map_or(last, |first| first.0);
        packet
    }

    fn refused(packet: &[u8]) -> Refused {
        Packet::parse(packet).expect_err("a packet")
    }

    fn resummed(mut packet: Vec<u8>) -> Vec<u8> {
        complete(&mut packet).unwrap();
        packet
    }

    #[test]
    fn what_was_built_is_read() {
        let bytes = four(b"carried");
        let packet = Packet::parse(&bytes).unwrap();
        assert_eq!((packet.source, packet.number), ([10, 0, 2, 100].into(), 6));
        assert_eq!((packet.payload, packet.whole), (b"carried".as_slice(), bytes.as_slice()));
        let bytes = six(b"carried");
        let packet = Packet::parse(&bytes).unwrap();
        assert_eq!(
            (packet.destination, packet.payload),
            ("2001:db8::1".parse().unwrap(), b"carried".as_slice())
        );
    }

    #[test]
    fn padding_behind_a_packet_is_not_of_it() {
        for mut bytes in [four(b"x"), six(b"x")] {
            let own = bytes.len();
            bytes.resize(60, 0xee);
            let packet = Packet::parse(&bytes).unwrap();
            assert_eq!((packet.payload, packet.whole.len()), (b"x".as_slice(), own));
        }
    }

    #[test]
    fn a_packet_longer_than_its_frame_is_refused() {
        for bytes in [four(b"carried"), six(b"carried")] {
            let short = &bytes[..bytes.len() - 1];
            assert_eq!(refused(short), Refused::Length);
        }
        let mut shorter_than_its_header = four(b"");
        shorter_than_its_header[3] = 19;
        assert_eq!(refused(&resummed(shorter_than_its_header)), Refused::Length);
        assert_eq!(refused(&[]), Refused::Short);
        assert_eq!(refused(&[0x45; 19]), Refused::Short);
        assert_eq!(refused(&[0x60; 39]), Refused::Short);
        assert_eq!(refused(&[0x55; 60]), Refused::Version);
    }

    #[test]
    fn an_ipv4_header_with_options_or_too_short_is_refused() {
        // A strict source route of one address.
        let mut source_route = four(b"\x89\x07\x04\x7f\x00\x00\x01\x00carried");
        source_route[0] = 0x47;
        assert_eq!(refused(&resummed(source_route)), Refused::Options);
        let mut short = four(b"carried");
        short[0] = 0x44;
        assert_eq!(refused(&resummed(short)), Refused::HeaderLength);
    }

    #[test]
    fn fragments_are_refused() {
        for (high, low) in [(0x20, 0), (0, 1), (0x1f, 0xff), (0x60, 0)] {
            let mut fragment = four(b"carried");
            (fragment[6], fragment[7]) = (high, low);
            assert_eq!(refused(&resummed(fragment)), Refused::Fragment);
        }
        assert_eq!(refused(&extended(&[(FRAGMENT, 0, 0)], 6)), Refused::Fragment);
        assert_eq!(refused(&extended(&[(HOP_BY_HOP, 0, 0), (FRAGMENT, 0, 0)], 6)), Refused::Fragment);
    }

    #[test]
    fn a_wrong_sum_of_the_header_is_refused() {
        let mut wrong = four(b"carried");
        wrong[8] ^= 1;
        assert_eq!(refused(&wrong), Refused::Checksum);
    }

    #[test]
    fn extension_headers_are_stepped_over() {
        let bytes =
            extended(&[(HOP_BY_HOP, 0, 1), (DESTINATION, 0, 0), (ROUTING, 0, 2), (DESTINATION, 7, 0)], 17);
        let packet = Packet::parse(&bytes).unwrap();
        assert_eq!((packet.number, packet.payload), (17, b"carried".as_slice()));
    }

    #[test]
    fn extension_headers_that_harm_are_refused() {
        assert_eq!(refused(&extended(&[(ROUTING, 1, 0)], 6)), Refused::Extension);
        assert_eq!(refused(&extended(&[(DESTINATION, 0, 0), (HOP_BY_HOP, 0, 0)], 6)), Refused::Extension);
        assert_eq!(refused(&extended(&[(DESTINATION, 0, 0); 7], 6)), Refused::Extensions);
        assert!(Packet::parse(&extended(&[(DESTINATION, 0, 0); 6], 6)).is_ok());
        let mut long = extended(&[(DESTINATION, 0, 0)], 6);
        long[HEADER6 + 1] = 200;
        assert_eq!(refused(&long), Refused::HeaderLength);
        let mut cut = six(&[6, 0, 0]);
        cut[6] = DESTINATION;
        assert_eq!(refused(&cut), Refused::Short);
    }

    proptest! {
        #[test]
        fn nothing_that_is_read_lies_outside_of_its_frame(mut bytes: Vec<u8>, first in prop_oneof![Just(0x45u8), Just(0x60u8)]) {
            if let Some(byte) = bytes.first_mut() {
                *byte = first;
            }
            if bytes.len() >= HEADER4 {
                complete(&mut bytes).unwrap();
            }
            if let Ok(packet) = Packet::parse(&bytes) {
                prop_assert!(packet.whole.ends_with(packet.payload));
                prop_assert!(bytes.starts_with(packet.whole));
            }
        }
    }
}
