//! Image references: Docker's grammar and Podman's normalisation.
//!
//! ```text
//! reference  = name [":" tag] ["@" digest]
//! name       = [domain "/"] component *("/" component)     at most 255 bytes
//! domain     = (label *("." label) | "[" IPv6 "]") [":" port]
//! component  = 1*[a-z0-9] *(("." | "_" | "__" | 1*"-") 1*[a-z0-9])
//! tag        = [A-Za-z0-9_] 0*127[A-Za-z0-9_.-]
//! ```
//!
//! A [`Reference`] always has a domain. What a user types may lack one: that is a [`ShortName`], a type of its
//! own, since only a decision (local image, registries.conf, docker.io) turns it into a reference.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::digest::{Digest, DigestError};
use crate::limits;

/// The registry that a short name means in Docker's world.
pub const DOCKER: &str = "docker.io";
/// The domain of images that never were in a registry.
pub const LOCALHOST: &str = "localhost";

/// A text is no image reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// Something does not follow the grammar.
    #[error("invalid reference format")]
    Format,
    /// The name has letters of upper case.
    #[error("invalid reference format: repository name must be lowercase")]
    Uppercase,
    /// The name is nothing but 64 hexadecimal digits, which would be an image id.
    #[error("invalid repository name, cannot specify 64-byte hexadecimal strings")]
    Identifier,
    /// The name is longer than registries accept.
    #[error("repository name must not be more than {} characters", limits::REFERENCE_NAME)]
    TooLong,
    /// The tag does not follow its grammar.
    #[error("invalid tag format")]
    Tag,
    /// The digest does not follow its grammar.
    #[error("invalid digest in the reference")]
    Digest(#[source] DigestError),
}

/// A repository: a domain and a path.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name {
    domain: String,
    path: String,
}

impl Name {
    /// Reads a name, which must have a domain.
    pub fn parse(text: &str) -> Result<Self, ReferenceError> {
        match Spelling::parse(text)? {
            Spelling::Full(Reference { name, tag: None, digest: None }) => Ok(name),
            _ => Err(ReferenceError::Format),
        }
    }

    /// Returns the domain, with its port.
    #[must_use]
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// Returns the path below the domain.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Returns the name as Docker shows it: without docker.io and library.
    #[must_use]
    pub fn familiar(&self) -> String {
        if self.domain != DOCKER {
            return self.to_string();
        }
        match self.path.strip_prefix("library/") {
            Some(rest) if !rest.contains('/') => rest.to_owned(),
            _ => self.path.clone(),
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.domain, self.path)
    }
}

/// A tag.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tag(String);

impl Tag {
    /// Reads a tag.
    pub fn parse(text: &str) -> Result<Self, ReferenceError> {
        let first = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        let rest = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte));
        if first && rest && text.len() <= limits::TAG {
            Ok(Self(text.to_owned()))
        } else {
            Err(ReferenceError::Tag)
        }
    }

    /// The tag of a reference that names none.
    #[must_use]
    pub fn latest() -> Self {
        Self("latest".to_owned())
    }

    /// Returns the text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An image in a repository, by tag, digest, both or neither.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reference {
    /// The repository.
    pub name: Name,
    /// The tag.
    pub tag: Option<Tag>,
    /// The digest.
    pub digest: Option<Digest>,
}

impl Reference {
    /// Reads a reference; a short name means docker.io, as Docker has it.
    pub fn parse(text: &str) -> Result<Self, ReferenceError> {
        Ok(match Spelling::parse(text)? {
            Spelling::Full(reference) => reference,
            Spelling::Short(short) => short.at_docker(),
        })
    }

    /// Reads the name of something local, as Podman's `tag` and `load` do: a short name means localhost, and
    /// without tag and digest the tag is latest.
    pub fn parse_local(text: &str) -> Result<Self, ReferenceError> {
        let reference = match Spelling::parse(text)? {
            Spelling::Full(reference) => reference,
            Spelling::Short(short) => short.at(LOCALHOST)?,
        };
        Ok(reference.or_latest())
    }

    /// Returns the reference with the tag `latest` where it had neither tag nor digest.
    #[must_use]
    pub fn or_latest(mut self) -> Self {
        if self.tag.is_none() && self.digest.is_none() {
            self.tag = Some(Tag::latest());
        }
        self
    }

    /// Returns the reference as Docker shows it.
    #[must_use]
    pub fn familiar(&self) -> String {
        suffixed(self.name.familiar(), self.tag.as_ref(), self.digest.as_ref())
    }

    /// Returns `name@digest`, without the tag.
    #[must_use]
    pub fn canonical(&self, digest: Digest) -> Self {
        Self { name: self.name.clone(), tag: None, digest: Some(digest) }
    }
}

fn suffixed(mut text: String, tag: Option<&Tag>, digest: Option<&Digest>) -> String {
    if let Some(tag) = tag {
        text.push(':');
        text.push_str(tag.as_str());
    }
    if let Some(digest) = digest {
        text.push('@');
        text.push_str(&digest.to_string());
    }
    text
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&suffixed(self.name.to_string(), self.tag.as_ref(), self.digest.as_ref()))
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        Self::parse(text)
    }
}

impl Serialize for Reference {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Reference {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        match Spelling::parse(&text).map_err(serde::de::Error::custom)? {
            Spelling::Full(reference) => Ok(reference),
            Spelling::Short(_) => Err(serde::de::Error::custom("a reference without its domain")),
        }
    }
}

/// A reference without a domain, as users type them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ShortName {
    path: String,
    /// The tag.
    pub tag: Option<Tag>,
    /// The digest.
    pub digest: Option<Digest>,
}

impl ShortName {
    /// Returns the path as typed.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Places the name in a domain, which may carry a namespace (`registry.example/team`).
    pub fn at(&self, prefix: &str) -> Result<Reference, ReferenceError> {
        let whole = suffixed(format!("{prefix}/{}", self.path), self.tag.as_ref(), self.digest.as_ref());
        match Spelling::parse(&whole)? {
            Spelling::Full(reference) => Ok(docker_library(reference)),
            Spelling::Short(_) => Err(ReferenceError::Format),
        }
    }

    /// Places the name where Docker would look for it.
    #[must_use]
    pub fn at_docker(&self) -> Reference {
        let name = Name { domain: DOCKER.to_owned(), path: self.path.clone() };
        docker_library(Reference { name, tag: self.tag.clone(), digest: self.digest })
    }
}

impl fmt::Display for ShortName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&suffixed(self.path.clone(), self.tag.as_ref(), self.digest.as_ref()))
    }
}

/// What a user typed: with or without a domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Spelling {
    /// With a domain.
    Full(Reference),
    /// Without.
    Short(ShortName),
}

impl Spelling {
    /// Reads a reference as typed, deciding nothing about where a short name lives.
    pub fn parse(text: &str) -> Result<Self, ReferenceError> {
        if text.len() > limits::REFERENCE {
            return Err(ReferenceError::TooLong);
        }
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(Digest::parse(digest).map_err(ReferenceError::Digest)?)),
            None => (text, None),
        };
        let (name, tag) = split_tag(rest)?;
        if digest.is_none() && tag.is_none() && is_identifier(name) {
            return Err(ReferenceError::Identifier);
        }
        let (domain, path) = split_domain(name);
        check_path(path)?;
        if whole_length(domain, path) > limits::REFERENCE_NAME {
            return Err(ReferenceError::TooLong);
        }
        let Some(domain) = domain else {
            return Ok(Self::Short(ShortName { path: path.to_owned(), tag, digest }));
        };
        check_domain(domain)?;
        let domain = if domain == "index.docker.io" { DOCKER } else { domain };
        let name = Name { domain: domain.to_owned(), path: path.to_owned() };
        Ok(Self::Full(docker_library(Reference { name, tag, digest })))
    }
}

/// The length of a name with all that is left out of it at docker.io, so that what prints the name is read again.
fn whole_length(domain: Option<&str>, path: &str) -> usize {
    let domain = domain.unwrap_or(DOCKER);
    let library = if domain.ends_with(DOCKER) && !path.contains('/') { "library/".len() } else { 0 };
    domain.len() + 1 + library + path.len()
}

/// Adds the `library/` that docker.io's own images live under.
fn docker_library(mut reference: Reference) -> Reference {
    if reference.name.domain == DOCKER && !reference.name.path.contains('/') {
        reference.name.path.insert_str(0, "library/");
    }
    reference
}

fn split_tag(text: &str) -> Result<(&str, Option<Tag>), ReferenceError> {
    match text.rsplit_once(':') {
        // A colon before the last slash belongs to the port of the domain.
        Some((name, tag)) if !tag.contains('/') => Ok((name, Some(Tag::parse(tag)?))),
        _ => Ok((text, None)),
    }
}

/// The first component is a domain when it looks like one: a dot, a colon, `localhost` or upper case.
fn split_domain(name: &str) -> (Option<&str>, &str) {
    match name.split_once('/') {
        Some((first, rest))
            if first.contains(['.', ':', '['])
                || first == LOCALHOST
                || first.bytes().any(|byte| byte.is_ascii_uppercase()) =>
        {
            (Some(first), rest)
        }
        _ => (None, name),
    }
}

fn is_identifier(name: &str) -> bool {
    name.len() == 64 && name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn check_path(path: &str) -> Result<(), ReferenceError> {
    if path.split('/').all(is_component) {
        return Ok(());
    }
    let lower = path.to_ascii_lowercase();
    Err(if lower != path && lower.split('/').all(is_component) {
        ReferenceError::Uppercase
    } else {
        ReferenceError::Format
    })
}

fn is_component(component: &str) -> bool {
    let alphanumeric = |byte: u8| byte.is_ascii_digit() || byte.is_ascii_lowercase();
    let bytes = component.as_bytes();
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else { return false };
    if !alphanumeric(*first) || !alphanumeric(*last) {
        return false;
    }
    // Between the runs of letters and digits stand separators: one dot, one or two underscores, or dashes.
    bytes.split(|byte| alphanumeric(*byte)).all(|separator| match separator {
        b"" | b"." | b"_" | b"__" => true,
        dashes => dashes.iter().all(|byte| *byte == b'-'),
    })
}

fn check_domain(domain: &str) -> Result<(), ReferenceError> {
    let (host, port) = match domain.strip_prefix('[') {
        Some(rest) => {
            let (address, port) = rest.split_once(']').ok_or(ReferenceError::Format)?;
            let hexadecimal = address.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b':');
            if address.is_empty() || !hexadecimal {
                return Err(ReferenceError::Format);
            }
            return match port.strip_prefix(':') {
                Some(port) => check_port(port),
                None if port.is_empty() => Ok(()),
                None => Err(ReferenceError::Format),
            };
        }
        None => match domain.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (domain, None),
        },
    };
    let label = |label: &str| {
        let bytes = label.as_bytes();
        let ends = [bytes.first(), bytes.last()];
        ends.iter().all(|end| end.is_some_and(u8::is_ascii_alphanumeric))
            && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-')
    };
    if !host.split('.').all(label) {
        return Err(ReferenceError::Format);
    }
    port.map_or(Ok(()), check_port)
}

fn check_port(port: &str) -> Result<(), ReferenceError> {
    let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    if digits { Ok(()) } else { Err(ReferenceError::Format) }
}

#[cfg(test)]
mod tests;
