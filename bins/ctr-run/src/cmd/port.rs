//! `ctr port`: which ports of a container are published. None can be yet (`run -p` is refused by name), so each container
//! is looked up, and there is nothing to print of it.

use ctr_cli::app::Call;
use ctr_cli::exit::Exit;
use ctr_cli::report::CommandError;
use ctr_cli::usage::{Arity, Flag, Verb};
use ctr_pods::containers::Containers;

use super::select;
use crate::error;
use crate::place::Place;

/// The verb.
pub const VERB: Verb = Verb::new(
    "[options] CONTAINER [PORT]",
    "List port mappings or a specific mapping for the container",
)
.long("Lists port mappings for the container, or looks up the public-facing port that is NAT-ed to the PRIVATE_PORT.")
.examples(&["port --all", "port web 80/tcp"])
.flags(&[
    Flag::bool("all", "Display port information for all containers").short('a'),
    Flag::bool("latest", "Act on the latest container").short('l'),
])
.arity(Arity::Between(0, 2));

/// Prints what is published.
///
/// # Errors
/// There is no such container, or what was asked for is no port.
pub fn run(call: &Call) -> Result<Exit, CommandError> {
    let words = call.flags.texts()?;
    let (all, latest) = (call.flags.bool("all"), call.flags.bool("latest"));
    let (name, port) = match (all, latest, words.as_slice()) {
        (true, true, _) => return Err(CommandError::usage("--all and --latest cannot be used together")),
        (true, false, [_, ..]) => return Err(CommandError::usage("no arguments are needed with --all")),
        (true, false, []) | (false, true, []) => (None, None),
        (false, true, [port, ..]) => (None, Some(*port)),
        (false, false, []) => {
            return Err(CommandError::usage("you must supply a running container name or id"));
        }
        (false, false, [name, rest @ ..]) => (Some(*name), rest.first().copied()),
    };
    if let Some(port) = port {
        check(port)?;
    }
    let containers = Containers::new(&Place::find(&call.globals)?.dirs);
    match name {
        Some(name) => {
            let found = containers.find(name);
            found.map_err(error::of_containers)?;
        }
        None if latest => drop(select::latest(&containers)?),
        None => {}
    }
    Ok(Exit::SUCCESS)
}

/// A number, perhaps with a protocol.
fn check(port: &str) -> Result<(), CommandError> {
    let mut parts = port.split('/');
    let number = parts.next().unwrap_or_default();
    if parts.count() > 1 {
        return Err(CommandError::usage(format!("port formats are port/protocol. '{port}' is invalid")));
    }
    match number.parse::<u16>() {
        Ok(_) => Ok(()),
        Err(_) => Err(CommandError::usage(format!("{number:?} is not the number of a port"))),
    }
}
