//! An image with all of podman's fields.

use ctr_cli::human::time::Timestamp;
use ctr_cli::template::{Struct, Time, Value};
use ctr_core::oci::{History, ImageConfig, RunConfig, media};
use ctr_store::{Image, Store};

use crate::{ViewError, listing};

/// The fields in podman's order, which JSON keeps.
///
/// # Errors
/// The image is damaged, or the store cannot be read.
pub fn value(store: &Store, image: &Image) -> Result<Value, ViewError> {
    let entry = listing::one(store, image.id)?;
    let config = store.config(image.id)?;
    let manifest = store.manifest(image.id, image.manifest)?;
    let family = media::family(&manifest.config.media_type).unwrap_or(media::Family::Oci);
    let manifest_type = manifest.media_type.clone().unwrap_or_else(|| family.manifest().to_owned());
    let docker = family == media::Family::Docker;
    let comment = match (docker, config.history.first()) {
        (true, _) => config.comment.clone(),
        (false, first) => first.map(|first| first.comment.clone()).unwrap_or_default(),
    };
    let bytes = i64::try_from(image.size).unwrap_or(i64::MAX);
    let health = config.config.healthcheck.as_ref().filter(|_| docker);
    Ok(Struct::new("libimage.ImageData")
        .named("ID", Some("Id"), entry.id.clone())
        .named("Id", None, entry.id.clone())
        .field("Digest", image.manifest.to_string())
        .field("RepoTags", entry.name_texts())
        .field("RepoDigests", entry.repo_digests())
        .field("Parent", "")
        .field("Comment", comment)
        .field("Created", time(config.created.as_deref()))
        .field("Config", run_config(&config.config))
        .field("Version", config.docker_version.clone())
        .field("Author", config.author.clone())
        .field("Architecture", config.architecture.clone())
        .field("Os", config.os.clone())
        .field("Size", bytes)
        .field("VirtualSize", bytes)
        .field("GraphDriver", driver(store, image))
        .field("RootFS", root(&config))
        .field("Labels", labels(&config.config))
        .field("Annotations", manifest.annotations.clone())
        .field("ManifestType", manifest_type)
        .field("User", config.config.user.clone())
        .field("History", Value::from(config.history.iter().map(step).collect::<Vec<_>>()))
        .field("NamesHistory", entry.history)
        .optional("HealthCheck", "Healthcheck", health.map(Value::from))
        .into())
}

pub(crate) fn time(text: Option<&str>) -> Value {
    match text.map(Timestamp::parse) {
        Some(Ok(time)) => Time::new(time.seconds, time.nanos).into(),
        _ => Value::Nil,
    }
}

pub(crate) fn labels(config: &RunConfig) -> Value {
    if config.labels.is_empty() { Value::Nil } else { Value::from(config.labels.clone()) }
}

pub(crate) fn run_config(config: &RunConfig) -> Struct {
    let words = |words: &Option<ctr_core::oci::Words>| {
        words.as_ref().map(|words| words.0.clone()).unwrap_or_default()
    };
    let set = |map: &std::collections::BTreeMap<String, serde_json::Value>| {
        let empty = |key: &String| (key.clone(), Value::from(Struct::new("struct {}")));
        Value::from(map.keys().map(empty).collect::<std::collections::BTreeMap<_, _>>())
    };
    Struct::new("v1.ImageConfig")
        .optional("User", "User", config.user.clone())
        .optional("ExposedPorts", "ExposedPorts", set(&config.exposed_ports))
        .optional("Env", "Env", config.env.clone())
        .optional("Entrypoint", "Entrypoint", words(&config.entrypoint))
        .optional("Cmd", "Cmd", words(&config.cmd))
        .optional("Volumes", "Volumes", set(&config.volumes))
        .optional("WorkingDir", "WorkingDir", config.working_dir.clone())
        .optional("Labels", "Labels", config.labels.clone())
        .optional("StopSignal", "StopSignal", config.stop_signal.clone())
}

fn root(config: &ImageConfig) -> Struct {
    let layers: Vec<_> = config.rootfs.diff_ids.iter().map(ToString::to_string).collect();
    Struct::new("libimage.RootFS").field("Type", config.rootfs.kind.clone()).field("Layers", layers)
}

/// Where the layers lie, under whatever map they were unpacked first.
fn driver(store: &Store, image: &Image) -> Struct {
    let tree = |layer: &ctr_core::Digest| {
        let keys = store.tree_keys(layer).unwrap_or_default();
        let tree = keys.into_iter().find_map(|key| store.tree(layer, key).ok().flatten());
        tree.map(|tree| tree.path.display().to_string())
    };
    let mut layers: Vec<_> = image.layers.iter().rev().filter_map(tree).collect();
    let mut data = std::collections::BTreeMap::new();
    if !layers.is_empty() {
        data.insert("UpperDir".to_owned(), layers.remove(0));
    }
    if !layers.is_empty() {
        data.insert("LowerDir".to_owned(), layers.join(":"));
    }
    Struct::new("libimage.DriverData").field("Name", "overlay").field("Data", data)
}

fn step(history: &History) -> Struct {
    Struct::new("v1.History")
        .named("Created", Some("created"), time(history.created.as_deref()))
        .optional("CreatedBy", "created_by", history.created_by.clone())
        .optional("Author", "author", history.author.clone())
        .optional("Comment", "comment", history.comment.clone())
        .optional("EmptyLayer", "empty_layer", history.empty_layer)
}
