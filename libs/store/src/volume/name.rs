//! Names of volumes.

/// Longest name: what a file can be called.
const MAX: usize = 255;

/// Tells whether a text can be a volume's name: what podman takes, and a plain file name at that.
#[must_use]
pub fn valid(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    let starts_well = name.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    starts_well && name.len() <= MAX && name.bytes().all(fits)
}

/// A name for a volume that nobody named.
///
/// # Errors
/// There are no random bytes.
pub fn random() -> std::io::Result<String> {
    ctr_core::id::random_hex(32)
}
