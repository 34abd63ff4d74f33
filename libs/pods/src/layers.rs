//! What containers and images are made of, read layer by layer: nothing is mounted, and nobody is held up.
//!
//! A running container goes on writing meanwhile: each file is what it was at one moment. What is mounted into it is no
//! part of it.
//!
//! # Process context
//! In A, whose ids the files have.

use ctr_core::Digest;
use ctr_core::file::FileError;
use ctr_core::rooted::{Root, TreeError};
use ctr_store::image::ImageError;
use ctr_store::overlay::View;
use ctr_store::{Image, Store, StoreError};
use ctr_userns::map::Key;

use crate::containers::Container;

/// Layers cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum LayersError {
    /// One is not here.
    #[error("the image lacks its layer {}", .0.short())]
    Missing(Digest),
    /// A tree.
    #[error("cannot open a layer")]
    Tree(#[from] TreeError),
    /// A file of ours.
    #[error(transparent)]
    File(#[from] FileError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The container's image.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// Its record.
    #[error(transparent)]
    Container(#[from] crate::containers::ContainersError),
}

/// All of an image.
///
/// # Errors
/// A layer is not here, or cannot be opened.
pub fn of_image(store: &Store, image: &Image, key: Key) -> Result<View, LayersError> {
    Ok(View::of(trees(store, &image.layers, key)?))
}

/// What an image is without its last layer.
///
/// # Errors
/// As [`of_image`].
pub fn below_image(store: &Store, image: &Image, key: Key) -> Result<View, LayersError> {
    let layers = image.layers.split_last().map_or(&[][..], |(_, below)| below);
    Ok(View::of(trees(store, layers, key)?))
}

/// What a container was made of.
///
/// # Errors
/// As [`of_image`].
pub fn below_container(store: &Store, container: &Container, key: Key) -> Result<View, LayersError> {
    Ok(View::of(base(store, container, key)?))
}

/// All of a container.
///
/// # Errors
/// As [`of_image`].
pub fn of_container(store: &Store, container: &Container, key: Key) -> Result<View, LayersError> {
    // Where there is no overlay, it has a copy of everything.
    match Root::open(container.layer.join("copy")) {
        Ok(copy) => return Ok(View::plain(copy)),
        Err(error) if error.is_missing() => {}
        Err(error) => return Err(error.into()),
    }
    let mut trees = base(store, container, key)?;
    match Root::open(container.layer.join("upper")) {
        Ok(upper) => trees.insert(0, upper),
        // It was never started.
        Err(error) if error.is_missing() => {}
        Err(error) => return Err(error.into()),
    }
    Ok(View::of(trees))
}

fn base(store: &Store, container: &Container, key: Key) -> Result<Vec<Root>, LayersError> {
    match (container.record.image, &container.record.rootfs) {
        (Some(id), _) => trees(store, &store.image(id)?.layers, key),
        (None, Some(folder)) => Ok(vec![Root::open(folder)?]),
        (None, None) => trees(store, &[], key),
    }
}

/// The trees of layers, the topmost first.
fn trees(store: &Store, layers: &[Digest], key: Key) -> Result<Vec<Root>, LayersError> {
    if layers.is_empty() {
        // A view needs a tree; that of no layers is empty.
        let empty = store.layout().empty();
        ctr_core::atomic::private_directory(&empty)?;
        return Ok(vec![Root::open(&empty)?]);
    }
    let open = |layer: &Digest| {
        let tree = store.tree(layer, key)?.ok_or(LayersError::Missing(*layer))?;
        Ok(Root::open(tree.path)?)
    };
    layers.iter().rev().map(open).collect()
}
