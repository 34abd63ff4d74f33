//! Decompressing, hashing and unpacking a layer, each in a thread of its own.
//!
//! # Theory of operation
//! ```text
//! stream → decompress ──pieces──▶ hash ──pieces──▶ tar → tree
//!              ▲                                    │
//!              └──────────── emptied ───────────────┘
//! ```
//! A fixed number of pieces goes round, so that memory is bounded and the fastest waits for the slowest. With two
//! processors the whole takes about half of the sum, with three as long as decompressing alone.
//!
//! # Failure
//! Whoever fails drops its ends, and its neighbours stop. The first cause in the order of the stages is reported: an
//! error at the very end of the packed stream may come when the tree is complete, and must not be overlooked.

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::ScopedJoinHandle;

use ctr_core::digest::Hasher;
use ctr_core::rooted::Root;
use ctr_core::{Digest, limits};

use super::job::Unpacked;
use crate::apply::{self, ApplyError};
use crate::compression::{self, fill};

/// How much is handed on at a time: large enough that waking a thread does not matter, small enough for its cache.
const PIECE: usize = 256 << 10;
/// How many pieces go round.
const PIECES: usize = 8;

/// A layer could not be unpacked.
#[derive(Debug, thiserror::Error)]
pub(super) enum LayerError {
    /// The stream could not be read or decompressed.
    #[error("cannot read the layer")]
    Read(#[from] io::Error),
    /// It unpacks to more than any real layer of its size.
    #[error("the layer unpacks to more than {limit} times its size")]
    Bomb {
        /// The limit.
        limit: u64,
    },
    /// What is in it was not taken.
    #[error(transparent)]
    Apply(#[from] ApplyError),
}

/// How much may come of how little.
#[derive(Debug, Clone, Copy)]
struct Ratio {
    /// Unpacked bytes for each packed one.
    limit: u64,
    /// Unpacked bytes that nobody counts.
    free: u64,
}

const RATIO: Ratio = Ratio { limit: limits::LAYER_RATIO, free: limits::LAYER_RATIO_FREE };

/// Unpacks a layer, packed however, into an empty tree; reads the stream to its end.
pub(super) fn unpack(
    stream: impl Read + Send,
    tree: &Root,
    options: &apply::Options,
) -> Result<Unpacked, LayerError> {
    std::thread::scope(|scope| {
        let (emptied, empty) = sync_channel(PIECES);
        let (fill, filled) = sync_channel(PIECES);
        let (hashed, ready) = sync_channel(PIECES);
        for _ in 0..PIECES {
            // All of them are there already, so none of these waits.
            drop(emptied.send(Vec::new()));
        }
        let decompress = scope.spawn(move || decompress(stream, &empty, &fill, RATIO));
        let hash = scope.spawn(move || hash(&filled, &hashed));
        let applied = apply::layer(Pieces { ready, emptied, piece: Vec::new(), taken: 0 }, tree, options);
        // The tar reader is gone with its ends: a stage that still runs meets a closed one.
        let (diff_id, length) = joined(hash);
        joined(decompress)?;
        Ok(Unpacked { diff_id, length, applied: applied? })
    })
}

fn joined<T>(thread: ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Fills pieces until the stream ends, or nobody takes them any more.
fn decompress(
    stream: impl Read,
    empty: &Receiver<Vec<u8>>,
    filled: &SyncSender<Vec<u8>>,
    ratio: Ratio,
) -> Result<(), LayerError> {
    let mut layer = compression::Unpacked::new(Counted { stream, count: 0 })?;
    let mut given = 0;
    while let Ok(mut piece) = empty.recv() {
        piece.resize(PIECE, 0);
        let size = fill(&mut layer, &mut piece)?;
        piece.truncate(size);
        given += size as u64;
        if given > ratio.free && given / ratio.limit > layer.source().count {
            return Err(LayerError::Bomb { limit: ratio.limit });
        }
        if size == 0 {
            // Something may follow the packing: it belongs to the blob, and its writer is not to be cut off.
            io::copy(&mut layer.into_inner().into_inner().stream, &mut io::sink())?;
            return Ok(());
        }
        if filled.send(piece).is_err() {
            break;
        }
    }
    Ok(())
}

/// Hashes pieces and hands them on.
fn hash(filled: &Receiver<Vec<u8>>, hashed: &SyncSender<Vec<u8>>) -> (Digest, u64) {
    let mut hasher = Hasher::sha256();
    let mut length = 0;
    for piece in filled {
        hasher.update(&piece);
        length += piece.len() as u64;
        if hashed.send(piece).is_err() {
            break;
        }
    }
    (hasher.finish(), length)
}

/// The stream of what was hashed.
struct Pieces {
    ready: Receiver<Vec<u8>>,
    emptied: SyncSender<Vec<u8>>,
    piece: Vec<u8>,
    taken: usize,
}

impl Read for Pieces {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.taken == self.piece.len() {
            if self.taken > 0 {
                // Where nobody decompresses any more, nobody wants it back.
                drop(self.emptied.send(std::mem::take(&mut self.piece)));
                self.taken = 0;
            }
            let Ok(piece) = self.ready.recv() else { return Ok(0) };
            self.piece = piece;
        }
        let rest = &self.piece[self.taken..];
        let size = rest.len().min(into.len());
        into[..size].copy_from_slice(&rest[..size]);
        self.taken += size;
        Ok(size)
    }
}

/// Counts what was read.
struct Counted<R> {
    stream: R,
    count: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let size = self.stream.read(into)?;
        self.count += size as u64;
        Ok(size)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::testing::{Item, archive, dir, file, in_a};

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    /// Unpacks into a directory that is given to `look`.
    fn unpacked<T>(
        stream: &[u8],
        look: impl FnOnce(&std::path::Path, Result<Unpacked, LayerError>) -> T,
    ) -> T {
        let place = tempfile::tempdir().unwrap();
        let tree = Root::open(place.path()).unwrap();
        look(place.path(), unpack(stream, &tree, &apply::Options::default()))
    }

    /// Many pieces, no two of them alike.
    fn large() -> (String, Vec<Item>) {
        let text: String = (0..300_000).map(|number| format!("{number:09}\n")).collect();
        let items = vec![dir("a", 0o755), file("a/large", &text), file("a/small", "small")];
        (text, items)
    }

    in_a! {
        fn userns_what_is_unpacked_is_what_was_hashed() {
            let (text, items) = large();
            let plain = archive(&items);
            let zstd = zstd::encode_all(&plain[..], 1).unwrap();
            for packed in [plain.clone(), gzip(&plain), zstd] {
                let mut stream = io::Cursor::new(packed);
                let place = tempfile::tempdir().unwrap();
                let tree = Root::open(place.path()).unwrap();
                let done = unpack(&mut stream, &tree, &apply::Options::default()).unwrap();
                assert_eq!(stream.position(), stream.get_ref().len() as u64);
                assert_eq!((done.diff_id, done.length), (Digest::of(&plain), plain.len() as u64));
                assert!(std::fs::read_to_string(place.path().join("a/large")).unwrap() == text);
            }
        }

        fn userns_an_error_behind_the_last_entry_is_not_overlooked() {
            let mut packed = gzip(&archive(&large().1));
            let checksum = packed.len() - 8;
            packed[checksum] ^= 1;
            unpacked(&packed, |place, done| {
                assert!(matches!(done, Err(LayerError::Read(_))), "{done:?}");
                assert!(place.join("a/large").exists());
            });
        }

        fn userns_whoever_fails_stops_the_others() {
            let (_, mut items) = large();
            items.insert(0, file("../a", "text"));
            unpacked(&gzip(&archive(&items)), |_, done| {
                assert!(matches!(done, Err(LayerError::Apply(ApplyError::Unsafe { .. }))), "{done:?}");
            });
            let broken = gzip(&archive(&large().1));
            unpacked(&broken[..broken.len() / 2], |_, done| {
                assert!(matches!(done, Err(LayerError::Read(_))), "{done:?}");
            });
        }
    }

    #[test]
    fn more_than_any_layer_unpacks_to_is_refused() {
        let decompressed = |text: &[u8], ratio| {
            let packed = gzip(text);
            let (emptied, empty) = sync_channel(PIECES);
            let (filled, full) = sync_channel(PIECES);
            for _ in 0..PIECES {
                emptied.send(Vec::new()).unwrap();
            }
            let done = decompress(&packed[..], &empty, &filled, ratio);
            drop(filled);
            (done, full.iter().map(|piece| piece.len()).sum::<usize>())
        };
        let zeros = vec![0; 4 * PIECE];
        let (done, given) = decompressed(&zeros, Ratio { limit: 50, free: 2 * PIECE as u64 });
        assert!(matches!(done, Err(LayerError::Bomb { limit: 50 })), "{done:?}");
        assert_eq!(given, 2 * PIECE);
        let (done, given) = decompressed(&zeros, Ratio { limit: 50, free: 4 * PIECE as u64 });
        assert!(done.is_ok() && given == zeros.len(), "{done:?}");
        let (done, given) = decompressed(&zeros, Ratio { limit: 2000, free: 0 });
        assert!(done.is_ok() && given == zeros.len(), "{done:?}");
    }
}
