//! Pods, networks and secrets, of which there are none yet: lists are empty, and what is named is not there.
//!
//! Scripts clean up before they start (`pod rm --all`, `network prune --force`); that works already.

pub mod absent;

use ctr_cli::app::Call;
use ctr_cli::exit::Exit;
use ctr_cli::peers::Sentence;
use ctr_cli::report::CommandError;
use ctr_cli::template::{Format, Report};
use ctr_cli::usage::{Arity, Flag, Parsed, Verb};

use super::select::from_files;

const FORMAT: Flag = Flag::string("format", "Print as JSON or with a Go template");
const FILTER: Flag = Flag::array("filter", "Filter output based on conditions given");
const QUIET: &str = "quiet";

/// `pod ps`.
pub const POD_LIST: Verb = Verb::new("[options]", "List pods")
    .flags(&[
        Flag::bool("ctr-ids", "Display the container UUIDs"),
        Flag::bool("ctr-names", "Display the container names"),
        Flag::bool("ctr-status", "Display the container status"),
        FILTER.short('f'),
        FORMAT,
        Flag::bool("latest", "Act on the latest pod").short('l'),
        Flag::bool("no-trunc", "Do not truncate pod and container IDs"),
        Flag::bool("noheading", "Do not print headers").short('n'),
        Flag::bool("ns", "Display namespace information of the pod"),
        Flag::bool(QUIET, "Print the numeric IDs of the pods only").short('q'),
        Flag::choice("sort", &["created", "id", "name", "number", "status"], "Sort output")
            .default("created"),
    ])
    .arity(Arity::None);

/// `pod prune`.
pub const POD_PRUNE: Verb = Verb::new("[options]", "Remove all stopped pods and their containers")
    .flags(&[Flag::bool("force", "Do not prompt for confirmation").short('f')]);

/// `pod rm`.
pub const POD_REMOVE: Verb = Verb::new("[options] POD [POD...]", "Remove one or more pods")
    .flags(&[
        Flag::bool("all", "Remove all running pods").short('a'),
        Flag::bool("force", "Force removal of a running pod by first stopping all containers").short('f'),
        Flag::bool("ignore", "Ignore errors when a specified pod is missing").short('i'),
        Flag::bool("latest", "Act on the latest pod").short('l'),
        Flag::array("pod-id-file", "Read the pod ID from the file"),
        Flag::int("time", "Seconds to wait for pod stop before killing the container")
            .short('t')
            .default("10"),
    ])
    .arity(Arity::Any);

/// `network ls`.
pub const NETWORK_LIST: Verb = Verb::new("[options]", "List networks").flags(&[
    FILTER.short('f'),
    FORMAT,
    Flag::bool("no-trunc", "Do not truncate the network ID"),
    Flag::bool("noheading", "Do not print headers").short('n'),
    Flag::bool(QUIET, "Display only names").short('q'),
]);

/// `network prune`.
pub const NETWORK_PRUNE: Verb = Verb::new("[options]", "Prune unused networks")
    .flags(&[FILTER, Flag::bool("force", "Do not prompt for confirmation").short('f')]);

/// `network rm`.
pub const NETWORK_REMOVE: Verb = Verb::new("[options] NETWORK [NETWORK...]", "Remove networks")
    .flags(&[
        Flag::bool("force", "Remove any containers using network").short('f'),
        Flag::int("time", "Seconds to wait for running containers to stop before killing the container")
            .short('t')
            .default("10"),
    ])
    .arity(Arity::AtLeast(1));

/// `secret ls`.
pub const SECRET_LIST: Verb = Verb::new("[options]", "List secrets")
    .flags(&[
        FILTER.short('f'),
        FORMAT,
        Flag::bool("noheading", "Do not print headers").short('n'),
        Flag::bool(QUIET, "Print secret IDs only").short('q'),
    ])
    .arity(Arity::None);

/// Lists no secrets.
///
/// # Errors
/// The template is none.
pub fn secrets(call: &Call) -> Result<Exit, CommandError> {
    list(call, "ID\tNAME\tDRIVER\tCREATED\tUPDATED")
}

/// Lists no pods.
///
/// # Errors
/// The template is none.
pub fn pods(call: &Call) -> Result<Exit, CommandError> {
    list(call, "POD ID\tNAME\tSTATUS\tCREATED\tINFRA ID\t# OF CONTAINERS")
}

/// Lists no networks.
///
/// # Errors
/// The template is none.
pub fn networks(call: &Call) -> Result<Exit, CommandError> {
    list(call, "NETWORK ID\tNAME\tDRIVER")
}

fn list(call: &Call, headers: &str) -> Result<Exit, CommandError> {
    let flags = &call.flags;
    check_filters(flags)?;
    match flags
        .get("format")
        .map(|text| Format::parse("list", text))
        .transpose()
        .map_err(CommandError::usage)?
    {
        Some(Format::Json) => call.ui.line("[]")?,
        // There is nothing to print, but a template that cannot be printed is said.
        Some(Format::Report(report)) => print(call, &report)?,
        None if flags.bool(QUIET) || flags.bool("noheading") => {}
        None => call.ui.line(ctr_cli::columns::align(headers).trim_end())?,
    }
    Ok(Exit::SUCCESS)
}

fn print(call: &Call, report: &Report) -> Result<(), CommandError> {
    let text = report.render(Vec::new(), None).map_err(CommandError::usage)?;
    Ok(call.ui.print(&text)?)
}

fn check_filters(flags: &Parsed) -> Result<(), CommandError> {
    match flags.strings("filter").iter().find(|text| !text.contains('=')) {
        Some(text) => Err(CommandError::usage(format!(
            "invalid filter: {text:?} must be in the format of filter=value"
        ))),
        None => Ok(()),
    }
}

/// Removes no pods of those that nobody uses.
///
/// # Errors
/// None.
pub fn prune_pods(_call: &Call) -> Result<Exit, CommandError> {
    Ok(Exit::SUCCESS)
}

/// Removes none of what nobody uses: there is nothing to ask about either.
///
/// # Errors
/// A filter is none.
pub fn prune(call: &Call) -> Result<Exit, CommandError> {
    check_filters(&call.flags)?;
    Ok(Exit::SUCCESS)
}

/// Removes pods that are not there.
///
/// # Errors
/// One was named, or a file that should name one cannot be read.
pub fn remove_pods(call: &Call) -> Result<Exit, CommandError> {
    let ignore = call.flags.bool("ignore") || call.flags.bool("force");
    let named = from_files(&call.flags, "pod-id-file", ignore)?;
    let otherwise_named = call.flags.has("pod-id-file") || call.flags.bool("latest");
    remove(call, &named, ignore, otherwise_named, Sentence::NoSuchPod)
}

/// Removes networks that are not there.
///
/// # Errors
/// One was named.
pub fn remove_networks(call: &Call) -> Result<Exit, CommandError> {
    remove(call, &[], call.flags.bool("force"), false, Sentence::NoSuchNetwork)
}

fn remove(
    call: &Call,
    in_files: &[String],
    ignore: bool,
    otherwise_named: bool,
    sentence: fn(String) -> Sentence,
) -> Result<Exit, CommandError> {
    let names = call.flags.texts()?;
    let pods = call.path != "network rm";
    let (all, latest) = (pods && call.flags.bool("all"), pods && call.flags.bool("latest"));
    let wrong = match (all, latest, names.is_empty()) {
        (true, true, _) => Some("--all and --latest cannot be used together"),
        (true, _, false) => Some("no arguments are needed with --all"),
        (_, true, false) => Some("--latest and pods cannot be used together"),
        _ => None,
    };
    if let Some(wrong) = wrong {
        return Err(CommandError::usage(wrong));
    }
    if !all && names.is_empty() && !otherwise_named {
        return Err(CommandError::usage("you must provide at least one name or id"));
    }
    if ignore {
        return Ok(Exit::SUCCESS);
    }
    let missing = |name: &str| {
        let text = sentence(name.to_owned()).text(call.caller.voice);
        CommandError::user(text).exit(Exit::NO)
    };
    CommandError::several(
        names.iter().copied().chain(in_files.iter().map(String::as_str)).map(missing).collect(),
    )
    .map_or(Ok(Exit::SUCCESS), Err)
}
