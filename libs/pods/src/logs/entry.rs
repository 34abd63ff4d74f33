//! One record of a log.

use ctr_core::time::Timestamp;

/// The form of a time as our monitor writes it: zeros stand for digits.
const STAMP: &[u8; 29] = b"0000-00-00T00:00:00.000000000";

/// The most bytes that a time with its zone takes: `2026-11-21T11:30:00.123456789+00:00`.
const LONGEST: usize = 35;

/// What a container wrote to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output, or the terminal.
    Stdout,
    /// Standard error.
    Stderr,
}

/// A line, or a piece of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'a> {
    /// When it was written, as the log has it.
    pub time: &'a [u8],
    /// Where it was written to.
    pub stream: Stream,
    /// Whether the line goes on in the next entry of its stream.
    pub partial: bool,
    /// What was written, without its newline.
    pub bytes: &'a [u8],
}

impl<'a> Entry<'a> {
    /// Understands a line of the log, given without its newline; `None` for what is damaged.
    #[must_use]
    pub fn parse(line: &'a [u8]) -> Option<Self> {
        let end = line.get(..=LONGEST).unwrap_or(line).iter().position(|byte| *byte == b' ')?;
        let (time, rest) = line.split_at(end);
        let (stream, rest) = match rest.split_at_checked(8)? {
            (b" stdout ", rest) => (Stream::Stdout, rest),
            (b" stderr ", rest) => (Stream::Stderr, rest),
            _ => return None,
        };
        let (partial, bytes) = match rest.split_at_checked(2)? {
            (b"F ", bytes) => (false, bytes),
            (b"P ", bytes) => (true, bytes),
            _ => return None,
        };
        let entry = Self { time, stream, partial, bytes };
        (is_stamp(time) || entry.moment().is_some()).then_some(entry)
    }

    /// When it was written.
    #[must_use]
    pub fn moment(&self) -> Option<Timestamp> {
        let text = std::str::from_utf8(self.time).ok()?;
        // Without a zone it would be no time of a log.
        text.contains('T').then(|| Timestamp::parse(text).ok()).flatten()
    }

    /// Whether it was written after a moment.
    #[must_use]
    pub fn is_after(&self, moment: &Moment) -> bool {
        self.order(moment) == std::cmp::Ordering::Greater
    }

    /// Whether it was written before a moment.
    #[must_use]
    pub fn is_before(&self, moment: &Moment) -> bool {
        self.order(moment) == std::cmp::Ordering::Less
    }

    /// Times in UTC, as ours are, compare as texts.
    fn order(&self, moment: &Moment) -> std::cmp::Ordering {
        match (self.time.strip_suffix(b"+00:00"), &moment.text) {
            (Some(time), Some(text)) if time.len() == STAMP.len() => time.cmp(text),
            _ => self.moment().cmp(&Some(moment.time)),
        }
    }
}

/// A moment to compare with.
#[derive(Debug, Clone)]
pub struct Moment {
    time: Timestamp,
    /// As the log would have it; `None` for a year that has not four digits.
    text: Option<Vec<u8>>,
}

impl From<Timestamp> for Moment {
    fn from(time: Timestamp) -> Self {
        let text = time.format("2006-01-02T15:04:05.000000000").into_bytes();
        Self { time, text: (text.len() == STAMP.len()).then_some(text) }
    }
}

/// Whether a time has our monitor's form.
fn is_stamp(time: &[u8]) -> bool {
    let fits = |(byte, form): (&u8, &u8)| if *form == b'0' { byte.is_ascii_digit() } else { byte == form };
    time.len() == LONGEST && time.ends_with(b"+00:00") && time.iter().zip(STAMP).all(fits)
}
