//! The end of a container: how it came about, on disk.
//!
//! # Failure
//! On a full disk no file can be made, so the one for the end is made at the start, with room for all it may hold.

use ctr_sys::decimal::{DIGITS, digits};
use ctr_sys::monitor::{Environment, NEXT_NAME, SOCKET_NAME, STATE_NAME, become_ended};
use ctr_sys::step::Strings;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{WaitId, WaitIdOptions, WaitIdStatus, waitid};
use rustix::time::Timespec;

/// The most bytes of `exit.json`.
const ROOM: usize = 128;

/// The exit code of a container whose time was up, as Podman has it.
const TIMED_OUT: u8 = 255;

/// How a container ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Exit {
    /// Its exit code; 128 and the number for a signal.
    pub(crate) code: u8,
    /// The signal, or 0.
    pub(crate) signal: u8,
    /// The kernel killed something in its cgroup for want of memory.
    pub(crate) oom: bool,
    /// Its time was up.
    pub(crate) timed_out: bool,
    /// When that was.
    pub(crate) finished: Timespec,
}

impl Exit {
    /// Waits for an init that has ended.
    pub(crate) fn of(init: &OwnedFd, timed_out: bool, memory_events: Option<&OwnedFd>) -> Self {
        let status = loop {
            match waitid(WaitId::PidFd(init.as_fd()), WaitIdOptions::EXITED) {
                Err(Errno::INTR) => {}
                other => break other.ok().flatten(),
            }
        };
        let small = |number: Option<i32>| number.and_then(|number| u8::try_from(number).ok());
        let signal = small(status.as_ref().and_then(WaitIdStatus::terminating_signal)).unwrap_or_default();
        let code = match small(status.as_ref().and_then(WaitIdStatus::exit_status)) {
            _ if timed_out => TIMED_OUT,
            Some(code) => code,
            None => signal.saturating_add(128),
        };
        let oom = memory_events.is_some_and(has_oom_kill);
        Self { code, signal, oom, timed_out, finished: ctr_sys::time::since_1970() }
    }

    /// The text of `exit.json`, filled up with blanks.
    fn json(&self) -> [u8; ROOM] {
        let mut text = [b' '; ROOM];
        let mut at = 0;
        let mut put = |bytes: &[u8]| {
            if let Some(place) = text.get_mut(at..at + bytes.len()) {
                place.copy_from_slice(bytes);
            }
            at += bytes.len();
        };
        let word = |yes: bool| if yes { &b"true"[..] } else { b"false" };
        let seconds = u64::try_from(self.finished.tv_sec).unwrap_or_default();
        let nanos = seconds * 1_000_000_000 + u64::try_from(self.finished.tv_nsec).unwrap_or_default();
        put(b"{\"code\":");
        put(digits(u64::from(self.code), &mut [0; DIGITS]));
        put(b",\"signal\":");
        put(digits(u64::from(self.signal), &mut [0; DIGITS]));
        put(b",\"oom\":");
        put(word(self.oom));
        put(b",\"timed_out\":");
        put(word(self.timed_out));
        put(b",\"finished\":");
        put(digits(nanos, &mut [0; DIGITS]));
        put(b"}");
        text[ROOM - 1] = b'\n';
        text
    }
}

/// Whether `memory.events` counts a process that was killed.
fn has_oom_kill(events: &OwnedFd) -> bool {
    let mut bytes = [0; 1024];
    let length = rustix::io::pread(events, &mut bytes[..], 0).unwrap_or_default();
    counts_oom_kill(bytes.get(..length).unwrap_or_default())
}

fn counts_oom_kill(events: &[u8]) -> bool {
    let count = events.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"oom_kill "));
    count.is_some_and(|count| count.iter().any(|digit| matches!(digit, b'1'..=b'9')))
}

/// A file that is to become `exit.json`.
pub(crate) struct ExitFile {
    folder: OwnedFd,
    file: Option<OwnedFd>,
}

impl ExitFile {
    const TEMPORARY: &'static core::ffi::CStr = c"exit.json.new";
    const NAME: &'static core::ffi::CStr = c"exit.json";

    /// Makes it, with room.
    pub(crate) fn prepare(folder: OwnedFd) -> Self {
        // Where that fails, it is tried again in the end.
        let file = Self::make(&folder).ok();
        Self { folder, file }
    }

    fn make(folder: &OwnedFd) -> rustix::io::Result<OwnedFd> {
        // One of an earlier start whose monitor was killed may be there.
        rustix::fs::unlinkat(folder, Self::TEMPORARY, AtFlags::empty()).ok();
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let file = rustix::fs::openat(folder, Self::TEMPORARY, flags, Mode::RUSR | Mode::WUSR)?;
        match rustix::io::write(&file, &[b' '; ROOM])? {
            ROOM => Ok(file),
            _ => Err(Errno::NOSPC),
        }
    }

    /// Writes how the container ended, and publishes it.
    pub(crate) fn publish(&mut self, exit: &Exit) -> rustix::io::Result<()> {
        let file = match self.file.take() {
            Some(file) => file,
            None => Self::make(&self.folder)?,
        };
        if rustix::io::pwrite(&file, &exit.json(), 0)? != ROOM {
            return Err(Errno::IO);
        }
        rustix::fs::renameat(&self.folder, Self::TEMPORARY, &self.folder, Self::NAME)
    }

    /// Where it will lie.
    pub(crate) fn folder(&self) -> BorrowedFd<'_> {
        self.folder.as_fd()
    }

    /// What was to be true once the command runs is true from now on.
    pub(crate) fn begin_next(&self) -> rustix::io::Result<()> {
        rustix::fs::renameat(&self.folder, NEXT_NAME, &self.folder, STATE_NAME)
    }

    /// Takes the socket of clients out of the folder: nobody listens any more.
    pub(crate) fn remove_socket(&self) {
        // It may never have been there.
        rustix::fs::unlinkat(&self.folder, SOCKET_NAME, AtFlags::empty()).ok();
    }
}

/// What comes after a container.
pub(crate) struct Ended<'a> {
    pub(crate) program: OwnedFd,
    pub(crate) arguments: Strings<'a>,
    /// The container's lock: held until the next program has it.
    pub(crate) _lock: OwnedFd,
}

impl Ended<'_> {
    /// Becomes the next program; returns why it could not.
    pub(crate) fn become_next(self, environment: Environment) -> Errno {
        become_ended(self.program.as_fd(), self.arguments, environment)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_written_as_agreed() {
        let finished = Timespec { tv_sec: 1_795_260_600, tv_nsec: 123_456_789 };
        let exit = Exit { code: 137, signal: 9, oom: true, timed_out: false, finished };
        let text = exit.json();
        assert_eq!(
            std::str::from_utf8(&text).unwrap().trim_end(),
            r#"{"code":137,"signal":9,"oom":true,"timed_out":false,"finished":1795260600123456789}"#
        );
        assert!(text.ends_with(b" \n"));
        let longest = Timespec { tv_sec: i64::MAX / 1_000_000_000, tv_nsec: 999_999_999 };
        let exit = Exit { code: 255, signal: 255, oom: false, timed_out: false, finished: longest };
        assert!(exit.json().ends_with(b" \n"), "there is room for every end");
    }

    #[test]
    fn a_kill_for_memory_is_found() {
        assert!(counts_oom_kill(b"low 0\nhigh 0\nmax 12\noom 1\noom_kill 1\noom_group_kill 0\n"));
        assert!(counts_oom_kill(b"oom_kill 10\n"));
        assert!(!counts_oom_kill(b"low 0\noom 3\noom_kill 0\noom_group_kill 7\n"));
        assert!(!counts_oom_kill(b""));
    }
}
