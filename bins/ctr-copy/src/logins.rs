//! What the environment and the flags say about logins, for the verbs that make, forget and explain them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ctr_cli::app::Call;
use ctr_cli::report::CommandError;
use ctr_cli::usage::Flag;
use ctr_registry::client::{Endpoint, Registry};
use ctr_registry::config::certs::{Certificates, Pair};
use ctr_registry::config::helper::is_for_helpers;
use ctr_registry::config::logins::{Files, Keep};
use ctr_registry::config::{Credentials, Environment, LoginKey, Machine, Registries};
use ctr_registry::http::{Authorities, Http, Identity, Patience, Profile, Proxies, Settings, Variables};
use ctr_registry::retry::Retry;

use crate::error::of;

/// `--authfile`.
pub(crate) const AUTHFILE: Flag = Flag::path(
    "authfile",
    "path of the authentication file. Use REGISTRY_AUTH_FILE environment variable to override",
);
/// `--compat-auth-file`.
pub(crate) const COMPAT: Flag =
    Flag::path("compat-auth-file", "path of a Docker-compatible config file to update instead");

/// The environment of this process.
pub(crate) fn environment() -> Environment {
    Environment {
        home: path("HOME"),
        xdg_config_home: path("XDG_CONFIG_HOME"),
        xdg_cache_home: path("XDG_CACHE_HOME"),
        xdg_runtime_dir: path("XDG_RUNTIME_DIR"),
        registry_auth_file: path("REGISTRY_AUTH_FILE"),
        docker_config: path("DOCKER_CONFIG"),
        registries_conf: path("CONTAINERS_REGISTRIES_CONF"),
        registries_conf_override: path("CONTAINERS_REGISTRIES_CONF_OVERRIDE"),
        policy_json: path("CONTAINERS_POLICY_JSON"),
        uid: rustix::process::getuid().as_raw(),
        helpers: std::env::vars_os().filter(|(name, _)| is_for_helpers(name)).collect(),
        machine: Machine::default(),
    }
}

fn path(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// A variable under its small name, else under its large one.
fn either(name: &str) -> Option<String> {
    let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    set(&name.to_ascii_lowercase()).or_else(|| set(name))
}

/// The files of logins that the flags name.
pub(crate) fn files(call: &Call) -> Result<Files, CommandError> {
    let named = |name: &str| {
        let path = if call.flags.knows(name) { call.flags.path(name) } else { None };
        path.filter(|path| *path != Path::new(""))
    };
    match (named(AUTHFILE.name()), named(COMPAT.name())) {
        (Some(_), Some(_)) => Err(CommandError::usage(
            "options for paths to the credential file and to the Docker-compatible credential file can not be set simultaneously",
        )),
        (Some(path), None) => Ok(Files::Only(path.to_owned())),
        (None, Some(path)) => Ok(Files::Docker(path.to_owned())),
        (None, None) => Ok(Files::Usual),
    }
}

/// Where logins are kept: with Docker they stay, with podman they go with the session.
pub(crate) fn keep(call: &Call) -> Keep {
    if call.caller.voice.is_peer() { Keep::Session } else { Keep::Always }
}

/// The registry that is meant: the one that is named, else the first that short names are searched in, else Docker's.
pub(crate) fn key(call: &Call, registries: &Registries) -> Result<LoginKey, CommandError> {
    let words = call.flags.texts()?;
    let searched = registries.search().and_then(|(all, _)| all.first().map(String::as_str));
    let named = match (words.first(), searched) {
        (Some(word), _) => word,
        (None, Some(first)) => first,
        (None, None) if call.caller.voice.is_peer() => {
            return Err(CommandError::usage(
                "no registries found in registries.conf, a registry must be provided",
            ));
        }
        (None, None) => ctr_core::reference::DOCKER,
    };
    LoginKey::parse(named).map_err(CommandError::usage)
}

/// A registry to talk to.
pub(crate) fn connect(
    call: &Call,
    environment: &Environment,
    registries: &Registries,
    host: &str,
    credentials: &Credentials,
) -> Result<Registry, CommandError> {
    let certificates = Certificates::find(environment, host, call.flags.path("cert-dir")).map_err(of)?;
    let configured = registries.is_host_insecure(host).map_err(of)?;
    let is_insecure = call.flags.switch("tls-verify").map_or(configured, |verify| !verify);
    let identity = certificates.pairs.into_iter().next();
    let identity = identity.map(|Pair { certificate, key }| Identity { certificate, key });
    let profile = Profile { is_lenient: is_insecure, authorities: certificates.authorities, identity };
    let endpoint = Endpoint { host: host.to_owned(), is_insecure, profile };
    Ok(Registry::new(Arc::new(http()?), endpoint, credentials.clone().into(), Retry::default()))
}

/// What speaks HTTP for this process.
fn http() -> Result<Http, CommandError> {
    let variables =
        Variables { http: either("HTTP_PROXY"), https: either("HTTPS_PROXY"), except: either("NO_PROXY") };
    let proxies = Proxies::new(&variables).map_err(CommandError::environment)?;
    Ok(Http::new(Settings {
        agent: format!("ctr/{}", ctr_cli::release::VERSION),
        proxies,
        authorities: Authorities::new(path("SSL_CERT_FILE")),
        files: ctr_registry::http::Files::of_the_system(),
        patience: Patience::default(),
    }))
}
