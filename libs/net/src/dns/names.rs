//! The network's own names: its containers, its gateway and the host.
//!
//! They are answered here for good. Another type of theirs is "nothing of that type", and a name that is in a domain of
//! ours and does not exist does not exist, so that no resolver outside learns what containers are called (CVE-2025-8283)
//! or can say where they are. For the same reason a container's search list begins with [`DOMAIN`].

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

use super::Name;
use super::message::{Answer, Code, Question, kind};
use crate::address::Inner;

/// The domain of containers, as podman calls it.
pub const DOMAIN: &str = "dns.podman";

/// Domains that are nobody else's.
const OWN: [&str; 3] = [DOMAIN, "containers.internal", "docker.internal"];

/// What the host is called; the first one is also what its addresses are called.
pub const HOST: [&str; 2] = ["host.containers.internal", "host.docker.internal"];
/// The same of the gateway.
const GATEWAY: [&str; 2] = ["gateway.containers.internal", "gateway.docker.internal"];

/// Every address of either family.
const ANY: u16 = 255;

/// Who is called what, beside the names that every network has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Called {
    /// The container; the first is also what its addresses are called.
    pub container: Vec<String>,
    /// The host.
    pub host: HostNames,
}

/// What the names of the host stand for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum HostNames {
    /// The address by which the network reaches it.
    #[default]
    Alias,
    /// Another one, which the user knows better.
    At(IpAddr),
    /// Nothing.
    Nothing,
}

impl HostNames {
    /// The address, of which the network's own is the usual one.
    #[must_use]
    pub fn or(self, alias: Option<IpAddr>) -> Option<IpAddr> {
        match self {
            Self::Alias => alias,
            Self::At(address) => Some(address),
            Self::Nothing => None,
        }
    }
}

/// Names and what they stand for.
#[derive(Clone, Debug)]
pub struct Names {
    inner: Inner,
    addresses: BTreeMap<Name, Vec<IpAddr>>,
    names: BTreeMap<IpAddr, Name>,
    own: Vec<Name>,
    localhost: Option<Name>,
}

impl Names {
    /// Those of a network with its one container.
    #[must_use]
    pub fn new(inner: Inner, called: &Called) -> Self {
        let own = OWN.into_iter().filter_map(Name::from_text).collect();
        let localhost = Name::from_text("localhost");
        let mut names = Self { inner, addresses: BTreeMap::new(), names: BTreeMap::new(), own, localhost };
        let host = match called.host {
            HostNames::Alias => [Some(inner.v4.host.into()), inner.v6.map(|v6| v6.host.into())],
            other => [other.or(None), None],
        };
        let gateway = [Some(inner.v4.gateway.into()), inner.v6.map(|v6| v6.gateway.into())];
        for (called, addresses) in [(HOST, host), (GATEWAY, gateway)] {
            let addresses: Vec<IpAddr> = addresses.into_iter().flatten().collect();
            for name in called.into_iter().filter_map(Name::from_text).filter(|_| !addresses.is_empty()) {
                names.put(&name, &addresses);
            }
        }
        let container = [Some(inner.v4.container.into()), inner.v6.map(|v6| v6.container.into())];
        let container: Vec<IpAddr> = container.into_iter().flatten().collect();
        for name in &called.container {
            // What cannot be a name is what nobody can ask for.
            names.add(name, &container);
        }
        names
    }

    /// Adds a container by one of its names, which it has in [`DOMAIN`] too. False is one that cannot be a name, or that is the
    /// host's or everybody's.
    pub fn add(&mut self, name: &str, addresses: &[IpAddr]) -> bool {
        let both = Name::from_text(name).zip(Name::from_text(&format!("{name}.{DOMAIN}")));
        let is_free = |short: &Name| {
            *short != Name::root()
                && !self.own.iter().chain(&self.localhost).any(|domain| short.is_within(domain))
        };
        let Some((short, long)) = both.filter(|(short, _)| is_free(short)) else { return false };
        self.put(&short, addresses);
        self.put(&long, addresses);
        true
    }

    /// Forgets who had an address.
    pub fn remove(&mut self, address: IpAddr) {
        self.names.remove(&address);
        self.addresses.retain(|_, addresses| {
            addresses.retain(|other| *other != address);
            !addresses.is_empty()
        });
    }

    fn put(&mut self, name: &Name, addresses: &[IpAddr]) {
        let known = self.addresses.entry(name.clone()).or_default();
        for address in addresses {
            if !known.contains(address) {
                known.push(*address);
            }
            self.names.entry(*address).or_insert_with(|| name.clone());
        }
    }

    /// The answer to a question that is ours; `None` is one for others.
    #[must_use]
    pub fn answer(&self, question: &Question) -> Option<(Code, Vec<Answer>)> {
        let name = &question.name;
        if let Some(addresses) = self.addresses.get(name) {
            return Some((Code::NoError, of_kind(question.kind, addresses)));
        }
        if self.localhost.as_ref().is_some_and(|localhost| name.is_within(localhost)) {
            let both = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
            return Some((Code::NoError, of_kind(question.kind, &both)));
        }
        if let Some(address) = name.reversed() {
            return match self.names.get(&address) {
                Some(name) if matches!(question.kind, kind::PTR | ANY) => {
                    Some((Code::NoError, vec![Answer::Name(name.clone())]))
                }
                Some(_) => Some((Code::NoError, Vec::new())),
                None => self.inner.contains(address).then_some((Code::NoName, Vec::new())),
            };
        }
        let domain = self.own.iter().find(|domain| name.is_within(domain))?;
        Some((if name == domain { Code::NoError } else { Code::NoName }, Vec::new()))
    }
}

fn of_kind(wanted: u16, addresses: &[IpAddr]) -> Vec<Answer> {
    let is_wanted = |address: &&IpAddr| match address {
        IpAddr::V4(_) => matches!(wanted, kind::A | ANY),
        IpAddr::V6(_) => matches!(wanted, kind::AAAA | ANY),
    };
    addresses.iter().filter(is_wanted).map(|address| Answer::Address(*address)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(name: &str, kind: u16) -> Question {
        Question { name: Name::from_text(name).unwrap_or_else(|| panic!("{name}")), kind, class: 1 }
    }

    fn names() -> Names {
        let mut names = Names::new(Inner::default(), &Called::default());
        assert!(names.add("web", &[[10, 0, 2, 100].into(), "fd00::100".parse().unwrap()]));
        assert!(names.add("alias", &[[10, 0, 2, 100].into()]));
        names
    }

    fn answers(name: &str, kind: u16) -> Vec<String> {
        let (code, answers) =
            names().answer(&question(name, kind)).unwrap_or_else(|| panic!("{name} is forwarded"));
        assert_eq!(code, Code::NoError, "{name}");
        let shown = |answer: Answer| match answer {
            Answer::Address(address) => address.to_string(),
            Answer::Name(name) => name.to_string(),
        };
        answers.into_iter().map(shown).collect()
    }

    #[test]
    fn own_names_are_answered() {
        for (name, four, six) in [
            ("web", "10.0.2.100", Some("fd00::100")),
            ("WEB.", "10.0.2.100", Some("fd00::100")),
            ("web.dns.podman", "10.0.2.100", Some("fd00::100")),
            ("alias", "10.0.2.100", None),
            ("host.containers.internal", "169.254.1.2", Some("fd00:0:0:1::2")),
            ("host.docker.internal", "169.254.1.2", Some("fd00:0:0:1::2")),
            ("gateway.docker.internal", "10.0.2.1", Some("fd00::1")),
            ("localhost", "127.0.0.1", Some("::1")),
            ("x.localhost", "127.0.0.1", Some("::1")),
        ] {
            assert_eq!(answers(name, kind::A), [four]);
            assert_eq!(answers(name, kind::AAAA), Vec::from_iter(six), "{name}");
            for other in [kind::TXT, kind::SRV, kind::CNAME, kind::PTR, 65] {
                assert!(answers(name, other).is_empty(), "{name} has no {other}");
            }
        }
        assert_eq!(answers("web", ANY).len(), 2);
    }

    #[test]
    fn own_addresses_have_names() {
        for (address, name) in [
            ("10.0.2.100", "web."),
            ("fd00::100", "web."),
            ("10.0.2.1", "gateway.containers.internal."),
            ("169.254.1.2", "host.containers.internal."),
            ("fd00:0:0:1::2", "host.containers.internal."),
        ] {
            let reverse = Name::reverse(address.parse().unwrap()).to_string();
            assert_eq!(answers(&reverse, kind::PTR), [name]);
            assert!(answers(&reverse, kind::A).is_empty());
        }
        let nobody = Name::reverse([10, 0, 2, 7].into()).to_string();
        assert_eq!(names().answer(&question(&nobody, kind::PTR)), Some((Code::NoName, Vec::new())));
    }

    #[test]
    fn what_is_in_a_domain_of_ours_is_asked_of_nobody() {
        for name in
            ["db.dns.podman", "x.web.dns.podman", "x.containers.internal", "kubernetes.docker.internal"]
        {
            for kind in [kind::A, kind::AAAA, kind::TXT] {
                assert_eq!(names().answer(&question(name, kind)), Some((Code::NoName, Vec::new())), "{name}");
            }
        }
        assert!(answers("dns.podman", kind::A).is_empty());
        let others = Name::reverse([8, 8, 8, 8].into()).to_string();
        for name in ["example.com", "web.example.com", "notcontainers.internal", "db", "", others.as_str()] {
            assert_eq!(names().answer(&question(name, kind::A)), None, "{name}");
        }
    }

    #[test]
    fn a_container_that_went_has_no_name() {
        let mut names = names();
        names.remove([10, 0, 2, 100].into());
        assert_eq!(names.answer(&question("alias", kind::A)), None);
        assert_eq!(names.answer(&question("alias.dns.podman", kind::A)), Some((Code::NoName, Vec::new())));
        assert_eq!(names.answer(&question("web", kind::AAAA)).unwrap().1.len(), 1);
        for bad in ["", ".", "a..b", "localhost", "host.docker.internal", "x.dns.podman"] {
            assert!(!names.add(bad, &[[10, 0, 2, 100].into()]), "{bad:?}");
        }
    }

    #[test]
    fn the_host_is_what_the_user_says() {
        let asked = |host, name: &str, kind| {
            let called = Called { container: vec!["me".to_owned(), "host.docker.internal".to_owned()], host };
            Names::new(Inner::default(), &called).answer(&question(name, kind)).unwrap()
        };
        let own = HostNames::At([192, 0, 2, 7].into());
        for name in HOST {
            let seven = Answer::Address([192, 0, 2, 7].into());
            assert_eq!(asked(own, name, kind::A), (Code::NoError, vec![seven]), "{name}");
            assert_eq!(asked(own, name, kind::AAAA), (Code::NoError, Vec::new()));
            assert_eq!(asked(HostNames::Nothing, name, kind::A), (Code::NoName, Vec::new()), "{name}");
        }
        let me = Answer::Address([10, 0, 2, 100].into());
        assert_eq!(asked(own, "me", kind::A), (Code::NoError, vec![me]));
        let reverse = Name::reverse([10, 0, 2, 100].into()).to_string();
        assert_eq!(asked(own, &reverse, kind::PTR).1, [Answer::Name(Name::from_text("me").unwrap())]);
    }
}
