//! Letting the command of an initialised container run: its monitor is there already, and is told to.
//!
//! # Failure
//! What is true once the command runs is written down before the monitor is told, which makes it true by one rename: killed
//! at any point, whoever starts it leaves a container that waits, or one that runs. The monitor that is told is the one of
//! the init that is written down: what is written is read anew once there is a connection, and two never write at once.

use crate::attach::{ConnectError, Connection, Start, Wants};
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

/// Has the command run, and returns a connection to the monitor, which is about to say what came of it: the first who
/// attaches to it so sees all output. What `before` does comes before anything that the container does.
///
/// # Errors
/// The monitor cannot be told; it may just have ended.
pub fn start(
    container: &Container,
    state: &State,
    wants: Wants,
    before: impl FnOnce(),
) -> Result<Connection, StartError> {
    let connection = Connection::open(&container.folder, wants)?;
    let _alone = container.write_next(&state.init, run::now())?;
    before();
    connection.start()?;
    Ok(connection)
}

/// Waits for what came of it.
///
/// # Errors
/// The monitor was killed, or is stopped.
pub fn wait(connection: &Connection) -> Result<Start, StartError> {
    Ok(connection.wait_for_start()?)
}
