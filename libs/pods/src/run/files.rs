//! Files of ours that appear in a container: hosts, host name, resolver, marker, zone.
//!
//! They are made in the container's own folder of the run directory and bound from there, so that a container can change
//! them and nobody else sees it.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use ctr_core::file::{self, FileError};
use ctr_core::rooted::Root;
use ctr_core::{atomic, limits};
use ctr_net::dns::names::DOMAIN;
use ctr_net::dns::resolv_conf;

use super::{Note, RunError, network, zone};
use crate::containers::Claim;
use crate::create::OwnFile;
use crate::hosts::{self, Here};
use crate::mounts::Mount;
use crate::namespaces::Mode;
use crate::network::UserNetwork;
use crate::request::{HostsBase, Request};
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

/// Makes the files and says where they appear. What the user mounts there himself is left out.
pub(super) fn make(
    request: &Request,
    claim: &Claim,
    who: Who<'_>,
    notes: &mut Vec<Note>,
) -> Result<Vec<OwnFile>, RunError> {
    let mut files = Files { dir: &claim.dir, mounts: &request.storage.mounts, made: Vec::with_capacity(5) };
    if !request.hosts.none {
        files.add("/etc/hosts", "hosts", || Ok(hosts_file(request, who)?.into_bytes()))?;
    }
    files.add("/etc/resolv.conf", "resolv.conf", || Ok(resolver(request)))?;
    files.add("/etc/hostname", "hostname", || Ok(format!("{}\n", who.hostname).into_bytes()))?;
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
        self.made.push(OwnFile { target: target.to_owned(), source: path.to_string_lossy().into_owned() });
        Ok(())
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

fn hosts_file(request: &Request, who: Who<'_>) -> Result<String, RunError> {
    // A host without the file is one with an empty file.
    let host = match &request.hosts.base {
        HostsBase::Host => file::read_text(Path::new("/etc/hosts"), limits::SYSTEM_FILE).unwrap_or_default(),
        HostsBase::None => String::new(),
        HostsBase::File(path) => file::read_text(path, limits::SYSTEM_FILE)?,
    };
    let names: &[&str] = if who.hostname == who.name { &[who.hostname] } else { &[who.hostname, who.name] };
    let inner = request.namespaces.user_network.as_ref().map(UserNetwork::inner);
    let here = Here {
        names,
        address: inner.map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |inner| inner.v4.container.into()),
        host: inner.map(|inner| inner.v4.host.into()),
    };
    Ok(hosts::hosts_file(&host, &request.hosts.add, here))
}

/// The host's resolver where its network is the container's, and the gateway where there is one. Without a network there is nobody to
/// ask.
fn resolver(request: &Request) -> Vec<u8> {
    let modes = &request.namespaces;
    match (&modes.network, &modes.user_network) {
        (Mode::Host, _) => file::read(Path::new("/etc/resolv.conf"), limits::SYSTEM_FILE).unwrap_or_default(),
        (Mode::Private, Some(user)) => of_gateway(user),
        (Mode::Private, None) | (Mode::Container(_), _) => Vec::new(),
    }
}

/// Questions go to the gateway, which asks the host's resolvers: first for the network's own names, then as the host would.
fn of_gateway(user: &UserNetwork) -> Vec<u8> {
    let host = network::of_host();
    let search: Vec<String> = std::iter::once(DOMAIN.to_owned()).chain(host.search).collect();
    resolv_conf::render(&[user.inner().v4.gateway.into()], &search, &host.options).into_bytes()
}

fn marker(request: &Request, who: Who<'_>) -> String {
    if request.privileges.privileged {
        hosts::containerenv(env!("CARGO_PKG_VERSION"), who.name, who.id, who.image, who.image_id)
    } else {
        String::new()
    }
}
