//! Waiting for news, for a time, and no longer than somebody listens.

use std::os::fd::BorrowedFd;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

/// What ended a wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waited {
    /// There may be something new.
    News,
    /// The time is over.
    TimeOver,
    /// Nobody reads any more what we write.
    ReaderGone,
}

/// Waits until one of these can be read, but no longer than so many nanoseconds, and no longer than somebody reads what is
/// written to `out`.
///
/// # Errors
/// The kernel has no memory.
pub fn wait<'a>(
    news: impl IntoIterator<Item = BorrowedFd<'a>>,
    out: BorrowedFd<'a>,
    limit: Option<u64>,
) -> rustix::io::Result<Waited> {
    let limit = limit.map(|nanos| Timespec {
        tv_sec: i64::try_from(nanos / 1_000_000_000).unwrap_or(i64::MAX),
        tv_nsec: i64::try_from(nanos % 1_000_000_000).unwrap_or(0),
    });
    // Asked for nothing, the kernel still tells that the other side is gone.
    let mut fds = vec![PollFd::from_borrowed_fd(out, PollFlags::empty())];
    fds.extend(news.into_iter().map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)));
    match poll(&mut fds, limit.as_ref()) {
        Ok(0) => Ok(Waited::TimeOver),
        Ok(_) if !fds[0].revents().is_empty() => Ok(Waited::ReaderGone),
        Ok(_) | Err(Errno::INTR) => Ok(Waited::News),
        Err(error) => Err(error),
    }
}
