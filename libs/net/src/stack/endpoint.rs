//! One end of a connection: what a segment means to it, and what it has to say.

use std::ops::Range;
use std::time::Duration;

use super::receiving::Receiving;
use super::sending::{Sending, Span};
use super::sequence::Seq;
use crate::wire::segment::{Header, flag};

/// By how many bits our windows are shifted: up to eight megabytes.
const SCALE: u8 = 7;
/// The greatest shift there is (RFC 7323 §2.3).
const MOST_SCALE: u8 = 14;
/// What who says nothing of its greatest segment takes (RFC 9293 §3.7.1), and what nobody may fall below.
const DEFAULT_MSS: u16 = 536;
const LEAST_MSS: u16 = 88;
/// How long the last of two ends waits for what is still on its way: the wire is short.
const LINGER: Duration = Duration::from_secs(2);
/// What could be a guess is answered no more often than that.
const CHALLENGES: Duration = Duration::from_millis(100);

/// What an endpoint begins with.
#[derive(Clone, Copy, Debug)]
pub struct Opening {
    /// The number of our first segment, which nobody can guess.
    pub first: u32,
    /// The greatest segment that we take.
    pub mss: u16,
    /// How much we take in all.
    pub room: usize,
}

/// How far a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The peer has still to agree.
    Opening,
    /// Bytes flow, in one direction at least.
    Open,
    /// Both have said all; what is late is still answered.
    Lingering,
    /// Both have said all.
    Ended,
    /// The peer, or nobody being there, ended it.
    Broken,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Our first segment is out.
    Asking,
    /// Both are, and ours has to arrive.
    Agreeing,
    Open,
    Lingering {
        until: Duration,
    },
    Ended,
    Broken,
}

/// What came of a segment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Received {
    /// Of what it carried, what comes next: it counts as taken.
    pub data: Range<usize>,
    /// So many bytes have arrived that were sent.
    pub arrived: usize,
    /// The peer has agreed.
    pub opened: bool,
    /// The peer has said all.
    pub ended: bool,
}

/// One end of a connection.
#[derive(Debug)]
pub struct Endpoint {
    state: State,
    sending: Sending,
    receiving: Receiving,
    mss: u16,
    /// The peer scales its windows.
    scales: bool,
    /// It was we who ended first.
    ended_first: bool,
    /// A segment to be sent that belongs to no connection.
    refusal: Option<Header>,
    challenged: Option<Duration>,
}

impl Endpoint {
    /// Answers a peer's first segment.
    #[must_use]
    pub fn accept(first: &Header, opening: Opening) -> Self {
        let mut endpoint = Self::connect(opening);
        endpoint.state = State::Agreeing;
        endpoint.hear_first(first);
        endpoint
    }

    /// Asks a peer.
    #[must_use]
    pub fn connect(Opening { first, mss, room }: Opening) -> Self {
        Self {
            state: State::Asking,
            sending: Sending::new(first),
            receiving: Receiving::new(u32::try_from(room).unwrap_or(u32::MAX), SCALE),
            mss,
            scales: true,
            ended_first: false,
            refusal: None,
            challenged: None,
        }
    }

    fn hear_first(&mut self, header: &Header) {
        let mss = header.mss.unwrap_or(DEFAULT_MSS).clamp(LEAST_MSS, self.mss);
        self.scales = header.scale.is_some();
        let scale = header.scale.map_or(0, |scale| scale.min(MOST_SCALE));
        self.sending.begin(Seq(header.sequence), mss.into(), scale, header.window);
        self.receiving.begin(Seq(header.sequence), self.scales);
    }

    /// How far it is.
    #[must_use]
    pub const fn phase(&self) -> Phase {
        match self.state {
            State::Asking | State::Agreeing => Phase::Opening,
            State::Open => Phase::Open,
            State::Lingering { .. } => Phase::Lingering,
            State::Ended => Phase::Ended,
            State::Broken => Phase::Broken,
        }
    }

    /// Greatest segment that the peer takes: what is longer has to be cut.
    #[must_use]
    pub fn mss(&self) -> u16 {
        u16::try_from(self.sending.mss).unwrap_or(u16::MAX)
    }

    /// How many bytes there is room for from now on.
    pub fn set_room(&mut self, room: usize) {
        self.receiving.set_room(u32::try_from(room).unwrap_or(u32::MAX));
    }

    /// Whether a peer that begins anew with this segment may have the addresses of what only lingers. Its number is of no matter, as it is
    /// where segments overtake each other (RFC 9293 §3.10.7.4): none of a connection's first ones comes behind its end.
    #[must_use]
    pub const fn gives_way(&self, header: &Header) -> bool {
        matches!(self.state, State::Lingering { .. }) && header.begins()
    }

    /// Whether this is the number of a first segment of ours that has no answer yet.
    #[must_use]
    pub fn asks_with(&self, sequence: u32) -> bool {
        self.state == State::Asking && self.sending.una == Seq(sequence)
    }

    /// Takes a segment with so many bytes, of which no more than `most` can be taken.
    pub fn receive(&mut self, header: &Header, length: usize, most: usize, now: Duration) -> Received {
        let mut received = Received::default();
        match self.state {
            State::Ended | State::Broken => return received,
            State::Asking => {
                received.opened = self.hear_answer(header, now);
                return received;
            }
            State::Agreeing | State::Open | State::Lingering { .. } => {}
        }
        let mut first = Seq(header.sequence);
        let is_own_first = first.plus(1) == self.receiving.next && header.has(flag::SYN);
        let mut flags = header.flags;
        if self.state == State::Agreeing && is_own_first {
            if !header.has(flag::ACK) {
                // Our answer was lost.
                self.sending.next = self.sending.una;
                return received;
            }
            // Both asked at once: this is an answer, too.
            first = first.plus(1);
            flags &= !flag::SYN;
        }
        let header = &Header { sequence: first.0, flags, ..*header };
        let Ok(count) = u32::try_from(length) else { return received };
        let numbers = count + u32::from(header.has(flag::SYN)) + u32::from(header.has(flag::FIN));
        if !self.receiving.is_acceptable(first, numbers) {
            if !header.has(flag::RST) {
                self.remind(numbers > 0, now);
            }
            return received;
        }
        if header.has(flag::RST) {
            if first == self.receiving.next {
                self.state = State::Broken;
            } else {
                self.challenge(now);
            }
            return received;
        }
        if header.has(flag::SYN) {
            self.challenge(now);
            return received;
        }
        if !header.has(flag::ACK) || !self.hear_acknowledgement(header, numbers, &mut received, now) {
            return received;
        }
        self.hear_bytes(header, length, most, &mut received, now);
        self.part(now);
        received
    }

    /// The answer to our first segment; whether the peer agrees.
    fn hear_answer(&mut self, header: &Header, now: Duration) -> bool {
        let acknowledged = Seq(header.acknowledgement);
        let is_answer = header.has(flag::ACK);
        if is_answer && (acknowledged != self.sending.max || !self.sending.is_waiting()) {
            if !header.has(flag::RST) {
                // It is still in an earlier connection, which ends with that; then it is asked anew.
                self.refusal = Some(header.refusal(0));
                self.sending.next = self.sending.una;
            }
            return false;
        }
        if header.has(flag::RST) {
            if is_answer {
                self.state = State::Broken;
            }
            return false;
        }
        if !header.has(flag::SYN) {
            return false;
        }
        self.hear_first(header);
        self.receiving.owe();
        if is_answer {
            self.sending.open(acknowledged, now);
            self.state = State::Open;
        } else {
            // It asks us while we ask it: each answers the other's.
            self.state = State::Agreeing;
            self.sending.next = self.sending.una;
        }
        is_answer
    }

    /// What has arrived, and how much more may be sent; false if nothing of the segment counts.
    fn hear_acknowledgement(
        &mut self,
        header: &Header,
        numbers: u32,
        received: &mut Received,
        now: Duration,
    ) -> bool {
        let acknowledged = Seq(header.acknowledgement);
        let is_new = acknowledged.is_after(self.sending.una) && !acknowledged.is_after(self.sending.max);
        if self.state == State::Agreeing {
            if !is_new {
                self.refusal = Some(header.refusal(0));
                return false;
            }
            self.state = State::Open;
            self.sending.open(acknowledged, now);
            received.opened = true;
        } else if !self.sending.is_credible(acknowledged) {
            self.challenge(now);
            return false;
        } else if is_new {
            let bytes = self.sending.acknowledge(acknowledged, now);
            received.arrived = bytes as usize;
        } else if acknowledged == self.sending.una
            && numbers == 0
            && self.sending.is_waiting()
            && self.sending.is_same_window(header.window)
        {
            self.sending.duplicate();
        }
        self.sending.hear_of_peer();
        if acknowledged == self.sending.una {
            self.sending.hear_window(header.window, Seq(header.sequence), acknowledged);
        }
        true
    }

    fn hear_bytes(
        &mut self,
        header: &Header,
        length: usize,
        most: usize,
        received: &mut Received,
        now: Duration,
    ) {
        let first = Seq(header.sequence);
        let behind = first.plus(u32::try_from(length).unwrap_or_default());
        if length > 0 && !self.receiving.ended {
            received.data = self.receiving.take(first, length, most);
        }
        let has_end = header.has(flag::FIN);
        if has_end && self.receiving.take_end(behind) {
            received.ended = true;
            self.ended_first = self.sending.end.is_some_and(|end| self.sending.max.is_after(end));
        }
        if length == 0 && !has_end {
            return;
        }
        let came = received.data.len() as u64 + u64::from(received.ended);
        if came > 0 {
            self.receiving.owe();
        } else if first.is_after(self.receiving.next) {
            self.receiving.owe_again();
        } else {
            self.remind(true, now);
        }
    }

    /// Both ends have said all, and know it of each other.
    fn part(&mut self, now: Duration) {
        if self.state == State::Open && self.receiving.ended && self.sending.is_over() {
            self.state =
                if self.ended_first { State::Lingering { until: now + LINGER } } else { State::Ended };
        }
    }

    /// Says again what is expected: always to who sent something, and to who did not, not too often.
    fn remind(&mut self, always: bool, now: Duration) {
        if always {
            self.receiving.owe();
        } else {
            self.challenge(now);
        }
    }

    /// What could be a guess is answered with what only the peer sees (RFC 5961).
    fn challenge(&mut self, now: Duration) {
        if self.challenged.is_none_or(|last| now >= last + CHALLENGES) {
            self.challenged = Some(now);
            self.receiving.owe();
        }
    }

    /// Which bytes may be sent now, if there are any: to be asked once more for each piece.
    pub fn span(&mut self, now: Duration) -> Option<Span> {
        if self.state == State::Open { self.sending.span(now) } else { None }
    }

    /// So many bytes of a span are sent with this.
    pub fn send(&mut self, span: Span, count: usize, now: Duration) -> Header {
        let count = u32::try_from(count).unwrap_or_default();
        let sequence = self.sending.sent(span, count, now);
        self.header(sequence, flag::ACK | flag::PSH)
    }

    /// There is nothing behind what was sent.
    pub fn finish(&mut self) {
        self.sending.finish();
    }

    /// What else is to be sent now, without bytes: to be asked until there is nothing.
    pub fn speak(&mut self, now: Duration) -> Option<Header> {
        if let Some(refusal) = self.refusal.take() {
            return Some(refusal);
        }
        match self.state {
            State::Asking | State::Agreeing => self.speak_first(now),
            State::Open | State::Lingering { .. } | State::Ended => self.speak_later(now),
            State::Broken => None,
        }
    }

    fn speak_first(&mut self, now: Duration) -> Option<Header> {
        let first = self.sending.una;
        if self.sending.next != first {
            return None;
        }
        self.sending.went(first, 1, now);
        let answers = self.state == State::Agreeing;
        let mut header = self.header(first, if answers { flag::SYN | flag::ACK } else { flag::SYN });
        if !answers {
            header.acknowledgement = 0;
        }
        header.window = self.receiving.first_window();
        header.mss = Some(self.mss);
        header.scale = self.scales.then_some(SCALE);
        Some(header)
    }

    fn speak_later(&mut self, now: Duration) -> Option<Header> {
        if self.state == State::Open && self.sending.is_end_next() {
            let sequence = self.sending.sent_end(now);
            return Some(self.header(sequence, flag::FIN | flag::ACK));
        }
        if std::mem::take(&mut self.sending.probes) {
            // A number that has arrived: it is answered, and takes no room.
            let sequence = self.sending.una.minus(1);
            return Some(self.header(sequence, flag::ACK));
        }
        if !self.receiving.is_owing() {
            return None;
        }
        Some(self.header(self.sending.max, flag::ACK))
    }

    fn header(&mut self, sequence: Seq, flags: u8) -> Header {
        let window = self.receiving.tell_window();
        Header {
            sequence: sequence.0,
            acknowledgement: self.receiving.next.0,
            flags,
            window,
            mss: None,
            scale: None,
        }
    }

    /// Ends it at once, with what tells the peer so.
    pub fn reset(&mut self) -> Header {
        let was_asking = self.state == State::Asking;
        self.state = State::Broken;
        let mut header = self.header(self.sending.max, flag::RST | flag::ACK);
        if was_asking {
            header = Header { sequence: header.sequence, flags: flag::RST, ..Header::default() };
        }
        header
    }

    /// When [`Endpoint::expire`] has something to do.
    #[must_use]
    pub fn deadline(&self) -> Option<Duration> {
        match self.state {
            State::Lingering { until } => Some(until),
            State::Ended | State::Broken => None,
            State::Asking | State::Agreeing | State::Open => self.sending.deadline(),
        }
    }

    /// Time has passed: what may be sent, and what is to be said, may be another.
    pub fn expire(&mut self, now: Duration) {
        match self.state {
            State::Lingering { until } if until <= now => self.state = State::Ended,
            State::Asking | State::Agreeing | State::Open => {
                let is_first = self.state != State::Open;
                if !self.sending.expire(now, is_first) {
                    self.state = State::Broken;
                }
            }
            State::Lingering { .. } | State::Ended | State::Broken => {}
        }
    }
}
