//! Names of the network as they stand in messages and files: what a resolver of ours and a client of one both read.
//!
//! Nothing in here has a socket or a clock. Messages are those of RFC 1035, with EDNS (RFC 6891).

pub mod message;
pub mod name;
pub mod resolv_conf;

pub use message::{Malformed, Message};
pub use name::Name;
pub use resolv_conf::{ResolvConf, Server};
