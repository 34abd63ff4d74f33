//! How long an answer is waited for (RFC 6298).

use std::time::Duration;

/// Before anything was measured.
const FIRST: Duration = Duration::from_secs(1);
/// The peer may keep an answer back for a while to save one, and is not always given a processor.
const LEAST: Duration = Duration::from_millis(200);
const MOST: Duration = Duration::from_secs(60);
/// How exactly time is told.
const GRAIN: Duration = Duration::from_millis(1);

/// What is known of the time that an answer takes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Timing {
    /// The mean, and how far from it answers are.
    known: Option<(Duration, Duration)>,
}

impl Timing {
    /// An answer took so long.
    pub(super) fn measure(&mut self, took: Duration) {
        self.known = Some(match self.known {
            None => (took, took / 2),
            Some((mean, off)) => ((mean * 7 + took) / 8, (off * 3 + mean.abs_diff(took)) / 4),
        });
    }

    /// How long to wait after so many tries that had none.
    pub(super) fn patience(&self, tries: u32) -> Duration {
        let once = self.known.map_or(FIRST, |(mean, off)| mean + GRAIN.max(off * 4));
        once.clamp(LEAST, MOST).saturating_mul(1 << tries.min(16)).min(MOST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_slow_is_waited_for_and_each_time_longer() {
        let mut timing = Timing::default();
        assert_eq!(timing.patience(0), FIRST);
        timing.measure(Duration::from_millis(400));
        assert_eq!(timing.patience(0), Duration::from_millis(1200));
        assert_eq!(timing.patience(1), Duration::from_millis(2400));
        assert_eq!(timing.patience(u32::MAX), MOST);
        for _ in 0..100 {
            timing.measure(Duration::from_micros(50));
        }
        assert_eq!(timing.patience(0), LEAST);
    }
}
