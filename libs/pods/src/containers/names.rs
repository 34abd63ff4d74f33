//! Names of containers: a file each, which holds the id.

use std::path::{Path, PathBuf};

use ctr_core::atomic;
use ctr_core::file;
use ctr_core::id::ContainerId;
use ctr_core::lock::{Lock, Mode};

use super::{Containers, ContainersError, Kind, LOCK, directory_names};

/// Longest name: what a file can be called.
const MAX_NAME: usize = 255;

/// The names of containers of the kinds that have their names in one directory.
pub(super) struct Names<'a> {
    containers: &'a Containers,
    folder: PathBuf,
    kinds: &'static [Kind],
}

impl<'a> Names<'a> {
    pub(super) const fn new(containers: &'a Containers, folder: PathBuf, kinds: &'static [Kind]) -> Self {
        Self { containers, folder, kinds }
    }

    /// The id that a name stands for, be it of a container that is there or not.
    pub(super) fn id_of(&self, name: &str) -> Option<String> {
        file::read_text(&self.folder.join(name), 64).ok()
    }

    /// Takes a name, or draws one; returns it with its file.
    pub(super) fn take(
        &self,
        wanted: Option<&str>,
        id: &ContainerId,
    ) -> Result<(String, PathBuf), ContainersError> {
        loop {
            let name = match wanted {
                Some(name) => name.to_owned(),
                None => ctr_core::name::random().map_err(ContainersError::Random)?,
            };
            // Else it is free by now, or another one is drawn.
            if let Err(owner) = self.try_take(&name, id)? {
                if wanted.is_some()
                    && let Some(id) = owner
                {
                    return Err(ContainersError::NameInUse { name, id });
                }
                continue;
            }
            let path = self.folder.join(&name);
            return Ok((name, path));
        }
    }

    /// Takes a name if it is free; else the error is whose it is.
    pub(super) fn try_take(
        &self,
        name: &str,
        id: &ContainerId,
    ) -> Result<Result<(), Option<String>>, ContainersError> {
        let path = self.folder.join(name);
        match atomic::claim(&path, id.as_str().as_bytes()) {
            Ok(()) => {}
            Err(error) if error.source.kind() == std::io::ErrorKind::AlreadyExists => {
                return Ok(Err(self.owner(&path)?));
            }
            Err(error) if error.is_missing() => {
                atomic::private_directory(&self.folder)?;
                return self.try_take(name, id);
            }
            Err(error) => return Err(error.into()),
        }
        // All write their own before they look in the other directory: of two, at most one goes on.
        let is_kept = self.kinds.contains(&Kind::Kept);
        let other = self.containers.names(if is_kept { Kind::Fleeting } else { Kind::Kept });
        let theirs = other.folder.join(name);
        let owner = if theirs.exists() { other.owner(&theirs)? } else { None };
        if owner.is_some() {
            atomic::remove(&path)?;
        }
        Ok(owner.map_or(Ok(()), |owner| Err(Some(owner))))
    }

    /// Whose a name is. One of a container that is no more is given up, under a lock so that two who find it so do not
    /// give up each other's.
    fn owner(&self, path: &Path) -> Result<Option<String>, ContainersError> {
        let read = || match file::read_text(path, 64) {
            Ok(id) => Ok(Some(id)),
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(ContainersError::from(error)),
        };
        let Some(id) = read()? else { return Ok(None) };
        if ContainerId::parse(&id).is_ok() && self.is_there(&id)? {
            return Ok(Some(id));
        }
        let records = self.containers.records(if self.kinds.contains(&Kind::Kept) {
            Kind::Kept
        } else {
            Kind::Fleeting
        });
        atomic::private_directory(records)?;
        let _guard = Lock::acquire(&records.join("names.lock"), Mode::Exclusive, &mut |_| {})?;
        match read()? {
            Some(now) if now == id => atomic::remove(path)?,
            _ => {}
        }
        Ok(None)
    }

    /// Whether a container has a right to its name: somebody makes or supervises it, or it is kept, be it of use to us or
    /// not. The lock is asked first: who makes one lets go of it once the record is there.
    fn is_there(&self, id: &str) -> Result<bool, ContainersError> {
        for kind in self.kinds.iter().copied() {
            let folder = self.containers.records(kind).join(id);
            match Lock::is_held(&folder.join(LOCK)) {
                Ok(true) => return Ok(true),
                _ if kind.has_monitor() && self.containers.is_wanted(kind, id) => return Ok(true),
                free => free?,
            };
        }
        Ok(false)
    }

    /// Gives up the names of containers that are no more.
    pub(super) fn sweep(&self) -> Result<(), ContainersError> {
        for name in directory_names(&self.folder)? {
            self.owner(&self.folder.join(name))?;
        }
        Ok(())
    }

    /// The file of a name.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

/// A name as users give it, perhaps with Docker's leading slash.
pub(super) fn check_name(name: &str) -> Result<&str, ContainersError> {
    let plain = name.strip_prefix('/').unwrap_or(name);
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    let starts_well = plain.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    if starts_well && plain.len() <= MAX_NAME && plain.bytes().all(fits) {
        Ok(plain)
    } else {
        Err(ContainersError::BadName(name.to_owned()))
    }
}
