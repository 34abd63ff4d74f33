//! `ctr top`: what is in a container, read from outside.

use ctr_tests::env::Running;
use ctr_tests::image::{Image, Layer};
use ctr_tests::{BUSYBOX, Env, needs};

fn idle<'a>(env: &'a Env, flags: &[&str], script: &str) -> Running<'a> {
    let script = format!("{script}\necho ready\nexec sleep 4321");
    let mut running = env.shell(["--name", "c"].iter().chain(flags), &script).start();
    running.wait_for("ready\n");
    let wait = "until grep -q sleep /proc/[0-9]*/comm; do :; done";
    env.ok(["exec", "-u", "0:0", "c", "sh", "-c", wait]);
    running
}

fn end(env: &Env, running: Running<'_>) {
    env.ok(["rm", "-f", "-t", "0", "c"]);
    let _ended = running.finish();
}

/// The cells of the rows after the header.
fn rows(env: &Env, words: &[&str]) -> Vec<Vec<String>> {
    let table = env.ok(["top", "c"].iter().chain(words));
    let cells = |line: &str| {
        line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).map(str::to_owned).collect()
    };
    table.lines().skip(1).map(cells).collect()
}

#[test]
fn processes_are_shown_as_the_container_sees_them() {
    needs!(Userns);
    let env = Env::new();
    let passwd = "boss:x:0:0::/root:/bin/sh\nada:x:1000:100::/:/bin/sh\n";
    let files = Layer::new().file("etc/passwd", 0o644, passwd).file("etc/group", 0o644, "staff:x:50:\n");
    env.load(&Image::busybox(BUSYBOX, [files]));
    let running = idle(&env, &[], "true");
    let mut inner =
        env.ctr(["exec", "-u", "ada:staff", "c", "sh", "-c", "echo ready; exec sleep 8765"]).start();
    inner.wait_for("ready\n");
    while rows(&env, &["comm,state"])[1] != ["sleep", "S"] {}

    let table = env.ok(["top", "c"]);
    let header: Vec<&str> = table.lines().next().expect("a header").split_whitespace().collect();
    assert_eq!(header, ["USER", "PID", "PPID", "%CPU", "ELAPSED", "TTY", "TIME", "COMMAND"]);
    let default = rows(&env, &[]);
    assert_eq!(default[0][..3], ["boss", "1", "0"], "{table}");
    // A start on a busy machine may have taken a tick of the clock.
    let busy = default[0][3].split_once('.').filter(|(_, decimals)| decimals.len() == 3);
    assert!(
        busy.is_some_and(|(percent, _)| percent.parse::<u32>().is_ok_and(|percent| percent < 100)),
        "{table}"
    );
    assert_eq!(default[0][5..], ["?", "0s", "sleep 4321"], "{table}");
    assert_eq!((default[1][0].as_str(), default[1][2].as_str()), ("ada", "0"), "{table}");
    assert_eq!(env.ok(["container", "top", "--latest", "args"]), env.ok(["top", "c", "%a"]));

    let mut ids = rows(&env, &["pid,uid", "group", "hpid,comm,seccomp,capeff,state,nice"]);
    let host = ids[1].remove(3);
    assert_eq!(std::fs::read_to_string(format!("/proc/{host}/comm")).expect("a process"), "sleep\n");
    let nice = ids[1].pop().expect("a number");
    assert!(nice.parse::<i32>().is_ok_and(|nice| (-20..20).contains(&nice)), "{nice}");
    assert_eq!(ids[1][1..], ["1000", "staff", "sleep", "filter", "none", "S"]);
    for flags in [&["-eo", "pid,comm"][..], &["-eo", "pid comm"]] {
        assert_eq!(rows(&env, flags)[0], ["1", "sleep"]);
    }
    let ours = rows(&env, &["huid"]);
    assert_eq!(ours[0][0], rustix::process::getuid().as_raw().to_string());
    assert_ne!(ours[1][0], "1000");

    assert!(env.ctr(["top", "c", "nonsense"]).run().fails(125).contains("unknown descriptor"));
    assert!(env.ctr(["top", "c", "-x"]).run().fails(125).contains("the flag \"-x\" of ps is not supported"));
    assert!(env.ctr(["top"]).run().fails(125).contains("you must provide the name or id"));
    let _no = env.ctr(["top", "nobody"]).run().fails(125);
    assert!(env.ok(["top", "--list-descriptors"]).lines().any(|name| name == "hpid"));
    end(&env, running);
    let _ended = inner.finish();
}

/// What a container writes about itself is text to be shown, and nothing of it is run: it may well have a `ps`.
#[test]
fn a_hostile_container_shows_itself_and_no_more() {
    needs!(Userns);
    let env = Env::with_busybox();
    let script = "printf '#!/bin/sh\\ntouch /ran\\n' > /bin/ps; cp /bin/ps /bin/nsenter; rm -f /etc/passwd; mkfifo /etc/passwd; \
                  printf '\\033[31m' > /tmp/red; sh -c 'sleep 99999' \"$(cat /tmp/red)\" & sleep 77777 &";
    let running = idle(&env, &[], script);
    let shown = env.ok(["top", "c", "user", "args"]);
    assert!(!shown.contains('\u{1b}') && shown.contains("sleep 99999"), "{shown}");
    assert!(shown.lines().skip(1).all(|line| line.starts_with('0')), "{shown}");
    env.ok(["exec", "-u", "0:0", "c", "test", "!", "-e", "/ran"]);
    end(&env, running);
}

#[test]
fn with_the_host_s_processes_only_its_own_are_shown() {
    needs!(Userns);
    let env = Env::with_busybox();
    let running = idle(&env, &["--pid", "host"], "true");
    let shown = rows(&env, &["args"]);
    assert!(matches!(&shown[..], [one] if one[0].contains("sleep 4321")), "{shown:?}");
    end(&env, running);
}
