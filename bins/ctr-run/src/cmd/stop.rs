//! `ctr stop`, `ctr kill`, `ctr pause`, `ctr unpause`: signals, and the freezer.

use std::time::Duration;

use ctr_cli::app::Call;
use ctr_cli::exit::Exit;
use ctr_cli::peers::Sentence;
use ctr_cli::report::CommandError;
use ctr_cli::usage::{Arity, Flag, Verb};
use ctr_core::events::Status as Event;
use ctr_pods::containers::{Container, Containers};
use ctr_pods::happened::Who;
use ctr_pods::status::Status;
use ctr_pods::stop::{self, Asked, StopError, Stopped, Stopping};
use ctr_pods::{freezer, stopped, units};

use super::begin::happened;
use super::select::{Rules, each, each_begun, grace, wanted};
use crate::error;
use crate::place::{Place, waits};

const CIDFILE: Flag = Flag::array("cidfile", "Read the container ID from the file");
const FILTER: Flag = Flag::array("filter", "Filter output based on conditions given").short('f');
const LATEST: Flag = Flag::bool("latest", "Act on the latest container").short('l');

/// `stop`.
pub const STOP: Verb = Verb::new("[options] CONTAINER [CONTAINER...]", "Stop one or more containers")
    .long(
        "Stops one or more running containers. Each is sent its stop signal, and killed if it has not ended after the \
         time it has for that, or at once if it cannot hear the signal.",
    )
    .examples(&["stop web", "stop --all", "stop --time 2 web"])
    .flags(&[
        Flag::bool("all", "Stop all running containers").short('a'),
        CIDFILE,
        FILTER,
        Flag::bool("ignore", "Ignore errors when a specified container is missing").short('i'),
        LATEST,
        Flag::int("time", "Seconds to wait for stop before killing the container").short('t').default("10"),
        Flag::int("timeout", "").alias_of("time"),
    ])
    .arity(Arity::Any);

/// `kill`.
pub const KILL: Verb =
    Verb::new("[options] CONTAINER [CONTAINER...]", "Kill one or more running containers with a specific signal")
        .long("The main process inside each container specified will be sent SIGKILL, or any signal specified with option --signal.")
        .examples(&["kill web", "kill --signal TERM web", "kill --all"])
        .flags(&[
            Flag::bool("all", "Signal all running containers").short('a'),
            CIDFILE,
            LATEST,
            Flag::string("signal", "Signal to send to the container").short('s').default("KILL"),
        ])
        .arity(Arity::Any);

/// `pause`.
pub const PAUSE: Verb =
    Verb::new("[options] CONTAINER [CONTAINER...]", "Pause all the processes in one or more containers")
        .long("Pauses one or more running containers. The container name or ID can be used.")
        .examples(&["pause web", "pause -a"])
        .flags(&[Flag::bool("all", "Pause all running containers").short('a'), CIDFILE, FILTER, LATEST])
        .arity(Arity::Any);

/// `unpause`.
pub const UNPAUSE: Verb =
    Verb::new("[options] CONTAINER [CONTAINER...]", "Unpause the processes in one or more containers")
        .long("Unpauses one or more previously paused containers. The container name or ID can be used.")
        .examples(&["unpause web", "unpause --all"])
        .flags(&[Flag::bool("all", "Unpause all paused containers").short('a'), CIDFILE, FILTER, LATEST])
        .arity(Arity::Any);

/// Stops containers.
///
/// # Errors
/// One could not be stopped; the others were tried all the same.
pub fn stop(call: &Call) -> Result<Exit, CommandError> {
    let flags = &call.flags;
    let place = Place::find(&call.globals)?;
    let containers = Containers::new(&place.dirs);
    let can = |status: Status| status.runs() || status == Status::Initialized;
    let rules = Rules { ignore: flags.bool("ignore"), all: can, narrows: false };
    let wanted = wanted(call, &containers, rules)?;
    let ask = |container: &Container| {
        stopped::note(container).ok();
        ask(call, &containers, container, stopping(call, grace(flags, container)))
    };
    each_begun(call, wanted, error::of_containers, ask, |container, asked| {
        // One that is named twice is stopped already when its second turn comes.
        let asked = asked.transpose().map_err(error::of_stop)?.unwrap_or_default();
        let stopped = wait(call, &containers, asked).map_err(error::of_stop)?;
        say(call, container, stopped, grace(flags, container));
        if stopped != Stopped::Already {
            happened(call, &place, &Who::from(&container.record), &[Event::Stop]);
        }
        if call.caller.voice.is_peer() {
            seen_to_its_end(&containers, container.record.id.as_str())?;
        }
        Ok(true)
    })
}

/// Where a monitor was killed, the peers do not know how its container ended, and that is an error.
fn seen_to_its_end(containers: &Containers, id: &str) -> Result<(), CommandError> {
    let Some(container) = containers.by_id(id).map_err(error::of_containers)? else { return Ok(()) };
    let status = container.status().map_err(CommandError::environment)?;
    let Some(state) = &container.state else { return Ok(()) };
    let now = state.init.boot_id.is_current().map_err(CommandError::environment)?;
    if !now || !status.exit().is_some_and(|exit| exit.unseen) {
        return Ok(());
    }
    Err(CommandError::user(format!(
        "container {id} conmon exited prematurely, exit code could not be retrieved: conmon process killed"
    )))
}

/// How containers are stopped.
fn stopping(call: &Call, grace: Option<Duration>) -> Stopping {
    Stopping { grace, patient: call.caller.voice.is_peer() }
}

/// Asks a container to end.
pub(super) fn ask(
    call: &Call,
    containers: &Containers,
    container: &Container,
    how: Stopping,
) -> Result<Asked, StopError> {
    stop::ask(containers, container, how, &mut |waiting| waits(waiting, &call.ui))
}

/// Waits until one that was asked has ended.
pub(super) fn wait(call: &Call, containers: &Containers, asked: Asked) -> Result<Stopped, StopError> {
    asked.wait(containers, &mut |waiting| waits(waiting, &call.ui))
}

/// Stops one container, and says how if that was not by itself.
pub(super) fn end(
    call: &Call,
    containers: &Containers,
    container: &Container,
    grace: Option<Duration>,
) -> Result<Stopped, CommandError> {
    let asked = ask(call, containers, container, stopping(call, grace)).map_err(error::of_stop)?;
    let stopped = wait(call, containers, asked).map_err(error::of_stop)?;
    say(call, container, stopped, grace);
    Ok(stopped)
}

/// Says how a container was stopped, if that was not by itself.
fn say(call: &Call, container: &Container, stopped: Stopped, grace: Option<Duration>) {
    let name = &container.record.name;
    match stopped {
        Stopped::Already | Stopped::ByItself | Stopped::Killed => {}
        Stopped::Deaf(signal) => call.ui.warn(&format!(
            "the first process of {name} has no handler for {}, so it was killed at once; --init gives it one that has",
            units::signal_name(signal)
        )),
        Stopped::Late(signal) => {
            let seconds = grace.unwrap_or_default().as_secs();
            call.ui.warn(&format!(
                "StopSignal {} failed to stop container {name} in {seconds} seconds, resorting to SIGKILL",
                units::signal_name(signal)
            ));
        }
    }
}

/// Sends a signal to containers.
///
/// # Errors
/// There is no such signal; one could not be sent it.
pub fn kill(call: &Call) -> Result<Exit, CommandError> {
    let signal = units::parse_signal(call.flags.string("signal")).map_err(CommandError::usage)?;
    let place = Place::find(&call.globals)?;
    let containers = Containers::new(&place.dirs);
    let rules = Rules { ignore: false, all: Status::runs, narrows: false };
    let wanted = wanted(call, &containers, rules)?;
    each(call, wanted, |container| {
        if container.status().is_ok_and(Status::has_command) {
            stopped::note(container).ok();
        }
        stop::kill(container, signal).map_err(error::of_stop)?;
        happened(call, &place, &Who::from(&container.record), &[Event::Kill]);
        Ok(true)
    })
}

/// Freezes containers.
///
/// # Errors
/// One does not run, or has no control group.
pub fn pause(call: &Call) -> Result<Exit, CommandError> {
    freezer(call, true)
}

/// Lets frozen containers go on.
///
/// # Errors
/// One is not frozen.
pub fn unpause(call: &Call) -> Result<Exit, CommandError> {
    freezer(call, false)
}

fn freezer(call: &Call, frozen: bool) -> Result<Exit, CommandError> {
    let place = Place::find(&call.globals)?;
    let containers = Containers::new(&place.dirs);
    let all = if frozen { |status| status == Status::Running } else { |status| status == Status::Paused };
    let wanted = wanted(call, &containers, Rules { ignore: false, all, narrows: false })?;
    each(call, wanted, |container| {
        let status = container.status().map_err(CommandError::environment)?;
        let (id, word) = (&container.record.id, status.word());
        match (frozen, status) {
            (true, Status::Running) | (false, Status::Paused) => {}
            (true, _) => {
                let text = format!("\"{word}\" is not running, can't pause: container state improper");
                return Err(CommandError::user(format!("container {id} is {word}: it cannot be paused"))
                    .peer(Sentence::Other(text)));
            }
            (false, _) => {
                let text = format!("\"{id}\" is not paused, can't unpause: container state improper");
                return Err(CommandError::user(format!(
                    "container {id} is {word}: there is nothing to unpause"
                ))
                .peer(Sentence::Other(text)));
            }
        }
        let has_group = if frozen {
            freezer::freeze(container).map_err(CommandError::environment)?
        } else {
            freezer::thaw(container).map_err(CommandError::environment)?
        };
        if !has_group {
            return Err(no_group(&container.record.name));
        }
        let event = if frozen { Event::Pause } else { Event::Unpause };
        happened(call, &place, &Who::from(&container.record), &[event]);
        Ok(true)
    })
}

/// Processes can only be frozen as a group.
fn no_group(name: &str) -> CommandError {
    CommandError::environment(format!(
        "cannot pause {name}: it has no control group of its own, as none is delegated to the session it was started in"
    ))
    .hint("systemd-run --user --scope -p Delegate=yes ctr run …")
}
