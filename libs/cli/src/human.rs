//! Sizes and times as people read them, in the very words of the Go libraries that podman prints with.

pub mod ago;
pub mod size;

pub use ctr_core::time;
