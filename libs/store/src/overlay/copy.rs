//! Copies what a view shows.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use ctr_core::rooted::{Root, Trail};
use rustix::fs::{AtFlags, FileType, Mode};
use rustix::io::Errno;

use super::replicate::{self, Contents, Failure, Marks};
use super::view::{Node, View, ViewError};

/// A merged view could not be copied.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// A tree of it cannot be read.
    #[error(transparent)]
    View(#[from] ViewError),
    /// An object cannot be made.
    #[error("cannot {verb} {path:?} while copying")]
    Refused {
        /// What was tried, as an infinitive.
        verb: &'static str,
        /// The path inside the view.
        path: PathBuf,
        /// Why.
        #[source]
        errno: Errno,
    },
}

fn at(path: &Path) -> impl Fn(Failure) -> CopyError {
    move |Failure { verb, errno }| CopyError::Refused { verb, path: path.to_owned(), errno }
}

/// What was copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Copied {
    /// Objects.
    pub objects: u64,
    /// The blocks of files are shared with the originals.
    pub reflinked: bool,
}

struct Copy<'v> {
    view: &'v View,
    into: &'v Root,
    contents: Contents,
    /// Files with several names, by tree and number: where the first is.
    linked: HashMap<(usize, u64, u64), PathBuf>,
    objects: u64,
    files: u64,
}

/// Copies all that `view` shows into the empty directory `into`.
pub fn copy(view: &View, into: &Root) -> Result<Copied, CopyError> {
    let mut copy =
        Copy { view, into, contents: Contents::Reflink, linked: HashMap::new(), objects: 0, files: 0 };
    let top = view.top()?;
    let handle = into.open_dir("/").map_err(|source| ViewError { path: PathBuf::new(), source })?;
    copy.directory(top, handle)?;
    Ok(Copied { objects: copy.objects, reflinked: copy.files > 0 && copy.contents == Contents::Reflink })
}

impl Copy<'_> {
    /// Copies what is in a directory, however deep, and gives each one its attributes once all is in it.
    fn directory(&mut self, top: Node, to: OwnedFd) -> Result<(), CopyError> {
        let mut to = Trail::new(to);
        let children = self.view.children(&top)?;
        let mut levels = vec![(top, children)];
        while let Some((node, children)) = levels.last_mut() {
            let moved = |errno| at(&node.path)(Failure { verb: "follow", errno });
            let Some((name, child)) = children.pop_first() else {
                let from = OwnedFd::from(self.view.open(node)?);
                replicate::describe(to.here(), &from, &node.stat, None, Marks::Drop, None)
                    .map_err(at(&node.path))?;
                to.leave().map_err(moved)?;
                levels.pop();
                continue;
            };
            self.objects += 1;
            if !child.stat.is_dir() {
                self.object(&child, to.here(), &name)?;
                continue;
            }
            replicate::make_dir(to.here(), &name).map_err(at(&child.path))?;
            if to.enter(&name).map_err(moved)? {
                let children = self.view.children(&child)?;
                levels.push((child, children));
            }
        }
        Ok(())
    }

    fn object(&mut self, node: &Node, to: BorrowedFd<'_>, name: &OsStr) -> Result<(), CopyError> {
        if self.link(node, to, name)? {
            return Ok(());
        }
        if node.stat.kind == FileType::RegularFile {
            let from = OwnedFd::from(self.view.open(node)?);
            let made = replicate::create(to, name, Mode::RUSR | Mode::WUSR).map_err(at(&node.path))?;
            self.files += u64::from(node.stat.size > 0);
            let contents = self.view.contents(node, &from)?;
            let contents = contents.as_ref().unwrap_or(&from);
            replicate::fill(&made, contents, node.stat.size, &mut self.contents).map_err(at(&node.path))?;
            return replicate::describe(made.as_fd(), &from, &node.stat, None, Marks::Drop, None)
                .map_err(at(&node.path));
        }
        let link = match node.stat.kind {
            FileType::Symlink => Some(self.view.read_link(node)?),
            _ => None,
        };
        if replicate::special(to, name, &node.stat, link).map_err(at(&node.path))? {
            replicate::describe_special(to, name, &node.stat, None).map_err(at(&node.path))?;
        }
        Ok(())
    }

    /// Gives a file that was copied already its other name.
    fn link(&mut self, node: &Node, to: BorrowedFd<'_>, name: &OsStr) -> Result<bool, CopyError> {
        if node.stat.nlink < 2 {
            return Ok(false);
        }
        let key = (node.tree(), node.stat.device, node.stat.inode);
        let Some(first) = self.linked.get(&key) else {
            self.linked.insert(key, node.path.clone());
            return Ok(false);
        };
        let linked = self.into.parent_of(first).map_err(|source| ViewError { path: first.clone(), source });
        let (dir, first_name) = linked?;
        match rustix::fs::linkat(&dir, first_name, to, name, AtFlags::empty()) {
            Ok(()) => Ok(true),
            // More names than the file system allows for one file, or a first that was left out.
            Err(Errno::MLINK | Errno::NOENT) => Ok(false),
            Err(errno) => Err(at(&node.path)(Failure { verb: "link", errno })),
        }
    }
}
