//! `image exists`.

use ctr_cli::app::Call;
use ctr_cli::exit::Exit;
use ctr_cli::report::CommandError;
use ctr_cli::usage::{Arity, Verb};

use crate::context::Context;
use crate::error::of_resolve;

pub(super) const VERB: Verb = Verb::new("IMAGE", "Check if an image exists in local storage")
    .long("If the named image exists in local storage, podman image exists exits with 0, otherwise the exit code will be 1.")
    .examples(&["image exists ID", "image exists IMAGE && podman pull IMAGE"])
    .arity(Arity::Exactly(1));

pub(super) fn run(call: &Call) -> Result<Exit, CommandError> {
    let texts = call.flags.texts()?;
    let store = Context::new(&call.globals)?.store()?;
    match store.lookup(texts[0]) {
        Ok(_) => Ok(Exit::SUCCESS),
        Err(error) if error.is_unknown() => Ok(Exit::NO),
        Err(error) => Err(of_resolve(error)),
    }
}
