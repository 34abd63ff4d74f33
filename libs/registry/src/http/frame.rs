//! Where a body ends in the bytes behind its head: after so many bytes, behind its last chunk, or with the connection.

use std::io::{self, Read};

use super::error::HttpError;

/// Bytes of the line before a chunk, and of one behind the last.
const LINE: usize = 4 << 10;
/// Lines behind the last chunk.
const LINES: usize = 64;
/// What is said of chunks that are none.
const BAD: HttpError = HttpError::Malformed("cut in chunks that cannot be read");

/// How the end of a body is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// By its length.
    Length(u64),
    /// It comes in chunks, of which the last one is empty.
    Chunked,
    /// The connection ends with it.
    Close,
}

/// What is left of a body in what is read from its connection.
#[derive(Debug)]
pub struct Frames(Left);

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

impl Frames {
    /// A body of which nothing was read yet.
    #[must_use]
    pub const fn new(framing: Framing) -> Self {
        Self(match framing {
            Framing::Length(length) => Left::Bytes(length),
            Framing::Chunked => Left::Chunks,
            Framing::Close => Left::Unknown,
        })
    }

    /// The number of bytes to come, where it is known.
    #[must_use]
    pub const fn length(&self) -> Option<u64> {
        match self.0 {
            Left::Bytes(left) => Some(left),
            Left::Chunk(_) | Left::Chunks | Left::Unknown => None,
        }
    }

    /// Whether nothing more comes.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        matches!(self.0, Left::Bytes(0))
    }

    /// Reads some of it; nothing is its end.
    ///
    /// # Errors
    /// It breaks off, or its chunks are none.
    pub fn read(&mut self, from: &mut impl Read, into: &mut [u8]) -> io::Result<usize> {
        if into.is_empty() {
            return Ok(0);
        }
        if matches!(self.0, Left::Chunk(0) | Left::Chunks) {
            let size = self.chunk(from)?;
            self.0 = if size == 0 { Left::Bytes(0) } else { Left::Chunk(size) };
        }
        if self.is_over() {
            return Ok(0);
        }
        let most = match self.0 {
            Left::Bytes(left) | Left::Chunk(left) => usize::try_from(left).unwrap_or(usize::MAX),
            Left::Chunks | Left::Unknown => usize::MAX,
        };
        let room = into.len().min(most);
        let size = from.read(&mut into[..room])?;
        match &mut self.0 {
            Left::Unknown if size == 0 => self.0 = Left::Bytes(0),
            Left::Unknown | Left::Chunks => {}
            Left::Bytes(_) | Left::Chunk(_) if size == 0 => {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            Left::Bytes(left) | Left::Chunk(left) => *left -= size as u64,
        }
        Ok(size)
    }

    /// Reads the line before the next chunk; the first one has none before it to end.
    fn chunk(&self, from: &mut impl Read) -> io::Result<u64> {
        if self.0 != Left::Chunks && !line(from)?.is_empty() {
            return Err(BAD.into());
        }
        let line_before = line(from)?;
        let digits = line_before.split(';').next().unwrap_or(&line_before).trim();
        let is_number = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        let size = u64::from_str_radix(digits, 16).ok().filter(|_| is_number).ok_or(BAD)?;
        if size == 0 {
            // Fields may follow, which nobody here asks for.
            let mut lines = 0;
            while !line(from)?.is_empty() {
                lines += 1;
                if lines > LINES {
                    return Err(BAD.into());
                }
            }
        }
        Ok(size)
    }
}

/// Reads a line, without what ends it.
fn line(from: &mut impl Read) -> io::Result<String> {
    let mut line = Vec::new();
    let mut byte = [0; 1];
    loop {
        match from.read(&mut byte)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            _ if byte[0] == b'\n' => break,
            _ if line.len() == LINE => return Err(HttpError::Malformed("a line without an end").into()),
            _ => line.push(byte[0]),
        }
    }
    Ok(String::from_utf8_lossy(&line).trim_end_matches('\r').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All of a body, and what stands behind it.
    fn read(framing: Framing, mut bytes: &[u8]) -> io::Result<(String, usize)> {
        let (mut frames, mut body, mut some) = (Frames::new(framing), Vec::new(), [0; 3]);
        loop {
            match frames.read(&mut bytes, &mut some)? {
                0 => break,
                size => body.extend_from_slice(&some[..size]),
            }
        }
        assert!(frames.is_over());
        Ok((String::from_utf8(body).unwrap(), bytes.len()))
    }

    #[test]
    fn a_body_ends_where_it_says() {
        let of = |framing, bytes: &[u8]| read(framing, bytes).unwrap();
        assert_eq!(of(Framing::Length(5), b"helloworld"), ("hello".to_owned(), 5));
        assert_eq!(of(Framing::Close, b"hello"), ("hello".to_owned(), 0));
        assert_eq!(of(Framing::Chunked, b"5\r\nhello\r\n1;x=y\r\n!\r\n00\r\n\r\nnext").0, "hello!");
        assert_eq!(of(Framing::Chunked, b"5\nhello\n0\nTrailer: z\n\nnext"), ("hello".to_owned(), 4));
    }

    #[test]
    fn what_breaks_off_or_is_no_chunk_is_no_body() {
        assert!(read(Framing::Length(5), b"hell").is_err());
        for bad in [
            "",
            "5\r\nhell",
            "5\r\nhello",
            "5\r\nhello!\r\n0\r\n\r\n",
            "-1\r\n",
            "\r\n",
            "10000000000000000\r\n",
        ] {
            assert!(read(Framing::Chunked, bad.as_bytes()).is_err(), "{bad:?}");
        }
        let long = format!("5;{}\r\nhello\r\n0\r\n\r\n", "x".repeat(LINE));
        assert!(read(Framing::Chunked, long.as_bytes()).is_err());
        let many = format!("0\r\n{}\r\n", "x: y\r\n".repeat(LINES + 1));
        assert!(read(Framing::Chunked, many.as_bytes()).is_err());
    }
}
