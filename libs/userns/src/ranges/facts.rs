//! Who we are, and what U lets us do.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::thread::CapabilitySet;

use super::file::read_bounded;
use crate::map::{IdMap, IdMaps, MapError};

/// The inode of the initial user namespace, the same on every kernel (`PROC_USER_INIT_INO`).
pub(crate) const INITIAL_USER_NAMESPACE: u64 = 0xEFFF_FFFD;

/// The calling user and user namespace.
#[derive(Debug, Clone)]
pub struct Facts {
    /// The user's id.
    pub uid: u32,
    /// The user's group.
    pub gid: u32,
    /// The user's name, if one is known. `/etc/passwd` does not know the users of a directory: the caller may.
    pub name: Option<String>,
    /// Our capabilities in U.
    pub capabilities: CapabilitySet,
    /// U is the initial namespace: no container's, or that of one without a user namespace of its own.
    pub initial: bool,
    /// U's maps, whose inner ids are those that exist for us.
    pub maps: IdMaps,
}

/// The facts cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum FactsError {
    /// A file of `/proc` cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Our capabilities cannot be read.
    #[error("cannot read our capabilities")]
    Capabilities(#[source] std::io::Error),
    /// We live in a namespace without a map.
    #[error("the user namespace we run in has no usable map")]
    Map(#[source] MapError),
}

impl Facts {
    /// The facts of the calling process.
    ///
    /// # Errors
    /// If `/proc` is not there.
    pub fn of_this_process() -> Result<Self, FactsError> {
        let uid = rustix::process::geteuid().as_raw();
        let namespace = Path::new("/proc/self/ns/user");
        let initial = fs::metadata(namespace)
            .map_err(|source| FactsError::Read { path: namespace.to_owned(), source })?
            .ino()
            == INITIAL_USER_NAMESPACE;
        let capabilities =
            rustix::thread::capabilities(None).map_err(|err| FactsError::Capabilities(err.into()))?;
        Ok(Self {
            uid,
            gid: rustix::process::getegid().as_raw(),
            name: read_bounded(Path::new("/etc/passwd")).ok().and_then(|passwd| name_of(&passwd, uid)),
            capabilities: capabilities.effective,
            initial,
            maps: own_maps()?,
        })
    }

    /// We may write the maps of a child namespace ourselves.
    #[must_use]
    pub const fn may_write_maps(&self) -> bool {
        self.capabilities.contains(CapabilitySet::SETUID.union(CapabilitySet::SETGID))
    }

    /// We are the machine's root, not that of a container.
    #[must_use]
    pub const fn is_root_of_host(&self) -> bool {
        self.initial && self.capabilities.contains(CapabilitySet::SYS_ADMIN)
    }

    /// The user for a message: the name, else the number.
    #[must_use]
    pub fn who(&self) -> String {
        self.name.clone().unwrap_or_else(|| self.uid.to_string())
    }
}

/// The maps of the user namespace we are in, as `/proc` shows them.
pub(crate) fn own_maps() -> Result<IdMaps, FactsError> {
    let read = |path: &str| {
        let text =
            fs::read_to_string(path).map_err(|source| FactsError::Read { path: path.into(), source })?;
        IdMap::from_proc(&text).map_err(FactsError::Map)
    };
    Ok(IdMaps { uid: read("/proc/self/uid_map")?, gid: read("/proc/self/gid_map")? })
}

/// The first name that a passwd file gives to a user id.
fn name_of(passwd: &str, uid: u32) -> Option<String> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        let id = fields.nth(1)?.parse::<u32>().ok()?;
        (id == uid).then(|| name.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::name_of;

    #[test]
    fn the_name_is_found_by_id() {
        let passwd =
            "root:x:0:0:root:/root:/bin/bash\n#bad\n:x:5:5::/:\nanna:x:1001:1001::/home/anna:/bin/sh\n";
        assert_eq!(name_of(passwd, 1001).as_deref(), Some("anna"));
        assert_eq!(name_of(passwd, 0).as_deref(), Some("root"));
        assert_eq!(name_of(passwd, 5), None);
    }
}
