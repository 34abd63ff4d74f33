//! How bytes go: requests to hosts and their answers, over connections that are used again.
//!
//! ```text
//! Request ─▶ Http ─▶ Pool, or connect: resolve ─▶ TCP ─▶ proxy ─▶ TLS (Profile)
//!              │
//!              └─▶ head, body ─▶ head of the answer ─▶ Response { status, fields, Body }
//!                                                          Body, read to its end ─▶ Pool
//! ```
//! HTTP/1.1, one request at a time on a connection, and each on the thread of who asks: a blob is hashed and written by the
//! thread that reads it from its socket, and several are several threads. There is no runtime: see ARCHITECTURE.md for what was
//! measured.
//!
//! # Invariants
//! - `Authorization` goes to the origin of the request and to no other: who is led elsewhere goes there without it.
//! - Nobody is led out of TLS into the clear.
//! - Every wait ends ([`Patience`]), and every answer has a bound.
//!
//! # Failure
//! A connection that has rested may be closed by the other side just as it is used again: what can be said once more is said
//! once more over a new one. All else is an [`HttpError`], which says whether it may pass.

use std::collections::HashMap;
use std::io::Read;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::ClientConfig;

use crate::base64;

mod body;
mod connection;
mod error;
mod frame;
mod head;
mod pool;
mod proxy;
mod resolve;
pub(crate) mod socket;
#[cfg(test)]
pub(crate) mod tests;
mod tls;
mod url;
mod wire;

pub use body::Body;
use connection::{Connection, Way};
pub use error::HttpError;
pub use frame::{Frames, Framing};
use head::Sends;
pub use head::{Fields, Head, Method};
use pool::{Key, Pool};
pub use proxy::{BadProxy, Proxies, Variables};
pub use resolve::{Files, ResolveError};
pub use tls::{Authorities, Identity, Profile, ProfileError};
pub use url::{Origin, Scheme, Url, UrlError, escape};

/// How often one is led on.
const LED: usize = 5;
/// What is read of what is to be sent at a time.
const PIECE: usize = 128 << 10;

/// How long one waits for what.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// For an address to take a connection, and then for all of a greeting over TLS.
    pub connect: Duration,
    /// For the head of an answer.
    pub head: Duration,
    /// For any byte.
    pub idle: Duration,
    /// In so long a time of waiting…
    pub stretch: Duration,
    /// … so many bytes have to come, or to go.
    pub least: u64,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            head: Duration::from_secs(60),
            idle: Duration::from_secs(30),
            stretch: Duration::from_secs(60),
            least: 64 << 10,
        }
    }
}

/// What is sent with a request.
pub enum Payload<'a> {
    /// Nothing.
    None,
    /// These bytes.
    Bytes(&'a [u8]),
    /// What is read, of a length that may be known.
    Stream {
        /// The length.
        length: Option<u64>,
        /// The bytes.
        from: &'a mut dyn Read,
    },
}

impl std::fmt::Debug for Payload<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::Bytes(bytes) => write!(f, "{} bytes", bytes.len()),
            Self::Stream { length, .. } => write!(f, "a stream of {length:?} bytes"),
        }
    }
}

/// A request.
#[derive(Debug)]
pub struct Request<'a> {
    /// What is asked.
    pub method: Method,
    /// Of what.
    pub url: &'a Url,
    /// How one talks to the host.
    pub profile: &'a Profile,
    /// Who asks: for the origin of the address alone.
    pub authorization: Option<&'a str>,
    /// More fields.
    pub fields: &'a [(&'a str, &'a str)],
}

/// An answer.
#[derive(Debug)]
pub struct Response {
    /// The status.
    pub status: u16,
    /// The fields of its head.
    pub fields: Fields,
    /// Where it came from, in the end.
    pub url: Url,
    /// Whether the question was sent twice: nobody knows what came of the first one.
    pub was_repeated: bool,
    /// What it holds.
    pub body: Body,
}

impl Response {
    /// Where it leads by a field of its head.
    pub(crate) fn leads_to(&self, text: &str) -> Result<Url, HttpError> {
        led(&self.url, text)
    }
}

/// Where one is led from an address: never out of TLS.
fn led(from: &Url, text: &str) -> Result<Url, HttpError> {
    let url = from.join(text)?;
    if from.origin.scheme == Scheme::Https && url.origin.scheme == Scheme::Http {
        return Err(HttpError::Astray("out of TLS, into the clear"));
    }
    Ok(url)
}

/// What is the same for all requests of a process.
#[derive(Debug)]
pub struct Settings {
    /// Who we say the program is.
    pub agent: String,
    /// Proxies.
    pub proxies: Proxies,
    /// Whom we believe.
    pub authorities: Authorities,
    /// Where names are looked up.
    pub files: Files<'static>,
    /// How long one waits.
    pub patience: Patience,
}

/// Where a request is now that it may have been led elsewhere, and who asks there.
struct Step<'a> {
    url: &'a Url,
    authorization: Option<&'a str>,
    profile: Profile,
}

/// Talks to hosts, from any thread.
#[derive(Debug)]
pub struct Http {
    settings: Settings,
    pool: Arc<Pool>,
    configured: Mutex<HashMap<Profile, Arc<ClientConfig>>>,
}

impl Http {
    /// Starts with no connection.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self { settings, pool: Arc::default(), configured: Mutex::default() }
    }

    /// Asks, and follows where a question is led.
    pub fn fetch(&self, request: &Request<'_>, mut payload: Payload<'_>) -> Result<Response, HttpError> {
        let mut url = request.url.clone();
        for _ in 0..=LED {
            let is_home = url.origin == request.url.origin;
            let step = Step {
                url: &url,
                authorization: request.authorization.filter(|_| is_home),
                profile: if is_home { request.profile.clone() } else { request.profile.for_others() },
            };
            let may_be_led = matches!(request.method, Method::Get | Method::Head);
            let response = self.send(&step, request, &mut payload)?;
            let location = response.fields.get("location");
            let Some(location) = location.filter(|_| may_be_led && is_elsewhere(response.status)) else {
                return Ok(response);
            };
            url = response.leads_to(location)?;
            response.body.discard();
        }
        Err(HttpError::Astray("on and on"))
    }

    /// Asks once.
    fn send(
        &self,
        step: &Step<'_>,
        request: &Request<'_>,
        payload: &mut Payload<'_>,
    ) -> Result<Response, HttpError> {
        let origin = &step.url.origin;
        let proxy = self.settings.proxies.before(origin);
        let is_secure = origin.scheme == Scheme::Https;
        let key = Key {
            origin: origin.clone(),
            proxy: proxy.cloned(),
            profile: if is_secure { step.profile.clone() } else { Profile::default() },
        };
        let mut was_repeated = false;
        if let Some(connection) = self.pool.take(&key) {
            let can_be_said_again = !matches!(payload, Payload::Stream { .. });
            match self.exchange(connection, step, request, payload, &key) {
                Err(HttpError::Broken { .. }) if can_be_said_again => was_repeated = true,
                other => return other,
            }
        }
        let tls = if is_secure { Some(self.configured(&step.profile)?) } else { None };
        let (files, patience) = (&self.settings.files, self.settings.patience);
        let connection = Way { origin, proxy, files, patience }.connect(tls)?;
        Ok(Response { was_repeated, ..self.exchange(connection, step, request, payload, &key)? })
    }

    /// Finds out whether a host speaks TLS, by greeting it; the connection is kept.
    pub fn speaks_tls(&self, origin: &Origin, profile: &Profile) -> Result<bool, HttpError> {
        let proxy = self.settings.proxies.before(origin);
        let key = Key { origin: origin.clone(), proxy: proxy.cloned(), profile: profile.clone() };
        let (files, patience) = (&self.settings.files, self.settings.patience);
        match (Way { origin, proxy, files, patience }).connect(Some(self.configured(profile)?)) {
            Ok(connection) => {
                self.pool.put(key, connection);
                Ok(true)
            }
            Err(HttpError::InTheClear) => Ok(false),
            Err(other) => Err(other),
        }
    }

    fn configured(&self, profile: &Profile) -> Result<Arc<ClientConfig>, HttpError> {
        let mut configured = self.configured.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(config) = configured.get(profile) {
            return Ok(config.clone());
        }
        let config = self.settings.authorities.configure(profile)?;
        configured.insert(profile.clone(), config.clone());
        Ok(config)
    }

    fn exchange(
        &self,
        mut connection: Connection,
        step: &Step<'_>,
        request: &Request<'_>,
        payload: &mut Payload<'_>,
        key: &Key,
    ) -> Result<Response, HttpError> {
        connection.begin();
        connection.send(&self.head_of(step, request, payload, key)?, "sending the request")?;
        let was_sent = match payload {
            Payload::Stream { length, from } => pour(&mut connection, *length, *from),
            // Small ones went with the head.
            Payload::None | Payload::Bytes(_) => Ok(true),
        };
        // Who does not want the rest says so before it came, and may close: its answer is better than our error.
        let (head, was_sent) = match was_sent {
            Ok(was_sent) => (connection.head()?, was_sent),
            Err(HttpError::Broken { doing, source }) => match connection.head() {
                Ok(head) => (head, false),
                Err(_) => return Err(HttpError::Broken { doing, source }),
            },
            Err(other) => return Err(other),
        };
        let framing = head.framing(request.method)?;
        let lasts = head.lasts && was_sent && framing != Framing::Close;
        let home = lasts.then(|| (self.pool.clone(), key.clone()));
        let body = Body::new(connection, framing, home, self.settings.patience.idle);
        let (status, fields, url) = (head.status, head.fields, step.url.clone());
        Ok(Response { status, fields, url, was_repeated: false, body })
    }

    /// The head, and what is small enough to go with it.
    fn head_of(
        &self,
        step: &Step<'_>,
        request: &Request<'_>,
        payload: &Payload<'_>,
        key: &Key,
    ) -> Result<Vec<u8>, HttpError> {
        let mut fields = vec![("User-Agent", self.settings.agent.as_str())];
        fields.extend_from_slice(request.fields);
        if let Some(authorization) = step.authorization {
            fields.push(("Authorization", authorization));
        }
        let through = key.proxy.as_ref().filter(|_| step.url.origin.scheme == Scheme::Http);
        let user = through.and_then(|proxy| proxy.user.as_deref()).map(base64::basic);
        if let Some(user) = &user {
            fields.push(("Proxy-Authorization", user));
        }
        let (sends, with) = match payload {
            Payload::None => (Sends::Nothing, &[][..]),
            Payload::Bytes(bytes) => (Sends::Length(bytes.len() as u64), *bytes),
            Payload::Stream { length: Some(length), .. } => (Sends::Length(*length), &[][..]),
            Payload::Stream { length: None, .. } => (Sends::Chunked, &[][..]),
        };
        let mut bytes = head::request(request.method, step.url, through.is_some(), &fields, sends)?;
        bytes.extend_from_slice(with);
        Ok(bytes)
    }
}

const fn is_elsewhere(status: u16) -> bool {
    matches!(status, 301 | 302 | 303 | 307 | 308)
}

/// Sends a stream; returns whether all of it went, and not an answer came before.
fn pour(connection: &mut Connection, length: Option<u64>, from: &mut dyn Read) -> Result<bool, HttpError> {
    const DOING: &str = "sending";
    let mut piece = vec![0; PIECE];
    let mut left = length;
    loop {
        let room = left.map_or(PIECE, |left| usize::try_from(left).unwrap_or(PIECE).min(PIECE));
        if room == 0 {
            return Ok(true);
        }
        let size = from.read(&mut piece[..room]).map_err(HttpError::Payload)?;
        match (&mut left, size) {
            (Some(_), 0) => {
                return Err(HttpError::Payload(std::io::ErrorKind::UnexpectedEof.into()));
            }
            (Some(left), size) => {
                connection.send(&piece[..size], DOING)?;
                *left -= size as u64;
            }
            (None, 0) => {
                connection.send(b"0\r\n\r\n", DOING)?;
                return Ok(true);
            }
            (None, size) => {
                connection.send(format!("{size:x}\r\n").as_bytes(), DOING)?;
                connection.send(&piece[..size], DOING)?;
                connection.send(b"\r\n", DOING)?;
            }
        }
        if connection.has_answered() {
            return Ok(left == Some(0));
        }
    }
}
