//! Waiting for news of logs, and for the end of who writes them.

use std::cell::Cell;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use ctr_core::file::{self, FileError};
use ctr_core::limits;
use ctr_core::lock::Lock;
use ctr_core::watch::{self, Waited};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::io::Errno;

use crate::record::State;

/// Whether a container that is supervised from a folder has ended.
#[derive(Debug)]
pub struct Ended {
    folder: PathBuf,
    supervisor: Option<OwnedFd>,
}

impl Ended {
    /// Looks at the folder of a container.
    #[must_use]
    pub const fn new(folder: PathBuf) -> Self {
        Self { folder, supervisor: None }
    }

    /// Whether nothing will be written to its log any more: it ended, has not begun, or is no more.
    ///
    /// # Errors
    /// Its folder cannot be read.
    pub fn now(&mut self) -> Result<bool, FileError> {
        if self.folder.join("exit.json").exists() || !Lock::is_held(&self.folder.join("lock"))? {
            return Ok(true);
        }
        if self.supervisor.as_ref().is_some_and(is_over) {
            self.supervisor = None;
        }
        if self.supervisor.is_none()
            && let Ok(state) = file::read_json::<State>(&self.folder.join("state.json"), limits::RECORD)
        {
            self.supervisor = state.supervisor.open()?;
        }
        Ok(false)
    }
}

/// Whether a process has ended.
fn is_over(process: &OwnedFd) -> bool {
    poll(&mut [PollFd::new(process, PollFlags::IN)], Some(&Timespec { tv_sec: 0, tv_nsec: 0 })) != Ok(0)
}

/// Watches folders.
#[derive(Debug)]
pub struct Watch {
    inotify: OwnedFd,
    /// News were taken from the kernel, and not acted upon by looking at everything.
    pending: Cell<bool>,
}

impl Watch {
    /// Watches nothing yet.
    ///
    /// # Errors
    /// The user has too many of these.
    pub fn new() -> Result<Self, FileError> {
        let inotify = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK);
        let inotify = inotify.map_err(|error| FileError::new("watch", "logs", error))?;
        Ok(Self { inotify, pending: Cell::new(false) })
    }

    /// Watches a log and the folder of its container. What is not there cannot have news.
    ///
    /// # Errors
    /// The user watches too much.
    pub fn add(&self, log: &Path, ended: &Ended) -> Result<(), FileError> {
        let change = WatchFlags::CREATE | WatchFlags::MOVED_TO | WatchFlags::CLOSE_WRITE;
        let end = change | WatchFlags::DELETE_SELF | WatchFlags::DELETE;
        self.watch(&ended.folder, end)?;
        log.parent().map_or(Ok(()), |folder| self.watch(folder, change | WatchFlags::MODIFY))
    }

    fn watch(&self, folder: &Path, what: WatchFlags) -> Result<(), FileError> {
        match inotify::add_watch(&self.inotify, folder, what | WatchFlags::MASK_ADD) {
            Ok(_) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(FileError::new("watch", folder, error)),
        }
    }

    /// Takes what the kernel has queued, before everything is looked at; `true` if a file may have come.
    ///
    /// # Errors
    /// The kernel cannot tell.
    pub fn begin(&self) -> Result<bool, FileError> {
        let came = self.files_came();
        self.pending.set(false);
        came
    }

    /// Takes what the kernel has queued; `true` if a file may have come. The next wait is over at once if there was
    /// anything.
    ///
    /// # Errors
    /// The kernel cannot tell.
    pub fn files_came(&self) -> Result<bool, FileError> {
        let mut space = [std::mem::MaybeUninit::uninit(); 4096];
        let mut events = inotify::Reader::new(&self.inotify, &mut space);
        let mut came = false;
        loop {
            match events.next() {
                Ok(event) => {
                    self.pending.set(true);
                    let news = ReadFlags::CREATE | ReadFlags::MOVED_TO | ReadFlags::QUEUE_OVERFLOW;
                    came |= event.events().intersects(news);
                }
                Err(Errno::AGAIN) => return Ok(came),
                Err(Errno::INTR) => {}
                Err(error) => return Err(FileError::new("watch", "logs", error)),
            }
        }
    }

    /// Waits for news, but no longer than so many nanoseconds, and no longer than somebody reads what we write.
    ///
    /// # Errors
    /// The kernel has no memory.
    pub fn wait<'a>(
        &self,
        ended: impl Iterator<Item = &'a Ended>,
        reader: BorrowedFd<'_>,
        limit: Option<u64>,
    ) -> Result<Waited, FileError> {
        if self.pending.get() {
            return Ok(Waited::News);
        }
        let supervisors = ended.filter_map(|ended| ended.supervisor.as_ref().map(AsFd::as_fd));
        watch::wait(supervisors.chain([self.inotify.as_fd()]), reader, limit)
            .map_err(|error| FileError::new("watch", "logs", error))
    }
}
