//! What of pasta's command line means something here: its options come as podman passes them on, comma-separated.

use ctr_net::address::Inner;
use ctr_net::policy::HostAccess;

use super::{NetworkError, UserNetwork};

impl UserNetwork {
    /// Words of pasta's command line, some of which take the next one. What they ask for that is so anyway is nothing to do; one
    /// that asks for something else is refused.
    pub(super) fn set_as_pasta(&mut self, words: &[&str]) -> Result<(), NetworkError> {
        let mut words = words.iter().copied();
        while let Some(word) = words.next() {
            let (name, mut value) = match word.split_once('=') {
                Some((name, value)) if name.starts_with("--") => (name, Some(value)),
                _ => (word, None),
            };
            let mut given = || {
                let value = value.take().or_else(|| words.next()).unwrap_or_default();
                (value, NetworkError::Option { word: self.word.clone(), option: format!("{name} {value}") })
            };
            let is_alias = |value: &str| {
                let inner = Inner::default();
                value.parse().is_ok_and(|address| inner.is_host(address))
            };
            match name {
                "--config-net" | "--no-map-gw" | "--no-dhcp" | "--no-dhcpv6" | "--no-ndp" | "--no-ra" => {}
                "-4" | "--ipv4-only" => self.v6 = false,
                // Ports that appear by themselves.
                "-t" | "--tcp-ports" | "-u" | "--udp-ports" | "-T" | "--tcp-ns" | "-U" | "--udp-ns" => {
                    match given() {
                        ("none", _) => {}
                        (_, unknown) => return Err(unknown),
                    }
                }
                "--map-host-loopback" => match given() {
                    ("none", _) => self.host_access = HostAccess::None,
                    (value, _) if is_alias(value) => self.host_access = "loopback".parse()?,
                    (_, unknown) => return Err(unknown),
                },
                "-p" | "--pcap" => match given() {
                    ("", unknown) => return Err(unknown),
                    (file, _) => self.pcap = Some(file.into()),
                },
                "--map-guest-addr" => match given() {
                    (value, _) if is_alias(value) => {}
                    (_, unknown) => return Err(unknown),
                },
                _ => {
                    return Err(NetworkError::Option { word: self.word.clone(), option: word.to_owned() });
                }
            }
        }
        Ok(())
    }
}
