//! `--network user`: a network by a process of the user's own.
//!
//! The host's side of each test is a socket of the test's on the host's loopback, which the container reaches by the host's alias
//! where that is allowed: no packet leaves the machine.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use ctr_tests::{Env, needs};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Signal, kill_process};

use crate::network_again::{child, probe, served_by, supervisor_of, until};

/// How long a broken test takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// Lets a container reach the host's loopback.
const OPEN: &str = "--network=user,host-access=loopback";

/// The host, as a container names it, for both protocols.
pub(crate) const HOSTS: [(IpAddr, &str); 2] =
    [(IpAddr::V4(Ipv4Addr::LOCALHOST), "169.254.1.2"), (IpAddr::V6(Ipv6Addr::LOCALHOST), "[fd00:0:0:1::2]")];

pub(crate) fn listener(at: IpAddr) -> (TcpListener, u16) {
    let listener = TcpListener::bind(SocketAddr::new(at, 0)).expect("a port of the loopback");
    let port = listener.local_addr().expect("its address").port();
    (listener, port)
}

/// Takes the next connection, within the time that a broken test takes.
pub(crate) fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    let limit = Timespec { tv_sec: 20, tv_nsec: 0 };
    let ready = poll(&mut [PollFd::new(listener, PollFlags::IN)], Some(&limit)).expect("a socket");
    assert_eq!(ready, 1, "nobody connects");
    let accepted = listener.accept().expect("a connection");
    accepted.0.set_read_timeout(Some(PATIENCE)).expect("a time limit");
    accepted
}

pub(crate) fn datagrams(at: IpAddr) -> (UdpSocket, u16) {
    let socket = UdpSocket::bind(SocketAddr::new(at, 0)).expect("a port of the loopback");
    socket.set_read_timeout(Some(PATIENCE)).expect("a time limit");
    let port = socket.local_addr().expect("its address").port();
    (socket, port)
}

/// A port that nobody has.
pub(crate) fn closed(at: IpAddr) -> u16 {
    listener(at).1
}

#[test]
fn a_connection_carries_everything_both_ways_to_its_end() {
    needs!(Userns);
    carries_everything(OPEN);
}

pub(crate) fn carries_everything(network: &str) {
    let env = Env::with_busybox();
    let sent: Vec<u8> = (0..3_000_000_u32).flat_map(|at| (at % 251).to_le_bytes()).collect();
    for (at, host) in HOSTS {
        let (listener, port) = listener(at);
        let sent = &sent;
        let (heard, said) = std::thread::scope(|threads| {
            let served = threads.spawn(move || {
                let (mut peer, _) = accept(&listener);
                let mut request = Vec::new();
                // The container says that it has no more to say, and hears everything after that.
                peer.read_to_end(&mut request).expect("the request");
                peer.write_all(sent).expect("the answer");
                request
            });
            let host = host.trim_matches(['[', ']']);
            let script = format!("seq 1 200000 | nc {host} {port} | md5sum");
            let said = env.sh([network], &script);
            (served.join().expect("the server"), said)
        });
        let lines: String = (1..=200_000).map(|line| format!("{line}\n")).collect();
        assert_eq!(heard, lines.as_bytes(), "{host}");
        let wanted = env.file("sent", sent);
        let wanted = std::process::Command::new("md5sum").arg(&wanted).output().expect("md5sum");
        assert_eq!(
            said.split(' ').next(),
            String::from_utf8_lossy(&wanted.stdout).split(' ').next(),
            "{host}"
        );
    }
}

#[test]
fn a_refusal_inside_is_the_refusal_outside() {
    needs!(Userns);
    let env = Env::with_busybox();
    let nc = |network: &str, host: &str, port: u16| {
        let script = format!("nc -w 5 {} {port} </dev/null", host.trim_matches(['[', ']']));
        env.shell([network], &script).run().fails(1)
    };
    for (at, host) in HOSTS {
        let said = nc(OPEN, host, closed(at));
        assert!(said.contains("Connection refused"), "{host}: {said}");
        // What is not allowed is not there.
        let (_listener, port) = listener(at);
        for closed in ["--network=user", "--network=slirp4netns:allow_host_loopback=false"] {
            let said = nc(closed, host, port);
            assert!(said.contains("refused") || said.contains("unreachable"), "{host}, {closed}: {said}");
        }
    }
    // A gateway without services, and where clouds hand out credentials.
    let said = nc(OPEN, "10.0.2.1", 80);
    assert!(said.contains("Connection refused"), "{said}");
    let said = nc(OPEN, "169.254.169.254", 80);
    assert!(said.contains("unreachable"), "{said}");
}

#[test]
fn only_the_ports_that_were_named_are_open() {
    needs!(Userns);
    let env = Env::with_busybox();
    let (open, port) = listener(Ipv4Addr::LOCALHOST.into());
    let (_shut, other) = listener(Ipv4Addr::LOCALHOST.into());
    let network = format!("--network=user,host-access=loopback:{port}");
    let script = format!("nc 169.254.1.2 {other} || echo hello | nc 169.254.1.2 {port}");
    let running = env.shell([&network], &script).start();
    let (mut peer, _) = accept(&open);
    let mut said = String::new();
    peer.read_to_string(&mut said).expect("what was said");
    assert_eq!(said, "hello\n");
    peer.shutdown(Shutdown::Both).expect("an end");
    running.finish().success();
}

#[test]
fn datagrams_come_and_go_and_whoever_answers_is_heard() {
    needs!(Userns);
    datagrams_come_and_go(OPEN);
}

pub(crate) fn datagrams_come_and_go(network: &str) {
    let env = Env::with_busybox();
    for (at, host) in HOSTS {
        let (asked, port) = datagrams(at);
        let (answering, _) = datagrams(at);
        let bare = host.trim_matches(['[', ']']);
        let running = env.shell([network], &format!("tftp -g -r name -l - {bare} {port}")).start();
        let mut room = [0; 2048];
        let (length, from) = asked.recv_from(&mut room).expect("a request");
        assert!(room.get(..length).is_some_and(|bytes| bytes.starts_with(b"\0\x01name\0octet\0")), "{host}");
        // A block of 512 is not the last. As the protocol wants it, it comes from another port than the one that was asked.
        answering.send_to(&[b"\0\x03\0\x01", &[b'x'; 512][..]].concat(), from).expect("a block");
        let (length, again) = answering.recv_from(&mut room).expect("its receipt");
        assert_eq!((room.get(..length), again), (Some(&b"\0\x04\0\x01"[..]), from), "one port for all");
        answering.send_to(b"\0\x03\0\x02last\n", from).expect("the last block");
        let said = running.finish().success();
        assert_eq!((said.len(), said.get(512..)), (516, Some("last")), "{host}");
    }
}

#[test]
fn a_datagram_that_is_refused_is_refused_inside() {
    needs!(Userns);
    let env = Env::with_busybox();
    for (at, host) in HOSTS {
        let port = closed(at);
        let bare = host.trim_matches(['[', ']']);
        let script = format!("nslookup -retry=1 -timeout=1 -port={port} name.invalid {bare} 2>&1; :");
        let said = env.sh([OPEN], &script);
        assert!(said.contains("Connection refused"), "{host}: {said}");
    }
}

#[test]
fn a_container_knows_its_names_and_the_hosts() {
    needs!(Userns);
    let env = Env::with_busybox();
    let said =
        env.sh(["--network=user", "--name=me", "--hostname=here"], "cat /etc/hosts; ip -o addr; ip route");
    for line in ["169.254.1.2\thost.containers.internal host.docker.internal", "10.0.2.100\there me"] {
        assert!(said.lines().any(|said| said == line), "{line}: {said}");
    }
    for address in ["inet 10.0.2.100/24", "inet6 fd00::100/64", "inet 127.0.0.1/8", "default via 10.0.2.1"] {
        assert!(said.contains(address), "{address}: {said}");
    }
    let said =
        env.sh(["--network=user,cidr=10.77.0.0/16,ipv6=false"], "cat /etc/hosts; ip -o addr; ip route");
    assert!(said.contains("inet 10.77.0.100/16") && said.contains("default via 10.77.0.1"), "{said}");
    assert!(said.contains("10.77.0.100\t") && !said.contains("fd00"), "{said}");
    assert_eq!(env.sh(["--network=none"], "cat /sys/class/net/*/ifindex"), "1");
}

#[test]
fn a_kept_container_has_its_network_at_each_start() {
    needs!(Userns);
    let env = Env::with_busybox();
    let (listener, port) = listener(Ipv4Addr::LOCALHOST.into());
    let script = format!("echo $HOSTNAME | nc 169.254.1.2 {port}; exec sleep 1000");
    let run = ["run", "-d", OPEN, "--name=c", "--hostname=kept", "--stop-signal=KILL", "busybox", "sh", "-c"];
    env.ok(run.into_iter().chain([script.as_str()]));
    let hello = || {
        let (mut peer, _) = accept(&listener);
        let mut said = String::new();
        peer.read_to_string(&mut said).expect("what was said");
        said
    };
    assert_eq!(hello(), "kept\n");
    assert_eq!(env.ok(["inspect", "-f", "{{.HostConfig.NetworkMode}}", "c"]), "user");
    let found =
        env.ok(["inspect", "-f", "{{.NetworkSettings.SandboxKey}} {{json .NetworkSettings.Networks}}", "c"]);
    assert!(found.starts_with("/proc/") && found.contains("/ns/net {\"user\":{"), "{found}");
    // Who joins the container joins its network.
    let said = env.sh(["--network=container:c"], "ip -o addr show eth0");
    assert!(said.contains("inet 10.0.2.100/24"), "{said}");
    env.ok(["stop", "c"]);
    env.ok(["start", "c"]);
    assert_eq!(hello(), "kept\n");
    let running = env.ctr(["exec", "c", "sh", "-c", &format!("echo again | nc 169.254.1.2 {port}")]).start();
    assert_eq!(hello(), "again\n");
    running.finish().success();
    env.ok(["rm", "-f", "c"]);
}

/// A question over TCP: for the address of `host.containers.internal`.
const QUESTION: &str = r"\000\052\022\064\001\000\000\001\000\000\000\000\000\000\004host\012containers\010internal\000\000\001\000\001";

#[test]
fn the_gateway_knows_the_names_of_the_network() {
    needs!(Userns);
    names_are_known("--network=user");
}

pub(crate) fn names_are_known(network: &str) {
    let env = Env::with_busybox();
    let user = [network, "--no-hosts"];
    let said = env.sh(user, "cat /etc/resolv.conf");
    assert!(said.starts_with("search dns.podman") && said.contains("\nnameserver 10.0.2.1"), "{said}");
    let said = env.sh(user, "nslookup host.containers.internal");
    assert!(said.contains("Address: 169.254.1.2") && said.contains("Address: fd00:0:0:1::2"), "{said}");
    // What is in a domain of ours and is not there is asked of nobody.
    let said = env.shell(user, "nslookup nobody.dns.podman 2>&1").run();
    assert!(said.exits(1).contains("NXDOMAIN"));
    let script = format!("printf '{QUESTION}' | nc -w 5 10.0.2.1 53 | xxd -p | tr -d '\\n'");
    let said = env.sh(user, &script);
    assert!(said.contains("12348580") && said.ends_with("a9fe0102"), "{said}");
    // Somebody who begins to ask and does not go on keeps nobody waiting.
    let script = "(printf '\\000'; sleep 100) | nc 10.0.2.1 53 & nslookup host.docker.internal; kill $!";
    assert!(env.sh(user, script).contains("Address: 169.254.1.2"));
}

#[test]
fn what_a_container_said_last_is_heard_after_its_end() {
    needs!(Userns);
    last_words_are_heard(OPEN);
}

pub(crate) fn last_words_are_heard(network: &str) {
    /// More than the host's side has room for, and less than there is room on the whole way.
    const LENGTH: usize = 3 << 20;
    let env = Env::with_busybox();
    let probe = probe();
    for flags in [&["--rm"][..], &["--name=kept"]] {
        let (listener, port) = listener(Ipv4Addr::LOCALHOST.into());
        let (address, length) = (format!("169.254.1.2:{port}"), LENGTH.to_string());
        let command = [network, &probe, ctr_tests::BUSYBOX, "/probe", "tell", &address, &length];
        let running = env.ctr([&["run"], flags, &command].concat()).start();
        let (mut peer, _) = accept(&listener);
        // Nobody has listened so far.
        running.finish().success();
        let mut said = Vec::new();
        peer.read_to_end(&mut said).expect("all of it, and no reset");
        assert_eq!(said.len(), LENGTH, "{flags:?}");
    }
}

/// The process that serves is stopped while the container speaks and ends: more waits than is heard at a time.
#[test]
fn datagrams_that_a_container_sent_last_are_heard_after_its_end() {
    needs!(Userns);
    last_datagrams_are_heard(OPEN);
}

pub(crate) fn last_datagrams_are_heard(network: &str) {
    const COUNT: usize = 200;
    let env = Env::with_busybox();
    let (hears, port) = datagrams(Ipv4Addr::LOCALHOST.into());
    env.program("mkfifo", ["go"]).run().success();
    let binds = [probe(), format!("-v={}:/go", env.path("go").display())];
    let script = format!("read word </go; exec /probe datagrams 169.254.1.2:{port} {COUNT}");
    let run =
        ["run", "-d", "--name=c", network, &binds[0], &binds[1], ctr_tests::BUSYBOX, "sh", "-c", &script];
    env.ok(run);
    let init: i32 = env.ok(["inspect", "-f", "{{.State.Pid}}", "c"]).parse().expect("a process id");
    let netd = served_by(supervisor_of(&env, "c"), None);
    kill_process(netd, Signal::STOP).expect("it is ours");
    std::fs::write(env.path("go"), "word\n").expect("somebody who reads");
    until("it does not end", || child(init).is_none_or(|it| it.state == 'Z').then_some(()));
    kill_process(netd, Signal::CONT).expect("it is ours");
    let mut room = [0; 8];
    let mut heard: Vec<u8> = Vec::new();
    for _ in 0..COUNT {
        assert_eq!(hears.recv(&mut room).expect("another datagram"), 4, "after {}", heard.len());
        heard.extend(&room[..1]);
    }
    heard.sort_unstable();
    assert!(heard.iter().copied().eq(0..200), "{heard:?}");
    env.ok(["rm", "-f", "c"]);
}
