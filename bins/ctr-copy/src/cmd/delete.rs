//! `delete`: an image in a registry.

use ctr_cli::app::Call;
use ctr_cli::exit::Exit;
use ctr_cli::report::CommandError;
use ctr_cli::usage::{Arity, Verb};
use ctr_core::Reference;
use ctr_store::transport::Place;

use crate::error::{not_found, of, of_registry};
use crate::registries::{self, Access, Registries};

pub(super) const VERB: Verb = Verb::new("[command options] IMAGE-NAME", "Delete image IMAGE-NAME")
    .long(
        "Delete an \"IMAGE_NAME\" from a transport\n\nSupported transports:\ndocker\n\nAn image goes by its digest, and with it every tag that leads to it. What it takes on the registry's disk is given back when the registry collects its garbage.",
    )
    .examples(&["delete docker://registry.example.com/example/pause:latest"])
    .shared_flags(registries::FLAGS)
    .refuses(&[&["daemon-host", "shared-blob-dir"]])
    .arity(Arity::Exactly(1));

pub(super) fn run(call: &Call) -> Result<Exit, CommandError> {
    let text = call.flags.texts()?[0];
    match Place::parse(text).map_err(of)? {
        Place::Registry(reference) => from_registry(call, &reference)?,
        Place::Store { name, .. } => {
            let said = format!("{text}: images of a store are removed by `rmi`");
            return Err(CommandError::usage(said).hint(format!("ctr rmi {name}")));
        }
        _ => {
            let transport = text.split(':').next().unwrap_or(text);
            return Err(CommandError::user(format!(
                "Deleting images not implemented for {transport}: images"
            )));
        }
    }
    Ok(Exit::SUCCESS)
}

fn from_registry(call: &Call, reference: &Reference) -> Result<(), CommandError> {
    let registry = Registries::new(call)?.registry(&reference.name, &Access::of(call, "")?)?;
    let repository = reference.name.path();
    let failed = |error: ctr_registry::RegistryError| {
        let is_missing = error.is_missing();
        let error = of_registry(error);
        if is_missing { not_found(error, call.caller.voice) } else { error }
    };
    let digest = match (&reference.digest, &reference.tag) {
        (Some(digest), _) => *digest,
        (None, tag) => {
            let tag = tag.as_ref().map_or("latest", |tag| tag.as_str());
            let found = registry.find_manifest(repository, tag).map_err(failed)?;
            match found.and_then(|found| found.digest) {
                Some(digest) => digest,
                // A registry that does not tell, or none there: reading it gives the digest, or the reason.
                None => registry.manifest(repository, tag).map_err(failed)?.digest,
            }
        }
    };
    registry.delete_manifest(repository, &digest.to_string()).map_err(failed)
}
