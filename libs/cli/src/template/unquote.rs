//! Strings, letters and numbers as a template writes them.

use super::node::Number;
use super::quote;

/// Reads a string in double quotes or backquotes, as `strconv.Unquote` does.
pub(super) fn string(quoted: &str) -> Option<Vec<u8>> {
    if let Some(raw) = quoted.strip_prefix('`') {
        let raw = raw.strip_suffix('`')?;
        return Some(raw.bytes().filter(|byte| *byte != b'\r').collect());
    }
    let mut rest = quoted.strip_prefix('"')?.strip_suffix('"')?;
    let mut text = Vec::with_capacity(rest.len());
    while !rest.is_empty() {
        let (letter, after) = letter(rest, '"')?;
        letter.push_to(&mut text);
        rest = after;
    }
    Some(text)
}

/// What one letter of a constant stands for.
#[derive(Clone, Copy)]
enum Letter {
    Char(char),
    Byte(u8),
}

impl Letter {
    fn push_to(self, text: &mut Vec<u8>) {
        match self {
            Self::Char(letter) => text.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes()),
            Self::Byte(byte) => text.push(byte),
        }
    }
}

/// Reads one letter, with its escape, as `strconv.UnquoteChar` does.
fn letter(text: &str, mark: char) -> Option<(Letter, &str)> {
    let mut letters = text.chars();
    let first = letters.next()?;
    if first == mark || first == '\n' {
        return None;
    }
    if first != '\\' {
        return Some((Letter::Char(first), letters.as_str()));
    }
    let escape = letters.next()?;
    let rest = letters.as_str();
    let plain = |letter| Some((Letter::Char(letter), rest));
    match escape {
        'a' => plain('\x07'),
        'b' => plain('\x08'),
        'f' => plain('\x0c'),
        'n' => plain('\n'),
        'r' => plain('\r'),
        't' => plain('\t'),
        'v' => plain('\x0b'),
        '\\' => plain('\\'),
        '\'' | '"' if escape == mark => plain(escape),
        'x' => digits(rest, 2, 16).and_then(|(code, rest)| Some((Letter::Byte(code.try_into().ok()?), rest))),
        'u' => digits(rest, 4, 16).and_then(|(code, rest)| Some((Letter::Char(char::from_u32(code)?), rest))),
        'U' => digits(rest, 8, 16).and_then(|(code, rest)| Some((Letter::Char(char::from_u32(code)?), rest))),
        '0'..='7' => {
            let (code, rest) = digits(&text[1..], 3, 8)?;
            Some((Letter::Byte(code.try_into().ok()?), rest))
        }
        _ => None,
    }
}

fn digits(text: &str, count: usize, base: u32) -> Option<(u32, &str)> {
    let (digits, rest) = text.split_at_checked(count)?;
    if !digits.bytes().all(|byte| char::from(byte).is_digit(base)) {
        return None;
    }
    Some((u32::from_str_radix(digits, base).ok()?, rest))
}

/// Reads a letter in single quotes.
pub(super) fn char_constant(text: &str) -> Result<Number, String> {
    let inside = text.strip_prefix('\'').unwrap_or(text);
    let Some((letter, rest)) = letter(inside, '\'') else { return Err("invalid syntax".into()) };
    if rest != "'" {
        return Err(format!("malformed character constant: {text}"));
    }
    let code = match letter {
        Letter::Char(letter) => letter as u32,
        Letter::Byte(byte) => byte.into(),
    };
    Ok(Number {
        text: text.into(),
        int: Some(code.into()),
        uint: Some(code.into()),
        float: Some(code.into()),
        complex: None,
    })
}

/// Reads a complex number: `1+2i`.
pub(super) fn complex(text: &str) -> Result<Number, String> {
    let invalid = || "syntax error scanning complex number".to_owned();
    let body = text.strip_suffix('i').ok_or_else(invalid)?;
    let split = body
        .char_indices()
        .skip(1)
        .filter(|(at, letter)| matches!(letter, '+' | '-') && !body[..*at].ends_with(['e', 'E', 'p', 'P']))
        .map(|(at, _)| at)
        .last()
        .ok_or_else(invalid)?;
    let (real, imaginary) = body.split_at(split);
    let real = float(real).ok_or_else(invalid)?;
    let imaginary = float(imaginary).ok_or_else(invalid)?;
    Ok(simplified(text, real, imaginary))
}

/// A complex number is every other kind of number too, if its imaginary part is zero.
fn simplified(text: &str, real: f64, imaginary: f64) -> Number {
    let mut number = Number { text: text.into(), complex: Some((real, imaginary)), ..Number::default() };
    if imaginary == 0.0 {
        number.float = Some(real);
        number.int = whole(real);
        number.uint = whole_unsigned(real);
    }
    number
}

/// Reads a number.
pub(super) fn number(text: &str) -> Result<Number, String> {
    if let Some(imaginary) = text.strip_suffix('i').and_then(float) {
        return Ok(simplified(text, 0.0, imaginary));
    }
    let mut number = Number { text: text.into(), uint: uint(text), int: int(text), ..Number::default() };
    if number.int == Some(0) {
        number.uint = Some(0);
    }
    #[expect(clippy::cast_precision_loss, reason = "as Go promotes its constants")]
    match (number.int, number.uint) {
        (Some(int), _) => number.float = Some(int as f64),
        (None, Some(uint)) => number.float = Some(uint as f64),
        (None, None) => {
            let Some(float) = float(text) else {
                return Err(format!("illegal number syntax: {}", quote::double(text.as_bytes())));
            };
            if !text.contains(['.', 'e', 'E', 'p', 'P']) {
                return Err(format!("integer overflow: {}", quote::double(text.as_bytes())));
            }
            number.float = Some(float);
            number.int = whole(float);
            number.uint = whole_unsigned(float);
        }
    }
    Ok(number)
}

fn whole(float: f64) -> Option<i64> {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        reason = "checked by casting back"
    )]
    ((-9.2e18..9.2e18).contains(&float) && (float as i64) as f64 == float).then_some(float as i64)
}

fn whole_unsigned(float: f64) -> Option<u64> {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        reason = "checked by casting back"
    )]
    ((0.0..1.8e19).contains(&float) && (float as u64) as f64 == float).then_some(float as u64)
}

/// Go's `strconv.ParseInt` with base 0.
fn int(text: &str) -> Option<i64> {
    crate::usage::parse_int(text)
}

/// Go's `strconv.ParseUint` with base 0.
fn uint(text: &str) -> Option<u64> {
    crate::usage::parse_uint(text)
}

/// Go's `strconv.ParseFloat`, also of `0x1p-2`.
fn float(text: &str) -> Option<f64> {
    let unsigned = text.trim_start_matches(['+', '-']);
    if text.len() - unsigned.len() > 1
        || !unsigned.starts_with(|first: char| first.is_ascii_digit() || first == '.')
    {
        return None;
    }
    let size = if unsigned.starts_with("0x") || unsigned.starts_with("0X") {
        hexadecimal(&unsigned[2..])?
    } else {
        // Underscores are for constants with a prefix only.
        if unsigned.contains('_') {
            return None;
        }
        unsigned.parse().ok()?
    };
    let signed: f64 = if text.starts_with('-') { -size } else { size };
    signed.is_finite().then_some(signed)
}

/// Digits of base 16 with an exponent of base 2.
fn hexadecimal(text: &str) -> Option<f64> {
    let (mantissa, exponent) = text.split_once(['p', 'P'])?;
    let mantissa: String = mantissa.chars().filter(|letter| *letter != '_').collect();
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((&mantissa, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let mut value = 0.0_f64;
    for digit in whole.chars().chain(fraction.chars()) {
        value = value * 16.0 + f64::from(digit.to_digit(16)?);
    }
    let exponent: i32 = exponent.parse().ok()?;
    let places = i32::try_from(fraction.len()).ok()?.checked_mul(4)?;
    Some(value * 2.0_f64.powi(exponent.checked_sub(places)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_gos() {
        for (quoted, text) in [
            ("\"a\\tb\"", &b"a\tb"[..]),
            ("\"\\x41\\101\\u00e9\\U0001f600\\xff\"", b"AA\xc3\xa9\xf0\x9f\x98\x80\xff"),
            ("`a\\t\r\n`", b"a\\t\n"),
            ("\"\\\"'\"", b"\"'"),
        ] {
            assert_eq!(string(quoted).as_deref(), Some(text), "{quoted}");
        }
        for quoted in
            ["\"\\'\"", "\"\\q\"", "\"\\x4\"", "\"\\400\"", "\"\\ud800\"", "\"\\u00\u{e9}\u{e9}\"", "\"", "x"]
        {
            assert_eq!(string(quoted), None, "{quoted}");
        }
    }

    #[test]
    fn numbers_are_every_type_that_can_hold_them() {
        let read = |text: &str| number(text).expect(text);
        assert_eq!((read("0x10").int, read("0x10").float), (Some(16), Some(16.0)));
        assert_eq!((read("1e3").int, read("1e3").float), (Some(1000), Some(1000.0)));
        assert_eq!((read("-1").int, read("-1").uint), (Some(-1), None));
        assert_eq!(
            (read("18446744073709551615").int, read("18446744073709551615").uint),
            (None, Some(u64::MAX))
        );
        assert_eq!(read("0x1p-2").float, Some(0.25));
        assert_eq!(read("2i").complex, Some((0.0, 2.0)));
        assert_eq!(complex("1-2i").expect("complex").complex, Some((1.0, -2.0)));
        assert_eq!(
            number("18446744073709551616").expect_err("large"),
            "integer overflow: \"18446744073709551616\""
        );
        assert_eq!(number("1_").expect_err("bad"), "illegal number syntax: \"1_\"");
        assert_eq!(char_constant("'a'").expect("a letter").int, Some(97));
        assert_eq!(char_constant("'ab'").expect_err("two"), "malformed character constant: 'ab'");
        assert_eq!(char_constant("''").expect_err("none"), "invalid syntax");
    }
}
