//! Removing containers.
//!
//! A fleeting container is removed by whoever supervises it, once its init has ended: others only end it. So is a kept one
//! that was started with `--rm`. Any other is taken hold of and removed by the one who wants it gone, who has to be in A:
//! its files have ids of every kind.

use std::time::Duration;

use ctr_core::lock::Waiting;
use ctr_runtime::cgroup;

use crate::attach::{ConnectError, kill_monitor};
use crate::containers::{Claim, Container, Containers, ContainersError, Kind};
use crate::stop::{StopError, Stopping, stop};

/// A container could not be removed.
#[derive(Debug, thiserror::Error)]
pub enum RemoveError {
    /// It runs, and nobody said that it may be ended.
    #[error(
        "cannot remove container {id} as it is {state} - running or paused containers cannot be removed without \
         force: container state improper"
    )]
    Running {
        /// Which.
        id: String,
        /// What it is doing.
        state: &'static str,
    },
    /// Others need it.
    #[error(
        "container {id} has dependent containers which must be removed before it: {}: container already exists",
        by.join(", ")
    )]
    Needed {
        /// Which.
        id: String,
        /// The others' ids.
        by: Vec<String>,
    },
    /// Somebody else has it in hand, and keeps it.
    #[error("cannot remove container {0}: another process is changing it")]
    Held(String),
    /// It cannot be ended.
    #[error(transparent)]
    Stop(#[from] StopError),
    /// Its monitor.
    #[error(transparent)]
    Monitor(#[from] ConnectError),
    /// Its records.
    #[error(transparent)]
    Containers(#[from] ContainersError),
}

/// How a container is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Removal {
    /// It may be ended.
    pub force: bool,
    /// How long it has after the signal that asks it to stop; none is for ever.
    pub grace: Option<Duration>,
}

/// How long a container's processes have to follow its monitor.
const PATIENCE: Duration = Duration::from_secs(5);

/// Removes a container whose record is of no use, in A; if it runs, it ends with its monitor.
///
/// # Errors
/// Somebody else holds it, or something cannot be removed.
pub fn remove_damaged(containers: &Containers, id: &str) -> Result<(), RemoveError> {
    let killed = kill_monitor(&containers.folder_of(id));
    if containers.remove_damaged(id)? {
        return Ok(());
    }
    killed?;
    Err(RemoveError::Held(id.to_owned()))
}

/// How often a container is ended that somebody starts again in the same moment.
const TURNS: u32 = 10;

/// Ends a container if need be and takes hold of it; `None` is one that went by itself. What is held is removed with
/// [`Claim::discard`], in A.
///
/// # Errors
/// It runs and may not be ended, or cannot be.
pub fn seize(
    containers: &Containers,
    container: &Container,
    how: Removal,
    on_wait: &mut dyn FnMut(&Waiting),
) -> Result<Option<Claim>, RemoveError> {
    let mut now = container.clone();
    for _ in 0..TURNS {
        match seize_once(containers, &now, how, on_wait)? {
            Seized::Claim(claim) => return Ok(Some(claim)),
            Seized::Gone => return Ok(None),
            Seized::Held(again) if how.force => now = *again,
            Seized::Held(_) => break,
        }
    }
    Err(RemoveError::Held(container.record.id.to_string()))
}

/// What came of trying to take hold of a container that does not run any more.
enum Seized {
    Claim(Claim),
    /// It went by itself.
    Gone,
    /// Somebody else was faster, and may have started it.
    Held(Box<Container>),
}

fn seize_once(
    containers: &Containers,
    container: &Container,
    how: Removal,
    on_wait: &mut dyn FnMut(&Waiting),
) -> Result<Seized, RemoveError> {
    let id = || container.record.id.to_string();
    let status = container.status().map_err(StopError::from)?;
    if status.has_command() && !how.force {
        return Err(RemoveError::Running { id: id(), state: status.word() });
    }
    match stop(containers, container, Stopping { grace: how.grace, patient: false }, on_wait) {
        // Its init ends with its monitor.
        Err(StopError::Damaged { .. }) if how.force && kill_monitor(&container.folder)? => {}
        other => drop(other?),
    }
    if container.kind == Kind::Fleeting {
        return Ok(Seized::Gone);
    }
    if let Some((claim, _)) = containers.hold(container)? {
        // A monitor that was killed has left its group.
        container.group().map_or(Ok(()), cgroup::remove).map_err(StopError::from)?;
        if let Some(noted) = container.noted_group().filter(|noted| container.group() != Some(noted)) {
            // That of a start that wrote nothing down; where somebody lives in it all the same, it is no reason to stay.
            cgroup::remove_once_empty(&noted, PATIENCE).ok();
        }
        return Ok(Seized::Claim(claim));
    }
    Ok(containers
        .by_id(container.record.id.as_str())?
        .map_or(Seized::Gone, |now| Seized::Held(Box::new(now))))
}
