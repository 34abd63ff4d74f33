//! The first half of a plan: namespaces, their settings, and `/proc`, `/sys`, `/dev`.

use std::ffi::CStr;

use super::builder::{Builder, c_string, slot};
use super::mounts::{self, Place};
use super::options::{NO_DEV, NO_EXEC, NO_SUID, READ_ONLY};
use super::{Facts, Maps, PlanError, Stage, flag, joined};
use crate::spec::{Device, Mount, NamespaceKind, Spec};
use ctr_sys::step::Step;

/// The nodes that every container has: name, major, minor.
const DEVICES: [(&CStr, &CStr, u32, u32); 6] = [
    (c"null", c"/dev/null", 1, 3),
    (c"zero", c"/dev/zero", 1, 5),
    (c"full", c"/dev/full", 1, 7),
    (c"random", c"/dev/random", 1, 8),
    (c"urandom", c"/dev/urandom", 1, 9),
    (c"tty", c"/dev/tty", 5, 0),
];

/// The links that every container has.
const LINKS: [(&CStr, &CStr); 6] = [
    (c"fd", c"/proc/self/fd"),
    (c"stdin", c"/proc/self/fd/0"),
    (c"stdout", c"/proc/self/fd/1"),
    (c"stderr", c"/proc/self/fd/2"),
    (c"core", c"/proc/kcore"),
    (c"ptmx", c"pts/ptmx"),
];

/// The kinds that are joined by a step of the stage, in this order: user and pid are matters of birth.
const JOINED: [NamespaceKind; 4] =
    [NamespaceKind::Network, NamespaceKind::Ipc, NamespaceKind::Uts, NamespaceKind::Cgroup];

/// The kinds that are made by a step of the stage.
const MADE: [NamespaceKind; 5] = [
    NamespaceKind::Mount,
    NamespaceKind::Network,
    NamespaceKind::Ipc,
    NamespaceKind::Uts,
    NamespaceKind::Cgroup,
];

pub(super) fn build(spec: &Spec, facts: &Facts) -> Result<Stage, PlanError> {
    if spec.linux.namespace(NamespaceKind::User).is_none() {
        return Err(PlanError::NoUserNamespace);
    }
    if !spec.linux.owns(NamespaceKind::Mount) {
        return Err(PlanError::NoMountNamespace);
    }
    let staged = mounts::Staged::sort(spec)?;
    let mut plan = Builder::default();
    let (birth, born_with) = birth(spec);
    enter_namespaces(&mut plan, spec)?;
    let staging = c"a staging area";
    plan.add(fresh_tmpfs(staging, NO_SUID | NO_DEV | NO_EXEC, slot::STAGING));
    plan.add(Step::Cover { mount: slot::STAGING });
    kernel_files(&mut plan, spec, facts, &staged)?;
    devices(&mut plan, spec, &staged)?;
    hide(&mut plan, spec, &staged)?;
    Ok(Stage {
        birth,
        born_with,
        maps: spec
            .linux
            .owns(NamespaceKind::User)
            .then(|| Maps { own: facts.maps.clone(), parent: facts.level_a.clone() }),
        steps: plan.finish(),
        staged,
    })
}

/// How the process comes into its user and pid namespaces: born with them, or, where one is joined, by a go-between who
/// joins and then bears it. The go-between is `ctr-init`, exec'd in the launcher's namespace and hidden: its memory is
/// out of reach of the namespace's root.
fn birth(spec: &Spec) -> (Option<Vec<u8>>, u64) {
    let linux = &spec.linux;
    let kinds = [NamespaceKind::User, NamespaceKind::Pid];
    let own: u64 = kinds.iter().filter(|kind| linux.owns(**kind)).map(|kind| u64::from(flag(*kind))).sum();
    let is_joined = |kind: NamespaceKind| linux.namespace(kind).is_some_and(|one| one.path.is_some());
    if !kinds.into_iter().any(is_joined) {
        return (None, own);
    }
    let mut plan = Builder::default();
    plan.add(Step::Guard {});
    // The pid namespace first: over it, too, the launcher's rights count, which end in the user namespace.
    for kind in [NamespaceKind::Pid, NamespaceKind::User].into_iter().filter(|kind| is_joined(*kind)) {
        plan.add(Step::Join { namespace: ctr_sys::step::Slot(joined(kind)), kind: flag(kind) });
    }
    plan.add(Step::Bear { namespaces: own });
    (Some(plan.finish()), 0)
}

fn enter_namespaces(plan: &mut Builder, spec: &Spec) -> Result<(), PlanError> {
    let linux = &spec.linux;
    // Ids and modes of what we make are given by us.
    plan.add(Step::Umask { mask: 0 });
    if linux.namespace(NamespaceKind::User).is_some_and(|user| user.path.is_some())
        || linux.namespace(NamespaceKind::Pid).is_some_and(|pid| pid.path.is_some())
    {
        plan.add(Step::Root {});
    }
    for kind in JOINED {
        if linux.namespace(kind).is_some_and(|one| one.path.is_some()) {
            plan.add(Step::Join { namespace: ctr_sys::step::Slot(joined(kind)), kind: flag(kind) });
        }
    }
    let made = MADE.iter().filter(|kind| linux.owns(**kind)).map(|kind| flag(*kind)).sum();
    plan.add(Step::Unshare { namespaces: made });
    plan.add(Step::Isolate {});
    if linux.owns(NamespaceKind::Uts) {
        if !spec.hostname.is_empty() {
            // Best effort: the seccomp filter of a CI container may keep sethostname from all without CAP_SYS_ADMIN there.
            plan.attempt(Step::Hostname { name: &c_string(&spec.hostname)? });
        }
        if !spec.domainname.is_empty() {
            plan.add(Step::Domainname { name: &c_string(&spec.domainname)? });
        }
    }
    if linux.owns(NamespaceKind::Network) {
        plan.add(Step::Loopback {});
    }
    Ok(())
}

fn fresh_tmpfs(on: &CStr, attributes: u64, to: ctr_sys::step::Slot) -> Step<'_> {
    let options = ctr_sys::step::Strings::new(b"mode\x000755\0").unwrap_or(ctr_sys::step::Strings::NONE);
    Step::Fresh { kind: c"tmpfs", options, attributes, on, fallback: c"", to }
}

/// `/proc` with the kernel's settings, `/sys` with what is mounted in it.
fn kernel_files(
    plan: &mut Builder,
    spec: &Spec,
    facts: &Facts,
    staged: &mounts::Staged,
) -> Result<(), PlanError> {
    for (place, name) in [(Place::Proc, c"proc"), (Place::Sys, c"sys")] {
        let Some(at) = staged.at(place) else { continue };
        plan.add(Step::Folder { inside: slot::STAGING, name, mode: 0o755 });
        let to = if place == Place::Proc { slot::PROC } else { slot::SYS };
        mounts::make(plan, spec, &spec.mounts[at], to)?;
        plan.add(Step::Place { mount: to, inside: slot::STAGING, name, make: 0 });
        if place == Place::Proc {
            settings(plan, spec, facts)?;
        }
        for at in staged.below(place) {
            let to = staged.slot_of(*at);
            let mount = &spec.mounts[*at];
            mounts::make(plan, spec, mount, to)?;
            let name = c_string(mounts::below(&mount.destination, place))?;
            plan.add(Step::Place { mount: to, inside: mounts::base(place), name: &name, make: 0 });
        }
    }
    Ok(())
}

/// What is written below `/proc` before anybody else sees it.
fn settings(plan: &mut Builder, spec: &Spec, facts: &Facts) -> Result<(), PlanError> {
    if let Some(score) = spec.process.oom_score_adj {
        let value = c_string(&score.to_string())?;
        plan.add(Step::Write { base: slot::PROC, path: c"self/oom_score_adj", value: &value });
    }
    if spec.linux.owns(NamespaceKind::Network) {
        // Best effort: the outer /proc/sys may be read-only, as it is in a CI container.
        let path = c"sys/net/ipv4/ip_unprivileged_port_start";
        plan.attempt(Step::Write { base: slot::PROC, path, value: c"0" });
        if let Some((low, high)) = ping_range(facts) {
            let value = c_string(&format!("{low} {high}"))?;
            let path = c"sys/net/ipv4/ping_group_range";
            plan.attempt(Step::Write { base: slot::PROC, path, value: &value });
        }
    }
    for (name, value) in &spec.linux.sysctl {
        let path = c_string(&format!("sys/{}", setting_path(name)?))?;
        plan.add(Step::Write { base: slot::PROC, path: &path, value: &c_string(value)? });
    }
    Ok(())
}

/// The path of a setting below /proc/sys: dots separate, unless there are slashes (as sysctl(8) has it).
fn setting_path(name: &str) -> Result<String, PlanError> {
    let path = match (name.find('/'), name.find('.')) {
        (Some(slash), Some(dot)) if slash < dot => name.to_owned(),
        (Some(_), None) => name.to_owned(),
        _ => name.chars().map(swap_separators).collect(),
    };
    let is_plain = |part: &str| !part.is_empty() && part != "." && part != "..";
    if path.split('/').all(is_plain) { Ok(path) } else { Err(PlanError::Sysctl(name.to_owned())) }
}

const fn swap_separators(character: char) -> char {
    match character {
        '.' => '/',
        '/' => '.',
        other => other,
    }
}

/// The groups that may send echo requests: all of the container's. The kernel compares its own ids, so the range goes
/// from the inner id with the lowest of those to the one with the highest.
fn ping_range(facts: &Facts) -> Option<(u32, u32)> {
    let seen = facts.maps.gid.over(&facts.level_a.gid).ok()?;
    let low = seen.extents().iter().min_by_key(|extent| extent.outer)?;
    let high = seen.extents().iter().max_by_key(|extent| extent.outer)?;
    Some((low.inner, high.inner + (high.len - 1)))
}

/// `/dev`: a tmpfs of ours, the host's nodes, and what is mounted in it.
fn devices(plan: &mut Builder, spec: &Spec, staged: &mounts::Staged) -> Result<(), PlanError> {
    let null = DEVICES[0];
    let Some(at) = staged.at(Place::Dev) else {
        // No /dev of ours, but masks need a null device and the nodes may be wanted in the image's: see the main half.
        plan.add(device(null.1, null.2, null.3, slot::NULL));
        plan.add(Step::Place { mount: slot::NULL, inside: slot::STAGING, name: null.0, make: 2 });
        return Ok(());
    };
    plan.add(Step::Folder { inside: slot::STAGING, name: c"dev", mode: 0o755 });
    mounts::make(plan, spec, &spec.mounts[at], slot::DEV)?;
    plan.add(Step::Place { mount: slot::DEV, inside: slot::STAGING, name: c"dev", make: 0 });
    for (at, (name, path, major, minor)) in DEVICES.into_iter().enumerate() {
        let to = if at == 0 { slot::NULL } else { staged.device_slot(at) };
        plan.add(device(path, major, minor, to));
        plan.add(Step::Place { mount: to, inside: slot::DEV, name, make: 2 });
    }
    for (at, device) in extra_devices(spec).enumerate() {
        let to = staged.device_slot(DEVICES.len() + at);
        let Some(name) = device.path.strip_prefix("/dev/").filter(|name| !name.contains('/')) else {
            continue;
        };
        plan.add(bound_device(device, &c_string(&device.path)?, to)?);
        plan.add(Step::Place { mount: to, inside: slot::DEV, name: &c_string(name)?, make: 2 });
    }
    for (name, target) in LINKS {
        plan.add(Step::Link { inside: slot::DEV, name, target });
    }
    for at in staged.below(Place::Dev) {
        let mount = &spec.mounts[*at];
        let name = c_string(mounts::below(&mount.destination, Place::Dev))?;
        let to = staged.slot_of(*at);
        plan.add(Step::Folder { inside: slot::DEV, name: &name, mode: 0o755 });
        mounts::make(plan, spec, mount, to)?;
        plan.add(Step::Place { mount: to, inside: slot::DEV, name: &name, make: 0 });
    }
    Ok(())
}

/// The devices of the specification that are not among the default ones.
pub(super) fn extra_devices(spec: &Spec) -> impl Iterator<Item = &Device> {
    let is_default =
        |device: &&Device| DEVICES.iter().any(|(_, path, ..)| path.to_bytes() == device.path.as_bytes());
    spec.linux.devices.iter().filter(move |device| !is_default(device))
}

/// The default nodes for a `/dev` that is the image's.
pub(super) fn default_devices() -> impl Iterator<Item = (&'static CStr, Step<'static>)> {
    DEVICES.into_iter().map(|(_, path, major, minor)| (path, device(path, major, minor, slot::IMAGE_DEV)))
}

const fn device(path: &CStr, major: u32, minor: u32, to: ctr_sys::step::Slot) -> Step<'_> {
    Step::Copy {
        path,
        recursive: false,
        device: device_number(major, minor),
        attributes: NO_SUID | NO_EXEC,
        to,
    }
}

/// A device node of the host's, which has to be the one that the specification means.
pub(super) fn bound_device<'a>(
    device: &Device,
    path: &'a CStr,
    to: ctr_sys::step::Slot,
) -> Result<Step<'a>, PlanError> {
    if !matches!(device.kind.as_str(), "c" | "u") {
        return Err(PlanError::Device(device.kind.clone()));
    }
    Ok(self::device(path, device.major, device.minor, to))
}

/// makedev(3).
const fn device_number(major: u32, minor: u32) -> u64 {
    let (major, minor) = (major as u64, minor as u64);
    (major & 0xffff_f000) << 32 | (major & 0xfff) << 8 | (minor & 0xffff_ff00) << 12 | minor & 0xff
}

/// Masks what is below `/proc`, `/sys` and `/dev`.
fn hide(plan: &mut Builder, spec: &Spec, staged: &mounts::Staged) -> Result<(), PlanError> {
    plan.add(fresh_tmpfs(c"masked directories", READ_ONLY | NO_SUID | NO_DEV | NO_EXEC, slot::EMPTY));
    plan.add(Step::Place { mount: slot::EMPTY, inside: slot::STAGING, name: c"empty", make: 1 });
    for path in &spec.linux.readonly_paths {
        if let Some((base, path)) = staged.split(path) {
            plan.add(Step::Freeze { base, path: &c_string(path)? });
        }
    }
    for path in &spec.linux.masked_paths {
        if let Some((base, path)) = staged.split(path) {
            plan.add(Step::Hide { base, path: &c_string(path)?, null: slot::NULL, empty: slot::EMPTY });
        }
    }
    Ok(())
}

/// Where a mount of the specification is handled.
pub(super) fn is_kernel_tree(mount: &Mount) -> bool {
    mount.source == mount.destination
        && matches!(mount.source.as_str(), "/proc" | "/sys" | "/sys/fs/cgroup" | "/dev/mqueue" | "/dev/shm")
}
