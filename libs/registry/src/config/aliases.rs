//! `short-name-aliases.conf`: which short name means what to this user, as was chosen once.
//!
//! The file is podman's, buildah's and skopeo's too. They write it in place, under a lock on a file beside it; so we take
//! that lock to write, and replace the file, so that a reader always finds it whole.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use ctr_core::reference::Name;
use ctr_core::{FileError, atomic, file, limits};
use rustix::fs::{FlockOperation, fcntl_lock};

use super::Environment;
use super::registries::{Alias, RegistriesError, layer};

/// The name of the file.
const FILE: &str = "short-name-aliases.conf";

/// The user's aliases.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UserAliases {
    aliases: BTreeMap<String, Alias>,
    path: Option<PathBuf>,
}

/// An alias could not be remembered.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// There is no place for it.
    #[error("cannot remember what {short:?} means: neither XDG_CACHE_HOME nor HOME is set")]
    NoPlace {
        /// The short name.
        short: String,
    },
    /// It is no short name.
    #[error("{short:?} is no short name")]
    NotShort {
        /// The name.
        short: String,
    },
    /// The file is there and cannot be understood.
    #[error(transparent)]
    Read(#[from] RegistriesError),
    /// The file cannot be written.
    #[error(transparent)]
    File(#[from] FileError),
}

impl UserAliases {
    /// Reads the file; one that is not there has no aliases.
    ///
    /// # Errors
    /// It cannot be read or understood.
    pub fn read(environment: &Environment) -> Result<Self, RegistriesError> {
        match environment.cache_folder() {
            Some(folder) => Self::read_at(folder.join(FILE)),
            None => Ok(Self::default()),
        }
    }

    fn read_at(path: PathBuf) -> Result<Self, RegistriesError> {
        let text = match file::read_text(&path, limits::CONFIG_FILE) {
            Ok(text) => text,
            Err(error) if error.is_missing() || error.is_below_a_file() => String::new(),
            Err(error) => return Err(RegistriesError::Files(error.into())),
        };
        let aliases = layer::parse_alias_file(&text, &path)?;
        Ok(Self { aliases, path: Some(path) })
    }

    pub(super) fn get(&self, short: &str) -> Option<&Alias> {
        self.aliases.get(short)
    }

    /// Remembers what a short name means, on the disk too. Others may have written meanwhile: theirs stays.
    ///
    /// # Errors
    /// The file cannot be understood or written.
    pub fn record(&mut self, short: &str, name: &Name) -> Result<(), RecordError> {
        if !layer::is_short(short) {
            return Err(RecordError::NotShort { short: short.to_owned() });
        }
        let Some(path) = self.path.clone() else {
            return Err(RecordError::NoPlace { short: short.to_owned() });
        };
        if let Some(folder) = path.parent() {
            atomic::private_directory(folder)?;
        }
        let _lock = lock(&path)?;
        *self = Self::read_at(path.clone())?;
        let alias = Alias { name: Some(name.clone()), origin: path.clone() };
        self.aliases.insert(short.to_owned(), alias);
        Ok(atomic::write_durable(&path, self.text().as_bytes())?)
    }

    fn text(&self) -> String {
        let mut text = "[aliases]\n".to_owned();
        for (short, alias) in &self.aliases {
            let name = alias.name.as_ref().map(ToString::to_string).unwrap_or_default();
            // Names have no character that TOML would want escaped.
            let written = writeln!(text, "  \"{short}\" = \"{name}\"");
            debug_assert!(written.is_ok(), "memory is written to");
        }
        text
    }
}

/// The lock that the peers take, which the kernel frees with the file.
fn lock(path: &Path) -> Result<std::fs::File, FileError> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".lock");
    let beside = PathBuf::from(beside);
    let failed = |error| FileError::new("open the lock", &beside, error);
    let file =
        std::fs::OpenOptions::new().write(true).create(true).truncate(false).open(&beside).map_err(failed)?;
    match fcntl_lock(&file, FlockOperation::LockExclusive) {
        Ok(()) => Ok(file),
        Err(error) => Err(FileError::new("lock", &beside, error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(home: &Path) -> Environment {
        Environment { home: Some(home.to_owned()), uid: 1000, ..Environment::default() }
    }

    fn name(text: &str) -> Name {
        Name::parse(text).unwrap()
    }

    #[test]
    fn what_was_chosen_is_there_the_next_time() {
        let home = tempfile::tempdir().unwrap();
        let environment = environment(home.path());
        let mut aliases = UserAliases::read(&environment).unwrap();
        assert_eq!(aliases.get("nginx"), None);
        aliases.record("nginx", &name("docker.io/library/nginx")).unwrap();
        let mut other = UserAliases::read(&environment).unwrap();
        other.record("team/app", &name("quay.io/team/app")).unwrap();
        aliases.record("nginx", &name("quay.io/nginx/nginx")).unwrap();
        let text = std::fs::read_to_string(home.path().join(".cache/containers").join(FILE)).unwrap();
        assert_eq!(
            text,
            "[aliases]\n  \"nginx\" = \"quay.io/nginx/nginx\"\n  \"team/app\" = \"quay.io/team/app\"\n"
        );
        let read = UserAliases::read(&environment).unwrap();
        assert_eq!(read, aliases);
        assert!(matches!(aliases.record("quay.io/x", &name("quay.io/y")), Err(RecordError::NotShort { .. })));
    }

    #[test]
    fn a_broken_file_is_said_and_kept() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join(".cache/containers").join(FILE);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, "[aliases]\nx = 1\n").unwrap();
        let error = UserAliases::read(&environment(home.path())).unwrap_err().to_string();
        assert!(error.contains(FILE) && error.contains("aliases.x"), "{error}");
        let mut aliases = UserAliases { path: Some(path.clone()), ..UserAliases::default() };
        assert!(aliases.record("nginx", &name("quay.io/nginx")).is_err());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "[aliases]\nx = 1\n");
    }

    #[test]
    fn without_a_home_nothing_is_remembered() {
        let mut aliases = UserAliases::read(&Environment { uid: 7, ..Environment::default() }).unwrap();
        let error = aliases.record("nginx", &name("quay.io/nginx")).unwrap_err();
        assert!(matches!(error, RecordError::NoPlace { .. }));
    }
}
