//! What goes out: how much may, what of it has to go again, and when.

use std::time::Duration;

use super::sequence::Seq;
use super::timing::Timing;

/// The longest piece: what fits into a packet of IPv6 behind its headers.
const LONGEST: u32 = 65_535 - 40 - 20;
/// How many segments a connection begins with (RFC 6928).
const FIRST: u32 = 10;
/// So many acknowledgements of the same byte mean that the segment there is lost.
const DUPLICATES: u32 = 3;
/// How often nobody answers before nobody is there: some two minutes.
const TRIES: u32 = 9;
/// The same of a first segment: a quarter of a minute.
const FIRST_TRIES: u32 = 3;
/// More is never on its way: the wire is short, and what waits at the other end waits as well where it is (and is looked at from
/// the first byte on each time).
const MOST: u32 = 1 << 20;
/// How much is asked for at a time.
const SPAN: u32 = 4 * LONGEST;

/// Bytes that may be sent now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Where they begin: so many bytes behind the first that has not arrived.
    pub from: usize,
    /// How many at the most.
    pub most: usize,
    /// How many of them one packet takes.
    pub packet: usize,
    /// They were sent before, so they are there.
    pub is_again: bool,
}

/// The half of an endpoint that sends.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sending {
    /// The first that has not arrived.
    pub(super) una: Seq,
    /// The next to be sent.
    pub(super) next: Seq,
    /// The next that was never sent.
    pub(super) max: Seq,
    /// The place of the end, where it is known.
    pub(super) end: Option<Seq>,
    /// The greatest segment that the peer takes.
    pub(super) mss: u32,
    /// How much the peer takes, the most that it ever took, and which segment said so last.
    window: u32,
    widest: u32,
    told_at: (Seq, Seq),
    /// By how many bits its windows are shifted.
    scale: u8,
    /// How much the wire takes, and where it began to lose some.
    congestion: u32,
    threshold: u32,
    duplicates: u32,
    /// Something was lost, and everything before this has to arrive until it counts as mended.
    recover: Option<Seq>,
    /// What is said again of anything before this is no news.
    repaired: Seq,
    /// What is lost is to be sent at once.
    resends: bool,
    timing: Timing,
    /// What is being measured: since when, until this has arrived.
    measured: Option<(Seq, Duration)>,
    /// When what is on its way is given up.
    again_at: Option<Duration>,
    tries: u32,
    /// When the peer is asked whether it takes something again, and how often it has said no.
    probe_at: Option<Duration>,
    refused: u32,
    pub(super) probes: bool,
}

impl Sending {
    pub(super) fn new(first: u32) -> Self {
        let first = Seq(first);
        Self { una: first, next: first, max: first, repaired: first, ..Self::default() }
    }

    /// What the peer's first segment says.
    pub(super) fn begin(&mut self, sequence: Seq, mss: u32, scale: u8, window: u16) {
        self.mss = mss;
        self.scale = scale;
        self.window = window.into();
        self.widest = self.window;
        self.told_at = (sequence, self.una);
    }

    /// The peer has agreed.
    pub(super) fn open(&mut self, acknowledged: Seq, now: Duration) {
        self.acknowledge(acknowledged, now);
        self.congestion = FIRST.saturating_mul(self.mss);
        self.threshold = u32::MAX;
    }

    /// Bytes on their way, as far as they have not been given up.
    const fn flight(&self) -> u32 {
        self.next.since(self.una)
    }

    /// Something is on its way.
    pub(super) fn is_waiting(&self) -> bool {
        self.una != self.max
    }

    /// Whether the peer may know of this number (RFC 5961 §5.2).
    pub(super) const fn is_credible(&self, acknowledged: Seq) -> bool {
        !acknowledged.is_after(self.max) && !self.una.minus(self.widest).is_after(acknowledged)
    }

    /// Everything before this has arrived; so many bytes of it are new, without the last, which is none.
    pub(super) fn acknowledge(&mut self, acknowledged: Seq, now: Duration) -> u32 {
        let count = acknowledged.since(self.una);
        let has_end = self.end.is_some_and(|end| acknowledged == end.plus(1));
        self.una = acknowledged;
        self.next = self.next.or_later(acknowledged);
        if let Some((until, since)) = self.measured
            && !until.is_after(acknowledged)
        {
            self.timing.measure(now.saturating_sub(since));
            self.measured = None;
        }
        self.tries = 0;
        self.again_at = self.is_waiting().then(|| now + self.timing.patience(0));
        self.grow(count);
        count - u32::from(has_end)
    }

    /// The wire has taken so much.
    fn grow(&mut self, count: u32) {
        self.duplicates = 0;
        match self.recover {
            // The next hole.
            Some(recover) if recover.is_after(self.una) => {
                self.resends = true;
                self.congestion =
                    self.congestion.saturating_sub(count).saturating_add(self.mss).max(self.mss);
            }
            Some(_) => {
                self.recover = None;
                self.resends = false;
                self.congestion = self.threshold.max(self.mss);
            }
            None if self.congestion < self.threshold => {
                self.congestion = self.congestion.saturating_add(count).min(MOST);
            }
            None => {
                let part = u64::from(self.mss) * u64::from(count) / u64::from(self.congestion.max(1));
                let part = u32::try_from(part).unwrap_or(self.mss);
                self.congestion = self.congestion.saturating_add(part.max(1)).min(MOST);
            }
        }
    }

    /// The peer says again what it waits for.
    pub(super) fn duplicate(&mut self) {
        self.duplicates += 1;
        match self.recover {
            // One more has left the wire.
            Some(_) => self.congestion = self.congestion.saturating_add(self.mss).min(MOST),
            None if self.duplicates == DUPLICATES && !self.repaired.is_after(self.una) => {
                self.lose();
                self.recover = Some(self.max);
                self.congestion = self.threshold.saturating_add(DUPLICATES * self.mss);
                self.resends = true;
            }
            None => {}
        }
    }

    fn lose(&mut self) {
        self.threshold = (self.max.since(self.una) / 2).max(2 * self.mss);
        self.repaired = self.max;
        self.measured = None;
    }

    /// What a segment says of the window, unless a later one has said so before (RFC 9293 §3.10.7.4).
    pub(super) fn hear_window(&mut self, told: u16, sequence: Seq, acknowledged: Seq) {
        let (before, at) = self.told_at;
        if sequence.is_after(before) || sequence == before && !at.is_after(acknowledged) {
            self.told_at = (sequence, acknowledged);
            self.window = u32::from(told) << self.scale;
            self.widest = self.widest.max(self.window);
            if self.window > 0 {
                self.probe_at = None;
            }
        }
    }

    /// Whether a segment says the same of the window as the last.
    pub(super) fn is_same_window(&self, told: u16) -> bool {
        self.window == u32::from(told) << self.scale
    }

    /// What may be sent now. Where that is nothing because the peer takes nothing, it will be asked.
    pub(super) fn span(&mut self, now: Duration) -> Option<Span> {
        let before_end = |at: Seq| self.end.is_none_or(|end| end.is_after(at));
        if self.resends && before_end(self.una) {
            let end = self.end.unwrap_or(self.max);
            let most = self.mss.min(LONGEST).min(end.since(self.una)) as usize;
            return Some(Span { from: 0, most, packet: most, is_again: true });
        }
        if !before_end(self.next) {
            return None;
        }
        let flight = self.flight();
        let usable = self.window.min(self.congestion).saturating_sub(flight);
        if usable == 0 || flight > 0 && usable < self.mss.min(self.widest / 2) {
            if flight == 0 && self.probe_at.is_none() {
                if !self.is_waiting() {
                    self.tries = 0;
                }
                self.refused = 0;
                self.probe_at = Some(now + self.timing.patience(0));
            }
            return None;
        }
        let whole = |length: u32| if length > self.mss { length - length % self.mss } else { length };
        let most = whole(usable.min(SPAN));
        let most = self.end.map_or(most, |end| most.min(end.since(self.next)));
        let is_again = self.max.is_after(self.next);
        Some(Span { from: flight as usize, most: most as usize, packet: whole(LONGEST) as usize, is_again })
    }

    /// So many bytes of a span are sent now: the number of the first.
    pub(super) fn sent(&mut self, span: Span, count: u32, now: Duration) -> Seq {
        let first = self.una.plus(u32::try_from(span.from).unwrap_or_default());
        if self.resends && span.from == 0 {
            self.resends = false;
        }
        self.went(first, count, now);
        first
    }

    /// Numbers are on their way.
    pub(super) fn went(&mut self, first: Seq, count: u32, now: Duration) {
        let behind = first.plus(count);
        if behind.is_after(self.max) {
            // What was sent twice is not measured (Karn).
            if self.measured.is_none() && first == self.max {
                self.measured = Some((behind, now));
            }
            self.max = behind;
        }
        self.next = self.next.or_later(behind);
        self.probe_at = None;
        if self.again_at.is_none() {
            self.again_at = Some(now + self.timing.patience(self.tries));
        }
    }

    /// The end comes behind all that was sent.
    pub(super) fn finish(&mut self) {
        self.end = self.end.or(Some(self.max));
    }

    /// Whether the end is what is to be sent next.
    pub(super) fn is_end_next(&self) -> bool {
        self.end.is_some_and(|end| self.next == end || self.resends && self.una == end)
    }

    /// The end was sent.
    pub(super) fn sent_end(&mut self, now: Duration) -> Seq {
        let at = self.end.unwrap_or(self.next);
        self.resends = false;
        self.went(at, 1, now);
        at
    }

    /// The end has arrived.
    pub(super) fn is_over(&self) -> bool {
        self.end.is_some_and(|end| self.una == end.plus(1))
    }

    /// The peer is there, if it takes anything or not.
    pub(super) const fn hear_of_peer(&mut self) {
        if self.probe_at.is_some() {
            self.tries = 0;
        }
    }

    /// When [`Sending::expire`] has something to do.
    pub(super) fn deadline(&self) -> Option<Duration> {
        match (self.again_at, self.probe_at) {
            (Some(again), Some(probe)) => Some(again.min(probe)),
            (again, probe) => again.or(probe),
        }
    }

    /// Time has passed: false if nobody is there any more.
    pub(super) fn expire(&mut self, now: Duration, is_first: bool) -> bool {
        let is_due = |at: Option<Duration>| at.is_some_and(|at| at <= now);
        let most = if is_first { FIRST_TRIES } else { TRIES };
        if is_due(self.again_at) {
            self.tries += 1;
            // All of it is given up, and goes again as the wire takes it.
            self.lose();
            self.recover = None;
            self.next = self.una;
            self.duplicates = 0;
            self.congestion = self.mss;
            self.resends = false;
            self.again_at = Some(now + self.timing.patience(self.tries));
        }
        if is_due(self.probe_at) {
            self.tries += 1;
            self.refused += 1;
            self.probes = true;
            self.probe_at = Some(now + self.timing.patience(self.refused));
        }
        self.tries <= most
    }
}
