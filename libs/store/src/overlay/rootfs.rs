//! The root file system of a container, by overlay or by copy.

use std::fmt;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use ctr_core::rooted::{Root, TreeError};
use rustix::fs::{CWD, Mode};
use rustix::io::Errno;

use super::copy::{self, CopyError};
use super::mount::{self, MountError, Stack};
use super::view::View;
use crate::Driver;

/// How a root came about.
#[derive(Debug)]
pub enum How {
    /// Overlayfs merges the layers.
    Overlay,
    /// The layers were copied, blocks shared.
    Reflinked {
        /// What overlayfs had against it; none if a copy was asked for.
        why: Option<MountError>,
    },
    /// The layers were copied, bytes and all.
    Copied {
        /// What overlayfs had against it; none if a copy was asked for.
        why: Option<MountError>,
    },
    /// A copy that an earlier start made is used on.
    Kept,
}

impl How {
    /// Returns what a user should be told: nothing where it went as it should.
    #[must_use]
    pub fn notice(&self) -> Option<String> {
        let (what, cost, why) = match self {
            Self::Overlay | Self::Kept => return None,
            Self::Reflinked { why } => ("by reference", "a little time at every start", why.as_ref()?),
            Self::Copied { why } => ("file by file", "time and space at every start", why.as_ref()?),
        };
        let detail = why.detail.as_ref().map(|text| format!(" ({text})")).unwrap_or_default();
        Some(format!(
            "the image was copied {what}, which costs {cost}: no overlay here: {}{detail}",
            ctr_core::causes::chain(&why.errno)
        ))
    }
}

impl fmt::Display for How {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Overlay => "overlay",
            Self::Reflinked { .. } => "reflink copy",
            Self::Copied { .. } => "copy",
            Self::Kept => "copy made earlier",
        })
    }
}

/// A root file system, attached nowhere.
#[derive(Debug)]
pub struct Rootfs {
    /// The mount.
    pub mount: OwnedFd,
    /// How it came about.
    pub how: How,
}

/// A root file system could not be made.
#[derive(Debug, thiserror::Error)]
pub enum RootfsError {
    /// The overlay cannot be mounted, for a reason that a copy would not help.
    #[error(transparent)]
    Mount(#[from] MountError),
    /// A tree cannot be opened.
    #[error("cannot open a layer")]
    Tree(#[from] TreeError),
    /// The copy failed.
    #[error(transparent)]
    Copy(#[from] CopyError),
    /// The copy has no place, or cannot be taken from it.
    #[error("cannot {verb} {}", path.display())]
    Place {
        /// What was tried, as an infinitive.
        verb: &'static str,
        /// The place.
        path: PathBuf,
        /// Why.
        #[source]
        errno: Errno,
    },
}

/// Mounts the stack, or copies it to `copy_to`, a path that is free or holds what an earlier call copied there.
///
/// A copy is the container's own, with all its changes, as an upper directory would be.
pub fn rootfs(stack: &Stack<'_>, copy_to: &Path, driver: Driver) -> Result<Rootfs, RootfsError> {
    let why = match driver {
        Driver::Vfs => None,
        Driver::Overlay => match mount::mount(stack) {
            Ok(mount) => return Ok(Rootfs { mount, how: How::Overlay }),
            Err(error) if error.is_unsupported() => Some(error),
            Err(error) => return Err(error.into()),
        },
    };
    let how = copied(stack, copy_to, why)?;
    let mount = mount::bind(copy_to).map_err(place("mount", copy_to))?;
    Ok(Rootfs { mount, how })
}

fn place(verb: &'static str, path: &Path) -> impl Fn(Errno) -> RootfsError {
    move |errno| RootfsError::Place { verb, path: path.to_owned(), errno }
}

/// The copy is made beside its place and renamed: what is there is whole.
fn copied(stack: &Stack<'_>, copy_to: &Path, why: Option<MountError>) -> Result<How, RootfsError> {
    match rustix::fs::statat(CWD, copy_to, rustix::fs::AtFlags::SYMLINK_NOFOLLOW) {
        Ok(_) => return Ok(How::Kept),
        Err(Errno::NOENT) => {}
        Err(errno) => return Err(place("stat", copy_to)(errno)),
    }
    let open = |paths: &[&Path]| paths.iter().map(Root::open).collect::<Result<Vec<_>, _>>();
    let view = View::of(open(&stack.lower)?).with_data(open(&stack.data)?);
    let mut part = copy_to.as_os_str().to_owned();
    part.push(".part");
    let part = PathBuf::from(part);
    let (beside, name) = match (part.parent(), part.file_name()) {
        (Some(beside), Some(name)) => (Root::open(beside)?, name),
        _ => return Err(place("copy to", copy_to)(Errno::INVAL)),
    };
    // What a killed start left.
    beside.remove_tree(name)?;
    beside.mkdir(name, Mode::RWXU)?;
    let copied = copy::copy(&view, &beside.sub(name)?)?;
    rustix::fs::renameat(CWD, &part, CWD, copy_to).map_err(place("rename", copy_to))?;
    Ok(if copied.reflinked { How::Reflinked { why } } else { How::Copied { why } })
}
