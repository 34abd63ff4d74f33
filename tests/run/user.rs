//! Who a container's command is: user, groups, working directory, entry point.

use ctr_tests::image::{Image, Layer};
use ctr_tests::{BUSYBOX, Env, needs};

const WHO: &str = "grep -E '^(Uid|Gid|Groups):' /proc/self/status | tr '\\t' ' ' | tr -s ' '";

fn ids(uid: u32, gid: u32, groups: &str) -> String {
    let four = |id: u32| format!("{id} {id} {id} {id}");
    format!("Uid: {}\nGid: {}\nGroups: {groups}", four(uid), four(gid)).trim_end().to_owned()
}

/// Every form of a user, and just those ids: CVE-2022-2989, CVE-2026-30892, CVE-2026-46680.
#[test]
fn each_form_of_a_user_gives_exactly_these_ids() {
    needs!(Userns);
    let env = Env::new();
    let passwd = "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/home/user:/bin/sh\n1001:x:0:0:a name of digits:/:/bin/sh\n";
    let group = "root:x:0:\nuser:x:1000:\nextra:x:1500:user\nmore:x:1600:user,other\n";
    let layer = Layer::new().file("etc/passwd", 0o644, passwd).file("etc/group", 0o644, group);
    env.load(&Image::busybox(BUSYBOX, [layer]));
    for (user, wanted) in [
        ("0", ids(0, 0, "0")),
        ("root", ids(0, 0, "0")),
        ("user", ids(1000, 1000, "1000 1500 1600")),
        ("user:extra", ids(1000, 1500, "1500")),
        ("1000", ids(1000, 1000, "1000 1500 1600")),
        ("1000:1000", ids(1000, 1000, "1000")),
        ("1", ids(1, 0, "0")),
        ("1:1", ids(1, 1, "1")),
        ("1001", ids(1001, 0, "0")),
        (":1500", ids(0, 1500, "1500")),
    ] {
        let seen = env.sh(["-u", user], WHO);
        let tidy = seen.lines().map(str::trim_end).collect::<Vec<_>>().join("\n");
        assert_eq!(tidy, wanted, "-u {user}");
    }
    for wrong in ["-1", "+1", "1 ", " 1", "4294967296", "nobody-here", "1:none", "1:-1", "a:b:c"] {
        let output = env.shell(["--user", wrong], WHO).run();
        // A name that nobody has is only known once there is a root to look in.
        let code = if ["nobody-here", "1:none", "a:b:c"].contains(&wrong) { 126 } else { 125 };
        assert_eq!(output.code(), code, "-u {wrong:?}: {output}");
        assert_eq!(output.stdout, "", "-u {wrong:?}");
    }
}

#[test]
fn group_add_adds_and_keep_groups_keeps() {
    needs!(Userns);
    let env = Env::with_busybox();
    let groups = |flags: &[&str]| env.sh(flags, "grep ^Groups: /proc/self/status | cut -f2");
    assert_eq!(groups(&["--group-add", "1500", "--group-add", "extra,1600"]).trim(), "0 1500 1600");
    // Those of the login, which inside have the name of what is not mapped; no others, not even that of root.
    let status = std::fs::read_to_string("/proc/self/status").expect("our own status");
    let own =
        status.lines().find_map(|line| line.strip_prefix("Groups:")).expect("groups").split_whitespace();
    let kept = groups(&["--group-add", "keep-groups"]);
    assert_eq!(kept.split_whitespace().count(), own.count(), "{kept}");
    let said = env.shell(["--group-add", "keep-groups", "--group-add", "1"], "true").run().fails(125);
    assert!(said.contains("keep-groups"), "{said}");
}

#[test]
fn the_working_directory_is_made_and_is_inside() {
    needs!(Userns);
    let env = Env::with_busybox();
    assert_eq!(env.sh(["-w", "/home/user"], "pwd"), "/home/user");
    let said = env.shell(["--workdir", "/not/there"], "pwd").run().fails(126);
    assert!(said.contains("/not/there"), "{said}");
    env.load(&Image::busybox("localhost/dir:1", []).set("WorkingDir", "/made/here"));
    assert_eq!(env.ok(["run", "--rm", "localhost/dir:1", "pwd"]), "/made/here");
    let said = env.shell(["-w", "relative"], "true").run().fails(125);
    assert!(said.contains("relative"), "{said}");
}

#[test]
fn entrypoint_replaces_or_clears_the_image_s() {
    needs!(Userns);
    let env = Env::new();
    env.load(
        &Image::busybox(BUSYBOX, [])
            .set("Entrypoint", vec!["echo", "from the image"])
            .set("Cmd", vec!["cmd"]),
    );
    let run = |flags: &[&str], words: &[&str]| {
        env.ctr(["run", "--rm"]).args(flags).args([BUSYBOX]).args(words).run().success()
    };
    assert_eq!(run(&[], &[]), "from the image cmd");
    assert_eq!(run(&[], &["other"]), "from the image other");
    assert_eq!(run(&["--entrypoint", "basename"], &["/a/b"]), "b");
    assert_eq!(run(&["--entrypoint", r#"["echo","two"]"#], &["x"]), "two x");
    assert_eq!(run(&["--entrypoint", ""], &["echo", "plain"]), "plain");
}

#[test]
fn a_command_that_cannot_be_run_has_podman_s_codes() {
    needs!(Userns);
    let env = Env::with_busybox();
    let run = |word: &str| env.ctr(["run", "--rm", BUSYBOX, word]).run();
    assert_eq!(run("no-such-command").code(), 127);
    assert_eq!(run("/no/such/file").code(), 127);
    assert_eq!(run("/etc/passwd").code(), 126);
    assert_eq!(run("/etc").code(), 126);
}

/// `keep-id` in a user's own folder: what is written there is the user's.
#[test]
fn keep_id_is_the_user_inside_and_out() {
    needs!(Userns);
    let env = Env::with_busybox();
    let mount = format!("{}:/w", env.path("").display());
    let me = rustix::process::geteuid().as_raw();
    let seen = env.sh(["--userns", "keep-id", "-v", &mount], "id -u; touch /w/mine; stat -c %u /bin/busybox");
    assert_eq!(seen, format!("{me}\n0"));
    let meta = std::fs::metadata(env.path("mine")).expect("the file");
    assert_eq!(std::os::unix::fs::MetadataExt::uid(&meta), me);
    assert_eq!(env.sh(["--userns", "keep-id:uid=77,gid=88"], "id -u; id -g"), "77\n88");
}

#[test]
fn maps_can_be_chosen() {
    needs!(Userns);
    let env = Env::with_busybox();
    let maps = |flags: &[&str]| env.sh(flags, "cat /proc/self/uid_map | tr -s ' '").trim().to_owned();
    let host = maps(&["--userns", "host"]);
    assert_eq!(maps(&[]), host);
    assert_eq!(maps(&["--userns", "private"]), host);
    let ids = |text: &str| {
        text.lines().filter_map(|line| line.split(' ').next_back()?.parse::<u32>().ok()).sum::<u32>()
    };
    assert_eq!(ids(&maps(&["--userns", "keep-id:size=2000"])), 2000);
    assert!(!maps(&["--userns", "nomap"]).starts_with("0 0 1\n"), "the user's own id is not mapped");
    assert!(maps(&["--userns", "auto"]).starts_with("0 "));
    assert_eq!(maps(&["--uidmap", "0:1:2000", "--gidmap", "0:1:2000"]), "0 1 2000");
    let me = env.program("id", ["-un"]).run().success();
    assert!(maps(&["--subuidname", &me, "--subgidname", &me]).starts_with("0 "));
}

/// Files of every layer can be read under another map: a clone of each layer by itself cannot be stacked.
#[test]
fn keep_id_shows_all_layers_of_an_image() {
    needs!(Userns);
    let env = Env::new();
    let more = [
        Layer::new()
            .file("etc/first", 0o644, "1")
            .file("etc/gone", 0o644, "x")
            .file("etc/both", 0o644, "low"),
        Layer::new().file("etc/.wh.gone", 0o644, "").file("etc/both", 0o644, "high").file(
            "only/here",
            0o600,
            "2",
        ),
    ];
    env.load(&Image::busybox(BUSYBOX, more));
    let script = "cat /etc/first /etc/both /only/here; stat -c %u /etc/first /only/here; ls /etc/gone";
    for userns in ["keep-id:uid=7", "keep-id:uid=8", "keep-id:uid=7"] {
        let ran = env.shell(["--userns", userns, "-u", "0"], script).run();
        assert_eq!(ran.stdout, "1high20\n0\n", "{ran}");
        assert!(ran.stderr.contains("gone: No such file"), "{ran}");
    }
}

#[test]
fn users_of_the_host_are_added() {
    needs!(Userns);
    let env = Env::with_busybox();
    // Everywhere there is a `daemon`, which busybox's image does not have.
    let lines = "grep -c . /etc/passwd; grep ^daemon: /etc/passwd | cut -d: -f1,3,7";
    assert_eq!(env.sh(["--hostuser", "daemon"], lines).lines().last(), Some("daemon:1:/bin/sh"));
    assert_eq!(env.sh(["--hostuser", "1"], lines).lines().last(), Some("daemon:1:/bin/sh"));
    assert_eq!(env.sh(["--hostuser", "daemon,root", "--user", "daemon"], "id -u"), "1");
    assert_eq!(env.sh(["--hostuser", "root"], "grep -c ^root: /etc/passwd"), "1");
    env.ok([
        "create",
        "--name",
        "it",
        "--hostuser",
        "daemon",
        BUSYBOX,
        "grep",
        "-c",
        "^daemon:",
        "/etc/passwd",
    ]);
    assert_eq!(env.ok(["start", "-a", "it"]), "1");
    assert_eq!(env.ok(["start", "-a", "it"]), "1");
    let said = env.shell(["--hostuser", "nobody-has-this"], "true").run().fails(126);
    assert!(said.contains("unable to find user nobody-has-this"), "{said}");
    let said =
        env.shell(["--user", "daemon:nobody-has-this", "--hostuser", "daemon"], "true").run().fails(126);
    assert!(said.contains("no matching entries in group file"), "{said}");
}
