//! Pipes through which data goes from one socket to another without being copied.
//!
//! A flow borrows one only while there is data in it: what a user may have in pipes is limited (`pipe-user-pages-soft`), and
//! most flows are idle. Where the limit is reached the kernel gives smaller ones, which do as well.

use std::os::fd::OwnedFd;

use rustix::io::Result;
use rustix::pipe::{PipeFlags, fcntl_setpipe_size, pipe_with};

/// As fast as a megabyte, at a quarter of the pages.
pub(super) const SIZE: usize = 256 << 10;
/// How many are kept for the next.
const KEPT: usize = 32;

/// An empty pipe, or one that somebody is filling.
#[derive(Debug)]
pub(super) struct Pipe {
    pub(super) out: OwnedFd,
    pub(super) into: OwnedFd,
}

/// Pipes that nobody uses.
#[derive(Debug, Default)]
pub(super) struct Pipes(Vec<Pipe>);

impl Pipes {
    pub(super) fn borrow(&mut self) -> Result<Pipe> {
        if let Some(pipe) = self.0.pop() {
            return Ok(pipe);
        }
        let (out, into) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        // A smaller one holds less at a time.
        fcntl_setpipe_size(&into, SIZE).ok();
        Ok(Pipe { out, into })
    }

    /// Takes back a pipe that is empty.
    pub(super) fn give_back(&mut self, pipe: Pipe) {
        if self.0.len() < KEPT {
            self.0.push(pipe);
        }
    }
}
