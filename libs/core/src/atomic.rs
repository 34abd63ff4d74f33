//! Files that appear whole or not at all.
//!
//! # Theory of operation
//! A temporary beside the target, written, then renamed over it. How much is flushed is the class of durability:
//!
//! | class | flushed | trusted |
//! |---|---|---|
//! | durable | the file before the rename, the directory after it | always |
//! | transient | nothing | until the next boot |
//! | bulk | nothing at once; one `syncfs` later | see the store's layers and blobs |
//!
//! # Failure
//! A kill leaves at most a temporary, `.tmp-<random>`, which nobody reads and gc sweeps.

use std::fs::{DirBuilder, File};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::file::FileError;
use crate::id::random_hex;

/// How the names of temporaries begin.
pub const TEMPORARY_PREFIX: &str = ".tmp-";

/// Writes a file that must survive a power loss once this returned.
pub fn write_durable(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let temporary = Temporary::create(path)?;
    temporary.fill(bytes)?;
    temporary.file.sync_all().map_err(|error| FileError::new("sync", path, error))?;
    temporary.publish()?;
    sync_parent(path)
}

/// Writes a file that need not outlive this boot.
pub fn write_transient(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let temporary = Temporary::create(path)?;
    temporary.fill(bytes)?;
    temporary.publish()
}

/// Writes a transient file whose name must be new; the claim of a name.
///
/// # Errors
/// One of kind `AlreadyExists` when the name is taken. A reader never sees a half-written claim.
pub fn claim(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let temporary = Temporary::create(path)?;
    temporary.fill(bytes)?;
    std::fs::hard_link(&temporary.path, path).map_err(|error| FileError::new("create", path, error))
    // The temporary's own name goes when it is dropped.
}

/// Flushes a directory, so that renames in it survive a power loss.
pub fn sync_directory(path: &Path) -> Result<(), FileError> {
    let directory = File::open(path).map_err(|error| FileError::new("open", path, error))?;
    directory.sync_all().map_err(|error| FileError::new("sync", path, error))
}

fn sync_parent(path: &Path) -> Result<(), FileError> {
    path.parent().map_or(Ok(()), sync_directory)
}

/// Makes a directory and its missing parents, private to the user.
pub fn private_directory(path: &Path) -> Result<(), FileError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|error| FileError::new("create the directory", path, error))
}

/// Removes a file; one that is not there is fine.
pub fn remove(path: &Path) -> Result<(), FileError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(FileError::new("remove", path, error))
        }
        _ => Ok(()),
    }
}

/// A file in the making, removed when dropped unless it was published.
#[derive(Debug)]
pub struct Temporary {
    file: File,
    path: PathBuf,
    target: PathBuf,
    published: std::cell::Cell<bool>,
}

impl Temporary {
    /// Makes a temporary beside the target.
    pub fn create(target: &Path) -> Result<Self, FileError> {
        let random = random_hex(8).map_err(|error| FileError::new("create", target, error))?;
        let path = target.with_file_name(format!("{TEMPORARY_PREFIX}{random}"));
        let file = std::fs::OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .map_err(|error| FileError::new("create", target, error))?;
        Ok(Self { file, path, target: target.to_owned(), published: std::cell::Cell::new(false) })
    }

    /// Returns the file to write to.
    #[must_use]
    pub const fn file(&self) -> &File {
        &self.file
    }

    fn fill(&self, bytes: &[u8]) -> Result<(), FileError> {
        (&self.file).write_all(bytes).map_err(|error| FileError::new("write", &self.target, error))
    }

    /// Renames the file to its target, without flushing anything.
    pub fn publish(&self) -> Result<(), FileError> {
        self.publish_as(&self.target)
    }

    /// The same with another target in the same directory, for what is named by what it turned out to be.
    pub fn publish_as(&self, target: &Path) -> Result<(), FileError> {
        std::fs::rename(&self.path, target).map_err(|error| FileError::new("create", target, error))?;
        self.published.set(true);
        Ok(())
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.published.get() {
            // What cannot be removed now is garbage that gc sweeps: there is nothing to report to anybody.
            drop(std::fs::remove_file(&self.path));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_files_replace_whole() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("record");
        write_durable(&path, b"one").unwrap();
        write_transient(&path, b"two").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"two");
        assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 1, "no temporary is left");
    }

    #[test]
    fn a_claim_is_made_once() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("name");
        claim(&path, b"mine").unwrap();
        let error = claim(&path, b"yours").unwrap_err();
        assert_eq!(error.source.kind(), std::io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read(&path).unwrap(), b"mine");
        assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 1, "no temporary is left");
    }

    #[test]
    fn an_unpublished_temporary_goes() {
        let home = tempfile::tempdir().unwrap();
        drop(Temporary::create(&home.path().join("x")).unwrap());
        assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0);
    }

    #[test]
    fn errors_name_the_target() {
        let error = write_durable(Path::new("/nonexistent/x"), b"").unwrap_err();
        assert_eq!(error.to_string(), "cannot create /nonexistent/x");
        assert!(error.is_missing());
    }
}
