//! `--ulimit`: limits of a process.

use serde::{Deserialize, Serialize};

/// A limit cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum UlimitError {
    /// Not `name=soft[:hard]`.
    #[error("invalid ulimit argument: {0}")]
    Format(String),
    /// No such limit.
    #[error("invalid ulimit type: {0}")]
    Unknown(String),
    /// The soft limit is above the hard one.
    #[error(
        "ulimit option \"{text}\" requires name=SOFT:HARD, failed to be parsed: ulimit soft limit must be less than or \
         equal to hard limit: soft: {}, hard: {hard}",
        shown(*soft)
    )]
    SoftAboveHard {
        /// The whole option.
        text: String,
        /// What was asked for.
        soft: u64,
        /// What was asked for.
        hard: u64,
    },
    /// More than we have ourselves.
    #[error("ulimit {name} of {asked} is above this session's hard limit of {have}")]
    AboveOurs {
        /// The limit's name.
        name: &'static str,
        /// The hard limit asked for.
        asked: u64,
        /// Our own hard limit.
        have: u64,
    },
}

/// "Unlimited", as the kernel writes it.
pub const INFINITY: u64 = u64::MAX;

/// Names as users write them, without the `RLIMIT_` of the specification.
const NAMES: [&str; 15] = [
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
];

/// One limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ulimit {
    /// Lower-case name.
    pub name: &'static str,
    /// Soft limit.
    pub soft: u64,
    /// Hard limit.
    pub hard: u64,
}

/// A limit as it is written down.
#[derive(Serialize, Deserialize)]
struct Written {
    name: String,
    soft: u64,
    hard: u64,
}

impl From<Ulimit> for Written {
    fn from(limit: Ulimit) -> Self {
        Self { name: limit.name.to_owned(), soft: limit.soft, hard: limit.hard }
    }
}

impl TryFrom<Written> for Ulimit {
    type Error = UlimitError;

    fn try_from(Written { name, soft, hard }: Written) -> Result<Self, UlimitError> {
        let known = NAMES.into_iter().find(|known| *known == name);
        known.map(|name| Self { name, soft, hard }).ok_or(UlimitError::Unknown(name))
    }
}

impl Serialize for Ulimit {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        Written::from(*self).serialize(to)
    }
}

impl<'de> Deserialize<'de> for Ulimit {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Self::try_from(Written::deserialize(from)?).map_err(serde::de::Error::custom)
    }
}

impl Ulimit {
    /// `RLIMIT_NOFILE` and its like.
    #[must_use]
    pub fn oci_name(&self) -> String {
        format!("RLIMIT_{}", self.name.to_ascii_uppercase())
    }
}

/// All values of the flag.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ulimits {
    /// `host`: everything not named stays as it is here.
    pub host: bool,
    /// The named ones; the last of a name counts.
    pub set: Vec<Ulimit>,
}

impl Ulimits {
    /// Parses all values of the flag.
    ///
    /// # Errors
    /// Refuses what is malformed.
    pub fn parse(values: &[String]) -> Result<Self, UlimitError> {
        let mut limits = Self::default();
        for value in values {
            if value == "host" {
                limits.host = true;
            } else {
                let limit = parse_one(value)?;
                limits.set.retain(|known| known.name != limit.name);
                limits.set.push(limit);
            }
        }
        Ok(limits)
    }

    /// The limits of the container, knowing our own hard limits: what is unlimited becomes the most we can give, and
    /// unless `host` is said, open files and processes get Podman's default.
    ///
    /// # Errors
    /// Refuses a number above our own hard limit, which the kernel would refuse later.
    pub fn resolve(&self, own: impl Fn(&str) -> u64) -> Result<Vec<Ulimit>, UlimitError> {
        const DEFAULT: u64 = 1_048_576;
        let mut limits = Vec::with_capacity(self.set.len() + 2);
        for limit in &self.set {
            let have = own(limit.name);
            if limit.hard != INFINITY && limit.hard > have {
                return Err(UlimitError::AboveOurs { name: limit.name, asked: limit.hard, have });
            }
            let hard = limit.hard.min(have);
            limits.push(Ulimit { name: limit.name, soft: limit.soft.min(hard), hard });
        }
        for name in ["nofile", "nproc"] {
            if !self.host && !limits.iter().any(|limit| limit.name == name) {
                let most = DEFAULT.min(own(name));
                limits.push(Ulimit { name, soft: most, hard: most });
            }
        }
        Ok(limits)
    }
}

fn shown(limit: u64) -> String {
    if limit == INFINITY { "-1 (unlimited)".to_owned() } else { limit.to_string() }
}

fn parse_one(text: &str) -> Result<Ulimit, UlimitError> {
    let format = || UlimitError::Format(text.to_owned());
    let (name, values) = text.split_once('=').ok_or_else(format)?;
    let lower = name.to_ascii_lowercase();
    let plain = lower.strip_prefix("rlimit_").unwrap_or(&lower);
    let name = NAMES.into_iter().find(|known| *known == plain);
    let name = name.ok_or_else(|| UlimitError::Unknown(lower.clone()))?;
    let number = |text: &str| match text {
        "-1" => Ok(INFINITY),
        digits if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            digits.parse().map_err(|_overflow| format())
        }
        _ => Err(format()),
    };
    let (soft, hard) = match values.split_once(':') {
        Some((soft, hard)) => (number(soft)?, number(hard)?),
        None => (number(values)?, number(values)?),
    };
    if soft > hard {
        return Err(UlimitError::SoftAboveHard { text: text.to_owned(), soft, hard });
    }
    Ok(Ulimit { name, soft, hard })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(values: &[&str]) -> Result<Ulimits, UlimitError> {
        Ulimits::parse(&values.iter().map(|value| (*value).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn limits_are_named_pairs() {
        let limits = parse(&["nofile=100:200", "RLIMIT_CORE=0", "cpu=-1", "nofile=5", "host"]).unwrap();
        assert!(limits.host);
        let got: Vec<_> = limits.set.iter().map(|limit| (limit.oci_name(), limit.soft, limit.hard)).collect();
        let want = [("RLIMIT_CORE", 0, 0), ("RLIMIT_CPU", INFINITY, INFINITY), ("RLIMIT_NOFILE", 5, 5)];
        assert_eq!(got, want.map(|(name, soft, hard)| (name.to_owned(), soft, hard)));
    }

    #[test]
    fn what_is_malformed_is_refused() {
        for bad in
            ["", "nofile", "nofile=", "nofile=a", "nofile=1:", "nofile=1:2:3", "nofile=-2", "nofile=+1"]
        {
            assert_eq!(parse(&[bad]), Err(UlimitError::Format(bad.to_owned())), "{bad}");
        }
        assert_eq!(parse(&["files=1"]), Err(UlimitError::Unknown("files".to_owned())));
        let above = |text: &str| parse(&[text]).unwrap_err().to_string();
        assert!(above("core=2:1").ends_with("than or equal to hard limit: soft: 2, hard: 1"));
        assert!(above("core=-1:1").ends_with("hard limit: soft: -1 (unlimited), hard: 1"));
    }

    #[test]
    fn our_own_limits_bound_them() {
        let own = |name: &str| if name == "nofile" { 4096 } else { INFINITY };
        let resolved = parse(&["nofile=-1"]).unwrap().resolve(own).unwrap();
        assert_eq!(resolved[0], Ulimit { name: "nofile", soft: 4096, hard: 4096 });
        assert_eq!(resolved[1], Ulimit { name: "nproc", soft: 1_048_576, hard: 1_048_576 });
        assert_eq!(parse(&["host"]).unwrap().resolve(own), Ok(vec![]));
        let above = parse(&["nofile=10:5000"]).unwrap().resolve(own);
        assert_eq!(above, Err(UlimitError::AboveOurs { name: "nofile", asked: 5000, have: 4096 }));
    }
}
