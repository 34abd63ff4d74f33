//! The places that images come from, opened as a verb's flags say.

use std::fs::File;
use std::path::Path;

use ctr_cli::app::Call;
use ctr_cli::human::time::Timestamp;
use ctr_cli::report::CommandError;
use ctr_core::{FileError, Platform};
use ctr_store::archive::{Archive, Eager, Input};
use ctr_store::ingest::Ingest;
use ctr_store::session::Session;
use ctr_store::transport::dir::Dir;
use ctr_store::transport::docker_archive::DockerArchive;
use ctr_store::transport::local::{Local, Packer};
use ctr_store::transport::oci::Layout;
use ctr_store::transport::tarball::{About, Tarball};
use ctr_store::transport::{Chosen, Offer, Place, Source, TransportError, choose};

use crate::context::Context;
use crate::daemon::daemon;
use crate::error::{not_found, of, of_source};
use crate::policy;
use crate::registries::{Access, Registries};

/// How a verb opens what it copies from.
pub(crate) struct Origin<'a> {
    /// The command.
    pub(crate) call: &'a Call,
    /// Our store.
    pub(crate) context: &'a Context,
    /// Where what cannot be read in place is put.
    pub(crate) session: &'a Session,
    /// What unpacks layers of an archive while it is read, if they go into a store.
    pub(crate) ingest: Option<Ingest<'a>>,
    /// Which image of an index of a store is wanted, if one is.
    pub(crate) platform: Option<&'a Platform>,
    /// Whether what is in a store is used whatever `policy.json` says, as with podman: it was asked when that came there.
    pub(crate) trusts_stores: bool,
    /// How registries are reached, if one is asked.
    pub(crate) registries: Option<&'a Registries>,
    /// What stands in front of the names of flags about registries.
    pub(crate) flags: &'static str,
}

/// Reads what was chosen in a place.
pub(crate) type Reading<'a> = &'a dyn Fn() -> Result<Offer, CommandError>;

impl Origin<'_> {
    /// Opens a place and hands it to `next`, with what reads the image that was chosen in it.
    pub(crate) fn with<T>(
        &self,
        from: &Place,
        next: impl FnOnce(&dyn Source, Reading<'_>) -> Result<T, CommandError>,
    ) -> Result<T, CommandError> {
        if !(self.trusts_stores && matches!(from, Place::Store { .. })) {
            policy::check(&policy::policy(self.call)?, from)?;
        }
        let (source, which): (Box<dyn Source>, _) = match from {
            Place::Store { at, name } => {
                let context =
                    at.as_ref().map_or_else(|| Ok(self.context.clone()), |at| self.context.at(at))?;
                return self.in_store(&context, name, next);
            }
            Place::Registry(reference) => {
                let registries = self.registries.ok_or_else(unprepared)?;
                (Box::new(registries.image(reference, &Access::of(self.call, self.flags)?)?), None)
            }
            Place::DockerArchive(Chosen { path, which }) => {
                let archive = DockerArchive::new(self.archive(path)?).map_err(of_source)?;
                (Box::new(archive), which.as_ref())
            }
            Place::DockerDaemon(reference) => {
                let daemon = daemon(self.call, &format!("{}daemon-host", self.flags))?;
                let archive = daemon.save(&reference.to_string()).map_err(of)?;
                let archive = self.archive_of(Input::Stream(Box::new(archive)))?;
                (Box::new(DockerArchive::new(archive).map_err(of_source)?), None)
            }
            Place::OciArchive(Chosen { path, which }) => {
                (Box::new(Layout::new(self.archive(path)?)), which.as_ref())
            }
            Place::Oci(Chosen { path, which }) => {
                let layout = match shared_blobs(self.call, self.flags) {
                    Some(blobs) => Layout::shared(folder(path)?, folder(blobs)?),
                    None => Layout::new(folder(path)?),
                };
                (Box::new(layout), which.as_ref())
            }
            Place::Dir(path) => (Box::new(Dir::new(folder(path)?)), None),
            Place::Tarball(path) => {
                let about = About { created: Timestamp::now().rfc3339(), ..About::default() };
                (Box::new(Tarball::open(path, &about).map_err(of_source)?), None)
            }
        };
        next(source.as_ref(), &|| {
            let offers = source.offers().map_err(of_source)?;
            choose(offers, which).map_err(|error| {
                let absent = matches!(error, TransportError::NoImage { .. });
                self.absent(of_source(error), absent)
            })
        })
    }

    fn in_store<T>(
        &self,
        context: &Context,
        name: &str,
        next: impl FnOnce(&dyn Source, Reading<'_>) -> Result<T, CommandError>,
    ) -> Result<T, CommandError> {
        let store = context.store()?;
        let session = Session::begin(&store).map_err(of)?;
        let open = |worker| {
            let packer = Packer { session: &session, worker };
            Local::open(&store, name, Vec::new(), self.platform, &packer)
        };
        // Who can read all files takes a while to start, and is seldom needed.
        let opened = match open(None) {
            Err(TransportError::OnlyFiles) => open(Some(&context.worker()?)),
            other => other,
        };
        let source = opened.map_err(|error| {
            let absent = matches!(&error, TransportError::Resolve(error) if error.is_unknown());
            self.absent(of_source(error), absent)
        })?;
        next(&source, &|| choose(source.offers().map_err(of_source)?, None).map_err(of_source))
    }

    fn absent(&self, error: CommandError, is_absent: bool) -> CommandError {
        if is_absent { not_found(error, self.call.caller.voice) } else { error }
    }

    fn archive(&self, path: &Path) -> Result<Archive, CommandError> {
        let failed = |error| of(FileError::new("open", path, error));
        self.archive_of(Input::of(File::open(path).map_err(failed)?).map_err(failed)?)
    }

    fn archive_of(&self, input: Input) -> Result<Archive, CommandError> {
        let eager = self.ingest.as_ref().map(|ingest| ingest as &dyn Eager);
        Archive::open(input, self.session, eager).map_err(|error| of_source(error.into()))
    }
}

/// Who opens a place in a registry says how registries are reached.
pub(crate) fn unprepared() -> CommandError {
    CommandError::internal("a registry that nothing was read about")
}

/// The folder where layouts share their blobs, if the flag of a side names one.
pub(crate) fn shared_blobs<'a>(call: &'a Call, side: &str) -> Option<&'a Path> {
    let flag = format!("{side}shared-blob-dir");
    let folder = if call.flags.knows(&flag) { call.flags.path(&flag) } else { None };
    folder.filter(|path| !path.as_os_str().is_empty())
}

fn folder(path: &Path) -> Result<Archive, CommandError> {
    Archive::folder(path).map_err(|error| of_source(error.into()))
}
