//! Numbers as archives write them.

use super::Fault;
use super::header::Time;

/// Parses a field of a header: octal digits between blanks and NULs, or base-256 if the first bit is set.
pub(super) fn field(bytes: &[u8], what: &'static str) -> Result<i64, Fault> {
    match bytes.split_first() {
        Some((first, rest)) if first & 0x80 != 0 => binary(*first, rest).ok_or(Fault::Malformed(what)),
        _ => octal(bytes).ok_or(Fault::Malformed(what)),
    }
}

/// Parses a field that cannot be negative.
pub(super) fn unsigned(bytes: &[u8], what: &'static str) -> Result<u64, Fault> {
    u64::try_from(field(bytes, what)?).map_err(|_negative| Fault::Malformed(what))
}

fn octal(bytes: &[u8]) -> Option<i64> {
    let blank = |byte: &u8| matches!(byte, b' ' | 0);
    let start = bytes.iter().position(|byte| !blank(byte)).unwrap_or(bytes.len());
    let digits = bytes.get(start..)?;
    let end = digits.iter().position(blank).unwrap_or(digits.len());
    let (digits, rest) = digits.split_at_checked(end)?;
    if !rest.iter().all(blank) {
        return None;
    }
    let mut value = 0_i64;
    for digit in digits {
        if !matches!(digit, b'0'..=b'7') {
            return None;
        }
        value = value.checked_mul(8)?.checked_add(i64::from(digit - b'0'))?;
    }
    Some(value)
}

/// Two's complement, most significant byte first; the first bit is the mark, the second the sign.
fn binary(first: u8, rest: &[u8]) -> Option<i64> {
    let negative = first & 0x40 != 0;
    let mut value = if negative { i128::from(first) - 0x100 } else { i128::from(first & 0x3f) };
    for byte in rest {
        value = value.checked_mul(256)?.checked_add(i128::from(*byte))?;
    }
    i64::try_from(value).ok()
}

/// Parses the decimal number of a PAX record.
pub(super) fn decimal(bytes: &[u8], what: &'static str) -> Result<u64, Fault> {
    if bytes.is_empty() || bytes.len() > 20 {
        return Err(Fault::Malformed(what));
    }
    let mut value = 0_u64;
    for digit in bytes {
        if !digit.is_ascii_digit() {
            return Err(Fault::Malformed(what));
        }
        let next = value.checked_mul(10).and_then(|value| value.checked_add(u64::from(digit - b'0')));
        value = next.ok_or(Fault::Malformed(what))?;
    }
    Ok(value)
}

/// Parses the time of a PAX record: seconds with an optional sign and fraction.
pub(super) fn time(bytes: &[u8], what: &'static str) -> Result<Time, Fault> {
    let malformed = || Fault::Malformed(what);
    let (negative, bytes) = match bytes.split_first() {
        Some((b'-', rest)) => (true, rest),
        _ => (false, bytes),
    };
    let dot = bytes.iter().position(|byte| *byte == b'.').unwrap_or(bytes.len());
    let (whole, fraction) = bytes.split_at_checked(dot).ok_or_else(malformed)?;
    let whole = i64::try_from(decimal(whole, what)?).map_err(|_large| malformed())?;
    let fraction = fraction.strip_prefix(b".").unwrap_or_default();
    if !fraction.iter().all(u8::is_ascii_digit) {
        return Err(malformed());
    }
    let digits = fraction.iter().copied().chain(std::iter::repeat(b'0')).take(9);
    let nanos = digits.fold(0_u32, |nanos, digit| nanos * 10 + u32::from(digit - b'0'));
    Ok(match (negative, nanos) {
        (false, _) => Time { seconds: whole, nanos },
        (true, 0) => Time { seconds: -whole, nanos: 0 },
        (true, _) => Time { seconds: -whole - 1, nanos: 1_000_000_000 - nanos },
    })
}
