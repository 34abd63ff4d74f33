//! What a name means: which images it may be, and what is remembered of that.

use ctr_cli::app::Call;
use ctr_cli::report::CommandError;
use ctr_core::Reference;
use ctr_core::reference::Spelling;
use ctr_registry::config::UserAliases;
use ctr_registry::config::registries::{Prompt, Reason, ShortNameError, Unconfigured};
use ctr_store::transport::{Chosen, Offer, Place, Which};

use super::can_ask;
use crate::error::of;
use crate::registries::Registries;

/// The images that a name may mean.
pub(super) struct Meant {
    /// In the order in which to try them.
    pub(super) references: Vec<Reference>,
    /// Why these, as podman tells it.
    pub(super) said: String,
    /// The short name, if the user chose what it means.
    chosen: Option<String>,
}

/// Finds out what a name may mean, and asks the user where that is to be.
pub(super) fn meant(call: &Call, registries: &Registries, name: &Spelling) -> Result<Meant, CommandError> {
    let aliases = UserAliases::read(registries.environment()).map_err(of)?;
    let otherwise = if call.caller.voice.is_peer() { Unconfigured::Nothing } else { Unconfigured::Docker };
    let found = registries.configured().candidates(name, &aliases, otherwise);
    let found = found.map_err(|error| unresolved(call, error))?;
    let short = match name {
        Spelling::Full(_) => "",
        Spelling::Short(short) => short.path(),
    };
    let said = match &found.reason {
        Reason::Full => String::new(),
        Reason::Alias(file) => format!("Resolved {short:?} as an alias ({})", file.display()),
        Reason::Search(file) => {
            format!("Resolving {short:?} using unqualified-search registries ({})", file.display())
        }
        Reason::Docker => format!("Resolving {short:?} to docker.io (no registries.conf says otherwise)"),
    };
    let references = found.references.into_iter().map(untagged).collect();
    match found.prompt {
        Prompt::Needed if !can_ask() => {
            Err(CommandError::user("short-name resolution enforced but cannot prompt without a TTY"))
        }
        Prompt::Needed | Prompt::IfPossible if can_ask() => {
            let references = vec![ask(call, references)?];
            Ok(Meant { references, said: String::new(), chosen: Some(short.to_owned()) })
        }
        _ => Ok(Meant { references, said, chosen: None }),
    }
}

/// Of a tag and a digest, the digest counts.
fn untagged(name: Reference) -> Reference {
    if name.digest.is_some() { Reference { tag: None, ..name } } else { name }
}

fn unresolved(call: &Call, error: ShortNameError) -> CommandError {
    let ShortNameError::Unresolved { name, origin } = &error else { return of(error) };
    if !call.caller.voice.is_peer() {
        return of(error);
    }
    let why = match origin {
        Some(file) => {
            format!("no unqualified-search registries are defined in {:?}", file.display().to_string())
        }
        None => "no containers-registries.conf(5) was found".to_owned(),
    };
    CommandError::user(format!("short-name {name:?} did not resolve to an alias and {why}"))
}

/// Has the user choose.
fn ask(call: &Call, mut references: Vec<Reference>) -> Result<Reference, CommandError> {
    for (at, name) in references.iter().enumerate() {
        call.ui.note(&format!("{}. {name}", at + 1));
    }
    let answer = call.ui.ask("Please select an image: ")?;
    let chosen = answer.trim().parse::<usize>().ok().filter(|chosen| (1..=references.len()).contains(chosen));
    match chosen {
        Some(chosen) => Ok(references.swap_remove(chosen - 1)),
        None => Err(CommandError::usage(format!("{:?} is none of these numbers", answer.trim()))),
    }
}

impl Meant {
    /// Remembers what the user chose. That it cannot be is said, and fails nothing.
    pub(super) fn remember(&self, call: &Call, registries: &Registries, name: &Reference) {
        let Some(short) = &self.chosen else { return };
        let recorded = UserAliases::read(registries.environment())
            .map_err(of)
            .and_then(|mut aliases| aliases.record(short, &name.name).map_err(of));
        if let Err(error) = recorded {
            call.ui.warn(&format!("what {short:?} means is not remembered: {error}"));
        }
    }
}

/// Why none of the candidates did.
pub(super) fn none_of(mut errors: Vec<CommandError>) -> CommandError {
    if errors.len() == 1
        && let Some(error) = errors.pop()
    {
        return error;
    }
    let count = errors.len();
    let all: Vec<_> = errors.iter().map(|error| format!("\n * {error}")).collect();
    CommandError::user(format!("{count} errors occurred while pulling:{}", all.concat()))
}

/// The names that an image from another place than a registry gets: those that come with it. Of a folder only one that was
/// asked for counts.
pub(super) fn of_offer(place: &Place, offer: &Offer) -> Vec<Reference> {
    let names = match place {
        Place::Oci(Chosen { which, .. }) => match which {
            Some(Which::Name(name)) => vec![name.clone()],
            _ => Vec::new(),
        },
        Place::Dir(_) | Place::Tarball(_) => Vec::new(),
        _ => offer.names.clone(),
    };
    names.iter().filter_map(|name| Reference::parse_local(name).ok()).collect()
}
