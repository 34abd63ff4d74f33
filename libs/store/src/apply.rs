//! Unpacks one layer into a tree of its own.
//!
//! A layer is an archive made by anybody. What comes of it is a directory tree that overlayfs can stack: owners,
//! modes, times and attributes exact, deletions as whiteouts. The layers below are not looked at, and nothing of
//! the archive is run or followed out of the tree.
//!
//! # Theory of operation
//! Entries are taken in the order of the archive, the last one of a name wins. Each name is cut into plain
//! components first ([`name`]), its parent is opened through the rooted handle and kept while neighbours follow,
//! and everything happens in that one directory: files are created with `O_EXCL | O_NOFOLLOW`, what stands in
//! the way is removed, links are made and never followed. Times, set-group-id bits and default ACLs of
//! directories wait until the end, because entries inside would change or inherit them ([`dirs`]).
//!
//! ```text
//! .wh.NAME        → NAME, a character device 0:0, or on file systems without an attribute on an empty file
//! .wh..wh..opq    → user.overlay.opaque=y on the directory; for the top of the layer, Applied::opaque_root
//! x/y without x/  → x, root's, 0755, and in Applied::implied: when an image is assembled, a layer below that
//!                   has x decides about its owner, mode and times
//! no ./           → the same of the top, which is 0555, as podman has it
//! device nodes    → skipped as podman does in a user namespace, and counted
//! xattrs          → user.*, ACLs and security.capability kept; trusted.*, other security.*, and above all
//!                   user.overlay.*, by which a layer could point at files it does not have, dropped
//! ```
//!
//! # Invariants
//! - The tree belongs to us alone until it is published, and every access goes through a rooted handle anyway.
//! - Memory does not grow with the number of files; some twenty bytes a directory are kept for its times.
//!
//! # Process context
//! A child that lives in A, as its root: the kernel translates owners by A's map, and refuses ids outside it.
//!
//! # Failure
//! The tree is left half made; it is garbage until its owner publishes it.
//!
//! # References
//! OCI image-spec, layer.md; CVE-2020-10696, CVE-2021-32760, CVE-2024-9676, CVE-2026-17106, CVE-2026-42574,
//! CVE-2026-50163.

mod dirs;
mod error;
pub(crate) mod name;
pub(crate) mod owner;
mod parent;
mod path;
mod unpack;
pub(crate) mod xattr;

#[cfg(test)]
mod tests;

use std::io::Read;

use ctr_core::limits;
use ctr_core::rooted::Root;
use serde::{Deserialize, Serialize};

use crate::tar;

pub use error::{ApplyError, IdKind};
pub use path::LayerPath;

/// What one layer may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Entries, and directories that they imply.
    pub entries: u64,
    /// Bytes of the stream. What it may be for a blob of its size is for whoever decompresses it to watch.
    pub bytes: u64,
    /// Bytes of the names of implied directories.
    pub implied: usize,
    /// Bytes of the extended attributes of one entry.
    pub xattrs: usize,
    /// What one entry may take of memory.
    pub tar: tar::Limits,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            entries: limits::LAYER_ENTRIES,
            bytes: limits::LAYER_BYTES,
            implied: limits::LAYER_IMPLIED,
            xattrs: limits::LAYER_XATTRS,
            tar: tar::Limits::default(),
        }
    }
}

/// How to unpack.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// What the layer may cost.
    pub limits: Limits,
    /// It is no layer: names are names, whatever they begin with, and the tree may have contents already, whose
    /// directories stay as they are unless an entry says otherwise.
    pub plain: bool,
}

/// The mode of the root of every image, whatever its layers say: podman's.
pub(crate) const TOP_MODE: u32 = 0o555;

/// How many names of skipped things are remembered.
const NAMED: usize = 64;

/// What came of a layer. It belongs beside the tree: assembling an image needs it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Applied {
    /// Entries of the archive.
    pub entries: u64,
    /// Bytes of contents.
    pub bytes: u64,
    /// Length of the whole stream.
    pub stream: u64,
    /// Directories without an entry, by path; the empty path is the top of the layer.
    pub implied: Vec<LayerPath>,
    /// Nothing of the layers below this one is to be seen.
    pub opaque_root: bool,
    /// Device nodes that were left out, and the first of their names.
    pub devices: Skipped,
    /// Files and directories of which some extended attribute was left out.
    pub attributes: Skipped,
}

/// Things that were left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    /// How many.
    pub count: u64,
    /// The first of them.
    pub first: Vec<LayerPath>,
}

impl Skipped {
    fn add(&mut self, path: &[u8]) {
        self.count += 1;
        if self.first.len() < NAMED {
            self.first.push(LayerPath::new(path));
        }
    }
}

/// Unpacks the uncompressed layer `stream` into `tree`, an empty directory, and reads the stream to its end.
pub fn layer(stream: impl Read, tree: &Root, options: &Options) -> Result<Applied, ApplyError> {
    unpack::Unpack::new(tree, options)?.run(stream)
}

/// Unpacks `bytes` into `tree`, whatever they are: a body for a fuzzer.
#[doc(hidden)]
pub fn exercise(bytes: &[u8], tree: &Root) {
    let limits = Limits { entries: 2000, bytes: 1 << 20, ..Limits::default() };
    std::hint::black_box(layer(bytes, tree, &Options { limits, plain: false }).is_ok());
}
