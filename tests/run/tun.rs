//! `--network user,mode=tun`: the container's connections end in our own TCP, and all else is as ever.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, Ipv6Addr, Shutdown, TcpStream};
use std::time::Duration;

use ctr_tests::image::digest;
use ctr_tests::{Env, needs};
use rustix::process::{Signal, kill_process};

use crate::burst::rests;
use crate::hosts::said;
use crate::ladder::{a_low_port_is_reached, are_cut};
use crate::network::{accept, listener};
use crate::network_again::{held, probe, served_by, supervisor, until};
use crate::semantics::{is_not_reached, is_too_long_inside, sees_the_same};
use crate::{burst, frames, looking, moving, network, network_again, ports, traffic};

/// How long a broken test takes: less than who does not answer is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

const USER: &str = "user,mode=tun";
const FLAG: &str = "--network=user,mode=tun";
const OPEN: &str = "--network=user,mode=tun,host-access=loopback";

/// Bytes that are nowhere like those before them.
fn bytes(length: usize, mut state: u64) -> Vec<u8> {
    let next = || {
        // Xorshift.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    std::iter::repeat_with(next).flatten().take(length).collect()
}

/// Says something to the end, and hears everything.
fn exchange(peer: &TcpStream, says: &[u8]) -> Vec<u8> {
    std::thread::scope(|threads| {
        threads.spawn(|| {
            let mut peer = peer;
            peer.write_all(says).expect("a peer that hears");
            peer.shutdown(Shutdown::Write).expect("an end");
        });
        let (mut heard, mut peer) = (Vec::new(), peer);
        peer.read_to_end(&mut heard).expect("a peer that speaks");
        heard
    })
}

/// What a filter in the container loses of its connections, in both directions, is sent again by either side.
#[test]
fn what_is_lost_on_the_way_is_sent_again() {
    needs!(Userns, Tun, Traffic);
    let env = Env::with_busybox();
    env.ok(["run", "-d", "--name=c", OPEN, &probe(), "busybox", "sleep", "1000"]);
    let pid = env.ok(["inspect", "-f", "{{.State.Pid}}", "c"]);
    let lose = |hook: &str| {
        format!(
            "add chain inet lossy {hook} {{ type filter hook {hook} priority 0; }}; \
             add rule inet lossy {hook} meta l4proto tcp numgen inc mod 29 == 7 counter drop;"
        )
    };
    // Short packets, so that there are many to be lost.
    let filter = format!("add table inet lossy; {} {}", lose("input"), lose("output"));
    let in_container = |script: &str| env.ok(["unshare", "nsenter", "-t", &pid, "-n", "sh", "-c", script]);
    in_container(&format!("ip link set eth0 mtu 1500 && nft '{filter}'"));
    let (said_inside, said_outside) = (bytes(300_000, 7), bytes(2_000_000, 9));
    let file = env.file("said", &said_inside);
    for (at, host) in [
        (Ipv4Addr::LOCALHOST.into(), "169.254.1.2".to_owned()),
        (Ipv6Addr::LOCALHOST.into(), "fd00:0:0:1::2".to_owned()),
    ] {
        let (listener, port) = listener(at);
        let mut talk = env.ctr(["exec", "-i", "c", "sh", "-c", &format!("nc {host} {port} | sha256sum")]);
        talk.command().stdin(std::fs::File::open(&file).expect("the file"));
        let talk = talk.start();
        let (peer, _) = accept(&listener);
        let heard = exchange(&peer, &said_outside);
        assert_eq!(digest(&heard), digest(&said_inside), "{} of {} bytes", heard.len(), said_inside.len());
        let sum = talk.finish().success();
        let words = digest(&said_outside);
        assert_eq!(sum.split_whitespace().next(), words.strip_prefix("sha256:"), "{host}");
    }
    let rules = in_container("nft list table inet lossy");
    assert!(rules.matches("counter packets ").count() == 2 && !rules.contains("packets 0 "), "{rules}");
    env.ok(["rm", "-f", "-t0", "c"]);
}

#[test]
fn connections_and_datagrams_are_what_they_are_on_the_host() {
    needs!(Userns, Tun);
    sees_the_same(USER);
    is_not_reached(USER);
}

#[test]
fn what_the_host_has_no_way_or_no_room_for_is_unreachable() {
    needs!(Userns, Tun, Iproute, Traffic);
    moving::a_host_gets_its_network_later(USER);
    moving::without_a_free_port(USER);
    burst::who_finds_no_room_is_told(USER);
}

#[test]
fn a_wire_of_the_hosts_that_loses_frames_costs_time_and_nothing_else() {
    needs!(Userns, Tun, Iproute, Traffic);
    traffic::a_wire_loses_frames(USER);
}

#[test]
fn addresses_come_again_and_peers_are_asked_whether_they_are_there() {
    needs!(Userns, Tun, Iproute, Traffic);
    traffic::addresses_come_again(USER);
}

#[test]
fn what_is_too_long_for_the_way_is_so_inside() {
    needs!(Userns, Tun, Iproute);
    is_too_long_inside(USER);
}

/// An interface of an ordinary length has packets cut before they come here.
#[test]
fn what_was_cut_inside_is_put_together() {
    needs!(Userns, Tun, Iproute, Traffic);
    let script = r#"
        network=user,mode=tun
        neighbour
        sysctl -qw net.ipv4.ping_group_range='0 0'
        serving there.log there $probe serve '[::]:7'
        container
        inside ip link set eth0 mtu 1500
        words=$(printf 'x%.0s' {1..6000})
        for from in 0.0.0.0:0,198.51.100.1 [::]:0,2001:db8::1; do
            to=${from#*,}; from=${from%,*}
            inside ping -c 1 -W 5 -s 4000 $to | grep -o '[0-9]* received'
            inside $probe ask udp $from "$(case $to in *:*) echo "[$to]" ;; *) echo $to ;; esac):7" $words | sed 's/.* //' | wc -c
        done
    "#;
    assert_eq!(said(script), "1 received\n6000\n1 received\n6000");
}

#[test]
fn connections_carry_everything() {
    needs!(Userns, Tun);
    network::carries_everything(OPEN);
    network::last_words_are_heard(OPEN);
}

#[test]
fn whoever_answers_a_datagram_is_heard() {
    needs!(Userns, Tun);
    network::datagrams_come_and_go(OPEN);
    network::last_datagrams_are_heard(OPEN);
    are_cut(OPEN);
    a_low_port_is_reached(FLAG);
}

#[test]
fn programs_that_people_use_work_from_inside() {
    needs!(Userns, Tun, Iproute, Traffic);
    traffic::programs_work_from_inside(USER);
    traffic::a_game_is_played(USER);
}

#[test]
fn what_becomes_of_each_flow_is_told() {
    needs!(Userns, Tun);
    looking::flows_are_told(OPEN);
}

#[test]
fn names_are_known() {
    needs!(Userns, Tun);
    network::names_are_known(FLAG);
}

#[test]
fn ports_are_published() {
    needs!(Userns, Tun);
    ports::the_host_is_who_calls(FLAG);
    ports::callers_of_ipv6_find_ipv4(FLAG);
}

#[test]
fn a_caller_from_elsewhere_is_who_it_is() {
    needs!(Userns, Tun, Iproute);
    assert_eq!(ports::callers_from_elsewhere(USER), ports::callers_from_elsewhere("user"));
}

#[test]
fn a_killed_one_comes_again() {
    needs!(Userns, Tun);
    network_again::a_killed_one_comes_again(OPEN);
    network_again::the_next_one_serves_ports(FLAG);
}

#[test]
fn no_packet_reaches_what_is_not_the_containers() {
    needs!(Userns, Tun);
    frames::no_first_packet_reaches_loopback(USER);
    frames::no_datagram_reaches_loopback(USER);
    frames::no_wrong_first_packet_is_taken(USER);
    frames::no_wrong_datagram_is_taken(USER);
    frames::nonsense_harms_nobody(USER);
    frames::no_handshake_is_waited_for(USER);
}

/// Who may do what it likes with its interface takes it away: nobody is busy with what is not there.
#[test]
fn an_interface_that_is_gone_keeps_nobody_busy() {
    needs!(Userns, Tun);
    let env = Env::with_busybox();
    let (listener, port) = listener(Ipv4Addr::LOCALHOST.into());
    let script = format!("/probe hold 169.254.1.2:{port} & read word; ip link del eth0; echo gone; cat");
    let (hears, mut says) = std::io::pipe().expect("a pipe");
    let mut shell = env.shell([OPEN, "--name=c", "--cap-add=NET_ADMIN", "-i", &probe()], &script);
    shell.command().stdin(hears);
    let mut running = shell.start();
    let _peer = held(&listener);
    says.write_all(b"word\n").expect("somebody who reads");
    running.wait_for("gone");
    let netd = served_by(supervisor(&env), None);
    until("it does not come to rest", || rests(netd).then_some(()));
    drop(says);
    running.finish().success();
}

/// Who is outside hears of it at once, who calls hears that nobody is there, and the next one that serves does as well.
#[test]
fn an_interface_that_is_gone_keeps_nobody_waiting() {
    needs!(Userns, Tun);
    let env = Env::with_busybox();
    let (listener, port) = listener(Ipv4Addr::LOCALHOST.into());
    let script = format!("/probe hold 169.254.1.2:{port} & exec sleep 1000");
    let flags = [OPEN, "-p", "127.0.0.1::7", "--cap-add=NET_ADMIN", &probe()].map(str::to_owned);
    env.ctr(["run", "-d", "--name=c"]).args(flags).args(["busybox", "sh", "-c", &script]).run().success();
    let peer = held(&listener);
    let published = env.ok(["port", "c", "7"]);
    env.ok(["exec", "c", "ip", "link", "del", "eth0"]);
    assert!(is_reset(&peer));
    // A caller may be taken before it is turned away.
    let is_nobody_there = || TcpStream::connect(&published).map_or(true, |peer| is_reset(&peer));
    assert!(is_nobody_there());
    let netd = served_by(supervisor(&env), None);
    kill_process(netd, Signal::KILL).expect("a live process");
    let next = served_by(supervisor(&env), Some(netd));
    assert!(is_nobody_there());
    until("it does not come to rest", || rests(next).then_some(()));
    assert_eq!(env.ok(["inspect", "-f", "{{.NetworkSettings.Ended}}", "c"]), "1");
    env.ok(["rm", "-f", "-t0", "c"]);
}

/// Whether all that somebody hears is that it is over.
fn is_reset(mut peer: &TcpStream) -> bool {
    peer.set_read_timeout(Some(PATIENCE)).expect("a time limit");
    peer.read(&mut [0]).map_err(|error| error.kind()) == Err(ErrorKind::ConnectionReset)
}

/// Nothing that was sent before can come behind the end of a connection: its ports are free for the next one at once.
#[test]
fn the_ports_of_a_connection_that_has_ended_are_free_again() {
    needs!(Userns, Tun, Traffic);
    // So much, faster than the clock by which a kernel chooses them, that the numbers of the second connection are behind those of the first.
    const MUCH: usize = 200_000_000;
    let env = Env::with_busybox();
    let (listener, port) = listener(Ipv4Addr::LOCALHOST.into());
    env.ok(["run", "-d", "--name=c", OPEN, "busybox", "sleep", "1000"]);
    let pid = env.ok(["inspect", "-f", "{{.State.Pid}}", "c"]);
    let to = format!("TCP:169.254.1.2:{port},bind=10.0.2.100:5000,reuseaddr");
    for much in [MUCH, 1] {
        let say = ["unshare", "nsenter", "-t", &pid, "-n", "socat", "-t0", "/dev/zero!!-", &to];
        let running = env.ctr(say).start();
        let (mut peer, _) = accept(&listener);
        let (mut room, mut heard) = (vec![0; 1 << 20], 0);
        while heard < much {
            heard += peer.read(&mut room).expect("what is said");
        }
        // Whoever ends first is who waits for what is late.
        peer.shutdown(Shutdown::Write).expect("an end");
        while peer.read(&mut room).expect("the rest") > 0 {}
        running.finish().success();
    }
    let said = env.ok(["exec", "c", "cat", "/proc/net/netstat"]);
    env.ok(["rm", "-f", "-t0", "c"]);
    let mut counted = said.lines().filter_map(|line| line.strip_prefix("TcpExt: "));
    let (names, values) = counted.next().zip(counted.next()).expect("what the kernel has counted");
    let asked_again = names.split(' ').zip(values.split(' ')).find(|(name, _)| *name == "TCPSynRetrans");
    let asked_again: u32 = asked_again.and_then(|(_, count)| count.parse().ok()).expect("a number");
    // A machine that is busy for a second may have it asked again once. Ports that are not free are asked for until they are.
    assert!(asked_again < 2, "{asked_again}");
}

/// A container that rejects by a filter says so in another protocol.
#[test]
fn who_is_turned_away_by_a_filter_hears_it() {
    needs!(Userns, Tun, Traffic);
    let env = Env::with_busybox();
    let flags = [FLAG, "-p", "127.0.0.1::7", "-p", "[::1]::7"];
    env.ok([&["run", "-d", "--name=c"][..], &flags, &["busybox", "sleep", "1000"]].concat());
    let pid = env.ok(["inspect", "-f", "{{.State.Pid}}", "c"]);
    for why in ["port-unreachable", "admin-prohibited"] {
        let filter = format!(
            "add table inet shut; delete table inet shut; add table inet shut; \
             add chain inet shut input {{ type filter hook input priority 0; }}; \
             add rule inet shut input tcp dport 7 reject with icmpx type {why}"
        );
        env.ok(["unshare", "nsenter", "-t", &pid, "-n", "nft", &filter]);
        for published in env.ok(["port", "c", "7"]).lines() {
            assert!(
                is_reset(&TcpStream::connect(published).expect("a published port")),
                "{why}: {published}"
            );
        }
    }
    env.ok(["rm", "-f", "-t0", "c"]);
}
