//! `image diff`: what an image changed, compared to the layers below its last one or to another image.

use ctr_cli::app::Call;
use ctr_cli::exit::Exit;
use ctr_cli::json;
use ctr_cli::report::CommandError;
use ctr_cli::template::asks_for_json;
use ctr_cli::usage::{Arity, Flag, Verb};
use ctr_store::diff::Kind;
use ctr_store::worker::Changed;

use crate::context::Context;
use crate::error::{of_resolve, of_worker};

pub(super) const VERB: Verb = Verb::new("[options] IMAGE [IMAGE]", "Inspect changes to the image's file systems")
    .long("Displays changes to the image's filesystem.  The image will be compared to its parent layer or the second argument when given.")
    .examples(&["image diff myImage", "image diff redis:old redis:alpine"])
    .flags(&[Flag::string("format", "Change the output format (json)")])
    .arity(Arity::Between(1, 2));

pub(super) fn run(call: &Call) -> Result<Exit, CommandError> {
    let texts = call.flags.texts()?;
    let format = call.flags.string("format");
    if !format.is_empty() && !asks_for_json(format) {
        return Err(CommandError::usage("only supported value for '--format' is 'json'"));
    }
    let context = Context::new(&call.globals)?;
    let store = context.store()?;
    let image = store.resolve(texts[0], None).map_err(of_resolve)?;
    let (old, new) = match texts.get(1) {
        Some(other) => (store.resolve(other, None).map_err(of_resolve)?.layers, image.layers),
        None => {
            let below = image.layers.split_last().map(|(_, below)| below.to_vec());
            (below.unwrap_or_default(), image.layers)
        }
    };
    let changes = context.worker()?.changes(old, new).map_err(of_worker)?;
    let text = if format.is_empty() { table(call, &changes) } else { as_json(&changes) };
    call.ui.print(&text)?;
    Ok(Exit::SUCCESS)
}

fn table(call: &Call, changes: &[Changed]) -> String {
    let line = |change: &Changed| {
        let letter = match change.kind {
            Kind::Added => 'A',
            Kind::Changed => 'C',
            Kind::Deleted => 'D',
        };
        format!("{letter} {}\n", call.ui.foreign(&change.path))
    };
    changes.iter().map(line).collect()
}

fn as_json(changes: &[Changed]) -> String {
    let mut object = serde_json::Map::new();
    for (key, kind) in [("changed", Kind::Changed), ("added", Kind::Added), ("deleted", Kind::Deleted)] {
        let paths: Vec<_> =
            changes.iter().filter(|change| change.kind == kind).map(|change| change.path.clone()).collect();
        if !paths.is_empty() {
            object.insert(key.to_owned(), paths.into());
        }
    }
    json::document(&object.into(), json::Style::DIFF) + "\n"
}
