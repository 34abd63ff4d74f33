//! One pass over a layer: hash it, keep it, decompress it, unpack it.
//!
//! # Theory of operation
//! ```text
//! stream → [file `data`, digest of the packed bytes] → decompress → pipe → child in A: [diff id] → tree
//! ```
//! The parent's half costs about what decompressing costs, the child's half runs beside it. A stream that is not
//! packed is hashed once, by the child.
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
use ctr_core::limits;
use ctr_core::oci::media::Compression;

use crate::archive::Eager;
use crate::blob;
use crate::compression::{Peeked, Unpacked, detect};
use crate::layer::TREE;
use crate::session::{Session, Stage};
use crate::worker::{self, Worker, WorkerError};
use crate::{Store, StoreError};

/// How much is handed on at a time.
const PIECE: usize = 256 << 10;

/// A layer could not be taken in.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// The stream could not be read or decompressed.
    #[error("cannot read the layer")]
    Read(#[source] io::Error),
    /// Unpacking failed.
    #[error(transparent)]
    Worker(#[from] WorkerError),
    /// The store could not be written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It unpacks to more than any real layer of its size.
    #[error("the layer unpacks to more than {limit} times its size")]
    Bomb {
        /// The limit.
        limit: u64,
    },
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
        let peeked = Peeked::new(stream, 6).map_err(IngestError::Read)?;
        let packed = detect(peeked.start()) != Compression::None || algorithm != Algorithm::Sha256;
        let path = data.path().join(blob::DATA);
        let file = File::create_new(&path).map_err(|error| FileError::new("create", &path, error))?;
        let tee = Tee { inner: peeked, file, hasher: packed.then(|| Hasher::new(algorithm)), count: 0 };
        let mut layer = Unpacked::new(tee).map_err(IngestError::Read)?;
        let compression = layer.compression();
        let mut child = self.worker.unpack(&root)?;
        let fed = feed(&mut layer, &mut child);
        let unpacked = child.finish();
        // A child that gave up is why feeding it failed, and knows better.
        let (unpacked, ()) = match (unpacked, fed) {
            (Ok(unpacked), Ok(())) => (unpacked, ()),
            (Err(error), Ok(()) | Err(Fed::Write(_))) => return Err(error.into()),
            (_, Err(Fed::Read(error) | Fed::Write(error))) => return Err(IngestError::Read(error)),
            (_, Err(Fed::Bomb)) => return Err(IngestError::Bomb { limit: limits::LAYER_RATIO }),
        };
        let mut rest = layer.into_inner();
        io::copy(&mut rest, &mut io::sink()).map_err(IngestError::Read)?;
        let Tee { hasher, count: size, .. } = rest.into_inner();
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
fn make_root(path: &Path) -> Result<(), FileError> {
    std::fs::create_dir(path).map_err(|error| FileError::new("create the directory", path, error))?;
    let mode = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(path, mode).map_err(|error| FileError::new("set the mode of", path, error))
}

enum Fed {
    Read(io::Error),
    Write(io::Error),
    Bomb,
}

fn feed<R: Read>(layer: &mut Unpacked<Tee<R>>, child: &mut impl Write) -> Result<(), Fed> {
    let mut buffer = vec![0; PIECE];
    let mut given = 0;
    loop {
        let size = match layer.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(size) => size,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(Fed::Read(error)),
        };
        given += size as u64;
        if given > limits::LAYER_RATIO_FREE && given / limits::LAYER_RATIO > layer.source().count {
            return Err(Fed::Bomb);
        }
        child.write_all(&buffer[..size]).map_err(Fed::Write)?;
    }
}

/// Keeps and hashes what passes.
struct Tee<R> {
    inner: R,
    file: File,
    hasher: Option<Hasher>,
    count: u64,
}

impl<R: Read> Read for Tee<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let size = self.inner.read(buffer)?;
        let bytes = &buffer[..size];
        self.file.write_all(bytes)?;
        if let Some(hasher) = &mut self.hasher {
            hasher.update(bytes);
        }
        self.count += size as u64;
        Ok(size)
    }
}
