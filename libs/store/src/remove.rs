//! Taking images away: names first, the image with its last name.
//!
//! The gc lock is held exclusively while an image is looked at and renamed into the trash, so that no container can be
//! made from it in between. What it leaves (layers, blobs) is garbage for the next sweep.

use std::path::PathBuf;

use ctr_core::Reference;
use ctr_core::lock::Waiting;

use crate::container::Claim;
use crate::refs::Target;
use crate::resolve::{Lookup, ResolveError};
use crate::{ImageId, Store, StoreError};

/// What was taken away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Removed {
    /// A name.
    Name(Reference),
    /// An image.
    Image(ImageId),
    /// An index.
    Index(ctr_core::Digest),
}

/// An image cannot be taken away.
#[derive(Debug, thiserror::Error)]
pub enum RemoveError {
    /// It is not there.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// Containers were made from it.
    #[error("the image {} is used by the container {}", image.short(), containers.first().map_or("", |claim| claim.id.as_str()))]
    InUse {
        /// The image.
        image: ImageId,
        /// The containers.
        containers: Vec<Claim>,
    },
    /// It was named by its id and has several names.
    #[error("the image {} has {} names", image.short(), names.len())]
    SeveralNames {
        /// The image.
        image: ImageId,
        /// Its names.
        names: Vec<Reference>,
    },
    /// It is in an additional store.
    #[error("cannot remove read-only image {id:?}")]
    ReadOnly {
        /// Its identity.
        id: String,
    },
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<ctr_core::FileError> for RemoveError {
    fn from(error: ctr_core::FileError) -> Self {
        Self::Store(error.into())
    }
}

impl Store {
    /// Takes away what `text` names: a name if there are others, else the image too. With `force`, an image that was
    /// named by its id goes with all its names. Containers always keep their image.
    pub fn remove(
        &self,
        text: &str,
        force: bool,
        on_wait: &mut dyn FnMut(&Waiting),
    ) -> Result<Vec<Removed>, RemoveError> {
        self.writable()?;
        let _alone = self.alone(on_wait)?;
        let found = match self.own_lookup(text) {
            Err(error) if error.is_unknown() => return Err(self.why_not(text, error)),
            found => found?,
        };
        match found.target {
            Target::Image { id, .. } => self.remove_image(id, &found, force),
            Target::Index { digest } => self.remove_index(digest, &found),
        }
    }

    /// What an additional store has is there, and stays.
    fn why_not(&self, text: &str, unknown: ResolveError) -> RemoveError {
        match self.lookup(text).map(|found| found.target) {
            Ok(Target::Image { id, .. }) => RemoveError::ReadOnly { id: id.to_string() },
            Ok(Target::Index { digest }) => RemoveError::ReadOnly { id: digest.hex() },
            Err(_) => unknown.into(),
        }
    }

    fn remove_image(&self, id: ImageId, found: &Lookup, force: bool) -> Result<Vec<Removed>, RemoveError> {
        let names: Vec<_> = self.names()?.of(id).map(|named| named.name.clone()).collect();
        let by_name = found.name.as_ref().filter(|name| names.contains(name));
        if let Some(name) = by_name
            && names.len() > 1
        {
            self.forget(name)?;
            self.remember_names(id)?;
            return Ok(vec![Removed::Name(name.clone())]);
        }
        if by_name.is_none() && names.len() > 1 && !force {
            return Err(RemoveError::SeveralNames { image: id, names });
        }
        self.must_be_unused(id)?;
        // This is the removal. Names that lead nowhere are none.
        self.discard(&self.image_path(id))?;
        let mut removed = Vec::new();
        for name in names {
            self.forget(&name)?;
            removed.push(Removed::Name(name));
        }
        removed.push(Removed::Image(id));
        Ok(removed)
    }

    /// Takes an index away with the images that only it holds and no container uses.
    fn remove_index(&self, digest: ctr_core::Digest, found: &Lookup) -> Result<Vec<Removed>, RemoveError> {
        let mut removed = Vec::new();
        let names = self.names()?;
        let all: Vec<_> = names.good.iter().filter(|named| named.target == found.target).collect();
        let this = found.name.as_ref().filter(|name| all.iter().any(|named| named.name == **name));
        if let Some(name) = this
            && all.len() > 1
        {
            self.forget(name)?;
            return Ok(vec![Removed::Name(name.clone())]);
        }
        let here = self.index(&digest).map(|stored| stored.here).unwrap_or_default();
        let images: Vec<_> = here
            .values()
            .filter_map(|target| match target {
                Target::Image { id, .. }
                    if names.of(*id).next().is_none() && !self.kept_path(*target).exists() =>
                {
                    Some(*id)
                }
                _ => None,
            })
            .filter(|id| !self.is_in_another_index(*id, digest))
            .collect();
        for id in &images {
            self.must_be_unused(*id)?;
        }
        // This is the removal: images that only the index held are garbage from here on.
        self.discard(&self.index_path(&digest))?;
        for named in all {
            self.forget(&named.name)?;
            removed.push(Removed::Name(named.name.clone()));
        }
        removed.push(Removed::Index(digest));
        for id in images {
            self.discard(&self.image_path(id))?;
            removed.push(Removed::Image(id));
        }
        Ok(removed)
    }

    fn is_in_another_index(&self, id: ImageId, but: ctr_core::Digest) -> bool {
        self.index_holders(id).is_ok_and(|holders| holders.iter().any(|digest| *digest != but))
    }

    fn must_be_unused(&self, id: ImageId) -> Result<(), RemoveError> {
        let containers = self.users_of(id)?;
        if containers.is_empty() { Ok(()) } else { Err(RemoveError::InUse { image: id, containers }) }
    }

    /// Returns whether anything waits in the trash.
    #[must_use]
    pub fn has_trash(&self) -> bool {
        let is_filled =
            |trash: PathBuf| std::fs::read_dir(trash).is_ok_and(|mut entries| entries.next().is_some());
        is_filled(self.layout().trash())
            || is_filled(self.layout().own_trash())
            || self.layout().volume_trash().is_some_and(is_filled)
    }
}
