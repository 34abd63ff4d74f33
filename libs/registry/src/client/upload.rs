//! Giving blobs to a registry.
//!
//! ```text
//! mount ─▶ 201: it is there                POST ?mount=&from=
//!      └─▶ 202: a session, as if begun     POST
//!                 │
//!                 ▼
//!            all of it in one request      PUT ?digest=
//!                 │ broken, 5xx              │ 413: too much at once        401: once more, with a new token
//!                 ▼                          ▼
//!            how much came?   GET         pieces            PATCH…, then PUT ?digest=
//!                 └──▶ the rest in one request
//! ```
//! What was sent is not sent again, as far as the registry says that it has it. One that has forgotten the session is
//! given all of it once more.

use std::io::{self, Read};

use ctr_core::Digest;

use super::{Question, Registry, Target, digest_of, is_fine, path, refusal};
use crate::auth::Scope;
use crate::error::{Asked, RegistryError, Why};
use crate::http::{HttpError, Method, Payload, Response, Url};
use crate::retry;

/// What is sent at a time where a registry does not take all at once.
const PIECE: u64 = 16 << 20;
/// No registry may want pieces that are larger than this.
const LARGEST: u64 = 512 << 20;

/// What can be read from any place on, more than once.
pub trait Content {
    /// Opens it at a place.
    fn open(&mut self, from: u64) -> io::Result<Box<dyn Read + '_>>;
}

impl Content for &[u8] {
    fn open(&mut self, from: u64) -> io::Result<Box<dyn Read + '_>> {
        let from = usize::try_from(from).unwrap_or(usize::MAX);
        Ok(Box::new(self.get(from..).unwrap_or_default()))
    }
}

/// A blob to give.
#[derive(Debug, Clone, Copy)]
pub struct New<'a> {
    /// To which repository.
    pub repository: &'a str,
    /// Its digest.
    pub digest: &'a Digest,
    /// Its length.
    pub size: u64,
    /// The repository of the same registry that has it already.
    pub from: Option<&'a str>,
}

/// How a blob came to be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Came {
    /// The registry took it from another repository of its own.
    Mounted,
    /// It was sent.
    Sent,
}

/// Where the registry takes a blob.
struct Session {
    at: Url,
    /// What it has.
    has: u64,
    /// The smallest piece that it takes, but for the last one.
    least: u64,
}

impl Registry {
    /// Gives a blob.
    pub fn upload(&self, new: New<'_>, content: &mut dyn Content) -> Result<Came, RegistryError> {
        let failed = |why| self.error(Asked::Upload(*new.digest), Some(new.repository), why);
        let Some(mut session) = self.begin(new, new.from)? else { return Ok(Came::Mounted) };
        let (mut tries, mut in_pieces) = (0, false);
        loop {
            let sent = if in_pieces {
                self.pieces(new, &mut session, content)
            } else {
                self.rest(new, &session, content)
            };
            let why = match sent {
                Ok(()) => return Ok(Came::Sent),
                Err(Why::Status { status: 413, .. }) if !in_pieces => {
                    in_pieces = true;
                    session = self.again(new, session)?;
                    continue;
                }
                // Nothing of it was taken, so that nobody needs to be asked how much was.
                Err(Why::Renewed) if tries < self.retry().times => {
                    tries += 1;
                    continue;
                }
                Err(why) => why,
            };
            if !is_worth_it(&why) || tries >= self.retry().times {
                return Err(failed(why));
            }
            std::thread::sleep(self.retry().wait(tries, retry::chance()));
            tries += 1;
            session = self.again(new, session)?;
        }
    }

    fn question<'a>(new: New<'a>, method: Method, target: Target<'a>, scopes: &'a [Scope]) -> Question<'a> {
        Question::of(Asked::Upload(*new.digest), method, target).in_repository(new.repository, scopes)
    }

    /// Begins; nothing if the registry took the blob from its other repository.
    fn begin(&self, new: New<'_>, from: Option<&str>) -> Result<Option<Session>, RegistryError> {
        let failed = |why| self.error(Asked::Upload(*new.digest), Some(new.repository), why);
        let origin = self.origin().map_err(|error| failed(error.into()))?;
        let mut url = Url::at(origin, path(new.repository, "blobs/uploads/"));
        let mut scopes = vec![Scope::Push(new.repository.to_owned())];
        if let Some(from) = from {
            url = url.with("mount", &new.digest.to_string()).with("from", from);
            scopes.push(Scope::Pull(from.to_owned()));
        }
        let question = Self::question(new, Method::Post, Target::Url(&url), &scopes);
        let response = match self.ask(&question) {
            // Who may not read the other repository may still write to this one.
            Err(error) if from.is_some() && error.is_denied() => return self.begin(new, None),
            other => other?,
        };
        if response.status == 201 && from.is_some() {
            return Ok(None);
        }
        let least = response.fields.get("oci-chunk-min-length").and_then(|value| value.parse().ok());
        let at = location(&response).map_err(failed)?;
        Ok(Some(Session { at, has: 0, least: least.unwrap_or(0) }))
    }

    /// Asks how much of a blob came; of one that the registry has forgotten, nothing did.
    fn again(&self, new: New<'_>, session: Session) -> Result<Session, RegistryError> {
        let scopes = [Scope::Push(new.repository.to_owned())];
        let question =
            Question { takes: &[404], ..Self::question(new, Method::Get, Target::Url(&session.at), &scopes) };
        let response = self.ask(&question)?;
        if response.status == 404 {
            let failed = |why| self.error(Asked::Upload(*new.digest), Some(new.repository), why);
            return self.begin(new, None)?.ok_or_else(|| failed(Why::Answer("no upload was begun")));
        }
        let has = received(&response).unwrap_or(0).min(new.size);
        let at = location(&response).unwrap_or(session.at);
        Ok(Session { at, has, least: session.least })
    }

    /// Sends all that is left, and that this was all.
    fn rest(&self, new: New<'_>, session: &Session, content: &mut dyn Content) -> Result<(), Why> {
        let url = session.at.clone().with("digest", &new.digest.to_string());
        let range;
        let mut fields = vec![("Content-Type", "application/octet-stream")];
        if session.has > 0 && session.has < new.size {
            range = format!("{}-{}", session.has, new.size - 1);
            fields.push(("Content-Range", range.as_str()));
        }
        let mut stream = content.open(session.has).map_err(unreadable)?;
        let payload = Payload::Stream { length: Some(new.size - session.has), from: &mut stream };
        let response = self.give(new, Method::Put, &url, &fields, payload)?;
        match digest_of(&response.fields) {
            Some(digest) if digest.algorithm() == new.digest.algorithm() => Ok(new.digest.expect(digest)?),
            _ => Ok(()),
        }
    }

    /// Sends what is left in pieces.
    fn pieces(&self, new: New<'_>, session: &mut Session, content: &mut dyn Content) -> Result<(), Why> {
        let piece = PIECE.max(session.least);
        if piece > LARGEST {
            return Err(Why::Answer("it wants larger pieces than anybody sends"));
        }
        while session.has < new.size {
            let size = piece.min(new.size - session.has);
            let range = format!("{}-{}", session.has, session.has + size - 1);
            let fields = [("Content-Type", "application/octet-stream"), ("Content-Range", range.as_str())];
            let mut stream = content.open(session.has).map_err(unreadable)?;
            let payload = Payload::Stream { length: Some(size), from: &mut stream };
            let response = self.give(new, Method::Patch, &session.at.clone(), &fields, payload)?;
            session.at = location(&response)?;
            let had = session.has;
            session.has = received(&response).unwrap_or(had + size).min(new.size);
            if session.has <= had {
                return Err(Why::Answer("it does not keep what it is given"));
            }
        }
        self.rest(new, session, content)
    }

    /// Sends something once. Who asks for a token here gets one, for the next time.
    fn give(
        &self,
        new: New<'_>,
        method: Method,
        url: &Url,
        fields: &[(&str, &str)],
        payload: Payload<'_>,
    ) -> Result<Response, Why> {
        self.gate().pass();
        let scopes = [Scope::Push(new.repository.to_owned())];
        let question = Question { fields, ..Self::question(new, method, Target::Url(url), &scopes) };
        let (response, shown) = self.shown(&question, payload)?;
        if is_fine(response.status, &[]) {
            return Ok(response);
        }
        if let Some(wait) = self.closing(&response) {
            self.gate().close(wait);
        }
        if self.is_challenge(&response, shown.as_ref())? {
            return Err(Why::Renewed);
        }
        Err(refusal(response))
    }
}

/// Whether what failed is worth going on from where it stopped.
fn is_worth_it(why: &Why) -> bool {
    match why {
        Why::Http(error) => error.may_pass(),
        Why::Auth(error) => error.may_pass(),
        // 416: not from there; then the registry is asked from where.
        Why::Status { status, .. } => retry::may_pass(*status) || *status == 416,
        _ => false,
    }
}

fn unreadable(error: io::Error) -> Why {
    Why::Http(HttpError::Payload(error))
}

fn location(response: &Response) -> Result<Url, Why> {
    let text = response.fields.get("location").ok_or(Why::Answer("it does not say where to send to"))?;
    Ok(response.leads_to(text)?)
}

/// How much came: `Range: 0-99` is a hundred bytes, and `0-0` is none with most registries.
fn received(response: &Response) -> Option<u64> {
    let value = response.fields.get("range")?;
    let last: u64 = value.strip_prefix("bytes=").unwrap_or(value).strip_prefix("0-")?.parse().ok()?;
    Some(if last == 0 { 0 } else { last + 1 })
}
