//! From a request and an image to what a runtime is told: Podman's defaults, with the request on top.
//!
//! [`spec`] is pure: all that it needs of the machine is in [`Facts`], so each feature has a golden test.
//!
//! # Not here
//! Ids and maps ([`ctr_userns`]), opening sources of binds and making the files that are bound ([`crate::run`]).

mod mounts;
mod security;

use std::collections::BTreeMap;

use ctr_core::oci::RunConfig;
use ctr_runtime::caps::CapError;
use ctr_runtime::spec::{
    ConsoleSize, IdMapping, Linux, Namespace, NamespaceKind, Process, Rlimit, Root, Spec, User, VERSION,
};

pub(crate) use security::bounding;
pub use security::{MASKED, READ_ONLY};

use crate::command::{self, NoCommand};
use crate::device::Device;
use crate::env::{self, Env, EnvError};
use crate::namespaces::Mode;
use crate::request::{Privileges, Request, Source};
use crate::sysctl::{self, SysctlError};
use crate::ulimit::Ulimit;
use crate::user::Identity;

/// A request cannot be turned into a container.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// Nothing to run.
    #[error(transparent)]
    Command(#[from] NoCommand),
    /// Nothing to run in a folder, which names no command as an image does.
    #[error("no command provided, and a folder has none")]
    FolderCommand,
    /// A variable.
    #[error(transparent)]
    Env(#[from] EnvError),
    /// A kernel parameter.
    #[error(transparent)]
    Sysctl(#[from] SysctlError),
    /// A capability.
    #[error(transparent)]
    Cap(#[from] CapError),
    /// An argument with a byte that none can hold.
    #[error("the argument {0:?} holds a NUL byte")]
    Nul(String),
    /// The image's working directory is no absolute path.
    #[error("the working directory {0:?} is invalid, it needs to be an absolute path")]
    Workdir(String),
    /// Labels of processes, where SELinux would heed them.
    #[error("--security-opt label={0} is not supported yet on a host with SELinux")]
    Label(String),
    /// A profile for a module that is not there.
    #[error("apparmor profile {0:?} specified, but Apparmor is not enabled on this system")]
    NoAppArmor(String),
}

/// Files of ours that appear in the container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnFile {
    /// In the container.
    pub target: String,
    /// On the host.
    pub source: String,
}

/// What of the machine and the image a specification depends on.
#[derive(Debug, Clone)]
pub struct Facts<'a> {
    /// The image's part of the configuration.
    pub image: &'a RunConfig,
    /// Who the process is.
    pub identity: &'a Identity,
    /// Groups beyond those of the identity.
    pub more_groups: &'a [u32],
    /// The container's name for itself; with the host's namespace it is not set.
    pub hostname: &'a str,
    /// Home when neither the image's passwd nor the environment says it.
    pub home: &'a str,
    /// Limits, with our own taken into account.
    pub limits: &'a [Ulimit],
    /// `--oom-score-adj`, as far as we may.
    pub oom_score_adj: Option<i32>,
    /// Lines of the map of users, outer ids being A's.
    pub uid_map: &'a [IdMapping],
    /// Lines of the map of groups.
    pub gid_map: &'a [IdMapping],
    /// The namespaces that are joined, and files they are found by.
    pub joined: &'a [(NamespaceKind, String)],
    /// Files of ours: hosts and the like.
    pub files: &'a [OwnFile],
    /// Device nodes that appear.
    pub devices: &'a [Device],
    /// The host shows its message queues as files.
    pub queues: bool,
    /// What is set by itself (`default_sysctls`) can be, if anything is.
    pub settings: bool,
    /// The host has SELinux.
    pub selinux: bool,
    /// The host has AppArmor.
    pub apparmor: bool,
    /// The size of the user's terminal.
    pub terminal_size: Option<ConsoleSize>,
}

/// Makes the specification.
///
/// # Errors
/// What was asked for contradicts itself or the image.
pub fn spec(request: &Request, facts: &Facts<'_>) -> Result<Spec, CreateError> {
    security::check_modules(&request.privileges.security, facts)?;
    let caps = security::capabilities(request, facts)?;
    let privileged = request.privileges.privileged;
    let spec = Spec {
        oci_version: VERSION.to_owned(),
        process: Process {
            terminal: request.process.terminal,
            console_size: facts.terminal_size,
            user: user(request, facts),
            args: args(request, facts.image)?,
            env: environment(request, facts)?,
            cwd: workdir(request, facts.image)?,
            capabilities: Some(caps),
            rlimits: facts.limits.iter().map(rlimit).collect(),
            no_new_privileges: request.privileges.security.no_new_privileges,
            apparmor_profile: security::apparmor(&request.privileges.security).unwrap_or_default().to_owned(),
            oom_score_adj: facts.oom_score_adj,
        },
        root: Root { path: String::new(), readonly: request.storage.read_only },
        hostname: if request.namespaces.uts == Mode::Private {
            facts.hostname.to_owned()
        } else {
            String::new()
        },
        domainname: String::new(),
        mounts: mounts::all(request, facts),
        annotations: request.annotations.iter().cloned().collect(),
        linux: Linux {
            uid_mappings: facts.uid_map.to_vec(),
            gid_mappings: facts.gid_map.to_vec(),
            sysctl: sysctls(request, facts)?,
            namespaces: namespaces(request, facts),
            devices: Vec::new(),
            seccomp: None,
            rootfs_propagation: String::new(),
            masked_paths: security::masked(&request.privileges.security, privileged),
            readonly_paths: security::read_only(&request.privileges.security, privileged),
        },
    };
    Ok(spec)
}

fn user(request: &Request, facts: &Facts<'_>) -> User {
    let identity = facts.identity;
    let mut groups: Vec<u32> = identity.groups.iter().chain(facts.more_groups).copied().collect();
    // The primary group too: a program that changes its group must not lose what the group is kept out of (CVE-2022-2989).
    groups.push(identity.gid);
    groups.sort_unstable();
    groups.dedup();
    User {
        uid: identity.uid,
        gid: identity.gid,
        umask: Some(request.process.umask.unwrap_or(0o022)),
        additional_gids: groups,
    }
}

/// The words that run, and that they can be words of a process.
fn args(request: &Request, image: &RunConfig) -> Result<Vec<String>, CreateError> {
    let words =
        |list: &Option<ctr_core::oci::Words>| list.as_ref().map(|words| words.0.clone()).unwrap_or_default();
    let (entrypoint, cmd) = (words(&image.entrypoint), words(&image.cmd));
    let process = &request.process;
    let args = command::build(&entrypoint, &cmd, process.entrypoint.as_deref(), &process.words);
    let args = args.map_err(|none| match &request.source {
        Source::Folder { .. } => CreateError::FolderCommand,
        Source::Image(_) => none.into(),
    })?;
    match args.iter().find(|arg| arg.contains('\0')) {
        Some(arg) => Err(CreateError::Nul(arg.clone())),
        None => Ok(args),
    }
}

/// The environment, with the names that every process expects.
fn environment(request: &Request, facts: &Facts<'_>) -> Result<Vec<String>, EnvError> {
    let mut env = variables(request, facts.image, facts.hostname)?;
    // An image that sets it to nothing means nothing by it.
    if env.get("HOME").is_none_or(str::is_empty) {
        env.set("HOME", facts.identity.home.as_deref().unwrap_or(facts.home));
    }
    env.entries()
}

/// What of the environment is known before anybody knows who the process is.
pub(crate) fn variables(request: &Request, image: &RunConfig, hostname: &str) -> Result<Env, EnvError> {
    let process = &request.process;
    let mut env = env::build(&image.env, &process.env, &process.host_env)?;
    if !hostname.is_empty() {
        env.set_default("HOSTNAME", hostname);
    }
    Ok(env)
}

/// Where the process starts.
fn workdir(request: &Request, image: &RunConfig) -> Result<String, CreateError> {
    let dir = request.process.workdir.as_deref().unwrap_or(&image.working_dir);
    match dir {
        "" => Ok("/".to_owned()),
        dir if dir.starts_with('/') && !dir.contains('\0') => Ok(dir.to_owned()),
        // Docker takes an image's relative one as below the root.
        dir if request.process.workdir.is_none() && !dir.contains('\0') => Ok(format!("/{dir}")),
        dir => Err(CreateError::Workdir(dir.to_owned())),
    }
}

fn rlimit(limit: &Ulimit) -> Rlimit {
    Rlimit { kind: limit.oci_name(), hard: limit.hard, soft: limit.soft }
}

fn sysctls(request: &Request, facts: &Facts<'_>) -> Result<BTreeMap<String, String>, SysctlError> {
    let Privileges { sysctls, default_sysctls, .. } = &request.privileges;
    let defaults = default_sysctls.iter().filter(|_| facts.settings);
    let mut all = BTreeMap::new();
    for text in defaults.chain(sysctls) {
        let sysctl = sysctl::parse(text, &request.namespaces)?;
        all.insert(sysctl.name, sysctl.value);
    }
    Ok(all)
}

/// The namespaces that are not the host's, all new but those that are there.
fn namespaces(request: &Request, facts: &Facts<'_>) -> Vec<Namespace> {
    let modes = &request.namespaces;
    let own = [
        (NamespaceKind::User, &Mode::Private),
        (NamespaceKind::Mount, &Mode::Private),
        (NamespaceKind::Pid, &modes.pid),
        (NamespaceKind::Ipc, &modes.ipc),
        (NamespaceKind::Uts, &modes.uts),
        (NamespaceKind::Cgroup, &modes.cgroup),
        (NamespaceKind::Network, &modes.network),
    ];
    let inner = own.into_iter().filter(|(_, mode)| **mode != Mode::Host);
    let path = |kind| facts.joined.iter().find(|(known, _)| *known == kind).map(|(_, path)| path.clone());
    inner.map(|(kind, _)| Namespace { kind, path: path(kind) }).collect()
}

#[cfg(test)]
mod tests;
