//! The body of an answer: read to its end it gives its connection back, dropped before that it closes it.

use std::io::{self, Read};
use std::sync::Arc;
use std::time::Duration;

use super::connection::Connection;
use super::error::HttpError;
use super::frame::{Frames, Framing};
use super::pool::{Key, Pool};

/// Bytes that are read and thrown away so that a connection can be used again.
const DISCARDED: u64 = 16 << 10;

/// What is left of an answer.
#[derive(Debug)]
pub struct Body {
    connection: Option<Connection>,
    frames: Frames,
    /// To whom the connection goes back, if it lasts.
    home: Option<(Arc<Pool>, Key)>,
    /// How long any byte is waited for.
    idle: Duration,
}

impl Body {
    pub(super) fn new(
        connection: Connection,
        framing: Framing,
        home: Option<(Arc<Pool>, Key)>,
        idle: Duration,
    ) -> Self {
        let mut body = Self { connection: Some(connection), frames: Frames::new(framing), home, idle };
        if body.frames.is_over() {
            body.end();
        }
        body
    }

    /// The number of bytes to come, where it is known.
    #[must_use]
    pub const fn length(&self) -> Option<u64> {
        self.frames.length()
    }

    /// Reads all of it, which has a bound.
    pub fn bytes(mut self, limit: u64) -> Result<Vec<u8>, HttpError> {
        if self.length().is_some_and(|length| length > limit) {
            return Err(HttpError::TooLong { limit });
        }
        let mut bytes = Vec::new();
        let read = Read::by_ref(&mut self).take(limit + 1).read_to_end(&mut bytes);
        read.map_err(|error| HttpError::of(error, "reading the answer", self.idle))?;
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
}

impl Read for Body {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let Some(connection) = &mut self.connection else { return Ok(0) };
        let size = self.frames.read(connection, into)?;
        if self.frames.is_over() {
            self.end();
        }
        Ok(size)
    }
}
