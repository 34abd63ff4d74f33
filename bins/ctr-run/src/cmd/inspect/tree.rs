//! A container with Podman's fields.
//!
//! What does not exist here yet (limits, networks, health) has the value that Podman shows for a container without it.

use std::collections::BTreeMap;

use ctr_cli::human::size::human;
use ctr_cli::template::{Struct, Time, Type, Value};
use ctr_pods::containers::Container;
use ctr_pods::exec::session;
use ctr_pods::network;
use ctr_pods::network::counters::{self, Carried, Direction, Interface};
use ctr_pods::ports::publish::{self, Bound};
use ctr_pods::record::{HostRecord, MountRecord, Record};
use ctr_pods::status::{Exit, Status};
use ctr_pods::stopped;
use ctr_pods::units;
use ctr_runtime::caps::{self, CapSet};
use ctr_userns::map::IdMap;

use crate::cmd::size::Size;
use crate::cmd::standing;
use crate::place::Place;

/// All of it.
pub(super) fn of(container: &Container, status: Status, size: Option<Size>, place: &Place) -> Struct {
    let record = &container.record;
    let folder = &container.folder;
    let file = |name: &str| folder.join(name).to_string_lossy().into_owned();
    let args = &record.process.args;
    let (effective, bounding) = rights(container);
    let sizes = |whole: Struct| match size {
        Some(size) => whole.field("SizeRw", bytes(size.own)),
        None => whole.optional("SizeRw", "SizeRw", Value::Nil),
    };
    let whole = Struct::new("define.InspectContainerData")
        .named("ID", Some("Id"), record.id.as_str())
        .field("Created", time(record.created))
        .field("Path", args.first().cloned().unwrap_or_default())
        .field("Args", args.iter().skip(1).cloned().collect::<Vec<_>>())
        .field("State", state(container, status))
        .field("Image", record.image.map(|id| id.to_string()).unwrap_or_default())
        .field("ImageDigest", record.image_digest.map(|digest| digest.to_string()).unwrap_or_default())
        .field("ImageName", record.image_name.as_str())
        .field(
            "Rootfs",
            record.rootfs.as_ref().map(|path| path.to_string_lossy().into_owned()).unwrap_or_default(),
        )
        .field("Pod", "")
        .field("ResolvConfPath", file("resolv.conf"))
        .field("HostnamePath", file("hostname"))
        .field("HostsPath", file("hosts"))
        .field("StaticDir", folder.to_string_lossy().into_owned())
        .field("OCIRuntime", "crun")
        .field("ConmonPidFile", "")
        .field("PidFile", path(record.pidfile.as_deref()))
        .field("Name", record.name.as_str())
        .field("RestartCount", 0)
        .field("Driver", place.driver_name())
        .field("MountLabel", "")
        .field("ProcessLabel", "")
        .field("AppArmorProfile", "")
        .field("EffectiveCaps", names(effective))
        .field("BoundingCaps", names(bounding))
        // Those that cannot be asked for are none.
        .field("ExecIDs", session::running(container).unwrap_or_default())
        .field("GraphDriver", graph(record, place));
    sizes(whole)
        .optional("SizeRootFs", "SizeRootFs", size.map_or(0, |size| bytes(size.all)))
        .field("Mounts", mounts(&record.mounts))
        .field("Dependencies", record.dependencies.clone())
        .field("NetworkSettings", network(container))
        .field("Namespace", "")
        .field("IsInfra", false)
        .field("IsService", false)
        .field("KubeExitCodePropagation", "invalid")
        .named("LockNumber", Some("lockNumber"), 0)
        .field("Config", config(container))
        .field("HostConfig", host(container))
        .field("UseImageHosts", record.host.image_files.0)
        .field("UseImageHostname", record.host.image_files.1)
}

/// What it may do at its start, and ever: as of its last one, else as far as that is known.
fn rights(container: &Container) -> (CapSet, CapSet) {
    let record = &container.record;
    if let Some(state) = &container.state {
        return (state.effective, state.bounding);
    }
    let bounding = record.host.bounding.unwrap_or(CapSet::EMPTY);
    let user = record.process.user.split(':').next().unwrap_or_default();
    match user {
        "" | "0" | "root" => (bounding, bounding),
        _ => (asked(&record.host.cap_add).intersection(bounding), bounding),
    }
}

/// Capabilities that somebody named.
fn asked(list: &[String]) -> CapSet {
    caps::merge(CapSet::EMPTY, list, &[], CapSet::ALL).unwrap_or(CapSet::EMPTY)
}

fn names(set: CapSet) -> Vec<String> {
    set.names().into_iter().map(str::to_owned).collect()
}

fn time(nanos: u64) -> Time {
    let seconds = i64::try_from(nanos / 1_000_000_000).unwrap_or(i64::MAX);
    Time::new(seconds, u32::try_from(nanos % 1_000_000_000).unwrap_or(0))
}

fn bytes(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn path(path: Option<&std::path::Path>) -> String {
    path.map(|path| path.to_string_lossy().into_owned()).unwrap_or_default()
}

fn texts(pairs: &[(String, String)]) -> Value {
    pairs.iter().cloned().collect::<BTreeMap<String, String>>().into()
}

/// An empty list of structs of a type.
fn none_of(name: &'static str) -> Value {
    Value::list(Type::Named(name), Vec::new())
}

fn state(container: &Container, status: Status) -> Struct {
    let state = container.state.as_ref();
    let alive = state.filter(|_| status.is_alive());
    let exit = status.exit();
    let finished = exit.and_then(|exit| exit.finished).map_or(Time::ZERO, time);
    let unseen = exit.is_some_and(|exit| exit.unseen);
    Struct::new("define.InspectContainerState")
        .field("OciVersion", ctr_runtime::spec::VERSION)
        .field("Status", status.word())
        .field("Running", status == Status::Running)
        .field("Paused", status == Status::Paused)
        .field("Restarting", false)
        .field("OOMKilled", exit.is_some_and(|exit| exit.oom))
        .field("Dead", false)
        .field("Pid", alive.map_or(0, |state| state.init.pid))
        .field("ConmonPid", alive.map_or(0, |state| state.supervisor.pid))
        .field("ExitCode", exit.map_or(0, Exit::shown))
        .field("Error", if unseen { "monitor killed" } else { "" })
        .field("StartedAt", state.map_or(Time::ZERO, |state| time(state.started)))
        .field("FinishedAt", finished)
        .named("Health", None, Value::NilPointer("define.HealthCheckResults"))
        .named("Healthcheck", None, Value::NilPointer("define.HealthCheckResults"))
        .field("Checkpointed", false)
        .field("CgroupPath", path(container.group()))
        .field("CheckpointedAt", Time::ZERO)
        .field("RestoredAt", Time::ZERO)
        .optional("StoppedByUser", "StoppedByUser", stopped::by_user(container))
}

fn graph(record: &Record, place: &Place) -> Struct {
    let layer = place.dirs.data.join("containers").join(record.id.as_str());
    let mut data = BTreeMap::new();
    for (key, name) in [("UpperDir", "upper"), ("WorkDir", "work")] {
        data.insert(key.to_owned(), layer.join(name).to_string_lossy().into_owned());
    }
    Struct::new("define.DriverData").field("Name", place.driver_name()).field("Data", data)
}

fn mounts(mounts: &[MountRecord]) -> Value {
    // What lives in memory is in HostConfig.Tmpfs.
    let shown = mounts.iter().filter(|mount| matches!(mount.kind.as_str(), "bind" | "volume" | "image"));
    let list: Vec<Struct> = shown
        .map(|mount| {
            Struct::new("define.InspectMount")
                .field("Type", mount.kind.as_str())
                .optional("Name", "Name", mount.volume.clone().unwrap_or_default())
                .field("Source", mount.source.as_str())
                .field("Destination", mount.destination.as_str())
                .field("Driver", if mount.volume.is_some() { "local" } else { "" })
                .field("Mode", "")
                .field("Options", mount.options.clone())
                .field("RW", mount.rw)
                .field("Propagation", mount.propagation.as_str())
                .named("SubPath", None, "")
        })
        .collect();
    if list.is_empty() { none_of("define.InspectMount") } else { list.into() }
}

fn network(of: &Container) -> Struct {
    let record = &of.record;
    let found = of.state.as_ref().and_then(|state| state.standing.as_ref());
    let mode = found.map(|it| it.rung.word()).unwrap_or_default();
    let reason = found.map(standing::why).unwrap_or_default();
    let mut settings = Struct::new("define.InspectNetworkSettings");
    for name in ["EndpointID", "Gateway", "IPAddress"] {
        settings = settings.field(name, "");
    }
    settings = settings.field("IPPrefixLen", 0).field("IPv6Gateway", "").field("GlobalIPv6Address", "");
    settings = settings
        .field("GlobalIPv6PrefixLen", 0)
        .field("MacAddress", "")
        .field("Bridge", "")
        .field("SandboxID", "")
        .field("HairpinMode", false)
        .field("LinkLocalIPv6Address", "")
        .field("LinkLocalIPv6PrefixLen", 0)
        .field("Ports", ports(record))
        .field("SandboxKey", sandbox(of))
        .field("Networks", networks(&record.host.network))
        // In which way it is served, and why in no better one: podman has nothing like it, nor the next.
        .optional("Mode", "Mode", mode)
        .optional("ModeReason", "ModeReason", reason)
        .optional("Trace", "Trace", path(network::trace(of).as_deref()))
        // How many of those that served it have ended, so that another one came.
        .optional("Ended", "Ended", i64::try_from(network::ended(of)).unwrap_or(i64::MAX));
    // What nobody can say now is left out.
    match counters::carried(of) {
        Ok(Some(carried)) => settings.field("Counters", counted(&carried)),
        Ok(None) | Err(_) => settings,
    }
}

/// What went through its network, with the names that podman's `stats` has for an interface's part of it.
fn counted(carried: &Carried) -> Struct {
    let mut whole = Struct::new("ctr.NetworkCounters").field(
        "Interfaces",
        carried
            .interfaces
            .iter()
            .map(|(name, interface)| (name.clone(), of_interface(interface).into()))
            .collect::<BTreeMap<String, Value>>(),
    );
    let counters = carried.counters.as_ref().and_then(|counters| serde_json::to_value(counters).ok());
    for name in ["Flows", "Refused", "Malformed", "Limits", "Missed", "MissedDatagrams", "Captured"] {
        if let Some(part) = counters.as_ref().and_then(|counters| counters.get(name)) {
            whole = whole.field(name, part);
        }
    }
    whole
}

fn of_interface(Interface { received, sent }: &Interface) -> Struct {
    let mut whole = Struct::new("define.ContainerNetworkStats");
    for (names, Direction { bytes, packets, errors, dropped }) in [
        (["RxBytes", "RxPackets", "RxErrors", "RxDropped"], received),
        (["TxBytes", "TxPackets", "TxErrors", "TxDropped"], sent),
    ] {
        for (name, number) in names.into_iter().zip([bytes, packets, errors, dropped]) {
            whole = whole.field(name, *number);
        }
    }
    whole
}

/// Where the container's network namespace is found, of one that runs and has one.
fn sandbox(of: &Container) -> String {
    let init =
        of.state.as_ref().filter(|_| of.record.host.network != "host" && of.is_running().unwrap_or_default());
    init.map_or_else(String::new, |state| format!("/proc/{}/ns/net", state.init.pid))
}

/// The one network that it is in, unless that is somebody else's.
fn networks(mode: &str) -> BTreeMap<String, Value> {
    if mode.contains(':') {
        return BTreeMap::new();
    }
    let network = ["EndpointID", "Gateway", "IPAddress", "IPv6Gateway", "GlobalIPv6Address", "MacAddress"]
        .into_iter()
        .fold(Struct::new("define.InspectAdditionalNetwork"), |all, name| all.field(name, ""))
        .field("IPPrefixLen", 0)
        .field("GlobalIPv6PrefixLen", 0)
        .field("NetworkID", mode)
        .field("DriverOpts", Value::Nil)
        .field("IPAMConfig", Value::Nil)
        .field("Links", Value::Nil);
    BTreeMap::from([(mode.to_owned(), network.into())])
}

/// Where each port is on the host.
fn bindings(record: &Record) -> BTreeMap<String, Value> {
    let bound = |bound: Bound| {
        Struct::new("define.InspectHostPort")
            .named("HostIP", Some("HostIp"), bound.address)
            .field("HostPort", bound.port)
    };
    let all = publish::bindings(&record.ports).into_iter();
    all.map(|(port, places)| (port, places.into_iter().map(bound).collect::<Vec<_>>().into())).collect()
}

/// The same, and what is exposed and nowhere on the host.
fn ports(record: &Record) -> BTreeMap<String, Value> {
    let mut all = bindings(record);
    for port in &record.exposed {
        all.entry(port.clone()).or_insert(Value::Nil);
    }
    all
}

fn exposed(record: &Record) -> BTreeMap<String, Value> {
    let nothing = || Struct::new("struct {}").into();
    record.exposed.iter().map(|port| (port.clone(), nothing())).collect()
}

fn config(container: &Container) -> Struct {
    let record = &container.record;
    let process = &record.process;
    let env = container.state.as_ref().map_or_else(|| process.env.clone(), |state| state.env.clone());
    Struct::new("define.InspectContainerConfig")
        .field("Hostname", record.hostname.as_str())
        .field("Domainname", "")
        .field("User", process.user.as_str())
        .field("AttachStdin", false)
        .field("AttachStdout", false)
        .field("AttachStderr", false)
        .field("Tty", process.terminal)
        .field("OpenStdin", process.interactive)
        .field("StdinOnce", false)
        .field("Env", env)
        .field("Cmd", process.cmd.clone())
        .field("Image", record.image_name.as_str())
        .field("Volumes", Value::Nil)
        .field("WorkingDir", if process.workdir.is_empty() { "/" } else { &process.workdir })
        .field("Entrypoint", process.entrypoint.clone())
        .field("OnBuild", Value::Nil)
        .field("Labels", texts(&record.labels))
        .field("Annotations", texts(&record.annotations))
        .field("StopSignal", units::signal_name(process.stop_signal))
        .named("StartupHealthCheck", None, Value::NilPointer("define.StartupHealthCheck"))
        .named("Healthcheck", None, Value::NilPointer("manifest.Schema2HealthConfig"))
        .named("HealthcheckOnFailureAction", None, "")
        .field("CreateCommand", record.command_line.clone())
        .optional("Timezone", "Timezone", record.timezone.as_str())
        .field("Umask", format!("{:04o}", process.umask))
        .field("Timeout", record.timeout)
        .field("StopTimeout", record.stop_timeout)
        .field("Passwd", true)
        .named("SystemdMode", None, false)
        .named("Secrets", None, none_of("define.InspectSecret"))
        .named("SdNotifyMode", None, "")
        .named("SdNotifySocket", None, "")
        .optional("ExposedPorts", "ExposedPorts", exposed(record))
}

fn host(container: &Container) -> Struct {
    let record = &container.record;
    let host = &record.host;
    // As podman has it: what it may do beyond what is usual, and what of that it may not.
    let usual = if host.privileged { CapSet::ALL } else { caps::DEFAULT };
    let (_, bounding) = rights(container);
    let flags = Struct::new("define.InspectContainerHostConfig")
        .field("Binds", binds(&record.mounts))
        .field("CgroupManager", "cgroupfs")
        .field("CgroupMode", host.cgroup.as_str())
        .field("ContainerIDFile", path(record.cidfile.as_deref()))
        .field("LogConfig", log(container))
        .field("NetworkMode", host.network.as_str())
        .field("PortBindings", bindings(record))
        .field(
            "RestartPolicy",
            Struct::new("define.InspectRestartPolicy").field("Name", "no").field("MaximumRetryCount", 0),
        )
        .field("AutoRemove", record.auto_remove)
        .field("AutoRemoveImage", false)
        .field("Annotations", texts(&record.annotations))
        .field("VolumeDriver", "")
        .field("VolumesFrom", Value::Nil)
        .field("CapAdd", names(bounding.difference(usual)))
        .field("CapDrop", names(usual.difference(bounding)))
        .field("Dns", host.resolver.servers.iter().map(ToString::to_string).collect::<Vec<_>>())
        .field("DnsOptions", host.resolver.options.clone())
        .field("DnsSearch", host.resolver.search.clone())
        .field("ExtraHosts", host.extra_hosts.clone())
        .field("HostsFile", host.hosts_file.as_str())
        .field("GroupAdd", record.process.groups.clone());
    limits(modes(flags, record, host), container)
}

fn modes(flags: Struct, record: &Record, host: &HostRecord) -> Struct {
    flags
        .field("IpcMode", host.ipc.as_str())
        .field("Cgroup", "")
        .field("Cgroups", if host.no_cgroup { "disabled" } else { "default" })
        .field("Links", Value::Nil)
        .field("OomScoreAdj", host.oom_score_adj)
        .field("PidMode", host.pid.as_str())
        .field("Privileged", host.privileged)
        .field("PublishAllPorts", host.publish_all)
        .field("ReadonlyRootfs", host.read_only)
        .field("SecurityOpt", host.security_opt.clone())
        .field("Tmpfs", memory(&record.mounts))
        .field("UTSMode", host.uts.as_str())
        .field("UsernsMode", user_namespace(&host.userns))
        .field("IDMappings", maps(host))
        .field("ShmSize", host.shm_size)
        .field("Runtime", "oci")
        .field("ConsoleSize", vec![Value::Uint(0), Value::Uint(0)])
        .field("Isolation", "")
        .field("Init", record.process.init)
}

fn limits(flags: Struct, container: &Container) -> Struct {
    let host = &container.record.host;
    let mut flags = flags;
    for name in ["CpuShares", "Memory", "NanoCpus"] {
        flags = flags.field(name, 0);
    }
    flags = flags.field("CgroupParent", "").field("BlkioWeight", 0);
    for name in [
        "BlkioWeightDevice",
        "BlkioDeviceReadBps",
        "BlkioDeviceWriteBps",
        "BlkioDeviceReadIOps",
        "BlkioDeviceWriteIOps",
    ] {
        flags = flags.field(name, Value::Nil);
    }
    for name in ["CpuPeriod", "CpuQuota", "CpuRealtimePeriod", "CpuRealtimeRuntime"] {
        flags = flags.field(name, 0);
    }
    flags = flags.field("CpusetCpus", "").field("CpusetMems", "").field("Devices", devices(host));
    for name in ["DiskQuota", "KernelMemory", "MemoryReservation", "MemorySwap", "MemorySwappiness"] {
        flags = flags.field(name, 0);
    }
    flags
        .field("OomKillDisable", false)
        .field("PidsLimit", 0)
        .field("Ulimits", ulimits(container))
        .field("CpuCount", 0)
        .field("CpuPercent", 0)
        .field("IOMaximumIOps", 0)
        .field("IOMaximumBandwidth", 0)
        .field("CgroupConf", Value::Nil)
}

fn log(container: &Container) -> Struct {
    let (driver, log) = (container.log_driver(), &container.record.log);
    let file = driver.writes().then(|| log.file(&container.folder));
    Struct::new("define.InspectLogConfig")
        .field("Type", driver.name())
        .field("Config", Value::Nil)
        .field("Path", path(file.as_deref()))
        .field("Tag", log.tag.as_deref().unwrap_or_default())
        .field("Size", human(log.max_size))
}

fn binds(mounts: &[MountRecord]) -> Vec<String> {
    let shown = mounts.iter().filter(|mount| matches!(mount.kind.as_str(), "bind" | "volume"));
    let line = |mount: &MountRecord| {
        let access = if mount.rw { "rw" } else { "ro" };
        let mut options = vec![access, mount.propagation.as_str()];
        options.extend(mount.options.iter().map(String::as_str));
        let source = mount.volume.as_deref().unwrap_or(&mount.source);
        format!("{source}:{}:{}", mount.destination, options.join(","))
    };
    shown.map(line).collect()
}

fn memory(mounts: &[MountRecord]) -> Value {
    let shown = mounts.iter().filter(|mount| mount.kind == "tmpfs");
    shown.map(|mount| (mount.destination.clone(), mount.options.join(","))).collect::<BTreeMap<_, _>>().into()
}

/// Whose user namespace it has: the maps say which ids those are.
fn user_namespace(mode: &str) -> &str {
    match mode {
        "" | "host" => "",
        joined if joined.starts_with("ns:") || joined.starts_with("container:") => joined,
        _ => "private",
    }
}

fn maps(host: &HostRecord) -> Struct {
    let lines = |map: Option<&IdMap>| -> Vec<String> {
        map.map(|map| map.extents().iter().map(ToString::to_string).collect()).unwrap_or_default()
    };
    Struct::new("define.InspectIDMappings")
        .named("UIDMap", Some("UidMap"), lines(host.maps.as_ref().map(|maps| &maps.uid)))
        .named("GIDMap", Some("GidMap"), lines(host.maps.as_ref().map(|maps| &maps.gid)))
}

fn devices(host: &HostRecord) -> Value {
    let list: Vec<Struct> = host
        .devices
        .iter()
        .map(|(source, target)| {
            Struct::new("define.InspectDevice")
                .field("PathOnHost", source.as_str())
                .field("PathInContainer", target.as_str())
                .field("CgroupPermissions", "")
        })
        .collect();
    if list.is_empty() { none_of("define.InspectDevice") } else { list.into() }
}

/// The limits of the last start; before the first one, what was asked for.
fn ulimits(container: &Container) -> Value {
    let signed = |limit: u64| i64::try_from(limit).unwrap_or(-1);
    let shown = |name: String, soft: u64, hard: u64| {
        Struct::new("define.InspectUlimit")
            .field("Name", name)
            .field("Soft", signed(soft))
            .field("Hard", signed(hard))
    };
    let list: Vec<Struct> = match &container.state {
        Some(state) => state.limits.iter().map(|it| shown(it.oci_name(), it.soft, it.hard)).collect(),
        None => {
            let asked = container.record.host.ulimits.iter();
            asked.map(|it| shown(it.name.clone(), it.soft, it.hard)).collect()
        }
    };
    if list.is_empty() { none_of("define.InspectUlimit") } else { list.into() }
}
