//! Names: a resolver on the gateway's address, which knows the network's own names and asks the host's resolvers for others.
//!
//! ```text
//! container ── query ──> Resolver ── own name? ──> answer, never forwarded
//!                            │
//!                            └── asks the resolver that was best, the next one when that hesitates or fails, …
//!                                with a random id, from a socket of its own for each
//! ```
//!
//! Nothing in here has a socket, a clock or a source of chance: [`resolver::Resolver`] is told what arrived, what time it
//! is and what chance said, and says what is to be sent. Messages are those of RFC 1035, with EDNS (RFC 6891); what is
//! forwarded goes on as it came, but for its id, so that types nobody here has heard of work.

pub mod message;
pub mod name;
pub mod names;
pub mod resolv_conf;
pub mod resolver;
pub mod stream;

pub use message::{Malformed, Message};
pub use name::Name;
pub use names::Names;
pub use resolv_conf::{ResolvConf, Server};
pub use resolver::{Action, Client, Over, Resolver};
pub use stream::Stream;
