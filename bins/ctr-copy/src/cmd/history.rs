//! `history`: the steps in which an image was made.

use std::collections::HashMap;

use ctr_cli::app::Call;
use ctr_cli::exit::Exit;
use ctr_cli::human::time::Timestamp;
use ctr_cli::human::{ago, size};
use ctr_cli::json;
use ctr_cli::report::CommandError;
use ctr_cli::template::{Report, Struct, Value, asks_for_json, headers};
use ctr_cli::usage::{Arity, Flag, Parsed, Verb};
use ctr_core::Digest;
use ctr_store::{Image, Store};
use ctr_views::listing::{self, Entry};

use crate::context::Context;
use crate::error::{of, of_resolve};

pub(super) const VERB: Verb = Verb::new("[options] IMAGE", "Show history of a specified image")
    .long("Displays the history of an image.\n\n  The information can be printed out in an easy to read, or user specified format, and can be truncated.")
    .examples(&["history quay.io/fedora/fedora"])
    .flags(&[
        Flag::string("format", "Change the output to JSON or a Go template"),
        Flag::bool("human", "Display sizes and dates in human readable format").short('H').default("true"),
        Flag::bool("no-trunc", "Do not truncate the output"),
        Flag::bool("notruncate", "").alias_of("no-trunc"),
        Flag::bool("quiet", "Display the numeric IDs only").short('q'),
    ])
    .arity(Arity::Exactly(1));

/// How much of an instruction is shown.
const SHOWN: usize = 45;

struct Step {
    id: String,
    created: Timestamp,
    created_by: String,
    size: u64,
    comment: String,
    tags: Vec<String>,
}

pub(super) fn run(call: &Call) -> Result<Exit, CommandError> {
    let texts = call.flags.texts()?;
    let store = Context::new(&call.globals)?.store()?;
    let image = store.resolve(texts[0], None).map_err(of_resolve)?;
    let steps = steps(&store, &image)?;
    call.ui.print(&text(&steps, &call.flags)?)?;
    Ok(Exit::SUCCESS)
}

/// The last step first. A step that ends in an image of the store bears its id.
fn steps(store: &Store, image: &Image) -> Result<Vec<Step>, CommandError> {
    let config = store.config(image.id).map_err(of)?;
    let all = listing::all(store).map_err(of)?;
    let tops = tops(&all, image);
    let mut layers = image.layers.len();
    let mut used = Vec::new();
    let mut steps = Vec::new();
    for history in config.history.iter().rev() {
        let here =
            image.layers.get(..layers).and_then(|prefix| tops.get(prefix)).cloned().unwrap_or_default();
        let id = here.first().map(|entry| entry.id.clone()).filter(|id| !used.contains(id));
        used.extend(id.clone());
        let mut size = 0;
        if !history.empty_layer && layers > 0 {
            layers -= 1;
            size = stream_length(store, &image.layers[layers]);
        }
        let created = history.created.as_deref().unwrap_or_default();
        steps.push(Step {
            id: id.unwrap_or_else(|| "<missing>".to_owned()),
            created: Timestamp::parse(created).unwrap_or(Timestamp::ZERO),
            created_by: history.created_by.clone(),
            size,
            comment: history.comment.clone(),
            tags: here.iter().flat_map(|entry| entry.name_texts()).collect(),
        });
    }
    Ok(steps)
}

/// Which images have which layers as their last; ours goes first.
fn tops<'a>(all: &'a [Entry], ours: &Image) -> HashMap<&'a [Digest], Vec<&'a Entry>> {
    let mut tops: HashMap<&[Digest], Vec<&Entry>> = HashMap::new();
    for entry in all {
        let Some(image) = &entry.image else { continue };
        let list = tops.entry(&image.layers).or_default();
        if image.id == ours.id { list.insert(0, entry) } else { list.push(entry) }
    }
    tops
}

/// The length of a layer's stream, where a tree of it remembers that.
pub(super) fn stream_length(store: &Store, layer: &Digest) -> u64 {
    let keys = store.tree_keys(layer).unwrap_or_default();
    let tree = keys.into_iter().find_map(|key| store.tree(layer, key).ok().flatten());
    tree.and_then(|tree| tree.note.applied.get("stream")?.as_u64()).unwrap_or(0)
}

fn text(steps: &[Step], flags: &Parsed) -> Result<String, CommandError> {
    let format = flags.get("format");
    if format.is_some_and(asks_for_json) {
        return Ok(as_json(steps));
    }
    let failed = |error: ctr_cli::template::TemplateError| CommandError::usage(error.to_string());
    let report = if flags.bool("quiet") {
        Report::parse("history", "{{.ID}}")
    } else {
        match format {
            Some(format) => Report::parse("history", format),
            None => {
                Report::table("history", "{{.ID}}\t{{.Created}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}")
            }
        }
    };
    let fields = ["ID", "Created", "CreatedAt", "CreatedSince", "CreatedBy", "Size", "Comment", "Tags"];
    let headers = headers(&fields, &[("CreatedBy", "CREATED BY")]);
    let now = Timestamp::now();
    let (whole, human) = (flags.bool("no-trunc"), flags.bool("human"));
    let rows = steps.iter().map(|step| value(step, whole, human, now)).collect();
    report.map_err(failed)?.render(rows, Some(&headers)).map_err(failed)
}

fn value(step: &Step, whole: bool, human: bool, now: Timestamp) -> Value {
    let created = if human { ago::ago(step.created, now) } else { step.created.rfc3339_seconds() };
    let id = if whole { step.id.as_str() } else { step.id.get(..12).unwrap_or(&step.id) };
    let by = match step.created_by.char_indices().nth(SHOWN) {
        Some(_) if !whole => {
            let kept: String = step.created_by.chars().take(SHOWN - 3).collect();
            kept + "..."
        }
        _ => step.created_by.clone(),
    };
    Struct::new("images.historyReporter")
        .field("ID", id)
        .field("Created", created.clone())
        .field("CreatedAt", Timestamp::from_seconds(step.created.seconds).rfc3339_seconds())
        .field("CreatedSince", created)
        .field("CreatedBy", one_line(&by))
        .field("Size", size::spaced(step.size).replace(' ', ""))
        .field("Comment", one_line(&step.comment))
        .field("Tags", step.tags.clone())
        .into()
}

/// A line break or a tab would break the table.
fn one_line(text: &str) -> String {
    text.replace(['\n', '\t'], " ")
}

fn as_json(steps: &[Step]) -> String {
    let step = |step: &Step| {
        let value = Struct::new("layer")
            .named("ID", Some("id"), step.id.clone())
            .named("created", Some("created"), step.created.rfc3339())
            .optional("CreatedBy", "CreatedBy", step.created_by.clone())
            .optional("Tags", "tags", step.tags.clone())
            .named("Size", Some("size"), i64::try_from(step.size).unwrap_or(i64::MAX))
            .optional("Comment", "comment", step.comment.clone())
            .named("Created", Some("Created"), step.created.rfc3339_seconds());
        Value::from(value).to_json()
    };
    let list: Vec<_> = steps.iter().map(step).collect();
    json::document(&serde_json::Value::Array(list), json::Style::LINE) + "\n"
}
