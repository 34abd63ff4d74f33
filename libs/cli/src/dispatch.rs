//! Becoming the program that has the verb.
//!
//! Programs of ours lie side by side in one directory, and are found beside `/proc/self/exe`, never by PATH: a verb must
//! not mean another program because somebody's directory comes first. The build's identity goes along in the environment:
//! two builds agree on nothing but their names.

use crate::release;
use crate::report::CommandError;
use crate::verbs::Program;
use std::ffi::{OsStr, OsString};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;

/// The variable that carries the build's identity to a sibling.
pub const BUILD: &str = "CTR_BUILD";

/// The variable that carries our process id to a sibling that is a child of ours, and ends with us.
pub const CHILD: &str = "CTR_CHILD";

/// A sibling that cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum SiblingError {
    /// We do not know where we lie.
    #[error("cannot find {program}: cannot read /proc/self/exe")]
    Nowhere {
        /// The sibling's name.
        program: &'static str,
        /// Why.
        source: std::io::Error,
    },
    /// The sibling does not start.
    #[error("cannot start {}", path.display())]
    Start {
        /// Where it should lie.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The sibling is of another build.
    #[error("cannot start {program}: it is of build {ours}, the program that called it is of build {theirs}")]
    Build {
        /// The sibling's name.
        program: &'static str,
        /// The build of the one that was started.
        ours: String,
        /// The build of the one that started it.
        theirs: String,
    },
}

impl From<SiblingError> for CommandError {
    fn from(error: SiblingError) -> Self {
        let hint = match &error {
            SiblingError::Nowhere { .. } => "mount /proc",
            SiblingError::Start { .. } | SiblingError::Build { .. } => {
                "install all programs of one build again: make install PREFIX=… in the source tree"
            }
        };
        Self::environment(error).hint(hint)
    }
}

/// Where a sibling lies.
///
/// # Errors
/// `/proc` cannot be read.
pub fn path(program: Program) -> Result<PathBuf, SiblingError> {
    let own = std::fs::read_link("/proc/self/exe")
        .map_err(|source| SiblingError::Nowhere { program: program.file(), source })?;
    Ok(own.with_file_name(program.file()))
}

/// Becomes a sibling, with the words of our own command line. Returns only if that fails.
#[must_use]
pub fn become_sibling(program: Program, argv: &[OsString]) -> SiblingError {
    let path = match path(program) {
        Ok(path) => path,
        Err(error) => return error,
    };
    let argv0 = argv.first().map_or(OsStr::new(program.file()), OsString::as_os_str);
    let mut command = std::process::Command::new(&path);
    command.arg0(argv0).args(argv.iter().skip(1)).env(BUILD, release::id());
    SiblingError::Start { path, source: command.exec() }
}

/// Refuses to run for a program of another build.
///
/// # Errors
/// The one that started us is of another build.
pub fn check_build(program: Program, carried: Option<&OsStr>) -> Result<(), SiblingError> {
    let ours = release::id();
    match carried {
        Some(theirs) if theirs != ours.as_str() => Err(SiblingError::Build {
            program: program.file(),
            ours,
            theirs: ctr_core::foreign::for_terminal(theirs.as_encoded_bytes()),
        }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn siblings_lie_beside_us() {
        let path = path(Program::Copy).expect("a path");
        let own = std::env::current_exe().expect("own path");
        assert_eq!(path.parent(), own.parent());
        assert_eq!(path.file_name(), Some(OsStr::new("ctr-copy")));
    }

    #[test]
    fn another_build_is_refused_with_the_remedy() {
        assert!(check_build(Program::Run, None).is_ok());
        assert!(check_build(Program::Run, Some(OsStr::new(&release::id()))).is_ok());
        let error = check_build(Program::Run, Some(OsStr::new("9\u{1b}"))).expect_err("another build");
        let text = CommandError::from(error).render(crate::voice::Voice::Ctr);
        assert!(text.contains("is of build 9\\x1b") && text.contains("\nhint: install"), "{text}");
    }

    #[test]
    fn a_missing_sibling_is_named() {
        let error = become_sibling(Program::Copy, &[]);
        let text = CommandError::from(error).to_string();
        assert!(text.starts_with("cannot start /") && text.ends_with("(ENOENT)"), "{text}");
    }
}
