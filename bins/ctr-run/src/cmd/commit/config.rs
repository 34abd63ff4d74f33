//! How the new image is run: as the container was.

use ctr_cli::app::Call;
use ctr_cli::report::CommandError;
use ctr_core::oci::{RunConfig, Words};
use ctr_core::{file, limits};
use ctr_pods::containers::Container;
use ctr_pods::env;
use ctr_store::volume::VolumeError;
use ctr_store::{Image, Store};
use ctr_views::changes;
use serde_json::json;

use crate::error;

/// Variables that every start sets anew.
const OF_THE_START: [&str; 4] = ["HOME", "HOSTNAME", "TERM", "container"];

/// The configuration of the image, then the container's, then what the flags say.
pub(super) fn of(
    call: &Call,
    store: &Store,
    container: &Container,
    base: &Image,
) -> Result<RunConfig, CommandError> {
    let flags = &call.flags;
    let mut config = base.config.config.clone();
    let record = &container.record;
    let words = |list: &[String]| (!list.is_empty()).then(|| Words(list.to_vec()));
    config.entrypoint = words(&record.process.entrypoint);
    config.cmd = words(&record.process.cmd);
    config.user.clone_from(&record.process.user);
    if !record.process.workdir.is_empty() {
        config.working_dir.clone_from(&record.process.workdir);
    }
    config.labels.extend(record.labels.iter().cloned());
    let own = |entry: &String| {
        let name = entry.split('=').next().unwrap_or_default();
        !OF_THE_START.contains(&name) && !name.is_empty()
    };
    set_env(&mut config.env, environment(container, base)?.into_iter().filter(own));
    let volumes = volumes(store, container, flags.bool("include-volumes"))?;
    config.volumes.extend(volumes.into_iter().map(|path| (path, json!({}))));
    if let Some(path) = flags.path("config") {
        let bytes = file::read(path, limits::CONFIG).map_err(CommandError::user)?;
        let over: RunConfig = serde_json::from_slice(&bytes)
            .map_err(|error| CommandError::usage(format!("--config {}: {error}", path.display())))?;
        merge(&mut config, over);
    }
    changes::change(&mut config, &flags.strings("change")).map_err(CommandError::usage)?;
    Ok(config)
}

/// The environment of the last start; before the first, that of which it would be made.
fn environment(container: &Container, base: &Image) -> Result<Vec<String>, CommandError> {
    if let Some(state) = &container.state {
        return Ok(state.env.clone());
    }
    let process = container.request().map_err(error::of_containers)?.process;
    let env = env::build(&base.config.config.env, &process.env, &process.host_env);
    env.and_then(|env| env.entries()).map_err(CommandError::user)
}

/// The last one of a name wins, and there is one.
fn set_env(env: &mut Vec<String>, more: impl Iterator<Item = String>) {
    for entry in more {
        let name = entry.split('=').next().unwrap_or_default().to_owned();
        env.retain(|known| known.split('=').next() != Some(name.as_str()));
        env.push(entry);
    }
}

/// Where the container has volumes that nobody named; with the flag, everything that is mounted from outside.
fn volumes(store: &Store, container: &Container, all: bool) -> Result<Vec<String>, CommandError> {
    let mut paths = Vec::new();
    for mount in &container.record.mounts {
        let anonymous = match mount.volume.as_ref().map(|name| store.volumes().get(name)) {
            Some(Ok(volume)) => volume.record.anonymous,
            None | Some(Err(VolumeError::NotFound(_))) => false,
            Some(Err(error)) => return Err(CommandError::environment(error)),
        };
        if anonymous || all && matches!(mount.kind.as_str(), "bind" | "volume") {
            paths.push(mount.destination.clone());
        }
    }
    Ok(paths)
}

/// Puts what a configuration says over another.
fn merge(config: &mut RunConfig, over: RunConfig) {
    let text = |into: &mut String, from: String| {
        if !from.is_empty() {
            *into = from;
        }
    };
    text(&mut config.user, over.user);
    text(&mut config.working_dir, over.working_dir);
    text(&mut config.stop_signal, over.stop_signal);
    set_env(&mut config.env, over.env.into_iter());
    config.entrypoint = over.entrypoint.or(config.entrypoint.take());
    config.cmd = over.cmd.or(config.cmd.take());
    config.stop_timeout = over.stop_timeout.or(config.stop_timeout);
    config.healthcheck = over.healthcheck.or(config.healthcheck.take());
    config.exposed_ports.extend(over.exposed_ports);
    config.volumes.extend(over.volumes);
    config.labels.extend(over.labels);
    config.on_build.extend(over.on_build);
    if !over.shell.is_empty() {
        config.shell = over.shell;
    }
}
