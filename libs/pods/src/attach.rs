//! Attached to a container: a connection to its monitor, and the user's streams at the other end of it.
//!
//! # Theory of operation
//! ```text
//! stdin ─────────> input ─┐            ┌─> pipe or terminal of the container
//! stdout, stderr <─ output ┴─ socket ── monitor
//! signals ─────────────────────────────> init
//! ```
//! Whoever starts a container and stays makes a [`Connection::pair`] and hands one end to the monitor; whoever comes later
//! [opens](Connection::open) one. From there both are the same [`relay`].
//!
//! # Protocol
//! See [`ctr_sys::monitor`].
//!
//! # Failure
//! A connection that ends without a last word means that the monitor was killed, and the container with it
//! ([`Outcome::Lost`]).

use rustix::io::Errno;

mod connection;
mod keys;
mod print;
mod relay;

pub use connection::{ConnectError, Connection, Wants, kill_monitor};
pub use keys::{DetachKeys, KeysError, Matcher, Typed};
pub use relay::{RelayError, Rules, Signals, relay};

/// How it came to an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The container ended.
    Ended {
        /// With this exit code; 128 and the number for a signal.
        code: u8,
        /// Because of this signal, or 0.
        signal: u8,
    },
    /// The user typed the detach keys.
    Detached,
    /// The command could not be run, because of this.
    NotStarted(Errno),
    /// The monitor is gone, without a word.
    Lost,
    /// The monitor left us behind: we took output too slowly, and have not seen all of it.
    Overtaken,
}
