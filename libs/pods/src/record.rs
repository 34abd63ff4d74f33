//! What is known about a container: one JSON file that says what was asked for, one that says what became of it.
//!
//! Desired state is on disk, observed state comes from the kernel: whether a container runs is never read from here, but
//! asked of the process that [`State`] names. What the store reads of it is [`ctr_store::container::Claim`].

use std::path::PathBuf;

use ctr_core::Digest;
use ctr_core::boot::BootId;
use ctr_core::id::ContainerId;
use ctr_core::process::{Identity, Serial};
use ctr_net::publish::Mapping;
use ctr_runtime::caps::CapSet;
use ctr_runtime::spec::NamespaceKind;
use ctr_store::ImageId;
use ctr_userns::map::IdMaps;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::network::Standing;
use crate::request::LogRequest;
use crate::resolver::ResolverRequest;
use crate::ulimit::Ulimit;

/// The format of [`Record`]; a higher one is left alone.
pub const VERSION: u32 = 1;

/// Nanoseconds since 1970.
pub type Time = u64;

/// Something mounted into a container, as `inspect` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MountRecord {
    /// bind, tmpfs, devpts, volume, image.
    pub kind: String,
    /// The volume that it is, if it is one: what keeps that from being removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume: Option<String>,
    /// On the host.
    pub source: String,
    /// In the container.
    pub destination: String,
    /// Options that are neither ro, rw nor propagation.
    pub options: Vec<String>,
    /// It can be written to.
    pub rw: bool,
    /// How later mounts travel.
    pub propagation: String,
}

/// A limit, as `inspect` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UlimitRecord {
    /// `RLIMIT_…`.
    pub name: String,
    /// Soft limit.
    pub soft: u64,
    /// Hard limit.
    pub hard: u64,
}

/// The process that was asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessRecord {
    /// The whole argument vector.
    pub args: Vec<String>,
    /// Its part that is the entry point.
    pub entrypoint: Vec<String>,
    /// Its part that is not.
    pub cmd: Vec<String>,
    /// User as it was written.
    pub user: String,
    /// Where it starts.
    pub workdir: String,
    /// It has a terminal.
    pub terminal: bool,
    /// Standard input stays open.
    pub interactive: bool,
    /// Name or number of the signal that stops it.
    pub stop_signal: i32,
    /// Mask of new files.
    pub umask: u32,
    /// An init runs before it.
    pub init: bool,
    /// `--group-add`, as it was written.
    pub groups: Vec<String>,
    /// Its environment, as far as that is known before its first start.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
}

/// What a container may do, and whose it shares.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostRecord {
    /// private or host.
    pub pid: String,
    /// private or host.
    pub ipc: String,
    /// private or host.
    pub uts: String,
    /// private or host.
    pub cgroup: String,
    /// It has no keyring.
    #[serde(default)]
    pub no_keyring: bool,
    /// `--cgroups disabled`.
    #[serde(default)]
    pub no_cgroup: bool,
    /// none or host.
    pub network: String,
    /// `--userns`.
    pub userns: String,
    /// Its maps, outer ids being A's.
    pub maps: Option<IdMaps>,
    /// `--cap-add`.
    pub cap_add: Vec<String>,
    /// `--cap-drop`.
    pub cap_drop: Vec<String>,
    /// What it may ever do, as was known before its first start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bounding: Option<CapSet>,
    /// `--privileged`.
    pub privileged: bool,
    /// `--publish-all`.
    #[serde(default)]
    pub publish_all: bool,
    /// `--read-only`.
    pub read_only: bool,
    /// `--security-opt`.
    pub security_opt: Vec<String>,
    /// `--add-host`.
    pub extra_hosts: Vec<String>,
    /// `--hosts-file`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub hosts_file: String,
    /// `--no-hosts`, `--no-hostname`.
    #[serde(default)]
    pub image_files: (bool, bool),
    /// `--dns`, `--dns-search`, `--dns-option`.
    #[serde(default)]
    pub resolver: ResolverRequest,
    /// Size of /dev/shm.
    pub shm_size: u64,
    /// `--oom-score-adj`.
    #[serde(default)]
    pub oom_score_adj: i32,
    /// Limits.
    pub ulimits: Vec<UlimitRecord>,
    /// `--device`: host and container path.
    pub devices: Vec<(String, String)>,
}

impl HostRecord {
    /// Whose each namespace is, beside the name that the kernel's file for it has.
    #[must_use]
    pub fn namespaces(&self) -> [(NamespaceKind, &'static str, &str); 5] {
        [
            (NamespaceKind::Pid, "pid", &self.pid),
            (NamespaceKind::Ipc, "ipc", &self.ipc),
            (NamespaceKind::Uts, "uts", &self.uts),
            (NamespaceKind::Cgroup, "cgroup", &self.cgroup),
            (NamespaceKind::Network, "net", &self.network),
        ]
    }

    /// Whether its first process is the first of a pid namespace.
    #[must_use]
    pub fn has_own_pids(&self) -> bool {
        matches!(self.pid.as_str(), "" | "private")
    }
}

/// A container as it was asked for.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Record {
    /// [`VERSION`].
    pub version: u32,
    /// Who it is.
    pub id: ContainerId,
    /// What people call it.
    pub name: String,
    /// When it was made.
    pub created: Time,
    /// It goes away when it ends.
    pub auto_remove: bool,
    /// The boot it belongs to: nothing of it outlives one.
    pub boot_id: BootId,
    /// Its image; none with `--rootfs`.
    pub image: Option<ImageId>,
    /// The name that image was found by, in full.
    pub image_name: String,
    /// Digest of that image's manifest.
    pub image_digest: Option<Digest>,
    /// `--rootfs`.
    pub rootfs: Option<PathBuf>,
    /// Layers of the store that it stands on: what gc marks from.
    pub layers: Vec<Digest>,
    /// Its name for itself.
    pub hostname: String,
    /// Metadata.
    pub labels: Vec<(String, String)>,
    /// Metadata of the specification.
    pub annotations: Vec<(String, String)>,
    /// What runs.
    pub process: ProcessRecord,
    /// What it may do.
    pub host: HostRecord,
    /// What it publishes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<Mapping>,
    /// What it exposes, `80/tcp`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exposed: Vec<String>,
    /// What is mounted beyond the image.
    pub mounts: Vec<MountRecord>,
    /// `--cidfile`, absolute.
    pub cidfile: Option<PathBuf>,
    /// `--pidfile`, absolute.
    pub pidfile: Option<PathBuf>,
    /// `--tz`.
    pub timezone: String,
    /// `--timeout` in seconds.
    pub timeout: u64,
    /// `--stop-timeout`, in seconds.
    #[serde(default)]
    pub stop_timeout: u32,
    /// The ids of containers that it needs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dependencies: Vec<String>,
    /// What becomes of its output.
    #[serde(default)]
    pub log: LogRequest,
    /// The command line that made it.
    pub command_line: Vec<String>,
    /// Everything that was asked for, as a [`Request`](crate::request::Request) that lists need not understand: what the
    /// next start is made from. A fleeting container has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<Box<RawValue>>,
}

impl Record {
    /// The names of the volumes that are mounted into it.
    #[must_use]
    pub fn volumes(&self) -> Vec<String> {
        self.mounts.iter().filter_map(|mount| mount.volume.clone()).collect()
    }
}

/// The last start of a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// Its init.
    pub init: Identity,
    /// The kernel's number for it, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<Serial>,
    /// Who waits for it.
    pub supervisor: Identity,
    /// Its environment.
    pub env: Vec<String>,
    /// What it may do at the start.
    pub effective: CapSet,
    /// What it may ever do.
    pub bounding: CapSet,
    /// When init was started.
    pub started: Time,
    /// The container's maps, outer ids being A's.
    pub maps: IdMaps,
    /// Its control group, where one could be made for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cgroup: Option<PathBuf>,
    /// The limits that it was given: of what it asked for, and of what we had.
    #[serde(default)]
    pub limits: Vec<Ulimit>,
    /// Its command is not running yet: `init` made everything else.
    #[serde(default)]
    pub waiting: bool,
    /// In which way its network is served, if it has one of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub standing: Option<Standing>,
}

/// How the last start of a container ended, as its monitor wrote it down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ending {
    /// Its exit code, 128 and the number of a signal.
    pub code: u8,
    /// The signal that killed it; 0 is none.
    pub signal: u8,
    /// The kernel killed something in it for want of memory.
    pub oom: bool,
    /// Its time was up.
    pub timed_out: bool,
    /// When.
    pub finished: Time,
}

#[cfg(test)]
impl Record {
    /// A record of which nothing is known but this.
    pub(crate) fn sample(id: ContainerId, name: &str, created: Time) -> Self {
        Self {
            version: VERSION,
            id,
            name: name.to_owned(),
            created,
            auto_remove: true,
            boot_id: ctr_core::boot::boot_id().unwrap().clone(),
            image: None,
            image_name: String::new(),
            image_digest: None,
            rootfs: None,
            layers: vec![],
            hostname: String::new(),
            labels: vec![],
            annotations: vec![],
            process: ProcessRecord::default(),
            host: HostRecord::default(),
            ports: vec![],
            exposed: vec![],
            mounts: vec![],
            cidfile: None,
            pidfile: None,
            timezone: String::new(),
            timeout: 0,
            stop_timeout: 10,
            dependencies: Vec::new(),
            log: LogRequest::default(),
            command_line: vec![],
            request: None,
        }
    }
}
