//! `policy.json`: which images may be used at all.
//!
//! # Theory of operation
//! Requirements are listed by transport and scope; those of the narrowest scope that is there count, else those of the
//! transport's scope "", else the default. All of them must be met.
//!
//! ```text
//! docker     quay.io/a/app:1  ▸  quay.io/a/app  ▸  quay.io/a  ▸  quay.io  ▸  *.io  ▸  ""
//! dir, oci   /a/b/c           ▸  /a/b           ▸  /a                               ▸  ""
//! others     ""
//! ```
//!
//! `insecureAcceptAnything` is met by every image, `reject` by none. Whatever else a file requires cannot be checked yet, so an
//! image that it is required of is refused, with the requirement's name: never is less asked of an image than what was written.
//! Who writes a policy means all of it, so a file that has anything unknown, or anything twice, is refused as a whole.
//!
//! No file at all accepts every image, as with Docker; podman refuses to start. [`Policy::origin`] tells.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use ctr_core::Reference;
use ctr_core::file::{FileError, read};
use ctr_core::limits;
use serde_json::value::RawValue;

use super::Environment;
use super::members::Members;

/// The name of the file.
pub const FILE: &str = "policy.json";

/// A policy cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// The file cannot be read, or a named one is not there.
    #[error(transparent)]
    File(#[from] FileError),
    /// It cannot be understood.
    #[error("cannot use the policy {}: {problem}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// Why.
        problem: Problem,
    },
}

/// What is wrong with a policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// It is no JSON.
    #[error("line {line}, column {column}: this is no JSON")]
    Json {
        /// The line, from 1.
        line: usize,
        /// The column.
        column: usize,
    },
    /// A part of it has another form.
    #[error("{place} is not {wanted}")]
    Form {
        /// Which part.
        place: String,
        /// What it should be.
        wanted: &'static str,
    },
    /// Something nobody knows.
    #[error("{place} has the unknown key {key:?}")]
    Unknown {
        /// Where.
        place: String,
        /// The key.
        key: String,
    },
    /// Something is there more than once.
    #[error("{place} has the key {key:?} more than once")]
    Twice {
        /// Where.
        place: String,
        /// The key.
        key: String,
    },
    /// There is no default.
    #[error("it has no \"default\"")]
    NoDefault,
    /// A list without requirements would be met by everything.
    #[error(
        "{place} lists no requirements: write [{{\"type\": \"insecureAcceptAnything\"}}] or [{{\"type\": \"reject\"}}]"
    )]
    Empty {
        /// Which list.
        place: String,
    },
    /// There is no such requirement.
    #[error("{place} requires {name:?}, which nobody knows")]
    Requirement {
        /// Which list.
        place: String,
        /// The requirement's type.
        name: String,
    },
    /// A scope that can match nothing.
    #[error("{place}: {scope:?} is no scope of this transport: {wanted}")]
    Scope {
        /// Where.
        place: String,
        /// The scope.
        scope: String,
        /// What one looks like.
        wanted: &'static str,
    },
}

/// What is required of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Requirement {
    /// Nothing.
    AcceptAnything,
    /// What no image can meet.
    Reject,
    /// Something that cannot be checked yet: the type's name.
    Unbuilt(&'static str),
}

/// Requirements that cannot be checked yet.
const UNBUILT: &[&str] = &["signedBy", "signedBaseLayer", "sigstoreSigned"];

/// Requirements by scope.
type Scopes = BTreeMap<String, Vec<Requirement>>;

/// A policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    default: Vec<Requirement>,
    transports: BTreeMap<String, Scopes>,
    origin: Option<PathBuf>,
}

/// An image as a policy sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject<'a> {
    /// `docker` or `docker-daemon`: an image by the name that the user gave it, with a tag or a digest.
    Named {
        /// The transport's name.
        transport: &'a str,
        /// The name.
        reference: &'a Reference,
    },
    /// `dir`, `oci` or `oci-archive`: a folder or a file, with all links resolved.
    Path {
        /// The transport's name.
        transport: &'a str,
        /// The path.
        path: &'a Path,
    },
    /// Another transport, which knows no scopes but "": `docker-archive`, `tarball`, ….
    Other {
        /// The transport's name.
        transport: &'a str,
    },
}

/// A policy does not let an image through.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It says so.
    #[error("{image} is rejected by {scope} in {}", origin.display())]
    Rejected {
        /// The image.
        image: String,
        /// Whose requirements these are.
        scope: String,
        /// The file.
        origin: PathBuf,
    },
    /// It requires what cannot be checked yet.
    #[error("{image} may be used only if it is checked as {scope} in {} says, and {requirement} is not supported yet", origin.display())]
    Unbuilt {
        /// The image.
        image: String,
        /// The requirement's type.
        requirement: &'static str,
        /// Whose requirements these are.
        scope: String,
        /// The file.
        origin: PathBuf,
    },
}

impl Policy {
    /// The policy that lets everything through: `--insecure-policy`, or no file.
    #[must_use]
    pub fn accept_anything() -> Self {
        Self { default: vec![Requirement::AcceptAnything], transports: BTreeMap::new(), origin: None }
    }

    /// Reads the file: the named one (`--policy`, `--signature-policy`), else CONTAINERS_POLICY_JSON's, else the first of the
    /// user's, the administrator's and the vendor's. Without one, everything is let through.
    ///
    /// # Errors
    /// A file cannot be read or used, or a named one is not there.
    pub fn find(environment: &Environment, named: Option<&Path>) -> Result<Self, PolicyError> {
        if let Some(path) = named.or(environment.policy_json.as_deref()) {
            return Self::read_at(path);
        }
        for folder in environment.folders() {
            match Self::read_at(&folder.join(FILE)) {
                Err(PolicyError::File(error)) if error.is_missing() || error.is_below_a_file() => {}
                other => return other,
            }
        }
        Ok(Self::accept_anything())
    }

    fn read_at(path: &Path) -> Result<Self, PolicyError> {
        Self::parse(&read(path, limits::POLICY)?, path)
    }

    /// Reads a text.
    ///
    /// # Errors
    /// It is no policy.
    pub fn parse(text: &[u8], path: &Path) -> Result<Self, PolicyError> {
        let policy =
            parse(text).map_err(|problem| PolicyError::Content { path: path.to_owned(), problem })?;
        Ok(Self { origin: Some(path.to_owned()), ..policy })
    }

    /// The file; `None` where there is none.
    #[must_use]
    pub fn origin(&self) -> Option<&Path> {
        self.origin.as_deref()
    }

    /// Whether an image may be used.
    ///
    /// # Errors
    /// It may not.
    pub fn check(&self, subject: &Subject<'_>) -> Result<(), Refused> {
        let (scope, requirements) = self.requirements(subject);
        let unmet = requirements.iter().find(|requirement| **requirement != Requirement::AcceptAnything);
        let Some(unmet) = unmet else { return Ok(()) };
        let (image, origin) = (subject.to_string(), self.origin.clone().unwrap_or_default());
        Err(match unmet {
            Requirement::Unbuilt(requirement) => Refused::Unbuilt { image, requirement, scope, origin },
            _ => Refused::Rejected { image, scope, origin },
        })
    }

    /// The requirements that count for an image, and whose they are.
    #[must_use]
    pub fn requirements(&self, subject: &Subject<'_>) -> (String, &[Requirement]) {
        let transport = subject.transport();
        if let Some(scopes) = self.transports.get(transport) {
            for scope in subject.scopes() {
                if let Some(requirements) = scopes.get(&scope) {
                    return (format!("the scope {scope:?} of {transport}"), requirements);
                }
            }
        }
        ("the default".to_owned(), &self.default)
    }
}

impl<'a> Subject<'a> {
    /// An image in a registry.
    #[must_use]
    pub const fn registry(reference: &'a Reference) -> Self {
        Self::Named { transport: "docker", reference }
    }

    fn transport(&self) -> &str {
        match self {
            Self::Named { transport, .. } | Self::Path { transport, .. } | Self::Other { transport } => {
                transport
            }
        }
    }

    /// The scopes that it is in, the narrowest first.
    fn scopes(&self) -> Vec<String> {
        let mut scopes = match self {
            Self::Named { reference, .. } => name_scopes(reference),
            Self::Path { path, .. } => path_scopes(path),
            Self::Other { .. } => Vec::new(),
        };
        scopes.push(String::new());
        scopes
    }
}

impl std::fmt::Display for Subject<'_> {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Named { transport: "docker", reference } => write!(to, "docker://{reference}"),
            Self::Named { transport, reference } => write!(to, "{transport}:{reference}"),
            Self::Path { transport, path } => write!(to, "{transport}:{}", path.display()),
            Self::Other { transport } => write!(to, "an image of {transport}"),
        }
    }
}

fn name_scopes(reference: &Reference) -> Vec<String> {
    let name = reference.name.to_string();
    // A digest says more than a tag.
    let digest = reference.digest.iter().map(|digest| format!("{name}@{digest}"));
    let mut scopes: Vec<_> = digest.chain(reference.tag.iter().map(|tag| format!("{name}:{tag}"))).collect();
    let parent = |text: &String| text.rsplit_once('/').map(|(parent, _)| parent.to_owned());
    scopes.extend(std::iter::successors(Some(name), parent));
    // A wildcard has no port.
    let host = reference.name.domain().split(':').next().unwrap_or_default();
    let domains = std::iter::successors(host.split_once('.'), |(_, domain)| domain.split_once('.'));
    scopes.extend(domains.map(|(_, domain)| format!("*.{domain}")));
    scopes
}

fn path_scopes(path: &Path) -> Vec<String> {
    let folders = path.ancestors().filter(|folder| folder.parent().is_some());
    folders.filter_map(Path::to_str).map(str::to_owned).collect()
}

fn parse(text: &[u8]) -> Result<Policy, Problem> {
    let mut default = None;
    let mut transports = BTreeMap::new();
    let whole: &RawValue = serde_json::from_slice(text)
        .map_err(|error| Problem::Json { line: error.line(), column: error.column() })?;
    for (key, value) in members("the policy", whole)? {
        match key.as_str() {
            "default" => default = Some(requirements("the default", &value)?),
            "transports" => {
                for (transport, value) in members("\"transports\"", &value)? {
                    let scopes = scopes(&transport, &value)?;
                    transports.insert(transport, scopes);
                }
            }
            _ => return Err(Problem::Unknown { place: "it".to_owned(), key }),
        }
    }
    let default = default.ok_or(Problem::NoDefault)?;
    Ok(Policy { default, transports, origin: None })
}

/// The members of an object in which nothing is said twice.
fn members(place: &str, value: &RawValue) -> Result<Vec<(String, Box<RawValue>)>, Problem> {
    let form = || Problem::Form { place: place.to_owned(), wanted: "an object" };
    let Members(members) = serde_json::from_str(value.get()).ok().ok_or_else(form)?;
    let mut seen = BTreeSet::new();
    match members.iter().find(|(key, _)| !seen.insert(key.as_str())) {
        Some((key, _)) => Err(Problem::Twice { place: place.to_owned(), key: key.clone() }),
        None => Ok(members),
    }
}

fn scopes(transport: &str, value: &RawValue) -> Result<Scopes, Problem> {
    let place = format!("the transport {transport:?}");
    let mut all = Scopes::new();
    for (scope, value) in members(&place, value)? {
        if let Some(wanted) = wrong_scope(transport, &scope) {
            return Err(Problem::Scope { place, scope, wanted });
        }
        let requirements = requirements(&format!("the scope {scope:?} of {transport}"), &value)?;
        all.insert(scope, requirements);
    }
    Ok(all)
}

/// What a scope of a transport should look like, if this is none.
fn wrong_scope(transport: &str, scope: &str) -> Option<&'static str> {
    let is_plain_path =
        || scope.starts_with('/') && scope != "/" && !scope.split('/').skip(1).any(is_no_name);
    match transport {
        _ if scope.is_empty() => None,
        "dir" | "oci" | "oci-archive" if !is_plain_path() => {
            Some("write an absolute path without links, . and .., and \"\" for all")
        }
        "docker-archive" | "tarball" => Some("there is only \"\""),
        _ => None,
    }
}

fn is_no_name(part: &str) -> bool {
    matches!(part, "" | "." | "..")
}

fn requirements(place: &str, value: &RawValue) -> Result<Vec<Requirement>, Problem> {
    let wanted = "a list of requirements";
    let form = || Problem::Form { place: place.to_owned(), wanted };
    let list: Vec<Box<RawValue>> = serde_json::from_str(value.get()).ok().ok_or_else(form)?;
    if list.is_empty() {
        return Err(Problem::Empty { place: place.to_owned() });
    }
    list.iter().map(|value| requirement(place, value)).collect()
}

fn requirement(place: &str, value: &RawValue) -> Result<Requirement, Problem> {
    let members = members(place, value)?;
    let name = members.iter().find(|(key, _)| key == "type");
    let name = name.and_then(|(_, value)| serde_json::from_str::<String>(value.get()).ok());
    let name = name
        .ok_or_else(|| Problem::Form { place: place.to_owned(), wanted: "a list of objects with a type" })?;
    let plain = match name.as_str() {
        "insecureAcceptAnything" => Requirement::AcceptAnything,
        "reject" => Requirement::Reject,
        _ => {
            let known = UNBUILT.iter().find(|known| **known == name);
            let unknown = || Problem::Requirement { place: place.to_owned(), name: name.clone() };
            return known.map(|known| Requirement::Unbuilt(known)).ok_or_else(unknown);
        }
    };
    match members.into_iter().find(|(key, _)| key != "type") {
        Some((key, _)) => Err(Problem::Unknown { place: place.to_owned(), key }),
        None => Ok(plain),
    }
}
