//! `ctr mount` and `ctr unmount`, in sessions of `ctr unshare`.

use ctr_tests::{BUSYBOX, Env, Invocation, needs};

use crate::kept::detached;

/// Runs a script in a session, where `ctr` is ours.
fn session<'a>(env: &'a Env, script: &str) -> Invocation<'a> {
    env.ctr(["unshare", "sh", "-c", &format!("set -e; {script}")])
}

fn create(env: &Env, name: &str) -> String {
    env.ok(["create", "--name", name, "--network", "none", BUSYBOX, "cat", "/etc/mine"])
}

#[test]
fn outside_of_a_session_nothing_is_mounted() {
    needs!(Userns);
    let env = Env::with_busybox();
    let _id = create(&env, "web");
    for words in [&["mount"][..], &["mount", "web"], &["container", "mount", "-a"], &["umount", "web"]] {
        let said = env.ctr(words).run().fails(125);
        assert!(said.contains("in a session of `ctr unshare`"), "{words:?}: {said}");
    }
    assert_eq!(env.ok(["unmount", "--all"]), "");
    let said = env.named("podman", ["mount", "web"]).run().fails(125);
    assert!(
        said.contains(
            "cannot run command \"podman mount\" in rootless mode, must execute `podman unshare` first"
        ),
        "{said}"
    );
}

#[test]
fn what_is_written_there_is_the_containers() {
    needs!(Userns, Overlay);
    let env = Env::with_busybox();
    let id = create(&env, "web");
    let script = "at=$(ctr mount web); test \"$at\" = \"$(ctr mount web)\"; echo text >$at/etc/mine; ls -d $at/bin; \
        ctr mount; ctr mount --no-trunc; ctr container mount --notruncate --format json; \
        ctr umount web; test ! -e $at/bin; ctr mount --format=json";
    let output = session(&env, script).run().success();
    let at = env.store().join("containers").join(&id).join("merged");
    let at = at.display();
    assert_eq!(
        output,
        format!(
            "{at}/bin\n{}  {at}\n{id}  {at}\n[\n {{\n  \"id\": \"{id}\",\n  \"Names\": [\n   \"web\"\n  ],\n  \"mountpoint\": \"{at}\"\n \
             }}\n]\nweb\n[]",
            &id[..12]
        )
    );
    assert_eq!(env.ok(["start", "-a", "web"]), "text");
    let events = env.ok([
        "events",
        "--stream=false",
        "--filter",
        "event=mount",
        "--filter",
        "event=unmount",
        "--format",
        "{{.Status}}",
    ]);
    assert_eq!(events.lines().last(), Some("unmount"));
    assert_eq!(session(&env, "ctr mount --format yaml").run().code(), 125);
}

#[test]
fn all_and_the_latest() {
    needs!(Userns, Overlay);
    let env = Env::with_busybox();
    let (one, two) = (create(&env, "one"), create(&env, "two"));
    let at = |id: &str| env.store().join("containers").join(id).join("merged").display().to_string();
    let output =
        session(&env, "ctr mount --latest; ctr unmount -l; ctr mount --all; ctr container unmount -a").run();
    let expected =
        [&at(&two), &two, &at(&one), &at(&two), &one, &two].map(|line| format!("{line}\n")).concat();
    assert_eq!(output.stdout, expected, "{output}");
    // Each of these is a session of its own.
    assert_eq!(env.ok(["unshare", "ctr", "mount", "--latest"]), at(&two));
    assert_eq!(env.ok(["unshare", "ctr", "mount", "--all"]).lines().count(), 2);
    assert_eq!(env.ok(["unshare", "ctr", "mount", "--no-trunc", "--format", "json"]), "[]");
    assert_eq!(env.ok(["unshare", "ctr", "mount", "--notruncate"]), "");
    assert_eq!(env.ok(["unshare", "ctr", "unmount", "--all", "--force"]), "");
    let said = session(&env, "ctr unmount one").run().fails(125);
    assert!(said.contains("is not mounted in this session"), "{said}");
    // What is in use goes only by force.
    let script =
        "cd $(ctr mount one); if ctr unmount one; then exit 9; fi; ctr unmount --force one; cd /; ctr mount";
    assert_eq!(session(&env, script).run().stdout, "one\n");
    let output = session(&env, "ctr mount one none").run();
    assert_eq!((output.code(), output.stdout), (125, format!("{}\n", at(&one))));
}

#[test]
fn one_that_runs_is_mounted_as_it_is() {
    needs!(Userns, Overlay);
    let env = Env::with_busybox();
    let id = detached(&env, &[], "web", "echo text >/etc/mine; exec sleep 1000");
    while env.ctr(["exec", "web", "test", "-e", "/etc/mine"]).run().code() != 0 {}
    let script = "at=$(ctr mount web); cat $at/etc/mine; ls $at/shared; echo more >$at/etc/more; \
        ctr exec web cat /etc/more; ctr umount web; ctr umount web";
    assert_eq!(session(&env, script).run().success(), "text\nmore\nweb");
    assert_eq!(env.ok(["unshare", "ctr", "unmount", "--latest"]), "");
    assert_eq!(env.ok(["rm", "-f", "-t", "0", "web"]), "web");
    assert!(!env.store().join("containers").join(id).exists());
}

/// What is wrong with the words is said first, as podman says it.
#[test]
fn wrong_words_are_said_before_what_is_not_mounted() {
    needs!(Userns, Overlay);
    let env = Env::with_busybox();
    let id = create(&env, "web");
    let said = |words: &[&str]| env.named("podman", words).run().fails(125);
    assert_eq!(said(&["unmount", "-l", "web"]), "Error: --latest and containers cannot be used together\n");
    assert!(said(&["unmount", "none"]).contains("no such container"));
    assert_eq!(
        said(&["unmount", "web"]),
        format!("Error: unmounting container {id}: layer is not mounted\n")
    );
}

/// Two overlays never share an upper folder.
#[test]
fn what_is_mounted_in_a_session_is_not_mounted_again() {
    needs!(Userns, Overlay);
    let env = Env::with_busybox();
    let _id = create(&env, "web");
    let mut other = session(&env, "ctr mount web; echo ready; exec sleep 1000").start();
    other.wait_for("ready\n");
    let _file = env.file("file", "x");
    for words in [&["start", "web"][..], &["cp", "file", "web:/file"], &["unshare", "ctr", "mount", "web"]] {
        let said = env.ctr(words).run().fails(125);
        assert!(said.contains("mounted in a session of `ctr unshare` (process "), "{words:?}: {said}");
    }
    assert_eq!(env.ok(["ps", "-a", "--format", "{{.State}}"]), "created");
    other.signal(rustix::process::Signal::KILL);
    assert_eq!(other.finish().code(), 137);
    // A session that is gone is in nobody's way.
    assert_eq!(env.ok(["cp", "file", "web:/etc/mine"]), "");
    assert_eq!(env.ok(["start", "-a", "web"]), "x");
    assert_eq!(env.ok(["rm", "web"]), "web");
}

/// Makes a container, and what runs it: whoever has its root mounted is to be known.
fn is_in_use(env: &Env) {
    let said = env.ctr(["start", "web"]).run().fails(125);
    assert!(said.contains("mounted in a session of `ctr unshare` (process "), "{said}");
}

#[test]
fn who_changes_its_root_still_has_it_mounted() {
    needs!(Userns, Overlay);
    let env = Env::with_busybox();
    let _id = create(&env, "web");
    for into in ["chroot $at sh", "chroot . /busybox sh"] {
        let script =
            format!("at=$(ctr mount web); cp $at/bin/busybox .; exec {into} -c 'echo ready; read x'");
        let mut other = session(&env, &script);
        other.command().stdin(std::process::Stdio::piped());
        let mut other = other.start();
        other.wait_for("ready\n");
        is_in_use(&env);
        other.signal(rustix::process::Signal::KILL);
        assert_eq!(other.finish().code(), 137);
    }
    assert_eq!(env.ctr(["start", "-a", "web"]).run().code(), 1);
    assert_eq!(env.ok(["rm", "web"]), "web");
}

#[test]
fn a_container_that_was_started_in_a_session_has_its_mounts_too() {
    needs!(Userns, Overlay);
    let env = Env::with_busybox();
    let _id = create(&env, "web");
    let run = format!("ctr mount web; ctr run -d --name other --network none {BUSYBOX} sleep 1000");
    let _output = session(&env, &run).run().success();
    is_in_use(&env);
    assert_eq!(env.ok(["rm", "-f", "-t", "0", "other"]), "other");
    assert_eq!(env.ctr(["start", "-a", "web"]).run().code(), 1);
}

#[test]
fn of_two_sessions_each_is_known() {
    needs!(Userns, Overlay);
    let env = Env::with_busybox();
    let _id = detached(&env, &[], "web", "exec sleep 1000");
    let mut other = session(&env, "ctr mount web; echo ready; exec sleep 1000").start();
    other.wait_for("ready\n");
    assert_eq!(session(&env, "ctr mount web >/dev/null; ctr umount web").run().success(), "web");
    let mounted = env.ok(["container", "inspect", "--format", "{{.Id}}", "web"]);
    let at = env.store().join("containers").join(mounted).join("merged");
    let mounts = std::fs::read_to_string(format!("/proc/{}/mountinfo", other.pid().as_raw_nonzero()));
    assert!(
        mounts.expect("its mounts").contains(at.to_str().expect("text")),
        "the other one's mount is there"
    );
    let _output = env.ok(["stop", "-t", "0", "web"]);
    is_in_use(&env);
    other.signal(rustix::process::Signal::KILL);
    assert_eq!(other.finish().code(), 137);
    assert_eq!(env.ok(["start", "web"]), "web");
    assert_eq!(env.ok(["rm", "-f", "-t", "0", "web"]), "web");
}

#[test]
fn what_is_mounted_goes_with_its_container_or_stays_whole() {
    needs!(Userns, Overlay);
    let env = Env::with_busybox();
    let id = create(&env, "web");
    let output = session(
        &env,
        "cd $(ctr mount web); if ctr rm web; then exit 9; fi; ctr ps -a --format '{{.Names}}'; ls -d bin",
    )
    .run();
    assert_eq!((output.code(), output.stdout.as_str()), (0, "web\nbin\n"), "{output}");
    assert!(output.stderr.contains("unmount"), "{output}");
    assert_eq!(session(&env, "ctr mount web >/dev/null; ctr rm web").run().success(), "web");
    assert!(!env.store().join("containers").join(id).exists());
    let id = create(&env, "web");
    assert_eq!(session(&env, "cd $(ctr mount web); ctr rm -f web").run().success(), "web");
    assert!(!env.store().join("containers").join(id).exists());
}
