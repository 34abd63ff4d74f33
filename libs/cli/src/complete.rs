//! What may stand at the end of a command line, for shells that complete it.
//!
//! # Theory of operation
//! A shell's script runs `ctr __complete WORD… LAST`, where `LAST` is what was typed of the word in question, and shows
//! the lines that come back; cobra's programs have the same hidden verb, and scripts written for those work with us. The
//! words before the last are read by the flags and verbs of the [table](crate::verbs::TABLE); what is a sibling's goes to
//! the sibling. Names of containers and images come from the program ([`Values`]).
//!
//! # Layout
//! One proposal a line, after a tab what it is (not for `__completeNoDesc`); last a line `:N`, where N is 4 if the shell
//! shall not offer files instead, and 2 if the word may go on, so that no blank is to follow.

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use crate::app::Command;
use crate::config;
use crate::dispatch;
use crate::exit::Exit;
use crate::globals;
use crate::log::Level;
use crate::text::Put as _;
use crate::ui::Ui;
use crate::usage::{Flag, Kind};
use crate::verbs::{self, Named, Program};
use crate::voice::{Caller, Voice};

/// The hidden verb.
pub const VERB: &str = "__complete";
/// The same without descriptions.
pub const VERB_NO_DESC: &str = "__completeNoDesc";

/// No blank shall follow.
const NO_SPACE: u8 = 2;
/// The shell shall not offer files.
const NO_FILES: u8 = 4;

/// A word that may stand there, and what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    /// The word.
    pub word: String,
    /// What it is, in a few words.
    pub about: String,
}

impl Proposal {
    /// A word and what it is.
    pub fn new(word: impl Into<String>, about: impl Into<String>) -> Self {
        Self { word: word.into(), about: about.into() }
    }
}

/// What may stand as a plain word after a verb. Nothing at all means files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// Names, each of them once; those that begin with what was typed are offered.
    Names(Vec<Proposal>),
    /// Words that begin with what was typed. One that ends with a slash or a colon goes on.
    Parts(Vec<Proposal>),
}

impl From<Vec<Proposal>> for Found {
    fn from(names: Vec<Proposal>) -> Self {
        Self::Names(names)
    }
}

/// The words that may stand after a verb, told by its path, the words that stand there already, and what was typed of the
/// last one.
pub type Values = fn(path: &str, before: &[String], last: &str) -> Found;

/// What may stand at the end of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Answer {
    /// These.
    Words(Vec<Proposal>),
    /// These, which may go on.
    Parts(Vec<Proposal>),
    /// Files.
    Files,
    /// A sibling knows.
    Sibling(Program),
}

/// Answers, if this process was started for that.
#[must_use]
pub fn main(
    program: Program,
    commands: &'static [Command],
    values: Values,
    argv: &[OsString],
) -> Option<ExitCode> {
    let (name, verb) = (argv.first()?, argv.get(1)?);
    let described = verb == VERB;
    if !described && verb != VERB_NO_DESC {
        return None;
    }
    let voice = Caller::from_argv0(name).voice;
    let words: Vec<String> = argv[2..].iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let answer = answer(program, commands, values, voice, &words);
    if let Answer::Sibling(sibling) = answer {
        // Nobody reads errors while completing: a shell that gets no answer offers files.
        let _not_started = dispatch::become_sibling(sibling, argv);
        return Some(Exit::FAILURE.into());
    }
    let ui = Ui::new(voice, Level::default());
    let directive = match directive(&answer) {
        NO_FILES => "NoFileComp",
        NO_SPACE => "NoSpace",
        _ => "Default",
    };
    let printed = ui.print(&text(answer, described));
    if voice.is_peer() {
        // Cobra's last word, on standard error.
        ui.note(&format!("Completion ended with directive: ShellCompDirective{directive}"));
    }
    Some(if printed.is_ok() { Exit::SUCCESS } else { Exit::FAILURE }.into())
}

/// What the shell is to do with the words.
fn directive(answer: &Answer) -> u8 {
    match answer {
        Answer::Words(_) => NO_FILES,
        Answer::Parts(parts) => match parts.as_slice() {
            [only] if !only.word.ends_with(['/', ':']) => 0,
            _ => NO_SPACE,
        },
        Answer::Files | Answer::Sibling(_) => 0,
    }
}

/// The answer as the shell reads it.
fn text(answer: Answer, described: bool) -> String {
    let mut text = String::new();
    let directive = directive(&answer);
    if let Answer::Words(proposals) | Answer::Parts(proposals) = answer {
        for Proposal { word, about } in proposals {
            match about.as_str() {
                "" => text.put(format_args!("{word}\n")),
                _ if !described => text.put(format_args!("{word}\n")),
                about => text.put(format_args!("{word}\t{}\n", about.lines().next().unwrap_or_default())),
            }
        }
    }
    text.put(format_args!(":{directive}\n"));
    text
}

fn answer(
    program: Program,
    commands: &'static [Command],
    values: Values,
    voice: Voice,
    words: &[String],
) -> Answer {
    let Some((last, before)) = words.split_last() else { return Answer::Files };
    let (tables, _) = globals::tables(voice);
    let global = || tables.into_iter().flatten().filter(|flag| !flag.name().is_empty());
    let line = Line::read(&global().collect::<Vec<_>>(), before, None);
    if let Some(flag) = line.open {
        return of_flag(flag, last);
    }
    let named = verbs::find(voice, line.words.iter().map(String::as_str));
    let (row, depth) = match named {
        Ok(Named::Verb(row, depth)) => (row, depth),
        Ok(Named::Group(group, _)) => return start(last, verbs::entries(voice, group.path), global()),
        Ok(Named::Program) => return start(last, verbs::entries(voice, ""), global()),
        Err(_) => return Answer::Words(Vec::new()),
    };
    match row.program {
        Some(home) if home != program => return Answer::Sibling(home),
        _ => {}
    }
    let Some(command) = commands.iter().find(|command| command.path == row.path) else {
        return Answer::Words(Vec::new());
    };
    // The verb's own flags may stand wherever the words of its path do not.
    let own: Vec<&Flag> = command.verb.all_flags().chain(global()).collect();
    let line = Line::read(&own, before, (!command.verb.is_interspersed()).then_some(depth));
    of_verb(command, values, &line, depth, last)
}

fn of_verb(command: &Command, values: Values, line: &Line<'_>, depth: usize, last: &str) -> Answer {
    if let Some(flag) = line.open {
        return of_flag(flag, last);
    }
    let words = line.words.get(depth..).unwrap_or_default();
    let runs = !command.verb.is_interspersed() && !words.is_empty();
    if last.starts_with('-') && !runs && !line.dashed {
        let flags = command.verb.all_flags().chain(globals::PERSISTENT);
        return flag_names(last, flags);
    }
    let fits = |proposal: &Proposal| proposal.word.starts_with(last) && !words.contains(&proposal.word);
    match values(command.path, words, last) {
        Found::Names(found) | Found::Parts(found) if found.is_empty() => Answer::Files,
        Found::Names(found) => Answer::Words(found.into_iter().filter(fits).collect()),
        Found::Parts(found) => Answer::Parts(found),
    }
}

/// Verbs and groups, or the options before them.
fn start(
    last: &str,
    entries: Vec<(&'static str, &'static str)>,
    flags: impl Iterator<Item = &'static Flag>,
) -> Answer {
    if last.starts_with('-') {
        return flag_names(last, flags);
    }
    let entries = entries.into_iter().filter(|(name, _)| name.starts_with(last));
    Answer::Words(entries.map(|(name, about)| Proposal::new(name, about)).collect())
}

/// The names of flags, or the values of the one that is followed by `=`.
fn flag_names(last: &str, flags: impl Iterator<Item = &'static Flag>) -> Answer {
    let mut flags = flags.filter(|flag| !flag.is_hidden());
    if let Some((name, value)) = last.split_once('=') {
        let found = flags.find(|flag| name.strip_prefix("--") == Some(flag.name()));
        return match found.map(|flag| of_flag(flag, value)) {
            Some(Answer::Words(words)) => Answer::Words(
                words
                    .into_iter()
                    .map(|word| Proposal { word: format!("{name}={}", word.word), ..word })
                    .collect(),
            ),
            Some(other) => other,
            None => Answer::Files,
        };
    }
    let mut found: Vec<Proposal> = flags
        .map(|flag| Proposal::new(format!("--{}", flag.name()), flag.help().replace('`', "")))
        .filter(|proposal| proposal.word.starts_with(last))
        .collect();
    found.sort_by(|one, other| one.word.cmp(&other.word));
    found.dedup_by(|one, other| one.word == other.word);
    Answer::Words(found)
}

/// The values of a flag: known for a choice, files for a path, nothing for the rest.
fn of_flag(flag: &Flag, last: &str) -> Answer {
    match flag.kind() {
        Kind::Choice(words) => {
            let fitting = words.iter().filter(|word| word.starts_with(last));
            Answer::Words(fitting.map(|word| Proposal::new(*word, "")).collect())
        }
        Kind::Bool => {
            let words = ["true", "false"].into_iter().filter(|word| word.starts_with(last));
            Answer::Words(words.map(|word| Proposal::new(word, "")).collect())
        }
        Kind::Array if flag.name() == "module" => {
            let names = config::modules().into_iter().filter(|name| name.starts_with(last));
            Answer::Words(names.map(|name| Proposal::new(name, "")).collect())
        }
        Kind::Strings if flag.name() == "sysctl" => Answer::Words(settings(last)),
        Kind::Path | Kind::String | Kind::Strings | Kind::Array => Answer::Files,
        Kind::Int | Kind::Uint | Kind::Float | Kind::Duration => Answer::Words(Vec::new()),
    }
}

/// Parameters of the kernel that a container can have for itself.
fn settings(last: &str) -> Vec<Proposal> {
    let mut found = Vec::new();
    for place in ["fs/mqueue", "kernel", "net"] {
        add_settings(Path::new("/proc/sys"), place, &mut found);
    }
    let own = |name: &String| {
        let kernel = ["kernel.msg", "kernel.sem", "kernel.shm", "kernel.domainname", "kernel.hostname"];
        !name.starts_with("kernel.") || kernel.iter().any(|start| name.starts_with(start))
    };
    found.retain(|name| name.starts_with(last) && own(name));
    found.sort_unstable();
    found.into_iter().map(|name| Proposal::new(format!("{name}="), "")).collect()
}

/// The files below a folder, with dots for slashes. Deeper than this there are none.
fn add_settings(root: &Path, below: &str, found: &mut Vec<String>) {
    if below.len() > 200 {
        return;
    }
    let Ok(entries) = std::fs::read_dir(root.join(below)) else { return };
    for entry in entries.flatten() {
        let Ok(name) = entry.file_name().into_string() else { continue };
        let path = format!("{below}/{name}");
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => add_settings(root, &path, found),
            // A dot that is one already would be read as another's end.
            Ok(_) if !path.contains('.') => found.push(path.replace('/', ".")),
            _ => {}
        }
    }
}

/// A line that may be unfinished, read leniently: what is wrong in it is told when it runs.
struct Line<'a> {
    /// The plain words.
    words: Vec<String>,
    /// The flag whose value comes next.
    open: Option<&'a Flag>,
    /// There was a `--`.
    dashed: bool,
}

impl<'a> Line<'a> {
    /// Reads all words; the first plain word after so many others may end the flags.
    fn read(flags: &[&'a Flag], words: &[String], ends_after: Option<usize>) -> Self {
        let mut line = Self { words: Vec::new(), open: None, dashed: false };
        for word in words {
            let ended = line.dashed || ends_after.is_some_and(|depth| line.words.len() > depth);
            if line.open.take().is_some() {
                continue;
            }
            if ended || word == "-" || !word.starts_with('-') {
                line.words.push(word.clone());
            } else if word == "--" {
                line.dashed = true;
            } else {
                line.open = wants_value(flags, word);
            }
        }
        line
    }
}

/// The flag of this word, if its value is the next word.
fn wants_value<'a>(flags: &[&'a Flag], word: &str) -> Option<&'a Flag> {
    if let Some(name) = word.strip_prefix("--") {
        let flag = flags.iter().find(|flag| flag.name() == name)?;
        return (flag.kind() != Kind::Bool).then_some(*flag);
    }
    // In a cluster of letters the first that takes a value takes the rest of the word, if there is any.
    let letters: Vec<char> = word.chars().skip(1).collect();
    let taking = |letter: &char| {
        flags.iter().find(|flag| flag.letter() == Some(*letter) && flag.kind() != Kind::Bool).copied()
    };
    let at = letters.iter().position(|letter| taking(letter).is_some())?;
    if at + 1 == letters.len() { taking(&letters[at]) } else { None }
}

/// A shell that we have a script for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shell {
    /// bash.
    Bash,
    /// zsh.
    Zsh,
    /// fish.
    Fish,
}

impl Shell {
    /// All of them by name.
    pub const ALL: [(&'static str, Self); 3] =
        [("bash", Self::Bash), ("zsh", Self::Zsh), ("fish", Self::Fish)];

    /// The script that makes the shell ask `name`, with or without descriptions.
    #[must_use]
    pub fn script(self, name: &str, descriptions: bool) -> String {
        let verb = if descriptions { VERB } else { VERB_NO_DESC };
        let function: String =
            name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' }).collect();
        let script = match self {
            Self::Bash => include_str!("complete/bash"),
            Self::Zsh => include_str!("complete/zsh"),
            Self::Fish => include_str!("complete/fish"),
        };
        script.replace("@NAME@", name).replace("@FUNCTION@", &function).replace("@VERB@", verb)
    }
}

#[cfg(test)]
mod tests;
