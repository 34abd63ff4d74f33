//! Strings in quotes, as Go's `strconv` writes them.

use crate::text::Put as _;

/// Which letters are written as escapes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Letters {
    /// Those that cannot be printed.
    Unprintable,
    /// Those outside ASCII too.
    NotAscii,
}

/// In double quotes, as `%q` writes it.
#[must_use]
pub fn double(text: &[u8]) -> String {
    quote(text, '"', Letters::Unprintable)
}

/// In double quotes, ASCII only, as `%+q` writes it.
#[must_use]
pub fn ascii(text: &[u8]) -> String {
    quote(text, '"', Letters::NotAscii)
}

/// One letter in single quotes, as `%q` writes it.
#[must_use]
pub fn single(letter: char) -> String {
    quote(letter.encode_utf8(&mut [0; 4]).as_bytes(), '\'', Letters::Unprintable)
}

/// One letter in single quotes, ASCII only, as `%+q` writes it.
#[must_use]
pub fn single_ascii(letter: char) -> String {
    quote(letter.encode_utf8(&mut [0; 4]).as_bytes(), '\'', Letters::NotAscii)
}

fn quote(text: &[u8], mark: char, letters: Letters) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push(mark);
    for chunk in text.utf8_chunks() {
        for letter in chunk.valid().chars() {
            push(&mut quoted, letter, mark, letters);
        }
        for byte in chunk.invalid() {
            quoted.put(format_args!("\\x{byte:02x}"));
        }
    }
    quoted.push(mark);
    quoted
}

fn push(quoted: &mut String, letter: char, mark: char, letters: Letters) {
    match letter {
        '\\' => quoted.push_str("\\\\"),
        letter if letter == mark => {
            quoted.push('\\');
            quoted.push(letter);
        }
        ' '..='~' => quoted.push(letter),
        letter if !letter.is_ascii() && letters == Letters::Unprintable && is_printable(letter) => {
            quoted.push(letter);
        }
        '\x07' => quoted.push_str("\\a"),
        '\x08' => quoted.push_str("\\b"),
        '\x0c' => quoted.push_str("\\f"),
        '\n' => quoted.push_str("\\n"),
        '\r' => quoted.push_str("\\r"),
        '\t' => quoted.push_str("\\t"),
        '\x0b' => quoted.push_str("\\v"),
        letter if letter < ' ' || letter == '\x7f' => quoted.put(format_args!("\\x{:02x}", letter as u32)),
        letter if (letter as u32) < 0x1_0000 => quoted.put(format_args!("\\u{:04x}", letter as u32)),
        letter => quoted.put(format_args!("\\U{:08x}", letter as u32)),
    }
}

/// Go's `strconv.IsPrint` for a letter outside ASCII. Rust's own table of what `Debug` escapes is nearly the same; it
/// prints no spaces either.
pub(crate) fn is_printable(letter: char) -> bool {
    letter.escape_debug().len() == 1 || is_mark(letter)
}

/// Marks that join the letter before: Rust escapes them when they stand alone, Go never does.
fn is_mark(letter: char) -> bool {
    let mut pair = String::from("a");
    pair.push(letter);
    pair.escape_debug().count() == 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_are_gos() {
        for (text, expected) in [
            (&b""[..], "\"\""),
            (b"a\"b'\\", "\"a\\\"b'\\\\\""),
            (b"\n\t\x07\x00\x7f", "\"\\n\\t\\a\\x00\\x7f\""),
            (b"\xff\xc3\xa9", "\"\\xff\u{e9}\""),
            ("\u{a0}\u{200b}\u{feff}\u{1f600}".as_bytes(), "\"\\u00a0\\u200b\\ufeff\u{1f600}\""),
            ("e\u{301}".as_bytes(), "\"e\u{301}\""),
        ] {
            assert_eq!(double(text), expected);
        }
        assert_eq!(ascii("\u{e9}\u{1f600}".as_bytes()), "\"\\u00e9\\U0001f600\"");
        assert_eq!(single('\''), "'\\''");
        assert_eq!(single('\u{e9}'), "'\u{e9}'");
        assert_eq!(single_ascii('\u{e9}'), "'\\u00e9'");
    }
}
