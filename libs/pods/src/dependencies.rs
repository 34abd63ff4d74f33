//! Containers that others need: `--requires`, and whose namespaces are shared.
//!
//! # Theory of operation
//! A container's record names those it needs by id, decided when it is made. So that nobody has to read all records to find
//! out who needs one container, a mark with the other's id lies in the `dependents` folder of that one:
//! ```text
//! take the needed container's folder ──> see that it is still there ──> make the mark ──> publish the record
//! ```
//! Several can have the folder at once (`flock` on the folder itself). Whoever removes a container takes it alone while
//! looking for marks and removing the record: either the needed container is gone, or its need is seen.
//!
//! A mark means nothing by itself: it leads to a record, which tells. Marks of containers that are gone are removed by
//! whoever makes the next one.
//!
//! # Invariants
//! A container needs only such as were there before it: nobody needs himself.

use std::collections::BTreeSet;

use ctr_core::atomic;
use ctr_core::file::FileError;
use ctr_core::id::ContainerId;
use ctr_core::lock::Mode::{Exclusive, Shared};
use ctr_core::lock::{Lock, Waiting};

use crate::containers::{Container, Containers, ContainersError, ids_in};
use crate::request::Request;
use crate::run::share::{self, ShareError};

/// Where marks are, in the folder of a container that others need.
const MARKS: &str = "dependents";
/// How `--userns` says whose it is.
const OF_CONTAINER: &str = "container:";

/// Something about what a container needs.
#[derive(Debug, thiserror::Error)]
pub enum DependencyError {
    /// It is not there.
    #[error("{name:?} is not a valid container, cannot be used as a dependency")]
    Unfit {
        /// As the user wrote it.
        name: String,
        /// Why.
        #[source]
        source: ContainersError,
    },
    /// It was there when the container was made.
    #[error("container {id} needs a container that is not there any more")]
    Gone {
        /// Who needs it.
        id: String,
        /// Which.
        #[source]
        source: ContainersError,
    },
    /// What it needs to share a namespace of.
    #[error(transparent)]
    Share(#[from] ShareError),
    /// Records.
    #[error(transparent)]
    Containers(#[from] ContainersError),
    /// A mark.
    #[error(transparent)]
    File(#[from] FileError),
}

/// Puts ids for the names of what a request needs; what is settled stays as it is.
///
/// # Errors
/// One is not there, or its namespaces cannot be shared.
pub fn settle(request: &mut Request, containers: &Containers) -> Result<(), DependencyError> {
    for name in &mut request.requires {
        let unfit = |source| DependencyError::Unfit { name: name.clone(), source };
        *name = containers.find(name).map_err(unfit)?.record.id.to_string();
    }
    // That another's namespace cannot be joined is told by who joins it.
    if let Some(name) = whose_ids(request)
        && let Ok(found) = containers.find(name)
    {
        request.userns.mode = Some(format!("{OF_CONTAINER}{}", found.record.id));
    }
    Ok(share::settle(containers, request)?)
}

/// Whether a request needs other containers.
#[must_use]
pub fn has_any(request: &Request) -> bool {
    !request.requires.is_empty()
        || request.namespaces.owners().next().is_some()
        || whose_ids(request).is_some()
}

/// The container whose user namespace is asked for by name.
fn whose_ids(request: &Request) -> Option<&str> {
    request.userns.mode.as_deref()?.strip_prefix(OF_CONTAINER)
}

/// The ids of those that a settled request needs, each once.
#[must_use]
pub fn of(request: &Request) -> Vec<String> {
    let named = request.requires.iter().map(String::as_str).chain(whose_ids(request));
    let all: BTreeSet<&str> = named.chain(request.namespaces.owners()).collect();
    all.into_iter().filter(|id| ContainerId::parse(id).is_ok()).map(str::to_owned).collect()
}

/// Containers that nobody removes before the record of one that needs them is published.
#[derive(Debug)]
#[must_use = "as long as it is there nobody removes what is needed"]
pub struct Marked(#[expect(dead_code, reason = "they are held")] Vec<Lock>);

/// Marks what a container needs, before its record is published; `on_wait` hears who removes one of them.
///
/// # Errors
/// One is gone, or its folder cannot be written to.
pub fn mark(
    containers: &Containers,
    request: &Request,
    dependent: &ContainerId,
    on_wait: &mut dyn FnMut(&Waiting),
) -> Result<Marked, DependencyError> {
    let mut held = Vec::new();
    for id in of(request) {
        let needed = find(containers, dependent.as_str(), &id)?;
        held.extend(Lock::acquire_on(&needed.folder, Shared, on_wait)?);
        let needed = find(containers, dependent.as_str(), &id)?;
        let marks = needed.folder.join(MARKS);
        atomic::private_directory(&marks)?;
        for stale in marks_of(&needed)? {
            // One that is being made has no record yet, and marks what it needs all the same.
            if !containers.has_folder(&stale) {
                atomic::remove(&marks.join(stale))?;
            }
        }
        let path = marks.join(dependent.as_str());
        std::fs::write(&path, "").map_err(|error| FileError::new("write", &path, error))?;
    }
    Ok(Marked(held))
}

/// Keeps others from needing this container, until it is dropped; `on_wait` hears who is about to.
///
/// # Errors
/// Its folder cannot be locked.
pub fn keep_alone(
    container: &Container,
    on_wait: &mut dyn FnMut(&Waiting),
) -> Result<Option<Lock>, DependencyError> {
    Ok(Lock::acquire_on(&container.folder, Exclusive, on_wait)?)
}

/// The containers that need this one.
///
/// # Errors
/// Records cannot be read.
pub fn dependents(containers: &Containers, container: &Container) -> Result<Vec<Container>, DependencyError> {
    let mut found = Vec::new();
    for id in marks_of(container)? {
        let needs =
            |one: &Container| one.record.dependencies.iter().any(|id| container.record.id.as_str() == id);
        found.extend(containers.by_id(&id)?.filter(needs));
    }
    Ok(found)
}

/// Containers in an order in which each can be removed: after all those that need it. Others stay in their order.
#[must_use]
pub fn dependents_first(mut list: Vec<Container>) -> Vec<Container> {
    let mut order = Vec::with_capacity(list.len());
    while !list.is_empty() {
        let needed: BTreeSet<String> =
            list.iter().flat_map(|one| one.record.dependencies.iter().cloned()).collect();
        let (rest, free): (Vec<_>, Vec<_>) =
            list.into_iter().partition(|one| needed.contains(one.record.id.as_str()));
        // In records that nobody wrote by hand nobody needs himself, be it through others.
        let is_round = free.is_empty();
        order.extend(free);
        list = rest;
        if is_round {
            order.append(&mut list);
        }
    }
    order
}

/// What these containers need, and what that needs, each after what it needs itself.
///
/// # Errors
/// One is gone.
pub fn in_order(
    containers: &Containers,
    dependent: &str,
    needed: &[String],
) -> Result<Vec<Container>, DependencyError> {
    let (mut order, mut seen) = (Vec::new(), BTreeSet::new());
    visit(containers, dependent, needed, &mut seen, &mut order)?;
    Ok(order)
}

/// It ends, as each container is visited once, and needs only older ones.
fn visit(
    containers: &Containers,
    dependent: &str,
    needed: &[String],
    seen: &mut BTreeSet<String>,
    order: &mut Vec<Container>,
) -> Result<(), DependencyError> {
    for id in needed {
        if seen.insert(id.clone()) {
            let container = find(containers, dependent, id)?;
            visit(containers, id, &container.record.dependencies, seen, order)?;
            order.push(container);
        }
    }
    Ok(())
}

fn find(containers: &Containers, dependent: &str, id: &str) -> Result<Container, DependencyError> {
    let gone = || DependencyError::Gone {
        id: dependent.to_owned(),
        source: ContainersError::NotFound(id.to_owned()),
    };
    containers.by_id(id)?.ok_or_else(gone)
}

/// The ids of the marks in a container's folder.
fn marks_of(container: &Container) -> Result<Vec<String>, FileError> {
    ids_in(&container.folder.join(MARKS))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Record;

    #[test]
    fn whoever_needs_others_goes_first_however_old_it_is() {
        let id = |digit: &str| ContainerId::parse(&digit.repeat(64)).unwrap();
        let one = |digit: &str, needs: &[&str]| {
            let record = Record::sample(id(digit), digit, 1);
            let dependencies = needs.iter().map(|digit| digit.repeat(64)).collect();
            Container::sample(Record { dependencies, ..record })
        };
        let order = |list: Vec<Container>| {
            dependents_first(list).into_iter().map(|one| one.record.name).collect::<Vec<_>>().concat()
        };
        assert_eq!(order(vec![one("1", &["2"]), one("2", &["3"]), one("3", &[]), one("4", &[])]), "1423");
        assert_eq!(order(vec![one("1", &[]), one("2", &["1"]), one("3", &["1", "2"])]), "321");
        assert_eq!(order(vec![one("1", &["9"]), one("2", &[])]), "12");
        assert_eq!(order(vec![one("1", &["2"]), one("2", &["1"])]), "12", "it ends");
    }
}
