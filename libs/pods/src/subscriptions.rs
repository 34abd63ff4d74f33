//! What of the host every container gets a copy of: `mounts.conf`.
//!
//! Distributions list folders with keys there, by which a package manager in a container may use what the host is entitled
//! to. The copy is made anew at each start and is the container's own, so nothing that it does there reaches the host.
//!
//! # Invariants
//! - Links on the host are followed, since such folders consist of them, but only in what root and the user alone can
//!   change: anybody else's link would bring a file of the user's into a container.
//! - Only directories and regular files are read, a bounded number of them.

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{Error, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use ctr_core::file::{FileError, read_stream};
use ctr_core::limits;
use rustix::fs::{Mode, OFlags};
use serde::{Deserialize, Serialize};

use crate::mounts::{MountError, Target};

/// One line of `mounts.conf`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscription {
    /// The folder or file of the host.
    pub source: PathBuf,
    /// Where its copy appears.
    pub target: Target,
}

/// Reads `mounts.conf`: `SOURCE` or `SOURCE:TARGET`, a line each. As with podman, a line that does not begin with a slash
/// means nothing.
pub fn parse(text: &str) -> impl Iterator<Item = Result<Subscription, MountError>> {
    let lines = text.lines().map(str::trim).filter(|line| line.starts_with('/'));
    lines.map(|line| {
        let (source, target) = line.split_once(':').unwrap_or((line, line));
        Ok(Subscription { source: source.into(), target: Target::parse(target)? })
    })
}

/// Whether only root and the user can change what is at a path; `None` if nothing is. To be asked in U, where owners are
/// who they are.
///
/// # Errors
/// It cannot be looked at.
pub fn is_trusted(path: &Path) -> Result<Option<bool>, FileError> {
    let inspect = |path: &Path| match std::fs::metadata(path) {
        Ok(meta) => Ok(Some(meta)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(FileError::new("inspect", path, error)),
    };
    let Some(meta) = inspect(path)? else { return Ok(None) };
    // In a session of `ctr unshare` root has another number.
    let root = inspect(Path::new("/"))?.map_or(0, |meta| meta.uid());
    let is_ours = meta.uid() == root || meta.uid() == rustix::process::geteuid().as_raw();
    Ok(Some(is_ours && meta.mode() & 0o002 == 0))
}

/// Copies what is there to a path that is free; returns false if nothing is there.
///
/// # Errors
/// Something cannot be read, is neither a directory nor a file, or is too much.
pub fn copy(source: &Path, to: &Path) -> Result<bool, FileError> {
    Copy { bytes: limits::SUBSCRIPTIONS, entries: limits::SUBSCRIPTION_ENTRIES }.node(source, to, 0)
}

/// How much may still be copied.
struct Copy {
    bytes: u64,
    entries: u32,
}

impl Copy {
    fn node(&mut self, from: &Path, to: &Path, depth: u32) -> Result<bool, FileError> {
        let failed = |error: Error| FileError::new("copy", from, error);
        let meta = match std::fs::metadata(from) {
            Ok(meta) => meta,
            // Also a link to nothing.
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(failed(error)),
        };
        self.entries = self.entries.checked_sub(1).ok_or_else(|| failed(too_much()))?;
        if meta.is_dir() {
            self.folder(from, to, depth)?;
        } else if meta.is_file() {
            self.file(from, to)?;
        } else {
            return Err(failed(Error::new(ErrorKind::InvalidInput, "it is neither a folder nor a file")));
        }
        let mode = Permissions::from_mode(meta.mode() & 0o777);
        std::fs::set_permissions(to, mode).map_err(|error| FileError::new("set the mode of", to, error))?;
        Ok(true)
    }

    fn folder(&mut self, from: &Path, to: &Path, depth: u32) -> Result<(), FileError> {
        let failed = |error: Error| FileError::new("copy", from, error);
        if depth > limits::SUBSCRIPTION_DEPTH {
            return Err(failed(too_much()));
        }
        DirBuilder::new().mode(0o700).create(to).map_err(|error| FileError::new("create", to, error))?;
        for entry in std::fs::read_dir(from).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            self.node(&from.join(&name), &to.join(&name), depth + 1)?;
        }
        Ok(())
    }

    fn file(&mut self, from: &Path, to: &Path) -> Result<(), FileError> {
        let failed = |error: Error| FileError::new("copy", from, error);
        // Whatever it has become since: nobody waits for the other end of a pipe.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let opened = rustix::fs::open(from, flags, Mode::empty()).map_err(|errno| failed(errno.into()))?;
        let mut file = File::from(opened);
        if !file.metadata().map_err(failed)?.is_file() {
            return Err(failed(Error::new(ErrorKind::InvalidInput, "it is no file any more")));
        }
        let bytes = read_stream(&mut file, self.bytes).map_err(failed)?;
        self.bytes = self.bytes.saturating_sub(bytes.len() as u64);
        let mut copy = OpenOptions::new().write(true).create_new(true).mode(0o600).open(to);
        let written =
            copy.as_mut().map_err(|error| Error::from(error.kind())).and_then(|copy| copy.write_all(&bytes));
        written.map_err(|error| FileError::new("write", to, error))
    }
}

fn too_much() -> Error {
    Error::new(ErrorKind::FileTooLarge, "it holds more than is copied into containers")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn lines_are_a_source_and_perhaps_a_target() {
        let text = "# keys\n/usr/share/rhel/secrets:/run/secrets\n  /etc/keys  \n\nrelative:/x\n/a:b\n/a:/\n";
        let lines: Vec<_> = parse(text)
            .map(|line| line.ok().map(|line| (line.source, line.target.as_str().to_owned())))
            .collect();
        let some = |source: &str, target: &str| Some((PathBuf::from(source), target.to_owned()));
        let expected =
            [some("/usr/share/rhel/secrets", "/run/secrets"), some("/etc/keys", "/etc/keys"), None, None];
        assert_eq!(lines, expected);
    }

    #[test]
    fn what_others_can_write_is_not_trusted() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(is_trusted(dir.path()).unwrap(), Some(true));
        std::fs::set_permissions(dir.path(), Permissions::from_mode(0o1777)).unwrap();
        assert_eq!(is_trusted(dir.path()).unwrap(), Some(false));
        assert_eq!(is_trusted(Path::new("/etc")).unwrap(), Some(true));
        assert_eq!(is_trusted(&dir.path().join("none")).unwrap(), None);
        // By a link it is what it leads to.
        let link = dir.path().join("link");
        symlink("/tmp", &link).unwrap();
        assert_eq!(is_trusted(&link).unwrap(), Some(false));
    }

    #[test]
    fn folders_are_copied_by_content_and_mode() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        std::fs::create_dir_all(from.join("sub")).unwrap();
        std::fs::write(from.join("sub/key"), "secret").unwrap();
        std::fs::set_permissions(from.join("sub/key"), Permissions::from_mode(0o4640)).unwrap();
        symlink("sub/key", from.join("link")).unwrap();
        symlink("nothing", from.join("dangling")).unwrap();
        assert!(copy(&from, &to).unwrap());
        assert_eq!(std::fs::read(to.join("link")).unwrap(), b"secret");
        assert!(!to.join("link").is_symlink() && !to.join("dangling").is_symlink());
        assert_eq!(std::fs::metadata(to.join("sub/key")).unwrap().mode() & 0o7777, 0o640);
        assert!(copy(&from.join("link"), &dir.path().join("file")).unwrap());
        assert!(!copy(&from.join("none"), &dir.path().join("none")).unwrap());
    }

    #[test]
    fn loops_pipes_and_floods_end() {
        let dir = tempfile::tempdir().unwrap();
        let from = dir.path().join("from");
        std::fs::create_dir(&from).unwrap();
        symlink(".", from.join("again")).unwrap();
        assert!(copy(&from, &dir.path().join("1")).is_err(), "a folder within itself");
        std::fs::remove_file(from.join("again")).unwrap();
        symlink("itself", from.join("itself")).unwrap();
        assert!(copy(&from, &dir.path().join("2")).is_err(), "a link to itself");
        std::fs::remove_file(from.join("itself")).unwrap();
        let pipe = rustix::fs::FileType::Fifo;
        rustix::fs::mknodat(rustix::fs::CWD, from.join("pipe"), pipe, Mode::RUSR, 0).unwrap();
        assert!(copy(&from, &dir.path().join("3")).is_err(), "a pipe");
        std::fs::remove_file(from.join("pipe")).unwrap();
        let large = File::create(from.join("large")).unwrap();
        large.set_len(limits::SUBSCRIPTIONS + 1).unwrap();
        assert!(copy(&from, &dir.path().join("4")).is_err(), "too large");
    }
}
