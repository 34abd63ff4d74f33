//! Files that a sink writes: members of an archive, or files in a folder.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use ctr_core::Digest;
use ctr_core::atomic::Temporary;
use ctr_core::digest::HashingReader;

use super::CopyError;
use super::packed::Packed;
use super::recode::Recoding;
use super::unpacked::Unpacking;
use crate::session::Session;
use crate::tar::{Header, Kind, WriteError, Writer};

/// Where a sink's files go. Names are relative and ours: digests and fixed words.
pub trait Files {
    /// Writes a file. Of a blob, `digest` is checked before the file has its name, where that is possible.
    fn put(
        &mut self,
        name: &str,
        size: u64,
        digest: Option<&Digest>,
        content: &mut dyn Read,
    ) -> Result<(), CopyError>;

    /// Writes a layer in another packing, called by the digest that it turns out to have; returns that and the size.
    fn put_recoded(
        &mut self,
        layer: &Recoding<'_>,
        session: &Session,
        name: fn(&Digest) -> String,
    ) -> Result<(Digest, u64), CopyError>;

    /// Returns whether a file is there already.
    fn has(&self, name: &str) -> bool;

    /// Ends the archive.
    fn finish(&mut self) -> Result<(), CopyError>;
}

/// Members of an archive.
pub struct TarFiles {
    writer: Option<Writer<Box<dyn Write>>>,
    names: HashSet<String>,
}

impl std::fmt::Debug for TarFiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TarFiles").field("names", &self.names.len()).finish_non_exhaustive()
    }
}

impl TarFiles {
    /// Writes an archive to a stream.
    #[must_use]
    pub fn new(out: Box<dyn Write>) -> Self {
        Self { writer: Some(Writer::new(out)), names: HashSet::new() }
    }
}

fn archive(error: WriteError) -> CopyError {
    let what = "the archive".to_owned();
    match error {
        WriteError::Write(source) | WriteError::Contents { source, .. } => {
            CopyError::of_writing(what, source)
        }
        other => CopyError::Write { what, source: io::Error::other(other) },
    }
}

impl Files for TarFiles {
    fn put(
        &mut self,
        name: &str,
        size: u64,
        digest: Option<&Digest>,
        content: &mut dyn Read,
    ) -> Result<(), CopyError> {
        if !self.names.insert(name.to_owned()) {
            return Ok(());
        }
        let Some(writer) = &mut self.writer else { return Ok(()) };
        // Skopeo gives a folder that an archive implies to root, which it may not as a user: name each.
        for (at, _) in name.match_indices('/') {
            let folder = &name[..=at];
            if self.names.insert(folder.to_owned()) {
                writer
                    .append(&Header::new(folder, Kind::Directory, 0o755), &mut io::empty())
                    .map_err(archive)?;
            }
        }
        let header = Header { size, ..Header::new(name, Kind::File, 0o644) };
        match digest {
            None => writer.append(&header, content).map_err(archive),
            Some(digest) => {
                let mut content = HashingReader::with(content, digest.algorithm());
                writer.append(&header, &mut content).map_err(archive)?;
                let (found, _) =
                    content.drain().map_err(|error| CopyError::of_writing(name.to_owned(), error))?;
                Ok(digest.expect(found)?)
            }
        }
    }

    fn put_recoded(
        &mut self,
        layer: &Recoding<'_>,
        session: &Session,
        name: fn(&Digest) -> String,
    ) -> Result<(Digest, u64), CopyError> {
        // A member's header comes before it, and has its name and its size.
        if layer.packing.is_none() {
            let unpacking = Unpacking::open(layer.source, layer.layer, layer.diff_id, session)?;
            let size = unpacking.length();
            self.put(&name(layer.diff_id), size, Some(layer.diff_id), &mut unpacking.stream()?)?;
            return Ok((*layer.diff_id, size));
        }
        let packed = Packed::make(layer, session)?;
        self.put(&name(&packed.digest), packed.size, Some(&packed.digest), &mut packed.stream()?)?;
        Ok((packed.digest, packed.size))
    }

    fn has(&self, name: &str) -> bool {
        self.names.contains(name)
    }

    fn finish(&mut self) -> Result<(), CopyError> {
        let Some(writer) = self.writer.take() else { return Ok(()) };
        let mut out = writer.finish().map_err(archive)?;
        out.flush().map_err(|source| CopyError::Write { what: "the archive".to_owned(), source })
    }
}

/// Writes all of a stream into a file, in pieces of a size that makes few calls.
pub(super) fn pour(stream: &mut dyn Read, file: &File) -> io::Result<()> {
    let mut out = io::BufWriter::with_capacity(256 << 10, file);
    io::copy(stream, &mut out)?;
    out.flush()
}

/// What others made with their umask in mind shall be readable like it.
fn readable(file: &File) -> io::Result<()> {
    Ok(rustix::fs::fchmod(file, rustix::fs::Mode::from_raw_mode(0o644))?)
}

/// Files in a folder of the user's.
#[derive(Debug)]
pub struct FolderFiles {
    path: PathBuf,
    /// Where files below `blobs/` go, if layouts share them.
    blobs: Option<PathBuf>,
}

impl FolderFiles {
    /// Writes into a folder, which is made if it is not there.
    pub fn new(path: &Path) -> Result<Self, CopyError> {
        let write = |source| CopyError::Write { what: path.display().to_string(), source };
        std::fs::create_dir_all(path).map_err(write)?;
        Ok(Self { path: path.to_owned(), blobs: None })
    }

    /// Has files below `blobs/` in another folder.
    #[must_use]
    pub fn with_blobs_in(self, folder: Option<&Path>) -> Self {
        Self { blobs: folder.map(Path::to_owned), ..self }
    }

    fn path_of(&self, name: &str) -> PathBuf {
        match (&self.blobs, name.strip_prefix("blobs/")) {
            (Some(blobs), Some(name)) => blobs.join(name),
            _ => self.path.join(name),
        }
    }
}

impl Files for FolderFiles {
    fn put(
        &mut self,
        name: &str,
        _size: u64,
        digest: Option<&Digest>,
        content: &mut dyn Read,
    ) -> Result<(), CopyError> {
        let path = self.path_of(name);
        let write = |error| CopyError::of_writing(path.display().to_string(), error);
        let file = |error: ctr_core::FileError| CopyError::Store(error.into());
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(write)?;
        }
        let temporary = Temporary::create(&path).map_err(file)?;
        let mut out: &File = temporary.file();
        match digest {
            None => _ = io::copy(content, &mut out).map_err(write)?,
            Some(digest) => {
                let mut content = HashingReader::with(content, digest.algorithm());
                io::copy(&mut content, &mut out).map_err(write)?;
                digest.expect(content.finish().0)?;
            }
        }
        readable(out).map_err(write)?;
        temporary.publish().map_err(file)
    }

    fn put_recoded(
        &mut self,
        layer: &Recoding<'_>,
        _session: &Session,
        name: fn(&Digest) -> String,
    ) -> Result<(Digest, u64), CopyError> {
        let path = self.path_of(&name(layer.diff_id));
        let write = |source: io::Error| CopyError::Write { what: path.display().to_string(), source };
        let file = |error: ctr_core::FileError| CopyError::Store(error.into());
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(write)?;
        }
        let temporary = Temporary::create(&path).map_err(file)?;
        let ((), digest, size) = layer.read(|stream| pour(stream, temporary.file()).map_err(write))?;
        readable(temporary.file()).map_err(write)?;
        temporary.publish_as(&self.path_of(&name(&digest))).map_err(file)?;
        Ok((digest, size))
    }

    fn has(&self, name: &str) -> bool {
        self.path_of(name).is_file()
    }

    fn finish(&mut self) -> Result<(), CopyError> {
        Ok(())
    }
}
