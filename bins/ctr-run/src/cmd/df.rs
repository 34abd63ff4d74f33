//! `ctr system df`: where the bytes are.
//!
//! What podman counts is counted here, and its words are kept, with one difference: a container's bytes are all that goes
//! with it, so also its log, which can be the most of it.

mod tables;

use ctr_cli::app::Call;
use ctr_cli::exit::Exit;
use ctr_cli::human::size::human;
use ctr_cli::json;
use ctr_cli::report::CommandError;
use ctr_cli::template::{Format, Report, Struct, Value, headers};
use ctr_cli::usage::{Arity, Flag, Verb};
use ctr_core::rooted::Root;
use ctr_pods::containers::{Container, Containers};
use ctr_pods::status::Status;
use ctr_store::Store;
use ctr_store::volume::Volume;
use ctr_views::listing::{self, Entry};
use ctr_views::usage::{self, Usage};

use super::size::bytes;
use super::volume;
use crate::error;
use crate::place::Place;

/// The verb.
pub const VERB: Verb = Verb::new("[options]", "Show podman disk usage")
    .long(
        "Shows how many bytes images, containers and volumes take. A layer that several images have counts once. As \
         reclaimable of the images counts all but what images in use have alone, as in podman and docker: a layer that one in \
         use shares with others is not gone before they all are.",
    )
    .examples(&["system df", "system df -v", "system df --format json"])
    .flags(&[
        Flag::string("format", "Print as JSON or with a Go template"),
        Flag::bool("verbose", "Show detailed information on disk usage").short('v'),
    ])
    .arity(Arity::None);

/// What there is, with its bytes.
struct Found {
    images: Vec<(Entry, Usage)>,
    /// Of all images together.
    images_size: u64,
    containers: Vec<Sized<(Container, Status)>>,
    volumes: Vec<Sized<Volume>>,
}

/// A container or a volume with its bytes.
struct Sized<T> {
    one: T,
    bytes: u64,
    /// Whether the container runs; how many containers use the volume.
    users: usize,
}

/// Counts bytes.
///
/// # Errors
/// The template is none, or something cannot be read.
pub fn run(call: &Call) -> Result<Exit, CommandError> {
    let flags = &call.flags;
    if flags.has("format") && flags.bool("verbose") {
        return Err(CommandError::usage("cannot combine --format and --verbose flags"));
    }
    let found = found(call)?;
    if flags.bool("verbose") {
        call.ui.print(&tables::all(&found)?)?;
        return Ok(Exit::SUCCESS);
    }
    let sums = found.sums();
    let asked = flags.get("format").map(|text| Format::parse("df", text)).transpose();
    let report = match asked.map_err(CommandError::usage)? {
        Some(Format::Json) => {
            let list = sums.iter().map(|sum| Value::from(sum.value()).to_json()).collect();
            call.ui.line(&json::document(&list, json::Style::FOUR))?;
            return Ok(Exit::SUCCESS);
        }
        Some(Format::Report(report)) => report,
        None => Report::table("df", "{{.Type}}\t{{.Total}}\t{{.Active}}\t{{.Size}}\t{{.Reclaimable}}")
            .map_err(CommandError::internal)?,
    };
    let rows = sums.iter().map(|sum| sum.value().into()).collect();
    let text = report.render(rows, Some(&headers(FIELDS, &[]))).map_err(CommandError::user)?;
    call.ui.print(&text)?;
    Ok(Exit::SUCCESS)
}

/// In A, if there is anything whose files belong to every id.
fn found(call: &Call) -> Result<Found, CommandError> {
    let place = Place::find(&call.globals)?;
    let store = Store::open(&place.layout()).map_err(CommandError::environment)?;
    // What is in additional stores takes nothing of this one.
    let mut entries = listing::own(&store).map_err(CommandError::environment)?;
    entries.retain(|entry| !entry.is_index());
    let (usages, images_size) = usage::of(&store, &entries).map_err(CommandError::environment)?;
    let containers = Containers::new(&place.dirs).list().map_err(error::of_containers)?;
    let volumes = volume::all(call, &store)?;
    let claims = store.claims().map_err(CommandError::environment)?;
    let _a =
        (!containers.is_empty() || !volumes.is_empty()).then(|| place.enter(false, &call.ui)).transpose()?;
    let container = |one: Container| {
        let bytes = bytes(Root::open(&one.layer))?;
        let status = one.status().map_err(CommandError::environment)?;
        let users = usize::from(status.runs());
        Ok::<_, CommandError>(Sized { one: (one, status), bytes, users })
    };
    let volume = |one: Volume| {
        let name = one.record.name.as_str();
        let users = claims.iter().filter(|claim| claim.volumes().any(|used| used == name)).count();
        let bytes = bytes(Root::open(one.mountpoint()))?;
        Ok::<_, CommandError>(Sized { one, bytes, users })
    };
    Ok(Found {
        images: entries.into_iter().zip(usages).collect(),
        images_size,
        containers: containers.into_iter().map(container).collect::<Result<_, _>>()?,
        volumes: volumes.into_iter().map(volume).collect::<Result<_, _>>()?,
    })
}

/// What a template can ask for.
const FIELDS: &[&str] =
    &["Type", "Total", "Active", "RawSize", "RawReclaimable", "TotalCount", "Size", "Reclaimable"];

/// All of one kind.
struct Sum {
    kind: &'static str,
    total: usize,
    active: usize,
    size: u64,
    reclaimable: u64,
}

impl Found {
    fn sums(&self) -> [Sum; 3] {
        let used = |(entry, _): &&(Entry, Usage)| !entry.containers.is_empty();
        let kept: u64 = self.images.iter().filter(used).map(|(_, usage)| usage.unique).sum();
        let images = Sum {
            kind: "Images",
            total: self.images.len(),
            active: self.images.iter().filter(used).count(),
            size: self.images_size,
            reclaimable: self.images_size.saturating_sub(kept),
        };
        [images, sum("Containers", &self.containers), sum("Local Volumes", &self.volumes)]
    }
}

fn sum<T>(kind: &'static str, all: &[Sized<T>]) -> Sum {
    Sum {
        kind,
        total: all.len(),
        active: all.iter().filter(|one| one.users > 0).count(),
        size: all.iter().map(|one| one.bytes).sum(),
        reclaimable: all.iter().filter(|one| one.users == 0).map(|one| one.bytes).sum(),
    }
}

impl Sum {
    /// With what docker has besides.
    fn value(&self) -> Struct {
        let counted = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        let raw = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
        // Of nothing, nothing can be had back.
        let percent = (self.reclaimable.saturating_mul(200).saturating_add(self.size))
            .checked_div(self.size.saturating_mul(2))
            .unwrap_or(0);
        Struct::new("system.dfSummary")
            .field("Type", self.kind)
            .field("Total", counted(self.total))
            .field("Active", counted(self.active))
            .field("RawSize", raw(self.size))
            .field("RawReclaimable", raw(self.reclaimable))
            .field("TotalCount", counted(self.total))
            .field("Size", human(self.size))
            .field("Reclaimable", format!("{} ({percent}%)", human(self.reclaimable)))
    }
}
