//! Reading the values of flags, and saying in Go's words what is wrong with them.

use super::flag::{Flag, Kind};
use crate::human::time::parse_duration;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

/// Checks a value that was given for a flag.
///
/// # Errors
/// The cause, as it stands at the end of `invalid argument "x" for "--y" flag: …`.
pub(super) fn check(flag: &Flag, value: &OsStr) -> Result<(), String> {
    if flag.kind == Kind::Path {
        return Ok(());
    }
    let Some(text) = value.to_str() else { return Err("not valid UTF-8".to_owned()) };
    match flag.kind {
        Kind::Bool => bool(text).map(drop),
        Kind::Int => int(text).map(drop),
        Kind::Uint => uint(text).map(drop),
        Kind::Float => float(text).map(drop),
        Kind::Duration => parse_duration(text).map(drop).map_err(|error| error.to_string()),
        Kind::Strings => csv(text).map(drop),
        Kind::Choice(choices) if !choices.contains(&text) => {
            Err(format!("{text:?} is not a valid value.  Choose from: {:?}", choices.join(", ")))
        }
        Kind::String | Kind::Array | Kind::Path | Kind::Choice(_) => Ok(()),
    }
}

/// Quotes a value as Go's `%q` does.
pub(super) fn quoted(value: &OsStr) -> String {
    crate::template::quote::double(value.as_bytes())
}

/// Go's `strconv.ParseBool`.
pub(super) fn bool(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(false),
        _ => Err(syntax("ParseBool", text)),
    }
}

fn syntax(function: &str, text: &str) -> String {
    format!("strconv.{function}: parsing {}: invalid syntax", crate::template::quote::double(text.as_bytes()))
}

fn range(function: &str, text: &str) -> String {
    format!(
        "strconv.{function}: parsing {}: value out of range",
        crate::template::quote::double(text.as_bytes())
    )
}

/// Go's `strconv.ParseInt` with base 0.
pub(super) fn int(text: &str) -> Result<i64, String> {
    let (negative, digits) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    let size = digits_of(digits).map_err(|fault| fault.say("ParseInt", text))?;
    let signed = if negative { 0i64.checked_sub_unsigned(size) } else { i64::try_from(size).ok() };
    signed.ok_or_else(|| range("ParseInt", text))
}

/// Go's `strconv.ParseUint` with base 0.
pub(super) fn uint(text: &str) -> Result<u64, String> {
    digits_of(text).map_err(|fault| fault.say("ParseUint", text))
}

/// Go's `strconv.ParseFloat`, without hexadecimal.
pub(super) fn float(text: &str) -> Result<f64, String> {
    let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-._".contains(&byte));
    let number = if plain { text.parse::<f64>().ok() } else { None };
    match number {
        Some(number) if number.is_infinite() && text.bytes().any(|byte| byte.is_ascii_digit()) => {
            Err(range("ParseFloat", text))
        }
        Some(number) => Ok(number),
        None => Err(syntax("ParseFloat", text)),
    }
}

enum Fault {
    Syntax,
    Range,
}

impl Fault {
    fn say(&self, function: &str, text: &str) -> String {
        match self {
            Self::Syntax => syntax(function, text),
            Self::Range => range(function, text),
        }
    }
}

/// Digits with a prefix for their base, and underscores where Go allows them: between digits and after a prefix.
fn digits_of(text: &str) -> Result<u64, Fault> {
    let lower = text.to_ascii_lowercase();
    let (base, digits) = match lower.as_bytes() {
        [b'0', b'x', ..] => (16, &lower[2..]),
        [b'0', b'o', ..] => (8, &lower[2..]),
        [b'0', b'b', ..] => (2, &lower[2..]),
        [b'0', _, ..] => (8, &lower[1..]),
        _ => (10, &*lower),
    };
    let prefixed = digits.len() < lower.len();
    let misplaced = (!prefixed && digits.starts_with('_')) || digits.ends_with('_') || digits.contains("__");
    if digits.is_empty() || misplaced {
        return Err(Fault::Syntax);
    }
    let mut number: Option<u64> = Some(0);
    for digit in digits.chars().filter(|digit| *digit != '_') {
        let value = digit.to_digit(base).ok_or(Fault::Syntax)?;
        number = number.and_then(|so_far| so_far.checked_mul(base.into())?.checked_add(value.into()));
    }
    number.ok_or(Fault::Range)
}

/// One line of CSV, as Go's `encoding/csv` reads it.
pub(super) fn csv(text: &str) -> Result<Vec<String>, String> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let line = text.split(['\n']).next().unwrap_or_default();
    let mut fields = Vec::new();
    let mut rest = line;
    loop {
        let (field, after) = match rest.strip_prefix('"') {
            Some(inside) => quoted_field(inside, text, line.len())?,
            None => plain_field(rest, line.len() - rest.len())?,
        };
        fields.push(field);
        match after {
            Some(after) => rest = after,
            None => return Ok(fields),
        }
    }
}

/// A field without quotes: up to the next comma.
fn plain_field(rest: &str, column: usize) -> Result<(String, Option<&str>), String> {
    let (field, after) = match rest.split_once(',') {
        Some((field, after)) => (field, Some(after)),
        None => (rest, None),
    };
    match field.find('"') {
        Some(at) => {
            Err(format!("parse error on line 1, column {}: bare \" in non-quoted field", column + at + 1))
        }
        None => Ok((field.to_owned(), after)),
    }
}

/// A field in quotes, in which a quote is doubled.
fn quoted_field<'a>(inside: &'a str, text: &str, length: usize) -> Result<(String, Option<&'a str>), String> {
    let mut field = String::new();
    let mut rest = inside;
    loop {
        let Some((before, after)) = rest.split_once('"') else {
            let at = if text.len() > length { length + 1 } else { text.len() };
            return Err(format!(
                "parse error on line 1, column {}: extraneous or missing \" in quoted-field",
                at + 1
            ));
        };
        field.push_str(before);
        if let Some(after) = after.strip_prefix('"') {
            field.push('"');
            rest = after;
        } else if let Some(after) = after.strip_prefix(',') {
            return Ok((field, Some(after)));
        } else if after.is_empty() {
            return Ok((field, None));
        } else {
            let at = length - after.len();
            return Err(format!(
                "parse error on line 1, column {at}: extraneous or missing \" in quoted-field"
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_gos() {
        for (text, expected) in [
            ("0", Ok(0)),
            ("-12", Ok(-12)),
            ("+7", Ok(7)),
            ("0x1F", Ok(31)),
            ("0b11", Ok(3)),
            ("017", Ok(15)),
            ("0o17", Ok(15)),
            ("1_000", Ok(1000)),
            ("0x_1", Ok(1)),
            ("9223372036854775807", Ok(i64::MAX)),
            ("-9223372036854775808", Ok(i64::MIN)),
        ] {
            assert_eq!(int(text), expected, "{text}");
        }
        for text in ["", "x", "1_", "_1", "1__0", "09", "0x", "-", "1.5"] {
            let expected = format!("strconv.ParseInt: parsing {text:?}: invalid syntax");
            assert_eq!(int(text), Err(expected), "{text}");
        }
        assert!(int("9223372036854775808").is_err_and(|cause| cause.ends_with("value out of range")));
        assert!(uint("-1").is_err_and(|cause| cause.ends_with("ParseUint: parsing \"-1\": invalid syntax")));
        assert_eq!(uint("18446744073709551615"), Ok(u64::MAX));
        assert_eq!(float("1.5"), Ok(1.5));
        assert!(float("1e999").is_err_and(|cause| cause.ends_with("out of range")));
    }

    #[test]
    fn commas_split_as_in_csv() {
        let fields = |text: &str| csv(text).expect(text);
        assert_eq!(fields(""), Vec::<String>::new());
        assert_eq!(fields("a,b"), ["a", "b"]);
        assert_eq!(fields("a,"), ["a", ""]);
        assert_eq!(fields("\"a,b\",c"), ["a,b", "c"]);
        assert_eq!(fields("\"a\"\"b\""), ["a\"b"]);
        assert_eq!(csv("a\"b"), Err("parse error on line 1, column 2: bare \" in non-quoted field".into()));
        assert!(csv("\"a").is_err_and(|cause| cause.contains("quoted-field")));
        assert!(csv("\"a\"b").is_err_and(|cause| cause.contains("quoted-field")));
    }
}
