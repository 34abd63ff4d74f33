//! `--detach-keys`: what to type to leave a container alone.

/// A sequence of keys that detaches; an empty one never does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DetachKeys(Vec<u8>);

/// What is no sequence of keys, in Podman's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid detach keys: Unknown character: '{0}'")]
pub struct KeysError(String);

impl Default for DetachKeys {
    fn default() -> Self {
        Self(vec![0x10, 0x11])
    }
}

impl DetachKeys {
    /// The keys that detach where nothing else is said.
    pub const DEFAULT: &str = "ctrl-p,ctrl-q";

    /// Keys that never detach.
    #[must_use]
    pub const fn none() -> Self {
        Self(Vec::new())
    }

    /// Reads keys with commas between them: a character, `DEL`, or `ctrl-` and one of `@`, `a` to `z`, `[`, `\`, `]`, `^`,
    /// `_`. Nothing at all are no keys.
    ///
    /// # Errors
    /// Anything else.
    pub fn parse(text: &str) -> Result<Self, KeysError> {
        if text.is_empty() {
            return Ok(Self::none());
        }
        text.split(',')
            .map(|key| code(key).ok_or_else(|| KeysError(key.to_owned())))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Looks for the keys in what is typed.
    #[must_use]
    pub fn matcher(&self) -> Matcher {
        Matcher { keys: self.0.clone(), matched: 0 }
    }
}

/// The byte of a key.
fn code(key: &str) -> Option<u8> {
    match key.as_bytes() {
        [byte] => Some(*byte),
        b"DEL" => Some(127),
        [b'c', b't', b'r', b'l', b'-', key @ (b'@' | b'a'..=b'z' | b'['..=b'_')] => Some(key & 0x1f),
        _ => None,
    }
}

/// Looks for detach keys in what is typed, piece by piece.
#[derive(Debug)]
pub struct Matcher {
    keys: Vec<u8>,
    /// How many of the keys were typed last, and are held back.
    matched: usize,
}

/// What typing came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Typed {
    /// Input for the container.
    Input,
    /// The user wants to leave; what follows the keys is dropped.
    Detach,
}

impl Matcher {
    /// Takes what was typed and adds to `input` what is for the container. The beginning of the keys is held back until it
    /// is clear whether they are meant.
    pub fn feed(&mut self, typed: &[u8], input: &mut Vec<u8>) -> Typed {
        if self.keys.is_empty() {
            input.extend_from_slice(typed);
            return Typed::Input;
        }
        for byte in typed {
            self.take(*byte, input);
            if self.matched == self.keys.len() {
                self.matched = 0;
                return Typed::Detach;
            }
        }
        Typed::Input
    }

    /// Takes one byte: what is held back is then the longest beginning of the keys that was typed last.
    fn take(&mut self, byte: u8, input: &mut Vec<u8>) {
        let held = self.matched;
        let mut recent = self.keys[..held].to_vec();
        recent.push(byte);
        let length = (0..=recent.len()).rev().find(|length| recent.ends_with(&self.keys[..*length]));
        self.matched = length.unwrap_or_default();
        input.extend_from_slice(&recent[..recent.len() - self.matched]);
    }

    /// Nothing more is typed: what was held back is for the container.
    pub fn finish(&mut self, input: &mut Vec<u8>) {
        input.extend_from_slice(&self.keys[..std::mem::take(&mut self.matched)]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What gets through of some pieces, and whether they detach.
    fn typed(keys: &str, pieces: &[&[u8]]) -> (Vec<u8>, bool) {
        let mut matcher = DetachKeys::parse(keys).unwrap().matcher();
        let mut input = Vec::new();
        for piece in pieces {
            if matcher.feed(piece, &mut input) == Typed::Detach {
                return (input, true);
            }
        }
        matcher.finish(&mut input);
        (input, false)
    }

    #[test]
    fn keys_are_read_as_podman_reads_them() {
        assert_eq!(DetachKeys::parse(DetachKeys::DEFAULT), Ok(DetachKeys::default()));
        assert_eq!(DetachKeys::parse(""), Ok(DetachKeys::none()));
        assert_eq!(
            DetachKeys::parse("a,ctrl-@,ctrl-[,ctrl-\\,ctrl-],ctrl-^,ctrl-_,DEL,%"),
            Ok(DetachKeys(vec![b'a', 0, 27, 28, 29, 30, 31, 127, b'%']))
        );
        assert_eq!(DetachKeys::parse("ctrl-a,ctrl-z"), Ok(DetachKeys(vec![1, 26])));
        for (bad, key) in [
            ("ctrl-A", "ctrl-A"),
            ("ctrl-", "ctrl-"),
            ("ctrl-ab", "ctrl-ab"),
            ("a,,b", ""),
            ("a,", ""),
            ("esc", "esc"),
            ("ö", "ö"),
            ("ctrl-1", "ctrl-1"),
        ] {
            let error = DetachKeys::parse(bad).unwrap_err();
            assert_eq!(error.to_string(), format!("invalid detach keys: Unknown character: '{key}'"));
        }
    }

    #[test]
    fn keys_detach_in_one_piece_or_several() {
        assert_eq!(typed(DetachKeys::DEFAULT, &[b"ab\x10\x11cd"]), (b"ab".to_vec(), true));
        assert_eq!(typed(DetachKeys::DEFAULT, &[b"ab\x10", b"\x11"]), (b"ab".to_vec(), true));
        assert_eq!(typed("x", &[b"abxc"]), (b"ab".to_vec(), true));
    }

    #[test]
    fn what_only_begins_like_them_gets_through() {
        assert_eq!(
            typed(DetachKeys::DEFAULT, &[b"\x10", b"\x10\x10", b"a"]),
            (b"\x10\x10\x10a".to_vec(), false)
        );
        assert_eq!(typed(DetachKeys::DEFAULT, &[b"a\x10"]), (b"a\x10".to_vec(), false));
        assert_eq!(typed(DetachKeys::DEFAULT, &[b"\x10\x10\x11"]), (b"\x10".to_vec(), true));
        assert_eq!(typed("a,a,b", &[b"aaab"]), (b"a".to_vec(), true));
        assert_eq!(typed("a,b,a,c", &[b"ababac"]), (b"ab".to_vec(), true));
    }

    #[test]
    fn without_keys_everything_gets_through() {
        assert_eq!(typed("", &[b"\x10\x11", b"q"]), (b"\x10\x11q".to_vec(), false));
    }
}
