//! `--sysctl`: only what belongs to a namespace of the container.
//!
//! The list is closed: a name that is not on it, or that could leave its directory, is refused before anything is
//! written (cri-o's CVE-2022-0811).

use crate::namespaces::{Mode, Namespaces};

/// A kernel parameter cannot be set.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SysctlError {
    /// Not `name=value`.
    #[error("{0} is invalid, sysctl values must be in the form of KEY=VALUE")]
    Format(String),
    /// It belongs to the whole machine.
    #[error("sysctl '{0}' is not allowed")]
    NotAllowed(String),
    /// Its namespace is the host's.
    #[error("sysctl {name} can't be set since {namespace} Namespace set to host")]
    HostNamespace {
        /// The parameter.
        name: String,
        /// The namespace it belongs to.
        namespace: &'static str,
    },
}

/// A parameter and its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sysctl {
    /// With dots.
    pub name: String,
    /// What is written.
    pub value: String,
}

const IPC: [&str; 8] = [
    "kernel.msgmax",
    "kernel.msgmnb",
    "kernel.msgmni",
    "kernel.sem",
    "kernel.shmall",
    "kernel.shmmax",
    "kernel.shmmni",
    "kernel.shm_rmid_forced",
];

/// Parses one value of the flag and checks it against the namespaces of the container.
///
/// # Errors
/// Refuses what is malformed, not on the list, or of the host.
pub fn parse(text: &str, namespaces: &Namespaces) -> Result<Sysctl, SysctlError> {
    let (name, value) = text.split_once('=').ok_or_else(|| SysctlError::Format(text.to_owned()))?;
    // Both spellings are the kernel's; only one of them is compared.
    let name = name.trim().replace('/', ".");
    let value = value.trim();
    if name.is_empty() || value.is_empty() || value.contains(['\0', '\n']) || value.len() > 1024 {
        return Err(SysctlError::Format(text.to_owned()));
    }
    let (namespace, mode) = owner(&name, namespaces).ok_or_else(|| SysctlError::NotAllowed(name.clone()))?;
    if *mode != Mode::Private {
        return Err(SysctlError::HostNamespace { name, namespace });
    }
    Ok(Sysctl { name, value: value.to_owned() })
}

/// The namespace a parameter belongs to; `None` is the machine.
fn owner<'a>(name: &str, namespaces: &'a Namespaces) -> Option<(&'static str, &'a Mode)> {
    let parts_fit = name.split('.').all(|part| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        !part.is_empty() && part.len() < 64 && part.bytes().all(plain)
    });
    if !parts_fit {
        return None;
    }
    if IPC.contains(&name) || name.starts_with("fs.mqueue.") {
        return Some(("IPC", &namespaces.ipc));
    }
    if name.starts_with("net.") {
        return Some(("Network", &namespaces.network));
    }
    matches!(name, "kernel.domainname" | "kernel.hostname").then_some(("UTS", &namespaces.uts))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_namespace_owns() {
        let private = Namespaces::default();
        for good in ["net.ipv4.ip_forward=1", "kernel.shmmax=1", "fs.mqueue.msg_max=5", "kernel.domainname=x"]
        {
            assert!(parse(good, &private).is_ok(), "{good}");
        }
        let slashed = parse("net/ipv4/ping_group_range=0 1", &private).unwrap();
        assert_eq!((slashed.name.as_str(), slashed.value.as_str()), ("net.ipv4.ping_group_range", "0 1"));
        for bad in [
            "kernel.core_pattern=|/x",
            "kernel.shm_rmid_forced+kernel.core_pattern=1",
            "net.ipv4..ip_forward=1",
            "net.=1",
            "net.../../kernel/core_pattern=1",
            "net/../kernel/core_pattern=1",
            "vm.swappiness=1",
            "fs.mqueue=1",
            "kernel.msg=1",
        ] {
            assert!(matches!(parse(bad, &private), Err(SysctlError::NotAllowed(_))), "{bad}");
        }
        for bad in ["", "net.ipv4.ip_forward", "=1", "net.ipv4.ip_forward=", "net.ipv4.ip_forward=1\n2"] {
            assert!(matches!(parse(bad, &private), Err(SysctlError::Format(_))), "{bad:?}");
        }
    }

    #[test]
    fn the_hosts_are_left_alone() {
        let host =
            Namespaces { network: Mode::Host, ipc: Mode::Host, uts: Mode::Host, ..Namespaces::default() };
        for text in ["net.ipv4.ip_forward=1", "kernel.sem=1", "fs.mqueue.msg_max=1", "kernel.hostname=x"] {
            assert!(matches!(parse(text, &host), Err(SysctlError::HostNamespace { .. })), "{text}");
        }
    }
}
