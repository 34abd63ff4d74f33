//! From start to end: exit codes, signals, time-outs, names, files of ids, and what is left.

use ctr_tests::image::Image;
use ctr_tests::{BUSYBOX, Env, needs};
use rustix::process::Signal;

#[test]
fn the_exit_code_is_the_command_s() {
    needs!(Userns);
    let env = Env::with_busybox();
    for code in [0, 1, 42, 255] {
        assert_eq!(env.shell([""; 0], &format!("exit {code}")).run().code(), code);
    }
}

#[test]
fn a_signal_that_ends_the_command_is_128_and_its_number() {
    needs!(Userns);
    let env = Env::with_busybox();
    let mut running = env.shell(["--pidfile", "pid"], "echo ready; exec sleep 1000").start();
    running.wait_for("ready\n");
    rustix::process::kill_process(written(&env, "pid"), Signal::KILL).expect("the container");
    assert_eq!(running.finish().code(), 137);
}

/// The process id in a file of the work directory.
fn written(env: &Env, name: &str) -> rustix::process::Pid {
    let pid = std::fs::read_to_string(env.path(name)).expect("the file").trim().parse().expect("a number");
    rustix::process::Pid::from_raw(pid).expect("a process id")
}

#[test]
fn signals_go_to_the_command() {
    needs!(Userns);
    let env = Env::with_busybox();
    let script = "trap 'echo got; exit 7' TERM; echo ready; while :; do sleep 1; done";
    let mut running = env.shell([""; 0], script).start();
    running.wait_for("ready\n");
    running.signal(Signal::TERM);
    let output = running.finish();
    assert_eq!((output.code(), output.stdout.as_str()), (7, "got\n"));
}

#[test]
fn without_sig_proxy_a_signal_ends_ctr_and_the_container_with_it() {
    needs!(Userns);
    let env = Env::with_busybox();
    let mut running =
        env.shell(["--sig-proxy=false", "--name", "one"], "trap '' TERM; echo ready; sleep 1000").start();
    running.wait_for("ready\n");
    running.signal(Signal::TERM);
    assert_ne!(running.finish().code(), 0);
    assert_eq!(env.ok(["ps", "-q"]), "");
}

#[test]
fn when_ctr_is_killed_so_is_the_container() {
    needs!(Userns);
    let env = Env::with_busybox();
    let mut running = env.shell(["--pidfile", "pid"], "echo ready; exec sleep 1000").start();
    running.wait_for("ready\n");
    let container = rustix::process::pidfd_open(written(&env, "pid"), rustix::process::PidfdFlags::empty())
        .expect("the container");
    running.signal(Signal::KILL);
    assert_eq!(running.finish().code(), 137);
    let mut fds = [rustix::event::PollFd::new(&container, rustix::event::PollFlags::IN)];
    let limit = rustix::event::Timespec { tv_sec: 20, tv_nsec: 0 };
    assert_eq!(rustix::event::poll(&mut fds, Some(&limit)), Ok(1), "the container outlives its supervisor");
}

#[test]
fn a_timeout_ends_it() {
    needs!(Userns);
    let env = Env::with_busybox();
    let output = env.shell(["--timeout", "1"], "sleep 1000").run();
    assert_ne!(output.code(), 0, "{output}");
    let kept = env.ctr(["run", "--name", "it", "--timeout", "1", BUSYBOX, "sleep", "1000"]).run();
    assert_eq!(kept.code(), 255, "{kept}");
    // It has no code of its own.
    assert_eq!(env.ok(["inspect", "--format", "{{.State.Status}} {{.State.ExitCode}}", "it"]), "exited -1");
    assert_eq!(env.ok(["ps", "-a", "--filter", "exited=-1", "--format", "{{.Names}}"]), "it");
}

#[test]
fn names_and_ids_are_written_and_unique() {
    needs!(Userns);
    let env = Env::with_busybox();
    let other = |flags: &[&str]| env.ctr(["run", "--rm"]).args(flags).args([BUSYBOX, "true"]).run();
    // What an earlier container left in the file goes, all of it.
    let _left = env.file("cid", "x".repeat(120));
    let mut one = env.shell(["--name", "one", "--cidfile", "cid"], "echo ready; exec sleep 1000").start();
    one.wait_for("ready\n");
    let id = std::fs::read_to_string(env.path("cid")).expect("the file");
    assert_eq!(id.trim().len(), 64, "{id}");
    assert_eq!(env.ok(["ps", "--no-trunc", "--format", "{{.ID}} {{.Names}}"]), format!("{} one", id.trim()));
    let said = other(&["--name", "one"]).fails(125);
    assert!(said.contains("one") && said.contains("in use"), "{said}");
    for wrong in ["a b", "-x", "a\nb"] {
        assert_eq!(other(&["--name", wrong]).code(), 125, "{wrong:?}");
    }
    assert_eq!(env.ok(["rm", "--force", "--time", "0", "one"]), "one");
    assert_eq!(one.finish().code(), 137);
    assert_eq!(env.ok(["ps", "-aq"]), "");
}

#[test]
fn what_was_said_of_a_container_is_shown_of_it() {
    needs!(Userns);
    let env = Env::with_busybox();
    let flags =
        ["--name", "shown", "--label", "a=b", "-l", "c", "--annotation", "x=y", "--stop-signal", "INT"];
    let mut shown = env.shell(flags, "echo ready; exec sleep 1000").start();
    shown.wait_for("ready\n");
    assert_eq!(env.ok(["container", "exists", "shown"]), "");
    let format = "{{.State.Status}} {{.State.Running}} {{.Config.StopSignal}} {{.Config.Labels.a}} {{.Config.Annotations.x}}";
    assert_eq!(env.ok(["container", "inspect", "--format", format, "shown"]), "running true SIGINT b y");
    assert_eq!(env.ok(["ps", "--filter", "label=a=b", "--format", "{{.Names}}"]), "shown");
    assert_eq!(env.ok(["rm", "-f", "-t", "0", "shown"]), "shown");
    let _ended = shown.finish();
    assert_eq!(env.ctr(["container", "exists", "shown"]).run().code(), 1);
}

#[test]
fn a_platform_that_is_not_there_is_an_error() {
    needs!(Userns);
    let env = Env::with_busybox();
    assert_eq!(env.sh(["--platform", "linux/amd64"], "echo here"), "here");
    let output = env.shell(["--platform", "linux/s390x", "--pull", "never"], "true").run();
    assert_eq!(output.code(), 125, "{output}");
    assert_eq!(env.sh(["--pull", "missing", "-q"], "echo here"), "here");
    assert_eq!(env.sh(["--pull", "never", "--quiet"], "echo here"), "here");
}

#[test]
fn an_image_that_names_itself_runs_only_itself() {
    needs!(Userns);
    // CVE-2019-5736: what `/proc/self/exe` is at that moment is no file of ours.
    let env = Env::new();
    env.load(&Image::busybox(BUSYBOX, []).set("Entrypoint", vec!["/proc/self/exe"]).set("Cmd", vec!["x"]));
    let programs = ctr_tests::env::programs();
    let before = std::fs::read(programs.join("ctr-run")).expect("the program");
    let output = env.ctr(["run", "--rm", BUSYBOX]).run();
    assert_ne!(output.code(), 0, "{output}");
    assert!(
        before == std::fs::read(programs.join("ctr-run")).expect("the program"),
        "the program has changed"
    );
}

#[test]
fn nothing_is_left_of_a_hundred_runs() {
    needs!(Userns);
    let env = Env::with_busybox();
    let _first = env.sh([""; 0], "true");
    let before =
        ctr_tests::tree::picture(&env.store()).len() + ctr_tests::tree::picture(&env.run_dir()).len();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..12 {
                    assert_eq!(env.sh([""; 0], "echo x"), "x");
                }
            });
        }
    });
    assert_eq!(env.ok(["ps", "-aq"]), "");
    let _swept = env.ok(["system", "gc"]);
    let after = ctr_tests::tree::picture(&env.store()).len() + ctr_tests::tree::picture(&env.run_dir()).len();
    assert!(after <= before, "{before} files before, {after} after");
}

/// What a process keeps to itself, in KiB.
pub(crate) fn private_memory(pid: rustix::process::Pid) -> u64 {
    let path = format!("/proc/{}/smaps_rollup", pid.as_raw_nonzero());
    let map = std::fs::read_to_string(path).expect("a live process");
    let private = map.lines().filter(|line| line.starts_with("Private_"));
    private.filter_map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok()).sum()
}

/// KiB. That of a release build is measured in `bench`, to a bound of 1,024; the tables of pointers that a debug build relocates
/// when it starts are three times as big, and pages that were written to stay.
const LITTLE: u64 = 2048;

#[test]
fn waiting_takes_little_memory() {
    needs!(Userns, Overlay);
    let env = Env::with_busybox();
    let mut running = env.shell::<[&str; 0]>([], "echo up; exec sleep 1000").start();
    running.wait_for("up");
    let pid = running.pid();
    while private_memory(pid) >= LITTLE {
        assert!(rustix::process::test_kill_process(pid).is_ok(), "it ended");
        std::thread::yield_now();
    }
    running.signal(Signal::KILL);
}
