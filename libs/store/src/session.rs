//! Makes objects: a locked directory for what is staged, and pins for what is meant to be used.
//!
//! # Theory of operation
//! ```text
//! begin    mkdir partial/<random>, flock it                    (gc lock shared)
//! pin      create partial/<random>/pins/<object>, look for it  (gc lock shared)
//! stage    mkdir partial/<random>/<n>, write at leisure        (no lock)
//! publish  rename partial/<random>/<n> → its place             (gc lock shared)
//! end      remove the directory; what is left in it goes to the trash
//! ```
//! gc runs with the lock exclusively: it sees a pin before it looks at the object, or the object goes before the
//! pin's maker looks for it. A session whose directory is not locked belongs to a process that ended.
//!
//! # Invariants
//! An object is published by one rename of a directory that holds all of it. Where another process was first, its
//! object stays and ours goes; where the one in place cannot be trusted, it goes and ours stays.
//!
//! # Failure
//! A process that dies leaves its directory unlocked. The next gc sweeps it.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use ctr_core::boot::boot_id;
use ctr_core::file::FileError;
use ctr_core::id::random_hex;
use ctr_core::lock::{Lock, Mode};
use ctr_core::oci::ImageConfig;
use ctr_core::{Digest, atomic};
use ctr_userns::map::Key;
use rustix::fs::{FlockOperation, flock};
use serde::Serialize;

use crate::blob::{self, Blob, BlobNote};
use crate::image::{Plan, manifest_name};
use crate::layer::{self, Tree, TreeNote};
use crate::refs::{Target, damaged};
use crate::{Image, ImageId, Store, StoreError};

/// The directory of the pins in that of their session.
pub(crate) const PINS: &str = "pins";

/// A process's right to make objects.
#[derive(Debug)]
pub struct Session {
    store: Store,
    path: PathBuf,
    /// Holds the lock on the directory.
    _lock: File,
    next: AtomicU64,
}

/// A directory to build an object in; what is not published goes with the session.
#[derive(Debug)]
pub struct Stage {
    path: PathBuf,
}

impl Stage {
    /// A directory that was made already.
    pub(crate) const fn at(path: PathBuf) -> Self {
        Self { path }
    }

    /// Returns the directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// What an image is made of.
#[derive(Debug, Clone, Copy)]
pub struct NewImage<'a> {
    /// The manifest, raw.
    pub manifest: &'a [u8],
    /// Its digest, of whatever algorithm the name had it.
    pub digest: Digest,
    /// The config, raw.
    pub config: &'a [u8],
    /// The bytes of its files.
    pub size: u64,
}

/// What a pin keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pin {
    Layer(Digest),
    Blob(Digest),
    Image(ImageId),
    Index(Digest),
}

impl Pin {
    fn file_name(self) -> String {
        match self {
            Self::Layer(digest) => format!("layer-{digest}"),
            Self::Blob(digest) => format!("blob-{digest}"),
            Self::Image(id) => format!("image-{id}"),
            Self::Index(digest) => format!("index-{digest}"),
        }
    }

    pub(crate) fn parse(name: &str) -> Option<Self> {
        let (kind, rest) = name.split_once('-')?;
        Some(match kind {
            "layer" => Self::Layer(Digest::parse(rest).ok()?),
            "blob" => Self::Blob(Digest::parse(rest).ok()?),
            "image" => Self::Image(ImageId::parse(rest).ok()?),
            "index" => Self::Index(Digest::parse(rest).ok()?),
            _ => return None,
        })
    }
}

impl Session {
    /// Begins a session.
    pub fn begin(store: &Store) -> Result<Self, StoreError> {
        store.writable()?;
        let random =
            random_hex(6).map_err(|error| FileError::new("create", store.layout().partial(), error))?;
        let path = store.layout().partial().join(random);
        let _guard = store.naming()?;
        atomic::private_directory(&path.join(PINS))?;
        let lock = File::open(&path).map_err(|error| FileError::new("open", &path, error))?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive)
            .map_err(|e| FileError::new("lock", &path, e))?;
        Ok(Self { store: store.clone(), path, _lock: lock, next: AtomicU64::new(0) })
    }

    /// Returns the store.
    #[must_use]
    pub const fn store(&self) -> &Store {
        &self.store
    }

    fn pin<T>(&self, pin: Pin, look: impl FnOnce(&Store) -> Result<T, FileError>) -> Result<T, StoreError> {
        let _guard = self.store.naming()?;
        let path = self.path.join(PINS).join(pin.file_name());
        File::create(&path).map_err(|error| FileError::new("create", path, error))?;
        Ok(look(&self.store)?)
    }

    /// Pins a layer and returns its tree under the map, if there is one.
    pub fn pin_tree(&self, layer: &Digest, key: Key) -> Result<Option<Tree>, StoreError> {
        self.pin(Pin::Layer(*layer), |store| store.tree(layer, key))
    }

    /// Pins a blob and returns it, if there is one.
    pub fn pin_blob(&self, digest: &Digest) -> Result<Option<Blob>, StoreError> {
        self.pin(Pin::Blob(*digest), |store| store.blob(digest))
    }

    /// Pins a layer and returns its tree in this store itself, as long as which the layer lasts.
    pub(crate) fn pin_own_tree(&self, layer: &Digest, key: Key) -> Result<Option<Tree>, StoreError> {
        self.pin(Pin::Layer(*layer), |store| store.own_tree(layer, key))
    }

    /// Pins a blob and returns it if this store itself has it.
    pub(crate) fn pin_own_blob(&self, digest: &Digest) -> Result<Option<Blob>, StoreError> {
        self.pin(Pin::Blob(*digest), |store| store.own_blob(digest))
    }

    /// Pins an image; tells whether this store itself has it.
    pub(crate) fn pin_image(&self, id: ImageId) -> Result<bool, StoreError> {
        self.pin(Pin::Image(id), |store| crate::exists(&store.image_path(id)))
    }

    /// Makes a directory to build an object in.
    pub fn stage(&self) -> Result<Stage, StoreError> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let path = self.path.join(number.to_string());
        atomic::private_directory(&path)?;
        Ok(Stage { path })
    }

    /// Publishes a staged `fs` as the tree of a layer under a map.
    pub fn publish_tree(
        &self,
        stage: &Stage,
        layer: &Digest,
        key: Key,
        size: u64,
        applied: serde_json::Value,
    ) -> Result<(), StoreError> {
        let note = TreeNote { boot_id: boot_id()?.clone(), size, applied, elsewhere: None };
        write_note(&stage.path.join(layer::NOTE), &note)?;
        let place = self.store.layer_path(layer).join(key.to_string());
        self.pin(Pin::Layer(*layer), |_| Ok(()))?;
        self.place(stage, &place, |store| Ok(store.own_tree(layer, key)?.is_some()))
    }

    /// Publishes a staged file `data` as a blob. The caller has verified its digest.
    pub fn publish_blob(
        &self,
        stage: &Stage,
        digest: &Digest,
        size: u64,
        diff_id: Digest,
        source: &str,
    ) -> Result<(), StoreError> {
        let note = BlobNote { boot_id: boot_id()?.clone(), size, diff_id, source: source.to_owned() };
        write_note(&stage.path.join(blob::NOTE), &note)?;
        let place = self.store.blob_path(digest);
        self.pin(Pin::Blob(*digest), |_| Ok(()))?;
        self.place(stage, &place, |store| Ok(store.own_blob(digest)?.is_some()))
    }

    /// Renames a staged directory to its place in that of an image, unless the image went meanwhile.
    pub(crate) fn place_in_image(
        &self,
        stage: &Stage,
        id: ImageId,
        place: &Path,
        trusted: impl Fn(&Store) -> Result<bool, FileError>,
    ) -> Result<(), StoreError> {
        let _guard = self.store.naming()?;
        let trees = self.store.image_path(id).join(crate::assembly::TREES);
        match std::fs::create_dir(&trees) {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
                return Err(FileError::new("create the directory", trees, error).into());
            }
            _ => {}
        }
        self.place(stage, place, trusted)
    }

    /// Renames a staged directory to its place, unless something that can be trusted is there already.
    fn place(
        &self,
        stage: &Stage,
        place: &Path,
        trusted: impl Fn(&Store) -> Result<bool, FileError>,
    ) -> Result<(), StoreError> {
        let _guard = self.store.naming()?;
        if let Some(parent) = place.parent() {
            atomic::private_directory(parent)?;
        }
        if rename_new(&stage.path, place)? {
            return Ok(());
        }
        let _one = self.object_lock(place)?;
        if trusted(&self.store)? {
            return Ok(());
        }
        self.store.discard(place)?;
        rename_new(&stage.path, place)?;
        Ok(())
    }

    /// The lock of one object, for the rare replacement of one that was lost with a boot.
    fn object_lock(&self, place: &Path) -> Result<Lock, StoreError> {
        let name = Digest::of(place.as_os_str().as_encoded_bytes()).short();
        let path = self.store.layout().locks().join(format!("object-{name}"));
        Ok(Lock::acquire(&path, Mode::Exclusive, &mut |_| {})?)
    }

    /// Publishes an image; its layers are published or pinned.
    pub fn publish_image(&self, new: &NewImage<'_>) -> Result<Image, StoreError> {
        let id = ImageId::of_config(new.config);
        let place = self.store.image_path(id);
        let parsed = ImageConfig::parse(new.config).map_err(|error| damaged(place.clone(), error))?;
        let plan = Plan {
            id,
            manifest: new.digest,
            size: new.size,
            config: ImageConfig { history: Vec::new(), ..parsed },
        };
        self.pin(Pin::Image(id), |_| Ok(()))?;
        let _guard = self.store.naming()?;
        if place.is_dir() && self.store.image(id).is_ok() && self.store.config_bytes(id).is_ok() {
            self.add_manifest(&place, new)?;
        } else {
            self.create_image(&place, &plan, new)?;
        }
        let layers = plan.config.rootfs.diff_ids.clone();
        Ok(Image { id, name: None, manifest: new.digest, config: plan.config, layers, size: new.size })
    }

    fn add_manifest(&self, place: &Path, new: &NewImage<'_>) -> Result<(), StoreError> {
        let path = place.join(manifest_name(new.digest));
        if !path.exists() {
            atomic::write_durable(&path, new.manifest)?;
        }
        Ok(())
    }

    fn create_image(&self, place: &Path, plan: &Plan, new: &NewImage<'_>) -> Result<(), StoreError> {
        let stage = self.stage()?;
        let record = serde_json::to_vec(plan).map_err(|error| damaged(place.to_owned(), error))?;
        atomic::write_durable(&stage.path.join("config"), new.config)?;
        atomic::write_durable(&stage.path.join(manifest_name(new.digest)), new.manifest)?;
        atomic::write_durable(&stage.path.join("plan.json"), &record)?;
        if !rename_new(&stage.path, place)? {
            let _one = self.object_lock(place)?;
            // Another process may have made it meanwhile; then this is the same image.
            if self.store.image(plan.id).is_ok() && self.store.config_bytes(plan.id).is_ok() {
                return self.add_manifest(place, new);
            }
            self.store.discard(place)?;
            rename_new(&stage.path, place)?;
        }
        Ok(atomic::sync_directory(&self.store.layout().images())?)
    }

    /// Publishes an index and which of its entries are here; entries of an older copy of it stay.
    pub fn publish_index(
        &self,
        bytes: &[u8],
        digest: Digest,
        here: &[(Digest, Target)],
    ) -> Result<(), StoreError> {
        self.pin(Pin::Index(digest), |_| Ok(()))?;
        let _guard = self.store.naming()?;
        self.store.write_index(bytes, digest, here)
    }

    /// Publishes what a manifest leads to under a name.
    pub fn tag(&self, name: &ctr_core::Reference, target: Target) -> Result<(), StoreError> {
        let _guard = self.store.naming()?;
        self.store.tag(name, target)
    }

    /// Marks what was published as wanted without a name.
    pub fn keep(&self, target: Target) -> Result<(), StoreError> {
        let _guard = self.store.naming()?;
        self.store.keep(target)
    }

    /// Returns the sum of the sizes of an image's trees and documents.
    pub fn image_size(
        &self,
        manifest: &[u8],
        config: &[u8],
        layers: &[Digest],
        key: Key,
    ) -> Result<u64, StoreError> {
        let mut size = manifest.len() as u64 + config.len() as u64;
        for layer in layers {
            size += self.store.tree(layer, key)?.map_or(0, |tree| tree.note.size);
        }
        Ok(size)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // Trees that were not published hold files that only A can remove: the whole goes to the trash then. What
        // fails here is garbage that the next gc finds unlocked.
        if std::fs::remove_dir_all(&self.path).is_err() {
            drop(self.store.discard(&self.path));
        }
    }
}

impl Store {
    /// Moves something into the trash, whole, whoever owns what is in it.
    pub(crate) fn discard(&self, path: &Path) -> Result<(), FileError> {
        self.discard_into(&self.layout().trash(), path)
    }

    /// The same, into the trash of another file system.
    pub(crate) fn discard_into(&self, trash: &Path, path: &Path) -> Result<(), FileError> {
        let random = random_hex(8).map_err(|error| FileError::new("remove", path, error))?;
        match std::fs::rename(path, trash.join(random)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(FileError::new("remove", path, error))
            }
            _ => Ok(()),
        }
    }
}

/// Writes the note of a staged object. It is flushed with the object.
pub(crate) fn write_note(path: &Path, note: &impl Serialize) -> Result<(), StoreError> {
    let bytes = serde_json::to_vec(note).map_err(|error| damaged(path.to_owned(), error))?;
    std::fs::write(path, bytes).map_err(|error| FileError::new("write", path, error).into())
}

/// Renames a directory to where nothing is; returns whether nothing was.
fn rename_new(from: &Path, to: &Path) -> Result<bool, FileError> {
    match std::fs::rename(from, to) {
        Ok(()) => Ok(true),
        Err(error)
            if matches!(
                error.kind(),
                std::io::ErrorKind::DirectoryNotEmpty | std::io::ErrorKind::AlreadyExists
            ) =>
        {
            Ok(false)
        }
        Err(error) => Err(FileError::new("create", to, error)),
    }
}
