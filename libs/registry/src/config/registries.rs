//! `registries.conf`: where an image of a name is to be fetched, and what a short name may mean.
//!
//! # Theory of operation
//! One main file (the user's, else the administrator's, else the vendor's), then all drop-ins by name, then what
//! `…_OVERRIDE` names ([`ctr_core::config::search`]). Of two files the later one has the word on each `[[registry]]` by
//! its prefix and on each alias; its other keys replace those of earlier files, be they empty lists. Within one file the
//! first of two registries with one prefix counts.
//!
//! A `[[registry]]` speaks for a reference if its prefix is the reference's beginning up to a `/`, `:` or `@`, or if it is
//! `*.domain` and the reference's host lies below that domain; the longest prefix wins. What is read is asked of its
//! mirrors in order, then of its location, with the prefix replaced by theirs. What is written, listed or deleted goes to the
//! name as it is: a mirror is no place to push to, and the peers do not rewrite there either.
//!
//! A registry that is blocked is not asked. Its mirrors are: that is how administrators keep clusters away from a source
//! (`NeverContactSource`). A mirror whose own name is blocked is left out.
//!
//! # Where this differs from the peers
//! A prefix may name a tag or a digest, as the manual has it, where their code looks at the name alone. A search registry that
//! looks like no registry (`foo`) is refused: they would make `docker.io/foo/…` of it.

pub(super) mod layer;
pub mod short;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ctr_core::Reference;
use ctr_core::config::{ConfigError, Finding, Folders, search};
use ctr_core::reference::{Name, ReferenceError, Spelling};
use ctr_core::toml::TomlError;

use super::Environment;
pub use short::{Candidates, Prompt, Reason, ShortNameError, Unconfigured};

/// The name of the files.
pub const FILE: &str = "registries.conf";

/// The entry of `credential-helpers` that stands for files of logins.
pub const AUTH_FILES: &str = "containers-auth.json";

/// The configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RegistriesError {
    /// A file that must be there, or one that may not be read.
    #[error(transparent)]
    Files(#[from] ConfigError),
    /// A file is no TOML.
    #[error("cannot understand {}", path.display())]
    Toml {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: TomlError,
    },
    /// A file is in the format of before 2020.
    #[error(
        "cannot use {}: it is in the first version of its format ([registries.search] and the like), which is no longer \
         read; write unqualified-search-registries = [...] and [[registry]] instead",
        path.display()
    )]
    FirstVersion {
        /// The file.
        path: PathBuf,
    },
    /// A key says something that cannot be.
    #[error("cannot use {}: {key}: {problem}", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// The key, with those of its tables.
        key: String,
        /// What is wrong with it.
        problem: Problem,
    },
}

/// What is wrong with a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// It has a value of the wrong kind.
    #[error("is of kind {found} where {wanted} is needed")]
    Kind {
        /// The kind that is needed.
        wanted: &'static str,
        /// The kind in the file.
        found: &'static str,
    },
    /// A location is written as a URL.
    #[error("{value:?} has a scheme: write the host without it, and insecure = true for plain http")]
    Scheme {
        /// As it is written.
        value: String,
    },
    /// Neither says which registry is meant.
    #[error("neither prefix nor location is set")]
    Nameless,
    /// It has to be set.
    #[error("is not set, and only a prefix like \"*.example.com\" can do without")]
    NoLocation,
    /// A mirror has to be somewhere.
    #[error("a mirror's location is not set")]
    NoMirrorLocation,
    /// A wildcard of another form.
    #[error("{value:?} is not of the form \"*.example.com\", which has no port, path, tag or digest")]
    Wildcard {
        /// As it is written.
        value: String,
    },
    /// There is no such value.
    #[error("{value:?} is none of {allowed}")]
    Value {
        /// As it is written.
        value: String,
        /// What there is.
        allowed: &'static str,
    },
    /// It is set where only mirrors have it.
    #[error("is for mirrors: it stands in [[registry.mirror]]")]
    NotAMirror,
    /// Two keys that say the same differently.
    #[error(
        "the registry has mirror-by-digest-only, which already says it for all its mirrors: drop one of the two"
    )]
    Twice,
    /// Two registries of one location do not agree.
    #[error("{location:?} is there more than once, and not always with the same {setting:?}")]
    Conflict {
        /// The location.
        location: String,
        /// On what they do not agree.
        setting: &'static str,
    },
    /// Not a registry's name.
    #[error("{value:?} is no registry: write its host, with a dot in it or a port, and nothing behind")]
    NoRegistry {
        /// As it is written.
        value: String,
    },
    /// Not a short name.
    #[error("is no short name: write a name without registry, tag and digest")]
    NoShortName,
    /// Not what a short name can mean.
    #[error(
        "{value:?} is not what a short name can stand for: write registry/repository, without tag and digest"
    )]
    NoAlias {
        /// As it is written.
        value: String,
    },
    /// Not a program's name.
    #[error("{value:?} is no name of a credential helper: of docker-credential-pass write \"pass\"")]
    NoHelper {
        /// As it is written.
        value: String,
    },
}

/// When a mirror is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Asked {
    /// Always.
    #[default]
    Always,
    /// For images by digest, of which no mirror can give another one.
    ByDigest,
    /// For images by tag.
    ByTag,
}

/// Another place of a registry's images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mirror {
    /// What stands in place of the prefix.
    pub location: String,
    /// Whether plain http and unknown certificates do.
    pub insecure: bool,
    /// When it is asked.
    pub asked: Asked,
}

/// What is said of one registry, or of a part of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registry {
    /// Which references this is about.
    pub prefix: String,
    /// What stands in place of the prefix; `None` keeps the name.
    pub location: Option<String>,
    /// Whether plain http and unknown certificates do.
    pub insecure: bool,
    /// Whether it is not to be asked.
    pub blocked: bool,
    /// Where to ask before.
    pub mirrors: Vec<Mirror>,
    /// The file that says so.
    pub origin: PathBuf,
}

/// What a short name was said to mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Alias {
    /// `None` takes back what an earlier file said.
    pub(super) name: Option<Name>,
    pub(super) origin: PathBuf,
}

/// What becomes of short names that may mean several images.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// Ask; where nobody can be asked, fail.
    Enforcing,
    /// Ask; where nobody can be asked, try one after the other.
    #[default]
    Permissive,
    /// Try one after the other.
    Disabled,
}

/// What all files say together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Registries {
    registries: BTreeMap<String, Registry>,
    search: Option<(Vec<String>, PathBuf)>,
    mode: Option<Mode>,
    aliases: BTreeMap<String, Alias>,
    helpers: Option<Vec<String>>,
    findings: Vec<Finding>,
    files: Vec<PathBuf>,
}

/// A place to ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// What to ask for there.
    pub reference: Reference,
    /// Whether plain http and unknown certificates do.
    pub insecure: bool,
    /// Whether it is a mirror.
    pub mirror: bool,
}

/// Where an image can be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoints {
    /// The places in the order in which to try them; at least one.
    pub tried: Vec<Endpoint>,
    /// What was left out because it is blocked.
    pub blocked: Vec<Blocked>,
}

/// A registry that is not to be asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the registry {prefix} is blocked in {}", origin.display())]
pub struct Blocked {
    /// What of it is blocked.
    pub prefix: String,
    /// The file that says so.
    pub origin: PathBuf,
}

/// A reference leads nowhere.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// It is blocked.
    #[error(transparent)]
    Blocked(#[from] Blocked),
    /// A location makes no reference of it.
    #[error("cannot use {}: the registry {prefix} makes {text:?} of {reference}", origin.display())]
    Rewrite {
        /// The reference.
        reference: Box<Reference>,
        /// The prefix that was to be replaced.
        prefix: String,
        /// What came of it.
        text: String,
        /// The file that says so.
        origin: PathBuf,
        /// Why that is no reference.
        #[source]
        source: ReferenceError,
    },
}

impl Registries {
    /// Reads the files.
    ///
    /// # Errors
    /// A file that must be there is not, or one cannot be read or understood.
    pub fn read(environment: &Environment) -> Result<Self, RegistriesError> {
        let places = environment.places();
        let mut all = Self::default();
        for (path, text) in search::texts(FILE, &places, &Folders::of(&places))? {
            all.lay(layer::parse(&text, &path)?, path);
        }
        Ok(all)
    }

    /// Reads a text.
    ///
    /// # Errors
    /// It cannot be understood, or says what cannot be.
    pub fn parse(text: &str, path: &Path) -> Result<Self, RegistriesError> {
        let mut all = Self::default();
        all.lay(layer::parse(text, path)?, path.to_owned());
        Ok(all)
    }

    /// Lays a file over what the others said.
    fn lay(&mut self, file: layer::Layer, path: PathBuf) {
        for registry in file.registries.into_values() {
            self.registries.insert(registry.prefix.clone(), registry);
        }
        if let Some(search) = file.search {
            self.search = Some((search, path.clone()));
        }
        self.mode = file.mode.or(self.mode);
        self.aliases.extend(file.aliases);
        self.helpers = file.helpers.or_else(|| self.helpers.take());
        self.findings.extend(file.findings);
        self.files.push(path);
    }

    /// What is said of a reference, or of a registry.
    #[must_use]
    pub fn find(&self, text: &str) -> Option<&Registry> {
        let matching = self.registries.values().filter(|registry| matched(text, &registry.prefix).is_some());
        // Of two as long the first counts, as with the peers.
        matching.fold(None, |best: Option<&Registry>, next| match best {
            Some(best) if best.prefix.len() >= next.prefix.len() => Some(best),
            _ => Some(next),
        })
    }

    /// Where to read an image.
    ///
    /// # Errors
    /// All of them are blocked, or a location makes no reference.
    pub fn endpoints(&self, reference: &Reference) -> Result<Endpoints, EndpointError> {
        let text = reference.to_string();
        let Some(registry) = self.find(&text) else {
            let itself = Endpoint { reference: reference.clone(), insecure: false, mirror: false };
            return Ok(Endpoints { tried: vec![itself], blocked: Vec::new() });
        };
        let mut found = Endpoints { tried: Vec::new(), blocked: Vec::new() };
        for mirror in registry.mirrors.iter().filter(|mirror| mirror.asked.fits(reference)) {
            let reference = registry.rewrite(reference, Some(&mirror.location))?;
            let endpoint = Endpoint { reference, insecure: mirror.insecure, mirror: true };
            self.push(&mut found, endpoint, None);
        }
        let own = registry.rewrite(reference, registry.location.as_deref())?;
        let own = Endpoint { reference: own, insecure: registry.insecure, mirror: false };
        self.push(&mut found, own, Some(registry));
        match (found.tried.is_empty(), found.blocked.pop()) {
            (true, Some(blocked)) => Err(blocked.into()),
            (_, blocked) => {
                found.blocked.extend(blocked);
                Ok(found)
            }
        }
    }

    /// Takes a place in, unless it is blocked by its own name or by the one that leads there.
    fn push(&self, to: &mut Endpoints, endpoint: Endpoint, registry: Option<&Registry>) {
        let itself = self.find(&endpoint.reference.to_string());
        match registry.into_iter().chain(itself).find(|registry| registry.blocked) {
            Some(registry) => to.blocked.push(registry.as_blocked()),
            None => to.tried.push(endpoint),
        }
    }

    /// How to write to a repository, list it or delete from it, where it is; `Ok(true)` is insecurely.
    ///
    /// # Errors
    /// It is blocked.
    pub fn is_insecure(&self, name: &Name) -> Result<bool, Blocked> {
        self.is_host_insecure(&name.to_string())
    }

    /// The same of a registry, `host[:port]`, or of a part of one.
    ///
    /// # Errors
    /// It is blocked.
    pub fn is_host_insecure(&self, text: &str) -> Result<bool, Blocked> {
        match self.find(text) {
            Some(registry) if registry.blocked => Err(registry.as_blocked()),
            found => Ok(found.is_some_and(|registry| registry.insecure)),
        }
    }

    /// Where short names are looked for, and the file that says so. `None` is that no file says.
    #[must_use]
    pub fn search(&self) -> Option<(&[String], &Path)> {
        self.search.as_ref().map(|(search, path)| (search.as_slice(), path.as_path()))
    }

    /// What becomes of short names that may mean several images.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.mode.unwrap_or_default()
    }

    /// Who is asked for logins, in order: helpers by name, and [`AUTH_FILES`] for files.
    #[must_use]
    pub fn helpers(&self) -> Vec<&str> {
        match self.helpers.as_deref() {
            None | Some([]) => vec![AUTH_FILES],
            Some(helpers) => helpers.iter().map(String::as_str).collect(),
        }
    }

    /// The registries, by prefix.
    pub fn all(&self) -> impl Iterator<Item = &Registry> {
        self.registries.values()
    }

    /// What in the files does nothing.
    #[must_use]
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// The files, in the order in which they were read.
    #[must_use]
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }
}

impl Asked {
    const fn fits(self, reference: &Reference) -> bool {
        match self {
            Self::Always => true,
            Self::ByDigest => reference.digest.is_some(),
            Self::ByTag => reference.digest.is_none(),
        }
    }
}

impl Registry {
    fn as_blocked(&self) -> Blocked {
        Blocked { prefix: self.prefix.clone(), origin: self.origin.clone() }
    }

    /// The reference with another location in place of the prefix.
    fn rewrite(&self, reference: &Reference, location: Option<&str>) -> Result<Reference, EndpointError> {
        let Some(location) = location else { return Ok(reference.clone()) };
        let text = reference.to_string();
        let rest = matched(&text, &self.prefix).and_then(|len| text.get(len..)).unwrap_or_default();
        let rewritten = format!("{location}{rest}");
        let error = match Spelling::parse(&rewritten) {
            Ok(Spelling::Full(found)) => return Ok(found),
            Ok(Spelling::Short(_)) => ReferenceError::Format,
            Err(error) => error,
        };
        Err(EndpointError::Rewrite {
            reference: Box::new(reference.clone()),
            prefix: self.prefix.clone(),
            text: rewritten,
            origin: self.origin.clone(),
            source: error,
        })
    }
}

/// How much of a reference a prefix stands for, if it fits.
fn matched(text: &str, prefix: &str) -> Option<usize> {
    let len = match prefix.strip_prefix('*') {
        Some(domain) if domain.starts_with('.') => {
            let end = text.find(['/', ':', '@']).unwrap_or(text.len());
            text.get(..end).filter(|host| host.ends_with(domain)).map(|_| end)?
        }
        _ => text.strip_prefix(prefix).map(|_| prefix.len())?,
    };
    // A host alone stands for all its ports: so the peers have it.
    matches!(text.as_bytes().get(len), None | Some(b'/' | b':' | b'@')).then_some(len)
}
