//! Roots of containers in sessions of `ctr unshare`: each has mounts of its own, and they go with it.
//!
//! # Theory of operation
//! ```text
//! it runs          a copy of the mount that is its root, fetched from its mount namespace
//! it does not      its root, mounted; it is held until that is done
//! ```
//! Two overlays must never share an upper folder, and nobody is left in a session to hold the container. So what is
//! mounted leaves a note that names the session's mount namespace, and whoever mounts the root later asks whether a process
//! lives there. A note of a session that is gone means nothing.
//!
//! # Process context
//! One thread, in A and in the session's mount namespace, in which the mounts shall stay.

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use ctr_core::file::{self, FileError};
use ctr_core::lock::Waiting;
use ctr_core::{atomic, limits};
use ctr_userns::entry;
use ctr_userns::level_a::LevelA;
use rustix::fs::{AtFlags, CWD, Mode, OFlags, StatxAttributes, StatxFlags, openat, stat, statx};
use rustix::mount::{OpenTreeFlags, UnmountFlags, open_tree, unmount as take_off};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use serde::{Deserialize, Serialize};

use super::kept::Held;
use super::visit::{Found, VisitError, find, plan_of};
use super::{Host, Note, binds, root};
use crate::containers::{Container as Known, Containers, ContainersError};

/// Where a root is mounted, in the folder of the container's layer.
const PLACE: &str = "merged";
/// What says in which session, beside it.
const NOTE: &str = "mounted.json";

/// Which session has a root mounted: its number alone may be another's by now, so its mounts are looked at too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Mounted {
    /// Its mount namespace, as the kernel numbers it.
    namespace: u64,
}

/// Where the root of a container would be mounted.
#[must_use]
pub fn place(container: &Known) -> PathBuf {
    container.layer.join(PLACE)
}

/// Whether it is, for this process.
#[must_use]
pub fn is_mounted(container: &Known) -> bool {
    statx(CWD, place(container), AtFlags::SYMLINK_NOFOLLOW, StatxFlags::empty())
        .is_ok_and(|found| found.stx_attributes.contains(StatxAttributes::MOUNT_ROOT))
}

/// This process in its session.
#[derive(Debug, Default)]
pub struct Session {
    /// It may be the only one that others find A through, and that it finds A through itself.
    members: Vec<LevelA>,
}

impl Session {
    /// Mounts the root of a container, unless it is, and returns where.
    ///
    /// # Errors
    /// It is held by somebody else, or cannot be mounted.
    pub fn mount(
        &mut self,
        host: Host<'_>,
        container: &Known,
        note: &mut dyn FnMut(Note),
    ) -> Result<PathBuf, VisitError> {
        let place = place(container);
        if is_mounted(container) {
            return Ok(place);
        }
        let (tree, _held) = match find(host, container)? {
            Found::Running(known) => (of_running(&known)?, None),
            Found::Held(known, held) => (self.of_stopped(host, &known, &held, note)?, Some(held)),
        };
        atomic::private_directory(&place)?;
        write_note(&container.layer)?;
        let failed = |errno| VisitError::Attach { target: place.display().to_string(), errno };
        binds::attach(&tree, &place).map_err(failed)?;
        Ok(place)
    }

    /// The root of a container that does not run.
    fn of_stopped(
        &mut self,
        host: Host<'_>,
        known: &Known,
        held: &Held,
        note: &mut dyn FnMut(Note),
    ) -> Result<OwnedFd, VisitError> {
        let mut on_wait = |waiting: &Waiting| note(Note::Waiting(waiting.clone()));
        let begun = entry::begin(host.user_run, host.user, false, &mut on_wait)?;
        let all = Containers::new(host.dirs);
        let plan = plan_of(host, (known, held), &begun, &all, &[])?;
        let a = begun.finish()?;
        let plan = match plan {
            Ok(plan) => plan,
            Err(namespace) => namespace.open(&all, &a)?.plan,
        };
        let container = held.container(host);
        let root = root::mount(&container, &a, &plan, note);
        root::tidy(&container);
        self.members.push(a);
        Ok(root?)
    }
}

/// Takes off what [`Session::mount`] mounted; `false` if there is nothing. By force also what is in use.
///
/// # Errors
/// It is in use.
pub fn unmount(container: &Known, force: bool) -> Result<bool, VisitError> {
    if !is_mounted(container) {
        return Ok(false);
    }
    let place = place(container);
    let flags = if force { UnmountFlags::DETACH } else { UnmountFlags::empty() };
    take_off(&place, flags).map_err(|errno| FileError::new("unmount", &place, errno))?;
    atomic::remove(&container.layer.join(NOTE))?;
    std::fs::remove_dir(&place).map_err(|error| FileError::new("remove", &place, error))?;
    Ok(true)
}

/// The root of a container that runs, as it is mounted there, without what is mounted on it.
fn of_running(container: &Known) -> Result<OwnedFd, VisitError> {
    let not_running = || VisitError::NotRunning(container.record.name.clone());
    let state = container.state.as_ref().ok_or_else(not_running)?;
    let failed = |errno| VisitError::Attach { target: "/".to_owned(), errno };
    let open = |path: &str| openat(CWD, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
    let theirs = open(&format!("/proc/{}/ns/mnt", state.init.pid)).map_err(failed)?;
    // It went by the number, which was that process's throughout if it still lives.
    if !container.is_running().map_err(ContainersError::from)? {
        return Err(not_running());
    }
    let ours = open("/proc/self/ns/mnt").map_err(failed)?;
    let kind = Some(LinkNameSpaceType::Mount);
    move_into_link_name_space(theirs.as_fd(), kind).map_err(failed)?;
    let tree = open_tree(CWD, "/", OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC);
    move_into_link_name_space(ours.as_fd(), kind).map_err(failed)?;
    tree.map_err(failed)
}

/// Says which session has the root mounted.
fn write_note(layer: &Path) -> Result<(), FileError> {
    let path = layer.join(NOTE);
    let failed = |error: std::io::Error| FileError::new("write", &path, error);
    let namespace = stat("/proc/self/ns/mnt").map_err(|errno| failed(errno.into()))?.st_ino;
    let bytes = serde_json::to_vec(&Mounted { namespace }).map_err(|error| failed(error.into()))?;
    atomic::write_transient(&path, &bytes)
}

/// A process of the session that has the root of this layer mounted, if there is one.
pub(super) fn user_of(layer: &Path) -> Result<Option<u32>, FileError> {
    let mounted = match file::read_json::<Mounted>(&layer.join(NOTE), limits::RECORD) {
        Err(error) if error.is_missing() => return Ok(None),
        other => other?,
    };
    let all = std::fs::read_dir("/proc").map_err(|error| FileError::new("list", "/proc", error))?;
    let pids = all.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let place = escaped(&layer.join(PLACE));
    // What cannot be looked into is not the user's. The kernel gives numbers of namespaces anew.
    let is_there = |pid: &u32| {
        stat(format!("/proc/{pid}/ns/mnt")).is_ok_and(|found| found.st_ino == mounted.namespace)
            && std::fs::read(format!("/proc/{pid}/mountinfo")).is_ok_and(|mounts| has(&mounts, &place))
    };
    Ok(pids.into_iter().find(is_there))
}

/// Whether something is mounted at a place, of which the fifth field of a line tells.
fn has(mounts: &[u8], place: &[u8]) -> bool {
    mounts.split(|byte| *byte == b'\n').any(|line| line.split(|byte| *byte == b' ').nth(4) == Some(place))
}

/// A path as the kernel writes it there.
fn escaped(path: &Path) -> Vec<u8> {
    let escape = |byte: &u8| match byte {
        b' ' | b'\t' | b'\n' | b'\\' => format!("\\{byte:03o}").into_bytes(),
        _ => vec![*byte],
    };
    path.as_os_str().as_bytes().iter().flat_map(escape).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_found_as_the_kernel_writes_it() {
        let mounts = b"1 2 0:3 / / rw - tmpfs x rw\n5 1 0:4 / /a\\040b/merged rw - overlay overlay rw\n";
        assert!(has(mounts, &escaped(Path::new("/a b/merged"))));
        assert!(!has(mounts, &escaped(Path::new("/a b"))) && !has(b"", b"/"));
    }
}
