//! `ctr logs`, on logs that the test writes as a monitor does.

use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;

use ctr_tests::{BUSYBOX, Env, needs};
use rustix::fs::{FlockOperation, flock};

/// A container with a log of its own making.
struct Logged {
    id: String,
    folder: PathBuf,
    /// Held by who supervises.
    lock: Option<File>,
}

impl Logged {
    fn new(env: &Env, name: &str) -> Self {
        let id = env.ok(["create", "--name", name, BUSYBOX, "true"]);
        let folder = env.store().join("containers").join(&id);
        std::fs::create_dir(folder.join("log")).expect("a folder");
        let lock = File::open(folder.join("lock")).expect("a lock");
        flock(&lock, FlockOperation::LockExclusive).expect("a lock");
        Self { id, folder, lock: Some(lock) }
    }

    /// Appends records: the second, the stream, whether a line ends, what was written.
    fn write(&self, records: &[(u32, &str, &str, &str)]) {
        let line = |(second, stream, tag, bytes): &(u32, &str, &str, &str)| {
            format!("2026-11-21T11:30:{second:02}.000000000+00:00 {stream} {tag} {bytes}\n")
        };
        let text: String = records.iter().map(line).collect();
        let mut log = File::options().create(true).append(true).open(self.log(0)).expect("a log");
        log.write_all(text.as_bytes()).expect("a log");
    }

    fn log(&self, number: usize) -> PathBuf {
        self.folder.join(if number == 0 { "log/ctr.log".to_owned() } else { format!("log/ctr.log.{number}") })
    }

    fn rotate(&self) {
        drop(std::fs::rename(self.log(1), self.log(2)));
        std::fs::rename(self.log(0), self.log(1)).expect("a log");
        drop(File::create_new(self.log(0)).expect("a log"));
    }

    /// As the monitor says that the container has ended.
    fn end(&mut self) {
        std::fs::write(self.folder.join("exit.json"), "{}").expect("an end");
        self.let_go();
    }

    /// Unlocked, not only closed: what another test forks has a copy of the descriptor until its exec.
    fn let_go(&mut self) {
        if let Some(lock) = self.lock.take() {
            flock(&lock, FlockOperation::Unlock).expect("a lock");
        }
    }
}

const LINES: &[(u32, &str, &str, &str)] = &[
    (1, "stdout", "F", "one"),
    (2, "stdout", "F", "two"),
    (3, "stdout", "P", "thr"),
    (3, "stdout", "F", "ee"),
];

#[test]
fn logs_prints_lines_and_streams_as_they_were() {
    needs!(Userns);
    let env = Env::with_busybox();
    let logged = Logged::new(&env, "one");
    assert_eq!(env.ok(["logs", "one"]), "", "nothing was written yet");
    logged.write(LINES);
    logged.write(&[(4, "stderr", "F", "an error"), (5, "stdout", "F", "")]);
    let output = env.ctr(["logs", &logged.id[..10]]).run();
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("one\ntwo\nthree\n\n", "an error\n"));
    // The order of the two streams is that of the log.
    assert_eq!(env.redirected("2>&1", ["logs", "one"]).run().success(), "one\ntwo\nthree\nan error\n");
    for flag in ["--timestamps", "-t"] {
        let timed = env.ok(["container", "logs", flag, "--tail", "2", "one"]);
        assert_eq!(timed, "2026-11-21T11:30:05.000000000+00:00 ");
    }
    let colored = env.ok(["logs", "--color", "--tail=4", "one"]);
    assert_eq!(colored, "\u{1b}[37mtwo\u{1b}[0m\n\u{1b}[37mthree\u{1b}[0m\n\u{1b}[37m\u{1b}[0m");
    // Flags may stand behind the name.
    assert_eq!(env.ok(["container", "logs", "one", "--tail", "1"]), "");
    assert_eq!(env.ctr(["logs", "one", "--tail", "0"]).run().stdout, "");
    assert_eq!(env.ok(["logs", "--latest", "--tail", "-1"]), "one\ntwo\nthree\n");
    assert_eq!(env.ok(["container", "logs", "-l", "-t=false"]), "one\ntwo\nthree\n");
}

#[test]
fn logs_are_cut_by_time() {
    needs!(Userns);
    let env = Env::with_busybox();
    let logged = Logged::new(&env, "one");
    logged.write(LINES);
    for (flags, expected) in [
        (&["--since", "2026-11-21T11:30:01Z"][..], "two\nthree"),
        (&["--since", "2026-11-21T12:30:01+01:00"], "two\nthree"),
        (&["--since", "2026-11-21T11:30:00.5"], "one\ntwo\nthree"),
        (&["--since", "1000"], "one\ntwo\nthree"),
        (&["--since", "1s"], ""),
        (&["--until", "2026-11-21T11:30:02Z"], "one"),
        (&["--until", "1000"], ""),
        (&["--until", "24h", "--since", "2026-11-21T11:30:02"], "three"),
        (&["--tail", "2", "--until", "2026-11-21T11:30:03Z"], "two"),
    ] {
        // The clock of the machine is after what the log says, or it is not: a duration counts from now.
        if flags.contains(&"1s")
            && std::time::SystemTime::now()
                < std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_795_260_700)
        {
            continue;
        }
        assert_eq!(
            env.ctr(["container", "logs"]).args(flags).args(["one"]).run().success(),
            expected,
            "{flags:?}"
        );
    }
    let said = env.ctr(["logs", "--since", "soon", "one"]).run().fails(125);
    assert!(said.contains("parsing --since \"soon\": unable to interpret time value"), "{said}");
}

/// The clock was set back, and put right again.
#[test]
fn times_that_go_back_hide_nothing() {
    needs!(Userns);
    let env = Env::with_busybox();
    let logged = Logged::new(&env, "one");
    let times = [(30, "first"), (10, "earlier"), (20, "still earlier"), (40, "last")];
    logged.write(&times.map(|(second, text)| (second, "stdout", "F", text)));
    for (flags, expected) in [
        (&[][..], "first\nearlier\nstill earlier\nlast"),
        (&["--since", "2026-11-21T11:30:25Z"], "first\nlast"),
        (&["--until", "2026-11-21T11:30:25Z"], "earlier\nstill earlier"),
        (&["--tail", "2"], "still earlier\nlast"),
    ] {
        assert_eq!(env.ctr(["logs"]).args(flags).args(["one"]).run().success(), expected, "{flags:?}");
    }
}

#[test]
fn several_logs_are_told_apart() {
    needs!(Userns);
    let env = Env::with_busybox();
    let (one, two) = (Logged::new(&env, "one"), Logged::new(&env, "two"));
    one.write(LINES);
    two.write(&[(1, "stdout", "F", "other")]);
    let (first, second) = (&one.id[..12], &two.id[..12]);
    assert_eq!(
        env.ok(["logs", "one", "two"]),
        format!("{first} one\n{first} two\n{first} three\n{second} other")
    );
    assert_eq!(env.ok(["logs", "-n", "two", "one", "--tail", "1"]), "two other\none three");
    assert_eq!(env.ok(["container", "logs", "--names", "one"]), "one\ntwo\nthree", "one alone needs no name");
    assert_eq!(
        env.ok(["container", "logs", "--names", "--color", "two", "one", "--tail", "1"]),
        "\u{1b}[37mtwo other\u{1b}[0m\n\u{1b}[31mone three\u{1b}[0m"
    );
}

#[test]
fn a_follower_prints_what_comes_until_the_end() {
    needs!(Userns);
    let env = Env::with_busybox();
    let mut logged = Logged::new(&env, "one");
    logged.write(LINES);
    let mut follower = env.ctr(["logs", "-f", "one"]).start();
    assert_eq!(follower.wait_for("three\n"), "one\ntwo\nthree\n");
    logged.write(&[(10, "stdout", "F", "four")]);
    assert_eq!(follower.wait_for("four\n"), "four\n");
    for line in ["five", "six", "seven"] {
        logged.rotate();
        logged.write(&[(11, "stdout", "F", line)]);
        assert_eq!(follower.wait_for(line).trim_start(), line);
    }
    logged.write(&[(12, "stdout", "F", "last")]);
    logged.end();
    assert_eq!(follower.finish().success(), "\nlast");
    assert_eq!(env.ok(["logs", "--follow", "one"]), "five\nsix\nseven\nlast", "it has ended");
}

#[test]
fn a_follower_ends_with_a_killed_monitor_and_when_its_time_is_over() {
    needs!(Userns);
    let env = Env::with_busybox();
    let mut logged = Logged::new(&env, "one");
    logged.write(LINES);
    assert_eq!(
        env.ok(["container", "logs", "--follow", "--until", "100ms", "--since", "1000", "one"]),
        "one\ntwo\nthree"
    );
    let mut follower = env.ctr(["container", "logs", "-f", "one"]).start();
    assert_eq!(follower.wait_for("three\n"), "one\ntwo\nthree\n");
    // Killed: no word of an end, only the lock is free, and something closes.
    logged.let_go();
    logged.write(&[]);
    assert_eq!(follower.finish().success(), "");
}

#[test]
fn a_follower_ends_when_nobody_reads() {
    needs!(Userns);
    let env = Env::with_busybox();
    let logged = Logged::new(&env, "one");
    logged.write(LINES);
    let script = "\"$0\" logs -f one | head -n 1; echo gone";
    let ctr = env.root().join("bin/ctr");
    assert_eq!(env.program("sh", ["-c", script]).args([ctr]).run().success(), "one\ngone");
}

#[test]
fn one_that_is_overtaken_says_by_how_much() {
    needs!(Userns);
    let env = Env::with_busybox();
    let mut logged = Logged::new(&env, "one");
    // More than a pipe holds, so that it stands still until it is read.
    let line = "x".repeat(16 << 10);
    let many: Vec<_> = (0..100).map(|_| (1, "stdout", "F", line.as_str())).collect();
    logged.write(&many);
    let mut follower = env.ctr(["logs", "-f", "one"]).start();
    assert_eq!(follower.wait_for("x"), "x");
    let mut sizes = Vec::new();
    for line in ["lost", "missing", "three", "four", "five"] {
        logged.rotate();
        logged.write(&[(1, "stdout", "F", line)]);
        sizes.push(std::fs::metadata(logged.log(0)).expect("a log").len());
    }
    // What the monitor counted when it gave the first three files up.
    let first = many.len() as u64 * (48 + line.len() as u64 - 2);
    let gone = first + sizes[0] + sizes[1];
    std::fs::write(logged.folder.join("log/ctr.log.gone"), gone.to_le_bytes()).expect("a count");
    logged.end();
    let output = follower.finish();
    let expected = format!("{line}\n").repeat(100)[1..].to_owned() + "three\nfour\nfive\n";
    assert!(output.stdout == expected, "{} bytes of {}", output.stdout.len(), expected.len());
    let missed = sizes[0] + sizes[1];
    assert_eq!(
        output.stderr,
        format!("warning: {missed} bytes of the log of one went before they were read\n")
    );
}

#[test]
fn a_damaged_log_is_read_around_the_damage() {
    needs!(Userns);
    let env = Env::with_busybox();
    let logged = Logged::new(&env, "one");
    logged.write(LINES);
    let mut log = File::options().append(true).open(logged.log(0)).expect("a log");
    log.write_all(&[0xff; 1000]).expect("a log");
    log.write_all(b"\n").expect("a log");
    logged.write(&[(5, "stdout", "F", "after")]);
    let output = env.ctr(["logs", "one"]).run();
    assert_eq!(output.stdout, "one\ntwo\nthree\nafter\n");
    assert_eq!(
        output.stderr,
        "warning: 1 records of the log of one are damaged and were left out: they were cut short, as by a full disk, or something else wrote there\n"
    );
}

#[test]
fn without_a_log_there_is_an_error() {
    needs!(Userns);
    let env = Env::with_busybox();
    let mut plain = env.shell(["--name", "plain"], "echo ready; exec sleep 1000").start();
    plain.wait_for("ready\n");
    let said = env.ctr(["logs", "plain"]).run().fails(125);
    assert!(said.contains("log driver, cannot read logs: this container is not logging output"), "{said}");
    let said = env.named("podman", ["logs", "nosuch"]).run().fails(125);
    assert!(said.contains("no container with name or ID \"nosuch\" found: no such container"), "{said}");
    for (wrong, expected) in [
        (&["logs"][..], "specify at least one container name or ID to log"),
        (&["logs", "-l", "plain"], "--latest and containers cannot be used together"),
        (&["logs", "--details", "plain"], "--details is not supported yet"),
    ] {
        let said = env.ctr(wrong).run().fails(125);
        assert!(said.contains(expected), "{said}");
    }
}

#[test]
fn sizes_of_logs_are_decimal_and_shown() {
    needs!(Userns);
    let env = Env::with_busybox();
    let size = "{{.HostConfig.LogConfig.Size}}";
    for (name, flags, shown) in [
        ("a", &["--log-opt", "max-size=1.091m"][..], "1.091MB"),
        ("b", &["--log-opt", "max-size=-1"], "0B"),
        ("c", &[], "10.49MB"),
    ] {
        env.ok([&["create", "--name", name][..], flags, &[BUSYBOX, "true"]].concat());
        assert_eq!(env.ok(["inspect", "--format", size, name]), shown);
    }
    let file = env.file("containers.conf", "[containers]\nlog_size_max = 400000000\n");
    env.ctr(["create", "--name", "d", BUSYBOX, "true"]).var("CONTAINERS_CONF", &file).run().success();
    assert_eq!(env.ok(["inspect", "--format", size, "d"]), "400MB");
}
