//! Who a client is.

#![expect(unsafe_code, reason = "getsockopt and ioctl without a C library")]

use rustix::fd::{AsRawFd, BorrowedFd};
use rustix::fs::CWD;
use rustix::io::{Errno, Result};

use super::FileId;
use crate::decimal::{DIGITS, digits};
use crate::raw;

/// `_IO(NSIO, 0x3)`: the kind of a namespace.
const NS_GET_NSTYPE: usize = 0xb703;

/// The user id, in our namespace, of who connected a socket. (rustix has a type for this that cannot hold the pid of a
/// process which we do not see.)
///
/// # Errors
/// If it is no connected Unix socket.
pub fn user_of_peer(socket: BorrowedFd<'_>) -> Result<u32> {
    let mut cred = [0_u32; 3];
    let mut length = size_of_val(&cred);
    let args = [
        raw::int(socket.as_raw_fd()),
        raw::int(libc::SOL_SOCKET),
        raw::int(libc::SO_PEERCRED),
        cred.as_mut_ptr() as usize,
        (&raw mut length) as usize,
        0,
    ];
    // SAFETY: the kernel writes at most three words to a live array, and their length to a live variable that is at
    // least as wide as the one it writes.
    unsafe { raw::call(libc::SYS_getsockopt, args) }?;
    if length == size_of_val(&cred) { Ok(cred[1]) } else { Err(Errno::INVAL) }
}

/// Which user namespace a descriptor stands for; nothing if it stands for anything else.
///
/// What a stranger sent may be a file whose file system never answers. So its name is looked at first, which asks nobody:
/// only namespaces are called `user:[…]`, files begin with a slash.
#[must_use]
pub fn user_namespace(fd: BorrowedFd<'_>) -> Option<FileId> {
    const FOLDER: &[u8] = b"/proc/self/fd/";
    let mut path = [0; FOLDER.len() + DIGITS + 1];
    let mut buffer = [0; DIGITS];
    let number = digits(u64::from(fd.as_raw_fd().unsigned_abs()), &mut buffer);
    path.get_mut(..FOLDER.len())?.copy_from_slice(FOLDER);
    path.get_mut(FOLDER.len()..FOLDER.len() + number.len())?.copy_from_slice(number);
    let path = core::ffi::CStr::from_bytes_until_nul(&path).ok()?;
    let mut name = [0_u8; 32];
    let length = rustix::fs::readlinkat_raw(CWD, path, &mut name[..]).ok()?;
    if !name.get(..length)?.starts_with(b"user:[") || !is_of_users(fd) {
        return None;
    }
    let stat = rustix::fs::fstat(fd).ok()?;
    Some(FileId { dev: stat.st_dev, ino: stat.st_ino })
}

fn is_of_users(namespace: BorrowedFd<'_>) -> bool {
    let args = [raw::int(namespace.as_raw_fd()), NS_GET_NSTYPE, 0, 0, 0, 0];
    // SAFETY: the request takes no argument.
    let kind = unsafe { raw::call(libc::SYS_ioctl, args) };
    kind == Ok(raw::int(libc::CLONE_NEWUSER))
}

#[cfg(test)]
mod tests {
    extern crate std;

    use rustix::fd::AsFd;
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

    use super::*;
    use crate::clone::namespace;

    #[test]
    fn only_a_user_namespace_is_one() {
        let own = namespace(c"/proc/self/ns/user").unwrap();
        let stat = rustix::fs::fstat(&own).unwrap();
        assert_eq!(user_namespace(own.as_fd()), Some(FileId { dev: stat.st_dev, ino: stat.st_ino }));
        for other in [c"/proc/self/ns/pid", c"/proc/self/ns/mnt", c"/dev/null", c"/", c"/proc/self/stat"] {
            assert_eq!(user_namespace(namespace(other).unwrap().as_fd()), None, "{other:?}");
        }
    }

    #[test]
    fn a_file_that_is_called_like_one_is_none() {
        let folder = std::env::temp_dir().join(std::format!("ctr-proof-{}", std::process::id()));
        std::fs::create_dir(&folder).unwrap();
        let path = std::format!("{}/user:[4026531837]", folder.display());
        let flags = rustix::fs::OFlags::CREATE | rustix::fs::OFlags::WRONLY;
        let file = rustix::fs::openat(CWD, path.as_str(), flags, rustix::fs::Mode::RUSR).unwrap();
        let found = user_namespace(file.as_fd());
        std::fs::remove_dir_all(&folder).unwrap();
        assert_eq!(found, None);
    }

    #[test]
    fn the_peer_of_a_pair_is_ourselves() {
        let (one, _other) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap();
        assert_eq!(user_of_peer(one.as_fd()), Ok(rustix::process::getuid().as_raw()));
        assert!(user_of_peer(namespace(c"/dev/null").unwrap().as_fd()).is_err());
    }
}
