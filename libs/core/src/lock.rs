//! Locks on files, freed by the kernel with the process that holds them.
//!
//! # Theory of operation
//! A lock is `flock` on a file that exists for nothing else. The file may be removed by whoever holds it
//! exclusively, so a fresh lock is checked to be on the file that the path names now, and else taken again.
//! The kernel has no timed `flock`: the first second is spent asking again, then a callback hears who holds the
//! lock (libraries do not print), and from there on the wait is the kernel's.
//!
//! # Invariants
//! No lock of ours is held across slow work: a network, unpacking, somebody's process.

use std::collections::HashSet;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, fcntl_lock, flock};
use rustix::io::Errno;
use rustix::process::{Flock, FlockType, fcntl_getlk};

use crate::file::{FileError, open_existing};

/// How long a wait stays silent.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often a lock is asked for that may be given up.
const NOW_AND_THEN: Duration = Duration::from_millis(100);

/// With whom a lock is shared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// With everybody who shares it too.
    Shared,
    /// With nobody.
    Exclusive,
}

/// A lock that is held until this is dropped.
#[derive(Debug)]
#[must_use = "the lock is free again when this is dropped"]
pub struct Lock {
    file: File,
    path: PathBuf,
}

/// A wait that has lasted for a second.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// The lock.
    pub path: PathBuf,
    /// Who holds it, as far as the kernel tells.
    pub holders: Vec<Holder>,
}

/// A process that holds a lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Its id.
    pub pid: u32,
    /// Its command line, where that can be read; foreign text.
    pub command: crate::Foreign,
}

impl Holder {
    /// The process of that id.
    #[must_use]
    pub fn of(pid: u32) -> Self {
        Self { pid, command: crate::process::command_line(pid) }
    }
}

impl Waiting {
    /// Who holds a lock that is waited for.
    #[must_use]
    pub fn at(path: &Path) -> Self {
        let holders = File::open(path).map_or(Vec::new(), |file| holders(&file));
        Self { path: path.to_owned(), holders }
    }
}

/// A mark on a lock's file, whoever holds the lock, which others can see with [`Lock::look`].
///
/// It is a lock of the other kind (`fcntl`), which knows nothing of the first. The kernel takes it away with the process
/// that set it, and as soon as that process closes the file anywhere.
#[derive(Debug)]
#[must_use = "the mark is gone when this is dropped"]
pub struct Mark(#[expect(dead_code, reason = "it is what the mark lives with")] File);

impl Mark {
    /// Marks a lock's file; a file that is not there cannot be.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn set(path: &Path) -> Result<Option<Self>, FileError> {
        let Some(file) = open_existing(path)? else { return Ok(None) };
        match fcntl_lock(&file, FlockOperation::NonBlockingLockShared) {
            Ok(()) => Ok(Some(Self(file))),
            Err(error) => Err(FileError::new("mark", path, error)),
        }
    }
}

/// The file of a lock, as the kernel's list of locks calls it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FileNumber {
    /// The device of its file system.
    pub dev: u64,
    /// Its number there.
    pub ino: u64,
}

/// All locks of this machine that are held now, as the kernel lists them: one read instead of three calls for each.
///
/// What is not in it may be held all the same: by a process of another pid namespace, or on a file system whose device
/// has two numbers.
#[derive(Debug, Default)]
pub struct List {
    held: HashSet<FileNumber>,
    marked: HashSet<FileNumber>,
}

impl List {
    /// Reads it; where /proc does not say, it is empty.
    #[must_use]
    pub fn read() -> Self {
        Self::parse(&table())
    }

    /// What it says of a lock, if it says that the lock is held.
    #[must_use]
    pub fn look(&self, file: FileNumber) -> Option<Look> {
        self.held.contains(&file).then(|| Look { held: true, marked: self.marked.contains(&file) })
    }

    fn parse(table: &str) -> Self {
        let mut list = Self::default();
        for entry in table.lines().filter_map(Entry::parse) {
            match (entry.kind, entry.access) {
                ("FLOCK", "WRITE") => list.held.insert(entry.file),
                ("POSIX", "READ") => list.marked.insert(entry.file),
                _ => false,
            };
        }
        list
    }
}

/// What can be seen of a lock without taking it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// Somebody holds it.
    pub held: bool,
    /// It is, and another process has set a [`Mark`].
    pub marked: bool,
}

impl Lock {
    /// Takes the lock, waiting for it; `on_wait` hears once who holds it when that takes a second.
    pub fn acquire(path: &Path, mode: Mode, on_wait: &mut dyn FnMut(&Waiting)) -> Result<Self, FileError> {
        loop {
            let file = open(path)?;
            if !take(&file, mode, path)? {
                wait(&file, mode, path, on_wait)?;
            }
            if let Some(lock) = Self::still_named(file, path)? {
                return Ok(lock);
            }
        }
    }

    /// Takes the lock if it is free now.
    pub fn try_acquire(path: &Path, mode: Mode) -> Result<Option<Self>, FileError> {
        loop {
            let file = open(path)?;
            if !take(&file, mode, path)? {
                return Ok(None);
            }
            if let Some(lock) = Self::still_named(file, path)? {
                return Ok(Some(lock));
            }
        }
    }

    /// Takes the lock if it gets free within some time: readers who ask who holds it have it for a moment.
    pub fn acquire_within(path: &Path, mode: Mode, patience: Duration) -> Result<Option<Self>, FileError> {
        loop {
            let file = open(path)?;
            if !take(&file, mode, path)? && !ask_again(&file, mode, path, patience)? {
                return Ok(None);
            }
            if let Some(lock) = Self::still_named(file, path)? {
                return Ok(Some(lock));
            }
        }
    }

    /// Takes a lock on a folder itself, in which nothing needs to be made for that; `None` is one that is not there.
    pub fn acquire_on(
        folder: &Path,
        mode: Mode,
        on_wait: &mut dyn FnMut(&Waiting),
    ) -> Result<Option<Self>, FileError> {
        Self::acquire_on_unless(folder, mode, on_wait, None)
    }

    /// The same, but waiting ends with an error once it is given up.
    pub fn acquire_on_unless(
        folder: &Path,
        mode: Mode,
        on_wait: &mut dyn FnMut(&Waiting),
        given_up: Option<&AtomicBool>,
    ) -> Result<Option<Self>, FileError> {
        loop {
            let Some(file) = open_existing(folder)? else { return Ok(None) };
            if !take(&file, mode, folder)? {
                match given_up {
                    None => wait(&file, mode, folder, on_wait)?,
                    Some(given_up) => wait_unless(&file, mode, folder, on_wait, given_up)?,
                }
            }
            if let Some(lock) = Self::still_named(file, folder)? {
                return Ok(Some(lock));
            }
        }
    }

    /// Takes over a lock that another program held in this process before.
    pub fn inherited(file: OwnedFd, path: &Path) -> Self {
        Self { file: file.into(), path: path.to_owned() }
    }

    /// Returns whether somebody holds the lock; a file that is not there is held by nobody.
    pub fn is_held(path: &Path) -> Result<bool, FileError> {
        let Some(file) = open_existing(path)? else { return Ok(false) };
        Ok(!take(&file, Mode::Shared, path)?)
    }

    /// Looks at the lock; a file that is not there is held by nobody.
    pub fn look(path: &Path) -> Result<Look, FileError> {
        let Some(file) = open_existing(path)? else { return Ok(Look { held: false, marked: false }) };
        if take(&file, Mode::Shared, path)? {
            return Ok(Look { held: false, marked: false });
        }
        let mark = fcntl_getlk(&file, &Flock::from(FlockType::WriteLock));
        let mark = mark.map_err(|error| FileError::new("inspect", path, error))?;
        Ok(Look { held: true, marked: mark.is_some() })
    }

    fn still_named(file: File, path: &Path) -> Result<Option<Self>, FileError> {
        let ours = file.metadata().map_err(|error| FileError::new("inspect", path, error))?;
        match std::fs::metadata(path) {
            Ok(now) if (now.dev(), now.ino()) == (ours.dev(), ours.ino()) => {
                Ok(Some(Self { file, path: path.to_owned() }))
            }
            Ok(_) => Ok(None),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(FileError::new("inspect", path, error)),
        }
    }

    /// Removes the lock's file, then frees the lock. Only for one that is held exclusively.
    pub fn remove(self) -> Result<(), FileError> {
        crate::atomic::remove(&self.path)
    }
}

impl AsFd for Lock {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

fn open(path: &Path) -> Result<File, FileError> {
    std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(|error| FileError::new("open the lock", path, error))
}

fn take(file: &File, mode: Mode, path: &Path) -> Result<bool, FileError> {
    let operation = match mode {
        Mode::Shared => FlockOperation::NonBlockingLockShared,
        Mode::Exclusive => FlockOperation::NonBlockingLockExclusive,
    };
    loop {
        match flock(file, operation) {
            Ok(()) => return Ok(true),
            Err(Errno::WOULDBLOCK) => return Ok(false),
            Err(Errno::INTR) => {}
            Err(error) => return Err(FileError::new("lock", path, error)),
        }
    }
}

/// The kernel has no timed `flock`.
fn ask_again(file: &File, mode: Mode, path: &Path, patience: Duration) -> Result<bool, FileError> {
    let start = Instant::now();
    let mut pause = Duration::from_micros(200);
    while start.elapsed() < patience {
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
        if take(file, mode, path)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn wait(file: &File, mode: Mode, path: &Path, on_wait: &mut dyn FnMut(&Waiting)) -> Result<(), FileError> {
    if begin_to_wait(file, mode, path, on_wait)? {
        return Ok(());
    }
    let operation = match mode {
        Mode::Shared => FlockOperation::LockShared,
        Mode::Exclusive => FlockOperation::LockExclusive,
    };
    loop {
        match flock(file, operation) {
            Ok(()) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(error) => return Err(FileError::new("lock", path, error)),
        }
    }
}

/// Asks for a moment, then says who holds it; tells whether it is ours by then.
fn begin_to_wait(
    file: &File,
    mode: Mode,
    path: &Path,
    on_wait: &mut dyn FnMut(&Waiting),
) -> Result<bool, FileError> {
    let is_ours = ask_again(file, mode, path, PATIENCE)?;
    if !is_ours {
        on_wait(&Waiting { path: path.to_owned(), holders: holders(file) });
    }
    Ok(is_ours)
}

/// Waits as long as that is not given up. The kernel has no way to be told by a thread, so it is asked now and then.
fn wait_unless(
    file: &File,
    mode: Mode,
    path: &Path,
    on_wait: &mut dyn FnMut(&Waiting),
    given_up: &AtomicBool,
) -> Result<(), FileError> {
    if begin_to_wait(file, mode, path, on_wait)? {
        return Ok(());
    }
    while !take(file, mode, path)? {
        if given_up.load(Ordering::Relaxed) {
            return Err(FileError::new("lock", path, std::io::Error::from(Errno::INTR)));
        }
        std::thread::sleep(NOW_AND_THEN);
    }
    Ok(())
}

/// Asks the kernel who holds a lock on the file; nobody is named where /proc does not say.
fn holders(file: &File) -> Vec<Holder> {
    let Ok(meta) = file.metadata() else { return Vec::new() };
    let file = FileNumber { dev: meta.dev(), ino: meta.ino() };
    parse_holders(&table(), file).into_iter().map(Holder::of).collect()
}

/// The kernel's list of locks; empty where /proc does not say.
fn table() -> String {
    crate::file::read_text(Path::new("/proc/locks"), crate::limits::SYSTEM_FILE).unwrap_or_default()
}

fn parse_holders(table: &str, file: FileNumber) -> Vec<u32> {
    let entries = table.lines().filter_map(Entry::parse);
    let holds = |entry: &Entry<'_>| entry.kind == "FLOCK" && entry.file == file && entry.pid != 0;
    entries.filter(holds).map(|entry| entry.pid).collect()
}

/// A line of `/proc/locks`, `1: FLOCK  ADVISORY  WRITE 1234 fe:01:5678 0 EOF`. Those of waiters have an arrow as second
/// word, and are none.
struct Entry<'a> {
    kind: &'a str,
    access: &'a str,
    pid: u32,
    file: FileNumber,
}

impl<'a> Entry<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let mut words = line.split_ascii_whitespace().skip(1);
        let (kind, _advisory, access) = (words.next()?, words.next()?, words.next()?);
        let pid = words.next()?.parse().ok()?;
        let mut numbers = words.next()?.split(':');
        let mut hex = || u32::from_str_radix(numbers.next()?, 16).ok();
        let dev = rustix::fs::makedev(hex()?, hex()?);
        let ino = numbers.next()?.parse().ok()?;
        Some(Self { kind, access, pid, file: FileNumber { dev, ino } })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn silent(_: &Waiting) {}

    #[test]
    fn shared_and_exclusive() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("lock");
        assert!(!Lock::is_held(&path).unwrap());
        let one = Lock::acquire(&path, Mode::Shared, &mut silent).unwrap();
        let two = Lock::try_acquire(&path, Mode::Shared).unwrap();
        assert!(two.is_some());
        assert!(Lock::try_acquire(&path, Mode::Exclusive).unwrap().is_none());
        drop((one, two));
        let all = Lock::try_acquire(&path, Mode::Exclusive).unwrap().unwrap();
        assert!(Lock::is_held(&path).unwrap());
        all.remove().unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn a_waiter_hears_who_holds_and_gets_the_lock_then() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("lock");
        let held = std::cell::Cell::new(Some(Lock::acquire(&path, Mode::Exclusive, &mut silent).unwrap()));
        let mut heard = Vec::new();
        let _lock = Lock::acquire(&path, Mode::Exclusive, &mut |waiting: &Waiting| {
            heard.clone_from(&waiting.holders);
            drop(held.take());
        })
        .unwrap();
        assert_eq!(heard.len(), 1);
        assert_eq!(heard[0].pid, std::process::id());
        assert!(!heard[0].command.as_bytes().is_empty());
    }

    #[test]
    fn a_folder_is_one_too() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("folder");
        assert!(Lock::acquire_on(&folder, Mode::Shared, &mut silent).unwrap().is_none());
        std::fs::create_dir(&folder).unwrap();
        let held = std::cell::Cell::new(Lock::acquire_on(&folder, Mode::Shared, &mut silent).unwrap());
        let mut heard = 0;
        let mut remove = |_: &Waiting| {
            heard += 1;
            std::fs::remove_dir(&folder).unwrap();
            drop(held.take());
        };
        let gone = Lock::acquire_on(&folder, Mode::Exclusive, &mut remove).unwrap();
        assert!(gone.is_none());
        assert_eq!(heard, 1);
    }

    #[test]
    fn a_removed_file_is_no_lock() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("lock");
        let old = File::create(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert!(Lock::still_named(old, &path).unwrap().is_none());
    }

    #[test]
    fn the_kernels_table() {
        let table = "1: FLOCK  ADVISORY  WRITE 12 fe:01:34 0 EOF\n1: -> FLOCK  ADVISORY  WRITE 13 fe:01:34 0 EOF\n\
                     2: POSIX  ADVISORY  READ 14 fe:01:34 0 EOF\n3: FLOCK  ADVISORY  READ 15 fe:01:35 0 EOF\n";
        let file = FileNumber { dev: rustix::fs::makedev(0xfe, 1), ino: 34 };
        assert_eq!(parse_holders(table, file), [12]);
        let list = List::parse(table);
        assert_eq!(list.look(file), Some(Look { held: true, marked: true }));
        assert_eq!(list.look(FileNumber { ino: 35, ..file }), None, "it is shared");
        assert_eq!(list.look(FileNumber { dev: 0, ..file }), None);
    }

    #[test]
    fn a_garbled_table_says_nothing() {
        for line in [
            "",
            "1:",
            "1: FLOCK ADVISORY WRITE",
            "1: FLOCK ADVISORY WRITE x fe:01:3 0 EOF",
            "1: FLOCK A WRITE 1 fe:01",
        ] {
            assert!(Entry::parse(line).is_none(), "{line}");
        }
    }

    #[test]
    fn the_list_knows_what_is_held_and_marked() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("lock");
        let lock = Lock::acquire(&path, Mode::Exclusive, &mut silent).unwrap();
        let about = std::fs::metadata(&path).unwrap();
        let file = FileNumber { dev: about.dev(), ino: about.ino() };
        assert_eq!(List::read().look(file), Some(Look { held: true, marked: false }));
        let mark = Mark::set(&path).unwrap();
        assert_eq!(List::read().look(file), Some(Look { held: true, marked: true }));
        drop((lock, mark));
        assert_eq!(List::read().look(file), None);
    }
}
