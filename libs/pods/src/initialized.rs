//! Letting the command of an initialised container run: its monitor is there already, and is told to.
//!
//! # Failure
//! What is true once the command runs is written down before the monitor is told, which makes it true by one rename: killed
//! at any point, whoever starts it leaves a container that waits, or one that runs. The monitor that is told is the one of
//! the init that is written down: what is written is read anew once there is a connection, and two never write at once.
//!
//! That it was started is logged once the monitor has said so, since the exec may fail, and before it is logged that it ended:
//! what the monitor becomes waits for the same lock. Whoever is killed in between logs nothing.

use rustix::io::Errno;

use crate::attach::{ConnectError, Connection, Wants};
use ctr_core::lock::Lock;

use crate::containers::{Container, ContainersError};
use crate::record::State;
use crate::run;

/// A container could not be let go on.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Its records.
    #[error(transparent)]
    Containers(#[from] ContainersError),
    /// Its monitor.
    #[error(transparent)]
    Connect(#[from] ConnectError),
}

/// A start that is on its way. As long as it is there nobody logs that the container ended.
#[derive(Debug)]
#[must_use = "what comes of it is to be logged"]
pub struct Starting {
    is_first: bool,
    _lock: Lock,
}

impl Starting {
    /// Whether nobody had started it before: of several who do so at once, one logs it.
    #[must_use]
    pub const fn is_first(&self) -> bool {
        self.is_first
    }
}

/// Has the command run, and returns a connection to the monitor, which is about to say what came of it: the first who
/// attaches to it so sees all output.
///
/// # Errors
/// The monitor cannot be told; it may just have ended.
pub fn start(
    container: &Container,
    state: &State,
    wants: Wants,
) -> Result<(Connection, Starting), StartError> {
    let connection = Connection::open(&container.folder, wants)?;
    let (lock, is_first) = container.write_next(&state.init, run::now())?;
    connection.start()?;
    Ok((connection, Starting { is_first, _lock: lock }))
}

/// Waits for what came of it: whether the command could be run.
///
/// # Errors
/// The monitor was killed, or is stopped.
pub fn wait(connection: &Connection) -> Result<Result<(), Errno>, StartError> {
    Ok(connection.wait_for_start()?)
}
