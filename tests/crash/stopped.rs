//! A monitor that is stopped for a whole minute. It is here because the other tests of this program keep both processors
//! busy by themselves: a minute of waiting beside them costs no time.

use std::path::Path;

use ctr_tests::env::Running;
use ctr_tests::image::Image;
use ctr_tests::{BUSYBOX, Env, needs};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};

use crate::broken::world;

const MINUTE: Timespec = Timespec { tv_sec: 60, tv_nsec: 0 };

/// Writes more than fits into a pipe, and stands still meanwhile.
const FLOOD: &str = "until [ -e /shared/go ]; do sleep 0.1; done; seq 200000";
/// Writes all the time, and less than fits.
const TRICKLE: &str = "i=0; until [ -e /shared/enough ]; do i=$((i+1)); echo $i; sleep 0.05; done; \
                       echo $i >/shared/.count; mv /shared/.count /shared/count";

fn start(env: &Env, name: &str, script: &str) {
    let shared = format!("{}:/shared", env.path("").display());
    let run = ["run", "-d", "--name", name, "--network", "none", "-v", &shared];
    assert_eq!(env.ok(run.iter().chain(&[BUSYBOX, "sh", "-c", script])).len(), 64);
}

fn process(env: &Env, name: &str, which: &str) -> Pid {
    let text = env.ok(["container", "inspect", "--format", &format!("{{{{.State.{which}}}}}"), name]);
    text.parse().ok().and_then(Pid::from_raw).expect("a process")
}

fn states(env: &Env) -> String {
    env.ok(["ps", "-a", "--sort", "names", "--format", "{{.Names}} {{.State}}"])
}

fn wait_for_file(path: &Path) {
    while !path.exists() {
        std::thread::yield_now();
    }
}

fn numbers(last: u32) -> String {
    (1..=last).map(|number| format!("{number}\n")).collect()
}

/// Ends with a test that fails.
struct Suspended(Pid);

impl Suspended {
    fn new(process: Pid) -> Self {
        kill_process(process, Signal::STOP).expect("it is ours");
        Self(process)
    }
}

impl Drop for Suspended {
    fn drop(&mut self) {
        kill_process(self.0, Signal::CONT).expect("it is ours");
    }
}

#[test]
fn a_minute_without_a_monitor_loses_nothing() {
    needs!(Strace);
    let env = world();
    env.load(&Image::busybox(BUSYBOX, []));
    start(&env, "flood", FLOOD);
    start(&env, "trickle", TRICKLE);
    let init = pidfd_open(process(&env, "flood", "Pid"), PidfdFlags::empty()).expect("it runs");
    let monitors = ["flood", "trickle"].map(|name| process(&env, name, "ConmonPid"));
    let suspended = monitors.map(Suspended::new);
    let _go = env.file("go", "");

    let before = env.ctr(["logs", "trickle"]).run().success();
    let ended = poll(&mut [PollFd::new(&init, PollFlags::IN)], Some(&MINUTE)).expect("a process");
    assert_eq!(ended, 0, "what nobody reads holds it up, and does not end it");
    // Every verb has its end all the same.
    assert_eq!(states(&env), "flood running\ntrickle running");
    assert_eq!(env.ctr(["logs", "trickle"]).run().success(), before);
    assert_eq!(env.ctr(["logs", "flood"]).run().success(), "");
    assert_eq!(env.ok(["exec", "trickle", "echo", "inside"]), "inside");
    // One that ends meanwhile has ended, but for what its monitor has to say: who stops it waits for that, and says so.
    let _enough = env.file("enough", "");
    wait_for_file(&env.path("count"));
    let mut stop: Running<'_> = env.ctr(["stop", "-t", "0", "trickle"]).start();
    let said = stop.wait_for_errors("waiting for ");
    assert!(said.contains(&monitors[1].as_raw_nonzero().to_string()), "{said}");
    assert_eq!(states(&env), "flood running\ntrickle stopping");

    drop(suspended);
    assert_eq!(stop.finish().code(), 0);
    assert_eq!(env.ok(["wait", "flood", "trickle"]), "0\n0");
    assert!(env.ctr(["logs", "flood"]).run().stdout == numbers(200_000));
    let count =
        std::fs::read_to_string(env.path("count")).expect("a number").trim().parse().expect("a number");
    assert!(env.ctr(["logs", "trickle"]).run().stdout == numbers(count), "{count} lines");
    assert_eq!(states(&env), "flood exited\ntrickle exited");
}
