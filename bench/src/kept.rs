//! Containers that outlive their command, against bwrap and podman.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::measure::{Contender, alternate, once, print};
use crate::memory::private;
use crate::world::{IMAGE, World};

/// A command that ends when it is asked to, and says when it can hear that.
const HEARS: &str = "trap 'exit 0' TERM; echo up; while :; do sleep 1000 & wait; done";

/// One of the two that keep containers.
type Program<'a> = &'a dyn Fn(&[&str]) -> Command;

fn detached<'a>(name: &'a str, command: &'a [&'a str]) -> Vec<&'a str> {
    [&["run", "-d", "--name", name, "--network", "none", IMAGE], command].concat()
}

/// Starts a container that hears signals, and waits until it does.
fn hearing(program: Program<'_>, name: &str) {
    removed(program, name);
    once(&mut program(&detached(name, &["sh", "-c", HEARS])));
    while program(&["logs", name]).output().expect("a program that starts").stdout.is_empty() {
        std::thread::yield_now();
    }
}

fn removed(program: Program<'_>, name: &str) {
    once(&mut program(&["rm", "-f", "-i", "-t", "0", name]));
}

/// `run -d` and `exec` against bwrap; podman's beside.
pub(crate) fn start_and_exec(world: &World) {
    let ctr = |args: &[&str]| world.ctr(args);
    let podman = |args: &[&str]| world.podman(args);
    let run = detached("one", &["sleep", "1000"]);
    let mut contenders = vec![
        Contender::new("ctr run -d", 100, || ctr(&run)).after(|| removed(&ctr, "one")),
        Contender::new("bwrap --unshare-all", 100, || world.bwrap(["true"])),
    ];
    if world.has_podman() {
        contenders
            .push(Contender::new("podman run -d", 10, || podman(&run)).after(|| removed(&podman, "one")));
    }
    print(&alternate(&contenders));
    println!();
    once(&mut ctr(&run));
    let mut contenders = vec![
        Contender::new("ctr exec true", 100, || ctr(&["exec", "one", "true"])),
        Contender::new("bwrap --unshare-all", 100, || world.bwrap(["true"])),
    ];
    if world.has_podman() {
        once(&mut podman(&run));
        contenders.push(Contender::new("podman exec true", 10, || podman(&["exec", "one", "true"])));
    }
    print(&alternate(&contenders));
    removed(&ctr, "one");
    if world.has_podman() {
        removed(&podman, "one");
    }
}

/// The daily verbs against podman's.
pub(crate) fn verbs(world: &World) {
    let ctr = |args: &[&str]| world.ctr(args);
    let podman = |args: &[&str]| world.podman(args);
    if !world.has_podman() {
        println!("without podman there is nothing to compare with");
        return;
    }
    hearing(&ctr, "up");
    hearing(&podman, "up");
    for args in [&["ps"][..], &["inspect", "up"], &["logs", "up"]] {
        let (ours, theirs) = (&*format!("ctr {}", args[0]), &*format!("podman {}", args[0]));
        print(&alternate(&[
            Contender::new(ours, 50, || ctr(args)),
            Contender::new(theirs, 10, || podman(args)),
        ]));
        println!();
    }
    for args in [&["stop", "one"][..], &["rm", "-f", "-t", "0", "one"]] {
        let (ours, theirs) = (&*format!("ctr {}", args[0]), &*format!("podman {}", args[0]));
        print(&alternate(&[
            Contender::new(ours, 20, || ctr(args)).before(|| hearing(&ctr, "one")),
            Contender::new(theirs, 5, || podman(args)).before(|| hearing(&podman, "one")),
        ]));
        println!();
    }
    for program in [&ctr as Program<'_>, &podman] {
        removed(program, "one");
        removed(program, "up");
    }
}

/// The memory of a monitor.
pub(crate) fn monitor(world: &World) {
    once(&mut world.ctr(detached("one", &["sleep", "1000"])));
    let asked = ["inspect", "--format", "{{.State.ConmonPid}}", "one"];
    let pid = world.ctr(asked).output().expect("a program that starts").stdout;
    let pid: u32 = String::from_utf8_lossy(&pid).trim().parse().expect("a number");
    println!("a monitor has {} KiB of private memory", private(pid));
    removed(&|args: &[&str]| world.ctr(args), "one");
}

/// A thousand at once: each of them, and what they do to the others.
pub(crate) fn thousand(world: &World) {
    const ALL: usize = 1000;
    let ctr = |args: &[&str]| world.ctr(args);
    let median = |command: &dyn Fn() -> Command| {
        let times = alternate(&[Contender::new("", 20, command)]);
        times[0].median().as_secs_f64() * 1e3
    };
    let list = || ctr(&["ps", "-a"]);
    let run = || ctr(&["run", "--rm", "--network", "none", IMAGE, "true"]);
    let (listed, ran) = (median(&list), median(&run));
    let starts: Vec<Duration> =
        (0..ALL).map(|n| once(&mut ctr(&detached(&format!("c{n}"), &["sleep", "1000"])))).collect();
    let mean = |times: &[Duration]| times.iter().sum::<Duration>().as_secs_f64() * 1e3 / 100.0;
    let (first, last) = (mean(&starts[..100]), mean(&starts[ALL - 100..]));
    println!(
        "{ALL} started; the first hundred took {first:.2} ms each, the last {last:.2}: {:.2} ×",
        last / first
    );
    let (full, beside) = (median(&list), median(&run));
    println!("ps -a of none {listed:.2} ms, of all {full:.2} ms: 4 × and {:.2} ms", full - 4.0 * listed);
    println!("run --rm alone {ran:.2} ms, beside them {beside:.2} ms: {:.2} ×", beside / ran);
    for (what, args) in [("stopped", &["stop", "-t", "0", "-a"][..]), ("removed", &["rm", "-a"])] {
        println!("all {what} in {:.2} s", once(&mut ctr(args)).as_secs_f64());
    }
}

/// Two gigabytes in a log, with and without somebody who follows.
pub(crate) fn follower(world: &World) {
    const GIB2: &str = "2147483648";
    // Lines, so that each is a record of the log.
    let script = format!(
        "read go; yes 0123456789012345678901234567890123456789012345678901234567890 | head -c {GIB2}"
    );
    let run = |followed: bool| {
        let args = ["create", "-i", "--name", "one", "--network", "none", "--log-opt", "max-size=-1", IMAGE];
        once(&mut world.ctr([&args[..], &["sh", "-c", &script]].concat()));
        once(&mut world.ctr(["start", "one"]));
        let start = Instant::now();
        let logs = followed.then(|| {
            let logs = world.ctr(["logs", "-f", "one"]).stdout(Stdio::piped()).spawn();
            let mut logs = logs.expect("a program that starts");
            let mut hash = Command::new("sha256sum");
            hash.stdin(logs.stdout.take().expect("a pipe")).stdout(Stdio::piped());
            (logs, hash.spawn().expect("sha256sum"))
        });
        let mut attach =
            world.ctr(["attach", "one"]).stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("ctr");
        drop(attach.stdin.take());
        attach.wait().expect("a child of ours");
        let sum = logs.map(|(mut logs, hash)| {
            let sum = hash.wait_with_output().expect("a sum").stdout;
            logs.wait().expect("a child of ours");
            String::from_utf8_lossy(&sum).into_owned()
        });
        let took = start.elapsed().as_secs_f64();
        once(&mut world.ctr(["rm", "one"]));
        (took, sum)
    };
    let (alone, _) = run(false);
    let (followed, sum) = run(true);
    let all = format!("{} | sha256sum", script.replacen("read go;", "", 1));
    let expected = Command::new("sh").args(["-c", &all]).output().expect("a shell").stdout;
    println!("2 GiB: {alone:.1} s, followed {followed:.1} s: {:.2} ×", followed / alone);
    println!("the follower had all of it: {}", sum.as_deref() == Some(&*String::from_utf8_lossy(&expected)));
}
