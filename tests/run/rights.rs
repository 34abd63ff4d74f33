//! What a container may do: capabilities, seccomp, masks, limits, kernel parameters.

use ctr_tests::agent::Agent;
use ctr_tests::{Env, needs};

/// The bits of one capability set of the container's command.
fn set(env: &Env, flags: &[&str], name: &str) -> u64 {
    let hex = env.sh(flags, &format!("grep ^{name}: /proc/self/status | cut -f2"));
    u64::from_str_radix(&hex, 16).expect("hexadecimal")
}

const DEFAULT: u64 = 0x0000_0000_800c_05fb; // chown … setfcap, podman's eleven

#[test]
fn capabilities_are_podman_s_eleven_and_none_is_inheritable() {
    needs!(Userns);
    let env = Env::with_busybox();
    for name in ["CapPrm", "CapEff", "CapBnd"] {
        assert_eq!(set(&env, &[], name) & !DEFAULT, 0, "{name}");
    }
    // CVE-2022-27649, -29162 and their kin.
    assert_eq!((set(&env, &[], "CapInh"), set(&env, &[], "CapAmb")), (0, 0));
    for name in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
        assert_eq!(set(&env, &["-u", "1000"], name), 0, "{name} of a user");
    }
    assert_eq!(set(&env, &["-u", "1000"], "CapBnd"), set(&env, &[], "CapBnd"));
}

#[test]
fn capabilities_are_added_and_dropped() {
    needs!(Userns);
    let env = Env::with_busybox();
    let net_admin = 1 << 12;
    assert_eq!(set(&env, &["--cap-add", "net_admin"], "CapEff") & net_admin, net_admin);
    assert_eq!(set(&env, &["--cap-add", "CAP_NET_ADMIN,sys_ptrace"], "CapEff") & net_admin, net_admin);
    assert_eq!(set(&env, &["--cap-drop", "chown"], "CapEff") & 1, 0);
    assert_eq!(set(&env, &["--cap-drop", "all"], "CapBnd"), 0);
    assert_eq!(set(&env, &["--cap-drop=all", "--cap-add=chown"], "CapEff"), 1);
    assert_eq!(set(&env, &["--cap-add", "all"], "CapEff") & (1 << 21), 1 << 21);
    let said = env.shell(["--cap-add", "nonsense"], "true").run().fails(125);
    assert!(said.contains("nonsense") || said.contains("NONSENSE"), "{said}");
}

/// What waits for an answer gets none here: where nobody listens any more, the kernel says that there is no such call.
#[test]
fn a_profile_s_agent_is_asked() {
    needs!(Userns);
    let env = Env::with_busybox();
    let socket = env.path("agent");
    let profile = |path: &std::path::Path| {
        serde_json::json!({
            "defaultAction": "SCMP_ACT_ALLOW",
            "listenerPath": path,
            "listenerMetadata": "notes",
            "syscalls": [{ "names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_NOTIFY" }],
        })
        .to_string()
    };
    let file = env.file("profile.json", profile(&socket));
    let option = format!("seccomp={}", file.display());
    let script = "echo before; mkdir /made || echo refused";
    let flags = ["--security-opt", &option, "--annotation", "key=value", "--pidfile", "pid"];

    let said = env.shell(flags, script).run().fails(125);
    assert!(said.contains("cannot connect to the seccomp agent at") && said.contains("ENOENT"), "{said}");

    let agent = Agent::listen(&socket);
    let running = env.shell(flags, script).start();
    let told = agent.take();
    told.wait_for_call();
    let (state, id) = (&told.state, env.ok(["ps", "-aq", "--no-trunc"]));
    assert_eq!((&state["ociVersion"], &state["fds"]), (&"1.2.0".into(), &serde_json::json!(["seccompFd"])));
    assert_eq!((&state["metadata"], &state["state"]["status"]), (&"notes".into(), &"creating".into()));
    assert_eq!((&state["state"]["id"], &state["state"]["annotations"]["key"]), (&id.into(), &"value".into()));
    let pid = std::fs::read_to_string(env.path("pid")).expect("a number");
    assert_eq!((state["pid"].to_string(), state["state"]["pid"].to_string()), (pid.clone(), pid));
    let bundle = state["state"]["bundle"].as_str().expect("a folder");
    assert!(std::path::Path::new(bundle).is_dir(), "{bundle}");
    drop(told);
    let output = running.finish();
    assert_eq!((output.code(), output.stdout.as_str()), (0, "before\nrefused\n"), "{output}");
    assert!(output.stderr.contains("Function not implemented"), "{output}");

    // Where no rule asks, nobody is told.
    let silent = serde_json::json!({ "defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/nonexistent" });
    let file = env.file("silent.json", silent.to_string());
    assert_eq!(env.sh(["--security-opt", &format!("seccomp={}", file.display())], "echo fine"), "fine");
}

#[test]
fn seccomp_is_on_unless_it_is_asked_off() {
    needs!(Userns);
    let env = Env::with_busybox();
    let mode = |flags: &[&str]| env.sh(flags, "grep ^Seccomp: /proc/self/status | cut -f2");
    assert_eq!(mode(&[]), "2");
    assert_eq!(mode(&["--security-opt", "seccomp=unconfined"]), "0");
    assert_eq!(mode(&["--privileged"]), "0");
    assert_eq!(mode(&["--security-opt", "seccomp=nested"]), "2");
    let profile = r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["mkdir","mkdirat"],"action":"SCMP_ACT_ERRNO","errnoRet":28}]}"#;
    let file = env.file("profile.json", profile);
    let option = format!("seccomp={}", file.display());
    let seen = env.sh(["--security-opt", &option], "mkdir /x 2>&1 || true");
    assert!(seen.contains("No space left on device"), "{seen}");
    let wrong = env.file("wrong.json", "{");
    let output = env.shell(["--security-opt", &format!("seccomp={}", wrong.display())], "true").run();
    assert_eq!(output.code(), 125, "{output}");
}

#[test]
fn no_new_privileges_is_set_when_asked() {
    needs!(Userns);
    let env = Env::with_busybox();
    let seen = |flags: &[&str]| env.sh(flags, "grep ^NoNewPrivs: /proc/self/status | cut -f2");
    assert_eq!(seen(&["--security-opt", "no-new-privileges"]), "1");
    assert_eq!(seen(&["--security-opt", "no-new-privileges=true"]), "1");
    assert_eq!(seen(&["--security-opt=no-new-privileges:false"]), "0");
}

#[test]
fn what_podman_masks_is_masked() {
    needs!(Userns);
    let env = Env::with_busybox();
    let seen = env.sh([""; 0], "{ echo x >/proc/sys/kernel/core_pattern; } 2>&1 || true");
    assert!(seen.contains("Read-only file system"), "{seen}");
    assert_eq!(env.sh([""; 0], "ls -A /sys/firmware 2>/dev/null | wc -l"), "0");
    let mounted = |flags: &[&str]| env.sh(flags, "cut -d' ' -f5 /proc/self/mountinfo");
    let usual = mounted(&[]);
    for path in ["/proc/kcore", "/proc/keys", "/proc/timer_list"]
        .iter()
        .filter(|path| std::path::Path::new(path).exists())
    {
        assert!(usual.lines().any(|line| line == *path), "{path} is not masked: {usual}");
    }
    let open = mounted(&["--security-opt", "unmask=ALL"]);
    assert!(!open.lines().any(|line| line == "/proc/kcore" || line == "/proc/sys"), "{open}");
    let open = mounted(&["--security-opt", "unmask=/proc/keys"]);
    assert!(!open.lines().any(|line| line == "/proc/keys") && open.contains("/proc/timer_list"), "{open}");
    let more = mounted(&["--security-opt", "mask=/etc/passwd:/home"]);
    assert!(
        more.lines().any(|line| line == "/etc/passwd") && more.lines().any(|line| line == "/home"),
        "{more}"
    );
    assert_eq!(env.sh(["--security-opt", "mask=/etc/passwd"], "wc -c </etc/passwd"), "0");
}

#[test]
fn proc_opts_are_options_of_proc() {
    needs!(Userns);
    let env = Env::with_busybox();
    let seen =
        env.sh(["--security-opt", "proc-opts=hidepid=2"], "grep ' /proc ' /proc/self/mountinfo | head -1");
    assert!(seen.contains("hidepid=invisible") || seen.contains("hidepid=2"), "{seen}");
}

/// Where SELinux is off a label says nothing, and there is nothing to relabel; a profile needs AppArmor.
#[test]
fn labels_and_profiles_are_taken_as_podman_takes_them() {
    needs!(Userns);
    let env = Env::with_busybox();
    let fine = |option: &str| env.sh(["--security-opt", option], "echo fine");
    assert_eq!((fine("label=disable"), fine("apparmor=unconfined")), ("fine".to_owned(), "fine".to_owned()));
    let there = |path: &str| std::path::Path::new(path).exists();
    if !there("/sys/fs/selinux/enforce") {
        for option in ["label=type:spc_t", "label=level:s0:c1,c2", "label=filetype:x", "label=nested"] {
            assert_eq!(fine(option), "fine", "{option}");
        }
        std::fs::create_dir(env.path("dir")).expect("a folder");
        for label in ["z", "Z"] {
            assert_eq!(env.sh(["-v", &format!("./dir:/dir:{label}")], "touch /dir/x && echo fine"), "fine");
        }
    }
    if !there("/sys/module/apparmor/parameters/enabled") {
        let said = env.named("podman", ["run", "--rm", "--security-opt", "apparmor=narrow"]);
        let said = said.args([ctr_tests::BUSYBOX, "true"]).run().fails(125);
        assert_eq!(
            said,
            "Error: apparmor profile \"narrow\" specified, but Apparmor is not enabled on this system\n"
        );
    }
    let said = env.shell(["--security-opt", "nonsense=1"], "true").run().fails(125);
    assert!(said.contains("nonsense"), "{said}");
}

#[test]
fn privileged_has_all_that_the_user_may_do() {
    needs!(Userns);
    let env = Env::with_busybox();
    assert_eq!(set(&env, &["--privileged"], "CapEff") & (1 << 21), 1 << 21);
    let seen = env.sh(
        ["--privileged"],
        "mount -t tmpfs t /mnt 2>/dev/null || mkdir /mnt && mount -t tmpfs t /mnt && echo mounted",
    );
    assert_eq!(seen, "mounted");
}

#[test]
fn limits_are_set() {
    needs!(Userns);
    let env = Env::with_busybox();
    assert_eq!(env.sh(["--ulimit", "nofile=100:200"], "ulimit -Sn; ulimit -Hn"), "100\n200");
    assert_eq!(env.sh(["--ulimit", "core=0"], "ulimit -c"), "0");
    assert_eq!(env.sh(["--ulimit", "nofile=50", "--ulimit", "core=0:0"], "ulimit -n"), "50");
    let said = env.shell(["--ulimit", "nonsense=1"], "true").run().fails(125);
    assert!(said.contains("nonsense"), "{said}");
}

#[test]
fn kernel_parameters_of_its_own_namespaces_only() {
    needs!(Userns);
    let env = Env::with_busybox();
    assert_eq!(env.sh(["--sysctl", "net.ipv4.ip_forward=1"], "cat /proc/sys/net/ipv4/ip_forward"), "1");
    assert_eq!(env.sh(["--sysctl", "kernel.msgmax=65536"], "cat /proc/sys/kernel/msgmax"), "65536");
    // CVE-2022-0811: names are checked, and so is what follows them.
    for wrong in [
        "kernel.core_pattern=|/x",
        "kernel.shm_rmid_forced=1+kernel.core_pattern=x",
        "vm.swappiness=1",
        "net.ipv4.ip_forward",
        "../x=1",
    ] {
        let output = env.shell(["--sysctl", wrong], "true").run();
        assert_eq!(output.code(), 125, "{wrong}: {output}");
    }
    for host in [
        ["--sysctl", "net.ipv4.ip_forward=1", "--network=host"],
        ["--sysctl", "kernel.msgmax=1", "--ipc=host"],
    ] {
        let output = env.shell(host, "true").run();
        assert_eq!(output.code(), 125, "{host:?}: {output}");
    }
}

/// Only what was asked for is open in a container: CVE-2024-21626.
#[test]
fn no_descriptor_leaks_into_a_container() {
    needs!(Userns);
    let env = Env::with_busybox();
    // The listing itself opens one.
    assert_eq!(env.sh([""; 0], "ls /proc/self/fd | tr '\\n' ' '"), "0 1 2 3 ");
    for fd in [3, 7, 64, 1023] {
        let output = env.shell(["-w", &format!("/proc/self/fd/{fd}")], "pwd -P; ls").run();
        assert_ne!(output.code(), 0, "the working directory is descriptor {fd}: {output}");
    }
}

#[test]
fn descriptors_are_passed_on_when_asked() {
    needs!(Userns);
    let env = Env::with_busybox();
    let file = env.file("passed", "content\n");
    let passed = |flag: &str, value: &str| {
        let open = format!("3<'{0}' 4<'{0}' 5<'{0}'", file.display());
        let inside = "ls /proc/self/fd | wc -l; cat <&3";
        let args = ["run", "--rm", flag, value, ctr_tests::BUSYBOX, "sh", "-c", inside];
        env.redirected(&open, args).run().success()
    };
    assert_eq!(passed("--preserve-fds", "1"), "5\ncontent");
    assert_eq!(passed("--preserve-fd", "3,5"), "6\ncontent");
    let output = env.shell(["--preserve-fds", "1"], "true").run();
    assert_eq!(output.code(), 125, "descriptor 3 is not open: {output}");
}
