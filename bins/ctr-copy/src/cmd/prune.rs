//! `image prune`: takes away what nothing names or uses.

use ctr_cli::app::Call;
use ctr_cli::exit::Exit;
use ctr_cli::report::CommandError;
use ctr_cli::usage::{Flag, Verb};
use ctr_core::events::Event;
use ctr_core::lock::Waiting;
use ctr_views::unused::{self, Which};

use crate::context::{Context, told};

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
    let which = Which { all, filters: &call.flags.strings("filter") };
    let mut wait = |waiting: &Waiting| told(&call.ui, waiting);
    let mut log = |events: &[Event]| context.log(&call.ui, events);
    let removed = unused::remove(&store, which, &mut wait, &mut log)?;
    if !removed.is_empty() {
        context.clean(&call.ui);
    }
    for id in unused::ids(&removed) {
        call.ui.line(&id)?;
    }
    Ok(Exit::SUCCESS)
}

/// Asks.
fn agreed(call: &Call, all: bool) -> Result<bool, CommandError> {
    let what = if all {
        "WARNING! This command removes all images without at least one container associated with them."
    } else {
        "WARNING! This command removes all dangling images."
    };
    call.ui.confirm(&format!("{what}\nAre you sure you want to continue?"))
}
