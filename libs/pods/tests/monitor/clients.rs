//! Who may be a client, and what slow ones cost.

use std::fs::File;
use std::os::fd::AsFd;
use std::process::Command;

use ctr_sys::monitor::{kind, wants};
use rustix::process::Signal;
use serde_json::json;

use crate::harness::{Monitored, PROBE, start};

const BOTH: u8 = wants::OUTPUT | wants::INPUT;

/// A child that ends when it is told, and says a line before.
fn waiting() -> Monitored {
    start("read x; echo $x", &json!({}))
}

fn finish(mut monitored: Monitored) {
    let client = monitored.client(BOTH);
    client.type_line("bye");
    assert_eq!(client.rest().stdout, b"bye\n");
    monitored.wait();
}

#[test]
fn who_says_nothing_is_hung_up_on_and_keeps_nobody_waiting() {
    let monitored = waiting();
    let silent = monitored.connect();
    let other = monitored.client(BOTH);
    assert_eq!(silent.next(), [kind::LEFT_BEHIND]);
    assert!(silent.next().is_empty());
    drop(other);
    finish(monitored);
}

#[test]
fn who_cannot_show_the_user_s_namespace_is_refused() {
    let monitored = waiting();
    let own = File::open("/proc/self/ns/user").unwrap();
    let pid = File::open("/proc/self/ns/pid").unwrap();
    let file = File::open("/proc/self/stat").unwrap();
    let cases: [(&[u8], &[_]); 6] = [
        (&[kind::HELLO, BOTH], &[]),
        (&[kind::HELLO, BOTH], &[pid.as_fd()]),
        (&[kind::HELLO, BOTH], &[file.as_fd()]),
        (&[kind::INPUT, BOTH], &[own.as_fd()]),
        (&[kind::HELLO], &[own.as_fd()]),
        (b"I let me in\n", &[]),
    ];
    for (message, fds) in cases {
        let client = monitored.connect();
        client.show(message, fds);
        assert!(client.next().is_empty(), "{message:?} with {} descriptors", fds.len());
    }
    finish(monitored);
}

#[test]
fn a_user_of_the_same_id_in_another_user_namespace_is_refused() {
    let monitored = waiting();
    let output = Command::new(PROBE).arg("foreign").arg(monitored.path()).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(said, "monitor-probe: the container's monitor hung up\n");
    finish(monitored);
}

#[test]
fn there_are_places_for_sixteen() {
    let monitored = waiting();
    let clients: Vec<_> = (0..16).map(|_| monitored.client(wants::OUTPUT)).collect();
    let more = monitored.connect();
    assert_eq!(more.next(), [kind::LEFT_BEHIND]);
    assert!(more.next().is_empty());
    drop(clients);
    finish(monitored);
}

#[test]
fn who_never_reads_is_left_behind_and_told() {
    let mut monitored = start("read x; seq 1000000; echo", &json!({}));
    let slow = monitored.client(BOTH);
    let quick = monitored.client(wants::OUTPUT);
    slow.type_line("");
    let told = quick.rest();
    assert!(told.stdout.ends_with(b"1000000\n\n") && told.last == [b'Z', 0, 0]);
    monitored.wait();
    let missed = slow.rest();
    assert_eq!(missed.last, [kind::LEFT_BEHIND]);
    assert!(told.stdout.starts_with(&missed.stdout) && !missed.stdout.is_empty());
}

#[test]
fn who_wants_no_output_gets_none_and_is_told_of_the_end() {
    let mut monitored = start("read x; seq 100000; exit 4", &json!({}));
    let client = monitored.client(wants::INPUT);
    client.type_line("");
    let told = client.rest();
    assert!(told.stdout.is_empty() && told.last == [b'Z', 4, 0]);
    monitored.wait();
}

/// The starting command may take its time: the container waits, and nothing is lost.
#[test]
fn the_starting_command_is_waited_for() {
    let request = json!({"client": true, "input": false});
    let script = "seq 400000; echo > $0";
    let folder = tempfile::tempdir().unwrap();
    let done = folder.path().join("done");
    let mut request = request;
    request["command"] = json!(["sh", "-c", script, done]);
    let mut monitored = start("", &request);
    let own = monitored.own.take().unwrap();
    let first = own.next();
    // A client that came later is not waited for, and sees that the container is held up: it is given nothing.
    let other = monitored.client(wants::OUTPUT);
    assert!(!done.exists(), "two megabytes fit into no pipe");
    drop(other);
    let told = own.rest();
    let all: String = (1..=400_000).map(|number| format!("{number}\n")).collect();
    assert!([&first[1..], &told.stdout].concat() == all.as_bytes() && told.last == [b'Z', 0, 0]);
    monitored.wait();
    assert!(done.exists());
}

#[test]
fn a_starting_command_that_goes_away_takes_nothing_along() {
    let mut monitored = start("seq 400000", &json!({"client": true, "input": false}));
    drop(monitored.own.take());
    monitored.wait();
    assert!(monitored.logged().0.ends_with(b"400000\n"));
}

#[test]
fn a_monitor_that_is_stopped_for_a_while_harms_nobody() {
    let mut monitored = start("read x; echo $x; seq 200000", &json!({}));
    let client = monitored.client(BOTH);
    monitored.signal(Signal::STOP);
    client.type_line("typed");
    let late = monitored.connect();
    late.introduce(wants::INPUT);
    let silent = monitored.connect();
    monitored.signal(Signal::CONT);
    assert_eq!(late.next(), [kind::HELLO]);
    let told = client.rest();
    assert!(told.stdout.starts_with(b"typed\n1\n") && told.stdout.ends_with(b"200000\n"));
    assert_eq!(late.rest().last, told.last);
    drop(silent);
    monitored.wait();
}
