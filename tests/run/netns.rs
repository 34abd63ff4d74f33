//! `--network ns:PATH`: a network namespace that somebody has made.

use ctr_tests::image::Image;
use ctr_tests::{BUSYBOX, Env, needs};

use crate::hosts;
use crate::kept::{detached, field};

const LOOK: &str = "readlink /proc/self/ns/net; cat /proc/net/dev | grep -c mark || true";

/// A process that has made a network namespace with an interface of its own, until its input ends.
const HOLD: &str = "ip link add mark type veth peer name krams && readlink /proc/self/ns/net && echo $$ >holder && echo made && { read end; true; }";

/// The path of a namespace that a started program has made, and which it is.
fn made(env: &Env, said: &str) -> (String, String) {
    let pid = std::fs::read_to_string(env.path("holder")).expect("a process id");
    let which = said.lines().find(|line| line.starts_with("net:")).expect("a namespace").to_owned();
    (format!("--network=ns:/proc/{}/ns/net", pid.trim()), which)
}

#[test]
fn one_that_unshare_has_made_is_entered() {
    needs!(Userns);
    let env = Env::with_busybox();
    let (end, input) = std::io::pipe().expect("a pipe");
    let mut holder = env.ctr(["unshare", "unshare", "--net", "sh", "-c", HOLD]);
    holder.command().stdin(end);
    let mut holder = holder.start();
    let said = holder.wait_for("made");
    let (flag, which) = made(&env, &said);
    assert_eq!(env.sh([&flag], LOOK), format!("{which}\n1"));
    // It is not the machine's: neither are names and addresses.
    let hosts = env.sh([&flag, "--hostname=me"], "cat /etc/hosts; hostname");
    let machine = "127.0.0.1\thost.containers.internal";
    assert!(hosts.contains("127.0.0.1\tme") && !hosts.contains(machine), "{hosts}");
    let refused = env.shell([&flag, "--sysctl=net.ipv4.ip_default_ttl=77"], "true").run().fails(125);
    assert!(refused.contains("net.ipv4.ip_default_ttl"), "{refused}");
    // At each start, behind a monitor, with ids of its own, and through another one.
    detached(&env, &[&flag, "--userns=keep-id"], "kept", "exec sleep 1000");
    assert_eq!(field(&env, "kept", "{{.HostConfig.NetworkMode}}"), flag.trim_start_matches("--network="));
    env.ok(["stop", "-t0", "kept"]);
    env.ok(["start", "kept"]);
    assert_eq!(env.ok(["exec", "kept", "sh", "-c", LOOK]), format!("{which}\n1"));
    assert_eq!(env.sh(["--network=container:kept", "--userns=container:kept"], LOOK), format!("{which}\n1"));
    drop(input);
    holder.finish().success();
}

#[test]
fn that_of_a_container_comes_with_its_user_namespace() {
    needs!(Userns);
    let env = Env::with_busybox();
    detached(&env, &["--network=user"], "other", "exec sleep 1000");
    let flag = format!("--network=ns:/proc/{}/ns/net", field(&env, "other", "{{.State.Pid}}"));
    let look = "readlink /proc/self/ns/net; readlink /proc/self/ns/user; ls /sys/class/net | tr '\\n' ' '; nslookup host.docker.internal 10.0.2.1 | grep -c 169.254.1.2";
    let said = env.sh([&flag], look);
    assert_eq!(said, env.ok(["exec", "other", "sh", "-c", look]));
    assert!(said.ends_with("eth0 lo 1"), "{said}");
    let hosts = env.sh([&flag, "--add-host=db:host-gateway"], "cat /etc/hosts");
    for line in ["169.254.1.2\thost.containers.internal host.docker.internal", "169.254.1.2\tdb"] {
        assert!(hosts.lines().any(|said| said == line), "{line}: {hosts}");
    }
    let refused = env.shell([&flag, "--userns=keep-id"], "true").run().fails(125);
    assert!(refused.contains("it cannot have ids of its own"), "{refused}");
    detached(&env, &[], "second", "exec sleep 1000");
    let refused = env.shell([&flag, "--ipc=container:second"], "true").run().fails(125);
    assert!(refused.contains("it has another user namespace"), "{refused}");
}

#[test]
fn that_where_we_are_is_the_hosts() {
    needs!(Userns);
    let env = Env::with_busybox();
    let own = std::fs::read_link("/proc/self/ns/net").expect("a namespace");
    let said = env.sh(["--network=ns:/proc/self/ns/net"], "readlink /proc/self/ns/net; cat /etc/hosts");
    assert!(said.starts_with(&own.display().to_string()), "{said}");
    assert!(said.contains("127.0.0.1\thost.containers.internal"), "{said}");
}

/// Of a namespace that somebody else wires: the host is what its neighbours call it, at each start; and something, where it has none.
#[test]
fn its_names_of_the_host_are_what_others_call_it() {
    needs!(Userns, Iproute);
    let said = hosts::said(
        r#"
ctr unshare unshare --net sh -c 'echo $$ >holder; exec sleep 1000' & holder=$!
until [ -s holder ]; do kill -0 $holder; done
ctr create --name c --network ns:/proc/$(cat holder)/ns/net --add-host db:host-gateway $image grep -e '^db' -e internal -e 'db$' /etc/hosts >/dev/null
ctr start -a c
neighbour
ctr start -a c
"#,
    );
    let lines =
        |address: &str| format!("{address}\tdb\n{address}\thost.containers.internal host.docker.internal\n");
    assert_eq!(said, (lines("169.254.1.2") + &lines("198.51.100.7")).trim_end());
}

#[test]
fn any_other_is_refused_by_its_owner() {
    needs!(Userns);
    let env = Env::with_busybox();
    let (end, input) = std::io::pipe().expect("a pipe");
    let mut holder = env.program("unshare", ["--map-root-user", "--net", "sh", "-c", HOLD]);
    holder.command().stdin(end);
    let mut holder = holder.start();
    let said = holder.wait_for("made");
    let (flag, _) = made(&env, &said);
    let user = std::fs::read_to_string(env.path("holder")).expect("a process id");
    let user = std::fs::read_link(format!("/proc/{}/ns/user", user.trim())).expect("its user namespace");
    let inode = user.display().to_string().replace(|c: char| !c.is_ascii_digit(), "");
    let uid = rustix::process::getuid().as_raw();
    let refused = env.shell([&flag], "true").run().fails(125);
    let said = format!("it belongs to user namespace {inode} of uid {uid}, which is none of ours");
    assert!(refused.contains(&said), "{said}: {refused}");
    drop(input);
    holder.finish().success();
    for (path, said) in [
        ("/etc/passwd", "it is none"),
        ("/proc/self/ns/ipc", "it is none"),
        ("/no/such", "No such file or directory (ENOENT)"),
    ] {
        let refused = env.shell([format!("--network=ns:{path}")], "true").run().fails(125);
        assert!(refused.contains(&format!("cannot join the network namespace {path:?}")), "{refused}");
        assert!(refused.contains(said), "{refused}");
    }
    // That of a process of root's, which has it to itself.
    let refused = env.shell(["--network=ns:/proc/1/ns/net"], "true").run().fails(125);
    assert!(
        refused.contains("\"/proc/1/ns/net\": it belongs to uid 0: Permission denied (EACCES)"),
        "{refused}"
    );
    // One of the machine's, seen from within a namespace of the user's.
    let env = Env::new();
    let _image = env.file("image.tar", Image::busybox(BUSYBOX, []).docker_archive());
    let run =
        "ctr load -q -i image.tar && exec ctr run --rm --network=ns:/proc/self/fd/7 localhost/busybox true";
    let script =
        format!("exec 7</proc/self/ns/net; exec unshare --map-root-user --map-auto --net bash -c '{run}'");
    let refused = env.program("bash", ["-c", &script]).run().fails(125);
    assert!(refused.contains("it belongs to a user namespace above ours"), "{refused}");
}
