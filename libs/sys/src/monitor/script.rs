//! What each process that serves a network is told: messages, each with how many descriptors go with it.

use crate::step::{Field, Reader, Sink};

/// Messages one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Script<'a>(&'a [u8]);

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message<'a> {
    /// What is said.
    pub words: &'a [u8],
    /// How many descriptors go with it: those that follow those of the messages before.
    pub descriptors: u8,
}

impl<'a> Script<'a> {
    /// The messages in a block of bytes; nothing if the last is not whole.
    #[must_use]
    pub fn new(block: &'a [u8]) -> Option<Self> {
        let mut reader = Reader(block);
        while !reader.0.is_empty() {
            Message::take(&mut reader)?;
        }
        Some(Self(block))
    }

    /// Each message.
    pub fn messages(self) -> impl Iterator<Item = Message<'a>> {
        let mut reader = Reader(self.0);
        core::iter::from_fn(move || Message::take(&mut reader))
    }

    /// How many descriptors all of them have.
    #[must_use]
    pub fn descriptors(self) -> usize {
        self.messages().map(|message| usize::from(message.descriptors)).sum()
    }
}

impl<'a> Message<'a> {
    /// Writes it behind the last of a block.
    pub fn encode(&self, sink: &mut impl Sink) {
        self.descriptors.put(sink);
        self.words.put(sink);
    }

    fn take(reader: &mut Reader<'a>) -> Option<Self> {
        let descriptors = u8::take(reader)?;
        Some(Self { words: <&[u8]>::take(reader)?, descriptors })
    }
}

impl<'a> Field<'a> for Script<'a> {
    fn put(&self, sink: &mut impl Sink) {
        self.0.put(sink);
    }

    fn take(reader: &mut Reader<'a>) -> Option<Self> {
        Self::new(<&[u8]>::take(reader)?)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::vec::Vec;

    use super::*;

    #[test]
    fn messages_come_as_they_were_written() {
        let all = [Message { words: b"one", descriptors: 2 }, Message { words: b"", descriptors: 0 }];
        let mut block = Vec::new();
        for message in &all {
            message.encode(&mut |piece: &[u8]| block.extend_from_slice(piece));
        }
        let script = Script::new(&block).unwrap();
        assert!(script.messages().eq(all));
        assert_eq!(script.descriptors(), 2);
        for length in [1, 4, 7, block.len() - 1] {
            assert_eq!(Script::new(&block[..length]), None, "{length} bytes");
        }
        assert_eq!(Script::new(&[]).unwrap().messages().next(), None);
    }
}
