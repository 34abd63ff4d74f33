//! Sizes and times as people read them, in the very words of the Go libraries that podman prints with.

pub mod ago;
mod layout;
pub mod size;
pub mod time;
