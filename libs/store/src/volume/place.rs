//! Where the volumes of a store lie: in it, or in a folder that the user chose (`--volumepath`).
//!
//! # Layout
//! ```text
//! DATA/volumes             a folder, or a link to another one
//! ELSEWHERE/<name>/        volumes, as in DATA
//!          /.ctr/store     whose volumes these are: the path of DATA
//!               /lock      held by a store that settles here
//!               /trash/    what is being deleted, on the same file system as the volumes
//! ```
//!
//! # Theory of operation
//! A store decides once, by the one call that makes the folder or the link: whatever comes later (a monitor that tidies
//! up, gc, a command without the option) follows the link. Podman keeps the path in its database in the same way. Another
//! path is refused where an option names it, and not used where a file of the configuration does.
//!
//! # Invariants
//! - The folder may hold what is not ours: no name in it that [`may_go`] does not know is taken, swept or removed.
//! - Volumes of two stores never share a folder: the containers of one would not keep the volumes of the other.
//! - A folder whose mark is missing is away (not mounted): nothing is made in its place.

use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use ctr_core::atomic;
use ctr_core::file::{self, FileError};
use ctr_core::limits;
use ctr_core::lock::{Lock, Mode};

use super::{DATA, FILL, LOCK, RECORD, Trash, VolumeError, fill};
use crate::{Layout, names_in};

/// Our own folder beside volumes that lie elsewhere: no name of a volume begins so.
const MARK: &str = ".ctr";

/// Where volumes are to lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumePath {
    /// The folder.
    pub path: PathBuf,
    /// It was asked for on the command line: to have them somewhere else is an error.
    pub insists: bool,
}

/// Volumes cannot lie where they are to.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// A file.
    #[error(transparent)]
    File(#[from] FileError),
    /// They lie somewhere else already.
    #[error("the volumes of the store {} lie in {}, not in {}", store.display(), there.display(), asked.display())]
    Mismatch {
        /// The store.
        store: PathBuf,
        /// Where they lie.
        there: PathBuf,
        /// Where they were to be.
        asked: PathBuf,
    },
    /// Another store has its volumes there.
    #[error("{} has the volumes of another store, {}", path.display(), store.display())]
    Taken {
        /// The folder.
        path: PathBuf,
        /// The other store.
        store: PathBuf,
    },
    /// The folder is a part of the store.
    #[error("volumes cannot lie in {}, which is inside the store {}", path.display(), store.display())]
    Inside {
        /// The folder.
        path: PathBuf,
        /// The store.
        store: PathBuf,
    },
    /// A path that means another folder to each command.
    #[error("volume path must be an absolute path - instead got {path:?}")]
    Relative {
        /// As it was given.
        path: PathBuf,
    },
}

/// What a store has decided.
enum Decided {
    /// Its volumes lie there.
    There(PathBuf),
    /// Nothing yet, or nothing that anything was made of.
    Not,
}

impl Layout {
    /// Volumes.
    #[must_use]
    pub fn volumes(&self) -> PathBuf {
        self.volume_folders().0
    }

    /// Volumes, and where those that are removed wait to be deleted, if not in the store's trash.
    pub(crate) fn volume_folders(&self) -> (PathBuf, Option<PathBuf>) {
        let own = self.own_volumes();
        match std::fs::read_link(&own) {
            Ok(elsewhere) => {
                let trash = elsewhere.join(MARK).join("trash");
                (elsewhere, Some(trash))
            }
            Err(_) => (own, None),
        }
    }

    /// Where volumes will lie once there are any: of a store that is not made yet, where they are to.
    #[must_use]
    pub fn volumes_in_time(&self) -> PathBuf {
        let asked = self.volume_path.as_ref().map(|asked| asked.path.clone());
        match self.decided() {
            Ok(Decided::Not) => asked.unwrap_or_else(|| self.own_volumes()),
            _ => self.volumes(),
        }
    }

    /// Where volumes that are removed wait to be deleted, if not in the store's trash.
    pub(crate) fn volume_trash(&self) -> Option<PathBuf> {
        self.volume_folders().1
    }

    fn own_volumes(&self) -> PathBuf {
        self.data.join("volumes")
    }

    /// The path that was asked for and is not used, since the volumes lie somewhere else.
    ///
    /// # Errors
    /// The path was insisted on, or is none.
    pub fn check_volume_path(&self) -> Result<Option<&Path>, PlaceError> {
        let Some(asked) = &self.volume_path else { return Ok(None) };
        if !asked.path.is_absolute() {
            return Err(PlaceError::Relative { path: asked.path.clone() });
        }
        match self.decided()? {
            Decided::There(there) if !is_same(&there, &asked.path) => {
                let (store, path) = (self.data.clone(), asked.path.clone());
                let mismatch = PlaceError::Mismatch { store, there, asked: path };
                if asked.insists { Err(mismatch) } else { Ok(Some(&asked.path)) }
            }
            _ => Ok(None),
        }
    }

    fn decided(&self) -> Result<Decided, FileError> {
        let (folder, trash) = self.volume_folders();
        let is_decided = trash.is_some() || !names_in(&folder)?.is_empty();
        Ok(if is_decided { Decided::There(folder) } else { Decided::Not })
    }

    /// Lets volumes lie where they are to, if that is not decided yet. The store must be there.
    pub(crate) fn settle_volume_path(&self) -> Result<(), PlaceError> {
        let Some(asked) = &self.volume_path else { return Ok(()) };
        loop {
            self.check_volume_path()?;
            let Decided::Not = self.decided()? else { return Ok(()) };
            let own = self.own_volumes();
            let parent = asked.path.parent().unwrap_or(&asked.path);
            if asked.path == own || asked.path.file_name() == own.file_name() && is_same(parent, &self.data) {
                return Ok(atomic::private_directory(&own)?);
            }
            if self.link(&asked.path)? {
                return Ok(());
            }
        }
    }

    /// Removes all volumes that lie elsewhere, whoever uses them, and nothing else of what is there. Only in A.
    ///
    /// # Errors
    /// Something cannot be removed, or is not there.
    pub fn reset_volumes(&self) -> Result<(), VolumeError> {
        let (folder, Some(trash)) = self.volume_folders() else { return Ok(()) };
        if is_away(&folder, Some(&trash)) {
            return Err(VolumeError::Away(folder));
        }
        for name in everything(&folder)? {
            Trash { folder: folder.clone(), name }.delete()?;
        }
        Ok(())
    }

    /// Makes the link; false: somebody else decided meanwhile.
    fn link(&self, path: &Path) -> Result<bool, PlaceError> {
        if path.ancestors().any(|around| is_same(around, &self.data)) {
            return Err(PlaceError::Inside { path: path.to_owned(), store: self.data.clone() });
        }
        atomic::private_directory(path)?;
        let mark = path.join(MARK);
        atomic::private_directory(&mark.join("trash"))?;
        let _one = Lock::acquire(&mark.join(LOCK), Mode::Exclusive, &mut |_| {})?;
        if let Some(store) = owner(path)?.filter(|store| !is_same(store, &self.data)) {
            return Err(PlaceError::Taken { path: path.to_owned(), store });
        }
        atomic::write_durable(&mark.join("store"), self.data.as_os_str().as_bytes())?;
        let own = self.own_volumes();
        let failed = |error| FileError::new("create the link", &own, error);
        match std::fs::remove_dir(&own) {
            Err(error) if error.kind() == std::io::ErrorKind::DirectoryNotEmpty => return Ok(false),
            // Not there, or a link: the next call tells.
            _ => {}
        }
        match std::os::unix::fs::symlink(path, &own) {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => return Ok(false),
            made => made.map_err(failed)?,
        }
        atomic::sync_directory(&self.data)?;
        Ok(true)
    }
}

/// The store whose volumes lie in a folder, as long as it knows of that.
fn owner(path: &Path) -> Result<Option<PathBuf>, FileError> {
    let bytes = match file::read(&path.join(MARK).join("store"), limits::ARCHIVE_NOTE) {
        Ok(bytes) => bytes,
        Err(error) if error.is_missing() => return Ok(None),
        Err(error) => return Err(error),
    };
    let store = PathBuf::from(std::ffi::OsString::from_vec(bytes));
    let led = std::fs::read_link(store.join("volumes"));
    Ok(led.is_ok_and(|led| is_same(&led, path)).then_some(store))
}

/// Whether two paths lead to the same folder, or are the same.
fn is_same(one: &Path, other: &Path) -> bool {
    let identity = |path| std::fs::metadata(path).map(|meta| (meta.dev(), meta.ino())).ok();
    one == other || identity(one).is_some_and(|one| identity(other) == Some(one))
}

/// Whether the folder of volumes that lie elsewhere is there: without its mark another one may be.
pub(super) fn is_away(folder: &Path, trash: Option<&Path>) -> bool {
    trash.is_some() && matches!(folder.join(MARK).try_exists(), Ok(false))
}

/// Whether a folder among volumes that lie elsewhere is one of ours, whole, in the making or half removed; one that is
/// empty may become one.
pub(super) fn is_ours(folder: &Path) -> Result<bool, FileError> {
    let names = names_in(folder)?;
    let known = |name: &String| {
        [DATA, FILL, LOCK, RECORD].contains(&name.as_str()) || name.starts_with(fill::PARTIAL)
    };
    Ok(names.is_empty() || names.iter().all(known) && names.iter().any(|name| name == LOCK))
}

/// Whether what is in a folder among volumes that lie elsewhere is ours to remove.
pub(super) fn may_go(folder: &Path) -> Result<bool, FileError> {
    Ok(folder.join(RECORD).is_file() || folder.join(LOCK).is_file() && is_ours(folder)?)
}

/// What is to be removed where all volumes are: those of ours, and in the end the mark.
fn everything(folder: &Path) -> Result<Vec<String>, FileError> {
    let mut all = vec![MARK.to_owned()];
    for name in names_in(folder)?.into_iter().filter(|name| super::name::valid(name)) {
        if may_go(&folder.join(&name))? {
            all.insert(0, name);
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests;
