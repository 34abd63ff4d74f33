//! What `-v`, `--mount` and `--tmpfs` ask for.
//!
//! Text in, typed requests out: nothing here touches a file system, so each grammar can be fuzzed as it is. Sources stay
//! as the user spelled them; whoever opens them decides what they are relative to.
//!
//! # Not here
//! Opening sources, relabelling, changing owners: [`crate::create`]; which volumes there are: [`crate::volumes`]. Globs and
//! artifacts as sources are refused by name until their issues bring them.

mod csv;
mod mount;
mod named;
mod options;
mod tmpfs;
mod volume;

use serde::{Deserialize, Serialize};
use std::path::PathBuf;

pub use mount::parse_mount;
pub use named::{ImageMount, Named};
pub use options::{Access, Propagation, Relabel};
pub use tmpfs::parse_tmpfs;
pub use volume::parse_volume;

/// A mount request cannot be used as it is written.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum MountError {
    /// `-v` with more than three parts, or none.
    #[error("{0}: incorrect volume format, should be [host-dir:]ctr-dir[:option]")]
    VolumeFormat(String),
    /// A source was given, and is empty.
    #[error("host directory cannot be empty")]
    EmptySource,
    /// No destination was given.
    #[error("must set volume destination")]
    NoDestination,
    /// The destination is empty.
    #[error("container directory cannot be empty")]
    EmptyDestination,
    /// The destination is relative.
    #[error("invalid container path {0:?}, must be an absolute path")]
    RelativeDestination(String),
    /// The destination is the root itself.
    #[error("invalid container path {0:?}: a mount cannot replace the root directory")]
    RootDestination(String),
    /// A byte no path can hold.
    #[error("{0:?} holds a NUL byte")]
    Nul(String),
    /// An option nobody knows.
    #[error("invalid option type {0:?}")]
    UnknownOption(String),
    /// An option that this kind of mount has not.
    #[error("{option:?} option not supported for {kind:?} mount types")]
    WrongKind {
        /// The option's name.
        option: String,
        /// The mount's type.
        kind: &'static str,
    },
    /// An option without its value.
    #[error("{0}: must provide an argument for option")]
    MissingValue(String),
    /// A value the option cannot have.
    #[error("invalid value {value:?} for mount option {option:?}")]
    BadValue {
        /// The option's name.
        option: String,
        /// What was given.
        value: String,
    },
    /// Two options that exclude each other, or one twice.
    #[error("invalid options {options:?}, can only specify 1 {choice} option")]
    Repeated {
        /// All options as they were written.
        options: String,
        /// The choice they belong to.
        choice: &'static str,
    },
    /// `O` beside options an overlay has not.
    #[error("can't use 'O' with other options")]
    OverlayOptions,
    /// Only one of `upperdir` and `workdir`.
    #[error("must set both `upperdir` and `workdir`")]
    HalfOverlay,
    /// A mount type nobody knows.
    #[error("invalid filesystem type {0:?}")]
    UnknownType(String),
    /// The comma-separated form is broken.
    #[error("cannot parse {text:?}: {why}")]
    Csv {
        /// What was given.
        text: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A part of an image that does not begin at its root.
    #[error("volume subpath {0:?} must be an absolute path")]
    RelativeSubpath(String),
    /// `type=image` without one.
    #[error("must set source and destination for image volume")]
    NoImage,
    /// Two mounts on one destination.
    #[error("{0}: duplicate mount destination")]
    Duplicate(String),
    /// A thing a later version brings.
    #[error("{0} is not supported yet")]
    NotYet(String),
    /// A thing only real root can do.
    #[error("{0} is only possible for root outside of any user namespace")]
    RootOnly(&'static str),
    /// What only the machine's root may ask of memory.
    #[error(
        "the 'noswap' option is only allowed with rootful tmpfs mounts: must provide an argument for option"
    )]
    NoSwap,
}

/// An absolute, lexically clean path inside a container, other than the root.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Target(String);

impl Target {
    /// Checks and cleans a destination. `..` is resolved as text, before anything of an image could have a say.
    ///
    /// # Errors
    /// Refuses what is empty, relative, the root or holds a NUL.
    pub fn parse(path: &str) -> Result<Self, MountError> {
        if path.is_empty() {
            return Err(MountError::EmptyDestination);
        }
        if path.contains('\0') {
            return Err(MountError::Nul(path.to_owned()));
        }
        if !path.starts_with('/') {
            return Err(MountError::RelativeDestination(path.to_owned()));
        }
        match clean(path) {
            root if root == "/" => Err(MountError::RootDestination(path.to_owned())),
            cleaned => Ok(Self(cleaned)),
        }
    }

    /// The path as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// How many names it has: parents are mounted before what lies in them.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.0.bytes().filter(|byte| *byte == b'/').count()
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// An absolute path without empty, `.` and `..` names.
fn clean(path: &str) -> String {
    let mut names: Vec<&str> = Vec::new();
    for name in path.split('/') {
        match name {
            "" | "." => {}
            ".." => {
                names.pop();
            }
            other => names.push(other),
        }
    }
    format!("/{}", names.join("/"))
}

/// One mount as asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// Where it appears in the container.
    pub target: Target,
    /// What appears there.
    pub what: What,
}

impl Mount {
    /// What is written there is written on the host.
    #[must_use]
    pub fn is_of_host(&self) -> bool {
        matches!(self.what, What::Bind(_))
    }
}

/// What is mounted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum What {
    /// A file or folder of the host.
    Bind(Bind),
    /// A folder of the host that is read, while writes go elsewhere.
    Overlay(Overlay),
    /// A volume of ours.
    Volume(Named),
    /// The files of an image.
    Image(ImageMount),
    /// Memory.
    Tmpfs(Tmpfs),
    /// Another instance of pseudo-terminals.
    Devpts(Devpts),
}

/// A file or folder of the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bind {
    /// As the user spelled it.
    pub source: PathBuf,
    /// ro, exec, suid, dev.
    pub access: Access,
    /// Mounts below the source come along.
    pub recursive: bool,
    /// How later mounts travel.
    pub propagation: Option<Propagation>,
    /// `z` or `Z`.
    pub relabel: Option<Relabel>,
    /// `U`: the tree is given to the container's user.
    pub chown: bool,
    /// The last name of the source may be a link, and the link itself is mounted.
    pub no_dereference: bool,
}

/// A folder of the host that is read, while writes go elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overlay {
    /// As the user spelled it.
    pub source: PathBuf,
    /// Where writes go, with overlayfs' work folder beside it; else they are thrown away with the container.
    pub kept: Option<Kept>,
    /// `U`: the tree is given to the container's user.
    pub chown: bool,
}

/// The two folders of an overlay whose writes stay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// Where writes go.
    pub upper: PathBuf,
    /// Scratch of the file system.
    pub work: PathBuf,
}

/// Memory.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tmpfs {
    /// It is a ramfs: memory that has no bound and is never swapped.
    #[serde(default)]
    pub ramfs: bool,
    /// ro, exec, suid, dev.
    pub access: Access,
    /// As the kernel takes it: bytes with a suffix, or a share of the memory.
    pub size: Option<String>,
    /// Mode of its root.
    pub mode: Option<u32>,
    /// What the image has at the target does not appear in it.
    pub no_copy_up: bool,
    /// No access times.
    pub noatime: bool,
    /// How later mounts travel.
    pub propagation: Option<Propagation>,
    /// `U`: it belongs to the container's user.
    pub chown: bool,
}

/// Another instance of pseudo-terminals.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Devpts {
    /// Owner of new terminals.
    pub uid: Option<u32>,
    /// Group of new terminals.
    pub gid: Option<u32>,
    /// Mode of new terminals.
    pub mode: Option<u32>,
    /// Mode of its `ptmx`.
    pub ptmxmode: Option<u32>,
    /// How many there may be.
    pub max: Option<u32>,
}

/// Puts the mounts of all three flags in the order in which they are made: parents first, else as they were written.
///
/// # Errors
/// Refuses two different mounts on one destination; the very same one twice is taken once.
pub fn arrange(mounts: Vec<Mount>) -> Result<Vec<Mount>, MountError> {
    let mut kept: Vec<Mount> = Vec::with_capacity(mounts.len());
    for mount in mounts {
        match kept.iter().find(|other| other.target == mount.target) {
            None => kept.push(mount),
            Some(other) if *other == mount => {}
            Some(_) => return Err(MountError::Duplicate(mount.target.0)),
        }
    }
    kept.sort_by_key(|mount| mount.target.depth());
    Ok(kept)
}

#[cfg(test)]
mod tests;
