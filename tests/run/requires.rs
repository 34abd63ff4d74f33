//! Containers that need others: `--requires`, and a user namespace that is shared.

use ctr_tests::{BUSYBOX, Env, needs};
use rustix::fs::{FlockOperation, flock};

use crate::kept::{field, statuses};

/// Makes a container that waits, which needs others.
fn create(env: &Env, flags: &[&str], name: &str) -> String {
    let words = ["create", "--name", name, "--network", "none"];
    env.ok([&words[..], flags, &[BUSYBOX, "sleep", "1000"]].concat())
}

#[test]
fn what_is_needed_is_started_first() {
    needs!(Userns);
    let env = Env::with_busybox();
    let (base, left) = (create(&env, &[], "base"), create(&env, &["--requires", "base"], "left"));
    let right = create(&env, &["--requires=base"], "right");
    let _top = create(&env, &["--requires", &format!("left,{}", &right[..12])], "top");
    let mut both = [left, right];
    both.sort();
    assert_eq!(field(&env, "top", "{{.Dependencies}}"), format!("[{} {}]", both[0], both[1]));
    assert_eq!(field(&env, "base", "{{.Dependencies}}"), "[]");
    for verb in ["init", "restart"] {
        let said = env.ctr([verb, "left"]).run().fails(125);
        assert!(said.contains(&format!("are not started: {base}: container state improper")), "{said}");
    }
    assert_eq!(env.ok(["start", "top"]), "top");
    assert_eq!(statuses(&env), "base running, left running, right running, top running");
    let started = env.ok(["events", "--stream=false", "--filter", "event=start", "--format", "{{.Name}}"]);
    let started: Vec<_> = started.lines().collect();
    assert_eq!((started.len(), started[0], started[3]), (4, "base", "top"));
    assert_eq!(env.ok(["restart", "-t", "0", "top"]), "top");
    // What others need is stopped as anything else.
    assert_eq!(env.ok(["stop", "-t", "0", "base"]), "base");
    assert_eq!(env.ok(["rm", "-fa", "-t", "0"]).lines().count(), 4);
}

#[test]
fn run_starts_what_is_needed_too() {
    needs!(Userns);
    let env = Env::with_busybox();
    let _id = create(&env, &[], "base");
    let run =
        |flags: &[&str]| env.ctr(["run"]).args(flags).args(["--requires", "base", BUSYBOX, "true"]).run();
    for flags in [&["--rm"][..], &["-d"], &["--name", "kept"]] {
        let _output = run(flags).success();
        assert_eq!(field(&env, "base", "{{.State.Status}}"), "running");
        assert_eq!(env.ok(["stop", "-t", "0", "base"]), "base");
    }
    let _output = env.ctr(["start", "--attach", "kept"]).run().success();
    assert_eq!(field(&env, "base", "{{.State.Status}}"), "running");
}

#[test]
fn what_cannot_be_started_keeps_others_from_it() {
    needs!(Userns);
    let env = Env::with_busybox();
    let _id = env.ok(["create", "--name", "broken", BUSYBOX, "no-such-command"]);
    let _id = create(&env, &["--requires", "broken"], "web");
    let said = env.ctr(["start", "web"]).run().fails(125);
    assert!(said.contains("`no-such-command`"), "{said}");
    let said = env.ctr(["run", "--name", "x", "--requires", "broken", BUSYBOX, "true"]).run().fails(125);
    assert!(said.contains("`no-such-command`"), "{said}");
    assert_eq!(statuses(&env), "broken created, web created");
    for verb in ["create", "run"] {
        let said = env.ctr([verb, "--requires", "nobody", BUSYBOX, "true"]).run().fails(125);
        assert!(
            said.contains("\"nobody\" is not a valid container, cannot be used as a dependency"),
            "{said}"
        );
    }
}

#[test]
fn what_others_need_goes_after_them() {
    needs!(Userns);
    let env = Env::with_busybox();
    let base = create(&env, &[], "base");
    let (one, two) =
        (create(&env, &["--requires", "base"], "one"), create(&env, &["--requires", "one"], "two"));
    let said = env.named("podman", ["rm", "base"]).run().fails(125);
    assert!(
        said.contains(&format!(
            "container {base} has dependent containers which must be removed before it: {one}: container already exists"
        )),
        "{said}"
    );
    assert_eq!(env.ctr(["rm", "--force", "base"]).run().code(), 125);
    // All of those that fit are meant, and no others.
    assert_eq!(env.ctr(["rm", "--all", "--force", "--filter", "name=base"]).run().code(), 125);
    assert_eq!(statuses(&env), "base created, one created, two created");
    assert_eq!(env.ok(["container", "rm", "--depend", "base"]), format!("{two}\n{one}\nbase"));
    assert_eq!(statuses(&env), "");

    // Who runs is in the way of that too.
    let _base = create(&env, &[], "base");
    let _one = create(&env, &["--requires", "base"], "one");
    assert_eq!(env.ok(["start", "one"]), "one");
    assert_eq!(env.ok(["stop", "-t", "0", "base"]), "base");
    assert_eq!(env.ctr(["rm", "--depend", "base"]).run().code(), 2);
    assert_eq!(env.ok(["rm", "--depend", "-f", "-t", "0", "base"]).lines().count(), 2);
    assert_eq!(statuses(&env), "");
}

#[test]
fn all_go_in_an_order_in_which_they_can() {
    needs!(Userns);
    let env = Env::with_busybox();
    for remove in [&["rm", "--all"][..], &["container", "prune", "-f"], &["system", "prune", "-f"]] {
        let _base = create(&env, &[], "base");
        let _one = create(&env, &["--requires", "base"], "one");
        let _output = env.ok(remove);
        assert_eq!(statuses(&env), "", "{remove:?}");
    }
    // Marks of those that are gone hold nothing up.
    let _base = create(&env, &[], "base");
    for _ in 0..2 {
        let _one = create(&env, &["--requires", "base"], "one");
        assert_eq!(env.ok(["rm", "one"]), "one");
    }
    let marks = env.store().join("containers").join(field(&env, "base", "{{.Id}}")).join("dependents");
    assert_eq!(std::fs::read_dir(marks).expect("the folder").count(), 1);
    assert_eq!(env.ok(["rm", "base"]), "base");
}

#[test]
fn whose_user_namespace_is_shared_is_needed() {
    needs!(Userns);
    let env = Env::with_busybox();
    let base = create(&env, &[], "base");
    let _one = create(&env, &["--userns", "container:base"], "one");
    assert_eq!(field(&env, "one", "{{.Dependencies}}"), format!("[{base}]"));
    assert_eq!(env.ok(["rename", "base", "other"]), "");
    assert_eq!(env.ok(["start", "one"]), "one");
    assert_eq!(statuses(&env), "one running, other running");
    assert_eq!(env.ctr(["rm", "-f", "other"]).run().code(), 125);
    let mut fleeting =
        env.shell(["--name", "two", "--userns", "container:other"], "echo ready; exec sleep 1000").start();
    fleeting.wait_for("ready\n");
    assert_eq!(env.ok(["rm", "-f", "-t", "0", "one"]), "one");
    assert_eq!(env.ctr(["rm", "-f", "other"]).run().code(), 125);
    assert_eq!(env.ok(["rm", "-f", "-t", "0", "two"]), "two");
    assert_eq!(fleeting.finish().code(), 137);
    assert_eq!(env.ok(["rm", "-f", "-t", "0", "other"]), "other");
}

#[test]
fn who_is_about_to_need_it_is_seen_by_who_removes_it() {
    needs!(Userns);
    let env = Env::with_busybox();
    let base = create(&env, &[], "base");
    let folder = env.store().join("containers").join(&base);
    let needs_it = || env.ctr(["create", "--name", "one", "--requires", "base", BUSYBOX, "true"]).start();
    // As one who is between its mark and its record.
    let held = std::fs::File::open(&folder).expect("its folder");
    flock(&held, FlockOperation::LockShared).expect("a lock");
    let mut removing = env.ctr(["rm", "base"]).start();
    removing.wait_for_errors(&base);
    assert_eq!(needs_it().finish().success().len(), 64);
    drop(held);
    let said = removing.finish().fails(125);
    assert!(said.contains("has dependent containers which must be removed before it"), "{said}");
    assert_eq!(env.ok(["rm", "one"]), "one");

    // As one who has looked for marks, and is about to remove the record.
    let held = std::fs::File::open(&folder).expect("its folder");
    flock(&held, FlockOperation::LockExclusive).expect("a lock");
    let mut making = needs_it();
    making.wait_for_errors(&base);
    std::fs::remove_file(folder.join("record.json")).expect("its record");
    drop(held);
    let said = making.finish().fails(125);
    assert!(said.contains("needs a container that is not there any more"), "{said}");
    assert_eq!(statuses(&env), "");
}
