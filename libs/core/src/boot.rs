//! The identity of a boot: what was said under another one is void.

use std::fmt;
use std::path::Path;
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

use crate::file::{self, FileError};

const FILE: &str = "/proc/sys/kernel/random/boot_id";

/// The kernel's name for the time since it started.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BootId(String);

impl BootId {
    /// Returns the text, a UUID.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns whether this is the boot that we run in.
    pub fn is_current(&self) -> Result<bool, FileError> {
        Ok(boot_id()? == self)
    }
}

impl fmt::Display for BootId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Returns the identity of this boot, read once.
pub fn boot_id() -> Result<&'static BootId, FileError> {
    static CURRENT: OnceLock<BootId> = OnceLock::new();
    if let Some(id) = CURRENT.get() {
        return Ok(id);
    }
    let text = file::read_text(Path::new(FILE), 64)?;
    Ok(CURRENT.get_or_init(|| BootId(text.trim().to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_same_twice() {
        let id = boot_id().unwrap();
        assert_eq!(id.as_str().len(), 36);
        assert!(id.is_current().unwrap());
        assert!(!BootId("other".to_owned()).is_current().unwrap());
    }
}
