//! What a request and an image say of a container, for its record.

use ctr_core::boot::boot_id;
use ctr_runtime::spec::IdMapping;
use ctr_store::Layout;
use ctr_userns::level_b::Plan;
use ctr_userns::map::IdMaps;

use super::{Container, RunError, now};
use crate::containers::Kind;
use crate::create::{self, CreateError};
use crate::dependencies;
use crate::happened;
use crate::mounts::{Access, Mount, Overlay, What};
use crate::ports::PortsError;
use crate::record::{HostRecord, MountRecord, ProcessRecord, Record, UlimitRecord, VERSION};
use crate::request::{ProcessRequest, Request, Source};
use crate::units;
use crate::user::GroupAdd;

/// The record of a container that is about to be.
pub(super) fn make(
    container: &Container<'_>,
    plan: Option<&Plan>,
    hostname: &str,
) -> Result<Record, RunError> {
    let Container { request, image, claim, paths, .. } = container;
    let rootfs = match &request.source {
        Source::Image(_) => None,
        Source::Folder { path, .. } => Some(absolute(path)?),
    };
    let layout = container.host.store.layout();
    let mut layers = image.as_ref().map(|image| image.layers.clone()).unwrap_or_default();
    layers.extend(container.more_layers);
    let mut process = process(container, plan);
    let mut may = host(request, plan.map(|plan| &plan.maps));
    // Of one that is being started anyway the start itself says it.
    if claim.kind.has_monitor() {
        let image = container.config();
        let variables = create::variables(request, image, hostname).and_then(|env| env.entries());
        process.env = variables.map_err(CreateError::from)?;
        may.bounding = Some(create::bounding(request, image)?);
    }
    Ok(Record {
        version: VERSION,
        id: claim.id.clone(),
        name: claim.name.clone(),
        created: now(),
        auto_remove: request.auto_remove,
        boot_id: boot_id()?.clone(),
        image: image.as_ref().map(|image| image.id),
        image_name: image.as_ref().map(|image| image_name(image, request)).unwrap_or_default(),
        image_digest: image.as_ref().map(|image| image.manifest),
        rootfs,
        layers,
        hostname: hostname.to_owned(),
        labels: happened::labels(*image, request),
        annotations: request.annotations.clone(),
        process,
        host: may,
        ports: request.ports.publish.clone(),
        exposed: exposed(container)?,
        mounts: request.storage.mounts.iter().map(|it| mount(it, layout)).collect(),
        cidfile: paths.cid.clone(),
        pidfile: paths.pid.clone(),
        timezone: request.timezone.clone().unwrap_or_default(),
        timeout: request.timeout.map_or(0, |timeout| timeout.as_secs()),
        stop_timeout: request.stop_timeout,
        dependencies: dependencies::of(request),
        log: request.log.clone(),
        command_line: request.command_line.clone(),
        request: match claim.kind {
            Kind::Fleeting => None,
            Kind::Transient | Kind::Kept => {
                Some(serde_json::value::to_raw_value(request).map_err(RunError::Record)?)
            }
        },
    })
}

/// The name the image was found by, in full; else what the user wrote.
pub(super) fn image_name(image: &ctr_store::Image, request: &Request) -> String {
    match (&image.name, &request.source) {
        (Some(name), _) => name.to_string(),
        (None, Source::Image(text)) => text.clone(),
        (None, Source::Folder { .. }) => String::new(),
    }
}

fn absolute(path: &std::path::Path) -> Result<std::path::PathBuf, RunError> {
    Ok(std::path::absolute(path).map_err(|error| ctr_core::file::FileError::new("find", path, error))?)
}

fn process(container: &Container<'_>, plan: Option<&Plan>) -> ProcessRecord {
    let ProcessRequest { words, entrypoint, .. } = &container.request.process;
    let image = container.config();
    let list =
        |list: &Option<ctr_core::oci::Words>| list.as_ref().map(|list| list.0.clone()).unwrap_or_default();
    let own_entrypoint = list(&image.entrypoint);
    let cmd = match (words.is_empty(), entrypoint) {
        (false, _) => words.clone(),
        (true, None) => list(&image.cmd),
        (true, Some(_)) => Vec::new(),
    };
    let entrypoint = entrypoint.clone().unwrap_or(own_entrypoint);
    let request = &container.request.process;
    let signal = request.stop_signal.or_else(|| units::parse_signal(&image.stop_signal).ok());
    ProcessRecord {
        args: entrypoint.iter().chain(&cmd).cloned().collect(),
        entrypoint,
        cmd,
        user: match (&request.user, plan.and_then(|plan| plan.user)) {
            (Some(user), _) => user.clone(),
            (None, Some((uid, gid))) => format!("{uid}:{gid}"),
            (None, None) => image.user.clone(),
        },
        workdir: request.workdir.clone().unwrap_or_else(|| image.working_dir.clone()),
        terminal: request.terminal,
        interactive: request.interactive,
        stop_signal: signal.unwrap_or(15),
        umask: request.umask.unwrap_or(0o022),
        init: request.init,
        groups: groups(&request.groups),
        env: Vec::new(),
    }
}

fn groups(groups: &GroupAdd) -> Vec<String> {
    match groups {
        GroupAdd::None => Vec::new(),
        GroupAdd::Keep => vec!["keep-groups".to_owned()],
        GroupAdd::Groups(groups) => groups.iter().map(ToString::to_string).collect(),
    }
}

fn host(request: &Request, maps: Option<&IdMaps>) -> HostRecord {
    let modes = &request.namespaces;
    let privileges = &request.privileges;
    HostRecord {
        pid: modes.pid.shown(),
        ipc: modes.shown_ipc(),
        uts: modes.uts.shown(),
        cgroup: modes.cgroup.shown(),
        no_keyring: request.no_keyring,
        no_cgroup: request.no_cgroup,
        network: modes.shown_network(),
        userns: request.userns.mode.clone().unwrap_or_default(),
        maps: maps.cloned(),
        cap_add: privileges.cap_add.clone(),
        cap_drop: privileges.cap_drop.clone(),
        bounding: None,
        privileged: privileges.privileged,
        publish_all: request.ports.all,
        read_only: request.storage.read_only,
        security_opt: privileges.security.written.clone(),
        extra_hosts: request.hosts.add.iter().map(ToString::to_string).collect(),
        hosts_file: request.hosts.base.shown(),
        image_files: (request.hosts.none, request.hosts.no_hostname),
        resolver: request.resolver.clone(),
        shm_size: request.storage.shm_size,
        oom_score_adj: request.process.oom_score_adj.unwrap_or(0),
        ulimits: privileges
            .ulimits
            .set
            .iter()
            .map(|limit| UlimitRecord { name: limit.oci_name(), soft: limit.soft, hard: limit.hard })
            .collect(),
        devices: request
            .storage
            .devices
            .iter()
            .map(|device| (device.source.to_string_lossy().into_owned(), device.target.to_string()))
            .collect(),
    }
}

/// All that is exposed, and so what a list shows of a container.
fn exposed(container: &Container<'_>) -> Result<Vec<String>, RunError> {
    let exposed = container.request.ports.exposed(container.config()).map_err(PortsError::from)?;
    Ok(exposed.iter().map(|(carrier, port)| format!("{port}/{carrier}")).collect())
}

/// A mount as `inspect` shows it.
fn mount(mount: &Mount, layout: &Layout) -> MountRecord {
    let shown = |kind: &str, source: String, access: Access, propagation: &str, mut options: Vec<&str>| {
        let words =
            [(access.exec, "exec", "noexec"), (access.suid, "suid", "nosuid"), (access.dev, "dev", "nodev")];
        options.extend(
            words.into_iter().filter_map(|(choice, yes, no)| choice.map(|on| if on { yes } else { no })),
        );
        MountRecord {
            volume: None,
            kind: kind.to_owned(),
            source,
            destination: mount.target.to_string(),
            options: options.into_iter().map(str::to_owned).collect(),
            rw: access.read_only != Some(true),
            propagation: propagation.to_owned(),
        }
    };
    let source = |path: &std::path::Path| {
        std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).to_string_lossy().into_owned()
    };
    match &mount.what {
        What::Bind(bind) => {
            let propagation = bind.propagation.map_or("rprivate", crate::mounts::Propagation::name);
            let recursive = if bind.recursive { "rbind" } else { "bind" };
            shown("bind", source(&bind.source), bind.access, propagation, vec![recursive])
        }
        What::Overlay(Overlay { source: path, .. }) => {
            shown("bind", source(path), Access::default(), "rprivate", vec!["O"])
        }
        What::Volume(volume) => {
            let propagation = volume.propagation.map_or("rprivate", crate::mounts::Propagation::name);
            let name = volume.name.clone().unwrap_or_default();
            let source = layout.volumes().join(&name).join("_data").to_string_lossy().into_owned();
            let words = if volume.overlay { vec!["rbind", "O"] } else { vec!["rbind"] };
            MountRecord { volume: Some(name), ..shown("volume", source, volume.access, propagation, words) }
        }
        What::Image(image) => {
            let access = Access { read_only: Some(!image.writable), ..Access::default() };
            shown("image", image.image.clone(), access, "rprivate", vec![])
        }
        What::Tmpfs(tmpfs) => {
            let kind = if tmpfs.ramfs { "ramfs" } else { "tmpfs" };
            shown(kind, kind.to_owned(), tmpfs.access, "", vec![])
        }
        What::Devpts(_) => shown("devpts", "devpts".to_owned(), Access::default(), "", vec![]),
    }
}

/// The lines of a map as a specification has them.
pub(super) fn lines(lines: &ctr_userns::map::Lines) -> Vec<IdMapping> {
    let line =
        |it: &ctr_userns::map::Extent| IdMapping { container_id: it.inner, host_id: it.outer, size: it.len };
    lines.extents().iter().map(line).collect()
}
