//! Starting a container, from a request to a running command.
//!
//! # Theory of operation
//! ```text
//! U   read who we are, find the image                      (the gc lock is shared)
//!     claim an identity and a name, publish the record     (the gc lock is free again)
//!     enter A: helpers write its map meanwhile
//! A   mount the root, read who the user is, open what is bound
//!     specification → plan → the container's init
//! ```
//! [`foreground`] does that for a fleeting container, waits, and removes everything: this process is the container's
//! parent. [`kept`] does it for all others, in a process of its own that becomes the container's monitor.
//!
//! # Process context
//! One thread. It starts in U and ends in A with a mount namespace of its own.
//!
//! # Failure
//! Every error removes what was made. A kill leaves an unlocked folder and an upper folder ([`crate::containers`]), and
//! the kernel kills the container with us.

pub(crate) mod accounts;
mod binds;
mod files;
mod join;
pub mod kept;
mod labels;
mod record;
mod root;
pub mod session;
pub(crate) mod share;
pub(crate) mod start;
mod streams;
pub mod visit;
mod volumes;
mod zone;

use std::borrow::Cow;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use ctr_core::file::FileError;
use ctr_core::lock::{Lock, Waiting};
use ctr_core::oci::RunConfig;
use ctr_core::paths::Dirs;
use ctr_core::platform::{Platform, PlatformError};
use ctr_core::rooted::{Root, TreeError};
use ctr_runtime::agent::AgentError;
use ctr_runtime::cgroup::GroupError;
use ctr_runtime::launch::LaunchError;
use ctr_runtime::plan::PlanError;
use ctr_runtime::seccomp::{CompileError, ProfileError};
use ctr_store::{Image, ResolveError, Store};
use ctr_userns::entry::{self, Begun, EntryError};
use ctr_userns::level_a::LevelA;
use ctr_userns::level_b::{self, Choice, Flags, Given, Plan};
use ctr_userns::map::{IdMaps, MapError};
use ctr_userns::ranges::Files as IdFiles;
use rustix::io::Errno;

pub use accounts::AccountsError;
pub use binds::BindError;
pub use join::JoinError;
pub use root::RootError;
pub use share::ShareError;
pub use volumes::VolumeMountError;

use accounts::Newcomer;
use join::{Joined, Target};
use share::Shares;
use start::{Settled, Start, Started};
use streams::Streams;

use crate::attach::ConnectError;
use crate::containers::{Claim, Containers, ContainersError, Kind};
use crate::create::CreateError;
use crate::dependencies::{self, DependencyError, Marked};
use crate::happened::Who;
use crate::namespaces::Mode;
use crate::request::{Request, SettleError, Source};
use crate::subscriptions::{self, Subscription};
use crate::supervise::{End, Rules, SuperviseError, Waited, Watch};
use crate::ulimit::UlimitError;
use crate::units::UnitError;
use crate::user::{self, Accounts, Identity, UserError, UserSpec};
use crate::volumes::{self as all_volumes, Found, Naming, VolumesError};

/// Why a container did not run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The image.
    #[error(transparent)]
    Image(#[from] ResolveError),
    /// `--platform`.
    #[error(transparent)]
    Platform(#[from] PlatformError),
    /// Entering A.
    #[error(transparent)]
    Enter(#[from] EntryError),
    /// `--userns` and its relatives.
    #[error(transparent)]
    Userns(#[from] level_b::ModeError),
    /// The container's map.
    #[error(transparent)]
    Map(#[from] level_b::PlanError),
    /// A namespace to join.
    #[error(transparent)]
    Join(#[from] JoinError),
    /// What is shared with another container.
    #[error(transparent)]
    Share(#[from] ShareError),
    /// The lines of that map.
    #[error("cannot write the container's id map")]
    Lines(#[from] MapError),
    /// Records and names.
    #[error(transparent)]
    Containers(#[from] ContainersError),
    /// The root.
    #[error(transparent)]
    Root(#[from] RootError),
    /// A file in the root.
    #[error("cannot prepare the root of the container")]
    Tree(#[from] TreeError),
    /// passwd and group.
    #[error(transparent)]
    Accounts(#[from] AccountsError),
    /// The user.
    #[error(transparent)]
    User(#[from] UserError),
    /// A bind.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// What else it needs.
    #[error(transparent)]
    Dependency(#[from] DependencyError),
    /// Which volumes there are.
    #[error(transparent)]
    Volumes(#[from] VolumesError),
    /// A volume.
    #[error(transparent)]
    VolumeMount(#[from] VolumeMountError),
    /// The specification.
    #[error(transparent)]
    Create(#[from] CreateError),
    /// Limits.
    #[error(transparent)]
    Ulimit(#[from] UlimitError),
    /// A zone.
    #[error(transparent)]
    Unit(#[from] UnitError),
    /// A file of ours.
    #[error(transparent)]
    File(#[from] FileError),
    /// The plan.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The start.
    #[error(transparent)]
    Launch(#[from] LaunchError),
    /// The program that answers where a profile asks.
    #[error(transparent)]
    Agent(#[from] AgentError),
    /// The profile of system calls.
    #[error("cannot use the seccomp profile")]
    Seccomp(#[from] CompileError),
    /// A profile in a file.
    #[error("cannot read the seccomp profile {path}")]
    Profile {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: ProfileError,
    },
    /// More than one thread, or no /proc.
    #[error("cannot clone a container")]
    Clone(#[source] Errno),
    /// A descriptor that is not open.
    #[error("cannot pass the file descriptor {0}: it is not open")]
    NotOpen(u32),
    /// An id that `U` would give files to.
    #[error("the container has no ids {uid}:{gid} to give files to")]
    NoSuchId {
        /// User.
        uid: u32,
        /// Group.
        gid: u32,
    },
    /// A device.
    #[error(transparent)]
    Device(#[from] crate::device::DeviceError),
    /// A working directory that the container has not.
    #[error("workdir {path:?} does not exist on container {container}")]
    Workdir {
        /// The directory.
        path: String,
        /// The container.
        container: String,
    },
    /// The command's program is not there, or cannot be run.
    #[error("cannot run `{command}` in the container")]
    Command {
        /// The program as it was asked for.
        command: String,
        /// Why.
        #[source]
        errno: Errno,
    },
    /// What containers get a copy of must be root's or the user's alone.
    #[error("others can write {0}: it is not copied into a container")]
    Untrusted(PathBuf),
    /// Waiting.
    #[error(transparent)]
    Supervise(#[from] SuperviseError),
    /// An image that a container was made from.
    #[error(transparent)]
    Stored(#[from] ctr_store::image::ImageError),
    /// What was asked for cannot be written down for later.
    #[error(transparent)]
    Settle(#[from] SettleError),
    /// The control group.
    #[error(transparent)]
    Group(#[from] GroupError),
    /// Something asked for that JSON cannot say: a path that is no text.
    #[error("cannot write down what was asked for")]
    Record(#[source] serde_json::Error),
    /// The container's own streams.
    #[error("cannot make the container's streams")]
    Streams(#[source] Errno),
    /// The conversation with the monitor.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// An agent cannot wait for a command that nobody knows the start of.
    #[error(
        "cannot initialize a container whose seccomp profile has an agent: it is told of the container once that runs"
    )]
    Agency,
    /// The process that becomes the monitor.
    #[error("cannot start the container's monitor")]
    Monitor(#[source] Errno),
}

/// Something to tell the user that is no error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// A lock has been waited for.
    Waiting(Waiting),
    /// A line of `/etc/subuid` or `/etc/subgid` that was left out.
    Ids(ctr_userns::ranges::Note),
    /// How the root was made where overlay is not to be had.
    Root(String),
    /// Letters of `--device` that nothing here enforces.
    DeviceAccess(PathBuf),
    /// A step of the start that took its fallback.
    Start(ctr_runtime::launch::Notice),
    /// A score below our own, which the kernel would refuse.
    OomScore {
        /// What was asked for.
        asked: i32,
        /// What it is instead.
        now: i32,
    },
    /// What is bound into a container that does not run is not there.
    NoSource(PathBuf),
    /// Something that every container should get a copy of, and why this one does not.
    NotCopied(PathBuf, String),
    /// `-t` without a terminal to read from.
    NoTerminal,
    /// All of the container is there but its command.
    Initialized(Who),
    /// The container is about to be started; nobody has heard of it before.
    Made(Who),
    /// The container runs.
    Running(Who),
}

/// Where a container runs.
#[derive(Debug, Clone, Copy)]
pub struct Host<'a> {
    /// Its images.
    pub store: &'a Store,
    /// Its directories.
    pub dirs: &'a Dirs,
    /// The user's own run directory, whatever `--root` and `--runroot` say.
    pub user_run: &'a Path,
    /// The user's name where `/etc/passwd` has none.
    pub user: Option<&'a str>,
}

/// What is spared as long as no record says by whom it is used: images and volumes, and containers that are needed.
type Reading = (Naming, Marked);

/// Runs a container and removes it.
///
/// # Errors
/// It could not be started, or its end could not be learned; everything that was made is removed all the same.
pub fn foreground(host: Host<'_>, request: &Request, note: &mut dyn FnMut(Note)) -> Result<End, RunError> {
    let mut request = Cow::Borrowed(request);
    if dependencies::has_any(&request) {
        dependencies::settle(request.to_mut(), &Containers::new(host.dirs))?;
    }
    check_preserved(&request.process.preserve_fds)?;
    let choice = flags(&request).choose()?;
    let containers = Containers::new(host.dirs);
    let is_sharing = request.namespaces.owners().next().is_some();
    let shares = match is_sharing {
        true => Shares::find(&containers, &mut request.to_mut().namespaces)?,
        false => Shares::default(),
    };
    let target = shares.target(&choice).map_or_else(|| Target::of(&choice), |target| Ok(Some(target)))?;
    let request = &*request;
    let reading = host.store.reading(&mut |waiting| note(Note::Waiting(waiting.clone())))?;
    let image = find(host, request)?;
    let (settled, found) = all_volumes::settle(host.store, &containers, request, image.as_ref(), now())?;
    let result =
        with_volumes(host, &settled, image.as_ref(), found, reading, (&choice, target, &shares), note);
    let names: Vec<String> = all_volumes::names(&settled.storage.mounts).map(str::to_owned).collect();
    let discarded = all_volumes::discard(host.store, &names);
    let end = result?;
    discarded.map(|()| end).map_err(RunError::from)
}

/// The same with nothing left to decide about volumes.
fn with_volumes(
    host: Host<'_>,
    request: &Request,
    image: Option<&Image>,
    found: Found,
    reading: Lock,
    (choice, target, shares): (&Choice, Option<Target>, &Shares),
    note: &mut dyn FnMut(Note),
) -> Result<End, RunError> {
    check_subscriptions(request)?;
    let begun = enter(host, note)?;
    let paths = OwnPaths::of(request)?;
    let containers = Containers::new(host.dirs);
    let claim = containers.claim(Kind::Fleeting, request.name.as_deref())?;
    let mut on_wait = |waiting: &Waiting| note(Note::Waiting(waiting.clone()));
    let marked = match dependencies::mark(&containers, request, &claim.id, &mut on_wait) {
        Ok(marked) => marked,
        Err(error) => {
            claim.discard()?;
            return Err(error.into());
        }
    };
    let Found { layers, held } = found;
    let reading = ((reading, held), marked);
    let container =
        Container { host, request, image, paths: &paths, claim: &claim, more_layers: &layers, waits: false };
    let rules = Rules { proxy: request.sig_proxy, timeout: request.timeout, terminal: false };
    note(Note::Made(container.who()));
    let result = match target {
        None => container.publish_in_u(choice, &begun, reading).and_then(|plan| {
            let a = begun.finish()?;
            container.foreground(&a, &plan, None, rules, note)
        }),
        Some(target) => container
            .publish_in_a(target, shares, begun, reading)
            .and_then(|(a, joined)| container.foreground(&a, &joined.plan, Some(&joined), rules, note)),
    };
    let removed = paths.remove().and(claim.discard().map_err(RunError::from));
    let end = result?;
    removed.map(|()| end)
}

/// Looks at what is to be copied, while owners are who they are.
fn check_subscriptions(request: &Request) -> Result<(), RunError> {
    for Subscription { source, .. } in &request.storage.subscriptions {
        if subscriptions::is_trusted(source)? == Some(false) {
            return Err(RunError::Untrusted(source.clone()));
        }
    }
    Ok(())
}

/// Begins to move into A.
fn enter(host: Host<'_>, note: &mut dyn FnMut(Note)) -> Result<Begun, RunError> {
    let mut on_wait = |waiting: &Waiting| note(Note::Waiting(waiting.clone()));
    let begun = entry::begin(host.user_run, host.user, true, &mut on_wait)?;
    for unfit in &begun.notes {
        note(Note::Ids(unfit.clone()));
    }
    Ok(begun)
}

/// What is to be passed on must be the user's: a number that is free now would name a descriptor of ours later.
fn check_preserved(fds: &[u32]) -> Result<(), RunError> {
    let closed = |fd: &&u32| std::fs::symlink_metadata(format!("/proc/self/fd/{fd}")).is_err();
    fds.iter().find(closed).map_or(Ok(()), |fd| Err(RunError::NotOpen(*fd)))
}

/// What the flags say about ids.
fn flags(request: &Request) -> Flags<'_> {
    let userns = &request.userns;
    Flags {
        userns: userns.mode.as_deref(),
        uidmap: &userns.uidmap,
        gidmap: &userns.gidmap,
        subuidname: userns.subuidname.as_deref(),
        subgidname: userns.subgidname.as_deref(),
    }
}

/// The image, if it is one that is run.
fn find(host: Host<'_>, request: &Request) -> Result<Option<Image>, RunError> {
    let platform = request.platform.as_deref().map(Platform::parse).transpose()?;
    match &request.source {
        Source::Image(name) => Ok(Some(host.store.resolve(name, platform.as_ref())?)),
        Source::Folder { .. } => Ok(None),
    }
}

fn is_auto(choice: &Choice) -> bool {
    matches!(choice, Choice::Mode(level_b::Mode::Auto { .. }))
}

/// The user's ids in U, who is 0 in A.
fn user_ids(a: &IdMaps) -> (u32, u32) {
    (a.uid.to_outer(0).unwrap_or_default(), a.gid.to_outer(0).unwrap_or_default())
}

/// Nanoseconds since 1970.
pub(crate) fn now() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// Files that the user asked us to write, removed with the container.
#[derive(Debug)]
struct OwnPaths {
    cid: Option<PathBuf>,
    pid: Option<PathBuf>,
}

impl OwnPaths {
    fn of(request: &Request) -> Result<Self, RunError> {
        let absolute =
            |path: &PathBuf| std::path::absolute(path).map_err(|error| FileError::new("write", path, error));
        Ok(Self {
            cid: request.cidfile.as_ref().map(absolute).transpose()?,
            pid: request.pidfile.as_ref().map(absolute).transpose()?,
        })
    }

    fn write(path: Option<&PathBuf>, text: &str) -> Result<(), RunError> {
        let Some(path) = path else { return Ok(()) };
        Ok(std::fs::write(path, text).map_err(|error| FileError::new("write", path, error))?)
    }

    fn remove(&self) -> Result<(), RunError> {
        let mut paths = self.cid.iter().chain(&self.pid);
        Ok(paths.try_for_each(|path| ctr_core::atomic::remove(path))?)
    }
}

/// One container on its way.
#[derive(Debug)]
struct Container<'a> {
    host: Host<'a>,
    request: &'a Request,
    image: Option<&'a Image>,
    paths: &'a OwnPaths,
    claim: &'a Claim,
    /// Of images that are mounted.
    more_layers: &'a [ctr_core::Digest],
    /// The command waits until somebody starts it.
    waits: bool,
}

impl Container<'_> {
    /// The image's part of the configuration.
    fn config(&self) -> &RunConfig {
        static NONE: std::sync::LazyLock<RunConfig> = std::sync::LazyLock::new(RunConfig::default);
        self.image.map_or(&NONE, |image| &image.config.config)
    }

    /// From a decision about ids to the end.
    fn foreground(
        &self,
        a: &LevelA,
        plan: &Plan,
        joined: Option<&Joined>,
        rules: Rules,
        note: &mut dyn FnMut(Note),
    ) -> Result<End, RunError> {
        let streams = Streams::inherited(self.request.process.interactive)?;
        let (started, watch) = self.start(a, plan, joined, streams, |_| Ok(Watch::begin(rules)?), note)?;
        note(Note::Running(self.who()));
        root::tidy(self);
        Ok(watch.wait(Waited::alone(started.running.pidfd.as_fd()), None)?)
    }

    /// Who it is to those who read events.
    fn who(&self) -> Who {
        Who {
            id: self.claim.id.to_string(),
            name: self.claim.name.clone(),
            image: self.image.map(|image| record::image_name(image, self.request)).unwrap_or_default(),
            labels: crate::happened::labels(self.image, self.request),
        }
    }

    /// Decides about ids and makes the container visible.
    fn publish_in_u(&self, choice: &Choice, begun: &Begun, reading: Reading) -> Result<Plan, RunError> {
        let containers = Containers::new(self.host.dirs);
        let auto = is_auto(choice);
        // Two that look for free ids must see each other's records.
        let alone = if auto { Some(containers.choosing_ids()?) } else { None };
        let plan = self.plan(choice, begun, &containers)?;
        self.publish(Some(&plan))?;
        // From here on the record spares the image's layers, and what is needed.
        drop((alone, reading));
        Ok(plan)
    }

    /// The same where the user namespace is there already. Its map is known only in A, which can look into it.
    fn publish_in_a(
        &self,
        target: Target,
        shares: &Shares,
        begun: Begun,
        reading: Reading,
    ) -> Result<(LevelA, Joined), RunError> {
        let a = begun.finish()?;
        let mut joined = target.open(&Containers::new(self.host.dirs), &a)?;
        shares.open(&mut joined)?;
        self.publish(Some(&joined.plan))?;
        drop(reading);
        Ok((a, joined))
    }

    /// Decides about ids.
    fn plan(&self, choice: &Choice, begun: &Begun, containers: &Containers) -> Result<Plan, RunError> {
        let a = begun.maps();
        let auto = is_auto(choice);
        let in_use = if auto { containers.maps()? } else { Vec::new() };
        let given = Given {
            a,
            user: user_ids(a),
            root_of_host: begun.root_of_host(),
            ids_of_image: if auto { root::highest_id(self.host.store, self.image, a)? } else { 0 },
            in_use: &in_use,
            files: &IdFiles::default(),
        };
        Ok(level_b::plan(choice, &given)?)
    }

    /// Makes the container visible.
    fn publish(&self, plan: Option<&Plan>) -> Result<(), RunError> {
        self.claim.publish(&record::make(self, plan, &self.hostname())?)?;
        OwnPaths::write(self.paths.cid.as_ref(), self.claim.id.as_str())
    }

    /// Nothing of its writable layer is ever flushed, since it is thrown away.
    fn is_volatile(&self) -> bool {
        self.claim.kind == Kind::Fleeting || self.request.auto_remove
    }

    /// The container's name for itself.
    fn hostname(&self) -> String {
        let modes = &self.request.namespaces;
        match &self.request.hostname {
            Some(name) => name.clone(),
            None if modes.uts == Mode::Host || modes.network == Mode::Host => {
                rustix::system::uname().nodename().to_string_lossy().into_owned()
            }
            None => self.own_hostname(),
        }
    }

    fn own_hostname(&self) -> String {
        let name =
            self.claim.name.chars().filter(|next| next.is_ascii_alphanumeric() || matches!(next, '-' | '.'));
        let name: String = name.take(64).collect();
        if self.request.name_as_hostname && crate::hosts::check_hostname(&name).is_ok() {
            return name;
        }
        self.claim.id.short().to_owned()
    }

    /// In A: everything from the first process to the running command. `before` happens right before that process is
    /// cloned.
    fn start<W>(
        &self,
        a: &LevelA,
        plan: &Plan,
        joined: Option<&Joined>,
        streams: Streams,
        before: impl FnOnce(&Streams) -> Result<W, RunError>,
        note: &mut dyn FnMut(Note),
    ) -> Result<(Started, W), RunError> {
        let (start, watch) = Start::begin(self, a, plan, joined, streams, before)?;
        let root = Root::from_dir(root::mount(self, a, plan, note)?);
        let mut accounts = accounts::read(&root)?;
        let of_host = self.users_of_host()?;
        if accounts::add_of_host(&root, &accounts, &of_host, &self.request.passwd)? {
            accounts = accounts::read(&root)?;
        }
        let identity = self.identity(plan, &accounts)?;
        let newcomer = self.newcomer(plan, &identity, a);
        accounts::add(&root, &accounts, &identity, &newcomer, &self.request.passwd)?;
        let who = Settled {
            more_groups: self.request.process.groups.ids(&accounts)?,
            home: newcomer.home,
            identity,
        };
        Ok((start.finish(a, &root, &who, note)?, watch))
    }

    /// Who the process is: as the flag says, else as the map says, else as the image says.
    fn identity(&self, plan: &Plan, accounts: &Accounts) -> Result<Identity, UserError> {
        let text = match (&self.request.process.user, plan.user) {
            (Some(user), _) => user.clone(),
            (None, Some((uid, gid))) => format!("{uid}:{gid}"),
            (None, None) => self.config().user.clone(),
        };
        user::identify(&UserSpec::parse(&text)?, accounts)
    }

    /// The users of `--hostuser`, each at home where that is mounted, else where the process starts.
    fn users_of_host(&self) -> Result<Vec<user::User>, RunError> {
        let asked = &self.request.passwd.host_users;
        if asked.is_empty() {
            return Ok(Vec::new());
        }
        let all = accounts_of_host();
        let find = |text: &String| {
            let by_id = || text.parse().ok().and_then(|uid| all.user_by_id(uid));
            let user = all.user_by_name(text).or_else(by_id);
            let mut user = user.ok_or_else(|| UserError::NoUser(text.clone()))?;
            user.home = self.home(user.home);
            Ok(user)
        };
        asked.iter().map(find).collect()
    }

    /// A home that is mounted, else where the process starts.
    fn home(&self, home: String) -> String {
        let workdir = self.request.process.workdir.as_deref().unwrap_or(&self.config().working_dir);
        let place = if workdir.is_empty() { "/" } else { workdir };
        let mounted = self.request.storage.mounts.iter().any(|mount| mount.target.as_str() == home);
        if mounted { home } else { place.to_owned() }
    }

    /// How the process is called where the image does not say it. With keep-id it is the user, who is at home in a
    /// folder that is mounted; everybody else is where the process starts.
    fn newcomer(&self, plan: &Plan, identity: &Identity, a: &LevelA) -> Newcomer {
        let same = plan.user.is_some_and(|(uid, _)| uid == identity.uid);
        match same.then(|| accounts_of_host().user_by_id(a.user().0)).flatten() {
            Some(user) => Newcomer { name: Some(user.name), home: self.home(user.home) },
            None => Newcomer { name: None, home: self.home(String::new()) },
        }
    }
}

/// The host's own passwd file; one that cannot be read has nobody in it.
fn accounts_of_host() -> Accounts {
    let passwd = ctr_core::file::read(Path::new("/etc/passwd"), ctr_core::limits::SYSTEM_FILE);
    Accounts::new(passwd.unwrap_or_default(), Vec::new())
}
