//! Control groups, where the user may make them.
//!
//! A container's group is a child of the one we are in, so it needs no manager: whoever may write there may make one. That
//! is so in a user's systemd, in a delegated unit and in most CI containers; in a plain login session of SSH it is not, and
//! then containers have no group of their own. What needs one says so by name.
//!
//! Freezing and killing are there in every group of version 2; accounting for memory only where a controller is delegated.

use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{Access, AtFlags, CWD, Mode, OFlags, openat};
use rustix::io::Errno;

/// Where version 2 is mounted: alone, or beside version 1.
const MOUNTS: [&str; 2] = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"];

/// `CGROUP2_SUPER_MAGIC`.
const CGROUP2: u64 = 0x6367_7270;

/// A control group, which goes with this unless it is [kept](Self::keep).
#[derive(Debug)]
pub struct Group {
    /// Its folder.
    pub path: PathBuf,
    /// The same, open.
    pub folder: OwnedFd,
    kept: bool,
}

/// A control group cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot {doing} the control group {path}")]
pub struct GroupError {
    doing: &'static str,
    path: PathBuf,
    #[source]
    source: std::io::Error,
}

fn failed(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> GroupError {
    let path = path.to_owned();
    move |source| GroupError { doing, path, source }
}

impl Group {
    /// Where a group below our own would be; `None` where we may not make any.
    #[must_use]
    pub fn place(name: &str) -> Option<PathBuf> {
        let own = own()?;
        rustix::fs::accessat(CWD, &own, Access::WRITE_OK, AtFlags::EACCESS).ok()?;
        Some(own.join(name))
    }

    /// Makes a group; `None` where we may not after all.
    ///
    /// # Errors
    /// It was made and cannot be opened.
    pub fn make(path: PathBuf) -> Result<Option<Self>, GroupError> {
        match std::fs::create_dir(&path) {
            Ok(()) => {}
            // One that a killed predecessor left.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(_not_ours) => return Ok(None),
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = openat(CWD, &path, flags, Mode::empty());
        let folder = folder.map_err(|errno| failed("open", &path)(errno.into()))?;
        Ok(Some(Self { path, folder, kept: false }))
    }

    /// From here on it is for others to remove.
    #[must_use]
    pub fn keep(mut self) -> Self {
        self.kept = true;
        self
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if !self.kept {
            // Where somebody lives in it all the same, it is theirs.
            std::fs::remove_dir(&self.path).ok();
        }
    }
}

/// The group of version 2 that this process is in, as a folder; `None` where there is none to be seen.
fn own() -> Option<PathBuf> {
    let text = std::fs::read_to_string("/proc/self/cgroup").ok()?;
    let below = text.lines().find_map(|line| line.strip_prefix("0::"))?;
    // Outside of the namespace we are in.
    if below.starts_with("/..") {
        return None;
    }
    let is_mounted = |root: &&'static str| {
        rustix::fs::statfs(*root).is_ok_and(|stat| u64::try_from(stat.f_type) == Ok(CGROUP2))
    };
    let root = MOUNTS.into_iter().find(is_mounted)?;
    Some(Path::new(root).join(below.trim_start_matches('/')))
}

/// Stops or lets go on all that is in a group, and waits until that is so.
///
/// # Errors
/// It is gone, or not ours.
pub fn freeze(path: &Path, frozen: bool) -> Result<(), GroupError> {
    let file = path.join("cgroup.freeze");
    std::fs::write(&file, if frozen { "1" } else { "0" }).map_err(failed("freeze", path))?;
    wait_for(path, if frozen { "frozen 1" } else { "frozen 0" }, None).map(drop)
}

/// Waits until the kernel says something of a group; `false`: the time was up.
fn wait_for(path: &Path, said: &str, within: Option<Duration>) -> Result<bool, GroupError> {
    let events = path.join("cgroup.events");
    let told = std::fs::File::open(&events).map_err(failed("read", path))?;
    let start = Instant::now();
    loop {
        let text = std::fs::read_to_string(&events).map_err(failed("read", path))?;
        if text.lines().any(|line| line == said) {
            return Ok(true);
        }
        if within.is_some_and(|within| start.elapsed() >= within) {
            return Ok(false);
        }
        // The kernel wakes us at each change of the file.
        let mut watched = [rustix::event::PollFd::new(&told, rustix::event::PollFlags::PRI)];
        let second = rustix::event::Timespec { tv_sec: 1, tv_nsec: 0 };
        match rustix::event::poll(&mut watched, Some(&second)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(failed("wait for", path)(errno.into())),
        }
    }
}

/// Removes a group whose last inhabitants are about to end: a container's init takes a moment to follow its monitor.
///
/// # Errors
/// Somebody still lives in it when the time is up.
pub fn remove_once_empty(path: &Path, within: Duration) -> Result<(), GroupError> {
    // One that is gone cannot be asked, and there is nothing to wait for.
    wait_for(path, "populated 0", Some(within)).ok();
    remove(path)
}

/// Removes a group in which nobody lives any more, with those that a container made below; one that is not there is fine.
///
/// # Errors
/// Somebody still lives in it.
pub fn remove(path: &Path) -> Result<(), GroupError> {
    match std::fs::remove_dir(path) {
        Err(error) if error.kind() == ErrorKind::ResourceBusy => {
            let entries = std::fs::read_dir(path).map_err(failed("read", path))?;
            for entry in entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
                remove(&entry.path())?;
            }
            std::fs::remove_dir(path).map_err(failed("remove", path))
        }
        Err(error) if error.kind() != ErrorKind::NotFound => Err(failed("remove", path)(error)),
        _ => Ok(()),
    }
}
