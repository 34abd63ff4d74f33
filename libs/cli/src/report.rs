//! Errors as the user sees them.
//!
//! Libraries return typed errors with their sources; a verb wraps one in a [`CommandError`] that says which kind of
//! trouble it is, what could be done, and what the program ends with. It is printed once, at the very end, as
//! `Error: cannot <verb> <object>: <cause> (ERRNO)` and at most two `hint:` lines, each an action that works as typed.
//!
//! Under a peer's name the first line is the peer's own sentence ([`Sentence`](crate::peers::Sentence)), and hints are
//! left out: scripts read that line.

use crate::exit::Exit;
use crate::log::Level;
use crate::peers::Sentence;
use crate::voice::Voice;
pub use ctr_core::causes::chain;
use ctr_core::foreign::for_terminal;
use std::error::Error;

/// How many hints are printed.
const HINTS: usize = 2;

/// Whose trouble it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The command line was wrong.
    Usage,
    /// What was asked for is not there, or cannot be.
    User,
    /// The machine lacks or forbids something.
    Environment,
    /// We broke.
    Internal,
    /// Nothing is to be said: the exit code says it all.
    Quiet,
}

/// Why a command failed.
#[derive(Debug)]
pub struct CommandError(Box<Report>);

#[derive(Debug)]
struct Report {
    kind: Kind,
    error: Box<dyn Error + Send + Sync>,
    hints: Vec<String>,
    exit: Exit,
    peer: Option<Sentence>,
    before: Vec<CommandError>,
    bare: bool,
    last: bool,
}

impl CommandError {
    /// Wraps an error.
    pub fn new(kind: Kind, error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(Box::new(Report {
            kind,
            error: error.into(),
            hints: Vec::new(),
            exit: Exit::FAILURE,
            peer: None,
            before: Vec::new(),
            bare: false,
            last: false,
        }))
    }

    /// The command line was wrong.
    pub fn usage(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::new(Kind::Usage, error)
    }

    /// What was asked for is not there, or cannot be.
    pub fn user(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::new(Kind::User, error)
    }

    /// The machine lacks or forbids something.
    pub fn environment(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::new(Kind::Environment, error)
    }

    /// We broke.
    pub fn internal(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::new(Kind::Internal, error)
    }

    /// Ends with a code and says nothing.
    #[must_use]
    pub fn quiet(exit: Exit) -> Self {
        Self::new(Kind::Quiet, "").exit(exit)
    }

    /// Something that is known, but not built yet.
    #[must_use]
    pub fn not_supported(what: &str) -> Self {
        Self::usage(format!("{what} is not supported yet"))
    }

    /// Several things failed: all but the last are printed before it, and the last one's exit code counts.
    /// Nothing, if nothing failed.
    #[must_use]
    pub fn several(errors: Vec<Self>) -> Option<Self> {
        let mut errors = errors;
        let mut last = errors.pop()?;
        errors.append(&mut last.0.before);
        last.0.before = errors;
        Some(last)
    }

    /// Adds something that the user can do about it, as it would be typed.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hints.push(hint.into());
        self
    }

    /// Ends the program with another code than 125.
    #[must_use]
    pub fn exit(mut self, exit: Exit) -> Self {
        self.0.exit = exit;
        self
    }

    /// Says what the peers say in this case.
    #[must_use]
    pub fn peer(mut self, sentence: Sentence) -> Self {
        self.0.peer = Some(sentence);
        self
    }

    /// Has this process end with it: whatever else was to be done is done by the one that this one was split from.
    #[must_use]
    pub fn last(mut self) -> Self {
        self.0.last = true;
        self
    }

    /// Whether nothing else is to be done after it.
    #[must_use]
    pub fn is_last(&self) -> bool {
        self.0.last
    }

    /// Leaves `Error: ` out: the few messages that podman prints before it has a command.
    #[must_use]
    pub(crate) fn bare(mut self) -> Self {
        self.0.bare = true;
        self
    }

    /// Whose trouble it is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// What the program ends with.
    #[must_use]
    pub fn code(&self) -> Exit {
        self.0.exit
    }

    /// The error that was wrapped.
    #[must_use]
    pub fn source_error(&self) -> &(dyn Error + Send + Sync + 'static) {
        &*self.0.error
    }

    /// The lines to print on standard error.
    #[must_use]
    pub fn render(&self, voice: Voice) -> String {
        let mut text = String::new();
        for error in &self.0.before {
            text.push_str(&error.render(voice));
        }
        if self.0.kind == Kind::Quiet {
            return text;
        }
        let sentence = if voice.is_peer() { self.0.peer.as_ref().map(|peer| peer.text(voice)) } else { None };
        let sentence = sentence.unwrap_or_else(|| chain(&*self.0.error));
        if voice == Voice::Skopeo {
            text.push_str(&Level::Fatal.line(voice, &sentence, std::time::SystemTime::now()));
            return text;
        }
        if !self.0.bare {
            text.push_str("Error: ");
        }
        text.push_str(&on_terminal(&sentence));
        text.push('\n');
        if !voice.is_peer() {
            for hint in self.0.hints.iter().take(HINTS) {
                text.push_str("hint: ");
                text.push_str(&on_terminal(hint));
                text.push('\n');
            }
        }
        text
    }
}

impl std::fmt::Display for CommandError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&chain(&*self.0.error))
    }
}

/// A failed write to our own output. When the reader went away there is nobody to tell.
/// A file of ours that cannot be read or written is trouble with the machine.
impl From<ctr_core::FileError> for CommandError {
    fn from(error: ctr_core::FileError) -> Self {
        Self::environment(error)
    }
}

impl From<crate::ui::OutputError> for CommandError {
    fn from(error: crate::ui::OutputError) -> Self {
        if error.is_broken_pipe() { Self::quiet(Exit::BROKEN_PIPE) } else { Self::environment(error) }
    }
}

/// Escapes what a terminal would obey; line breaks and tabs of ours stay.
fn on_terminal(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for (index, line) in text.split('\n').enumerate() {
        if index > 0 {
            shown.push('\n');
        }
        for (index, cell) in line.split('\t').enumerate() {
            if index > 0 {
                shown.push('\t');
            }
            shown.push_str(&for_terminal(cell.as_bytes()));
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot read {path}")]
    struct Read {
        path: &'static str,
        source: std::io::Error,
    }

    fn read() -> Read {
        Read { path: "/etc/x", source: std::io::Error::from_raw_os_error(13) }
    }

    #[test]
    fn at_most_two_hints() {
        let error = CommandError::user(read()).hint("one").hint("two").hint("three");
        assert_eq!(
            error.render(Voice::Ctr),
            "Error: cannot read /etc/x: Permission denied (EACCES)\nhint: one\nhint: two\n"
        );
    }

    #[test]
    fn a_peer_has_its_own_sentence_and_no_hints() {
        let error = CommandError::user("cannot find image `x`: it is not in the store")
            .hint("ctr pull x")
            .peer(Sentence::NoSuchImage("x".into()));
        assert_eq!(error.render(Voice::Podman), "Error: x: image not known\n");
        assert_eq!(
            error.render(Voice::Docker),
            "Error: cannot find image `x`: it is not in the store\nhint: ctr pull x\n"
        );
    }

    #[test]
    fn several_errors_keep_their_order_and_the_last_code() {
        let all = vec![CommandError::user("a").exit(Exit::NO), CommandError::user("b").exit(Exit::IN_USE)];
        let error = CommandError::several(all).expect("two");
        assert_eq!(error.render(Voice::Ctr), "Error: a\nError: b\n");
        assert_eq!(error.code(), Exit::IN_USE);
        assert!(CommandError::several(Vec::new()).is_none());
    }

    #[test]
    fn foreign_bytes_are_escaped_and_line_breaks_stay() {
        let error = CommandError::user("unknown flag: --a\u{1b}[2J\nSee 'x --help'\n\tb");
        assert_eq!(error.render(Voice::Ctr), "Error: unknown flag: --a\\x1b[2J\nSee 'x --help'\n\tb\n");
    }

    #[test]
    fn a_quiet_error_is_silent() {
        let error = CommandError::quiet(Exit::code(3));
        assert_eq!((error.render(Voice::Ctr).as_str(), error.code().value()), ("", 3));
    }
}
