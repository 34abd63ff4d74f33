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

use crate::containers::{Claim, Container, Containers, ContainersError};
use crate::happened::Who;
use crate::record::Record;
use crate::volumes::{self, VolumesError};

/// The exit code of what was killed.
const KILLED: i32 = 128 + 9;

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
    let started = container.after_its_start();
    let logged = events.append(&died(&container)).map_err(EndedError::from);
    drop(started);
    let ungrouped = container.group().map_or(Ok(()), cgroup::remove).map_err(EndedError::from);
    let gone = if container.record.auto_remove { remove(dirs, claim, &container, events) } else { Ok(()) };
    ungrouped.and(gone).and(logged)
}

/// Removes a container, with what was made for it alone.
fn remove(dirs: &Dirs, claim: Claim, container: &Container, events: &Log) -> Result<(), EndedError> {
    let Record { cidfile, pidfile, .. } = &container.record;
    let files = cidfile.iter().chain(pidfile).map(|path| ctr_core::atomic::remove(path));
    let unnamed = files.fold(Ok(()), Result::and).map_err(ContainersError::from);
    let gone = claim.discard();
    let logged = if gone.is_ok() { events.append(&removed_event(container)) } else { Ok(()) };
    // Those that somebody still uses, be it this container's record, are spared.
    let layout = Layout::new(dirs.data.clone(), dirs.run.clone(), Driver::Overlay);
    let store = Store::open(&layout).map_err(EndedError::from);
    let emptied = store.and_then(|store| Ok(volumes::discard(&store, &container.record.volumes())?));
    gone.and(unnamed)?;
    emptied?;
    Ok(logged?)
}

/// That a container ended whose monitor was killed, which so nobody has logged. To be asked by who holds it, and logged before
/// it goes or is started again.
#[must_use]
pub fn unseen(containers: &Containers, container: &Container) -> Option<Event> {
    if container.state.is_none() || container.ending.is_some() {
        return None;
    }
    // It may have been started, and have ended, before it was held.
    let now = containers.by_id(container.record.id.as_str()).ok()??;
    let has_ended = now.state.as_ref().is_some_and(|state| matches!(state.init.runs(), Ok(false)));
    (has_ended && now.ending.is_none()).then(|| killed(&now.record))
}

/// That a container ended with its monitor.
#[must_use]
pub fn killed(record: &Record) -> Event {
    Event { exit_code: Some(KILLED), ..Who::from(record).event(Status::Died) }
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
