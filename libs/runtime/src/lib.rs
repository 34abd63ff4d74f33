//! `runtime`.
#![forbid(unsafe_code)]

pub mod caps;
pub mod seccomp;
pub mod spec;
