//! The vocabulary that every other crate of `ctr` speaks.
//!
//! Digests, image references, platforms, views of OCI documents, identifiers, rooted and atomic files, locks,
//! the identity of a boot and of a process, times, the log of events, and the table of limits. Nothing in here prints, reads the
//! environment or ends the process.
#![forbid(unsafe_code)]

pub mod atomic;
pub mod boot;
pub mod causes;
pub mod config;
pub mod digest;
pub mod dns;
pub mod errno;
pub mod events;
pub mod file;
pub mod foreign;
pub mod id;
pub mod limits;
pub mod lock;
pub mod name;
pub mod oci;
pub mod paths;
pub mod platform;
pub mod process;
pub mod reference;
pub mod rooted;
pub mod time;
pub mod toml;
pub mod watch;

pub use digest::Digest;
pub use file::FileError;
pub use foreign::Foreign;
pub use platform::Platform;
pub use reference::Reference;
