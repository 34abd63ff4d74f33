//! A stream packed with gzip or zstd by several threads, into bytes that do not depend on how many there are.
//!
//! # Theory of operation
//! ```text
//! plain ─▶ feeder ─▶ blocks ─▶ threads that deflate ─▶ in their order ─▶ who reads      gzip
//!                └─▶ pieces ─▶ libzstd and its threads ─▶ who reads                      zstd
//! ```
//! gzip is one member, since readers in the wild stop after the first. Each block of 1 MiB is deflated by itself, with the 32 KiB
//! before it as its dictionary, up to a byte's border, so that blocks can be put one after another; their sums are
//! combined. zstd is one frame: libzstd cuts its work into jobs of a size that we say, whatever number of threads it has.
//!
//! # Invariants
//! What comes out depends on what went in and on the level. What is in memory depends on neither: each thread has a few
//! MiB.
//!
//! # Failure
//! An error of the plain stream is the reader's, after what came before it. Who stops reading stops all of it.

use std::io::{self, BufRead, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};

use ctr_core::oci::media::Compression;
use flate2::{Compress, Crc, FlushCompress};
use zstd::zstd_safe::CParameter;

use super::fill;

/// What one thread deflates at a time.
const BLOCK: usize = 1 << 20;
/// How far back deflate may point.
const WINDOW: usize = 32 << 10;
/// More threads would only wait for the one that reads, and take memory.
const MOST_DEFLATE: usize = 8;
/// A thread of zstd's takes some 8 MiB.
const MOST_ZSTD: usize = 2;
/// What zstd is fed with at a time.
const PIECE: usize = 256 << 10;
/// How many pieces wait for it.
const PIECES: usize = 4;

/// What a gzip member begins with: deflate, no name, no time, no flags, of no particular system.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
/// A last block with nothing in it.
const LAST: [u8; 2] = [0x03, 0x00];

/// How to pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packing {
    format: Format,
    level: u8,
}

/// What layers are packed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// gzip, one member.
    Gzip,
    /// Zstandard, one frame.
    Zstd,
}

/// A level that a format does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{} has no level {level}: there are 1 to {}", .format.name(), .format.highest())]
pub struct LevelError {
    format: Format,
    level: i64,
}

impl Format {
    /// What it is called.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }

    /// As media types tell it.
    #[must_use]
    pub const fn compression(self) -> Compression {
        match self {
            Self::Gzip => Compression::Gzip,
            Self::Zstd => Compression::Zstd,
        }
    }

    const fn highest(self) -> u8 {
        match self {
            Self::Gzip => 9,
            Self::Zstd => 22,
        }
    }

    /// What gets layers to no more than the size that the peers get them to.
    const fn usual(self) -> u8 {
        match self {
            Self::Gzip => 4,
            Self::Zstd => USUAL_ZSTD,
        }
    }
}

const USUAL_ZSTD: u8 = 3;

impl Packing {
    /// A format with its usual level.
    #[must_use]
    pub const fn usual(format: Format) -> Self {
        Self { format, level: format.usual() }
    }

    /// A format with a level.
    ///
    /// # Errors
    /// The format has no such level.
    pub fn new(format: Format, level: i64) -> Result<Self, LevelError> {
        let within = |level: &u8| (1..=format.highest()).contains(level);
        let found = u8::try_from(level).ok().filter(within);
        found.map(|level| Self { format, level }).ok_or(LevelError { format, level })
    }

    /// Returns the format.
    #[must_use]
    pub const fn format(self) -> Format {
        self.format
    }

    /// Packs all of a stream, with a thread for each processor, and hands `take` what comes out.
    pub fn read<T>(self, plain: impl Read + Send, take: impl FnOnce(&mut dyn Read) -> T) -> T {
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        self.read_by(threads, plain, take)
    }

    /// The same with a number of threads.
    fn read_by<T>(self, threads: usize, plain: impl Read + Send, take: impl FnOnce(&mut dyn Read) -> T) -> T {
        match self.format {
            Format::Gzip => gzip(plain, self.level, threads.clamp(1, MOST_DEFLATE), take),
            Format::Zstd => zstd(plain, self.level, threads.clamp(1, MOST_ZSTD), take),
        }
    }
}

/// Hands on what is read, in pieces, until the stream ends or nobody takes them.
fn feed(mut plain: impl Read, piece: usize, mut take: impl FnMut(io::Result<Vec<u8>>) -> bool) {
    loop {
        let mut bytes = vec![0; piece];
        let read = fill(&mut plain, &mut bytes).map(|size| {
            bytes.truncate(size);
            bytes
        });
        let is_last = read.as_ref().map_or(true, |bytes| bytes.len() < piece);
        if read.as_ref().is_ok_and(Vec::is_empty) || !take(read) || is_last {
            return;
        }
    }
}

/// A block on its way to whoever deflates it.
struct Job {
    dictionary: Vec<u8>,
    plain: Vec<u8>,
    done: SyncSender<io::Result<Block>>,
}

/// A block that was deflated.
struct Block {
    packed: Vec<u8>,
    crc: Crc,
    length: usize,
}

fn gzip<T>(plain: impl Read + Send, level: u8, threads: usize, take: impl FnOnce(&mut dyn Read) -> T) -> T {
    let (give, jobs) = sync_channel(threads);
    let (promise, promised) = sync_channel(threads);
    let jobs = Mutex::new(jobs);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| deflate_each(&jobs, level));
        }
        scope.spawn(move || give_out(plain, &give, &promise));
        let mut member = Member { promised, ready: HEADER.to_vec(), given: 0, sum: Some((Crc::new(), 0)) };
        let taken = take(&mut member);
        // Whoever still has something for it meets a closed end.
        drop(member);
        taken
    })
}

/// Cuts the stream into jobs; what each will become is promised in their order.
fn give_out(
    plain: impl Read,
    give: &SyncSender<Job>,
    promise: &SyncSender<io::Result<Receiver<io::Result<Block>>>>,
) {
    let mut dictionary = Vec::new();
    feed(plain, BLOCK, |plain| {
        let plain = match plain {
            Ok(plain) => plain,
            Err(error) => return promise.send(Err(error)).is_ok(),
        };
        let next = plain[plain.len().saturating_sub(WINDOW)..].to_vec();
        let (done, block) = sync_channel(1);
        let job = Job { dictionary: std::mem::replace(&mut dictionary, next), plain, done };
        promise.send(Ok(block)).is_ok() && give.send(job).is_ok()
    });
}

/// Deflates blocks as long as there are any.
fn deflate_each(jobs: &Mutex<Receiver<Job>>, level: u8) {
    loop {
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Job { dictionary, plain, done }) = job else { return };
        // Whoever stopped reading wants none of it.
        drop(done.send(deflated(level, &dictionary, &plain)));
    }
}

fn deflated(level: u8, dictionary: &[u8], plain: &[u8]) -> io::Result<Block> {
    // One that was used and reset makes other bytes of the same block than a new one does, now and then.
    let mut deflate = Compress::new(flate2::Compression::new(level.into()), false);
    if !dictionary.is_empty() {
        deflate.set_dictionary(dictionary)?;
    }
    let mut packed = Vec::with_capacity(plain.len() / 2);
    loop {
        let taken = usize::try_from(deflate.total_in()).unwrap_or(usize::MAX);
        packed.reserve(WINDOW);
        deflate.compress_vec(&plain[taken..], &mut packed, FlushCompress::Sync)?;
        // Where room is left, nothing waits inside.
        if deflate.total_in() == plain.len() as u64 && packed.len() < packed.capacity() {
            break;
        }
    }
    let mut crc = Crc::new();
    crc.update(plain);
    Ok(Block { packed, crc, length: plain.len() })
}

/// A gzip member, block by block.
struct Member {
    promised: Receiver<io::Result<Receiver<io::Result<Block>>>>,
    ready: Vec<u8>,
    given: usize,
    /// The sum and length of what was packed, until they were written.
    sum: Option<(Crc, u64)>,
}

impl Member {
    /// What comes next; nothing at the end.
    fn next(&mut self) -> io::Result<Vec<u8>> {
        let Ok(promised) = self.promised.recv() else { return Ok(self.end()) };
        let block = promised?.recv().map_err(|_closed| io::Error::other("nobody deflates any more"))??;
        if let Some((crc, length)) = &mut self.sum {
            crc.combine(&block.crc);
            *length += block.length as u64;
        }
        Ok(block.packed)
    }

    fn end(&mut self) -> Vec<u8> {
        let Some((crc, length)) = self.sum.take() else { return Vec::new() };
        let [a, b, c, d, ..] = length.to_le_bytes();
        [&LAST[..], &crc.sum().to_le_bytes(), &[a, b, c, d]].concat()
    }
}

impl Read for Member {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.given == self.ready.len() {
            self.ready = self.next()?;
            self.given = 0;
        }
        let size = into.len().min(self.ready.len() - self.given);
        into[..size].copy_from_slice(&self.ready[self.given..self.given + size]);
        self.given += size;
        Ok(size)
    }
}

fn zstd<T>(plain: impl Read + Send, level: u8, threads: usize, take: impl FnOnce(&mut dyn Read) -> T) -> T {
    let (give, pieces) = sync_channel(PIECES);
    std::thread::scope(|scope| {
        scope.spawn(move || feed(plain, PIECE, |piece| give.send(piece).is_ok()));
        match frame(Pieces { pieces, piece: Vec::new(), taken: 0 }, level, threads) {
            Ok(mut frame) => take(&mut frame),
            Err(error) => take(&mut Failed(Some(error))),
        }
    })
}

/// Jobs of 4 MiB: the tail of the one before is the window of the next, of which the usual level looks at 1 MiB. Measured with a root of
/// Debian's of 534 MB: 173.8 MB, where libzstd's own choice makes 179.0 and skopeo 174.2.
fn frame(
    pieces: Pieces,
    level: u8,
    threads: usize,
) -> io::Result<zstd::stream::read::Encoder<'static, Pieces>> {
    let mut frame = zstd::stream::read::Encoder::with_buffer(pieces, level.into())?;
    frame.include_checksum(true)?;
    frame.multithread(u32::try_from(threads).unwrap_or(1))?;
    frame.set_parameter(CParameter::JobSize(4 << 20))?;
    if level <= USUAL_ZSTD {
        frame.set_parameter(CParameter::WindowLog(22))?;
        frame.set_parameter(CParameter::OverlapSizeLog(7))?;
    }
    Ok(frame)
}

/// A stream that could not begin.
struct Failed(Option<io::Error>);

impl Read for Failed {
    fn read(&mut self, _into: &mut [u8]) -> io::Result<usize> {
        Err(self.0.take().unwrap_or_else(|| io::ErrorKind::BrokenPipe.into()))
    }
}

/// What the feeder read.
struct Pieces {
    pieces: Receiver<io::Result<Vec<u8>>>,
    piece: Vec<u8>,
    taken: usize,
}

impl BufRead for Pieces {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.taken == self.piece.len() {
            self.piece = self.pieces.recv().unwrap_or_else(|_end| Ok(Vec::new()))?;
            self.taken = 0;
        }
        Ok(&self.piece[self.taken..])
    }

    fn consume(&mut self, size: usize) {
        self.taken += size;
    }
}

impl Read for Pieces {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let mut ready = self.fill_buf()?;
        let size = ready.read(into)?;
        self.consume(size);
        Ok(size)
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;
    use crate::compression::Unpacked;

    const FORMATS: [Format; 2] = [Format::Gzip, Format::Zstd];

    /// Text that packs to about a third, and bytes that do not pack at all.
    fn plain(size: usize) -> Vec<u8> {
        let mut state = 1_u32;
        let mut random = move || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state >> 16
        };
        let mut bytes = Vec::with_capacity(size + 64);
        while bytes.len() < size {
            if bytes.len() % (3 << 20) < (2 << 20) {
                bytes.extend_from_slice(format!("line {} of a file\n", random()).as_bytes());
            } else {
                bytes.extend_from_slice(&random().to_le_bytes()[..2]);
            }
        }
        bytes.truncate(size);
        bytes
    }

    fn packed(packing: Packing, threads: usize, plain: &[u8]) -> Vec<u8> {
        packing.read_by(threads, plain, |stream| {
            let mut packed = Vec::new();
            stream.read_to_end(&mut packed).unwrap();
            packed
        })
    }

    #[test]
    fn what_comes_out_does_not_depend_on_the_number_of_threads() {
        for size in [0, 1, WINDOW, BLOCK, BLOCK + 1, (5 << 20) + 5] {
            let plain = plain(size);
            for packing in FORMATS.map(Packing::usual) {
                let one = packed(packing, 1, &plain);
                for threads in [2, 8] {
                    assert!(one == packed(packing, threads, &plain), "{packing:?}: {size} by {threads}");
                }
                let mut unpacked = Vec::new();
                let mut stream = Unpacked::new(&one[..]).unwrap();
                stream.read_to_end(&mut unpacked).unwrap();
                assert_eq!(stream.compression(), packing.format.compression());
                assert!(unpacked == plain, "{packing:?}: {size}");
            }
        }
    }

    #[test]
    fn every_level_packs() {
        let plain = plain(200 << 10);
        for format in FORMATS {
            for level in [1, i64::from(format.highest())] {
                let packed = packed(Packing::new(format, level).unwrap(), 2, &plain);
                let mut unpacked = Vec::new();
                Unpacked::new(&packed[..]).unwrap().read_to_end(&mut unpacked).unwrap();
                assert!(unpacked == plain, "{format:?} {level}");
            }
            for level in [-1, 0, 23, 260] {
                assert!(Packing::new(format, level).is_err(), "{format:?} {level}");
            }
        }
        let said = Packing::new(Format::Gzip, 10).unwrap_err().to_string();
        assert_eq!(said, "gzip has no level 10: there are 1 to 9");
    }

    #[test]
    fn gzip_is_one_member_that_others_read() {
        let plain = plain(3 * BLOCK + 100);
        let member = packed(Packing::usual(Format::Gzip), 2, &plain);
        assert_eq!(member[..10], HEADER);
        // Reads one member and no more.
        let mut decoder = flate2::bufread::GzDecoder::new(&member[..]);
        let mut unpacked = Vec::new();
        decoder.read_to_end(&mut unpacked).unwrap();
        assert!(unpacked == plain && decoder.into_inner().is_empty());
    }

    #[test]
    fn the_tools_of_others_find_nothing_wrong() {
        let plain = plain(BLOCK + 3);
        for (format, tool) in FORMATS.into_iter().zip(["gzip", "zstd"]) {
            let home = tempfile::tempdir().unwrap();
            let file = home.path().join("packed");
            std::fs::write(&file, packed(Packing::usual(format), 2, &plain)).unwrap();
            let input = std::fs::File::open(&file).unwrap();
            let checked = Command::new(tool).arg("-t").stdin(input).stdout(Stdio::null()).output();
            match checked {
                Err(error) if error.kind() == io::ErrorKind::NotFound => println!("skipped: no {tool}"),
                checked => {
                    let output = checked.unwrap();
                    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
                }
            }
        }
    }

    struct Breaks(usize);

    impl Read for Breaks {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            if self.0 == 0 {
                return Err(io::Error::other("broken"));
            }
            let size = into.len().min(self.0);
            into[..size].fill(7);
            self.0 -= size;
            Ok(size)
        }
    }

    #[test]
    fn an_error_of_the_plain_stream_is_the_readers() {
        for packing in FORMATS.map(Packing::usual) {
            for size in [0, BLOCK, 3 * BLOCK + 1] {
                let error = packing
                    .read_by(2, Breaks(size), |stream| io::copy(stream, &mut io::sink()))
                    .expect_err("it breaks");
                assert_eq!(error.to_string(), "broken", "{packing:?}");
            }
        }
    }

    #[test]
    fn who_stops_reading_stops_all_of_it() {
        for packing in FORMATS.map(Packing::usual) {
            let endless = io::repeat(9);
            packing.read_by(2, endless, |stream| {
                let mut some = [0; 10];
                stream.read_exact(&mut some).unwrap();
            });
        }
    }
}
