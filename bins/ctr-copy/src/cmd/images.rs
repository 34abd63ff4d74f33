//! `images`, also spelled `image list`.

use ctr_cli::app::Call;
use ctr_cli::exit::Exit;
use ctr_cli::human::time::Timestamp;
use ctr_cli::human::{ago, size};
use ctr_cli::json;
use ctr_cli::report::CommandError;
use ctr_cli::template::{Report, Struct, Value, asks_for_json, headers};
use ctr_cli::usage::{Arity, Flag, Parsed, Verb};
use ctr_core::Reference;
use ctr_views::filter::Filters;
use ctr_views::listing::{self, Entry};

use crate::context::Context;
use crate::error::of;

pub(super) const VERB: Verb = Verb::new("[options] [IMAGE]", "List images in local storage")
    .long("Lists images previously pulled to the system or created on the system.")
    .examples(&[
        "images --format json",
        "images --sort repository --format \"table {{.ID}} {{.Repository}} {{.Tag}}\"",
        "images --filter dangling=true",
    ])
    .flags(&[
        Flag::bool("all", "Show all images (default hides intermediate images)").short('a'),
        Flag::bool("digests", "Show digests"),
        Flag::array("filter", "Filter output based on conditions provided (default [])").short('f'),
        Flag::string("format", "Change the output format to JSON or a Go template"),
        Flag::bool("history", "Display the image name history"),
        Flag::bool("no-trunc", "Do not truncate output"),
        Flag::bool("noheading", "Do not print column headings").short('n'),
        Flag::bool("quiet", "Display only image IDs").short('q'),
        Flag::choice(
            "sort",
            &["created", "id", "repository", "size", "tag"],
            "Sort by created, id, repository, size, tag",
        )
        .default("created"),
    ])
    .refuses(&[&["json"]])
    .arity(Arity::AtMost(1));

/// One line: an image under one of its names.
struct Row<'a> {
    entry: &'a Entry,
    repository: String,
    tag: String,
}

pub(super) fn run(call: &Call) -> Result<Exit, CommandError> {
    let flags = &call.flags;
    let name = flags.texts()?.first().copied();
    let filters = flags.strings("filter");
    if name.is_some() && !filters.is_empty() {
        return Err(CommandError::usage("cannot specify an image and a filter(s)"));
    }
    let store = Context::new(&call.globals)?.store()?;
    ctr_views::place::say(&call.globals, &call.ui);
    let mut entries = listing::all(&store).map_err(of)?;
    for entry in entries.iter().filter(|entry| entry.damage.is_some()) {
        warn(call, entry);
    }
    let mut filters = Filters::parse(&filters, &store, &entries)?;
    if let Some(name) = name {
        filters.name(name, &store);
    }
    if !flags.bool("all") && !filters.asks_for_parts() {
        entries.retain(|entry| !entry.is_part);
    }
    filters.keep(&mut entries);
    let mut rows: Vec<_> = entries.iter().flat_map(rows).collect();
    sort(&mut rows, flags.string("sort"));
    call.ui.print(&text(&rows, flags)?)?;
    Ok(Exit::SUCCESS)
}

fn warn(call: &Call, entry: &Entry) {
    let damage = entry.damage.as_deref().unwrap_or_default();
    let short = entry.id.get(..12).unwrap_or(&entry.id);
    if entry.is_read_only {
        return call.ui.warn(&format!("{damage}; it is in an additional store, which only its owner mends"));
    }
    call.ui.warn(&format!("{damage}; load it again, or remove it: {} rmi {short}", call.caller.name));
}

fn rows(entry: &Entry) -> Vec<Row<'_>> {
    let none = || "<none>".to_owned();
    let row = |name: &Reference| Row {
        entry,
        repository: name.name.to_string(),
        tag: name.tag.as_ref().map_or_else(none, ToString::to_string),
    };
    let tagged: Vec<_> = entry.names.iter().filter(|name| name.tag.is_some()).map(row).collect();
    if !tagged.is_empty() {
        return tagged;
    }
    let digested = entry.names.first().map(row);
    vec![digested.unwrap_or_else(|| Row { entry, repository: none(), tag: none() })]
}

fn sort(rows: &mut [Row<'_>], by: &str) {
    match by {
        "id" => rows.sort_by(|a, b| a.entry.id.cmp(&b.entry.id)),
        "repository" => rows.sort_by(|a, b| (&a.repository, &a.tag).cmp(&(&b.repository, &b.tag))),
        "size" => rows.sort_by_key(|row| row.entry.size),
        "tag" => rows.sort_by(|a, b| a.tag.cmp(&b.tag)),
        _ => rows.sort_by_key(|row| std::cmp::Reverse(row.entry.created)),
    }
}

fn text(rows: &[Row<'_>], flags: &Parsed) -> Result<String, CommandError> {
    let whole = flags.bool("no-trunc");
    let format = flags.get("format");
    if format.is_some_and(asks_for_json) {
        return Ok(as_json(rows));
    }
    if flags.bool("quiet") {
        return Ok(ids(rows, whole));
    }
    let failed = |error: ctr_cli::template::TemplateError| CommandError::usage(error.to_string());
    let (report, heading) = match format {
        Some(format) => (Report::parse("images", format).map_err(failed)?, format.starts_with("table ")),
        None => (Report::table("images", &columns(flags)).map_err(failed)?, true),
    };
    let headers = headers(FIELDS, &[("ID", "IMAGE ID"), ("ReadOnly", "R/O")]);
    let shown = heading && !flags.bool("noheading");
    let now = Timestamp::now();
    let values = rows.iter().map(|row| value(row, whole, now)).collect();
    report.render(values, shown.then_some(&headers)).map_err(failed)
}

fn columns(flags: &Parsed) -> String {
    let mut columns = vec!["{{.Repository}}", "{{.Tag}}"];
    if flags.bool("digests") {
        columns.push("{{.Digest}}");
    }
    columns.extend(["{{.ID}}", "{{.Created}}", "{{.Size}}"]);
    if flags.bool("history") {
        columns.push("{{if .History}}{{.History}}{{else}}<none>{{end}}");
    }
    columns.join("\t")
}

fn ids(rows: &[Row<'_>], whole: bool) -> String {
    let mut seen: Vec<String> = Vec::new();
    for row in rows {
        let id = shown_id(row, whole);
        if !seen.contains(&id) {
            seen.push(id);
        }
    }
    seen.into_iter().map(|id| id + "\n").collect()
}

fn shown_id(row: &Row<'_>, whole: bool) -> String {
    if whole {
        format!("sha256:{}", row.entry.id)
    } else {
        row.entry.id.get(..12).unwrap_or_default().to_owned()
    }
}

/// What templates can ask for.
const FIELDS: &[&str] = &[
    "Repository",
    "Tag",
    "ID",
    "Id",
    "Created",
    "CreatedAt",
    "CreatedSince",
    "CreatedTime",
    "Size",
    "VirtualSize",
    "SharedSize",
    "Digest",
    "Names",
    "RepoTags",
    "RepoDigests",
    "Labels",
    "ParentId",
    "Containers",
    "History",
    "Dangling",
    "IsDangling",
    "ReadOnly",
    "IsReadOnly",
    "IsManifestList",
];

fn value(row: &Row<'_>, whole: bool, now: Timestamp) -> Value {
    let entry = row.entry;
    let damaged = entry.damage.is_some();
    let since = if damaged { "damaged".to_owned() } else { ago::ago(entry.created, now) };
    let at = go_time(entry.created);
    let bytes = i64::try_from(entry.size).unwrap_or(i64::MAX);
    Struct::new("images.imageReporter")
        .field("Repository", row.repository.clone())
        .field("Tag", row.tag.clone())
        .field("ID", shown_id(row, whole))
        .field("Id", entry.id.clone())
        .field("Created", since.clone())
        .field("CreatedAt", at.clone())
        .field("CreatedSince", since)
        .field("CreatedTime", at)
        .field("Size", size::spaced(entry.size))
        .field("VirtualSize", bytes)
        .field("SharedSize", 0)
        .field("Digest", entry.digest().to_string())
        .field("Names", entry.name_texts())
        .field("RepoTags", entry.name_texts())
        .field("RepoDigests", entry.repo_digests())
        .field("Labels", entry.labels())
        .field("ParentId", "")
        .field("Containers", i64::try_from(entry.containers.len()).unwrap_or(0))
        .field("History", entry.history.join(", "))
        .field("Dangling", entry.is_dangling())
        .field("IsDangling", entry.is_dangling())
        .field("ReadOnly", entry.is_read_only)
        .field("IsReadOnly", entry.is_read_only)
        .field("IsManifestList", entry.is_index())
        .into()
}

/// `2026-11-21 00:04:41 +0000 UTC`.
fn go_time(time: Timestamp) -> String {
    let text = Timestamp::from_seconds(time.seconds).rfc3339_seconds();
    format!("{} +0000 UTC", text.replace('T', " ").trim_end_matches('Z'))
}

fn as_json(rows: &[Row<'_>]) -> String {
    let list = rows.iter().map(json_row).map(|row| Value::from(row).to_json()).collect();
    json::document(&serde_json::Value::Array(list), json::Style::FOUR) + "\n"
}

fn json_row(row: &Row<'_>) -> Struct {
    let entry = row.entry;
    let bytes = i64::try_from(entry.size).unwrap_or(i64::MAX);
    let labels = if entry.labels().is_empty() { Value::Nil } else { Value::from(entry.labels()) };
    let named = |text: &str| if text == "<none>" { String::new() } else { text.to_owned() };
    Struct::new("image")
        .field("Id", entry.id.clone())
        .field("ParentId", "")
        .field("RepoDigests", entry.repo_digests())
        .field("Size", bytes)
        .field("SharedSize", 0)
        .optional("VirtualSize", "VirtualSize", bytes)
        .field("Labels", labels)
        .field("Containers", i64::try_from(entry.containers.len()).unwrap_or(0))
        .optional("Dangling", "Dangling", entry.is_dangling())
        .optional("Damaged", "Damaged", entry.damage.clone().unwrap_or_default())
        .optional("Digest", "Digest", entry.digest().to_string())
        .optional("History", "History", entry.history.clone())
        .optional("IsManifestList", "IsManifestList", entry.is_index())
        .optional("Names", "Names", entry.name_texts())
        .field("Created", entry.created.seconds)
        .field("CreatedAt", Timestamp::from_seconds(entry.created.seconds).rfc3339())
        .optional("Repository", "Repository", named(&row.repository))
        .optional("Tag", "Tag", named(&row.tag))
}

/// Headers are looked up by name, so each name must be a field.
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_column_has_a_header() {
        let headers = headers(FIELDS, &[]);
        for column in ["Repository", "Tag", "Digest", "ID", "Created", "Size", "History"] {
            assert!(headers.contains_key(column), "{column}");
        }
    }

    #[test]
    fn times_are_gos() {
        assert_eq!(go_time(Timestamp::from_seconds(0)), "1970-01-01 00:00:00 +0000 UTC");
    }
}
