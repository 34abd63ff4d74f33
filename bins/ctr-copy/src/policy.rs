//! `policy.json`, asked before anything of an image is read.

use std::path::Path;

use ctr_cli::app::Call;
use ctr_cli::report::CommandError;
use ctr_registry::config::policy::{Policy, Subject};
use ctr_store::transport::{Chosen, Place};

use crate::error::of;
use crate::registries::environment;

/// The flag of the peers that names another file.
const NAMED: &str = "signature-policy";

/// The policy that holds for this command.
pub(crate) fn policy(call: &Call) -> Result<Policy, CommandError> {
    if call.globals.insecure_policy {
        return Ok(Policy::accept_anything());
    }
    let named = if call.flags.knows(NAMED) { call.flags.path(NAMED) } else { None };
    let named = named.filter(|path| !path.as_os_str().is_empty());
    Policy::find(&environment(), named).map_err(of)
}

/// Whether an image may be used.
pub(crate) fn check(policy: &Policy, from: &Place) -> Result<(), CommandError> {
    let at = |transport, path: &Path| {
        // Scopes are paths without links; what cannot be found is told by who opens it.
        let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        policy.check(&Subject::Path { transport, path: &path })
    };
    let other = |transport| policy.check(&Subject::Other { transport });
    let checked = match from {
        Place::Registry(reference) => policy.check(&Subject::registry(reference)),
        Place::Dir(path) => at("dir", path),
        Place::Oci(Chosen { path, .. }) => at("oci", path),
        Place::OciArchive(Chosen { path, .. }) => at("oci-archive", path),
        Place::DockerArchive(_) => other("docker-archive"),
        Place::DockerDaemon(_) => other("docker-daemon"),
        Place::Store { .. } => other("containers-storage"),
        Place::Tarball(_) => other("tarball"),
    };
    checked.map_err(|error| CommandError::user(format!("Source image rejected: {error}")))
}
