//! Several trees seen as overlayfs would show them, without mounting anything.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use ctr_core::rooted::{Entries, Root, Stat, TreeError};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::mark::{self, Opacity};

/// A tree of a view could not be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {path:?} of a layer")]
pub struct ViewError {
    /// The path inside the layer.
    pub path: PathBuf,
    /// Why.
    #[source]
    pub source: TreeError,
}

fn errno_at(verb: &'static str, path: &Path) -> impl Fn(Errno) -> ViewError {
    move |errno| ViewError {
        path: path.to_owned(),
        source: TreeError::Refused { verb, path: path.to_owned(), errno },
    }
}

fn error_at(path: &Path) -> impl Fn(TreeError) -> ViewError {
    move |source| ViewError { path: path.to_owned(), source }
}

/// An object that a view shows.
#[derive(Debug, Clone)]
pub struct Node {
    /// Its path from the top, which is the empty path.
    pub path: PathBuf,
    /// What it is, as the topmost tree that has it says.
    pub stat: Stat,
    /// The trees that it comes from, the topmost first; more than one only for a directory.
    trees: Vec<usize>,
}

impl Node {
    /// Returns the number of the tree that the object itself comes from, the topmost being 0.
    #[must_use]
    pub fn tree(&self) -> usize {
        self.trees.first().copied().unwrap_or(0)
    }

    /// Returns all trees that it comes from, the topmost first.
    #[must_use]
    pub fn trees(&self) -> &[usize] {
        &self.trees
    }
}

/// Trees, the topmost first, merged.
#[derive(Debug)]
pub struct View {
    trees: Vec<Root>,
    /// What tells each tree from others: its device and number.
    identities: Vec<Option<(u64, u64)>>,
    /// Trees that only hold contents for metadata-only clones, the topmost first.
    data: Vec<Root>,
    /// What overlayfs would take for its marks is what somebody keeps there.
    plain: bool,
}

impl View {
    /// Merges `trees`, the topmost first.
    #[must_use]
    pub fn of(trees: Vec<Root>) -> Self {
        let identity = |tree: &Root| Stat::of(tree).ok().map(|stat| (stat.device, stat.inode));
        let identities = trees.iter().map(identity).collect();
        Self { trees, identities, data: Vec::new(), plain: false }
    }

    /// One tree as it is: nothing in it is a mark, whatever it looks like.
    #[must_use]
    pub fn plain(tree: Root) -> Self {
        Self { plain: true, ..Self::of(vec![tree]) }
    }

    fn opacity(&self, dir: &OwnedFd) -> rustix::io::Result<Opacity> {
        if self.plain { Ok(Opacity::Merged) } else { mark::opacity(dir) }
    }

    /// Takes contents of metadata-only clones from `data`, the topmost first.
    #[must_use]
    pub fn with_data(self, data: Vec<Root>) -> Self {
        Self { data, ..self }
    }

    /// Returns how many trees this view has on top of all those of another; none if it is not stacked on it.
    pub(crate) fn above(&self, other: &Self) -> usize {
        let count = self.identities.len().saturating_sub(other.identities.len());
        let rest = self.identities.get(count..).unwrap_or_default();
        if rest == other.identities && rest.iter().all(Option::is_some) { count } else { 0 }
    }

    /// Tells whether a node of this view and one of another at the same path are the same object or directory,
    /// merged from the same trees.
    pub(crate) fn is_same(&self, node: &Node, other: &Self, other_node: &Node) -> bool {
        let identity = |view: &Self, tree: &usize| view.identities.get(*tree).copied().flatten();
        let mut pairs = node.trees.iter().zip(&other_node.trees);
        node.trees.len() == other_node.trees.len()
            && pairs.all(|(tree, other_tree)| {
                let identity_here = identity(self, tree);
                identity_here.is_some() && identity_here == identity(other, other_tree)
            })
    }

    fn root(&self, tree: usize) -> Result<&Root, ViewError> {
        self.trees.get(tree).ok_or(Errno::NOENT).map_err(errno_at("open", Path::new("")))
    }

    /// Returns the top of the view.
    pub fn top(&self) -> Result<Node, ViewError> {
        let top = Path::new("");
        let stat = Stat::of(self.root(0)?).map_err(errno_at("stat", top))?;
        let mut trees = Vec::new();
        for (number, root) in self.trees.iter().enumerate() {
            trees.push(number);
            if self.opacity(&open_dir(root, top)?).map_err(errno_at("read", top))? == Opacity::Opaque {
                break;
            }
        }
        Ok(Node { path: PathBuf::new(), stat, trees })
    }

    /// Returns what is in a directory, by name.
    pub fn children(&self, dir: &Node) -> Result<BTreeMap<OsString, Node>, ViewError> {
        Ok(self.few_children(dir, usize::MAX)?.unwrap_or_default())
    }

    /// The same; nothing if there are more names than `most`.
    pub fn few_children(
        &self,
        dir: &Node,
        most: usize,
    ) -> Result<Option<BTreeMap<OsString, Node>>, ViewError> {
        let mut found: BTreeMap<OsString, Found> = BTreeMap::new();
        for tree in &dir.trees {
            let handle = open_dir(self.root(*tree)?, &dir.path)?;
            let at_dir = |verb| errno_at(verb, &dir.path);
            let opacity = self.opacity(&handle).map_err(at_dir("read"))?;
            let entries = Entries::new(handle).map_err(at_dir("list"))?;
            let handle = entries
                .dir()
                .and_then(|dir| rustix::io::fcntl_dupfd_cloexec(dir, 0))
                .map_err(at_dir("list"))?;
            for entry in entries {
                let name = entry.map_err(at_dir("list"))?.name;
                if found.len() >= most {
                    return Ok(None);
                }
                if found.get(&name).is_none_or(|found| found.open) {
                    let seen = self.look(&handle, &name, opacity).map_err(at_dir("read"))?;
                    found.entry(name).or_default().add(*tree, seen);
                }
            }
            if opacity == Opacity::Opaque {
                break;
            }
        }
        let node = |(name, found): (OsString, Found)| {
            let path = dir.path.join(&name);
            let node = Node { path, stat: found.stat?, trees: found.trees };
            Some((name, node))
        };
        Ok(Some(found.into_iter().filter_map(node).collect()))
    }

    /// Returns the object at `path`, links not followed; none if there is none.
    pub fn find(&self, path: &Path) -> Result<Option<Node>, ViewError> {
        let mut node = self.top()?;
        for part in path.components() {
            let std::path::Component::Normal(name) = part else { continue };
            if !node.stat.is_dir() {
                return Ok(None);
            }
            match self.child(&node, name)? {
                Some(child) => node = child,
                None => return Ok(None),
            }
        }
        Ok(Some(node))
    }

    pub(super) fn child(&self, dir: &Node, name: &OsStr) -> Result<Option<Node>, ViewError> {
        let mut found = Found::default();
        for tree in &dir.trees {
            let handle = open_dir(self.root(*tree)?, &dir.path)?;
            let opacity = self.opacity(&handle).map_err(errno_at("read", &dir.path))?;
            match self.look(&handle, name, opacity) {
                Ok(seen) => found.add(*tree, seen),
                Err(Errno::NOENT) => {}
                Err(errno) => return Err(errno_at("stat", &dir.path)(errno)),
            }
            if !found.open || opacity == Opacity::Opaque {
                break;
            }
        }
        let Found { stat, trees, .. } = found;
        Ok(stat.map(|stat| Node { path: dir.path.join(name), stat, trees }))
    }

    /// Opens an object of one of the trees for reading, links not followed.
    pub(super) fn open_in(&self, tree: usize, path: &Path, flags: OFlags) -> Result<OwnedFd, ViewError> {
        let flags = flags | OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
        self.root(tree)?.open_with(path, flags, Mode::empty()).map_err(error_at(path))
    }

    /// Opens the regular file or directory that a node stands for, for reading.
    pub fn open(&self, node: &Node) -> Result<File, ViewError> {
        self.open_in(node.tree(), &node.path, OFlags::empty()).map(File::from)
    }

    /// Opens what holds the contents of the regular file `node`, itself open as `file`: another one, if it is a
    /// metadata-only clone.
    pub(super) fn contents(&self, node: &Node, file: &OwnedFd) -> Result<Option<OwnedFd>, ViewError> {
        if self.data.is_empty() || node.stat.size == 0 {
            return Ok(None);
        }
        let Some(target) = mark::redirect(file).map_err(errno_at("read", &node.path))? else {
            return Ok(None);
        };
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
        for tree in &self.data {
            match tree.open_with(&target, flags, Mode::empty()) {
                Ok(found) => return Ok(Some(found)),
                Err(error) if error.is_missing() => {}
                Err(source) => return Err(error_at(&node.path)(source)),
            }
        }
        Err(errno_at("find the contents of", &node.path)(Errno::NOENT))
    }

    /// Returns the text of the link that a node stands for.
    pub fn read_link(&self, node: &Node) -> Result<OsString, ViewError> {
        self.root(node.tree())?.read_link(&node.path).map_err(error_at(&node.path))
    }
}

impl View {
    /// Looks at one name of one tree: none if it is a whiteout.
    fn look(
        &self,
        dir: &OwnedFd,
        name: &OsStr,
        opacity: Opacity,
    ) -> rustix::io::Result<Option<(Stat, Opacity)>> {
        if self.plain {
            return Stat::at(dir.as_fd(), name).map(|stat| Some((stat, Opacity::Merged)));
        }
        look(dir, name, opacity)
    }
}

/// What the trees so far say about a name.
#[derive(Debug)]
struct Found {
    stat: Option<Stat>,
    trees: Vec<usize>,
    /// A tree further down may still add to it.
    open: bool,
}

impl Default for Found {
    fn default() -> Self {
        Self { stat: None, trees: Vec::new(), open: true }
    }
}

impl Found {
    fn add(&mut self, tree: usize, seen: Option<(Stat, Opacity)>) {
        match (seen, &self.stat) {
            // Deleted here, or something else than the directory above: nothing below shows.
            (None, _) => self.open = false,
            (Some((stat, _)), Some(_)) if !stat.is_dir() => self.open = false,
            (Some((stat, opacity)), _) => {
                self.open = stat.is_dir() && opacity != Opacity::Opaque;
                self.trees.push(tree);
                self.stat.get_or_insert(stat);
            }
        }
    }
}

/// Looks at one name of one tree: none if it is a whiteout.
fn look(dir: &OwnedFd, name: &OsStr, opacity: Opacity) -> rustix::io::Result<Option<(Stat, Opacity)>> {
    let stat = Stat::at(dir.as_fd(), name)?;
    if mark::is_whiteout(dir.as_fd(), name, &stat, opacity)? {
        return Ok(None);
    }
    let own = if stat.is_dir() {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        mark::opacity(&rustix::fs::openat(dir, name, flags, Mode::empty())?)?
    } else {
        Opacity::Merged
    };
    Ok(Some((stat, own)))
}

fn open_dir(root: &Root, path: &Path) -> Result<OwnedFd, ViewError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW;
    root.open_with(path, flags, Mode::empty()).map_err(error_at(path))
}
