//! The log: records of lines, in files of a bounded size, that survives a full disk.
//!
//! # Format
//! Podman's `k8s-file`: time, stream, `F` for a line or `P` for a piece of one, the bytes, a newline. A line is cut where it
//! is longer than [`PIECE`], and where a read of the container's output happened to end: what it wrote is in the log at
//! once.
//!
//! # Rotation
//! A file that would outgrow its limit becomes `.1`, that one `.2`, and so on to the last, which goes. Whoever has one open
//! keeps it, so nothing is lost for a follower. `NAME.gone` counts the bytes of those that went, in eight bytes, the lowest
//! first: so one that comes too late for a file knows how much it missed.
//!
//! # Failure
//! What cannot be written is counted, and the count is the first record that can be. A record is written as a whole: the
//! rest of one that went half to the disk is kept, and is the first to go on.

use ctr_sys::decimal::{DIGITS, digits};
use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::time::Timespec;

use crate::memory::release;
use crate::stamp::{STAMP, stamp};

mod name;
#[cfg(test)]
mod tests;

use name::Name;

/// The most bytes of a line in one record.
pub(crate) const PIECE: usize = 16 << 10;

/// The bytes of a record before those of the line: time, blank, stream, blank, tag, blank.
const HEADER: usize = STAMP + 10;

/// What was written where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stream {
    Stdout,
    Stderr,
}

/// A log that is being written.
pub(crate) struct Log<'a> {
    folder: OwnedFd,
    name: &'a [u8],
    limit: u64,
    files: u32,
    /// The newest file, and how long it is; none if it could not be opened.
    file: Option<(OwnedFd, u64)>,
    /// Whole records, but for the first if part of it was written already.
    buffer: &'a mut [u8],
    filled: usize,
    /// Whether the first record in the buffer has been written in part.
    torn: bool,
    /// Where in the buffer the record begins that says what was lost.
    confession: Option<usize>,
    /// Bytes of output that are in no record.
    lost: u64,
}

impl<'a> Log<'a> {
    /// A log in a folder. The buffer must hold a record.
    pub(crate) fn new(folder: OwnedFd, name: &'a [u8], limit: u64, files: u32, buffer: &'a mut [u8]) -> Self {
        let mut log = Self {
            folder,
            name,
            limit,
            files,
            file: None,
            buffer,
            filled: 0,
            torn: false,
            confession: None,
            lost: 0,
        };
        // If that fails, it is tried again with the first record.
        log.open().ok();
        log
    }

    /// Writes output down.
    pub(crate) fn write(&mut self, stream: Stream, bytes: &[u8], now: Timespec) {
        let now = stamp(now);
        let mut rest = bytes;
        while !rest.is_empty() {
            let (piece, tag) = first_piece(rest);
            self.record(&now, stream, tag, piece);
            rest = rest.get(piece.len() + usize::from(tag == b'F')..).unwrap_or_default();
        }
        self.flush();
    }

    /// Gives the buffer's memory back while nothing is in it.
    pub(crate) fn release(&mut self) {
        if self.filled == 0 {
            release(self.buffer);
        }
    }

    /// Says at the end what has not been said.
    pub(crate) fn finish(&mut self, now: Timespec) {
        if self.lost > 0 {
            self.confess(&stamp(now));
        }
        self.flush();
    }

    /// Adds one record.
    fn record(&mut self, now: &[u8; STAMP], stream: Stream, tag: u8, piece: &[u8]) {
        if self.lost > 0 && self.confession.is_none() {
            self.confess(now);
        }
        if !self.put(now, stream, tag, piece) {
            self.lost += content(piece.len(), tag);
        }
    }

    /// Says how much was lost.
    fn confess(&mut self, now: &[u8; STAMP]) {
        const BEFORE: &[u8] = b"ctr: ";
        const AFTER: &[u8] = b" bytes of output are missing here: the log could not be written";
        let mut buffer = [0; DIGITS];
        let number = digits(self.lost, &mut buffer);
        let mut text = [0; BEFORE.len() + DIGITS + AFTER.len()];
        let mut length = 0;
        for part in [BEFORE, number, AFTER] {
            if let Some(place) = text.get_mut(length..length + part.len()) {
                place.copy_from_slice(part);
            }
            length += part.len();
        }
        if self.put(now, Stream::Stderr, b'F', text.get(..length).unwrap_or_default()) {
            self.confession = Some(self.filled - length - HEADER - 1);
        }
    }

    /// Puts a record into the buffer, once it has a file with room for it. False if there is no room.
    fn put(&mut self, now: &[u8; STAMP], stream: Stream, tag: u8, piece: &[u8]) -> bool {
        let length = HEADER + piece.len() + 1;
        if self.is_full_for(length) {
            self.flush();
            // What is left in the buffer belongs to the file that it was begun in.
            if self.filled == 0 && self.is_full_for(length) {
                self.rotate();
            }
        }
        if self.filled + length > self.buffer.len() {
            self.flush();
        }
        let Some(place) = self.buffer.get_mut(self.filled..self.filled + length) else { return false };
        let (header, rest) = place.split_at_mut(HEADER);
        header[..STAMP].copy_from_slice(now);
        header[STAMP..].copy_from_slice(match stream {
            Stream::Stdout => b" stdout   ",
            Stream::Stderr => b" stderr   ",
        });
        header[HEADER - 2] = tag;
        let (line, end) = rest.split_at_mut(piece.len());
        line.copy_from_slice(piece);
        end[0] = b'\n';
        self.filled += length;
        true
    }

    /// Whether the newest file would outgrow its limit. An empty one takes anything.
    fn is_full_for(&self, more: usize) -> bool {
        let size = self.file.as_ref().map_or(0, |(_, size)| *size) + self.filled as u64;
        self.limit > 0 && size > 0 && size + more as u64 > self.limit
    }

    /// Writes what is in the buffer. What cannot be written is counted.
    pub(crate) fn flush(&mut self) {
        let done = self.write_buffer();
        if done == self.filled {
            if self.confession.take().is_some() {
                self.lost = 0;
            }
            (self.filled, self.torn) = (0, false);
            return;
        }
        self.lose_from(done);
    }

    /// Writes what it can, and returns how much that was.
    fn write_buffer(&mut self) -> usize {
        if self.filled == 0 || self.file.is_none() && self.open().is_err() {
            return 0;
        }
        let Some((file, size)) = &mut self.file else { return 0 };
        let mut done = 0;
        while let Some(rest) = self.buffer.get(done..self.filled).filter(|rest| !rest.is_empty()) {
            match rustix::io::write(&*file, rest) {
                Ok(0) => break,
                Ok(count) => done += count,
                Err(Errno::INTR) => {}
                Err(_full) => break,
            }
        }
        *size += done as u64;
        done
    }

    /// Keeps the rest of the record that `done` lies in, and counts those behind it.
    fn lose_from(&mut self, done: usize) {
        let begun = done > 0 && self.buffer.get(done - 1) != Some(&b'\n') || done == 0 && self.torn;
        let written = self.buffer.get(done..self.filled).unwrap_or_default();
        let kept = if begun { line_end(written).map_or(written.len(), |end| end + 1) } else { 0 };
        let confession = self.confession.take();
        if confession.is_some_and(|at| at < done + kept) {
            self.lost = 0;
        }
        let mut rest = written.get(kept..).unwrap_or_default();
        let mut at = done + kept;
        while let Some(end) = line_end(rest) {
            if confession != Some(at) {
                let tag = rest.get(HEADER - 2).copied().unwrap_or_default();
                self.lost += content(end - HEADER, tag);
            }
            rest = rest.get(end + 1..).unwrap_or_default();
            at += end + 1;
        }
        self.buffer.copy_within(done..done + kept, 0);
        (self.filled, self.torn) = (kept, kept > 0);
    }

    /// Gives the files their next names. Where that fails, the newest goes on.
    fn rotate(&mut self) {
        let last = Name::of(self.name, self.files.saturating_sub(1));
        let going = rustix::fs::statat(&self.folder, last.as_c_str(), AtFlags::SYMLINK_NOFOLLOW);
        for number in (1..self.files.saturating_sub(1)).rev() {
            self.rename(number, number + 1).ok();
        }
        let done = if self.files > 1 {
            self.rename(0, 1)
        } else {
            let name = Name::of(self.name, 0);
            rustix::fs::unlinkat(&self.folder, name.as_c_str(), AtFlags::empty())
        };
        // A file that is gone already is no loss to its name.
        if matches!(done, Ok(()) | Err(Errno::NOENT)) {
            self.file = None;
            if let Ok(going) = going {
                // Without the count, followers know that they missed something, but not how much.
                self.count_gone(u64::try_from(going.st_size).unwrap_or_default()).ok();
            }
            // If that fails, it is tried again with the next record.
            self.open().ok();
        }
    }

    /// Adds to the bytes that are in no file any more.
    fn count_gone(&self, more: u64) -> rustix::io::Result<()> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let name = Name::of_count(self.name);
        let file = rustix::fs::openat(&self.folder, name.as_c_str(), flags, Mode::RUSR | Mode::WUSR)?;
        let mut count = [0; 8];
        rustix::io::pread(&file, &mut count, 0)?;
        let count = u64::from_le_bytes(count).saturating_add(more).to_le_bytes();
        rustix::io::pwrite(&file, &count, 0).map(|_| ())
    }

    fn rename(&self, from: u32, to: u32) -> rustix::io::Result<()> {
        let (from, to) = (Name::of(self.name, from), Name::of(self.name, to));
        rustix::fs::renameat(&self.folder, from.as_c_str(), &self.folder, to.as_c_str())
    }

    /// Makes the newest file, or opens it if it is there from an earlier start.
    fn open(&mut self) -> rustix::io::Result<()> {
        let name = Name::of(self.name, 0);
        // Without blocking: the name may be that of a FIFO which somebody put there.
        let flags = OFlags::RDWR
            | OFlags::APPEND
            | OFlags::CLOEXEC
            | OFlags::NOFOLLOW
            | OFlags::NONBLOCK
            | OFlags::NOCTTY;
        let mode = Mode::RUSR | Mode::WUSR;
        let fresh = flags | OFlags::CREATE | OFlags::EXCL;
        let file = match rustix::fs::openat(&self.folder, name.as_c_str(), fresh, mode) {
            Err(Errno::EXIST) => rustix::fs::openat(&self.folder, name.as_c_str(), flags, mode)?,
            other => other?,
        };
        let stat = rustix::fs::fstat(&file)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            // It has no length, and is not ours to rename.
            self.limit = 0;
        }
        let mut size = u64::try_from(stat.st_size).unwrap_or_default();
        let mut last = [b'\n'];
        if size > 0 && rustix::io::pread(&file, &mut last, size - 1) == Ok(1) && last != [b'\n'] {
            // Whoever wrote it before us was killed in the middle of a record.
            size += rustix::io::write(&file, b"\n")? as u64;
        }
        self.file = Some((file, size));
        Ok(())
    }
}

/// The first piece of some output, without its newline, and its tag.
fn first_piece(bytes: &[u8]) -> (&[u8], u8) {
    let (window, _) = bytes.split_at(bytes.len().min(PIECE + 1));
    match line_end(window) {
        Some(end) => (window.split_at(end).0, b'F'),
        None => (window.split_at(window.len().min(PIECE)).0, b'P'),
    }
}

/// How much output a record stands for.
fn content(length: usize, tag: u8) -> u64 {
    length as u64 + u64::from(tag == b'F')
}

/// Where the first newline is. Eight bytes at a time: this is what most of the time goes into.
fn line_end(bytes: &[u8]) -> Option<usize> {
    const ONES: u64 = u64::MAX / 255;
    let (words, rest) = bytes.as_chunks::<8>();
    for (at, word) in words.iter().enumerate() {
        let differing = u64::from_le_bytes(*word) ^ (ONES * b'\n' as u64);
        // The lowest bit that is set belongs to the first byte that is zero.
        let zeros = differing.wrapping_sub(ONES) & !differing & (ONES << 7);
        if zeros != 0 {
            return Some(at * 8 + (zeros.trailing_zeros() / 8) as usize);
        }
    }
    rest.iter().position(|byte| *byte == b'\n').map(|at| words.len() * 8 + at)
}
