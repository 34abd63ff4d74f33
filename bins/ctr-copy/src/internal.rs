//! Verbs that only programs of ours call.
//!
//! | verb | what |
//! |---|---|
//! | `__unpack` | the child in namespace A, with a socket as its stdin |
//! | `__settle DATA RUN` | flushes what was published; nobody waits for it |

use std::ffi::OsString;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::ExitCode;

use ctr_store::{Driver, Layout, Store, worker};

/// The verb of the child in A.
pub(crate) const UNPACK: &str = "__unpack";
/// The verb of the process that flushes.
pub(crate) const SETTLE: &str = "__settle";

/// What this process was started for by another of ours.
#[derive(Debug)]
pub enum Role {
    /// To live in A.
    Unpack,
    /// To flush a store.
    Settle(PathBuf, PathBuf),
}

/// Tells from the command line whether this process has such a role.
#[must_use]
pub fn role() -> Option<Role> {
    let mut args = std::env::args_os().skip(1);
    let verb = args.next()?;
    let path = |word: Option<OsString>| word.map(PathBuf::from);
    match verb.to_str()? {
        UNPACK => Some(Role::Unpack),
        SETTLE => Some(Role::Settle(path(args.next())?, path(args.next())?)),
        _ => None,
    }
}

impl Role {
    /// Plays the role. Whoever started it hears through the socket, or not at all.
    #[must_use]
    pub fn run(&self) -> ExitCode {
        let done = match self {
            Self::Unpack => unpack(),
            Self::Settle(data, run) => settle(data, run),
        };
        if done { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

fn unpack() -> bool {
    std::io::stdin().as_fd().try_clone_to_owned().is_ok_and(|socket| worker::serve(&socket).is_ok())
}

fn settle(data: &std::path::Path, run: &std::path::Path) -> bool {
    let layout = Layout { data: data.to_owned(), run: run.to_owned(), driver: Driver::Overlay };
    Store::open(&layout).is_ok_and(|store| store.settle().is_ok())
}
