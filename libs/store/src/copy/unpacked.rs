//! A layer without its compression, for formats that want it so and need its length first.

use std::fs::File;
use std::io::{self, Read};

use ctr_core::Digest;
use ctr_core::oci::Descriptor;

use super::CopyError;
use crate::archive::ArchiveError;
use crate::compression::Unpacked;
use crate::session::{Session, Stage};
use crate::transport::Source;

/// A layer whose unpacked length is known.
pub(super) struct Unpacking<'a> {
    source: &'a dyn Source,
    layer: &'a Descriptor,
    length: u64,
    /// Where it was unpacked to, when there was no other way to learn its length.
    spool: Option<Stage>,
}

const SPOOL: &str = "layer";

impl<'a> Unpacking<'a> {
    /// Opens a layer. Where its length is not known it is unpacked into the session.
    pub(super) fn open(
        source: &'a dyn Source,
        layer: &'a Descriptor,
        diff_id: &Digest,
        session: &Session,
    ) -> Result<Self, CopyError> {
        if layer.digest == *diff_id {
            return Ok(Self { source, layer, length: layer.size, spool: None });
        }
        if let Some(length) = source.unpacked_length(diff_id) {
            return Ok(Self { source, layer, length, spool: None });
        }
        let stage = session.stage()?;
        let path = stage.path().join(SPOOL);
        let mut file = File::create_new(&path).map_err(ArchiveError::Read)?;
        let mut stream = Unpacked::new(source.blob(layer)?).map_err(ArchiveError::Read)?;
        let length = io::copy(&mut stream, &mut file).map_err(ArchiveError::Read)?;
        Ok(Self { source, layer, length, spool: Some(stage) })
    }

    pub(super) const fn length(&self) -> u64 {
        self.length
    }

    pub(super) fn stream(&self) -> Result<Box<dyn Read + 'a>, CopyError> {
        if let Some(stage) = &self.spool {
            return Ok(Box::new(File::open(stage.path().join(SPOOL)).map_err(ArchiveError::Read)?));
        }
        Ok(Box::new(Unpacked::new(self.source.blob(self.layer)?).map_err(ArchiveError::Read)?))
    }
}
