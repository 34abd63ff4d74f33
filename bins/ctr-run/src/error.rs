//! Errors of the libraries as errors of commands: which kind, which exit code, the peers' words.

use ctr_cli::exit::Exit;
use ctr_cli::peers::Sentence;
use ctr_cli::report::CommandError;
use ctr_pods::containers::ContainersError;
use ctr_pods::create::CreateError;
use ctr_pods::network::ControlError;
use ctr_pods::ports::PortsError;
use ctr_pods::ports::publish::{Place, Transport};
use ctr_pods::remove::RemoveError;
use ctr_pods::run::RunError;
use ctr_pods::stop::StopError;
use ctr_pods::user::UserError;
use ctr_store::ResolveError;
use rustix::io::Errno;

use crate::place;

/// A container did not run.
pub(crate) fn of_run(error: RunError) -> CommandError {
    match error {
        RunError::Enter(error) => place::barred(error),
        RunError::Image(error) => of_resolve(error),
        RunError::Containers(error) => of_containers(error),
        RunError::Command { command, errno } => of_command(command, errno),
        // The name of nothing is not found.
        error @ RunError::Create(CreateError::FolderCommand) => {
            CommandError::user(error).exit(Exit::NOT_FOUND).peer(Sentence::CommandNotFound(String::new()))
        }
        // As with the peers: it was to run, as somebody whom nobody knows.
        error @ RunError::User(UserError::NoUser(_) | UserError::NoGroup(_)) => {
            CommandError::user(error).exit(Exit::NOT_EXECUTABLE)
        }
        error @ RunError::Workdir { .. } => CommandError::user(error).exit(Exit::NOT_EXECUTABLE),
        error @ RunError::Network(ControlError::Failed(_)) => {
            CommandError::environment(error).hint("ctr doctor").hint("ctr run --network none …  (or host)")
        }
        // As with podman, whose container is there by then.
        RunError::Ports(error) => of_ports(error),
        // A kernel before 5.12, or a sandbox around us that hides what a newer one has.
        other if is_missing_call(&other) => CommandError::environment(other)
            .hint("uname -r  (Linux 5.12 or newer is needed, and no sandbox around it that hides its calls)"),
        other => CommandError::user(other),
    }
}

/// Ports that cannot be published. The exit code is podman's, whose container is there by then.
pub(crate) fn of_ports(error: PortsError) -> CommandError {
    match &error {
        PortsError::Taken { .. } => CommandError::user(error).exit(Exit::NOT_EXECUTABLE),
        &PortsError::Privileged { place, inside, first, .. } => {
            let (at, port) = (place.at, place.at.port());
            let sentence = format!(
                "rootlessport cannot expose privileged port {port}, you can add \
                 'net.ipv4.ip_unprivileged_port_start={port}' to /etc/sysctl.conf (currently {first}), or choose \
                 a larger port number (>= {first}): listen {} {at}: bind: permission denied",
                place.transport
            );
            let another = format!("ctr run -p {}:{inside}{} …", another_port(port, first), of(place));
            CommandError::user(error)
                .exit(Exit::NOT_EXECUTABLE)
                .peer(Sentence::Other(sentence))
                .hint(format!("sudo sysctl net.ipv4.ip_unprivileged_port_start={port}"))
                .hint(another)
        }
        _ => CommandError::user(error),
    }
}

/// One that is like it and that everybody may have: 8080 for 80.
const fn another_port(port: u16, first: u16) -> u16 {
    if first <= 8000 { 8000 + port } else { first.saturating_add(port) }
}

/// What stands behind a port that is not of TCP.
const fn of(place: Place) -> &'static str {
    match place.transport {
        Transport::Tcp => "",
        Transport::Udp => "/udp",
    }
}

fn is_missing_call(error: &(dyn std::error::Error + 'static)) -> bool {
    std::iter::successors(Some(error), |error| error.source()).any(|error| {
        error.downcast_ref::<Errno>() == Some(&Errno::NOSYS)
            || error
                .downcast_ref::<std::io::Error>()
                .is_some_and(|error| error.raw_os_error() == Some(Errno::NOSYS.raw_os_error()))
    })
}

/// The command is not there, or cannot be run.
pub(crate) fn of_command(command: String, errno: Errno) -> CommandError {
    let missing = errno == Errno::NOENT;
    let sentence =
        if missing { Sentence::CommandNotFound(command.clone()) } else { Sentence::CommandNotExecutable };
    let exit = if missing { Exit::NOT_FOUND } else { Exit::NOT_EXECUTABLE };
    CommandError::user(RunError::Command { command, errno }).exit(exit).peer(sentence)
}

/// An image that was not found, or that something is wrong with.
pub(crate) fn of_resolve(error: ResolveError) -> CommandError {
    match &error {
        ResolveError::Unknown { name } => {
            let name = name.for_terminal();
            CommandError::user(error)
                .peer(Sentence::NoSuchImage(name))
                .hint("ctr load -i FILE")
                .hint("ctr images")
        }
        _ => CommandError::user(error),
    }
}

/// A name that is taken, or a container that is not there.
pub(crate) fn of_containers(error: ContainersError) -> CommandError {
    match &error {
        ContainersError::NameInUse { name, id } => {
            let (name, id) = (name.clone(), id.clone());
            let hint = format!("ctr rm -f {name}");
            CommandError::user(error).peer(Sentence::NameInUse { name, id }).hint(hint)
        }
        ContainersError::NotFound(name) => {
            let name = name.clone();
            CommandError::user(error).peer(Sentence::NoSuchContainer(name))
        }
        ContainersError::Ambiguous(text) => {
            let sentence = Sentence::Other(format!(
                "more than one result for container \"{text}\": container already exists"
            ));
            CommandError::user(error).peer(sentence)
        }
        ContainersError::Damaged(id) => {
            let hint = format!("ctr rm -f {id}");
            CommandError::user(error).hint(hint)
        }
        _ => CommandError::user(error),
    }
}

/// A container that was to be removed: one that is not there is the answer "no".
pub(crate) fn of_removed(error: ContainersError) -> CommandError {
    match &error {
        ContainersError::NotFound(name) => {
            let text = format!("no container with ID or name \"{name}\" found: no such container");
            CommandError::user(error).peer(Sentence::Other(text)).exit(Exit::NO)
        }
        _ => of_containers(error),
    }
}

/// A container that is still there.
pub(crate) fn of_remove(error: RemoveError) -> CommandError {
    match error {
        RemoveError::Containers(error) => of_removed(error),
        RemoveError::Stop(error) => of_stop(error),
        RemoveError::Running { id, state } => {
            let hint = format!("ctr rm -f {id}");
            let text = RemoveError::Running { id, state };
            let sentence = Sentence::Other(text.to_string());
            CommandError::user(text).peer(sentence).exit(Exit::IN_USE).hint(hint)
        }
        error @ RemoveError::Needed { .. } => {
            let sentence = Sentence::Other(error.to_string());
            CommandError::user(error).peer(sentence).hint("ctr rm --depend CONTAINER")
        }
        other => CommandError::user(other),
    }
}

/// A container that cannot be ended, or sent a signal.
pub(crate) fn of_stop(error: StopError) -> CommandError {
    match error {
        StopError::Containers(error) => of_containers(error),
        other => CommandError::user(other),
    }
}
