//! Every flag of every verb has a test: `tests/flags.tsv` says which, and is made from the tests themselves.
//!
//! A test covers a flag of a verb when both stand in it as string literals: the verb as a word, the flag as `--name`,
//! `--name=value` or `-n`. The helpers `sh` and `shell` stand for `run`.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::{TokenStream, TokenTree};

use crate::generated::fresh;
use crate::source::{root, rust_files, tokens};

/// A function of a test file: its name and the literals and identifiers in it.
struct Function {
    name: String,
    words: BTreeSet<String>,
}

fn words(tokens: TokenStream, into: &mut BTreeSet<String>) {
    for token in tokens {
        match token {
            TokenTree::Group(group) => words(group.stream(), into),
            TokenTree::Ident(ident) => {
                into.insert(format!("fn {ident}"));
            }
            TokenTree::Literal(literal) => {
                let text = literal.to_string();
                let text = text.trim_start_matches('r').trim_matches('#').trim_matches('"');
                into.extend(text.split_whitespace().map(str::to_owned));
            }
            TokenTree::Punct(_) => {}
        }
    }
}

fn functions(tokens: TokenStream, into: &mut Vec<Function>) {
    let tokens: Vec<_> = tokens.into_iter().collect();
    for (at, token) in tokens.iter().enumerate() {
        let (TokenTree::Ident(word), Some(TokenTree::Ident(name))) = (token, tokens.get(at + 1)) else {
            continue;
        };
        if word != "fn" {
            continue;
        }
        let body = tokens[at..].iter().find_map(|token| match token {
            TokenTree::Group(group) if group.delimiter() == proc_macro2::Delimiter::Brace => {
                Some(group.stream())
            }
            _ => None,
        });
        let mut found = BTreeSet::new();
        words(body.unwrap_or_default(), &mut found);
        into.push(Function { name: name.to_string(), words: found });
    }
}

/// Every function of the end-to-end tests, with its file.
fn tests() -> Vec<(String, Vec<Function>)> {
    let mut all = Vec::new();
    for folder in ["run", "copy", "hostile", "crash"] {
        let folder = root().join("tests").join(folder);
        for path in if folder.exists() { rust_files(&folder) } else { Vec::new() } {
            let mut found = Vec::new();
            functions(tokens(&path), &mut found);
            // A test has also the words of the helpers of its file that it calls.
            let helpers: BTreeMap<_, _> =
                found.iter().map(|one| (format!("fn {}", one.name), one.words.clone())).collect();
            for one in &mut found {
                let called: Vec<_> = helpers.iter().filter(|(name, _)| one.words.contains(*name)).collect();
                one.words.extend(called.into_iter().flat_map(|(_, words)| words.clone()));
            }
            let name = path.strip_prefix(root().join("tests")).expect("a test").display().to_string();
            all.push((name, found));
        }
    }
    all
}

fn covers(test: &Function, verb: &str, flag: &ctr_cli::usage::Flag) -> bool {
    let said = |word: &str| test.words.contains(word);
    let verb_said = verb.split(' ').all(said) || (verb == "run" && (said("fn sh") || said("fn shell")));
    let long = format!("--{}", flag.name());
    let short = flag.letter().map(|letter| format!("-{letter}"));
    let clustered = |word: &String| {
        let letters = word.strip_prefix('-').filter(|rest| !rest.starts_with('-') && rest.len() < 4);
        letters.is_some_and(|letters| flag.letter().is_some_and(|letter| letters.contains(letter)))
    };
    let flag_said = said(&long)
        || test.words.iter().any(|word| word.starts_with(&format!("{long}=")))
        || short.is_some_and(|short| said(&short))
        || test.words.iter().any(clustered);
    verb_said && flag_said
}

/// Names of one verb: `images` is `image list` too. What is tested of one is tested of all.
fn same_verb(path: &str) -> Vec<&'static str> {
    let commands = || ctr_run::COMMANDS.iter().chain(ctr_copy::COMMANDS);
    let Some(own) = commands().find(|command| command.path == path) else { return Vec::new() };
    commands()
        .filter(|command| std::ptr::eq(command.verb, own.verb) || command.run as usize == own.run as usize)
        .map(|command| command.path)
        .collect()
}

#[test]
fn every_flag_has_a_test() {
    let tests = tests();
    let mut table = String::from("verb\tflag\ttest\n");
    let mut missing = Vec::new();
    let mut commands: Vec<_> = ctr_run::COMMANDS.iter().chain(ctr_copy::COMMANDS).collect();
    commands.sort_by_key(|command| command.path);
    for command in commands {
        let names = same_verb(command.path);
        let mut flags: Vec<_> =
            command.verb.all_flags().filter(|flag| !flag.is_hidden() && flag.name() != "help").collect();
        flags.sort_by_key(|flag| flag.name());
        for flag in flags {
            let found = tests.iter().find_map(|(file, functions)| {
                let test = functions.iter().find(|test| names.iter().any(|name| covers(test, name, flag)))?;
                Some(format!("{file}::{}", test.name))
            });
            if let Some(test) = found {
                table.push_str(&[command.path, "\t--", flag.name(), "\t", &test, "\n"].concat());
            } else {
                missing.push(format!("{} --{}", command.path, flag.name()));
            }
        }
    }
    assert!(missing.is_empty(), "{} flags without a test: {missing:#?}", missing.len());
    fresh(&root().join("tests/table"), &BTreeMap::from([("flags.tsv".to_owned(), table)]));
}
