//! Containers that are kept until the next boot: `--transient-store`, and `transient_store` of storage.conf.

use std::path::PathBuf;

use ctr_tests::{BUSYBOX, Env, needs};
use rustix::process::{Signal, kill_process};

use crate::kept::{process, wait_until_ready};

const LIST: [&str; 4] = ["ps", "-a", "--format", "{{.Names}} {{.State}}"];

/// A detached container that says when it is ready.
fn transient(env: &Env, flags: &[&str], name: &str, script: &str) -> String {
    let shared = format!("{}:/shared", env.path("").display());
    let script = format!("{script}; echo ready >/shared/{name}-ready; exec sleep 1000");
    let before = ["--transient-store", "run", "-d", "--name", name, "-v", &shared];
    let id = env.ok([&before[..], flags, &[BUSYBOX, "sh", "-c", &script]].concat());
    wait_until_ready(env, name);
    id
}

fn records(env: &Env, id: &str) -> PathBuf {
    env.run_dir().join("ctr/transient").join(id)
}

fn layer(env: &Env, id: &str) -> PathBuf {
    env.store().join("containers").join(id)
}

#[test]
fn its_records_are_in_the_run_directory_and_every_command_finds_it() {
    needs!(Userns, Overlay);
    let env = Env::with_busybox();
    let id = transient(&env, &[], "web", "echo printed; echo kept >/file");
    for name in ["record.json", "state.json", "log", "attach"] {
        assert!(records(&env, &id).join(name).exists(), "{name}");
    }
    let in_layer = std::fs::read_dir(layer(&env, &id)).expect("a folder");
    let mut in_layer: Vec<_> = in_layer.map(|entry| entry.expect("an entry").file_name()).collect();
    in_layer.sort();
    assert_eq!(in_layer, ["upper", "work"]);
    assert!(!env.store().join("names/web").exists() && env.run_dir().join("ctr/names/web").exists());

    let kept = env.ok(["create", "--name", "kept", BUSYBOX, "true"]);
    assert_eq!(env.ok(LIST), "kept created\nweb running");
    for (name, taken) in
        [("web", &["create"][..]), ("kept", &["--transient-store", "create"]), ("web", &["run", "--rm"])]
    {
        let said = env.ctr(taken).args(["--name", name, BUSYBOX, "true"]).run().fails(125);
        let whose = if name == "web" { &id } else { &kept };
        assert!(said.contains(&format!("already in use by {whose}")), "{said}");
    }
    assert_eq!(env.ok(["logs", "web"]), "printed");
    assert_eq!(env.ok(["exec", &id[..8], "cat", "/file"]), "kept");
    let upper = env.ok(["inspect", "--format", "{{.GraphDriver.Data.UpperDir}}", "web"]);
    assert_eq!(upper, layer(&env, &id).join("upper").display().to_string());
    let said = env.ctr(["rmi", BUSYBOX]).run().fails(2);
    assert!(said.contains("used by"), "{said}");
    assert_eq!(env.ok(["rename", "web", "renamed"]), "");
    assert_eq!(env.ok(["rename", "renamed", "web"]), "");
    let _swept = env.ok(["system", "gc"]);

    std::fs::remove_file(env.path("web-ready")).expect("the file");
    assert_eq!(env.ok(["restart", "-t", "0", "web"]), "web");
    wait_until_ready(&env, "web");
    assert_eq!(env.ok(["stop", "-t", "0", "web"]), "web");
    assert_eq!(env.ok(["diff", "web"]).lines().find(|line| *line == "A /file"), Some("A /file"));
    assert_eq!(env.ok(["rm", "web"]), "web");
    assert!(!records(&env, &id).exists() && !layer(&env, &id).exists());
    assert_eq!(env.ok(LIST), "kept created");
}

#[test]
fn it_is_gone_with_the_boot_and_gc_takes_its_layer() {
    needs!(Userns, Overlay);
    let env = Env::with_busybox();
    let void = env.ok(["--transient-store", "create", "--name", "void", BUSYBOX, "true"]);
    let gone = env.ok(["--transient-store", "create", "--name", "gone", BUSYBOX, "true"]);
    let kept = env.ok(["create", "--name", "kept", BUSYBOX, "true"]);
    for id in [&void, &gone] {
        // A container that does not run has its layer mounted for it.
        let file = env.file("file", "content");
        let _copied = env.ctr(["cp"]).args([&file]).args([&format!("{id}:/file")]).run().success();
        assert!(layer(&env, id).join("upper/file").exists());
    }
    // The run directory of one may outlive the boot, that of the other was in memory.
    let path = records(&env, &void).join("record.json");
    let mut record: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&path).expect("a record")).expect("a record");
    record["boot_id"] = "00000000-0000-4000-8000-000000000000".into();
    std::fs::write(&path, record.to_string()).expect("a record");
    std::fs::remove_dir_all(records(&env, &gone)).expect("its records");

    assert_eq!(env.ok(LIST), "kept created");
    for name in ["void", "gone"] {
        let said = env.ctr(["start", name]).run().fails(125);
        assert!(said.contains("no such container"), "{said}");
        let _again = env.ok(["create", "--name", name, BUSYBOX, "true"]);
        assert_eq!(env.ok(["rm", name]), name);
    }
    let _swept = env.ok(["system", "gc"]);
    for id in [&void, &gone] {
        assert!(!records(&env, id).exists() && !layer(&env, id).exists());
    }
    assert!(layer(&env, &kept).exists());
    assert_eq!(env.ok(["rm", "kept"]), "kept");
    let _removed = env.ok(["rmi", BUSYBOX]);
}

#[test]
fn the_file_says_so_and_the_option_has_the_last_word() {
    needs!(Userns, Overlay);
    let env = Env::with_busybox();
    let conf = env.file("storage.conf", "[storage]\ntransient_store = true");
    let configured = |args: &[&str]| env.ctr(args).var("CONTAINERS_STORAGE_CONF", &conf).run().success();
    let info = ["info", "--format", "{{.Store.TransientStore}}"];
    assert_eq!(configured(&info), "true");
    assert_eq!(env.ok(info), "false");
    assert_eq!(configured(&[&["--transient-store=false"], &info[..]].concat()), "false");
    let id = configured(&["create", BUSYBOX, "true"]);
    assert!(records(&env, &id).exists() && !layer(&env, &id).exists());
    let id = configured(&["--transient-store=false", "create", BUSYBOX, "true"]);
    assert!(!records(&env, &id).exists() && layer(&env, &id).exists());
    assert!(!configured(&["doctor"]).contains("transient_store"));
    let _reset = env.ok(["system", "reset", "--force"]);
    assert_eq!(env.ok(LIST), "");
    assert!(!env.run_dir().join("ctr/transient").read_dir().expect("a folder").any(|_| true));
}

#[test]
fn a_start_that_was_killed_does_not_keep_it_from_the_next() {
    needs!(Userns, Overlay);
    let env = Env::with_busybox();
    let id = transient(&env, &[], "web", "echo kept >/file");
    kill_process(process(&env, "web", "ConmonPid"), Signal::KILL).expect("it is ours");
    assert_eq!(env.ok(["wait", "web"]), "137");
    assert_eq!(env.ok(LIST), "web exited");
    // What the kernel has there from the mount of such a root on, until it is taken away.
    let mark = layer(&env, &id).join("work/work/incompat/volatile/dirty");
    let _marked = env.ctr(["unshare", "mkdir", "-p"]).args([&mark]).run().success();
    std::fs::remove_file(env.path("web-ready")).expect("the file");
    assert_eq!(env.ok(["start", "web"]), "web");
    assert_eq!(env.ok(["exec", "web", "cat", "/file"]), "kept");
    assert_eq!(env.ok(["rm", "-f", "-t", "0", "web"]), "web");
}

#[test]
fn one_that_goes_with_its_end_or_is_damaged_leaves_nothing() {
    needs!(Userns, Overlay);
    let env = Env::with_busybox();
    let ended = transient(&env, &["--rm"], "ended", "true");
    assert_eq!(env.ok(["stop", "-t", "0", "ended"]), "ended");
    let killed = transient(&env, &["--rm"], "killed", "true");
    kill_process(process(&env, "killed", "ConmonPid"), Signal::KILL).expect("it is ours");
    let _ended = env.ctr(["wait", "killed"]).run();
    let damaged = env.ok(["--transient-store", "create", "--name", "damaged", BUSYBOX, "true"]);
    std::fs::write(records(&env, &damaged).join("record.json"), "{").expect("a record");
    let _swept = env.ok(["system", "gc"]);
    assert_eq!(env.ok(LIST), "");
    let said = env.ctr(["start", "damaged"]).run().fails(125);
    assert!(said.contains("damaged"), "{said}");
    assert_eq!(env.ok(["rm", "-f", "damaged"]), "damaged");
    for id in [&ended, &killed, &damaged] {
        assert!(!records(&env, id).exists() && !layer(&env, id).exists());
    }
}
