//! Looking into a container's network: what went through it is counted, told flow by flow, and kept frame by frame.

use std::io::Read as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ctr_tests::env::programs;
use ctr_tests::image::Image;
use ctr_tests::{BUSYBOX, Env, needs};
use rustix::process::{Signal, kill_process};
use serde_json::Value;

use crate::frames::First;
use crate::network::{accept, closed, datagrams, listener};
use crate::network_again::{held, probe, served_by, supervisor, until};

/// Lets a container reach the host's loopback.
const OPEN: &str = "--network=user,host-access=loopback";

/// The host, as a container names it, for both protocols.
const HOSTS: [(IpAddr, &str); 2] =
    [(IpAddr::V4(Ipv4Addr::LOCALHOST), "169.254.1.2"), (IpAddr::V6(Ipv6Addr::LOCALHOST), "[fd00:0:0:1::2]")];

/// How much a container sends by a connection.
const LENGTH: usize = 300_000;

/// What `inspect` has of a container's network.
fn settings(env: &Env, name: &str) -> Value {
    let said = env.ok(["inspect", "-f", "{{json .NetworkSettings}}", name]);
    serde_json::from_str(&said).expect("JSON")
}

fn counters(env: &Env, name: &str) -> Value {
    settings(env, name)["Counters"].take()
}

/// Has a command of a container exchange something with the host, by a connection and by datagrams, for each protocol: the
/// ports that it spoke to.
fn exchange(env: &Env, name: &str) -> [(u16, u16); 2] {
    HOSTS.map(|(at, host)| {
        let (tcp, streams) = listener(at);
        let tells = ["/probe", "tell", &format!("{host}:{streams}"), &LENGTH.to_string()].map(str::to_owned);
        let told = env.ctr(["exec", name].map(str::to_owned).into_iter().chain(tells)).start();
        let (mut peer, _) = accept(&tcp);
        let mut heard = Vec::new();
        peer.read_to_end(&mut heard).expect("all of it");
        assert_eq!(heard.len(), LENGTH);
        drop(peer);
        told.finish().success();

        let (udp, port) = datagrams(at);
        let any = if at.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let asks = env.ctr(["exec", name, "/probe", "ask", "udp", any, &format!("{host}:{port}"), "word"]);
        let asking = asks.start();
        let mut room = [0; 64];
        let (length, from) = udp.recv_from(&mut room).expect("a word");
        udp.send_to(&room[..length], from).expect("room");
        assert_eq!(asking.finish().success(), "word");
        (streams, port)
    })
}

#[test]
fn what_went_through_is_counted_and_told_to_the_user_alone() {
    needs!(Userns);
    let env = Env::with_busybox();
    let store = format!("-v={}:/store", env.store().display());
    env.ok(["run", "-d", OPEN, "--name=c", &probe(), &store, BUSYBOX, "sleep", "1000"]);
    let begun = counters(&env, "c");
    assert_eq!(
        begun["Flows"],
        serde_json::json!({"Tcp": nothing(), "Udp": nothing(), "Echo": nothing(), "Name": nothing()})
    );
    exchange(&env, "c");
    env.ok(["exec", "c", "nslookup", "host.containers.internal"]);
    for gateway in ["10.0.2.1", "fd00::1"] {
        env.ctr(["exec", "c", "nc", "-w", "5", gateway, "80"]).run().fails(1);
    }
    env.ctr(["exec", "c", "nc", "-w", "5", "169.254.169.254", "80"]).run().fails(1);
    let (tcp, port) = listener(Ipv4Addr::LOCALHOST.into());
    let holds = env.ctr(["exec", "c", "/probe", "hold", &format!("169.254.1.2:{port}")]).start();
    let peer = held(&tcp);

    let now = until("what is over counts still", || {
        let now = counters(&env, "c");
        (now["Flows"]["Tcp"]["Now"] == 1).then_some(now)
    });
    let flows = &now["Flows"];
    assert_eq!((&flows["Tcp"]["Ever"], &flows["Tcp"]["FromOutside"]), (&3.into(), &0.into()), "{now:#}");
    assert_eq!((&flows["Udp"]["Ever"], &flows["Udp"]["Now"]), (&2.into(), &2.into()), "{now:#}");
    assert!(flows["Name"]["Ever"].as_u64() >= Some(2), "{now:#}");
    assert_eq!(now["Refused"], serde_json::json!({"Gateway": 2, "Metadata": 1}), "{now:#}");
    let eth0 = &now["Interfaces"]["eth0"];
    let sent = eth0["TxBytes"].as_u64().expect("a number");
    assert!((2 * LENGTH as u64..4 * LENGTH as u64).contains(&sent), "{now:#}");
    assert!(eth0["RxPackets"].as_u64() > Some(10), "{now:#}");
    assert_eq!(env.ok(["inspect", "-f", "{{.NetworkSettings.Counters.Flows.Tcp.Ever}}", "c"]), "3");

    // The root of a container has the user's number for the kernel, and here even the socket's path.
    let folder = |at: &str, id: &str| format!("{at}/containers/{id}");
    let id = env.ok(["inspect", "-f", "{{.Id}}", "c"]);
    let inside = env.ok(["exec", "c", "/probe", "count", &folder("/store", &id)]);
    assert!(!inside.contains("Flows") && inside.contains("denied"), "{inside}");
    let asks = ["count".to_owned(), folder(&env.store().display().to_string(), &id)];
    let outside = env.program(programs().join("net-probe"), asks).run().success();
    assert!(outside.contains("\"Flows\":"), "{outside}");

    // Who comes next counts anew, and the kernel counts on.
    let first = served_by(supervisor(&env), None);
    kill_process(first, Signal::KILL).expect("it is ours");
    served_by(supervisor(&env), Some(first));
    drop((peer, holds.finish()));
    let again = until("nobody counts", || Some(counters(&env, "c")).filter(|now| now["Flows"].is_object()));
    assert_eq!(again["Flows"]["Tcp"], nothing(), "{again:#}");
    assert!(again["Interfaces"]["eth0"]["TxBytes"].as_u64() >= Some(sent), "{again:#}");
    env.ok(["stop", "-t0", "c"]);
    assert_eq!(counters(&env, "c"), Value::Null);
    env.ok(["rm", "c"]);
}

/// Flows of a kind that there have been none of.
fn nothing() -> Value {
    serde_json::json!({"Now": 0, "Ever": 0, "FromOutside": 0})
}

#[test]
fn of_a_container_without_a_monitor_the_kernel_counts() {
    needs!(Userns);
    let env = Env::with_busybox();
    let (tcp, port) = listener(Ipv4Addr::LOCALHOST.into());
    let running = env.shell([OPEN, "--name=c", &probe()], &format!("/probe hold 169.254.1.2:{port}")).start();
    let peer = held(&tcp);
    let now = counters(&env, "c");
    assert!(now["Interfaces"]["eth0"]["TxPackets"].as_u64() > Some(2), "{now:#}");
    assert_eq!(now["Flows"], Value::Null);
    drop(peer);
    running.finish().success();
    // What the host's network carries is not the container's, and no network carries nothing.
    for (network, seen) in [("none", serde_json::json!({"Interfaces": {}})), ("host", Value::Null)] {
        env.ok(["run", "-d", "--network", network, "--name=c", BUSYBOX, "sleep", "1000"]);
        assert_eq!(counters(&env, "c"), seen, "{network}");
        env.ok(["rm", "-f", "-t0", "c"]);
    }
}

/// Has a container do this and that, and looks for what is told of it: its lines, without what comes before each.
fn told(run: impl FnOnce(&str) -> Vec<String>) {
    let (served, answering) = (HOSTS.map(|(at, _)| listener(at)), HOSTS.map(|(at, _)| datagrams(at)));
    let shut = HOSTS.map(|(at, _)| closed(at));
    let mut commands = Vec::new();
    let mut wanted = Vec::new();
    for (family, (at, host)) in HOSTS.into_iter().enumerate() {
        let (open, datagrams, shut) = (served[family].1, answering[family].1, shut[family]);
        let any = if at.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let bare = host.trim_matches(['[', ']']);
        let at = if at.is_ipv4() { "127.0.0.1" } else { "[::1]" };
        commands.extend([
            format!("/probe tell {host}:{open} {LENGTH}"),
            format!("/probe ask udp {any} {host}:{datagrams} word"),
            format!("nc {bare} {shut} </dev/null"),
        ]);
        for (flow, end) in [
            (format!("tcp <> -> {host}:{open}"), format!("allowed, to {at}:{open} of the host")),
            (format!("tcp <> -> {host}:{open}"), "connected".to_owned()),
            (format!("tcp <> -> {host}:{open}"), format!("ended; sent {LENGTH} bytes, received 0")),
            (
                format!("tcp <> -> {host}:{shut}"),
                "not connected: Connection refused (os error 111)".to_owned(),
            ),
            (format!("udp <> -> {host}:{datagrams}"), format!("allowed, to {at}:{datagrams} of the host")),
            (
                format!("udp <> -> {host}:{datagrams}"),
                "ended; sent 4 bytes in 1 datagrams, received 4 bytes in 1 datagrams".to_owned(),
            ),
        ] {
            wanted.push((flow, end));
        }
    }
    // The last one asks for a name that would clear the screen.
    commands.extend(
        [
            "nc 169.254.169.254 80",
            "nc fd00::1 80",
            "nslookup here.dns.podman",
            "nslookup nobody.dns.podman",
            r"printf '\000\025\0\1\1\0\0\1\0\0\0\0\0\0\003\033[2\0\0\1\0\1' | nc 10.0.2.1 53",
            ":",
        ]
        .map(str::to_owned),
    );
    for (flow, end) in [
        ("tcp <> -> 169.254.169.254:80", "refused: a metadata address"),
        ("tcp <> -> [fd00::1]:80", "refused: not a service of the gateway"),
        ("name \"here.dns.podman\" (type 1)", "answered with 1 records"),
        ("name \"nobody.dns.podman\" (type 1)", "no such name"),
    ] {
        wanted.push((flow.to_owned(), end.to_owned()));
    }
    let lines = std::thread::scope(|threads| {
        for (tcp, _) in &served {
            threads.spawn(|| {
                let (mut peer, _) = accept(tcp);
                peer.read_to_end(&mut Vec::new()).expect("all of it");
            });
        }
        for (udp, _) in &answering {
            threads.spawn(|| {
                let mut room = [0; 64];
                let (length, from) = udp.recv_from(&mut room).expect("a word");
                udp.send_to(&room[..length], from).expect("room");
            });
        }
        run(&commands.join(";"))
    });
    for (flow, end) in wanted {
        let (before, after) = flow.split_once("<>").unwrap_or((&flow, ""));
        let is_it = |line: &&String| {
            line.split_once(before).is_some_and(|(_, rest)| {
                rest.strip_suffix(&end)
                    .and_then(|rest| rest.strip_suffix(": "))
                    .is_some_and(|rest| rest.ends_with(after))
            })
        };
        assert_eq!(lines.iter().filter(is_it).count(), 1, "{flow}: {end}\n{}", lines.join("\n"));
    }
    assert!(lines.iter().any(|line| line.contains("\\u{1b}[2") || line.contains("\\x1b[2")), "{lines:#?}");
    assert!(!lines.iter().any(|line| line.contains('\x1b')), "{lines:#?}");
}

#[test]
fn a_waiting_command_tells_what_becomes_of_each_flow() {
    needs!(Userns);
    flows_are_told(OPEN);
}

pub(crate) fn flows_are_told(network: &str) {
    let env = Env::with_busybox();
    told(|script| {
        let flags = ["--log-level=trace", network, "--hostname=here", &probe()].map(str::to_owned);
        let said = env.shell(&flags, script).run();
        said.stderr.lines().filter_map(|line| line.strip_prefix("trace: ")).map(str::to_owned).collect()
    });
}

/// The lines of a container's trace, without their times.
fn trace_of(env: &Env, name: &str) -> Vec<String> {
    let path = env.ok(["inspect", "-f", "{{.NetworkSettings.Trace}}", name]);
    let text = std::fs::read_to_string(path).expect("a trace");
    text.lines().map(|line| line.split_once("Z ").expect("a time").1.to_owned()).collect()
}

#[test]
fn a_container_with_a_monitor_has_a_file_of_its_flows() {
    needs!(Userns);
    let env = Env::with_busybox();
    told(|script| {
        let flags = ["run", "-d", "--log-level=trace", OPEN, "--hostname=here", "--name=c", &probe()];
        let said = env.ctr(flags).args([BUSYBOX, "sh", "-c", script]).run();
        assert!(said.stderr.contains("network.trace"), "{}", said.stderr);
        until("the trace has no end", || {
            Some(trace_of(&env, "c"))
                .filter(|lines| lines.iter().any(|line| line == "the container has ended"))
        })
    });
    let path = env.ok(["inspect", "-f", "{{.NetworkSettings.Trace}}", "c"]);
    let mode = std::fs::metadata(&path).expect("a trace").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    // Who does not ask again has none of it.
    env.ctr(["start", "-a", "c"]).run().success();
    assert!(!std::path::Path::new(&path).exists());
    assert_eq!(env.ok(["inspect", "-f", "{{json .NetworkSettings.Trace}}", "c"]), "\"\"");
    env.ok(["rm", "c"]);
}

#[test]
fn who_serves_next_tells_of_flows_too() {
    needs!(Userns);
    let env = Env::with_busybox();
    let (tcp, port) = listener(Ipv4Addr::LOCALHOST.into());
    let hold = format!("/probe hold 169.254.1.2:{port}; /probe hold 169.254.1.2:{port}");
    env.ok(["run", "-d", "--log-level=trace", OPEN, "--name=c", &probe(), BUSYBOX, "sh", "-c", &hold]);
    let first = served_by(supervisor(&env), None);
    let cut_off = held(&tcp);
    until("nothing is told of the first", || {
        trace_of(&env, "c").iter().any(|line| line.ends_with(": connected")).then_some(())
    });
    kill_process(first, Signal::KILL).expect("it is ours");
    drop((held(&tcp), cut_off));
    // Of the one that was cut off nobody could say how it ended.
    let lines = until("nothing is told of the next", || {
        Some(trace_of(&env, "c"))
            .filter(|lines| lines.iter().any(|line| line.contains("ended; sent 1 bytes, received 1")))
    });
    assert_eq!(lines.iter().filter(|line| line.ends_with(": connected")).count(), 2, "{lines:#?}");
    env.ok(["rm", "-f", "-t0", "c"]);

    let flags = ["--log-level=trace", OPEN, "--name=c", &probe()];
    let mut running = env.shell(flags, &hold).start();
    let first = served_by(running.pid(), None);
    let cut_off = held(&tcp);
    running.wait_for_errors(": connected");
    kill_process(first, Signal::KILL).expect("it is ours");
    drop((held(&tcp), cut_off));
    running.wait_for_errors("ended; sent 1 bytes, received 1");
    running.finish().success();
}

#[test]
fn who_reads_nothing_of_the_trace_stops_nobody() {
    needs!(Userns);
    let env = Env::with_busybox();
    let (tcp, port) = listener(Ipv4Addr::LOCALHOST.into());
    // More than a pipe and the queue before it have room for.
    let frame = First::of(Ipv4Addr::new(10, 0, 2, 100).into(), Ipv4Addr::new(10, 0, 2, 1).into(), 80).frame();
    let file = format!("-v={}:/frames:ro", env.file("frames", vec![frame; 10_000].join("\n")).display());
    let script = format!("xargs -n 500 /probe send 2 </frames; /probe tell 169.254.1.2:{port} {LENGTH}");
    let flags = ["--log-level=trace", OPEN, "--cap-add=NET_RAW", &probe(), &file];
    let running = env.shell(flags, &script).start();
    let (mut peer, _) = accept(&tcp);
    let mut heard = Vec::new();
    peer.read_to_end(&mut heard).expect("all of it");
    assert_eq!(heard.len(), LENGTH);
    let said = running.finish();
    assert_eq!(said.code(), 0);
    assert!(said.stderr.contains(" lines about flows came faster than they could be written\n"));
    let whole = |line: &str| ["trace: ", "debug: ", "info: "].iter().any(|level| line.starts_with(level));
    let odd: Vec<&str> = said.stderr.lines().filter(|line| !whole(line)).collect();
    assert!(odd.is_empty(), "{odd:?}");
}

#[test]
fn podman_s_log_has_lines_of_logrus() {
    needs!(Userns);
    let env = Env::with_busybox();
    let run = ["--log-level=trace", "run", "--rm", "--network=slirp4netns", BUSYBOX, "nc", "10.0.2.1", "80"];
    let said = env.named("podman", run).run();
    let line = said.stderr.lines().find(|line| line.contains("refused: not a service of the gateway"));
    let line = line.unwrap_or_else(|| panic!("{}", said.stderr));
    assert!(
        line.starts_with("time=\"20") && line.contains("Z\" level=trace msg=\"tcp 10.0.2.100:"),
        "{line}"
    );
}

/// A frame of a capture.
struct Frame {
    at: Duration,
    bytes: Vec<u8>,
}

/// The frames in a file as tcpdump writes it, which must be whole.
fn frames_of(path: &Path) -> Vec<Frame> {
    let file = std::fs::read(path).expect("a capture");
    let word = |bytes: &[u8]| u32::from_ne_bytes(bytes.try_into().expect("four bytes"));
    let (header, mut rest) = file.split_at(24);
    assert_eq!((word(&header[..4]), word(&header[20..])), (0xa1b2_3c4d, 1), "nanoseconds, and Ethernet");
    let mut frames = Vec::new();
    while !rest.is_empty() {
        let (head, after) = rest.split_at_checked(16).expect("a whole record");
        let [seconds, nanoseconds, length, whole] = [0, 4, 8, 12].map(|at| word(&head[at..at + 4]));
        assert_eq!(length, whole);
        let (bytes, after) = after.split_at_checked(length as usize).expect("a whole frame");
        frames.push(Frame { at: Duration::new(seconds.into(), nanoseconds), bytes: bytes.to_vec() });
        rest = after;
    }
    frames
}

impl Frame {
    /// Of a segment or datagram from the container, or to it: the protocol, the other's port, where it belongs in a stream, and what it
    /// carries.
    fn content(&self, is_sent: bool) -> Option<(u8, u16, u32, &[u8])> {
        let (kind, packet) = (self.bytes.get(12..14)?, self.bytes.get(14..)?);
        let (number, own, payload) = match kind {
            [8, 0] => {
                let length = usize::from(u16::from_be_bytes(packet.get(2..4)?.try_into().ok()?));
                let own = packet.get(if is_sent { 12..16 } else { 16..20 })? == [10, 0, 2, 100];
                (*packet.get(9)?, own, packet.get(20..length)?)
            }
            [0x86, 0xdd] => {
                let own = packet.get(if is_sent { 8..24 } else { 24..40 })?;
                (*packet.get(6)?, own[..2] == [0xfd, 0] && own[14..] == [1, 0], packet.get(40..)?)
            }
            _ => return None,
        };
        let port = if is_sent { payload.get(2..4)? } else { payload.get(..2)? };
        let header = if number == 6 { usize::from(payload.get(12)? >> 4) * 4 } else { 8 };
        let at = u32::from_be_bytes(payload.get(4..8)?.try_into().ok()?);
        own.then_some((number, u16::from_be_bytes(port.try_into().ok()?), at, payload.get(header..)?))
    }
}

#[test]
fn a_capture_has_every_frame_of_both_sides() {
    needs!(Userns);
    let env = Env::with_busybox();
    let path = env.path("frames.pcap");
    let network = format!("--network=user,host-access=loopback,pcap={}", path.display());
    let begun = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    for run in [&["run", "--rm"][..], &["run", "-d"]] {
        std::fs::write(&path, "what was there before").expect("room");
        let server = [&network, "--name=c", &probe(), BUSYBOX, "sleep", "1000"];
        let running = env.ctr(run.iter().copied().chain(server)).start();
        until("it does not run", || {
            let state = env.ctr(["inspect", "-f", "{{.State.Status}}", "c"]).run();
            (state.stdout.trim() == "running").then_some(())
        });
        let ports = exchange(&env, "c");
        let supervised_by = supervisor(&env);
        let first = served_by(supervised_by, None);
        kill_process(first, Signal::KILL).expect("it is ours");
        served_by(supervised_by, Some(first));
        let again = exchange(&env, "c");
        env.ok(["stop", "-t0", "c"]);
        let _ended = running.finish();
        let ended = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");

        let frames = frames_of(&path);
        assert!(frames.iter().all(|frame| frame.at >= begun && frame.at <= ended));
        let of = |is_sent: bool, number: u8, port: u16| -> Vec<(u32, &[u8])> {
            let contents = frames.iter().filter_map(|frame| frame.content(is_sent));
            let some = contents.filter(|content| (content.0, content.1) == (number, port));
            some.map(|(.., at, payload)| (at, payload)).collect()
        };
        for (tcp, udp) in ports.into_iter().chain(again) {
            let sent = of(true, 6, tcp);
            // A segment may be there twice, as it was sent. The first one is none of the stream.
            let (first, _) = *sent.first().expect("a connection");
            let mut missing: Vec<bool> = vec![true; LENGTH];
            for (at, payload) in sent {
                let at = at.wrapping_sub(first).saturating_sub(1) as usize;
                missing[at.min(LENGTH)..(at + payload.len()).min(LENGTH)].fill(false);
            }
            assert!(!missing.contains(&true), "not all of it");
            for is_sent in [true, false] {
                let words: Vec<&[u8]> = of(is_sent, 17, udp).into_iter().map(|(_, word)| word).collect();
                assert_eq!(words, [b"word"]);
            }
        }
        env.ctr(["rm", "-f", "-t0", "c"]).run().success();
    }
    std::fs::remove_file(&path).expect("it is there");
    env.sh([network.as_str()], "nc 10.0.2.1 80; :");
    let mode = std::fs::metadata(&path).expect("it is made").permissions().mode();
    assert_eq!((mode & 0o777, frames_of(&path).is_empty()), (0o600, false));
}

#[test]
fn a_capture_goes_nowhere_but_to_a_file_of_the_user_s() {
    needs!(Userns);
    let env = Env::with_busybox();
    let (link, other) = (env.path("link"), env.file("other", "mine"));
    std::os::unix::fs::symlink(&other, &link).expect("a link");
    let twice = env.path("twice");
    std::fs::hard_link(&other, &twice).expect("another name");
    for (path, said) in [
        (env.path("missing/frames"), "No such file or directory (ENOENT)"),
        (link, "it is a symbolic link"),
        (twice, "has another name beside this one"),
        (env.path(""), "Is a directory (EISDIR)"),
        ("/dev/null".into(), "it is not a regular file"),
    ] {
        for flags in [&["--rm"][..], &["-d", "--name=c"]] {
            let network = format!("--network=user,pcap={}", path.display());
            let run = ["run"].iter().chain(flags).copied().chain([network.as_str(), BUSYBOX, "true"]);
            let told = env.ctr(run).run().fails(125);
            assert!(told.contains(said) && told.contains(&path.display().to_string()), "{told}");
            let _gone = env.ctr(["rm", "-f", "c"]).run();
        }
    }
    assert_eq!(std::fs::read_to_string(&other).expect("it is there"), "mine");
    let published = format!("--network=user,mode=published,pcap={}", env.path("frames").display());
    let told = env.shell([published.as_str()], "true").run().fails(125);
    assert!(told.contains("mode=published has no frames to capture"), "{told}");
}

#[test]
fn a_full_disk_ends_the_capture_and_nothing_else() {
    needs!(Userns);
    let env = Env::with_busybox();
    let path = env.path("frames.pcap");
    let network = format!("--network=user,host-access=loopback,pcap={}", path.display());
    // As long as a file may be: what a full disk does to one that grows.
    let script = "ulimit -f 128; exec ctr run -d --name=c \"$@\"";
    let run = ["-c", script, "sh", &network, &probe(), BUSYBOX, "sleep", "1000"];
    env.program("bash", run).run().success();
    exchange(&env, "c");
    exchange(&env, "c");
    let captured = &counters(&env, "c")["Captured"];
    assert_eq!(captured["Ended"], "File too large (os error 27)", "{captured}");
    let frames = frames_of(&path);
    assert_eq!(captured["Frames"].as_u64(), Some(frames.len() as u64));
    let length = std::fs::metadata(&path).expect("a capture").len();
    assert!(!frames.is_empty() && length <= 128 << 10, "{length}");
    assert_eq!(settings(&env, "c")["Ended"], Value::Null);
    env.ok(["rm", "-f", "-t0", "c"]);
}

/// A neighbour may have an address that means somebody else in the container's network.
#[test]
fn who_has_an_address_of_the_network_is_the_gateway_and_that_is_said() {
    needs!(Userns, Iproute);
    let script = "set -e
        ctr load -q -i image.tar >/dev/null
        ip link set lo up
        ip addr add 10.0.2.7/32 dev lo
        ctr run -d --name=c --log-level=trace --network=user -p 8080:7 -p 8080:7/udp -v $PROBE:/probe localhost/busybox /probe serve 0.0.0.0:7 2>said >id
        trap 'ctr rm -f -t0 c >/dev/null' EXIT
        ctr logs -f c 2>&1 | grep -q -m1 serving
        for transport in tcp udp; do $PROBE ask $transport 10.0.2.7:0 10.0.2.7:8080 $transport | sed 's/:[0-9]*//'; echo; done
        trace=$(sed -n 's/.*is written to //p' said)
        until [ $(grep -c 'from outside' $trace) -ge 2 ]; do ctr exists c; done
        sed -n 's/^[^ ]* \\(.*calls from outside.*\\)/\\1/p' $trace
    ";
    let env = Env::new();
    let _image = env.file("image.tar", Image::busybox(BUSYBOX, []).docker_archive());
    let words = ["--map-root-user", "--map-auto", "--net", "--mount", "bash", "-c", script];
    let said = env.program("unshare", words).var("PROBE", programs().join("net-probe")).run().success();
    let line = "10.0.2.7 calls from outside, and is an address of the container's network: it sees 10.0.2.1";
    assert_eq!(said, format!("10.0.2.1 tcp\n10.0.2.1 udp\n{line}\n{line}"));
}
