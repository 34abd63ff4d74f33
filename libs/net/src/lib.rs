//! The network of a container whose user has no rights on the host: a router namespace and the process that serves it.
//!
//! ```text
//! container ──veth── router namespace ── netd ── sockets on the host
//! ```
//!
//! The router's kernel ends the container's connections; `netd` decides each new one, makes it on the host, and moves
//! bytes. What it reads was written by a container's root, who may send any frame, so reading and deciding are apart
//! from sockets and can be tested alone: [`wire`] says what a frame is, [`policy`] whether it may become a flow, [`dns`]
//! what is said about a name, and [`publish`] which ports lead inside.
#![forbid(unsafe_code)]

pub mod address;
pub mod control;
pub mod counters;
pub mod dns;
pub mod host;
pub mod looking;
pub mod netd;
mod netlink;
mod outside;
pub mod policy;
pub mod publish;
mod router;
pub mod rung;
pub mod stack;
mod tap;
pub mod wire;

/// What reads the kernel's bytes and is nobody else's business, for the fuzz targets.
#[doc(hidden)]
pub mod foreign {
    pub use crate::netlink::answers;
    pub use crate::tap::Whole;
}
