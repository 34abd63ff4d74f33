//! Golden plans: one specification in, one list out.

use ctr_userns::map::{Extent, IdMap, IdMaps};
use serde_json::{Value, json};

use super::{Bond, Facts, Plan, PlanError, Visit, build, join};
use crate::spec::{NamespaceKind, Process, Spec};

fn level_a() -> IdMaps {
    let map = IdMap::new(vec![Extent::new(0, 1000, 1), Extent::new(1, 100_000, 65_536)]).unwrap();
    IdMaps { uid: map.clone(), gid: map }
}

fn facts() -> Facts {
    Facts { dies_with_parent: true, ..Facts::new(level_a().identity(), level_a()) }
}

fn spec() -> Value {
    let mount = |destination: &str, kind: &str, options: &str| json!({"destination": destination, "type": kind, "source": kind, "options": options.split(',').collect::<Vec<_>>()});
    json!({
        "ociVersion": "1.2.0",
        "process": {
            "user": {"uid": 0, "gid": 0},
            "args": ["true", "\u{1b}[31m"],
            "env": ["PATH=/usr/bin:/bin"],
            "cwd": "/",
            "capabilities": {"bounding": ["CAP_CHOWN"], "effective": ["CAP_CHOWN"], "permitted": ["CAP_CHOWN"]},
        },
        "root": {"path": ""},
        "hostname": "box",
        "mounts": [
            mount("/proc", "proc", "nosuid,noexec,nodev"),
            mount("/dev", "tmpfs", "nosuid,strictatime,mode=755,size=65536k"),
            mount("/sys", "sysfs", "nosuid,noexec,nodev,ro"),
            mount("/dev/pts", "devpts", "nosuid,noexec,newinstance,gid=5"),
            mount("/sys/fs/cgroup", "cgroup", "nosuid,noexec,nodev,ro"),
        ],
        "linux": {
            "namespaces": [
                {"type": "user"}, {"type": "mount"}, {"type": "pid"}, {"type": "ipc"},
                {"type": "uts"}, {"type": "cgroup"}, {"type": "network"},
            ],
            "maskedPaths": ["/proc/kcore", "/sys/firmware", "/etc/hidden"],
            "readonlyPaths": ["/proc/sys"],
        },
    })
}

fn made(spec: &Value, facts: &Facts) -> Result<Plan, PlanError> {
    let spec: Spec = serde_json::from_value(spec.clone()).unwrap();
    build(&spec, facts)
}

/// A small seccomp program, whose listener is wanted.
fn program() -> crate::seccomp::Program {
    let profile = json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "architectures": ["SCMP_ARCH_X86_64"],
        "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"}],
        "listenerPath": "/nowhere",
    });
    let kernel = crate::seccomp::Kernel { version: 6, revision: 1 };
    let facts = crate::seccomp::Facts { caps: crate::caps::CapSet::EMPTY, kernel };
    crate::seccomp::compile(&serde_json::from_value(profile).unwrap(), &facts).unwrap()
}

#[test]
fn the_default_container() {
    insta::assert_snapshot!(made(&spec(), &facts()).unwrap());
}

#[test]
fn joining_a_container() {
    let process: Process = serde_json::from_value(spec()["process"].clone()).unwrap();
    let visit = Visit { namespaces: vec![NamespaceKind::User, NamespaceKind::Pid], ..Visit::default() };
    insta::assert_snapshot!(join(&process, &visit).unwrap());
}

#[test]
fn joining_with_everything_and_nobody_to_wait_for_it() {
    let mut process = spec()["process"].clone();
    process["terminal"] = json!(true);
    process["consoleSize"] = json!({"height": 24, "width": 80});
    process["noNewPrivileges"] = json!(true);
    process["apparmorProfile"] = json!("narrow");
    process["rlimits"] = json!([{"type": "RLIMIT_NOFILE", "soft": 1, "hard": 2}]);
    let process: Process = serde_json::from_value(process).unwrap();
    let visit = Visit {
        namespaces: vec![NamespaceKind::User],
        keep_groups: true,
        no_keyring: false,
        bond: Bond::None,
        preserved: vec![3, 4],
        seccomp: Some(program()),
    };
    insta::assert_snapshot!(join(&process, &visit).unwrap());
}

#[test]
fn who_may_be_left_has_a_parent_on_a_leash() {
    let mut process = spec()["process"].clone();
    process["terminal"] = json!(true);
    let process: Process = serde_json::from_value(process).unwrap();
    let text = |bond| join(&process, &Visit { bond, ..Visit::default() }).unwrap().to_string();
    let (bound, leashed) = (text(Bond::Terminal), text(Bond::Leash));
    let different: Vec<_> = bound.lines().zip(leashed.lines()).filter(|(a, b)| a != b).collect();
    // Its terminal's master side comes to the launcher as any other's does.
    assert_eq!(different.len(), 1, "{different:?}");
    assert!(different[0].1.ends_with(": as a child, on #19"), "{different:?}");
}

#[test]
fn everything_at_once() {
    let mut spec = spec();
    let process = &mut spec["process"];
    process["terminal"] = json!(true);
    process["consoleSize"] = json!({"height": 24, "width": 80});
    process["user"] = json!({"uid": 7, "gid": 8, "umask": 63, "additionalGids": [9, 10]});
    process["noNewPrivileges"] = json!(true);
    process["oomScoreAdj"] = json!(10);
    process["apparmorProfile"] = json!("narrow");
    process["rlimits"] = json!([{"type": "RLIMIT_NOFILE", "soft": 1, "hard": 2}]);
    process["cwd"] = json!("/work");
    spec["root"]["readonly"] = json!(true);
    spec["domainname"] = json!("domain");
    spec["linux"]["sysctl"] = json!({"net.ipv4.conf.eth0/1.forwarding": "1"});
    spec["linux"]["devices"] = json!([{"type": "c", "path": "/dev/fuse", "major": 10, "minor": 229}]);
    let mounts = spec["mounts"].as_array_mut().unwrap();
    mounts.push(json!({"destination": "/data", "type": "bind", "source": "/host/data",
        "options": ["rbind", "rslave", "ro", "nosuid", "exec"]}));
    mounts.push(json!({"destination": "/run", "type": "tmpfs", "source": "tmpfs",
        "options": ["ro", "nosuid", "size=1m", "tmpcopyup", "rprivate"]}));
    let facts =
        Facts { init: true, creates_cwd: true, preserved: vec![3, 4], seccomp: Some(program()), ..facts() };
    insta::assert_snapshot!(made(&spec, &facts).unwrap());
}

#[test]
fn a_command_that_waits_is_looked_for_before_anything_is_forbidden() {
    let facts = Facts { waits: true, seccomp: Some(program()), ..facts() };
    let plan = made(&spec(), &facts).unwrap().to_string();
    let lines: Vec<&str> = plan.lines().collect();
    let at = lines.iter().position(|line| line.starts_with("find the command")).unwrap();
    let filter = lines.iter().position(|line| line.starts_with("load the seccomp program")).unwrap();
    assert!(at < filter && lines[at - 1].starts_with("close descriptors"), "{plan}");
}

#[test]
fn the_hosts_and_anothers_namespaces() {
    let mut spec = spec();
    spec["hostname"] = json!("");
    spec["mounts"][0] =
        json!({"destination": "/proc", "type": "bind", "source": "/proc", "options": ["rbind", "nosuid"]});
    spec["linux"]["namespaces"] = json!([
        {"type": "user", "path": "/proc/1/ns/user"}, {"type": "mount"}, {"type": "pid", "path": "/proc/1/ns/pid"},
        {"type": "network", "path": "/proc/1/ns/net"},
    ]);
    insta::assert_snapshot!(
        made(&spec, &Facts { keep_groups: true, dies_with_parent: false, ..facts() }).unwrap()
    );
}

#[test]
fn a_keyring_is_taken_or_forbidden() {
    for (no_keyring, does, does_not) in [
        (false, "take a session keyring", "forbid keyrings"),
        (true, "forbid keyrings", "take a session keyring"),
    ] {
        let plan = made(&spec(), &Facts { no_keyring, ..facts() }).unwrap().to_string();
        assert!(plan.contains(does) && !plan.contains(does_not), "{plan}");
    }
}

#[test]
fn what_no_plan_can_be_made_of() {
    let refused = |change: fn(&mut Value)| {
        let mut spec = spec();
        change(&mut spec);
        made(&spec, &facts()).unwrap_err().to_string()
    };
    let refusals = [
        refused(|spec| spec["linux"]["namespaces"] = json!([{"type": "mount"}])),
        refused(|spec| spec["linux"]["namespaces"] = json!([{"type": "user"}])),
        refused(|spec| spec["process"]["args"] = json!([])),
        refused(|spec| spec["process"]["args"] = json!(["a\0b"])),
        refused(|spec| spec["process"]["rlimits"] = json!([{"type": "RLIMIT_FOO", "soft": 0, "hard": 0}])),
        refused(|spec| spec["linux"]["sysctl"] = json!({"kernel/../../x": "1"})),
        refused(|spec| {
            spec["linux"]["devices"] = json!([{"type": "b", "path": "/dev/x", "major": 1, "minor": 1}]);
        }),
        refused(|spec| spec["mounts"][0]["destination"] = json!("proc")),
        refused(|spec| spec["mounts"][3] = json!({"destination": "/proc/self/attr", "type": "tmpfs"})),
        refused(|spec| {
            spec["mounts"][3] = json!({"destination": "/x", "type": "bind", "options": ["size=1"]});
        }),
        refused(|spec| {
            spec["process"]["terminal"] = json!(true);
            spec["mounts"].as_array_mut().unwrap().remove(3);
        }),
    ];
    let expected = [
        "a container needs a user namespace of its own or another container's",
        "a container needs a mount namespace of its own",
        "there is no command to run",
        "\"/usr/bin/a\\0b\" holds a NUL byte",
        "\"RLIMIT_FOO\" is no resource that can be limited",
        "\"kernel/../../x\" is no name of a kernel setting",
        "\"b\" is no kind of a device node that can be bound",
        "the path \"proc\" is not absolute",
        "nothing can be mounted on /proc/self/attr, inside the kernel's own file system",
        "the mount on /x has the unknown option \"size=1\"",
        "a terminal needs a devpts on /dev/pts",
    ];
    assert_eq!(refusals, expected);
}

#[test]
fn ping_is_for_all_groups_in_the_kernels_order() {
    let mut facts = facts();
    // keep-id: the inner 1000 is the user's own group, with the lowest kernel id; 65,536 is the last of the range.
    let gid =
        IdMap::new(vec![Extent::new(0, 1, 1000), Extent::new(1000, 0, 1), Extent::new(1001, 1001, 64_536)])
            .unwrap();
    facts.maps.gid = gid;
    let plan = made(&spec(), &facts).unwrap().to_string();
    assert!(plan.contains("try to write `1000 65536` to /proc/sys/net/ipv4/ping_group_range"), "{plan}");
}
