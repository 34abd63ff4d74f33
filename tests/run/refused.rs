//! What podman has and we do not: refused by name, never ignored.

use ctr_cli::app::Command;
use ctr_tests::Env;

/// Podman's flags of the verbs that we have, one verb a line: names, with letters before them.
const PODMAN: &str = include_str!("../table/podman.tsv");

fn commands() -> impl Iterator<Item = &'static Command> {
    ctr_run::COMMANDS.iter().chain(ctr_copy::COMMANDS)
}

/// The rows of the table: a verb, and its flags with their letters.
fn rows() -> impl Iterator<Item = (&'static str, Vec<(&'static str, Option<&'static str>)>)> {
    PODMAN.lines().skip(1).map(|line| {
        let (verb, flags) = line.split_once('\t').expect("a verb and its flags");
        let flag = |text: &'static str| match text.split_once(',') {
            Some((letter, name)) => (name, Some(letter)),
            None => (text, None),
        };
        (verb, flags.split(' ').map(flag).collect())
    })
}

#[test]
fn every_flag_of_podman_s_works_or_is_refused_by_name() {
    let env = Env::new();
    let mut refused = 0;
    for (verb, flags) in rows() {
        let command = commands().find(|command| command.path == verb);
        let command = command.unwrap_or_else(|| panic!("there is no verb `{verb}`"));
        for (name, letter) in flags {
            let bare = name.trim_start_matches('-');
            if let Some(known) = command.verb.all_flags().find(|flag| flag.name() == bare) {
                let own = known.letter().map(|letter| format!("-{letter}"));
                assert_eq!(own.as_deref(), letter, "{verb} {name} has podman's letter");
                continue;
            }
            for spelled in std::iter::once(name).chain(letter) {
                let said = env.named("podman", verb.split(' ')).args([spelled]).run().fails(125);
                assert_eq!(said, format!("Error: {spelled} is not supported yet\n"), "{verb} {spelled}");
                refused += 1;
            }
        }
    }
    assert!(refused > 100, "only {refused} flags were tried");
}
