//! Detached commands, which nobody waits for: a note for each, `exec/<session>/exec_pid` in the container's folder.
//!
//! A note says who the command is. That it runs still is asked of the kernel, since nobody is there to remove the note when
//! it ends: whoever makes the next one clears the void ones away. A foreground command is its caller's child and is not
//! noted. The files are called as Podman calls its own.

use std::io::ErrorKind::{DirectoryNotEmpty, NotFound};
use std::path::{Path, PathBuf};

use ctr_core::file::{self, FileError};
use ctr_core::id::ContainerId;
use ctr_core::process::Identity;
use ctr_core::{atomic, limits};
use rustix::process::Pid;

use crate::containers::{Container, ids_in};

/// The note in a session's folder.
const NOTE: &str = "exec_pid";

/// Notes a command that was detached.
///
/// # Errors
/// A file cannot be written.
pub fn note(container: &Container, session: &ContainerId, command: Pid) -> Result<(), FileError> {
    let command = match Identity::of(command.as_raw_nonzero().get().unsigned_abs()) {
        Ok(command) => command,
        // It has ended already.
        Err(error) if error.is_missing() => return Ok(()),
        Err(error) => return Err(error),
    };
    let sessions = folder(container);
    // One without a note is about to get it.
    let is_void = |folder: &PathBuf| folder.join(NOTE).exists() && !runs(folder);
    for void in ids_in(&sessions)?.iter().map(|session| sessions.join(session)).filter(is_void) {
        clear(&void)?;
    }
    let folder = sessions.join(session.as_str());
    atomic::private_directory(&folder)?;
    let path = folder.join(NOTE);
    let text = serde_json::to_vec(&command).map_err(|error| FileError::new("write", &path, error))?;
    atomic::write_transient(&path, &text)
}

/// The sessions whose commands run.
///
/// # Errors
/// The notes cannot be listed.
pub fn running(container: &Container) -> Result<Vec<String>, FileError> {
    let folder = folder(container);
    let mut sessions = ids_in(&folder)?;
    sessions.retain(|session| runs(&folder.join(session)));
    sessions.sort();
    Ok(sessions)
}

fn folder(container: &Container) -> PathBuf {
    container.folder.join("exec")
}

/// Whether the command of a session runs; a note that cannot be read says nothing.
fn runs(session: &Path) -> bool {
    let command = file::read_json::<Identity>(&session.join(NOTE), limits::RECORD);
    command.is_ok_and(|command| command.runs().unwrap_or(false))
}

/// Clears a session away.
fn clear(session: &Path) -> Result<(), FileError> {
    atomic::remove(&session.join(NOTE))?;
    match std::fs::remove_dir(session) {
        Err(error) if !matches!(error.kind(), NotFound | DirectoryNotEmpty) => {
            Err(FileError::new("remove", session, error))
        }
        _ => Ok(()),
    }
}
