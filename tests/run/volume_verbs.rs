//! `volume create`, `ls`, `inspect`, `rm`, `prune`, `exists`, `export`, `import`, `mount`, `unmount`, `reload`.

use ctr_tests::image::Layer;
use ctr_tests::{Env, needs};
use serde_json::Value;

fn names(env: &Env, flags: &[&str]) -> Vec<String> {
    env.ctr(["volume", "ls", "-q"]).args(flags).run().success().lines().map(str::to_owned).collect()
}

#[test]
fn volumes_are_made_and_shown() {
    needs!(Userns);
    let env = Env::new();
    assert_eq!(env.ok(["volume", "create", "mine", "--label", "a=b", "-l", "bare"]), "mine");
    let said = env.ctr(["volume", "create", "mine"]).run().fails(125);
    assert!(said.contains("volume with name mine already exists"), "{said}");
    assert_eq!(env.ok(["volume", "create", "--ignore", "mine"]), "mine");
    let anonymous = env.ok(["volume", "create", "--driver", "local"]);
    assert_eq!(anonymous.len(), 64);
    let list = env.ok(["volume", "ls"]);
    let mut lines = list.lines();
    assert_eq!(
        lines.next().map(|line| line.split_whitespace().collect()),
        Some(vec!["DRIVER", "VOLUME", "NAME"])
    );
    assert!(lines.any(|line| line.split_whitespace().eq(["local", "mine"])), "{list}");
    assert_eq!(
        env.ok(["volume", "list", "--noheading", "--filter", "name=^mine$"]).split_whitespace().last(),
        Some("mine")
    );
    assert_eq!(names(&env, &["-f", "label=a=b"]), ["mine"]);
    assert_eq!(names(&env, &["--filter", "anonymous=true"]), [anonymous]);
    assert_eq!(
        env.ok(["volume", "ls", "--format", "{{.Name}} {{.Labels}}", "-f", "label=bare"]),
        "mine a=b,bare="
    );
    assert_eq!(env.ctr(["volume", "ls", "--quiet", "--format", "x"]).run().code(), 125);
    assert_eq!(env.ctr(["volume", "ls", "-f", "x=y"]).run().code(), 125);

    let shown: Value = serde_json::from_str(&env.ok(["volume", "inspect", "mine"])).expect("JSON");
    let keys: Vec<&String> = shown[0].as_object().expect("an object").keys().collect();
    for key in [
        "Name",
        "Driver",
        "Mountpoint",
        "CreatedAt",
        "Labels",
        "Scope",
        "Options",
        "MountCount",
        "NeedsCopyUp",
        "NeedsChown",
        "LockNumber",
    ] {
        assert!(keys.iter().any(|have| *have == key), "{key} of {keys:?}");
    }
    assert_eq!(shown[0]["Labels"], serde_json::json!({"a": "b", "bare": ""}));
    assert!(shown[0]["Mountpoint"].as_str().is_some_and(|path| path.ends_with("/volumes/mine/_data")));
    let listed: Value =
        serde_json::from_str(&env.ok(["volume", "ls", "--format", "json", "-f", "name=mine"])).expect("JSON");
    assert_eq!(listed[0], shown[0]);
    assert_eq!(
        env.ok(["volume", "inspect", "--all", "-f", "{{.Driver}} {{.Scope}}"]),
        "local local\nlocal local"
    );
    assert_eq!(
        env.ok(["volume", "inspect", "--format", "{{.Name}}", "min"]),
        "mine",
        "the beginning of a name"
    );
    assert_eq!(env.ok(["inspect", "--type", "volume", "-f", "{{.Name}}", "mine"]), "mine");
    assert_eq!(env.ok(["inspect", "--format", "{{.Name}}", "mine"]), "mine");
    let said = env.ctr(["volume", "inspect", "absent"]).run().fails(125);
    assert!(said.contains("no such volume absent"), "{said}");
    assert_eq!(env.ctr(["volume", "inspect"]).run().code(), 125);
    assert_eq!(env.ctr(["volume", "exists", "mine"]).run().code(), 0);
    assert_eq!(env.ctr(["volume", "exists", "min"]).run().code(), 1);
    assert_eq!(env.ok(["volume", "reload"]), "");
}

#[test]
fn owners_and_options_of_a_volume() {
    needs!(Userns);
    let env = Env::with_busybox();
    let _made = env.ok(["volume", "create", "--uid", "5", "--gid", "6", "owned"]);
    assert_eq!(env.sh(["-v", "owned:/m"], "stat -c %u:%g /m"), "5:6");
    assert_eq!(env.ok(["volume", "inspect", "-f", "{{.UID}}:{{.GID}}", "owned"]), "5:6");
    let _made = env.ok(["volume", "create", "-o", "o=uid=7,nocopy", "seven"]);
    assert_eq!(
        env.sh(["-v", "seven:/etc"], "stat -c %u /etc; ls /etc/group 2>/dev/null || true").lines().next(),
        Some("7")
    );

    let _made = env.ok(["volume", "create", "--opt", "type=tmpfs", "--opt", "o=size=2M,noexec", "memory"]);
    let seen = env.sh(
        ["-v", "memory:/m"],
        "stat -f -c %T /m; df -k /m | tail -1 | awk '{print $2}'; grep ' /m ' /proc/mounts",
    );
    assert!(seen.starts_with("tmpfs\n2048\n") && seen.contains("noexec"), "{seen}");
    let mut running = env.shell(["-v", "memory:/m"], "echo ready; sleep 1000").start();
    let _ready = running.wait_for("ready");
    let said = env.shell(["-v", "memory:/m"], "true").run().fails(125);
    assert!(said.contains("sharing it is not supported yet"), "{said}");
    running.signal(rustix::process::Signal::KILL);
    let _killed = running.finish();

    std::fs::create_dir(env.path("folder")).expect("a folder");
    let _file = env.file("folder/f", "of the host");
    let device = format!("device={}", env.path("folder").display());
    let _made = env.ok(["volume", "create", "-o", "type=none", "-o", "o=bind,ro", "-o", &device, "bound"]);
    assert_eq!(env.sh(["-v", "bound:/m"], "cat /m/f; touch /m/x 2>/dev/null || echo no"), "of the hostno");
    for (options, why) in [
        (&["type=bind", "device=/bogus"][..], "/bogus"),
        (&["type=nfs", "device=host:/x"], "can only be mounted by the root of the machine"),
        (&["device=/dev/sda1"], "can only be mounted by the root of the machine"),
        (&["o=size=1G"], "does not support Project Quota"),
        (&["x=y"], "invalid mount option x for driver 'local'"),
        (&["type=bind", "device=/tmp", "o=lowerdir=/"], "invalid option"),
    ] {
        let flags = options.iter().flat_map(|option| ["-o", option]);
        let said = env.ctr(["volume", "create", "bad"]).args(flags).run().fails(125);
        assert!(said.contains(why), "{options:?}: {said}");
    }
    for (flags, why) in [
        (["-d", "image"], "the volume driver image is not supported yet"),
        (["-d", "nfs"], "no volume plugin with name nfs available"),
        (["--uid", "-1"], "is no id"),
    ] {
        let said = env.ctr(["volume", "create"]).args(flags).run().fails(125);
        assert!(said.contains(why), "{flags:?}: {said}");
    }
}

#[test]
fn volumes_are_removed_unless_they_are_used() {
    needs!(Userns);
    let env = Env::with_busybox();
    for name in ["one", "two", "three"] {
        let _made = env.ok(["volume", "create", name]);
    }
    let _contents = env.sh(["-v", "two:/m"], "mkdir /m/d; chown 9 /m/d; touch /m/d/f");
    assert_eq!(env.ok(["volume", "rm", "one", "two"]), "one\ntwo");
    assert_eq!(names(&env, &[]), ["three"]);
    let missing = env.ctr(["volume", "rm", "absent"]).run();
    assert_eq!(
        (missing.code(), missing.stderr.lines().next()),
        (1, Some("Error: no volume with name \"absent\" found: no such volume"))
    );
    assert_eq!(env.ok(["volume", "rm", "--force", "absent"]), "");
    let mut running = env.shell(["--name", "user", "-v", "three:/m"], "echo ready; exec sleep 1000").start();
    let _ready = running.wait_for("ready");
    let used = env.ctr(["volume", "rm", "three"]).run();
    assert_eq!(used.code(), 2, "{used}");
    assert!(used.stderr.contains("volume three is being used by the following container(s)"), "{used}");
    assert_eq!(env.ctr(["volume", "rm", "three", "-t", "0"]).run().code(), 125, "--time without --force");
    assert_eq!(env.ok(["volume", "rm", "-f", "--time", "0", "three"]), "three");
    let _ended = running.finish();
    assert_eq!(env.ok(["ps", "-a", "-q"]), "");
    let _made = env.ok(["volume", "create", "four"]);
    assert_eq!(env.ok(["volume", "remove", "--all"]), "four");
    assert_eq!(env.ctr(["volume", "rm"]).run().code(), 125);
    assert_eq!(env.ctr(["volume", "rm", "--all", "x"]).run().code(), 125);
    for folder in ["volumes", "trash"] {
        assert_eq!(std::fs::read_dir(env.store().join(folder)).expect("a folder").count(), 0, "{folder}");
    }
}

#[test]
fn prune_takes_what_nobody_uses() {
    needs!(Userns);
    let env = Env::with_busybox();
    let _named = env.ok(["volume", "create", "named"]);
    let _labelled = env.ok(["volume", "create", "--label", "keep=no", "labelled"]);
    let anonymous = env.ok(["volume", "create"]);
    let asked = env.ctr(["volume", "prune"]).stdin("n\n").run().success();
    assert!(
        asked.contains(&anonymous) && asked.contains("anonymous local volumes") && !asked.contains("named"),
        "{asked}"
    );
    let none = env.ctr(["volume", "prune", "--filter", "label=x"]).stdin("y\n").run().success();
    assert!(none.ends_with("No dangling anonymous volumes found"), "{none}");
    assert_eq!(env.ctr(["volume", "prune"]).run().code(), 125, "no answer is none");
    let dry = env.ok(["volume", "prune", "--dry-run", "-a", "--filter", "label=keep"]);
    assert_eq!(dry, "Volumes that would be pruned:\nlabelled");
    assert_eq!(env.ok(["volume", "prune", "--force"]), anonymous);
    let said = env.ctr(["volume", "prune", "--all"]).stdin("y\n").run().success();
    assert!(said.contains("This will remove all volumes") && said.ends_with("labelled\nnamed"), "{said}");
    let _named = env.ok(["volume", "create", "named"]);
    assert_eq!(env.ok(["volume", "prune", "-f", "--filter", "all=true"]), "named");
    for wrong in [&["-f", "--dry-run"][..], &["-a", "--filter", "all=true"], &["-f", "--filter", "name=x"]] {
        assert_eq!(env.ctr(["volume", "prune"]).args(wrong).run().code(), 125, "{wrong:?}");
    }
}

#[test]
fn archives_go_out_and_in() {
    needs!(Userns);
    let env = Env::with_busybox();
    let _made = env.sh(
        ["-v", "one:/m"],
        "mkdir /m/d; echo x >/m/d/f; chown 7:8 /m/d/f; chmod 604 /m/d/f; ln -s f /m/d/l; touch /m/.wh.x",
    );
    let path = env.path("one.tar");
    let _out = env.ctr(["volume", "export", "--output"]).args([&path]).args(["one"]).run().success();
    let piped = env.program("sh", ["-c", "ctr volume export one | cmp - one.tar"]).run();
    assert_eq!(piped.code(), 0, "{piped}");
    let listed = env.program("tar", ["-tf"]).args([&path]).run().success();
    assert_eq!(listed, ".wh.x\nd/\nd/f\nd/l");
    let _two = env.ok(["volume", "create", "two"]);
    let _in = env.ctr(["volume", "import", "two"]).args([&path]).run().success();
    let seen = env.sh(["-v", "two:/m"], "cd /m; stat -c '%n %u:%g %a' d/f; readlink d/l; ls -A");
    assert_eq!(seen, "d/f 7:8 604\nf\n.wh.x\nd");
    let zipped = ctr_tests::image::gzip(&std::fs::read(&path).expect("the archive"));
    let _three = env.ok(["volume", "create", "three"]);
    let _in = env.ctr(["volume", "import", "three", "-"]).stdin(zipped).run().success();
    assert_eq!(env.sh(["-v", "three:/m"], "cat /m/d/f"), "x");
    for (args, why) in [
        (&["export", "absent"][..], 125),
        (&["import", "absent", "one.tar"], 125),
        (&["import", "two", "no-such-file"], 125),
        (&["export", "one", "-o", ""], 125),
        (&["import", "two"], 125),
    ] {
        let output = env.ctr(["volume"]).args(args).run();
        assert_eq!(output.code(), why, "{args:?}: {output}");
    }
    let said = env.ctr(["volume", "import", "two", "-"]).stdin("no archive").run().fails(125);
    assert!(said.contains("cannot unpack the archive into the volume"), "{said}");
}

/// Class G: archives reach nothing outside the volume.
#[test]
fn hostile_archives_stay_inside() {
    needs!(Userns);
    let env = Env::new();
    let canary = env.path("canary");
    std::fs::create_dir(&canary).expect("a folder");
    std::fs::write(canary.join("file"), "alive").expect("a file");
    let before = ctr_tests::tree::picture(&canary);
    let away = canary.to_str().expect("a path");
    let _made = env.ok(["volume", "create", "v"]);
    let up = "../../../../../../../../../..";
    for (number, layer) in [
        Layer::new().file(format!("{up}{away}/file"), 0o644, "dead"),
        Layer::new().symlink("out", away).file("out/file", 0o644, "dead"),
        Layer::new().symlink("out", format!("{up}{away}")).dir("out/", 0o777).file("out/file", 0o644, "dead"),
        Layer::new().hardlink("mine", format!("{away}/file")).file("mine", 0o644, "dead"),
        Layer::new().symlink("out", away).hardlink("mine", "out/file"),
        Layer::new().file("_data/../../volume.json", 0o644, "{}"),
    ]
    .into_iter()
    .enumerate()
    {
        let _refused_or_inside = env.ctr(["volume", "import", "v", "-"]).stdin(layer.tar()).run();
        assert_eq!(ctr_tests::tree::picture(&canary), before, "archive {number}");
        assert_eq!(names(&env, &[]), ["v"], "archive {number}");
    }
}

#[test]
fn a_session_of_unshare_mounts_volumes() {
    needs!(Userns);
    let env = Env::new();
    std::fs::create_dir(env.path("folder")).expect("a folder");
    let _file = env.file("folder/f", "of the host");
    let device = format!("device={}", env.path("folder").display());
    let _plain = env.ok(["volume", "create", "plain"]);
    let _bound = env.ok(["volume", "create", "-o", "type=bind", "-o", &device, "bound"]);
    let outside = env.named("podman", ["volume", "mount", "plain"]).run();
    assert_eq!(outside.code(), 125, "{outside}");
    assert!(outside.stderr.contains("must execute `podman unshare` first"), "{outside}");
    let script = "touch $(ctr volume mount plain)/x; cat $(ctr volume mount bound)/f; echo; ctr volume unmount bound plain";
    let seen = env.ctr(["unshare", "sh", "-c", script]).run().success();
    assert_eq!(seen, "of the host\nbound\nplain");
    let at = env.ok(["volume", "inspect", "-f", "{{.Mountpoint}}", "plain"]);
    assert!(std::path::Path::new(&at).join("x").exists());
    for args in [
        &["unmount", "absent"][..],
        &["export", "absent"],
        &["import", "absent", "-"],
        &["inspect", "absent"],
    ] {
        let said = env.ctr(["volume"]).args(args).run().fails(125);
        assert!(said.contains("absent"), "{args:?}: {said}");
    }
}

#[test]
fn what_happens_to_volumes_is_written_down() {
    needs!(Userns);
    let env = Env::new();
    for args in [
        &["create", "a"][..],
        &["create", "--ignore", "a"],
        &["create", "b"],
        &["rm", "a"],
        &["prune", "-f", "--filter", "all=true"],
    ] {
        let _done = env.ctr(["volume"]).args(args).run().success();
    }
    let events =
        env.ok(["events", "--stream=false", "-f", "type=volume", "--format", "{{.Status}} {{.Name}}"]);
    assert_eq!(events, "create a\ncreate b\nremove a\nremove b\nprune b");
}
