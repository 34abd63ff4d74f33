//! `/etc/subuid` and `/etc/subgid`: `NAME-OR-UID:FIRST:COUNT`, one range a line.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::map::IdMap;

/// More than this is not a table of ranges. (A university's with 100,000 users has 3 MB.)
const LIMIT: u64 = 16 << 20;

/// As many ranges as fit into one map beside the user's own id.
const MOST_RANGES: usize = crate::map::MAX_LINES - 1;

/// A run of ids outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// The first id.
    pub first: u32,
    /// How many.
    pub len: u32,
}

impl Range {
    /// One past the last id, in a type that holds it.
    fn end(self) -> u64 {
        u64::from(self.first) + u64::from(self.len)
    }

    pub(super) fn overlaps(self, other: Self) -> bool {
        u64::from(self.first) < other.end() && u64::from(other.first) < self.end()
    }
}

/// Where a line stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The file.
    pub path: PathBuf,
    /// The line's number, from one.
    pub number: usize,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.path.display(), self.number)
    }
}

/// What is wrong with a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// Not three fields, two of them numbers.
    Malformed,
    /// No id, or ids past the last there is.
    OutOfRange,
    /// The user has these ids by an earlier line.
    Overlap(Line),
    /// The range covers the user's own id, which is mapped anyway.
    OwnId(u32),
    /// More ranges than one map has room for.
    TooMany,
    /// The ids do not exist in the user namespace we run in.
    NotMapped,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed => f.write_str("not of the form NAME:FIRST:COUNT"),
            Self::OutOfRange => f.write_str("the range is empty or runs past the last id"),
            Self::Overlap(line) => write!(f, "the range overlaps that of {line}"),
            Self::OwnId(id) => write!(f, "the range covers the user's own id {id}"),
            Self::TooMany => write!(f, "more than {MOST_RANGES} ranges"),
            Self::NotMapped => f.write_str("the ids do not exist in the user namespace we run in"),
        }
    }
}

/// A line, or part of one, that was left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// Where; `None` for what a directory told.
    pub line: Option<Line>,
    /// Why.
    pub problem: Problem,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.line {
            Some(line) => write!(f, "{line}: {}", self.problem),
            None => write!(f, "{}", self.problem),
        }
    }
}

/// The ranges of one user, in the order of the file, without overlaps.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SubIds {
    /// The ranges.
    pub ranges: Vec<Range>,
    /// What was left out.
    pub notes: Vec<Note>,
    /// For each range its line.
    lines: Vec<Option<Line>>,
}

impl SubIds {
    /// The ranges of the user with this id or this name. `path` is only for the notes.
    ///
    /// A malformed line is noted only if it might be the user's: what is wrong with another's is not our business.
    #[must_use]
    pub fn parse(text: &str, path: &Path, uid: Option<u32>, name: Option<&str>) -> Self {
        let mut found = Self::default();
        let number = uid.map(|uid| uid.to_string());
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            let owner = line.split(':').next().unwrap_or_default();
            let ours = !owner.is_empty() && (name == Some(owner) || number.as_deref() == Some(owner));
            if !ours || line.starts_with('#') {
                continue;
            }
            let place = Some(Line { path: path.to_owned(), number: index + 1 });
            match fields(line) {
                Ok(range) => found.add(range, place),
                Err(problem) => found.notes.push(Note { line: place, problem }),
            }
        }
        found
    }

    /// Adds a range unless it overlaps one we have.
    pub(super) fn add(&mut self, range: Range, line: Option<Line>) {
        let earlier = self.ranges.iter().position(|held| held.overlaps(range));
        let problem = match earlier {
            Some(at) => match self.lines.get(at).cloned().flatten() {
                // The same line twice does no harm, and says nothing new.
                Some(_) if self.ranges[at] == range => return,
                Some(line) => Problem::Overlap(line),
                None => Problem::OutOfRange,
            },
            None if range.len == 0 || range.end() > u64::from(u32::MAX) => Problem::OutOfRange,
            None if self.ranges.len() == MOST_RANGES => Problem::TooMany,
            None => {
                self.ranges.push(range);
                self.lines.push(line);
                return;
            }
        };
        self.notes.push(Note { line, problem });
    }

    /// Cuts one id out of the ranges.
    pub(super) fn leave_out(&mut self, id: u32) {
        let Some(at) = self.ranges.iter().position(|range| range.overlaps(Range { first: id, len: 1 }))
        else {
            return;
        };
        let (range, line) = (self.ranges.remove(at), take(&mut self.lines, at));
        self.notes.push(Note { line: line.clone(), problem: Problem::OwnId(id) });
        let before = Range { first: range.first, len: id - range.first };
        let after = Range { first: id + 1, len: range.len - before.len - 1 };
        for part in [after, before].into_iter().filter(|part| part.len > 0) {
            self.ranges.insert(at, part);
            self.lines.insert(at, line.clone());
        }
    }

    /// Leaves out what U, whose map is given, does not have.
    pub(super) fn keep_mapped(&mut self, of: &IdMap) {
        let exists = |range: &Range| {
            let mut next = u64::from(range.first);
            while next < range.end() {
                let held = of.extents().iter().find(|held| {
                    let start = u64::from(held.inner);
                    (start..start + u64::from(held.len)).contains(&next)
                });
                match held {
                    Some(held) => next = u64::from(held.inner) + u64::from(held.len),
                    None => return false,
                }
            }
            true
        };
        let (ranges, lines) = (std::mem::take(&mut self.ranges), std::mem::take(&mut self.lines));
        let lines = lines.into_iter().chain(std::iter::repeat(None));
        for (range, line) in ranges.into_iter().zip(lines) {
            if exists(&range) {
                self.ranges.push(range);
                self.lines.push(line);
            } else {
                self.notes.push(Note { line, problem: Problem::NotMapped });
            }
        }
    }

    /// How many ids.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.ranges.iter().map(|range| u64::from(range.len)).sum()
    }
}

fn take(lines: &mut Vec<Option<Line>>, at: usize) -> Option<Line> {
    if at < lines.len() { lines.remove(at) } else { None }
}

fn fields(line: &str) -> Result<Range, Problem> {
    let fields: Vec<&str> = line.split(':').collect();
    let [_, first, count] = fields[..] else { return Err(Problem::Malformed) };
    let number = |text: &str| text.trim().parse::<u64>().map_err(|_wrong| Problem::Malformed);
    let (first, count) = (number(first)?, number(count)?);
    let fits = |id: u64| u32::try_from(id).map_err(|_wrong| Problem::OutOfRange);
    let range = Range { first: fits(first)?, len: fits(count)? };
    if range.len == 0 || range.end() > u64::from(u32::MAX) {
        return Err(Problem::OutOfRange);
    }
    Ok(range)
}

/// The range of a line, whosever it is.
pub(super) fn range_of(line: &str) -> Option<Range> {
    fields(line).ok()
}

/// The first multiple of 65,536 above 100,000 that no line of the file reaches: where a new range can start.
pub(super) fn first_free(text: &str) -> u64 {
    let ends = text.lines().filter_map(|line| fields(line.trim()).ok()).map(Range::end);
    let end = ends.max().unwrap_or_default().max(100_000);
    let steps = (end - 100_000).div_ceil(65_536);
    100_000 + steps * 65_536
}

/// Reads a file that is text and not boundless.
pub(super) fn read_bounded(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::with_capacity(4096);
    File::open(path)?.take(LIMIT + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LIMIT {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "larger than 16 MiB"));
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
