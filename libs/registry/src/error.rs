//! What a registry refuses, and how talking to it fails: always with what was asked of whom, and as whom.

use std::fmt;

use ctr_core::foreign::for_terminal;
use ctr_core::{Digest, limits};
use serde::Deserialize;

use crate::auth::AuthError;
use crate::http::HttpError;

/// What was asked of a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// Whether it is one.
    Ping,
    /// A manifest, by tag or digest.
    Manifest(String),
    /// A blob.
    Blob(Digest),
    /// To take a blob.
    Upload(Digest),
    /// To take a manifest.
    Put(String),
    /// To forget a manifest.
    Delete(String),
    /// The tags of a repository.
    Tags,
    /// The repositories.
    Catalog,
    /// Repositories by a part of their names.
    Search,
    /// What belongs to a manifest.
    Referrers(Digest),
}

/// What was asked, where, and by whom.
#[derive(Debug)]
pub struct About {
    /// What.
    pub asked: Asked,
    /// The registry.
    pub registry: String,
    /// The repository, unless all of the registry was meant.
    pub repository: Option<String>,
    /// As whom it was asked.
    pub user: Option<String>,
}

/// A registry did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub struct RegistryError {
    /// What that was.
    pub about: Box<About>,
    /// Why not.
    #[source]
    pub why: Box<Why>,
}

/// Why a registry did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Why {
    /// It could not be talked to.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// It wants to know who asks.
    #[error("{}", if .0.is_denied() { "unauthorized" } else { "cannot log in" })]
    Auth(#[source] AuthError),
    /// It knows who asks, or nobody can be named, and does not allow it.
    #[error("{}", Refusal { status: *status, said: said.as_deref() })]
    Status {
        /// Its answer.
        status: u16,
        /// What it said, fit to be shown.
        said: Option<String>,
    },
    /// What came is not what was named.
    #[error("what came is damaged")]
    Digest(#[from] ctr_core::digest::Mismatch),
    /// What came cannot be used.
    #[error("the registry's answer cannot be used: {0}")]
    Answer(&'static str),
    /// It is of the form that nobody should use any more.
    #[error(
        "it is a manifest of Docker's schema 1 ({digest}), which is not supported: push the image again with a current program"
    )]
    SchemaOne {
        /// Its digest.
        digest: Digest,
    },
    /// A token was over in the middle of something; there is another one now.
    #[error("the token was over")]
    Renewed,
    /// The registry is blocked by the configuration.
    #[error("registry {0} is blocked in registries.conf")]
    Blocked(String),
}

impl RegistryError {
    /// Whether there is no such thing, as opposed to trouble on the way.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        matches!(*self.why, Why::Status { status: 404, .. })
    }

    /// Whether it is about who asks.
    #[must_use]
    pub fn is_denied(&self) -> bool {
        match &*self.why {
            Why::Auth(error) => error.is_denied(),
            Why::Status { status, .. } => matches!(status, 401 | 403),
            _ => false,
        }
    }
}

impl fmt::Display for RegistryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let About { asked, registry, repository, user } = &*self.about;
        match asked {
            Asked::Ping => f.write_str("pinging container registry ")?,
            Asked::Manifest(which) => write!(f, "reading manifest {which} in ")?,
            Asked::Blob(digest) => write!(f, "reading blob {digest} in ")?,
            Asked::Upload(digest) => write!(f, "writing blob {digest} to ")?,
            Asked::Put(which) => write!(f, "writing manifest {which} to ")?,
            Asked::Delete(which) => write!(f, "deleting manifest {which} in ")?,
            Asked::Tags => f.write_str("listing the tags of ")?,
            Asked::Catalog => f.write_str("listing the repositories of ")?,
            Asked::Search => f.write_str("searching ")?,
            Asked::Referrers(digest) => write!(f, "listing what refers to {digest} in ")?,
        }
        f.write_str(registry)?;
        if let Some(repository) = repository {
            write!(f, "/{repository}")?;
        }
        match (user, self.is_denied()) {
            (Some(user), true) => write!(f, " as {}", for_terminal(user.as_bytes())),
            (None, true) => f.write_str(" without a login"),
            _ => Ok(()),
        }
    }
}

struct Refusal<'a> {
    status: u16,
    said: Option<&'a str>,
}

impl fmt::Display for Refusal<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let usual = match self.status {
            401 => "unauthorized",
            403 => "denied",
            404 => "not found",
            413 => "too large for the registry",
            429 => "too many requests",
            503 => "the registry is not available for now",
            _ => "",
        };
        match (self.said, usual) {
            (Some(said), _) => f.write_str(said),
            (None, "") => write!(f, "the registry answered {}", self.status),
            (None, usual) => f.write_str(usual),
        }
    }
}

#[derive(Deserialize)]
struct Body {
    #[serde(default)]
    errors: Vec<One>,
    /// Some who hand out tokens say it like this.
    details: Option<String>,
    message: Option<String>,
}

#[derive(Deserialize)]
struct One {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

/// What a registry says of an error, fit to be shown; nothing if it says nothing that can be read.
pub(crate) fn said(bytes: &[u8]) -> Option<String> {
    let body: Body = serde_json::from_slice(bytes).ok()?;
    let mut all: Vec<String> = body.errors.iter().take(limits::REGISTRY_ERRORS).map(one).collect();
    all.extend(body.details.or(body.message));
    all.retain(|text| !text.is_empty());
    let text: String = all.join("; ").chars().take(limits::REGISTRY_MESSAGE).collect();
    (!text.is_empty()).then(|| for_terminal(text.as_bytes()))
}

/// The code in words and the message, if that says more.
fn one(error: &One) -> String {
    let words = error.code.to_ascii_lowercase().replace('_', " ");
    if error.message.is_empty() || error.message.eq_ignore_ascii_case(&words) || words.is_empty() {
        return if error.message.is_empty() { words } else { error.message.clone() };
    }
    format!("{words}: {}", error.message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_registries_say() {
        for (body, wanted) in [
            (
                r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}"#,
                Some("manifest unknown"),
            ),
            (
                r#"{"errors":[{"code":"UNAUTHORIZED","message":"authentication required","detail":{}}]}"#,
                Some("unauthorized: authentication required"),
            ),
            (r#"{"errors":[{"code":"DENIED"},{"message":"x\u001b[2J"}]}"#, Some("denied; x\\x1b[2J")),
            (r#"{"details":"incorrect username or password"}"#, Some("incorrect username or password")),
            (r#"{"errors":[]}"#, None),
            ("<html>", None),
        ] {
            assert_eq!(said(body.as_bytes()).as_deref(), wanted, "{body}");
        }
        let long = format!(r#"{{"message":"{}"}}"#, "x".repeat(1 << 16));
        assert_eq!(said(long.as_bytes()).unwrap().len(), limits::REGISTRY_MESSAGE);
    }

    #[test]
    fn errors_name_what_where_and_who() {
        let error = |why| RegistryError {
            about: Box::new(About {
                asked: Asked::Manifest("1".to_owned()),
                registry: "quay.io".to_owned(),
                repository: Some("a/b".to_owned()),
                user: Some("me".to_owned()),
            }),
            why: Box::new(why),
        };
        let missing = error(Why::Status { status: 404, said: None });
        assert_eq!(ctr_core::causes::chain(&missing), "reading manifest 1 in quay.io/a/b: not found");
        assert!(missing.is_missing() && !missing.is_denied());
        let denied = error(Why::Status { status: 403, said: Some("denied".to_owned()) });
        assert_eq!(ctr_core::causes::chain(&denied), "reading manifest 1 in quay.io/a/b as me: denied");
    }
}
