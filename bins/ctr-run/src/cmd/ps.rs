//! `ctr ps`: containers.

mod row;

use std::io::IsTerminal as _;
use std::time::Duration;

use ctr_cli::app::Call;
use ctr_cli::exit::Exit;
use ctr_cli::human::time::Timestamp;
use ctr_cli::json;
use ctr_cli::report::CommandError;
use ctr_cli::template::{Format, Report, headers};
use ctr_cli::usage::{Arity, Flag, Parsed, Verb};
use ctr_pods::brief::Brief;
use ctr_pods::containers::{Container, Containers, Threads};
use ctr_pods::status::Status;

use super::select;
use super::size::Scale;
use crate::error;
use crate::place::Place;
use row::Row;

/// Empties a terminal, and goes to its first line.
const CLEAR: &str = "\x1b[2J\x1b[1;1H";

/// The verb.
pub const VERB: Verb = Verb::new("[options]", "List containers")
    .long("Prints out information about the containers.")
    .examples(&[
        "ps -a",
        "ps -a --format \"{{.ID}}  {{.Image}}  {{.Labels}}\"",
        "ps --size",
        "ps --filter name=web",
    ])
    .flags(&[
        Flag::bool("all", "Show all the containers, default is only running containers").short('a'),
        Flag::bool("external", "Show containers in storage not controlled by this program"),
        Flag::array("filter", "Filter output based on conditions given").short('f'),
        Flag::string("format", "Pretty-print containers to JSON or using a Go template"),
        Flag::int("last", "Print the n last created containers (all states)").short('n').default("-1"),
        Flag::bool("latest", "Show the latest container created (all states)").short('l'),
        Flag::bool("no-trunc", "Display the extended information"),
        Flag::bool("noheading", "Do not print headers"),
        Flag::bool("ns", "Display namespace information").alias_of("namespace"),
        Flag::bool("namespace", "Display namespace information"),
        Flag::bool("pod", "Print the ID and name of the pod the containers are associated with").short('p'),
        Flag::bool("quiet", "Print the numeric IDs of the containers only").short('q'),
        Flag::bool("size", "Display the total file sizes").short('s'),
        Flag::choice(
            "sort",
            &["command", "created", "id", "image", "names", "runningfor", "size", "status"],
            "Sort output by: command, created, id, image, names, runningfor, size, status",
        ),
        Flag::bool("sync", "Sync container state with the kernel, which is always done"),
        Flag::uint("watch", "Watch the ps output on an interval in seconds").short('w'),
    ])
    .arity(Arity::None);

/// Prints the containers.
///
/// # Errors
/// The flags contradict each other, or the records cannot be read.
pub fn run(call: &Call) -> Result<Exit, CommandError> {
    let flags = &call.flags;
    check(flags)?;
    let place = Place::find(&call.globals)?;
    let mut scale = Scale::default();
    let watch = flags.uint("watch").filter(|seconds| *seconds > 0);
    let Some(seconds) = watch.filter(|_| !prints_once(flags)) else {
        return look(call, &place, &mut scale).map(|()| Exit::SUCCESS);
    };
    loop {
        if std::io::stdout().is_terminal() {
            call.ui.print(CLEAR)?;
        }
        look(call, &place, &mut scale)?;
        std::thread::sleep(Duration::from_secs(seconds));
    }
}

/// What is for programs, and what podman prints once whatever was said.
fn prints_once(flags: &Parsed) -> bool {
    let format = flags.get("format").filter(|format| !format.is_empty());
    format.map_or_else(|| flags.bool("quiet"), |format| format == "json")
}

/// Prints the containers once.
fn look(call: &Call, place: &Place, scale: &mut Scale) -> Result<(), CommandError> {
    let flags = &call.flags;
    let containers = Containers::new(&place.dirs);
    // Counting bytes moves us into A, which a process of several threads cannot.
    let threads = if flags.bool("size") { Threads::One } else { Threads::Several };
    let mut list = containers.overview(threads).map_err(error::of_containers)?;
    let filters = select::filters(flags, &list)?;
    let last = if flags.bool("latest") { 1 } else { flags.int("last").unwrap_or(-1) };
    let all = flags.bool("all") || flags.bool("external") || last >= 0 || filters.names_states();
    list.retain(|(one, status)| (all || is_shown(*status)) && filters.fit(one, *status));
    // The newest first, as Docker has it, when nothing else is said; podman has it last.
    list.reverse();
    if let Ok(last) = usize::try_from(last) {
        list.truncate(last);
    }
    if call.ui.voice().is_peer() {
        list.reverse();
    }
    let mut rows = rows((call, place), &containers, list, scale)?;
    sort(&mut rows, flags.get("sort"));
    print(call, rows)
}

/// Whether a container is shown to whoever did not ask for all.
const fn is_shown(status: Status) -> bool {
    status.has_command()
}

fn check(flags: &Parsed) -> Result<(), CommandError> {
    let wrong = |text: &'static str| Err(CommandError::usage(text));
    if flags.int("last").unwrap_or(-1) >= 0 && flags.bool("latest") {
        return wrong("last and latest are mutually exclusive");
    }
    if flags.bool("quiet") && (flags.bool("size") || flags.bool("namespace")) {
        return wrong("quiet conflicts with size and namespace");
    }
    if flags.bool("size") && flags.bool("namespace") {
        return wrong("size and namespace options conflict");
    }
    if flags.uint("watch").unwrap_or(0) > 0 && flags.bool("latest") {
        return wrong("the watch and latest flags cannot be used together");
    }
    Ok(())
}

fn rows(
    (call, place): (&Call, &Place),
    containers: &Containers,
    chosen: Vec<(Box<Brief>, Status)>,
    scale: &mut Scale,
) -> Result<Vec<Row>, CommandError> {
    let flags = &call.flags;
    let (full, namespaces) = (flags.bool("no-trunc"), flags.bool("namespace"));
    let now = Timestamp::now();
    let row = |(brief, status)| Row::of(brief, status, now, full, namespaces);
    let mut rows: Vec<Row> = chosen.into_iter().map(row).collect();
    if flags.bool("size") && !rows.is_empty() {
        let find = |row: &Row| containers.by_id(row.id()).map_err(error::of_containers);
        let whole: Vec<Option<Container>> = rows.iter().map(find).collect::<Result<_, _>>()?;
        let sizes = scale.of(call, place, whole.iter().flatten())?;
        // One that went in between has no size.
        let there = rows.iter_mut().zip(&whole).filter(|(_, container)| container.is_some());
        for ((row, _), size) in there.zip(sizes) {
            row.size = Some(size);
        }
    }
    Ok(rows)
}

fn sort(rows: &mut [Row], by: Option<&str>) {
    match by {
        Some("command") => rows.sort_by(|a, b| a.brief.command.cmp(&b.brief.command)),
        Some("id") => rows.sort_by(|a, b| a.id().cmp(b.id())),
        Some("image") => rows.sort_by(|a, b| a.brief.image_name.cmp(&b.brief.image_name)),
        Some("names") => rows.sort_by(|a, b| a.brief.name.cmp(&b.brief.name)),
        Some("runningfor") => rows.sort_by_key(|row| row.brief.started()),
        Some("size") => rows.sort_by_key(|row| row.size.map(|size| size.all)),
        Some("status") => rows.sort_by_key(|row| row.status.word()),
        Some("created") => rows.sort_by_key(|row| row.brief.created),
        _ => {}
    }
}

fn print(call: &Call, rows: Vec<Row>) -> Result<(), CommandError> {
    let flags = &call.flags;
    let format = flags.get("format").map(|text| text.replace(".Namespaces.", "."));
    let format = format.filter(|text| !text.is_empty());
    if format.as_ref().is_some_and(|text| text.contains(".Size")) && !flags.bool("size") {
        call.ui.warn("sizes are empty, as nobody counts them without --size");
    }
    let report =
        match format.map(|text| Format::parse("ps", &text)).transpose().map_err(CommandError::usage)? {
            Some(Format::Json) => {
                call.ui.line(&json::document(&rows.iter().map(Row::json).collect(), json::Style::TWO))?;
                return Ok(());
            }
            Some(Format::Report(report)) => report,
            None if flags.bool("quiet") => {
                let ids: String = rows.iter().flat_map(|row| [row.shown_id(), "\n"]).collect();
                call.ui.print(&ids)?;
                return Ok(());
            }
            None => Report::table("ps", &columns(flags)).map_err(CommandError::internal)?,
        };
    let named = [row::FIELDS, row::METHODS].concat();
    let heads = (!flags.bool("noheading")).then(|| headers(&named, row::HEADERS));
    let text = report.render(rows.into_iter().map(Row::value).collect(), heads.as_ref());
    call.ui.print(&text.map_err(CommandError::user)?)?;
    Ok(())
}

fn columns(flags: &Parsed) -> String {
    if flags.bool("namespace") {
        let cells = ["ID", "Names", "Pid", "Cgroup", "IPC", "MNT", "NET", "PIDNS", "User", "UTS"];
        return cells.map(|cell| format!("{{{{.{cell}}}}}")).join("\t");
    }
    let mut cells = vec!["ID", "Image", "Command", "CreatedHuman", "Status", "Ports", "Names"];
    if flags.bool("pod") {
        cells.extend(["Pod", "PodName"]);
    }
    if flags.bool("size") {
        cells.push("Size");
    }
    cells.iter().map(|cell| format!("{{{{.{cell}}}}}")).collect::<Vec<_>>().join("\t")
}
