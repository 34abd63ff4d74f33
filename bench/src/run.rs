//! `ctr run` against bwrap and podman.

use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use crate::measure::{Contender, alternate, once, print};
use crate::world::{IMAGE, World};

/// `ctr version` against a program that does nothing.
pub(crate) fn version(world: &World) {
    print(&alternate(&[
        Contender::new("ctr version", 200, || world.ctr(["version"])),
        Contender::new("an empty static program", 200, || world.empty()),
    ]));
}

fn ctr_true(world: &World) -> Command {
    world.ctr(["run", "--rm", "--network", "none", IMAGE, "true"])
}

fn podman_true(world: &World) -> Command {
    world.podman(["run", "--rm", "--network", "none", IMAGE, "true"])
}

/// One after the other: alone, and while another container of the same user sleeps.
#[expect(clippy::print_stdout, reason = "what it measured is what it prints")]
pub(crate) fn one_at_a_time(world: &World) {
    let mut cold = vec![
        Contender::new("ctr run", 100, || ctr_true(world)),
        Contender::new("bwrap --unshare-all", 100, || world.bwrap(["true"])),
    ];
    if world.has_podman() {
        cold.push(Contender::new("podman run", 10, || podman_true(world)));
    }
    println!("Alone:\n");
    print(&alternate(&cold));

    println!("\nWhile another container of the same user sleeps:\n");
    let sleeper = Sleeper::start(world);
    print(&alternate(&[
        Contender::new("ctr run", 100, || ctr_true(world)),
        Contender::new("bwrap --unshare-all", 100, || world.bwrap(["true"])),
    ]));
    sleeper.end();
}

/// A hundred runs, eight at a time.
#[expect(clippy::print_stdout, reason = "what it measured is what it prints")]
pub(crate) fn many_at_once(world: &World) {
    const RUNS: usize = 100;
    let all = |command: &(dyn Fn() -> Command + Sync)| {
        let next = AtomicUsize::new(0);
        let start = Instant::now();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    while next.fetch_add(1, Ordering::Relaxed) < RUNS {
                        once(&mut command());
                    }
                });
            }
        });
        start.elapsed().as_secs_f64()
    };
    let ours = all(&|| ctr_true(world));
    println!("{RUNS} runs, 8 at a time: ctr {ours:.2} s");
    if world.has_podman() {
        let theirs = all(&|| podman_true(world));
        println!("podman {theirs:.2} s: {:.1} times ctr's", theirs / ours);
    }
}

/// A container that sleeps until it is ended.
pub(crate) struct Sleeper(Child);

impl Sleeper {
    /// Starts it, and waits until its command runs.
    pub(crate) fn start(world: &World) -> Self {
        let script = "echo up; exec sleep 3600";
        let mut command = world.ctr(["run", "--rm", "--network", "none", IMAGE, "sh", "-c", script]);
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("a program that starts");
        let mut stdout = child.stdout.take().expect("a pipe");
        let mut up = [0; 3];
        std::io::Read::read_exact(&mut stdout, &mut up).expect("the container says that it is up");
        Self(child)
    }

    /// The process that waits for it.
    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Ends it.
    pub(crate) fn end(mut self) {
        self.0.kill().expect("a child of ours");
        self.0.wait().expect("a child of ours");
    }
}
