//! Files that a container is given: hosts, hostname, passwd and group.

use ctr_tests::image::{Image, Layer};
use ctr_tests::{BUSYBOX, Env, needs};

#[test]
fn the_hostname_is_the_id_or_what_is_asked() {
    needs!(Userns);
    let env = Env::with_busybox();
    assert_eq!(
        env.sh(["--hostname", "box.example"], "hostname; cat /etc/hostname"),
        "box.example\nbox.example"
    );
    assert_eq!(env.sh(["-h", "box"], "hostname"), "box");
    let own = env.sh([""; 0], "hostname");
    assert!(own.len() == 12 && own.bytes().all(|byte| byte.is_ascii_hexdigit()), "{own}");
}

#[test]
fn hosts_names_the_container_and_what_is_added() {
    needs!(Userns);
    let env = Env::with_busybox();
    let hosts = env.sh(["--hostname", "box", "--add-host", "other:192.0.2.7"], "cat /etc/hosts");
    assert!(hosts.lines().any(|line| line.split_whitespace().eq(["192.0.2.7", "other"])), "{hosts}");
    assert!(hosts.contains("127.0.0.1") && hosts.contains("localhost") && hosts.contains("box"), "{hosts}");
    let said = env.shell(["--add-host", "nonsense"], "true").run().fails(125);
    assert!(said.contains("nonsense"), "{said}");
}

#[test]
fn no_hosts_leaves_the_image_s_own() {
    needs!(Userns);
    let env = Env::with_busybox();
    // This image has none.
    assert_eq!(env.sh(["--no-hosts"], "ls /etc/hosts 2>/dev/null || echo none"), "none");
    let said = env.shell(["--no-hosts", "--add-host", "a:127.0.0.1"], "true").run().fails(125);
    assert!(said.contains("no-hosts") && said.contains("add-host"), "{said}");
}

#[test]
fn a_user_that_the_image_lacks_gets_a_passwd_entry() {
    needs!(Userns);
    let env = Env::with_busybox();
    let entry = env.sh(["-u", "1234:1235"], "grep :1234: /etc/passwd");
    assert!(entry.starts_with("1234:*:1234:1235:"), "{entry}");
    assert_eq!(env.sh(["-u", "1234", "--passwd=false"], "grep -c :1234: /etc/passwd || true"), "0");
    let entry =
        env.sh(["-u", "1234", "--passwd-entry", "me:x:$UID:$GID::/me:/bin/sh"], "grep :1234: /etc/passwd");
    assert_eq!(entry, "me:x:1234:0::/me:/bin/sh");
    let entry = env.sh(["-u", "1234:4321", "--group-entry", "us:x:$GID:"], "grep :4321: /etc/group");
    assert_eq!(entry, "us:x:4321:");
}

#[test]
fn the_root_has_podmans_mode_whatever_layers_say() {
    needs!(Userns);
    let tops = [None, Some(0o755), Some(0o1777)];
    let mode = "555";
    for (first, second) in [(tops[0], tops[0]), (tops[1], tops[0]), (tops[0], tops[2]), (tops[1], tops[2])] {
        let env = Env::new();
        let top = |layer: Layer, mode: Option<u32>| match mode {
            Some(mode) => layer.dir("./", mode),
            None => layer.file("usr/share/of/none", 0o644, ""),
        };
        let more = [top(Layer::new(), first), top(Layer::new().file("x", 0o644, ""), second)];
        env.load(&Image::busybox(BUSYBOX, more));
        let script = "stat -c %a /; touch /new && mkdir /dir && echo written";
        assert_eq!(env.sh([""; 0], script), format!("{mode}\nwritten"), "{first:?} {second:?}");
        assert_eq!(env.sh(["-v", "/made/here", "--userns", "keep-id"], "stat -c %a /"), mode);
        assert_eq!(env.sh(["--cap-drop", "all", "--read-only"], "stat -c %a /"), mode);
        // What is committed and kept is the same, and all of it goes again.
        env.ok(["run", "--name", "c", BUSYBOX, "touch", "/new"]);
        env.ok(["commit", "-q", "c", "localhost/committed"]);
        let seen = env.ok(["run", "--rm", "localhost/committed", "sh", "-c", "stat -c %a / && ls /new"]);
        assert_eq!(seen, format!("{mode}\n/new"));
        env.ok(["rm", "c"]);
        env.ok(["rmi", "localhost/committed", BUSYBOX]);
        assert_eq!(std::fs::read_dir(env.store().join("layers")).expect("layers").count(), 0);
    }
}

#[test]
fn files_of_ours_are_the_container_s_root_s() {
    needs!(Userns);
    let env = Env::with_busybox();
    let stat = "stat -c %u:%g /etc/hosts /etc/resolv.conf /etc/hostname | sort -u";
    for userns in ["host", "keep-id", "auto"] {
        assert_eq!(env.sh(["--userns", userns], stat), "0:0", "{userns}");
    }
    env.ok(["create", "--name=kept", "--userns=keep-id", BUSYBOX, "sh", "-c", stat]);
    for _ in 0..2 {
        assert_eq!(env.ok(["start", "--attach", "kept"]), "0:0");
    }
}
