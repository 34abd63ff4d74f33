//! A tar as the source, or as the sink.

use std::ffi::OsStr;
use std::io::{self, Read, Write};

use ctr_core::limits;

use super::{Owners, Sink, TransferError, give, path};
use crate::apply::name::{self, Name};
use crate::compression::Unpacked;
use crate::tar::{Header, Kind, Limits, Reader, Writer};

/// Sends what is in an archive, packed in whatever way. The name of a single file in it can be changed.
///
/// # Errors
/// It is none, or the other side does not take what is in it.
pub fn archive(stream: impl Read, owners: &dyn Owners, sink: &mut dyn Sink) -> Result<(), TransferError> {
    let unpacked = Unpacked::new(stream).map_err(|error| TransferError::NoArchive(error.into()))?;
    let mut reader = Reader::new(unpacked, Limits::default());
    let mut entries = 0;
    loop {
        let header = match reader.next() {
            Err(error) if entries == 0 => return Err(TransferError::NoArchive(error.into())),
            other => other?,
        };
        let Some(mut header) = header else { break };
        entries += 1;
        let too_many = || TransferError::Unsafe { path: path(&header.path), why: "is one too many" };
        if entries > limits::LAYER_ENTRIES {
            return Err(too_many());
        }
        let broken = |why| TransferError::Unsafe { path: path(&header.path), why };
        header.path = match name::plain(&header.path).map_err(broken)? {
            Name::At { parent, name } if parent.is_empty() => name,
            Name::At { parent, name } => [parent, name].join(&b'/'),
            // The directory that everything goes to is as it is.
            _ => continue,
        };
        if header.kind == Kind::HardLink {
            let broken = |why| TransferError::Unsafe { path: path(&header.path), why };
            header.link = name::target(&header.link, true).map_err(broken)?;
        }
        give(&mut header, owners)?;
        let mut contents = Contents { reader: &mut reader, at: 0, size: header.size, held: Vec::new() };
        sink.take(&header, &mut contents)?;
    }
    if entries == 0 {
        return Err(TransferError::NoArchive("it is empty".into()));
    }
    sink.finish()
}

/// The contents of an entry with its holes as zeros.
struct Contents<'a, R> {
    reader: &'a mut Reader<R>,
    at: u64,
    size: u64,
    /// Bytes of a piece that lies ahead, and where.
    held: Vec<(u64, Vec<u8>)>,
}

impl<R: Read> Read for Contents<'_, R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.held.is_empty()
            && let Some(chunk) = self.reader.chunk().map_err(io::Error::other)?
        {
            self.held.push((chunk.offset, chunk.bytes.to_vec()));
        }
        let until = self.held.first().map_or(self.size, |(offset, _)| *offset);
        let count = if until > self.at {
            let hole = usize::try_from(until - self.at).unwrap_or(usize::MAX).min(into.len());
            into[..hole].fill(0);
            hole
        } else {
            let Some((offset, bytes)) = self.held.first_mut() else { return Ok(0) };
            let count = bytes.len().min(into.len());
            into[..count].copy_from_slice(&bytes[..count]);
            bytes.drain(..count);
            *offset += u64::try_from(count).unwrap_or(0);
            if bytes.is_empty() {
                self.held.clear();
            }
            count
        };
        self.at += u64::try_from(count).unwrap_or(0);
        Ok(count)
    }
}

/// An archive that is being written.
#[derive(Debug)]
pub struct ArchiveSink<W: Write> {
    writer: Option<Writer<W>>,
}

impl<W: Write> ArchiveSink<W> {
    /// Writes to a stream.
    pub fn new(out: W) -> Self {
        Self { writer: Some(Writer::new(out)) }
    }
}

impl<W: Write> Sink for ArchiveSink<W> {
    fn take(&mut self, header: &Header, contents: &mut dyn Read) -> Result<(), TransferError> {
        match &mut self.writer {
            Some(writer) => Ok(writer.append(header, contents)?),
            None => Ok(()),
        }
    }

    fn finish(&mut self) -> Result<(), TransferError> {
        if let Some(writer) = self.writer.take() {
            writer.finish()?;
        }
        Ok(())
    }
}

/// A name as an archive has it.
#[must_use]
pub(super) fn last(name: &[u8]) -> &OsStr {
    use std::os::unix::ffi::OsStrExt;
    let name = name.strip_suffix(b"/").unwrap_or(name);
    OsStr::from_bytes(name.rsplit(|byte| *byte == b'/').next().unwrap_or(name))
}
