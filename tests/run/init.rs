//! `ctr init`: a container of which everything is there but its command.

use ctr_tests::image::{Image, Layer};
use ctr_tests::{BUSYBOX, Env, needs};
use rustix::process::{Signal, kill_process};

use crate::kept::{field, process, statuses};

/// Makes a container that runs a script, and initializes it.
fn initialized(env: &Env, flags: &[&str], name: &str, script: &str) {
    let create = ["create", "--name", name, "--network", "none"];
    let _id = env.ok([&create[..], flags, &[BUSYBOX, "sh", "-c", script]].concat());
    // Whoever initializes it leaves nothing of its own open.
    assert_eq!(env.redirected("3>&1 4>&2", ["init", name]).run().success(), name);
}

#[test]
fn everything_is_there_but_the_command() {
    needs!(Userns);
    let env = Env::with_busybox();
    let shared = format!("{}:/shared", env.path("").display());
    initialized(&env, &["-v", &shared, "--hostname", "box"], "web", "echo out; touch /shared/ran; exit 3");
    assert_eq!(env.ok(["ps", "-a", "--format", "{{.Status}}"]), "Initialized");
    assert_eq!(env.ok(["ps", "-aq", "--filter", "status=initialized"]).len(), 12);
    assert_eq!(env.ok(["ps", "-q"]), "");
    assert_eq!(
        field(&env, "web", "{{.State.Status}} {{.State.Running}} {{.State.ExitCode}}"),
        "initialized false 0"
    );
    let init = process(&env, "web", "Pid").as_raw_nonzero();
    let mounts = std::fs::read_to_string(format!("/proc/{init}/mountinfo")).expect("its mounts");
    assert!(mounts.contains(" /shared "), "{mounts}");
    assert!(!env.path("ran").exists());
    assert_eq!(env.ok(["logs", "web"]), "");
    assert_eq!(env.ok(["wait", "--condition", "initialized", "web"]), "-1");
    assert_eq!(env.ok(["start", "web"]), "web");
    assert_eq!(env.ok(["wait", "web"]), "3");
    assert_eq!(env.ok(["logs", "web"]), "out");
    assert!(env.path("ran").exists());
    // That it died is written by what its monitor becomes, which `wait` does not wait for; who removes it does.
    assert_eq!(env.ok(["rm", "web"]), "web");
    let events =
        env.ok(["events", "--stream=false", "--filter", "type=container", "--format", "{{.Status}}"]);
    assert_eq!(events.lines().collect::<Vec<_>>(), ["create", "init", "start", "died", "remove"]);
}

#[test]
fn several_all_and_the_latest() {
    needs!(Userns);
    let env = Env::with_busybox();
    for name in ["one", "two", "three"] {
        let _id = env.ok(["create", "--name", name, BUSYBOX, "sleep", "1000"]);
    }
    assert_eq!(env.ctr(["container", "init", "--latest"]).run().success().len(), 64);
    assert_eq!(statuses(&env), "one created, three initialized, two created");
    let output = env.ctr(["init", "three", "one", "none"]).run();
    assert_eq!(output.stdout, "one\n", "{output}");
    assert!(output.stderr.contains("already initialized") && output.stderr.contains("none"), "{output}");
    assert_eq!(env.ctr(["init", "three"]).run().code(), 125);
    assert_eq!(env.ok(["start", "one"]), "one");
    assert_eq!(env.ok(["container", "init", "--all"]).lines().count(), 3);
    assert_eq!(statuses(&env), "one running, three initialized, two initialized");
    let said = env.named("podman", ["init", "one"]).run().fails(125);
    assert!(said.contains("has already been created in runtime: container state improper"), "{said}");
    assert_eq!(env.ok(["start", "--all"]).lines().count(), 2);
    assert_eq!(statuses(&env), "one running, three running, two running");
    assert_eq!(env.ok(["rm", "-fa", "-t", "0"]).lines().count(), 3);
}

#[test]
fn what_needs_a_command_is_refused() {
    needs!(Userns);
    let env = Env::with_busybox();
    initialized(&env, &[], "web", "exec sleep 1000");
    for (code, words) in [
        (255, &["exec", "web", "true"][..]),
        (125, &["attach", "web"]),
        (125, &["kill", "web"]),
        (125, &["pause", "web"]),
        (125, &["top", "web"]),
    ] {
        assert_eq!(env.ctr(words).run().code(), code, "{words:?}");
    }
    assert_eq!(statuses(&env), "web initialized");
    // Its files are there.
    let _file = env.file("file", "content");
    assert_eq!(env.ok(["cp", "file", "web:/file"]), "");
    assert_eq!(env.ok(["diff", "web"]), "A /file");
    assert_eq!(env.ok(["container", "prune", "--force"]).len(), 64);
    assert_eq!(statuses(&env), "");
}

#[test]
fn who_starts_it_attached_sees_all_of_it() {
    needs!(Userns);
    let env = Env::with_busybox();
    initialized(&env, &["-i"], "one", "read x; echo $x; echo err >&2; seq 1 30000; exit 7");
    let output = env.ctr(["start", "-a", "-i", "one"]).stdin("word\n").run();
    assert_eq!((output.code(), output.stderr.as_str()), (7, "err\n"));
    assert!(output.stdout.starts_with("word\n1\n") && output.stdout.ends_with("29999\n30000\n"));
    initialized(&env, &["--rm", "-t"], "two", "tty; exit 5");
    let output = env.ctr(["start", "--attach", "two"]).run();
    assert_eq!((output.code(), output.stdout.as_str()), (5, "/dev/pts/0\r\n"));
    assert_eq!(statuses(&env), "one exited");
}

#[test]
fn it_can_be_stopped_removed_and_restarted() {
    needs!(Userns);
    let env = Env::with_busybox();
    initialized(&env, &[], "web", "echo ran; exec sleep 1000");
    assert_eq!(env.ctr(["stop", "web"]).run().success(), "web");
    assert_eq!(statuses(&env), "web exited");
    assert_eq!(env.ok(["init", "web"]), "web");
    let pid = process(&env, "web", "Pid");
    assert_eq!(env.ok(["restart", "web"]), "web");
    assert_eq!(process(&env, "web", "Pid"), pid, "there was nothing to stop");
    assert_eq!(statuses(&env), "web running");
    assert_eq!(env.ok(["rm", "-f", "-t", "0", "web"]), "web");
    initialized(&env, &[], "web", "exec sleep 1000");
    assert_eq!(env.ok(["rm", "web"]), "web");
    initialized(&env, &["--rm"], "web", "exec sleep 1000");
    assert_eq!(env.ok(["stop", "-a"]).len(), 64);
    assert_eq!(statuses(&env), "");
}

#[test]
fn a_command_that_cannot_be_run_is_told_of() {
    needs!(Userns);
    let env = Env::with_busybox();
    let _id = env.ok(["create", "--name", "missing", BUSYBOX, "no-such-command"]);
    let said = env.ctr(["init", "missing"]).run().fails(127);
    assert!(said.contains("`no-such-command`"), "{said}");
    let _id = env.ok(["create", "--name", "folder", BUSYBOX, "/etc/passwd"]);
    let said = env.ctr(["init", "folder"]).run().fails(126);
    assert!(said.contains("`/etc/passwd`"), "{said}");
    assert_eq!(statuses(&env), "folder created, missing created");
    // That a script's own program is missing shows only when it is run.
    for (name, flags) in [("one", &[][..]), ("two", &["-a"])] {
        let _script = env.file("script", "#!/no/such/program\n");
        rustix::fs::chmod(env.path("script"), rustix::fs::Mode::from_raw_mode(0o755)).expect("our file");
        let bind = format!("{}:/script", env.path("script").display());
        let _id = env.ok(["create", "--name", name, "-v", &bind, BUSYBOX, "/script"]);
        assert_eq!(env.ok(["init", name]), name);
        let said = env.ctr(["start"]).args(flags).args([name]).run().fails(127);
        assert!(said.contains("`/script`"), "{said}");
        assert_eq!(env.ok(["wait", name]), "127");
    }
    assert_eq!(statuses(&env), "folder created, missing created, one exited, two exited");
    // Nothing of them was ever started.
    assert_eq!(env.ok(["rm", "one", "two"]).lines().count(), 2);
    assert_eq!(life(&env, "one"), ["create", "init", "died", "remove"]);
    assert_eq!(life(&env, "two"), ["create", "init", "died", "remove"]);
}

/// What the log of events says of a container.
fn life(env: &Env, name: &str) -> Vec<String> {
    let filter = format!("container={name}");
    let events = ["events", "--stream=false", "--filter", &filter, "--format", "{{.Status}}"];
    env.ok(events).lines().map(str::to_owned).collect()
}

#[test]
fn that_it_died_is_logged_after_that_it_was_started() {
    needs!(Userns);
    let env = Env::with_busybox();
    initialized(&env, &[], "short", "true");
    assert_eq!(env.ok(["start", "--attach", "short"]), "");
    initialized(&env, &[], "web", "exec sleep 1000");
    let starting: Vec<_> = (0..3).map(|_| env.ctr(["start", "web"]).start()).collect();
    starting.into_iter().for_each(|one| drop(one.finish().success()));
    let monitor = process(&env, "web", "ConmonPid").as_raw_nonzero();
    let folder = env.store().join("containers").join(env.ok(["inspect", "--format", "{{.Id}}", "web"]));

    // As if whoever started it were about to write that down.
    let lock = std::fs::File::open(folder.join("starting.lock")).expect("the lock");
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).expect("it is free");
    assert_eq!(env.ok(["kill", "web"]), "web");
    assert_eq!(env.ok(["wait", "web"]), "137");
    let tidying = || {
        let line = std::fs::read_to_string(format!("/proc/{monitor}/cmdline"));
        line.expect("it waits for us").contains("__ended")
    };
    while !tidying() {
        std::thread::yield_now();
    }
    assert_eq!(env.ok(["rename", "web", "other"]), "");
    assert!(tidying());
    drop(lock);
    // Nobody removes it before that is written.
    env.ok(["rm", "other"]);
    env.ok(["rm", "short"]);
    assert_eq!(life(&env, "short"), ["create", "init", "start", "attach", "died", "remove"]);
    let of_both = ["events", "--stream=false", "--format", "{{.Status}}", "--filter", "type=container"];
    let all = env.ok(of_both);
    let order: Vec<_> = all.lines().skip_while(|status| *status != "kill").take(3).collect();
    assert_eq!(order, ["kill", "rename", "died"]);
    assert_eq!(all.lines().filter(|status| *status == "start").count(), 2, "three started one of them");
}

#[test]
fn a_command_that_needs_a_right_to_be_run_has_it() {
    needs!(Userns);
    let env = Env::new();
    // Nobody but root may run it, or who passes by such rules.
    let tool = Layer::new().file("tool", 0o700, "#!/bin/sh\nexit 6\n");
    env.load(&Image::busybox(BUSYBOX, [tool]));
    let user = ["--user", "1000:1000"];
    env.ok(
        [&["create", "--name", "able"][..], &user, &["--cap-add", "dac_override", BUSYBOX, "/tool"]].concat()
    );
    env.ok(["init", "able"]);
    env.ok(["start", "able"]);
    assert_eq!(env.ok(["wait", "able"]), "6");
    env.ok([&["create", "--name", "unable"][..], &user, &[BUSYBOX, "/tool"]].concat());
    let said = env.ctr(["init", "unable"]).run().fails(126);
    assert!(said.contains("cannot run `/tool`"), "{said}");
}

#[test]
fn who_kills_its_monitor_or_its_init_ends_it() {
    needs!(Userns);
    let env = Env::with_busybox();
    for (which, status) in [("ConmonPid", "Exited (137), monitor killed"), ("Pid", "Exited (137)")] {
        initialized(&env, &[], "web", "echo ran");
        kill_process(process(&env, "web", which), Signal::KILL).expect("it is ours");
        assert_eq!(env.ok(["wait", "web"]), "137");
        let shown = env.ok(["ps", "-a", "--format", "{{.Status}}"]);
        assert!(shown.starts_with(status), "{shown}");
        assert_eq!(env.ok(["start", "-a", "web"]), "ran");
        assert_eq!(env.ok(["rm", "web"]), "web");
    }
}

#[test]
fn several_who_start_it_start_it_once() {
    needs!(Userns);
    let env = Env::with_busybox();
    initialized(&env, &["--init"], "web", "echo ran; exec sleep 1000");
    let starting: Vec<_> = (0..4).map(|_| env.ctr(["start", "web"]).start()).collect();
    for one in starting {
        assert_eq!(one.finish().success(), "web");
    }
    assert_eq!(statuses(&env), "web running");
    let mut follower = env.ctr(["logs", "--follow", "web"]).start();
    follower.wait_for("ran\n");
    assert_eq!(env.ok(["stop", "-t", "0", "web"]), "web");
    assert_eq!(follower.finish().success(), "");
    assert_eq!(env.ok(["rm", "web"]), "web");
}

#[test]
fn an_agent_cannot_wait() {
    needs!(Userns);
    let env = Env::with_busybox();
    let socket = env.path("agent");
    let _agent = ctr_tests::agent::Agent::listen(&socket);
    let profile = format!(
        r#"{{"defaultAction":"SCMP_ACT_ALLOW","listenerPath":"{}","syscalls":[{{"names":["mkdir"],"action":"SCMP_ACT_NOTIFY"}}]}}"#,
        socket.display()
    );
    let profile = format!("seccomp={}", env.file("profile.json", profile).display());
    let _id = env.ok(["create", "--name", "web", "--security-opt", &profile, BUSYBOX, "true"]);
    let said = env.ctr(["init", "web"]).run().fails(125);
    assert!(said.contains("agent"), "{said}");
    assert_eq!(statuses(&env), "web created");
}
