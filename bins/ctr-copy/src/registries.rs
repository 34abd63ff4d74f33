//! Registries as verbs reach them: what is configured, who is logged in, what the flags say.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ctr_cli::app::Call;
use ctr_cli::authfile;
use ctr_cli::report::{CommandError, chain};
use ctr_cli::usage::Flag;
use ctr_cli::voice::Voice;
use ctr_core::Reference;
use ctr_core::reference::Name;
use ctr_registry::RegistryError;
use ctr_registry::auth::Credentials;
use ctr_registry::client::{Endpoint, Registry};
use ctr_registry::config::certs::Certificates;
use ctr_registry::config::helper::is_for_helpers;
use ctr_registry::config::logins::Files;
use ctr_registry::config::registries::Endpoint as Place;
use ctr_registry::config::{self, Environment, LoginKey, Logins, Machine};
use ctr_registry::http::{self, Authorities, Http, Patience, Profile, Proxies, Settings, Variables};
use ctr_registry::retry::Retry;
use ctr_registry::source::RemoteImage;

use crate::error::{hints, of};

/// Flags of a registry, each with something in front of its name: a copy has two.
macro_rules! access_flags {
    ($of:literal, $whose:literal) => {
        [
            Flag::path(concat!($of, "authfile"), concat!("path of the authentication file for the ", $whose)),
            Flag::path(
                concat!($of, "cert-dir"),
                concat!("use certificates at `PATH` (*.crt, *.cert, *.key) to connect to the ", $whose),
            ),
            Flag::string(
                concat!($of, "creds"),
                concat!("Use `USERNAME[:PASSWORD]` for accessing the ", $whose),
            ),
            Flag::bool(concat!($of, "no-creds"), concat!("Access the ", $whose, " anonymously")),
            Flag::string(concat!($of, "password"), concat!("Password for accessing the ", $whose)),
            Flag::string(
                concat!($of, "registry-token"),
                concat!("Provide a Bearer token for accessing the ", $whose),
            ),
            Flag::bool(
                concat!($of, "tls-verify"),
                concat!("require HTTPS and verify certificates when talking to the ", $whose),
            )
            .default("true"),
            Flag::string(concat!($of, "username"), concat!("Username for accessing the ", $whose)),
        ]
    };
}

/// `--retry-times`.
const RETRY_TIMES: Flag = Flag::int("retry-times", "the number of times to possibly retry");
/// `--retry-delay`.
const RETRY_DELAY: Flag = Flag::duration(
    "retry-delay",
    "Fixed delay between retries. If not set, retry uses an exponential backoff delay.",
);

const ONE: [Flag; 8] = access_flags!("", "registry");
const SOURCE: [Flag; 8] = access_flags!("src-", "source registry");
const DESTINATION: [Flag; 8] = access_flags!("dest-", "destination registry");

/// Flags of a verb that asks one registry, as skopeo has them.
pub(crate) const FLAGS: &[Flag] =
    &[ONE[0], ONE[1], ONE[2], ONE[3], ONE[4], ONE[5], ONE[6], ONE[7], RETRY_DELAY, RETRY_TIMES];

/// Flags of a copy. Those without anything in front hold for both sides.
pub(crate) const COPY_FLAGS: &[Flag] = &[
    ONE[0],
    RETRY_DELAY,
    RETRY_TIMES,
    SOURCE[0],
    SOURCE[1],
    SOURCE[2],
    SOURCE[3],
    SOURCE[4],
    SOURCE[5],
    SOURCE[6],
    SOURCE[7],
    DESTINATION[0],
    DESTINATION[1],
    DESTINATION[2],
    DESTINATION[3],
    DESTINATION[4],
    DESTINATION[5],
    DESTINATION[6],
    DESTINATION[7],
];

/// Flags of a verb of podman's that writes to a registry.
pub(crate) const PUSH_FLAGS: &[Flag] = &[
    ONE[0],
    ONE[1],
    ONE[2],
    ONE[6],
    Flag::int("retry", "number of times to retry in case of failure when performing push"),
    RETRY_DELAY,
];

/// What the flags of a verb say of a registry.
#[derive(Debug, Clone)]
pub(crate) struct Access {
    files: Files,
    certificates: Option<PathBuf>,
    credentials: Option<Credentials>,
    tls_verify: Option<bool>,
    retry: Retry,
}

impl Access {
    /// Reads the flags; `of` stands in front of their names.
    pub(crate) fn of(call: &Call, of: &str) -> Result<Self, CommandError> {
        let credentials = Prefixed { call, of }.credentials()?;
        let access = Self { credentials, ..Self::for_login(call, of)? };
        if let Files::Only(path) = &access.files {
            authfile::check(path)?;
        }
        Ok(access)
    }

    /// Reads the flags but for those that say who asks, which are something else to `login`.
    pub(crate) fn for_login(call: &Call, of: &str) -> Result<Self, CommandError> {
        let flags = Prefixed { call, of };
        let file = flags.path("authfile").or_else(|| Prefixed { call, of: "" }.path("authfile"));
        Ok(Self {
            files: file.map_or(Files::Usual, Files::Only),
            certificates: flags.path("cert-dir"),
            credentials: None,
            tls_verify: flags.known("tls-verify").and_then(|name| call.flags.switch(&name)),
            retry: retry(call)?,
        })
    }
}

impl Access {
    /// The same for another registry than the one that is named: who we are there is looked up.
    fn for_others(&self) -> Self {
        let nobody = self.credentials.clone().filter(|said| *said == Credentials::Anonymous);
        Self { credentials: nobody, ..self.clone() }
    }
}

/// Flags with something in front of their names. Not every verb has all of them.
struct Prefixed<'a> {
    call: &'a Call,
    of: &'a str,
}

impl<'a> Prefixed<'a> {
    fn known(&self, name: &str) -> Option<String> {
        Some(format!("{}{name}", self.of)).filter(|name| self.call.flags.knows(name))
    }

    fn text(&self, name: &str) -> Option<&'a str> {
        self.call.flags.get(&self.known(name)?)
    }

    fn path(&self, name: &str) -> Option<PathBuf> {
        let path = self.call.flags.path(&self.known(name)?)?;
        (!path.as_os_str().is_empty()).then(|| path.to_owned())
    }

    /// As whom the registry is asked, if the flags say.
    fn credentials(&self) -> Result<Option<Credentials>, CommandError> {
        let (creds, user, password) = (self.text("creds"), self.text("username"), self.text("password"));
        let is_anonymous = self.known("no-creds").is_some_and(|name| self.call.flags.bool(&name));
        let usage = |text: &str| Err(CommandError::usage(text));
        match (creds, user, password) {
            (None, None, None) if is_anonymous => Ok(Some(Credentials::Anonymous)),
            (None, None, None) => {
                Ok(self.text("registry-token").map(|token| Credentials::Token(token.to_owned())))
            }
            _ if is_anonymous => usage("creds and no-creds cannot be specified at the same time"),
            (Some(creds), None, None) => self.split(creds).map(Some),
            (Some(_), ..) => usage("creds and username/password cannot be specified at the same time"),
            (None, Some(user), Some(password)) => Ok(Some(named(user, password))),
            (None, Some(_), None) => usage("password must be specified when username is specified"),
            (None, None, Some(_)) => usage("username must be specified when password is specified"),
        }
    }

    /// Reads `user[:password]`. Podman asks for what is not there, skopeo takes it as empty.
    fn split(&self, creds: &str) -> Result<Credentials, CommandError> {
        match creds.split_once(':') {
            Some(("", _)) => Err(CommandError::usage("username can't be empty")),
            Some((user, password)) => Ok(named(user, password)),
            None if creds.is_empty() => Err(CommandError::usage("credentials can't be empty")),
            None if self.call.caller.voice == Voice::Skopeo => Ok(named(creds, "")),
            None => Ok(named(creds, &self.call.ui.ask_secret("Password: ")?)),
        }
    }
}

fn named(user: &str, password: &str) -> Credentials {
    Credentials::Password { user: user.to_owned(), password: password.to_owned() }
}

/// How often one asks again: patiently where nothing is said.
fn retry(call: &Call) -> Result<Retry, CommandError> {
    let mut retry = Retry::default();
    let is_given = |name: &&str| call.flags.knows(name) && call.flags.has(name);
    // Podman's name, then skopeo's.
    if let Some(name) = ["retry", "retry-times"].into_iter().find(is_given) {
        let times = call.flags.int(name).and_then(|times| u32::try_from(times).ok());
        retry.times = times.ok_or_else(|| CommandError::usage(format!("--{name} must not be negative")))?;
    }
    if is_given(&"retry-delay") {
        let nanos = call.flags.duration("retry-delay").and_then(|nanos| u64::try_from(nanos).ok());
        let nanos = nanos.ok_or_else(|| CommandError::usage("--retry-delay must not be negative"))?;
        retry.delay = (nanos > 0).then(|| Duration::from_nanos(nanos));
    }
    Ok(retry)
}

/// All registries, as this user reaches them.
#[derive(Debug)]
pub(crate) struct Registries {
    http: Arc<Http>,
    environment: Environment,
    configured: config::Registries,
}

impl Registries {
    /// Reads the environment and the configuration.
    pub(crate) fn new(call: &Call) -> Result<Self, CommandError> {
        let environment = environment();
        let configured = config::Registries::read(&environment).map_err(of)?;
        for finding in configured.findings() {
            call.ui.warn(&finding.to_string());
        }
        Ok(Self { http: Arc::new(http()?), environment, configured })
    }

    /// What is configured.
    pub(crate) const fn configured(&self) -> &config::Registries {
        &self.configured
    }

    /// The environment.
    pub(crate) const fn environment(&self) -> &Environment {
        &self.environment
    }

    /// The registry of a repository, to write to it, list it or delete from it: no mirror.
    pub(crate) fn registry(&self, name: &Name, access: &Access) -> Result<Registry, CommandError> {
        let is_insecure = self.configured.is_insecure(name).map_err(of)?;
        self.reach(name, is_insecure, access)
    }

    /// The registry `host[:port]` as who has these credentials, which are not looked up.
    pub(crate) fn host(
        &self,
        host: &str,
        credentials: Credentials,
        access: &Access,
    ) -> Result<Registry, CommandError> {
        let is_insecure = self.configured.is_host_insecure(host).map_err(of)?;
        self.connect(host, is_insecure, credentials, access)
    }

    /// All of a registry, `host[:port]`, to search it.
    pub(crate) fn whole(&self, host: &str, access: &Access) -> Result<Registry, CommandError> {
        let key = LoginKey::parse(host).map_err(CommandError::usage)?;
        let credentials = match &access.credentials {
            Some(credentials) => credentials.clone(),
            None => self.login(&key, access)?,
        };
        self.host(key.registry(), credentials, access)
    }

    /// An image where it can be read: at the first of its registry's mirrors that has it, else there itself.
    pub(crate) fn image(&self, reference: &Reference, access: &Access) -> Result<RemoteImage, CommandError> {
        let places = self.configured.endpoints(reference).map_err(of)?.tried;
        let name = reference.to_string();
        let Some((last, mirrors)) = places.split_last() else {
            return Err(CommandError::internal("an image that is nowhere"));
        };
        let at = |place: &Place| {
            // Who we are said to be at a registry is not for its mirrors, nor for where it is said to have moved.
            let is_home = place.reference.name.domain() == reference.name.domain();
            let access = if is_home { access.clone() } else { access.for_others() };
            let registry = self.reach(&place.reference.name, place.insecure, &access)?;
            Ok(RemoteImage::new(registry, place.reference.clone(), name.clone()))
        };
        if mirrors.is_empty() {
            // Whether it has the image is seen when it is read.
            return at(last);
        }
        let mut failed = Vec::new();
        for place in mirrors {
            let mut said = |error: &(dyn std::error::Error + 'static)| {
                failed.push(format!("[{}: {}]", place.reference, chain(error)));
            };
            match at(place) {
                Err(error) => said(error.source_error()),
                Ok(image) => match Self::look(&image) {
                    Ok(()) => return Ok(image),
                    Err(error) => said(&error),
                },
            }
        }
        let last = at(last)?;
        match Self::look(&last) {
            Ok(()) => Ok(last),
            Err(source) => {
                let hints = hints(&source);
                let error = of(Nowhere { mirrors: failed.join(" "), source });
                Err(hints.into_iter().fold(error, CommandError::hint))
            }
        }
    }

    /// Looks whether an image is there.
    fn look(image: &RemoteImage) -> Result<(), RegistryError> {
        // What is not there is told best by asking for it.
        if image.look()?.is_none() { image.offer().map(drop) } else { Ok(()) }
    }

    fn reach(&self, name: &Name, is_insecure: bool, access: &Access) -> Result<Registry, CommandError> {
        let credentials = match &access.credentials {
            Some(credentials) => credentials.clone(),
            None => self.login(&LoginKey::of(name), access)?,
        };
        self.connect(name.domain(), is_insecure, credentials, access)
    }

    fn connect(
        &self,
        host: &str,
        is_insecure: bool,
        credentials: Credentials,
        access: &Access,
    ) -> Result<Registry, CommandError> {
        let is_insecure = access.tls_verify.map_or(is_insecure, |verify| !verify);
        let certificates =
            Certificates::find(&self.environment, host, access.certificates.as_deref()).map_err(of)?;
        let profile = Profile {
            is_lenient: is_insecure,
            authorities: certificates.authorities,
            identity: certificates.pairs.into_iter().next(),
        };
        let endpoint = Endpoint { host: host.to_owned(), is_insecure, profile };
        Ok(Registry::new(self.http.clone(), endpoint, credentials, access.retry))
    }

    fn login(&self, key: &LoginKey, access: &Access) -> Result<Credentials, CommandError> {
        let logins = Logins::new(&self.environment, &self.configured, access.files.clone());
        let found = logins.lookup(key).into_found().map_err(of)?;
        Ok(found.map_or(Credentials::Anonymous, |found| found.credentials.into()))
    }
}

/// An image is neither at a mirror nor where it should be.
#[derive(Debug, thiserror::Error)]
#[error("(Mirrors also failed: {mirrors})")]
struct Nowhere {
    mirrors: String,
    source: RegistryError,
}

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

/// What speaks HTTP for this process.
fn http() -> Result<Http, CommandError> {
    let variables =
        Variables { http: either("HTTP_PROXY"), https: either("HTTPS_PROXY"), except: either("NO_PROXY") };
    let proxies = Proxies::new(&variables).map_err(CommandError::environment)?;
    Ok(Http::new(Settings {
        agent: format!("ctr/{}", ctr_cli::release::VERSION),
        proxies,
        authorities: Authorities::new(path("SSL_CERT_FILE")),
        files: http::Files::of_the_system(),
        patience: Patience::default(),
    }))
}
