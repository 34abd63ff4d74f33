//! An image wherever it is, with all of skopeo's fields.

use ctr_cli::template::{Struct, Value};
use ctr_core::Digest;
use ctr_core::oci::{History, ImageConfig, Manifest};

use crate::image::{labels, run_config, time};

/// The fields in skopeo's order; `name` is for an image that has one, `digest` is that of the document on offer, which may be an index.
#[must_use]
pub fn value(
    name: Option<&str>,
    digest: &Digest,
    tags: Vec<String>,
    manifest: &Manifest,
    config: &ImageConfig,
) -> Value {
    let layers: Vec<String> = manifest.layers.iter().map(|layer| layer.digest.to_string()).collect();
    let env = &config.config.env;
    Struct::new("inspect.Output")
        .optional("Name", "Name", name.unwrap_or_default())
        .optional("Tag", "Tag", "")
        .field("Digest", digest.to_string())
        .field("RepoTags", tags)
        .field("Created", time(config.created.as_deref()))
        .field("DockerVersion", config.docker_version.clone())
        .field("Labels", labels(&config.config))
        .field("Architecture", config.architecture.clone())
        .field("Os", config.os.clone())
        .field("Layers", layers)
        .field("LayersData", Value::structs(manifest.layers.iter().map(layer)))
        .field("Env", if env.is_empty() { Value::Nil } else { Value::from(env.clone()) })
        .into()
}

fn layer(layer: &ctr_core::oci::Descriptor) -> Struct {
    let size = i64::try_from(layer.size).unwrap_or(i64::MAX);
    let notes = &layer.annotations;
    Struct::new("types.ImageInspectLayer")
        .field("MIMEType", layer.media_type.clone())
        .field("Digest", layer.digest.to_string())
        .field("Size", size)
        .field("Annotations", if notes.is_empty() { Value::Nil } else { Value::from(notes.clone()) })
}

/// A config as OCI has it, whatever it was written as.
#[must_use]
pub fn config(config: &ImageConfig) -> Value {
    let steps: Vec<_> = config.history.iter().map(step).collect();
    let diff_ids: Vec<String> = config.rootfs.diff_ids.iter().map(ToString::to_string).collect();
    let root = Struct::new("v1.RootFS").named("Type", Some("type"), config.rootfs.kind.clone()).named(
        "DiffIDs",
        Some("diff_ids"),
        diff_ids,
    );
    Struct::new("v1.Image")
        .optional("Created", "created", time(config.created.as_deref()))
        .optional("Author", "author", config.author.clone())
        .named("Architecture", Some("architecture"), config.architecture.clone())
        .named("OS", Some("os"), config.os.clone())
        .optional("Variant", "variant", config.variant.clone().unwrap_or_default())
        .named("Config", Some("config"), run_config(&config.config))
        .named("RootFS", Some("rootfs"), root)
        .optional("History", "history", Value::structs(steps))
        .into()
}

fn step(history: &History) -> Struct {
    Struct::new("v1.History")
        .optional("Created", "created", time(history.created.as_deref()))
        .optional("CreatedBy", "created_by", history.created_by.clone())
        .optional("Author", "author", history.author.clone())
        .optional("Comment", "comment", history.comment.clone())
        .optional("EmptyLayer", "empty_layer", history.empty_layer)
}
