//! How a stream is packed, told by its first bytes, and the stream without the packing; [`pack`] packs one.
//!
//! What a media type or a file name says is a hint for others; the bytes have the last word. xz is read with
//! `lzma-rust2` (pure Rust, Apache-2.0), since the C library would be the only one that is not vendored.

use std::io::{self, Read};

use ctr_core::oci::media::Compression;

pub mod pack;

/// Memory that an xz stream may ask for: `xz -9` asks for 65 MB.
const XZ_MEMORY_KIB: u32 = 96 << 10;
/// The largest window of a zstd stream, as a power of two: the tool's own default limit.
const ZSTD_WINDOW_LOG: u32 = 27;
/// How many bytes tell.
const MAGIC: usize = 6;

/// Tells how a stream that begins so is packed.
#[must_use]
pub fn detect(start: &[u8]) -> Compression {
    match start {
        [0x1f, 0x8b, ..] => Compression::Gzip,
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Compression::Zstd,
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Compression::Xz,
        _ => Compression::None,
    }
}

/// Reads until the buffer is full or the stream ends; returns how much there was.
pub(crate) fn fill(stream: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let (filled, end) = fill_as_far_as_it_goes(stream, buffer);
    end.map(|()| filled)
}

/// The same, where what came before the stream broke counts too.
pub(crate) fn fill_as_far_as_it_goes(stream: &mut impl Read, buffer: &mut [u8]) -> (usize, io::Result<()>) {
    let mut filled = 0;
    while filled < buffer.len() {
        match stream.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(size) => filled += size,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (filled, Err(error)),
        }
    }
    (filled, Ok(()))
}

/// A stream whose first bytes were read to look at and are given out again.
#[derive(Debug)]
pub struct Peeked<R> {
    start: Vec<u8>,
    given: usize,
    inner: R,
}

impl<R: Read> Peeked<R> {
    /// Reads up to `size` bytes ahead.
    pub fn new(mut inner: R, size: usize) -> io::Result<Self> {
        let mut start = Vec::with_capacity(size);
        inner.by_ref().take(size as u64).read_to_end(&mut start)?;
        Ok(Self { start, given: 0, inner })
    }

    /// Returns the stream behind.
    pub fn into_inner(self) -> R {
        self.inner
    }

    /// Returns what was read ahead.
    #[must_use]
    pub fn start(&self) -> &[u8] {
        &self.start
    }
}

impl<R: Read> Read for Peeked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let rest = &self.start[self.given..];
        if rest.is_empty() {
            return self.inner.read(buffer);
        }
        let size = rest.len().min(buffer.len());
        buffer[..size].copy_from_slice(&rest[..size]);
        self.given += size;
        Ok(size)
    }
}

/// A stream without its packing.
pub enum Unpacked<R: Read> {
    /// It had none.
    Plain(Peeked<R>),
    /// It was gzip, of one member or several.
    Gzip(Box<flate2::bufread::MultiGzDecoder<io::BufReader<Peeked<R>>>>),
    /// It was zstd, of one frame or several.
    Zstd(Box<zstd::stream::read::Decoder<'static, io::BufReader<Peeked<R>>>>),
    /// It was xz.
    Xz(Box<lzma_rust2::XzReader<io::BufReader<Peeked<R>>>>),
}

impl<R: Read> std::fmt::Debug for Unpacked<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Unpacked({:?})", self.compression())
    }
}

impl<R: Read> Unpacked<R> {
    /// Looks at the first bytes and unpacks accordingly.
    pub fn new(inner: R) -> io::Result<Self> {
        let peeked = Peeked::new(inner, MAGIC)?;
        let compression = detect(peeked.start());
        // One large buffer: the digest of the packed bytes is taken below it, in pieces of this size.
        let buffered = |peeked| io::BufReader::with_capacity(256 << 10, peeked);
        Ok(match compression {
            Compression::None => Self::Plain(peeked),
            Compression::Gzip => Self::Gzip(Box::new(flate2::bufread::MultiGzDecoder::new(buffered(peeked)))),
            Compression::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(buffered(peeked))?;
                decoder.window_log_max(ZSTD_WINDOW_LOG)?;
                Self::Zstd(Box::new(decoder))
            }
            Compression::Xz => {
                Self::Xz(Box::new(lzma_rust2::XzReader::new_mem_limit(buffered(peeked), true, XZ_MEMORY_KIB)))
            }
        })
    }

    /// Says how the stream was packed.
    #[must_use]
    pub const fn compression(&self) -> Compression {
        match self {
            Self::Plain(_) => Compression::None,
            Self::Gzip(_) => Compression::Gzip,
            Self::Zstd(_) => Compression::Zstd,
            Self::Xz(_) => Compression::Xz,
        }
    }

    /// Returns the packed stream, to look at.
    pub fn source(&self) -> &R {
        let peeked = match self {
            Self::Plain(inner) => inner,
            Self::Gzip(decoder) => decoder.get_ref().get_ref(),
            Self::Zstd(decoder) => decoder.get_ref().get_ref(),
            Self::Xz(decoder) => decoder.inner().get_ref(),
        };
        &peeked.inner
    }

    /// Returns the packed stream, to read what may follow the packing: a digest covers that too.
    pub fn into_inner(self) -> Peeked<R> {
        match self {
            Self::Plain(inner) => inner,
            Self::Gzip(decoder) => rest(decoder.into_inner()),
            Self::Zstd(decoder) => rest(decoder.finish()),
            Self::Xz(decoder) => rest(decoder.into_inner()),
        }
    }
}

/// What a decoder left in its buffer counts as given out: nobody wants it.
fn rest<R: Read>(buffered: io::BufReader<Peeked<R>>) -> Peeked<R> {
    buffered.into_inner()
}

impl<R: Read> Read for Unpacked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(inner) => inner.read(buffer),
            Self::Gzip(decoder) => decoder.read(buffer),
            Self::Zstd(decoder) => decoder.read(buffer),
            Self::Xz(decoder) => decoder.read(buffer),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn read_all(bytes: &[u8]) -> io::Result<(Compression, Vec<u8>)> {
        let mut unpacked = Unpacked::new(bytes)?;
        let mut text = Vec::new();
        unpacked.read_to_end(&mut text)?;
        Ok((unpacked.compression(), text))
    }

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn every_packing_is_told_by_its_bytes() {
        let text = b"some text, some text, some text".repeat(100);
        let members = [gzip(&text[..100]), gzip(&text[100..])].concat();
        let zstd = zstd::encode_all(&text[..], 3).unwrap();
        // `printf 'hello\n' | xz --check=crc64`
        let xz = [
            0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00, 0x00, 0x04, 0xe6, 0xd6, 0xb4, 0x46, 0x02, 0x00, 0x21, 0x01,
            0x16, 0x00, 0x00, 0x00, 0x74, 0x2f, 0xe5, 0xa3, 0x01, 0x00, 0x05, 0x68, 0x65, 0x6c, 0x6c, 0x6f,
            0x0a, 0x00, 0x00, 0x00, 0xa5, 0x60, 0x97, 0xf1, 0x94, 0xf6, 0xfd, 0xe0, 0x00, 0x01, 0x1e, 0x06,
            0xc1, 0x2f, 0xa4, 0x1d, 0x1f, 0xb6, 0xf3, 0x7d, 0x01, 0x00, 0x00, 0x00, 0x00, 0x04, 0x59, 0x5a,
        ];
        assert_eq!(read_all(&text).unwrap(), (Compression::None, text.clone()));
        assert_eq!(read_all(&members).unwrap(), (Compression::Gzip, text.clone()));
        assert_eq!(read_all(&zstd).unwrap(), (Compression::Zstd, text));
        assert_eq!(read_all(&xz).unwrap(), (Compression::Xz, b"hello\n".to_vec()));
        assert_eq!(read_all(b"").unwrap(), (Compression::None, Vec::new()));
        assert_eq!(read_all(b"\x1f").unwrap(), (Compression::None, b"\x1f".to_vec()));
    }

    #[test]
    fn a_stream_that_ends_too_early_is_an_error() {
        let whole = gzip(&b"some text".repeat(100));
        assert!(read_all(&whole[..whole.len() - 5]).is_err());
        let whole = zstd::encode_all(&b"some text".repeat(100)[..], 3).unwrap();
        assert!(read_all(&whole[..whole.len() - 5]).is_err());
    }
}
