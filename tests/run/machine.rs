//! The verbs about the machine and the store as a whole: doctor, info, version, unshare, system, completion.

use ctr_tests::{Env, needs};

#[test]
fn version_has_podmans_layout() {
    let env = Env::new();
    let shown = env.ok(["version"]);
    let labels: Vec<&str> = shown.lines().filter_map(|line| line.split(':').next()).collect();
    assert_eq!(labels, ["Client", "Version", "API Version", "Go Version", "Built", "OS/Arch"], "{shown}");
    let as_podman = env.named("podman", ["version"]).run().success();
    assert!(as_podman.starts_with("Client:       Podman Engine\nVersion:      6."), "{as_podman}");
    let json = env.ok(["version", "--format", "json"]);
    assert!(json.starts_with("{\"Client\":{\"APIVersion\":"), "{json}");
    let ours = env.ok(["version", "-f", "{{.Client.Version}}"]);
    assert_eq!(env.ok(["version", "--format", "{{.Server.Version}}"]), ours, "there is no server but us");
}

#[test]
fn info_is_yaml_json_or_a_template() {
    let env = Env::new();
    let shown = env.ok(["info"]);
    assert!(
        shown.starts_with("host:\n  arch: amd64\n") && shown.contains("\n  ociRuntime:\n    name: ctr\n"),
        "{shown}"
    );
    let name = "{{.Host.OCIRuntime.Name}} {{.Store.GraphDriverName}} {{.Store.ImageStore.Number}}";
    assert_eq!(env.ok(["info", "--format", name]), "ctr overlay 0");
    assert_eq!(env.named("podman", ["info", "-f", name]).run().success(), "crun overlay 0");
    assert_eq!(
        env.ok(["--storage-driver", "vfs", "system", "info", "-f", "{{.Store.GraphDriverName}}"]),
        "vfs"
    );
    let logs = "{{.Host.EventLogger}} {{.Host.LogDriver}}";
    assert_eq!(env.ok(["info", "--format", logs]), "file k8s-file");
    assert_eq!(env.ok(["--events-backend", "none", "info", "--format", logs]), "none k8s-file");
    let file = env.file(
        "containers.conf",
        "[containers]\nlog_driver = \"json-file\"\n[engine]\nevents_logger = \"none\"\n",
    );
    let configured = env.ctr(["info", "--format", logs]).var("CONTAINERS_CONF_OVERRIDE", file);
    assert_eq!(configured.run().success(), "none json-file");
    let json = env.ok(["info", "-D", "--format", "json"]);
    assert!(json.contains("\"graphRoot\": ") && json.ends_with('}'), "{json}");
    let wrong = env.ctr(["info", "--format", "{{.Nope}}"]).run().fails(125);
    assert!(wrong.contains("can't evaluate field Nope"), "{wrong}");
    assert!(!env.store().exists(), "asking makes no store");
}

#[test]
fn doctor_finds_a_machine_good_that_runs_containers() {
    needs!(Userns);
    let env = Env::new();
    let shown = env.ok(["doctor"]);
    for id in
        ["ids", "helpers", "sysctls", "namespaces", "overlay", "tun", "cgroups", "linger", "space", "home"]
    {
        let checked = shown.lines().any(|line| line.split_whitespace().nth(1) == Some(id));
        assert!(checked, "{id}: {shown}");
    }
    let json = env.ok(["doctor", "--format", "json"]);
    assert!(json.starts_with("[{\"id\":\"ids\",\"status\":\"good\""), "{json}");
    let asked = env.ctr(["doctor", "--fix"]).run().fails(125);
    assert!(
        asked.contains("standard input is no terminal") && asked.contains("hint: ctr doctor --fix --yes"),
        "{asked}"
    );
}

#[test]
fn doctor_says_which_images_are_accepted() {
    needs!(Userns);
    let env = Env::new();
    let policy = |file: Option<&std::path::Path>| {
        let doctor = env.ctr(["doctor"]);
        let doctor = file.into_iter().fold(doctor, |doctor, file| doctor.var("CONTAINERS_POLICY_JSON", file));
        let shown = doctor.run().stdout;
        let mut lines = shown.lines().skip_while(|line| line.split_whitespace().nth(1) != Some("policy"));
        [lines.next(), lines.next()].map(|line| line.unwrap_or_default().to_owned()).concat()
    };
    let own = env.home().join(".config/containers/policy.json");
    let without = policy(None);
    // The machine's own may be there.
    if !std::path::Path::new("/etc/containers/policy.json").exists() {
        assert!(
            without.starts_with("ok") && without.contains("images from everywhere are accepted"),
            "{without}"
        );
        let example = without.split_once(&format!("write {}: ", own.display())).expect("an example").1;
        let parsed: Result<serde_json::Value, _> = serde_json::from_str(example);
        assert!(parsed.is_ok(), "{example}");
    }
    std::fs::create_dir_all(own.parent().expect("a folder")).expect("folders");
    std::fs::write(&own, "{}").expect("a file");
    assert!(policy(None).contains(&own.display().to_string()));
    let lost = policy(Some("/nonexistent/policy.json".as_ref()));
    assert!(lost.starts_with("degraded") && lost.contains("without it: no image can be pulled"), "{lost}");
}

#[test]
fn unshare_runs_a_command_among_the_users_ids() {
    needs!(Userns);
    let env = Env::new();
    assert_eq!(env.ok(["unshare", "id", "-u"]), "0");
    let map = env.ok(["unshare", "cat", "/proc/self/uid_map"]);
    assert!(map.lines().count() >= 2, "{map}");
    // Mounts stay in that session, and a program of ours finds itself in A already.
    let script = "mount -t tmpfs none /mnt && stat -f -c %T /mnt";
    assert_eq!(env.ok(["unshare", "sh", "-c", script]), "tmpfs");
    let ctr = ctr_tests::env::programs().join("ctr-run").display().to_string();
    assert_eq!(env.ok(["unshare", &ctr, "unshare", "cat", "/proc/self/uid_map"]), map);
    assert_eq!(env.ctr(["unshare", "sh", "-c", "exit 7"]).run().code(), 7);
    let missing = env.ctr(["unshare", "no-such-program"]).run().fails(127);
    assert!(missing.contains("cannot run `no-such-program`"), "{missing}");
    assert_eq!(env.ctr(["unshare"]).var("SHELL", "/bin/true").run().code(), 0);
    let refused = env.ctr(["unshare", "--rootless-netns", "true"]).run().fails(125);
    assert!(refused.contains("--rootless-netns is not supported yet"), "{refused}");
}

#[test]
fn reset_asks_and_leaves_nothing() {
    needs!(Userns);
    let env = Env::with_busybox();
    let asked = env.ctr(["system", "reset"]).run().fails(125);
    assert!(asked.contains("hint: ctr system reset --force"), "{asked}");
    assert_ne!(env.ok(["images", "-q"]), "");
    let _done = env.ok(["system", "reset", "--force"]);
    assert_eq!(env.ok(["images", "-q"]), "");
}

#[test]
fn connections_are_an_empty_set() {
    let env = Env::new();
    assert_eq!(
        env.ok(["system", "connection", "ls"]),
        "Name        URI         Identity    Default     ReadWrite"
    );
    assert_eq!(env.ok(["system", "connection", "list", "--quiet"]), "");
    assert_eq!(env.ok(["system", "connection", "ls", "-f", "json"]), "[]");
    assert_eq!(env.ok(["system", "connection", "ls", "--format", "{{.Name}}"]), "");
}

#[test]
fn completion_prints_scripts_and_answers_them() {
    let env = Env::new();
    for shell in ["bash", "zsh", "fish"] {
        let script = env.ok(["completion", shell]);
        assert!(script.contains("__complete"), "{script}");
    }
    assert!(env.ok(["completion", "bash", "--no-desc"]).contains("__completeNoDesc"));
    let file = env.path("completion");
    assert_eq!(env.ctr(["completion", "bash", "-f"]).args([&file]).run().success(), "");
    assert!(std::fs::read_to_string(&file).expect("the file").contains("complete -F"));
    let wrong = env.ctr(["completion", "powershell"]).run().fails(125);
    assert!(wrong.contains("invalid argument \"powershell\""), "{wrong}");
    assert_eq!(env.ok(["__completeNoDesc", "system", "g"]), "gc\n:4");
    let settings = env.named("podman", ["__completeNoDesc", "run", "--sysctl", "net.ipv4.ip_f"]).run();
    assert_eq!(settings.stderr, "Completion ended with directive: ShellCompDirectiveNoFileComp\n");
    let settings = settings.success();
    assert!(settings.starts_with("net.ipv4.ip_forward="), "{settings}");
    assert!(settings.lines().all(|line| line.starts_with("net.ipv4.ip_f") || line == ":4"), "{settings}");
    assert!(!env.ok(["__completeNoDesc", "run", "--sysctl", "kernel."]).contains("core_pattern"));
    assert_eq!(env.ok(["__complete", "images", "--quie"]).lines().last(), Some(":4"), "the sibling answers");
}
