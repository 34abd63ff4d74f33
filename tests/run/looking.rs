//! Looking into a container's network: what went through it is counted.

use std::io::Read as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ctr_tests::env::programs;
use ctr_tests::{BUSYBOX, Env, needs};
use rustix::process::{Signal, kill_process};
use serde_json::Value;

use crate::network::{accept, datagrams, listener};
use crate::network_again::{held, probe, served_by, supervisor, until};

/// Lets a container reach the host's loopback.
const OPEN: &str = "--network=user,host-access=loopback";

/// The host, as a container names it, for both protocols.
const HOSTS: [(IpAddr, &str); 2] =
    [(IpAddr::V4(Ipv4Addr::LOCALHOST), "169.254.1.2"), (IpAddr::V6(Ipv6Addr::LOCALHOST), "[fd00:0:0:1::2]")];

/// How much a container sends by a connection.
const LENGTH: usize = 300_000;

/// What `inspect` has of a container's network.
fn settings(env: &Env, name: &str) -> Value {
    let said = env.ok(["inspect", "-f", "{{json .NetworkSettings}}", name]);
    serde_json::from_str(&said).expect("JSON")
}

fn counters(env: &Env, name: &str) -> Value {
    settings(env, name)["Counters"].take()
}

/// Has a command of a container exchange something with the host, by a connection and by datagrams, for each protocol.
fn exchange(env: &Env, name: &str) {
    for (at, host) in HOSTS {
        let (tcp, port) = listener(at);
        let tells = ["/probe", "tell", &format!("{host}:{port}"), &LENGTH.to_string()].map(str::to_owned);
        let told = env.ctr(["exec", name].map(str::to_owned).into_iter().chain(tells)).start();
        let (mut peer, _) = accept(&tcp);
        let mut heard = Vec::new();
        peer.read_to_end(&mut heard).expect("all of it");
        assert_eq!(heard.len(), LENGTH);
        drop(peer);
        told.finish().success();

        let (udp, port) = datagrams(at);
        let any = if at.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let asks = env.ctr(["exec", name, "/probe", "ask", "udp", any, &format!("{host}:{port}"), "word"]);
        let asking = asks.start();
        let mut room = [0; 64];
        let (length, from) = udp.recv_from(&mut room).expect("a word");
        udp.send_to(&room[..length], from).expect("room");
        assert_eq!(asking.finish().success(), "word");
    }
}

#[test]
fn what_went_through_is_counted_and_told_to_the_user_alone() {
    needs!(Userns);
    let env = Env::with_busybox();
    let store = format!("-v={}:/store", env.store().display());
    env.ok(["run", "-d", OPEN, "--name=c", &probe(), &store, BUSYBOX, "sleep", "1000"]);
    let begun = counters(&env, "c");
    assert_eq!(
        begun["Flows"],
        serde_json::json!({"Tcp": nothing(), "Udp": nothing(), "Echo": nothing(), "Name": nothing()})
    );
    exchange(&env, "c");
    env.ok(["exec", "c", "nslookup", "host.containers.internal"]);
    for gateway in ["10.0.2.1", "fd00::1"] {
        env.ctr(["exec", "c", "nc", "-w", "5", gateway, "80"]).run().fails(1);
    }
    env.ctr(["exec", "c", "nc", "-w", "5", "169.254.169.254", "80"]).run().fails(1);
    let (tcp, port) = listener(Ipv4Addr::LOCALHOST.into());
    let holds = env.ctr(["exec", "c", "/probe", "hold", &format!("169.254.1.2:{port}")]).start();
    let peer = held(&tcp);

    let now = until("what is over counts still", || {
        let now = counters(&env, "c");
        (now["Flows"]["Tcp"]["Now"] == 1).then_some(now)
    });
    let flows = &now["Flows"];
    assert_eq!((&flows["Tcp"]["Ever"], &flows["Tcp"]["FromOutside"]), (&3.into(), &0.into()), "{now:#}");
    assert_eq!((&flows["Udp"]["Ever"], &flows["Udp"]["Now"]), (&2.into(), &2.into()), "{now:#}");
    assert!(flows["Name"]["Ever"].as_u64() >= Some(2), "{now:#}");
    assert_eq!(now["Refused"], serde_json::json!({"Gateway": 2, "Metadata": 1}), "{now:#}");
    let eth0 = &now["Interfaces"]["eth0"];
    let sent = eth0["TxBytes"].as_u64().expect("a number");
    assert!((2 * LENGTH as u64..4 * LENGTH as u64).contains(&sent), "{now:#}");
    assert!(eth0["RxPackets"].as_u64() > Some(10), "{now:#}");
    assert_eq!(env.ok(["inspect", "-f", "{{.NetworkSettings.Counters.Flows.Tcp.Ever}}", "c"]), "3");

    // The root of a container has the user's number for the kernel, and here even the socket's path.
    let folder = |at: &str, id: &str| format!("{at}/containers/{id}");
    let id = env.ok(["inspect", "-f", "{{.Id}}", "c"]);
    let inside = env.ok(["exec", "c", "/probe", "count", &folder("/store", &id)]);
    assert!(!inside.contains("Flows") && inside.contains("denied"), "{inside}");
    let asks = ["count".to_owned(), folder(&env.store().display().to_string(), &id)];
    let outside = env.program(programs().join("net-probe"), asks).run().success();
    assert!(outside.contains("\"Flows\":"), "{outside}");

    // Who comes next counts anew, and the kernel counts on.
    let first = served_by(supervisor(&env), None);
    kill_process(first, Signal::KILL).expect("it is ours");
    served_by(supervisor(&env), Some(first));
    drop((peer, holds.finish()));
    let again = until("nobody counts", || Some(counters(&env, "c")).filter(|now| now["Flows"].is_object()));
    assert_eq!(again["Flows"]["Tcp"], nothing(), "{again:#}");
    assert!(again["Interfaces"]["eth0"]["TxBytes"].as_u64() >= Some(sent), "{again:#}");
    env.ok(["stop", "-t0", "c"]);
    assert_eq!(counters(&env, "c"), Value::Null);
    env.ok(["rm", "c"]);
}

/// Flows of a kind that there have been none of.
fn nothing() -> Value {
    serde_json::json!({"Now": 0, "Ever": 0, "FromOutside": 0})
}

#[test]
fn of_a_container_without_a_monitor_the_kernel_counts() {
    needs!(Userns);
    let env = Env::with_busybox();
    let (tcp, port) = listener(Ipv4Addr::LOCALHOST.into());
    let running = env.shell([OPEN, "--name=c", &probe()], &format!("/probe hold 169.254.1.2:{port}")).start();
    let peer = held(&tcp);
    let now = counters(&env, "c");
    assert!(now["Interfaces"]["eth0"]["TxPackets"].as_u64() > Some(2), "{now:#}");
    assert_eq!(now["Flows"], Value::Null);
    drop(peer);
    running.finish().success();
    // What the host's network carries is not the container's, and no network carries nothing.
    for (network, seen) in [("none", serde_json::json!({"Interfaces": {}})), ("host", Value::Null)] {
        env.ok(["run", "-d", "--network", network, "--name=c", BUSYBOX, "sleep", "1000"]);
        assert_eq!(counters(&env, "c"), seen, "{network}");
        env.ok(["rm", "-f", "-t0", "c"]);
    }
}
