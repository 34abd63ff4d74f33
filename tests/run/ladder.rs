//! `--network user,mode=…`: the ways in which a network is served, each by its name, and which one it is where nobody says.

use ctr_tests::env::programs;
use ctr_tests::image::Image;
use ctr_tests::{BUSYBOX, Env, needs};

#[test]
fn a_container_says_in_which_way_it_is_served() {
    needs!(Userns);
    let env = Env::with_busybox();
    for network in ["user", "user,mode=tproxy"] {
        let network = format!("--network={network}");
        env.ok(["run", "-d", "--name=c", &network, "--stop-signal=KILL", "busybox", "sleep", "1000"]);
        assert_eq!(env.ok(["inspect", "-f", "{{.NetworkSettings.Mode}}", "c"]), "tproxy");
        env.ok(["rm", "-f", "c"]);
    }
    env.ok(["create", "--name=c", "--network=none", "busybox"]);
    let settings = env.ok(["inspect", "-f", "{{json .NetworkSettings}}", "c"]);
    assert!(!settings.contains("\"Mode\":"), "{settings}");
    let said = env.ctr(["run", "--rm", "--network=user,mode=none", "busybox"]).run().fails(125);
    assert!(said.contains("option \"mode=none\" is not supported yet"), "{said}");
}

/// A port that the host keeps for root is one like any other, where it is somebody else's.
#[test]
fn who_serves_at_a_low_port_is_reached() {
    needs!(Userns);
    let env = Env::new();
    let _image = env.file("image.tar", Image::busybox(BUSYBOX, []).docker_archive());
    let probe = programs().join("net-probe").display().to_string();
    let script = format!(
        "set -e
        ctr load -q -i image.tar >/dev/null
        ip link set lo up
        ip addr add 198.51.100.7/32 dev lo
        {probe} names 198.51.100.7 192.0.2.9 & names=$!
        ctr run --rm --network=user localhost/busybox nslookup -type=a name.example 198.51.100.7 || status=$?
        kill $names; exit $status"
    );
    let words = ["--map-root-user", "--map-auto", "--net", "bash", "-c", &script];
    let said = env.program("unshare", words).run().success();
    assert!(said.contains("Address: 192.0.2.9"), "{said}");
}
