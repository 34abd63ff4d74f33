//! The body of an answer: read to its end it gives its connection back, dropped before that it closes it.

use std::io::{self, Read};
use std::sync::Arc;
use std::time::Instant;

use super::Patience;
use super::connection::Connection;
use super::error::HttpError;
use super::head::Framing;
use super::pool::{Key, Pool};

/// Bytes of the line before a chunk, and of one behind the last.
const LINE: usize = 4 << 10;
/// Lines behind the last chunk.
const LINES: usize = 64;
/// Bytes that are read and thrown away so that a connection can be used again.
const DISCARDED: u64 = 16 << 10;

/// What is left of an answer.
#[derive(Debug)]
pub struct Body {
    connection: Option<Connection>,
    left: Left,
    /// To whom the connection goes back, if it lasts.
    home: Option<(Arc<Pool>, Key)>,
    pace: Pace,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Left {
    /// So many bytes.
    Bytes(u64),
    /// So many bytes of a chunk, and then others.
    Chunk(u64),
    /// Chunks, of which none has begun.
    Chunks,
    /// As many as come.
    Unknown,
}

/// Bytes that came in a stretch of time: who sends one now and then would be waited for without an end.
#[derive(Debug)]
struct Pace {
    patience: Patience,
    since: Instant,
    came: u64,
}

impl Pace {
    fn came(&mut self, size: usize) -> Result<(), HttpError> {
        self.came += size as u64;
        if self.since.elapsed() < self.patience.stretch {
            return Ok(());
        }
        if self.came < self.patience.least {
            return Err(HttpError::Slow { what: "a trickle of bytes", after: self.patience.stretch });
        }
        self.since = Instant::now();
        self.came = 0;
        Ok(())
    }
}

impl Body {
    pub(super) fn new(
        connection: Connection,
        framing: Framing,
        home: Option<(Arc<Pool>, Key)>,
        patience: Patience,
    ) -> Self {
        let left = match framing {
            Framing::Length(length) => Left::Bytes(length),
            Framing::Chunked => Left::Chunks,
            Framing::Close => Left::Unknown,
        };
        let pace = Pace { patience, since: Instant::now(), came: 0 };
        let mut body = Self { connection: Some(connection), left, home, pace };
        if left == Left::Bytes(0) {
            body.end();
        }
        body
    }

    /// The number of bytes to come, where it is known.
    #[must_use]
    pub const fn length(&self) -> Option<u64> {
        match self.left {
            Left::Bytes(left) => Some(left),
            Left::Chunk(_) | Left::Chunks | Left::Unknown => None,
        }
    }

    /// Reads all of it, which has a bound.
    pub fn bytes(mut self, limit: u64) -> Result<Vec<u8>, HttpError> {
        if self.length().is_some_and(|length| length > limit) {
            return Err(HttpError::TooLong { limit });
        }
        let mut bytes = Vec::new();
        let read = Read::by_ref(&mut self).take(limit + 1).read_to_end(&mut bytes);
        read.map_err(|error| HttpError::of(error, "reading the answer", self.pace.patience.idle))?;
        if bytes.len() as u64 > limit { Err(HttpError::TooLong { limit }) } else { Ok(bytes) }
    }

    /// Reads what is left if it is little, so that the connection can be used again.
    pub(crate) fn discard(self) {
        // It is closed if this fails, which is as well.
        drop(self.bytes(DISCARDED));
    }

    /// All of it was read.
    fn end(&mut self) {
        if let (Some(connection), Some((pool, key))) = (self.connection.take(), self.home.take()) {
            pool.put(key, connection);
        }
    }

    /// Reads the line before the next chunk; the first one has none before it to end.
    fn chunk(&mut self) -> Result<u64, HttpError> {
        const BAD: HttpError = HttpError::Malformed("cut in chunks that cannot be read");
        let Some(connection) = &mut self.connection else { return Ok(0) };
        if self.left != Left::Chunks && !connection.line(LINE)?.is_empty() {
            return Err(BAD);
        }
        let line = connection.line(LINE)?;
        let digits = line.split(';').next().unwrap_or(&line).trim();
        let is_number = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        let size = u64::from_str_radix(digits, 16).ok().filter(|_| is_number).ok_or(BAD)?;
        if size == 0 {
            // Fields may follow, which nobody here asks for.
            let mut lines = 0;
            while !connection.line(LINE)?.is_empty() {
                lines += 1;
                if lines > LINES {
                    return Err(BAD);
                }
            }
        }
        Ok(size)
    }
}

impl Read for Body {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.connection.is_none() || into.is_empty() {
            return Ok(0);
        }
        if matches!(self.left, Left::Chunk(0) | Left::Chunks) {
            let size = self.chunk()?;
            self.left = Left::Chunk(size);
            if size == 0 {
                self.end();
                return Ok(0);
            }
        }
        let most = match self.left {
            Left::Bytes(left) | Left::Chunk(left) => usize::try_from(left).unwrap_or(usize::MAX),
            Left::Chunks | Left::Unknown => usize::MAX,
        };
        let room = into.len().min(most);
        let Some(connection) = &mut self.connection else { return Ok(0) };
        let size = connection.read(&mut into[..room])?;
        self.pace.came(size)?;
        match &mut self.left {
            Left::Unknown if size == 0 => self.end(),
            Left::Unknown | Left::Chunks => {}
            Left::Bytes(_) | Left::Chunk(_) if size == 0 => {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            Left::Bytes(left) => {
                *left -= size as u64;
                if *left == 0 {
                    self.end();
                }
            }
            Left::Chunk(left) => *left -= size as u64,
        }
        Ok(size)
    }
}
