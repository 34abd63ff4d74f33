//! Entry after entry into the tree.

use std::cell::Cell;
use std::ffi::OsStr;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::rc::Rc;

use ctr_core::Foreign;
use ctr_core::rooted::{Root, Stat};
use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::dirs::{Dirs, Late, times};
use super::name::{self, Name};
use super::owner::{self, Defaults, Object};
use super::parent::{Parents, as_path, refused, tree_error};
use super::xattr::{self, Trust};
use super::{Applied, ApplyError, Options, TOP_MODE};
use crate::overlay::mark;
use crate::tar::{Header, Kind, Reader, Time};

const NEW: OFlags = OFlags::CREATE.union(OFlags::EXCL).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

pub(super) struct Unpack<'t> {
    tree: &'t Root,
    options: &'t Options,
    parents: Parents<'t>,
    dirs: Dirs,
    applied: Applied,
    defaults: Defaults,
    /// Entries and implied directories.
    objects: u64,
}

/// Where an entry goes.
struct Place<'a> {
    dir: Rc<OwnedFd>,
    name: &'a OsStr,
    /// The whole path, cut into plain components and joined again.
    path: Vec<u8>,
    header: &'a Header,
}

impl Place<'_> {
    fn refused(&self, verb: &'static str) -> impl Fn(Errno) -> ApplyError {
        let path = self.path.clone();
        move |errno| refused(verb, &path, errno)
    }

    fn named(&self) -> Object<'_> {
        Object::Named(self.dir.as_fd(), self.name)
    }
}

impl<'t> Unpack<'t> {
    pub(super) fn new(tree: &'t Root, options: &'t Options) -> Result<Self, ApplyError> {
        let top = open_dir(tree, b"")?;
        let defaults = Defaults::find(&top, owner::umask());
        Ok(Self {
            tree,
            options,
            parents: Parents::new(tree, options.limits.implied)?,
            dirs: Dirs::default(),
            applied: Applied::default(),
            defaults: defaults.map_err(|errno| refused("prepare", b"", errno))?,
            objects: 0,
        })
    }

    pub(super) fn run(mut self, stream: impl Read) -> Result<Applied, ApplyError> {
        let tripped = Rc::new(Cell::new(None));
        let metered = Metered { stream, options: self.options, total: 0, tripped: Rc::clone(&tripped) };
        let mut reader = Reader::new(metered, self.options.limits.tar);
        let done = self.entries(&mut reader).and_then(|()| Ok(reader.finish()?));
        match (done, tripped.get()) {
            (_, Some((what, limit))) => Err(ApplyError::Limit { what, limit }),
            (Err(error), None) => Err(error),
            (Ok((length, _)), None) => {
                self.applied.stream = length;
                self.finish()
            }
        }
    }

    fn entries<R: Read>(&mut self, reader: &mut Reader<R>) -> Result<(), ApplyError> {
        while let Some(header) = reader.next()? {
            if self.applied.entries == 0 {
                self.begin(header.modified);
            }
            self.applied.entries += 1;
            self.count()?;
            self.entry(&header, reader)?;
        }
        Ok(())
    }

    /// The top and implied directories have the time of what they are first needed for.
    fn begin(&mut self, modified: Time) {
        if !self.options.plain {
            self.dirs.push(b"", Late { modified, accessed: None, mode: None });
        }
    }

    fn count(&mut self) -> Result<(), ApplyError> {
        self.objects += 1;
        let limit = self.options.limits.entries;
        if self.objects > limit { Err(ApplyError::Limit { what: "entries", limit }) } else { Ok(()) }
    }

    fn finish(mut self) -> Result<Applied, ApplyError> {
        let implied = self.parents.finish()?;
        if !self.options.plain && implied.first().is_some_and(|path| path.as_bytes().is_empty()) {
            let top = open_dir(self.tree, b"")?;
            rustix::fs::fchmod(&top, Mode::from_raw_mode(TOP_MODE))
                .map_err(|errno| refused("change the mode of", b"", errno))?;
        }
        self.applied.implied = implied;
        for path in self.dirs.finish(self.tree)? {
            self.applied.attributes.add(&path);
        }
        Ok(self.applied)
    }

    fn entry<R: Read>(&mut self, header: &Header, reader: &mut Reader<R>) -> Result<(), ApplyError> {
        let unsafe_entry = |why| ApplyError::Unsafe { path: Foreign::new(&*header.path), why };
        let parse = if self.options.plain { name::plain } else { name::parse };
        match parse(&header.path).map_err(unsafe_entry)? {
            Name::Top if header.kind == Kind::Directory => {
                let top = open_dir(self.tree, b"")?;
                self.describe(&top, b"", header, false)
            }
            Name::Top => Err(unsafe_entry("has no name")),
            Name::Aufs => Ok(()),
            Name::Opaque { parent } if parent.is_empty() => {
                self.applied.opaque_root = true;
                Ok(())
            }
            Name::Opaque { parent } => {
                let dir = self.parent(&parent, header)?;
                mark::set_opaque(&dir).map_err(|errno| refused("set an attribute of", &parent, errno))
            }
            Name::Whiteout { parent, name } => {
                let place = self.place(parent, &name, header)?;
                whiteout(&place)
            }
            Name::At { parent, name } => {
                let place = self.place(parent, &name, header)?;
                self.create(&place, reader)
            }
        }
    }

    fn parent(&mut self, path: &[u8], header: &Header) -> Result<Rc<OwnedFd>, ApplyError> {
        let Self { parents, dirs, objects, options, .. } = self;
        parents.open(path, &mut |implied| {
            *objects += 1;
            let limit = options.limits.entries;
            if *objects > limit {
                return Err(ApplyError::Limit { what: "entries", limit });
            }
            dirs.push(implied, Late { modified: header.modified, accessed: None, mode: None });
            Ok(())
        })
    }

    fn place<'a>(
        &mut self,
        mut parent: Vec<u8>,
        name: &'a [u8],
        header: &'a Header,
    ) -> Result<Place<'a>, ApplyError> {
        let dir = self.parent(&parent, header)?;
        if !parent.is_empty() {
            parent.push(b'/');
        }
        parent.extend_from_slice(name);
        Ok(Place { dir, name: OsStr::from_bytes(name), path: parent, header })
    }

    fn create<R: Read>(&mut self, place: &Place<'_>, reader: &mut Reader<R>) -> Result<(), ApplyError> {
        match place.header.kind {
            Kind::File => self.file(place, reader),
            Kind::Directory => self.directory(place),
            Kind::HardLink => self.hard_link(place),
            Kind::Symlink => self.symlink(place),
            Kind::Fifo => self.fifo(place),
            Kind::CharDevice | Kind::BlockDevice => {
                self.applied.devices.add(&place.path);
                // What an earlier entry put there is not what the layer ends up with.
                self.clear(place)
            }
        }
    }

    fn file<R: Read>(&mut self, place: &Place<'_>, reader: &mut Reader<R>) -> Result<(), ApplyError> {
        let header = place.header;
        let mode = Mode::from_raw_mode(header.mode);
        let keeps_mode = self.defaults.keeps_mode(header);
        let first = if keeps_mode { mode } else { Mode::RUSR | Mode::WUSR };
        let file = self.exclusively(place, "create", |dir, name| {
            rustix::fs::openat(dir, name, OFlags::WRONLY | NEW, first)
        })?;
        let mut end = 0;
        while let Some(chunk) = reader.chunk()? {
            let count = u64::try_from(chunk.bytes.len()).unwrap_or(u64::MAX);
            write_all(&file, chunk.bytes, chunk.offset).map_err(place.refused("write"))?;
            end = chunk.offset.saturating_add(count);
            self.applied.bytes += count;
        }
        if end < header.size {
            rustix::fs::ftruncate(&file, header.size).map_err(place.refused("write"))?;
        }
        self.own(Object::Open(file.as_fd()), header)?;
        if !keeps_mode {
            rustix::fs::fchmod(&file, mode).map_err(place.refused("change the mode of"))?;
        }
        self.attributes(file.as_fd(), &place.path, header)?;
        rustix::fs::futimens(&file, &times(header.modified, header.accessed))
            .map_err(place.refused("set the times of"))
    }

    fn directory(&mut self, place: &Place<'_>) -> Result<(), ApplyError> {
        let mut fresh = true;
        let mut opaque = false;
        match rustix::fs::mkdirat(&place.dir, place.name, Mode::RWXU) {
            Ok(()) => {}
            Err(Errno::EXIST) => {
                let stat = Stat::at(place.dir.as_fd(), place.name).map_err(place.refused("stat"))?;
                if stat.is_dir() {
                    self.parents.described(stat.inode);
                    fresh = false;
                } else {
                    // A name deleted and made again is all there is under it.
                    opaque = is_whiteout(place, &stat)?;
                    self.clear(place)?;
                    rustix::fs::mkdirat(&place.dir, place.name, Mode::RWXU)
                        .map_err(place.refused("make the directory"))?;
                }
            }
            Err(errno) => return Err(place.refused("make the directory")(errno)),
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let dir = rustix::fs::openat(&place.dir, place.name, flags, Mode::empty())
            .map_err(place.refused("open"))?;
        if opaque {
            mark::set_opaque(&dir).map_err(place.refused("set an attribute of"))?;
        }
        self.describe(&dir, &place.path, place.header, fresh)?;
        self.parents.keep(place.path.clone(), dir);
        Ok(())
    }

    /// Gives a directory what its entry says; what would be inherited or changed by entries inside waits.
    fn describe(
        &mut self,
        dir: &OwnedFd,
        path: &[u8],
        header: &Header,
        fresh: bool,
    ) -> Result<(), ApplyError> {
        if path.is_empty() {
            let stat = Stat::of(dir).map_err(|errno| refused("stat", path, errno))?;
            self.parents.described(stat.inode);
        }
        if fresh {
            self.own(Object::Open(dir.as_fd()), header)?;
        } else {
            owner::give(Object::Open(dir.as_fd()), header)?;
        }
        let mode = Mode::from_raw_mode(header.mode);
        rustix::fs::fchmod(dir, mode.difference(Mode::SGID))
            .map_err(|errno| refused("change the mode of", path, errno))?;
        self.attributes(dir.as_fd(), path, header)?;
        let mode = mode.contains(Mode::SGID).then_some(header.mode);
        self.dirs.push(path, Late { modified: header.modified, accessed: header.accessed, mode });
        Ok(())
    }

    fn hard_link(&mut self, place: &Place<'_>) -> Result<(), ApplyError> {
        let unsafe_link = |why| ApplyError::Unsafe { path: Foreign::new(&*place.path), why };
        let target = name::target(&place.header.link, self.options.plain).map_err(unsafe_link)?;
        let missing = || unsafe_link("is a hard link to a file that the layer does not have");
        let found = self.tree.parent_of(as_path(&target)).and_then(|(dir, name)| {
            let stat = self.tree.lstat(as_path(&target))?;
            Ok((dir, name, stat))
        });
        let (from, from_name, stat) = match found {
            Ok(found) => found,
            Err(error) if error.is_missing() => return Err(missing()),
            Err(source) => return Err(tree_error(&place.path, source)),
        };
        let whiteout = mark::is_whiteout(from.as_fd(), from_name, &stat, mark::Opacity::MarkedFiles);
        if stat.is_dir() || whiteout.map_err(place.refused("read"))? && !self.options.plain {
            return Err(missing());
        }
        match Stat::at(place.dir.as_fd(), place.name) {
            // Two names of one file already, or one and the same: removing it first would lose it.
            Ok(there) if (there.device, there.inode) == (stat.device, stat.inode) => return Ok(()),
            _ => {}
        }
        self.exclusively(place, "link", |dir, name| {
            rustix::fs::linkat(&from, from_name, dir, name, AtFlags::empty())
        })
    }

    fn symlink(&mut self, place: &Place<'_>) -> Result<(), ApplyError> {
        let text = OsStr::from_bytes(&place.header.link);
        self.exclusively(place, "make the link", |dir, name| rustix::fs::symlinkat(text, dir, name))?;
        self.own(place.named(), place.header)?;
        self.leave_out_attributes(place);
        self.set_times(place)
    }

    fn fifo(&mut self, place: &Place<'_>) -> Result<(), ApplyError> {
        self.exclusively(place, "make the pipe", |dir, name| {
            rustix::fs::mknodat(dir, name, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)
        })?;
        self.own(place.named(), place.header)?;
        // Opened both ways a pipe never waits.
        let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let pipe = rustix::fs::openat(&place.dir, place.name, flags, Mode::empty())
            .map_err(place.refused("open"))?;
        rustix::fs::fchmod(pipe, Mode::from_raw_mode(place.header.mode))
            .map_err(place.refused("change the mode of"))?;
        self.leave_out_attributes(place);
        self.set_times(place)
    }

    fn set_times(&self, place: &Place<'_>) -> Result<(), ApplyError> {
        let times = times(place.header.modified, place.header.accessed);
        rustix::fs::utimensat(&place.dir, place.name, &times, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(place.refused("set the times of"))
    }

    /// Gives a fresh object to its owner, unless it already is theirs.
    fn own(&self, object: Object<'_>, header: &Header) -> Result<(), ApplyError> {
        if self.defaults.owns(header) { Ok(()) } else { owner::give(object, header) }
    }

    fn attributes(&mut self, file: BorrowedFd<'_>, path: &[u8], header: &Header) -> Result<(), ApplyError> {
        let limit = self.options.limits.xattrs;
        let bytes = header.xattrs.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>();
        if bytes > limit {
            let limit = u64::try_from(limit).unwrap_or(u64::MAX);
            return Err(ApplyError::Limit { what: "bytes of extended attributes on a file", limit });
        }
        let mut left_out = false;
        for (name, value) in &header.xattrs {
            match xattr::trust(name) {
                Trust::Drop => left_out = true,
                Trust::Last if header.kind == Kind::Directory => self.dirs.push_acl(path, value)?,
                Trust::Last => left_out = true,
                Trust::Set => {
                    let set = xattr::set(file, name, value);
                    left_out |= !set.map_err(|errno| refused("set an attribute of", path, errno))?;
                }
            }
        }
        if left_out {
            self.applied.attributes.add(path);
        }
        Ok(())
    }

    /// Links and pipes can carry no attribute that we would believe.
    fn leave_out_attributes(&mut self, place: &Place<'_>) {
        if !place.header.xattrs.is_empty() {
            self.applied.attributes.add(&place.path);
        }
    }

    /// Makes a new object, removing what is in its place.
    fn exclusively<T>(
        &mut self,
        place: &Place<'_>,
        verb: &'static str,
        make: impl Fn(BorrowedFd<'_>, &OsStr) -> rustix::io::Result<T>,
    ) -> Result<T, ApplyError> {
        match make(place.dir.as_fd(), place.name) {
            Err(Errno::EXIST) => {
                self.clear(place)?;
                make(place.dir.as_fd(), place.name).map_err(place.refused(verb))
            }
            other => other.map_err(place.refused(verb)),
        }
    }

    fn clear(&self, place: &Place<'_>) -> Result<(), ApplyError> {
        let dir = rustix::io::fcntl_dupfd_cloexec(&place.dir, 0).map_err(place.refused("open"))?;
        Root::from_dir(dir).remove_tree(place.name).map_err(|source| tree_error(&place.path, source))?;
        Ok(())
    }
}

/// Makes `place` say that the layers below have nothing there, unless this layer has something itself.
fn whiteout(place: &Place<'_>) -> Result<(), ApplyError> {
    match mark::make_whiteout(place.dir.as_fd(), place.name) {
        Err(Errno::EXIST) => {}
        other => return other.map_err(place.refused("delete")),
    }
    let stat = Stat::at(place.dir.as_fd(), place.name).map_err(place.refused("stat"))?;
    if !stat.is_dir() {
        return Ok(());
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(&place.dir, place.name, flags, Mode::empty())
        .and_then(mark::set_opaque)
        .map_err(place.refused("delete"))
}

fn is_whiteout(place: &Place<'_>, stat: &Stat) -> Result<bool, ApplyError> {
    mark::is_whiteout(place.dir.as_fd(), place.name, stat, mark::Opacity::MarkedFiles)
        .map_err(place.refused("read"))
}

fn open_dir(tree: &Root, path: &[u8]) -> Result<OwnedFd, ApplyError> {
    tree.open_dir(as_path(path)).map_err(|source| tree_error(path, source))
}

fn write_all(file: &OwnedFd, mut bytes: &[u8], mut offset: u64) -> rustix::io::Result<()> {
    while !bytes.is_empty() {
        match rustix::io::pwrite(file, bytes, offset) {
            Ok(0) => return Err(Errno::NOSPC),
            Ok(count) => {
                bytes = bytes.get(count..).unwrap_or_default();
                offset = offset.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
            }
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// A limit that was passed: what there is too much of, and the limit.
type Tripped = Option<(&'static str, u64)>;

/// Stops a stream that is longer than any layer.
struct Metered<'o, R> {
    stream: R,
    options: &'o Options,
    total: u64,
    tripped: Rc<Cell<Tripped>>,
}

impl<R: Read> Read for Metered<'_, R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.stream.read(into)?;
        self.total = self.total.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
        let limits = &self.options.limits;
        if self.total > limits.bytes {
            self.tripped.set(Some(("bytes", limits.bytes)));
        }
        if self.tripped.get().is_some() { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(count) }
    }
}
