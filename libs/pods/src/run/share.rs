//! `--pid container:`, `--ipc container:` and their like: namespaces of another container.
//!
//! # Theory of operation
//! To enter a namespace takes power over the user namespace that owns it, and only those inside have that. So a container
//! that shares anything of another lives in that one's user namespace too. What is shared is named when the container is
//! made and found when it starts: the other one has to run then. With the System V and POSIX objects comes the other's
//! `/dev/shm`.
//!
//! # Process context
//! [`settle`] and [`Shares::find`] read records, in U. [`Shares::open`] is called in A.

use std::collections::BTreeSet;
use std::os::fd::{AsFd, OwnedFd};

use ctr_runtime::spec::NamespaceKind;
use ctr_userns::level_b::{self, Choice};
use rustix::fs::fstat;
use rustix::io::Errno;

use super::RunError;
use super::join::{Joined, Target, namespace_of};
use crate::containers::{Container, Containers, ContainersError};
use crate::namespaces::{Mode, Namespaces};
use crate::request::Request;

/// A namespace cannot be shared.
#[derive(Debug, thiserror::Error)]
pub enum ShareError {
    /// It is not there.
    #[error(transparent)]
    Containers(#[from] ContainersError),
    /// Its owner keeps it to itself.
    #[error(
        "joining IPC of container {0} is not allowed: non-shareable IPC (hint: use IpcMode:shareable for the donor container)"
    )]
    NotShareable(String),
    /// The container shall have ids of its own.
    #[error(
        "a container that shares namespaces of {0} has its user namespace too: it cannot have ids of its own"
    )]
    OwnIds(String),
    /// The host name belongs to the other container.
    #[error("cannot set the hostname of a container that shares the UTS namespace of {0}")]
    Hostname(String),
    /// Two containers in two user namespaces.
    #[error(
        "cannot share namespaces of {0} beside those of another container: it has another user namespace"
    )]
    Apart(String),
    /// Its `/dev/shm` cannot be had.
    #[error("cannot share /dev/shm of container {container}")]
    Memory {
        /// Whose.
        container: String,
        /// Why.
        #[source]
        source: Errno,
    },
}

/// Puts ids for the names of containers whose namespaces are shared; what is settled stays as it is.
pub(crate) fn settle(containers: &Containers, request: &mut Request) -> Result<(), ShareError> {
    let own_ids = has_own_ids(request);
    let mut hostname = None;
    for (kind, _, mode) in request.namespaces.shared() {
        let Mode::Container(name) = mode else { continue };
        let other = containers.find(name)?;
        let id = other.record.id.to_string();
        if kind == NamespaceKind::Ipc && matches!(other.record.host.ipc.as_str(), "private" | "none") {
            return Err(ShareError::NotShareable(id));
        }
        if own_ids {
            return Err(ShareError::OwnIds(other.record.name));
        }
        if kind == NamespaceKind::Uts {
            if request.hostname.as_ref().is_some_and(|own| *own != other.record.hostname) {
                return Err(ShareError::Hostname(other.record.name));
            }
            hostname = Some(other.record.hostname);
        }
        *name = id;
    }
    if hostname.is_some() {
        request.hostname = hostname;
    }
    Ok(())
}

fn has_own_ids(request: &Request) -> bool {
    let asked = &request.userns;
    let maps = !asked.uidmap.is_empty() || !asked.gidmap.is_empty();
    let mode = asked.mode.as_deref().unwrap_or_default();
    let shared = matches!(mode, "" | "host" | "private") || mode.starts_with("container:");
    maps || asked.subuidname.is_some() || asked.subgidname.is_some() || !shared
}

/// What a container that starts shares of others.
#[derive(Debug, Default)]
pub(super) struct Shares(Vec<(NamespaceKind, &'static str, Container)>);

impl Shares {
    /// Looks up whose namespaces they are. What somebody else has of the host, be it through others, is the host's.
    pub(super) fn find(containers: &Containers, namespaces: &mut Namespaces) -> Result<Self, ShareError> {
        let mut found = Vec::new();
        for (kind, name, mode) in namespaces.shared() {
            let Mode::Container(id) = &*mode else { continue };
            let other = containers.find(id)?;
            if is_the_hosts(containers, &other, kind)? {
                *mode = Mode::Host;
            } else {
                found.push((kind, name, other));
            }
        }
        Ok(Self(found))
    }

    /// Whose user namespace comes with them.
    pub(super) fn owner(&self) -> Option<&Container> {
        self.0.first().map(|(_, _, other)| other)
    }

    /// The user namespace that comes with them, unless it is chosen already.
    pub(super) fn target(&self, choice: &Choice) -> Option<Target> {
        let other = self.owner()?;
        let chosen =
            matches!(choice, Choice::Mode(level_b::Mode::Container(_) | level_b::Mode::Namespace(_)));
        (!chosen).then(|| Target::Container(other.record.id.to_string()))
    }

    /// Opens them, beside the user namespace.
    pub(super) fn open(&self, joined: &mut Joined) -> Result<(), RunError> {
        let seen = |namespace: &OwnedFd| fstat(namespace).map(|stat| (stat.st_dev, stat.st_ino)).ok();
        let own = seen(&joined.namespace);
        for (kind, name, other) in &self.0 {
            let (path, namespace) = namespace_of(other, name)?;
            let owner = ctr_sys::userns::owning(namespace.as_fd()).ok().as_ref().and_then(seen);
            if own.is_none() || owner != own {
                return Err(ShareError::Apart(other.record.name.clone()).into());
            }
            if *kind == NamespaceKind::Ipc {
                joined.shm = Some(memory(other)?);
            }
            joined.more.push((*kind, path, namespace));
        }
        Ok(())
    }
}

/// Whether a container has a namespace from the host, or from one that has it from there.
fn is_the_hosts(
    containers: &Containers,
    container: &Container,
    kind: NamespaceKind,
) -> Result<bool, ContainersError> {
    let mut seen = BTreeSet::new();
    let mut at = Some(container.clone());
    while let Some(one) = at.take().filter(|one| seen.insert(one.record.id.clone())) {
        let mode = one.record.host.namespaces().into_iter().find(|(other, ..)| *other == kind);
        let Some((_, _, mode)) = mode else { continue };
        match mode.strip_prefix("container:") {
            Some(id) => at = containers.by_id(id)?,
            None => return Ok(mode == "host"),
        }
    }
    Ok(false)
}

/// A copy of the mount on a container's `/dev/shm`, which only those in its mount namespace can make.
fn memory(of: &Container) -> Result<OwnedFd, RunError> {
    let (_, mounts) = namespace_of(of, "mnt")?;
    let copied = ctr_sys::userns::copy_mount_of(mounts.as_fd(), c"dev/shm");
    Ok(copied.map_err(|source| ShareError::Memory { container: of.record.name.clone(), source })?)
}
