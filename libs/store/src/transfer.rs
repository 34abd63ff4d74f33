//! Files on their way from a tree or an archive to another: what `cp` does.
//!
//! ```text
//! Tree::send  ─┐                     ┌─▶ TreeSink     a directory, by a rooted handle
//!              ├─ Header + contents ─┤
//! archive()   ─┘                     └─▶ ArchiveSink  a tar
//! ```
//! Between the two an entry is what a tar says of it: names are relative to what was asked for, and owners are those of
//! the caller's user namespace until [`Owners`] says otherwise.
//!
//! # Invariants
//! Either side may be changed by a hostile container meanwhile. A source is walked by descriptors, one name at a time and
//! without following a link; what a name led to is looked at again once it is open. A target is created with `O_EXCL`
//! in a directory that was resolved below the handle (CVE-2018-15664, CVE-2019-14271, CVE-2024-1753 and their kin). Nothing
//! but regular files is ever opened for its contents, and no device node is made.

mod archive;
mod mounts;
mod source;
mod tree;

#[cfg(test)]
mod tests;

use std::io::Read;
use std::path::PathBuf;

use ctr_core::rooted::TreeError;
use rustix::io::Errno;

pub use archive::{ArchiveSink, archive};
pub use source::{Source, send};
pub use tree::TreeSink;

use crate::tar::{Header, TarError, WriteError};

/// Files could not be transferred.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransferError {
    /// A step that failed.
    #[error("cannot {verb} {path:?}")]
    Refused {
        /// What was tried, as an infinitive.
        verb: &'static str,
        /// Of what.
        path: PathBuf,
        /// Why.
        #[source]
        errno: Errno,
    },
    /// A path that cannot be resolved.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// A directory where there is to be a file, or a file where there is to be a directory.
    #[error(
        "error creating {path:?}: cannot replace what is there by something of another kind: file exists"
    )]
    OtherKind {
        /// Where.
        path: PathBuf,
    },
    /// What is neither a file nor a directory.
    #[error("{path:?} is neither a file nor a directory")]
    Kind {
        /// The source.
        path: PathBuf,
    },
    /// An owner that the other side has no number for.
    #[error("{path:?} belongs to {uid}:{gid}, which the container does not have")]
    Owner {
        /// Of what.
        path: PathBuf,
        /// The user.
        uid: u32,
        /// The group.
        gid: u32,
    },
    /// An entry is something no honest archive has.
    #[error("the entry {path:?} of the archive {why}")]
    Unsafe {
        /// The entry.
        path: PathBuf,
        /// What is wrong with it.
        why: &'static str,
    },
    /// There is no archive.
    #[error("source must be a (compressed) tar archive when copying from stdin")]
    NoArchive(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The archive is broken.
    #[error("cannot read the archive")]
    Tar(#[from] TarError),
    /// The archive cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// Contents could not be read or written.
    #[error("cannot copy the contents of {path:?}")]
    Contents {
        /// Of what.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// More directories in one another than any path can have.
    #[error("{path:?} is nested too deeply")]
    Depth {
        /// The directory.
        path: PathBuf,
    },
}

/// Takes what comes.
pub trait Sink {
    /// Takes one entry. Of a file, `contents` gives as many bytes as the header says.
    ///
    /// # Errors
    /// It cannot be made, or be written.
    fn take(&mut self, header: &Header, contents: &mut dyn Read) -> Result<(), TransferError>;

    /// Says that nothing more comes.
    ///
    /// # Errors
    /// What had to wait until now failed.
    fn finish(&mut self) -> Result<(), TransferError>;
}

/// Who owns what comes, on the other side.
pub trait Owners {
    /// The owner for one that the source says; nothing if the other side has no such number.
    fn owner(&self, uid: u32, gid: u32) -> Option<(u32, u32)>;
}

impl<F: Fn(u32, u32) -> Option<(u32, u32)>> Owners for F {
    fn owner(&self, uid: u32, gid: u32) -> Option<(u32, u32)> {
        self(uid, gid)
    }
}

/// Changes the owner of an entry.
fn give(header: &mut Header, owners: &dyn Owners) -> Result<(), TransferError> {
    // What is no id anywhere is nobody's.
    let small = |id: u64| u32::try_from(id).unwrap_or(u32::MAX);
    let (uid, gid) = (small(header.uid), small(header.gid));
    let given = owners.owner(uid, gid).filter(|(uid, gid)| *uid != u32::MAX && *gid != u32::MAX);
    let (uid, gid) = given.ok_or_else(|| TransferError::Owner { path: path(&header.path), uid, gid })?;
    (header.uid, header.gid) = (uid.into(), gid.into());
    Ok(())
}

fn path(name: &[u8]) -> PathBuf {
    use std::os::unix::ffi::OsStrExt;
    PathBuf::from(std::ffi::OsStr::from_bytes(name))
}

fn refused<'p>(verb: &'static str, of: &'p [u8]) -> impl Fn(Errno) -> TransferError + 'p {
    move |errno| TransferError::Refused { verb, path: path(of), errno }
}
