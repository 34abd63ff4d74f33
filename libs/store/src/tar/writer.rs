//! The writer: PAX archives whose bytes depend on nothing but the entries.

use std::io::{Read, Write};

use super::header::{Header, Time};
use super::{BLOCK, BLOCK_BYTES};

/// An archive cannot be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The stream under it failed.
    #[error("cannot write the archive")]
    Write(#[source] std::io::Error),
    /// The contents of an entry could not be read.
    #[error("cannot read the contents of {path:?}")]
    Contents {
        /// The entry.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The contents are shorter than the header said: the file was changed meanwhile.
    #[error("{path:?} became shorter while it was read")]
    Shrunk {
        /// The entry.
        path: String,
    },
}

/// Writes an archive to a stream.
#[derive(Debug)]
pub struct Writer<W> {
    out: W,
}

impl<W: Write> Writer<W> {
    /// Writes to `out`.
    pub fn new(out: W) -> Self {
        Self { out }
    }

    /// Writes one entry; of a file, `contents` must give at least the header's size, and no more is taken.
    pub fn append(&mut self, header: &Header, contents: &mut dyn Read) -> Result<(), WriteError> {
        let records = records(header);
        if !records.is_empty() {
            let size = u64::try_from(records.len()).unwrap_or(u64::MAX);
            let block = block(&Fields { path: &pax_name(&header.path), size, ..Fields::extension() });
            self.put(&block)?;
            self.put(&records)?;
            self.pad(size)?;
        }
        self.put(&block(&Fields::of(header)))?;
        if header.kind.has_contents() {
            self.copy(header, contents)?;
            self.pad(header.size)?;
        }
        Ok(())
    }

    /// Writes the end mark and returns the stream.
    pub fn finish(mut self) -> Result<W, WriteError> {
        self.put(&[0; 2 * BLOCK])?;
        self.out.flush().map_err(WriteError::Write)?;
        Ok(self.out)
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), WriteError> {
        self.out.write_all(bytes).map_err(WriteError::Write)
    }

    fn pad(&mut self, size: u64) -> Result<(), WriteError> {
        let count = usize::try_from((BLOCK_BYTES - size % BLOCK_BYTES) % BLOCK_BYTES).unwrap_or(0);
        self.put([0; BLOCK].get(..count).unwrap_or_default())
    }

    fn copy(&mut self, header: &Header, contents: &mut dyn Read) -> Result<(), WriteError> {
        let path = || String::from_utf8_lossy(&header.path).into_owned();
        let mut left = header.size;
        let mut buffer = vec![0; usize::try_from(left.clamp(1, 128 * 1024)).unwrap_or(1)];
        while left > 0 {
            let want = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
            let piece = buffer.get_mut(..want).unwrap_or_default();
            let count = match contents.read(piece) {
                Ok(0) => return Err(WriteError::Shrunk { path: path() }),
                Ok(count) => count,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(source) => return Err(WriteError::Contents { path: path(), source }),
            };
            self.put(buffer.get(..count).unwrap_or_default())?;
            left -= u64::try_from(count).unwrap_or(u64::MAX);
        }
        Ok(())
    }
}

/// The fields of a header that can be given in one.
struct Fields<'a> {
    path: &'a [u8],
    mode: u32,
    uid: u64,
    gid: u64,
    size: u64,
    seconds: i64,
    flag: u8,
    link: &'a [u8],
    device: (u32, u32),
}

impl<'a> Fields<'a> {
    fn extension() -> Self {
        let (uid, gid, seconds, device) = (0, 0, 0, (0, 0));
        Self { path: b"", mode: 0o644, uid, gid, size: 0, seconds, flag: b'x', link: b"", device }
    }

    fn of(header: &'a Header) -> Self {
        Self {
            path: &header.path,
            mode: header.mode,
            uid: header.uid,
            gid: header.gid,
            size: if header.kind.has_contents() { header.size } else { 0 },
            seconds: header.modified.seconds,
            flag: header.kind.flag(),
            link: &header.link,
            device: header.device,
        }
    }
}

const MAX_ID: u64 = 0o7_777_777;
const MAX_SIZE: u64 = 0o77_777_777_777;

/// Builds a header block; what does not fit in a field is given by a record before it, and here cut short.
fn block(fields: &Fields<'_>) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    let mut put = |start: usize, bytes: &[u8]| {
        if let Some(place) = block.get_mut(start..start + bytes.len()) {
            place.copy_from_slice(bytes);
        }
    };
    let cut = |bytes: &'_ [u8]| bytes.get(..bytes.len().min(100)).unwrap_or_default().to_vec();
    let seconds = u64::try_from(fields.seconds).unwrap_or(0).min(MAX_SIZE);
    put(0, &cut(fields.path));
    put(100, &octal(fields.mode.into(), 7));
    put(108, &octal(fields.uid.min(MAX_ID), 7));
    put(116, &octal(fields.gid.min(MAX_ID), 7));
    put(124, &octal(fields.size.min(MAX_SIZE), 11));
    put(136, &octal(seconds, 11));
    put(148, b"        ");
    put(156, &[fields.flag]);
    put(157, &cut(fields.link));
    put(257, b"ustar\x0000");
    put(329, &octal(fields.device.0.into(), 7));
    put(337, &octal(fields.device.1.into(), 7));
    let sum = block.iter().map(|byte| u64::from(*byte)).sum::<u64>();
    let mut sum = octal(sum, 6);
    sum.extend_from_slice(b"\0 ");
    if let Some(place) = block.get_mut(148..156) {
        place.copy_from_slice(&sum);
    }
    block
}

fn octal(value: u64, digits: usize) -> Vec<u8> {
    format!("{value:0digits$o}").into_bytes()
}

/// The name of an extended header, for readers that take it for a file: like the entry's, in a folder.
fn pax_name(path: &[u8]) -> Vec<u8> {
    let trimmed = path.strip_suffix(b"/").unwrap_or(path);
    let base = trimmed.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    let ascii = base.iter().map(|byte| if byte.is_ascii_graphic() { *byte } else { b'_' });
    b"PaxHeaders.0/".iter().copied().chain(ascii.take(80)).collect()
}

/// Returns what the header block cannot say.
fn records(header: &Header) -> Vec<u8> {
    let mut out = Vec::new();
    let needs = |bytes: &[u8]| bytes.len() > 100 || !bytes.is_ascii();
    let mut xattrs: Vec<_> = header.xattrs.iter().collect();
    xattrs.sort();
    for (name, value) in xattrs {
        record(&mut out, &[b"SCHILY.xattr.", name.as_slice()].concat(), value);
    }
    if let Some(time) = header.accessed {
        record(&mut out, b"atime", seconds(time).as_bytes());
    }
    for (key, id) in [(b"gid", header.gid), (b"uid", header.uid)] {
        if id > MAX_ID {
            record(&mut out, key, id.to_string().as_bytes());
        }
    }
    if needs(&header.link) {
        record(&mut out, b"linkpath", &header.link);
    }
    let Time { seconds: whole, nanos } = header.modified;
    if nanos != 0 || u64::try_from(whole).is_ok_and(|whole| whole > MAX_SIZE) || whole < 0 {
        record(&mut out, b"mtime", seconds(header.modified).as_bytes());
    }
    if needs(&header.path) {
        record(&mut out, b"path", &header.path);
    }
    if header.kind.has_contents() && header.size > MAX_SIZE {
        record(&mut out, b"size", header.size.to_string().as_bytes());
    }
    out
}

/// Writes a time as a decimal number without zeros at its end.
fn seconds(time: Time) -> String {
    let (sign, whole, nanos) = match (time.seconds < 0, time.nanos) {
        (false, nanos) => ("", time.seconds.unsigned_abs(), nanos),
        (true, 0) => ("-", time.seconds.unsigned_abs(), 0),
        (true, nanos) => ("-", (time.seconds + 1).unsigned_abs(), 1_000_000_000 - nanos),
    };
    let text = format!("{sign}{whole}.{nanos:09}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Adds one record; its length counts the digits of the length too.
fn record(out: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut total = rest + 1;
    while total != rest + total.to_string().len() {
        total = rest + total.to_string().len();
    }
    out.extend_from_slice(total.to_string().as_bytes());
    out.push(b' ');
    out.extend_from_slice(key);
    out.push(b'=');
    out.extend_from_slice(value);
    out.push(b'\n');
}
