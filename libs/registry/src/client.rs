//! A registry as one talks to it: what is asked, as whom, how often, and what is made of its answers.
//!
//! ```text
//! Registry::ask ─▶ gate (429) ─▶ what is to be shown ─▶ Http ─▶ 401: learn, once more
//!                                                          └─▶ 5xx, 429, a broken connection: wait, once more
//! ```
//! Every request goes through [`Registry::ask`], so that retries, tokens and waiting are in one place. What is sent with one is
//! made anew each time; uploads, which can go on where they stopped, are in [`upload`].

use std::sync::{Arc, OnceLock};

use ctr_core::Digest;
use ctr_core::time::Timestamp;

use crate::auth::{self, Auth, Credentials, Scope, Shown};
use crate::error::{About, Asked, RegistryError, Why, said};
use crate::http::{Http, HttpError, Method, Origin, Payload, Profile, Request, Response, Scheme, Url};
use crate::retry::{self, Gate, Retry};

mod blob;
pub mod link;
mod list;
mod manifest;
pub mod search;
#[cfg(test)]
mod tests;
pub mod upload;

pub use blob::Range;
pub use manifest::{Found, ManifestBytes};

/// Where the Docker Hub really is.
const HUB: &str = "registry-1.docker.io";

/// Where a registry is, and how one talks to it.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// `host[:port]`, as in references.
    pub host: String,
    /// Whether it may speak in the clear, or show any certificate.
    pub is_insecure: bool,
    /// How one talks to it over TLS.
    pub profile: Profile,
}

/// A registry.
#[derive(Debug)]
pub struct Registry {
    http: Arc<Http>,
    endpoint: Endpoint,
    origin: OnceLock<Origin>,
    auth: Auth,
    retry: Retry,
    gate: Gate,
    /// What will have to be allowed in the end.
    expected: OnceLock<Vec<Scope>>,
}

/// One thing that is asked.
#[derive(Debug)]
pub(crate) struct Question<'a> {
    pub(crate) asked: Asked,
    pub(crate) method: Method,
    /// The path and query, or a whole address that the registry gave.
    pub(crate) target: Target<'a>,
    pub(crate) repository: Option<&'a str>,
    pub(crate) scopes: &'a [Scope],
    pub(crate) fields: &'a [(&'a str, &'a str)],
    pub(crate) body: &'a [u8],
    /// Answers that are none of an error besides 2xx.
    pub(crate) takes: &'a [u16],
    /// Those that are none either once it was asked more than once: the first time may have done it.
    pub(crate) takes_again: &'a [u16],
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Target<'a> {
    Path(&'a str),
    Url(&'a Url),
}

impl<'a> Question<'a> {
    /// A question about no repository, for which nothing must be allowed.
    pub(crate) const fn of(asked: Asked, method: Method, target: Target<'a>) -> Self {
        Self {
            asked,
            method,
            target,
            repository: None,
            scopes: &[],
            fields: &[],
            body: &[],
            takes: &[],
            takes_again: &[],
        }
    }

    /// Whether an answer is one, and not an error.
    fn is_answered(&self, response: &Response, was_asked_before: bool) -> bool {
        let was_repeated = was_asked_before || response.was_repeated;
        is_fine(response.status, self.takes) || (was_repeated && self.takes_again.contains(&response.status))
    }

    /// The same about a repository.
    pub(crate) fn in_repository(self, repository: &'a str, scopes: &'a [Scope]) -> Self {
        Self { repository: Some(repository), scopes, ..self }
    }
}

impl Registry {
    /// A registry that nothing was asked of yet.
    #[must_use]
    pub fn new(http: Arc<Http>, endpoint: Endpoint, credentials: Credentials, retry: Retry) -> Self {
        let auth = Auth::new(credentials);
        let (origin, expected) = (OnceLock::new(), OnceLock::new());
        Self { http, endpoint, origin, auth, retry, gate: Gate::default(), expected }
    }

    /// Hears, once, what will have to be allowed in the end: then the first token is asked for with all of it, and serves
    /// every question that needs less.
    pub fn expects(&self, scopes: Vec<Scope>) {
        self.expected.get_or_init(|| scopes);
    }

    /// `host[:port]`.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.endpoint.host
    }

    /// Asks whether it is a registry, and lets us in.
    pub fn ping(&self) -> Result<(), RegistryError> {
        self.ask(&Question::of(Asked::Ping, Method::Get, Target::Path("/v2/"))).map(drop)
    }

    /// An error about something that was asked.
    pub(crate) fn error(&self, asked: Asked, repository: Option<&str>, why: impl Into<Why>) -> RegistryError {
        let about = About {
            asked,
            registry: self.endpoint.host.clone(),
            repository: repository.map(str::to_owned),
            user: self.auth.credentials().user().map(str::to_owned),
        };
        RegistryError { about: Box::new(about), why: Box::new(why.into()) }
    }

    /// Where it is. Of one that may speak in the clear it is found out once, by greeting it over TLS.
    pub(crate) fn origin(&self) -> Result<&Origin, HttpError> {
        if let Some(origin) = self.origin.get() {
            return Ok(origin);
        }
        let host = if self.endpoint.host == "docker.io" { HUB } else { &self.endpoint.host };
        let secure = Origin::parse(Scheme::Https, host)?;
        let origin = if self.endpoint.is_insecure {
            match self.http.speaks_tls(&secure, &self.profile()) {
                Ok(true) => secure,
                // Nobody may be there over TLS, and somebody in the clear: who does not understand the greeting
                // refuses it, says nothing at all, or hangs up. One that speaks TLS and only stumbled is asked in the clear
                // too, and cannot be told from these. That gives away what is asked, and a password only if who is there
                // then asks for one in the clear: no more than an insecure registry may be sent anyway. It does
                // not hold on: another one is greeted when the next command runs.
                Ok(false)
                | Err(
                    HttpError::Connect { .. }
                    | HttpError::Slow { .. }
                    | HttpError::Broken { .. }
                    | HttpError::Proxy { .. },
                ) => Origin::parse(Scheme::Http, host)?,
                Err(other) => return Err(other),
            }
        } else {
            secure
        };
        Ok(self.origin.get_or_init(|| origin))
    }

    pub(crate) fn profile(&self) -> Profile {
        Profile { is_lenient: self.endpoint.is_insecure, ..self.endpoint.profile.clone() }
    }

    pub(crate) const fn retry(&self) -> &Retry {
        &self.retry
    }

    pub(crate) const fn gate(&self) -> &Gate {
        &self.gate
    }

    /// Asks, as often as it may help.
    pub(crate) fn ask(&self, question: &Question<'_>) -> Result<Response, RegistryError> {
        self.ask_for(question, Ok)
    }

    /// Asks for what is taken from the answer, as often as it may help: an answer that breaks off is none.
    pub(crate) fn ask_for<T>(
        &self,
        question: &Question<'_>,
        take: impl Fn(Response) -> Result<T, HttpError>,
    ) -> Result<T, RegistryError> {
        let mut tries = 0;
        loop {
            self.gate.pass();
            let why = match self.once(question) {
                Ok(response) if question.is_answered(&response, tries > 0) => match take(response) {
                    Ok(taken) => return Ok(taken),
                    Err(error) => self.broken(Why::Http(error), tries),
                },
                Ok(response) => {
                    let wait = self.closing(&response);
                    let why = refusal(response);
                    let may_pass = matches!(why, Why::Status { status, .. } if retry::may_pass(status));
                    if may_pass && tries < self.retry.times {
                        let own = self.retry.wait(tries, retry::chance());
                        self.gate.close(wait.unwrap_or(own));
                    }
                    (why, may_pass)
                }
                Err(why) => self.broken(why, tries),
            };
            if !why.1 || tries >= self.retry.times {
                return Err(self.error(question.asked.clone(), question.repository, why.0));
            }
            tries += 1;
        }
    }

    /// Waits if what was not answered is to be asked again; tells whether it may be.
    fn broken(&self, why: Why, tries: u32) -> (Why, bool) {
        let may_pass = match &why {
            Why::Http(error) => error.may_pass(),
            Why::Auth(error) => error.may_pass(),
            _ => false,
        };
        if may_pass && tries < self.retry.times {
            std::thread::sleep(self.retry.wait(tries, retry::chance()));
        }
        (why, may_pass)
    }

    /// How long the registry asks to be left alone.
    pub(crate) fn closing(&self, response: &Response) -> Option<std::time::Duration> {
        response.fields.get("retry-after").and_then(|value| retry::after(value, Timestamp::now()))
    }

    /// Asks, and once more when the registry has said as whom.
    fn once(&self, question: &Question<'_>) -> Result<Response, Why> {
        let payload = || if question.body.is_empty() { Payload::None } else { Payload::Bytes(question.body) };
        let (response, shown) = self.shown(question, payload())?;
        if !self.is_challenge(&response, shown.as_ref())? {
            return Ok(response);
        }
        response.body.discard();
        Ok(self.shown(question, payload())?.0)
    }

    /// Hears an answer that asks who we are; tells whether asking again may help. Whoever the registry leads to is not
    /// heard: a realm of theirs would be sent what is for the registry's.
    pub(crate) fn is_challenge(&self, response: &Response, shown: Option<&Shown>) -> Result<bool, Why> {
        if response.status != 401 || response.url.origin != *self.origin()? {
            return Ok(false);
        }
        self.auth.challenged(response.fields.all("www-authenticate"), shown).map_err(Why::Auth)
    }

    /// Asks once, with what is to be shown; tells what that was.
    pub(crate) fn shown(
        &self,
        question: &Question<'_>,
        payload: Payload<'_>,
    ) -> Result<(Response, Option<Shown>), Why> {
        let origin = self.origin()?;
        let url = match question.target {
            Target::Path(path) => Url::at(origin, path),
            Target::Url(url) => url.clone(),
        };
        let profile = self.profile();
        // Who leads to an address elsewhere does not get to know who we are.
        let is_home = url.origin == *origin;
        let shown = if is_home {
            let scopes = self.expected.get().filter(|all| auth::covers(all, question.scopes));
            let scopes = scopes.map_or(question.scopes, Vec::as_slice);
            let shown = match self.auth.shown(&self.http, origin, &profile, scopes) {
                // All that is expected may be too much, where what is asked for is not.
                Err(error) if error.is_denied() && scopes != question.scopes => {
                    self.auth.shown(&self.http, origin, &profile, question.scopes)
                }
                other => other,
            };
            shown.map_err(Why::Auth)?
        } else {
            None
        };
        let profile = if is_home { profile } else { profile.for_others() };
        let request = Request {
            method: question.method,
            url: &url,
            profile: &profile,
            authorization: shown.as_ref().map(|shown| shown.value.as_str()),
            fields: question.fields,
        };
        Ok((self.http.fetch(&request, payload)?, shown))
    }
}

pub(crate) fn is_fine(status: u16, takes: &[u16]) -> bool {
    (200..300).contains(&status) || takes.contains(&status)
}

/// What an answer that is none says.
pub(crate) fn refusal(response: Response) -> Why {
    let status = response.status;
    // What cannot be read says nothing.
    let bytes = response.body.bytes(ctr_core::limits::REGISTRY_ERROR).unwrap_or_default();
    Why::Status { status, said: said(&bytes) }
}

/// The path of something in a repository. Names are checked by their grammar, so nothing needs to be escaped.
pub(crate) fn path(repository: &str, rest: &str) -> String {
    format!("/v2/{repository}/{rest}")
}

/// How a manifest is named in a repository.
#[must_use]
pub fn digest_of(fields: &crate::http::Fields) -> Option<Digest> {
    Digest::parse(fields.get("docker-content-digest")?).ok()
}
