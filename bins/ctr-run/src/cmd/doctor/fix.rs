//! `ctr doctor --fix`: the lines that were shown, run one at a time.
//!
//! The user sees each line before it runs and answers for it (or said `--yes` for all); sudo asks for the password. We
//! never ask for `sudo ctr`: a program of the user's own must not run as root.

use std::io::{self, BufRead, Write};
use std::process::Command;

use ctr_userns::remedy::Remedy;

use super::check::Check;

/// How the lines went.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Done {
    /// Ran well.
    pub(crate) mended: usize,
    /// Ran, and failed.
    pub(crate) failed: usize,
    /// The user said no, or only a person can do it.
    pub(crate) left: usize,
}

/// Runs the remedies of all checks. `yes` asks nothing; `is_root` needs no sudo.
pub(crate) fn all(
    checks: &[Check],
    yes: bool,
    is_root: bool,
    answers: &mut dyn BufRead,
    tell: &mut dyn Write,
) -> io::Result<Done> {
    let mut done = Done::default();
    for remedy in checks.iter().flat_map(|check| &check.remedies) {
        let Some((words, root)) = remedy.command() else {
            writeln!(tell, "to be done by you: {remedy}")?;
            done.left += 1;
            continue;
        };
        if !yes && !agreed(remedy, answers, tell)? {
            done.left += 1;
            continue;
        }
        writeln!(tell, "+ {remedy}")?;
        tell.flush()?;
        if run(words, root && !is_root)? {
            done.mended += 1;
        } else {
            done.failed += 1;
        }
    }
    Ok(done)
}

fn agreed(remedy: &Remedy, answers: &mut dyn BufRead, tell: &mut dyn Write) -> io::Result<bool> {
    write!(tell, "run `{remedy}`? [y/N] ")?;
    tell.flush()?;
    let mut answer = String::new();
    answers.read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// sudo is found by PATH, as the user's shell finds it; what it runs is looked for in the PATH that it sets itself.
fn run(words: &[String], sudo: bool) -> io::Result<bool> {
    let prefix: &[&str] = if sudo { &["sudo", "--"] } else { &[] };
    let mut all = prefix.iter().copied().chain(words.iter().map(String::as_str));
    let Some(program) = all.next() else { return Ok(false) };
    let status = Command::new(program)
        .args(all)
        .status()
        .map_err(|err| io::Error::new(err.kind(), format!("cannot run {program}: {err}")))?;
    Ok(status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(remedies: Vec<Remedy>) -> Vec<Check> {
        vec![Check { remedies, ..Check::missing("x", "y") }]
    }

    fn fix(checks: &[Check], yes: bool, answers: &str) -> (Done, String) {
        let mut told = Vec::new();
        let done = all(checks, yes, true, &mut answers.as_bytes(), &mut told).unwrap();
        (done, String::from_utf8(told).unwrap())
    }

    #[test]
    fn each_line_is_asked_for() {
        let checks = with(vec![Remedy::root(["true"]), Remedy::root(["false"]), Remedy::root(["true"])]);
        let (done, told) = fix(&checks, false, "y\ny\nno\n");
        assert_eq!(done, Done { mended: 1, failed: 1, left: 1 });
        assert!(told.starts_with("run `sudo true`? [y/N] + sudo true\n"), "{told}");
    }

    #[test]
    fn no_answer_is_no() {
        assert_eq!(fix(&with(vec![Remedy::root(["true"])]), false, "").0.left, 1);
    }

    #[test]
    fn advice_is_only_told() {
        let (done, told) = fix(&with(vec![Remedy::Advice("reboot".into())]), true, "");
        assert_eq!(done.left, 1);
        assert_eq!(told, "to be done by you: reboot\n");
    }
}
