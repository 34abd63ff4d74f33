//! Starting kept containers: the half of it that is the user's command, and what a monitor becomes in the end.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::process::ExitCode;

use ctr_cli::app::Call;
use ctr_cli::exit::Exit;
use ctr_cli::log::Level;
use ctr_cli::report::CommandError;
use ctr_cli::ui::Ui;
use ctr_core::events::{self, Log, Status as Event};
use ctr_core::lock::Waiting;
use ctr_core::paths::Dirs;
use ctr_pods::attach::{self, Connection, Rules, Signals, Wants};
use ctr_pods::containers::{Container, Containers};
use ctr_pods::ended;
use ctr_pods::happened::Who;
use ctr_pods::initialized::{self, Starting};
use ctr_pods::network::Form;
use ctr_pods::record::State;
use ctr_pods::run::kept::{self, Afterwards, Held, Outcome, Side};
use ctr_pods::run::{Host, Note};
use ctr_pods::stop;
use ctr_store::Store;

use super::inspect;
use super::run::tell;
use crate::error;
use crate::place::{Place, waits};

/// The verb of what a monitor becomes: `__ended DATA RUN ID EVENTS LIMIT`.
pub const ENDED: &str = "__ended";

/// Where containers are started.
pub(super) fn host<'a>(place: &'a Place, store: &'a Store, ui: &Ui) -> Host<'a> {
    let form = if ui.voice().is_peer() { Form::Logrus } else { Form::Plain };
    let trace = ui.level().passes(Level::Trace).then(|| (rustix::stdio::stderr(), form));
    Host { store, dirs: &place.dirs, user_run: &place.own.run, user: place.user.as_deref(), trace }
}

/// Logs what happened to a container just now.
pub(super) fn happened(call: &Call, place: &Place, who: &Who, statuses: &[Event]) {
    let events: Vec<_> = statuses.iter().map(|status| who.event(*status)).collect();
    call.ui.happened(&place.events, &events);
}

/// That a container was made. Where the configuration asks for it, the event has what `inspect --size` says of it.
pub(super) fn created(call: &Call, place: &Place, store: &Store, who: &Who) -> events::Event {
    let mut event = who.event(Event::Create);
    let wanted = call.globals.config.containers.bool("engine.events_container_create_inspect_data");
    if wanted == Some(true) {
        match inspect::just_made(place, store, &who.id) {
            Ok(text) => event.inspect = text,
            Err(error) => {
                call.ui.warn(&format!("what is known of container {} is not logged: {error}", who.id));
            }
        }
    }
    event
}

/// Starts a container that this process holds. Without rules its id is printed once it runs; else this command carries its
/// streams and ends as it ends.
pub(super) fn started(
    call: &Call,
    place: &Place,
    host: Host<'_>,
    held: Held,
    rules: Option<Rules>,
) -> Result<Exit, CommandError> {
    let id = held.id().to_owned();
    let Some(rules) = rules else {
        return Ok(match part(call, place, host, held, false, || Ok(()))? {
            Ok(_) => {
                call.ui.line(&id)?;
                Exit::SUCCESS
            }
            Err(exit) => exit,
        });
    };
    let collect = || Signals::collect(rules.proxy, rules.terminal).map_err(CommandError::environment);
    match part(call, place, host, held, true, collect)? {
        Ok((Some(connection), signals)) => {
            // Who sees nothing of it can at least name it.
            if !rules.stdout && !rules.stderr {
                call.ui.line(&id)?;
            }
            relay(call, place, &id, connection, (&rules, &signals), &mut || {})
        }
        Ok((None, _)) => Ok(Exit::SUCCESS),
        Err(exit) => Ok(exit),
    }
}

/// Starts a container that this process holds and waits until it runs; `before` happens before that, in this command
/// alone. The inner error is the exit code of a start whose failure has been told already.
pub(super) fn part<T>(
    call: &Call,
    place: &Place,
    host: Host<'_>,
    held: Held,
    attached: bool,
    before: impl FnOnce() -> Result<T, CommandError>,
) -> Result<Result<(Option<Connection>, T), Exit>, CommandError> {
    match kept::part(attached).map_err(error::of_run)? {
        Side::Monitor(link) => {
            let afterwards = afterwards(place, held.id()).map_err(CommandError::last)?;
            let mut tell = |note| match note {
                // Written here, they are there before anything else can happen to it.
                Note::Initialized(who) => happened(call, place, &who, &[Event::Init]),
                Note::Running(who) => {
                    let all = [Event::Init, Event::Start, Event::Attach];
                    happened(call, place, &who, if attached { &all } else { &all[..2] });
                }
                other => tell(&call.ui, &other),
            };
            if let Some(died) = held.unseen() {
                call.ui.happened(&place.events, std::slice::from_ref(died));
            }
            let goes = held.goes_with_its_end().then(|| held.who(host));
            let failed = kept::start(held, host, link, &afterwards, &mut tell);
            if let Some(who) = goes {
                happened(call, place, &who, &[Event::Remove]);
            }
            Err(error::of_run(failed).last())
        }
        Side::Command(birth) => {
            let before = before()?;
            // The disk has time for that while the container starts.
            held.flush().map_err(error::of_run)?;
            drop(held);
            Ok(match birth.wait().map_err(error::of_run)? {
                Outcome::Ready => Ok((birth.connection, before)),
                Outcome::Failed(code) => Err(Exit::code(code)),
            })
        }
    }
}

/// Has the command of an initialized container run, and lets its monitor say what came of it: then that is logged.
pub(super) fn go_on(
    container: &Container,
    state: &State,
    wants: Wants,
) -> Result<(Connection, Starting), CommandError> {
    initialized::start(container, state, wants).map_err(CommandError::environment)
}

/// Logs that an initialized container was started, before anybody logs that it ended.
pub(super) fn gone_on(
    call: &Call,
    place: &Place,
    container: &Container,
    starting: &Starting,
    attached: bool,
) {
    let events: &[_] = match (starting.is_first(), attached) {
        (true, true) => &[Event::Start, Event::Attach],
        (true, false) => &[Event::Start],
        (false, true) => &[Event::Attach],
        (false, false) => return,
    };
    happened(call, place, &Who::from(&container.record), events);
}

/// What a container runs, as it was asked for.
pub(super) fn command_of(container: &Container) -> String {
    container.record.process.args.first().cloned().unwrap_or_default()
}

/// Carries the streams of a container until it ends, or is let go of; `started` hears that one that was initialized runs.
pub(super) fn relay(
    call: &Call,
    place: &Place,
    id: &str,
    connection: Connection,
    (rules, signals): (&Rules, &Signals),
    started: &mut dyn FnMut(),
) -> Result<Exit, CommandError> {
    let containers = Containers::new(&place.dirs);
    let known = containers.by_id(id).map_err(error::of_containers)?;
    let mut deliver = |signal| {
        if let Some(container) = &known
            && let Err(error) = stop::kill(container, signal)
        {
            // It may just have ended, which the relay hears in a moment.
            call.ui.debug(&error.to_string());
        }
    };
    let outcome = attach::relay(connection, rules, signals, &mut deliver, started)
        .map_err(CommandError::environment)?;
    match outcome {
        attach::Outcome::Ended { code, .. } => {
            if let Some(container) = known.filter(|it| it.record.auto_remove) {
                // Its name is free again once this command has returned.
                let mut on_wait = |waiting: &Waiting| waits(waiting, &call.ui);
                containers.wait_gone(&container, &mut on_wait).map_err(error::of_containers)?;
            }
            Ok(Exit::code(code))
        }
        attach::Outcome::Detached => Ok(Exit::SUCCESS),
        attach::Outcome::NotStarted(errno) => {
            Err(error::of_command(known.as_ref().map(command_of).unwrap_or_default(), errno))
        }
        attach::Outcome::Lost => Err(CommandError::environment(format!(
            "the monitor of container {id} was killed, and the container with it"
        ))
        .exit(Exit::signal(9))),
        attach::Outcome::Overtaken => Err(CommandError::environment(format!(
            "cannot show the output of container {id} any more: it came faster than it was read"
        ))),
    }
}

/// What the monitor becomes in the end: this program.
fn afterwards(place: &Place, id: &str) -> Result<Afterwards, CommandError> {
    let program = std::fs::File::open("/proc/self/exe").map_err(CommandError::environment)?;
    let limit = place.events.limit().to_string();
    let words = [
        b"ctr-run".as_slice(),
        ENDED.as_bytes(),
        place.dirs.data.as_os_str().as_bytes(),
        place.dirs.run.as_os_str().as_bytes(),
        id.as_bytes(),
        place.events.path().map_or(b"".as_slice(), |path| path.as_os_str().as_bytes()),
        limit.as_bytes(),
    ];
    let arguments = words.into_iter().map(<[u8]>::to_vec).collect();
    Ok(Afterwards { program: program.into(), arguments })
}

/// What is to be done once a container has ended: this process was its monitor.
#[must_use]
pub fn ended(arguments: &[OsString]) -> ExitCode {
    let [data, run, id, events, limit] = arguments else { return Exit::FAILURE.into() };
    let dirs = Dirs { data: PathBuf::from(data), run: PathBuf::from(run) };
    let limit = limit.to_str().and_then(|limit| limit.parse().ok());
    let events = match limit {
        Some(limit) if !events.is_empty() => Log::at(PathBuf::from(events), limit),
        _ => Log::none(),
    };
    // There is nobody to tell: what could not be removed is found by the next sweep.
    match id.to_str().map(|id| ended::tidy(&dirs, id, &events)) {
        Some(Ok(())) => Exit::SUCCESS.into(),
        _ => Exit::FAILURE.into(),
    }
}
