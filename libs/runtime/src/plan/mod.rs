//! From a specification to a plan: a pure question.
//!
//! The plan has two halves. The [`Stage`] needs nothing of the image: new namespaces, their settings, and `/proc`,
//! `/sys` and `/dev`, which are put together and masked on a tmpfs of their own. It runs while the launcher mounts the
//! root. The main half enters the root, moves the three there, mounts what else was asked for, becomes the user and
//! execs. Their order is what security rests on, so it is one readable list, and each feature has a golden test.
//!
//! # Invariants
//! - No path that an image controls is walked but by [`ctr_sys::rooted`], below a descriptor of the root.
//! - What masks is a device node that was verified by its number, and an empty tmpfs: both ours, neither the image's.
//! - Kernel settings are written through a procfs of the container's that nobody else has seen yet.
//! - The host's tree is gone from the namespace before the first right is given up.
//! - After the user is set only calls remain that narrow what the process may do, and the last of them before the exec
//!   is the seccomp program or the capabilities, whichever the kernel demands to come last.

mod builder;
mod join;
mod mounts;
mod options;
mod process;
mod stage;

use ctr_userns::map::IdMaps;

use crate::seccomp::Program;
use crate::spec::{NamespaceKind, Process, Spec};

/// What a plan depends on that the specification cannot say.
#[derive(Debug, Clone)]
pub struct Facts {
    /// The container's maps, their outer ids being those of the launcher's namespace (A).
    pub maps: IdMaps,
    /// The maps of the launcher's namespace itself.
    pub level_a: IdMaps,
    /// The supplementary groups are kept as they are inherited.
    pub keep_groups: bool,
    /// There is no keyring for it, and none can be made.
    pub no_keyring: bool,
    /// The command runs under an init.
    pub init: bool,
    /// The container is to end with its launcher.
    pub dies_with_parent: bool,
    /// The working directory is made where it is missing.
    pub creates_cwd: bool,
    /// Numbers of descriptors beside the standard ones that the command inherits, ascending.
    pub preserved: Vec<u32>,
    /// The program that says which calls the command may make.
    pub seccomp: Option<Program>,
    /// The command waits until it is told to run.
    pub waits: bool,
    /// Destinations of mounts that the second half leaves out: the root turned out to have what is wanted there.
    pub left_out: Vec<&'static str>,
}

impl Facts {
    /// Facts of a container with these maps, nothing special about it.
    #[must_use]
    pub const fn new(maps: IdMaps, level_a: IdMaps) -> Self {
        Self {
            maps,
            level_a,
            keep_groups: false,
            no_keyring: false,
            init: false,
            dies_with_parent: true,
            creates_cwd: false,
            preserved: Vec::new(),
            seccomp: None,
            waits: false,
            left_out: Vec::new(),
        }
    }
}

/// What a process that joins a container depends on, beside what a specification says of it.
#[derive(Debug, Clone, Default)]
pub struct Visit {
    /// The namespaces of the container's that are entered; its mounts are always among them.
    pub namespaces: Vec<NamespaceKind>,
    /// The supplementary groups are kept as they are inherited.
    pub keep_groups: bool,
    /// There is no keyring for it, and none can be made.
    pub no_keyring: bool,
    /// Whether it outlives its launcher, and who waits for it.
    pub bond: Bond,
    /// Numbers of descriptors beside the standard ones that the command inherits, ascending.
    pub preserved: Vec<u32>,
    /// The program that says which calls the command may make.
    pub seccomp: Option<Program>,
}

/// How a process that joins is bound to its launcher.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Bond {
    /// It is its launcher's child and ends with it.
    #[default]
    Life,
    /// It is its launcher's child; its terminal hangs up when the launcher ends.
    Terminal,
    /// It is a child of a process that stays for that alone, and ends with its exit code. Its terminal hangs up when the
    /// launcher ends, unless it is handed to that process, which then reads it and forgets what it reads.
    Leash,
    /// It is a child of a process that stays for that alone.
    None,
}

/// The steps by which a process joins a container.
#[derive(Debug, Clone)]
pub struct Joining {
    /// The steps.
    pub(crate) steps: Vec<u8>,
    /// The slot of a descriptor of the container's first process.
    pub(crate) visited: u16,
    /// The slot of a socket to who waits for it.
    pub(crate) leash: u16,
    /// Who waits for it.
    pub(crate) bond: Bond,
}

/// Makes the plan by which a process joins a running container.
///
/// # Errors
/// What the process cannot mean.
pub fn join(process: &Process, visit: &Visit) -> Result<Joining, PlanError> {
    join::build(process, visit)
}

impl std::fmt::Display for Joining {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&describe(&self.steps))
    }
}

/// A specification that no plan can be made of.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// A string that the kernel cannot take.
    #[error("{0:?} holds a NUL byte")]
    Nul(String),
    /// A path that is not absolute.
    #[error("the path {0:?} is not absolute")]
    Relative(String),
    /// Nothing of an image runs in the launcher's own user namespace.
    #[error("a container needs a user namespace of its own or another container's")]
    NoUserNamespace,
    /// Mounts could not be kept from the launcher.
    #[error("a container needs a mount namespace of its own")]
    NoMountNamespace,
    /// An option that a bind does not know.
    #[error("the mount on {on} has the unknown option {option:?}")]
    Option {
        /// The mount's destination.
        on: String,
        /// The option.
        option: String,
    },
    /// A mount that would put the kernel's interface files under the image's control.
    #[error("nothing can be mounted on {0}, inside the kernel's own file system")]
    InsideProc(String),
    /// A resource without a limit.
    #[error("{0:?} is no resource that can be limited")]
    Resource(String),
    /// A device without a number or a kind.
    #[error("{0:?} is no kind of a device node that can be bound")]
    Device(String),
    /// A setting that is no file below /proc/sys.
    #[error("{0:?} is no name of a kernel setting")]
    Sysctl(String),
    /// A terminal without a place.
    #[error("a terminal needs a devpts on /dev/pts")]
    NoDevpts,
    /// Nothing to run.
    #[error("there is no command to run")]
    NoCommand,
    /// More mounts than descriptors can be handed over for.
    #[error("{0} mounts are too many")]
    TooManyMounts(usize),
}

/// The half of a plan that needs nothing of the image.
#[derive(Debug, Clone)]
pub struct Stage {
    /// Steps of the go-between, where one is needed.
    pub(crate) birth: Option<Vec<u8>>,
    /// New namespaces that the process is born with, `CLONE_NEW…`.
    pub(crate) born_with: u64,
    /// Whether id maps are to be written, and which.
    pub(crate) maps: Option<Maps>,
    /// The steps.
    pub(crate) steps: Vec<u8>,
    /// Which of the specification's mounts are in it.
    staged: mounts::Staged,
}

/// The maps of a new user namespace.
#[derive(Debug, Clone)]
pub(crate) struct Maps {
    pub(crate) own: IdMaps,
    pub(crate) parent: IdMaps,
}

/// A whole plan.
#[derive(Debug, Clone)]
pub struct Plan {
    /// What needs nothing of the image.
    pub stage: Stage,
    /// The rest.
    pub main: Main,
}

/// The half of a plan that enters the image's root.
#[derive(Debug, Clone)]
pub struct Main {
    /// The steps.
    pub(crate) steps: Vec<u8>,
    /// Which of the specification's mounts the launcher is to be given a descriptor of, in this order.
    pub(crate) given: Vec<usize>,
    /// The slot of the first of them.
    pub(crate) first_given: u16,
    /// The slot of the root.
    pub(crate) root: u16,
}

impl Main {
    /// Which of the specification's mounts have to be handed over as detached mounts, in this order.
    #[must_use]
    pub fn given(&self) -> &[usize] {
        &self.given
    }
}

/// Makes the whole plan.
///
/// # Errors
/// What the specification cannot mean.
pub fn build(spec: &Spec, facts: &Facts) -> Result<Plan, PlanError> {
    let stage = stage(spec, facts)?;
    let main = main(spec, facts, &stage)?;
    Ok(Plan { stage, main })
}

/// Makes the first half. It reads of the specification only the namespaces, the names of the host, kernel settings,
/// masked and read-only paths, devices, and mounts of the kernel's file systems.
///
/// # Errors
/// What the specification cannot mean.
pub fn stage(spec: &Spec, facts: &Facts) -> Result<Stage, PlanError> {
    stage::build(spec, facts)
}

/// Makes the second half of a plan, whose first was made of the same mounts.
///
/// # Errors
/// What the specification cannot mean.
pub fn main(spec: &Spec, facts: &Facts, stage: &Stage) -> Result<Main, PlanError> {
    process::build(spec, facts, stage)
}

/// The steps of a plan, a line each: for golden tests and for people.
#[must_use]
pub fn describe(steps: &[u8]) -> String {
    ctr_sys::step::steps(steps).map(|planned| format!("{planned:#}\n")).collect()
}

impl std::fmt::Display for Plan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(birth) = &self.stage.birth {
            write!(f, "birth:\n{}", describe(birth))?;
        }
        write!(f, "stage:\n{}main:\n{}", describe(&self.stage.steps), describe(&self.main.steps))
    }
}

/// The slot of a namespace that is joined.
pub(crate) const fn joined(kind: NamespaceKind) -> u16 {
    kind as u16
}

/// The kernel's flag for a kind of namespaces.
pub(crate) const fn flag(kind: NamespaceKind) -> u32 {
    match kind {
        NamespaceKind::User => 0x1000_0000,
        NamespaceKind::Pid => 0x2000_0000,
        NamespaceKind::Network => 0x4000_0000,
        NamespaceKind::Ipc => 0x0800_0000,
        NamespaceKind::Uts => 0x0400_0000,
        NamespaceKind::Cgroup => 0x0200_0000,
        NamespaceKind::Mount => 0x0002_0000,
    }
}

#[cfg(test)]
mod tests;
