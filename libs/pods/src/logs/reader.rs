//! From files to entries.

use std::collections::VecDeque;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use ctr_core::file::FileError;

use super::entry::Entry;
use super::files::{self, Part};
use super::tail;

/// Bytes that are read at once; a record that is longer is damage.
pub(super) const BLOCK: usize = 256 << 10;

/// What a read came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// There may be more.
    More,
    /// This was all, for now.
    AtEnd,
}

/// Output that went before it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Missed {
    /// How many bytes of the log; 0 where that is not known.
    pub bytes: u64,
}

/// Reads a log.
#[derive(Debug)]
pub struct Reader {
    path: PathBuf,
    /// What is still to be read, beginning with the file that is being read; the last one stays.
    parts: VecDeque<Part>,
    block: Vec<u8>,
    /// The bytes of the block that are read and not handed out.
    filled: std::ops::Range<usize>,
    /// Inside a record that is too long.
    skipping: bool,
    damaged: u64,
    missed: Option<Missed>,
}

impl Reader {
    /// Opens a log by the name of its newest file. One that is not there is empty.
    ///
    /// # Errors
    /// A file cannot be opened, or is no file.
    pub fn open(path: &Path) -> Result<Self, FileError> {
        let parts = files::newer_than(path, None)?.into();
        Ok(Self {
            path: path.to_owned(),
            parts,
            block: vec![0; BLOCK],
            filled: 0..0,
            skipping: false,
            damaged: 0,
            missed: None,
        })
    }

    /// Passes over all but the last so many lines.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn skip_to_last(&mut self, lines: u64) -> Result<(), FileError> {
        let start = tail::find(self.parts.make_contiguous(), lines).map_err(|error| self.failed(error))?;
        let Some((index, offset)) = start else { return Ok(()) };
        self.parts.drain(..index);
        if let Some(mut file) = self.parts.front().map(|part| &part.file) {
            file.seek(SeekFrom::Start(offset)).map_err(|error| self.failed(error))?;
        }
        Ok(())
    }

    /// Opens the files that have come since, so that nothing can take them away.
    ///
    /// # Errors
    /// A file cannot be opened, or is no file.
    pub fn discover(&mut self) -> Result<(), FileError> {
        let known = self.parts.back();
        let ends = known.map(Part::end).transpose().map_err(|error| self.failed(error))?;
        let new = files::newer_than(&self.path, known)?;
        if let (Some(ends), Some(first)) = (ends, new.first())
            && first.before != ends
            && self.is_over(first)?
        {
            self.missed = Some(Missed { bytes: first.before.saturating_sub(ends) });
        }
        self.parts.extend(new);
        Ok(())
    }

    /// Whether something is missing between the newest file that we know and a newer one. Our file may have grown since we
    /// asked for its size, and nothing else.
    fn is_over(&self, first: &Part) -> Result<bool, FileError> {
        let end = self.parts.back().map(Part::end).transpose().map_err(|error| self.failed(error))?;
        Ok(end != Some(first.before))
    }

    /// Output that went before it was read, told once.
    pub const fn missed(&mut self) -> Option<Missed> {
        self.missed.take()
    }

    /// Records that were left out because they are damaged, so far.
    #[must_use]
    pub const fn damaged(&self) -> u64 {
        self.damaged
    }

    /// Reads one block, and hands its entries to `each`.
    ///
    /// # Errors
    /// The log cannot be read, or those of `each`.
    pub fn read<E: From<FileError>>(
        &mut self,
        mut each: impl FnMut(Entry<'_>) -> Result<(), E>,
    ) -> Result<Progress, E> {
        if self.fill()? == 0 {
            return self.next_file(&mut each);
        }
        let block = std::mem::take(&mut self.block);
        let done = self.hand_out(&block, &mut each);
        self.block = block;
        done?;
        Ok(Progress::More)
    }

    /// Hands out the whole records of the block.
    fn hand_out<E>(
        &mut self,
        block: &[u8],
        each: &mut impl FnMut(Entry<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        while let Some(line) = first_line(&block[self.filled.clone()]) {
            self.filled.start += line.len() + 1;
            if std::mem::take(&mut self.skipping) {
                continue;
            }
            self.hand_out_one(line, each)?;
        }
        if self.filled.len() == block.len() || self.skipping {
            // Longer than any record is.
            self.damaged += u64::from(!self.skipping);
            self.skipping = true;
            self.filled = 0..0;
        }
        Ok(())
    }

    fn hand_out_one<E>(
        &mut self,
        line: &[u8],
        each: &mut impl FnMut(Entry<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        match Entry::parse(line) {
            Some(entry) => each(entry),
            None => {
                self.damaged += u64::from(!line.is_empty());
                Ok(())
            }
        }
    }

    /// Reads more of the file behind what is not handed out yet; returns how much that was.
    fn fill(&mut self) -> Result<usize, FileError> {
        self.block.copy_within(self.filled.clone(), 0);
        self.filled = 0..self.filled.len();
        let Some(part) = self.parts.front() else { return Ok(0) };
        let mut file = &part.file;
        let read = loop {
            match file.read(&mut self.block[self.filled.end..]) {
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                other => break other,
            }
        };
        let read = read.map_err(|error| self.failed(error))?;
        self.filled.end += read;
        Ok(read)
    }

    /// Goes on with the next file, if there is one.
    fn next_file<E: From<FileError>>(
        &mut self,
        each: &mut impl FnMut(Entry<'_>) -> Result<(), E>,
    ) -> Result<Progress, E> {
        if self.parts.len() < 2 {
            let had = self.parts.len();
            self.discover()?;
            if self.parts.len() < 2 {
                return Ok(if self.parts.len() > had { Progress::More } else { Progress::AtEnd });
            }
        }
        // What was written before the file was renamed, and after we came to its end.
        if self.fill()? > 0 {
            let block = std::mem::take(&mut self.block);
            let done = self.hand_out(&block, each);
            self.block = block;
            return done.map(|()| Progress::More);
        }
        self.finish(each)?;
        self.parts.pop_front();
        Ok(Progress::More)
    }

    /// Hands out the last line of a file, which has no end.
    ///
    /// # Errors
    /// Those of `each`.
    pub fn finish<E>(&mut self, each: &mut impl FnMut(Entry<'_>) -> Result<(), E>) -> Result<(), E> {
        let rest = std::mem::replace(&mut self.filled, 0..0);
        if std::mem::take(&mut self.skipping) || rest.is_empty() {
            return Ok(());
        }
        let block = std::mem::take(&mut self.block);
        let done = self.hand_out_one(&block[rest], each);
        self.block = block;
        done
    }

    fn failed(&self, error: std::io::Error) -> FileError {
        FileError::new("read", &self.path, error)
    }
}

/// The bytes before the first newline; the C library looks for it with whatever the processor has.
fn first_line(bytes: &[u8]) -> Option<&[u8]> {
    let mut rest = bytes;
    let read = std::io::BufRead::skip_until(&mut rest, b'\n').unwrap_or(0);
    bytes[..read].strip_suffix(b"\n")
}
