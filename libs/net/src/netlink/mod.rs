//! Talking to the kernel about interfaces, routes and filters: netlink, without a program in between.
//!
//! What is wanted goes into a [`Batch`], with a few words for each message, and is sent in one piece: a whole router takes
//! two. Each message asks for an answer; the first that is an error comes back with the words of its message.
//!
//! The kernel answers while it is being sent to, so nothing here waits.

pub(crate) mod nft;
pub(crate) mod route;

use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socket_with,
};

/// `NLM_F_REQUEST`.
const REQUEST: u16 = 0x1;
/// `NLM_F_ACK`.
const ACK: u16 = 0x4;
/// `NLM_F_EXCL`.
pub(crate) const EXCL: u16 = 0x200;
/// `NLM_F_CREATE`.
pub(crate) const CREATE: u16 = 0x400;
/// `NLM_F_APPEND`.
pub(crate) const APPEND: u16 = 0x800;

/// `NLMSG_ERROR`.
const ANSWER: u16 = 2;
/// `NLA_F_NESTED`.
const NESTED: u16 = 1 << 15;
/// `struct nlmsghdr`.
const HEADER: usize = 16;
/// More than the answers to a batch take.
const ROOM: usize = 16 << 10;

/// The kernel refused a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("cannot {doing}")]
pub struct NetlinkError {
    /// What was asked for.
    pub doing: &'static str,
    /// Why not.
    #[source]
    pub source: Errno,
}

/// Messages to be sent together.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    bytes: Vec<u8>,
    /// What each message is to do; those that nobody answers have none.
    doing: Vec<Option<&'static str>>,
}

impl Batch {
    /// Adds a message that the kernel answers.
    pub(crate) fn ask(
        &mut self,
        doing: &'static str,
        kind: u16,
        flags: u16,
        header: &[u8],
        fill: impl FnOnce(&mut Attributes<'_>),
    ) {
        self.doing.push(Some(doing));
        self.message(kind, flags | ACK, header, fill);
    }

    /// Adds a message that is not answered.
    pub(crate) fn tell(&mut self, kind: u16, header: &[u8]) {
        self.doing.push(None);
        self.message(kind, 0, header, |_| {});
    }

    fn message(&mut self, kind: u16, flags: u16, header: &[u8], fill: impl FnOnce(&mut Attributes<'_>)) {
        let start = self.bytes.len();
        // Messages are numbered from 1: 0 is what the kernel says by itself.
        let number = u32::try_from(self.doing.len()).unwrap_or(u32::MAX);
        self.bytes.extend_from_slice(&[0; 4]);
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(&(flags | REQUEST).to_ne_bytes());
        self.bytes.extend_from_slice(&number.to_ne_bytes());
        self.bytes.extend_from_slice(&[0; 4]);
        self.bytes.extend_from_slice(header);
        pad(&mut self.bytes);
        fill(&mut Attributes(&mut self.bytes));
        let length = u32::try_from(self.bytes.len() - start).unwrap_or(u32::MAX);
        if let Some(field) = self.bytes.get_mut(start..start + 4) {
            field.copy_from_slice(&length.to_ne_bytes());
        }
    }

    /// The words of the message with a number; what fails before any message was looked at fails as the first.
    fn words(&self, number: u32) -> &'static str {
        let at = usize::try_from(number).unwrap_or_default().saturating_sub(1);
        let named = self.doing.iter().skip(at).chain(&self.doing).find_map(|words| *words);
        named.unwrap_or("change the network")
    }
}

/// The attributes of a message, or of an attribute that has some of its own.
#[derive(Debug)]
pub(crate) struct Attributes<'a>(&'a mut Vec<u8>);

impl Attributes<'_> {
    /// Adds one.
    pub(crate) fn put(&mut self, kind: u16, value: &[u8]) -> &mut Self {
        self.within(kind, |bytes| bytes.extend_from_slice(value))
    }

    /// Adds a text, as C writes it.
    pub(crate) fn put_text(&mut self, kind: u16, value: &str) -> &mut Self {
        self.within(kind, |bytes| {
            bytes.extend_from_slice(value.as_bytes());
            bytes.push(0);
        })
    }

    /// Adds one that has attributes of its own.
    pub(crate) fn nest(&mut self, kind: u16, fill: impl FnOnce(&mut Attributes<'_>)) -> &mut Self {
        self.within(kind | NESTED, |bytes| fill(&mut Attributes(bytes)))
    }

    /// Adds one that has a header, and then attributes of its own.
    pub(crate) fn nest_after(
        &mut self,
        kind: u16,
        header: &[u8],
        fill: impl FnOnce(&mut Attributes<'_>),
    ) -> &mut Self {
        self.within(kind | NESTED, |bytes| {
            bytes.extend_from_slice(header);
            fill(&mut Attributes(bytes));
        })
    }

    fn within(&mut self, kind: u16, fill: impl FnOnce(&mut Vec<u8>)) -> &mut Self {
        let start = self.0.len();
        self.0.extend_from_slice(&[0; 2]);
        self.0.extend_from_slice(&kind.to_ne_bytes());
        fill(self.0);
        let length = u16::try_from(self.0.len() - start).unwrap_or(u16::MAX);
        if let Some(field) = self.0.get_mut(start..start + 2) {
            field.copy_from_slice(&length.to_ne_bytes());
        }
        pad(self.0);
        self
    }
}

/// Everything begins at a multiple of four bytes.
fn pad(bytes: &mut Vec<u8>) {
    bytes.resize(bytes.len().next_multiple_of(4), 0);
}

/// A conversation with one part of the kernel, in the network namespace that it was opened in.
#[derive(Debug)]
pub(crate) struct Netlink(OwnedFd);

impl Netlink {
    /// With the part that knows interfaces, addresses and routes.
    pub(crate) fn route() -> Result<Self, NetlinkError> {
        Self::open(None)
    }

    /// With the part that filters packets.
    pub(crate) fn netfilter() -> Result<Self, NetlinkError> {
        Self::open(rustix::net::netlink::NETFILTER.into())
    }

    fn open(protocol: Option<Protocol>) -> Result<Self, NetlinkError> {
        let flags = SocketFlags::CLOEXEC;
        socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, protocol)
            .map(Self)
            .map_err(|source| NetlinkError { doing: "talk to the kernel's network", source })
    }

    /// Sends a batch, and hears what came of it.
    pub(crate) fn perform(&self, batch: &Batch) -> Result<(), NetlinkError> {
        let failed = |doing| move |source| NetlinkError { doing, source };
        let sent = send(&self.0, &batch.bytes, SendFlags::empty()).map_err(failed(batch.words(0)))?;
        if sent != batch.bytes.len() {
            return Err(failed(batch.words(0))(Errno::MSGSIZE));
        }
        let mut missing = batch.doing.iter().flatten().count();
        let mut room = vec![0; ROOM];
        while missing > 0 {
            let (length, _) =
                recv(&self.0, room.as_mut_slice(), RecvFlags::DONTWAIT).map_err(failed(batch.words(0)))?;
            for answer in Answers(room.get(..length).unwrap_or_default()) {
                match answer.errno {
                    None => missing = missing.saturating_sub(1),
                    Some(errno) => return Err(failed(batch.words(answer.number))(errno)),
                }
            }
        }
        Ok(())
    }
}

/// What the kernel says of one message.
#[derive(Debug, PartialEq, Eq)]
struct Answer {
    number: u32,
    errno: Option<Errno>,
}

/// The answers in what was received; other messages are passed over.
struct Answers<'a>(&'a [u8]);

impl Iterator for Answers<'_> {
    type Item = Answer;

    fn next(&mut self) -> Option<Answer> {
        loop {
            let length = usize::try_from(u32::from_ne_bytes(field(self.0, 0)?)).ok()?;
            let message = self.0.get(..length).filter(|message| message.len() >= HEADER)?;
            self.0 = self.0.get(length.next_multiple_of(4)..).unwrap_or_default();
            if u16::from_ne_bytes(field(message, 4)?) == ANSWER {
                let number = u32::from_ne_bytes(field(message, 8)?);
                let code = i32::from_ne_bytes(field(message, HEADER)?);
                let errno = match code {
                    0 => None,
                    -4095..=-1 => Some(Errno::from_raw_os_error(-code)),
                    // None of the kernel's.
                    _ => Some(Errno::PROTO),
                };
                return Some(Answer { number, errno });
            }
        }
    }
}

/// Each answer in what was received: to which message, and the error. It has an end whatever the bytes are.
pub fn answers(received: &[u8]) -> impl Iterator<Item = (u32, Option<i32>)> {
    Answers(received).map(|answer| (answer.number, answer.errno.map(Errno::raw_os_error)))
}

fn field<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(number: u32, code: i32) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend_from_slice(&36_u32.to_ne_bytes());
        bytes.extend_from_slice(&ANSWER.to_ne_bytes());
        bytes.extend_from_slice(&[0; 2]);
        bytes.extend_from_slice(&number.to_ne_bytes());
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&code.to_ne_bytes());
        bytes.extend_from_slice(&[0; 16]);
        bytes
    }

    #[test]
    fn lengths_are_filled_in_and_all_is_aligned() {
        let mut batch = Batch::default();
        batch.ask("try", 16, CREATE, &[1, 2, 3], |with| {
            with.put(7, &[9]).nest(8, |inner| {
                inner.put_text(1, "ab");
            });
        });
        let expected = [
            &48_u32.to_ne_bytes()[..],
            &[16, 0, 5, 4, 1, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 0],
            &[5, 0, 7, 0, 9, 0, 0, 0],
            &[11, 0, 8, 0x80, 7, 0, 1, 0, b'a', b'b', 0, 0],
        ]
        .concat();
        let mut expected = expected;
        expected[0] = u8::try_from(expected.len()).unwrap();
        // The outer attribute counts what is in it, and the inner one's padding.
        expected[28] = 12;
        assert_eq!(batch.bytes, expected);
    }

    #[test]
    fn the_first_error_has_the_words_of_its_message() {
        let mut batch = Batch::default();
        batch.tell(16, &[0; 4]);
        batch.ask("one", 1, 0, &[], |_| {});
        batch.ask("two", 1, 0, &[], |_| {});
        assert_eq!(batch.words(3), "two");
        // The whole batch is refused at its beginning.
        assert_eq!(batch.words(1), "one");
        let heard = [answer(2, 0), answer(3, -17)].concat();
        let heard: Vec<_> = Answers(&heard).collect();
        let expected = [Answer { number: 2, errno: None }, Answer { number: 3, errno: Some(Errno::EXIST) }];
        assert_eq!(heard, expected);
    }

    #[test]
    fn answers_that_are_cut_off_are_none() {
        let whole = answer(1, -1);
        for length in 0..20 {
            assert_eq!(Answers(&whole[..length]).count(), 0, "{length}");
        }
        // A length of nothing would never end.
        assert_eq!(Answers(&[0; 64]).count(), 0);
    }
}
