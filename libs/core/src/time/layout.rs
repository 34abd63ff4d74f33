//! Times by a layout of Go's: the reference time `Mon Jan 2 15:04:05 MST 2006` written as it should look.

use std::fmt::{Arguments, Write as _};

use super::Timestamp;

/// What layouts are made of, the longer ones before those that they begin with.
const PARTS: [&str; 33] = [
    "January",
    "Jan",
    "Monday",
    "Mon",
    "MST",
    "2006",
    "__2",
    "_2",
    "002",
    "01",
    "02",
    "03",
    "04",
    "05",
    "06",
    "15",
    "Z070000",
    "Z07:00:00",
    "Z0700",
    "Z07:00",
    "Z07",
    "-070000",
    "-07:00:00",
    "-0700",
    "-07:00",
    "-07",
    "PM",
    "pm",
    "1",
    "2",
    "3",
    "4",
    "5",
];

impl Timestamp {
    /// Writes the time as a layout shows it.
    #[must_use]
    pub fn format(self, layout: &str) -> String {
        let mut out = String::new();
        let mut rest = layout;
        while let Some(first) = rest.chars().next() {
            if let Some(digits) = fraction(rest) {
                out.push_str(&self.show_fraction(&rest[..digits]));
                rest = &rest[digits..];
                continue;
            }
            match PARTS.into_iter().find(|part| rest.starts_with(part) && is_whole(part, rest)) {
                Some(part) => {
                    self.part(part, &mut out);
                    rest = &rest[part.len()..];
                }
                None => {
                    out.push(first);
                    rest = &rest[first.len_utf8()..];
                }
            }
        }
        out
    }

    fn part(self, part: &str, out: &mut String) {
        let civil = self.civil();
        let half = match civil.hour % 12 {
            0 => 12,
            hour => hour,
        };
        match part {
            "January" => out.push_str(MONTHS[usize::from(civil.month.clamp(1, 12)) - 1]),
            "Jan" => out.push_str(&MONTHS[usize::from(civil.month.clamp(1, 12)) - 1][..3]),
            "Monday" => out.push_str(self.weekday()),
            "Mon" => out.push_str(&self.weekday()[..3]),
            "MST" => out.push_str("UTC"),
            "2006" => put(out, format_args!("{:04}", civil.year)),
            "06" => put(out, format_args!("{:02}", civil.year.rem_euclid(100))),
            "__2" => put(out, format_args!("{:>3}", self.year_day())),
            "002" => put(out, format_args!("{:03}", self.year_day())),
            "_2" => put(out, format_args!("{:>2}", civil.day)),
            "01" => put(out, format_args!("{:02}", civil.month)),
            "1" => put(out, format_args!("{}", civil.month)),
            "02" => put(out, format_args!("{:02}", civil.day)),
            "2" => put(out, format_args!("{}", civil.day)),
            "15" => put(out, format_args!("{:02}", civil.hour)),
            "03" => put(out, format_args!("{half:02}")),
            "3" => put(out, format_args!("{half}")),
            "04" => put(out, format_args!("{:02}", civil.minute)),
            "4" => put(out, format_args!("{}", civil.minute)),
            "05" => put(out, format_args!("{:02}", civil.second)),
            "5" => put(out, format_args!("{}", civil.second)),
            "PM" => out.push_str(if civil.hour < 12 { "AM" } else { "PM" }),
            "pm" => out.push_str(if civil.hour < 12 { "am" } else { "pm" }),
            "-070000" => out.push_str("+000000"),
            "-07:00:00" => out.push_str("+00:00:00"),
            "-0700" => out.push_str("+0000"),
            "-07:00" => out.push_str("+00:00"),
            "-07" => out.push_str("+00"),
            zone if zone.starts_with('Z') => out.push('Z'),
            other => out.push_str(other),
        }
    }

    /// `.000` always, `.999` without zeros at the end.
    fn show_fraction(self, layout: &str) -> String {
        let digits = layout.len() - 1;
        let all = format!("{:09}", self.nanos);
        let shown = &all[..digits.min(9)];
        let shown = if layout.contains('9') { shown.trim_end_matches('0') } else { shown };
        if shown.is_empty() { String::new() } else { format!("{}{shown}", &layout[..1]) }
    }
}

/// The length of a fraction of a second at the front: a point or comma and only zeros, or only nines, after digits.
fn fraction(rest: &str) -> Option<usize> {
    let mut letters = rest.chars();
    if !matches!(letters.next(), Some('.' | ',')) {
        return None;
    }
    let digit = letters.next().filter(|digit| matches!(digit, '0' | '9'))?;
    let count = rest[1..].chars().take_while(|letter| *letter == digit).count();
    let after = rest[1 + count..].chars().next();
    (!after.is_some_and(|letter| letter.is_ascii_digit())).then_some(1 + count)
}

/// `Jan` and `Mon` are parts only where no lower-case letter follows, as Go has it.
fn is_whole(part: &str, rest: &str) -> bool {
    let follows = || rest[part.len()..].chars().next().is_some_and(|next| next.is_ascii_lowercase());
    !matches!(part, "Jan" | "Mon") || !follows()
}

const MONTHS: [&str; 12] = [
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

/// Appends formatted text.
fn put(out: &mut String, text: Arguments<'_>) {
    // Writing to a string fails only where a `Display` of its own does.
    out.write_fmt(text).unwrap_or_default();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts_are_gos() {
        let time = Timestamp { seconds: 1_795_219_481, nanos: 470_000_000 };
        for (layout, expected) in [
            ("2006-01-02 15:04:05", "2026-11-21 00:04:41"),
            ("2006-01-02T15:04:05.999999999Z07:00", "2026-11-21T00:04:41.47Z"),
            ("Mon Jan _2 15:04:05 2006", "Sat Nov 21 00:04:41 2026"),
            ("Monday, 02-Jan-06 15:04:05 MST", "Saturday, 21-Nov-26 00:04:41 UTC"),
            ("3:04PM", "12:04AM"),
            ("05.000 05,00", "41.470 41,47"),
            ("-0700 -07:00 Z07:00", "+0000 +00:00 Z"),
            ("002 __2 1/2", "325 325 11/21"),
            ("Monthly", "Monthly"),
            ("plain", "plain"),
        ] {
            assert_eq!(time.format(layout), expected, "{layout}");
        }
    }
}
