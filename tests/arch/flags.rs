//! Every flag of every verb has a test that uses it: `tests/table/flags.tsv` says which.
//!
//! What a test really ran is the proof. Where `CTR_TEST_INVOCATIONS` names a file, the harness of the end-to-end tests writes
//! there what it starts and how that ended; the last step of `make test` reads those command lines with the verbs' own
//! tables. `make flags` writes the table anew from them.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use ctr_cli::app::Command;
use ctr_cli::usage::{Flag, Reading};
use ctr_cli::verbs::{self, Named, Program};
use ctr_cli::voice::Caller;
use proc_macro2::{TokenStream, TokenTree};

use crate::source::{root, rust_files, tokens};

/// Options before the verb that take the next word as their value.
const VALUED: [&str; 14] = [
    "--connection",
    "--default-mounts-file",
    "--imagestore",
    "--log-level",
    "--module",
    "--out",
    "--root",
    "--runroot",
    "--storage-driver",
    "--storage-opt",
    "--tmpdir",
    "--url",
    "--volumepath",
    "-c",
];

/// What ends a command that was refused.
const REFUSED: i64 = 125;

/// Verbs that have to refuse: those over sets that are empty so far, and, where the user has no control group, what freezes.
const REFUSING: [&str; 7] = [
    "container pause",
    "container unpause",
    "network inspect",
    "pause",
    "pod inspect",
    "secret inspect",
    "unpause",
];

/// A verb and one of its flags.
type Use = (String, String);

fn commands() -> impl Iterator<Item = &'static Command> {
    ctr_run::COMMANDS.iter().chain(ctr_copy::COMMANDS)
}

/// The verb as the table calls it: one that both programs have (`inspect`) with the name of the other program.
fn called(command: &'static Command) -> String {
    let is_run = ctr_run::COMMANDS.iter().any(|other| std::ptr::eq(other, command));
    let both = !is_run && ctr_run::COMMANDS.iter().any(|other| other.path == command.path);
    if both { format!("ctr-copy {}", command.path) } else { command.path.to_owned() }
}

fn flags(command: &'static Command) -> impl Iterator<Item = &'static Flag> {
    command.verb.all_flags().filter(|flag| flag.name() != "help" && !flag.name().is_empty())
}

fn path() -> PathBuf {
    root().join("tests/table/flags.tsv")
}

/// The table: which test uses a flag of a verb.
fn table() -> BTreeMap<Use, String> {
    let text = std::fs::read_to_string(path()).expect("the table");
    let row = |line: &str| {
        let cells: Vec<_> = line.split('\t').collect();
        let [verb, flag, test] = cells[..] else { panic!("not a row: {line:?}") };
        ((verb.to_owned(), flag.trim_start_matches('-').to_owned()), test.to_owned())
    };
    text.lines().skip(1).map(row).collect()
}

/// The functions with `#[test]` of a file's tokens.
fn tests_in(tokens: TokenStream, into: &mut BTreeSet<String>) {
    let tokens: Vec<_> = tokens.into_iter().collect();
    let mut marked = false;
    for (at, token) in tokens.iter().enumerate() {
        match (token, tokens.get(at + 1)) {
            (TokenTree::Group(group), _) if group.stream().to_string() == "test" => marked = true,
            (TokenTree::Ident(word), Some(TokenTree::Ident(name)))
                if word == "fn" && std::mem::take(&mut marked) =>
            {
                into.insert(name.to_string());
            }
            _ => {}
        }
    }
}

/// Every end-to-end test as the table names it: `run/first.rs::hello_runs`.
fn tests() -> BTreeSet<String> {
    let tests = root().join("tests");
    let mut all = BTreeSet::new();
    for folder in ["run", "copy", "hostile", "crash"].map(|name| tests.join(name)) {
        for file in if folder.exists() { rust_files(&folder) } else { Vec::new() } {
            let mut found = BTreeSet::new();
            tests_in(tokens(&file), &mut found);
            let file = file.strip_prefix(&tests).expect("below tests").display().to_string();
            all.extend(found.into_iter().map(|name| format!("{file}::{name}")));
        }
    }
    all
}

#[test]
fn every_flag_has_a_row_and_every_row_a_test() {
    let (table, tests) = (table(), tests());
    assert!(tests.len() > 80, "the walk found only {tests:?}");
    let wanted: BTreeSet<Use> = commands()
        .flat_map(|command| flags(command).map(move |flag| (called(command), flag.name().to_owned())))
        .collect();
    let listed: BTreeSet<Use> = table.keys().cloned().collect();
    let missing: Vec<_> = wanted.difference(&listed).collect();
    assert!(missing.is_empty(), "write a test and run `make flags`: flags without a row: {missing:#?}");
    let gone: Vec<_> = listed.difference(&wanted).collect();
    assert!(gone.is_empty(), "run `make flags`: rows of no flag: {gone:#?}");
    let lost: Vec<_> = table.iter().filter(|(_, test)| !tests.contains(*test)).collect();
    assert!(lost.is_empty(), "run `make flags`: there are no such tests: {lost:#?}");
}

#[test]
fn the_tables_of_verbs_agree_with_the_programs() {
    assert_eq!(verbs::mismatches(Program::Run, ctr_run::COMMANDS), Vec::<String>::new());
    assert_eq!(verbs::mismatches(Program::Copy, ctr_copy::COMMANDS), Vec::<String>::new());
    let built: Vec<_> = verbs::TABLE.iter().filter(|row| row.program.is_some()).collect();
    assert_eq!(built.len(), commands().count(), "each verb has one command");
    for row in built {
        let page = root().join("man").join(format!("ctr-{}.1", row.path.replace(' ', "-")));
        assert!(page.exists(), "no {}", page.display());
    }
}

/// What one test ran: the verb and the flags that the verb's own table reads in the command line.
fn uses(line: &str) -> Option<(String, &'static Command, Vec<&'static str>)> {
    let record: serde_json::Value = serde_json::from_str(line).expect("a line of JSON");
    let words = record["argv"].as_array().expect("words").iter();
    let words: Vec<&str> = words.map(|word| word.as_str().expect("a word")).collect();
    let (name, mut words) = words.split_first()?;
    while let Some((first, rest)) = words.split_first().filter(|(first, _)| first.starts_with('-')) {
        words = if VALUED.contains(first) { rest.get(1..)? } else { rest };
    }
    // A session of one command is that command.
    let words = words.strip_prefix(["unshare", "ctr"].as_slice()).unwrap_or(words);
    let caller = Caller::from_argv0(OsStr::new(name));
    let leading = words.iter().copied().take_while(|word| !word.starts_with('-'));
    let Ok(Named::Verb(row, depth)) = verbs::find(caller.voice, leading) else { return None };
    if record["code"] == REFUSED && !REFUSING.contains(&row.path) {
        return None;
    }
    let of_program = if row.program == Some(Program::Copy) { ctr_copy::COMMANDS } else { ctr_run::COMMANDS };
    let command = of_program.iter().find(|command| command.path == row.path)?;
    let args: Vec<OsString> = words[depth..].iter().map(OsString::from).collect();
    let Ok(Reading::Do(parsed)) = command.verb.parse(row.path, &args) else { return None };
    // Another name of a flag is read as that flag, so it must stand there.
    let options = &words[depth..words.len() - parsed.args().len()];
    let stands = |name: &str| {
        let word = |word: &&str| word.strip_prefix("--").map(|word| word.split('=').next() == Some(name));
        options.iter().any(|option| word(option) == Some(true))
    };
    let is_used = |flag: &&Flag| parsed.has(flag.name()) || flag.aliased().is_some() && stands(flag.name());
    let used = flags(command).filter(is_used).map(Flag::name).collect();
    Some((record["test"].as_str().expect("a test").to_owned(), command, used))
}

/// `run first::hello_runs` of a record as the table has it; a test of a file without module is the main file's.
fn test_name(recorded: &str) -> Option<String> {
    let (program, path) = recorded.split_once(' ')?;
    Some(match path.rsplit_once("::") {
        Some((module, name)) => format!("{program}/{}.rs::{name}", module.replace("::", "/")),
        None => format!("{program}/main.rs::{path}"),
    })
}

/// Which tests used which flag of a verb under any of its names: `images` is `image list` too.
fn proven(records: &str) -> BTreeMap<Use, BTreeSet<String>> {
    let mut all: BTreeMap<Use, BTreeSet<String>> = BTreeMap::new();
    for (test, command, used) in records.lines().filter_map(uses) {
        let Some(test) = test_name(&test) else { continue };
        for same in commands().filter(|other| {
            std::ptr::eq(*other, command)
                || std::ptr::fn_addr_eq(other.run, command.run) && same_flags(other, command)
        }) {
            for flag in &used {
                all.entry((called(same), (*flag).to_owned())).or_default().insert(test.clone());
            }
        }
    }
    all
}

fn same_flags(one: &'static Command, other: &'static Command) -> bool {
    flags(one).map(Flag::name).eq(flags(other).map(Flag::name))
}

/// The last step of `make test`, which has what the other tests ran.
#[test]
#[ignore = "needs the command lines that all other tests ran: see scripts/test"]
fn what_the_tests_ran_proves_the_table() {
    let records = std::env::var_os("CTR_TEST_INVOCATIONS").expect("where the tests wrote what they ran");
    let records = std::fs::read_to_string(records).expect("what the tests ran");
    let proven = proven(&records);
    if std::env::var_os("UPDATE").is_some() {
        let mut text = String::from("verb\tflag\ttest\n");
        for ((verb, flag), tests) in &proven {
            let test = tests.first().expect("a test");
            text.push_str(&[verb, "\t--", flag, "\t", test, "\n"].concat());
        }
        std::fs::write(path(), text).expect("the table");
    }
    let unproven: Vec<_> = table()
        .into_iter()
        .filter(|(used, test)| !proven.get(used).is_some_and(|tests| tests.contains(test)))
        .collect();
    assert!(unproven.is_empty(), "tests that do not use the flag with success: {unproven:#?}");
}

#[test]
fn command_lines_are_read_with_the_tables_of_the_verbs() {
    let read = |code: i64, argv: &[&str]| {
        let line = serde_json::json!({ "test": "run first::x", "code": code, "argv": argv }).to_string();
        uses(&line).map(|(_, command, used)| (command.path, used))
    };
    assert_eq!(read(0, &["podman", "--root", "run", "ps", "-aq"]), Some(("ps", vec!["all", "quiet"])));
    assert_eq!(read(0, &["ctr", "container", "ls", "--last=1"]), Some(("container list", vec!["last"])));
    assert_eq!(read(0, &["ctr", "run", "--rm", "image", "ls", "--all"]), Some(("run", vec!["rm"])));
    assert_eq!(read(125, &["ctr", "ps", "-a"]), None);
    assert_eq!(read(0, &["ctr", "ps", "--help"]), None);
    assert_eq!(test_name("run first::x").as_deref(), Some("run/first.rs::x"));
    assert_eq!(test_name("copy x").as_deref(), Some("copy/main.rs::x"));
}
