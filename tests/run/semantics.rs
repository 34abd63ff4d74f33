//! The same program sees the same of the same peers, on the host and in a container: refusals, ends, resets, datagrams of every length.
//!
//! What is not the same is urgent data (the byte out of band is lost, what is around it is not), and that is all that is known.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr};
use std::process::Command;

use ctr_tests::env::programs;
use ctr_tests::{Env, needs};
use rustix::net::sockopt::set_socket_linger;

use crate::hosts::said;
use crate::network::{accept, closed, datagrams, listener};

/// Datagrams that the echo answers: as many as the program sends.
const ECHOES: usize = 6;

/// Has a program meet peers at an address of the loopback, and gives what they saw of it and what it said.
fn met(at: IpAddr, meet: impl FnOnce(&[u16]) -> String) -> String {
    let (first, half, resets, reset, echo) =
        (listener(at), listener(at), listener(at), listener(at), datagrams(at));
    let ports = [closed(at), first.1, half.1, resets.1, reset.1, closed(at), echo.1];
    std::thread::scope(|threads| {
        let peers = threads.spawn(|| {
            accept(&first.0).0.write_all(b"hello").expect("a word");
            let (mut peer, _) = accept(&half.0);
            peer.write_all(b"that is all").expect("words");
            peer.shutdown(Shutdown::Write).expect("an end");
            let mut after = String::new();
            peer.read_to_string(&mut after).expect("what comes after the end");
            let (mut peer, _) = accept(&resets.0);
            peer.read_exact(&mut [0; 1]).expect("a byte");
            set_socket_linger(&peer, Some(std::time::Duration::ZERO)).expect("a reset");
            drop(peer);
            let (mut peer, _) = accept(&reset.0);
            peer.write_all(b"x").expect("a byte");
            let ended = peer.read(&mut [0; 8]).map_err(|error| error.kind());
            let mut room = vec![0; 1 << 16];
            for _ in 0..ECHOES {
                let (length, from) = echo.0.recv_from(&mut room).expect("a datagram");
                let sent = echo.0.send_to(room.get(..length).unwrap_or_default(), from).expect("its echo");
                assert_eq!(sent, length);
            }
            assert_eq!(ended, Err(ErrorKind::ConnectionReset));
            format!("the peer heard {after:?}, and then {ended:?}")
        });
        let said = meet(&ports);
        format!("{said}\n{}", peers.join().expect("the peers"))
    })
}

fn words(host: IpAddr, ports: &[u16]) -> String {
    ports.iter().map(|port| format!(" {}", SocketAddr::new(host, *port))).collect()
}

#[test]
fn what_a_program_sees_is_what_it_would_see_on_the_host() {
    needs!(Userns);
    sees_the_same("user");
}

/// A program sees the same in a network as on the host.
pub(crate) fn sees_the_same(network: &str) {
    let env = Env::with_busybox();
    let probe = programs().join("net-probe");
    let mounted = format!("-v={}:/probe:ro", probe.display());
    let aliases: [(IpAddr, IpAddr); 2] = [
        (Ipv4Addr::LOCALHOST.into(), Ipv4Addr::new(169, 254, 1, 2).into()),
        (Ipv6Addr::LOCALHOST.into(), Ipv6Addr::new(0xfd00, 0, 0, 1, 0, 0, 0, 2).into()),
    ];
    for (loopback, alias) in aliases {
        let on_host = met(loopback, |ports| {
            let words = words(loopback, ports);
            let output = Command::new(&probe)
                .arg("behave")
                .args(words.split_whitespace())
                .output()
                .expect("the probe");
            assert!(output.status.success(), "{output:?}");
            String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
        });
        assert!(on_host.contains("refused: Some(ConnectionRefused)\nspeaks first: \"hello\""), "{on_host}");
        assert!(
            on_host.contains("reset: Err(ConnectionReset)") && on_host.contains("echo: (65487, Ok(true))"),
            "{on_host}"
        );
        let network = format!("--network={network}");
        let flags = [&network, "--host-access=loopback", &mounted];
        let inside = met(loopback, |ports| env.sh(flags, &format!("/probe behave {}", words(alias, ports))));
        assert_eq!(inside, on_host, "{alias}");
    }
}

/// A wire that is narrow, and one that is so further on: what may be cut arrives, what must not be is refused, with the length that fits.
#[test]
fn what_is_too_long_for_the_way_is_so_inside() {
    needs!(Userns, Iproute);
    is_too_long_inside("user");
}

pub(crate) fn is_too_long_inside(network: &str) {
    let script = r#"
        neighbour
        unshare --net sh -c 'echo; exec sleep 1000' >further.is.there & further=$!
        until [ -s further.is.there ]; do kill -0 $further; done
        further() { nsenter --target $further --net -- "$@"; }
        there ip link add n0 mtu 1380 type veth peer name f0 mtu 1380 netns $further
        there ip addr add 203.0.113.1/24 dev n0
        there ip addr add 2001:db8:1::1/64 dev n0 nodad
        there ip link set n0 up
        there sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
        further ip link set lo up
        further ip addr add 203.0.113.9/24 dev f0
        further ip addr add 2001:db8:1::9/64 dev f0 nodad
        further ip link set f0 up
        further ip route add default via 203.0.113.1
        further ip -6 route add default via 2001:db8:1::1
        serving there.log there $probe serve '[::]:7'
        serving further.log further $probe serve '[::]:7'
        container
        try() { inside $probe sizes $1 $2; $probe sizes $1 $2; }
        for to in 203.0.113.9:7 '[2001:db8:1::9]:7'; do echo $to; try $to 1450; done
        ip link set h0 mtu 1400
        there ip link set h1 mtu 1400
        for to in 198.51.100.1:7 '[2001:db8::1]:7'; do
            echo $to; try $to 1450
            case $to in [*) from=[::]:0 ;; *) from=0.0.0.0:0 ;; esac
            inside $probe ask udp $from $to $(printf 'x%.0s' {1..4000}) | sed 's/.* //' | wc -c
        done
    "#;
    let too_long = |fits: u32| {
        format!("cut: \"answered\"\ntoo long: (Refused, {fits})\ntoo long: (Tried, {fits})\n").repeat(2)
    };
    let far = ["203.0.113.9:7", "[2001:db8:1::9]:7"].map(|to| format!("{to}\n{}", too_long(1380))).concat();
    let near =
        ["198.51.100.1:7", "[2001:db8::1]:7"].map(|to| format!("{to}\n{}4000\n", too_long(1400))).concat();
    assert_eq!(format!("{}\n", said(&format!("network={network}\n{script}"))), format!("{far}{near}"));
}

/// What the container's kernel is told of the way to an address it takes for true of whoever has that address: of the gateway, whom a
/// caller looks like whose own means somebody else inside, it is told nothing.
#[test]
fn a_caller_who_is_seen_as_the_gateway_makes_no_way_to_it_narrow() {
    needs!(Userns, Iproute);
    let script = r#"
        neighbour
        there ip addr add 10.0.2.77/32 dev h1
        ip route add 10.0.2.77/32 dev h0
        ip link set h0 mtu 1400
        there ip link set h1 mtu 1400
        container -p 7000:7/udp
        serving inside.log ctr exec c /probe serve '[::]:7'
        words=$(printf 'x%.0s' {1..1390})
        for caller in 10.0.2.77 198.51.100.1; do
            there $probe ask udp $caller:4000 198.51.100.7:7000 $words | sed 's/x*$//'
            echo
        done
        for to in 10.0.2.1 198.51.100.1; do inside ip route get $to | grep -o 'mtu [0-9]*' || echo as wide as ever; done
    "#;
    let seen = ["[::ffff:10.0.2.1]:4000 ", "[::ffff:198.51.100.1]:4000 ", "as wide as ever", "mtu 1400"];
    assert_eq!(said(script).lines().collect::<Vec<_>>(), seen);
}

/// Whose first packets are lost waits as long as it likes, and a connection has those options of TCP that the host's own have.
#[test]
fn who_is_not_heard_waits_and_who_is_has_all_of_tcp() {
    needs!(Userns, Iproute, Traffic);
    let script = r#"
        neighbour
        there nft 'add table inet t; add chain inet t in { type filter hook input priority 0; }; add rule inet t in tcp dport 9 drop'
        serving there.log there $probe serve '[::]:7'
        container
        for host in 198.51.100.1 '[2001:db8::1]'; do
            for at in env inside; do
                $at timeout 1 $probe connect "$host:9" || echo $?
                sleep 1000 | $at socat - "TCP:$host:7" >"out.$at.$host" &
                until [ -s "out.$at.$host" ]; do kill -0 $pid; done
                $at ss -Htni state established dst "$host" dport = 7 | grep -Eo '\b(ts|sack|wscale|pmtu:[0-9]+)' | xargs
            done
        done
    "#;
    let heard = said(script);
    let heard: Vec<&str> = heard.lines().collect();
    assert_eq!(heard.len(), 8, "{heard:?}");
    for of_family in heard.chunks(4) {
        let &[late, on_host, late_inside, inside] = of_family else { panic!("{of_family:?}") };
        assert_eq!([late, late_inside], ["124"; 2]);
        let options = on_host.strip_suffix(" pmtu:1500").expect("the wire's length");
        assert!(options.ends_with("wscale"), "{options}");
        assert_eq!(inside.strip_suffix(" pmtu:65520"), Some(options));
    }
}

/// Where the host has no way, or nobody answers on its link, it says so, and so it is said inside.
#[test]
fn what_the_host_cannot_reach_is_not_reached_for_the_same_reason() {
    needs!(Userns);
    is_not_reached("user");
}

pub(crate) fn is_not_reached(network: &str) {
    let said = said(&format!(
        "lonely
        ip route add unreachable 203.0.113.0/24
        for to in 192.0.2.1:80 203.0.113.1:80 198.51.100.9:80 '[2001:db8:1::1]:80' '[2001:db8::9]:80'; do
            echo $to; $probe connect $to
            ctr run --rm --network={network} -v $probe:/probe:ro $image /probe connect $to
        done",
    ));
    let lines: Vec<&str> = said.lines().collect();
    for rows in lines.chunks(3) {
        assert!(rows.len() == 3 && rows[1] == rows[2] && rows[1].contains("Unreachable"), "{rows:?}");
    }
    assert_eq!(lines.len(), 15, "{said}");
}
