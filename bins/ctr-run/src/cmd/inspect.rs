//! `ctr container inspect`: all that is known of containers; and `ctr inspect`, of whatever has the name.

mod tree;

use ctr_cli::app::Call;
use ctr_cli::exit::Exit;
use ctr_cli::json;
use ctr_cli::peers::Sentence;
use ctr_cli::report::CommandError;
use ctr_cli::template::{Template, Value, asks_for_json};
use ctr_cli::usage::{Arity, Flag, Verb};
use ctr_pods::containers::{Container, Containers, ContainersError};

use super::select;
use crate::error;
use crate::place::Place;

/// The verb.
pub const VERB: Verb =
    Verb::new("[options] CONTAINER [CONTAINER...]", "Display the configuration of a container")
        .long("Displays the low-level information on a container identified by name or ID.")
        .examples(&["container inspect web", "container inspect --format '{{.State.Pid}}' web"])
        .flags(&[
            Flag::string("format", "Format the output to a Go template or json").short('f').default("json"),
            Flag::bool("latest", "Act on the latest container").short('l'),
            Flag::bool("size", "Display total file size").short('s'),
        ])
        .arity(Arity::Any);

/// Prints what is known.
///
/// # Errors
/// A container is not there, or the template asks for what none has.
pub fn run(call: &Call) -> Result<Exit, CommandError> {
    let flags = &call.flags;
    let names = flags.texts()?;
    if names.is_empty() != flags.bool("latest") {
        return Err(CommandError::usage("provide the name or ID of a container, or --latest alone"));
    }
    let place = Place::find(&call.globals)?;
    let containers = Containers::new(&place.dirs);
    let mut found = Vec::new();
    let mut missing = Vec::new();
    if flags.bool("latest") {
        found.extend(containers.list().map_err(error::of_containers)?.pop());
    }
    for name in names {
        match containers.find(name) {
            Ok(container) => found.push(container),
            Err(error @ ContainersError::NotFound(_)) => missing
                .push(CommandError::user(error).peer(Sentence::Other(format!("no such container {name}")))),
            Err(error) => missing.push(error::of_containers(error)),
        }
    }
    let trees = trees(call, &place, found)?;
    print(call, &trees)?;
    CommandError::several(missing).map_or(Ok(Exit::SUCCESS), Err)
}

fn trees(call: &Call, place: &Place, found: Vec<Container>) -> Result<Vec<Value>, CommandError> {
    let running = select::running(found)?;
    let tree = |(container, running): (Container, bool)| tree::of(&container, running, place).into();
    if call.flags.bool("size") && !running.is_empty() {
        return Err(CommandError::not_supported("--size"));
    }
    Ok(running.into_iter().map(tree).collect())
}

fn print(call: &Call, trees: &[Value]) -> Result<(), CommandError> {
    let format = call.flags.string("format");
    if asks_for_json(format) {
        return Ok(call
            .ui
            .line(&json::document(&trees.iter().map(Value::to_json).collect(), json::Style::INSPECT))?);
    }
    let template = Template::parse("inspect", &renamed(format)).map_err(CommandError::user)?;
    for tree in trees {
        call.ui.line(&template.render(tree).map_err(CommandError::user)?)?;
    }
    Ok(())
}

/// Docker's names of fields that Podman calls otherwise.
fn renamed(format: &str) -> String {
    let words = [(".Id", ".ID"), (".Src", ".Source"), (".Dst", ".Destination"), (".ImageID", ".Image")];
    let mut text = format.to_owned();
    for (theirs, ours) in words {
        text = replace_word(&text, theirs, ours);
    }
    text.replace("\\n", "\n").replace("\\t", "\t")
}

/// Replaces a name where it is not the beginning of a longer one.
fn replace_word(text: &str, word: &str, by: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(word) {
        let after = &rest[at + word.len()..];
        let longer = after.starts_with(|c: char| c.is_alphanumeric() || c == '_');
        out.push_str(&rest[..at]);
        out.push_str(if longer { word } else { by });
        rest = after;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_dockers_are_understood() {
        assert_eq!(
            renamed("{{.Id}} {{.IdX}} {{.ImageID}} {{.ImageName}}"),
            "{{.ID}} {{.IdX}} {{.Image}} {{.ImageName}}"
        );
        assert_eq!(
            renamed("{{range .Mounts}}{{.Dst}}\\n{{end}}"),
            "{{range .Mounts}}{{.Destination}}\n{{end}}"
        );
    }
}
