//! `dir:` as a sink.

use std::path::Path;

use ctr_core::oci::Descriptor;
use ctr_core::oci::media::Family;
use ctr_core::{Digest, Reference};

use super::files::{Files, FolderFiles};
use super::recode::{LayerWriter, Layers};
use super::{CopyError, Parts, Placed, Sink, describe};
use crate::session::Session;
use crate::transport::Source;
use crate::transport::dir::{MANIFEST, VERSION, VERSION_CONTENT, blob_name, instance_name};

/// A folder to write to.
#[derive(Debug)]
pub struct DirSink<'a> {
    files: FolderFiles,
    layers: LayerWriter<'a>,
}

impl<'a> DirSink<'a> {
    /// Writes into a folder.
    pub fn new(path: &Path, layers: Layers, session: &'a Session) -> Result<Self, CopyError> {
        Ok(Self { files: FolderFiles::new(path)?, layers: LayerWriter::new(layers, session, blob_name) })
    }
}

impl Sink for DirSink<'_> {
    fn family(&self) -> Option<Family> {
        None
    }

    fn layers(&self) -> Layers {
        self.layers.wanted()
    }

    fn image(&mut self, source: &dyn Source, parts: &Parts, instance: bool) -> Result<Placed, CopyError> {
        let parts = &self.layers.write(&mut self.files, source, parts.clone())?;
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
