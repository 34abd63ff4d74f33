//! Our own standard output and error, written to without waiting: whoever reads them may not do so for hours, and signals
//! have to arrive meanwhile.

use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, OFlags, fstat, openat};
use rustix::io::Errno;
use rustix::net::{SendFlags, send};
use rustix::path::DecInt;

/// One of the two.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) name: &'static str,
    pub(super) fd: BorrowedFd<'static>,
    how: How,
}

/// How it is written to so that the call does not wait.
#[derive(Debug)]
enum How {
    /// By another open file of the same pipe or terminal. That of the one we were given is not ours alone: its flags stay.
    Reopened(OwnedFd),
    /// By a call that says so.
    Socket,
    /// A file does not wait; of anything else nothing better is known.
    Given,
}

impl Stream {
    pub(super) fn stdout() -> Self {
        Self::new("standard output", rustix::stdio::stdout())
    }

    pub(super) fn stderr() -> Self {
        Self::new("standard error", rustix::stdio::stderr())
    }

    fn new(name: &'static str, fd: BorrowedFd<'static>) -> Self {
        let kind = fstat(fd).map(|stat| FileType::from_raw_mode(stat.st_mode));
        let how = match kind {
            Ok(FileType::Fifo) => reopen(fd),
            Ok(FileType::CharacterDevice) if rustix::termios::isatty(fd) => reopen(fd),
            Ok(FileType::Socket) => How::Socket,
            _ => How::Given,
        };
        Self { name, fd, how }
    }

    /// Writes what there is room for; EAGAIN where there is none.
    pub(super) fn write(&self, bytes: &[u8]) -> Result<usize, Errno> {
        match &self.how {
            How::Reopened(own) => rustix::io::write(own, bytes),
            How::Socket => send(self.fd, bytes, SendFlags::DONTWAIT),
            How::Given => rustix::io::write(self.fd, bytes),
        }
    }
}

/// It may be another user's, as after `su`, or nobody may read it any more: then it is written to as it is.
fn reopen(fd: BorrowedFd<'_>) -> How {
    let path = Path::new("/proc/self/fd").join(DecInt::from_fd(fd));
    let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    openat(CWD, path, flags, Mode::empty()).map_or(How::Given, How::Reopened)
}
