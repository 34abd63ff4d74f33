//! `copy`: an image from one place to another, also as `skopeo copy`.

use std::io::{BufWriter, Write};
use std::path::Path;

use ctr_cli::app::Call;
use ctr_cli::exit::Exit;
use ctr_cli::human::size::human;
use ctr_cli::report::CommandError;
use ctr_cli::usage::{Arity, Flag, Verb};
use ctr_core::atomic::Temporary;
use ctr_core::oci::Descriptor;
use ctr_core::oci::media::Family;
use ctr_core::reference::Spelling;
use ctr_core::{FileError, Platform, Reference};
use ctr_registry::sink::{self, RegistrySink};
use ctr_store::Store;
use ctr_store::copy::dir_sink::DirSink;
use ctr_store::copy::docker_sink::DockerSink;
use ctr_store::copy::files::TarFiles;
use ctr_store::copy::layout_sink::LayoutSink;
use ctr_store::copy::plan::{Fate, Having, Outlook, Plan, Planner};
use ctr_store::copy::recode::Layers;
use ctr_store::copy::store_sink::StoreSink;
use ctr_store::copy::watch::{Heard, Watched};
use ctr_store::copy::{Choice, Options, Placed, Sink, already, copy};
use ctr_store::ingest::Ingest;
use ctr_store::session::Session;
use ctr_store::transport::{Chosen, Place, Source, Which, dir, oci};

use super::load::parallel;
use super::tag::local_name;
use crate::context::Context;
use crate::daemon::{Sent, daemon};
use crate::error::{of, of_copy};
use crate::lines::Lines;
use crate::packing;
use crate::places::{Origin, Reading, shared_blobs};
use crate::registries::{Access, COPY_FLAGS, Registries};

pub(super) const VERB: Verb =
    Verb::new("[command options] SOURCE-IMAGE DESTINATION-IMAGE", "Copy an image from one place to another")
        .long("Container \"IMAGE-NAME\" uses a \"transport\":\"details\" format.\n\nSupported transports:\ncontainers-storage, dir, docker, docker-archive, docker-daemon, oci, oci-archive, store, tarball")
        .examples(&["copy docker://quay.io/team/app:1 oci-archive:app.tar", "copy oci-archive:image.tar containers-storage:quay.io/team/app:1", "copy --dry-run oci:layout docker://quay.io/team/app:1"])
        .flags(&[
            Flag::bool("all", "Copy all images if SOURCE-IMAGE is a list").short('a'),
            Flag::array("additional-tag", "additional tags (supports docker-archive)"),
            Flag::bool("dest-compress", "Compress tarball image layers when saving to directory using the 'dir' transport. (default is same compression type as source)"),
            Flag::string("dest-compress-format", "`FORMAT` to use for the compression"),
            Flag::int("dest-compress-level", "`LEVEL` to use for the compression"),
            Flag::string("dest-daemon-host", "use docker daemon host at `HOST` (docker-daemon: only)"),
            Flag::bool("dest-decompress", "Decompress tarball image layers when saving to directory using the 'dir' transport. (default is same compression type as source)"),
            Flag::bool("dest-force-compress-format", "Force exclusive use of the compression algorithm set in --dest-compress-format"),
            Flag::bool("dest-oci-accept-uncompressed-layers", "Allow uncompressed image layers when saving to an OCI image using the 'oci' transport. (default is to compress things that aren't compressed)"),
            Flag::bool("dest-precompute-digests", "Precompute digests to prevent uploading layers already on the registry using the 'docker' transport. (always done)"),
            Flag::path("digestfile", "Write the digest of the pushed image to the named file"),
            Flag::bool("dry-run", "Print what would be copied, in how many requests and bytes, and copy nothing"),
            Flag::choice("format", &["oci", "v2s2"], "MANIFEST TYPE (oci, v2s1, or v2s2) to use in the destination (default is manifest type of source, with fallbacks)").short('f'),
            Flag::uint("image-parallel-copies", "Maximum number of image layers to be copied (pulled/pushed) simultaneously. Not set or 0 uses the default of 6"),
            Flag::choice("multi-arch", &["system", "all", "index-only"], "How to handle multi-architecture images (system, all, or index-only)"),
            Flag::bool("preserve-digests", "Preserve digests of images and lists"),
            Flag::string("platform", "Choose the image of OS/ARCH[/VARIANT] from an index; of several, separated by commas, an index is made"),
            Flag::bool("quiet", "Suppress output information when copying images").short('q'),
            Flag::bool("remove-signatures", "Do not copy signatures from SOURCE-IMAGE"),
            Flag::path("dest-shared-blob-dir", "`DIRECTORY` to use to share blobs across OCI repositories"),
            Flag::path("src-shared-blob-dir", "`DIRECTORY` to use to share blobs across OCI repositories"),
            Flag::string("src-daemon-host", "use docker daemon host at `HOST` (docker-daemon: only)"),
        ])
        .shared_flags(COPY_FLAGS)
        .refuses(&[&[
            "command-timeout",
            "decryption-key",
            "encrypt-layer",
            "encryption-key",
            "sign-by",
            "sign-by-sigstore",
            "sign-by-sigstore-private-key",
            "sign-by-sq-fingerprint",
            "sign-identity",
            "sign-passphrase-file",
        ]])
        .arity(Arity::Exactly(2));

pub(super) fn run(call: &Call) -> Result<Exit, CommandError> {
    let texts = call.flags.texts()?;
    let from = Place::parse(texts[0]).map_err(of)?;
    let to = Place::parse(texts[1]).map_err(of)?;
    let options = options(call)?;
    let layers = packing::of_copy(call, &to, options.preserve_digests)?;
    if call.flags.has("additional-tag") && !matches!(to, Place::DockerArchive(_)) {
        return Err(CommandError::usage("--additional-tag is for docker-archive: alone"));
    }
    let context = Context::new(&call.globals)?;
    let here = Site::of(&context, &to)?;
    let session = Session::begin(&here.store).map_err(of)?;
    let into_store = matches!(to, Place::Store { .. });
    // What goes past the store needs nobody who unpacks, nor does what goes nowhere.
    let unpacks = into_store && !call.flags.bool("dry-run");
    let worker = if unpacks { Some(here.context.worker()?) } else { None };
    let ingest = worker.as_ref().map(|worker| Ingest { session: &session, worker });
    let platform = options.choice.platform();
    let origin = Origin {
        call,
        context: &context,
        session: &session,
        ingest,
        platform,
        trusts_stores: false,
        flags: "src-",
    };
    let lines = Lines::of(call, call.flags.bool("quiet"));
    let destination = Destination {
        call,
        from: &from,
        to: &to,
        session: &session,
        ingest,
        options: &options,
        layers,
        origin: texts[0],
        flags: "dest-",
        lines: &lines,
    };
    if call.flags.bool("dry-run") {
        let plan = origin.with(&from, |source, reading| destination.plan(source, reading))?;
        call.ui.print(&plan)?;
        return Ok(Exit::SUCCESS);
    }
    let placed = origin.with(&from, |source, reading| destination.take(source, reading))?;
    lines.end(texts[1], &placed.descriptor.digest);
    drop(session);
    if into_store {
        here.context.settle_later(&call.ui);
    }
    write_digest(call, &placed)?;
    Ok(Exit::SUCCESS)
}

/// Writes `--digestfile`.
pub(super) fn write_digest(call: &Call, placed: &Placed) -> Result<(), CommandError> {
    let Some(path) = call.flags.path("digestfile").filter(|path| !path.as_os_str().is_empty()) else {
        return Ok(());
    };
    std::fs::write(path, placed.descriptor.digest.to_string())
        .map_err(|error| of(FileError::new("write", path, error)))
}

fn options(call: &Call) -> Result<Options, CommandError> {
    let flags = &call.flags;
    let choice = match (flags.bool("all"), flags.get("multi-arch"), platforms(call)?.as_slice()) {
        (true, Some(_), _) => {
            return Err(CommandError::usage("Cannot use --all and --multi-arch flags together"));
        }
        (true, None, []) | (false, Some("all"), []) => Choice::All,
        (false, Some("index-only"), []) => Choice::IndexOnly,
        (true, ..) | (_, Some("all" | "index-only"), _) => {
            return Err(CommandError::usage("Cannot use --platform with all images or none"));
        }
        (.., []) => Choice::Platform(Platform::host()),
        (.., [platform]) => Choice::Platform(platform.clone()),
        (.., platforms) => Choice::Some(platforms.to_vec()),
    };
    let family = flags.get("format").map(|text| if text == "oci" { Family::Oci } else { Family::Docker });
    let preserve_digests = flags.bool("preserve-digests");
    Ok(Options { choice, family, preserve_digests, ..Options::default() })
}

/// The platforms that `--platform` names.
fn platforms(call: &Call) -> Result<Vec<Platform>, CommandError> {
    let texts = call.flags.get("platform").into_iter().flat_map(|texts| texts.split(','));
    let parse = |text| Platform::parse(text).map_err(|error| CommandError::usage(error.to_string()));
    texts.map(parse).collect()
}

/// The store that work is done in: that of the destination, else our own.
pub(super) struct Site {
    pub(super) context: Context,
    pub(super) store: Store,
}

impl Site {
    pub(super) fn of(context: &Context, to: &Place) -> Result<Self, CommandError> {
        let context = match to {
            Place::Store { at: Some(at), .. } => context.at(at)?,
            _ => context.clone(),
        };
        let store = context.store()?;
        Ok(Self { context, store })
    }
}

/// Where a verb copies to, and how.
pub(super) struct Destination<'a> {
    /// The command.
    pub(super) call: &'a Call,
    /// Where the image is.
    pub(super) from: &'a Place,
    /// Where it shall be.
    pub(super) to: &'a Place,
    /// Where what has to be there in one piece first is put.
    pub(super) session: &'a Session,
    /// What unpacks layers, for a store.
    pub(super) ingest: Option<Ingest<'a>>,
    /// What is copied.
    pub(super) options: &'a Options,
    /// How layers shall be packed there.
    pub(super) layers: Layers,
    /// What the user said the images come from.
    pub(super) origin: &'a str,
    /// What stands in front of the names of flags about registries.
    pub(super) flags: &'static str,
    /// Who says how it goes.
    pub(super) lines: &'a Lines<'a>,
}

impl Destination<'_> {
    /// Copies what is read.
    pub(super) fn take(&self, source: &dyn Source, reading: Reading<'_>) -> Result<Placed, CommandError> {
        let source: &dyn Source = &Heard::counting(source, self.lines);
        match self.to {
            Place::Store { name, .. } => {
                let ingest = self.ingest.ok_or_else(|| CommandError::internal("nobody to unpack"))?;
                let sink = StoreSink::new(ingest, self.origin, parallel()).watched(self.lines);
                let mut sink = match self.at_a_time() {
                    Some(most) => sink.at_a_time(most),
                    None => sink,
                };
                self.whole(source, reading, &mut sink, &store_names(name)?)
            }
            Place::Dir(path) => {
                let mut sink = DirSink::new(path, self.layers, self.session).map_err(of_copy)?;
                self.whole(source, reading, &mut Watched::new(&mut sink, self.lines), &[])
            }
            Place::Oci(Chosen { path, which }) => {
                let shared = shared_blobs(self.call, "dest-");
                let mut sink =
                    LayoutSink::folder(path, shared, self.layers, self.session).map_err(of_copy)?;
                self.layout(source, reading, &mut sink, which.as_ref())
            }
            Place::OciArchive(Chosen { path, which }) => {
                let out = NewFile::create(path)?;
                let mut sink = LayoutSink::archive(TarFiles::new(out.stream()?), self.layers, self.session);
                let placed = self.layout(source, reading, &mut sink, which.as_ref())?;
                out.publish()?;
                Ok(placed)
            }
            Place::DockerArchive(Chosen { path, which }) => {
                let names = self.docker_names(which.as_ref())?;
                let out = NewFile::create(path)?;
                let mut sink = DockerSink::new(TarFiles::new(out.stream()?), self.session);
                let placed = self.whole(source, reading, &mut Watched::new(&mut sink, self.lines), &names)?;
                out.publish()?;
                Ok(placed)
            }
            Place::DockerDaemon(reference) => {
                let sent = Sent::begin(&daemon(self.call, &format!("{}daemon-host", self.flags))?)?;
                let placed = {
                    let mut sink = DockerSink::new(TarFiles::new(Box::new(sent.clone())), self.session);
                    let names = std::slice::from_ref(reference);
                    self.whole(source, reading, &mut Watched::new(&mut sink, self.lines), names)?
                };
                sent.finish()?;
                Ok(placed)
            }
            Place::Registry(reference) => self.whole(source, reading, &mut self.registry(reference)?, &[]),
            Place::Tarball(_) => Err(CommandError::usage("tarball: can only be copied from")),
        }
    }

    /// Copies to a sink, unless it has the image already.
    fn run(
        &self,
        source: &dyn Source,
        reading: Reading<'_>,
        sink: &mut dyn Sink,
    ) -> Result<Placed, CommandError> {
        if let Some(placed) = already(source, sink, self.options).map_err(of_copy)? {
            return Ok(placed);
        }
        copy(source, &reading()?, sink, self.options).map_err(of_copy)
    }

    fn whole(
        &self,
        source: &dyn Source,
        reading: Reading<'_>,
        sink: &mut dyn Sink,
        names: &[Reference],
    ) -> Result<Placed, CommandError> {
        let placed = self.run(source, reading, sink)?;
        sink.name(&placed, names).map_err(of_copy)?;
        sink.finish().map_err(of_copy)?;
        Ok(placed)
    }

    /// In a layout a name is any text.
    fn layout(
        &self,
        source: &dyn Source,
        reading: Reading<'_>,
        sink: &mut LayoutSink<'_>,
        which: Option<&Which>,
    ) -> Result<Placed, CommandError> {
        let names = layout_names(which)?;
        let placed = self.run(source, reading, &mut Watched::new(sink, self.lines))?;
        sink.name_as(&placed, &names);
        sink.finish().map_err(of_copy)?;
        Ok(placed)
    }

    fn docker_names(&self, which: Option<&Which>) -> Result<Vec<Reference>, CommandError> {
        let mut names = Vec::new();
        if let Some(Which::Name(name)) = which {
            names.push(docker_name(name)?);
        }
        if self.call.flags.knows("additional-tag") {
            for tag in self.call.flags.strings("additional-tag") {
                names.push(docker_name(&tag)?);
            }
        }
        Ok(names)
    }

    /// A repository to write to.
    fn registry(&self, reference: &Reference) -> Result<RegistrySink<'_>, CommandError> {
        let registries = Registries::new(self.call)?;
        let registry = registries.registry(&reference.name, &Access::of(self.call, self.flags)?)?;
        let Options { family, preserve_digests, .. } = *self.options;
        let mounts_from = match self.from {
            Place::Registry(from) if from.name.domain() == reference.name.domain() => {
                Some(from.name.path().to_owned()).filter(|path| path != reference.name.path())
            }
            _ => None,
        };
        let options = sink::Options {
            parallel: self.at_a_time().map_or(sink::PARALLEL, |count| count.min(sink::MOST)),
            mounts_from,
            layers: self.layers,
            packs: Some(self.session),
            falls_back: family.is_none() && !preserve_digests,
            watcher: self.lines,
        };
        Ok(RegistrySink::new(registry, reference.clone(), options))
    }

    /// How many blobs are copied at a time, if it is said.
    fn at_a_time(&self) -> Option<usize> {
        const FLAG: &str = "image-parallel-copies";
        let count = if self.call.flags.knows(FLAG) { self.call.flags.uint(FLAG) } else { None };
        count.filter(|&count| count > 0).map(|count| usize::try_from(count).unwrap_or(usize::MAX))
    }

    /// Tells what copying would do.
    fn plan(&self, source: &dyn Source, reading: Reading<'_>) -> Result<String, CommandError> {
        // A layout bears manifests of Docker's where their digests are to stay.
        let of_layouts = Some(Family::Oci).filter(|_| !self.options.preserve_digests);
        let (family, layers) = match self.to {
            Place::Registry(reference) => {
                return self.outlined(source, reading, &self.registry(reference)?);
            }
            Place::Tarball(_) => return Err(CommandError::usage("tarball: can only be copied from")),
            Place::Oci(_) | Place::OciArchive(_) => (of_layouts, self.layers),
            _ => (None, self.layers),
        };
        let has = |blob: &Descriptor| match self.to {
            Place::Oci(Chosen { path, .. }) => match shared_blobs(self.call, "dest-") {
                Some(shared) => shared.join(oci::shared_name(&blob.digest)).is_file(),
                None => path.join(oci::blob_name(&blob.digest)).is_file(),
            },
            Place::Dir(path) => path.join(dir::blob_name(&blob.digest)).is_file(),
            Place::Store { .. } => matches!(self.session.store().blob(&blob.digest), Ok(Some(_))),
            _ => false,
        };
        self.outlined(source, reading, &Having { family, layers, has })
    }

    fn outlined(
        &self,
        source: &dyn Source,
        reading: Reading<'_>,
        outlook: &dyn Outlook,
    ) -> Result<String, CommandError> {
        let mut planner = Planner::new(outlook);
        self.run(source, reading, &mut planner)?;
        Ok(outline(&planner.plan, source.is_remote(), matches!(self.to, Place::Registry(_))))
    }
}

/// A plan as lines, with what it costs at the end.
fn outline(plan: &Plan, from_registry: bool, to_registry: bool) -> String {
    let mut lines = Vec::new();
    let (mut bytes, mut requests) = (0, 0);
    for digest in &plan.whole {
        lines.push(format!("there     {digest}"));
    }
    for (blob, fate) in &plan.blobs {
        let size = human(blob.size);
        let (said, asked) = match fate {
            Fate::There => (format!("there     {} {size}", blob.digest), 0),
            Fate::Left => (format!("left      {} {size}", blob.digest), 0),
            Fate::Mounted(from) => (format!("mount     {} {size} from {from}", blob.digest), 1),
            Fate::Sent => (format!("write     {} {size}", blob.digest), 2),
            Fate::Packed => (format!("compress  {} {size}", blob.digest), 3),
        };
        lines.push(said);
        if to_registry {
            requests += asked;
        }
        if matches!(fate, Fate::Sent | Fate::Packed) {
            bytes += blob.size;
            requests += usize::from(from_registry);
        }
    }
    for document in &plan.documents {
        lines.push(format!("manifest  {} {}", document.digest, human(document.size)));
        bytes += document.size;
        requests += usize::from(to_registry);
    }
    lines.push(if plan.documents.is_empty() {
        "nothing to do".to_owned()
    } else {
        format!("{requests} requests, {} to transfer", human(bytes))
    });
    lines.join("\n") + "\n"
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
