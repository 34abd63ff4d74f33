//! The configuration files of container tools, read once at the start of a command.
//!
//! What they say about containers, verbs ask for by key ([`Settings::containers`]); what they say about the store
//! becomes what the options before the verb would have said. Whatever in them does nothing here is said by the verbs
//! that make something, and always by `ctr doctor`.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use ctr_core::config::keys::{CONTAINERS, STORAGE};
use ctr_core::config::search::module_folders;
use ctr_core::config::{Config, ConfigError, Family, Finding, Folders, Places, Why};
use ctr_core::file::FileError;

use crate::exit::Exit;
use crate::globals::{Globals, ImageStore};
use crate::log::Level;
use crate::report::{CommandError, chain};
use crate::ui::Ui;

/// Verbs that say what of the configuration does nothing: those that make what it speaks of.
const SAYING: &[&str] = &[
    "build",
    "commit",
    "container commit",
    "container create",
    "container run",
    "create",
    "pod create",
    "pull",
    "push",
    "run",
    "volume create",
];

/// Where root's podman keeps what is its own, which files that are there for all users name too.
const ROOTS: [&str; 2] = ["/var/lib/containers/storage", "/run/containers/storage"];

/// Where root's podman has its volumes.
const ROOTS_VOLUMES: &str = "/var/lib/containers/storage/volumes";

/// Whose ids root's containers get.
const ROOTS_AUTO_USER: &str = "storage.options.root-auto-userns-user";

/// Where podman has what goes with a boot, for root.
const ROOTS_TMP: &str = "/run/libpod";

/// Where events go.
const EVENTS: &str = "engine.events_logger";

/// Where logs of containers go.
const LOGS: &str = "containers.log_driver";

/// What the files say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// `containers.conf`.
    pub containers: Config,
    /// `storage.conf`.
    pub storage: Config,
    /// Where such files lie.
    pub folders: Folders,
}

impl Settings {
    /// Reads the files of this user, and the modules.
    ///
    /// # Errors
    /// A file that must be there is not, or one cannot be read or understood.
    pub(crate) fn read(modules: &[String]) -> Result<Self, ConfigError> {
        let everywhere = everywhere();
        let with_modules = Places { modules: modules.to_vec(), ..places(&CONTAINERS, everywhere.clone()) };
        let folders = Folders::of(&with_modules);
        Ok(Self {
            containers: Config::read(&CONTAINERS, &with_modules, &folders)?,
            storage: Config::read(&STORAGE, &places(&STORAGE, everywhere), &folders)?,
            folders,
        })
    }

    /// What in the files does nothing.
    #[must_use]
    pub fn findings(&self) -> Vec<Finding> {
        let mut all = self.containers.findings(&CONTAINERS);
        all.extend(self.storage.findings(&STORAGE));
        for finding in all.iter_mut().filter(|finding| finding.key == ROOTS_AUTO_USER) {
            if !rustix::process::geteuid().is_root() {
                finding.why = Why::Void("it is for root's containers");
            }
        }
        for (key, why) in [(EVENTS, Why::Void("events go to a file")), (LOGS, Why::Unbuilt)] {
            if self.containers.text(key) == Some("journald") {
                let path = self.containers.origin(key).map(Path::to_owned).unwrap_or_default();
                all.push(Finding { path, key: format!("{key} = journald"), why });
            }
        }
        all
    }

    /// Where `containers.conf` says that volumes lie.
    #[must_use]
    pub fn volume_path(&self) -> Option<&Path> {
        let named = self.containers.text("engine.volume_path").filter(|path| !path.is_empty())?;
        let is_roots = named.trim_end_matches('/') == ROOTS_VOLUMES && !rustix::process::geteuid().is_root();
        (!is_roots).then(|| Path::new(named))
    }

    /// How many ids `--userns auto` gives at least and at most, as far as `storage.conf` says so.
    #[must_use]
    pub fn auto_userns_sizes(&self) -> (Option<u32>, Option<u32>) {
        let size = |end: &str| {
            let number = self.storage.integer(&format!("storage.options.auto-userns-{end}-size"))?;
            u32::try_from(number).ok().filter(|number| *number > 0)
        };
        (size("min"), size("max"))
    }

    /// Where `containers.conf` says that what goes with the boot is: podman's own folder, beside which ours is.
    fn tmp_dir(&self) -> Option<PathBuf> {
        let named = self.containers.text("engine.tmp_dir").filter(|path| !path.is_empty())?;
        let is_roots = named.trim_end_matches('/') == ROOTS_TMP && !rustix::process::geteuid().is_root();
        (!is_roots).then(|| Path::new(named).join("ctr"))
    }

    /// Says what does nothing, if the verb is one to say so. Podman does not mention keys that it does not know, and
    /// what is void harms nobody.
    pub(crate) fn say(&self, ui: &Ui, path: &str) {
        if !SAYING.contains(&path) {
            return;
        }
        for finding in self.findings() {
            let level = match finding.why {
                Why::Unbuilt | Why::Refused(_) => Level::Warn,
                Why::Unknown if !ui.voice().is_peer() => Level::Warn,
                Why::Unknown | Why::Void(_) => Level::Debug,
            };
            ui.log(level, &format!("{finding}; ignored"));
        }
    }

    /// Lets the files say what the options before the verb did not.
    pub(crate) fn complete(self, globals: &mut Globals) {
        let is_rootless = || !rustix::process::geteuid().is_root();
        let folder = |key: &str| {
            let named = self.storage.text(key).filter(|path| !path.is_empty())?;
            if ROOTS.contains(&named.trim_end_matches('/')) && is_rootless() {
                return None;
            }
            // The folder is podman's, whose store is not like ours: beside it, not in it.
            Some(PathBuf::from(expanded(named)).join("ctr"))
        };
        // As with podman: whoever names another store, or options of it, means that alone.
        if globals.root.is_none() && globals.storage_opts.is_empty() {
            let stores = self.storage.list("storage.options.additionalimagestores").unwrap_or_default();
            let stores = stores.iter().filter(|path| !path.is_empty());
            let stores = stores.map(|path| ImageStore { path: expanded(path).into(), insists: false });
            globals.image_stores = stores.collect();
        }
        if globals.root.is_none() {
            globals.image_store = globals.image_store.take().or_else(|| folder("storage.imagestore"));
            let own = || folder("storage.rootless_storage_path").filter(|_| is_rootless());
            globals.root = folder("storage.graphroot").or_else(own);
            globals.runroot =
                globals.runroot.take().or_else(|| folder("storage.runroot")).or_else(|| self.tmp_dir());
        }
        if globals.storage_driver.is_none() {
            let driver = std::env::var("STORAGE_DRIVER").ok().filter(|driver| !driver.is_empty());
            let driver = driver.or_else(|| self.storage.text("storage.driver").map(str::to_owned));
            let driver = driver.filter(|driver| !driver.is_empty());
            globals.storage_driver =
                driver.map(|driver| if driver == "overlay2" { "overlay".to_owned() } else { driver });
        }
        globals.transient_store =
            globals.transient_store.or_else(|| self.storage.bool("storage.transient_store"));
        if globals.events_backend.is_none() {
            let backend = self.containers.text(EVENTS).filter(|backend| !backend.is_empty());
            // What the journal would get goes to the file.
            globals.events_backend = backend.filter(|backend| *backend != "journald").map(str::to_owned);
        }
        globals.config = self;
    }
}

/// The error as the voice has it: podman has read its configuration before it knows what it is asked for.
pub(crate) fn error(error: ConfigError, ui: &Ui) -> CommandError {
    if !ui.voice().is_peer() {
        return CommandError::user(error);
    }
    let cause = match &error {
        ConfigError::File(error) => open(error),
        ConfigError::Module { looked, .. } => {
            let looked: Vec<_> = looked.iter().map(open).collect();
            format!("could not resolve module: {}", looked.join("\n"))
        }
        ConfigError::Toml { path, source } => {
            format!("decode configuration \"{}\": toml: {source}", path.display())
        }
        ConfigError::Kind { path, key, wanted, found } => format!(
            "decode configuration \"{}\": toml: incompatible types: {key} has type {found}; needed is type {wanted}",
            path.display()
        ),
    };
    CommandError::user(format!("Failed to obtain podman configuration: parsing containers.conf: {cause}"))
        .exit(Exit::NO)
        .bare()
}

/// A file that could not be opened, as Go has it.
fn open(error: &FileError) -> String {
    let cause = match error.source.kind() {
        ErrorKind::NotFound => "no such file or directory".to_owned(),
        ErrorKind::PermissionDenied => "permission denied".to_owned(),
        ErrorKind::IsADirectory => "is a directory".to_owned(),
        _ => chain(&error.source),
    };
    format!("open {}: {cause}", error.path.display())
}

/// The names of the modules that are there, the user's first.
pub(crate) fn modules() -> Vec<String> {
    let folders = module_folders(&CONTAINERS, &places(&CONTAINERS, everywhere()));
    let names = folders.iter().flat_map(|folder| {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let mut names: Vec<_> =
            entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    });
    names.collect()
}

/// Where files of every family lie.
fn everywhere() -> Places {
    let home = || path("HOME").map(|home| home.join(".config"));
    let user = path("XDG_CONFIG_HOME").or_else(home).filter(|folder| folder.is_absolute());
    Places {
        vendor: Path::new("/usr/share/containers").to_owned(),
        admin: Path::new("/etc/containers").to_owned(),
        user: user.map(|folder| folder.join("containers")),
        uid: rustix::process::geteuid().as_raw(),
        ..Places::default()
    }
}

/// The file that says which images may be used (`policy.json`): the one that the environment names, be it there or not, else
/// the first that is there; and where a user's own would be.
#[must_use]
pub fn policy() -> (Option<PathBuf>, PathBuf) {
    let Places { vendor, admin, user, .. } = everywhere();
    let at = |folder: &PathBuf| folder.join("policy.json");
    let own = user.as_ref().map_or_else(|| at(&admin), at);
    let found = [user.as_ref(), Some(&admin), Some(&vendor)].into_iter().flatten().map(at);
    (path("CONTAINERS_POLICY_JSON").or_else(|| found.into_iter().find(|file| file.exists())), own)
}

/// The same with those that the environment names for this family.
fn places(family: &Family, everywhere: Places) -> Places {
    let last = path(&format!("{}_OVERRIDE", family.variable));
    Places { only: path(family.variable), last, ..everywhere }
}

fn path(variable: &str) -> Option<PathBuf> {
    std::env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// A path in which `$NAME` and `${NAME}` stand for variables, and `$UID` for our id.
fn expanded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        let (name, left) = match after.strip_prefix('{').and_then(|inner| inner.split_once('}')) {
            Some((name, left)) => (name, left),
            None => {
                let end = after.find(|next: char| !next.is_ascii_alphanumeric() && next != '_');
                after.split_at(end.unwrap_or(after.len()))
            }
        };
        if name == "UID" {
            out.push_str(&rustix::process::geteuid().as_raw().to_string());
        } else {
            out.push_str(&std::env::var(name).unwrap_or_default());
        }
        rest = left;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_stand_for_their_values() {
        let home = std::env::var("HOME").unwrap_or_default();
        let uid = rustix::process::geteuid().as_raw();
        for (text, expected) in [
            ("/plain", "/plain".to_owned()),
            ("$HOME/x", format!("{home}/x")),
            ("/run/${UID}x/$UID", format!("/run/{uid}x/{uid}")),
            ("/a$CTR_NO_SUCH_VARIABLE/b$", "/a/b".to_owned()),
        ] {
            assert_eq!(expanded(text), expected);
        }
    }

    #[test]
    fn the_store_is_beside_podmans() {
        let folder = tempfile::tempdir().expect("a folder");
        let conf = folder.path().join("storage.conf");
        std::fs::write(&conf, "[storage]\ndriver='overlay2'\ngraphroot='/g'\nrunroot='/r'").expect("a file");
        let places = Places { only: Some(conf), ..Places::default() };
        let storage = Config::read(&STORAGE, &places, &Folders::default());
        let settings = Settings { storage: storage.expect("a configuration"), ..Settings::default() };
        let mut globals = Globals::default();
        settings.clone().complete(&mut globals);
        assert_eq!(globals.root.as_deref(), Some(Path::new("/g/ctr")));
        assert_eq!(globals.runroot.as_deref(), Some(Path::new("/r/ctr")));
        assert_eq!(globals.storage_driver.as_deref(), Some("overlay"));
        let mut globals =
            Globals { root: Some("/x".into()), storage_driver: Some("vfs".into()), ..Globals::default() };
        settings.complete(&mut globals);
        assert_eq!((globals.root.as_deref(), globals.runroot), (Some(Path::new("/x")), None));
        assert_eq!(globals.storage_driver.as_deref(), Some("vfs"));
    }
}
