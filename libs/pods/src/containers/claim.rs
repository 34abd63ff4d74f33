//! Holding a container: whoever makes, starts, supervises, changes or removes one does it behind its lock.

use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ctr_core::file::{self, FileError};
use ctr_core::id::ContainerId;
use ctr_core::lock::{Holder, Lock, Mode, Waiting};
use ctr_core::process::Identity;
use ctr_core::{atomic, limits};
use ctr_net::publish::Mapping;
use ctr_runtime::cgroup;

use super::names::check_name;
use super::sweep::remove_tree;
use super::{
    Container, Containers, ContainersError, ENDING, GROUP, Kind, LOCK, NEXT, RECORD, STARTING, STATE,
};
use crate::network;
use crate::record::{Record, State, Time};

/// How long a lock that is held is waited for: as long as a reader asks for it, or a monitor takes to leave.
const PATIENCE: Duration = Duration::from_millis(500);

/// How long the end of a container is not logged for one who is about to log its start.
const STARTER: Duration = Duration::from_secs(10);

/// A container that is held.
#[derive(Debug)]
pub struct Claim {
    /// Who it is.
    pub id: ContainerId,
    /// What it is called.
    pub name: String,
    /// What its life is tied to.
    pub kind: Kind,
    /// The folder of its records.
    pub dir: PathBuf,
    /// The folder of its writable layer; for a kept container the same as `dir`, for the others not made yet.
    pub layer: PathBuf,
    name_file: PathBuf,
    lock: Lock,
}

impl Containers {
    /// Takes a new identity and a name: the one given, or one that nobody has.
    ///
    /// # Errors
    /// The name is taken or cannot be one; the directory cannot be written to.
    pub fn claim(&self, kind: Kind, name: Option<&str>) -> Result<Claim, ContainersError> {
        let name = name.map(check_name).transpose()?;
        loop {
            let id = ContainerId::random().map_err(ContainersError::Random)?;
            let dir = self.records(kind).join(id.as_str());
            // Most often everything above is there.
            if std::fs::DirBuilder::new().create(&dir).is_err() {
                atomic::private_directory(&dir)?;
            }
            match Lock::try_acquire(&dir.join(LOCK), Mode::Exclusive) {
                Ok(Some(lock)) => {
                    let layer = self.kept.join(id.as_str());
                    let unnamed = (String::new(), PathBuf::new());
                    let mut claim =
                        Claim { name: unnamed.0, name_file: unnamed.1, id, kind, dir, layer, lock };
                    return match self.names(kind).take(name, &claim.id) {
                        Ok((name, file)) => {
                            claim.name = name;
                            claim.name_file = file;
                            Ok(claim)
                        }
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

    /// Takes hold of a kept container, and reads what is true of it now; `None` is one that somebody else holds, or that is gone.
    ///
    /// # Errors
    /// Its lock cannot be taken, or its record not be read.
    pub fn hold(&self, container: &Container) -> Result<Option<(Claim, Container)>, ContainersError> {
        let lock = match Lock::acquire_within(&container.folder.join(LOCK), Mode::Exclusive, PATIENCE) {
            Ok(Some(lock)) => lock,
            Ok(None) => return Ok(None),
            Err(error) if error.is_missing() => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        // It may have been changed until it was held.
        let now = self.by_id(container.record.id.as_str())?;
        Ok(now.map(|now| (self.claim_of(&now, lock), now)))
    }

    /// Waits until nobody supervises this start of a container any more, be there another one by then; `on_wait` hears who
    /// does so after a second.
    ///
    /// # Errors
    /// Its lock cannot be waited for.
    pub fn wait_gone(
        &self,
        container: &Container,
        on_wait: &mut dyn FnMut(&Waiting),
    ) -> Result<(), ContainersError> {
        let init = |of: &Container| of.state.as_ref().map(|state| state.init.clone());
        for turn in 0_u64.. {
            let hears: Option<&mut dyn FnMut(&Waiting)> = if turn == 1 { Some(&mut *on_wait) } else { None };
            if self.is_left(container, hears)? {
                break;
            }
            let now = self.by_id(container.record.id.as_str())?;
            if now.is_none_or(|now| init(&now) != init(container)) {
                break;
            }
        }
        Ok(())
    }

    /// Waits a moment for nobody to hold a container any more; whether that is so. `on_wait` hears who does, if it is not.
    ///
    /// # Errors
    /// Its lock cannot be taken.
    pub fn is_left(
        &self,
        container: &Container,
        on_wait: Option<&mut dyn FnMut(&Waiting)>,
    ) -> Result<bool, ContainersError> {
        let path = container.folder.join(LOCK);
        match Lock::acquire_within(&path, Mode::Shared, PATIENCE) {
            Ok(free) => {
                if let (None, Some(on_wait)) = (&free, on_wait) {
                    on_wait(&supervised(container, Waiting::at(&path)));
                }
                Ok(free.is_some())
            }
            Err(error) if error.is_missing() => Ok(true),
            Err(error) => Err(error.into()),
        }
    }

    /// Takes over a kept container from the monitor that this process was.
    ///
    /// # Errors
    /// Its record is gone or cannot be understood.
    pub fn inherit(&self, id: &str, lock: OwnedFd) -> Result<(Claim, Container), ContainersError> {
        let missing = || ContainersError::NotFound(id.to_owned());
        let container = self.by_id(id)?.ok_or_else(missing)?;
        let claim = self.claim_of(&container, Lock::inherited(lock, &container.folder.join(LOCK)));
        Ok((claim, container))
    }

    fn claim_of(&self, container: &Container, lock: Lock) -> Claim {
        let Container { record, folder, kind, layer, .. } = container;
        Claim {
            id: record.id.clone(),
            name: record.name.clone(),
            kind: *kind,
            dir: folder.clone(),
            layer: layer.clone(),
            name_file: self.names(*kind).file(&record.name),
            lock,
        }
    }

    /// Gives a container another name.
    ///
    /// # Errors
    /// The name is taken or cannot be one; the records cannot be written to.
    pub fn rename(&self, container: &Container, name: &str) -> Result<(), ContainersError> {
        let name = check_name(name)?;
        let Container { record, folder, kind, .. } = container;
        let names = self.names(*kind);
        let (_alone, now) = self.changing(container)?;
        let now = now.record;
        let (_, taken) = names.take(Some(name), &record.id)?;
        let renamed = Record { name: name.to_owned(), ..now.clone() };
        if let Err(error) = write(&folder.join(RECORD), &renamed, *kind) {
            atomic::remove(&taken)?;
            return Err(error);
        }
        Ok(atomic::remove(&names.file(&now.name))?)
    }

    /// Keeps others from writing a record anew, and reads it: two who change something must not both believe that they have the last
    /// word.
    pub(crate) fn changing(&self, container: &Container) -> Result<(Lock, Container), ContainersError> {
        let lock = Lock::acquire(&container.folder.join("rename.lock"), Mode::Exclusive, &mut |_| {})?;
        let missing = || ContainersError::NotFound(container.record.id.to_string());
        Ok((lock, self.by_id(container.record.id.as_str())?.ok_or_else(missing)?))
    }

    /// Writes down what a container publishes from now on; nobody else is changing its record.
    pub(crate) fn publish_anew(
        &self,
        container: &Container,
        ports: Vec<Mapping>,
    ) -> Result<(), ContainersError> {
        let record = Record { ports, ..container.record.clone() };
        write(&container.folder.join(RECORD), &record, container.kind)
    }
}

impl Container {
    /// Writes down what is true once the command of this initialised container runs, which its monitor then makes true.
    /// Until the lock is let go of nobody else writes: its monitor is to be told meanwhile. Tells too whether the command was
    /// still waiting.
    ///
    /// # Errors
    /// Its init is not there any more, be it that another one is; the directory cannot be written to.
    pub(crate) fn write_next(&self, init: &Identity, started: Time) -> Result<(Lock, bool), ContainersError> {
        let another = || ContainersError::Another(self.record.id.to_string());
        let lock = Lock::acquire_within(&self.folder.join(STARTING), Mode::Exclusive, PATIENCE)?;
        let lock = lock.ok_or_else(another)?;
        let now = file::read_json::<State>(&self.folder.join(STATE), limits::RECORD)?;
        if now.init != *init {
            return Err(another());
        }
        let waiting = now.waiting;
        let next = State { waiting: false, started, ..now };
        write(&self.folder.join(NEXT), &next, Kind::Fleeting)?;
        Ok((lock, waiting))
    }

    /// Keeps others from starting this container, which has ended, and waits for who is about to log that it was started: some
    /// time, since that process may have been stopped.
    pub(crate) fn after_its_start(&self) -> Option<Lock> {
        let path = self.folder.join(STARTING);
        if !path.exists() {
            return None;
        }
        // Without it the log is out of order, which is no reason to leave things undone.
        Lock::acquire_within(&path, Mode::Exclusive, STARTER).ok().flatten()
    }
}

impl Claim {
    /// Makes the container visible. From here on gc spares its layers.
    ///
    /// # Errors
    /// The directory cannot be written to.
    pub fn publish(&self, record: &Record) -> Result<(), ContainersError> {
        write(&self.dir.join(RECORD), record, Kind::Fleeting)
    }

    /// Has what was published so far survive a loss of power, if it is to survive a boot at all. A container that went with
    /// its end meanwhile has nothing that could.
    ///
    /// # Errors
    /// The disk fails.
    pub fn flush(&self) -> Result<(), ContainersError> {
        if self.kind != Kind::Kept {
            return Ok(());
        }
        match self.flush_folders() {
            Err(error) if error.is_missing() && !self.dir.join(RECORD).exists() => Ok(()),
            other => Ok(other?),
        }
    }

    fn flush_folders(&self) -> Result<(), FileError> {
        let path = self.dir.join(RECORD);
        let file = std::fs::File::open(&path).map_err(|error| FileError::new("open", &path, error))?;
        file.sync_all().map_err(|error| FileError::new("sync", &path, error))?;
        for folder in [Some(self.dir.as_path()), self.dir.parent(), self.name_file.parent()] {
            folder.map_or(Ok(()), atomic::sync_directory)?;
        }
        Ok(())
    }

    /// Forgets the last start, since another one begins.
    ///
    /// # Errors
    /// The directory cannot be written to.
    pub fn begins(&self) -> Result<(), ContainersError> {
        network::forget_last(&self.dir)?;
        Ok(atomic::remove(&self.dir.join(ENDING))?)
    }

    /// Notes where the control group of a start is about to be made, so that it is found if we are killed before the start is
    /// written down. One that another start has left elsewhere goes.
    ///
    /// # Errors
    /// The directory cannot be written to.
    pub fn notes_group(&self, path: &Path) -> Result<(), ContainersError> {
        if let Some(left) = noted_group(&self.dir).filter(|left| left != path) {
            // If it is in use, it is not left.
            cgroup::remove(&left).ok();
        }
        Ok(atomic::write_transient(&self.dir.join(GROUP), path.as_os_str().as_bytes())?)
    }

    /// Whether its init ran before.
    #[must_use]
    pub fn was_started(&self) -> bool {
        self.dir.join(STATE).exists()
    }

    /// Says that its init runs.
    ///
    /// # Errors
    /// The directory cannot be written to.
    pub fn started(&self, state: &State) -> Result<(), ContainersError> {
        write(&self.dir.join(STATE), state, Kind::Fleeting)
    }

    /// Says that its init could not be started after all.
    ///
    /// # Errors
    /// The directory cannot be written to.
    pub fn failed(&self) -> Result<(), ContainersError> {
        Ok(atomic::remove(&self.dir.join(STATE))?)
    }

    /// Has no list show the container any more; the rest goes when it is discarded.
    ///
    /// # Errors
    /// Its record cannot be removed.
    pub fn withdraw(&self) -> Result<(), ContainersError> {
        Ok(atomic::remove(&self.dir.join(RECORD))?)
    }

    /// Its lock, to be handed to the one who supervises it.
    pub const fn lock(&self) -> &Lock {
        &self.lock
    }

    /// Ends the container: it is no longer seen, its files go, then its name, then its lock.
    ///
    /// # Errors
    /// Something cannot be removed. Whatever is left is garbage that the next sweep finds.
    pub fn discard(self) -> Result<(), ContainersError> {
        if self.kind.has_monitor() {
            self.withdraw()?;
        }
        let Self { dir, layer, lock, name_file, .. } = self;
        if layer != dir {
            remove_tree(&layer)?;
        }
        if !name_file.as_os_str().is_empty() {
            atomic::remove(&name_file)?;
        }
        remove_tree(&dir)?;
        drop(lock);
        Ok(())
    }
}

/// The control group that the last start of a container in a folder was to have.
pub(super) fn noted_group(dir: &Path) -> Option<PathBuf> {
    let path = file::read(&dir.join(GROUP), limits::RECORD).ok()?;
    Some(OsStr::from_bytes(&path).into())
}

/// The kernel names who took the lock, which may have handed it on and be gone: the record names whom it was for.
fn supervised(container: &Container, waiting: Waiting) -> Waiting {
    match &container.state {
        Some(state) => Waiting { holders: vec![Holder::of(state.supervisor.pid)], ..waiting },
        None => waiting,
    }
}

pub(super) fn write(
    path: &std::path::Path,
    value: &impl serde::Serialize,
    kind: Kind,
) -> Result<(), ContainersError> {
    let bytes = serde_json::to_vec(value)
        .map_err(|error| FileError::new("write", path, std::io::Error::from(error)))?;
    match kind {
        Kind::Fleeting | Kind::Transient => atomic::write_transient(path, &bytes)?,
        Kind::Kept => atomic::write_durable(path, &bytes)?,
    }
    Ok(())
}
