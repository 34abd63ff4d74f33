//! Asking again: what may pass by itself, how long is waited, and that a host which asks for time gets it from all who ask it.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use ctr_core::time::Timestamp;

/// The longest wait that a host may ask for.
const LONGEST: Duration = Duration::from_secs(120);

/// How often one asks again, and after what time.
#[derive(Debug, Clone, Copy)]
pub struct Retry {
    /// How often.
    pub times: u32,
    /// The wait; without one each is up to twice as long as the one before.
    pub delay: Option<Duration>,
    /// The first wait.
    pub base: Duration,
    /// No wait of ours is longer.
    pub most: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Self { times: 4, delay: None, base: Duration::from_millis(500), most: Duration::from_secs(30) }
    }
}

impl Retry {
    /// How long to wait before asking again for the nth time, from 0 on. Chance spreads those who failed together.
    #[must_use]
    pub fn wait(&self, nth: u32, chance: u32) -> Duration {
        if let Some(delay) = self.delay {
            return delay;
        }
        let most = self.base.saturating_mul(2u32.saturating_pow(nth)).min(self.most);
        most.mul_f64(f64::from(chance) / f64::from(u32::MAX))
    }
}

/// Whether a status may be another one soon.
#[must_use]
pub const fn may_pass(status: u16) -> bool {
    matches!(status, 408 | 429 | 500 | 502 | 503 | 504)
}

/// Reads `Retry-After`: seconds, or a date.
#[must_use]
pub fn after(value: &str, now: Timestamp) -> Option<Duration> {
    let seconds = match value.trim().parse::<u64>() {
        Ok(seconds) => seconds,
        Err(_) => u64::try_from(now.until(date(value.trim())?) / 1_000_000_000).unwrap_or(0),
    };
    Some(Duration::from_secs(seconds).min(LONGEST))
}

/// Reads a date as HTTP has it (RFC 9110 §5.6.7): `Wed, 21 Oct 2015 07:28:00 GMT`.
fn date(text: &str) -> Option<Timestamp> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let mut words = text.split_once(", ")?.1.split(' ');
    let (day, month, year, clock) = (words.next()?, words.next()?, words.next()?, words.next()?);
    let month = MONTHS.iter().position(|name| *name == month)? + 1;
    Timestamp::parse(&format!("{year}-{month:02}-{day}T{clock}Z")).ok()
}

/// The time before which nobody is to ask a host again.
#[derive(Debug, Default)]
pub(crate) struct Gate(Mutex<Option<Instant>>);

impl Gate {
    /// Waits until the host may be asked.
    pub(crate) fn pass(&self) {
        loop {
            let until = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let left = until.map_or(Duration::ZERO, |until| until.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                return;
            }
            std::thread::sleep(left);
        }
    }

    /// Closes it for a time.
    pub(crate) fn close(&self, wait: Duration) {
        let mut until = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let new = Instant::now() + wait;
        *until = Some(until.map_or(new, |known| known.max(new)));
    }
}

/// Some bits of chance.
pub(crate) fn chance() -> u32 {
    let mut bytes = [0; 4];
    match rustix::rand::getrandom(&mut bytes[..], rustix::rand::GetRandomFlags::empty()) {
        Ok(_) => u32::from_ne_bytes(bytes),
        // Then all wait the longest.
        Err(_) => u32::MAX,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_up_to_a_bound() {
        let retry = Retry::default();
        assert_eq!(retry.wait(0, u32::MAX), Duration::from_millis(500));
        assert_eq!(retry.wait(3, u32::MAX), Duration::from_secs(4));
        assert_eq!(retry.wait(60, u32::MAX), Duration::from_secs(30));
        assert_eq!(retry.wait(3, 0), Duration::ZERO);
        let fixed = Retry { delay: Some(Duration::from_secs(2)), ..retry };
        assert_eq!(fixed.wait(9, 0), Duration::from_secs(2));
    }

    #[test]
    fn hosts_ask_for_time() {
        let now = Timestamp::parse("2015-10-21T07:28:00Z").unwrap();
        for (value, wanted) in [
            ("7", Some(7)),
            (" 0 ", Some(0)),
            ("100000", Some(120)),
            ("Wed, 21 Oct 2015 07:28:30 GMT", Some(30)),
            ("Wed, 21 Oct 2015 07:27:00 GMT", Some(0)),
            ("-1", None),
            ("soon", None),
            ("", None),
        ] {
            assert_eq!(after(value, now), wanted.map(Duration::from_secs), "{value}");
        }
    }
}
