//! What the supervisor of a container and its `netd` say to each other.
//!
//! ```text
//! supervisor                                   netd
//! Settings, the container's namespace ──────▶  makes the router
//!                              ◀──────────────  Ready, the router's namespace; or Failed
//! closes                      ──────────────▶  ends
//! ```
//! One packet each (SOCK_SEQPACKET). Both are the same build of the same program, so the words are whatever serde makes of them.

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use ctr_core::causes;
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};
use serde::{Deserialize, Serialize};

use crate::address::Inner;
use crate::dns::resolv_conf::ResolvConf;
use crate::policy::Options;

/// The longest message.
const LONGEST: usize = 64 << 10;

/// How a network is to be.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Settings {
    /// Its addresses.
    pub inner: Inner,
    /// What may be reached.
    pub options: Options,
    /// Who is asked for names.
    pub resolvers: ResolvConf,
}

/// What comes of it.
#[derive(Debug, Serialize, Deserialize)]
enum Answer {
    Ready(Inner),
    Failed { why: String },
}

/// What a `netd` is to do.
#[derive(Debug)]
pub(crate) struct Begin {
    pub(crate) container: OwnedFd,
    pub(crate) settings: Settings,
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

/// A process that serves networks, as its supervisor has it. It ends when this is dropped.
#[derive(Debug)]
pub struct Netd {
    control: OwnedFd,
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
        Command::new("/proc/self/exe")
            .arg0("ctr-netd")
            .arg(verb)
            .env_clear()
            // Keys that are typed at a terminal are not for it.
            .process_group(0)
            .stdin(theirs)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(ControlError::Start)?;
        Ok(Self { control: ours })
    }

    /// Has it serve the container in a network namespace, and waits until it does: its addresses, and the router's namespace.
    ///
    /// # Errors
    /// The router cannot be made.
    pub fn serve(
        &self,
        settings: &Settings,
        container: BorrowedFd<'_>,
    ) -> Result<(Inner, OwnedFd), ControlError> {
        tell(self.control.as_fd(), settings, Some(container)).map_err(ControlError::Talk)?;
        match hear::<Answer>(self.control.as_fd()).map_err(ControlError::Talk)? {
            Some((Answer::Ready(inner), Some(namespace))) => Ok((inner, namespace)),
            Some((Answer::Failed { why }, _)) => Err(ControlError::Failed(why)),
            Some((Answer::Ready(_), None)) => Err(ControlError::Talk(Errno::BADMSG)),
            None => Err(ControlError::Ended),
        }
    }

    /// The end of the conversation that is ours: as long as it is open, there is a network.
    #[must_use]
    pub fn into_control(self) -> OwnedFd {
        self.control
    }
}

/// Waits to be asked; `None` if the other end has changed its mind.
pub(crate) fn begin(control: &OwnedFd) -> Result<Option<Begin>, Errno> {
    match hear::<Settings>(control.as_fd())? {
        Some((settings, Some(container))) => Ok(Some(Begin { container, settings })),
        Some((_, None)) => Err(Errno::BADMSG),
        None => Ok(None),
    }
}

pub(crate) fn ready(control: &OwnedFd, namespace: BorrowedFd<'_>, inner: &Inner) -> Result<(), Errno> {
    tell(control.as_fd(), &Answer::Ready(*inner), Some(namespace))
}

pub(crate) fn failed(control: &OwnedFd, error: &crate::router::RouterError) -> Result<(), Errno> {
    tell(control.as_fd(), &Answer::Failed { why: causes::chain(error).to_string() }, None)
}

fn tell(control: BorrowedFd<'_>, what: &impl Serialize, beside: Option<BorrowedFd<'_>>) -> Result<(), Errno> {
    let words = serde_json::to_vec(what).map_err(|_unwritable| Errno::INVAL)?;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let beside = beside.as_slice();
    if !beside.is_empty() {
        ancillary.push(SendAncillaryMessage::ScmRights(beside));
    }
    sendmsg(control, &[IoSlice::new(&words)], &mut ancillary, SendFlags::NOSIGNAL).map(drop)
}

fn hear<T: for<'a> Deserialize<'a>>(control: BorrowedFd<'_>) -> Result<Option<(T, Option<OwnedFd>)>, Errno> {
    let mut words = vec![0; LONGEST];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let received = loop {
        let mut pieces = [IoSliceMut::new(&mut words)];
        match recvmsg(control, &mut pieces, &mut ancillary, RecvFlags::CMSG_CLOEXEC) {
            Err(Errno::INTR) => {}
            received => break received?,
        }
    };
    if received.bytes == 0 {
        return Ok(None);
    }
    let beside = ancillary.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
        _ => None,
    });
    let words = words.get(..received.bytes).unwrap_or_default();
    serde_json::from_slice(words).map(|what| Some((what, beside))).map_err(|_foreign| Errno::BADMSG)
}
