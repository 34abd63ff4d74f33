//! Texts made safe for HTML, JavaScript and queries, and letters mapped, as Go does it.

use super::quote;
use crate::text::Put as _;

/// Escapes for HTML.
pub(super) fn html(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for byte in text {
        match byte {
            b'\0' => out.extend_from_slice("\u{fffd}".as_bytes()),
            b'"' => out.extend_from_slice(b"&#34;"),
            b'\'' => out.extend_from_slice(b"&#39;"),
            b'&' => out.extend_from_slice(b"&amp;"),
            b'<' => out.extend_from_slice(b"&lt;"),
            b'>' => out.extend_from_slice(b"&gt;"),
            byte => out.push(*byte),
        }
    }
    out
}

/// Escapes for a string of JavaScript.
pub(super) fn js(text: &[u8]) -> Vec<u8> {
    let mut out = String::with_capacity(text.len());
    for chunk in text.utf8_chunks() {
        for letter in chunk.valid().chars() {
            match letter {
                '\\' => out.push_str("\\\\"),
                '\'' => out.push_str("\\'"),
                '"' => out.push_str("\\\""),
                '<' => out.push_str("\\u003C"),
                '>' => out.push_str("\\u003E"),
                '&' => out.push_str("\\u0026"),
                '=' => out.push_str("\\u003D"),
                letter if letter < ' ' => out.put(format_args!("\\u{:04X}", letter as u32)),
                letter if letter.is_ascii() || quote::is_printable(letter) => out.push(letter),
                letter => out.put(format_args!("\\u{:04X}", letter as u32)),
            }
        }
        // Go writes the sign for broken UTF-8, which can be printed, as the broken byte itself; JSON could not hold it.
        chunk.invalid().iter().for_each(|_| out.push('\u{fffd}'));
    }
    out.into_bytes()
}

/// Escapes for the query of a URL.
pub(super) fn url_query(text: &[u8]) -> Vec<u8> {
    let mut out = String::with_capacity(text.len());
    for byte in text {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                out.push(char::from(*byte));
            }
            b' ' => out.push('+'),
            byte => out.put(format_args!("%{byte:02X}")),
        }
    }
    out.into_bytes()
}

/// The lower-case letter, where it is one letter.
pub(super) fn lower(letter: char) -> char {
    let mut mapped = letter.to_lowercase();
    match (mapped.next(), mapped.next()) {
        (Some(mapped), None) => mapped,
        _ => letter,
    }
}

/// The upper-case letter, where it is one letter.
pub(super) fn upper(letter: char) -> char {
    let mut mapped = letter.to_uppercase();
    match (mapped.next(), mapped.next()) {
        (Some(mapped), None) => mapped,
        _ => letter,
    }
}

/// The text with the first letter of each word in upper case.
pub(super) fn title(text: &[u8]) -> Vec<u8> {
    let mut out = String::with_capacity(text.len());
    let mut before = ' ';
    for letter in String::from_utf8_lossy(text).chars() {
        out.push(if is_separator(before) { upper(letter) } else { letter });
        before = letter;
    }
    out.into_bytes()
}

/// What stands between words, as Go sees it.
fn is_separator(letter: char) -> bool {
    if letter.is_ascii() {
        return !letter.is_ascii_alphanumeric() && letter != '_';
    }
    !letter.is_alphanumeric() && letter.is_whitespace()
}

/// The parts of a text between separators; its letters, if the separator is empty.
pub(super) fn split<'a>(text: &'a [u8], separator: &[u8]) -> Vec<&'a [u8]> {
    let mut parts = Vec::new();
    let mut rest = text;
    if separator.is_empty() {
        while !rest.is_empty() {
            let width = super::print::letter_width(rest);
            let (letter, after) = rest.split_at(width);
            parts.push(letter);
            rest = after;
        }
        return parts;
    }
    while let Some(at) = rest.windows(separator.len()).position(|window| window == separator) {
        parts.push(&rest[..at]);
        rest = &rest[at + separator.len()..];
    }
    parts.push(rest);
    parts
}
