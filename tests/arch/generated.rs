//! What is generated from the commands, committed, and must be fresh: man pages and completions.
//!
//! `UPDATE=1 cargo test -p ctr-tests --test arch generated` (or `make generated`) writes them.

use std::collections::BTreeMap;
use std::path::Path;

use ctr_cli::complete::Shell;
use ctr_cli::man;

use crate::source::root;

/// Writes the files where `UPDATE` is set; else a file that differs, is missing or is too many is an error.
pub(crate) fn fresh(folder: &Path, wanted: &BTreeMap<String, String>) {
    let mut stale = Vec::new();
    let here = |name: &str| std::fs::read_to_string(folder.join(name)).ok();
    if std::env::var_os("UPDATE").is_some() {
        std::fs::create_dir_all(folder).expect("the folder");
        for (name, text) in wanted {
            std::fs::write(folder.join(name), text).expect("a file");
        }
    }
    stale.extend(
        wanted.iter().filter(|(name, text)| here(name).as_ref() != Some(text)).map(|(name, _)| name.clone()),
    );
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let name = entry.expect("an entry").file_name().into_string().expect("UTF-8");
        if !wanted.contains_key(&name) {
            stale.push(format!("{name}, which nothing makes"));
        }
    }
    assert!(stale.is_empty(), "{}: run `make generated`: {stale:?}", folder.display());
}

#[test]
fn man_pages_are_those_of_the_commands() {
    let mut pages = BTreeMap::from([(man::file("ctr", ""), man::of_program("ctr"))]);
    pages.extend(man::of_groups("ctr"));
    for command in ctr_run::COMMANDS.iter().chain(ctr_copy::COMMANDS) {
        // Of a verb that both programs have, the second one's page has the name of its program.
        let is_taken = pages.contains_key(&man::file("ctr", command.path));
        let program = if is_taken { "ctr-copy" } else { "ctr" };
        pages.insert(man::file(program, command.path), man::of_verb(program, command.path, command.verb));
    }
    fresh(&root().join("man"), &pages);
}

#[test]
fn completions_are_those_of_the_shells() {
    let scripts = [("ctr.bash", Shell::Bash), ("_ctr", Shell::Zsh), ("ctr.fish", Shell::Fish)];
    let scripts = scripts.map(|(name, shell)| (name.to_owned(), shell.script("ctr", true)));
    fresh(&root().join("completions"), &scripts.into());
}
