//! How many bytes images take, alone and together.

use std::collections::HashMap;

use ctr_core::Digest;
use ctr_store::Store;

use crate::ViewError;
use crate::listing::Entry;

/// The bytes of one image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Of layers that other images have too.
    pub shared: u64,
    /// Of what no other image has.
    pub unique: u64,
}

impl Usage {
    /// All of it.
    #[must_use]
    pub const fn all(self) -> u64 {
        self.shared.saturating_add(self.unique)
    }
}

/// The bytes of each of the entries that is an image, and of all of them, each layer counted once.
///
/// # Errors
/// A note of a layer cannot be read.
pub fn of(store: &Store, entries: &[Entry]) -> Result<(Vec<Usage>, u64), ViewError> {
    let mut layers: HashMap<Digest, Layer> = HashMap::new();
    for entry in entries {
        for digest in distinct(entry) {
            match layers.get_mut(&digest) {
                Some(layer) => layer.images = layer.images.saturating_add(1),
                None => _ = layers.insert(digest, Layer { bytes: bytes(store, &digest)?, images: 1 }),
            }
        }
    }
    let mut total = layers.values().fold(0_u64, |sum, layer| sum.saturating_add(layer.bytes));
    let mut usages = Vec::with_capacity(entries.len());
    for entry in entries {
        let mut usage = Usage { shared: 0, unique: 0 };
        for layer in distinct(entry).iter().filter_map(|digest| layers.get(digest)) {
            let sum = if layer.images > 1 { &mut usage.shared } else { &mut usage.unique };
            *sum = sum.saturating_add(layer.bytes);
        }
        // What an image has beyond its layers are its documents, which are its own.
        let documents = entry.size.saturating_sub(usage.all());
        usage.unique = usage.unique.saturating_add(documents);
        total = total.saturating_add(documents);
        usages.push(usage);
    }
    Ok((usages, total))
}

struct Layer {
    bytes: u64,
    images: usize,
}

/// The layers of an image; one that it has twice is there once.
fn distinct(entry: &Entry) -> Vec<Digest> {
    let mut layers = entry.image.as_ref().map(|image| image.layers.clone()).unwrap_or_default();
    layers.sort_unstable();
    layers.dedup();
    layers
}

/// The bytes of a layer's tree, under whichever map it has one.
fn bytes(store: &Store, layer: &Digest) -> Result<u64, ViewError> {
    for key in store.tree_keys(layer)? {
        if let Some(tree) = store.tree(layer, key)? {
            return Ok(tree.note.size);
        }
    }
    Ok(0)
}
