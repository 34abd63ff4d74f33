//! Id maps: what an id inside a user namespace is outside of it.
//!
//! # Invariants
//! An [`IdMap`] has its extents in the order of their inner ids, and no id is mapped twice on either side. Two maps that
//! mean the same are equal and have the same [`Key`], whatever way they were written. Where one extent ends and the next
//! begins is kept all the same: for the kernel a line of a nested map may not cross that border, even if the ids go on
//! beyond it ([`IdMap::lines_in`] cuts there).

mod notation;

use std::fmt;
use std::str::FromStr;

pub use notation::{Kind, NotationError, parse, parse_additional, restated};

/// The kernel takes no more lines than this for one map.
pub const MAX_LINES: usize = 340;

/// One past the highest id there is: 4,294,967,295 means "no id".
const END_OF_IDS: u64 = u32::MAX as u64;

/// A run of consecutive ids: `inner..inner + len` inside are `outer..outer + len` outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct Extent {
    /// The first id inside.
    pub inner: u32,
    /// What the first id is outside.
    pub outer: u32,
    /// How many ids.
    pub len: u32,
}

impl Extent {
    /// The run of `len` ids starting at `inner` inside and `outer` outside.
    #[must_use]
    pub const fn new(inner: u32, outer: u32, len: u32) -> Self {
        Self { inner, outer, len }
    }

    /// The ids inside, as a range that cannot overflow.
    pub(crate) fn inner_range(&self) -> std::ops::Range<u64> {
        u64::from(self.inner)..u64::from(self.inner) + u64::from(self.len)
    }

    /// The ids outside.
    pub(crate) fn outer_range(&self) -> std::ops::Range<u64> {
        u64::from(self.outer)..u64::from(self.outer) + u64::from(self.len)
    }

    /// The part starting `skip` ids in, at most `len` long.
    const fn part(&self, skip: u32, len: u32) -> Self {
        Self { inner: self.inner + skip, outer: self.outer + skip, len }
    }
}

impl fmt::Display for Extent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.inner, self.outer, self.len)
    }
}

/// Why a list of extents is not a map.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MapError {
    /// No extent at all.
    #[error("the map is empty")]
    Empty,
    /// The extent has no id, or runs past the last id there is.
    #[error("the extent {0} is empty or runs past the last id")]
    OutOfRange(Extent),
    /// Two extents give one inner id two meanings.
    #[error("the extents {0} and {1} map the same ids inside")]
    InnerOverlap(Extent, Extent),
    /// Two extents use one outer id twice.
    #[error("the extents {0} and {1} map the same ids outside")]
    OuterOverlap(Extent, Extent),
    /// The parent namespace has no such id.
    #[error("id {id} is not mapped in the parent namespace")]
    Unmapped {
        /// The first id of the parent that is missing.
        id: u32,
    },
    /// The kernel takes [`MAX_LINES`].
    #[error("the map needs {0} lines, the kernel takes {MAX_LINES}")]
    TooManyLines(usize),
    /// Text that is not three numbers a line.
    #[error("`{0}` is not a line of an id map")]
    Malformed(String),
}

/// A map from the ids inside a user namespace to the ids of its parent.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "Vec<Extent>", into = "Vec<Extent>")]
pub struct IdMap(Vec<Extent>);

/// Equal maps mean the same, wherever their extents end.
impl PartialEq for IdMap {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0 || merged(&self.0) == merged(&other.0)
    }
}

impl Eq for IdMap {}

impl std::hash::Hash for IdMap {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        merged(&self.0).hash(state);
    }
}

impl IdMap {
    /// Checks the extents, and brings them into order.
    ///
    /// # Errors
    /// If there is none, or if they overlap on either side.
    pub fn new(mut extents: Vec<Extent>) -> Result<Self, MapError> {
        if extents.is_empty() {
            return Err(MapError::Empty);
        }
        for extent in &extents {
            let fits = extent.inner_range().end <= END_OF_IDS && extent.outer_range().end <= END_OF_IDS;
            if extent.len == 0 || !fits {
                return Err(MapError::OutOfRange(*extent));
            }
        }
        extents.sort_by_key(|extent| extent.outer);
        if let Some((one, two)) = first_overlap(&extents, Extent::outer_range) {
            return Err(MapError::OuterOverlap(one, two));
        }
        extents.sort_by_key(|extent| extent.inner);
        if let Some((one, two)) = first_overlap(&extents, Extent::inner_range) {
            return Err(MapError::InnerOverlap(one, two));
        }
        Ok(Self(extents))
    }

    /// Reads what the kernel shows in `/proc/PID/uid_map`.
    ///
    /// # Errors
    /// If a line is not three numbers, or the whole is not a map.
    pub fn from_proc(text: &str) -> Result<Self, MapError> {
        let mut extents = Vec::new();
        for line in text.lines() {
            extents.push(Extent::from_proc(line).ok_or_else(|| MapError::Malformed(line.to_owned()))?);
        }
        Self::new(extents)
    }

    /// The extents, in the order of their inner ids.
    #[must_use]
    pub fn extents(&self) -> &[Extent] {
        &self.0
    }

    /// How many ids are mapped.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.iter().map(|extent| u64::from(extent.len)).sum()
    }

    /// What the inner id is outside.
    #[must_use]
    pub fn to_outer(&self, inner: u32) -> Option<u32> {
        let extent = self.0.iter().find(|extent| extent.inner_range().contains(&u64::from(inner)))?;
        Some(extent.outer + (inner - extent.inner))
    }

    /// What the outer id is inside.
    #[must_use]
    pub fn to_inner(&self, outer: u32) -> Option<u32> {
        let extent = self.0.iter().find(|extent| extent.outer_range().contains(&u64::from(outer)))?;
        Some(extent.inner + (outer - extent.outer))
    }

    /// The map in which every inner id of this one is itself: a child namespace with all the ids of its parent.
    #[must_use]
    pub fn identity(&self) -> Self {
        Self(self.0.iter().map(|extent| Extent { outer: extent.inner, ..*extent }).collect())
    }

    /// This map cut so that no line crosses an extent of the parent's map, which the kernel refuses (EPERM).
    ///
    /// # Errors
    /// If the parent lacks an id that this map names, or if there are too many lines.
    pub fn lines_in(&self, parent: &Self) -> Result<Lines, MapError> {
        let mut lines = Vec::with_capacity(self.0.len());
        for extent in &self.0 {
            let mut done = 0;
            while done < extent.len {
                let id = extent.outer + done;
                let holder = parent.0.iter().find(|held| held.inner_range().contains(&u64::from(id)));
                let holder = holder.ok_or(MapError::Unmapped { id })?;
                let len = (holder.len - (id - holder.inner)).min(extent.len - done);
                lines.push(extent.part(done, len));
                done += len;
            }
        }
        Lines::new(lines)
    }

    /// This map with its extents cut at those of the parent's: as the kernel will have it.
    ///
    /// # Errors
    /// If the parent lacks an id that this map names, or if there are too many lines.
    pub fn cut_to(&self, parent: &Self) -> Result<Self, MapError> {
        Ok(Self(self.lines_in(parent)?.0))
    }

    /// This map seen from outside its parent: inner ids of this one to outer ids of the parent's.
    ///
    /// # Errors
    /// If the parent lacks an id that this map names.
    pub fn over(&self, parent: &Self) -> Result<Self, MapError> {
        let lines = self.lines_in(parent)?;
        let outer = lines.0.iter().map(|line| {
            let outer = parent.to_outer(line.outer).ok_or(MapError::Unmapped { id: line.outer })?;
            Ok(Extent { outer, ..*line })
        });
        Self::new(outer.collect::<Result<_, _>>()?)
    }

    /// The lines of this map for a parent that has all ids in one extent.
    ///
    /// # Errors
    /// If there are too many lines.
    pub fn lines(&self) -> Result<Lines, MapError> {
        Lines::new(self.0.clone())
    }
}

impl TryFrom<Vec<Extent>> for IdMap {
    type Error = MapError;

    fn try_from(extents: Vec<Extent>) -> Result<Self, MapError> {
        Self::new(extents)
    }
}

impl From<IdMap> for Vec<Extent> {
    fn from(map: IdMap) -> Self {
        map.0
    }
}

impl Extent {
    /// One line of `/proc/PID/uid_map`.
    fn from_proc(line: &str) -> Option<Self> {
        let mut numbers = line.split_ascii_whitespace().map(u32::from_str);
        let extent = Self::new(numbers.next()?.ok()?, numbers.next()?.ok()?, numbers.next()?.ok()?);
        numbers.next().is_none().then_some(extent)
    }
}

/// The first two neighbours of a sorted list that share an id on the given side.
fn first_overlap(sorted: &[Extent], side: fn(&Extent) -> std::ops::Range<u64>) -> Option<(Extent, Extent)> {
    let pair = sorted.windows(2).find(|pair| side(&pair[0]).end > side(&pair[1]).start)?;
    Some((pair[0], pair[1]))
}

/// The same with extents joined that continue each other on both sides.
fn merged(sorted: &[Extent]) -> Vec<Extent> {
    let mut merged: Vec<Extent> = Vec::with_capacity(sorted.len());
    for extent in sorted {
        match merged.last_mut() {
            Some(last)
                if last.inner_range().end == u64::from(extent.inner)
                    && last.outer_range().end == u64::from(extent.outer) =>
            {
                last.len += extent.len;
            }
            _ => merged.push(*extent),
        }
    }
    merged
}

/// A map as the kernel takes it: cut at the parent's extents, few enough lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lines(Vec<Extent>);

impl Lines {
    fn new(lines: Vec<Extent>) -> Result<Self, MapError> {
        if lines.len() > MAX_LINES {
            return Err(MapError::TooManyLines(lines.len()));
        }
        Ok(Self(lines))
    }

    /// The lines.
    #[must_use]
    pub fn extents(&self) -> &[Extent] {
        &self.0
    }
}

/// The text for `/proc/PID/uid_map`: `inner outer len`, one extent a line.
impl fmt::Display for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Extent { inner, outer, len } in &self.0 {
            writeln!(f, "{inner} {outer} {len}")?;
        }
        Ok(())
    }
}

/// The maps of a user namespace: of user ids and of group ids.
#[derive(Debug, Clone, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct IdMaps {
    /// Of user ids.
    pub uid: IdMap,
    /// Of group ids.
    pub gid: IdMap,
}

impl IdMaps {
    /// These maps seen from outside the parent namespace, whose maps are given.
    ///
    /// # Errors
    /// If the parent lacks an id that these maps name.
    pub fn over(&self, parent: &Self) -> Result<Self, MapError> {
        Ok(Self { uid: self.uid.over(&parent.uid)?, gid: self.gid.over(&parent.gid)? })
    }

    /// The maps of a child namespace in which every id of this one is itself.
    #[must_use]
    pub fn identity(&self) -> Self {
        Self { uid: self.uid.identity(), gid: self.gid.identity() }
    }

    /// The name under which things that depend on these maps are kept: trees of layers, members of A.
    ///
    /// For a tree, ask the maps as seen from U (see [`IdMaps::over`]): those are the ids on disk.
    #[must_use]
    pub fn key(&self) -> Key {
        let mut hash = Fnv::START;
        for (side, map) in [(b'u', &self.uid), (b'g', &self.gid)] {
            hash.add(&[side]);
            for extent in merged(map.extents()) {
                hash.add(&extent.inner.to_le_bytes());
                hash.add(&extent.outer.to_le_bytes());
                hash.add(&extent.len.to_le_bytes());
            }
        }
        Key(hash.0)
    }
}

/// A name for a pair of maps: 32 hexadecimal digits, the same for equal maps on every machine and release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Key(u128);

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// The text is not a [`Key`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not the key of an id map")]
pub struct BadKey(String);

impl FromStr for Key {
    type Err = BadKey;

    fn from_str(text: &str) -> Result<Self, BadKey> {
        let digits = text.len() == 32 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let value = u128::from_str_radix(text, 16).ok().filter(|_| digits);
        value.map(Self).ok_or_else(|| BadKey(text.to_owned()))
    }
}

impl TryFrom<String> for Key {
    type Error = BadKey;

    fn try_from(text: String) -> Result<Self, BadKey> {
        text.parse()
    }
}

impl From<Key> for String {
    fn from(key: Key) -> Self {
        key.to_string()
    }
}

/// FNV-1a of 128 bits. A key guards nothing (only the user's own maps go in), it must only be stable and not collide by
/// accident; a cryptographic hash would probe the processor at every start.
struct Fnv(u128);

impl Fnv {
    const START: Self = Self(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d);
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;

    fn add(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u128::from(*byte)).wrapping_mul(Self::PRIME);
        }
    }
}

#[cfg(test)]
mod tests;
