//! What a short name may mean.
//!
//! An alias, of the user's own or of a file, decides. Else every search registry has a candidate, and if that is more than
//! one, the mode says whether the user is to choose. What the user chose is remembered as an alias of the user's.

use std::path::{Path, PathBuf};

use ctr_core::Reference;
use ctr_core::reference::{ReferenceError, ShortName, Spelling};

use super::{Mode, Registries};
use crate::config::UserAliases;

/// What a name may mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidates {
    /// The references, with a tag or a digest, in the order in which to try them; at least one.
    pub references: Vec<Reference>,
    /// Where they come from.
    pub reason: Reason,
    /// Whether the user is to choose between them.
    pub prompt: Prompt,
}

/// Where candidates come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// The name was not short.
    Full,
    /// There is an alias in this file.
    Alias(PathBuf),
    /// This file names registries to search.
    Search(PathBuf),
    /// No file says anything, so it is what it means to Docker.
    Docker,
}

/// Whether the user is to choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prompt {
    /// There is nothing to choose, or nobody is to be asked.
    No,
    /// If there is a terminal; else all are tried.
    IfPossible,
    /// It takes a terminal.
    Needed,
}

/// What a short name means where no file says anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unconfigured {
    /// What it means to Docker.
    Docker,
    /// Nothing, as podman has it.
    Nothing,
}

/// A short name means nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ShortNameError {
    /// Neither an alias nor a search registry.
    #[error("the short name {name:?} has no alias, and {} names unqualified-search-registries", nobody(origin.as_deref()))]
    Unresolved {
        /// The name.
        name: String,
        /// The file that says that nothing is searched.
        origin: Option<PathBuf>,
    },
    /// A registry and the name make no reference.
    #[error("{registry}/{name} is no image's name")]
    Reference {
        /// The name.
        name: String,
        /// The registry.
        registry: String,
        /// Why.
        #[source]
        source: ReferenceError,
    },
}

fn nobody(origin: Option<&Path>) -> String {
    origin.map_or_else(|| "no registries.conf".to_owned(), |path| format!("nothing in {}", path.display()))
}

impl Registries {
    /// What a name as it was typed may mean.
    ///
    /// # Errors
    /// A short name means nothing.
    pub fn candidates(
        &self,
        typed: &Spelling,
        aliases: &UserAliases,
        otherwise: Unconfigured,
    ) -> Result<Candidates, ShortNameError> {
        let certain = |reference: Reference, reason| Candidates {
            references: vec![reference.or_latest()],
            reason,
            prompt: Prompt::No,
        };
        let short = match typed {
            Spelling::Full(reference) => return Ok(certain(reference.clone(), Reason::Full)),
            Spelling::Short(short) => short,
        };
        // The user's word stands before the files', be it that there is no alias.
        let alias = aliases.get(short.path()).or_else(|| self.aliases.get(short.path()));
        if let Some((name, origin)) = alias.and_then(|alias| Some((alias.name.clone()?, &alias.origin))) {
            let reference = Reference { name, tag: short.tag.clone(), digest: short.digest };
            return Ok(certain(reference, Reason::Alias(origin.clone())));
        }
        let (registries, origin) = match self.search() {
            Some((registries, origin)) if !registries.is_empty() => (registries, origin),
            None if otherwise == Unconfigured::Docker => {
                return Ok(certain(short.at_docker(), Reason::Docker));
            }
            said => {
                let origin = said.map(|(_, origin)| origin.to_owned()).or_else(|| self.files.last().cloned());
                return Err(ShortNameError::Unresolved { name: short.to_string(), origin });
            }
        };
        let references =
            registries.iter().map(|registry| at(short, registry)).collect::<Result<Vec<_>, _>>()?;
        let prompt = match self.mode() {
            Mode::Enforcing if references.len() > 1 => Prompt::Needed,
            Mode::Permissive if references.len() > 1 => Prompt::IfPossible,
            _ => Prompt::No,
        };
        Ok(Candidates { references, reason: Reason::Search(origin.to_owned()), prompt })
    }
}

fn at(short: &ShortName, registry: &str) -> Result<Reference, ShortNameError> {
    short.at(registry).map(Reference::or_latest).map_err(|source| ShortNameError::Reference {
        name: short.to_string(),
        registry: registry.to_owned(),
        source,
    })
}
