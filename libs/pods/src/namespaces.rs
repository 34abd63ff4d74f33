//! Which namespaces a container shares: `--pid`, `--ipc`, `--uts`, `--cgroupns`, `--network`.

use serde::{Deserialize, Serialize};

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
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mode {
    /// The container's own.
    #[default]
    Private,
    /// That of whoever runs `ctr`.
    Host,
}

/// One mode for each kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Namespaces {
    /// Process ids.
    pub pid: Mode,
    /// System V and POSIX message queues, shared memory.
    pub ipc: Mode,
    /// Host name.
    pub uts: Mode,
    /// View of the control groups.
    pub cgroup: Mode,
    /// Interfaces; `Private` is a loopback alone (`--network none`).
    pub network: Mode,
}

/// Parses `--pid`, `--uts`, `--cgroupns`.
///
/// # Errors
/// Refuses what is not private or host.
pub fn parse_mode(flag: &'static str, value: &str) -> Result<Mode, ModeError> {
    match value {
        "" | "private" => Ok(Mode::Private),
        "host" => Ok(Mode::Host),
        _ => Err(refuse(flag, value)),
    }
}

/// Parses `--ipc`: `shareable` is a namespace of its own too, `none` one without a `/dev/shm`.
///
/// # Errors
/// Refuses what is neither private nor host.
pub fn parse_ipc(value: &str) -> Result<Mode, ModeError> {
    match value {
        "shareable" | "none" => Err(ModeError::NotYet { flag: "ipc", value: value.to_owned() }),
        _ => parse_mode("ipc", value),
    }
}

/// Parses `--network`.
///
/// # Errors
/// Refuses every network that is not built yet.
pub fn parse_network(value: &str) -> Result<Mode, ModeError> {
    match value {
        "none" => Ok(Mode::Private),
        "host" => Ok(Mode::Host),
        _ => Err(ModeError::NotYet { flag: "network", value: value.to_owned() }),
    }
}

fn refuse(flag: &'static str, value: &str) -> ModeError {
    let value = value.to_owned();
    let joins = ["container:", "ns:", "pod"].iter().any(|word| value.starts_with(word));
    if joins { ModeError::NotYet { flag, value } } else { ModeError::Unknown { flag, value } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_and_host_are_known_and_the_rest_has_a_name() {
        assert_eq!(parse_mode("pid", ""), Ok(Mode::Private));
        assert_eq!(parse_mode("pid", "host"), Ok(Mode::Host));
        assert_eq!(parse_network("none"), Ok(Mode::Private));
        for (error, text) in [
            (parse_mode("pid", "container:x"), "--pid container:x is not supported yet"),
            (parse_mode("uts", "ns:/x"), "--uts ns:/x is not supported yet"),
            (parse_ipc("shareable"), "--ipc shareable is not supported yet"),
            (parse_network("bridge"), "--network bridge is not supported yet"),
            (parse_mode("uts", "nope"), "invalid --uts mode \"nope\""),
        ] {
            assert_eq!(error.unwrap_err().to_string(), text);
        }
    }
}
