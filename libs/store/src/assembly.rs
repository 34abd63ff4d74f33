//! How an image is stacked: its layers, above them a tree with what they only implied, and below them one with places
//! for what is mounted over every image.
//!
//! # Layout
//! `images/<id>/trees/<key>/` holds `fs`, directories with the right attributes; `places`; `tree.json`, how to stack;
//! and `synced`, as layers have it. It is made when the image is loaded, and again by whoever finds it missing. Under a map
//! other than A's, `fs` is all that there is to stack: the whole image, cloned.
//!
//! # Process context
//! [`ensure`] and [`clone_for`] run in A, whose ids the trees have. [`Store::stack`] runs anywhere.

use std::path::{Path, PathBuf};

use ctr_core::boot::{BootId, boot_id};
use ctr_core::file::FileError;
use ctr_core::rooted::{Root, TreeError};
use ctr_core::{Digest, atomic};
use ctr_userns::map::{IdMaps, Key};
use serde::{Deserialize, Serialize};

use crate::apply::{Applied, TOP_MODE};
use crate::image::{Damage, ImageError};
use crate::layer::{NOTE, TREE, Tree, trusted_note};
use crate::overlay::{self, AssembleError, Attributes, CloneError, Cloned, Layer, Stack, Upper, View};
use crate::refs::{Target, damaged};
use crate::session::{Session, write_note};
use crate::{Image, ImageId, ResolveError, Store, StoreError, names_in};

/// The directory of these trees in that of their image.
pub(crate) const TREES: &str = "trees";

/// The tree at the bottom, in the directory of an image's trees.
const PLACES: &str = "places";

/// How the layers of an image are stacked under one map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RootStack {
    /// Trees, topmost first.
    pub lower: Vec<PathBuf>,
    /// Trees that only hold contents, topmost first.
    pub data: Vec<PathBuf>,
    /// A tree with places for what is mounted over every image, to go below the others.
    pub places: Option<PathBuf>,
    /// The attributes of the root.
    pub root: Attributes,
}

impl RootStack {
    /// Adds an upper directory; `empty` is a directory that is always empty.
    #[must_use]
    pub fn under<'a>(&'a self, upper: Option<Upper<'a>>, empty: &'a Path) -> Stack<'a> {
        // Files of trees for another id map lead on to those they were made of, which the kernel refuses (EPERM) where
        // an ordinary tree lies between.
        let places = self.places.iter().filter(|_| self.data.is_empty());
        Stack {
            lower: self.lower.iter().chain(places).map(PathBuf::as_path).collect(),
            data: self.data.iter().map(PathBuf::as_path).collect(),
            upper,
            empty,
        }
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct AssemblyNote {
    boot_id: BootId,
    needed: bool,
    root: Attributes,
    bottom: usize,
    /// Whether there is a tree with places.
    #[serde(default)]
    places: bool,
    /// The tree is a clone of all that the image has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    clone: Option<CloneNote>,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct CloneNote {
    /// Of the trees under this map.
    of: Key,
    /// Only of names and attributes: the contents are in those trees.
    metadata: bool,
}

/// Overlayfs stacks no more trees than this, those that only hold contents included.
const MAX_TREES: usize = 500;

/// An image cannot be stacked.
#[derive(Debug, thiserror::Error)]
pub enum AssemblyError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The image.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// A tree cannot be opened.
    #[error("cannot open a layer")]
    Tree(#[from] TreeError),
    /// The attributes of directories.
    #[error(transparent)]
    Attributes(#[from] AssembleError),
    /// The image's documents could not be taken over from an additional store.
    #[error(transparent)]
    Adopt(#[from] ResolveError),
    /// A tree could not be made for another map.
    #[error(transparent)]
    Clone(#[from] CloneError),
}

impl From<FileError> for AssemblyError {
    fn from(error: FileError) -> Self {
        Self::Store(error.into())
    }
}

impl Store {
    fn assembly_path(&self, id: ImageId, key: Key) -> PathBuf {
        self.image_path(id).join(TREES).join(key.to_string())
    }

    /// What is known of how an image is stacked, and where that lies.
    fn assembly(&self, id: ImageId, key: Key) -> Result<Option<(AssemblyNote, PathBuf)>, FileError> {
        self.first(|store| Ok(store.own_assembly(id, key)?.map(|note| (note, store.assembly_path(id, key)))))
    }

    fn own_assembly(&self, id: ImageId, key: Key) -> Result<Option<AssemblyNote>, FileError> {
        trusted_note(&self.assembly_path(id, key), NOTE, |note: &AssemblyNote| &note.boot_id)
    }

    /// All of them, and whether each can be trusted.
    pub(crate) fn assemblies(&self) -> Result<Vec<(PathBuf, bool)>, FileError> {
        let mut found = Vec::new();
        for id in names_in(&self.layout().images())?.iter().filter_map(|name| ImageId::parse(name).ok()) {
            let folder = self.image_path(id).join(TREES);
            for key in names_in(&folder)?.iter().filter_map(|name| name.parse().ok()) {
                found.push((self.assembly_path(id, key), self.own_assembly(id, key)?.is_some()));
            }
        }
        Ok(found)
    }

    /// Returns the layers of an image that have no tree under a map. They can be unpacked again from their blobs, or
    /// cloned from the trees of another map.
    pub fn missing_trees(&self, image: &Image, key: Key) -> Result<Vec<Digest>, FileError> {
        let mut missing = Vec::new();
        for layer in &image.layers {
            if self.tree(layer, key)?.is_none() {
                missing.push(*layer);
            }
        }
        Ok(missing)
    }

    /// Returns how to stack an image under a map, or nothing if something for it has to be made first.
    pub fn stack(&self, image: &Image, key: Key) -> Result<Option<RootStack>, FileError> {
        let Some((note, folder)) = self.assembly(image.id, key)? else { return Ok(None) };
        let places = note.places.then(|| folder.join(PLACES));
        let mut stack = RootStack { lower: Vec::new(), data: Vec::new(), places, root: note.root };
        if note.needed || note.clone.is_some() {
            stack.lower.push(folder.join(TREE));
        }
        if let Some(clone) = note.clone {
            return self.cloned(image, stack, note.bottom, clone);
        }
        let Some(lower) = self.shown_trees(image, note.bottom, key)? else { return Ok(None) };
        stack.lower.extend(lower);
        if stack.lower.len() >= MAX_TREES {
            stack.places = None;
        }
        Ok(Some(stack))
    }

    /// Adds the trees that hold the contents. A tree of places below the clone would make it one that overlayfs follows
    /// no redirect from: each start makes those places itself.
    fn cloned(
        &self,
        image: &Image,
        mut stack: RootStack,
        bottom: usize,
        clone: CloneNote,
    ) -> Result<Option<RootStack>, FileError> {
        stack.places = None;
        if clone.metadata {
            let Some(data) = self.shown_trees(image, bottom, clone.of)? else { return Ok(None) };
            stack.data = data;
        }
        Ok(Some(stack))
    }

    /// The trees of an image's layers from `bottom` on, the topmost first; nothing if one is missing.
    fn shown_trees(&self, image: &Image, bottom: usize, key: Key) -> Result<Option<Vec<PathBuf>>, FileError> {
        let shown = image.layers.get(bottom..).unwrap_or_default();
        let mut paths = Vec::with_capacity(shown.len());
        for (at, layer) in shown.iter().enumerate().rev() {
            // A layer that comes twice shows where it comes last; overlayfs takes no tree twice.
            if shown.get(at + 1..).is_some_and(|above| above.contains(layer)) {
                continue;
            }
            let Some(tree) = self.tree(layer, key)? else { return Ok(None) };
            paths.push(tree.path);
        }
        Ok(Some(paths))
    }
}

/// Makes what stacking an image under a map needs, where it is missing; the layers' trees must be there. In A.
pub fn ensure(store: &Store, image: &Image, key: Key) -> Result<(), AssemblyError> {
    if store.assembly(image.id, key)?.is_some() {
        return Ok(());
    }
    let session = Session::begin(store)?;
    session.adopt(&Target::Image { id: image.id, manifest: image.manifest })?;
    let trees = trees(&session, image, key)?;
    let stage = session.stage()?;
    let (into, places) = (stage.path().join(TREE), stage.path().join(PLACES));
    atomic::private_directory(&into)?;
    atomic::private_directory(&places)?;
    let note = note(&trees, &into)?;
    overlay::places(&Root::open(&places)?, &note.root)?;
    write_note(&stage.path().join(NOTE), &note)?;
    let place = store.assembly_path(image.id, key);
    session
        .place_in_image(&stage, image.id, &place, |store| Ok(store.own_assembly(image.id, key)?.is_some()))?;
    Ok(())
}

fn trees(session: &Session, image: &Image, key: Key) -> Result<Vec<Tree>, AssemblyError> {
    let tree = |layer: &Digest| match session.pin_tree(layer, key)? {
        Some(tree) => Ok(tree),
        None => Err(ImageError::Damaged { id: image.id, source: Damage::Layer(*layer) }.into()),
    };
    image.layers.iter().map(tree).collect()
}

fn note(trees: &[Tree], into: &Path) -> Result<AssemblyNote, AssemblyError> {
    let boot_id = boot_id()?.clone();
    if trees.is_empty() {
        // An image of nothing has the root that every other starts from.
        let root = Attributes { mode: TOP_MODE, uid: 0, gid: 0, modified: (0, 0) };
        return Ok(AssemblyNote { boot_id, needed: false, root, bottom: 0, places: true, clone: None });
    }
    let mut opened = Vec::new();
    for tree in trees {
        let applied: Applied = serde_json::from_value(tree.note.applied.clone())
            .map_err(|error| damaged(tree.path.with_file_name(NOTE), error))?;
        opened.push((Root::open(&tree.path)?, applied));
    }
    let layers: Vec<_> = opened.iter().map(|(tree, applied)| Layer { tree, applied }).collect();
    let made = overlay::attributes(&layers, &Root::open(into)?)?;
    Ok(AssemblyNote {
        boot_id,
        needed: made.needed,
        root: made.root,
        bottom: made.bottom,
        places: true,
        clone: None,
    })
}

/// Makes the tree of an image for another map from those it has under `from`. In A.
///
/// `maps` are the container's as seen from A. Returns how it was made; nothing if it was there, or the image has nothing.
pub fn clone_for(
    store: &Store,
    image: &Image,
    from: Key,
    to: Key,
    maps: &IdMaps,
) -> Result<Option<Cloned>, AssemblyError> {
    if store.stack(image, to)?.is_some() {
        return Ok(None);
    }
    if image.layers.is_empty() {
        return ensure(store, image, to).map(|()| None);
    }
    ensure(store, image, from)?;
    let session = Session::begin(store)?;
    session.adopt(&Target::Image { id: image.id, manifest: image.manifest })?;
    trees(&session, image, from)?;
    let missing = || ImageError::Damaged { id: image.id, source: Damage::Layer(image.layers[0]) };
    let (original, _) = store.assembly(image.id, from)?.ok_or_else(missing)?;
    let stacked = store.stack(image, from)?.ok_or_else(missing)?;
    let opened = stacked.lower.iter().map(Root::open).collect::<Result<Vec<_>, _>>()?;
    let (stage, scratch) = (session.stage()?, session.stage()?);
    let into = stage.path().join(TREE);
    atomic::private_directory(&into)?;
    let few = stacked.lower.len() < MAX_TREES;
    let cloned = overlay::clone(&View::of(opened), &into, maps, few.then(|| scratch.path()))?;
    let note = AssemblyNote {
        boot_id: boot_id()?.clone(),
        root: Attributes {
            uid: maps.uid.to_outer(original.root.uid).unwrap_or(original.root.uid),
            gid: maps.gid.to_outer(original.root.gid).unwrap_or(original.root.gid),
            ..original.root
        },
        clone: Some(CloneNote { of: from, metadata: cloned == Cloned::Metadata }),
        ..original
    };
    write_note(&stage.path().join(NOTE), &note)?;
    let place = store.assembly_path(image.id, to);
    session.place_in_image(&stage, image.id, &place, |store| Ok(store.stack(image, to)?.is_some()))?;
    Ok(Some(cloned))
}
