//! The verbs of `ctr-run`: containers, pods, volumes, networks, and the machine.
#![forbid(unsafe_code)]

pub mod cmd;
mod error;
pub mod place;

use std::ffi::OsString;
use std::process::ExitCode;

use ctr_cli::app::Command;
use ctr_cli::complete;
use ctr_cli::verbs::Program;

use cmd::volume;

pub use place::Place;

/// What this program does for the user.
pub const COMMANDS: &[Command] = &[
    Command { path: "attach", verb: &cmd::start::ATTACH, run: cmd::start::attach },
    Command { path: "commit", verb: &cmd::commit::VERB, run: cmd::commit::run },
    Command { path: "completion", verb: &cmd::completion::VERB, run: cmd::completion::run },
    Command { path: "container attach", verb: &cmd::start::ATTACH, run: cmd::start::attach },
    Command { path: "container commit", verb: &cmd::commit::VERB, run: cmd::commit::run },
    Command { path: "container cp", verb: &cmd::cp::VERB, run: cmd::cp::run },
    Command { path: "container create", verb: &cmd::run::CREATE, run: cmd::run::create },
    Command { path: "container diff", verb: &cmd::diff::VERB, run: cmd::diff::run },
    Command { path: "container exec", verb: &cmd::exec::VERB, run: cmd::exec::run },
    Command { path: "container exists", verb: &cmd::exists::VERB, run: cmd::exists::run },
    Command { path: "container export", verb: &cmd::export::VERB, run: cmd::export::run },
    Command { path: "container init", verb: &cmd::init::VERB, run: cmd::init::run },
    Command { path: "container inspect", verb: &cmd::inspect::VERB, run: cmd::inspect::run },
    Command { path: "container kill", verb: &cmd::stop::KILL, run: cmd::stop::kill },
    Command { path: "container list", verb: &cmd::ps::VERB, run: cmd::ps::run },
    Command { path: "container logs", verb: &cmd::logs::VERB, run: cmd::logs::run },
    Command { path: "container mount", verb: &cmd::mount::MOUNT, run: cmd::mount::mount },
    Command { path: "container pause", verb: &cmd::stop::PAUSE, run: cmd::stop::pause },
    Command { path: "container port", verb: &cmd::port::VERB, run: cmd::port::run },
    Command { path: "container prune", verb: &cmd::rm::PRUNE, run: cmd::rm::prune },
    Command { path: "container ps", verb: &cmd::ps::VERB, run: cmd::ps::run },
    Command { path: "container rename", verb: &cmd::start::RENAME, run: cmd::start::rename },
    Command { path: "container restart", verb: &cmd::start::RESTART, run: cmd::start::restart },
    Command { path: "container rm", verb: &cmd::rm::VERB, run: cmd::rm::run },
    Command { path: "container run", verb: &cmd::run::VERB, run: cmd::run::run },
    Command { path: "container start", verb: &cmd::start::START, run: cmd::start::start },
    Command { path: "container stop", verb: &cmd::stop::STOP, run: cmd::stop::stop },
    Command { path: "container top", verb: &cmd::top::VERB, run: cmd::top::run },
    Command { path: "container unmount", verb: &cmd::mount::UNMOUNT, run: cmd::mount::unmount },
    Command { path: "container unpause", verb: &cmd::stop::UNPAUSE, run: cmd::stop::unpause },
    Command { path: "container wait", verb: &cmd::wait::VERB, run: cmd::wait::run },
    Command { path: "cp", verb: &cmd::cp::VERB, run: cmd::cp::run },
    Command { path: "create", verb: &cmd::run::CREATE, run: cmd::run::create },
    Command { path: "diff", verb: &cmd::diff::ANY, run: cmd::diff::any },
    Command { path: "doctor", verb: &cmd::doctor::VERB, run: cmd::doctor::run },
    Command { path: "events", verb: &cmd::events::VERB, run: cmd::events::run },
    Command { path: "exec", verb: &cmd::exec::VERB, run: cmd::exec::run },
    Command { path: "export", verb: &cmd::export::VERB, run: cmd::export::run },
    Command { path: "info", verb: &cmd::info::VERB, run: cmd::info::run },
    Command { path: "init", verb: &cmd::init::VERB, run: cmd::init::run },
    Command { path: "inspect", verb: &cmd::inspect::ANY, run: cmd::inspect::any },
    Command { path: "kill", verb: &cmd::stop::KILL, run: cmd::stop::kill },
    Command { path: "logs", verb: &cmd::logs::VERB, run: cmd::logs::run },
    Command { path: "mount", verb: &cmd::mount::MOUNT, run: cmd::mount::mount },
    Command {
        path: "network exists",
        verb: &cmd::empty::absent::NETWORK_EXISTS,
        run: cmd::empty::absent::exists,
    },
    Command {
        path: "network inspect",
        verb: &cmd::empty::absent::NETWORK_INSPECT,
        run: cmd::empty::absent::inspect_networks,
    },
    Command { path: "network ls", verb: &cmd::empty::NETWORK_LIST, run: cmd::empty::networks },
    Command { path: "network prune", verb: &cmd::empty::NETWORK_PRUNE, run: cmd::empty::prune },
    Command { path: "network rm", verb: &cmd::empty::NETWORK_REMOVE, run: cmd::empty::remove_networks },
    Command { path: "pause", verb: &cmd::stop::PAUSE, run: cmd::stop::pause },
    Command { path: "pod exists", verb: &cmd::empty::absent::POD_EXISTS, run: cmd::empty::absent::exists },
    Command {
        path: "pod inspect",
        verb: &cmd::empty::absent::POD_INSPECT,
        run: cmd::empty::absent::inspect_pods,
    },
    Command { path: "pod prune", verb: &cmd::empty::POD_PRUNE, run: cmd::empty::prune_pods },
    Command { path: "pod ps", verb: &cmd::empty::POD_LIST, run: cmd::empty::pods },
    Command { path: "pod rm", verb: &cmd::empty::POD_REMOVE, run: cmd::empty::remove_pods },
    Command { path: "port", verb: &cmd::port::VERB, run: cmd::port::run },
    Command { path: "ps", verb: &cmd::ps::VERB, run: cmd::ps::run },
    Command { path: "rename", verb: &cmd::start::RENAME, run: cmd::start::rename },
    Command { path: "restart", verb: &cmd::start::RESTART, run: cmd::start::restart },
    Command { path: "rm", verb: &cmd::rm::VERB, run: cmd::rm::run },
    Command { path: "run", verb: &cmd::run::VERB, run: cmd::run::run },
    Command {
        path: "secret exists",
        verb: &cmd::empty::absent::SECRET_EXISTS,
        run: cmd::empty::absent::exists,
    },
    Command {
        path: "secret inspect",
        verb: &cmd::empty::absent::SECRET_INSPECT,
        run: cmd::empty::absent::inspect_secrets,
    },
    Command { path: "secret ls", verb: &cmd::empty::SECRET_LIST, run: cmd::empty::secrets },
    Command {
        path: "secret rm",
        verb: &cmd::empty::absent::SECRET_REMOVE,
        run: cmd::empty::absent::remove_secrets,
    },
    Command { path: "start", verb: &cmd::start::START, run: cmd::start::start },
    Command { path: "stop", verb: &cmd::stop::STOP, run: cmd::stop::stop },
    Command {
        path: "system connection list",
        verb: &cmd::system::CONNECTIONS,
        run: cmd::system::connections,
    },
    Command { path: "system df", verb: &cmd::df::VERB, run: cmd::df::run },
    Command { path: "system events", verb: &cmd::events::VERB, run: cmd::events::run },
    Command { path: "system gc", verb: &cmd::system::GC, run: cmd::system::gc },
    Command { path: "system info", verb: &cmd::info::VERB, run: cmd::info::run },
    Command { path: "system prune", verb: &cmd::prune::VERB, run: cmd::prune::run },
    Command { path: "system reset", verb: &cmd::system::RESET, run: cmd::system::reset },
    Command { path: "top", verb: &cmd::top::VERB, run: cmd::top::run },
    Command { path: "unmount", verb: &cmd::mount::UNMOUNT, run: cmd::mount::unmount },
    Command { path: "unpause", verb: &cmd::stop::UNPAUSE, run: cmd::stop::unpause },
    Command { path: "unshare", verb: &cmd::unshare::VERB, run: cmd::unshare::run },
    Command { path: "version", verb: &cmd::version::VERB, run: cmd::version::run },
    Command { path: "volume create", verb: &volume::create::VERB, run: volume::create::run },
    Command { path: "volume exists", verb: &volume::EXISTS, run: volume::exists },
    Command { path: "volume export", verb: &volume::archive::EXPORT, run: volume::archive::export },
    Command { path: "volume import", verb: &volume::archive::IMPORT, run: volume::archive::import },
    Command { path: "volume inspect", verb: &volume::list::INSPECT, run: volume::list::inspect },
    Command { path: "volume ls", verb: &volume::list::LIST, run: volume::list::list },
    Command { path: "volume mount", verb: &volume::mount::MOUNT, run: volume::mount::mount },
    Command { path: "volume prune", verb: &volume::prune::VERB, run: volume::prune::run },
    Command { path: "volume reload", verb: &volume::RELOAD, run: volume::reload },
    Command { path: "volume rm", verb: &volume::remove::VERB, run: volume::remove::run },
    Command { path: "volume unmount", verb: &volume::mount::UNMOUNT, run: volume::mount::unmount },
    Command { path: "wait", verb: &cmd::wait::VERB, run: cmd::wait::run },
];

/// What this program does for itself, in processes of its own: verbs that begin with two underlines.
#[must_use]
pub fn internal(argv: &[OsString]) -> Option<ExitCode> {
    if let Some(exit) = complete::main(Program::Run, COMMANDS, cmd::completion::values, argv) {
        return Some(exit);
    }
    let (verb, arguments) = argv.get(1..)?.split_first()?;
    match verb.to_str()? {
        cmd::begin::ENDED => Some(cmd::begin::ended(arguments)),
        cmd::netd::VERB => Some(cmd::netd::serve()),
        cmd::doctor::TRIAL => Some(cmd::doctor::trial(arguments)),
        _ => None,
    }
}
