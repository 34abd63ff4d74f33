//! `ctr exec`: a command in a container that runs.

use std::path::Path;

use ctr_cli::app::Call;
use ctr_cli::exit::Exit;
use ctr_cli::log::Level;
use ctr_cli::report::CommandError;
use ctr_cli::usage::{Arity, Flag, Parsed, Verb};
use ctr_core::events::Status as Event;
use ctr_core::id::ContainerId;
use ctr_core::{file, limits};
use ctr_pods::containers::{Container, Containers};
use ctr_pods::env::EnvRequest;
use ctr_pods::exec::{self, ExecError, Finish, Request, Way};
use ctr_pods::happened::Who;
use ctr_pods::terminal;
use ctr_runtime::launch::{LaunchError, Notice};
use rustix::io::Errno;
use rustix::process::Pid;

use super::begin::happened;
use super::run::DETACH_KEYS;
use crate::error;
use crate::place::Place;

/// Podman's code for a session that came to nothing, whatever the reason was, unless one is told apart: its -1.
const NO_SESSION: Exit = Exit::code(255);

/// The verb.
pub const VERB: Verb =
    Verb::new("[options] CONTAINER COMMAND [ARG...]", "Run a process in a running container")
        .long(
            "Run a process in a running container. It ends with this command, unless it is detached or the detach keys \
             are typed; signals go to it.",
        )
        .examples(&["exec web ls /etc", "exec -it -w /srv web sh", "exec --user root -e K=V web id"])
        .flags(&[
            Flag::path("cidfile", "Read the container's id from a file"),
            Flag::bool("detach", "Run the process in the background").short('d'),
            DETACH_KEYS,
            Flag::array("env", "Set environment variables").short('e'),
            Flag::array("env-file", "Read environment variables from a file"),
            Flag::bool("interactive", "Keep standard input open").short('i'),
            Flag::bool("latest", "Act on the latest container").short('l'),
            Flag::bool("no-session", "Keep no record of the process; none is kept anyway"),
            Flag::strings("preserve-fd", "Pass file descriptors into the container, comma-separated"),
            Flag::uint("preserve-fds", "Pass this many file descriptors after standard error into the container"),
            Flag::bool("privileged", "Give the process all capabilities"),
            Flag::bool("tty", "Give the process a terminal").short('t'),
            Flag::string("user", "User name or id, and group, `user[:group]`").short('u'),
            Flag::string("workdir", "Working directory inside the container").short('w'),
        ])
        .refuses(&[&["wait"]])
        .arity(Arity::Any)
        .runs_a_command();

/// Runs a command and ends as it ends.
///
/// # Errors
/// It could not be started.
pub fn run(call: &Call) -> Result<Exit, CommandError> {
    let flags = &call.flags;
    let detach = flags.bool("detach");
    if flags.bool("no-session") && (detach || flags.has("detach-keys")) {
        return Err(CommandError::usage("--no-session cannot be used with --detach or --detach-keys"));
    }
    let words = flags.texts()?;
    let (name, words) = target(flags, &words)?;
    let request = request(call, words)?;
    let place = Place::find(&call.globals)?;
    let container = find(&Containers::new(&place.dirs), name)?;
    if request.terminal && !detach && !terminal::stdin_is_terminal() && !call.caller.voice.is_peer() {
        call.ui.warn("the input device is not a terminal: --tty and --interactive may not work as expected");
    }
    let way = Way { user_run: &place.own.run, user: place.user.as_deref() };
    let who = Who::from(&container.record);
    let mut started = |notices: Vec<Notice>| {
        notices.iter().for_each(|notice| call.ui.log(Level::Info, &notice.to_string()));
        happened(call, &place, &who, &[Event::Exec]);
    };
    if detach {
        let command = exec::detached(&container, &request, way, &mut started)
            .map_err(|error| of_exec(error, Exit::FAILURE).exit(Exit::FAILURE))?;
        let session = note(call, &container, command)?;
        call.ui.line(session.as_str())?;
        return Ok(Exit::SUCCESS);
    }
    let other = other(flags);
    match exec::foreground(&container, &request, way, &mut started).map_err(|error| of_exec(error, other))? {
        Finish::Ended(end) => {
            let died = who.event(Event::ExecDied).with_exit_code(end.code().into());
            call.ui.happened(&place.events, &[died]);
            Ok(Exit::code(end.code()))
        }
        Finish::Left(command) => {
            note(call, &container, command)?;
            Ok(Exit::SUCCESS)
        }
    }
}

/// Notes a command that goes on without us.
fn note(call: &Call, container: &Container, command: Pid) -> Result<ContainerId, CommandError> {
    let session = ContainerId::random().map_err(CommandError::environment)?;
    if let Err(error) = exec::session::note(container, &session, command) {
        call.ui.warn(&format!("the command runs, but `inspect` will not list it: {error}"));
    }
    Ok(session)
}

/// Which container is meant, and the words that are left.
fn target<'a>(flags: &Parsed, words: &'a [&'a str]) -> Result<(Option<String>, &'a [&'a str]), CommandError> {
    match (flags.bool("latest"), flags.path("cidfile"), words.split_first()) {
        (true, Some(_), _) => Err(CommandError::usage("--latest and --cidfile can not be used together")),
        (true, None, _) => Ok((None, words)),
        (false, Some(path), _) => Ok((Some(id_in(path)?), words)),
        (false, None, Some((name, words))) => Ok((Some((*name).to_owned()), words)),
        (false, None, None) => Err(CommandError::usage(
            "exec requires the name or ID of a container or the --latest or --cidfile flag",
        )),
    }
}

fn id_in(path: &Path) -> Result<String, CommandError> {
    let text = file::read_text(path, limits::TAG as u64 * 8);
    Ok(text.map_err(CommandError::user)?.lines().next().unwrap_or_default().to_owned())
}

fn find(containers: &Containers, name: Option<String>) -> Result<Container, CommandError> {
    match name {
        Some(name) => containers.find(&name).map_err(error::of_containers),
        None => super::select::latest(containers),
    }
}

fn request(call: &Call, words: &[&str]) -> Result<Request, CommandError> {
    let flags = &call.flags;
    let files = flags.strings("env-file");
    let read = |path: &String| file::read_text(Path::new(path), limits::ENV_FILE).map_err(CommandError::user);
    Ok(Request {
        words: words.iter().map(|word| (*word).to_owned()).collect(),
        env: EnvRequest {
            set: flags.strings("env"),
            files: files.iter().map(read).collect::<Result<_, _>>()?,
            ..EnvRequest::default()
        },
        host_env: super::run::host_env(call),
        user: flags.get("user").map(str::to_owned),
        workdir: flags.get("workdir").filter(|dir| !dir.is_empty()).map(str::to_owned),
        privileged: super::run::asked(call).bool("privileged"),
        interactive: flags.bool("interactive"),
        terminal: flags.bool("tty"),
        preserve_fds: super::run::preserved(flags).map_err(CommandError::usage)?,
        detach_keys: super::run::detach_keys(call).map_err(|error| error.exit(other(flags)))?,
    })
}

/// The code of a failure that has none of its own. Podman gives another one where nobody could ask for the session.
fn other(flags: &Parsed) -> Exit {
    if flags.bool("detach") || flags.bool("no-session") { Exit::FAILURE } else { NO_SESSION }
}

/// A command did not run. What is wrong with the request itself is the general failure, as anywhere; what went wrong in
/// the container is told apart by its reason, as Podman reads it out of what its runtime says.
fn of_exec(error: ExecError, other: Exit) -> CommandError {
    match error {
        error @ ExecError::NotRunning(_) => CommandError::user(error).exit(NO_SESSION),
        error @ ExecError::Workdir { .. } => CommandError::user(error).exit(Exit::NOT_FOUND),
        error @ (ExecError::NoCommand | ExecError::NotOpen(_) | ExecError::Env(_) | ExecError::Nul(_)) => {
            CommandError::user(error)
        }
        ExecError::Command { command, errno } => error::of_command(command, errno),
        ExecError::Enter(error) => crate::place::barred(error).exit(other),
        ExecError::Launch(LaunchError::Step { source, .. }) => {
            let code = match source {
                Errno::PERM | Errno::ACCESS => Exit::NOT_EXECUTABLE,
                Errno::NOENT => Exit::NOT_FOUND,
                _ => other,
            };
            CommandError::user(error).exit(code)
        }
        error => CommandError::user(error).exit(other),
    }
}
