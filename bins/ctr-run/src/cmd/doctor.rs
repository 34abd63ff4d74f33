//! `ctr doctor`: what this machine lacks for containers, each thing once, with the line that mends it.

mod check;
mod checks;
mod fix;
mod trial;

use std::ffi::OsString;
use std::io::{IsTerminal, stderr, stdin};
use std::path::Path;

use ctr_cli::app::Call;
use ctr_cli::config::Settings;
use ctr_cli::exit::Exit;
use ctr_cli::report::CommandError;
use ctr_cli::usage::{Flag, Verb};
use ctr_userns::ranges::{self, Facts, Files};
use ctr_userns::remedy::Surroundings;

use crate::place::Place;
use check::{Check, Standing};
use checks::Bench;

pub(crate) use checks::existing;
pub(crate) use trial::VERB as TRIAL;

/// The verb.
pub const VERB: Verb = Verb::new("[options]", "Check what this machine offers to containers")
    .long(
        "Checks subordinate ids, the id-map helpers, kernel settings, user namespaces, overlayfs and a network (by trying them), \
         /dev/net/tun, delegated cgroups, lingering, free space, the file system of the store, what configuration files ask for in vain, and which images may be used (policy.json). Each thing that is \
         missing is named once, with the line that mends it. The exit code is 1 if containers cannot run.",
    )
    .examples(&["doctor", "doctor --fix", "doctor --format json"])
    .flags(&[
        Flag::bool("fix", "Run the lines that mend what is missing, one at a time, through sudo where root is needed"),
        Flag::choice("format", &["text", "json"], "Print the checks as `text` or json").short('f').default("text"),
        Flag::bool("yes", "With --fix, ask nothing").short('y'),
    ]);

/// Checks, prints, and mends if asked.
///
/// # Errors
/// `/proc` is not there, or `--fix` was said where nobody can answer.
pub fn run(call: &Call) -> Result<Exit, CommandError> {
    let (parsed, ui) = (&call.flags, &call.ui);
    let place = &Place::find(&call.globals)?;
    let fix = parsed.bool("fix");
    if fix && !parsed.bool("yes") && !stdin().is_terminal() {
        return Err(CommandError::usage(
            "cannot ask before each line of --fix: standard input is no terminal",
        )
        .hint("ctr doctor --fix --yes"));
    }
    let checks = all(place, &call.globals.config)?;
    if parsed.string("format") == "json" {
        ui.line(&check::json(&checks).to_string())?;
    } else {
        ui.print(&check::text(&checks))?;
    }
    if !fix {
        return Ok(verdict(&checks));
    }
    let is_root = rustix::process::geteuid().is_root();
    let done = fix::all(&checks, parsed.bool("yes"), is_root, &mut stdin().lock(), &mut stderr())
        .map_err(CommandError::environment)?;
    ui.note(&format!("mended: {}, failed: {}, left: {}", done.mended, done.failed, done.left));
    if done.mended == 0 {
        return Ok(verdict(&checks));
    }
    let checks = all(place, &call.globals.config)?;
    ui.print(&check::text(&checks))?;
    Ok(verdict(&checks))
}

/// 1 if containers cannot run.
fn verdict(checks: &[Check]) -> Exit {
    if check::worst(checks) == Standing::Missing { Exit::NO } else { Exit::SUCCESS }
}

fn all(place: &Place, config: &Settings) -> Result<Vec<Check>, CommandError> {
    let mut facts = Facts::of_this_process().map_err(CommandError::environment)?;
    facts.name = facts.name.or_else(|| place.user.clone());
    let files = Files::default();
    let surroundings = Surroundings::look(&facts, &files);
    let bench = Bench { facts: &facts, files: &files, surroundings: &surroundings, data: &place.dirs.data };
    let found = ranges::discover(bench.facts, bench.files);
    let mut all = vec![bench.ids(&found), bench.helpers(&found), bench.sysctls()];
    all.extend(trial::checks(trial::start(&place.dirs.data, facts.name.as_deref().unwrap_or_default())));
    all.extend([
        checks::ports(),
        bench.tun(),
        bench.delegation(),
        bench.linger(),
        bench.space(),
        bench.home(),
        checks::config(config),
        checks::policy(),
    ]);
    for check in &mut all {
        let remedies = std::mem::take(&mut check.remedies);
        check.remedies = remedies.into_iter().map(|remedy| surroundings.fitted(remedy)).collect();
    }
    Ok(check::without_repetition(all))
}

/// The trial, in the process that [`run`] started for it: a hidden verb without flags.
pub(crate) fn trial(arguments: &[OsString]) -> std::process::ExitCode {
    let outcome =
        Facts::of_this_process().map_err(|err| ctr_cli::report::chain(&err)).and_then(|mut facts| {
            let [directory, name] = arguments else { return Err("two arguments are needed".to_owned()) };
            facts.name =
                facts.name.or_else(|| name.to_str().filter(|name| !name.is_empty()).map(str::to_owned));
            Ok(trial::run(Path::new(directory), &facts))
        });
    let outcome = outcome.unwrap_or_else(trial::Outcome::failed);
    match serde_json::to_writer(std::io::stdout(), &outcome) {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(_) => std::process::ExitCode::FAILURE,
    }
}
