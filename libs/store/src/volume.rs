//! Volumes: folders that outlive the containers that use them.
//!
//! # Layout
//! ```text
//! DATA/volumes/<name>/lock          held by whoever makes, fills or removes it, shared by who is about to use it
//!                    /volume.json   what is known of it; a folder without one is garbage, or in the making
//!                    /_data         the contents, which belong to mapped ids
//!                    /fill-<random> contents of an image on their way into it; locked as long as they are
//!                    /fill          the same, complete: whoever comes next moves what is still in there
//! ```
//!
//! # Theory of operation
//! A volume appears with the rename of its record and is gone with the record. Who uses it is not counted anywhere: the
//! records of containers name it ([`Store::volume_users`]). Between a look at a volume and the record of the container
//! that uses it lies [`Volumes::hold`], a shared lock, which keeps it from being removed. [`place`] has where they lie
//! that are not in DATA.
//!
//! What an image has where a volume is mounted first is copied into it ([`Volume::fill`]): beside the volume, without a
//! lock, since that may take long; then moved in under the lock, entry by entry. Others may have it mounted already, so
//! the folder itself is never replaced.
//!
//! # Invariants
//! - A name is a plain file name, checked before it is joined to anything.
//! - Contents are only ever opened through a rooted handle.
//! - A volume's record is durable; what is copied into a named one is flushed before it counts. An anonymous one lives and
//!   dies with its container, and its contents are not waited for.
//!
//! # Process context
//! Making a volume that belongs to the user, and looking at records, needs U or A. Everything that touches contents or
//! other owners happens in A.

mod archive;
mod fill;
mod name;
mod place;
mod record;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use ctr_core::atomic;
use ctr_core::file::{self, FileError};
use ctr_core::limits;
use ctr_core::lock::{Lock, Mode};
use ctr_core::rooted::{Root, TreeError};

pub use archive::ArchiveError;
pub use fill::{FillError, First};
pub use name::{random as random_name, valid as is_name};
pub use place::{PlaceError, VolumePath};
pub use record::{Asked, Backing, Driver, NewVolume, OptionError, Record};

use crate::container::Claim;
use crate::{Store, StoreError, names_in};

/// The folder with the contents.
const DATA: &str = "_data";
/// The record.
const RECORD: &str = "volume.json";
/// The lock.
const LOCK: &str = "lock";
/// What is copied from an image, complete.
const FILL: &str = "fill";

/// Something about a volume failed.
#[derive(Debug, thiserror::Error)]
pub enum VolumeError {
    /// A file of ours.
    #[error(transparent)]
    File(#[from] FileError),
    /// Records of containers.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The name cannot be one.
    #[error("names must match [a-zA-Z0-9][a-zA-Z0-9_.-]*: invalid argument")]
    BadName(String),
    /// There is one already.
    #[error("volume with name {0} already exists: volume already exists")]
    Exists(String),
    /// There is none.
    #[error("no volume with name {0:?} found: no such volume")]
    NotFound(String),
    /// Several begin so.
    #[error("more than one result for volume name {0}: volume already exists")]
    Ambiguous(String),
    /// Containers use it.
    #[error("volume {name} is being used by the following container(s): {}: volume is being used", .users.join(", "))]
    InUse {
        /// Its name.
        name: String,
        /// The containers.
        users: Vec<String>,
    },
    /// Its contents.
    #[error("cannot use the contents of volume {name}")]
    Contents {
        /// Its name.
        name: String,
        /// Why.
        #[source]
        source: TreeError,
    },
    /// No random bytes.
    #[error("cannot draw a name")]
    Random(#[source] std::io::Error),
    /// A newer version wrote it.
    #[error("volume {0} was written by a newer version")]
    Newer(String),
    /// Where volumes lie there is nothing.
    #[error("the volumes lie in {}, which is not there", .0.display())]
    Away(PathBuf),
    /// Where volumes lie there is something else of that name.
    #[error("cannot make volume {name}: {} is not empty, and no volume", path.display())]
    Foreign {
        /// The name.
        name: String,
        /// The folder.
        path: PathBuf,
    },
}

/// The volumes of a store.
#[derive(Debug, Clone)]
pub struct Volumes<'s> {
    store: &'s Store,
    folder: PathBuf,
    /// Of volumes that lie elsewhere.
    trash: Option<PathBuf>,
}

/// One volume, as it was when it was read.
#[derive(Debug, Clone)]
pub struct Volume {
    /// What is known of it.
    pub record: Record,
    folder: PathBuf,
}

/// All volumes, and those whose record cannot be understood.
#[derive(Debug, Default)]
pub struct Listing {
    /// By name.
    pub good: Vec<Volume>,
    /// Names of the others.
    pub damaged: Vec<String>,
}

/// What is left of a volume; if nobody deletes it, gc does.
#[derive(Debug)]
#[must_use = "it takes its space until it is deleted"]
pub struct Trash {
    folder: PathBuf,
    name: String,
}

impl Trash {
    /// Deletes it. Only in A, unless the volume never had contents.
    ///
    /// # Errors
    /// Something cannot be deleted.
    pub fn delete(self) -> Result<(), VolumeError> {
        let failed = |source| VolumeError::Contents { name: self.name.clone(), source };
        Root::open(&self.folder).and_then(|trash| trash.remove_tree(&self.name)).map_err(failed)
    }
}

/// A volume that is not removed as long as this lives.
#[derive(Debug)]
pub struct Held {
    /// The volume.
    pub volume: Volume,
    _lock: Lock,
}

impl Store {
    /// The volumes of this store.
    #[must_use]
    pub fn volumes(&self) -> Volumes<'_> {
        let (folder, trash) = self.layout().volume_folders();
        Volumes { store: self, folder, trash }
    }

    /// The containers whose records name a volume.
    ///
    /// # Errors
    /// The records cannot be read.
    pub fn volume_users(&self, name: &str) -> Result<Vec<Claim>, StoreError> {
        let mut claims = self.claims()?;
        claims.retain(|claim| claim.volumes().any(|used| used == name));
        Ok(claims)
    }
}

impl Volumes<'_> {
    /// All volumes.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn list(&self) -> Result<Listing, VolumeError> {
        let mut listing = Listing::default();
        self.must_be_there()?;
        for name in names_in(&self.folder)? {
            match self.read(&name) {
                Ok(Some(volume)) => listing.good.push(volume),
                Ok(None) => {}
                Err(_) => listing.damaged.push(name),
            }
        }
        Ok(listing)
    }

    /// The volume of exactly that name.
    ///
    /// # Errors
    /// There is none.
    pub fn get(&self, name: &str) -> Result<Volume, VolumeError> {
        self.read(name)?.ok_or_else(|| VolumeError::NotFound(name.to_owned()))
    }

    /// The volume of that name, or the only one whose name begins so.
    ///
    /// # Errors
    /// There is none, or there are several.
    pub fn find(&self, text: &str) -> Result<Volume, VolumeError> {
        if let Some(volume) = self.read(text)? {
            return Ok(volume);
        }
        self.must_be_there()?;
        let mut fitting = names_in(&self.folder)?;
        fitting.retain(|name| !text.is_empty() && name.starts_with(text) && self.is_published(name));
        match fitting.as_slice() {
            [] => Err(VolumeError::NotFound(text.to_owned())),
            [one] => self.get(one),
            _ => Err(VolumeError::Ambiguous(text.to_owned())),
        }
    }

    fn is_published(&self, name: &str) -> bool {
        self.folder.join(name).join(RECORD).is_file()
    }

    fn read(&self, name: &str) -> Result<Option<Volume>, VolumeError> {
        if !name::valid(name) {
            return Ok(None);
        }
        let folder = self.folder.join(name);
        match file::read_json::<Record>(&folder.join(RECORD), limits::RECORD) {
            Ok(record) if record.version > record::VERSION => Err(VolumeError::Newer(name.to_owned())),
            Ok(record) => Ok(Some(Volume { record, folder })),
            Err(error) if error.is_missing() || error.is_below_a_file() => {
                self.must_be_there()?;
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// What lies in a folder that is not mounted is not gone.
    fn must_be_there(&self) -> Result<(), VolumeError> {
        let is_away = place::is_away(&self.folder, self.trash.as_deref());
        if is_away { Err(VolumeError::Away(self.folder.clone())) } else { Ok(()) }
    }

    /// Moves something of these volumes to the trash, where it is on the same file system.
    fn discard(&self, path: &Path) -> Result<(), FileError> {
        self.store.discard_into(&self.trash(), path)
    }

    fn trash(&self) -> PathBuf {
        self.trash.clone().unwrap_or_else(|| self.store.layout().own_trash())
    }

    /// Makes a volume. One that is to belong to somebody else than the user can only be made in A.
    ///
    /// # Errors
    /// There is one of that name, or it cannot be written.
    pub fn create(&self, new: &NewVolume) -> Result<Volume, VolumeError> {
        self.store.writable()?;
        let name = checked(&new.name)?;
        let folder = self.folder.join(name);
        let _lock = self.lock(name, Mode::Exclusive)?;
        if self.read(name)?.is_some() {
            return Err(VolumeError::Exists(name.to_owned()));
        }
        let data = folder.join(DATA);
        make_data(&data, new.uid, new.gid)?;
        let volume = Volume { record: new.record(), folder };
        volume.save()?;
        atomic::sync_directory(&self.folder)?;
        Ok(volume)
    }

    /// Keeps a volume from being removed, making it as `new` says if it is not there.
    ///
    /// # Errors
    /// It cannot be made or read.
    pub fn hold(&self, new: &NewVolume) -> Result<Held, VolumeError> {
        let name = checked(&new.name)?;
        loop {
            if self.is_published(name) {
                let lock = self.lock(name, Mode::Shared)?;
                // Removed between the two: there is nothing to hold.
                if let Some(volume) = self.read(name)? {
                    return Ok(Held { volume, _lock: lock });
                }
            }
            match self.create(new) {
                Ok(_) | Err(VolumeError::Exists(_)) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Takes a volume's lock, making its folder if need be: one that somebody sweeps meanwhile is made again.
    fn lock(&self, name: &str, mode: Mode) -> Result<Lock, VolumeError> {
        let folder = self.folder.join(name);
        self.must_be_there()?;
        if self.trash.is_some() && !self.is_published(name) && !place::is_ours(&folder)? {
            return Err(VolumeError::Foreign { name: name.to_owned(), path: folder });
        }
        loop {
            atomic::private_directory(&folder)?;
            match Lock::acquire(&folder.join(LOCK), mode, &mut |_| {}) {
                Err(error) if error.is_missing() => {}
                other => return Ok(other?),
            }
        }
    }

    /// Removes a volume that no container uses: from here on it is trash.
    ///
    /// # Errors
    /// A container uses it, or it is not there.
    pub fn remove(&self, name: &str) -> Result<Trash, VolumeError> {
        self.store.writable()?;
        let gone = || VolumeError::NotFound(name.to_owned());
        if !self.is_published(checked(name).map_err(|_bad_name| gone())?) {
            return Err(gone());
        }
        let lock = self.lock(name, Mode::Exclusive)?;
        let folder = self.folder.join(name);
        if !self.is_published(name) {
            return Err(gone());
        }
        let users: Vec<String> = self.store.volume_users(name)?.into_iter().map(|claim| claim.id).collect();
        if !users.is_empty() {
            return Err(VolumeError::InUse { name: name.to_owned(), users });
        }
        atomic::remove(&folder.join(RECORD))?;
        atomic::sync_directory(&folder)?;
        let random = ctr_core::id::random_hex(8).map_err(VolumeError::Random)?;
        let trash = Trash { folder: self.trash(), name: random };
        std::fs::rename(&folder, trash.folder.join(&trash.name))
            .map_err(|error| FileError::new("remove", &folder, error))?;
        drop(lock);
        Ok(trash)
    }

    /// Makes trash of folders that are no volumes, and of copies that were given up.
    ///
    /// # Errors
    /// A folder cannot be read or moved.
    pub fn sweep(&self) -> Result<usize, VolumeError> {
        let mut swept = 0;
        for name in names_in(&self.folder)? {
            let folder = self.folder.join(&name);
            if self.trash.is_some() && !place::may_go(&folder)? {
                continue;
            }
            let Some(_lock) = try_lock(&folder.join(LOCK))? else { continue };
            if !folder.join(RECORD).exists() {
                self.discard(&folder)?;
                swept += 1;
                continue;
            }
            for inner in names_in(&folder)? {
                if let Some(_ours) = fill::abandoned(&folder, &inner)? {
                    self.discard(&folder.join(inner))?;
                    swept += 1;
                }
            }
        }
        Ok(swept)
    }
}

impl Volume {
    /// Where its contents are, for people and for mounts: nothing is resolved below it by joining.
    #[must_use]
    pub fn mountpoint(&self) -> PathBuf {
        self.folder.join(DATA)
    }

    /// The contents.
    ///
    /// # Errors
    /// They cannot be opened.
    pub fn contents(&self) -> Result<Root, VolumeError> {
        let at = match &self.record.backing {
            Backing::Bind { device, .. } => device.clone(),
            Backing::Folder | Backing::Tmpfs { .. } => self.mountpoint(),
        };
        Root::open(at).map_err(|source| self.failed(source))
    }

    fn failed(&self, source: TreeError) -> VolumeError {
        VolumeError::Contents { name: self.record.name.clone(), source }
    }

    fn save(&self) -> Result<(), VolumeError> {
        let path = self.folder.join(RECORD);
        let bytes = serde_json::to_vec(&self.record)
            .map_err(|error| FileError::new("write", &path, std::io::Error::from(error)))?;
        Ok(atomic::write_durable(&path, &bytes)?)
    }
}

fn checked(name: &str) -> Result<&str, VolumeError> {
    if name::valid(name) { Ok(name) } else { Err(VolumeError::BadName(name.to_owned())) }
}

/// Makes the folder of the contents, or takes the one that a kill left.
fn make_data(data: &Path, uid: Option<u32>, gid: Option<u32>) -> Result<(), FileError> {
    use std::os::unix::fs::PermissionsExt as _;
    let failed = |error| FileError::new("create the directory", data, error);
    match std::fs::create_dir(data) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => return Err(failed(error)),
        _ => {}
    }
    // Whatever the user's shell masks.
    std::fs::set_permissions(data, std::fs::Permissions::from_mode(0o755)).map_err(failed)?;
    if uid.is_some() || gid.is_some() {
        std::os::unix::fs::lchown(data, uid, gid)
            .map_err(|error| FileError::new("change the owner of", data, error))?;
    }
    Ok(())
}

/// The lock, if it is there and free.
fn try_lock(path: &Path) -> Result<Option<Lock>, FileError> {
    match Lock::try_acquire(path, Mode::Exclusive) {
        Err(error) if error.is_missing() || error.is_below_a_file() => Ok(None),
        other => other,
    }
}
