//! `ctr container exists`: a container by the exit code.

use ctr_cli::app::Call;
use ctr_cli::exit::Exit;
use ctr_cli::report::CommandError;
use ctr_cli::usage::{Arity, Flag, Verb};
use ctr_pods::containers::{Containers, ContainersError};

use crate::error;
use crate::place::Place;

/// The verb.
pub const VERB: Verb = Verb::new("[options] CONTAINER", "Check if a container exists in local storage")
    .long("If the named container exists in local storage, this exits with 0, otherwise the exit code will be 1.")
    .examples(&["container exists containerID", "container exists myctr || echo missing"])
    .flags(&[Flag::bool("external", "Check external storage containers as well as Podman containers")])
    .arity(Arity::Exactly(1));

/// Looks.
///
/// # Errors
/// The records cannot be read.
pub fn run(call: &Call) -> Result<Exit, CommandError> {
    let place = Place::find(&call.globals)?;
    let names = call.flags.texts()?;
    let name = names.first().copied().unwrap_or_default();
    match Containers::new(&place.dirs).find(name) {
        Ok(_) => Ok(Exit::SUCCESS),
        Err(ContainersError::NotFound(_)) => Ok(Exit::NO),
        Err(error) => Err(error::of_containers(error)),
    }
}
