//! `rmi`, also spelled `image rm`.

use ctr_cli::app::Call;
use ctr_cli::exit::Exit;
use ctr_cli::peers::Sentence;
use ctr_cli::report::CommandError;
use ctr_cli::usage::{Arity, Flag, Verb};
use ctr_cli::verbs::Program;
use ctr_store::refs::Target;
use ctr_store::remove::{RemoveError, Removed};
use ctr_store::{ImageId, Store};
use ctr_views::unused;

use super::tag::id_of;
use crate::context::{Context, told};
use crate::error::{of, of_resolve};

pub(super) const VERB: Verb =
    Verb::new("[options] IMAGE [IMAGE...]", "Remove one or more images from local storage")
        .long("Removes one or more previously pulled or locally created images.")
        .examples(&[
            "image rm imageID",
            "image rm --force alpine",
            "image rm c4dfb1609ee2 93fd78260bd1 c0ed59d05ff7",
        ])
        .flags(&[
            Flag::bool("all", "Remove all images").short('a'),
            Flag::bool("force", "Force Removal of the image").short('f'),
            Flag::bool("ignore", "Ignore errors if a specified image does not exist").short('i'),
            Flag::bool("no-prune", "Do not remove dangling images"),
        ])
        .refuses(&[&["prune,p"]])
        .arity(Arity::Any);

pub(super) fn run(call: &Call) -> Result<Exit, CommandError> {
    let texts = call.flags.texts()?;
    let all = call.flags.bool("all");
    match (texts.is_empty(), all) {
        (true, false) => return Err(CommandError::usage("image name or ID must be specified")),
        (false, true) => {
            return Err(CommandError::usage(
                "when using the --all switch, you may not pass any images names or IDs",
            ));
        }
        _ => {}
    }
    let context = Context::new(&call.globals)?;
    let store = context.store()?;
    let names = if all { every_image(&store)? } else { texts.iter().map(|&text| text.to_owned()).collect() };
    let force = call.flags.bool("force");
    let mut removed = Vec::new();
    let mut errors = Vec::new();
    for name in &names {
        let id = store.lookup(name).map_or_else(|_unknown| String::new(), |found| id_of(found.target));
        // Of all images, names do not matter; a container's use still does.
        match remove(&store, call, name, force || all, force) {
            Ok(done) => {
                context.log(&call.ui, &unused::events(&id, &done));
                removed.extend(done);
            }
            Err(RemoveError::Resolve(error))
                if error.is_unknown() && (force || call.flags.bool("ignore")) => {}
            Err(error) => errors.push(error),
        }
    }
    let told = report(call, &removed);
    if !removed.is_empty() {
        context.clean(&call.ui);
    }
    told?;
    let exit = exit_of(&errors);
    let errors = errors.into_iter().map(|error| command_error(error).exit(exit)).collect();
    CommandError::several(errors).map_or(Ok(Exit::SUCCESS), Err)
}

/// Indexes first, each by all its names, so that one goes before its images.
fn every_image(store: &Store) -> Result<Vec<String>, CommandError> {
    let named = store.names().map_err(of)?.good;
    let mut all = Vec::new();
    for digest in store.indexes().map_err(of)? {
        let names = named.iter().filter(|named| named.target == Target::Index { digest });
        all.extend(names.map(|named| named.name.to_string()));
        all.push(digest.hex());
    }
    all.extend(store.images().map_err(of)?.into_iter().map(|listed| listed.id.to_string()));
    Ok(all)
}

fn remove(
    store: &Store,
    call: &Call,
    name: &str,
    with_names: bool,
    with_containers: bool,
) -> Result<Vec<Removed>, RemoveError> {
    let mut wait = |waiting: &ctr_core::lock::Waiting| told(&call.ui, waiting);
    match store.remove(name, with_names, &mut wait) {
        Err(RemoveError::InUse { containers, .. })
            if with_containers && remove_containers(call, &containers) =>
        {
            store.remove(name, with_names, &mut wait)
        }
        // Gone with its index a moment ago.
        Err(RemoveError::Resolve(error))
            if error.is_unknown() && ImageId::parse(name).is_ok() && with_names =>
        {
            Ok(Vec::new())
        }
        other => other,
    }
}

/// Removes containers as their own program does it. Whatever it says goes to the user; what counts is what is left.
fn remove_containers(call: &Call, containers: &[ctr_store::container::Claim]) -> bool {
    let Ok(program) = ctr_cli::dispatch::path(Program::Run) else { return false };
    let mut command = std::process::Command::new(program);
    command.env(ctr_cli::dispatch::BUILD, ctr_cli::release::id());
    for (option, value) in [("--root", &call.globals.root), ("--runroot", &call.globals.runroot)] {
        if let Some(value) = value {
            command.arg(option).arg(value);
        }
    }
    command.args(["rm", "--force", "--ignore"]).args(containers.iter().map(|claim| &claim.id));
    command.stdin(std::process::Stdio::null()).stdout(std::process::Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

fn report(call: &Call, removed: &[Removed]) -> Result<(), CommandError> {
    for one in removed {
        if let Removed::Name(name) = one {
            call.ui.line(&format!("Untagged: {name}"))?;
        }
    }
    for one in removed {
        match one {
            Removed::Image(id) => call.ui.line(&format!("Deleted: {id}"))?,
            Removed::Index(digest) => call.ui.line(&format!("Deleted: {}", digest.hex()))?,
            Removed::Name(_) => {}
        }
    }
    Ok(())
}

/// In use: 2; nothing but missing ones: 1; anything else: 125.
fn exit_of(errors: &[RemoveError]) -> Exit {
    if errors.iter().any(|error| matches!(error, RemoveError::InUse { .. })) {
        return Exit::IN_USE;
    }
    let missing = |error: &RemoveError| matches!(error, RemoveError::Resolve(error) if error.is_unknown());
    if errors.iter().all(missing) { Exit::NO } else { Exit::FAILURE }
}

fn command_error(error: RemoveError) -> CommandError {
    match error {
        RemoveError::Resolve(error) => of_resolve(error),
        RemoveError::InUse { image, containers } => {
            let container = containers.first().map(|claim| claim.id.clone()).unwrap_or_default();
            let sentence = Sentence::ImageInUse(container);
            let hint = format!("ctr rmi --force {}", image.short());
            CommandError::user(RemoveError::InUse { image, containers }).peer(sentence).hint(hint)
        }
        RemoveError::SeveralNames { image, names } => {
            let texts = names.iter().map(ToString::to_string).collect();
            let sentence = Sentence::ImageHasTags { image: image.to_string(), names: texts };
            let hint = format!("ctr rmi --force {}", image.short());
            CommandError::user(RemoveError::SeveralNames { image, names }).peer(sentence).hint(hint)
        }
        error @ (RemoveError::Store(_) | RemoveError::ReadOnly { .. }) => of(error),
    }
}
