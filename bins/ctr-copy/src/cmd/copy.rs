//! `copy`: an image from one place to another, also as `skopeo copy`.

use std::io::{BufWriter, Write};
use std::path::Path;

use ctr_cli::app::Call;
use ctr_cli::exit::Exit;
use ctr_cli::report::CommandError;
use ctr_cli::usage::{Arity, Flag, Verb};
use ctr_core::atomic::Temporary;
use ctr_core::oci::media::Family;
use ctr_core::reference::Spelling;
use ctr_core::{FileError, Platform, Reference};
use ctr_store::Store;
use ctr_store::copy::dir_sink::DirSink;
use ctr_store::copy::docker_sink::DockerSink;
use ctr_store::copy::files::TarFiles;
use ctr_store::copy::layout_sink::LayoutSink;
use ctr_store::copy::store_sink::StoreSink;
use ctr_store::copy::{Choice, Options, Placed, Sink, copy};
use ctr_store::ingest::Ingest;
use ctr_store::session::Session;
use ctr_store::transport::{Chosen, Offer, Place, Source, Which};

use super::load::parallel;
use super::tag::local_name;
use crate::context::Context;
use crate::error::{of, of_copy};
use crate::places::Origin;
use crate::registries::COPY_FLAGS;

pub(super) const VERB: Verb =
    Verb::new("[command options] SOURCE-IMAGE DESTINATION-IMAGE", "Copy an image from one place to another")
        .long("Container \"IMAGE-NAME\" uses a \"transport\":\"details\" format.\n\nSupported transports:\ncontainers-storage, dir, docker, docker-archive, oci, oci-archive, store, tarball")
        .examples(&["copy docker://quay.io/team/app:1 oci-archive:app.tar", "copy oci-archive:image.tar containers-storage:quay.io/team/app:1"])
        .flags(&[
            Flag::bool("all", "Copy all images if SOURCE-IMAGE is a list").short('a'),
            Flag::array("additional-tag", "additional tags (supports docker-archive)"),
            Flag::path("digestfile", "Write the digest of the pushed image to the named file"),
            Flag::choice("format", &["oci", "v2s2"], "MANIFEST TYPE (oci, v2s1, or v2s2) to use in the destination (default is manifest type of source, with fallbacks)").short('f'),
            Flag::choice("multi-arch", &["system", "all", "index-only"], "How to handle multi-architecture images (system, all, or index-only)"),
            Flag::bool("preserve-digests", "Preserve digests of images and lists"),
            Flag::string("platform", "Choose the image of OS/ARCH[/VARIANT] from an index"),
            Flag::bool("quiet", "Suppress output information when copying images").short('q'),
            Flag::bool("remove-signatures", "Do not copy signatures from SOURCE-IMAGE"),
        ])
        .shared_flags(COPY_FLAGS)
        .refuses(&[&[
            "command-timeout",
            "decryption-key",
            "dest-authfile",
            "dest-cert-dir",
            "dest-compress",
            "dest-compress-format",
            "dest-compress-level",
            "dest-creds",
            "dest-daemon-host",
            "dest-decompress",
            "dest-force-compress-format",
            "dest-no-creds",
            "dest-oci-accept-uncompressed-layers",
            "dest-password",
            "dest-precompute-digests",
            "dest-registry-token",
            "dest-shared-blob-dir",
            "dest-tls-verify",
            "dest-username",
            "encrypt-layer",
            "encryption-key",
            "image-parallel-copies",
            "sign-by",
            "sign-by-sigstore",
            "sign-by-sigstore-private-key",
            "sign-by-sq-fingerprint",
            "sign-identity",
            "sign-passphrase-file",
            "src-daemon-host",
            "src-shared-blob-dir",
        ]])
        .arity(Arity::Exactly(2));

pub(super) fn run(call: &Call) -> Result<Exit, CommandError> {
    let texts = call.flags.texts()?;
    let from = Place::parse(texts[0]).map_err(of)?;
    let to = Place::parse(texts[1]).map_err(of)?;
    let options = options(call)?;
    let context = Context::new(&call.globals)?;
    let here = Site::of(&context, &to)?;
    let session = Session::begin(&here.store).map_err(of)?;
    let worker = here.context.worker()?;
    let ingest = Ingest { session: &session, worker: &worker };
    let into_store = matches!(to, Place::Store { .. });
    let platform = match &options.choice {
        Choice::Platform(platform) => Some(platform),
        Choice::All | Choice::IndexOnly => None,
    };
    let origin = Origin { call, context: &context, ingest, into_store, platform, flags: "src-" };
    let placed =
        origin.with(&from, |source, offer| into(call, &to, ingest, source, offer, &options, texts[0]))?;
    drop(session);
    if into_store {
        here.context.settle_later(&call.ui);
    }
    if let Some(path) = call.flags.path("digestfile") {
        std::fs::write(path, placed.descriptor.digest.to_string())
            .map_err(|error| of(FileError::new("write", path, error)))?;
    }
    Ok(Exit::SUCCESS)
}

fn options(call: &Call) -> Result<Options, CommandError> {
    let flags = &call.flags;
    let platform = match flags.get("platform") {
        Some(text) => Platform::parse(text).map_err(|error| CommandError::usage(error.to_string()))?,
        None => Platform::host(),
    };
    let choice = match (flags.bool("all"), flags.get("multi-arch")) {
        (true, Some(_)) => {
            return Err(CommandError::usage("Cannot use --all and --multi-arch flags together"));
        }
        (true, None) | (false, Some("all")) => Choice::All,
        (false, Some("index-only")) => Choice::IndexOnly,
        _ => Choice::Platform(platform),
    };
    let family = flags.get("format").map(|text| if text == "oci" { Family::Oci } else { Family::Docker });
    Ok(Options { choice, family, preserve_digests: flags.bool("preserve-digests") })
}

/// The store that work is done in: that of the destination, else our own.
struct Site {
    context: Context,
    store: Store,
}

impl Site {
    fn of(context: &Context, to: &Place) -> Result<Self, CommandError> {
        let context = match to {
            Place::Store { at: Some(at), .. } => context.at(at)?,
            _ => context.clone(),
        };
        let store = context.store()?;
        Ok(Self { context, store })
    }
}

/// Copies into the destination.
fn into(
    call: &Call,
    to: &Place,
    ingest: Ingest<'_>,
    source: &dyn Source,
    offer: &Offer,
    options: &Options,
    origin: &str,
) -> Result<Placed, CommandError> {
    let run = |sink: &mut dyn Sink, names: &[Reference]| -> Result<Placed, CommandError> {
        let placed = copy(source, offer, sink, options).map_err(of_copy)?;
        sink.name(&placed, names).map_err(of_copy)?;
        Ok(placed)
    };
    let whole = |sink: &mut dyn Sink, names: &[Reference]| -> Result<Placed, CommandError> {
        let placed = run(sink, names)?;
        sink.finish().map_err(of_copy)?;
        Ok(placed)
    };
    match to {
        Place::Store { name, .. } => {
            let names = store_names(name)?;
            whole(&mut StoreSink::new(ingest, origin, parallel()), &names)
        }
        Place::Dir(path) => whole(&mut DirSink::new(path, None).map_err(of_copy)?, &[]),
        Place::Oci(Chosen { path, which }) => {
            let mut sink = LayoutSink::folder(path, None).map_err(of_copy)?;
            let placed = run(&mut sink, &[])?;
            sink.name_as(&placed, &layout_names(which.as_ref())?);
            sink.finish().map_err(of_copy)?;
            Ok(placed)
        }
        Place::OciArchive(Chosen { path, which }) => {
            let out = NewFile::create(path)?;
            let mut sink = LayoutSink::archive(TarFiles::new(out.stream()?), None);
            let placed = run(&mut sink, &[])?;
            sink.name_as(&placed, &layout_names(which.as_ref())?);
            sink.finish().map_err(of_copy)?;
            out.publish()?;
            Ok(placed)
        }
        Place::DockerArchive(Chosen { path, which }) => {
            let mut names = Vec::new();
            if let Some(Which::Name(name)) = which {
                names.push(docker_name(name)?);
            }
            for tag in call.flags.strings("additional-tag") {
                names.push(docker_name(&tag)?);
            }
            let out = NewFile::create(path)?;
            let placed = whole(&mut DockerSink::new(TarFiles::new(out.stream()?), ingest.session), &names)?;
            out.publish()?;
            Ok(placed)
        }
        Place::Registry(_) => Err(CommandError::not_supported("copying to docker://")),
        Place::Tarball(_) => Err(CommandError::usage("tarball: can only be copied from")),
    }
}

fn docker_name(text: &str) -> Result<Reference, CommandError> {
    let name = Reference::parse(text).map_err(|error| CommandError::usage(format!("{text:?}: {error}")))?;
    Ok(name.or_latest())
}

/// Names in a store: skopeo's short names are docker.io's, ours are local ones. An id names nothing.
fn store_names(text: &str) -> Result<Vec<Reference>, CommandError> {
    match Spelling::parse(text) {
        Ok(Spelling::Full(name)) if name.digest.is_none() => Ok(vec![name.or_latest()]),
        _ if text.starts_with('@') => Ok(Vec::new()),
        _ => Ok(vec![local_name(text)?]),
    }
}

/// In a layout a name is any text.
fn layout_names(which: Option<&Which>) -> Result<Vec<String>, CommandError> {
    match which {
        None => Ok(Vec::new()),
        Some(Which::Name(name)) => Ok(vec![name.clone()]),
        Some(Which::Position(_)) => {
            Err(CommandError::usage("a position can only be read from, not written to"))
        }
    }
}

/// An archive that gets its name when it is whole.
struct NewFile(Temporary);

impl NewFile {
    fn create(path: &Path) -> Result<Self, CommandError> {
        Temporary::create(path).map(Self).map_err(of)
    }

    fn stream(&self) -> Result<Box<dyn Write>, CommandError> {
        let file = self.0.file().try_clone().map_err(of)?;
        Ok(Box::new(BufWriter::with_capacity(256 << 10, file)))
    }

    fn publish(&self) -> Result<(), CommandError> {
        rustix::fs::fchmod(self.0.file(), rustix::fs::Mode::from_raw_mode(0o644)).map_err(of)?;
        self.0.publish().map_err(of)
    }
}
