//! What is set on a socket once.

#![expect(unsafe_code, reason = "setsockopt and bind with what rustix has no type for")]

use core::ffi::c_int;

use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use rustix::io::{Errno, Result};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with, sockopt};

use super::filter::{self, Instruction};
use crate::userns::last_errno;

/// `PACKET_IGNORE_OUTGOING`.
const PACKET_IGNORE_OUTGOING: c_int = 23;
/// `PACKET_VNET_HDR`.
const PACKET_VNET_HDR: c_int = 15;
/// `SOL_UDP`.
const SOL_UDP: c_int = 17;
/// `UDP_GRO`.
const UDP_GRO: c_int = 104;

/// Which of the two protocols a socket speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// Both.
    pub const BOTH: [Self; 2] = [Self::V4, Self::V6];

    /// That of an address.
    #[must_use]
    pub const fn of(address: &core::net::SocketAddr) -> Self {
        if address.is_ipv4() { Self::V4 } else { Self::V6 }
    }

    /// As the kernel's number.
    #[must_use]
    pub const fn domain(self) -> AddressFamily {
        match self {
            Self::V4 => AddressFamily::INET,
            Self::V6 => AddressFamily::INET6,
        }
    }

    const fn choose(self, v4: (c_int, c_int), v6: (c_int, c_int)) -> (c_int, c_int) {
        match self {
            Self::V4 => v4,
            Self::V6 => v6,
        }
    }
}

/// Lets a socket have, and accept connections to, addresses that are not the machine's.
///
/// # Errors
/// EPERM without CAP_NET_ADMIN or CAP_NET_RAW over the socket's network namespace.
pub fn set_transparent(socket: BorrowedFd<'_>, family: Family) -> Result<()> {
    let (level, option) =
        family.choose((libc::SOL_IP, libc::IP_TRANSPARENT), (libc::SOL_IPV6, libc::IPV6_TRANSPARENT));
    set(socket, level, option, &1_i32)
}

/// Each datagram comes with the address that it was sent to.
///
/// # Errors
/// The kernel's.
pub fn tell_destinations(socket: BorrowedFd<'_>, family: Family) -> Result<()> {
    let (level, option) =
        family.choose((libc::SOL_IP, libc::IP_RECVORIGDSTADDR), (libc::SOL_IPV6, libc::IPV6_RECVORIGDSTADDR));
    set(socket, level, option, &1_i32)
}

/// What the network says of datagrams that could not be delivered is kept, for [`super::datagram::next_refusal`].
///
/// # Errors
/// The kernel's.
pub fn keep_refusals(socket: BorrowedFd<'_>, family: Family) -> Result<()> {
    let (level, option) =
        family.choose((libc::SOL_IP, libc::IP_RECVERR), (libc::SOL_IPV6, libc::IPV6_RECVERR));
    set(socket, level, option, &1_i32)
}

/// Each datagram that was cut on its way comes with how it was cut.
///
/// # Errors
/// The kernel's.
pub fn tell_pieces(socket: BorrowedFd<'_>, family: Family) -> Result<()> {
    let (level, option) =
        family.choose((libc::SOL_IP, libc::IP_RECVFRAGSIZE), (libc::SOL_IPV6, libc::IPV6_RECVFRAGSIZE));
    set(socket, level, option, &1_i32)
}

/// What becomes of a datagram that is longer than its way takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TooLong {
    /// It is cut: so it is where nothing else was asked for.
    Cut,
    /// It is refused.
    Refused,
    /// It is refused if the first interface does not take it, and else goes as it is, whatever is known of the rest of the way.
    Tried,
}

/// Says what becomes of those.
///
/// # Errors
/// The kernel's.
pub fn too_long(socket: BorrowedFd<'_>, family: Family, what: TooLong) -> Result<()> {
    let (level, option) =
        family.choose((libc::SOL_IP, libc::IP_MTU_DISCOVER), (libc::SOL_IPV6, libc::IPV6_MTU_DISCOVER));
    // IPv6 has the same numbers.
    let value = match what {
        TooLong::Cut => libc::IP_PMTUDISC_WANT,
        TooLong::Refused => libc::IP_PMTUDISC_DO,
        TooLong::Tried => libc::IP_PMTUDISC_PROBE,
    };
    set(socket, level, option, &value)
}

/// The longest packet that a connected socket's way takes, as far as this kernel knows it.
///
/// # Errors
/// ENOTCONN.
pub fn mtu(socket: BorrowedFd<'_>, family: Family) -> Result<u32> {
    let (level, option) = family.choose((libc::SOL_IP, libc::IP_MTU), (libc::SOL_IPV6, libc::IPV6_MTU));
    let mut value: c_int = 0;
    let mut length = length_of(&value)?;
    // SAFETY: the kernel writes at most `length` bytes, the size of the number, at its address, and how many there.
    let done = unsafe {
        libc::getsockopt(socket.as_raw_fd(), level, option, (&raw mut value).cast(), &raw mut length)
    };
    checked(done)?;
    u32::try_from(value).map_err(|_negative| Errno::INVAL)
}

/// Datagrams of equal length may come in one piece.
///
/// # Errors
/// ENOPROTOOPT before Linux 5.0.
pub fn join_datagrams(socket: BorrowedFd<'_>) -> Result<()> {
    set(socket, SOL_UDP, UDP_GRO, &1_i32)
}

/// What is peeked at begins so many bytes behind the first that is there, and from then on where the last peek ended; with none it
/// always begins with the first.
///
/// # Errors
/// EOPNOTSUPP for TCP before Linux 6.9, and for TCP of IPv6 before 6.11.
pub fn set_peek_offset(socket: BorrowedFd<'_>, offset: Option<usize>) -> Result<()> {
    let offset = offset.map_or(Ok(-1), c_int::try_from).map_err(|_large| Errno::INVAL)?;
    set(socket, libc::SOL_SOCKET, libc::SO_PEEK_OFF, &offset)
}

/// The mark of what is sent, which routing rules see.
///
/// # Errors
/// EPERM without CAP_NET_ADMIN or CAP_NET_RAW over the socket's network namespace.
pub fn set_mark(socket: BorrowedFd<'_>, mark: u32) -> Result<()> {
    set(socket, libc::SOL_SOCKET, libc::SO_MARK, &mark)
}

/// A descriptor as a message of netlink names it.
#[must_use]
pub fn as_in_netlink(descriptor: BorrowedFd<'_>) -> [u8; 4] {
    descriptor.as_raw_fd().to_ne_bytes()
}

/// A socket that is given a copy of each frame that comes in by an interface and that a program chooses, beginning with
/// the header of IP.
///
/// # Errors
/// EPERM without CAP_NET_RAW over the network namespace; ENODEV if there is no such interface.
pub fn tap(interface: u32, program: &[Instruction]) -> Result<OwnedFd> {
    let socket = deaf(SocketType::DGRAM, program)?;
    bind_to(socket.as_fd(), interface, libc::ETH_P_ALL)?;
    Ok(socket)
}

/// The same, of whole frames, from the header of the link on. Before each is a `struct virtio_net_hdr`, which says what the sender left
/// to the network card: so datagrams that it left in one piece are seen in one piece.
///
/// # Errors
/// Those of [`tap`].
pub fn whole_tap(interface: u32, program: &[Instruction]) -> Result<OwnedFd> {
    let socket = deaf(SocketType::RAW, program)?;
    set(socket.as_fd(), libc::SOL_PACKET, PACKET_VNET_HDR, &1_i32)?;
    bind_to(socket.as_fd(), interface, libc::ETH_P_ALL)?;
    Ok(socket)
}

/// How much may wait to be read by one who hears frames: ten thousand first packets. The host's own limit may be lower.
const HEARD: usize = 4 << 20;

/// A packet socket that hears nothing yet: with no protocol it does not until it has its program.
fn deaf(kind: SocketType, program: &[Instruction]) -> Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::PACKET, kind, flags, None)?;
    // As much as the host allows: what is not heard comes again after a second.
    sockopt::set_socket_recv_buffer_size(&socket, HEARD)?;
    filter::attach(socket.as_fd(), program)?;
    set(socket.as_fd(), libc::SOL_PACKET, PACKET_IGNORE_OUTGOING, &1_i32)?;
    set(socket.as_fd(), libc::SOL_PACKET, libc::PACKET_AUXDATA, &1_i32)?;
    Ok(socket)
}

/// A socket that is given a copy of each frame of an interface, in either direction, from the header of the link on, with its time.
///
/// # Errors
/// Those of [`tap`].
pub fn all_frames(interface: u32) -> Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::PACKET, SocketType::RAW, flags, None)?;
    set(socket.as_fd(), libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, &1_i32)?;
    bind_to(socket.as_fd(), interface, libc::ETH_P_ALL)?;
    Ok(socket)
}

/// How many frames a socket that hears them had no room for, since this was asked the last time.
///
/// # Errors
/// It is no such socket.
pub fn missed_frames(socket: BorrowedFd<'_>) -> Result<u32> {
    // `struct tpacket_stats`: all of them, and those that were missed.
    let mut counted = [0_u32; 2];
    let mut length = length_of(&counted)?;
    // SAFETY: the kernel writes at most `length` bytes, the size of the array, at its address, and how many there.
    let done = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_PACKET,
            libc::PACKET_STATISTICS,
            counted.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    checked(done).map(|()| counted[1])
}

/// A socket that sends frames as they are by an interface, and hears none.
///
/// # Errors
/// EPERM without CAP_NET_RAW over the network namespace; ENODEV if there is no such interface.
pub fn frames(interface: u32) -> Result<OwnedFd> {
    let socket = socket_with(AddressFamily::PACKET, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
    bind_to(socket.as_fd(), interface, 0)?;
    Ok(socket)
}

fn bind_to(socket: BorrowedFd<'_>, interface: u32, protocol: c_int) -> Result<()> {
    let family = u16::try_from(libc::AF_PACKET).map_err(|_never| Errno::INVAL)?;
    let protocol = u16::try_from(protocol).map_err(|_large| Errno::INVAL)?;
    let place = libc::sockaddr_ll {
        sll_family: family,
        sll_protocol: protocol.to_be(),
        sll_ifindex: i32::try_from(interface).map_err(|_large| Errno::NODEV)?,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    };
    let length = length_of(&place)?;
    // SAFETY: the kernel reads `length` bytes, the size of the structure, at its address.
    let done = unsafe { libc::bind(socket.as_raw_fd(), (&raw const place).cast(), length) };
    checked(done)
}

/// Sets an option whose value is plain numbers.
fn set<T: Copy>(socket: BorrowedFd<'_>, level: c_int, option: c_int, value: &T) -> Result<()> {
    let length = length_of(value)?;
    // SAFETY: the kernel reads `length` bytes, the size of the value, at its address.
    let done = unsafe {
        libc::setsockopt(socket.as_raw_fd(), level, option, core::ptr::from_ref(value).cast(), length)
    };
    checked(done)
}

fn length_of<T>(value: &T) -> Result<libc::socklen_t> {
    libc::socklen_t::try_from(size_of_val(value)).map_err(|_large| Errno::INVAL)
}

fn checked(result: c_int) -> Result<()> {
    if result >= 0 { Ok(()) } else { Err(last_errno()) }
}
