//! `--network`: what of the world a container reaches, and how the words of podman's two helper programs are understood.

use std::ffi::OsStr;
use std::os::fd::AsFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use ctr_core::file::{self, FileError};
use ctr_core::{atomic, limits};
use ctr_net::address::{AddressError, Inner, Prefix};
pub use ctr_net::control::ControlError;
use ctr_net::control::{Netd, Settings};
use ctr_net::dns::names::Called;
use ctr_net::dns::resolv_conf::{self, ResolvConf};
pub use ctr_net::looking::Form;
use ctr_net::looking::Looking;
pub use ctr_net::netd::serve;
use ctr_net::policy::{Families, HostAccess, HostAccessError, Options};
pub use ctr_net::rung::{Lack, Missed, Rung, Standing};
use ctr_sys::monitor::COUNT_NAME;
use ctr_sys::userns::move_into_new_network;
use serde::{Deserialize, Serialize};

use crate::containers::Container;
use crate::namespaces::{Mode, ModeError, of_container};

pub mod counters;
mod pasta;

/// The verb of the process that serves a network: it calls [`serve`].
pub const VERB: &str = "__netd";

/// What is not the name of a network.
const MODES: [&str; 9] =
    ["bridge", "user", "slirp4netns", "pasta", "none", "private", "ns", "container", "host"];

/// A network of the user's: what a container reaches by a process of the same user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserNetwork {
    /// The word that asked for it.
    pub word: String,
    /// Another IPv4 network inside than the usual one.
    pub v4: Option<Prefix>,
    /// Whether there is IPv6.
    pub v6: bool,
    /// What of the host's loopback there is.
    pub host_access: HostAccess,
    /// At which of the host's aliases it is.
    #[serde(default = "both", skip_serializing_if = "are_both")]
    pub loopback_at_alias: Families,
    /// Which of the gateway's addresses stand for that loopback, too.
    #[serde(default = "neither", skip_serializing_if = "is_neither")]
    pub loopback_at_gateway: Families,
    /// Whether the addresses where clouds hand out credentials are reached.
    pub metadata: bool,
    /// In which way it is served; the best that holds, where nobody says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Rung>,
    /// Where its frames go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pcap: Option<PathBuf>,
    /// What the container is called beside its own names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
}

const fn both() -> Families {
    Families::BOTH
}

fn are_both(families: &Families) -> bool {
    *families == Families::BOTH
}

const fn neither() -> Families {
    Families::NONE
}

fn is_neither(families: &Families) -> bool {
    *families == Families::NONE
}

/// A value of `--network` cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum NetworkError {
    /// What it names is not built yet, or not known.
    #[error(transparent)]
    Mode(#[from] ModeError),
    /// An option of the network.
    #[error("--network {word}: option {option:?} is not supported yet")]
    Option {
        /// The network.
        word: String,
        /// The option.
        option: String,
    },
    /// An option without a value, or with one that means nothing.
    #[error("--network {word}: {option:?} is not one of {known}")]
    Value {
        /// The network.
        word: String,
        /// The option with its value.
        option: String,
        /// What it may be.
        known: &'static str,
    },
    /// Its addresses.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// What of the host is reached.
    #[error("host-access: {0}")]
    HostAccess(#[from] HostAccessError),
    /// The host is reached by a network of the container's own, or is not to be reached at all.
    #[error("--host-access needs a network of the container's own: --network user")]
    NoNetwork {},
    /// Who reaches nobody has no use for what says who is reached.
    #[error("mode=published reaches nobody: host-access and metadata say nothing there")]
    ReachesNobody {},
    /// Several networks, of which one is the host's, nobody's or another's.
    #[error("cannot set multiple networks without bridge network mode, selected mode {0}: invalid argument")]
    Several(String),
    /// Such a one beside a bridge.
    #[error("can only set extra network names, selected mode {0} conflicts with bridge: invalid argument")]
    Conflict(String),
    /// Frames go through a router.
    #[error("mode={0} has no frames to capture: pcap needs mode=tproxy or mode=listen")]
    NoFrames(Rung),
    /// What the container is called by those who share its network.
    #[error("--network-alias: {0:?} cannot be a name")]
    Alias(String),
    /// Others have given that network its names.
    #[error("--network-alias can only be set when the network mode is bridge: invalid argument")]
    AliasOfAnother {},
    /// Podman's two helper programs, and what is neither.
    #[error("invalid default_rootless_network_cmd option {0:?}")]
    Helper(String),
}

/// Parses `--network`: whose namespace it is, and what serves it where it is the container's own.
///
/// # Errors
/// Refuses every network that is not built yet, and every option.
pub fn parse(value: &str) -> Result<(Mode, Option<UserNetwork>), NetworkError> {
    let word_ends = value.find([',', ':']).unwrap_or(value.len());
    let (word, rest) = value.split_at(word_ends);
    match (word, rest.chars().next()) {
        ("none", None) => Ok((Mode::Private, None)),
        ("host", None) => Ok((Mode::Host, None)),
        ("ns", Some(':')) if rest.len() > 1 => Ok((Mode::Path(rest.split_at(1).1.into()), None)),
        ("private", None)
        | ("user", None | Some(','))
        | ("slirp4netns" | "pasta" | "bridge", None | Some(':')) => {
            let mut network = UserNetwork::new(word);
            let text = rest.get(1..).unwrap_or_default();
            if word == "pasta" {
                let words: Vec<&str> = text.split(',').filter(|word| !word.is_empty()).collect();
                network.set_as_pasta(&words)?;
            } else {
                options(text).iter().try_for_each(|option| network.set(option))?;
            }
            Ok((Mode::Private, Some(network)))
        }
        _ => {
            let unbuilt = || ModeError::NotYet { flag: "network", value: value.to_owned() };
            Ok((of_container(value).ok_or_else(unbuilt)?, None))
        }
    }
}

/// Whether several values of `--network` go together: only networks that are named do, beside the bridge, and there are none yet.
///
/// # Errors
/// They do not, in podman's words.
pub fn check_several(values: &[String]) -> Result<(), NetworkError> {
    let Some((first, others)) = values.split_first() else { return Ok(()) };
    for other in others {
        match (word_of(first), word_of(other)) {
            ("bridge", mode) if MODES.contains(&mode) => return Err(NetworkError::Conflict(mode.to_owned())),
            ("bridge", _) => parse(other).map(drop)?,
            (mode, _) => return Err(NetworkError::Several(mode.to_owned())),
        }
    }
    Ok(())
}

/// What a value of `--network` begins with.
fn word_of(value: &str) -> &str {
    value.split([',', ':']).next().unwrap_or_default()
}

/// The options of a network, which commas separate, as they do the ports of one of them.
fn options(text: &str) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for option in text.split(',').filter(|option| !option.is_empty()) {
        let is_port = option.starts_with(|first: char| first.is_ascii_digit());
        match all.last_mut().filter(|last| is_port && last.starts_with("host-access=loopback:")) {
            Some(ports) => ports.extend([",", option]),
            None => all.push(option.to_owned()),
        }
    }
    all
}

impl UserNetwork {
    fn new(word: &str) -> Self {
        Self {
            word: word.to_owned(),
            v4: None,
            v6: true,
            host_access: HostAccess::None,
            loopback_at_alias: Families::BOTH,
            loopback_at_gateway: Families::NONE,
            metadata: false,
            mode: None,
            pcap: None,
            aliases: Vec::new(),
        }
    }

    /// What of the host's loopback is reached, whatever was said of it before.
    pub fn set_host_access(&mut self, access: HostAccess) {
        self.host_access = access;
        (self.loopback_at_alias, self.loopback_at_gateway) = (Families::BOTH, Families::NONE);
    }

    fn set(&mut self, option: &str) -> Result<(), NetworkError> {
        let unknown = || NetworkError::Option { word: self.word.clone(), option: option.to_owned() };
        let (key, value) = option.split_once('=').ok_or_else(unknown)?;
        let yes = |known| match value {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err(NetworkError::Value { word: self.word.clone(), option: option.to_owned(), known }),
        };
        match (self.word.as_str(), key) {
            ("user" | "slirp4netns", "cidr") => {
                let network = value.parse()?;
                // Whether a container has room in it is known here, not first when it starts.
                Inner::default().with_v4(network)?;
                self.v4 = Some(network);
            }
            ("user", "ipv6") => self.v6 = yes("ipv6=true, ipv6=false")?,
            ("slirp4netns", "enable_ipv6") => self.v6 = yes("enable_ipv6=true, enable_ipv6=false")?,
            ("user", "host-access") => self.host_access = value.parse()?,
            ("slirp4netns", "allow_host_loopback") => {
                let known = "allow_host_loopback=true, allow_host_loopback=false";
                let words = if yes(known)? { "loopback" } else { "none" };
                self.host_access = words.parse()?;
            }
            ("bridge", "alias") if !value.is_empty() => self.aliases.push(value.to_owned()),
            ("user", "pcap") if !value.is_empty() => self.pcap = Some(value.into()),
            ("user", "mode") => self.mode = Some(Rung::named(value).ok_or_else(unknown)?),
            ("user", "metadata") => self.metadata = yes("metadata=true, metadata=false")?,
            _ => return Err(unknown()),
        }
        Ok(())
    }

    /// Calls the container by more names.
    ///
    /// # Errors
    /// One of them cannot be asked for.
    pub fn add_aliases(&mut self, aliases: Vec<String>) -> Result<(), NetworkError> {
        if let Some(wrong) = aliases.iter().find(|alias| !resolv_conf::is_domain(alias)) {
            return Err(NetworkError::Alias(wrong.clone()));
        }
        self.aliases.extend(aliases);
        Ok(())
    }

    /// Whether what is asked for goes together.
    ///
    /// # Errors
    /// It does not.
    pub fn check(&self) -> Result<(), NetworkError> {
        let is_gateway_mapped = self.loopback_at_gateway != Families::NONE;
        let says_who = self.host_access != HostAccess::None || is_gateway_mapped || self.metadata;
        match self.mode {
            Some(Rung::Published) if says_who => Err(NetworkError::ReachesNobody {}),
            Some(mode @ (Rung::Published | Rung::Tun)) if self.pcap.is_some() => {
                Err(NetworkError::NoFrames(mode))
            }
            _ => Ok(()),
        }
    }

    /// What serves it is told, with who is called what and what the host's `resolv.conf` says.
    ///
    /// # Errors
    /// Its addresses are none.
    pub fn settings(&self, called: Called, resolvers: ResolvConf) -> Result<Settings, AddressError> {
        let options = Options {
            host_access: self.host_access.clone(),
            loopback_at_alias: self.loopback_at_alias,
            loopback_at_gateway: self.loopback_at_gateway,
            metadata: self.metadata,
            ..Options::default()
        };
        Ok(Settings { inner: self.try_inner()?, options, called, resolvers, rung: self.mode })
    }

    fn try_inner(&self) -> Result<Inner, AddressError> {
        let mut inner = Inner::default();
        if let Some(network) = self.v4 {
            inner = inner.with_v4(network)?;
        }
        if !self.v6 {
            inner.v6 = None;
        }
        Ok(inner)
    }

    /// Its addresses, as far as this machine has both protocols.
    #[must_use]
    pub fn inner(&self) -> Inner {
        // The network was checked when it was asked for.
        self.try_inner().unwrap_or_default()
    }
}

/// How many of those that served a container's network have ended since its start, so that others came after them.
#[must_use]
pub fn ended(container: &Container) -> u64 {
    file::read_json(&container.folder.join(count()), limits::RECORD).unwrap_or_default()
}

/// Another start begins.
pub(crate) fn forget_last(folder: &Path) -> Result<(), FileError> {
    atomic::remove(&folder.join(TRACE))?;
    atomic::remove(&folder.join(count()))
}

/// The file in a container's folder that says what became of its flows, where somebody wanted to know at its start.
pub(crate) const TRACE: &str = "network.trace";

/// Where the trace of a container is.
#[must_use]
pub fn trace(container: &Container) -> Option<PathBuf> {
    Some(container.folder.join(TRACE)).filter(|path| path.exists())
}

fn count() -> &'static OsStr {
    OsStr::from_bytes(COUNT_NAME.to_bytes())
}

/// Makes a network, to see whether one can be made here, and in which way: for this process, which is in a network namespace of its own
/// from then on.
///
/// # Errors
/// It cannot.
pub fn trial() -> Result<Standing, ControlError> {
    let netd = Netd::spawn(VERB)?;
    move_into_new_network().map_err(ControlError::Talk)?;
    let namespace = std::fs::File::open("/proc/self/ns/net").map_err(ControlError::Start)?;
    let settings = Settings {
        inner: Inner::default(),
        options: Options::default(),
        resolvers: ResolvConf::default(),
        called: Called::default(),
        rung: None,
    };
    netd.serve(&settings, namespace.as_fd(), &Looking::default()).map(|(_, standing)| standing)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(value: &str) -> UserNetwork {
        parse(value).unwrap().1.unwrap()
    }

    #[test]
    fn the_words_of_all_programs_mean_the_same() {
        for word in ["user", "slirp4netns", "pasta", "bridge", "private"] {
            assert_eq!(user(word), UserNetwork::new(word));
        }
        for open in [
            "user,host-access=loopback",
            "slirp4netns:allow_host_loopback=true",
            "pasta:--map-host-loopback,169.254.1.2",
            "pasta:--map-host-loopback=fd00:0:0:1::2,-t,none,--no-map-gw",
        ] {
            assert_eq!(user(open).host_access, "loopback".parse().unwrap(), "{open}");
        }
        let shut = user("pasta:--config-net,--map-guest-addr,169.254.1.2,--map-host-loopback,none,-U,none");
        assert_eq!(shut, UserNetwork::new("pasta"));
        let [neither, four, six, both] = [(false, false), (true, false), (false, true), (true, true)];
        for (words, alias, gateway) in [
            ("--map-gw", neither, both),
            ("--map-gw,--no-map-gw", neither, neither),
            ("--map-host-loopback,10.0.2.1", neither, four),
            ("--map-host-loopback=fd00::1,--map-host-loopback=169.254.1.2", four, six),
            ("--map-host-loopback,fd00:0:0:1::2", six, neither),
            // An address that is named stands in the place of the one that is so by itself.
            ("--map-host-loopback,169.254.1.2,--map-gw", four, neither),
            ("--map-gw,--map-host-loopback,none", neither, neither),
            ("--map-host-loopback,fd00::1,--map-host-loopback,none", neither, neither),
        ] {
            let network = user(&format!("pasta:{words}"));
            let families = |it: Families| (it.v4, it.v6);
            let open = if network.host_access == HostAccess::None {
                neither
            } else {
                families(network.loopback_at_alias)
            };
            assert_eq!((open, families(network.loopback_at_gateway)), (alias, gateway), "{words}");
        }
        assert_eq!(user("bridge:alias=a,alias=b").aliases, ["a", "b"]);
        for four in ["user,ipv6=false", "slirp4netns:enable_ipv6=false", "pasta:-4", "pasta:--ipv4-only"] {
            assert_eq!(user(four).inner().v6, None, "{four}");
        }
        let ports = user("user,host-access=loopback:80,8000-8010,443,ipv6=false");
        assert_eq!((ports.host_access, ports.v6), ("loopback:80,8000-8010,443".parse().unwrap(), false));
        for captured in ["user,pcap=x", "pasta:--pcap,x", "pasta:-p,x", "pasta:--pcap=x"] {
            assert_eq!(user(captured).pcap, Some("x".into()), "{captured}");
        }
        assert_eq!(user("user,mode=tproxy").mode, Some(Rung::Tproxy));
        assert_eq!(user("user,mode=tun").mode, Some(Rung::Tun));
        let other = user("user,cidr=10.9.0.0/16,metadata=true");
        assert_eq!((other.inner().v4.gateway, other.metadata), ("10.9.0.1".parse().unwrap(), true));
    }

    #[test]
    fn what_is_shared_or_not_there_needs_nobody() {
        assert_eq!(parse("none"), Ok((Mode::Private, None)));
        assert_eq!(parse("host"), Ok((Mode::Host, None)));
        assert_eq!(parse("container:x"), Ok((Mode::Container("x".to_owned()), None)));
        assert_eq!(parse("ns:/a,b:c"), Ok((Mode::Path("/a,b:c".into()), None)));
    }

    #[test]
    fn there_is_one_network() {
        let check = |values: &[&str]| {
            let values: Vec<String> = values.iter().map(|&value| value.to_owned()).collect();
            check_several(&values).map_err(|error| error.to_string())
        };
        assert_eq!((check(&[]), check(&["none"])), (Ok(()), Ok(())));
        for (values, said) in [
            (
                ["none", "host"],
                "cannot set multiple networks without bridge network mode, selected mode none",
            ),
            (["user,ipv6=false", "user"], "without bridge network mode, selected mode user"),
            (["container:x", "bridge"], "without bridge network mode, selected mode container"),
            (["bridge:alias=a", "ns:/x"], "can only set extra network names, selected mode ns conflicts"),
            (["bridge", "mine"], "--network mine is not supported yet"),
        ] {
            let refused = check(&values).unwrap_err();
            assert!(refused.contains(said), "{values:?}: {refused}");
        }
    }

    #[test]
    fn what_is_not_known_has_a_name() {
        for (value, said) in [
            ("mine", "--network mine is not supported yet"),
            ("bridge:ip=10.88.0.7", "--network bridge: option \"ip=10.88.0.7\" is not supported yet"),
            ("bridge:alias=", "--network bridge: option \"alias=\" is not supported yet"),
            ("private:x", "--network private:x is not supported yet"),
            ("pasta:-T,80", "--network pasta: option \"-T 80\" is not supported yet"),
            (
                "pasta:--map-host-loopback,10.0.2.2",
                "--network pasta: option \"--map-host-loopback 10.0.2.2\" is not supported yet",
            ),
            (
                "pasta:--map-guest-addr=none",
                "--network pasta: option \"--map-guest-addr none\" is not supported yet",
            ),
            ("pasta:--mtu,1500", "--network pasta: option \"--mtu\" is not supported yet"),
            ("ns:", "--network ns: is not supported yet"),
            ("none,x", "--network none,x is not supported yet"),
            ("user:ipv6=false", "--network user:ipv6=false is not supported yet"),
            ("user,mode=tap", "--network user: option \"mode=tap\" is not supported yet"),
            ("user,pcap=", "--network user: option \"pcap=\" is not supported yet"),
            ("pasta:--pcap", "--network pasta: option \"--pcap \" is not supported yet"),
            ("slirp4netns:pcap=x", "--network slirp4netns: option \"pcap=x\" is not supported yet"),
            ("user,mode=", "--network user: option \"mode=\" is not supported yet"),
            ("pasta:--map-gw=yes", "--network pasta: option \"--map-gw yes\" is not supported yet"),
            ("slirp4netns:mtu=1500", "--network slirp4netns: option \"mtu=1500\" is not supported yet"),
            ("user,80", "--network user: option \"80\" is not supported yet"),
            ("user,ipv6=maybe", "--network user: \"ipv6=maybe\" is not one of ipv6=true, ipv6=false"),
            ("user,cidr=127.0.0.0/8", "127.0.0.0/8 is not a network for containers"),
            ("user,cidr=x", "\"x\" is not a network like 10.0.2.0/24"),
            (
                "user,host-access=all",
                "host-access: \"all\" is neither none nor loopback nor loopback:PORT[-PORT][,…]",
            ),
        ] {
            assert_eq!(parse(value).unwrap_err().to_string(), said, "{value}");
        }
    }
}
