//! What becomes of each flow, in words, for a user who wants to know.
//!
//! ```text
//! flows ── a line ──▶ a queue that has an end ──▶ a thread of its own ──▶ standard error, or a file that is kept short
//! ```
//! Whoever reads may be slow, a disk may be full: the thread that meets packets waits for neither. A line for which there is no room is
//! dropped, and how many were is said once there is room again. Where nobody wants to know there is no thread, and no line is made.
//!
//! What is written to was opened by the supervisor ([`crate::looking`]). Names that the container asked for are its own words, and
//! escaped; all else in a line is ours.

use std::collections::VecDeque;
use std::fmt;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use ctr_core::foreign::for_terminal;
use ctr_core::limits;
use ctr_core::time::Timestamp;
use ctr_sys::signals::{self, Set};
use rustix::fs::{fstat, ftruncate};
use rustix::io::{Errno, pread, pwrite, write};
use rustix::process::Signal;

use super::sandbox;
use super::tcp::Pair;
use crate::dns::message::Message;
use crate::looking::{self, Form};
use crate::policy::Protocol;

/// How many bytes wait to be written: far below what would have the C library give memory of a thread's own back, and look at a file
/// for that, which is forbidden here.
const ROOM: usize = 64 << 10;
/// How long the last of them are waited for.
const PATIENCE: Duration = Duration::from_millis(500);
/// What a pipe takes whole or not at all (`PIPE_BUF`).
const AT_ONCE: usize = 4096;
/// How much of a file is moved at a time.
const PIECE: usize = 32 << 10;

/// Where lines go, if anywhere.
#[derive(Debug, Default)]
pub(super) struct Trace(Option<(Form, Arc<Queue>)>);

#[derive(Debug, Default)]
struct Queue {
    lines: Mutex<Lines>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Lines {
    waiting: VecDeque<String>,
    bytes: usize,
    /// How many were dropped since that was said.
    dropped: u64,
    /// Some are being written.
    is_busy: bool,
    /// There will be no more.
    has_ended: bool,
}

impl Trace {
    /// Begins to write what is said, if somebody wants to know.
    ///
    /// # Errors
    /// There can be no more threads.
    pub(super) fn begin(wanted: Option<looking::Trace>) -> Result<Self, Errno> {
        let Some(looking::Trace { form, to }) = wanted else { return Ok(Self::default()) };
        let queue = Arc::new(Queue::default());
        let writing = Arc::clone(&queue);
        let sink = Sink::new(form, to)?;
        let thread = std::thread::Builder::new().name("trace".to_owned()).spawn(move || {
            // A terminal may stop who writes from behind, a reader go away, a file be as long as it may be: none of it is our end.
            let harmless = [Signal::TTOU, Signal::PIPE, Signal::XFSZ].map(Signal::as_raw);
            let blocked = signals::block(harmless.into_iter().fold(Set::EMPTY, Set::with));
            // Who cannot be held back says nothing: then lines are dropped.
            if blocked.is_ok() && sandbox::enter_writer().is_ok() {
                writing.write(sink, form);
            }
        });
        thread.map_err(|_limit| Errno::AGAIN)?;
        Ok(Self(Some((form, queue))))
    }

    /// Says something, if somebody wants to know.
    pub(super) fn say<T: fmt::Display>(&self, line: impl FnOnce() -> T) {
        if let Some((form, queue)) = &self.0 {
            queue.add(dressed(*form, &line().to_string()));
        }
    }

    /// The container has ended, and the command that waited for it is about to: nothing is written behind its back.
    pub(super) fn ends_with_the_container(&mut self) {
        if self.0.as_ref().is_some_and(|(form, _)| *form != Form::Dated) {
            self.end();
        }
    }

    /// Waits a moment for what was said to be written.
    pub(super) fn end(&mut self) {
        let Some((_, queue)) = self.0.take() else { return };
        let mut lines = queue.lock();
        lines.has_ended = true;
        queue.changed.notify_all();
        let waits = |lines: &mut Lines| lines.is_busy || !lines.waiting.is_empty();
        drop(queue.changed.wait_timeout_while(lines, PATIENCE, waits));
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Lines> {
        // Who panics takes the process along.
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, line: String) {
        let mut lines = self.lock();
        if lines.bytes + line.len() > ROOM {
            lines.dropped += 1;
            return;
        }
        lines.bytes += line.len();
        lines.waiting.push_back(line);
        self.changed.notify_all();
    }

    /// Writes what is there, until there will be no more.
    fn write(&self, mut sink: Sink, form: Form) {
        let mut lines = self.lock();
        loop {
            lines.is_busy = false;
            self.changed.notify_all();
            let waits = |lines: &mut Lines| lines.waiting.is_empty() && !lines.has_ended;
            lines = self.changed.wait_while(lines, waits).unwrap_or_else(PoisonError::into_inner);
            if lines.waiting.is_empty() {
                return;
            }
            lines.is_busy = true;
            let (some, dropped) = (std::mem::take(&mut lines.waiting), std::mem::take(&mut lines.dropped));
            let count = some.len() as u64;
            lines.bytes = 0;
            drop(lines);
            let said = || format!("{dropped} lines about flows came faster than they could be written");
            let written = pieces(some.into_iter().chain((dropped > 0).then(|| dressed(form, &said()))))
                .try_for_each(|piece| sink.write(piece.as_bytes()));
            lines = self.lock();
            if written.is_err() {
                // All of them, at the most.
                lines.dropped += dropped + count;
            }
        }
    }
}

/// Lines, as many together as are written at once: nobody else's words come between them where they go through a pipe.
fn pieces(lines: impl Iterator<Item = String>) -> impl Iterator<Item = String> {
    let mut lines = lines.peekable();
    std::iter::from_fn(move || {
        let mut piece = lines.next()?;
        while let Some(next) = lines.next_if(|next| piece.len() + next.len() <= AT_ONCE) {
            piece += &next;
        }
        Some(piece)
    })
}

/// A whole line.
fn dressed(form: Form, text: &str) -> String {
    let now = || Timestamp::from(SystemTime::now());
    match form {
        Form::Plain => format!("trace: {text}\n"),
        Form::Logrus => format!("time=\"{}\" level=trace msg={text:?}\n", now().rfc3339_seconds()),
        Form::Dated => format!("{} {text}\n", now().rfc3339()),
    }
}

/// What is written to.
#[derive(Debug)]
enum Sink {
    /// To its end, or to who reads.
    Stream(OwnedFd),
    /// A file of which the older half goes when it is full.
    File { file: OwnedFd, length: u64 },
}

impl Sink {
    fn new(form: Form, to: OwnedFd) -> Result<Self, Errno> {
        Ok(match form {
            Form::Plain | Form::Logrus => Self::Stream(to),
            Form::Dated => {
                let length = u64::try_from(fstat(&to)?.st_size).unwrap_or_default();
                Self::File { file: to, length }
            }
        })
    }

    fn write(&mut self, mut bytes: &[u8]) -> Result<(), Errno> {
        if let Self::File { file, length } = self
            && *length + bytes.len() as u64 > limits::NETWORK_TRACE
        {
            *length = shorten(file, *length)?;
        }
        while !bytes.is_empty() {
            let written = match self {
                Self::Stream(stream) => write(&*stream, bytes),
                Self::File { file, length } => pwrite(&*file, bytes, *length),
            };
            match written {
                Ok(count) => {
                    bytes = bytes.get(count..).unwrap_or_default();
                    if let Self::File { length, .. } = self {
                        *length += count as u64;
                    }
                }
                Err(Errno::INTR) => {}
                // It was set so by somebody else who has it: there is no room for now.
                Err(errno) => return Err(errno),
            }
        }
        Ok(())
    }
}

/// Moves the newer half of a file to its beginning, from the first whole line on; how long it is then.
fn shorten(file: &OwnedFd, length: u64) -> Result<u64, Errno> {
    let mut from = length.saturating_sub(limits::NETWORK_TRACE / 2);
    let mut to = 0;
    let mut piece = vec![0; PIECE];
    loop {
        let count = pread(file, &mut piece[..], from)?;
        let mut bytes = piece.get(..count).unwrap_or_default();
        if bytes.is_empty() {
            break;
        }
        from += count as u64;
        if to == 0 {
            let line = bytes.iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |end| end + 1);
            bytes = bytes.get(line..).unwrap_or_default();
        }
        while !bytes.is_empty() {
            let written = pwrite(file, bytes, to)?;
            to += written as u64;
            bytes = bytes.get(written..).unwrap_or_default();
        }
    }
    ftruncate(file, to).map(|()| to)
}

/// A flow, as each line about it begins: whoever began it is on the left of the arrow's tail.
#[derive(Debug, Clone, Copy)]
pub(super) struct Named {
    pub(super) protocol: Protocol,
    pub(super) pair: Pair,
    pub(super) from_outside: bool,
}

impl Named {
    /// One that the container began.
    pub(super) const fn own(protocol: Protocol, pair: Pair) -> Self {
        Self { protocol, pair, from_outside: false }
    }
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (inside, outside) = self.pair;
        let arrow = if self.from_outside { "<-" } else { "->" };
        match self.protocol {
            Protocol::Tcp => write!(f, "tcp {inside} {arrow} {outside}"),
            Protocol::Udp => write!(f, "udp {inside} {arrow} {outside}"),
            Protocol::Echo => write!(f, "echo {} {arrow} {}", inside.ip(), outside.ip()),
        }
    }
}

/// Datagrams of one direction.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Tally {
    datagrams: u64,
    bytes: u64,
}

impl Tally {
    /// One more, or several of a length in one piece.
    pub(super) fn add(&mut self, length: usize, segment: Option<u16>) {
        let some =
            segment.filter(|segment| *segment > 0).map_or(1, |segment| length.div_ceil(segment.into()));
        self.datagrams += some as u64;
        self.bytes += length as u64;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes in {} datagrams", self.bytes, self.datagrams)
    }
}

/// The name that a message is about, as the container wrote it.
pub(super) fn name_in(bytes: &[u8]) -> String {
    let Ok(message) = Message::parse(bytes) else { return "no name".to_owned() };
    let labels: Vec<String> = message.question.name.labels().map(for_terminal).collect();
    format!("\"{}\" (type {})", labels.join("."), message.question.kind)
}

/// How a question was answered.
pub(super) fn answer_in(bytes: &[u8]) -> String {
    let Ok(message) = Message::parse(bytes) else { return "answered".to_owned() };
    match message.flags & 0xf {
        0 => format!("answered with {} records", message.answers.len()),
        2 => "server failure".to_owned(),
        3 => "no such name".to_owned(),
        code => format!("code {code}"),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::os::fd::AsFd as _;

    use super::*;

    fn lines_of(file: &std::fs::File) -> Vec<String> {
        let mut text = vec![0; 8 << 20];
        let length = pread(file, &mut text[..], 0).unwrap();
        text.truncate(length);
        String::from_utf8(text).unwrap().lines().map(str::to_owned).collect()
    }

    #[test]
    fn a_file_keeps_its_newest_lines_and_no_more_than_it_may() {
        let file = tempfile::tempfile().unwrap();
        let mut sink = Sink::new(Form::Dated, file.as_fd().try_clone_to_owned().unwrap()).unwrap();
        let count = limits::NETWORK_TRACE / 20;
        for at in 0..count {
            sink.write(format!("this is line {at:09} of many\n").as_bytes()).unwrap();
            assert!(file.metadata().unwrap().len() <= limits::NETWORK_TRACE);
        }
        let lines = lines_of(&file);
        let last = format!("this is line {:09} of many", count - 1);
        assert_eq!(lines.last(), Some(&last));
        assert!(lines.iter().all(|line| line.len() == last.len()), "a line is cut");
        assert!(
            lines.len() as u64 * 31 > limits::NETWORK_TRACE / 2 - 100,
            "{} lines are too few",
            lines.len()
        );
        // Whoever comes next goes on behind it.
        let mut next = Sink::new(Form::Dated, file.as_fd().try_clone_to_owned().unwrap()).unwrap();
        next.write(b"next\n").unwrap();
        assert_eq!(lines_of(&file).len(), lines.len() + 1);
    }

    #[test]
    fn who_does_not_read_stops_nobody_and_hears_how_much_was_lost() {
        let (mut reads, writes) = std::io::pipe().unwrap();
        let queue = Arc::new(Queue::default());
        let sink = Sink::new(Form::Plain, writes.into()).unwrap();
        let mut trace = Trace(Some((Form::Plain, Arc::clone(&queue))));
        std::thread::scope(|threads| {
            threads.spawn(|| queue.write(sink, Form::Plain));
            for at in 0..20_000 {
                trace.say(|| format!("line {at:05}"));
            }
            let heard = threads.spawn(move || {
                let mut text = String::new();
                reads.read_to_string(&mut text).map(|_| text)
            });
            trace.end();
            let text = heard.join().unwrap().unwrap();
            assert!(text.len() < 3 * ROOM, "{} bytes", text.len());
            let of_dropped = |line: &str| {
                line.strip_prefix("trace: ")?.split_once(" lines about flows")?.0.parse::<usize>().ok()
            };
            let dropped: usize = text.lines().filter_map(of_dropped).sum();
            let written = text.lines().filter(|line| line.starts_with("trace: line ")).count();
            assert_eq!((written + dropped, dropped > 0), (20_000, true), "{written} were written");
        });
    }

    #[test]
    fn foreign_names_are_escaped() {
        let mut question = b"\0\x01\x01\0\0\x01\0\0\0\0\0\0".to_vec();
        question.extend(b"\x05a\x1b[2J\x03b\"\n\0\0\x01\0\x01");
        let name = name_in(&question);
        assert!(!name.contains(['\x1b', '\n']) && name.contains("[2J"), "{name}");
        assert_eq!(name_in(b"x"), "no name");
        let line = dressed(Form::Logrus, &name);
        assert_eq!(line.lines().count(), 1);
    }
}
