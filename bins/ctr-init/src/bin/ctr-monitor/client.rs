//! Clients: who they are, and what they still have to get.

use core::mem::MaybeUninit;

use ctr_sys::monitor::{FileId, MESSAGE, kind, user_namespace, user_of_peer, wants};
use rustix::fd::{AsFd, OwnedFd};
use rustix::io::{Errno, IoSliceMut};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendFlags, SocketFlags, accept_with, recvmsg, send,
    sockopt,
};

/// How many clients there may be beside the starting command's.
pub(crate) const MAX: usize = 16;

/// How long a client may take to say who it is, and how long one may keep the others waiting, in nanoseconds.
pub(crate) const PATIENCE: u64 = 1_000_000_000;

/// A connection.
pub(crate) struct Client {
    pub(crate) socket: OwnedFd,
    standing: Standing,
    /// It takes output.
    listens: bool,
    /// It has not got the current chunk yet; since when.
    pub(crate) owed: Option<u64>,
    /// Its next message is input, for which there is no room yet.
    pub(crate) held: bool,
    /// It wants the command started, and waits for what comes of that.
    pub(crate) asked: bool,
}

/// How far a client is trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// It has not said who it is; until when it may.
    Stranger(u64),
    /// It is the user's.
    Friend,
    /// The starting command itself.
    Own,
}

/// A client that is gone, or has to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Gone;

impl Client {
    /// The starting command.
    pub(crate) fn own(socket: OwnedFd) -> Self {
        Self { socket, standing: Standing::Own, listens: true, owed: None, held: false, asked: false }
    }

    /// Whoever connects, if the user id is ours.
    pub(crate) fn accept(listener: &OwnedFd, now: u64) -> rustix::io::Result<Option<Self>> {
        let socket = accept_with(listener, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)?;
        let ours = user_of_peer(socket.as_fd()) == Ok(rustix::process::geteuid().as_raw());
        let standing = Standing::Stranger(now.saturating_add(PATIENCE));
        let client = Self { socket, standing, listens: false, owed: None, held: false, asked: false };
        Ok(ours.then_some(client))
    }

    /// It wants the command started: that makes it the starting command.
    pub(crate) fn ask(&mut self) {
        self.asked = true;
        self.standing = Standing::Own;
    }

    /// Whether it still has to say who it is.
    pub(crate) fn is_stranger(&self) -> bool {
        matches!(self.standing, Standing::Stranger(_))
    }

    /// When it has to go, if nothing changes.
    pub(crate) fn deadline(&self) -> Option<u64> {
        match self.standing {
            Standing::Stranger(until) => Some(until),
            Standing::Friend => self.owed.map(|since| since.saturating_add(PATIENCE)),
            Standing::Own => None,
        }
    }

    /// Whether it has to go now.
    pub(crate) fn is_late(&self, now: u64) -> bool {
        self.deadline().is_some_and(|until| until <= now)
    }

    /// Reads who a stranger is.
    pub(crate) fn introduce(&mut self, trusted: &[FileId; 2]) -> Result<(), Gone> {
        let mut bytes = [0; 2];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let mut into = [IoSliceMut::new(&mut bytes)];
        let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
        let received = match recvmsg(&self.socket, &mut into, &mut ancillary, flags) {
            Err(Errno::AGAIN | Errno::INTR) => return Ok(()),
            Err(_) => return Err(Gone),
            Ok(received) => received.bytes,
        };
        let mut shown = None;
        for message in ancillary.drain() {
            if let RecvAncillaryMessage::ScmRights(fds) = message {
                fds.for_each(|fd| shown = Some(fd));
            }
        }
        let believed =
            shown.and_then(|fd| user_namespace(fd.as_fd())).is_some_and(|id| trusted.contains(&id));
        if received != 2 || bytes[0] != kind::HELLO || !believed {
            return Err(Gone);
        }
        self.standing = Standing::Friend;
        self.listens = bytes[1] & wants::OUTPUT != 0;
        // It is the first message: there is room.
        self.tell(&[kind::HELLO])
    }

    /// Sends the message, or remembers that it is owed. Who does not listen to output still gets the last one; a stranger
    /// gets nothing.
    pub(crate) fn give(&mut self, message: &[u8], now: u64) -> Result<(), Gone> {
        let is_last = message.first() == Some(&kind::ENDED);
        if self.is_stranger() || !self.listens && !is_last {
            return Ok(());
        }
        match send(&self.socket, message, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
            Ok(_) => self.owed = None,
            Err(Errno::AGAIN | Errno::INTR | Errno::NOBUFS | Errno::NOMEM) => {
                self.owed.get_or_insert(now);
            }
            Err(_) => return Err(Gone),
        }
        Ok(())
    }

    /// Sends something short.
    pub(crate) fn tell(&self, message: &[u8]) -> Result<(), Gone> {
        match send(&self.socket, message, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
            Ok(_) => Ok(()),
            Err(_) => Err(Gone),
        }
    }

    /// Says what came of what it wanted.
    pub(crate) fn tell_outcome(&self, of: u8, outcome: Result<(), Errno>) -> Result<(), Gone> {
        let errno = outcome.map_or_else(Errno::raw_os_error, |()| 0);
        let [a, b, c, d] = errno.to_le_bytes();
        self.tell(&[of, a, b, c, d])
    }

    /// Makes room for last words where the socket may be full: as much again as there is.
    pub(crate) fn widen(&self) {
        if let Ok(size) = sockopt::socket_send_buffer_size(&self.socket) {
            // The kernel doubles what it is given, up to its limit; where that is reached, there is no more room.
            sockopt::set_socket_send_buffer_size(&self.socket, size.saturating_add(MESSAGE)).ok();
        }
    }

    /// Tells it that it is left behind.
    pub(crate) fn leave_behind(self) {
        self.widen();
        // Without that it sees the end of the connection, with nothing before it.
        self.tell(&[kind::LEFT_BEHIND]).ok();
    }
}
