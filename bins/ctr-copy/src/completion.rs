//! The names that a shell is told while it completes a command line of ours.

use ctr_cli::Globals;
use ctr_cli::complete::{Found, Proposal};

use crate::context::Context;

/// Verbs whose plain words are names of images.
const TAKE_IMAGES: &[&str] = &[
    "history",
    "image diff",
    "image exists",
    "image history",
    "image inspect",
    "image rm",
    "image save",
    "image tag",
    "image tree",
    "image untag",
    "rmi",
    "save",
    "tag",
    "untag",
];

/// The names that may stand after a verb. What cannot be found out is not proposed: a shell shows no errors.
#[must_use]
pub fn values(path: &str, _before: &[String], _last: &str) -> Found {
    let images = if TAKE_IMAGES.contains(&path) { images() } else { None };
    images.unwrap_or_default().into()
}

fn images() -> Option<Vec<Proposal>> {
    let context = Context::new(&Globals::here()).ok()?;
    if !context.is_there() {
        return None;
    }
    let names = context.store().ok()?.names_of_all().ok()?;
    Some(names.good.iter().map(|named| Proposal::new(named.name.familiar(), "image")).collect())
}

#[cfg(test)]
mod tests {
    use super::TAKE_IMAGES;

    #[test]
    fn the_verbs_are_ours() {
        for path in TAKE_IMAGES {
            assert!(crate::COMMANDS.iter().any(|command| command.path == *path), "{path}");
        }
    }
}
