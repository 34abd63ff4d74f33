//! A volume as people and scripts see it.

use std::collections::BTreeMap;

use ctr_cli::template::{Struct, Value};
use ctr_store::volume::Volume;

use crate::cmd::select::moment;

/// The names that a template can ask for.
pub(super) const FIELDS: &[&str] = &[
    "Anonymous",
    "CreatedAt",
    "Driver",
    "GID",
    "Labels",
    "LockNumber",
    "MountCount",
    "Mountpoint",
    "Name",
    "NeedsChown",
    "NeedsCopyUp",
    "Options",
    "Scope",
    "Status",
    "StorageID",
    "Timeout",
    "UID",
];

/// All of a volume, with podman's names. Lists show labels as one text, where templates ask for them.
pub(crate) fn value(volume: &Volume, type_name: &'static str, joined_labels: bool) -> Value {
    let record = &volume.record;
    let labels = if joined_labels {
        let pairs: Vec<String> = record.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
        Value::from(pairs.join(","))
    } else {
        record.labels.clone().into()
    };
    Struct::new(type_name)
        .field("Name", record.name.as_str())
        .field("Driver", record.driver.name())
        .field("Mountpoint", volume.mountpoint().to_string_lossy().into_owned())
        .field("CreatedAt", moment(record.created))
        .named("Status", None, BTreeMap::<String, Value>::new())
        .field("Labels", labels)
        .field("Scope", "local")
        .field("Options", record.options.clone())
        .optional("UID", "UID", record.uid)
        .optional("GID", "GID", record.gid)
        .optional("Anonymous", "Anonymous", record.anonymous)
        .field("MountCount", 0)
        .optional("NeedsCopyUp", "NeedsCopyUp", record.needs_copy_up)
        .optional("NeedsChown", "NeedsChown", record.needs_chown)
        .optional("Timeout", "Timeout", 0)
        .optional("StorageID", "StorageID", "")
        .field("LockNumber", 0)
        .into()
}
