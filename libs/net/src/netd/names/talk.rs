//! A connection over which messages go both ways, each behind its length: one that asks us, or one by which a resolver is asked.
//!
//! It tells as long as there is something to do (levels), of which each turn does a piece: so nobody who says much holds up the
//! others. Who does not take what it is told is not read any more, and what it has said already then waits in the kernel.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};

use crate::dns::stream::{Stream, framed};

/// How much is read in one turn.
const PIECE: usize = 1024;
/// As much may wait to be taken while more is read.
const UNTAKEN: usize = 64 << 10;
/// Who has left so much is given up: answers also come to what was asked before.
const DEAF: usize = 4 * UNTAKEN;

/// Such a connection.
#[derive(Debug)]
pub(super) struct Talk {
    socket: OwnedFd,
    stream: Stream,
    unsent: Vec<u8>,
    /// The other end has said its last.
    pub(super) has_ended: bool,
    /// What the socket was last asked to tell.
    watched: Option<EventFlags>,
}

impl Talk {
    pub(super) const fn new(socket: OwnedFd, stream: Stream) -> Self {
        Self { socket, stream, unsent: Vec::new(), has_ended: false, watched: None }
    }

    /// When it is to be given up, unless something is read before.
    pub(super) fn deadline(&self) -> Duration {
        self.stream.deadline()
    }

    /// Whether all was taken that was said.
    pub(super) const fn is_taken(&self) -> bool {
        self.unsent.is_empty()
    }

    /// Says a message, or keeps of it what there is no room for.
    pub(super) fn say(&mut self, message: &[u8]) -> Result<(), Errno> {
        if self.unsent.len() >= DEAF {
            return Err(Errno::NOBUFS);
        }
        let had_room = self.is_taken();
        self.unsent.extend_from_slice(&framed(message));
        if had_room { self.flush() } else { Ok(()) }
    }

    /// Something can be done: a piece of it is, and gives the messages that are whole now.
    pub(super) fn go_on(&mut self, now: Duration) -> Result<Vec<Vec<u8>>, Errno> {
        if self.wanted().is_empty() {
            // What is told without being asked for is that nobody is there any more.
            return Err(Errno::PIPE);
        }
        self.flush()?;
        if !self.reads() {
            return Ok(Vec::new());
        }
        let mut room = [0; PIECE];
        match recv(&self.socket, &mut room, RecvFlags::DONTWAIT) {
            Ok((0, _)) => {
                self.has_ended = true;
                Ok(Vec::new())
            }
            Ok((length, _)) => {
                let bytes = room.get(..length).unwrap_or_default();
                self.stream.read(bytes, now).map_err(|_too_long| Errno::MSGSIZE)
            }
            Err(Errno::AGAIN | Errno::INTR) => Ok(Vec::new()),
            Err(errno) => Err(errno),
        }
    }

    /// Has the socket tell what there is to be done now.
    pub(super) fn watch(&mut self, epoll: BorrowedFd<'_>, token: u64) -> Result<(), Errno> {
        let wanted = self.wanted();
        let data = EventData::new_u64(token);
        match self.watched {
            Some(watched) if watched == wanted => return Ok(()),
            Some(_) => epoll::modify(epoll, self.socket.as_fd(), data, wanted)?,
            None => epoll::add(epoll, self.socket.as_fd(), data, wanted)?,
        }
        self.watched = Some(wanted);
        Ok(())
    }

    fn wanted(&self) -> EventFlags {
        let mut wanted = EventFlags::empty();
        wanted.set(EventFlags::IN, self.reads());
        wanted.set(EventFlags::OUT, !self.is_taken());
        wanted
    }

    const fn reads(&self) -> bool {
        !self.has_ended && self.unsent.len() < UNTAKEN
    }

    /// Writes as much as there is room for.
    fn flush(&mut self) -> Result<(), Errno> {
        while !self.is_taken() {
            match send(&self.socket, &self.unsent, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
                Ok(sent) => drop(self.unsent.drain(..sent)),
                Err(Errno::AGAIN) => return Ok(()),
                Err(errno) => return Err(errno),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::os::unix::net::UnixStream;

    use super::*;
    use crate::dns::stream::QUESTION;

    const NOW: Duration = Duration::ZERO;

    /// One that asks, and the end by which it is answered.
    fn two() -> (UnixStream, Talk) {
        let (asks, answers) = UnixStream::pair().expect("two sockets");
        asks.set_nonblocking(true).expect("a socket that does not wait");
        (asks, Talk::new(answers.into(), Stream::new(QUESTION, NOW)))
    }

    /// Answers whatever is asked, until nothing more is read.
    fn answer_all(talk: &mut Talk) -> usize {
        let mut answered = 0;
        while talk.wanted().contains(EventFlags::IN) {
            let asked = talk.go_on(NOW).expect("a connection");
            if asked.is_empty() {
                break;
            }
            for question in asked {
                talk.say(&question).expect("somebody who may listen yet");
                answered += 1;
            }
        }
        answered
    }

    #[test]
    fn who_does_not_take_its_answers_is_not_read_until_it_does() {
        let (mut asks, mut talk) = two();
        let question = framed(&[7; 100]);
        let (mut asked, mut answered, mut most) = (0, 0, 0);
        // As many as there is room for in the kernel and with us: that is an end only if we stop.
        while asked < 100_000 && asks.write(&question).is_ok_and(|length| length == question.len()) {
            asked += 1;
            answered += answer_all(&mut talk);
            most = most.max(talk.unsent.len());
        }
        assert!(most < UNTAKEN + 2 * PIECE, "{most} bytes that nobody takes");
        assert_eq!(talk.wanted(), EventFlags::OUT);
        let mut room = [0; 4096];
        while let Ok(length @ 1..) = asks.read(&mut room) {
            assert!(length > 0);
            talk.go_on(NOW).expect("a connection");
        }
        let before = answered;
        answered += answer_all(&mut talk);
        assert!(answered > before, "nothing more is read");
    }

    #[test]
    fn who_takes_nothing_is_given_up() {
        let (_asks, mut talk) = two();
        let told = (0..1000).map(|_| talk.say(&[7; 1000])).find_map(Result::err);
        assert_eq!(told, Some(Errno::NOBUFS));
        assert!(talk.unsent.len() < DEAF + 2000);
    }

    #[test]
    fn what_is_read_at_a_time_is_a_piece() {
        let (mut asks, mut talk) = two();
        let question = framed(&[7; 100]);
        asks.write_all(&question.repeat(100)).expect("room");
        assert!(talk.go_on(NOW).expect("a connection").len() <= PIECE / question.len());
    }

    #[test]
    fn who_has_gone_hears_nothing_more() {
        let (asks, mut talk) = two();
        drop(asks);
        assert_eq!(talk.go_on(NOW), Ok(Vec::new()));
        assert!(talk.has_ended && talk.wanted().is_empty());
        assert_eq!(talk.go_on(NOW), Err(Errno::PIPE));
    }
}
