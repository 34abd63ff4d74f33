//! TCP in user space (RFC 9293): one end of a connection, for a container whose kernel's packets come by a TUN.
//!
//! ```text
//!             segment, time                       bytes of it that come next ──▶ the host's socket
//! container ─────────────────▶ [`Endpoint`] ────▶ how many have arrived      ──▶ are dropped from the host's socket
//!           ◀───────────────── headers      ◀──── how many there are         ◀── peeked at in the host's socket
//! ```
//! An endpoint has no socket, no clock, and no bytes. What it is to send it asks for by where that begins, counted from the first
//! byte that has not arrived ([`Span`]): whoever has the host's socket looks at the bytes there without taking them, so the
//! kernel keeps them until they have arrived, and sends them again from there. What comes is passed on at once, and only what is
//! in its place is taken: whatever is not comes again.
//!
//! - Retransmission by RFC 6298, fast retransmission and recovery by RFC 6582, windows that are scaled by RFC 7323.
//! - A reset or a first segment that could be a guess is answered, not believed (RFC 5961).
//! - No timestamps, no urgent data, and no selective acknowledgement: that mends what is lost within a window, and the wire between us and
//!   the container is inside of one machine. In the bench's runs, a million packets both ways with one and eight streams, the container's
//!   kernel counted none that was dropped, sent again, or out of its place. What a filter of the container's loses is sent again all the same.

mod endpoint;
mod receiving;
mod sending;
mod sequence;
#[cfg(test)]
mod tests;
mod timing;

pub use endpoint::{Endpoint, Opening, Phase, Received};
pub use sending::Span;
