//! Points in time and durations, as Go prints and reads them. All of it is in UTC: a static program has no zone files.

mod layout;
mod parse;

use std::time::{Duration, SystemTime};

pub use parse::{TimeError, parse_duration};
use parse::{days, parse_civil, parse_seconds};

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
struct Civil {
    year: i64,
    month: u8,
    day: u8,
    hour: u8,
    minute: u8,
    second: u8,
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
    fn weekday(self) -> &'static str {
        let day = (self.seconds.div_euclid(DAY) + 4).rem_euclid(7);
        WEEKDAYS[usize::try_from(day).unwrap_or(0)]
    }

    /// The day of the year, from 1.
    fn year_day(self) -> i64 {
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
    fn civil(self) -> Civil {
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
        Self::parse_since(text, now).map_err(|_input| TimeError::Timestamp(text.to_owned()))
    }

    /// Reads what `--since` takes: as [`Timestamp::parse_filter`], with podman's words for an error.
    ///
    /// # Errors
    /// The text is no time.
    pub fn parse_since(text: &str, now: Self) -> Result<Self, TimeError> {
        parse_moment(text, |nanos| now.plus(nanos.checked_neg().unwrap_or(i64::MAX)))
    }

    /// Reads what `--until` takes: the same, but a duration is one after `now`.
    ///
    /// # Errors
    /// The text is no time.
    pub fn parse_until(text: &str, now: Self) -> Result<Self, TimeError> {
        parse_moment(text, |nanos| now.plus(nanos))
    }
}

fn parse_moment(text: &str, away: impl Fn(i64) -> Timestamp) -> Result<Timestamp, TimeError> {
    let time = parse_civil(text).or_else(|| parse_seconds(text));
    time.map_or_else(|| parse_duration(text).map(away).map_err(|_duration| TimeError::Input), Ok)
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
