//! Bars of what is on its way, at the bottom of a terminal.
//!
//! ```text
//! Copying blob 9f7118a33fad done
//! Copying blob 59e319c347ab [=======>            ] 24.1MB / 63.3MB  41.2MB/s  1s
//! ```
//! What is over becomes a line for good, and scrolls. Nothing is asked of the terminal and nothing of it is changed: the cursor waits below the bars, so
//! that a command which ends anywhere leaves it as any other output does. Its width is asked each time, so a window may change.
//! Where no person reads there is no [`Progress`] at all.

use std::io::{IsTerminal as _, Write as _};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::human::size::brief;

/// How often bars are drawn anew at most.
const PAUSE: Duration = Duration::from_millis(100);
/// A bar is not worth less.
const LEAST_BAR: usize = 10;
/// Nor does it need more.
const MOST_BAR: usize = 40;

/// Which stream the bars are drawn on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Output,
    /// Standard error.
    Errors,
}

/// Bars on a terminal, told of by several threads.
#[derive(Debug)]
pub struct Progress {
    stream: Stream,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    bars: Vec<Bar>,
    /// How long the lines are that were drawn last.
    drawn: Vec<usize>,
    at: Option<Instant>,
}

#[derive(Debug)]
struct Bar {
    label: String,
    total: u64,
    done: u64,
    /// What was done before it began.
    before: u64,
    begun: Instant,
}

impl Progress {
    /// Draws on a stream, if a person reads it on a terminal that can.
    #[must_use]
    pub fn on(stream: Stream) -> Option<Self> {
        let is_terminal = match stream {
            Stream::Output => std::io::stdout().is_terminal(),
            Stream::Errors => std::io::stderr().is_terminal(),
        };
        let is_dumb = std::env::var_os("TERM").is_none_or(|name| name.is_empty() || name == "dumb");
        let state = State { bars: Vec::new(), drawn: Vec::new(), at: None };
        (is_terminal && !is_dumb).then(|| Self { stream, state: Mutex::new(state) })
    }

    /// Begins a bar.
    pub fn begin(&self, label: &str, total: u64, done: u64) {
        self.with(|state, now| {
            state.bars.retain(|bar| bar.label != label);
            let bar = Bar { label: label.to_owned(), total, done, before: done, begun: now };
            state.bars.push(bar);
            state.text_of_bars(&self.size(), now)
        });
    }

    /// Moves a bar on; one that is at its end becomes a line.
    pub fn advance(&self, label: &str, bytes: u64) {
        self.with(|state, now| {
            let Some(at) = state.bars.iter().position(|bar| bar.label == label) else { return String::new() };
            let bar = &mut state.bars[at];
            bar.done = bar.done.saturating_add(bytes);
            if bar.done >= bar.total {
                state.bars.remove(at);
                return state.text_of_line(&format!("{label} done"), &self.size(), now);
            }
            if state.at.is_some_and(|at| now.duration_since(at) < PAUSE) {
                return String::new();
            }
            state.text_of_bars(&self.size(), now)
        });
    }

    /// Ends all bars: what they stood for is over.
    pub fn end(&self) {
        self.with(|state, now| {
            let labels: Vec<_> = state.bars.drain(..).map(|bar| format!("{} done", bar.label)).collect();
            if labels.is_empty() {
                String::new()
            } else {
                state.text_of_line(&labels.join("\n"), &self.size(), now)
            }
        });
    }

    /// Writes a line above the bars.
    pub fn line(&self, text: &str) {
        self.with(|state, now| state.text_of_line(text, &self.size(), now));
    }

    fn with(&self, change: impl FnOnce(&mut State, Instant) -> String) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let text = change(&mut state, Instant::now());
        // Whether bars can be drawn decides nothing.
        match self.stream {
            _ if text.is_empty() => {}
            Stream::Output => {
                let mut output = std::io::stdout().lock();
                drop(output.write_all(text.as_bytes()).and_then(|()| output.flush()));
            }
            Stream::Errors => drop(std::io::stderr().lock().write_all(text.as_bytes())),
        }
    }

    fn size(&self) -> Size {
        let asked = match self.stream {
            Stream::Output => rustix::termios::tcgetwinsize(std::io::stdout()),
            Stream::Errors => rustix::termios::tcgetwinsize(std::io::stderr()),
        };
        let size = asked.ok().filter(|size| size.ws_col > 0 && size.ws_row > 0);
        size.map_or(Size { columns: 80, rows: 24 }, |size| Size {
            columns: size.ws_col.into(),
            rows: size.ws_row.into(),
        })
    }
}

/// The size of a terminal.
struct Size {
    columns: usize,
    rows: usize,
}

impl State {
    /// Goes back to where the bars begin, and takes them away. Lines that no longer fit have gone on in the next row.
    fn text_of_start(&mut self, size: &Size) -> String {
        let rows: usize = self.drawn.drain(..).map(|length| length.max(1).div_ceil(size.columns)).sum();
        if rows == 0 { String::new() } else { format!("\x1b[{}A\r\x1b[J", rows.min(size.rows)) }
    }

    fn text_of_bars(&mut self, size: &Size, now: Instant) -> String {
        let mut text = self.text_of_start(size);
        // The last row is the cursor's.
        for bar in self.bars.iter().take(size.rows.saturating_sub(1)) {
            let line = bar.line(size.columns, now);
            self.drawn.push(line.len());
            text += &line;
            text.push('\n');
        }
        self.at = Some(now);
        text
    }

    fn text_of_line(&mut self, line: &str, size: &Size, now: Instant) -> String {
        let start = self.text_of_start(size);
        let bars = self.text_of_bars(size, now);
        format!("{start}{line}\n{bars}")
    }
}

impl Bar {
    /// One line, in letters of one column each.
    fn line(&self, columns: usize, now: Instant) -> String {
        let right = format!("{} / {}{}", brief(self.done.min(self.total)), brief(self.total), self.pace(now));
        let room = columns.saturating_sub(1 + self.label.len() + right.len() + "  []".len());
        let mut line = self.label.clone();
        if room >= LEAST_BAR {
            line.push_str(" [");
            push_bar(&mut line, room.min(MOST_BAR), self.done, self.total);
            line.push(']');
        }
        line.push(' ');
        line += &right;
        line.truncate(columns.saturating_sub(1));
        line
    }

    /// How fast it is and how long it will take, once that can be told.
    fn pace(&self, now: Instant) -> String {
        let elapsed = u64::try_from(now.duration_since(self.begun).as_millis()).unwrap_or(u64::MAX);
        let come = self.done.saturating_sub(self.before);
        let rate = come.saturating_mul(1000) / elapsed.max(1);
        if rate == 0 || elapsed < 500 {
            return String::new();
        }
        let left = self.total.saturating_sub(self.done).div_ceil(rate);
        format!("  {}/s  {}", brief(rate), time(left))
    }
}

fn push_bar(line: &mut String, room: usize, done: u64, total: u64) {
    let share = u128::from(done.min(total)) * room as u128 / u128::from(total.max(1));
    let filled = usize::try_from(share).unwrap_or(room).min(room - 1);
    line.extend(std::iter::repeat_n('=', filled));
    line.push('>');
    line.extend(std::iter::repeat_n(' ', room - 1 - filled));
}

/// `7s`, `2m03s`, `1h05m`.
fn time(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h{:02}m", seconds / 3600, seconds / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bar(done: u64, total: u64, begun: Instant) -> Bar {
        Bar { label: "Copying blob 9f7118a33fad".into(), total, done, before: 0, begun }
    }

    #[test]
    fn a_bar_says_how_far_how_fast_and_how_long() {
        let begun = Instant::now();
        let bar = bar(25_000_000, 100_000_000, begun);
        let line = bar.line(100, begun + Duration::from_secs(5));
        assert_eq!(
            line,
            "Copying blob 9f7118a33fad [==========>                             ] 25MB / 100MB  5MB/s  15s"
        );
        assert!(bar.line(100, begun).ends_with("] 25MB / 100MB"), "too early to tell");
    }

    #[test]
    fn a_line_never_fills_the_last_column() {
        let begun = Instant::now();
        for columns in 1..200 {
            let line = bar(1, 3, begun).line(columns, begun + Duration::from_secs(2));
            assert!(line.len() < columns.max(1) || line.is_empty(), "{columns}: {line}");
        }
        assert!(!bar(1, 3, begun).line(45, begun).contains('['), "no room for a bar");
    }

    #[test]
    fn bars_are_taken_away_by_the_rows_that_they_have_now() {
        let now = Instant::now();
        let mut state = State { bars: vec![bar(1, 3, now), bar(2, 3, now)], drawn: Vec::new(), at: None };
        let first = state.text_of_bars(&Size { columns: 80, rows: 24 }, now);
        assert!(!first.contains('\x1b'), "nothing was there: {first:?}");
        let second = state.text_of_bars(&Size { columns: 80, rows: 24 }, now);
        assert!(second.starts_with("\x1b[2A\r\x1b[J"), "{second:?}");
        // Each of them goes on in a second row, since the window is narrower now.
        let third = state.text_of_bars(&Size { columns: 40, rows: 24 }, now);
        assert!(third.starts_with("\x1b[4A\r\x1b[J"), "{third:?}");
    }

    #[test]
    fn times() {
        for (seconds, text) in [(0, "0s"), (59, "59s"), (123, "2m03s"), (3900, "1h05m")] {
            assert_eq!(time(seconds), text);
        }
    }
}
