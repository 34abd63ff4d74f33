//! Paths of a layer as they are written to disk.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A path inside a layer, relative to its top: any bytes but NUL.
///
/// In JSON it is a string in which a backslash is doubled and what is no UTF-8 is `\xNN`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct LayerPath(Vec<u8>);

impl LayerPath {
    /// Wraps a path.
    pub fn new(path: impl Into<Vec<u8>>) -> Self {
        Self(path.into())
    }

    /// Returns the bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Returns it as a path.
    #[must_use]
    pub fn as_path(&self) -> &Path {
        Path::new(OsStr::from_bytes(&self.0))
    }

    fn escaped(&self) -> String {
        let mut text = String::with_capacity(self.0.len());
        for chunk in self.0.utf8_chunks() {
            text.push_str(&chunk.valid().replace('\\', r"\\"));
            for byte in chunk.invalid() {
                text.push_str(r"\x");
                for digit in [byte >> 4, byte & 15] {
                    text.extend(char::from_digit(digit.into(), 16));
                }
            }
        }
        text
    }

    fn parse(text: &str) -> Option<Self> {
        let mut bytes = Vec::with_capacity(text.len());
        let mut rest = text.as_bytes();
        while let Some((first, after)) = rest.split_first() {
            rest = after;
            if *first != b'\\' {
                bytes.push(*first);
            } else if let Some(after) = rest.strip_prefix(b"\\") {
                bytes.push(b'\\');
                rest = after;
            } else {
                let [b'x', high, low, after @ ..] = rest else { return None };
                let digit =
                    |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
                bytes.push(digit(*high)? << 4 | digit(*low)?);
                rest = after;
            }
        }
        Some(Self(bytes))
    }
}

impl fmt::Debug for LayerPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.escape_ascii())
    }
}

impl Serialize for LayerPath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.escaped())
    }
}

impl<'de> Deserialize<'de> for LayerPath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom("a path with a broken escape"))
    }
}

#[cfg(test)]
mod tests {
    use super::LayerPath;

    #[test]
    fn any_path_survives_json() {
        for bytes in [b"etc/x".as_slice(), b"", b"a\\xff", b"\xff\xfe\\", b"\xc3\xa9\n\"\x1b", b"\\\\x41"] {
            let path = LayerPath::new(bytes);
            let json = serde_json::to_string(&path).unwrap();
            assert_eq!(serde_json::from_str::<LayerPath>(&json).unwrap(), path, "{json}");
        }
        for broken in [r#""a\\""#, r#""\\x4""#, r#""\\n""#, r#""\\xzz""#] {
            assert!(serde_json::from_str::<LayerPath>(broken).is_err(), "{broken}");
        }
    }
}
