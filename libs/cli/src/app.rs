//! The front of every program: from the command line to the verb, and from its result to the exit code.
//!
//! # Theory of operation
//! `argv[0]` gives the voice; options before the verb are read; the words up to the verb are looked up in the
//! [table](crate::verbs::TABLE). A sibling's verb is exec'd at once, with the command line as it came. Our own is read
//! with its own flags only, and called. Nothing of another verb is touched on the way.

use crate::config::{self, Settings};
use crate::dispatch;
use crate::exit::Exit;
use crate::globals::{self, Globals};
use crate::log::Level;
use crate::release;
use crate::report::CommandError;
use crate::ui::Ui;
use crate::usage::{self, Flag, Parsed, Reading, Verb, page};
use crate::verbs::{self, Named, Program, Row, Unrecognized, shown};
use crate::voice::{Caller, Voice};
use std::ffi::{OsStr, OsString};
use std::process::ExitCode;

/// A verb of a program's, and what does it.
#[derive(Debug, Clone, Copy)]
pub struct Command {
    /// Its name, after those of its groups: `container ps`.
    pub path: &'static str,
    /// Its flags and texts.
    pub verb: &'static Verb,
    /// What does it.
    pub run: fn(&Call) -> Result<Exit, CommandError>,
}

/// One call of a verb.
#[derive(Debug)]
pub struct Call {
    /// Who was called.
    pub caller: Caller,
    /// The options before the verb.
    pub globals: Globals,
    /// The name of the verb, after those of its groups.
    pub path: &'static str,
    /// Its flags and words.
    pub flags: Parsed,
    /// Where to speak.
    pub ui: Ui,
}

impl Call {
    /// The verb as the user may type it: `podman container ps`.
    #[must_use]
    pub fn command(&self) -> String {
        shown(&self.caller, self.path)
    }
}

/// Runs a program: reads the command line of this process and does what it says.
#[must_use]
pub fn main(program: Program, commands: &'static [Command]) -> ExitCode {
    let argv: Vec<OsString> = std::env::args_os().collect();
    let caller = Caller::from_argv0(argv.first().map_or(OsStr::new(""), OsString::as_os_str));
    let voice = caller.voice;
    let (ui, result) = match dispatch::check_build(program, std::env::var_os(dispatch::BUILD).as_deref()) {
        Ok(()) => start(program, commands, caller, &argv),
        Err(error) => (Ui::new(voice, Level::default()), Err(error.into())),
    };
    let exit = match result {
        Ok(exit) => exit,
        Err(error) => {
            ui.report(&error);
            of_voice(voice, error.code())
        }
    };
    ui.debug("Shutting down engines");
    exit.into()
}

/// Skopeo ends with 1 where podman ends with 125.
fn of_voice(voice: Voice, exit: Exit) -> Exit {
    if voice == Voice::Skopeo && exit == Exit::FAILURE { Exit::NO } else { exit }
}

/// What a command line asks for.
enum Asked {
    /// A verb of ours.
    Call(&'static Command, Box<Call>),
    /// A verb of a sibling's.
    Sibling(Program),
    /// A page to print, and perhaps an error after it.
    Page(String, Option<CommandError>),
}

fn start(
    program: Program,
    commands: &'static [Command],
    caller: Caller,
    argv: &[OsString],
) -> (Ui, Result<Exit, CommandError>) {
    let voice = caller.voice;
    let mut ui = Ui::new(voice, Level::default());
    let (globals, asked) = match read(program, commands, caller, argv.get(1..).unwrap_or(&[])) {
        Ok(read) => read,
        Err(error) => return (ui, Err(error)),
    };
    if let Asked::Sibling(sibling) = asked {
        return (ui, Err(dispatch::become_sibling(sibling, argv).into()));
    }
    ui = Ui::new(voice, globals.level);
    if let Err(error) = globals.out.as_deref().map_or(Ok(()), redirect) {
        return (ui, Err(error));
    }
    let result = match asked {
        Asked::Call(command, mut call) => {
            call.ui = ui;
            announce(&ui, argv, command);
            call.globals.config.say(&ui, command.path);
            (command.run)(&call)
        }
        Asked::Page(page, error) => {
            let printed = ui.print(&page).map_err(CommandError::from);
            printed.and_then(|()| error.map_or(Ok(Exit::SUCCESS), Err))
        }
        Asked::Sibling(_) => Ok(Exit::SUCCESS),
    };
    (ui, result)
}

/// What podman logs before it does anything.
fn announce(ui: &Ui, argv: &[OsString], command: &Command) {
    if !ui.level().passes(Level::Info) {
        return;
    }
    let line: Vec<_> = argv.iter().map(|word| word.to_string_lossy()).collect();
    let name = line.first().map_or("", |name| name.as_ref());
    ui.log(Level::Info, &format!("{name} filtering at log level {}", ui.level().name()));
    ui.debug(&format!("Called {}.PersistentPreRunE({})", command.path, line.join(" ")));
    ui.log(Level::Trace, &format!("Build {}", release::id()));
}

/// Sends standard output to a file, for us and all that we start.
fn redirect(path: &std::path::Path) -> Result<(), CommandError> {
    let open = || -> std::io::Result<()> {
        let file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).open(path)?;
        Ok(rustix::stdio::dup2_stdout(&file)?)
    };
    open().map_err(|source| {
        let cause = crate::report::chain(&source);
        CommandError::user(format!(
            "unable to open file for standard output: open {}: {cause}",
            path.display()
        ))
        .exit(Exit::NO)
        .bare()
    })
}

/// Reads a command line, without doing anything.
fn read(
    program: Program,
    commands: &'static [Command],
    caller: Caller,
    args: &[OsString],
) -> Result<(Globals, Asked), CommandError> {
    let (tables, refused) = globals::tables(caller.voice);
    let (before, rest) =
        usage::leading(tables, refused, args).map_err(|error| usage::wrong_flag(&error, &caller.name))?;
    let globals = Globals::of(&before)?;
    let ui = Ui::new(caller.voice, globals.level);
    // Podman reads its configuration before it looks at the verb; that matters where a module is missing.
    if !globals.modules.is_empty() {
        let _understood = Settings::read(&globals.modules).map_err(|error| config::error(error, &ui))?;
    }
    let help = rest.first().is_some_and(|word| word == "help");
    let (words, helped) = if help { (&rest[1..], true) } else { (rest, globals.help) };
    let leading = words.iter().map_while(|word| word.to_str()).take_while(|word| !word.starts_with('-'));
    if help && words.first().is_some_and(|word| word == "help" || word == "--help" || word == "-h") {
        return Ok((globals, Asked::Page(page::of_help(&caller.name), None)));
    }
    let named = match verbs::find(caller.voice, leading) {
        Ok(named) => named,
        Err(error) => {
            wrong_flags(&caller, error.group, rest)?;
            return Err(unrecognized(&caller, &error));
        }
    };
    let (row, depth) = match named {
        Named::Verb(row, depth) => (row, depth),
        Named::Group(group, depth) => {
            if !verbs::is_built(group) {
                return Err(unbuilt(&caller, group.path));
            }
            let asked = of_group(&caller, group, &words[depth..], helped)?;
            return Ok((globals, asked));
        }
        Named::Program => {
            let asked = of_program(&caller, &globals, helped);
            return Ok((globals, asked));
        }
    };
    let row =
        if caller.voice == Voice::Ctr { verbs::by_transport(row, program, &words[depth..]) } else { row };
    let Some(home) = row.program else {
        if let Some(grammar) = row.grammar {
            let _understood = grammar.parse(&shown(&caller, row.path), &words[depth..])?;
        }
        return Err(unbuilt(&caller, row.path));
    };
    if home != program {
        return Ok((globals, Asked::Sibling(home)));
    }
    let command = own(commands, row)?;
    of_verb(caller, before, globals, command, &words[depth..], helped)
}

fn own(commands: &'static [Command], row: &Row) -> Result<&'static Command, CommandError> {
    let found = commands.iter().find(|command| command.path == row.path);
    found.ok_or_else(|| CommandError::internal(format!("the verb `{}` is in the table only", row.path)))
}

fn of_verb(
    caller: Caller,
    mut given: Vec<(&'static str, OsString)>,
    globals: Globals,
    command: &'static Command,
    args: &[OsString],
    helped: bool,
) -> Result<(Globals, Asked), CommandError> {
    let name = shown(&caller, command.path);
    let help = |globals| {
        let page = page::of_verb(&caller.name, command.path, command.verb);
        Ok((globals, Asked::Page(page, None)))
    };
    if helped {
        return help(globals);
    }
    let persistent = if caller.voice == Voice::Skopeo { &[][..] } else { globals::PERSISTENT };
    let flags = match command.verb.parse_with(&name, args, persistent)? {
        Reading::Help => return help(globals),
        Reading::Do(flags) => flags,
    };
    given.extend(flags.outside().map(|(name, value)| (name, value.to_owned())));
    let mut globals = Globals::of(&given)?;
    globals.must_be_local()?;
    let ui = Ui::new(caller.voice, globals.level);
    let settings = Settings::read(&globals.modules).map_err(|error| config::error(error, &ui))?;
    settings.complete(&mut globals);
    let call = Call { caller, globals: globals.clone(), path: command.path, flags, ui };
    Ok((globals, Asked::Call(command, Box::new(call))))
}

/// A group alone prints its page and is an error; asked for help, it is none.
fn of_group(
    caller: &Caller,
    group: &verbs::Group,
    rest: &[OsString],
    helped: bool,
) -> Result<Asked, CommandError> {
    let name = shown(caller, group.path);
    let (tables, refused) = globals::tables(caller.voice);
    let (found, _) = usage::leading([tables[0], globals::HELP, &[]], refused, rest)
        .map_err(|error| usage::wrong_flag(&error, &name))?;
    let helped = helped || found.iter().any(|(name, _)| *name == "help");
    let page =
        page::of_group(&caller.name, group.path, group.short, &verbs::entries(caller.voice, group.path));
    Ok(Asked::Page(page, (!helped).then(|| missing(&name))))
}

fn of_program(caller: &Caller, globals: &Globals, helped: bool) -> Asked {
    if globals.version {
        return Asked::Page(format!("{} version {}\n", caller.name, release::shown(caller.voice)), None);
    }
    let (tables, _) = globals::tables(caller.voice);
    // Where a remote service is chosen already, podman has no option to choose one.
    let chosen =
        ["CONTAINER_HOST", "CONTAINER_CONNECTION"].iter().any(|name| std::env::var_os(name).is_some());
    let chosen = chosen || matches!(globals.remote, Some("--url" | "--connection"));
    let shown = |flag: &&Flag| {
        let remote = globals::REMOTE.contains(&flag.name());
        let hidden = remote && caller.voice != Voice::Podman || chosen && flag.name() == "remote";
        !hidden
    };
    let flags = tables.into_iter().flatten().filter(shown);
    let mut entries = verbs::entries(caller.voice, "");
    entries.push(("help", "Help about any command"));
    entries.sort_unstable();
    let page = page::of_program(&caller.name, about(caller.voice), &entries, flags);
    Asked::Page(page, (!helped).then(|| missing(&caller.name)))
}

const fn about(voice: Voice) -> &'static str {
    match voice {
        Voice::Ctr | Voice::Docker | Voice::Podman => "Manage pods, containers and images",
        Voice::Buildah => "A tool that facilitates building OCI images",
        Voice::Skopeo => "Various operations with container images and container image registries",
    }
}

fn missing(name: &str) -> CommandError {
    CommandError::usage(format!("missing command '{name} COMMAND'"))
}

fn unbuilt(caller: &Caller, path: &str) -> CommandError {
    CommandError::not_supported(&format!("`{}`", shown(caller, path)))
}

/// Of a word and a flag that are both unknown, podman tells of the flag.
fn wrong_flags(caller: &Caller, group: &str, words: &[OsString]) -> Result<(), CommandError> {
    let is_flag = |word: &OsString| word.as_encoded_bytes().starts_with(b"-");
    let Some(first) = words.iter().position(is_flag) else { return Ok(()) };
    let (tables, refused) = globals::tables(caller.voice);
    let found = usage::leading(tables, refused, &words[first..]);
    found.map(drop).map_err(|error| usage::wrong_flag(&error, &shown(caller, group)))
}

fn unrecognized(caller: &Caller, error: &Unrecognized) -> CommandError {
    let name = shown(caller, error.group);
    let word = &error.word;
    let meant = if error.meant.is_empty() {
        String::new()
    } else {
        format!("\nDid you mean this?\n\t{}\n\n", error.meant.join("\n\t"))
    };
    CommandError::usage(format!(
        "unrecognized command `{name} {word}`\n{meant}Try '{name} --help' for more information"
    ))
}

#[cfg(test)]
mod tests;
