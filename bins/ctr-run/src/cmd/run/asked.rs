//! What a new container is asked to be: the flags, and below them `containers.conf`.
//!
//! A key that stands for a flag is that flag's default; lists of the configuration come before those of the flags. What
//! is not that simple (mounts that a flag replaces, capabilities) is done where it is understood, in
//! [`request`](super::request).

use std::path::Path;

use ctr_cli::usage::Parsed;
use ctr_core::config::Config;

/// Flags, and the keys that are their defaults.
const KEYS: &[(&str, &str)] = &[
    ("annotation", "containers.annotations"),
    ("cgroupns", "containers.cgroupns"),
    ("cgroups", "containers.cgroups"),
    ("detach-keys", "engine.detach_keys"),
    ("device", "containers.devices"),
    ("env-host", "containers.env_host"),
    ("http-proxy", "containers.http_proxy"),
    ("image-volume", "engine.image_volume_mode"),
    ("init", "containers.init"),
    ("ipc", "containers.ipcns"),
    ("log-driver", "containers.log_driver"),
    ("network", "containers.netns"),
    ("oom-score-adj", "containers.oom_score_adj"),
    ("no-hosts", "containers.no_hosts"),
    ("pid", "containers.pidns"),
    ("privileged", "containers.privileged"),
    ("pull", "engine.pull_policy"),
    ("read-only", "containers.read_only"),
    ("shm-size", "containers.shm_size"),
    ("stop-timeout", "engine.stop_timeout"),
    ("tz", "containers.tz"),
    ("ulimit", "containers.default_ulimits"),
    ("umask", "containers.umask"),
    ("userns", "containers.userns"),
    ("uts", "containers.utsns"),
];

/// Values of the configuration that ask for what is done without them, or for what [`ctr_cli::config`] says is not done.
const NOTHING: &[(&str, &str)] = &[("containers.log_driver", "journald")];

/// Flags with a configuration below them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'a> {
    flags: &'a Parsed,
    config: &'a Config,
}

impl<'a> Asked<'a> {
    /// Puts flags on top of a configuration.
    pub(crate) const fn new(flags: &'a Parsed, config: &'a Config) -> Self {
        Self { flags, config }
    }

    /// The flags alone.
    pub(crate) const fn flags(self) -> &'a Parsed {
        self.flags
    }

    /// What the configuration says by itself.
    pub(crate) const fn config(self) -> &'a Config {
        self.config
    }

    /// As [`Parsed::knows`].
    pub(crate) fn knows(self, name: &str) -> bool {
        self.flags.knows(name)
    }

    /// The last value that was given, else that of the configuration.
    pub(crate) fn get(self, name: &str) -> Option<&'a str> {
        self.flags.get(name).or_else(|| self.configured(name))
    }

    /// Whether a flag or the configuration says anything.
    pub(crate) fn is_chosen(self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// The same, or else the flag's default.
    pub(crate) fn string(self, name: &str) -> &'a str {
        self.get(name).unwrap_or_else(|| self.flags.string(name))
    }

    /// Whether a switch is on.
    pub(crate) fn bool(self, name: &str) -> bool {
        let configured = || key(name).and_then(|key| self.config.bool(key));
        self.flags.switch(name).or_else(configured).unwrap_or_else(|| self.flags.bool(name))
    }

    /// A number, if there is one.
    pub(crate) fn uint(self, name: &str) -> Option<u64> {
        let configured = || key(name).and_then(|key| u64::try_from(self.config.integer(key)?).ok());
        let given = self.flags.has(name).then(|| self.flags.uint(name)).flatten();
        given.or_else(configured).or_else(|| self.flags.uint(name))
    }

    /// A number of either sign, if there is one.
    pub(crate) fn int(self, name: &str) -> Option<i64> {
        let configured = || self.config.integer(key(name)?);
        if self.flags.has(name) { self.flags.int(name) } else { configured() }
    }

    /// All values, those of the configuration first.
    pub(crate) fn strings(self, name: &str) -> Vec<String> {
        let configured = key(name).and_then(|key| self.config.list(key)).unwrap_or_default();
        let mut all = configured.to_vec();
        all.extend(self.flags.strings(name));
        all
    }

    /// As [`Parsed::path`].
    pub(crate) fn path(self, name: &str) -> Option<&'a Path> {
        self.flags.path(name)
    }

    fn configured(self, name: &str) -> Option<&'a str> {
        let key = key(name)?;
        let text = self.config.text(key)?;
        // No keys at all are a choice too.
        let says = !text.is_empty() || key == "engine.detach_keys";
        let counts = says && !NOTHING.contains(&(key, text));
        counts.then_some(text)
    }
}

fn key(flag: &str) -> Option<&'static str> {
    KEYS.iter().find(|(name, _)| *name == flag).map(|(_, key)| *key)
}

#[cfg(test)]
mod tests {
    use ctr_core::config::Standing;
    use ctr_core::config::keys::CONTAINERS;

    use super::*;
    use crate::cmd::run::VERB;

    #[test]
    fn every_key_is_one_that_works_and_every_flag_is_there() {
        for (flag, key) in KEYS {
            let standing = CONTAINERS.key(key).expect(key).standing;
            assert_eq!(standing, Standing::Works, "{key}");
            assert!(VERB.all_flags().any(|known| known.name() == *flag), "{flag}");
        }
    }
}
