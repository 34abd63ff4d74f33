//! A registry of images for tests: in this process, in memory, on ports of loopback, and as wrong as a test wants.
//!
//! ```text
//!             Side::Registry   /v2/…      [`Options`] say how it behaves where registries differ
//! client ───▶ Side::Tokens     /token     who is who, and may what: [`Auth`]
//!             Side::Cdn        /blobs/…   where blobs are redirected to; whoever shows it an authorization is refused
//!                 │
//!                 ├── rules: "the second GET below /v2/a/blobs/ is cut after 1000 bytes"   [`On`], [`Fault`], [`Tap`]
//!                 └── log: each request, what was sent, in the order of time               [`Seen`]
//! ```
//!
//! ```no_run
//! # use ctr_tests::registry::{Fault, On, Registry};
//! let registry = Registry::start();
//! registry.fault(On::get("/v2/a/b/blobs/").nth(1), Fault::Cut(1000));
//! // … the program under test pulls `registry.host()`/a/b:1 …
//! let again = registry.seen("GET", "/v2/a/b/blobs/").remove(1);
//! assert_eq!(again.header("Range"), Some("bytes=1000-"));
//! ```
//!
//! The threads and the HTTP are its own (`serve`, `wire`), so that nothing corrects what a test wants to be wrong. What it
//! does when nothing is wrong follows the distribution specification 1.1, and where that leaves something open, Docker's
//! registry. [`real`] starts that one, to hear a second opinion; a [`proxy`] may stand before either.

mod api;
mod auth;
mod blobs;
pub mod certificates;
mod fault;
mod images;
mod lists;
mod log;
mod manifests;
mod message;
pub mod proxy;
mod queue;
pub mod real;
mod serve;
mod state;
#[cfg(test)]
mod tests;
pub mod tls;
mod tokens;
mod uploads;
mod wire;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub use auth::{Auth, Fields, How};
pub use fault::{Fault, On, Tap};
pub use images::{Family, Picture};
pub use log::Seen;
pub use message::{Headers, base64, base64url, http_date};

use log::Log;
use message::{Answer, Request};
use serve::{Port, Server, Wrap};
use wire::Incoming;

/// How long a test waits for what a client should do. Generous, as the machine may be busy.
const DEADLINE: Duration = Duration::from_secs(60);

/// Who is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The registry itself.
    Registry,
    /// The host that blobs are redirected to; foreign layers and faults may name it too.
    Cdn,
    /// The server of tokens.
    Tokens,
}

/// How it behaves where registries differ.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is a thing that registries have or have not")]
pub struct Options {
    /// Who is asked for what.
    pub auth: Auth,
    /// All sides speak TLS.
    pub tls: Option<tls::Tls>,
    /// But not these.
    pub plain: Vec<Side>,
    /// GET of a blob is answered with a redirect to the other host.
    pub cdn: bool,
    /// Answers have Docker-Content-Digest.
    pub digest_header: bool,
    /// Blobs are given in part.
    pub ranges: bool,
    /// There is a referrers API.
    pub referrers: bool,
    /// A blob of another repository is mounted; else the client gets an upload.
    pub mounts: bool,
    /// A manifest may name what is not there.
    pub sparse: bool,
    /// Manifests and blobs can be deleted.
    pub deletion: bool,
    /// A tag can be deleted alone.
    pub tag_deletion: bool,
    /// Location and Link have a scheme and a host.
    pub absolute: bool,
    /// The most entries on one page of a list.
    pub page: Option<usize>,
    /// The length that all chunks of an upload but the last must have.
    pub min_chunk: Option<u64>,
    /// The length of a request's body, when it is a blob's, from which on it is refused (413).
    pub max_chunk: Option<u64>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            auth: Auth::default(),
            tls: None,
            plain: Vec::new(),
            cdn: false,
            digest_header: true,
            ranges: true,
            referrers: true,
            mounts: true,
            sparse: false,
            deletion: true,
            tag_deletion: true,
            absolute: false,
            page: None,
            min_chunk: None,
            max_chunk: None,
        }
    }
}

/// What all threads of one registry share.
#[derive(Debug)]
struct Shared {
    origins: Origins,
    options: Mutex<Options>,
    faults: fault::Faults,
    log: Log,
    state: Mutex<state::State>,
    tokens: tokens::Tokens,
}

/// Where each side is.
#[derive(Debug, Clone)]
struct Origins {
    /// The sides that speak TLS.
    secure: Vec<Side>,
    registry: SocketAddr,
    cdn: SocketAddr,
    tokens: SocketAddr,
}

impl Origins {
    fn address(&self, side: Side) -> SocketAddr {
        match side {
            Side::Registry => self.registry,
            Side::Cdn => self.cdn,
            Side::Tokens => self.tokens,
        }
    }

    fn url(&self, side: Side) -> String {
        let scheme = if self.secure.contains(&side) { "https" } else { "http" };
        format!("{scheme}://{}", self.address(side))
    }
}

impl Shared {
    fn options(&self) -> Options {
        self.options.lock().expect("no panic under the lock").clone()
    }

    fn state(&self) -> std::sync::MutexGuard<'_, state::State> {
        self.state.lock().expect("no panic under the lock")
    }
}

/// What a side makes of a request. An error ends the connection.
fn answer(
    shared: &Shared,
    side: Side,
    request: &Request,
    body: &mut Incoming<'_>,
) -> std::io::Result<Answer> {
    match side {
        Side::Registry => api::answer(shared, request, body),
        Side::Cdn => Ok(blobs::from_cdn(shared, request)),
        Side::Tokens => tokens::answer(shared, request, body),
    }
}

/// A registry that runs until this is dropped.
#[derive(Debug)]
pub struct Registry {
    /// First, so that nobody asks any more while the rest goes.
    _servers: Vec<Server>,
    shared: Arc<Shared>,
}

impl Registry {
    /// Starts one that asks nobody who they are.
    #[must_use]
    pub fn start() -> Self {
        Self::with(Options::default())
    }

    /// Starts one.
    #[must_use]
    pub fn with(options: Options) -> Self {
        let sides = [Side::Registry, Side::Cdn, Side::Tokens];
        let [registry, cdn, tokens] = sides.map(|_| Port::new());
        let secure = sides.into_iter().filter(|side| options.tls.is_some() && !options.plain.contains(side));
        let origins = Origins {
            secure: secure.collect(),
            registry: registry.address(),
            cdn: cdn.address(),
            tokens: tokens.address(),
        };
        let tls = options.tls.as_ref().map(tls::wrap);
        let shared = Arc::new(Shared {
            origins,
            options: Mutex::new(options),
            faults: fault::Faults::default(),
            log: Log::default(),
            state: Mutex::default(),
            tokens: tokens::Tokens::default(),
        });
        let plain: Wrap = Arc::new(|socket| Some(Box::new(socket)));
        let servers = sides.into_iter().zip([registry, cdn, tokens]).map(|(side, port)| {
            let wrap = tls.as_ref().filter(|_| shared.origins.secure.contains(&side)).unwrap_or(&plain);
            Server::of(port, side, Arc::clone(wrap), Arc::clone(&shared))
        });
        Self { _servers: servers.collect(), shared }
    }

    /// Host and port, as they stand in an image's name.
    #[must_use]
    pub fn host(&self) -> String {
        self.shared.origins.registry.to_string()
    }

    /// `http://HOST:PORT` of a side, or `https://`.
    #[must_use]
    pub fn url(&self, side: Side) -> String {
        self.shared.origins.url(side)
    }

    /// The address of a side.
    #[must_use]
    pub fn address(&self, side: Side) -> SocketAddr {
        self.shared.origins.address(side)
    }

    /// Changes how it behaves from now on.
    pub fn change(&self, change: impl FnOnce(&mut Options)) {
        change(&mut self.shared.options.lock().expect("no panic under the lock"));
    }

    /// Adds a rule.
    pub fn fault(&self, on: On, fault: Fault) {
        self.shared.faults.add(on, fault);
    }

    /// Takes all rules away; what their taps hold goes on.
    pub fn heal(&self) {
        self.shared.faults.clear();
    }

    /// Every token that was given so far is worth nothing from now on.
    pub fn expire_tokens(&self) {
        self.shared.tokens.expire();
    }

    /// All requests in the order in which they came, of all sides.
    #[must_use]
    pub fn log(&self) -> Vec<Seen> {
        self.shared.log.settle(DEADLINE / 60)
    }

    /// The requests of one method whose paths begin so.
    #[must_use]
    pub fn seen(&self, method: &str, prefix: &str) -> Vec<Seen> {
        self.log().into_iter().filter(|one| one.is(method, prefix)).collect()
    }

    /// The requests as lines with their statuses, for a comparison at one glance.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.log().iter().map(Seen::line).collect()
    }

    /// How much of what this request's connection was given its client has not yet read from its socket. Of a client that is
    /// stopped, [`Seen::sent`] without this is what it read of a body.
    #[must_use]
    pub fn unread(&self, request: &Seen) -> u64 {
        queue::unread(self.address(request.side), request.peer)
    }

    /// Waits until the log is as wanted, and returns it.
    ///
    /// # Panics
    /// When it does not get so.
    #[must_use]
    pub fn wait(&self, enough: impl FnMut(&[Seen]) -> bool) -> Vec<Seen> {
        self.shared.log.wait(enough)
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.shared.faults.open_taps();
    }
}
