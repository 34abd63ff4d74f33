//! What the environment and the flags say about logins, for the verbs that make, forget and explain them.

use std::path::Path;

use ctr_cli::app::Call;
use ctr_cli::report::CommandError;
use ctr_cli::usage::Flag;
use ctr_registry::config::logins::{Files, Keep};
use ctr_registry::config::{LoginKey, Registries};

/// `--authfile`.
pub(crate) const AUTHFILE: Flag = Flag::path(
    "authfile",
    "path of the authentication file. Use REGISTRY_AUTH_FILE environment variable to override",
);
/// `--compat-auth-file`.
pub(crate) const COMPAT: Flag =
    Flag::path("compat-auth-file", "path of a Docker-compatible config file to update instead");

/// The files of logins that the flags name.
pub(crate) fn files(call: &Call) -> Result<Files, CommandError> {
    let named = |name: &str| {
        let path = if call.flags.knows(name) { call.flags.path(name) } else { None };
        path.filter(|path| *path != Path::new(""))
    };
    match (named(AUTHFILE.name()), named(COMPAT.name())) {
        (Some(_), Some(_)) => Err(CommandError::usage(
            "options for paths to the credential file and to the Docker-compatible credential file can not be set simultaneously",
        )),
        (Some(path), None) => Ok(Files::Only(path.to_owned())),
        (None, Some(path)) => Ok(Files::Docker(path.to_owned())),
        (None, None) => Ok(Files::Usual),
    }
}

/// Where logins are kept: with Docker they stay, with podman they go with the session.
pub(crate) fn keep(call: &Call) -> Keep {
    if call.caller.voice.is_peer() { Keep::Session } else { Keep::Always }
}

/// The registry that is meant: the one that is named, else the first that short names are searched in, else Docker's.
pub(crate) fn key(call: &Call, registries: &Registries) -> Result<LoginKey, CommandError> {
    let words = call.flags.texts()?;
    let searched = registries.search().and_then(|(all, _)| all.first().map(String::as_str));
    let named = match (words.first(), searched) {
        (Some(word), _) => word,
        (None, Some(first)) => first,
        (None, None) if call.caller.voice.is_peer() => {
            return Err(CommandError::usage(
                "no registries found in registries.conf, a registry must be provided",
            ));
        }
        (None, None) => ctr_core::reference::DOCKER,
    };
    LoginKey::parse(named).map_err(CommandError::usage)
}
