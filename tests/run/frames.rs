//! What a container's root sends who goes by no rules: frames of its own making, from the middle of the network.
//!
//! The tap sees each of them before the kernel has checked anything (net.md §9), so that a first packet for the host's loopback
//! would become a connection to it. Each test sends its frames and then connects as it may: what comes after them on the same
//! tap was looked at after them, so that nobody has to wait for nothing to happen.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};

use ctr_tests::env::programs;
use ctr_tests::{Env, needs};

use crate::network::{accept, listener};

const V4: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 2, 100));
const V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 0x100));
const HOST: Ipv4Addr = Ipv4Addr::new(169, 254, 1, 2);
const SYN: u8 = 0x02;

/// A first packet.
#[derive(Clone, Copy)]
struct First {
    source: SocketAddr,
    destination: SocketAddr,
    flags: u8,
    /// Of the IPv4 header: that more pieces follow, and where this one belongs.
    fragment: u16,
}

impl First {
    fn of(source: IpAddr, destination: IpAddr, port: u16) -> Self {
        let (source, destination) = (SocketAddr::new(source, 40_000), SocketAddr::new(destination, port));
        Self { source, destination, flags: SYN, fragment: 0 }
    }

    /// The whole frame, to everybody, in hexadecimal.
    fn frame(&self) -> String {
        let segment = self.segment();
        let (kind, packet) = match (self.source.ip(), self.destination.ip()) {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                let mut header =
                    [&[0x45, 0, 0, 40, 0, 1][..], &self.fragment.to_be_bytes(), &[64, 6, 0, 0]].concat();
                header.extend(from.octets().into_iter().chain(to.octets()));
                let sum = checksum(&header).to_be_bytes();
                header[10..12].copy_from_slice(&sum);
                ([8, 0], header)
            }
            (IpAddr::V6(from), IpAddr::V6(to)) => {
                let header = [&[0x60, 0, 0, 0, 0, 20, 6, 64][..], &from.octets(), &to.octets()].concat();
                ([0x86, 0xdd], header)
            }
            _ => unreachable!("both of one family"),
        };
        let whole = [&[0xff; 6][..], &[2, 0, 0, 0, 0, 1], &kind, &packet, &segment].concat();
        whole.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn segment(&self) -> Vec<u8> {
        let mut segment = Vec::new();
        segment.extend(self.source.port().to_be_bytes());
        segment.extend(self.destination.port().to_be_bytes());
        segment.extend([0, 0, 0, 9, 0, 0, 0, 0, 0x50, self.flags, 0xff, 0xff, 0, 0, 0, 0]);
        let octets = |address: IpAddr| match address {
            IpAddr::V4(four) => four.octets().to_vec(),
            IpAddr::V6(six) => six.octets().to_vec(),
        };
        let pseudo =
            [&octets(self.source.ip())[..], &octets(self.destination.ip()), &[0, 6, 0, 20], &segment]
                .concat();
        let sum = checksum(&pseudo).to_be_bytes();
        segment[16..18].copy_from_slice(&sum);
        segment
    }
}

/// RFC 1071, of an even number of bytes.
fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks_exact(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])));
    let sum: u32 = words.sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    !u16::try_from((folded & 0xffff) + (folded >> 16)).expect("folded twice")
}

/// Sends frames from inside a container, and then connects to the host as it may, which is waited for.
fn send_and_connect(env: &Env, frames: &[First], allowed: &TcpListener) {
    let port = allowed.local_addr().expect("its address").port();
    let probe = format!("-v={}:/probe:ro", programs().join("net-probe").display());
    let network = format!("--network=user,host-access=loopback:{port}");
    let frames: Vec<String> = frames.iter().map(First::frame).collect();
    let script = format!("/probe send 2 {} && nc {HOST} {port} </dev/null", frames.join(" "));
    let running = env.shell([network.as_str(), "--cap-add=NET_RAW", &probe], &script).start();
    let (peer, _) = accept(allowed);
    drop(peer);
    running.finish().success();
}

/// Nobody has connected.
fn is_quiet(listener: &TcpListener) -> bool {
    listener.set_nonblocking(true).expect("a socket");
    listener.accept().is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
}

#[test]
fn a_first_packet_for_the_hosts_loopback_is_none() {
    needs!(Userns);
    let env = Env::with_busybox();
    let (allowed, _) = listener(Ipv4Addr::LOCALHOST.into());
    let (four, port4) = listener(Ipv4Addr::LOCALHOST.into());
    let (six, port6) = listener(Ipv6Addr::LOCALHOST.into());
    let v4 = ["127.0.0.1", "127.1.2.3", "0.0.0.0", "169.254.1.2"]
        .map(|to| First::of(V4, to.parse().unwrap(), port4));
    // What is mapped reaches IPv4, also by a socket of IPv6.
    let mapped =
        ["::ffff:127.0.0.1", "::127.0.0.1", "::"].map(|to| First::of(V6, to.parse().unwrap(), port4));
    let v6 = ["::1", "::", "fd00:0:0:1::2"].map(|to| First::of(V6, to.parse().unwrap(), port6));
    send_and_connect(&env, &[&v4[..], &mapped, &v6].concat(), &allowed);
    assert!(is_quiet(&four), "somebody connected to 127.0.0.1");
    assert!(is_quiet(&six), "somebody connected to ::1");
    assert!(is_quiet(&allowed), "somebody else connected");
}

#[test]
fn a_first_packet_that_is_not_one_or_not_the_containers_is_none() {
    needs!(Userns);
    let env = Env::with_busybox();
    let (allowed, port) = listener(Ipv4Addr::LOCALHOST.into());
    let good = First::of(V4, HOST.into(), port);
    let from = |source: &str| First { source: source.parse().unwrap(), ..good };
    let flags = |flags| First { flags, ..good };
    let bad = [
        // Somebody in the network, somebody elsewhere, the host, and a port that is none.
        from("10.0.2.101:40000"),
        from("192.0.2.7:40000"),
        from("127.0.0.1:40000"),
        from("10.0.2.100:0"),
        // SYN with FIN, with URG, with PSH, and all of them.
        flags(0x03),
        flags(0x22),
        flags(0x0a),
        flags(0x2b),
        // A first piece, and a later one.
        First { fragment: 0x2000, ..good },
        First { fragment: 0x0001, ..good },
    ];
    send_and_connect(&env, &bad, &allowed);
    assert!(is_quiet(&allowed), "one of them became a connection");
}
