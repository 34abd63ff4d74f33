//! Which mount is made where: on the staging area, or in the root.

use ctr_sys::step::{Slot, Step};

use super::PlanError;
use super::builder::{Block, Builder, c_string, slot};
use super::options::{Options, READ_ONLY};
use super::stage::is_kernel_tree;
use crate::spec::{Mount, NamespaceKind, Spec};

/// The three trees that are put together before the root is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// /proc
    Proc,
    /// /sys
    Sys,
    /// /dev
    Dev,
}

const PLACES: [(Place, &str); 3] = [(Place::Proc, "/proc"), (Place::Sys, "/sys"), (Place::Dev, "/dev")];

/// What may be mounted inside /proc: files that only inform, as runc has them.
const ALLOWED_IN_PROC: [&str; 9] = [
    "/proc/cpuinfo",
    "/proc/diskstats",
    "/proc/meminfo",
    "/proc/stat",
    "/proc/swaps",
    "/proc/uptime",
    "/proc/loadavg",
    "/proc/slabinfo",
    "/proc/sys/kernel/ns_last_pid",
];

/// Which mounts of a specification are made on the staging area.
#[derive(Debug, Clone, Default)]
pub(super) struct Staged {
    roots: [Option<usize>; 3],
    below: [Vec<usize>; 3],
    /// How many mounts the specification has.
    count: usize,
    /// The devpts on /dev/pts, staged or not.
    pts: Option<usize>,
}

impl Staged {
    /// Sorts the mounts: a tree is ours to put together if a file system of the kernel's is mounted on it, or the
    /// host's of the same name is bound there. So is what is mounted in it directly, until something else is.
    pub(super) fn sort(spec: &Spec) -> Result<Self, PlanError> {
        let mut staged = Self { count: spec.mounts.len(), ..Self::default() };
        let mut foreign: Vec<&str> = Vec::new();
        for (at, mount) in spec.mounts.iter().enumerate() {
            let path = mount.destination.as_str();
            if !path.starts_with('/') {
                return Err(PlanError::Relative(path.to_owned()));
            }
            if path == "/dev/pts" && mount.kind == "devpts" {
                staged.pts = Some(at);
            }
            let is_kernels =
                matches!(mount.kind.as_str(), "proc" | "sysfs" | "cgroup" | "cgroup2" | "mqueue")
                    || matches!(mount.kind.as_str(), "tmpfs" | "devpts") && path.starts_with("/dev")
                    || is_kernel_tree(mount);
            let covered = foreign.iter().any(|above| is_below(path, above));
            if !is_kernels || covered || !staged.take(at, path) {
                check_proc(path)?;
                foreign.push(path);
            }
        }
        Ok(staged)
    }

    fn take(&mut self, at: usize, path: &str) -> bool {
        for (index, (_, root)) in PLACES.into_iter().enumerate() {
            if path == root {
                // Twice on one place: the second is mounted over the first, in the root.
                let first = self.roots[index].is_none();
                self.roots[index].get_or_insert(at);
                return first;
            }
            if is_below(path, root) && self.roots[index].is_some() {
                let name = path.get(root.len() + 1..).unwrap_or_default();
                let known = name == "fs/cgroup" || root == "/dev" && !name.is_empty() && !name.contains('/');
                if known {
                    self.below[index].push(at);
                }
                return known;
            }
        }
        false
    }

    pub(super) fn at(&self, place: Place) -> Option<usize> {
        self.roots[place as usize]
    }

    pub(super) fn below(&self, place: Place) -> &[usize] {
        &self.below[place as usize]
    }

    /// Whether the mount is made on the staging area.
    pub(super) fn holds(&self, at: usize) -> bool {
        self.roots.contains(&Some(at)) || self.below.iter().any(|below| below.contains(&at))
    }

    /// The slot of a mount of the specification.
    pub(super) fn slot_of(&self, at: usize) -> Slot {
        if self.pts == Some(at) {
            return slot::PTS;
        }
        Slot(slot::FREE.saturating_add(u16::try_from(at).unwrap_or(u16::MAX)))
    }

    /// The slot of a device.
    pub(super) fn device_slot(&self, at: usize) -> Slot {
        self.slot_of(self.count.saturating_add(at))
    }

    /// The first slot after all of these.
    pub(super) fn end(&self, devices: usize) -> u16 {
        self.device_slot(devices).0
    }

    /// Whether there is a devpts on /dev/pts.
    pub(super) const fn has_pts(&self) -> bool {
        self.pts.is_some()
    }

    /// A path as one below a staged tree: that tree, and the rest.
    pub(super) fn split<'a>(&self, path: &'a str) -> Option<(Slot, &'a str)> {
        let (place, root) = PLACES.into_iter().find(|(_, root)| is_below(path, root))?;
        self.at(place)?;
        Some((base(place), path.get(root.len() + 1..)?))
    }
}

/// Whether a path lies below another.
fn is_below(path: &str, above: &str) -> bool {
    path.strip_prefix(above.trim_end_matches('/')).is_some_and(|rest| rest.starts_with('/') && rest.len() > 1)
}

/// CVE-2019-16884, CVE-2019-19921: what is mounted over /proc or in it decides what the kernel is told.
fn check_proc(path: &str) -> Result<(), PlanError> {
    let clean = path.trim_end_matches('/');
    if (clean == "/proc" || is_below(clean, "/proc")) && !ALLOWED_IN_PROC.contains(&clean) {
        return Err(PlanError::InsideProc(path.to_owned()));
    }
    Ok(())
}

/// The slot of a staged tree.
pub(super) const fn base(place: Place) -> Slot {
    match place {
        Place::Proc => slot::PROC,
        Place::Sys => slot::SYS,
        Place::Dev => slot::DEV,
    }
}

/// The name of something in a staged tree.
pub(super) fn below(path: &str, place: Place) -> &str {
    let (_, root) = PLACES[place as usize];
    path.get(root.len() + 1..).unwrap_or_default()
}

/// The step that makes a mount which needs nothing of the launcher.
pub(super) fn make(plan: &mut Builder, spec: &Spec, mount: &Mount, to: Slot) -> Result<(), PlanError> {
    let options = Options::parse(mount)?;
    let on = c_string(&mount.destination)?;
    let inherited = inherited_tree(spec, mount);
    if options.bind.is_some() || mount.kind == "bind" || inherited.is_some() {
        // Always with what is below: a copy without it is refused where that is locked.
        let path = c_string(inherited.unwrap_or(&mount.source))?;
        plan.add(Step::Copy { path: &path, recursive: true, device: 0, attributes: options.set, to });
        return Ok(());
    }
    let kind = if mount.kind == "cgroup" { "cgroup2" } else { mount.kind.as_str() };
    let mut pairs = Block::default();
    if !mount.source.is_empty() {
        pairs.push("source")?;
        pairs.push(&mount.source)?;
    }
    for (name, value) in &options.own {
        pairs.push(name)?;
        pairs.push(value)?;
    }
    // Where the outer one is masked, as in a CI container, the kernel refuses a new one and we take what is there.
    let fallback = match kind {
        "proc" => c"/proc",
        "sysfs" => c"/sys",
        "cgroup2" => c"/sys/fs/cgroup",
        _ => c"",
    };
    // A tmpfs gets its contents first.
    let attributes = if kind == "tmpfs" { options.set & !READ_ONLY } else { options.set };
    let kind = c_string(kind)?;
    let options = pairs.strings();
    plan.add(Step::Fresh { kind: &kind, options, attributes, on: &on, fallback, to });
    Ok(())
}

/// The host's tree that stands for a file system of a namespace which is not the container's: it cannot be mounted anew.
fn inherited_tree(spec: &Spec, mount: &Mount) -> Option<&'static str> {
    let (kind, tree) = match mount.kind.as_str() {
        "proc" => (NamespaceKind::Pid, "/proc"),
        "sysfs" => (NamespaceKind::Network, "/sys"),
        "cgroup" | "cgroup2" => (NamespaceKind::Cgroup, "/sys/fs/cgroup"),
        "mqueue" => (NamespaceKind::Ipc, "/dev/mqueue"),
        _ => return None,
    };
    spec.linux.namespace(kind).is_none().then_some(tree)
}
