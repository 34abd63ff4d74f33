//! Which extended attributes of an archive are believed.

use std::os::fd::BorrowedFd;

use rustix::fs::XattrFlags;
use rustix::io::Errno;

/// What to do with an attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trust {
    /// Set it.
    Set,
    /// Set it when nothing is created in the directory any more: entries would inherit it.
    Last,
    /// Leave it out.
    Drop,
}

/// Decides by the name.
///
/// `user.overlay.*` is overlayfs's own language here: a forged redirect, metacopy or whiteout would make a file
/// show what the layer does not have. `user.containers.*` is the same for fuse-overlayfs.
pub(crate) fn trust(name: &[u8]) -> Trust {
    match name {
        b"security.capability" | b"system.posix_acl_access" => Trust::Set,
        b"system.posix_acl_default" => Trust::Last,
        _ if name.starts_with(b"user.overlay.") || name.starts_with(b"user.containers.") => Trust::Drop,
        _ if name.starts_with(b"user.") => Trust::Set,
        _ => Trust::Drop,
    }
}

/// Sets an attribute; false means that the file system or the kernel does not take it.
pub(crate) fn set(file: BorrowedFd<'_>, name: &[u8], value: &[u8]) -> rustix::io::Result<bool> {
    let value = if name == b"security.capability" { capability(value) } else { value.to_vec() };
    match rustix::fs::fsetxattr(file, name, &value, XattrFlags::empty()) {
        Ok(()) => Ok(true),
        // EINVAL: an ACL or a capability set that is none, or that names ids outside the map.
        Err(Errno::OPNOTSUPP | Errno::PERM | Errno::INVAL | Errno::TOOBIG | Errno::RANGE) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// A capability set of version 3 names the root it counts for by an id of the machine it was packed on. Here it
/// is for the root of the namespace that unpacks, which is what the kernel makes of version 2.
fn capability(value: &[u8]) -> Vec<u8> {
    const REVISION: u8 = 3;
    match value {
        [effective, 0, 0, REVISION, sets @ ..] if sets.len() == 20 => {
            let mut plain = vec![*effective, 0, 0, 2];
            plain.extend_from_slice(sets.get(..16).unwrap_or_default());
            plain
        }
        _ => value.to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Trust, capability, trust};

    #[test]
    fn only_harmless_attributes_are_set() {
        for (name, want) in [
            ("user.mime", Trust::Set),
            ("security.capability", Trust::Set),
            ("system.posix_acl_access", Trust::Set),
            ("system.posix_acl_default", Trust::Last),
            ("user.overlay.redirect", Trust::Drop),
            ("user.overlay.metacopy", Trust::Drop),
            ("user.overlay.opaque", Trust::Drop),
            ("user.overlay.whiteout", Trust::Drop),
            ("user.overlay.overlay.opaque", Trust::Drop),
            ("user.containers.override_stat", Trust::Drop),
            ("trusted.overlay.redirect", Trust::Drop),
            ("trusted.anything", Trust::Drop),
            ("security.selinux", Trust::Drop),
            ("security.ima", Trust::Drop),
            ("system.other", Trust::Drop),
            ("nonsense", Trust::Drop),
        ] {
            assert_eq!(trust(name.as_bytes()), want, "{name}");
        }
    }

    #[test]
    fn capabilities_lose_the_root_of_another_machine() {
        let mut third = vec![1, 0, 0, 3];
        third.extend([7; 16]);
        third.extend(100_000_u32.to_le_bytes());
        let mut second = vec![1, 0, 0, 2];
        second.extend([7; 16]);
        assert_eq!(capability(&third), second);
        assert_eq!(capability(&second), second);
        assert_eq!(capability(b"junk"), b"junk");
    }
}
