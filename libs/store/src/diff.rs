//! What differs between two trees, and trees as archives.
//!
//! ```text
//! changes()  → a list of added, changed and deleted paths            image diff, container diff
//! layer()    → the same as a layer: what changed, and whiteouts      commit
//! tree()     → the tree of one layer as the layer it was             save of a layer that has no blob
//! export()   → everything that a view shows                          export
//! ```
//!
//! # Invariants
//! The archives depend on nothing but the trees: names are sorted, and what the file system adds (numbers, change
//! times, overlayfs's marks) is left out. Unpacking the archive of a tree gives the tree again, and the archive of
//! that the same bytes.

mod pack;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};

use ctr_core::rooted::Root;
use rustix::fs::FileType;
use serde::{Deserialize, Serialize};

use crate::apply::Applied;
use crate::overlay::{Node, View, ViewError};

use pack::Pack;
pub use pack::PackError;

/// What happened to a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Kind {
    /// It is new.
    #[serde(rename = "A")]
    Added,
    /// It, or something in it, is another.
    #[serde(rename = "C")]
    Changed,
    /// It is gone.
    #[serde(rename = "D")]
    Deleted,
}

/// One path that differs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Change {
    /// The path from the top.
    pub path: PathBuf,
    /// What happened to it.
    pub kind: Kind,
}

/// Lists what differs, sorted by path. A directory counts as changed when something in it did, as docker has it;
/// of a deleted one only itself is listed, of an added one everything.
pub fn changes(old: &View, new: &View) -> Result<Vec<Change>, ViewError> {
    let mut found = Vec::new();
    walk(old, new, &mut |change, _| {
        found.push(change);
        Ok::<_, ViewError>(())
    })?;
    found.sort();
    Ok(found)
}

/// Writes what makes `new` out of `old` as a layer.
pub fn layer<W: Write>(old: &View, new: &View, out: W) -> Result<W, PackError> {
    let mut pack = Pack::new(out);
    walk(old, new, &mut |change, node| match node {
        Some(node) => pack.node(new, node),
        None => pack.whiteout(&change.path),
    })?;
    pack.finish()
}

/// Writes the tree of one layer as the layer that it came from, or would have come from.
pub fn tree<W: Write>(tree: &Root, applied: &Applied, out: W) -> Result<W, PackError> {
    let mut pack = Pack::new(out);
    pack.tree(tree, applied)?;
    pack.finish()
}

/// Writes all that a view shows.
pub fn export<W: Write>(view: &View, out: W) -> Result<W, PackError> {
    let mut pack = Pack::new(out);
    let mut todo = vec![view.top()?];
    while let Some(node) = todo.pop() {
        if !node.path.as_os_str().is_empty() {
            pack.node(view, &node)?;
        }
        if node.stat.is_dir() {
            todo.extend(view.children(&node)?.into_values().rev());
        }
    }
    pack.finish()
}

type Found<'f, E> = dyn FnMut(Change, Option<&Node>) -> Result<(), E> + 'f;

/// Goes through two views side by side. A directory is reported before what is in it.
fn walk<E: From<ViewError>>(old: &View, new: &View, found: &mut Found<'_, E>) -> Result<(), E> {
    let (old_top, new_top) = (old.top()?, new.top()?);
    walk_pair(old, new, &old_top, &new_top, found).map(drop)
}

/// What waits to be reported until it is known that something in a directory changed.
enum Step {
    Changed(Node),
    Added(Node),
    Deleted(PathBuf),
}

/// Compares two directories at the same path; true if anything differed.
fn walk_pair<E: From<ViewError>>(
    old: &View,
    new: &View,
    old_dir: &Node,
    new_dir: &Node,
    found: &mut Found<'_, E>,
) -> Result<bool, E> {
    let steps = compare(old, new, old_dir, new_dir)?;
    for step in &steps {
        match step {
            Step::Changed(node) => found(change(&node.path, Kind::Changed), Some(node))?,
            Step::Added(node) => found(change(&node.path, Kind::Added), Some(node))?,
            Step::Deleted(path) => found(change(path, Kind::Deleted), None)?,
        }
    }
    Ok(!steps.is_empty())
}

fn change(path: &Path, kind: Kind) -> Change {
    Change { path: path.to_owned(), kind }
}

/// Lists the steps from one directory to another, without the directory itself.
fn compare(old: &View, new: &View, old_dir: &Node, new_dir: &Node) -> Result<Vec<Step>, ViewError> {
    let mut steps = Vec::new();
    if old.is_same(old_dir, new, new_dir) {
        return Ok(steps);
    }
    let mut before: BTreeMap<OsString, Node> = old.children(old_dir)?;
    let after = new.children(new_dir)?;
    for (name, node) in after {
        match before.remove(&name) {
            None => added(new, node, &mut steps)?,
            Some(was) if was.stat.is_dir() && node.stat.is_dir() => {
                let inner = compare(old, new, &was, &node)?;
                if !inner.is_empty() || differs(old, new, &was, &node) {
                    steps.push(Step::Changed(node));
                }
                steps.extend(inner);
            }
            Some(was) if differs(old, new, &was, &node) => {
                let inside = if node.stat.is_dir() { new.children(&node)? } else { BTreeMap::new() };
                steps.push(Step::Changed(node));
                for child in inside.into_values() {
                    added(new, child, &mut steps)?;
                }
            }
            Some(_) => {}
        }
    }
    steps.extend(before.into_values().map(|node| Step::Deleted(node.path)));
    Ok(steps)
}

fn added(view: &View, node: Node, steps: &mut Vec<Step>) -> Result<(), ViewError> {
    let inside = if node.stat.is_dir() { view.children(&node)? } else { BTreeMap::new() };
    steps.push(Step::Added(node));
    for child in inside.into_values() {
        added(view, child, steps)?;
    }
    Ok(())
}

/// Tells whether two objects at one path are different ones, by what a listing shows: reading all contents to
/// find a file that was written back as it was is not worth it. A directory's time changes with what is in it.
fn differs(old: &View, new: &View, was: &Node, is: &Node) -> bool {
    if old.is_same(was, new, is) {
        return false;
    }
    let (a, b) = (&was.stat, &is.stat);
    let plain = a.kind != FileType::Directory;
    let times = (a.modified.tv_sec, a.modified.tv_nsec) != (b.modified.tv_sec, b.modified.tv_nsec);
    a.kind != b.kind
        || a.mode != b.mode
        || (a.uid, a.gid) != (b.uid, b.gid)
        || a.special != b.special
        || plain && (times || a.size != b.size)
}
