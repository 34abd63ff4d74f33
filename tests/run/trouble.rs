//! Trouble from outside: processes that are stopped or killed, readers that do not read, a full disk, a clock that jumps, and
//! containers that can reach our sockets.

use std::fs::File;
use std::io::Read as _;
use std::path::PathBuf;

use ctr_tests::env::{Running, programs};
use ctr_tests::{BUSYBOX, Env, needs};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{CWD, Mode, OFlags, mkfifoat, openat};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open, pidfd_send_signal};

use crate::kept::{Suspended, detached, field, process, wait_until_it_is};

/// Lets a container that waits for a file of this name go on.
fn go(env: &Env) {
    drop(env.file("go", ""));
}

/// Waits for a file in the work directory.
fn wait_for_file(env: &Env, name: &str) {
    while !env.path(name).exists() {
        std::thread::yield_now();
    }
}

#[test]
fn what_is_written_while_the_monitor_is_stopped_is_logged_afterwards() {
    needs!(Userns);
    let env = Env::with_busybox();
    // The first lines fit into a pipe, all of them do not.
    let script = "until [ -e /shared/go ]; do sleep 0.01; done; seq 1000; echo >/shared/half; seq 1001 30000";
    detached(&env, &[], "web", script);
    let stopped = Suspended::new(process(&env, "web", "ConmonPid"));
    go(&env);
    wait_for_file(&env, "half");
    let mut follower = env.ctr(["logs", "-f", "web"]).start();
    assert_eq!(env.ctr(["logs", "web"]).run().success(), "", "nobody has logged it yet");
    assert_eq!(field(&env, "web", "{{.State.Status}}"), "running");
    drop(stopped);
    follower.wait_for("1\n");
    assert_eq!(env.ok(["wait", "web"]), "0");
    let expected: String = (1..=30_000).map(|number| format!("{number}\n")).collect();
    assert!(env.ctr(["logs", "web"]).run().stdout == expected);
    assert!(follower.finish().stdout == expected["1\n".len()..]);
}

#[test]
fn with_a_stopped_monitor_every_verb_has_an_end_or_says_whom_it_waits_for() {
    needs!(Userns);
    let env = Env::with_busybox();
    let names = ["web", "other"];
    names.iter().for_each(|name| drop(detached(&env, &[], name, "echo x; exec sleep 1000")));
    names.iter().for_each(|name| wait_until_it_is(&env, name, "sleep"));
    let monitors = names.map(|name| process(&env, name, "ConmonPid"));
    let stopped = monitors.map(Suspended::new);
    // It is the kernel that is asked, or a file.
    assert_eq!(
        env.ok(["ps", "--sort", "names", "--format", "{{.Names}} {{.State}}"]),
        "other running\nweb running"
    );
    assert_eq!(env.ok(["exec", "web", "echo", "inside"]), "inside");
    assert_eq!(env.ok(["top", "web", "args"]), "COMMAND\nsleep 1000");
    assert_eq!(env.ctr(["cp", "web:/etc/passwd", "-"]).run().code(), 0);
    assert_eq!(env.ctr(["rm", "web"]).run().code(), 2);
    // More than the kernel lets wait for being accepted.
    let clients: Vec<Running<'_>> = (0..40).map(|_| env.ctr(["attach", "web"]).start()).collect();
    let waiting = env.ctr(["wait", "web"]).start();
    for client in clients {
        let said = client.finish().fails(125);
        let expected = "the container's monitor does not answer (it may have been stopped)";
        assert!(said.contains(expected), "{said}");
    }
    let verbs = [
        (&["stop", "-t", "0", "web"][..], monitors[0]),
        (&["restart", "-t", "0", "other"], monitors[1]),
        (&["rm", "-f", "-t", "0", "other"], monitors[1]),
    ];
    let mut ended = Vec::new();
    for (verb, monitor) in verbs {
        let mut verb = env.ctr(verb.iter()).start();
        let said = verb.wait_for_errors("waiting for ");
        assert!(said.contains(&monitor.as_raw_nonzero().to_string()), "{said}");
        ended.push(verb);
    }
    assert_eq!(
        env.ok(["ps", "-a", "--sort", "names", "--format", "{{.Names}} {{.State}}"]),
        "other stopping\nweb stopping"
    );
    drop(stopped);
    assert_eq!(waiting.finish().success(), "137");
    let codes: Vec<i32> = ended.into_iter().map(|verb| verb.finish().code()).collect();
    // The other one is started again, or gone before that: whoever gets it first.
    assert!(codes[0] == 0 && [0, 125].contains(&codes[1]) && codes[2] == 0, "{codes:?}");
    assert_eq!(env.ok(["ps", "-a", "--format", "{{.Names}} {{.State}} {{.ExitCode}}"]), "web exited 137");
}

/// A pipe with a name; what a command writes there waits until somebody reads.
struct Unread(File);

impl Unread {
    fn new(env: &Env) -> Self {
        mkfifoat(CWD, env.path("pipe"), Mode::RUSR | Mode::WUSR).expect("a pipe");
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        Self(openat(CWD, env.path("pipe"), flags, Mode::empty()).expect("a pipe").into())
    }

    /// Waits until hardly anything more fits.
    fn fill(&self) {
        // A page is not begun for what does not fit into it; and who has many pipes gets small ones.
        let room = rustix::pipe::fcntl_getpipe_size(&self.0).expect("a pipe") as u64;
        while rustix::io::ioctl_fionread(&self.0).expect("a pipe") <= room - 4096 {
            std::thread::yield_now();
        }
    }

    /// Reads to the end.
    fn read(mut self) -> Vec<u8> {
        rustix::io::ioctl_fionbio(&self.0, false).expect("a pipe");
        let mut all = Vec::new();
        self.0.read_to_end(&mut all).expect("a pipe");
        all
    }
}

#[test]
fn signals_reach_a_container_whose_output_nobody_reads() {
    needs!(Userns);
    let env = Env::with_busybox();
    let unread = Unread::new(&env);
    let script = "trap 'exit 7' TERM; yes & wait";
    let command = env.redirected(">pipe", ["run", "--name", "web", BUSYBOX, "sh", "-c", script]).start();
    unread.fill();
    command.signal(Signal::TERM);
    assert_eq!(env.ok(["wait", "web"]), "7");
    // Nor does it keep anybody from removing it.
    assert_eq!(env.ok(["rm", "web"]), "web");
    let all = unread.read();
    assert_eq!(command.finish().code(), 7);
    assert!(all.starts_with(b"y\ny\n"), "{}", all.len());
}

#[test]
fn who_attaches_and_does_not_read_keeps_nobody_waiting() {
    needs!(Userns);
    let env = Env::with_busybox();
    let script = "until [ -e /shared/go ]; do sleep 0.01; done; yes | head -c 3000000; echo last";
    detached(&env, &[], "web", script);
    let unread = Unread::new(&env);
    let attached = env.redirected(">pipe", ["attach", "web"]).start();
    // It is attached once the monitor has heard it, which an event says.
    while !env.ok(["events", "--stream=false", "--filter", "event=attach"]).contains("attach") {
        std::thread::yield_now();
    }
    go(&env);
    unread.fill();
    assert_eq!(env.ok(["wait", "web"]), "0");
    assert_eq!(env.ok(["logs", "--tail", "1", "web"]), "last");
    assert_eq!(env.ok(["rm", "web"]), "web");
    let all = unread.read();
    assert!(all.len() < 3_000_000, "it was not overtaken: {}", all.len());
    let said = attached.finish().fails(125);
    assert!(said.contains("it came faster than it was read"), "{said}");
}

#[test]
fn all_three_are_killed_and_the_container_can_be_started_again() {
    needs!(Userns);
    let env = Env::with_busybox();
    let command = ["run", "--name", "web", "-i", BUSYBOX, "sh", "-c", "echo ready; exec sleep 1000"];
    let mut running = env.ctr(command).start();
    running.wait_for("ready\n");
    let open = |pid: Pid| pidfd_open(pid, PidfdFlags::empty()).expect("it runs");
    let pids = [running.pid(), process(&env, "web", "ConmonPid"), process(&env, "web", "Pid")];
    let all = pids.map(open);
    // None of them does anything any more when the first is killed.
    pids.iter().for_each(|pid| kill_process(*pid, Signal::STOP).expect("it is ours"));
    for one in &all {
        pidfd_send_signal(one, Signal::KILL).expect("it is ours");
    }
    assert_eq!(running.finish().code(), 137);
    assert_eq!(env.ok(["wait", "web"]), "137");
    let limit = Timespec { tv_sec: 20, tv_nsec: 0 };
    for one in &all {
        assert_eq!(poll(&mut [PollFd::new(one, PollFlags::IN)], Some(&limit)), Ok(1), "it lives on");
    }
    assert_eq!(env.ok(["ps", "-a", "--format", "{{.Status}}"]), "Exited (137), monitor killed");
    assert_eq!(env.ok(["start", "web"]), "web");
    assert_eq!(field(&env, "web", "{{.State.Status}}"), "running");
    assert_eq!(env.ok(["rm", "-f", "-t", "0", "web"]), "web");
}

/// A store of six megabytes, in a mount namespace of its own, and a log that has no end.
const ON_A_FULL_DISK: &str = r#"
mkdir -p "$HOME/.local/share/ctr" root/bin && cp "$(command -v busybox)" root/bin && mkfifo written || exit
mount -t tmpfs -o size=6m none "$HOME/.local/share/ctr" || exit
trap 'ctr rm --all --force --time 0' EXIT
sh="/bin/busybox sh -c"
ctr run -d --name web --log-opt max-size=100m -v "$PWD:/shared" --rootfs "$PWD/root" \
  $sh '/bin/busybox yes | /bin/busybox head -c 20000000; echo all >/shared/written; exec /bin/busybox sleep 1000' >/dev/null
cat written
ctr ps --format '{{.Names}} {{.State}}'
ctr exec web /bin/busybox echo inside
ctr logs --tail 1 web 2>/dev/null
ctr run --name second --rootfs "$PWD/root" $sh true 2>&1 | grep -o 'Error:.*\|No space left on device' | cut -d ' ' -f 1
ctr rename web other 2>&1 | grep -c 'No space left on device'
ctr stop -t 0 web
ctr ps -a --format '{{.Names}} {{.State}} {{.ExitCode}}'
ctr rm web
ctr ps -aq
"#;

#[test]
fn a_log_fills_the_disk_and_nothing_else_comes_to_harm() {
    needs!(Userns);
    let env = Env::new();
    let args = ["--map-root-user", "--map-auto", "--mount", "bash", "-c", ON_A_FULL_DISK];
    let output = env.program("unshare", args).run();
    let expected = "all\nweb running\ninside\ny\nError:\n1\nweb\nweb exited 137\nweb\n";
    assert_eq!(output.stdout, expected, "{output}");
}

/// A run directory without room for one more file: first one that was in use before, then one that never was.
const IN_A_FULL_RUN_DIRECTORY: &str = r#"
mkdir -p root/bin && cp "$(command -v busybox)" root/bin || exit
mount -t tmpfs -o size=1m,nr_inodes=100,mode=700 none "$XDG_RUNTIME_DIR" || exit
fill() { i=0; while { : >"$XDG_RUNTIME_DIR/filler-$i"; } 2>/dev/null; do i=$((i + 1)); done; }
for name in running created third fourth; do
  ctr create --name $name -v /anonymous --rootfs "$PWD/root" /bin/busybox sleep 1000 >/dev/null
done
ctr start running
fill
ctr run --name more --rootfs "$PWD/root" /bin/busybox true 2>&1 | grep -o 'No space left on device'
ctr ps -a --format '{{.Names}} {{.State}}'
ctr rm --force --time 0 --volumes running
ctr rm --volumes created
ctr volume ls -q | wc -l
ctr system gc | cut -d ' ' -f 1
rm -rf "$XDG_RUNTIME_DIR/ctr"
fill
ctr rm third
ctr container prune --force | wc -l
ls "$HOME/.local/share/ctr/containers" "$XDG_RUNTIME_DIR/ctr" 2>/dev/null
rm "$XDG_RUNTIME_DIR"/filler-*
ctr system gc | cut -d ' ' -f 1
"#;

#[test]
fn what_is_in_the_way_can_be_removed_though_the_run_directory_is_full() {
    needs!(Userns);
    let env = Env::new();
    let args = ["--map-root-user", "--map-auto", "--mount", "bash", "-c", IN_A_FULL_RUN_DIRECTORY];
    let output = env.program("unshare", args).run();
    let store = env.store().join("containers");
    let expected = format!(
        "running\nNo space left on device\nmore created\nfourth created\nthird created\ncreated created\nrunning running\n\
         running\ncreated\n2\nremoved\nthird\n2\n{}:\nremoved\n",
        store.display()
    );
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), (&*expected, ""), "{output}");
}

/// Has a clock jump: what was written before it is of the future now, or of long ago.
fn shift(path: PathBuf, key: &str, nanoseconds: i64) {
    let text = std::fs::read(&path).expect("a record");
    let mut json: serde_json::Value = serde_json::from_slice(&text).expect("a record");
    let time = json[key].as_i64().expect("a time");
    json[key] = (time + nanoseconds).into();
    std::fs::write(path, json.to_string()).expect("a record");
}

#[test]
fn a_clock_that_jumps_changes_nothing_but_what_is_said_of_time() {
    needs!(Userns);
    let env = Env::with_busybox();
    const DAY: i64 = 86_400_000_000_000;
    for jump in [-30 * DAY, 30 * DAY] {
        let id = detached(&env, &[], "web", "trap 'exit 3' TERM; ready; while :; do sleep 0.01; done");
        let folder = env.store().join("containers").join(&id);
        // A clock that was set back leaves times of the future.
        shift(folder.join("record.json"), "created", -jump);
        shift(folder.join("state.json"), "started", -jump);
        assert_eq!(env.ok(["ps", "--format", "{{.Names}} {{.State}}"]), "web running", "{jump}");
        assert_eq!(env.ok(["exec", "web", "echo", "inside"]), "inside", "{jump}");
        // Time enough for a handler by a steady clock, be it a month later or earlier by the other.
        assert_eq!(env.ok(["stop", "-t", "60", "web"]), "web", "{jump}");
        shift(folder.join("exit.json"), "finished", -jump);
        assert_eq!(field(&env, "web", "{{.State.Status}} {{.State.ExitCode}}"), "exited 3", "{jump}");
        assert_eq!(env.ok(["ps", "-aq", "--no-trunc"]), id, "{jump}");
        std::fs::remove_file(env.path("web-ready")).expect("the file");
        assert_eq!(env.ok(["start", "web"]), "web", "{jump}");
        assert_eq!(env.ok(["rm", "-f", "-t", "0", "web"]), "web", "{jump}");
        std::fs::remove_file(env.path("web-ready")).ok();
    }
}

#[test]
fn a_container_that_reaches_a_monitor_s_socket_is_not_heard() {
    needs!(Userns);
    let env = Env::with_busybox();
    detached(&env, &[], "web", "while :; do echo tick; sleep 0.01; done");
    let store = format!("{}:/store", env.store().display());
    let program = format!("{}:/ctr", programs().join("ctr-run").display());
    let flags = ["--pid", "host", "-v", &*store, "-v", &*program];
    let attach = "--runroot /tmp/run attach --no-stdin web 2>&1 | head -n 1";
    // Whoever maps the user's own ids, too, is in a namespace of its own.
    for namespace in [&[][..], &["--userns", "host"]] {
        let said = env.sh([&flags, namespace].concat(), &format!("/ctr --root /store {attach}"));
        assert_eq!(said, "Error: the container's monitor hung up", "{namespace:?}");
    }
    let script = format!("ctr --root '{}' {attach}", env.store().display());
    assert_eq!(env.program("sh", ["-c", &script]).run().success(), "tick", "the user is heard");
}
