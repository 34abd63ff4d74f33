//! Published ports: `-p`, `-P`, `--expose`, `port`.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use ctr_tests::env::programs;
use ctr_tests::{BUSYBOX, Env, needs};

/// How long a broken test takes.
const PATIENCE: Duration = Duration::from_secs(20);

const V4: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const V6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);

fn probe() -> String {
    format!("-v={}:/probe:ro", programs().join("net-probe").display())
}

/// Starts a container with a server at port 7 of all its addresses, and waits until that serves.
pub(crate) fn serve(env: &Env, name: &str, at: &str, flags: &[&str]) {
    let probe = probe();
    let flags = [&["run", "-d", "--name", name, probe.as_str()], flags].concat();
    env.ok(flags.into_iter().chain(["localhost/busybox", "/probe", "serve", at]));
    wait_until_it_serves(env, name);
}

fn wait_until_it_serves(env: &Env, name: &str) {
    let mut log = env.ctr(["logs", "-f", name]).start();
    log.wait_for_errors("serving");
    log.signal(rustix::process::Signal::TERM);
    let _ended = log.finish();
}

/// Where a port of a container is.
pub(crate) fn places(env: &Env, name: &str, port: &str) -> Vec<SocketAddr> {
    let said = env.ok(["port", name, port]);
    let place = |line: &str| {
        // As podman writes it: without brackets.
        let (address, port) = line.rsplit_once(':')?;
        Some(SocketAddr::new(address.parse().ok()?, port.parse().ok()?))
    };
    said.lines().map(|line| place(line).expect("ADDRESS:PORT")).collect()
}

pub(crate) fn port_of(env: &Env, name: &str, port: &str) -> u16 {
    places(env, name, port).first().expect("a published port").port()
}

fn calls(at: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect_timeout(&at, PATIENCE).expect("somebody at the port");
    stream.set_read_timeout(Some(PATIENCE)).expect("a time limit");
    stream
}

/// What the server at a place says to a word: who asks, and the word.
pub(crate) fn asks(at: SocketAddr, word: &str) -> String {
    let mut stream = calls(at);
    stream.write_all(word.as_bytes()).expect("a question");
    stream.shutdown(Shutdown::Write).expect("its end");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("somebody at the port");
    answer
}

pub(crate) fn asks_by_datagram(socket: &UdpSocket, at: SocketAddr, word: &str) -> String {
    socket.set_read_timeout(Some(PATIENCE)).expect("a time limit");
    socket.connect(at).expect("an address");
    socket.send(word.as_bytes()).expect("a question");
    let mut room = [0; 2048];
    let length = socket.recv(&mut room).expect("somebody at the port");
    String::from_utf8_lossy(&room[..length]).into_owned()
}

#[test]
fn a_caller_from_this_machine_is_the_host() {
    needs!(Userns);
    the_host_is_who_calls("--network=user");
}

pub(crate) fn the_host_is_who_calls(network: &str) {
    let env = Env::with_busybox();
    serve(&env, "server", "[::]:7", &[network, "-p", "127.0.0.1::7", "-p", "[::1]::7", "-p", "7/udp"]);
    for (at, host) in [(V4, "[::ffff:169.254.1.2]:"), (V6, "[fd00:0:0:1::2]:")] {
        let place = *places(&env, "server", "7").iter().find(|place| place.ip() == at).expect("a place");
        // All of it, both ways, beyond the end of one of them.
        let said: String = (0..300_000).map(|line| format!("{line}\n")).collect();
        let mut stream = calls(place);
        let mut back = stream.try_clone().expect("another descriptor");
        let answer = std::thread::scope(|threads| {
            let hears = threads.spawn(move || {
                let mut answer = String::new();
                back.read_to_string(&mut answer).expect("an answer");
                answer
            });
            stream.write_all(said.as_bytes()).expect("a question");
            stream.shutdown(Shutdown::Write).expect("its end");
            hears.join().expect("an answer")
        });
        let (who, answer) = answer.split_once(' ').expect("who asks");
        assert!(who.starts_with(host), "{at}: {who}");
        assert!(answer == said, "{at}: {} of {} bytes", answer.len(), said.len());

        let port = port_of(&env, "server", "7/udp");
        let two = [(); 2].map(|()| UdpSocket::bind(SocketAddr::new(at, 0)).expect("a port of the loopback"));
        for (word, socket) in ["one", "two", "three"].into_iter().zip(two.iter().cycle()) {
            let answer = asks_by_datagram(socket, SocketAddr::new(at, port), word);
            // Two who look the same are two by their ports.
            let own = socket.local_addr().expect("its address").port();
            assert_eq!(answer, format!("{host}{own} {word}"));
        }
    }
    env.ok(["rm", "-f", "-t0", "server"]);
}

#[test]
fn who_only_listens_at_ipv4_is_found_by_callers_of_ipv6() {
    needs!(Userns);
    callers_of_ipv6_find_ipv4("--network=user");
}

pub(crate) fn callers_of_ipv6_find_ipv4(network: &str) {
    let env = Env::with_busybox();
    serve(&env, "server", "0.0.0.0:7", &[network, "-p", "7"]);
    let port = port_of(&env, "server", "7");
    for at in [V4, V6] {
        let answer = asks(SocketAddr::new(at, port), "hello");
        assert!(answer.starts_with("169.254.1.2:") && answer.ends_with(" hello"), "{at}: {answer}");
    }
    env.ok(["rm", "-f", "-t0", "server"]);
}

#[test]
fn a_caller_from_elsewhere_is_who_it_is() {
    needs!(Userns, Iproute);
    let seen = [
        "[::ffff:198.18.7.2]:4000 four",
        "[fd07::2]:4000 six",
        // Inside it would be somebody else.
        "[::ffff:10.0.2.1]:4000 inner",
    ];
    assert_eq!(callers_from_elsewhere("user"), [seen, seen].concat());
}

/// Whom a server sees of callers from another machine: three by TCP, then the same by UDP.
pub(crate) fn callers_from_elsewhere(network: &str) -> Vec<String> {
    let env = Env::with_busybox();
    // A host with a neighbour, each a namespace: the first has a wire to the second, and the second the host's own subnet of
    // containers, whose addresses mean somebody else inside.
    let script = r#"
        set -e
        ctr() { "$CTR" --root "$ROOT" --runroot "$ROOT/run" "$@"; }
        mount -t tmpfs none /run
        ip link set lo up
        unshare -n sh -c 'echo; exec sleep 1000' >"$ROOT/neighbour" & neighbour=$!
        until [ -s "$ROOT/neighbour" ]; do :; done
        there() { nsenter -t $neighbour -n "$@"; }
        ip link add wire type veth peer name other
        ip link set other netns $neighbour
        ip addr add 198.18.7.1/24 dev wire; ip -6 addr add fd07::1/64 dev wire nodad; ip link set wire up
        there ip link set lo up
        there ip addr add 198.18.7.2/24 dev other; there ip -6 addr add fd07::2/64 dev other nodad
        there ip addr add 10.0.2.77/32 dev other; there ip link set other up
        ip route add 10.0.2.77/32 dev wire
        ctr load -q -i "$IMAGE" >&2
        ctr run -d --name server --network $NETWORK -p 80:7 -p 53:7/udp -v "$PROBE:/probe:ro" localhost/busybox /probe serve [::]:7 >&2
        until ctr logs server 2>&1 | grep -q serving; do :; done
        for transport in tcp:80 udp:53; do
          port=${transport#*:} transport=${transport%:*}
          there "$PROBE" ask $transport 198.18.7.2:4000 198.18.7.1:$port four; echo
          there "$PROBE" ask $transport [fd07::2]:4000 [fd07::1]:$port six; echo
          there "$PROBE" ask $transport 10.0.2.77:4000 198.18.7.1:$port inner; echo
        done
        ctr rm -f -t0 server >&2
        kill $neighbour
    "#;
    let image =
        env.file("image.tar", ctr_tests::image::Image::busybox("localhost/busybox", []).docker_archive());
    let run = env
        .program("unshare", ["-U", "-m", "-n", "--map-root-user", "--map-auto", "bash", "-c", script])
        .var("CTR", programs().join("ctr-run"))
        .var("ROOT", env.path("nested"))
        .var("PROBE", programs().join("net-probe"))
        .var("NETWORK", network)
        .var("IMAGE", image);
    std::fs::create_dir(env.path("nested")).expect("a folder");
    run.run().success().lines().map(str::to_owned).collect()
}

#[test]
fn a_port_that_somebody_has_is_refused_with_the_name() {
    needs!(Userns);
    let env = Env::with_busybox();
    let run = |flags: &[&str]| env.shell([&["--network=user"], flags].concat(), "true").run();
    serve(&env, "server", "[::]:7", &["-p", "7", "-p", "7/udp"]);
    for port in ["7", "7/udp"] {
        let taken = port_of(&env, "server", port).to_string();
        let protocol = port.strip_prefix('7').unwrap_or_default();
        for at in ["", "0.0.0.0:", "127.0.0.1:", "[::]:", "[::1]:"] {
            let said = run(&["-p", &format!("{at}{taken}:80{protocol}")]).fails(126);
            assert!(said.contains(&taken) && said.contains("address already in use"), "{at}: {said}");
            assert!(said.contains("by container server ("), "{at}: {said}");
        }
    }
    let here = TcpListener::bind((V4, 0)).expect("a port of the loopback");
    let taken = here.local_addr().expect("its address").port();
    let said = run(&["-p", &format!("127.0.0.1:{taken}:80")]).fails(126);
    let us = format!("by process {} (", std::process::id());
    assert!(said.contains(&us), "{said}");
    // Nothing was made.
    assert_eq!(env.ok(["ps", "-a", "-q", "--no-trunc"]).lines().count(), 1);
    // One that is only made needs its port when it is started.
    let said = env.ok([
        "create",
        "--name",
        "later",
        "--network=user",
        "-p",
        &format!("127.0.0.1:{taken}:80"),
        "localhost/busybox",
        "true",
    ]);
    assert_eq!(said.trim().len(), 64);
    let said = env.ctr(["start", "later"]).run().fails(125);
    assert!(said.contains(&us), "{said}");
    drop(here);
    env.ok(["start", "later"]);
    env.ok(["rm", "-f", "-t0", "-a"]);
}

#[test]
fn ports_of_the_system_are_for_whom_the_host_says() {
    needs!(Userns);
    let env = Env::with_busybox();
    let first = std::fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start").expect("/proc");
    let first: u16 = first.trim().parse().expect("a port");
    if first == 0 {
        println!("skipped: every port is everybody's here");
        return;
    }
    // Said before it is known whether there is such an image: what is asked of the machine's owner takes him a while.
    let run = ["run", "--network=user", "-p=127.0.0.1:7:80/udp", "nosuch/image"];
    let said = env.ctr(run).run().fails(126);
    let (error, hints) = said.split_once('\n').expect("hints");
    assert!(error.contains("cannot publish 127.0.0.1:7/udp: ports below"), "{said}");
    assert!(error.ends_with("(EACCES)"), "{said}");
    assert_eq!(
        hints.trim(),
        "hint: sudo sysctl net.ipv4.ip_unprivileged_port_start=7\nhint: ctr run -p 8007:80/udp …"
    );
    // Podman's scripts look for this.
    let said = env.named("podman", run).run().fails(126);
    assert_eq!(
        said.trim(),
        format!(
            "Error: rootlessport cannot expose privileged port 7, you can add \
             'net.ipv4.ip_unprivileged_port_start=7' to /etc/sysctl.conf (currently {first}), or choose a larger \
             port number (>= {first}): listen udp 127.0.0.1:7: bind: permission denied"
        )
    );
    // Only what is started needs the port.
    env.ok(["create", "--name=later", "--network=user", "-p", "7:80", BUSYBOX, "true"]);
    assert!(env.ctr(["start", "later"]).run().fails(125).contains("hint: sudo sysctl"));
    assert!(env.ok(["doctor"]).contains(&format!("those from {first} on can be published")));
}

#[test]
fn what_is_exposed_is_published_where_it_is_wanted() {
    needs!(Userns);
    let env = Env::with_busybox();
    env.ok([
        "create",
        "--name=shown",
        "--network=user",
        "--expose",
        "80-81",
        "--expose=53/udp",
        "localhost/busybox",
    ]);
    let ports =
        |name: &str| env.ok(["ps", "-a", "--filter", &format!("name=^{name}$"), "--format", "{{.Ports}}"]);
    assert_eq!(ports("shown").trim(), "80-81/tcp, 53/udp");
    env.ok(["run", "--rm", "--network=user", "-P", "--expose=80", "localhost/busybox", "true"]);
    env.ok([
        "create",
        "--name=all",
        "--network=user",
        "-P",
        "-p",
        "127.0.0.1:4711:80",
        "--expose=80-81",
        "--expose=53/udp",
        "localhost/busybox",
    ]);
    let said = ports("all");
    let words: Vec<&str> = said.trim().split(", ").collect();
    assert_eq!(words[0], "127.0.0.1:4711->80/tcp", "{said}");
    assert!(words[1].starts_with("0.0.0.0:") && words[1].ends_with("->81/tcp"), "{said}");
    assert!(words[2].starts_with("0.0.0.0:") && words[2].ends_with("->53/udp"), "{said}");
    let bindings = env.ok([
        "inspect",
        "--format",
        "{{json .HostConfig.PortBindings}} {{.HostConfig.PublishAllPorts}}",
        "all",
    ]);
    assert!(bindings.contains(r#""80/tcp":[{"HostIp":"127.0.0.1","HostPort":"4711"}]"#), "{bindings}");
    assert!(bindings.ends_with(" true"), "{bindings}");
    let settings = env.ok(["inspect", "--format", "{{json .NetworkSettings.Ports}}", "shown"]);
    assert_eq!(settings.trim(), r#"{"53/udp":null,"80/tcp":null,"81/tcp":null}"#);
    let json = env.ok(["ps", "-a", "--filter=name=^all$", "--format=json"]);
    assert!(
        json.replace([' ', '\n'], "").contains(
            r#"{"host_ip":"127.0.0.1","container_port":80,"host_port":4711,"range":1,"protocol":"tcp"}"#
        ),
        "{json}"
    );
}

#[test]
fn a_port_that_was_chosen_stays_over_a_restart() {
    needs!(Userns);
    let env = Env::with_busybox();
    serve(&env, "server", "[::]:7", &["-p", "127.0.0.1::7-9"]);
    let all = env.ok(["port", "server"]);
    let port = port_of(&env, "server", "7");
    let want: String = (0..3).map(|at| format!("{}/tcp -> 127.0.0.1:{}\n", 7 + at, port + at)).collect();
    assert_eq!(all, want.trim_end());
    assert_eq!(env.ok(["port", "--latest", "8/tcp"]), format!("127.0.0.1:{}", port + 1));
    let id = env.ok(["ps", "-q"]);
    assert_eq!(
        env.ok(["port", "-a"]).lines().next(),
        Some(&*format!("{}\t7/tcp -> 127.0.0.1:{port}", id.trim()))
    );
    let said = env.ctr(["port", "server", "99/tcp"]).run().fails(125);
    assert!(said.contains(r#"failed to find published port "99/tcp""#), "{said}");
    env.ok(["stop", "-t0", "server"]);
    assert_eq!(env.ok(["port", "server"]), "", "of one that does not run there is nothing to say");
    drop(TcpListener::bind((V4, port)).expect("a port that is free again"));
    env.ok(["start", "server"]);
    wait_until_it_serves(&env, "server");
    assert!(asks(SocketAddr::new(V4, port), "again").ends_with(" again"));
    env.ok(["rm", "-f", "-t0", "server"]);
}

#[test]
fn a_fleeting_container_publishes_too() {
    needs!(Userns);
    let env = Env::with_busybox();
    let probe = probe();
    let mut running = env
        .ctr([
            "run",
            "--rm",
            "--name=server",
            "--network=user",
            "-p=127.0.0.1::7",
            &probe,
            "localhost/busybox",
            "/probe",
            "serve",
            "[::]:7",
        ])
        .start();
    running.wait_for_errors("serving");
    let port = port_of(&env, "server", "7");
    assert!(asks(SocketAddr::new(V4, port), "hello").ends_with(" hello"));
    running.signal(rustix::process::Signal::KILL);
    let _ended = running.finish();
}

#[test]
fn a_network_that_nobody_reaches_publishes_nothing() {
    needs!(Userns);
    let env = Env::with_busybox();
    for network in ["none", "host"] {
        let flag = format!("--network={network}");
        let output = env.shell([&flag, "-p=1:80"], "echo ran").run();
        let said = format!("Port mappings have been discarded because \"{network}\" network namespace mode");
        assert!(output.stderr.starts_with(&said), "{}", output.picture());
        assert_eq!(output.success(), "ran");
    }
    let refused = |flags: &[&str]| env.shell(flags.iter().copied(), "true").run().fails(125);
    assert!(refused(&["-p=80/sctp"]).contains("publishing port 80 with protocol sctp is not supported"));
    assert!(refused(&["-p=80:x"]).contains("parsing container port"));
    assert!(refused(&["--expose=70000"]).contains("port numbers must be between 1 and 65535"));
}

/// Whether somebody accepts at a port of this machine and answers.
pub(crate) fn is_served(port: u16) -> bool {
    let at = SocketAddr::new(V4, port);
    let Ok(mut stream) = TcpStream::connect_timeout(&at, PATIENCE) else { return false };
    stream.set_read_timeout(Some(PATIENCE)).expect("a time limit");
    let mut answer = String::new();
    let asked = stream.write_all(b"hello").and_then(|()| stream.shutdown(Shutdown::Write));
    asked.and_then(|()| stream.read_to_string(&mut answer)).is_ok() && answer.ends_with(" hello")
}

#[test]
fn ports_come_and_go_while_a_container_runs() {
    needs!(Userns);
    let env = Env::with_busybox();
    serve(&env, "server", "[::]:7", &["-p", "127.0.0.1::7"]);
    let first = port_of(&env, "server", "7");
    let said = env.ok(["port", "--add", "127.0.0.1::7", "--add", "7/udp", "server"]);
    let added: Vec<&str> = said.lines().map(|line| line.split(" -> ").next().unwrap_or_default()).collect();
    assert_eq!(added, ["7/tcp", "7/udp"]);
    let ports: Vec<u16> = places(&env, "server", "7").iter().map(SocketAddr::port).collect();
    let second = *ports.iter().find(|port| **port != first).expect("another port");
    assert!(is_served(first) && is_served(second));
    let udp = SocketAddr::new(V4, port_of(&env, "server", "7/udp"));
    let socket = UdpSocket::bind((V4, 0)).expect("a port of the loopback");
    assert!(asks_by_datagram(&socket, udp, "hello").ends_with(" hello"));
    assert!(env.ok(["ps", "--format", "{{.Ports}}"]).contains(&format!("127.0.0.1:{second}->7/tcp")));

    // One of its first start, by what it is on the host.
    assert_eq!(env.ok(["port", "--rm", &format!("{first}:7"), "server"]), "");
    assert!(!is_served(first) && is_served(second));
    drop(TcpListener::bind((V4, first)).expect("a port that is free"));

    // Whoever serves the network next knows all of that.
    let ended = || env.ok(["inspect", "--format", "{{.NetworkSettings.Ended}}", "server"]);
    kill_network(&env, "server");
    while ended() != "1" {
        std::thread::yield_now();
    }
    while !is_served(second) {
        assert_eq!(env.ok(["ps", "-q"]).lines().count(), 1, "it ended");
    }
    assert!(!is_served(first));
    assert!(asks_by_datagram(&socket, udp, "again").ends_with(" again"));

    // And so does the next start.
    env.ok(["restart", "-t0", "server"]);
    wait_until_it_serves_again(&env, "server");
    assert!(is_served(second) && !is_served(first));
    assert_eq!(env.ok(["port", "--rm", "7", "--rm", "7/udp", "--latest"]), "");
    assert_eq!(env.ok(["port", "server"]), "");
    assert!(!is_served(second));
    env.ok(["rm", "-f", "-t0", "server"]);
}

/// Whoever is first: what is published is served.
#[test]
fn a_port_that_is_added_during_a_start_is_served() {
    needs!(Userns);
    let env = Env::with_busybox();
    let probe = probe();
    for round in 0..6 {
        let name = format!("server{round}");
        env.ok(["create", "--name", &name, "--network=user", &probe, BUSYBOX, "/probe", "serve", "[::]:7"]);
        let start = env.ctr(["start", &name]).start();
        let add = env.ctr(["port", "--add", "127.0.0.1::7", &name]).start();
        start.finish().success();
        let said = add.finish().success();
        wait_until_it_serves(&env, &name);
        assert!(is_served(port_of(&env, &name, "7")), "{round}: {said}");
        env.ok(["rm", "-f", "-t0", &name]);
    }
}

fn wait_until_it_serves_again(env: &Env, name: &str) {
    while env.ctr(["logs", name]).run().stderr.matches("serving").count() < 2 {
        std::thread::yield_now();
    }
}

/// Kills the process that serves a container's network.
fn kill_network(env: &Env, name: &str) {
    let monitor = env.ok(["inspect", "--format", "{{.State.ConmonPid}}", name]);
    let children =
        std::fs::read_to_string(format!("/proc/{monitor}/task/{monitor}/children")).expect("/proc");
    let is_network = |pid: &&str| {
        std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.starts_with(b"ctr-netd"))
    };
    let pid = children.split_whitespace().find(is_network).expect("the process that serves the network");
    let pid = rustix::process::Pid::from_raw(pid.parse().expect("a number")).expect("a process");
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("it is ours");
}

#[test]
fn ports_that_cannot_come_or_go_are_refused() {
    needs!(Userns);
    let env = Env::with_busybox();
    env.ok(["create", "--name=made", "--network=user", "-p=127.0.0.1::80", "localhost/busybox", "true"]);
    env.ok(["create", "--name=alone", "--network=none", "localhost/busybox", "true"]);
    let port = port_of_made(&env);
    let refused = |args: &[&str], code: i32| env.ctr([&["port"], args].concat()).run().fails(code);
    for (args, said) in [
        (&["--rm=81", "made"][..], "container made publishes nothing at 81/tcp"),
        (&["--rm=80/udp", "made"], "container made publishes nothing at 80/udp"),
        (&["--add=80", "alone"], "container alone has no network of its own (--network none)"),
        (&["--add=x", "made"], "parsing container port"),
        (&["--add=9000-9100:9000-9100", "made"], "cannot add 202 sockets to a container: there may be 128"),
        (&["--add=80", "nobody"], "no such container"),
        (&["--add=80"], "--add and --rm need one container"),
        (&["--add=80", "made", "80"], "--add and --rm need one container"),
        (&["--add=80", "--all", "made"], "--all is for lists"),
    ] {
        let text = refused(args, 125);
        assert!(text.contains(said), "{args:?}: {text}");
    }
    let twice = format!("--add=127.0.0.1:{port}:81");
    let text = refused(&[&twice, "made"], 125);
    assert!(text.contains("conflicting port mappings for host port"), "{text}");
    // Of one that does not run it is written down.
    let said = env.ok(["port", "--add=127.0.0.1::81/udp", "made"]);
    assert!(said.starts_with("81/udp -> 127.0.0.1:"), "{said}");
    let shown = env.ok(["ps", "-a", "--filter=name=^made$", "--format={{.Ports}}"]);
    assert!(shown.contains("->80/tcp") && shown.contains("->81/udp"), "{shown}");
}

fn port_of_made(env: &Env) -> u16 {
    let shown = env.ok(["ps", "-a", "--filter=name=^made$", "--format={{.Ports}}"]);
    let port = shown.strip_prefix("127.0.0.1:").and_then(|rest| rest.split("->").next());
    port.and_then(|port| port.parse().ok()).expect("a published port")
}

#[test]
fn hundreds_of_ports_need_no_more_descriptors_than_are_usual() {
    needs!(Userns);
    let env = Env::with_busybox();
    let ctr = programs().join("ctr-run").display().to_string();
    let script = r#"ulimit -Sn 1024 && exec "$@""#;
    // Below those that other tests' connections have and leave behind.
    let is_free = |port| TcpListener::bind((V4, port)).is_ok();
    let mut ranges = (10_000..30_000_u16).step_by(600).map(|first| first..first + 600);
    let outside = ranges.find(|range| range.clone().all(is_free)).expect("600 ports in a row");
    let publish = format!("-p=127.0.0.1:{}-{}:1-600", outside.start, outside.end - 1);
    let run = ["run", "-d", "--name=many", "--network=user", &publish, "localhost/busybox", "sleep", "1000"];
    let run = env.program("sh", ["-c", script, "sh", &ctr].into_iter().chain(run)).run().success();
    assert_eq!(run.len(), 64);
    let ports = env.ok(["port", "many"]);
    assert_eq!(ports.lines().count(), 600);
    env.ok(["rm", "-f", "-t0", "many"]);
}
