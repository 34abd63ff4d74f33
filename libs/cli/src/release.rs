//! Which build of the programs this is.

/// The version of the release.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The commit that was built, where the build was told.
pub const COMMIT: Option<&str> = option_env!("CTR_COMMIT");

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
