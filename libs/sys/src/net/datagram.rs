//! Datagrams, many by one call, with what the kernel tells beside each.

#![expect(
    unsafe_code,
    reason = "recvmmsg, recvmsg and sendmsg with control messages that rustix does not know"
)]

use core::mem::{MaybeUninit, size_of};
use core::net::{IpAddr, SocketAddr};
use core::ptr;

use rustix::fd::{AsRawFd, BorrowedFd};
use rustix::io::{Errno, Result};

use super::address::{ROOM, decode, encode, field};
use crate::userns::last_errno;

/// The most datagrams that one call receives.
pub const BATCH: usize = 32;

/// `SOL_UDP`.
const SOL_UDP: i32 = 17;
/// `UDP_SEGMENT`.
const UDP_SEGMENT: i32 = 103;
/// `UDP_GRO`.
const UDP_GRO: i32 = 104;
/// `TP_STATUS_CSUMNOTREADY`.
const CHECKSUM_NOT_READY: u32 = 1 << 3;

/// Room for the control messages of one datagram: the largest are an error of IPv6 with two addresses.
const CONTROL: usize = 160;

/// What came.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Arrival {
    /// How many bytes.
    pub length: usize,
    /// Who sent it; of a tap nobody.
    pub from: Option<SocketAddr>,
    /// Whom it was sent to, where that is told.
    pub to: Option<SocketAddr>,
    /// It is several datagrams of this length, but for the last.
    pub segment: Option<u16>,
    /// It was cut on its way, where that is told.
    pub in_pieces: bool,
    /// The checksum of its transport is filled in: not so of what never left this machine.
    pub checksum_ready: bool,
    /// There was more of it.
    pub cut: bool,
    /// When, in seconds since 1970 and nanoseconds, where that is told.
    pub at: Option<(u32, u32)>,
}

/// A datagram that could not be delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// Whom it was sent to.
    pub to: SocketAddr,
    /// Why not.
    pub errno: Errno,
    /// The greatest length that gets through, where that is why.
    pub mtu: Option<u32>,
    /// Nobody on the way says so, but this kernel.
    pub is_own: bool,
}

/// Control messages, aligned as the kernel writes them.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
struct Control([u8; CONTROL]);

/// Receives what is there, without waiting: each into `size` bytes of its own of the buffer.
///
/// # Errors
/// EAGAIN if nothing is there; an error that the socket was left with.
pub fn receive(
    socket: BorrowedFd<'_>,
    buffer: &mut [u8],
    size: usize,
    arrivals: &mut [Option<Arrival>; BATCH],
) -> Result<usize> {
    let mut names = [[0_u8; ROOM]; BATCH];
    let mut controls = [Control([0; CONTROL]); BATCH];
    let mut pieces = [libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 }; BATCH];
    // SAFETY: a `mmsghdr` is numbers and pointers, for which zero is a value.
    let mut messages: [libc::mmsghdr; BATCH] = unsafe { MaybeUninit::zeroed().assume_init() };
    let mut asked: u32 = 0;
    let slots = buffer.chunks_exact_mut(size.max(1)).zip(&mut names).zip(&mut controls);
    for (((slot, name), control), (piece, message)) in slots.zip(pieces.iter_mut().zip(&mut messages)) {
        ask(&mut message.msg_hdr, slot, piece, name, control);
        asked += 1;
    }
    // SAFETY: each of the first `asked` messages points to a piece of the buffer, a name and a control area of its own, with
    // their sizes; all of them live until the call is over.
    let count = unsafe {
        libc::recvmmsg(socket.as_raw_fd(), messages.as_mut_ptr(), asked, libc::MSG_DONTWAIT, ptr::null_mut())
    };
    let count = usize::try_from(count).map_err(|_negative| last_errno())?;
    for (at, arrival) in arrivals.iter_mut().enumerate() {
        *arrival = match (messages.get(at), names.get(at), controls.get(at)) {
            (Some(message), Some(name), Some(control)) if at < count => {
                let length = usize::try_from(message.msg_len).unwrap_or_default();
                Some(arrived(&message.msg_hdr, length, name, control))
            }
            _ => None,
        };
    }
    Ok(count)
}

/// Receives one of what is there, without waiting: for who expects no more than that, half the price of [`receive`], which asks once more.
///
/// # Errors
/// EAGAIN if nothing is there; an error that the socket was left with.
pub fn receive_one(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> Result<Arrival> {
    let mut name = [0_u8; ROOM];
    let mut control = Control([0; CONTROL]);
    let mut piece = libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 };
    // SAFETY: a `msghdr` is numbers and pointers, for which zero is a value.
    let mut header: libc::msghdr = unsafe { MaybeUninit::zeroed().assume_init() };
    ask(&mut header, buffer, &mut piece, &mut name, &mut control);
    // SAFETY: the message points to the buffer, a name and a control area that are written to, with their sizes.
    let received = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut header, libc::MSG_DONTWAIT) };
    let length = usize::try_from(received).map_err(|_negative| last_errno())?;
    Ok(arrived(&header, length, &name, &control))
}

/// Says where a datagram goes, and what is told of it.
fn ask(
    header: &mut libc::msghdr,
    slot: &mut [u8],
    piece: &mut libc::iovec,
    name: &mut [u8; ROOM],
    control: &mut Control,
) {
    *piece = libc::iovec { iov_base: slot.as_mut_ptr().cast(), iov_len: slot.len() };
    header.msg_name = name.as_mut_ptr().cast();
    header.msg_namelen = libc::socklen_t::try_from(ROOM).unwrap_or_default();
    header.msg_iov = ptr::from_mut(piece);
    header.msg_iovlen = 1;
    header.msg_control = control.0.as_mut_ptr().cast();
    header.msg_controllen = CONTROL;
}

fn arrived(header: &libc::msghdr, length: usize, name: &[u8; ROOM], control: &Control) -> Arrival {
    let mut arrival = Arrival {
        length,
        from: decode(cut(name, header.msg_namelen)),
        to: None,
        segment: None,
        in_pieces: false,
        checksum_ready: true,
        cut: header.msg_flags & libc::MSG_TRUNC != 0,
        at: None,
    };
    for (level, kind, data) in Messages(control.0.get(..header.msg_controllen).unwrap_or_default()) {
        match (level, kind) {
            (libc::SOL_IP, libc::IP_RECVORIGDSTADDR) | (libc::SOL_IPV6, libc::IPV6_RECVORIGDSTADDR) => {
                arrival.to = decode(data);
            }
            (libc::SOL_IP, libc::IP_RECVFRAGSIZE) | (libc::SOL_IPV6, libc::IPV6_RECVFRAGSIZE) => {
                arrival.in_pieces = true;
            }
            // `struct timespec`.
            (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) => {
                let number = |at| {
                    field(data, at).map(i64::from_ne_bytes).and_then(|number| u32::try_from(number).ok())
                };
                arrival.at = number(0).zip(number(8));
            }
            (SOL_UDP, UDP_GRO) => {
                let length = field(data, 0).map_or(0, i32::from_ne_bytes);
                arrival.segment = u16::try_from(length).ok().filter(|length| *length > 0);
            }
            (libc::SOL_PACKET, libc::PACKET_AUXDATA) => {
                let status = field(data, 0).map_or(0, u32::from_ne_bytes);
                arrival.checksum_ready = status & CHECKSUM_NOT_READY == 0;
            }
            _ => {}
        }
    }
    arrival
}

/// How a datagram is sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Way {
    /// Whom to; none is the one that the socket is connected to.
    pub to: Option<SocketAddr>,
    /// Which of this machine's addresses it comes from, where the socket has them all.
    pub from: Option<IpAddr>,
    /// It is several datagrams of this length, but for the last.
    pub segment: Option<u16>,
}

/// Sends a datagram, or several in one piece, without waiting.
///
/// # Errors
/// EAGAIN if there is no room; whatever the network says.
pub fn send(socket: BorrowedFd<'_>, bytes: &[u8], way: &Way) -> Result<()> {
    let (mut name, length) = way.to.as_ref().map_or(([0; ROOM], 0), encode);
    let name_length = libc::socklen_t::try_from(length).map_err(|_large| Errno::INVAL)?;
    let to = if length > 0 { name.as_mut_ptr() } else { ptr::null_mut() };
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    let mut control = Control([0; CONTROL]);
    let told = tell(&mut control, way);
    if told == 0 {
        let (socket, start) = (socket.as_raw_fd(), bytes.as_ptr());
        // SAFETY: the bytes and the name are only read, as many as there are of each.
        let sent = unsafe { libc::sendto(socket, start.cast(), bytes.len(), flags, to.cast(), name_length) };
        return if sent >= 0 { Ok(()) } else { Err(last_errno()) };
    }
    let mut piece = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    // SAFETY: a `msghdr` is numbers and pointers, for which zero is a value.
    let mut header: libc::msghdr = unsafe { MaybeUninit::zeroed().assume_init() };
    header.msg_name = to.cast();
    header.msg_namelen = name_length;
    header.msg_iov = &raw mut piece;
    header.msg_iovlen = 1;
    header.msg_controllen = told;
    header.msg_control = control.0.as_mut_ptr().cast();
    // SAFETY: the message points to the bytes, which are only read, to the name and to the control area, with their sizes.
    let sent = unsafe { libc::sendmsg(socket.as_raw_fd(), &raw const header, flags) };
    if sent >= 0 { Ok(()) } else { Err(last_errno()) }
}

/// Writes what the kernel is told beside a datagram; how long that is.
fn tell(control: &mut Control, way: &Way) -> usize {
    let mut told = 0;
    if let Some(segment) = way.segment {
        told += put(control, told, (SOL_UDP, UDP_SEGMENT), &[&segment.to_ne_bytes()]);
    }
    // Of which interface it leaves is for the routes to say.
    let any = [0; size_of::<u32>()];
    told += match way.from {
        // `struct in_pktinfo`: the interface, the address to come from, and one that only means something to who receives.
        Some(IpAddr::V4(four)) => {
            put(control, told, (libc::SOL_IP, libc::IP_PKTINFO), &[&any, &four.octets(), &any])
        }
        // `struct in6_pktinfo`: the address, the interface.
        Some(IpAddr::V6(six)) => {
            put(control, told, (libc::SOL_IPV6, libc::IPV6_PKTINFO), &[&six.octets(), &any])
        }
        None => 0,
    };
    told
}

/// Writes a control message behind others; how much room it takes.
fn put(control: &mut Control, at: usize, (level, kind): (i32, i32), data: &[&[u8]]) -> usize {
    let length = HEADER + data.iter().map(|piece| piece.len()).sum::<usize>();
    let header = [&length.to_ne_bytes()[..], &level.to_ne_bytes(), &kind.to_ne_bytes()];
    let bytes = header.iter().chain(data).copied().flatten();
    for (into, byte) in control.0.iter_mut().skip(at).zip(bytes) {
        *into = *byte;
    }
    aligned(length)
}

/// Takes the oldest of what [`super::options::keep_refusals`] keeps.
///
/// # Errors
/// The kernel's, but that there is none.
pub fn next_refusal(socket: BorrowedFd<'_>) -> Result<Option<Refusal>> {
    let mut name = [0_u8; ROOM];
    let mut control = Control([0; CONTROL]);
    // Of the datagram itself nothing is wanted.
    let mut piece = libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 };
    // SAFETY: a `msghdr` is numbers and pointers, for which zero is a value.
    let mut header: libc::msghdr = unsafe { MaybeUninit::zeroed().assume_init() };
    header.msg_name = name.as_mut_ptr().cast();
    header.msg_namelen = libc::socklen_t::try_from(ROOM).map_err(|_large| Errno::INVAL)?;
    header.msg_iov = &raw mut piece;
    header.msg_iovlen = 1;
    header.msg_control = control.0.as_mut_ptr().cast();
    header.msg_controllen = CONTROL;
    let flags = libc::MSG_ERRQUEUE | libc::MSG_DONTWAIT;
    // SAFETY: the message points to a name and a control area that are written to, with their sizes, and to no bytes.
    let received = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut header, flags) };
    if received < 0 {
        return match last_errno() {
            Errno::AGAIN => Ok(None),
            errno => Err(errno),
        };
    }
    let Some(to) = decode(cut(&name, header.msg_namelen)) else { return Ok(None) };
    let controls = Messages(control.0.get(..header.msg_controllen).unwrap_or_default());
    let told = controls.into_iter().find(|(level, kind, _)| {
        matches!((*level, *kind), (libc::SOL_IP, libc::IP_RECVERR) | (libc::SOL_IPV6, libc::IPV6_RECVERR))
    });
    Ok(told.and_then(|(_, _, data)| refusal(to, data)))
}

/// Reads a `struct sock_extended_err`: the number, four bytes of who says so, and what it adds.
fn refusal(to: SocketAddr, data: &[u8]) -> Option<Refusal> {
    let number = u32::from_ne_bytes(field(data, 0)?);
    let errno = Errno::from_raw_os_error(i32::try_from(number).ok()?);
    let added = u32::from_ne_bytes(field(data, 8)?);
    let [origin] = field(data, 4)?;
    let is_own = origin == libc::SO_EE_ORIGIN_LOCAL;
    Some(Refusal { to, errno, mtu: (errno == Errno::MSGSIZE).then_some(added), is_own })
}

/// The control messages of one datagram: level, kind and data of each.
struct Messages<'a>(&'a [u8]);

/// `struct cmsghdr`: a length and two numbers.
const HEADER: usize = size_of::<usize>() + 2 * size_of::<i32>();

const fn aligned(length: usize) -> usize {
    length.next_multiple_of(size_of::<usize>())
}

impl<'a> Iterator for Messages<'a> {
    type Item = (i32, i32, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let length = usize::from_ne_bytes(field(self.0, 0)?);
        let level = i32::from_ne_bytes(field(self.0, size_of::<usize>())?);
        let kind = i32::from_ne_bytes(field(self.0, size_of::<usize>() + size_of::<i32>())?);
        let data = self.0.get(HEADER..length)?;
        self.0 = self.0.get(aligned(length)..).unwrap_or_default();
        Some((level, kind, data))
    }
}

fn cut(name: &[u8; ROOM], length: libc::socklen_t) -> &[u8] {
    usize::try_from(length).ok().and_then(|length| name.get(..length)).unwrap_or_default()
}
