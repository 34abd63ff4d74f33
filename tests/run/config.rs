//! Configuration files: which count, in which order, and what their keys do.

use std::path::PathBuf;

use ctr_tests::env::Invocation;
use ctr_tests::image::{Image, Layer};
use ctr_tests::{BUSYBOX, Env, needs};

/// What a command in a container prints where a file is the last word of the configuration.
fn said(env: &Env, conf: &str, flags: &[&str], command: &str) -> String {
    with(env, conf, flags, command).run().success()
}

fn with<'a>(env: &'a Env, conf: &str, flags: &[&str], command: &str) -> Invocation<'a> {
    let conf = env.file("containers.conf", conf);
    env.ctr(["run", "--rm"])
        .args(flags)
        .args([BUSYBOX, "sh", "-c", command])
        .var("CONTAINERS_CONF_OVERRIDE", conf)
}

/// Writes a file in the user's folder of configuration.
fn own(env: &Env, name: &str, text: &str) -> PathBuf {
    let path = env.home().join(".config/containers").join(name);
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    std::fs::write(&path, text).expect("a file");
    path
}

#[test]
fn the_user_s_file_counts_then_drop_ins_modules_and_the_override() {
    needs!(Userns);
    let env = Env::with_busybox();
    let says = |name: &str| format!("[containers]\nenv = ['{name}=1', 'LAST={name}', {{append=true}}]");
    let _main = own(&env, "containers.conf", &says("MAIN"));
    let _drop_in = own(&env, "containers.conf.d/50-x.conf", &says("DROP_IN"));
    let _not = own(&env, "containers.conf.d/50-x.conf.off", &says("OFF"));
    let _module = own(&env, "containers.conf.modules/some", &says("MODULE"));
    let extra = env.file("extra", says("EXTRA"));
    let last = env.file("last", says("OVERRIDE"));
    let seen = |all: &str, modules: &[&str], only: &str| {
        let run = env.ctr(modules).args(["run", "--rm", BUSYBOX, "env"]);
        let text = run.var("CONTAINERS_CONF", only).var("CONTAINERS_CONF_OVERRIDE", all).run().success();
        let names = ["MAIN", "DROP_IN", "OFF", "MODULE", "EXTRA", "OVERRIDE"];
        let there = names.into_iter().filter(|name| text.contains(&format!("\n{name}=1")));
        let last = text.lines().find_map(|line| line.strip_prefix("LAST=")).unwrap_or_default().to_owned();
        (there.collect::<Vec<_>>().join(" "), last)
    };
    let pair = |names: &str, last: &str| (names.to_owned(), last.to_owned());
    assert_eq!(seen("", &[], ""), pair("MAIN DROP_IN", "DROP_IN"));
    assert_eq!(seen("", &["--module", "some"], ""), pair("MAIN DROP_IN MODULE", "MODULE"));
    let last = last.to_str().expect("a path");
    let extra = extra.to_str().expect("a path");
    assert_eq!(
        seen(last, &["--module", "some", "--module", extra], ""),
        pair("MAIN DROP_IN MODULE EXTRA OVERRIDE", "OVERRIDE")
    );
    assert_eq!(seen(last, &["--module", "some"], extra), pair("MODULE EXTRA OVERRIDE", "OVERRIDE"));
}

#[test]
fn a_module_that_is_not_there_stops_every_command() {
    let env = Env::new();
    let said = env.ctr(["--module", "absent", "ps"]).run().fails(125);
    let folder = env.home().join(".config/containers/containers.conf.modules/absent");
    assert!(
        said.contains(&format!(
            "cannot find the module \"absent\" in any of {}, /etc/containers/",
            folder.display()
        )),
        "{said}"
    );
    let said = env.named("podman", ["--module=/no,where", "nonsense"]).run().fails(1);
    assert_eq!(
        said.trim_end(),
        "Failed to obtain podman configuration: parsing containers.conf: could not resolve module: open /no,where: no such file or directory"
    );
    let said = env.named("podman", ["run", "--module=x", BUSYBOX]).run().fails(125);
    assert_eq!(said.trim_end(), "Error: unknown flag: --module\nSee 'podman run --help'");
    let _module = own(&env, "containers.conf.modules/b-module", "");
    let _module = own(&env, "containers.conf.modules/a-module", "");
    let proposed = env.ok(["__completeNoDesc", "--module", ""]);
    assert!(proposed.starts_with("a-module\nb-module\n"), "{proposed}");
}

#[test]
fn a_broken_file_is_named_with_its_line() {
    let env = Env::new();
    let path = own(&env, "containers.conf", "[containers]\nsdf=\n");
    let broken = |name: &str| env.named(name, ["ps"]).var("CONTAINERS_CONF", "");
    let said = broken("ctr").run().fails(125);
    let path = path.display();
    assert_eq!(
        said.trim_end(),
        format!(
            "Error: cannot understand {path}: line 2 (last key \"containers.sdf\"): expected value but found '\\n' instead"
        )
    );
    let said = broken("podman").run().fails(1);
    assert_eq!(
        said.trim_end(),
        format!(
            "Failed to obtain podman configuration: parsing containers.conf: decode configuration \"{path}\": toml: line 2 \
             (last key \"containers.sdf\"): expected value but found '\\n' instead"
        )
    );
    let wrong = env.file("wrong", "containers.env = 1");
    let said = env.ctr(["ps"]).var("CONTAINERS_CONF", &wrong).run().fails(125);
    assert!(said.contains("containers.env is of kind integer where array of strings is needed"), "{said}");
    let said = env.ctr(["ps"]).var("CONTAINERS_CONF", "/no/such/file").run().fails(125);
    assert!(said.contains("/no/such/file: No such file or directory (ENOENT)"), "{said}");
}

#[test]
fn what_does_nothing_is_said_once_and_by_doctor() {
    needs!(Userns);
    let env = Env::with_busybox();
    let text = "[containers]\ntypo = 1\ncgroup_conf = ['a=b']\nlog_driver = 'journald'\nkeyring = true\n[engine]\nruntime = 'runc'\nstatic_dir = '/x'";
    let run = with(&env, text, &[], "true").run();
    let path = env.path("containers.conf");
    let path = path.display();
    assert_eq!(
        run.stderr,
        format!(
            "warning: {path}: containers.cgroup_conf is not supported yet; ignored\n\
             warning: {path}: engine.static_dir cannot be used: there is no database to be apart from the store: a container's \
             records lie beside its files (see graphroot of storage.conf); ignored\n\
             warning: {path}: unknown key containers.typo; ignored\n\
             warning: {path}: containers.log_driver = journald is not supported yet; ignored\n"
        )
    );
    let quiet = env.ctr(["ps"]).var("CONTAINERS_CONF_OVERRIDE", env.path("containers.conf")).run();
    assert_eq!((quiet.stderr.as_str(), quiet.code()), ("", 0));
    let checks =
        env.ctr(["doctor", "--format", "json"]).var("CONTAINERS_CONF_OVERRIDE", env.path("containers.conf"));
    let checks: serde_json::Value = serde_json::from_str(&checks.run().success()).expect("JSON");
    let config =
        checks.as_array().expect("checks").iter().find(|check| check["id"] == "config").expect("a check");
    let found = config["found"].as_str().expect("text");
    assert_eq!(config["status"], "degraded");
    for part in [
        "containers.cgroup_conf is not supported yet",
        "engine.static_dir cannot be used",
        "unknown key containers.typo",
        "engine.runtime has no meaning here: ",
    ] {
        assert!(found.contains(part), "{found}");
    }
}

#[test]
fn keys_that_stand_for_flags_are_their_defaults() {
    needs!(Userns);
    let env = Env::with_busybox();
    for (key, command, expected, flag, overridden) in [
        ("tz = 'Etc/GMT-3'", "date +%z", "+0300", "--tz=UTC", "+0000"),
        ("umask = '0027'", "umask", "0027", "--umask=0077", "0077"),
        ("shm_size = '1m'", "df -k /dev/shm | awk 'NR==2 {print $2}'", "1024", "--shm-size=2m", "2048"),
        (
            "read_only = true",
            "touch /x 2>/dev/null && echo written || echo refused",
            "refused",
            "--read-only=false",
            "written",
        ),
        ("init = true", "tr '\\0' ' ' < /proc/1/cmdline | grep -c sh", "0", "--init=false", "1"),
        (
            "default_ulimits = ['nofile=33:44']",
            "ulimit -Sn; ulimit -Hn",
            "33\n44",
            "--ulimit=nofile=55:66",
            "55\n66",
        ),
        (
            "default_sysctls = ['net.core.somaxconn=77']",
            "cat /proc/sys/net/core/somaxconn",
            "77",
            "--sysctl=net.core.somaxconn=88",
            "88",
        ),
        ("env = ['A=conf']", "echo $A", "conf", "--env=A=flag", "flag"),
        ("no_hosts = true", "cat /etc/hosts 2>/dev/null | grep -c mine", "0", "--no-hosts=false", "1"),
    ] {
        let conf = format!("[containers]\n{key}");
        let hosts = ["--hostname=mine"];
        let status = |flags: &[&str]| said(&env, &conf, flags, &format!("{command}; true"));
        assert_eq!(status(&hosts), expected, "{key}");
        assert_eq!(status(&[hosts[0], flag]), overridden, "{key} {flag}");
    }
}

#[test]
fn namespaces_and_ids_come_from_the_file() {
    needs!(Userns);
    let env = Env::with_busybox();
    let host = |kind: &str| {
        let link = std::fs::read_link(format!("/proc/self/ns/{kind}")).expect("a namespace");
        link.to_str().expect("text").to_owned()
    };
    for (key, kind, flag) in [
        ("ipcns", "ipc", "--ipc=private"),
        ("netns", "net", "--network=none"),
        ("pidns", "pid", "--pid=private"),
        ("utsns", "uts", "--uts=private"),
        ("cgroupns", "cgroup", "--cgroupns=private"),
    ] {
        let conf = format!("[containers]\n{key} = 'host'");
        let link = format!("readlink /proc/self/ns/{kind}");
        assert_eq!(said(&env, &conf, &[], &link), host(kind), "{key}");
        assert_ne!(said(&env, &conf, &[flag], &link), host(kind), "{key}");
    }
    let uid = rustix::process::getuid().as_raw();
    assert_eq!(said(&env, "containers.userns = 'keep-id'", &[], "id -u"), uid.to_string());
    assert_eq!(said(&env, "containers.ipcns = 'shareable'", &[], "echo fine"), "fine");
    // A parameter of a namespace that is not the container's own is left out.
    let sysctl = "containers.default_sysctls = ['net.core.somaxconn=77']";
    assert_eq!(said(&env, sysctl, &["--network=host"], "echo fine"), "fine");
    let error = with(&env, "containers.default_sysctls = ['vm.swappiness=1']", &[], "true").run().fails(125);
    assert!(
        error.contains("parsing containers.conf default_sysctls: sysctl 'vm.swappiness' is not allowed"),
        "{error}"
    );
}

#[test]
fn how_many_ids_auto_gives_comes_from_the_file() {
    needs!(Userns);
    let env = Env::with_busybox();
    let configured = |lines: &str, flags: &[&str]| {
        let conf = env.file("storage.conf", format!("[storage.options]\n{lines}"));
        let run = [
            &["run", "--rm"],
            flags,
            &[BUSYBOX, "sh", "-c", "awk '{ n += $3 } END { print n }' /proc/self/uid_map"],
        ];
        env.ctr(run.concat()).var("CONTAINERS_STORAGE_CONF", conf).run()
    };
    let auto = ["--userns", "auto"];
    assert_eq!(configured("", &auto).success(), "1501", "as many as the image has names for");
    assert_eq!(configured("auto-userns-min-size = 2000", &auto).success(), "2000");
    assert_eq!(configured("auto-userns-min-size = 2000", &["--userns", "auto:size=3000"]).success(), "3000");
    let said = configured("auto-userns-max-size = 1000", &auto).fails(125);
    assert!(
        said.contains("the container needs 1501 ids, more than --userns=auto gives without size="),
        "{said}"
    );
    let quiet = configured("root-auto-userns-user = 'somebody'", &auto);
    assert_eq!((quiet.code(), quiet.stderr.as_str()), (0, ""), "it is for root");
}

#[test]
fn where_the_state_of_a_boot_is_comes_from_the_file() {
    needs!(Userns);
    let env = Env::with_busybox();
    let tmp = env.path("tmp");
    let conf = env.file("containers.conf", format!("[engine]\ntmp_dir = '{}'", tmp.display()));
    let info = |flags: &[&str]| {
        let args = [flags, &["info", "--format", "{{.Store.RunRoot}}"]].concat();
        env.ctr(args).var("CONTAINERS_CONF_OVERRIDE", &conf).run().success()
    };
    assert_eq!(info(&[]), tmp.join("ctr").display().to_string());
    assert_eq!(info(&["--tmpdir", "/other"]), "/other");
    let run = env.ctr(["run", "--rm", BUSYBOX, "echo", "fine"]).var("CONTAINERS_CONF_OVERRIDE", &conf).run();
    assert_eq!((run.success().as_str(), tmp.join("ctr/locks").is_dir()), ("fine", true));
}

#[test]
fn a_container_has_no_control_group_where_the_file_says_so() {
    needs!(Userns);
    let env = Env::with_busybox();
    let own = || std::fs::read_to_string("/proc/self/cgroup").expect("groups");
    for (name, conf, flags, is_disabled) in [
        ("usual", "", &[][..], false),
        ("same", "", &["--cgroups", "no-conmon"], false),
        ("file", "containers.cgroups = 'disabled'", &[], true),
        ("flag", "containers.cgroups = 'disabled'", &["--cgroups=enabled"], false),
    ] {
        let conf = env.file("containers.conf", conf);
        let create = [&["create", "--name", name], flags, &[BUSYBOX, "sleep", "1000"]].concat();
        let _id = env.ctr(create).var("CONTAINERS_CONF_OVERRIDE", &conf).run().success();
        assert_eq!(env.ok(["start", name]), name);
        let format = "{{.HostConfig.Cgroups}} {{.State.Pid}} {{.State.CgroupPath}}";
        let told = env.ok(["inspect", "--format", format, name]);
        let [mode, pid, path] = told.split(' ').collect::<Vec<_>>()[..] else { panic!("{told}") };
        assert_eq!(mode, if is_disabled { "disabled" } else { "default" }, "{name}");
        let theirs = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).expect("groups");
        if is_disabled {
            assert_eq!((path, theirs), ("", own()), "{name}");
        } else if !path.is_empty() {
            assert_ne!(theirs, own(), "{name}");
        }
        assert_eq!(env.ok(["rm", "-f", "-t", "0", name]), name);
    }
    assert_eq!(env.ok(["run", "--rm", "--cgroups", "disabled", BUSYBOX, "echo", "fine"]), "fine");
    for (mode, words) in
        [("split", "--cgroups split is not supported yet"), ("x", "invalid cgroup mode \"x\"")]
    {
        for verb in [&["run", "--rm"][..], &["create"]] {
            let said = env.ctr(verb).args(["--cgroups", mode, BUSYBOX, "true"]).run().fails(125);
            assert!(said.contains(words), "{said}");
        }
    }
}

#[test]
fn the_environment_and_the_proxies_come_from_the_file() {
    needs!(Userns);
    let env = Env::with_busybox();
    let show = "echo $FROM_HOST/$http_proxy";
    let run = |conf: &str, flags: &[&str]| {
        with(&env, conf, flags, show).var("FROM_HOST", "x").var("http_proxy", "p").run().success()
    };
    assert_eq!(run("", &[]), "/p");
    assert_eq!(run("containers.http_proxy = false", &[]), "/");
    assert_eq!(run("containers.http_proxy = false", &["--http-proxy"]), "/p");
    assert_eq!(run("containers.env_host = true", &[]), "x/p");
    assert_eq!(run("containers.env_host = true", &["--env-host=false"]), "/p");
}

#[test]
fn capabilities_and_rights_come_from_the_file() {
    needs!(Userns);
    let env = Env::with_busybox();
    let bounding = "awk '/CapBnd/ {print $2}' /proc/self/status";
    let two = "containers.default_capabilities = ['CHOWN', 'cap_net_raw']";
    assert_eq!(said(&env, two, &[], bounding), "0000000000002001");
    assert_eq!(said(&env, two, &["--cap-add=KILL", "--cap-drop=CHOWN"], bounding), "0000000000002020");
    let all = said(&env, two, &["--privileged"], bounding);
    assert_eq!(said(&env, "containers.privileged = true", &[], bounding), all);
    assert_ne!(said(&env, "containers.privileged = true", &["--privileged=false"], bounding), all);
    let profile = env.file("seccomp.json", r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["mkdir","mkdirat"],"action":"SCMP_ACT_ERRNO","errnoRet":1}]}"#);
    let conf = format!("containers.seccomp_profile = '{}'", profile.display());
    let make = "mkdir /x 2>/dev/null && echo made || echo refused";
    assert_eq!(said(&env, &conf, &[], make), "refused");
    assert_eq!(said(&env, &conf, &["--security-opt=seccomp=unconfined"], make), "made");
    assert_eq!(said(&env, &conf, &["--privileged"], make), "made");
}

#[test]
fn mounts_and_volumes_make_way_for_those_of_flags() {
    needs!(Userns);
    let env = Env::with_busybox();
    let (one, two) = (env.file("one", "1"), env.file("two", "2"));
    let (one, two) = (one.display(), two.display());
    let conf = format!(
        "[containers]\nmounts = ['type=bind,src={one},dst=/mounted,ro']\nvolumes = ['{one}:/bound:ro']\n\
         devices = ['/dev/null:/dev/nothing']"
    );
    let show = "cat /mounted /bound; test -c /dev/nothing";
    assert_eq!(said(&env, &conf, &[], show), "11");
    let mount = format!("--mount=type=bind,src={two},dst=/bound,ro");
    assert_eq!(said(&env, &conf, &[&mount], show), "12");
    let error = with(&env, "containers.mounts = ['type=nonsense,dst=/x']", &[], "true").run().fails(125);
    assert!(
        error.contains("parsing containers.conf mounts: invalid filesystem type \"nonsense\""),
        "{error}"
    );
    env.load(&Image::busybox("localhost/volume", []).set("Volumes", serde_json::json!({"/data": {}})));
    let conf = env.file("modes", "engine.image_volume_mode = 'tmpfs'");
    let kind = env.ctr(["run", "--rm", "localhost/volume", "stat", "-f", "-c", "%T", "/data"]);
    assert_eq!(kind.var("CONTAINERS_CONF_OVERRIDE", conf).run().success(), "tmpfs");
}

#[test]
fn names_and_annotations_come_from_the_file() {
    needs!(Userns);
    let env = Env::with_busybox();
    let conf = "[containers]\ncontainer_name_as_hostname = true\nannotations = ['a=conf', 'b=conf']";
    assert_eq!(said(&env, conf, &["--name=my_name.x"], "hostname"), "myname.x");
    assert_eq!(said(&env, conf, &["--hostname=other"], "hostname"), "other");
    assert!(said(&env, conf, &["--name="], "hostname").contains(|next: char| next.is_ascii_alphabetic()));
    let error = with(&env, "engine.pull_policy = 'nonsense'", &[], "true").run().fails(125);
    assert!(error.contains("unsupported pull policy \"nonsense\""), "{error}");
}

#[test]
fn what_is_kept_follows_the_file_as_well() {
    needs!(Userns, Overlay);
    let env = Env::with_busybox();
    let create = |conf: &str, flags: &[&str]| {
        let conf = env.file("conf", conf);
        let create = env.ctr(["create"]).args(flags).args([BUSYBOX, "sh", "-c", "echo $A"]);
        create.var("CONTAINERS_CONF_OVERRIDE", conf).run().success()
    };
    let shown = |id: &str, format: &str| env.ok(["inspect", "--format", format, id]);
    let conf = "[containers]\nannotations = ['a=conf', 'b=conf']\nlog_driver = 'none'\nlog_tag = 'mine'\nenv = ['A=conf']";
    let id = create(conf, &["--annotation", "b=flag"]);
    let format = "{{.Config.Annotations.a}} {{.Config.Annotations.b}} {{.HostConfig.LogConfig.Type}} {{.HostConfig.LogConfig.Tag}}";
    assert_eq!(shown(&id, format), "conf flag none mine");
    // What the file said when it was made holds when it is started.
    assert_eq!(env.ok(["start", "-a", &id]), "conf");
    let id = create(conf, &["--log-driver=k8s-file", "--log-opt=tag=other"]);
    assert_eq!(shown(&id, "{{.HostConfig.LogConfig.Type}} {{.HostConfig.LogConfig.Tag}}"), "k8s-file other");
    let id = create("containers.log_driver = 'journald'", &[]);
    assert_eq!(shown(&id, "{{.HostConfig.LogConfig.Type}}"), "k8s-file");
    let conf = env.file("keys", "engine.detach_keys = 'nonsense'");
    for command in [vec!["run", "--rm", BUSYBOX, "true"], vec!["start", "-a", &id]] {
        let said = env.ctr(&command).var("CONTAINERS_CONF_OVERRIDE", &conf).run().fails(125);
        assert!(said.contains("nonsense"), "{said}");
    }
}

#[test]
fn log_path_is_a_folder_for_all_logs_or_a_file() {
    needs!(Userns, Overlay);
    let env = Env::with_busybox();
    let folder = env.path("logs");
    std::fs::create_dir(&folder).expect("a folder");
    let run = |conf: &str, flags: &[&str]| {
        let conf = env.file("conf", conf);
        let run = env.ctr(["run", "--name", "c"]).args(flags).args([BUSYBOX, "echo", "said"]);
        run.var("CONTAINERS_CONF_OVERRIDE", conf).run()
    };
    let path = || env.ok(["inspect", "--format", "{{.HostConfig.LogConfig.Path}}", "c"]);
    let conf = format!("containers.log_path = '{}'", folder.display());
    let _said = run(&conf, &[]).success();
    let own = folder.join(env.ok(["inspect", "--format", "{{.Id}}", "c"])).join("ctr.log");
    assert_eq!(path(), own.to_str().expect("text"));
    assert!(std::fs::read_to_string(&own).expect("a log").ends_with(" stdout F said\n"));
    assert_eq!(env.ok(["start", "-a", "c"]), "said");
    assert_eq!(env.ok(["logs", "c"]), "said\nsaid");
    // It is there to stay.
    env.ok(["rm", "c"]);
    assert!(own.exists());
    let file = folder.join("file");
    let flag = format!("path={}", file.display());
    let _said = run(&conf, &["--log-opt", &flag]).success();
    assert_eq!((path(), file.exists()), (file.display().to_string(), true));
    env.ok(["rm", "c"]);
    // Who writes no log needs no folder.
    let before = folder.read_dir().expect("logs").count();
    let _said = run(&conf, &["--log-driver", "none"]).success();
    assert_eq!(folder.read_dir().expect("logs").count(), before);
    env.ok(["rm", "c"]);
    let said = run("containers.log_path = 'relative'", &[]).fails(125);
    assert!(said.contains("log_path must be an absolute path"), "{said}");
    assert_eq!(env.ok(["ps", "-aq"]), "");
}

#[test]
fn engines_get_variables_that_they_have_not() {
    needs!(Userns);
    let env = Env::with_busybox();
    let conf = "[engine]\nenv = ['http_proxy=conf', 'PASSED=conf', 'HERE=conf', 'wrong']";
    let command = "echo $http_proxy $PASSED $HERE $UNASKED";
    let run = with(&env, conf, &["-e", "PASSED", "-e", "HERE"], command).var("HERE", "own").run();
    assert_eq!(run.stdout.trim(), "conf conf own");
    assert!(run.stderr.contains("invalid environment variable for engine wrong"), "{run}");
    let conf = "[engine]\nenv = ['UNASKED=x=y']";
    assert_eq!(said(&env, conf, &[], "echo $UNASKED"), "");
    assert_eq!(said(&env, conf, &["--env-host"], "echo $UNASKED"), "x=y");
    let _id = env.ok(["run", "-d", "--name", "c", BUSYBOX, "sleep", "100"]);
    let exec = env.ctr(["exec", "-e", "UNASKED", "c", "sh", "-c", "echo $UNASKED"]);
    assert_eq!(exec.var("CONTAINERS_CONF_OVERRIDE", env.file("conf", conf)).run().success(), "x=y");
    env.ok(["rm", "-f", "-t", "0", "c"]);
}

#[test]
fn a_log_is_rotated_at_the_size_of_the_file() {
    needs!(Userns, Overlay);
    let env = Env::with_busybox();
    let conf = env.file("conf", "containers.log_size_max = 8192");
    let script = "i=0; while [ $i -lt 1000 ]; do echo a line of some thirty bytes; i=$((i + 1)); done";
    let run =
        env.ctr(["run", "--name", "it", BUSYBOX, "sh", "-c", script]).var("CONTAINERS_CONF_OVERRIDE", conf);
    let _lines = run.run().success();
    let file = env.ok(["inspect", "--format", "{{.HostConfig.LogConfig.Path}}", "it"]);
    for path in [file.clone(), format!("{file}.1"), format!("{file}.2")] {
        assert!(std::fs::metadata(&path).expect("a log").len() <= 8192, "{path}");
    }
}

#[test]
fn a_container_has_the_time_of_the_file_to_stop() {
    needs!(Userns, Overlay);
    let env = Env::with_busybox();
    let conf = env.file("conf", "engine.stop_timeout = 77");
    let made = env.ctr(["create", BUSYBOX]).var("CONTAINERS_CONF_OVERRIDE", &conf).run().success();
    assert_eq!(env.ok(["inspect", "--format", "{{.Config.StopTimeout}}", &made]), "77");
    let made = env
        .ctr(["create", "--stop-timeout=5", BUSYBOX])
        .var("CONTAINERS_CONF_OVERRIDE", &conf)
        .run()
        .success();
    assert_eq!(env.ok(["inspect", "--format", "{{.Config.StopTimeout}}", &made]), "5");
}

#[test]
fn an_image_that_is_made_has_the_format_of_the_file() {
    needs!(Userns, Overlay);
    let env = Env::with_busybox();
    let conf = env.file("docker", "engine.image_default_format = 'v2s2'");
    let mut running =
        env.ctr(["run", "--rm", "--name", "it", BUSYBOX, "sh", "-c", "echo ready; sleep 1000"]).start();
    let _ready = running.wait_for("ready");
    let commit = |flags: &[&str]| {
        env.ctr(["commit", "-q", "-m", "why"]).args(flags).args(["it"]).var("CONTAINERS_CONF_OVERRIDE", &conf)
    };
    let made = commit(&[]).run().success();
    assert_eq!(env.ok(["image", "inspect", "--format", "{{.Comment}}", &made]), "why");
    let said = commit(&["-f", "oci"]).run().fails(125);
    assert!(said.contains("only compatible with the docker image format"), "{said}");
    running.signal(rustix::process::Signal::KILL);
    let _killed = running.finish();
}

#[test]
fn the_store_is_where_storage_conf_says() {
    let env = Env::new();
    let (graph, run) = (env.path("graph"), env.path("run"));
    let conf = format!(
        "[storage]\ndriver = 'vfs'\ngraphroot = '{}'\nrunroot = '$HOME/../work/run'",
        graph.display()
    );
    let conf = env.file("storage.conf", conf);
    let info = |flags: &[&str]| {
        let format = "{{.Store.GraphRoot}} {{.Store.RunRoot}} {{.Store.GraphDriverName}}";
        let info = env.ctr(flags).args(["info", "--format", format]).var("CONTAINERS_STORAGE_CONF", &conf);
        info.run().success()
    };
    let home = env.home();
    assert_eq!(info(&[]), format!("{}/ctr {}/../work/run/ctr vfs", graph.display(), home.display()));
    let here = env.path("here");
    let given = info(&["--root", here.to_str().expect("a path"), "--storage-driver", "overlay"]);
    assert!(given.starts_with(&format!("{} ", here.display())) && given.ends_with(" overlay"), "{given}");
    assert!(
        !given.contains(&run.display().to_string()),
        "a root of its own has a run directory of its own: {given}"
    );
    // What is root's podman's own is nobody else's.
    let conf = env.file(
        "roots.conf",
        "[storage]\ngraphroot = '/var/lib/containers/storage'\nrunroot = '/run/containers/storage'",
    );
    let info = env.ctr(["info", "--format", "{{.Store.GraphRoot}}"]).var("CONTAINERS_STORAGE_CONF", conf);
    assert_eq!(info.run().success(), env.store().display().to_string());
}

#[test]
fn events_go_where_the_file_says() {
    let env = Env::new();
    let log = env.path("events.log");
    let conf = env.file(
        "conf",
        format!("[engine]\nevents_logfile_path = '{}'\nevents_logfile_max_size = '1k'", log.display()),
    );
    for at in 0..20 {
        let made = env.ctr(["volume", "create", &format!("volume-{at}")]).var("CONTAINERS_CONF", &conf);
        let _made = made.run().success();
    }
    let size = std::fs::metadata(&log).expect("a log").len();
    assert!((1..=1024).contains(&size), "{size}");
    let none = env.file("none", "engine.events_logger = 'none'");
    let _made = env.ctr(["volume", "create", "quiet"]).var("CONTAINERS_CONF", none).run().success();
    assert!(!env.store().join("events").exists());
}

#[test]
fn what_is_known_of_a_new_container_is_logged_on_demand() {
    needs!(Userns);
    let env = Env::with_busybox();
    let conf = env.file("conf", "engine.events_container_create_inspect_data = true");
    let with = |args: &[&str]| env.ctr(args).var("CONTAINERS_CONF", &conf).run().success();
    let _made = with(&["create", "--name", "made", "--label", "a=b", BUSYBOX, "true"]);
    let _ran = with(&["run", "--rm", "--name", "ran", BUSYBOX, "true"]);
    let _without = env.ok(["create", "--name", "without", BUSYBOX, "true"]);
    let logged = |name: &str| {
        let of = format!("container={name}");
        env.ok([
            "events",
            "--stream=false",
            "-f",
            "event=create",
            "-f",
            &of,
            "--format",
            "{{.ContainerInspectData}}",
        ])
    };
    let inspected = env.ok(["container", "inspect", "--size", "made"]);
    let parsed = |text: &str| serde_json::from_str::<serde_json::Value>(text).expect("JSON");
    assert_eq!(parsed(&logged("made")), parsed(&inspected)[0]);
    assert_eq!(parsed(&logged("ran"))["Name"], "ran");
    assert_eq!(logged("without"), "");
    assert!(!env.ok(["events", "--stream=false"]).contains("EffectiveCaps"));
}

#[test]
fn the_hosts_file_begins_with_another() {
    needs!(Userns);
    let env = Env::with_busybox();
    let base = env.file("base", "10.1.2.3 from-the-base\n");
    let with = |value: &str, args: &[&str]| {
        let conf = env.file("conf", format!("containers.base_hosts_file = '{value}'"));
        env.ctr(args).var("CONTAINERS_CONF", conf).run()
    };
    let cat = ["run", "--rm", "--network", "none", "--hostname", "me", BUSYBOX, "cat", "/etc/hosts"];
    let own = "127.0.0.1\tlocalhost\n::1\tlocalhost\n169.254.1.2\thost.containers.internal host.docker.internal\n127.0.0.1\tme";
    let seen = with("none", &cat).success();
    assert!(seen.starts_with(own), "{seen}");
    let seen = with(&base.display().to_string(), &cat).success();
    assert!(seen.contains("10.1.2.3\tfrom-the-base") && seen.contains("\tme"), "{seen}");
    // What a container is made with, it starts with.
    let made =
        with(&base.display().to_string(), &["create", BUSYBOX, "grep", "-c", "from-the-base", "/etc/hosts"]);
    assert_eq!(env.ok(["start", "-a", made.success().trim()]), "1");
    let missing = with("/no/such/hosts", &cat).fails(125);
    assert!(missing.contains("/no/such/hosts"), "{missing}");
    let wrong = with("hosts", &cat).fails(125);
    let said = "parsing containers.conf base_hosts_file: \"hosts\" is neither image nor none nor a path from the root";
    assert!(wrong.contains(said), "{wrong}");
}

#[test]
fn volumes_are_filled_when_a_container_is_made_where_the_file_says_so() {
    needs!(Userns, Overlay);
    let env = Env::new();
    let data = Layer::new().dir("data/", 0o755).file("data/file", 0o644, "of the image");
    env.load(&Image::busybox(BUSYBOX, [data]));
    let conf = env.file("containers.conf", "containers.prepare_volume_on_create = true");
    let create = |name: &str, flags: &[&str]| {
        let volume = format!("{name}:/data");
        let flags =
            [&["create", "--name", name, "-v", &volume], flags, &[BUSYBOX, "cat", "/data/file"]].concat();
        env.ctr(flags)
    };
    let file = |name: &str| env.store().join("volumes").join(name).join("_data/file");
    let _id = create("later", &[]).run().success();
    assert!(!file("later").exists());
    for (name, flags) in
        [("now", &[][..]), ("fresh", &["--userns", "auto"]), ("kept", &["--userns", "keep-id"])]
    {
        let id = create(name, flags).var("CONTAINERS_CONF_OVERRIDE", &conf).run().success();
        assert!(id.len() == 64 && file(name).exists(), "{name}");
        assert_eq!(
            env.ok(["ps", "-a", "--filter", &format!("name={name}"), "--format", "{{.State}}"]),
            "created"
        );
        assert_eq!(env.ok(["diff", name]), "", "{name}");
        assert_eq!(env.ok(["start", "--attach", name]), "of the image", "{name}");
    }
    let failing = create("failing", &["--user", "nobody-knows"]).var("CONTAINERS_CONF_OVERRIDE", &conf);
    let said = failing.run().fails(126);
    assert!(said.contains("nobody-knows"), "{said}");
    assert_eq!(env.ok(["ps", "-aq"]).lines().count(), 4, "nothing of that one is left");
}

#[test]
fn a_container_has_no_keyring_where_the_file_says_so() {
    needs!(Userns);
    let env = Env::with_busybox();
    // Where there is none, a small filter of calls keeps it so.
    let look = "sed -n 's/^Seccomp:.//p' /proc/self/status";
    let open = ["--security-opt", "seccomp=unconfined"];
    for (conf, expected) in
        [("", "0"), ("containers.keyring = true", "0"), ("containers.keyring = false", "2")]
    {
        assert_eq!(said(&env, conf, &open, look), expected, "{conf}");
        let conf = env.file("containers.conf", conf);
        let run = [&["run", "-d", "--name", "web"], &open[..], &[BUSYBOX, "sleep", "1000"]].concat();
        let _id = env.ctr(run).var("CONTAINERS_CONF_OVERRIDE", &conf).run().success();
        // Its record says so to those who come later.
        assert_eq!(
            env.ctr(["exec", "web", "sh", "-c", look]).run().stdout.trim_end(),
            expected,
            "{}",
            conf.display()
        );
        assert_eq!(env.ok(["rm", "-f", "-t", "0", "web"]), "web");
    }
}
