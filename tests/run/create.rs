//! `create`: it takes what `run` takes, and a start later brings it about.

use ctr_tests::{BUSYBOX, Env, needs};

/// Creates a container, starts it, and returns what it prints and how it ends.
fn later(env: &Env, flags: &[&str], script: &str) -> (String, i32) {
    let id = env.ok([&["create"][..], flags, &[BUSYBOX, "sh", "-c", script]].concat());
    assert_eq!(id.len(), 64, "{id}");
    let output = env.ctr(["start", "--attach", &id]).run();
    let result = (output.stdout.trim_end().to_owned(), output.code());
    assert!(output.stderr.is_empty(), "{flags:?}: {output}");
    result
}

#[test]
fn what_is_said_of_the_environment_is_kept() {
    needs!(Userns);
    let env = Env::with_busybox();
    assert!(env.file("vars", "FILE=1\n").exists());
    let create = [
        "create",
        "--name",
        "one",
        "--env",
        "A=1",
        "-e",
        "FROM_HOST",
        "--env-file",
        "vars",
        "--unsetenv",
        "container",
    ];
    let script = "echo $A $FROM_HOST $FILE ${container-none} ${http_proxy-none}";
    let args = [&create[..], &["--http-proxy=false", BUSYBOX, "sh", "-c", script]].concat();
    let id = env.ctr(args).var("FROM_HOST", "then").var("http_proxy", "p").run().success();
    assert_eq!(id.trim().len(), 64);
    let started = env.ctr(["start", "-a", "one"]).var("FROM_HOST", "now").run();
    assert_eq!(started.success(), "1 then 1 none none");
    let host = env.ctr([
        "create",
        "--env-host",
        "--unsetenv-all",
        "--name",
        "two",
        BUSYBOX,
        "sh",
        "-c",
        "echo $FROM_HOST",
    ]);
    assert_eq!(host.var("FROM_HOST", "then").run().code(), 0);
    assert_eq!(env.ok(["start", "-a", "two"]), "then");
}

#[test]
fn who_it_is_and_where() {
    needs!(Userns);
    let env = Env::with_busybox();
    let fill = ["run", "--name", "other", "-v", "/data", BUSYBOX, "sh", "-c", "echo of another >/data/file"];
    assert_eq!(env.ok(fill), "");
    for (flags, script, said) in [
        (&["--user", "7:8", "--group-add", "9"][..], "id -u; id -G | tr ' ' ,", "7\n8,9"),
        (&["--workdir", "/tmp", "--umask", "077"], "pwd; umask", "/tmp\n0077"),
        (
            &["--hostname", "h1", "--add-host", "other:10.0.0.1"],
            "hostname; grep -c other /etc/hosts",
            "h1\n1",
        ),
        (&["--image-volume", "ignore", "--volumes-from", "other:ro"], "cat /data/file", "of another"),
        (&["--no-hosts"], "test -e /etc/hosts || echo none", "none"),
        (&["--passwd-entry", "me:x:0:0::/:/bin/sh", "--user", "4242"], "grep -c me:x /etc/passwd", "1"),
        (&["--group-entry", "us:x:4242:", "--user", "4242:4242"], "grep -c us:x /etc/group", "1"),
        (&["--tz", "UTC"], "test -e /etc/localtime && echo zone", "zone"),
        (&["--entrypoint", "[\"sh\",\"-c\",\"echo own\"]"], "true", "own"),
        (&["--init"], "grep -c init /proc/1/comm", "1"),
        (&["--userns", "keep-id"], "test $(id -u) != 0 && echo kept", "kept"),
        (
            &["--uidmap", "0:1:2000", "--gidmap", "0:1:2000"],
            "cat /proc/self/uid_map | tr -s ' ' | cut -d' ' -f4",
            "2000",
        ),
        (&["--platform", "linux/amd64", "--pull", "never", "--quiet"], "echo here", "here"),
        (&["--timeout", "3600", "--stop-timeout", "1", "--stop-signal", "INT"], "echo x", "x"),
        (&["--label", "a=b", "--annotation", "c=d", "--restart", "no"], "echo x", "x"),
        (&["--log-driver", "k8s-file", "--log-opt", "max-size=1m"], "echo x", "x"),
    ] {
        assert_eq!(later(&env, flags, script), (said.to_owned(), 0), "{flags:?}");
    }
    let user = std::process::Command::new("id").arg("-un").output().expect("id").stdout;
    let user = String::from_utf8_lossy(&user).trim().to_owned();
    for flag in ["--subuidname", "--subgidname"] {
        assert_eq!(later(&env, &[flag, &user], "echo x"), ("x".to_owned(), 0), "{flag}");
    }
}

#[test]
fn labels_come_from_files_too() {
    needs!(Userns);
    let env = Env::with_busybox();
    assert!(env.file("one,two", "a=of the first\n\n  # no label\nb=\"q\"=x\n").exists());
    assert!(env.file("more", "a=of the second\nalone\n").exists());
    let flags = ["--label-file", "one,two", "--label-file", "more", "--label", "c=d", "--label=alone=not"];
    env.ok([&["create", "--name", "made"][..], &flags, &[BUSYBOX, "true"]].concat());
    let labels = "{{json .Config.Labels}}";
    let seen = env.ok(["container", "inspect", "--format", labels, "made"]);
    assert_eq!(seen, r#"{"a":"of the second","alone":"not","b":"\"q\"=x","c":"d"}"#);
    env.ok(["run", "--name", "ran", "--label-file", "more", BUSYBOX, "true"]);
    let seen = env.ok(["container", "inspect", "--format", labels, "ran"]);
    assert_eq!(seen, r#"{"a":"of the second","alone":""}"#);
    let missing = env.ctr(["create", "--label-file", "none", BUSYBOX, "true"]).run().fails(125);
    assert!(missing.contains("none"), "{missing}");
}

#[test]
fn whose_user_namespace_it_is() {
    needs!(Userns);
    let env = Env::with_busybox();
    let other = format!("container:{}", env.ok(["create", "--name", "other", BUSYBOX, "true"]));
    for (mode, shown) in
        [("host", ""), ("keep-id", "private"), ("auto", "private"), ("container:other", other.as_str())]
    {
        let id = env.ok(["create", "--userns", mode, BUSYBOX, "true"]);
        let seen = env.ok(["container", "inspect", "--format", "{{.HostConfig.UsernsMode}}", &id]);
        assert_eq!(seen, shown, "{mode}");
    }
}

#[test]
fn what_it_may_do_and_see() {
    needs!(Userns);
    let env = Env::with_busybox();
    std::fs::create_dir(env.path("folder")).expect("a folder");
    assert!(env.file("folder/file", "here\n").exists());
    let bound = "./folder:/bound:ro";
    let mounted = format!("type=bind,source={},target=/mounted", env.path("folder").display());
    for (flags, script, said) in [
        (&["--volume", bound, "--mount", &mounted][..], "cat /bound/file /mounted/file", "here\nhere"),
        (&["--tmpfs", "/mem", "--shm-size", "1m"], "grep -c ' /mem tmpfs' /proc/mounts", "1"),
        (&["--read-only", "--read-only-tmpfs=false"], "touch /x 2>/dev/null || echo no", "no"),
        (&["--device", "/dev/null:/dev/nothing"], "test -c /dev/nothing && echo node", "node"),
        (
            &["--cap-drop", "all", "--cap-add", "chown"],
            "grep CapEff /proc/self/status | cut -f2",
            "0000000000000001",
        ),
        (&["--security-opt", "no-new-privileges"], "grep NoNewPrivs /proc/self/status | cut -f2", "1"),
        (&["--ulimit", "nofile=100:200"], "ulimit -n", "100"),
        (&["--sysctl", "net.ipv4.ip_default_ttl=77"], "cat /proc/sys/net/ipv4/ip_default_ttl", "77"),
        (&["--privileged"], "test -w /proc/sysrq-trigger || grep -c CapEff /proc/self/status", "1"),
        (&["--network", "none"], "ls /sys/class/net | wc -l", "1"),
        (&["--net", "host"], "echo x", "x"),
        (&["--pid", "host"], "test $$ != 1 && echo host", "host"),
        (&["--ipc", "host", "--uts", "host", "--cgroupns", "host"], "echo x", "x"),
    ] {
        assert_eq!(later(&env, flags, script), (said.to_owned(), 0), "{flags:?}");
    }
}

#[test]
fn files_of_ids_a_folder_as_root_and_the_end_with_rm() {
    needs!(Userns);
    let env = Env::with_busybox();
    let id = env.ok(["create", "--cidfile", "cid", "--pidfile", "pid", "--rm", "-i", BUSYBOX, "cat"]);
    assert_eq!(std::fs::read_to_string(env.path("cid")).expect("the file"), id);
    assert_eq!(env.ctr(["start", "-ai", &id]).stdin("typed").run().success(), "typed");
    assert_eq!(env.ctr(["container", "exists", &id]).run().code(), 1);
    assert!(!env.path("cid").exists() && !env.path("pid").exists());
    let terminal = env.ok(["create", "--tty", "--interactive", "--attach", "stdin", BUSYBOX, "tty"]);
    assert_eq!(env.ctr(["start", "-a", &terminal]).run().stdout.trim_end(), "/dev/pts/0");
    std::fs::create_dir(env.path("empty")).expect("a folder");
    let rootfs = env.ok(["create", "--rootfs", "empty", "/nothing"]);
    assert_eq!(env.ctr(["start", &rootfs]).run().code(), 125);
    assert_eq!(env.ctr(["start", "-a", &rootfs]).run().code(), 127);
    assert_eq!(env.ctr(["create", "no/such/image"]).run().code(), 125);
    assert_eq!(env.ok(["ps", "-aq"]).lines().count(), 2);
}

#[test]
fn what_goes_with_its_end_goes_though_a_file_of_its_id_cannot() {
    needs!(Userns);
    let env = Env::with_busybox();
    let id =
        env.ok(["create", "--rm", "--cidfile", "cid", "--pidfile", "pid", "-v", "/data", BUSYBOX, "true"]);
    std::fs::remove_file(env.path("cid")).expect("the file");
    std::fs::create_dir(env.path("cid")).expect("a folder");
    let _output = env.ok(["start", "-a", &id]);
    // What the monitor has become is not waited for; it lets go of the folder at last.
    while env.store().join("containers").join(&id).exists() || !env.ok(["volume", "ls", "-q"]).is_empty() {
        std::thread::yield_now();
    }
    assert!(!env.path("pid").exists());
}

#[test]
fn inspect_shows_the_limits_of_the_last_start() {
    needs!(Userns);
    let env = Env::with_busybox();
    let limits = "{{range .HostConfig.Ulimits}}{{.Name}}={{.Soft}}:{{.Hard}} {{end}}";
    let shown = || env.ok(["inspect", "--format", limits, "it"]);
    let script = "ulimit -Hn; awk '/Max processes/ {print $4}' /proc/self/limits";
    env.ok(["create", "--name", "it", BUSYBOX, "sh", "-c", script]);
    assert_eq!(shown(), "");
    let started = env.ok(["start", "-a", "it"]);
    let (files, processes) = started.split_once('\n').expect("two numbers");
    assert_eq!(
        shown().trim_end(),
        format!("RLIMIT_NOFILE={files}:{files} RLIMIT_NPROC={processes}:{processes}")
    );
}

#[test]
fn how_soon_it_ends_for_want_of_memory() {
    needs!(Userns);
    let env = Env::with_busybox();
    let own: i32 = std::fs::read_to_string("/proc/self/oom_score_adj")
        .expect("the score")
        .trim()
        .parse()
        .expect("a number");
    let asked = (own + 10).min(1000).to_string();
    let score = ["cat", "/proc/self/oom_score_adj"];
    let run = |flags: &[&str]| env.ctr([&["run", "--rm"][..], flags, &[BUSYBOX], &score].concat());
    assert_eq!(run(&["--oom-score-adj", &asked]).run().success(), asked);
    assert_eq!(run(&[]).run().success(), own.to_string());
    let refused = env.shell(["--oom-score-adj=1001"], "true").run().fails(125);
    assert!(refused.contains("from -1000 to 1000"), "{refused}");
    if own > -1000 {
        let lowered = run(&["--oom-score-adj=-1000"]).run();
        assert_eq!(lowered.stdout.trim(), own.to_string());
        assert!(lowered.stderr.contains("is lower than the current one, changing to"), "{lowered}");
    }
    env.ok([&["create", "--name", "it", "--oom-score-adj", &asked, BUSYBOX][..], &score].concat());
    assert_eq!(env.ok(["inspect", "--format", "{{.HostConfig.OomScoreAdj}}", "it"]), asked);
    assert_eq!(env.ok(["start", "-a", "it"]), asked);
    let file = env.file("containers.conf", format!("[containers]\noom_score_adj = {asked}\n"));
    assert_eq!(run(&[]).var("CONTAINERS_CONF", &file).run().success(), asked);
}

#[test]
fn what_stands_for_nothing_is_said() {
    needs!(Userns);
    let env = Env::with_busybox();
    let noop = env.ctr(["run", "--rm", "--kernel-memory", "100", BUSYBOX, "echo", "ran"]).run();
    assert_eq!((noop.code(), noop.stdout.as_str()), (0, "ran\n"));
    assert!(noop.stderr.contains("--kernel-memory flag is no longer supported"), "{noop}");
    let made = env.ctr(["create", "--kernel-memory", "100", "--name", "it", BUSYBOX, "true"]).run();
    assert!(made.code() == 0 && made.stderr.contains("This flag is a noop"), "{made}");
    // A folder names no command, as an image does.
    let root = env.path("root");
    std::fs::create_dir(&root).expect("a folder");
    let root = root.display().to_string();
    assert!(env.ctr(["run", "--rm", "--rootfs", &root]).run().fails(127).contains("no command"));
    let said = env.named("podman", ["run", "--rm", "--rootfs", &root]).run().fails(127);
    assert!(said.contains("executable file `` not found in $PATH"), "{said}");
}

#[test]
fn inspect_knows_what_was_asked_for_before_the_first_start() {
    needs!(Userns);
    let env = Env::with_busybox();
    let show = |name: &str, format: &str| env.ok(["inspect", name, "--format", format]);
    let create = |name: &str, flags: &[&str]| {
        let id = env.ok([&["create", "--name", name][..], flags, &[BUSYBOX, "true"]].concat());
        assert_eq!(id.len(), 64, "{id}");
    };
    create("one", &["-e", "A=1", "-h", "box", "--cap-add", "net_admin", "--cap-drop", "CAP_CHOWN"]);
    let before = show("one", "{{join .Config.Env \" \"}}");
    for variable in ["A=1", "HOSTNAME=box", "container=", "PATH=/"] {
        assert!(before.contains(variable), "{variable} is missing: {before}");
    }
    let caps = "{{.HostConfig.CapAdd}} {{.HostConfig.CapDrop}} {{len .EffectiveCaps}} {{len .BoundingCaps}}";
    assert_eq!(show("one", caps), "[CAP_NET_ADMIN] [CAP_CHOWN] 11 11");
    create("two", &["--user", "7", "--cap-add", "net_admin"]);
    assert_eq!(show("two", caps), "[CAP_NET_ADMIN] [] 1 12");
    create("all", &["--privileged"]);
    assert_eq!(show("all", "{{.HostConfig.CapAdd}} {{.HostConfig.CapDrop}}"), "[] []");
    let sized: serde_json::Value = serde_json::from_str(&env.ok(["inspect", "--size", "one"])).expect("JSON");
    assert_eq!(sized[0]["SizeRw"], 0, "none is a number too");
    // The start adds what only it knows, and takes nothing back.
    assert_eq!(env.ok(["start", "one"]), "one");
    let after = show("one", "{{join .Config.Env \" \"}}");
    assert!(after.starts_with(&before) && after.contains("HOME=/"), "{before}: {after}");
    assert_eq!(show("one", caps), "[CAP_NET_ADMIN] [CAP_CHOWN] 11 11");
    let wrong = env.ctr(["create", "--cap-add", "nonsense", BUSYBOX]).run();
    assert_eq!(wrong.code(), 125, "{wrong}");
    assert_eq!(env.ok(["ps", "-aq"]).lines().count(), 3, "nothing is left of it");
}

#[test]
fn one_that_cannot_be_started_is_told_once_and_the_others_are_started_once() {
    needs!(Userns);
    let env = Env::with_busybox();
    let create = |name: &str, command: &[&str]| {
        assert_eq!(env.ok([&["create", "--name", name, BUSYBOX][..], command].concat()).len(), 64);
    };
    create("bad", &["nosuch"]);
    create("good", &["sleep", "1000"]);
    create("worse", &["nosuch-either"]);
    for (verb, starts) in [(&["start"][..], "good"), (&["restart", "-t", "0"], "good\ngood")] {
        let output = env.ctr(verb).args(["bad", "good", "worse"]).run();
        assert_eq!((output.code(), output.stdout.as_str()), (125, "good\n"), "{output}");
        let told = |word: &str| output.stderr.matches(&format!("cannot run `{word}`")).count();
        assert_eq!((told("nosuch"), told("nosuch-either")), (1, 1), "{output}");
        let format = ["--filter", "event=start", "--format", "{{.Name}}"];
        assert_eq!(env.ok([&["events", "--stream=false"][..], &format].concat()), starts);
    }
    assert_eq!(env.ok(["ps", "--format", "{{.Names}}"]), "good");
}
