//! HTTP/1.1 over one connection, as a server has it.

use std::io::{Error, ErrorKind, Read, Result, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use super::fault::Tap;
use super::message::{Answer, Body, Request, Wire, reason};
use super::{DEADLINE, Log};

/// The longest head of a request that is read.
const HEAD: usize = 1 << 16;
/// What is read and sent at once.
const PIECE: usize = 1 << 14;
/// The first byte of a greeting over TLS.
const TLS_RECORD: u8 = 0x16;
/// As much of a body that nobody wanted is read to keep the connection.
const UNWANTED: u64 = 1 << 16;

/// What HTTP goes over: TCP, or TLS over it.
pub(super) trait Stream: Read + Write + Send {
    /// Says in its own words that nothing more will come.
    fn close(&mut self) {}
}

impl Stream for TcpStream {}

/// One connection.
pub(super) struct Connection {
    stream: Box<dyn Stream>,
    socket: TcpStream,
    /// Read, and not yet taken.
    ahead: Vec<u8>,
}

impl Connection {
    pub(super) fn new(stream: Box<dyn Stream>, socket: TcpStream) -> Self {
        Self { stream, socket, ahead: Vec::new() }
    }

    /// Reads the next head. `None` at the end of the connection; an error when it is no HTTP.
    pub(super) fn request(&mut self) -> Result<Option<Request>> {
        let mut piece = [0; PIECE];
        let end = loop {
            if let Some(end) = self.ahead.windows(4).position(|four| four == b"\r\n\r\n") {
                break end;
            }
            if self.is_greeted_over_tls() {
                return Err(Error::new(ErrorKind::InvalidData, "a greeting over TLS"));
            }
            if self.ahead.len() > HEAD {
                return Err(Error::new(ErrorKind::InvalidData, "a long head"));
            }
            match self.stream.read(&mut piece)? {
                0 => return Ok(None),
                read => self.ahead.extend_from_slice(&piece[..read]),
            }
        };
        let head: Vec<u8> = self.ahead.drain(..end + 4).take(end).collect();
        let request = std::str::from_utf8(&head).ok().and_then(Request::parse);
        request.map(Some).ok_or_else(|| Error::new(ErrorKind::InvalidData, "no request"))
    }

    /// What was read behind the last head.
    pub(super) fn ahead(&self) -> &[u8] {
        &self.ahead
    }

    /// Reads up to so many bytes of a body, at least one.
    fn take(&mut self, into: &mut [u8]) -> Result<usize> {
        if self.ahead.is_empty() {
            return match self.stream.read(into)? {
                0 => Err(ErrorKind::UnexpectedEof.into()),
                read => Ok(read),
            };
        }
        let taken = into.len().min(self.ahead.len());
        into[..taken].copy_from_slice(&self.ahead[..taken]);
        self.ahead.drain(..taken);
        Ok(taken)
    }

    fn line(&mut self) -> Result<String> {
        let mut line = Vec::new();
        let mut byte = [0];
        while !line.ends_with(b"\r\n") && line.len() < HEAD {
            self.take(&mut byte)?;
            line.push(byte[0]);
        }
        Ok(String::from_utf8_lossy(&line).trim_end().to_owned())
    }

    /// Whether the client greets over TLS, on a port that speaks none.
    fn is_greeted_over_tls(&self) -> bool {
        self.ahead.first() == Some(&TLS_RECORD)
    }

    /// Answers what is no request, in the words that Go's server has for it.
    pub(super) fn refuse(&mut self) {
        let answer: &[u8] = if self.is_greeted_over_tls() {
            b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTPS request to an HTTP server.\n"
        } else {
            b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        };
        drop(self.stream.write_all(answer));
        drop(self.stream.flush());
    }

    /// Ends it, so that the client may still read what was sent.
    pub(super) fn end(mut self) {
        self.stream.close();
        drop(self.socket.shutdown(Shutdown::Write));
        // A socket that is closed with something unread resets the connection, and takes back the answer.
        let mut piece = [0; PIECE];
        drop(self.socket.set_read_timeout(Some(DEADLINE / 12)));
        while matches!(self.socket.read(&mut piece), Ok(1..)) {}
    }

    fn reset(&self) -> Error {
        rustix::net::sockopt::set_socket_linger(&self.socket, Some(Duration::ZERO)).expect("a socket");
        ErrorKind::ConnectionReset.into()
    }
}

/// How the length of a body is known.
#[derive(Debug, Clone, Copy)]
enum Left {
    Bytes(u64),
    /// In chunks: what is left of this one.
    Chunk(u64),
}

/// The body of a request.
pub(super) struct Incoming<'a> {
    connection: &'a mut Connection,
    left: Left,
    /// The client waits for a word before it sends it.
    expected: bool,
    cut: Option<u64>,
    pace: Option<Tap>,
    log: &'a Log,
    number: usize,
}

impl<'a> Incoming<'a> {
    pub(super) fn new(
        connection: &'a mut Connection,
        request: &Request,
        (cut, pace): (Option<u64>, Option<Tap>),
        (log, number): (&'a Log, usize),
    ) -> Self {
        let headers = &request.headers;
        let known = headers.get("Content-Length").and_then(|length| length.parse().ok());
        let chunked = headers.get("Transfer-Encoding").is_some_and(|how| how.eq_ignore_ascii_case("chunked"));
        let left = if chunked { Left::Chunk(0) } else { Left::Bytes(known.unwrap_or(0)) };
        let expected = headers.get("Expect").is_some_and(|what| what.eq_ignore_ascii_case("100-continue"));
        Self { connection, left, expected, cut, pace, log, number }
    }

    /// Its whole length, unless that is not known before its end.
    pub(super) fn told(&self) -> Option<u64> {
        match self.left {
            Left::Bytes(left) => Some(left),
            Left::Chunk(_) => None,
        }
    }

    /// All of it, unless that is too much.
    pub(super) fn whole(&mut self, most: u64) -> Result<Option<Vec<u8>>> {
        let mut bytes = Vec::new();
        self.take(most + 1).read_to_end(&mut bytes)?;
        Ok((bytes.len() as u64 <= most).then_some(bytes))
    }

    /// Reads what nobody wanted, if that is little; says whether the connection can go on.
    pub(super) fn finish(mut self) -> bool {
        if self.expected {
            // The client was never told to send it.
            return matches!(self.left, Left::Bytes(0));
        }
        let mut rest = Vec::new();
        let read = self.by_ref().take(UNWANTED).read_to_end(&mut rest);
        read.is_ok_and(|read| (read as u64) < UNWANTED)
    }

    /// How much may be read now: the rest of the body, or of a chunk.
    fn available(&mut self) -> Result<u64> {
        match self.left {
            Left::Bytes(left) => Ok(left),
            Left::Chunk(0) => {
                let line = self.connection.line()?;
                let size = line.split(';').next().unwrap_or_default().trim().to_owned();
                let size = u64::from_str_radix(&size, 16)
                    .map_err(|error| Error::new(ErrorKind::InvalidData, error))?;
                if size == 0 {
                    while !self.connection.line()?.is_empty() {}
                    self.left = Left::Bytes(0);
                } else {
                    self.left = Left::Chunk(size);
                }
                Ok(size)
            }
            Left::Chunk(left) => Ok(left),
        }
    }

    fn took(&mut self, bytes: u64) -> Result<()> {
        self.log.note(self.number, |seen| seen.received += bytes);
        match &mut self.left {
            Left::Bytes(left) => *left -= bytes,
            Left::Chunk(left) => {
                *left -= bytes;
                if *left == 0 {
                    self.connection.line()?;
                }
            }
        }
        Ok(())
    }
}

impl Read for Incoming<'_> {
    fn read(&mut self, into: &mut [u8]) -> Result<usize> {
        if std::mem::take(&mut self.expected) {
            self.connection.stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
            self.connection.stream.flush()?;
        }
        let most = self.available()?.min(into.len().min(PIECE) as u64);
        if most == 0 {
            return Ok(0);
        }
        let most = match &mut self.cut {
            Some(0) => return Err(ErrorKind::ConnectionReset.into()),
            Some(left) => most.min(*left),
            None => most,
        };
        let most = self.pace.as_ref().map_or(most, |tap| tap.take(most));
        let read = self.connection.take(&mut into[..index(most)])? as u64;
        if let Some(left) = &mut self.cut {
            *left -= read;
        }
        self.took(read)?;
        Ok(index(read))
    }
}

fn index(bytes: u64) -> usize {
    usize::try_from(bytes).expect("what fits a buffer")
}

/// Sends an answer; an error means that the connection is to be ended.
pub(super) fn send(
    connection: &mut Connection,
    request: &Request,
    answer: Answer,
    (log, number): (&Log, usize),
) -> Result<()> {
    let Answer { status, headers, body, wire } = answer;
    if let Some(tap) = &wire.hold {
        tap.take(1);
    }
    if let Some((start, again)) = &wire.raw {
        return raw(connection, start, again, &wire);
    }
    let chunked = matches!(body, Body::Pieces(_));
    let mut head = format!("HTTP/1.1 {status} {}\r\n", reason(status));
    let mut field = |name: &str, value: &str| head.extend([name, ": ", value, "\r\n"]);
    headers.0.iter().for_each(|(name, value)| field(name, value));
    match &body {
        Body::Pieces(_) => field("Transfer-Encoding", "chunked"),
        // A test may have set another length.
        Body::Bytes(..) if status == 204 || headers.get("Content-Length").is_some() => {}
        Body::Bytes(_, range) => field("Content-Length", &range.len().to_string()),
    }
    if wire.close {
        field("Connection", "close");
    }
    head.push_str("\r\n");
    log.note(number, |seen| seen.status = Some(status));
    connection.stream.write_all(head.as_bytes())?;
    if request.method != "HEAD" {
        let mut outgoing = Outgoing { connection, wire: &wire, chunked, sent: 0, log, number };
        match body {
            Body::Bytes(bytes, range) => {
                bytes[range].chunks(PIECE).try_for_each(|piece| outgoing.piece(piece))?;
            }
            Body::Pieces(mut pieces) => pieces.try_for_each(|piece| outgoing.piece(&piece))?,
        }
        if chunked {
            connection.stream.write_all(b"0\r\n\r\n")?;
        }
    }
    connection.stream.write_all(&wire.trailing)?;
    connection.stream.flush()?;
    if wire.close { Err(ErrorKind::ConnectionAborted.into()) } else { Ok(()) }
}

fn raw(connection: &mut Connection, start: &[u8], again: &[u8], wire: &Wire) -> Result<()> {
    connection.stream.write_all(start)?;
    while !again.is_empty() {
        connection.stream.write_all(again)?;
    }
    connection.stream.flush()?;
    if wire.reset { Err(connection.reset()) } else { Err(ErrorKind::ConnectionAborted.into()) }
}

/// The body of an answer.
struct Outgoing<'a> {
    connection: &'a mut Connection,
    wire: &'a Wire,
    chunked: bool,
    sent: u64,
    log: &'a Log,
    number: usize,
}

impl Outgoing<'_> {
    fn piece(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            let mut most = bytes.len() as u64;
            if let Some(cut) = self.wire.cut {
                most = most.min(cut - self.sent);
                if most == 0 {
                    return Err(self.cut());
                }
            }
            if let Some(tap) = &self.wire.pace {
                most = tap.take(most);
            }
            let (now, later) = bytes.split_at(index(most));
            self.write(now)?;
            bytes = later;
        }
        if self.wire.cut == Some(self.sent) { Err(self.cut()) } else { Ok(()) }
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let stream = &mut self.connection.stream;
        if self.chunked {
            write!(stream, "{:x}\r\n", bytes.len())?;
        }
        stream.write_all(bytes)?;
        if self.chunked {
            stream.write_all(b"\r\n")?;
        }
        stream.flush()?;
        self.sent += bytes.len() as u64;
        self.log.note(self.number, |seen| seen.sent = self.sent);
        Ok(())
    }

    fn cut(&self) -> Error {
        if self.wire.reset { self.connection.reset() } else { ErrorKind::ConnectionAborted.into() }
    }
}
