//! A file of logins: `auth.json`, Docker's `config.json`, or the older `.dockercfg`.
//!
//! ```json
//! { "auths": { "quay.io/team": { "auth": "dXNlcjpwYXNzd29yZA==" }, "https://index.docker.io/v1/": {} },
//!   "credHelpers": { "gcr.io": "gcloud" }, "credsStore": "secretservice" }
//! ```
//!
//! In this order something in the file answers for a key: the helper of its registry; the entry of the key itself, else of
//! what it lies in, up to the registry; an entry whose URL is of that registry, as Docker wrote them once; the store.
//! An entry without a login, which Docker leaves as a mark where a helper has it, does not answer.
//!
//! What is written changes one entry, and leaves every other byte of what others wrote as it is.
//!
//! # Where this differs from the peers
//! They do not ask `credsStore`, so that logins which `docker login` put into a keyring are not there for them.
//! Of an entry they read `auth`, and an identity token only beside it; we take one alone too, and `username` and
//! `password`, which Docker reads. They do not read an empty file; here it has no logins.

mod object;
#[cfg(test)]
mod tests;

use serde::Deserialize;

use self::object::{Object, quoted};
use super::credentials::{Credentials, HUB_URL, LoginKey, Secret, normal_registry};
use crate::base64;

/// In what form a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `auth.json`.
    Containers,
    /// Docker's `config.json`, where keys are hosts, and the Docker Hub's is a URL.
    Docker,
    /// `.dockercfg`: the entries alone, by URL. It is read and never written.
    Legacy,
}

/// A file cannot be understood. What a reader of JSON says of it may have a password in it, so that is not told.
#[derive(Debug, thiserror::Error)]
pub enum AuthFileError {
    /// It is no JSON, or not of that form.
    #[error("line {line}, column {column}: {problem}")]
    Json {
        /// The line, from 1.
        line: usize,
        /// The column.
        column: usize,
        /// What is wrong; the text itself may be secret.
        problem: &'static str,
    },
    /// An entry is not what entries are.
    #[error("{key:?} is not of the form of a login")]
    Entry {
        /// The key.
        key: String,
    },
    /// A part of the file has another form.
    #[error("{name:?} is not {wanted}")]
    Member {
        /// Which.
        name: &'static str,
        /// What it has to be.
        wanted: &'static str,
    },
    /// An entry's login cannot be read.
    #[error("the login of {key:?} cannot be read: auth is not user:password in base64")]
    Auth {
        /// The key.
        key: String,
    },
}

/// What a file says of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Nothing.
    Nothing,
    /// There is an entry, without a login.
    Empty {
        /// The entry's key.
        key: String,
    },
    /// A login.
    Login {
        /// The entry's key.
        key: String,
        /// The login.
        credentials: Credentials,
    },
    /// A helper is to be asked, and nobody else.
    Helper {
        /// Its name.
        name: String,
        /// What to ask it for.
        server: String,
    },
    /// A helper may be asked: the file names it for all registries.
    Store {
        /// Its name.
        name: String,
        /// What to ask it for.
        server: String,
    },
}

/// A file.
#[derive(Debug, Clone)]
pub struct AuthFile {
    form: Form,
    /// All of it, but for what is in the next.
    rest: Object,
    auths: Object,
    helpers: Vec<(String, String)>,
    store: Option<String>,
}

/// A login as a file has it. All else in an entry is left alone.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Entry {
    auth: Option<String>,
    identitytoken: Option<String>,
    username: Option<String>,
    password: Option<String>,
}

const AUTHS: &str = "auths";
const HELPERS: &str = "credHelpers";
const STORE: &str = "credsStore";

impl AuthFile {
    /// A file without logins.
    #[must_use]
    pub fn empty(form: Form) -> Self {
        let (rest, auths) = (Object::default(), Object::default());
        Self { form, rest, auths, helpers: Vec::new(), store: None }
    }

    /// Reads a file's text.
    ///
    /// # Errors
    /// It is no JSON, or the parts that matter here are not what they should be.
    pub fn parse(text: &[u8], form: Form) -> Result<Self, AuthFileError> {
        if text.trim_ascii().is_empty() {
            return Ok(Self::empty(form));
        }
        let all = Object::parse(text)?;
        if form == Form::Legacy {
            return Ok(Self { auths: all, ..Self::empty(form) });
        }
        let mut file = Self { rest: all, ..Self::empty(form) };
        if let Some(auths) = file.rest.get(AUTHS) {
            let wrong = AuthFileError::Member { name: AUTHS, wanted: "an object of logins" };
            file.auths = serde_json::from_str::<Option<Object>>(auths).ok().ok_or(wrong)?.unwrap_or_default();
        }
        if let Some(helpers) = file.rest.get(HELPERS) {
            let wrong = AuthFileError::Member { name: HELPERS, wanted: "an object of helpers' names" };
            let helpers = serde_json::from_str::<Option<Object>>(helpers);
            file.helpers =
                helpers.ok().and_then(|helpers| helpers.unwrap_or_default().texts()).ok_or(wrong)?;
        }
        if let Some(store) = file.rest.get(STORE) {
            let wrong = AuthFileError::Member { name: STORE, wanted: "a helper's name" };
            file.store = serde_json::from_str(store).ok().ok_or(wrong)?;
        }
        file.store = file.store.filter(|store| !store.is_empty());
        Ok(file)
    }

    /// What the file says of a key.
    ///
    /// # Errors
    /// The entry that would answer cannot be read.
    pub fn answer(&self, key: &LoginKey) -> Result<Answer, AuthFileError> {
        let registry = key.registry();
        if let Some((server, name)) = self.helper(registry) {
            return Ok(Answer::Helper { name: name.to_owned(), server: server.to_owned() });
        }
        let mut empty = None;
        for key in self.matching(key) {
            let Some(entry) = self.auths.get(key) else { continue };
            match read_entry(key, entry)? {
                Some(credentials) => return Ok(Answer::Login { key: key.to_owned(), credentials }),
                None => empty = empty.or_else(|| Some(key.to_owned())),
            }
        }
        Ok(match (&self.store, empty) {
            (Some(name), _) => Answer::Store { name: name.clone(), server: server(registry).to_owned() },
            (None, Some(key)) => Answer::Empty { key },
            (None, None) => Answer::Nothing,
        })
    }

    /// The helper of a registry, and what it knows the registry as.
    #[must_use]
    pub fn helper(&self, registry: &str) -> Option<(&str, &str)> {
        let named = |server: &str| self.helpers.iter().rev().find(|(known, _)| known == server);
        // Docker's files have the Docker Hub under its URL, and that is what `docker login` had the helper keep.
        let (server, name) = named(registry).or_else(|| named(server(registry)))?;
        (!name.is_empty()).then_some((server.as_str(), name.as_str()))
    }

    /// The helper of all registries, and what it knows this one as.
    #[must_use]
    pub fn store<'a>(&'a self, registry: &'a str) -> Option<(&'a str, &'a str)> {
        self.store.as_deref().map(|name| (server(registry), name))
    }

    /// The helpers of registries, each with what it knows its registry as.
    #[must_use]
    pub fn helpers(&self) -> &[(String, String)] {
        &self.helpers
    }

    /// The keys of entries that may answer, the nearest first.
    fn matching<'a>(&'a self, key: &'a LoginKey) -> Vec<&'a str> {
        let registry = key.registry();
        let exact: Vec<_> = match self.form {
            Form::Legacy => vec![registry],
            Form::Containers => key.widening().collect(),
            // What a login to the registry writes goes before what others may call it.
            Form::Docker => {
                let wider = key.widening().take_while(|wider| *wider != registry);
                let mut all: Vec<_> = wider.chain([server(registry), registry]).collect();
                all.dedup();
                all
            }
        };
        let host = normal_registry(registry);
        let others = self.auths.names().filter(|key| self.host(key) == Some(host) && !exact.contains(key));
        exact.iter().copied().chain(others).collect()
    }

    /// The registry that an entry is for, where its key is a URL or another name of that registry.
    fn host<'a>(&self, key: &'a str) -> Option<&'a str> {
        let url = key.strip_prefix("http://").or_else(|| key.strip_prefix("https://"));
        let bare = url.unwrap_or(key);
        let cut = url.is_some() || self.form == Form::Legacy;
        let host = if cut { bare.split('/').next()? } else { bare };
        Some(normal_registry(host))
    }

    /// What Docker and podman call a key in a file of this form.
    #[must_use]
    pub fn key<'a>(&self, key: &'a LoginKey) -> &'a str {
        match self.form {
            Form::Docker if !key.is_namespaced() => server(key.as_str()),
            _ => key.as_str(),
        }
    }

    /// Puts a login in, in place of what was there for that very key.
    pub fn set(&mut self, key: &LoginKey, credentials: &Credentials) {
        let login = format!("{}:{}", credentials.username, credentials.password.reveal());
        let mut entry = vec![("auth", base64::encode(login.as_bytes()))];
        if let Some(token) = &credentials.identity_token {
            entry.push(("identitytoken", token.reveal().to_owned()));
        }
        let entry = Object::of(entry.iter().map(|(name, value)| (*name, quoted(value))));
        let key = self.key(key).to_owned();
        self.auths.set(&key, entry.text(2));
    }

    /// Puts in an entry that says that a helper has the login.
    pub fn mark(&mut self, key: &LoginKey) {
        let key = self.key(key).to_owned();
        self.auths.set(&key, "{}".to_owned());
    }

    /// Takes out the entry of that very key; whether there was one.
    pub fn remove(&mut self, key: &LoginKey) -> bool {
        let key = self.key(key).to_owned();
        self.auths.remove(&key)
    }

    /// Takes out all entries; returns their keys.
    pub fn remove_all(&mut self) -> Vec<String> {
        let keys = self.auths.names().map(str::to_owned).collect();
        self.auths = Object::default();
        keys
    }

    /// The keys of all entries.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.auths.names()
    }

    /// The file's text.
    #[must_use]
    pub fn text(&self) -> String {
        let mut all = self.rest.clone();
        all.set(AUTHS, self.auths.text(1));
        all.text(0)
    }
}

/// What Docker calls a registry.
fn server(registry: &str) -> &str {
    if registry == "docker.io" { HUB_URL } else { registry }
}

/// The login of an entry; `None` where it has none.
fn read_entry(key: &str, entry: &str) -> Result<Option<Credentials>, AuthFileError> {
    let unreadable = || AuthFileError::Auth { key: key.to_owned() };
    let entry: Option<Entry> =
        serde_json::from_str(entry).ok().ok_or_else(|| AuthFileError::Entry { key: key.to_owned() })?;
    let entry = entry.unwrap_or_default();
    let token = entry.identitytoken.filter(|token| !token.is_empty()).map(Secret::new);
    let auth = entry.auth.filter(|auth| !auth.is_empty());
    let login = match auth {
        Some(auth) => {
            let bytes = base64::decode(&auth).ok().ok_or_else(unreadable)?;
            let text = String::from_utf8(bytes).ok().ok_or_else(unreadable)?;
            match text.split_once(':') {
                Some((user, password)) => Some((user.to_owned(), password.trim_matches('\0').to_owned())),
                None if text.is_empty() => None,
                None => return Err(unreadable()),
            }
        }
        None => entry
            .username
            .filter(|user| !user.is_empty())
            .map(|user| (user, entry.password.unwrap_or_default())),
    };
    Ok(match (login, token) {
        (None, None) => None,
        (login, identity_token) => {
            let (username, password) = login.unwrap_or_default();
            Some(Credentials { username, password: Secret::new(password), identity_token })
        }
    })
}
