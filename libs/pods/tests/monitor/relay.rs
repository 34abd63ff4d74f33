//! The user's side: streams, terminal, detach keys, signals.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};
use serde_json::json;

use crate::harness::{Monitored, PROBE, start};

/// A relay that runs.
struct Relay {
    child: Child,
    said: BufReader<std::process::ChildStderr>,
}

/// Attaches with the user's streams being pipes.
fn attach(monitored: &Monitored, rules: &str) -> Relay {
    let mut command = Command::new(PROBE);
    command.arg("attach").arg(monitored.path()).arg(rules);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    begin(command)
}

fn begin(mut command: Command) -> Relay {
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    said.read_line(&mut line).unwrap();
    assert_eq!(line, "attached\n");
    Relay { child, said }
}

impl Relay {
    fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().try_into().unwrap()).unwrap()
    }

    fn type_in(&mut self, text: &str) {
        self.child.stdin.as_mut().unwrap().write_all(text.as_bytes()).unwrap();
    }

    /// Reads standard output until it ends with something.
    fn until(&mut self, end: &str) -> String {
        read_until(self.child.stdout.as_mut().unwrap(), end)
    }

    /// Waits for it; standard output, standard error, and what came of it.
    fn wait(mut self) -> (String, String) {
        drop(self.child.stdin.take());
        let (mut output, mut said) = (String::new(), String::new());
        if let Some(mut stdout) = self.child.stdout.take() {
            stdout.read_to_string(&mut output).unwrap();
        }
        self.said.read_to_string(&mut said).unwrap();
        assert!(self.child.wait().unwrap().success(), "{said}");
        (output, said)
    }
}

fn read_until(from: &mut impl Read, end: &str) -> String {
    let mut seen = Vec::new();
    while !seen.ends_with(end.as_bytes()) {
        let mut byte = [0];
        assert_eq!(from.read(&mut byte).unwrap(), 1, "the end after {:?}", String::from_utf8_lossy(&seen));
        seen.push(byte[0]);
    }
    String::from_utf8(seen).unwrap()
}

#[test]
fn streams_are_relayed_to_the_end() {
    let mut monitored = start("cat; echo err >&2; exit 5", &json!({}));
    let mut relay = attach(&monitored, "input");
    relay.type_in("one\n");
    assert_eq!(relay.until("one\n"), "one\n");
    relay.type_in("two");
    let (output, said) = relay.wait();
    assert_eq!(output, "two");
    assert_eq!(said, "err\nEnded { code: 5, signal: 0 }\n");
    monitored.wait();
}

#[test]
fn only_what_is_asked_for_is_shown() {
    let mut monitored = start("read x; echo out; echo err >&2", &json!({}));
    let mut relay = attach(&monitored, "input no-stdout");
    relay.type_in("\n");
    assert_eq!(relay.wait(), (String::new(), "err\nEnded { code: 0, signal: 0 }\n".to_owned()));
    monitored.wait();
}

#[test]
fn the_starting_command_relays_megabytes_both_ways() {
    let folder = tempfile::tempdir().unwrap();
    let request = json!({"command": ["cat"], "client": true, "log": false});
    let mut command = Command::new(PROBE);
    command.arg("start").arg(folder.path()).args([&request.to_string(), "input"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut relay = begin(command);
    let all: String = (0..500_000).map(|number| format!("{number}\n")).collect();
    let stdin = relay.child.stdin.take().unwrap();
    let output = std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut stdin = stdin;
            stdin.write_all(all.as_bytes()).unwrap();
        });
        relay.wait()
    });
    assert!(output.0 == all);
    assert_eq!(output.1, "Ended { code: 0, signal: 0 }\n");
}

#[test]
fn signals_go_to_the_container() {
    let script = "trap 'kill $! 2>/dev/null; echo got it; exit 6' USR1; echo ready; while :; do sleep 1000 & wait; kill $!; done";
    let mut monitored = start(
        "read x; exec sh -c \"$0\"",
        &json!({"command": ["sh", "-c", "read x; exec sh -c \"$0\"", script]}),
    );
    let mut relay = attach(&monitored, "input proxy");
    relay.type_in("\n");
    relay.until("ready\n");
    kill_process(relay.pid(), Signal::USR1).unwrap();
    let (output, said) = relay.wait();
    assert_eq!((&output[..], &said[..]), ("got it\n", "Ended { code: 6, signal: 0 }\n"));
    monitored.wait();
}

#[test]
fn a_monitor_that_is_killed_is_noticed() {
    let mut monitored = start("read x; echo here; read x", &json!({}));
    let mut relay = attach(&monitored, "input");
    relay.type_in("\n");
    relay.until("here\n");
    monitored.kill();
    assert_eq!(relay.wait(), (String::new(), "Lost\n".to_owned()));
}

/// The user's terminal.
struct Terminal {
    master: File,
    slave: OwnedFd,
}

fn terminal(rows: u16, columns: u16) -> Terminal {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let master = openpt(flags).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let slave = ioctl_tiocgptpeer(&master, flags).unwrap();
    let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(&master, size).unwrap();
    Terminal { master: master.into(), slave }
}

impl Terminal {
    fn attach(&self, monitored: &Monitored, rules: &str) -> Relay {
        let mut command = Command::new(PROBE);
        command.arg("attach").arg(monitored.path()).arg(rules);
        command.stdin(self.slave.try_clone().unwrap()).stdout(self.slave.try_clone().unwrap());
        let relay = begin(command);
        let until = Instant::now() + Duration::from_secs(30);
        while !self.is_raw() {
            assert!(Instant::now() < until, "the terminal is not made raw");
            std::thread::yield_now();
        }
        relay
    }

    fn is_raw(&self) -> bool {
        !tcgetattr(&self.slave).unwrap().local_modes.contains(LocalModes::ICANON)
    }
}

#[test]
fn a_terminal_is_raw_has_its_size_and_is_left_by_keys() {
    let mut monitored = start("read x; stty size; read x; echo $x", &json!({"terminal": true}));
    let mut user = terminal(33, 77);
    let relay = user.attach(&monitored, "input terminal");
    user.master.write_all(b"\r").unwrap();
    assert_eq!(read_until(&mut user.master, "77\r\n"), "\r\n33 77\r\n");
    assert!(user.is_raw());
    user.master.write_all(b"\x10\x11").unwrap();
    assert_eq!(relay.wait().1, "Detached\n");
    assert!(!user.is_raw(), "settings are put back");
    // It goes on, and is found again; other keys mean themselves.
    let relay = user.attach(&monitored, "input terminal keys=ctrl-x");
    user.master.write_all(b"a\x10\x11b\r").unwrap();
    assert!(read_until(&mut user.master, "b\r\n").contains("a^P"));
    assert_eq!(relay.wait().1, "Ended { code: 0, signal: 0 }\n");
    monitored.wait();
}

#[test]
fn a_signal_that_ends_the_relay_puts_the_terminal_back() {
    let mut monitored = start("read x; echo $x; read x", &json!({"terminal": true}));
    let mut user = terminal(24, 80);
    let mut relay = user.attach(&monitored, "input terminal");
    user.master.write_all(b"here\r").unwrap();
    read_until(&mut user.master, "here\r\nhere\r\n");
    kill_process(relay.pid(), Signal::TERM).unwrap();
    let status = relay.child.wait().unwrap();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(Signal::TERM.as_raw()));
    assert!(!user.is_raw());
    let client = monitored.client(ctr_sys::monitor::wants::INPUT);
    client.type_line("");
    monitored.wait();
}
