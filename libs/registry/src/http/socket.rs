//! Requests by a socket of this machine: no names, no TLS, no proxy, nobody who is asked for a password.

use std::path::Path;

use super::body::Body;
use super::connection::Connection;
use super::head::{self, Method, Sends};
use super::{HttpError, Patience, Url};

/// A request on its way.
#[derive(Debug)]
pub(crate) struct Socket {
    connection: Connection,
    patience: Patience,
    method: Method,
}

impl Socket {
    /// Begins a request for what `url` names behind the host. With `is_sent` a body follows, in [pieces](Self::send).
    pub(crate) fn ask(
        path: &Path,
        method: Method,
        url: &Url,
        fields: &[(&str, &str)],
        is_sent: bool,
        patience: Patience,
    ) -> Result<Self, HttpError> {
        let mut connection = Connection::local(path, patience)?;
        let sends = if is_sent { Sends::Chunked } else { Sends::Nothing };
        connection.send(&head::request(method, url, false, fields, sends)?, "asking")?;
        Ok(Self { connection, patience, method })
    }

    /// Sends a piece of the body.
    pub(crate) fn send(&mut self, piece: &[u8]) -> Result<(), HttpError> {
        // An empty one would end it.
        if piece.is_empty() {
            return Ok(());
        }
        self.connection.send(format!("{:x}\r\n", piece.len()).as_bytes(), "sending")?;
        self.connection.send(piece, "sending")?;
        self.connection.send(b"\r\n", "sending")
    }

    /// Ends the body.
    pub(crate) fn end(&mut self) -> Result<(), HttpError> {
        self.connection.send(b"0\r\n\r\n", "sending")
    }

    /// Reads the answer: its status and its body.
    pub(crate) fn answer(mut self) -> Result<(u16, Body), HttpError> {
        let head = self.connection.head()?;
        let framing = head.framing(self.method)?;
        Ok((head.status, Body::new(self.connection, framing, None, self.patience.idle)))
    }
}
