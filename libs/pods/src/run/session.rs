//! Roots of containers in sessions of `ctr unshare`: each has mounts of its own, and they go with it.
//!
//! # Theory of operation
//! ```text
//! it runs          a copy of the mount that is its root, fetched from its mount namespace
//! it does not      its root, mounted; it is held until that is done
//! ```
//! Two overlays must never share an upper folder, and nobody is left in a session to hold the container. So before a mount
//! is handed out it leaves a note with the device that it is to the kernel and the session's mount namespace, and whoever
//! mounts the root later looks at the mounts of all processes: whoever sees an overlay on that upper folder has it, be it
//! in a mount namespace that is a copy of the session's. So has a process of the session that cannot see its mounts, since
//! it has changed its root. Notes of which nobody has the mount mean nothing, and are removed.
//!
//! The place of a mount stays: to remove it would take it off in other sessions.
//!
//! # Process context
//! One thread, in A and in the session's mount namespace, in which the mounts shall stay.

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use ctr_core::atomic;
use ctr_core::file::FileError;
use ctr_core::lock::Waiting;
use ctr_userns::entry;
use ctr_userns::level_a::LevelA;
use rustix::fs::{
    AtFlags, CWD, Mode, OFlags, StatxAttributes, StatxFlags, fstat, major, minor, openat, stat, statx,
};
use rustix::mount::{OpenTreeFlags, UnmountFlags, open_tree, unmount as take_off};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::kept::Held;
use super::visit::{Found, VisitError, find, plan_of};
use super::{Host, Note, binds, root};
use crate::containers::{Container as Known, Containers, ContainersError};

/// Where a root is mounted, in the folder of the container's layer.
const PLACE: &str = "merged";
/// The folder of notes about that, beside it: empty files, named by device and mount namespace (`0:52.4026532`).
const NOTES: &str = "mounted";

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
        atomic::private_directory(&place)?;
        let failed = |errno| VisitError::Attach { target: place.display().to_string(), errno };
        match find(host, container)? {
            Found::Running(known) => {
                let tree = of_running(&known)?;
                write_note(&container.layer, &tree)?;
                binds::attach(&tree, &place).map_err(failed)?;
                // As long as it ran all the while, nobody has passed over the note.
                if !known.is_running().map_err(ContainersError::from)? {
                    binds::detach(&place).map_err(failed)?;
                    return Err(VisitError::NotRunning(known.record.name));
                }
            }
            Found::Held(known, held) => {
                let tree = self.of_stopped(host, &known, &held, note)?;
                write_note(&container.layer, &tree)?;
                binds::attach(&tree, &place).map_err(failed)?;
            }
        }
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

/// A note about a mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Mounted {
    /// Its device, as the kernel numbers it: another's when all its mounts are gone.
    device: (u32, u32),
    /// The mount namespace of its session.
    namespace: u64,
}

impl Mounted {
    fn name(self) -> String {
        let ((major, minor), namespace) = (self.device, self.namespace);
        format!("{major}:{minor}.{namespace}")
    }

    fn parse(name: &str) -> Option<Self> {
        let (device, namespace) = name.split_once('.')?;
        let (major, minor) = device.split_once(':')?;
        let device = (major.parse().ok()?, minor.parse().ok()?);
        Some(Self { device, namespace: namespace.parse().ok()? })
    }
}

/// Says that this session has the root mounted.
fn write_note(layer: &Path, tree: &OwnedFd) -> Result<(), FileError> {
    let notes = layer.join(NOTES);
    atomic::private_directory(&notes)?;
    let failed = |error: std::io::Error| FileError::new("write", &notes, error);
    let namespace = stat("/proc/self/ns/mnt").map_err(|errno| failed(errno.into()))?.st_ino;
    let device = fstat(tree).map_err(|errno| failed(errno.into()))?.st_dev;
    let note = Mounted { device: (major(device), minor(device)), namespace };
    std::fs::write(notes.join(note.name()), "").map_err(failed)
}

/// A process that has the root of this layer mounted, if there is one. To be asked by whoever holds the container.
pub(super) fn user_of(layer: &Path) -> Result<Option<u32>, FileError> {
    let path = layer.join(NOTES);
    let names = match std::fs::read_dir(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        names => names.map_err(|error| FileError::new("list", &path, error))?,
    };
    let notes: Vec<Mounted> =
        names.flatten().filter_map(|entry| Mounted::parse(entry.file_name().to_str()?)).collect();
    let all = std::fs::read_dir("/proc").map_err(|error| FileError::new("list", "/proc", error))?;
    let mut pids = all.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    // What cannot be looked into is not the user's.
    let has_it = |pid: &u32| {
        std::fs::read(format!("/proc/{pid}/mountinfo")).is_ok_and(|mounts| {
            has(&mounts, layer, &notes) || (!has_root(&mounts) && is_in_one(*pid, &notes))
        })
    };
    let found = pids.find(has_it);
    if found.is_none() {
        std::fs::remove_dir_all(&path).map_err(|error| FileError::new("remove", &path, error))?;
    }
    Ok(found)
}

/// Whether a process is in a session of which there is a note.
fn is_in_one(pid: u32, notes: &[Mounted]) -> bool {
    stat(format!("/proc/{pid}/ns/mnt"))
        .is_ok_and(|found| notes.iter().any(|note| note.namespace == found.st_ino))
}

/// A line of `/proc/PID/mountinfo`.
fn fields(line: &[u8]) -> Vec<&[u8]> {
    line.split(|byte| *byte == b' ').collect()
}

/// Whether anything is mounted at `/`, for whoever sees these mounts.
fn has_root(mounts: &[u8]) -> bool {
    mounts.split(|byte| *byte == b'\n').any(|line| fields(line).get(4) == Some(&&b"/"[..]))
}

/// Whether an overlay on the upper folder of this layer is mounted somewhere. The kernel shows that by the path it was
/// mounted by; where this was a descriptor's, the device tells.
fn has(mounts: &[u8], layer: &Path, notes: &[Mounted]) -> bool {
    let id = layer.file_name().unwrap_or_default().as_bytes();
    let upper = [b"/", id, b"/upper"].concat();
    mounts.split(|byte| *byte == b'\n').any(|line| {
        let fields = fields(line);
        let end = fields.iter().position(|field| *field == b"-").unwrap_or(fields.len());
        let (kind, options) = (fields.get(end + 1), fields.get(end + 3));
        let (Some(b"overlay"), Some(options), Some(device)) = (kind.copied(), options, fields.get(2)) else {
            return false;
        };
        let mut uppers =
            options.split(|byte| *byte == b',').filter_map(|option| option.strip_prefix(b"upperdir="));
        uppers.any(|shown| {
            let noted = |note: &Mounted| {
                let (major, minor) = note.device;
                format!("{major}:{minor}").as_bytes() == *device
            };
            shown.ends_with(&upper) || (shown.starts_with(b"/proc/self/fd/") && notes.iter().any(noted))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAYER: &str = "/a b/containers/0123";
    const NOTE: Mounted = Mounted { device: (0, 52), namespace: 7 };

    #[test]
    fn an_overlay_is_found_wherever_it_is_mounted() {
        let has = |line: &str| {
            let mounts = format!("1 2 0:3 / / rw - tmpfs x rw\n{line}\n");
            has(mounts.as_bytes(), Path::new(LAYER), &[NOTE])
        };
        assert!(has(
            "5 1 0:99 / / rw - overlay overlay rw,upperdir=/a\\040b/containers/0123/upper,workdir=/x"
        ));
        assert!(has("5 1 0:52 / /y rw shared:1 - overlay overlay rw,upperdir=/proc/self/fd/9,userxattr"));
        for other in [
            "5 1 0:53 / / rw - overlay overlay rw,upperdir=/proc/self/fd/9",
            "5 1 0:52 / / rw - overlay overlay rw,upperdir=/a/containers/0124/upper",
            "5 1 0:52 / / rw - ext4 /dev/sda rw,upperdir=/proc/self/fd/9",
            "5 1 0:52 / / rw - overlay overlay rw,lowerdir=/x",
            "5 1 0:52 / /",
            "",
        ] {
            assert!(!has(other), "{other}");
        }
    }

    #[test]
    fn who_has_changed_its_root_sees_none() {
        assert!(has_root(b"1 2 0:3 / / rw - tmpfs x rw\n"));
        assert!(!has_root(b"1 2 0:3 / /proc rw - proc x rw\n") && !has_root(b""));
    }

    #[test]
    fn notes_have_names() {
        assert_eq!(NOTE.name(), "0:52.7");
        assert_eq!(Mounted::parse("0:52.7"), Some(NOTE));
        for bad in ["", "0:52", "0.7", "a:b.c", "0:52."] {
            assert_eq!(Mounted::parse(bad), None, "{bad}");
        }
    }
}
