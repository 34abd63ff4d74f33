//! `volume rm`.

use ctr_cli::app::Call;
use ctr_cli::exit::Exit;
use ctr_cli::report::CommandError;
use ctr_cli::usage::{Arity, Flag, Verb};
use ctr_core::events::Status;
use ctr_pods::containers::{Containers, ContainersError};
use ctr_pods::remove::Removal;
use ctr_store::Store;
use ctr_store::volume::{Trash, VolumeError};

use super::{all, happened, store, told};
use crate::cmd::rm::Remover;
use crate::cmd::select::grace;
use crate::error;
use crate::place::Place;

/// The verb.
pub const VERB: Verb = Verb::new("[options] VOLUME [VOLUME...]", "Remove one or more volumes")
    .long(
        "Removes one or more volumes. One that a container uses, running or not, is only removed with --force, and the \
         container with it.",
    )
    .examples(&["volume rm myvol1 myvol2", "volume rm --all", "volume rm --force myvol"])
    .flags(&[
        Flag::bool("all", "Remove all volumes").short('a'),
        Flag::bool("force", "Remove a volume by force, even if it is being used by a container").short('f'),
        Flag::int("time", "Seconds to wait for running containers to stop before killing the container")
            .short('t')
            .default("10"),
    ])
    .arity(Arity::Any);

/// How often containers that begin to use a volume while it is removed are removed too.
const TRIES: u32 = 8;

/// Removes volumes.
///
/// # Errors
/// One could not be removed; the others were tried all the same.
pub fn run(call: &Call) -> Result<Exit, CommandError> {
    let flags = &call.flags;
    let names = flags.texts()?;
    if flags.bool("all") != names.is_empty() {
        return Err(CommandError::usage("choose either one or more volumes or all"));
    }
    let force = flags.bool("force");
    if flags.has("time") && !force {
        return Err(CommandError::usage("--force option must be specified to use the --time option"));
    }
    let place = Place::find(&call.globals)?;
    let store = store(&place)?;
    let mut names: Vec<String> = names.into_iter().map(str::to_owned).collect();
    if flags.bool("all") {
        names = all(call, &store)?.into_iter().map(|volume| volume.record.name).collect();
    }
    let mut trash = Vec::new();
    let mut failed = Vec::new();
    let containers = Containers::new(&place.dirs);
    let mut remover = Remover::new(call, &place, &containers);
    for name in &names {
        match one(call, &containers, &mut remover, &store, name) {
            Ok((name, left)) => {
                trash.push(left);
                happened(call, &place, Status::Remove, [name.as_str()]);
                call.ui.line(&name)?;
            }
            Err(error) if force && error.code() == Exit::NO => {}
            Err(error) => failed.push(error),
        }
    }
    empty(call, &place, trash)?;
    CommandError::several(failed).map_or(Ok(Exit::SUCCESS), Err)
}

fn one(
    call: &Call,
    containers: &Containers,
    remover: &mut Remover<'_>,
    store: &Store,
    text: &str,
) -> Result<(String, Trash), CommandError> {
    let name = store.volumes().find(text).map_err(absent)?.record.name;
    for _ in 0..TRIES {
        match store.volumes().remove(&name) {
            Err(VolumeError::InUse { users, .. }) if call.flags.bool("force") => {
                for user in &users {
                    end(call, containers, remover, user)?;
                }
            }
            other => return Ok((name, other.map_err(absent)?)),
        }
    }
    Ok((name.clone(), store.volumes().remove(&name).map_err(absent)?))
}

/// A volume that was to be removed: one that is not there is the answer "no".
fn absent(error: VolumeError) -> CommandError {
    let code = matches!(error, VolumeError::NotFound(_)).then_some(Exit::NO);
    let told = told(error);
    match code {
        Some(code) => told.exit(code),
        None => told,
    }
}

/// Removes a container that uses what is removed.
fn end(
    call: &Call,
    containers: &Containers,
    remover: &mut Remover<'_>,
    id: &str,
) -> Result<(), CommandError> {
    match containers.find(id) {
        Ok(container) => {
            let how = Removal { force: true, grace: grace(&call.flags, &container) };
            remover.remove(&container, how)
        }
        Err(ContainersError::NotFound(_)) => Ok(()),
        Err(error) => Err(error::of_containers(error)),
    }
}

/// Deletes what is left, which belongs to ids that only A has.
pub(super) fn empty(call: &Call, place: &Place, trash: Vec<Trash>) -> Result<(), CommandError> {
    if trash.is_empty() {
        return Ok(());
    }
    let _a = place.enter_to_remove(&call.ui)?;
    trash.into_iter().try_for_each(Trash::delete).map_err(CommandError::environment)
}
