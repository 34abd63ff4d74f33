//! The OCI runtime: from a specification to a running process.
//!
//! ```text
//! spec ──plan::build──▶ plan ──launch──▶ ctr-init executes it ──exec──▶ the container's command
//! ```
//!
//! [`spec`] is the OCI configuration as types. [`plan`] turns it, purely, into a list of steps: the order that security
//! rests on is data that golden tests show. [`launch`] clones the first process and feeds it the plan; `ctr-init`, which
//! this library carries inside, executes it with [`ctr_sys::step`]. [`handshake`] is what the two say to each other.
#![forbid(unsafe_code)]

pub mod agent;
pub mod caps;
pub mod cgroup;
pub mod handshake;
pub mod join;
pub mod launch;
pub mod monitor;
pub mod plan;
pub mod seccomp;
pub mod spec;
