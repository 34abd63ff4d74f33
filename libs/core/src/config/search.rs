//! Which files count, in which order.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::{ConfigError, Family};
use crate::file::{self, FileError};
use crate::limits;

/// Where configuration lies, and what the environment and the options say about it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Places {
    /// The vendor's folder: `/usr/share/containers`.
    pub vendor: PathBuf,
    /// The administrator's: `/etc/containers`.
    pub admin: PathBuf,
    /// The user's: `$XDG_CONFIG_HOME/containers`, or `.config/containers` in the home.
    pub user: Option<PathBuf>,
    /// The user's id.
    pub uid: u32,
    /// The file that the environment names: the only one then, but for modules and [`Self::last`].
    pub only: Option<PathBuf>,
    /// The file that the environment's `…_OVERRIDE` names: read last.
    pub last: Option<PathBuf>,
    /// Modules: absolute paths, or names in the folders for modules.
    pub modules: Vec<String>,
}

/// A file that counts.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) path: PathBuf,
    pub(super) text: String,
    pub(super) module: bool,
}

/// Reads the files of a name, `registries.conf` say, that have a reader of their own: their paths and texts, the lowest
/// first.
///
/// # Errors
/// A file that must be there is not, or one cannot be read.
pub fn texts(file: &str, places: &Places, there: &Folders) -> Result<Vec<(PathBuf, String)>, ConfigError> {
    let mut all = Vec::new();
    each(file, places, there, &mut |source| {
        all.push((source.path, source.text));
        Ok(())
    })?;
    Ok(all)
}

/// Takes the files in order.
type Take<'a> = &'a mut dyn FnMut(Source) -> Result<(), ConfigError>;

/// Reads the files of a name, the lowest first.
pub(super) fn each(file: &str, places: &Places, there: &Folders, take: Take<'_>) -> Result<(), ConfigError> {
    let plain = |path: PathBuf, text: String| Source { path, text, module: false };
    if let Some(only) = &places.only {
        take(plain(only.clone(), read(only)?))?;
    } else {
        for folder in there.highest_first() {
            let Some(path) = folder.join(file) else { continue };
            if let Some(text) = read_if_there(&path)? {
                take(plain(path, text))?;
                break;
            }
        }
        for path in drop_ins(file, there, places.uid)? {
            if let Some(text) = read_if_there(&path)? {
                take(plain(path, text))?;
            }
        }
    }
    for name in &places.modules {
        let (path, text) = module(file, places, name)?;
        take(Source { path, text, module: true })?;
    }
    match &places.last {
        Some(last) => take(plain(last.clone(), read(last)?)),
        None => Ok(()),
    }
}

/// The folders that such files lie in. Each is listed when it is asked for first, once for all that may be in it: most
/// machines have little of that, and many have no folder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Folders {
    vendor: Folder,
    admin: Folder,
    user: Option<Folder>,
}

/// A folder, and what was found in it; `None` if it cannot be listed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Folder {
    path: PathBuf,
    names: OnceCell<Option<BTreeSet<OsString>>>,
}

impl Folders {
    /// Those of some places.
    #[must_use]
    pub fn of(places: &Places) -> Self {
        let folder = |path: &PathBuf| Folder { path: path.clone(), names: OnceCell::new() };
        Self {
            vendor: folder(&places.vendor),
            admin: folder(&places.admin),
            user: places.user.as_ref().map(folder),
        }
    }

    /// Whether something may be at a path: not if that is in one of the folders which were listed, and was not seen there.
    #[must_use]
    pub fn may_have(&self, path: &Path) -> bool {
        let mut around = self.highest_first().filter(|folder| Some(folder.path.as_path()) == path.parent());
        around.all(|folder| folder.names.get().is_none() || folder.may_have(path))
    }

    fn highest_first(&self) -> impl Iterator<Item = &Folder> {
        self.user.iter().chain([&self.admin, &self.vendor])
    }
}

impl Folder {
    fn list(&self) -> Option<BTreeSet<OsString>> {
        match std::fs::read_dir(&self.path) {
            Ok(entries) => entries.map(|entry| Some(entry.ok()?.file_name())).collect(),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                Some(BTreeSet::new())
            }
            // One may be allowed to open what is in it all the same.
            Err(_) => None,
        }
    }

    fn may_have(&self, path: &Path) -> bool {
        let seen = |names: &BTreeSet<OsString>| path.file_name().is_some_and(|name| names.contains(name));
        self.names.get_or_init(|| self.list()).as_ref().is_none_or(seen)
    }

    /// What is in it and may be there.
    fn join(&self, name: &str) -> Option<PathBuf> {
        Some(self.path.join(name)).filter(|path| self.may_have(path))
    }
}

/// The drop-ins in the order of their names; of two with one name, that of the higher folder.
fn drop_ins(main: &str, there: &Folders, uid: u32) -> Result<Vec<PathBuf>, ConfigError> {
    let mut found = BTreeMap::new();
    let own = there.user.as_ref().and_then(|user| user.join(&format!("{main}.d")));
    let shared = [&there.vendor, &there.admin];
    for folder in shared.into_iter().flat_map(|folder| shared_drop_ins(main, folder, uid)).chain(own) {
        for (name, path) in confs(&folder)? {
            found.insert(name, path);
        }
    }
    Ok(found.into_values().collect())
}

/// The folders for drop-ins in a folder that all users share, the lowest first.
fn shared_drop_ins(main: &str, folder: &Folder, uid: u32) -> Vec<PathBuf> {
    let stem = main.strip_suffix(".conf").unwrap_or(main);
    let mut all = Vec::from_iter(folder.join(&format!("{main}.d")));
    if uid == 0 {
        all.extend(folder.join(&format!("{stem}.rootful.conf.d")));
    } else if let Some(rootless) = folder.join(&format!("{stem}.rootless.conf.d")) {
        let own = rootless.join(uid.to_string());
        all.extend([rootless, own]);
    }
    all
}

/// The files in a folder whose names end with `.conf`.
fn confs(folder: &Path) -> Result<Vec<(OsString, PathBuf)>, ConfigError> {
    let failed = |error| FileError::new("list", folder, error);
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(failed)?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(failed)?;
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if !is_folder && entry.file_name().as_encoded_bytes().ends_with(b".conf") {
            found.push((entry.file_name(), entry.path()));
        }
    }
    Ok(found)
}

/// The folders for modules, the highest first.
pub fn module_folders(family: &Family, places: &Places) -> Vec<PathBuf> {
    folders_for_modules(family.file, places)
}

fn folders_for_modules(main: &str, places: &Places) -> Vec<PathBuf> {
    let folders = [places.user.as_deref(), Some(&places.admin), Some(&places.vendor)];
    folders.into_iter().flatten().map(|folder| folder.join(format!("{main}.modules"))).collect()
}

fn module(main: &str, places: &Places, name: &str) -> Result<(PathBuf, String), ConfigError> {
    let path = Path::new(name);
    if path.is_absolute() {
        return match read(path) {
            Ok(text) => Ok((path.to_owned(), text)),
            Err(error) => Err(ConfigError::Module { name: name.to_owned(), looked: vec![error] }),
        };
    }
    let mut looked = Vec::new();
    for folder in folders_for_modules(main, places) {
        let path = folder.join(name);
        match read(&path) {
            Ok(text) => return Ok((path, text)),
            Err(error) => looked.push(error),
        }
    }
    Err(ConfigError::Module { name: name.to_owned(), looked })
}

fn read(path: &Path) -> Result<String, FileError> {
    file::read_text(path, limits::CONFIG_FILE)
}

fn read_if_there(path: &Path) -> Result<Option<String>, FileError> {
    match read(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.is_missing() => Ok(None),
        Err(error) => Err(error),
    }
}
