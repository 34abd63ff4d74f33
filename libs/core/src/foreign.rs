//! Text from outside: names in archives, paths in layers, labels, environment of images.
//!
//! A [`Foreign`] has no `Display`, so it cannot slip into a terminal, a unit file or a JSON document unescaped;
//! whoever shows it says where.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// A string that somebody else wrote.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Foreign(Vec<u8>);

impl Foreign {
    /// Wraps bytes.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into())
    }

    /// Returns the bytes as they came.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Returns the string for use in a system call.
    #[must_use]
    pub fn as_os_str(&self) -> &OsStr {
        OsStr::from_bytes(&self.0)
    }

    /// Returns the string with control characters, bidirectional overrides and broken UTF-8 as escapes.
    #[must_use]
    pub fn for_terminal(&self) -> String {
        for_terminal(&self.0)
    }

    /// Returns the string as JSON can hold it: broken UTF-8 replaced, the rest escaped by the writer of JSON.
    #[must_use]
    pub fn for_json(&self) -> String {
        String::from_utf8_lossy(&self.0).into_owned()
    }
}

/// Escapes for a terminal what could move its cursor, change its state or hide text.
#[must_use]
pub fn for_terminal(bytes: &[u8]) -> String {
    let mut shown = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for letter in chunk.valid().chars() {
            match letter {
                '\n' => shown.push_str("\\n"),
                '\t' => shown.push_str("\\t"),
                '\r' => shown.push_str("\\r"),
                letter if letter.is_control() && (letter as u32) < 256 => {
                    push_byte(&mut shown, letter as u32);
                }
                letter if is_invisible(letter) => shown.extend(letter.escape_unicode()),
                letter => shown.push(letter),
            }
        }
        for byte in chunk.invalid() {
            push_byte(&mut shown, u32::from(*byte));
        }
    }
    shown
}

fn push_byte(shown: &mut String, byte: u32) {
    shown.push_str("\\x");
    for shift in [4, 0] {
        shown.push(char::from_digit(byte >> shift & 15, 16).unwrap_or('?'));
    }
}

/// Marks that reorder or hide what stands around them.
const fn is_invisible(letter: char) -> bool {
    matches!(letter,
        '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

impl std::fmt::Debug for Foreign {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Foreign({:?})", self.for_terminal())
    }
}

impl From<&str> for Foreign {
    fn from(text: &str) -> Self {
        Self(text.as_bytes().to_vec())
    }
}

impl From<String> for Foreign {
    fn from(text: String) -> Self {
        Self(text.into_bytes())
    }
}

impl From<OsString> for Foreign {
    fn from(text: OsString) -> Self {
        Self(text.into_vec())
    }
}

impl From<&OsStr> for Foreign {
    fn from(text: &OsStr) -> Self {
        Self(text.as_bytes().to_vec())
    }
}

impl From<&std::path::Path> for Foreign {
    fn from(path: &std::path::Path) -> Self {
        Self::from(path.as_os_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_escaped() {
        assert_eq!(for_terminal(b"plain \xc3\xa9"), "plain \u{e9}");
        assert_eq!(for_terminal(b"\x1b]0;evil\x07\n"), "\\x1b]0;evil\\x07\\n");
        assert_eq!(for_terminal("a\u{9b}31m".as_bytes()), "a\\x9b31m");
        assert_eq!(for_terminal("\u{202e}txt.exe".as_bytes()), "\\u{202e}txt.exe");
        assert_eq!(for_terminal(b"bad\xff"), "bad\\xff");
    }

    #[test]
    fn bytes_survive_inside() {
        let name = Foreign::new(b"a\xff\0".to_vec());
        assert_eq!(name.as_bytes(), b"a\xff\0");
        assert_eq!(name.for_json(), "a\u{fffd}\0");
        assert!(!format!("{name:?}").contains('\0'));
    }
}
