//! The verbs, one module each.

use ctr_cli::app::Command;

mod auth;
mod copy;
mod delete;
mod diff;
mod digest;
mod exists;
mod history;
mod images;
mod import;
mod inspect;
mod inspect_place;
mod list_tags;
pub(crate) mod load;
mod login;
mod prune;
mod pull;
mod push;
mod rmi;
mod save;
mod search;
mod server_tag;
pub(crate) mod tag;
mod tree;

/// All verbs of this program.
pub const COMMANDS: &[Command] = &[
    Command { path: "auth why", verb: &auth::WHY, run: auth::why },
    Command { path: "copy", verb: &copy::VERB, run: copy::run },
    Command { path: "delete", verb: &delete::VERB, run: delete::run },
    Command { path: "digest", verb: &digest::VERB, run: digest::run },
    Command { path: "history", verb: &history::VERB, run: history::run },
    Command { path: "image diff", verb: &diff::VERB, run: diff::run },
    Command { path: "image exists", verb: &exists::VERB, run: exists::run },
    Command { path: "image history", verb: &history::VERB, run: history::run },
    Command { path: "image import", verb: &import::VERB, run: import::run },
    Command { path: "image inspect", verb: &inspect::VERB, run: inspect::run },
    Command { path: "image list", verb: &images::VERB, run: images::run },
    Command { path: "image load", verb: &load::VERB, run: load::run },
    Command { path: "image prune", verb: &prune::VERB, run: prune::run },
    Command { path: "image pull", verb: &pull::VERB, run: pull::run },
    Command { path: "image push", verb: &push::VERB, run: push::run },
    Command { path: "image rm", verb: &rmi::VERB, run: rmi::run },
    Command { path: "image save", verb: &save::VERB, run: save::run },
    Command { path: "image search", verb: &search::VERB, run: search::run },
    Command { path: "image tag", verb: &tag::TAG, run: tag::tag },
    Command { path: "image tree", verb: &tree::VERB, run: tree::run },
    Command { path: "image untag", verb: &tag::UNTAG, run: tag::untag },
    Command { path: "images", verb: &images::VERB, run: images::run },
    Command { path: "import", verb: &import::VERB, run: import::run },
    Command { path: "inspect", verb: &inspect_place::VERB, run: inspect_place::run },
    Command { path: "list-tags", verb: &list_tags::VERB, run: list_tags::run },
    Command { path: "load", verb: &load::VERB, run: load::run },
    Command { path: "login", verb: &login::LOGIN, run: login::login },
    Command { path: "logout", verb: &login::LOGOUT, run: login::logout },
    Command { path: "pull", verb: &pull::VERB, run: pull::run },
    Command { path: "push", verb: &push::VERB, run: push::run },
    Command { path: "rmi", verb: &rmi::VERB, run: rmi::run },
    Command { path: "save", verb: &save::VERB, run: save::run },
    Command { path: "search", verb: &search::VERB, run: search::run },
    Command { path: "tag", verb: &tag::TAG, run: tag::tag },
    Command { path: "untag", verb: &tag::UNTAG, run: tag::untag },
];
