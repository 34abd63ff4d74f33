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
use crate::{Store, StoreError, exists, names_in};

/// The longest name of a file that is still spelled out.
const SPELLED: usize = 200;

/// The mark of [`Store::keep`].
const KEPT: &str = "kept";

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
    /// Whether it is the same image, by whatever manifest, or the same index.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Image { id, .. }, Self::Image { id: other, .. }) => id == other,
            (one, other) => one == other,
        }
    }

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
    /// Files of names whose image or index is gone: they name nothing.
    pub(crate) void: Vec<PathBuf>,
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

    /// An image or index goes with one rename; names that still lead to it are the remains of its removal.
    fn is_there(&self, target: &Target) -> Result<bool, StoreError> {
        Ok(match target {
            Target::Image { id, .. } => exists(&self.image_path(*id))?,
            Target::Index { digest } => exists(&self.index_path(digest))?,
        })
    }

    /// Returns what a name leads to, if it exists.
    pub fn target(&self, name: &Reference) -> Result<Option<Target>, StoreError> {
        let path = self.ref_path(name);
        match read(path) {
            Ok(named) => Ok((named.name == *name && self.is_there(&named.target)?).then_some(named.target)),
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
                Ok(named) if self.is_there(&named.target)? => names.good.push(named),
                Ok(_) => names.void.push(path),
                // Removed between the listing and the read.
                Err(StoreError::File(error)) if error.is_missing() => {}
                Err(error) => names.damaged.push(DamagedRef { path, error }),
            }
        }
        Ok(names)
    }

    /// The names of this store and of the additional ones.
    pub fn names_of_all(&self) -> Result<Names, StoreError> {
        let mut names = self.names()?;
        for store in self.additional() {
            let there = store.names()?.good;
            let new: Vec<_> = there
                .into_iter()
                .filter(|named| names.good.iter().all(|known| known.name != named.name))
                .collect();
            names.good.extend(new);
        }
        Ok(names)
    }

    /// Whether there is such a name, which may be damaged: one call, where reading it takes five.
    #[must_use]
    pub fn has_name(&self, name: &Reference) -> bool {
        self.ref_path(name).exists()
    }

    /// Gives a name to an image or index, taking it from whatever had it, which is kept.
    ///
    /// The caller keeps the target alive: by a session's pin, or by holding [`Store::reading`] since it looked.
    pub fn tag(&self, name: &Reference, target: Target) -> Result<(), StoreError> {
        self.writable()?;
        let path = self.ref_path(name);
        let named = Named { name: name.clone(), target };
        let bytes = serde_json::to_vec(&named).map_err(|error| damaged(path.clone(), error))?;
        if let Target::Image { id, .. } = target {
            self.remember_name(id, name)?;
        }
        // A name that cannot be read names nothing that could be kept.
        if let Ok(Some(before)) = self.target(name)
            && !before.is_same(&target)
        {
            self.keep(before)?;
        }
        Ok(atomic::write_durable(&path, &bytes)?)
    }

    /// Takes a name away; returns whether there was one. What it named is kept, be it the last name or not.
    pub fn untag(&self, name: &Reference) -> Result<bool, StoreError> {
        self.writable()?;
        let target = self.target(name)?;
        if let Some(target) = target {
            self.keep(target)?;
        }
        let is_gone = self.forget(name)?;
        if let (true, Some(Target::Image { id, .. })) = (is_gone, target) {
            self.remember_names(id)?;
        }
        Ok(is_gone)
    }

    /// Puts the names that an image has first among those that it had: one of them has gone.
    pub(crate) fn remember_names(&self, id: crate::ImageId) -> Result<(), StoreError> {
        for named in self.names()?.of(id) {
            self.remember_name(id, &named.name)?;
        }
        Ok(())
    }

    /// Takes a name away from something that needs none any more, or has others.
    pub(crate) fn forget(&self, name: &Reference) -> Result<bool, StoreError> {
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

    /// Marks something as wanted without a name. Without this mark, what has no name is garbage: the remains of a
    /// process that died before it could give one.
    pub fn keep(&self, target: Target) -> Result<(), StoreError> {
        let path = self.kept_path(target);
        match atomic::write_durable(&path, b"") {
            // It went meanwhile, and so did the wish.
            Err(error) if error.is_missing() => Ok(()),
            other => Ok(other?),
        }
    }

    pub(crate) fn kept_path(&self, target: Target) -> PathBuf {
        match target {
            Target::Image { id, .. } => self.image_path(id).join(KEPT),
            Target::Index { digest } => self.index_path(&digest).join(KEPT),
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

    fn index(store: &Store) -> Target {
        let digest = Digest::of(b"x");
        std::fs::create_dir(store.index_path(&digest)).unwrap();
        Target::Index { digest }
    }

    fn store(home: &tempfile::TempDir) -> Store {
        let (data, run) = (home.path().join("data"), home.path().join("run"));
        Store::open(&Layout::new(data, run, Driver::Overlay)).unwrap()
    }

    #[test]
    fn names_come_and_go() {
        let home = tempfile::tempdir().unwrap();
        let store = store(&home);
        let name = Reference::parse_local("quay.io/a/b:c").unwrap();
        let target = index(&store);
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
        let target = index(&store);
        store.tag(&name, target).unwrap();
        assert_eq!(store.target(&name).unwrap(), Some(target));
        assert_eq!(store.names().unwrap().good.len(), 1);
    }

    #[test]
    fn a_damaged_name_harms_no_other() {
        let home = tempfile::tempdir().unwrap();
        let store = store(&home);
        let name = Reference::parse_local("good").unwrap();
        store.tag(&name, index(&store)).unwrap();
        let refs = home.path().join("data/refs");
        std::fs::write(refs.join("bad:latest"), "{").unwrap();
        std::fs::copy(refs.join("localhost+good:latest"), refs.join("other")).unwrap();
        let names = store.names().unwrap();
        assert_eq!((names.good.len(), names.damaged.len()), (1, 2));
    }
}
