//! More than there is room for: of callers, of datagrams, of connections. Whoever causes it may wait; nobody else does.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};

use ctr_tests::env::programs;
use ctr_tests::{Env, needs};
use rustix::process::Pid;

use crate::network_again::{child, served_by, supervisor_of, until};
use crate::ports::{asks, asks_by_datagram, port_of, serve};

/// How many descriptors a process has.
fn descriptors(of: Pid) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", of.as_raw_pid())).expect("a live process").count()
}

/// Whether a process waits, each time that it is looked at.
pub(crate) fn rests(process: Pid) -> bool {
    (0..20).all(|_| child(process.as_raw_pid()).is_some_and(|it| it.state == 'S'))
}

const V4: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// How many pairs of addresses may be begun outside.
const PAIRS: u32 = 2048;

/// Those who say something to a port and hear nothing are as many as there may be, and more.
#[test]
fn who_is_not_answered_keeps_nobody_from_a_published_port() {
    needs!(Userns);
    let env = Env::with_busybox();
    serve(&env, "server", "[::]:7", &["-p=127.0.0.1::7/udp"]);
    let port = SocketAddr::new(V4, port_of(&env, "server", "7/udp"));
    let caller = |number: u32| {
        // Each from an address of its own: ports of one would come again.
        let own = Ipv4Addr::from(u32::from(Ipv4Addr::new(127, 1, 0, 0)) + number);
        UdpSocket::bind((own, 0)).expect("an address of the loopback")
    };
    let friend = UdpSocket::bind((V4, 0)).expect("an address of the loopback");
    let known = asks_by_datagram(&friend, port, "hello");
    for number in 0..PAIRS + 200 {
        // This one gets no answer.
        caller(number).send_to(&[], port).expect("a datagram");
        if number % 64 == 0 {
            // What came before was looked at before.
            assert_eq!(asks_by_datagram(&friend, port, "hello"), known, "after {number}");
        }
    }
    let newcomer = asks_by_datagram(&caller(1 << 16), port, "hello");
    assert!(newcomer.ends_with(" hello"), "{newcomer}");
    env.ok(["rm", "-f", "-t0", "server"]);
}

/// How many connections the host may have taken for one port, of which the container has taken none.
const CALLS: usize = 1500;

#[test]
fn a_port_that_does_not_answer_keeps_no_other_one_waiting() {
    needs!(Userns);
    let env = Env::with_busybox();
    let flags = ["-p=127.0.0.1::7", "-p=127.0.0.1::8"];
    serve(&env, "server", "[::]:7", &flags);
    let mut deaf = env.ctr(["exec", "server", "/probe", "deaf", "0.0.0.0:8"]).start();
    deaf.wait_for_errors("serving");
    let [good, bad] = ["7/tcp", "8/tcp"].map(|port| SocketAddr::new(V4, port_of(&env, "server", port)));
    let probe = programs().join("net-probe");
    let mut crowd = env.program(&probe, ["crowd", &bad.to_string(), &CALLS.to_string()]);
    let (hears, says) = std::io::pipe().expect("a pipe");
    crowd.command().stdin(hears);
    let mut crowd = crowd.start();
    crowd.wait_for(" connected, ");
    let netd = served_by(supervisor_of(&env, "server"), None);
    until("it does not take them", || (descriptors(netd) > 1000).then_some(()));
    until("it does not come to rest", || rests(netd).then_some(()));
    assert!(asks(good, "hello").ends_with(" hello"));
    // Who hangs up is not waited for.
    drop(says);
    crowd.finish().success();
    until("who hung up is waited for", || (descriptors(netd) < 200).then_some(()));
    env.ok(["rm", "-f", "-t0", "server"]);
}
