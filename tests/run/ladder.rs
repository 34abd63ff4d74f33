//! `--network user,mode=…`: the ways in which a network is served, each by its name, and which one it is where nobody says.

use ctr_tests::{Env, needs};

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
