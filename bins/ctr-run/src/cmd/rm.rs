//! `ctr rm`: containers go away.

use std::path::Path;
use std::time::Duration;

use ctr_cli::app::Call;
use ctr_cli::exit::Exit;
use ctr_cli::report::CommandError;
use ctr_cli::usage::{Arity, Flag, Parsed, Verb};
use ctr_core::{file, limits};
use ctr_pods::containers::{Container, Containers, ContainersError};
use ctr_pods::remove::{Removal, remove};

use super::select;
use crate::error;
use crate::place::Place;

/// The verb.
pub const VERB: Verb = Verb::new("[options] CONTAINER [CONTAINER...]", "Remove one or more containers")
    .long("Removes one or more containers. A running one is only removed with --force.")
    .examples(&["rm web", "rm --force --all", "rm -f -t 0 --ignore web"])
    .flags(&[
        Flag::bool("all", "Remove all containers").short('a'),
        Flag::array("cidfile", "Read the container ID from the file"),
        Flag::bool("depend", "Remove container and all containers that depend on the selected container"),
        Flag::array("filter", "Remove the containers that fit the conditions given"),
        Flag::bool("force", "Force removal of a running or unusable container").short('f'),
        Flag::bool("ignore", "Ignore errors when a specified container is missing").short('i'),
        Flag::bool("latest", "Act on the latest container").short('l'),
        Flag::int("time", "Seconds to wait for stop before killing the container").short('t').default("10"),
        Flag::bool("volumes", "Remove anonymous volumes associated with the container").short('v'),
    ])
    .arity(Arity::Any);

/// Removes what was named.
///
/// # Errors
/// One could not be removed; the others were tried all the same.
pub fn run(call: &Call) -> Result<Exit, CommandError> {
    let flags = &call.flags;
    if flags.has("time") && !flags.bool("force") {
        return Err(CommandError::usage("--force option must be specified to use the --time option"));
    }
    let mut names: Vec<String> = flags.texts()?.into_iter().map(str::to_owned).collect();
    let ignore = flags.bool("ignore") || flags.bool("force");
    names.extend(from_files(flags, "cidfile", ignore)?);
    let chosen = flags.bool("all") || flags.bool("latest") || flags.has("filter");
    check(flags, &names, chosen)?;

    let place = Place::find(&call.globals)?;
    let containers = Containers::new(&place.dirs);
    let how = Removal { force: flags.bool("force"), grace: grace(flags) };
    let mut failed = Vec::new();
    for (shown, container) in wanted(flags, &containers, &names, chosen)? {
        let done = match container {
            Ok(container) => remove(&containers, &container, how).map_err(error::of_remove),
            Err(ContainersError::NotFound(_)) if ignore => continue,
            Err(error) => Err(error::of_containers(error)),
        };
        match done {
            Ok(()) => call.ui.line(&shown)?,
            Err(error) => failed.push(error),
        }
    }
    // What was missing counts more than what still runs.
    failed.sort_by_key(|error| error.code() == Exit::NO);
    CommandError::several(failed).map_or(Ok(Exit::SUCCESS), Err)
}

fn check(flags: &Parsed, names: &[String], chosen: bool) -> Result<(), CommandError> {
    let wrong = match (flags.bool("all"), flags.bool("latest"), names.is_empty(), chosen) {
        (true, true, ..) => "--all and --latest cannot be used together",
        (true, _, false, _) => "no arguments are needed with --all",
        (_, true, false, _) => "--latest and containers cannot be used together",
        // A list of files that are all missing is a list.
        (_, _, true, false) if !flags.has("cidfile") => "you must provide at least one name or id",
        _ => return Ok(()),
    };
    Err(CommandError::usage(wrong))
}

/// How long a container has to end by itself; negative is for ever.
pub(super) fn grace(flags: &Parsed) -> Option<Duration> {
    u64::try_from(flags.int("time").unwrap_or(10)).ok().map(Duration::from_secs)
}

/// The ids in the files that a flag names.
pub(super) fn from_files(flags: &Parsed, flag: &str, ignore: bool) -> Result<Vec<String>, CommandError> {
    let mut names = Vec::new();
    for path in flags.strings(flag) {
        match file::read_text(Path::new(&path), limits::TAG as u64 * 8) {
            Ok(text) => names.push(text.lines().next().unwrap_or_default().to_owned()),
            Err(error) if ignore && error.is_missing() => {}
            Err(error) => return Err(CommandError::user(error)),
        }
    }
    Ok(names)
}

/// What is to be removed, each with the text that says it went.
type Wanted = Vec<(String, Result<Container, ContainersError>)>;

fn wanted(
    flags: &Parsed,
    containers: &Containers,
    names: &[String],
    chosen: bool,
) -> Result<Wanted, CommandError> {
    let mut wanted: Wanted =
        names.iter().map(|name| (name.trim_start_matches('/').to_owned(), containers.find(name))).collect();
    if chosen && names.is_empty() {
        let list = containers.list().map_err(error::of_containers)?;
        let filters = select::filters(flags, &list)?;
        let fit = select::running(list)?.into_iter().filter(|(it, running)| filters.fit(it, *running));
        let mut fit: Vec<Container> = fit.map(|(it, _)| it).collect();
        if flags.bool("latest") {
            fit = fit.pop().into_iter().collect();
        }
        wanted.extend(fit.into_iter().map(|it| (it.record.id.to_string(), Ok(it))));
    }
    Ok(wanted)
}
