//! The store: everything of images, layers and containers that outlives a command.
//!
//! # Layout
//! ```text
//! DATA/version                         format and features; written last when a store is made
//!      refs/<escaped name>             a name → an image and its manifest, or an index
//!      images/<id>/plan.json           what a run needs of the image, in one read
//!                 /config, manifest-*  raw bytes: the truth
//!                 /names.json          names that it had
//!                 /kept                it is wanted without a name
//!                 /trees/<key>/        the topmost and the bottom lower directory of that image under that map
//!      indexes/<digest>                raw bytes
//!      blobs/<digest>/{data,meta.json,synced}
//!      layers/<diff id>/<key>/{fs/,tree.json,synced}
//!      containers/                     records of containers that persist (JSON of the pods crate)
//!      volumes/<name>/{lock,volume.json,_data/}
//!      partial/<session>/              what is being made; its directory is locked as long as it is
//!      partial/<algorithm>-<digits>/   what has arrived of a blob, locked by who adds to it
//!      trash/                          what is being deleted
//!      users/                          whose containers stand on it, if others' do
//! RUN/locks/gc                         shared by whoever names objects, exclusive for mark and sweep
//!     containers/, transient/          records of containers of this boot
//! ```
//!
//! # Theory of operation
//! Plain files that are renamed into place; what no name, mark, container's record or live session leads to is
//! garbage by definition. A new image counts once it has a name: until then a crash leaves nothing to look at. An object becomes visible with one rename of its directory, which holds a note of the
//! boot it happened in. Trees and blobs are flushed later, all at once ([`Store::settle`]); until then they are
//! trusted in the boot that wrote them and in no other. The rest is flushed when written.
//!
//! Whoever makes objects holds a [`session::Session`]: a locked directory under `partial/` with the staged things
//! and with *pins*, names of objects that it means to use. gc keeps what a live session pins. See [`gc`].
//!
//! # Invariants
//! - No lock is held across slow work. The gc lock is exclusive only while names are read and renamed.
//! - Readers never write, and need no lock unless what they found must not go before they named it
//!   ([`Store::reading`]).
//! - One broken object harms only what needs it.
//!
//! # Process context
//! Any process in U can read, stage and publish. Contents of trees belong to mapped ids: they are written and
//! deleted in A ([`unpack`], [`gc::empty_trash`]).
#![forbid(unsafe_code)]

pub mod additional;
pub mod apply;
pub mod archive;
pub mod assembly;
pub mod blob;
pub mod commit;
pub mod compression;
pub mod container;
pub mod copy;
pub mod diff;
pub mod gc;
pub mod image;
pub mod image_store;
pub mod import;
pub mod index;
pub mod ingest;
pub mod layer;
mod layout;
pub mod load;
pub mod overlay;
pub mod partial;
pub mod refs;
pub mod remove;
pub mod resolve;
pub mod session;
mod settle;
pub mod tar;
pub mod transfer;
pub mod transport;
pub mod volume;
pub mod worker;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use ctr_core::file::FileError;
use ctr_core::lock::{Lock, Mode, Waiting};

pub use image::{Image, ImageId};
pub use layout::{Driver, Layout, OpenError, TRANSIENT};
pub use resolve::ResolveError;

/// A store that is open.
#[derive(Debug, Clone)]
pub struct Store {
    layout: Layout,
    access: Access,
    additional: Vec<Self>,
}

/// What may be done to a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// All of it.
    ReadWrite,
    /// It has features that we can read and must not write.
    ReadOnly,
}

/// A change to the store failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A file of the store.
    #[error(transparent)]
    File(#[from] FileError),
    /// The store was written by a newer program.
    #[error("the store {} has features that this version can only read", path.display())]
    ReadOnly {
        /// The store.
        path: PathBuf,
    },
    /// A record of ours holds something else than it should.
    #[error("the record {} is damaged", path.display())]
    Record {
        /// The record.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl Store {
    /// Opens the store, making it when there is none.
    pub fn open(layout: &Layout) -> Result<Self, OpenError> {
        let access = layout.open()?;
        let additional = layout
            .additional
            .iter()
            .map(|data| Self::open_read_only(Layout::new(data.clone(), layout.run.clone(), layout.driver)));
        let additional = additional.collect::<Result<_, _>>()?;
        Ok(Self { layout: layout.clone(), access, additional })
    }

    /// Returns where things are.
    #[must_use]
    pub const fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Returns what may be done.
    #[must_use]
    pub const fn access(&self) -> Access {
        self.access
    }

    /// Keeps gc from taking anything until the guard is dropped: hold it from [`Store::resolve`] until a record
    /// that names what was found is written, and not longer.
    pub fn reading(&self, on_wait: &mut dyn FnMut(&Waiting)) -> Result<Lock, FileError> {
        Lock::acquire(&self.layout.gc_lock(), Mode::Shared, on_wait)
    }

    /// As [`Store::reading`], where nobody is there to hear about a wait.
    pub(crate) fn naming(&self) -> Result<Lock, FileError> {
        self.reading(&mut |_| {})
    }

    pub(crate) fn alone(&self, on_wait: &mut dyn FnMut(&Waiting)) -> Result<Lock, FileError> {
        Lock::acquire(&self.layout.gc_lock(), Mode::Exclusive, on_wait)
    }

    pub(crate) fn writable(&self) -> Result<(), StoreError> {
        match self.access {
            Access::ReadWrite => Ok(()),
            Access::ReadOnly => Err(StoreError::ReadOnly { path: self.layout.data.clone() }),
        }
    }
}

/// Returns whether there is something at a path. An error of the disk is not an answer.
pub(crate) fn exists(path: &Path) -> Result<bool, FileError> {
    path.try_exists().map_err(|error| FileError::new("inspect", path, error))
}

/// Returns the names in a directory, temporaries left out; a directory that is not there is empty.
pub(crate) fn names_in(path: &Path) -> Result<Vec<String>, FileError> {
    let entries = match std::fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(FileError::new("list", path, error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry.map_err(|error| FileError::new("list", path, error))?.file_name();
        // What is not UTF-8 is not ours.
        let Ok(name) = name.into_string() else { continue };
        if !name.starts_with(ctr_core::atomic::TEMPORARY_PREFIX) {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(names)
}
