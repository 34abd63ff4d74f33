//! A connection's two halves: each moves bytes from one socket to the other, until the end of both.
//!
//! Small pieces are read into a buffer that all flows share, and written: two calls. Where a read fills the buffer there is
//! more to come, and the half goes over to splicing through a pipe until pieces are small again. Nothing is read that cannot be
//! written, so who is slow is felt at the other end.
//!
//! Readiness is told once for each change, so it is remembered here.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, Shutdown, recv, send, shutdown, sockopt};
use rustix::pipe::{SpliceFlags, splice};

use super::pipes::{Pipe, Pipes, SIZE};

/// How much is read at a time where it is copied.
pub(super) const PIECE: usize = 32 << 10;
/// How many small pieces end splicing.
const PATIENCE: u8 = 16;
/// What is spliced and smaller than this is a small piece.
const SMALL: usize = 8 << 10;
/// How much one half moves before the others get their turn.
const TURN: usize = 4 << 20;

/// Which end of a connection: the index of its side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// On the host.
    Outer = 0,
    /// In the router.
    Inner = 1,
}

/// What the kernel has told of a socket.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Ready {
    pub(super) readable: bool,
    pub(super) writable: bool,
    /// There is an end, after what can be read.
    pub(super) hung_up: bool,
    /// There was an error, or nothing goes either way: the socket can be asked which.
    pub(super) broken: bool,
}

impl Ready {
    /// Of a new socket it is found out by trying; an end will be told.
    pub(super) const UNKNOWN: Self = Self { readable: true, ..Self::WRITABLE };

    /// Of one that has just been connected: nothing was sent to it yet, and whatever comes will be told.
    pub(super) const WRITABLE: Self = Self { readable: false, writable: true, hung_up: false, broken: false };

    /// Adds what was told later.
    pub(super) const fn add(&mut self, later: Self) {
        self.readable |= later.readable;
        self.writable |= later.writable;
        self.hung_up |= later.hung_up;
        self.broken |= later.broken;
    }

    /// Why a socket that is on its way will not arrive. One that nothing was told of but good is not asked.
    pub(super) fn check(self, socket: impl AsFd) -> Result<(), Errno> {
        if self.broken { sockopt::socket_error(socket)? } else { Ok(()) }
    }
}

/// What all flows share.
#[derive(Debug)]
pub(super) struct Tools {
    pub(super) buffer: Vec<u8>,
    pub(super) pipes: Pipes,
}

impl Default for Tools {
    fn default() -> Self {
        Self { buffer: vec![0; PIECE], pipes: Pipes::default() }
    }
}

/// How far a turn came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pumped {
    /// The kernel will tell when there is more to do.
    Waiting,
    /// There is more to do at once.
    More,
    /// Both halves have come to their end.
    Done,
}

#[derive(Debug)]
struct Side {
    socket: OwnedFd,
    ready: Ready,
    /// The kernel tells when there is room again: it is asked to once there was none.
    tells_of_room: bool,
}

#[derive(Debug, Default)]
struct Half {
    pipe: Option<Pipe>,
    /// How much is in it.
    held: usize,
    /// It splices for so many small pieces more.
    patience: u8,
    ended: bool,
    shut: bool,
    /// How much has arrived at the other end.
    moved: u64,
}

/// Two sockets that are one connection.
#[derive(Debug)]
pub(super) struct Open {
    sides: [Side; 2],
    /// The first goes from the outer side to the inner one.
    halves: [Half; 2],
    from_outside: bool,
}

impl Open {
    /// Of two sockets, of each of which something was told already.
    pub(super) fn new(outer: (OwnedFd, Ready), inner: (OwnedFd, Ready)) -> Self {
        let sides = [outer, inner].map(|(socket, ready)| Side { socket, ready, tells_of_room: false });
        Self { sides, halves: [Half::default(), Half::default()], from_outside: false }
    }

    /// Takes what the kernel tells of one side.
    pub(super) fn tell(&mut self, end: End, ready: Ready) {
        let [outer, inner] = &mut self.sides;
        let known = match end {
            End::Outer => &mut outer.ready,
            End::Inner => &mut inner.ready,
        };
        known.add(ready);
    }

    /// Both halves have come to their end.
    pub(super) fn is_done(&self) -> bool {
        self.halves.iter().all(|half| half.shut)
    }

    /// How many bytes went from the inner side to the outer one, and how many the other way.
    pub(super) const fn moved(&self) -> (u64, u64) {
        let [inwards, outwards] = &self.halves;
        (outwards.moved, inwards.moved)
    }

    /// Somebody outside has begun it.
    pub(super) fn begun_outside(self) -> Self {
        Self { from_outside: true, ..self }
    }

    /// Which ends have no room left, where that was not so before: the kernel is to tell when there is some.
    pub(super) fn newly_full(&mut self) -> impl Iterator<Item = (End, BorrowedFd<'_>)> {
        [End::Outer, End::Inner].into_iter().zip(&mut self.sides).filter_map(|(end, side)| {
            let is_newly = !side.ready.writable && !side.tells_of_room;
            side.tells_of_room |= is_newly;
            is_newly.then(|| (end, side.socket.as_fd()))
        })
    }

    pub(super) const fn is_from_outside(&self) -> bool {
        self.from_outside
    }

    /// One of the ends has said its last word.
    pub(super) fn is_ending(&self) -> bool {
        self.halves.iter().any(|half| half.ended) || self.sides.iter().any(|side| side.ready.hung_up)
    }

    /// Moves what can be moved.
    ///
    /// # Errors
    /// Either connection is broken.
    pub(super) fn pump(&mut self, tools: &mut Tools) -> Result<Pumped, Errno> {
        let [outer, inner] = &mut self.sides;
        let [inwards, outwards] = &mut self.halves;
        let more_in = inwards.turn(outer, inner, tools, outwards.shut)?;
        let more_out = outwards.turn(inner, outer, tools, inwards.shut)?;
        Ok(match (inwards.shut && outwards.shut, more_in || more_out) {
            (true, _) => Pumped::Done,
            (false, true) => Pumped::More,
            (false, false) => Pumped::Waiting,
        })
    }

    /// Gives the pipes back that are empty; the others go.
    pub(super) fn dissolve(self, pipes: &mut Pipes) -> [OwnedFd; 2] {
        for half in self.halves {
            if let (Some(pipe), 0) = (half.pipe, half.held) {
                pipes.give_back(pipe);
            }
        }
        self.sides.map(|side| side.socket)
    }
}

impl Half {
    /// Moves up to a turn's worth; whether there is more. Where this is the last half to end, closing the socket says so.
    fn turn(
        &mut self,
        from: &mut Side,
        to: &mut Side,
        tools: &mut Tools,
        is_last: bool,
    ) -> Result<bool, Errno> {
        let mut moved = 0;
        while moved < TURN {
            if self.held > 0 {
                if !to.ready.writable || self.drain(to, tools)? == 0 {
                    return Ok(false);
                }
                continue;
            }
            if self.ended {
                if !self.shut {
                    self.shut = true;
                    if !is_last {
                        end(to)?;
                    }
                }
                return Ok(false);
            }
            if !from.ready.readable || !to.ready.writable {
                return Ok(false);
            }
            moved += if self.patience > 0 { self.fill(from, tools)? } else { self.copy(from, to, tools)? };
        }
        Ok(true)
    }

    /// From one socket into the pipe.
    fn fill(&mut self, from: &mut Side, tools: &mut Tools) -> Result<usize, Errno> {
        let pipe = match self.pipe.take() {
            Some(pipe) => pipe,
            None => tools.pipes.borrow()?,
        };
        let flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
        let spliced = splice(&from.socket, None, &pipe.into, None, SIZE, flags);
        self.pipe = Some(pipe);
        match spliced {
            Ok(0) => self.ended = true,
            Ok(some) => {
                self.held = some;
                self.patience = if some < SMALL { self.patience - 1 } else { PATIENCE };
            }
            Err(Errno::AGAIN) => from.ready.readable = false,
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
        if self.held == 0 {
            self.let_go(tools);
        }
        Ok(self.held)
    }

    /// From the pipe into the other socket.
    fn drain(&mut self, to: &mut Side, tools: &mut Tools) -> Result<usize, Errno> {
        let Some(pipe) = &self.pipe else { return Ok(0) };
        let flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
        let drained = match splice(&pipe.out, None, &to.socket, None, self.held, flags) {
            Ok(drained) => drained,
            Err(Errno::AGAIN) => {
                to.ready.writable = false;
                return Ok(0);
            }
            Err(Errno::INTR) => return Ok(1),
            Err(errno) => return Err(errno),
        };
        self.held = self.held.saturating_sub(drained);
        self.moved += drained as u64;
        if self.held == 0 {
            self.let_go(tools);
        }
        Ok(drained)
    }

    /// From one socket to the other, by way of the buffer.
    fn copy(&mut self, from: &mut Side, to: &mut Side, tools: &mut Tools) -> Result<usize, Errno> {
        let (read, _) = match recv(&from.socket, tools.buffer.as_mut_slice(), RecvFlags::DONTWAIT) {
            Ok(read) => read,
            Err(Errno::AGAIN) => {
                from.ready.readable = false;
                return Ok(0);
            }
            Err(Errno::INTR) => return Ok(0),
            Err(errno) => return Err(errno),
        };
        if read == 0 {
            self.ended = true;
            return Ok(0);
        }
        // A stream that had less than was asked for has no more for now; its end is told separately.
        from.ready.readable = read == tools.buffer.len() || from.ready.hung_up;
        if read == tools.buffer.len() {
            self.patience = PATIENCE;
        }
        let bytes = tools.buffer.get(..read).unwrap_or_default();
        let sent = match send(&to.socket, bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
            Ok(sent) => sent,
            Err(Errno::AGAIN) => 0,
            Err(errno) => return Err(errno),
        };
        self.moved += sent as u64;
        if sent < read {
            to.ready.writable = false;
            let pipe = tools.pipes.borrow()?;
            let rest = tools.buffer.get(sent..read).unwrap_or_default();
            // The smallest pipe there is has room for one page only where a user has used up all others.
            let parked = rustix::io::write(&pipe.into, rest)?;
            if parked != rest.len() {
                return Err(Errno::NOBUFS);
            }
            self.held = parked;
            self.pipe = Some(pipe);
        }
        Ok(read)
    }

    fn let_go(&mut self, tools: &mut Tools) {
        if let Some(pipe) = self.pipe.take() {
            tools.pipes.give_back(pipe);
        }
    }
}

/// Passes an end on. Who is gone already has nothing to hear.
fn end(to: &Side) -> Result<(), Errno> {
    match shutdown(&to.socket, Shutdown::Write) {
        Err(Errno::NOTCONN) | Ok(()) => Ok(()),
        Err(errno) => Err(errno),
    }
}
