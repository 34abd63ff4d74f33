//! What is left to do once a container has ended: its control group goes, and with `--rm` all of it.
//!
//! # Process context
//! The process that was the container's monitor, in A, holding the container's lock.

use ctr_core::paths::Dirs;
use ctr_runtime::cgroup::{self, GroupError};
use ctr_store::{Driver, Layout, OpenError, Store};
use ctr_sys::monitor::inherited_lock;

use crate::containers::{Containers, ContainersError};
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
}

/// Tidies up after a container.
///
/// # Errors
/// Something cannot be removed; the rest was tried all the same.
pub fn tidy(dirs: &Dirs, id: &str) -> Result<(), EndedError> {
    let lock = inherited_lock().ok_or(EndedError::NotHeld)?;
    let (claim, container) = Containers::new(dirs).inherit(id, lock)?;
    let group = container.state.as_ref().and_then(|state| state.cgroup.as_deref());
    let removed = group.map_or(Ok(()), cgroup::remove);
    if container.record.auto_remove {
        for path in container.record.cidfile.iter().chain(&container.record.pidfile) {
            ctr_core::atomic::remove(path).map_err(ContainersError::from)?;
        }
        claim.discard()?;
        let names: Vec<String> =
            container.record.mounts.iter().filter_map(|mount| mount.volume.clone()).collect();
        let layout = Layout { data: dirs.data.clone(), run: dirs.run.clone(), driver: Driver::Overlay };
        volumes::discard(&Store::open(&layout)?, &names)?;
    }
    Ok(removed?)
}
