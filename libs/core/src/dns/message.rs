//! Messages (RFC 1035 §4, RFC 6891): read with a bound on everything, and written as far as we say something ourselves.
//!
//! A pointer in a name leads before the name it is in, so following them ends; a message has as many records as there is
//! room for. What a record holds is read only of the types whose names may be compressed within it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::name::{Builder, Name};

#[cfg(test)]
mod tests;
mod write;

pub use write::{Answer, fault, question, reply, truncated};

/// Bytes of a header.
const HEADER: usize = 12;
/// Bytes of an answer over UDP to one who did not say how many it takes.
pub const PLAIN: u16 = 512;

/// Pointers in one name: each label could end with one.
const JUMPS: usize = 127;

/// What records and questions are about.
pub mod kind {
    /// An IPv4 address.
    pub const A: u16 = 1;
    /// A server of a domain.
    pub const NS: u16 = 2;
    /// Another name.
    pub const CNAME: u16 = 5;
    /// A name by an address.
    pub const PTR: u16 = 12;
    /// Text.
    pub const TXT: u16 = 16;
    /// An IPv6 address.
    pub const AAAA: u16 = 28;
    /// Where a service is.
    pub const SRV: u16 = 33;
    /// What one end can do; no record of a name.
    pub const OPT: u16 = 41;
    /// What has changed in a zone.
    pub const IXFR: u16 = 251;
    /// A zone.
    pub const AXFR: u16 = 252;
}

/// The class of all names of the Internet.
pub const INTERNET: u16 = 1;

/// Bits of the flags.
mod flag {
    pub(super) const RESPONSE: u16 = 0x8000;
    pub(super) const OPCODE: u16 = 0x7800;
    pub(super) const AUTHORITATIVE: u16 = 0x0400;
    pub(super) const TRUNCATED: u16 = 0x0200;
    pub(super) const RECURSION_DESIRED: u16 = 0x0100;
    pub(super) const RECURSION_AVAILABLE: u16 = 0x0080;
    pub(super) const CHECKING_DISABLED: u16 = 0x0010;
    pub(super) const CODE: u16 = 0x000f;
}

/// What came of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// It is answered, even if with nothing.
    NoError,
    /// It was not understood.
    Format,
    /// It could not be answered.
    ServerFailure,
    /// There is no such name.
    NoName,
    /// Nobody here can do that.
    NotImplemented,
    /// Nobody here will do that.
    Refused,
    /// A version of EDNS that nobody here knows.
    BadVersion,
}

impl Code {
    /// Its number, of which the upper bits are in the OPT record.
    const fn number(self) -> u8 {
        match self {
            Self::NoError => 0,
            Self::Format => 1,
            Self::ServerFailure => 2,
            Self::NoName => 3,
            Self::NotImplemented => 4,
            Self::Refused => 5,
            Self::BadVersion => 16,
        }
    }
}

/// Why bytes are no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// They end too early.
    #[error("too short")]
    Short,
    /// A label of a kind that there is not, or a name longer than names are.
    #[error("not a name")]
    Name,
    /// A pointer that does not lead back.
    #[error("a pointer that does not lead back")]
    Pointer,
    /// Not one question.
    #[error("not exactly one question")]
    Questions,
    /// A record that is not as long as what it holds.
    #[error("wrong length of a record")]
    Record,
    /// More than one OPT record, or one in a wrong place.
    #[error("more than one OPT record")]
    Options,
}

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// The name.
    pub name: Name,
    /// Of which kind the records are to be.
    pub kind: u16,
    /// Of which class.
    pub class: u16,
}

/// What one end can do (RFC 6891 §6.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edns {
    /// Bytes of a message over UDP that it takes.
    pub size: u16,
    /// The upper bits of the code.
    pub code: u8,
    /// The version.
    pub version: u8,
    /// Whether it wants signatures (RFC 3225).
    pub is_secure: bool,
}

/// What a record holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Data<'a> {
    /// An address of a name.
    Address(IpAddr),
    /// Another name: CNAME, PTR, NS.
    Name(Name),
    /// Where a service is (RFC 2782).
    Service {
        /// Lower ones first.
        priority: u16,
        /// How often among those of one priority.
        weight: u16,
        /// The port.
        port: u16,
        /// The host.
        host: Name,
    },
    /// Anything else.
    Bytes(&'a [u8]),
}

/// A record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Whose it is.
    pub name: Name,
    /// What it is.
    pub kind: u16,
    /// Of which class.
    pub class: u16,
    /// Seconds that it may be kept.
    pub keep: u32,
    /// What it holds.
    pub data: Data<'a>,
}

/// A message with one question, all of whose records can be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// Which of those on their way.
    pub id: u16,
    /// Kind of message, code, and what is wanted.
    pub flags: u16,
    /// What is asked, or was.
    pub question: Question,
    /// What its sender can do.
    pub edns: Option<Edns>,
    /// What answers the question; not authorities, nor what is additional.
    pub answers: Vec<Record<'a>>,
}

impl<'a> Message<'a> {
    /// Reads a message; what lies behind it is not looked at.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let mut cursor = Cursor { bytes, at: 0 };
        let (id, flags) = (cursor.two()?, cursor.two()?);
        let [questions, answers, authorities, additional] =
            [cursor.two()?, cursor.two()?, cursor.two()?, cursor.two()?];
        if questions != 1 {
            return Err(Malformed::Questions);
        }
        let question = Question { name: cursor.name()?, kind: cursor.two()?, class: cursor.two()? };
        let mut message = Self { id, flags, question, edns: None, answers: Vec::new() };
        // Each takes eleven bytes at least, so the end of the bytes ends this.
        for _ in 0..answers {
            let record = cursor.record()?;
            message.answers.push(record);
        }
        for _ in 0..authorities {
            cursor.record()?;
        }
        for _ in 0..additional {
            let record = cursor.record()?;
            if record.kind == kind::OPT && message.edns.replace(edns(&record)).is_some() {
                return Err(Malformed::Options);
            }
        }
        Ok(message)
    }

    /// Whether it is an answer.
    #[must_use]
    pub const fn is_answer(&self) -> bool {
        self.flags & flag::RESPONSE != 0
    }

    /// Whether its sender had more to say.
    #[must_use]
    pub const fn is_truncated(&self) -> bool {
        self.flags & flag::TRUNCATED != 0
    }

    /// Whether it is no question for records, but something else.
    #[must_use]
    pub const fn is_other_operation(&self) -> bool {
        self.flags & flag::OPCODE != 0
    }

    /// Whether it says that the name exists, or that it does not: else another server may know more.
    #[must_use]
    pub fn is_decisive(&self) -> bool {
        let upper = self.edns.map_or(0, |edns| edns.code);
        upper == 0 && matches!(self.flags & flag::CODE, 0 | 3)
    }

    /// Whether it says that there is no such name.
    #[must_use]
    pub fn says_no_such_name(&self) -> bool {
        self.is_decisive() && self.flags & flag::CODE == u16::from(Code::NoName.number())
    }

    /// Bytes of an answer over UDP that its sender takes.
    #[must_use]
    pub fn takes(&self) -> u16 {
        self.edns.map_or(PLAIN, |edns| edns.size.max(PLAIN))
    }
}

/// The fields of an OPT record have a meaning of their own.
fn edns(record: &Record<'_>) -> Edns {
    let [code, version, flags, _] = record.keep.to_be_bytes();
    Edns { size: record.class, code, version, is_secure: flags & 0x80 != 0 }
}

/// A place in a message.
struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let taken = self.bytes.get(self.at..).and_then(|rest| rest.get(..length)).ok_or(Malformed::Short)?;
        self.at += length;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        self.take(N)?.first_chunk().copied().ok_or(Malformed::Short)
    }

    fn two(&mut self) -> Result<u16, Malformed> {
        self.array().map(u16::from_be_bytes)
    }

    /// A name, of which the end may lie before its beginning.
    fn name(&mut self) -> Result<Name, Malformed> {
        let mut name = Builder::default();
        // Where we go on once the name is read, if that is not behind its last label.
        let mut behind = None;
        let (mut start, mut jumps) = (self.at, 0);
        loop {
            let [length] = self.array()?;
            match length >> 6 {
                0 if length == 0 => break,
                0 => name.push(self.take(length.into())?).ok_or(Malformed::Name)?,
                3 => {
                    let [low] = self.array()?;
                    let target = usize::from(u16::from_be_bytes([length & 0x3f, low]));
                    jumps += 1;
                    // The header is no name: of a message that is sent on it is another one.
                    if !(HEADER..start).contains(&target) || jumps > JUMPS {
                        return Err(Malformed::Pointer);
                    }
                    behind.get_or_insert(self.at);
                    (start, self.at) = (target, target);
                }
                _ => return Err(Malformed::Name),
            }
        }
        self.at = behind.unwrap_or(self.at);
        Ok(name.finish())
    }

    fn record(&mut self) -> Result<Record<'a>, Malformed> {
        let (name, kind, class) = (self.name()?, self.two()?, self.two()?);
        let keep = self.array().map(u32::from_be_bytes)?;
        let length = usize::from(self.two()?);
        let end = self.at + length;
        if end > self.bytes.len() {
            return Err(Malformed::Short);
        }
        let data = match kind {
            kind::A => Data::Address(Ipv4Addr::from(self.array()?).into()),
            kind::AAAA => Data::Address(Ipv6Addr::from(self.array::<16>()?).into()),
            kind::CNAME | kind::PTR | kind::NS => Data::Name(self.name()?),
            kind::SRV => Data::Service {
                priority: self.two()?,
                weight: self.two()?,
                port: self.two()?,
                host: self.name()?,
            },
            _ => Data::Bytes(self.take(length)?),
        };
        if self.at != end {
            return Err(Malformed::Record);
        }
        Ok(Record { name, kind, class, keep, data })
    }
}
