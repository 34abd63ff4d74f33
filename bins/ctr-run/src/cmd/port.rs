//! `ctr port`: where on the host the ports of running containers are.

use ctr_cli::app::Call;
use ctr_cli::exit::Exit;
use ctr_cli::report::CommandError;
use ctr_cli::usage::{Arity, Flag, Verb};
use ctr_pods::containers::{Container, Containers};
use ctr_pods::ports::publish::{self, Bound};

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
/// There is no such container, or what was asked for is no port, or none that is published.
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
    let asked = port.map(wanted).transpose()?;
    let containers = Containers::new(&Place::find(&call.globals)?.dirs);
    let found = match name {
        Some(name) => vec![containers.find(name).map_err(error::of_containers)?],
        None if latest => vec![select::latest(&containers)?],
        None => containers.list().map_err(error::of_containers)?,
    };
    for container in &found {
        if !container.is_running().map_err(CommandError::environment)? {
            continue;
        }
        match &asked {
            None => list(call, container, all)?,
            Some(wanted) => {
                if !look_up(call, container, wanted)? {
                    let asked = port.unwrap_or_default();
                    return Err(CommandError::user(format!("failed to find published port {asked:?}")));
                }
            }
        }
    }
    Ok(Exit::SUCCESS)
}

/// All that a container publishes.
fn list(call: &Call, container: &Container, all: bool) -> Result<(), CommandError> {
    let of = if all { format!("{}\t", container.record.id.short()) } else { String::new() };
    for mapping in &container.record.ports {
        for (inside, Bound { address, port }) in publish::each(mapping) {
            call.ui.line(&format!("{of}{inside}/{} -> {address}:{port}", mapping.transport))?;
        }
    }
    Ok(())
}

/// Where one port is; false if it is nowhere.
fn look_up(call: &Call, container: &Container, wanted: &str) -> Result<bool, CommandError> {
    let bindings = publish::bindings(&container.record.ports);
    let Some(places) = bindings.get(wanted) else { return Ok(false) };
    for Bound { address, port } in places {
        call.ui.line(&format!("{address}:{port}"))?;
    }
    Ok(true)
}

/// A number, perhaps with a protocol, as lists have it.
fn wanted(port: &str) -> Result<String, CommandError> {
    let mut parts = port.split('/');
    let number = parts.next().unwrap_or_default();
    let protocol = parts.next().unwrap_or("tcp");
    if parts.next().is_some() {
        return Err(CommandError::usage(format!("port formats are port/protocol. '{port}' is invalid")));
    }
    match number.parse::<u16>() {
        Ok(number) => Ok(format!("{number}/{protocol}")),
        Err(_) => Err(CommandError::usage(format!("{number:?} is not the number of a port"))),
    }
}
