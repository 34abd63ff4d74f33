//! A plain layer with compression, for formats that want it so and need its digest first.

use std::fs::File;
use std::io::{self, BufWriter, Write as _};

use ctr_core::Digest;
use ctr_core::digest::{HashingReader, HashingWriter};
use ctr_core::oci::Descriptor;

use super::CopyError;
use crate::archive::ArchiveError;
use crate::session::{Session, Stage};
use crate::transport::Source;

/// What the peers compress with.
const LEVEL: flate2::Compression = flate2::Compression::new(6);

const SPOOL: &str = "layer";

/// A layer that was compressed into a session.
#[derive(Debug)]
pub struct Packed {
    /// Of the compressed bytes.
    pub digest: Digest,
    /// Their number.
    pub size: u64,
    stage: Stage,
}

impl Packed {
    /// Compresses a layer with gzip, and checks what is read of it.
    pub fn make(source: &dyn Source, layer: &Descriptor, session: &Session) -> Result<Self, CopyError> {
        let stage = session.stage()?;
        let path = stage.path().join(SPOOL);
        let write = |source| CopyError::Write { what: path.display().to_string(), source };
        let file = BufWriter::with_capacity(256 << 10, File::create_new(&path).map_err(write)?);
        let mut encoder = flate2::write::GzEncoder::new(HashingWriter::new(file), LEVEL);
        let mut plain = HashingReader::with(source.blob(layer)?, layer.digest.algorithm());
        io::copy(&mut plain, &mut encoder).map_err(ArchiveError::Read)?;
        layer.digest.expect(plain.finish().0)?;
        let (mut file, digest, size) = encoder.finish().map_err(write)?.finish();
        file.flush().map_err(write)?;
        Ok(Self { digest, size, stage })
    }

    /// Opens the compressed bytes.
    pub fn stream(&self) -> Result<File, CopyError> {
        Ok(File::open(self.stage.path().join(SPOOL)).map_err(ArchiveError::Read)?)
    }
}
