//! Points in time as Go prints them.

/// A point in time in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time {
    seconds: i64,
    nanoseconds: u32,
}

/// A date and a time of day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Civil {
    pub(super) year: i64,
    pub(super) month: i64,
    pub(super) day: i64,
    pub(super) hour: i64,
    pub(super) minute: i64,
    pub(super) second: i64,
    /// Sunday is 0.
    pub(super) weekday: usize,
    pub(super) day_of_year: i64,
}

pub(super) const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const WEEKDAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

impl Time {
    /// Go's zero time: the first of January of the year 1.
    pub const ZERO: Self = Self { seconds: -62_135_596_800, nanoseconds: 0 };

    /// That many seconds and nanoseconds after 1970 began.
    #[must_use]
    pub const fn new(seconds: i64, nanoseconds: u32) -> Self {
        Self { seconds, nanoseconds }
    }

    /// The seconds since 1970 began.
    #[must_use]
    pub const fn unix(self) -> i64 {
        self.seconds
    }

    /// The nanoseconds since the last whole second.
    #[must_use]
    pub const fn subsecond(self) -> u32 {
        self.nanoseconds
    }

    /// The nanoseconds since 1970 began, wrapping as Go's do.
    #[must_use]
    pub fn unix_nano(self) -> i64 {
        self.seconds.wrapping_mul(1_000_000_000).wrapping_add(self.nanoseconds.into())
    }

    pub(super) fn civil(self) -> Civil {
        let days = self.seconds.div_euclid(86_400);
        let rest = self.seconds.rem_euclid(86_400);
        let (year, month, day) = civil_from_days(days);
        Civil {
            year,
            month,
            day,
            hour: rest / 3600,
            minute: rest / 60 % 60,
            second: rest % 60,
            weekday: usize::try_from((days + 4).rem_euclid(7)).unwrap_or_default(),
            day_of_year: days - days_from_civil(year, 1, 1) + 1,
        }
    }

    /// `2026-11-21T00:04:41.47Z`.
    #[must_use]
    pub fn rfc3339(self) -> String {
        self.format("2006-01-02T15:04:05.999999999Z07:00")
    }

    /// Formats by example, as Go does: the layout shows how `Mon Jan 2 15:04:05 MST 2006` would look.
    #[must_use]
    pub fn format(self, layout: &str) -> String {
        let civil = self.civil();
        let mut out = String::with_capacity(layout.len() + 8);
        let mut rest = layout;
        while !rest.is_empty() {
            if let Some(length) = fraction(rest) {
                self.push_fraction(&mut out, &rest[..length]);
                rest = &rest[length..];
                continue;
            }
            let piece = PIECES.iter().find(|(piece, _)| {
                rest.starts_with(piece)
                    && !(*piece == "Jan" && lower_follows(rest, 3) && !rest.starts_with("January"))
            });
            if let Some((piece, write)) = piece {
                write(&civil, &mut out);
                rest = &rest[piece.len()..];
            } else {
                let mut chars = rest.chars();
                out.extend(chars.next());
                rest = chars.as_str();
            }
        }
        out
    }

    /// `.000` keeps its zeros, `.999` drops them, and the point with them.
    fn push_fraction(self, out: &mut String, layout: &str) {
        let digits = format!("{:09}", self.nanoseconds);
        let digits = &digits[..(layout.len() - 1).min(9)];
        let digits = if layout.ends_with('9') { digits.trim_end_matches('0') } else { digits };
        if !digits.is_empty() {
            out.push_str(&layout[..1]);
            out.push_str(digits);
        }
    }
}

impl std::fmt::Display for Time {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.format("2006-01-02 15:04:05.999999999 -0700 MST"))
    }
}

fn lower_follows(text: &str, at: usize) -> bool {
    text.as_bytes().get(at).is_some_and(u8::is_ascii_lowercase)
}

/// The length of a fraction of a second at the start of a layout: a point or comma, then only 0s or only 9s.
fn fraction(layout: &str) -> Option<usize> {
    let bytes = layout.as_bytes();
    if !matches!(bytes.first(), Some(b'.' | b',')) {
        return None;
    }
    let digit = *bytes.get(1).filter(|digit| matches!(digit, b'0' | b'9'))?;
    let length = 1 + bytes[1..].iter().take_while(|byte| **byte == digit).count();
    (!bytes.get(length).is_some_and(u8::is_ascii_digit)).then_some(length)
}

type Write = fn(&Civil, &mut String);

/// What a layout may contain, the longer before the shorter.
static PIECES: &[(&str, Write)] = &[
    ("January", |civil, out| out.push_str(month(civil))),
    ("Jan", |civil, out| out.push_str(&month(civil)[..3])),
    ("Monday", |civil, out| out.push_str(WEEKDAYS[civil.weekday])),
    ("Mon", |civil, out| out.push_str(&WEEKDAYS[civil.weekday][..3])),
    ("MST", |_, out| out.push_str("UTC")),
    ("2006", |civil, out| number(out, civil.year, 4, '0')),
    ("Z07:00", |_, out| out.push('Z')),
    ("Z0700", |_, out| out.push('Z')),
    ("-07:00", |_, out| out.push_str("+00:00")),
    ("-0700", |_, out| out.push_str("+0000")),
    ("-07", |_, out| out.push_str("+00")),
    ("002", |civil, out| number(out, civil.day_of_year, 3, '0')),
    ("01", |civil, out| number(out, civil.month, 2, '0')),
    ("02", |civil, out| number(out, civil.day, 2, '0')),
    ("03", |civil, out| number(out, twelve(civil), 2, '0')),
    ("04", |civil, out| number(out, civil.minute, 2, '0')),
    ("05", |civil, out| number(out, civil.second, 2, '0')),
    ("06", |civil, out| number(out, civil.year.rem_euclid(100), 2, '0')),
    ("15", |civil, out| number(out, civil.hour, 2, '0')),
    ("PM", |civil, out| out.push_str(if civil.hour >= 12 { "PM" } else { "AM" })),
    ("pm", |civil, out| out.push_str(if civil.hour >= 12 { "pm" } else { "am" })),
    ("_2", |civil, out| number(out, civil.day, 2, ' ')),
    ("1", |civil, out| number(out, civil.month, 1, '0')),
    ("2", |civil, out| number(out, civil.day, 1, '0')),
    ("3", |civil, out| number(out, twelve(civil), 1, '0')),
    ("4", |civil, out| number(out, civil.minute, 1, '0')),
    ("5", |civil, out| number(out, civil.second, 1, '0')),
];

fn month(civil: &Civil) -> &'static str {
    usize::try_from(civil.month - 1).ok().and_then(|index| MONTHS.get(index)).copied().unwrap_or_default()
}

fn twelve(civil: &Civil) -> i64 {
    if civil.hour % 12 == 0 { 12 } else { civil.hour % 12 }
}

fn number(out: &mut String, value: i64, width: usize, pad: char) {
    let digits = value.abs().to_string();
    if value < 0 {
        out.push('-');
    }
    out.extend(std::iter::repeat_n(pad, width.saturating_sub(digits.len())));
    out.push_str(&digits);
}

/// The proleptic Gregorian calendar, counted from March so that leap days come last.
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_index = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_index + 2) / 5 + 1;
    let month = if month_index < 10 { month_index + 3 } else { month_index - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let month_index = if month > 2 { month - 3 } else { month + 9 };
    let day_of_year = (153 * month_index + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calendar_and_back() {
        for days in (-800_000..800_000).step_by(37) {
            let (year, month, day) = civil_from_days(days);
            assert_eq!(days_from_civil(year, month, day), days, "{year}-{month}-{day}");
        }
    }

    #[test]
    fn printed_as_go_does() {
        let time = Time::new(1_795_219_481, 470_000_000);
        assert_eq!(time.to_string(), "2026-11-21 00:04:41.47 +0000 UTC");
        assert_eq!(time.rfc3339(), "2026-11-21T00:04:41.47Z");
        assert_eq!(time.format("Mon Jan _2 3:04PM 06"), "Sat Nov 21 12:04AM 26");
        assert_eq!(time.format("Monday January .000 002"), "Saturday November .470 325");
        assert_eq!(Time::ZERO.to_string(), "0001-01-01 00:00:00 +0000 UTC");
    }
}
