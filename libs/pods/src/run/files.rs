//! Files of ours that appear in a container: hosts, host name, resolver, marker, zone.
//!
//! They are made in the container's own folder of the run directory and bound from there, so that a container can change
//! them and nobody else sees it. Whoever joins another container's network has its hosts and its resolvers, as they are when it
//! starts: a copy, so that what one writes there is not the other's.
//!
//! # Process context
//! In A. The files of another container are its own to write, so they are read with a bound; nothing but the kernel's mount leads to them
//! from inside, so a path of ours does.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use ctr_core::file::{self, FileError};
use ctr_core::rooted::{Root, TreeError};
use ctr_core::{atomic, limits};
use ctr_net::address::Inner;

use super::network::ResolversOfHost;
use super::{Note, RunError, zone};
use crate::containers::{Claim, Container, Containers, ContainersError};
use crate::create::OwnFile;
use crate::hosts::{self, Base, Here};
use crate::mounts::Mount;
use crate::namespaces::Mode;
use crate::network::{Rung, UserNetwork};
use crate::request::{HostsBase, Request};
use crate::resolver::{self, Network};
use crate::subscriptions::{self, Subscription};

/// Who a container is, for the files that say it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Who<'a> {
    pub(super) id: &'a str,
    pub(super) name: &'a str,
    pub(super) hostname: &'a str,
    pub(super) image: &'a str,
    pub(super) image_id: &'a str,
}

const HOSTS: &str = "/etc/hosts";
const RESOLV_CONF: &str = "/etc/resolv.conf";

/// Makes the files and says where they appear. What the user mounts there himself is left out.
pub(super) fn make(
    request: &Request,
    claim: &Claim,
    containers: &Containers,
    who: Who<'_>,
    resolvers: &ResolversOfHost,
    owner: Option<(u32, u32)>,
    notes: &mut Vec<Note>,
) -> Result<Vec<OwnFile>, RunError> {
    let (dir, mounts) = (&*claim.dir, &*request.storage.mounts);
    let mut files = Files { dir, mounts, owner, made: Vec::with_capacity(5) };
    match &request.namespaces.network {
        Mode::Container(id) => files.share(request, &owner_of_network(containers, id)?, who)?,
        Mode::Private | Mode::Host | Mode::Path(_) => {
            if !request.hosts.none {
                // That of the image is known when its root is mounted.
                let base = base_of_hosts(&request.hosts.base)?;
                files.add(HOSTS, "hosts", || {
                    Ok(hosts_file(request, &own_names(who.hostname, who.name), &base)?.into_bytes())
                })?;
            }
            if !request.resolver.image {
                files.add(RESOLV_CONF, "resolv.conf", || Ok(resolver(request, resolvers)))?;
            }
        }
    }
    if !request.hosts.no_hostname {
        files.add("/etc/hostname", "hostname", || Ok(format!("{}\n", who.hostname).into_bytes()))?;
    }
    files.add("/run/.containerenv", ".containerenv", || Ok(marker(request, who).into_bytes()))?;
    if request.timezone.is_some() {
        // What is in it, or that it is not needed, is known when the image's own zones are.
        files.add(zone::LOCALTIME, "localtime", || Ok(Vec::new()))?;
    }
    if !request.storage.subscriptions.is_empty() {
        files.subscribe(&request.storage.subscriptions, &claim.layer.join("subscriptions"), notes)?;
    }
    Ok(files.made)
}

struct Files<'a> {
    dir: &'a Path,
    mounts: &'a [Mount],
    /// The container's root, where that is not whoever writes them.
    owner: Option<(u32, u32)>,
    made: Vec<OwnFile>,
}

impl Files<'_> {
    fn add(
        &mut self,
        target: &'static str,
        name: &str,
        content: impl FnOnce() -> Result<Vec<u8>, RunError>,
    ) -> Result<(), RunError> {
        if self.is_covered(target) {
            return Ok(());
        }
        let path = self.dir.join(name);
        // Nobody reads it before the container starts, so it need not appear at once.
        std::fs::write(&path, content()?).map_err(|error| FileError::new("write", &path, error))?;
        if let Some((uid, gid)) = self.owner {
            std::os::unix::fs::chown(&path, Some(uid), Some(gid))
                .map_err(|error| FileError::new("change the owner of", &path, error))?;
        }
        self.made.push(OwnFile { target: target.to_owned(), source: path.to_string_lossy().into_owned() });
        Ok(())
    }

    /// Copies what a container has whose network this one joins. What that one left to its image is left to the image here too.
    fn share(&mut self, request: &Request, other: &Container, who: Who<'_>) -> Result<(), RunError> {
        let theirs = |name| match file::read(&other.folder.join(name), limits::SYSTEM_FILE) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(error),
        };
        if !request.hosts.none
            && let Some(text) = theirs("hosts")?
        {
            let text =
                hosts::shared_file(&String::from_utf8_lossy(&text), &own_names(who.hostname, who.name));
            self.add(HOSTS, "hosts", || Ok(text.into_bytes()))?;
        }
        match theirs("resolv.conf")? {
            Some(text) if !request.resolver.image => self.add(RESOLV_CONF, "resolv.conf", || Ok(text)),
            _ => Ok(()),
        }
    }

    /// A folder of the host that is bound over /run stays as it is.
    fn is_covered(&self, target: &str) -> bool {
        self.mounts.iter().any(|mount| {
            let parent = Path::new(target).parent() == Some(Path::new(mount.target.as_str()));
            mount.target.as_str() == target || (parent && target.starts_with("/run/") && mount.is_of_host())
        })
    }

    /// Copies what `mounts.conf` lists; of what cannot be copied, the container gets nothing, as with podman.
    fn subscribe(
        &mut self,
        asked: &[Subscription],
        into: &Path,
        notes: &mut Vec<Note>,
    ) -> Result<(), RunError> {
        // An earlier start's, with what the container made of it.
        if let Some(parent) = into.parent() {
            atomic::private_directory(parent)?;
            Root::open(parent)?.remove_tree("subscriptions")?;
        }
        atomic::private_directory(into)?;
        for (at, Subscription { source, target }) in asked.iter().enumerate() {
            let copy = into.join(at.to_string());
            if self.is_covered(target.as_str()) {
                continue;
            }
            match subscriptions::copy(source, &copy) {
                Ok(true) => self.made.push(OwnFile {
                    target: target.as_str().to_owned(),
                    source: copy.to_string_lossy().into_owned(),
                }),
                Ok(false) => {}
                Err(FileError { path, source, .. }) => notes.push(Note::NotCopied(path, source.to_string())),
            }
        }
        Ok(())
    }
}

/// Whose network a container has that joins another one's: that one may have joined it, too.
fn owner_of_network(containers: &Containers, id: &str) -> Result<Container, ContainersError> {
    let mut owner = containers.find(id)?;
    // As many as a chain has that somebody made: none can be longer than there are containers, nor lead back.
    while let Some(id) = owner.record.host.network.strip_prefix("container:") {
        owner = containers.find(id)?;
    }
    Ok(owner)
}

/// The lines that the file begins with; of an image's none yet.
fn base_of_hosts(base: &HostsBase) -> Result<String, FileError> {
    match base {
        // A host without the file is one with an empty file.
        HostsBase::Host => {
            let bytes = file::read_system(Path::new(HOSTS), limits::SYSTEM_FILE).unwrap_or_default();
            Ok(String::from_utf8(bytes).unwrap_or_default())
        }
        HostsBase::None | HostsBase::Image => Ok(String::new()),
        HostsBase::File(path) => file::read_text(path, limits::SYSTEM_FILE),
    }
}

/// Writes the hosts once more where they begin with the image's, whose root is mounted by now.
pub(super) fn settle(
    request: &Request,
    root: &Root,
    files: &[OwnFile],
    names: &[&str],
) -> Result<(), RunError> {
    let joins = matches!(request.namespaces.network, Mode::Container(_));
    let ours = files.iter().find(|file| file.target == HOSTS);
    let Some(ours) = ours.filter(|_| !joins && request.hosts.base == HostsBase::Image) else { return Ok(()) };
    let text = hosts_file(request, names, &read_of_image(root)?)?;
    Ok(std::fs::write(&ours.source, text).map_err(|error| FileError::new("write", &ours.source, error))?)
}

fn read_of_image(root: &Root) -> Result<String, TreeError> {
    match root.read_bounded(HOSTS, limits::SYSTEM_FILE) {
        Ok(text) => Ok(String::from_utf8_lossy(&text).into_owned()),
        Err(error) if error.is_missing() => Ok(String::new()),
        Err(error) => Err(error),
    }
}

/// What a container is called, by itself first.
pub(super) fn own_names<'n>(hostname: &'n str, name: &'n str) -> Vec<&'n str> {
    if hostname == name { vec![hostname] } else { vec![hostname, name] }
}

fn hosts_file(request: &Request, names: &[&str], base: &str) -> Result<String, RunError> {
    let inner = request.namespaces.user_network.as_ref().map(UserNetwork::inner);
    let here = Here {
        names,
        address: inner.map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |inner| inner.v4.container.into()),
        host: request.hosts.internal.or(Some(host_within(request))),
    };
    let stays = request.hosts.base.is_asked_for();
    Ok(hosts::hosts_file(Base { text: base, stays }, &request.hosts.add, here)?)
}

/// Where the host is to who is in a container's network, so that its names always stand for something.
///
/// In networks of ours, and of our containers, that is the alias; in one that reaches nobody too, where it is as unreachable as all else
/// and tells nothing of the host. What else there is somebody has wired who knows the host as its neighbours do.
fn host_within(request: &Request) -> IpAddr {
    if request.namespaces.has_network_of_machine() {
        return Ipv4Addr::LOCALHOST.into();
    }
    request.hosts.seen.unwrap_or(Inner::default().v4.host.into())
}

/// Who is asked for names: the host's resolvers, or the gateway, which asks them.
fn resolver(request: &Request, resolvers: &ResolversOfHost) -> Vec<u8> {
    let modes = &request.namespaces;
    let network = match (&modes.network, &modes.user_network) {
        (Mode::Host | Mode::Path(_), _) => Network::Host,
        // Whose names are asked for by nobody.
        (Mode::Private, Some(user)) if user.mode == Some(Rung::Published) => Network::None,
        (Mode::Private, Some(user)) => Network::Gateway(user.inner().v4.gateway.into()),
        (Mode::Private, None) | (Mode::Container(_), _) => Network::None,
    };
    let host = match network {
        Network::None => &[],
        _ => resolvers.text(),
    };
    resolver::resolv_conf(&request.resolver, network, host)
}

fn marker(request: &Request, who: Who<'_>) -> String {
    if request.privileges.privileged {
        hosts::containerenv(env!("CARGO_PKG_VERSION"), who.name, who.id, who.image, who.image_id)
    } else {
        String::new()
    }
}
