//! `volume prune`.

use std::io::{BufRead, IsTerminal};

use ctr_cli::app::Call;
use ctr_cli::exit::Exit;
use ctr_cli::report::CommandError;
use ctr_cli::usage::{Flag, Verb};
use ctr_core::events::Status;
use ctr_pods::volumes::filter::For;
use ctr_store::Store;
use ctr_store::volume::{Trash, Volume, VolumeError};

use super::list::chosen;
use super::remove::empty;
use super::{all, happened, store, told};
use crate::place::Place;

/// The verb.
pub const VERB: Verb = Verb::new("[options]", "Remove unused volumes")
    .long(
        "By default, only anonymous (unnamed) unused volumes are removed. Use --all to remove all unused volumes \
         (anonymous and named). The command prompts for confirmation which can be overridden with the --force flag.",
    )
    .examples(&["volume prune", "volume prune --all --force", "volume prune --dry-run"])
    .flags(&[
        Flag::bool("all", "Remove all unused volumes, both anonymous and named").short('a'),
        Flag::bool("dry-run", "Show what would be pruned without actually pruning"),
        Flag::array("filter", "Provide filter values (e.g. 'label=<key>=<value>')"),
        Flag::bool("force", "Do not prompt for confirmation").short('f'),
    ]);

/// Removes volumes that nobody uses.
///
/// # Errors
/// A filter is none, nobody confirmed it, or one cannot be removed.
pub fn run(call: &Call) -> Result<Exit, CommandError> {
    let flags = &call.flags;
    let (force, dry) = (flags.bool("force"), flags.bool("dry-run"));
    if force && dry {
        return Err(CommandError::usage("--force and --dry-run cannot be used together"));
    }
    let (filters, all_asked) = asked(call)?;
    let place = Place::find(&call.globals)?;
    let store = store(&place)?;
    let unused = unused(call, &store, &filters, all_asked)?;
    if !force && !dry && !agreed(call, &unused, all_asked)? {
        return Ok(Exit::SUCCESS);
    }
    if dry {
        call.ui.line("Volumes that would be pruned:")?;
        for volume in &unused {
            call.ui.line(&volume.record.name)?;
        }
        return Ok(Exit::SUCCESS);
    }
    let trash = remove(&store, &unused)?;
    for status in [Status::Remove, Status::Prune] {
        happened(call, &place, status, trash.iter().map(|(name, _)| name.as_str()));
    }
    for (name, _) in &trash {
        call.ui.line(name)?;
    }
    empty(call, &place, trash.into_iter().map(|(_, trash)| trash).collect())?;
    Ok(Exit::SUCCESS)
}

/// The filters, and whether named volumes are meant too: a flag, or Docker's filter.
fn asked(call: &Call) -> Result<(Vec<String>, bool), CommandError> {
    let mut filters = call.flags.strings("filter");
    let is_all =
        |text: &String| text.strip_prefix("all=").is_some_and(|value| value.eq_ignore_ascii_case("true"));
    let by_filter = filters.iter().any(is_all);
    filters.retain(|text| !text.starts_with("all="));
    if by_filter && call.flags.bool("all") {
        return Err(CommandError::usage("--all and --filter all cannot be used together"));
    }
    Ok((filters, by_filter || call.flags.bool("all")))
}

/// Volumes that no container uses, and that nobody named unless all are meant.
pub(crate) fn unused(
    call: &Call,
    store: &Store,
    filters: &[String],
    all_asked: bool,
) -> Result<Vec<Volume>, CommandError> {
    let fitting = chosen(store, all(call, store)?, filters, For::Prune)?;
    let mut unused = chosen(store, fitting, &["dangling=true".to_owned()], For::List)?;
    unused.retain(|volume| all_asked || volume.record.anonymous);
    Ok(unused)
}

/// Removes them; what somebody began to use, or removed, since they were listed stays as it is.
pub(crate) fn remove(store: &Store, volumes: &[Volume]) -> Result<Vec<(String, Trash)>, CommandError> {
    let mut trash = Vec::new();
    for volume in volumes {
        let name = &volume.record.name;
        match store.volumes().remove(name) {
            Ok(left) => trash.push((name.clone(), left)),
            Err(VolumeError::InUse { .. } | VolumeError::NotFound(_)) => {}
            Err(error) => return Err(told(error)),
        }
    }
    Ok(trash)
}

/// Asks. Without a terminal the answer is read all the same, as podman does; no answer is no.
fn agreed(call: &Call, unused: &[Volume], all_asked: bool) -> Result<bool, CommandError> {
    let what = if all_asked { "all volumes" } else { "anonymous local volumes" };
    call.ui.line(&format!(
        "WARNING! This will remove {what} not used by at least one container. The following volumes will be removed:"
    ))?;
    if unused.is_empty() {
        let kind = if all_asked { "" } else { "anonymous " };
        call.ui.line(&format!("No dangling {kind}volumes found"))?;
        return Ok(false);
    }
    for volume in unused {
        call.ui.line(&volume.record.name)?;
    }
    call.ui.print("Are you sure you want to continue? [y/N] ")?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer).map_err(CommandError::environment)?;
    if answer.is_empty() && !std::io::stdin().is_terminal() {
        return Err(CommandError::usage("no answer on standard input: use --force"));
    }
    Ok(answer.trim_start().to_ascii_lowercase().starts_with('y'))
}
