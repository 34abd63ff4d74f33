//! Every key that podman knows, and what becomes of it here.

/// A kind of configuration file.
#[derive(Debug)]
pub struct Family {
    /// The name of its main file.
    pub file: &'static str,
    /// The variable that names the only file; with `_OVERRIDE`, the last one.
    pub variable: &'static str,
    /// Its keys, sorted.
    pub keys: &'static [Key],
}

/// One key.
#[derive(Debug)]
pub struct Key {
    /// Its name, with that of its table.
    pub name: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// What becomes of it.
    pub standing: Standing,
}

/// What a key holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A string.
    Text,
    /// A number of bytes, as a number or with a unit.
    Size,
    /// A switch.
    Bool,
    /// A whole number.
    Integer,
    /// A whole number that is not negative.
    Count,
    /// Strings.
    List,
    /// Names and strings.
    Map,
    /// Anything: it is not looked into.
    Opaque,
}

impl Kind {
    /// Its name, as an error has it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Text => "string",
            Self::Size => "size",
            Self::Bool => "boolean",
            Self::Integer => "integer",
            Self::Count => "integer of at least 0",
            Self::List => "array of strings",
            Self::Map => "table of strings",
            Self::Opaque => "any",
        }
    }
}

/// What becomes of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It does what podman's manual says.
    Works,
    /// It is read and said to be ignored, unless it asks for what is done anyway.
    Unbuilt {
        /// The value that asks for what is done anyway.
        fine: &'static str,
    },
    /// It asks for something that is done in another way here, for a reason.
    Refused(&'static str),
    /// There is nothing here that it could mean.
    Void(&'static str),
}

impl Family {
    /// A key by its name.
    #[must_use]
    pub fn key(&self, name: &str) -> Option<&'static Key> {
        let keys = self.keys;
        keys.binary_search_by(|key| key.name.cmp(name)).ok().and_then(|at| keys.get(at))
    }

    /// Whether there are keys in a table of this name.
    #[must_use]
    pub fn is_table(&self, name: &str) -> bool {
        let below = |key: &Key| key.name.strip_prefix(name).is_some_and(|rest| rest.starts_with('.'));
        self.keys.iter().any(below)
    }
}

const fn works(name: &'static str, kind: Kind) -> Key {
    Key { name, kind, standing: Standing::Works }
}

const fn unbuilt(name: &'static str, kind: Kind, fine: &'static str) -> Key {
    Key { name, kind, standing: Standing::Unbuilt { fine } }
}

const fn refused(name: &'static str, kind: Kind, reason: &'static str) -> Key {
    Key { name, kind, standing: Standing::Refused(reason) }
}

const fn void(name: &'static str, kind: Kind, reason: &'static str) -> Key {
    Key { name, kind, standing: Standing::Void(reason) }
}

const NO_RUNTIME: &str = "containers are started by this program itself";
const NO_CONMON: &str = "this program has a monitor of its own";
const NO_HELPERS: &str = "no helper programs are looked for";
const NO_DATABASE: &str = "there is neither a database nor a table of locks";
const NO_SERVICE: &str = "there is no remote service";
const NO_PAUSE: &str = "a pod needs no infra container";
const NO_NETAVARK: &str = "networks are made by this program itself";
const NO_MACHINE: &str = "there are no virtual machines";
const NO_SELINUX: &str = "files and processes get no SELinux labels";
const NO_DRIVER: &str = "there is no such storage driver";
const NO_HOME: &str = "nothing is mounted on the store's folder";
const NO_PLUGINS: &str = "there are no volume plugins";

use Kind::{Bool, Count, Integer, List, Map, Opaque, Size, Text};

/// `containers.conf`.
pub static CONTAINERS: Family = Family {
    file: "containers.conf",
    variable: "CONTAINERS_CONF",
    keys: &[
        unbuilt("configmaps", Opaque, ""),
        works("containers.annotations", List),
        unbuilt("containers.apparmor_profile", Text, ""),
        works("containers.base_hosts_file", Text),
        unbuilt("containers.cgroup_conf", List, ""),
        works("containers.cgroupns", Text),
        works("containers.cgroups", Text),
        works("containers.container_name_as_hostname", Bool),
        works("containers.default_capabilities", List),
        works("containers.default_sysctls", List),
        works("containers.default_ulimits", List),
        works("containers.devices", List),
        works("containers.dns_options", List),
        works("containers.dns_searches", List),
        works("containers.dns_servers", List),
        works("containers.env", List),
        works("containers.env_host", Bool),
        works("containers.host_containers_internal_ip", Text),
        works("containers.http_proxy", Bool),
        works("containers.init", Bool),
        void("containers.init_path", Text, "the init is part of this program"),
        unbuilt("containers.interface_name", Text, ""),
        works("containers.ipcns", Text),
        works("containers.keyring", Bool),
        void("containers.label", Bool, NO_SELINUX),
        void("containers.label_users", Bool, NO_SELINUX),
        works("containers.log_driver", Text),
        works("containers.log_path", Text),
        works("containers.log_size_max", Integer),
        works("containers.log_tag", Text),
        works("containers.mounts", List),
        works("containers.netns", Text),
        works("containers.no_hosts", Bool),
        works("containers.oom_score_adj", Integer),
        works("containers.pidns", Text),
        unbuilt("containers.pids_limit", Integer, "0"),
        works("containers.prepare_volume_on_create", Bool),
        works("containers.privileged", Bool),
        works("containers.read_only", Bool),
        works("containers.seccomp_profile", Text),
        works("containers.shm_size", Text),
        works("containers.tz", Text),
        works("containers.umask", Text),
        works("containers.userns", Text),
        void("containers.userns_size", Integer, "podman does not use it either"),
        works("containers.utsns", Text),
        works("containers.volumes", List),
        void("engine.active_service", Text, NO_SERVICE),
        unbuilt("engine.add_compression", List, ""),
        unbuilt("engine.cdi_spec_dirs", List, ""),
        void("engine.cgroup_check", Bool, "podman does not use it either"),
        unbuilt("engine.cgroup_manager", Text, "cgroupfs"),
        unbuilt("engine.chown_copied_files", Bool, "true"),
        void("engine.compat_api_enforce_docker_hub", Bool, NO_SERVICE),
        unbuilt("engine.compose_providers", List, ""),
        unbuilt("engine.compose_warning_logs", Bool, "true"),
        unbuilt("engine.compression_format", Text, "gzip"),
        unbuilt("engine.compression_level", Integer, ""),
        void("engine.conmon_env_vars", List, NO_CONMON),
        void("engine.conmon_path", List, NO_CONMON),
        void("engine.conmonrs_path", List, NO_CONMON),
        void("engine.database_backend", Text, NO_DATABASE),
        works("engine.detach_keys", Text),
        unbuilt("engine.enable_port_reservation", Bool, "true"),
        works("engine.env", List),
        works("engine.events_container_create_inspect_data", Bool),
        works("engine.events_logfile_max_size", Size),
        works("engine.events_logfile_path", Text),
        works("engine.events_logger", Text),
        void("engine.exit_command_delay", Count, NO_SERVICE),
        unbuilt("engine.healthcheck_events", Bool, "true"),
        void("engine.helper_binaries_dir", List, NO_HELPERS),
        unbuilt("engine.hooks_dir", List, ""),
        unbuilt("engine.image_build_format", Text, ""),
        unbuilt("engine.image_copy_tmp_dir", Text, "/var/tmp"),
        works("engine.image_default_format", Text),
        unbuilt("engine.image_default_transport", Text, "docker://"),
        unbuilt("engine.image_parallel_copies", Count, "0"),
        works("engine.image_volume_mode", Text),
        void("engine.infra_command", Text, NO_PAUSE),
        void("engine.infra_image", Text, NO_PAUSE),
        unbuilt("engine.kube_generate_type", Text, "pod"),
        void("engine.lock_type", Text, NO_DATABASE),
        unbuilt("engine.multi_image_archive", Bool, "false"),
        unbuilt("engine.namespace", Text, ""),
        void("engine.network_cmd_options", List, NO_NETAVARK),
        void("engine.network_cmd_path", Text, NO_NETAVARK),
        unbuilt("engine.no_pivot_root", Bool, "false"),
        void("engine.num_locks", Count, NO_DATABASE),
        void("engine.platform_to_oci_runtime", Opaque, NO_RUNTIME),
        unbuilt("engine.pod_exit_policy", Text, "continue"),
        unbuilt("engine.podmansh_timeout", Count, ""),
        works("engine.pull_policy", Text),
        unbuilt("engine.remote", Bool, "false"),
        void("engine.remote_identity", Text, NO_SERVICE),
        void("engine.remote_uri", Text, NO_SERVICE),
        unbuilt("engine.retry", Count, "3"),
        unbuilt("engine.retry_delay", Text, ""),
        void("engine.runtime", Text, NO_RUNTIME),
        void("engine.runtime_path", List, NO_RUNTIME),
        void("engine.runtime_supports_json", List, NO_RUNTIME),
        void("engine.runtime_supports_kvm", List, NO_RUNTIME),
        void("engine.runtime_supports_nocgroup", List, NO_RUNTIME),
        void("engine.runtime_supports_nocgroups", List, NO_RUNTIME),
        void("engine.runtimes", Opaque, NO_RUNTIME),
        void("engine.runtimes_flags", Opaque, NO_RUNTIME),
        void("engine.service_destinations", Opaque, NO_SERVICE),
        void("engine.service_timeout", Count, NO_SERVICE),
        void("engine.ssh_config", Text, NO_SERVICE),
        refused(
            "engine.static_dir",
            Text,
            "there is no database to be apart from the store: a container's records lie beside its files (see graphroot of storage.conf)",
        ),
        works("engine.stop_timeout", Count),
        works("engine.tmp_dir", Text),
        works("engine.volume_path", Text),
        void("engine.volume_plugin_timeout", Count, NO_PLUGINS),
        void("engine.volume_plugins", Map, NO_PLUGINS),
        void("farms", Opaque, NO_SERVICE),
        void("machine", Opaque, NO_MACHINE),
        works("network.default_host_ips", List),
        unbuilt("network.default_network", Text, "podman"),
        works("network.default_rootless_network_cmd", Text),
        unbuilt("network.default_subnet", Text, ""),
        unbuilt("network.default_subnet_pools", Opaque, ""),
        unbuilt("network.dns_bind_port", Count, "0"),
        unbuilt("network.firewall_driver", Text, ""),
        void("network.netavark_plugin_dirs", List, NO_NETAVARK),
        void("network.network_backend", Text, NO_NETAVARK),
        unbuilt("network.network_config_dir", Text, ""),
        unbuilt("network.pasta_options", List, ""),
        unbuilt("podmansh", Opaque, ""),
        unbuilt("secrets.driver", Text, "file"),
        unbuilt("secrets.opts", Map, ""),
    ],
};

/// `storage.conf`.
pub static STORAGE: Family = Family {
    file: "storage.conf",
    variable: "CONTAINERS_STORAGE_CONF",
    keys: &[
        works("storage.driver", Text),
        unbuilt("storage.driver_priority", List, ""),
        works("storage.graphroot", Text),
        works("storage.imagestore", Text),
        works("storage.options.additionalimagestores", List),
        unbuilt("storage.options.additionallayerstores", List, ""),
        works("storage.options.auto-userns-max-size", Count),
        works("storage.options.auto-userns-min-size", Count),
        void("storage.options.btrfs", Opaque, NO_DRIVER),
        void(
            "storage.options.disable-volatile",
            Bool,
            "volatile are those containers that go with their end, and they only",
        ),
        unbuilt("storage.options.force_mask", Opaque, ""),
        unbuilt("storage.options.ignore_chown_errors", Text, "false"),
        void(
            "storage.options.imagestore",
            Text,
            "the image store is named by storage.imagestore, as for podman",
        ),
        unbuilt("storage.options.mount_program", Text, ""),
        unbuilt("storage.options.mountopt", Text, "nodev"),
        unbuilt("storage.options.overlay.force_mask", Text, ""),
        unbuilt("storage.options.overlay.ignore_chown_errors", Text, "false"),
        unbuilt("storage.options.overlay.inodes", Text, ""),
        unbuilt("storage.options.overlay.mount_program", Text, ""),
        unbuilt("storage.options.overlay.mountopt", Text, "nodev"),
        unbuilt("storage.options.overlay.size", Text, ""),
        void("storage.options.overlay.skip_mount_home", Text, NO_HOME),
        unbuilt("storage.options.overlay.sync", Text, ""),
        unbuilt("storage.options.overlay.use_composefs", Text, "false"),
        void("storage.options.pull_options", Opaque, "layers are unpacked as they come"),
        unbuilt("storage.options.remap-gids", Text, ""),
        unbuilt("storage.options.remap-uids", Text, ""),
        refused(
            "storage.options.root-auto-userns-user",
            Text,
            "--userns auto takes of root's own ranges in /etc/subuid and /etc/subgid",
        ),
        unbuilt("storage.options.size", Text, ""),
        void("storage.options.skip_mount_home", Text, NO_HOME),
        unbuilt("storage.options.use_composefs", Text, "false"),
        unbuilt("storage.options.vfs.ignore_chown_errors", Text, "false"),
        unbuilt("storage.options.vfs.sync", Text, ""),
        void("storage.options.zfs", Opaque, NO_DRIVER),
        works("storage.rootless_storage_path", Text),
        works("storage.runroot", Text),
        works("storage.transient_store", Bool),
    ],
};
