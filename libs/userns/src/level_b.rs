//! A container's own map: what `--userns`, `--uidmap` and their relatives mean, stated in the ids of A.
//!
//! # Theory of operation
//! B is a child of A, so every mode is a question of a map and of nothing else:
//!
//! ```text
//! host, private   all ids of A as they are (podman's default for a user; nothing of an image runs in A itself)
//! keep-id         the user's id is itself in the container, the other ids fill the rest from 0
//! nomap           all but the user's id
//! auto            ids that no other such container has
//! --uidmap …      what is said
//! container:, ns: somebody else's B
//! ```
//!
//! For the root of a host, A's id 0 is the machine's root. It stays out of every container unless it is named: `host` is
//! then what `nomap` is for others.

use std::io;
use std::ops::Range;
use std::os::fd::BorrowedFd;
use std::path::PathBuf;

use rustix::process::Pid;

use crate::level_a::{Identity, LevelA};
use crate::map::{
    Extent, IdMap, IdMaps, Key, Kind, Lines, MapError, NotationError, parse, parse_additional, restated,
};
use crate::ranges::{Files, RangesError, of_name};

/// What `--userns=auto` gives at least, and at most unless a size is asked for (podman's).
pub const AUTO_SIZES: (u32, u32) = (1024, 65_536);

/// The value of `--userns`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mode {
    /// All ids of A.
    Host,
    /// The same, for want of a map.
    Private,
    /// The user is this one inside; `None` is the user's own id.
    KeepId {
        /// The user's id inside.
        uid: Option<u32>,
        /// The user's group inside.
        gid: Option<u32>,
        /// How many ids there are at most.
        size: Option<u32>,
    },
    /// All but the user.
    NoMap,
    /// Ids of its own.
    Auto {
        /// How many.
        size: Option<u32>,
        /// User ids that must be as said.
        uids: Vec<String>,
        /// Group ids that must be as said.
        gids: Vec<String>,
    },
    /// Another container's.
    Container(String),
    /// An existing one.
    Namespace(PathBuf),
}

/// A value that is not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ModeError {
    /// No such mode.
    #[error("`{0}` is not a user namespace mode")]
    Unknown(String),
    /// No such option of the mode.
    #[error("unknown option `{option}` for --userns={mode}")]
    Option {
        /// The mode.
        mode: &'static str,
        /// The option.
        option: String,
    },
    /// Not a number where one must be.
    #[error("`{0}` is not an id or a number of ids")]
    Number(String),
    /// Maps and a mode.
    #[error("--userns and --uidmap/--gidmap/--subuidname/--subgidname are mutually exclusive")]
    Conflict,
    /// Maps said in two ways.
    #[error("--subuidname/--subgidname and --uidmap/--gidmap are mutually exclusive")]
    MapsAndNames,
}

impl Mode {
    /// Reads the value of `--userns`.
    ///
    /// # Errors
    /// If it is none of the modes.
    pub fn parse(value: &str) -> Result<Self, ModeError> {
        let (mode, options) =
            value.split_once(':').map_or((value, None), |(mode, options)| (mode, Some(options)));
        match (mode, options) {
            ("" | "host", None) => Ok(Self::Host),
            ("private", None) => Ok(Self::Private),
            ("nomap", None) => Ok(Self::NoMap),
            ("keep-id", options) => Self::keep_id(options),
            ("auto", options) => Self::auto(options),
            ("container", Some(name)) if !name.is_empty() => Ok(Self::Container(name.to_owned())),
            ("ns", Some(path)) if !path.is_empty() => Ok(Self::Namespace(path.into())),
            _ => Err(ModeError::Unknown(value.to_owned())),
        }
    }

    fn keep_id(options: Option<&str>) -> Result<Self, ModeError> {
        let (mut uid, mut gid, mut size) = (None, None, None);
        for (option, value) in pairs("keep-id", options)? {
            let place = match option {
                "uid" => &mut uid,
                "gid" => &mut gid,
                "size" => &mut size,
                _ => return Err(ModeError::Option { mode: "keep-id", option: option.to_owned() }),
            };
            *place = Some(number(value)?);
        }
        Ok(Self::KeepId { uid, gid, size })
    }

    fn auto(options: Option<&str>) -> Result<Self, ModeError> {
        let (mut size, mut uids, mut gids) = (None, Vec::new(), Vec::new());
        for (option, value) in pairs("auto", options)? {
            match option {
                "size" => size = Some(number(value)?),
                "uidmapping" => uids.push(value.to_owned()),
                "gidmapping" => gids.push(value.to_owned()),
                _ => return Err(ModeError::Option { mode: "auto", option: option.to_owned() }),
            }
        }
        Ok(Self::Auto { size, uids, gids })
    }
}

fn pairs<'a>(mode: &'static str, options: Option<&'a str>) -> Result<Vec<(&'a str, &'a str)>, ModeError> {
    let options = options.into_iter().flat_map(|options| options.split(','));
    let pair = |option: &'a str| {
        option.split_once('=').ok_or_else(|| ModeError::Option { mode, option: option.to_owned() })
    };
    options.map(pair).collect()
}

fn number(text: &str) -> Result<u32, ModeError> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| digits).ok_or_else(|| ModeError::Number(text.to_owned()))
}

/// The flags that say something about B.
#[derive(Debug, Clone, Copy, Default)]
pub struct Flags<'a> {
    /// `--userns`.
    pub userns: Option<&'a str>,
    /// `--uidmap`, each.
    pub uidmap: &'a [String],
    /// `--gidmap`, each.
    pub gidmap: &'a [String],
    /// `--subuidname`.
    pub subuidname: Option<&'a str>,
    /// `--subgidname`.
    pub subgidname: Option<&'a str>,
}

/// What the flags ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// A mode.
    Mode(Mode),
    /// Maps in podman's notation.
    Maps {
        /// Of user ids.
        uid: Vec<String>,
        /// Of group ids.
        gid: Vec<String>,
    },
    /// The ranges of a name in `/etc/subuid` and `/etc/subgid`.
    Names {
        /// For user ids.
        uid: String,
        /// For group ids.
        gid: String,
    },
}

impl Flags<'_> {
    /// Reads the flags together: one kind of maps stands for the other, and a mode excludes maps.
    ///
    /// # Errors
    /// If they contradict each other.
    pub fn choose(&self) -> Result<Choice, ModeError> {
        let maps = !self.uidmap.is_empty() || !self.gidmap.is_empty();
        let names = self.subuidname.or(self.subgidname).is_some();
        match (self.userns, maps, names) {
            (Some(_), true, _) | (Some(_), _, true) => Err(ModeError::Conflict),
            (None, true, true) => Err(ModeError::MapsAndNames),
            (mode, false, false) => Mode::parse(mode.unwrap_or_default()).map(Choice::Mode),
            (None, true, false) => {
                let or = |one: &[String], other: &[String]| {
                    if one.is_empty() { other.to_vec() } else { one.to_vec() }
                };
                Ok(Choice::Maps { uid: or(self.uidmap, self.gidmap), gid: or(self.gidmap, self.uidmap) })
            }
            (None, false, true) => {
                let or =
                    |one: Option<&str>, other: Option<&str>| one.or(other).unwrap_or_default().to_owned();
                Ok(Choice::Names {
                    uid: or(self.subuidname, self.subgidname),
                    gid: or(self.subgidname, self.subuidname),
                })
            }
        }
    }
}

/// What a map depends on besides the flags.
#[derive(Debug, Clone, Copy)]
pub struct Given<'a> {
    /// A's maps.
    pub a: &'a IdMaps,
    /// The user's ids in U, which keep-id keeps.
    pub user: (u32, u32),
    /// The user is the root of a host: A's 0 is not for containers.
    pub root_of_host: bool,
    /// One past the highest id that the image's passwd and group name (without nobody), for auto.
    pub ids_of_image: u32,
    /// What auto gives at least, and at most unless a size is asked for.
    pub auto_sizes: (u32, u32),
    /// The maps of the other containers that have some of their own (not those of `host`), for auto.
    pub in_use: &'a [IdMaps],
    /// Where names have their ranges.
    pub files: &'a Files,
}

impl<'a> Given<'a> {
    /// What follows from A; the rest is for `auto`.
    #[must_use]
    pub fn new(a: &'a LevelA, files: &'a Files) -> Self {
        let (user, root_of_host) = (a.user(), a.root_of_host);
        Self { a: &a.maps, user, root_of_host, ids_of_image: 0, auto_sizes: AUTO_SIZES, in_use: &[], files }
    }
}

/// The map cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// An entry of `--uidmap`.
    #[error(transparent)]
    Notation(#[from] NotationError),
    /// The extents do not make a map within A.
    #[error("the container's {kind} map does not fit the ids you have")]
    Map {
        /// Users or groups.
        kind: Kind,
        /// Why.
        #[source]
        source: MapError,
    },
    /// `nomap` or another mode needs ids besides the user's own.
    #[error("there are no {0}s but your own to map")]
    NoOthers(Kind),
    /// `nomap` for root.
    #[error("--userns=nomap is for users other than root")]
    NoMapForRoot,
    /// auto finds too few ids that are not in use.
    #[error("--userns=auto needs {wanted} {kind}s, and {free} are not in use")]
    TooFew {
        /// Users or groups.
        kind: Kind,
        /// How many it needs.
        wanted: u64,
        /// How many there are.
        free: u64,
    },
    /// The image, or the configuration, needs more than auto gives.
    #[error("the container needs {0} ids, more than --userns=auto gives without size=")]
    TooLarge(u32),
    /// The name has no ranges.
    #[error("`{name}` has no subordinate {kind}s")]
    NoRanges {
        /// The name.
        name: String,
        /// Users or groups.
        kind: Kind,
    },
    /// The ranges of a name are another's.
    #[error("{kind} {id}, a subordinate id of `{name}`, is not one of yours")]
    NotOurs {
        /// The name.
        name: String,
        /// Users or groups.
        kind: Kind,
        /// The first of them.
        id: u32,
    },
    /// The files cannot be read.
    #[error(transparent)]
    Ranges(#[from] RangesError),
    /// The namespace is there already, and has its map: see [`join`].
    #[error("the map is that of the namespace")]
    There,
}

/// A B.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Its maps: the container's ids to those of A.
    pub maps: IdMaps,
    /// Whom the container's command runs as unless `--user` says otherwise, instead of the image's user.
    pub user: Option<(u32, u32)>,
}

impl Plan {
    /// The lines to write to `uid_map` and `gid_map`, one at least for each extent of A's map.
    ///
    /// # Errors
    /// If they are too many.
    pub fn lines(&self, a: &IdMaps) -> Result<(Lines, Lines), MapError> {
        Ok((self.maps.uid.lines_in(&a.uid)?, self.maps.gid.lines_in(&a.gid)?))
    }

    /// The maps as seen from U: the ids on disk.
    ///
    /// # Errors
    /// If these maps are not of this A.
    pub fn on_disk(&self, a: &IdMaps) -> Result<IdMaps, MapError> {
        self.maps.over(a)
    }

    /// The name of the trees that fit this container.
    ///
    /// # Errors
    /// If these maps are not of this A.
    pub fn key(&self, a: &IdMaps) -> Result<Key, MapError> {
        self.on_disk(a).map(|maps| maps.key())
    }
}

/// A namespace cannot be a container's B.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// Something else.
    #[error("it is not a user namespace")]
    Other,
    /// A, in which nothing of an image runs.
    #[error(
        "it is the one that all your containers lie in, where no container runs: --userns host maps the same ids"
    )]
    LevelA,
    /// One that is not a child of our A.
    #[error("it does not belong to your containers")]
    NotOurs,
    /// The kernel's answer.
    #[error("cannot look into it")]
    Look(#[from] io::Error),
    /// What it says of its map.
    #[error("its id map is unusable")]
    Map(#[from] MapError),
}

/// What joining an existing B means: it must lie in our A, and its maps are what they are.
///
/// # Process context
/// In A. A child is sent into the namespace, so the process must be single-threaded.
///
/// # Errors
/// If it is not one of ours, or cannot be looked into.
pub fn join(namespace: BorrowedFd<'_>, a: &LevelA) -> Result<Plan, JoinError> {
    if !ctr_sys::userns::is_one(namespace) {
        return Err(JoinError::Other);
    }
    if Identity::of(namespace)? == a.inner {
        return Err(JoinError::LevelA);
    }
    if !a.holds(namespace)? {
        return Err(JoinError::NotOurs);
    }
    let read = |pid: Pid| -> io::Result<[String; 2]> {
        let pid = pid.as_raw_nonzero();
        let file = |name: &str| std::fs::read_to_string(format!("/proc/{pid}/{name}"));
        Ok([file("uid_map")?, file("gid_map")?])
    };
    let [uid, gid] = ctr_sys::userns::visit(namespace, read).map_err(io::Error::from)??;
    Ok(unattended(IdMaps { uid: IdMap::from_proc(&uid)?, gid: IdMap::from_proc(&gid)? }))
}

/// Computes a new B's maps.
///
/// # Errors
/// See [`PlanError`].
pub fn plan(choice: &Choice, given: &Given<'_>) -> Result<Plan, PlanError> {
    let made = match choice {
        Choice::Mode(Mode::Container(_) | Mode::Namespace(_)) => return Err(PlanError::There),
        Choice::Mode(Mode::Host | Mode::Private) => all(given)?,
        Choice::Mode(Mode::KeepId { .. }) if given.root_of_host => all(given)?,
        Choice::Mode(Mode::KeepId { uid, gid, size }) => keep_id(given, *uid, *gid, *size)?,
        Choice::Mode(Mode::NoMap) if given.root_of_host => return Err(PlanError::NoMapForRoot),
        Choice::Mode(Mode::NoMap) => unattended(others(given)?),
        Choice::Mode(Mode::Auto { size, uids, gids }) => auto(given, *size, uids, gids)?,
        Choice::Maps { uid, gid } => unattended(written(given, uid, gid)?),
        Choice::Names { uid, gid } => unattended(named(given, uid, gid)?),
    };
    checked(made, given.a)
}

/// A plan whose command runs as the image's user.
const fn unattended(maps: IdMaps) -> Plan {
    Plan { maps, user: None }
}

/// Makes sure that A has all the ids.
fn checked(plan: Plan, a: &IdMaps) -> Result<Plan, PlanError> {
    for (kind, map, of) in [(Kind::Uid, &plan.maps.uid, &a.uid), (Kind::Gid, &plan.maps.gid, &a.gid)] {
        map.lines_in(of).map_err(|source| PlanError::Map { kind, source })?;
    }
    Ok(plan)
}

/// Makes both maps in the same way.
fn both(make: impl Fn(Kind) -> Result<IdMap, PlanError>) -> Result<IdMaps, PlanError> {
    Ok(IdMaps { uid: make(Kind::Uid)?, gid: make(Kind::Gid)? })
}

fn of(maps: &IdMaps, kind: Kind) -> &IdMap {
    match kind {
        Kind::Uid => &maps.uid,
        Kind::Gid => &maps.gid,
    }
}

fn map(kind: Kind, extents: Vec<Extent>) -> Result<IdMap, PlanError> {
    let extents = extents.into_iter().filter(|extent| extent.len > 0).collect();
    IdMap::new(extents).map_err(|source| PlanError::Map { kind, source })
}

fn all(given: &Given<'_>) -> Result<Plan, PlanError> {
    let maps = if given.root_of_host { others(given)? } else { given.a.identity() };
    Ok(unattended(maps))
}

/// How many ids A has besides the user's own, which is its 0: they are 1 to this.
fn others_of(given: &Given<'_>, kind: Kind) -> u32 {
    u32::try_from(of(given.a, kind).count() - 1).unwrap_or(u32::MAX)
}

fn others(given: &Given<'_>) -> Result<IdMaps, PlanError> {
    both(|kind| match others_of(given, kind) {
        0 => Err(PlanError::NoOthers(kind)),
        count => map(kind, vec![Extent::new(0, 1, count)]),
    })
}

fn keep_id(
    given: &Given<'_>,
    uid: Option<u32>,
    gid: Option<u32>,
    size: Option<u32>,
) -> Result<Plan, PlanError> {
    let user = (uid.unwrap_or(given.user.0), gid.unwrap_or(given.user.1));
    let maps = both(|kind| {
        let own = match kind {
            Kind::Uid => user.0,
            Kind::Gid => user.1,
        };
        let most = match size {
            Some(size @ 1..) => others_of(given, kind).min(size - 1),
            _ => others_of(given, kind),
        };
        let (below, above) = (most.min(own), most.saturating_sub(own));
        let mut extents = vec![Extent::new(0, 1, below), Extent::new(own, 0, 1)];
        if above > 0 {
            extents.push(Extent::new(own + 1, own + 1, above));
        }
        map(kind, extents)
    })?;
    Ok(Plan { maps, user: Some(user) })
}

fn auto(given: &Given<'_>, size: Option<u32>, uids: &[String], gids: &[String]) -> Result<Plan, PlanError> {
    let (least, most) = given.auto_sizes;
    let size = match size {
        Some(size @ 1..) => size,
        _ if given.ids_of_image.max(least) > most => {
            return Err(PlanError::TooLarge(given.ids_of_image.max(least)));
        }
        _ => given.ids_of_image.max(least),
    };
    let maps = both(|kind| {
        let entries = match kind {
            Kind::Uid => uids,
            Kind::Gid => gids,
        };
        let mut extents = Vec::new();
        for entry in entries {
            extents.extend(parse_additional(entry, kind, of(given.a, kind))?);
        }
        let wanted = without(0..u64::from(size), extents.iter().map(Extent::inner_range));
        let ours = 1..u64::from(others_of(given, kind)) + 1;
        let used = given.in_use.iter().flat_map(|maps| of(maps, kind).extents()).map(Extent::outer_range);
        let free = without(ours, used.chain(extents.iter().map(Extent::outer_range)));
        extents.extend(matched(&wanted, &free).map_err(|(wanted, free)| PlanError::TooFew {
            kind,
            wanted,
            free,
        })?);
        map(kind, extents)
    })?;
    Ok(unattended(maps))
}

/// What is left of a range when others are taken away.
fn without(range: Range<u64>, taken: impl Iterator<Item = Range<u64>>) -> Vec<Range<u64>> {
    let mut ranges = vec![range];
    for taken in taken {
        let cut = |range: Range<u64>| {
            let parts = [range.start..range.end.min(taken.start), range.start.max(taken.end)..range.end];
            let apart = taken.is_empty() || taken.end <= range.start || range.end <= taken.start;
            let kept = if apart { vec![range] } else { parts.into() };
            kept.into_iter().filter(|range| !range.is_empty())
        };
        ranges = ranges.into_iter().flat_map(cut).collect();
    }
    ranges
}

/// Gives each wanted id the next free one, or says how many there are of both.
fn matched(wanted: &[Range<u64>], free: &[Range<u64>]) -> Result<Vec<Extent>, (u64, u64)> {
    let count = |ranges: &[Range<u64>]| ranges.iter().map(|range| range.end - range.start).sum::<u64>();
    let too_few = (count(wanted), count(free));
    let mut free = free.iter().cloned();
    let mut next = 0..0;
    let mut extents = Vec::new();
    for mut range in wanted.iter().cloned() {
        while !range.is_empty() {
            if next.is_empty() {
                next = free.next().ok_or(too_few)?;
                continue;
            }
            let len = (range.end - range.start).min(next.end - next.start);
            let fits = |id: u64| u32::try_from(id).map_err(|_beyond| too_few);
            extents.push(Extent::new(fits(range.start)?, fits(next.start)?, fits(len)?));
            range.start += len;
            next.start += len;
        }
    }
    Ok(extents)
}

fn written(given: &Given<'_>, uid: &[String], gid: &[String]) -> Result<IdMaps, PlanError> {
    both(|kind| {
        let entries = match kind {
            Kind::Uid => uid,
            Kind::Gid => gid,
        };
        // All entries are for the other kind: this one is filled with what there is.
        Ok(parse(entries, kind, of(given.a, kind))?.unwrap_or_else(|| of(given.a, kind).identity()))
    })
}

fn named(given: &Given<'_>, uid: &str, gid: &str) -> Result<IdMaps, PlanError> {
    both(|kind| {
        let name = match kind {
            Kind::Uid => uid,
            Kind::Gid => gid,
        };
        let found = of_name(name, kind, given.files)?;
        if found.ranges.is_empty() {
            return Err(PlanError::NoRanges { name: name.to_owned(), kind });
        }
        let mut extents = Vec::new();
        let mut next = 0_u32;
        for range in &found.ranges {
            let wanted = Extent::new(next, range.first, range.len);
            let ours = restated(wanted, of(given.a, kind));
            extents.extend(ours.map_err(|id| PlanError::NotOurs { name: name.to_owned(), kind, id })?);
            next = next.saturating_add(range.len);
        }
        map(kind, extents)
    })
}

#[cfg(test)]
mod tests;
