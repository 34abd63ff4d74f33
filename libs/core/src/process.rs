//! The identity of a process: a pid alone is reused, a pid with its start time and boot is not.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{fstat, fstatfs};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde::{Deserialize, Serialize};

use crate::boot::{BootId, boot_id};
use crate::file::{self, FileError};
use crate::foreign::Foreign;

/// Which process, for good.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Identity {
    /// Its id, in the pid namespace of who wrote this.
    pub pid: u32,
    /// When it started, in ticks since boot.
    pub start_time: u64,
    /// The boot it ran in.
    pub boot_id: BootId,
}

impl Identity {
    /// Identifies a process that lives now.
    pub fn of(pid: u32) -> Result<Self, FileError> {
        let path = PathBuf::from(format!("/proc/{pid}/stat"));
        let stat = file::read(&path, 16 << 10)?;
        let start_time = parse_start_time(&stat).ok_or_else(|| {
            FileError::new("understand", &path, std::io::Error::from(std::io::ErrorKind::InvalidData))
        })?;
        Ok(Self { pid, start_time, boot_id: boot_id()?.clone() })
    }

    /// Identifies this process.
    pub fn current() -> Result<Self, FileError> {
        Self::of(std::process::id())
    }

    /// Opens the process, or returns nothing when it is gone, be its pid in use by another one or not.
    pub fn open(&self) -> Result<Option<OwnedFd>, FileError> {
        if !self.boot_id.is_current()? {
            return Ok(None);
        }
        let Some(fd) = self.open_whoever()? else { return Ok(None) };
        // Asked after the open: from here on the pid cannot pass to another process unnoticed.
        match Self::of(self.pid) {
            Ok(now) if now == *self => Ok(Some(fd)),
            Ok(_) => Ok(None),
            Err(error) if error.is_missing() || is_gone(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Returns whether the process runs: one that has ended does not, be it waited for or not.
    pub fn runs(&self) -> Result<bool, FileError> {
        if !self.boot_id.is_current()? {
            return Ok(false);
        }
        match file::read(&PathBuf::from(format!("/proc/{}/stat", self.pid)), 16 << 10) {
            Ok(stat) => Ok(parse_start_time(&stat) == Some(self.start_time) && !is_over(&stat)),
            Err(error) if error.is_missing() || is_gone(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Returns whether the process runs, as [`Self::runs`] does, and several times as fast where its serial is known.
    pub fn runs_as(&self, serial: Option<Serial>) -> Result<bool, FileError> {
        let Some(serial) = serial else { return self.runs() };
        if !self.boot_id.is_current()? {
            return Ok(false);
        }
        let Some(process) = self.open_whoever()? else { return Ok(false) };
        let mut ended = [PollFd::new(&process, PollFlags::IN)];
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        let failed = |errno| FileError::new("ask", format!("/proc/{}", self.pid), errno);
        Ok(Serial::inode(process.as_fd()) == Some(serial)
            && poll(&mut ended, Some(&at_once)).map_err(failed)? == 0)
    }

    /// Opens the process that has the pid now. None does where it is a thread's, which the kernel says in words that differ
    /// from version to version.
    fn open_whoever(&self) -> Result<Option<OwnedFd>, FileError> {
        let Some(pid) = i32::try_from(self.pid).ok().and_then(Pid::from_raw) else { return Ok(None) };
        match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(process) => Ok(Some(process)),
            Err(Errno::SRCH | Errno::NOENT | Errno::INVAL) => Ok(None),
            Err(errno) => Err(FileError::new("open", format!("/proc/{}", self.pid), errno)),
        }
    }

    /// Returns whether the process lives (a zombie does, until it is waited for).
    pub fn is_alive(&self) -> Result<bool, FileError> {
        self.open().map(|fd| fd.is_some())
    }
}

/// The kernel's own number for a process, which no other one gets until the next boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Serial(u64);

impl Serial {
    /// The serial of an open process; none before Linux 6.9, where all have the same inode.
    #[must_use]
    pub fn of(process: BorrowedFd<'_>) -> Option<Self> {
        const PID_FS_MAGIC: u64 = 0x5049_4446;
        let numbers = fstatfs(process).is_ok_and(|fs| u64::try_from(fs.f_type) == Ok(PID_FS_MAGIC));
        if numbers { Self::inode(process) } else { None }
    }

    fn inode(process: BorrowedFd<'_>) -> Option<Self> {
        fstat(process).ok().map(|stat| Self(stat.st_ino))
    }
}

/// A process that ended while its file was read.
fn is_gone(error: &FileError) -> bool {
    error.source.raw_os_error() == Some(Errno::SRCH.raw_os_error())
}

/// Whether field 3 of /proc/PID/stat says that the process has ended.
fn is_over(stat: &[u8]) -> bool {
    let after_name = stat.iter().rposition(|byte| *byte == b')').map_or(0, |at| at + 2);
    matches!(stat.get(after_name), Some(b'Z' | b'X'))
}

/// Field 22 of /proc/PID/stat; the second one, the name, may hold blanks and parentheses.
fn parse_start_time(stat: &[u8]) -> Option<u64> {
    let after_name = stat.iter().rposition(|byte| *byte == b')')?;
    let rest = std::str::from_utf8(stat.get(after_name + 1..)?).ok()?;
    rest.split_ascii_whitespace().nth(19)?.parse().ok()
}

/// Returns the command line of a process with blanks between its words; empty where it cannot be read.
#[must_use]
pub fn command_line(pid: u32) -> Foreign {
    let mut bytes = file::read(&PathBuf::from(format!("/proc/{pid}/cmdline")), 64 << 10).unwrap_or_default();
    while bytes.last() == Some(&0) {
        bytes.pop();
    }
    for byte in &mut bytes {
        if *byte == 0 {
            *byte = b' ';
        }
    }
    Foreign::new(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ourselves() {
        let identity = Identity::current().unwrap();
        assert!(identity.open().unwrap().is_some() && identity.runs().unwrap());
        let json = serde_json::to_string(&identity).unwrap();
        assert_eq!(serde_json::from_str::<Identity>(&json).unwrap(), identity);
    }

    #[test]
    fn another_start_time_is_another_process() {
        let mut identity = Identity::current().unwrap();
        identity.start_time += 1;
        assert!(!identity.is_alive().unwrap() && !identity.runs().unwrap());
    }

    #[test]
    fn another_boot_had_other_processes() {
        let boot_id = serde_json::from_str("\"00000000-0000-4000-8000-000000000000\"").unwrap();
        let identity = Identity { boot_id, ..Identity::current().unwrap() };
        assert!(!identity.is_alive().unwrap() && !identity.runs().unwrap());
    }

    #[test]
    fn a_process_that_ended() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let identity = Identity::of(child.id()).unwrap();
        rustix::process::waitid(
            rustix::process::WaitId::Pid(Pid::from_child(&child)),
            rustix::process::WaitIdOptions::EXITED | rustix::process::WaitIdOptions::NOWAIT,
        )
        .unwrap();
        assert!(identity.is_alive().unwrap(), "a zombie is still there");
        assert!(!identity.runs().unwrap(), "but does nothing any more");
        let serial = identity.open().unwrap().and_then(|process| Serial::of(process.as_fd()));
        assert!(!identity.runs_as(serial).unwrap());
        child.wait().unwrap();
        assert!(!identity.is_alive().unwrap() && !identity.runs_as(serial).unwrap());
    }

    #[test]
    fn another_serial_is_another_process() {
        let identity = Identity::current().unwrap();
        let serial = identity.open().unwrap().and_then(|process| Serial::of(process.as_fd()));
        assert!(identity.runs_as(serial).unwrap());
        if let Some(Serial(number)) = serial {
            assert!(!identity.runs_as(Some(Serial(number + 1))).unwrap());
        }
    }

    #[test]
    fn a_pid_that_is_a_thread_s_by_now_is_no_process() {
        let mut identity = Identity::current().unwrap();
        let serial = identity.open().unwrap().and_then(|process| Serial::of(process.as_fd()));
        let (tell, told) = std::sync::mpsc::channel();
        let (end, ended) = std::sync::mpsc::channel::<()>();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                tell.send(rustix::thread::gettid().as_raw_nonzero().get().cast_unsigned()).unwrap();
                ended.recv().ok();
            });
            identity.pid = told.recv().unwrap();
            assert!(identity.open().unwrap().is_none());
            assert!(!identity.runs_as(serial).unwrap());
            drop(end);
        });
    }

    #[test]
    fn names_with_parentheses() {
        let stat = b"12 (a) b (c)) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4242 20";
        assert_eq!(parse_start_time(stat), Some(4242));
        assert_eq!(parse_start_time(b"12 (a"), None);
        assert_eq!(parse_start_time(b""), None);
    }
}
