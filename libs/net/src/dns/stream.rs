//! Messages over TCP (RFC 7766): each behind its length. A reader per connection, bounded, that never waits.

use std::time::Duration;

/// Bytes of a question.
pub const QUESTION: usize = ctr_core::limits::DNS_QUESTION;
/// Bytes of an answer: all that can be said.
pub const ANSWER: usize = 65_535;
/// How long a message may take from its first byte to its last.
const SLOW: Duration = Duration::from_secs(5);
/// How long a connection stays on which nothing is said.
const IDLE: Duration = Duration::from_secs(30);

/// A message is longer than what is read here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a message of {length} bytes")]
pub struct TooLong {
    /// The bytes it was to have.
    pub length: usize,
}

/// What of a connection was read and makes no whole message yet.
#[derive(Clone, Debug)]
pub struct Stream {
    buffer: Vec<u8>,
    most: usize,
    /// When the connection was made, a message ended, or its next one began.
    since: Duration,
}

impl Stream {
    /// A connection that begins now; messages have at most so many bytes.
    #[must_use]
    pub const fn new(most: usize, now: Duration) -> Self {
        Self { buffer: Vec::new(), most, since: now }
    }

    /// Takes what was read, and gives the messages that are whole. After an error the connection is of no use.
    pub fn read(&mut self, bytes: &[u8], now: Duration) -> Result<Vec<Vec<u8>>, TooLong> {
        if self.buffer.is_empty() && !bytes.is_empty() {
            self.since = now;
        }
        self.buffer.extend_from_slice(bytes);
        let mut whole = Vec::new();
        let mut rest = self.buffer.as_slice();
        while let Some((length, after)) = rest.split_first_chunk() {
            let length = usize::from(u16::from_be_bytes(*length));
            if length > self.most {
                return Err(TooLong { length });
            }
            let Some((message, after)) = after.split_at_checked(length) else { break };
            whole.push(message.to_vec());
            rest = after;
        }
        if !whole.is_empty() {
            self.buffer = rest.to_vec();
            self.since = now;
        }
        Ok(whole)
    }

    /// When the connection is to be given up, unless something is read before.
    #[must_use]
    pub fn deadline(&self) -> Duration {
        self.since.saturating_add(if self.buffer.is_empty() { IDLE } else { SLOW })
    }
}

/// A message behind its length; one that is longer than any is cut where nobody reads on.
#[must_use]
pub fn framed(message: &[u8]) -> Vec<u8> {
    let message = message.get(..ANSWER).unwrap_or(message);
    let length = u16::try_from(message.len()).unwrap_or(u16::MAX);
    let mut bytes = length.to_be_bytes().to_vec();
    bytes.extend_from_slice(message);
    bytes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn who_says_one_byte_now_and_then_is_given_up() {
        let mut stream = Stream::new(QUESTION, at(100));
        assert_eq!(stream.deadline(), at(130));
        assert_eq!(stream.read(&[0], at(120)), Ok(Vec::new()));
        assert_eq!(stream.deadline(), at(125));
        assert_eq!(stream.read(&[9, 1], at(124)), Ok(Vec::new()));
        assert_eq!(stream.deadline(), at(125), "a byte more is no time more");
        assert_eq!(stream.read(&[2; 8], at(124)).unwrap(), [[1, 2, 2, 2, 2, 2, 2, 2, 2]]);
        assert_eq!(stream.deadline(), at(154));
    }

    #[test]
    fn a_question_that_is_too_long_ends_its_connection() {
        let mut stream = Stream::new(QUESTION, at(0));
        assert_eq!(stream.read(&[0x10, 1], at(0)), Err(TooLong { length: 4097 }));
        assert!(Stream::new(ANSWER, at(0)).read(&[0xff, 0xff], at(0)).is_ok());
    }

    proptest! {
        #[test]
        fn messages_come_out_however_they_are_cut(messages: Vec<Vec<u8>>, cut in 1usize..20) {
            let bytes: Vec<u8> = messages.iter().flat_map(|message| framed(message)).collect();
            let mut stream = Stream::new(QUESTION, at(0));
            let mut read = Vec::new();
            for piece in bytes.chunks(cut) {
                read.extend(stream.read(piece, at(0)).unwrap());
            }
            prop_assert_eq!(read, messages);
        }
    }
}
