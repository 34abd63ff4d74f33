//! What a registry holds.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use serde_json::Value;
use sha2::{Digest as _, Sha512};

use crate::image::digest;

/// Everything.
#[derive(Debug, Default)]
pub(super) struct State {
    /// By digest; repositories say who has which.
    pub(super) blobs: HashMap<String, Arc<Vec<u8>>>,
    pub(super) repositories: BTreeMap<String, Repository>,
    pub(super) uploads: HashMap<String, Upload>,
    pub(super) counted: u64,
    /// What a search finds; none is that nobody can search.
    pub(super) found: Option<Vec<Value>>,
    /// How often the tags of entities were changed.
    pub(super) etags: u64,
}

/// One repository.
#[derive(Debug, Default)]
pub(super) struct Repository {
    pub(super) blobs: BTreeSet<String>,
    /// By digest.
    pub(super) manifests: BTreeMap<String, Manifest>,
    pub(super) tags: BTreeMap<String, String>,
    /// So many tags are listed that are made up while they are.
    pub(super) made_up: u64,
}

/// One manifest.
#[derive(Debug, Clone)]
pub(super) struct Manifest {
    pub(super) kind: String,
    pub(super) bytes: Arc<Vec<u8>>,
}

impl Manifest {
    /// What it says; nothing of what is no JSON.
    pub(super) fn value(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or_default()
    }
}

/// A blob that is on its way.
#[derive(Debug, Default)]
pub(super) struct Upload {
    pub(super) repository: String,
    pub(super) bytes: Vec<u8>,
    /// How often it was written to: Location has it, and one that is old is refused.
    pub(super) step: u64,
    /// A chunk came that only the last may be like.
    pub(super) short: bool,
}

impl Repository {
    /// The manifest of a tag or of a digest.
    pub(super) fn manifest(&self, reference: &str) -> Option<(&String, &Manifest)> {
        let digest = self.tags.get(reference).map_or(reference, String::as_str);
        self.manifests.get_key_value(digest)
    }
}

impl State {
    pub(super) fn repository(&mut self, name: &str) -> &mut Repository {
        self.repositories.entry(name.to_owned()).or_default()
    }

    /// A blob of a repository.
    pub(super) fn blob(&self, repository: &str, digest: &str) -> Option<Arc<Vec<u8>>> {
        let has = self.repositories.get(repository).is_some_and(|one| one.blobs.contains(digest));
        has.then(|| self.blobs.get(digest).cloned()).flatten()
    }

    /// Puts a blob under a digest, which need not be its own.
    pub(super) fn put_blob(&mut self, repository: &str, digest: &str, bytes: Vec<u8>) {
        self.blobs.insert(digest.to_owned(), Arc::new(bytes));
        self.repository(repository).blobs.insert(digest.to_owned());
    }

    /// Puts a manifest, returns its digest.
    pub(super) fn put_manifest(
        &mut self,
        repository: &str,
        tag: Option<&str>,
        kind: &str,
        bytes: Vec<u8>,
    ) -> String {
        let name = digest(&bytes);
        let repository = self.repository(repository);
        let manifest = Manifest { kind: kind.to_owned(), bytes: Arc::new(bytes) };
        repository.manifests.insert(name.clone(), manifest);
        if let Some(tag) = tag {
            repository.tags.insert(tag.to_owned(), name.clone());
        }
        name
    }
}

/// The digest of these bytes by the algorithm of another digest; `None` when it has none that is known.
pub(super) fn digest_like(other: &str, bytes: &[u8]) -> Option<String> {
    match other.split_once(':')? {
        ("sha256", hex) if hex.len() == 64 => Some(digest(bytes)),
        ("sha512", hex) if hex.len() == 128 => {
            let hash = Sha512::digest(bytes);
            let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
            Some(format!("sha512:{hex}"))
        }
        _ => None,
    }
}
