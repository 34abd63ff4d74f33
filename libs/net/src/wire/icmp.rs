//! ICMP (RFC 792, RFC 1812) and ICMP of IPv6 (RFC 4443): echoes, and telling a sender that something went wrong.
//!
//! What went wrong quotes the packet that it is about, by which the sender's kernel finds the socket to tell. The quote
//! is as long as may be: an IPv4 message up to 576 bytes (RFC 1812 §4.3.2.3), one of IPv6 up to 1,280 (RFC 4443 §2.4 (c)).

use std::net::{IpAddr, SocketAddr};

use super::checksum::{self, Sum};
use super::ip::{self, Packet};
use super::{Refused, fill, number};

/// Bytes before what a message says.
const HEADER: usize = 8;
/// Where the sum is in a header.
const SUM: usize = 2;
/// Bytes of a message and its packet that quotes another: IPv4, IPv6.
const QUOTING: (usize, usize) = (576, 1280);
/// Bytes of the headers of one packet before its message: IPv4, IPv6.
const BEFORE: (usize, usize) = (20, 40);
/// The precedence of errors: internetwork control (RFC 1812 §4.3.2.5).
const CONTROL: u8 = 0xc0;

/// What a family calls things.
struct Types {
    request: u8,
    reply: u8,
    unreachable: u8,
}

const FOUR: Types = Types { request: 8, reply: 0, unreachable: 3 };
const SIX: Types = Types { request: 128, reply: 129, unreachable: 1 };

const fn types(address: IpAddr) -> &'static Types {
    match address {
        IpAddr::V4(_) => &FOUR,
        IpAddr::V6(_) => &SIX,
    }
}

/// A request for an echo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Echo<'a> {
    /// Who asks.
    pub source: IpAddr,
    /// Who is asked.
    pub destination: IpAddr,
    /// Of which series.
    pub id: u16,
    /// Which of the series.
    pub sequence: u16,
    /// What is to come back.
    pub payload: &'a [u8],
}

impl<'a> Echo<'a> {
    /// Reads a frame; of `checksum_ready` see [`super::Syn::parse`].
    pub fn parse(frame: &'a [u8], checksum_ready: bool) -> Result<Self, Refused> {
        let packet = Packet::parse(frame)?;
        let message = packet.carries(number::ICMP, number::ICMP6)?;
        let (header, payload) = message.split_first_chunk::<HEADER>().ok_or(Refused::Short)?;
        let [kind, code, _, _, id_high, id_low, sequence_high, sequence_low] = *header;
        let (source, destination) = (packet.source, packet.destination);
        if (kind, code) != (types(source).request, 0) {
            return Err(Refused::NotEcho);
        }
        if checksum_ready && !checksum::holds(sum(source, destination, message)?) {
            return Err(Refused::Checksum);
        }
        let (id, sequence) =
            (u16::from_be_bytes([id_high, id_low]), u16::from_be_bytes([sequence_high, sequence_low]));
        Ok(Self { source, destination, id, sequence, payload })
    }

    /// The whole packet that answers.
    pub fn reply(&self) -> Result<Vec<u8>, Refused> {
        let [id, sequence] = [self.id, self.sequence].map(u16::to_be_bytes);
        let rest = [id[0], id[1], sequence[0], sequence[1]];
        build(self.destination, self.source, 0, [types(self.source).reply, 0], rest, self.payload)
    }
}

/// That a packet did not arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unreachable<'a> {
    /// Who says so.
    pub source: IpAddr,
    /// It is not the way that is missing: nobody listens there.
    pub is_refused: bool,
    /// The packet, or its beginning.
    pub about: &'a [u8],
}

impl<'a> Unreachable<'a> {
    /// Reads a frame; of `checksum_ready` see [`super::Syn::parse`].
    pub fn parse(frame: &'a [u8], checksum_ready: bool) -> Result<Self, Refused> {
        let packet = Packet::parse(frame)?;
        let message = packet.carries(number::ICMP, number::ICMP6)?;
        let (&[kind, code, ..], about) = message.split_first_chunk::<HEADER>().ok_or(Refused::Short)?;
        let source = packet.source;
        // Of IPv4 a packet that is too long for its way is one of them: that is no end of anything.
        let (refused, too_long) = if source.is_ipv4() { (3, Some(4)) } else { (4, None) };
        if kind != types(source).unreachable || Some(code) == too_long {
            return Err(Refused::NotUnreachable);
        }
        if checksum_ready && !checksum::holds(sum(source, packet.destination, message)?) {
            return Err(Refused::Checksum);
        }
        Ok(Self { source, is_refused: code == refused, about })
    }
}

/// What went wrong with a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// There is no way to the network.
    Network,
    /// The host does not answer.
    Host,
    /// Nobody listens there.
    Port,
    /// It is forbidden.
    Prohibited,
    /// It is longer than what fits through: that many bytes.
    TooBig(u32),
}

impl Trouble {
    /// Type, code, and what stands in the second half of the header.
    fn header(self, about: IpAddr) -> ([u8; 2], [u8; 4]) {
        let unreachable = types(about).unreachable;
        match (self, about) {
            (Self::TooBig(bytes), IpAddr::V4(_)) => {
                let [high, low] = u16::try_from(bytes).unwrap_or(u16::MAX).to_be_bytes();
                ([unreachable, 4], [0, 0, high, low])
            }
            (Self::TooBig(bytes), IpAddr::V6(_)) => ([2, 0], bytes.to_be_bytes()),
            (Self::Network, _) => ([unreachable, 0], [0; 4]),
            (Self::Host, IpAddr::V4(_)) => ([unreachable, 1], [0; 4]),
            (Self::Host, IpAddr::V6(_)) => ([unreachable, 3], [0; 4]),
            (Self::Port, IpAddr::V4(_)) => ([unreachable, 3], [0; 4]),
            (Self::Port, IpAddr::V6(_)) => ([unreachable, 4], [0; 4]),
            (Self::Prohibited, IpAddr::V4(_)) => ([unreachable, 13], [0; 4]),
            (Self::Prohibited, IpAddr::V6(_)) => ([unreachable, 1], [0; 4]),
        }
    }
}

/// The whole packet that tells a sender of trouble with a packet of its; `from` is who tells it.
///
/// Nobody is told about an error message, nor about what was not from or for one host.
pub fn trouble(from: IpAddr, trouble: Trouble, frame: &[u8]) -> Result<Vec<u8>, Refused> {
    let packet = Packet::parse(frame)?;
    let is_error =
        packet.is_icmp() && packet.payload.first().is_none_or(|kind| is_error(packet.source, *kind));
    // A packet too big for its way is told of also where it is for many, so that IPv6 multicast can find its size.
    let is_for_many = packet.destination.is_multicast() || is_broadcast(packet.destination);
    let is_from_one =
        !packet.source.is_unspecified() && !packet.source.is_multicast() && !is_broadcast(packet.source);
    let may_be_for_many = matches!(trouble, Trouble::TooBig(_)) && packet.destination.is_ipv6();
    if is_error || !is_from_one || is_for_many && !may_be_for_many {
        return Err(Refused::Unanswerable);
    }
    let (limit, before) = match packet.source {
        IpAddr::V4(_) => (QUOTING.0, BEFORE.0),
        IpAddr::V6(_) => (QUOTING.1, BEFORE.1),
    };
    let quote = packet.whole.get(..limit - before - HEADER).unwrap_or(packet.whole);
    let (kind, rest) = trouble.header(packet.source);
    build(from, packet.source, CONTROL, kind, rest, quote)
}

const fn is_broadcast(address: IpAddr) -> bool {
    matches!(address, IpAddr::V4(four) if four.is_broadcast())
}

/// Whether a message tells of trouble; of IPv4 also an unknown one, of which nothing can be told.
const fn is_error(family: IpAddr, kind: u8) -> bool {
    match family {
        IpAddr::V4(_) => !matches!(kind, 0 | 8 | 9 | 10 | 13..=18),
        // Redirects are for neighbours, and quote too.
        IpAddr::V6(_) => kind < 128 || kind == 137,
    }
}

/// The sum of a message: IPv6 has a pseudo header in it.
fn sum(source: IpAddr, destination: IpAddr, message: &[u8]) -> Result<Sum, Refused> {
    match source {
        IpAddr::V4(_) => Ok(Sum::default().over(message)),
        IpAddr::V6(_) => {
            super::sum(SocketAddr::new(source, 0), SocketAddr::new(destination, 0), number::ICMP6, message)
        }
    }
}

fn build(
    source: IpAddr,
    destination: IpAddr,
    class: u8,
    kind: [u8; 2],
    rest: [u8; 4],
    payload: &[u8],
) -> Result<Vec<u8>, Refused> {
    let mut message = Vec::with_capacity(HEADER + payload.len());
    message.extend_from_slice(&kind);
    message.extend_from_slice(&[0, 0]);
    message.extend_from_slice(&rest);
    message.extend_from_slice(payload);
    let made = sum(source, destination, &message)?;
    fill(&mut message, SUM, made)?;
    let number = if source.is_ipv4() { number::ICMP } else { number::ICMP6 };
    ip::build(source, destination, number, class, &message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Datagram;

    fn echo(from: &str, to: &str) -> Vec<u8> {
        let (source, destination): (IpAddr, IpAddr) = (from.parse().unwrap(), to.parse().unwrap());
        build(source, destination, 0, [types(source).request, 0], [1, 2, 3, 4], b"again").unwrap()
    }

    fn datagram(from: &str, to: &str, length: usize) -> Vec<u8> {
        let payload = vec![7; length];
        Datagram { source: from.parse().unwrap(), destination: to.parse().unwrap(), payload: &payload }
            .build()
            .unwrap()
    }

    const FOUR_ENDS: (&str, &str) = ("10.0.2.100:5000", "192.0.2.1:53");
    const SIX_ENDS: (&str, &str) = ("[fd00::100]:5000", "[2001:db8::1]:53");

    #[test]
    fn what_did_not_arrive_is_what_was_sent() {
        for (from, to) in [FOUR_ENDS, SIX_ENDS] {
            let about = datagram(from, to, 9);
            let gateway: IpAddr = if from.starts_with('[') { "fd00::1" } else { "10.0.2.1" }.parse().unwrap();
            for (what, is_refused) in
                [(Trouble::Port, true), (Trouble::Host, false), (Trouble::Prohibited, false)]
            {
                let told = trouble(gateway, what, &about).unwrap();
                let expected = Unreachable { source: gateway, is_refused, about: &about };
                assert_eq!(Unreachable::parse(&told, true), Ok(expected));
                let (last, rest) = told.split_last().unwrap();
                let wrong = [rest, &[last ^ 1]].concat();
                assert_eq!(Unreachable::parse(&wrong, true), Err(Refused::Checksum));
                assert_eq!(Echo::parse(&told, true), Err(Refused::NotEcho));
            }
            let told = trouble(gateway, Trouble::TooBig(1280), &about).unwrap();
            assert_eq!(Unreachable::parse(&told, true), Err(Refused::NotUnreachable));
            assert_eq!(Unreachable::parse(&about, true), Err(Refused::Protocol));
        }
    }

    #[test]
    fn an_echo_comes_back() {
        for (from, to, reply) in [("10.0.2.100", "192.0.2.1", 0), ("fd00::100", "2001:db8::1", 129)] {
            let request = echo(from, to);
            let echo = Echo::parse(&request, true).unwrap();
            assert_eq!((echo.id, echo.sequence, echo.payload), (0x0102, 0x0304, b"again".as_slice()));
            let answer = echo.reply().unwrap();
            let packet = Packet::parse(&answer).unwrap();
            assert_eq!((packet.source, packet.destination), (to.parse().unwrap(), from.parse().unwrap()));
            assert_eq!(packet.payload[..2], [reply, 0]);
            assert_eq!(packet.payload[4..], *b"\x01\x02\x03\x04again");
            assert!(checksum::holds(sum(packet.source, packet.destination, packet.payload).unwrap()));
        }
    }

    #[test]
    fn what_is_no_request_is_refused() {
        let (from, to) = ("10.0.2.100".parse().unwrap(), "192.0.2.1".parse().unwrap());
        for kind in [[0, 0], [8, 1], [3, 3], [128, 0]] {
            assert_eq!(
                Echo::parse(&build(from, to, 0, kind, [0; 4], b"").unwrap(), true),
                Err(Refused::NotEcho)
            );
        }
        let mut wrong = echo("fd00::100", "2001:db8::1");
        *wrong.last_mut().unwrap() ^= 1;
        assert_eq!(Echo::parse(&wrong, true), Err(Refused::Checksum));
        assert!(Echo::parse(&wrong, false).is_ok());
        let of_the_other_family = ip::build(from, to, number::ICMP6, 0, &[128, 0, 0, 0, 0, 0, 0, 0]).unwrap();
        assert_eq!(Echo::parse(&of_the_other_family, true), Err(Refused::Protocol));
        assert_eq!(Echo::parse(&ip::build(from, to, 1, 0, &[8; 7]).unwrap(), true), Err(Refused::Short));
    }

    #[test]
    fn trouble_has_its_family_s_codes_and_quotes_the_packet() {
        let all = [
            (Trouble::Network, [3, 0], [1, 0], [0; 4]),
            (Trouble::Host, [3, 1], [1, 3], [0; 4]),
            (Trouble::Port, [3, 3], [1, 4], [0; 4]),
            (Trouble::Prohibited, [3, 13], [1, 1], [0; 4]),
            (Trouble::TooBig(1400), [3, 4], [2, 0], [0, 0, 5, 0x78]),
        ];
        for (what, four, six, rest) in all {
            for ((from, to), kind, gateway) in [(FOUR_ENDS, four, "10.0.2.1"), (SIX_ENDS, six, "fd00::1")] {
                let about = datagram(from, to, 10);
                let told = trouble(gateway.parse().unwrap(), what, &about).unwrap();
                let packet = Packet::parse(&told).unwrap();
                assert_eq!(packet.destination, from.parse::<SocketAddr>().unwrap().ip());
                assert_eq!((&packet.payload[..2], &packet.payload[4..8]), (kind.as_slice(), rest.as_slice()));
                assert_eq!(packet.payload[8..], about);
                assert!(checksum::holds(sum(packet.source, packet.destination, packet.payload).unwrap()));
            }
        }
    }

    #[test]
    fn a_quote_is_as_long_as_may_be() {
        for ((from, to), gateway, limit) in [(FOUR_ENDS, "10.0.2.1", 576), (SIX_ENDS, "fd00::1", 1280)] {
            let told = trouble(gateway.parse().unwrap(), Trouble::Port, &datagram(from, to, 9000)).unwrap();
            assert_eq!(told.len(), limit);
        }
    }

    #[test]
    fn nobody_is_told_about_errors_or_about_what_was_for_many() {
        let silent = |from: &str, frame: &[u8]| trouble(from.parse().unwrap(), Trouble::Port, frame);
        let error = silent("10.0.2.1", &datagram(FOUR_ENDS.0, FOUR_ENDS.1, 1)).unwrap();
        assert_eq!(silent("10.0.2.1", &error), Err(Refused::Unanswerable));
        let error = silent("fd00::1", &datagram(SIX_ENDS.0, SIX_ENDS.1, 1)).unwrap();
        assert_eq!(silent("fd00::1", &error), Err(Refused::Unanswerable));
        for (from, to) in [
            ("10.0.2.100:1", "224.0.0.1:2"),
            ("10.0.2.100:1", "255.255.255.255:2"),
            ("0.0.0.0:1", "192.0.2.1:2"),
            ("224.0.0.1:1", "192.0.2.1:2"),
            ("[fd00::100]:1", "[ff02::1]:2"),
            ("[::]:1", "[2001:db8::1]:2"),
        ] {
            let gateway = if from.starts_with('[') { "fd00::1" } else { "10.0.2.1" };
            assert_eq!(silent(gateway, &datagram(from, to, 1)), Err(Refused::Unanswerable), "{from} {to}");
        }
        let to_many = datagram("[fd00::100]:1", "[ff02::1]:2", 1);
        assert!(trouble("fd00::1".parse().unwrap(), Trouble::TooBig(1280), &to_many).is_ok());
        // An echo request may be told of, and one family tells nothing to the other.
        assert!(silent("10.0.2.1", &echo("10.0.2.100", "192.0.2.1")).is_ok());
        assert_eq!(silent("fd00::1", &echo("10.0.2.100", "192.0.2.1")), Err(Refused::Version));
    }
}
