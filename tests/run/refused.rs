//! What podman has and we do not: refused by name, never ignored.

use ctr_cli::app::Command;
use ctr_tests::{Env, needs};

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
                let why = match bare {
                    "device-cgroup-rule" => {
                        "device cgroup rules are not supported in rootless mode or in a user namespace"
                            .to_owned()
                    }
                    _ => format!("{spelled} is not supported yet"),
                };
                assert_eq!(said, format!("Error: {why}\n"), "{verb} {spelled}");
                refused += 1;
            }
        }
    }
    assert!(refused > 100, "only {refused} flags were tried");
}

#[test]
fn no_limit_is_what_there_is_anyway() {
    needs!(Userns);
    let env = Env::with_busybox();
    let flags = ["--memory=0", "--memory-swap", "0", "--cpus=0", "--cpu-shares=0"];
    assert_eq!(env.sh(flags, "echo ran"), "ran");
    let said = env.shell(["--memory=1"], "true").run().fails(125);
    assert_eq!(said, "Error: --memory is not supported yet\n");
}
