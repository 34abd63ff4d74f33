//! A network of the container's own, against the plain host, pasta and slirp4netns.
//!
//! ```text
//!  ┌ host ──────────────────────┐        ┌ another host ┐
//!  │ traffic serve    [netd] ───┼──veth──┤ traffic serve│
//!  │    ▲                │      │        │ traffic obey │
//!  │ 127.0.0.1      [container] │        └──────────────┘
//!  └────────────────────────────┘
//! ```
//! `bench/run` makes both as network namespaces where it is root, and tells the addresses (`CTR_BENCH_HOST`, `CTR_BENCH_REMOTE`); else
//! there is nobody else to talk to, and what needs that is left out. Each contender asks a port of its own: what one leaves in
//! TIME_WAIT does not keep the next waiting. All of them are started anew for each section.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use crate::measure::{Contender, alternate, once, print};
use crate::memory::{dirty, private};
use crate::world::{IMAGE, World};

/// Where the inside serves, everywhere.
const INSIDE: &str = "5201";
/// Where somebody on the other host does what it is told.
const OBEYS: u16 = 5200;
/// The other host as a way out; pasta takes its address for the host's loopback.
const GATEWAY: &str = "10.99.0.254";
/// How many are compared at the most.
const PEERS: u16 = 5;
/// The ways in which a container is served, from the best on; by the last one nothing leads out.
const RUNGS: [&str; 4] = ["tproxy", "listen", "tun", "published"];
/// How often each is measured.
const ROUNDS: usize = 3;
/// How long each measurement takes, in seconds.
const SPAN: &str = "1";
/// The same where there are many.
const SHORT: &str = "0.5";

/// Somebody whose network is measured.
struct Peer<'a> {
    name: &'static str,
    /// Runs a program of the inside's.
    inside: Box<dyn Fn() -> Command + 'a>,
    /// Where the inside has the host's loopback.
    loopback: String,
    /// Which of them it is: each has ports of its own.
    number: u16,
    /// Who moves its bytes.
    mover: Option<u32>,
    end: Box<dyn FnOnce() + 'a>,
}

/// All of them, and the servers.
struct Lab<'a> {
    world: &'a World,
    server: Child,
    peers: Vec<Peer<'a>>,
    pinned: bool,
    /// The first of its ports.
    base: u16,
}

impl<'a> Lab<'a> {
    fn new(world: &'a World) -> Self {
        Self::start(world, false).with_others()
    }

    /// All of it on one processor.
    fn pinned(world: &'a World) -> Self {
        Self::start(world, true).with_others()
    }

    fn start(world: &'a World, pinned: bool) -> Self {
        static NEXT: AtomicU16 = AtomicU16::new(2000);
        let base = NEXT.fetch_add(2 * PEERS, Ordering::Relaxed);
        let mut serve = on(world.constructed(world.traffic()), pinned);
        let ports = (base..base + PEERS).map(|port| port.to_string());
        let server = serving(serve.arg("serve").args(ports));
        let mut lab = Self { world, server, peers: Vec::new(), pinned, base };
        lab.peers.push(lab.plain());
        lab
    }

    /// With us and those who do the same.
    fn with_others(mut self) -> Self {
        self.peers.push(self.ctr("ctr", "lab", 1, "user,host-access=loopback"));
        if remote().is_some() {
            self.peers.extend(self.pasta());
            self.peers.extend(self.slirp4netns());
        }
        self
    }

    /// With us in each of our ways that something can be measured along.
    fn with_rungs(mut self, way: Way) -> Self {
        for (rung, number) in RUNGS.into_iter().zip(1..) {
            let access = if rung == "published" { "" } else { ",host-access=loopback" };
            if way.is_in() || !access.is_empty() {
                self.peers.push(self.ctr(rung, rung, number, &format!("user,mode={rung}{access}")));
            }
        }
        self
    }

    fn plain(&self) -> Peer<'a> {
        let (world, pinned) = (self.world, self.pinned);
        Peer {
            name: "the plain host",
            inside: Box::new(move || on(world.constructed(world.traffic()), pinned)),
            loopback: "127.0.0.1".to_owned(),
            number: 0,
            mover: None,
            end: Box::new(|| ()),
        }
    }

    /// One of our containers, and what it is called.
    fn ctr(&self, name: &'static str, container: &'static str, number: u16, network: &str) -> Peer<'a> {
        let (world, pinned) = (self.world, self.pinned);
        let volume = format!("{}:/traffic:ro", world.traffic().display());
        let publish = format!("{}:{INSIDE}", self.published(number));
        let mut run = on(world.ctr(["run", "-d", "--name", container, "--network", network]), pinned);
        run.args([
            "-v",
            &volume,
            "-p",
            &publish,
            "--ulimit=nofile=20000",
            IMAGE,
            "/traffic",
            "serve",
            INSIDE,
        ]);
        once(&mut run);
        while world.ctr(["logs", container]).output().expect("ctr").stdout.is_empty() {
            std::thread::yield_now();
        }
        Peer {
            name,
            inside: Box::new(move || on(world.ctr(["exec", "-i", container, "/traffic"]), pinned)),
            loopback: "169.254.1.2".to_owned(),
            number,
            mover: Some(netd(world, container)),
            end: Box::new(move || {
                once(&mut world.ctr(["rm", "-f", "-t", "0", container]));
            }),
        }
    }

    /// Where the host's server listens for a peer.
    const fn asked(&self, number: u16) -> u16 {
        self.base + number
    }

    /// Where the host has a peer's inside; the plain host's is the server itself.
    const fn published(&self, number: u16) -> u16 {
        self.base + number + if number == 0 { 0 } else { PEERS }
    }

    fn pasta(&self) -> Option<Peer<'a>> {
        let publish = format!("{}:{INSIDE}", self.published(2));
        let inside = self.namespace();
        let mut pasta = on(self.world.constructed("pasta"), self.pinned);
        pasta.args(["-f", "-q", "--config-net", "-t", &publish, &inside.id().to_string()]);
        self.peer("pasta", GATEWAY, 2, inside, &mut pasta)
    }

    fn slirp4netns(&self) -> Option<Peer<'a>> {
        let inside = self.namespace();
        let api = self.world.path("slirp4netns");
        std::fs::remove_file(&api).ok();
        let mut slirp = on(self.world.constructed("slirp4netns"), self.pinned);
        slirp.args(["--configure", "--mtu=65520", "--enable-ipv6", "--api-socket"]).arg(&api);
        slirp.args([&inside.id().to_string(), "tap0"]);
        let peer = self.peer("slirp4netns", "10.0.2.2", 3, inside, &mut slirp)?;
        let mut asked = UnixStream::connect(&api).expect("slirp4netns' socket");
        let forward = format!(
            r#"{{"execute":"add_hostfwd","arguments":{{"proto":"tcp","host_addr":"0.0.0.0","host_port":{},"guest_port":{INSIDE}}}}}"#,
            self.published(3)
        );
        asked.write_all(forward.as_bytes()).expect("it listens");
        asked.shutdown(std::net::Shutdown::Write).expect("it listens");
        let mut said = String::new();
        asked.read_to_string(&mut said).expect("it answers");
        assert!(said.contains("return"), "{said}");
        Some(peer)
    }

    /// A network namespace with a server in it, for those who come to one.
    fn namespace(&self) -> Child {
        let mut serve = on(self.world.constructed("unshare"), self.pinned);
        serve.args([
            "--user",
            "--map-root-user",
            "--net",
            "sh",
            "-c",
            "ip link set lo up; exec \"$0\" serve 5201",
        ]);
        serving(serve.arg(self.world.traffic()))
    }

    /// One who gives a namespace its network.
    fn peer(
        &self,
        name: &'static str,
        loopback: &str,
        number: u16,
        mut inside: Child,
        mover: &mut Command,
    ) -> Option<Peer<'a>> {
        let pinned = self.pinned;
        let command = mover.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let Ok(mut mover) = command.spawn() else {
            println!("without {name}: it is not installed");
            end(&mut inside);
            return None;
        };
        let (world, of) = (self.world, inside.id().to_string());
        let enter = move || {
            let mut enter = on(world.constructed("nsenter"), pinned);
            enter.args(["--preserve-credentials", "-U", "-n", "-t", &of]).arg(world.traffic());
            enter
        };
        let until = Instant::now() + Duration::from_secs(30);
        while !reaches(&mut enter(), &format!("{loopback}:{}", self.asked(number))) {
            assert!(Instant::now() < until, "{name} does not reach the host's loopback");
            // Its ports may be held by what the one before left.
            if mover.try_wait().expect("a child of ours").is_some() {
                mover = command.spawn().expect("a program that starts");
            }
        }
        Some(Peer {
            name,
            inside: Box::new(enter),
            loopback: loopback.to_owned(),
            number,
            mover: Some(mover.id()),
            end: Box::new(move || {
                end(&mut mover);
                end(&mut inside);
            }),
        })
    }

    /// Has each of them measured in turn, and prints the medians of what was said; the ratios are those of ours to each.
    fn compare(&self, what: &str, measure: impl Fn(&Peer<'_>) -> Vec<f64>) {
        let rounds = self.rounds(measure);
        let medians: Vec<Vec<f64>> = rounds.iter().map(|rounds| each_median(rounds)).collect();
        let ours = medians[1][0];
        for (peer, medians) in self.peers.iter().zip(&medians) {
            println!("| {what} | {} | {} | {:.2} |", peer.name, cells(medians), ours / medians[0]);
        }
    }

    /// The same, where the ratios are those of each to the plain host in the same round, and the median of them: a machine that is slower
    /// for a while is so for both.
    fn climb(&self, what: &str, measure: impl Fn(&Peer<'_>) -> Vec<f64>) {
        let rounds = self.rounds(measure);
        let plain = &rounds[0];
        for (peer, own) in self.peers.iter().zip(&rounds) {
            let ratios: Vec<Vec<f64>> =
                own.iter().zip(plain).map(|(own, plain)| vec![own[0] / plain[0]]).collect();
            let ratio = each_median(&ratios)[0];
            println!("| {what} | {} | {} | {ratio:.2} |", peer.name, cells(&each_median(own)));
        }
    }

    /// Has each of them measured in turn: what was said of each, round by round.
    fn rounds(&self, measure: impl Fn(&Peer<'_>) -> Vec<f64>) -> Vec<Vec<Vec<f64>>> {
        let mut rounds: Vec<Vec<Vec<f64>>> = vec![Vec::new(); self.peers.len()];
        for _ in 0..ROUNDS {
            for (peer, measured) in self.peers.iter().zip(&mut rounds) {
                measured.push(measure(peer));
            }
        }
        rounds
    }

    /// Gbit/s of so many streams along a way, and what the whole machine worked for a gigabyte of it.
    fn moves(&self, peer: &Peer<'_>, way: Way, direction: &str, span: &str, count: &str) -> Vec<f64> {
        let before = busy();
        let rate = figures(&mut way.measure(self, peer, &[direction], &[span, count]))[0];
        vec![rate, (busy() - before) / (rate / 8.0 * span.parse::<f64>().expect("seconds"))]
    }
}

impl Drop for Lab<'_> {
    fn drop(&mut self) {
        for peer in self.peers.drain(..) {
            (peer.end)();
        }
        end(&mut self.server);
    }
}

/// A command on the first processor, or wherever there is room.
fn on(command: Command, pinned: bool) -> Command {
    if !pinned {
        return command;
    }
    let mut taskset = Command::new("taskset");
    taskset.env_clear().args(["-c", "0"]).arg(command.get_program()).args(command.get_args());
    taskset.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    taskset
}

/// Starts a server, and waits until it serves.
fn serving(command: &mut Command) -> Child {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("a server");
    let mut said = String::new();
    BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut said).expect("a word");
    assert_eq!(said, "serves\n", "{command:?}");
    child
}

fn end(child: &mut Child) {
    child.kill().expect("a child of ours");
    child.wait().expect("a child of ours");
}

fn reaches(traffic: &mut Command, at: &str) -> bool {
    let tried = traffic.args(["first", at]).stderr(Stdio::null()).status();
    tried.is_ok_and(|status| status.success())
}

/// The process that serves the container's network.
fn netd(world: &World, container: &str) -> u32 {
    let asked = ["inspect", "--format", "{{.State.ConmonPid}}", container];
    let monitor = world.ctr(asked).output().expect("ctr").stdout;
    let monitor = String::from_utf8_lossy(&monitor).trim().to_owned();
    let children =
        std::fs::read_to_string(format!("/proc/{monitor}/task/{monitor}/children")).expect("a monitor");
    let is_netd = |pid: &&str| {
        std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name == "ctr-netd\n")
    };
    children.split_whitespace().find(is_netd).and_then(|pid| pid.parse().ok()).expect("a netd")
}

/// This host and the other one, as each sees the other.
fn remote() -> Option<(String, String)> {
    Some((std::env::var("CTR_BENCH_HOST").ok()?, std::env::var("CTR_BENCH_REMOTE").ok()?))
}

/// The figures that a measurement says.
fn figures(command: &mut Command) -> Vec<f64> {
    let output = command.stdin(Stdio::null()).output().expect("a program that starts");
    let said = String::from_utf8_lossy(&output.stdout);
    let figures: Vec<f64> = said.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    assert!(!figures.is_empty(), "{command:?}: {said} {}", String::from_utf8_lossy(&output.stderr));
    figures
}

fn each_median(rounds: &[Vec<f64>]) -> Vec<f64> {
    let median = |at: usize| {
        let mut all: Vec<f64> = rounds.iter().map(|round| round[at]).collect();
        all.sort_by(f64::total_cmp);
        all[all.len() / 2]
    };
    (0..rounds[0].len()).map(median).collect()
}

/// Where bytes go.
#[derive(Clone, Copy)]
enum Way {
    /// From the inside to the host's loopback.
    Out,
    /// From the inside to the other host.
    Away,
    /// From the host's loopback to the inside, by a published port.
    In,
    /// From the other host to the inside.
    Back,
}

impl Way {
    /// Those that there are.
    fn all() -> Vec<Self> {
        if remote().is_some() {
            vec![Self::Out, Self::Away, Self::In, Self::Back]
        } else {
            vec![Self::Out, Self::In]
        }
    }

    /// Somebody outside calls.
    const fn is_in(self) -> bool {
        matches!(self, Self::In | Self::Back)
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Out => "inside to loopback",
            Self::Away => "inside to another host",
            Self::In => "published, from loopback",
            Self::Back => "published, from another host",
        }
    }

    /// The command that measures something along it.
    fn measure(self, lab: &Lab<'_>, peer: &Peer<'_>, before: &[&str], after: &[&str]) -> Command {
        let (host, other) = remote().unwrap_or_default();
        let outside = || on(lab.world.constructed(lab.world.traffic()), lab.pinned);
        let (mut command, at) = match self {
            Self::Out => ((peer.inside)(), format!("{}:{}", peer.loopback, lab.asked(peer.number))),
            Self::Away => ((peer.inside)(), format!("{other}:{INSIDE}")),
            Self::In => (outside(), format!("127.0.0.1:{}", lab.published(peer.number))),
            Self::Back => {
                let mut told = outside();
                told.args(["told", &format!("{other}:{OBEYS}")]);
                (told, format!("{host}:{}", lab.published(peer.number)))
            }
        };
        command.args(before).arg(at).args(after);
        command
    }
}

/// Gbit/s, and what the whole machine worked for a gigabyte of it.
pub(crate) fn streams(world: &World) {
    println!("| | | Gbit/s | CPU s/GB | ctr / it |\n|---|---|---:|---:|---:|");
    for way in Way::all() {
        let lab = Lab::new(world);
        for direction in ["up", "down"] {
            for count in ["1", "8"] {
                let what = format!("{}, {direction}, {count}", way.name());
                lab.compare(&what, |peer| lab.moves(peer, way, direction, SPAN, count));
            }
        }
    }
}

/// What each way of serving a container costs.
pub(crate) fn ladder(world: &World) {
    climb(world, Way::Out);
}

/// The same of published ports.
pub(crate) fn ladder_published(world: &World) {
    climb(world, Way::In);
}

fn climb(world: &World, way: Way) {
    println!("| | | Gbit/s | CPU s/GB | it / plain |\n|---|---|---:|---:|---:|");
    let lab = Lab::start(world, false).with_rungs(way);
    for (direction, count) in [("up", "1"), ("up", "8"), ("down", "1"), ("down", "8")] {
        let what = format!("{}, {direction}, {count}", way.name());
        lab.climb(&what, |peer| lab.moves(peer, way, direction, SHORT, count));
    }
    println!("\n| | | per second | it / plain |\n|---|---|---:|---:|");
    for threads in ["1", "8"] {
        let what = format!("{}, {threads} threads", way.name());
        lab.climb(&what, |peer| figures(&mut way.measure(&lab, peer, &["connect"], &[SHORT, threads])));
    }
    drop(lab);
    println!("\n| | | median µs | p99 µs | it / plain |\n|---|---|---:|---:|---:|");
    let lab = Lab::start(world, true).with_rungs(way);
    let what = format!("tcp, {}, on one processor", way.name());
    lab.climb(&what, |peer| figures(&mut way.measure(&lab, peer, &["ask", "tcp"], &[SHORT])));
}

fn cells(medians: &[f64]) -> String {
    medians.iter().map(|figure| format!("{figure:.2}")).collect::<Vec<_>>().join(" | ")
}

/// How long all processors have worked, in seconds.
fn busy() -> f64 {
    const TICKS: f64 = 100.0;
    let text = std::fs::read_to_string("/proc/stat").expect("/proc");
    let line = text.lines().next().expect("a line of all processors");
    let ticks: Vec<f64> = line.split_whitespace().skip(1).filter_map(|word| word.parse().ok()).collect();
    // user, nice, system, then idle and waiting; then both interrupts.
    (ticks[0] + ticks[1] + ticks[2] + ticks[5] + ticks[6]) / TICKS
}

/// Connections per second, each with a byte there and back.
pub(crate) fn connections(world: &World) {
    println!("| | | per second | ctr / it |\n|---|---|---:|---:|");
    // Of connections to another host what they leave in TIME_WAIT is more than there are ports for.
    for way in [Way::Out, Way::In] {
        for threads in ["1", "8"] {
            let lab = Lab::new(world);
            let what = format!("{}, {threads} threads", way.name());
            lab.compare(&what, |peer| figures(&mut way.measure(&lab, peer, &["connect"], &["0.5", threads])));
        }
    }
}

/// A byte there and back.
pub(crate) fn round_trips(world: &World) {
    println!("| | | median µs | p99 µs | ctr / it |\n|---|---|---:|---:|---:|");
    for (where_, lab) in [("on one processor", Lab::pinned as fn(_) -> _), ("on any", Lab::new)] {
        for protocol in ["tcp", "udp"] {
            let lab = lab(world);
            let what = format!("{protocol}, {where_}");
            lab.compare(&what, |peer| {
                figures(&mut Way::Out.measure(&lab, peer, &["ask", protocol], &[SPAN]))
            });
        }
        let lab = lab(world);
        let what = format!("tcp, {}, {where_}", Way::In.name());
        lab.compare(&what, |peer| figures(&mut Way::In.measure(&lab, peer, &["ask", "tcp"], &[SPAN])));
    }
}

/// The highest rate at which fewer than one in a thousand is lost.
pub(crate) fn datagrams(world: &World) {
    const MOST: f64 = 1000.0;
    println!("| | | datagrams of 1400 bytes per second | ctr / it |\n|---|---|---:|---:|");
    let lab = Lab::new(world);
    lab.compare("inside to loopback", |peer| {
        let (mut good, mut bad) = (1_000.0, 1_000_000.0);
        // To a tenth.
        while bad / good > 1.1_f64 {
            let rate = f64::sqrt(good * bad);
            let lost =
                figures(&mut Way::Out.measure(&lab, peer, &["rate"], &["0.5", &format!("{rate:.0}")]))[0];
            if lost < MOST { good = rate } else { bad = rate }
        }
        vec![good]
    });
}

/// Many connections at once, and what they cost in memory.
pub(crate) fn burst(world: &World) {
    const MANY: &str = "9000";
    println!("| | | ms | failed | ctr / it |\n|---|---|---:|---:|---:|");
    let at_once = |lab: &Lab<'_>, many: &str| {
        lab.compare(&format!("{many} at once"), |peer| {
            figures(&mut Way::Out.measure(lab, peer, &["burst"], &[many]))
        });
    };
    at_once(&Lab::new(world), "1000");
    let mut lab = Lab::new(world);
    let netd = lab.peers.iter().find(|peer| peer.name == "ctr").and_then(|peer| peer.mover).expect("a netd");
    let fresh = (dirty(netd), private(netd));
    // Others lose some of so many, or take minutes.
    for peer in lab.peers.drain(2..) {
        (peer.end)();
    }
    at_once(&lab, MANY);
    let mut held = Way::Out.measure(&lab, &lab.peers[1], &["burst"], &[MANY]);
    let mut held = held.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("a program that starts");
    let mut said = String::new();
    BufReader::new(held.stdout.take().expect("a pipe")).read_line(&mut said).expect("what it says");
    let most = (dirty(netd), private(netd));
    drop(held.stdin.take());
    held.wait().expect("a child of ours");
    while descriptors(netd) > 1000 {
        std::thread::yield_now();
    }
    println!("\n| KiB of netd | dirty | private |\n|---|---:|---:|");
    for (when, (dirty, private)) in [
        ("before it has done anything", fresh),
        (&format!("with {MANY} connections")[..], most),
        ("when they are gone", (dirty(netd), private(netd))),
    ] {
        println!("| {when} | {dirty} | {private} |");
    }
}

/// How many descriptors a process has.
fn descriptors(pid: u32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd")).expect("a live process").count()
}

/// What a network of its own adds to a start, and how soon it connects.
pub(crate) fn set_up(world: &World) {
    let run = |network: &'static str, command: &'static [&'static str]| {
        let volume = format!("{}:/traffic:ro", world.traffic().display());
        move || {
            let mut run = world.ctr(["run", "--rm", "--network", network, "-v", &volume, IMAGE]);
            run.args(command);
            run
        }
    };
    let mut serve = world.constructed(world.traffic());
    let mut server = serving(serve.args(["serve", INSIDE]));
    let user = "user,host-access=loopback";
    print(&alternate(&[
        Contender::new("ctr run --network user", 100, run(user, &["true"])),
        Contender::new("--network none", 100, run("none", &["true"])),
    ]));
    println!();
    print(&alternate(&[
        Contender::new(
            "ctr run --network user, until it is connected",
            100,
            run(user, &["/traffic", "first", "169.254.1.2:5201"]),
        ),
        Contender::new(
            "--network none, a program that connects to nobody",
            100,
            run("none", &["/traffic", "nothing"]),
        ),
    ]));
    end(&mut server);
}
