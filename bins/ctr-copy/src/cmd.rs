//! The verbs, one module each.

use ctr_cli::app::Command;

mod copy;
mod exists;
mod import;
mod load;
mod rmi;
mod save;
mod tag;

/// All verbs of this program.
pub const COMMANDS: &[Command] = &[
    Command { path: "copy", verb: &copy::VERB, run: copy::run },
    Command { path: "image exists", verb: &exists::VERB, run: exists::run },
    Command { path: "image import", verb: &import::VERB, run: import::run },
    Command { path: "image load", verb: &load::VERB, run: load::run },
    Command { path: "image rm", verb: &rmi::VERB, run: rmi::run },
    Command { path: "image save", verb: &save::VERB, run: save::run },
    Command { path: "image tag", verb: &tag::TAG, run: tag::tag },
    Command { path: "image untag", verb: &tag::UNTAG, run: tag::untag },
    Command { path: "import", verb: &import::VERB, run: import::run },
    Command { path: "load", verb: &load::VERB, run: load::run },
    Command { path: "rmi", verb: &rmi::VERB, run: rmi::run },
    Command { path: "save", verb: &save::VERB, run: save::run },
    Command { path: "tag", verb: &tag::TAG, run: tag::tag },
    Command { path: "untag", verb: &tag::UNTAG, run: tag::untag },
];
