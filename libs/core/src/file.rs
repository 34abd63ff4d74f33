//! Small files of our own: bounded reads, and the error that every file operation of ours returns.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, openat};
use serde::de::DeserializeOwned;

/// An operation on a file failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {}", path.display())]
pub struct FileError {
    /// The verb that fits after "cannot".
    pub action: &'static str,
    /// The file.
    pub path: PathBuf,
    /// Why.
    #[source]
    pub source: std::io::Error,
}

impl FileError {
    /// Names the action and the file of an error.
    pub fn new(action: &'static str, path: impl Into<PathBuf>, source: impl Into<std::io::Error>) -> Self {
        Self { action, path: path.into(), source: source.into() }
    }

    /// Returns whether nothing can be written there, whoever asks.
    #[must_use]
    pub fn lacks_room(&self) -> bool {
        use std::io::ErrorKind::{QuotaExceeded, ReadOnlyFilesystem, StorageFull};
        matches!(self.source.kind(), QuotaExceeded | ReadOnlyFilesystem | StorageFull)
    }

    /// Returns whether the file was not there.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        self.source.kind() == std::io::ErrorKind::NotFound
    }

    /// Returns whether the file is there, and not for us.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        self.source.kind() == std::io::ErrorKind::PermissionDenied
    }

    /// Whether something on the way is no directory, so that there can be nothing below it.
    #[must_use]
    pub fn is_below_a_file(&self) -> bool {
        self.source.kind() == std::io::ErrorKind::NotADirectory
    }
}

/// A file was larger than the table of limits allows.
#[derive(Debug, thiserror::Error)]
#[error("larger than the limit of {limit} bytes")]
pub struct TooLarge {
    /// The limit, of [`crate::limits`].
    pub limit: u64,
}

/// Opens a file or a folder for reading; `None` is one that is not there.
///
/// # Errors
/// It is, and is not for us.
pub fn open_existing(path: &Path) -> Result<Option<File>, FileError> {
    match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(FileError::new("open", path, error)),
    }
}

/// Reads a stream to its end, refusing more than `limit` bytes.
///
/// # Errors
/// An error of kind `FileTooLarge` that holds [`TooLarge`], else those of the stream.
pub fn read_stream(stream: &mut impl Read, limit: u64) -> std::io::Result<Vec<u8>> {
    // Most are small: one read gets them whole, where a growing buffer begins with 32 bytes.
    let mut bytes = Vec::with_capacity(4096);
    stream.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(std::io::Error::new(std::io::ErrorKind::FileTooLarge, TooLarge { limit }));
    }
    Ok(bytes)
}

/// Reads a file, refusing more than `limit` bytes.
pub fn read(path: &Path, limit: u64) -> Result<Vec<u8>, FileError> {
    let mut file = File::open(path).map_err(|error| FileError::new("open", path, error))?;
    read_stream(&mut file, limit).map_err(|error| FileError::new("read", path, error))
}

/// Reads a file of the machine's, which may have put anything in its place: what is no regular file is refused, and not waited for.
///
/// # Errors
/// As [`read`], or of kind `InvalidInput`.
pub fn read_system(path: &Path, limit: u64) -> Result<Vec<u8>, FileError> {
    let failed = |error| FileError::new("read", path, error);
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let mut file = File::from(openat(CWD, path, flags, Mode::empty()).map_err(|errno| failed(errno.into()))?);
    if !file.metadata().map_err(failed)?.is_file() {
        return Err(failed(std::io::Error::new(std::io::ErrorKind::InvalidInput, "not a regular file")));
    }
    read_stream(&mut file, limit).map_err(failed)
}

/// Reads a text file, refusing more than `limit` bytes and what is not UTF-8.
pub fn read_text(path: &Path, limit: u64) -> Result<String, FileError> {
    let bytes = read(path, limit)?;
    String::from_utf8(bytes).map_err(|error| {
        FileError::new("read", path, std::io::Error::new(std::io::ErrorKind::InvalidData, error))
    })
}

/// Reads a JSON file of ours.
pub fn read_json<T: DeserializeOwned>(path: &Path, limit: u64) -> Result<T, FileError> {
    let bytes = read(path, limit)?;
    serde_json::from_slice(&bytes).map_err(|error| FileError::new("understand", path, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_at_the_limit_passes_and_one_byte_more_does_not() {
        assert_eq!(read_stream(&mut &b"four"[..], 4).unwrap(), b"four");
        let error = read_stream(&mut &b"fives"[..], 4).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::FileTooLarge);
    }
}
