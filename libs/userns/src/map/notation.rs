//! Podman's notation for maps: `--uidmap [flags]inner:[@]outer[:len]`.
//!
//! The outer id is one of A (podman's "intermediate" id), or with `@` an id of U that is looked up in A. Flags: `u` and
//! `g` say that the entry is for users or groups only, `+` that it takes its ids away from the entries before it; where
//! there are none, the rest of A fills what is left.

use std::ops::Range;

use super::{Extent, IdMap, MapError};

/// Which of the two maps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// User ids.
    Uid,
    /// Group ids.
    Gid,
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Uid => "UID",
            Self::Gid => "GID",
        })
    }
}

/// The entry is not understood, or names an id that is not there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotationError {
    /// Not of the form.
    #[error("`{entry}` is not a {kind} map: expected [flags]inner:[@]outer[:length]")]
    Malformed {
        /// Users or groups.
        kind: Kind,
        /// What was written.
        entry: String,
    },
    /// `@id` names an id that A does not map.
    #[error("host {kind} {id} in `{entry}` is not one of yours")]
    NotOurs {
        /// Users or groups.
        kind: Kind,
        /// What was written.
        entry: String,
        /// The first id that is missing.
        id: u32,
    },
    /// The entries together are not a map.
    #[error("the {kind} map does not hold")]
    Map {
        /// Users or groups.
        kind: Kind,
        /// Why.
        #[source]
        source: MapError,
    },
}

/// One entry, read.
struct Entry {
    /// Takes ids from earlier entries.
    takes: bool,
    for_uids: bool,
    for_gids: bool,
    extents: Vec<Extent>,
}

/// Reads the entries of `--uidmap` (or `--gidmap`) against A's map of that kind.
///
/// `None` if no entry is for this kind.
///
/// # Errors
/// If an entry is malformed, names ids that are not ours, or clashes with another.
pub fn parse<S: AsRef<str>>(entries: &[S], kind: Kind, a: &IdMap) -> Result<Option<IdMap>, NotationError> {
    let mut extents: Vec<Extent> = Vec::new();
    let mut fill = false;
    for entry in read_all(entries, kind, a)? {
        let mine = match kind {
            Kind::Uid => entry.for_uids,
            Kind::Gid => entry.for_gids,
        };
        for extent in entry.extents.into_iter().filter(|extent| mine && extent.len > 0) {
            if entry.takes {
                fill |= extents.is_empty();
                extents = extents.iter().flat_map(|old| without(*old, &extent)).collect();
            }
            extents.push(extent);
        }
    }
    if fill {
        extents = filled(extents, a);
    }
    if extents.is_empty() {
        return Ok(None);
    }
    IdMap::new(extents).map(Some).map_err(|source| NotationError::Map { kind, source })
}

/// Reads the value of `uidmapping=` or `gidmapping=` of `--userns=auto`, which takes no flags.
///
/// # Errors
/// If the entry is malformed or names ids that are not ours.
pub fn parse_additional(entry: &str, kind: Kind, a: &IdMap) -> Result<Vec<Extent>, NotationError> {
    let fields: Vec<&str> = entry.split(':').collect();
    let fields = match fields[..] {
        [inner, outer] => [inner, outer, "1"],
        [inner, outer, len] => [inner, outer, len],
        _ => return Err(malformed(kind, entry)),
    };
    read(fields, entry, kind, a).and_then(|read| {
        let plain = !read.takes && read.for_uids && read.for_gids;
        if plain { Ok(read.extents) } else { Err(malformed(kind, entry)) }
    })
}

fn malformed(kind: Kind, entry: &str) -> NotationError {
    NotationError::Malformed { kind, entry: entry.to_owned() }
}

/// Reads all entries; one string may hold several, three fields each.
fn read_all<S: AsRef<str>>(entries: &[S], kind: Kind, a: &IdMap) -> Result<Vec<Entry>, NotationError> {
    let mut all = Vec::new();
    for entry in entries.iter().map(AsRef::as_ref).filter(|entry| !entry.is_empty()) {
        let mut fields: Vec<&str> = entry.split(':').collect();
        if fields.len() == 2 {
            fields.push("1");
        }
        let (triples, []) = fields.as_chunks::<3>() else {
            return Err(malformed(kind, entry));
        };
        for triple in triples {
            all.push(read(*triple, entry, kind, a)?);
        }
    }
    Ok(all)
}

fn read([inner, outer, len]: [&str; 3], entry: &str, kind: Kind, a: &IdMap) -> Result<Entry, NotationError> {
    let start = inner.find(|c: char| c.is_ascii_digit()).ok_or_else(|| malformed(kind, entry))?;
    let (flags, inner) = inner.split_at(start);
    if flags.chars().any(|flag| !matches!(flag, '+' | 'u' | 'g')) {
        return Err(malformed(kind, entry));
    }
    let number = |text: &str| -> Result<u32, NotationError> {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse().ok().filter(|_| digits).ok_or_else(|| malformed(kind, entry))
    };
    let both = !flags.contains(['u', 'g']);
    let mut parsed = Entry {
        takes: flags.contains('+'),
        for_uids: both || flags.contains('u'),
        for_gids: both || flags.contains('g'),
        extents: Vec::new(),
    };
    let (inner, len) = (number(inner)?, number(len)?);
    let mine = match kind {
        Kind::Uid => parsed.for_uids,
        Kind::Gid => parsed.for_gids,
    };
    parsed.extents = match outer.strip_prefix('@') {
        None => vec![Extent::new(inner, number(outer)?, len)],
        Some(host) if mine => restated(Extent::new(inner, number(host)?, len), a)
            .map_err(|id| NotationError::NotOurs { kind, entry: entry.to_owned(), id })?,
        Some(host) => {
            number(host)?;
            Vec::new()
        }
    };
    Ok(parsed)
}

/// An extent whose outer ids are those of U, restated in the ids of A.
///
/// # Errors
/// The first id that A lacks.
pub fn restated(wanted: Extent, a: &IdMap) -> Result<Vec<Extent>, u32> {
    let mut found = Vec::new();
    let mut done = 0;
    while done < wanted.len {
        let host = wanted.outer.checked_add(done).ok_or(u32::MAX)?;
        let holder =
            a.extents().iter().find(|held| held.outer_range().contains(&u64::from(host))).ok_or(host)?;
        let skip = host - holder.outer;
        let len = (holder.len - skip).min(wanted.len - done);
        let inner = wanted.inner.checked_add(done).ok_or(u32::MAX)?;
        found.push(Extent::new(inner, holder.inner + skip, len));
        done += len;
    }
    Ok(found)
}

/// What is left of an extent when another takes its ids, inner and outer.
fn without(old: Extent, taken: &Extent) -> Vec<Extent> {
    let kept_inside = cut(old, &old.inner_range(), &taken.inner_range());
    kept_inside.into_iter().flat_map(|piece| cut(piece, &piece.outer_range(), &taken.outer_range())).collect()
}

/// The parts of a piece, whose ids on one side are `own`, before and after `taken`.
fn cut(piece: Extent, own: &Range<u64>, taken: &Range<u64>) -> Vec<Extent> {
    let (from, to) = (taken.start.max(own.start), taken.end.min(own.end));
    if from >= to {
        return vec![piece];
    }
    let offset = |id: u64| u32::try_from(id - own.start).unwrap_or(piece.len);
    let (from, to) = (offset(from), offset(to));
    [piece.part(0, from), piece.part(to, piece.len - to)].into_iter().filter(|part| part.len > 0).collect()
}

/// Gives the ids of A that no entry uses to the inner ids that no entry uses, from zero up.
fn filled(mut extents: Vec<Extent>, a: &IdMap) -> Vec<Extent> {
    extents.sort_by_key(|extent| extent.inner);
    let mut spare = a.identity().extents().to_vec();
    for used in &extents {
        spare =
            spare.into_iter().flat_map(|free| cut(free, &free.outer_range(), &used.outer_range())).collect();
    }
    let mut spare =
        spare.into_iter().map(|free| free.outer_range()).collect::<std::collections::VecDeque<_>>();
    let mut next = 0;
    let mut all = Vec::new();
    for given in extents {
        next = hand_out(&mut spare, next, given.inner_range().start, &mut all);
        next = next.max(given.inner_range().end);
        all.push(given);
    }
    hand_out(&mut spare, next, super::END_OF_IDS, &mut all);
    all
}

/// Maps `next..end` to spare ids as long as there are any; returns the next inner id without one.
fn hand_out(
    spare: &mut std::collections::VecDeque<Range<u64>>,
    mut next: u64,
    end: u64,
    all: &mut Vec<Extent>,
) -> u64 {
    while next < end {
        let Some(free) = spare.front_mut() else { break };
        let len = (end - next).min(free.end - free.start);
        // All three are below END_OF_IDS: `free` lies within a map, `next` below `end`.
        if let (Ok(inner), Ok(outer), Ok(len)) =
            (u32::try_from(next), u32::try_from(free.start), u32::try_from(len))
        {
            all.push(Extent::new(inner, outer, len));
        }
        next += len;
        free.start += len;
        if free.is_empty() {
            spare.pop_front();
        }
    }
    next
}
