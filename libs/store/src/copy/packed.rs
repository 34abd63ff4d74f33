//! A layer in another packing, for formats that need its digest or its length first.

use std::fs::File;

use ctr_core::Digest;

use super::CopyError;
use super::files::pour;
use super::recode::Recoding;
use crate::archive::ArchiveError;
use crate::session::{Session, Stage};

const SPOOL: &str = "layer";

/// A layer that was recoded into a session.
#[derive(Debug)]
pub struct Packed {
    /// Of the bytes that it has now.
    pub digest: Digest,
    /// Their number.
    pub size: u64,
    stage: Stage,
}

impl Packed {
    /// Recodes a layer.
    pub fn make(layer: &Recoding<'_>, session: &Session) -> Result<Self, CopyError> {
        let stage = session.stage()?;
        let path = stage.path().join(SPOOL);
        let write = |source| CopyError::Write { what: path.display().to_string(), source };
        let file = File::create_new(&path).map_err(write)?;
        let ((), digest, size) = layer.read(|stream| pour(stream, &file).map_err(write))?;
        Ok(Self { digest, size, stage })
    }

    /// Opens the bytes.
    pub fn stream(&self) -> Result<File, CopyError> {
        Ok(File::open(self.stage.path().join(SPOOL)).map_err(ArchiveError::Read)?)
    }
}
