//! Every verb by name: which program has it, and in whose vocabulary it exists.
//!
//! One table for all programs: the first one that is started finds in it whether the verb is its own or a sibling's,
//! prints the lists of commands from it, and refuses by name what podman has and we do not have yet.
//! [`mismatches`] holds it against a program's own commands, in a test of each.

mod table;

use std::ffi::OsString;

use crate::app::Command;
use crate::usage::Verb;
use crate::voice::{Caller, Voice, Voices};
pub use table::{GROUPS, TABLE};

/// A program of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// `ctr-run`: containers, pods, volumes, networks, and the machine.
    Run,
    /// `ctr-copy`: images and their transports.
    Copy,
}

impl Program {
    /// The name of its file.
    #[must_use]
    pub const fn file(self) -> &'static str {
        match self {
            Self::Run => "ctr-run",
            Self::Copy => "ctr-copy",
        }
    }
}

/// A verb in the table.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// Its name, after those of its groups.
    pub path: &'static str,
    /// Other names of the last word.
    pub aliases: &'static [&'static str],
    /// Who has it; nobody, if it is known but not built.
    pub program: Option<Program>,
    /// What it does, in one line.
    pub short: &'static str,
    /// In whose vocabulary it exists.
    pub voices: Voices,
    /// What is wrong with its command line is told before it is refused.
    pub(crate) grammar: Option<&'static Verb>,
}

impl Row {
    pub(crate) const fn of(program: Program, path: &'static str, short: &'static str) -> Self {
        Self { path, aliases: &[], program: Some(program), short, voices: Voices::ENGINE, grammar: None }
    }

    pub(crate) const fn unbuilt(path: &'static str) -> Self {
        Self { path, aliases: &[], program: None, short: "", voices: Voices::ENGINE, grammar: None }
    }

    pub(crate) const fn also(mut self, aliases: &'static [&'static str]) -> Self {
        self.aliases = aliases;
        self
    }

    pub(crate) const fn voices(mut self, voices: Voices) -> Self {
        self.voices = voices;
        self
    }

    pub(crate) const fn understood(mut self, grammar: &'static Verb) -> Self {
        self.grammar = Some(grammar);
        self
    }

    /// The path without its last word.
    fn group(&self) -> &'static str {
        self.path.rsplit_once(' ').map_or("", |(group, _)| group)
    }

    /// The last word of the path.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.path.rsplit_once(' ').map_or(self.path, |(_, name)| name)
    }

    fn is_called(&self, name: &str) -> bool {
        self.name() == name || self.aliases.contains(&name)
    }
}

/// A group of verbs.
#[derive(Debug, Clone, Copy)]
pub struct Group {
    /// Its name, after those of its groups.
    pub path: &'static str,
    /// What its verbs are about, in one line.
    pub short: &'static str,
}

/// What the words before the first flag name.
#[derive(Debug, Clone, Copy)]
pub enum Named {
    /// A verb, and how many words its path took.
    Verb(&'static Row, usize),
    /// A group, and how many words its path took.
    Group(&'static Group, usize),
    /// Nothing: there was no word.
    Program,
}

/// No verb has that name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unrecognized {
    /// The group in which it was looked for, empty for none.
    pub group: &'static str,
    /// The word.
    pub word: String,
    /// Names that may have been meant.
    pub meant: Vec<&'static str>,
}

/// Finds the verb that a command line names.
///
/// # Errors
/// There is none of that name in the voice.
pub fn find<'a>(voice: Voice, words: impl IntoIterator<Item = &'a str>) -> Result<Named, Unrecognized> {
    let mut group: Option<&'static Group> = None;
    let mut depth = 0;
    for word in words {
        let path = group.map_or("", |group| group.path);
        let here = |row: &&Row| row.voices.has(voice) && row.group() == path && row.is_called(word);
        if let Some(row) = TABLE.iter().find(here) {
            return Ok(Named::Verb(row, depth + 1));
        }
        let full = if path.is_empty() { word.to_owned() } else { format!("{path} {word}") };
        let Some(inner) = groups(voice).find(|group| group.path == full) else {
            return Err(Unrecognized { group: path, word: word.to_owned(), meant: meant(voice, path, word) });
        };
        group = Some(inner);
        depth += 1;
    }
    Ok(group.map_or(Named::Program, |group| Named::Group(group, depth)))
}

/// `inspect` of an image by its transport is another verb than that of what is here. `docker://…` says so by itself; the other
/// transports may be names too (`oci:latest`), and so are meant only where the program that has them is called.
pub(crate) fn by_transport(row: &'static Row, program: Program, words: &[OsString]) -> &'static Row {
    const OTHERS: &[&str] =
        &["containers-storage:", "dir:", "docker-archive:", "oci:", "oci-archive:", "store:", "tarball:"];
    let is_place = |word: &OsString| {
        let begins = |start: &str| word.as_encoded_bytes().starts_with(start.as_bytes());
        begins("docker://") || program == Program::Copy && OTHERS.iter().any(|start| begins(start))
    };
    let is_here = row.path == "inspect" && row.voices.has(Voice::Ctr);
    let remote = |other: &&Row| other.path == row.path && other.program == Some(Program::Copy);
    match TABLE.iter().find(remote) {
        Some(other) if is_here && words.iter().any(is_place) => other,
        _ => row,
    }
}

/// The groups of a voice: those with a verb in it that the voice has.
fn groups(voice: Voice) -> impl Iterator<Item = &'static Group> {
    GROUPS
        .iter()
        .filter(move |group| TABLE.iter().any(|row| row.voices.has(voice) && is_inside(row.path, group.path)))
}

/// Whether a path is below that of a group.
fn is_inside(path: &str, group: &str) -> bool {
    path.strip_prefix(group).is_some_and(|rest| rest.starts_with(' '))
}

fn meant(voice: Voice, group: &str, word: &str) -> Vec<&'static str> {
    // The group's own list is searched only from the top, as podman does.
    crate::usage::suggestions(word, entries(voice, group).into_iter().map(|(name, _)| name))
}

/// The commands of a group that work, with what they do: verbs and groups, sorted by name.
#[must_use]
pub fn entries(voice: Voice, group: &str) -> Vec<(&'static str, &'static str)> {
    let verbs = TABLE
        .iter()
        .filter(|row| row.program.is_some() && row.voices.has(voice) && row.group() == group)
        // Podman has it, and does not say so.
        .filter(|row| row.path != "completion" || voice == Voice::Ctr)
        .map(|row| (row.name(), row.short));
    let groups = groups(voice).filter(|inner| parent(inner.path) == group && is_built(inner)).map(|inner| {
        let name = inner.path.rsplit_once(' ').map_or(inner.path, |(_, name)| name);
        (name, inner.short)
    });
    let mut all: Vec<_> = verbs.chain(groups).collect();
    all.sort_unstable();
    all
}

fn parent(path: &str) -> &str {
    path.rsplit_once(' ').map_or("", |(parent, _)| parent)
}

/// Whether a verb of the group works, or one of a group in it.
pub(crate) fn is_built(group: &Group) -> bool {
    TABLE.iter().any(|row| row.program.is_some() && is_inside(row.path, group.path))
}

/// What is wrong between the table and the commands of a program: nothing, asserts a test of each.
#[must_use]
pub fn mismatches(program: Program, commands: &[Command]) -> Vec<String> {
    let mut wrong = Vec::new();
    for row in TABLE.iter().filter(|row| row.program == Some(program)) {
        match commands.iter().find(|command| command.path == row.path) {
            None => wrong.push(format!("`{}` has no command", row.path)),
            Some(command) if command.verb.short() != row.short => {
                wrong.push(format!(
                    "`{}` is described as {:?} and {:?}",
                    row.path,
                    row.short,
                    command.verb.short()
                ));
            }
            Some(_) => {}
        }
    }
    for command in commands {
        let listed = |row: &&Row| row.path == command.path && row.program == Some(program);
        if !TABLE.iter().any(|row| listed(&row)) {
            wrong.push(format!("`{}` is not in the table", command.path));
        }
        let same = commands.iter().filter(|other| other.path == command.path).count();
        if same > 1 {
            wrong.push(format!("`{}` has {same} commands", command.path));
        }
    }
    wrong
}

/// A path as an error and a usage line show it.
#[must_use]
pub fn shown(caller: &Caller, path: &str) -> String {
    if path.is_empty() { caller.name.clone() } else { format!("{} {path}", caller.name) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(voice: Voice, line: &str) -> String {
        match find(voice, line.split(' ').filter(|word| !word.is_empty())) {
            Ok(Named::Verb(row, depth)) => format!("{} {depth}", row.path),
            Ok(Named::Group(group, depth)) => format!("group {} {depth}", group.path),
            Ok(Named::Program) => "program".to_owned(),
            Err(error) => format!("no {:?} in {:?}: {}", error.word, error.group, error.meant.join(",")),
        }
    }

    #[test]
    fn words_lead_to_verbs() {
        for (line, expected) in [
            ("", "program"),
            ("run", "run 1"),
            ("run image", "run 1"),
            ("container", "group container 1"),
            ("container ls x", "container list 2"),
            ("system connection ls", "system connection list 3"),
            ("image rm", "image rm 2"),
            ("imagse", "no \"imagse\" in \"\": image,images"),
            ("container nonsense", "no \"nonsense\" in \"container\": "),
            ("copy a b", "copy 1"),
        ] {
            assert_eq!(found(Voice::Ctr, line), expected, "{line}");
        }
        assert_eq!(found(Voice::Skopeo, "copy"), "copy 1");
        assert!(found(Voice::Podman, "copy").starts_with("no \"copy\""));
        assert!(found(Voice::Skopeo, "run").starts_with("no \"run\""));
        assert!(found(Voice::Skopeo, "image").starts_with("no \"image\""));
    }

    #[test]
    fn an_image_by_its_transport_is_inspected_by_who_knows_it() {
        let program = |program, words: &str| {
            let Ok(Named::Verb(row, _)) = find(Voice::Ctr, ["inspect"]) else { panic!("a verb") };
            let words: Vec<OsString> = words.split(' ').map(OsString::from).collect();
            by_transport(row, program, &words).program
        };
        assert_eq!(program(Program::Run, "--raw docker://quay.io/a"), Some(Program::Copy));
        assert_eq!(program(Program::Run, "oci:latest"), Some(Program::Run));
        assert_eq!(program(Program::Copy, "oci:layout"), Some(Program::Copy));
        assert_eq!(program(Program::Copy, "web"), Some(Program::Run));
    }

    #[test]
    fn the_table_is_well_formed() {
        for (index, row) in TABLE.iter().enumerate() {
            assert!(row.program.is_none() || !row.short.is_empty(), "{} has no description", row.path);
            let group = row.group();
            assert!(
                group.is_empty() || GROUPS.iter().any(|known| known.path == group),
                "{} has no group",
                row.path
            );
            for other in &TABLE[..index] {
                let clash = other.group() == group
                    && (other.is_called(row.name())
                        || row.aliases.iter().any(|alias| other.is_called(alias)));
                let apart = !(0..5).any(|bit| {
                    let voice =
                        [Voice::Ctr, Voice::Docker, Voice::Podman, Voice::Buildah, Voice::Skopeo][bit];
                    row.voices.has(voice) && other.voices.has(voice)
                });
                assert!(!clash || apart, "{} and {} clash", other.path, row.path);
            }
        }
    }

    #[test]
    fn only_what_works_is_listed() {
        let names: Vec<_> = entries(Voice::Podman, "").into_iter().map(|(name, _)| name).collect();
        assert!(names.contains(&"run") && names.contains(&"image") && !names.contains(&"build"));
        assert!(!names.contains(&"kube") && !names.contains(&"copy"));
        assert!(names.is_sorted());
        assert!(entries(Voice::Podman, "system").iter().any(|(name, _)| *name == "connection"));
    }

    #[test]
    fn a_program_that_lacks_a_command_is_found_out() {
        let wrong = mismatches(Program::Copy, &[]);
        assert!(wrong.contains(&"`images` has no command".to_owned()));
    }
}
