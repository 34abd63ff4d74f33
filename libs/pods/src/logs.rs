//! The logs of containers: what they wrote, read back.
//!
//! # Layout
//! The monitor of a container writes podman's `k8s-file`: a line is `TIME STREAM F BYTES`, or `P` for a piece of one that
//! goes on in the next record of its stream. The newest file has the log's name; `.1`, `.2`, … are older ones, renamed when
//! a file reached its limit. `NAME.gone` counts the bytes of files that are no more: eight bytes, the lowest first.
//!
//! # Theory of operation
//! [`Reader`] reads the files from the oldest to the newest in large blocks and hands out [`Entry`]s that lie in its block:
//! nothing is copied, and a record that does not fit into a block is damage, so memory is bounded whatever is in the file.
//! A follower has the files open that are still to come ([`Reader::discover`], called whenever the folder has news), so a
//! rotation takes nothing away from it. [`Watch`] waits for news of folders and for the end of monitors; nothing here looks
//! again after a while.
//!
//! # Invariants
//! Readers take no lock. A damaged record harms only itself, and is counted.
//!
//! # Failure
//! A file that went before it was opened is missed; how many bytes that was is known from `NAME.gone` where the monitor
//! could write it.

mod entry;
mod files;
mod reader;
mod tail;
#[cfg(test)]
mod tests;
mod watch;

pub use ctr_core::watch::Waited;
pub use entry::{Entry, Moment, Stream};
pub use reader::{Missed, Progress, Reader};
pub use watch::{Ended, Watch};
