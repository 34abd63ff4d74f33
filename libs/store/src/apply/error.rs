//! Why a layer could not be unpacked.

use std::fmt;

use ctr_core::Foreign;
use ctr_core::rooted::TreeError;
use rustix::io::Errno;

use crate::tar::TarError;

/// A kind of owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdKind {
    /// A user.
    Uid,
    /// A group.
    Gid,
}

impl fmt::Display for IdKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Uid => "UID",
            Self::Gid => "GID",
        })
    }
}

/// A layer could not be unpacked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApplyError {
    /// The archive itself is bad.
    #[error("the layer cannot be read")]
    Tar(#[from] TarError),
    /// A file belongs to an id that is not ours to give away.
    #[error("`{}` belongs to {kind} {id}, which the id map does not have", path.for_terminal())]
    IdNotMapped {
        /// User or group.
        kind: IdKind,
        /// The id the layer asks for.
        id: u64,
        /// The first file that does.
        path: Foreign,
    },
    /// An entry is something no honest layer has.
    #[error("the entry `{}` of the layer {why}", path.for_terminal())]
    Unsafe {
        /// The entry.
        path: Foreign,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The layer is larger than what anybody ships.
    #[error("the layer has more than {limit} {what}")]
    Limit {
        /// What there is too much of.
        what: &'static str,
        /// The limit.
        limit: u64,
    },
    /// The kernel refused.
    #[error("cannot {verb} `{}`", path.for_terminal())]
    Refused {
        /// What was tried, as an infinitive.
        verb: &'static str,
        /// The entry.
        path: Foreign,
        /// Why.
        #[source]
        errno: Errno,
    },
    /// Resolving a path in the tree failed.
    #[error("cannot unpack `{}`", path.for_terminal())]
    Tree {
        /// The entry.
        path: Foreign,
        /// Why.
        #[source]
        source: TreeError,
    },
}

impl ApplyError {
    /// Returns the kernel's answer, if it was the kernel that refused.
    #[must_use]
    pub fn errno(&self) -> Option<Errno> {
        match self {
            Self::Refused { errno, .. } => Some(*errno),
            Self::Tree { source, .. } => source.errno(),
            _ => None,
        }
    }
}
