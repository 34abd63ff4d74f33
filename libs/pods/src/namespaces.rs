//! Which namespaces a container shares: `--pid`, `--ipc`, `--uts`, `--cgroupns`, `--network`.

use std::path::PathBuf;

use ctr_runtime::spec::NamespaceKind;
use serde::{Deserialize, Serialize};

use crate::network::UserNetwork;

/// A mode cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ModeError {
    /// A later issue brings it.
    #[error("--{flag} {value} is not supported yet")]
    NotYet {
        /// The flag.
        flag: &'static str,
        /// What was asked for.
        value: String,
    },
    /// Nobody knows it.
    #[error("invalid --{flag} mode {value:?}")]
    Unknown {
        /// The flag.
        flag: &'static str,
        /// What was asked for.
        value: String,
    },
}

/// Whose namespace it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mode {
    /// The container's own.
    #[default]
    Private,
    /// That of whoever runs `ctr`.
    Host,
    /// That of another container: what it is called, and its id once the container that shares it is made.
    Container(String),
    /// That of a file.
    Path(PathBuf),
}

impl Mode {
    /// As `inspect` has it.
    #[must_use]
    pub fn shown(&self) -> String {
        match self {
            Self::Private => "private".to_owned(),
            Self::Host => "host".to_owned(),
            Self::Container(name) => format!("container:{name}"),
            Self::Path(path) => format!("ns:{}", path.display()),
        }
    }
}

/// What becomes of the System V and POSIX objects of a container with a namespace of its own for them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Shm {
    /// Other containers may share them.
    #[default]
    Shareable,
    /// They may not.
    Private,
    /// They may not, and there is no `/dev/shm`.
    None,
}

/// One mode for each kind.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Namespaces {
    /// Process ids.
    pub pid: Mode,
    /// System V and POSIX message queues, shared memory.
    pub ipc: Mode,
    /// What of it others may share.
    #[serde(default)]
    pub shm: Shm,
    /// Host name.
    pub uts: Mode,
    /// View of the control groups.
    pub cgroup: Mode,
    /// Interfaces; `Private` is a loopback alone (`--network none`), or with it what is in `user_network`.
    pub network: Mode,
    /// What serves a network of the container's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_network: Option<UserNetwork>,
    /// The host's network is not the machine's here, but one that was entered: that of a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entered: Option<PathBuf>,
}

impl Namespaces {
    /// Those that are another container's, beside the names that the kernel's files have.
    pub fn shared(&mut self) -> impl Iterator<Item = (NamespaceKind, &'static str, &mut Mode)> {
        let all = [
            (NamespaceKind::Pid, "pid", &mut self.pid),
            (NamespaceKind::Ipc, "ipc", &mut self.ipc),
            (NamespaceKind::Uts, "uts", &mut self.uts),
            (NamespaceKind::Cgroup, "cgroup", &mut self.cgroup),
            (NamespaceKind::Network, "net", &mut self.network),
        ];
        all.into_iter().filter(|(.., mode)| matches!(mode, Mode::Container(_)))
    }

    /// The network as `inspect` has it.
    #[must_use]
    pub fn shown_network(&self) -> String {
        match (&self.network, &self.user_network) {
            (Mode::Private, Some(user)) => user.word.clone(),
            (Mode::Private, None) => "none".to_owned(),
            (Mode::Host, _) if let Some(path) = &self.entered => format!("ns:{}", path.display()),
            (mode, _) => mode.shown(),
        }
    }

    /// Whether the container is where the machine's own addresses are.
    #[must_use]
    pub fn has_network_of_machine(&self) -> bool {
        self.network == Mode::Host && self.entered.is_none()
    }

    /// The containers whose they are.
    pub fn owners(&self) -> impl Iterator<Item = &str> {
        let all = [&self.pid, &self.ipc, &self.uts, &self.cgroup, &self.network];
        all.into_iter().filter_map(|mode| match mode {
            Mode::Container(name) => Some(name.as_str()),
            Mode::Private | Mode::Host | Mode::Path(_) => None,
        })
    }

    /// The mode of System V and POSIX objects as `inspect` has it.
    #[must_use]
    pub fn shown_ipc(&self) -> String {
        match (&self.ipc, self.shm) {
            (Mode::Private, Shm::Shareable) => "shareable".to_owned(),
            (Mode::Private, Shm::None) => "none".to_owned(),
            (mode, _) => mode.shown(),
        }
    }
}

/// Parses `--pid`, `--uts`, `--cgroupns`.
///
/// # Errors
/// Refuses what is not private, host or a container's.
pub fn parse_mode(flag: &'static str, value: &str) -> Result<Mode, ModeError> {
    match value {
        "" | "private" => Ok(Mode::Private),
        "host" => Ok(Mode::Host),
        _ => of_container(value).ok_or_else(|| refuse(flag, value)),
    }
}

/// Parses `--ipc`: `shareable` is a namespace of its own too, `none` one without a `/dev/shm`.
///
/// # Errors
/// Refuses what is none of these.
pub fn parse_ipc(value: &str) -> Result<(Mode, Shm), ModeError> {
    match value {
        "" | "shareable" => Ok((Mode::Private, Shm::Shareable)),
        "none" => Ok((Mode::Private, Shm::None)),
        _ => Ok((parse_mode("ipc", value)?, Shm::Private)),
    }
}

pub(crate) fn of_container(value: &str) -> Option<Mode> {
    let name = value.strip_prefix("container:").filter(|name| !name.is_empty())?;
    Some(Mode::Container(name.to_owned()))
}

fn refuse(flag: &'static str, value: &str) -> ModeError {
    let value = value.to_owned();
    let joins = ["ns:", "pod"].iter().any(|word| value.starts_with(word));
    if joins { ModeError::NotYet { flag, value } } else { ModeError::Unknown { flag, value } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_and_host_are_known_and_the_rest_has_a_name() {
        assert_eq!(parse_mode("pid", ""), Ok(Mode::Private));
        assert_eq!(parse_mode("pid", "host"), Ok(Mode::Host));
        let other = Mode::Container("x".to_owned());
        assert_eq!(parse_mode("pid", "container:x"), Ok(other.clone()));
        assert_eq!(parse_ipc("container:x"), Ok((other, Shm::Private)));
        assert_eq!(parse_ipc(""), Ok((Mode::Private, Shm::Shareable)));
        for (error, text) in [
            (parse_mode("pid", "container:"), "invalid --pid mode \"container:\""),
            (parse_mode("uts", "ns:/x"), "--uts ns:/x is not supported yet"),
            (parse_ipc("pod").map(|(mode, _)| mode), "--ipc pod is not supported yet"),
            (parse_mode("uts", "nope"), "invalid --uts mode \"nope\""),
        ] {
            assert_eq!(error.unwrap_err().to_string(), text);
        }
    }
}
