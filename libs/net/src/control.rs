//! What the supervisor of a container and its `netd` say to each other.
//!
//! ```text
//! supervisor                                     netd
//! L where to, if somebody looks  ──────────────▶  says there what becomes of flows; before all else
//! B Settings, the container's namespace ──────▶  makes the router
//!                                ◀──────────────  Ready, the router's namespace; or Failed
//! S Settings, the router's namespace ───────────▶  goes on where another one ended, instead of B
//!                                ◀──────────────  ? is resolv.conf another by now
//! R the host's resolv.conf, if so ──────────────▶  asks those it names from now on
//! P where they lead, sockets     ──────────────▶  serves published ports
//! W where one is bound           ──────────────▶  serves that no longer
//! C a socket                     ──────────────▶  says there what it has counted
//! closes                        ──────────────▶  ends
//! ```
//! One packet each (SOCK_SEQPACKET): what is ordered begins with a byte that says what it is, and has what it needs of descriptors
//! beside it. Both are the same build of the same program, so the words are whatever serde makes of them.
//!
//! # Failure
//! An order has no answer, but for B. A `netd` that cannot do what it is told ends, and whoever told it sees that.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use ctr_core::causes;
use ctr_sys::monitor::ASKS;
use ctr_sys::monitor::ports::LEADS;
use ctr_sys::packet::{self, MOST_BESIDE, Received};
use rustix::io::{Errno, fcntl_dupfd_cloexec};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, socketpair};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde::{Deserialize, Serialize};

use crate::address::Inner;
use crate::dns::names::Called;
use crate::dns::resolv_conf::ResolvConf;
use crate::looking::Looking;
use crate::policy::Options;
use crate::publish::bind::Bound;
use crate::publish::{Leads, Place};
use crate::rung::{Rung, Standing};

/// The longest message.
const LONGEST: usize = 64 << 10;
/// What it is called among processes.
const NAME: &str = "ctr-netd";
/// The same for the kernel.
pub(crate) const PROCESS_NAME: &std::ffi::CStr = c"ctr-netd";

/// How a network is to be.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Settings {
    /// Its addresses.
    pub inner: Inner,
    /// What may be reached.
    pub options: Options,
    /// Names that nobody else is asked for.
    pub called: Called,
    /// Who is asked for all others.
    pub resolvers: ResolvConf,
    /// In which way it is served; the best that holds, where nobody says.
    pub rung: Option<Rung>,
}

/// What comes of it.
#[derive(Debug, Serialize, Deserialize)]
enum Answer {
    Ready { inner: Inner, standing: Standing },
    Failed { why: String },
}

/// What an order is, in its first byte.
mod tag {
    pub(super) const BEGIN: u8 = b'B';
    pub(super) const SUCCEED: u8 = b'S';
    pub(super) const LOOK: u8 = b'L';
    pub(super) use ctr_sys::monitor::COUNT;
    pub(super) use ctr_sys::monitor::RESOLVERS;
    pub(super) use ctr_sys::monitor::ports::{PUBLISH, WITHDRAW};
}

/// What a `netd` is to do.
#[derive(Debug)]
pub(crate) enum Order {
    /// Serve the container in a network namespace: the first order.
    Begin { settings: Box<Settings>, container: OwnedFd },
    /// Go on where another one ended, in a router that is there: the first order.
    Succeed { settings: Box<Settings>, router: OwnedFd },
    /// Say what becomes of flows: before the first order.
    Look(Looking),
    /// Ask those for names whom a file names; none if they are the same still.
    Resolvers(Option<OwnedFd>),
    /// Serve published ports: bound sockets of the host's.
    Publish(Vec<(Leads, OwnedFd)>),
    /// Serve one no longer.
    Withdraw(Place),
    /// Say what was counted.
    Count(OwnedFd),
}

impl Order {
    fn of(words: &[u8], beside: Vec<OwnedFd>) -> Result<Self, Errno> {
        let (tag, body) = words.split_first().ok_or(Errno::BADMSG)?;
        Ok(match *tag {
            tag::BEGIN => Self::Begin { settings: read(body)?, container: only(beside)? },
            tag::SUCCEED => Self::Succeed { settings: read(body)?, router: only(beside)? },
            tag::LOOK => Self::Look(Looking::of(&read(body)?, beside)?),
            tag::RESOLVERS if beside.is_empty() => Self::Resolvers(None),
            tag::RESOLVERS => Self::Resolvers(Some(only(beside)?)),
            tag::PUBLISH => {
                let (leads, rest) = body.as_chunks();
                if leads.len() != beside.len() || !rest.is_empty() {
                    return Err(Errno::BADMSG);
                }
                let leads = leads.iter().map(|bytes| Leads::of(*bytes).ok_or(Errno::BADMSG));
                Self::Publish(
                    leads.zip(beside).map(|(leads, fd)| Ok((leads?, fd))).collect::<Result<_, _>>()?,
                )
            }
            tag::WITHDRAW => Self::Withdraw(Place::of(body).ok_or(Errno::BADMSG)?),
            tag::COUNT => Self::Count(only(beside)?),
            _ => return Err(Errno::BADMSG),
        })
    }
}

/// A network could not be had.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// There is no such process.
    #[error("cannot start the process that serves the network")]
    Start(#[source] std::io::Error),
    /// The other end does not speak or listen.
    #[error("cannot talk to the process that serves the network")]
    Talk(#[source] Errno),
    /// It has said why.
    #[error("cannot make the container's network: {0}")]
    Failed(String),
    /// It ended without a word.
    #[error("the process that serves the network ended at once")]
    Ended,
}

/// A process that serves networks, as its supervisor has it. It ends when this is dropped, and is then to be waited for.
#[derive(Debug)]
pub struct Netd {
    /// The end of the conversation that is ours: as long as it is open, there is a network.
    pub control: OwnedFd,
    /// The process, our child, as a pidfd.
    pub process: OwnedFd,
}

/// What whoever comes after a `netd` that has ended is told, and the descriptors that go with it.
#[derive(Debug, Default)]
pub struct Succession {
    /// The messages, as [`ctr_sys::monitor::Script`] has them.
    pub script: Vec<u8>,
    /// The descriptors of all of them.
    pub beside: Vec<OwnedFd>,
}

impl Succession {
    fn add(&mut self, words: &[u8], beside: impl IntoIterator<Item = OwnedFd>) {
        let before = self.beside.len();
        self.beside.extend(beside);
        let descriptors = u8::try_from(self.beside.len() - before).unwrap_or(u8::MAX);
        let message = ctr_sys::monitor::Message { words, descriptors };
        message.encode(&mut |piece: &[u8]| self.script.extend_from_slice(piece));
    }
}

impl Netd {
    /// Starts one: this program, with a verb that makes it call [`crate::netd::serve`] with its standard input.
    ///
    /// # Errors
    /// There can be no more processes, or descriptors.
    pub fn spawn(verb: &str) -> Result<Self, ControlError> {
        let flags = SocketFlags::CLOEXEC;
        let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)
            .map_err(ControlError::Talk)?;
        let child = Command::new("/proc/self/exe")
            .arg0(NAME)
            .arg(verb)
            .env_clear()
            // Keys that are typed at a terminal are not for it.
            .process_group(0)
            .stdin(theirs)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(ControlError::Start)?;
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let process = pid.ok_or(Errno::SRCH).and_then(|pid| pidfd_open(pid, PidfdFlags::empty()));
        Ok(Self { control: ours, process: process.map_err(ControlError::Talk)? })
    }

    /// The arguments of one, its name first, each with a NUL behind it.
    #[must_use]
    pub fn arguments(verb: &str) -> Vec<u8> {
        format!("{NAME}\0{verb}\0").into_bytes()
    }

    /// Has it serve the container in a network namespace, and waits until it does: what is to be told to whoever comes after it, and
    /// in which way the container is served.
    ///
    /// # Errors
    /// The router cannot be made.
    pub fn serve(
        &self,
        settings: &Settings,
        container: BorrowedFd<'_>,
        looking: &Looking,
    ) -> Result<(Succession, Standing), ControlError> {
        let control = self.control.as_fd();
        let mut succession = Succession::default();
        self.look(looking, &mut succession).map_err(ControlError::Talk)?;
        written(settings)
            .and_then(|body| order(control, tag::BEGIN, &body, &[container]))
            .map_err(ControlError::Talk)?;
        let heard = hear(control, RecvFlags::empty()).map_err(ControlError::Talk)?;
        let Heard { words, beside } = heard.ok_or(ControlError::Ended)?;
        let (inner, standing) = match read(&words).map_err(ControlError::Talk)? {
            Answer::Ready { inner, standing } => (inner, standing),
            Answer::Failed { why } => return Err(ControlError::Failed(why)),
        };
        // Whoever comes after it stands where it stood: that is what there is in the router.
        let settled = Settings { inner, rung: Some(standing.rung), ..settings.clone() };
        let body = written(&settled).map_err(ControlError::Talk)?;
        succession.add(&[&[tag::SUCCEED], &*body].concat(), [only(beside).map_err(ControlError::Talk)?]);
        Ok((succession, standing))
    }

    fn look(&self, looking: &Looking, succession: &mut Succession) -> Result<(), Errno> {
        if looking.is_nothing() {
            return Ok(());
        }
        let words = [&[tag::LOOK], &*written(&looking.words())?].concat();
        tell(self.control.as_fd(), &words, &looking.beside())?;
        succession.add(&words, looking.copies()?);
        Ok(())
    }

    /// Has it, and whoever comes after it, serve published ports.
    ///
    /// # Errors
    /// It does not listen, or there are too many.
    pub fn publish(&self, ports: &[Bound], succession: &mut Succession) -> Result<(), ControlError> {
        for some in ports.chunks(MOST_BESIDE) {
            self.publish_some(some, succession).map_err(ControlError::Talk)?;
        }
        Ok(())
    }

    fn publish_some(&self, ports: &[Bound], succession: &mut Succession) -> Result<(), Errno> {
        let leads = ports.iter().flat_map(|(leads, _)| leads.to_bytes());
        let sockets: Vec<BorrowedFd<'_>> = ports.iter().map(|(_, socket)| socket.as_fd()).collect();
        let words: Vec<u8> = std::iter::once(tag::PUBLISH).chain(leads).collect();
        tell(self.control.as_fd(), &words, &sockets)?;
        let copies: Result<Vec<_>, Errno> = sockets.iter().map(|it| fcntl_dupfd_cloexec(it, 0)).collect();
        succession.add(&words, copies?);
        Ok(())
    }
}

/// Waits for an order, as long as the flags say; `None` if there will be no more.
pub(crate) fn next(control: &OwnedFd, flags: RecvFlags) -> Result<Option<Order>, Errno> {
    let heard = hear(control.as_fd(), flags)?;
    heard.map(|Heard { words, beside }| Order::of(&words, beside)).transpose()
}

/// How many descriptors may be beside the order that is next.
pub(crate) fn beside_next(control: &OwnedFd) -> usize {
    let mut words = [0; 1 + LEADS * MOST_BESIDE];
    match recv(control, &mut words, RecvFlags::PEEK | RecvFlags::DONTWAIT) {
        Ok((length, _)) if words.first() == Some(&tag::PUBLISH) => length / LEADS,
        _ => 1,
    }
}

/// Asks the supervisor whether the host's resolvers are others by now: it answers with an order.
pub(crate) fn ask_for_resolvers(control: &OwnedFd) -> Result<(), Errno> {
    rustix::net::send(control, &[ASKS], SendFlags::DONTWAIT | SendFlags::NOSIGNAL).map(drop)
}

pub(crate) fn ready(
    control: &OwnedFd,
    namespace: BorrowedFd<'_>,
    inner: Inner,
    standing: Standing,
) -> Result<(), Errno> {
    tell(control.as_fd(), &written(&Answer::Ready { inner, standing })?, &[namespace])
}

pub(crate) fn failed(control: &OwnedFd, error: &crate::router::RouterError) -> Result<(), Errno> {
    let answer = Answer::Failed { why: causes::chain(error).to_string() };
    tell(control.as_fd(), &written(&answer)?, &[])
}

fn order(control: BorrowedFd<'_>, tag: u8, body: &[u8], beside: &[BorrowedFd<'_>]) -> Result<(), Errno> {
    tell(control, &[&[tag], body].concat(), beside)
}

fn written(what: &impl Serialize) -> Result<Vec<u8>, Errno> {
    serde_json::to_vec(what).map_err(|_unwritable| Errno::INVAL)
}

fn read<'a, T: Deserialize<'a>>(words: &'a [u8]) -> Result<T, Errno> {
    serde_json::from_slice(words).map_err(|_foreign| Errno::BADMSG)
}

/// The one descriptor that belongs to a message.
fn only(beside: Vec<OwnedFd>) -> Result<OwnedFd, Errno> {
    let [one] = <[OwnedFd; 1]>::try_from(beside).map_err(|_others| Errno::BADMSG)?;
    Ok(one)
}

fn tell(control: BorrowedFd<'_>, words: &[u8], beside: &[BorrowedFd<'_>]) -> Result<(), Errno> {
    packet::send(control, words, beside, SendFlags::empty())
}

/// A message.
#[derive(Debug)]
struct Heard {
    words: Vec<u8>,
    beside: Vec<OwnedFd>,
}

/// The next message with its descriptors; `None` if there will be no more.
fn hear(control: BorrowedFd<'_>, flags: RecvFlags) -> Result<Option<Heard>, Errno> {
    let mut words = vec![0; LONGEST];
    let mut beside = Vec::new();
    let received = packet::receive(control, &mut words, |fd| beside.push(fd), flags)?;
    match received {
        Received { length: 0, .. } => return Ok(None),
        Received { is_cut: true, .. } => return Err(Errno::MSGSIZE),
        Received { length, .. } => words.truncate(length),
    }
    Ok(Some(Heard { words, beside }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::publish::Transport;

    fn pair() -> (OwnedFd, OwnedFd) {
        socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap()
    }

    fn told(tag: u8, body: &[u8], beside: usize) -> Result<Option<Order>, Errno> {
        let (ours, theirs) = pair();
        let file = std::fs::File::open("/dev/null").unwrap();
        order(ours.as_fd(), tag, body, &vec![file.as_fd(); beside]).unwrap();
        next(&theirs, RecvFlags::DONTWAIT)
    }

    #[test]
    fn an_order_has_the_descriptors_that_it_needs() {
        assert!(matches!(told(tag::RESOLVERS, b"", 1), Ok(Some(Order::Resolvers(Some(_))))));
        assert!(matches!(told(tag::RESOLVERS, b"", 0), Ok(Some(Order::Resolvers(None)))));
        let settings = Settings {
            inner: Inner::default(),
            options: Options::default(),
            called: Called::default(),
            resolvers: ResolvConf::default(),
            rung: None,
        };
        let settings = written(&settings).unwrap();
        let web = Leads { inside: 80, transport: Transport::Tcp };
        let names = Leads { inside: 53, transport: Transport::Udp };
        let body = [web.to_bytes(), names.to_bytes()].concat();
        let Ok(Some(Order::Publish(ports))) = told(tag::PUBLISH, &body, 2) else { panic!("not published") };
        assert_eq!(ports.iter().map(|(leads, _)| *leads).collect::<Vec<_>>(), [web, names]);
        assert!(matches!(told(tag::BEGIN, &settings, 1), Ok(Some(Order::Begin { .. }))));
        assert!(matches!(told(tag::COUNT, b"", 1), Ok(Some(Order::Count(_)))));
        assert!(matches!(told(tag::SUCCEED, &settings, 1), Ok(Some(Order::Succeed { .. }))));
        for (tag, body, beside) in [
            (tag::RESOLVERS, &b""[..], 2),
            (tag::BEGIN, &settings, 0),
            (tag::BEGIN, b"{}", 1),
            (tag::SUCCEED, &settings, 0),
            (tag::PUBLISH, b"\x50\0\0", 2),
            (tag::PUBLISH, b"\x50\0", 1),
            (tag::PUBLISH, b"\x50\0\x02", 1),
            (tag::WITHDRAW, b"{}", 0),
            (tag::COUNT, b"", 0),
            (b'x', b"", 0),
        ] {
            let told = told(tag, body, beside);
            assert!(matches!(told, Err(Errno::BADMSG)), "{tag} with {beside}: {told:?}");
        }
    }
}
