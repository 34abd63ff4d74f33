//! How entries look, and where they go.

use std::io::Write as _;

use ctr_cli::report::CommandError;
use ctr_cli::ui::OutputError;
use ctr_pods::logs::{Entry, Moment, Stream};

/// Bytes that are written at once.
const BLOCK: usize = 256 << 10;

/// Podman's colors, by the place of the container on the command line.
const COLORS: [&str; 7] =
    ["\x1b[37m", "\x1b[31m", "\x1b[33m", "\x1b[34m", "\x1b[35m", "\x1b[36m", "\x1b[32m"];
const NO_COLOR: &str = "\x1b[0m";

/// How the entries of one container are shown.
pub(super) struct Look {
    /// Before each line.
    pub(super) prefix: String,
    /// Which color.
    pub(super) color: Option<usize>,
    /// Whether the time is before each line.
    pub(super) timestamps: bool,
    /// Only what is later.
    pub(super) since: Option<Moment>,
    /// Only what is earlier.
    pub(super) until: Option<Moment>,
    /// Whether a line of the stream has begun.
    pub(super) open: [bool; 2],
}

impl Look {
    /// Prints an entry, if it is wanted. The pieces of a line are put together again.
    pub(super) fn print(&mut self, entry: Entry<'_>, output: &mut Output) -> Result<(), CommandError> {
        let late = self.since.as_ref().is_none_or(|since| entry.is_after(since));
        if !late || self.until.as_ref().is_some_and(|until| !entry.is_before(until)) {
            return Ok(());
        }
        output.turn_to(entry.stream)?;
        let open = &mut self.open[usize::from(entry.stream == Stream::Stderr)];
        let color = self.color.map(|index| COLORS[index % COLORS.len()]);
        if !*open {
            output.put(color.unwrap_or_default().as_bytes());
            output.put(self.prefix.as_bytes());
            if self.timestamps {
                output.put(entry.time);
                output.put(b" ");
            }
        }
        output.put(entry.bytes);
        if !entry.partial {
            if color.is_some() {
                output.put(NO_COLOR.as_bytes());
            }
            output.put(b"\n");
        }
        *open = entry.partial;
        output.flush_if_large()
    }
}

/// What is to be written, of one stream at a time: so the order of the two is kept where they go to one place.
#[derive(Default)]
pub(super) struct Output {
    to_stderr: bool,
    bytes: Vec<u8>,
}

impl Output {
    fn turn_to(&mut self, stream: Stream) -> Result<(), CommandError> {
        let to_stderr = stream == Stream::Stderr;
        if self.to_stderr != to_stderr {
            self.flush()?;
            self.to_stderr = to_stderr;
        }
        Ok(())
    }

    fn put(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    fn flush_if_large(&mut self) -> Result<(), CommandError> {
        if self.bytes.len() >= BLOCK { self.flush() } else { Ok(()) }
    }

    /// Writes what is there.
    pub(super) fn flush(&mut self) -> Result<(), CommandError> {
        let written = if self.to_stderr {
            std::io::stderr().lock().write_all(&self.bytes)
        } else {
            let mut stdout = std::io::stdout().lock();
            stdout.write_all(&self.bytes).and_then(|()| stdout.flush())
        };
        self.bytes.clear();
        Ok(written.map_err(OutputError::from)?)
    }
}
