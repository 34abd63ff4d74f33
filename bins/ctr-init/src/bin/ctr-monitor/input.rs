//! Input on its way from clients to the container.

use ctr_sys::monitor::{Output, kind};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};
use rustix::termios::Winsize;

use crate::client::{Client, Gone};
use crate::memory::release;

/// The key that ends input to a terminal.
const END_KEY: u8 = 4;

/// Where input goes.
pub(crate) enum Sink {
    /// Nowhere: the container takes none, or does not any more.
    Closed,
    Pipe(OwnedFd),
    /// Another descriptor of the terminal's master.
    Terminal(OwnedFd),
}

/// What came from clients and was not taken yet.
pub(crate) struct Input<'a> {
    sink: Sink,
    /// A message: its kind, and bytes of which some may have been taken.
    buffer: &'a mut [u8],
    from: usize,
    to: usize,
    /// When the bytes are taken, that was all.
    ends: bool,
}

impl<'a> Input<'a> {
    pub(crate) fn new(sink: Sink, buffer: &'a mut [u8]) -> Self {
        Self { sink, buffer, from: 0, to: 0, ends: false }
    }

    /// The descriptor to wait for, while something waits to be taken.
    pub(crate) fn pending(&self) -> Option<&OwnedFd> {
        match &self.sink {
            Sink::Pipe(fd) | Sink::Terminal(fd) if self.from < self.to => Some(fd),
            _ => None,
        }
    }

    /// Takes the next message of a client, or holds it back if there is no room for it.
    pub(crate) fn take(&mut self, client: &mut Client) -> Result<(), Gone> {
        let flags = RecvFlags::DONTWAIT;
        if self.pending().is_some() {
            let mut first = [0];
            if receive(client, &mut first, flags | RecvFlags::PEEK)?.is_none() {
                return Ok(());
            }
            if matches!(first[0], kind::INPUT | kind::END_OF_INPUT) {
                client.held = true;
                return Ok(());
            }
            let mut message = [0; 8];
            if let Some(length) = receive(client, &mut message, flags)? {
                self.control(client, message.get(..length).unwrap_or_default());
            }
            return Ok(());
        }
        let Some(length) = receive(client, self.buffer, flags)? else { return Ok(()) };
        match self.buffer.first() {
            Some(&kind::INPUT) => {
                (self.from, self.to) = (1, length);
                self.push();
            }
            Some(&kind::END_OF_INPUT) => self.end(),
            _ => {
                let mut message = [0; 8];
                let length = length.min(message.len());
                message[..length].copy_from_slice(&self.buffer[..length]);
                self.control(client, &message[..length]);
            }
        }
        Ok(())
    }

    /// What is not input.
    fn control(&self, client: &mut Client, message: &[u8]) {
        if message == [kind::START] {
            client.ask();
        }
        if let (&[kind::RESIZE, a, b, c, d], Sink::Terminal(master)) = (message, &self.sink) {
            let size = Winsize {
                ws_row: u16::from_le_bytes([a, b]),
                ws_col: u16::from_le_bytes([c, d]),
                ws_xpixel: 0,
                ws_ypixel: 0,
            };
            // The container may have closed it.
            rustix::termios::tcsetwinsize(master, size).ok();
        }
    }

    /// Hands on what there is, as far as it is taken.
    pub(crate) fn push(&mut self) {
        while let Some(fd) = self.pending() {
            match rustix::io::write(fd, self.buffer.get(self.from..self.to).unwrap_or_default()) {
                Ok(count) => self.from += count,
                Err(Errno::AGAIN | Errno::INTR) => return,
                // Nobody reads any more.
                Err(_) => self.sink = Sink::Closed,
            }
        }
        if core::mem::take(&mut self.ends) {
            self.end();
        }
    }

    /// The end of input, behind what waits.
    fn end(&mut self) {
        if self.pending().is_some() {
            self.ends = true;
            return;
        }
        match &self.sink {
            Sink::Terminal(_) => {
                self.buffer[0] = END_KEY;
                (self.from, self.to) = (0, 1);
                self.push();
            }
            Sink::Pipe(_) | Sink::Closed => self.sink = Sink::Closed,
        }
    }

    /// Gives the buffer's memory back while nothing is in it.
    pub(crate) fn release(&mut self) {
        if self.pending().is_none() {
            release(self.buffer);
        }
    }

    /// Nothing is taken any more.
    pub(crate) fn close(&mut self) {
        self.sink = Sink::Closed;
    }
}

/// Receives a message; nothing if there is none.
fn receive(client: &Client, into: &mut [u8], flags: RecvFlags) -> Result<Option<usize>, Gone> {
    match recv(client.socket.as_fd(), into, flags) {
        Ok((0, _)) => Err(Gone),
        Ok((length, _)) => Ok(Some(length)),
        Err(Errno::AGAIN | Errno::INTR) => Ok(None),
        Err(_) => Err(Gone),
    }
}

/// Where input goes.
pub(crate) fn sink(output: &Output<OwnedFd>, pipe: Option<OwnedFd>) -> Sink {
    match (output, pipe) {
        (Output::Terminal(master), _) => {
            rustix::io::fcntl_dupfd_cloexec(master, 0).map_or(Sink::Closed, Sink::Terminal)
        }
        (_, Some(pipe)) => {
            never_wait(&pipe);
            Sink::Pipe(pipe)
        }
        (_, None) => Sink::Closed,
    }
}

/// No call on this descriptor waits.
pub(crate) fn never_wait(fd: &OwnedFd) {
    if let Ok(flags) = rustix::fs::fcntl_getfl(fd) {
        // It cannot fail for flags that the kernel has just told.
        rustix::fs::fcntl_setfl(fd, flags | OFlags::NONBLOCK).ok();
    }
}
