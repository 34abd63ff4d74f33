//! `--pid container:`, `--ipc container:` and their like: namespaces of another container; and of a file, as far as that is one of
//! the network ([`super::netns`]).
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

use ctr_net::host;
use ctr_runtime::spec::NamespaceKind;
use ctr_userns::level_a::LevelA;
use ctr_userns::level_b::{self, Choice};
use rustix::fs::fstat;
use rustix::io::Errno;

use super::RunError;
use super::join::{Joined, Target, namespace_of};
use super::netns::{Network, NetworkNamespaceError};
use crate::containers::{Container, Containers, ContainersError};
use crate::namespaces::Mode;
use crate::request::Request;

/// A namespace cannot be shared.
#[derive(Debug, thiserror::Error)]
pub enum ShareError {
    /// It is not there.
    #[error(transparent)]
    Containers(#[from] ContainersError),
    /// A file's.
    #[error(transparent)]
    Network(#[from] NetworkNamespaceError),
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
pub(super) struct Shares {
    of_containers: Vec<(NamespaceKind, &'static str, Container)>,
    network: Option<Network>,
}

impl Shares {
    /// Looks up whose namespaces they are. What somebody else has of the host, be it through others, is the host's.
    pub(super) fn find(containers: &Containers, request: &mut Request) -> Result<Self, ShareError> {
        let own_ids = has_own_ids(request);
        let namespaces = &mut request.namespaces;
        if let Some(path) = namespaces.entered.take() {
            namespaces.network = Mode::Path(path);
        }
        let mut of_containers = Vec::new();
        for (kind, name, mode) in namespaces.shared() {
            let Mode::Container(id) = &*mode else { continue };
            let other = containers.find(id)?;
            match foreign(containers, &other, kind)? {
                Some(theirs) => *mode = theirs,
                None => of_containers.push((kind, name, other)),
            }
        }
        let network = match &namespaces.network {
            Mode::Path(path) => Network::open(path)?,
            _ => return Ok(Self { of_containers, network: None }),
        };
        match &network {
            Some(network) if network.is_of_a_container() => {
                if own_ids {
                    return Err(ShareError::OwnIds(network.path.display().to_string()));
                }
            }
            // Where we are, or will be.
            other => {
                // Before it is entered, where others are.
                request.hosts.seen = other.as_ref().and_then(|_| host::addresses().preferred());
                namespaces.entered = other.as_ref().map(|network| network.path.clone());
                namespaces.network = Mode::Host;
            }
        }
        Ok(Self { of_containers, network })
    }

    /// Whose user namespace comes with them.
    pub(super) fn owner(&self) -> Option<&Container> {
        self.of_containers.first().map(|(_, _, other)| other)
    }

    /// The user namespace that comes with them, unless it is chosen already.
    ///
    /// # Errors
    /// There can be no more descriptors.
    pub(super) fn target(&self, choice: &Choice) -> Result<Option<Target>, RunError> {
        if matches!(choice, Choice::Mode(level_b::Mode::Container(_) | level_b::Mode::Namespace(_))) {
            return Ok(Target::of(choice)?);
        }
        if let Some(other) = self.owner() {
            return Ok(Some(Target::Container(other.record.id.to_string())));
        }
        let Some(network) = &self.network else { return Ok(None) };
        Ok(network.owner()?.map(|owner| Target::Path(network.path.clone(), owner)))
    }

    /// Enters the network that belongs to A.
    pub(super) fn enter(&self, a: &LevelA) -> Result<(), RunError> {
        Ok(self.network.iter().try_for_each(|network| network.enter(a))?)
    }

    /// Opens them, beside the user namespace.
    pub(super) fn open(&self, joined: &mut Joined) -> Result<(), RunError> {
        let seen = |namespace: &OwnedFd| fstat(namespace).map(|stat| (stat.st_dev, stat.st_ino)).ok();
        let own = seen(&joined.namespace);
        for (kind, name, other) in &self.of_containers {
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
        let Some(network) = self.network.as_ref().filter(|network| network.is_of_a_container()) else {
            return Ok(());
        };
        let owner = network.owner()?;
        if own.is_none() || owner.as_ref().and_then(seen) != own {
            return Err(ShareError::Apart(network.path.display().to_string()).into());
        }
        let namespace = network.copy()?;
        joined.more.push((NamespaceKind::Network, network.path.to_string_lossy().into_owned(), namespace));
        Ok(())
    }
}

/// From where a container has a namespace, or one from which it has it, if neither made it: the host's, or a file's.
fn foreign(
    containers: &Containers,
    container: &Container,
    kind: NamespaceKind,
) -> Result<Option<Mode>, ContainersError> {
    let mut seen = BTreeSet::new();
    let mut at = Some(container.clone());
    while let Some(one) = at.take().filter(|one| seen.insert(one.record.id.clone())) {
        let mode = one.record.host.namespaces().into_iter().find(|(other, ..)| *other == kind);
        let Some((_, _, mode)) = mode else { continue };
        match mode.strip_prefix("container:") {
            Some(id) => at = containers.by_id(id)?,
            None if mode == "host" => return Ok(Some(Mode::Host)),
            None => return Ok(mode.strip_prefix("ns:").map(|path| Mode::Path(path.into()))),
        }
    }
    Ok(None)
}

/// A copy of the mount on a container's `/dev/shm`, which only those in its mount namespace can make.
fn memory(of: &Container) -> Result<OwnedFd, RunError> {
    let (_, mounts) = namespace_of(of, "mnt")?;
    let copied = ctr_sys::userns::copy_mount_of(mounts.as_fd(), c"dev/shm");
    Ok(copied.map_err(|source| ShareError::Memory { container: of.record.name.clone(), source })?)
}
