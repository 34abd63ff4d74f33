//! A way down a tree and up again, however deep it is, also while somebody changes it.
//!
//! The directories near the top stay open; of those that lie deeper only the one that the way has come to. From there the
//! way back up is `..`, which in a tree that is being changed may lead anywhere: the directory found there must be the one
//! that we came from.

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags};
use rustix::io::{Errno, Result};

use super::Stat;

/// How many directories stay open.
const MAX_OPEN: usize = 128;

const FLAGS: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// The way from the top of a tree to a directory in it.
#[derive(Debug)]
pub struct Trail {
    here: OwnedFd,
    above: Vec<Above>,
}

/// A directory that was left for one in it.
#[derive(Debug)]
struct Above {
    device: u64,
    inode: u64,
    dir: Option<OwnedFd>,
}

impl Trail {
    /// Begins at a directory that was opened for reading.
    #[must_use]
    pub const fn new(top: OwnedFd) -> Self {
        Self { here: top, above: Vec::new() }
    }

    /// The directory that the way has come to.
    #[must_use]
    pub fn here(&self) -> BorrowedFd<'_> {
        self.here.as_fd()
    }

    /// Goes into a directory; `false`: that is not, or no longer, what is there, and the way has not moved.
    pub fn enter(&mut self, name: &OsStr) -> Result<bool> {
        let below = match rustix::fs::openat(&self.here, name, FLAGS, Mode::empty()) {
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(false),
            below => below?,
        };
        let Stat { device, inode, .. } = Stat::of(&self.here)?;
        let dir = std::mem::replace(&mut self.here, below);
        let dir = (self.above.len() < MAX_OPEN).then_some(dir);
        self.above.push(Above { device, inode, dir });
        Ok(true)
    }

    /// Goes back to the directory above; from the top there is no way up.
    ///
    /// # Errors
    /// `ESTALE`: somebody moved a directory.
    pub fn leave(&mut self) -> Result<()> {
        let Some(above) = self.above.pop() else { return Ok(()) };
        self.here = match above.dir {
            Some(dir) => dir,
            None => {
                let dir = rustix::fs::openat(&self.here, c"..", FLAGS, Mode::empty())?;
                let found = Stat::of(&dir)?;
                if (found.device, found.inode) != (above.device, above.inode) {
                    return Err(Errno::STALE);
                }
                dir
            }
        };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{RenameFlags, mkdirat, renameat_with};

    const DEPTH: usize = 3000;

    #[test]
    fn a_deep_tree_takes_few_descriptors() {
        let home = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let open = |path: &std::path::Path| OwnedFd::from(std::fs::File::open(path).unwrap());
        let mut trail = Trail::new(open(home.path()));
        for _ in 0..DEPTH {
            mkdirat(trail.here(), c"d", Mode::RWXU).unwrap();
            assert!(trail.enter(OsStr::new("d")).unwrap());
        }
        assert!(!trail.enter(OsStr::new("none")).unwrap());
        assert_eq!(trail.above.iter().filter(|above| above.dir.is_some()).count(), MAX_OPEN);
        for _ in 0..DEPTH - MAX_OPEN {
            trail.leave().unwrap();
        }
        // What lies that deep is moved while we are in it.
        assert!(trail.enter(OsStr::new("d")).unwrap());
        let top = open(home.path());
        trail.leave().unwrap();
        let here = rustix::io::fcntl_dupfd_cloexec(trail.here(), 0).unwrap();
        assert!(trail.enter(OsStr::new("d")).unwrap());
        renameat_with(&here, c"d", &top, c"moved", RenameFlags::NOREPLACE).unwrap();
        assert_eq!(trail.leave(), Err(Errno::STALE));
        super::super::remove::tree(top.as_fd(), OsStr::new("moved")).unwrap();
        super::super::remove::tree(top.as_fd(), OsStr::new("d")).unwrap();
    }
}
