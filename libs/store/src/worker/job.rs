//! What the child does for each job.

use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;

use ctr_core::Digest;
use ctr_core::rooted::Root;
use ctr_userns::map::Key;
use serde::{Deserialize, Serialize};

use super::{Failure, Job, stages};
pub use crate::apply::Applied;
use crate::overlay::View;
use crate::{ImageId, Store};
use crate::{apply, assembly, diff};

/// What came of a layer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Unpacked {
    /// The digest of its stream.
    pub diff_id: Digest,
    /// The length of its stream.
    pub length: u64,
    /// What unpacking reports.
    pub applied: Applied,
}

/// Does a job and answers; whoever does not wait for the answer any more needs none.
pub(super) fn run(store: &Store, job: Job, descriptors: Vec<OwnedFd>) {
    let mut descriptors = descriptors.into_iter();
    let Some(reply) = descriptors.next() else { return };
    let answer = match job {
        Job::Unpack => unpack(&mut descriptors).and_then(|done| value(&done)),
        Job::Pack { layer, key } => pack(store, &layer, key, &mut descriptors).and_then(|()| value(&())),
        Job::Changes { old, new, key } => changes(store, &old, &new, key).and_then(|found| value(&found)),
        Job::Assemble { image, key } => assemble(store, image, key).and_then(|()| value(&())),
        Job::EmptyTrash => store.empty_trash().map_err(|error| Failure::of(&error)).and_then(|()| value(&())),
    };
    let bytes = serde_json::to_vec(&answer).unwrap_or_default();
    drop(File::from(reply).write_all(&bytes));
}

fn value(done: &impl Serialize) -> Result<serde_json::Value, Failure> {
    serde_json::to_value(done).map_err(|error| Failure::of(&error))
}

fn missing() -> Failure {
    Failure { message: "a job came without its descriptors".to_owned(), errno: None, unmapped: None }
}

fn pack(
    store: &Store,
    layer: &Digest,
    key: Key,
    descriptors: &mut impl Iterator<Item = OwnedFd>,
) -> Result<(), Failure> {
    let out = File::from(descriptors.next().ok_or_else(missing)?);
    let gone = || Failure {
        message: format!("the layer {} is missing", layer.short()),
        errno: None,
        unmapped: None,
    };
    let tree = store.tree(layer, key).map_err(|error| Failure::of(&error))?.ok_or_else(gone)?;
    let applied: Applied = serde_json::from_value(tree.note.applied).map_err(|error| Failure::of(&error))?;
    let root = Root::open(&tree.path).map_err(|error| Failure::of(&error))?;
    let out = std::io::BufWriter::with_capacity(256 << 10, out);
    diff::tree(&root, &applied, out).map(drop).map_err(|error| Failure::of(&error))
}

/// Something that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changed {
    /// The absolute path; what is not UTF-8 in it is replaced.
    pub path: String,
    /// What happened.
    pub kind: diff::Kind,
}

impl From<diff::Change> for Changed {
    fn from(change: diff::Change) -> Self {
        let path = format!("/{}", change.path.to_string_lossy().trim_start_matches('/'));
        Self { path, kind: change.kind }
    }
}

fn changes(store: &Store, old: &[Digest], new: &[Digest], key: Key) -> Result<Vec<Changed>, Failure> {
    let (old, new) = (view(store, old, key)?, view(store, new, key)?);
    let found = diff::changes(&old, &new).map_err(|error| Failure::of(&error))?;
    Ok(found.into_iter().map(Changed::from).collect())
}

/// A view of layers as a container would see them.
fn view(store: &Store, layers: &[Digest], key: Key) -> Result<View, Failure> {
    let mut trees = Vec::new();
    if layers.is_empty() {
        // A view needs a tree; that of no layers is empty.
        let empty = store.layout().empty();
        ctr_core::atomic::private_directory(&empty).map_err(|error| Failure::of(&error))?;
        trees.push(Root::open(&empty).map_err(|error| Failure::of(&error))?);
    }
    for layer in layers.iter().rev() {
        let gone = || Failure {
            message: format!("the layer {} is missing", layer.short()),
            errno: None,
            unmapped: None,
        };
        let tree = store.tree(layer, key).map_err(|error| Failure::of(&error))?.ok_or_else(gone)?;
        trees.push(Root::open(&tree.path).map_err(|error| Failure::of(&error))?);
    }
    Ok(View::of(trees))
}

fn assemble(store: &Store, image: ImageId, key: Key) -> Result<(), Failure> {
    let image = store.image(image).map_err(|error| Failure::of(&error))?;
    assembly::ensure(store, &image, key).map_err(|error| Failure::of(&error))
}

fn unpack(descriptors: &mut impl Iterator<Item = OwnedFd>) -> Result<Unpacked, Failure> {
    let (stream, tree) = descriptors.next().zip(descriptors.next()).ok_or_else(missing)?;
    let tree = Root::from_dir(tree);
    stages::unpack(File::from(stream), &tree, &apply::Options::default()).map_err(|error| Failure::of(&error))
}
