//! `ctr port`: where on the host the ports of running containers are; `--add` and `--rm` change which there are.

use ctr_cli::app::Call;
use ctr_cli::exit::Exit;
use ctr_cli::report::CommandError;
use ctr_cli::usage::{Arity, Flag, Verb};
use ctr_pods::containers::{Container, Containers};
use ctr_pods::ports::change;
use ctr_pods::ports::publish::{self, Bound, Mapping};

use super::select;
use crate::error;
use crate::place::Place;

/// The verb.
pub const VERB: Verb = Verb::new(
    "[options] CONTAINER [PORT]",
    "List port mappings or a specific mapping for the container",
)
.long("Lists port mappings for the container, or looks up the public-facing port that is NAT-ed to the PRIVATE_PORT.")
.examples(&["port --all", "port web 80/tcp", "port --add 8080:80 web", "port --rm 80 web"])
.flags(&[
    Flag::strings(
        "add",
        "Publish more ports of a container, running or not, `[[ip:][hostPort]:]containerPort[/protocol]`",
    ),
    Flag::bool("all", "Display port information for all containers").short('a'),
    Flag::bool("latest", "Act on the latest container").short('l'),
    Flag::strings("rm", "Publish ports no longer, `[[ip:][hostPort]:]containerPort[/protocol]`"),
])
.arity(Arity::Between(0, 2));

/// Prints what is published.
///
/// # Errors
/// There is no such container, or what was asked for is no port, or none that is published.
pub fn run(call: &Call) -> Result<Exit, CommandError> {
    if call.flags.has("add") || call.flags.has("rm") {
        return change(call);
    }
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

/// Takes ports away, then adds some, and prints where those are.
fn change(call: &Call) -> Result<Exit, CommandError> {
    let words = call.flags.texts()?;
    let containers = Containers::new(&Place::find(&call.globals)?.dirs);
    let container = match (call.flags.bool("latest"), words.as_slice()) {
        (false, [name]) => containers.find(name).map_err(error::of_containers)?,
        (true, []) => select::latest(&containers)?,
        _ => return Err(CommandError::usage("--add and --rm need one container, and nothing else")),
    };
    if call.flags.bool("all") {
        return Err(CommandError::usage("--all is for lists, not for --add and --rm"));
    }
    let parsed = |flag| -> Result<Vec<Mapping>, CommandError> {
        let texts = call.flags.strings(flag);
        let each = texts.iter().map(|text| publish::parse(text).map_err(CommandError::usage));
        Ok(each.collect::<Result<Vec<_>, _>>()?.concat())
    };
    let (more, fewer) = (parsed("add")?, parsed("rm")?);
    if !fewer.is_empty() {
        change::remove(&containers, &container, &fewer).map_err(CommandError::user)?;
    }
    if !more.is_empty() {
        let added = change::add(&containers, &container, &more).map_err(CommandError::user)?;
        list_all(call, "", &added)?;
    }
    Ok(Exit::SUCCESS)
}

/// All that a container publishes.
fn list(call: &Call, container: &Container, all: bool) -> Result<(), CommandError> {
    let of = if all { format!("{}\t", container.record.id.short()) } else { String::new() };
    list_all(call, &of, &container.record.ports)
}

fn list_all(call: &Call, of: &str, mappings: &[Mapping]) -> Result<(), CommandError> {
    for mapping in mappings {
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
