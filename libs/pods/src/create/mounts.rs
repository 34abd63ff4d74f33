//! What is mounted: Podman's defaults, files of ours, then what was asked for.

use ctr_runtime::spec::Mount as SpecMount;

use super::Facts;
use ctr_store::volume::Backing;

use crate::mounts::{Access, Bind, Devpts, Mount, Named, Overlay, Tmpfs, What};
use crate::namespaces::{Mode, Namespaces, Shm};
use crate::request::Request;

/// All mounts in the order in which they are made.
pub(super) fn all(request: &Request, facts: &Facts<'_>) -> Vec<SpecMount> {
    let mut mounts = system(request, facts);
    if request.storage.read_only && request.storage.read_only_tmpfs {
        for target in ["/run", "/tmp", "/var/tmp"] {
            mounts.push(mount(target, "tmpfs", "tmpfs", &["rw", "nosuid", "nodev", "rprivate", "tmpcopyup"]));
        }
    }
    for file in facts.files {
        mounts.push(mount(&file.target, "bind", &file.source, &["bind", "rprivate", "nosuid", "nodev"]));
    }
    for device in facts.devices {
        let source = device.source.to_string_lossy();
        mounts.push(mount(device.target.as_str(), "bind", &source, DEVICE_OPTIONS));
    }
    for asked in &request.storage.mounts {
        // What is asked for takes the place of a default.
        mounts.retain(|default| default.destination != asked.target.as_str());
        mounts.push(user_mount(asked, facts));
    }
    // Parents first; what is on one level keeps its order.
    mounts.sort_by_key(|mount| mount.destination.bytes().filter(|byte| *byte == b'/').count());
    mounts
}

/// A device node that is bound: its file system may be one without devices.
const DEVICE_OPTIONS: &[&str] = &["bind", "rprivate", "nosuid", "noexec"];

fn mount(destination: &str, kind: &str, source: &str, options: &[&str]) -> SpecMount {
    SpecMount {
        destination: destination.to_owned(),
        kind: kind.to_owned(),
        source: source.to_owned(),
        options: options.iter().map(|option| (*option).to_owned()).collect(),
    }
}

/// /proc, /dev, /sys and what lies in them.
fn system(request: &Request, facts: &Facts<'_>) -> Vec<SpecMount> {
    let modes = &request.namespaces;
    let storage = &request.storage;
    let sealed = storage.read_only && !storage.read_only_tmpfs;
    let mut proc = if modes.pid != Mode::Host {
        mount("/proc", "proc", "proc", &["nosuid", "noexec", "nodev"])
    } else {
        mount("/proc", "bind", "/proc", &["rbind", "nosuid", "noexec", "nodev"])
    };
    proc.options.extend(request.privileges.security.proc_opts.iter().cloned());

    let mut dev = mount("/dev", "tmpfs", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]);
    let mut pts = mount(
        "/dev/pts",
        "devpts",
        "devpts",
        &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"],
    );
    if maps(facts, 5) {
        pts.options.push("gid=5".to_owned());
    }
    let mut shm = shm(modes, storage.shm_size);
    if sealed {
        for mount in [&mut dev].into_iter().chain(&mut shm) {
            mount.options.push("ro".to_owned());
        }
    }
    let queues = match modes.ipc {
        Mode::Host if !facts.queues => None,
        Mode::Host => {
            Some(mount("/dev/mqueue", "bind", "/dev/mqueue", &["bind", "nosuid", "noexec", "nodev"]))
        }
        _ => Some(mount("/dev/mqueue", "mqueue", "mqueue", &["nosuid", "noexec", "nodev"])),
    };
    let mut mounts = vec![proc, dev, pts];
    mounts.extend(shm);
    mounts.extend(queues);
    mounts.extend(sys(request));
    mounts
}

fn shm(modes: &Namespaces, size: u64) -> Option<SpecMount> {
    let shared = |source| Some(mount("/dev/shm", "bind", source, &["bind", "nosuid", "noexec", "nodev"]));
    match (&modes.ipc, modes.shm) {
        (Mode::Host, _) => return shared("/dev/shm"),
        // What is bound is the other container's: the source is there to be read.
        (Mode::Container(id), _) => return shared(id),
        (Mode::Private, Shm::None) => return None,
        // Nobody can ask for a file's.
        (Mode::Private | Mode::Path(_), _) => {}
    }
    let mut shm = mount("/dev/shm", "tmpfs", "shm", &["nosuid", "noexec", "nodev", "mode=1777"]);
    if size > 0 {
        shm.options.push(format!("size={size}"));
    }
    Some(shm)
}

/// /sys belongs to the network namespace: with the host's it is the host's, bound.
fn sys(request: &Request) -> Vec<SpecMount> {
    let access = if request.privileges.privileged { "rw" } else { "ro" };
    let cgroup_access = if request.privileges.security.unmasks("/sys/fs/cgroup") { "rw" } else { access };
    if request.namespaces.network == Mode::Host {
        let options = ["rprivate", "nosuid", "noexec", "nodev", access, "rbind"];
        return vec![mount("/sys", "bind", "/sys", &options)];
    }
    vec![
        mount("/sys", "sysfs", "sysfs", &["nosuid", "noexec", "nodev", access]),
        mount(
            "/sys/fs/cgroup",
            "cgroup",
            "cgroup",
            &["rprivate", "nosuid", "noexec", "nodev", "relatime", cgroup_access],
        ),
    ]
}

/// A group that the container has.
fn maps(facts: &Facts<'_>, gid: u32) -> bool {
    facts.gid_map.iter().any(|line| gid >= line.container_id && gid - line.container_id < line.size)
}

fn user_mount(asked: &Mount, facts: &Facts<'_>) -> SpecMount {
    let target = asked.target.as_str();
    match &asked.what {
        What::Bind(bind) => bound(target, bind),
        What::Overlay(Overlay { source, .. }) => {
            mount(target, "bind", &source.to_string_lossy(), &["bind", "rprivate", "nosuid", "nodev"])
        }
        What::Volume(volume) => named(target, volume),
        What::Image(image) => {
            let access = if image.writable { "rw" } else { "ro" };
            mount(target, "bind", &image.image, &["bind", "rprivate", "nosuid", "nodev", access])
        }
        What::Tmpfs(tmpfs) => memory(target, tmpfs, facts),
        What::Devpts(devpts) => terminals(target, devpts),
    }
}

fn bound(target: &str, bind: &Bind) -> SpecMount {
    let mut options = vec![if bind.recursive { "rbind" } else { "bind" }.to_owned()];
    let propagation = match (bind.propagation, bind.recursive) {
        (Some(propagation), _) => propagation.name(),
        (None, true) => "rprivate",
        (None, false) => "private",
    };
    options.push(propagation.to_owned());
    // A bind of the user's own files: programs with other ids and devices in there are not meant, unless said.
    options.extend(access_options(bind.access, Some(true), Some(false), Some(false)));
    SpecMount {
        destination: target.to_owned(),
        kind: "bind".to_owned(),
        source: bind.source.to_string_lossy().into_owned(),
        options,
    }
}

/// A volume: what it was made with, then what the mount asks for.
fn named(target: &str, volume: &Named) -> SpecMount {
    let mut options =
        vec![volume.propagation.map_or("rprivate", crate::mounts::Propagation::name).to_owned()];
    let (kind, made_with) = match &volume.backing {
        Backing::Folder => ("bind", &[][..]),
        Backing::Bind { options, .. } => ("bind", options.as_slice()),
        Backing::Tmpfs { options } => ("tmpfs", options.as_slice()),
    };
    if kind == "bind" {
        options.push("rbind".to_owned());
    }
    let says = |word: &str| made_with.iter().any(|option| option == word);
    let choice = |asked: Option<bool>, yes: &str, no: &str| {
        // Either of the two can forbid what the other would allow.
        let forbidden = says(no) || asked == Some(false);
        if forbidden { Some(false) } else { asked.or(says(yes).then_some(true)) }
    };
    let access = volume.access;
    let writable = choice(access.read_only.map(|read_only| !read_only), "rw", "ro");
    let access = Access {
        read_only: writable.map(|writable| !writable),
        exec: choice(access.exec, "exec", "noexec"),
        suid: choice(access.suid, "suid", "nosuid"),
        dev: choice(access.dev, "dev", "nodev"),
    };
    options.extend(access_options(access, Some(true), Some(false), Some(false)));
    options.extend(made_with.iter().filter(|option| option.contains('=') || *option == "noatime").cloned());
    let source = if kind == "tmpfs" { "tmpfs" } else { volume.name.as_deref().unwrap_or_default() };
    SpecMount { destination: target.to_owned(), kind: kind.to_owned(), source: source.to_owned(), options }
}

/// The words for each choice; `None` is the kernel's.
fn access_options(access: Access, exec: Option<bool>, suid: Option<bool>, dev: Option<bool>) -> Vec<String> {
    let word =
        |choice: Option<bool>, yes: &str, no: &str| choice.map(|on| if on { yes } else { no }.to_owned());
    [
        word(access.read_only, "ro", "rw"),
        word(access.exec.or(exec), "exec", "noexec"),
        word(access.suid.or(suid), "suid", "nosuid"),
        word(access.dev.or(dev), "dev", "nodev"),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn memory(target: &str, tmpfs: &Tmpfs, facts: &Facts<'_>) -> SpecMount {
    // Podman's `--tmpfs` runs programs unless told not to; Docker's does not. Both forbid the other two.
    let mut options = access_options(tmpfs.access, None, Some(false), Some(false));
    options.push(tmpfs.propagation.map_or("rprivate", crate::mounts::Propagation::name).to_owned());
    if let Some(size) = &tmpfs.size {
        options.push(format!("size={size}"));
    }
    if let Some(mode) = tmpfs.mode {
        options.push(format!("mode={mode:o}"));
    }
    if !tmpfs.no_copy_up {
        options.push("tmpcopyup".to_owned());
    }
    if tmpfs.noatime {
        options.push("noatime".to_owned());
    }
    if tmpfs.chown {
        options.push(format!("uid={}", facts.identity.uid));
        options.push(format!("gid={}", facts.identity.gid));
    }
    let kind = if tmpfs.ramfs { "ramfs" } else { "tmpfs" };
    SpecMount { destination: target.to_owned(), kind: kind.to_owned(), source: kind.to_owned(), options }
}

fn terminals(target: &str, devpts: &Devpts) -> SpecMount {
    let mut terminals = mount(target, "devpts", "devpts", &["nosuid", "noexec", "newinstance"]);
    let options = [
        devpts.uid.map(|uid| format!("uid={uid}")),
        devpts.gid.map(|gid| format!("gid={gid}")),
        Some(format!("mode={:04o}", devpts.mode.unwrap_or(0o620))),
        Some(format!("ptmxmode={:04o}", devpts.ptmxmode.unwrap_or(0o666))),
        devpts.max.map(|max| format!("max={max}")),
    ];
    terminals.options.extend(options.into_iter().flatten());
    terminals
}
