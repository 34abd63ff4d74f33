//! Starts monitors and talks to them, message by message.

use std::fs::{self, File};
use std::io::{IoSlice, Read};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use ctr_sys::monitor::{INPUT_MESSAGE, MESSAGE, kind};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
    recv, send, sendmsg, socketpair,
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

pub(crate) const PROBE: &str = env!("CARGO_BIN_EXE_monitor-probe");

/// The bytes of a record before those of its line.
const HEADER: usize = 45;

/// A monitor over a child.
pub(crate) struct Monitored {
    pub(crate) folder: tempfile::TempDir,
    monitor: Child,
    /// The child that stands for a container's init.
    pub(crate) init: Pid,
    /// The starting command's end of its client.
    pub(crate) own: Option<Client>,
}

/// A client that speaks for itself.
pub(crate) struct Client(pub(crate) OwnedFd);

/// All that a client was told.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
    /// The last message: its kind, and for an end code and signal.
    pub(crate) last: Vec<u8>,
}

/// Starts a shell script under a monitor, with changes to what the probe does by default.
pub(crate) fn start(script: &str, changes: &Value) -> Monitored {
    let folder = tempfile::Builder::new().prefix("ctr-monitor-").tempdir().unwrap();
    let mut request = json!({"command": ["sh", "-c", script]});
    for (key, value) in changes.as_object().unwrap() {
        request[key] = value.clone();
    }
    let mut command = Command::new(PROBE);
    command.args(["run".as_ref(), folder.path().as_os_str(), request.to_string().as_ref()]);
    command.stdout(Stdio::piped()).env("PROBE", "kept").stdin(Stdio::null());
    let mut own = None;
    if request["client"] == true {
        let (ours, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap();
        command.stdin(theirs);
        own = Some(Client(ours));
    }
    let mut monitor = command.spawn().unwrap();
    drop(command);
    let mut said = String::new();
    monitor.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    let pid = said.strip_suffix("\n!").unwrap_or_else(|| panic!("the monitor is not ready: {said:?}"));
    fs::write(folder.path().join("pid"), pid).unwrap();
    let init = Pid::from_raw(pid.parse().unwrap()).unwrap();
    Monitored { folder, monitor, init, own }
}

impl Monitored {
    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The monitor's process.
    pub(crate) fn pid(&self) -> Pid {
        Pid::from_raw(self.monitor.id().try_into().unwrap()).unwrap()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// Connects, as far as that needs no words.
    pub(crate) fn connect(&self) -> Client {
        let folder = File::open(self.path()).unwrap();
        Client(ctr_sys::monitor::connect(folder.as_fd()).unwrap())
    }

    /// A client that the monitor believes.
    pub(crate) fn client(&self, wants: u8) -> Client {
        let client = self.connect();
        client.introduce(wants);
        assert_eq!(client.next(), [kind::HELLO]);
        client
    }

    /// Waits for the monitor and what it becomes; returns what that found.
    pub(crate) fn wait(&mut self) -> String {
        assert!(self.monitor.wait().unwrap().success());
        fs::read_to_string(self.path().join("ended")).unwrap()
    }

    /// Waits for the monitor and what it becomes; returns the exit code.
    pub(crate) fn code(&mut self) -> Option<i32> {
        self.monitor.wait().unwrap().code()
    }

    /// Kills the monitor, and the child that is left.
    pub(crate) fn kill(&mut self) {
        // While the monitor lives nobody else reaps its child: the number is its own.
        kill_process(self.init, Signal::STOP).unwrap();
        self.monitor.kill().unwrap();
        self.monitor.wait().unwrap();
        kill_process(self.init, Signal::KILL).ok();
    }

    /// How it ended, once it did.
    pub(crate) fn exit(&mut self) -> Value {
        self.wait();
        serde_json::from_slice(&fs::read(self.path().join("exit.json")).unwrap()).unwrap()
    }

    /// The log's files, the oldest first.
    pub(crate) fn log(&self) -> Vec<u8> {
        let name = |number: u32| if number == 0 { "ctr.log".to_owned() } else { format!("ctr.log.{number}") };
        let count = (0..).take_while(|number| self.path().join(name(*number)).exists()).count();
        (0..u32::try_from(count).unwrap())
            .rev()
            .flat_map(|number| fs::read(self.path().join(name(number))).unwrap())
            .collect()
    }

    /// What the log says was written to standard output and error.
    pub(crate) fn logged(&self) -> (Vec<u8>, Vec<u8>) {
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        for record in self.log().split_inclusive(|byte| *byte == b'\n') {
            let (header, line) = record.split_at(HEADER);
            let stream = if &header[36..42] == b"stdout" { &mut stdout } else { &mut stderr };
            let partial = header[43] == b'P';
            stream.extend_from_slice(if partial { line.strip_suffix(b"\n").unwrap() } else { line });
        }
        (stdout, stderr)
    }
}

/// A test that fails leaves nothing running.
impl Drop for Monitored {
    fn drop(&mut self) {
        if matches!(self.monitor.try_wait(), Ok(None)) {
            // Init is the monitor's child, which nobody else reaps: its number is still its own.
            kill_process(self.init, Signal::KILL).ok();
            self.monitor.kill().ok();
            self.monitor.wait().ok();
        }
    }
}

impl Client {
    /// Says who it is, as it should be.
    pub(crate) fn introduce(&self, wants: u8) {
        let namespace = File::open("/proc/self/ns/user").unwrap();
        self.show(&[kind::HELLO, wants], &[namespace.as_fd()]);
    }

    /// Sends a message with descriptors.
    pub(crate) fn show(&self, message: &[u8], fds: &[std::os::fd::BorrowedFd<'_>]) {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
        let mut rights = SendAncillaryBuffer::new(&mut space);
        if !fds.is_empty() {
            rights.push(SendAncillaryMessage::ScmRights(fds));
        }
        sendmsg(&self.0, &[IoSlice::new(message)], &mut rights, SendFlags::NOSIGNAL).unwrap();
    }

    /// Sends a message; waits where the monitor does.
    pub(crate) fn say(&self, kind: u8, bytes: &[u8]) {
        assert!(bytes.len() < INPUT_MESSAGE);
        send(&self.0, &[&[kind], bytes].concat(), SendFlags::NOSIGNAL).unwrap();
    }

    /// Sends a message unless that had to wait.
    pub(crate) fn try_to_say(&self, kind: u8, bytes: &[u8]) -> bool {
        match send(&self.0, &[&[kind], bytes].concat(), SendFlags::NOSIGNAL | SendFlags::DONTWAIT) {
            Ok(_) => true,
            Err(Errno::AGAIN) => false,
            Err(errno) => panic!("{errno}"),
        }
    }

    /// Types a line.
    pub(crate) fn type_line(&self, line: &str) {
        self.say(kind::INPUT, format!("{line}\n").as_bytes());
    }

    /// The next message; empty where the monitor hung up.
    pub(crate) fn next(&self) -> Vec<u8> {
        let mut message = vec![0; MESSAGE + 1];
        let length = match recv(&self.0, &mut message[..], RecvFlags::empty()) {
            // The monitor hung up on what was said to it: the kernel tells that once, and first.
            Err(Errno::CONNRESET) => recv(&self.0, &mut message[..], RecvFlags::empty()),
            other => other,
        };
        let length = length.unwrap().0;
        assert!(length <= MESSAGE);
        message.truncate(length);
        message
    }

    /// All messages to the last.
    pub(crate) fn rest(&self) -> Told {
        let mut told = Told::default();
        loop {
            let message = self.next();
            match message.split_first() {
                Some((&kind::OUTPUT, bytes)) => told.stdout.extend_from_slice(bytes),
                Some((&kind::ERROR_OUTPUT, bytes)) => told.stderr.extend_from_slice(bytes),
                None => return told,
                Some(_) => {
                    assert!(told.last.is_empty(), "a last message is the last");
                    told.last = message;
                }
            }
        }
    }

    /// Standard output until it ends with something.
    pub(crate) fn until(&self, end: &str) -> String {
        let mut seen = Vec::new();
        while !seen.ends_with(end.as_bytes()) {
            let message = self.next();
            let Some((&kind::OUTPUT, bytes)) = message.split_first() else {
                panic!("{message:?} after {:?}", String::from_utf8_lossy(&seen))
            };
            seen.extend_from_slice(bytes);
        }
        String::from_utf8(seen).unwrap()
    }
}
