//! Configuration files that container tools share: `containers.conf` and `storage.conf`; and where others like them lie.
//!
//! # Theory of operation
//! [`search`] says which files count and in which order: one main file (the user's, else the administrator's, else the
//! vendor's), the drop-ins of all three by name, modules, and what `…_OVERRIDE` names. [`merge`] lays one over the
//! other, key by key: a scalar replaces, a list replaces or, once it says `{append=true}`, is added to, a map gains keys.
//! [`keys`] has every key that podman knows and what becomes of it here, so that none is ignored in silence: it works,
//! or it is [found](Finding) to be unbuilt, refused, void or unknown.

pub mod keys;
mod merge;
pub mod search;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::file::FileError;
use crate::toml::TomlError;

pub use keys::{Family, Key, Kind, Standing};
pub use search::{Folders, Places};

/// The configuration cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file that must be there, or one that may not be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// A module that is in none of the folders for modules.
    #[error("cannot find the module {name:?} in any of {}", listed(looked))]
    Module {
        /// As it was given.
        name: String,
        /// Why it is not in each of them.
        looked: Vec<FileError>,
    },
    /// A file is no TOML.
    #[error("cannot understand {}", path.display())]
    Toml {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: TomlError,
    },
    /// A key has a value of the wrong kind.
    #[error("cannot understand {}: {key} is of kind {found} where {wanted} is needed", path.display())]
    Kind {
        /// The file.
        path: PathBuf,
        /// The key, with its table.
        key: &'static str,
        /// The kind that it has.
        wanted: &'static str,
        /// The kind in the file.
        found: &'static str,
    },
}

fn listed(looked: &[FileError]) -> String {
    let paths: Vec<_> = looked.iter().map(|error| error.path.display().to_string()).collect();
    paths.join(", ")
}

/// A setting, and the file that had the last word.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Setting {
    value: Held,
    path: PathBuf,
}

/// A value of the kind that its key has.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Held {
    Text(String),
    Bool(bool),
    Integer(i64),
    List {
        values: Vec<String>,
        append: Option<bool>,
    },
    Map(BTreeMap<String, String>),
    /// What is there, but not looked into.
    Opaque,
}

/// What the files of one family say together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Config {
    settings: BTreeMap<&'static str, Setting>,
    unknown: Vec<(String, PathBuf)>,
    files: Vec<PathBuf>,
    modules: Vec<PathBuf>,
}

/// Something in a file that does nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The file.
    pub path: PathBuf,
    /// The key, with its table.
    pub key: String,
    /// Why it does nothing.
    pub why: Why,
}

/// Why a key does nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// Nobody knows it.
    Unknown,
    /// It asks for something that is not built.
    Unbuilt,
    /// What it asks for is done in another way.
    Refused(&'static str),
    /// There is nothing here that it could mean.
    Void(&'static str),
}

impl std::fmt::Display for Finding {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let path = self.path.display();
        match self.why {
            Why::Unknown => write!(to, "{path}: unknown key {}", self.key),
            Why::Unbuilt => write!(to, "{path}: {} is not supported yet", self.key),
            Why::Refused(reason) => write!(to, "{path}: {} cannot be used: {reason}", self.key),
            Why::Void(reason) => write!(to, "{path}: {} has no meaning here: {reason}", self.key),
        }
    }
}

impl Config {
    /// Reads the files of a family.
    ///
    /// # Errors
    /// A file that must be there is not, or one cannot be read or understood.
    pub fn read(family: &'static Family, places: &Places, there: &Folders) -> Result<Self, ConfigError> {
        let mut config = Self::default();
        search::each(family.file, places, there, &mut |source| {
            let table = crate::toml::parse(&source.text)
                .map_err(|error| ConfigError::Toml { path: source.path.clone(), source: error })?;
            config.lay(family, &source.path, table)?;
            if source.module {
                config.modules.push(source.path.clone());
            }
            config.files.push(source.path);
            Ok(())
        })?;
        Ok(config)
    }

    /// A string.
    #[must_use]
    pub fn text(&self, key: &str) -> Option<&str> {
        match &self.settings.get(key)?.value {
            Held::Text(text) => Some(text),
            _ => None,
        }
    }

    /// A switch.
    #[must_use]
    pub fn bool(&self, key: &str) -> Option<bool> {
        match &self.settings.get(key)?.value {
            Held::Bool(on) => Some(*on),
            _ => None,
        }
    }

    /// A number.
    #[must_use]
    pub fn integer(&self, key: &str) -> Option<i64> {
        match &self.settings.get(key)?.value {
            Held::Integer(number) => Some(*number),
            _ => None,
        }
    }

    /// A list of strings.
    #[must_use]
    pub fn list(&self, key: &str) -> Option<&[String]> {
        match &self.settings.get(key)?.value {
            Held::List { values, .. } => Some(values),
            _ => None,
        }
    }

    /// Names and their strings.
    #[must_use]
    pub fn map(&self, key: &str) -> Option<&BTreeMap<String, String>> {
        match &self.settings.get(key)?.value {
            Held::Map(map) => Some(map),
            _ => None,
        }
    }

    /// The file that set a key.
    #[must_use]
    pub fn origin(&self, key: &str) -> Option<&Path> {
        self.settings.get(key).map(|setting| setting.path.as_path())
    }

    /// The files, in the order in which they were read.
    #[must_use]
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// The modules, where they were found.
    #[must_use]
    pub fn modules(&self) -> &[PathBuf] {
        &self.modules
    }

    /// What in the files does nothing.
    #[must_use]
    pub fn findings(&self, family: &'static Family) -> Vec<Finding> {
        let set = self.settings.iter().filter_map(|(name, setting)| {
            let key = family.key(name)?;
            let why = match key.standing {
                Standing::Works => return None,
                Standing::Unbuilt { fine } if setting.value.asks_for_nothing(fine) => return None,
                Standing::Refused(_) if setting.value.asks_for_nothing("") => return None,
                Standing::Unbuilt { .. } => Why::Unbuilt,
                Standing::Refused(reason) => Why::Refused(reason),
                Standing::Void(reason) => Why::Void(reason),
            };
            Some(Finding { path: setting.path.clone(), key: (*name).to_owned(), why })
        });
        let unknown = self.unknown.iter();
        let unknown =
            unknown.map(|(key, path)| Finding { path: path.clone(), key: key.clone(), why: Why::Unknown });
        set.chain(unknown).collect()
    }
}

impl Held {
    /// Whether it is empty, or what is done anyway.
    fn asks_for_nothing(&self, fine: &str) -> bool {
        match self {
            Self::Text(text) => text.is_empty() || text == fine,
            Self::Bool(on) => on.to_string() == fine || (fine.is_empty() && !on),
            Self::Integer(number) => number.to_string() == fine,
            Self::List { values, .. } => values.is_empty(),
            Self::Map(map) => map.is_empty(),
            Self::Opaque => false,
        }
    }
}
