//! Who asks: what is shown to a registry, and to those who hand out tokens for it.
//!
//! ```text
//! first request, nothing shown ─▶ 401, a challenge ─▶ Basic: name and password from now on
//!                                                 └─▶ Bearer: realm ─▶ token for the scopes, until it is nearly over
//! ```
//! The challenge is remembered, so that later requests come with what they need. What must be allowed is known before it is
//! asked: copying within a registry wants to read one repository and write another, in one token.
//!
//! # Invariants
//! Passwords go to the registry's own origin, and to the realm it names; to none in the clear if the registry itself speaks TLS.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use ctr_core::limits;

use crate::base64;
use crate::config;
use crate::http::{Http, HttpError, Method, Origin, Payload, Profile, Request, Scheme, Url, escape};
use crate::retry;

pub mod challenge;
mod token;

use challenge::{Bearer, Challenge, challenges};
use token::{Token, bearer};

/// Who we say we are.
#[derive(Clone, Default, PartialEq, Eq)]
pub enum Credentials {
    /// Nobody.
    #[default]
    Anonymous,
    /// Somebody with a password.
    Password {
        /// The name.
        user: String,
        /// The password.
        password: String,
    },
    /// Somebody who was given a token to ask for tokens with.
    Identity {
        /// The name that the file has, if it has one.
        user: String,
        /// The token.
        token: String,
    },
    /// Whoever has this token, which is shown as it is.
    Token(String),
}

impl Credentials {
    /// Reads `user[:password]`.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let (user, password) = text.split_once(':').unwrap_or((text, ""));
        Self::Password { user: user.to_owned(), password: password.to_owned() }
    }

    /// The name, for messages.
    #[must_use]
    pub fn user(&self) -> Option<&str> {
        match self {
            Self::Password { user, .. } | Self::Identity { user, .. } => {
                Some(user.as_str()).filter(|user| !user.is_empty())
            }
            Self::Anonymous | Self::Token(_) => None,
        }
    }
}

impl From<config::Credentials> for Credentials {
    fn from(found: config::Credentials) -> Self {
        match found.identity_token {
            Some(token) => Self::Identity { user: found.username, token: token.reveal().to_owned() },
            None => Self::Password { user: found.username, password: found.password.reveal().to_owned() },
        }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anonymous => f.write_str("Anonymous"),
            Self::Password { user, .. } => write!(f, "Password of {user:?}"),
            Self::Identity { user, .. } => write!(f, "Identity of {user:?}"),
            Self::Token(_) => f.write_str("Token"),
        }
    }
}

/// Something that must be allowed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scope {
    /// Reading a repository.
    Pull(String),
    /// Reading it and writing to it.
    Push(String),
    /// Taking something out of it.
    Delete(String),
    /// Listing all repositories.
    Catalog,
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pull(name) => write!(f, "repository:{name}:pull"),
            Self::Push(name) => write!(f, "repository:{name}:pull,push"),
            Self::Delete(name) => write!(f, "repository:{name}:delete"),
            Self::Catalog => f.write_str("registry:catalog:*"),
        }
    }
}

/// Nobody could be convinced of who we are.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// The registry wants something that nobody here knows.
    #[error("the registry does not say how to log in")]
    NoWay,
    /// It wants a password, and there is none.
    #[error("authentication required")]
    NoPassword,
    /// Who hands out tokens refuses.
    #[error("authentication required: {realm} answered {status}{}", said.as_deref().map(|text| format!(": {text}")).unwrap_or_default())]
    Refused {
        /// Who.
        realm: String,
        /// Its answer.
        status: u16,
        /// What it said, fit to be shown.
        said: Option<String>,
    },
    /// The realm is in the clear and the registry is not, or it is no address.
    #[error("the registry sends passwords to {realm}, which is not over TLS: nothing was sent")]
    Clear {
        /// Which.
        realm: String,
    },
    /// The realm is no address.
    #[error("the registry names no address to get tokens from")]
    Realm(#[source] crate::http::UrlError),
    /// Who hands out tokens cannot be reached.
    #[error("cannot get a token from {realm}")]
    Http {
        /// Who.
        realm: String,
        /// Why not.
        #[source]
        source: HttpError,
    },
    /// What was handed out is no token.
    #[error("{realm} handed out no token")]
    NoToken {
        /// Who.
        realm: String,
    },
}

impl AuthError {
    /// Whether asking again may help.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Http { source, .. } => source.may_pass(),
            Self::Refused { status, .. } => retry::may_pass(*status),
            _ => false,
        }
    }

    /// Whether it is about who asks, and not trouble on the way.
    #[must_use]
    pub fn is_denied(&self) -> bool {
        matches!(self, Self::NoWay | Self::NoPassword | Self::Refused { status: 400 | 401 | 403, .. })
    }
}

/// What was shown to a registry.
pub(crate) struct Shown {
    /// The value of `Authorization`.
    pub(crate) value: String,
    /// Whether it is a token that was there before this request.
    is_old: bool,
}

impl Shown {
    const fn new(value: String) -> Self {
        Self { value, is_old: false }
    }
}

/// What a registry was told and has said.
#[derive(Debug, Default)]
pub struct Auth {
    credentials: Credentials,
    challenge: Mutex<Option<Challenge>>,
    tokens: Mutex<HashMap<Vec<Scope>, Token>>,
}

impl Auth {
    /// Starts with who we are; nothing is shown before the registry asks.
    #[must_use]
    pub fn new(credentials: Credentials) -> Self {
        Self { credentials, ..Self::default() }
    }

    /// Who we say we are.
    #[must_use]
    pub const fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// What to show for something that must be allowed, as far as the registry has asked.
    pub(crate) fn shown(
        &self,
        http: &Http,
        at: &Origin,
        profile: &Profile,
        scopes: &[Scope],
    ) -> Result<Option<Shown>, AuthError> {
        if let Credentials::Token(token) = &self.credentials {
            return Ok(Some(Shown::new(bearer(token))));
        }
        let challenge = lock(&self.challenge).clone();
        match challenge {
            None => Ok(None),
            Some(Challenge::Basic) => Ok(self.password().map(Shown::new)),
            Some(Challenge::Bearer(way)) => {
                if let Some(value) = self.known(scopes) {
                    return Ok(Some(Shown { value, is_old: true }));
                }
                let token = self.token(http, at, profile, &way, scopes)?;
                let shown = token.bearer(Instant::now());
                lock(&self.tokens).insert(scopes.to_vec(), token);
                Ok(shown.map(Shown::new))
            }
        }
    }

    /// Hears that something was not allowed as it was asked; returns whether it is worth asking again.
    pub(crate) fn challenged<'a>(
        &self,
        values: impl Iterator<Item = &'a str>,
        shown: Option<&Shown>,
    ) -> Result<bool, AuthError> {
        if matches!(self.credentials, Credentials::Token(_)) {
            return Ok(false);
        }
        let offered = challenges(values);
        // A token is never the password itself, so that way is taken where there are two.
        let way = offered.iter().find(|way| matches!(way, Challenge::Bearer(_))).or(offered.first());
        let way = way.ok_or(AuthError::NoWay)?.clone();
        if way == Challenge::Basic && self.password().is_none() {
            return Err(AuthError::NoPassword);
        }
        let is_new = lock(&self.challenge).replace(way.clone()).is_none_or(|known| !is_same(&known, &way));
        // A token that was there already may have been over, or for less; another thread may have another one by now.
        self.forget(shown);
        Ok(is_new || shown.is_none_or(|shown| shown.is_old))
    }

    /// What to show of a token that is there already.
    fn known(&self, scopes: &[Scope]) -> Option<String> {
        let (tokens, now) = (lock(&self.tokens), Instant::now());
        tokens.iter().filter(|(has, _)| covers(has, scopes)).find_map(|(_, token)| token.bearer(now))
    }

    /// Drops the token that was shown.
    fn forget(&self, shown: Option<&Shown>) {
        let now = Instant::now();
        if let Some(shown) = shown {
            lock(&self.tokens).retain(|_, token| token.bearer(now).is_some_and(|value| value != shown.value));
        }
    }

    fn password(&self) -> Option<String> {
        match &self.credentials {
            Credentials::Password { user, password } => Some(base64::basic(&format!("{user}:{password}"))),
            _ => None,
        }
    }

    fn token(
        &self,
        http: &Http,
        at: &Origin,
        profile: &Profile,
        way: &Bearer,
        scopes: &[Scope],
    ) -> Result<Token, AuthError> {
        let mut url = Url::parse(&way.realm).map_err(AuthError::Realm)?;
        let realm = url.plain();
        if at.scheme == Scheme::Https && url.origin.scheme == Scheme::Http {
            return Err(AuthError::Clear { realm });
        }
        let mut wanted: Vec<String> = scopes.iter().map(ToString::to_string).collect();
        // What the registry itself asks for may be more than we know of.
        wanted.extend(way.scope.iter().filter(|scope| scopes.is_empty() && !scope.is_empty()).cloned());
        let profile = if url.origin == *at { profile.clone() } else { profile.for_others() };
        let form;
        let (method, authorization, payload) = match &self.credentials {
            Credentials::Identity { token, .. } => {
                form = self.form(way, &wanted, token);
                (Method::Post, None, Payload::Bytes(form.as_bytes()))
            }
            _ => {
                for (name, value) in query(way, &wanted, self.credentials.user()) {
                    url = url.with(name, &value);
                }
                (Method::Get, self.password(), Payload::None)
            }
        };
        let kind = [("Content-Type", "application/x-www-form-urlencoded")];
        let request = Request {
            method,
            url: &url,
            profile: &profile,
            authorization: authorization.as_deref(),
            fields: if method == Method::Post { &kind } else { &[] },
        };
        let failed = |source| AuthError::Http { realm: realm.clone(), source };
        let response = http.fetch(&request, payload).map_err(failed)?;
        let status = response.status;
        let bytes = response.body.bytes(limits::TOKEN_ANSWER).map_err(failed)?;
        if status != 200 {
            let said = crate::error::said(&bytes);
            return Err(AuthError::Refused { realm, status, said });
        }
        Token::parse(&bytes, Instant::now()).ok_or(AuthError::NoToken { realm })
    }

    /// What is posted to get a token for another token (OAuth 2).
    fn form(&self, way: &Bearer, scopes: &[String], token: &str) -> String {
        let mut form = String::from("grant_type=refresh_token&client_id=ctr&refresh_token=");
        escape(token, &mut form);
        for (name, value) in way
            .service
            .iter()
            .map(|service| ("service", service.clone()))
            .chain([("scope", scopes.join(" "))])
        {
            form.push('&');
            form.push_str(name);
            form.push('=');
            escape(&value, &mut form);
        }
        form
    }
}

fn query(way: &Bearer, scopes: &[String], user: Option<&str>) -> Vec<(&'static str, String)> {
    let mut query = Vec::new();
    query.extend(user.map(|user| ("account", user.to_owned())));
    query.extend(way.service.iter().map(|service| ("service", service.clone())));
    query.extend(scopes.iter().map(|scope| ("scope", scope.clone())));
    query
}

/// Whether a token for some things is good for others. One for nothing in particular is for nothing else.
pub(crate) fn covers(has: &[Scope], wanted: &[Scope]) -> bool {
    let covered = |scope: &Scope| match scope {
        // Who writes to a repository reads it too.
        Scope::Pull(name) => has.contains(scope) || has.contains(&Scope::Push(name.clone())),
        _ => has.contains(scope),
    };
    has == wanted || (!wanted.is_empty() && wanted.iter().all(covered))
}

/// Whether two challenges send one to the same place: what they want to be allowed changes with each request.
fn is_same(one: &Challenge, other: &Challenge) -> bool {
    match (one, other) {
        (Challenge::Bearer(one), Challenge::Bearer(other)) => {
            (&one.realm, &one.service) == (&other.realm, &other.service)
        }
        (Challenge::Basic, Challenge::Basic) => true,
        _ => false,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
