//! What a container's root sends who goes by no rules: frames of its own making, from the middle of the network.
//!
//! The tap sees each of them before the kernel has checked anything, so that a first packet for the host's loopback would become a
//! connection to it. Each test sends its frames and then connects as it may, to a port of its own: what comes after them on the same tap
//! was looked at after them, so that nobody has to wait for nothing to happen. Of datagrams the same holds for their catcher.

use std::io::{ErrorKind, Read as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};

use ctr_tests::env::programs;
use ctr_tests::{Env, needs};

use crate::network::{accept, datagrams, listener};

const V4: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 2, 100));
const V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 0x100));
const HOST: Ipv4Addr = Ipv4Addr::new(169, 254, 1, 2);
const HOST6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 1, 0, 0, 0, 2);
const SYN: u8 = 0x02;

/// A first packet of a connection, or a datagram.
#[derive(Clone, Copy)]
pub(crate) struct First {
    source: SocketAddr,
    destination: SocketAddr,
    /// Of a segment; a datagram has none.
    flags: Option<u8>,
    /// Of the IPv4 header: that more pieces follow, and where this one belongs.
    fragment: u16,
    /// Between the IPv4 header and what it carries.
    options: &'static [u8],
    /// Between the IPv6 header and what it carries: its number, and all of it but the number of what follows.
    extension: Option<(u8, [u8; 7])>,
    /// What is wrong in the sums of the header, and of what it carries.
    wrong: (u16, u16),
}

impl First {
    pub(crate) fn of(source: IpAddr, destination: IpAddr, port: u16) -> Self {
        let (source, destination) = (SocketAddr::new(source, 40_000), SocketAddr::new(destination, port));
        Self {
            source,
            destination,
            flags: Some(SYN),
            fragment: 0,
            options: &[],
            extension: None,
            wrong: (0, 0),
        }
    }

    /// The same as a datagram.
    fn datagram(self) -> Self {
        Self { flags: None, ..self }
    }

    /// The whole frame, to everybody, in hexadecimal.
    pub(crate) fn frame(&self) -> String {
        let payload = self.payload();
        let number = if self.flags.is_some() { 6 } else { 17 };
        let (kind, packet) = match (self.source.ip(), self.destination.ip()) {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                let length = 20 + self.options.len();
                let total = u16::try_from(length + payload.len()).expect("a short packet").to_be_bytes();
                let words = 0x40 | u8::try_from(length / 4).expect("a short header");
                let mut header = [&[words, 0][..], &total, &[0, 1], &self.fragment.to_be_bytes()].concat();
                header.extend([64, number, 0, 0]);
                header.extend(from.octets().into_iter().chain(to.octets()));
                header.extend(self.options);
                let sum = (checksum(&header) ^ self.wrong.0).to_be_bytes();
                header[10..12].copy_from_slice(&sum);
                ([8, 0], header)
            }
            (IpAddr::V6(from), IpAddr::V6(to)) => {
                let (first, extension) = match self.extension {
                    Some((kind, rest)) => (kind, [&[number][..], &rest].concat()),
                    None => (number, Vec::new()),
                };
                let length = u8::try_from(extension.len() + payload.len()).expect("a short packet");
                let fixed = [0x60, 0, 0, 0, 0, length, first, 64];
                let header = [&fixed[..], &from.octets(), &to.octets(), &extension].concat();
                ([0x86, 0xdd], header)
            }
            _ => unreachable!("both of one family"),
        };
        let whole = [&[0xff; 6][..], &[2, 0, 0, 0, 0, 1], &kind, &packet, &payload].concat();
        whole.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// A segment, or a datagram of four bytes.
    fn payload(&self) -> Vec<u8> {
        let ports = [self.source.port().to_be_bytes(), self.destination.port().to_be_bytes()].concat();
        let (number, at, mut payload) = match self.flags {
            Some(flags) => {
                let rest = [0, 0, 0, 9, 0, 0, 0, 0, 0x50, flags, 0xff, 0xff, 0, 0, 0, 0];
                (6, 16, [&ports[..], &rest].concat())
            }
            None => (17, 6, [&ports[..], &[0, 12, 0, 0], b"evil"].concat()),
        };
        let octets = |address: IpAddr| match address {
            IpAddr::V4(four) => four.octets().to_vec(),
            IpAddr::V6(six) => six.octets().to_vec(),
        };
        let length = u8::try_from(payload.len()).expect("a short packet");
        let from = [octets(self.source.ip()), octets(self.destination.ip())].concat();
        let sum = checksum(&[&from[..], &[0, number, 0, length], &payload].concat()) ^ self.wrong.1;
        payload[at..at + 2].copy_from_slice(&sum.to_be_bytes());
        payload
    }
}

/// RFC 1071, of an even number of bytes.
fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks_exact(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])));
    let sum: u32 = words.sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    !u16::try_from((folded & 0xffff) + (folded >> 16)).expect("folded twice")
}

/// Sends frames from inside a container, and then connects to the host as it may and says a word to it, both of which are waited for.
/// What is to stay quiet would be reached if a frame were what it seems.
fn send_and_connect((env, network): (&Env, &str), frames: &[String], quiet: &[u16]) {
    let (allowed, port) = listener(Ipv4Addr::LOCALHOST.into());
    let (words, to) = datagrams(Ipv4Addr::LOCALHOST.into());
    let open: String = quiet.iter().map(|port| format!(",{port}")).collect();
    let access = format!("--host-access=loopback:{port},{to}{open}");
    let probe = format!("-v={}:/probe:ro", programs().join("net-probe").display());
    let frames = as_sent(network, frames).join("\n");
    let file = format!("-v={}:/frames:ro", env.file("frames", frames).display());
    let network = format!("--network={network}");
    let flags = [&network, "--cap-add=NET_RAW", &access, &probe, &file];
    let script = format!(
        "xargs -n 64 /probe send 2 </frames && nc {HOST} {port} </dev/null && timeout 20 tftp -g -r x -l - {HOST} {to}; :"
    );
    let running = env.shell(flags, &script).start();
    drop(accept(&allowed));
    let mut room = [0; 64];
    let (_, from) = words.recv_from(&mut room).expect("a word");
    // The end of what was asked for.
    words.send_to(b"\0\x03\0\x01end", from).expect("an answer");
    let output = running.finish();
    // A process that serves the network and had to be started again would be spoken of.
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("end", ""), "{output}");
    assert!(is_quiet(&allowed), "somebody else connected");
}

/// A device without a link has no header of one.
fn as_sent(network: &str, frames: &[String]) -> Vec<String> {
    let start = if network.contains("mode=tun") { 28 } else { 0 };
    let cut = frames.iter().filter_map(|frame| frame.get(start..));
    cut.filter(|frame| !frame.is_empty()).map(str::to_owned).collect()
}

fn frames(of: &[First]) -> Vec<String> {
    of.iter().map(First::frame).collect()
}

/// Nobody has connected.
fn is_quiet(listener: &TcpListener) -> bool {
    listener.set_nonblocking(true).expect("a socket");
    listener.accept().is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
}

/// Nothing has arrived.
fn is_silent(socket: &UdpSocket) -> bool {
    socket.set_nonblocking(true).expect("a socket");
    socket.recv_from(&mut [0; 64]).is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
}

/// What leads to the host's loopback, but for the host's alias: of IPv4, of IPv6 to IPv4's, and of IPv6.
fn ways_to_loopback(port4: u16, port6: u16) -> Vec<First> {
    let v4 =
        ["127.0.0.1", "127.1.2.3", "0.0.0.0"].map(|to| First::of(V4, to.parse().expect("an address"), port4));
    // What is mapped reaches IPv4, also by a socket of IPv6; so does what a translator would take apart.
    let mapped = ["::ffff:127.0.0.1", "::127.0.0.1", "::", "64:ff9b::7f00:1", "2002:7f00:1::"]
        .map(|to| First::of(V6, to.parse().expect("an address"), port4));
    let v6 = ["::1", "::"].map(|to| First::of(V6, to.parse().expect("an address"), port6));
    [&v4[..], &mapped, &v6].concat()
}

#[test]
fn a_first_packet_for_the_hosts_loopback_is_none() {
    needs!(Userns);
    no_first_packet_reaches_loopback("user");
}

pub(crate) fn no_first_packet_reaches_loopback(network: &str) {
    let env = Env::with_busybox();
    let (four, port4) = listener(Ipv4Addr::LOCALHOST.into());
    let (six, port6) = listener(Ipv6Addr::LOCALHOST.into());
    let ways = ways_to_loopback(port4, port6);
    // The alias is one where that is allowed only.
    let alias = [First::of(V4, HOST.into(), port4), First::of(V6, HOST6.into(), port6)];
    send_and_connect((&env, network), &frames(&[&ways[..], &alias].concat()), &[]);
    // And what is allowed is so by the alias only.
    send_and_connect((&env, network), &frames(&ways), &[port4, port6]);
    assert!(is_quiet(&four), "somebody connected to 127.0.0.1");
    assert!(is_quiet(&six), "somebody connected to ::1");
}

#[test]
fn a_datagram_for_the_hosts_loopback_is_none() {
    needs!(Userns);
    no_datagram_reaches_loopback("user");
}

pub(crate) fn no_datagram_reaches_loopback(network: &str) {
    let env = Env::with_busybox();
    let (four, port4) = datagrams(Ipv4Addr::LOCALHOST.into());
    let (six, port6) = datagrams(Ipv6Addr::LOCALHOST.into());
    let ways: Vec<First> = ways_to_loopback(port4, port6).into_iter().map(First::datagram).collect();
    let alias = [First::of(V4, HOST.into(), port4), First::of(V6, HOST6.into(), port6)].map(First::datagram);
    send_and_connect((&env, network), &frames(&[&ways[..], &alias].concat()), &[]);
    send_and_connect((&env, network), &frames(&ways), &[port4, port6]);
    assert!(is_silent(&four), "something came to 127.0.0.1");
    assert!(is_silent(&six), "something came to ::1");
}

/// Strict and loose source routes by way of the gateway (RFC 791), padded.
const ROUTES: [&[u8]; 2] = [&[0x89, 7, 4, 10, 0, 2, 1, 0], &[0x83, 7, 4, 10, 0, 2, 1, 0]];

/// A routing header with a place still to be gone to (RFC 5095), a first piece, a later one, and a header that is longer than the packet.
const EXTENSIONS: [(u8, [u8; 7]); 4] = [
    (43, [0, 0, 1, 0, 0, 0, 0]),
    (44, [0, 0, 1, 0, 0, 0, 1]),
    (44, [0, 0, 8, 0, 0, 0, 2]),
    (60, [200, 0, 0, 0, 0, 0, 0]),
];

/// What is wrong with a first packet or a datagram of each family, beside to whom it is.
fn wrong(good: First) -> Vec<First> {
    let from = |source: &str| First { source: source.parse().expect("an address"), ..good };
    let own = SocketAddr::new(good.source.ip(), 0);
    let mut all = vec![
        // Ports that are none.
        First { source: own, ..good },
        First { destination: SocketAddr::new(good.destination.ip(), 0), ..good },
        // A sum that is wrong.
        First { wrong: (0, 0x0101), ..good },
    ];
    if good.source.is_ipv6() {
        // Somebody in the network, somebody elsewhere, the host's alias, and the host.
        all.extend(
            ["[fd00::101]:40000", "[2001:db8::7]:40000", "[fd00:0:0:1::2]:40000", "[::1]:40000"].map(from),
        );
        all.extend(EXTENSIONS.map(|extension| First { extension: Some(extension), ..good }));
        return all;
    }
    all.extend(["10.0.2.101:40000", "192.0.2.7:40000", "169.254.1.2:40000", "127.0.0.1:40000"].map(from));
    all.extend(ROUTES.map(|options| First { options, ..good }));
    all.extend([
        First { wrong: (0x0101, 0), ..good },
        // A first piece, and a later one.
        First { fragment: 0x2000, ..good },
        First { fragment: 0x0001, ..good },
    ]);
    all
}

#[test]
fn a_first_packet_that_is_not_one_or_not_the_containers_is_none() {
    needs!(Userns);
    no_wrong_first_packet_is_taken("user");
}

pub(crate) fn no_wrong_first_packet_is_taken(network: &str) {
    let env = Env::with_busybox();
    let (four, port4) = listener(Ipv4Addr::LOCALHOST.into());
    let (six, port6) = listener(Ipv6Addr::LOCALHOST.into());
    let mut bad = Vec::new();
    for good in [First::of(V4, HOST.into(), port4), First::of(V6, HOST6.into(), port6)] {
        bad.extend(wrong(good));
        // SYN with FIN, with URG, with PSH, and all of them; half of what ECN says.
        bad.extend([0x03, 0x22, 0x0a, 0x2b, 0x42].map(|flags| First { flags: Some(flags), ..good }));
    }
    send_and_connect((&env, network), &frames(&bad), &[port4, port6]);
    assert!(is_quiet(&four) && is_quiet(&six), "one of them became a connection");
}

#[test]
fn a_datagram_that_is_none_or_not_the_containers_goes_nowhere() {
    needs!(Userns);
    no_wrong_datagram_is_taken("user");
}

pub(crate) fn no_wrong_datagram_is_taken(network: &str) {
    let env = Env::with_busybox();
    let (four, port4) = datagrams(Ipv4Addr::LOCALHOST.into());
    let (six, port6) = datagrams(Ipv6Addr::LOCALHOST.into());
    let good = [First::of(V4, HOST.into(), port4), First::of(V6, HOST6.into(), port6)];
    let bad: Vec<First> = good.into_iter().flat_map(|good| wrong(good.datagram())).collect();
    send_and_connect((&env, network), &frames(&bad), &[port4, port6]);
    assert!(is_silent(&four) && is_silent(&six), "one of them arrived");
}

/// Numbers that look like chance and are the same each time (xorshift).
fn chance() -> impl FnMut() -> u64 {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    }
}

/// Itself, everybody, many, and what is no packet at all: nothing comes of any, and whoever looks at them goes on.
#[test]
fn what_means_nothing_harms_nobody() {
    needs!(Userns);
    nonsense_harms_nobody("user");
}

pub(crate) fn nonsense_harms_nobody(network: &str) {
    let env = Env::with_busybox();
    let (four, port) = listener(Ipv4Addr::LOCALHOST.into());
    let nobody = [
        "10.0.2.100",
        "10.0.2.101",
        "10.0.2.255",
        "255.255.255.255",
        "224.0.0.1",
        "240.0.0.1",
        "169.254.7.7",
    ]
    .map(|to| First::of(V4, to.parse().expect("an address"), port));
    let land = First { source: SocketAddr::new(V4, port), ..First::of(V4, V4, port) };
    let six = ["fd00::100", "fd00::7", "ff02::1", "fe80::1"]
        .map(|to| First::of(V6, to.parse().expect("an address"), port));
    let whole = [&nobody[..], &[land], &six].concat();
    let datagrams: Vec<First> = whole.iter().copied().map(First::datagram).collect();
    let mut all = frames(&[&whole[..], &datagrams].concat());
    let mut next = chance();
    let good = [First::of(V4, HOST.into(), port), First::of(V6, HOST6.into(), port)].map(|good| good.frame());
    for at in 0..2000 {
        let good = &good[at % 2];
        // Of four kinds: a good one that ends early, or has a byte changed; a header with nonsense behind it; nonsense.
        let length = 28 + usize::try_from(next() % 80).expect("a short frame");
        let nonsense: String = (0..length).map(|_| format!("{:02x}", next() & 0xff)).collect();
        all.push(match at % 8 / 2 {
            0 => good[..28 + 2 * (length % (good.len() / 2 - 14))].to_owned(),
            1 => {
                let place = 28 + 2 * (length % (good.len() / 2 - 14));
                format!("{}{:02x}{}", &good[..place], next() & 0xff, &good[place + 2..])
            }
            2 => format!("{}{}", &good[..28], &nonsense[..length * 2 - 28]),
            _ => nonsense,
        });
    }
    send_and_connect((&env, network), &all, &[]);
    assert!(is_quiet(&four), "one of them became a connection");
}

/// Who never answers what came of its first packet keeps nothing for long: the host's side ends when nobody takes it.
#[test]
fn a_handshake_that_is_never_finished_is_given_up() {
    needs!(Userns);
    no_handshake_is_waited_for("user");
}

pub(crate) fn no_handshake_is_waited_for(network: &str) {
    let env = Env::with_busybox();
    let (four, port4) = listener(Ipv4Addr::LOCALHOST.into());
    let (six, port6) = listener(Ipv6Addr::LOCALHOST.into());
    let first = [First::of(V4, HOST.into(), port4), First::of(V6, HOST6.into(), port6)];
    let probe = format!("-v={}:/probe:ro", programs().join("net-probe").display());
    let access = format!("--host-access=loopback:{port4},{port6}");
    let script = format!("/probe send 2 {} && cat", as_sent(network, &frames(&first)).join(" "));
    let network = format!("--network={network}");
    let (waits, input) = std::io::pipe().expect("a pipe");
    let mut shell = env.shell([&network, "--cap-add=NET_RAW", "-i", &access, &probe], &script);
    shell.command().stdin(waits);
    let running = shell.start();
    for listener in [&four, &six] {
        let (mut peer, _) = accept(listener);
        let ended = peer.read(&mut [0; 8]);
        let is_reset = ended.as_ref().is_err_and(|error| error.kind() == ErrorKind::ConnectionReset);
        assert!(is_reset || matches!(ended, Ok(0)), "{ended:?}");
    }
    drop(input);
    running.finish().success();
}
