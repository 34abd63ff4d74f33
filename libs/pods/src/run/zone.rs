//! The time zone of a container (`--tz`): a link to the image's own zone files, else the host's file, bound.
//!
//! Programs ask the link for the zone's name; and an image with zone files has its own rules of when clocks change.
//!
//! # Process context
//! In A, on the root's detached mount, which nobody else has: its contents are hostile, but nobody swaps them.

use std::path::{Path, PathBuf};

use ctr_core::file::{self, FileError};
use ctr_core::limits;
use ctr_core::rooted::{Root, TreeError};
use rustix::fs::FileType;
use rustix::io::Errno;

use super::RunError;
use crate::create::OwnFile;
use crate::mounts::Mount;
use crate::request::Request;
use crate::units::UnitError;

/// Where zones are kept, on hosts and in images.
const ZONES: &str = "/usr/share/zoneinfo";
/// Where programs look for theirs.
pub(super) const LOCALTIME: &str = "/etc/localtime";

/// Makes the link, or fills the file that is to be bound where the image has no such zone. Returns whether there is a
/// link, so that nothing is to be bound. `owner` is the container's root, in ids of A.
pub(super) fn settle(
    request: &Request,
    root: &Root,
    files: &[OwnFile],
    owner: (Option<u32>, Option<u32>),
) -> Result<bool, RunError> {
    let ours = files.iter().find(|file| file.target == LOCALTIME);
    let (Some(zone), Some(ours)) = (&request.timezone, ours) else { return Ok(false) };
    let path = path_of(zone);
    if let Some(path) = path.filter(|path| !is_hidden(path, &request.storage.mounts)) {
        if link(root, &path, owner)? {
            return Ok(true);
        }
        // A link of the image's names a zone, which would become another one if that were bound over it.
        if is_link(root)? {
            root.unlink(LOCALTIME)?;
        }
    }
    let path = if zone == "local" { LOCALTIME.into() } else { Path::new(ZONES).join(zone) };
    let content = match file::read(&path, limits::SYSTEM_FILE) {
        Err(error) if error.is_missing() => return Err(UnitError::Timezone(zone.to_owned()).into()),
        read => read?,
    };
    std::fs::write(&ours.source, content).map_err(|error| FileError::new("write", &ours.source, error))?;
    Ok(false)
}

/// Where the zone would be in an image: nothing if the host's own clock has no name.
fn path_of(zone: &str) -> Option<PathBuf> {
    if zone != "local" {
        return Some(Path::new(ZONES).join(zone));
    }
    std::fs::canonicalize(LOCALTIME).ok().filter(|path| path.starts_with(ZONES))
}

/// What is mounted hides the link, or what it leads to.
fn is_hidden(zone: &Path, mounts: &[Mount]) -> bool {
    mounts.iter().any(|mount| {
        let target = mount.target.as_str();
        Path::new("/etc").starts_with(target) || zone.starts_with(target)
    })
}

fn is_link(root: &Root) -> Result<bool, TreeError> {
    match root.lstat(LOCALTIME) {
        Ok(stat) => Ok(stat.kind == FileType::Symlink),
        Err(error) if error.is_missing() => Ok(false),
        Err(error) => Err(error),
    }
}

/// Makes the link, if the image has the zone and the link leads there: its `/etc` may be a link itself.
fn link(root: &Root, zone: &Path, owner: (Option<u32>, Option<u32>)) -> Result<bool, TreeError> {
    let is_file = |path: &Path| match root.stat(path) {
        Ok(stat) => Ok((stat.kind == FileType::RegularFile).then_some((stat.device, stat.inode))),
        Err(error) if error.is_missing() || error.errno() == Some(Errno::LOOP) => Ok(None),
        Err(error) => Err(error),
    };
    let Some(wanted) = is_file(zone)? else { return Ok(false) };
    if !root.exists("/etc")? {
        return Ok(false);
    }
    let text = Path::new("..").join(zone.strip_prefix("/").unwrap_or(zone));
    if is_link(root)? && root.read_link(LOCALTIME)? == text {
        return Ok(true);
    }
    match root.unlink(LOCALTIME) {
        Err(error) if !error.is_missing() => return Err(error),
        _ => {}
    }
    root.symlink(&text, LOCALTIME)?;
    root.set_owner(LOCALTIME, owner.0, owner.1)?;
    Ok(is_file(Path::new(LOCALTIME))? == Some(wanted))
}

#[cfg(test)]
mod tests {
    use std::fs::{create_dir_all, read_link, write};
    use std::os::unix::fs::symlink;

    use super::*;

    const ZONE: &str = "/usr/share/zoneinfo/Here/There";

    fn tree(prepare: impl FnOnce(&Path)) -> (tempfile::TempDir, Root) {
        let dir = tempfile::tempdir().unwrap();
        create_dir_all(dir.path().join("usr/share/zoneinfo/Here")).unwrap();
        prepare(dir.path());
        let root = Root::open(dir.path()).unwrap();
        (dir, root)
    }

    fn linked(root: &Root) -> bool {
        link(root, Path::new(ZONE), (None, None)).unwrap()
    }

    #[test]
    fn a_zone_of_the_image_is_linked_to_whatever_was_there() {
        for was in [None, Some(None), Some(Some("/usr/share/zoneinfo/Else")), Some(Some("../gone"))] {
            let (dir, root) = tree(|path| {
                write(path.join(&ZONE[1..]), "TZif").unwrap();
                create_dir_all(path.join("etc")).unwrap();
                match was {
                    None => {}
                    Some(None) => write(path.join("etc/localtime"), "of the image").unwrap(),
                    Some(Some(target)) => symlink(target, path.join("etc/localtime")).unwrap(),
                }
            });
            assert!(linked(&root), "{was:?}");
            let text = read_link(dir.path().join("etc/localtime")).unwrap();
            assert_eq!(text, Path::new("../usr/share/zoneinfo/Here/There"));
            assert!(linked(&root), "again");
        }
    }

    #[test]
    fn without_the_zone_nothing_is_linked() {
        for prepare in [
            |_: &Path| {},
            |path: &Path| create_dir_all(path.join(&ZONE[1..])).unwrap(),
            |path: &Path| symlink("There", path.join(&ZONE[1..])).unwrap(),
        ] {
            let (dir, root) = tree(|path| {
                create_dir_all(path.join("etc")).unwrap();
                prepare(path);
            });
            assert!(!linked(&root));
            assert!(!dir.path().join("etc/localtime").is_symlink());
        }
    }

    #[test]
    fn a_link_that_would_lead_elsewhere_does_not_count() {
        let outside = tempfile::tempdir().unwrap();
        let (dir, root) = tree(|path| {
            write(path.join(&ZONE[1..]), "TZif").unwrap();
            create_dir_all(path.join("system/etc")).unwrap();
            symlink("/system/etc", path.join("etc")).unwrap();
        });
        assert!(!linked(&root), "../usr is not there from /system/etc");
        assert!(is_link(&root).unwrap(), "{:?}", dir.path());
        // An /etc that leads out of the tree leads to a place in it.
        let (dir, root) = tree(|path| {
            write(path.join(&ZONE[1..]), "TZif").unwrap();
            symlink(outside.path(), path.join("etc")).unwrap();
        });
        assert!(root.unlink(LOCALTIME).is_err(), "{:?}", dir.path());
        assert!(link(&root, Path::new(ZONE), (None, None)).is_err());
        assert!(!outside.path().join("localtime").is_symlink());
    }
}
