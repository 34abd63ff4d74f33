//! Typed Linux calls that rustix lacks, and the steps on the way from a clone to a container's command.
//!
//! No standard library and no heap: what is in here also runs in `ctr-init`, and between a clone and an exec, where
//! neither may be touched. With `ctr-init` this is the only crate with unsafe code, and the only one that sees a raw
//! descriptor.
//!
//! [`step`] is the plan of a container's start as data, and what executes it; [`clone`] makes the process that does;
//! [`control`] is the socket they talk over, in [`packet`]s. [`monitor`] is what a launcher and `ctr-monitor` share.
#![no_std]

pub mod clone;
pub mod control;
pub mod cred;
pub mod decimal;
pub mod memory;
pub mod monitor;
pub mod mount;
pub mod net;
pub mod packet;
mod raw;
pub mod rooted;
pub mod signals;
pub mod step;
pub mod time;
pub mod userns;
