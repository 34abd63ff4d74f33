//! Ending containers: `stop`, `kill`, `restart`, `pause`, and the flags that choose among them.

use std::time::Instant;

use ctr_tests::{BUSYBOX, Env, needs};
use rustix::process::{Signal, kill_process};

use crate::kept::{detached, field, process, wait_until_ready};

const HEARS: &str = "trap 'exit 3' TERM; trap 'exit 4' INT; ready; while :; do sleep 0.1; done";

fn running(env: &Env) -> Vec<String> {
    let mut names: Vec<_> = env.ok(["ps", "--format", "{{.Names}}"]).lines().map(str::to_owned).collect();
    names.sort();
    names
}

#[test]
fn a_container_that_hears_the_signal_ends_by_itself() {
    needs!(Userns);
    let env = Env::with_busybox();
    detached(&env, &[], "one", HEARS);
    detached(&env, &["--stop-signal", "INT", "--stop-timeout", "60"], "two", HEARS);
    let stopped = env.ctr(["stop", "one", "two"]).run();
    assert_eq!((stopped.code(), stopped.stdout.as_str(), stopped.stderr.as_str()), (0, "one\ntwo\n", ""));
    assert_eq!(field(&env, "one", "{{.State.ExitCode}}"), "3");
    assert_eq!(field(&env, "two", "{{.State.ExitCode}}"), "4");
    assert_eq!(env.ok(["stop", "one"]), "one", "it is stopped already");
}

#[test]
fn inspect_says_whether_a_user_stopped_it() {
    needs!(Userns);
    let env = Env::with_busybox();
    let by_user = || field(&env, "it", "{{.State.StoppedByUser}}");
    env.ok([
        "create",
        "--name",
        "it",
        BUSYBOX,
        "sh",
        "-c",
        "trap 'exit 3' TERM; while :; do sleep 0.1; done",
    ]);
    assert_eq!(by_user(), "false");
    assert_eq!(field(&env, "it", "{{json .State}}").matches("StoppedByUser").count(), 0, "as with podman");
    env.ok(["start", "it"]);
    assert_eq!(by_user(), "false");
    env.ok(["stop", "it"]);
    assert_eq!(by_user(), "true");
    assert!(field(&env, "it", "{{json .State}}").contains("\"StoppedByUser\":true"));
    env.ok(["start", "it"]);
    assert_eq!(by_user(), "false");
    env.ok(["kill", "it"]);
    env.ok(["wait", "it"]);
    assert_eq!(by_user(), "true");
    // A restart starts it.
    env.ok(["restart", "-t", "0", "it"]);
    assert_eq!(by_user(), "false");
    // Not by a signal of somebody else's.
    kill_process(process(&env, "it", "Pid"), Signal::KILL).expect("one of ours");
    env.ok(["wait", "it"]);
    assert_eq!(by_user(), "false");
    // One that has ended already is stopped too.
    env.ok(["stop", "it"]);
    assert_eq!(by_user(), "true");
    env.ok(["rm", "it"]);
}

/// Containers each of which ends by itself once its other was told to, too.
fn side_by_side(env: &Env, pairs: [(&str, &str); 2]) {
    let script = "trap 'touch /shared/$ME; until test -e /shared/$OTHER; do sleep 0.05; done; exit 0' TERM; \
                  ready; while :; do sleep 0.1; done";
    for (me, other) in pairs {
        let (own, others) = (format!("ME={me}"), format!("OTHER={other}"));
        detached(env, &["-e", &own, "-e", &others], me, script);
    }
}

#[test]
fn several_end_side_by_side() {
    needs!(Userns);
    let env = Env::with_busybox();
    // Each ends once both were told to: one after the other they would be killed.
    side_by_side(&env, [("one", "two"), ("two", "one")]);
    let stopped = env.ctr(["stop", "--time", "20", "one", "two", "one"]).run();
    assert_eq!(
        (stopped.code(), stopped.stdout.as_str(), stopped.stderr.as_str()),
        (0, "one\ntwo\none\n", "")
    );
    assert_eq!(["one", "two"].map(|name| field(&env, name, "{{.State.ExitCode}}")), ["0", "0"]);
    let log = env.ok(["events", "--stream=false", "--filter", "event=stop", "--format", "{{.Name}}"]);
    assert_eq!(log, "one\ntwo");
}

#[test]
fn several_are_removed_side_by_side() {
    needs!(Userns);
    let env = Env::with_busybox();
    let removed = |args: &[&str]| {
        let out = env.ctr([&["rm", "-f", "--time", "15"], args].concat()).run();
        (out.code(), out.stdout)
    };
    side_by_side(&env, [("one", "two"), ("two", "one")]);
    assert_eq!(removed(&["two", "nobody", "one"]), (0, "two\none\n".to_owned()));
    side_by_side(&env, [("three", "four"), ("four", "three")]);
    assert_eq!(removed(&["--all"]).0, 0);
    let codes = ["events", "--stream=false", "--filter", "event=died", "--format", "{{.ContainerExitCode}}"];
    assert_eq!(env.ok(codes), "0\n0\n0\n0");
    assert_eq!(env.ok(["ps", "-aq"]), "");
    // One that cannot be removed is not ended either.
    detached(&env, &[], "base", "exec sleep 1000");
    detached(&env, &["--requires", "base"], "above", "exec sleep 1000");
    detached(&env, &[], "beside", "exec sleep 1000");
    assert_eq!(removed(&["base", "beside"]), (125, "beside\n".to_owned()));
    assert_eq!(field(&env, "base", "{{.State.Running}}"), "true");
    assert_eq!(removed(&["base", "above"]), (125, "above\n".to_owned()));
    assert_eq!(field(&env, "base", "{{.State.Running}}"), "true");
}

#[test]
fn one_that_cannot_hear_it_is_killed_at_once_and_that_is_said() {
    needs!(Userns);
    let env = Env::with_busybox();
    detached(&env, &[], "deaf", "exec sleep 1000");
    let stopped = env.ctr(["stop", "--time", "3600", "deaf"]).run();
    assert_eq!(stopped.code(), 0);
    assert!(
        stopped.stderr.contains("no handler for SIGTERM") && stopped.stderr.contains("--init"),
        "{stopped}"
    );
    assert_eq!(field(&env, "deaf", "{{.State.ExitCode}}"), "137");
    // Podman waits, and says so.
    std::fs::remove_file(env.path("deaf-ready")).expect("the file");
    env.ok(["start", "deaf"]);
    let begun = Instant::now();
    let stopped = env.named("podman", ["stop", "-t", "1", "deaf"]).run();
    assert_eq!((stopped.code(), begun.elapsed().as_secs() >= 1), (0, true));
    let said = "StopSignal SIGTERM failed to stop container deaf in 1 seconds, resorting to SIGKILL";
    assert!(stopped.stderr.contains(said), "{stopped}");
}

#[test]
fn one_that_is_being_stopped_says_so() {
    needs!(Userns);
    let env = Env::with_busybox();
    let script = "trap 'echo heard' TERM; trap 'exit 4' INT; ready; while :; do sleep 0.1; done";
    detached(&env, &[], "stubborn", script);
    let stop = env.ctr(["stop", "--timeout", "3600", "stubborn"]).start();
    env.ok(["wait", "--condition", "stopping", "--interval", "10ms", "stubborn"]);
    assert_eq!(field(&env, "stubborn", "{{.State.Status}} {{.State.Running}}"), "stopping false");
    assert_eq!(env.ok(["ps", "--format", "{{.Names}} {{.Status}} {{.State}}"]), "stubborn Stopping stopping");
    let said = env.ctr(["start", "stubborn"]).run().fails(125);
    assert!(said.contains("it is being stopped"), "{said}");
    assert_eq!(env.ok(["exec", "stubborn", "echo", "lives"]), "lives");
    // A stop that is killed leaves it as it was.
    stop.signal(Signal::KILL);
    assert_eq!(stop.finish().code(), 137);
    env.ok(["wait", "--condition", "running", "stubborn"]);
    assert_eq!(running(&env), ["stubborn"]);

    let stop = env.ctr(["stop", "--timeout", "3600", "stubborn"]).start();
    env.ok(["wait", "--condition", "stopping", "--interval", "10ms", "stubborn"]);
    assert_eq!(env.ok(["kill", "--signal", "INT", "stubborn"]), "stubborn");
    assert_eq!(stop.finish().code(), 0);
    assert_eq!(field(&env, "stubborn", "{{.State.Status}} {{.State.ExitCode}}"), "exited 4");
}

#[test]
fn where_the_monitor_was_killed_a_stop_is_an_error_to_the_peers() {
    needs!(Userns);
    let env = Env::with_busybox();
    let id = detached(&env, &[], "one", HEARS);
    kill_process(process(&env, "one", "ConmonPid"), Signal::KILL).expect("it is ours");
    let said = env.named("podman", ["stop", "-t", "0", "one"]).run().fails(125);
    let text = "conmon exited prematurely, exit code could not be retrieved: conmon process killed";
    assert_eq!(said, format!("Error: container {id} {text}\n"));
    assert_eq!(field(&env, "one", "{{.State.Status}}"), "exited");
    assert_eq!(env.ok(["stop", "one"]), "one");
    assert_eq!(env.ok(["rm", "one"]), "one");
}

#[test]
fn a_filter_chooses_among_the_named_or_stands_alone() {
    needs!(Userns);
    let env = Env::with_busybox();
    let ids = ["a", "b"].map(|name| {
        env.ok(["create", "--name", name, "--label", &format!("is={name}"), BUSYBOX, "sleep", "1000"])
    });
    assert_eq!(env.ok(["start", "--filter", "label=is=b", "a", "b"]), "b");
    assert_eq!(running(&env), ["b"]);
    let beginning = format!("id=^{}", &ids[0][..12]);
    assert_eq!(env.ok(["ps", "-a", "--filter", &beginning, "--format", "{{.Names}}"]), "a");
    assert_eq!(env.ok(["ps", "-a", "--filter", "restart-policy=always", "--format", "{{.Names}}"]), "");
    for (args, text) in [
        (&["stop", "--filter", "label=is=b", "a"][..], "--filter takes no arguments"),
        (&["rm", "--filter", "label=is=b", "a"], "--filter takes no arguments"),
        (&["start", "--filter", "restart-policy=x", "a"], "x invalid restart policy"),
        (&["start", "--filter", "label=is=a", "nobody"], "no container with name or ID \"nobody\" found"),
        (
            &["start", "--all", "a"],
            "either start all containers or the container(s) provided in the arguments",
        ),
        (&["attach", "--latest", "a"], "--latest and containers cannot be used together"),
    ] {
        let said = env.ctr(args).run().fails(125);
        assert!(said.contains(text), "{args:?}: {said}");
    }
    assert_eq!(running(&env), ["b"]);
    env.ok(["kill", "b"]);
}

#[test]
fn an_init_hears_for_those_who_do_not() {
    needs!(Userns);
    let env = Env::with_busybox();
    detached(&env, &["--init"], "one", "exec sleep 1000");
    let stopped = env.ctr(["stop", "one"]).run();
    assert_eq!((stopped.code(), stopped.stderr.as_str()), (0, ""));
    assert_eq!(field(&env, "one", "{{.State.ExitCode}}"), "143");
}

#[test]
fn all_some_the_latest_and_those_of_files() {
    needs!(Userns);
    let env = Env::with_busybox();
    for name in ["a", "b", "c", "d"] {
        detached(&env, &["--cidfile", &format!("{name}.cid"), "--label", &format!("is={name}")], name, HEARS);
    }
    let read = |name: &str| std::fs::read_to_string(env.path(format!("{name}.cid"))).expect("the file");
    let cids = ["a", "b", "c", "d"].map(|name| (name, read(name)));
    let cid = |name: &str| cids.iter().find(|(known, _)| *known == name).expect("one of them").1.clone();
    assert_eq!(env.ok(["stop", "--cidfile", "a.cid"]), cid("a"));
    assert_eq!(env.ok(["stop", "--latest", "-t", "5"]), cid("d"));
    assert_eq!(env.ok(["stop", "--filter", "label=is=b"]), cid("b"));
    assert_eq!(running(&env), ["c"]);
    assert_eq!(env.ok(["start", "--filter", "label=is=a"]), cid("a"));
    std::fs::remove_file(env.path("d-ready")).expect("the file");
    assert_eq!(env.ok(["start", "--latest"]), cid("d"));
    wait_until_ready(&env, "d");
    assert_eq!(running(&env), ["a", "c", "d"]);
    assert_eq!(env.ok(["kill", "--cidfile", "c.cid", "-s", "-INT"]), cid("c"));
    assert_eq!(env.ok(["wait", "c"]), "4");
    assert_eq!(env.ok(["kill", "--latest", "--signal", "15"]), cid("d"));
    assert_eq!(env.ok(["wait", "d"]), "3");
    assert_eq!(env.ok(["start", "--all"]).lines().count(), 3);
    assert_eq!(running(&env).len(), 4);
    assert_eq!(env.ok(["kill", "--all"]).lines().count(), 4);
    assert_eq!(env.ok(["wait", "a", "b", "c", "d"]), "137\n137\n137\n137");
    assert_eq!(env.ok(["restart", "--all", "--time", "0"]).lines().count(), 4);
    assert_eq!(env.ok(["stop", "--all"]).lines().count(), 4);
    assert_eq!(running(&env), [""; 0]);
    assert_eq!(env.ok(["rm", "--latest"]), cid("d"));
    assert_eq!(env.ok(["container", "prune", "-f", "--filter", "label=is=a"]), cid("a"));
    assert_eq!(env.ok(["rm", "--cidfile", "b.cid"]), cid("b"));
    assert_eq!(env.ok(["ps", "-a", "--format", "{{.Names}}"]), "c");
}

#[test]
fn restarting() {
    needs!(Userns);
    let env = Env::with_busybox();
    detached(&env, &["--cidfile", "cid"], "one", HEARS);
    let id = field(&env, "one", "{{.Id}}");
    let pid = || field(&env, "one", "{{.State.Pid}}");
    let mut last = pid();
    for args in [
        &["restart", "one"][..],
        &["restart", "--running"],
        &["restart", "-l"],
        &["restart", "--cidfile", "cid"],
    ] {
        assert!(["one", id.as_str()].contains(&env.ok(args).as_str()), "{args:?}");
        let now = pid();
        assert_ne!(now, last, "{args:?}");
        last = now;
    }
    assert_eq!(env.ok(["restart", "--filter", "name=one"]), id);
    assert_eq!(env.ok(["stop", "one"]), "one");
    assert_eq!(env.ok(["restart", "one"]), "one");
    assert_eq!(running(&env), ["one"]);
    assert_eq!(env.ok(["stop", "one"]), "one");
    assert_eq!(env.ok(["restart", "--running", "one"]), "", "it does not run");
    assert_eq!(env.ok(["restart", "--running", "--all"]), "");
    assert_eq!(env.ok(["start", "one"]), "one");
    assert_eq!(env.ok(["restart", "--running", "--all"]), id);
    assert_eq!(env.ok(["restart", "--running", "one"]), "one");
}

#[test]
fn freezing_needs_a_group_and_says_so() {
    needs!(Userns);
    let env = Env::with_busybox();
    detached(&env, &["--cidfile", "cid"], "one", HEARS);
    let group = field(&env, "one", "{{.State.CgroupPath}}");
    for args in [
        &["pause", "one"][..],
        &["pause", "--all"],
        &["pause", "--latest"],
        &["pause", "--cidfile", "cid"],
        &["pause", "--filter", "name=one"],
    ] {
        let paused = env.ctr(args).run();
        if group.is_empty() {
            let said = paused.fails(125);
            assert!(said.contains("no control group of its own") && said.contains("Delegate=yes"), "{said}");
            continue;
        }
        assert_eq!(paused.code(), 0);
        assert_eq!(field(&env, "one", "{{.State.Status}} {{.State.Paused}}"), "paused true");
        let unpause = [&["unpause"][..], &args[1..]].concat();
        assert_eq!(env.ctr(unpause).run().code(), 0);
        assert_eq!(field(&env, "one", "{{.State.Status}}"), "running");
    }
    for args in [&["unpause", "one"][..], &["unpause", "--cidfile", "cid"], &["unpause", "--latest"]] {
        let said = env.named("podman", args).run().fails(125);
        assert!(said.contains("is not paused, can't unpause: container state improper"), "{said}");
    }
    assert_eq!(env.ok(["unpause", "--all"]), "");
    assert_eq!(env.ok(["unpause", "--filter", "name=one"]), "");
    assert_eq!(env.ok(["stop", "one"]), "one");
    let said = env.named("podman", ["pause", "one"]).run().fails(125);
    assert!(said.contains("is not running, can't pause: container state improper"), "{said}");
}

#[test]
fn what_is_not_there_or_does_not_run() {
    needs!(Userns);
    let env = Env::with_busybox();
    env.ok(["create", "--name", "made", BUSYBOX, "true"]);
    for verb in ["stop", "start", "kill", "pause", "unpause", "restart", "wait", "attach", "rm"] {
        let said = env.ctr([verb, "nobody"]).run();
        let code = said.code();
        let said = said.stderr.clone();
        assert_eq!(code, if verb == "rm" { 1 } else { 125 }, "{verb}: {said}");
        assert!(said.contains("no container with name or ID \"nobody\" found"), "{verb}: {said}");
        if verb != "attach" {
            let said = env.ctr([verb]).run().fails(125);
            assert!(said.contains("you must provide at least one name or id"), "{verb}: {said}");
        }
    }
    assert_eq!(env.ctr(["stop", "--ignore", "nobody"]).run().code(), 0);
    let said = env.named("podman", ["stop", "--cidfile", "none"]).run().fails(125);
    assert_eq!(said, "Error: reading CIDFile: open none: no such file or directory\n");
    let said = env.ctr(["kill", "made"]).run().fails(125);
    assert!(said.contains("can only kill running containers"), "{said}");
    assert_eq!(env.ctr(["kill", "--signal", "NOPE", "made"]).run().code(), 125);
    let several = env.ctr(["start", "-a", "made", "other"]).run().fails(125);
    assert!(several.contains("you cannot start and attach multiple containers at once"), "{several}");
    // It is there, and of no use: it can be removed.
    let ids = env.ok(["ps", "-aq", "--no-trunc"]);
    std::fs::write(env.store().join("containers").join(&ids).join("record.json"), "{").expect("the record");
    let said = env.ctr(["start", "made"]).run();
    assert!(said.code() == 125 && said.stderr.contains("cannot be understood"), "{said}");
}
