//! Mark and sweep: what no name, image, container or live session needs goes.
//!
//! # Theory of operation
//! ```text
//! lock gc exclusively          milliseconds: names are read and directories renamed, nothing is deleted
//!   roots   = names, images and indexes that are marked as kept, records of containers, pins of live sessions
//!   marked  = the images of indexes, the layers and blobs of images
//!   the rest → trash/
//! unlock
//! empty the trash              at leisure, in A, since trees hold files of mapped ids
//! ```
//! What has arrived of a blob that nobody fetches now stays for a week, and as long as the sum of such is within bounds.
//!
//! Who takes the last name of an image marks it as kept ([`Store::keep`]): only `image prune` and `rmi` take it then. An
//! image with neither name nor mark is the remains of a process that died before it gave one. Blobs are marked while the sum of their
//! sizes is within the budget; above it the oldest go first, if their layer has a tree that was flushed.
//!
//! # Invariants
//! - A file that cannot be read for another reason than its content stops the sweep: an error of the disk must not
//!   look like an empty store.
//! - What is damaged is not deleted: it is listed, and goes with `rmi`. While a name or an index is damaged, no image is
//!   taken for garbage, since it may be what was named.
//!
//! # Process context
//! [`Store::sweep`]: any. [`Store::empty_trash`]: A, or a store whose trees are all ours.

use std::collections::{BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use ctr_core::file::FileError;
use ctr_core::lock::Waiting;
use ctr_core::oci::ImageConfig;
use ctr_core::rooted::Root;
use ctr_core::{Digest, file, limits};
use rustix::fs::{FlockOperation, flock};

use crate::image::{Damage, ImageError};
use crate::layer::{SYNCED, digest_of_folder};
use crate::refs::Target;
use crate::session::{PINS, Pin};
use crate::{ImageId, Store, StoreError, exists, names_in, partial};

/// How much of what can be made again is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Bytes of blobs whose layers have trees.
    pub blobs: u64,
    /// What has arrived of blobs that nobody fetches now.
    pub partials: partial::Kept,
}

impl Default for Budget {
    fn default() -> Self {
        Self { blobs: 20 << 30, partials: partial::Kept::default() }
    }
}

/// What a sweep moved to the trash.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Swept {
    /// Sessions of processes that ended, what they fetched of blobs, and temporaries.
    pub sessions: usize,
    /// Images without a name, and names without an image.
    pub images: usize,
    /// Trees.
    pub trees: usize,
    /// Blobs.
    pub blobs: usize,
    /// Indexes.
    pub indexes: usize,
    /// Objects that are damaged and were left.
    pub damaged: Vec<ImageId>,
}

/// Images and indexes that something wants.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    /// Images.
    pub(crate) images: BTreeSet<ImageId>,
    /// Indexes.
    pub(crate) indexes: HashSet<Digest>,
    /// A name or an index is damaged: what it led to is not known.
    unsure: bool,
}

#[derive(Debug, Default)]
struct Marked {
    images: BTreeSet<ImageId>,
    layers: HashSet<Digest>,
    blobs: HashSet<Digest>,
    pinned_blobs: HashSet<Digest>,
    indexes: HashSet<Digest>,
    damaged: Vec<ImageId>,
}

impl Store {
    /// Moves garbage to the trash.
    pub fn sweep(&self, budget: Budget, on_wait: &mut dyn FnMut(&Waiting)) -> Result<Swept, StoreError> {
        self.writable()?;
        let _guard = self.alone(on_wait)?;
        let mut swept = Swept { sessions: self.sweep_sessions(budget)?, ..Swept::default() };
        let marked = self.mark()?;
        swept.sessions += self.sweep_temporaries()?;
        swept.images = self.sweep_images(&marked)?;
        swept.trees = self.sweep_layers(&marked)?;
        swept.blobs = self.sweep_blobs(&marked, budget)?;
        swept.indexes = self.sweep_indexes(&marked)?;
        swept.damaged = marked.damaged;
        Ok(swept)
    }

    /// Deletes what is in the trash, in A. What two processes delete at the same time goes once.
    pub fn empty_trash(&self) -> Result<(), StoreError> {
        empty(&self.layout().trash())?;
        if self.layout().image_store.is_some() {
            empty(&self.layout().own_trash())?;
        }
        match self.layout().volume_trash() {
            // Where volumes lie elsewhere, that may not be mounted.
            Some(trash) if exists(&trash)? => Ok(empty(&trash)?),
            _ => Ok(()),
        }
    }

    /// Images and indexes that have a name, are kept without one, or are part of such an index.
    pub(crate) fn wanted(&self) -> Result<Wanted, StoreError> {
        let mut wanted = Wanted::default();
        let mut indexes = Vec::new();
        let names = self.names()?;
        for name in names.damaged {
            match name.error {
                StoreError::File(error) if error.source.raw_os_error().is_some() => return Err(error.into()),
                _ => wanted.unsure = true,
            }
        }
        for named in names.good {
            match named.target {
                Target::Image { id, .. } => _ = wanted.images.insert(id),
                Target::Index { digest } => indexes.push(digest),
            }
        }
        for name in names_in(&self.layout().images())? {
            let Ok(id) = ImageId::parse(&name) else { continue };
            if exists(&self.kept_path(Target::Image { id, manifest: id.digest() }))? {
                wanted.images.insert(id);
            }
        }
        for name in names_in(&self.layout().indexes())? {
            let Some(digest) = digest_of_folder(&name) else { continue };
            if exists(&self.kept_path(Target::Index { digest }))? {
                indexes.push(digest);
            }
        }
        for digest in indexes {
            self.want_index(digest, &mut wanted, 0)?;
        }
        Ok(wanted)
    }

    fn want_index(&self, digest: Digest, wanted: &mut Wanted, depth: usize) -> Result<(), StoreError> {
        if depth > limits::INDEX_DEPTH || !wanted.indexes.insert(digest) {
            return Ok(());
        }
        match self.index(&digest) {
            Ok(stored) => {
                for target in stored.here.values() {
                    match target {
                        Target::Index { digest } => self.want_index(*digest, wanted, depth + 1)?,
                        Target::Image { id, .. } => _ = wanted.images.insert(*id),
                    }
                }
                Ok(())
            }
            Err(StoreError::File(error)) if !error.is_missing() && error.source.raw_os_error().is_some() => {
                Err(error.into())
            }
            // Damaged: it keeps its place, and where it led is not known.
            Err(_) => {
                wanted.unsure = true;
                Ok(())
            }
        }
    }

    fn mark(&self) -> Result<Marked, StoreError> {
        let mut wanted = self.wanted()?;
        if wanted.unsure {
            // Garbage is kept until the damage is removed, rather than an image lost with a damaged name.
            let all = names_in(&self.layout().images())?;
            wanted.images.extend(all.iter().filter_map(|name| ImageId::parse(name).ok()));
        }
        let mut marked = Marked { images: wanted.images, indexes: wanted.indexes, ..Marked::default() };
        for claim in self.claims_on_images()? {
            marked.layers.extend(claim.layers);
            marked.images.extend(claim.image);
        }
        self.mark_pins(&mut marked)?;
        for id in marked.images.clone() {
            // What a container or a session only remembers need not be there any more.
            if self.image_path(id).is_dir() {
                self.mark_image(id, &mut marked)?;
            }
        }
        Ok(marked)
    }

    fn mark_image(&self, id: ImageId, marked: &mut Marked) -> Result<(), StoreError> {
        let config = match self.config(id) {
            Ok(config) => config,
            Err(error) => return self.mark_damaged(id, error, marked),
        };
        marked.layers.extend(config.rootfs.diff_ids);
        for digest in self.manifests(id)? {
            match self.manifest(id, digest) {
                Ok(manifest) => marked.blobs.extend(manifest.layers.iter().map(|layer| layer.digest)),
                Err(error) => self.mark_damaged(id, error, marked)?,
            }
        }
        Ok(())
    }

    /// Notes a damaged image, whose plan may still tell its layers. Errors of the disk stop the sweep.
    fn mark_damaged(&self, id: ImageId, error: ImageError, marked: &mut Marked) -> Result<(), StoreError> {
        if let ImageError::Damaged { source: Damage::File(error), .. } = error
            && !error.is_missing()
            && error.source.raw_os_error().is_some()
        {
            return Err(error.into());
        }
        let plan = self.image_path(id).join("plan.json");
        if let Ok(bytes) = file::read(&plan, limits::RECORD)
            && let Ok(plan) = serde_json::from_slice::<crate::image::Plan>(&bytes)
        {
            let config: ImageConfig = plan.config;
            marked.layers.extend(config.rootfs.diff_ids);
        }
        marked.damaged.push(id);
        Ok(())
    }

    fn mark_pins(&self, marked: &mut Marked) -> Result<(), StoreError> {
        let partial = self.layout().partial();
        for session in names_in(&partial)? {
            for pin in names_in(&partial.join(session).join(PINS))? {
                match Pin::parse(&pin) {
                    Some(Pin::Layer(digest)) => _ = marked.layers.insert(digest),
                    Some(Pin::Blob(digest)) => _ = marked.pinned_blobs.insert(digest),
                    Some(Pin::Index(digest)) => _ = marked.indexes.insert(digest),
                    Some(Pin::Image(id)) => _ = marked.images.insert(id),
                    None => {}
                }
            }
        }
        marked.blobs.extend(marked.pinned_blobs.iter().copied());
        Ok(())
    }

    /// Sessions whose directory nobody locks belong to processes that ended. What such a process fetched of a blob may be of use
    /// to the next one.
    fn sweep_sessions(&self, budget: Budget) -> Result<usize, StoreError> {
        let mut swept = 0;
        let mut partials = Vec::new();
        for name in all_names(&self.layout().partial())? {
            let path = self.layout().partial().join(&name);
            if name.to_str().and_then(partial::blob_of_folder).is_some() {
                partials.push(path);
                continue;
            }
            let handle = match std::fs::File::open(&path) {
                Ok(handle) => handle,
                // It ended since the listing.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(error) => return Err(FileError::new("open", path, error).into()),
            };
            if flock(&handle, FlockOperation::NonBlockingLockExclusive).is_ok() {
                self.discard(&path)?;
                swept += 1;
            }
        }
        Ok(swept + self.sweep_partials(&partials, budget.partials)?)
    }

    /// Temporaries are made and renamed under the shared lock: none of them is in use now. Those of the containers'
    /// folders are not ours to judge.
    fn sweep_temporaries(&self) -> Result<usize, StoreError> {
        let layout = self.layout();
        let mut folders = vec![layout.images_at().data, layout.refs(), layout.images(), layout.indexes()];
        for parent in [layout.images(), layout.indexes()] {
            folders.extend(names_in(&parent)?.into_iter().map(|name| parent.join(name)));
        }
        let mut swept = 0;
        for folder in folders {
            for name in all_names(&folder)? {
                if name.as_encoded_bytes().starts_with(ctr_core::atomic::TEMPORARY_PREFIX.as_bytes()) {
                    self.discard(&folder.join(name))?;
                    swept += 1;
                }
            }
        }
        Ok(swept)
    }

    fn sweep_images(&self, marked: &Marked) -> Result<usize, StoreError> {
        let mut swept = 0;
        let names = self.names()?;
        for path in &names.void {
            self.discard(path)?;
            swept += 1;
        }
        for name in names_in(&self.layout().images())? {
            let path = self.layout().images().join(&name);
            match ImageId::parse(&name) {
                Ok(id) if marked.images.contains(&id) => {
                    let named = names.of(id).next().is_some();
                    self.unmark(Target::Image { id, manifest: id.digest() }, named)?;
                }
                _ => {
                    self.discard(&path)?;
                    swept += 1;
                }
            }
        }
        for name in names_in(&self.layout().indexes())? {
            if let Some(digest) = digest_of_folder(&name) {
                let target = Target::Index { digest };
                self.unmark(target, names.good.iter().any(|named| named.target == target))?;
            }
        }
        Ok(swept)
    }

    /// The mark says that no name is needed; where there is one, it says nothing.
    fn unmark(&self, target: Target, is_named: bool) -> Result<(), FileError> {
        if is_named { ctr_core::atomic::remove(&self.kept_path(target)) } else { Ok(()) }
    }

    fn sweep_layers(&self, marked: &Marked) -> Result<usize, StoreError> {
        let mut swept = 0;
        for name in names_in(&self.layout().layers())? {
            let folder = self.layout().layers().join(&name);
            let Some(layer) = digest_of_folder(&name) else {
                self.discard(&folder)?;
                continue;
            };
            let mut kept = 0;
            for key in names_in(&folder)? {
                let trusted = match key.parse() {
                    Ok(key) => self.own_tree(&layer, key)?.is_some(),
                    Err(_) => false,
                };
                if marked.layers.contains(&layer) && trusted {
                    kept += 1;
                } else {
                    self.discard(&folder.join(key))?;
                    swept += 1;
                }
            }
            if kept == 0 {
                remove_empty(&folder)?;
            }
        }
        Ok(swept)
    }

    fn sweep_blobs(&self, marked: &Marked, budget: Budget) -> Result<usize, StoreError> {
        let mut swept = 0;
        let mut kept: Vec<(SystemTime, u64, PathBuf)> = Vec::new();
        let mut sum = 0;
        for name in names_in(&self.layout().blobs())? {
            let folder = self.layout().blobs().join(&name);
            let digest = digest_of_folder(&name);
            let blob = digest.map(|digest| self.own_blob(&digest)).transpose()?.flatten();
            let (Some(digest), Some(blob)) = (digest, blob) else {
                self.discard(&folder)?;
                swept += 1;
                continue;
            };
            if !marked.blobs.contains(&digest) {
                self.discard(&folder)?;
                swept += 1;
                continue;
            }
            sum += blob.note.size;
            if !marked.pinned_blobs.contains(&digest) && self.has_settled_tree(&blob.note.diff_id)? {
                let modified = std::fs::metadata(&blob.path).and_then(|meta| meta.modified());
                kept.push((modified.unwrap_or(SystemTime::UNIX_EPOCH), blob.note.size, folder));
            }
        }
        kept.sort();
        for (_, size, folder) in kept {
            if sum <= budget.blobs {
                break;
            }
            self.discard(&folder)?;
            sum -= size;
            swept += 1;
        }
        Ok(swept)
    }

    fn has_settled_tree(&self, layer: &Digest) -> Result<bool, FileError> {
        let folder = self.layer_path(layer);
        Ok(self.own_tree_keys(layer)?.iter().any(|key| folder.join(key.to_string()).join(SYNCED).exists()))
    }

    fn sweep_indexes(&self, marked: &Marked) -> Result<usize, StoreError> {
        let mut swept = 0;
        for name in names_in(&self.layout().indexes())? {
            if digest_of_folder(&name).is_some_and(|digest| marked.indexes.contains(&digest)) {
                continue;
            }
            self.discard(&self.layout().indexes().join(name))?;
            swept += 1;
        }
        Ok(swept)
    }
}

fn empty(trash: &Path) -> Result<(), FileError> {
    let root = Root::open(trash).map_err(|error| FileError::new("open", trash, rooted(error)))?;
    for name in all_names(trash)? {
        let removed = root.remove_tree(&name);
        removed.map_err(|error| FileError::new("remove", trash.join(&name), rooted(error)))?;
    }
    Ok(())
}

fn rooted(error: ctr_core::rooted::TreeError) -> std::io::Error {
    error.errno().map_or_else(|| std::io::Error::other(error), std::io::Error::from)
}

/// All names in a directory, also those that are not UTF-8 and temporaries.
fn all_names(path: &Path) -> Result<Vec<std::ffi::OsString>, FileError> {
    let fail = |error| FileError::new("list", path, error);
    let entries = match std::fs::read_dir(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(fail)?,
    };
    entries.map(|entry| Ok(entry.map_err(fail)?.file_name())).collect()
}

/// Removes a directory if it is empty; one that was filled again meanwhile stays.
fn remove_empty(path: &Path) -> Result<(), FileError> {
    match std::fs::remove_dir(path) {
        Err(error)
            if !matches!(
                error.kind(),
                std::io::ErrorKind::NotFound | std::io::ErrorKind::DirectoryNotEmpty
            ) =>
        {
            Err(FileError::new("remove", path, error))
        }
        _ => Ok(()),
    }
}
