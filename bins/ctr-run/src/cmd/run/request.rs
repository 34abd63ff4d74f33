//! From the flags of `run`, as they were spelled, to a typed request.

use std::path::{Path, PathBuf};
use std::time::Duration;

use ctr_cli::usage::Parsed;
use ctr_core::oci::RunConfig;
use ctr_core::{file, limits};
use ctr_pods::env::{EnvError, EnvRequest, HostEnv};
use ctr_pods::mounts::{self, Mount, MountError};
use ctr_pods::namespaces::{Mode, ModeError, Namespaces, parse_ipc, parse_mode};
use ctr_pods::network::NetworkError;
use ctr_pods::ports::PortsRequest;
use ctr_pods::ports::publish::{self, Mapping, PublishError};
use ctr_pods::request::{
    LogDriver, LogRequest, PasswdRequest, Privileges, ProcessRequest, Request, Source, Storage, UsernsRequest,
};
use ctr_pods::resolver::ResolverError;
use ctr_pods::security::{Seccomp, Security, SecurityError};
use ctr_pods::sysctl::SysctlError;
use ctr_pods::ulimit::{UlimitError, Ulimits};
use ctr_pods::units::{self, UnitError};
use ctr_pods::user::{GroupAdd, UserError, UserSpec};
use ctr_pods::volumes::{ImageVolumes, VolumesFrom, WordError};
use ctr_pods::{command, device, hosts, sysctl};

use super::asked::Asked;
use super::names;

/// A flag's value cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FlagError {
    /// A mount.
    #[error(transparent)]
    Mount(#[from] MountError),
    /// Volumes of the image, or of another container.
    #[error(transparent)]
    Volumes(#[from] WordError),
    /// A variable.
    #[error(transparent)]
    Env(#[from] EnvError),
    /// A namespace.
    #[error(transparent)]
    Mode(#[from] ModeError),
    /// `--network`.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// A security option.
    #[error(transparent)]
    Security(#[from] SecurityError),
    /// A limit.
    #[error(transparent)]
    Ulimit(#[from] UlimitError),
    /// A size, signal, mask, zone or pair.
    #[error(transparent)]
    Unit(#[from] UnitError),
    /// A user or group.
    #[error(transparent)]
    User(#[from] UserError),
    /// A device.
    #[error(transparent)]
    Device(#[from] device::DeviceError),
    /// A host entry or name.
    #[error(transparent)]
    Hosts(#[from] hosts::HostsError),
    /// A file that a flag names.
    #[error(transparent)]
    File(#[from] file::FileError),
    /// A working directory that is relative.
    #[error("the working directory {0:?} is invalid, it needs to be an absolute path")]
    Workdir(String),
    /// A descriptor that is none, or one of the first three.
    #[error("--preserve-fd {0} is invalid: it must be a number above 2")]
    PreserveFd(String),
    /// Both ways to name descriptors.
    #[error("cannot specify both --preserve-fds and --preserve-fd")]
    PreserveBoth,
    /// No such driver.
    #[error(
        "invalid log driver {0:?}: it is none of k8s-file, json-file, none, passthrough and passthrough-tty"
    )]
    LogDriver(String),
    #[error("invalid value {0} for --oom-score-adj: it must be from -1000 to 1000")]
    OomScore(i64),
    /// A relative path in the configuration, which is for all folders.
    #[error("log_path must be an absolute path - instead got {0:?}")]
    LogPath(PathBuf),
    /// No such option.
    #[error("invalid log option {0:?}: it is none of max-size=, max-file=, path= and tag=")]
    LogOption(String),
    /// A parameter of the kernel.
    #[error(transparent)]
    Sysctl(#[from] sysctl::SysctlError),
    /// Something that the configuration asks for, and no flag.
    #[error("parsing containers.conf {key}: {source}")]
    Configured {
        /// The key.
        key: &'static str,
        /// Why.
        source: Box<Self>,
    },
    /// What is published or exposed.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// An address of the configuration.
    #[error("{0:?} is not an IP address")]
    HostIp(String),
    /// A line for a file that is left alone.
    #[error("--no-hosts and --add-host cannot be set together")]
    NoHosts,
    /// The same.
    #[error("--no-hosts and --hosts-file cannot be set together")]
    NoHostsFile,
    /// A file that cannot be found by its name.
    #[error("{0:?} is neither image nor none nor a path from the root")]
    HostsBase(String),
    /// Nobody but systemd splits a group.
    #[error("--cgroups split is not supported yet")]
    CgroupsSplit,
    /// No such mode of control groups.
    #[error("invalid cgroup mode {0:?}: it is none of enabled, disabled and no-conmon")]
    Cgroups(String),
    /// Not an address.
    #[error("{0:?} is neither an ip address nor none")]
    Internal(String),
    /// Names are added where names are.
    #[error(
        "cannot set extra host entries when the container is joined to another containers network namespace"
    )]
    HostsOfAnother,
    /// `--dns` and its relatives.
    #[error(transparent)]
    Resolver(#[from] ResolverError),
    /// Nobody can be asked, or whom is decided elsewhere.
    #[error("conflicting options: dns and the network mode: {0}")]
    ResolverOf(&'static str),
}

/// How long a container has to stop by itself.
const DEFAULT_GRACE: u32 = 10;

/// Types what was given.
///
/// # Errors
/// The first value that cannot be used.
pub(crate) fn build(
    args: Asked<'_>,
    words: &[&str],
    host_env: HostEnv,
    command_line: Vec<String>,
) -> Result<Request, FlagError> {
    let (image, words) = words.split_first().map_or(("", &[][..]), |(image, words)| (*image, words));
    let words = words.iter().map(|word| (*word).to_owned()).collect();
    let pairs = |what: &'static str, needs_value: bool| -> Result<Vec<_>, UnitError> {
        args.strings(what).iter().map(|text| units::parse_pair(what, text, needs_value)).collect()
    };
    let hostname = args.get("hostname").map(str::to_owned);
    if let Some(name) = &hostname {
        hosts::check_hostname(name)?;
    }
    let namespaces = namespaces(args)?;
    let (hosts, resolver) = (names::hosts(args, &namespaces)?, names::resolver(args, &namespaces)?);
    let timezone = args.get("tz").map(str::to_owned);
    if let Some(zone) = &timezone {
        units::check_timezone(zone)?;
    }
    Ok(Request {
        source: if args.bool("rootfs") { folder(image) } else { Source::Image(image.to_owned()) },
        platform: args.get("platform").map(str::to_owned),
        // An empty one is none, as for podman.
        name: args.get("name").filter(|name| !name.is_empty()).map(str::to_owned),
        hostname,
        name_as_hostname: args.config().bool("containers.container_name_as_hostname").unwrap_or(false),
        labels: labels(args)?,
        annotations: pairs("annotation", true)?,
        process: process(args, words, host_env)?,
        passwd: PasswdRequest {
            // `create` has no such flag.
            add: !args.knows("passwd") || args.bool("passwd"),
            passwd_entry: args.get("passwd-entry").map(str::to_owned),
            group_entry: args.get("group-entry").map(str::to_owned),
            host_users: args.strings("hostuser"),
        },
        storage: storage(args)?,
        privileges: privileges(args, &namespaces)?,
        namespaces,
        ports: ports(args)?,
        userns: UsernsRequest {
            mode: args.get("userns").map(str::to_owned),
            uidmap: args.strings("uidmap"),
            gidmap: args.strings("gidmap"),
            subuidname: args.get("subuidname").map(str::to_owned),
            subgidname: args.get("subgidname").map(str::to_owned),
            auto_sizes: (None, None),
        },
        hosts,
        resolver,
        timezone,
        cidfile: args.path("cidfile").map(Path::to_owned),
        pidfile: args.path("pidfile").map(Path::to_owned),
        timeout: args.uint("timeout").filter(|seconds| *seconds > 0).map(Duration::from_secs),
        sig_proxy: args.knows("sig-proxy") && args.bool("sig-proxy"),
        auto_remove: args.bool("rm"),
        requires: args.strings("requires"),
        log: log(args)?,
        no_keyring: args.config().bool("containers.keyring") == Some(false),
        no_cgroup: no_cgroup(args)?,
        stop_timeout: args
            .uint("stop-timeout")
            .and_then(|seconds| u32::try_from(seconds).ok())
            .unwrap_or(DEFAULT_GRACE),
        command_line,
    })
}

/// Whether no control group is to be made. The monitor never has one of its own.
fn no_cgroup(args: Asked<'_>) -> Result<bool, FlagError> {
    match args.string("cgroups") {
        "" | "enabled" | "no-conmon" => Ok(false),
        "disabled" => Ok(true),
        "split" => Err(FlagError::CgroupsSplit),
        other => Err(FlagError::Cgroups(other.to_owned())),
    }
}

/// `--label-file`, and above it `--label`: of two with one name the last counts.
fn labels(args: Asked<'_>) -> Result<Vec<(String, String)>, FlagError> {
    let mut written = Vec::new();
    for path in args.strings("label-file") {
        let text = file::read_text(Path::new(&path), limits::ENV_FILE)?;
        let lines =
            text.lines().map(str::trim_start).filter(|line| !line.is_empty() && !line.starts_with('#'));
        written.extend(lines.map(str::to_owned));
    }
    written.extend(args.strings("label"));
    Ok(written.iter().map(|text| units::parse_pair("label", text, false)).collect::<Result<_, _>>()?)
}

/// `--oom-score-adj`.
fn oom_score(asked: i64) -> Result<i32, FlagError> {
    let in_range = i32::try_from(asked).ok().filter(|score| (-1000..=1000).contains(score));
    in_range.ok_or(FlagError::OomScore(asked))
}

/// `--log-driver` and `--log-opt`.
fn log(args: Asked<'_>) -> Result<LogRequest, FlagError> {
    let driver = match args.string("log-driver") {
        "" => LogDriver::default(),
        name => LogDriver::named(name).ok_or_else(|| FlagError::LogDriver(name.to_owned()))?,
    };
    let mut log = LogRequest { driver, ..LogRequest::default() };
    if let Some(size) = args.config().integer("containers.log_size_max").filter(|size| *size != 0) {
        // A negative number is no limit.
        log.max_size = u64::try_from(size).unwrap_or(0);
    }
    log.tag = args.config().text("containers.log_tag").filter(|tag| !tag.is_empty()).map(str::to_owned);
    log.path = args.config().text("containers.log_path").filter(|path| !path.is_empty()).map(PathBuf::from);
    if let Some(path) = log.path.as_ref().filter(|path| !path.is_absolute()) {
        return Err(FlagError::LogPath(path.clone()));
    }
    for option in args.strings("log-opt") {
        let wrong = || FlagError::LogOption(option.clone());
        let (name, value) = option.split_once('=').ok_or_else(wrong)?;
        match name {
            // A number below 1 is no limit, as with Docker's -1.
            "max-size" if value.starts_with('-') => log.max_size = 0,
            "max-size" => log.max_size = units::parse_log_size(value)?,
            "max-file" => {
                log.max_files = value.parse().ok().filter(|count| *count > 0).ok_or_else(wrong)?;
            }
            "path" if !value.is_empty() => log.path = Some(PathBuf::from(value)),
            "tag" => log.tag = Some(value.to_owned()),
            _ => return Err(wrong()),
        }
    }
    Ok(log)
}

/// `--rootfs DIR[:O]`.
fn folder(text: &str) -> Source {
    match text.strip_suffix(":O") {
        Some(path) => Source::Folder { path: PathBuf::from(path), overlay: true },
        None => Source::Folder { path: PathBuf::from(text), overlay: false },
    }
}

fn process(args: Asked<'_>, words: Vec<String>, host_env: HostEnv) -> Result<ProcessRequest, FlagError> {
    if let Some(user) = args.get("user") {
        UserSpec::parse(user)?;
    }
    let workdir = args.get("workdir").map(str::to_owned);
    if let Some(dir) = workdir.as_ref().filter(|dir| !Path::new(dir).is_absolute()) {
        return Err(FlagError::Workdir(dir.clone()));
    }
    let files = args.strings("env-file");
    let read = |path: &String| file::read_text(Path::new(path), limits::ENV_FILE);
    let env = EnvRequest {
        base: args.config().list("containers.env").unwrap_or_default().to_vec(),
        set: args.strings("env"),
        files: files.iter().map(read).collect::<Result<_, _>>()?,
        host: args.bool("env-host"),
        proxy: args.bool("http-proxy"),
        unset: args.strings("unsetenv"),
        unset_all: args.bool("unsetenv-all"),
        terminal: args.bool("tty"),
    };
    Ok(ProcessRequest {
        words,
        entrypoint: args.get("entrypoint").map(command::parse_entrypoint),
        env,
        host_env,
        user: args.get("user").map(str::to_owned),
        groups: GroupAdd::parse(&args.strings("group-add"))?,
        workdir,
        umask: args.get("umask").map(units::parse_umask).transpose()?,
        oom_score_adj: args.int("oom-score-adj").map(oom_score).transpose()?,
        interactive: args.bool("interactive"),
        terminal: args.bool("tty"),
        init: args.bool("init"),
        preserve_fds: preserved(args.flags())?,
        stop_signal: args.get("stop-signal").map(units::parse_signal).transpose()?,
    })
}

/// The descriptors of `--preserve-fd`, or the first so many after standard error.
pub(crate) fn preserved(args: &Parsed) -> Result<Vec<u32>, FlagError> {
    // `create` has no such flags: what is open is open in the command that starts.
    if !args.knows("preserve-fd") {
        return Ok(Vec::new());
    }
    let number = |text: &String| text.trim().parse().map_err(|_not_one| FlagError::PreserveFd(text.clone()));
    let mut named: Vec<u32> = args.strings("preserve-fd").iter().map(number).collect::<Result<_, _>>()?;
    if let Some(low) = named.iter().find(|fd| **fd < 3) {
        return Err(FlagError::PreserveFd(low.to_string()));
    }
    let count = args.uint("preserve-fds").unwrap_or(0);
    if count > 0 && !named.is_empty() {
        return Err(FlagError::PreserveBoth);
    }
    // More than a process can have open is as many as it can have open.
    let count = u32::try_from(count).unwrap_or(u32::MAX).min(1 << 20);
    named.extend((0..count).map(|at| at + 3));
    named.sort_unstable();
    named.dedup();
    Ok(named)
}

/// The mounts and volumes of the configuration, which make way for those of the flags.
fn configured_mounts(args: Asked<'_>) -> Result<Vec<Mount>, FlagError> {
    let parse = |key: &'static str, parse: fn(&str) -> Result<Mount, MountError>| {
        let texts = args.config().list(key).unwrap_or_default().iter();
        let wrong = |source: MountError| configured(key, source);
        texts.map(|text| parse(text).map_err(wrong)).collect::<Result<Vec<_>, _>>()
    };
    let mut all = parse("containers.mounts", mounts::parse_mount)?;
    all.extend(parse("containers.volumes", mounts::parse_volume)?);
    Ok(all)
}

/// Says that the value is the configuration's.
pub(super) fn configured(key: &'static str, source: impl Into<FlagError>) -> FlagError {
    let key = key.strip_prefix("containers.").unwrap_or(key);
    FlagError::Configured { key, source: Box::new(source.into()) }
}

fn storage(args: Asked<'_>) -> Result<Storage, FlagError> {
    let parse =
        |name: &str, parse: fn(&str) -> Result<Mount, MountError>| -> Result<Vec<Mount>, MountError> {
            args.strings(name).iter().map(|text| parse(text)).collect()
        };
    let mut all = parse("mount", mounts::parse_mount)?;
    all.extend(parse("volume", mounts::parse_volume)?);
    all.extend(parse("tmpfs", mounts::parse_tmpfs)?);
    let configured = configured_mounts(args)?;
    let free = |mount: &Mount| all.iter().all(|other| other.target != mount.target);
    let configured: Vec<_> = configured.into_iter().filter(free).collect();
    all.extend(configured);
    Ok(Storage {
        mounts: mounts::arrange(all)?,
        image_volumes: ImageVolumes::parse(args.string("image-volume"))?,
        volumes_from: args
            .strings("volumes-from")
            .iter()
            .map(|text| VolumesFrom::parse(text))
            .collect::<Result<_, _>>()?,
        devices: args.strings("device").iter().map(|text| device::parse(text)).collect::<Result<_, _>>()?,
        read_only: args.bool("read-only"),
        read_only_tmpfs: args.bool("read-only-tmpfs"),
        shm_size: args.get("shm-size").map_or(Ok(64 << 20), units::parse_size)?,
        subscriptions: Vec::new(),
    })
}

fn privileges(args: Asked<'_>, namespaces: &Namespaces) -> Result<Privileges, FlagError> {
    let privileged = args.bool("privileged");
    let options = args.strings("security-opt");
    let mut security = Security::parse(&options)?;
    let profile = args.config().text("containers.seccomp_profile").filter(|profile| !profile.is_empty());
    let chosen = options.iter().any(|option| option.starts_with("seccomp"));
    if let Some(profile) = profile.filter(|_| !privileged && !chosen) {
        security.seccomp = Seccomp::File(PathBuf::from(profile));
    }
    Ok(Privileges {
        default_caps: args.config().list("containers.default_capabilities").map(<[String]>::to_vec),
        cap_add: args.strings("cap-add"),
        cap_drop: args.strings("cap-drop"),
        privileged,
        security,
        ulimits: Ulimits::parse(&args.strings("ulimit"))?,
        sysctls: args.strings("sysctl"),
        default_sysctls: default_sysctls(args, namespaces)?,
    })
}

/// The parameters of the configuration, but those of namespaces that the container does not have.
fn default_sysctls(args: Asked<'_>, namespaces: &Namespaces) -> Result<Vec<String>, FlagError> {
    const KEY: &str = "containers.default_sysctls";
    let mut all = Vec::new();
    for text in args.config().list(KEY).unwrap_or_default() {
        match sysctl::parse(text, namespaces) {
            Ok(_) => all.push(text.clone()),
            Err(SysctlError::HostNamespace { .. }) => {}
            Err(error) => return Err(configured(KEY, error)),
        }
    }
    Ok(all)
}

/// What is published. Where the configuration says at which addresses, a port without one is at each of those.
fn ports(args: Asked<'_>) -> Result<PortsRequest, FlagError> {
    const KEY: &str = "network.default_host_ips";
    let mut at = Vec::new();
    for text in args.config().list(KEY).unwrap_or_default() {
        let unknown = |_none| FlagError::HostIp(text.clone());
        at.push(text.parse().map_err(unknown).map_err(|error| configured(KEY, error))?);
    }
    let mut publish = Vec::new();
    for text in args.strings("publish") {
        for mapping in publish::parse(&text)? {
            match mapping.address {
                None if !at.is_empty() => {
                    publish.extend(at.iter().map(|one| Mapping { address: Some(*one), ..mapping }));
                }
                _ => publish.push(mapping),
            }
        }
    }
    let request = PortsRequest { publish, expose: args.strings("expose"), all: args.bool("publish-all") };
    request.exposed(&RunConfig::default())?;
    Ok(request)
}

fn namespaces(args: Asked<'_>) -> Result<Namespaces, NetworkError> {
    let mode = |flag: &'static str| args.get(flag).map_or(Ok(Mode::Private), |text| parse_mode(flag, text));
    let (ipc, shm) = args.get("ipc").map_or(Ok(Default::default()), parse_ipc)?;
    let (network, user_network) = names::network(args)?;
    Ok(Namespaces {
        pid: mode("pid")?,
        ipc,
        shm,
        uts: mode("uts")?,
        cgroup: mode("cgroupns")?,
        network,
        user_network,
        entered: None,
    })
}
