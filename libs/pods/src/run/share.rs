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

use std::borrow::Cow;
use std::os::fd::{AsFd, OwnedFd};

use ctr_runtime::spec::NamespaceKind;
use ctr_userns::level_b::{self, Choice};
use rustix::fs::fstat;
use rustix::io::Errno;

use super::RunError;
use super::join::{Joined, Target, namespace_of};
use crate::containers::{Container, Containers};
use crate::namespaces::{Mode, Namespaces};
use crate::request::Request;

/// A namespace cannot be shared.
#[derive(Debug, thiserror::Error)]
pub enum ShareError {
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

/// Puts ids for the names of containers whose namespaces are shared.
pub(super) fn settle(containers: &Containers, request: &mut Request) -> Result<(), RunError> {
    let own_ids = has_own_ids(request);
    let mut hostname = None;
    for (kind, mode) in request.namespaces.shared() {
        let Mode::Container(name) = mode else { continue };
        let other = containers.find(name).map_err(RunError::Containers)?;
        let id = other.record.id.to_string();
        if kind == "ipc" && matches!(other.record.host.ipc.as_str(), "private" | "none") {
            return Err(ShareError::NotShareable(id).into());
        }
        if own_ids {
            return Err(ShareError::OwnIds(other.record.name).into());
        }
        if kind == "uts" {
            if request.hostname.is_some() {
                return Err(ShareError::Hostname(other.record.name).into());
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
#[derive(Debug)]
pub(super) struct Shares(Vec<(NamespaceKind, &'static str, Container)>);

impl Shares {
    /// Of a container that is made and started at once.
    pub(super) fn of_new<'a>(
        containers: &Containers,
        request: &'a Request,
    ) -> Result<(Cow<'a, Request>, Self), RunError> {
        if request.namespaces.owners().next().is_none() {
            return Ok((Cow::Borrowed(request), Self(Vec::new())));
        }
        let mut request = request.clone();
        settle(containers, &mut request)?;
        let shares = Self::find(containers, &mut request.namespaces)?;
        Ok((Cow::Owned(request), shares))
    }

    /// Looks up whose namespaces they are. What somebody else has of the host is the host's.
    pub(super) fn find(containers: &Containers, namespaces: &mut Namespaces) -> Result<Self, RunError> {
        let mut found = Vec::new();
        for (name, mode) in namespaces.shared() {
            let Mode::Container(id) = &*mode else { continue };
            let other = containers.find(id).map_err(RunError::Containers)?;
            let host = &other.record.host;
            let (kind, theirs) = match name {
                "pid" => (NamespaceKind::Pid, &host.pid),
                "ipc" => (NamespaceKind::Ipc, &host.ipc),
                "uts" => (NamespaceKind::Uts, &host.uts),
                "cgroup" => (NamespaceKind::Cgroup, &host.cgroup),
                _ => (NamespaceKind::Network, &host.network),
            };
            if theirs == "host" {
                *mode = Mode::Host;
            } else {
                found.push((kind, name, other));
            }
        }
        Ok(Self(found))
    }

    /// The user namespace that comes with them, unless it is chosen already.
    pub(super) fn target(&self, choice: &Choice) -> Option<Target> {
        let (_, _, other) = self.0.first()?;
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

/// A copy of the mount on a container's `/dev/shm`, which only those in its mount namespace can make.
fn memory(of: &Container) -> Result<OwnedFd, RunError> {
    let (_, mounts) = namespace_of(of, "mnt")?;
    let copied = ctr_sys::userns::copy_mount_of(mounts.as_fd(), c"dev/shm");
    Ok(copied.map_err(|source| ShareError::Memory { container: of.record.name.clone(), source })?)
}
