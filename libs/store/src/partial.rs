//! What has arrived of a blob, kept for whoever asks for it next.
//!
//! # Layout
//! `partial/<algorithm>-<digits>/data`: the first bytes of the blob. Its directory is locked by who adds to it.
//!
//! # Theory of operation
//! ```text
//! claim      mkdir (gc lock shared), lock the directory: whoever has it is waited for
//! go on      what is there is read, hashed and unpacked as if it came again; what is missing is asked for and added
//! publish    rename the directory to that of the blob; the lock goes with it, and who waits finds the blob
//! ```
//! Nothing says of what is there that it is right: the digest of the whole does, in the end. Nothing is flushed either: what
//! the page cache has outlives the process, and what a power loss spoils is noticed by the digest.
//!
//! # Failure
//! A process that dies leaves its directory unlocked, and what was written in it. gc takes what nobody came back for.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::{Duration, SystemTime};

use ctr_core::file::FileError;
use ctr_core::lock::{Lock, Mode, Waiting};
use ctr_core::{Digest, atomic};
use rustix::fs::{FlockOperation, flock};

use crate::blob::DATA;
use crate::session::{Session, Stage};
use crate::{Store, StoreError};

/// What of a blob has arrived, ours to add to until this is dropped.
#[derive(Debug)]
pub struct Partial {
    stage: Stage,
    /// What was there when it was claimed.
    here: u64,
    lock: Lock,
}

/// Which of them gc leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    /// Those that something was added to within this time.
    pub age: Duration,
    /// Bytes of all of them together.
    pub bytes: u64,
}

impl Default for Kept {
    fn default() -> Self {
        Self { age: Duration::from_secs(7 * 24 * 60 * 60), bytes: 10 << 30 }
    }
}

/// The name of the directory of a blob.
fn folder_name(digest: &Digest) -> String {
    format!("{}-{}", digest.algorithm().name(), digest.hex())
}

/// The blob that a directory of `partial/` is of; others are of sessions.
pub(crate) fn blob_of_folder(name: &str) -> Option<Digest> {
    let (algorithm, digits) = name.split_once('-')?;
    Digest::parse(&format!("{algorithm}:{digits}")).ok()
}

impl Session {
    /// Claims what has arrived of a blob of this size; `on_wait` hears of who has it, if that is waited for: until `given_up`.
    ///
    /// Who waited looks for the blob once more: it may be there.
    pub fn claim(
        &self,
        digest: &Digest,
        size: u64,
        on_wait: &mut dyn FnMut(&Waiting),
        given_up: &AtomicBool,
    ) -> Result<Partial, StoreError> {
        let path = self.store().layout().partial().join(folder_name(digest));
        let lock = loop {
            {
                let _guard = self.store().naming()?;
                atomic::private_directory(&path)?;
            }
            // It may have become the blob, or been swept, meanwhile.
            if let Some(lock) = Lock::acquire_on_unless(&path, Mode::Exclusive, on_wait, Some(given_up))? {
                break lock;
            }
        };
        let mut partial = Partial { stage: Stage::at(path), here: 0, lock };
        partial.here = partial.length()?;
        if partial.here > size {
            partial.clear()?;
        }
        Ok(partial)
    }
}

impl Partial {
    /// Returns the directory, to publish it.
    #[must_use]
    pub const fn stage(&self) -> &Stage {
        &self.stage
    }

    /// Returns how much of the blob was there when it was claimed.
    #[must_use]
    pub const fn here(&self) -> u64 {
        self.here
    }

    fn length(&self) -> Result<u64, FileError> {
        let path = self.stage.path().join(DATA);
        match std::fs::metadata(&path) {
            Ok(meta) => Ok(meta.len()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(0),
            Err(error) => Err(FileError::new("inspect", path, error)),
        }
    }

    /// Opens the file, to read what is there and to write behind it.
    pub(crate) fn open(&self) -> Result<File, FileError> {
        let path = self.stage.path().join(DATA);
        let options = File::options().read(true).write(true).create(true).truncate(false).open(&path);
        options.map_err(|error| FileError::new("open", path, error))
    }

    /// Throws away what is there, unless it was published.
    pub fn clear(&mut self) -> Result<(), StoreError> {
        self.here = 0;
        if self.is_published() { Ok(()) } else { Ok(atomic::remove(&self.stage.path().join(DATA))?) }
    }

    /// Whether it was renamed; what has its path now is somebody else's.
    fn is_published(&self) -> bool {
        let ours = rustix::fs::fstat(&self.lock);
        let there = rustix::fs::stat(self.stage.path());
        !matches!((ours, there), (Ok(ours), Ok(there)) if (ours.st_dev, ours.st_ino) == (there.st_dev, there.st_ino))
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        // What fails here is left to gc.
        if !self.is_published() && matches!(self.length(), Ok(0)) {
            drop(std::fs::remove_dir_all(self.stage.path()));
        }
    }
}

/// What of a blob is there, as gc sees it.
struct Found<'a> {
    folder: &'a Path,
    modified: SystemTime,
    size: u64,
}

impl Store {
    /// Moves to the trash what nobody came back for, if nobody adds to it now.
    pub(crate) fn sweep_partials(&self, folders: &[PathBuf], kept: Kept) -> Result<usize, StoreError> {
        let mut locks = Vec::new();
        let mut found = Vec::new();
        for folder in folders {
            let Some(lock) = ctr_core::file::open_existing(folder)? else { continue };
            if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
                continue;
            }
            // Who had it may have taken it away meanwhile.
            let Some(one) = look(folder)? else { continue };
            locks.push(lock);
            found.push(one);
        }
        found.sort_by_key(|one| std::cmp::Reverse(one.modified));
        let (mut swept, mut sum) = (0, 0);
        for one in found {
            sum += one.size;
            // A clock that was put back does not make it old.
            let age = one.modified.elapsed().unwrap_or_default();
            if age > kept.age || sum > kept.bytes {
                self.discard(one.folder)?;
                sum -= one.size;
                swept += 1;
            }
        }
        Ok(swept)
    }
}

fn look(folder: &Path) -> Result<Option<Found<'_>>, FileError> {
    let data = folder.join(DATA);
    let is_gone = |error: &std::io::Error| error.kind() == std::io::ErrorKind::NotFound;
    let meta = match std::fs::metadata(&data) {
        Err(error) if is_gone(&error) => std::fs::metadata(folder),
        meta => meta,
    };
    if meta.as_ref().is_err_and(is_gone) {
        return Ok(None);
    }
    let meta = meta.map_err(|error| FileError::new("inspect", &data, error))?;
    let modified = meta.modified().map_err(|error| FileError::new("inspect", data, error))?;
    Ok(Some(Found { folder, modified, size: if meta.is_file() { meta.len() } else { 0 } }))
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::mpsc;

    use super::*;
    use crate::gc::Budget;
    use crate::tests::{World, world};

    const CONTENT: &[u8] = b"a blob of eighteen";

    fn claim(session: &Session) -> Partial {
        session
            .claim(&Digest::of(CONTENT), CONTENT.len() as u64, &mut |_| {}, &AtomicBool::new(false))
            .unwrap()
    }

    /// What a process leaves that gets so far.
    fn arrives(world: &World, bytes: &[u8]) {
        let session = Session::begin(&world.store).unwrap();
        claim(&session).open().unwrap().write_all(bytes).unwrap();
    }

    fn sweep(world: &World, partials: Kept) -> usize {
        let budget = Budget { partials, ..Budget::default() };
        world.store.sweep(budget, &mut |_| {}).unwrap().sessions
    }

    fn left(world: &World) -> usize {
        std::fs::read_dir(world.store.layout().partial()).unwrap().count()
    }

    #[test]
    fn what_arrived_is_there_for_the_next_who_asks() {
        let world = world();
        arrives(&world, &CONTENT[..5]);
        let session = Session::begin(&world.store).unwrap();
        assert_eq!(claim(&session).here(), 5);
        let mut partial = claim(&session);
        partial.clear().unwrap();
        assert_eq!(partial.here(), 0);
        drop((partial, session));
        assert_eq!(left(&world), 0, "nothing of a blob is no reason for a directory");
    }

    #[test]
    fn more_than_the_blob_has_is_nothing() {
        let world = world();
        arrives(&world, &[CONTENT, b"!"].concat());
        let session = Session::begin(&world.store).unwrap();
        assert_eq!(claim(&session).here(), 0);
    }

    #[test]
    fn who_waits_finds_the_blob() {
        let world = world();
        let digest = Digest::of(CONTENT);
        let (mine, other) = (Session::begin(&world.store).unwrap(), Session::begin(&world.store).unwrap());
        let partial = claim(&mine);
        partial.open().unwrap().write_all(CONTENT).unwrap();
        let (tell, told) = mpsc::channel();
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| {
                let size = CONTENT.len() as u64;
                let claimed = other.claim(
                    &digest,
                    size,
                    &mut |waiting| tell.send(waiting.clone()).unwrap(),
                    &AtomicBool::new(false),
                );
                (claimed.unwrap().here(), other.pin_blob(&digest).unwrap().is_some())
            });
            let waiting = told.recv().unwrap();
            assert_eq!(waiting.path, partial.stage().path());
            mine.publish_blob(partial.stage(), &digest, CONTENT.len() as u64, digest, "test").unwrap();
            drop(partial);
            assert_eq!(waiter.join().unwrap(), (0, true));
        });
        drop((mine, other));
        assert_eq!(left(&world), 0);
    }

    #[test]
    fn gc_leaves_what_is_young_or_in_use() {
        let world = world();
        arrives(&world, &CONTENT[..5]);
        let (kept, now) = (Kept::default(), Kept { age: Duration::ZERO, ..Kept::default() });
        assert_eq!((sweep(&world, kept), left(&world)), (0, 1));
        let session = Session::begin(&world.store).unwrap();
        let partial = claim(&session);
        assert_eq!(sweep(&world, now), 0);
        drop((partial, session));
        assert_eq!((sweep(&world, now), left(&world)), (1, 0));
        arrives(&world, &CONTENT[..5]);
        assert_eq!((sweep(&world, Kept { bytes: 5, ..kept }), left(&world)), (0, 1));
        assert_eq!((sweep(&world, Kept { bytes: 4, ..kept }), left(&world)), (1, 0));
    }

    #[test]
    fn a_session_is_none() {
        let digest = Digest::of(CONTENT);
        assert_eq!(blob_of_folder(&folder_name(&digest)), Some(digest));
        assert_eq!(blob_of_folder("0123456789ab"), None);
        assert_eq!(blob_of_folder("sha256-0123456789ab"), None);
    }
}
