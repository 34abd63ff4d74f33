//! The second half of a plan: the root, the user, the command.

use ctr_sys::step::{Slot, Step};

use super::builder::{Block, Builder, Numbers, c_string, slot};
use super::mounts::{self, Place};
use super::options::{Options, READ_ONLY};
use super::{Facts, Main, PlanError, Stage, stage};
use crate::caps::CapSet;
use crate::seccomp::Program;
use crate::spec::{Capabilities, Mount, Process, Rlimit, Spec};

/// Resources in the kernel's order.
const RESOURCES: [&str; 16] = [
    "RLIMIT_CPU",
    "RLIMIT_FSIZE",
    "RLIMIT_DATA",
    "RLIMIT_STACK",
    "RLIMIT_CORE",
    "RLIMIT_RSS",
    "RLIMIT_NPROC",
    "RLIMIT_NOFILE",
    "RLIMIT_MEMLOCK",
    "RLIMIT_AS",
    "RLIMIT_LOCKS",
    "RLIMIT_SIGPENDING",
    "RLIMIT_MSGQUEUE",
    "RLIMIT_NICE",
    "RLIMIT_RTPRIO",
    "RLIMIT_RTTIME",
];

/// The default of umask(2) everywhere.
const UMASK: u32 = 0o022;
/// `SIGKILL`.
const KILL: u32 = 9;
/// A terminal that nobody said the size of.
pub(super) const NO_SIZE: (u16, u16) = (0, 0);
/// Where commands are looked for when the environment does not say (execvp(3), and the runtimes).
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

pub(super) fn build(spec: &Spec, facts: &Facts, stage: &Stage) -> Result<Main, PlanError> {
    let mut plan = Builder::default();
    let devices = 6 + stage::extra_devices(spec).count();
    let first_given = stage.staged.end(devices);
    let mut main = Main { steps: Vec::new(), given: Vec::new(), first_given, root: slot::ROOT.0 };
    plan.add(Step::Session {});
    plan.add(Step::Pivot { root: slot::ROOT });
    staged_trees(&mut plan, stage);
    let read_only = mount_rest(&mut plan, (spec, facts), stage, &mut main)?;
    image_devices(&mut plan, spec, stage)?;
    terminal(&mut plan, spec, stage)?;
    hide_rest(&mut plan, spec, stage)?;
    let cwd = c_string(&spec.process.cwd)?;
    if facts.creates_cwd {
        plan.add(Step::Folders { root: slot::ROOT, path: &cwd });
    }
    seal(&mut plan, spec, stage, &read_only)?;
    plan.add(Step::Depart { root: slot::ROOT });
    become_user(&mut plan, &spec.process, (facts.keep_groups, facts.no_keyring))?;
    plan.add(Step::Workdir { root: slot::ROOT, path: &cwd });
    let rest = Rest {
        dies_with_parent: facts.dies_with_parent,
        preserved: &facts.preserved,
        seccomp: facts.seccomp.as_ref(),
        init: facts.init,
        waits: facts.waits,
    };
    narrow(&mut plan, &spec.process, &rest)?;
    main.steps = plan.finish();
    let slots = usize::from(first_given) + main.given.len();
    if slots > ctr_sys::step::MAX_SLOTS { Err(PlanError::TooManyMounts(spec.mounts.len())) } else { Ok(main) }
}

/// Moves the trees of the staging area into the root. A link in their places would have them mounted elsewhere, with
/// the image's own files where the kernel's are expected: refused.
fn staged_trees(plan: &mut Builder, stage: &Stage) {
    for (place, path) in [(Place::Proc, c"/proc"), (Place::Sys, c"/sys"), (Place::Dev, c"/dev")] {
        if stage.staged.at(place).is_some() {
            let mount = mounts::base(place);
            plan.add(Step::Attach { mount, root: slot::ROOT, path, make: 1, plain: true });
        }
    }
}

/// A mount that becomes read-only when everything is in place.
type Late = (Slot, String);

/// The mounts of the specification that are not on the staging area, in its order.
fn mount_rest(
    plan: &mut Builder,
    (spec, facts): (&Spec, &Facts),
    stage: &Stage,
    main: &mut Main,
) -> Result<Vec<Late>, PlanError> {
    let mut late = Vec::new();
    for (at, mount) in spec.mounts.iter().enumerate().filter(|(at, _)| !stage.staged.holds(*at)) {
        if facts.left_out.contains(&mount.destination.as_str()) {
            continue;
        }
        let options = Options::parse(mount)?;
        if options.bind.is_some() || mount.kind == "bind" {
            let given = u16::try_from(main.given.len()).unwrap_or(u16::MAX);
            main.given.push(at);
            bind(plan, mount, &options, Slot(main.first_given.saturating_add(given)))?;
            continue;
        }
        let to = stage.staged.slot_of(at);
        mounts::make(plan, spec, mount, to)?;
        let path = c_string(&mount.destination)?;
        if options.copy_up {
            let adopt = !["mode", "uid", "gid"].iter().any(|name| options.has_own(name));
            plan.add(Step::Fill { mount: to, adopt, root: slot::ROOT, path: &path });
        }
        if options.propagation != 0 {
            propagate(plan, to, &options, &path);
        }
        plan.add(Step::Attach { mount: to, root: slot::ROOT, path: &path, make: 1, plain: false });
        if mount.kind == "tmpfs" && options.set & READ_ONLY != 0 {
            late.push((to, mount.destination.clone()));
        }
    }
    Ok(late)
}

/// Something the launcher was given: a directory or a file, which it has looked at.
fn bind(plan: &mut Builder, mount: &Mount, options: &Options, given: Slot) -> Result<(), PlanError> {
    let path = c_string(&mount.destination)?;
    let recursive = options.deep_attributes;
    let clear = options.cleared_on_bind();
    if options.set != 0 || clear != 0 {
        plan.add(Step::Attributes {
            mount: given,
            set: options.set,
            clear,
            propagation: 0,
            recursive,
            on: &path,
        });
    }
    if options.propagation != 0 {
        propagate(plan, given, options, &path);
    }
    plan.add(Step::Attach { mount: given, root: slot::ROOT, path: &path, make: 3, plain: false });
    Ok(())
}

fn propagate(plan: &mut Builder, mount: Slot, options: &Options, on: &std::ffi::CStr) {
    let (propagation, recursive) = (options.propagation, options.deep_propagation);
    plan.add(Step::Attributes { mount, set: 0, clear: 0, propagation, recursive, on });
}

/// Without a `/dev` of ours, the nodes go into the image's, or into what was bound there.
fn image_devices(plan: &mut Builder, spec: &Spec, stage: &Stage) -> Result<(), PlanError> {
    if stage.staged.at(Place::Dev).is_none() {
        if spec.mounts.iter().any(|mount| mount.destination == "/dev") {
            // Whoever mounts a whole /dev means that one.
            return Ok(());
        }
        for (path, step) in stage::default_devices() {
            plan.add(step);
            let mount = slot::IMAGE_DEV;
            plan.add(Step::Attach { mount, root: slot::ROOT, path, make: 2, plain: true });
        }
    }
    let is_staged = |path: &str| {
        stage.staged.at(Place::Dev).is_some()
            && path.strip_prefix("/dev/").is_some_and(|name| !name.contains('/'))
    };
    for device in stage::extra_devices(spec).filter(|device| !is_staged(&device.path)) {
        let path = c_string(&device.path)?;
        plan.add(stage::bound_device(device, &path, slot::IMAGE_DEV)?);
        let mount = slot::IMAGE_DEV;
        plan.add(Step::Attach { mount, root: slot::ROOT, path: &path, make: 2, plain: false });
    }
    Ok(())
}

/// The container's own terminal, from its own devpts.
fn terminal(plan: &mut Builder, spec: &Spec, stage: &Stage) -> Result<(), PlanError> {
    if !spec.process.terminal {
        return Ok(());
    }
    if !stage.staged.has_pts() {
        return Err(PlanError::NoDevpts);
    }
    let (rows, columns) = spec.process.console_size.map_or(NO_SIZE, |size| (size.height, size.width));
    let uid = spec.process.user.uid;
    let (devpts, keep, to) = (slot::PTS, Slot::NONE, slot::TERMINAL);
    plan.add(Step::Terminal { devpts, uid, rows, columns, keep, to });
    if stage.staged.at(Place::Dev).is_some() {
        plan.add(Step::Console { terminal: slot::TERMINAL, inside: slot::DEV, name: c"console" });
    }
    plan.add(Step::Control { terminal: slot::TERMINAL });
    Ok(())
}

/// Masks what is not below the staged trees, where they are.
fn hide_rest(plan: &mut Builder, spec: &Spec, stage: &Stage) -> Result<(), PlanError> {
    for path in spec.linux.readonly_paths.iter().filter(|path| stage.staged.split(path).is_none()) {
        plan.add(Step::Freeze { base: slot::ROOT, path: &c_string(path)? });
    }
    for path in spec.linux.masked_paths.iter().filter(|path| stage.staged.split(path).is_none()) {
        let path = c_string(path)?;
        plan.add(Step::Hide { base: slot::ROOT, path: &path, null: slot::NULL, empty: slot::EMPTY });
    }
    Ok(())
}

/// Makes read-only what had to be written first, and sets how mounts travel.
fn seal(plan: &mut Builder, spec: &Spec, stage: &Stage, late: &[Late]) -> Result<(), PlanError> {
    let mut late = late.to_vec();
    for place in [Place::Proc, Place::Sys, Place::Dev] {
        let trees = stage.staged.at(place).into_iter().map(|at| (at, mounts::base(place)));
        let inner = stage.staged.below(place).iter().map(|at| (*at, stage.staged.slot_of(*at)));
        for (at, slot) in trees.chain(inner) {
            let mount = &spec.mounts[at];
            if mount.kind == "tmpfs" && Options::parse(mount)?.set & READ_ONLY != 0 {
                late.push((slot, mount.destination.clone()));
            }
        }
    }
    if spec.root.readonly {
        late.push((slot::ROOT, "/".to_owned()));
    }
    for (mount, on) in &late {
        let on = c_string(on)?;
        let (mount, set) = (*mount, READ_ONLY);
        plan.add(Step::Attributes { mount, set, clear: 0, propagation: 0, recursive: false, on: &on });
    }
    let propagation = Mount { options: vec![spec.linux.rootfs_propagation.clone()], ..Mount::default() };
    let propagation = Options::parse(&propagation)?;
    if propagation.propagation != 0 {
        propagate(plan, slot::ROOT, &propagation, c"/");
    }
    Ok(())
}

/// Everything that still needs rights, ending with the change of ids.
pub(super) fn become_user(
    plan: &mut Builder,
    process: &Process,
    (keep_groups, no_keyring): (bool, bool),
) -> Result<(), PlanError> {
    plan.add(if no_keyring { Step::NoKeyring {} } else { Step::Keyring {} });
    for limit in &process.rlimits {
        plan.add(Step::Limit { resource: resource(limit)?, soft: limit.soft, hard: limit.hard });
    }
    plan.add(Step::Bound { keep: sets(process).bounding.bits() });
    if !keep_groups {
        let groups = Numbers::of(process.user.additional_gids.iter().copied());
        plan.add(Step::Groups { ids: groups.words() });
    }
    plan.add(Step::User { uid: process.user.uid, gid: process.user.gid });
    Ok(())
}

fn resource(limit: &Rlimit) -> Result<u32, PlanError> {
    let found = RESOURCES.iter().position(|name| *name == limit.kind);
    found.and_then(|at| u32::try_from(at).ok()).ok_or_else(|| PlanError::Resource(limit.kind.clone()))
}

/// What the last steps depend on beside the process.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rest<'a> {
    /// It ends with its launcher.
    pub(super) dies_with_parent: bool,
    /// Numbers of descriptors that stay open.
    pub(super) preserved: &'a [u32],
    /// Which calls it may make.
    pub(super) seccomp: Option<&'a Program>,
    /// It runs under an init.
    pub(super) init: bool,
    /// It waits until it is told to run.
    pub(super) waits: bool,
}

/// The last steps: each only takes something away.
pub(super) fn narrow(plan: &mut Builder, process: &Process, rest: &Rest<'_>) -> Result<(), PlanError> {
    let sets = sets(process);
    plan.add(Step::Signals {});
    plan.add(Step::Umask { mask: process.user.umask.unwrap_or(UMASK) });
    plan.add(Step::Ambient { inheritable: sets.inheritable.bits(), ambient: sets.ambient.bits() });
    if rest.dies_with_parent {
        // After the change of ids, which would undo it.
        plan.add(Step::DieWithParent { signal: KILL });
    }
    if !process.apparmor_profile.is_empty() {
        // Before new privileges are ruled out: to change the profile counts as one.
        let value = c_string(&format!("exec {}", process.apparmor_profile))?;
        plan.add(Step::Write { base: slot::PROC, path: c"self/attr/apparmor/exec", value: &value });
    }
    let preserved = Numbers::of(rest.preserved.iter().copied());
    plan.add(Step::Close { keep: preserved.words() });
    if rest.waits {
        let files = Block::of(candidates(process.args.first().ok_or(PlanError::NoCommand)?, &process.env))?;
        // The calls that this takes may be forbidden from the next step on.
        let effective = sets.effective.bits();
        plan.add(Step::Await { files: files.strings(), effective, keep: preserved.words() });
    }
    let capabilities = Step::Capabilities {
        effective: sets.effective.bits(),
        permitted: sets.permitted.bits(),
        inheritable: sets.inheritable.bits(),
    };
    let filter = rest.seccomp;
    let filter = filter.map(|filter| Step::Seccomp { program: filter.bytes(), flags: filter.flags() });
    if process.no_new_privileges {
        plan.add(Step::NoNewPrivileges {});
        plan.add(capabilities);
        filter.into_iter().for_each(|filter| plan.add(filter));
    } else {
        // To load a program takes CAP_SYS_ADMIN, which the last step but one gives up.
        filter.into_iter().for_each(|filter| plan.add(filter));
        plan.add(capabilities);
    }
    if rest.init {
        plan.add(Step::Supervise { terminal: process.terminal });
    }
    let files = Block::of(candidates(process.args.first().ok_or(PlanError::NoCommand)?, &process.env))?;
    let (arguments, environment) = (Block::of(&process.args)?, Block::of(&process.env)?);
    plan.add(Step::Exec {
        files: files.strings(),
        arguments: arguments.strings(),
        environment: environment.strings(),
    });
    Ok(())
}

fn sets(process: &Process) -> Capabilities {
    let none = Capabilities {
        bounding: CapSet::EMPTY,
        effective: CapSet::EMPTY,
        inheritable: CapSet::EMPTY,
        permitted: CapSet::EMPTY,
        ambient: CapSet::EMPTY,
    };
    process.capabilities.unwrap_or(none)
}

/// The files a command may be. A name with a slash is a path; any other is looked for in the container's own PATH, of
/// which relative entries are left out: they would mean something else in every directory.
fn candidates(command: &str, env: &[String]) -> Vec<String> {
    if command.contains('/') {
        return vec![command.to_owned()];
    }
    let path = env.iter().find_map(|entry| entry.strip_prefix("PATH=")).unwrap_or(DEFAULT_PATH);
    let folders = path.split(':').filter(|folder| folder.starts_with('/'));
    if command.is_empty() {
        return Vec::new();
    }
    folders.map(|folder| format!("{}/{command}", folder.trim_end_matches('/'))).collect()
}
