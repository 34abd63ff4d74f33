//! One connection: an endpoint towards the container, and a socket of the host's.
//!
//! Towards the container nothing is held here: bytes are looked at in the host's socket, and taken out of it once they have arrived. What the
//! container says is written to the host's socket at the end of the turn, all packets of it by one call: each call wakes who reads.
//! What that does not take is kept, no more than the container was told that it may send; from then on it is told less.

use std::io::IoSlice;
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use ctr_sys::net::options::set_peek_offset;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags, Shutdown, recv, sendmsg, shutdown, sockopt};

use super::super::pump::Ready;
use super::super::tcp::Pair;
use crate::stack::{Endpoint, Phase, Span};
use crate::wire::Segment;
use crate::wire::offload::{Cut, Offload};
use crate::wire::segment::{self, Header};

/// What a container may send before it is known how fast the host's side takes it.
pub(super) const WINDOW: usize = 256 << 10;
/// How much that grows, and shrinks.
const WIDEST: usize = 1 << 20;
const NARROWEST: usize = 64 << 10;
/// How much one connection moves before others get their turn.
const TURN: usize = 4 << 20;
/// How far is looked, where the kernel cannot begin to look further on.
pub(super) const LOOK: usize = 1 << 20;

/// Where packets go, and where bytes are on their way there.
#[derive(Debug)]
pub(super) struct Tools<'a> {
    pub(super) device: BorrowedFd<'a>,
    /// [`LOOK`] bytes.
    pub(super) buffer: &'a mut [u8],
    pub(super) now: Duration,
}

/// A connection.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) endpoint: Endpoint,
    outer: OwnedFd,
    ready: Ready,
    /// What the host's socket has not taken yet.
    unsent: Vec<u8>,
    window: usize,
    /// Where the kernel looks next; none where it always looks at the first byte.
    looks_at: Option<usize>,
    /// The host's side has said all, and it has been told all.
    said_all: bool,
    told_all: bool,
    /// The container has said all.
    heard_all: bool,
    /// So much has arrived in the container that is still to be taken out.
    arrived: usize,
    /// How many bytes the container has said, and how many it has heard.
    moved: (u64, u64),
}

/// What came of a segment.
#[derive(Debug)]
pub(super) struct Heard<'a> {
    /// What is to be said to the host's side at the end of the turn.
    pub(super) says: &'a [u8],
    /// The connection is open since.
    pub(super) opened: bool,
}

/// What is there behind a number of bytes.
enum Looked {
    At(Range<usize>),
    End,
    Nothing,
    /// It would be too far away.
    Later,
}

impl Stream {
    pub(super) fn new(endpoint: Endpoint, outer: OwnedFd, ready: Ready) -> Self {
        // An urgent byte is one of the stream: one that is passed over would not be counted by where we look.
        sockopt::set_socket_oobinline(&outer, true).ok();
        let looks_at = set_peek_offset(outer.as_fd(), Some(0)).is_ok().then_some(0);
        Self {
            endpoint,
            outer,
            ready,
            unsent: Vec::new(),
            window: WINDOW,
            looks_at,
            said_all: false,
            told_all: false,
            heard_all: false,
            arrived: 0,
            moved: (0, 0),
        }
    }

    /// What comes is written at once, and not kept.
    pub(super) const fn takes(&self) -> bool {
        self.unsent.is_empty() && self.ready.writable
    }

    /// How many bytes are kept.
    pub(super) fn held(&self) -> usize {
        self.unsent.len()
    }

    /// How many bytes the container has sent, and received.
    pub(super) const fn moved(&self) -> (u64, u64) {
        self.moved
    }

    pub(super) fn outer(&self) -> BorrowedFd<'_> {
        self.outer.as_fd()
    }

    pub(super) fn into_outer(self) -> (Endpoint, OwnedFd) {
        (self.endpoint, self.outer)
    }

    /// Both have said all, and know it.
    pub(super) const fn is_done(&self) -> bool {
        self.told_all && matches!(self.endpoint.phase(), Phase::Lingering | Phase::Ended)
    }

    /// The container says something, of which no more than `most` bytes can be taken.
    pub(super) fn hear<'a>(&mut self, segment: &Segment<'a>, most: usize, now: Duration) -> Heard<'a> {
        let payload = segment.payload;
        let received = self.endpoint.receive(&segment.header, payload.len(), most, now);
        self.moved.0 += received.data.len() as u64;
        self.moved.1 += received.arrived as u64;
        self.arrived += received.arrived;
        self.heard_all |= received.ended;
        Heard { says: payload.get(received.data).unwrap_or_default(), opened: received.opened }
    }

    /// At the end of a turn: the host's side hears what was said in it, and keeps no more what has arrived.
    ///
    /// # Errors
    /// It is broken.
    pub(super) fn settle(&mut self, said: &[IoSlice<'_>], buffer: &mut [u8]) -> Result<(), Errno> {
        self.forget(buffer)?;
        if !said.is_empty() {
            self.pass_on(said)?;
        }
        self.pass_end_on()
    }

    /// The host's socket tells something.
    ///
    /// # Errors
    /// It is broken.
    pub(super) fn tell(&mut self, ready: Ready) -> Result<(), Errno> {
        self.ready.add(ready);
        if self.said_all {
            // It is not read any more, so nothing else would tell that what it has taken is lost.
            ready.check(&self.outer)?;
        }
        if self.ready.writable && !self.unsent.is_empty() {
            let unsent = std::mem::take(&mut self.unsent);
            self.send_out(&[IoSlice::new(&unsent)])?;
            self.pass_end_on()?;
        }
        Ok(())
    }

    /// Writes to the host's socket; what it does not take is kept.
    fn send_out(&mut self, pieces: &[IoSlice<'_>]) -> Result<(), Errno> {
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        let sent = match sendmsg(&self.outer, pieces, &mut SendAncillaryBuffer::default(), flags) {
            Ok(sent) => sent,
            Err(Errno::AGAIN) => 0,
            Err(errno) => return Err(errno),
        };
        self.keep(pieces, sent);
        if self.unsent.is_empty() {
            self.window = (self.window + sent).min(WIDEST);
        } else {
            self.ready.writable = false;
            self.window = (self.window / 2).max(NARROWEST);
        }
        self.endpoint.set_room(self.window.saturating_sub(self.unsent.len()));
        Ok(())
    }

    /// Keeps all but so many bytes.
    fn keep(&mut self, pieces: &[IoSlice<'_>], mut sent: usize) {
        for piece in pieces {
            self.unsent.extend_from_slice(piece.get(sent..).unwrap_or_default());
            sent = sent.saturating_sub(piece.len());
        }
    }

    fn pass_on(&mut self, pieces: &[IoSlice<'_>]) -> Result<(), Errno> {
        if self.takes() {
            self.send_out(pieces)?;
        } else {
            self.keep(pieces, 0);
            self.endpoint.set_room(self.window.saturating_sub(self.unsent.len()));
        }
        Ok(())
    }

    fn pass_end_on(&mut self) -> Result<(), Errno> {
        if self.heard_all && !self.told_all && self.unsent.is_empty() {
            self.told_all = true;
            match shutdown(&self.outer, Shutdown::Write) {
                // Who is gone already has nothing to hear.
                Err(Errno::NOTCONN) | Ok(()) => {}
                Err(errno) => return Err(errno),
            }
        }
        Ok(())
    }

    /// Says to the container what there is to be said; whether there is more.
    ///
    /// # Errors
    /// The host's side is broken.
    pub(super) fn speak(&mut self, pair: Pair, tools: &mut Tools<'_>) -> Result<bool, Errno> {
        let mut moved = 0;
        let mut has_more = false;
        while let Some(span) = self.endpoint.span(tools.now) {
            if !span.is_again && (self.said_all || !self.ready.readable) {
                break;
            }
            if moved >= TURN {
                has_more = true;
                break;
            }
            match self.look(span, tools.buffer)? {
                Looked::At(place) => {
                    moved += place.len();
                    self.send_in(pair, span, place, tools);
                }
                Looked::End => {
                    self.said_all = true;
                    self.endpoint.finish();
                }
                Looked::Nothing => {
                    // Behind what is on its way an end is not always seen.
                    self.ready.readable = self.ready.hung_up;
                    break;
                }
                Looked::Later => break,
            }
        }
        while let Some(header) = self.endpoint.speak(tools.now) {
            write_segment(tools.device, pair, &header, &[], 0);
        }
        Ok(has_more)
    }

    /// Sends the container bytes of a span, packet by packet.
    fn send_in(&mut self, pair: Pair, span: Span, place: Range<usize>, tools: &Tools<'_>) {
        let bytes = tools.buffer.get(place).unwrap_or_default();
        let mut from = span.from;
        for payload in bytes.chunks(span.packet) {
            let header = self.endpoint.send(Span { from, ..span }, payload.len(), tools.now);
            write_segment(tools.device, pair, &header, payload, self.endpoint.mss());
            from += payload.len();
        }
    }

    /// Looks at bytes that stay where they are.
    fn look(&mut self, Span { from, most, .. }: Span, buffer: &mut [u8]) -> Result<Looked, Errno> {
        let before = if let Some(at) = &mut self.looks_at {
            if *at != from {
                set_peek_offset(self.outer.as_fd(), Some(from))?;
                *at = from;
            }
            0
        } else {
            from
        };
        let Some(room) = buffer.get_mut(..before + most) else { return Ok(Looked::Later) };
        let looked = match recv(&self.outer, room, RecvFlags::PEEK | RecvFlags::DONTWAIT) {
            Ok((0, _)) => return Ok(Looked::End),
            Ok((looked, _)) => looked,
            Err(Errno::AGAIN | Errno::INTR) => return Ok(Looked::Nothing),
            Err(errno) => return Err(errno),
        };
        if let Some(at) = &mut self.looks_at {
            *at += looked;
        }
        match looked.checked_sub(before) {
            // It cannot be told whether there is an end behind what is there, until that has arrived.
            None | Some(0) => Ok(Looked::Nothing),
            Some(_) => Ok(Looked::At(before..looked)),
        }
    }

    /// Takes bytes out that have arrived.
    fn forget(&mut self, buffer: &mut [u8]) -> Result<(), Errno> {
        let count = std::mem::take(&mut self.arrived);
        let mut rest = count;
        while rest > 0 {
            let most = rest.min(buffer.len());
            // A stream's bytes are not copied for that.
            let flags = RecvFlags::TRUNC | RecvFlags::DONTWAIT;
            match recv(&self.outer, buffer.get_mut(..most).unwrap_or_default(), flags) {
                Ok((_, 0)) => return Err(Errno::PIPE),
                Ok((_, taken)) => rest = rest.saturating_sub(taken),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno),
            }
        }
        if let Some(at) = &mut self.looks_at {
            *at = at.saturating_sub(count);
        }
        Ok(())
    }
}

/// Sends the container a segment; one that is longer than it takes is to be cut.
pub(super) fn write_segment(
    device: BorrowedFd<'_>,
    (container, remote): Pair,
    header: &Header,
    payload: &[u8],
    mss: u16,
) {
    let Ok(head) = segment::head(remote, container, header, payload.len()) else { return };
    let start = segment::start(remote.ip());
    let headers = u16::try_from(head.len()).unwrap_or_default();
    let cut = payload.len() > usize::from(mss) && !payload.is_empty();
    let cut = cut.then_some(Cut { size: mss, headers, is_v4: remote.is_ipv4() });
    let offload = Offload { sum: Some((start, segment::SUM)), cut };
    super::write(device, offload, [&head, payload]);
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{Shutdown, TcpListener, TcpStream};
    use std::time::Instant;

    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

    use super::*;
    use crate::stack::Opening;

    const PAIR: (&str, &str) = ("10.0.2.100:40000", "192.0.2.1:80");

    fn bytes(length: usize, seed: u8) -> Vec<u8> {
        (0..length)
            .map(|at| u8::try_from(at % 251).unwrap() ^ u8::try_from(at / 251 % 256).unwrap() ^ seed)
            .collect()
    }

    /// The container's side, for whose packets there is little room on the way.
    struct Inside {
        endpoint: Endpoint,
        device: OwnedFd,
        says: Vec<u8>,
        arrived: usize,
        heard: Vec<u8>,
    }

    impl Inside {
        fn speak(&mut self, pair: Pair, now: Duration) {
            while let Some(span) = self.endpoint.span(now) {
                let from = self.arrived + span.from;
                let piece = &self.says[from..(from + span.most).min(self.says.len())];
                if piece.is_empty() {
                    self.endpoint.finish();
                    break;
                }
                let header = self.endpoint.send(span, piece.len(), now);
                write_segment(self.device.as_fd(), (pair.1, pair.0), &header, piece, u16::MAX);
            }
            while let Some(header) = self.endpoint.speak(now) {
                write_segment(self.device.as_fd(), (pair.1, pair.0), &header, &[], 0);
            }
        }

        fn hear(&mut self, frame: &[u8], now: Duration) {
            let (_, packet) = Offload::parse(frame).unwrap();
            let segment = Segment::parse(packet, false).unwrap();
            let received = self.endpoint.receive(&segment.header, segment.payload.len(), usize::MAX, now);
            self.heard.extend_from_slice(&segment.payload[received.data]);
            self.arrived += received.arrived;
        }
    }

    /// Two that say something to each other, until both have said all; the host's side hears nothing before it has said all.
    fn exchange(looks_on: bool, from_inside: &[u8], from_outside: &[u8]) -> (Vec<u8>, Vec<u8>) {
        let pair = (PAIR.0.parse().unwrap(), PAIR.1.parse().unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let outer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut far, _) = listener.accept().unwrap();
        outer.set_nonblocking(true).unwrap();
        let flags = SocketFlags::NONBLOCK;
        let (device, container) = socketpair(AddressFamily::UNIX, SocketType::DGRAM, flags, None).unwrap();
        let opening = |first| Opening { first, mss: 9000, room: WINDOW };
        let mut inside = Inside {
            endpoint: Endpoint::connect(opening(1)),
            device: container,
            says: from_inside.to_vec(),
            arrived: 0,
            heard: Vec::new(),
        };
        let mut now = Duration::from_secs(1);
        let first = inside.endpoint.speak(now).unwrap();
        let endpoint = Endpoint::accept(&first, opening(u32::MAX - 5));
        let mut stream = Stream::new(endpoint, outer.into(), Ready::UNKNOWN);
        if !looks_on {
            set_peek_offset(stream.outer.as_fd(), None).ok();
            stream.looks_at = None;
        }
        let heard = std::thread::scope(|threads| {
            let outside = threads.spawn(move || {
                far.write_all(from_outside).unwrap();
                far.shutdown(Shutdown::Write).unwrap();
                let mut heard = Vec::new();
                far.read_to_end(&mut heard).unwrap();
                heard
            });
            let mut buffer = vec![0; LOOK];
            let mut frame = vec![0; 1 << 17];
            let end = Instant::now() + Duration::from_secs(20);
            while !stream.is_done() || inside.endpoint.phase() == Phase::Open {
                assert!(Instant::now() < end, "it has no end: {stream:?} {:?}", inside.endpoint);
                let mut tools = Tools { device: device.as_fd(), buffer: &mut buffer, now };
                stream.tell(Ready::UNKNOWN).unwrap();
                stream.speak(pair, &mut tools).unwrap();
                while let Ok(length) = rustix::io::read(&inside.device, frame.as_mut_slice()) {
                    inside.hear(&frame[..length], now);
                }
                inside.speak(pair, now);
                while let Ok(length) = rustix::io::read(&device, frame.as_mut_slice()) {
                    let (_, packet) = Offload::parse(&frame[..length]).unwrap();
                    let segment = Segment::parse(packet, false).unwrap();
                    let heard = stream.hear(&segment, usize::MAX, now);
                    let said = [IoSlice::new(heard.says)];
                    let said = if heard.says.is_empty() { &[][..] } else { &said };
                    stream.settle(said, tools.buffer).unwrap();
                }
                assert!(stream.held() <= WIDEST);
                now += Duration::from_millis(20);
                stream.endpoint.expire(now);
                inside.endpoint.expire(now);
            }
            outside.join().unwrap()
        });
        (inside.heard, heard)
    }

    #[test]
    fn bytes_go_both_ways_whether_the_kernel_looks_on_or_not() {
        let (one, other) = (bytes(1_500_000, 1), bytes(2_500_000, 2));
        for looks_on in [true, false] {
            let (inside, outside) = exchange(looks_on, &one, &other);
            assert!(inside == other, "{looks_on}: {} of {} bytes came in", inside.len(), other.len());
            assert!(outside == one, "{looks_on}: {} of {} bytes went out", outside.len(), one.len());
        }
    }

    #[test]
    fn who_has_nothing_to_say_says_so() {
        for looks_on in [true, false] {
            assert_eq!(exchange(looks_on, b"", b""), (Vec::new(), Vec::new()));
            assert_eq!(exchange(looks_on, b"a", b""), (Vec::new(), b"a".to_vec()));
        }
    }
}
