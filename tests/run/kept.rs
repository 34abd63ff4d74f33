//! Containers that outlive the command that starts them: detached, attached to, started again, renamed, waited for.

use std::path::Path;

use ctr_tests::{BUSYBOX, Env, needs};
use rustix::process::{Pid, Signal, kill_process};

use crate::terminal::typed;

/// Starts a container and waits until its script says that it is `ready`; if it never does, until it has begun.
pub(crate) fn detached(env: &Env, flags: &[&str], name: &str, script: &str) -> String {
    let says_so = script.contains("ready;");
    let first = if says_so { "" } else { "ready; " };
    let script = format!("ready() {{ echo ready >/shared/{name}-ready; }}; {first}{script}");
    let shared = format!("{}:/shared", env.path("").display());
    let id =
        env.ok([&["run", "-d", "--name", name, "-v", &shared][..], flags, &[BUSYBOX, "sh", "-c", &script]]
            .concat());
    assert_eq!(id.len(), 64, "{id}");
    wait_until_ready(env, name);
    id
}

/// Waits until the script of such a container has said so; for the next start the file is to be removed before.
pub(crate) fn wait_until_ready(env: &Env, name: &str) {
    while !env.path(format!("{name}-ready")).exists() {
        assert_eq!(env.ok(["ps", "-aq", "--filter", &format!("name=^{name}$")]).len(), 12, "{name} is gone");
        std::thread::yield_now();
    }
}

/// Waits until the first process of a container, which a shell has begun as, is another program.
pub(crate) fn wait_until_it_is(env: &Env, name: &str, program: &str) {
    while env.ok(["top", name, "comm"]).lines().nth(1) != Some(program) {
        std::thread::yield_now();
    }
}

/// A field of a container.
pub(crate) fn field(env: &Env, name: &str, format: &str) -> String {
    env.ok(["container", "inspect", "--format", format, name])
}

/// What all containers are called and do.
pub(crate) fn statuses(env: &Env) -> String {
    let mut lines: Vec<_> =
        env.ok(["ps", "-a", "--format", "{{.Names}} {{.State}}"]).lines().map(str::to_owned).collect();
    lines.sort();
    lines.join(", ")
}

pub(crate) fn process(env: &Env, name: &str, which: &str) -> Pid {
    let text = field(env, name, &format!("{{{{.State.{which}}}}}"));
    Pid::from_raw(text.parse().expect("a number")).expect("a process")
}

/// A process that does nothing until this is dropped.
pub(crate) struct Suspended(Pid);

impl Suspended {
    pub(crate) fn new(process: Pid) -> Self {
        kill_process(process, Signal::STOP).expect("it is ours");
        Self(process)
    }
}

impl Drop for Suspended {
    fn drop(&mut self) {
        kill_process(self.0, Signal::CONT).expect("it is ours");
    }
}

/// The log of a container, without its times.
fn logged(env: &Env, id: &str) -> String {
    let path = env.store().join("containers").join(id).join("log/ctr.log");
    let text = std::fs::read_to_string(path).expect("a log");
    text.lines()
        .map(|line| line.split_once(' ').map_or(line, |(_time, rest)| rest))
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn a_detached_container_prints_its_id_and_lives_on() {
    needs!(Userns);
    let env = Env::with_busybox();
    let id = detached(&env, &[], "web", "echo out; echo err >&2; ready; exec sleep 1000");
    assert_eq!(
        env.ok(["ps", "--no-trunc", "--format", "{{.ID}} {{.Names}} {{.State}}"]),
        format!("{id} web running")
    );
    assert_eq!(field(&env, "web", "{{.State.Status}} {{.HostConfig.LogConfig.Type}}"), "running k8s-file");
    assert_eq!(env.ok(["kill", "web"]), "web");
    assert_eq!(env.ok(["wait", "web"]), "137");
    let mut lines: Vec<_> = logged(&env, &id).lines().map(str::to_owned).collect();
    lines.sort();
    assert_eq!(lines, ["stderr F err", "stdout F out"]);
    assert!(env.ok(["ps", "-a", "--format", "{{.Status}}"]).starts_with("Exited (137) "));
    assert_eq!(env.ok(["rm", "web"]), "web");
    assert_eq!(env.ok(["ps", "-aq"]), "");
}

#[test]
fn without_rm_a_container_stays_with_what_it_wrote() {
    needs!(Userns);
    let env = Env::with_busybox();
    let output = env
        .ctr([
            "run",
            "--name",
            "one",
            BUSYBOX,
            "sh",
            "-c",
            "cat /kept || echo out; echo x >/kept; echo err >&2; exit 3",
        ])
        .run();
    assert_eq!((output.code(), output.stdout.as_str()), (3, "out\n"));
    assert!(output.stderr.ends_with("err\n"), "{output}");
    assert_eq!(field(&env, "one", "{{.State.Status}} {{.State.ExitCode}}"), "exited 3");
    let again = env.ctr(["start", "--attach", "one"]).run();
    assert_eq!((again.code(), again.stdout.as_str()), (3, "x\n"), "{again}");
    assert_eq!(env.ok(["container", "prune", "--force"]).len(), 64);
    assert_eq!(env.ok(["ps", "-aq"]), "");
}

#[test]
fn a_container_is_its_own_whatever_becomes_of_the_command_that_started_it() {
    needs!(Userns);
    let env = Env::with_busybox();
    let mut command =
        env.ctr(["run", "--name", "one", "-i", BUSYBOX, "sh", "-c", "echo ready; exec sleep 1000"]).start();
    command.wait_for("ready\n");
    command.signal(Signal::KILL);
    assert_eq!(command.finish().code(), 137);
    assert_eq!(field(&env, "one", "{{.State.Status}}"), "running");
    assert_eq!(env.ok(["stop", "-t", "0", "one"]), "one");
}

#[test]
fn with_rm_it_goes_with_its_end_even_if_the_command_was_killed() {
    needs!(Userns);
    let env = Env::with_busybox();
    let id = detached(&env, &["--rm"], "one", "exec sleep 1000");
    assert_eq!(env.ok(["kill", "--signal", "KILL", &id]), id);
    while env.ctr(["container", "exists", "one"]).run().code() == 0 {
        std::thread::yield_now();
    }
    // It is gone for everybody before its last file is.
    while env.store().join("containers").join(&id).exists() {
        std::thread::yield_now();
    }
}

#[test]
fn input_output_and_exit_code_go_through_the_monitor() {
    needs!(Userns);
    let env = Env::with_busybox();
    let big = vec![b'x'; 3 << 20];
    let output =
        env.ctr(["run", "-i", "--name", "cat", BUSYBOX, "sh", "-c", "cat; exit 9"]).stdin(big.clone()).run();
    assert_eq!(output.code(), 9);
    assert!(output.stdout.as_bytes() == big, "{} bytes of {}", output.stdout.len(), big.len());
}

#[test]
fn only_the_streams_that_are_asked_for_are_carried() {
    needs!(Userns);
    let env = Env::with_busybox();
    let script = "echo out; echo err >&2; cat";
    let run = |flags: &[&str]| {
        let args = [&["run", "--rm", "-i"][..], flags, &[BUSYBOX, "sh", "-c", script]].concat();
        let output = env.ctr(args).stdin("in\n").run();
        (output.stdout.clone(), output.stderr.clone())
    };
    let (out, err) = run(&["-a", "stdout", "-a", "stdin"]);
    assert_eq!((out.as_str(), err.contains("err")), ("out\nin\n", false));
    let (out, err) = run(&["--attach", "stderr,stdin"]);
    assert_eq!((out.as_str(), err.contains("err")), ("", true));
    // Who sees nothing of it gets its id.
    let (out, err) = run(&["--attach", "stdin", "--name", "blind"]);
    assert_eq!((out.trim_end().len(), err.contains("err")), (64, false), "{out}");
    let wrong = env.ctr(["run", "--attach", "nope", BUSYBOX, "true"]).run().fails(125);
    assert!(wrong.contains("invalid stream \"nope\" for --attach"), "{wrong}");
    let both = env.ctr(["run", "-d", "-a", "stdin", BUSYBOX, "true"]).run().fails(125);
    assert!(both.contains("cannot specify both --attach and --detach"), "{both}");
}

#[test]
fn attaching_shows_what_comes_from_then_on_and_ends_with_the_container() {
    needs!(Userns);
    let env = Env::with_busybox();
    detached(&env, &["-i"], "one", "read line; echo got $line; exit 4");
    let output = env.ctr(["attach", "one"]).stdin("it\n").run();
    assert_eq!((output.code(), output.stdout.as_str()), (4, "got it\n"), "{output}");
    let said = env.ctr(["attach", "one"]).run().fails(125);
    assert!(said.contains("you can only attach to running containers"), "{said}");
}

#[test]
fn signals_of_an_attached_command_go_to_the_container() {
    needs!(Userns);
    let env = Env::with_busybox();
    let script = "trap 'echo got; exit 7' TERM; echo ready; while :; do sleep 0.1; done";
    for flags in [&["run", "--name", "a"][..], &["run", "--rm", "-a", "stdout", "--sig-proxy"]] {
        let mut running = env.ctr([flags, &[BUSYBOX, "sh", "-c", script]].concat()).start();
        running.wait_for("ready\n");
        running.signal(Signal::TERM);
        let output = running.finish();
        assert_eq!((output.code(), output.stdout.as_str()), (7, "got\n"));
    }
    let mut start = env.ctr(["start", "-a", "--sig-proxy", "a"]).start();
    start.wait_for("ready\n");
    start.signal(Signal::TERM);
    assert_eq!(start.finish().code(), 7);
    // Without it, the signal ends the command alone.
    let mut start = env.ctr(["start", "-a", "--sig-proxy=false", "a"]).start();
    start.wait_for("ready\n");
    start.signal(Signal::TERM);
    assert_ne!(start.finish().code(), 7);
    assert_eq!(field(&env, "a", "{{.State.Running}}"), "true");
    let attached = env.ctr(["attach", "--sig-proxy=false", "--no-stdin", "-l"]).start();
    attached.signal(Signal::TERM);
    assert_ne!(attached.finish().code(), 7);
    assert_eq!(env.ok(["stop", "a"]), "a");
    assert_eq!(field(&env, "a", "{{.State.ExitCode}}"), "7");
}

#[test]
fn detach_keys_let_go_of_a_container() {
    needs!(Userns);
    let env = Env::with_busybox();
    let typed = |args: &[&str], keys: &[u8]| typed(env.ctr(args), keys);
    let (code, _) = typed(&["run", "-it", "--name", "one", BUSYBOX, "sh"], b"\x10\x11");
    assert_eq!(code, Some(0));
    assert_eq!(field(&env, "one", "{{.State.Running}}"), "true");
    let (code, _) = typed(&["attach", "--detach-keys", "ctrl-x,q", "one"], b"\x18q");
    assert_eq!((code, field(&env, "one", "{{.State.Running}}")), (Some(0), "true".to_owned()));
    let (code, text) = typed(&["attach", "one"], b"echo $((6*7))\nexit 5\n");
    assert!(text.contains("\n42\n"), "{text}");
    assert_eq!(code, Some(5));
    let (code, _) = typed(&["start", "-ai", "--detach-keys", "ctrl-a", "one"], b"\x01");
    assert_eq!(code, Some(0));
    let (code, _) = typed(&["attach", "one"], b"exit 6\n");
    assert_eq!(code, Some(6));
    let (code, _) = typed(&["run", "-it", "--rm", "--detach-keys", "", BUSYBOX, "sh"], b"\x10\x11\nexit 8\n");
    assert_eq!(code, Some(8), "an empty text is no keys");
    // Without a terminal nobody types keys: they are bytes as any other.
    let keys = ["--detach-keys", "ctrl-x,q"];
    let cat = |verb: &[&str], rest: &[&str]| env.ctr([verb, &keys, rest].concat()).stdin("\x18q\n").run();
    let two = ["-i", "--restart", "no", "--name", "two", BUSYBOX, "cat"];
    assert_eq!(cat(&["run"], &two).success(), "\x18q");
    assert_eq!(cat(&["start"], &["-ai", "two"]).success(), "\x18q");
    assert_eq!(env.ok(["start", "two"]), "two");
    assert_eq!(cat(&["attach"], &["two"]).success(), "\x18q");
    let said = env.ctr(["run", "--detach-keys", "ctrl-", BUSYBOX, "true"]).run().fails(125);
    assert!(said.contains("invalid detach keys"), "{said}");
}

#[test]
fn restart_policies_are_refused_by_name() {
    needs!(Userns);
    let env = Env::with_busybox();
    for policy in ["always", "unless-stopped", "on-failure:3"] {
        let said = env.ctr(["create", "--restart", policy, BUSYBOX]).run().fails(125);
        assert!(said.contains(&format!("--restart {policy} is not supported yet")), "{said}");
    }
    let said = env.ctr(["run", "--restart", "sometimes", BUSYBOX, "true"]).run().fails(125);
    assert!(said.contains("\"sometimes\" is not a valid restart policy: invalid argument"), "{said}");
    assert_eq!(env.ok(["ps", "-aq"]), "");
}

#[test]
fn who_kills_the_monitor_kills_the_container_and_ps_says_so() {
    needs!(Userns);
    let env = Env::with_busybox();
    detached(&env, &[], "one", "exec sleep 1000");
    let (monitor, init) = (process(&env, "one", "ConmonPid"), process(&env, "one", "Pid"));
    let init = rustix::process::pidfd_open(init, rustix::process::PidfdFlags::empty()).expect("it runs");
    kill_process(monitor, Signal::KILL).expect("it is ours");
    assert_eq!(env.ctr(["wait", "one"]).run().success().trim(), "137");
    let mut fds = [rustix::event::PollFd::new(&init, rustix::event::PollFlags::IN)];
    let limit = rustix::event::Timespec { tv_sec: 20, tv_nsec: 0 };
    assert_eq!(rustix::event::poll(&mut fds, Some(&limit)), Ok(1), "the container outlives its monitor");
    assert_eq!(env.ok(["ps", "-q"]), "");
    assert_eq!(env.ok(["ps", "-a", "--format", "{{.Status}}"]), "Exited (137), monitor killed");
    assert_eq!(
        field(&env, "one", "{{.State.Status}} {{.State.ExitCode}} {{.State.Error}}"),
        "exited 137 monitor killed"
    );
    std::fs::remove_file(env.path("one-ready")).expect("the file");
    assert_eq!(env.ok(["start", "one"]), "one");
    assert_eq!(field(&env, "one", "{{.State.Status}}"), "running");
    let group = field(&env, "one", "{{.State.CgroupPath}}");
    kill_process(process(&env, "one", "ConmonPid"), Signal::KILL).expect("it is ours");
    assert_eq!(env.ok(["rm", "-f", "-t", "0", "one"]), "one");
    assert!(group.is_empty() || !Path::new("/sys/fs/cgroup").join(&group).exists(), "{group}");
}

#[test]
fn a_stopped_monitor_hides_nothing_and_holds_nobody_up_for_good() {
    needs!(Userns);
    let env = Env::with_busybox();
    detached(&env, &[], "one", "exec sleep 1000");
    let monitor = process(&env, "one", "ConmonPid");
    let stopped = Suspended::new(monitor);
    assert_eq!(field(&env, "one", "{{.State.Status}}"), "running");
    assert_eq!(env.ok(["kill", "one"]), "one");
    while field(&env, "one", "{{.State.Status}}") == "running" {
        std::thread::yield_now();
    }
    assert_eq!(field(&env, "one", "{{.State.Status}}"), "stopping");
    let mut rm = env.ctr(["rm", "-f", "one"]).start();
    let said = rm.wait_for_errors("waiting for ");
    assert!(said.contains(&monitor.as_raw_nonzero().to_string()), "{said}");
    drop(stopped);
    assert_eq!(rm.finish().code(), 0);
    assert_eq!(env.ok(["ps", "-aq"]), "");
}

#[test]
fn a_deleted_run_directory_harms_nothing() {
    needs!(Userns);
    let env = Env::with_busybox();
    detached(&env, &["-i"], "one", "read line; echo $line; exit 3");
    std::fs::remove_dir_all(env.run_dir().join("ctr")).expect("the run directory");
    assert_eq!(env.ok(["ps", "--format", "{{.Names}}"]), "one");
    let output = env.ctr(["attach", "one"]).stdin("still here\n").run();
    assert_eq!((output.code(), output.stdout.as_str()), (3, "still here\n"), "{output}");
    assert_eq!(env.ok(["rm", "one"]), "one");
}

#[test]
fn names_can_be_given_anew() {
    needs!(Userns);
    let env = Env::with_busybox();
    detached(&env, &[], "old", "exec sleep 1000");
    let other = env.ok(["create", "--name", "other", BUSYBOX, "true"]);
    assert_eq!(env.ok(["rename", "old", "new"]), "");
    assert_eq!(env.ok(["ps", "--format", "{{.Names}}"]), "new");
    let said = env.ctr(["rename", "new", "other"]).run().fails(125);
    assert!(said.contains("\"other\" is already in use") && said.contains(&other), "{said}");
    assert_eq!(env.ctr(["rename", "nobody", "x"]).run().code(), 125);
    assert_eq!(env.ctr(["container", "rename", "new", "a b"]).run().code(), 125);
    let replaced = env.ok(["create", "--name", "new", "--replace", BUSYBOX, "true"]);
    assert_eq!(field(&env, "new", "{{.Id}}"), replaced);
    assert_eq!(env.ok(["ps", "-q"]), "", "what had the name was ended");
    let nameless = env.ctr(["run", "--replace", BUSYBOX, "true"]).run().fails(125);
    assert!(nameless.contains("cannot replace container without --name being set"), "{nameless}");
    assert_eq!(env.ok(["run", "-d", "--replace", "--name", "new", BUSYBOX, "true"]).len(), 64);
}

#[test]
fn waiting_has_conditions() {
    needs!(Userns);
    let env = Env::with_busybox();
    env.ok(["create", "--name", "one", "-i", BUSYBOX, "sh", "-c", "read x; exit $x"]);
    assert_eq!(env.ok(["wait", "--condition", "created", "one"]), "-1");
    assert_eq!(env.ok(["wait", "one"]), "0", "what was never started does not end");
    let running = env.ctr(["wait", "--condition=running", "one"]).start();
    env.ok(["start", "one"]);
    assert_eq!(running.finish().stdout, "-1\n");
    let exited = env.ctr(["wait", "one"]).start();
    let first = env.ctr(["wait", "--exit-first-match", "--condition", "exited", "one", "-i", "100"]).start();
    assert_eq!(env.ctr(["attach", "one"]).stdin("6\n").run().code(), 6);
    assert_eq!(exited.finish().stdout, "6\n");
    assert_eq!(first.finish().stdout, "6\n");
    assert_eq!(env.ok(["wait", "--latest"]), "6");
    assert_eq!(env.ok(["wait", "--ignore", "nobody"]), "-1");
    assert_eq!(env.ctr(["wait", "nobody"]).run().code(), 125);
    let said = env.ctr(["wait", "--condition", "nope", "one"]).run().fails(125);
    assert!(said.contains("unknown container state: nope"), "{said}");
    assert_eq!(env.ctr(["wait", "--interval", "-1s", "one"]).run().code(), 125);
}

#[test]
fn a_command_that_is_not_there_leaves_a_container_that_was_never_started() {
    needs!(Userns);
    let env = Env::with_busybox();
    let said = env.ctr(["run", "-d", "--name", "one", BUSYBOX, "/nope"]).run().fails(127);
    assert!(said.contains("/nope"), "{said}");
    assert_eq!(field(&env, "one", "{{.State.Status}}"), "created");
    assert_eq!(env.ctr(["start", "one"]).run().code(), 125);
    assert_eq!(env.ctr(["run", "-d", "--rm", "--name", "two", BUSYBOX, "/nope"]).run().code(), 127);
    assert_eq!(env.ok(["ps", "-a", "--format", "{{.Names}}"]), "one");
}

#[test]
fn log_drivers_and_their_limits() {
    needs!(Userns);
    let env = Env::with_busybox();
    let run = |flags: &[&str], script: &str| {
        let args =
            [&["run", "--name", "one", "--replace"][..], flags, &[BUSYBOX, "sh", "-c", script]].concat();
        env.ctr(args).run()
    };
    let folder = || {
        let id = field(&env, "one", "{{.Id}}");
        env.store().join("containers").join(id).join("log")
    };
    assert_eq!(run(&["--log-driver", "none"], "echo x").stdout, "x\n");
    assert!(!folder().exists());
    assert_eq!(run(&["--log-driver", "json-file"], "echo x").stdout, "x\n");
    assert!(std::fs::read_to_string(folder().join("ctr.log")).expect("a log").ends_with(" stdout F x\n"));
    assert_eq!(run(&["--log-driver", "passthrough"], "echo x").stdout, "x\n");
    assert!(!folder().exists());
    let lines =
        "i=0; while [ $i -lt 4000 ]; do echo 0123456789012345678901234567890123456789; i=$((i+1)); done";
    assert_eq!(run(&["--log-opt", "max-size=10k", "--log-opt", "max-file=2"], lines).stdout.len(), 4000 * 41);
    let size = |name: &str| std::fs::metadata(folder().join(name)).map(|file| file.len()).ok();
    for name in ["ctr.log", "ctr.log.1"] {
        assert!(size(name).is_some_and(|bytes| bytes <= 11 << 10), "{name}");
    }
    assert_eq!(size("ctr.log.2"), None);
    let path = env.path("elsewhere.log");
    assert_eq!(
        run(&["--log-opt", &format!("path={}", path.display()), "--log-opt", "tag=t"], "echo y").stdout,
        "y\n"
    );
    assert!(std::fs::read_to_string(path).expect("a log").ends_with(" stdout F y\n"));
    for wrong in [["--log-driver", "nope"], ["--log-opt", "nope=1"], ["--log-opt", "max-file=0"]] {
        assert_eq!(run(&wrong, "true").code(), 125, "{wrong:?}");
    }
}

/// Beside one that runs, which says where such groups are.
#[test]
fn a_start_that_fails_leaves_no_control_group() {
    needs!(Userns);
    let env = Env::with_busybox();
    let _id = env.ok(["run", "-d", "--name", "one", "--network", "none", BUSYBOX, "sleep", "1000"]);
    let group = field(&env, "one", "{{.State.CgroupPath}}");
    let Some(groups) = Path::new(&group).parent().filter(|groups| groups.is_absolute()) else {
        println!("skipped: no control group may be made here");
        return;
    };
    env.ctr(["run", "-d", "--name", "bad", "--network", "none", BUSYBOX, "nosuch"]).run().fails(127);
    env.ctr(["run", "-d", "--name", "worse", "--network", "none", "-u", "nobody-at-all", BUSYBOX, "true"])
        .run()
        .fails(126);
    assert_ne!(env.ctr(["start", "bad"]).run().code(), 0);
    for name in ["bad", "worse"] {
        let left = groups.join(format!("ctr-{}", field(&env, name, "{{.Id}}")));
        assert!(!left.exists(), "{}", left.display());
    }
    // What a start that was killed has left goes with the container.
    let id = field(&env, "bad", "{{.Id}}");
    let left = groups.join(format!("ctr-{id}"));
    std::fs::create_dir(&left).expect("it is ours to make");
    let _ids = env.ok(["rm", "-f", "-a", "-t", "0"]);
    assert!(!left.exists() && !Path::new(&group).exists());
}
