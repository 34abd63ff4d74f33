//! Which ids A may map: the user's own, and the subordinate ranges given to them.
//!
//! # Theory of operation
//! A's id 0 is the user; 1, 2, 3… are the ranges of `/etc/subuid` (and `/etc/subgid`), one after the other, in the order
//! of the file, as podman has it. Where they come from:
//!
//! ```text
//! files      lines `NAME-OR-UID:FIRST:COUNT`; what shadow's newuidmap goes by unless nsswitch.conf says otherwise
//! getsubids  where nsswitch.conf names another source for `subid`: shadow's optional program asks that directory
//! U's own    root inside a CI container that has ids and no ranges: what U maps is ours
//! ```
//!
//! and who writes them: we, where we hold CAP_SETUID and CAP_SETGID in U ([`Source::Direct`]), else the two set-uid
//! helpers ([`Source::Helpers`]). Root of a host (in the initial namespace, with CAP_SYS_ADMIN) is given root's ranges,
//! never the identity: a container's root must not be the machine's.
//!
//! # Failure
//! Lines that are malformed or overlap are left out and named in [`Found::notes`]. No range at all is [`Missing`]: one id
//! does not make a system, and what a single id can do is not built yet.

use std::path::{Path, PathBuf};

use crate::map::{Extent, IdMap, IdMaps, Kind, MapError};

mod directory;
mod facts;
mod file;

pub use directory::DirectoryError;
pub use facts::{Facts, FactsError};
pub(crate) use facts::{INITIAL_USER_NAMESPACE, own_maps};
pub use file::{Line, Note, Problem, SubIds};

/// Where the ranges are looked for. [`Files::default`] is the system's; tests have their own.
#[derive(Debug, Clone)]
pub struct Files {
    /// `/etc/subuid`.
    pub subuid: PathBuf,
    /// `/etc/subgid`.
    pub subgid: PathBuf,
    /// `/etc/nsswitch.conf`.
    pub nsswitch: PathBuf,
    /// Where `getsubids` may be.
    pub getsubids: PathBuf,
}

impl Default for Files {
    fn default() -> Self {
        Self {
            subuid: "/etc/subuid".into(),
            subgid: "/etc/subgid".into(),
            nsswitch: "/etc/nsswitch.conf".into(),
            getsubids: "/usr/bin/getsubids".into(),
        }
    }
}

/// What A is to map, and who writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// We hold the capabilities: written directly.
    Direct(IdMaps),
    /// `newuidmap` and `newgidmap` write it.
    Helpers(IdMaps),
}

impl Source {
    /// A's maps: its ids to those of U.
    #[must_use]
    pub const fn maps(&self) -> &IdMaps {
        match self {
            Self::Direct(maps) | Self::Helpers(maps) => maps,
        }
    }
}

/// What was found, and what was odd on the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// What A is to map.
    pub source: Source,
    /// Lines left out, and why.
    pub notes: Vec<Note>,
}

/// The user has no subordinate ids.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("user {who} has no subordinate {kind}s")]
pub struct Missing {
    /// The user, by name where there is one.
    pub who: String,
    /// Which of the two is missing (the first, if both are).
    pub kind: Kind,
    /// Both kinds are missing.
    pub both: bool,
    /// Lines that were left out: they may be why.
    pub notes: Vec<Note>,
}

/// The ranges could not be found out.
#[derive(Debug, thiserror::Error)]
pub enum RangesError {
    /// Found out: there are none.
    #[error(transparent)]
    Missing(#[from] Missing),
    /// The file is there but cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The directory's program failed.
    #[error("cannot ask the directory for the subordinate ids of {who}")]
    Directory {
        /// The user.
        who: String,
        /// Why.
        #[source]
        source: DirectoryError,
    },
    /// What was found is not a map.
    #[error("the subordinate {kind}s of {who} do not make a map")]
    Map {
        /// The user.
        who: String,
        /// Which.
        kind: Kind,
        /// Why.
        #[source]
        source: MapError,
    },
}

/// Finds out what A is to map for this user.
///
/// # Errors
/// [`Missing`] if the user has no ranges; else if something that is there cannot be read or makes no sense.
pub fn discover(facts: &Facts, files: &Files) -> Result<Found, RangesError> {
    let (uids, gids) = if directory::is_named(&files.nsswitch)? {
        let asked = |kind| directory::ask(&files.getsubids, facts, kind);
        let failed = |source| RangesError::Directory { who: facts.who(), source };
        (asked(Kind::Uid).map_err(failed)?, asked(Kind::Gid).map_err(failed)?)
    } else {
        (read(&files.subuid, facts, Kind::Uid)?, read(&files.subgid, facts, Kind::Gid)?)
    };
    let (mut uids, mut gids) = (uids, gids);
    uids.keep_mapped(&facts.maps.uid);
    gids.keep_mapped(&facts.maps.gid);
    if uids.ranges.is_empty() || gids.ranges.is_empty() {
        return match own_ids(facts) {
            Some(maps) => Ok(Found { source: Source::Direct(cut(facts, &maps)?), notes: Vec::new() }),
            None => Err(missing(facts, uids, gids).into()),
        };
    }
    let maps = IdMaps { uid: stacked(facts, &uids, Kind::Uid)?, gid: stacked(facts, &gids, Kind::Gid)? };
    let maps = cut(facts, &maps)?;
    let source = if facts.may_write_maps() { Source::Direct(maps) } else { Source::Helpers(maps) };
    let notes = uids.notes.into_iter().chain(gids.notes).collect();
    Ok(Found { source, notes })
}

/// The ranges that a name is given, for `--subuidname` and `--subgidname`.
///
/// # Errors
/// If the file cannot be read. A name without ranges has an empty list.
pub fn of_name(name: &str, kind: Kind, files: &Files) -> Result<SubIds, RangesError> {
    let path = match kind {
        Kind::Uid => &files.subuid,
        Kind::Gid => &files.subgid,
    };
    Ok(SubIds::parse(&text_of(path)?, path, None, Some(name)))
}

fn read(path: &Path, facts: &Facts, kind: Kind) -> Result<SubIds, RangesError> {
    let mut found = SubIds::parse(&text_of(path)?, path, Some(facts.uid), facts.name.as_deref());
    // The user's own id is A's 0; a range that covers it as well would map it twice.
    found.leave_out(match kind {
        Kind::Uid => facts.uid,
        Kind::Gid => facts.gid,
    });
    Ok(found)
}

/// The text of one of the files; none is as good as an empty one.
fn text_of(path: &Path) -> Result<String, RangesError> {
    match file::read_bounded(path) {
        Ok(text) => Ok(text),
        Err(err) if err.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
        Err(source) => Err(RangesError::Read { path: path.to_owned(), source }),
    }
}

fn missing(facts: &Facts, uids: SubIds, gids: SubIds) -> Missing {
    let (no_uids, no_gids) = (uids.ranges.is_empty(), gids.ranges.is_empty());
    Missing {
        who: facts.who(),
        kind: if no_uids { Kind::Uid } else { Kind::Gid },
        both: no_uids && no_gids,
        notes: uids.notes.into_iter().chain(gids.notes).collect(),
    }
}

/// A's map of one kind: the user, then the ranges one after the other.
fn stacked(facts: &Facts, found: &SubIds, kind: Kind) -> Result<IdMap, RangesError> {
    let own = match kind {
        Kind::Uid => facts.uid,
        Kind::Gid => facts.gid,
    };
    let mut extents = vec![Extent::new(0, own, 1)];
    let mut next = 1_u32;
    for range in &found.ranges {
        // More ids than there are numbers for: what does not fit is not mapped.
        let len = range.len.min(u32::MAX - next);
        if len == 0 {
            break;
        }
        extents.push(Extent::new(next, range.first, len));
        next += len;
    }
    IdMap::new(extents).map_err(|source| RangesError::Map { who: facts.who(), kind, source })
}

/// The maps as the kernel will have them: no line may cross a border of U's own map.
fn cut(facts: &Facts, maps: &IdMaps) -> Result<IdMaps, RangesError> {
    let cut = |map: &IdMap, of: &IdMap, kind| {
        map.cut_to(of).map_err(|source| RangesError::Map { who: facts.who(), kind, source })
    };
    Ok(IdMaps {
        uid: cut(&maps.uid, &facts.maps.uid, Kind::Uid)?,
        gid: cut(&maps.gid, &facts.maps.gid, Kind::Gid)?,
    })
}

/// What U maps is ours where we are root of a container: the user first, then the rest in order.
fn own_ids(facts: &Facts) -> Option<IdMaps> {
    if !facts.may_write_maps() || facts.is_root_of_host() {
        return None;
    }
    let all = |own: u32, of: &IdMap| {
        let mut extents = vec![Extent::new(0, own, 1)];
        let mut next = 1_u32;
        for held in of.extents() {
            // A container in the initial namespace "has" four thousand million ids; a system needs 65,536.
            let room = if facts.initial { 65_536 } else { u32::MAX };
            let mut found = SubIds::default();
            found.ranges.push(file::Range { first: held.inner, len: held.len });
            found.leave_out(own);
            for range in found.ranges {
                let len = range.len.min(room.saturating_sub(next));
                if len > 0 {
                    extents.push(Extent::new(next, range.first, len));
                    next += len;
                }
            }
        }
        (next > 1).then(|| IdMap::new(extents).ok()).flatten()
    };
    Some(IdMaps { uid: all(facts.uid, &facts.maps.uid)?, gid: all(facts.gid, &facts.maps.gid)? })
}

/// Others who are given ids of ours by the text of one of the files: their containers and ours share files.
#[must_use]
pub fn sharers(text: &str, facts: &Facts) -> Vec<String> {
    let ours = SubIds::parse(text, Path::new(""), Some(facts.uid), facts.name.as_deref());
    let number = facts.uid.to_string();
    let others = text.lines().map(str::trim).filter(|line| !line.starts_with('#'));
    let shared = others.filter_map(|line| {
        let owner = line.split(':').next().filter(|owner| !owner.is_empty())?;
        let own = facts.name.as_deref() == Some(owner) || number == owner;
        let range = file::range_of(line)?;
        (!own && ours.ranges.iter().any(|held| held.overlaps(range))).then(|| owner.to_owned())
    });
    shared.collect()
}

/// 65,536 ids that no line of the two files reaches.
#[must_use]
pub fn free_range(subuid: &str, subgid: &str) -> std::ops::RangeInclusive<u64> {
    let first = file::first_free(subuid).max(file::first_free(subgid));
    first..=first + 65_535
}

#[cfg(test)]
mod tests;
