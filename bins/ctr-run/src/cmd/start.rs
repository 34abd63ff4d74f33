//! `ctr start`, `ctr restart`, `ctr attach`, `ctr rename`: kept containers that are there.

use ctr_cli::app::Call;
use ctr_cli::exit::Exit;
use ctr_cli::peers::Sentence;
use ctr_cli::report::CommandError;
use ctr_cli::usage::{Arity, Flag, Verb};
use ctr_core::events::Status as Event;
use ctr_pods::attach::{Connection, Rules, Signals, Wants};
use ctr_pods::containers::{Container, Containers};
use ctr_pods::dependencies;
use ctr_pods::happened::Who;
use ctr_pods::record::{Record, State};
use ctr_pods::run::kept;
use ctr_pods::status::Status;
use ctr_pods::stop::Stopped;
use ctr_store::Store;

use super::begin;
use super::run::{DETACH_KEYS, detach_keys};
use super::select::{self, Wanted, each, grace, wanted};
use super::stop::end;
use crate::error;
use crate::place::Place;

const ALL: &str = "all";
const LATEST: Flag = Flag::bool("latest", "Act on the latest container").short('l');
const PROXY: Flag = Flag::bool("sig-proxy", "Forward signals to the container");

/// `start`.
pub const START: Verb = Verb::new("[options] CONTAINER [CONTAINER...]", "Start one or more containers")
    .long("Starts one or more containers. The container name or ID can be used.")
    .examples(&["start --latest", "start web", "start --interactive --attach box"])
    .flags(&[
        Flag::bool(ALL, "Start all containers regardless of their state or configuration"),
        Flag::bool("attach", "Attach container's STDOUT and STDERR").short('a'),
        DETACH_KEYS,
        Flag::array("filter", "Filter output based on conditions given").short('f'),
        Flag::bool("interactive", "Make STDIN available to the contained process").short('i'),
        LATEST,
        PROXY,
    ])
    .arity(Arity::Any);

/// `restart`.
pub const RESTART: Verb = Verb::new("[options] CONTAINER [CONTAINER...]", "Restart one or more containers")
    .long("Stops containers that run, and starts them again; others are started.")
    .examples(&["restart web", "restart --running", "restart -t 0 web"])
    .flags(&[
        Flag::bool(ALL, "Restart all non-running containers").short('a'),
        Flag::array("cidfile", "Read the container ID from the file"),
        Flag::array("filter", "Filter output based on conditions given").short('f'),
        LATEST,
        Flag::bool("running", "Restart only running containers"),
        Flag::int("time", "Seconds to wait for stop before killing the container").short('t').default("10"),
    ])
    .arity(Arity::Any);

/// `attach`.
pub const ATTACH: Verb = Verb::new("[options] CONTAINER", "Attach to a running container")
    .long("Attaches the terminal's standard input, output and error to a running container.")
    .examples(&["attach web", "attach --latest", "attach --no-stdin web"])
    .flags(&[
        DETACH_KEYS,
        LATEST,
        Flag::bool("no-stdin", "Do not attach STDIN. The default is false"),
        PROXY.default("true"),
    ])
    .arity(Arity::Between(0, 1));

/// `rename`.
pub const RENAME: Verb = Verb::new("CONTAINER NAME", "Rename an existing container")
    .long("Gives a container another name, while it runs too.")
    .examples(&["rename web old-web"])
    .arity(Arity::Exactly(2));

/// Starts containers.
///
/// # Errors
/// One could not be started; the others were tried all the same.
pub fn start(call: &Call) -> Result<Exit, CommandError> {
    let flags = &call.flags;
    let attached = flags.bool("attach") || flags.bool("interactive");
    let names = flags.texts()?;
    if attached && (names.len() > 1 || flags.bool(ALL)) {
        return Err(CommandError::usage("you cannot start and attach multiple containers at once"));
    }
    if flags.bool(ALL) && !names.is_empty() {
        return Err(CommandError::usage(
            "either start all containers or the container(s) provided in the arguments",
        ));
    }
    if flags.bool("sig-proxy") && !attached {
        return Err(CommandError::usage("you cannot use sig-proxy without --attach: invalid argument"));
    }
    let detach_keys = detach_keys(call)?;
    let place = Place::find(&call.globals)?;
    let containers = Containers::new(&place.dirs);
    let store = Store::open(&place.layout()).map_err(CommandError::environment)?;
    let rules = select::Rules { ignore: false, all: |status| !status.has_command(), narrows: true };
    let wanted = wanted(call, &containers, rules)?;
    if attached {
        if wanted.len() > 1 {
            return Err(CommandError::usage("you cannot start and attach multiple containers at once"));
        }
        let container = the_one(wanted)?;
        let rules = Rules {
            input: flags.bool("interactive") && container.record.process.interactive,
            stdout: flags.bool("attach") || flags.bool("interactive"),
            stderr: flags.bool("attach") || flags.bool("interactive"),
            terminal: container.record.process.terminal,
            // As podman does: unless it is said, only where streams are carried.
            proxy: flags.switch("sig-proxy").unwrap_or(true),
            detach_keys,
        };
        return start_attached(call, &place, &containers, &store, &container, rules);
    }
    each(call, wanted, |container| {
        start_needed(call, &place, &store, &container.record)?;
        start_one(call, &place, &containers, &store, container)
    })
}

/// The container where only one can be meant.
fn the_one(wanted: Wanted) -> Result<Container, CommandError> {
    let (_, found) = wanted.into_iter().next().ok_or_else(|| CommandError::user("no such container"))?;
    found.map_err(error::of_containers)
}

fn start_attached(
    call: &Call,
    place: &Place,
    containers: &Containers,
    store: &Store,
    container: &Container,
    rules: Rules,
) -> Result<Exit, CommandError> {
    let host = begin::host(place, store, &call.ui);
    start_needed(call, place, store, &container.record)?;
    match taken(containers, container, host)? {
        Taken::Held(held) => begin::started(call, place, host, *held, Some(rules)),
        Taken::Initialized(container, state) => {
            let (signals, wants) = listening(&rules)?;
            let (connection, starting) = begin::go_on(&container, &state, wants)?;
            let mut starting = Some(starting);
            let mut started = || {
                if let Some(starting) = starting.take() {
                    begin::gone_on(call, place, &container, &starting, wants.output);
                }
            };
            let id = container.record.id.as_str();
            begin::relay(call, place, id, connection, (&rules, &signals), &mut started)
        }
        // It runs: what is left is to attach to it.
        Taken::Running => attached(call, place, container, &rules),
    }
}

/// Starts one container, if it does not run. `false` never: its name is printed either way.
fn start_one(
    call: &Call,
    place: &Place,
    containers: &Containers,
    store: &Store,
    container: &Container,
) -> Result<bool, CommandError> {
    let host = begin::host(place, store, &call.ui);
    let held = match taken(containers, container, host)? {
        Taken::Held(held) => *held,
        Taken::Initialized(container, state) => {
            return super::init::go_on(call, place, &container, &state).map(|()| true);
        }
        Taken::Running => return Ok(true),
    };
    match begin::part(call, place, host, held, false, || Ok(()))? {
        Ok(_) => Ok(true),
        // As with podman: what its command's failure to start is called is for those alone who wait for the command.
        Err(_) => Err(CommandError::quiet(Exit::FAILURE)),
    }
}

/// Starts what a container needs.
fn start_needed(call: &Call, place: &Place, store: &Store, record: &Record) -> Result<(), CommandError> {
    start_all(call, place, store, record.id.as_str(), &record.dependencies)
}

/// Starts these containers, and what they need.
pub(super) fn start_all(
    call: &Call,
    place: &Place,
    store: &Store,
    dependent: &str,
    needed: &[String],
) -> Result<(), CommandError> {
    if needed.is_empty() {
        return Ok(());
    }
    let containers = Containers::new(&place.dirs);
    let order = dependencies::in_order(&containers, dependent, needed).map_err(CommandError::user)?;
    for one in order {
        let runs = one.status().map_err(CommandError::environment)?.runs();
        // A fleeting one is in the hands of the command that runs it.
        if !runs && one.kind.has_monitor() {
            // What it has said is why the other is not started.
            start_one(call, place, &containers, store, &one).map_err(|error| error.exit(Exit::FAILURE))?;
        }
    }
    Ok(())
}

/// Whether all runs that a container needs.
pub(super) fn check_needed(containers: &Containers, record: &Record) -> Result<(), CommandError> {
    let mut missing = Vec::new();
    for id in &record.dependencies {
        let found = containers.by_id(id).map_err(error::of_containers)?;
        let status = found.map(|one| one.status()).transpose().map_err(CommandError::environment)?;
        if !status.is_some_and(Status::runs) {
            missing.push(id.as_str());
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    let text = format!(
        "some dependencies of container {} are not started: {}: container state improper",
        record.id,
        missing.join(",")
    );
    Err(CommandError::user(&*text)
        .peer(Sentence::Other(text))
        .hint(format!("ctr start {}", missing.join(" "))))
}

/// A container that is to be started.
pub(super) enum Taken {
    /// It is in our hands.
    Held(Box<kept::Held>),
    /// All of it is there but its command.
    Initialized(Box<Container>, Box<State>),
    /// It runs.
    Running,
}

/// Takes hold of a container that is to be started.
pub(super) fn taken(
    containers: &Containers,
    container: &Container,
    host: ctr_pods::run::Host<'_>,
) -> Result<Taken, CommandError> {
    let id = container.record.id.as_str();
    // Each turn somebody else has had it for half a second.
    for _ in 0..10 {
        let Some(now) = containers.by_id(id).map_err(error::of_containers)? else {
            return Err(error::of_containers(ctr_pods::containers::ContainersError::NotFound(id.to_owned())));
        };
        match now.status().map_err(CommandError::environment)? {
            Status::Running => return Ok(Taken::Running),
            Status::Leaving => {
                let text = format!(
                    "container {id} must be in Created or Stopped state to be started: container state improper"
                );
                return Err(CommandError::user(format!("cannot start container {id}: it is being stopped"))
                    .peer(Sentence::Other(text))
                    .hint(format!("ctr wait {}", now.record.name)));
            }
            Status::Paused => {
                let text = format!("unable to start container {id:?}: container state improper");
                return Err(CommandError::user(format!("cannot start container {id}: it is paused"))
                    .peer(Sentence::Other(text))
                    .hint(format!("ctr unpause {}", now.record.name)));
            }
            Status::Initialized => {
                if let Some(state) = now.state.clone() {
                    return Ok(Taken::Initialized(Box::new(now), Box::new(state)));
                }
            }
            Status::Created | Status::Stopping | Status::Exited(_) => {}
        }
        if let Some(held) = kept::hold(host, &now).map_err(error::of_run)? {
            return Ok(Taken::Held(Box::new(held)));
        }
    }
    Err(CommandError::environment(format!("cannot start container {id}: another process is changing it")))
}

/// Stops containers and starts them again.
///
/// # Errors
/// One could not be; the others were tried all the same.
pub fn restart(call: &Call) -> Result<Exit, CommandError> {
    let flags = &call.flags;
    let place = Place::find(&call.globals)?;
    let containers = Containers::new(&place.dirs);
    let store = Store::open(&place.layout()).map_err(CommandError::environment)?;
    let wanted = if flags.bool("running") {
        running(call, &containers)?
    } else {
        wanted(call, &containers, select::Rules { ignore: false, all: |_| true, narrows: false })?
    };
    each(call, wanted, |container| {
        check_needed(&containers, &container.record)?;
        let who = Who::from(&container.record);
        let waits = container.status().map_err(CommandError::environment)? == Status::Initialized;
        // One that waits for its start is only started.
        if !waits && end(call, &containers, container, grace(flags, container))? != Stopped::Already {
            begin::happened(call, &place, &who, &[Event::Stop]);
        }
        let done = start_one(call, &place, &containers, &store, container)?;
        begin::happened(call, &place, &who, &[Event::Restart]);
        Ok(done)
    })
}

/// Those that run: of the named, or of all.
fn running(call: &Call, containers: &Containers) -> Result<Wanted, CommandError> {
    let flags = &call.flags;
    if flags.texts()?.is_empty() && !flags.bool("latest") && !flags.has("cidfile") {
        return select::fitting(flags, containers, Status::runs).map(select::as_wanted);
    }
    let rules = select::Rules { ignore: false, all: Status::runs, narrows: false };
    let mut wanted = wanted(call, containers, rules)?;
    // What cannot be known is said when it comes to that container.
    let runs = |container: &Container| container.status().map_or(true, Status::runs);
    wanted.retain(|(_, found)| found.as_ref().map_or(true, runs));
    Ok(wanted)
}

/// Carries the streams of a container that runs.
///
/// # Errors
/// It does not run, or has no monitor to ask.
pub fn attach(call: &Call) -> Result<Exit, CommandError> {
    let flags = &call.flags;
    let detach_keys = detach_keys(call)?;
    let (names, latest) = (flags.texts()?, flags.bool("latest"));
    if latest && !names.is_empty() {
        return Err(CommandError::usage("--latest and containers cannot be used together"));
    }
    if names.is_empty() && !latest {
        return Err(CommandError::usage(
            "attach requires the name or id of one running container or --latest",
        ));
    }
    let place = Place::find(&call.globals)?;
    let containers = Containers::new(&place.dirs);
    let rules = select::Rules { ignore: false, all: |_| true, narrows: false };
    let container = the_one(wanted(call, &containers, rules)?)?;
    match container.status().map_err(CommandError::environment)? {
        Status::Running | Status::Leaving => {}
        _ => return Err(CommandError::user("you can only attach to running containers")),
    }
    let rules = Rules {
        input: !flags.bool("no-stdin") && container.record.process.interactive,
        stdout: true,
        stderr: true,
        terminal: container.record.process.terminal,
        proxy: flags.bool("sig-proxy"),
        detach_keys,
    };
    attached(call, &place, &container, &rules)
}

fn attached(call: &Call, place: &Place, container: &Container, rules: &Rules) -> Result<Exit, CommandError> {
    let (signals, wants) = listening(rules)?;
    let connection = Connection::open(&container.folder, wants).map_err(CommandError::user)?;
    begin::happened(call, place, &Who::from(&container.record), &[Event::Attach]);
    begin::relay(call, place, container.record.id.as_str(), connection, (rules, &signals), &mut || {})
}

/// Signals that arrive from now on, and what to tell the monitor.
fn listening(rules: &Rules) -> Result<(Signals, Wants), CommandError> {
    let signals = Signals::collect(rules.proxy, rules.terminal).map_err(CommandError::environment)?;
    Ok((signals, Wants { output: rules.stdout || rules.stderr, input: rules.input || rules.terminal }))
}

/// Gives a container another name.
///
/// # Errors
/// There is no such container, or the name is taken.
pub fn rename(call: &Call) -> Result<Exit, CommandError> {
    let names = call.flags.texts()?;
    let [old, new] = names[..] else { return Err(CommandError::usage("a container and a name are needed")) };
    let place = Place::find(&call.globals)?;
    let containers = Containers::new(&place.dirs);
    let container = containers.find(old).map_err(error::of_containers)?;
    containers.rename(&container, new).map_err(error::of_containers)?;
    let who = Who { name: new.to_owned(), ..Who::from(&container.record) };
    begin::happened(call, &place, &who, &[Event::Rename]);
    Ok(Exit::SUCCESS)
}
