use super::*;
use crate::usage::{Arity, Verb};

const RM: Verb =
    Verb::new("[options] CONTAINER", "Remove one or more containers").arity(Arity::Any).flags(&[
        Flag::bool("force", "Force removal").short('f'),
        Flag::uint("time", "Seconds to wait").short('t'),
        Flag::path("cidfile", "Read the `FILE`"),
        Flag::choice("sort", &["name", "size"], "Sort by"),
        Flag::bool("secret", "").hidden(),
    ]);
const RUN: Verb = Verb::new("[options] IMAGE [COMMAND [ARG...]]", "Run a command in a new container")
    .arity(Arity::AtLeast(1))
    .flags(&[Flag::array("env", "Set a variable").short('e'), Flag::bool("rm", "Remove it")])
    .runs_a_command();
const COMMANDS: &[Command] = &[
    Command { path: "rm", verb: &RM, run: |_| Ok(Exit::SUCCESS) },
    Command { path: "container rm", verb: &RM, run: |_| Ok(Exit::SUCCESS) },
    Command { path: "run", verb: &RUN, run: |_| Ok(Exit::SUCCESS) },
];

fn names(path: &str, before: &[String], last: &str) -> Found {
    match path {
        "rm" | "container rm" => vec![Proposal::new("web", "nginx"), Proposal::new("db", "postgres")].into(),
        "run" if before.is_empty() => vec![Proposal::new("localhost/hello:latest", "")].into(),
        "run" if last == "/e" => Found::Parts(vec![Proposal::new("/etc/", "")]),
        _ => Found::Parts(Vec::new()),
    }
}

/// The words of the answer in one line; `FILES`, or the sibling.
fn answered(line: &str) -> String {
    let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
    match answer(Program::Run, COMMANDS, names, Voice::Podman, &words) {
        Answer::Files => "FILES".to_owned(),
        Answer::Sibling(program) => program.file().to_owned(),
        Answer::Words(words) | Answer::Parts(words) => {
            words.into_iter().map(|word| word.word).collect::<Vec<_>>().join(" ")
        }
    }
}

#[test]
fn lines_are_completed() {
    for (line, expected) in [
        ("ru", "run"),
        ("container ru", "run"),
        ("--log-level debug container ru", "run"),
        ("--roo", "--root"),
        ("--root ", "FILES"),
        ("rm ", "web db"),
        ("rm w", "web"),
        ("rm web ", "db"),
        ("rm --f", "--force"),
        ("rm --s", "--sort --storage-driver --storage-opt"),
        ("rm --sort ", "name size"),
        ("rm --sort=s", "--sort=size"),
        ("rm --cidfile ", "FILES"),
        ("rm -t ", ""),
        ("rm -ft ", ""),
        ("rm -t5 d", "db"),
        ("rm --log-level info w", "web"),
        ("rm -- -", ""),
        ("run ", "localhost/hello:latest"),
        ("run -e A=B ", "localhost/hello:latest"),
        ("run img ", "FILES"),
        ("run img /e", "/etc/"),
        ("run img --", "FILES"),
        ("images ", "ctr-copy"),
        ("image rm --f", "ctr-copy"),
        ("nosuch ", ""),
    ] {
        assert_eq!(answered(line), expected, "{line:?}");
    }
}

#[test]
fn the_shell_gets_lines_and_a_directive() {
    let words = || Answer::Words(vec![Proposal::new("web", "nginx\nsecond"), Proposal::new("db", "")]);
    assert_eq!(text(words(), true), "web\tnginx\ndb\n:4\n");
    assert_eq!(text(words(), false), "web\ndb\n:4\n");
    assert_eq!(text(Answer::Files, true), ":0\n");
    for (words, directive) in [(&["/etc/"][..], 2), (&["c:"], 2), (&["/a"], 0), (&["/a", "/b"], 2)] {
        let parts = Answer::Parts(words.iter().map(|word| Proposal::new(*word, "")).collect());
        assert_eq!(text(parts, true).lines().last(), Some(format!(":{directive}").as_str()), "{words:?}");
    }
}

#[test]
fn only_the_hidden_verb_is_answered() {
    let argv = |words: &[&str]| words.iter().map(OsString::from).collect::<Vec<_>>();
    assert_eq!(main(Program::Run, COMMANDS, names, &argv(&["ctr", "rm", "web"])), None);
    assert_eq!(main(Program::Run, COMMANDS, names, &argv(&["ctr"])), None);
}

/// The script, in a bash that has no completions of its own.
fn in_bash(line: &str) -> Option<String> {
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("ctr-x");
    // Answers with the words it was asked with, and some that a word breaks in.
    std::fs::write(
        &program,
        "#!/bin/sh\nshift\nfor last; do :; done\ncase $last in loc*) echo localhost/hello:latest;; --sort=*) echo --sort=size;; \
         F*) echo :0; exit;; *) echo \"asked[$*]\";; esac\necho :4\n",
    )
    .unwrap();
    let script = Shell::Bash.script("ctr-x", false);
    let test = format!(
        "chmod +x {0}/ctr-x; PATH={0}:$PATH; {script}\nCOMP_LINE='{line}'; COMP_POINT=${{#COMP_LINE}}; \
         IFS=' ' read -ra COMP_WORDS <<<\"${{COMP_LINE//[:=]/ & }}\"; [[ $COMP_LINE == *' ' ]] && COMP_WORDS+=(''); \
         COMP_CWORD=$((${{#COMP_WORDS[@]}}-1)); __ctr_x_complete; echo \"${{COMPREPLY[*]}}\"",
        dir.path().display()
    );
    let output = std::process::Command::new("bash").args(["--norc", "-c", &test]).output().ok()?;
    Some(String::from_utf8(output.stdout).unwrap().trim().to_owned())
}

#[test]
fn bash_asks_and_replaces_only_its_own_part_of_a_word() {
    for (line, expected) in [
        ("ctr-x rm w", "asked[rm w]"),
        ("ctr-x rm ", "asked[rm ]"),
        ("ctr-x run loc", "localhost/hello:latest"),
        ("ctr-x run localhost/hello:la", "latest"),
        ("ctr-x rm --sort=s", "size"),
        ("ctr-x rm F", ""),
    ] {
        let Some(replied) = in_bash(line) else {
            assert!(!std::path::Path::new("/bin/bash").exists(), "bash is there and did not run");
            return;
        };
        assert_eq!(replied, expected, "{line:?}");
    }
}
