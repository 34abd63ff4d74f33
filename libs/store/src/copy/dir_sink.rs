//! `dir:` as a sink.

use std::io::Read;
use std::path::Path;

use ctr_core::oci::Descriptor;
use ctr_core::oci::media::{self, Compression, Family};
use ctr_core::{Digest, Reference};

use super::files::{Files, FolderFiles};
use super::packed::Packed;
use super::{CopyError, Parts, Placed, Sink, describe, rewritten};
use crate::session::Session;
use crate::transport::Source;
use crate::transport::dir::{MANIFEST, VERSION, VERSION_CONTENT, blob_name, instance_name};

/// A folder to write to.
#[derive(Debug)]
pub struct DirSink<'a> {
    files: FolderFiles,
    /// Where plain layers are compressed, if they shall be.
    compressed: Option<&'a Session>,
}

impl<'a> DirSink<'a> {
    /// Writes into a folder.
    pub fn new(path: &Path, compressed: Option<&'a Session>) -> Result<Self, CopyError> {
        Ok(Self { files: FolderFiles::new(path)?, compressed })
    }

    /// Copies plain layers compressed, and returns the image with a manifest that says so. Others stay as they are.
    fn packed_layers(
        &mut self,
        source: &dyn Source,
        mut parts: Parts,
        session: &Session,
    ) -> Result<Parts, CopyError> {
        let family = media::family(&parts.media_type).unwrap_or(Family::Docker);
        let gzip = family.layer(Compression::Gzip).unwrap_or(media::DOCKER_LAYER_GZIP);
        let mut changed = false;
        for (layer, diff_id) in parts.manifest.layers.iter_mut().zip(&parts.parsed.rootfs.diff_ids) {
            if layer.digest != *diff_id {
                continue;
            }
            let packed = Packed::make(source, layer, session)?;
            *layer = Descriptor::new(gzip, packed.digest, packed.size);
            self.put(layer, &mut packed.stream()?)?;
            changed = true;
        }
        if changed { rewritten(parts, family) } else { Ok(parts) }
    }

    fn put(&mut self, layer: &Descriptor, content: &mut dyn Read) -> Result<(), CopyError> {
        let name = blob_name(&layer.digest);
        if self.files.has(&name) {
            return Ok(());
        }
        self.files.put(&name, layer.size, Some(&layer.digest), content)
    }
}

impl Sink for DirSink<'_> {
    fn family(&self) -> Option<Family> {
        None
    }

    fn image(&mut self, source: &dyn Source, parts: &Parts, instance: bool) -> Result<Placed, CopyError> {
        let packed;
        let parts = match self.compressed {
            Some(session) => {
                packed = self.packed_layers(source, parts.clone(), session)?;
                &packed
            }
            None => parts,
        };
        for layer in &parts.manifest.layers {
            // One that was compressed on the way is there already, under a digest that the source does not know.
            if !self.files.has(&blob_name(&layer.digest)) {
                self.put(layer, &mut source.blob(layer)?)?;
            }
        }
        let config = &parts.manifest.config;
        self.files.put(
            &blob_name(&config.digest),
            config.size,
            Some(&config.digest),
            &mut &parts.config[..],
        )?;
        let name = if instance { instance_name(&parts.digest) } else { MANIFEST.to_owned() };
        self.files.put(&name, parts.bytes.len() as u64, Some(&parts.digest), &mut &parts.bytes[..])?;
        Ok(Placed { descriptor: describe(parts), target: None })
    }

    fn index(&mut self, bytes: &[u8], media_type: &str, _placed: &[Placed]) -> Result<Placed, CopyError> {
        self.files.put(MANIFEST, bytes.len() as u64, None, &mut &bytes[..])?;
        let descriptor = Descriptor::new(media_type, Digest::of(bytes), bytes.len() as u64);
        Ok(Placed { descriptor, target: None })
    }

    fn name(&mut self, _placed: &Placed, _names: &[Reference]) -> Result<(), CopyError> {
        // The format has no place for names.
        Ok(())
    }

    fn finish(&mut self) -> Result<(), CopyError> {
        self.files.put(VERSION, VERSION_CONTENT.len() as u64, None, &mut &VERSION_CONTENT[..])?;
        self.files.finish()
    }
}
