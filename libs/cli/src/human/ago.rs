//! How long ago, in the words of docker's go-units: `About a minute`, `30 seconds`, `5 weeks`.

use ctr_core::time::Timestamp;

const SECOND: i64 = 1_000_000_000;

/// A duration in nanoseconds, roughly.
#[must_use]
pub fn span(nanos: i64) -> String {
    let seconds = nanos / SECOND;
    let minutes = seconds / 60;
    // To the nearest one.
    let hours = (seconds + 1800) / 3600;
    match (seconds, minutes, hours) {
        (..1, ..) => "Less than a second".to_owned(),
        (1, ..) => "1 second".to_owned(),
        (..60, ..) => format!("{seconds} seconds"),
        (_, 1, _) => "About a minute".to_owned(),
        (_, ..60, _) => format!("{minutes} minutes"),
        (.., 1) => "About an hour".to_owned(),
        (.., ..48) => format!("{hours} hours"),
        (.., ..336) => format!("{} days", hours / 24),
        (.., ..1440) => format!("{} weeks", hours / 24 / 7),
        (.., ..17520) => format!("{} months", hours / 24 / 30),
        _ => format!("{} years", seconds / 3600 / 24 / 365),
    }
}

/// How long ago a time was: `30 seconds ago`.
#[must_use]
pub fn ago(then: Timestamp, now: Timestamp) -> String {
    format!("{} ago", span(then.until(now)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_go_units() {
        const MINUTE: i64 = 60;
        const HOUR: i64 = 3600;
        const DAY: i64 = 24 * HOUR;
        for (seconds, expected) in [
            (0, "Less than a second"),
            (-5, "Less than a second"),
            (1, "1 second"),
            (2, "2 seconds"),
            (59, "59 seconds"),
            (60, "About a minute"),
            (119, "About a minute"),
            (2 * MINUTE, "2 minutes"),
            (59 * MINUTE, "59 minutes"),
            (HOUR, "About an hour"),
            (HOUR + 29 * MINUTE, "About an hour"),
            (HOUR + 30 * MINUTE, "2 hours"),
            (47 * HOUR, "47 hours"),
            (47 * HOUR + 30 * MINUTE, "2 days"),
            (3 * DAY, "3 days"),
            (14 * DAY, "2 weeks"),
            (59 * DAY, "8 weeks"),
            (60 * DAY, "2 months"),
            (729 * DAY, "24 months"),
            (2 * 365 * DAY, "2 years"),
            (9 * 365 * DAY, "9 years"),
        ] {
            assert_eq!(span(seconds * SECOND), expected, "{seconds}");
        }
        assert_eq!(ago(Timestamp::from_seconds(0), Timestamp::from_seconds(30)), "30 seconds ago");
    }
}
