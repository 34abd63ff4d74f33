//! Running a command in a container that runs.
//!
//! # Theory of operation
//! ```text
//! U   find the container's first process, by its identity and not by its number
//!     read who is who in the container, below a handle on that process' root
//!     process of a specification → plan → ctr-init enters by the descriptor, and becomes the command
//!     wait for the command
//! ```
//! Nobody else is asked: whoever made A has all capabilities over it and below, and whoever supervises the container does
//! not learn of it. Nothing enters but `ctr-init`, which is hidden until it is the command.
//!
//! # The end of it
//! The command is our child. Signals that would end us are its to hear; if we are killed all the same, so is it, and where
//! it has a terminal that hangs up. Podman leaves it running, with nobody to hear it. Whoever wants that says `--detach`:
//! then a process that does nothing else waits for it, as one inside a pid namespace that nobody waits for would keep that
//! namespace from ending. Where there are detach keys to be typed such a process is there from the start, as the command's
//! parent cannot be changed later; it ends as the command ends, and is told of the terminal only when the user leaves.
//!
//! # Invariants
//! Rights come from the record: a command has what the container's first had, less where it runs as another user, and its
//! calls are filtered alike. `--privileged` gives capabilities and takes no filter away, as in Podman.

mod process;
mod reach;
pub mod session;

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use ctr_core::file::FileError;
use ctr_core::id::ContainerId;
use ctr_core::rooted::TreeError;
use ctr_runtime::agent::AgentError;
use ctr_runtime::join::{self, Joined};
use ctr_runtime::launch::{LaunchError, Notice, Running};
use ctr_runtime::plan::{self, Bond, PlanError, Visit};
use ctr_runtime::seccomp::CompileError;
use ctr_sys::clone::SingleThreaded;
use ctr_userns::entry::EntryError;
use rustix::io::Errno;
use rustix::process::Pid;

use crate::attach::DetachKeys;
use crate::containers::Container;
use crate::env::{EnvError, EnvRequest, HostEnv};
use crate::run::AccountsError;
use crate::security::SecurityError;
use crate::supervise::{End, Rules, SuperviseError, Waited, Watch};
use crate::terminal::{self, Terminal};
use crate::user::UserError;

pub use process::Filter;
pub(crate) use reach::{accounts, root};

/// What `exec` was asked for.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// The command and its arguments.
    pub words: Vec<String>,
    /// `-e` and `--env-file`.
    pub env: EnvRequest,
    /// The environment of whoever runs `ctr`.
    pub host_env: HostEnv,
    /// `-u`; else the container's user.
    pub user: Option<String>,
    /// `-w`; else where the container's command started.
    pub workdir: Option<String>,
    /// `--privileged`.
    pub privileged: bool,
    /// `-i`.
    pub interactive: bool,
    /// `-t`.
    pub terminal: bool,
    /// `--preserve-fd` and `--preserve-fds`.
    pub preserve_fds: Vec<u32>,
    /// `--detach-keys`.
    pub detach_keys: DetachKeys,
}

impl Request {
    /// Whether there is a terminal to type the detach keys on.
    fn may_be_left(&self) -> bool {
        let has_keys = self.detach_keys != DetachKeys::none();
        has_keys && self.terminal && self.interactive && terminal::stdin_is_terminal()
    }
}

/// The user's own way into A, for files of a container that only its ids may read.
#[derive(Debug, Clone, Copy)]
pub struct Way<'a> {
    /// The user's own run directory, whatever `--root` and `--runroot` say.
    pub user_run: &'a Path,
    /// The user's name where `/etc/passwd` has none.
    pub user: Option<&'a str>,
}

/// A command did not run in a container.
#[derive(Debug, thiserror::Error)]
pub enum ExecError {
    /// Nothing to run.
    #[error("must provide a non-empty command to start an exec session: invalid argument")]
    NoCommand,
    /// Nothing can be entered.
    #[error("can only create exec sessions on running containers: container {0} is not running")]
    NotRunning(String),
    /// A namespace of the host that is not ours, and that nobody but its owner can enter.
    #[error("container {container} shares the {kind} namespace of a host that is not the one here")]
    Elsewhere {
        /// The container.
        container: String,
        /// Which namespace.
        kind: &'static str,
    },
    /// passwd and group.
    #[error(transparent)]
    Accounts(#[from] AccountsError),
    /// The container's root.
    #[error("cannot open the root of the container")]
    Root(#[source] Errno),
    /// A tree of the container.
    #[error("cannot read the files of the container")]
    Tree(#[from] TreeError),
    /// The user.
    #[error(transparent)]
    User(#[from] UserError),
    /// A variable.
    #[error(transparent)]
    Env(#[from] EnvError),
    /// An argument with a byte that none can hold.
    #[error("the argument {0:?} holds a NUL byte")]
    Nul(String),
    /// A working directory that is relative.
    #[error("the working directory {0:?} is invalid, it needs to be an absolute path")]
    Relative(String),
    /// A working directory that the container has not.
    #[error("workdir {path:?} does not exist on container {container}")]
    Workdir {
        /// The directory.
        path: String,
        /// The container.
        container: String,
    },
    /// What the record says of the container's rights.
    #[error(transparent)]
    Security(#[from] SecurityError),
    /// The profile of system calls.
    #[error("cannot use the seccomp profile")]
    Seccomp(#[from] CompileError),
    /// A profile in a file.
    #[error("cannot read the seccomp profile {path}")]
    Profile {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: ctr_runtime::seccomp::ProfileError,
    },
    /// The program that answers where a profile asks.
    #[error(transparent)]
    Agent(#[from] AgentError),
    /// A file of ours.
    #[error(transparent)]
    File(#[from] FileError),
    /// Entering A.
    #[error(transparent)]
    Enter(#[from] EntryError),
    /// The plan.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The start.
    #[error(transparent)]
    Launch(#[from] LaunchError),
    /// More than one thread, or no /proc.
    #[error("cannot clone a process")]
    Clone(#[source] Errno),
    /// A descriptor that is not open.
    #[error(
        "file descriptor {0} is not available - the preserve-fd option requires that file descriptors must be passed"
    )]
    NotOpen(u32),
    /// Standard input, output and error.
    #[error("cannot use /dev/null")]
    Streams(#[source] Errno),
    /// The command's program is not there, or cannot be run.
    #[error("cannot run `{command}` in the container")]
    Command {
        /// The program as it was asked for.
        command: String,
        /// Why.
        #[source]
        errno: Errno,
    },
    /// It ended as the user left it, or who was to stay with it is gone.
    #[error("cannot leave the command to itself")]
    Leave(#[source] Errno),
    /// Waiting.
    #[error(transparent)]
    Supervise(#[from] SuperviseError),
}

/// What became of a command that was waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finish {
    /// It ended.
    Ended(End),
    /// It runs, and the user has left it, as with [`detached`].
    Left(Pid),
}

/// Runs a command and waits for its end, or until the user leaves it.
///
/// # Errors
/// It could not be started, or its end could not be learned.
pub fn foreground(
    container: &Container,
    request: &Request,
    way: Way<'_>,
    started: &mut dyn FnMut(Vec<Notice>),
) -> Result<Finish, ExecError> {
    let ready = Ready::make(container, request, way)?;
    if !request.interactive && !request.terminal {
        rustix::stdio::dup2_stdin(&null(false)?).map_err(ExecError::Streams)?;
    }
    let watch = Watch::begin(Rules { proxy: true, timeout: None, terminal: request.terminal })?;
    let facing = |master| Terminal::new(master, request.interactive, request.detach_keys.clone());
    match start(ready, bond(request))? {
        Joined::Ours(Running { pidfd, terminal, notices, .. }) => {
            started(notices);
            let terminal = terminal.map(facing);
            Ok(Finish::Ended(watch.wait(Waited::alone(pidfd.as_fd()), terminal.as_ref(), None)?))
        }
        Joined::Leashed(Running { pid, pidfd, terminal, notices, .. }, leash) => {
            started(notices);
            let terminal = terminal.map(facing).ok_or(LaunchError::Ended)?;
            let waited = Waited { ends: leash.holder(), hears: pidfd.as_fd() };
            match watch.wait(waited, Some(&terminal), None)? {
                End::Left => {
                    leash.release(terminal.master()).map_err(ExecError::Leave)?;
                    Ok(Finish::Left(pid))
                }
                end => Ok(Finish::Ended(end)),
            }
        }
        Joined::Released { .. } => Err(LaunchError::Ended.into()),
    }
}

/// How a command that is waited for is bound to us.
fn bond(request: &Request) -> Bond {
    match (request.terminal, request.may_be_left()) {
        (false, _) => Bond::Life,
        (true, false) => Bond::Terminal,
        (true, true) => Bond::Leash,
    }
}

/// Starts it. What stays behind with it has nothing of our standard input, output and error; where it has a terminal,
/// neither has the command.
fn start(ready: Ready<'_>, bond: Bond) -> Result<Joined, ExecError> {
    let _silence = matches!(bond, Bond::Leash | Bond::None).then(Silence::fall).transpose()?;
    ready.start(bond)
}

/// Runs a command that nobody listens to, and returns once it runs, which `started` is told with what took its fallback.
/// Says who it is, for [`session::note`].
///
/// # Errors
/// It could not be started.
pub fn detached(
    container: &Container,
    request: &Request,
    way: Way<'_>,
    started: &mut dyn FnMut(Vec<Notice>),
) -> Result<Pid, ExecError> {
    let ready = Ready::make(container, request, way)?;
    match start(ready, Bond::None)? {
        Joined::Released { pid, notices }
        | Joined::Ours(Running { pid, notices, .. })
        | Joined::Leashed(Running { pid, notices, .. }, _) => {
            started(notices);
            Ok(pid)
        }
    }
}

/// All that is known before anything enters.
struct Ready<'a> {
    container: &'a Container,
    init: OwnedFd,
    process: ctr_runtime::spec::Process,
    visit: Visit,
    filter: Filter,
}

impl<'a> Ready<'a> {
    fn make(container: &'a Container, request: &Request, way: Way<'_>) -> Result<Self, ExecError> {
        if request.words.is_empty() {
            return Err(ExecError::NoCommand);
        }
        check_preserved(&request.preserve_fds)?;
        let not_running = || ExecError::NotRunning(container.record.id.to_string());
        // What waits for its command is not for commands yet.
        let state = container.state.as_ref().filter(|state| !state.waiting).ok_or_else(not_running)?;
        let init = state.init.open()?.ok_or_else(not_running)?;
        let namespaces = reach::namespaces(container, state)?;
        let who = process::who(container, request, || reach::accounts(state, way))?;
        let process = process::make(container, state, request, &who)?;
        let filter = process::filter(container, state)?;
        let visit = Visit {
            namespaces,
            keep_groups: process::keeps_groups(container),
            no_keyring: container.record.host.no_keyring,
            preserved: request.preserve_fds.clone(),
            ..Visit::default()
        };
        Ok(Self { container, init, process, visit, filter })
    }

    fn start(self, bond: Bond) -> Result<Joined, ExecError> {
        let Self { container, init, process, visit, filter } = self;
        let plan = plan::join(&process, &Visit { bond, seccomp: filter.program, ..visit })?;
        let proof = SingleThreaded::here().map_err(ExecError::Clone)?;
        join::join(&proof, &plan, init.as_fd(), filter.agent)
            .map_err(|error| told(error, &process, &container.record.id))
    }
}

/// What is to be passed on must be the user's: a number that is free now would name a descriptor of ours later.
fn check_preserved(fds: &[u32]) -> Result<(), ExecError> {
    let closed = |fd: &&u32| std::fs::symlink_metadata(format!("/proc/self/fd/{fd}")).is_err();
    fds.iter().find(closed).map_or(Ok(()), |fd| Err(ExecError::NotOpen(*fd)))
}

/// Errors of the start in the words of what was asked for.
fn told(error: LaunchError, process: &ctr_runtime::spec::Process, container: &ContainerId) -> ExecError {
    match error {
        LaunchError::Step { is_exec: true, source, .. } => {
            ExecError::Command { command: process.args.first().cloned().unwrap_or_default(), errno: source }
        }
        LaunchError::Step { ref step, source, .. }
            if matches!(source, Errno::NOENT | Errno::NOTDIR)
                && step.starts_with("change to the directory") =>
        {
            ExecError::Workdir { path: process.cwd.clone(), container: container.to_string() }
        }
        // It ended between two of our looks at it.
        LaunchError::Step { ref step, source: Errno::SRCH, .. } if step == "enter the container" => {
            ExecError::NotRunning(container.to_string())
        }
        other => other.into(),
    }
}

fn null(writes: bool) -> Result<File, ExecError> {
    let file = File::options().read(true).write(writes).open("/dev/null");
    Ok(file.map_err(|error| FileError::new("open", "/dev/null", error))?)
}

/// Standard input, output and error are nobody's until it is dropped: what is started meanwhile has them so for good.
struct Silence([OwnedFd; 3]);

impl Silence {
    fn fall() -> Result<Self, ExecError> {
        use rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout, stderr, stdin, stdout};
        let null = null(true)?;
        let copy = |fd| rustix::io::fcntl_dupfd_cloexec(fd, 3).map_err(ExecError::Streams);
        let before = Self([copy(stdin())?, copy(stdout())?, copy(stderr())?]);
        for replaced in [dup2_stdin(&null), dup2_stdout(&null), dup2_stderr(&null)] {
            replaced.map_err(ExecError::Streams)?;
        }
        Ok(before)
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        let [input, output, error] = &self.0;
        // Descriptors that are open can be copied to numbers that are in use.
        rustix::stdio::dup2_stdin(input).unwrap_or_default();
        rustix::stdio::dup2_stdout(output).unwrap_or_default();
        rustix::stdio::dup2_stderr(error).unwrap_or_default();
    }
}
