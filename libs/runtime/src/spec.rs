//! The OCI runtime configuration (`config.json`) of a Linux container, as data.
//!
//! The names are the specification's, so what is written here can be read by any tool that knows it. What the
//! specification offers for other systems, and what no command of ours sets, is left out; unknown fields are
//! refused, since a field that is read and ignored is a promise broken in silence.
//!
//! # References
//! opencontainers/runtime-spec 1.2: config.md, config-linux.md.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::caps::CapSet;

/// The version of the specification these types follow.
pub const VERSION: &str = "1.2.0";

/// What a container is to be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Spec {
    /// The version of the specification, [`VERSION`].
    pub oci_version: String,
    /// The process that runs in it.
    pub process: Process,
    /// Its root file system.
    pub root: Root,
    /// Its host name; the namespace's own if empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub hostname: String,
    /// Its NIS domain name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub domainname: String,
    /// What is mounted over the root, in this order.
    #[serde(default)]
    pub mounts: Vec<Mount>,
    /// Notes of the user's, not interpreted.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// What is Linux's own.
    pub linux: Linux,
}

/// The process of a container.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Process {
    /// Whether it gets a terminal of its own.
    #[serde(default, skip_serializing_if = "is_default")]
    pub terminal: bool,
    /// The terminal's first size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub console_size: Option<ConsoleSize>,
    /// Who it runs as.
    #[serde(default)]
    pub user: User,
    /// The command and its arguments.
    pub args: Vec<String>,
    /// Its whole environment, `NAME=value`.
    #[serde(default)]
    pub env: Vec<String>,
    /// The directory it starts in, absolute.
    pub cwd: String,
    /// Its capabilities; none at all if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capabilities: Option<Capabilities>,
    /// Limits of its resources; the others are inherited.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rlimits: Vec<Rlimit>,
    /// Whether no program it runs may ever gain privileges.
    #[serde(default, skip_serializing_if = "is_default")]
    pub no_new_privileges: bool,
    /// The AppArmor profile it is confined by.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub apparmor_profile: String,
    /// How willing the kernel is to kill it when memory runs out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oom_score_adj: Option<i32>,
}

/// A terminal's size in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConsoleSize {
    /// Rows.
    pub height: u16,
    /// Columns.
    pub width: u16,
}

/// Who a process runs as, in ids of the container.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct User {
    /// The user.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// The file creation mask.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub umask: Option<u32>,
    /// The supplementary groups.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub additional_gids: Vec<u32>,
}

/// The five capability sets, exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Capabilities {
    /// What programs it runs can ever gain.
    #[serde(default)]
    pub bounding: CapSet,
    /// What is checked.
    #[serde(default)]
    pub effective: CapSet,
    /// What file capabilities may hand on.
    #[serde(default)]
    pub inheritable: CapSet,
    /// What may be made effective.
    #[serde(default)]
    pub permitted: CapSet,
    /// What outlives an exec of a user who is not root.
    #[serde(default)]
    pub ambient: CapSet,
}

/// One resource limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rlimit {
    /// The resource, `RLIMIT_NOFILE`.
    #[serde(rename = "type")]
    pub kind: String,
    /// What it may be raised to.
    pub hard: u64,
    /// What holds.
    pub soft: u64,
}

/// Where the root file system is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Root {
    /// Its path, for readers: the runtime is handed a descriptor.
    pub path: String,
    /// Whether it is read-only once set up.
    #[serde(default, skip_serializing_if = "is_default")]
    pub readonly: bool,
}

/// Something mounted in a container.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mount {
    /// Where, absolute, in the container.
    pub destination: String,
    /// `bind` or the file system's type; empty means `bind` where the options say `bind` or `rbind`.
    #[serde(rename = "type", default, skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// What: a path of the host for a bind, else a name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub source: String,
    /// fstab's options and the runtimes' (`rbind`, `rprivate`, `tmpcopyup`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<String>,
}

/// The parts of a configuration that are Linux's own.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Linux {
    /// What the user namespace's user ids are outside.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub uid_mappings: Vec<IdMapping>,
    /// What its group ids are outside.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gid_mappings: Vec<IdMapping>,
    /// The namespaces that are new, or joined; those not named are inherited.
    #[serde(default)]
    pub namespaces: Vec<Namespace>,
    /// Device nodes beside the default ones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<Device>,
    /// Kernel settings of the container's namespaces.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sysctl: BTreeMap<String, String>,
    /// The profile of system calls it may make, for readers: the runtime is handed the compiled program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seccomp: Option<serde_json::Value>,
    /// How mounts travel between the root and the outside.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub rootfs_propagation: String,
    /// Paths that are hidden.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub masked_paths: Vec<String>,
    /// Paths that cannot be written.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub readonly_paths: Vec<String>,
}

/// A run of ids: `size` of them from `containerID` inside are those from `hostID` outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IdMapping {
    /// The first id inside.
    #[serde(rename = "containerID")]
    pub container_id: u32,
    /// The first id outside.
    #[serde(rename = "hostID")]
    pub host_id: u32,
    /// How many.
    pub size: u32,
}

/// A namespace the container does not inherit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Namespace {
    /// Its kind.
    #[serde(rename = "type")]
    pub kind: NamespaceKind,
    /// The one that is joined; a new one if absent. For readers: the runtime is handed a descriptor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

/// The kinds of namespaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NamespaceKind {
    /// Users and capabilities.
    User,
    /// Process ids.
    Pid,
    /// Interfaces, ports, routes.
    Network,
    /// System V IPC and POSIX message queues.
    Ipc,
    /// Host and domain name.
    Uts,
    /// The root of the cgroup tree that is seen.
    Cgroup,
    /// Mounts.
    Mount,
}

/// A device node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Device {
    /// `c` or `b`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Where, in the container.
    pub path: String,
    /// The driver.
    pub major: u32,
    /// The device.
    pub minor: u32,
    /// Its permissions; the host node's, since without privileges a node can only be bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_mode: Option<u32>,
    /// Its owner; as above.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// Its group; as above.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gid: Option<u32>,
}

impl Linux {
    /// Returns the namespace of a kind, unless it is inherited.
    #[must_use]
    pub fn namespace(&self, kind: NamespaceKind) -> Option<&Namespace> {
        self.namespaces.iter().find(|namespace| namespace.kind == kind)
    }

    /// Whether the container gets a new namespace of the kind.
    #[must_use]
    pub fn owns(&self, kind: NamespaceKind) -> bool {
        self.namespace(kind).is_some_and(|namespace| namespace.path.is_none())
    }
}

/// Tells serde what it may leave out.
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
