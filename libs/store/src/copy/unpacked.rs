//! A layer without its compression, for formats that want it so and need its length first.

use std::io::Read;

use ctr_core::Digest;
use ctr_core::oci::Descriptor;

use super::CopyError;
use super::packed::Packed;
use super::recode::Recoding;
use crate::compression::Unpacked;
use crate::session::Session;
use crate::transport::{Source, TransportError};

/// A layer whose unpacked length is known.
pub(super) struct Unpacking<'a> {
    source: &'a dyn Source,
    layer: &'a Descriptor,
    length: u64,
    /// Where it was unpacked to, when there was no other way to learn its length.
    spool: Option<Packed>,
}

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
        let spool = Packed::make(&Recoding { source, layer, diff_id, packing: None }, session)?;
        Ok(Self { source, layer, length: spool.size, spool: Some(spool) })
    }

    pub(super) const fn length(&self) -> u64 {
        self.length
    }

    pub(super) fn stream(&self) -> Result<Box<dyn Read + 'a>, CopyError> {
        if let Some(spool) = &self.spool {
            return Ok(Box::new(spool.stream()?));
        }
        Ok(Box::new(Unpacked::new(self.source.blob(self.layer)?).map_err(TransportError::of_stream)?))
    }
}
