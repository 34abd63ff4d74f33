//! `certs.d`: certificates for one registry.
//!
//! The first folder that has one for the registry counts, alone:
//!
//! ```text
//! ~/.config/containers/certs.d/HOST[:PORT]
//! /etc/containers/certs.d/HOST[:PORT]
//! /usr/share/containers/certs.d/HOST[:PORT]
//! /etc/docker/certs.d/HOST[:PORT]
//! ```
//!
//! In it `*.crt` are authorities to trust besides the system's, and `NAME.cert` with `NAME.key` is who we are. Other files do
//! not count. What is in them is for whoever speaks TLS to read.
//!
//! A folder that is not ours to read is passed by, as with the peers: `/etc/docker/certs.d` is closed to users on many machines.
//! A folder that an option names must be there.

use std::path::{Path, PathBuf};

use ctr_core::file::FileError;
use ctr_core::limits;

use super::Environment;
use crate::http::Identity;

/// The name of the folders.
const FOLDER: &str = "certs.d";

/// Certificates of a registry cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CertsError {
    /// A folder cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// Half a pair.
    #[error("{} has no {} beside it: who we are takes both; an authority's certificate has a name that ends with .crt", there.display(), missing.display())]
    Half {
        /// The half that is there.
        there: PathBuf,
        /// The name of the other half.
        missing: PathBuf,
    },
    /// There are very many files.
    #[error("there are more than {} certificates in {}", limits::CERTIFICATE_FILES, folder.display())]
    TooMany {
        /// The folder.
        folder: PathBuf,
    },
}

/// What there is for a registry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Certificates {
    /// The folder.
    pub folder: Option<PathBuf>,
    /// Authorities to trust besides the system's.
    pub authorities: Vec<PathBuf>,
    /// Who we are.
    pub pairs: Vec<Identity>,
}

impl Certificates {
    /// Finds those of a registry, `host[:port]` as the user names it; `named` is `--cert-dir`.
    ///
    /// # Errors
    /// A folder cannot be read, or has half a pair.
    pub fn find(environment: &Environment, registry: &str, named: Option<&Path>) -> Result<Self, CertsError> {
        if let Some(folder) = named {
            return Self::read(folder);
        }
        // Never a way out of the folder.
        if registry.is_empty() || registry.starts_with('.') || registry.contains('/') {
            return Ok(Self::default());
        }
        for folder in folders(environment) {
            let folder = folder.join(registry);
            match Self::read(&folder) {
                Err(CertsError::File(error)) if error.path == folder && is_not_ours(&error) => {}
                other => return other,
            }
        }
        Ok(Self::default())
    }

    /// Reads a folder.
    ///
    /// # Errors
    /// The folder cannot be read, or has half a pair.
    pub fn read(folder: &Path) -> Result<Self, CertsError> {
        let names = names(folder)?;
        if names.len() > limits::CERTIFICATE_FILES {
            return Err(CertsError::TooMany { folder: folder.to_owned() });
        }
        let mut found = Self { folder: Some(folder.to_owned()), ..Self::default() };
        for name in &names {
            let path = folder.join(name);
            match path.extension().and_then(|extension| extension.to_str()) {
                Some("crt") => found.authorities.push(path),
                Some("cert") => {
                    let key = other_half(&path, "key", &names)?;
                    found.pairs.push(Identity { certificate: path, key });
                }
                Some("key") => drop(other_half(&path, "cert", &names)?),
                _ => {}
            }
        }
        Ok(found)
    }
}

/// The folders that there may be, the highest first.
fn folders(environment: &Environment) -> impl Iterator<Item = PathBuf> {
    let folders = environment.folders().into_iter().chain([environment.machine.docker.clone()]);
    folders.map(|folder| folder.join(FOLDER))
}

/// Whether nothing is there for us.
fn is_not_ours(error: &FileError) -> bool {
    error.is_missing() || error.is_refused() || error.is_below_a_file()
}

/// The names in a folder that are of certificates and keys, sorted.
fn names(folder: &Path) -> Result<Vec<PathBuf>, FileError> {
    let failed = |error| FileError::new("list", folder, error);
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let name = PathBuf::from(entry.map_err(failed)?.file_name());
        if name
            .extension()
            .is_some_and(|extension| ["crt", "cert", "key"].iter().any(|known| extension == *known))
        {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

fn other_half(there: &Path, extension: &str, names: &[PathBuf]) -> Result<PathBuf, CertsError> {
    let path = there.with_extension(extension);
    match path.file_name() {
        Some(name) if names.iter().any(|known| known.as_os_str() == name) => Ok(path),
        name => {
            let missing = name.map(PathBuf::from).unwrap_or_default();
            Err(CertsError::Half { there: there.to_owned(), missing })
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::config::Machine;

    struct Home {
        folder: tempfile::TempDir,
        environment: Environment,
    }

    impl Home {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let at = |name: &str| folder.path().join(name);
            let machine =
                Machine { vendor: at("usr"), admin: at("etc"), docker: at("docker"), ..Machine::default() };
            let environment = Environment { home: Some(at("home")), machine, ..Environment::default() };
            Self { folder, environment }
        }

        fn write(&self, name: &str) {
            let path = self.folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, name).unwrap();
        }

        fn find(&self, registry: &str) -> Result<Certificates, CertsError> {
            Certificates::find(&self.environment, registry, None)
        }
    }

    impl Home {
        fn authorities(&self, found: &Certificates) -> Vec<String> {
            let relative =
                |path: &PathBuf| path.strip_prefix(self.folder.path()).unwrap().display().to_string();
            found.authorities.iter().map(relative).collect()
        }
    }

    #[test]
    fn the_highest_folder_of_a_registry_counts_alone() {
        let home = Home::new();
        assert_eq!(home.find("a.b:5000").unwrap(), Certificates::default());
        for folder in ["docker", "usr", "etc", "home/.config/containers"] {
            let name = format!("{folder}/certs.d/a.b:5000/ca.crt");
            home.write(&name);
            assert_eq!(home.authorities(&home.find("a.b:5000").unwrap()), [name]);
        }
        assert_eq!(home.find("a.b").unwrap(), Certificates::default(), "a port is a part of the name");
        fs::create_dir_all(home.folder.path().join("home/.config/containers/certs.d/empty")).unwrap();
        home.write("etc/certs.d/empty/ca.crt");
        assert_eq!(home.authorities(&home.find("empty").unwrap()), [""; 0], "an empty folder is a folder");
        for registry in ["", "..", "../certs.d/a.b:5000", "a.b:5000/../a.b:5000"] {
            assert_eq!(home.find(registry).unwrap(), Certificates::default(), "{registry}");
        }
    }

    #[test]
    fn names_say_what_is_what() {
        let home = Home::new();
        for name in ["b.crt", "a.crt", "client.cert", "client.key", "readme", "old.crt~", "x.pem"] {
            home.write(&format!("etc/certs.d/a.b/{name}"));
        }
        let found = home.find("a.b").unwrap();
        assert_eq!(home.authorities(&found), ["etc/certs.d/a.b/a.crt", "etc/certs.d/a.b/b.crt"]);
        let [pair] = found.pairs.as_slice() else { panic!("{found:?}") };
        assert!(pair.certificate.ends_with("a.b/client.cert") && pair.key.ends_with("a.b/client.key"));
    }

    #[test]
    fn half_a_pair_is_refused() {
        for (there, missing) in [("client.cert", "client.key"), ("client.key", "client.cert")] {
            let home = Home::new();
            home.write(&format!("etc/certs.d/a.b/{there}"));
            let error = home.find("a.b").unwrap_err().to_string();
            assert!(error.contains(&format!("a.b/{there} has no {missing} beside it")), "{error}");
        }
    }

    #[test]
    fn a_folder_that_is_named_must_be_there() {
        let home = Home::new();
        home.write("etc/certs.d/a.b/ca.crt");
        home.write("mine/ca.crt");
        let mine = home.folder.path().join("mine");
        let found = Certificates::find(&home.environment, "a.b", Some(&mine)).unwrap();
        assert_eq!(home.authorities(&found), ["mine/ca.crt"]);
        let nowhere = home.folder.path().join("nowhere");
        let error = Certificates::find(&home.environment, "a.b", Some(&nowhere)).unwrap_err();
        assert!(error.to_string().contains("nowhere"), "{error}");
    }
}
