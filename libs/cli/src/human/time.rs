//! Points in time and durations, as Go prints and reads them. All of it is in UTC: a static program has no zone files.

use std::time::{Duration, SystemTime};

const SECOND: i64 = 1_000_000_000;
const DAY: i64 = 86_400;

/// A point in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp {
    /// Seconds since 1970.
    pub seconds: i64,
    /// Nanoseconds after the second.
    pub nanos: u32,
}

/// A point in time as a calendar and a clock show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Civil {
    pub(super) year: i64,
    pub(super) month: u8,
    pub(super) day: u8,
    pub(super) hour: u8,
    pub(super) minute: u8,
    pub(super) second: u8,
}

impl Timestamp {
    /// Go's zero time, 1 January of the year 1: a time that is not known.
    pub const ZERO: Self = Self { seconds: -62_135_596_800, nanos: 0 };

    /// The time now.
    #[must_use]
    pub fn now() -> Self {
        SystemTime::now().into()
    }

    /// A time by its seconds since 1970, and nanoseconds.
    #[must_use]
    pub const fn new(seconds: i64, nanos: u32) -> Self {
        Self { seconds, nanos }
    }

    /// A time by its seconds since 1970.
    #[must_use]
    pub const fn from_seconds(seconds: i64) -> Self {
        Self { seconds, nanos: 0 }
    }

    /// Whether this is the time that is not known.
    #[must_use]
    pub fn is_zero(self) -> bool {
        self == Self::ZERO
    }

    /// How long ago this was at another time, in nanoseconds; negative if it was later.
    #[must_use]
    pub fn until(self, later: Self) -> i64 {
        let nanos = (i128::from(later.seconds) - i128::from(self.seconds)) * i128::from(SECOND)
            + i128::from(later.nanos)
            - i128::from(self.nanos);
        i64::try_from(nanos).unwrap_or(if nanos < 0 { i64::MIN } else { i64::MAX })
    }

    /// The time so many nanoseconds later, or earlier if they are negative.
    #[must_use]
    pub fn plus(self, nanos: i64) -> Self {
        let total =
            i128::from(self.seconds) * i128::from(SECOND) + i128::from(self.nanos) + i128::from(nanos);
        let second = i128::from(SECOND);
        Self {
            seconds: i64::try_from(total.div_euclid(second)).unwrap_or(i64::MAX),
            nanos: u32::try_from(total.rem_euclid(second)).unwrap_or(0),
        }
    }

    /// As JSON has it: `2026-11-21T00:04:41.47Z`.
    #[must_use]
    pub fn rfc3339(self) -> String {
        format!("{}T{}{}Z", self.date(), self.clock(), self.fraction())
    }

    /// As RFC 3339 without a fraction: `2026-11-21T00:04:41Z`.
    #[must_use]
    pub fn rfc3339_seconds(self) -> String {
        format!("{}T{}Z", self.date(), self.clock())
    }

    /// As `ctime` has it: `Sat Nov 21 00:04:41 2026`.
    #[must_use]
    pub fn ansic(self) -> String {
        self.format("Mon Jan _2 15:04:05 2006")
    }

    /// The name of the day of the week.
    pub(super) fn weekday(self) -> &'static str {
        let day = (self.seconds.div_euclid(DAY) + 4).rem_euclid(7);
        WEEKDAYS[usize::try_from(day).unwrap_or(0)]
    }

    /// The day of the year, from 1.
    pub(super) fn year_day(self) -> i64 {
        self.seconds.div_euclid(DAY) - days(self.civil().year, 1, 1) + 1
    }

    fn date(self) -> String {
        let civil = self.civil();
        format!("{}-{:02}-{:02}", year(civil.year), civil.month, civil.day)
    }

    fn clock(self) -> String {
        let civil = self.civil();
        format!("{:02}:{:02}:{:02}", civil.hour, civil.minute, civil.second)
    }

    /// The fraction of the second with its point, without zeros at its end.
    fn fraction(self) -> String {
        if self.nanos == 0 {
            return String::new();
        }
        format!(".{:09}", self.nanos).trim_end_matches('0').to_owned()
    }

    /// The calendar of a day, by Howard Hinnant's algorithm.
    pub(super) fn civil(self) -> Civil {
        let days = self.seconds.div_euclid(DAY) + 719_468;
        let clock = self.seconds.rem_euclid(DAY);
        let era = days.div_euclid(146_097);
        let day_of_era = days.rem_euclid(146_097);
        let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
        let small = |number: i64| u8::try_from(number).unwrap_or(0);
        Civil {
            year: year_of_era + era * 400 + i64::from(month <= 2),
            month: small(month),
            day: small(day_of_year - (153 * month_from_march + 2) / 5 + 1),
            hour: small(clock / 3600),
            minute: small(clock / 60 % 60),
            second: small(clock % 60),
        }
    }

    /// Reads RFC 3339, and its parts as podman's filters take them: `2026-11-21T00:04:41.5+01:00`,
    /// `2026-11-21T00:04:41`, `2026-11-21T00:04`, `2026-11-21 00:04:41`, `2026-11-21`, and Go's own
    /// `2026-11-21 00:04:41.5 +0000 UTC`.
    ///
    /// # Errors
    /// The text is none of these.
    pub fn parse(text: &str) -> Result<Self, TimeError> {
        parse_civil(text).ok_or_else(|| TimeError::Timestamp(text.to_owned()))
    }

    /// Reads what filters such as `until=` take: a time as [`Timestamp::parse`] reads it, seconds since 1970 with or
    /// without a fraction, or a duration before `now`.
    ///
    /// # Errors
    /// The text is none of these.
    pub fn parse_filter(text: &str, now: Self) -> Result<Self, TimeError> {
        if let Some(time) = parse_civil(text).or_else(|| parse_seconds(text)) {
            return Ok(time);
        }
        match parse_duration(text) {
            Ok(nanos) => Ok(now.plus(nanos.checked_neg().unwrap_or(i64::MAX))),
            Err(_) => Err(TimeError::Timestamp(text.to_owned())),
        }
    }
}

const WEEKDAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// Four digits at least, the sign before them.
fn year(year: i64) -> String {
    if year < 0 { format!("-{:04}", year.unsigned_abs()) } else { format!("{year:04}") }
}

/// Go's `time.Time.String`: `2026-11-21 00:04:41.47 +0000 UTC`.
impl std::fmt::Display for Timestamp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}{} +0000 UTC", self.date(), self.clock(), self.fraction())
    }
}

impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        let seconds = |span: Duration| i64::try_from(span.as_secs()).unwrap_or(i64::MAX);
        match time.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(after) => Self { seconds: seconds(after), nanos: after.subsec_nanos() },
            Err(before) => {
                let before = before.duration();
                Self::from_seconds(-seconds(before)).plus(-i64::from(before.subsec_nanos()))
            }
        }
    }
}

/// A time or duration that cannot be read.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum TimeError {
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
fn days(year: i64, month: i64, day: i64) -> i64 {
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

fn parse_civil(text: &str) -> Option<Timestamp> {
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
fn parse_seconds(text: &str) -> Option<Timestamp> {
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

/// A duration in nanoseconds as Go prints it: `1h2m3.5s`, `1.5ms`, `0s`.
#[must_use]
pub fn duration(nanos: i64) -> String {
    let sign = if nanos < 0 { "-" } else { "" };
    let size = nanos.unsigned_abs();
    let fraction = |size: u64, unit: u64| {
        let digits = unit.ilog10() as usize;
        let text = format!("{}.{:0digits$}", size / unit, size % unit);
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    };
    let text = match size {
        0 => return "0s".to_owned(),
        1..1_000 => format!("{size}ns"),
        1_000..1_000_000 => format!("{}\u{b5}s", fraction(size, 1_000)),
        1_000_000..1_000_000_000 => format!("{}ms", fraction(size, 1_000_000)),
        _ => {
            let seconds = size / 1_000_000_000;
            let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
            let rest = fraction(size % 60_000_000_000, 1_000_000_000);
            match (hours, minutes) {
                (0, 0) => format!("{rest}s"),
                (0, minutes) => format!("{minutes}m{rest}s"),
                (hours, minutes) => format!("{hours}h{minutes}m{rest}s"),
            }
        }
    };
    format!("{sign}{text}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_printed_as_go_prints_them() {
        let time = Timestamp { seconds: 1_795_219_481, nanos: 470_000_000 };
        assert_eq!(time.to_string(), "2026-11-21 00:04:41.47 +0000 UTC");
        assert_eq!(time.rfc3339(), "2026-11-21T00:04:41.47Z");
        assert_eq!(time.rfc3339_seconds(), "2026-11-21T00:04:41Z");
        assert_eq!(time.ansic(), "Sat Nov 21 00:04:41 2026");
        assert_eq!(Timestamp::ZERO.to_string(), "0001-01-01 00:00:00 +0000 UTC");
        assert_eq!(Timestamp::from_seconds(0).ansic(), "Thu Jan  1 00:00:00 1970");
        assert_eq!(Timestamp::from_seconds(951_782_400).to_string(), "2000-02-29 00:00:00 +0000 UTC");
    }

    #[test]
    fn times_before_1970_are_times_too() {
        let before = SystemTime::UNIX_EPOCH - Duration::from_millis(1500);
        assert_eq!(Timestamp::from(before), Timestamp { seconds: -2, nanos: 500_000_000 });
        assert_eq!(Timestamp::from(before).to_string(), "1969-12-31 23:59:58.5 +0000 UTC");
    }

    #[test]
    fn times_are_read_in_many_forms() {
        for (text, expected) in [
            ("2026-11-21T00:04:41.47Z", "2026-11-21 00:04:41.47 +0000 UTC"),
            ("2026-11-21T01:04:41+01:00", "2026-11-21 00:04:41 +0000 UTC"),
            ("2026-11-21T00:04:41", "2026-11-21 00:04:41 +0000 UTC"),
            ("2026-11-21T00:04", "2026-11-21 00:04:00 +0000 UTC"),
            ("2026-11-21", "2026-11-21 00:00:00 +0000 UTC"),
            ("2026-11-21 00:04:41.470000000 +0000 UTC", "2026-11-21 00:04:41.47 +0000 UTC"),
            ("2026-11-21 00:04:41 -0130", "2026-11-21 01:34:41 +0000 UTC"),
            ("0001-01-01T00:00:00Z", "0001-01-01 00:00:00 +0000 UTC"),
        ] {
            assert_eq!(Timestamp::parse(text).expect(text).to_string(), expected, "{text}");
        }
        for text in [
            "",
            "x",
            "2026-13-01",
            "2026-02-29",
            "2026-11-21T25:00",
            "2026-11-21T00:04:41Zx",
            "2026-1-1",
            "\u{e9}\u{e9}\u{e9}",
        ] {
            assert!(Timestamp::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn filters_take_times_seconds_and_durations() {
        let now = Timestamp::from_seconds(1_000_000);
        for (text, seconds) in [("10m", 999_400), ("1000", 1000), ("1970-01-02", 86_400), ("-1h", 1_003_600)]
        {
            assert_eq!(Timestamp::parse_filter(text, now).expect(text).seconds, seconds, "{text}");
        }
        assert_eq!(Timestamp::parse_filter("1.25", now).expect("fraction").nanos, 250_000_000);
        assert!(Timestamp::parse_filter("soon", now).is_err());
    }

    #[test]
    fn durations_are_gos() {
        for (text, nanos) in [
            ("0", 0),
            ("1ns", 1),
            ("1.5us", 1_500),
            ("300ms", 300_000_000),
            ("-1.5h", -5_400_000_000_000),
            ("2h45m", 9_900_000_000_000),
            (".5s", 500_000_000),
            ("1.s", 1_000_000_000),
        ] {
            assert_eq!(parse_duration(text), Ok(nanos), "{text}");
        }
        for (text, expected) in [
            ("", "time: invalid duration \"\""),
            ("3", "time: missing unit in duration \"3\""),
            ("3x", "time: unknown unit \"x\" in duration \"3x\""),
            (".s", "time: invalid duration \".s\""),
            ("99999999h", "time: invalid duration \"99999999h\""),
        ] {
            assert_eq!(parse_duration(text).expect_err(text).to_string(), expected);
        }
        for (nanos, text) in [
            (0, "0s"),
            (1, "1ns"),
            (1_100, "1.1\u{b5}s"),
            (2_000_000, "2ms"),
            (1_500_000_000, "1.5s"),
            (90_000_000_000, "1m30s"),
            (3_600_000_000_000, "1h0m0s"),
            (-60_000_000_000, "-1m0s"),
            (i64::MIN, "-2562047h47m16.854775808s"),
        ] {
            assert_eq!(duration(nanos), text);
        }
    }
}
