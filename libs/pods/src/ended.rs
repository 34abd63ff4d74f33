//! What is left to do once a container has ended: that is written to the log of events, its control group goes, and with
//! `--rm` all of it.
//!
//! # Process context
//! The process that was the container's monitor, in A, holding the container's lock.

use ctr_core::events::{Event, Log, Status};
use ctr_core::file::FileError;
use ctr_core::paths::Dirs;
use ctr_runtime::cgroup::{self, GroupError};
use ctr_store::{Driver, Layout, OpenError, Store};
use ctr_sys::monitor::inherited_lock;

use crate::containers::{Container, Containers, ContainersError};
use crate::happened::Who;
use crate::volumes::{self, VolumesError};

/// Something could not be tidied up.
#[derive(Debug, thiserror::Error)]
pub enum EndedError {
    /// Nobody was the monitor of this container.
    #[error("the container's lock was not handed on")]
    NotHeld,
    /// Its records.
    #[error(transparent)]
    Containers(#[from] ContainersError),
    /// The store.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// Its volumes.
    #[error(transparent)]
    Volumes(#[from] VolumesError),
    /// Its control group.
    #[error(transparent)]
    Group(#[from] GroupError),
    /// The log of events.
    #[error(transparent)]
    Events(#[from] FileError),
}

/// Tidies up after a container.
///
/// # Errors
/// Something cannot be removed; the rest was tried all the same.
pub fn tidy(dirs: &Dirs, id: &str, events: &Log) -> Result<(), EndedError> {
    let lock = inherited_lock().ok_or(EndedError::NotHeld)?;
    let (claim, container) = Containers::new(dirs).inherit(id, lock)?;
    let died = died(&container);
    let mut logged = events.append(&died);
    let removed = container.group().map_or(Ok(()), cgroup::remove);
    if container.record.auto_remove {
        for path in container.record.cidfile.iter().chain(&container.record.pidfile) {
            ctr_core::atomic::remove(path).map_err(ContainersError::from)?;
        }
        claim.discard()?;
        logged = logged.and(events.append(&removed_event(&container)));
        let layout = Layout { data: dirs.data.clone(), run: dirs.run.clone(), driver: Driver::Overlay };
        volumes::discard(&Store::open(&layout)?, &container.record.volumes())?;
    }
    removed?;
    Ok(logged?)
}

/// That it ended, and with what.
fn died(container: &Container) -> Event {
    let mut event = Who::from(&container.record).event(Status::Died);
    if let Some(ending) = &container.ending {
        event.exit_code = Some(ending.code.into());
        event.oom_killed = ending.oom.then_some(true);
    }
    event
}

/// That it is gone.
fn removed_event(container: &Container) -> Event {
    Event {
        exit_code: container.ending.as_ref().map(|ending| ending.code.into()),
        ..Who::from(&container.record).event(Status::Remove)
    }
}
