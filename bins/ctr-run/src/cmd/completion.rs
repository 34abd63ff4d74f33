//! `ctr completion`: what a shell sources to complete our command lines, and the names that it is told.

mod paths;

use std::fs;

use ctr_cli::Globals;
use ctr_cli::app::Call;
use ctr_cli::complete::{Found, Proposal, Shell};
use ctr_cli::exit::Exit;
use ctr_cli::report::CommandError;
use ctr_cli::usage::{Arity, Flag, Verb};
use ctr_core::file::FileError;
use ctr_pods::containers::Containers;
use ctr_store::Store;

use crate::place::Place;

/// The verb.
pub const VERB: Verb = Verb::new("[options] {bash|zsh|fish}", "Generate shell autocompletions")
    .long(
        "Generates the script that completes command lines in a shell. It asks the program itself, so that names of \
         containers and images are completed too.",
    )
    .examples(&["completion bash", "completion zsh -f _ctr", "completion fish --no-desc"])
    .flags(&[
        Flag::path("file", "Output the completion to file rather than stdout.").short('f'),
        Flag::bool("no-desc", "Don't include descriptions in the completion output."),
    ])
    .arity(Arity::Exactly(1));

/// Prints the script, or writes it to a file.
///
/// # Errors
/// There is no such shell, or the file cannot be written.
pub fn run(call: &Call) -> Result<Exit, CommandError> {
    let texts = call.flags.texts()?;
    let wanted = texts.first().copied().unwrap_or_default();
    let Some((_, shell)) = Shell::ALL.into_iter().find(|(name, _)| *name == wanted) else {
        return Err(CommandError::usage(format!("invalid argument {wanted:?} for {:?}", call.command())));
    };
    let script = shell.script(&call.caller.name, !call.flags.bool("no-desc"));
    match call.flags.path("file") {
        None => call.ui.print(&script)?,
        Some(path) => {
            fs::write(path, script).map_err(|err| CommandError::user(FileError::new("write", path, err)))?;
        }
    }
    Ok(Exit::SUCCESS)
}

/// The names that may stand after a verb of ours. What cannot be found out is not proposed: a shell shows no errors.
#[must_use]
pub fn values(path: &str, before: &[String], last: &str) -> Found {
    match (path, before) {
        ("run" | "container run" | "create" | "container create", [image, ..]) => {
            Found::Parts(paths::of_image(image, last).unwrap_or_default())
        }
        ("cp" | "container cp", [] | [_]) => Found::Parts(paths::to_copy(last).unwrap_or_default()),
        _ => names(path, before).into(),
    }
}

fn names(path: &str, before: &[String]) -> Vec<Proposal> {
    match path {
        "completion" => Shell::ALL.map(|(name, _)| Proposal::new(name, "")).into(),
        "mount" | "container mount" | "unmount" | "container unmount" => containers().unwrap_or_default(),
        "rm" | "container rm" | "init" | "container init" | "commit" | "container commit"
        | "container exists" | "container inspect" => containers().unwrap_or_default(),
        "export" | "container export" | "port" | "container port" if before.is_empty() => {
            containers().unwrap_or_default()
        }
        "container diff" => containers().unwrap_or_default(),
        "inspect" | "diff" => [containers(), images()].into_iter().flatten().flatten().collect(),
        "volume exists" | "volume export" | "volume inspect" | "volume rm" | "volume mount"
        | "volume unmount" => volumes().unwrap_or_default(),
        "volume import" if before.is_empty() => volumes().unwrap_or_default(),
        "run" | "container run" | "create" | "container create" => images().unwrap_or_default(),
        _ => Vec::new(),
    }
}

fn containers() -> Option<Vec<Proposal>> {
    let place = Place::find(&Globals::here()).ok()?;
    let all = Containers::new(&place.dirs).list().ok()?;
    let named =
        all.into_iter().map(|container| Proposal::new(container.record.name, container.record.image_name));
    Some(named.collect())
}

fn images() -> Option<Vec<Proposal>> {
    let place = Place::find(&Globals::here()).ok()?;
    if !place.dirs.data.exists() {
        return None;
    }
    let names = Store::open(&place.layout()).ok()?.names_of_all().ok()?;
    Some(names.good.iter().map(|named| Proposal::new(named.name.familiar(), "image")).collect())
}

fn volumes() -> Option<Vec<Proposal>> {
    let place = Place::find(&Globals::here()).ok()?;
    if !place.dirs.data.exists() {
        return None;
    }
    let all = Store::open(&place.layout()).ok()?.volumes().list().ok()?.good;
    Some(all.into_iter().map(|volume| Proposal::new(volume.record.name, "volume")).collect())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// The committed files are what the verb prints; `UPDATE=1` writes them anew.
    #[test]
    fn the_generated_files_are_fresh() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../completions");
        for (file, shell) in [("ctr.bash", Shell::Bash), ("_ctr", Shell::Zsh), ("ctr.fish", Shell::Fish)] {
            let path = folder.join(file);
            let script = shell.script("ctr", true);
            if std::env::var_os("UPDATE").is_some() {
                fs::create_dir_all(&folder).unwrap();
                fs::write(&path, &script).unwrap();
            }
            let committed = fs::read_to_string(&path).unwrap_or_default();
            assert_eq!(committed, script, "{}: run `make generated`", path.display());
        }
    }

    #[test]
    fn shells_are_words_of_the_verb() {
        let words: Vec<_> = names("completion", &[]).into_iter().map(|proposal| proposal.word).collect();
        assert_eq!(words, ["bash", "zsh", "fish"]);
        assert_eq!(values("version", &[], ""), Found::Names(Vec::new()));
    }
}
