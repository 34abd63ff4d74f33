//! `tag` of images in a registry: the manifest is written under another name, and what it names stays where it is.

use ctr_cli::app::Call;
use ctr_cli::exit::Exit;
use ctr_cli::report::CommandError;
use ctr_core::Reference;
use ctr_core::oci::{Document, media};
use ctr_registry::client::Registry;
use ctr_registry::sink::{self, RegistrySink};
use ctr_registry::source::RemoteImage;
use ctr_store::copy::{Choice, Options, Sink as _, copy};
use ctr_store::transport::{Offer, Place};

use crate::error::{of, of_copy, of_registry};
use crate::registries::{Access, Registries};

/// How the name of an image in a registry begins.
pub(super) const TRANSPORT: &str = "docker://";

pub(super) fn run(call: &Call, texts: &[&str]) -> Result<Exit, CommandError> {
    let references: Vec<Reference> = texts.iter().map(|text| remote(text)).collect::<Result<_, _>>()?;
    let (from, names) = (&references[0], &references[1..]);
    let elsewhere = |name: &&Reference| name.name.domain() != from.name.domain();
    if let Some(name) = names.iter().find(elsewhere) {
        let said = format!("{name} is in another registry than {from}, and would have to be copied there");
        return Err(CommandError::usage(said).hint(format!("ctr copy {} {TRANSPORT}{name}", texts[0])));
    }
    if let Some(name) = names.iter().find(|name| name.digest.is_some()) {
        return Err(CommandError::usage(format!("{name}: tag by digest not supported")));
    }
    let (registries, access) = (Registries::new(call)?, Access::of(call, "")?);
    let image = RemoteImage::new(registries.registry(&from.name, &access)?, from.clone(), from.to_string());
    let offer = image.offer().map_err(of_registry)?;
    for name in names {
        if name.name == from.name {
            put(image.registry(), name, &offer)?;
        } else {
            let registry = registries.registry(&name.name, &access)?;
            mount(&image, &offer, registry, name)?;
        }
    }
    Ok(Exit::SUCCESS)
}

fn remote(text: &str) -> Result<Reference, CommandError> {
    match Place::parse(text) {
        Ok(Place::Registry(reference)) => Ok(reference),
        Err(error) if text.starts_with(TRANSPORT) => Err(of(error)),
        _ => Err(CommandError::usage(format!(
            "{text:?}: an image of a registry gets names in that registry, which begin with {TRANSPORT} too"
        ))),
    }
}

/// In the same repository all is there.
fn put(registry: &Registry, name: &Reference, offer: &Offer) -> Result<(), CommandError> {
    let parsed = ctr_core::oci::parse(&offer.bytes, offer.media_type.as_deref()).map_err(of)?;
    let (said, usual) = match &parsed {
        Document::Manifest(manifest) => (manifest.media_type.as_deref(), media::OCI_MANIFEST),
        Document::Index(index) => (index.media_type.as_deref(), media::OCI_INDEX),
    };
    let kind = said.or(offer.media_type.as_deref()).unwrap_or(usual);
    let tag = name.tag.as_ref().map_or("latest", |tag| tag.as_str());
    registry.put_manifest(name.name.path(), tag, kind, &offer.bytes).map_err(of_registry)
}

/// In another repository the registry takes the blobs from the first one; what it does not take is sent.
fn mount(
    image: &RemoteImage,
    offer: &Offer,
    registry: Registry,
    name: &Reference,
) -> Result<(), CommandError> {
    let options = sink::Options {
        mounts_from: Some(image.repository().to_owned()),
        falls_back: false,
        ..sink::Options::default()
    };
    let mut sink = RegistrySink::new(registry, name.clone(), options);
    let whole = Options { choice: Choice::All, preserve_digests: true, ..Options::default() };
    let placed = copy(image, offer, &mut sink, &whole).map_err(of_copy)?;
    sink.name(&placed, &[]).map_err(of_copy)?;
    sink.finish().map_err(of_copy)
}
