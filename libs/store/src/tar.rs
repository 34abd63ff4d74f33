//! The archive format of layers and saved images: a streaming reader and a deterministic writer.
//!
//! The reader is our own because an archive is the most hostile thing the store is given: every number, name
//! and map in it is bounded before it is believed, and what is ambiguous is refused instead of guessed. It
//! reads ustar, V7, GNU (long names and links, base-256 numbers, sparse files) and PAX (sizes, ids, times with
//! fractions, names, extended attributes, GNU sparse 0.0, 0.1 and 1.0), and hands out contents as slices of
//! its one buffer.
//!
//! # Theory of operation
//! ```text
//! next()  → skips what is left of the last entry, collects its extended headers, returns the Header
//! chunk() → the next piece of the contents with its offset; holes of sparse files are simply not returned
//! next()  → … → None at the end mark or the end of the stream
//! finish()→ reads what follows the end mark to the end of the stream, for whoever hashes it
//! ```
//!
//! # Invariants
//! - Memory is one buffer and, per entry, what [`Limits`] allows.
//! - Where readers differ, it does as Go's `archive/tar`, which is what other container tools read with: the
//!   first end mark ends the archive, a link or directory has no contents whatever its size says, a GNU long
//!   name wins over a PAX path.
//!
//! # References
//! POSIX.1-2017 pax(1); the GNU tar manual, "Basic Tar Format" and "Storing Sparse Files"; CVE-2017-14992,
//! CVE-2026-17106.

mod error;
mod header;
mod number;
mod pax;
mod reader;
mod sparse;
mod writer;

#[cfg(test)]
mod tests;

pub use error::{Fault, TarError};
pub use header::{Header, Kind, Time};
pub use reader::{Chunk, Contents, Limits, Reader};
pub use writer::{WriteError, Writer};

/// The size of every header, and the unit contents are padded to.
const BLOCK: usize = 512;
/// The same, where sizes of archives are computed.
const BLOCK_BYTES: u64 = 512;

/// Reads a whole archive from `bytes`, contents included, and throws it away: a body for a fuzzer.
#[doc(hidden)]
pub fn exercise(bytes: &[u8]) {
    let mut reader = Reader::new(bytes, Limits::default());
    while let Ok(Some(_)) = reader.next() {
        while let Ok(Some(chunk)) = reader.chunk() {
            std::hint::black_box(chunk.bytes);
        }
    }
    std::hint::black_box(reader.finish().is_ok());
}
