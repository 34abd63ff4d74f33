//! `ctr system prune`: containers that do not run, images that nobody uses, and volumes if they are asked for.
//!
//! Containers go first, since what they used is unused then. What went is printed at the end, with the bytes that were
//! really freed: a layer that some other image has too is not among them.

use ctr_cli::app::Call;
use ctr_cli::exit::Exit;
use ctr_cli::human::size::human;
use ctr_cli::report::CommandError;
use ctr_cli::usage::{Arity, Flag, Parsed, Verb};
use ctr_core::events::{Event, Status};
use ctr_core::lock::Waiting;
use ctr_core::rooted::Root;
use ctr_pods::containers::Containers;
use ctr_pods::dependencies;
use ctr_pods::remove::Removal;
use ctr_store::Store;
use ctr_store::gc::Budget;
use ctr_views::unused::{self, Which};
use ctr_views::{listing, usage};

use super::rm::Remover;
use super::size::bytes;
use super::volume::{self, prune as volumes};
use super::{select, system};
use crate::place::{Place, waits};

/// The verb.
pub const VERB: Verb = Verb::new("[options]", "Remove unused data")
    .long(
        "Removes containers that do not run and dangling images; with --all every image that no container uses, with --volumes \
         every volume that no container uses, or with a filter those of them that nobody named. With --external nothing of \
         that, but what a kill or a full disk left behind.",
    )
    .examples(&["system prune", "system prune --all --volumes --force", "system prune --filter until=24h"])
    .flags(&[
        Flag::bool("all", "Remove all unused data").short('a'),
        Flag::bool("external", "Remove container data in storage not controlled by podman"),
        Flag::array("filter", "Provide filter values (e.g. 'label=<key>=<value>')"),
        Flag::bool("force", "Do not prompt for confirmation").short('f'),
        Flag::bool("volumes", "Prune volumes"),
    ])
    .refuses(&[&["build"]])
    .arity(Arity::None);

/// What went, of one kind.
#[derive(Default)]
struct Gone {
    ids: Vec<String>,
    bytes: u64,
    failed: Vec<CommandError>,
}

/// Removes what is not used.
///
/// # Errors
/// Nobody confirmed it, a filter is none, or something cannot be removed; the rest was tried all the same.
pub fn run(call: &Call) -> Result<Exit, CommandError> {
    let flags = &call.flags;
    let filters = filters(flags)?;
    if flags.bool("external") {
        return external(call, flags, &filters);
    }
    if !flags.bool("force") && !call.ui.confirm(&question(flags))? {
        return Ok(Exit::SUCCESS);
    }
    let place = Place::find(&call.globals)?;
    let store = Store::open(&place.layout()).map_err(CommandError::environment)?;
    let containers = containers(call, &place)?;
    let images = images(call, &place, &store, &filters)?;
    let volumes =
        if flags.bool("volumes") { unused_volumes(call, &place, &store, &filters)? } else { Gone::default() };
    let mut wait = |waiting: &Waiting| waits(waiting, &call.ui);
    store.sweep(Budget::default(), &mut wait).map_err(CommandError::environment)?;
    store.empty_trash().map_err(CommandError::environment)?;
    report(call, [("Containers", containers), ("Volumes", volumes), ("Images", images)])
}

/// The filters, of which all kinds know these alone.
fn filters(flags: &Parsed) -> Result<Vec<String>, CommandError> {
    let filters = flags.strings("filter");
    let known = |text: &&String| {
        let key = text.split('=').next().unwrap_or_default();
        !(text.contains('=') && matches!(key, "label" | "label!" | "until"))
    };
    match filters.iter().find(known) {
        Some(text) => {
            Err(CommandError::usage(format!("invalid filter {text:?}: must be label=… or until=…")))
        }
        None => Ok(filters),
    }
}

/// As podman asks, of networks and of what builds leave too: sets that are empty so far.
fn question(flags: &Parsed) -> String {
    let volumes =
        if flags.bool("volumes") { "\n\t- all volumes not used by at least one container" } else { "" };
    let (images, cache) = if flags.bool("all") {
        ("images without at least one container associated with them", "build cache")
    } else {
        ("dangling images", "dangling build cache")
    };
    format!(
        "WARNING! This command removes:\n\t- all stopped containers\n\t- all networks not used by at least one \
         container{volumes}\n\t- all {images}\n\t- all {cache}\n\nAre you sure you want to continue?"
    )
}

/// What belongs to nothing.
fn external(call: &Call, flags: &Parsed, filters: &[String]) -> Result<Exit, CommandError> {
    if flags.bool("all") || flags.bool("volumes") || !filters.is_empty() {
        return Err(CommandError::usage("system prune --external cannot be combined with other options"));
    }
    system::gc(call)
}

/// In A from here on.
fn containers(call: &Call, place: &Place) -> Result<Gone, CommandError> {
    let all = Containers::new(&place.dirs);
    let ended = select::fitting(&call.flags, &all, |status| !status.has_command())?;
    let mut gone = Gone::default();
    let mut remover = Remover::in_a(call, place, &all, place.enter_to_remove(&call.ui)?);
    for one in dependencies::dependents_first(ended) {
        let bytes = bytes(Root::open(&one.layer))?;
        match remover.remove(&one, Removal { force: false, grace: None }) {
            Ok(()) => {
                gone.ids.push(one.record.id.to_string());
                gone.bytes = gone.bytes.saturating_add(bytes);
            }
            Err(error) => gone.failed.push(error),
        }
    }
    Ok(gone)
}

fn images(call: &Call, place: &Place, store: &Store, filters: &[String]) -> Result<Gone, CommandError> {
    let before = images_size(store)?;
    let mut wait = |waiting: &Waiting| waits(waiting, &call.ui);
    let mut log = |events: &[Event]| call.ui.happened(&place.events, events);
    let which = Which { all: call.flags.bool("all"), filters };
    let removed = unused::remove(store, which, &mut wait, &mut log)?;
    let bytes = before.saturating_sub(images_size(store)?);
    Ok(Gone { ids: unused::ids(&removed).collect(), bytes, failed: Vec::new() })
}

fn images_size(store: &Store) -> Result<u64, CommandError> {
    let entries = listing::own(store).map_err(CommandError::environment)?;
    Ok(usage::of(store, &entries).map_err(CommandError::environment)?.1)
}

/// With a filter, what somebody named stays, as with podman.
fn unused_volumes(
    call: &Call,
    place: &Place,
    store: &Store,
    filters: &[String],
) -> Result<Gone, CommandError> {
    let unused = volumes::unused(call, store, filters, filters.is_empty())?;
    let mut sizes = std::collections::HashMap::new();
    for volume in &unused {
        sizes.insert(volume.record.name.clone(), bytes(Root::open(volume.mountpoint()))?);
    }
    let mut gone = Gone::default();
    for (name, trash) in volumes::remove(store, &unused)? {
        gone.bytes = gone.bytes.saturating_add(sizes.get(&name).copied().unwrap_or(0));
        gone.failed.extend(trash.delete().err().map(CommandError::environment));
        gone.ids.push(name);
    }
    for status in [Status::Remove, Status::Prune] {
        volume::happened(call, place, status, gone.ids.iter().map(String::as_str));
    }
    Ok(gone)
}

fn report(call: &Call, all: [(&str, Gone); 3]) -> Result<Exit, CommandError> {
    let mut failed = Vec::new();
    let mut sum = 0_u64;
    for (kind, gone) in all {
        if !gone.ids.is_empty() {
            call.ui.line(&format!("Deleted {kind}"))?;
        }
        for id in &gone.ids {
            call.ui.line(id)?;
        }
        sum = sum.saturating_add(gone.bytes);
        failed.extend(gone.failed);
    }
    call.ui.line(&format!("Total reclaimed space: {}", human(sum)))?;
    CommandError::several(failed).map_or(Ok(Exit::SUCCESS), Err)
}
