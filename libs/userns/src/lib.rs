//! Which ids a user owns, and the user namespaces made of them.
//!
//! ```text
//! U   the user's own user namespace: the host's, or that of the CI container we run in
//! A   one per user and id map: the mapped ranges; only processes of ours run in it
//! B   one per container or pod: the container's own map, nested in A
//! ```
//!
//! [`ranges`] finds out what A may map, [`level_a`] makes or joins A and moves the calling process into it, and
//! [`level_b`] computes a container's map from `--userns` and its relatives. All of it is stated in [`map`]'s types.
#![forbid(unsafe_code)]

pub mod entry;
pub mod level_a;
pub mod level_b;
pub mod map;
pub mod ranges;
pub mod remedy;
