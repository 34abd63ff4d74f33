//! `ps`, `rm`, `container …`, and the empty sets: pods, networks.

use ctr_tests::env::Running;
use ctr_tests::{BUSYBOX, Env, needs};

use crate::kept::process;

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
    assert_eq!(env.ok(["ps", "--ns"]), env.ok(["ps", "--namespace"]));
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
fn what_a_list_remembers_is_checked_each_time() {
    needs!(Userns);
    let env = Env::with_busybox();
    let list = || env.ok(["ps", "-a", "--format", "{{.Names}} {{.State}} {{.ExitCode}}"]);
    let memory = env.run_dir().join("ctr/overview.4");
    // What changed a moment ago is not remembered.
    let settled = || {
        std::fs::remove_file(&memory).ok();
        while !memory.exists() {
            list();
        }
    };
    env.ok(["create", "--name", "one", BUSYBOX, "sleep", "1000"]);
    settled();
    assert_eq!(list(), "one created 0");
    env.ok(["rename", "one", "two"]);
    assert_eq!(list(), "two created 0");
    settled();
    env.ok(["start", "two"]);
    assert_eq!(list(), "two running 0");
    settled();
    rustix::process::kill_process(process(&env, "two", "ConmonPid"), rustix::process::Signal::KILL)
        .expect("it is ours");
    env.ok(["wait", "two"]);
    assert_eq!(list(), "two exited 137");
    for garbled in [
        String::new(),
        "x\ny z\n".to_owned(),
        std::fs::read_to_string(&memory).expect("text").replace(['{', '}'], ""),
    ] {
        std::fs::write(&memory, garbled).expect("a file");
        assert_eq!(list(), "two exited 137");
    }
    env.ok(["rm", "two"]);
    assert_eq!(list(), "");
}

#[test]
fn of_a_long_list_too_each_is_asked_what_it_does() {
    needs!(Userns);
    let env = Env::with_busybox();
    for number in 0..64 {
        env.ok(["create", "--name", &format!("one{number}"), BUSYBOX, "sleep", "1000"]);
    }
    env.ok(["start", "one7"]);
    let memory = env.run_dir().join("ctr/overview.4");
    let is_remembered = || std::fs::read_to_string(&memory).is_ok_and(|text| text.contains("\"one7\""));
    let list = || env.ok(["ps", "-a", "--format", "{{.Names}} {{.State}}", "--sort", "names"]);
    while !is_remembered() {
        list();
    }
    let states = |of_seven: &str| {
        let text = list();
        assert_eq!(text.lines().count(), 64);
        assert_eq!(text.lines().filter(|line| line.ends_with(" created")).count(), 63);
        assert!(text.contains(&format!("one7 {of_seven}\n")), "{text}");
    };
    states("running");
    let paused = env.ctr(["pause", "one7"]).run();
    // Without a control group nobody can be frozen.
    if paused.code() == 0 {
        states("paused");
        // The mark alone makes nobody a frozen one.
        env.ok(["unpause", "one7"]);
        states("running");
        env.ok(["pause", "one7"]);
        assert_eq!(env.ok(["unpause", "--all"]).lines().count(), 1);
        states("running");
    }
    rustix::process::kill_process(process(&env, "one7", "ConmonPid"), rustix::process::Signal::KILL)
        .expect("it is ours");
    env.ok(["wait", "one7"]);
    states("exited");
    env.ok(["rm", "--all", "--force"]);
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
    let mut one =
        env.shell(["--name", "one"], "head -c 4096 /dev/zero > /file; echo ready; exec sleep 1000").start();
    one.wait_for("ready\n");
    assert_eq!(env.ctr(["container", "exists", "--external", "one"]).run().code(), 0);
    assert_eq!(env.ctr(["container", "exists", "absent"]).run().code(), 1);
    let json: serde_json::Value =
        serde_json::from_str(&env.ok(["container", "inspect", "one"])).expect("JSON");
    assert_eq!(json[0]["Name"], "one");
    assert_eq!(json[0]["State"]["Status"], "running");
    assert!(json[0].get("SizeRw").is_none(), "sizes are only counted when they are asked for");
    let sized: serde_json::Value =
        serde_json::from_str(&env.ok(["container", "inspect", "--size", "one"])).expect("JSON");
    let bytes = |key: &str| sized[0][key].as_i64().expect("a number of bytes");
    assert!(bytes("SizeRw") >= 4096 && bytes("SizeRootFs") > bytes("SizeRw"), "{sized}");
    assert_eq!(env.ok(["container", "inspect", "--latest", "-f", "{{.Name}}"]), "one");
    let said = env.named("podman", ["container", "inspect", "absent"]).run().fails(125);
    assert_eq!(said, "Error: no such container \"absent\"\n");
    let _removed = env.ok(["rm", "-f", "-t", "0", "one"]);
    let _ended = one.finish();
}

#[test]
fn inspect_finds_whatever_has_the_name() {
    needs!(Userns);
    let env = Env::with_busybox();
    let one = sleeper(&env, "one");
    let of = |args: &[&str]| env.ctr(["inspect"]).args(args).run().success();
    let image = env.ok(["image", "inspect", "-f", "{{.Id}}", BUSYBOX]);
    let id = env.ok(["container", "inspect", "--format", "{{.Id}}", "one"]);
    assert_eq!(of(&["--format", "{{.Id}}", BUSYBOX, "one", &image]), format!("{image}\n{id}\n{image}"));
    assert_eq!(of(&["-l", "-f", "{{.Name}} {{.ImageName}}"]), format!("one {BUSYBOX}"));
    assert!(of(&["--type", "image", "-f", "{{.Size}}", BUSYBOX]).parse::<u64>().is_ok());
    let json: serde_json::Value = serde_json::from_str(&of(&["--size", "one", "busybox"])).expect("JSON");
    assert!(json[0]["SizeRootFs"].is_u64() && json[1]["RepoTags"][0] == BUSYBOX, "{json}");

    // A container comes before an image of the same name, and a type says which is meant.
    env.ok(["tag", BUSYBOX, "one"]);
    assert_eq!(of(&["-f", "{{.Id}}", "one"]), id);
    assert_eq!(of(&["-t", "image", "-f", "{{.Id}}", "one"]), image);

    for (args, said) in [
        (&["absent"][..], "no such object: \"absent\""),
        (&["--type", "container", BUSYBOX], "no such container \"localhost/busybox:latest\""),
        (&["--type", "image", "absent"], "absent: image not known"),
        (&["--type", "pod", "x"], "no such pod x"),
        (&["--type", "volume", "x"], "no such volume x"),
        (&["--type", "artifact", "x"], "x: artifact does not exist"),
        (&["--type", "image", "--latest"], "latest is not supported for type \"image\""),
        (&["--type", "image", "--size", "x"], "size is not supported for type \"image\""),
        (&["--latest", "x"], "--latest and arguments cannot be used together"),
        (&[], "no names or ids specified"),
        (
            &["--type", "nope", "x"],
            "invalid type \"nope\": must be \"image\", \"container\", \"pod\", \"network\", \"volume\", \
             \"artifact\", or \"all\"",
        ),
    ] {
        let found = env.named("podman", ["inspect"]).args(args).run().fails(125);
        assert_eq!(found, format!("Error: {said}\n"), "{args:?}");
    }
    let both = env.ctr(["inspect", "-f", "{{.Id}}", "absent", BUSYBOX]).run();
    assert_eq!(
        (both.code(), both.stdout.trim()),
        (125, image.as_str()),
        "what is there is shown all the same"
    );
    let _removed = env.ok(["rm", "-f", "-t", "0", "one"]);
    let _ended = one.finish();
    assert_eq!(
        env.ctr(["inspect", "--latest"]).run().fails(125),
        "Error: no containers to act on: no such container\n"
    );
}

#[test]
fn the_empty_sets_are_empty() {
    needs!(Userns);
    let env = Env::new();
    let _file = env.file("pod.id", "absent\n");
    for list in [
        &["pod", "rm", "--ignore", "--pod-id-file", "pod.id"][..],
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
        ],
        &["pod", "ps", "--noheading", "--filter", "name=x", "--format", "{{.Name}}"],
        &["pod", "ps", "--latest", "-q"],
        &["volume", "rm", "--all", "--force", "--time", "0"],
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
        (&["network", "rm", "absent"], 1),
        (&["pod", "rm", "--pod-id-file", "no-such-file"], 125),
    ] {
        let output = env.ctr(absent).run();
        assert_eq!(output.code(), code, "{output}");
    }
    assert_eq!(env.ctr(["network", "rm", "--force", "-t", "0", "absent"]).run().code(), 0);
}

#[test]
fn port_finds_no_ports_of_containers_that_have_none() {
    needs!(Userns);
    let env = Env::with_busybox();
    env.ok(["create", "--name", "c", BUSYBOX]);
    for args in
        [&["port", "c"][..], &["container", "port", "--all"], &["port", "-l"], &["port", "c", "80/tcp"]]
    {
        assert_eq!(env.ok(args), "", "{args:?}");
    }
    env.ok(["container", "port", "--latest"]);
    for verb in ["port", "export", "diff"] {
        assert_eq!(env.ok(["__completeNoDesc", verb, "c"]), "c\n:4");
    }
    env.ok(["port", "--all"]);
    for (args, told) in [
        (&["port"][..], "you must supply a running container name or id"),
        (&["port", "nothing"], "no such container"),
        (&["port", "-a", "c"], "no arguments are needed with --all"),
        (&["port", "-a", "-l"], "--all and --latest cannot be used together"),
        (&["port", "c", "80/tcp/x"], "port formats are port/protocol. '80/tcp/x' is invalid"),
        (&["port", "c", "65536"], "is not the number of a port"),
    ] {
        let said = env.ctr(args).run().fails(125);
        assert!(said.contains(told), "{args:?}: {said}");
    }
}

#[test]
fn ps_can_be_watched() {
    needs!(Userns);
    let env = Env::with_busybox();
    let _id = env.ok(["create", "--name", "web", BUSYBOX, "sleep", "1000"]);
    let mut watching =
        env.ctr(["ps", "-a", "-w", "1", "--size", "--format", "{{.Names}} {{.State}} {{.Size}}"]).start();
    let line = watching.wait_for("\n");
    assert!(line.starts_with("web created "), "{line}");
    assert_eq!(env.ok(["start", "web"]), "web");
    while !watching.wait_for("\n").starts_with("web running ") {}
    assert_eq!(env.ok(["rm", "-f", "-t", "0", "web"]), "web");
    watching.signal(rustix::process::Signal::TERM);
    assert_eq!(watching.finish().code(), 143);
    // What programs read is printed once.
    assert_eq!(env.ok(["ps", "--watch", "1", "--format", "json"]), "[]");
    assert_eq!(env.ok(["container", "ls", "-q", "--watch", "1"]), "");
    assert_eq!(env.ctr(["ps", "--watch", "1", "--latest"]).run().code(), 125);
    assert_eq!(env.ctr(["ps", "--watch", "-1"]).run().code(), 125);
}

#[test]
fn podman_finds_all_before_it_acts_and_has_the_oldest_first() {
    needs!(Userns);
    let env = Env::with_busybox();
    for name in ["a", "b"] {
        assert_eq!(env.ok(["create", "--name", name, BUSYBOX, "true"]).len(), 64);
    }
    let states =
        |program: &str| env.named(program, ["ps", "-a", "--format", "{{.Names}} {{.State}}"]).run().success();
    assert_eq!(states("podman"), "a created\nb created");
    assert_eq!(states("ctr"), "b created\na created");
    for (args, code) in
        [(&["start", "a", "absent"][..], 125), (&["rm", "a", "absent"], 1), (&["stop", "absent", "a"], 125)]
    {
        let said = env.named("podman", args).run();
        assert_eq!((said.code(), said.stdout.as_str()), (code, ""), "{args:?}: {said}");
    }
    assert_eq!(states("podman"), "a created\nb created");
    let said = env.ctr(["rm", "absent", "a"]).run();
    assert_eq!((said.code(), said.stdout.as_str()), (1, "a\n"), "{said}");
    assert_eq!(states("ctr"), "b created");
}

#[test]
fn ps_says_what_never_was_and_what_nobody_counted() {
    needs!(Userns);
    let env = Env::with_busybox();
    let create = ["create", "--name", "one", "-v", "data:/d", BUSYBOX, "true"];
    assert_eq!(env.ok(create).len(), 64);
    let list = |flags: &[&str]| env.ok([&["ps", "-a", "--format", "{{.Names}}"][..], flags].concat());
    assert_eq!(env.ok(["ps", "-a", "--format", "{{.StartedAt}} {{.ExitedAt}}"]), "-62135596800 -62135596800");
    for (filter, shown) in [
        ("volume=data", "one"),
        ("volume=data:/d", "one"),
        ("volume=data:/e", ""),
        ("ancestor=^localhost/.*", "one"),
        ("ancestor=^busy", ""),
    ] {
        assert_eq!(list(&["--filter", filter]), shown, "{filter}");
    }
    let said = env.named("podman", ["ps", "--filter", "status=nonsense"]).run().fails(125);
    assert_eq!(said, "Error: unknown container state: nonsense: invalid argument\n");
    let uncounted = env.ctr(["ps", "-a", "--format", "[{{.Size}}]"]).run();
    assert_eq!(uncounted.stdout, "[]\n");
    assert!(uncounted.stderr.contains("--size"), "{uncounted}");
    let counted = env.ok(["ps", "-a", "--size", "--format", "{{.Size}}"]);
    assert!(counted.starts_with("0B (virtual ") && counted.ends_with("MB)"), "{counted}");
    assert_eq!(env.ok(["ps", "-a", "--format", "{{.Namespaces}}"]), "{      }");
    for args in [&["start", "--sig-proxy", "one"][..], &["start", "--attach", "--filter", "name=."]] {
        let another = env.ok(["create", BUSYBOX, "true"]);
        assert_eq!(env.ctr(args).run().code(), 125, "{args:?}");
        assert_eq!(list(&["--filter", "status=created"]).lines().count(), 2);
        assert_eq!(env.ok(["rm", &another]), another);
    }
}
