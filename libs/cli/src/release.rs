//! Which build of the programs this is.

use crate::voice::Voice;

/// The version of the release.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The version of podman whose behaviour is the model, which scripts ask for.
pub const PODMAN: &str = "6.0.0";

/// The version of buildah that belongs to it.
pub const BUILDAH: &str = "1.44.0";

/// The version of skopeo that belongs to it.
pub const SKOPEO: &str = "1.22.0";

/// The version to show under a name.
#[must_use]
pub const fn shown(voice: Voice) -> &'static str {
    match voice {
        Voice::Ctr | Voice::Docker => VERSION,
        Voice::Podman => PODMAN,
        Voice::Buildah => BUILDAH,
        Voice::Skopeo => SKOPEO,
    }
}

/// The commit that was built, where the build was told.
pub const COMMIT: Option<&str> = match option_env!("CTR_COMMIT") {
    Some(commit) if !commit.is_empty() => Some(commit),
    _ => None,
};

/// When it was built, in seconds since 1970, where the build was told.
const BUILT: Option<&str> = option_env!("SOURCE_DATE_EPOCH");

/// What tells two builds apart: programs that exec each other must be of one.
#[must_use]
pub fn id() -> String {
    match COMMIT {
        Some(commit) => format!("{VERSION}+{commit}"),
        None => VERSION.to_owned(),
    }
}

/// When this was built, in seconds since 1970, where the build was told.
#[must_use]
pub fn built() -> Option<i64> {
    BUILT?.parse().ok()
}
