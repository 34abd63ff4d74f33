//! Words and descriptors, together or not at all, through a socket between two processes of ours.

use core::mem::MaybeUninit;

use rustix::cmsg_space;
use rustix::fd::{BorrowedFd, OwnedFd};
use rustix::io::{Errno, IoSlice, IoSliceMut, Result};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

/// The most descriptors of one packet, for the kernel.
pub const MOST_BESIDE: usize = 253;

/// Sends words with descriptors beside them.
///
/// # Errors
/// EPIPE or ECONNRESET if nobody is there to receive them, E2BIG for too many descriptors, and EAGAIN where the flags say not
/// to wait.
pub fn send(socket: BorrowedFd<'_>, words: &[u8], beside: &[BorrowedFd<'_>], flags: SendFlags) -> Result<()> {
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(MOST_BESIDE))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if beside.len() > MOST_BESIDE {
        return Err(Errno::TOOBIG);
    }
    if !beside.is_empty() {
        ancillary.push(SendAncillaryMessage::ScmRights(beside));
    }
    loop {
        match sendmsg(socket, &[IoSlice::new(words)], &mut ancillary, flags | SendFlags::NOSIGNAL) {
            Err(Errno::INTR) => {}
            sent => return sent.map(drop),
        }
    }
}

/// What was received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Received {
    /// How many words, and none if there will be no more packets.
    pub length: usize,
    /// There was no room for all of its words, or of its descriptors.
    pub is_cut: bool,
}

/// Receives a packet, and hands over each descriptor that came with it.
///
/// # Errors
/// EAGAIN where the flags say not to wait.
pub fn receive(
    socket: BorrowedFd<'_>,
    words: &mut [u8],
    mut take: impl FnMut(OwnedFd),
    flags: RecvFlags,
) -> Result<Received> {
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(MOST_BESIDE))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let received = loop {
        let mut into = [IoSliceMut::new(words)];
        match recvmsg(socket, &mut into, &mut ancillary, flags | RecvFlags::CMSG_CLOEXEC) {
            Err(Errno::INTR) => {}
            received => break received?,
        }
    };
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(descriptors) = message {
            descriptors.for_each(&mut take);
        }
    }
    let is_cut = received.flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC);
    Ok(Received { length: received.bytes, is_cut })
}

#[cfg(test)]
mod tests {
    use rustix::fd::AsFd;
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

    use super::*;

    #[test]
    fn as_many_descriptors_as_the_kernel_takes_arrive_with_one_packet() {
        let pair = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None);
        let (ours, theirs) = pair.unwrap();
        let none = SendFlags::empty();
        send(ours.as_fd(), b"words", &[ours.as_fd(); MOST_BESIDE], none).unwrap();
        let mut words = [0; 4];
        let mut beside = 0;
        let mut next = || receive(theirs.as_fd(), &mut words, |_| beside += 1, RecvFlags::DONTWAIT);
        assert_eq!(next(), Ok(Received { length: 4, is_cut: true }));
        assert_eq!(send(ours.as_fd(), b"x", &[ours.as_fd(); MOST_BESIDE + 1], none), Err(Errno::TOOBIG));
        assert_eq!(next(), Err(Errno::AGAIN));
        send(ours.as_fd(), b"x", &[], none).unwrap();
        assert_eq!(next(), Ok(Received { length: 1, is_cut: false }));
        drop(ours);
        assert_eq!(next(), Ok(Received { length: 0, is_cut: false }));
        assert_eq!((&words, beside), (b"xord", MOST_BESIDE));
    }
}
