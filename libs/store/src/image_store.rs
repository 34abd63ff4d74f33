//! Images apart from the containers that are made of them: `--imagestore`.
//!
//! # Layout
//! ```text
//! IMAGES/                 a store as any other is: refs/, images/, layers/, partial/, trash/, …
//!       /users/<key>      DATA and RUN of a store whose containers stand on its layers
//! ```
//!
//! # Theory of operation
//! All that is an image's is then in that store: what is looked up and made, sessions, the trash, the lock of gc. Containers,
//! their writable layers and volumes stay in our own, and so do images that are there already: they are read as those of an
//! additional store are ([`crate::additional`]). Who names no image store has what was there before.
//!
//! The image store is told once whose containers it carries. Whoever removes something there, by whichever store, asks the
//! records of all of them.
//!
//! # Invariants
//! - A mark is written before the lock of gc is asked for, so that no sweep misses a container that is being made.
//! - It stays when its store is not there: that may be mounted later. A store that is not there has no containers.
//! - The lock lies in the run directory that the image store has as a store of its own, so that both exclude each other. Whoever
//!   gives such a store another one (`--runroot`) uses it alone.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use ctr_core::file::{self, FileError};
use ctr_core::lock::Waiting;
use ctr_core::paths::Dirs;
use ctr_core::{Digest, atomic, limits};

use crate::refs::damaged;
use crate::{Layout, Store, StoreError, names_in};

/// The folder of the marks.
const USERS: &str = "users";
/// What separates the two paths in a mark: no path has it.
const SEPARATOR: u8 = 0;

impl Layout {
    /// Where all of images is.
    #[must_use]
    pub fn images_at(&self) -> Dirs {
        let own = || Dirs { data: self.data.clone(), run: self.run.clone() };
        self.image_store.clone().unwrap_or_else(own)
    }

    /// The part of it that is images, as a store of its own.
    #[must_use]
    pub fn of_images(&self) -> Self {
        let Dirs { data, run } = self.images_at();
        Self { additional: self.additional.clone(), ..Self::new(data, run, self.driver) }
    }

    /// Says in the image store, if there is one, that our containers stand on it.
    pub(crate) fn mark_as_user(&self) -> Result<(), FileError> {
        let Some((path, mark)) = self.mark() else { return Ok(()) };
        if path.exists() {
            return Ok(());
        }
        path.parent().map_or(Ok(()), atomic::private_directory)?;
        atomic::write_durable(&path, &mark)
    }

    /// Our mark in the image store: its file, and what is in it.
    fn mark(&self) -> Option<(PathBuf, Vec<u8>)> {
        let images = self.image_store.as_ref()?;
        let mark = [self.data.as_os_str().as_bytes(), self.run.as_os_str().as_bytes()].join(&SEPARATOR);
        Some((images.data.join(USERS).join(Digest::of(&mark).short()), mark))
    }

    /// Takes leave of the image store: none of our containers is there any more. What is in there goes to its trash, unless it
    /// is of use to another store.
    ///
    /// # Errors
    /// The image store cannot be read or written to, or its lock not be had.
    pub fn leave_image_store(&self, on_wait: &mut dyn FnMut(&Waiting)) -> Result<Left, StoreError> {
        let Some((mark, _)) = self.mark() else { return Ok(Left::Nothing) };
        let store =
            Store::open_read_only(self.of_images()).map_err(|error| damaged(self.images_at().data, error))?;
        let _alone = store.alone(on_wait)?;
        atomic::remove(&mark)?;
        let others = self.other_users()?;
        if !others.is_empty() {
            return Ok(Left::Others(others));
        }
        for folder in self.image_folders().into_iter().filter(|folder| *folder != self.trash()) {
            for name in names_in(&folder)? {
                store.discard(&folder.join(name))?;
            }
        }
        Ok(Left::Trash(self.of_images()))
    }

    /// The stores whose containers may stand on these images.
    pub(crate) fn users(&self) -> Result<Vec<Self>, StoreError> {
        let Dirs { data, run } = self.images_at();
        let mut users = vec![Self::new(data.clone(), run, self.driver)];
        let folder = data.join(USERS);
        for name in names_in(&folder)? {
            let path = folder.join(name);
            let mark = match file::read(&path, limits::ARCHIVE_NOTE) {
                Ok(mark) => mark,
                Err(error) if error.is_missing() => continue,
                Err(error) => return Err(error.into()),
            };
            users.extend(user(&mark).map(|(data, run)| Self::new(data, run, self.driver)));
        }
        Ok(users)
    }

    /// The other stores whose images these are, as far as they are there: those that are marked, and the image store itself if it
    /// has containers of its own.
    fn other_users(&self) -> Result<Vec<PathBuf>, StoreError> {
        let images = self.images_at().data;
        let mut others = Vec::new();
        for user in self.users()?.into_iter().filter(|user| user.data != self.data) {
            let is_there = if user.data == images {
                !user.claims()?.is_empty()
            } else {
                user.data.join("version").exists()
            };
            if is_there && !others.contains(&user.data) {
                others.push(user.data);
            }
        }
        Ok(others)
    }
}

/// What is left to do of an image store that was left.
#[derive(Debug)]
pub enum Left {
    /// There is none.
    Nothing,
    /// These stores use it, so all of it stays.
    Others(Vec<PathBuf>),
    /// What was in it is in its trash, to be emptied in A.
    Trash(Layout),
}

/// The two paths of a mark; one that is none says nothing.
fn user(mark: &[u8]) -> Option<(PathBuf, PathBuf)> {
    let at = mark.iter().position(|byte| *byte == SEPARATOR)?;
    let (data, run) = mark.split_at(at);
    let path = |bytes: &[u8]| Path::new(OsStr::from_bytes(bytes)).to_owned();
    Some((path(data), path(run.get(1..)?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Driver, Store};

    #[test]
    fn an_image_store_knows_whose_containers_it_carries() {
        let home = tempfile::tempdir().unwrap();
        let at =
            |name: &str| Dirs { data: home.path().join(name), run: home.path().join(format!("{name}-run")) };
        let own = at("own");
        let layout = Layout {
            image_store: Some(at("images")),
            ..Layout::new(own.data.clone(), own.run, Driver::Overlay)
        };
        let store = Store::open(&layout).unwrap();
        let users = |layout: &Layout| -> Vec<_> {
            layout.users().unwrap().into_iter().map(|user| user.data).collect()
        };
        assert_eq!(users(&layout), [home.path().join("images"), own.data.clone()]);
        assert_eq!(users(&layout.of_images()), users(&layout));
        assert_eq!(layout.of_images().other_users().unwrap(), std::slice::from_ref(&own.data));
        assert_eq!(layout.other_users().unwrap(), Vec::<PathBuf>::new());
        assert_eq!(store.layout().refs(), home.path().join("images/refs"));
        assert_eq!(store.layout().containers(), own.data.join("containers"));
        assert_eq!(store.layout().gc_lock(), home.path().join("images-run/locks/gc"));
        std::fs::write(home.path().join("images/users/nonsense"), "/only/one/path").unwrap();
        assert_eq!(users(&layout).len(), 2);
    }
}
