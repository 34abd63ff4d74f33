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
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use ctr_core::rooted::{Root, TreeError};
use ctr_userns::map::IdMaps;
use rustix::fs::FileType;
use serde::{Deserialize, Serialize};

use crate::apply::Applied;
use crate::apply::xattr::{Trust, trust};
use crate::overlay::replicate::{self, Failure};
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

/// As [`layer`], with the owners of `new` as a namespace with these maps sees them.
pub(crate) fn layer_from<W: Write>(old: &View, new: &View, maps: &IdMaps, out: W) -> Result<W, PackError> {
    let mut pack = Pack::new(out).seen_from(maps);
    walk(old, new, &mut |change, node| match node {
        Some(node) => pack.node(new, node),
        None => pack.whiteout(&change.path),
    })?;
    pack.finish()
}

/// Writes an upper directory of overlayfs as a layer, with owners as a namespace with these maps sees them.
pub(crate) fn upper<W: Write>(upper: &Root, maps: &IdMaps, out: W) -> Result<W, PackError> {
    let mut pack = Pack::new(out).seen_from(maps);
    pack.tree(upper, &Applied::default())?;
    pack.finish()
}

/// Writes a layer in which nothing changed.
pub(crate) fn nothing<W: Write>(out: W) -> Result<W, PackError> {
    Pack::new(out).finish()
}

/// Writes the tree of one layer as the layer that it came from, or would have come from.
pub fn tree<W: Write>(tree: &Root, applied: &Applied, out: W) -> Result<W, PackError> {
    let mut pack = Pack::new(out);
    pack.tree(tree, applied)?;
    pack.finish()
}

/// Writes all that a view shows.
pub fn export<W: Write>(view: &View, out: W) -> Result<W, PackError> {
    all(view, Pack::new(out))
}

/// As [`export`], with the owners of the topmost tree as a namespace with these maps sees them: that one is a container's,
/// the others are its image's.
pub fn export_container<W: Write>(view: &View, maps: &IdMaps, out: W) -> Result<W, PackError> {
    all(view, Pack::new(out).seen_from(maps).at_the_top())
}

fn all<W: Write>(view: &View, mut pack: Pack<W>) -> Result<W, PackError> {
    let mut todo = vec![view.top()?];
    while let Some(node) = todo.pop() {
        if !node.path.as_os_str().is_empty() {
            match pack.node(view, &node) {
                // Where somebody works, things go.
                Err(error) if error.is_gone() => continue,
                other => other?,
            }
        }
        if node.stat.is_dir() {
            match view.children(&node) {
                Err(error) if error.source.is_missing() => {}
                children => todo.extend(children?.into_values().rev()),
            }
        }
    }
    pack.finish()
}

type Found<'f, E> = dyn FnMut(Change, Option<&Node>) -> Result<(), E> + 'f;

/// Goes through two views side by side. A directory is reported before what is in it.
fn walk<E: From<ViewError>>(old: &View, new: &View, found: &mut Found<'_, E>) -> Result<(), E> {
    let pair = Pair { old, new, above: new.above(old) };
    for step in &pair.compare(old.top()?, new.top()?)? {
        match step {
            Step::Changed(node) => found(change(&node.path, Kind::Changed), Some(node))?,
            Step::Added(node) => found(change(&node.path, Kind::Added), Some(node))?,
            Step::Deleted(path) => found(change(path, Kind::Deleted), None)?,
        }
    }
    Ok(())
}

/// What is reported.
enum Step {
    Changed(Node),
    Added(Node),
    Deleted(PathBuf),
}

fn change(path: &Path, kind: Kind) -> Change {
    Change { path: path.to_owned(), kind }
}

/// Two views that are compared.
struct Pair<'v> {
    old: &'v View,
    new: &'v View,
    /// How many trees the new one has on top of the old one, if it is the old one with changes.
    above: usize,
}

/// Two directories that are compared.
struct Level {
    was: Node,
    node: Node,
    /// What of the old one has not been found in the new one yet.
    before: BTreeMap<OsString, Node>,
    /// What of the new one is still to be looked at.
    after: BTreeMap<OsString, Node>,
    steps: Vec<Step>,
}

impl Pair<'_> {
    /// Lists the steps from one directory to another, without the directory itself.
    fn compare(&self, old: Node, new: Node) -> Result<Vec<Step>, ViewError> {
        let mut levels: Vec<Level> = self.level(old, new)?.into_iter().collect();
        while let Some(level) = levels.last_mut() {
            if let Some((name, node)) = level.after.pop_first() {
                match level.before.remove(&name) {
                    None => self.added(node, &mut level.steps)?,
                    Some(was) if was.stat.is_dir() && node.stat.is_dir() => {
                        levels.extend(self.level(was, node)?);
                    }
                    Some(was) if self.differs(&was, &node)? => {
                        let inside = self.inside(&node)?;
                        level.steps.push(Step::Changed(node));
                        for child in inside.into_values() {
                            self.added(child, &mut level.steps)?;
                        }
                    }
                    Some(_) => {}
                }
                continue;
            }
            let Some(Level { was, node, before, mut steps, .. }) = levels.pop() else { break };
            steps.extend(before.into_values().map(|node| Step::Deleted(node.path)));
            let Some(above) = levels.last_mut() else { return Ok(steps) };
            if !steps.is_empty() || self.differs(&was, &node)? {
                above.steps.push(Step::Changed(node));
            }
            above.steps.append(&mut steps);
        }
        Ok(Vec::new())
    }

    /// Begins to compare two directories, unless they are the same.
    fn level(&self, was: Node, node: Node) -> Result<Option<Level>, ViewError> {
        if self.old.is_same(&was, self.new, &node) {
            return Ok(None);
        }
        let (before, after) = (self.old.children(&was)?, self.new.children(&node)?);
        Ok(Some(Level { was, node, before, after, steps: Vec::new() }))
    }

    fn inside(&self, node: &Node) -> Result<BTreeMap<OsString, Node>, ViewError> {
        if node.stat.is_dir() { self.new.children(node) } else { Ok(BTreeMap::new()) }
    }

    /// Lists a node and all below it.
    fn added(&self, node: Node, steps: &mut Vec<Step>) -> Result<(), ViewError> {
        let mut todo = vec![node];
        while let Some(node) = todo.pop() {
            todo.extend(self.inside(&node)?.into_values().rev());
            steps.push(Step::Added(node));
        }
        Ok(())
    }

    /// Tells whether two objects at one path are different ones.
    ///
    /// What overlayfs copied up was changed: that is why it did. Between unrelated trees it is told by what a listing
    /// shows, as reading all contents would take too long. A directory's time changes with what is in it.
    fn differs(&self, was: &Node, is: &Node) -> Result<bool, ViewError> {
        if self.old.is_same(was, self.new, is) {
            return Ok(false);
        }
        let (a, b) = (&was.stat, &is.stat);
        let plain = a.kind != FileType::Directory;
        let times = (a.modified.tv_sec, a.modified.tv_nsec) != (b.modified.tv_sec, b.modified.tv_nsec);
        let listed = a.kind != b.kind
            || a.mode != b.mode
            || (a.uid, a.gid) != (b.uid, b.gid)
            || a.special != b.special
            || plain && (times || a.size != b.size || is.tree() < self.above);
        Ok(listed || attributes(self.old, was)? != attributes(self.new, is)?)
    }
}

/// Returns the extended attributes that a layer can bring.
fn attributes(view: &View, node: &Node) -> Result<Vec<(OsString, Vec<u8>)>, ViewError> {
    if !matches!(node.stat.kind, FileType::RegularFile | FileType::Directory) {
        return Ok(Vec::new());
    }
    let file = view.open(node)?.into();
    let mut found = replicate::attributes(&file).map_err(|Failure { verb, errno }| ViewError {
        path: node.path.clone(),
        source: TreeError::Refused { verb, path: node.path.clone(), errno },
    })?;
    found.retain(|(name, _)| trust(name.as_bytes()) != Trust::Drop);
    found.sort();
    Ok(found)
}
