//! Steps as bytes.

use core::ffi::CStr;

use super::{Planned, Slot, Step, TRY};

/// Where encoded bytes go.
pub trait Sink {
    /// Appends bytes.
    fn put(&mut self, bytes: &[u8]);
}

impl<F: FnMut(&[u8])> Sink for F {
    fn put(&mut self, bytes: &[u8]) {
        self(bytes);
    }
}

/// Strings one after the other, each ended by a NUL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Strings<'a>(&'a [u8]);

impl<'a> Strings<'a> {
    /// No string at all.
    pub const NONE: Self = Self(&[]);

    /// The strings in a block of bytes. Nothing if the last lacks its NUL.
    #[must_use]
    pub fn new(block: &'a [u8]) -> Option<Self> {
        (block.is_empty() || block.ends_with(&[0])).then_some(Self(block))
    }

    /// Each string.
    pub fn iter(self) -> impl Iterator<Item = &'a CStr> {
        let mut rest = self.0;
        core::iter::from_fn(move || {
            let string = CStr::from_bytes_until_nul(rest).ok()?;
            rest = rest.get(string.to_bytes_with_nul().len()..).unwrap_or_default();
            Some(string)
        })
    }

    /// How many there are.
    #[must_use]
    pub fn count(self) -> usize {
        self.0.iter().filter(|byte| **byte == 0).count()
    }
}

/// Numbers one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Words<'a>(&'a [u8]);

impl<'a> Words<'a> {
    /// No number at all.
    pub const NONE: Self = Self(&[]);

    /// The numbers in a block of bytes, in the machine's byte order. Nothing if the last is not whole.
    #[must_use]
    pub fn new(block: &'a [u8]) -> Option<Self> {
        block.len().is_multiple_of(4).then_some(Self(block))
    }

    /// Each number.
    pub fn iter(self) -> impl Iterator<Item = u32> {
        self.0.chunks_exact(4).map(|bytes| u32::from_ne_bytes(bytes.try_into().unwrap_or_default()))
    }
}

/// Encodes a step.
pub fn encode(step: &Step<'_>, best_effort: bool, sink: &mut impl Sink) {
    step.put(if best_effort { TRY } else { 0 }, sink);
}

/// The steps of a plan.
#[must_use]
pub const fn steps(plan: &[u8]) -> Decode<'_> {
    Decode { reader: Reader(plan) }
}

/// Reads one step after the other. A plan that is cut short ends early.
#[derive(Debug, Clone)]
pub struct Decode<'a> {
    reader: Reader<'a>,
}

impl Decode<'_> {
    /// Whether everything was understood.
    #[must_use]
    pub const fn is_at_end(&self) -> bool {
        self.reader.0.is_empty()
    }
}

impl<'a> Iterator for Decode<'a> {
    type Item = Planned<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut ahead = self.reader.clone();
        let kind = u8::take(&mut ahead)?;
        let step = Step::take(kind & !TRY, &mut ahead)?;
        self.reader = ahead;
        Some(Planned { step, best_effort: kind & TRY != 0 })
    }
}

/// What is left to decode.
#[derive(Debug, Clone)]
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    fn bytes(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }
}

/// A field of a step.
pub(crate) trait Field<'a>: Sized {
    fn put(&self, sink: &mut impl Sink);
    fn take(reader: &mut Reader<'a>) -> Option<Self>;
}

macro_rules! integers {
    ($($type:ty)+) => {
        $(impl<'a> Field<'a> for $type {
            fn put(&self, sink: &mut impl Sink) {
                sink.put(&self.to_ne_bytes());
            }

            fn take(reader: &mut Reader<'a>) -> Option<Self> {
                Some(Self::from_ne_bytes(reader.bytes(size_of::<Self>())?.try_into().ok()?))
            }
        })+
    };
}

integers! { u8 u16 u32 u64 }

impl<'a> Field<'a> for bool {
    fn put(&self, sink: &mut impl Sink) {
        u8::from(*self).put(sink);
    }

    fn take(reader: &mut Reader<'a>) -> Option<Self> {
        Some(u8::take(reader)? != 0)
    }
}

impl<'a> Field<'a> for Slot {
    fn put(&self, sink: &mut impl Sink) {
        self.0.put(sink);
    }

    fn take(reader: &mut Reader<'a>) -> Option<Self> {
        u16::take(reader).map(Self)
    }
}

impl<'a> Field<'a> for &'a [u8] {
    fn put(&self, sink: &mut impl Sink) {
        // A plan is a few megabytes at the very most.
        u32::try_from(self.len()).unwrap_or_default().put(sink);
        sink.put(self);
    }

    fn take(reader: &mut Reader<'a>) -> Option<Self> {
        let length = usize::try_from(u32::take(reader)?).ok()?;
        reader.bytes(length)
    }
}

impl<'a> Field<'a> for &'a CStr {
    fn put(&self, sink: &mut impl Sink) {
        self.to_bytes_with_nul().put(sink);
    }

    fn take(reader: &mut Reader<'a>) -> Option<Self> {
        CStr::from_bytes_with_nul(Field::take(reader)?).ok()
    }
}

impl<'a> Field<'a> for Strings<'a> {
    fn put(&self, sink: &mut impl Sink) {
        self.0.put(sink);
    }

    fn take(reader: &mut Reader<'a>) -> Option<Self> {
        Self::new(Field::take(reader)?)
    }
}

impl<'a> Field<'a> for Words<'a> {
    fn put(&self, sink: &mut impl Sink) {
        self.0.put(sink);
    }

    fn take(reader: &mut Reader<'a>) -> Option<Self> {
        Self::new(Field::take(reader)?)
    }
}
