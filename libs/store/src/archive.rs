//! Archives of images, and folders laid out like one: members by name, each read as often as needed.
//!
//! # Theory of operation
//! A plain archive in a file is listed once and then read in place, by many threads. One that is compressed, or comes
//! through a pipe, can only be read once: what it holds is taken as it passes. Small members are kept in memory;
//! what begins like a layer is given to an [`Eager`] taker, which unpacks it before anybody knows whether it is one
//! (the manifest usually comes last). Without a taker the whole stream is spooled into the session.
//!
//! # Invariants
//! Names are keys and nothing else: none of them is ever a path on this machine. Links lead to other members.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use ctr_core::Foreign;
use ctr_core::file::{FileError, read_stream};
use ctr_core::limits;
use ctr_core::oci::media::Compression;
use ctr_core::rooted::{Root, TreeError};

use crate::StoreError;
use crate::compression::{Peeked, Unpacked, detect};
use crate::ingest::Ingested;
use crate::session::Session;
use crate::tar::{self, Fault, Kind, TarError};

/// How far links among members are followed.
const LINKS: usize = 8;
/// Bytes that tell a layer from a note.
const START: usize = 512;
/// Bytes of all the notes of one archive together.
const NOTES: u64 = 64 << 20;

/// An archive cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The stream or file failed.
    #[error("cannot read the archive")]
    Read(#[from] io::Error),
    /// It is no archive, or a broken one.
    #[error("not a readable archive")]
    Tar(#[from] TarError),
    /// It has more in it than the table of limits allows.
    #[error("more than {limit} {what} in the archive")]
    Limit {
        /// Of what.
        what: &'static str,
        /// The limit.
        limit: u64,
    },
    /// A member that is needed is not there.
    #[error("the archive has no {}", .name.for_terminal())]
    Missing {
        /// The member.
        name: Foreign,
    },
    /// A file of a folder cannot be read.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// A file of ours.
    #[error(transparent)]
    File(#[from] FileError),
    /// The store, while spooling.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ArchiveError {
    /// Returns whether a member was not there.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        match self {
            Self::Missing { .. } => true,
            Self::Tree(error) => error.is_missing(),
            _ => false,
        }
    }
}

/// Takes what looks like a layer while it passes. An error is kept, and matters only if the member is needed.
pub trait Eager {
    /// Takes all of the stream.
    fn take(&self, stream: &mut dyn Read) -> Result<Ingested, crate::ingest::IngestError>;
}

/// Members by name.
#[derive(Debug)]
pub struct Archive {
    content: Content,
}

#[derive(Debug)]
enum Content {
    Listed { file: Option<Arc<File>>, members: HashMap<Vec<u8>, Member> },
    Folder(Root),
}

#[derive(Debug, Clone)]
enum Member {
    Range { offset: u64, size: u64 },
    Note(Arc<[u8]>),
    Taken(Arc<Result<Ingested, crate::ingest::IngestError>>),
    Link(Vec<u8>),
}

/// Where an archive comes from.
pub enum Input {
    /// A file that can be read in place.
    File(File),
    /// Anything else.
    Stream(Box<dyn Read + Send>),
}

impl std::fmt::Debug for Input {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::File(_) => "Input::File",
            Self::Stream(_) => "Input::Stream",
        })
    }
}

impl Input {
    /// Takes an open file: in place if it is a regular one.
    pub fn of(file: File) -> io::Result<Self> {
        Ok(if file.metadata()?.is_file() { Self::File(file) } else { Self::Stream(Box::new(file)) })
    }
}

impl Archive {
    /// Opens a folder.
    pub fn folder(path: &Path) -> Result<Self, ArchiveError> {
        Ok(Self { content: Content::Folder(Root::open(path)?) })
    }

    /// Opens an archive. `eager` takes layers of a stream as they pass; else the stream is spooled.
    pub fn open(input: Input, session: &Session, eager: Option<&dyn Eager>) -> Result<Self, ArchiveError> {
        let stream: Box<dyn Read + Send> = match input {
            Input::File(mut file) => {
                let mut start = [0; 6];
                let size = file.read_at(&mut start, 0)?;
                if detect(&start[..size]) == Compression::None {
                    return Self::in_place(file);
                }
                file.seek(SeekFrom::Start(0))?;
                Box::new(file)
            }
            Input::Stream(stream) => stream,
        };
        let unpacked = Unpacked::new(stream)?;
        match eager {
            Some(eager) => Self::passing(unpacked, eager),
            None => Self::spooled(unpacked, session),
        }
    }

    fn in_place(file: File) -> Result<Self, ArchiveError> {
        let mut reader = tar::Reader::new(&file, tar::Limits::default());
        let mut members = HashMap::new();
        let mut count = Count::default();
        while let Some(header) = reader.next()? {
            count.add(&header)?;
            if let Some(link) = link_of(&header) {
                members.insert(plain(&header.path), link);
            } else if header.kind == Kind::File {
                let member = Member::Range { offset: reader.taken(), size: header.size };
                members.insert(plain(&header.path), member);
                reader.leap()?;
            }
        }
        if reader.taken() > file.metadata()?.len() {
            return Err(TarError { offset: reader.taken(), fault: Fault::Truncated }.into());
        }
        Ok(Self { content: Content::Listed { file: Some(Arc::new(file)), members } })
    }

    fn spooled(mut stream: impl Read, session: &Session) -> Result<Self, ArchiveError> {
        let stage = session.stage()?;
        let path = stage.path().join("spool");
        let mut spool = File::options().read(true).write(true).create_new(true).open(&path)?;
        io::copy(&mut stream, &mut spool)?;
        spool.flush()?;
        spool.seek(SeekFrom::Start(0))?;
        Self::in_place(spool)
    }

    fn passing(stream: impl Read, eager: &dyn Eager) -> Result<Self, ArchiveError> {
        let mut reader = tar::Reader::new(stream, tar::Limits::default());
        let mut members = HashMap::new();
        let mut count = Count::default();
        let mut notes = 0;
        while let Some(header) = reader.next()? {
            count.add(&header)?;
            let name = plain(&header.path);
            if let Some(link) = link_of(&header) {
                members.insert(name, link);
                continue;
            }
            if header.kind != Kind::File {
                continue;
            }
            let mut contents = Peeked::new(reader.contents(), START)?;
            let member = if is_layer(contents.start()) {
                Member::Taken(Arc::new(eager.take(&mut contents)))
            } else {
                notes += header.size;
                if notes > NOTES {
                    return Err(ArchiveError::Limit { what: "bytes of notes", limit: NOTES });
                }
                Member::Note(read_stream(&mut contents, limits::ARCHIVE_MANIFEST)?.into())
            };
            io::copy(&mut contents, &mut io::sink())?;
            members.insert(name, member);
        }
        // What a stream holds behind the end of the archive is read, so that its writer is not cut off.
        reader.finish()?;
        Ok(Self { content: Content::Listed { file: None, members } })
    }

    fn member(&self, name: &str) -> Result<Option<&Member>, ArchiveError> {
        let Content::Listed { members, .. } = &self.content else { return Ok(None) };
        let missing = || ArchiveError::Missing { name: name.into() };
        let mut member = members.get(&plain(name.as_bytes())).ok_or_else(missing)?;
        for _ in 0..LINKS {
            let Member::Link(target) = member else { return Ok(Some(member)) };
            member = members.get(target).ok_or_else(missing)?;
        }
        Err(missing())
    }

    /// Returns whether there is a member of this name.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        match &self.content {
            Content::Folder(root) => root.exists(name).unwrap_or(false),
            Content::Listed { .. } => self.member(name).is_ok(),
        }
    }

    /// Returns the size of a member.
    pub fn size(&self, name: &str) -> Result<u64, ArchiveError> {
        Ok(match (self.member(name)?, &self.content) {
            (Some(Member::Range { size, .. }), _) => *size,
            (Some(Member::Note(bytes)), _) => bytes.len() as u64,
            (Some(Member::Taken(taken)), _) => taken.as_ref().as_ref().map_or(0, |taken| taken.size),
            (Some(Member::Link(_)) | None, Content::Listed { .. }) => 0,
            (_, Content::Folder(root)) => root.stat(name)?.size,
        })
    }

    /// Reads a member that is a note.
    pub fn read(&self, name: &str, limit: u64) -> Result<Vec<u8>, ArchiveError> {
        Ok(read_stream(&mut self.stream(name)?, limit)?)
    }

    /// Opens a member; one that an eager taker took is read from where it put it.
    pub fn stream(&self, name: &str) -> Result<Box<dyn Read + Send + '_>, ArchiveError> {
        match (&self.content, self.member(name)?) {
            (Content::Folder(root), _) => Ok(Box::new(root.open_file(name)?)),
            (Content::Listed { file: Some(file), .. }, Some(Member::Range { offset, size })) => {
                Ok(Box::new(Range { file: Arc::clone(file), offset: *offset, left: *size }))
            }
            (_, Some(Member::Note(bytes))) => Ok(Box::new(&bytes[..])),
            (_, Some(Member::Taken(taken))) => match taken.as_ref() {
                Ok(taken) => Ok(Box::new(BufReader::new(taken.open()?))),
                Err(error) => Err(ArchiveError::Read(io::Error::other(error.to_string()))),
            },
            _ => Err(ArchiveError::Missing { name: name.into() }),
        }
    }

    /// Returns what an eager taker made of a member.
    #[must_use]
    pub fn taken(&self, name: &str) -> Option<Arc<Result<Ingested, crate::ingest::IngestError>>> {
        match self.member(name) {
            Ok(Some(Member::Taken(taken))) => Some(Arc::clone(taken)),
            _ => None,
        }
    }
}

#[derive(Default)]
struct Count(u64);

impl Count {
    fn add(&mut self, _header: &tar::Header) -> Result<(), ArchiveError> {
        self.0 += 1;
        let limit = limits::ARCHIVE_ENTRIES;
        if self.0 > limit { Err(ArchiveError::Limit { what: "entries", limit }) } else { Ok(()) }
    }
}

/// A part of a file, read in place.
#[derive(Debug)]
struct Range {
    file: Arc<File>,
    offset: u64,
    left: u64,
}

impl Read for Range {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let want = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        if want == 0 {
            return Ok(0);
        }
        let size = self.file.read_at(&mut buffer[..want], self.offset)?;
        if size == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.offset += size as u64;
        self.left -= size as u64;
        Ok(size)
    }
}

fn link_of(header: &tar::Header) -> Option<Member> {
    match header.kind {
        Kind::HardLink => Some(Member::Link(plain(&header.link))),
        Kind::Symlink => {
            let path = plain(&header.path);
            let parent = path.iter().rposition(|byte| *byte == b'/').map_or(&path[..0], |at| &path[..at]);
            Some(Member::Link(plain(&[parent, b"/", &header.link].concat())))
        }
        _ => None,
    }
}

/// The name of a member as a key: components without `.` and empty ones, `..` taking one away.
fn plain(name: &[u8]) -> Vec<u8> {
    let mut components: Vec<&[u8]> = Vec::new();
    for component in name.split(|byte| *byte == b'/') {
        match component {
            b"" | b"." => {}
            b".." => _ = components.pop(),
            component => components.push(component),
        }
    }
    components.join(&b'/')
}

/// Tells whether something begins like a layer: compressed, a header of an archive, or an archive of nothing.
fn is_layer(start: &[u8]) -> bool {
    if detect(start) != Compression::None {
        return true;
    }
    let Some(block) = start.first_chunk::<START>() else { return false };
    if block.iter().all(|byte| *byte == 0) {
        return true;
    }
    let sum: u64 = block
        .iter()
        .enumerate()
        .map(|(at, byte)| u64::from(if (148..156).contains(&at) { b' ' } else { *byte }))
        .sum();
    let stated = std::str::from_utf8(&block[148..156]).unwrap_or_default();
    let stated = stated.trim_matches(|letter| letter == ' ' || letter == '\0');
    u64::from_str_radix(stated, 8).is_ok_and(|stated| stated == sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_keys() {
        for (name, key) in [("./a/b", "a/b"), ("/a//b/", "a/b"), ("a/../b", "b"), ("../../x", "x"), ("", "")]
        {
            assert_eq!(plain(name.as_bytes()), key.as_bytes());
        }
    }

    #[test]
    fn an_archive_that_was_cut_off_is_noticed_without_reading_it() {
        let mut tar = ::tar::Builder::new(Vec::new());
        for name in ["a", "b"] {
            let mut header = ::tar::Header::new_gnu();
            header.set_size(1 << 20);
            header.set_cksum();
            tar.append_data(&mut header, name, &vec![1; 1 << 20][..]).unwrap();
        }
        let whole = tar.into_inner().unwrap();
        let listed = |bytes: &[u8]| {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(bytes).unwrap();
            file.rewind().unwrap();
            Archive::in_place(file)
        };
        let archive = listed(&whole).unwrap();
        assert_eq!((archive.size("a").unwrap(), archive.size("b").unwrap()), (1 << 20, 1 << 20));
        assert_eq!(archive.read("b", 2 << 20).unwrap(), vec![1; 1 << 20]);
        for missing in [2 << 10, 1 << 20] {
            let error = listed(&whole[..whole.len() - missing]).unwrap_err();
            let cut = ArchiveError::Tar(TarError { offset: 0, fault: Fault::Truncated });
            assert_eq!(std::mem::discriminant(&error), std::mem::discriminant(&cut), "{error}");
        }
    }

    #[test]
    fn layers_are_told_from_notes() {
        let mut tar = ::tar::Builder::new(Vec::new());
        let mut header = ::tar::Header::new_gnu();
        header.set_size(0);
        header.set_cksum();
        tar.append_data(&mut header, "x", &b""[..]).unwrap();
        assert!(is_layer(&tar.into_inner().unwrap()));
        assert!(is_layer(&[0; 1024]));
        assert!(is_layer(&[0x1f, 0x8b, 8]));
        assert!(!is_layer(br#"{"schemaVersion":2}"#));
        assert!(!is_layer(&[b' '; 600]));
    }
}
