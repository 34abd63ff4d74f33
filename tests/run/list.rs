//! `ps`, `rm`, `container …`, and the empty sets: pods, networks, volumes.

use ctr_tests::env::Running;
use ctr_tests::{BUSYBOX, Env, needs};

/// A container of this name that sleeps until it is ended.
fn sleeper<'a>(env: &'a Env, name: &str) -> Running<'a> {
    let cid = format!("{name}.cid");
    let mut running = env.shell(["--name", name, "--cidfile", &cid], "echo ready; exec sleep 1000").start();
    running.wait_for("ready\n");
    running
}

#[test]
fn ps_lists_with_podman_s_columns_and_json() {
    needs!(Userns);
    let env = Env::with_busybox();
    let one = sleeper(&env, "one");
    let table = env.ok(["ps"]);
    let (header, row) = table.split_once('\n').expect("a header and a row");
    let columns: Vec<_> = header.split("  ").map(str::trim).filter(|word| !word.is_empty()).collect();
    assert_eq!(columns, ["CONTAINER ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "PORTS", "NAMES"]);
    assert!(row.contains(BUSYBOX) && row.contains("Up ") && row.trim_end().ends_with("one"), "{row}");
    let json: serde_json::Value = serde_json::from_str(&env.ok(["ps", "--format", "json"])).expect("JSON");
    assert_eq!(json[0]["Names"][0], "one");
    assert_eq!(json[0]["State"], "running");
    assert_eq!(env.ok(["ps", "--noheading", "--sync"]).lines().count(), 1);
    assert_eq!(env.ok(["ps", "-q", "--external"]).len(), 12);
    assert!(env.ok(["ps", "--namespace"]).contains("USERNS"));
    assert!(env.ok(["ps", "--pod"]).contains("POD ID"));
    assert!(env.ok(["ps", "--size"]).contains("SIZE"));
    let _removed = env.ok(["rm", "-f", "-t", "0", "one"]);
    let _ended = one.finish();
}

#[test]
fn ps_filters_sorts_and_cuts() {
    needs!(Userns);
    let env = Env::with_busybox();
    let (one, two) = (sleeper(&env, "one"), sleeper(&env, "two"));
    let names = |args: &[&str]| env.ctr(["ps", "--format", "{{.Names}}"]).args(args).run().success();
    assert_eq!(names(&["--sort", "names"]), "one\ntwo");
    assert_eq!(names(&["--last", "1"]), "two");
    assert_eq!(names(&["-l"]), "two");
    assert_eq!(names(&["--filter", "name=on"]), "one");
    assert_eq!(names(&["-f", "status=exited"]), "");
    let _removed = env.ok(["rm", "--force", "--time=0", "--all"]);
    let _ended = (one.finish(), two.finish());
    assert_eq!(names(&["--all"]), "");
}

#[test]
fn rm_removes_by_every_way_of_naming() {
    needs!(Userns);
    let env = Env::with_busybox();
    for way in [
        &["--cidfile", "one.cid"][..],
        &["--latest"],
        &["--filter", "name=one"],
        &["--depend", "--volumes", "one"],
    ] {
        let one = sleeper(&env, "one");
        let said = env.ctr(["rm", "-t", "0"]).args(way).run();
        assert_ne!(said.code(), 0, "a running container is only removed by force: {said}");
        let _removed = env.ctr(["rm", "-f", "-t", "0"]).args(way).run().success();
        let _ended = one.finish();
        assert_eq!(env.ok(["ps", "-aq"]), "", "{way:?}");
    }
    assert_eq!(env.ctr(["rm", "absent"]).run().code(), 1);
    assert_eq!(env.ctr(["rm", "--ignore", "absent"]).run().code(), 0);
}

#[test]
fn container_exists_and_inspect_answer() {
    needs!(Userns);
    let env = Env::with_busybox();
    let one = sleeper(&env, "one");
    assert_eq!(env.ctr(["container", "exists", "--external", "one"]).run().code(), 0);
    assert_eq!(env.ctr(["container", "exists", "absent"]).run().code(), 1);
    let json: serde_json::Value =
        serde_json::from_str(&env.ok(["container", "inspect", "one"])).expect("JSON");
    assert_eq!(json[0]["Name"], "one");
    assert_eq!(json[0]["State"]["Status"], "running");
    let said = env.ctr(["container", "inspect", "--size", "one"]).run().fails(125);
    assert!(said.contains("--size is not supported yet"), "{said}");
    assert_ne!(env.ctr(["container", "inspect", "absent"]).run().code(), 0);
    let _removed = env.ok(["rm", "-f", "-t", "0", "one"]);
    let _ended = one.finish();
}

#[test]
fn the_empty_sets_are_empty() {
    needs!(Userns);
    let env = Env::new();
    for list in [
        &[
            "pod",
            "ps",
            "-q",
            "--no-trunc",
            "--ctr-ids",
            "--ctr-names",
            "--ctr-status",
            "--ns",
            "--sort",
            "name",
        ][..],
        &["pod", "ps", "--noheading", "--filter", "name=x", "--format", "{{.Name}}"],
        &["pod", "ps", "--latest", "-q"],
        &["volume", "ls", "-q", "--filter", "name=x"],
        &["volume", "ls", "--noheading", "--format", "{{.Name}}"],
        &["volume", "prune", "--force", "--all", "--filter", "label=x"],
        &["volume", "rm", "--all", "--time", "0"],
        &["network", "prune", "--force", "--filter", "label=x"],
        &["pod", "prune", "--force"],
        &["pod", "rm", "--latest"],
        &["pod", "rm", "--all", "--force", "--time", "0", "--ignore"],
        &["network", "ls", "--noheading", "--no-trunc", "--filter", "name=no-such", "--format", "{{.Name}}"],
        &["network", "ls", "--quiet", "--filter", "name=no-such"],
    ] {
        assert_eq!(env.ok(list), "", "{list:?}");
    }
    for (absent, code) in [
        (&["pod", "rm", "absent"][..], 1),
        (&["volume", "rm", "absent"], 1),
        (&["network", "rm", "absent"], 1),
        (&["pod", "rm", "--pod-id-file", "no-such-file"], 125),
    ] {
        let output = env.ctr(absent).run();
        assert_eq!(output.code(), code, "{output}");
    }
    assert_eq!(env.ctr(["volume", "rm", "--force", "absent"]).run().code(), 0);
    assert_eq!(env.ctr(["network", "rm", "--force", "-t", "0", "absent"]).run().code(), 0);
}
