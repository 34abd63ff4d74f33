//! The options of a mount, sorted by what they are: attributes, propagation, the runtime's own, the file system's.

use super::PlanError;
use crate::spec::Mount;

/// `MOUNT_ATTR_RDONLY`.
pub(super) const READ_ONLY: u64 = 0x1;
/// `MOUNT_ATTR_NOSUID`.
pub(super) const NO_SUID: u64 = 0x2;
/// `MOUNT_ATTR_NODEV`.
pub(super) const NO_DEV: u64 = 0x4;
/// `MOUNT_ATTR_NOEXEC`.
pub(super) const NO_EXEC: u64 = 0x8;
/// `MOUNT_ATTR__ATIME`: the bits of which one of the next three is chosen.
const ACCESS_TIME: u64 = 0x70;
/// `MOUNT_ATTR_NOATIME`.
const NO_ACCESS_TIME: u64 = 0x10;
/// `MOUNT_ATTR_STRICTATIME`.
const STRICT_ACCESS_TIME: u64 = 0x20;
/// `MOUNT_ATTR_NODIRATIME`.
const NO_FOLDER_ACCESS_TIME: u64 = 0x80;
/// `MOUNT_ATTR_NOSYMFOLLOW`.
const NO_SYMLINKS: u64 = 0x20_0000;

/// `MS_UNBINDABLE`, `MS_PRIVATE`, `MS_SLAVE`, `MS_SHARED`.
const PROPAGATIONS: [(&str, u64); 4] =
    [("unbindable", 1 << 17), ("private", 1 << 18), ("slave", 1 << 19), ("shared", 1 << 20)];

/// What the options of a mount say.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Options {
    /// Attributes to set.
    pub(super) set: u64,
    /// Attributes to clear: only what was asked for, since others may be locked.
    pub(super) clear: u64,
    /// `MS_…`, or 0 to leave it.
    pub(super) propagation: u64,
    /// The propagation is meant for the mounts below too.
    pub(super) deep_propagation: bool,
    /// The attributes are meant for the mounts below too.
    pub(super) deep_attributes: bool,
    /// A bind: recursive or not.
    pub(super) bind: Option<bool>,
    /// What is below is copied up.
    pub(super) copy_up: bool,
    /// The file system's: name and value, empty for a flag.
    pub(super) own: Vec<(String, String)>,
}

impl Options {
    /// Sorts the options of a mount.
    pub(super) fn parse(mount: &Mount) -> Result<Self, PlanError> {
        let mut options = Self::default();
        for option in &mount.options {
            let known = options.attribute(option) || options.propagation(option) || options.runtime(option);
            if known || option.is_empty() {
                continue;
            }
            if options.bind.is_some() || mount.kind == "bind" {
                return Err(PlanError::Option { on: mount.destination.clone(), option: option.clone() });
            }
            let (name, value) = option.split_once('=').unwrap_or((option, ""));
            options.own.push((name.to_owned(), value.to_owned()));
        }
        Ok(options)
    }

    /// Whether the file system's option is given.
    pub(super) fn has_own(&self, name: &str) -> bool {
        self.own.iter().any(|(own, _)| own == name)
    }

    fn attribute(&mut self, option: &str) -> bool {
        let (set, clear) = match option {
            "ro" => (READ_ONLY, 0),
            "rw" => (0, READ_ONLY),
            "nosuid" => (NO_SUID, 0),
            "suid" => (0, NO_SUID),
            "nodev" => (NO_DEV, 0),
            "dev" => (0, NO_DEV),
            "noexec" => (NO_EXEC, 0),
            "exec" => (0, NO_EXEC),
            "noatime" => (NO_ACCESS_TIME, ACCESS_TIME),
            "strictatime" => (STRICT_ACCESS_TIME, ACCESS_TIME),
            "atime" | "relatime" | "norelatime" | "nostrictatime" => (0, ACCESS_TIME),
            "nodiratime" => (NO_FOLDER_ACCESS_TIME, 0),
            "diratime" => (0, NO_FOLDER_ACCESS_TIME),
            "nosymfollow" => (NO_SYMLINKS, 0),
            "symfollow" => (0, NO_SYMLINKS),
            "rro" => {
                self.deep_attributes = true;
                (READ_ONLY, 0)
            }
            _ => return false,
        };
        // The last word on a matter counts.
        self.set = self.set & !clear | set;
        self.clear = self.clear & !set | clear;
        true
    }

    fn propagation(&mut self, option: &str) -> bool {
        let find = |name: &str| PROPAGATIONS.iter().find(|(known, _)| *known == name).map(|(_, bits)| *bits);
        let (bits, deep) = match find(option) {
            Some(bits) => (bits, false),
            None => match option.strip_prefix('r').and_then(find) {
                Some(bits) => (bits, true),
                None => return false,
            },
        };
        self.propagation = bits;
        self.deep_propagation = deep;
        true
    }

    fn runtime(&mut self, option: &str) -> bool {
        match option {
            "bind" => self.bind = Some(self.bind.unwrap_or_default()),
            "rbind" => self.bind = Some(true),
            "tmpcopyup" => self.copy_up = true,
            "notmpcopyup" => self.copy_up = false,
            "defaults" => {}
            _ => return false,
        }
        true
    }

    /// What may be cleared on a bind. `rw` only says "not read-only by us": a source that is read-only stays so, as its
    /// flag is locked.
    pub(super) const fn cleared_on_bind(&self) -> u64 {
        // Bits of the access time are cleared together with one being set, or not at all.
        let times = if self.clear & ACCESS_TIME == 0 { 0 } else { ACCESS_TIME };
        self.clear & (NO_SUID | NO_DEV | NO_EXEC | NO_FOLDER_ACCESS_TIME | NO_SYMLINKS) | times
    }
}
