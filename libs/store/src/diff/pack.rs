//! Objects of trees as entries of an archive.

use std::collections::{BTreeSet, HashMap};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use ctr_core::rooted::{Entries, Entry, Root, Stat, Trail, TreeError};
use ctr_userns::map::IdMaps;
use rustix::fs::{FileType, OFlags};
use rustix::io::Errno;

use crate::apply::xattr::{Trust, trust};
use crate::apply::{Applied, LayerPath};
use crate::overlay::mark::{self, Opacity};
use crate::overlay::replicate::{self, Failure};
use crate::overlay::{Node, View, ViewError};
use crate::tar::{Header, Kind, WriteError, Writer};

/// As many directories in one another as a path has room for.
const MAX_DEPTH: usize = 2048;

/// A directory that is being packed.
struct Level {
    path: PathBuf,
    opacity: Opacity,
    /// What is still to be packed of it.
    entries: std::vec::IntoIter<Entry>,
}

/// A tree could not be made an archive.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// A view cannot be read.
    #[error(transparent)]
    View(#[from] ViewError),
    /// A tree cannot be opened.
    #[error("cannot open a tree")]
    Tree(#[from] TreeError),
    /// An object cannot be read.
    #[error("cannot {verb} {path:?}")]
    Refused {
        /// What was tried, as an infinitive.
        verb: &'static str,
        /// The path in the tree.
        path: PathBuf,
        /// Why.
        #[source]
        errno: Errno,
    },
    /// The archive cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// A file belongs to nobody whom the container knows.
    #[error("{path:?} belongs to {uid}:{gid}, which the container's id map does not have")]
    Foreign {
        /// The path in the tree.
        path: PathBuf,
        /// Its owner.
        uid: u32,
        /// Its group.
        gid: u32,
    },
}

impl PackError {
    /// Tells whether somebody changed the tree while it was read.
    pub(crate) fn is_race(&self) -> bool {
        match self {
            Self::Refused { errno, .. } => matches!(*errno, Errno::NOENT | Errno::STALE),
            Self::Write(error) => matches!(error, WriteError::Shrunk { .. }),
            Self::View(error) => error.source.is_missing(),
            Self::Tree(error) => error.is_missing(),
            Self::Foreign { .. } => false,
        }
    }

    /// Tells whether an object of a view went before anything of it was written.
    pub(super) fn is_gone(&self) -> bool {
        matches!(self, Self::View(error) if error.source.is_missing())
    }

    /// Tells whether nobody reads the archive any more.
    pub(crate) fn is_broken_pipe(&self) -> bool {
        matches!(self, Self::Write(WriteError::Write(error)) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}

fn at(path: &Path) -> impl Fn(Failure) -> PackError {
    move |Failure { verb, errno }| PackError::Refused { verb, path: path.to_owned(), errno }
}

fn errno_at(verb: &'static str, path: &Path) -> impl Fn(Errno) -> PackError {
    move |errno| PackError::Refused { verb, path: path.to_owned(), errno }
}

/// An archive that is being written.
pub(super) struct Pack<W> {
    writer: Writer<W>,
    /// Files with several names, by file system and number: the entry that has the contents.
    linked: HashMap<(u64, u64), Vec<u8>>,
    /// From which namespace owners are seen, if not from this one.
    maps: Option<IdMaps>,
    /// Only those of a view's topmost tree are.
    at_the_top: bool,
}

impl<W: Write> Pack<W> {
    pub(super) fn new(out: W) -> Self {
        Self { writer: Writer::new(out), linked: HashMap::new(), maps: None, at_the_top: false }
    }

    /// Gives owners the numbers that they have in a namespace with these maps.
    pub(super) fn seen_from(self, maps: &IdMaps) -> Self {
        Self { maps: Some(maps.clone()), ..self }
    }

    /// Of a view, to those of its topmost tree alone.
    pub(super) fn at_the_top(self) -> Self {
        Self { at_the_top: true, ..self }
    }

    pub(super) fn finish(self) -> Result<W, PackError> {
        Ok(self.writer.finish()?)
    }

    /// Adds what a node of a view stands for.
    pub(super) fn node(&mut self, view: &View, node: &Node) -> Result<(), PackError> {
        let file = match node.stat.kind {
            FileType::RegularFile | FileType::Directory => Some(OwnedFd::from(view.open(node)?)),
            _ => None,
        };
        let link = match node.stat.kind {
            FileType::Symlink => Some(view.read_link(node)?),
            _ => None,
        };
        self.entry_of(&node.path, &node.stat, file, link, !self.at_the_top || node.tree() == 0)
    }

    /// Adds that a path is gone.
    pub(super) fn whiteout(&mut self, path: &Path) -> Result<(), PackError> {
        let mut name = b".wh.".to_vec();
        name.extend_from_slice(path.file_name().unwrap_or_default().as_bytes());
        self.marker(path.parent().unwrap_or(Path::new("")), &name)
    }

    fn marker(&mut self, dir: &Path, name: &[u8]) -> Result<(), PackError> {
        let path = dir.join(OsStr::from_bytes(name));
        let header = Header::new(path.into_os_string().into_vec(), Kind::File, 0o644);
        Ok(self.writer.append(&header, &mut io::empty())?)
    }

    /// Adds a layer's own tree.
    pub(super) fn tree(&mut self, tree: &Root, applied: &Applied) -> Result<(), PackError> {
        let implied: BTreeSet<&Path> = applied.implied.iter().map(LayerPath::as_path).collect();
        let top = tree.open_dir("/")?;
        if !implied.contains(Path::new("")) {
            let stat = Stat::of(&top).map_err(errno_at("stat", Path::new("")))?;
            let copy = rustix::io::fcntl_dupfd_cloexec(&top, 0).map_err(errno_at("open", Path::new("")))?;
            self.entry(Path::new("."), &stat, Some(copy), None)?;
        }
        if applied.opaque_root {
            self.marker(Path::new(""), b".wh..wh..opq")?;
        }
        self.directory(top, &implied)
    }

    /// All that is in a directory, however deep.
    fn directory(&mut self, top: OwnedFd, implied: &BTreeSet<&Path>) -> Result<(), PackError> {
        let mut trail = Trail::new(top);
        let mut levels = vec![self.level(&trail, PathBuf::new())?];
        while let Some(Level { path, opacity, entries }) = levels.last_mut() {
            let Some(entry) = entries.next() else {
                trail.leave().map_err(errno_at("come back from", path))?;
                levels.pop();
                continue;
            };
            let inner = path.join(&entry.name);
            let stat = Stat::at(trail.here(), &entry.name).map_err(errno_at("stat", &inner))?;
            let gone = mark::is_whiteout(trail.here(), &entry.name, &stat, *opacity);
            if gone.map_err(errno_at("read", &inner))? {
                self.whiteout(&inner)?;
            } else if !stat.is_dir() {
                self.plain(trail.here(), &entry.name, &inner, &stat)?;
            } else {
                if !implied.contains(inner.as_path()) {
                    let open = replicate::open(trail.here(), &entry.name, OFlags::DIRECTORY);
                    self.entry(&inner, &stat, Some(open.map_err(at(&inner))?), None)?;
                }
                if levels.len() > MAX_DEPTH {
                    return Err(errno_at("go into", &inner)(Errno::NAMETOOLONG));
                }
                if !trail.enter(&entry.name).map_err(errno_at("open", &inner))? {
                    return Err(errno_at("open", &inner)(Errno::NOENT));
                }
                levels.push(self.level(&trail, inner)?);
            }
        }
        Ok(())
    }

    /// Begins with a directory.
    fn level(&mut self, trail: &Trail, path: PathBuf) -> Result<Level, PackError> {
        let opacity = mark::opacity(trail.here()).map_err(errno_at("read", &path))?;
        if opacity == Opacity::Opaque {
            self.marker(&path, b".wh..wh..opq")?;
        }
        let listing = rustix::io::fcntl_dupfd_cloexec(trail.here(), 0).map_err(errno_at("list", &path))?;
        let entries = Entries::new(listing).and_then(Entries::sorted).map_err(errno_at("list", &path))?;
        Ok(Level { path, opacity, entries: entries.into_iter() })
    }

    fn plain(
        &mut self,
        dir: BorrowedFd<'_>,
        name: &OsStr,
        path: &Path,
        stat: &Stat,
    ) -> Result<(), PackError> {
        let file = match stat.kind {
            FileType::RegularFile => Some(replicate::open(dir, name, OFlags::empty()).map_err(at(path))?),
            _ => None,
        };
        let link = match stat.kind {
            FileType::Symlink => {
                let text = rustix::fs::readlinkat(dir, name, Vec::new()).map_err(errno_at("read", path))?;
                Some(OsString::from_vec(text.into_bytes()))
            }
            _ => None,
        };
        self.entry(path, stat, file, link)
    }

    fn entry(
        &mut self,
        path: &Path,
        stat: &Stat,
        file: Option<OwnedFd>,
        link: Option<OsString>,
    ) -> Result<(), PackError> {
        self.entry_of(path, stat, file, link, true)
    }

    fn entry_of(
        &mut self,
        path: &Path,
        stat: &Stat,
        file: Option<OwnedFd>,
        link: Option<OsString>,
        is_seen: bool,
    ) -> Result<(), PackError> {
        // Nobody listens at a socket that was packed.
        let Some(kind) = kind(stat.kind) else { return Ok(()) };
        let mut header = Header::of(path.as_os_str().as_bytes(), kind, stat);
        if let Some(maps) = self.maps.as_ref().filter(|_| is_seen) {
            let inner = maps.uid.to_inner(stat.uid).zip(maps.gid.to_inner(stat.gid));
            let foreign = || PackError::Foreign { path: path.to_owned(), uid: stat.uid, gid: stat.gid };
            let (uid, gid) = inner.ok_or_else(foreign)?;
            (header.uid, header.gid) = (uid.into(), gid.into());
        }
        if kind != Kind::Directory && stat.nlink > 1 {
            match self.linked.entry((stat.device, stat.inode)) {
                std::collections::hash_map::Entry::Occupied(first) => {
                    (header.kind, header.size) = (Kind::HardLink, 0);
                    header.link.clone_from(first.get());
                    return Ok(self.writer.append(&header, &mut io::empty())?);
                }
                std::collections::hash_map::Entry::Vacant(place) => {
                    place.insert(header.path.clone());
                }
            }
        }
        header.link = link.map(OsString::into_vec).unwrap_or_default();
        let Some(file) = file else { return Ok(self.writer.append(&header, &mut io::empty())?) };
        for (name, value) in replicate::attributes(&file).map_err(at(path))? {
            if trust(name.as_bytes()) != Trust::Drop {
                header.xattrs.push((name.into_vec(), value));
            }
        }
        Ok(self.writer.append(&header, &mut File::from(file))?)
    }
}

fn kind(kind: FileType) -> Option<Kind> {
    Some(match kind {
        FileType::RegularFile => Kind::File,
        FileType::Directory => Kind::Directory,
        FileType::Symlink => Kind::Symlink,
        FileType::Fifo => Kind::Fifo,
        FileType::CharacterDevice => Kind::CharDevice,
        FileType::BlockDevice => Kind::BlockDevice,
        FileType::Socket | FileType::Unknown => return None,
    })
}
