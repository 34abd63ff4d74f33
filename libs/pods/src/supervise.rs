//! Waiting for a container: its end, signals for it, its time limit, its terminal, in one loop.
//!
//! # Theory of operation
//! Signals are blocked before the container is started ([`Watch::begin`]), so none is lost in between; afterwards they
//! are read beside the container's pidfd. Without a terminal nothing else happens here: standard input, output and error
//! are the container's own descriptors. With one, the loop also carries bytes between them and the pseudo-terminal.
//!
//! Once nothing has happened for a moment, the program's own pages are let go of: a container that runs for days should
//! not cost what its start needed.
//!
//! # Process context
//! The parent of the container's init, in A, with one thread.
//!
//! # Failure
//! If this process is killed, the kernel kills the container's init (PDEATHSIG).

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use ctr_sys::signals::{self, Set};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{Signal, WaitId, WaitIdOptions, waitid};
use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec};

use crate::attach::Typed;
use crate::terminal::{Relay, Terminal};

/// How a container ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Its command exited.
    Exited(u8),
    /// A signal killed it.
    Killed(i32),
    /// Its time was up.
    TimedOut,
    /// It has not ended: the user typed the keys that leave it alone.
    Left,
}

impl End {
    /// The exit code that stands for it.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Exited(code) => code,
            Self::Killed(signal) => u8::try_from(128 + signal).unwrap_or(u8::MAX),
            // What Podman returns for it.
            Self::TimedOut => u8::MAX,
            Self::Left => 0,
        }
    }
}

/// Who is waited for.
#[derive(Debug, Clone, Copy)]
pub struct Waited<'a> {
    /// Our child, whose end it is.
    pub ends: BorrowedFd<'a>,
    /// Who hears the signals.
    pub hears: BorrowedFd<'a>,
}

impl<'a> Waited<'a> {
    /// A process that is both.
    #[must_use]
    pub const fn alone(process: BorrowedFd<'a>) -> Self {
        Self { ends: process, hears: process }
    }
}

/// What goes on beside a container, and is looked after while that is waited for.
pub trait Aside {
    /// What can be read once it needs somebody.
    fn watched(&self) -> [Option<BorrowedFd<'_>>; 2];
    /// When it does in any case, by [`now`].
    fn deadline(&self) -> Option<u64>;
    /// Somebody comes.
    fn look(&mut self, now: u64);
}

/// The steady time in nanoseconds.
#[must_use]
pub fn now() -> u64 {
    let now = ctr_sys::time::steady();
    now.tv_sec.cast_unsigned() * SECOND + now.tv_nsec.cast_unsigned()
}

const SECOND: u64 = 1_000_000_000;

/// Waiting failed.
#[derive(Debug, thiserror::Error)]
pub enum SuperviseError {
    /// A call of the loop.
    #[error("cannot wait for the container: {call}")]
    Wait {
        /// Which.
        call: &'static str,
        /// Why.
        #[source]
        errno: Errno,
    },
    /// The terminal.
    #[error("cannot use the terminal")]
    Terminal(#[source] Errno),
}

fn failed(call: &'static str) -> impl FnOnce(Errno) -> SuperviseError {
    move |errno| SuperviseError::Wait { call, errno }
}

/// What the loop does beside waiting.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// Signals go to the container; else the ones that would end us end it.
    pub proxy: bool,
    /// It is killed after this long.
    pub timeout: Option<Duration>,
    /// It has a terminal.
    pub terminal: bool,
}

/// Signals that arrive from now on, to be read by the loop.
#[derive(Debug)]
pub struct Watch {
    signals: OwnedFd,
    rules: Rules,
}

/// How long nothing happens before we let go of the memory that waiting takes none of.
const CALM: Timespec = Timespec { tv_sec: 0, tv_nsec: 200_000_000 };

/// Signals that stop us as a job of a shell.
const JOB: [Signal; 3] = [Signal::TSTP, Signal::TTIN, Signal::TTOU];

/// Signals whose default action would end us, and that people and supervisors send for that.
const ENDING: [Signal; 4] = [Signal::HUP, Signal::INT, Signal::QUIT, Signal::TERM];

impl Watch {
    /// Starts to collect signals.
    ///
    /// # Errors
    /// The kernel has no descriptor left.
    pub fn begin(rules: Rules) -> Result<Self, SuperviseError> {
        let mut set = if rules.proxy { Set::all_from_outside() } else { Set::EMPTY };
        // A reader that went away is told by the write; the rest is the kernel's talk with a parent.
        for kept in [Signal::PIPE, Signal::CHILD, Signal::URG] {
            set = set.without(kept.as_raw());
        }
        for job in JOB {
            // With a terminal in raw mode its settings must be put back before we stop.
            set = if rules.terminal { set.with(job.as_raw()) } else { set.without(job.as_raw()) };
        }
        for ending in ENDING {
            set = set.with(ending.as_raw());
        }
        if rules.terminal {
            set = set.with(Signal::WINCH.as_raw()).with(Signal::CONT.as_raw());
        }
        signals::block(set).map_err(failed("sigmask"))?;
        let signals = signals::open(set).map_err(failed("signalfd"))?;
        Ok(Self { signals, rules })
    }

    /// Waits for the end of the container, or until the user leaves it by its terminal.
    ///
    /// # Errors
    /// A call failed that cannot fail; the container is killed with us.
    pub fn wait(
        &self,
        waited: Waited<'_>,
        terminal: Option<&Terminal>,
        mut aside: Option<&mut dyn Aside>,
    ) -> Result<End, SuperviseError> {
        let Waited { ends, hears } = waited;
        let timer = self.rules.timeout.map(timer).transpose()?;
        let mut relay = terminal.map(Relay::new).transpose().map_err(SuperviseError::Terminal)?;
        let mut timed_out = false;
        let mut calm = Some(CALM);
        loop {
            let ready = self.poll(ends, timer.as_ref(), relay.as_ref(), (aside.as_deref(), calm.as_ref()))?;
            if !ready.any() && calm.take().is_some() {
                // It is only about how much memory we hold.
                ctr_sys::memory::release_program().ok();
            }
            if let Some(aside) = aside.as_deref_mut()
                && (ready.aside || aside.deadline().is_some_and(|until| until <= now()))
            {
                aside.look(now());
            }
            if ready.signal {
                self.take_signals(hears, relay.as_mut())?;
            }
            if ready.timer {
                timed_out = true;
                send(hears, Signal::KILL.as_raw())?;
                if let Some(timer) = &timer {
                    drain(timer)?;
                }
            }
            if let Some(relay) = &mut relay
                && relay.turn(ready.input, ready.output).map_err(SuperviseError::Terminal)? == Typed::Detach
            {
                return Ok(End::Left);
            }
            if ready.ended {
                if let Some(relay) = relay {
                    relay.finish().map_err(SuperviseError::Terminal)?;
                }
                let end = reap(ends)?;
                return Ok(if timed_out { End::TimedOut } else { end });
            }
        }
    }

    fn poll(
        &self,
        ends: BorrowedFd<'_>,
        timer: Option<&OwnedFd>,
        relay: Option<&Relay<'_>>,
        (aside, patience): (Option<&dyn Aside>, Option<&Timespec>),
    ) -> Result<Ready, SuperviseError> {
        let watch = |fd| PollFd::from_borrowed_fd(fd, PollFlags::IN);
        let (input, output) = relay.map_or((None, None), Relay::interest);
        let [one, other] = aside.map_or([None, None], Aside::watched);
        let asked = [
            Some(watch(ends)),
            Some(watch(self.signals.as_fd())),
            timer.map(|timer| watch(timer.as_fd())),
            input,
            output,
            one.map(watch),
            other.map(watch),
        ];
        let rest = aside.and_then(Aside::deadline).map(|until| {
            let left = until.saturating_sub(now());
            Timespec { tv_sec: (left / SECOND).cast_signed(), tv_nsec: (left % SECOND).cast_signed() }
        });
        let patience = [patience.copied(), rest].into_iter().flatten().min();
        let mut fds = Vec::with_capacity(asked.len());
        let places = asked.map(|fd| fd.map(|fd| fds.push(fd)).map(|()| fds.len() - 1));
        match poll(&mut fds, patience.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(failed("poll")(errno)),
        }
        let [ended, signal, timer, input, output, one, other] =
            places.map(|place| place.is_some_and(|at| !fds[at].revents().is_empty()));
        Ok(Ready { ended, signal, timer, input, output, aside: one || other })
    }

    fn take_signals(
        &self,
        hears: BorrowedFd<'_>,
        mut relay: Option<&mut Relay<'_>>,
    ) -> Result<(), SuperviseError> {
        while let Some(received) = signals::read(self.signals.as_fd()).map_err(failed("read of signals"))? {
            let signal = received.signal;
            let is = |which: Signal| which.as_raw() == signal;
            if let Some(relay) = relay.as_deref_mut() {
                if is(Signal::WINCH) {
                    relay.resize();
                    continue;
                }
                if JOB.into_iter().any(is) {
                    relay.stop_as_a_job().map_err(SuperviseError::Terminal)?;
                    continue;
                }
                if is(Signal::CONT) {
                    continue;
                }
            }
            if self.rules.proxy {
                send(hears, signal)?;
            } else if ENDING.into_iter().any(is) {
                send(hears, Signal::KILL.as_raw())?;
            }
        }
        Ok(())
    }
}

/// What the loop woke up for.
#[derive(Debug)]
struct Ready {
    ended: bool,
    signal: bool,
    timer: bool,
    input: bool,
    output: bool,
    aside: bool,
}

impl Ready {
    const fn any(&self) -> bool {
        self.ended || self.signal || self.timer || self.input || self.output || self.aside
    }
}

/// Sends a signal; to one that has just ended it is no error.
fn send(init: BorrowedFd<'_>, signal: i32) -> Result<(), SuperviseError> {
    match signals::send(init, signal) {
        Ok(()) | Err(Errno::SRCH) => Ok(()),
        Err(errno) => Err(failed("signal")(errno)),
    }
}

fn timer(after: Duration) -> Result<OwnedFd, SuperviseError> {
    let fd = rustix::time::timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::CLOEXEC)
        .map_err(failed("timerfd"))?;
    let seconds = i64::try_from(after.as_secs()).unwrap_or(i64::MAX);
    let value = Timespec { tv_sec: seconds, tv_nsec: after.subsec_nanos().into() };
    let once = Itimerspec { it_interval: Timespec::default(), it_value: value };
    rustix::time::timerfd_settime(&fd, TimerfdTimerFlags::empty(), &once).map_err(failed("timerfd"))?;
    Ok(fd)
}

fn drain(timer: &OwnedFd) -> Result<(), SuperviseError> {
    rustix::io::read(timer, &mut [0u8; 8]).map(drop).map_err(failed("read of the timer"))
}

fn reap(init: BorrowedFd<'_>) -> Result<End, SuperviseError> {
    loop {
        match waitid(WaitId::PidFd(init), WaitIdOptions::EXITED) {
            Ok(Some(status)) => {
                let code =
                    status.exit_status().map(|code| End::Exited(u8::try_from(code & 0xff).unwrap_or(255)));
                let signal = status.terminating_signal().map(End::Killed);
                return Ok(code.or(signal).unwrap_or(End::Exited(255)));
            }
            Ok(None) | Err(Errno::INTR) => {}
            Err(errno) => return Err(failed("waitid")(errno)),
        }
    }
}
