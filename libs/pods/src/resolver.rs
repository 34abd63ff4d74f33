//! `/etc/resolv.conf` of a container: `--dns`, `--dns-search`, `--dns-option`, and what there is without them.
//!
//! As with podman each of the three replaces what there would be. Resolvers that are named stand in the file as they were given, and
//! the gateway's own, which knows the network's names, is not asked any more. So the network's domain is not searched either: else
//! those resolvers would learn what containers are called.

use std::net::IpAddr;

use ctr_net::dns::names::DOMAIN;
use ctr_net::dns::resolv_conf::{self, ResolvConf, Server};
use serde::{Deserialize, Serialize};

/// A flag that means nothing.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResolverError {
    /// `--dns`.
    #[error("{0} is not an ip address")]
    Server(String),
    /// The image's file, and others than that one names.
    #[error("none is not allowed to be specified with other DNS ip addresses")]
    NoneAndServers {},
    /// The image's file, and a line of another one.
    #[error("--dns none and --{0} cannot be set together")]
    NoneAnd(&'static str),
    /// `--dns-search`.
    #[error("{0:?} is not a valid domain")]
    Domain(String),
    /// No domains, and some.
    #[error("cannot pass additional search domains when also specifying '.'")]
    RootAndDomains {},
    /// `--dns-option`.
    #[error("{0:?} is not an option of resolv.conf")]
    Option(String),
}

/// What was asked for; what is empty is left to the host and the network.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResolverRequest {
    /// `--dns none`: the image's file stays.
    pub image: bool,
    /// `--dns`.
    pub servers: Vec<IpAddr>,
    /// `--dns-search`: a dot among them is no domain at all.
    pub search: Vec<String>,
    /// `--dns-option`.
    pub options: Vec<String>,
}

impl ResolverRequest {
    /// Types texts as they were given: the configuration's, or those of flags.
    ///
    /// # Errors
    /// The first that means nothing, or contradicts another.
    pub fn parse(servers: &[String], search: &[String], options: &[String]) -> Result<Self, ResolverError> {
        let image = servers.iter().any(|server| server == "none");
        if image && servers.len() > 1 {
            return Err(ResolverError::NoneAndServers {});
        }
        for (flag, given) in [("dns-search", search), ("dns-option", options)] {
            if image && !given.is_empty() {
                return Err(ResolverError::NoneAnd(flag));
            }
        }
        if search.len() > 1 && search.iter().any(|domain| domain == ".") {
            return Err(ResolverError::RootAndDomains {});
        }
        if let Some(wrong) = search.iter().find(|domain| !resolv_conf::is_domain(domain)) {
            return Err(ResolverError::Domain(wrong.clone()));
        }
        let is_option =
            |text: &str| !text.is_empty() && text.bytes().all(|byte| (b' '..0x7f).contains(&byte));
        if let Some(wrong) = options.iter().find(|option| !is_option(option)) {
            return Err(ResolverError::Option(wrong.clone()));
        }
        let server = |text: &String| text.parse().map_err(|_not_one| ResolverError::Server(text.clone()));
        let servers = servers.iter().filter(|_| !image).map(server).collect::<Result<_, _>>()?;
        Ok(Self { image, servers, search: search.to_vec(), options: options.to_vec() })
    }

    /// Puts flags on top of what the configuration says: both count, but for the image's own file.
    #[must_use]
    pub fn below(mut self, flags: Self) -> Self {
        if flags.image {
            return flags;
        }
        self.image &= flags.servers.is_empty();
        self.servers.extend(flags.servers);
        self.search.extend(flags.search);
        self.options.extend(flags.options);
        self
    }

    fn is_empty(&self) -> bool {
        self.servers.is_empty() && self.search.is_empty() && self.options.is_empty()
    }
}

/// Whose network it is: who is asked, and where short names are looked for, unless something else was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// None: there is nobody to ask.
    None,
    /// The host's.
    Host,
    /// One with a resolver, which asks the host's.
    Gateway(IpAddr),
}

/// The text of the file, of what the host has in its own.
#[must_use]
pub fn resolv_conf(asked: &ResolverRequest, network: Network, host: &[u8]) -> Vec<u8> {
    if network == Network::Host && asked.is_empty() {
        return host.to_vec();
    }
    let of_host = ResolvConf::parse(host);
    let server = |address: IpAddr| Server { address, scope: None };
    let servers = match network {
        _ if !asked.servers.is_empty() => asked.servers.iter().copied().map(server).collect(),
        Network::Gateway(gateway) => vec![server(gateway)],
        Network::Host => of_host.servers,
        Network::None => Vec::new(),
    };
    let search = match network {
        _ if asked.search.iter().any(|domain| domain == ".") => Vec::new(),
        _ if !asked.search.is_empty() => asked.search.clone(),
        Network::Gateway(_) if asked.servers.is_empty() => {
            std::iter::once(DOMAIN.to_owned()).chain(of_host.search).collect()
        }
        _ => of_host.search,
    };
    let options = if asked.options.is_empty() { &of_host.options } else { &asked.options };
    resolv_conf::render(&servers, &search, options).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: &[u8] =
        b"# of the host\nnameserver fe80::1%eth0\nnameserver 9.9.9.9\nsearch corp.example\noptions edns0\n";
    const GATEWAY: Network = Network::Gateway(IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 2, 1)));

    fn parse(servers: &[&str], search: &[&str], options: &[&str]) -> Result<ResolverRequest, ResolverError> {
        let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        ResolverRequest::parse(&owned(servers), &owned(search), &owned(options))
    }

    fn text(network: Network, servers: &[&str], search: &[&str], options: &[&str]) -> String {
        let asked = parse(servers, search, options).unwrap();
        String::from_utf8(resolv_conf(&asked, network, HOST)).unwrap()
    }

    #[test]
    fn without_flags_it_is_the_networks() {
        assert_eq!(text(Network::Host, &[], &[], &[]).as_bytes(), HOST);
        assert_eq!(resolv_conf(&ResolverRequest::default(), Network::None, b""), b"");
        let gateway = "search dns.podman corp.example\nnameserver 10.0.2.1\noptions edns0\n";
        assert_eq!(text(GATEWAY, &[], &[], &[]), gateway);
    }

    #[test]
    fn each_flag_replaces_what_it_is_about() {
        let two = ["1.1.1.1", "fd00::7"];
        for (network, flags, said) in [
            (
                GATEWAY,
                (&two[..], &[][..], &[][..]),
                "search corp.example\nnameserver 1.1.1.1\nnameserver fd00::7\noptions edns0\n",
            ),
            (
                GATEWAY,
                (&[], &["a.example", "b"], &[]),
                "search a.example b\nnameserver 10.0.2.1\noptions edns0\n",
            ),
            (GATEWAY, (&[], &["."], &["ndots:2", "rotate"]), "nameserver 10.0.2.1\noptions ndots:2 rotate\n"),
            (
                Network::Host,
                (&[], &["a.example"], &[]),
                "search a.example\nnameserver fe80::1%eth0\nnameserver 9.9.9.9\noptions edns0\n",
            ),
            (Network::Host, (&two[..1], &["."], &[]), "nameserver 1.1.1.1\noptions edns0\n"),
        ] {
            assert_eq!(text(network, flags.0, flags.1, flags.2), said);
        }
        let alone = resolv_conf(&parse(&["1.1.1.1"], &[], &["x"]).unwrap(), Network::None, b"");
        assert_eq!(alone, b"nameserver 1.1.1.1\noptions x\n");
    }

    #[test]
    fn flags_are_on_top_of_the_configuration() {
        let conf = parse(&["1.1.1.1"], &["a"], &["x"]).unwrap();
        let both = conf.clone().below(parse(&["2.2.2.2"], &["b"], &["y"]).unwrap());
        assert_eq!(
            (both.servers.len(), both.search, both.options.join(" ")),
            (2, vec!["a".into(), "b".into()], "x y".into())
        );
        let image = parse(&["none"], &[], &[]).unwrap();
        assert_eq!(conf.below(image.clone()), image);
        assert!(image.image && image.servers.is_empty());
    }

    #[test]
    fn what_means_nothing_is_refused() {
        for (flags, said) in [
            ((&["x"][..], &[][..], &[][..]), "x is not an ip address"),
            ((&["fe80::1%eth0"], &[], &[]), "fe80::1%eth0 is not an ip address"),
            (
                (&["1.1.1.1", "none"], &[], &[]),
                "none is not allowed to be specified with other DNS ip addresses",
            ),
            ((&["none"], &["a"], &[]), "--dns none and --dns-search cannot be set together"),
            ((&["none"], &[], &["a"]), "--dns none and --dns-option cannot be set together"),
            ((&[], &["a b"], &[]), "\"a b\" is not a valid domain"),
            ((&[], &["a..b"], &[]), "\"a..b\" is not a valid domain"),
            ((&[], &["a", "."], &[]), "cannot pass additional search domains when also specifying '.'"),
            (
                (&[], &[], &["a\nnameserver 6.6.6.6"]),
                "\"a\\nnameserver 6.6.6.6\" is not an option of resolv.conf",
            ),
            ((&[], &[], &[""]), "\"\" is not an option of resolv.conf"),
        ] {
            assert_eq!(parse(flags.0, flags.1, flags.2).unwrap_err().to_string(), said);
        }
    }
}
