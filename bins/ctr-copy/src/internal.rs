//! Verbs that only programs of ours call.
//!
//! | verb | what |
//! |---|---|
//! | `__unpack` | the child in namespace A, with a socket as its stdin |
//! | `__settle DATA RUN` | flushes what was published; nobody waits for it |
//! | `__trees DATA RUN OWN_RUN IMAGE ADDITIONAL…` | unpacks again what an image lacks; ends with 0 when it is all there |

use std::ffi::{OsStr, OsString};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::ExitCode;

use ctr_cli::exit::Exit;
use ctr_cli::log::Level;
use ctr_cli::report::CommandError;
use ctr_cli::ui::Ui;
use ctr_cli::voice::Voice;
use ctr_store::ingest::Ingest;
use ctr_store::session::Session;
use ctr_store::worker::{Setup, Worker};
use ctr_store::{Driver, ImageId, Layout, Store, load, worker};
use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};

use crate::context::program;
use crate::error::{of, of_copy, of_worker};

/// The verb of the child in A.
pub(crate) const UNPACK: &str = "__unpack";
/// The verb of the process that flushes.
pub(crate) const SETTLE: &str = "__settle";

/// The verb that unpacks again what an image lacks.
const TREES: &str = "__trees";

/// What this process was started for by another of ours.
#[derive(Debug)]
pub enum Role {
    /// To live in A.
    Unpack,
    /// To flush a store.
    Settle(PathBuf, PathBuf),
    /// To make the trees of an image.
    Trees {
        /// Which store, and whose A.
        setup: Setup,
        /// Which image.
        image: String,
    },
}

/// Has this process end with the one of this id, if that is its parent: it waits for us, and nobody else does. Returns whether it
/// has gone already.
#[must_use]
pub fn end_with(parent: Option<&OsStr>) -> bool {
    let parent = parent.and_then(|text| text.to_str()?.parse().ok()).and_then(Pid::from_raw);
    if parent.is_none() || getppid() != parent {
        return false;
    }
    // If the kernel does not know how, a killed parent's pull goes on to its end.
    let _asked = set_parent_process_death_signal(Some(Signal::TERM));
    getppid() != parent
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
        TREES => {
            let (data, run, own_run) = (path(args.next())?, path(args.next())?, path(args.next())?);
            let image = args.next()?.into_string().ok()?;
            let additional = args.map(PathBuf::from).collect();
            Some(Role::Trees { setup: Setup { data, run, own_run, user: user(), additional }, image })
        }
        _ => None,
    }
}

/// The name of the user as the environment has it.
pub(crate) fn user() -> Option<String> {
    std::env::var("USER").or_else(|_| std::env::var("LOGNAME")).ok()
}

impl Role {
    /// Plays the role. Whoever started it hears through the socket, through the exit code, or not at all.
    #[must_use]
    pub fn run(&self) -> ExitCode {
        let done = match self {
            Self::Trees { setup, image } => return trees(setup, image),
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
    let layout = Layout::new(data.to_owned(), run.to_owned(), Driver::Overlay);
    Store::open(&layout).is_ok_and(|store| store.settle().is_ok())
}

fn trees(setup: &Setup, image: &str) -> ExitCode {
    let ui = Ui::new(Voice::Ctr, Level::default());
    match restore(setup, image) {
        Ok(()) => Exit::SUCCESS.into(),
        Err(error) => {
            ui.report(&error);
            error.code().into()
        }
    }
}

fn restore(setup: &Setup, image: &str) -> Result<(), CommandError> {
    let store = Store::open(&setup.layout()).map_err(of)?;
    let id = ImageId::parse(image).map_err(of)?;
    let image = store.image(id).map_err(of)?;
    let worker = Worker::spawn(&mut program(UNPACK), setup).map_err(of_worker)?;
    let session = Session::begin(&store).map_err(of)?;
    load::restore(Ingest { session: &session, worker: &worker }, &image).map_err(of_copy)
}
