//! `ctr diff` and `ctr export`: what a container wrote, and all of it.

use std::process::Stdio;

use ctr_tests::{BUSYBOX, Env, needs};

use crate::kept::detached;
use crate::terminal::terminal;

/// What a tar program makes of an archive.
fn list(env: &Env, tar: &str) -> String {
    env.program("tar", ["--numeric-owner", "-tvf", tar]).run().success()
}

#[test]
fn diff_tells_what_a_container_changed() {
    needs!(Userns);
    let env = Env::with_busybox();
    env.ok(["create", "--name", "new", BUSYBOX]);
    assert_eq!(env.ok(["diff", "new"]), "");
    let script = "rm /etc/passwd; echo x > /added; mkdir /tmp/dir; touch /tmp/dir/f; mkdir /home/a; rmdir /home/a; \
                  chmod 711 /root; echo > /vol/in; exec sleep 1000";
    env.ok(["run", "-d", "--name", "web", "-v", "v:/vol", BUSYBOX, "sh", "-c", &format!("{script} & wait")]);
    while !env.store().join("volumes/v/_data/in").exists() {
        std::thread::yield_now();
    }
    let lines = "C /etc\nD /etc/passwd\nA /added\nC /root\nC /tmp\nA /tmp/dir\nA /tmp/dir/f\nA /vol";
    let sorted = |text: &str| {
        let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(sorted(&env.ok(["diff", "web"])), sorted(lines));
    env.ok(["stop", "-t", "0", "web"]);
    for args in [&["diff", "-l"][..], &["container", "diff", "web"], &["container", "diff", "--latest"]] {
        assert_eq!(sorted(&env.ok(args)), sorted(lines), "{args:?}");
    }
    let json = env.ok(["diff", "--format", "json", "web"]);
    let json: serde_json::Value = serde_json::from_str(&json).expect("json");
    assert_eq!(json["deleted"], serde_json::json!(["/etc/passwd"]));
    assert_eq!(json["changed"], serde_json::json!(["/etc", "/root", "/tmp"]));
    assert_eq!(env.ok(["container", "diff", "--format", "json", "new"]), "{}");
    // The other way round, and between an image and a container.
    assert!(env.ok(["diff", "new", "web"]).contains("A /etc/passwd"));
    assert_eq!(env.ok(["diff", BUSYBOX, "new"]), "");
    assert!(env.ok(["diff", BUSYBOX]).contains("A /bin"));
    env.ctr(["diff", "nothing"]).run().fails(125);
    env.ctr(["container", "diff", BUSYBOX]).run().fails(125);
    let said = env.ctr(["diff", "--format", "text", "web"]).run().fails(125);
    assert!(said.contains("only supported value for '--format' is 'json'"), "{said}");
    let said = env.ctr(["diff"]).run().fails(125);
    assert!(said.contains("requires a name, id, or the \"--latest\" flag"), "{said}");
    let said = env.ctr(["diff", "-l", "web"]).run().fails(125);
    assert!(said.contains("--latest and containers cannot be used together"), "{said}");
}

#[test]
fn export_writes_all_of_a_container_but_what_is_mounted() {
    needs!(Userns);
    let env = Env::with_busybox();
    let script = "echo x > /one; ln /one /two; ln -s one /three; rm -r /etc/passwd; echo > /vol/in; chown 7:8 /one; \
                  mkfifo /pipe";
    detached(&env, &["-v", "v:/vol"], "web", &format!("{script}; touch /shared/done; exec sleep 1000"));
    while !env.path("done").exists() {
        std::thread::yield_now();
    }
    let check = |tar: &str| {
        let list = list(&env, tar);
        let has = |text: &str| list.lines().any(|line| line.ends_with(text));
        assert!(has(" bin/busybox") && has(" one") && has(" two link to one"), "{list}");
        assert!(has(" three -> one") && has(" vol/") && has(" pipe"), "{list}");
        assert!(!list.contains("etc/passwd") && !list.contains("vol/in"), "{list}");
        assert!(list.lines().any(|line| line.contains(" 7/8 ") && line.ends_with(" one")), "{list}");
    };
    env.ok(["export", "-o", "running.tar", "web"]);
    check("running.tar");
    env.ok(["kill", "web"]);
    env.ok(["wait", "web"]);
    let out = env.ctr(["container", "export", "web"]).command().output().expect("ctr").stdout;
    let _file = env.file("stopped.tar", out);
    check("stopped.tar");
    // The same files, the same bytes.
    env.ok(["container", "export", "--output", "again.tar", "web"]);
    let read = |name: &str| std::fs::read(env.path(name)).expect("a file");
    assert_eq!(read("stopped.tar"), read("again.tar"));
    env.ok(["import", "again.tar", "localhost/again"]);
    assert_eq!(env.ok(["run", "--rm", "localhost/again", "/bin/cat", "/one"]), "x");
    env.ok(["create", "--name", "new", BUSYBOX]);
    env.ok(["export", "-o", "new.tar", "new"]);
    assert!(list(&env, "new.tar").contains(" bin/busybox"));
    assert!(env.ok(["events", "--stream=false"]).contains("export"));
}

#[test]
fn export_has_the_container_s_own_numbers() {
    needs!(Userns);
    let env = Env::with_busybox();
    let (uid, gid) = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
    env.ok(["run", "--name", "c", "--userns", "keep-id", BUSYBOX, "touch", "/tmp/mine"]);
    env.ok(["export", "-o", "c.tar", "c"]);
    let list = list(&env, "c.tar");
    let owner = |name: &str, owner: &str| {
        list.lines().any(|line| line.ends_with(name) && line.contains(&format!(" {owner} ")))
    };
    assert!(owner(" tmp/mine", &format!("{uid}/{gid}")), "{list}");
    assert!(owner(" bin/busybox", "0/0") && owner(" tmp/", "0/0"), "{list}");
}

#[test]
fn export_refuses_terminals_and_names_with_a_colon() {
    needs!(Userns);
    let env = Env::with_busybox();
    env.ok(["create", "--name", "c", BUSYBOX]);
    let (_ours, theirs) = terminal(24, 80);
    let mut export = env.ctr(["export", "c"]);
    let out = export.command().stdout(Stdio::from(theirs)).output().expect("ctr");
    assert_eq!(out.status.code(), Some(125));
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(said.contains("refusing to export to terminal. Use -o flag or redirect"), "{said}");
    let said = env.ctr(["export", "-o", "a:b", "c"]).run().fails(125);
    assert!(said.contains("invalid filename (should not contain ':')"), "{said}");
    env.ctr(["export", "-o", "x", "nothing"]).run().fails(125);
    env.ctr(["export", "-o", "no/where", "c"]).run().fails(125);
}
