//! Numbers of bytes, in the words of docker's go-units.

const DECIMAL: [&str; 9] = ["B", "kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"];
const BINARY: [&str; 9] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB"];

/// Four digits of precision in powers of 1000: `1.234MB`.
#[must_use]
pub fn human(bytes: u64) -> String {
    with_precision(bytes as f64, 1000.0, 4, &DECIMAL, "")
}

/// Three digits of precision in powers of 1000: `1.23MB`.
#[must_use]
pub fn brief(bytes: u64) -> String {
    with_precision(bytes as f64, 1000.0, 3, &DECIMAL, "")
}

/// Three digits of precision in powers of 1000 with a space, as tables have it: `1.23 MB`.
#[must_use]
pub fn spaced(bytes: u64) -> String {
    with_precision(bytes as f64, 1000.0, 3, &DECIMAL, " ")
}

/// Four digits of precision in powers of 1024: `1.177MiB`.
#[must_use]
pub fn binary(bytes: u64) -> String {
    with_precision(bytes as f64, 1024.0, 4, &BINARY, "")
}

fn with_precision(bytes: f64, base: f64, digits: usize, units: &[&str; 9], between: &str) -> String {
    let mut size = bytes;
    let mut unit = 0;
    while size >= base && unit < units.len() - 1 {
        size /= base;
        unit += 1;
    }
    format!("{}{between}{}", significant(size, digits), units[unit])
}

/// Go's `%.Ng`: so many significant digits, zeros at the end cut off, an exponent when the number has more digits.
fn significant(number: f64, digits: usize) -> String {
    if number == 0.0 {
        return "0".to_owned();
    }
    let scientific = format!("{number:.*e}", digits - 1);
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let cut = |text: &str| match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text.to_owned(),
    };
    match usize::try_from(exponent) {
        Ok(whole) if whole < digits => cut(&format!("{number:.*}", digits - 1 - whole)),
        _ => format!("{}e{}{:02}", cut(mantissa), if exponent < 0 { '-' } else { '+' }, exponent.abs()),
    }
}

/// A size that cannot be read, in go-units' words.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("invalid size: '{0}'")]
pub struct SizeError(String);

/// Reads a number of bytes with a unit in powers of 1024, as `--shm-size` takes it: `64m`, `1.5 GiB`, `100`.
///
/// # Errors
/// The text is no size.
pub fn parse(text: &str) -> Result<u64, SizeError> {
    let invalid = || SizeError(text.to_owned());
    let end = text.rfind(|letter: char| letter.is_ascii_digit() || letter == '.').ok_or_else(invalid)? + 1;
    let (number, suffix) = text.split_at(end);
    let suffix = suffix.strip_prefix(' ').unwrap_or(suffix).to_ascii_lowercase();
    if number.bytes().any(|byte| !byte.is_ascii_digit() && byte != b'.') {
        return Err(invalid());
    }
    let size: f64 = number.parse().map_err(|_no_number| invalid())?;
    let power = match suffix.as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 1,
        "m" | "mb" | "mib" => 2,
        "g" | "gb" | "gib" => 3,
        "t" | "tb" | "tib" => 4,
        "p" | "pb" | "pib" => 5,
        _ => return Err(invalid()),
    };
    let bytes = size * 1024_f64.powi(power);
    if bytes >= 2_f64.powi(63) {
        return Err(invalid());
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked: from 0 to 2^63")]
    Ok(bytes as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_go_units() {
        for (bytes, expected) in [
            (0, "0B"),
            (5, "5B"),
            (999, "999B"),
            (1000, "1kB"),
            (1024, "1.024kB"),
            (1_234_567, "1.235MB"),
            (999_999, "1000kB"),
            (12_345_678_901, "12.35GB"),
            (u64::MAX, "18.45EB"),
        ] {
            assert_eq!(human(bytes), expected);
        }
        for (bytes, expected) in [
            (0, "0 B"),
            (123, "123 B"),
            (1_230_000, "1.23 MB"),
            (7_654_321, "7.65 MB"),
            (999_999, "1e+03 kB"),
        ] {
            assert_eq!(spaced(bytes), expected);
        }
        assert_eq!(binary(1_234_567), "1.177MiB");
        assert_eq!(binary(1023), "1023B");
    }

    #[test]
    fn sizes_are_read_in_powers_of_1024() {
        for (text, bytes) in [
            ("0", 0),
            ("32", 32),
            ("32b", 32),
            ("32k", 32 << 10),
            ("32KB", 32 << 10),
            ("1.5 GiB", 3 << 29),
            ("64m", 64 << 20),
            ("2t", 2 << 40),
        ] {
            assert_eq!(parse(text), Ok(bytes), "{text}");
        }
        for text in ["", "x", "k", "-1", "1.2.3", "1kk", "32bb", "1 2", "99999999p"] {
            assert_eq!(parse(text), Err(SizeError(text.to_owned())));
        }
    }
}
