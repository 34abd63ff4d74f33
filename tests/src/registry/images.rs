//! Images put into a registry and read out of it, past its protocol.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};

use super::{Registry, Side};
use crate::image::{Image, digest};

/// The types that an image's documents have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// OCI's.
    Oci,
    /// Docker's, version 2 schema 2.
    Docker,
}

/// Types of OCI's and what Docker has in their place.
const DOCKER: [(&str, &str); 5] = [
    ("application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json"),
    ("application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json"),
    ("application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json"),
    ("application/vnd.oci.image.layer.v1.tar+gzip", "application/vnd.docker.image.rootfs.diff.tar.gzip"),
    ("application/vnd.oci.image.layer.v1.tar", "application/vnd.docker.image.rootfs.diff.tar"),
];

impl Family {
    /// Gives a descriptor or document the types of this family.
    fn retype(self, value: &mut Value) {
        let docker = |kind: &Value| DOCKER.iter().find(|(oci, _)| kind == oci).map(|(_, docker)| *docker);
        if let (Self::Docker, Some(kind)) = (self, docker(&value["mediaType"])) {
            value["mediaType"] = kind.into();
        }
    }
}

/// An image as a registry has it, whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// The manifest's type.
    pub kind: String,
    /// The manifest.
    pub manifest: Value,
    /// The manifest's digest.
    pub digest: String,
    /// The configuration.
    pub config: Vec<u8>,
    /// The layers, as they are packed.
    pub layers: Vec<Vec<u8>>,
}

impl Registry {
    /// Puts an image under a tag, with OCI's types, and returns its digest.
    pub fn put(&self, repository: &str, tag: &str, image: &Image) -> String {
        self.put_as(Family::Oci, repository, tag, image)
    }

    /// Puts an image under a tag and returns its digest.
    pub fn put_as(&self, family: Family, repository: &str, tag: &str, image: &Image) -> String {
        let descriptor = self.put_untagged(family, repository, image);
        let digest = descriptor["digest"].as_str().expect("a digest").to_owned();
        self.tag(repository, tag, &digest);
        digest
    }

    /// Puts an index of several images under a tag and returns its digest.
    pub fn put_index(&self, family: Family, repository: &str, tag: &str, images: &[Image]) -> String {
        let images = images.iter().map(|image| self.put_untagged(family, repository, image));
        let mut index = json!({
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": images.collect::<Vec<_>>(),
        });
        family.retype(&mut index);
        self.put_document(repository, Some(tag), &index)
    }

    /// Puts an image's blobs and manifest, and returns the manifest's descriptor with its platform.
    fn put_untagged(&self, family: Family, repository: &str, image: &Image) -> Value {
        let (mut blobs, mut descriptor) = image.oci_blobs();
        let manifest = blobs.pop().expect("the manifest");
        let mut manifest: Value = serde_json::from_slice(&manifest).expect("JSON");
        for blob in blobs {
            let _digest = self.put_blob(repository, blob);
        }
        family.retype(&mut manifest);
        family.retype(&mut manifest["config"]);
        manifest["layers"].as_array_mut().expect("layers").iter_mut().for_each(|layer| family.retype(layer));
        descriptor.as_object_mut().expect("an object").remove("annotations");
        descriptor["mediaType"] = manifest["mediaType"].clone();
        descriptor["size"] = manifest.to_string().len().into();
        descriptor["digest"] = self.put_document(repository, None, &manifest).into();
        descriptor
    }

    /// Puts a manifest or index as it is, with the type that it says it has, and returns its digest.
    pub fn put_document(&self, repository: &str, tag: Option<&str>, document: &Value) -> String {
        let kind = document["mediaType"].as_str().expect("a document that says its type");
        self.put_manifest(repository, tag, kind, document.to_string())
    }

    /// Puts any bytes as a manifest, and returns their digest.
    pub fn put_manifest(
        &self,
        repository: &str,
        tag: Option<&str>,
        kind: &str,
        bytes: impl Into<Vec<u8>>,
    ) -> String {
        self.shared.state().put_manifest(repository, tag, kind, bytes.into())
    }

    /// Puts a blob and returns its digest.
    pub fn put_blob(&self, repository: &str, bytes: impl Into<Vec<u8>>) -> String {
        let bytes = bytes.into();
        let name = digest(&bytes);
        self.shared.state().put_blob(repository, &name, bytes);
        name
    }

    /// Puts bytes under the digest of others.
    pub fn put_wrong_blob(&self, repository: &str, digest: &str, bytes: impl Into<Vec<u8>>) {
        self.shared.state().put_blob(repository, digest, bytes.into());
    }

    /// Puts bytes as a manifest under the digest of others, and under a tag.
    pub fn put_wrong_manifest(
        &self,
        repository: &str,
        tag: &str,
        kind: &str,
        digest: &str,
        bytes: impl Into<Vec<u8>>,
    ) {
        let mut state = self.shared.state();
        let real = state.put_manifest(repository, None, kind, bytes.into());
        let repository = state.repository(repository);
        let manifest = repository.manifests.remove(&real).expect("what was put");
        repository.manifests.insert(digest.to_owned(), manifest);
        repository.tags.insert(tag.to_owned(), digest.to_owned());
    }

    /// Puts a blob where only its URL, which this is, leads to: a foreign layer.
    pub fn put_foreign(&self, bytes: impl Into<Vec<u8>>) -> String {
        let bytes = bytes.into();
        let name = digest(&bytes);
        let url = format!("{}/blobs/{name}", self.url(Side::Cdn));
        self.shared.state().blobs.insert(name, Arc::new(bytes));
        url
    }

    /// Puts an index under a tag that leads, over so many others, to itself. Only the digests tell: they are not its own.
    pub fn put_cycle(&self, repository: &str, tag: &str, others: usize) {
        let kind = "application/vnd.oci.image.index.v1+json";
        let name = |n: usize| digest(format!("link {n} of a chain").as_bytes());
        for n in 0..=others {
            let next = json!({ "mediaType": kind, "digest": name((n + 1) % (others + 1)), "size": 250 });
            let index = json!({ "schemaVersion": 2, "mediaType": kind, "manifests": [next] }).to_string();
            self.put_wrong_manifest(repository, tag, kind, &name(n), index);
        }
    }

    /// Puts indexes that lead one to the next, so many of them, under a tag; the last one to nothing.
    pub fn put_chain(&self, repository: &str, tag: &str, length: usize) {
        let kind = "application/vnd.oci.image.index.v1+json";
        let mut manifests = json!([]);
        for n in 0..length {
            let index = json!({ "schemaVersion": 2, "mediaType": kind, "manifests": manifests });
            let size = index.to_string().len();
            let digest = self.put_document(repository, (n + 1 == length).then_some(tag), &index);
            manifests = json!([{ "mediaType": kind, "digest": digest, "size": size }]);
        }
    }

    /// Gives a manifest another tag.
    pub fn tag(&self, repository: &str, tag: &str, digest: &str) {
        self.shared.state().repository(repository).tags.insert(tag.to_owned(), digest.to_owned());
    }

    /// The repository lists so many tags, made up while it does: `tag-000000000` and so on.
    pub fn make_up_tags(&self, repository: &str, count: u64) {
        self.shared.state().repository(repository).made_up = count;
    }

    /// From now on searches are answered, from these: `name`, `description`, `star_count`, `is_official`, `is_automated`.
    pub fn answer_searches(&self, found: impl IntoIterator<Item = Value>) {
        self.shared.state().found = Some(found.into_iter().collect());
    }

    /// From now on blobs have other entity tags: who has a part of one is given all of it.
    pub fn change_etags(&self) {
        self.shared.state().etags += 1;
    }

    /// Takes a blob out of a repository.
    pub fn forget_blob(&self, repository: &str, digest: &str) {
        self.shared.state().repository(repository).blobs.remove(digest);
    }

    /// The digests of all blobs of a repository.
    #[must_use]
    pub fn blobs(&self, repository: &str) -> BTreeSet<String> {
        self.shared.state().repository(repository).blobs.clone()
    }

    /// The tags of a repository.
    #[must_use]
    pub fn tags(&self, repository: &str) -> Vec<String> {
        self.shared.state().repository(repository).tags.keys().cloned().collect()
    }

    /// How many uploads were begun and not ended.
    #[must_use]
    pub fn uploads(&self) -> usize {
        self.shared.state().uploads.len()
    }

    /// A blob of a repository.
    #[must_use]
    pub fn blob(&self, repository: &str, digest: &str) -> Option<Vec<u8>> {
        self.shared.state().blob(repository, digest).map(|blob| blob.to_vec())
    }

    /// Type, digest and bytes of a manifest, by tag or digest.
    #[must_use]
    pub fn manifest(&self, repository: &str, reference: &str) -> Option<(String, String, Vec<u8>)> {
        let mut state = self.shared.state();
        let (digest, manifest) = state.repository(repository).manifest(reference)?;
        Some((manifest.kind.clone(), digest.clone(), manifest.bytes.to_vec()))
    }

    /// An image with all that belongs to it.
    ///
    /// # Panics
    /// When something is missing, or has another size or digest than its manifest says.
    #[must_use]
    pub fn image(&self, repository: &str, reference: &str) -> Picture {
        let (kind, name, bytes) = self.manifest(repository, reference).expect("the manifest");
        assert_eq!(name, digest(&bytes), "the manifest's digest");
        let manifest: Value = serde_json::from_slice(&bytes).expect("JSON");
        let blob = |descriptor: &Value| {
            let name = descriptor["digest"].as_str().expect("a digest");
            let bytes = self.blob(repository, name).unwrap_or_else(|| panic!("{name} is missing"));
            assert_eq!((digest(&bytes).as_str(), &descriptor["size"]), (name, &json!(bytes.len())), "a blob");
            bytes
        };
        let config = blob(&manifest["config"]);
        let layers = manifest["layers"].as_array().expect("layers").iter().map(blob).collect();
        Picture { kind, digest: name, config, layers, manifest }
    }
}
