//! `--device HOST[:CONTAINER][:rwm]`.

use serde::{Deserialize, Serialize};
use std::path::PathBuf;

use crate::mounts::{MountError, Target};

/// A device cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeviceError {
    /// Not `HOST[:CONTAINER][:rwm]`.
    #[error("invalid device specification: {0}")]
    Format(String),
    /// Letters other than r, w and m.
    #[error("invalid device mode: {0}")]
    Access(String),
    /// A name of the Container Device Interface.
    #[error("the CDI device {0} is not supported yet")]
    Cdi(String),
    /// The place in the container cannot be used.
    #[error("invalid device path in the container")]
    Target(#[source] MountError),
}

/// A device, or a folder of them, that appears in the container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// On the host.
    pub source: PathBuf,
    /// In the container.
    pub target: Target,
    /// Not all of `rwm`: nothing short of a device cgroup can enforce that.
    pub limited: bool,
}

/// Parses one value of the flag.
///
/// # Errors
/// Refuses what is malformed, and CDI names.
pub fn parse(text: &str) -> Result<Device, DeviceError> {
    if !text.starts_with('/') {
        let cdi = text.split_once('=').is_some_and(|(kind, name)| kind.contains('/') && !name.is_empty());
        let owned = text.to_owned();
        return Err(if cdi { DeviceError::Cdi(owned) } else { DeviceError::Format(owned) });
    }
    let parts: Vec<&str> = text.split(':').collect();
    let (source, target, access) = match parts.as_slice() {
        [source] => (*source, *source, "rwm"),
        [source, second] if second.starts_with('/') => (*source, *second, "rwm"),
        [source, access] => (*source, *source, *access),
        [source, target, access] => (*source, *target, *access),
        _ => return Err(DeviceError::Format(text.to_owned())),
    };
    Ok(Device {
        source: PathBuf::from(source),
        target: Target::parse(target).map_err(DeviceError::Target)?,
        limited: !full_access(access)?,
    })
}

/// Whether the letters are all three; each may be there once.
fn full_access(letters: &str) -> Result<bool, DeviceError> {
    let known = |letter: &char| matches!(letter, 'r' | 'w' | 'm');
    let unique = letters.chars().enumerate().all(|(at, letter)| !letters[..at].contains(letter));
    if letters.is_empty() || !letters.chars().all(|letter| known(&letter)) || !unique {
        return Err(DeviceError::Access(letters.to_owned()));
    }
    Ok(letters.len() == 3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_have_a_source_a_target_and_letters() {
        for (text, source, target, limited) in [
            ("/dev/fuse", "/dev/fuse", "/dev/fuse", false),
            ("/dev/fuse:/dev/x", "/dev/fuse", "/dev/x", false),
            ("/dev/fuse:rw", "/dev/fuse", "/dev/fuse", true),
            ("/dev/fuse:/dev/x:mwr", "/dev/fuse", "/dev/x", false),
        ] {
            let device = parse(text).unwrap();
            assert_eq!(device.source, PathBuf::from(source));
            assert_eq!((device.target.as_str(), device.limited), (target, limited), "{text}");
        }
        for bad in ["", "dev", "/dev/a:b:c:d", "/dev/a:rwx", "/dev/a:rr", "/dev/a:", "/dev/a:é", "/a:/:r"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        assert_eq!(parse("nvidia.com/gpu=all"), Err(DeviceError::Cdi("nvidia.com/gpu=all".to_owned())));
    }
}
