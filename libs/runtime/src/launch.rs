//! The launcher's side of a container's start.
//!
//! # Theory of operation
//! The launcher is a single-threaded process in A. It carries `ctr-init` inside, writes it to a sealed memory file,
//! clones a child into the container's user and pid namespaces, writes the child's id maps, and sends it the first half
//! of the plan. The child execs `ctr-init` and makes the other namespaces, `/proc`, `/sys` and `/dev`, while the launcher
//! mounts the root. With the root and the binds as descriptors, the second half follows. From then on the launcher only
//! listens: the control socket closing means that the command was exec'd.
//!
//! The child is the launcher's own, also when a go-between bore it (CLONE_PARENT): whoever launched can wait for it.
//!
//! # Should
//! stay in A, with all its capabilities: the kernel's signal at the launcher's death counts with CAP_KILL over the
//! container's namespace only.
//!
//! # Mustn't
//! have threads; give up a descriptor that is not close-on-exec (the child's list of what stays open is built without it,
//! but a descriptor is better never there).

use std::fmt;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use ctr_sys::clone::{Birth, Child, SingleThreaded, bear, sealed};
use ctr_sys::control::{self, Order};
use ctr_sys::packet::MOST_BESIDE;
use ctr_sys::step::{Step, steps};
use ctr_userns::map::IdMap;
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, WaitId, WaitIdOptions, pidfd_open, pidfd_send_signal, waitid};

use crate::agent::{Agent, AgentError};
use crate::handshake::{Handshake, Meaning, Phase};
use crate::plan::{Main, Maps, Stage, joined};
use crate::spec::NamespaceKind;

/// `ctr-init`, as the build script made it.
pub(crate) const INIT: &[u8] = include_bytes!(env!("CTR_INIT"));

/// A container could not be started.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// Something the launcher does itself.
    #[error("cannot {doing}")]
    Launcher {
        /// What.
        doing: &'static str,
        /// Why.
        #[source]
        source: Errno,
    },
    /// A step of the plan.
    #[error("cannot {step}")]
    Step {
        /// What the step does, as it fits after "cannot".
        step: String,
        /// Whether it was the exec of the command itself.
        is_exec: bool,
        /// Why.
        #[source]
        source: Errno,
    },
    /// The first process ended without a word.
    #[error("the container's first process ended before it ran the command")]
    Ended,
    /// The seccomp agent.
    #[error(transparent)]
    Agent(#[from] AgentError),
    /// A descriptor for each of the plan's mounts was asked for.
    #[error("the plan needs {wanted} mounts, {given} were handed over")]
    Mounts {
        /// How many the plan asks for.
        wanted: usize,
        /// How many there were.
        given: usize,
    },
}

impl LaunchError {
    /// The exit code that stands for it: 127 for a command that is not there, 126 for one that cannot be run, else 125.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Step { is_exec: true, source, .. }
                if source.raw_os_error() == Errno::NOENT.raw_os_error() =>
            {
                127
            }
            Self::Step { is_exec: true, .. } => 126,
            _ => 125,
        }
    }
}

/// A best-effort step that failed, or one that took its fallback.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// What the step does, as it fits after "cannot".
    pub step: String,
    /// Why it did not go as it should.
    pub errno: Errno,
}

/// How a container ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// By itself, with this code.
    Code(u8),
    /// By this signal.
    Signal(u8),
}

impl Exit {
    /// The code a shell would show: 128 and the number for a signal.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Code(code) => code,
            Self::Signal(signal) => signal.saturating_add(128),
        }
    }
}

/// A container whose command runs.
#[derive(Debug)]
pub struct Running {
    /// The container's first process, in our pid namespace.
    pub pid: Pid,
    /// The same, to be polled, signalled and waited for.
    pub pidfd: OwnedFd,
    /// The master side of its terminal.
    pub terminal: Option<OwnedFd>,
    /// Where seccomp tells of calls, if no agent was told.
    pub listener: Option<OwnedFd>,
    /// What did not go as it should have.
    pub notices: Vec<Notice>,
    /// The command waits to be told by this socket to run.
    pub gate: Option<OwnedFd>,
}

impl Running {
    /// Waits for the container's end.
    ///
    /// # Errors
    /// ECHILD if somebody else has.
    pub fn wait(&self) -> Result<Exit, Errno> {
        wait(self.pidfd.as_fd())
    }
}

/// Waits for a child.
pub(crate) fn wait(pidfd: BorrowedFd<'_>) -> Result<Exit, Errno> {
    loop {
        match waitid(WaitId::PidFd(pidfd), WaitIdOptions::EXITED) {
            Err(Errno::INTR) | Ok(None) => {}
            Err(errno) => return Err(errno),
            Ok(Some(status)) => {
                let small = |number: i32| u8::try_from(number).unwrap_or(u8::MAX);
                return Ok(match (status.exit_status(), status.terminating_signal()) {
                    (Some(code), _) => Exit::Code(small(code)),
                    (None, signal) => Exit::Signal(signal.map_or(u8::MAX, small)),
                });
            }
        }
    }
}

/// A detached copy of the mount tree at an open file or directory, for [`Begun::finish`].
///
/// # Errors
/// EPERM without CAP_SYS_ADMIN over the mount namespace; EINVAL where locked mounts lie below and the copy is not
/// recursive.
pub fn tree(of: BorrowedFd<'_>, recursive: bool) -> Result<OwnedFd, Errno> {
    ctr_sys::mount::copy(of, recursive)
}

/// Where a container is started.
#[derive(Debug, Default, Clone, Copy)]
pub struct Surroundings<'a> {
    /// The namespaces that the specification says are joined.
    pub joined: &'a [(NamespaceKind, BorrowedFd<'a>)],
    /// The cgroup that the first process is born in.
    pub cgroup: Option<BorrowedFd<'a>>,
}

/// A container whose first process is there, at work on the first half of the plan.
///
/// Dropping it ends that process.
#[derive(Debug)]
pub struct Begun {
    child: Option<Child>,
    control: OwnedFd,
    handshake: Handshake,
    stage: Vec<u8>,
    terminal: Option<OwnedFd>,
    listener: Option<OwnedFd>,
    agent: Option<Agent>,
    notices: Vec<Notice>,
}

/// Puts the launcher's own failures into words.
pub(crate) trait Doing<T> {
    fn doing(self, doing: &'static str) -> Result<T, LaunchError>;
}

impl<T> Doing<T> for Result<T, Errno> {
    fn doing(self, doing: &'static str) -> Result<T, LaunchError> {
        self.map_err(|source| LaunchError::Launcher { doing, source })
    }
}

/// Clones the container's first process, and sets it to work.
///
/// # Errors
/// If it cannot be cloned, or not be given its ids. What fails later is told by [`Begun::finish`].
pub fn begin(
    proof: &SingleThreaded,
    stage: &Stage,
    surroundings: Surroundings<'_>,
) -> Result<Begun, LaunchError> {
    let program = sealed(c"ctr-init", INIT).doing("copy ctr-init to memory")?;
    let (ours, theirs) = control::pair().doing("make a socket for the container's first process")?;
    let namespaces = if stage.birth.is_some() { 0 } else { stage.born_with };
    let child = bear(
        proof,
        &Birth {
            namespaces,
            cgroup: surroundings.cgroup,
            program: program.as_fd(),
            control: theirs.as_fd(),
            parents: ours.as_fd(),
            waits: stage.birth.is_none(),
        },
    )
    .doing("clone the container's first process")?;
    // Our copy of the child's end, else its closing would never be seen.
    drop(theirs);
    let mut begun = Begun {
        child: Some(child),
        control: ours,
        handshake: Handshake::new(stage.birth.is_some()),
        stage: stage.steps.clone(),
        terminal: None,
        listener: None,
        agent: None,
        notices: Vec::new(),
    };
    begun.hand_over_namespaces(surroundings.joined)?;
    if let Some(birth) = &stage.birth {
        begun.execute(birth)?;
        begun.await_birth(birth)?;
    }
    if let Some(Maps { own, parent }) = &stage.maps {
        begun.write_map("uid_map", &own.uid, &parent.uid).doing("write the container's user id map")?;
        begun.write_map("gid_map", &own.gid, &parent.gid).doing("write the container's group id map")?;
    }
    begun.order(&Order::Go, &[])?;
    begun.execute(&stage.steps)?;
    // The kernel puts a new process behind the one that made it, idle processors or not. Its exec moves it to one that is:
    // from there on both work.
    rustix::thread::sched_yield();
    Ok(begun)
}

impl Begun {
    /// The container's first process, open.
    #[must_use]
    pub fn process(&self) -> Option<BorrowedFd<'_>> {
        self.child.as_ref().map(|child| child.pidfd.as_fd())
    }

    /// The id of the container's first process.
    #[must_use]
    pub fn pid(&self) -> Option<Pid> {
        self.child.as_ref().map(|child| child.pid)
    }

    /// Says who gets the listener as soon as there is one: the command may have to wait for its answers.
    pub fn tell(&mut self, agent: Agent) {
        self.agent = Some(agent);
    }

    /// Waits until the first half is done: the container's namespaces are there.
    ///
    /// # Errors
    /// The first step that failed.
    pub fn staged(&mut self) -> Result<(), LaunchError> {
        while self.handshake.phase() < Phase::Entering {
            self.listen(&[])?;
        }
        Ok(())
    }

    /// Hands over the root, a detached mount, and a detached mount for each of [`Main::given`]; returns when the command
    /// was exec'd, or could be.
    ///
    /// # Errors
    /// The first step that failed.
    pub fn finish(
        mut self,
        main: &Main,
        root: BorrowedFd<'_>,
        mounts: &[BorrowedFd<'_>],
    ) -> Result<Running, LaunchError> {
        if mounts.len() != main.given.len() {
            return Err(LaunchError::Mounts { wanted: main.given.len(), given: mounts.len() });
        }
        self.order(&Order::Take { base: main.root }, &[root])?;
        let mut base = main.first_given;
        for chunk in mounts.chunks(MOST_BESIDE) {
            self.order(&Order::Take { base }, chunk)?;
            base = base.saturating_add(u16::try_from(chunk.len()).unwrap_or(u16::MAX));
        }
        self.execute(&main.steps)?;
        let waits = loop {
            match self.listen(&main.steps)? {
                Meaning::Running => break false,
                Meaning::Waiting => break true,
                _ => {}
            }
        };
        let Some(child) = self.child.take() else { return Err(LaunchError::Ended) };
        let gate = if waits {
            Some(rustix::io::fcntl_dupfd_cloexec(&self.control, 3).doing("copy a descriptor")?)
        } else {
            None
        };
        Ok(Running {
            pid: child.pid,
            pidfd: child.pidfd,
            terminal: self.terminal.take(),
            listener: self.listener.take(),
            notices: std::mem::take(&mut self.notices),
            gate,
        })
    }

    /// Sends an order. A child that is gone has said why, or is about to be found out by its silence.
    fn order(&self, order: &Order, fds: &[BorrowedFd<'_>]) -> Result<(), LaunchError> {
        match control::order(self.control.as_fd(), order, fds) {
            Ok(()) | Err(Errno::PIPE | Errno::CONNRESET) => Ok(()),
            Err(source) => {
                Err(LaunchError::Launcher { doing: "instruct the container's first process", source })
            }
        }
    }

    /// Sends steps to execute.
    fn execute(&self, plan: &[u8]) -> Result<(), LaunchError> {
        let file = sealed(c"ctr-plan", plan).doing("write the plan to memory")?;
        self.order(&Order::Execute, &[file.as_fd()])
    }

    fn hand_over_namespaces(
        &self,
        namespaces: &[(NamespaceKind, BorrowedFd<'_>)],
    ) -> Result<(), LaunchError> {
        for (kind, namespace) in namespaces {
            self.order(&Order::Take { base: joined(*kind) }, &[*namespace])?;
        }
        Ok(())
    }

    /// Waits for the go-between to bear the process, and puts that in its place.
    fn await_birth(&mut self, birth: &[u8]) -> Result<(), LaunchError> {
        loop {
            if let Meaning::Born(pid) = self.listen(birth)? {
                let pid = Pid::from_raw(pid).ok_or(LaunchError::Ended)?;
                // It is our child, so its id stays its own until we wait for it.
                let pidfd =
                    pidfd_open(pid, PidfdFlags::empty()).doing("open the container's first process")?;
                let Some(between) = self.child.replace(Child { pid, pidfd }) else { return Ok(()) };
                return wait(between.pidfd.as_fd()).doing("wait for the go-between").map(drop);
            }
        }
    }

    /// Writes a map, a line for each extent of the parent's that it touches.
    fn write_map(&self, which: &str, map: &IdMap, parent: &IdMap) -> Result<(), Errno> {
        let pid = self.child.as_ref().ok_or(Errno::SRCH)?.pid.as_raw_nonzero();
        let lines = map.lines_in(parent).map_or_else(|_unmapped| plain(map), |lines| lines.to_string());
        write_whole(&format!("/proc/{pid}/{which}"), &lines)
    }

    fn hear_of_listener(&mut self, came: Option<OwnedFd>) -> Result<(), LaunchError> {
        match (self.agent.take(), self.pid(), came) {
            (Some(agent), Some(pid), Some(listener)) => {
                agent.tell(pid.as_raw_nonzero().get(), listener.as_fd())?;
            }
            (_, _, came) => self.listener = came,
        }
        Ok(())
    }

    /// Takes one report. `current` is the plan of the phase that is not the stage's.
    fn listen(&mut self, current: &[u8]) -> Result<Meaning, LaunchError> {
        let mut came = None;
        let report = control::next_report(self.control.as_fd(), |fd| came = Some(fd));
        let meaning = self.handshake.hear(report.doing("listen to the container's first process")?);
        let plan = |phase: Phase, stage: &[u8]| {
            if phase == Phase::Staging { stage.to_vec() } else { current.to_vec() }
        };
        match meaning {
            Meaning::Progress | Meaning::Born(_) | Meaning::Waiting | Meaning::Running => {}
            Meaning::Terminal => self.terminal = came,
            Meaning::Listener => self.hear_of_listener(came)?,
            Meaning::Notice { phase, step, errno } => {
                let step = phrase(&plan(phase, &self.stage), step).0;
                self.notices.push(Notice { step, errno: Errno::from_raw_os_error(errno) });
            }
            Meaning::Failure { phase, step, errno } => {
                let (step, is_exec) = phrase(&plan(phase, &self.stage), step);
                return Err(LaunchError::Step { step, is_exec, source: Errno::from_raw_os_error(errno) });
            }
            Meaning::Stillborn(errno) => {
                let source = Errno::from_raw_os_error(errno);
                return Err(LaunchError::Launcher { doing: "start ctr-init", source });
            }
            Meaning::Broken => return Err(LaunchError::Ended),
        }
        Ok(meaning)
    }
}

/// A map that the parent does not hold, for the kernel to refuse.
fn plain(map: &IdMap) -> String {
    map.extents().iter().map(|extent| format!("{} {} {}\n", extent.inner, extent.outer, extent.len)).collect()
}

/// Writes a file of procfs that takes one write or none.
fn write_whole(path: &str, text: &str) -> Result<(), Errno> {
    let file = openat(CWD, path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
    let written = rustix::io::write(&file, text.as_bytes())?;
    if written == text.len() { Ok(()) } else { Err(Errno::IO) }
}

/// A start that was given up takes its process along.
impl Drop for Begun {
    fn drop(&mut self) {
        if let Some(child) = self.child.take() {
            // It may have ended by itself; either way it is waited for.
            pidfd_send_signal(&child.pidfd, rustix::process::Signal::KILL).ok();
            wait(child.pidfd.as_fd()).ok();
        }
    }
}

/// A step of a plan in words, and whether it is the exec.
pub(crate) fn phrase(plan: &[u8], step: u32) -> (String, bool) {
    let step = usize::try_from(step).ok().and_then(|at| steps(plan).nth(at));
    match step {
        Some(planned) => {
            (planned.to_string(), matches!(planned.step, Step::Exec { .. } | Step::Await { .. }))
        }
        None => ("understand the plan".to_owned(), false),
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {}: {}", self.step, ctr_core::causes::chain(&self.errno))
    }
}
