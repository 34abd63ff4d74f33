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

#[test]
fn a_pid_namespace_has_one_process_and_its_own_proc() {
    needs!(Userns);
    let env = Env::with_busybox();
    assert_eq!(env.sh([""; 0], "echo $$; ls -d /proc/[0-9]* | wc -l"), "1\n3");
    assert!(env.sh(["--init"], "cat /proc/1/comm").contains("init"));
}

#[test]
fn without_a_network_there_is_the_loopback() {
    needs!(Userns);
    let env = Env::with_busybox();
    assert_eq!(env.sh(["--network", "none"], "ls /sys/class/net"), "lo");
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
            let seen = env.sh(["--userns", userns, other], "ls -d /proc/self /sys/class /dev/mqueue | wc -l");
            assert_eq!(seen, "3", "{userns} {other}");
        }
    }
}
