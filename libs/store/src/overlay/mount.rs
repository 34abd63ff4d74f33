//! One overlay, as a detached mount.
//!
//! Kernels from 6.8 take one layer after the other through the mount API. Older ones take a single string, at
//! most a page of it: there every layer is named by a descriptor (`/proc/self/fd/N`), and what still does not
//! fit is merged by a read-only overlay of its own at the bottom.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, OpenTreeFlags, UnmountFlags};

/// The longest string one option of the mount API takes, without its end.
const MAX_STRING: usize = 255;
/// The longest string of options mount(2) takes, with room for the options that are not layers.
const MAX_OPTIONS: usize = 4096 - 256;

/// Where a container's changes go.
#[derive(Debug, Clone, Copy)]
pub struct Upper<'a> {
    /// The directory that takes them. Its attributes are those of the root.
    pub dir: &'a Path,
    /// A directory of overlayfs's own on the same file system, empty.
    pub work: &'a Path,
    /// Nothing needs to survive a power cut: unmounting flushes nothing.
    pub volatile: bool,
}

/// Trees to be merged.
#[derive(Debug, Clone)]
pub struct Stack<'a> {
    /// The trees of the layers, the topmost first.
    pub lower: Vec<&'a Path>,
    /// Trees that only hold contents for metadata-only clones among the others, the topmost first.
    pub data: Vec<&'a Path>,
    /// Where changes go; without it the mount is read-only.
    pub upper: Option<Upper<'a>>,
    /// A directory that is always empty, made if it is missing. Overlayfs merges at least two, and older kernels
    /// need a place to mount at.
    pub empty: &'a Path,
}

/// An overlay could not be mounted.
#[derive(Debug, thiserror::Error)]
#[error("cannot mount the overlay{}", said(detail))]
pub struct MountError {
    /// What the kernel added in words.
    pub detail: Option<String>,
    /// Why.
    #[source]
    pub errno: Errno,
}

fn said(detail: &Option<String>) -> String {
    detail.as_ref().map(|text| format!(": {text}")).unwrap_or_default()
}

impl From<Errno> for MountError {
    fn from(errno: Errno) -> Self {
        Self { detail: None, errno }
    }
}

impl MountError {
    /// Tells whether the kernel or a file system lacks something, so that a copy would do instead. A missing
    /// layer, a full disk or too many mounts are other matters.
    #[must_use]
    pub fn is_unsupported(&self) -> bool {
        matches!(
            self.errno,
            Errno::PERM
                | Errno::ACCESS
                | Errno::NODEV
                | Errno::INVAL
                | Errno::OPNOTSUPP
                | Errno::NOSYS
                | Errno::REMOTE
                | Errno::NXIO
                | Errno::LOOP
        )
    }
}

/// Mounts an overlay, attached nowhere.
pub fn mount(stack: &Stack<'_>) -> Result<OwnedFd, MountError> {
    let padded = with_two_layers(stack)?;
    let stack = padded.as_ref().unwrap_or(stack);
    match by_mount_api(stack) {
        Err(Lacking::Call) => by_options(stack),
        Err(Lacking::Nothing(error)) => Err(error),
        Ok(mount) => Ok(mount),
    }
}

/// Takes away the mark by which overlayfs would know a volatile upper directory again, and refuse it; the mount does not
/// look at it any more. It is three objects in each other, which cost as much to remove as all else of a container that
/// wrote nothing: better while its command runs than while somebody waits for the end.
pub fn forget_mark(work: &Path) -> Result<(), Errno> {
    let mark = work.join("work/incompat/volatile");
    let inside_out = [
        (mark.join("dirty"), AtFlags::empty()),
        (mark, AtFlags::REMOVEDIR),
        (work.join("work/incompat"), AtFlags::REMOVEDIR),
    ];
    for (path, flags) in inside_out {
        match rustix::fs::unlinkat(CWD, &path, flags) {
            // There is none without a work directory, and a later kernel may add to it.
            Ok(()) | Err(Errno::NOENT | Errno::NOTEMPTY) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// Overlayfs refuses a single read-only layer: it gets an empty one under it.
fn with_two_layers<'a>(stack: &Stack<'a>) -> Result<Option<Stack<'a>>, Errno> {
    if stack.upper.is_some() || stack.lower.len() + stack.data.len() > 1 {
        return Ok(None);
    }
    make_empty(stack.empty)?;
    let mut padded = stack.clone();
    padded.lower.push(stack.empty);
    Ok(Some(padded))
}

fn make_empty(path: &Path) -> Result<(), Errno> {
    match rustix::fs::mkdirat(CWD, path, Mode::from_raw_mode(0o755)) {
        Err(Errno::EXIST) => Ok(()),
        other => other,
    }
}

/// Why the mount API did not give a mount.
enum Lacking {
    /// The kernel has not got it, or not the option for one layer after the other.
    Call,
    /// It has, and refuses.
    Nothing(MountError),
}

fn by_mount_api(stack: &Stack<'_>) -> Result<OwnedFd, Lacking> {
    let context = match rustix::mount::fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC) {
        Err(Errno::NOSYS) => return Err(Lacking::Call),
        other => other.map_err(|errno| Lacking::Nothing(errno.into()))?,
    };
    let failed = |errno| Lacking::Nothing(MountError { detail: words(&context), errno });
    // Handles stay open until the mount is made: their numbers are its paths.
    let mut handles = Vec::new();
    let mut first = true;
    for (option, paths) in [("lowerdir+", &stack.lower), ("datadir+", &stack.data)] {
        for path in paths {
            let name = named(path, &mut handles).map_err(failed)?;
            match rustix::mount::fsconfig_set_string(&context, option, name) {
                Err(Errno::INVAL) if first && knows_no(&context, option) => return Err(Lacking::Call),
                other => other.map_err(failed)?,
            }
            first = false;
        }
    }
    if let Some(upper) = &stack.upper {
        for (option, path) in [("upperdir", upper.dir), ("workdir", upper.work)] {
            let name = named(path, &mut handles).map_err(failed)?;
            rustix::mount::fsconfig_set_string(&context, option, name).map_err(failed)?;
        }
        if upper.volatile {
            rustix::mount::fsconfig_set_flag(&context, "volatile").map_err(failed)?;
        }
    }
    rustix::mount::fsconfig_set_flag(&context, "userxattr").map_err(failed)?;
    rustix::mount::fsconfig_set_string(&context, "source", "overlay").map_err(failed)?;
    rustix::mount::fsconfig_create(&context).map_err(failed)?;
    rustix::mount::fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty()).map_err(failed)
}

/// Returns a name for a path that fits and needs no escapes: the path, or that of a handle on it.
fn named(path: &Path, handles: &mut Vec<OwnedFd>) -> Result<OsString, Errno> {
    let bytes = path.as_os_str().as_bytes();
    let plain = !bytes.iter().any(|byte| matches!(byte, b':' | b',' | b'\\' | b'"' | b'\n'));
    if plain && bytes.len() <= MAX_STRING {
        return Ok(path.into());
    }
    by_handle(path, handles)
}

fn by_handle(path: &Path, handles: &mut Vec<OwnedFd>) -> Result<OsString, Errno> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let handle = rustix::fs::openat(CWD, path, flags, Mode::empty())?;
    let mut name = OsString::from("/proc/self/fd/");
    name.push(rustix::path::DecInt::from_fd(&handle).as_ref());
    handles.push(handle);
    Ok(name)
}

/// Returns what the kernel says in words about the last failure.
fn words(context: &OwnedFd) -> Option<String> {
    let mut text = [0; 512];
    let count = rustix::io::read(context, &mut text).ok()?;
    let text = String::from_utf8_lossy(text.get(..count)?).into_owned();
    // "e overlay: …": an error, a warning or a note.
    let text = text.get(2..).unwrap_or_default().trim();
    (!text.is_empty()).then(|| text.trim_start_matches("overlay: ").to_owned())
}

/// Tells whether the kernel's complaint was about the option itself.
fn knows_no(context: &OwnedFd, option: &str) -> bool {
    words(context).is_none_or(|text| text.contains("Unknown parameter") && text.contains(option))
}

/// Mounts with one string of options, as kernels before 6.8 want it.
pub(super) fn by_options(stack: &Stack<'_>) -> Result<OwnedFd, MountError> {
    if !stack.data.is_empty() {
        // Data-only layers came after the calls that are lacking here.
        return Err(Errno::OPNOTSUPP.into());
    }
    make_empty(stack.empty)?;
    let mut handles = Vec::new();
    let mut names = Vec::new();
    for path in &stack.lower {
        names.push(by_handle(path, &mut handles)?);
    }
    // The bottom that does not fit becomes one layer.
    let mut bottom = None;
    while length(&names) > MAX_OPTIONS {
        let keep = fitting(&names);
        let rest = names.split_off(keep);
        if bottom.is_some() || length(&rest) > MAX_OPTIONS {
            return Err(Errno::TOOBIG.into());
        }
        let merged = attach(stack.empty, &[lowers(&rest), "userxattr".into()])?;
        let mut name = OsString::from("/proc/self/fd/");
        name.push(rustix::path::DecInt::from_fd(merged.fd.as_fd()).as_ref());
        names.push(name);
        bottom = Some(merged);
    }
    let mut options = vec![lowers(&names), "userxattr".into()];
    if let Some(upper) = &stack.upper {
        for (option, path) in [("upperdir=", upper.dir), ("workdir=", upper.work)] {
            let mut text = OsString::from(option);
            text.push(by_handle(path, &mut handles)?);
            options.push(text);
        }
        if upper.volatile {
            options.push("volatile".into());
        }
    }
    let top = attach(stack.empty, &options)?.detach();
    // Mounted under the top one, and unmounted after it.
    drop(bottom);
    top
}

fn lowers(names: &[OsString]) -> OsString {
    let mut text = OsString::from("lowerdir=");
    text.push(names.join(OsStr::new(":")));
    text
}

fn length(names: &[OsString]) -> usize {
    names.iter().map(|name| name.len() + 1).sum()
}

/// How many names from the top fit, with one more for the rest.
fn fitting(names: &[OsString]) -> usize {
    let mut left = MAX_OPTIONS - 32;
    names
        .iter()
        .take_while(|name| {
            left.checked_sub(name.len() + 1).is_some_and(|rest| {
                left = rest;
                true
            })
        })
        .count()
}

/// An overlay that is mounted somewhere in our namespace until it is detached or dropped.
struct Attached<'p> {
    at: &'p Path,
    fd: OwnedFd,
}

impl Attached<'_> {
    /// Takes a copy of the mount that is attached nowhere.
    fn detach(self) -> Result<OwnedFd, MountError> {
        let flags =
            OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
        Ok(rustix::mount::open_tree(&self.fd, c"", flags)?)
    }
}

impl Drop for Attached<'_> {
    fn drop(&mut self) {
        // It is in our own mount namespace, which ends with us at the latest.
        rustix::mount::unmount(self.at, UnmountFlags::DETACH).ok();
    }
}

fn attach<'p>(at: &'p Path, options: &[OsString]) -> Result<Attached<'p>, MountError> {
    let options = std::ffi::CString::new(options.join(OsStr::new(",")).into_vec())
        .map_err(|_nul| MountError::from(Errno::INVAL))?;
    rustix::mount::mount("overlay", at, "overlay", MountFlags::empty(), Some(options.as_c_str()))?;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let opened = rustix::fs::openat(CWD, at, flags, Mode::empty());
    match opened {
        Ok(fd) => Ok(Attached { at, fd }),
        Err(errno) => {
            rustix::mount::unmount(at, UnmountFlags::DETACH).ok();
            Err(errno.into())
        }
    }
}

/// Returns a detached mount of the directory `path` alone.
pub(super) fn bind(path: &Path) -> Result<OwnedFd, Errno> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    rustix::mount::open_tree(CWD, path, flags)
}

/// Attaches a detached mount at `path`, for looking at it.
#[cfg(test)]
pub(super) fn attach_at(mount: &OwnedFd, path: &Path) -> Result<(), Errno> {
    rustix::mount::move_mount(mount, "", CWD, path, rustix::mount::MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
}
