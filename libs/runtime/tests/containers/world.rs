//! What a container sees and may.

use serde_json::json;

use crate::harness::{DEFAULT_CAPS, container, wait_for};

/// The capability sets of the process that reads them.
const CAPS: &str = "grep ^Cap /proc/self/status | cut -f2";

#[test]
fn userns_a_container_has_a_world_of_its_own() {
    let Some(container) = container(
        "id; hostname; pwd; echo $$; umask; ls /proc/self/fd | wc -l; env | sort; grep NoNewPrivs /proc/self/status; \
         ls -d /mnt /usr 2>/dev/null; cat /proc/sys/net/ipv4/ip_unprivileged_port_start; ip -o addr show up | wc -l; \
         grep -c . /proc/self/mountinfo",
    ) else {
        return;
    };
    let outcome = container.run();
    let expected = [
        "uid=0 gid=0 groups=0",
        "box",
        "/",
        "1",
        "0022",
        // Standard input, output and error, and the one that ls reads the directory by.
        "4",
        "PATH=/bin",
        "PWD=/",
        "SHLVL=1",
        "NoNewPrivs:\t0",
        "0",
        "2",
    ];
    let lines = outcome.lines();
    // busybox leaves the groups out when there are none.
    assert_eq!(lines[0], "uid=0 gid=0", "{lines:#?}");
    assert_eq!(lines[1..12], expected[1..], "{lines:#?}");
    // The root, /proc, /sys, cgroups, /dev, six nodes, pts, shm, mqueue, five read-only and four or five masked.
    let mounts: usize = lines[12].parse().unwrap();
    assert!((20..=26).contains(&mounts), "{lines:#?}");
    assert_eq!(outcome.err, "");
}

#[test]
fn userns_devices_are_the_hosts_and_links_are_there() {
    let Some(container) = container(
        "cd /dev; for d in null zero full random urandom tty; do stat -c '%n %F %t:%T %a' $d; done; \
         for l in fd stdin stdout stderr core ptmx; do readlink $l; done; echo x >/dev/null; \
         stat -c '%a %T' /dev/shm /dev/pts/ptmx; stat -c %g /dev/pts/ptmx; stat -f -c %T /proc /sys /dev /dev/pts /dev/mqueue",
    ) else {
        return;
    };
    insta::assert_snapshot!(container.run().ok(), @"
    null character special file 1:3 666
    zero character special file 1:5 666
    full character special file 1:7 666
    random character special file 1:8 666
    urandom character special file 1:9 666
    tty character special file 5:0 666
    /proc/self/fd
    /proc/self/fd/0
    /proc/self/fd/1
    /proc/self/fd/2
    /proc/kcore
    pts/ptmx
    1777 0
    666 2
    0
    proc
    sysfs
    tmpfs
    devpts
    UNKNOWN
    ");
}

/// CVE-2022-29162 and its like: all five sets are what was asked for, none is inherited.
///
/// Shown to fail: without `Step::Ambient` an ambient capability does not arrive, without `Step::Bound` all five sets are
/// those of the kernel where they should be the default.
#[test]
fn userns_capabilities_are_exact() {
    let Some(mut container) = container(CAPS) else { return };
    let none = "0000000000000000";
    assert_eq!(container.run().lines(), [none, DEFAULT_CAPS, DEFAULT_CAPS, DEFAULT_CAPS, none]);

    container.process()["user"] = json!({"uid": 1000, "gid": 1000});
    let sets = json!({"bounding": ["CAP_CHOWN", "CAP_KILL"]});
    container.process()["capabilities"] = sets;
    assert_eq!(container.run().lines(), [none, none, none, "0000000000000021", none]);

    let added = json!(["CAP_KILL"]);
    container.process()["capabilities"] = json!({
        "bounding": ["CAP_CHOWN", "CAP_KILL"],
        "effective": added, "permitted": added, "inheritable": added, "ambient": added,
    });
    let one = "0000000000000020";
    assert_eq!(container.run().lines(), [one, one, one, "0000000000000021", one]);

    container.process()["capabilities"] = json!(null);
    container.process()["noNewPrivileges"] = json!(true);
    assert_eq!(container.run().lines(), [none; 5]);
}

/// CVE-2022-2989, CVE-2022-2990, CVE-2023-25173.
///
/// Shown to fail: without `Step::Groups` the group of the user who runs the test is there, as 0.
#[test]
fn userns_ids_and_groups_are_exact() {
    let Some(mut container) = container("grep -E '^(Uid|Gid|Groups)' /proc/self/status") else { return };
    assert_eq!(container.run().lines(), ["Uid:\t0\t0\t0\t0", "Gid:\t0\t0\t0\t0", "Groups:\t "]);
    container.process()["user"] = json!({"uid": 7, "gid": 8, "additionalGids": [5, 9, 20], "umask": 63});
    let expected = ["Uid:\t7\t7\t7\t7", "Gid:\t8\t8\t8\t8", "Groups:\t5 9 20 "];
    assert_eq!(container.run().lines(), expected);
    container.process()["user"] = json!({"uid": 4_000_000_000_u32, "gid": 0});
    container.run().refused(125, "cannot become user 4000000000:0: Invalid argument");
}

/// CVE-2026-57231: an entry of the environment is what it is, and nothing of the host's comes along.
#[test]
fn userns_the_environment_is_the_one_that_was_asked_for() {
    let Some(mut container) = container("") else { return };
    let long = format!("LONG={}", "x".repeat(100_000));
    let entries = json!(["", "=", "A", "A*", "*", "=x", "N=a\nb", long, "PATH=/bin"]);
    container.process()["env"] = entries;
    container.process()["args"] = json!(["cat", "/proc/self/environ"]);
    let outcome = container.run();
    let expected = format!("\0=\0A\0A*\0*\0=x\0N=a\nb\0{long}\0PATH=/bin\0");
    assert!(outcome.ok() == expected, "another environment: {:.200?}", outcome.out);
}

#[test]
fn userns_a_command_that_is_not_there_or_cannot_run() {
    let Some(mut container) = container("") else { return };
    std::fs::write(container.root().join("etc/text"), "text").unwrap();
    for (command, code, message) in [
        ("nothing", 127, "cannot run `nothing`: No such file or directory"),
        ("/bin/nothing", 127, "cannot run `/bin/nothing`: No such file or directory"),
        ("/etc/text", 126, "cannot run `/etc/text`: Permission denied"),
        ("/etc", 126, "cannot run `/etc`: Permission denied"),
        ("", 127, "cannot run ``: No such file or directory"),
    ] {
        container.process()["args"] = json!([command]);
        container.run().refused(code, message);
    }
    // A PATH that leads nowhere is the container's own affair; a relative entry is none.
    container.process()["env"] = json!(["PATH=bin:.:"]);
    container.process()["args"] = json!(["sh"]);
    container.run().refused(127, "cannot run `sh`");
}

#[test]
fn userns_exit_codes_and_signals_come_back() {
    let Some(mut container) = container("exit 7") else { return };
    assert_eq!(container.run().code, Some(7));
    container.process()["args"] = json!(["sh", "-c", "sleep 100 & exec sleep 100"]);
    let started = container.start();
    started.signal("KILL");
    assert_eq!(started.end().code, Some(137));
}

#[test]
fn userns_the_container_ends_with_its_launcher() {
    let Some(mut container) = container("sleep 1000 & exec sleep 1000") else { return };
    let mut started = container.start();
    started.child.kill().unwrap();
    started.child.wait().unwrap();
    let process = format!("/proc/{}", started.pid);
    // Gone, or dead and waiting for whoever inherited it.
    wait_for(|| {
        let status = std::fs::read_to_string(format!("{process}/status")).unwrap_or_default();
        (status.is_empty() || status.contains("State:\tZ")).then_some(())
    });
}

#[test]
fn userns_init_reaps_forwards_and_reports() {
    let script =
        "trap 'echo got it; exit 5' TERM; (sleep 0 &); echo hears >/tmp/hears; while :; do sleep 1; done";
    let Some(mut container) = container(script) else { return };
    container.request["init"] = json!(true);
    let started = container.start();
    wait_for(|| container.root().join("tmp/hears").exists().then_some(()));
    started.signal("TERM");
    let outcome = started.end();
    assert_eq!((outcome.code, outcome.out.as_str()), (Some(5), "got it\n"), "{outcome:#?}");

    container.process()["args"] = json!(["sh", "-c", "readlink /proc/1/exe; echo $$; kill -9 $$"]);
    let outcome = container.run();
    assert_eq!(outcome.code, Some(137));
    assert_eq!(outcome.out.lines().collect::<Vec<_>>(), ["/memfd:ctr-init (deleted)", "2"]);
}

#[test]
fn userns_a_terminal_is_the_containers_own() {
    // The shell and ps have the terminal. They are counted once ps has ended: a member of its own pipeline may be there already.
    let Some(mut container) = container(
        "tty; stty size; stat -c '%u:%g %a' /dev/pts/0; stat -c %t:%T /dev/console; seen=$(ps -o tty); \
         echo \"$seen\" | grep -c 136,0; read answer; echo ${#answer} characters",
    ) else {
        return;
    };
    container.process()["terminal"] = json!(true);
    container.process()["consoleSize"] = json!({"height": 33, "width": 77});
    container.process()["user"] = json!({"uid": 1000, "gid": 1000});
    container.input = "typed\n".to_owned();
    let outcome = container.run();
    // What is typed is echoed wherever the terminal is at that moment.
    let shown = outcome.ok().replace("typed", "");
    let lines: Vec<&str> = shown.lines().filter(|line| !line.is_empty()).collect();
    assert_eq!(lines, ["/dev/pts/0", "33 77", "1000:5 620", "88:0", "2", "5 characters"], "{outcome:#?}");
}

#[test]
fn userns_binds_have_the_options_that_were_asked_for() {
    let Some(mut container) = container(
        "touch /data/new && echo writable; touch /ro/new 2>/dev/null || echo read-only; cat /a/file; \
         grep -E ' /(data|ro|a/file) ' /proc/self/mountinfo | cut -d' ' -f5,6 | sort",
    ) else {
        return;
    };
    let data = container.host("data");
    let file = container.host("files").join("file");
    std::fs::write(&file, "from the host\n").unwrap();
    container.mount("/data", "bind", &data, &["rbind", "rprivate", "rw", "nosuid", "nodev"]);
    container.mount("/ro", "bind", &data, &["rbind", "rprivate", "ro", "noexec"]);
    container.mount("/a/file", "bind", &file, &["bind", "private", "nosuid", "nodev"]);
    let outcome = container.run();
    let lines = outcome.lines();
    assert_eq!(lines[..3], ["writable", "read-only", "from the host"]);
    assert!(lines[3].starts_with("/a/file rw,nosuid,nodev"), "{lines:#?}");
    assert!(lines[4].starts_with("/data rw,nosuid,nodev"), "{lines:#?}");
    assert!(lines[5].starts_with("/ro ro,noexec"), "{lines:#?}");
    assert!(data.join("new").exists());
}

#[test]
fn userns_tmpcopyup_takes_owners_modes_and_links_along() {
    let Some(mut container) = container(
        "cd /seed; stat -c '%n %a %F' . sub sub/file link sub/pipe; cat sub/file; readlink link; touch sub/new; \
         stat -c %a /plain; ls /plain",
    ) else {
        return;
    };
    let seed = container.root().join("seed");
    std::fs::create_dir_all(seed.join("sub")).unwrap();
    std::fs::write(seed.join("sub/file"), "contents\n").unwrap();
    std::os::unix::fs::symlink("/etc/nothing", seed.join("link")).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        seed.join("sub/pipe"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR,
        0,
    )
    .unwrap();
    let mode = |path: &std::path::Path, mode| {
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
    };
    container.hand_over();
    mode(&seed, 0o1750);
    mode(&seed.join("sub/file"), 0o4711);
    let tmpfs = std::path::Path::new("tmpfs");
    container.mount("/seed", "tmpfs", tmpfs, &["nosuid", "nodev", "tmpcopyup"]);
    std::fs::create_dir(container.root().join("plain")).unwrap();
    container.mount("/plain", "tmpfs", tmpfs, &["tmpcopyup", "mode=711"]);
    insta::assert_snapshot!(container.run().ok(), @"
    . 1750 directory
    sub 755 directory
    sub/file 4711 regular file
    link 777 symbolic link
    sub/pipe 400 fifo
    contents
    /etc/nothing
    711
    ");
    assert!(!seed.join("sub/new").exists());
}

#[test]
fn userns_a_read_only_root_has_its_mounts_writable() {
    let Some(mut container) = container(
        "touch /x 2>/dev/null || echo sealed; touch /run/x && echo open; echo x >/dev/shm/x && echo open",
    ) else {
        return;
    };
    container.request["spec"]["root"]["readonly"] = json!(true);
    container.mount("/run", "tmpfs", "tmpfs".as_ref(), &["rw", "nosuid", "nodev"]);
    assert_eq!(container.run().lines(), ["sealed", "open", "open"]);
    assert!(!container.root().join("x").exists());
}

#[test]
fn userns_namespaces_are_inherited_where_asked() {
    let Some(mut container) =
        container("for n in net ipc uts pid; do readlink /proc/self/ns/$n; done; ls /sys/class/net | wc -l")
    else {
        return;
    };
    for kind in ["network", "ipc", "uts", "pid", "cgroup"] {
        container.inherit(kind);
    }
    container.request["spec"]["hostname"] = json!("");
    let own = |file: &str| std::fs::read_link(format!("/proc/self/ns/{file}")).unwrap().display().to_string();
    let outcome = container.run();
    assert_eq!(outcome.lines()[..4], [own("net"), own("ipc"), own("uts"), own("pid")]);
}

#[test]
fn userns_namespaces_are_joined_where_asked() {
    let Some(mut first) = container("") else { return };
    first.process()["args"] = json!(["sleep", "1000"]);
    let started = first.start();
    let mut second = first
        .sibling("hostname; cat /proc/1/cmdline; readlink /proc/self/ns/user; readlink /proc/self/ns/net");
    for (kind, file) in [("user", "user"), ("pid", "pid"), ("network", "net"), ("ipc", "ipc"), ("uts", "uts")]
    {
        second.join(kind, &started.pid, file);
    }
    second.request["spec"]["hostname"] = json!("");
    let outcome = second.run();
    let there = |file: &str| std::fs::read_link(format!("/proc/{}/ns/{file}", started.pid)).unwrap();
    let expected = format!("box\nsleep\x001000\0{}\n{}\n", there("user").display(), there("net").display());
    assert_eq!(outcome.ok(), expected);
    // A pid namespace alone: no new /proc can be mounted of a namespace that is not the container's.
    let mut third = first.sibling("test $$ != 1 && echo $$");
    third.join("pid", &started.pid, "pid");
    let outcome = third.run();
    assert_eq!(outcome.lines().len(), 1, "{outcome:#?}");
    assert!(outcome.err.contains("notice: cannot mount proc on /proc"), "{outcome:#?}");
    started.signal("KILL");
    assert_eq!(started.end().code, Some(137));
}

#[test]
fn userns_sysctls_and_limits_are_set() {
    let Some(mut container) = container(
        "cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/msgmax; ulimit -n; ulimit -Hn; cat /proc/self/oom_score_adj",
    ) else {
        return;
    };
    container.linux()["sysctl"] = json!({"net.ipv4.ip_forward": "1", "kernel.msgmax": "4096"});
    container.process()["rlimits"] = json!([{"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200}]);
    container.process()["oomScoreAdj"] = json!(500);
    assert_eq!(container.run().lines(), ["1", "4096", "100", "200", "500"]);
    container.linux()["sysctl"] = json!({"kernel.nothing": "1"});
    container.run().refused(125, "cannot write `1` to /proc/sys/kernel/nothing: No such file or directory");
}

#[test]
fn userns_the_working_directory_is_made_where_asked() {
    let Some(mut container) = container("pwd") else { return };
    container.process()["cwd"] = json!("/new/deep");
    container.run().refused(125, "cannot change to the directory /new/deep: No such file or directory");
    container.request["creates_cwd"] = json!(true);
    assert_eq!(container.run().lines(), ["/new/deep"]);
}

/// A container in a container whose /proc is masked: the kernel refuses a new one (`mount_too_revealing`).
#[test]
fn userns_in_a_container_with_a_masked_proc_the_outer_one_is_bound() {
    let Some(inner) =
        container("echo inside; ls -d /proc/self >/dev/null && cat /proc/kcore | wc -c; hostname")
    else {
        return;
    };
    let request = inner.root().join("../inner");
    std::fs::write(&request, inner.request.to_string()).unwrap();
    inner.hand_over();
    let mut outer = inner.sibling("");
    outer.request["root"] = json!("/");
    let all: Vec<String> = ctr_runtime::caps::Cap::ALL.iter().map(|cap| cap.name().to_owned()).collect();
    outer.process()["capabilities"] = json!({"bounding": all, "effective": all, "permitted": all});
    outer.process()["args"] = json!([env!("CARGO_BIN_EXE_runtime-probe"), request.canonicalize().unwrap()]);
    outer.process()["env"] = json!(["PATH=/usr/bin:/bin"]);
    outer.linux()["readonlyPaths"] = json!([]);
    let outcome = outer.run();
    assert_eq!(outcome.lines(), ["inside", "0", "box"], "{outcome:#?}");
    assert!(outcome.err.contains("notice: cannot mount proc on /proc"), "{outcome:#?}");
}
