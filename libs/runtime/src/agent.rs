//! The seccomp agent: a program of the user's that decides about calls which a profile hands to user space.
//!
//! It listens at the profile's `listenerPath`. Each start connects to it once, sends one container process state with
//! seccomp's descriptor, and closes. From then on the agent alone answers; a call waits for it as long as it lives.
//!
//! # References
//! opencontainers/runtime-spec 1.2: config-linux.md, "The Container Process State".

use std::collections::BTreeMap;
use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags,
    SocketType, connect, sendmsg, socket_with,
};
use serde::Serialize;

use crate::spec::VERSION;

/// How long an agent may take to accept, or to read.
const PATIENCE: Duration = Duration::from_secs(10);

/// The agent could not be told.
#[derive(Debug, thiserror::Error)]
#[error("cannot {doing} the seccomp agent at {path}")]
pub struct AgentError {
    doing: &'static str,
    path: PathBuf,
    #[source]
    source: Errno,
}

/// What the agent is told besides the descriptor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// The container's id.
    pub id: String,
    /// Its folder.
    pub bundle: PathBuf,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
    /// The profile's `listenerMetadata`.
    pub metadata: Option<String>,
}

/// A connection to an agent that was not told anything yet.
#[derive(Debug)]
pub struct Agent {
    socket: OwnedFd,
    path: PathBuf,
    about: About,
}

/// The container process state.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ProcessState<'a> {
    oci_version: &'static str,
    fds: [&'static str; 1],
    pid: i32,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<&'a str>,
    state: State<'a>,
}

/// The state of a container.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct State<'a> {
    oci_version: &'static str,
    id: &'a str,
    status: &'static str,
    pid: i32,
    bundle: &'a Path,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: &'a BTreeMap<String, String>,
}

impl Agent {
    /// Connects, so that an agent that is not there is noticed before anything runs.
    ///
    /// # Errors
    /// Nobody listens at the path.
    pub fn connect(path: &Path, about: About) -> Result<Self, AgentError> {
        let failed = |source| AgentError { doing: "connect to", path: path.to_owned(), source };
        let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None);
        let socket = socket.map_err(failed)?;
        set_socket_timeout(&socket, Timeout::Send, Some(PATIENCE)).map_err(failed)?;
        let address = SocketAddrUnix::new(path).map_err(failed)?;
        connect(&socket, &address).map_err(failed)?;
        Ok(Self { socket, path: path.to_owned(), about })
    }

    /// Sends the state of a process, with the descriptor that seccomp made for it.
    pub(crate) fn tell(self, pid: i32, listener: BorrowedFd<'_>) -> Result<(), AgentError> {
        let Self { socket, path, about } = self;
        let failed = |source| AgentError { doing: "send the listener to", path, source };
        let text = about.text(pid);
        send(socket.as_fd(), text.as_bytes(), listener).map_err(failed)
    }
}

impl About {
    fn text(&self, pid: i32) -> String {
        let state = State {
            oci_version: VERSION,
            id: &self.id,
            status: "creating",
            pid,
            bundle: &self.bundle,
            annotations: &self.annotations,
        };
        let all = ProcessState {
            oci_version: VERSION,
            fds: ["seccompFd"],
            pid,
            metadata: self.metadata.as_deref(),
            state,
        };
        // A path that is no UTF-8 is the only thing that JSON cannot have.
        serde_json::to_string(&all).unwrap_or_default()
    }
}

fn send(socket: BorrowedFd<'_>, text: &[u8], listener: BorrowedFd<'_>) -> Result<(), Errno> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut rights = SendAncillaryBuffer::new(&mut space);
    let fds = [listener];
    rights.push(SendAncillaryMessage::ScmRights(&fds));
    let mut rest = text;
    while !rest.is_empty() {
        match sendmsg(socket, &[IoSlice::new(rest)], &mut rights, SendFlags::NOSIGNAL) {
            Ok(sent) => {
                rest = rest.get(sent..).ok_or(Errno::IO)?;
                // The descriptor went with the first piece.
                rights.clear();
            }
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_is_the_specification_s() {
        let about = About {
            id: "c1".to_owned(),
            bundle: "/run/c1".into(),
            annotations: BTreeMap::from([("k".to_owned(), "v".to_owned())]),
            metadata: Some("m".to_owned()),
        };
        assert_eq!(
            about.text(7),
            r#"{"ociVersion":"1.2.0","fds":["seccompFd"],"pid":7,"metadata":"m","state":{"ociVersion":"1.2.0","id":"c1","status":"creating","pid":7,"bundle":"/run/c1","annotations":{"k":"v"}}}"#
        );
        let plain = About { annotations: BTreeMap::new(), metadata: None, ..about };
        assert!(!plain.text(7).contains("metadata") && !plain.text(7).contains("annotations"));
    }

    #[test]
    fn an_agent_that_is_not_there_is_named() {
        let about =
            About { id: String::new(), bundle: "/".into(), annotations: BTreeMap::new(), metadata: None };
        let error = Agent::connect(Path::new("/nonexistent/socket"), about).unwrap_err();
        assert_eq!(error.to_string(), "cannot connect to the seccomp agent at /nonexistent/socket");
    }
}
