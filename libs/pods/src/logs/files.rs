//! The files of a log, from the oldest to the newest.

use std::ffi::OsString;
use std::fs::File;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use ctr_core::file::FileError;
use rustix::fs::OFlags;

/// The most files that a log has; whoever asked for more has to wait for a later reader.
const MOST: usize = 1_000;

/// An open file of a log.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) file: File,
    pub(super) inode: u64,
    /// Bytes of the log before it, from the container's first one on.
    pub(super) before: u64,
}

impl Part {
    /// Where it ends now, in bytes of the log.
    pub(super) fn end(&self) -> std::io::Result<u64> {
        Ok(self.before + self.file.metadata()?.len())
    }
}

/// Opens the files that are newer than `known`, the oldest first.
///
/// They are opened from the newest on, so that a rotation in between shows one twice and hides none; if one took place, all
/// is done again.
pub(super) fn newer_than(path: &Path, known: Option<&Part>) -> Result<Vec<Part>, FileError> {
    let failed = |error: std::io::Error| FileError::new("read", path, error);
    loop {
        let gone = gone(path);
        let mut parts = Vec::new();
        let mut found = false;
        for number in 0..MOST {
            let Some(part) = open(&numbered(path, number))? else {
                // The newest one has not been made yet.
                if number == 0 {
                    continue;
                }
                break;
            };
            found = known.is_some_and(|known| known.inode == part.inode);
            if found {
                break;
            }
            parts.push(part);
        }
        if !is_newest(path, parts.first().or(known))? || self::gone(path) != gone {
            continue;
        }
        let mut before = match known {
            Some(known) if found => known.end().map_err(failed)?,
            _ => gone,
        };
        parts.reverse();
        for part in &mut parts {
            part.before = before;
            before = part.end().map_err(failed)?;
        }
        return Ok(parts);
    }
}

/// Whether nothing came after a file; the very first one has nothing before it.
fn is_newest(path: &Path, part: Option<&Part>) -> Result<bool, FileError> {
    match std::fs::metadata(path) {
        Ok(meta) => Ok(part.is_some_and(|part| part.inode == meta.ino())),
        // Between two files, or before the first.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(FileError::new("inspect", path, error)),
    }
}

/// The bytes of files that are no more.
fn gone(path: &Path) -> u64 {
    let bytes = std::fs::read(with_suffix(path, ".gone")).unwrap_or_default();
    bytes.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

/// Opens one file; `None` where there is none.
fn open(path: &Path) -> Result<Option<Part>, FileError> {
    let failed = |error: std::io::Error| FileError::new("open", path, error);
    // Without waiting: the name may be that of a pipe.
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or(0);
    let file = match std::fs::OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let meta = file.metadata().map_err(failed)?;
    if !meta.is_file() {
        return Err(failed(std::io::Error::other("it is no regular file")));
    }
    Ok(Some(Part { file, inode: meta.ino(), before: 0 }))
}

/// The name of the newest file, or of an older one.
fn numbered(path: &Path, number: usize) -> PathBuf {
    if number == 0 { path.to_owned() } else { with_suffix(path, &format!(".{number}")) }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}
