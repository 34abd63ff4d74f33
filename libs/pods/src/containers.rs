//! The containers of one user: where their records are, who supervises them, what they are called.
//!
//! # Layout
//! ```text
//! RUN/containers/<id>/lock          held by the supervisor for as long as there is a container
//!                     record.json   appears when the container is published
//!                     state.json    appears when its init runs
//!                     …             files that are bound into it
//! RUN/names/<name>                  the id of whose name it is
//! DATA/containers/<id>/             upper and work folder of the root
//! ```
//!
//! # Invariants
//! A folder whose lock nobody holds is garbage, in every state it can be found in: no step is needed after a kill.
//! Nothing here is flushed; all of it is void after a boot, with the run directory or because no lock survives.
//! Readers take no lock.
//!
//! # Failure
//! A kill leaves a folder, a name and an upper folder. A name that points to garbage is taken over; [`Containers::sweep`]
//! removes the rest.

use std::path::{Path, PathBuf};

use ctr_core::atomic;
use ctr_core::file::{self, FileError};
use ctr_core::id::{self, ContainerId, Match};
use ctr_core::limits;
use ctr_core::lock::{Lock, Mode};
use ctr_core::paths::Dirs;
use ctr_core::rooted::{Root, TreeError};
use ctr_userns::map::IdMaps;

use crate::record::{Record, State, VERSION};

/// Longest name: what a file can be called.
const MAX_NAME: usize = 255;

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
    /// Nothing is called so.
    #[error("no container with name or ID {0:?} found: no such container")]
    NotFound(String),
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
}

/// Where the containers of one user are.
#[derive(Debug, Clone)]
pub struct Containers {
    records: PathBuf,
    names: PathBuf,
    layers: PathBuf,
}

/// A container that is being made or runs, held by its supervisor.
#[derive(Debug)]
pub struct Claim {
    /// Who it is.
    pub id: ContainerId,
    /// What it is called.
    pub name: String,
    /// Its folder in the run directory.
    pub dir: PathBuf,
    /// Its folder in the data directory, for the writable layer; not made yet.
    pub layer: PathBuf,
    name_file: PathBuf,
    lock: Lock,
}

/// A container that somebody supervises.
#[derive(Debug, Clone)]
pub struct Container {
    /// What was asked for.
    pub record: Record,
    /// What became of it; `None` before its init runs.
    pub state: Option<State>,
}

impl Container {
    /// Whether its init lives.
    ///
    /// # Errors
    /// /proc cannot be read.
    pub fn is_running(&self) -> Result<bool, FileError> {
        self.state.as_ref().map_or(Ok(false), |state| state.init.is_alive())
    }
}

impl Containers {
    /// The containers of these directories.
    #[must_use]
    pub fn new(dirs: &Dirs) -> Self {
        Self {
            records: dirs.run.join("containers"),
            names: dirs.run.join("names"),
            layers: dirs.data.join("containers"),
        }
    }

    /// Takes a new identity and a name: the one given, or one that nobody has.
    ///
    /// # Errors
    /// The name is taken or cannot be one; the run directory cannot be written to.
    pub fn claim(&self, name: Option<&str>) -> Result<Claim, ContainersError> {
        let name = name.map(check_name).transpose()?;
        loop {
            let id = ContainerId::random().map_err(ContainersError::Random)?;
            let dir = self.records.join(id.as_str());
            // Most often everything above is there.
            if std::fs::create_dir(&dir).is_err() {
                atomic::private_directory(&self.names)?;
                atomic::private_directory(&dir)?;
            }
            match Lock::try_acquire(&dir.join("lock"), Mode::Exclusive) {
                Ok(Some(lock)) => {
                    let layer = self.layers.join(id.as_str());
                    let mut claim =
                        Claim { name_file: PathBuf::new(), name: String::new(), id, dir, layer, lock };
                    return match self.take_name(name, &mut claim) {
                        Ok(()) => Ok(claim),
                        Err(error) => {
                            claim.discard()?;
                            Err(error)
                        }
                    };
                }
                // Swept between the two steps, which only a fresh folder can be: another identity.
                Ok(None) => {}
                Err(error) if error.is_missing() => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn take_name(&self, wanted: Option<&str>, claim: &mut Claim) -> Result<(), ContainersError> {
        loop {
            let name = match wanted {
                Some(name) => name.to_owned(),
                None => ctr_core::name::random().map_err(ContainersError::Random)?,
            };
            let path = self.names.join(&name);
            match atomic::claim(&path, claim.id.as_str().as_bytes()) {
                Ok(()) => {
                    claim.name = name;
                    claim.name_file = path;
                    return Ok(());
                }
                Err(error) if error.source.kind() == std::io::ErrorKind::AlreadyExists => {
                    // Else it is free by now, or another name is drawn.
                    if let (Some(id), Some(_)) = (self.name_owner(&path)?, wanted) {
                        return Err(ContainersError::NameInUse { name, id });
                    }
                }
                Err(error) if error.is_missing() => atomic::private_directory(&self.names)?,
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Whose a name is. One of a container that is no more is given up, under a lock so that two who find it so do not
    /// give up each other's.
    fn name_owner(&self, path: &Path) -> Result<Option<String>, ContainersError> {
        let read = || match file::read_text(path, 64) {
            Ok(id) => Ok(Some(id)),
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(ContainersError::from(error)),
        };
        let live = |id: &str| Lock::is_held(&self.records.join(id).join("lock"));
        let Some(id) = read()? else { return Ok(None) };
        if ContainerId::parse(&id).is_ok() && live(&id)? {
            return Ok(Some(id));
        }
        let _guard = Lock::acquire(&self.records.join("names.lock"), Mode::Exclusive, &mut |_| {})?;
        match read()? {
            Some(now) if now == id => atomic::remove(path)?,
            _ => {}
        }
        Ok(None)
    }

    /// All containers that are supervised, oldest first. One whose record is broken or of a newer version harms only
    /// itself: it is not in the list.
    ///
    /// # Errors
    /// The run directory cannot be read.
    pub fn list(&self) -> Result<Vec<Container>, ContainersError> {
        let mut list = Vec::new();
        for id in self.ids()? {
            if let Some(container) = self.read(&id)? {
                list.push(container);
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
        let missing = || ContainersError::NotFound(text.to_owned());
        let name = text.strip_prefix('/').unwrap_or(text);
        if check_name(name).is_err() {
            return Err(missing());
        }
        if let Ok(id) = file::read_text(&self.names.join(name), 64)
            && let Some(container) = self.read(&id)?
            && container.record.name == name
        {
            return Ok(container);
        }
        let published = |id: &String| self.read(id).ok().flatten().is_some();
        let ids: Vec<String> = self.ids()?.into_iter().filter(published).collect();
        match id::by_prefix(text, ids) {
            Match::One(id) => self.read(&id)?.ok_or_else(missing),
            Match::None => Err(missing()),
            Match::Several(..) => Err(ContainersError::Ambiguous(text.to_owned())),
        }
    }

    /// Keeps others from choosing ids of their own, until it is dropped.
    ///
    /// # Errors
    /// The run directory cannot be written to.
    pub fn choosing_ids(&self) -> Result<Lock, ContainersError> {
        Ok(Lock::acquire(&self.records.join("ids.lock"), Mode::Exclusive, &mut |_| {})?)
    }

    /// The maps of the containers that have ids of their own (outer ids being A's).
    ///
    /// # Errors
    /// The run directory cannot be read.
    pub fn maps(&self) -> Result<Vec<IdMaps>, ContainersError> {
        let own = |record: &Record| !matches!(record.host.userns.as_str(), "" | "host" | "private");
        let all = self.list()?.into_iter().map(|container| container.record).filter(own);
        Ok(all.filter_map(|record| record.host.maps).collect())
    }

    fn ids(&self) -> Result<Vec<String>, ContainersError> {
        let entries = match std::fs::read_dir(&self.records) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(FileError::new("list", &self.records, error).into()),
        };
        let mut ids = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|error| FileError::new("list", &self.records, error))?;
            if let Ok(name) = entry.file_name().into_string()
                && ContainerId::parse(&name).is_ok()
            {
                ids.push(name);
            }
        }
        Ok(ids)
    }

    /// What is known of one; `None` is one that is gone, not published, garbage, or cannot be understood.
    fn read(&self, id: &str) -> Result<Option<Container>, ContainersError> {
        if ContainerId::parse(id).is_err() {
            return Ok(None);
        }
        let dir = self.records.join(id);
        let Ok(record) = file::read_json::<Record>(&dir.join("record.json"), limits::RECORD) else {
            return Ok(None);
        };
        if record.version != VERSION || !Lock::is_held(&dir.join("lock"))? {
            return Ok(None);
        }
        let state = file::read_json::<State>(&dir.join("state.json"), limits::RECORD).ok();
        Ok(Some(Container { record, state }))
    }

    /// Waits until nobody supervises a container any more.
    ///
    /// # Errors
    /// Its lock cannot be waited for.
    pub fn wait_gone(&self, id: &ContainerId) -> Result<(), ContainersError> {
        match Lock::acquire(&self.records.join(id.as_str()).join("lock"), Mode::Shared, &mut |_| {}) {
            // Held by nobody: its supervisor was killed, and what it left is garbage.
            Ok(_lock) => Ok(()),
            Err(error) if error.is_missing() => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Removes what killed supervisors left. Only from a process in A: upper folders hold files of every id.
    ///
    /// Returns the ids that went.
    ///
    /// # Errors
    /// Something cannot be removed; the rest was tried all the same.
    pub fn sweep(&self) -> Result<Vec<String>, ContainersError> {
        let mut swept = Vec::new();
        let mut failed = None;
        for id in self.ids()? {
            match self.sweep_one(&id) {
                Ok(true) => swept.push(id),
                Ok(false) => {}
                Err(error) => failed = Some(error),
            }
        }
        for id in directory_names(&self.layers)? {
            // A layer without a folder in the run directory is of another boot.
            if ContainerId::parse(&id).is_ok() && !self.records.join(&id).exists() {
                match remove_tree(&self.layers.join(&id)) {
                    Ok(()) => swept.push(id),
                    Err(error) => failed = Some(error),
                }
            }
        }
        for name in directory_names(&self.names)? {
            self.name_owner(&self.names.join(name))?;
        }
        failed.map_or(Ok(swept), Err)
    }

    fn sweep_one(&self, id: &str) -> Result<bool, ContainersError> {
        let dir = self.records.join(id);
        let lock = match Lock::try_acquire(&dir.join("lock"), Mode::Exclusive) {
            Ok(Some(lock)) => lock,
            Ok(None) => return Ok(false),
            Err(error) if error.is_missing() => return Ok(false),
            Err(error) => return Err(error.into()),
        };
        remove_tree(&self.layers.join(id))?;
        remove_tree(&dir)?;
        drop(lock);
        Ok(true)
    }
}

impl Claim {
    /// Makes the container visible. From here on gc spares its layers.
    ///
    /// # Errors
    /// The run directory cannot be written to.
    pub fn publish(&self, record: &Record) -> Result<(), ContainersError> {
        self.write("record.json", record)
    }

    /// Says that its init runs.
    ///
    /// # Errors
    /// The run directory cannot be written to.
    pub fn started(&self, state: &State) -> Result<(), ContainersError> {
        self.write("state.json", state)
    }

    fn write(&self, name: &str, value: &impl serde::Serialize) -> Result<(), ContainersError> {
        let path = self.dir.join(name);
        let bytes = serde_json::to_vec(value)
            .map_err(|error| FileError::new("write", &path, std::io::Error::from(error)))?;
        Ok(atomic::write_transient(&path, &bytes)?)
    }

    /// Ends the container: its files go, then its name, then its lock.
    ///
    /// # Errors
    /// Something cannot be removed. Whatever is left is garbage that the next sweep finds.
    pub fn discard(self) -> Result<(), ContainersError> {
        remove_tree(&self.layer)?;
        if !self.name_file.as_os_str().is_empty() {
            atomic::remove(&self.name_file)?;
        }
        let Self { dir, lock, .. } = self;
        remove_tree(&dir)?;
        drop(lock);
        Ok(())
    }
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

/// Removes a folder of ours with whatever a container put there; one that is not there is fine.
fn remove_tree(path: &Path) -> Result<(), ContainersError> {
    let failed = |source| ContainersError::Remove { path: path.to_owned(), source };
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Ok(()) };
    let root = match Root::open(parent) {
        Err(error) if error.is_missing() => return Ok(()),
        other => other.map_err(failed)?,
    };
    match root.remove_tree(name) {
        Err(error) if error.is_missing() => Ok(()),
        other => other.map_err(failed),
    }
}

/// A name as users give it, perhaps with Docker's leading slash.
fn check_name(name: &str) -> Result<&str, ContainersError> {
    let plain = name.strip_prefix('/').unwrap_or(name);
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    let starts_well = plain.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    if starts_well && plain.len() <= MAX_NAME && plain.bytes().all(fits) {
        Ok(plain)
    } else {
        Err(ContainersError::BadName(name.to_owned()))
    }
}

#[cfg(test)]
mod tests;
