//! `inspect` of an image wherever it is, as skopeo has it: no layer is fetched.

use ctr_cli::app::Call;
use ctr_cli::exit::Exit;
use ctr_cli::json::{self, Style};
use ctr_cli::report::{CommandError, chain};
use ctr_cli::template::{Report, TemplateError, Value, asks_for_json};
use ctr_cli::usage::{Arity, Flag, Verb};
use ctr_core::oci::media::{self, Kind};
use ctr_core::oci::{Descriptor, Document, ImageConfig, Manifest};
use ctr_core::{Platform, limits};
use ctr_registry::source::RemoteImage;
use ctr_store::copy::CopyError;
use ctr_store::session::Session;
use ctr_store::transport::{Offer, Place, Source};
use ctr_views::remote;

use crate::context::Context;
use crate::error::{not_found, of, of_copy, of_registry, of_source};
use crate::places::Origin;
use crate::registries::{self, Access, Registries};

pub(super) const VERB: Verb = Verb::new("[command options] IMAGE-NAME", "Inspect image IMAGE-NAME")
    .long(
        "Return low-level information about \"IMAGE-NAME\" in a registry/transport\n\nSupported transports:\ncontainers-storage, dir, docker, docker-archive, oci, oci-archive, store, tarball\n\nNo layer is fetched.",
    )
    .examples(&[
        "inspect docker://registry.fedoraproject.org/fedora",
        "inspect --config docker://docker.io/alpine",
        "inspect --format \"Name: {{.Name}} Digest: {{.Digest}}\" docker://registry.access.redhat.com/ubi8",
    ])
    .flags(&[
        Flag::bool("config", "output configuration"),
        Flag::string("format", "Format the output to a Go template").short('f'),
        Flag::bool("no-tags", "Do not list the available tags from the repository in the output").short('n'),
        Flag::bool("raw", "output raw manifest or configuration"),
    ])
    .shared_flags(registries::FLAGS)
    .refuses(&[&["daemon-host", "manifest-digest", "shared-blob-dir"]])
    .arity(Arity::Exactly(1));

pub(super) fn run(call: &Call) -> Result<Exit, CommandError> {
    let place = Place::parse(call.flags.texts()?[0]).map_err(of)?;
    if let Place::Registry(reference) = &place {
        let image = Registries::new(call)?.image(reference, &Access::of(call, "")?)?;
        let offer = image.offer().map_err(|error| {
            let is_missing = error.is_missing();
            let error = of_registry(error);
            if is_missing { not_found(error, call.caller.voice) } else { error }
        })?;
        let name = reference.name.to_string();
        return Looked { call, source: &image, offer, name: Some(name), tags: &|| tags(call, &image) }
            .print();
    }
    let context = Context::new(&call.globals)?;
    let session = Session::begin(&context.store()?).map_err(of)?;
    let platform = Platform::host();
    let origin = Origin {
        call,
        context: &context,
        session: &session,
        ingest: None,
        platform: Some(&platform),
        trusts_stores: false,
        registries: None,
        flags: "",
    };
    origin.with(&place, |source, read| {
        Looked { call, source, offer: read()?, name: None, tags: &|| Ok(Vec::new()) }.print()
    })
}

/// The tags beside an image. Some registries let nobody list them: then there are none.
fn tags(call: &Call, image: &RemoteImage) -> Result<Vec<String>, CommandError> {
    match image.registry().tags(image.repository()) {
        Err(error) if error.is_denied() => {
            call.ui.warn(&format!("Registry disallows tag list retrieval; skipping: {}", chain(&error)));
            Ok(Vec::new())
        }
        other => other.map_err(of_registry),
    }
}

/// An image that is looked at.
struct Looked<'a> {
    call: &'a Call,
    source: &'a dyn Source,
    /// The manifest or index.
    offer: Offer,
    name: Option<String>,
    tags: &'a dyn Fn() -> Result<Vec<String>, CommandError>,
}

impl Looked<'_> {
    fn print(&self) -> Result<Exit, CommandError> {
        let flags = &self.call.flags;
        match (flags.bool("raw"), flags.bool("config")) {
            (true, false) => self.raw(&self.offer.bytes)?,
            (true, true) => self.raw(&self.config(&self.manifest()?)?)?,
            (false, true) => self.report(remote::config(&self.parsed(&self.manifest()?)?))?,
            (false, false) => {
                let manifest = self.manifest()?;
                let config = self.parsed(&manifest)?;
                let tags = if flags.bool("no-tags") { Vec::new() } else { (self.tags)()? };
                let name = self.name.as_deref();
                self.report(remote::value(name, &self.offer.digest, tags, &manifest, &config))?;
            }
        }
        Ok(Exit::SUCCESS)
    }

    /// The manifest of the image for this machine.
    fn manifest(&self) -> Result<Manifest, CommandError> {
        let parsed = ctr_core::oci::parse(&self.offer.bytes, self.offer.media_type.as_deref()).map_err(of)?;
        let index = match parsed {
            Document::Manifest(manifest) => return Ok(*manifest),
            Document::Index(index) => index,
        };
        let wanted = Platform::host();
        let entry = index.select(&wanted).ok_or_else(|| of_copy(CopyError::NoPlatform(wanted)))?;
        let bytes = self.source.document(entry, limits::MANIFEST).map_err(of_source)?;
        let is_known = media::kind(&entry.media_type) == Some(Kind::Manifest);
        let announced = Some(entry.media_type.as_str()).filter(|_| is_known);
        ctr_core::oci::parse_manifest(&bytes, announced).map_err(of)
    }

    fn config(&self, manifest: &Manifest) -> Result<Vec<u8>, CommandError> {
        let descriptor: &Descriptor = &manifest.config;
        self.source.document(descriptor, limits::CONFIG).map_err(of_source)
    }

    fn parsed(&self, manifest: &Manifest) -> Result<ImageConfig, CommandError> {
        ImageConfig::parse(&self.config(manifest)?).map_err(of)
    }

    fn raw(&self, bytes: &[u8]) -> Result<(), CommandError> {
        // What is no text is none that a manifest or a config may have.
        Ok(self.call.ui.print(std::str::from_utf8(bytes).map_err(of)?)?)
    }

    fn report(&self, value: Value) -> Result<(), CommandError> {
        let format = self.call.flags.string("format");
        if format.is_empty() || asks_for_json(format) {
            return Ok(self.call.ui.line(&json::document(&value.to_json(), Style::FOUR))?);
        }
        let failed = |error: TemplateError| CommandError::usage(error.to_string());
        let report = Report::parse("inspect", format).map_err(failed)?;
        Ok(self.call.ui.print(&report.render(vec![value], None).map_err(failed)?)?)
    }
}
