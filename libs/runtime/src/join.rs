//! The launcher's side of a process that joins a running container.
//!
//! # Theory of operation
//! As in [`crate::launch`], `ctr-init` is run from a sealed memory file and fed a plan, but only one: it enters the
//! namespaces of the container's first process by a descriptor of that, in one call, becomes two (a pid namespace is
//! entered by children only), and the younger goes on to the command. That one is the launcher's own child, or, where
//! the launcher will not or may not wait for it, a child of the elder, which then stays.
//!
//! # Process context
//! Single-threaded, in the namespace that A was made from or in A: whoever made A has every capability over it and over
//! what lies below.
//!
//! # Mustn't
//! enter anything itself: what has entered can be looked at from inside.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use ctr_sys::clone::{Birth, Child, SingleThreaded, bear, sealed};
use ctr_sys::control::{self, Order};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::agent::Agent;
use crate::handshake::{Handshake, Meaning};
use crate::launch::{Doing, INIT, LaunchError, Notice, Running, phrase, wait};
use crate::plan::{Bond, Joining};

/// A process that joined and runs its command.
#[derive(Debug)]
pub enum Joined {
    /// Our own child.
    Ours(Running),
    /// A child of a process that is our own, as long as we want it to be.
    Leashed(Running, Leash),
    /// Somebody else waits for it.
    Released {
        /// Its id in our pid namespace.
        pid: Pid,
        /// What did not go as it should have.
        notices: Vec<Notice>,
    },
}

/// The process that a command is a child of. If it is dropped the command's terminal hangs up.
#[derive(Debug)]
pub struct Leash {
    holder: OwnedFd,
    socket: OwnedFd,
}

impl Leash {
    /// A child of ours that ends when the command does, with its exit code.
    #[must_use]
    pub fn holder(&self) -> BorrowedFd<'_> {
        self.holder.as_fd()
    }

    /// Lets the command go on without us: its terminal is read and forgotten from now on.
    ///
    /// # Errors
    /// EPIPE if it has ended.
    pub fn release(self, master: BorrowedFd<'_>) -> Result<(), Errno> {
        control::order(self.socket.as_fd(), &Order::Take { base: 0 }, &[master])
    }
}

/// Runs a command in the container of a process; returns when it was exec'd.
///
/// # Errors
/// The first step that failed.
pub fn join(
    proof: &SingleThreaded,
    plan: &Joining,
    process: BorrowedFd<'_>,
    agent: Option<Agent>,
) -> Result<Joined, LaunchError> {
    let program = sealed(c"ctr-init", INIT).doing("copy ctr-init to memory")?;
    let steps = sealed(c"ctr-plan", &plan.steps).doing("write the plan to memory")?;
    let (ours, theirs) = control::pair().doing("make a socket for the process")?;
    // Both wait in the socket before there is anybody to take them.
    order(ours.as_fd(), &Order::Take { base: plan.visited }, process)?;
    let leash = if plan.bond == Bond::Leash {
        let (socket, holders) = control::pair().doing("make a socket for the process")?;
        order(ours.as_fd(), &Order::Take { base: plan.leash }, holders.as_fd())?;
        Some(socket)
    } else {
        None
    };
    order(ours.as_fd(), &Order::Execute, steps.as_fd())?;
    let child = bear(
        proof,
        &Birth {
            namespaces: 0,
            cgroup: None,
            program: program.as_fd(),
            control: theirs.as_fd(),
            parents: ours.as_fd(),
            waits: false,
        },
    )
    .doing("clone a process")?;
    // Our copy of the child's end, else its closing would never be seen.
    drop(theirs);
    let start = Start {
        plan,
        control: ours,
        handshake: Handshake::joining(),
        elder: Some(child),
        younger: None,
        leash,
        agent,
        terminal: None,
        listener: None,
        notices: Vec::new(),
    };
    start.finish()
}

fn order(control: BorrowedFd<'_>, order: &Order, fd: BorrowedFd<'_>) -> Result<(), LaunchError> {
    control::order(control, order, &[fd]).doing("instruct the process")
}

/// A process on its way in. Dropping it ends the one that is ours.
#[derive(Debug)]
struct Start<'a> {
    plan: &'a Joining,
    control: OwnedFd,
    handshake: Handshake,
    /// The one that entered.
    elder: Option<Child>,
    /// The one that goes on.
    younger: Option<Younger>,
    /// What holds the elder, until it is let go.
    leash: Option<OwnedFd>,
    agent: Option<Agent>,
    terminal: Option<OwnedFd>,
    listener: Option<OwnedFd>,
    notices: Vec<Notice>,
}

/// The process that becomes the command.
#[derive(Debug)]
enum Younger {
    /// Nobody else waits for it as long as we do not want it.
    Open(Child),
    Elders(Pid),
}

impl Start<'_> {
    fn finish(mut self) -> Result<Joined, LaunchError> {
        while !self.listen()? {}
        let notices = std::mem::take(&mut self.notices);
        match self.younger.take().ok_or(LaunchError::Ended)? {
            Younger::Open(Child { pid, pidfd }) => {
                let (terminal, listener) = (self.terminal.take(), self.listener.take());
                let running = Running { pid, pidfd, terminal, listener, notices, gate: None };
                Ok(match (self.leash.take(), self.elder.take()) {
                    (Some(socket), Some(Child { pidfd: holder, .. })) => {
                        Joined::Leashed(running, Leash { holder, socket })
                    }
                    _ => Joined::Ours(running),
                })
            }
            Younger::Elders(pid) => {
                // It stays.
                self.elder = None;
                Ok(Joined::Released { pid, notices })
            }
        }
    }

    /// Takes one report. Returns whether the command runs.
    fn listen(&mut self) -> Result<bool, LaunchError> {
        let mut came = None;
        let report = control::next_report(self.control.as_fd(), |fd| came = Some(fd));
        let phrase = |step| phrase(&self.plan.steps, step);
        match self.handshake.hear(report.doing("listen to the process")?) {
            Meaning::Progress => {}
            Meaning::Running => return Ok(true),
            Meaning::Born(pid) => self.born(pid)?,
            Meaning::Terminal => self.terminal = came,
            Meaning::Listener => self.hear_of_listener(came)?,
            Meaning::Notice { step, errno, .. } => {
                let step = phrase(step).0;
                self.notices.push(Notice { step, errno: Errno::from_raw_os_error(errno) });
            }
            Meaning::Failure { step, errno, .. } => {
                let (step, is_exec) = phrase(step);
                return Err(LaunchError::Step { step, is_exec, source: Errno::from_raw_os_error(errno) });
            }
            Meaning::Stillborn(errno) => {
                let source = Errno::from_raw_os_error(errno);
                return Err(LaunchError::Launcher { doing: "start ctr-init", source });
            }
            Meaning::Waiting | Meaning::Broken => return Err(LaunchError::Ended),
        }
        Ok(false)
    }

    fn born(&mut self, pid: i32) -> Result<(), LaunchError> {
        let pid = Pid::from_raw(pid).ok_or(LaunchError::Ended)?;
        if self.plan.bond == Bond::None {
            self.younger = Some(Younger::Elders(pid));
            return Ok(());
        }
        // It is our child, or its parent waits for our word: so its id stays its own until then.
        let pidfd = pidfd_open(pid, PidfdFlags::empty()).doing("open the process")?;
        self.younger = Some(Younger::Open(Child { pid, pidfd }));
        if let Some(leash) = &self.leash {
            return control::order(leash.as_fd(), &Order::Go, &[]).doing("instruct the process");
        }
        match self.elder.take() {
            Some(elder) => wait(elder.pidfd.as_fd()).doing("wait for the go-between").map(drop),
            None => Ok(()),
        }
    }

    fn hear_of_listener(&mut self, came: Option<OwnedFd>) -> Result<(), LaunchError> {
        let pid = self.younger.as_ref().map(|younger| match younger {
            Younger::Open(child) => child.pid,
            Younger::Elders(pid) => *pid,
        });
        match (self.agent.take(), pid, came) {
            (Some(agent), Some(pid), Some(listener)) => {
                agent.tell(pid.as_raw_nonzero().get(), listener.as_fd())?;
            }
            (_, _, came) => self.listener = came,
        }
        Ok(())
    }
}

/// What was given up takes its process along. One that has an elder ends by itself when nobody listens any more.
impl Drop for Start<'_> {
    fn drop(&mut self) {
        let younger = self.younger.take().and_then(|younger| match younger {
            Younger::Open(child) => Some(child),
            Younger::Elders(_) => None,
        });
        let elder = self.elder.take().filter(|_| self.plan.bond != Bond::None);
        for child in younger.into_iter().chain(elder) {
            // It may have ended by itself; either way it is waited for.
            pidfd_send_signal(&child.pidfd, Signal::KILL).ok();
            wait(child.pidfd.as_fd()).ok();
        }
    }
}
