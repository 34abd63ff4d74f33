//! Ports of a container that is there already: added and taken away, also while it runs.
//!
//! Sockets are bound here, by the user's own rights, and go to the container's monitor, which has them for whoever serves the network,
//! now and later. The record says what is published, so that the next start does the same.

use std::time::{Duration, Instant};

use ctr_core::lock::Lock;
use ctr_net::publish::bind::{self, places};
use ctr_net::publish::{Exposed, Mapping, arrange};
use ctr_sys::monitor::MOST_ADDED;
use rustix::io::Errno;

use super::{PortsError, bind_all};
use crate::attach::{ConnectError, Connection, Wants};
use crate::containers::{Claim, Container, Containers, ContainersError, Kind};

/// Ports cannot be changed.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// What was asked for.
    #[error(transparent)]
    Ports(#[from] PortsError),
    /// The container's records.
    #[error(transparent)]
    Containers(#[from] ContainersError),
    /// Its monitor.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// It has no record that outlives it, and no monitor.
    #[error(
        "container {0} is the child of the command that runs it: its ports are those that it was run with"
    )]
    Fleeting(String),
    /// Nobody outside reaches it.
    #[error(
        "container {name} has no network of its own (--network {network}), so nothing of it can be published"
    )]
    NoNetwork {
        /// Which.
        name: String,
        /// What it has.
        network: String,
    },
    /// Nothing to take away.
    #[error("container {name} publishes nothing at {port}")]
    NotPublished {
        /// Which.
        name: String,
        /// What was named.
        port: String,
    },
    /// Neither does it run, nor can it be held.
    #[error("container {0} is about to be started or removed by another command")]
    Busy(String),
    /// More than a monitor takes.
    #[error("cannot add {count} sockets to a container: there may be {MOST_ADDED}")]
    TooMany {
        /// How many it would be.
        count: usize,
    },
    /// Its monitor could not do it.
    #[error("the container's monitor cannot change its ports")]
    Monitor(#[source] Errno),
}

/// How long a container may be on its way to run or to rest.
const PATIENCE: Duration = Duration::from_secs(10);

/// A container whose ports nobody else changes.
struct Alone {
    /// What is true of it now.
    container: Container,
    monitor: Option<Connection>,
    /// Where it has no monitor: nobody starts it meanwhile, and without what is about to be written down.
    _claim: Option<Claim>,
    _lock: Lock,
}

/// Keeps others from changing the ports of a container, and finds who serves them, if anybody does.
fn hold(containers: &Containers, container: &Container) -> Result<Alone, ChangeError> {
    let name = || container.record.name.clone();
    if container.kind == Kind::Fleeting {
        return Err(ChangeError::Fleeting(name()));
    }
    if container.request()?.namespaces.user_network.is_none() {
        return Err(ChangeError::NoNetwork { name: name(), network: container.record.host.network.clone() });
    }
    let (lock, mut container) = containers.changing(container)?;
    let end = Instant::now() + PATIENCE;
    loop {
        let connected = container.is_running().map_err(PortsError::from)?.then(|| connect(&container));
        if let Some(Ok(monitor)) = connected {
            return Ok(Alone { container, monitor: Some(monitor), _claim: None, _lock: lock });
        }
        if let Some((claim, container)) = containers.hold(&container)? {
            return Ok(Alone { container, monitor: None, _claim: Some(claim), _lock: lock });
        }
        // Whoever has it is starting it, or removing it, or has not got far enough to listen.
        if Instant::now() >= end {
            connected.transpose()?;
            return Err(ChangeError::Busy(name()));
        }
        let id = container.record.id.as_str();
        container = containers.by_id(id)?.ok_or_else(|| ContainersError::NotFound(id.to_owned()))?;
    }
}

/// Publishes more ports; those that are left to us are chosen now.
///
/// # Errors
/// One of them cannot be had: then none is.
pub fn add(
    containers: &Containers,
    container: &Container,
    wanted: &[Mapping],
) -> Result<Vec<Mapping>, ChangeError> {
    let Alone { container, monitor, .. } = &hold(containers, container)?;
    let together = |more: &[Mapping]| {
        let all = [&container.record.ports, more].concat();
        arrange(&all, &Exposed::default()).map_err(PortsError::from)
    };
    together(wanted)?;
    let count = bind::count(wanted);
    if count > MOST_ADDED {
        return Err(ChangeError::TooMany { count });
    }
    let ports = bind_all(wanted, containers)?;
    let all = together(&ports.mappings)?;
    let published = match monitor {
        Some(monitor) => monitor.publish(&ports.sockets)?.map_err(ChangeError::Monitor),
        None => Ok(()),
    };
    let done = published.and_then(|()| Ok(containers.publish_anew(container, all)?));
    if let (Err(_), Some(monitor)) = (&done, monitor) {
        for place in ports.mappings.iter().flat_map(single).flat_map(|one| places(&one, one.outside)) {
            // The first error is the one that counts.
            monitor.withdraw(place).ok();
        }
    }
    done.map(|()| ports.mappings)
}

/// Publishes ports no longer. A wish with a port of the host's is for that alone, one without is for all that lead to the port inside.
///
/// # Errors
/// There is nothing published that one of them names.
pub fn remove(containers: &Containers, container: &Container, wanted: &[Mapping]) -> Result<(), ChangeError> {
    let Alone { container, monitor, .. } = &hold(containers, container)?;
    let published: Vec<Mapping> = container.record.ports.iter().flat_map(single).collect();
    for wish in wanted.iter().flat_map(single) {
        if !published.iter().any(|one| means(&wish, one)) {
            let port = format!("{}/{}", wish.inside, wish.transport);
            return Err(ChangeError::NotPublished { name: container.record.name.clone(), port });
        }
    }
    let is_wanted = |one: &Mapping| wanted.iter().flat_map(single).any(|wish| means(&wish, one));
    let (gone, kept): (Vec<Mapping>, Vec<Mapping>) = published.iter().partition(|one| is_wanted(one));
    if let Some(monitor) = monitor {
        for place in gone.iter().flat_map(|one| places(one, one.outside)) {
            match monitor.withdraw(place)? {
                // On a host without IPv6 there was none for that.
                Ok(()) | Err(Errno::NOENT) => {}
                Err(errno) => return Err(ChangeError::Monitor(errno)),
            }
        }
    }
    let kept = arrange(&kept, &Exposed::default()).map_err(PortsError::from)?;
    Ok(containers.publish_anew(container, kept)?)
}

fn connect(container: &Container) -> Result<Connection, ConnectError> {
    Connection::open(&container.folder, Wants { output: false, input: false })
}

/// Each port of a mapping by itself.
fn single(mapping: &Mapping) -> impl Iterator<Item = Mapping> + use<> {
    let mapping = *mapping;
    mapping.pairs().map(move |(outside, inside)| Mapping { outside, inside, count: 1, ..mapping })
}

/// Whether a wish is for one that is published.
fn means(wish: &Mapping, one: &Mapping) -> bool {
    wish.transport == one.transport
        && wish.inside == one.inside
        && (wish.outside == 0 || wish.outside == one.outside)
        && (wish.address.is_none() || wish.address == one.address)
}

#[cfg(test)]
mod tests {
    use ctr_net::publish::parse;

    use super::*;

    #[test]
    fn a_wish_means_what_it_does_not_leave_open() {
        let one = parse("127.0.0.1:8080:80").unwrap().remove(0);
        for (wish, is_meant) in [
            ("80", true),
            ("8080:80", true),
            ("127.0.0.1:8080:80", true),
            ("127.0.0.1::80", true),
            ("81", false),
            ("80/udp", false),
            ("8081:80", false),
            ("127.0.0.2:8080:80", false),
        ] {
            assert_eq!(means(&parse(wish).unwrap()[0], &one), is_meant, "{wish}");
        }
    }

    #[test]
    fn a_range_is_its_ports() {
        let range = parse("8080-8082:80-82").unwrap().remove(0);
        let ports: Vec<_> = single(&range).map(|one| (one.outside, one.inside, one.count)).collect();
        assert_eq!(ports, [(8080, 80, 1), (8081, 81, 1), (8082, 82, 1)]);
    }
}
