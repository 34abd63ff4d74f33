//! `--userns container:` and `ns:`: a user namespace that is there already, and with it what else is shared.
//!
//! # Process context
//! A path is opened in U. The rest happens in A, which may look into every namespace that lies in it, whoever runs there.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;

use ctr_runtime::spec::NamespaceKind;
use ctr_userns::level_a::LevelA;
use ctr_userns::level_b::{self, Choice, Plan};

use crate::containers::{Container, Containers, ContainersError};

use super::RunError;

/// Whose namespace is meant.
#[derive(Debug)]
pub(super) enum Target {
    /// A container's.
    Container(String),
    /// That of a file.
    Path(PathBuf, OwnedFd),
}

/// A namespace that a container shall live in.
#[derive(Debug)]
pub(super) struct Joined {
    /// The namespace.
    pub(super) namespace: OwnedFd,
    /// A file that it was found by, for the specification.
    pub(super) path: String,
    /// Its maps.
    pub(super) plan: Plan,
    /// What else is joined: namespaces that belong to this one.
    pub(super) more: Vec<(NamespaceKind, String, OwnedFd)>,
    /// The `/dev/shm` that comes with them.
    pub(super) shm: Option<OwnedFd>,
}

impl Joined {
    /// All of them, for the launcher.
    pub(super) fn namespaces(&self) -> Vec<(NamespaceKind, BorrowedFd<'_>)> {
        let more = self.more.iter().map(|(kind, _, namespace)| (*kind, namespace.as_fd()));
        std::iter::once((NamespaceKind::User, self.namespace.as_fd())).chain(more).collect()
    }

    /// All of them, for the specification.
    pub(super) fn paths(&self) -> Vec<(NamespaceKind, String)> {
        let more = self.more.iter().map(|(kind, path, _)| (*kind, path.clone()));
        std::iter::once((NamespaceKind::User, self.path.clone())).chain(more).collect()
    }
}

/// A user namespace cannot be joined.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// No such container.
    #[error("looking up container to share user namespace with")]
    Container(#[source] ContainersError),
    /// The container has no process, and so no namespace.
    #[error("cannot join a namespace of container {0}: it is not running")]
    NotRunning(String),
    /// There is nothing at the path, or it may not be opened.
    #[error("cannot join the user namespace {path:?}")]
    Open {
        /// As the user spelled it.
        path: PathBuf,
        /// Why.
        #[source]
        source: Errno,
    },
    /// It is none that a container of ours can be in.
    #[error("cannot join the user namespace of {whose}")]
    Unfit {
        /// A container, or a path.
        whose: String,
        /// Why.
        #[source]
        source: level_b::JoinError,
    },
}

impl Target {
    /// What the flags name, if it is a namespace that is there. A path is opened here, in U: it is the user's, and from
    /// inside A much of what U has cannot be looked at.
    pub(super) fn of(choice: &Choice) -> Result<Option<Self>, JoinError> {
        Ok(match choice {
            Choice::Mode(level_b::Mode::Container(name)) => Some(Self::Container(name.clone())),
            Choice::Mode(level_b::Mode::Namespace(path)) => {
                let failed = |source| JoinError::Open { path: path.clone(), source };
                // A pipe must not hold us up, nor a terminal become ours.
                let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
                Some(Self::Path(path.clone(), openat(CWD, path, flags, Mode::empty()).map_err(failed)?))
            }
            _ => None,
        })
    }

    /// Opens the namespace and reads its maps.
    pub(super) fn open(self, containers: &Containers, a: &LevelA) -> Result<Joined, RunError> {
        let (whose, path, namespace) = match self {
            Self::Container(name) => {
                let container = containers.find(&name).map_err(JoinError::Container)?;
                let (path, namespace) = namespace_of(&container, "user")?;
                (format!("container {name}"), path, namespace)
            }
            Self::Path(path, namespace) => {
                (path.display().to_string(), path.to_string_lossy().into_owned(), namespace)
            }
        };
        let unfit = |source| JoinError::Unfit { whose, source };
        let plan = level_b::join(namespace.as_fd(), a).map_err(unfit)?;
        Ok(Joined { namespace, path, plan, more: Vec::new(), shm: None })
    }
}

/// A namespace of a container's first process, and the file it is found by.
pub(super) fn namespace_of(container: &Container, name: &str) -> Result<(String, OwnedFd), RunError> {
    let not_running = || JoinError::NotRunning(container.record.name.clone());
    let state = container.state.as_ref().ok_or_else(not_running)?;
    let path = format!("/proc/{}/ns/{name}", state.init.pid);
    let opened = openat(CWD, &path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
    // It went by the number, which was that process's throughout if it still lives.
    if !container.is_running()? {
        return Err(not_running().into());
    }
    let namespace = opened.map_err(|source| JoinError::Open { path: path.clone().into(), source })?;
    Ok((path, namespace))
}
