//! Pictures of directories, to compare before and after.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// What one file is: mode, owner, size and what it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Type and permission bits.
    pub mode: u32,
    /// Owner and group.
    pub owner: (u32, u32),
    /// Content of a file, target of a link.
    pub content: Vec<u8>,
}

/// Every file below a directory that can be read, links not followed.
#[must_use]
pub fn picture(root: &Path) -> BTreeMap<PathBuf, Facts> {
    let mut seen = BTreeMap::new();
    let mut todo = vec![root.to_path_buf()];
    while let Some(path) = todo.pop() {
        let Ok(meta) = std::fs::symlink_metadata(&path) else { continue };
        let content = if meta.is_symlink() {
            std::fs::read_link(&path)
                .map(|target| target.into_os_string().into_encoded_bytes())
                .unwrap_or_default()
        } else if meta.is_file() {
            std::fs::read(&path).unwrap_or_default()
        } else {
            Vec::new()
        };
        if meta.is_dir() {
            todo.extend(std::fs::read_dir(&path).into_iter().flatten().flatten().map(|entry| entry.path()));
        }
        let name = path.strip_prefix(root).expect("below the root").to_path_buf();
        seen.insert(name, Facts { mode: meta.mode(), owner: (meta.uid(), meta.gid()), content });
    }
    seen
}

/// The same of a store, but for its log of events: that tells of all that was tried.
#[must_use]
pub fn of_store(store: &Path) -> BTreeMap<PathBuf, Facts> {
    let mut seen = picture(store);
    seen.retain(|path, _| !path.starts_with("events"));
    seen
}
