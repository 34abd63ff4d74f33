//! Errors of the libraries as errors of commands: which kind, which exit code, the peers' words.

use std::error::Error;

use ctr_cli::exit::Exit;
use ctr_cli::report::CommandError;
use ctr_cli::voice::Voice;
use ctr_registry::http::HttpError;
use ctr_registry::{About, Asked, RegistryError, Why};
use ctr_store::copy::CopyError;
use ctr_store::ingest::IngestError;
use ctr_store::transport::TransportError;
use ctr_store::worker::WorkerError;
use ctr_userns::ranges::{Facts, Files};
use ctr_userns::remedy::Surroundings;
pub(crate) use ctr_views::of_resolve;

/// An error with nothing more to say about it.
pub(crate) fn of(error: impl Error + Send + Sync + 'static) -> CommandError {
    CommandError::user(error)
}

/// The child in A.
pub(crate) fn of_worker(error: WorkerError) -> CommandError {
    let remedy = match &error {
        WorkerError::Enter { failure } => failure.remedy.as_ref().map(ToString::to_string),
        WorkerError::Job(failure) => failure.unmapped.and_then(more_ids),
        _ => None,
    };
    let error = CommandError::environment(error);
    match remedy {
        Some(remedy) => error.hint(remedy),
        None => error,
    }
}

/// What gives the user enough ids for a layer that asks for this one.
fn more_ids(id: u64) -> Option<String> {
    let facts = Facts::of_this_process().ok()?;
    let remedy = Surroundings::look(&facts, &Files::default()).grant_up_to(id)?;
    Some(remedy.to_string())
}

/// A copy.
pub(crate) fn of_copy(error: CopyError) -> CommandError {
    match error {
        CopyError::Source(TransportError::Resolve(error)) => of_resolve(error),
        CopyError::Worker(error) | CopyError::Ingest(IngestError::Worker(error)) => of_worker(error),
        CopyError::Source(error) => of_source(error),
        CopyError::Remote(error) => of_source(TransportError::Remote(error)),
        error => of(error),
    }
}

/// A place that images are read from.
pub(crate) fn of_source(error: TransportError) -> CommandError {
    match error {
        TransportError::Resolve(error) => of_resolve(error),
        TransportError::Remote(error) => match error.downcast::<RegistryError>() {
            Ok(error) => of_registry(*error),
            Err(error) => CommandError::user(error),
        },
        error => of(error),
    }
}

/// A registry, and what may be done about it.
pub(crate) fn of_registry(error: RegistryError) -> CommandError {
    hints(&error).into_iter().fold(of(error), CommandError::hint)
}

/// What may help with a registry.
pub(crate) fn hints(error: &RegistryError) -> Vec<String> {
    let About { asked, registry, repository, user } = &*error.about;
    let place =
        repository.as_ref().map_or_else(|| registry.clone(), |repository| format!("{registry}/{repository}"));
    match &*error.why {
        _ if error.is_denied() && user.is_some() => vec![format!("ctr auth why {place}")],
        _ if error.is_denied() => vec![format!("ctr login {registry}")],
        Why::Http(HttpError::InTheClear) => {
            vec![format!(
                "the registry speaks plain http: --tls-verify=false, or insecure = true for it in registries.conf"
            )]
        }
        Why::Http(HttpError::Connect { .. }) if !registry.contains(':') => {
            vec![format!("name its port, if that is not 443: {registry}:5000")]
        }
        Why::Http(HttpError::Tls { .. }) => vec![
            format!(
                "put the certificate of its authority into ~/.config/containers/certs.d/{registry}/ca.crt"
            ),
            "--tls-verify=false talks to it whoever it is".to_owned(),
        ],
        Why::Status { status: 404, .. } if matches!(asked, Asked::Manifest(_)) => {
            vec![format!("ctr list-tags docker://{place}")]
        }
        _ => Vec::new(),
    }
}

/// Skopeo ends with 2 where there is no such image.
pub(crate) fn not_found(error: CommandError, voice: Voice) -> CommandError {
    if voice == Voice::Skopeo { error.exit(Exit::IN_USE) } else { error }
}
