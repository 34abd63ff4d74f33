//! One pass over a layer: hash it, keep it, decompress it, unpack it.
//!
//! # Theory of operation
//! ```text
//! stream → [file `data`, digest of the packed bytes] → pipe → child in A: decompress → [diff id] → tree
//! ```
//! What goes through the pipe is packed: decompressed it would be copied twice more. What the child does to it runs
//! beside this, in threads of its own ([`worker`]). A stream that is not packed is hashed once, by the child.
//!
//! # Failure
//! What was staged goes with the session.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use ctr_core::Digest;
use ctr_core::digest::{Algorithm, Hasher, Mismatch};
use ctr_core::file::FileError;
use ctr_core::oci::media::Compression;

use crate::archive::Eager;
use crate::blob;
use crate::compression::{Peeked, detect, fill};
use crate::layer::TREE;
use crate::session::{Session, Stage};
use crate::worker::{self, Worker, WorkerError};
use crate::{Store, StoreError};

/// How much is handed on at a time.
const PIECE: usize = 256 << 10;

/// A layer could not be taken in.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// The stream could not be read, or not be kept.
    #[error("cannot read the layer")]
    Read(#[source] io::Error),
    /// Unpacking failed.
    #[error(transparent)]
    Worker(#[from] WorkerError),
    /// The store could not be written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It is not the layer that was promised.
    #[error("the layer is not the one that was promised")]
    Digest(#[from] Mismatch),
}

impl From<FileError> for IngestError {
    fn from(error: FileError) -> Self {
        Self::Store(error.into())
    }
}

/// A layer that was taken in and is staged.
#[derive(Debug)]
pub struct Ingested {
    /// The digest of the bytes that came.
    pub blob: Digest,
    /// How many they were.
    pub size: u64,
    /// How they were packed.
    pub compression: Compression,
    /// What came of them.
    pub unpacked: worker::Unpacked,
    data: Stage,
    tree: Stage,
}

impl Ingested {
    /// Opens the bytes that came.
    pub fn open(&self) -> Result<File, FileError> {
        let path = self.data.path().join(blob::DATA);
        File::open(&path).map_err(|error| FileError::new("open", path, error))
    }

    /// Publishes the tree and the blob.
    pub fn publish(&self, session: &Session, worker: &Worker, source: &str) -> Result<(), StoreError> {
        let applied = serde_json::to_value(&self.unpacked.applied)
            .map_err(|error| crate::refs::damaged(self.tree.path().to_owned(), error))?;
        let bytes = self.unpacked.applied.bytes;
        session.publish_tree(&self.tree, &self.unpacked.diff_id, worker.key(), bytes, applied)?;
        session.publish_blob(&self.data, &self.blob, self.size, self.unpacked.diff_id, source)
    }
}

/// Takes layers into a session.
#[derive(Debug, Clone, Copy)]
pub struct Ingest<'a> {
    /// The session.
    pub session: &'a Session,
    /// The child that unpacks.
    pub worker: &'a Worker,
}

impl Ingest<'_> {
    /// Takes a layer; `algorithm` is that of the digest that its manifest has.
    pub fn layer(&self, stream: impl Read, algorithm: Algorithm) -> Result<Ingested, IngestError> {
        let (data, tree) = (self.session.stage()?, self.session.stage()?);
        let root = tree.path().join(TREE);
        make_root(&root)?;
        let stream = Peeked::new(stream, 6).map_err(IngestError::Read)?;
        let compression = detect(stream.start());
        let packed = compression != Compression::None || algorithm != Algorithm::Sha256;
        let path = data.path().join(blob::DATA);
        let file = File::create_new(&path).map_err(|error| FileError::new("create", &path, error))?;
        let mut kept = Kept { file, hasher: packed.then(|| Hasher::new(algorithm)), size: 0 };
        let mut child = self.worker.unpack(&root)?;
        let fed = feed(stream, &mut kept, &mut child);
        let unpacked = child.finish();
        // A child that gave up is why feeding it failed, and knows better.
        let unpacked = match (unpacked, fed) {
            (Ok(unpacked), Ok(())) => unpacked,
            (Err(error), Ok(()) | Err(Fed::Give(_))) => return Err(error.into()),
            (_, Err(Fed::Keep(error))) => return Err(FileError::new("write", path, error).into()),
            (_, Err(Fed::Read(error) | Fed::Give(error))) => return Err(IngestError::Read(error)),
        };
        let Kept { hasher, size, .. } = kept;
        let blob = hasher.map_or(unpacked.diff_id, Hasher::finish);
        Ok(Ingested { blob, size, compression, unpacked, data, tree })
    }

    /// Takes a layer whose digests are known, from a stream or from what an eager taker made of it already.
    pub fn promised(
        &self,
        stream: impl Read,
        blob: &Digest,
        diff_id: &Digest,
    ) -> Result<Ingested, IngestError> {
        let ingested = self.layer(stream, blob.algorithm())?;
        ingested.check(blob, diff_id)?;
        Ok(ingested)
    }

    /// Returns the store.
    #[must_use]
    pub const fn store(&self) -> &Store {
        self.session.store()
    }
}

impl Ingested {
    /// Checks both digests.
    pub fn check(&self, blob: &Digest, diff_id: &Digest) -> Result<(), IngestError> {
        blob.expect(self.blob)?;
        Ok(diff_id.expect(self.unpacked.diff_id)?)
    }
}

impl Eager for Ingest<'_> {
    fn take(&self, stream: &mut dyn Read) -> Result<Ingested, IngestError> {
        self.layer(stream, Algorithm::Sha256)
    }
}

/// Makes the top of a tree. What the layer says of it comes later; if nothing, this mode is right, whatever the user's
/// shell masks.
pub(crate) fn make_root(path: &Path) -> Result<(), FileError> {
    std::fs::create_dir(path).map_err(|error| FileError::new("create the directory", path, error))?;
    let mode = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(path, mode).map_err(|error| FileError::new("set the mode of", path, error))
}

/// What failed: the stream, the file it is kept in, or the child.
enum Fed {
    Read(io::Error),
    Keep(io::Error),
    Give(io::Error),
}

/// The packed bytes, kept and hashed.
struct Kept {
    file: File,
    hasher: Option<Hasher>,
    size: u64,
}

/// Whole pieces from the stream into the file and to the child.
fn feed(mut stream: impl Read, kept: &mut Kept, child: &mut impl Write) -> Result<(), Fed> {
    let mut piece = vec![0; PIECE];
    loop {
        let size = fill(&mut stream, &mut piece).map_err(Fed::Read)?;
        let bytes = &piece[..size];
        if bytes.is_empty() {
            return Ok(());
        }
        // The child first: it decompresses while this writes and hashes.
        child.write_all(bytes).map_err(Fed::Give)?;
        kept.file.write_all(bytes).map_err(Fed::Keep)?;
        if let Some(hasher) = &mut kept.hasher {
            hasher.update(bytes);
        }
        kept.size += size as u64;
    }
}
