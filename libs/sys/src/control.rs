//! The socket between a launcher and `ctr-init`.
//!
//! # Protocol
//! A pair of sequenced-packet sockets, so a message is whole or not there. Down go [`Order`]s, up go [`Report`]s, both
//! small and of fixed size; descriptors travel beside them. A plan is not sent: it lies in a memory file, the first
//! descriptor of its order. The container's command being exec'd closes the lower end, and that is the message that all
//! went well.
//!
//! Both ends are the same build of the same program, so the encoding has no version.

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::{Errno, Result};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, socketpair};

use crate::packet::{self, Received};

/// The bytes of a message.
const LEN: usize = 16;

/// What the parent tells `ctr-init`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// The id maps are written.
    Go,
    /// These descriptors belong into the slots from `base` on.
    Take {
        /// The first slot.
        base: u16,
    },
    /// The one descriptor is a memory file with the steps to execute.
    Execute,
}

/// What `ctr-init` tells its parent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Report {
    /// The process failed before it became `ctr-init`.
    Stillborn {
        /// Why.
        errno: i32,
    },
    /// A step of the current plan failed, and the process is ending.
    Failed {
        /// Which, counted from 0.
        step: u32,
        /// Why.
        errno: i32,
    },
    /// A step that is best effort failed, or took its fallback.
    Noticed {
        /// Which, counted from 0.
        step: u32,
        /// Why.
        errno: i32,
    },
    /// The sender was a go-between; this is the process that goes on, in the parent's pid namespace.
    Born {
        /// Its id.
        pid: i32,
    },
    /// All steps of a plan that does not end in an exec are done.
    Done,
    /// The descriptor beside it is the master side of the container's terminal.
    Terminal,
    /// The descriptor beside it is told of system calls that the seccomp program hands to user space.
    Listener,
    /// All is there but the command: it goes on at [`Order::Go`].
    Waiting,
}

/// A pair of connected ends, the parent's first.
///
/// # Errors
/// If there are no descriptors left.
pub fn pair() -> Result<(OwnedFd, OwnedFd)> {
    socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
}

/// Sends an order, with descriptors.
///
/// # Errors
/// EPIPE if the child is gone.
pub fn order(socket: BorrowedFd<'_>, order: &Order, fds: &[BorrowedFd<'_>]) -> Result<()> {
    let (kind, value) = match *order {
        Order::Go => (0, 0),
        Order::Take { base } => (1, u32::from(base)),
        Order::Execute => (2, 0),
    };
    send(socket, [kind, value, 0, 0], fds)
}

/// Sends a report, with at most one descriptor.
///
/// # Errors
/// EPIPE if the parent is gone.
pub fn report(socket: BorrowedFd<'_>, report: &Report, fd: Option<BorrowedFd<'_>>) -> Result<()> {
    let words = match *report {
        Report::Stillborn { errno } => [0, 0, errno.cast_unsigned(), 0],
        Report::Failed { step, errno } => [1, step, errno.cast_unsigned(), 0],
        Report::Noticed { step, errno } => [2, step, errno.cast_unsigned(), 0],
        Report::Born { pid } => [3, 0, pid.cast_unsigned(), 0],
        Report::Done => [4, 0, 0, 0],
        Report::Terminal => [5, 0, 0, 0],
        Report::Listener => [6, 0, 0, 0],
        Report::Waiting => [7, 0, 0, 0],
    };
    send(socket, words, fd.as_slice())
}

/// Waits for the next order, and hands over each descriptor that came with it. Nothing if the parent is gone.
///
/// # Errors
/// EPROTO for what is no order.
pub fn next_order(socket: BorrowedFd<'_>, take: impl FnMut(OwnedFd)) -> Result<Option<Order>> {
    let Some([kind, value, ..]) = receive(socket, take)? else { return Ok(None) };
    match (kind, u16::try_from(value)) {
        (0, _) => Ok(Some(Order::Go)),
        (1, Ok(base)) => Ok(Some(Order::Take { base })),
        (2, _) => Ok(Some(Order::Execute)),
        _ => Err(Errno::PROTO),
    }
}

/// Waits for the next report, and hands over the descriptor that came with it. Nothing if the child's end is closed.
///
/// # Errors
/// EPROTO for what is no report.
pub fn next_report(socket: BorrowedFd<'_>, mut take: impl FnMut(OwnedFd)) -> Result<Option<Report>> {
    let words = match receive(socket, &mut take) {
        // The child ended before it read all that was sent to it. The kernel says so once, and first; what the child
        // said before that is still there.
        Err(Errno::CONNRESET) => receive(socket, take)?,
        other => other?,
    };
    let Some([kind, step, value, _]) = words else { return Ok(None) };
    let errno = value.cast_signed();
    match kind {
        0 => Ok(Some(Report::Stillborn { errno })),
        1 => Ok(Some(Report::Failed { step, errno })),
        2 => Ok(Some(Report::Noticed { step, errno })),
        3 => Ok(Some(Report::Born { pid: errno })),
        4 => Ok(Some(Report::Done)),
        5 => Ok(Some(Report::Terminal)),
        6 => Ok(Some(Report::Listener)),
        7 => Ok(Some(Report::Waiting)),
        _ => Err(Errno::PROTO),
    }
}

/// Waits until the parent says [`Order::Go`].
///
/// # Errors
/// EPIPE if the parent is gone, EPROTO for another order.
pub(crate) fn wait_for_go(socket: BorrowedFd<'_>) -> Result<()> {
    match next_order(socket, drop)? {
        Some(Order::Go) => Ok(()),
        Some(_) => Err(Errno::PROTO),
        None => Err(Errno::PIPE),
    }
}

fn send(socket: BorrowedFd<'_>, words: [u32; 4], fds: &[BorrowedFd<'_>]) -> Result<()> {
    let mut bytes = [0; LEN];
    for (place, word) in bytes.chunks_exact_mut(4).zip(words) {
        place.copy_from_slice(&word.to_ne_bytes());
    }
    packet::send(socket, &bytes, fds, SendFlags::empty())
}

fn receive(socket: BorrowedFd<'_>, take: impl FnMut(OwnedFd)) -> Result<Option<[u32; 4]>> {
    let mut bytes = [0; LEN];
    match packet::receive(socket, &mut bytes, take, RecvFlags::empty())? {
        Received { length: 0, .. } => Ok(None),
        Received { length: LEN, is_cut: false } => {
            let mut words = [0; 4];
            for (word, place) in words.iter_mut().zip(bytes.chunks_exact(4)) {
                *word = u32::from_ne_bytes(place.try_into().unwrap_or_default());
            }
            Ok(Some(words))
        }
        Received { length: LEN, is_cut: true } => Err(Errno::MFILE),
        _ => Err(Errno::PROTO),
    }
}

/// Whether the other end is closed.
///
/// # Errors
/// What poll says.
pub(crate) fn is_deserted(socket: BorrowedFd<'_>) -> Result<bool> {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let mut waited = [PollFd::from_borrowed_fd(socket.as_fd(), PollFlags::empty())];
    poll(&mut waited, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }))?;
    Ok(waited[0].revents().intersects(PollFlags::HUP | PollFlags::ERR))
}

#[cfg(test)]
mod tests {
    use rustix::fd::AsFd;

    use super::{Order, Report, next_report, order, pair, report};

    #[test]
    fn what_a_child_said_is_heard_though_it_did_not_listen_to_the_end() {
        let (ours, theirs) = pair().unwrap();
        order(ours.as_fd(), &Order::Go, &[]).unwrap();
        let failed = Report::Failed { step: 7, errno: 5 };
        report(theirs.as_fd(), &failed, None).unwrap();
        drop(theirs);
        assert_eq!(next_report(ours.as_fd(), drop).unwrap(), Some(failed));
        assert_eq!(next_report(ours.as_fd(), drop).unwrap(), None);
    }
}
