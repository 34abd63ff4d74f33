//! Paths inside a view as a program in there would walk them.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path};

use rustix::fs::FileType;

use super::view::{Node, View, ViewError};

/// Links on one path, as the kernel has it.
const LINKS: u32 = 40;
/// Components that are still to be walked: links could go on adding to them.
const PARTS: usize = 1024;

impl View {
    /// Returns the object at `path`: links are followed, absolute ones from the top, where `..` ends too. None if there is
    /// none, or no end to its links.
    pub fn follow(&self, path: &Path) -> Result<Option<Node>, ViewError> {
        let mut links = 0;
        let mut todo = parts(path.as_os_str());
        let mut way = vec![self.top()?];
        while let Some(part) = todo.pop() {
            let Some(here) = way.last() else { return Ok(None) };
            if part == ".." {
                way.truncate(way.len().saturating_sub(1).max(1));
                continue;
            }
            if !here.stat.is_dir() {
                return Ok(None);
            }
            let Some(next) = self.child(here, &part)? else { return Ok(None) };
            if next.stat.kind != FileType::Symlink {
                way.push(next);
                continue;
            }
            links += 1;
            let text = self.read_link(&next)?;
            if text.as_bytes().starts_with(b"/") {
                way.truncate(1);
            }
            todo.extend(parts(&text));
            if links > LINKS || todo.len() > PARTS {
                return Ok(None);
            }
        }
        Ok(way.pop())
    }
}

/// The components of a path, the last one first.
fn parts(path: &OsStr) -> Vec<OsString> {
    let plain = |part: Component<'_>| match part {
        Component::Normal(_) | Component::ParentDir => Some(part.as_os_str().to_owned()),
        _ => None,
    };
    Path::new(path).components().rev().filter_map(plain).collect()
}

#[cfg(test)]
mod tests {
    use std::fs::{create_dir_all, write};
    use std::os::unix::fs::symlink;

    use ctr_core::rooted::Root;

    use super::*;

    #[test]
    fn links_stay_in_the_view_and_end() {
        let dir = tempfile::tempdir().unwrap();
        let (low, high) = (dir.path().join("low"), dir.path().join("high"));
        create_dir_all(low.join("usr/bin")).unwrap();
        create_dir_all(high.join("home")).unwrap();
        write(low.join("usr/bin/sh"), "").unwrap();
        symlink("usr/bin", high.join("bin")).unwrap();
        symlink("/../../bin/../bin", high.join("home/up")).unwrap();
        symlink("loop", high.join("loop")).unwrap();
        symlink("twice/twice", high.join("twice")).unwrap();
        symlink("/proc/self/root/etc", high.join("out")).unwrap();
        let view = View::of(vec![Root::open(&high).unwrap(), Root::open(&low).unwrap()]);
        for (path, found) in [
            ("", Some("")),
            ("/", Some("")),
            ("../..", Some("")),
            ("/bin/sh", Some("usr/bin/sh")),
            ("home/up/./sh", Some("usr/bin/sh")),
            ("home/up/..", Some("usr")),
            ("bin/sh/..", Some("usr/bin")),
            ("bin/sh/x", None),
            ("loop", None),
            ("twice", None),
            ("out", None),
            ("none/..", None),
        ] {
            let node = view.follow(Path::new(path)).unwrap();
            assert_eq!(node.as_ref().map(|node| node.path.as_path()), found.map(Path::new), "{path}");
        }
        let usr = view.follow(Path::new("/usr/bin")).unwrap().unwrap();
        assert!(view.few_children(&usr, 0).unwrap().is_none());
        assert_eq!(view.few_children(&usr, 1).unwrap().unwrap().len(), 1);
    }
}
