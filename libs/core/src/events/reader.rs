//! Reading, and waiting for more.
//!
//! A reader knows where it is by the last line it has read. When the log was rotated, it goes on after that line in the
//! new one; where the line is not there any more, everything in the new log is news.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Seek as _, SeekFrom};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::io::Errno;

use super::event::Event;
use crate::atomic;
use crate::file::FileError;
use crate::limits;
use crate::watch::{self, Waited};

/// A line that is no event.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// It is not understood.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    /// It does not end.
    #[error("a line is longer than the limit of {} bytes", limits::EVENT)]
    TooLong,
}

/// Reads a log from its beginning on.
#[derive(Debug)]
pub struct Reader {
    path: PathBuf,
    file: Option<File>,
    inode: u64,
    /// Read, but not yet a line.
    pending: Vec<u8>,
    /// Of `pending`, what was given out.
    given: usize,
    last: Vec<u8>,
    /// The rest of a line that is too long is passed over.
    skipping: bool,
    watch: Option<OwnedFd>,
}

impl Reader {
    pub(super) fn open(path: &Path) -> Result<Self, FileError> {
        let mut reader = Self {
            path: path.to_owned(),
            file: None,
            inode: 0,
            pending: Vec::new(),
            given: 0,
            last: Vec::new(),
            skipping: false,
            watch: None,
        };
        reader.open_current()?;
        Ok(reader)
    }

    /// Opens what the path names now; `false` if that is open already, or is not there.
    fn open_current(&mut self) -> Result<bool, FileError> {
        let failed = |error: std::io::Error| FileError::new("open", &self.path, error);
        let file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(failed(error)),
        };
        let inode = file.metadata().map_err(failed)?.ino();
        if inode == self.inode {
            return Ok(false);
        }
        (self.file, self.inode) = (Some(file), inode);
        Ok(true)
    }

    /// The next event that is there; `None` where there is none for now.
    ///
    /// # Errors
    /// The log cannot be read. A line that is no event is one of the results.
    pub fn next_event(&mut self) -> Result<Option<Result<Event, Unreadable>>, FileError> {
        let line = self.next_line()?;
        Ok(line.map(|line| line.and_then(|()| Ok(Event::parse(&self.last)?))))
    }

    /// Makes the next line `last`.
    fn next_line(&mut self) -> Result<Option<Result<(), Unreadable>>, FileError> {
        loop {
            let rest = &self.pending[self.given..];
            if let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                let line = &rest[..end];
                self.given += end + 1;
                if std::mem::take(&mut self.skipping) {
                    return Ok(Some(Err(Unreadable::TooLong)));
                }
                if !line.is_empty() {
                    self.last.clear();
                    self.last.extend_from_slice(line);
                    return Ok(Some(Ok(())));
                }
                continue;
            }
            if rest.len() > limits::EVENT {
                self.skipping = true;
                self.given = self.pending.len();
            }
            if !self.fill()? && !self.go_on()? {
                return Ok(None);
            }
        }
    }

    /// Reads some more of this log; `false` at its end.
    fn fill(&mut self) -> Result<bool, FileError> {
        let Some(file) = &mut self.file else { return Ok(false) };
        self.pending.drain(..std::mem::take(&mut self.given));
        let before = self.pending.len();
        let read = file.take(64 << 10).read_to_end(&mut self.pending);
        read.map_err(|error| FileError::new("read", &self.path, error))?;
        Ok(self.pending.len() > before)
    }

    /// Goes on with the log that replaced this one; `false` where none did.
    fn go_on(&mut self) -> Result<bool, FileError> {
        let old = self.file.take();
        if !self.open_current()? {
            self.file = old;
            return Ok(false);
        }
        // Nobody appends to the old one any more, but somebody may have since it was read.
        if let Some(old) = old {
            let new = self.file.replace(old);
            if self.fill()? {
                self.inode = 0;
                return Ok(true);
            }
            self.file = new;
        }
        (self.given, self.skipping) = (0, false);
        self.pending.clear();
        if !self.last.is_empty() {
            self.pass_over()?;
        }
        Ok(true)
    }

    /// Passes over what was read before, in a log that has just been opened.
    fn pass_over(&mut self) -> Result<(), FileError> {
        let Some(file) = &self.file else { return Ok(()) };
        let failed = |error| FileError::new("read", &self.path, error);
        let mut lines = BufReader::new(file);
        let (mut at, mut known, mut line) = (0, 0, Vec::new());
        loop {
            line.clear();
            let read =
                lines.by_ref().take(limits::EVENT as u64).read_until(b'\n', &mut line).map_err(failed)?;
            at += read as u64;
            if line.strip_suffix(b"\n") == Some(&self.last) {
                known = at;
            }
            if read == 0 {
                break;
            }
        }
        let mut file = file;
        file.seek(SeekFrom::Start(known)).map_err(failed)?;
        Ok(())
    }

    /// Begins to watch: from here on [`Self::wait`] misses nothing.
    ///
    /// # Errors
    /// The directory cannot be watched: the user has too many watches.
    pub fn watch(&mut self) -> Result<(), FileError> {
        let Some(folder) = self.path.parent() else { return Ok(()) };
        atomic::private_directory(folder)?;
        let failed = |error: Errno| FileError::new("watch", folder, error);
        let watch = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).map_err(failed)?;
        let news = WatchFlags::MODIFY | WatchFlags::MOVED_TO | WatchFlags::CREATE;
        inotify::add_watch(&watch, folder, news).map_err(failed)?;
        self.watch = Some(watch);
        Ok(())
    }

    /// Waits until there may be more, but no longer than so many nanoseconds, and no longer than somebody reads what is
    /// written to `out`. What is not watched has no news.
    ///
    /// # Errors
    /// The kernel has no memory.
    pub fn wait(&self, out: BorrowedFd<'_>, limit: Option<u64>) -> Result<Waited, FileError> {
        let Some(watch) = &self.watch else { return Ok(Waited::TimeOver) };
        let failed = |error: Errno| FileError::new("watch", &self.path, error);
        let waited = watch::wait([watch.as_fd()], out, limit).map_err(failed)?;
        if waited == Waited::News {
            let mut news = [0; 4096];
            // What it was does not matter, only that it was.
            match rustix::io::read(watch, &mut news) {
                Ok(_) | Err(Errno::AGAIN) => {}
                Err(error) => return Err(failed(error)),
            }
        }
        Ok(waited)
    }
}
