//! `--host-access`: what of the host's loopback a container reaches through the host's alias.

use std::fmt;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Ranges in one list: nobody types more.
const RANGES: usize = 256;

/// What of the host's loopback is there for a container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum HostAccess {
    /// Nothing.
    #[default]
    None,
    /// These ports of it.
    Loopback(Ports),
}

/// Ports of one machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ports {
    /// Every one.
    All,
    /// Those in one of the ranges.
    Only(Vec<RangeInclusive<u16>>),
}

/// Those of the two protocols of IP for which something holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Families {
    /// IPv4.
    pub v4: bool,
    /// IPv6.
    pub v6: bool,
}

impl Families {
    /// Neither.
    pub const NONE: Self = Self { v4: false, v6: false };
    /// Both.
    pub const BOTH: Self = Self { v4: true, v6: true };

    /// Whether it holds for an address.
    #[must_use]
    pub const fn has(self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(_) => self.v4,
            IpAddr::V6(_) => self.v6,
        }
    }

    /// It holds for the protocol of this address, too.
    pub const fn add(&mut self, address: IpAddr) {
        match address {
            IpAddr::V4(_) => self.v4 = true,
            IpAddr::V6(_) => self.v6 = true,
        }
    }
}

/// A value of `--host-access` that means nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostAccessError {
    /// Neither word.
    #[error("{0:?} is neither none nor loopback nor loopback:PORT[-PORT][,…]")]
    Unknown(String),
    /// Not a port, or not a range of them.
    #[error("{0:?} is not a port between 1 and 65535, nor a range of them")]
    NotAPort(String),
    /// More ranges than anybody types.
    #[error("more than {RANGES} ports or ranges of ports")]
    TooMany {},
}

impl HostAccess {
    /// Whether a port of the loopback is reached.
    #[must_use]
    pub fn allows(&self, port: u16) -> bool {
        match self {
            Self::None => false,
            Self::Loopback(Ports::All) => true,
            Self::Loopback(Ports::Only(ranges)) => ranges.iter().any(|range| range.contains(&port)),
        }
    }
}

impl FromStr for HostAccess {
    type Err = HostAccessError;

    fn from_str(text: &str) -> Result<Self, HostAccessError> {
        match text.split_once(':') {
            None if text == "none" => Ok(Self::None),
            None if text == "loopback" => Ok(Self::Loopback(Ports::All)),
            Some(("loopback", ports)) => {
                if ports.split(',').nth(RANGES).is_some() {
                    return Err(HostAccessError::TooMany {});
                }
                let ranges = ports.split(',').map(range).collect::<Result<_, _>>()?;
                Ok(Self::Loopback(Ports::Only(ranges)))
            }
            _ => Err(HostAccessError::Unknown(text.chars().take(64).collect())),
        }
    }
}

fn range(text: &str) -> Result<RangeInclusive<u16>, HostAccessError> {
    let wrong = || HostAccessError::NotAPort(text.chars().take(64).collect());
    let port = |text: &str| {
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse().ok().filter(|port| is_number && *port != 0).ok_or_else(wrong)
    };
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last): (u16, u16) = (port(first)?, port(last)?);
    if first <= last { Ok(first..=last) } else { Err(wrong()) }
}

impl fmt::Display for HostAccess {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ranges = match self {
            Self::None => return out.write_str("none"),
            Self::Loopback(Ports::All) => return out.write_str("loopback"),
            Self::Loopback(Ports::Only(ranges)) => ranges,
        };
        out.write_str("loopback")?;
        for (at, range) in ranges.iter().enumerate() {
            let before = if at == 0 { ':' } else { ',' };
            write!(out, "{before}{}", range.start())?;
            if range.start() != range.end() {
                write!(out, "-{}", range.end())?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed_is_what_is_reached() {
        for (text, reached, not) in [
            ("none", &[][..], &[1, 80, 65535][..]),
            ("loopback", &[1, 80, 65535], &[]),
            ("loopback:5432", &[5432], &[5431, 5433, 80]),
            ("loopback:80,8000-8010", &[80, 8000, 8005, 8010], &[81, 7999, 8011]),
        ] {
            let access: HostAccess = text.parse().unwrap();
            assert_eq!(access.to_string(), text);
            assert!(reached.iter().all(|port| access.allows(*port)), "{text}");
            assert!(!not.iter().any(|port| access.allows(*port)), "{text}");
        }
    }

    #[test]
    fn what_means_nothing_is_refused() {
        for text in [
            "",
            "all",
            "loopback:",
            "loopback:0",
            "loopback:65536",
            "loopback:9-8",
            "loopback:+1",
            "loopback:1,,2",
            "none:1",
        ] {
            assert!(text.parse::<HostAccess>().is_err(), "{text}");
        }
        let many = format!("loopback:{}", vec!["1"; RANGES + 1].join(","));
        assert_eq!(many.parse::<HostAccess>(), Err(HostAccessError::TooMany {}));
    }
}
