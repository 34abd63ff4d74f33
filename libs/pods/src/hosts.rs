//! `/etc/hosts`, `/etc/hostname`, `/etc/resolv.conf` and `/run/.containerenv` of a container: text made from facts.

use std::fmt;
use std::net::IpAddr;

use ctr_net::dns::names::HOST;
pub use ctr_net::dns::names::HostNames;
use serde::{Deserialize, Serialize};

/// `--add-host` or a host name cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostsError {
    /// Not `name[;name…]:address`.
    #[error("unable to parse host entry {0:?}: incorrect format")]
    Format(String),
    /// No name before the colon.
    #[error("hostname in host entry {0:?} is empty")]
    NoName(String),
    /// Not an address.
    #[error("IP address {address:?} in host entry {entry:?} is invalid")]
    Address {
        /// What stands after the colon.
        address: String,
        /// The whole value.
        entry: String,
    },
    /// Its host has no name.
    #[error(
        "unable to replace \"host-gateway\" of host entry \"{0}\": host containers internal IP address is empty"
    )]
    Gateway(HostEntry),
    /// No host name.
    #[error("invalid hostname {0:?}")]
    Hostname(String),
}

/// Names of one address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostEntry {
    /// The address; none is that by which the container reaches its host.
    pub address: Option<IpAddr>,
    /// Its names.
    pub names: Vec<String>,
}

/// The word for the address of the host.
const GATEWAY: &str = "host-gateway";

impl fmt::Display for HostEntry {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:", self.names.join(";"))?;
        match self.address {
            Some(address) => write!(out, "{address}"),
            None => out.write_str(GATEWAY),
        }
    }
}

/// Parses one `--add-host`.
///
/// # Errors
/// Refuses what is malformed.
pub fn parse_entry(text: &str) -> Result<HostEntry, HostsError> {
    let (names, address) = text.split_once(':').ok_or_else(|| HostsError::Format(text.to_owned()))?;
    let names: Vec<String> = names.split(';').map(str::to_owned).collect();
    if names.iter().any(String::is_empty) {
        return Err(HostsError::NoName(text.to_owned()));
    }
    if !names.iter().all(|name| name.bytes().all(|byte| byte > b' ' && byte != b'#' && byte != 0x7f)) {
        return Err(HostsError::Format(text.to_owned()));
    }
    if address == GATEWAY {
        return Ok(HostEntry { address: None, names });
    }
    let bare = address.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')).unwrap_or(address);
    let address = bare
        .parse()
        .map_err(|_not_one| HostsError::Address { address: bare.to_owned(), entry: text.to_owned() })?;
    Ok(HostEntry { address: Some(address), names })
}

/// Checks a host name: what the kernel takes, and what stays one word of a file.
///
/// # Errors
/// Refuses the empty name, a long one and blanks.
pub fn check_hostname(name: &str) -> Result<(), HostsError> {
    let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'));
    if name.is_empty() || name.len() > 64 || !plain || name.starts_with(['-', '.']) {
        return Err(HostsError::Hostname(name.to_owned()));
    }
    Ok(())
}

/// The lines that `/etc/hosts` begins with.
#[derive(Debug, Clone, Copy)]
pub struct Base<'a> {
    /// All of them.
    pub text: &'a str,
    /// Whether they stay as they are also where they have a name of the container's, or of the host.
    pub stays: bool,
}

/// What `/etc/hosts` says of the container and of its host.
#[derive(Debug, Clone, Copy)]
pub struct Here<'a> {
    /// Its own names.
    pub names: &'a [&'a str],
    /// Its own address.
    pub address: IpAddr,
    /// Where its host is, if that shall have names.
    pub host: Option<IpAddr>,
}

/// The text of `/etc/hosts`: the user's entries first, then the lines of the base that they do not replace, then the names of
/// the host's address and of the container itself, as far as nobody has them.
///
/// # Errors
/// An entry is about the host's address, and there is none.
pub fn hosts_file(base: Base<'_>, extra: &[HostEntry], here: Here<'_>) -> Result<String, HostsError> {
    let mut text = String::with_capacity(base.text.len() + 256);
    for entry in extra {
        let address = entry.address.or(here.host).ok_or_else(|| HostsError::Gateway(entry.clone()))?;
        push(&mut text, &address.to_string(), entry.names.iter().map(String::as_str));
    }
    let mut taken: Vec<&str> = extra.iter().flat_map(|entry| &entry.names).map(String::as_str).collect();
    let replaced = taken.len();
    for line in base.text.lines() {
        let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
        let Some(address) = words.next().filter(|word| word.parse::<IpAddr>().is_ok()) else { continue };
        let is_kept = |name: &&str| !taken[..replaced].contains(name) && (base.stays || !here.claims(name));
        let names: Vec<&str> = words.filter(is_kept).collect();
        if !names.is_empty() {
            push(&mut text, address, names.iter().copied());
        }
        taken.extend(names);
    }
    let mut add = |address: &str, names: &[&str]| {
        let free: Vec<&str> = names.iter().copied().filter(|name| !taken.contains(name)).collect();
        if !free.is_empty() {
            push(&mut text, address, free.into_iter());
        }
    };
    add("127.0.0.1", &["localhost"]);
    add("::1", &["localhost"]);
    if let Some(address) = here.host {
        add(&address.to_string(), &HOST);
    }
    add(&here.address.to_string(), here.names);
    Ok(text)
}

/// The file of a container with whom this one shares a network, and the names of this one: they are the same machine.
#[must_use]
pub fn shared_file(theirs: &str, own: &[&str]) -> String {
    let mut text = theirs.to_owned();
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    let known = |name: &&&str| {
        let names = |line: &str| line.split('#').next().unwrap_or_default().to_owned();
        theirs.lines().any(|line| names(line).split_whitespace().skip(1).any(|word| word == **name))
    };
    let new: Vec<&str> = own.iter().filter(|name| !known(name)).copied().collect();
    if !new.is_empty() {
        push(&mut text, "127.0.0.1", new.into_iter());
    }
    text
}

impl Here<'_> {
    /// Whether a name is not what the host's own file says that it is.
    fn claims(&self, name: &str) -> bool {
        self.names.contains(&name) || self.host.is_some() && HOST.contains(&name)
    }
}

fn push<'a>(text: &mut String, address: &str, names: impl Iterator<Item = &'a str>) {
    text.push_str(address);
    text.push('\t');
    for (at, name) in names.enumerate() {
        if at > 0 {
            text.push(' ');
        }
        text.push_str(name);
    }
    text.push('\n');
}

/// What `/run/.containerenv` says to a privileged container; any other gets an empty file.
#[must_use]
pub fn containerenv(version: &str, name: &str, id: &str, image: &str, image_id: &str) -> String {
    format!(
        "engine=\"podman-{version}\"\nname={name:?}\nid={id:?}\nimage={image:?}\nimageid={image_id:?}\nrootless=1\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn of_host(text: &str) -> Base<'_> {
        Base { text, stays: false }
    }

    #[test]
    fn entries_are_names_and_an_address() {
        let entry = parse_entry("a;b.c:10.0.0.1").unwrap();
        assert_eq!(
            (entry.names, entry.address),
            (vec!["a".to_owned(), "b.c".to_owned()], "10.0.0.1".parse().ok())
        );
        assert_eq!(parse_entry("a:::1").unwrap().address, "::1".parse().ok());
        assert_eq!(parse_entry("a:[::1]").unwrap().address, "::1".parse().ok());
        for bad in
            ["", "a", ":1.2.3.4", "a;:1.2.3.4", "a:", "a:1.2.3", "a b:1.2.3.4", "a\nb:1.2.3.4", "a#:1.2.3.4"]
        {
            assert!(parse_entry(bad).is_err(), "{bad:?}");
        }
        assert_eq!(parse_entry("h;g:host-gateway").unwrap().address, None);
        for text in ["h;g:host-gateway", "a:10.0.0.1", "a;b:::1"] {
            assert_eq!(parse_entry(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn hostnames_are_one_word() {
        for good in ["a", "a.b-c_d", "0", &"a".repeat(64)] {
            assert_eq!(check_hostname(good), Ok(()), "{good}");
        }
        for bad in ["", "a b", "a\n", "-a", ".a", "a/b", &"a".repeat(65)] {
            assert!(check_hostname(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_file_keeps_what_is_not_replaced() {
        let host = "127.0.0.1 localhost # loopback\n# comment\n::1 localhost ip6-localhost\n10.1.1.1 db cache me\nnonsense x\n";
        let extra = [parse_entry("db:10.2.2.2").unwrap()];
        let here = |names| Here { names, address: "127.0.0.1".parse().unwrap(), host: None };
        let text = hosts_file(of_host(host), &extra, here(&["me", "name"])).unwrap();
        let want = "10.2.2.2\tdb\n127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost\n10.1.1.1\tcache\n127.0.0.1\tme name\n";
        assert_eq!(text, want);
        assert_eq!(
            hosts_file(of_host(""), &[], here(&["me"])).unwrap(),
            "127.0.0.1\tlocalhost\n::1\tlocalhost\n127.0.0.1\tme\n"
        );
    }

    #[test]
    fn the_host_has_names_where_it_has_an_address() {
        let (address, host) = ("10.0.2.100".parse().unwrap(), "169.254.1.2".parse().ok());
        let here = Here { names: &["me"], address, host };
        let router = "127.0.0.1 localhost\n192.168.1.1 host.docker.internal router\n";
        let text = hosts_file(of_host(router), &[], here).unwrap();
        let want = "127.0.0.1\tlocalhost\n192.168.1.1\trouter\n169.254.1.2\thost.containers.internal host.docker.internal\n10.0.2.100\tme\n";
        assert_eq!(text, want);
        let replaced = [parse_entry("host.docker.internal:10.1.1.1").unwrap()];
        let text = hosts_file(of_host("127.0.0.1 localhost\n"), &replaced, here).unwrap();
        let want = "10.1.1.1\thost.docker.internal\n127.0.0.1\tlocalhost\n169.254.1.2\thost.containers.internal\n10.0.2.100\tme\n";
        assert_eq!(text, want);
    }

    #[test]
    fn what_was_asked_for_stands_above_what_is_so_anyway() {
        let text = "10.1.1.1 me db\n10.1.1.2 host.docker.internal\n127.0.0.1 localhost\n";
        let here = Here {
            names: &["me", "name"],
            address: "10.0.2.100".parse().unwrap(),
            host: "169.254.1.2".parse().ok(),
        };
        let extra = [parse_entry("db:10.2.2.2").unwrap()];
        let said = hosts_file(Base { text, stays: true }, &extra, here).unwrap();
        let want = "10.2.2.2\tdb\n10.1.1.1\tme\n10.1.1.2\thost.docker.internal\n127.0.0.1\tlocalhost\n169.254.1.2\thost.containers.internal\n10.0.2.100\tname\n";
        assert_eq!(said, want);
    }

    #[test]
    fn the_hosts_address_is_known_by_its_word_where_there_is_one() {
        let entries = [parse_entry("db;cache:host-gateway").unwrap()];
        let here = |host| Here { names: &["me"], address: "10.0.2.100".parse().unwrap(), host };
        let text = hosts_file(of_host(""), &entries, here("169.254.1.2".parse().ok())).unwrap();
        assert!(text.starts_with("169.254.1.2\tdb cache\n"), "{text}");
        let said = hosts_file(of_host(""), &entries, here(None)).unwrap_err().to_string();
        assert_eq!(
            said,
            "unable to replace \"host-gateway\" of host entry \"db;cache:host-gateway\": host containers internal IP address is empty"
        );
    }

    #[test]
    fn a_shared_network_has_one_file_and_the_names_of_both() {
        let theirs = "127.0.0.1\tlocalhost\n10.0.2.100\ttheir # mine";
        assert_eq!(shared_file(theirs, &["mine", "other"]), format!("{theirs}\n127.0.0.1\tmine other\n"));
        assert_eq!(shared_file(theirs, &["their"]), format!("{theirs}\n"));
        assert_eq!(shared_file("", &["me"]), "127.0.0.1\tme\n");
    }
}
