//! Which files count, in which order.

use std::collections::BTreeMap;
use std::ffi::OsString;
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

/// Takes the files in order.
type Take<'a> = &'a mut dyn FnMut(Source) -> Result<(), ConfigError>;

/// Reads the files of a family, the lowest first.
pub(super) fn each(family: &Family, places: &Places, take: Take<'_>) -> Result<(), ConfigError> {
    let plain = |path: PathBuf, text: String| Source { path, text, module: false };
    if let Some(only) = &places.only {
        take(plain(only.clone(), read(only)?))?;
    } else {
        // Most machines have none of these folders; one look at each is all that it costs then.
        let there = Folders::of(places);
        for folder in there.highest_first() {
            let path = folder.join(family.file);
            if let Some(text) = read_if_there(&path)? {
                take(plain(path, text))?;
                break;
            }
        }
        for path in drop_ins(family, &there, places.uid)? {
            if let Some(text) = read_if_there(&path)? {
                take(plain(path, text))?;
            }
        }
    }
    for name in &places.modules {
        let (path, text) = module(family, places, name)?;
        take(Source { path, text, module: true })?;
    }
    match &places.last {
        Some(last) => take(plain(last.clone(), read(last)?)),
        None => Ok(()),
    }
}

/// The folders that are there.
struct Folders<'a> {
    vendor: Option<&'a Path>,
    admin: Option<&'a Path>,
    user: Option<&'a Path>,
}

impl<'a> Folders<'a> {
    fn of(places: &'a Places) -> Self {
        let there = |path: &'a Path| path.is_dir().then_some(path);
        Self {
            vendor: there(&places.vendor),
            admin: there(&places.admin),
            user: places.user.as_deref().and_then(there),
        }
    }

    fn highest_first(&self) -> impl Iterator<Item = &'a Path> + use<'a> {
        [self.user, self.admin, self.vendor].into_iter().flatten()
    }
}

/// The drop-ins in the order of their names; of two with one name, that of the higher folder.
fn drop_ins(family: &Family, there: &Folders<'_>, uid: u32) -> Result<Vec<PathBuf>, ConfigError> {
    let mut found = BTreeMap::new();
    let shared = [there.vendor, there.admin];
    let folders = shared.into_iter().flatten().flat_map(|folder| shared_drop_ins(family, folder, uid));
    for folder in folders.chain(there.user.map(|user| user.join(format!("{}.d", family.file)))) {
        for (name, path) in confs(&folder)? {
            found.insert(name, path);
        }
    }
    Ok(found.into_values().collect())
}

/// The folders for drop-ins in a folder that all users share, the lowest first.
fn shared_drop_ins(family: &Family, folder: &Path, uid: u32) -> Vec<PathBuf> {
    let stem = family.file.strip_suffix(".conf").unwrap_or(family.file);
    let mut all = vec![folder.join(format!("{}.d", family.file))];
    if uid == 0 {
        all.push(folder.join(format!("{stem}.rootful.conf.d")));
    } else {
        let rootless = folder.join(format!("{stem}.rootless.conf.d"));
        let own = rootless.join(uid.to_string());
        all.extend([rootless, own]);
    }
    all
}

/// The files in a folder whose names end with `.conf`.
fn confs(folder: &Path) -> Result<Vec<(OsString, PathBuf)>, ConfigError> {
    let failed = |error| FileError::new("list", folder, error);
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
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
    let folders = [places.user.as_deref(), Some(&places.admin), Some(&places.vendor)];
    folders.into_iter().flatten().map(|folder| folder.join(format!("{}.modules", family.file))).collect()
}

fn module(family: &Family, places: &Places, name: &str) -> Result<(PathBuf, String), ConfigError> {
    let path = Path::new(name);
    if path.is_absolute() {
        return match read(path) {
            Ok(text) => Ok((path.to_owned(), text)),
            Err(error) => Err(ConfigError::Module { name: name.to_owned(), looked: vec![error] }),
        };
    }
    let mut looked = Vec::new();
    for folder in module_folders(family, places) {
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
