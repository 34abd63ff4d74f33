//! `ctr top`: the processes of a container.

use ctr_cli::app::Call;
use ctr_cli::columns::align;
use ctr_cli::exit::Exit;
use ctr_cli::report::CommandError;
use ctr_cli::usage::{Arity, Flag, Verb};
use ctr_pods::containers::Containers;
use ctr_pods::exec::Way;
use ctr_pods::top;

use super::select;
use crate::error;
use crate::place::Place;

/// The verb.
pub const VERB: Verb = Verb::new(
    "[options] CONTAINER [FORMAT-DESCRIPTORS|ARGS...]",
    "Display the running processes of a container",
)
.long(
    "Display the running processes of a container, as /proc shows them: nothing is executed in it. What is shown can be \
     chosen by names: args, capamb, capbnd, capeff, capinh, capprm, comm, etime, group, groups, hgroup, hgroups, hpid, \
     huid, huser, label, nice, pcpu, pgid, pid, ppid, rgroup, rss, ruser, seccomp, state, stime, time, tty, uid, user, \
     vsz; by ps's letters for them (%C); or by ps's flags -e, -A, -f and -o.",
)
.examples(&["top web", "top web pid seccomp args %C", "top web -eo user,pid,comm"])
.flags(&[
    Flag::bool("latest", "Act on the latest container").short('l'),
    Flag::bool("list-descriptors", "List what can be shown").hidden(),
])
.arity(Arity::Any)
.runs_a_command();

/// Prints the table.
///
/// # Errors
/// The container is not there, or does not run.
pub fn run(call: &Call) -> Result<Exit, CommandError> {
    let flags = &call.flags;
    if flags.bool("list-descriptors") {
        call.ui.line(&top::names().collect::<Vec<_>>().join("\n"))?;
        return Ok(Exit::SUCCESS);
    }
    let words = flags.texts()?;
    let place = Place::find(&call.globals)?;
    let containers = Containers::new(&place.dirs);
    let (container, words) = if flags.bool("latest") {
        (select::latest(&containers)?, &words[..])
    } else {
        let (name, words) = words
            .split_first()
            .ok_or_else(|| CommandError::usage("you must provide the name or id of a running container"))?;
        let found = containers.find(name);
        (found.map_err(error::of_containers)?, words)
    };
    let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    let way = Way { user_run: &place.own.run, user: place.user.as_deref() };
    let rows = top::table(&container, &words, way).map_err(CommandError::user)?;
    let lines: Vec<String> = rows.iter().map(|row| row.join("\t")).collect();
    call.ui.line(&align(&lines.join("\n")))?;
    Ok(Exit::SUCCESS)
}
