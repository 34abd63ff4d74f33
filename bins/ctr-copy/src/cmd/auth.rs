//! `auth why`.

use ctr_cli::app::Call;
use ctr_cli::exit::Exit;
use ctr_cli::report::{CommandError, chain};
use ctr_cli::usage::{Arity, Verb};
use ctr_registry::config::logins::{Found, Outcome, Place, Step};
use ctr_registry::config::{Logins, Registries};

use crate::error::of;
use crate::logins::{AUTHFILE, files, key};
use crate::registries::environment;

pub(super) const WHY: Verb = Verb::new("[options] REGISTRY[/REPOSITORY]", "Tell which login is used for a registry, and why")
    .long(
        "Tells as whom a registry, or a repository of one, is asked: the user, the file and the entry in it, or the \
         credential helper; and who was looked at before. Passwords are not shown, and nobody is asked over the network.",
    )
    .examples(&["auth why quay.io", "auth why docker.io/library/alpine", "auth why --authfile auth.json quay.io/team"])
    .flags(&[AUTHFILE])
    .arity(Arity::Exactly(1));

pub(super) fn why(call: &Call) -> Result<Exit, CommandError> {
    let environment = environment();
    let registries = Registries::read(&environment).map_err(of)?;
    let key = key(call, &registries)?;
    let lookup = Logins::new(&environment, &registries, files(call)?).lookup(&key);
    let answer = lookup.found.as_ref().map_or_else(|| "nobody: it is asked without a login".to_owned(), who);
    call.ui.line(&call.ui.foreign(&format!("{key}: {answer}")))?;
    for step in &lookup.steps {
        call.ui.line(&call.ui.foreign(&format!("  {}", asked(step))))?;
    }
    lookup.into_found().map_err(of)?;
    Ok(Exit::SUCCESS)
}

/// Whose login it is, and where it is kept.
fn who(found: &Found) -> String {
    let login = &found.credentials;
    let user = match (login.username.as_str(), &login.identity_token) {
        ("", Some(_)) => "an identity token".to_owned(),
        (user, Some(_)) => format!("{user}, with an identity token"),
        (user, None) => user.to_owned(),
    };
    let helper = found.helper.as_ref().map(|helper| format!(", by its credential helper {helper}"));
    format!("{user}, as {} in {}{}", found.key, place(&found.place), helper.unwrap_or_default())
}

fn place(place: &Place) -> String {
    match place {
        Place::File(source) => source.path.display().to_string(),
        Place::Helper(name) => format!("the credential helper {name}"),
    }
}

/// Who was asked, and what came of it.
fn asked(step: &Step) -> String {
    let outcome = match &step.outcome {
        Outcome::Missing => "is not there".to_owned(),
        Outcome::Nothing => "has nothing for it".to_owned(),
        Outcome::Empty { key } => format!("has {key} without a login"),
        Outcome::HelperHasNothing { helper } => {
            format!("names the credential helper {helper}, which has nothing")
        }
        Outcome::Answers => "has it".to_owned(),
        Outcome::Failed(error) => format!("cannot be asked: {}", chain(error)),
        Outcome::Ignored(error) => format!("has nothing for it; {}", chain(error)),
    };
    format!("{} {outcome}", place(&step.place))
}
