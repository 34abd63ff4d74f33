//! Every row of what a hostile container tried, on each way in, and IPv6 as IPv4.

use super::*;

const OWN4: &str = "10.0.2.100";
const OWN6: &str = "fd00::100";

fn policy() -> Policy {
    Policy::new(Inner::default(), Options::default())
}

fn with(options: Options) -> Policy {
    Policy::new(Inner::default(), options)
}

fn loopback(ports: &str) -> Policy {
    with(Options { host_access: ports.parse().unwrap(), ..Options::default() })
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// What becomes of a flow from the container's own address of the same family to an address.
fn to(policy: &Policy, protocol: Protocol, address: &str, port: u16) -> Verdict {
    let own = if address.contains(':') { OWN6 } else { OWN4 };
    policy.decide(protocol, (ip(own), 40000).into(), (ip(address), port).into())
}

const BOTH: [Protocol; 2] = [Protocol::Tcp, Protocol::Udp];
const ALL: [Protocol; 3] = [Protocol::Tcp, Protocol::Udp, Protocol::Echo];

#[test]
fn the_world_outside_is_reached_as_it_is_called() {
    for protocol in ALL {
        for address in [
            "192.0.2.1",
            "8.8.8.8",
            "1.0.0.0",
            "126.255.255.255",
            "128.0.0.1",
            "223.255.255.255",
            "10.0.1.255",
            "10.0.3.0",
            "172.17.0.1",
            "192.168.1.1",
            "100.64.0.1",
            "2001:db8::1",
            "fd00:0:0:1::1",
            "fd12::1",
            "fc00::1",
            "::1:0:0:0:1",
            "64:ff9b::8.8.8.8",
            "64:ff9b:1::8.8.8.8",
            "2002:808:808::1",
            "fec0::1",
        ] {
            let expected = SocketAddr::new(ip(address), 443);
            assert_eq!(to(&policy(), protocol, address, 443), Verdict::Connect(expected), "{address}");
        }
    }
}

#[test]
fn what_is_not_out_there_is_not_reached() {
    use Verdict::{Drop, Reject};
    for (address, verdict) in [
        ("0.0.0.0", Drop(Why::Nowhere)),
        ("0.255.255.255", Drop(Why::Nowhere)),
        ("127.0.0.1", Drop(Why::Loopback)),
        ("127.0.0.53", Drop(Why::Loopback)),
        ("127.255.255.255", Drop(Why::Loopback)),
        ("224.0.0.1", Drop(Why::Many)),
        ("239.255.255.250", Drop(Why::Many)),
        ("240.0.0.1", Drop(Why::Many)),
        ("255.255.255.255", Drop(Why::Many)),
        ("10.0.2.255", Drop(Why::Many)),
        ("10.0.2.0", Reject(Why::Network)),
        ("10.0.2.2", Reject(Why::Network)),
        ("10.0.2.100", Reject(Why::Network)),
        ("169.254.0.1", Reject(Why::LinkLocal)),
        ("169.254.1.3", Reject(Why::LinkLocal)),
        ("169.254.169.254", Reject(Why::Metadata)),
        ("169.254.170.2", Reject(Why::Metadata)),
        ("::", Drop(Why::Nowhere)),
        ("::1", Drop(Why::Loopback)),
        ("::2", Drop(Why::Nowhere)),
        ("::127.0.0.1", Drop(Why::Nowhere)),
        ("::8.8.8.8", Drop(Why::Nowhere)),
        ("::ffff:127.0.0.1", Drop(Why::Nowhere)),
        ("::ffff:8.8.8.8", Drop(Why::Nowhere)),
        ("::ffff:10.0.2.1", Drop(Why::Nowhere)),
        ("::ffff:0:127.0.0.1", Drop(Why::Nowhere)),
        ("::ffff:ffff:ffff:ffff", Drop(Why::Nowhere)),
        ("ff02::1", Drop(Why::Many)),
        ("ff0e::1", Drop(Why::Many)),
        ("fe80::1", Reject(Why::LinkLocal)),
        ("febf::1", Reject(Why::LinkLocal)),
        ("fd00::", Reject(Why::Network)),
        ("fd00::2", Reject(Why::Network)),
        ("fd00::100", Reject(Why::Network)),
        ("fd00:ec2::254", Reject(Why::Metadata)),
        ("fd20:ce::254", Reject(Why::Metadata)),
        ("64:ff9b::127.0.0.1", Drop(Why::Loopback)),
        ("64:ff9b::0.0.0.0", Drop(Why::Nowhere)),
        ("64:ff9b::169.254.169.254", Reject(Why::Metadata)),
        ("64:ff9b::10.0.2.1", Reject(Why::Network)),
        ("64:ff9b::224.0.0.1", Drop(Why::Many)),
        ("64:ff9b:1::127.0.0.1", Drop(Why::Loopback)),
        ("2002:7f00:1::1", Drop(Why::Loopback)),
        ("2002:a9fe:a9fe::1", Reject(Why::Metadata)),
    ] {
        for protocol in ALL {
            assert_eq!(to(&policy(), protocol, address, 80), verdict, "{protocol:?} {address}");
            // The right to the host's loopback is one to its alias only.
            assert_eq!(to(&loopback("loopback"), protocol, address, 80), verdict, "{protocol:?} {address}");
        }
    }
}

#[test]
fn who_is_not_the_container_is_not_heard() {
    let decide = |from: &str, to: &str| {
        BOTH.map(|protocol| policy().decide(protocol, from.parse().unwrap(), to.parse().unwrap()))
    };
    for (from, destination) in [
        ("10.0.2.99:1000", "192.0.2.1:80"),
        ("10.0.2.1:1000", "192.0.2.1:80"),
        ("192.0.2.7:1000", "192.0.2.1:80"),
        ("127.0.0.1:1000", "192.0.2.1:80"),
        ("0.0.0.0:1000", "192.0.2.1:80"),
        // The land attack: from itself to itself, by another's name.
        ("192.0.2.1:80", "192.0.2.1:80"),
        ("[fd00::99]:1000", "[2001:db8::1]:80"),
        ("[fd00::1]:1000", "[2001:db8::1]:80"),
        ("[::1]:1000", "[2001:db8::1]:80"),
        ("[::ffff:10.0.2.100]:1000", "[2001:db8::1]:80"),
        ("[fe80::1]:1000", "[2001:db8::1]:80"),
        ("10.0.2.99:1000", "10.0.2.1:53"),
    ] {
        assert_eq!(decide(from, destination), [Verdict::Drop(Why::Source); 2], "{from}");
    }
    for (from, destination) in [("10.0.2.100:1", "[2001:db8::1]:80"), ("[fd00::100]:1", "192.0.2.1:80")] {
        assert_eq!(decide(from, destination), [Verdict::Drop(Why::Families); 2]);
    }
    for (from, destination) in [
        ("10.0.2.100:0", "192.0.2.1:80"),
        ("10.0.2.100:1000", "192.0.2.1:0"),
        ("[fd00::100]:0", "[2001:db8::1]:80"),
        ("[fd00::100]:1000", "[2001:db8::1]:0"),
        ("10.0.2.100:1000", "169.254.1.2:0"),
    ] {
        assert_eq!(decide(from, destination), [Verdict::Drop(Why::Port); 2], "{from} {destination}");
    }
}

#[test]
fn the_gateway_has_a_resolver_and_an_echo_and_nothing_else() {
    for gateway in ["10.0.2.1", "fd00::1"] {
        for protocol in BOTH {
            assert_eq!(to(&policy(), protocol, gateway, 53), Verdict::Router);
            for port in [1, 2, 80, 54] {
                assert_eq!(to(&policy(), protocol, gateway, port), Verdict::Reject(Why::Gateway));
            }
        }
        assert_eq!(to(&policy(), Protocol::Echo, gateway, 0), Verdict::Router);
    }
    assert_eq!(Why::Gateway.trouble(), Trouble::Port);
}

#[test]
fn the_gateway_is_the_host_s_loopback_where_it_is_meant_to_be() {
    let mapped = with(Options { loopback_at_gateway: Families::BOTH, ..Options::default() });
    for (gateway, local, alias) in
        [("10.0.2.1", "127.0.0.1", "169.254.1.2"), ("fd00::1", "::1", "fd00:0:0:1::2")]
    {
        for protocol in BOTH {
            assert_eq!(to(&mapped, protocol, gateway, 80), Verdict::Connect((ip(local), 80).into()));
            assert_eq!(to(&mapped, protocol, gateway, 53), Verdict::Router);
            assert_eq!(to(&mapped, protocol, alias, 80), Verdict::Reject(Why::Host));
            assert_eq!(to(&mapped, protocol, local, 80), Verdict::Drop(Why::Loopback));
        }
        assert_eq!(to(&mapped, Protocol::Echo, gateway, 0), Verdict::Router);
    }
}

#[test]
fn the_host_s_loopback_is_open_to_the_protocol_that_was_named() {
    let (ways, host_access) = ([("10.0.2.1", "169.254.1.2"), ("fd00::1", "fd00:0:0:1::2")], "loopback");
    for ((gateway, alias), (other_gateway, other_alias)) in [(ways[0], ways[1]), (ways[1], ways[0])] {
        let mut only = Families::NONE;
        only.add(ip(alias));
        let policy = with(Options {
            host_access: host_access.parse().unwrap(),
            loopback_at_alias: only,
            loopback_at_gateway: only,
            ..Options::default()
        });
        for protocol in BOTH {
            for open in [gateway, alias] {
                assert!(matches!(to(&policy, protocol, open, 80), Verdict::Connect(_)), "{open}");
            }
            assert_eq!(to(&policy, protocol, other_gateway, 80), Verdict::Reject(Why::Gateway));
            assert_eq!(to(&policy, protocol, other_alias, 80), Verdict::Reject(Why::Host));
        }
    }
}

#[test]
fn the_host_s_loopback_takes_a_right_to_it() {
    for (alias, local) in [("169.254.1.2", "127.0.0.1"), ("fd00:0:0:1::2", "::1")] {
        let reached = |port| Verdict::Connect((ip(local), port).into());
        for protocol in BOTH {
            assert_eq!(to(&policy(), protocol, alias, 80), Verdict::Reject(Why::Host));
            assert_eq!(to(&loopback("loopback"), protocol, alias, 80), reached(80));
            assert_eq!(to(&loopback("loopback:80-81"), protocol, alias, 81), reached(81));
            assert_eq!(to(&loopback("loopback:80-81"), protocol, alias, 82), Verdict::Reject(Why::Host));
        }
        assert_eq!(to(&policy(), Protocol::Echo, alias, 0), reached(0));
    }
}

#[test]
fn without_that_right_the_alias_is_the_host_as_its_neighbours_see_it() {
    let host = HostAddresses { v4: Some([192, 168, 7, 7].into()), v6: Some("2001:db8::7".parse().unwrap()) };
    let policy = with(Options { host, host_access: "loopback:5432".parse().unwrap(), ..Options::default() });
    for (alias, own, local) in
        [("169.254.1.2", "192.168.7.7", "127.0.0.1"), ("fd00:0:0:1::2", "2001:db8::7", "::1")]
    {
        assert_eq!(to(&policy, Protocol::Tcp, alias, 80), Verdict::Connect((ip(own), 80).into()));
        assert_eq!(to(&policy, Protocol::Tcp, alias, 5432), Verdict::Connect((ip(local), 5432).into()));
    }
    // One of the inner network is the host's on its side: a virtual machine's network is often this one.
    let host = HostAddresses { v4: Some([10, 0, 2, 15].into()), v6: None };
    let policy = with(Options { host, ..Options::default() });
    let alias = to(&policy, Protocol::Tcp, "169.254.1.2", 80);
    assert_eq!(alias, Verdict::Connect(([10, 0, 2, 15], 80).into()));
    assert_eq!(to(&policy, Protocol::Tcp, "10.0.2.15", 80), Verdict::Reject(Why::Network));
    // Whatever the caller takes for the host's address, it is not the loopback, nor many, nor where credentials are.
    for wrong in [[127, 0, 0, 1], [0, 0, 0, 0], [10, 0, 2, 255], [224, 0, 0, 1], [169, 254, 169, 254]] {
        let host = HostAddresses { v4: Some(wrong.into()), v6: Some(Ipv6Addr::LOCALHOST) };
        let mut policy = with(Options { host, ..Options::default() });
        assert_eq!(to(&policy, Protocol::Tcp, "169.254.1.2", 80), Verdict::Reject(Why::Host));
        assert_eq!(to(&policy, Protocol::Tcp, "fd00:0:0:1::2", 80), Verdict::Reject(Why::Host));
        policy.set_host(HostAddresses { v4: Some([192, 168, 7, 8].into()), v6: None });
        assert!(matches!(to(&policy, Protocol::Tcp, "169.254.1.2", 80), Verdict::Connect(_)));
    }
}

#[test]
fn metadata_is_reached_by_who_asks_for_it() {
    let policy = with(Options { metadata: true, ..Options::default() });
    for address in METADATA {
        let source = SocketAddr::new(ip(if address.is_ipv4() { OWN4 } else { OWN6 }), 40000);
        let destination = SocketAddr::new(address, 80);
        assert_eq!(policy.decide(Protocol::Tcp, source, destination), Verdict::Connect(destination));
        assert_eq!(self::policy().decide(Protocol::Tcp, source, destination), Verdict::Reject(Why::Metadata));
    }
    assert_eq!(to(&policy, Protocol::Tcp, "169.254.7.7", 80), Verdict::Reject(Why::LinkLocal));
}

#[test]
fn a_network_without_ipv6_has_nothing_of_it() {
    let policy = Policy::new(Inner { v6: None, ..Inner::default() }, Options::default());
    assert_eq!(to(&policy, Protocol::Tcp, "2001:db8::1", 80), Verdict::Drop(Why::Source));
    assert!(matches!(to(&policy, Protocol::Tcp, "192.0.2.1", 80), Verdict::Connect(_)));
    assert_eq!(policy.appearance(ip("2001:db8::1")), Appearance::Gateway(ip("10.0.2.1")));
    assert_eq!(policy.appearance(ip("::1")), Appearance::Gateway(ip("10.0.2.1")));
}

#[test]
fn a_caller_is_seen_as_itself_where_that_is_possible() {
    let seen = |caller: &str| policy().appearance(ip(caller));
    for caller in ["192.0.2.7", "10.0.3.1", "172.17.0.1", "169.254.7.7", "2001:db8::7", "fd00:1::1"] {
        assert_eq!(seen(caller), Appearance::Itself(ip(caller)));
        // Where no answer leads anywhere else it is somebody of the network.
        let gateway = if ip(caller).is_ipv4() { "10.0.2.1" } else { "fd00::1" };
        assert_eq!(policy().at_home(seen(caller)), Appearance::Gateway(ip(gateway)));
    }
    assert_eq!(seen("::ffff:192.0.2.7"), Appearance::Itself(ip("192.0.2.7")));
    for (caller, host) in [
        ("127.0.0.1", "169.254.1.2"),
        ("127.3.3.3", "169.254.1.2"),
        ("::ffff:127.0.0.1", "169.254.1.2"),
        ("::1", "fd00:0:0:1::2"),
    ] {
        assert_eq!(seen(caller), Appearance::Host(ip(host)), "{caller}");
        assert_eq!(policy().at_home(seen(caller)), seen(caller));
    }
    for (caller, gateway) in [
        ("10.0.2.7", "10.0.2.1"),
        ("10.0.2.100", "10.0.2.1"),
        ("169.254.1.2", "10.0.2.1"),
        ("0.0.0.0", "10.0.2.1"),
        ("224.0.0.1", "10.0.2.1"),
        ("fd00::7", "fd00::1"),
        ("fe80::1", "fd00::1"),
        ("fd00:0:0:1::2", "fd00::1"),
        ("::", "fd00::1"),
    ] {
        assert_eq!(seen(caller), Appearance::Gateway(ip(gateway)), "{caller}");
        assert_eq!(seen(caller).address(), ip(gateway));
    }
}

proptest::proptest! {
    /// Whatever the bits are, no flow goes to this host's loopback, to many, or to a link.
    #[test]
    fn no_address_leads_to_the_host_itself(bits: u128, cut in 0u32..=128, four: bool, own: bool) {
        // Long runs of zeros in front are where the special ones are.
        let bits = bits.checked_shr(cut).unwrap_or_default();
        let bits = if own { bits | 0xfd00 << 112 } else { bits };
        let address: IpAddr = if four {
            let [.., a, b, c, d] = bits.to_be_bytes();
            Ipv4Addr::new(a, b, c, d).into()
        } else {
            Ipv6Addr::from_bits(bits).into()
        };
        let source = (ip(if four { OWN4 } else { OWN6 }), 1).into();
        if let Verdict::Connect(to) = policy().decide(Protocol::Tcp, source, (address, 80).into()) {
            let to = to.ip().to_canonical();
            proptest::prop_assert!(!to.is_loopback() && !to.is_unspecified() && !to.is_multicast(), "{to}");
            proptest::prop_assert!(!policy().inner().contains(to));
            proptest::prop_assert!(!MARTIANS.iter().any(|prefix| prefix.contains(to)));
        }
    }
}
