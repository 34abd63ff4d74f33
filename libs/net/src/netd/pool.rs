//! Sockets of the router, for a process that is not in it.
//!
//! A second thread stays in the router's namespace and keeps a few of each kind ready: making one takes a right over that
//! namespace, which the thread that meets the container's packets does not have.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use ctr_sys::net::options::Family;
use rustix::io::Errno;
use rustix::net::SocketType;

use crate::router;
use crate::rung::Rung;

/// How many of a kind are kept.
const KEPT: usize = 32;
/// With so few left more are made.
const FEW: usize = 8;

/// A kind of socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kind {
    pub(super) family: Family,
    pub(super) is_stream: bool,
}

impl Kind {
    const fn index(self) -> usize {
        (matches!(self.family, Family::V6) as usize) << 1 | self.is_stream as usize
    }

    fn all() -> impl Iterator<Item = Self> {
        Family::BOTH.into_iter().flat_map(|family| [false, true].map(|is_stream| Self { family, is_stream }))
    }
}

#[derive(Debug, Default)]
struct Shelves {
    ready: [VecDeque<OwnedFd>; 4],
    /// Why the last could not be made: whoever waits for it hears it.
    failed: [Option<Errno>; 4],
    wanted: [bool; 4],
    /// Somebody waits for one.
    awaited: bool,
}

/// What the two threads share.
#[derive(Debug, Default)]
pub(super) struct Pool {
    shelves: Mutex<Shelves>,
    asked: Condvar,
    made: Condvar,
}

impl Pool {
    fn lock(&self) -> MutexGuard<'_, Shelves> {
        // Who panics takes the process along.
        self.shelves.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a socket; where there is none ready, it takes as long as making one.
    ///
    /// # Errors
    /// There can be no more.
    pub(super) fn take(&self, kind: Kind) -> Result<OwnedFd, Errno> {
        let at = kind.index();
        let mut shelves = self.lock();
        loop {
            let Some(shelf) = shelves.ready.get_mut(at) else { return Err(Errno::INVAL) };
            if let Some(socket) = shelf.pop_front() {
                if shelf.len() < FEW {
                    self.want(&mut shelves, at);
                }
                return Ok(socket);
            }
            if let Some(errno) = shelves.failed.get_mut(at).and_then(Option::take) {
                return Err(errno);
            }
            self.want(&mut shelves, at);
            shelves.awaited = true;
            shelves = self.made.wait(shelves).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Has more of a kind made; that is said once.
    fn want(&self, shelves: &mut Shelves, at: usize) {
        if let Some(wanted) = shelves.wanted.get_mut(at)
            && !std::mem::replace(wanted, true)
        {
            self.asked.notify_one();
        }
    }

    /// There is one more, or there will be none. It is a system call, which is spared where nobody waits.
    fn tell(&self, shelves: &mut Shelves) {
        if std::mem::take(&mut shelves.awaited) {
            self.made.notify_all();
        }
    }

    /// In the router: makes what is wanted, until the process ends.
    pub(super) fn serve(&self, rung: Rung) -> ! {
        let mut shelves = self.lock();
        loop {
            for kind in Kind::all() {
                let at = kind.index();
                if shelves.wanted.get_mut(at).is_some_and(std::mem::take) {
                    drop(shelves);
                    self.stock(rung, kind);
                    shelves = self.lock();
                }
            }
            if !shelves.wanted.contains(&true) {
                shelves = self.asked.wait(shelves).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }

    fn stock(&self, rung: Rung, kind: Kind) {
        let at = kind.index();
        let socket_type = if kind.is_stream { SocketType::STREAM } else { SocketType::DGRAM };
        loop {
            let made = router::pooled(rung, kind.family, socket_type);
            let mut shelves = self.lock();
            match made {
                Ok(socket) => {
                    let Some(shelf) = shelves.ready.get_mut(at) else { return };
                    shelf.push_back(socket);
                    let is_full = shelf.len() >= KEPT;
                    self.tell(&mut shelves);
                    if is_full {
                        return;
                    }
                }
                Err(errno) => {
                    if let Some(failed) = shelves.failed.get_mut(at) {
                        *failed = Some(errno);
                    }
                    self.tell(&mut shelves);
                    return;
                }
            }
        }
    }
}
