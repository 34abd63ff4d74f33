//! `--network ns:PATH`: a network namespace that somebody has made.
//!
//! To enter one takes power over the user namespace that owns it. That is A, as for what `ctr unshare` makes, or one below it, as for a
//! container's. Where it is A the supervisor enters it itself before it makes the container, which shares it as it would the host's;
//! else the container lives in the owner too, as with `container:`.
//!
//! # Process context
//! [`Network::open`] is called in U: from inside A much of what U has cannot be looked at. [`Network::enter`] is called in A.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use ctr_userns::level_a::{Identity, LevelA};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, openat, statat};
use rustix::io::Errno;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// A network namespace cannot be joined.
#[derive(Debug, thiserror::Error)]
pub enum NetworkNamespaceError {
    /// There is nothing at the path, or the kernel will not have it.
    #[error("cannot join the network namespace {path:?}")]
    Kernel {
        /// As the user spelled it.
        path: PathBuf,
        /// Why.
        #[source]
        source: Errno,
    },
    /// Something else.
    #[error("cannot join the network namespace {0:?}: it is none")]
    Other(PathBuf),
    /// It is somebody else's.
    #[error(
        "cannot join the network namespace {path:?}: it belongs to user namespace {inode} of uid {uid}, which is none of ours"
    )]
    Foreign {
        /// As the user spelled it.
        path: PathBuf,
        /// Its owner.
        inode: u64,
        /// Whose that is.
        uid: u32,
    },
    /// It is that of a process at which we may not look.
    #[error("cannot join the network namespace {path:?}: it belongs to uid {uid}")]
    Unseen {
        /// As the user spelled it.
        path: PathBuf,
        /// Whose the process is.
        uid: u32,
        /// What the kernel says.
        #[source]
        source: Errno,
    },
    /// It is somebody's whom nobody here can see.
    #[error("cannot join the network namespace {0:?}: it belongs to a user namespace above ours")]
    Above(PathBuf),
}

/// Why a path is not opened that may be there: the link to a namespace has the owner of its process, and may be looked at.
fn unseen(path: &Path) -> NetworkNamespaceError {
    let (path, source) = (path.to_owned(), Errno::ACCESS);
    match statat(CWD, &path, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(link) => NetworkNamespaceError::Unseen { path, uid: link.st_uid, source },
        Err(_) => NetworkNamespaceError::Kernel { path, source },
    }
}

/// A network namespace of the user's.
#[derive(Debug)]
pub(super) struct Network {
    pub(super) path: PathBuf,
    namespace: OwnedFd,
    owner: OwnedFd,
    /// Which that is, and of which user of U's.
    named: (Identity, u32),
    /// Its owner lies as deep as containers' user namespaces.
    is_deep: bool,
}

impl Network {
    /// Opens what a path leads to; `None` is the network where we are.
    pub(super) fn open(path: &Path) -> Result<Option<Self>, NetworkNamespaceError> {
        let failed = |source| NetworkNamespaceError::Kernel { path: path.to_owned(), source };
        // A pipe must not hold us up, nor a terminal become ours.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let namespace = openat(CWD, path, flags, Mode::empty()).map_err(|errno| match errno {
            Errno::ACCESS => unseen(path),
            _ => failed(errno),
        })?;
        if !ctr_sys::userns::is_network(namespace.as_fd()) {
            return Err(NetworkNamespaceError::Other(path.to_owned()));
        }
        if identity(namespace.as_fd()).map_err(failed)? == own("net").map_err(failed)? {
            return Ok(None);
        }
        let owner = match ctr_sys::userns::owning(namespace.as_fd()) {
            Err(Errno::PERM) => return Err(NetworkNamespaceError::Above(path.to_owned())),
            owner => owner.map_err(failed)?,
        };
        Self::owned(path, namespace, owner).map(Some).map_err(failed)
    }

    fn owned(path: &Path, namespace: OwnedFd, owner: OwnedFd) -> Result<Self, Errno> {
        let here = own("user")?;
        let is_here = |namespace: &OwnedFd| identity(namespace.as_fd()).is_ok_and(|seen| seen == here);
        // Whose parent is not ours to see is where we are, or above.
        let parent = ctr_sys::userns::parent(owner.as_fd()).ok();
        let is_deep = !is_here(&owner) && !parent.as_ref().is_some_and(is_here);
        let named = (identity(owner.as_fd())?, ctr_sys::userns::owner(owner.as_fd())?);
        Ok(Self { path: path.to_owned(), namespace, owner, named, is_deep })
    }

    /// Whether a user namespace owns it that a container can live in.
    pub(super) const fn is_of_a_container(&self) -> bool {
        self.is_deep
    }

    /// One more descriptor of it.
    pub(super) fn copy(&self) -> Result<OwnedFd, NetworkNamespaceError> {
        self.namespace.try_clone().map_err(|_full| self.failed(Errno::MFILE))
    }

    /// The user namespace in which a container has to live that shares this; none where it is A.
    pub(super) fn owner(&self) -> Result<Option<OwnedFd>, NetworkNamespaceError> {
        let owner = self.is_deep.then(|| self.owner.try_clone()).transpose();
        owner.map_err(|_full| self.failed(Errno::MFILE))
    }

    /// Enters it for good, if it is A's.
    pub(super) fn enter(&self, a: &LevelA) -> Result<(), NetworkNamespaceError> {
        if self.is_deep {
            return Ok(());
        }
        let (owner, uid) = self.named;
        if owner != a.inner {
            let path = self.path.clone();
            return Err(NetworkNamespaceError::Foreign { path, inode: owner.ino, uid });
        }
        move_into_link_name_space(self.namespace.as_fd(), Some(LinkNameSpaceType::Network))
            .map_err(|errno| self.failed(errno))
    }

    fn failed(&self, source: Errno) -> NetworkNamespaceError {
        NetworkNamespaceError::Kernel { path: self.path.clone(), source }
    }
}

fn identity(namespace: BorrowedFd<'_>) -> Result<Identity, Errno> {
    Identity::of(namespace).map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))
}

/// A namespace of this process.
fn own(kind: &str) -> Result<Identity, Errno> {
    let path = format!("/proc/self/ns/{kind}");
    identity(openat(CWD, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?.as_fd())
}
