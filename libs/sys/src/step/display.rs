//! Steps as text: a phrase for error messages, all of it for golden tests.

use core::ffi::CStr;
use core::fmt::{self, Display, Formatter, Write};

use super::{Planned, Slot, Step, Strings, Words};

impl Display for Planned<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.best_effort && f.alternate() {
            f.write_str("try to ")?;
        }
        self.step.fmt(f)
    }
}

impl Display for Step<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.phrase(f)?;
        if f.alternate() { self.details(f) } else { Ok(()) }
    }
}

impl Step<'_> {
    /// What fits after "cannot".
    fn phrase(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Guard {} => f.write_str("hide from other processes"),
            Self::Join { kind, .. } => write!(f, "join the {}", Namespaces(kind.into())),
            Self::Bear { .. } => f.write_str("start the container's first process"),
            Self::Enter { .. } => f.write_str("enter the container"),
            Self::Descend { .. } => f.write_str("start a process in the container"),
            Self::Await { .. } => f.write_str("find the command"),
            Self::Root {} => f.write_str("become root of the user namespace"),
            Self::Unshare { namespaces } => write!(f, "make a new {}", Namespaces(namespaces.into())),
            Self::Isolate {} => f.write_str("keep mounts from travelling to the host"),
            Self::Hostname { name } => write!(f, "set the host name {}", Text(name)),
            Self::Domainname { name } => write!(f, "set the domain name {}", Text(name)),
            Self::Loopback {} => f.write_str("bring the loopback interface up"),
            Self::Fresh { kind, on, .. } => write!(f, "mount {} on {}", Text(kind), Text(on)),
            Self::Copy { path, .. } => write!(f, "clone the mount {}", Text(path)),
            Self::Cover { .. } => f.write_str("cover the root directory"),
            Self::Folder { name, .. } => write!(f, "make the directory {}", Text(name)),
            Self::Link { name, .. } => write!(f, "make the link {}", Text(name)),
            Self::Place { name, .. } => write!(f, "mount {}", Text(name)),
            Self::Attach { path, .. } => write!(f, "mount on {}", Text(path)),
            Self::Attributes { on, .. } => write!(f, "set the mount options of {}", Text(on)),
            Self::Hide { path, .. } => write!(f, "mask {}", Text(path)),
            Self::Freeze { path, .. } => write!(f, "make {} read-only", Text(path)),
            Self::Write { path, value, .. } => write!(f, "write `{}` to /proc/{}", Text(value), Text(path)),
            Self::Pivot { .. } => f.write_str("enter the root file system"),
            Self::Depart { .. } => f.write_str("leave the host's file system"),
            Self::Fill { path, .. } => write!(f, "copy {} into the tmpfs over it", Text(path)),
            Self::Folders { path, .. } => write!(f, "make the directory {}", Text(path)),
            Self::Locate { path, .. } => write!(f, "open {}", Text(path)),
            Self::Terminal { .. } => f.write_str("open a terminal"),
            Self::Console { name, .. } => write!(f, "mount the terminal on /dev/{}", Text(name)),
            Self::Session {} => f.write_str("start a session"),
            Self::Control { .. } => f.write_str("make the terminal the session's"),
            Self::Keyring {} => f.write_str("take a session keyring"),
            Self::NoKeyring {} => f.write_str("forbid keyrings"),
            Self::Limit { resource, .. } => write!(f, "set the limit {}", limit_name(resource)),
            Self::Signals {} => f.write_str("reset the signals"),
            Self::Umask { .. } => f.write_str("set the umask"),
            Self::Bound { .. } => f.write_str("drop capabilities from the bounding set"),
            Self::Groups { .. } => f.write_str("set the supplementary groups"),
            Self::User { uid, gid } => write!(f, "become user {uid}:{gid}"),
            Self::Workdir { path, .. } => write!(f, "change to the directory {}", Text(path)),
            Self::Ambient { .. } => f.write_str("set the ambient capabilities"),
            Self::NoNewPrivileges {} => f.write_str("forbid new privileges"),
            Self::DieWithParent { .. } => f.write_str("bind the container's life to its supervisor's"),
            Self::Close { .. } => f.write_str("close descriptors"),
            Self::Capabilities { .. } => f.write_str("set the capabilities"),
            Self::Seccomp { .. } => f.write_str("load the seccomp program"),
            Self::Supervise { .. } => f.write_str("start the command under an init"),
            Self::Exec { arguments, .. } => match arguments.iter().next() {
                Some(name) => write!(f, "run `{}`", Text(name)),
                None => f.write_str("run nothing"),
            },
        }
    }

    /// What the phrase leaves out.
    fn details(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Join { namespace, .. } => write!(f, ": {namespace}"),
            Self::Bear { namespaces } => write!(f, ": with a new {}", Namespaces(namespaces)),
            Self::Enter { process, namespaces, root } => {
                write!(f, ": the {} of {process} -> {root}", Namespaces(namespaces.into()))
            }
            Self::Descend { stays: false, .. } => f.write_str(": as a sibling"),
            Self::Descend { drains, leash, .. } => match (drains, leash) {
                (Slot::NONE, Slot::NONE) => f.write_str(": as a child"),
                (Slot::NONE, leash) => write!(f, ": as a child, on {leash}"),
                (drains, _) => write!(f, ": as a child, reading {drains}"),
            },
            Self::Fresh { options, attributes, fallback, to, .. } => {
                write!(f, ": {}, {}", Pairs(options), Attributes(attributes))?;
                if !fallback.is_empty() {
                    write!(f, ", or a copy of {}", Text(fallback))?;
                }
                write!(f, " -> {to}")
            }
            Self::Copy { recursive, device, attributes, to, .. } => {
                f.write_str(if recursive { ": with mounts below" } else { ": alone" })?;
                if device != 0 {
                    write!(f, ", device {}:{}", rustix::fs::major(device), rustix::fs::minor(device))?;
                }
                write!(f, ", {} -> {to}", Attributes(attributes))
            }
            Self::Cover { mount } => write!(f, ": {mount}"),
            Self::Folder { inside, mode, .. } => write!(f, ": in {inside}, mode {mode:o}"),
            Self::Link { inside, target, .. } => write!(f, ": in {inside}, to {}", Text(target)),
            Self::Place { mount, inside, make, .. } => write!(f, ": {mount} in {inside}{}", Make(make)),
            Self::Attach { mount, root, make, plain, .. } => {
                let links = if plain { ", no links" } else { "" };
                write!(f, ": {mount} in {root}{}{links}", Make(make))
            }
            Self::Attributes { mount, set, clear, propagation, recursive, .. } => {
                write!(f, ": {mount}, set {}, clear {}", Attributes(set), Attributes(clear))?;
                let below = if recursive { ", and below" } else { "" };
                write!(f, ", {}{below}", Propagation(propagation))
            }
            Self::Hide { base, null, empty, .. } => write!(f, ": in {base}, by {null} or {empty}"),
            Self::Freeze { base, .. } | Self::Write { base, .. } => write!(f, ": in {base}"),
            Self::Pivot { root }
            | Self::Depart { root }
            | Self::Folders { root, .. }
            | Self::Workdir { root, .. } => {
                write!(f, ": {root}")
            }
            Self::Locate { root, to, .. } => write!(f, ": in {root}, no links -> {to}"),
            Self::Fill { mount, adopt, root, .. } => {
                write!(f, ": {mount} from {root}{}", if adopt { ", with its mode" } else { "" })
            }
            Self::Terminal { devpts, uid, rows, columns, keep, to } => {
                write!(f, ": in {devpts}, of user {uid}, {rows}x{columns} -> {to}")?;
                if keep == Slot::NONE { Ok(()) } else { write!(f, ", kept in {keep}") }
            }
            Self::Console { terminal, inside, .. } => write!(f, ": {terminal} in {inside}"),
            Self::Control { terminal } => write!(f, ": {terminal}"),
            Self::Limit { soft, hard, .. } => write!(f, ": {soft} {hard}"),
            Self::Umask { mask } => write!(f, ": {mask:04o}"),
            Self::Bound { keep } => write!(f, ": keep {keep:#x}"),
            Self::Groups { ids } => write!(f, ":{}", Numbers(ids)),
            Self::Ambient { inheritable, ambient } => {
                write!(f, ": {ambient:#x}, inheritable {inheritable:#x}")
            }
            Self::DieWithParent { signal } => write!(f, ": signal {signal}"),
            Self::Close { keep } => write!(f, ": but{} and the standard ones", Numbers(keep)),
            Self::Capabilities { effective, permitted, inheritable } => {
                write!(
                    f,
                    ": effective {effective:#x}, permitted {permitted:#x}, inheritable {inheritable:#x}"
                )
            }
            Self::Seccomp { program, flags } => {
                write!(f, ": {} instructions, flags {flags:#x}", program.len() / 8)
            }
            Self::Supervise { terminal: true } => f.write_str(": with the terminal"),
            Self::Exec { files, arguments, environment } => {
                write!(
                    f,
                    ": files{}, arguments{}, environment{}",
                    List(files),
                    List(arguments),
                    List(environment)
                )
            }
            _ => Ok(()),
        }
    }
}

impl Display for Slot {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

/// A string of unknown origin, its control characters escaped.
struct Text<'a>(&'a CStr);

impl Display for Text<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for chunk in self.0.to_bytes().utf8_chunks() {
            for character in chunk.valid().chars() {
                if character.is_control() {
                    write!(f, "{}", character.escape_default())?;
                } else {
                    f.write_char(character)?;
                }
            }
            write!(f, "{}", chunk.invalid().escape_ascii())?;
        }
        Ok(())
    }
}

/// Strings, each in quotes.
struct List<'a>(Strings<'a>);

impl Display for List<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|string| write!(f, " `{}`", Text(string)))
    }
}

/// Names and values in turn.
struct Pairs<'a>(Strings<'a>);

impl Display for Pairs<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut strings = self.0.iter();
        let mut separator = "";
        while let (Some(name), Some(value)) = (strings.next(), strings.next()) {
            write!(f, "{separator}{}", Text(name))?;
            if !value.is_empty() {
                write!(f, "={}", Text(value))?;
            }
            separator = ",";
        }
        if separator.is_empty() { f.write_str("no options") } else { Ok(()) }
    }
}

/// Numbers, each after a space.
struct Numbers<'a>(Words<'a>);

impl Display for Numbers<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut any = false;
        for number in self.0.iter() {
            write!(f, " {number}")?;
            any = true;
        }
        if any { Ok(()) } else { f.write_str(" none") }
    }
}

/// What is made where a mount goes.
struct Make(u8);

impl Display for Make {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            0 => "",
            1 => ", directory if missing",
            2 => ", file if missing",
            _ => ", its like if missing",
        })
    }
}

/// Flags by their names.
struct Flags<'a> {
    bits: u64,
    names: &'a [(u64, &'a str)],
    none: &'a str,
    separator: &'a str,
}

impl Display for Flags<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut first = true;
        for (bit, name) in self.names {
            if self.bits & bit == *bit {
                write!(f, "{}{name}", if first { "" } else { self.separator })?;
                first = false;
            }
        }
        if first { f.write_str(self.none) } else { Ok(()) }
    }
}

/// Namespaces by name.
struct Namespaces(u64);

impl Display for Namespaces {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let names = &[
            (libc::CLONE_NEWUSER as u64, "user"),
            (libc::CLONE_NEWPID as u64, "pid"),
            (libc::CLONE_NEWNS as u64, "mount"),
            (libc::CLONE_NEWNET as u64, "network"),
            (libc::CLONE_NEWIPC as u64, "ipc"),
            (libc::CLONE_NEWUTS as u64, "uts"),
            (libc::CLONE_NEWCGROUP as u64, "cgroup"),
        ];
        Flags { bits: self.0, names, none: "no", separator: ", " }.fmt(f)?;
        f.write_str(if self.0.count_ones() == 1 { " namespace" } else { " namespaces" })
    }
}

/// Attributes of mounts by the names that mount(8) gives them.
struct Attributes(u64);

impl Display for Attributes {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let names = &[
            (libc::MOUNT_ATTR_RDONLY, "ro"),
            (libc::MOUNT_ATTR_NOSUID, "nosuid"),
            (libc::MOUNT_ATTR_NODEV, "nodev"),
            (libc::MOUNT_ATTR_NOEXEC, "noexec"),
            (libc::MOUNT_ATTR__ATIME, "atime"),
            (libc::MOUNT_ATTR_NOATIME, "noatime"),
            (libc::MOUNT_ATTR_STRICTATIME, "strictatime"),
            (libc::MOUNT_ATTR_NODIRATIME, "nodiratime"),
            (libc::MOUNT_ATTR_NOSYMFOLLOW, "nosymfollow"),
        ];
        Flags { bits: self.0, names, none: "nothing", separator: "," }.fmt(f)
    }
}

/// The way mounts travel.
struct Propagation(u64);

impl Display for Propagation {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let names = &[
            (libc::MS_SHARED, "shared"),
            (libc::MS_SLAVE, "slave"),
            (libc::MS_PRIVATE, "private"),
            (libc::MS_UNBINDABLE, "unbindable"),
        ];
        Flags { bits: self.0, names, none: "propagation kept", separator: "," }.fmt(f)
    }
}

/// The name of a resource limit.
fn limit_name(resource: u32) -> &'static str {
    const NAMES: [&str; 16] = [
        "cpu",
        "fsize",
        "data",
        "stack",
        "core",
        "rss",
        "nproc",
        "nofile",
        "memlock",
        "as",
        "locks",
        "sigpending",
        "msgqueue",
        "nice",
        "rtprio",
        "rttime",
    ];
    usize::try_from(resource).ok().and_then(|at| NAMES.get(at)).copied().unwrap_or("of an unknown resource")
}
