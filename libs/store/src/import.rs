//! A file tree in an archive becomes an image of one layer, in one pass.

use std::io::Read;

use ctr_core::digest::Algorithm;
use ctr_core::oci::media::Compression;

use crate::archive::ArchiveError;
use crate::compression::{Peeked, Unpacked, detect};
use crate::copy::store_sink::StoreSink;
use crate::copy::{CopyError, Sink, copy};
use crate::image::Image;
use crate::ingest::{Ingest, Ingested};
use crate::transport::tarball::{About, Documents, layer_descriptor};
use crate::transport::{Offer, Source, TransportError};

/// Imports a stream, however it is packed.
pub fn import(
    ingest: Ingest<'_>,
    stream: Box<dyn Read + Send>,
    about: &About,
    origin: &str,
) -> Result<Image, CopyError> {
    let peeked = Peeked::new(stream, 6).map_err(ArchiveError::Read)?;
    let ingested = if detect(peeked.start()) == Compression::Xz {
        // No manifest can name a layer in xz: it is kept unpacked.
        ingest.layer(Unpacked::new(peeked).map_err(ArchiveError::Read)?, Algorithm::Sha256)?
    } else {
        ingest.layer(peeked, Algorithm::Sha256)?
    };
    let layer = layer_descriptor(ingested.compression, ingested.blob, ingested.size)?;
    let document =
        |error: serde_json::Error| CopyError::Document { what: "the config", source: error.into() };
    let documents = about.documents(layer, ingested.unpacked.diff_id).map_err(document)?;
    let source = Taken { documents, layer: std::sync::Arc::new(Ok(ingested)) };
    let mut sink = StoreSink::new(ingest, origin, 1);
    for offer in source.offers()? {
        copy(&source, &offer, &mut sink, &crate::copy::Options::default())?;
    }
    sink.finish()?;
    let taken = sink.taken.pop().map(|(image, _)| image);
    taken.ok_or(CopyError::Unsupported("an import that made no image"))
}

/// The image that was made around a layer that is staged already.
#[derive(Debug)]
struct Taken {
    documents: Documents,
    layer: std::sync::Arc<Result<Ingested, crate::ingest::IngestError>>,
}

impl Source for Taken {
    fn offers(&self) -> Result<Vec<Offer>, TransportError> {
        let bytes = self.documents.manifest.clone();
        let digest = ctr_core::Digest::of(&bytes);
        Ok(vec![Offer { names: Vec::new(), bytes, media_type: None, digest }])
    }

    fn document(&self, _: &ctr_core::oci::Descriptor, _: u64) -> Result<Vec<u8>, TransportError> {
        Ok(self.documents.config.clone())
    }

    fn blob(&self, _: &ctr_core::oci::Descriptor) -> Result<Box<dyn Read + Send + '_>, TransportError> {
        match self.layer.as_ref() {
            Ok(layer) => Ok(Box::new(layer.open().map_err(ArchiveError::File)?)),
            Err(error) => Err(TransportError::Layer(error.to_string())),
        }
    }

    fn taken(
        &self,
        _: &ctr_core::oci::Descriptor,
    ) -> Option<std::sync::Arc<Result<Ingested, crate::ingest::IngestError>>> {
        Some(std::sync::Arc::clone(&self.layer))
    }
}
