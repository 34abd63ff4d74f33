//! A side of a copy that has paths: what a path of it leads to, as a source and as a target.

use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};

use ctr_core::rooted::{Root, Stat, TreeError};
use ctr_store::transfer::TransferError;
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;

use super::CopyError;
use crate::run::visit::Files;

/// Links that lead to links, at most.
const MAX_LINKS: usize = 40;
/// What a container's root has of the kernel's.
const KERNEL: &[&str] = &["dev", "proc", "sys"];

/// What is copied.
pub(super) struct Found {
    pub(super) object: OwnedFd,
    pub(super) is_dir: bool,
    /// Its own name; none where only what is in it is copied.
    pub(super) name: Option<OsString>,
    pub(super) without: &'static [&'static str],
}

/// What a target must be.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// A directory that is there.
    Folder,
    /// A place for a directory.
    Either,
    /// A place for a file.
    File,
}

/// Where it goes.
pub(super) struct Spot {
    pub(super) folder: PathBuf,
    /// Another name than the source's.
    pub(super) name: Option<OsString>,
}

/// A side that has paths.
pub(super) struct Tree<'a> {
    pub(super) root: Root,
    /// Absolute, with a slash or dot at its end as it was named.
    path: PathBuf,
    named: &'a Path,
    /// The container's, if it is one's.
    pub(super) files: Option<&'a Files>,
}

impl<'a> Tree<'a> {
    /// The host, which is no container's but the user's.
    pub(super) fn host(named: &'a Path) -> Result<Self, CopyError> {
        let unreadable =
            |source| CopyError::Unreadable { path: named.to_owned(), side: "the host".to_owned(), source };
        let here = std::env::current_dir()
            .map_err(|source| unreadable(TreeError::Read { path: named.to_owned(), source }))?;
        let root = Root::open("/").map_err(unreadable)?;
        Ok(Self { root, path: here.join(named), named, files: None })
    }

    /// A container; a path that is not absolute is relative to where its command starts.
    pub(super) fn container(files: &'a Files, named: &'a Path) -> Result<Self, CopyError> {
        let workdir = Path::new("/").join(&files.container.record.process.workdir);
        let path = workdir.join(named);
        let unreadable = |source| CopyError::Unreadable {
            path: named.to_owned(),
            side: format!("container {}", files.container.record.name),
            source,
        };
        let root = files.root.try_clone().map_err(unreadable)?;
        Ok(Self { root, path, named, files: Some(files) })
    }

    fn side(&self) -> String {
        self.files
            .map_or_else(|| "the host".to_owned(), |it| format!("container {}", it.container.record.name))
    }

    pub(super) fn failed(&self, source: TransferError) -> CopyError {
        CopyError::Transfer { to: self.files.map_or("host", |_| "container").to_owned(), source }
    }

    fn lost(&self, source: TreeError) -> CopyError {
        if source.is_missing() {
            CopyError::Missing { path: self.named.to_owned(), side: self.side() }
        } else {
            CopyError::Unreadable { path: self.named.to_owned(), side: self.side(), source }
        }
    }

    /// Opens what is to be copied.
    pub(super) fn source(&self) -> Result<Found, CopyError> {
        let settled = self.settle().map_err(|error| self.lost(error))?;
        // The host's own links are as they are named, a container's are its own business.
        let shown = if self.files.is_some() { &settled } else { &self.path };
        let name = plain(shown).file_name().map(OsStr::to_owned);
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
        let object = match self.files {
            // What is on the host is the user's, magic links (`/dev/stdin`) and all.
            None => open_own(&self.path).map_err(|source| self.lost(source))?,
            Some(_) => {
                // A pipe or a device is looked at before it is opened.
                let stat = self.root.stat(&settled).map_err(|error| self.lost(error))?;
                if !matches!(stat.kind, FileType::RegularFile | FileType::Directory) {
                    return Err(self.failed(TransferError::Kind { path: self.named.to_owned() }));
                }
                self.root.open_with(&settled, flags, Mode::empty()).map_err(|error| self.lost(error))?
            }
        };
        let stat = Stat::of(&object).map_err(|errno| self.lost(refused(self.named, errno)))?;
        if !matches!(stat.kind, FileType::RegularFile | FileType::Directory) {
            return Err(self.failed(TransferError::Kind { path: self.named.to_owned() }));
        }
        let is_dir = stat.is_dir();
        if !is_dir && ends_with_slash(self.named) {
            return Err(self.lost(refused(self.named, Errno::NOTDIR)));
        }
        let contents_only = is_dir && (ends_with_dot(self.named) || name.is_none());
        let is_top = self.files.is_some() && name.is_none();
        Ok(Found {
            object,
            is_dir,
            name: if contents_only { None } else { name },
            without: if is_top { KERNEL } else { &[] },
        })
    }

    /// Finds where things go.
    pub(super) fn spot(&self, wanted: Wanted) -> Result<Spot, CopyError> {
        match self.root.stat(&self.path) {
            Ok(stat) if stat.is_dir() => Ok(Spot { folder: self.path.clone(), name: None }),
            Ok(_) if wanted != Wanted::File => Err(CopyError::ToFile),
            Ok(stat) if self.files.is_none() && stat.kind != FileType::RegularFile => {
                Err(CopyError::Kind(self.named.to_owned()))
            }
            Ok(_) => self.beside(),
            Err(error) if !error.is_missing() && is_magic(&error) && self.files.is_none() => {
                Err(CopyError::Kind(self.named.to_owned()))
            }
            Err(error) if !error.is_missing() => Err(self.lost(error)),
            Err(error) if wanted == Wanted::Folder => Err(self.lost(error)),
            Err(error) if ends_with_slash(self.named) || ends_with_dot(self.named) => Err(self.lost(error)),
            Err(_) => self.beside(),
        }
    }

    /// A name in a directory that is there, through links at the end of the path.
    fn beside(&self) -> Result<Spot, CopyError> {
        let path = self.settle().map_err(|error| self.lost(error))?;
        let path = plain(&path);
        let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(CopyError::ToFile);
        };
        let stat = self.root.stat(folder).map_err(|error| self.lost(error))?;
        if !stat.is_dir() {
            return Err(self.lost(refused(self.named, Errno::NOTDIR)));
        }
        Ok(Spot { folder: folder.to_owned(), name: Some(name.to_owned()) })
    }

    /// Follows links at the end of the path, also one that leads nowhere.
    fn settle(&self) -> Result<PathBuf, TreeError> {
        let mut path = self.path.clone();
        for _ in 0..MAX_LINKS {
            // `x/.` and `x/` are what x leads to.
            let bare: PathBuf = path.components().collect();
            let text = match self.root.lstat(&bare) {
                Ok(stat) if stat.kind == FileType::Symlink => self.root.read_link(&bare)?,
                Ok(_) => return Ok(bare),
                Err(error) if error.is_missing() => return Ok(bare),
                Err(error) => return Err(error),
            };
            path = bare.parent().unwrap_or(Path::new("/")).join(text);
        }
        Err(refused(&self.path, Errno::LOOP))
    }

    /// What entries are resolved in. On the host that is the target itself: nothing that comes leads out of it.
    pub(super) fn anchor(&self, folder: &Path) -> Result<Root, CopyError> {
        let root = match self.files {
            Some(_) => self.root.try_clone(),
            None => self.root.open_dir(folder).map(Root::from_dir),
        };
        root.map_err(|error| self.lost(error))
    }

    pub(super) fn below(&self, folder: &Path) -> PathBuf {
        if self.files.is_some() { plain(folder) } else { PathBuf::new() }
    }
}

/// Opens a file or directory of the user's.
fn open_own(path: &Path) -> Result<OwnedFd, TreeError> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).map_err(|errno| refused(path, errno))
}

fn refused(path: &Path, errno: Errno) -> TreeError {
    TreeError::Refused { verb: "open", path: path.to_owned(), errno }
}

/// What only the kernel can resolve (`/proc/self/fd/1`).
fn is_magic(error: &TreeError) -> bool {
    error.errno() == Some(Errno::LOOP)
}

/// Without dots: for a name, and for a path that a handle resolves.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::from("/");
    for part in path.components() {
        match part {
            Component::ParentDir => {
                plain.pop();
            }
            Component::Normal(name) => plain.push(name),
            _ => {}
        }
    }
    plain
}

fn ends_with_slash(path: &Path) -> bool {
    path.as_os_str().as_encoded_bytes().ends_with(b"/")
}

fn ends_with_dot(path: &Path) -> bool {
    let bytes = path.as_os_str().as_encoded_bytes();
    bytes == b"." || bytes.ends_with(b"/.") || bytes == b"./"
}
