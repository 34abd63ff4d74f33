//! Stacking trees of layers into the root file system of a container.
//!
//! # Theory of operation
//! A layer's tree never changes once it is published. Overlayfs merges the trees of an image under one upper
//! directory, which takes all changes; it is mounted by us in A, and handed on as a detached mount ([`mount`]).
//! Where the kernel or the file system under the store will not have that, the merged view is copied instead,
//! by reference where the file system shares blocks ([`rootfs`]); each mount decides anew, no refusal is
//! remembered.
//!
//! ```text
//! once per image and map   attributes()   directories that a layer only implied get their attributes back
//!                          places()       what is mounted over every image gets a place
//! once per layer and map   clone()        the same tree with other owners, its contents shared
//! once per container       rootfs()       → a detached mount, and how it came about
//! while it runs            forget_mark()  what overlayfs left for the next mount, which there is not
//! at its end               discard()      upper and work directories, of which overlayfs locks one up
//! ```
//!
//! # Process context
//! A process in A, as its root, with a mount namespace of its own.
//!
//! # References
//! Linux: Documentation/filesystems/overlayfs.rst; fsopen 5.2, overlay in a user namespace 5.11, `lowerdir+`
//! 6.8, data-only layers with `userxattr` 6.16.

mod assemble;
mod clone;
mod copy;
mod discard;
mod follow;
pub mod mark;
mod mount;
mod places;
pub(crate) mod replicate;
mod rootfs;
mod view;

#[cfg(test)]
mod tests;

pub use assemble::{AssembleError, Assembly, Attributes, Layer, attributes};
pub use clone::{CloneError, Cloned, clone};
pub use copy::{Copied, CopyError, copy};
pub use discard::{DiscardError, discard};
pub use mount::{MountError, Stack, Upper, forget_mark, mount};
pub use places::places;
pub use rootfs::{How, Rootfs, RootfsError, rootfs};
pub use view::{Node, View, ViewError};
