//! Containers with damaged or half removed folders, and processes that are not whom they seem to be: each verb says what is
//! wrong in one line, and whatever is listed can be removed.

use std::path::{Path, PathBuf};

use ctr_tests::{BUSYBOX, Env, needs};
use rustix::process::{Signal, kill_process};

use crate::kept::{detached, field, process};

/// Every verb about one container, with what it does to one called web.
const VERBS: &[&[&str]] = &[
    &["inspect", "web"],
    &["container", "exists", "web"],
    &["ps", "-a", "--filter", "name=web"],
    &["logs", "web"],
    &["top", "web"],
    &["port", "web"],
    &["diff", "web"],
    &["export", "-o", "web.tar", "web"],
    &["cp", "web:/etc/passwd", "copied"],
    &["cp", "copied", "web:/copied"],
    &["commit", "-q", "web", "of-web"],
    &["container", "port", "web"],
    &["exec", "web", "true"],
    &["kill", "web"],
    &["pause", "web"],
    &["unpause", "web"],
    &["stop", "-t", "0", "web"],
    &["attach", "web"],
    &["rename", "web", "web"],
    &["init", "web"],
    &["start", "web"],
    &["wait", "web"],
    &["restart", "-t", "0", "web"],
    &["wait", "web"],
    &["rm", "web"],
];

/// Has each verb try its luck: it works, or fails as podman does and says why in one line.
fn try_all(env: &Env, what: &str) {
    for verb in VERBS {
        let output = env.ctr(verb.iter()).run();
        if output.code() == 0 {
            continue;
        }
        let improper = if verb[0] == "exec" { 255 } else { 2 };
        assert!([1, 125, improper].contains(&output.code()), "{what}: {output}");
        let errors = output.stderr.lines().filter(|line| line.starts_with("Error: ")).count();
        let quiet = verb[0] == "container" && output.code() == 1;
        assert_eq!(
            (errors, output.stderr.contains("panicked")),
            (usize::from(!quiet), false),
            "{what}: {output}"
        );
    }
}

fn folder(env: &Env, id: &str) -> PathBuf {
    env.store().join("containers").join(id)
}

/// What is said of a file that came to harm, and how it did.
type Harm = (&'static str, fn(&Path));

const HARM: [Harm; 4] = [
    ("is gone", |path| drop(std::fs::remove_file(path))),
    ("is empty", |path| std::fs::write(path, "").expect("a file")),
    ("is cut", |path| {
        let text = std::fs::read(path).expect("a file");
        std::fs::write(path, &text[..text.len() / 2]).expect("a file");
    }),
    ("is noise", |path| std::fs::write(path, b"\0\xff\x1b[2J{[").expect("a file")),
];

#[test]
fn files_of_a_container_come_to_harm() {
    needs!(Userns);
    let env = Env::with_busybox();
    let other = env.ok(["create", "--name", "other", BUSYBOX, "true"]);
    for file in ["record.json", "state.json", "exit.json", "lock", "log/ctr.log"] {
        for (how, harm) in HARM {
            let id = env.ok(["run", "-d", "--name", "web", BUSYBOX, "echo", "x"]);
            let _code = env.ok(["wait", "web"]);
            harm(&folder(&env, &id).join(file));
            let what = format!("{file} {how}");
            try_all(&env, &what);
            assert_eq!(env.ok(["ps", "-a", "-q", "--no-trunc"]), other, "{what}");
            // What cannot be understood is not listed, and can be removed by whoever names it.
            assert_eq!(env.ctr(["rm", "-f", &id]).run().code(), 0, "{what}");
            let _swept = env.ok(["system", "gc"]);
            assert!(!folder(&env, &id).exists(), "{what}");
        }
    }
    assert_eq!(env.ok(["start", "--attach", "other"]), "");
}

#[test]
fn folders_of_a_container_are_half_removed() {
    needs!(Userns);
    let env = Env::with_busybox();
    for part in ["upper", "work", "log", "attach"] {
        let id = env.ok(["run", "-d", "--name", "web", BUSYBOX, "echo", "x"]);
        let _code = env.ok(["wait", "web"]);
        let path = folder(&env, &id).join(part);
        let args = ["--map-root-user", "--map-auto", "rm", "-rf"].map(std::ffi::OsStr::new);
        let _removed = env.program("unshare", args).args([&path]).run().success();
        try_all(&env, part);
        assert_eq!(env.ok(["ps", "-a", "-q"]), "", "{part}");
        let _swept = env.ok(["system", "gc"]);
        assert!(!folder(&env, &id).exists(), "{part}");
    }
}

#[test]
fn a_running_container_whose_start_cannot_be_read_is_ended_by_force_only() {
    needs!(Userns);
    let env = Env::with_busybox();
    for (how, harm) in &HARM[1..] {
        let id = detached(&env, &[], "web", "exec sleep 1000");
        let init = process(&env, "web", "Pid");
        let init = rustix::process::pidfd_open(init, rustix::process::PidfdFlags::empty()).expect("it runs");
        harm(&folder(&env, &id).join("state.json"));
        assert_eq!(env.ok(["ps", "--format", "{{.Names}} {{.State}}"]), "web running", "{how}");
        for verb in
            [&["stop", "-t", "0", "web"][..], &["kill", "web"], &["exec", "web", "true"], &["top", "web"]]
        {
            let output = env.ctr(verb).run();
            assert!([1, 125, 255].contains(&output.code()), "{how}: {output}");
            assert_eq!(
                output.stderr.lines().filter(|line| line.starts_with("Error: ")).count(),
                1,
                "{output}"
            );
        }
        assert_eq!(env.ctr(["rm", "web"]).run().code(), 2, "{how}");
        assert_eq!(env.ok(["rm", "-f", "-t", "0", "web"]), "web", "{how}");
        let mut ended = [rustix::event::PollFd::new(&init, rustix::event::PollFlags::IN)];
        let limit = rustix::event::Timespec { tv_sec: 20, tv_nsec: 0 };
        assert_eq!(rustix::event::poll(&mut ended, Some(&limit)), Ok(1), "{how}: it outlives its removal");
        assert!(!folder(&env, &id).exists(), "{how}");
        std::fs::remove_file(env.path("web-ready")).expect("the file");
    }
}

#[test]
fn a_running_container_of_which_nothing_is_known_ends_by_force_and_leaves_no_group() {
    needs!(Userns);
    let env = Env::with_busybox();
    for file in ["record.json", "state.json"] {
        let id = detached(&env, &[], "web", "exec sleep 1000");
        let group = field(&env, "web", "{{.State.CgroupPath}}");
        let init = process(&env, "web", "Pid");
        let init = rustix::process::pidfd_open(init, rustix::process::PidfdFlags::empty()).expect("it runs");
        std::fs::write(folder(&env, &id).join(file), "noise").expect("a file");
        assert_ne!(env.ctr(["rm", "web"]).run().code(), 0, "{file}");
        assert_eq!(env.ok(["rm", "-f", "-t", "0", "web"]), "web", "{file}");
        let mut ended = [rustix::event::PollFd::new(&init, rustix::event::PollFlags::IN)];
        let limit = rustix::event::Timespec { tv_sec: 20, tv_nsec: 0 };
        assert_eq!(rustix::event::poll(&mut ended, Some(&limit)), Ok(1), "{file}: it outlives its removal");
        assert!(!folder(&env, &id).exists(), "{file}");
        // Where nobody may make groups it had none.
        assert!(group.is_empty() || !Path::new(&group).exists(), "{file}: {group}");
        std::fs::remove_file(env.path("web-ready")).expect("the file");
    }
}

#[test]
fn another_process_with_the_number_of_init_is_not_init() {
    needs!(Userns);
    let env = Env::with_busybox();
    let mut bait = env.program("sh", ["-c", "echo ready; exec sleep 1000"]).start();
    bait.wait_for("ready\n");
    let number = bait.pid().as_raw_nonzero().get();
    let other_boot = "00000000-0000-4000-8000-000000000000";
    for what in ["another start time", "another boot"] {
        let id = detached(&env, &[], "web", "exec sleep 1000");
        kill_process(process(&env, "web", "ConmonPid"), Signal::KILL).expect("it is ours");
        assert_eq!(env.ok(["wait", "web"]), "137");
        let path = folder(&env, &id).join("state.json");
        let mut state: serde_json::Value =
            serde_json::from_slice(&std::fs::read(&path).expect("a state")).expect("a state");
        state["init"]["pid"] = number.into();
        if what == "another boot" {
            state["init"]["start_time"] = start_time(number).into();
            state["init"]["boot_id"] = other_boot.into();
        }
        std::fs::write(&path, state.to_string()).expect("a state");
        assert_eq!(field(&env, "web", "{{.State.Status}} {{.State.Pid}}"), "exited 0", "{what}");
        assert_eq!(env.ok(["stop", "-t", "0", "web"]), "web", "{what}");
        assert_ne!(env.ctr(["kill", "web"]).run().code(), 0, "{what}");
        assert_ne!(env.ctr(["exec", "web", "true"]).run().code(), 0, "{what}");
        assert_eq!(env.ok(["rm", "-f", "-t", "0", "web"]), "web", "{what}");
        assert_eq!(start_time(number), start_time(number), "{what}: the other process lives");
        std::fs::remove_file(env.path("web-ready")).expect("the file");
    }
    bait.signal(Signal::TERM);
    assert_eq!(bait.finish().code(), 143, "nobody else has ended it");
}

/// As a power cut leaves a container: nobody has said how it ended, nothing of it runs.
fn cut_power(env: &Env, name: &str) {
    let pids = [process(env, name, "ConmonPid"), process(env, name, "Pid")];
    let open = |pid| rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).expect("it runs");
    let all = pids.map(open);
    pids.iter().for_each(|pid| kill_process(*pid, Signal::STOP).expect("it is ours"));
    for one in &all {
        rustix::process::pidfd_send_signal(one, Signal::KILL).expect("it is ours");
        let limit = rustix::event::Timespec { tv_sec: 60, tv_nsec: 0 };
        let mut ended = [rustix::event::PollFd::new(one, rustix::event::PollFlags::IN)];
        assert_eq!(rustix::event::poll(&mut ended, Some(&limit)), Ok(1), "it lives on");
    }
}

/// Has every process that a record tells of be one of another boot, whose number and start time another process has now.
fn of_another_boot(value: &mut serde_json::Value, pid: i32) {
    if let Some(boot) = value.get_mut("boot_id") {
        *boot = "00000000-0000-4000-8000-000000000000".into();
        if value.get("pid").is_some() {
            value["pid"] = pid.into();
            value["start_time"] = start_time(pid).into();
        }
    }
    if let Some(fields) = value.as_object_mut() {
        fields.values_mut().for_each(|field| of_another_boot(field, pid));
    }
}

/// The same of all the files in a container's folder.
fn reboot(folder: &Path, pid: i32) -> usize {
    let mut changed = 0;
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if ["upper", "work"].iter().any(|name| path.ends_with(name)) {
            continue;
        }
        if path.is_dir() {
            changed += reboot(&path, pid);
        } else if let Ok(mut json) = serde_json::from_slice(&std::fs::read(&path).unwrap_or_default()) {
            of_another_boot(&mut json, pid);
            std::fs::write(path, json.to_string()).expect("a file");
            changed += 1;
        }
    }
    changed
}

#[test]
fn after_another_boot_all_has_ended_and_can_be_started_again() {
    needs!(Userns);
    let env = Env::with_busybox();
    let mut bait = env.program("sh", ["-c", "echo ready; exec sleep 1000"]).start();
    bait.wait_for("ready\n");
    let number = bait.pid().as_raw_nonzero().get();
    let web = detached(&env, &[], "web", "echo of this boot; echo kept >/file; ready; exec sleep 1000");
    let _session = env.ok(["exec", "-d", "web", "sleep", "1000"]);
    let gone = detached(&env, &["--rm"], "gone", "exec sleep 1000");
    let mut fleeting = env.shell(["--name", "fleeting"], "echo ready; exec sleep 1000").start();
    fleeting.wait_for("ready\n");
    assert_eq!(env.ok(["ps", "-q"]).lines().count(), 3);
    ["web", "gone"].iter().for_each(|name| cut_power(&env, name));
    fleeting.signal(Signal::KILL);
    assert_eq!(fleeting.finish().code(), 137);
    // The record, the last start, and for one of them the session.
    assert_eq!((reboot(&folder(&env, &web), number), reboot(&folder(&env, &gone), number)), (3, 2));
    // It lies in memory.
    std::fs::remove_dir_all(env.run_dir().join("ctr")).expect("the run directory");

    assert_eq!(
        env.ok(["ps", "-a", "--format", "{{.Names}} {{.Status}}"]),
        "web Exited (137), monitor killed",
        "what goes with its end is gone"
    );
    let shown = "{{.State.Status}} {{.State.Pid}} {{.State.ConmonPid}} {{.State.Running}} {{json .ExecIDs}}";
    assert_eq!(field(&env, "web", shown), "exited 0 0 false []");
    assert_eq!(env.ok(["logs", "web"]), "of this boot");
    assert_eq!(env.ok(["wait", "web"]), "137");
    assert_eq!(env.ok(["stop", "-t", "0", "web"]), "web");
    for (verb, code) in [(&["kill", "web"][..], 125), (&["exec", "web", "true"], 255), (&["top", "web"], 125)]
    {
        let said = env.ctr(verb).run().fails(code);
        assert!(said.starts_with("Error: "), "{said}");
    }
    std::fs::remove_file(env.path("web-ready")).expect("the file");
    assert_eq!(env.ok(["start", "web"]), "web");
    assert_eq!(env.ok(["exec", "web", "cat", "/file"]), "kept");
    assert_ne!(process(&env, "web", "Pid").as_raw_nonzero().get(), number);
    assert_eq!(env.ok(["rm", "-f", "-t", "0", "web"]), "web");
    let _swept = env.ok(["system", "gc"]);
    assert!(!folder(&env, &web).exists() && !folder(&env, &gone).exists());
    bait.signal(Signal::TERM);
    assert_eq!(bait.finish().code(), 143, "nobody else has ended it");
}

/// The start time of a process that lives, in ticks since boot.
fn start_time(pid: i32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("a live process");
    let (_, rest) = stat.rsplit_once(") ").expect("a name in parentheses");
    rest.split(' ').nth(19).and_then(|field| field.parse().ok()).expect("a time")
}

#[test]
fn init_is_killed_and_both_are() {
    needs!(Userns);
    let env = Env::with_busybox();
    for both in [false, true] {
        detached(&env, &[], "web", "exec sleep 1000");
        let (monitor, init) = (process(&env, "web", "ConmonPid"), process(&env, "web", "Pid"));
        if both {
            // So that it cannot write anything down in between.
            kill_process(monitor, Signal::STOP).expect("it is ours");
        }
        kill_process(init, Signal::KILL).expect("it is ours");
        if both {
            kill_process(monitor, Signal::KILL).expect("it is ours");
        }
        assert_eq!(env.ok(["wait", "web"]), "137");
        let said = if both { "exited 137 monitor killed" } else { "exited 137 " };
        assert_eq!(field(&env, "web", "{{.State.Status}} {{.State.ExitCode}} {{.State.Error}}"), said);
        std::fs::remove_file(env.path("web-ready")).expect("the file");
        assert_eq!(env.ok(["start", "web"]), "web");
        assert_eq!(env.ok(["rm", "-f", "-t", "0", "web"]), "web");
    }
    assert_eq!(env.ok(["ps", "-aq"]), "");
}

#[test]
fn a_line_of_a_megabyte_without_an_end_is_logged_as_it_is() {
    needs!(Userns);
    let env = Env::with_busybox();
    let _id = env.ok([
        "run",
        "-d",
        "--name",
        "web",
        BUSYBOX,
        "sh",
        "-c",
        "head -c 1000000 /dev/zero; printf '\\1\\r\\n\\33['",
    ]);
    assert_eq!(env.ok(["wait", "web"]), "0");
    let logged = env.ctr(["logs", "web"]).run();
    assert_eq!(logged.code(), 0);
    let expected = format!("{}\u{1}\r\n\u{1b}[", "\0".repeat(1_000_000));
    let got = logged.stdout.strip_suffix('\n').unwrap_or(&logged.stdout);
    assert!(got == expected, "{} bytes instead of {}", got.len(), expected.len());
}
