//! The files of containers, for commands that work on them from outside.
//!
//! # Theory of operation
//! ```text
//! it runs          its first process' root as /proc has it, with all that is mounted there
//! it does not      its root, and its binds and volumes on that, mounted in a mount namespace of this process alone
//! ```
//! `create` has volumes filled in the same way, where the configuration asks for that ([`prepare_volumes`]).
//!
//! A container that does not run is held meanwhile: it cannot be started, and two overlays never share an upper folder.
//! What a start makes anew is not there: what is copied to the place of a tmpfs goes into the root below it, from where the
//! tmpfs takes it at the start, as in Podman. What would be hidden by a mount of another kind cannot be written.
//!
//! # Process context
//! One thread, which moves from U into A.
//!
//! # Failure
//! Mounts and locks go with this process, however it ends.

use std::ffi::OsString;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use ctr_core::rooted::{Root, Stat, TreeError};
use ctr_sys::mount::{Attributes, attach, copy, set_attributes};
use ctr_userns::entry::Begun;
use ctr_userns::level_a::LevelA;
use ctr_userns::level_b::Plan;
use ctr_userns::map::IdMaps;
use rustix::fs::{AtFlags, FileType, Mode};
use rustix::io::Errno;
use rustix::mount::MountAttrFlags;

use super::join::Target as Namespace;
use super::kept::{self, Held};
use super::share::Shares;
use super::volumes::{self, Place};
use super::{BindError, Container, Host, Note, RunError, accounts, binds, enter, flags, root};
use crate::containers::{Container as Known, Containers, ContainersError, Kind};
use crate::exec;
use crate::mounts::{Access, Mount, Target, What};
use crate::namespaces;

/// How often a container is asked for that somebody else holds; each turn takes half a second.
const PATIENCE: u32 = 20;
/// The mode of places that mounts need.
const PLACE: Mode = Mode::from_raw_mode(0o755);

/// The files of a container cannot be reached.
#[derive(Debug, thiserror::Error)]
pub enum VisitError {
    /// What a start would have failed of, too.
    #[error(transparent)]
    Run(Box<RunError>),
    /// Its first process has just gone, or is not there yet.
    #[error("container {0} is not running")]
    NotRunning(String),
    /// Somebody else works with it.
    #[error("container {0} is held by another process")]
    Held(String),
    /// The root of its first process.
    #[error("cannot open the root of container {name}")]
    Root {
        /// Which.
        name: String,
        /// Why.
        #[source]
        source: Box<exec::ExecError>,
    },
    /// Something that is mounted into it.
    #[error("cannot mount {target}")]
    Attach {
        /// Where.
        target: String,
        /// Why.
        #[source]
        errno: Errno,
    },
    /// A place for a mount.
    #[error(transparent)]
    Place(TreeError),
}

impl<E: Into<RunError>> From<E> for VisitError {
    fn from(error: E) -> Self {
        Self::Run(Box::new(error.into()))
    }
}

/// Containers whose files can be reached.
#[derive(Debug)]
pub struct Visit {
    visited: Vec<Files>,
    /// Others find A through us for as long as we live.
    _a: LevelA,
}

/// The files of a container.
#[derive(Debug)]
pub struct Files {
    /// Its record, as it was when its files were reached.
    pub container: Known,
    /// Its root.
    pub root: Root,
    /// Its maps, outer ids being A's.
    pub maps: IdMaps,
    _mounted: Option<Mounted>,
    /// One that does not run stays so.
    _held: Option<Held>,
}

/// What was mounted for us alone.
#[derive(Debug)]
struct Mounted {
    at: PathBuf,
    /// Places that had to be made for mounts, the outermost first.
    made: Vec<Made>,
}

/// A place that had to be made.
#[derive(Debug)]
struct Made {
    dir: OwnedFd,
    name: OsString,
    is_file: bool,
}

impl Drop for Mounted {
    /// A volume, or the container's own layer, is as it was, but for what was copied: what cannot be removed has
    /// something in it by now.
    fn drop(&mut self) {
        if binds::detach(&self.at).is_err() {
            return;
        }
        for Made { dir, name, is_file } in self.made.iter().rev() {
            let written = *is_file && Stat::at(dir.as_fd(), name).is_ok_and(|stat| stat.size > 0);
            let flags = if *is_file { AtFlags::empty() } else { AtFlags::REMOVEDIR };
            if !written {
                rustix::fs::unlinkat(dir, name, flags).ok();
            }
        }
    }
}

impl Visit {
    /// The files of one of them.
    #[must_use]
    pub fn of(&self, container: &Known) -> Option<&Files> {
        self.visited.iter().find(|files| files.container.record.id == container.record.id)
    }
}

/// A container on the way.
pub(super) enum Found {
    Running(Known),
    Held(Known, Box<Held>),
}

/// Reaches the files of containers. None at all is a way into A.
///
/// # Errors
/// One is gone, or held by somebody else for long; its root cannot be mounted.
pub fn visit(host: Host<'_>, containers: &[&Known], note: &mut dyn FnMut(Note)) -> Result<Visit, VisitError> {
    let mut wanted = containers.to_vec();
    // In one order for all: two commands never wait for each other.
    wanted.sort_by(|a, b| a.record.id.cmp(&b.record.id));
    wanted.dedup_by(|a, b| a.record.id == b.record.id);
    let found: Vec<Found> = wanted.into_iter().map(|one| find(host, one)).collect::<Result<_, _>>()?;
    let begun = enter(host, note)?;
    let all = Containers::new(host.dirs);
    let mut plans = Vec::new();
    for one in &found {
        plans.push(match one {
            Found::Running(_) => None,
            Found::Held(known, held) => Some(plan_of(host, (known, held), &begun, &all, &found)?),
        });
    }
    let a = begun.finish()?;
    let mut visited = Vec::new();
    for (one, plan) in found.into_iter().zip(plans) {
        visited.push(match (one, plan) {
            (Found::Held(known, held), Some(plan)) => {
                let plan = match plan {
                    Ok(plan) => plan,
                    Err(namespace) => namespace.open(&all, &a)?.plan,
                };
                let (root, mounted) = mounted(&held.container(host), &a, &plan, note)?;
                // To decide about ids may have written down whom it runs as.
                let now = all.by_id(held.id())?.unwrap_or(known);
                Files { container: now, root, maps: plan.maps, _mounted: Some(mounted), _held: Some(*held) }
            }
            (Found::Running(known) | Found::Held(known, _), _) => running(known, &a)?,
        });
    }
    Ok(Visit { visited, _a: a })
}

/// Makes the volumes of a container ready that is not started yet: each is mounted once where the container will have it, which
/// copies what the image has there.
///
/// # Errors
/// What a start would fail of, too.
pub fn prepare_volumes(host: Host<'_>, held: &Held, note: &mut dyn FnMut(Note)) -> Result<(), VisitError> {
    let takes =
        |mount: &Mount| matches!(&mount.what, What::Volume(volume) if !volume.overlay && !volume.no_copy_up);
    if !held.request.storage.mounts.iter().any(takes) {
        return Ok(());
    }
    let all = Containers::new(host.dirs);
    let missing = || ContainersError::NotFound(held.id().to_owned());
    let known = all.by_id(held.id())?.ok_or_else(missing)?;
    let begun = enter(host, note)?;
    let plan = plan_of(host, (&known, held), &begun, &all, &[])?;
    let a = begun.finish()?;
    let plan = match plan {
        Ok(plan) => plan,
        Err(namespace) => namespace.open(&all, &a)?.plan,
    };
    mounted(&held.container(host), &a, &plan, note).map(drop)
}

/// The ids of a container that does not run, or whose they are, which only A can tell. It may be that those are of another
/// one that does not run, which is held already, or has to be meanwhile.
pub(super) fn plan_of(
    host: Host<'_>,
    (known, held): (&Known, &Held),
    begun: &Begun,
    all: &Containers,
    others: &[Found],
) -> Result<Result<Plan, Namespace>, VisitError> {
    let with = |maps: &IdMaps| Ok(Ok(Plan { maps: maps.clone(), user: None }));
    let choice = flags(&held.request).choose()?;
    let mut request = held.request.clone();
    request.namespaces.entered = None;
    if matches!(request.namespaces.network, namespaces::Mode::Path(_)) {
        // The namespace may be gone, and the ids that came with it are known.
        request.namespaces.network = namespaces::Mode::Host;
    }
    let shared = Shares::find(all, &mut request)?.target(&choice)?;
    match (shared, known.maps()) {
        (None, _) => Ok(Ok(held.plan(&held.container(host), &choice, begun, all)?)),
        (Some(_), Some(maps)) => with(maps),
        (Some(Namespace::Container(owner)), None) => {
            let owner = all.find(&owner)?;
            match owner.maps() {
                Some(maps) => with(maps),
                // Whom that one's command runs as is its own affair.
                None => {
                    Ok(plan_of_owner(host, &owner, begun, all, others)?
                        .map(|plan| Plan { user: None, ..plan }))
                }
            }
        }
        (Some(namespace), None) => Ok(Err(namespace)),
    }
}

/// The ids of a container that another one has its user namespace of, and that was never started.
fn plan_of_owner(
    host: Host<'_>,
    owner: &Known,
    begun: &Begun,
    all: &Containers,
    others: &[Found],
) -> Result<Result<Plan, Namespace>, VisitError> {
    let ours = others.iter().find_map(|other| match other {
        Found::Held(known, held) if known.record.id == owner.record.id => Some((known, &**held)),
        _ => None,
    });
    if let Some(ours) = ours {
        return plan_of(host, ours, begun, all, others);
    }
    match find(host, owner)? {
        Found::Running(now) => {
            let maps = now.maps().cloned().ok_or_else(|| VisitError::NotRunning(now.record.name.clone()))?;
            Ok(Ok(Plan { maps, user: None }))
        }
        Found::Held(known, held) => plan_of(host, (&known, &held), begun, all, others),
    }
}

/// Finds out whether a container runs; if not, takes hold of it.
pub(super) fn find(host: Host<'_>, container: &Known) -> Result<Found, VisitError> {
    let Known { record, .. } = container;
    for _ in 0..PATIENCE {
        let missing = || ContainersError::NotFound(record.name.clone());
        let now = Containers::new(host.dirs).by_id(record.id.as_str())?.ok_or_else(missing)?;
        if now.is_running().map_err(ContainersError::from)? {
            return Ok(Found::Running(now));
        }
        if now.kind == Kind::Fleeting {
            return Err(VisitError::NotRunning(record.name.clone()));
        }
        if let Some(held) = kept::hold(host, &now)? {
            return Ok(Found::Held(now, Box::new(held)));
        }
    }
    Err(VisitError::Held(record.name.clone()))
}

fn running(container: Known, a: &LevelA) -> Result<Files, VisitError> {
    let name = || container.record.name.clone();
    let state = container.state.as_ref().ok_or_else(|| VisitError::NotRunning(name()))?;
    let root = exec::root(state);
    // It was that process' throughout if it still lives.
    if !container.is_running().map_err(ContainersError::from)? {
        return Err(VisitError::NotRunning(name()));
    }
    let root = root.map_err(|source| VisitError::Root { name: name(), source: source.into() })?;
    let maps = container.maps().cloned().unwrap_or_else(|| a.maps.identity());
    Ok(Files { container, root, maps, _mounted: None, _held: None })
}

/// Mounts the root of a container that does not run, and what is mounted into it.
fn mounted(
    container: &Container<'_>,
    a: &LevelA,
    plan: &Plan,
    note: &mut dyn FnMut(Note),
) -> Result<(Root, Mounted), VisitError> {
    let mount = root::mount(container, a, plan, note)?;
    // What is put there is for the next start, which an upper folder with this mark would refuse.
    root::tidy(container);
    // A mount can only be put on one that is somewhere.
    let at = root::anchor(container)?;
    binds::attach(&mount, &at).map_err(|errno| VisitError::Attach { target: "/".to_owned(), errno })?;
    let root = Root::from_dir(mount);
    let mut mounted = Mounted { at, made: Vec::new() };
    for (number, mount) in container.request.storage.mounts.iter().enumerate() {
        let source = source(container, plan, &root, (mount, number), note)?;
        let is_file = match &source {
            Source::Mount(source, _) => !is_dir(source, &mount.target)?,
            Source::Nothing | Source::New { .. } => false,
        };
        let place = match source {
            Source::Nothing => continue,
            _ => place(&root, &mount.target, is_file, plan, &mut mounted.made)?,
        };
        let failed = |errno| VisitError::Attach { target: mount.target.to_string(), errno };
        match source {
            Source::Mount(source, read_only) => put(&source, &place, read_only).map_err(failed)?,
            // What is written there would never be seen.
            Source::New { hides: true } => {
                let cover = copy(place.as_fd(), false).map_err(failed)?;
                put(&cover, &place, true).map_err(failed)?;
            }
            Source::New { hides: false } | Source::Nothing => {}
        }
    }
    Ok((root, mounted))
}

fn put(mount: &OwnedFd, place: &OwnedFd, read_only: bool) -> rustix::io::Result<()> {
    if read_only {
        let change = Attributes::new(u64::from(MountAttrFlags::MOUNT_ATTR_RDONLY.bits()), 0, 0);
        set_attributes(mount.as_fd(), &change, true)?;
    }
    attach(mount.as_fd(), place.as_fd())
}

/// What is mounted at a place.
enum Source {
    /// Something that outlives a start, perhaps read-only.
    Mount(OwnedFd, bool),
    /// Something that a start makes anew. A tmpfs begins with what is below it, others hide that.
    New { hides: bool },
    /// What was there once.
    Nothing,
}

fn source(
    container: &Container<'_>,
    plan: &Plan,
    root: &Root,
    (mount, number): (&Mount, usize),
    note: &mut dyn FnMut(Note),
) -> Result<Source, VisitError> {
    let read_only = |access: Access| access.read_only == Some(true);
    Ok(match &mount.what {
        What::Bind(bind) => match binds::open(bind) {
            Err(BindError::Open { path, .. }) => {
                note(Note::NoSource(path));
                Source::Nothing
            }
            opened => Source::Mount(opened?, read_only(bind.access)),
        },
        What::Volume(volume) if !volume.overlay => {
            let accounts = accounts::read(root)?;
            let who = container.identity(plan, &accounts)?;
            let user = plan.maps.uid.to_outer(who.uid).zip(plan.maps.gid.to_outer(who.gid));
            let user = user.ok_or(RunError::NoSuchId { uid: who.uid, gid: who.gid })?;
            let place = Place { container, root, target: &mount.target, user, labels: None, number };
            Source::Mount(volumes::open(volume, &place, note)?, read_only(volume.access))
        }
        What::Volume(_) | What::Overlay(_) | What::Image(_) | What::Devpts(_) => Source::New { hides: true },
        What::Tmpfs(_) => Source::New { hides: false },
    })
}

fn is_dir(source: &OwnedFd, target: &Target) -> Result<bool, VisitError> {
    let stat = rustix::fs::fstat(source);
    let stat = stat.map_err(|errno| VisitError::Attach { target: target.to_string(), errno })?;
    Ok(FileType::from_raw_mode(stat.st_mode) == FileType::Directory)
}

/// The place of a mount; what is missing on the way is made, and is the container's root's.
fn place(
    root: &Root,
    target: &Target,
    is_file: bool,
    plan: &Plan,
    made: &mut Vec<Made>,
) -> Result<OwnedFd, VisitError> {
    let path = Path::new(target.as_str());
    let mut missing = Vec::new();
    for above in path.ancestors() {
        if root.exists(above).map_err(VisitError::Place)? {
            break;
        }
        missing.push(above);
    }
    let place = if is_file { root.ensure_file(path, PLACE, PLACE) } else { root.mkdir_all(path, PLACE) };
    let place = place.map_err(VisitError::Place)?;
    for (number, path) in missing.iter().enumerate().rev() {
        let owned = root.set_owner(path, plan.maps.uid.to_outer(0), plan.maps.gid.to_outer(0));
        owned.and_then(|()| root.set_mode(path, PLACE)).map_err(VisitError::Place)?;
        let (dir, name) = root.parent_of(path).map_err(VisitError::Place)?;
        made.push(Made { dir, name: name.to_owned(), is_file: is_file && number == 0 });
    }
    Ok(place)
}
