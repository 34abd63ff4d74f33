//! What a container may do: capabilities, hidden paths, labels.

use ctr_core::oci::RunConfig;
use ctr_runtime::caps::{self, CapSet};
use ctr_runtime::spec::Capabilities;

use super::{CreateError, Facts};
use crate::request::Request;
use crate::security::Security;

/// Paths that are hidden, as Podman and moby have them.
pub const MASKED: [&str; 13] = [
    "/proc/acpi",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/dev/block",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
    "/sys/fs/selinux",
];

/// Paths that cannot be written.
pub const READ_ONLY: [&str; 6] =
    ["/proc/asound", "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// The label by which an image says how little it needs.
const CAPABILITY_LABELS: [&str; 2] = ["io.containers.capabilities", "io.podman.capabilities"];

/// The five sets. Root has what it may have; anyone else only what the flags add, and that across programs.
pub(super) fn capabilities(request: &Request, facts: &Facts<'_>) -> Result<Capabilities, CreateError> {
    let bounding = bounding(request, facts.image)?;
    if facts.identity.uid == 0 {
        return Ok(Capabilities {
            bounding,
            effective: bounding,
            permitted: bounding,
            ..Capabilities::default()
        });
    }
    let none: [String; 0] = [];
    let added =
        caps::merge(CapSet::EMPTY, &request.privileges.cap_add, &none, CapSet::ALL)?.intersection(bounding);
    Ok(Capabilities { bounding, effective: added, inheritable: added, permitted: added, ambient: added })
}

/// What it may ever do, whoever it is.
pub(crate) fn bounding(request: &Request, image: &RunConfig) -> Result<CapSet, CreateError> {
    let privileges = &request.privileges;
    let none: [String; 0] = [];
    let base = match &privileges.default_caps {
        _ if privileges.privileged => CapSet::ALL,
        Some(list) if !list.is_empty() => caps::merge(CapSet::EMPTY, list, &none, CapSet::ALL)?,
        _ => caps::DEFAULT,
    };
    let mut bounding = caps::merge(base, &privileges.cap_add, &privileges.cap_drop, CapSet::ALL)?;
    if !privileges.privileged
        && let Some(needed) = needed(request, image)?
        && needed.difference(bounding).is_empty()
    {
        bounding = needed;
    }
    Ok(bounding)
}

/// What the image or the user says it needs; less than the default, never more.
fn needed(request: &Request, image: &RunConfig) -> Result<Option<CapSet>, CreateError> {
    let own = |key: &str| request.labels.iter().rev().find(|(name, _)| name == key).map(|(_, value)| value);
    let label = CAPABILITY_LABELS.into_iter().find_map(|key| own(key).or_else(|| image.labels.get(key)));
    let Some(list) = label else { return Ok(None) };
    let names: Vec<&str> = list.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
    let none: [&str; 0] = [];
    Ok(Some(caps::merge(CapSet::EMPTY, &names, &none, CapSet::ALL)?))
}

/// The paths that are hidden: the usual ones but those that are unmasked, then the user's.
pub(super) fn masked(security: &Security, privileged: bool) -> Vec<String> {
    let usual = MASKED.into_iter().filter(|path| !privileged && !security.unmasks(path));
    usual.map(str::to_owned).chain(security.mask.iter().cloned()).collect()
}

/// The paths that cannot be written.
pub(super) fn read_only(security: &Security, privileged: bool) -> Vec<String> {
    let usual = READ_ONLY.into_iter().filter(|path| !privileged && !security.unmasks(path));
    usual.map(str::to_owned).collect()
}

/// Refuses what a security module would have to do that is not there, or that is not driven yet. Where SELinux is off a
/// label says nothing, as for podman. `disable` and `unconfined` hold anyway: a container's process has the label and the
/// profile of whoever runs `ctr`. `nested` would let it label its own files, which no one arranges yet.
pub(super) fn check_modules(security: &Security, facts: &Facts<'_>) -> Result<(), CreateError> {
    let label = security.label.iter().find(|option| *option != "disable");
    if let Some(option) = label.filter(|_| facts.selinux) {
        return Err(CreateError::Label(option.clone()));
    }
    match apparmor(security) {
        Some(profile) if !facts.apparmor => Err(CreateError::NoAppArmor(profile.to_owned())),
        _ => Ok(()),
    }
}

/// The profile that confines the container's process.
pub(super) fn apparmor(security: &Security) -> Option<&str> {
    security.apparmor.as_deref().filter(|profile| *profile != "unconfined")
}
