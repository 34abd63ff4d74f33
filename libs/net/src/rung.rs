//! The rungs of the ladder: the ways in which a network can be served, the best first.
//!
//! Which one it is nobody asks the kernel's version: each is tried, from the best on, until one holds. What a rung misses is kept in
//! words, for whoever wonders why. A rung that is asked for by its name is tried alone.

use std::fmt;

use ctr_core::causes;
use serde::{Deserialize, Serialize};

use crate::router::RouterError;

/// A way in which a network is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Rung {
    /// The router's kernel diverts what it gets to a few sockets (nftables' `tproxy`).
    Tproxy,
    /// Without that: where the container connects to, the router listens meanwhile; datagrams are read as frames.
    Listen,
    /// Without a router: the container's packets come to `netd` by a device, and its connections end in memory of ours.
    Tun,
    /// Without any: who calls a published port is connected within the container's own namespace, and nothing goes out.
    Published,
}

impl Rung {
    /// All of them, the best first.
    pub const ALL: [Self; 4] = [Self::Tproxy, Self::Listen, Self::Tun, Self::Published];

    /// What it is called.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Tproxy => "tproxy",
            Self::Listen => "listen",
            Self::Tun => "tun",
            Self::Published => "published",
        }
    }

    /// The one with a name.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|rung| rung.word() == word)
    }

    /// What a container loses that is served so, and not by the best.
    #[must_use]
    pub const fn cost(self) -> &'static str {
        match self {
            Self::Tproxy => "nothing",
            Self::Listen => "a connection begins a little slower",
            Self::Tun => "each packet goes through a program, which takes more of the processors",
            Self::Published => "the container reaches nobody, and is reached at published ports only",
        }
    }
}

impl fmt::Display for Rung {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.word())
    }
}

/// What is in the way of a rung.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Lack {
    /// The kernel has not what it takes, or has not loaded it.
    #[default]
    Kernel,
    /// The kernel's settings (`/proc/sys`) cannot be written to.
    Settings,
}

/// A rung that did not hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missed {
    /// Which.
    pub rung: Rung,
    /// What could not be done, and why.
    pub why: String,
    /// What mends it depends on that.
    #[serde(default)]
    pub lack: Lack,
}

impl fmt::Display for Missed {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.rung, self.why)
    }
}

/// Which rung holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// This one.
    pub rung: Rung,
    /// Those above it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missed: Vec<Missed>,
}

impl Standing {
    /// What is in the way of the best one.
    #[must_use]
    pub fn lack(&self) -> Option<Lack> {
        self.missed.first().map(|missed| missed.lack)
    }
}

/// Tries the rungs until one holds; of those that are asked for by name, that one.
///
/// # Errors
/// Something else is in the way than what the kernel lacks, or nothing holds: then what the last one misses.
pub(crate) fn climb<T>(
    asked: Option<Rung>,
    mut hold: impl FnMut(Rung) -> Result<T, RouterError>,
) -> Result<(T, Standing), RouterError> {
    let rungs: &[Rung] = asked.as_ref().map_or(&Rung::ALL, std::slice::from_ref);
    let mut missed = Vec::new();
    let mut last = RouterError::NoRung;
    for rung in rungs {
        match hold(*rung) {
            Ok(held) => return Ok((held, Standing { rung: *rung, missed })),
            Err(error) if error.is_lack() => {
                missed.push(Missed { rung: *rung, why: causes::chain(&error), lack: error.lack() });
                last = error;
            }
            Err(error) => return Err(error),
        }
    }
    Err(last)
}

#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    use super::*;
    use crate::netlink::NetlinkError;

    fn lacks(doing: &'static str, source: Errno) -> RouterError {
        NetlinkError { doing, source }.into()
    }

    #[test]
    fn every_rung_has_a_name_of_its_own() {
        for rung in Rung::ALL {
            assert_eq!(Rung::named(rung.word()), Some(rung));
            assert_eq!(serde_json::to_string(&rung).unwrap(), format!("{:?}", rung.word()));
        }
        assert_eq!(Rung::named("Tproxy"), None);
    }

    #[test]
    fn the_first_that_holds_is_taken() {
        let (held, standing) = climb(None, Ok).unwrap();
        assert_eq!((held, standing), (Rung::Tproxy, Standing { rung: Rung::Tproxy, missed: Vec::new() }));
        let only = |held| move |rung| if rung == held { Ok(()) } else { Err(lacks("try", Errno::NOENT)) };
        let ((), standing) = climb(None, only(Rung::Published)).unwrap();
        let said: Vec<String> = standing.missed.iter().map(Missed::to_string).collect();
        let why = "cannot try: No such file or directory (ENOENT)";
        let better = ["tproxy", "listen", "tun"].map(|rung| format!("{rung}: {why}"));
        assert_eq!((standing.rung, said), (Rung::Published, better.to_vec()));
    }

    #[test]
    fn the_one_that_is_asked_for_is_tried_alone() {
        let mut tried = Vec::new();
        let error = climb(Some(Rung::Tproxy), |rung| -> Result<(), _> {
            tried.push(rung);
            Err(lacks("try", Errno::NOENT))
        });
        assert_eq!((error.unwrap_err().to_string().as_str(), tried), ("cannot try", vec![Rung::Tproxy]));
        let ((), standing) = climb(Some(Rung::Listen), |_| Ok(())).unwrap();
        assert_eq!(standing, Standing { rung: Rung::Listen, missed: Vec::new() });
    }

    #[test]
    fn what_is_in_the_way_of_all_is_no_reason_to_go_down() {
        for errno in [Errno::MFILE, Errno::NOMEM, Errno::NOSPC, Errno::AGAIN, Errno::EXIST] {
            let mut tried = 0;
            let error = climb(None, |_| -> Result<(), _> {
                tried += 1;
                Err(lacks("try", errno))
            });
            assert!(error.is_err() && tried == 1, "{errno}");
        }
    }
}
