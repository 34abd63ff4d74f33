//! The members of A: a record for each process through which others can join.
//!
//! # Layout
//! A record is the target of a symbolic link that points nowhere: made by one call, and never half-written.

use std::fs::{self, DirEntry, File};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use ctr_core::atomic;
use ctr_core::file::FileError;
use ctr_core::process;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde::{Deserialize, Serialize};

use super::Identity;
use crate::map::Key;

/// What a record holds.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    process: process::Identity,
    inner: Identity,
    outer: Identity,
    root_of_host: bool,
}

/// This process on the list; taken off when dropped.
#[derive(Debug)]
pub(super) struct Member {
    path: Option<PathBuf>,
}

impl Member {
    /// Puts this process on the list. To be called in A, once that has its map.
    pub(super) fn register(
        registry: &Path,
        key: Key,
        inner: Identity,
        outer: Identity,
        root_of_host: bool,
    ) -> Result<Self, FileError> {
        let process = process::Identity::current()?;
        let directory = registry.join(key.to_string());
        let path = directory.join(format!("{}.{}", process.pid, process.start_time));
        let record = Record { process, inner, outer, root_of_host };
        let failed = |err| FileError::new("create", &path, err);
        let text = serde_json::to_string(&record).map_err(|err| failed(err.into()))?;
        match symlink(&text, &path) {
            Err(err) if err.kind() == io::ErrorKind::NotFound => {
                atomic::private_directory(&directory)?;
                symlink(&text, &path).map_err(failed)?;
            }
            // What we were before an exec was listed already, and maybe in another A.
            Err(err) if err.kind() == io::ErrorKind::AlreadyExists => {
                atomic::remove(&path)?;
                symlink(&text, &path).map_err(failed)?;
            }
            made => made.map_err(failed)?,
        }
        Ok(Self { path: Some(path) })
    }

    /// Leaves the record to whoever sweeps after this process is gone.
    pub(super) fn leave_behind(mut self) {
        self.path = None;
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        if let Some(path) = self.path.take() {
            // A record that stays is swept by the next one to make an A: nothing is lost.
            match fs::remove_file(path) {
                Ok(()) | Err(_) => {}
            }
        }
    }
}

/// A member whose A can be joined.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) pid: u32,
    pub(super) namespace: OwnedFd,
    pub(super) inner: Identity,
}

/// Looks for a living member of the A with this map, made from this U.
pub(super) fn find(registry: &Path, key: Key, outer: Identity) -> Result<Option<Found>, FileError> {
    for entry in entries(&registry.join(key.to_string()))? {
        let Some(record) = read(&entry.path()) else { continue };
        if record.outer == outer
            && let Some(found) = open(&record)?
        {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// Opens the namespace of a member, if it lives and is where its record says.
///
/// That namespace had the map of its key when the record was made, and a map is written once.
fn open(record: &Record) -> Result<Option<Found>, FileError> {
    let Some(pidfd) = record.process.open()? else { return Ok(None) };
    let pid = record.process.pid;
    let Ok(namespace) = File::open(format!("/proc/{pid}/ns/user")).map(OwnedFd::from) else {
        return Ok(None);
    };
    // All of the above went by the number; it was the same process's throughout if that still lives.
    if has_ended(&pidfd) {
        return Ok(None);
    }
    let ours = ctr_sys::userns::owner(namespace.as_fd()) == Ok(rustix::process::geteuid().as_raw());
    let inner = Identity::of(namespace.as_fd()).ok();
    let child_of_ours = ctr_sys::userns::parent(namespace.as_fd())
        .is_ok_and(|parent| Identity::of(parent.as_fd()).is_ok_and(|parent| parent == record.outer));
    Ok(match inner {
        Some(inner) if ours && child_of_ours && inner == record.inner => {
            Some(Found { pid, namespace, inner })
        }
        _ => None,
    })
}

fn has_ended(pidfd: &OwnedFd) -> bool {
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut [PollFd::new(pidfd, PollFlags::IN)], Some(&at_once)) != Ok(0)
}

/// A process that is in an A.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Live {
    /// The name of A's map.
    pub key: Key,
    /// The process.
    pub process: process::Identity,
    /// Its A.
    pub inner: Identity,
    /// The U that A was made from.
    pub outer: Identity,
    /// That U is the host's, and the user its root.
    pub root_of_host: bool,
}

/// All living members of all As of this registry.
///
/// # Errors
/// If the registry cannot be read.
pub fn live(registry: &Path) -> Result<Vec<Live>, FileError> {
    Ok(records(registry)?.into_iter().filter_map(|(_path, member)| member).collect())
}

/// A living member that is in the given namespace.
pub(super) fn living_in(registry: &Path, inner: Identity) -> Result<Option<Live>, FileError> {
    Ok(live(registry)?.into_iter().find(|member| member.inner == inner))
}

/// Removes the records of the dead.
pub(super) fn sweep(registry: &Path) -> Result<(), FileError> {
    let dead = records(registry)?.into_iter().filter(|(_path, member)| member.is_none());
    dead.map(|(path, _none)| path).try_for_each(|path| atomic::remove(&path))
}

/// All records, each with its member if that lives.
fn records(registry: &Path) -> Result<Vec<(PathBuf, Option<Live>)>, FileError> {
    let mut all = Vec::new();
    for directory in entries(registry)? {
        let Some(key) = directory.file_name().to_str().and_then(|name| name.parse::<Key>().ok()) else {
            continue;
        };
        for entry in entries(&directory.path())? {
            let path = entry.path();
            let member = match read(&path) {
                Some(Record { process, inner, outer, root_of_host }) if process.is_alive()? => {
                    Some(Live { key, process, inner, outer, root_of_host })
                }
                _ => None,
            };
            all.push((path, member));
        }
    }
    Ok(all)
}

/// A record; `None` for one that is gone or is none.
fn read(path: &Path) -> Option<Record> {
    let text = fs::read_link(path).ok()?;
    serde_json::from_slice(text.as_os_str().as_bytes()).ok()
}

/// What is in a directory; nothing, if there is none.
fn entries(directory: &Path) -> Result<Vec<DirEntry>, FileError> {
    let failed = |err| FileError::new("list", directory, err);
    match fs::read_dir(directory) {
        Ok(entries) => entries.collect::<io::Result<_>>().map_err(failed),
        Err(err) if err.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(err) => Err(failed(err)),
    }
}
