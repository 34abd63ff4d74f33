//! TUN devices: packets of IP that a kernel sends and receives by a descriptor.

#![expect(unsafe_code, reason = "ioctl with structures that rustix does not know")]

use core::ffi::{CStr, c_int, c_uint, c_ulong};

use rustix::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::{Errno, Result};

use crate::userns::last_errno;

/// `_IOW('T', 202, int)` and `_IOW('T', 208, unsigned int)`.
const TUNSETIFF: libc::Ioctl = 0x4004_54ca;
const TUNSETOFFLOAD: libc::Ioctl = 0x4004_54d0;
/// `_IO('T', 227)`.
const TUNGETDEVNETNS: libc::Ioctl = 0x54e3;

const IFF_TUN: u16 = 0x0001;
const IFF_NO_PI: u16 = 0x1000;
const IFF_VNET_HDR: u16 = 0x4000;

const TUN_F_CSUM: c_uint = 0x01;
const TUN_F_TSO4: c_uint = 0x02;
const TUN_F_TSO6: c_uint = 0x04;

/// `struct ifreq`: a name, and what is asked about it.
#[repr(C)]
struct Request {
    name: [u8; libc::IFNAMSIZ],
    flags: u16,
    rest: [u8; 22],
}

/// Makes a device in the network namespace of the calling thread, which is there for as long as it is open. Before each packet stand
/// ten bytes that say what is left to the other side (`struct virtio_net_hdr`): sums, and cutting what is longer than a segment.
///
/// # Errors
/// ENOENT, ENODEV or EACCES where there is no `/dev/net/tun` for us; EPERM without CAP_NET_ADMIN over the namespace; EBUSY if there
/// is an interface of this name.
pub fn open(name: &CStr) -> Result<OwnedFd> {
    let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let device = openat(CWD, c"/dev/net/tun", flags, Mode::empty())?;
    let mut request =
        Request { name: [0; libc::IFNAMSIZ], flags: IFF_TUN | IFF_NO_PI | IFF_VNET_HDR, rest: [0; 22] };
    let name = name.to_bytes_with_nul();
    request.name.get_mut(..name.len()).ok_or(Errno::NAMETOOLONG)?.copy_from_slice(name);
    // SAFETY: the kernel reads and writes a `struct ifreq`, which is no larger than this, at its address.
    let done = unsafe { libc::ioctl(device.as_raw_fd(), TUNSETIFF, &raw mut request) };
    checked(done)?;
    let offload = c_ulong::from(TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6);
    // SAFETY: the argument is a number.
    let done = unsafe { libc::ioctl(device.as_raw_fd(), TUNSETOFFLOAD, offload) };
    checked(done)?;
    Ok(device)
}

/// The network namespace that a device is in.
///
/// # Errors
/// EPERM without CAP_NET_ADMIN over it.
pub fn namespace_of(device: BorrowedFd<'_>) -> Result<OwnedFd> {
    // SAFETY: it takes no argument.
    let descriptor = unsafe { libc::ioctl(device.as_raw_fd(), TUNGETDEVNETNS) };
    checked(descriptor)?;
    // SAFETY: the kernel has just made this descriptor, and nobody else knows of it.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

fn checked(result: c_int) -> Result<()> {
    if result >= 0 { Ok(()) } else { Err(last_errno()) }
}
