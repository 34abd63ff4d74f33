//! What of the environment says where configuration lies.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use ctr_core::config::Places;

/// The values of the environment that matter here. Whoever has them not set, or empty, hands in `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Environment {
    /// HOME, or the home of the passwd entry.
    pub home: Option<PathBuf>,
    /// XDG_CONFIG_HOME.
    pub xdg_config_home: Option<PathBuf>,
    /// XDG_CACHE_HOME.
    pub xdg_cache_home: Option<PathBuf>,
    /// XDG_RUNTIME_DIR.
    pub xdg_runtime_dir: Option<PathBuf>,
    /// REGISTRY_AUTH_FILE: the only file of logins.
    pub registry_auth_file: Option<PathBuf>,
    /// DOCKER_CONFIG: where Docker's `config.json` lies.
    pub docker_config: Option<PathBuf>,
    /// CONTAINERS_REGISTRIES_CONF: the only `registries.conf`.
    pub registries_conf: Option<PathBuf>,
    /// CONTAINERS_REGISTRIES_CONF_OVERRIDE: the last one.
    pub registries_conf_override: Option<PathBuf>,
    /// CONTAINERS_POLICY_JSON: the only `policy.json`.
    pub policy_json: Option<PathBuf>,
    /// Our id outside of any namespace of ours.
    pub uid: u32,
    /// The environment of credential helpers: those of [`HELPERS_VARIABLES`](super::helper::VARIABLES) that are set.
    pub helpers: Vec<(OsString, OsString)>,
    /// The folders of the machine.
    pub machine: Machine,
}

/// Folders that belong to nobody in particular.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// The vendor's configuration: `/usr/share/containers`.
    pub vendor: PathBuf,
    /// The administrator's: `/etc/containers`.
    pub admin: PathBuf,
    /// Docker's: `/etc/docker`.
    pub docker: PathBuf,
    /// What goes with a boot: `/run/containers`.
    pub run: PathBuf,
    /// What root caches: `/var/cache`.
    pub cache: PathBuf,
}

impl Default for Machine {
    fn default() -> Self {
        Self {
            vendor: "/usr/share/containers".into(),
            admin: "/etc/containers".into(),
            docker: "/etc/docker".into(),
            run: "/run/containers".into(),
            cache: "/var/cache".into(),
        }
    }
}

impl Environment {
    /// The user's folder of configuration: `~/.config/containers`.
    #[must_use]
    pub fn user_folder(&self) -> Option<PathBuf> {
        let own = absolute(self.xdg_config_home.as_deref());
        own.or_else(|| self.home.as_ref().map(|home| home.join(".config")))
            .map(|folder| folder.join("containers"))
    }

    /// The folders of configuration that there are, the highest first: the user's, the administrator's, the vendor's.
    #[must_use]
    pub fn folders(&self) -> Vec<PathBuf> {
        let machine = [self.machine.admin.clone(), self.machine.vendor.clone()];
        self.user_folder().into_iter().chain(machine).collect()
    }

    /// Where `registries.conf` is looked for.
    pub(super) fn places(&self) -> Places {
        Places {
            vendor: self.machine.vendor.clone(),
            admin: self.machine.admin.clone(),
            user: self.user_folder(),
            uid: self.uid,
            only: self.registries_conf.clone(),
            last: self.registries_conf_override.clone(),
            modules: Vec::new(),
        }
    }

    /// What of this user is cached about registries: `~/.cache/containers`, and for root `/var/cache/containers`.
    #[must_use]
    pub fn cache_folder(&self) -> Option<PathBuf> {
        let root = (self.uid == 0).then(|| self.machine.cache.clone());
        let own = || absolute(self.xdg_cache_home.as_deref());
        root.or_else(own)
            .or_else(|| self.home.as_ref().map(|home| home.join(".cache")))
            .map(|folder| folder.join("containers"))
    }
}

/// XDG's paths count only where they are absolute.
fn absolute(path: Option<&Path>) -> Option<PathBuf> {
    path.filter(|path| path.is_absolute()).map(Path::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_of_a_user_and_of_root() {
        let user = Environment { home: Some("/home/anna".into()), uid: 1000, ..Environment::default() };
        assert_eq!(user.user_folder(), Some("/home/anna/.config/containers".into()));
        assert_eq!(user.cache_folder(), Some("/home/anna/.cache/containers".into()));
        let folders: Vec<PathBuf> =
            ["/home/anna/.config/containers", "/etc/containers", "/usr/share/containers"]
                .map(PathBuf::from)
                .to_vec();
        assert_eq!(user.folders(), folders);
        let elsewhere = Environment {
            xdg_config_home: Some("/c".into()),
            xdg_cache_home: Some("/k".into()),
            ..user.clone()
        };
        assert_eq!(elsewhere.user_folder(), Some("/c/containers".into()));
        assert_eq!(elsewhere.cache_folder(), Some("/k/containers".into()));
        let relative = Environment { xdg_config_home: Some("c".into()), ..user.clone() };
        assert_eq!(relative.user_folder(), Some("/home/anna/.config/containers".into()));
        let root = Environment { uid: 0, ..user };
        assert_eq!(root.cache_folder(), Some("/var/cache/containers".into()));
        assert_eq!(Environment::default().user_folder(), None);
    }
}
