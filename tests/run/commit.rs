//! `commit`: an image of what a container wrote.

use ctr_tests::image::{Entry, Image, Layer};
use ctr_tests::{BUSYBOX, Env, needs};
use rustix::process::Signal;
use serde_json::Value;

use crate::kept::{detached, field};

fn with_contents() -> Env {
    let env = Env::new();
    let layer = Layer::new()
        .entry(Entry::new(b'5', "data/", 0o750).owner(7, 8), "")
        .entry(Entry::new(b'0', "data/gone", 0o644).owner(7, 8), "x")
        .entry(Entry::new(b'0', "data/stays", 0o644).owner(7, 8), "y")
        .dir("replaced/", 0o755)
        .file("replaced/old", 0o644, "");
    env.load(&Image::busybox(BUSYBOX, [layer]));
    env
}

const WRITES: &str = "echo new >/data/made; chown 9:10 /data/made; chmod 4711 /data/made; rm /data/gone; \
    rm -r /replaced; mkdir /replaced; touch /replaced/new; ln -s made /data/link; ln /data/made /data/other; mkfifo /pipe; \
    chmod 640 /data/stays";
const SHOWS: &str = "cd /data; ls; stat -c '%n %u:%g %a %h' made; stat -c '%n %u:%g %a' . stays; cat stays; readlink link; ls /replaced; test -p /pipe && echo pipe";
const SEEN: &str = "link\nmade\nother\nstays\nmade 9:10 4711 2\n. 7:8 750\nstays 7:8 640\nymade\nnew\npipe";

/// Commits a container that has done this and waits, and returns the new image's id.
fn commit(env: &Env, flags: &[&str], script: &str, asked: &[&str]) -> String {
    let script = format!("{script}; echo ready; exec sleep 1000");
    let mut running = env.shell(["--name", "it"].iter().chain(flags), &script).start();
    let _ready = running.wait_for("ready");
    let id = env.ctr(["commit"]).args(asked).run().success();
    running.signal(Signal::KILL);
    let _killed = running.finish();
    id
}

fn inspect(env: &Env, image: &str) -> Value {
    let text = env.ok(["image", "inspect", image]);
    serde_json::from_str::<Value>(&text).expect("JSON")[0].clone()
}

#[test]
fn what_a_container_wrote_is_in_the_image() {
    needs!(Userns, Overlay);
    let env = with_contents();
    let id = commit(&env, &[], WRITES, &["it", "localhost/made:1"]);
    assert_eq!(id.len(), 64);
    let run = |env: &Env, image: &str, script: &str| {
        env.ctr(["run", "--rm", image, "sh", "-c", script]).run().success()
    };
    assert_eq!(run(&env, "localhost/made:1", SHOWS), SEEN);
    assert_eq!(run(&env, "localhost/made:1", "ls /etc/hosts /proc /dev >/dev/null && echo ours"), "ours");
    let shown = inspect(&env, "localhost/made:1");
    assert_eq!(shown["RootFS"]["Layers"].as_array().map(Vec::len), Some(3));
    assert_eq!(shown["Id"], Value::from(id));
    // What has a tree only is packed when it is saved, and is the same after a load.
    let archive = env.path("made.tar");
    let _saved = env.ctr(["save", "-q", "-o"]).args([&archive]).args(["localhost/made:1"]).run().success();
    let other = Env::new();
    let _loaded = other.ctr(["load", "-q", "-i"]).args([&archive]).run().success();
    assert_eq!(run(&other, "localhost/made:1", SHOWS), SEEN);
    // And it can be a base itself.
    let again = commit(&env, &[], "touch /second", &["it"]);
    assert_eq!(inspect(&env, &again)["RootFS"]["Layers"].as_array().map(Vec::len), Some(3));
    let _swept = env.ok(["system", "gc"]);
    assert_eq!(run(&env, &again, "ls /second"), "/second");
}

#[test]
fn owners_are_those_that_the_container_sees() {
    needs!(Userns, Overlay);
    let env = with_contents();
    for userns in ["keep-id", "auto"] {
        let image = format!("localhost/{userns}");
        let _id = commit(&env, &["--userns", userns, "-u", "0"], WRITES, &["it", &image]);
        let seen = env.ctr(["run", "--rm", &image, "sh", "-c", SHOWS]).run().success();
        assert_eq!(seen, SEEN, "{userns}");
    }
}

#[test]
fn a_copied_root_is_committed_too() {
    needs!(Userns);
    let env = with_contents();
    let vfs = |args: &[&str]| env.ctr(["--storage-driver", "vfs"]).args(args);
    let script = format!("{WRITES}; echo ready; exec sleep 1000");
    let mut running = vfs(&["run", "--rm", "--name", "it", BUSYBOX, "sh", "-c", &script]).start();
    let _ready = running.wait_for("ready");
    let _id = vfs(&["commit", "it", "localhost/made"]).run().success();
    running.signal(Signal::KILL);
    let _killed = running.finish();
    assert_eq!(vfs(&["run", "--rm", "localhost/made", "sh", "-c", SHOWS]).run().success(), SEEN);
}

#[test]
fn squash_leaves_one_layer() {
    needs!(Userns, Overlay);
    let env = with_contents();
    for flag in ["-s", "--squash"] {
        let _id = commit(&env, &[], WRITES, &[flag, "it", "localhost/flat"]);
        let shown = inspect(&env, "localhost/flat");
        assert_eq!(shown["RootFS"]["Layers"].as_array().map(Vec::len), Some(1));
        assert_eq!(shown["History"].as_array().map(Vec::len), Some(1));
        let seen = env.ctr(["run", "--rm", "localhost/flat", "sh", "-c", SHOWS]).run().success();
        assert_eq!(seen, SEEN);
    }
}

#[test]
fn the_image_runs_as_the_container_did() {
    needs!(Userns, Overlay);
    let env = with_contents();
    std::fs::create_dir(env.path("bound")).expect("a folder");
    let bind = format!("{}:/bound", env.path("bound").display());
    let flags = [
        "-e",
        "MINE=1",
        "-e",
        "LATER=1",
        "--label",
        "l=1",
        "-w",
        "/tmp",
        "-v",
        "/anonymous",
        "-v",
        "v:/named",
        "-v",
        &bind,
    ];
    let config =
        env.file("config.json", r#"{"Env":["LATER=2"],"StopSignal":"SIGINT","ExposedPorts":{"1/tcp":{}}}"#);
    let config = config.to_str().expect("a path");
    let asked = [
        "--author",
        "somebody <x@y>",
        "--change",
        "LABEL m=2",
        "-c",
        "USER 5",
        "--config",
        config,
        "--format",
        "docker",
        "--message",
        "why",
        "--iidfile",
        "iid",
        "--quiet",
        "it",
        "localhost/made",
    ];
    let id = commit(&env, &flags, "true", &asked);
    assert_eq!(std::fs::read_to_string(env.path("iid")).expect("the file"), id);
    let shown = inspect(&env, "localhost/made");
    let config = &shown["Config"];
    let env_of = config["Env"].as_array().expect("variables");
    for wanted in ["MINE=1", "LATER=2"] {
        assert!(env_of.contains(&Value::from(wanted)), "{wanted}: {env_of:?}");
    }
    assert!(
        !env_of.iter().any(|entry| entry.as_str().is_some_and(|it| it.starts_with("HOSTNAME="))),
        "{env_of:?}"
    );
    assert_eq!(config["Labels"], serde_json::json!({"l": "1", "m": "2"}));
    assert_eq!((&config["User"], &config["WorkingDir"]), (&Value::from("5"), &Value::from("/tmp")));
    assert_eq!(config["StopSignal"], "SIGINT");
    assert_eq!(config["Volumes"], serde_json::json!({"/anonymous": {}}));
    assert_eq!(shown["Author"], "somebody <x@y>");
    assert_eq!(shown["Comment"], "why");
    let last = shown["History"].as_array().and_then(|history| history.last()).expect("history");
    assert_eq!(last["comment"], format!("why FROM {BUSYBOX}"));
    assert!(last["created_by"].as_str().is_some_and(|words| words.starts_with("sh -c true;")), "{last}");
    assert_eq!(shown["ManifestType"], "application/vnd.docker.distribution.manifest.v2+json");
    let _id = commit(&env, &flags, "true", &["--include-volumes", "it", "localhost/with"]);
    let shown = inspect(&env, "localhost/with");
    assert_eq!(shown["Config"]["Volumes"], serde_json::json!({"/anonymous": {}, "/bound": {}, "/named": {}}));
    assert_eq!(shown["ManifestType"], "application/vnd.oci.image.manifest.v1+json");
}

#[test]
fn what_cannot_be_committed_is_said() {
    needs!(Userns, Overlay);
    let env = with_contents();
    let mut running = env.shell(["--name", "it"], "echo ready; exec sleep 1000").start();
    let _ready = running.wait_for("ready");
    for (args, why) in [
        (&["absent"][..], "no such container"),
        (&["--message", "x", "it"], "messages are only compatible with the docker image format (-f docker)"),
        (&["-f", "other", "it"], "unrecognized image format"),
        (&["-c", "FROM x", "it"], "invalid change"),
        (&["--config", "absent.json", "it"], "absent.json"),
        (&["it", "Not A Name"], "parsing reference"),
    ] {
        let said = env.ctr(["commit"]).args(args).run().fails(125);
        assert!(said.contains(why), "{args:?}: {said}");
    }
    assert_eq!(env.ok(["container", "commit", "-q", "it"]).len(), 64);
    for (flags, said) in
        [(&["-q"][..], ""), (&[], "Getting image source signatures\nWriting manifest to image destination\n")]
    {
        let ran = env.named("podman", ["commit"]).args(flags).args(["it"]).run();
        assert_eq!(ran.stderr, said);
        assert_eq!(ran.success().len(), 64);
    }
    running.signal(Signal::KILL);
    let _killed = running.finish();
}

/// Class F: what a container leaves in its files is packed, not followed.
#[test]
fn links_out_of_the_container_are_links() {
    needs!(Userns, Overlay);
    let env = with_contents();
    std::fs::write(env.path("secret"), "of the host").expect("a file");
    let secret = env.path("secret").display().to_string();
    let script = format!(
        "ln -s {secret} /data/out; rm -r /replaced; ln -s {} /replaced; ln -s /proc/1/root /data/root",
        env.path("").display()
    );
    let id = commit(&env, &[], &script, &["it"]);
    let seen = env
        .ctr([
            "run",
            "--rm",
            &id,
            "sh",
            "-c",
            "readlink /data/out; cat /data/out /replaced/secret 2>/dev/null; readlink /data/root",
        ])
        .run();
    assert_eq!(seen.success(), format!("{secret}\n/proc/1/root"));
}

#[test]
fn what_was_made_and_what_has_ended_is_committed() {
    needs!(Userns, Overlay);
    let env = with_contents();
    let run = |image: &str| env.ok(["run", "--rm", image]);
    let _made =
        env.ok(["create", "--name", "made", "-e", "MINE=1", BUSYBOX, "sh", "-c", "echo $MINE; ls /new"]);
    let _before = env.ok(["commit", "made", "localhost/before"]);
    let absent = env.ctr(["run", "--rm", "localhost/before"]).run();
    assert_eq!((absent.code(), absent.stdout.as_str()), (1, "1\n"), "{absent}");
    let shown = inspect(&env, "localhost/before");
    assert_eq!(shown["RootFS"]["Layers"].as_array().map(Vec::len), Some(3));
    let _ended =
        env.ok(["run", "--name", "ended", BUSYBOX, "sh", "-c", "test -e /new && ls /new || touch /new"]);
    let _image = env.ok(["commit", "ended", "localhost/ended"]);
    assert_eq!(run("localhost/ended"), "/new");
    // What was committed goes on, and what it writes is its own.
    let _more = env.ok(["start", "-a", "ended"]);
    let _gone = env.ok(["rm", "ended"]);
    assert_eq!(run("localhost/ended"), "/new");
}

#[test]
fn what_runs_is_frozen_meanwhile_where_it_can_be() {
    needs!(Userns, Overlay);
    let env = with_contents();
    detached(&env, &[], "it", "touch /new; ready; exec sleep 1000");
    let has_group = !field(&env, "it", "{{.State.CgroupPath}}").is_empty();
    for flag in ["-p", "--pause"] {
        let ran = env.ctr(["commit", flag, "it", "localhost/it"]).run();
        assert_eq!(ran.stderr.contains("no control group that could be frozen"), !has_group, "{ran}");
        assert_eq!(ran.success().len(), 64);
        assert_eq!(field(&env, "it", "{{.State.Status}}"), "running");
    }
    assert_eq!(env.ok(["run", "--rm", "localhost/it", "ls", "/new"]), "/new");
    assert_eq!(env.ok(["rm", "-f", "-t", "0", "it"]), "it");
}
