//! Looking for one pod, network or secret: it is not there.

use ctr_cli::app::Call;
use ctr_cli::exit::Exit;
use ctr_cli::peers::Sentence;
use ctr_cli::report::CommandError;
use ctr_cli::usage::{Arity, Flag, Verb};
use ctr_views::inspect;

const FORMAT: Flag =
    Flag::string("format", "Format the output to a Go template or json").short('f').default("json");

/// `pod exists`.
pub const POD_EXISTS: Verb = Verb::new("POD", "Check if a pod exists in local storage")
    .long("If the named pod exists, this exits with 0, otherwise the exit code will be 1.")
    .arity(Arity::Exactly(1));

/// `pod inspect`.
pub const POD_INSPECT: Verb = Verb::new("[options] POD [POD...]", "Display a pod configuration")
    .flags(&[FORMAT, Flag::bool("latest", "Act on the latest pod").short('l')])
    .arity(Arity::Any);

/// `network exists`.
pub const NETWORK_EXISTS: Verb = Verb::new("NETWORK", "Check if network exists")
    .long("If the named network exists, this exits with 0, otherwise the exit code will be 1.")
    .arity(Arity::Exactly(1));

/// `network inspect`.
pub const NETWORK_INSPECT: Verb =
    Verb::new("[options] NETWORK [NETWORK...]", "Inspect network").flags(&[FORMAT]).arity(Arity::AtLeast(1));

/// `secret exists`.
pub const SECRET_EXISTS: Verb = Verb::new("SECRET", "Check if a secret exists in local storage")
    .long("If the named secret exists, this exits with 0, otherwise the exit code will be 1.")
    .arity(Arity::Exactly(1));

/// `secret inspect`.
pub const SECRET_INSPECT: Verb = Verb::new("[options] SECRET [SECRET...]", "Inspect a secret")
    .flags(&[
        FORMAT,
        Flag::bool("pretty", "Print inspect output in human-readable format"),
        Flag::bool("showsecret", "Display the secret"),
    ])
    .arity(Arity::AtLeast(1));

/// `secret rm`.
pub const SECRET_REMOVE: Verb = Verb::new("[options] SECRET [SECRET...]", "Remove one or more secrets")
    .flags(&[
        Flag::bool("all", "Remove all secrets").short('a'),
        Flag::bool("ignore", "Ignore errors when a specified secret is missing").short('i'),
    ])
    .arity(Arity::Any);

/// Says that it does not exist.
///
/// # Errors
/// None.
pub fn exists(_call: &Call) -> Result<Exit, CommandError> {
    Ok(Exit::NO)
}

/// Shows no pods.
///
/// # Errors
/// One was named.
pub fn inspect_pods(call: &Call) -> Result<Exit, CommandError> {
    let names = call.flags.texts()?;
    match (call.flags.bool("latest"), names.is_empty()) {
        (true, true) => return Err(CommandError::user("no pods to act on: no such pod")),
        (true, false) => {
            return Err(CommandError::usage("--latest and arguments cannot be used together"));
        }
        (false, true) => return Err(CommandError::usage("no names or ids specified")),
        (false, false) => inspect::print(call, Vec::new())?,
    }
    missing(&names, |name| format!("no such pod {name}"))
}

/// Shows no networks.
///
/// # Errors
/// One was named.
pub fn inspect_networks(call: &Call) -> Result<Exit, CommandError> {
    inspect::print(call, Vec::new())?;
    let voice = call.caller.voice;
    missing(&call.flags.texts()?, |name| {
        format!("network {name}: {}", Sentence::NoSuchNetwork(name.to_owned()).text(voice))
    })
}

/// Shows no secrets.
///
/// # Errors
/// One was named.
pub fn inspect_secrets(call: &Call) -> Result<Exit, CommandError> {
    if !call.flags.bool("pretty") {
        inspect::print(call, Vec::new())?;
    }
    missing(&call.flags.texts()?, |name| format!("inspecting secret: {}", no_secret(name)))
}

/// Removes no secrets.
///
/// # Errors
/// One was named.
pub fn remove_secrets(call: &Call) -> Result<Exit, CommandError> {
    let names = call.flags.texts()?;
    if call.flags.bool("all") != names.is_empty() {
        return Err(CommandError::usage(format!(
            "`{} secret rm` requires one argument, or the --all flag",
            call.caller.name
        )));
    }
    if call.flags.bool("ignore") {
        return Ok(Exit::SUCCESS);
    }
    missing(&names, no_secret)
}

fn no_secret(name: &str) -> String {
    format!("no secret with name or id {name:?}: no such secret")
}

fn missing(names: &[&str], told: impl Fn(&str) -> String) -> Result<Exit, CommandError> {
    let errors = names.iter().map(|name| CommandError::user(told(name))).collect();
    CommandError::several(errors).map_or(Ok(Exit::SUCCESS), Err)
}
