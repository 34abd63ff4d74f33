//! Hosts of the tests' own: network namespaces in which a test is root, with interfaces, routes and services as it wants them.
//!
//! Each is a script of bash, and the first process of namespaces of its own: of users, networks, mounts and processes. So where a script
//! has ended, so have its containers and whatever else it has started.

use std::time::Duration;

use ctr_tests::env::programs;
use ctr_tests::image::Image;
use ctr_tests::{BUSYBOX, Env, Invocation};

/// How long a script may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a script finds: its loopback, an image, and words for what hosts do.
const WORDS: &str = r#"set -e
image=localhost/busybox
ctr load -q -i image.tar >/dev/null
ip link set lo up

# An interface with addresses in networks in which nobody answers.
lonely() {
    ip link add h0 type veth peer name h1
    ip link set h1 up
    ip addr add 198.51.100.7/24 dev h0
    ip addr add 2001:db8::7/64 dev h0 nodad
    ip link set h0 up
}

# The same with somebody else at the other end of the wire, who is the way out.
neighbour() {
    unshare --net sh -c 'echo; exec sleep 1000' >neighbour.is.there & neighbour=$!
    until [ -s neighbour.is.there ]; do kill -0 $neighbour; done
    ip link add h0 type veth peer name h1 netns $neighbour
    ip addr add 198.51.100.7/24 dev h0
    ip addr add 2001:db8::7/64 dev h0 nodad
    ip link set h0 up
    there ip link set lo up
    there ip addr add 198.51.100.1/24 dev h1
    there ip addr add 2001:db8::1/64 dev h1 nodad
    there ip link set h1 up
    ip route add default via 198.51.100.1
    ip -6 route add default via 2001:db8::1
}
there() { nsenter --target $neighbour --net -- "$@"; }

# A container that does nothing by itself, and programs in its network.
container() { ctr run -d --name c --network ${network:-user} -v "$probe:/probe:ro" "$@" $image sleep 1000 >/dev/null; in_network_of c; }
in_network_of() { pid=$(ctr inspect -f '{{.State.Pid}}' "$1"); }
inside() { nsenter --target $pid --user --net --preserve-credentials -- "$@"; }

# Starts a server, the first words of which are those with which it is started, and waits until it says that it serves.
serving() { # LOG COMMAND…
    local log=$1; shift
    "$@" 2>"$log" & local server=$!
    until grep -q serving "$log"; do kill -0 $server; done
}
netd() {
    local monitor; monitor=$(ctr inspect -f '{{.State.ConmonPid}}' "${1:-c}")
    for child in $(cat /proc/$monitor/task/$monitor/children); do
        case $(cat /proc/$child/comm):$(cut -d' ' -f3 /proc/$child/stat) in ctr-netd:Z) ;; ctr-netd:*) echo $child ;; esac
    done
}
"#;

/// A host that a script makes of a namespace.
pub(crate) fn host<'a>(env: &'a Env, script: &str) -> Invocation<'a> {
    let _image = env.file("image.tar", Image::busybox(BUSYBOX, []).docker_archive());
    let script = format!("{WORDS}\n{script}");
    let unshare = [
        "--map-root-user",
        "--map-auto",
        "--net",
        "--mount",
        "--mount-proc",
        "--pid",
        "--fork",
        "--kill-child",
    ];
    let host = env.program("unshare", unshare).args(["bash", "-c", &script]);
    host.deadline(PATIENCE).var("probe", programs().join("net-probe"))
}

/// The same of a world of its own, to its end: what it said.
#[track_caller]
pub(crate) fn said(script: &str) -> String {
    let env = Env::new();
    host(&env, script).run().success()
}
