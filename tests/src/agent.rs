//! A small seccomp agent: it takes what a runtime sends, and says when a call waits for an answer.

use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

/// Generous, as the machine may be busy.
const DEADLINE: Duration = Duration::from_secs(60);

/// A socket that starts of containers are told to.
#[derive(Debug)]
pub struct Agent(UnixListener);

/// What one start told.
#[derive(Debug)]
pub struct Told {
    /// The container process state.
    pub state: serde_json::Value,
    /// The descriptor that calls are asked through; when it is closed, those that wait get ENOSYS.
    pub listener: OwnedFd,
}

impl Agent {
    /// Listens.
    ///
    /// # Panics
    /// When the socket cannot be made.
    #[must_use]
    pub fn listen(path: &Path) -> Self {
        Self(UnixListener::bind(path).expect("a socket"))
    }

    /// Takes what the next start tells, up to the end of its connection.
    ///
    /// # Panics
    /// When nobody connects, or sends something else.
    #[must_use]
    pub fn take(&self) -> Told {
        wait(&self.0, "a connection");
        let (connection, _) = self.0.accept().expect("a connection");
        let (mut text, mut fds) = (Vec::new(), Vec::new());
        loop {
            wait(&connection, "a message");
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
            let mut ancillary = RecvAncillaryBuffer::new(&mut space);
            let mut piece = [0; 512];
            let parts = &mut [IoSliceMut::new(&mut piece)];
            let flags = RecvFlags::CMSG_CLOEXEC;
            let got = recvmsg(&connection, parts, &mut ancillary, flags).expect("a message").bytes;
            for message in ancillary.drain() {
                if let RecvAncillaryMessage::ScmRights(rights) = message {
                    fds.extend(rights);
                }
            }
            if got == 0 {
                break;
            }
            text.extend_from_slice(&piece[..got]);
        }
        assert_eq!(fds.len(), 1, "one descriptor");
        let state = serde_json::from_slice(&text).expect("JSON");
        Told { state, listener: fds.remove(0) }
    }
}

impl Told {
    /// Waits until a call waits for an answer.
    ///
    /// # Panics
    /// When none does.
    pub fn wait_for_call(&self) {
        wait(&self.listener, "a call");
    }
}

fn wait(fd: &impl AsFd, what: &str) {
    let left = Timespec::try_from(DEADLINE).expect("a short time");
    let mut fds = [PollFd::new(fd, PollFlags::IN)];
    assert!(poll(&mut fds, Some(&left)).expect("poll") > 0, "{what} does not come");
    assert!(fds[0].revents().contains(PollFlags::IN), "{what} does not come: {:?}", fds[0].revents());
}
