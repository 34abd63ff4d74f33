//! What `run` was asked for, every flag already typed.
//!
//! The command line makes it; [`crate::create`] turns it into a record and a specification. What needs an image or the
//! machine to be understood (a user's name, a limit of ours) is kept as parsed text until both are known.

use std::path::PathBuf;
use std::time::Duration;

use crate::device::Device;
use crate::env::{EnvRequest, HostEnv};
use crate::hosts::HostEntry;
use crate::mounts::Mount;
use crate::namespaces::Namespaces;
use crate::security::Security;
use crate::ulimit::Ulimits;
use crate::user::{GroupAdd, UserSpec};
use crate::volumes::{ImageVolumes, VolumesFrom};

/// What the container's root is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
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
#[derive(Debug, Clone, Default, PartialEq, Eq)]
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
}

/// What happens to passwd and group files of the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PasswdRequest {
    /// `--passwd`: a user whom the image does not know is added.
    pub add: bool,
    /// `--passwd-entry`.
    pub passwd_entry: Option<String>,
    /// `--group-entry`.
    pub group_entry: Option<String>,
}

impl Default for PasswdRequest {
    fn default() -> Self {
        Self { add: true, passwd_entry: None, group_entry: None }
    }
}

/// `/etc/hosts`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostsRequest {
    /// `--add-host`.
    pub add: Vec<HostEntry>,
    /// `--no-hosts`: the image's file stays.
    pub none: bool,
}

/// Privileges beyond namespaces.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Privileges {
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
}

/// The file system beyond the image.
#[derive(Debug, Clone, PartialEq, Eq)]
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
        }
    }
}

/// The process.
#[derive(Debug, Clone, Default)]
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

/// Everything that one `run` was asked for.
#[derive(Debug, Clone)]
pub struct Request {
    /// What the root is made of.
    pub source: Source,
    /// `--platform`.
    pub platform: Option<String>,
    /// `--name`.
    pub name: Option<String>,
    /// `--hostname`.
    pub hostname: Option<String>,
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
    /// Whose ids are whose.
    pub userns: UsernsRequest,
    /// `/etc/hosts`.
    pub hosts: HostsRequest,
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
    /// The command line, for the record.
    pub command_line: Vec<String>,
}
