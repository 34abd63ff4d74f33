//! Random identifiers of 64 hexadecimal digits, and looking things up by the first few.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::digest::push_hex;

/// The identity of a container.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ContainerId(String);

/// A text is no identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an identifier is 64 lower-case hexadecimal digits")]
pub struct IdError;

impl ContainerId {
    /// Draws a new one.
    pub fn random() -> std::io::Result<Self> {
        random_hex(32).map(Self)
    }

    /// Reads the 64 digits.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        if text.len() == 64 && is_hex(text) { Ok(Self(text.to_owned())) } else { Err(IdError) }
    }

    /// Returns all 64 digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the first twelve digits, the form that people see.
    #[must_use]
    pub fn short(&self) -> &str {
        &self.0[..12]
    }
}

impl fmt::Display for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for ContainerId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for ContainerId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

/// Returns whether the text has only lower-case hexadecimal digits, and at least one.
#[must_use]
pub fn is_hex(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Draws `bytes` random bytes and returns them as hexadecimal digits.
pub fn random_hex(bytes: usize) -> std::io::Result<String> {
    let mut buffer = vec![0; bytes];
    fill_random(&mut buffer)?;
    let mut text = String::with_capacity(bytes * 2);
    push_hex(&mut text, &buffer);
    Ok(text)
}

/// Fills a buffer from the kernel's random source.
pub fn fill_random(mut buffer: &mut [u8]) -> std::io::Result<()> {
    while !buffer.is_empty() {
        let filled = match rustix::rand::getrandom(&mut *buffer, rustix::rand::GetRandomFlags::empty()) {
            Ok(filled) => filled,
            Err(rustix::io::Errno::INTR) => 0,
            Err(error) => return Err(error.into()),
        };
        buffer = &mut buffer[filled..];
    }
    Ok(())
}

/// What a prefix of an identifier stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Match<T> {
    /// Nothing begins so.
    None,
    /// One thing does.
    One(T),
    /// Several do: two of them.
    Several(T, T),
}

/// Finds what begins with `prefix`; something equal to it wins over what is longer.
pub fn by_prefix<T: AsRef<str>>(prefix: &str, ids: impl IntoIterator<Item = T>) -> Match<T> {
    let mut found = Match::None;
    for id in ids {
        if id.as_ref() == prefix {
            return Match::One(id);
        }
        if prefix.is_empty() || !id.as_ref().starts_with(prefix) {
            continue;
        }
        found = match found {
            Match::None => Match::One(id),
            Match::One(first) => Match::Several(first, id),
            several @ Match::Several(..) => several,
        };
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_ones_differ_and_read_back() {
        let (one, two) = (ContainerId::random().unwrap(), ContainerId::random().unwrap());
        assert_ne!(one, two);
        assert_eq!(ContainerId::parse(one.as_str()), Ok(one.clone()));
        assert_eq!(one.short().len(), 12);
        for bad in
            ["", "abc", &one.as_str().to_uppercase().replace('0', "A"), &format!("{}/", &one.as_str()[1..])]
        {
            assert!(ContainerId::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn prefixes() {
        let ids = ["abc", "abd", "b", "bc"];
        assert_eq!(by_prefix("abd", ids), Match::One("abd"));
        assert_eq!(by_prefix("ab", ids), Match::Several("abc", "abd"));
        assert_eq!(by_prefix("b", ids), Match::One("b"));
        assert_eq!(by_prefix("x", ids), Match::None);
        assert_eq!(by_prefix("", ids), Match::None);
    }
}
