//! Names: each is a small file that leads to an image or to an index.
//!
//! # Layout
//! The file is named like the reference, with `+` for `/`; names too long for a file are named by their digest.
//! What the file says is the truth: a file whose content names something else is damaged.

use std::path::PathBuf;

use ctr_core::atomic;
use ctr_core::file;
use ctr_core::limits;
use ctr_core::{Digest, Reference};
use serde::{Deserialize, Serialize};

use crate::image::ImageId;
use crate::{Store, StoreError, names_in};

/// The longest name of a file that is still spelled out.
const SPELLED: usize = 200;

/// What a name leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Target {
    /// One image, by one of its manifests.
    Image {
        /// The image.
        id: ImageId,
        /// The manifest that the name was given to.
        manifest: Digest,
    },
    /// An index of several.
    Index {
        /// The digest of the index.
        digest: Digest,
    },
}

impl Target {
    /// The digest of the document that the name was given to.
    #[must_use]
    pub const fn digest(&self) -> Digest {
        match self {
            Self::Image { manifest, .. } => *manifest,
            Self::Index { digest } => *digest,
        }
    }
}

/// A name and what it leads to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Named {
    /// The name: with a domain and a tag, or with a digest.
    pub name: Reference,
    /// What it leads to.
    pub target: Target,
}

/// A name that cannot be read.
#[derive(Debug)]
pub struct DamagedRef {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub error: StoreError,
}

/// All names of a store.
#[derive(Debug, Default)]
pub struct Names {
    /// Those that can be read, in the order of their files.
    pub good: Vec<Named>,
    /// Those that cannot.
    pub damaged: Vec<DamagedRef>,
}

impl Names {
    /// The names of an image, by the image itself or by the digest of an index that holds it.
    pub fn of(&self, id: ImageId) -> impl Iterator<Item = &Named> {
        self.good.iter().filter(move |named| matches!(named.target, Target::Image { id: it, .. } if it == id))
    }
}

fn file_name(name: &Reference) -> String {
    let escaped = name.to_string().replace('/', "+");
    if escaped.len() <= SPELLED { escaped } else { format!("~{}", Digest::of(escaped.as_bytes()).hex()) }
}

impl Store {
    fn ref_path(&self, name: &Reference) -> PathBuf {
        self.layout().refs().join(file_name(name))
    }

    /// Returns what a name leads to, if it exists.
    pub fn target(&self, name: &Reference) -> Result<Option<Target>, StoreError> {
        let path = self.ref_path(name);
        match read(path) {
            Ok(named) => Ok((named.name == *name).then_some(named.target)),
            Err(StoreError::File(error)) if error.is_missing() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Returns all names.
    pub fn names(&self) -> Result<Names, StoreError> {
        let folder = self.layout().refs();
        let mut names = Names::default();
        for entry in names_in(&folder)? {
            let path = folder.join(entry);
            match read(path.clone()) {
                Ok(named) => names.good.push(named),
                // Removed between the listing and the read.
                Err(StoreError::File(error)) if error.is_missing() => {}
                Err(error) => names.damaged.push(DamagedRef { path, error }),
            }
        }
        Ok(names)
    }

    /// Gives a name to an image or index, taking it from whatever had it.
    ///
    /// The caller keeps the target alive: by a session's pin, or by holding [`Store::reading`] since it looked.
    pub fn tag(&self, name: &Reference, target: Target) -> Result<(), StoreError> {
        self.writable()?;
        let path = self.ref_path(name);
        let named = Named { name: name.clone(), target };
        let bytes = serde_json::to_vec(&named).map_err(|error| damaged(path.clone(), error))?;
        atomic::write_durable(&path, &bytes)?;
        if let Target::Image { id, .. } = target {
            self.remember_name(id, name)?;
        }
        Ok(())
    }

    /// Takes a name away; returns whether there was one.
    pub fn untag(&self, name: &Reference) -> Result<bool, StoreError> {
        self.writable()?;
        let path = self.ref_path(name);
        match std::fs::remove_file(&path) {
            Ok(()) => {
                atomic::sync_directory(&self.layout().refs())?;
                Ok(true)
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(file::FileError::new("remove the name", path, error).into()),
        }
    }
}

fn read(path: PathBuf) -> Result<Named, StoreError> {
    let bytes = file::read(&path, limits::ARCHIVE_NOTE)?;
    let named: Named = serde_json::from_slice(&bytes).map_err(|error| damaged(path.clone(), error))?;
    let expected = file_name(&named.name);
    if path.file_name().is_some_and(|found| *found == *expected) {
        Ok(named)
    } else {
        Err(damaged(path, "it names something else"))
    }
}

pub(crate) fn damaged(
    path: PathBuf,
    source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> StoreError {
    StoreError::Record { path, source: source.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Driver, Layout};

    fn store(home: &tempfile::TempDir) -> Store {
        let (data, run) = (home.path().join("data"), home.path().join("run"));
        Store::open(&Layout { data, run, driver: Driver::Overlay }).unwrap()
    }

    #[test]
    fn names_come_and_go() {
        let home = tempfile::tempdir().unwrap();
        let store = store(&home);
        let name = Reference::parse_local("quay.io/a/b:c").unwrap();
        let target = Target::Index { digest: Digest::of(b"x") };
        assert_eq!(store.target(&name).unwrap(), None);
        store.tag(&name, target).unwrap();
        assert_eq!(store.target(&name).unwrap(), Some(target));
        assert!(home.path().join("data/refs/quay.io+a+b:c").exists());
        assert_eq!(store.names().unwrap().good, [Named { name: name.clone(), target }]);
        assert!(store.untag(&name).unwrap());
        assert!(!store.untag(&name).unwrap());
    }

    #[test]
    fn long_names_have_a_file_too() {
        let home = tempfile::tempdir().unwrap();
        let store = store(&home);
        let name = Reference::parse_local(&format!("quay.io/{}:{}", "a/".repeat(110) + "a", "t".repeat(128)))
            .unwrap();
        let target = Target::Index { digest: Digest::of(b"x") };
        store.tag(&name, target).unwrap();
        assert_eq!(store.target(&name).unwrap(), Some(target));
        assert_eq!(store.names().unwrap().good.len(), 1);
    }

    #[test]
    fn a_damaged_name_harms_no_other() {
        let home = tempfile::tempdir().unwrap();
        let store = store(&home);
        let name = Reference::parse_local("good").unwrap();
        store.tag(&name, Target::Index { digest: Digest::of(b"x") }).unwrap();
        let refs = home.path().join("data/refs");
        std::fs::write(refs.join("bad:latest"), "{").unwrap();
        std::fs::copy(refs.join("localhost+good:latest"), refs.join("other")).unwrap();
        let names = store.names().unwrap();
        assert_eq!((names.good.len(), names.damaged.len()), (1, 2));
    }
}
