//! Letting the command of an initialised container run: its monitor is there already, and is told to.
//!
//! # Failure
//! What is true once the command runs is written down before the monitor is told, which makes it true by one rename: killed
//! at any point, whoever starts it leaves a container that waits, or one that runs.

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
/// attaches to it so sees all output.
///
/// # Errors
/// The monitor cannot be told; it may just have ended.
pub fn start(container: &Container, state: &State, wants: Wants) -> Result<Connection, StartError> {
    let next = State { waiting: false, started: run::now(), ..state.clone() };
    container.write_next(&next)?;
    let connection = Connection::open(&container.folder, wants)?;
    connection.start()?;
    Ok(connection)
}

/// Waits for what came of it.
///
/// # Errors
/// The monitor was killed.
pub fn wait(connection: &Connection) -> Result<Start, StartError> {
    Ok(connection.wait_for_start()?)
}
