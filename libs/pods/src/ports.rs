//! Published ports of a container: what `-p`, `-P` and `--expose` ask for, and the sockets that come of it.
//!
//! ```text
//! flags, image ──▶ arranged: one list without contradictions ──▶ bound, before anything is made ──▶ the record, `netd`
//! ```
//! A port that is left to us is chosen when the container is made and is its own from then on. The sockets are bound by this process,
//! which has the user's own rights over the host's ports, once more at each start.

use ctr_core::file::FileError;
use ctr_core::oci::RunConfig;
pub use ctr_net::publish;
use ctr_net::publish::bind::{self, BindError, Ports, places};
use ctr_net::publish::{Exposed, Mapping, Place, PublishError, arrange, holder};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::containers::{Container, Containers, ContainersError};
use crate::namespaces::Namespaces;

pub mod change;

/// What was asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortsRequest {
    /// `-p`; once the container is made, all that it publishes.
    pub publish: Vec<Mapping>,
    /// `--expose`.
    pub expose: Vec<String>,
    /// `-P`: what is exposed is published.
    pub all: bool,
}

/// Ports cannot be published.
#[derive(Debug, thiserror::Error)]
pub enum PortsError {
    /// What was asked for.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// More than anybody serves.
    #[error(
        "cannot publish {count} ports: each takes a socket for IPv4 and one for IPv6, and there may be {MOST}"
    )]
    TooMany {
        /// How many there would be.
        count: usize,
    },
    /// Somebody has one.
    #[error("cannot publish {place}: address already in use by {by}")]
    Taken {
        /// Which.
        place: Place,
        /// Who.
        by: String,
    },
    /// A port below those that everybody may have.
    #[error("cannot publish {place}: ports below {first} need permission on this machine")]
    Privileged {
        /// Which.
        place: Place,
        /// Where it leads.
        inside: u16,
        /// The first that is not.
        first: u16,
        /// What the kernel says.
        #[source]
        source: Errno,
    },
    /// An address that this machine has not, and the like.
    #[error(transparent)]
    Bind(BindError),
    /// Other containers cannot be read.
    #[error(transparent)]
    Containers(#[from] ContainersError),
    /// Nor their state.
    #[error(transparent)]
    File(#[from] FileError),
}

/// How many sockets there may be.
const MOST: usize = 8192;

/// When ports are bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// The container is started at once.
    Now,
    /// It is only made: all that has to be known is which ports it has.
    AtStart,
}

impl PortsRequest {
    /// All that is exposed, by an image too.
    ///
    /// # Errors
    /// What a flag or the image says is no port.
    pub fn exposed(&self, image: &RunConfig) -> Result<Exposed, PublishError> {
        let mut exposed = Exposed::default();
        let texts = image.exposed_ports.keys().chain(&self.expose);
        texts.into_iter().try_for_each(|text| exposed.add(text))?;
        Ok(exposed)
    }

    /// One list of all that it publishes.
    fn arranged(&self, image: &RunConfig) -> Result<Vec<Mapping>, PublishError> {
        let exposed = if self.all { self.exposed(image)? } else { Exposed::default() };
        arrange(&self.publish, &exposed)
    }
}

/// Decides which ports a new container has: from here on the request names each.
pub(crate) fn settle(
    request: &mut PortsRequest,
    namespaces: &Namespaces,
    image: &RunConfig,
    when: When,
    containers: &Containers,
) -> Result<Ports, PortsError> {
    let arranged = request.arranged(image)?;
    if arranged.is_empty() || namespaces.user_network.is_none() {
        return Ok(Ports::default());
    }
    match when {
        When::Now => {
            let ports = bind_all(&arranged, containers)?;
            request.publish.clone_from(&ports.mappings);
            Ok(ports)
        }
        When::AtStart => {
            let choose = |mapping: &Mapping| match mapping.outside {
                0 => Ok(bind_all(&[*mapping], containers)?.mappings),
                _ => Ok(vec![*mapping]),
            };
            let chosen: Result<Vec<_>, PortsError> = arranged.iter().map(choose).collect();
            request.publish = chosen?.concat();
            Ok(Ports::default())
        }
    }
}

/// Binds what a container publishes, before it is started.
pub(crate) fn bind_all(mappings: &[Mapping], containers: &Containers) -> Result<Ports, PortsError> {
    if bind::count(mappings) > MOST {
        let count = mappings.iter().map(|mapping| usize::from(mapping.count)).sum();
        return Err(PortsError::TooMany { count });
    }
    bind::bind(mappings).map_err(|error| explain(error, mappings, containers))
}

/// Whether a port that a new container is to have is for others than this user, which nothing but the machine has to be asked for.
///
/// # Errors
/// It is.
pub fn check(request: &PortsRequest, namespaces: &Namespaces) -> Result<(), PortsError> {
    if namespaces.user_network.is_none() || request.publish.is_empty() {
        return Ok(());
    }
    // Where nobody says which ports are for whom, that is heard when they are bound.
    let Ok(first) = bind::first_unprivileged() else { return Ok(()) };
    let low = request.publish.iter().filter(|mapping| (1..first).contains(&mapping.outside));
    for mapping in low {
        if let Err(error) = bind::bind(std::slice::from_ref(mapping))
            && error.is_forbidden()
        {
            return Err(forbidden(error, &request.publish));
        }
    }
    Ok(())
}

/// Who is in the way, or what is to be done.
fn explain(error: BindError, mappings: &[Mapping], containers: &Containers) -> PortsError {
    let place = error.place;
    if error.is_taken() {
        return match owner(place, containers) {
            Ok(by) => PortsError::Taken { place, by },
            Err(other) => other,
        };
    }
    if error.is_forbidden() { forbidden(error, mappings) } else { PortsError::Bind(error) }
}

fn forbidden(error: BindError, mappings: &[Mapping]) -> PortsError {
    let BindError { place, source } = error;
    let mut leads = mappings.iter().filter(|it| it.transport == place.transport).flat_map(Mapping::pairs);
    let inside = leads.find_map(|(outside, inside)| (outside == place.at.port()).then_some(inside));
    match (bind::first_unprivileged(), inside) {
        (Ok(first), Some(inside)) if place.at.port() < first => {
            PortsError::Privileged { place, inside, first, source }
        }
        _ => PortsError::Bind(BindError { place, source }),
    }
}

fn owner(place: Place, containers: &Containers) -> Result<String, PortsError> {
    for container in containers.list()? {
        if has(&container, place) && container.is_running()? {
            return Ok(format!("container {} ({})", container.record.name, container.record.id.short()));
        }
    }
    Ok(match holder::of(place) {
        Some(holder) => format!("process {} ({})", holder.pid, holder.name),
        None => "a process of another user, or of another network namespace that shares the port".to_owned(),
    })
}

/// Whether a container publishes a place, or all that is in its way.
fn has(container: &Container, wanted: Place) -> bool {
    let bound = container.record.ports.iter().flat_map(|mapping| {
        mapping.pairs().flat_map(|(outside, _)| places(mapping, outside)).collect::<Vec<_>>()
    });
    bound.into_iter().any(|place| place.meets(&wanted))
}
