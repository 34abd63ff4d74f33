//! `image diff`: what an image changed, compared to the layers below its last one or to another image.

use ctr_cli::app::Call;
use ctr_cli::exit::Exit;
use ctr_cli::report::CommandError;
use ctr_cli::usage::{Arity, Verb};
use ctr_views::diff::{FORMAT, Format};

use crate::context::Context;
use crate::error::{of_resolve, of_worker};

pub(super) const VERB: Verb = Verb::new("[options] IMAGE [IMAGE]", "Inspect changes to the image's file systems")
    .long("Displays changes to the image's filesystem.  The image will be compared to its parent layer or the second argument when given.")
    .examples(&["image diff myImage", "image diff redis:old redis:alpine"])
    .flags(&[FORMAT])
    .arity(Arity::Between(1, 2));

pub(super) fn run(call: &Call) -> Result<Exit, CommandError> {
    let texts = call.flags.texts()?;
    let format = Format::parse(call.flags.string("format")).map_err(CommandError::usage)?;
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
    call.ui.print(&format.text(&call.ui, &changes))?;
    Ok(Exit::SUCCESS)
}
