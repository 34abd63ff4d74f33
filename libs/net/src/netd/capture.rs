//! The container's frames, as they were, in a file (pcap, with nanoseconds, from the header of Ethernet on).
//!
//! ```text
//! c0 ──▶ a packet socket that takes all ──▶ a thread of its own ──▶ the file that `--network user,pcap=` names
//! ```
//! Data does not pass this process, so it has the kernel show it: the socket is made in the router, where the container is not. What
//! waits to be written waits in that socket, which has its bounds; what it has no room for the kernel counts. Who captures nothing has
//! neither socket nor thread.
//!
//! # Failure
//! A disk that is full ends the capture and nothing else, at its last whole record. What counts of the file is what lies before its
//! offset, which all who have it share: whoever serves next goes on there, and what one that was killed has half written goes.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use ctr_sys::net::datagram::{Arrival, BATCH, receive};
use ctr_sys::net::options;
use ctr_sys::signals::{self, Set};
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::fs::{SeekFrom, ftruncate, seek};
use rustix::io::{Errno, pwrite};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::Signal;

use super::FRAME;
use super::sandbox;
use crate::counters::Captured;

/// How long the last frames are waited for.
const PATIENCE: Duration = Duration::from_millis(500);
/// The longest frame that readers are told to expect, as tcpdump has it.
const LONGEST: u32 = 262_144;
/// How much stands before each frame.
const HEAD: usize = 16;
/// `LINKTYPE_ETHERNET`.
const ETHERNET: u32 = 1;
/// Of a file whose times are in nanoseconds.
const MAGIC: u32 = 0xa1b2_3c4d;

/// A capture, if somebody wants one.
#[derive(Debug, Default)]
pub(super) struct Capture(Option<Running>);

#[derive(Debug)]
struct Running {
    state: Arc<State>,
    /// Nobody writes here: that it is closed is the end.
    goes_on: Option<OwnedFd>,
}

#[derive(Debug, Default)]
struct State {
    frames: AtomicU64,
    missed: AtomicU64,
    /// What ended it before its time, or 0.
    failed: AtomicI32,
    is_over: Mutex<bool>,
    changed: Condvar,
}

impl Capture {
    /// Begins to write the frames that a socket hears to a file.
    ///
    /// # Errors
    /// The file cannot be written to, or there can be no more threads.
    pub(super) fn begin(frames: OwnedFd, file: OwnedFd) -> Result<Self, Errno> {
        let sink = Sink::open(file)?;
        let (ends, goes_on) = pipe_with(PipeFlags::CLOEXEC)?;
        let waits = epoll::create(CreateFlags::CLOEXEC)?;
        for (fd, token) in [(frames.as_fd(), FRAMES), (ends.as_fd(), END)] {
            epoll::add(&waits, fd, EventData::new_u64(token), EventFlags::IN)?;
        }
        let state = Arc::new(State::default());
        let mut writer = Writer {
            frames,
            waits,
            _ends: ends,
            sink,
            records: Vec::with_capacity(BATCH * (FRAME + HEAD)),
            buffer: vec![0; BATCH * FRAME],
            state: Arc::clone(&state),
        };
        let thread = std::thread::Builder::new().name("capture".to_owned()).spawn(move || {
            // A file that may not be longer is full, as a disk is.
            let blocked = signals::block(Set::EMPTY.with(Signal::XFSZ.as_raw()));
            if blocked.is_ok() && sandbox::enter_writer().is_ok() {
                writer.run();
            }
            *writer.state.is_over.lock().unwrap_or_else(PoisonError::into_inner) = true;
            writer.state.changed.notify_all();
        });
        thread.map_err(|_limit| Errno::AGAIN)?;
        Ok(Self(Some(Running { state, goes_on: Some(goes_on) })))
    }

    /// What was captured so far.
    pub(super) fn so_far(&self) -> Option<Captured> {
        let state = &self.0.as_ref()?.state;
        let failed = state.failed.load(Ordering::Relaxed);
        Some(Captured {
            frames: state.frames.load(Ordering::Relaxed),
            missed: state.missed.load(Ordering::Relaxed),
            ended: (failed != 0).then(|| Errno::from_raw_os_error(failed).to_string()),
        })
    }

    /// Waits a moment until all that came is written.
    pub(super) fn end(&mut self) {
        let Some(running) = &mut self.0 else { return };
        if running.goes_on.take().is_some() {
            let is_over = running.state.is_over.lock().unwrap_or_else(PoisonError::into_inner);
            drop(running.state.changed.wait_timeout_while(is_over, PATIENCE, |is_over| !*is_over));
        }
    }
}

/// What is ready.
const FRAMES: u64 = 0;
const END: u64 = 1;

struct Writer {
    frames: OwnedFd,
    waits: OwnedFd,
    _ends: OwnedFd,
    sink: Sink,
    /// As they are written. There is room for all from the start: were memory of a thread's own to shrink, the C library would look at
    /// a file (`overcommit_memory`), which is forbidden here.
    records: Vec<u8>,
    buffer: Vec<u8>,
    state: Arc<State>,
}

impl Writer {
    /// Writes what comes, until the end, or until nothing can be written any more.
    fn run(&mut self) {
        let mut events = Vec::with_capacity(2);
        let mut is_last = false;
        loop {
            if let Err(errno) = self.take_all() {
                self.state.failed.store(errno.raw_os_error(), Ordering::Relaxed);
                return;
            }
            if is_last {
                return;
            }
            match epoll::wait(&self.waits, rustix::buffer::spare_capacity(&mut events), None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(_) => return,
            }
            is_last = events.drain(..).any(|event| {
                let data = event.data;
                data.u64() == END
            });
        }
    }

    /// Writes what there is.
    fn take_all(&mut self) -> Result<(), Errno> {
        loop {
            let mut arrivals = [None; BATCH];
            // That the interface is gone is said once, and then there is nothing more.
            let Ok(count) = receive(self.frames.as_fd(), &mut self.buffer, FRAME, &mut arrivals) else {
                return Ok(());
            };
            self.records.clear();
            for (arrival, room) in arrivals.iter().flatten().zip(self.buffer.chunks_exact(FRAME)) {
                let frame = room.get(..arrival.length).unwrap_or(room);
                self.records.extend_from_slice(head(arrival, frame.len()).as_flattened());
                self.records.extend_from_slice(frame);
            }
            self.sink.write(&self.records)?;
            self.state.frames.fetch_add(count as u64, Ordering::Relaxed);
            let missed = options::missed_frames(self.frames.as_fd()).unwrap_or_default();
            self.state.missed.fetch_add(missed.into(), Ordering::Relaxed);
        }
    }
}

/// What stands before a frame.
fn head(arrival: &Arrival, length: usize) -> [[u8; 4]; 4] {
    let (seconds, nanoseconds) = arrival.at.unwrap_or_default();
    let length = u32::try_from(length).unwrap_or(u32::MAX);
    [seconds, nanoseconds, length, length].map(u32::to_ne_bytes)
}

/// What stands at the beginning of the file.
fn header() -> Vec<u8> {
    let version = [2_u16, 4].map(u16::to_ne_bytes);
    let rest = [0, 0, LONGEST, ETHERNET].map(u32::to_ne_bytes);
    [&MAGIC.to_ne_bytes()[..], version.as_flattened(), rest.as_flattened()].concat()
}

/// A file of whole records.
#[derive(Debug)]
struct Sink {
    file: OwnedFd,
    length: u64,
}

impl Sink {
    /// Goes on behind the last whole record.
    fn open(file: OwnedFd) -> Result<Self, Errno> {
        let length = seek(&file, SeekFrom::Current(0))?;
        ftruncate(&file, length)?;
        let mut sink = Self { file, length };
        if length == 0 {
            sink.write(&header())?;
        }
        Ok(sink)
    }

    /// All of it or none.
    fn write(&mut self, bytes: &[u8]) -> Result<(), Errno> {
        let written = self.try_write(bytes);
        match written {
            Ok(()) => {
                self.length += bytes.len() as u64;
                seek(&self.file, SeekFrom::Start(self.length)).map(drop)
            }
            Err(errno) => {
                // What cannot be taken away stays behind the last whole record.
                ftruncate(&self.file, self.length).ok();
                Err(errno)
            }
        }
    }

    fn try_write(&self, mut bytes: &[u8]) -> Result<(), Errno> {
        let mut at = self.length;
        while !bytes.is_empty() {
            match pwrite(&self.file, bytes, at) {
                Ok(count) => {
                    at += count as u64;
                    bytes = bytes.get(count..).unwrap_or_default();
                }
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use rustix::io::pread;

    use super::*;

    fn content(file: &OwnedFd) -> Vec<u8> {
        let mut bytes = vec![0; 4096];
        let length = pread(file, &mut bytes[..], 0).unwrap();
        bytes.truncate(length);
        bytes
    }

    #[test]
    fn who_comes_next_goes_on_behind_the_last_whole_record() {
        let file: OwnedFd = tempfile::tempfile().unwrap().into();
        let mut first = Sink::open(file.try_clone().unwrap()).unwrap();
        first.write(b"one").unwrap();
        // It was killed in the middle of the next.
        pwrite(&file, b"tw", first.length).unwrap();
        let mut next = Sink::open(file.try_clone().unwrap()).unwrap();
        next.write(b"three").unwrap();
        assert_eq!(content(&file), [&header()[..], b"onethree"].concat());
        assert_eq!(header().len(), 24);
    }

    #[test]
    fn a_record_has_its_time_and_its_length_twice() {
        let arrival = Arrival { length: 3, at: Some((7, 9)), ..Arrival::default() };
        let words: Vec<u8> = [7_u32, 9, 3, 3].into_iter().flat_map(u32::to_ne_bytes).collect();
        assert_eq!(head(&arrival, arrival.length).as_flattened(), words);
    }
}
