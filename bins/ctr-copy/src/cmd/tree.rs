//! `image tree`: the layers of an image, and what else stands on them.

use ctr_cli::app::Call;
use ctr_cli::exit::Exit;
use ctr_cli::human::size;
use ctr_cli::report::CommandError;
use ctr_cli::usage::{Arity, Flag, Verb};
use ctr_core::Digest;
use ctr_store::Store;
use ctr_views::listing::{self, Entry};

use super::history::stream_length;
use crate::context::Context;
use crate::error::{of, of_resolve};

pub(super) const VERB: Verb =
    Verb::new("[options] IMAGE", "Print layer hierarchy of an image in a tree format")
        .long("Print layer hierarchy of an image in a tree format")
        .examples(&["image tree alpine:latest"])
        .flags(&[Flag::bool("whatrequires", "Show all child images and layers of the specified image")])
        .arity(Arity::Exactly(1));

pub(super) fn run(call: &Call) -> Result<Exit, CommandError> {
    let texts = call.flags.texts()?;
    let store = Context::new(&call.globals)?.store()?;
    let image = store.resolve(texts[0], None).map_err(of_resolve)?;
    let all = listing::all(&store).map_err(of)?;
    let names =
        all.iter().find(|entry| entry.id == image.id.to_string()).map(Entry::name_texts).unwrap_or_default();
    let mut lines = vec![
        format!("Image ID: {}", image.id.short()),
        format!("Tags:     [{}]", names.join(" ")),
        format!("Size:     {}", size::human(image.size)),
        if image.layers.is_empty() { "No Image Layers" } else { "Image Layers" }.to_owned(),
    ];
    let forest = Forest { store: &store, all: &all };
    if call.flags.bool("whatrequires") {
        if !image.layers.is_empty() {
            forest.children(&image.layers, "", true, &mut lines);
        }
    } else {
        for end in 1..=image.layers.len() {
            let branch = if end == image.layers.len() { "└── " } else { "├── " };
            lines.push(format!("{branch}{}", forest.layer(&image.layers[..end])));
        }
    }
    lines.push(String::new());
    call.ui.print(&lines.join("\n"))?;
    Ok(Exit::SUCCESS)
}

struct Forest<'a> {
    store: &'a Store,
    all: &'a [Entry],
}

impl Forest<'_> {
    /// One layer, by the layers up to it.
    fn layer(&self, prefix: &[Digest]) -> String {
        let Some(layer) = prefix.last() else { return String::new() };
        let size = size::human(stream_length(self.store, layer));
        let top = |entry: &&Entry| entry.image.as_ref().is_some_and(|image| image.layers == prefix);
        let names: Vec<_> = self.all.iter().filter(top).flat_map(Entry::name_texts).collect();
        let names =
            if names.is_empty() { String::new() } else { format!(" Top Layer of: [{}]", names.join(" ")) };
        format!("ID: {} Size: {size:>7}{names}", layer.short())
    }

    /// The layer and all that stand on it.
    fn children(&self, prefix: &[Digest], indent: &str, last: bool, lines: &mut Vec<String>) {
        let branch = if last { "└── " } else { "├── " };
        lines.push(format!("{indent}{branch}{}", self.layer(prefix)));
        let mut next: Vec<Vec<Digest>> = Vec::new();
        for image in self.all.iter().filter_map(|entry| entry.image.as_ref()) {
            if image.layers.len() > prefix.len() && image.layers.starts_with(prefix) {
                let longer = image.layers[..=prefix.len()].to_vec();
                if !next.contains(&longer) {
                    next.push(longer);
                }
            }
        }
        let indent = format!("{indent}{}", if last { "    " } else { "│   " });
        for (at, child) in next.iter().enumerate() {
            self.children(child, &indent, at + 1 == next.len(), lines);
        }
    }
}
