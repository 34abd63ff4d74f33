//! The process that serves a container's network, and the next one when it has ended.
//!
//! # Theory of operation
//! ```text
//! it runs ── ends ──> it is waited for ── a pause, if it was soon ──> the next starts, and is told the script
//! ```
//! The namespace between the container and the host outlives such a process, since the script has it beside it; what the process
//! had open is gone, and its connections ended with a reset. The next one is told everything anew.
//!
//! It can open nothing itself, and asks for the host's `resolv.conf` before it asks others for names ([`ASKS`]): it is told, with
//! the file open if that is not the one that it got last ([`RESOLVERS`]).
//!
//! When the container has ended ([`Serving::end`]) the process closes its end of the conversation once it has given up what it had of
//! the host: whoever waits for the container's end may have its ports then. It goes on for a moment with what was said last.
//!
//! # Process context
//! The supervisor of a container: the monitor or the command, with one thread, and the parent of each of them.

use core::ops::Range;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, Stat};
use rustix::io::{Errno, Result};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, Shutdown, SocketFlags, SocketType, recv, shutdown, socketpair,
    sockopt::{Timeout, set_socket_timeout},
};
use rustix::process::{Signal, WaitId, WaitIdOptions, WaitIdStatus, pidfd_send_signal, waitid};

use super::launch::start;
use super::ports::{LEADS, PLACE, PUBLISH, WITHDRAW, place_of};
use super::script::{Message, Script};
use super::task::Network;
use crate::decimal::{DIGITS, digits};
use crate::packet::{MOST_BESIDE, send};
use crate::step::Strings;
use crate::time::since_1970;

/// The file in a container's folder that says how many of them have ended since its start.
pub const COUNT_NAME: &core::ffi::CStr = c"network.ended";

/// What such a process says: is `resolv.conf` another by now?
pub const ASKS: u8 = b'?';
/// What it is told then; the file goes with it, if it is.
pub const RESOLVERS: u8 = b'R';
/// It is to say what it has counted, to the socket beside this.
pub const COUNT: u8 = b'C';

/// The descriptors of a script, in their order.
pub trait Beside {
    /// One of them.
    fn get(&self, at: usize) -> Option<BorrowedFd<'_>>;
}

impl Beside for &[OwnedFd] {
    fn get(&self, at: usize) -> Option<BorrowedFd<'_>> {
        <[OwnedFd]>::get(self, at).map(AsFd::as_fd)
    }
}

/// Descriptors of a script that can be given up one by one.
pub trait Forget: Beside {
    /// Closes one of them: it is not there any more.
    fn forget(&mut self, at: usize);
}

/// A port that was published later.
#[derive(Debug)]
struct Added {
    socket: OwnedFd,
    leads: [u8; LEADS],
}

/// How many sockets may be published later.
pub const MOST_ADDED: usize = 128;

/// One such process.
#[derive(Debug)]
struct Netd {
    /// Its end is that process' end.
    control: OwnedFd,
    process: OwnedFd,
    /// It has closed its end, or said something that nobody says.
    is_silent: bool,
    /// Which `resolv.conf` it has.
    knows: Option<Version>,
}

impl Netd {
    const fn new(control: OwnedFd, process: OwnedFd) -> Self {
        Self { control, process, is_silent: false, knows: None }
    }
}

/// How one of them ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Death {
    /// With an exit code.
    Exited(u8),
    /// By a signal.
    Killed(u8),
}

impl Death {
    fn of(process: BorrowedFd<'_>) -> Option<Self> {
        let status = match waitid(WaitId::PidFd(process), WaitIdOptions::EXITED | WaitIdOptions::NOHANG) {
            Ok(None) | Err(Errno::INTR) => return None,
            // Somebody has arranged that nobody can be waited for.
            Err(_) => return Some(Self::Exited(u8::MAX)),
            Ok(Some(status)) => status,
        };
        let small = |number: Option<i32>| number.and_then(|number| u8::try_from(number).ok());
        let signal = small(WaitIdStatus::terminating_signal(&status)).map(Self::Killed);
        let code = small(WaitIdStatus::exit_status(&status)).unwrap_or(u8::MAX);
        Some(signal.unwrap_or(Self::Exited(code)))
    }

    /// What is to be said of it once there is another.
    pub fn tell(self, mut say: impl FnMut(&[u8])) {
        let (how, number) = match self {
            Self::Exited(code) => (&b"ended with exit code "[..], code),
            Self::Killed(signal) => (&b"was ended by signal "[..], signal),
        };
        say(b"the process that serves the network ");
        say(how);
        say(digits(u64::from(number), &mut [0; DIGITS]));
        say(b"; its connections were reset, and another one serves now");
    }
}

impl core::fmt::Display for Death {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let mut written = Ok(());
        self.tell(|part| {
            let part = core::str::from_utf8(part).unwrap_or_default();
            written = written.and_then(|()| f.write_str(part));
        });
        written
    }
}

/// A network that is served for as long as this is there.
#[derive(Debug)]
pub struct Serving<'a, B> {
    netd: Option<Netd>,
    arguments: Strings<'a>,
    script: Script<'a>,
    beside: B,
    added: [Option<Added>; MOST_ADDED],
    /// How many have ended.
    ended: u64,
    /// How the last did, until there is another.
    last: Option<Death>,
    pauses: Pauses,
}

impl<'a, B: Beside> Serving<'a, B> {
    /// One that runs; the descriptors of its script, and when it is now, in nanoseconds.
    #[must_use]
    pub fn new(network: Network<'a, OwnedFd>, beside: B, now: u64) -> Self {
        let Network { control, process, arguments, script } = network;
        limit_talk(&control);
        let netd = Some(Netd::new(control, process));
        let added = [const { None }; MOST_ADDED];
        Self { netd, arguments, script, beside, added, ended: 0, last: None, pauses: Pauses::new(now) }
    }

    /// What can be read once it has ended.
    #[must_use]
    pub fn process(&self) -> Option<BorrowedFd<'_>> {
        self.netd.as_ref().map(|netd| netd.process.as_fd())
    }

    /// What can be read once it has a question.
    #[must_use]
    pub fn questions(&self) -> Option<BorrowedFd<'_>> {
        self.netd.as_ref().filter(|netd| !netd.is_silent).map(|netd| netd.control.as_fd())
    }

    /// It may have one: then it is answered.
    pub fn hear(&mut self) {
        let Some(netd) = self.netd.as_mut().filter(|netd| !netd.is_silent) else { return };
        let mut said = [0];
        match recv(&netd.control, &mut said, RecvFlags::DONTWAIT) {
            Ok((1, _)) if said == [ASKS] => netd.tell_resolvers(),
            Err(Errno::AGAIN | Errno::INTR) => {}
            _ => netd.is_silent = true,
        }
    }

    /// When [`Self::go_on`] has something to do, in nanoseconds.
    #[must_use]
    pub const fn deadline(&self) -> Option<u64> {
        self.pauses.until
    }

    /// It may have ended: then it is waited for, and counted in the container's folder.
    pub fn look(&mut self, folder: BorrowedFd<'_>, now: u64) {
        let death = self.netd.as_ref().and_then(|netd| Death::of(netd.process.as_fd()));
        if death.is_some() {
            self.netd = None;
            self.last = death;
            self.ended += 1;
            self.pauses.ended(now);
            // It is for people to read; the network goes on without.
            write_count(folder, self.ended).ok();
        }
    }

    /// Starts the next one, this program, if it is time: then it returns how the last one ended.
    pub fn go_on(&mut self, program: BorrowedFd<'_>, now: u64) -> Option<Death> {
        self.pauses.until.take_if(|until| *until <= now)?;
        self.pauses.began = now;
        match self.next(program) {
            Ok(netd) => {
                self.netd = Some(netd);
                self.last.take()
            }
            Err(_no_room) => {
                self.pauses.ended(now);
                None
            }
        }
    }

    /// The container has ended: waits until nothing of the host's is served any more. One that does not answer is killed.
    pub fn end(self) {
        let Some(Netd { control, process, .. }) = self.netd else { return };
        // Who is gone already has given everything up.
        if shutdown(&control, Shutdown::Write).is_ok() && !hears_the_end(control.as_fd()) {
            pidfd_send_signal(&process, Signal::KILL).ok();
        }
        // One that is gone already is waited for. One that goes on for a moment is that of whoever comes after us.
        Death::of(process.as_fd());
    }

    /// Has more ports served, by this one and those to come: what is said of each, and the sockets, which are taken.
    ///
    /// # Errors
    /// ENOSPC if there are too many, EINVAL if not every socket is described.
    pub fn publish(&mut self, leads: &[u8], sockets: &mut [Option<OwnedFd>]) -> Result<()> {
        let (leads, rest) = leads.as_chunks::<LEADS>();
        let free = self.added.iter().filter(|place| place.is_none()).count();
        if leads.len() != sockets.len() || !rest.is_empty() {
            return Err(Errno::INVAL);
        }
        if sockets.len() > free {
            return Err(Errno::NOSPC);
        }
        let free = self.added.iter_mut().filter(|place| place.is_none());
        let sockets = sockets.iter_mut().filter_map(Option::take);
        for ((leads, socket), place) in leads.iter().zip(sockets).zip(free) {
            if let Some(netd) = &self.netd {
                let [a, b, c] = *leads;
                netd.has_heard(send(
                    netd.control.as_fd(),
                    &[PUBLISH, a, b, c],
                    &[socket.as_fd()],
                    SendFlags::empty(),
                ));
            }
            *place = Some(Added { socket, leads: *leads });
        }
        Ok(())
    }

    /// Has it say what it has counted to a socket.
    ///
    /// # Errors
    /// ESRCH if there is none at the moment, EAGAIN if it does not listen.
    pub fn count(&self, to: BorrowedFd<'_>) -> Result<()> {
        let netd = self.netd.as_ref().ok_or(Errno::SRCH)?;
        send(netd.control.as_fd(), &[COUNT], &[to], SendFlags::DONTWAIT)
    }

    fn next(&self, program: BorrowedFd<'_>) -> Result<Netd> {
        let flags = SocketFlags::CLOEXEC;
        let (control, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
        limit_talk(&control);
        let process = start(program, self.arguments, theirs.as_fd())?;
        let netd = Netd::new(control, process);
        netd.has_heard(self.tell_all(netd.control.as_fd()));
        Ok(netd)
    }

    /// Tells one that has just begun all that it has to know.
    fn tell_all(&self, control: BorrowedFd<'_>) -> Result<()> {
        let mut at = 0;
        for message in self.script.messages() {
            self.repeat(control, message, at)?;
            at += usize::from(message.descriptors);
        }
        for Added { socket, leads: [a, b, c] } in self.added.iter().flatten() {
            send(control, &[PUBLISH, *a, *b, *c], &[socket.as_fd()], SendFlags::empty())?;
        }
        Ok(())
    }

    fn repeat(&self, control: BorrowedFd<'_>, message: Message<'_>, first: usize) -> Result<()> {
        let numbers = first..first + usize::from(message.descriptors);
        match message.words.split_first() {
            Some((&PUBLISH, leads)) => self.repeat_ports(control, leads, numbers),
            _ => {
                let mut beside = [control; MOST_BESIDE];
                let beside = beside.get_mut(..numbers.len()).ok_or(Errno::TOOBIG)?;
                for (place, at) in beside.iter_mut().zip(numbers) {
                    *place = self.beside.get(at).ok_or(Errno::BADF)?;
                }
                send(control, message.words, beside, SendFlags::empty())
            }
        }
    }

    /// Those that are still published.
    fn repeat_ports(&self, control: BorrowedFd<'_>, leads: &[u8], numbers: Range<usize>) -> Result<()> {
        let mut beside = [control; MOST_BESIDE];
        let mut words = [PUBLISH; 1 + LEADS * MOST_BESIDE];
        let there = numbers.zip(leads.as_chunks::<LEADS>().0);
        let there = there.filter_map(|(at, leads)| Some((self.beside.get(at)?, leads)));
        let mut count = 0;
        for ((place, room), (socket, leads)) in beside.iter_mut().zip(words[1..].as_chunks_mut().0).zip(there)
        {
            (*place, *room) = (socket, *leads);
            count += 1;
        }
        let (words, beside) = (words.get(..1 + LEADS * count), beside.get(..count));
        send(control, words.ok_or(Errno::TOOBIG)?, beside.ok_or(Errno::TOOBIG)?, SendFlags::empty())
    }
}

impl<B: Forget> Serving<'_, B> {
    /// Has a port served no longer, which is bound at a place.
    ///
    /// # Errors
    /// ENOENT if there is none.
    pub fn withdraw(&mut self, place: &[u8; PLACE]) -> Result<()> {
        let is_it = |socket: BorrowedFd<'_>| place_of(socket).as_ref() == Some(place);
        let later =
            self.added.iter_mut().find(|added| added.as_ref().is_some_and(|it| is_it(it.socket.as_fd())));
        match later {
            Some(added) => *added = None,
            None => {
                let mut of_script = 0..self.script.descriptors();
                let at = of_script.find(|at| self.beside.get(*at).is_some_and(is_it)).ok_or(Errno::NOENT)?;
                self.beside.forget(at);
            }
        }
        if let Some(netd) = &self.netd {
            let mut words = [WITHDRAW; 1 + PLACE];
            words[1..].copy_from_slice(place);
            netd.has_heard(send(netd.control.as_fd(), &words, &[], SendFlags::empty()));
        }
        Ok(())
    }
}

/// Nobody waits for long for one that does not listen, be it that it was stopped.
fn limit_talk(control: &OwnedFd) {
    // Without it we wait as long as that one is stopped.
    set_socket_timeout(control, Timeout::Send, Some(core::time::Duration::from_secs(1))).ok();
}

impl Netd {
    /// It was told something. One that has not heard it does not know what it has to: it is ended, and the next one is told all of it.
    fn has_heard(&self, told: Result<()>) {
        if told.is_err() {
            // It may have ended by itself.
            pidfd_send_signal(&self.process, Signal::KILL).ok();
        }
    }

    /// Says who the host's resolvers are, if it does not know. One that does not listen is not waited for.
    fn tell_resolvers(&mut self) {
        // A file that is gone is on its way back: until then those of before are asked.
        let other = Version::of_path().ok().filter(|version| self.knows.as_ref() != Some(version));
        let file = other.and_then(|_| open_resolv_conf().ok());
        let beside = file.as_ref().map(AsFd::as_fd);
        let told = send(self.control.as_fd(), &[RESOLVERS], beside.as_slice(), SendFlags::DONTWAIT);
        if let (Ok(()), Some(file)) = (told, &file) {
            self.knows = Version::of(file).ok().filter(|version| version.is_settled(since_1970().tv_sec));
        }
    }
}

const RESOLV_CONF: &core::ffi::CStr = c"/etc/resolv.conf";

/// Whatever is there in its place: it is not waited for.
fn open_resolv_conf() -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    rustix::fs::openat(CWD, RESOLV_CONF, flags, Mode::empty())
}

/// Which file it is, and as of when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Version {
    dev: u64,
    ino: u64,
    /// Seconds and nanoseconds: a change of any kind changes it.
    changed: (i64, u64),
}

impl Version {
    fn of_path() -> Result<Self> {
        Ok(Self::from(rustix::fs::statat(CWD, RESOLV_CONF, AtFlags::empty())?))
    }

    fn of(file: &OwnedFd) -> Result<Self> {
        Ok(Self::from(rustix::fs::fstat(file)?))
    }

    /// Whether another change would be seen for sure: clocks of file systems tick slowly.
    const fn is_settled(&self, now: i64) -> bool {
        self.changed.0 < now - 1
    }
}

impl From<Stat> for Version {
    fn from(stat: Stat) -> Self {
        Self { dev: stat.st_dev, ino: stat.st_ino, changed: (stat.st_ctime, stat.st_ctime_nsec) }
    }
}

/// Whether the other end was closed within the time that it has for that.
fn hears_the_end(control: BorrowedFd<'_>) -> bool {
    for _ in 0..LAST_WORDS {
        match poll(&mut [PollFd::from_borrowed_fd(control, PollFlags::IN)], Some(&PATIENCE)) {
            Err(Errno::INTR) => continue,
            Ok(0) | Err(_) => return false,
            Ok(_) => {}
        }
        // A question that nobody has heard may come before it.
        match recv(control, &mut [0], RecvFlags::DONTWAIT) {
            Ok((1.., _)) | Err(Errno::AGAIN | Errno::INTR) => {}
            Ok((0, _)) | Err(_) => return true,
        }
    }
    false
}

fn write_count(folder: BorrowedFd<'_>, count: u64) -> Result<()> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = rustix::fs::openat(folder, COUNT_NAME, flags, Mode::RUSR | Mode::WUSR)?;
    rustix::io::pwrite(&file, digits(count, &mut [0; DIGITS]), 0).map(drop)
}

const SECOND: u64 = 1_000_000_000;
/// How much one may say when it should be silent.
const LAST_WORDS: usize = 16;
/// How long one may take to give up what it has.
const PATIENCE: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };
/// One that ran for this long has not failed at its start.
const LONG: u64 = 10 * SECOND;
/// So many may end soon before they come less and less often.
const TRIES: u32 = 5;
/// The longest pause is a second, doubled so many times: about a minute.
const DOUBLED: u32 = 6;

/// When the next may start: at most one each second, and less often if they end again and again.
#[derive(Debug)]
struct Pauses {
    began: u64,
    until: Option<u64>,
    /// How many have ended soon, one after the other.
    soon: u32,
}

impl Pauses {
    const fn new(now: u64) -> Self {
        Self { began: now, until: None, soon: 0 }
    }

    fn ended(&mut self, now: u64) {
        let was_long = now.saturating_sub(self.began) >= LONG;
        self.soon = if was_long { 0 } else { self.soon.saturating_add(1) };
        let pause = SECOND << self.soon.saturating_sub(TRIES).min(DOUBLED);
        self.until = Some(now.max(self.began.saturating_add(pause)));
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::string::ToString;
    use std::vec::Vec;

    use super::*;

    #[test]
    fn those_that_end_at_once_come_less_and_less_often() {
        let mut pauses = Pauses::new(0);
        // One that ran for a while: at once.
        pauses.ended(LONG);
        assert_eq!(pauses.until, Some(LONG));
        let mut at = LONG;
        let waits: Vec<u64> = (0..14)
            .map(|_| {
                pauses.began = at;
                pauses.ended(at + 1);
                let waited = pauses.until.unwrap() - at;
                at += waited;
                waited / SECOND
            })
            .collect();
        assert_eq!(waits, [1, 1, 1, 1, 1, 2, 4, 8, 16, 32, 64, 64, 64, 64]);
        // Half a second of life is half a second less to wait.
        let mut pauses = Pauses::new(0);
        pauses.ended(SECOND / 2);
        assert_eq!(pauses.until, Some(SECOND));
    }

    #[test]
    fn an_end_has_words() {
        let after = "; its connections were reset, and another one serves now";
        assert_eq!(
            Death::Killed(9).to_string(),
            std::format!("the process that serves the network was ended by signal 9{after}")
        );
        assert_eq!(
            Death::Exited(0).to_string(),
            std::format!("the process that serves the network ended with exit code 0{after}")
        );
    }
}
