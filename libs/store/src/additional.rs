//! Additional stores: other stores of ours whose images are listed and run from where they are, and never changed.
//!
//! # Theory of operation
//! Whatever is read (names, images, indexes, trees, blobs) is looked for in our own store first, then in the additional
//! ones in their order; whatever is written goes to our own. Their trees are stacked below containers as ours are. Where
//! something has to be made for such an image (a tree for other ids, a name), its documents, which are small, are first
//! taken over into our own store ([`Session::adopt`]); layers are unpacked anew only if no tree there fits our ids.
//!
//! No lock is taken there, for none can be on a medium that is read-only: who removes something from a store that others
//! use as an additional one takes it from under them, as with podman.
//!
//! # Invariants
//! - Nothing is written below the path of an additional store, and gc looks at our own store alone.
//! - A store of another format (podman's) is named as such, never guessed at.

use std::path::{Path, PathBuf};

use ctr_core::file::FileError;
use ctr_core::limits;

use crate::refs::Target;
use crate::session::{NewImage, Session};
use crate::{Access, ImageId, Layout, OpenError, ResolveError, Store, exists};

/// Our own folder in one that `storage.conf` shares with podman.
const OURS: &str = "ctr";

/// What there is at the path of an additional store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// A store of ours, there.
    Store(PathBuf),
    /// One of podman's.
    Podmans,
    /// A folder that is no store yet.
    Nothing,
}

/// What was named as an additional store is none.
#[derive(Debug, thiserror::Error)]
pub enum AdditionalError {
    /// It is not there, or cannot be looked at.
    #[error("cannot use the additional image store {}", path.display())]
    Unusable {
        /// The path.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A path that means another folder to each command.
    #[error("cannot use the additional image store {:?}: the path is not absolute", .0)]
    Relative(PathBuf),
    /// It is one of podman's.
    #[error(
        "cannot use the additional image store {}: it is one of podman's (containers/storage), which only podman reads",
        .0.display()
    )]
    Podmans(PathBuf),
}

/// Looks what there is at the path of an additional store.
///
/// # Errors
/// There is no folder, or it cannot be looked at.
pub fn find(path: &Path) -> Result<Found, AdditionalError> {
    if !path.is_absolute() {
        return Err(AdditionalError::Relative(path.to_owned()));
    }
    let failed = |source| AdditionalError::Unusable { path: path.to_owned(), source };
    if !std::fs::metadata(path).map_err(failed)?.is_dir() {
        return Err(failed(rustix::io::Errno::NOTDIR.into()));
    }
    for store in [path.to_owned(), path.join(OURS)] {
        if store.join("version").try_exists().map_err(failed)? {
            return Ok(Found::Store(store));
        }
    }
    for driver in ["overlay", "vfs", "btrfs", "zfs"] {
        if path.join(format!("{driver}-images/images.json")).try_exists().map_err(failed)? {
            return Ok(Found::Podmans);
        }
    }
    Ok(Found::Nothing)
}

impl Store {
    /// Opens a store to read from it, without a lock and without a word written.
    ///
    /// # Errors
    /// There is none, or a newer version wrote it.
    pub fn open_read_only(layout: Layout) -> Result<Self, OpenError> {
        layout.judge_version()?;
        Ok(Self { layout, access: Access::ReadOnly, additional: Vec::new() })
    }

    /// The additional stores.
    #[must_use]
    pub fn additional(&self) -> &[Self] {
        &self.additional
    }

    /// This store, then the additional ones.
    pub fn all(&self) -> impl Iterator<Item = &Self> {
        std::iter::once(self).chain(&self.additional)
    }

    /// Whether something is in this store itself, where it can be named and removed.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn owns(&self, target: &Target) -> Result<bool, FileError> {
        match target {
            Target::Image { id, .. } => exists(&self.image_path(*id)),
            Target::Index { digest } => exists(&self.index_path(digest)),
        }
    }

    /// Where an image is read from.
    pub(crate) fn image_home(&self, id: ImageId) -> PathBuf {
        let own = self.image_path(id);
        if self.additional.is_empty() || own.is_dir() {
            return own;
        }
        let there = self.additional.iter().map(|store| store.image_path(id)).find(|path| path.is_dir());
        there.unwrap_or(own)
    }

    /// Asks this store, then the additional ones, until one has it.
    pub(crate) fn first<T, E>(&self, ask: impl Fn(&Self) -> Result<Option<T>, E>) -> Result<Option<T>, E> {
        for store in self.all() {
            if let Some(found) = ask(store)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }
}

impl Session {
    /// Takes the documents of what an additional store has over into ours, where they last as long as this session or as
    /// something names them. Its layers stay where they are.
    ///
    /// # Errors
    /// Something cannot be read or written.
    pub fn adopt(&self, target: &Target) -> Result<(), ResolveError> {
        self.adopt_below(target, 0)
    }

    fn adopt_below(&self, target: &Target, depth: usize) -> Result<(), ResolveError> {
        let store = self.store();
        match *target {
            Target::Image { id, .. } => self.adopt_image(id),
            Target::Index { digest } => {
                let stored = store.index(&digest)?;
                let here: Vec<_> = stored.index.manifests.iter().map(|entry| entry.digest).collect();
                let here = here.into_iter().filter_map(|digest| {
                    stored.here.get(&digest.to_string()).map(|target| (digest, *target))
                });
                let here: Vec<_> = here.collect();
                for (_, target) in &here {
                    if depth < limits::INDEX_DEPTH {
                        self.adopt_below(target, depth + 1)?;
                    }
                }
                Ok(self.publish_index(&stored.bytes, digest, &here)?)
            }
        }
    }

    fn adopt_image(&self, id: ImageId) -> Result<(), ResolveError> {
        let store = self.store();
        if self.pin_image(id)? {
            return Ok(());
        }
        let image = store.image(id)?;
        let config = store.config_bytes(id)?;
        let others = store.manifests(id)?;
        // The first is the one that the image goes by.
        let others = others.into_iter().filter(|digest| *digest != image.manifest);
        for digest in std::iter::once(image.manifest).chain(others) {
            let manifest = store.manifest_bytes(id, digest)?;
            let new = NewImage { manifest: &manifest, digest, config: &config, size: image.size };
            let _published = self.publish_image(&new)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
