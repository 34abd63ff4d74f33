//! What a container reaches, and what it calls others and itself: `--network`, `--host-access`, `--add-host`, `--hosts-file`, `--dns`
//! and their relatives.

use ctr_pods::hosts::{self, HostNames};
use ctr_pods::namespaces::{Mode, Namespaces};
use ctr_pods::network::{self, NetworkError, UserNetwork};
use ctr_pods::request::{HostsBase, HostsRequest};
use ctr_pods::resolver::ResolverRequest;

use super::asked::Asked;
use super::request::{FlagError, configured};

/// The network of who asks for none.
const DEFAULT: &str = "user";

/// `--network`, `--network-alias` and `--host-access`.
pub(super) fn network(args: Asked<'_>) -> Result<(Mode, Option<UserNetwork>), NetworkError> {
    const HELPER: &str = "network.default_rootless_network_cmd";
    let value = match args.get("network") {
        // Both of podman's programs are this one here.
        None | Some("private") => match args.config().text(HELPER).unwrap_or_default() {
            "" => args.get("network").unwrap_or(DEFAULT),
            helper @ ("pasta" | "slirp4netns") => helper,
            other => return Err(NetworkError::Helper(other.to_owned())),
        },
        Some(value) => value,
    };
    let (mode, mut user) = network::parse(value)?;
    network::check_several(&args.flags().strings("network"))?;
    if let Some(text) = args.flags().get("host-access") {
        user.as_mut().ok_or(NetworkError::NoNetwork {})?.set_host_access(text.parse()?);
    }
    let aliases = args.flags().strings("network-alias");
    if !aliases.is_empty() {
        user.as_mut().ok_or(NetworkError::AliasOfAnother {})?.add_aliases(aliases)?;
    }
    user.iter().try_for_each(UserNetwork::check)?;
    Ok((mode, user))
}

/// `/etc/hosts` and `/etc/hostname`.
pub(super) fn hosts(args: Asked<'_>, namespaces: &Namespaces) -> Result<HostsRequest, FlagError> {
    const INTERNAL: &str = "containers.host_containers_internal_ip";
    let entries = args.strings("add-host");
    let none = args.bool("no-hosts");
    if none && !entries.is_empty() {
        return Err(FlagError::NoHosts);
    }
    if none && args.flags().has("hosts-file") {
        return Err(FlagError::NoHostsFile);
    }
    if !entries.is_empty() && matches!(namespaces.network, Mode::Container(_)) {
        return Err(FlagError::HostsOfAnother);
    }
    let internal = match args.config().text(INTERNAL).unwrap_or_default() {
        "" => HostNames::Alias,
        "none" => HostNames::Nothing,
        text => HostNames::At(
            text.parse().map_err(|_not_one| configured(INTERNAL, FlagError::Internal(text.to_owned())))?,
        ),
    };
    Ok(HostsRequest {
        add: entries.iter().map(|text| hosts::parse_entry(text)).collect::<Result<_, _>>()?,
        none,
        base: hosts_base(args)?,
        internal,
        seen: None,
        no_hostname: args.bool("no-hostname"),
    })
}

/// `--hosts-file`, and below it `base_hosts_file` of the configuration.
fn hosts_base(args: Asked<'_>) -> Result<HostsBase, FlagError> {
    const KEY: &str = "containers.base_hosts_file";
    let parse = |text: &str| match text {
        "" => Ok(HostsBase::Host),
        "none" => Ok(HostsBase::None),
        "image" => Ok(HostsBase::Image),
        path if path.starts_with('/') => Ok(HostsBase::File(path.into())),
        other => Err(FlagError::HostsBase(other.to_owned())),
    };
    match args.get("hosts-file").filter(|text| !text.is_empty()) {
        Some(text) => parse(text),
        None => parse(args.config().text(KEY).unwrap_or_default()).map_err(|error| configured(KEY, error)),
    }
}

/// `--dns` and its relatives on top of the configuration's, which has nothing to say to a network that is another's or none.
pub(super) fn resolver(args: Asked<'_>, namespaces: &Namespaces) -> Result<ResolverRequest, FlagError> {
    const KEYS: [&str; 3] = ["containers.dns_servers", "containers.dns_searches", "containers.dns_options"];
    let flags = args.flags();
    let is_given = ["dns", "dns-option", "dns-search"].into_iter().any(|flag| flags.has(flag));
    match (&namespaces.network, &namespaces.user_network) {
        (Mode::Container(_), _) if is_given => return Err(FlagError::ResolverOf("container")),
        (Mode::Private, None) if is_given && flags.has("network") => {
            return Err(FlagError::ResolverOf("none"));
        }
        _ => {}
    }
    let list = |key| args.config().list(key).unwrap_or_default();
    let [servers, search, options] = KEYS.map(list);
    let below = [
        (KEYS[0], ResolverRequest::parse(servers, &[], &[])),
        (KEYS[1], ResolverRequest::parse(&[], search, &[])),
        (KEYS[2], ResolverRequest::parse(&[], &[], options)),
    ];
    let mut all = ResolverRequest::default();
    for (key, parsed) in below {
        all = all.below(parsed.map_err(|error| configured(key, error))?);
    }
    let above = ResolverRequest::parse(
        &flags.strings("dns"),
        &flags.strings("dns-search"),
        &flags.strings("dns-option"),
    )?;
    Ok(all.below(above))
}
