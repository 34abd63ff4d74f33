//! Names of errnos, and what misleading ones really mean.
//!
//! The kernel has about a hundred errnos for ten thousand reasons. [`name`] gives the symbol that people search
//! for; [`meaning`] is the one table that says what an errno of a given operation means here, where its usual
//! text would mislead.

use rustix::io::Errno;

macro_rules! names {
    ($($konst:ident => $text:literal,)*) => {
        /// Every errno that has a name of its own, with that name.
        const NAMES: &[(Errno, &str)] = &[$((Errno::$konst, $text),)*];
    };
}

names! {
    PERM => "EPERM", NOENT => "ENOENT", SRCH => "ESRCH", INTR => "EINTR", IO => "EIO", NXIO => "ENXIO",
    TOOBIG => "E2BIG", NOEXEC => "ENOEXEC", BADF => "EBADF", CHILD => "ECHILD", AGAIN => "EAGAIN",
    NOMEM => "ENOMEM", ACCESS => "EACCES", FAULT => "EFAULT", NOTBLK => "ENOTBLK", BUSY => "EBUSY",
    EXIST => "EEXIST", XDEV => "EXDEV", NODEV => "ENODEV", NOTDIR => "ENOTDIR", ISDIR => "EISDIR",
    INVAL => "EINVAL", NFILE => "ENFILE", MFILE => "EMFILE", NOTTY => "ENOTTY", TXTBSY => "ETXTBSY",
    FBIG => "EFBIG", NOSPC => "ENOSPC", SPIPE => "ESPIPE", ROFS => "EROFS", MLINK => "EMLINK", PIPE => "EPIPE",
    DOM => "EDOM", RANGE => "ERANGE", DEADLK => "EDEADLK", NAMETOOLONG => "ENAMETOOLONG", NOLCK => "ENOLCK",
    NOSYS => "ENOSYS", NOTEMPTY => "ENOTEMPTY", LOOP => "ELOOP", NODATA => "ENODATA", OVERFLOW => "EOVERFLOW",
    BADMSG => "EBADMSG", ILSEQ => "EILSEQ", USERS => "EUSERS", NOTSOCK => "ENOTSOCK",
    DESTADDRREQ => "EDESTADDRREQ", MSGSIZE => "EMSGSIZE", PROTO => "EPROTO", PROTOTYPE => "EPROTOTYPE",
    NOPROTOOPT => "ENOPROTOOPT", PROTONOSUPPORT => "EPROTONOSUPPORT", OPNOTSUPP => "EOPNOTSUPP",
    AFNOSUPPORT => "EAFNOSUPPORT", ADDRINUSE => "EADDRINUSE", ADDRNOTAVAIL => "EADDRNOTAVAIL",
    NETDOWN => "ENETDOWN", NETUNREACH => "ENETUNREACH", CONNABORTED => "ECONNABORTED",
    CONNRESET => "ECONNRESET", NOBUFS => "ENOBUFS", ISCONN => "EISCONN", NOTCONN => "ENOTCONN",
    TIMEDOUT => "ETIMEDOUT", CONNREFUSED => "ECONNREFUSED", HOSTDOWN => "EHOSTDOWN",
    HOSTUNREACH => "EHOSTUNREACH", ALREADY => "EALREADY", INPROGRESS => "EINPROGRESS", STALE => "ESTALE",
    DQUOT => "EDQUOT", NOKEY => "ENOKEY", KEYEXPIRED => "EKEYEXPIRED", KEYREVOKED => "EKEYREVOKED",
    KEYREJECTED => "EKEYREJECTED", NOMEDIUM => "ENOMEDIUM", CANCELED => "ECANCELED",
    ADV => "EADV", BADE => "EBADE", BADFD => "EBADFD", BADR => "EBADR", BADRQC => "EBADRQC",
    BADSLT => "EBADSLT", BFONT => "EBFONT", CHRNG => "ECHRNG", COMM => "ECOMM", DOTDOT => "EDOTDOT",
    HWPOISON => "EHWPOISON", IDRM => "EIDRM", ISNAM => "EISNAM", L2HLT => "EL2HLT", L2NSYNC => "EL2NSYNC",
    L3HLT => "EL3HLT", L3RST => "EL3RST", LIBACC => "ELIBACC", LIBBAD => "ELIBBAD", LIBEXEC => "ELIBEXEC",
    LIBMAX => "ELIBMAX", LIBSCN => "ELIBSCN", LNRNG => "ELNRNG", MEDIUMTYPE => "EMEDIUMTYPE",
    MULTIHOP => "EMULTIHOP", NAVAIL => "ENAVAIL", NETRESET => "ENETRESET", NOANO => "ENOANO",
    NOCSI => "ENOCSI", NOLINK => "ENOLINK", NOMSG => "ENOMSG", NONET => "ENONET", NOPKG => "ENOPKG",
    NOSR => "ENOSR", NOSTR => "ENOSTR", NOTNAM => "ENOTNAM", NOTRECOVERABLE => "ENOTRECOVERABLE",
    NOTUNIQ => "ENOTUNIQ", OWNERDEAD => "EOWNERDEAD", PFNOSUPPORT => "EPFNOSUPPORT", REMCHG => "EREMCHG",
    REMOTE => "EREMOTE", REMOTEIO => "EREMOTEIO", RESTART => "ERESTART", RFKILL => "ERFKILL",
    SHUTDOWN => "ESHUTDOWN", SOCKTNOSUPPORT => "ESOCKTNOSUPPORT", SRMNT => "ESRMNT", STRPIPE => "ESTRPIPE",
    TIME => "ETIME", TOOMANYREFS => "ETOOMANYREFS", UCLEAN => "EUCLEAN", UNATCH => "EUNATCH",
    XFULL => "EXFULL",
}

/// Returns the symbol of an errno (`EPERM`), or nothing for a number without a name.
#[must_use]
pub fn name(errno: i32) -> Option<&'static str> {
    NAMES.iter().find(|(known, _)| known.raw_os_error() == errno).map(|(_, text)| *text)
}

/// Returns the number of a symbol, that of a second name of an errno too.
#[must_use]
pub fn number(name: &str) -> Option<i32> {
    let name = match name {
        "EWOULDBLOCK" => "EAGAIN",
        "EDEADLOCK" => "EDEADLK",
        "ENOTSUP" => "EOPNOTSUPP",
        name => name,
    };
    NAMES.iter().find(|(_, text)| *text == name).map(|(known, _)| known.raw_os_error())
}

/// Returns the symbol in the error, where it came from the kernel.
#[must_use]
pub fn name_of(error: &std::io::Error) -> Option<&'static str> {
    error.raw_os_error().and_then(name)
}

/// What was asked of the kernel when an errno came back: the key of [`meaning`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// clone or unshare of a user namespace.
    UserNamespace,
    /// clone or unshare of another namespace.
    Namespace,
    /// A write to uid_map or gid_map.
    IdMap,
    /// A mount of any kind but overlay.
    Mount,
    /// A mount of an overlay.
    Overlay,
    /// Making a process.
    Clone,
    /// Joining a session keyring.
    Keyring,
    /// Writing a file.
    Write,
    /// execve of the command.
    Exec,
}

/// Says what an errno means for an operation, where its usual text misleads.
#[must_use]
pub fn meaning(operation: Operation, errno: i32) -> Option<&'static str> {
    use Operation as Op;
    let errno = Errno::from_raw_os_error(errno);
    Some(match (operation, errno) {
        (Op::UserNamespace, Errno::NOSPC | Errno::USERS) => {
            "the limit of user namespaces is reached (user.max_user_namespaces)"
        }
        (Op::UserNamespace, Errno::PERM | Errno::ACCESS) => {
            "this system does not let unprivileged users make user namespaces"
        }
        (Op::UserNamespace, Errno::INVAL) => "the kernel was built without user namespaces",
        (Op::Namespace, Errno::NOSPC | Errno::USERS) => {
            "a limit of namespaces is reached (user.max_*_namespaces)"
        }
        (Op::IdMap, Errno::INVAL) => "the map overlaps itself or names ids that the outer namespace lacks",
        (Op::IdMap, Errno::PERM) => "the map names ids that are not ours, or a map was written before",
        (Op::Mount, Errno::NOSPC) => "the limit of mounts is reached (fs.mount-max)",
        (Op::Overlay, Errno::LOOP) => "a layer directory lies within another one, or is an overlay too deep",
        (Op::Overlay, Errno::BUSY) => "the upper directory is in use by another mount",
        (Op::Overlay, Errno::INVAL) => "this file system cannot be a layer of an overlay here",
        (Op::Clone, Errno::AGAIN) => {
            "the limit of processes is reached (ulimit -u, or pids.max of the cgroup)"
        }
        (Op::Keyring, Errno::DQUOT) => "the user's quota of keys is used up (kernel.keys.maxkeys)",
        (Op::Write, Errno::NOSPC) => "no space is left on the device",
        (Op::Write, Errno::DQUOT) => "the user's disk quota is used up",
        (Op::Exec, Errno::NOENT) => "the file, or the interpreter or loader that it names, does not exist",
        (Op::Exec, Errno::NOEXEC) => "the file is no program for this machine",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_kernel() {
        assert_eq!(name(1), Some("EPERM"));
        assert_eq!(name(28), Some("ENOSPC"));
        assert_eq!(name(0), None);
        assert_eq!((1..=133).filter(|&errno| name(errno).is_none()).collect::<Vec<_>>(), [41, 58]);
        assert_eq!(number("EHWPOISON"), Some(133));
        assert_eq!(number("EWOULDBLOCK"), number("EAGAIN"));
        assert_eq!(number("ENOSUCH"), None);
        assert_eq!(name(4095), None);
        assert_eq!(name_of(&std::io::Error::from_raw_os_error(13)), Some("EACCES"));
        assert_eq!(name_of(&std::io::Error::other("x")), None);
    }

    #[test]
    fn meanings_depend_on_the_operation() {
        assert!(
            meaning(Operation::UserNamespace, 28).is_some_and(|text| text.contains("max_user_namespaces"))
        );
        assert!(meaning(Operation::Write, 28).is_some_and(|text| text.contains("space")));
        assert_eq!(meaning(Operation::Write, 2), None);
    }
}
