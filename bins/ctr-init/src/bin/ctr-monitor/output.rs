//! Output of the container: its pipes or its terminal, and the chunk that is on its way.

use ctr_sys::monitor::{Output, kind};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::pty::OpenptFlags;

use crate::log::Stream;

/// The most that is taken from a terminal after its container ended: what the kernel keeps of one, and more.
const REST_OF_TERMINAL: u64 = 1 << 20;

/// Where output comes from.
pub(crate) struct Source {
    pub(crate) fd: OwnedFd,
    pub(crate) stream: Stream,
    /// The other side of a terminal, held open: without it, reading fails while the container has none of its own open.
    _slave: Option<OwnedFd>,
    is_terminal: bool,
    /// After the end: how much is still to be read.
    left: Option<u64>,
}

/// The sources, at most two.
pub(crate) fn sources(output: Output<OwnedFd>) -> [Option<Source>; 2] {
    let pipe = |fd, stream| Some(Source { fd, stream, _slave: None, is_terminal: false, left: None });
    match output {
        Output::None => [None, None],
        Output::Pipes { stdout, stderr } => [pipe(stdout, Stream::Stdout), pipe(stderr, Stream::Stderr)],
        Output::Terminal(fd) => {
            let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
            let slave = rustix::pty::ioctl_tiocgptpeer(&fd, flags).ok();
            [Some(Source { fd, stream: Stream::Stdout, _slave: slave, is_terminal: true, left: None }), None]
        }
    }
}

/// What a read gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Read {
    /// This many bytes.
    Some(usize),
    /// Nothing for now.
    Nothing,
    /// Nothing ever.
    End,
}

impl Source {
    /// The container ended: what is there now is all that is waited for. Others may hold the pipe open, and write.
    pub(crate) fn limit(&mut self) {
        let there = if self.is_terminal {
            REST_OF_TERMINAL
        } else {
            rustix::io::ioctl_fionread(&self.fd).unwrap_or_default()
        };
        self.left = Some(there);
    }

    /// Reads a piece into a buffer.
    pub(crate) fn read(&mut self, into: &mut [u8]) -> Read {
        let most =
            self.left.map_or(into.len(), |left| into.len().min(usize::try_from(left).unwrap_or(usize::MAX)));
        let into = into.get_mut(..most).unwrap_or_default();
        if into.is_empty() {
            return Read::End;
        }
        match rustix::io::read(&self.fd, into) {
            Ok(0) => Read::End,
            Ok(count) => {
                if let Some(left) = &mut self.left {
                    *left = left.saturating_sub(count as u64);
                }
                Read::Some(count)
            }
            Err(Errno::INTR) => Read::Nothing,
            Err(Errno::AGAIN) if self.left.is_none() => Read::Nothing,
            // EIO: the terminal is closed.
            Err(_) => Read::End,
        }
    }

    /// The kind of message it makes.
    pub(crate) fn kind(&self) -> u8 {
        match self.stream {
            Stream::Stdout => kind::OUTPUT,
            Stream::Stderr => kind::ERROR_OUTPUT,
        }
    }
}
