//! What becomes of packets of every kind by the rules, which are asked here as the kernel asks them.

use super::*;

/// A packet that comes in.
#[derive(Clone, Copy, Debug)]
struct Packet {
    by: u32,
    mark: u32,
    from: IpAddr,
    to: IpAddr,
    number: u8,
    /// Flags of TCP, the type of a message of ICMP.
    is: u8,
    port: u16,
}

const SYN: u8 = 0x02;
const ACK: u8 = 0x10;

/// The container's to somebody.
fn packet(to: &str, number: u8, is: u8, port: u16) -> Packet {
    let to: IpAddr = to.parse().unwrap();
    let from = if to.is_ipv4() { "10.0.2.100" } else { "fd00::100" };
    Packet { by: OWN.index, mark: 0, from: from.parse().unwrap(), to, number, is, port }
}

fn from(from: &str, packet: Packet) -> Packet {
    Packet { from: from.parse().unwrap(), ..packet }
}

fn holds(condition: &If, packet: &Packet) -> bool {
    let is_at = |address: IpAddr, within: Within| match within {
        Within::Inside(prefix) => prefix.contains(address),
        Within::Outside(prefix) => !prefix.contains(address),
    };
    match *condition {
        If::CameBy(interface) => packet.by == interface,
        If::Marked(mark) => packet.mark == mark,
        If::Version(version) => (version == Version::V4) == packet.from.is_ipv4(),
        If::Transport(number) => packet.number == number,
        If::Source(within) => is_at(packet.from, within),
        If::Destination(within) => is_at(packet.to, within),
        // Where flags and types are.
        If::Byte { at, mask, is } => {
            let is_there = at == if packet.number == transport::TCP { 13 } else { 0 };
            is_there && packet.is & mask == is
        }
        If::Port(port) => packet.port == port,
    }
}

/// What the first rule that is about it says; `None` goes on its way.
fn fate(rung: Rung, packet: Packet) -> Option<Then> {
    let rules = rules(rung, &Inner::default());
    let first = rules.iter().find(|rule| rule.conditions.iter().all(|condition| holds(condition, &packet)));
    first.map(|rule| rule.then)
}

const BOTH: [Rung; 2] = [Rung::Tproxy, Rung::Listen];
use transport::{ICMP, ICMP6, TCP, UDP};

#[track_caller]
fn is_thrown_away(packet: Packet) {
    for rung in BOTH {
        assert_eq!(fate(rung, packet), Some(Then::Drop), "{rung:?}: {packet:?}");
    }
}

#[track_caller]
fn goes_on(packet: Packet) {
    for rung in BOTH {
        assert!(matches!(fate(rung, packet), None | Some(Then::Accept)), "{rung:?}: {packet:?}");
    }
}

#[test]
fn who_is_not_of_the_network_is_not_heard() {
    for (number, is) in [(TCP, ACK), (TCP, SYN), (UDP, 0), (ICMP, 0), (ICMP6, 129)] {
        for source in ["10.0.3.100", "192.0.2.7", "127.0.0.1", "0.0.0.0"] {
            is_thrown_away(from(source, packet("10.0.2.1", number, is, 53)));
        }
        for source in ["fd00:0:0:1::2", "2001:db8::7", "::1", "::ffff:10.0.2.100"] {
            is_thrown_away(from(source, packet("fd00::1", number, is, 53)));
        }
    }
    // Neighbours find each other, and whoever has no address yet looks whether it is free.
    goes_on(from("fe80::1", packet("ff02::1:ff00:1", ICMP6, 135, 0)));
    goes_on(from("::", packet("ff02::1:ff00:100", ICMP6, 135, 0)));
}

#[test]
fn nothing_goes_nowhere_to_the_loopback_or_to_many() {
    let four = ["0.0.0.0", "0.1.2.3", "127.0.0.1", "127.1.2.3", "224.0.0.1", "240.0.0.1", "255.255.255.255"];
    let six = ["::", "::1", "::ffff:127.0.0.1", "::7f00:1", "ff02::1", "ff0e::1"];
    for to in four.into_iter().chain(six) {
        for (number, is) in [(TCP, ACK), (TCP, SYN), (UDP, 0)] {
            is_thrown_away(packet(to, number, is, 80));
        }
    }
}

#[test]
fn a_first_packet_and_an_echo_request_are_the_tap_s() {
    for (to, echo, request, reply) in [("192.0.2.1", ICMP, 8, 0), ("2001:db8::1", ICMP6, 128, 129)] {
        is_thrown_away(packet(to, TCP, SYN, 80));
        // With all that may be beside it.
        is_thrown_away(packet(to, TCP, SYN | 0xe8, 80));
        goes_on(packet(to, TCP, ACK, 80));
        goes_on(packet(to, TCP, SYN | ACK, 80));
        is_thrown_away(packet(to, echo, request, 0));
        goes_on(packet(to, echo, reply, 0));
        // What is sent in again.
        let again = Packet { by: LOOPBACK, mark: MARK, ..packet(to, TCP, SYN, 80) };
        let version = if again.to.is_ipv4() { Version::V4 } else { Version::V6 };
        assert_eq!(fate(Rung::Tproxy, again), Some(Then::Divert(version, STREAMS)));
        goes_on(Packet { mark: 0, ..again });
        assert_eq!(fate(Rung::Listen, again), None);
        is_thrown_away(Packet { by: OWN.index, ..again });
    }
}

#[test]
fn datagrams_are_diverted_or_the_tap_s() {
    for (to, version) in [("192.0.2.1", Version::V4), ("2001:db8::1", Version::V6)] {
        let datagram = packet(to, UDP, 0, 80);
        assert_eq!(fate(Rung::Tproxy, datagram), Some(Then::Divert(version, DATAGRAMS)));
        assert_eq!(fate(Rung::Listen, datagram), Some(Then::Drop));
    }
}

#[test]
fn the_gateway_has_a_resolver_and_all_else_is_decided_elsewhere() {
    for (gateway, echo, request) in [("10.0.2.1", ICMP, 8), ("fd00::1", ICMP6, 128)] {
        goes_on(packet(gateway, TCP, SYN, RESOLVER));
        goes_on(packet(gateway, UDP, 0, RESOLVER));
        goes_on(packet(gateway, echo, request, 0));
        for port in [STREAMS, DATAGRAMS, 80] {
            is_thrown_away(packet(gateway, TCP, SYN, port));
        }
        // What is diverted to is no service.
        let datagram = packet(gateway, UDP, 0, DATAGRAMS);
        let version = if datagram.to.is_ipv4() { Version::V4 } else { Version::V6 };
        assert_eq!(fate(Rung::Tproxy, datagram), Some(Then::Divert(version, DATAGRAMS)));
        assert_eq!(fate(Rung::Listen, datagram), Some(Then::Drop));
    }
}
