//! The OCI image layout as a sink, in a folder or an archive.

use std::path::Path;

use ctr_core::oci::media::Family;
use ctr_core::oci::{Annotations, Descriptor, Document, Index};
use ctr_core::{Reference, file, limits};

use super::files::{Files, FolderFiles, TarFiles};
use super::recode::{LayerWriter, Layers};
use super::{CopyError, Parts, Placed, Sink, describe};
use crate::session::Session;
use crate::transport::Source;
use crate::transport::oci::{INDEX, LAYOUT, LAYOUT_CONTENT, REF_NAME, blob_name};

/// A layout to write to.
pub struct LayoutSink<'a> {
    files: Box<dyn Files>,
    entries: Vec<Descriptor>,
    layers: LayerWriter<'a>,
}

impl std::fmt::Debug for LayoutSink<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LayoutSink").field("entries", &self.entries).finish_non_exhaustive()
    }
}

impl<'a> LayoutSink<'a> {
    /// Writes an archive; what must be packed for its digest goes through the session.
    #[must_use]
    pub fn archive(out: TarFiles, layers: Layers, session: &'a Session) -> Self {
        let layers = LayerWriter::new(layers, session, blob_name);
        Self { files: Box::new(out), entries: Vec::new(), layers }
    }

    /// Writes into a folder, adding to the layout that may be there. Its blobs may go to a folder that layouts share.
    pub fn folder(
        path: &Path,
        shared: Option<&Path>,
        layers: Layers,
        session: &'a Session,
    ) -> Result<Self, CopyError> {
        let files = FolderFiles::new(path)?.with_blobs_in(shared);
        let entries = match file::read(&path.join(INDEX), limits::MANIFEST) {
            Ok(bytes) => match ctr_core::oci::parse(&bytes, None) {
                Ok(Document::Index(index)) => index.manifests,
                Ok(Document::Manifest(_)) => Vec::new(),
                Err(source) => {
                    return Err(CopyError::Document { what: "the index.json that is there", source });
                }
            },
            Err(error) if error.is_missing() => Vec::new(),
            Err(error) => return Err(CopyError::Store(error.into())),
        };
        let layers = LayerWriter::new(layers, session, blob_name);
        Ok(Self { files: Box::new(files), entries, layers })
    }

    fn put(&mut self, descriptor: &Descriptor, bytes: &[u8]) -> Result<(), CopyError> {
        let name = blob_name(&descriptor.digest);
        if self.files.has(&name) {
            return Ok(());
        }
        self.files.put(&name, bytes.len() as u64, Some(&descriptor.digest), &mut &bytes[..])
    }
}

impl Sink for LayoutSink<'_> {
    fn family(&self) -> Option<Family> {
        Some(Family::Oci)
    }

    /// A descriptor says which family it leads to, and so readers know.
    fn bears_others(&self) -> bool {
        true
    }

    fn layers(&self) -> Layers {
        self.layers.wanted()
    }

    fn image(&mut self, source: &dyn Source, parts: &Parts, instance: bool) -> Result<Placed, CopyError> {
        let parts = self.layers.write(self.files.as_mut(), source, parts.clone())?;
        self.put(&parts.manifest.config, &parts.config)?;
        let mut descriptor = describe(&parts);
        self.put(&descriptor, &parts.bytes)?;
        if !instance {
            // An entry of the layout says its platform only where there are several.
            descriptor.platform = None;
        }
        Ok(Placed { descriptor, target: None })
    }

    fn index(&mut self, bytes: &[u8], media_type: &str, _placed: &[Placed]) -> Result<Placed, CopyError> {
        let descriptor = Descriptor::new(media_type, ctr_core::Digest::of(bytes), bytes.len() as u64);
        self.put(&descriptor, bytes)?;
        Ok(Placed { descriptor, target: None })
    }

    fn name(&mut self, placed: &Placed, names: &[Reference]) -> Result<(), CopyError> {
        let texts: Vec<_> = names.iter().map(ToString::to_string).collect();
        self.name_as(placed, &texts);
        Ok(())
    }

    fn finish(&mut self) -> Result<(), CopyError> {
        let index = Index {
            schema_version: 2,
            media_type: None,
            artifact_type: None,
            manifests: std::mem::take(&mut self.entries),
            subject: None,
            annotations: Annotations::new(),
        };
        let document =
            |source: serde_json::Error| CopyError::Document { what: "the index", source: source.into() };
        let bytes = serde_json::to_vec(&index).map_err(document)?;
        self.files.put(LAYOUT, LAYOUT_CONTENT.len() as u64, None, &mut &LAYOUT_CONTENT[..])?;
        self.files.put(INDEX, bytes.len() as u64, None, &mut &bytes[..])?;
        self.files.finish()
    }
}

impl LayoutSink<'_> {
    /// Enters an image into the layout's index under names that need not be references.
    pub fn name_as(&mut self, placed: &Placed, names: &[String]) {
        if names.is_empty() {
            self.entries.retain(|entry| entry.digest != placed.descriptor.digest || named(entry).is_some());
            self.entries.push(placed.descriptor.clone());
        }
        for name in names {
            let mut entry = placed.descriptor.clone();
            entry.annotations.insert(REF_NAME.to_owned(), name.clone());
            self.entries.retain(|known| named(known) != Some(name));
            self.entries.push(entry);
        }
    }
}

fn named(entry: &Descriptor) -> Option<&String> {
    entry.annotations.get(REF_NAME)
}
