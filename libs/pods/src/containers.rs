//! The containers of one user: where their records are, who supervises them, what they are called.
//!
//! # Layout
//! ```text
//! RUN/containers/<id>/lock          a fleeting one (`run --rm` in the foreground): held by its supervisor while it is there
//!                     record.json   appears when the container is published
//!                     state.json    appears when its init runs
//!                     …             files that are bound into it
//! RUN/names/<name>                  the id of the fleeting one whose name it is
//! DATA/containers/<id>/             upper and work folder of its root
//!
//! DATA/containers/<id>/lock         a kept one, and all there is of it: held by its monitor, or by who changes it
//!                      record.json, state.json, exit.json, attach, log/, upper/, work/, …
//! DATA/names/<name>                 the id of the kept one whose name it is
//!
//! RUN/transient/<id>/               the same of one that is kept until the next boot (`--transient-store`), but for
//!                                   its writable layer: that lies where those of fleeting ones do, as its name does
//! ```
//!
//! # Invariants
//! - A fleeting container whose lock nobody holds is garbage, in every state it can be found in: no step is needed after a
//!   kill. Nothing of it is flushed; all of it is void after a boot, with the run directory or because no lock survives.
//! - A kept container is there as long as its record is. Nothing of it is in the run directory, which may be deleted under
//!   it. Whether it runs is asked of the kernel. One that was to go with its end (`--rm`) is garbage once it was started
//!   and nobody holds its lock.
//! - A transient container is a kept one whose record counts in the boot that wrote it, and in no other.
//! - A name belongs to one container of all kinds: who takes one looks in the other directory *after* it wrote its own.
//! - Readers take no lock.
//!
//! # Failure
//! A kill leaves a folder, a name and an upper folder. A name that points to garbage is taken over; [`Containers::sweep`]
//! removes the rest.

mod claim;
mod damaged;
mod names;
mod overview;
mod sweep;

use std::path::{Path, PathBuf};

use ctr_core::file::{self, FileError};
use ctr_core::id::{self, ContainerId, Match};
use ctr_core::limits;
use ctr_core::lock::{Lock, Mode};
use ctr_core::paths::Dirs;
use ctr_core::rooted::TreeError;
use ctr_userns::map::IdMaps;

pub use claim::Claim;
use names::{Names, check_name};
pub use overview::Threads;
pub use sweep::Swept;

use crate::record::{Ending, Record, State};
use crate::request::{LogDriver, Request};
use crate::status::{self, Evidence, Status};

/// Something about the records of containers failed.
#[derive(Debug, thiserror::Error)]
pub enum ContainersError {
    /// A file of ours.
    #[error(transparent)]
    File(#[from] FileError),
    /// The name cannot be one.
    #[error("names must match [a-zA-Z0-9][a-zA-Z0-9_.-]*: invalid argument")]
    BadName(String),
    /// Somebody else has the name.
    #[error("the container name {name:?} is already in use by {id}")]
    NameInUse {
        /// The name.
        name: String,
        /// Whose it is.
        id: String,
    },
    /// Nobody is called nothing.
    #[error("name or ID cannot be empty")]
    Empty,
    /// Nothing is called so.
    #[error("no container with name or ID {0:?} found: no such container")]
    NotFound(String),
    /// One is, and its record is of no use.
    #[error("container {0} cannot be understood: its record is damaged")]
    Damaged(String),
    /// One is, and its record says things that we do not know.
    #[error("container {0} was made by a newer version of this program; nothing of it was changed")]
    Newer(String),
    /// One is, and is not for us.
    #[error("container {id} cannot be read")]
    Unreadable {
        /// Which.
        id: String,
        /// Why.
        #[source]
        source: FileError,
    },
    /// Several begin so.
    #[error("more than one result for container name or ID {0:?}")]
    Ambiguous(String),
    /// No random bytes.
    #[error("cannot draw an identifier")]
    Random(#[source] std::io::Error),
    /// The writable layer cannot be removed.
    #[error("cannot remove {path}")]
    Remove {
        /// Its folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: TreeError,
    },
    /// The record does not say what was asked for.
    #[error("the record of container {id} cannot be understood")]
    Request {
        /// Which container.
        id: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// It was initialized; that init has ended since, or somebody else starts it.
    #[error("container {0} was started by somebody else meanwhile")]
    Another(String),
    /// A fleeting container has nothing to start it from again.
    #[error("container {0} goes away with its end: it cannot be started again")]
    Fleeting(String),
}

/// What a container's life is tied to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// To the command that runs it.
    Fleeting,
    /// To its record, which goes with the boot.
    Transient,
    /// To its record.
    Kept,
}

impl Kind {
    const ALL: [Self; 3] = [Self::Fleeting, Self::Transient, Self::Kept];

    /// Whether it outlives the command that starts it.
    #[must_use]
    pub const fn has_monitor(self) -> bool {
        !matches!(self, Self::Fleeting)
    }
}

/// Where the containers of one user are.
#[derive(Debug, Clone)]
pub struct Containers {
    /// Fleeting ones.
    fleeting: PathBuf,
    /// Those that are kept until the next boot.
    transient: PathBuf,
    /// Kept ones, and the writable layers of the others.
    kept: PathBuf,
    run: PathBuf,
    data: PathBuf,
}

/// A container.
#[derive(Debug, Clone)]
pub struct Container {
    /// What was asked for.
    pub record: Record,
    /// Its last start; `None` before its init runs.
    pub state: Option<State>,
    /// It was started, and what is written of that cannot be read.
    pub damaged: bool,
    /// How that ended.
    pub ending: Option<Ending>,
    /// Where its records are.
    pub folder: PathBuf,
    /// What its life is tied to.
    pub kind: Kind,
    /// Where its writable layer is.
    pub layer: PathBuf,
}

impl Container {
    /// Who writes down what it prints: nobody, where its command supervises it.
    #[must_use]
    pub const fn log_driver(&self) -> LogDriver {
        match self.kind {
            Kind::Fleeting => LogDriver::Passthrough,
            Kind::Transient | Kind::Kept => self.record.log.driver,
        }
    }

    /// Whether its init lives.
    ///
    /// # Errors
    /// /proc cannot be read.
    pub fn is_running(&self) -> Result<bool, FileError> {
        if self.ending.is_some() {
            return Ok(false);
        }
        if self.damaged {
            return self.is_held();
        }
        self.state.as_ref().map_or(Ok(false), |state| state.init.runs())
    }

    /// What it is doing.
    ///
    /// # Errors
    /// /proc cannot be read.
    pub fn status(&self) -> Result<Status, FileError> {
        status::of(
            self.evidence(),
            |_| Lock::look(&self.folder.join(LOCK)),
            || overview::ending(&self.folder),
        )
    }

    fn evidence(&self) -> Evidence<'_> {
        let Self { state, damaged, ending, .. } = self;
        let state = state.as_ref();
        Evidence {
            damaged: *damaged,
            ending: *ending,
            init: state.map(|state| (&state.init, state.serial)),
            waiting: state.is_some_and(|state| state.waiting),
            cgroup: state.and_then(|state| state.cgroup.as_deref()),
        }
    }

    /// Whether somebody supervises it, or changes it.
    ///
    /// # Errors
    /// The lock cannot be asked.
    pub fn is_held(&self) -> Result<bool, FileError> {
        Lock::is_held(&self.folder.join(LOCK))
    }

    /// Everything that was asked for.
    ///
    /// # Errors
    /// It is a fleeting one, or its record is damaged.
    pub fn request(&self) -> Result<Request, ContainersError> {
        let id = || self.record.id.to_string();
        let text = self.record.request.as_ref().ok_or_else(|| ContainersError::Fleeting(id()))?;
        serde_json::from_str(text.get()).map_err(|source| ContainersError::Request { id: id(), source })
    }

    /// Its maps, once they are decided; outer ids being A's.
    #[must_use]
    pub fn maps(&self) -> Option<&IdMaps> {
        self.record.host.maps.as_ref().or(self.state.as_ref().map(|state| &state.maps))
    }

    /// The control group of its last start, where one could be made.
    #[must_use]
    pub fn group(&self) -> Option<&Path> {
        self.state.as_ref()?.cgroup.as_deref()
    }

    /// The control group that its last start was to have: also one that was killed before its state was written.
    #[must_use]
    pub fn noted_group(&self) -> Option<PathBuf> {
        claim::noted_group(&self.folder)
    }
}

/// The names of files in a container's folder.
pub const LOCK: &str = "lock";
/// Where the control group of the last start is, or was to be.
const GROUP: &str = "group";
/// What was asked for.
pub const RECORD: &str = "record.json";
/// The last start.
pub const STATE: &str = "state.json";
/// The same as it is to be once its command runs, as long as that waits.
const NEXT: &str = "state.next.json";
/// Held by whoever writes that, until the monitor is told.
const STARTING: &str = "starting.lock";
/// How that ended.
pub const ENDING: &str = "exit.json";

impl Containers {
    /// The containers of these directories.
    #[must_use]
    pub fn new(dirs: &Dirs) -> Self {
        Self {
            fleeting: dirs.run.join("containers"),
            transient: dirs.run.join(ctr_store::TRANSIENT),
            kept: dirs.data.join("containers"),
            run: dirs.run.clone(),
            data: dirs.data.clone(),
        }
    }

    const fn records(&self, kind: Kind) -> &PathBuf {
        match kind {
            Kind::Fleeting => &self.fleeting,
            Kind::Transient => &self.transient,
            Kind::Kept => &self.kept,
        }
    }

    /// Where the records of one that outlives its command are, if it is there.
    pub(crate) fn folder_of(&self, id: &str) -> PathBuf {
        let transient = self.transient.join(id);
        if transient.exists() { transient } else { self.kept.join(id) }
    }

    fn names(&self, kind: Kind) -> Names<'_> {
        let (home, kinds) = match kind {
            Kind::Fleeting | Kind::Transient => (&self.run, &[Kind::Fleeting, Kind::Transient][..]),
            Kind::Kept => (&self.data, &[Kind::Kept][..]),
        };
        Names::new(self, home.join("names"), kinds)
    }

    /// All containers, oldest first. One whose record is broken or of a newer version harms only itself: it is not in the
    /// list.
    ///
    /// # Errors
    /// The directories cannot be read.
    pub fn list(&self) -> Result<Vec<Container>, ContainersError> {
        let mut list = Vec::new();
        for kind in Kind::ALL {
            for id in ids_in(self.records(kind))? {
                list.extend(self.read(kind, &id)?);
            }
        }
        list.sort_by(|a, b| (a.record.created, &a.record.id).cmp(&(b.record.created, &b.record.id)));
        Ok(list)
    }

    /// The container that a name, an id or the beginning of one means.
    ///
    /// # Errors
    /// There is none, or there are several.
    pub fn find(&self, text: &str) -> Result<Container, ContainersError> {
        if text.is_empty() {
            return Err(ContainersError::Empty);
        }
        let missing = || ContainersError::NotFound(text.to_owned());
        let name = text.strip_prefix('/').unwrap_or(text);
        if check_name(name).is_err() {
            return Err(missing());
        }
        for kind in Kind::ALL {
            if let Some(id) = self.names(kind).id_of(name)
                && let Some(container) = self.read(kind, &id)?
                && container.record.name == name
            {
                return Ok(container);
            }
        }
        let mut published = Vec::new();
        for kind in Kind::ALL {
            let ids = ids_in(self.records(kind))?.into_iter().filter(|id| id.starts_with(text));
            published.extend(ids.filter(|id| self.read(kind, id).ok().flatten().is_some()));
        }
        match id::by_prefix(text, published) {
            Match::One(id) => self.by_id(&id)?.ok_or_else(missing),
            Match::None => Err(self.damaged(text).unwrap_or_else(missing)),
            Match::Several(..) => Err(ContainersError::Ambiguous(text.to_owned())),
        }
    }

    /// The container with an id.
    ///
    /// # Errors
    /// Its lock cannot be asked.
    pub fn by_id(&self, id: &str) -> Result<Option<Container>, ContainersError> {
        for kind in Kind::ALL {
            if let Some(container) = self.read(kind, id)? {
                return Ok(Some(container));
            }
        }
        Ok(None)
    }

    /// Whether anything at all is there of a container with an id, be it published or not.
    pub(crate) fn has_folder(&self, id: &str) -> bool {
        Kind::ALL.into_iter().any(|kind| self.records(kind).join(id).exists())
    }

    /// Keeps others from choosing ids of their own, until it is dropped.
    ///
    /// # Errors
    /// The run directory cannot be written to.
    pub fn choosing_ids(&self) -> Result<Lock, ContainersError> {
        ctr_core::atomic::private_directory(&self.fleeting)?;
        Ok(Lock::acquire(&self.fleeting.join("ids.lock"), Mode::Exclusive, &mut |_| {})?)
    }

    /// The maps of the containers that have ids of their own (outer ids being A's).
    ///
    /// # Errors
    /// The run directory cannot be read.
    pub fn maps(&self) -> Result<Vec<IdMaps>, ContainersError> {
        let own = |one: &Container| !matches!(one.record.host.userns.as_str(), "" | "host" | "private");
        Ok(self.list()?.into_iter().filter(own).filter_map(|one| one.maps().cloned()).collect())
    }

    /// What is known of one; `None` is one that is gone, not published, garbage, or cannot be understood.
    fn read(&self, kind: Kind, id: &str) -> Result<Option<Container>, ContainersError> {
        if ContainerId::parse(id).is_err() {
            return Ok(None);
        }
        let folder = self.records(kind).join(id);
        let Ok(Some(record)) = self.record(kind, id) else { return Ok(None) };
        if kind == Kind::Transient && !record.boot_id.is_current()? {
            return Ok(None);
        }
        let (state, damaged) = match file::read_json::<State>(&folder.join(STATE), limits::RECORD) {
            Ok(state) => (Some(state), false),
            Err(error) => (None, !error.is_missing()),
        };
        let supervised = match kind {
            Kind::Fleeting => Lock::is_held(&folder.join(LOCK))?,
            // One that was never started waits for it.
            Kind::Transient | Kind::Kept => {
                !record.auto_remove || (state.is_none() && !damaged) || Lock::is_held(&folder.join(LOCK))?
            }
        };
        if !supervised {
            return Ok(None);
        }
        let ending = match kind {
            Kind::Fleeting => None,
            Kind::Transient | Kind::Kept => overview::ending(&folder),
        };
        let layer = self.kept.join(id);
        Ok(Some(Container { record, state, damaged, ending, folder, kind, layer }))
    }
}

/// The names in a folder that are ids; a folder that is not there has none.
pub(crate) fn ids_in(folder: &Path) -> Result<Vec<String>, FileError> {
    let mut names = directory_names(folder)?;
    names.retain(|name| ContainerId::parse(name).is_ok());
    Ok(names)
}

fn directory_names(path: &Path) -> Result<Vec<String>, FileError> {
    match std::fs::read_dir(path) {
        Ok(entries) => {
            Ok(entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect())
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(FileError::new("list", path, error)),
    }
}

#[cfg(test)]
impl Container {
    /// A kept one that was never started, of which there is no file.
    pub(crate) fn sample(record: Record) -> Self {
        let nowhere = PathBuf::from("/nonexistent");
        let (folder, layer) = (nowhere.clone(), nowhere);
        Self { record, state: None, damaged: false, ending: None, folder, kind: Kind::Kept, layer }
    }
}

#[cfg(test)]
mod tests;
