//! The streaming reader.

use std::io::{Read, Seek, SeekFrom};

use ctr_core::limits;

use super::header::{Dialect, Header, Kind, RawHeader, text};
use super::pax::{Extended, Reach};
use super::sparse::{self, Lines, Piece};
use super::{BLOCK, BLOCK_BYTES, Fault, TarError};

/// How much is read ahead: large enough that a system call's price does not matter, small enough for a cache.
const BUFFER: usize = 256 * 1024;

/// What one entry may take of our memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a name or of the text of a link.
    pub name: u64,
    /// Bytes of the extended headers of an entry.
    pub extended: u64,
    /// Pieces of a sparse file.
    pub pieces: u64,
}

impl Default for Limits {
    fn default() -> Self {
        // A path of the kernel's has a NUL at its end.
        let name = length(limits::LAYER_PATH) - 1;
        Self { name, extended: limits::LAYER_HEADERS, pieces: limits::SPARSE_PIECES }
    }
}

/// A piece of the contents of an entry.
#[derive(Debug)]
pub struct Chunk<'a> {
    /// Where in the file it belongs.
    pub offset: u64,
    /// The bytes.
    pub bytes: &'a [u8],
}

/// Reads an archive from a stream.
pub struct Reader<R> {
    input: Input<R>,
    limits: Limits,
    global: Extended,
    /// What of the current entry is still to be handed out, in reverse order.
    pieces: Vec<Piece>,
    padding: u64,
    ended: bool,
}

impl<R> std::fmt::Debug for Reader<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader").field("taken", &self.input.taken).finish_non_exhaustive()
    }
}

/// A stream with its one buffer.
struct Input<R> {
    stream: R,
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
    /// Bytes handed out so far.
    taken: u64,
}

impl<R: Read> Input<R> {
    fn available(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }

    fn consume(&mut self, count: usize) {
        self.start += count;
        self.taken += length(count);
    }

    /// Reads until at least `want` bytes lie together, or the stream ends; returns how many there are.
    fn fill(&mut self, want: usize) -> Result<usize, Fault> {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        } else if self.buffer.len() - self.start < want {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        while self.end - self.start < want {
            let free = self.buffer.get_mut(self.end..).unwrap_or_default();
            match self.stream.read(free) {
                Ok(0) => break,
                Ok(count) => self.end += count,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Fault::Read(error)),
            }
        }
        Ok(self.end - self.start)
    }

    /// Takes one block; none at the end of the stream.
    fn block(&mut self) -> Result<Option<[u8; BLOCK]>, Fault> {
        if self.fill(BLOCK)? == 0 {
            return Ok(None);
        }
        let block = self.available().first_chunk::<BLOCK>().copied().ok_or(Fault::Truncated)?;
        self.consume(BLOCK);
        Ok(Some(block))
    }

    /// Takes between one and `want` bytes.
    fn some(&mut self, want: u64) -> Result<&[u8], Fault> {
        if self.start == self.end && self.fill(1)? == 0 {
            return Err(Fault::Truncated);
        }
        let count = usize::try_from(want).unwrap_or(usize::MAX).min(self.end - self.start);
        let start = self.start;
        self.consume(count);
        Ok(self.buffer.get(start..start + count).unwrap_or_default())
    }

    fn skip(&mut self, mut count: u64) -> Result<(), Fault> {
        while count > 0 {
            count -= length(self.some(count)?.len());
        }
        Ok(())
    }

    /// As [`Input::skip`], without reading what can be leapt over. The end of the stream is no obstacle.
    fn leap(&mut self, count: u64) -> Result<(), Fault>
    where
        R: Seek,
    {
        let buffered = self.available().len();
        let Some(beyond) = count.checked_sub(length(buffered)) else { return self.skip(count) };
        let distance = i64::try_from(beyond).map_err(|_too_far| Fault::Malformed("size"))?;
        self.stream.seek(SeekFrom::Current(distance)).map_err(Fault::Read)?;
        self.consume(buffered);
        self.taken = self.taken.saturating_add(beyond);
        Ok(())
    }

    /// Takes `size` bytes and the padding behind them into memory.
    fn collect(&mut self, size: u64, what: &'static str, limit: u64) -> Result<Vec<u8>, Fault> {
        if size > limit {
            return Err(Fault::TooLarge { what, limit });
        }
        let mut bytes = Vec::new();
        while length(bytes.len()) < size {
            let missing = size - length(bytes.len());
            bytes.extend_from_slice(self.some(missing)?);
        }
        self.skip(padding(size))?;
        Ok(bytes)
    }
}

/// The bytes of memory something takes, as a number of the format.
fn length(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

fn padding(size: u64) -> u64 {
    (BLOCK_BYTES - size % BLOCK_BYTES) % BLOCK_BYTES
}

/// The extended headers collected before an entry.
#[derive(Default)]
struct Before {
    extended: Option<Extended>,
    gnu_path: Option<Vec<u8>>,
    gnu_link: Option<Vec<u8>>,
}

impl<R: Read> Reader<R> {
    /// Reads from `stream`, which needs no buffer of its own.
    pub fn new(stream: R, limits: Limits) -> Self {
        let buffer = vec![0; BUFFER].into_boxed_slice();
        let input = Input { stream, buffer, start: 0, end: 0, taken: 0 };
        Self { input, limits, global: Extended::default(), pieces: Vec::new(), padding: 0, ended: false }
    }

    /// Returns how many bytes of the archive have been handed out or skipped.
    #[must_use]
    pub fn taken(&self) -> u64 {
        self.input.taken
    }

    fn place(&self, fault: Fault) -> TarError {
        TarError { offset: self.input.taken, fault }
    }

    /// Goes to the next entry; none at the end of the archive.
    #[expect(clippy::should_implement_trait, reason = "an iterator cannot lend the contents in between")]
    pub fn next(&mut self) -> Result<Option<Header>, TarError> {
        if self.ended {
            return Ok(None);
        }
        let entry = self.advance().map_err(|fault| self.place(fault));
        self.ended = !matches!(entry, Ok(Some(_)));
        entry
    }

    /// Returns the next piece of the current entry's contents; none after the last.
    pub fn chunk(&mut self) -> Result<Option<Chunk<'_>>, TarError> {
        let Some(piece) = self.pieces.last_mut() else { return Ok(None) };
        let offset = piece.offset;
        let taken = self.input.taken;
        match self.input.some(piece.length) {
            Ok(bytes) => {
                let count = length(bytes.len());
                piece.offset += count;
                piece.length -= count;
                if piece.length == 0 {
                    self.pieces.pop();
                }
                Ok(Some(Chunk { offset, bytes }))
            }
            Err(fault) => {
                self.ended = true;
                Err(TarError { offset: taken, fault })
            }
        }
    }

    /// Returns the current entry's contents as a stream; holes are left out, so it is for files without.
    pub fn contents(&mut self) -> Contents<'_, R> {
        Contents { reader: self }
    }

    /// Leaps over the current entry's contents. Whether the stream goes that far is left to who reads them.
    pub fn leap(&mut self) -> Result<(), TarError>
    where
        R: Seek,
    {
        while let Some(piece) = self.pieces.pop() {
            self.input.leap(piece.length).map_err(|fault| self.place(fault))?;
        }
        Ok(())
    }

    /// Takes the current entry's contents into memory.
    pub fn read_small(&mut self, limit: u64) -> Result<Vec<u8>, TarError> {
        let total = self.pieces.iter().map(|piece| piece.length).sum::<u64>();
        if total > limit {
            return Err(self.place(Fault::TooLarge { what: "contents", limit }));
        }
        let mut all = Vec::new();
        while let Some(chunk) = self.chunk()? {
            all.extend_from_slice(chunk.bytes);
        }
        Ok(all)
    }

    /// Reads what is left of the stream and returns its whole length, and the stream.
    pub fn finish(mut self) -> Result<(u64, R), TarError> {
        loop {
            let count = self.input.available().len();
            self.input.consume(count);
            match self.input.fill(1) {
                Ok(0) => return Ok((self.input.taken, self.input.stream)),
                Ok(_) => {}
                Err(fault) => return Err(self.place(fault)),
            }
        }
    }

    fn advance(&mut self) -> Result<Option<Header>, Fault> {
        self.skip_rest()?;
        let mut before = Before::default();
        loop {
            let Some(block) = self.input.block()? else { return end_of(&before) };
            let raw = RawHeader(&block);
            if raw.is_zero() {
                self.end_mark()?;
                return end_of(&before);
            }
            raw.verify()?;
            if !self.extension(raw, &mut before)? {
                return self.entry(raw, before).map(Some);
            }
        }
    }

    fn skip_rest(&mut self) -> Result<(), Fault> {
        while let Some(piece) = self.pieces.pop() {
            self.input.skip(piece.length)?;
        }
        let padding = std::mem::take(&mut self.padding);
        match self.input.skip(padding) {
            // The last entry's padding may be missing.
            Err(Fault::Truncated) => Ok(()),
            other => other,
        }
    }

    /// The end is two blocks of zeros, or one before the end of the stream.
    fn end_mark(&mut self) -> Result<(), Fault> {
        match self.input.block()? {
            Some(block) if !RawHeader(&block).is_zero() => Err(Fault::Malformed("end mark")),
            _ => Ok(()),
        }
    }

    /// Takes a header that says something about the next entry; false if it is an entry itself.
    fn extension(&mut self, raw: RawHeader<'_>, before: &mut Before) -> Result<bool, Fault> {
        let Limits { name, extended, .. } = self.limits;
        match raw.flag() {
            b'x' | b'X' => {
                let bytes = self.input.collect(raw.size()?, "extended header", extended)?;
                let mut records = self.global.clone();
                records.read(&bytes, Reach::Entry)?;
                before.extended = Some(records);
            }
            b'g' => {
                let bytes = self.input.collect(raw.size()?, "global extended header", extended)?;
                self.global.read(&bytes, Reach::Rest)?;
            }
            b'L' => {
                // The name has a NUL behind it.
                let bytes = self.input.collect(raw.size()?, "name", name.saturating_add(1))?;
                before.gnu_path = Some(text(&bytes).to_vec());
            }
            b'K' => {
                let bytes = self.input.collect(raw.size()?, "link", name.saturating_add(1))?;
                before.gnu_link = Some(text(&bytes).to_vec());
            }
            // The name of the volume; it has no contents.
            b'V' => {}
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn entry(&mut self, raw: RawHeader<'_>, before: Before) -> Result<Header, Fault> {
        let kind = kind(raw)?;
        let mut header = raw.entry(kind)?;
        let extended = before.extended.unwrap_or_else(|| self.global.clone());
        if kind.has_contents() {
            header.size = extended.size.unwrap_or(header.size);
            self.contents_of(raw, &extended, &mut header)?;
        }
        let sparse_name = extended.sparse.name.clone();
        extended.apply(&mut header);
        header.path = before.gnu_path.or(sparse_name).unwrap_or(header.path);
        header.link = before.gnu_link.unwrap_or(header.link);
        for (what, text) in [("name", &header.path), ("link", &header.link)] {
            if length(text.len()) > self.limits.name {
                return Err(Fault::TooLarge { what, limit: self.limits.name });
            }
        }
        Ok(header)
    }

    /// Finds out which pieces of the file follow, and how long it is with its holes.
    fn contents_of(
        &mut self,
        raw: RawHeader<'_>,
        extended: &Extended,
        header: &mut Header,
    ) -> Result<(), Fault> {
        let mut stored = header.size;
        self.padding = padding(stored);
        let records = &extended.sparse;
        let mut pieces = if raw.flag() == b'S' {
            header.size = 0;
            let (pieces, size) = self.gnu_pieces(raw)?;
            header.size = size;
            pieces
        } else if (records.major, records.minor) == (Some(1), Some(0)) {
            let (pieces, taken) = self.leading_map(stored)?;
            stored -= taken;
            header.size = records.size.ok_or(Fault::Malformed("sparse map"))?;
            pieces
        } else if let Some(map) = &records.map {
            header.size = records.size.ok_or(Fault::Malformed("sparse map"))?;
            sparse::list(map)?
        } else if !records.pieces.is_empty() {
            header.size = records.size.ok_or(Fault::Malformed("sparse map"))?;
            sparse::pairs(&records.pieces)?
        } else {
            vec![Piece { offset: 0, length: stored }]
        };
        if length(pieces.len()) > self.limits.pieces {
            return Err(Fault::TooLarge { what: "sparse map", limit: self.limits.pieces });
        }
        sparse::check(&pieces, header.size, stored)?;
        pieces.retain(|piece| piece.length > 0);
        pieces.reverse();
        self.pieces = pieces;
        Ok(())
    }

    fn gnu_pieces(&mut self, raw: RawHeader<'_>) -> Result<(Vec<Piece>, u64), Fault> {
        if raw.dialect() != Dialect::Gnu {
            return Err(Fault::Malformed("sparse map"));
        }
        let (places, mut more, size) = raw.gnu_sparse()?;
        let mut pieces = Vec::new();
        sparse::gnu(places, &mut pieces)?;
        while more {
            let block = self.input.block()?.ok_or(Fault::Truncated)?;
            let (places, rest) = block.split_at(21 * 24);
            more = rest.first().is_some_and(|byte| *byte != 0);
            sparse::gnu(places, &mut pieces)?;
            if length(pieces.len()) > self.limits.pieces {
                return Err(Fault::TooLarge { what: "sparse map", limit: self.limits.pieces });
            }
        }
        Ok((pieces, size))
    }

    /// Reads the map before the contents, and returns how many bytes of those it took.
    fn leading_map(&mut self, stored: u64) -> Result<(Vec<Piece>, u64), Fault> {
        let mut lines = Lines::default();
        let mut taken = 0;
        loop {
            taken += BLOCK_BYTES;
            if taken > stored {
                return Err(Fault::Malformed("sparse map"));
            }
            let block = self.input.block()?.ok_or(Fault::Truncated)?;
            if let Some(pieces) = lines.feed(&block, self.limits.pieces)? {
                return Ok((pieces, taken));
            }
        }
    }
}

/// The archive ends here; names that were announced and never came mean that something is missing.
fn end_of(before: &Before) -> Result<Option<Header>, Fault> {
    let orphan = before.extended.is_some() || before.gnu_path.is_some() || before.gnu_link.is_some();
    if orphan { Err(Fault::Truncated) } else { Ok(None) }
}

fn kind(raw: RawHeader<'_>) -> Result<Kind, Fault> {
    match raw.flag() {
        // Before POSIX a directory was a file whose name ends so.
        0 if raw.path().ends_with(b"/") => Ok(Kind::Directory),
        0 | b'0' | b'7' | b'S' => Ok(Kind::File),
        b'1' => Ok(Kind::HardLink),
        b'2' => Ok(Kind::Symlink),
        b'3' => Ok(Kind::CharDevice),
        b'4' => Ok(Kind::BlockDevice),
        b'5' => Ok(Kind::Directory),
        b'6' => Ok(Kind::Fifo),
        flag => Err(Fault::Type { flag }),
    }
}

/// The contents of the current entry as a stream.
#[derive(Debug)]
pub struct Contents<'a, R> {
    reader: &'a mut Reader<R>,
}

impl<R: Read> Read for Contents<'_, R> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let Some(piece) = self.reader.pieces.last_mut() else { return Ok(0) };
        let want = piece.length.min(length(into.len()));
        if want == 0 {
            return Ok(0);
        }
        let bytes = self.reader.input.some(want).map_err(std::io::Error::other)?;
        let count = bytes.len();
        into.get_mut(..count).unwrap_or_default().copy_from_slice(bytes);
        piece.length -= length(count);
        piece.offset += length(count);
        if piece.length == 0 {
            self.reader.pieces.pop();
        }
        Ok(count)
    }
}
