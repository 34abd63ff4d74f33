//! The socket that clients connect to, in a folder whose path may be longer than a socket's address.

use core::time::Duration;

use rustix::fd::{AsRawFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, Mode};
use rustix::io::{Errno, Result};
use rustix::net::sockopt::{self, Timeout};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, socket_with};

use super::SOCKET_NAME;
use crate::decimal::{DIGITS, digits};

/// How many clients may wait to be accepted.
const BACKLOG: i32 = 32;

/// How long a client waits to be one of them. A monitor that was stopped accepts nobody.
const PATIENCE: Duration = Duration::from_secs(10);

/// Makes the socket in a folder, only for its owner; one that is left over there goes.
///
/// # Errors
/// What the kernel says of the folder.
pub fn listen(folder: BorrowedFd<'_>) -> Result<OwnedFd> {
    match rustix::fs::unlinkat(folder, SOCKET_NAME, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => {}
        Err(errno) => return Err(errno),
    }
    let socket = packets()?;
    // A socket is bound with the mode it has, so nobody can connect before it is right.
    rustix::fs::fchmod(&socket, Mode::RUSR | Mode::WUSR)?;
    bind(&socket, &address(folder)?)?;
    rustix::net::listen(&socket, BACKLOG)?;
    Ok(socket)
}

/// Connects to the socket in a folder.
///
/// # Errors
/// ENOENT or ECONNREFUSED if nobody listens, EAGAIN if too many wait already.
pub fn connect(folder: BorrowedFd<'_>) -> Result<OwnedFd> {
    let socket = packets()?;
    sockopt::set_socket_timeout(&socket, Timeout::Send, Some(PATIENCE))?;
    rustix::net::connect(&socket, &address(folder)?)?;
    Ok(socket)
}

fn packets() -> Result<OwnedFd> {
    socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
}

/// The socket's path by way of the folder's descriptor.
fn address(folder: BorrowedFd<'_>) -> Result<SocketAddrUnix> {
    let mut buffer = [0; DIGITS];
    let number = digits(u64::from(folder.as_raw_fd().unsigned_abs()), &mut buffer);
    let mut path = [0_u8; 64];
    let mut at = 0;
    for part in [b"/proc/self/fd/", number, b"/", SOCKET_NAME.to_bytes()] {
        path.get_mut(at..at + part.len()).ok_or(Errno::NAMETOOLONG)?.copy_from_slice(part);
        at += part.len();
    }
    SocketAddrUnix::new(&path[..at])
}
