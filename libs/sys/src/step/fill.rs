//! `tmpcopyup`: what lies where a tmpfs is going to be is copied into it first.
//!
//! Both sides are walked by descriptors, one name at a time and without following links, so that nothing outside the
//! tree is ever read, whoever renames what meanwhile. Directories, files, links and pipes are copied with their owners,
//! modes and times; sockets and device nodes are not, since they mean nothing in a copy.

use core::ffi::CStr;
use core::mem::MaybeUninit;

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, RawDir, Stat, Timespec, Timestamps, Uid, chmodat, chownat, fchmod,
    fstat, mkdirat, mknodat, openat, readlinkat_raw, statat, symlinkat, utimensat,
};
use rustix::io::{Errno, Result};

use super::Slot;
use super::run::Engine;
use crate::rooted;

/// How deep a tree may be.
const MAX_DEPTH: u32 = 64;

impl Engine {
    pub(super) fn fill(&mut self, mount: Slot, adopt: bool, root: Slot, path: &CStr) -> Result<()> {
        let from = match rooted::find(self.slot(root)?, path, OFlags::RDONLY | OFlags::DIRECTORY) {
            Ok(found) => found,
            // There is nothing to copy.
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(()),
            Err(errno) => return Err(errno),
        };
        let to = openat(
            self.slot(mount)?,
            c".",
            OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        )?;
        copy_entries(from.as_fd(), to.as_fd(), MAX_DEPTH)?;
        if adopt { adopt_folder(from.as_fd(), to.as_fd()) } else { Ok(()) }
    }
}

/// Copies what is in a directory.
fn copy_entries(from: BorrowedFd<'_>, to: BorrowedFd<'_>, depth: u32) -> Result<()> {
    let depth = depth.checked_sub(1).ok_or(Errno::NAMETOOLONG)?;
    let mut buffer = [MaybeUninit::uninit(); 2048];
    let mut entries = RawDir::new(from, &mut buffer);
    while let Some(entry) = entries.next() {
        let entry = entry?;
        let name = entry.file_name();
        if name != c"." && name != c".." {
            copy_entry(from, to, name, depth)?;
        }
    }
    Ok(())
}

/// Gives a directory the owner, mode and times of its original, after its entries: making them changes its times.
fn adopt_folder(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> Result<()> {
    let stat = fstat(from)?;
    rustix::fs::fchown(to, Some(Uid::from_raw(stat.st_uid)), Some(Gid::from_raw(stat.st_gid)))?;
    fchmod(to, Mode::from_raw_mode(stat.st_mode))?;
    rustix::fs::futimens(to, &times(&stat)?)
}

fn copy_entry(from: BorrowedFd<'_>, to: BorrowedFd<'_>, name: &CStr, depth: u32) -> Result<()> {
    let stat = statat(from, name, AtFlags::SYMLINK_NOFOLLOW)?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let inner = openat(from, name, flags, Mode::empty())?;
            mkdirat(to, name, Mode::RWXU)?;
            let made = openat(to, name, flags, Mode::empty())?;
            copy_entries(inner.as_fd(), made.as_fd(), depth)?;
            adopt_folder(inner.as_fd(), made.as_fd())
        }
        FileType::RegularFile => {
            copy_file(from, to, name)?;
            adorn(to, name, &stat, true)
        }
        FileType::Symlink => {
            copy_link(from, to, name)?;
            adorn(to, name, &stat, false)
        }
        FileType::Fifo => {
            mknodat(to, name, FileType::Fifo, Mode::RWXU, 0)?;
            adorn(to, name, &stat, true)
        }
        _ => Ok(()),
    }
}

/// Gives a copy the owner, mode and times of its original.
fn adorn(to: BorrowedFd<'_>, name: &CStr, stat: &Stat, has_mode: bool) -> Result<()> {
    let (uid, gid) = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
    chownat(to, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?;
    if has_mode {
        // After the owner, whose change takes set-user-id bits away. The name is one that we made, in a tmpfs that
        // nobody else can reach yet.
        chmodat(to, name, Mode::from_raw_mode(stat.st_mode), AtFlags::empty())?;
    }
    utimensat(to, name, &times(stat)?, AtFlags::SYMLINK_NOFOLLOW)
}

fn copy_file(from: BorrowedFd<'_>, to: BorrowedFd<'_>, name: &CStr) -> Result<()> {
    // NONBLOCK: what was a file may have become a pipe.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let source = openat(from, name, flags, Mode::empty())?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let target = openat(to, name, flags, Mode::RUSR | Mode::WUSR)?;
    let mut buffer = [0; 16 * 1024];
    loop {
        let length = rustix::io::read(&source, &mut buffer[..])?;
        let Some(chunk) = buffer.get(..length).filter(|chunk| !chunk.is_empty()) else { return Ok(()) };
        write_all(&target, chunk)?;
    }
}

fn write_all(target: &OwnedFd, mut bytes: &[u8]) -> Result<()> {
    while !bytes.is_empty() {
        let written = rustix::io::write(target, bytes)?;
        bytes = bytes.get(written..).ok_or(Errno::IO)?;
    }
    Ok(())
}

fn copy_link(from: BorrowedFd<'_>, to: BorrowedFd<'_>, name: &CStr) -> Result<()> {
    let mut target = [0; 4096];
    let length = readlinkat_raw(from, name, &mut target[..4095])?;
    let target = target.get(..=length).ok_or(Errno::NAMETOOLONG)?;
    let target = CStr::from_bytes_with_nul(target).map_err(|_nul| Errno::INVAL)?;
    symlinkat(target, to, name)
}

fn times(stat: &Stat) -> Result<Timestamps> {
    let time = |seconds: i64, nanoseconds: u64| {
        let tv_nsec = i64::try_from(nanoseconds).map_err(|_overflow| Errno::INVAL)?;
        Ok(Timespec { tv_sec: seconds, tv_nsec })
    };
    Ok(Timestamps {
        last_access: time(stat.st_atime, stat.st_atime_nsec)?,
        last_modification: time(stat.st_mtime, stat.st_mtime_nsec)?,
    })
}
