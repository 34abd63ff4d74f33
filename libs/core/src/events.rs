//! What happened to containers, images and volumes, for whoever asks later or watches now.
//!
//! # Layout
//! `DATA/events/events.log`: one line of JSON for each event, with the keys of podman's file. It lies with what
//! persists, so that neither a deleted run directory nor a boot takes the history away.
//!
//! # Theory of operation
//! [`Log::append`] is one `write` on a descriptor opened for appending, under a shared `flock` that only a rotation
//! holds alone. A log that has reached its limit is replaced by its newer half between two events that say so, as
//! podman does it: readers know what they have read already by its last line.
//!
//! # Invariants
//! Readers take no lock, and no writer waits for one. Nothing is flushed: an event is worth less than a wait for
//! the disk. A line that a full disk cut off harms only itself: the next writer begins on a line of its own.
//!
//! # Failure
//! A kill during a rotation leaves a temporary and the old log. A writer that meets a rotation which stands still
//! (its process was stopped) appends to the old log after a second; that event may be lost.

mod event;
mod filter;
mod log;
mod reader;
#[cfg(test)]
mod tests;

pub use event::{Event, Kind, Status};
pub use filter::{FilterError, Filters};
pub use log::Log;
pub use reader::{Reader, Unreadable};

/// Bytes after which a log is rotated, unless something else was asked for: podman's default.
pub const DEFAULT_LIMIT: u64 = 1_000_000;
