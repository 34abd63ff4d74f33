//! The directory an entry goes into.
//!
//! Neighbours in an archive share a directory, so the last one stays open. Only ever one: whatever removes something
//! has just opened the directory it is in, so what is open is never what is removed, nor below it. Where a layer has `x/y` and no `x`,
//! the directory is implied: it is made here, and remembered by its number, because a later entry may still
//! describe it, by whatever name.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::rc::Rc;

use ctr_core::Foreign;
use ctr_core::rooted::{Root, Stat, TreeError};
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;

use super::error::ApplyError;
use super::{LayerPath, dirs};
use crate::overlay::mark;

/// As many links as the kernel follows in one path.
const MAX_LINKS: usize = 40;

pub(super) struct Parents<'t> {
    tree: &'t Root,
    open: Option<(Vec<u8>, Rc<OwnedFd>)>,
    implied: HashMap<u64, Vec<u8>>,
    implied_bytes: usize,
    limit: usize,
}

impl<'t> Parents<'t> {
    /// Begins with the top of `tree`, which is implied until an entry says otherwise.
    pub(super) fn new(tree: &'t Root, limit: usize) -> Result<Self, ApplyError> {
        let top = Stat::of(tree).map_err(|errno| refused("stat", b"", errno))?;
        let implied = HashMap::from([(top.inode, Vec::new())]);
        Ok(Self { tree, open: None, implied, implied_bytes: 0, limit })
    }

    /// Opens the directory at `path`; what is missing of it is made, and its path given to `made`.
    pub(super) fn open(
        &mut self,
        path: &[u8],
        made: &mut dyn FnMut(&[u8]) -> Result<(), ApplyError>,
    ) -> Result<Rc<OwnedFd>, ApplyError> {
        if let Some((known, dir)) = &self.open
            && known == path
        {
            return Ok(Rc::clone(dir));
        }
        let dir = match self.open_dir(path) {
            Err(error) if matches!(error.errno(), Some(Errno::NOENT | Errno::NOTDIR)) => {
                self.imply(path, made)?;
                self.open_dir(path)
            }
            other => other,
        };
        let dir = Rc::new(dir.map_err(|source| tree_error(path, source))?);
        self.open = Some((path.to_vec(), Rc::clone(&dir)));
        Ok(dir)
    }

    /// Takes over a directory that was just opened: what comes next is most often inside.
    pub(super) fn keep(&mut self, path: Vec<u8>, dir: OwnedFd) {
        self.open = Some((path, Rc::new(dir)));
    }

    /// An entry describes the directory with this number.
    pub(super) fn described(&mut self, inode: u64) {
        self.implied.remove(&inode);
    }

    /// Returns the directories that no entry described.
    pub(super) fn finish(self) -> Result<Vec<LayerPath>, ApplyError> {
        let mut left = Vec::new();
        for (inode, path) in self.implied {
            if dirs::is_same(self.tree, &path, inode)? {
                left.push(LayerPath::new(path));
            }
        }
        left.sort_unstable();
        Ok(left)
    }

    fn open_dir(&self, path: &[u8]) -> Result<OwnedFd, TreeError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        self.tree.open_with(as_path(path), flags, Mode::empty())
    }

    /// Makes what is missing of `path`, one component after the other. Links are followed inside the tree, and
    /// a directory is made where a dangling one says it should be: a layer may have `lib -> usr/lib` and then
    /// `lib/x`.
    fn imply(
        &mut self,
        path: &[u8],
        made: &mut dyn FnMut(&[u8]) -> Result<(), ApplyError>,
    ) -> Result<(), ApplyError> {
        let split =
            |path: &[u8]| path.split(|byte| *byte == b'/').rev().map(<[u8]>::to_vec).collect::<Vec<_>>();
        let mut todo = split(path);
        let mut real: Vec<Vec<u8>> = Vec::new();
        let mut links = 0;
        while let Some(part) = todo.pop() {
            match part.as_slice() {
                b"" | b"." => continue,
                b".." => {
                    real.pop();
                    continue;
                }
                _ => real.push(part),
            }
            let here = real.join(&b'/');
            let found = match self.tree.lstat(as_path(&here)) {
                Ok(stat) => stat.kind,
                Err(error) if error.errno() == Some(Errno::NOENT) => {
                    self.make(&here, false)?;
                    made(&here)?;
                    continue;
                }
                Err(source) => return Err(tree_error(path, source)),
            };
            match found {
                FileType::Directory => {}
                FileType::Symlink => {
                    links += 1;
                    if links > MAX_LINKS {
                        return Err(refused("open", path, Errno::LOOP));
                    }
                    let text =
                        self.tree.read_link(as_path(&here)).map_err(|source| tree_error(path, source))?;
                    real.pop();
                    if text.as_bytes().starts_with(b"/") {
                        real.clear();
                    }
                    todo.extend(split(text.as_bytes()));
                }
                _ => {
                    self.replace_whiteout(&here, path)?;
                    made(&here)?;
                }
            }
        }
        Ok(())
    }

    /// A name that the layer deletes and then has things in: those are all there is in it.
    fn replace_whiteout(&mut self, here: &[u8], path: &[u8]) -> Result<(), ApplyError> {
        let (dir, name) = self.tree.parent_of(as_path(here)).map_err(|source| tree_error(path, source))?;
        let stat = Stat::at(dir.as_fd(), name).map_err(|errno| refused("stat", here, errno))?;
        let whiteout = mark::is_whiteout(dir.as_fd(), name, &stat, mark::Opacity::MarkedFiles);
        if !whiteout.map_err(|errno| refused("read", here, errno))? {
            return Err(ApplyError::Unsafe { path: Foreign::new(path), why: "lies in a file" });
        }
        self.tree.unlink(as_path(here)).map_err(|source| tree_error(path, source))?;
        self.make(here, true)
    }

    fn make(&mut self, path: &[u8], opaque: bool) -> Result<(), ApplyError> {
        self.implied_bytes += path.len();
        if self.implied_bytes > self.limit {
            let limit = u64::try_from(self.limit).unwrap_or(u64::MAX);
            return Err(ApplyError::Limit { what: "bytes of names of implied directories", limit });
        }
        self.tree.mkdir(as_path(path), Mode::RWXU).map_err(|source| tree_error(path, source))?;
        let dir = self.open_dir(path).map_err(|source| tree_error(path, source))?;
        if opaque {
            mark::set_opaque(&dir).map_err(|errno| refused("set an attribute of", path, errno))?;
        }
        // The umask had its say on the mode of mkdir.
        rustix::fs::fchmod(&dir, Mode::from_raw_mode(0o755))
            .map_err(|errno| refused("change the mode of", path, errno))?;
        let stat = Stat::of(&dir).map_err(|errno| refused("stat", path, errno))?;
        self.implied.insert(stat.inode, path.to_vec());
        Ok(())
    }
}

pub(super) fn as_path(path: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(path))
}

pub(super) fn tree_error(path: &[u8], source: TreeError) -> ApplyError {
    ApplyError::Tree { path: Foreign::new(path), source }
}

pub(super) fn refused(verb: &'static str, path: &[u8], errno: Errno) -> ApplyError {
    ApplyError::Refused { verb, path: Foreign::new(path), errno }
}
