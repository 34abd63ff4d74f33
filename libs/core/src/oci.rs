//! Views of the documents that describe images: manifests, indexes, configs.
//!
//! OCI's and Docker's schema 2 are one shape under other media types, so one set of types reads both. The raw
//! bytes stay the truth (their digest is the image's identity); these types are for looking, and for writing
//! documents that are new.
//!
//! # Invariants
//! - [`parse`] decides what a document is from what it says *and* from what it holds; where the two differ, or
//!   where it could be read as two things, it is refused (CVE-2021-41190).
//! - Sizes, counts and depths are bounded by [`crate::limits`].
//!
//! # References
//! OCI image-spec 1.1 (descriptor, manifest, image-index, config); Docker image manifest v2 schema 2.

use std::collections::{BTreeMap, HashSet};

use serde::{Deserialize, Deserializer, Serialize};

use crate::digest::Digest;
use crate::limits;
use crate::platform::Platform;

pub mod media;

/// Text keys and values, in the order of the keys.
pub type Annotations = BTreeMap<String, String>;

/// Points to content elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What the content is.
    #[serde(default)]
    pub media_type: String,
    /// Its digest.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
    /// Where else it may be had.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "nullable")]
    pub urls: Vec<String>,
    /// Notes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "nullable")]
    pub annotations: Annotations,
    /// The platform, in an index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<IndexPlatform>,
    /// What kind of artifact the manifest is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// The content itself, base64, where it is tiny.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
}

impl Descriptor {
    /// Describes content by its media type, digest and size.
    #[must_use]
    pub fn new(media_type: impl Into<String>, digest: Digest, size: u64) -> Self {
        Self {
            media_type: media_type.into(),
            digest,
            size,
            urls: Vec::new(),
            annotations: Annotations::new(),
            platform: None,
            artifact_type: None,
            data: None,
        }
    }
}

/// The platform of an entry of an index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexPlatform {
    /// The architecture, in Go's names.
    #[serde(default)]
    pub architecture: String,
    /// The operating system, in Go's names.
    #[serde(default)]
    pub os: String,
    /// The version of the operating system.
    #[serde(rename = "os.version", default, skip_serializing_if = "Option::is_none")]
    pub os_version: Option<String>,
    /// Features of the operating system.
    #[serde(
        rename = "os.features",
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "nullable"
    )]
    pub os_features: Vec<String>,
    /// The variant of the architecture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

impl IndexPlatform {
    /// Returns the parts that we choose by, in their normal spelling.
    #[must_use]
    pub fn platform(&self) -> Platform {
        Platform::new(&self.os, &self.architecture, self.variant.as_deref())
    }
}

impl From<&Platform> for IndexPlatform {
    fn from(platform: &Platform) -> Self {
        Self {
            architecture: platform.architecture.clone(),
            os: platform.os.clone(),
            os_version: None,
            os_features: Vec::new(),
            variant: platform.variant.clone(),
        }
    }
}

/// One image: a config and layers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// Always 2.
    pub schema_version: u32,
    /// What this document is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// What kind of artifact this is, when it is not an image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// The config.
    pub config: Descriptor,
    /// The layers, lowest first.
    #[serde(deserialize_with = "nullable")]
    pub layers: Vec<Descriptor>,
    /// What this is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
    /// Notes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "nullable")]
    pub annotations: Annotations,
}

/// Several manifests, usually one per platform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    /// Always 2.
    pub schema_version: u32,
    /// What this document is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// What kind of artifact this is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// The entries.
    #[serde(deserialize_with = "nullable")]
    pub manifests: Vec<Descriptor>,
    /// What this is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
    /// Notes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "nullable")]
    pub annotations: Annotations,
}

impl Index {
    /// Returns the entry for a platform: the one of exactly its variant before any other that fits.
    #[must_use]
    pub fn select(&self, wanted: &Platform) -> Option<&Descriptor> {
        let platform = |entry: &&Descriptor| entry.platform.as_ref().map(IndexPlatform::platform);
        let mut fitting =
            self.manifests.iter().filter(|entry| platform(entry).is_some_and(|it| wanted.accepts(&it)));
        let exact = fitting.clone().find(|entry| platform(entry).as_ref() == Some(wanted));
        exact.or_else(|| fitting.next())
    }
}

/// What a document turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Document {
    /// One image.
    Manifest(Box<Manifest>),
    /// Several.
    Index(Box<Index>),
}

/// A document is not one that we can use.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// It is larger than registries allow.
    #[error("a document of {size} bytes, where {limit} is the limit")]
    TooLarge {
        /// Its size.
        size: u64,
        /// The limit.
        limit: u64,
    },
    /// It is no JSON, or lacks what it must have.
    #[error("not understood")]
    Json(#[from] serde_json::Error),
    /// The same key stands twice, so that two readers could see two documents.
    #[error("ambiguous: the key {key:?} stands twice")]
    Duplicate {
        /// The key.
        key: String,
    },
    /// It has the parts of an image and of an index.
    #[error("ambiguous: it has the parts of an image manifest and of an index (CVE-2021-41190)")]
    Ambiguous,
    /// It says to be one thing and holds another, or was announced as another.
    #[error("it was announced as {announced:?} and says that it is {found:?}")]
    MediaType {
        /// What was announced, or what it says.
        announced: String,
        /// What it says, or what it holds.
        found: String,
    },
    /// It is in Docker's schema 1, which has been out of use since 2017.
    #[error(
        "a manifest of Docker's schema 1, which is not supported: push the image again with a current tool"
    )]
    Schema1,
    /// It has no parts that we know.
    #[error("neither an image manifest nor an index")]
    Unknown,
    /// It has more parts than the table of limits allows.
    #[error("{count} {what}, where {limit} is the limit")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many it has.
        count: usize,
        /// The limit.
        limit: usize,
    },
    /// The config and the manifest differ in their number of layers.
    #[error("the config has {diff_ids} layers and the manifest {layers}")]
    LayerCount {
        /// Layers of the config.
        diff_ids: usize,
        /// Layers of the manifest.
        layers: usize,
    },
}

/// Reads a manifest or an index; `announced` is the media type that came with it, if one did.
pub fn parse(bytes: &[u8], announced: Option<&str>) -> Result<Document, DocumentError> {
    bounded(bytes, limits::MANIFEST)?;
    let probe: Probe = serde_json::from_slice(bytes)?;
    if let Some(key) = probe.duplicate {
        return Err(DocumentError::Duplicate { key });
    }
    let has = |key: &str| probe.keys.contains(key);
    let (image, index) = (has("config") || has("layers"), has("manifests"));
    if has("fslayers") || has("history") || has("signatures") && !image && !index {
        return Err(if image || index { DocumentError::Ambiguous } else { DocumentError::Schema1 });
    }
    let found = match (image, index) {
        (true, true) => return Err(DocumentError::Ambiguous),
        (true, false) => media::Kind::Manifest,
        (false, true) => media::Kind::Index,
        (false, false) => return Err(DocumentError::Unknown),
    };
    let document = match found {
        media::Kind::Manifest => Document::Manifest(Box::new(serde_json::from_slice(bytes)?)),
        media::Kind::Index => Document::Index(Box::new(serde_json::from_slice(bytes)?)),
    };
    check_media_type(&document, found, announced)?;
    check_counts(&document)?;
    Ok(document)
}

/// Reads a manifest where an index would be wrong.
pub fn parse_manifest(bytes: &[u8], announced: Option<&str>) -> Result<Manifest, DocumentError> {
    match parse(bytes, announced)? {
        Document::Manifest(manifest) => Ok(*manifest),
        Document::Index(_) => {
            Err(DocumentError::MediaType { announced: "an image manifest".into(), found: "an index".into() })
        }
    }
}

fn bounded(bytes: &[u8], limit: u64) -> Result<(), DocumentError> {
    let size = bytes.len() as u64;
    if size > limit { Err(DocumentError::TooLarge { size, limit }) } else { Ok(()) }
}

fn check_media_type(
    document: &Document,
    kind: media::Kind,
    announced: Option<&str>,
) -> Result<(), DocumentError> {
    let said = match document {
        Document::Manifest(manifest) => manifest.media_type.as_deref(),
        Document::Index(index) => index.media_type.as_deref(),
    };
    let said = said.filter(|said| !said.is_empty());
    if let Some(said) = said
        && media::kind(said) != Some(kind)
    {
        return Err(DocumentError::MediaType { announced: said.to_owned(), found: kind.noun().to_owned() });
    }
    // Servers announce plain JSON for files: only a type that means something can contradict.
    if let Some(announced) = announced
        && let Some(announced_kind) = media::kind(announced)
        && (announced_kind != kind || said.is_some_and(|said| said != announced))
    {
        let found = said.map_or_else(|| kind.noun().to_owned(), str::to_owned);
        return Err(DocumentError::MediaType { announced: announced.to_owned(), found });
    }
    Ok(())
}

fn check_counts(document: &Document) -> Result<(), DocumentError> {
    let (what, count, limit) = match document {
        Document::Manifest(manifest) => ("layers", manifest.layers.len(), limits::LAYERS),
        Document::Index(index) => ("manifests in an index", index.manifests.len(), limits::INDEX_ENTRIES),
    };
    if count > limit { Err(DocumentError::TooMany { what, count, limit }) } else { Ok(()) }
}

/// The keys of the outermost object, in lower case since Go's JSON does not care for case.
#[derive(Default)]
struct Probe {
    keys: HashSet<String>,
    duplicate: Option<String>,
}

impl<'de> Deserialize<'de> for Probe {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Probe;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Probe, A::Error> {
                let mut probe = Probe::default();
                while let Some(key) = map.next_key::<String>()? {
                    map.next_value::<serde::de::IgnoredAny>()?;
                    if !probe.keys.insert(key.to_ascii_lowercase()) {
                        probe.duplicate.get_or_insert(key);
                    }
                }
                Ok(probe)
            }
        }
        deserializer.deserialize_map(Visitor)
    }
}

/// Reads `null` as nothing: Go writes it for empty lists and maps.
fn nullable<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Option::<T>::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// What an image is made of and how to run it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageConfig {
    /// When it was made, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// Who made it.
    #[serde(default, skip_serializing_if = "String::is_empty", deserialize_with = "nullable")]
    pub author: String,
    /// The architecture, in Go's names.
    #[serde(default, deserialize_with = "nullable")]
    pub architecture: String,
    /// The variant of the architecture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// The operating system, in Go's names.
    #[serde(default, deserialize_with = "nullable")]
    pub os: String,
    /// The version of the operating system.
    #[serde(rename = "os.version", default, skip_serializing_if = "Option::is_none")]
    pub os_version: Option<String>,
    /// How to run it.
    #[serde(default, deserialize_with = "nullable")]
    pub config: RunConfig,
    /// Its layers.
    #[serde(default, deserialize_with = "nullable")]
    pub rootfs: RootFs,
    /// How it came to be.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "nullable")]
    pub history: Vec<History>,
    /// A remark, in Docker's configs.
    #[serde(default, skip_serializing_if = "String::is_empty", deserialize_with = "nullable")]
    pub comment: String,
    /// The version of the Docker that made it.
    #[serde(default, skip_serializing_if = "String::is_empty", deserialize_with = "nullable")]
    pub docker_version: String,
    /// The parent, in old Docker configs; shown, never followed.
    #[serde(default, skip_serializing_if = "String::is_empty", deserialize_with = "nullable")]
    pub parent: String,
}

impl ImageConfig {
    /// Reads a config and checks its bounds.
    pub fn parse(bytes: &[u8]) -> Result<Self, DocumentError> {
        bounded(bytes, limits::CONFIG)?;
        let config: Self = serde_json::from_slice(bytes)?;
        let (count, limit) = (config.rootfs.diff_ids.len(), limits::LAYERS);
        if count > limit {
            return Err(DocumentError::TooMany { what: "layers", count, limit });
        }
        Ok(config)
    }

    /// Checks that the manifest has a layer for each of ours.
    pub const fn check_layers(&self, manifest: &Manifest) -> Result<(), DocumentError> {
        let (diff_ids, layers) = (self.rootfs.diff_ids.len(), manifest.layers.len());
        if diff_ids == layers { Ok(()) } else { Err(DocumentError::LayerCount { diff_ids, layers }) }
    }

    /// Returns the platform in its normal spelling; what is missing is that of this machine.
    #[must_use]
    pub fn platform(&self) -> Platform {
        let host = Platform::host();
        let or = |text: &'_ str, host: String| if text.is_empty() { host } else { text.to_owned() };
        let (os, architecture) = (or(&self.os, host.os), or(&self.architecture, host.architecture));
        Platform::new(&os, &architecture, self.variant.as_deref())
    }
}

/// How to run an image.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct RunConfig {
    /// `user[:group]`, names or numbers.
    #[serde(default, skip_serializing_if = "String::is_empty", deserialize_with = "nullable")]
    pub user: String,
    /// Ports that it listens on, `80/tcp`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "nullable")]
    pub exposed_ports: BTreeMap<String, serde_json::Value>,
    /// `NAME=value`.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "nullable")]
    pub env: Vec<String>,
    /// What comes before the command; `None` and an empty list differ in what they override.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entrypoint: Option<Words>,
    /// The command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cmd: Option<Words>,
    /// Paths that are volumes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "nullable")]
    pub volumes: BTreeMap<String, serde_json::Value>,
    /// Where the command starts.
    #[serde(default, skip_serializing_if = "String::is_empty", deserialize_with = "nullable")]
    pub working_dir: String,
    /// Notes of the author.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "nullable")]
    pub labels: BTreeMap<String, String>,
    /// The signal that asks it to stop.
    #[serde(default, skip_serializing_if = "String::is_empty", deserialize_with = "nullable")]
    pub stop_signal: String,
    /// Seconds between that signal and the kill.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_timeout: Option<u32>,
    /// How to tell whether it is well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub healthcheck: Option<serde_json::Value>,
    /// Instructions for images built upon it.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "nullable")]
    pub on_build: Vec<String>,
    /// The shell of the shell forms.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "nullable")]
    pub shell: Vec<String>,
}

/// A command line: a list of words, or a single string as very old images have it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Words(pub Vec<String>);

impl<'de> Deserialize<'de> for Words {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Either {
            List(Vec<String>),
            One(String),
        }
        Ok(match Either::deserialize(deserializer)? {
            Either::List(words) => Self(words),
            Either::One(word) => Self(vec![word]),
        })
    }
}

/// The layers of an image by the digests of their unpacked streams.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootFs {
    /// Always `layers`.
    #[serde(rename = "type", default)]
    pub kind: String,
    /// The digests, lowest layer first.
    #[serde(default, deserialize_with = "nullable")]
    pub diff_ids: Vec<Digest>,
}

impl Default for RootFs {
    fn default() -> Self {
        Self { kind: "layers".to_owned(), diff_ids: Vec::new() }
    }
}

/// A step in the making of an image.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// When, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// By which instruction.
    #[serde(default, skip_serializing_if = "String::is_empty", deserialize_with = "nullable")]
    pub created_by: String,
    /// By whom.
    #[serde(default, skip_serializing_if = "String::is_empty", deserialize_with = "nullable")]
    pub author: String,
    /// A remark.
    #[serde(default, skip_serializing_if = "String::is_empty", deserialize_with = "nullable")]
    pub comment: String,
    /// Whether the step made no layer.
    #[serde(default, skip_serializing_if = "std::ops::Not::not", deserialize_with = "nullable")]
    pub empty_layer: bool,
}

#[cfg(test)]
mod tests;
