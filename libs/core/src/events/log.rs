//! Writing.

use std::fs::File;
use std::io::{Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::event::{Event, Kind, Status};
use super::{DEFAULT_LIMIT, Reader};
use crate::atomic::{self, Temporary};
use crate::file::FileError;
use crate::limits;
use crate::paths::Dirs;

/// How long a rotation is waited for.
const PATIENCE: Duration = Duration::from_secs(1);

/// The attribute by which podman tells the two ends of a rotation.
const ROTATION: &str = "io.podman.event.rotate";

/// Where events go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// `None` where nothing is logged.
    path: Option<PathBuf>,
    /// 0 is no limit.
    limit: u64,
}

impl Log {
    /// The log of these directories.
    #[must_use]
    pub fn new(dirs: &Dirs) -> Self {
        Self::at(dirs.data.join("events/events.log"), DEFAULT_LIMIT)
    }

    /// A log elsewhere, rotated at so many bytes; 0 is never.
    #[must_use]
    pub const fn at(path: PathBuf, limit: u64) -> Self {
        Self { path: Some(path), limit }
    }

    /// The same in another file.
    #[must_use]
    pub fn moved(self, path: PathBuf) -> Self {
        Self { path: Some(path), ..self }
    }

    /// The same, rotated at so many bytes; 0 is never.
    #[must_use]
    pub fn limited(self, limit: u64) -> Self {
        Self { limit, ..self }
    }

    /// No log: nothing is written.
    #[must_use]
    pub const fn none() -> Self {
        Self { path: None, limit: 0 }
    }

    /// The file; `None` where nothing is logged.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// The size at which it is rotated; 0 is never.
    #[must_use]
    pub const fn limit(&self) -> u64 {
        self.limit
    }

    /// Appends an event.
    ///
    /// # Errors
    /// The disk is full, or the log cannot be written to. That is worth a warning, and no reason to fail.
    pub fn append(&self, event: &Event) -> Result<(), FileError> {
        self.append_all(std::slice::from_ref(event))
    }

    /// Appends events, with one write.
    ///
    /// # Errors
    /// As [`Self::append`].
    pub fn append_all(&self, events: &[Event]) -> Result<(), FileError> {
        let Some(path) = &self.path else { return Ok(()) };
        let failed = |error: std::io::Error| FileError::new("append to", path, error);
        // Room for a break before the first line, should it be needed.
        let mut lines = vec![b'\n'];
        for event in events {
            let before = lines.len();
            event.line(&mut lines).map_err(|error| failed(error.into()))?;
            if lines.len() - before > limits::EVENT {
                return Err(failed(std::io::ErrorKind::FileTooLarge.into()));
            }
        }
        let (mut file, mut size) = self.open(path)?;
        if self.limit > 0 && size > 0 && size + lines.len() as u64 > self.limit {
            self.rotate(&file, path)?;
            (file, size) = self.open(path)?;
        }
        let bytes =
            if size > 0 && is_cut_off(&file, size).map_err(failed)? { &lines[..] } else { &lines[1..] };
        file.write_all(bytes).map_err(failed)
    }

    /// Whoever wants to read the events.
    ///
    /// # Errors
    /// The log cannot be read or watched.
    pub fn read(&self) -> Result<Option<Reader>, FileError> {
        self.path.as_deref().map(Reader::open).transpose()
    }

    /// The log that the path names now, locked against rotations, and its size.
    fn open(&self, path: &Path) -> Result<(File, u64), FileError> {
        let failed = |error: std::io::Error| FileError::new("open", path, error);
        loop {
            let file = match open(path) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                    path.parent().map_or(Ok(()), atomic::private_directory)?;
                    open(path)
                }
                other => other,
            }
            .map_err(failed)?;
            let locked = wait_for_rotation(&file).map_err(failed)?;
            let meta = file.metadata().map_err(failed)?;
            // Replaced between the two steps; one that stays locked is written to as it is.
            if meta.nlink() > 0 || !locked {
                return Ok((file, meta.size()));
            }
        }
    }

    /// Replaces the log by its newer half, unless somebody else is at it or about to append. What the path names
    /// must be opened anew in any case.
    fn rotate(&self, file: &File, path: &Path) -> Result<(), FileError> {
        let failed = |error: std::io::Error| FileError::new("rotate", path, error);
        match flock(file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            // A failed upgrade has given the shared lock up, so the log may have been replaced.
            Err(Errno::WOULDBLOCK) => return Ok(()),
            Err(error) => return Err(failed(error.into())),
        }
        let meta = file.metadata().map_err(failed)?;
        if meta.nlink() == 0 {
            return Ok(());
        }
        let mut old = File::open(path).map_err(failed)?;
        old.seek(SeekFrom::Start(middle(&old, meta.size(), self.limit).map_err(failed)?)).map_err(failed)?;
        let new = Temporary::create(path)?;
        let mut out = new.file();
        out.write_all(&marker(path, "begin").map_err(failed)?).map_err(failed)?;
        std::io::copy(&mut old, &mut out).map_err(failed)?;
        out.write_all(&marker(path, "end").map_err(failed)?).map_err(failed)?;
        new.publish()
    }
}

fn open(path: &Path) -> std::io::Result<File> {
    std::fs::OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)
}

/// Shares the lock; `false` where a rotation stands still.
fn wait_for_rotation(file: &File) -> std::io::Result<bool> {
    let mut start = None;
    loop {
        match flock(file, FlockOperation::NonBlockingLockShared) {
            Ok(()) => return Ok(true),
            Err(Errno::INTR) => {}
            Err(Errno::WOULDBLOCK) => {
                if start.get_or_insert_with(Instant::now).elapsed() > PATIENCE {
                    return Ok(false);
                }
                std::thread::sleep(Duration::from_micros(500));
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Whether the last line has no end, because the disk was full.
fn is_cut_off(file: &File, size: u64) -> std::io::Result<bool> {
    let mut last = [b'\n'];
    file.read_at(&mut last, size - 1)?;
    Ok(last != *b"\n")
}

/// Where the first line begins that is kept.
fn middle(file: &File, size: u64, limit: u64) -> std::io::Result<u64> {
    // A log that grew without a limit is not copied from half to half until it fits.
    let kept = if size / 4 > limit { limit / 2 } else { size / 2 };
    let mut at = size - kept;
    let mut piece = [0; 4096];
    loop {
        let read = file.read_at(&mut piece, at)?;
        if read == 0 {
            return Ok(size);
        }
        match piece[..read].iter().position(|byte| *byte == b'\n') {
            Some(end) => return Ok(at + end as u64 + 1),
            None => at += read as u64,
        }
    }
}

fn marker(path: &Path, end: &str) -> std::io::Result<Vec<u8>> {
    let event = Event::now(Kind::System, Status::Rotate)
        .of("", path.to_string_lossy())
        .with_attributes([(ROTATION, end)]);
    let mut line = Vec::new();
    event.line(&mut line)?;
    Ok(line)
}
