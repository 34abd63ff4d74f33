//! `image prune`: takes away what nothing names or uses.

use std::io::{BufRead, IsTerminal};

use ctr_cli::app::Call;
use ctr_cli::exit::Exit;
use ctr_cli::report::CommandError;
use ctr_cli::usage::{Flag, Verb};
use ctr_store::remove::{RemoveError, Removed};
use ctr_views::listing;

use super::rmi::happened;
use crate::context::{Context, told};
use crate::error::of;
use crate::filter::Filters;

pub(super) const VERB: Verb = Verb::new("[options]", "Remove unused images")
    .long("Removes dangling or unused images from local storage.")
    .flags(&[
        Flag::bool("all", "Remove all images not in use by containers, not just dangling ones").short('a'),
        Flag::array("filter", "Provide filter values (e.g. 'label=<key>=<value>')"),
        Flag::bool("force", "Do not prompt for confirmation").short('f'),
    ])
    .refuses(&[&["build-cache", "external"]]);

pub(super) fn run(call: &Call) -> Result<Exit, CommandError> {
    let all = call.flags.bool("all");
    if !call.flags.bool("force") && !agreed(call, all)? {
        return Ok(Exit::SUCCESS);
    }
    let context = Context::new(&call.globals)?;
    let store = context.store()?;
    let mut entries = listing::all(&store).map_err(of)?;
    let filters = Filters::parse(&call.flags.strings("filter"), &store, &entries)?;
    entries.retain(|entry| entry.containers.is_empty() && (entry.is_dangling() || all && !entry.is_part));
    filters.keep(&mut entries);
    let mut removed = Vec::new();
    for entry in &entries {
        let mut wait = |waiting: &ctr_core::lock::Waiting| told(&call.ui, waiting);
        // An index is removed by each of its names, an image by its id with all of them.
        let by_name = entry.is_index() && !entry.names.is_empty();
        let words = if by_name { entry.name_texts() } else { vec![entry.id.clone()] };
        for word in words {
            match store.remove(&word, true, &mut wait) {
                Ok(done) => {
                    happened(&context, call, &entry.id, &done);
                    removed.extend(done);
                }
                // Somebody began to use it, or took it away, since it was listed.
                Err(RemoveError::InUse { .. }) => {}
                Err(RemoveError::Resolve(error)) if error.is_unknown() => {}
                Err(error) => return Err(of(error)),
            }
        }
    }
    if !removed.is_empty() {
        context.clean(&call.ui);
    }
    for one in &removed {
        match one {
            Removed::Image(id) => call.ui.line(&id.to_string())?,
            Removed::Index(digest) => call.ui.line(&digest.hex())?,
            Removed::Name(_) => {}
        }
    }
    Ok(Exit::SUCCESS)
}

/// Asks. Without a terminal the answer is read all the same, as podman does; no answer is no.
fn agreed(call: &Call, all: bool) -> Result<bool, CommandError> {
    let what = if all {
        "WARNING! This command removes all images without at least one container associated with them.\n"
    } else {
        "WARNING! This command removes all dangling images.\n"
    };
    call.ui.print(&format!("{what}Are you sure you want to continue? [y/N] "))?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer).map_err(of)?;
    if answer.is_empty() && !std::io::stdin().is_terminal() {
        return Err(CommandError::usage("no answer on standard input: use --force"));
    }
    Ok(answer.trim_start().to_ascii_lowercase().starts_with('y'))
}
