//! The way into A as every program of ours goes it: am I there already, which ids are mine, make or join.
//!
//! Where it ends in an error, that says what mends it, so that a command names the same line as `ctr doctor`.

use std::error::Error;
use std::fmt;
use std::path::{Path, PathBuf};

use ctr_core::lock::Waiting;

use crate::level_a::{self, EnterError, Entering, LevelA, Wanted};
use crate::map::IdMaps;
use crate::ranges::{self, Facts, FactsError, Files, Note, RangesError};
use crate::remedy::{Remedy, Surroundings};

/// A could not be entered, and what mends that.
#[derive(Debug)]
pub struct EntryError {
    /// Why.
    pub obstacle: Obstacle,
    /// What mends it, where something is known to.
    pub remedy: Option<Box<Remedy>>,
}

impl fmt::Display for EntryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.obstacle.fmt(f)
    }
}

impl Error for EntryError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.obstacle.source()
    }
}

/// What stands in the way.
#[derive(Debug, thiserror::Error)]
pub enum Obstacle {
    /// `/proc` does not say who we are.
    #[error("cannot find out who we are")]
    Facts(#[from] FactsError),
    /// There are no ids to map.
    #[error("cannot map ids for containers")]
    Ranges(#[from] RangesError),
    /// The namespace.
    #[error("cannot enter the user namespace of your containers")]
    Enter(#[from] EnterError),
}

/// Where the members of A are listed: in the user's own run directory, whatever `--root` and `--runroot` say. Stores may be
/// many; containers of two As could never meet.
#[must_use]
pub fn registry(run: &Path) -> PathBuf {
    run.join("ns")
}

/// The way in, begun.
#[derive(Debug)]
#[must_use = "A may have no map before `finish`"]
pub struct Begun {
    stage: Stage,
    /// Lines of `/etc/subuid` and `/etc/subgid` that were left out.
    pub notes: Vec<Note>,
    facts: Option<Facts>,
}

#[derive(Debug)]
enum Stage {
    Inside(Box<LevelA>),
    Entering(Box<Entering>),
}

impl Begun {
    /// A's maps as they are or will be.
    #[must_use]
    pub fn maps(&self) -> &IdMaps {
        match &self.stage {
            Stage::Inside(a) => &a.maps,
            Stage::Entering(entering) => entering.maps(),
        }
    }

    /// A's 0 is the machine's root, which containers do not get.
    #[must_use]
    pub fn root_of_host(&self) -> bool {
        match &self.stage {
            Stage::Inside(a) => a.root_of_host,
            Stage::Entering(entering) => entering.root_of_host(),
        }
    }

    /// Waits until A has its map.
    ///
    /// # Errors
    /// If a helper fails or takes too long.
    pub fn finish(self) -> Result<LevelA, EntryError> {
        match self.stage {
            Stage::Inside(a) => Ok(*a),
            Stage::Entering(entering) => {
                entering.finish().map_err(|err| entering_failed(err, self.facts.as_ref()))
            }
        }
    }
}

/// Begins the way in. `run` is the user's own run directory; `name` is the user's where `/etc/passwd` has none.
///
/// # Errors
/// See [`Obstacle`].
pub fn begin(
    run: &Path,
    name: Option<&str>,
    own_mounts: bool,
    on_wait: &mut dyn FnMut(&Waiting),
) -> Result<Begun, EntryError> {
    begin_as(run, name, Why::ToWork { own_mounts }, on_wait)
}

/// Begins the way in for one who removes things, be it that the run directory is on a full disk: then others do not find this
/// process.
///
/// # Errors
/// See [`Obstacle`].
pub fn begin_to_remove(
    run: &Path,
    name: Option<&str>,
    on_wait: &mut dyn FnMut(&Waiting),
) -> Result<Begun, EntryError> {
    begin_as(run, name, Why::ToRemove, on_wait)
}

/// What somebody goes into A for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    ToWork { own_mounts: bool },
    ToRemove,
}

fn begin_as(
    run: &Path,
    name: Option<&str>,
    why: Why,
    on_wait: &mut dyn FnMut(&Waiting),
) -> Result<Begun, EntryError> {
    let (own_mounts, may_be_unlisted) = (why == Why::ToWork { own_mounts: true }, why == Why::ToRemove);
    let registry = registry(run);
    if let Some(a) = level_a::current(&registry, may_be_unlisted).map_err(|err| entering_failed(err, None))? {
        if own_mounts {
            level_a::own_mounts().map_err(|err| entering_failed(err, None))?;
        }
        return Ok(Begun { stage: Stage::Inside(Box::new(a)), notes: Vec::new(), facts: None });
    }
    let mut facts =
        Facts::of_this_process().map_err(|err| EntryError { obstacle: err.into(), remedy: None })?;
    facts.name = facts.name.or_else(|| name.map(str::to_owned));
    let files = Files::default();
    let found = ranges::discover(&facts, &files).map_err(|err| {
        let remedy = Surroundings::look(&facts, &files).for_ranges(&err).map(Box::new);
        EntryError { obstacle: err.into(), remedy }
    })?;
    let wanted = Wanted {
        own_mounts,
        may_be_unlisted,
        root_of_host: facts.is_root_of_host(),
        ..Wanted::new(&registry, &found.source)
    };
    let entering = level_a::begin(&wanted, on_wait).map_err(|err| entering_failed(err, Some(&facts)))?;
    Ok(Begun { stage: Stage::Entering(Box::new(entering)), notes: found.notes, facts: Some(facts) })
}

/// Goes all the way in.
///
/// # Errors
/// See [`Obstacle`].
pub fn enter(
    run: &Path,
    name: Option<&str>,
    own_mounts: bool,
    on_wait: &mut dyn FnMut(&Waiting),
) -> Result<LevelA, EntryError> {
    begin(run, name, own_mounts, on_wait)?.finish()
}

fn entering_failed(err: EnterError, facts: Option<&Facts>) -> EntryError {
    let remedy = facts.and_then(|facts| Surroundings::look(facts, &Files::default()).for_entering(&err));
    EntryError { obstacle: err.into(), remedy: remedy.map(Box::new) }
}
