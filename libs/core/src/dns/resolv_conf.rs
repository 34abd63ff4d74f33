//! `resolv.conf`, the host's and a container's (resolv.conf(5)).
//!
//! Nothing in one stops a start: what is not understood is left out and named. Scoped addresses (`fe80::1%eth0`) and the
//! stub of systemd-resolved (`127.0.0.53`) are resolvers like others, since the host's own side asks them.

use std::fmt::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Name;
use crate::limits;

/// Resolvers that are asked: libc asks three.
const SERVERS: usize = 8;
/// Domains in which a short name is looked for.
const SEARCH: usize = 32;
/// Options, and words that are not understood.
const WORDS: usize = 32;

/// A resolver.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Server {
    /// Its address.
    pub address: IpAddr,
    /// The interface behind which it is, by name or number; link-local addresses need one.
    pub scope: Option<String>,
}

impl Server {
    fn parse(text: &str) -> Option<Self> {
        let (address, scope) = match text.split_once('%') {
            Some((address, scope)) => (address, Some(scope)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        // A name of an interface has 15 bytes.
        let is_scope = |scope: &str| {
            address.is_ipv6()
                && (1..16).contains(&scope.len())
                && scope.bytes().all(|byte| byte.is_ascii_graphic())
        };
        match scope {
            Some(scope) => is_scope(scope).then(|| Self { address, scope: Some(scope.to_owned()) }),
            None => Some(Self { address, scope: None }),
        }
    }
}

impl fmt::Display for Server {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.scope {
            Some(scope) => write!(out, "{}%{scope}", self.address),
            None => write!(out, "{}", self.address),
        }
    }
}

/// What is in the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResolvConf {
    /// Who is asked. Where none is named it is the machine itself, as for libc.
    pub servers: Vec<Server>,
    /// Where short names are looked for.
    pub search: Vec<String>,
    /// Every option as it was written, for a file of our own.
    pub options: Vec<String>,
    /// Words that were left out since they mean nothing.
    pub ignored: Vec<String>,
    /// How long one resolver is waited for.
    pub timeout: Duration,
    /// How often each is asked.
    pub attempts: u32,
    /// Whether they take turns.
    pub rotate: bool,
    /// Whether they are asked over TCP.
    pub use_tcp: bool,
}

impl Default for ResolvConf {
    fn default() -> Self {
        Self {
            servers: vec![Server { address: Ipv4Addr::LOCALHOST.into(), scope: None }],
            search: Vec::new(),
            options: Vec::new(),
            ignored: Vec::new(),
            timeout: Duration::from_secs(5),
            attempts: 2,
            rotate: false,
            use_tcp: false,
        }
    }
}

impl ResolvConf {
    /// Reads a file; what is beyond its bound is not there.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Self {
        let bytes = bytes.get(..limits::RESOLV_CONF).unwrap_or(bytes);
        let mut conf = Self::default();
        let mut servers = Vec::new();
        for line in String::from_utf8_lossy(bytes).lines() {
            // Comments begin a line, as for libc.
            let mut words = line.split_ascii_whitespace();
            match (line.starts_with(['#', ';']), words.next()) {
                (true, _) | (false, None) => {}
                (false, Some("nameserver")) => match words.next().map(|word| (word, Server::parse(word))) {
                    Some((_, Some(server))) if servers.len() < SERVERS => {
                        if !servers.contains(&server) {
                            servers.push(server);
                        }
                    }
                    Some((word, _)) => conf.ignore(word),
                    None => conf.ignore("nameserver"),
                },
                (false, Some("search" | "domain")) => conf.set_search(words),
                (false, Some("options")) => words.for_each(|word| conf.option(word)),
                // sortlist, and what nobody knows.
                (false, Some(other)) => conf.ignore(other),
            }
        }
        if !servers.is_empty() {
            conf.servers = servers;
        }
        conf
    }

    fn ignore(&mut self, word: &str) {
        if self.ignored.len() < WORDS {
            self.ignored.push(word.chars().take(64).collect());
        }
    }

    /// The last line counts.
    fn set_search<'a>(&mut self, words: impl Iterator<Item = &'a str>) {
        self.search.clear();
        for word in words {
            if self.search.len() < SEARCH && is_domain(word) {
                self.search.push(word.to_owned());
            } else {
                self.ignore(word);
            }
        }
    }

    fn option(&mut self, word: &str) {
        if self.options.len() >= WORDS || !word.bytes().all(|byte| byte.is_ascii_graphic()) || word.len() > 64
        {
            return self.ignore(word);
        }
        let (name, value) = word.split_once(':').unwrap_or((word, ""));
        let number = value.parse::<u32>().ok();
        match (name, number) {
            // libc has the same bounds.
            ("timeout", Some(seconds)) => self.timeout = Duration::from_secs(seconds.clamp(1, 30).into()),
            ("attempts", Some(times)) => self.attempts = times.clamp(1, 5),
            ("timeout" | "attempts" | "ndots", None) => return self.ignore(word),
            ("rotate", _) => self.rotate = true,
            ("use-vc", _) => self.use_tcp = true,
            _ => {}
        }
        self.options.push(word.to_owned());
    }
}

/// Whether a word can be a domain in a file: `.` is the root, and then nothing is added to a name.
#[must_use]
pub fn is_domain(word: &str) -> bool {
    let is_plain = word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    is_plain && !word.is_empty() && Name::from_text(word).is_some()
}

/// The text of a container's own file. An empty search list is left out, and so are options.
#[must_use]
pub fn render(servers: &[Server], search: &[String], options: &[String]) -> String {
    let mut text = String::new();
    if !search.is_empty() {
        // A `String` takes everything.
        let _infallible = writeln!(text, "search {}", search.join(" "));
    }
    for server in servers {
        let _infallible = writeln!(text, "nameserver {server}");
    }
    if !options.is_empty() {
        let _infallible = writeln!(text, "options {}", options.join(" "));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn servers(text: &str) -> Vec<String> {
        ResolvConf::parse(text.as_bytes()).servers.iter().map(Server::to_string).collect()
    }

    #[test]
    fn what_hosts_have_is_read() {
        let text = "# made by systemd-resolved\n; and this\n\nnameserver 127.0.0.53\nnameserver\tfe80::1%enp5s0 # here\n\
                    options edns0 trust-ad timeout:1 attempts:9 rotate ndots:2\ndomain first.example\n\
                    search corp.example  lan .\nsortlist 1.2.3.4\n";
        let conf = ResolvConf::parse(text.as_bytes());
        assert_eq!(servers(text), ["127.0.0.53", "fe80::1%enp5s0"]);
        assert_eq!(conf.search, ["corp.example", "lan", "."]);
        assert_eq!(conf.options, ["edns0", "trust-ad", "timeout:1", "attempts:9", "rotate", "ndots:2"]);
        assert_eq!((conf.timeout, conf.attempts, conf.rotate), (Duration::from_secs(1), 5, true));
        assert_eq!(conf.ignored, ["sortlist"]);
        assert!(!conf.use_tcp);
        assert!(ResolvConf::parse(b"options use-vc").use_tcp);
    }

    #[test]
    fn a_file_with_no_resolver_means_the_machine_itself() {
        for text in [
            "",
            "nameserver",
            "nameserver example.com",
            "nameserver 1.2.3",
            "nameserver 1.2.3.4%eth0",
            "nameserver ::1%",
        ] {
            assert_eq!(servers(text), ["127.0.0.1"], "{text}");
        }
        assert_eq!(ResolvConf::parse(b"nameserver bad\nnameserver 9.9.9.9").ignored, ["bad"]);
        assert_eq!(servers("nameserver 9.9.9.9\nnameserver 9.9.9.9"), ["9.9.9.9"]);
    }

    #[test]
    fn everything_has_a_bound() {
        let many: String =
            (0..1000).map(|at| format!("nameserver 10.0.{}.{}\n", at / 250, at % 250)).collect();
        assert_eq!(servers(&many).len(), SERVERS);
        let conf = ResolvConf::parse(
            format!("{many}search {}\noptions {}", "a ".repeat(99), "x ".repeat(99)).as_bytes(),
        );
        assert!(conf.search.len() <= SEARCH && conf.options.len() <= WORDS && conf.ignored.len() <= WORDS);
        let mut long = b"#".repeat(limits::RESOLV_CONF - 1);
        long.extend_from_slice(b"\nnameserver 9.9.9.9\n");
        assert_eq!(ResolvConf::parse(&long), ResolvConf::default());
        for odd in ["search a\u{1b}b", "search a..b", "options a\u{7f}"] {
            assert_eq!(ResolvConf::parse(odd.as_bytes()).ignored.len(), 1, "{odd:?}");
        }
    }

    #[test]
    fn a_file_of_ours_is_read_back() {
        let own = Server { address: [10, 0, 2, 1].into(), scope: None };
        let text =
            render(std::slice::from_ref(&own), &["dns.podman".into(), "lan".into()], &["ndots:1".into()]);
        assert_eq!(text, "search dns.podman lan\nnameserver 10.0.2.1\noptions ndots:1\n");
        assert_eq!(servers(&text), ["10.0.2.1"]);
        assert_eq!(render(&[own], &[], &[]), "nameserver 10.0.2.1\n");
    }
}
