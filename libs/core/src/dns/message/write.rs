//! What we say ourselves: answers about our own names, and that something is wrong.

use std::net::IpAddr;

use super::{Code, HEADER, Message, flag, kind};
use crate::dns::Name;

/// Where the name of the question is, which all our records are about.
const ASKED: [u8; 2] = [0xc0, 12];
/// Bytes over UDP that we take.
const TAKEN: u16 = 1232;

/// A record of our own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// An address of the name.
    Address(IpAddr),
    /// The name of the address.
    Name(Name),
}

impl Answer {
    fn kind(&self) -> u16 {
        match self {
            Self::Address(IpAddr::V4(_)) => kind::A,
            Self::Address(IpAddr::V6(_)) => kind::AAAA,
            Self::Name(_) => kind::PTR,
        }
    }

    /// Its bytes with their length; nobody is to keep them, since containers come and go.
    fn write(&self, into: &mut Vec<u8>) {
        let octets;
        let bytes: &[u8] = match self {
            Self::Address(IpAddr::V4(four)) => {
                octets = four.octets();
                &octets
            }
            Self::Address(IpAddr::V6(six)) => &six.octets(),
            Self::Name(name) => name.as_wire(),
        };
        into.extend_from_slice(&ASKED);
        into.extend_from_slice(&self.kind().to_be_bytes());
        into.extend_from_slice(&super::INTERNET.to_be_bytes());
        into.extend_from_slice(&0u32.to_be_bytes());
        into.extend_from_slice(&u16::try_from(bytes.len()).unwrap_or(u16::MAX).to_be_bytes());
        into.extend_from_slice(bytes);
    }
}

/// The answer to a question, of at most so many bytes: what does not fit is left out, and said to be.
#[must_use]
pub fn reply(asked: &Message<'_>, code: Code, answers: &[Answer], most: u16) -> Vec<u8> {
    let whole = written(asked, code, answers, flag::AUTHORITATIVE);
    if whole.len() <= usize::from(most) { whole } else { truncated(asked) }
}

/// The answer that says to ask over TCP.
#[must_use]
pub fn truncated(asked: &Message<'_>) -> Vec<u8> {
    written(asked, Code::NoError, &[], flag::TRUNCATED)
}

fn written(asked: &Message<'_>, code: Code, answers: &[Answer], more: u16) -> Vec<u8> {
    let kept = asked.flags & (flag::RECURSION_DESIRED | flag::CHECKING_DISABLED);
    let flags = flag::RESPONSE | flag::RECURSION_AVAILABLE | kept | more | u16::from(code.number() & 15);
    let count = u16::try_from(answers.len()).unwrap_or(u16::MAX);
    let mut bytes = Vec::with_capacity(HEADER);
    for word in [asked.id, flags, 1, count, 0, asked.edns.is_some().into()] {
        bytes.extend_from_slice(&word.to_be_bytes());
    }
    ask(asked, &mut bytes);
    answers.iter().take(count.into()).for_each(|answer| answer.write(&mut bytes));
    if asked.edns.is_some() {
        bytes.push(0);
        bytes.extend_from_slice(&kind::OPT.to_be_bytes());
        bytes.extend_from_slice(&TAKEN.to_be_bytes());
        bytes.extend_from_slice(&[code.number() >> 4, 0, 0, 0, 0, 0]);
    }
    bytes
}

fn ask(asked: &Message<'_>, into: &mut Vec<u8>) {
    into.extend_from_slice(asked.question.name.as_wire());
    into.extend_from_slice(&asked.question.kind.to_be_bytes());
    into.extend_from_slice(&asked.question.class.to_be_bytes());
}

/// A message that only asks, for whom wants to know something itself.
#[must_use]
pub fn question(id: u16, name: &Name, kind: u16) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER);
    for word in [id, flag::RECURSION_DESIRED, 1, 0, 0, 0] {
        bytes.extend_from_slice(&word.to_be_bytes());
    }
    bytes.extend_from_slice(name.as_wire());
    bytes.extend_from_slice(&kind.to_be_bytes());
    bytes.extend_from_slice(&super::INTERNET.to_be_bytes());
    bytes
}

/// What is said about bytes that could not be read; nothing if they are no question at all.
#[must_use]
pub fn fault(bytes: &[u8], code: Code) -> Option<Vec<u8>> {
    let &[id_high, id_low, high, low] = bytes.first_chunk::<HEADER>()?.first_chunk()?;
    let asked = u16::from_be_bytes([high, low]);
    if asked & flag::RESPONSE != 0 {
        return None;
    }
    let flags =
        flag::RESPONSE | asked & (flag::OPCODE | flag::RECURSION_DESIRED) | u16::from(code.number() & 15);
    let [high, low] = flags.to_be_bytes();
    Some(vec![id_high, id_low, high, low, 0, 0, 0, 0, 0, 0, 0, 0])
}
