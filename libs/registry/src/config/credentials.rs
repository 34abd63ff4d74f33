//! Who we are to a registry, and for what of it.

use std::fmt;

use ctr_core::reference::{Name, Spelling};

/// The name of the Docker Hub in Docker's own files.
pub(super) const HUB_URL: &str = "https://index.docker.io/v1/";

/// Text that is not for others: it has no `Display`, and its `Debug` does not tell it.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Secret(String);

impl Secret {
    /// Wraps text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, for who has to send or store it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(if self.0.is_empty() { "Secret(empty)" } else { "Secret(…)" })
    }
}

/// A login.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Credentials {
    /// The user; empty where a token is all there is.
    pub username: String,
    /// The password, or a token that is used like one.
    pub password: Secret,
    /// A token for getting tokens (OAuth 2's refresh token), which goes before the password.
    pub identity_token: Option<Secret>,
}

impl Credentials {
    /// A user and a password.
    pub fn new(username: impl Into<String>, password: impl Into<String>) -> Self {
        Self { username: username.into(), password: Secret::new(password), identity_token: None }
    }

    /// A token for getting tokens.
    pub fn identity(token: impl Into<String>) -> Self {
        Self { identity_token: Some(Secret::new(token)), ..Self::default() }
    }
}

/// Text is neither a registry nor a part of one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoginKeyError {
    /// It has no host.
    #[error("{0:?} is no registry: write host[:port], or host[:port]/namespace")]
    NoHost(String),
    /// It is an image.
    #[error("{0:?} has a tag or a digest: logins are for registries, namespaces and repositories")]
    Image(String),
    /// What is behind the host is no repository.
    #[error("{0:?} is neither a registry nor a repository in one")]
    NoRepository(String),
}

/// What a login is for: a registry, a namespace in one, or a repository.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LoginKey {
    text: String,
    registry: usize,
}

impl LoginKey {
    /// Reads what a user typed. Of a URL the host counts.
    ///
    /// # Errors
    /// It is neither.
    pub fn parse(typed: &str) -> Result<Self, LoginKeyError> {
        let bad = |error: fn(String) -> LoginKeyError| Err(error(typed.to_owned()));
        let url = typed.strip_prefix("https://").or_else(|| typed.strip_prefix("http://"));
        let text = match url {
            Some(rest) => rest.split('/').next().unwrap_or_default(),
            None => typed.trim_end_matches('/'),
        };
        let (registry, path) = text.split_once('/').map_or((text, None), |(host, path)| (host, Some(path)));
        if text.contains('@') || path.is_some_and(|path| path.contains(':')) {
            return bad(LoginKeyError::Image);
        }
        // A host without a dot is one in a local network, though no reference can name it.
        if Name::parse(&format!("{registry}/x")).is_err() && Name::parse(&format!("{registry}:1/x")).is_err()
        {
            return bad(LoginKeyError::NoHost);
        }
        if path.is_some_and(|path| Spelling::parse(&format!("localhost/{path}")).is_err()) {
            return bad(LoginKeyError::NoRepository);
        }
        Ok(Self { registry: registry.len(), text: text.to_owned() })
    }

    /// The key of a repository.
    #[must_use]
    pub fn of(name: &Name) -> Self {
        Self { text: name.to_string(), registry: name.domain().len() }
    }

    /// All of it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The registry: `host[:port]`.
    #[must_use]
    pub fn registry(&self) -> &str {
        self.text.get(..self.registry).unwrap_or(&self.text)
    }

    /// Whether it is a part of a registry.
    #[must_use]
    pub fn is_namespaced(&self) -> bool {
        self.text.len() > self.registry
    }

    /// Itself, then what it lies in, up to the registry.
    pub(super) fn widening(&self) -> impl Iterator<Item = &str> {
        std::iter::successors(Some(self.as_str()), |text| text.rsplit_once('/').map(|(parent, _)| parent))
    }
}

impl fmt::Display for LoginKey {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(&self.text)
    }
}

/// The host that all names of the Docker Hub stand for.
pub(super) fn normal_registry(host: &str) -> &str {
    match host {
        "docker.io" | "registry-1.docker.io" => "index.docker.io",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_registries_or_parts_of_them() {
        for (typed, text, registry) in [
            ("quay.io", "quay.io", "quay.io"),
            ("localhost:5000", "localhost:5000", "localhost:5000"),
            ("localhost:5000/", "localhost:5000", "localhost:5000"),
            ("intranet", "intranet", "intranet"),
            ("quay.io/team/app", "quay.io/team/app", "quay.io"),
            ("docker.io/vendor", "docker.io/vendor", "docker.io"),
            ("https://index.docker.io/v1/", "index.docker.io", "index.docker.io"),
            ("http://a.b:80", "a.b:80", "a.b:80"),
            ("[::1]:5000/x", "[::1]:5000/x", "[::1]:5000"),
        ] {
            let key = LoginKey::parse(typed).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!((key.as_str(), key.registry()), (text, registry));
            assert_eq!(key.is_namespaced(), text != registry);
        }
        for typed in [
            "",
            "/",
            "https://",
            "quay.io/a:1",
            "quay.io@x",
            "quay.io/UPPER",
            "quay.io//x",
            "a b",
            "-u",
            "ftp://x.y",
        ] {
            assert!(LoginKey::parse(typed).is_err(), "{typed}");
        }
    }

    #[test]
    fn a_key_widens_to_its_registry() {
        let name = Name::parse("quay.io/repo/ns/image").unwrap();
        let key = LoginKey::of(&name);
        let wider: Vec<_> = key.widening().collect();
        assert_eq!(wider, ["quay.io/repo/ns/image", "quay.io/repo/ns", "quay.io/repo", "quay.io"]);
    }

    #[test]
    fn secrets_are_not_told() {
        let login = Credentials::new("bob", "swordfish");
        assert!(!format!("{login:?}").contains("swordfish"));
        assert_eq!(login.password.reveal(), "swordfish");
    }
}
