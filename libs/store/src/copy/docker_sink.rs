//! A docker archive as a sink: layers without compression, one `manifest.json` for all images.

use ctr_core::Reference;
use ctr_core::oci::media::Family;

use super::files::{Files, TarFiles};
use super::unpacked::Unpacking;
use super::{CopyError, Parts, Placed, Sink, describe};
use crate::session::Session;
use crate::transport::Source;
use crate::transport::docker_archive::{Entry, MANIFEST};

/// An archive to write to.
#[derive(Debug)]
pub struct DockerSink<'a> {
    files: TarFiles,
    entries: Vec<(ctr_core::Digest, Entry)>,
    session: &'a Session,
}

impl<'a> DockerSink<'a> {
    /// Writes an archive; what must be unpacked for its length goes through the session.
    #[must_use]
    pub const fn new(files: TarFiles, session: &'a Session) -> Self {
        Self { files, entries: Vec::new(), session }
    }
}

impl Sink for DockerSink<'_> {
    fn family(&self) -> Option<Family> {
        // There are no manifests in it.
        None
    }

    fn image(&mut self, source: &dyn Source, parts: &Parts, instance: bool) -> Result<Placed, CopyError> {
        if instance {
            return Err(CopyError::Unsupported("a docker archive cannot hold an image index"));
        }
        let mut members = Vec::new();
        for (layer, diff_id) in parts.manifest.layers.iter().zip(&parts.parsed.rootfs.diff_ids) {
            let member = format!("{}.tar", diff_id.hex());
            if !self.files.has(&member) {
                let unpacking = Unpacking::open(source, layer, diff_id, self.session)?;
                self.files.put(&member, unpacking.length(), Some(diff_id), &mut unpacking.stream()?)?;
            }
            members.push(member);
        }
        let config = &parts.manifest.config.digest;
        let name = format!("{}.json", config.hex());
        self.files.put(&name, parts.config.len() as u64, Some(config), &mut &parts.config[..])?;
        if !self.entries.iter().any(|(known, _)| known == config) {
            self.entries
                .push((*config, Entry { config: name, repo_tags: Some(Vec::new()), layers: members }));
        }
        let mut descriptor = describe(parts);
        // Names are given to configs here.
        descriptor.digest = *config;
        Ok(Placed { descriptor, target: None })
    }

    fn index(&mut self, _bytes: &[u8], _media_type: &str, _placed: &[Placed]) -> Result<Placed, CopyError> {
        Err(CopyError::Unsupported("a docker archive cannot hold an image index"))
    }

    fn name(&mut self, placed: &Placed, names: &[Reference]) -> Result<(), CopyError> {
        let entry = self.entries.iter_mut().find(|(config, _)| *config == placed.descriptor.digest);
        if let Some((_, entry)) = entry {
            let tags = entry.repo_tags.get_or_insert_default();
            // A name with a digest is no tag.
            let new = names
                .iter()
                .filter(|name| name.tag.is_some() && name.digest.is_none())
                .map(ToString::to_string);
            for name in new {
                if !tags.contains(&name) {
                    tags.push(name);
                }
            }
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), CopyError> {
        let entries: Vec<_> = self.entries.iter().map(|(_, entry)| entry).collect();
        let document =
            |source: serde_json::Error| CopyError::Document { what: MANIFEST, source: source.into() };
        let bytes = serde_json::to_vec(&entries).map_err(document)?;
        self.files.put(MANIFEST, bytes.len() as u64, None, &mut &bytes[..])?;
        self.files.finish()
    }
}
