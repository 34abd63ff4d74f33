//! Subordinate ids from a directory (LDAP, FreeIPA) by shadow's `getsubids`.
//!
//! Where nsswitch.conf names another source than `files` for `subid`, `newuidmap` asks that source alone and
//! `/etc/subuid` means nothing; the plug-in is a shared library, which a static program cannot load: so the program is
//! asked that can.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::RangesError;
use super::facts::Facts;
use super::file::{Range, SubIds, read_bounded};
use crate::map::Kind;

/// A directory that does not answer in this time is not there.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the program prints at most: a few hundred ranges.
const LIMIT: u64 = 1 << 20;

/// The program could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// Not installed, or not to be run.
    #[error("cannot run {}", program.display())]
    Run {
        /// The program.
        program: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// No answer.
    #[error("{} did not answer within {} s", program.display(), PATIENCE.as_secs())]
    Silent {
        /// The program.
        program: PathBuf,
    },
    /// An answer that is not understood.
    #[error("{} answered `{answer}`", program.display())]
    Nonsense {
        /// The program.
        program: PathBuf,
        /// The line.
        answer: String,
    },
}

/// nsswitch.conf sends `subid` elsewhere than to the files.
pub(super) fn is_named(nsswitch: &Path) -> Result<bool, RangesError> {
    match read_bounded(nsswitch) {
        Ok(text) => Ok(names_directory(&text)),
        Err(err) if err.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(source) => Err(RangesError::Read { path: nsswitch.to_owned(), source }),
    }
}

/// shadow takes the first source of the line and no other.
fn names_directory(nsswitch: &str) -> bool {
    let lines = nsswitch.lines().filter_map(|line| line.trim_start().strip_prefix("subid:"));
    lines.filter_map(|sources| sources.split_ascii_whitespace().next()).any(|first| first != "files")
}

/// Asks for the user's ranges of one kind.
pub(super) fn ask(program: &Path, facts: &Facts, kind: Kind) -> Result<SubIds, DirectoryError> {
    // "Error fetching ranges", status 1, is also what a user without ranges gets: they are then said to be missing.
    let answer = run(program, &facts.who(), kind)?;
    let mut found = SubIds::default();
    for line in answer.lines() {
        match answered(line) {
            Some(range) => found.add(range, None),
            None => {
                let answer = line.chars().take(200).collect();
                return Err(DirectoryError::Nonsense { program: program.to_owned(), answer });
            }
        }
    }
    found.leave_out(match kind {
        Kind::Uid => facts.uid,
        Kind::Gid => facts.gid,
    });
    Ok(found)
}

/// One line of the answer: `0: anna 100000 65536`.
fn answered(line: &str) -> Option<Range> {
    let mut words = line.split_ascii_whitespace();
    words.next()?.strip_suffix(':')?.parse::<u32>().ok()?;
    words.next()?;
    let range = Range { first: words.next()?.parse().ok()?, len: words.next()?.parse().ok()? };
    words.next().is_none().then_some(range)
}

fn run(program: &Path, who: &str, kind: Kind) -> Result<String, DirectoryError> {
    let failed = |source| DirectoryError::Run { program: program.to_owned(), source };
    let mut command = Command::new(program);
    if kind == Kind::Gid {
        command.arg("-g");
    }
    let child = command.arg(who).env_clear().stdin(Stdio::null()).stderr(Stdio::null());
    let mut child = child.stdout(Stdio::piped()).spawn().map_err(failed)?;
    let text = match child.stdout.take() {
        Some(mut pipe) => read_in_time(&mut pipe),
        None => Ok(None),
    };
    match text {
        Ok(Some(text)) => child.wait().map(|_status| text).map_err(failed),
        given_up => {
            // It may have ended by itself meanwhile, which is as good.
            child
                .kill()
                .or_else(|err| if err.kind() == io::ErrorKind::InvalidInput { Ok(()) } else { Err(err) })
                .map_err(failed)?;
            child.wait().map_err(failed)?;
            match given_up {
                Err(source) => Err(failed(source)),
                _ => Err(DirectoryError::Silent { program: program.to_owned() }),
            }
        }
    }
}

/// Reads to the end, or gives up (`None`).
fn read_in_time(pipe: &mut std::process::ChildStdout) -> io::Result<Option<String>> {
    let deadline = Instant::now() + PATIENCE;
    let mut all = Vec::new();
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(0),
            tv_nsec: left.subsec_nanos().into(),
        };
        let ready = poll(&mut [PollFd::new(pipe, PollFlags::IN)], Some(&timeout))?;
        if ready == 0 || all.len() as u64 > LIMIT {
            return Ok(None);
        }
        let mut chunk = [0; 4096];
        match pipe.read(&mut chunk)? {
            0 => return Ok(Some(String::from_utf8_lossy(&all).into_owned())),
            len => all.extend_from_slice(&chunk[..len]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_source_counts() {
        assert!(!names_directory("passwd: files sss\n"));
        assert!(!names_directory("subid: files\n"));
        assert!(names_directory("passwd: files\n subid:   sss\n"));
        assert!(!names_directory("#subid: sss\n"));
    }

    #[test]
    fn the_answer_is_read() {
        assert_eq!(answered("0: anna 100000 65536"), Some(Range { first: 100_000, len: 65_536 }));
        assert_eq!(answered("Error fetching ranges"), None);
    }
}
