//! What `run` was asked for, every flag already typed.
//!
//! The command line makes it; [`crate::create`] turns it into a record and a specification. What needs an image or the
//! machine to be understood (a user's name, a limit of ours) is kept as parsed text until both are known.

use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::device::Device;
use crate::env::{self, EnvError, EnvRequest, HostEnv};
use crate::hosts::{HostEntry, HostNames};
use crate::mounts::{Mount, What};
use crate::namespaces::{Mode, Namespaces};
use crate::ports::PortsRequest;
use crate::resolver::ResolverRequest;
use crate::security::{Seccomp, Security};
use crate::subscriptions::Subscription;
use crate::ulimit::Ulimits;
use crate::user::{GroupAdd, UserSpec};
use crate::volumes::{ImageVolumes, VolumesFrom};

/// What the container's root is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Source {
    /// A name, an id or a digest of an image in the store.
    Image(String),
    /// `--rootfs`: a folder of the host.
    Folder {
        /// As the user spelled it.
        path: PathBuf,
        /// `:O`: writes are thrown away.
        overlay: bool,
    },
}

/// `--userns` and its relatives, as text: what they mean depends on the ids that A has.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsernsRequest {
    /// `--userns`.
    pub mode: Option<String>,
    /// `--uidmap`.
    pub uidmap: Vec<String>,
    /// `--gidmap`.
    pub gidmap: Vec<String>,
    /// `--subuidname`.
    pub subuidname: Option<String>,
    /// `--subgidname`.
    pub subgidname: Option<String>,
    /// How many ids `auto` gives at least and at most, if not as many as usual.
    #[serde(default)]
    pub auto_sizes: (Option<u32>, Option<u32>),
}

/// What happens to passwd and group files of the image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PasswdRequest {
    /// `--passwd`: a user whom the image does not know is added.
    pub add: bool,
    /// `--passwd-entry`.
    pub passwd_entry: Option<String>,
    /// `--group-entry`.
    pub group_entry: Option<String>,
    /// `--hostuser`: users of the host, by name or id, who are added too.
    #[serde(default)]
    pub host_users: Vec<String>,
}

impl Default for PasswdRequest {
    fn default() -> Self {
        Self { add: true, passwd_entry: None, group_entry: None, host_users: Vec::new() }
    }
}

/// `/etc/hosts` and `/etc/hostname`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostsRequest {
    /// `--add-host`.
    pub add: Vec<HostEntry>,
    /// `--no-hosts`: the image's file stays.
    pub none: bool,
    /// Whose lines come along.
    #[serde(default)]
    pub base: HostsBase,
    /// What the names of the host stand for.
    #[serde(default)]
    pub internal: HostNames,
    /// How somebody else's network sees the host, where the container is in one: found at each start.
    #[serde(skip)]
    pub seen: Option<IpAddr>,
    /// `--no-hostname`: the image's `/etc/hostname` stays.
    #[serde(default)]
    pub no_hostname: bool,
}

/// The file whose lines a container's `/etc/hosts` begins with.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum HostsBase {
    /// The host's.
    #[default]
    Host,
    /// None.
    None,
    /// The image's.
    Image,
    /// Another one, which has to be there.
    File(PathBuf),
}

impl HostsBase {
    /// Whether the lines are there because somebody wants them in the container.
    #[must_use]
    pub const fn is_asked_for(&self) -> bool {
        matches!(self, Self::Image | Self::File(_))
    }

    /// As `--hosts-file` has it.
    #[must_use]
    pub fn shown(&self) -> String {
        match self {
            Self::Host => String::new(),
            Self::None => "none".to_owned(),
            Self::Image => "image".to_owned(),
            Self::File(path) => path.to_string_lossy().into_owned(),
        }
    }
}

/// Privileges beyond namespaces.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Privileges {
    /// What it has unless flags say otherwise: the usual list, or the configuration's.
    pub default_caps: Option<Vec<String>>,
    /// `--cap-add`.
    pub cap_add: Vec<String>,
    /// `--cap-drop`.
    pub cap_drop: Vec<String>,
    /// `--privileged`.
    pub privileged: bool,
    /// `--security-opt`.
    pub security: Security,
    /// `--ulimit`.
    pub ulimits: Ulimits,
    /// `--sysctl`, checked against the namespaces later.
    pub sysctls: Vec<String>,
    /// Those of the configuration, which are there where somebody can write them.
    #[serde(default)]
    pub default_sysctls: Vec<String>,
}

/// The file system beyond the image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Storage {
    /// `-v`, `--mount`, `--tmpfs`, arranged.
    pub mounts: Vec<Mount>,
    /// `--image-volume`.
    pub image_volumes: ImageVolumes,
    /// `--volumes-from`.
    pub volumes_from: Vec<VolumesFrom>,
    /// `--device`.
    pub devices: Vec<Device>,
    /// `--read-only`.
    pub read_only: bool,
    /// `--read-only-tmpfs`: a read-only container can still write to /run, /tmp and the like.
    pub read_only_tmpfs: bool,
    /// `--shm-size`; 0 is no limit.
    pub shm_size: u64,
    /// What of the host it gets a copy of: `mounts.conf`.
    #[serde(default)]
    pub subscriptions: Vec<Subscription>,
}

impl Default for Storage {
    fn default() -> Self {
        Self {
            mounts: Vec::new(),
            image_volumes: ImageVolumes::Anonymous,
            volumes_from: Vec::new(),
            devices: Vec::new(),
            read_only: false,
            read_only_tmpfs: true,
            shm_size: 64 << 20,
            subscriptions: Vec::new(),
        }
    }
}

/// The process.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ProcessRequest {
    /// The words after the image.
    pub words: Vec<String>,
    /// `--entrypoint`.
    pub entrypoint: Option<Vec<String>>,
    /// `-e` and its relatives.
    pub env: EnvRequest,
    /// The environment of whoever runs `ctr`.
    pub host_env: HostEnv,
    /// `-u` as it was written.
    pub user: Option<String>,
    /// `--group-add`.
    pub groups: GroupAdd,
    /// `-w`.
    pub workdir: Option<String>,
    /// `--umask`.
    pub umask: Option<u32>,
    /// `--oom-score-adj`.
    #[serde(default)]
    pub oom_score_adj: Option<i32>,
    /// `-i`.
    pub interactive: bool,
    /// `-t`.
    pub terminal: bool,
    /// `--init`.
    pub init: bool,
    /// `--preserve-fd` and `--preserve-fds`.
    pub preserve_fds: Vec<u32>,
    /// `--stop-signal`.
    pub stop_signal: Option<i32>,
}

impl ProcessRequest {
    /// The user that counts: the flag's, else the image's.
    ///
    /// # Errors
    /// Text that can be neither a name nor an id.
    pub fn user_spec(&self, image: &str) -> Result<UserSpec, crate::user::UserError> {
        UserSpec::parse(self.user.as_deref().unwrap_or(image))
    }
}

/// Who writes down what a container prints.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum LogDriver {
    /// The monitor, line by line, with a time.
    #[default]
    K8sFile,
    /// The same, under Docker's name.
    JsonFile,
    /// Nobody.
    None,
    /// Nobody: the container has the streams of the command that starts it.
    Passthrough,
    /// The same, be they a terminal or not.
    PassthroughTty,
}

impl LogDriver {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::K8sFile, Self::JsonFile, Self::None, Self::Passthrough, Self::PassthroughTty];

    /// What `--log-driver` and `inspect` call it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::K8sFile => "k8s-file",
            Self::JsonFile => "json-file",
            Self::None => "none",
            Self::Passthrough => "passthrough",
            Self::PassthroughTty => "passthrough-tty",
        }
    }

    /// The one of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|driver| driver.name() == name)
    }

    /// Does the monitor write a file?
    #[must_use]
    pub const fn writes(self) -> bool {
        matches!(self, Self::K8sFile | Self::JsonFile)
    }
}

/// `--log-driver` and `--log-opt`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogRequest {
    /// Who writes.
    pub driver: LogDriver,
    /// `max-size`: bytes of one file; 0 is no limit.
    pub max_size: u64,
    /// How many files there are at most.
    pub max_files: u32,
    /// `path`, absolute.
    pub path: Option<PathBuf>,
    /// `tag`, for whoever shows it.
    pub tag: Option<String>,
}

impl LogRequest {
    /// The file of a container whose folder is `dir`.
    #[must_use]
    pub fn file(&self, dir: &Path) -> PathBuf {
        self.path.clone().unwrap_or_else(|| dir.join("log/ctr.log"))
    }
}

impl Default for LogRequest {
    fn default() -> Self {
        Self { driver: LogDriver::default(), max_size: 10 << 20, max_files: 3, path: None, tag: None }
    }
}

/// Everything that one `run` was asked for.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Request {
    /// What the root is made of.
    pub source: Source,
    /// `--platform`.
    pub platform: Option<String>,
    /// `--name`.
    pub name: Option<String>,
    /// `--hostname`.
    pub hostname: Option<String>,
    /// Without one, the container's name is its host name, not its id.
    pub name_as_hostname: bool,
    /// `--label`.
    pub labels: Vec<(String, String)>,
    /// `--annotation`.
    pub annotations: Vec<(String, String)>,
    /// What runs, as whom.
    pub process: ProcessRequest,
    /// passwd and group.
    pub passwd: PasswdRequest,
    /// Files.
    pub storage: Storage,
    /// Capabilities and the like.
    pub privileges: Privileges,
    /// Private or the host's.
    pub namespaces: Namespaces,
    /// What of its network is reached from outside.
    #[serde(default)]
    pub ports: PortsRequest,
    /// Whose ids are whose.
    pub userns: UsernsRequest,
    /// `/etc/hosts` and `/etc/hostname`.
    pub hosts: HostsRequest,
    /// `/etc/resolv.conf`.
    #[serde(default)]
    pub resolver: ResolverRequest,
    /// `--tz`.
    pub timezone: Option<String>,
    /// `--cidfile`.
    pub cidfile: Option<PathBuf>,
    /// `--pidfile`.
    pub pidfile: Option<PathBuf>,
    /// `--timeout`.
    pub timeout: Option<Duration>,
    /// `--sig-proxy`.
    pub sig_proxy: bool,
    /// `--rm`: it goes away with its end.
    pub auto_remove: bool,
    /// `--requires`: containers that run before it does.
    #[serde(default)]
    pub requires: Vec<String>,
    /// What becomes of what it prints, unless it is a fleeting one.
    pub log: LogRequest,
    /// It has no keyring, and can make none.
    #[serde(default)]
    pub no_keyring: bool,
    /// `--cgroups disabled`: no control group of its own.
    #[serde(default)]
    pub no_cgroup: bool,
    /// `--stop-timeout`, in seconds: how long it has to end by itself.
    pub stop_timeout: u32,
    /// The command line, for the record.
    pub command_line: Vec<String>,
}

impl Request {
    /// Whether the image's own file stays where there would be one of ours: if it has none, then none.
    pub(crate) const fn leaves_files(&self) -> bool {
        self.hosts.none || self.hosts.no_hostname || self.resolver.image
    }

    /// The same request wherever and whenever it is read: paths are absolute, and what it wants of the environment is in
    /// it by value.
    ///
    /// # Errors
    /// A relative path and no working directory; a variable that no process can be given.
    pub fn settled(&self) -> Result<Self, SettleError> {
        let mut settled = self.clone();
        let absolute = |path: &mut PathBuf| match std::path::absolute(&*path) {
            Ok(whole) => {
                *path = whole;
                Ok(())
            }
            Err(source) => Err(SettleError::Path { path: path.clone(), source }),
        };
        if let Source::Folder { path, .. } = &mut settled.source {
            absolute(path)?;
        }
        if let Mode::Path(path) = &mut settled.namespaces.network {
            absolute(path)?;
        }
        if let Some(path) = settled.namespaces.user_network.as_mut().and_then(|network| network.pcap.as_mut())
        {
            absolute(path)?;
        }
        for mount in &mut settled.storage.mounts {
            match &mut mount.what {
                What::Bind(bind) => absolute(&mut bind.source)?,
                What::Overlay(overlay) => {
                    absolute(&mut overlay.source)?;
                    if let Some(kept) = &mut overlay.kept {
                        absolute(&mut kept.upper)?;
                        absolute(&mut kept.work)?;
                    }
                }
                What::Volume(_) | What::Image(_) | What::Tmpfs(_) | What::Devpts(_) => {}
            }
        }
        for device in &mut settled.storage.devices {
            absolute(&mut device.source)?;
        }
        if let Seccomp::File(path) = &mut settled.privileges.security.seccomp {
            absolute(path)?;
        }
        for path in [&mut settled.cidfile, &mut settled.pidfile, &mut settled.log.path].into_iter().flatten()
        {
            absolute(path)?;
        }
        let process = &mut settled.process;
        process.env = env::settled(&process.env, &process.host_env)?;
        // Relabelling asks where the home is.
        process.host_env = process.host_env.only("HOME");
        Ok(settled)
    }
}

/// A request cannot be written down for later.
#[derive(Debug, thiserror::Error)]
pub enum SettleError {
    /// A relative path.
    #[error("cannot tell what {path} is relative to")]
    Path {
        /// As the user spelled it.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A variable.
    #[error(transparent)]
    Env(#[from] EnvError),
}
