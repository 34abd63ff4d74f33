//! Containers that share namespaces: `--pid`, `--ipc`, `--uts`, `--cgroupns`, `--network` of another one.

use ctr_tests::{BUSYBOX, Env, needs};

use crate::kept::{detached, field, wait_until_it_is};

/// The namespace of a running container's first process.
fn namespace(env: &Env, name: &str, kind: &str) -> String {
    env.ok(["exec", name, "readlink", &format!("/proc/1/ns/{kind}")])
}

#[test]
fn every_kind_can_be_another_containers() {
    needs!(Userns);
    let env = Env::with_busybox();
    let id = detached(&env, &["--hostname", "theirs"], "other", "exec sleep 1000");
    let kinds = [("pid", "pid"), ("ipc", "ipc"), ("uts", "uts"), ("cgroupns", "cgroup"), ("network", "net")];
    for (flag, kind) in kinds {
        let theirs = namespace(&env, "other", kind);
        let look = format!("readlink /proc/self/ns/{kind}; readlink /proc/self/ns/user");
        let flag = format!("--{flag}=container:other");
        let expected = format!("{theirs}\n{}", namespace(&env, "other", "user"));
        assert_eq!(env.sh([&flag], &look).trim(), expected, "{flag}");
        let kept = env.ok(["create", &flag, BUSYBOX, "sh", "-c", &look]);
        assert_eq!(env.ok(["start", "-a", &kept]), expected, "{flag}");
    }
    assert_eq!(env.sh(["--uts=container:other"], "hostname; grep -c theirs /etc/hosts"), "theirs\n1");
    env.ok(["create", "--name", "sharing", "--ipc", "container:other", "--net", "container:other", BUSYBOX]);
    let shown = field(&env, "sharing", "{{.HostConfig.IpcMode}} {{.HostConfig.NetworkMode}}");
    assert_eq!(shown, format!("container:{id} container:{id}"));
}

#[test]
fn processes_and_memory_are_shared() {
    needs!(Userns);
    let env = Env::with_busybox();
    detached(&env, &[], "other", "echo theirs >/dev/shm/file; ready; exec sleep 1000");
    wait_until_it_is(&env, "other", "sleep");
    let seen =
        env.sh(["--pid=container:other"], "tr '\\0' ' ' </proc/1/cmdline; test $$ != 1 && echo not-first");
    assert_eq!(seen, "sleep 1000 not-first");
    let seen =
        env.sh(["--ipc=container:other"], "cat /dev/shm/file; echo ours >/dev/shm/more; ls -d /dev/mqueue");
    assert_eq!(seen, "theirs\n/dev/mqueue");
    assert_eq!(env.ok(["exec", "other", "cat", "/dev/shm/more"]), "ours");
    // Whoever shares nothing sees nothing of it.
    assert_eq!(env.sh([] as [&str; 0], "ls /dev/shm"), "");
    // One that shares processes is entered, and ends with them.
    env.ok(["run", "-d", "--name", "sharing", "--pid=container:other", BUSYBOX, "sleep", "1000"]);
    assert_eq!(env.ok(["exec", "sharing", "sh", "-c", "cat /proc/1/comm"]), "sleep");
    env.ok(["kill", "other"]);
    assert_eq!(env.ok(["wait", "other", "sharing"]), "137\n137");
}

/// Whoever shares something needs the other one: that is started first, and not removed alone.
#[test]
fn the_other_one_is_needed() {
    needs!(Userns);
    let env = Env::with_busybox();
    env.ok(["create", "--name", "other", "--init", BUSYBOX, "sleep", "1000"]);
    env.ok(["create", "--name", "sharing", "--uts=container:other", BUSYBOX, "sh", "-c", "hostname"]);
    let refused = env.ctr(["rm", "other"]).run();
    assert_ne!(refused.code(), 0, "{refused}");
    let hostname = field(&env, "other", "{{.Config.Hostname}}");
    assert_eq!(env.ok(["start", "-a", "sharing"]), hostname);
    assert_eq!(field(&env, "other", "{{.State.Status}}"), "running");
    env.ok(["stop", "other"]);
    assert_eq!(env.sh(["--ipc=container:other"], "echo started"), "started");
    env.ok(["rm", "sharing"]);
    env.ok(["rm", "-f", "other"]);
}

#[test]
fn what_is_the_hosts_stays_the_hosts() {
    needs!(Userns);
    let env = Env::with_busybox();
    let flags = ["--pid=host", "--ipc=host", "--uts=host", "--cgroupns=host", "--network=host"];
    detached(&env, &flags, "other", "exec sleep 1000");
    for (flag, kind) in
        [("pid", "pid"), ("ipc", "ipc"), ("uts", "uts"), ("cgroupns", "cgroup"), ("network", "net")]
    {
        let ours = std::fs::read_link(format!("/proc/self/ns/{kind}")).expect("a namespace");
        let flag = format!("--{flag}=container:other");
        let seen = env.sh([&flag], &format!("readlink /proc/self/ns/{kind}"));
        assert_eq!(seen, ours.display().to_string(), "{flag}");
    }
    // Through others too.
    detached(&env, &["--pid=container:other"], "second", "exec sleep 1000");
    let ours = std::fs::read_link("/proc/self/ns/pid").expect("a namespace").display().to_string();
    assert_eq!(env.sh(["--pid=container:second"], "readlink /proc/self/ns/pid"), ours);
}

#[test]
fn shared_memory_is_kept_to_oneself_or_not_there() {
    needs!(Userns);
    let env = Env::with_busybox();
    assert_eq!(env.sh(["--ipc", "none"], "ls -d /dev/shm /dev/mqueue 2>/dev/null || true"), "/dev/mqueue");
    for (mode, shown) in
        [("private", "private"), ("none", "none"), ("shareable", "shareable"), ("", "shareable")]
    {
        let id = env.ok(["create", "--ipc", mode, BUSYBOX, "true"]);
        assert_eq!(field(&env, &id, "{{.HostConfig.IpcMode}}"), shown, "{mode}");
    }
    detached(&env, &["--ipc=private"], "alone", "exec sleep 1000");
    let refused = env.ctr(["run", "--rm", "--ipc=container:alone", BUSYBOX, "true"]).run().fails(125);
    assert!(refused.contains("is not allowed: non-shareable IPC"), "{refused}");
}

/// The root of a container may put what it likes at the path that others share, but leads nobody elsewhere by it.
#[test]
fn a_link_in_place_of_shared_memory_is_not_followed() {
    needs!(Userns);
    let env = Env::with_busybox();
    let swap = "umount /dev/shm && rmdir /dev/shm && ln -s /etc /dev/shm && exec sleep 1000";
    let script = format!("{swap} || exec sleep 1000");
    let flags = ["--privileged", "--name", "other"];
    env.ok([&["run", "-d"][..], &flags, &[BUSYBOX, "sh", "-c", &script]].concat());
    while env.ctr(["exec", "other", "test", "-L", "/dev/shm"]).run().code() != 0 {
        assert_eq!(field(&env, "other", "{{.State.Status}}"), "running");
    }
    let refused = env.ctr(["run", "--rm", "--ipc=container:other", BUSYBOX, "true"]).run().fails(125);
    assert!(refused.contains("cannot share /dev/shm of container other"), "{refused}");
}

#[test]
fn what_cannot_be_shared_is_said() {
    needs!(Userns);
    let env = Env::with_busybox();
    detached(&env, &[], "one", "exec sleep 1000");
    detached(&env, &[], "two", "exec sleep 1000");
    for (flags, said) in [
        (&["--pid=container:nobody"][..], "no container with name or ID \"nobody\""),
        (&["--pid=container:one", "--userns=keep-id"], "it cannot have ids of its own"),
        (&["--pid=container:one", "--uidmap=0:1:2000"], "it cannot have ids of its own"),
        (&["--pid=container:one", "--ipc=container:two"], "it has another user namespace"),
        (&["--uts=container:one", "--hostname=mine"], "cannot set the hostname"),
        (&["--uts=container:one", "--sysctl=kernel.domainname=x"], "kernel.domainname"),
    ] {
        let refused = env.ctr(["run", "--rm"]).args(flags).args([BUSYBOX, "true"]).run().fails(125);
        assert!(refused.contains(said), "{flags:?}: {refused}");
    }
    assert_eq!(
        env.sh(["--pid=container:one", "--userns=container:one", "--uts=container:one"], "echo fine"),
        "fine"
    );
}
