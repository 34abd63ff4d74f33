//! From the specification to a running command, and to its end.
//!
//! The plan has two halves: the first needs nothing of the image and is at work while the root is mounted.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use ctr_core::file::FileError;
use ctr_core::process::{Identity as ProcessIdentity, Serial};
use ctr_core::rooted::Root;
use ctr_net::dns::names::Called;
use ctr_runtime::cgroup::Group;
use ctr_runtime::launch::{self, Begun, LaunchError, Running, Surroundings};
use ctr_runtime::plan::{self, Facts as PlanFacts, Stage};
use ctr_runtime::spec::{ConsoleSize, IdMapping, NamespaceKind, Spec};
use ctr_sys::clone::SingleThreaded;
use ctr_userns::level_a::LevelA;
use ctr_userns::level_b::Plan;
use rustix::fs::{AtFlags, CWD, StatxFlags, statx};
use rustix::io::Errno;
use rustix::mount::OpenTreeFlags;

use super::binds;
use super::calls::program;
use super::files::{self, Who, own_names};
use super::join::Joined;
use super::labels::{self, Labels};
use super::network::{self, Arriving, Network, ResolversOfHost};
use super::streams::Streams;
use super::volumes::{self, Place};
use super::{Container, Note, OwnPaths, RunError, now, record, zone};
use crate::containers::{Containers, Kind};
use crate::create::{self, Facts, OwnFile};
use crate::device::Device;
use crate::mounts::{Mount, Target, What};
use crate::namespaces::Mode as Namespace;
use crate::record::State;
use crate::terminal;
use crate::ulimit::Ulimit;
use crate::user::{GroupAdd, Identity};

/// Who the process is, once the image has said its part.
#[derive(Debug)]
pub(super) struct Settled {
    pub(super) identity: Identity,
    pub(super) more_groups: Vec<u32>,
    pub(super) home: String,
}

/// A container whose command runs.
#[derive(Debug)]
pub(super) struct Started {
    pub(super) running: Running,
    pub(super) streams: Streams,
    pub(super) group: Option<Group>,
    pub(super) network: Option<Network>,
}

/// A container whose first process is at work.
pub(super) struct Start<'a> {
    container: &'a Container<'a>,
    plan: &'a Plan,
    given: Given,
    streams: Streams,
    stage: Stage,
    begun: Begun,
    /// After the process that lives in it: nobody may when it goes.
    group: Option<Group>,
    facts: PlanFacts,
    /// Another container's `/dev/shm`.
    shm: Option<&'a OwnedFd>,
    network: Option<Arriving>,
}

/// Makes a control group for this start, where the user may.
fn group(container: &Container<'_>) -> Result<Option<Group>, RunError> {
    if container.request.no_cgroup {
        return Ok(None);
    }
    let Some(path) = Group::place(&format!("ctr-{}", container.claim.id)) else { return Ok(None) };
    container.claim.notes_group(&path)?;
    Ok(Group::make(path)?)
}

/// What its network's resolver calls a container, and its host.
fn called(container: &Container<'_>, hostname: &str) -> Called {
    let aliases = container.request.namespaces.user_network.iter().flat_map(|user| &user.aliases).cloned();
    let own = own_names(hostname, &container.claim.name).into_iter().map(str::to_owned);
    Called { container: own.chain(aliases).collect(), host: container.request.hosts.internal }
}

/// What does not depend on the image's accounts.
struct Given {
    hostname: String,
    limits: Vec<Ulimit>,
    oom_score_adj: Option<i32>,
    uid_map: Vec<IdMapping>,
    gid_map: Vec<IdMapping>,
    joined: Vec<(NamespaceKind, String)>,
    files: Vec<OwnFile>,
    resolvers: ResolversOfHost,
    /// What is to be said of them.
    notes: Vec<Note>,
    devices: Vec<Device>,
    queues: bool,
    settings: bool,
    selinux: bool,
    apparmor: bool,
    terminal_size: Option<ConsoleSize>,
}

impl<'a> Start<'a> {
    /// Clones the first process and sets it to work.
    pub(super) fn begin<W>(
        container: &'a Container<'a>,
        a: &LevelA,
        plan: &'a Plan,
        joined: Option<&'a Joined>,
        mut streams: Streams,
        before: impl FnOnce(&Streams) -> Result<W, RunError>,
    ) -> Result<(Self, W), RunError> {
        let request = container.request;
        let mut given = Given::gather(container, a, plan, joined)?;
        let nobody = Settled {
            identity: Identity { uid: 0, gid: 0, groups: Vec::new(), home: None, name: None },
            more_groups: Vec::new(),
            home: String::new(),
        };
        // The first half reads nothing of it that depends on who the process is.
        let spec = create::spec(request, &given.facts(container, &nobody))?;
        let facts = PlanFacts {
            keep_groups: request.process.groups == GroupAdd::Keep,
            no_keyring: request.no_keyring,
            init: request.process.init,
            creates_cwd: request.process.workdir.is_none(),
            preserved: request.process.preserve_fds.clone(),
            waits: container.waits,
            ..PlanFacts::new(plan.maps.clone(), a.maps.clone())
        };
        let stage = plan::stage(&spec, &facts)?;
        let group = match container.claim.kind {
            Kind::Fleeting => None,
            Kind::Transient | Kind::Kept => group(container)?,
        };
        let proof = SingleThreaded::here().map_err(RunError::Clone)?;
        let before = before(&streams)?;
        let namespaces = joined.map(Joined::namespaces).unwrap_or_default();
        let cgroup = group.as_ref().map(|group| group.folder.as_fd());
        let begun = streams
            .lend(|| launch::begin(&proof, &stage, Surroundings { joined: &namespaces, cgroup }))??;
        let network = match &request.namespaces.user_network {
            Some(asked) => {
                let (looking, file) = network::looking(container)?;
                given.notes.extend(file.map(Note::Trace));
                Some(Arriving::begin(asked, called(container, &given.hostname), looking)?)
            }
            None => None,
        };
        let shm = joined.and_then(|joined| joined.shm.as_ref());
        Ok((Self { container, plan, given, streams, group, stage, begun, facts, shm, network }, before))
    }

    /// Hands over the root and what is bound; returns when the command runs.
    pub(super) fn finish(
        mut self,
        a: &LevelA,
        root: &Root,
        who: &Settled,
        note: &mut dyn FnMut(Note),
    ) -> Result<Started, RunError> {
        let container = self.container;
        self.given.notes.drain(..).for_each(&mut *note);
        let ids = &self.plan.maps;
        let owner = (ids.uid.to_outer(0), ids.gid.to_outer(0));
        self.give_copies(owner)?;
        if zone::settle(container.request, root, &self.given.files, owner)? {
            self.facts.left_out.push(zone::LOCALTIME);
        }
        let names = own_names(&self.given.hostname, &container.claim.name);
        files::settle(container.request, root, &self.given.files, &names)?;
        let spec = create::spec(container.request, &self.given.facts(container, who))?;
        let caps = spec.process.capabilities.unwrap_or_default();
        let (program, agent) = program(container, caps.bounding)?;
        if let Some(agent) = agent {
            if container.waits {
                return Err(RunError::Agency);
            }
            self.begun.tell(agent);
        }
        self.facts.seccomp = program;
        let main = plan::main(&spec, &self.facts, &self.stage)?;
        if let (Some(asked), Some(now)) = (container.request.process.oom_score_adj, self.given.oom_score_adj)
            && asked != now
        {
            note(Note::OomScore { asked, now });
        }
        let mounts = self.open(&spec, main.given(), (a, root, who), note)?;
        let mounts: Vec<BorrowedFd<'_>> = mounts.iter().map(AsFd::as_fd).collect();
        let network = match self.network.take() {
            Some(arriving) => {
                Some(arriving.arrive(&mut self.begun, container.sockets, &self.given.resolvers)?)
            }
            None => None,
        };
        let standing = network.as_ref().map(|network| &network.standing);
        if let Some(standing) = standing.filter(|standing| !standing.missed.is_empty()) {
            note(Note::Standing(standing.clone()));
        }
        // Before the command runs: what it says or does may be the sign for somebody to look for it.
        if let Some(pid) = self.begun.pid() {
            let pid = pid.as_raw_nonzero().get().cast_unsigned();
            OwnPaths::write(container.paths.pid.as_ref(), &pid.to_string())?;
            container.claim.started(&State {
                init: ProcessIdentity::of(pid)?,
                serial: self.begun.process().and_then(Serial::of),
                supervisor: ProcessIdentity::current()?,
                env: spec.process.env.clone(),
                effective: caps.effective,
                bounding: caps.bounding,
                started: now(),
                maps: self.plan.maps.clone(),
                cgroup: self.group.as_ref().map(|group| group.path.clone()),
                limits: self.given.limits.clone(),
                waiting: container.waits,
                standing: standing.cloned(),
            })?;
        }
        let running =
            self.begun.finish(&main, root.as_fd(), &mounts).map_err(|error| told(error, &spec, container))?;
        for notice in &running.notices {
            note(Note::Start(notice.clone()));
        }
        Ok(Started { running, streams: self.streams, group: self.group.map(Group::keep), network })
    }

    /// Opens what is bound: a detached mount for each that the plan asks for.
    fn open(
        &self,
        spec: &Spec,
        wanted: &[usize],
        (a, root, who): (&LevelA, &Root, &Settled),
        note: &mut dyn FnMut(Note),
    ) -> Result<Vec<OwnedFd>, RunError> {
        let storage = &self.container.request.storage;
        for device in storage.devices.iter().filter(|device| device.limited) {
            note(Note::DeviceAccess(device.source.clone()));
        }
        let asks = |mount: &Mount| match &mount.what {
            What::Bind(bind) => bind.relabel.is_some(),
            What::Volume(volume) => volume.relabel.is_some(),
            _ => false,
        };
        let labels = storage.mounts.iter().any(asks).then(Labels::find).flatten();
        let mut opened = Vec::with_capacity(wanted.len());
        for mount in wanted.iter().filter_map(|at| spec.mounts.get(*at)) {
            let asked = storage.mounts.iter().find(|asked| asked.target.as_str() == mount.destination);
            opened.push(match asked.map(|asked| &asked.what) {
                Some(What::Bind(bind)) => {
                    if bind.chown {
                        self.give(&bind.source, who)?;
                    }
                    if let Some(labels) = &labels {
                        // A home that is no text is not among what is refused by name.
                        let home = self.container.request.process.host_env.get("HOME").unwrap_or_default();
                        labels.mark(bind, home)?;
                    }
                    binds::open(bind)?
                }
                Some(What::Overlay(overlay)) => {
                    if overlay.chown {
                        self.give(&overlay.source, who)?;
                    }
                    super::root::volume(self.container, overlay, opened.len(), note)?
                }
                Some(What::Volume(volume)) => {
                    let place = Place {
                        container: self.container,
                        root,
                        target: &asked.ok_or(Errno::NOENT).map_err(RunError::Clone)?.target,
                        user: self.user(who)?,
                        labels: labels.as_ref(),
                        number: opened.len(),
                    };
                    volumes::open(volume, &place, note)?
                }
                Some(What::Image(image)) => {
                    volumes::image(image, self.container, (a, self.plan), opened.len(), note)?
                }
                None if mount.destination == "/dev/shm"
                    && let Some(shm) = self.shm =>
                {
                    shm.try_clone().map_err(|error| FileError::new("share", "/dev/shm", error))?
                }
                _ => {
                    let recursive = mount.options.iter().any(|option| option == "rbind");
                    binds::clone(Path::new(&mount.source), recursive, OpenTreeFlags::empty())?
                }
            });
        }
        Ok(opened)
    }

    /// Gives a source to the container's user, in ids of A.
    fn give(&self, path: &Path, who: &Settled) -> Result<(), RunError> {
        Ok(binds::give(path, self.user(who)?, !self.container.claim.was_started())?)
    }

    /// Gives what was copied for the container to its root, who is not always A's.
    fn give_copies(&self, owner: (Option<u32>, Option<u32>)) -> Result<(), RunError> {
        let copies = self.container.claim.layer.join("subscriptions");
        match owner {
            (Some(uid), Some(gid)) if (uid, gid) != (0, 0) && copies.exists() => {
                Ok(binds::give(&copies, (uid, gid), true)?)
            }
            _ => Ok(()),
        }
    }

    /// The container's user, in ids of A.
    fn user(&self, who: &Settled) -> Result<(u32, u32), RunError> {
        let maps = &self.plan.maps;
        let (uid, gid) = (maps.uid.to_outer(who.identity.uid), maps.gid.to_outer(who.identity.gid));
        match (uid, gid) {
            (Some(uid), Some(gid)) => Ok((uid, gid)),
            _ => Err(RunError::NoSuchId { uid: who.identity.uid, gid: who.identity.gid }),
        }
    }
}

impl Given {
    fn gather(
        container: &Container<'_>,
        a: &LevelA,
        plan: &Plan,
        joined: Option<&Joined>,
    ) -> Result<Self, RunError> {
        let request = container.request;
        let hostname = container.hostname();
        let image_id = container.image.map(|image| image.id.to_string()).unwrap_or_default();
        let image_name = container.image.map(|image| record::image_name(image, request)).unwrap_or_default();
        let who = Who {
            id: container.claim.id.as_str(),
            name: &container.claim.name,
            hostname: &hostname,
            image: &image_name,
            image_id: &image_id,
        };
        // A namespace that is there has its map.
        let (uid_map, gid_map) = if joined.is_some() {
            (Vec::new(), Vec::new())
        } else {
            let (uid, gid) = plan.lines(&a.maps)?;
            (record::lines(&uid), record::lines(&gid))
        };
        let mut notes = Vec::new();
        // Who has none to set does not ask.
        let settings = request.privileges.default_sysctls.is_empty() || has_settings();
        if !settings {
            notes.push(Note::NoSettings);
        }
        let resolvers = ResolversOfHost::default();
        let asked_for_modules =
            !request.privileges.security.label.is_empty() || request.privileges.security.apparmor.is_some();
        Ok(Self {
            files: files::make(
                request,
                container.claim,
                &Containers::new(container.host.dirs),
                who,
                &resolvers,
                root_of(plan),
                &mut notes,
            )?,
            resolvers,
            settings,
            notes,
            limits: request.privileges.ulimits.resolve(own_limit)?,
            // The kernel lets nobody lower their own without a right over the machine.
            oom_score_adj: request.process.oom_score_adj.map(|asked| asked.max(own_oom_score())),
            uid_map,
            gid_map,
            joined: joined.map(Joined::paths).unwrap_or_default(),
            devices: devices(container)?,
            queues: request.namespaces.ipc == Namespace::Host && Path::new("/dev/mqueue").is_dir(),
            selinux: asked_for_modules && labels::is_on(),
            apparmor: asked_for_modules && has_apparmor(),
            terminal_size: if request.process.terminal { terminal_size() } else { None },
            hostname,
        })
    }

    fn facts<'f>(&'f self, container: &'f Container<'_>, who: &'f Settled) -> Facts<'f> {
        Facts {
            image: container.config(),
            identity: &who.identity,
            more_groups: &who.more_groups,
            hostname: &self.hostname,
            home: &who.home,
            limits: &self.limits,
            oom_score_adj: self.oom_score_adj,
            uid_map: &self.uid_map,
            gid_map: &self.gid_map,
            joined: &self.joined,
            files: &self.files,
            devices: &self.devices,
            queues: self.queues,
            settings: self.settings,
            selinux: self.selinux,
            apparmor: self.apparmor,
            terminal_size: self.terminal_size,
        }
    }
}

/// Who the container's root is in A, where that is not A's own.
fn root_of(plan: &Plan) -> Option<(u32, u32)> {
    let root = (plan.maps.uid.to_outer(0)?, plan.maps.gid.to_outer(0)?);
    (root != (0, 0)).then_some(root)
}

/// Whether AppArmor is on.
fn has_apparmor() -> bool {
    std::fs::read("/sys/module/apparmor/parameters/enabled").is_ok_and(|said| said.starts_with(b"Y"))
}

/// Whether what a container sets is set in its own namespaces: where somebody has mounted something over `/proc/sys`, as in a
/// container for CI, it is that which containers of ours get, and nothing there is theirs to write.
fn has_settings() -> bool {
    let mount = |path| statx(CWD, path, AtFlags::empty(), StatxFlags::MNT_ID).map(|stat| stat.stx_mnt_id);
    mount(c"/proc") == mount(c"/proc/sys")
}

fn terminal_size() -> Option<ConsoleSize> {
    terminal::own_size().map(|size| ConsoleSize { height: size.ws_row, width: size.ws_col })
}

/// Nodes of the host that a container has anyway, or that belong to its own terminal.
const OWN_NODES: [&str; 8] = [
    "/dev/null",
    "/dev/zero",
    "/dev/full",
    "/dev/random",
    "/dev/urandom",
    "/dev/tty",
    "/dev/ptmx",
    "/dev/console",
];

/// The device nodes that appear: those asked for, folders of them node by node, and for a privileged container all that
/// the host has but its virtual consoles.
fn devices(container: &Container<'_>) -> Result<Vec<Device>, RunError> {
    let mut devices = Vec::new();
    for asked in &container.request.storage.devices {
        for node in binds::devices(&asked.source)? {
            let below = node.strip_prefix(&asked.source).unwrap_or(Path::new(""));
            let target = Path::new(asked.target.as_str()).join(below);
            let target = target.to_string_lossy();
            let target =
                Target::parse(target.trim_end_matches('/')).map_err(crate::device::DeviceError::Target)?;
            devices.push(Device { source: node, target, limited: asked.limited });
        }
    }
    if container.request.privileges.privileged {
        for node in binds::visible_devices() {
            let target =
                Target::parse(&node.to_string_lossy()).map_err(crate::device::DeviceError::Target)?;
            if is_shared(target.as_str()) && !devices.iter().any(|known| known.target == target) {
                devices.push(Device { source: node, target, limited: false });
            }
        }
    }
    Ok(devices)
}

fn is_shared(node: &str) -> bool {
    let console =
        node.strip_prefix("/dev/tty").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    !console && !node.starts_with("/dev/pts/") && !OWN_NODES.contains(&node)
}

/// Errors of the start in the words of what was asked for.
fn told(error: LaunchError, spec: &Spec, container: &Container<'_>) -> RunError {
    match error {
        LaunchError::Step { is_exec: true, source, .. } => RunError::Command {
            command: spec.process.args.first().cloned().unwrap_or_default(),
            errno: source,
        },
        LaunchError::Step { ref step, source, .. }
            if source == Errno::NOENT && step.starts_with("change to the directory") =>
        {
            RunError::Workdir { path: spec.process.cwd.clone(), container: container.claim.id.to_string() }
        }
        other => other.into(),
    }
}

/// Our own hard limit.
pub(crate) fn own_limit(name: &str) -> u64 {
    use rustix::process::{Resource, getrlimit};
    let resource = match name {
        "core" => Resource::Core,
        "cpu" => Resource::Cpu,
        "data" => Resource::Data,
        "fsize" => Resource::Fsize,
        "locks" => Resource::Locks,
        "memlock" => Resource::Memlock,
        "msgqueue" => Resource::Msgqueue,
        "nice" => Resource::Nice,
        "nofile" => Resource::Nofile,
        "nproc" => Resource::Nproc,
        "rss" => Resource::Rss,
        "rtprio" => Resource::Rtprio,
        "rttime" => Resource::Rttime,
        "sigpending" => Resource::Sigpending,
        _ => Resource::Stack,
    };
    getrlimit(resource).maximum.unwrap_or(crate::ulimit::INFINITY)
}

/// How soon the kernel ends us for want of memory; what cannot be read is the usual.
fn own_oom_score() -> i32 {
    let text = std::fs::read_to_string("/proc/self/oom_score_adj").unwrap_or_default();
    text.trim().parse().unwrap_or(0)
}
