//! The process that serves a container's network is killed: its connections end with a reset, and another one serves.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::time::{Duration, Instant};

use ctr_tests::env::programs;
use ctr_tests::{Env, needs};
use rustix::process::{Pid, Signal, kill_process};

use crate::lifecycle::private_memory;
use crate::network::{accept, listener};
use crate::ports::{asks, asks_by_datagram, is_served, port_of, serve};

/// Lets a container reach the host's loopback.
const OPEN: &str = "--network=user,host-access=loopback";
/// How long a broken test takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// Asks again and again, until there is an answer.
pub(crate) fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < end, "{what}");
        std::thread::yield_now();
    }
}

/// A child of a process: its number, its name, and its state.
pub(crate) struct Child {
    pid: Pid,
    name: String,
    pub(crate) state: char,
}

fn children(of: Pid) -> Vec<Child> {
    let path = format!("/proc/{0}/task/{0}/children", of.as_raw_nonzero());
    let all = std::fs::read_to_string(path).expect("a live process");
    all.split_ascii_whitespace().filter_map(|pid| child(pid.parse().ok()?)).collect()
}

/// What is known of a process that may end at any time.
pub(crate) fn child(pid: i32) -> Option<Child> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (before, after) = stat.rsplit_once(") ")?;
    let name = before.split_once('(')?.1.to_owned();
    Some(Child { pid: Pid::from_raw(pid)?, name, state: after.chars().next()? })
}

/// Who serves the network of the container that a process supervises: one that is not `before`.
pub(crate) fn served_by(supervisor: Pid, before: Option<Pid>) -> Pid {
    until("nobody serves", || {
        let all = children(supervisor);
        let mut serving = all.iter().filter(|child| child.name == "ctr-netd" && child.state != 'Z');
        serving.find(|child| Some(child.pid) != before).map(|child| child.pid)
    })
}

fn has_no_zombie(supervisor: Pid) {
    let all = children(supervisor);
    assert!(
        all.iter().all(|child| child.state != 'Z'),
        "{:?}",
        all.iter().map(|child| &child.name).collect::<Vec<_>>()
    );
}

pub(crate) fn supervisor(env: &Env) -> Pid {
    supervisor_of(env, "c")
}

pub(crate) fn supervisor_of(env: &Env, name: &str) -> Pid {
    let pid = env.ok(["inspect", "-f", "{{.State.ConmonPid}}", name]);
    pid.parse().ok().and_then(Pid::from_raw).expect("a process")
}

fn ended(env: &Env) -> String {
    env.ok(["inspect", "-f", "{{.NetworkSettings.Ended}}", "c"])
}

/// A connection that was accepted and carries bytes both ways.
pub(crate) fn held(listener: &TcpListener) -> TcpStream {
    let (mut peer, _) = accept(listener);
    let mut byte = [0];
    peer.write_all(b"x").and_then(|()| peer.read_exact(&mut byte)).expect("an echo");
    peer
}

/// Our side of a connection has heard of its end.
fn was_reset(mut peer: TcpStream) {
    let ended = peer.read(&mut [0]).map_err(|error| error.kind());
    assert_eq!(ended, Err(ErrorKind::ConnectionReset));
}

pub(crate) fn probe() -> String {
    format!("-v={}:/probe:ro", programs().join("net-probe").display())
}

/// What is said of one that was killed.
const SAID: &str = "the process that serves the network was ended by signal 9; its connections were reset, and another one serves now";

#[test]
fn a_killed_network_ends_with_a_reset_and_comes_again() {
    needs!(Userns);
    a_killed_one_comes_again(OPEN);
}

pub(crate) fn a_killed_one_comes_again(network: &str) {
    let env = Env::with_busybox();
    let hosts = [
        (IpAddr::V4(Ipv4Addr::LOCALHOST), "169.254.1.2"),
        (IpAddr::V6(Ipv6Addr::LOCALHOST), "[fd00:0:0:1::2]"),
    ];
    for (at, host) in hosts {
        let (listener, port) = listener(at);
        let script = format!("while :; do /probe hold {host}:{port}; done");
        let run = ["run", "-d", network, "--name=c", &probe(), "busybox", "sh", "-c"].map(str::to_owned);
        env.ok(run.into_iter().chain([script]));
        assert_eq!(ended(&env), "0");
        let monitor = supervisor(&env);
        let mut serving = None;
        for times in 1..=2 {
            let peer = held(&listener);
            let now = served_by(monitor, serving);
            kill_process(now, Signal::KILL).expect("it is ours");
            was_reset(peer);
            served_by(monitor, Some(now));
            serving = Some(now);
            has_no_zombie(monitor);
            assert_eq!(ended(&env), times.to_string());
        }
        drop(held(&listener));
        let log = until("both ends are not in the log", || {
            let log = env.ctr(["logs", "c"]).run();
            (log.stdout.lines().count() >= 3).then_some(log)
        });
        let heard: Vec<&str> = log.stdout.lines().take(3).collect();
        assert_eq!(heard, ["connection reset", "connection reset", "end"]);
        let said = log.stderr.lines().filter(|line| *line == format!("ctr: {SAID}")).count();
        assert_eq!(said, 2, "{}", log.stderr);
        env.ok(["rm", "-f", "-t0", "c"]);
    }
}

#[test]
fn a_network_that_nobody_uses_comes_again_and_a_new_start_begins_anew() {
    needs!(Userns);
    let env = Env::with_busybox();
    env.ok(["run", "-d", "--network=user", "--name=c", "--stop-signal=KILL", "busybox", "sleep", "1000"]);
    let monitor = supervisor(&env);
    let first = served_by(monitor, None);
    kill_process(first, Signal::KILL).expect("it is ours");
    let next = served_by(monitor, Some(first));
    let said = env.ok(["exec", "c", "nslookup", "host.containers.internal"]);
    assert!(said.contains("Address: 169.254.1.2"), "{said}");
    assert_eq!(ended(&env), "1");
    until("it holds too much", || (private_memory(monitor) <= 100).then_some(()));
    // It goes with its container, like the first.
    env.ok(["stop", "c"]);
    until("it stays", || child(next.as_raw_pid()).is_none().then_some(()));
    env.ok(["start", "c"]);
    assert_eq!(ended(&env), "0");
    env.ok(["rm", "-f", "-t0", "c"]);
}

#[test]
fn a_command_in_the_foreground_starts_the_next_one_and_says_so() {
    needs!(Userns);
    let env = Env::with_busybox();
    let (listener, port) = listener(Ipv4Addr::LOCALHOST.into());
    let hold = format!("/probe hold 169.254.1.2:{port}");
    let mut running = env.shell([OPEN, "--name=c", &probe()], &format!("{hold}; {hold}; {hold}")).start();
    let command = running.pid();
    let mut before = None;
    for _ in 0..2 {
        let peer = held(&listener);
        let now = served_by(command, before);
        // It stands on no disk that somebody may want to unmount.
        let stands = std::fs::read_link(format!("/proc/{now}/cwd")).expect("a process of ours");
        assert_eq!(stands, Path::new("/"));
        kill_process(now, Signal::KILL).expect("it is ours");
        was_reset(peer);
        before = Some(now);
        assert!(running.wait_for_errors(SAID).contains(SAID));
        has_no_zombie(command);
    }
    let last = held(&listener);
    assert_eq!((ended(&env).as_str(), supervisor(&env)), ("2", command));
    drop(last);
    assert_eq!(running.finish().success(), "connection reset\nconnection reset\nend");
}

#[test]
fn published_ports_are_served_by_the_next_one_too() {
    needs!(Userns);
    the_next_one_serves_ports("--network=user");
}

pub(crate) fn the_next_one_serves_ports(network: &str) {
    let env = Env::with_busybox();
    serve(&env, "c", "0.0.0.0:7", &[network, "-p=127.0.0.1::7", "-p=127.0.0.1::7/udp"]);
    let ports = ["7/tcp", "7/udp"].map(|port| (Ipv4Addr::LOCALHOST, port_of(&env, "c", port)).into());
    let call = || {
        let caller = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        [asks(ports[0], "word"), asks_by_datagram(&caller, ports[1], "word")]
            .map(|said| said.ends_with("word"))
    };
    assert_eq!(call(), [true, true]);
    let monitor = supervisor(&env);
    let first = served_by(monitor, None);
    let mut caller = TcpStream::connect(ports[0]).expect("somebody at the port");
    caller.set_read_timeout(Some(PATIENCE)).expect("a time limit");
    // It is told who it is, and then nothing more.
    caller.read_exact(&mut [0; 1]).expect("the first word");
    kill_process(first, Signal::KILL).expect("it is ours");
    let heard = caller.read_to_end(&mut Vec::new()).map_err(|error| error.kind());
    assert_eq!(heard, Err(ErrorKind::ConnectionReset));
    until("it does not end", || child(first.as_raw_pid()).is_none_or(|it| it.state == 'Z').then_some(()));
    // Whoever calls meanwhile waits with the sockets, which the monitor keeps.
    assert_eq!(call(), [true, true]);
    assert!(served_by(monitor, Some(first)) != first);
    assert_eq!(ended(&env), "1");
    env.ok(["rm", "-f", "-t0", "c"]);
}

/// It is stopped, and told more than the socket to it has room for: so it is not waited for, and the next one knows all of it.
#[test]
fn one_that_does_not_listen_is_followed_by_one_that_does() {
    needs!(Userns);
    let env = Env::with_busybox();
    serve(&env, "c", "0.0.0.0:7", &[]);
    let first = served_by(supervisor(&env), None);
    kill_process(first, Signal::STOP).expect("it is ours");
    for _ in 0..3 {
        env.ok(["port", "--add=127.0.0.1::1-120", "c"]);
        env.ok(["port", "--rm=1-120", "c"]);
    }
    env.ok(["port", "--add=127.0.0.1::7", "c"]);
    served_by(supervisor(&env), Some(first));
    assert_eq!(ended(&env), "1");
    assert!(is_served(port_of(&env, "c", "7/tcp")));
    env.ok(["rm", "-f", "-t0", "c"]);
}
