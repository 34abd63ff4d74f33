//! Who is asked for names is the host's own affair, and may become others while a container runs.
//!
//! The host is a namespace of the test's, where root may listen at port 53 and `/etc` is a folder of the test's.

use std::time::Duration;

use ctr_tests::env::programs;
use ctr_tests::{Env, needs};

/// Two resolvers, for one of which every name is 10.9.0.2, and for the other 10.9.0.3; and a container.
const HOST: &str = r#"
set -e
mkdir -p etc elsewhere fs/bin
cp /etc/passwd /etc/group /etc/subuid /etc/subgid /etc/hosts etc
mount --bind etc /etc
ip link set lo up
trap 'kill $one $other; ctr rm -f -t0 c >&2' EXIT
$PROBE names 127.0.0.2 10.9.0.2 >&2 & one=$!
$PROBE names 127.0.0.3 10.9.0.3 >&2 & other=$!
cp /bin/busybox fs/bin
for name in sh sleep nslookup; do ln -s busybox fs/bin/$name; done
names() { echo "nameserver 127.0.0.$1" >"$2"; }
asked() { ctr exec c nslookup a.test 10.0.2.1 2>&1 | sed -n 's/^Address: 10\.9\.0\.\([23]\)$/\1/p'; }
becomes() { until [ "$(asked)" = "$1" ]; do :; done; echo "$2"; }

names 2 /etc/resolv.conf
eval "ctr run --name=c --network=user $HOW"
becomes 2 begun
names 3 /etc/resolv.conf
becomes 3 rewritten
names 2 /etc/new; mv /etc/new /etc/resolv.conf
becomes 2 replaced
names 3 elsewhere/resolv.conf; ln -sf "$PWD/elsewhere/resolv.conf" /etc/resolv.conf
becomes 3 linked
names 2 elsewhere/resolv.conf
becomes 2 'rewritten there'
rm elsewhere/resolv.conf
[ "$(asked)$(asked)" = 22 ] && echo absent
names 3 elsewhere/resolv.conf
becomes 3 back
supervisor=$(ctr inspect -f {{.State.ConmonPid}} c)
for child in $(cat /proc/$supervisor/task/$supervisor/children); do
    if [ "$(cat /proc/$child/comm)" = ctr-netd ]; then kill -9 $child; fi
done
# It was told at its start who was asked first; the first whom it asks is another.
until answer=$(asked); [ -n "$answer" ]; do :; done
[ "$answer" = 3 ] && echo again
"#;

#[test]
fn another_resolver_is_asked_once_it_is_the_hosts() {
    needs!(Userns);
    let env = Env::new();
    let probe = programs().join("net-probe");
    for how in ["-d --rootfs fs sleep 1000 >&2", "--rm --rootfs fs sleep 1000 </dev/null >&2 &"] {
        let host = ["--map-root-user", "--map-auto", "--mount", "--net", "sh", "-c", HOST];
        let host = env
            .program("unshare", host)
            .var("PROBE", &probe)
            .var("HOW", how)
            .deadline(Duration::from_secs(60));
        let said = host.run().success();
        assert_eq!(
            said.lines().collect::<Vec<_>>(),
            ["begun", "rewritten", "replaced", "linked", "rewritten there", "absent", "back", "again"]
        );
        std::fs::remove_dir_all(env.path("fs")).expect("the container's root");
    }
}

/// Whatever stands in the place of the host's files: names are not to be had then, containers are.
const ODD: &str = r#"
set -e
mkdir -p etc fs/bin
cp /etc/passwd /etc/group /etc/subuid /etc/subgid etc
mount --bind etc /etc
mkfifo etc/resolv.conf etc/hosts
for name in sh cat grep nslookup; do ln -s busybox fs/bin/$name; done
cp /bin/busybox fs/bin
look='cat /etc/resolv.conf; grep -c host.containers.internal /etc/hosts; nslookup host.docker.internal 10.0.2.1 | grep -c 169.254.1.2; nslookup a.test 10.0.2.1 | grep -c "SERVFAIL"'
try() { timeout 20 ctr run --rm --network=user --rootfs fs sh -c "$look" || echo "$1: $?"; }
try pipes
rm etc/resolv.conf etc/hosts
mkdir etc/resolv.conf etc/hosts
try folders
"#;

#[test]
fn what_is_no_file_is_not_waited_for() {
    needs!(Userns);
    let env = Env::new();
    let host = ["--map-root-user", "--map-auto", "--mount", "--net", "sh", "-c", ODD];
    let said = env.program("unshare", host).deadline(Duration::from_secs(60)).run().success();
    // Of both families nobody knows anything.
    let each = "search dns.podman\nnameserver 10.0.2.1\n1\n1\n2";
    assert_eq!(said, format!("{each}\n{each}"));
}
