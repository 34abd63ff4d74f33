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
//! is and what chance said, and says what is to be sent. What is forwarded goes on as it came, but for its id, so that types
//! nobody here has heard of work.

pub mod names;
pub mod resolver;
pub mod stream;

pub use ctr_core::dns::{Malformed, Message, Name, ResolvConf, Server, message, name, resolv_conf};
pub use names::Names;
pub use resolver::{Action, Client, Over, Resolver};
pub use stream::Stream;
