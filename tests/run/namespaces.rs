//! Namespaces: a container's own, or the host's when asked.

use ctr_tests::{Env, needs};

fn of_host(name: &str) -> String {
    std::fs::read_link(format!("/proc/self/ns/{name}"))
        .expect("a namespace")
        .to_str()
        .expect("UTF-8")
        .to_owned()
}

#[test]
fn all_of_them_are_the_container_s_own() {
    needs!(Userns);
    let env = Env::with_busybox();
    let seen =
        env.sh([""; 0], "for n in pid net mnt ipc user uts cgroup; do readlink /proc/self/ns/$n; done");
    for (name, inside) in ["pid", "net", "mnt", "ipc", "user", "uts", "cgroup"].into_iter().zip(seen.lines())
    {
        assert_ne!(inside, of_host(name), "{name}");
    }
}

#[test]
fn the_host_s_are_joined_when_asked() {
    needs!(Userns);
    let env = Env::with_busybox();
    for (flag, name) in
        [("--pid", "pid"), ("--ipc", "ipc"), ("--uts", "uts"), ("--cgroupns", "cgroup"), ("--network", "net")]
    {
        let inside = |value: &str| env.sh([flag, value], &format!("readlink /proc/self/ns/{name}"));
        assert_eq!(inside("host"), of_host(name), "{flag}");
        let own = if flag == "--network" { "none" } else { "private" };
        assert_ne!(inside(own), of_host(name), "{flag}");
        let said = env.shell([flag, "nonsense"], "true").run().fails(125);
        assert!(said.contains("nonsense"), "{said}");
    }
}

/// Who joins has the same ids, sees the image's files as theirs, and is alone in all else.
#[test]
fn the_user_namespace_of_a_container_is_joined_by_name_and_by_path() {
    needs!(Userns);
    let env = Env::with_busybox();
    let look = "readlink /proc/self/ns/user; cat /proc/self/uid_map /proc/self/gid_map";
    for mode in ["auto", "keep-id:uid=7,gid=8"] {
        let mut one = env
            .shell(["--name", "one", "--userns", mode], &format!("{look}; echo ready; exec sleep 1000"))
            .start();
        let seen = one.wait_for("ready\n");
        let seen = seen.strip_suffix("\nready\n").expect("what it sees");
        let pid = env.ok(["container", "inspect", "-f", "{{.State.Pid}}", "one"]);
        let id = env.ok(["container", "inspect", "-f", "{{.Id}}", "one"]);
        for value in [
            "container:one".to_owned(),
            format!("container:{}", &id[..12]),
            format!("ns:/proc/{pid}/ns/user"),
        ] {
            assert_eq!(env.sh(["--userns", &value], look), seen, "{mode} {value}");
            let own =
                env.sh(["--userns", &value], "echo $$; stat -c %u:%g /bin/busybox; touch /x; stat -c %u /x");
            assert_eq!(own, "1\n0:0\n0", "{mode} {value}");
            let user =
                env.sh(["--userns", &value, "-u", "5:6"], "id -u; id -g; touch /tmp/x && ls -n /tmp/x");
            assert!(user.starts_with("5\n6\n") && user.contains(" 5 "), "{mode} {value}: {user}");
        }
        let _removed = env.ok(["rm", "-f", "-t", "0", "one"]);
        let _ended = one.finish();
    }
}

#[test]
fn a_user_namespace_that_cannot_be_joined_is_told_why() {
    needs!(Userns);
    let env = Env::with_busybox();
    let _file = env.file("file", "");
    let own = format!("ns:/proc/{}/ns/user", std::process::id());
    for (value, said) in [
        (
            "container:absent",
            "looking up container to share user namespace with: no container with name or ID \"absent\" found: no such container",
        ),
        ("ns:absent", "cannot join the user namespace \"absent\": No such file or directory (ENOENT)"),
        ("ns:file", "cannot join the user namespace of file: it is not a user namespace"),
        (
            "ns:/proc/self/ns/net",
            "cannot join the user namespace of /proc/self/ns/net: it is not a user namespace",
        ),
        (&own, "it does not belong to your containers"),
        ("ns:/proc/self/ns/user", "it does not belong to your containers"),
    ] {
        let found = env.shell(["--userns", value], "true").run().fails(125);
        assert!(found.contains(said), "{value}: {found}");
    }
    let script = "exec ctr run --rm --userns ns:/proc/self/ns/user localhost/busybox true";
    let found = env.ctr(["unshare", "sh", "-c", script]).run().fails(125);
    assert!(
        found.contains("it is the one that all your containers lie in, where no container runs"),
        "{found}"
    );
    // One that is there, and waits for somebody to read its process id.
    let made = env.program("mkfifo", ["cid", "pid"]).run();
    let _made = made.success();
    let early = env.shell(["--name", "early", "--cidfile", "cid", "--pidfile", "pid"], "true").start();
    assert_eq!(std::fs::read(env.path("cid")).expect("an id").len(), 64);
    let found = env.shell(["--userns", "container:early"], "true").run().fails(125);
    assert!(found.contains("cannot join a namespace of container early: it is not running"), "{found}");
    assert!(!std::fs::read(env.path("pid")).expect("a number").is_empty());
    let _said = early.finish().success();
    assert_eq!(env.ok(["ps", "-aq"]), "");
}

#[test]
fn a_pid_namespace_has_one_process_and_its_own_proc() {
    needs!(Userns);
    let env = Env::with_busybox();
    assert_eq!(env.sh([""; 0], "echo $$; set -- /proc/[0-9]*; echo $#"), "1\n1");
    assert!(env.sh(["--init"], "cat /proc/1/comm").contains("init"));
}

#[test]
fn without_a_network_there_is_the_loopback() {
    needs!(Userns);
    let env = Env::with_busybox();
    assert_eq!(env.sh(["--network", "none"], "ls /sys/class/net"), "lo");
    assert_eq!(env.sh(["--net=none"], "ls /sys/class/net"), "lo");
    assert_eq!(
        env.sh(["--network=none"], "cat /sys/class/net/lo/operstate; ip -o addr show lo | grep -c 127.0.0.1"),
        "unknown\n1"
    );
    // What is low is for anyone inside: the namespace is the container's.
    assert_eq!(env.sh(["-u", "1000"], "cat /proc/sys/net/ipv4/ip_unprivileged_port_start"), "0");
}

/// Each mode of users meets each mode of the others: what cannot be mounted anew is bound.
#[test]
fn proc_sys_and_mqueue_are_there_in_every_mixture() {
    needs!(Userns);
    let env = Env::with_busybox();
    for userns in ["host", "keep-id", "auto"] {
        for other in ["--pid=host", "--network=host", "--ipc=host", "--cgroupns=host", "--uts=host"] {
            let script = "ls -d /proc/self /sys/class /dev/mqueue 2>/dev/null | wc -l";
            let seen = env.sh(["--userns", userns, other], script);
            // The host's queues are shown as the host shows them.
            let queues = other != "--ipc=host" || std::path::Path::new("/dev/mqueue").is_dir();
            assert_eq!(seen, if queues { "3" } else { "2" }, "{userns} {other}");
        }
    }
}
