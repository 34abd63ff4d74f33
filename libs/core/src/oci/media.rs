//! Media types, and how those of Docker and OCI correspond.

/// OCI's image manifest.
pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// OCI's index.
pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// OCI's image config.
pub const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// OCI's layer, not compressed.
pub const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
/// OCI's layer in gzip.
pub const OCI_LAYER_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
/// OCI's layer in zstd.
pub const OCI_LAYER_ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";
/// Docker's manifest.
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// Docker's manifest list.
pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
/// Docker's image config.
pub const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
/// Docker's layer, not compressed.
pub const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar";
/// Docker's layer in gzip.
pub const DOCKER_LAYER_GZIP: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";
/// Docker's layer in zstd, which some tools write.
pub const DOCKER_LAYER_ZSTD: &str = "application/vnd.docker.image.rootfs.diff.tar.zstd";
/// Docker's layer that may not be distributed.
pub const DOCKER_FOREIGN_LAYER: &str = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
/// The same, not packed.
pub const DOCKER_FOREIGN_LAYER_PLAIN: &str = "application/vnd.docker.image.rootfs.foreign.diff.tar";
/// A layer that is not to be distributed, as OCI names it.
pub const OCI_FOREIGN_LAYER: &str = "application/vnd.oci.image.layer.nondistributable.v1.tar";
/// The same, packed with gzip.
pub const OCI_FOREIGN_LAYER_GZIP: &str = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip";
/// The same, packed with zstd.
pub const OCI_FOREIGN_LAYER_ZSTD: &str = "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd";

/// What a document is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// One image.
    Manifest,
    /// Several.
    Index,
}

impl Kind {
    /// Names it in a message.
    #[must_use]
    pub const fn noun(self) -> &'static str {
        match self {
            Self::Manifest => "an image manifest",
            Self::Index => "an index",
        }
    }
}

/// Whose names a document uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Docker's schema 2.
    Docker,
    /// OCI's.
    Oci,
}

impl Family {
    /// The media type of a manifest.
    #[must_use]
    pub const fn manifest(self) -> &'static str {
        match self {
            Self::Docker => DOCKER_MANIFEST,
            Self::Oci => OCI_MANIFEST,
        }
    }

    /// The media type of an index.
    #[must_use]
    pub const fn index(self) -> &'static str {
        match self {
            Self::Docker => DOCKER_LIST,
            Self::Oci => OCI_INDEX,
        }
    }

    /// The media type of a config.
    #[must_use]
    pub const fn config(self) -> &'static str {
        match self {
            Self::Docker => DOCKER_CONFIG,
            Self::Oci => OCI_CONFIG,
        }
    }

    /// The media type of a layer in some compression that is not to be distributed.
    #[must_use]
    pub const fn foreign_layer(self, compression: Compression) -> Option<&'static str> {
        Some(match (self, compression) {
            (Self::Docker, Compression::None) => DOCKER_FOREIGN_LAYER_PLAIN,
            (Self::Docker, Compression::Gzip) => DOCKER_FOREIGN_LAYER,
            (Self::Oci, Compression::None) => OCI_FOREIGN_LAYER,
            (Self::Oci, Compression::Gzip) => OCI_FOREIGN_LAYER_GZIP,
            (Self::Oci, Compression::Zstd) => OCI_FOREIGN_LAYER_ZSTD,
            (Self::Docker, Compression::Zstd) | (_, Compression::Xz) => return None,
        })
    }

    /// The media type of a layer in some compression; Docker's family has no zstd of its own.
    #[must_use]
    pub const fn layer(self, compression: Compression) -> Option<&'static str> {
        Some(match (self, compression) {
            (Self::Docker, Compression::None) => DOCKER_LAYER,
            (Self::Docker, Compression::Gzip) => DOCKER_LAYER_GZIP,
            (Self::Oci, Compression::None) => OCI_LAYER,
            (Self::Oci, Compression::Gzip) => OCI_LAYER_GZIP,
            (Self::Oci, Compression::Zstd) => OCI_LAYER_ZSTD,
            (Self::Docker, Compression::Zstd) | (_, Compression::Xz) => return None,
        })
    }
}

/// Whether a layer of a media type is not to be distributed: it stays where its URLs say.
#[must_use]
pub fn is_foreign(media_type: &str) -> bool {
    matches!(media_type, DOCKER_FOREIGN_LAYER | DOCKER_FOREIGN_LAYER_PLAIN)
        || media_type.starts_with(OCI_FOREIGN_LAYER)
}

/// How a layer's stream is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// gzip.
    Gzip,
    /// Zstandard.
    Zstd,
    /// xz: only in archives that are imported.
    Xz,
}

/// Says what a document of a media type is, if that means something to us.
#[must_use]
pub fn kind(media_type: &str) -> Option<Kind> {
    match media_type {
        OCI_MANIFEST | DOCKER_MANIFEST => Some(Kind::Manifest),
        OCI_INDEX | DOCKER_LIST => Some(Kind::Index),
        _ => None,
    }
}

/// Says whose a media type is.
#[must_use]
pub fn family(media_type: &str) -> Option<Family> {
    if media_type.starts_with("application/vnd.docker.") {
        Some(Family::Docker)
    } else if media_type.starts_with("application/vnd.oci.") {
        Some(Family::Oci)
    } else {
        None
    }
}

/// Says how a layer of a media type is packed, if it is one; the bytes themselves have the last word.
#[must_use]
pub fn layer_compression(media_type: &str) -> Option<Compression> {
    let oci = media_type
        .strip_prefix("application/vnd.oci.image.layer.v1.tar")
        .or_else(|| media_type.strip_prefix(OCI_FOREIGN_LAYER));
    match (media_type, oci) {
        (DOCKER_LAYER | DOCKER_FOREIGN_LAYER_PLAIN, _) | (_, Some("")) => Some(Compression::None),
        (DOCKER_LAYER_GZIP | DOCKER_FOREIGN_LAYER, _) | (_, Some("+gzip")) => Some(Compression::Gzip),
        (DOCKER_LAYER_ZSTD, _) | (_, Some("+zstd")) => Some(Compression::Zstd),
        _ => None,
    }
}

/// Returns whether a config of this media type belongs to an image that can be run.
#[must_use]
pub fn is_image_config(media_type: &str) -> bool {
    matches!(media_type, OCI_CONFIG | DOCKER_CONFIG)
}
