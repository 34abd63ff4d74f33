//! What `system df -v` prints: a table for each kind.

use std::fmt::Write as _;

use ctr_cli::human::ago::span;
use ctr_cli::human::size::human;
use ctr_cli::human::time::Timestamp;
use ctr_cli::report::CommandError;
use ctr_cli::template::{Report, Struct, headers};
use ctr_pods::containers::Container;
use ctr_pods::status::Status;
use ctr_store::volume::Volume;
use ctr_views::listing::Entry;
use ctr_views::usage::Usage;

use super::{Found, Sized};
use crate::cmd::select::moment;

/// All tables.
pub(super) fn all(found: &Found) -> Result<String, CommandError> {
    let now = Timestamp::now();
    let mut text = String::new();
    let images = found.images.iter().flat_map(|(entry, usage)| images(entry, *usage, now));
    let containers = found.containers.iter().map(|one| container(one, now));
    for (title, fields, rows) in [
        ("Images", IMAGE, images.collect::<Vec<_>>()),
        ("\nContainers", CONTAINER, containers.collect()),
        ("\nLocal Volumes", VOLUME, found.volumes.iter().map(volume).collect()),
    ] {
        let cells: Vec<String> = fields.iter().map(|field| format!("{{{{.{field}}}}}")).collect();
        let table = Report::table("df", &cells.join("\t")).map_err(CommandError::internal)?;
        let rows = rows.into_iter().map(Into::into).collect();
        let table = table.render(rows, Some(&headers(fields, HEADERS))).map_err(CommandError::internal)?;
        let _written = write!(text, "{title} space usage:\n\n{table}");
    }
    Ok(text)
}

const IMAGE: &[&str] =
    &["Repository", "Tag", "ImageID", "Created", "Size", "SharedSize", "UniqueSize", "Containers"];
const CONTAINER: &[&str] =
    &["ContainerID", "Image", "Command", "LocalVolumes", "RWSize", "Created", "Status", "Names"];
const VOLUME: &[&str] = &["VolumeName", "Links", "Size"];
const HEADERS: &[(&str, &str)] =
    &[("ImageID", "IMAGE ID"), ("ContainerID", "CONTAINER ID"), ("RWSize", "SIZE")];

/// A row for each name of an image.
fn images(entry: &Entry, usage: Usage, now: Timestamp) -> Vec<Struct> {
    let tagged =
        entry.names.iter().filter_map(|name| Some((name.name.to_string(), name.tag.as_ref()?.to_string())));
    let mut names: Vec<(String, String)> = tagged.collect();
    if names.is_empty() {
        names.push(("<none>".to_owned(), "<none>".to_owned()));
    }
    let row = |(repository, tag)| {
        Struct::new("system.dfImage")
            .field("Repository", repository)
            .field("Tag", tag)
            .field("ImageID", short(&entry.id))
            .field("Created", span(entry.created.until(now)))
            .field("Size", human(usage.all()))
            .field("SharedSize", human(usage.shared))
            .field("UniqueSize", human(usage.unique))
            .field("Containers", count(entry.containers.len()))
    };
    names.into_iter().map(row).collect()
}

fn container(sized: &Sized<(Container, Status)>, now: Timestamp) -> Struct {
    let (container, status) = &sized.one;
    let record = &container.record;
    let volumes = record.mounts.iter().filter(|mount| mount.volume.is_some()).count();
    Struct::new("system.dfContainer")
        .field("ContainerID", short(record.id.as_str()))
        .field("Image", record.image.map(|id| short(&id.to_string())).unwrap_or_default())
        .field("Command", record.process.args.join(" "))
        .field("LocalVolumes", count(volumes))
        .field("RWSize", human(sized.bytes))
        .field("Created", span(moment(record.created).until(now)))
        .field("Status", status.word())
        .field("Names", record.name.as_str())
}

fn volume(sized: &Sized<Volume>) -> Struct {
    Struct::new("system.dfVolume")
        .field("VolumeName", sized.one.record.name.as_str())
        .field("Links", count(sized.users))
        .field("Size", human(sized.bytes))
}

fn short(id: &str) -> String {
    id.get(..12).unwrap_or(id).to_owned()
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
