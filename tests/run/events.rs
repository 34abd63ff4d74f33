//! `ctr events`: what happened to images and containers, as podman's own tests ask for it.

use std::io::Write as _;

use ctr_tests::env::BUSYBOX;
use ctr_tests::{Env, needs};
use rustix::process::{Signal, kill_process};

use crate::kept::{detached, process};

const PAST: &[&str] = &["events", "--stream=false"];

/// What happened, one line each.
fn past(env: &Env, flags: &[&str]) -> String {
    env.ctr(PAST).args(flags).run().success()
}

#[test]
fn images_tell_what_happens_to_them() {
    needs!(Userns);
    let env = Env::with_busybox();
    let id = env.ok(["image", "inspect", "--format", "{{.ID}}", BUSYBOX]);
    let tar = env.path("ball.tar").to_str().expect("a path").to_owned();
    let _past = env.ok(["events", "--stream=false", "--format", "{{.ID}}"]);
    let _saved = env.ok(["save", "-q", "-o", &tar, BUSYBOX]);
    let _tagged = env.ok(["tag", BUSYBOX, "registry.test/x"]);
    let _untagged = env.ok(["untag", BUSYBOX, "registry.test/x"]);
    let _removed = env.ok(["rmi", "-f", &id]);
    let _loaded = env.ok(["load", "-q", "-i", &tar]);
    let format = "{{.Type}} {{.Status}} {{.ID}} {{.Name}}";
    let all = past(&env, &["--format", format]);
    let expected = format!(
        "image save {id} {tar}\nimage tag {id} registry.test/x\nimage untag {id} registry.test/x:latest\n\
         image untag {id} {BUSYBOX}\nimage remove {id} {id}\nimage loadfromarchive {id} {tar}"
    );
    assert_eq!(all.split_once('\n').expect("the first load").1, expected);
    let human = env.ok(["system", "events", "--stream=false", "--since", "1h", "-f", "event=tag"]);
    assert!(human.ends_with(&format!(" +0000 UTC image tag {id} registry.test/x")), "{human}");
    let short = env.ok(["system", "events", "--stream=false", "--no-trunc=false", "--filter", "status=tag"]);
    assert!(short.ends_with(&format!(" image tag {} registry.test/x", &id[..12])), "{short}");
    let json: serde_json::Value =
        serde_json::from_str(&past(&env, &["-f", "event=tag", "--format", "json"])).expect("JSON");
    let keys: Vec<_> = json.as_object().expect("an object").keys().cloned().collect();
    assert_eq!(keys, ["ID", "Name", "Status", "time", "timeNano", "Type", "Attributes"]);
    assert_eq!((json["Name"].as_str(), json["Attributes"].is_null()), (Some("registry.test/x"), true));
}

/// Adds a line to the log as a program does.
fn happened(env: &Env, line: &str) {
    let folder = env.store().join("events");
    std::fs::create_dir_all(&folder).expect("a folder");
    let mut log =
        std::fs::File::options().append(true).create(true).open(folder.join("events.log")).expect("a log");
    log.write_all(format!("{line}\n").as_bytes()).expect("a log");
}

const DIED: &str = r#"{"ContainerExitCode":17,"OOMKilled":true,"ID":"abcdef0123456789","Image":"localhost/x","Name":"web","Status":"died","Time":"2022-04-06T11:26:42.723667951+02:00","Type":"container","PodID":"p","Attributes":{"a":"1","b":"2 3"}}"#;

#[test]
fn every_kind_has_podman_s_line() {
    let env = Env::new();
    happened(&env, DIED);
    let human = past(&env, &[]);
    assert_eq!(
        human,
        "2022-04-06 09:26:42.723667951 +0000 UTC container died abcdef0123456789 (image=localhost/x, name=web, pod_id=p, a=1, b=2 3)"
    );
    let json = past(&env, &["--format", "{{ json }}"]);
    assert_eq!(
        json,
        r#"{"ContainerExitCode":17,"OOMKilled":true,"ID":"abcdef0123456789","Image":"localhost/x","Name":"web","Status":"died","time":1649237202,"timeNano":1649237202723667951,"Type":"container","PodID":"p","Attributes":{"a":"1","b":"2 3"}}"#
    );
    let format = "{{.ContainerExitCode}}\\t{{.OOMKilled}} {{.Attributes.b}} {{.PodID}} {{.Time}}";
    assert_eq!(past(&env, &["--format", format, "--filter", "label=a=1"]), "17\ttrue 2 3 p 1649237202");
    for (line, expected) in [
        (r#""Type":"volume","Status":"create","Name":"v""#, "volume create v"),
        (r#""Type":"secret","Status":"remove","ID":"s""#, "secret remove s"),
        (r#""Type":"system","Status":"prune""#, "system prune"),
        (r#""Type":"image","Status":"pull-error","Name":"x","error":"no way""#, "image pull-error  x no way"),
        (
            r#""Type":"network","Status":"create","ID":"n","network":"net","Attributes":{"driver":"bridge"}"#,
            "network create n (name=net, type=bridge)",
        ),
        (
            r#""Type":"network","Status":"connect","ID":"c","network":"net""#,
            "network connect c (container=c, name=net)",
        ),
    ] {
        happened(&env, &format!("{{{line},\"Time\":\"2022-04-07T00:00:00Z\"}}"));
        let all = past(&env, &[]);
        let last = all.lines().last().expect("a line");
        assert_eq!(last.strip_prefix("2022-04-07 00:00:00 +0000 UTC "), Some(expected));
    }
}

#[test]
fn events_are_chosen_by_time_and_filters() {
    let env = Env::new();
    happened(&env, DIED);
    happened(&env, &DIED.replace("died", "start").replace("web", "other").replace(":42", ":52"));
    happened(&env, "damage");
    let names = |flags: &[&str]| {
        let output = env.ctr(PAST).args(["--format", "{{.Name}}"]).args(flags).run();
        assert!(output.stderr.contains("an event is left out"), "{output}");
        output.success().replace('\n', " ")
    };
    for (flags, expected) in [
        (&[][..], "web other"),
        (&["--filter", "event=die"], "web"),
        (&["--filter", "container=web", "-f", "container=other"], "web other"),
        (&["--filter", "container=abcdef", "-f", "status=start"], "other"),
        (&["--filter", "type=image"], ""),
        (&["--filter", "label=b"], "web other"),
        (&["--since", "2022-04-06T09:26:45Z"], "other"),
        (&["--until", "2022-04-06T09:26:45Z"], "web"),
        (&["--since", "10m"], ""),
        (&["--since", "1649237202", "--until", "10m"], "web other"),
    ] {
        assert_eq!(names(flags), expected, "{flags:?}");
    }
    for flags in [["--filter", "moon=full"], ["--since", "the dawn of time"], ["--until", "x"]] {
        let said = env.ctr(PAST).args(flags).run().fails(125);
        assert!(said.contains("failed to parse event filters"), "{said}");
    }
    for flags in [&["events"][..], PAST] {
        let said = env.ctr(["--events-backend", "none"]).args(flags).run().fails(125);
        assert!(said.contains("cannot read events with the \"none\" backend"), "{said}");
    }
    let said = env.ctr(["events", "--events-backend", "journald"]).run().fails(125);
    assert!(said.contains("--events-backend journald is not supported yet"), "{said}");
}

#[test]
fn a_stream_goes_on_until_its_time_is_over_or_nobody_reads() {
    let env = Env::new();
    happened(&env, DIED);
    let mut stream = env.ctr(["events", "--format", "{{.Name}}", "--since", "2022-01-01"]).start();
    assert_eq!(stream.wait_for("\n"), "web\n");
    happened(&env, &DIED.replace("web", "two"));
    assert_eq!(stream.wait_for("\n"), "two\n");
    // Rotated: what was read is not read again.
    let folder = env.store().join("events");
    let new = format!("{DIED}\n{}\n{}\n", DIED.replace("web", "two"), DIED.replace("web", "three"));
    std::fs::write(folder.join("new"), new).expect("a log");
    std::fs::rename(folder.join("new"), folder.join("events.log")).expect("a log");
    assert_eq!(stream.wait_for("\n"), "three\n");
    drop(stream);
    let script = "\"$0\" events --since 2022-01-01 --format '{{.Name}}' | head -n 1; echo gone";
    let ctr = env.root().join("bin/ctr");
    assert_eq!(env.program("sh", ["-c", script]).args([ctr]).run().success(), "web\ngone");
    let timed = env.ok(["system", "events", "--stream", "--until", "200ms", "--format", "{{.Name}}"]);
    assert_eq!(timed, "web\ntwo\nthree");
    // Without a time, only what comes.
    let none = env.ctr(["events", "--filter", "type=moon", "--until", "100ms"]).run().success();
    assert_eq!(none, "");
}

/// What happened to containers: what, to whom, and with which exit code.
fn lives(env: &Env, flags: &[&str]) -> String {
    let format = "{{.Status}} {{.Name}} {{if .ContainerExitCode}}{{.ContainerExitCode}}{{end}}";
    let text = past(env, &[&["--filter", "type=container", "--format", format], flags].concat());
    text.lines().map(str::trim_end).collect::<Vec<_>>().join(", ")
}

#[test]
fn a_fleeting_container_lives_in_two_writes() {
    needs!(Userns);
    let env = Env::with_busybox();
    let run = env.ctr(["run", "--rm", "--name", "it", "--label", "a=1", BUSYBOX, "sh", "-c", "exit 3"]).run();
    assert_eq!(run.code(), 3);
    assert_eq!(lives(&env, &[]), "create it, init it, start it, attach it, died it 3, remove it 3");
    assert_eq!(
        lives(&env, &["--filter", "label=a=1", "--filter", "container=it", "--filter", "event=died"]),
        "died it 3"
    );
    assert_eq!(past(&env, &["--filter", "event=start", "--format", "{{.Image}}"]), BUSYBOX);
    let quiet =
        env.ctr(["--events-backend", "none", "run", "--rm", "--name", "quiet", BUSYBOX, "true"]).run();
    assert_eq!(quiet.code(), 0);
    let failed = env.ctr(["run", "--rm", "--name", "failed", BUSYBOX, "/no/such/command"]).run();
    assert_eq!(failed.code(), 127);
    assert!(!lives(&env, &[]).contains("quiet"));
    let failed = &["--filter", "container=failed"];
    assert_eq!(lives(&env, failed), "create failed, remove failed");
    let detached = env.ctr(["run", "-d", "--rm", "--name", "later", BUSYBOX, "/no/such/command"]).run();
    assert_eq!(detached.code(), 127);
    assert_eq!(lives(&env, &["--filter", "container=later"]), "create later, remove later");
}

#[test]
fn a_kept_container_has_its_life_in_order() {
    needs!(Userns, Overlay);
    let env = Env::with_busybox();
    let sleeps = "trap 'exit 5' TERM; echo hears; while :; do sleep 0.1; done";
    let _id = env.ok(["create", "--name", "it", BUSYBOX, "sh", "-c", sleeps]);
    let _it = env.ok(["start", "it"]);
    let _hears = env.ctr(["logs", "--follow", "it"]).start().wait_for("hears\n");
    assert_eq!(env.ctr(["exec", "it", "sh", "-c", "exit 7"]).run().code(), 7);
    let _it = env.ok(["stop", "it"]);
    let _renamed = env.ok(["rename", "it", "that"]);
    let _that = env.ok(["start", "that"]);
    let _that = env.ok(["kill", "that"]);
    let _code = env.ok(["wait", "that"]);
    let _that = env.ok(["rm", "that"]);
    // Whoever was the monitor writes that it died when it has; the others do not wait for that.
    let seen = lives(&env, &[]);
    let order = |wanted: &str| {
        let mut rest = seen.split(", ");
        wanted.split(", ").all(|event| rest.any(|seen| seen == event))
    };
    assert!(order("create it, init it, start it, exec it, exec_died it 7, died it 5, rename that"), "{seen}");
    assert!(order("rename that, init that, start that, died that 137, remove that"), "{seen}");
    assert!(order("start it, stop it, rename that") && order("start that, kill that, remove that"), "{seen}");
    assert_eq!(seen.split(", ").count(), 13, "{seen}");
}

#[test]
fn a_container_that_nobody_waits_for_tells_its_end() {
    needs!(Userns, Overlay);
    let env = Env::with_busybox();
    let mut follower = env
        .ctr(["events", "--since", "1h", "--filter", "event=remove", "--format", "{{.Status}} {{.Name}}"])
        .start();
    let _id = env.ok(["run", "-d", "--rm", "--name", "it", BUSYBOX, "sh", "-c", "exit 4"]);
    let _removed = follower.wait_for("remove it");
    follower.signal(rustix::process::Signal::TERM);
    let _ended = follower.finish();
    assert_eq!(lives(&env, &[]), "create it, init it, start it, died it 4, remove it 4");
}

#[test]
fn attaching_and_restarting_are_written_down() {
    needs!(Userns, Overlay);
    let env = Env::with_busybox();
    let run = env.ctr([
        "run",
        "--name",
        "it",
        BUSYBOX,
        "sh",
        "-c",
        "trap 'exit 0' TERM; echo ready; sleep 1000 & wait",
    ]);
    let mut running = run.start();
    let _ready = running.wait_for("ready");
    let _it = env.ok(["restart", "it"]);
    let _ended = running.finish();
    let mut follower =
        env.ctr(["events", "--since", "1h", "--filter", "event=attach", "--format", "{{.Status}}"]).start();
    let attached = env.ctr(["attach", "it"]).start();
    let _attached = follower.wait_for("attach\nattach");
    follower.signal(rustix::process::Signal::TERM);
    let _followed = follower.finish();
    let _it = env.ok(["rm", "-f", "it"]);
    let _ended = attached.finish();
    let seen = lives(&env, &[]);
    assert!(seen.starts_with("create it, init it, start it, attach it, "), "{seen}");
    let counted = |word: &str| seen.split(", ").filter(|event| event.split(' ').next() == Some(word)).count();
    let counts = ["init", "start", "attach", "stop", "restart", "died", "remove"].map(counted);
    assert_eq!(counts, [2, 2, 2, 1, 1, 2, 1], "{seen}");
}

#[test]
fn what_is_frozen_and_what_is_cleared_away_is_written_down() {
    needs!(Userns);
    let env = Env::with_busybox();
    let _id = env.ok(["run", "-d", "--name", "it", BUSYBOX, "sleep", "1000"]);
    let frozen = env.ctr(["pause", "it"]).run().code() == 0;
    if frozen {
        let _it = env.ok(["unpause", "it"]);
    }
    // What could not be done did not happen.
    let counted = |event: &str| lives(&env, &["--filter", &format!("event={event}")]).lines().count();
    assert_eq!((counted("pause"), counted("unpause")), (usize::from(frozen), usize::from(frozen)));
    let _made = env.ok(["create", "--name", "made", BUSYBOX, "true"]);
    let _pruned = env.ok(["container", "prune", "--force"]);
    assert_eq!(lives(&env, &["--filter", "event=remove"]), "remove made");
    let _gone = env.ok(["rm", "-f", "it"]);
}

#[test]
fn the_end_of_one_whose_monitor_was_killed_is_logged_once_by_who_changes_it() {
    needs!(Userns);
    let env = Env::with_busybox();
    for (name, flags) in [("web", &[][..]), ("other", &[]), ("once", &["--rm"])] {
        detached(&env, flags, name, "exec sleep 1000");
        kill_process(process(&env, name, "ConmonPid"), Signal::KILL).expect("it is ours");
        let _ended = env.ctr(["wait", name]).run();
    }
    let ended = |name: &str| {
        let all = ["events", "--stream=false", "--filter", &format!("container={name}")];
        let format = ["--format", "{{.Status}}{{if .ContainerExitCode}} {{.ContainerExitCode}}{{end}}"];
        env.ok([&all[..], &format].concat()).lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let begun = ["create", "init", "start"];
    for args in [&["ps", "-a"][..], &["inspect", "web"], &["logs", "web"], &["container", "exists", "web"]] {
        let _read = env.ok(args);
    }
    assert_eq!(ended("web"), begun, "who only looks writes nothing");

    std::fs::remove_file(env.path("web-ready")).expect("the file");
    assert_eq!(env.ok(["start", "web"]), "web");
    assert_eq!(ended("web"), [&begun[..], &["died 137", "init", "start"]].concat());
    assert_eq!(env.ok(["rm", "-f", "-t", "0", "web"]), "web");
    assert_eq!(ended("web").iter().filter(|event| event.starts_with("died")).count(), 2);
    assert_eq!(env.ok(["rm", "other"]), "other");
    assert_eq!(ended("other"), [&begun[..], &["died 137", "remove"]].concat());
    let _swept = env.ok(["system", "gc"]);
    assert_eq!(ended("once"), [&begun[..], &["died 137", "remove"]].concat());
    let _again = env.ok(["system", "gc"]);
    assert_eq!(ended("once").len(), 5);
}
