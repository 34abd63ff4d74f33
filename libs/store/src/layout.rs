//! Where the parts of a store are, and which versions of it can be opened.
//!
//! # Layout
//! `version` holds a format number and three lists of features. A format or an *incompat* feature that is not
//! known here forbids any use, an unknown *ro_compat* feature forbids writing, *compat* ones are notes.

use std::path::{Path, PathBuf};

use ctr_core::atomic;
use ctr_core::file::{self, FileError};
use ctr_core::limits;
use ctr_core::paths::Dirs;
use serde::{Deserialize, Serialize};

use crate::Access;
use crate::volume::{PlaceError, VolumePath};

/// The format that this program writes.
const FORMAT: u32 = 1;
/// The folder in the run directory with the records of containers that are kept until the next boot.
pub const TRANSIENT: &str = "transient";
/// Features that it can write.
const RO_COMPAT: &[&str] = &[];
/// Features that it can read.
const INCOMPAT: &[&str] = &[];

/// How the root of a container is put together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Driver {
    /// Overlay where the kernel mounts one, else copies.
    #[default]
    Overlay,
    /// Copies always.
    Vfs,
}

/// The directories of one store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// What persists.
    pub data: PathBuf,
    /// What is void after a boot.
    pub run: PathBuf,
    /// How roots are put together.
    pub driver: Driver,
    /// Where images are, if not in `data` and `run`: [`crate::image_store`].
    pub image_store: Option<Dirs>,
    /// Where volumes are to lie, if not in `data`: what the first one decides.
    pub volume_path: Option<VolumePath>,
    /// Stores whose images are used where they are: [`crate::additional`].
    pub additional: Vec<PathBuf>,
    /// Records of new containers go to `run`.
    pub transient: bool,
}

/// A store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A file of it.
    #[error(transparent)]
    File(#[from] FileError),
    /// It has a format or features that came after this program.
    #[error(
        "the store {} was written by a newer version ({what}); nothing in it was changed",
        path.display()
    )]
    Newer {
        /// The store.
        path: PathBuf,
        /// What is new in it.
        what: String,
    },
    /// The version file holds something else.
    #[error("the version file of the store {} is damaged", path.display())]
    Version {
        /// The store.
        path: PathBuf,
        /// Why it was not understood.
        #[source]
        source: serde_json::Error,
    },
    /// Its volumes cannot lie where they are to.
    #[error(transparent)]
    Volumes(#[from] PlaceError),
}

#[derive(Debug, Serialize, Deserialize)]
struct Version {
    format: u32,
    #[serde(default)]
    compat: Vec<String>,
    #[serde(default)]
    ro_compat: Vec<String>,
    #[serde(default)]
    incompat: Vec<String>,
}

impl Layout {
    /// A store that has everything in its own directories.
    #[must_use]
    pub const fn new(data: PathBuf, run: PathBuf, driver: Driver) -> Self {
        Self {
            data,
            run,
            driver,
            image_store: None,
            volume_path: None,
            additional: Vec::new(),
            transient: false,
        }
    }

    /// Names of images and indexes.
    #[must_use]
    pub fn refs(&self) -> PathBuf {
        self.images_at().data.join("refs")
    }

    /// Images.
    #[must_use]
    pub fn images(&self) -> PathBuf {
        self.images_at().data.join("images")
    }

    /// Indexes.
    #[must_use]
    pub fn indexes(&self) -> PathBuf {
        self.images_at().data.join("indexes")
    }

    /// Layers as they came.
    #[must_use]
    pub fn blobs(&self) -> PathBuf {
        self.images_at().data.join("blobs")
    }

    /// Layers as trees.
    #[must_use]
    pub fn layers(&self) -> PathBuf {
        self.images_at().data.join("layers")
    }

    /// Records and writable layers of containers that persist.
    #[must_use]
    pub fn containers(&self) -> PathBuf {
        self.data.join("containers")
    }

    /// Records of containers of this boot.
    #[must_use]
    pub fn run_containers(&self) -> PathBuf {
        self.run.join("containers")
    }

    /// Records of containers that are kept until the next boot.
    #[must_use]
    pub fn transient_containers(&self) -> PathBuf {
        self.run.join(TRANSIENT)
    }

    /// What is being made.
    #[must_use]
    pub fn partial(&self) -> PathBuf {
        self.images_at().data.join("partial")
    }

    /// What is being deleted of images.
    #[must_use]
    pub fn trash(&self) -> PathBuf {
        self.images_at().data.join("trash")
    }

    /// All folders in which images are.
    #[must_use]
    pub(crate) fn image_folders(&self) -> [PathBuf; 7] {
        [
            self.refs(),
            self.images(),
            self.indexes(),
            self.blobs(),
            self.layers(),
            self.partial(),
            self.trash(),
        ]
    }

    /// What is being deleted of all else.
    #[must_use]
    pub(crate) fn own_trash(&self) -> PathBuf {
        self.data.join("trash")
    }

    /// A directory that is always empty; whoever stacks layers makes it.
    #[must_use]
    pub fn empty(&self) -> PathBuf {
        self.run.join("empty")
    }

    /// Locks.
    #[must_use]
    pub fn locks(&self) -> PathBuf {
        self.images_at().run.join("locks")
    }

    /// The lock of [`crate::Store::reading`] and of gc.
    #[must_use]
    pub fn gc_lock(&self) -> PathBuf {
        self.locks().join("gc")
    }

    pub(crate) fn open(&self) -> Result<Access, OpenError> {
        if self.image_store.is_none() {
            return self.open_own();
        }
        let images = self.of_images().open_own()?;
        let own = Self { image_store: None, ..self.clone() }.open_own()?;
        self.mark_as_user()?;
        Ok(if images == Access::ReadOnly { images } else { own })
    }

    /// Opens one that has its images itself.
    fn open_own(&self) -> Result<Access, OpenError> {
        let path = self.data.join("version");
        let access = match file::read(&path, limits::ARCHIVE_NOTE) {
            Ok(bytes) => self.judge(&bytes)?,
            Err(error) if error.is_missing() => {
                self.create(&path)?;
                Access::ReadWrite
            }
            Err(error) => return Err(error.into()),
        };
        // The run directory is gone after each boot, the data directory is not.
        if !self.locks().is_dir() {
            atomic::private_directory(&self.locks())?;
        }
        if access == Access::ReadWrite {
            self.settle_volume_path()?;
        }
        Ok(access)
    }

    /// Whether a store that is there can be read.
    pub(crate) fn judge_version(&self) -> Result<Access, OpenError> {
        self.judge(&file::read(&self.data.join("version"), limits::ARCHIVE_NOTE)?)
    }

    fn judge(&self, bytes: &[u8]) -> Result<Access, OpenError> {
        let version: Version = serde_json::from_slice(bytes)
            .map_err(|source| OpenError::Version { path: self.data.clone(), source })?;
        let newer = |what: String| OpenError::Newer { path: self.data.clone(), what };
        if version.format > FORMAT {
            return Err(newer(format!("format {}, where this program knows {FORMAT}", version.format)));
        }
        let unknown = |list: &[String], known: &[&str]| -> Vec<String> {
            list.iter().filter(|feature| !known.contains(&feature.as_str())).cloned().collect()
        };
        let fatal = unknown(&version.incompat, INCOMPAT);
        if !fatal.is_empty() {
            let names: Vec<_> =
                fatal.iter().map(|name| ctr_core::foreign::for_terminal(name.as_bytes())).collect();
            return Err(newer(format!("features {}", names.join(", "))));
        }
        let read_only = !unknown(&version.ro_compat, RO_COMPAT).is_empty();
        Ok(if read_only { Access::ReadOnly } else { Access::ReadWrite })
    }

    fn create(&self, version: &Path) -> Result<(), OpenError> {
        for part in self.image_folders().into_iter().chain([self.containers()]) {
            atomic::private_directory(&part)?;
        }
        let content =
            Version { format: FORMAT, compat: Vec::new(), ro_compat: Vec::new(), incompat: Vec::new() };
        let bytes = serde_json::to_vec(&content)
            .map_err(|source| OpenError::Version { path: self.data.clone(), source })?;
        // Two that make a store at the same time write the same bytes.
        atomic::write_durable(version, &bytes)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Store;

    fn layout(home: &Path) -> Layout {
        Layout::new(home.join("data"), home.join("run"), Driver::Overlay)
    }

    #[test]
    fn a_store_is_made_and_found_again() {
        let home = tempfile::tempdir().unwrap();
        let layout = layout(home.path());
        assert_eq!(Store::open(&layout).unwrap().access(), Access::ReadWrite);
        std::fs::remove_dir_all(&layout.run).unwrap();
        assert_eq!(Store::open(&layout).unwrap().access(), Access::ReadWrite, "after a boot");
    }

    #[test]
    fn newer_versions() {
        let home = tempfile::tempdir().unwrap();
        let layout = layout(home.path());
        Store::open(&layout).unwrap();
        let write = |text: &str| std::fs::write(layout.data.join("version"), text).unwrap();
        write(r#"{"format":1,"compat":["note"],"ro_compat":[],"incompat":[]}"#);
        assert_eq!(Store::open(&layout).unwrap().access(), Access::ReadWrite);
        write(r#"{"format":1,"ro_compat":["journal"]}"#);
        let store = Store::open(&layout).unwrap();
        assert!(store.writable().is_err());
        write(r#"{"format":1,"incompat":["squash"]}"#);
        let text = Store::open(&layout).unwrap_err().to_string();
        assert!(text.contains("newer version (features squash)"), "{text}");
        write(r#"{"format":2}"#);
        assert!(matches!(Store::open(&layout), Err(OpenError::Newer { .. })));
        write("");
        assert!(matches!(Store::open(&layout), Err(OpenError::Version { .. })));
    }
}
