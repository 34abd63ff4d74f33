//! One pass over a layer: hash it, keep it, decompress it, unpack it.
//!
//! # Theory of operation
//! ```text
//! stream → [file `data`, digest of the packed bytes] → pipe → child in A: decompress → [diff id] → tree
//! ```
//! What goes through the pipe is packed: decompressed it would be copied twice more. What the child does to it runs
//! beside this, in threads of its own ([`worker`]). A stream that is not packed is hashed once, by the child.
//!
//! Of a layer from far away `data` outlives the process ([`partial`](crate::partial)). What it holds is the beginning of the next
//! stream, which is asked for from there on: still one pass. A piece is written before the next one is read, so that
//! what is lost with the process is less than two pieces.
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
use crate::compression::{Peeked, detect, fill_as_far_as_it_goes};
use crate::layer::TREE;
use crate::partial::Partial;
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

impl IngestError {
    /// Whether it is about the bytes that came, and not about how they came or where they were to go.
    #[must_use]
    pub fn blames_content(&self) -> bool {
        match self {
            Self::Digest(_) => true,
            Self::Worker(WorkerError::Job(failure)) => failure.errno.is_none() && failure.unmapped.is_none(),
            _ => false,
        }
    }

    /// Whether nothing more can be written.
    #[must_use]
    pub fn lacks_room(&self) -> bool {
        match self {
            Self::Store(StoreError::File(error)) => error.lacks_room(),
            Self::Worker(WorkerError::Job(failure)) => failure.errno.is_some_and(|errno| {
                FileError::new("write", "", io::Error::from_raw_os_error(errno)).lacks_room()
            }),
            _ => false,
        }
    }
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
        let data = self.session.stage()?;
        let path = data.path().join(blob::DATA);
        let file = File::create_new(&path).map_err(|error| FileError::new("create", &path, error))?;
        self.take(stream, algorithm, &data, Kept::new(&file, 0))
    }

    /// Takes a layer of which something may be here already; `rest` opens it from a place on.
    pub fn rest<R: Read>(
        &self,
        partial: &Partial,
        rest: impl FnOnce(u64) -> io::Result<R>,
        (blob, size): (&Digest, u64),
        diff_id: &Digest,
    ) -> Result<Ingested, IngestError> {
        let (file, here) = (partial.open()?, partial.here());
        // Reading what is here leaves the file where the rest is to be written.
        let stream = (&file).take(here);
        let kept = Kept::new(&file, here);
        let ingested = if here == size {
            self.take(stream, blob.algorithm(), partial.stage(), kept)?
        } else {
            let rest = Late { open: Some(|| rest(here)), stream: None };
            self.take(stream.chain(rest), blob.algorithm(), partial.stage(), kept)?
        };
        ingested.check(blob, diff_id)?;
        Ok(ingested)
    }

    fn take(
        &self,
        stream: impl Read,
        algorithm: Algorithm,
        data: &Stage,
        mut kept: Kept<'_>,
    ) -> Result<Ingested, IngestError> {
        let tree = self.session.stage()?;
        let root = tree.path().join(TREE);
        make_root(&root)?;
        let stream = Peeked::new(stream, 6).map_err(IngestError::Read)?;
        let compression = detect(stream.start());
        let packed = compression != Compression::None || algorithm != Algorithm::Sha256;
        kept.hasher = packed.then(|| Hasher::new(algorithm));
        let mut child = self.worker.unpack(&root)?;
        let fed = feed(stream, &mut kept, &mut child);
        let unpacked = child.finish();
        // A child that gave up is why feeding it failed, and knows better.
        let unpacked = match (unpacked, fed) {
            (Ok(unpacked), Ok(())) => unpacked,
            (Err(error), Ok(()) | Err(Fed::Give(_))) => return Err(error.into()),
            (_, Err(Fed::Keep(error))) => {
                return Err(FileError::new("write", data.path().join(blob::DATA), error).into());
            }
            (_, Err(Fed::Read(error) | Fed::Give(error))) => return Err(IngestError::Read(error)),
        };
        let Kept { hasher, size, .. } = kept;
        let blob = hasher.map_or(unpacked.diff_id, Hasher::finish);
        Ok(Ingested { blob, size, compression, unpacked, data: Stage::at(data.path().to_owned()), tree })
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
struct Kept<'a> {
    file: &'a File,
    /// How many of them are in the file already.
    here: u64,
    hasher: Option<Hasher>,
    size: u64,
}

impl<'a> Kept<'a> {
    const fn new(file: &'a File, here: u64) -> Self {
        Self { file, here, hasher: None, size: 0 }
    }

    fn add(&mut self, bytes: &[u8]) -> io::Result<()> {
        let here = usize::try_from(self.here.saturating_sub(self.size)).unwrap_or(usize::MAX);
        self.file.write_all(bytes.get(here..).unwrap_or_default())?;
        if let Some(hasher) = &mut self.hasher {
            hasher.update(bytes);
        }
        self.size += bytes.len() as u64;
        Ok(())
    }
}

/// A stream that is opened when it is first read: what comes before it may take long.
struct Late<R, F> {
    open: Option<F>,
    stream: Option<R>,
}

impl<R: Read, F: FnOnce() -> io::Result<R>> Read for Late<R, F> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if let Some(open) = self.open.take() {
            self.stream = Some(open()?);
        }
        self.stream.as_mut().map_or(Ok(0), |stream| stream.read(into))
    }
}

/// Whole pieces from the stream into the file and to the child; of a stream that breaks also what came last.
fn feed(mut stream: impl Read, kept: &mut Kept<'_>, child: &mut impl Write) -> Result<(), Fed> {
    let mut piece = vec![0; PIECE];
    loop {
        let (size, end) = fill_as_far_as_it_goes(&mut stream, &mut piece);
        let bytes = &piece[..size];
        // The child first: it decompresses while this writes and hashes.
        child.write_all(bytes).map_err(Fed::Give)?;
        kept.add(bytes).map_err(Fed::Keep)?;
        match end {
            Ok(()) if size < PIECE => return Ok(()),
            end => end.map_err(Fed::Read)?,
        }
    }
}
