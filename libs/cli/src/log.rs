//! Levels of the log, and the two forms of its lines.

use crate::exit::Exit;
use crate::human::time::Timestamp;
use crate::report::CommandError;
use crate::voice::Voice;
use ctr_core::foreign::for_terminal;
use std::time::SystemTime;

/// How grave a line of the log is; the least grave is the greatest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Level {
    /// We are broken.
    Panic,
    /// Nothing more can be done.
    Fatal,
    /// Something failed.
    Error,
    /// Something is not as it should be. The default.
    #[default]
    Warn,
    /// What is being done.
    Info,
    /// Why.
    Debug,
    /// Every step.
    Trace,
}

/// The names of levels, as podman lists them.
const NAMES: [(&str, Level); 8] = [
    ("trace", Level::Trace),
    ("debug", Level::Debug),
    ("info", Level::Info),
    ("warn", Level::Warn),
    ("warning", Level::Warn),
    ("error", Level::Error),
    ("fatal", Level::Fatal),
    ("panic", Level::Panic),
];

impl Level {
    /// Reads the value of `--log-level`.
    ///
    /// # Errors
    /// There is no such level; the program ends with 1, as podman's does.
    pub fn parse(name: &str) -> Result<Self, LevelError> {
        let lower = name.to_ascii_lowercase();
        match NAMES.iter().find(|(known, _)| *known == lower) {
            Some((_, level)) => Ok(*level),
            None => Err(LevelError::Unknown(name.to_owned())),
        }
    }

    /// Combines `--log-level` and `--debug`.
    ///
    /// # Errors
    /// There is no such level, or both options are given.
    pub fn of_options(level: Option<&str>, debug: bool) -> Result<Self, LevelError> {
        match (level, debug) {
            (Some(level), true) if level != "warn" => Err(LevelError::Both),
            (_, true) => Ok(Self::Debug),
            (Some(level), false) => Self::parse(level),
            (None, false) => Ok(Self::default()),
        }
    }

    /// Whether a line is shown at this level.
    #[must_use]
    pub fn passes(self, line: Self) -> bool {
        line <= self
    }

    /// The name that stands in a line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Panic => "panic",
            Self::Fatal => "fatal",
            Self::Error => "error",
            Self::Warn => "warning",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }

    /// A whole line of the log.
    #[must_use]
    pub fn line(self, voice: Voice, text: &str, now: SystemTime) -> String {
        let name = self.name();
        if voice.is_peer() {
            let time = Timestamp::from(now).rfc3339_seconds();
            format!("time={} level={name} msg={}\n", quoted(&time), quoted(text))
        } else {
            format!("{name}: {}\n", for_terminal(text.as_bytes()))
        }
    }
}

/// Options of the log that make no sense.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum LevelError {
    /// There is no such level.
    #[error(
        "Log Level {0:?} is not supported, choose from: trace, debug, info, warn, warning, error, fatal, panic"
    )]
    Unknown(String),
    /// `--debug` is a level too.
    #[error("Setting --log-level and --debug is not allowed")]
    Both,
}

impl From<LevelError> for CommandError {
    fn from(error: LevelError) -> Self {
        Self::usage(error).exit(Exit::NO).bare()
    }
}

/// A value of a logrus line: in Go's quotes, unless it consists of harmless letters.
fn quoted(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._/@^+".contains(&byte);
    if !text.is_empty() && text.bytes().all(plain) {
        return text.to_owned();
    }
    crate::template::quote::double(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_podmans() {
        for (name, level) in NAMES {
            assert_eq!(Level::parse(name), Ok(level));
        }
        assert_eq!(Level::parse("TRACE"), Ok(Level::Trace));
        let error = Level::parse("telepathic").expect_err("no level");
        assert!(
            error.to_string().starts_with("Log Level \"telepathic\" is not supported, choose from: trace,")
        );
        assert_eq!(CommandError::from(error).code().value(), 1);
    }

    #[test]
    fn debug_and_a_level_exclude_each_other() {
        assert_eq!(Level::of_options(Some("panic"), true), Err(LevelError::Both));
        assert_eq!(Level::of_options(None, true), Ok(Level::Debug));
        assert_eq!(Level::of_options(Some("info"), false), Ok(Level::Info));
        assert_eq!(Level::of_options(None, false), Ok(Level::Warn));
    }

    #[test]
    fn graver_lines_pass() {
        assert!(Level::Info.passes(Level::Warn) && Level::Info.passes(Level::Info));
        assert!(!Level::Info.passes(Level::Debug));
    }

    #[test]
    fn lines_have_two_forms() {
        let now = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1);
        assert_eq!(
            Level::Warn.line(Voice::Podman, "no \"x\" here", now),
            "time=\"1970-01-01T00:00:01Z\" level=warning msg=\"no \\\"x\\\" here\"\n"
        );
        assert_eq!(
            Level::Debug.line(Voice::Podman, "word", now),
            "time=\"1970-01-01T00:00:01Z\" level=debug msg=word\n"
        );
        assert_eq!(Level::Warn.line(Voice::Ctr, "a\u{1b}b", now), "warning: a\\x1bb\n");
    }
}
