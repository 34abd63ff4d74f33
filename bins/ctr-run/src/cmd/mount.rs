//! `ctr mount` and `ctr unmount`: roots of containers, in a session of `ctr unshare`.

use ctr_cli::app::Call;
use ctr_cli::columns::align;
use ctr_cli::exit::Exit;
use ctr_cli::json;
use ctr_cli::peers::Sentence;
use ctr_cli::report::CommandError;
use ctr_cli::usage::{Arity, Flag, Verb};
use ctr_core::events::Status as Event;
use ctr_pods::containers::{Container, Containers};
use ctr_pods::happened::Who;
use ctr_pods::run::session::{self, Session};
use ctr_pods::run::visit::VisitError;
use ctr_store::Store;

use super::begin::{self, happened};
use super::run::tell;
use super::select::{Rules, each, wanted};
use super::unshare;
use crate::error;
use crate::place::Place;

const LATEST: Flag = Flag::bool("latest", "Act on the latest container").short('l');

/// `mount`.
pub const MOUNT: Verb =
    Verb::new("[options] [CONTAINER...]", "Mount a working container's root filesystem")
        .long(
            "Mounts the roots of containers and prints where they are; without a container, lists what is mounted. It works in a \
             session of `unshare`, and what it mounts lives as long as that.",
        )
        .examples(&["unshare", "mount web", "mount --all", "mount --format json"])
        .flags(&[
            Flag::bool("all", "Mount all containers").short('a'),
            Flag::string("format", "Print the mounted containers in specified format (json)"),
            LATEST,
            Flag::bool("no-trunc", "Do not truncate output"),
            Flag::bool("notruncate", "").alias_of("no-trunc"),
        ])
        .arity(Arity::Any);

/// `unmount`.
pub const UNMOUNT: Verb =
    Verb::new("[options] CONTAINER [CONTAINER...]", "Unmount working container's root filesystem")
        .long("Takes off what `mount` mounted in this session.")
        .examples(&["unmount web", "unmount --all"])
        .flags(&[
            Flag::bool("all", "Unmount all of the currently mounted containers").short('a'),
            Flag::bool("force", "Force the complete unmount of the specified mounted containers").short('f'),
            LATEST,
        ])
        .arity(Arity::Any);

/// Mounts containers, or lists those that are.
///
/// # Errors
/// This is no session of `unshare`; one cannot be mounted, the others were tried all the same.
pub fn mount(call: &Call) -> Result<Exit, CommandError> {
    let flags = &call.flags;
    check_session(call)?;
    let place = Place::find(&call.globals)?;
    let containers = Containers::new(&place.dirs);
    if flags.texts()?.is_empty() && !flags.bool("all") && !flags.bool("latest") {
        return list(call, &containers);
    }
    let store = Store::open(&place.layout()).map_err(CommandError::environment)?;
    let wanted = wanted(call, &containers, Rules { ignore: false, all: |_| true, narrows: false })?;
    let mut session = Session::default();
    each(call, wanted, |container| {
        let host = begin::host(&place, &store, &call.ui);
        let at = session.mount(host, container, &mut |note| tell(&call.ui, &note)).map_err(told)?;
        happened(call, &place, &Who::from(&container.record), &[Event::Mount]);
        call.ui.line(&at.to_string_lossy())?;
        Ok(false)
    })
}

/// Takes off what is mounted.
///
/// # Errors
/// One is not mounted, or in use; the others were tried all the same.
pub fn unmount(call: &Call) -> Result<Exit, CommandError> {
    let flags = &call.flags;
    let all = flags.bool("all");
    let place = Place::find(&call.globals)?;
    let containers = Containers::new(&place.dirs);
    let wanted = wanted(call, &containers, Rules { ignore: false, all: |_| true, narrows: false })?;
    each(call, wanted, |container| {
        if session::unmount(container, flags.bool("force")).map_err(told)? {
            happened(call, &place, &Who::from(&container.record), &[Event::Unmount]);
            return Ok(true);
        }
        // One that runs is mounted for itself, which is not for us to end.
        if all || container.status().map_err(CommandError::environment)?.has_command() {
            return Ok(false);
        }
        let id = &container.record.id;
        let text = format!("unmounting container {id}: layer is not mounted");
        let error = if unshare::is_session() {
            CommandError::user(format!("container {id} is not mounted in this session"))
        } else {
            no_session(call)
        };
        Err(error.peer(Sentence::Other(text)))
    })
}

fn check_session(call: &Call) -> Result<(), CommandError> {
    if unshare::is_session() {
        return Ok(());
    }
    let text = format!(
        "cannot run command \"podman {}\" in rootless mode, must execute `podman unshare` first",
        call.path
    );
    Err(no_session(call).peer(Sentence::Other(text)))
}

fn no_session(call: &Call) -> CommandError {
    CommandError::user("containers are mounted in a session of `ctr unshare`")
        .hint(format!("{} unshare", call.caller.name))
}

fn list(call: &Call, containers: &Containers) -> Result<Exit, CommandError> {
    let flags = &call.flags;
    let all = containers.list().map_err(error::of_containers)?;
    let mounted: Vec<&Container> = all.iter().filter(|one| session::is_mounted(one)).collect();
    match flags.string("format") {
        "" => {}
        "json" => {
            let entry = |one: &&Container| {
                serde_json::json!({
                    "id": one.record.id.as_str(),
                    "Names": [one.record.name],
                    "mountpoint": session::place(one),
                })
            };
            let text = json::document(&mounted.iter().map(entry).collect(), json::Style::ONE);
            call.ui.line(&text)?;
            return Ok(Exit::SUCCESS);
        }
        other => return Err(CommandError::user(format!("unknown --format argument: {other:?}"))),
    }
    let id = |one: &Container| {
        let id = &one.record.id;
        if flags.bool("no-trunc") { id.to_string() } else { id.short().to_owned() }
    };
    let lines: Vec<String> =
        mounted.iter().map(|one| format!("{}\t{}", id(one), session::place(one).display())).collect();
    if !lines.is_empty() {
        call.ui.line(&align(&lines.join("\n")))?;
    }
    Ok(Exit::SUCCESS)
}

/// What a user hears of files that cannot be reached.
pub(super) fn told(error: VisitError) -> CommandError {
    match error {
        VisitError::Run(error) => error::of_run(*error),
        other => CommandError::environment(other),
    }
}
