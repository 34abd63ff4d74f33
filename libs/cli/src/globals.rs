//! The options before the verb.
//!
//! They are the same for every verb, so they are read once, by whichever program is started first and again by the
//! sibling it becomes. Those that podman calls persistent may also follow the verb.

use crate::config::Settings;
use crate::human::size;
use crate::log::{Level, LevelError};
use crate::report::CommandError;
use crate::usage::Flag;
use crate::voice::Voice;
use ctr_core::events::Log;
use ctr_core::paths::Dirs;
use std::ffi::OsString;
use std::path::PathBuf;

/// Options that may also stand after the verb.
pub(crate) const PERSISTENT: &[Flag] = &[
    Flag::path("default-mounts-file", "Path to default mounts file").hidden(),
    Flag::string("events-backend", "Where events are logged: `file` or `none`"),
    Flag::bool("help", "Help for this program"),
    Flag::path(
        "imagestore",
        "Path to the 'image store', different from 'graph root', where images are stored",
    ),
    Flag::string(
        "log-level",
        "Log messages above specified level (trace, debug, info, warn, warning, error, fatal, panic)",
    )
    .default("warn"),
    Flag::path("root", "Path to the graph root directory where images, containers, etc. are stored"),
    Flag::path("runroot", "Path to the 'run directory' where all state information is stored"),
    Flag::string(
        "storage-driver",
        "Select which storage driver is used to manage storage of images and containers",
    ),
    Flag::array("storage-opt", "Used to pass an option to the storage driver"),
    Flag::bool(
        "transient-store",
        "Keep new containers until the next boot only, their records in the run directory",
    ),
    Flag::path(
        "tmpdir",
        "Path to the run directory where --runroot names none (podman keeps state of its own there)",
    ),
    Flag::path("volumepath", "Path to the volume directory in which volume data is stored"),
];

/// Options that stand before the verb only.
pub(crate) const LOCAL: &[Flag] = &[
    Flag::string("connection", "Connection to use for remote Podman service (CONTAINER_CONNECTION)")
        .short('c'),
    Flag::bool("debug", "Docker compatibility, force setting of log-level").short('D').hidden(),
    Flag::array("module", "Load a containers.conf(5) module, after all its other files"),
    Flag::bool("noout", "do not output to stdout").hidden(),
    Flag::path("out", "Send output (stdout) to a file"),
    Flag::bool("remote", "Access remote Podman service").short('r'),
    Flag::string("url", "URL to access Podman service (CONTAINER_HOST)"),
    Flag::bool("version", "Print the version").short('v'),
];

/// Options that choose a remote service: understood for podman's sake, and refused.
pub(crate) const REMOTE: &[&str] = &["connection", "remote", "url"];

/// `-h` before the verb.
pub(crate) const HELP: &[Flag] = &[Flag::bool("", "").short('h').alias_of("help")];

/// Options of skopeo before the verb.
pub(crate) const SKOPEO: &[Flag] = &[
    Flag::bool("help", "help for skopeo").short('h'),
    Flag::bool("debug", "enable debug output"),
    Flag::bool("version", "Version for Skopeo").short('v'),
    Flag::bool("insecure-policy", "run the tool without any policy check"),
];

/// Podman's options that are not built.
pub(crate) const REFUSED: &[&[&str]] = &[&[
    "cdi-spec-dir",
    "cgroup-manager",
    "cni-config-dir",
    "config",
    "conmon",
    "context",
    "cpu-profile",
    "hooks-dir",
    "host,H",
    "identity",
    "max-workers",
    "memory-profile",
    "namespace",
    "network-backend",
    "network-cmd-path",
    "network-config-dir",
    "pull-option",
    "registries-conf",
    "runtime",
    "runtime-flag",
    "ssh",
    "syslog",
    "tls-ca",
    "tls-cert",
    "tls-details",
    "tls-key",
    "trace",
]];

/// Skopeo's options that are not built.
pub(crate) const SKOPEO_REFUSED: &[&[&str]] = &[&[
    "command-timeout",
    "override-arch",
    "override-os",
    "override-variant",
    "policy",
    "registries-conf",
    "registries.d",
    "tls-details",
    "tmpdir",
    "user-agent-prefix",
]];

/// What the options before the verb say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Globals {
    /// Where the store lies, if not at its usual place.
    pub root: Option<PathBuf>,
    /// Where the run state lies, if not at its usual place.
    pub runroot: Option<PathBuf>,
    /// Where volumes are to lie, if not in the store.
    pub volume_path: Option<PathBuf>,
    /// The file that lists what every container gets a copy of, if not one of the usual.
    pub default_mounts_file: Option<PathBuf>,
    /// `overlay` or `vfs`, if given.
    pub storage_driver: Option<String>,
    /// Options of the storage, as given.
    pub storage_opts: Vec<String>,
    /// Where images are, if not in the store.
    pub image_store: Option<PathBuf>,
    /// Stores whose images are used where they are.
    pub image_stores: Vec<ImageStore>,
    /// Whether new containers are kept until the next boot only, if that was said.
    pub transient_store: Option<bool>,
    /// Where events go, if not to their file.
    pub events_backend: Option<String>,
    /// Modules of the configuration, as they were named.
    pub(crate) modules: Vec<String>,
    /// What the files of the configuration say.
    pub config: Settings,
    /// What is logged.
    pub level: Level,
    /// Where standard output goes, if not where it went.
    pub out: Option<PathBuf>,
    /// Whether a remote service was asked for.
    pub remote: Option<&'static str>,
    /// Whether images may be used whatever `policy.json` says.
    pub insecure_policy: bool,
    /// Whether the version was asked for.
    pub(crate) version: bool,
    /// Whether help was asked for.
    pub(crate) help: bool,
}

/// An additional store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageStore {
    /// As it was named.
    pub path: PathBuf,
    /// An option named it, not a file that other programs read too.
    pub insists: bool,
}

impl ImageStore {
    fn of_option(option: &str) -> Option<Self> {
        let (name, path) = option.split_once('=')?;
        matches!(bare(name), "imagestore" | "additionalimagestore")
            .then(|| Self { path: path.into(), insists: true })
    }
}

/// The name of an option of the storage, without the driver's.
fn bare(name: &str) -> &str {
    let name = name.trim_start_matches('.');
    ["overlay.", "vfs."].iter().find_map(|driver| name.strip_prefix(driver)).unwrap_or(name)
}

/// Options that were given, in the order of the command line.
type Given<'a> = &'a [(&'static str, OsString)];

impl Globals {
    /// Reads what was found before the verb and, of the persistent options, after it.
    ///
    /// # Errors
    /// The level of the log is none.
    pub(crate) fn of(given: Given<'_>) -> Result<Self, LevelError> {
        let last = |name: &str| given.iter().rfind(|(known, _)| *known == name).map(|(_, value)| value);
        let text = |name: &str| last(name).map(|value| value.to_string_lossy().into_owned());
        let on =
            |name: &str| last(name).and_then(|value| value.to_str()).is_some_and(crate::usage::parse_bool);
        let path = |name: &str| last(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let noout = on("noout").then(|| PathBuf::from("/dev/null"));
        let remote = if on("remote") {
            Some("--remote")
        } else if last("url").is_some() {
            Some("--url")
        } else {
            last("connection").map(|_| "--connection")
        };
        let all = |wanted: &'static str| {
            let found = given.iter().filter(move |(name, _)| *name == wanted);
            found.map(|(_, value)| value.to_string_lossy().into_owned())
        };
        Ok(Self {
            root: path("root"),
            // What podman keeps in two places is in one here.
            runroot: path("runroot").or_else(|| path("tmpdir")),
            volume_path: path("volumepath"),
            default_mounts_file: path("default-mounts-file"),
            storage_driver: text("storage-driver").filter(|driver| !driver.is_empty()),
            storage_opts: all("storage-opt").collect(),
            image_store: path("imagestore"),
            image_stores: all("storage-opt").filter_map(|option| ImageStore::of_option(&option)).collect(),
            transient_store: last("transient-store").map(|_| on("transient-store")),
            events_backend: text("events-backend").filter(|backend| !backend.is_empty()),
            modules: all("module").collect(),
            config: Settings::default(),
            level: Level::of_options(text("log-level").as_deref(), on("debug"))?,
            out: noout.or_else(|| path("out")),
            remote,
            insecure_policy: on("insecure-policy"),
            version: on("version"),
            help: on("help"),
        })
    }

    /// Where events go.
    ///
    /// # Errors
    /// There is no such backend, or it is not built.
    pub fn events(&self, dirs: &Dirs) -> Result<Log, CommandError> {
        match self.events_backend.as_deref() {
            None | Some("file") => self.events_file(dirs),
            Some("none") => Ok(Log::none()),
            Some("journald") => Err(CommandError::not_supported("--events-backend journald")),
            Some(other) => {
                Err(CommandError::usage(format!("unknown event logger type: {other}: invalid argument")))
            }
        }
    }

    /// The options that count where no command line says anything: those of the configuration, if it can be read.
    #[must_use]
    pub fn here() -> Self {
        let mut globals = Self::default();
        if let Ok(settings) = Settings::read(&[]) {
            settings.complete(&mut globals);
        }
        globals
    }

    fn events_file(&self, dirs: &Dirs) -> Result<Log, CommandError> {
        let config = &self.config.containers;
        let mut log = Log::new(dirs);
        if let Some(path) = config.text("engine.events_logfile_path").filter(|path| !path.is_empty()) {
            log = log.moved(path.into());
        }
        let Some(limit) = config.text("engine.events_logfile_max_size").filter(|limit| !limit.is_empty())
        else {
            return Ok(log);
        };
        let limit = size::parse(limit).map_err(|error| {
            CommandError::user(format!("cannot use engine.events_logfile_max_size {limit:?}: {error}"))
        })?;
        Ok(log.limited(limit))
    }

    /// Looks through the options of the storage: those that ask for what we do anyway are fine.
    ///
    /// # Errors
    /// One asks for something else, or is none.
    pub fn check_storage(&self) -> Result<(), CommandError> {
        // An empty one says that those of the configuration do not count.
        for option in self.storage_opts.iter().filter(|option| !option.is_empty()) {
            let (name, value) = option.split_once('=').ok_or_else(|| {
                CommandError::usage(format!(
                    "unable to parse storage-opt option {option:?}: it is not KEY=VALUE"
                ))
            })?;
            let done = match bare(name) {
                // Looked at where the store is opened.
                "imagestore" | "additionalimagestore" => true,
                // Overlays are the kernel's.
                "mount_program" => value.is_empty(),
                // No file of a container is a device to the kernel, and what goes with its end is never flushed.
                "mountopt" => value.split(',').all(|option| matches!(option, "" | "nodev" | "volatile")),
                "ignore_chown_errors" => value == "false",
                // Nothing is mounted on the store's folder.
                "skip_mount_home" => matches!(value, "true" | "false"),
                _ => false,
            };
            if !done {
                return Err(CommandError::not_supported(&format!("--storage-opt {option}")));
            }
        }
        Ok(())
    }

    /// Refuses a remote service: there is none of ours.
    ///
    /// # Errors
    /// One was asked for.
    pub(crate) fn must_be_local(&self) -> Result<(), CommandError> {
        match self.remote {
            Some(flag) => Err(CommandError::not_supported(flag)),
            None => Ok(()),
        }
    }
}

/// The options of a voice before the verb: what is known, and what is known but not built.
pub(crate) const fn tables(voice: Voice) -> ([&'static [Flag]; 3], &'static [&'static [&'static str]]) {
    match voice {
        Voice::Skopeo => ([SKOPEO, &[], &[]], SKOPEO_REFUSED),
        _ => ([PERSISTENT, LOCAL, HELP], REFUSED),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(given: &[(&'static str, &str)]) -> Result<Globals, LevelError> {
        let given: Vec<_> = given.iter().map(|(name, value)| (*name, OsString::from(value))).collect();
        Globals::of(&given)
    }

    #[test]
    fn the_last_one_wins_and_options_collect() {
        let globals = of(&[
            ("root", "/a"),
            ("root", "/b"),
            ("storage-opt", "x=1"),
            ("storage-opt", "y=2"),
            ("log-level", "info"),
            ("runroot", ""),
        ])
        .expect("options");
        assert_eq!(globals.root.as_deref(), Some(std::path::Path::new("/b")));
        assert_eq!(globals.storage_opts, ["x=1", "y=2"]);
        assert_eq!((globals.level, globals.runroot), (Level::Info, None));
    }

    #[test]
    fn the_run_directory_has_two_names() {
        let run = |given: &[(&'static str, &str)]| of(given).expect("options").runroot;
        assert_eq!(run(&[("tmpdir", "/t")]), Some("/t".into()));
        assert_eq!(run(&[("runroot", "/r"), ("tmpdir", "/t")]), Some("/r".into()));
        assert_eq!(run(&[("runroot", "/r"), ("tmpdir", "")]), Some("/r".into()));
    }

    #[test]
    fn options_of_the_storage_ask_for_what_is_done_or_are_refused() {
        let checked = |option: &str| of(&[("storage-opt", option)]).expect("options").check_storage();
        for fine in [
            "overlay.mountopt=nodev",
            ".mountopt=nodev,volatile",
            "mount_program=",
            "overlay.ignore_chown_errors=false",
            "skip_mount_home=true",
            "overlay.imagestore=/x",
            "additionalimagestore=/x",
            "",
        ] {
            assert!(checked(fine).is_ok(), "{fine}");
        }
        for refused in [
            "overlay.mount_program=/usr/bin/fuse-overlayfs",
            "overlay.mountopt=metacopy=on",
            "overlay.ignore_chown_errors=true",
            "overlay.size=1G",
            "nonsense=1",
        ] {
            let error = checked(refused).expect_err("refused");
            assert_eq!(error.to_string(), format!("--storage-opt {refused} is not supported yet"));
        }
        assert!(checked("nonsense").expect_err("no value").to_string().contains("KEY=VALUE"));
    }

    #[test]
    fn additional_stores_are_among_the_options_of_the_storage() {
        let globals = of(&[
            ("storage-opt", "overlay.imagestore=/a"),
            ("storage-opt", "skip_mount_home=true"),
            ("storage-opt", "additionalimagestore=/b=c"),
        ]);
        let stores = globals.expect("options").image_stores;
        let paths: Vec<_> = stores.iter().map(|store| store.path.to_str()).collect();
        assert_eq!(paths, [Some("/a"), Some("/b=c")]);
    }

    #[test]
    fn events_go_to_a_file_or_nowhere() {
        let dirs = Dirs { data: "/d".into(), run: "/r".into() };
        let events = |backend| of(&[("events-backend", backend)]).expect("options").events(&dirs);
        assert_eq!(events("file").expect("a file"), Log::new(&dirs));
        assert_eq!(events("").expect("a file"), Log::new(&dirs));
        assert_eq!(events("none").expect("nowhere"), Log::none());
        for other in ["journald", "moon"] {
            assert!(events(other).is_err(), "{other}");
        }
    }

    #[test]
    fn a_remote_service_is_refused_by_the_name_of_its_option() {
        for (name, value, flag) in
            [("remote", "true", "--remote"), ("url", "tcp:x", "--url"), ("connection", "x", "--connection")]
        {
            let error = of(&[(name, value)]).expect("options").must_be_local().expect_err("remote");
            assert_eq!(error.to_string(), format!("{flag} is not supported yet"));
        }
        assert!(of(&[("remote", "false")]).expect("options").must_be_local().is_ok());
    }

    #[test]
    fn output_can_be_sent_elsewhere() {
        assert_eq!(of(&[("noout", "true"), ("out", "/x")]).expect("options").out, Some("/dev/null".into()));
        assert_eq!(of(&[("out", "/x")]).expect("options").out, Some("/x".into()));
        assert_eq!(of(&[("debug", "true")]).expect("options").level, Level::Debug);
        assert!(of(&[("debug", "true"), ("log-level", "panic")]).is_err());
    }
}
