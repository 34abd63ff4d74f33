//! `volume ls` and `volume inspect`.

use ctr_cli::app::Call;
use ctr_cli::exit::Exit;
use ctr_cli::json;
use ctr_cli::report::CommandError;
use ctr_cli::template::{Format, Report, Value, headers};
use ctr_cli::usage::{Arity, Flag, Verb};
use ctr_pods::volumes::filter::{Filters, For};
use ctr_store::Store;
use ctr_store::volume::{Volume, VolumeError};
use ctr_views::inspect;

use super::{all, store, told, view};
use crate::cmd::select;
use crate::place::Place;

/// `volume ls`.
pub const LIST: Verb = Verb::new("[options]", "List volumes")
    .long(
        "List all available volumes. The output of the volumes can be filtered and the output format can be changed to \
         JSON or a user specified Go template.",
    )
    .examples(&["volume ls", "volume ls --format json", "volume ls --filter label=key=value"])
    .flags(&[
        Flag::array("filter", "Filter volume output").short('f'),
        Flag::string("format", "Format volume output using Go template"),
        Flag::bool("noheading", "Do not print headers").short('n'),
        Flag::bool("quiet", "Print volume output in quiet mode").short('q'),
    ])
    .arity(Arity::None);

/// `volume inspect`.
pub const INSPECT: Verb = Verb::new(
    "[options] VOLUME [VOLUME...]",
    "Display detailed information on one or more volumes",
)
.long(
    "Display detailed information on one or more volumes. Use a Go template to change the format from JSON.",
)
.examples(&[
    "volume inspect myvol",
    "volume inspect --all",
    "volume inspect --format \"{{.Driver}} {{.Scope}}\" myvol",
])
.flags(&[
    Flag::bool("all", "Inspect all volumes").short('a'),
    Flag::string("format", "Format volume output using Go template").short('f').default("json"),
])
.arity(Arity::Any);

/// Lists volumes.
///
/// # Errors
/// A filter or the template is none.
pub fn list(call: &Call) -> Result<Exit, CommandError> {
    let flags = &call.flags;
    if flags.bool("quiet") && flags.has("format") {
        return Err(CommandError::usage("quiet and format flags cannot be used together"));
    }
    let store = store(&Place::find(&call.globals)?)?;
    let volumes = chosen(&store, all(call, &store)?, &flags.strings("filter"), For::List)?;
    let rows = |joined| volumes.iter().map(move |it| view::value(it, "entities.VolumeListReport", joined));
    let report = match flags.get("format").map(|text| Format::parse("ls", text)) {
        Some(format) => match format.map_err(CommandError::usage)? {
            Format::Json => {
                let list = rows(false).map(|row| row.to_json()).collect();
                call.ui.line(&json::document(&list, json::Style::TWO))?;
                return Ok(Exit::SUCCESS);
            }
            Format::Report(report) => report,
        },
        None if flags.bool("quiet") => {
            for volume in &volumes {
                call.ui.line(&volume.record.name)?;
            }
            return Ok(Exit::SUCCESS);
        }
        None => Report::table("ls", "{{.Driver}}\t{{.Name}}").map_err(CommandError::internal)?,
    };
    let heads = (!flags.bool("noheading")).then(|| headers(view::FIELDS, &[("Name", "VOLUME NAME")]));
    let text = report.render(rows(true).collect(), heads.as_ref()).map_err(CommandError::user)?;
    call.ui.print(&text)?;
    Ok(Exit::SUCCESS)
}

/// Those of the volumes that pass the filters.
pub(super) fn chosen(
    store: &Store,
    all: Vec<Volume>,
    filters: &[String],
    verb: For,
) -> Result<Vec<Volume>, CommandError> {
    let filters = Filters::parse(filters, verb, &all, select::instant).map_err(CommandError::usage)?;
    let claims = store.claims().map_err(CommandError::environment)?;
    let used: Vec<&str> = claims.iter().flat_map(ctr_store::container::Claim::volumes).collect();
    let fits = |volume: &Volume| filters.fit(&volume.record, used.contains(&volume.record.name.as_str()));
    Ok(all.into_iter().filter(fits).collect())
}

/// Prints what is known of volumes.
///
/// # Errors
/// One is not there, or the template is none.
pub fn inspect(call: &Call) -> Result<Exit, CommandError> {
    let flags = &call.flags;
    let names = flags.texts()?;
    if flags.bool("all") != names.is_empty() {
        return Err(CommandError::usage("provide one or more volume names or use --all"));
    }
    let store = store(&Place::find(&call.globals)?)?;
    let mut found = Vec::new();
    let mut missing = Vec::new();
    if flags.bool("all") {
        found = all(call, &store)?;
    }
    for name in names {
        match store.volumes().find(name) {
            Ok(volume) => found.push(volume),
            Err(VolumeError::NotFound(_)) => missing.push(absent(name)),
            Err(error) => missing.push(told(error)),
        }
    }
    inspect::print(call, found.iter().map(described).collect())?;
    CommandError::several(missing).map_or(Ok(Exit::SUCCESS), Err)
}

/// A volume as `inspect` shows it.
pub(crate) fn described(volume: &Volume) -> Value {
    view::value(volume, "define.InspectVolumeData", false)
}

fn absent(name: &str) -> CommandError {
    CommandError::user(format!("no such volume {name}"))
}
