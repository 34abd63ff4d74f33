//! `ctr init`: everything of a container but its command.

use ctr_cli::app::Call;
use ctr_cli::exit::Exit;
use ctr_cli::peers::Sentence;
use ctr_cli::report::CommandError;
use ctr_cli::usage::{Arity, Flag, Verb};
use ctr_pods::containers::{Container, Containers};
use ctr_store::Store;

use super::begin;
use super::select::{self, each, wanted};
use super::start::{Taken, check_needed, taken};
use crate::error;
use crate::place::Place;

/// The verb.
pub const VERB: Verb = Verb::new("[options] CONTAINER [CONTAINER...]", "Initialize one or more containers")
    .long(
        "Makes everything of one or more containers but their commands, for inspection: mounts, namespaces, the monitor. \
         A later `start` lets the command run.",
    )
    .examples(&["init web", "init --all", "init --latest"])
    .flags(&[
        Flag::bool("all", "Initialize all containers").short('a'),
        Flag::bool("latest", "Act on the latest container").short('l'),
    ])
    .arity(Arity::Any);

/// Initializes containers.
///
/// # Errors
/// One could not be; the others were tried all the same.
pub fn run(call: &Call) -> Result<Exit, CommandError> {
    let place = Place::find(&call.globals)?;
    let containers = Containers::new(&place.dirs);
    let store = Store::open(&place.layout()).map_err(CommandError::environment)?;
    let wanted = wanted(call, &containers, select::Rules { ignore: false, all: |_| true, narrows: false })?;
    each(call, wanted, |container| one(call, &place, &containers, &store, container))
}

fn one(
    call: &Call,
    place: &Place,
    containers: &Containers,
    store: &Store,
    container: &Container,
) -> Result<bool, CommandError> {
    let host = begin::host(place, store, &call.ui);
    let id = &container.record.id;
    let all = call.flags.bool("all");
    let held = match taken(containers, container, host)? {
        Taken::Held(held) => held,
        // Of all containers some may well be further.
        Taken::Running | Taken::Initialized(..) if all => return Ok(true),
        Taken::Running | Taken::Initialized(..) => {
            let text =
                format!("container {id} has already been created in runtime: container state improper");
            return Err(CommandError::user(format!("container {id} is already initialized"))
                .peer(Sentence::Other(text)));
        }
    };
    match check_needed(containers, &container.record) {
        Err(_) if all => return Ok(true),
        unmet => unmet?,
    }
    let made = begin::part(call, place, host, held.waiting(), false, || Ok(()))?;
    made.map(|_| true).map_err(CommandError::quiet)
}

/// Lets the command of an initialized container run, and does not wait for its end.
pub(super) fn go_on(
    call: &Call,
    place: &Place,
    container: &Container,
    state: &ctr_pods::record::State,
) -> Result<(), CommandError> {
    let wants = ctr_pods::attach::Wants { output: false, input: false };
    let (connection, starting) = begin::go_on(container, state, wants)?;
    match ctr_pods::initialized::wait(&connection).map_err(CommandError::environment)? {
        Ok(()) => {
            begin::gone_on(call, place, container, &starting, wants.output);
            Ok(())
        }
        Err(errno) => Err(error::of_command(begin::command_of(container), errno)),
    }
}
