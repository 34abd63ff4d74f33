//! Why the kernel does not let us have a user namespace: its errno says little, its settings say more.

use std::fmt;
use std::fs;
use std::path::Path;

use rustix::io::Errno;

/// What forbids user namespaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// `user.max_user_namespaces` is 0.
    MaxUserNamespaces,
    /// Debian's old `kernel.unprivileged_userns_clone` is 0.
    UnprivilegedClone,
    /// AppArmor's `kernel.apparmor_restrict_unprivileged_userns` is 1, and no profile lets this program.
    AppArmor,
    /// A seccomp filter is in force, as in a CI container.
    Seccomp,
    /// We are in a chroot.
    Chroot,
    /// A limit is reached.
    Limit,
    /// 32 namespaces deep.
    Depth,
    /// The kernel has none.
    Kernel,
    /// The process has threads, which is our own mistake.
    Threads,
    /// None of these; SELinux or another security module.
    Unknown,
}

impl Refusal {
    /// Finds out what is behind the error of unshare.
    #[must_use]
    pub fn of(errno: Errno) -> Self {
        let sysctl = |name: &str| {
            fs::read_to_string(Path::new("/proc/sys").join(name))
                .ok()
                .and_then(|text| text.trim().parse::<u64>().ok())
        };
        let seccomp = || fs::read_to_string("/proc/self/status").is_ok_and(|status| is_filtered(&status));
        match errno {
            _ if !Path::new("/proc/self/ns/user").exists() => Self::Kernel,
            _ if sysctl("user/max_user_namespaces") == Some(0) => Self::MaxUserNamespaces,
            Errno::NOSPC => Self::Limit,
            Errno::USERS => Self::Depth,
            Errno::INVAL => Self::Threads,
            _ if sysctl("kernel/unprivileged_userns_clone") == Some(0) => Self::UnprivilegedClone,
            _ if sysctl("kernel/apparmor_restrict_unprivileged_userns") == Some(1) => Self::AppArmor,
            _ if seccomp() => Self::Seccomp,
            Errno::PERM if is_chrooted() => Self::Chroot,
            _ => Self::Unknown,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::MaxUserNamespaces => "user.max_user_namespaces is 0",
            Self::UnprivilegedClone => "kernel.unprivileged_userns_clone is 0",
            Self::AppArmor => {
                "kernel.apparmor_restrict_unprivileged_userns is 1 and no AppArmor profile allows it"
            }
            Self::Seccomp => "a seccomp filter of the container we run in forbids it",
            Self::Chroot => "not possible in a chroot",
            Self::Limit => "user.max_user_namespaces is reached",
            Self::Depth => "user namespaces are nested too deeply",
            Self::Kernel => "the kernel has no user namespaces",
            Self::Threads => "the process has threads",
            Self::Unknown => "not permitted",
        })
    }
}

/// `/proc/PID/status` tells of a seccomp filter.
fn is_filtered(status: &str) -> bool {
    status.lines().any(|line| line.strip_prefix("Seccomp:").is_some_and(|mode| mode.trim() == "2"))
}

/// Our root is not that of the mount namespace: it is no mount point.
fn is_chrooted() -> bool {
    fs::read_to_string("/proc/self/mountinfo")
        .is_ok_and(|table| !table.lines().any(|line| line.split(' ').nth(4) == Some("/")))
}

#[cfg(test)]
mod tests {
    use super::is_filtered;

    #[test]
    fn a_filter_shows_in_the_status() {
        assert!(is_filtered("NoNewPrivs:\t0\nSeccomp:\t2\nSeccomp_filters:\t1\n"));
        assert!(!is_filtered("Seccomp:\t0\nSeccomp_filters:\t0\n"));
    }
}
