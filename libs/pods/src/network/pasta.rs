//! What of pasta's command line means something here: its options come as podman passes them on, comma-separated.

use std::net::IpAddr;

use ctr_net::address::Inner;
use ctr_net::policy::{Families, HostAccess, Ports};

use super::{NetworkError, UserNetwork};

impl UserNetwork {
    /// Words of pasta's command line, some of which take the next one. What they ask for that is so anyway is nothing to do; one
    /// that asks for something else is refused.
    pub(super) fn set_as_pasta(&mut self, words: &[&str]) -> Result<(), NetworkError> {
        let inner = Inner::default();
        // Where the host's loopback is, unless something is said of that; and what is, of each protocol of IP by itself.
        let mut maps_gateway = false;
        let mut said = None;
        let mut words = words.iter().copied();
        while let Some(word) = words.next() {
            let (name, mut value) = match word.split_once('=') {
                Some((name, value)) if name.starts_with("--") => (name, Some(value)),
                _ => (word, None),
            };
            let unknown = |value: &str| NetworkError::Option {
                word: self.word.clone(),
                option: format!("{name} {value}"),
            };
            let mut given = || {
                let value = value.take().or_else(|| words.next()).unwrap_or_default();
                (value, unknown(value))
            };
            match name {
                "--config-net" | "--no-dhcp" | "--no-dhcpv6" | "--no-ndp" | "--no-ra" => {}
                // Podman's own word: it does not tell pasta the other one then.
                "--map-gw" => maps_gateway = true,
                "--no-map-gw" => maps_gateway = false,
                "-4" | "--ipv4-only" => self.v6 = false,
                // Ports that appear by themselves.
                "-t" | "--tcp-ports" | "-u" | "--udp-ports" | "-T" | "--tcp-ns" | "-U" | "--udp-ns" => {
                    match given() {
                        ("none", _) => {}
                        (_, unknown) => return Err(unknown),
                    }
                }
                "--map-host-loopback" => {
                    let (value, unknown) = given();
                    let (alias, gateway) = said.get_or_insert((Families::NONE, Families::NONE));
                    match value.parse::<IpAddr>() {
                        Err(_) if value == "none" => (*alias, *gateway) = (Families::NONE, Families::NONE),
                        Ok(address) if inner.is_host(address) => alias.add(address),
                        Ok(address) if inner.is_gateway(address) => gateway.add(address),
                        _ => return Err(unknown),
                    }
                }
                "-p" | "--pcap" => match given() {
                    ("", unknown) => return Err(unknown),
                    (file, _) => self.pcap = Some(file.into()),
                },
                "--map-guest-addr" => match given() {
                    (value, _) if value.parse().is_ok_and(|address| inner.is_host(address)) => {}
                    (_, unknown) => return Err(unknown),
                },
                _ => {
                    return Err(NetworkError::Option { word: self.word.clone(), option: word.to_owned() });
                }
            }
            // One that takes none.
            if let Some(value) = value {
                return Err(unknown(value));
            }
        }
        match said {
            Some((alias, gateway)) => {
                self.loopback_at_gateway = gateway;
                if alias != Families::NONE {
                    (self.host_access, self.loopback_at_alias) = (HostAccess::Loopback(Ports::All), alias);
                }
            }
            None if maps_gateway => self.loopback_at_gateway = Families::BOTH,
            None => {}
        }
        Ok(())
    }
}
