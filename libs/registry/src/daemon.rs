//! A daemon of Docker's, as a place to copy images from and to.
//!
//! ```text
//! GET  /images/get?names=NAME      an archive as `docker save` writes it
//! POST /images/load?quiet=1        one as `docker load` reads it
//! ```
//! Both are streams. What the daemon says of an archive that it was given comes behind a status of 200, in lines of JSON.

use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use crate::http::socket::Socket;
use crate::http::{Body, HttpError, Method, Patience, Url, UrlError, escape};

/// Where it listens unless something else is said.
pub const USUAL: &str = "unix:///var/run/docker.sock";
/// What is read of what it says.
const SAID: u64 = 1 << 20;
/// An archive is taken in before its loading is answered, and packed before it is sent.
const HEAD: Duration = Duration::from_secs(30 * 60);

/// The daemon cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// A host of a kind that is not supported.
    #[error("docker daemon host {0:?} is not supported: only unix:///PATH is")]
    Host(String),
    /// It cannot be talked to.
    #[error("cannot talk to the docker daemon at {at}")]
    Http {
        /// Where.
        at: String,
        /// Why.
        #[source]
        source: HttpError,
    },
    /// A name that cannot be asked for.
    #[error("cannot ask for {name}")]
    Name {
        /// The name.
        name: String,
        /// Why not.
        #[source]
        source: UrlError,
    },
    /// It refused.
    #[error("the docker daemon at {at} answered {status}: {said}")]
    Refused {
        /// Where.
        at: String,
        /// The status.
        status: u16,
        /// What it said.
        said: String,
    },
    /// It could not use the archive.
    #[error("the docker daemon at {at} did not take the image: {said}")]
    Load {
        /// Where.
        at: String,
        /// What it said.
        said: String,
    },
}

/// A daemon.
#[derive(Debug, Clone)]
pub struct Daemon {
    host: String,
    socket: PathBuf,
}

impl Daemon {
    /// The daemon at a host, which is written as in DOCKER_HOST.
    pub fn at(host: &str) -> Result<Self, DaemonError> {
        let path = host.strip_prefix("unix://").filter(|path| path.starts_with('/'));
        let socket = path.ok_or_else(|| DaemonError::Host(host.to_owned()))?.into();
        Ok(Self { host: host.to_owned(), socket })
    }

    /// Asks for an archive with one image.
    pub fn save(&self, name: &str) -> Result<Body, DaemonError> {
        let mut target = "/images/get?names=".to_owned();
        escape(name, &mut target);
        let url = self.url(&target, name)?;
        let asked = Socket::ask(&self.socket, Method::Get, &url, &[], false, patience());
        self.answered(asked.and_then(Socket::answer))
    }

    /// Begins to give it an archive.
    pub fn load(&self) -> Result<Loading, DaemonError> {
        let url = self.url("/images/load?quiet=1", "")?;
        let fields = [("Content-Type", "application/x-tar")];
        let socket = Socket::ask(&self.socket, Method::Post, &url, &fields, true, patience());
        Ok(Loading { daemon: self.clone(), socket: socket.map_err(|source| self.http(source))? })
    }

    fn url(&self, target: &str, name: &str) -> Result<Url, DaemonError> {
        // The host means nothing, but one has to be named.
        let url = Url::parse(&format!("http://docker{target}"));
        url.map_err(|source| DaemonError::Name { name: name.to_owned(), source })
    }

    fn http(&self, source: HttpError) -> DaemonError {
        DaemonError::Http { at: self.host.clone(), source }
    }

    fn answered(&self, answer: Result<(u16, Body), HttpError>) -> Result<Body, DaemonError> {
        let (status, body) = answer.map_err(|source| self.http(source))?;
        if status == 200 {
            return Ok(body);
        }
        let bytes = body.bytes(SAID).map_err(|source| self.http(source))?;
        let said = match serde_json::from_slice::<Refusal>(&bytes) {
            Ok(refusal) => refusal.message,
            Err(_) => String::from_utf8_lossy(&bytes).trim().to_owned(),
        };
        Err(DaemonError::Refused { at: self.host.clone(), status, said: shown(&said) })
    }
}

fn patience() -> Patience {
    Patience { head: HEAD, idle: HEAD, stretch: HEAD, ..Patience::default() }
}

/// What a daemon says, which may be anything.
fn shown(said: &str) -> String {
    ctr_core::foreign::for_terminal(said.as_bytes())
}

#[derive(Deserialize)]
struct Refusal {
    message: String,
}

/// One of the lines that follow an archive.
#[derive(Deserialize)]
struct Line {
    error: Option<String>,
}

/// An archive on its way to a daemon.
#[derive(Debug)]
pub struct Loading {
    daemon: Daemon,
    socket: Socket,
}

impl Loading {
    /// Ends the archive, and hears what became of it.
    pub fn finish(mut self) -> Result<(), DaemonError> {
        // A daemon that has refused reads no more; what it said counts.
        drop(self.socket.end());
        let body = self.daemon.answered(self.socket.answer())?;
        let said = body.bytes(SAID).map_err(|source| self.daemon.http(source))?;
        let mut lines = serde_json::Deserializer::from_slice(&said).into_iter::<Line>();
        match lines.find_map(|line| line.ok()?.error) {
            Some(error) => Err(DaemonError::Load { at: self.daemon.host, said: shown(&error) }),
            None => Ok(()),
        }
    }
}

impl Write for Loading {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.socket.send(bytes).map_err(io::Error::other)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
