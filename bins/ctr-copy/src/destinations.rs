//! The places that images go to, opened as a verb's flags say.

use std::io::{BufWriter, Write};
use std::path::Path;

use ctr_cli::app::Call;
use ctr_cli::report::CommandError;
use ctr_core::Reference;
use ctr_core::atomic::Temporary;
use ctr_core::oci::Descriptor;
use ctr_core::oci::media::Family;
use ctr_core::reference::Spelling;
use ctr_registry::sink::{self, RegistrySink};
use ctr_store::copy::dir_sink::DirSink;
use ctr_store::copy::docker_sink::DockerSink;
use ctr_store::copy::files::TarFiles;
use ctr_store::copy::layout_sink::LayoutSink;
use ctr_store::copy::plan::{Having, Outlook, Planner};
use ctr_store::copy::recode::Layers;
use ctr_store::copy::store_sink::StoreSink;
use ctr_store::copy::watch::{Heard, Watched};
use ctr_store::copy::{Options, Placed, Sink, already, copy};
use ctr_store::ingest::Ingest;
use ctr_store::session::Session;
use ctr_store::transport::{Chosen, Place, Source, Which, dir, oci};

use crate::cmd::load::parallel;
use crate::cmd::tag::local_name;
use crate::daemon::{Sent, daemon};
use crate::error::{of, of_copy};
use crate::lines::Lines;
use crate::outline::outline;
use crate::places::{Reading, shared_blobs, unprepared};
use crate::registries::{Access, Registries};

/// Where a verb copies to, and how.
pub(crate) struct Destination<'a> {
    /// The command.
    pub(crate) call: &'a Call,
    /// Where the image is.
    pub(crate) from: &'a Place,
    /// Where it shall be.
    pub(crate) to: &'a Place,
    /// Where what has to be there in one piece first is put.
    pub(crate) session: &'a Session,
    /// What unpacks layers, for a store.
    pub(crate) ingest: Option<Ingest<'a>>,
    /// What is copied.
    pub(crate) options: &'a Options,
    /// How layers shall be packed there.
    pub(crate) layers: Layers,
    /// What the user said the images come from.
    pub(crate) origin: &'a str,
    /// How registries are reached, if one is asked.
    pub(crate) registries: Option<&'a Registries>,
    /// What stands in front of the names of flags about registries.
    pub(crate) flags: &'static str,
    /// Who says how it goes.
    pub(crate) lines: &'a Lines<'a>,
}

impl Destination<'_> {
    /// Copies what is read.
    pub(crate) fn take(&self, source: &dyn Source, reading: Reading<'_>) -> Result<Placed, CommandError> {
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
        let registries = self.registries.ok_or_else(unprepared)?;
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
    pub(crate) fn plan(&self, source: &dyn Source, reading: Reading<'_>) -> Result<String, CommandError> {
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
