//! Times as a log has them: `2026-11-21T11:30:00.123456789+00:00`.

use rustix::time::Timespec;

/// The bytes of a time.
pub(crate) const STAMP: usize = 35;

const DAY: i64 = 24 * 60 * 60;

/// A time since 1970 as text, in UTC.
pub(crate) fn stamp(time: Timespec) -> [u8; STAMP] {
    let (days, seconds) = (time.tv_sec.div_euclid(DAY), time.tv_sec.rem_euclid(DAY));
    let (year, month, day) = date(days);
    let mut text = *b"0000-00-00T00:00:00.000000000+00:00";
    put(&mut text[0..4], year);
    put(&mut text[5..7], month);
    put(&mut text[8..10], day);
    put(&mut text[11..13], seconds / 3600);
    put(&mut text[14..16], seconds / 60 % 60);
    put(&mut text[17..19], seconds % 60);
    put(&mut text[20..29], time.tv_nsec);
    text
}

/// Year, month and day of a number of days since 1970, by the Gregorian calendar.
///
/// Years begin in March here, so that a leap day is the last of its year, and the months' lengths repeat: 153 days for each
/// five of them. 400 years are an era of 146,097 days.
fn date(days: i64) -> (i64, i64, i64) {
    /// From the 1st of March of the year 0 to 1970.
    const OFFSET: i64 = 719_468;
    const ERA: i64 = 146_097;
    let days = days + OFFSET;
    let (era, of_era) = (days.div_euclid(ERA), days.rem_euclid(ERA));
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

/// Writes a number's last digits over a field.
fn put(field: &mut [u8], mut number: i64) {
    for place in field.iter_mut().rev() {
        *place = b'0' + u8::try_from(number.rem_euclid(10)).unwrap_or_default();
        number = number.div_euclid(10);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(tv_sec: i64, tv_nsec: i64) -> String {
        String::from_utf8(stamp(Timespec { tv_sec, tv_nsec }).to_vec()).unwrap()
    }

    #[test]
    fn times_are_those_of_the_calendar() {
        assert_eq!(text(0, 0), "1970-01-01T00:00:00.000000000+00:00");
        assert_eq!(text(951_782_399, 999_999_999), "2000-02-28T23:59:59.999999999+00:00");
        assert_eq!(text(951_782_400, 1), "2000-02-29T00:00:00.000000001+00:00");
        assert_eq!(text(1_795_260_600, 123_456_789), "2026-11-21T11:30:00.123456789+00:00");
        assert_eq!(text(4_107_542_399, 0), "2100-02-28T23:59:59.000000000+00:00");
        assert_eq!(text(4_107_542_400, 0), "2100-03-01T00:00:00.000000000+00:00");
        assert_eq!(text(-1, 0), "1969-12-31T23:59:59.000000000+00:00");
    }

    /// Four hundred years, day by day, against the rule that everybody knows.
    #[test]
    fn every_day_follows_the_one_before() {
        let (mut year, mut month, mut day) = (1970, 1, 1);
        for days in 0..146_097 {
            assert_eq!(date(days), (year, month, day));
            let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            let length = match month {
                2 => 28 + i64::from(leap),
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            day += 1;
            if day > length {
                (day, month) = (1, month + 1);
            }
            if month > 12 {
                (month, year) = (1, year + 1);
            }
        }
    }
}
