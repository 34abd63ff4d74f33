//! What directories get when nothing is created in them any more.
//!
//! One record a directory, in the order of the archive, so that the last entry of a name wins. A name is kept as
//! what it adds to the one before, since archives list a directory's subdirectories together: about twenty-five
//! bytes each.

use std::ffi::OsStr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use ctr_core::Foreign;
use ctr_core::rooted::{Root, Stat};
use rustix::fs::{Mode, OFlags, Timespec, Timestamps};
use rustix::io::Errno;

use super::error::ApplyError;
use super::xattr;
use crate::tar::Time;

/// Bytes of default ACLs that are remembered for the end; no layer known has any.
const ACLS: usize = 4 << 20;

/// What waits for a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Late {
    pub(super) modified: Time,
    pub(super) accessed: Option<Time>,
    /// The whole mode, if it has the set-group-id bit.
    pub(super) mode: Option<u32>,
}

/// The directories so far.
#[derive(Debug, Default)]
pub(super) struct Dirs {
    records: Vec<u8>,
    last: Vec<u8>,
    acls: Vec<(Vec<u8>, Vec<u8>)>,
    acl_bytes: usize,
}

impl Dirs {
    /// Remembers what the directory at `path` gets at the end.
    pub(super) fn push(&mut self, path: &[u8], late: Late) {
        let shared = path.iter().zip(&self.last).take_while(|(a, b)| a == b).count();
        let own = path.get(shared..).unwrap_or_default();
        put_length(&mut self.records, shared);
        put_length(&mut self.records, own.len());
        self.records.extend_from_slice(own);
        put_time(&mut self.records, late.modified);
        let flags = u8::from(late.accessed.is_some()) | u8::from(late.mode.is_some()) << 1;
        self.records.push(flags);
        if let Some(time) = late.accessed {
            put_time(&mut self.records, time);
        }
        if let Some(mode) = late.mode {
            self.records.extend_from_slice(&mode.to_le_bytes());
        }
        self.last.truncate(shared);
        self.last.extend_from_slice(own);
    }

    /// Remembers a default ACL.
    pub(super) fn push_acl(&mut self, path: &[u8], value: &[u8]) -> Result<(), ApplyError> {
        self.acl_bytes += path.len() + value.len();
        if self.acl_bytes > ACLS {
            let limit = u64::try_from(ACLS).unwrap_or(u64::MAX);
            return Err(ApplyError::Limit { what: "bytes of default ACLs", limit });
        }
        self.acls.push((path.to_vec(), value.to_vec()));
        Ok(())
    }

    /// Gives every directory what waits for it; returns the paths whose ACL was not taken.
    pub(super) fn finish(self, tree: &Root) -> Result<Vec<Vec<u8>>, ApplyError> {
        let mut refused = Vec::new();
        for (path, value) in &self.acls {
            let Some(dir) = open(tree, path)? else { continue };
            let set = xattr::set(dir.as_fd(), b"system.posix_acl_default", value);
            if !set.map_err(|errno| refused_at("set an attribute of", path, errno))? {
                refused.push(path.clone());
            }
        }
        for (path, late) in self.iter() {
            let Some(dir) = open(tree, &path)? else { continue };
            if let Some(mode) = late.mode {
                rustix::fs::fchmod(&dir, Mode::from_raw_mode(mode))
                    .map_err(|errno| refused_at("change the mode of", &path, errno))?;
            }
            rustix::fs::futimens(&dir, &late.times())
                .map_err(|errno| refused_at("set the times of", &path, errno))?;
        }
        Ok(refused)
    }

    fn iter(&self) -> Records<'_> {
        Records { rest: &self.records, path: Vec::new() }
    }
}

impl Late {
    fn times(&self) -> Timestamps {
        times(self.modified, self.accessed)
    }
}

/// Returns times in the kernel's form; an unknown or older access counts as made with the last change.
pub(super) fn times(modified: Time, accessed: Option<Time>) -> Timestamps {
    let spec = |time: Time| Timespec { tv_sec: time.seconds, tv_nsec: time.nanos.into() };
    let accessed = accessed.map_or(modified, |accessed| accessed.max(modified));
    Timestamps { last_access: spec(accessed), last_modification: spec(modified) }
}

/// Opens a directory that was made earlier; none if a later entry put something else in its place.
fn open(tree: &Root, path: &[u8]) -> Result<Option<OwnedFd>, ApplyError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW;
    let path = Path::new(OsStr::from_bytes(path));
    match tree.open_with(path, flags, Mode::empty()) {
        Ok(dir) => Ok(Some(dir)),
        Err(error) if error.is_missing() || error.errno() == Some(Errno::LOOP) => Ok(None),
        Err(source) => Err(ApplyError::Tree { path: Foreign::new(path.as_os_str().as_bytes()), source }),
    }
}

fn refused_at(verb: &'static str, path: &[u8], errno: Errno) -> ApplyError {
    ApplyError::Refused { verb, path: Foreign::new(path), errno }
}

/// Tells whether `path` still is the directory that it was when it was implied.
pub(super) fn is_same(tree: &Root, path: &[u8], inode: u64) -> Result<bool, ApplyError> {
    let Some(dir) = open(tree, path)? else { return Ok(false) };
    let stat = Stat::of(&dir).map_err(|errno| refused_at("stat", path, errno))?;
    Ok(stat.inode == inode)
}

fn put_length(out: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        out.push(low_bits(value) | 0x80);
        value >>= 7;
    }
    out.push(low_bits(value));
}

fn low_bits(value: usize) -> u8 {
    u8::try_from(value & 0x7f).unwrap_or(0)
}

fn put_time(out: &mut Vec<u8>, time: Time) {
    out.extend_from_slice(&time.seconds.to_le_bytes());
    out.extend_from_slice(&time.nanos.to_le_bytes());
}

struct Records<'a> {
    rest: &'a [u8],
    path: Vec<u8>,
}

impl Records<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.rest.split_first_chunk::<N>()?;
        self.rest = rest;
        Some(*head)
    }

    fn length(&mut self) -> Option<usize> {
        let (mut value, mut shift) = (0_usize, 0);
        loop {
            let [byte] = self.take()?;
            value |= usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
            shift += 7;
        }
    }

    fn time(&mut self) -> Option<Time> {
        let seconds = i64::from_le_bytes(self.take()?);
        Some(Time { seconds, nanos: u32::from_le_bytes(self.take()?) })
    }
}

impl Iterator for Records<'_> {
    type Item = (Vec<u8>, Late);

    fn next(&mut self) -> Option<Self::Item> {
        let shared = self.length()?;
        let own = self.length()?;
        let (name, rest) = self.rest.split_at_checked(own)?;
        self.rest = rest;
        self.path.truncate(shared);
        self.path.extend_from_slice(name);
        let modified = self.time()?;
        let [flags] = self.take()?;
        let accessed = if flags & 1 != 0 { Some(self.time()?) } else { None };
        let mode = if flags & 2 != 0 { Some(u32::from_le_bytes(self.take()?)) } else { None };
        Some((self.path.clone(), Late { modified, accessed, mode }))
    }
}

#[cfg(test)]
mod tests {
    use super::{Dirs, Late, Time};

    #[test]
    fn records_are_small_and_come_back() {
        let mut dirs = Dirs::default();
        let mut want = Vec::new();
        let long = "l".repeat(300);
        for (count, path) in
            ["", "usr", "usr/lib", "usr/lib/x86_64", "usr/share", "usr", &long].iter().enumerate()
        {
            let seconds = i64::try_from(count).unwrap() - 3;
            let late = Late {
                modified: Time { seconds, nanos: 999_999_999 },
                accessed: (count % 2 == 0).then_some(Time { seconds: 7, nanos: 0 }),
                mode: (count % 3 == 0).then_some(0o2755),
            };
            dirs.push(path.as_bytes(), late);
            want.push((path.as_bytes().to_vec(), late));
        }
        assert_eq!(dirs.iter().collect::<Vec<_>>(), want);
        let mut many = Dirs::default();
        for number in 0..10_000 {
            let late = Late { modified: Time::default(), accessed: None, mode: None };
            many.push(format!("usr/share/doc/package-{number:05}").as_bytes(), late);
        }
        assert!(many.records.len() < 20 * 10_000, "{}", many.records.len());
    }
}
