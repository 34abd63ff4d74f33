//! The first use of a volume: it gets what the image has there, and its owner.
//!
//! Podman's rules: contents are copied while the volume has never had any and is empty; the top gets the owner of the
//! container's process, then that of the image's folder with its mode and times, and again at each start until something
//! is in there or it was root's. Owners are those of A, which the kernel keeps: a container with another map (keep-id) sees
//! the same files under the numbers that its map gives them, as with podman, and `U` gives them away.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use ctr_core::file::FileError;
use ctr_core::lock::{Lock, Mode};
use ctr_core::rooted::{Entries, Root, Stat, TreeError};
use rustix::fs::{FlockOperation, Gid, RenameFlags, Uid, flock};
use rustix::io::Errno;

use super::{FILL, LOCK, Volume, VolumeError};
use crate::overlay::{self, CopyError, View};

/// How the names of copies begin that are not complete.
pub(super) const PARTIAL: &str = "fill-";

/// A volume could not be made ready.
#[derive(Debug, thiserror::Error)]
pub enum FillError {
    /// The volume.
    #[error(transparent)]
    Volume(#[from] VolumeError),
    /// A file of ours.
    #[error(transparent)]
    File(#[from] FileError),
    /// The image's contents cannot be copied.
    #[error("cannot copy the image's contents into the volume")]
    Copy(#[from] CopyError),
    /// The volume's folder cannot be changed.
    #[error("cannot change the folder of the volume")]
    Tree(#[from] TreeError),
    /// A step that failed.
    #[error("cannot {verb} the volume's contents")]
    Refused {
        /// What was tried.
        verb: &'static str,
        /// Why.
        #[source]
        errno: Errno,
    },
}

fn refused(verb: &'static str) -> impl Fn(Errno) -> FillError {
    move |errno| FillError::Refused { verb, errno }
}

/// What a container brings to a volume.
#[derive(Debug)]
pub struct First<'a> {
    /// What the container's root has where the volume is mounted, if that is a folder.
    pub place: Option<&'a Root>,
    /// Its contents may be copied.
    pub copies: bool,
    /// The top takes that folder's owner, mode and times.
    pub adopts: bool,
    /// The user of the container's process, in ids of A.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
}

impl Volume {
    /// Makes a volume ready for a container. Only in A.
    ///
    /// # Errors
    /// Something cannot be copied or given away.
    pub fn fill(&mut self, first: &First<'_>) -> Result<(), FillError> {
        if !self.record.needs_copy_up && !self.record.needs_chown {
            return Ok(());
        }
        let home = Root::open(&self.folder)?;
        let copy = match first.place {
            Some(place) if first.copies && self.wants(place)? => Some(self.copy(&home, place)?),
            _ => None,
        };
        let filled = self.settle(&home, copy.as_ref(), first);
        if let Some(copy) = copy {
            home.remove_tree(&copy.name)?;
        }
        filled
    }

    /// Whether what is there is to be copied.
    fn wants(&self, place: &Root) -> Result<bool, FillError> {
        Ok(self.record.needs_copy_up
            && !self.record.forbids_copy_up()
            && !is_empty(place)?
            && is_empty(&self.contents()?)?)
    }

    /// Copies what is there beside the volume.
    fn copy(&self, home: &Root, place: &Root) -> Result<Partial, FillError> {
        let partial = Partial::create(home)?;
        overlay::copy(&View::plain(place.try_clone()?), &home.sub(&partial.name)?)?;
        if !self.record.anonymous {
            rustix::fs::syncfs(&partial.lock).map_err(refused("flush"))?;
        }
        Ok(partial)
    }

    /// Under the lock, which no copying holds up: moves the copy in, gives the top away, and writes that down.
    fn settle(&mut self, home: &Root, copy: Option<&Partial>, first: &First<'_>) -> Result<(), FillError> {
        let _lock = Lock::acquire(&self.folder.join(LOCK), Mode::Exclusive, &mut |_| {})?;
        // What the record says now.
        let path = self.folder.join(super::RECORD);
        let before: super::Record = ctr_core::file::read_json(&path, ctr_core::limits::RECORD)?;
        self.record = before.clone();
        let contents = self.contents()?;
        let mut copied = complete(home, &contents)?;
        if let Some(copy) = copy.filter(|_| !copied)
            && self.record.needs_copy_up
            && is_empty(&contents)?
        {
            home.rename(&copy.name, FILL, RenameFlags::NOREPLACE)?;
            copied = complete(home, &contents)?;
        }
        if copied {
            self.record.needs_copy_up = false;
        }
        self.give(&contents, copied, first)?;
        if self.record != before {
            self.save()?;
        }
        Ok(())
    }

    fn give(&mut self, contents: &Root, copied: bool, first: &First<'_>) -> Result<(), FillError> {
        if !self.record.needs_chown {
            return Ok(());
        }
        if !copied && !is_empty(contents)? {
            self.record.needs_chown = false;
            return Ok(());
        }
        let (mut uid, mut gid) = (first.uid, first.gid);
        let top = contents.open_dir("/")?;
        let place = first.place.filter(|_| first.adopts).map(|place| Stat::of(place.as_fd()));
        let place = place.transpose().map_err(refused("stat"))?;
        if let Some(place) = &place {
            (uid, gid) = (place.uid, place.gid);
        }
        give_top(&top, uid, gid)?;
        if let Some(place) = &place {
            rustix::fs::fchmod(&top, place.mode).map_err(refused("change the mode of"))?;
            rustix::fs::futimens(&top, &place.times()).map_err(refused("set the times of"))?;
        }
        (self.record.uid, self.record.gid) = (uid, gid);
        if copied || place.is_some() && uid == 0 && gid == 0 {
            self.record.needs_chown = false;
        }
        Ok(())
    }
}

fn give_top(top: &OwnedFd, uid: u32, gid: u32) -> Result<(), FillError> {
    rustix::fs::fchown(top, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))
        .map_err(refused("change the owner of"))
}

/// A copy that is being made, locked as long as this lives.
struct Partial {
    name: String,
    lock: File,
}

impl Partial {
    fn create(home: &Root) -> Result<Self, FillError> {
        loop {
            let random = ctr_core::id::random_hex(8).map_err(VolumeError::Random)?;
            let name = format!("{PARTIAL}{random}");
            home.mkdir(&name, rustix::fs::Mode::RWXU)?;
            let lock = File::from(home.open_dir(&name)?);
            // Somebody who sweeps may have been faster: another one then.
            let is_ours = flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok();
            let named = home.lstat(&name).map(|stat| stat.inode);
            let inode = Stat::of(&lock).map_err(refused("stat"))?.inode;
            if is_ours && named.is_ok_and(|named| named == inode) {
                return Ok(Self { name, lock });
            }
        }
    }
}

/// Takes over what is a copy that nobody makes any more; it is ours until the handle is closed.
pub(super) fn abandoned(folder: &Path, name: &str) -> Result<Option<File>, FileError> {
    if !name.starts_with(PARTIAL) {
        return Ok(None);
    }
    let path = folder.join(name);
    match File::open(&path) {
        Ok(dir) => Ok(flock(&dir, FlockOperation::NonBlockingLockExclusive).is_ok().then_some(dir)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(FileError::new("open", path, error)),
    }
}

/// Moves what is in a complete copy into the volume; false: there is none. Also what a killed start had begun to move.
fn complete(home: &Root, contents: &Root) -> Result<bool, FillError> {
    let from = match home.sub(FILL) {
        Err(error) if error.is_missing() => return Ok(false),
        other => other?,
    };
    let (from_dir, to_dir) = (from.open_dir("/")?, contents.open_dir("/")?);
    for entry in from.entries("/")?.sorted().map_err(refused("list"))? {
        match rustix::fs::renameat_with(&from_dir, &entry.name, &to_dir, &entry.name, RenameFlags::NOREPLACE)
        {
            // Somebody else made one of that name meanwhile, and theirs is newer.
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(refused("move")(errno)),
        }
    }
    home.remove_tree(FILL)?;
    Ok(true)
}

fn is_empty(dir: &Root) -> Result<bool, FillError> {
    let mut entries: Entries = dir.entries("/")?;
    match entries.next() {
        None => Ok(true),
        Some(first) => first.map(|_| false).map_err(refused("list")),
    }
}
