//! `ctr unshare`: a command in the user's namespace of ids, with mounts of its own.
//!
//! The process itself moves into A and a new mount namespace and becomes the command. What is mounted there (`ctr mount`)
//! lives as long as that session.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::Command;

use ctr_cli::app::Call;
use ctr_cli::exit::Exit;
use ctr_cli::report::CommandError;
use ctr_cli::usage::{Arity, Verb};
use ctr_userns::level_a::LevelA;

use crate::place::{Place, RUN_DIR};

/// The verb.
pub const VERB: Verb =
    Verb::new("[options] [COMMAND [ARG...]]", "Run a command in a modified user namespace")
        .long("Runs a command in a modified user namespace.")
        .examples(&["unshare id", "unshare cat /proc/self/uid_map", "unshare ctr mount NAME"])
        .refuses(&[&["rootless-netns"]])
        .arity(Arity::Any)
        .runs_a_command();

/// Becomes the command, or the user's shell.
///
/// # Errors
/// A cannot be entered, or the command not be run.
pub fn run(call: &Call) -> Result<Exit, CommandError> {
    let words: Vec<OsString> = match call.flags.args() {
        [] => vec![
            std::env::var_os("SHELL")
                .filter(|shell| !shell.is_empty())
                .ok_or_else(|| CommandError::user("no command specified and no $SHELL specified"))?,
        ],
        words => words.to_vec(),
    };
    let place = Place::find(&call.globals)?;
    let a = place.enter(true, &call.ui)?;
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).envs(environment(&a, &place));
    a.stay_listed();
    let err = command.exec();
    let exit = match err.kind() {
        std::io::ErrorKind::NotFound => Exit::NOT_FOUND,
        std::io::ErrorKind::PermissionDenied => Exit::NOT_EXECUTABLE,
        _ => Exit::FAILURE,
    };
    Err(CommandError::user(NotRun { command: words[0].to_string_lossy().into_owned(), source: err })
        .exit(exit))
}

/// The command could not be run.
#[derive(Debug, thiserror::Error)]
#[error("cannot run `{command}`")]
struct NotRun {
    command: String,
    source: std::io::Error,
}

/// Set in sessions, as in podman's.
const IN_SESSION: &str = "_CONTAINERS_USERNS_CONFIGURED";

/// Whether this process is in a session.
pub(super) fn is_session() -> bool {
    rustix::process::geteuid().is_root() && std::env::var_os(IN_SESSION).is_some()
}

/// What podman sets there, and the run directory, which may be named after a uid that is not ours any more.
fn environment(a: &LevelA, place: &Place) -> [(&'static str, OsString); 4] {
    let (uid, gid) = a.user();
    [
        (IN_SESSION, "done".into()),
        ("_CONTAINERS_ROOTLESS_UID", uid.to_string().into()),
        ("_CONTAINERS_ROOTLESS_GID", gid.to_string().into()),
        (RUN_DIR, place.own.run.clone().into()),
    ]
}
