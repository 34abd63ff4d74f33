//! Detached commands, which nobody waits for: a note for each in `exec/` in the container's folder.
//!
//! A note says who the command is. That it runs still is asked of the kernel, since nobody is there to remove the note when
//! it ends: whoever makes the next one clears the void ones away. A foreground command is its caller's child and is not
//! noted. The files are called as Podman calls its own.

use std::path::{Path, PathBuf};

use ctr_core::file::{self, FileError};
use ctr_core::id::ContainerId;
use ctr_core::process::Identity;
use ctr_core::{atomic, limits};
use rustix::process::Pid;

use crate::containers::{Container, names_in};

/// How the name of a note begins; the session's id follows.
const NOTE: &str = "exec_pid_";

/// Notes a command that was detached.
///
/// # Errors
/// A file cannot be written.
pub fn note(container: &Container, session: &ContainerId, command: Pid) -> Result<(), FileError> {
    let folder = folder(container);
    let command = match Identity::of(command.as_raw_nonzero().get().unsigned_abs()) {
        Ok(command) => command,
        // It has ended already.
        Err(error) if error.is_missing() => return Ok(()),
        Err(error) => return Err(error),
    };
    atomic::private_directory(&folder)?;
    for (path, _) in notes(&folder)?.into_iter().filter(|(path, _)| !runs(path)) {
        atomic::remove(&path)?;
    }
    let path = folder.join(format!("{NOTE}{session}"));
    let text = serde_json::to_vec(&command);
    let text = text.map_err(|error| FileError::new("write", &path, error))?;
    atomic::write_transient(&path, &text)
}

/// The sessions whose commands run.
///
/// # Errors
/// The notes cannot be listed.
pub fn running(container: &Container) -> Result<Vec<String>, FileError> {
    let notes = notes(&folder(container))?.into_iter();
    let mut sessions: Vec<String> =
        notes.filter(|(path, _)| runs(path)).map(|(_, session)| session).collect();
    sessions.sort();
    Ok(sessions)
}

fn folder(container: &Container) -> PathBuf {
    container.folder.join("exec")
}

/// The notes in a folder: where, and of which session.
fn notes(folder: &Path) -> Result<Vec<(PathBuf, String)>, FileError> {
    let names = names_in(folder)?.into_iter();
    let note = |name: String| {
        let session = name.strip_prefix(NOTE)?;
        ContainerId::parse(session).is_ok().then(|| (folder.join(&name), session.to_owned()))
    };
    Ok(names.filter_map(note).collect())
}

/// Whether the command of a note runs; one that cannot be read says nothing.
fn runs(note: &Path) -> bool {
    let command = file::read_json::<Identity>(note, limits::RECORD);
    command.is_ok_and(|command| command.runs().unwrap_or(false))
}
