//! `digest`: what an image is at its registry, by one question.

use ctr_cli::app::Call;
use ctr_cli::exit::Exit;
use ctr_cli::report::CommandError;
use ctr_cli::usage::{Arity, Flag, Verb};
use ctr_core::oci::Document;
use ctr_core::reference::Reference;
use ctr_core::{Digest, Platform};
use ctr_registry::source::RemoteImage;
use ctr_store::copy::CopyError;

use crate::error::{of, of_copy, of_registry};
use crate::registries::{self, Access, Registries};

pub(super) const VERB: Verb = Verb::new("[options] IMAGE", "Print the digest of an image in a registry")
    .long("Prints the digest of an image in a registry, without fetching the image.\n\nOf an image for several platforms it is that of the index, unless a platform is chosen.")
    .examples(&["digest docker.io/library/debian:12", "digest --platform linux/arm64 quay.io/team/app"])
    .flags(&[
        Flag::bool("full-ref", "Print the whole reference, by its digest"),
        Flag::string("platform", "Choose the image of OS/ARCH[/VARIANT] from an index"),
    ])
    .shared_flags(registries::FLAGS)
    .arity(Arity::Exactly(1));

pub(super) fn run(call: &Call) -> Result<Exit, CommandError> {
    let text = call.flags.texts()?[0];
    let reference = Reference::parse(text.strip_prefix("docker://").unwrap_or(text)).map_err(of)?.or_latest();
    let platform = call.flags.get("platform").map(Platform::parse).transpose();
    let platform = platform.map_err(|error| CommandError::usage(error.to_string()))?;
    let image = Registries::new(call)?.image(&reference, &Access::of(call, "")?)?;
    let digest = match &platform {
        Some(platform) => chosen(&image, platform)?,
        None => match image.look().map_err(of_registry)?.and_then(|found| found.digest) {
            Some(digest) => digest,
            // A registry that does not tell, or none there: reading it gives the digest, or the reason.
            None => image.offer().map_err(of_registry)?.digest,
        },
    };
    if call.flags.bool("full-ref") {
        call.ui.line(&reference.canonical(digest).to_string())?;
    } else {
        call.ui.line(&digest.to_string())?;
    }
    Ok(Exit::SUCCESS)
}

/// The digest of the image for a platform.
fn chosen(image: &RemoteImage, platform: &Platform) -> Result<Digest, CommandError> {
    let offer = image.offer().map_err(of_registry)?;
    match ctr_core::oci::parse(&offer.bytes, offer.media_type.as_deref()).map_err(of)? {
        Document::Index(index) => {
            let entry = index.select(platform).ok_or_else(|| CopyError::NoPlatform(platform.clone()));
            Ok(entry.map_err(of_copy)?.digest)
        }
        // One image is for whatever platform it is for.
        Document::Manifest(_) => Ok(offer.digest),
    }
}
