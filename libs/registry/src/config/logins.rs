//! Logins: who answers for a registry, and where a login is kept.
//!
//! # Theory of operation
//! `credential-helpers` of `registries.conf` says who is asked, in order: helpers by name, and files. Unless one is named
//! (`--authfile`, `--compat-auth-file`, REGISTRY_AUTH_FILE), the files are, in this order:
//!
//! ```text
//! $XDG_RUNTIME_DIR/containers/auth.json     gone with the session; without that variable /run/containers/UID/auth.json
//! $XDG_CONFIG_HOME/containers/auth.json     stays
//! $DOCKER_CONFIG/config.json                or ~/.docker/config.json
//! ~/.dockercfg
//! ```
//!
//! The first that has an answer is believed. What is asked and said on the way is kept ([`Lookup::steps`]), since "which login was
//! that?" is the first question when a registry refuses one.
//!
//! Trouble on the way is the result where nobody answers, but not that of a `credsStore`, which stands in many a file for a
//! program that was removed long ago: that is a step ([`Outcome::Ignored`]) and no more.
//!
//! A file is written whole and renamed into place, readable by its owner alone, under a lock on its folder. A link in its
//! place is replaced, as with podman: what it pointed to may be readable for others.

use std::path::{Path, PathBuf};

use ctr_core::causes::chain;
use ctr_core::file::{FileError, read};
use ctr_core::lock::{Lock, Mode, Waiting};
use ctr_core::{atomic, limits};

use super::auth_file::{Answer, AuthFile, AuthFileError, Form};
use super::credentials::{Credentials, LoginKey};
use super::helper::{Helper, HelperError};
use super::registries::AUTH_FILES;
use super::{Environment, Registries};

#[cfg(test)]
mod tests;

/// A lookup or a change failed.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// A file cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// A file cannot be understood.
    #[error("cannot understand the logins in {}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// Why.
        source: AuthFileError,
    },
    /// A helper failed.
    #[error(transparent)]
    Helper(#[from] HelperError),
    /// A helper failed that a file names.
    #[error("cannot ask the credential helper that {} names", path.display())]
    NamedHelper {
        /// The file.
        path: PathBuf,
        /// Why.
        source: HelperError,
    },
    /// There is no place for a file.
    #[error(
        "there is no place for logins: neither XDG_CONFIG_HOME nor HOME is set; name one with --authfile"
    )]
    NoPlace,
    /// The session's folder is not there.
    #[error("XDG_RUNTIME_DIR is {}, which does not exist: make that folder, or unset the variable", path.display())]
    NoSession {
        /// The folder.
        path: PathBuf,
    },
    /// Files of that form are not written.
    #[error("{} has the form of .dockercfg, which is not written any more: use --authfile", path.display())]
    Legacy {
        /// The file.
        path: PathBuf,
    },
    /// A part of a registry has no place where logins are for whole registries.
    #[error("the login for {key} cannot be kept {place}: logins there are for whole registries")]
    Namespaced {
        /// The key.
        key: LoginKey,
        /// Where.
        place: String,
    },
    /// Nobody takes the login.
    #[error("{}", told(.0))]
    Several(Vec<Self>),
}

fn told(errors: &[LoginError]) -> String {
    errors.iter().map(|error| chain(error)).collect::<Vec<_>>().join("; ")
}

/// How a file came to be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// An option names it.
    Option,
    /// REGISTRY_AUTH_FILE names it.
    Variable,
    /// It is the session's.
    Session,
    /// It is the user's.
    User,
    /// It is Docker's.
    Docker,
}

/// A file that is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Its path.
    pub path: PathBuf,
    /// Its form.
    pub form: Form,
    /// How it came to be looked at.
    pub origin: Origin,
}

/// Which files count.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Files {
    /// Those of the environment.
    #[default]
    Usual,
    /// This one: `--authfile`.
    Only(PathBuf),
    /// This one of Docker's: `--compat-auth-file`.
    Docker(PathBuf),
}

/// Where a new login goes, if neither an option nor the environment says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// Into the user's file, so that it is there after the next boot, as with Docker.
    Always,
    /// Into the session's, as with podman.
    Session,
}

/// Somebody who may answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A file.
    File(Source),
    /// A helper that `registries.conf` names.
    Helper(String),
}

/// What came of asking.
#[derive(Debug)]
pub enum Outcome {
    /// The file is not there.
    Missing,
    /// It has nothing for that key.
    Nothing,
    /// It has an entry without a login.
    Empty {
        /// The entry's key.
        key: String,
    },
    /// It names a helper, which has nothing.
    HelperHasNothing {
        /// The helper.
        helper: String,
    },
    /// It has the login.
    Answers,
    /// It cannot be asked.
    Failed(LoginError),
    /// It names a helper for all registries that cannot be asked, which is not held against it.
    Ignored(LoginError),
}

/// One who was asked.
#[derive(Debug)]
pub struct Step {
    /// Who.
    pub place: Place,
    /// What came of it.
    pub outcome: Outcome,
}

/// A login that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The login.
    pub credentials: Credentials,
    /// Where.
    pub place: Place,
    /// The key of the entry, or what the helper knows the registry as.
    pub key: String,
    /// The helper that the file names for it.
    pub helper: Option<String>,
}

/// Who was asked for a login, and what was found.
#[derive(Debug, Default)]
pub struct Lookup {
    /// Who was asked, in order; nobody after the one who answered.
    pub steps: Vec<Step>,
    /// The login.
    pub found: Option<Found>,
}

impl Lookup {
    /// The login, if there is one.
    ///
    /// # Errors
    /// Nobody had one, and somebody could not be asked.
    pub fn into_found(self) -> Result<Option<Found>, LoginError> {
        if self.found.is_some() {
            return Ok(self.found);
        }
        let failed = self.steps.into_iter().filter_map(|step| match step.outcome {
            Outcome::Failed(error) => Some(error),
            _ => None,
        });
        several(failed.collect()).map_or(Ok(None), Err)
    }
}

/// Errors as one.
fn several(mut errors: Vec<LoginError>) -> Option<LoginError> {
    match errors.len() {
        0 | 1 => errors.pop(),
        _ => Some(LoginError::Several(errors)),
    }
}

/// Where a login was kept, or was removed from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kept {
    /// A file.
    File(PathBuf),
    /// A helper.
    Helper(String),
}

/// The logins of a user.
#[derive(Debug, Clone)]
pub struct Logins<'a> {
    environment: &'a Environment,
    helpers: Vec<&'a str>,
    files: Files,
}

/// Who is told whom a lock is waited for.
type OnWait<'a> = &'a mut dyn FnMut(&Waiting);

impl<'a> Logins<'a> {
    /// Those of an environment, by the order that `registries.conf` has.
    #[must_use]
    pub fn new(environment: &'a Environment, registries: &'a Registries, files: Files) -> Self {
        let helpers = match files {
            // Docker does not know of the others.
            Files::Docker(_) => vec![AUTH_FILES],
            _ => registries.helpers(),
        };
        Self { environment, helpers, files }
    }

    /// The files that are looked at, in order.
    #[must_use]
    pub fn sources(&self) -> Vec<Source> {
        if let Some(named) = self.named() {
            return vec![named];
        }
        let containers = |path, origin| Source { path, form: Form::Containers, origin };
        let mut sources = vec![containers(self.session().join("auth.json"), Origin::Session)];
        let user = self.environment.user_folder();
        sources.extend(user.map(|folder| containers(folder.join("auth.json"), Origin::User)));
        let home = self.environment.home.as_ref();
        let docker = home.map(|home| (home.join(".docker/config.json"), Form::Docker));
        let legacy = home.map(|home| (home.join(".dockercfg"), Form::Legacy));
        let dockers = docker.into_iter().chain(legacy);
        sources.extend(dockers.map(|(path, form)| Source { path, form, origin: Origin::Docker }));
        sources
    }

    /// The file that an option or the environment names.
    fn named(&self) -> Option<Source> {
        let (path, form, origin) = match &self.files {
            Files::Only(path) => (path, Form::Containers, Origin::Option),
            Files::Docker(path) => (path, Form::Docker, Origin::Option),
            Files::Usual => return self.variable(),
        };
        Some(Source { path: path.clone(), form, origin })
    }

    /// The file that the environment names; where it is Docker's, no other is looked at, as with podman.
    fn variable(&self) -> Option<Source> {
        let (path, form) = match (&self.environment.registry_auth_file, &self.environment.docker_config) {
            (Some(path), _) => (path.clone(), Form::Containers),
            (None, folder) => (folder.as_ref()?.join("config.json"), Form::Docker),
        };
        Some(Source { path, form, origin: Origin::Variable })
    }

    /// Where the session's file is.
    fn session(&self) -> PathBuf {
        match &self.environment.xdg_runtime_dir {
            Some(folder) => folder.join("containers"),
            None => self.environment.machine.run.join(self.environment.uid.to_string()),
        }
    }

    /// Looks for the login of a registry or of a part of one.
    #[must_use]
    pub fn lookup(&self, key: &LoginKey) -> Lookup {
        let mut lookup = Lookup::default();
        for helper in &self.helpers {
            if *helper == AUTH_FILES {
                self.look_in_files(key, &mut lookup);
            } else {
                let place = Place::Helper((*helper).to_owned());
                let answer = self.ask(helper, key.registry()).map_err(LoginError::Helper);
                let server = key.registry().to_owned();
                lookup.take(place, answer.map(|found| found.map(|login| (login, server, None))));
            }
            if lookup.found.is_some() {
                break;
            }
        }
        lookup
    }

    /// Looks in the files, up to the first that answers or that cannot be read.
    fn look_in_files(&self, key: &LoginKey, lookup: &mut Lookup) {
        for source in self.sources() {
            let outcome = self.look_in(&source, key, lookup);
            let is_last = matches!(outcome, Outcome::Answers | Outcome::Failed(_));
            lookup.steps.push(Step { place: Place::File(source), outcome });
            if is_last {
                return;
            }
        }
    }

    fn look_in(&self, source: &Source, key: &LoginKey, lookup: &mut Lookup) -> Outcome {
        let file = match load(source) {
            Ok(Some(file)) => file,
            Ok(None) => return Outcome::Missing,
            Err(error) => return Outcome::Failed(error),
        };
        let named = |error| LoginError::NamedHelper { path: source.path.clone(), source: error };
        let (credentials, key, helper) = match file.answer(key) {
            Ok(Answer::Nothing) => return Outcome::Nothing,
            Ok(Answer::Empty { key }) => return Outcome::Empty { key },
            Ok(Answer::Login { key, credentials }) => (credentials, key, None),
            Ok(Answer::Helper { name, server }) => match self.ask(&name, &server) {
                Ok(Some(credentials)) => (credentials, server, Some(name)),
                Ok(None) => return Outcome::HelperHasNothing { helper: name },
                Err(error) => return Outcome::Failed(named(error)),
            },
            Ok(Answer::Store { name, server }) => match self.ask(&name, &server) {
                Ok(Some(credentials)) => (credentials, server, Some(name)),
                Ok(None) => return Outcome::HelperHasNothing { helper: name },
                Err(error) => return Outcome::Ignored(named(error)),
            },
            Err(error) => return Outcome::Failed(content(source, error)),
        };
        lookup.found = Some(Found { credentials, place: Place::File(source.clone()), key, helper });
        Outcome::Answers
    }

    fn ask(&self, helper: &str, server: &str) -> Result<Option<Credentials>, HelperError> {
        self.helper(helper)?.get(server)
    }

    fn helper<'b>(&'b self, name: &'b str) -> Result<Helper<'b>, HelperError> {
        Helper::new(name, &self.environment.helpers)
    }

    /// The file that logins are written to.
    ///
    /// # Errors
    /// There is no place for one.
    pub fn target(&self, keep: Keep) -> Result<Source, LoginError> {
        if let Some(named) = self.named() {
            return Ok(named);
        }
        let (folder, origin) = match keep {
            Keep::Always => (self.environment.user_folder().ok_or(LoginError::NoPlace)?, Origin::User),
            Keep::Session => {
                let given = self.environment.xdg_runtime_dir.as_ref();
                if let Some(path) = given.filter(|folder| !folder.exists()) {
                    return Err(LoginError::NoSession { path: path.clone() });
                }
                (self.session(), Origin::Session)
            }
        };
        Ok(Source { path: folder.join("auth.json"), form: Form::Containers, origin })
    }

    /// Keeps a login, in the first place that takes it.
    ///
    /// # Errors
    /// None does.
    pub fn store(
        &self,
        key: &LoginKey,
        credentials: &Credentials,
        keep: Keep,
        on_wait: OnWait<'_>,
    ) -> Result<Kept, LoginError> {
        let mut errors = Vec::new();
        for helper in &self.helpers {
            let kept = if *helper == AUTH_FILES {
                self.store_in_file(key, credentials, keep, on_wait)
            } else {
                self.store_in_helper(helper, key, key.registry(), credentials)
            };
            match kept {
                Ok(kept) => return Ok(kept),
                Err(error) => errors.push(error),
            }
        }
        Err(several(errors).unwrap_or(LoginError::NoPlace))
    }

    fn store_in_helper(
        &self,
        helper: &str,
        key: &LoginKey,
        server: &str,
        credentials: &Credentials,
    ) -> Result<Kept, LoginError> {
        if key.is_namespaced() {
            let place = format!("by the credential helper {helper}");
            return Err(LoginError::Namespaced { key: key.clone(), place });
        }
        self.helper(helper)?.store(server, credentials)?;
        Ok(Kept::Helper(helper.to_owned()))
    }

    fn store_in_file(
        &self,
        key: &LoginKey,
        credentials: &Credentials,
        keep: Keep,
        on_wait: OnWait<'_>,
    ) -> Result<Kept, LoginError> {
        let target = self.target(keep)?;
        if target.form == Form::Docker && key.is_namespaced() {
            let place = format!("in {}", target.path.display());
            return Err(LoginError::Namespaced { key: key.clone(), place });
        }
        let file = load(&target)?.unwrap_or_else(|| AuthFile::empty(target.form));
        // A file that names a helper has no passwords in it. The lock is not held while the helper runs.
        let registry = key.registry();
        let helper = file.helper(registry).map(|named| (named, false));
        let store = || file.store(registry).filter(|_| !key.is_namespaced()).map(|named| (named, true));
        let kept = match helper.or_else(store) {
            None => {
                edit(&target, on_wait, |file| file.set(key, credentials))?;
                Kept::File(target.path.clone())
            }
            Some(((server, helper), marked)) => {
                let kept = self.store_in_helper(helper, key, server, credentials)?;
                if marked {
                    edit(&target, on_wait, |file| file.mark(key))?;
                }
                kept
            }
        };
        self.uncover(&target, key, on_wait)?;
        Ok(kept)
    }

    /// Removes the entry of that very key from the session's file, which would hide the one in the user's.
    fn uncover(&self, target: &Source, key: &LoginKey, on_wait: OnWait<'_>) -> Result<(), LoginError> {
        let sources = self.sources();
        let before = sources.iter().take_while(|source| source.path != target.path);
        for source in before.filter(|source| source.origin == Origin::Session) {
            if load(source)?.is_some_and(|mut file| file.remove(key)) {
                edit(source, on_wait, |file| file.remove(key))?;
            }
        }
        Ok(())
    }

    /// The files that logins are removed from: those that are ours to write.
    fn removable(&self, keep: Keep) -> Result<Vec<Source>, LoginError> {
        let target = self.target(keep)?;
        let mut sources = vec![target.clone()];
        if self.named().is_none() && keep == Keep::Always {
            let ours = |source: &Source| {
                matches!(source.origin, Origin::Session | Origin::User) && source.path != target.path
            };
            sources.extend(self.sources().into_iter().filter(ours));
        }
        Ok(sources)
    }

    /// Forgets the login of that very key, wherever it is kept by us; returns where it was.
    ///
    /// # Errors
    /// Somebody could not be asked. Others have forgotten it all the same.
    pub fn remove(&self, key: &LoginKey, keep: Keep, on_wait: OnWait<'_>) -> Result<Vec<Kept>, LoginError> {
        let mut from = Vec::new();
        let mut errors = Vec::new();
        for helper in &self.helpers {
            let done = if *helper == AUTH_FILES {
                self.remove_from_files(key, keep, on_wait, &mut from)
            } else if key.is_namespaced() {
                // Helpers have none for a part of a registry.
                Ok(())
            } else {
                self.erase(helper, key.registry(), &mut from).map_err(LoginError::Helper)
            };
            errors.extend(done.err());
        }
        several(errors).map_or(Ok(from), Err)
    }

    fn remove_from_files(
        &self,
        key: &LoginKey,
        keep: Keep,
        on_wait: OnWait<'_>,
        from: &mut Vec<Kept>,
    ) -> Result<(), LoginError> {
        for source in self.removable(keep)? {
            let Some(mut file) = load(&source)? else { continue };
            if file.remove(key) {
                edit(&source, on_wait, |file| file.remove(key))?;
                from.push(Kept::File(source.path.clone()));
            }
            if key.is_namespaced() {
                continue;
            }
            let registry = key.registry();
            let erased = match (file.helper(registry), file.store(registry)) {
                (Some((server, helper)), _) => self.erase(helper, server, from),
                (None, Some((server, store))) => self.erase_from_store(store, server, from),
                (None, None) => Ok(()),
            };
            erased.map_err(|error| LoginError::NamedHelper { path: source.path.clone(), source: error })?;
        }
        Ok(())
    }

    /// Has a helper forget what it has; some say that they forgot what they never had.
    fn erase(&self, helper: &str, server: &str, from: &mut Vec<Kept>) -> Result<(), HelperError> {
        let program = self.helper(helper)?;
        if program.get(server)?.is_some() && program.erase(server)? {
            from.push(Kept::Helper(helper.to_owned()));
        }
        Ok(())
    }

    /// The same of a store for all registries: one that is not there keeps nothing, and is not asked for a login either.
    fn erase_from_store(&self, store: &str, server: &str, from: &mut Vec<Kept>) -> Result<(), HelperError> {
        match self.erase(store, server, from) {
            Err(error) if error.is_missing() => Ok(()),
            other => other,
        }
    }

    /// Forgets all logins that are kept by us; returns where they were.
    ///
    /// # Errors
    /// Somebody could not be asked. Others have forgotten theirs all the same.
    pub fn remove_all(&self, keep: Keep, on_wait: OnWait<'_>) -> Result<Vec<Kept>, LoginError> {
        let mut from = Vec::new();
        let mut errors = Vec::new();
        for helper in &self.helpers {
            let done = if *helper == AUTH_FILES {
                self.remove_all_from_files(keep, on_wait, &mut from)
            } else {
                self.erase_all(helper, &mut from).map_err(LoginError::Helper)
            };
            errors.extend(done.err());
        }
        several(errors).map_or(Ok(from), Err)
    }

    fn remove_all_from_files(
        &self,
        keep: Keep,
        on_wait: OnWait<'_>,
        from: &mut Vec<Kept>,
    ) -> Result<(), LoginError> {
        for source in self.removable(keep)? {
            let Some(file) = load(&source)? else { continue };
            // The file first: what is in it is gone whatever helpers say.
            if file.keys().next().is_some() {
                edit(&source, on_wait, |file| drop(file.remove_all()))?;
                from.push(Kept::File(source.path.clone()));
            }
            let named = |error| LoginError::NamedHelper { path: source.path.clone(), source: error };
            for (server, helper) in file.helpers() {
                self.erase(helper, server, from).map_err(named)?;
            }
            // Of the store's logins those are ours to remove that the file has a mark for.
            for key in file.keys() {
                let store = file.store(key).filter(|_| !key.contains("://"));
                let store = store.or_else(|| file.store(key).map(|(_, helper)| (key, helper)));
                if let Some((server, helper)) = store {
                    self.erase_from_store(helper, server, from).map_err(named)?;
                }
            }
        }
        Ok(())
    }

    fn erase_all(&self, helper: &str, from: &mut Vec<Kept>) -> Result<(), HelperError> {
        let program = self.helper(helper)?;
        let servers = match program.list() {
            // One that is not installed keeps nothing.
            Err(error) if error.is_missing() => return Ok(()),
            other => other?,
        };
        for server in servers.keys() {
            if program.erase(server)? {
                from.push(Kept::Helper(helper.to_owned()));
            }
        }
        Ok(())
    }
}

impl Lookup {
    /// Takes what a helper of `registries.conf` said.
    fn take(
        &mut self,
        place: Place,
        answer: Result<Option<(Credentials, String, Option<String>)>, LoginError>,
    ) {
        let outcome = match answer {
            Ok(None) => Outcome::Nothing,
            Ok(Some((credentials, key, helper))) => {
                self.found = Some(Found { credentials, place: place.clone(), key, helper });
                Outcome::Answers
            }
            Err(error) => Outcome::Failed(error),
        };
        self.steps.push(Step { place, outcome });
    }
}

fn content(source: &Source, error: AuthFileError) -> LoginError {
    LoginError::Content { path: source.path.clone(), source: error }
}

/// Reads a file; `None` is one that is not there.
fn load(source: &Source) -> Result<Option<AuthFile>, LoginError> {
    let text = match read(&source.path, limits::AUTH_FILE) {
        Ok(text) => text,
        Err(error) if error.is_missing() || error.is_below_a_file() => return Ok(None),
        // The session's folder of another user, as `su` leaves it in the environment.
        Err(error) if error.is_refused() && source.origin == Origin::Session => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    AuthFile::parse(&text, source.form).map(Some).map_err(|error| content(source, error))
}

/// Changes a file.
fn edit<T>(
    source: &Source,
    on_wait: OnWait<'_>,
    change: impl FnOnce(&mut AuthFile) -> T,
) -> Result<T, LoginError> {
    if source.form == Form::Legacy {
        return Err(LoginError::Legacy { path: source.path.clone() });
    }
    let folder = match source.path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    atomic::private_directory(folder)?;
    // Made a moment ago, it may be gone again: then the write says so.
    let _lock = Lock::acquire_on(folder, Mode::Exclusive, on_wait)?;
    let mut file = load(source)?.unwrap_or_else(|| AuthFile::empty(source.form));
    let result = change(&mut file);
    let path = source.path.file_name().map_or_else(|| source.path.clone(), |name| folder.join(name));
    atomic::write_durable(&path, file.text().as_bytes())?;
    Ok(result)
}
