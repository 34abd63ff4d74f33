//! `ctr wait`: until containers have done what is waited for.

use std::time::Duration;

use ctr_cli::app::Call;
use ctr_cli::exit::Exit;
use ctr_cli::report::CommandError;
use ctr_cli::usage::{Arity, Flag, Verb};
use ctr_pods::containers::{Container, Containers};
use ctr_pods::wait::{self, Condition, Waited};

use super::select::{Rules, wanted};
use crate::error;
use crate::place::Place;

/// The verb.
pub const VERB: Verb = Verb::new("[options] CONTAINER [CONTAINER...]", "Block on one or more containers")
    .long("Waits until containers have stopped, or are what a condition says, and prints their exit codes.")
    .examples(&["wait web", "wait --condition running --condition exited web"])
    .flags(&[
        Flag::strings("condition", "Condition to wait on: configured, created, exited, healthy, initialized, paused, removing, running, stopped, stopping, unhealthy or unknown"),
        Flag::bool("exit-first-match", "Stop waiting after the first container that fits"),
        Flag::bool("ignore", "Ignore if a container does not exist"),
        Flag::string("interval", "Time between two looks at what no event tells").short('i').default("250ms"),
        Flag::bool("latest", "Act on the latest container").short('l'),
    ])
    .refuses(&[&["return-on-first"]])
    .arity(Arity::Any);

/// Waits.
///
/// # Errors
/// A container is not there.
pub fn run(call: &Call) -> Result<Exit, CommandError> {
    let flags = &call.flags;
    let conditions: Vec<Condition> = flags
        .strings("condition")
        .iter()
        .map(|text| Condition::parse(text))
        .collect::<Result<_, _>>()
        .map_err(CommandError::usage)?;
    let interval = interval(flags.string("interval"))?;
    let place = Place::find(&call.globals)?;
    let containers = Containers::new(&place.dirs);
    let ignore = flags.bool("ignore");
    let mut found = Vec::new();
    for (_, container) in wanted(call, &containers, Rules { ignore, all: |_| true, narrows: false })? {
        found.push(container.map_err(error::of_containers)?);
    }
    if ignore {
        let missing = flags.texts()?.len().saturating_sub(found.len());
        // As podman does: what is not there has ended, nobody knows how.
        for _ in 0..missing {
            call.ui.line("-1")?;
        }
    }
    if flags.bool("exit-first-match") {
        let waited =
            wait::first(&containers, &found, &conditions, interval).map_err(CommandError::environment)?;
        return print(call, waited);
    }
    for container in &found {
        let one: &Container = container;
        let waited = wait::first(&containers, std::slice::from_ref(one), &conditions, interval);
        print(call, waited.map_err(CommandError::environment)?)?;
    }
    Ok(Exit::SUCCESS)
}

fn print(call: &Call, waited: Waited) -> Result<Exit, CommandError> {
    let code = match waited {
        Waited::Ended(code) => i32::from(code),
        // A condition that is no end has no exit code.
        Waited::Met | Waited::Unknown => -1,
    };
    call.ui.line(&code.to_string())?;
    Ok(Exit::SUCCESS)
}

/// A number is of milliseconds.
fn interval(text: &str) -> Result<Duration, CommandError> {
    if let Ok(millis) = text.parse::<u64>() {
        return Ok(Duration::from_millis(millis.max(1)));
    }
    let nanos = ctr_cli::human::time::parse_duration(text).map_err(CommandError::usage)?;
    match u64::try_from(nanos) {
        Ok(nanos) if nanos > 0 => Ok(Duration::from_nanos(nanos)),
        _ => Err(CommandError::usage(format!("the interval {text:?} is not positive"))),
    }
}
