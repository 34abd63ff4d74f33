//! The file that a container's frames go to (`--network user,pcap=FILE`).
//!
//! It is opened by the user's own rights, before we are in A, and begun anew at each start. In a folder that others write to, the name
//! may be somebody else's by now, so no link is followed and nobody else's file is written to.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use ctr_core::file::FileError;
use rustix::fs::{CWD, FileType, Mode, OFlags, fstat, ftruncate, openat};
use rustix::io::Errno;

use crate::request::Request;

/// A container's frames cannot be written there.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// The file.
    #[error(transparent)]
    File(#[from] FileError),
    /// It leads somewhere else.
    #[error("cannot write frames to {0}: it is a symbolic link (name the file that it leads to)")]
    Link(PathBuf),
    /// What is there is something else.
    #[error("cannot write frames to {0}: it is not a regular file")]
    NotAFile(PathBuf),
    /// It is not the user's alone.
    #[error("cannot write frames to {0}: it is another user's file, or has another name beside this one")]
    Foreign(PathBuf),
}

/// Opens it, where one is asked for.
pub(super) fn open(request: &Request) -> Result<Option<OwnedFd>, CaptureError> {
    let path = request.namespaces.user_network.as_ref().and_then(|network| network.pcap.as_deref());
    path.map(open_at).transpose()
}

fn open_at(path: &Path) -> Result<OwnedFd, CaptureError> {
    let failed = |doing| move |errno: Errno| FileError::new(doing, path, errno);
    let flags = OFlags::WRONLY
        | OFlags::CREATE
        | OFlags::NOFOLLOW
        | OFlags::NONBLOCK
        | OFlags::NOCTTY
        | OFlags::CLOEXEC;
    let file = match openat(CWD, path, flags, Mode::RUSR | Mode::WUSR) {
        Ok(file) => file,
        Err(Errno::LOOP) => return Err(CaptureError::Link(path.to_owned())),
        // A pipe that nobody reads.
        Err(Errno::NXIO) => return Err(CaptureError::NotAFile(path.to_owned())),
        Err(errno) => return Err(failed("create")(errno).into()),
    };
    let stat = fstat(&file).map_err(failed("look at"))?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(CaptureError::NotAFile(path.to_owned()));
    }
    if stat.st_uid != rustix::process::geteuid().as_raw() || stat.st_nlink != 1 {
        return Err(CaptureError::Foreign(path.to_owned()));
    }
    ftruncate(&file, 0).map_err(failed("empty"))?;
    Ok(file)
}
