//! The words that every other crate speaks, and the few ways in which it touches the disk.
#![forbid(unsafe_code)]

pub mod rooted;
