//! The only voice: everything that a program of ours prints goes through a [`Ui`].
//!
//! Data goes to standard output and all else to standard error. A failed write is an error like any other, and a
//! reader that went away ends the command in silence. Under the peers' names, warnings and the log are logrus lines
//! (`time="…" level=warning msg="…"`), since suites look for `level=`; under ours they read `warning: …`.

use crate::log::Level;
use crate::voice::Voice;
use ctr_core::causes::chain;
use ctr_core::events::{Event, Log};
use ctr_core::foreign::for_terminal;
use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};

/// Our own output could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write to standard output")]
pub struct OutputError {
    #[source]
    source: std::io::Error,
}

impl OutputError {
    /// Whether the reader went away.
    #[must_use]
    pub fn is_broken_pipe(&self) -> bool {
        self.source.kind() == std::io::ErrorKind::BrokenPipe
    }
}

impl From<std::io::Error> for OutputError {
    fn from(source: std::io::Error) -> Self {
        Self { source }
    }
}

/// Where a program speaks.
#[derive(Debug, Clone, Copy)]
pub struct Ui {
    voice: Voice,
    level: Level,
}

impl Ui {
    /// Speaks with a voice, and logs what is at least as grave as the level.
    #[must_use]
    pub const fn new(voice: Voice, level: Level) -> Self {
        Self { voice, level }
    }

    /// Whose vocabulary is spoken.
    #[must_use]
    pub const fn voice(&self) -> Voice {
        self.voice
    }

    /// The gravity from which on the log is printed.
    #[must_use]
    pub const fn level(&self) -> Level {
        self.level
    }

    /// Writes text to standard output, as it is.
    ///
    /// # Errors
    /// The text could not be written whole.
    pub fn print(&self, text: &str) -> Result<(), OutputError> {
        self.write(text.as_bytes())
    }

    /// Writes a line to standard output.
    ///
    /// # Errors
    /// The line could not be written whole.
    pub fn line(&self, text: &str) -> Result<(), OutputError> {
        let mut line = String::with_capacity(text.len().saturating_add(1));
        line.push_str(text);
        line.push('\n');
        self.write(line.as_bytes())
    }

    /// Writes bytes to standard output, as they are.
    ///
    /// # Errors
    /// The bytes could not be written whole.
    pub fn write(&self, bytes: &[u8]) -> Result<(), OutputError> {
        let mut output = std::io::stdout().lock();
        output.write_all(bytes)?;
        Ok(output.flush()?)
    }

    /// Escapes a foreign string, if it would be read on a terminal.
    #[must_use]
    pub fn foreign(&self, text: &str) -> String {
        if self.is_terminal() { for_terminal(text.as_bytes()) } else { text.to_owned() }
    }

    /// Whether a person reads standard output.
    #[must_use]
    pub fn is_terminal(&self) -> bool {
        std::io::stdout().is_terminal()
    }

    /// The columns of the terminal on standard output, if it is one.
    #[must_use]
    pub fn columns(&self) -> Option<usize> {
        let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok()?;
        (size.ws_col > 0).then(|| usize::from(size.ws_col))
    }

    /// Asks a question whose answer is yes or no. Without a terminal the answer is read all the same, as podman does; no
    /// answer at all is an error, since nobody was asked.
    ///
    /// # Errors
    /// There is nobody to ask.
    pub fn confirm(&self, question: &str) -> Result<bool, crate::report::CommandError> {
        use crate::report::CommandError;
        self.print(&format!("{question} [y/N] "))?;
        let mut answer = String::new();
        std::io::stdin().lock().read_line(&mut answer).map_err(CommandError::environment)?;
        if answer.is_empty() && !std::io::stdin().is_terminal() {
            return Err(CommandError::usage("no answer on standard input: use --force"));
        }
        Ok(answer.trim_start().to_ascii_lowercase().starts_with('y'))
    }

    /// Asks for a line, on a terminal alone.
    ///
    /// # Errors
    /// There is nobody to ask, or nobody answers.
    pub fn ask(&self, question: &str) -> Result<String, crate::report::CommandError> {
        use crate::report::CommandError;
        self.ask_first(question)?;
        let mut answer = String::new();
        let length = std::io::stdin().lock().read_line(&mut answer).map_err(CommandError::environment)?;
        if length == 0 { Err(CommandError::user("nothing was answered")) } else { Ok(answer) }
    }

    /// Asks for a line that nobody is to see, on a terminal alone.
    ///
    /// # Errors
    /// There is nobody to ask, or nobody answers.
    pub fn ask_secret(&self, question: &str) -> Result<String, crate::report::CommandError> {
        use crate::report::CommandError;
        self.ask_first(question)?;
        let answer = crate::secret::read(&std::io::stdin()).map_err(CommandError::environment);
        self.stderr("\n");
        answer?.ok_or_else(|| CommandError::user("nothing was answered"))
    }

    fn ask_first(self, question: &str) -> Result<(), crate::report::CommandError> {
        if !std::io::stdin().is_terminal() {
            let said = format!(
                "nobody can be asked for the {}",
                question.trim_end_matches([':', ' ']).to_lowercase()
            );
            let said = format!("{said}: standard input is no terminal");
            return Err(crate::report::CommandError::usage(said).hint("give --username and --password-stdin"));
        }
        self.stderr(question);
        Ok(())
    }

    /// Says something to the user on standard error that is no data, no warning and no error: a line of progress.
    pub fn note(&self, text: &str) {
        self.stderr(&format!("{}\n", for_terminal(text.as_bytes())));
    }

    /// Warns.
    pub fn warn(&self, text: &str) {
        self.log(Level::Warn, text);
    }

    /// Logs what interests only who looks for an error of ours.
    pub fn debug(&self, text: &str) {
        self.log(Level::Debug, text);
    }

    /// Logs, if the level lets it pass.
    pub fn log(&self, level: Level, text: &str) {
        if self.level.passes(level) {
            self.stderr(&level.line(self.voice, text, std::time::SystemTime::now()));
        }
    }

    /// Logs events. That they cannot be logged is said once, and fails nothing.
    pub fn happened(&self, log: &Log, events: &[Event]) {
        static SAID: AtomicBool = AtomicBool::new(false);
        if let Err(error) = log.append_all(events)
            && !SAID.swap(true, Ordering::Relaxed)
        {
            self.warn(&format!("events are not logged: {}", chain(&error)));
        }
    }

    /// Prints an error, once, at the end of a command.
    pub fn report(&self, error: &crate::report::CommandError) {
        self.stderr(&error.render(self.voice));
    }

    /// Standard error may be closed or full; there is nobody left to tell.
    fn stderr(self, text: &str) {
        drop(std::io::stderr().lock().write_all(text.as_bytes()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_that_went_away_is_told_apart() {
        let gone = OutputError::from(std::io::Error::from(std::io::ErrorKind::BrokenPipe));
        assert!(gone.is_broken_pipe());
        let error = crate::report::CommandError::from(gone);
        assert_eq!((error.render(Voice::Ctr).as_str(), error.code()), ("", crate::exit::Exit::BROKEN_PIPE));
        assert!(!OutputError::from(std::io::Error::other("x")).is_broken_pipe());
    }
}
