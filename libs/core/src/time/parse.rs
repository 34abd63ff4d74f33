//! Times and durations as Go and podman's filters read them.

use super::{DAY, SECOND, Timestamp};

/// A time or duration that cannot be read.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum TimeError {
    /// No time and no duration, in podman's words.
    #[error("unable to interpret time value")]
    Input,
    /// No time.
    #[error("failed to parse value as time or duration: {0:?}")]
    Timestamp(String),
    /// No duration, in Go's words.
    #[error("time: invalid duration {0:?}")]
    Duration(String),
    /// A duration without a unit, in Go's words.
    #[error("time: missing unit in duration {0:?}")]
    NoUnit(String),
    /// A duration with an unknown unit, in Go's words.
    #[error("time: unknown unit {0:?} in duration {1:?}")]
    Unit(String, String),
}

/// Days from 1970 to a day of the calendar.
pub(super) fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// The last day of a month.
fn last_day(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// A reader of fixed fields.
struct Fields<'a>(&'a str);

impl Fields<'_> {
    fn number(&mut self, digits: usize) -> Option<i64> {
        let (number, rest) = self.0.split_at_checked(digits)?;
        self.0 = rest;
        if number.bytes().all(|byte| byte.is_ascii_digit()) { number.parse().ok() } else { None }
    }

    fn skip(&mut self, one_of: &[char]) -> Option<char> {
        let first = self.0.chars().next().filter(|letter| one_of.contains(letter))?;
        self.0 = &self.0[first.len_utf8()..];
        Some(first)
    }

    fn within(&mut self, digits: usize, range: std::ops::RangeInclusive<i64>) -> Option<i64> {
        self.number(digits).filter(|number| range.contains(number))
    }

    /// A fraction of a second in nanoseconds; what is finer is cut off.
    fn fraction(&mut self) -> Option<u32> {
        let end = self.0.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(self.0.len());
        let (digits, rest) = self.0.split_at(end);
        self.0 = rest;
        if digits.is_empty() {
            return None;
        }
        let nine: String = digits.chars().chain(std::iter::repeat('0')).take(9).collect();
        nine.parse().ok()
    }

    /// Seconds east of UTC: `Z`, `+01:00`, `+0100`, and what Go writes behind it.
    fn zone(&mut self) -> Option<i64> {
        if self.skip(&['Z', 'z']).is_some() {
            return Some(0);
        }
        let east = if self.skip(&['+', '-'])? == '+' { 1 } else { -1 };
        let hours = self.within(2, 0..=24)?;
        let _colon = self.skip(&[':']);
        let minutes = self.within(2, 0..=60)?;
        if self.0 == " UTC" {
            self.0 = "";
        }
        Some(east * (hours * 3600 + minutes * 60))
    }
}

pub(super) fn parse_civil(text: &str) -> Option<Timestamp> {
    let mut fields = Fields(text);
    let year = fields.number(4)?;
    fields.skip(&['-'])?;
    let month = fields.within(2, 1..=12)?;
    fields.skip(&['-'])?;
    let day = fields.within(2, 1..=last_day(year, month))?;
    let mut seconds = days(year, month, day) * DAY;
    let mut nanos = 0;
    if fields.skip(&['T', 't', ' ']).is_some() {
        seconds += fields.within(2, 0..=23)? * 3600;
        fields.skip(&[':'])?;
        seconds += fields.within(2, 0..=59)? * 60;
        if fields.skip(&[':']).is_some() {
            seconds += fields.within(2, 0..=59)?;
            if fields.skip(&['.', ',']).is_some() {
                nanos = fields.fraction()?;
            }
        }
    }
    let _space = fields.skip(&[' ']);
    if !fields.0.is_empty() {
        seconds -= fields.zone()?;
    }
    fields.0.is_empty().then_some(Timestamp { seconds, nanos })
}

/// Seconds since 1970, with or without a fraction.
pub(super) fn parse_seconds(text: &str) -> Option<Timestamp> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = whole.strip_prefix('-').unwrap_or(whole);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let mut rest = Fields(fraction);
    let nanos = rest.fraction()?;
    rest.0.is_empty().then_some(())?;
    Some(Timestamp { seconds: whole.parse().ok()?, nanos })
}

/// Reads a duration as Go's `time.ParseDuration` does, in nanoseconds: `300ms`, `-1.5h`, `2h45m`.
///
/// # Errors
/// The text is no duration.
pub fn parse_duration(text: &str) -> Result<i64, TimeError> {
    let invalid = || TimeError::Duration(text.to_owned());
    let (negative, mut rest) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut total: i128 = 0;
    while !rest.is_empty() {
        let (nanos, after) = one_span(rest, text)?;
        total = total.checked_add(nanos).ok_or_else(invalid)?;
        rest = after;
    }
    i64::try_from(if negative { -total } else { total }).map_err(|_too_long| invalid())
}

/// Reads one number with its unit from the front.
fn one_span<'a>(rest: &'a str, text: &str) -> Result<(i128, &'a str), TimeError> {
    let invalid = || TimeError::Duration(text.to_owned());
    let end = rest.bytes().position(|byte| !byte.is_ascii_digit() && byte != b'.').unwrap_or(rest.len());
    let (number, rest) = rest.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = whole.len() + fraction.len();
    if digits == 0 || fraction.contains('.') || digits > 38 {
        return Err(invalid());
    }
    let end = rest.bytes().position(|byte| byte.is_ascii_digit() || byte == b'.').unwrap_or(rest.len());
    let (unit, rest) = rest.split_at(end);
    let scale: i128 = match unit {
        "" => return Err(TimeError::NoUnit(text.to_owned())),
        "ns" => 1,
        "us" | "\u{b5}s" | "\u{3bc}s" => 1_000,
        "ms" => 1_000_000,
        "s" => SECOND.into(),
        "m" => i128::from(SECOND) * 60,
        "h" => i128::from(SECOND) * 3600,
        other => return Err(TimeError::Unit(other.to_owned(), text.to_owned())),
    };
    let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().map_err(|_too_long| invalid())? };
    let mut nanos = whole.checked_mul(scale).ok_or_else(invalid)?;
    let mut unit = scale;
    for digit in fraction.bytes() {
        unit /= 10;
        nanos = nanos.checked_add(unit * i128::from(digit - b'0')).ok_or_else(invalid)?;
    }
    Ok((nanos, rest))
}
