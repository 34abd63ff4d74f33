//! `image inspect`.

use ctr_cli::app::Call;
use ctr_cli::exit::Exit;
use ctr_cli::report::CommandError;
use ctr_cli::usage::{Arity, Flag, Verb};
use ctr_views::{image, inspect};

use crate::context::Context;
use crate::error::{of, of_resolve};

pub(super) const VERB: Verb =
    Verb::new("[options] IMAGE [IMAGE...]", "Display the configuration of an image")
        .long("Displays the low-level information of an image identified by name or ID.")
        .examples(&[
            "image inspect alpine",
            "image inspect --format \"imageId: {{.Id}} size: {{.Size}}\" alpine",
        ])
        .flags(&[Flag::string("format", "Format the output to a Go template or json")
            .short('f')
            .default("json")])
        .arity(Arity::AtLeast(1));

pub(super) fn run(call: &Call) -> Result<Exit, CommandError> {
    let store = Context::new(&call.globals)?.store()?;
    let mut found = Vec::new();
    let mut errors = Vec::new();
    for text in call.flags.texts()? {
        match store.resolve(text, None) {
            Ok(image) => found.push(image::value(&store, &image).map_err(of)?),
            Err(error) => errors.push(of_resolve(error)),
        }
    }
    inspect::print(call, found)?;
    CommandError::several(errors).map_or(Ok(Exit::SUCCESS), Err)
}
