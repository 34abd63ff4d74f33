//! What comes: what of it is next, and how much more is taken.

use std::ops::Range;

use super::sequence::Seq;

/// The window is not moved for less: a peer that is told of each byte sends each byte (RFC 9293 §3.8.6.2.2).
const STEP: u32 = 32 << 10;
/// What is waited for is asked for once for each segment that is not it, so that the peer sees which one is missing; and no more often.
const MOST_OWED: u8 = 8;

/// The half of an endpoint that receives.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Receiving {
    /// What comes next.
    pub(super) next: Seq,
    /// The end of what the peer was told that it may send: it never goes back.
    right: Seq,
    /// How much there is room for.
    room: u32,
    /// By how many bits our windows are shifted.
    scale: u8,
    /// The peer has said all.
    pub(super) ended: bool,
    /// So many acknowledgements are to be sent.
    owed: u8,
}

impl Receiving {
    pub(super) fn new(room: u32, scale: u8) -> Self {
        Self { room, scale, ..Self::default() }
    }

    /// The peer's first segment had this number.
    pub(super) fn begin(&mut self, first: Seq, scales: bool) {
        self.next = first.plus(1);
        self.right = self.next.plus(self.first_window().into());
        if !scales {
            self.scale = 0;
        }
    }

    /// How much there is room for now.
    pub(super) const fn set_room(&mut self, room: u32) {
        self.room = room;
    }

    /// Whether any of these numbers may come now (RFC 9293 §3.10.7.4, first).
    pub(super) const fn is_acceptable(&self, first: Seq, count: u32) -> bool {
        let is_late =
            if count == 0 { self.next.is_after(first) } else { !first.plus(count).is_after(self.next) };
        !is_late && !first.is_after(self.right)
    }

    /// Takes what is next of a segment's bytes.
    pub(super) fn take(&mut self, first: Seq, count: usize, most: usize) -> Range<usize> {
        // Empty where it begins behind what is next.
        if first.is_after(self.next) {
            return 0..0;
        }
        let from = self.next.since(first) as usize;
        let to = (self.right.since(first) as usize).min(count).min(from.saturating_add(most));
        if from >= to {
            return 0..0;
        }
        // No segment has more than 64 KiB.
        self.next = self.next.plus(u32::try_from(to - from).unwrap_or_default());
        from..to
    }

    /// Takes the peer's end, if it is next.
    pub(super) fn take_end(&mut self, at: Seq) -> bool {
        let is_next = at == self.next && !self.ended;
        if is_next {
            self.ended = true;
            self.next = self.next.plus(1);
            self.right = self.right.or_later(self.next);
        }
        is_next
    }

    /// An acknowledgement is to be sent for what came, one for all of it.
    pub(super) fn owe(&mut self) {
        self.owed = self.owed.max(1);
    }

    /// And one more.
    pub(super) fn owe_again(&mut self) {
        self.owed = (self.owed + 1).min(MOST_OWED);
    }

    /// Whether one is to be sent now.
    pub(super) const fn is_owing(&self) -> bool {
        self.owed > 0 || self.gain() >= STEP && !self.ended
    }

    /// By how much the window could move.
    const fn gain(&self) -> u32 {
        let possible = self.next.plus(self.room);
        if possible.is_after(self.right) { possible.since(self.right) } else { 0 }
    }

    /// What our first segment says of the window, which is not scaled there.
    pub(super) fn first_window(&self) -> u16 {
        u16::try_from(self.room).unwrap_or(u16::MAX)
    }

    /// What the next segment says of the window; with it everything is acknowledged.
    pub(super) fn tell_window(&mut self) -> u16 {
        self.owed = self.owed.saturating_sub(1);
        if self.gain() > 0 && self.gain() >= STEP.min(self.room / 2) {
            self.right = self.next.plus(self.room);
        }
        // What is rounded off is taken all the same, from who was told of it before.
        u16::try_from(self.right.since(self.next) >> self.scale).unwrap_or(u16::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(next: u32, room: u32) -> Receiving {
        let mut receiving = Receiving::new(room, 7);
        receiving.begin(Seq(next).minus(1), true);
        receiving.tell_window();
        receiving
    }

    #[test]
    fn only_what_is_next_and_has_room_is_taken() {
        let mut receiving = at(u32::MAX - 1, 256);
        assert_eq!(receiving.take(Seq(0), 5, usize::MAX), 0..0, "a hole before it");
        assert_eq!(receiving.take(Seq(u32::MAX - 3), 5, usize::MAX), 2..5);
        assert_eq!(receiving.take(Seq(u32::MAX - 3), 5, usize::MAX), 0..0, "it came again");
        assert_eq!(receiving.take(receiving.next, 10, 4), 0..4);
        assert_eq!(receiving.take(receiving.next, 1000, usize::MAX), 0..249);
        assert!(!receiving.is_acceptable(receiving.next.plus(1), 1));
        assert!(receiving.is_acceptable(receiving.next, 0), "a window of nothing takes nothing, and answers");
    }

    #[test]
    fn a_window_is_never_taken_back_and_moves_in_steps() {
        // As it is told.
        let (whole, rest) = (1 << 13, (1 << 13) - (1 << 9));
        let mut receiving = at(0, 1 << 20);
        receiving.set_room(0);
        assert_eq!(receiving.tell_window(), whole);
        receiving.take(Seq(0), 65_536, usize::MAX);
        assert_eq!(receiving.tell_window(), rest);
        receiving.set_room((1 << 20) - 65_536 + 100);
        assert!(!receiving.is_owing());
        assert_eq!(receiving.tell_window(), rest);
        receiving.set_room(1 << 20);
        assert!(receiving.is_owing());
        assert_eq!(receiving.tell_window(), whole);
        assert!(!receiving.is_owing());
    }

    #[test]
    fn what_is_missing_is_asked_for_as_often_as_it_was_not_what_came() {
        let mut receiving = at(0, 1000);
        for _ in 0..3 {
            receiving.owe_again();
        }
        receiving.owe();
        for _ in 0..3 {
            assert!(receiving.is_owing());
            receiving.tell_window();
        }
        assert!(!receiving.is_owing());
    }
}
