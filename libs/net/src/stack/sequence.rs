//! Numbers that come round (RFC 9293 §3.4).

/// The number of a byte.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Seq(pub(super) u32);

impl Seq {
    pub(super) const fn plus(self, count: u32) -> Self {
        Self(self.0.wrapping_add(count))
    }

    pub(super) const fn minus(self, count: u32) -> Self {
        Self(self.0.wrapping_sub(count))
    }

    /// How many there are from an earlier one to this.
    pub(super) const fn since(self, earlier: Self) -> u32 {
        self.0.wrapping_sub(earlier.0)
    }

    /// Of two numbers that are less than half of all apart.
    pub(super) const fn is_after(self, other: Self) -> bool {
        matches!(self.since(other), 1..0x8000_0000)
    }

    /// The later one.
    pub(super) const fn or_later(self, other: Self) -> Self {
        if other.is_after(self) { other } else { self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_goes_on_where_numbers_come_round() {
        let (before, after) = (Seq(u32::MAX), Seq(u32::MAX).plus(2));
        assert!(after.is_after(before) && !before.is_after(after) && !after.is_after(after));
        assert_eq!((after.since(before), after.minus(2), before.or_later(after)), (2, before, after));
        assert!(!Seq(0x8000_0000).is_after(Seq(0)));
    }
}
