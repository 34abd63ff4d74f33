//! Which containers a verb means: names, files with ids, the latest, all, filters.

use std::collections::HashSet;
use std::path::Path;
use std::time::Duration;

use ctr_cli::app::Call;
use ctr_cli::exit::Exit;
use ctr_cli::human::time::Timestamp;
use ctr_cli::peers::Sentence;
use ctr_cli::report::CommandError;
use ctr_cli::usage::Parsed;
use ctr_core::id::ContainerId;
use ctr_core::{file, limits};
use ctr_pods::brief::Brief;
use ctr_pods::containers::{Container, Containers, ContainersError, Threads};
use ctr_pods::filter::{self, FilterError, Filters};
use ctr_pods::status::Status;

use crate::error;

/// How many containers something is begun for before the first is waited for: each takes a descriptor or two.
const AT_ONCE: usize = 128;

/// The conditions of `--filter`; `all` are those that a condition can name.
pub(super) fn filters(flags: &Parsed, all: &[(Box<Brief>, Status)]) -> Result<Filters, CommandError> {
    let values = if flags.knows("filter") { flags.strings("filter") } else { Vec::new() };
    let made = |text: &str| filter::made(all.iter().map(|(one, _)| &**one), text);
    Filters::parse(&values, made, instant).map_err(|error| match &error {
        FilterError::Value { key, value } if key == "status" => {
            let sentence = Sentence::Other(format!("unknown container state: {value}: invalid argument"));
            CommandError::usage(error).peer(sentence)
        }
        _ => CommandError::usage(error),
    })
}

/// The containers that filters let through, of those that do something.
pub(super) fn fitting(
    flags: &Parsed,
    containers: &Containers,
    does: impl Fn(Status) -> bool,
) -> Result<Vec<Container>, CommandError> {
    // What is chosen is most often entered.
    let all = containers.overview(Threads::One).map_err(error::of_containers)?;
    let filters = filters(flags, &all)?;
    let chosen = all.iter().filter(|(one, status)| does(*status) && filters.fit(one, *status));
    // One that went in between is not meant.
    let whole = chosen.filter_map(|(one, _)| containers.by_id(one.id.as_str()).transpose());
    whole.collect::<Result<_, _>>().map_err(error::of_containers)
}

/// Containers as a list of what a verb was told.
pub(super) fn as_wanted(containers: Vec<Container>) -> Wanted {
    containers.into_iter().map(|one| (one.record.id.to_string(), Ok(one))).collect()
}

/// A moment as filters are given one: a time, or how long ago.
pub(super) fn instant(text: &str) -> Option<u64> {
    nanos(Timestamp::parse_filter(text, Timestamp::now()).ok()?)
}

/// Now, in nanoseconds since 1970.
pub(super) fn now() -> u64 {
    nanos(Timestamp::now()).unwrap_or(0)
}

/// Nanoseconds since 1970.
fn nanos(time: Timestamp) -> Option<u64> {
    let seconds = u64::try_from(time.seconds).ok()?;
    seconds.checked_mul(1_000_000_000)?.checked_add(time.nanos.into())
}

/// Each container with what it is doing, asked once.
pub(super) fn with_status(list: Vec<Container>) -> Result<Vec<(Container, Status)>, CommandError> {
    let ask = |container: Container| {
        let status = container.status().map_err(CommandError::environment)?;
        Ok((container, status))
    };
    list.into_iter().map(ask).collect()
}

/// The container that was made last.
pub(super) fn latest(containers: &Containers) -> Result<Container, CommandError> {
    let latest = containers.list().map_err(error::of_containers)?.pop();
    latest.ok_or_else(|| CommandError::user("no containers to act on: no such container"))
}

/// A moment of a record.
pub(super) fn moment(nanos: u64) -> Timestamp {
    let seconds = i64::try_from(nanos / 1_000_000_000).unwrap_or(i64::MAX);
    Timestamp { seconds, nanos: u32::try_from(nanos % 1_000_000_000).unwrap_or(0) }
}

/// What a verb says of its words and flags.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    /// A container that is missing is passed over.
    pub(super) ignore: bool,
    /// What `--all` means, and what a filter alone is applied to.
    pub(super) all: fn(Status) -> bool,
    /// Names and a filter may stand together: those of the named that fit.
    pub(super) narrows: bool,
}

/// A container that was meant, with the text that says so.
pub(super) type Wanted = Vec<(String, Result<Container, ContainersError>)>;

/// Finds the containers that words and flags mean.
pub(super) fn wanted(call: &Call, containers: &Containers, rules: Rules) -> Result<Wanted, CommandError> {
    let flags = &call.flags;
    let mut names: Vec<String> = flags.texts()?.into_iter().map(str::to_owned).collect();
    names.extend(from_files(flags, "cidfile", rules.ignore)?);
    let (latest, filtered) = (on(flags, "latest"), has(flags, "filter"));
    let chosen = on(flags, "all") || latest || filtered;
    check(flags, &names, chosen)?;
    if filtered && !names.is_empty() && !rules.narrows {
        return Err(CommandError::usage("--filter takes no arguments"));
    }
    let mut wanted: Wanted = Vec::new();
    for name in &names {
        match containers.find(name) {
            Err(ContainersError::NotFound(_)) if rules.ignore => {}
            found => wanted.push((name.trim_start_matches('/').to_owned(), found)),
        }
    }
    if filtered && !names.is_empty() {
        return narrowed(flags, containers, wanted);
    }
    if chosen && names.is_empty() {
        let mut fit = fitting(flags, containers, |status| latest || (rules.all)(status))?;
        if latest {
            fit = fit.pop().into_iter().collect();
            if fit.is_empty() {
                return Err(error::of_containers(ContainersError::NotFound("latest".to_owned())));
            }
        }
        wanted.extend(as_wanted(fit));
    }
    Ok(wanted)
}

/// Those of the named that fit the filters; what could not be found is still said.
fn narrowed(flags: &Parsed, containers: &Containers, mut named: Wanted) -> Result<Wanted, CommandError> {
    let all = containers.overview(Threads::One).map_err(error::of_containers)?;
    let filters = filters(flags, &all)?;
    let fits = |id: &ContainerId| all.iter().any(|(one, status)| one.id == *id && filters.fit(one, *status));
    named.retain(|(_, found)| found.as_ref().map_or(true, |container| fits(&container.record.id)));
    Ok(named)
}

/// Whether a flag was given, of a verb that may not have it.
fn has(flags: &Parsed, name: &str) -> bool {
    flags.knows(name) && flags.has(name)
}

/// Whether a switch is on, of a verb that may not have it.
fn on(flags: &Parsed, name: &str) -> bool {
    flags.knows(name) && flags.bool(name)
}

fn check(flags: &Parsed, names: &[String], chosen: bool) -> Result<(), CommandError> {
    let wrong = match (on(flags, "all"), on(flags, "latest"), names.is_empty(), chosen) {
        (true, true, ..) => "--all and --latest cannot be used together",
        (true, _, false, _) => "no arguments are needed with --all",
        (_, true, false, _) => "--latest and containers cannot be used together",
        // A list of files that are all missing is a list.
        (_, _, true, false) if !has(flags, "cidfile") => "you must provide at least one name or id",
        _ => return Ok(()),
    };
    Err(CommandError::usage(wrong))
}

/// The ids in the files that a flag names.
pub(super) fn from_files(flags: &Parsed, flag: &str, ignore: bool) -> Result<Vec<String>, CommandError> {
    let mut names = Vec::new();
    let paths = if flags.knows(flag) { flags.strings(flag) } else { Vec::new() };
    for path in paths {
        match file::read_text(Path::new(&path), limits::TAG as u64 * 8) {
            Ok(text) => names.push(text.lines().next().unwrap_or_default().to_owned()),
            Err(error) if ignore && error.is_missing() => {}
            Err(error) if error.is_missing() && flag == "cidfile" => {
                let text = format!("reading CIDFile: open {path}: no such file or directory");
                return Err(CommandError::user(error).peer(Sentence::Other(text)));
            }
            Err(error) => return Err(CommandError::user(error)),
        }
    }
    Ok(names)
}

/// Does something with each container, prints what was meant, and gathers what failed.
pub(super) fn each(
    call: &Call,
    wanted: Wanted,
    mut act: impl FnMut(&Container) -> Result<bool, CommandError>,
) -> Result<Exit, CommandError> {
    each_begun(call, wanted, error::of_containers, |_| (), |container, _| act(container))
}

/// The same for what takes time: it is begun for many before the first is waited for, and only once for one that was named
/// twice: the second time there is nothing that was begun. `missing` says what one that is not there means.
pub(super) fn each_begun<T>(
    call: &Call,
    wanted: Wanted,
    missing: fn(ContainersError) -> CommandError,
    mut begin: impl FnMut(&Container) -> T,
    mut act: impl FnMut(&Container, Option<T>) -> Result<bool, CommandError>,
) -> Result<Exit, CommandError> {
    let mut failed = Vec::new();
    let (mut wanted, absent) = known(call, wanted);
    if let Some(error) = absent {
        return Err(missing(error));
    }
    let mut seen = HashSet::new();
    let mut begin = |one: &Container| seen.insert(one.record.id.clone()).then(|| begin(one));
    while !wanted.is_empty() {
        let later = wanted.split_off(wanted.len().min(AT_ONCE));
        let now = std::mem::replace(&mut wanted, later).into_iter();
        let begun =
            now.map(|(shown, found)| (shown, found.map(|one| (begin(&one), one)))).collect::<Vec<_>>();
        for (shown, found) in begun {
            match found.map_err(missing).and_then(|(begun, container)| act(&container, begun)) {
                Ok(true) => call.ui.line(&shown)?,
                Ok(false) => {}
                Err(error) if error.is_last() => return Err(error),
                Err(error) => failed.push(error),
            }
        }
    }
    // What was missing counts more than what still runs.
    failed.sort_by_key(|error| error.code() == Exit::NO);
    CommandError::several(failed).map_or(Ok(Exit::SUCCESS), Err)
}

/// Podman finds all that it was told of before it does anything, and does nothing where one is not there. Docker does what
/// it can, and so do we.
fn known(call: &Call, mut wanted: Wanted) -> (Wanted, Option<ContainersError>) {
    let absent = |(_, found): &(String, Result<Container, ContainersError>)| {
        matches!(
            found,
            Err(ContainersError::NotFound(_) | ContainersError::Ambiguous(_) | ContainersError::Empty)
        )
    };
    let first = wanted.iter().position(absent).filter(|_| call.ui.voice().is_peer());
    let error = first.and_then(|at| wanted.swap_remove(at).1.err());
    (wanted, error)
}

/// How long a container has to end by itself: as the flag says, else as was said when it was made. Negative is for ever.
pub(super) fn grace(flags: &Parsed, container: &Container) -> Option<Duration> {
    let seconds = match flags.knows("time").then(|| flags.get("time")).flatten() {
        Some(_) => flags.int("time").unwrap_or(10),
        None => i64::from(container.record.stop_timeout),
    };
    u64::try_from(seconds).ok().map(Duration::from_secs)
}
