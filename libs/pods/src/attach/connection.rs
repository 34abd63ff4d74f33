//! A connection to a monitor.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use ctr_net::counters::Counters;
use ctr_net::publish::Place;
use ctr_net::publish::bind::Bound;
use ctr_sys::monitor::{self, MESSAGE, MOST_ADDED, kind, wants};
use ctr_sys::packet;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, socketpair, sockopt::socket_peercred,
};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// How long a monitor may take to answer: it has nothing to do that takes longer, unless somebody stopped it.
const PATIENCE: Timespec = Timespec { tv_sec: 10, tv_nsec: 0 };

/// How long who serves the network may take to say what it has counted.
const COUNTING: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// A call failed.
    #[error("cannot {doing}")]
    System {
        /// What was done.
        doing: &'static str,
        /// Why not.
        #[source]
        errno: Errno,
    },
    /// Nobody listens: the container does not run, or it has no monitor.
    #[error("the container's monitor does not listen")]
    Nobody,
    /// The monitor said nothing.
    #[error("the container's monitor does not answer (it may have been stopped)")]
    Silent,
    /// It hung up: we are in another user namespace than the container's user, or the container has just ended.
    #[error("the container's monitor hung up")]
    Refused,
    /// There are too many clients.
    #[error("the container's monitor has no place for another client")]
    TooMany,
}

fn failed(doing: &'static str) -> impl FnOnce(Errno) -> ConnectError {
    move |errno| ConnectError::System { doing, errno }
}

/// What a client is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wants {
    /// It takes output.
    pub output: bool,
    /// It will send input, or sizes.
    pub input: bool,
}

/// A connection to a monitor that believes us.
#[derive(Debug)]
pub struct Connection {
    pub(super) socket: OwnedFd,
}

impl Connection {
    /// The connection of the starting command, and the end of it that is the [`client`](monitor::Task::client) of the
    /// monitor's task.
    ///
    /// # Errors
    /// If there are no descriptors left.
    pub fn pair() -> Result<(Self, OwnedFd), ConnectError> {
        let pair = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None);
        let (socket, monitors) = pair.map_err(failed("make a pair of sockets"))?;
        Ok((Self { socket }, monitors))
    }

    /// Connects to the monitor of the container with this folder, and shows which user namespace we are in.
    ///
    /// # Errors
    /// If nobody listens, or does not believe us.
    pub fn open(folder: &Path, wants: Wants) -> Result<Self, ConnectError> {
        Self::open_within(folder, wants, &PATIENCE)
    }

    /// The same with less patience for a monitor that was stopped.
    pub(crate) fn open_within(
        folder: &Path,
        wants: Wants,
        patience: &Timespec,
    ) -> Result<Self, ConnectError> {
        let socket = connect(folder)?;
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let namespace = openat(CWD, "/proc/self/ns/user", flags, Mode::empty())
            .map_err(failed("open /proc/self/ns/user"))?;
        match introduce(socket.as_fd(), namespace.as_fd(), wants) {
            Ok(()) => {}
            // It hung up already; it may have said why.
            Err(Errno::PIPE | Errno::CONNRESET) => {}
            Err(errno) => return Err(failed("talk to the container's monitor")(errno)),
        }
        await_answer(socket.as_fd(), patience)?;
        Ok(Self { socket })
    }

    /// What the monitor said last, if it has: the exit code, or nothing where it was killed. Output is passed over.
    #[must_use]
    pub fn last_word(&self) -> Option<Option<u8>> {
        let mut message = [0; MESSAGE];
        loop {
            match recv(&self.socket, &mut message[..], RecvFlags::DONTWAIT) {
                Ok((3.., _)) if message[0] == kind::ENDED => return Some(Some(message[1])),
                Ok((0, _)) | Err(Errno::CONNRESET) => return Some(None),
                Ok(_) | Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return None,
                Err(_) => return Some(None),
            }
        }
    }
}

impl Connection {
    /// Asks for the command of an initialised container to be run.
    pub(crate) fn start(&self) -> Result<(), ConnectError> {
        self.tell(&[kind::START], &[])
    }

    /// Waits for what came of that: whether the command could be run.
    pub(crate) fn wait_for_start(&self) -> Result<Result<(), Errno>, ConnectError> {
        self.hear_outcome(kind::START, &PATIENCE)
    }

    /// Has more ports served: what the monitor says of it.
    pub(crate) fn publish(&self, ports: &[Bound]) -> Result<Result<(), Errno>, ConnectError> {
        for some in ports.chunks(MOST_ADDED) {
            let leads = some.iter().flat_map(|(leads, _)| leads.to_bytes());
            let words: Vec<u8> = std::iter::once(kind::PUBLISH).chain(leads).collect();
            let sockets: Vec<BorrowedFd<'_>> = some.iter().map(|(_, socket)| socket.as_fd()).collect();
            self.tell(&words, &sockets)?;
            if let Err(errno) = self.hear_outcome(kind::PUBLISH, &PATIENCE)? {
                return Ok(Err(errno));
            }
        }
        Ok(Ok(()))
    }

    /// Has a port served no longer.
    pub(crate) fn withdraw(&self, place: Place) -> Result<Result<(), Errno>, ConnectError> {
        self.tell(&[&[kind::WITHDRAW], &place.to_bytes()[..]].concat(), &[])?;
        self.hear_outcome(kind::WITHDRAW, &PATIENCE)
    }

    /// Asks whoever serves the network what it has counted; nothing if nobody does at the moment.
    pub(crate) fn counters(&self) -> Result<Option<Counters>, ConnectError> {
        let pair = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None);
        let (ours, theirs) = pair.map_err(failed("make a pair of sockets"))?;
        self.tell(&[kind::COUNT], &[theirs.as_fd()])?;
        let told = self.hear_outcome(kind::COUNT, &COUNTING)?;
        // Who serves has the only other one: its end is the end of our patience.
        drop(theirs);
        if told.is_err() {
            return Ok(None);
        }
        await_message(ours.as_fd(), &COUNTING)?;
        let mut answer = vec![0; MESSAGE];
        match recv(&ours, answer.as_mut_slice(), RecvFlags::DONTWAIT) {
            Ok((length, _)) => Ok(answer.get(..length).and_then(|text| serde_json::from_slice(text).ok())),
            Err(Errno::CONNRESET) => Ok(None),
            Err(errno) => Err(failed("hear what was counted")(errno)),
        }
    }

    fn tell(&self, words: &[u8], beside: &[BorrowedFd<'_>]) -> Result<(), ConnectError> {
        match packet::send(self.socket.as_fd(), words, beside, SendFlags::empty()) {
            Ok(()) => Ok(()),
            Err(Errno::PIPE | Errno::CONNRESET) => Err(ConnectError::Refused),
            Err(errno) => Err(failed("talk to the container's monitor")(errno)),
        }
    }

    /// Waits for the answer to what was told: the same kind, and an errno. What is said of other things is passed over.
    fn hear_outcome(&self, of: u8, patience: &Timespec) -> Result<Result<(), Errno>, ConnectError> {
        let mut message = [0; MESSAGE];
        loop {
            await_message(self.socket.as_fd(), patience)?;
            match recv(&self.socket, &mut message[..], RecvFlags::empty()) {
                Ok((5.., _)) if message[0] == of => {
                    let [_, a, b, c, d, ..] = message;
                    let errno = i32::from_le_bytes([a, b, c, d]);
                    return Ok(if errno == 0 { Ok(()) } else { Err(Errno::from_raw_os_error(errno)) });
                }
                // The container ended before it was done.
                Ok((1.., _)) if message[0] == kind::ENDED => return Err(ConnectError::Refused),
                Ok((0, _)) => return Err(ConnectError::Refused),
                Ok(_) | Err(Errno::INTR | Errno::CONNRESET) => {}
                Err(errno) => return Err(failed("listen to the container's monitor")(errno)),
            }
        }
    }
}

/// Kills the monitor of a container with this folder, and waits for its end; whether there was one. For containers of which
/// nothing else can be learned.
///
/// # Errors
/// It cannot be connected to, or not be killed.
pub fn kill_monitor(folder: &Path) -> Result<bool, ConnectError> {
    let Some(pid) = listener(folder)? else { return Ok(false) };
    let process = match pidfd_open(pid, PidfdFlags::empty()) {
        Ok(process) => process,
        Err(Errno::SRCH) => return Ok(true),
        Err(errno) => return Err(failed("open the container's monitor")(errno)),
    };
    // It listens yet: this is it, and not another process that got its number.
    if listener(folder)? != Some(pid) {
        return Ok(true);
    }
    match pidfd_send_signal(&process, Signal::KILL) {
        Ok(()) | Err(Errno::SRCH) => {}
        Err(errno) => return Err(failed("kill the container's monitor")(errno)),
    }
    while let Err(errno) = poll(&mut [PollFd::new(&process, PollFlags::IN)], None) {
        if errno != Errno::INTR {
            return Err(failed("wait for the container's monitor")(errno));
        }
    }
    Ok(true)
}

/// Who listens at the socket in this folder.
fn listener(folder: &Path) -> Result<Option<Pid>, ConnectError> {
    match connect(folder) {
        Ok(socket) => {
            Ok(Some(socket_peercred(&socket).map_err(failed("ask who the container's monitor is"))?.pid))
        }
        Err(ConnectError::Nobody) => Ok(None),
        Err(error) => Err(error),
    }
}

fn connect(folder: &Path) -> Result<OwnedFd, ConnectError> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let folder = openat(CWD, folder, flags, Mode::empty()).map_err(failed("open the container's folder"))?;
    match monitor::connect(folder.as_fd()) {
        Ok(socket) => Ok(socket),
        Err(Errno::NOENT | Errno::CONNREFUSED) => Err(ConnectError::Nobody),
        Err(Errno::AGAIN) => Err(ConnectError::Silent),
        Err(errno) => Err(failed("connect to the container's monitor")(errno)),
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Says who we are.
fn introduce(socket: BorrowedFd<'_>, namespace: BorrowedFd<'_>, wants: Wants) -> Result<(), Errno> {
    let output = if wants.output { wants::OUTPUT } else { 0 };
    let input = if wants.input { wants::INPUT } else { 0 };
    packet::send(socket, &[kind::HELLO, output | input], &[namespace], SendFlags::empty())
}

/// Waits until the monitor has made up its mind.
fn await_answer(socket: BorrowedFd<'_>, patience: &Timespec) -> Result<(), ConnectError> {
    await_message(socket, patience)?;
    let mut first = [0; 1];
    let answer = match recv(socket, &mut first, RecvFlags::empty()) {
        // It hung up before it read what we said. The kernel tells that once, and first.
        Err(Errno::CONNRESET) => recv(socket, &mut first, RecvFlags::empty()),
        other => other,
    };
    match answer {
        Ok((1, _)) if first == [kind::HELLO] => Ok(()),
        Ok((1, _)) if first == [kind::LEFT_BEHIND] => Err(ConnectError::TooMany),
        Ok(_) | Err(Errno::CONNRESET) => Err(ConnectError::Refused),
        Err(errno) => Err(failed("listen to the container's monitor")(errno)),
    }
}

/// Waits until the monitor has said something, or hung up.
fn await_message(socket: BorrowedFd<'_>, patience: &Timespec) -> Result<(), ConnectError> {
    let mut waited = [PollFd::from_borrowed_fd(socket, PollFlags::IN)];
    loop {
        match poll(&mut waited, Some(patience)) {
            Ok(0) => return Err(ConnectError::Silent),
            Ok(_) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(failed("wait for the container's monitor")(errno)),
        }
    }
}

#[cfg(test)]
mod tests {
    use rustix::net::send;

    use super::*;

    const NONE: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };

    #[test]
    fn a_stopped_monitor_is_not_waited_for_without_end() {
        let (connection, monitor) = Connection::pair().unwrap();
        connection.start().unwrap();
        let hear = || connection.hear_outcome(kind::START, &NONE);
        assert!(matches!(hear(), Err(ConnectError::Silent)));
        send(&monitor, &[kind::START, 0, 0, 0, 0], SendFlags::NOSIGNAL).unwrap();
        assert_eq!(hear().unwrap(), Ok(()));
        drop(monitor);
        assert!(matches!(hear(), Err(ConnectError::Refused)));
    }
}
