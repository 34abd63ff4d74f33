//! Namespace A: electing it, joining it, moving into it.
//!
//! # Theory of operation
//! All of a user's commands must share one A for one map, since processes in sibling user namespaces can never reach each
//! other's files or networks. A lives as long as a process is in it; nothing keeps it alive for its own sake.
//!
//! ```text
//! ns/lock                        held from "no member lives" until the new A has its map and its first member
//! ns/<key of the map>/<pid>.<n>  a member: which process, in which A, of which U. Anyone may join A through it
//! ```
//!
//! Joining takes no lock: a member's namespace is opened, which keeps it alive whatever becomes of the member, it is
//! checked to be what the record says (the same one, our own, a child of our U), and entered. If no member
//! lives, the lock is taken, members are looked for again, and only then is A made: the processes that will write the
//! map are forked first, since from inside A nobody can; the caller moves, opens their gate, and waits for them. That is
//! the time in which a caller does what needs no map: see [`begin`].
//!
//! If the ranges changed while an A lives, the key differs, and a second A comes to be. [`live`] lists all of them.
//!
//! # Invariants
//! Nobody calls setgroups here: the groups of the login reach into A, and files that only a group may read with them.
//! A member keeps being dumpable, else its namespace could not be opened. Only user namespaces are joined, never a mount
//! namespace: an old one shows an old world.
//!
//! # Process context
//! The calling process itself moves; it must be single-threaded (the kernel says EINVAL otherwise).
//!
//! # Failure
//! A helper that does not end is killed after [`Wanted::patience`]. After an error the caller may be in a namespace without
//! a map, where nothing works: it should report and exit. Records of the dead are swept by the next one that makes an A.

mod helper;
mod member;
mod refusal;

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ctr_core::file::FileError;
use ctr_core::lock::{Lock, Mode, Waiting};
use rustix::io::Errno;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::map::{IdMaps, Key, MapError};
use crate::ranges::{FactsError, INITIAL_USER_NAMESPACE, Source};

pub use helper::{HelperError, HelperProblem, Helpers, MapWriteError, Standing};
pub use member::{Live, live};
pub use refusal::Refusal;

use helper::Writers;
use member::{Found, Member};

/// Which namespace: two are the same if and only if these are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct Identity {
    /// The device of nsfs.
    pub dev: u64,
    /// The inode there.
    pub ino: u64,
}

impl Identity {
    /// Of an open namespace.
    ///
    /// # Errors
    /// If the descriptor cannot be inspected.
    pub fn of(namespace: BorrowedFd<'_>) -> io::Result<Self> {
        let stat = rustix::fs::fstat(namespace)?;
        Ok(Self { dev: stat.st_dev, ino: stat.st_ino })
    }

    /// Of the user namespace this process is in.
    ///
    /// # Errors
    /// If `/proc` is not there.
    pub fn own() -> io::Result<Self> {
        let stat = rustix::fs::stat("/proc/self/ns/user")?;
        Ok(Self { dev: stat.st_dev, ino: stat.st_ino })
    }
}

/// What A is wanted.
#[derive(Debug)]
pub struct Wanted<'a> {
    /// The directory of members, `ns` of the run directory. It is made if it is not there.
    pub registry: &'a Path,
    /// What A maps.
    pub source: &'a Source,
    /// Also move into a mount namespace of our own, so that mounts stay ours.
    pub own_mounts: bool,
    /// Where the list of members has no room nobody needs to find A through this process: it is there to remove something,
    /// which is what makes room.
    pub may_be_unlisted: bool,
    /// The user is the machine's root.
    pub root_of_host: bool,
    /// Where the set-uid helpers are.
    pub helpers: &'a Helpers,
    /// How long a helper may take.
    pub patience: Duration,
}

impl<'a> Wanted<'a> {
    /// The usual: no mount namespace, the system's helpers, ten seconds.
    #[must_use]
    pub const fn new(registry: &'a Path, source: &'a Source) -> Self {
        Self {
            registry,
            source,
            own_mounts: false,
            may_be_unlisted: false,
            root_of_host: false,
            helpers: &Helpers::SYSTEM,
            patience: Duration::from_secs(10),
        }
    }

    /// The same with a mount namespace of our own.
    #[must_use]
    pub const fn with_own_mounts(self) -> Self {
        Self { own_mounts: true, ..self }
    }
}

/// A could not be entered.
#[derive(Debug, thiserror::Error)]
pub enum EnterError {
    /// The directory of members.
    #[error("cannot use the registry of namespaces")]
    Registry(#[source] FileError),
    /// The kernel does not let us have a user namespace.
    #[error("cannot create a user namespace: {refusal}")]
    Refused {
        /// What forbids it.
        refusal: Refusal,
        /// What the kernel said.
        #[source]
        source: Errno,
    },
    /// Joining failed although the namespace is ours.
    #[error("cannot join the user namespace of process {pid}")]
    Join {
        /// The member.
        pid: u32,
        /// What the kernel said.
        #[source]
        source: Errno,
    },
    /// A mount namespace in A is refused.
    #[error("cannot create a mount namespace: {refusal}")]
    Mounts {
        /// What forbids it.
        refusal: Refusal,
        /// What the kernel said.
        #[source]
        source: Errno,
    },
    /// One of the helpers.
    #[error(transparent)]
    Helper(#[from] HelperError),
    /// Writing the map ourselves.
    #[error(transparent)]
    Write(#[from] MapWriteError),
    /// The map cannot be cut to U's.
    #[error("the id map does not fit the user namespace we run in")]
    Map(#[source] MapError),
    /// `/proc` does not say who we are.
    #[error(transparent)]
    Facts(#[from] FactsError),
    /// The helpers said that all went well, but the map is another.
    #[error("the id map is not the one asked for")]
    OtherMap,
    /// The kernel is out of something.
    #[error("cannot {action}")]
    System {
        /// What was tried.
        action: &'static str,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

/// The calling process is in A. Dropping this takes it off the list of members; the process stays where it is.
#[derive(Debug)]
#[must_use = "when this is dropped, others can no longer find A through this process"]
pub struct LevelA {
    /// A's maps: its ids to those of U.
    pub maps: IdMaps,
    /// The name of A's map.
    pub key: Key,
    /// The user namespace.
    pub namespace: OwnedFd,
    /// Which one that is.
    pub inner: Identity,
    /// Which one U is. A peer must prove that it is in one of the two.
    pub outer: Identity,
    /// Nobody was in A before us.
    pub fresh: bool,
    /// A's 0 is the machine's root, which containers do not get.
    pub root_of_host: bool,
    member: Option<Member>,
}

impl LevelA {
    /// The user's ids in U, who is 0 here.
    #[must_use]
    pub fn user(&self) -> (u32, u32) {
        // A maps its 0 always: that is how it is made.
        (self.maps.uid.to_outer(0).unwrap_or_default(), self.maps.gid.to_outer(0).unwrap_or_default())
    }

    /// A user namespace lies in this A: it is A itself, or a child.
    ///
    /// # Errors
    /// If the descriptor is not of a user namespace.
    pub fn holds(&self, namespace: BorrowedFd<'_>) -> io::Result<bool> {
        if Identity::of(namespace)? == self.inner {
            return Ok(true);
        }
        match ctr_sys::userns::parent(namespace) {
            Ok(parent) => Ok(Identity::of(parent.as_fd())? == self.inner),
            // Not a descendant of ours.
            Err(Errno::PERM) => Ok(false),
            Err(err) => Err(err.into()),
        }
    }

    /// Keeps this process on the list although the value goes away: for one that becomes another program.
    pub fn stay_listed(mut self) {
        if let Some(member) = self.member.take() {
            member.leave_behind();
        }
    }
}

/// Enters A: [`begin`], and nothing in between.
///
/// # Errors
/// See [`EnterError`].
pub fn enter(wanted: &Wanted<'_>, on_wait: &mut dyn FnMut(&Waiting)) -> Result<LevelA, EnterError> {
    begin(wanted, on_wait)?.finish()
}

/// The process is in A already: it was started by one that is (`ctr unshare`).
///
/// # Errors
/// If the registry or `/proc` cannot be read.
pub fn current(registry: &Path, may_be_unlisted: bool) -> Result<Option<LevelA>, EnterError> {
    let inner = Identity::own()
        .map_err(|source| EnterError::System { action: "inspect /proc/self/ns/user", source })?;
    if inner.ino == INITIAL_USER_NAMESPACE {
        return Ok(None);
    }
    let Some(found) = member::living_in(registry, inner).map_err(EnterError::Registry)? else {
        return Ok(None);
    };
    let maps = crate::ranges::own_maps()?;
    let (outer, root_of_host) = (found.outer, found.root_of_host);
    let entered = Entered { inner, outer, fresh: false, root_of_host, may_be_unlisted };
    entered.registered(registry, found.key, maps).map(Some)
}

/// Starts entering A: the process has moved when this returns, but a fresh A has no map until [`Entering::finish`].
///
/// What needs no id (reading records, preparing memory) can be done in between.
///
/// # Errors
/// See [`EnterError`].
pub fn begin(wanted: &Wanted<'_>, on_wait: &mut dyn FnMut(&Waiting)) -> Result<Entering, EnterError> {
    let outer = Identity::own()
        .map_err(|source| EnterError::System { action: "inspect /proc/self/ns/user", source })?;
    let maps = wanted.source.maps();
    let key = maps.key();
    let mut entering = Entering {
        registry: wanted.registry.to_owned(),
        key,
        maps: maps.clone(),
        patience: wanted.patience,
        entered: Entered {
            inner: outer,
            outer,
            fresh: false,
            root_of_host: wanted.root_of_host,
            may_be_unlisted: wanted.may_be_unlisted,
        },
        making: None,
    };
    if join(wanted, key, &mut entering.entered)? {
        return Ok(entering);
    }
    let lock = match elect(wanted.registry, on_wait) {
        Ok(lock) => Some(lock),
        // An A that is not on the list is nobody's rival.
        Err(error) if wanted.may_be_unlisted && error.lacks_room() => None,
        Err(error) => return Err(EnterError::Registry(error)),
    };
    member::sweep(wanted.registry).map_err(EnterError::Registry)?;
    if join(wanted, key, &mut entering.entered)? {
        return Ok(entering);
    }
    entering.making = Some(make(wanted, lock)?);
    entering.entered.fresh = true;
    Ok(entering)
}

/// Keeps others from making an A.
fn elect(registry: &Path, on_wait: &mut dyn FnMut(&Waiting)) -> Result<Lock, FileError> {
    ctr_core::atomic::private_directory(registry)?;
    Lock::acquire(&registry.join("lock"), Mode::Exclusive, on_wait)
}

/// A that has been moved into but may lack its map.
#[derive(Debug)]
#[must_use = "A has no map before `finish`"]
pub struct Entering {
    registry: PathBuf,
    key: Key,
    maps: IdMaps,
    patience: Duration,
    entered: Entered,
    making: Option<Making>,
}

/// A fresh A whose map is being written.
#[derive(Debug)]
struct Making {
    writers: Writers,
    lock: Option<Lock>,
}

impl Entering {
    /// A's maps as they are or will be.
    #[must_use]
    pub const fn maps(&self) -> &IdMaps {
        &self.maps
    }

    /// The user is the machine's root.
    #[must_use]
    pub const fn root_of_host(&self) -> bool {
        self.entered.root_of_host
    }

    /// Waits for the map, and puts this process on the list of members.
    ///
    /// # Errors
    /// If a helper fails or takes too long.
    pub fn finish(mut self) -> Result<LevelA, EnterError> {
        let Some(Making { writers, lock }) = self.making else {
            return self.entered.registered(&self.registry, self.key, self.maps);
        };
        if !writers.wait(self.patience)? && crate::ranges::own_maps()? != self.maps {
            return Err(EnterError::OtherMap);
        }
        self.entered.inner = Identity::own()
            .map_err(|source| EnterError::System { action: "inspect /proc/self/ns/user", source })?;
        let entered = self.entered.registered(&self.registry, self.key, self.maps);
        drop(lock);
        entered
    }
}

/// What is known of the namespaces.
#[derive(Debug, Clone, Copy)]
struct Entered {
    inner: Identity,
    outer: Identity,
    fresh: bool,
    root_of_host: bool,
    may_be_unlisted: bool,
}

impl Entered {
    fn registered(self, registry: &Path, key: Key, maps: IdMaps) -> Result<LevelA, EnterError> {
        let path = PathBuf::from("/proc/self/ns/user");
        let namespace = File::open(&path)
            .map_err(|source| EnterError::System { action: "open /proc/self/ns/user", source })?
            .into();
        let Self { inner, outer, fresh, root_of_host, may_be_unlisted } = self;
        let member = match Member::register(registry, key, inner, outer, root_of_host) {
            Ok(member) => Some(member),
            Err(error) if may_be_unlisted && error.lacks_room() => None,
            Err(error) => return Err(EnterError::Registry(error)),
        };
        Ok(LevelA { maps, key, namespace, inner, outer, fresh, root_of_host, member })
    }
}

/// Moves into the A of a living member, if there is one.
fn join(wanted: &Wanted<'_>, key: Key, entered: &mut Entered) -> Result<bool, EnterError> {
    let outer = entered.outer;
    let found = member::find(wanted.registry, key, outer).map_err(EnterError::Registry)?;
    let Some(Found { pid, namespace, inner }) = found else { return Ok(false) };
    move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::User))
        .map_err(|source| EnterError::Join { pid, source })?;
    entered.inner = inner;
    if wanted.own_mounts {
        own_mounts()?;
    }
    Ok(true)
}

/// Moves into a new mount namespace. Mounts of U's arrive there, ours stay.
pub(crate) fn own_mounts() -> Result<(), EnterError> {
    ctr_sys::userns::move_into_new_mounts()
        .map_err(|source| EnterError::Mounts { refusal: Refusal::of(source), source })
}

/// Makes a fresh A and moves into it; its map is on the way when this returns.
fn make(wanted: &Wanted<'_>, lock: Option<Lock>) -> Result<Making, EnterError> {
    let waiting = Writers::prepare(wanted.source, wanted.helpers)?;
    if let Err(source) = ctr_sys::userns::move_into_new(wanted.own_mounts) {
        waiting.dismiss();
        return Err(EnterError::Refused { refusal: Refusal::of(source), source });
    }
    let writers = waiting.let_through()?;
    Ok(Making { writers, lock })
}
