//! Images that are not here, or are to be asked for anew: the sibling that talks to registries fetches them, since nothing that
//! clones has TLS in it. What it prints, our user sees; where it fails, it has said why.

use std::io::Read as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

use ctr_cli::app::Call;
use ctr_cli::dispatch;
use ctr_cli::exit::Exit;
use ctr_cli::release;
use ctr_cli::report::CommandError;
use ctr_cli::verbs::Program;
use ctr_core::{Platform, Reference};
use ctr_store::{ImageId, Store};

use super::asked;
use crate::place::Place;

/// Flags that say how a registry is reached; the sibling has them by the same names.
const PASSED: [&str; 6] = ["authfile", "cert-dir", "creds", "retry", "retry-delay", "tls-verify"];

/// When an image is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    Always,
    Missing,
    Newer,
    Never,
}

impl When {
    /// Reads `--pull`.
    pub(super) fn of(call: &Call) -> Result<Self, CommandError> {
        let text = asked(call).string("pull");
        Ok(match text.to_ascii_lowercase().as_str() {
            "always" | "true" => Self::Always,
            "missing" | "ifmissing" | "ifnotpresent" | "false" | "" => Self::Missing,
            "newer" | "ifnewer" => Self::Newer,
            "never" => Self::Never,
            _ => return Err(CommandError::usage(format!("unsupported pull policy {text:?}"))),
        })
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Always => "always",
            Self::Missing => "missing",
            Self::Newer => "newer",
            Self::Never => "never",
        }
    }
}

/// Has an image fetched, if that is to be. Returns the name that it has here where the one that was typed does not lead to it.
pub(super) fn provide(
    call: &Call,
    name: &str,
    platform: Option<&str>,
    when: When,
    (place, store): (&Place, &Store),
) -> Result<Option<String>, CommandError> {
    if when == When::Never || (when == When::Missing && is_here(name, platform, store)?) {
        return Ok(None);
    }
    let mut pull = sibling(place, store)?;
    pull.arg0(&call.caller.name).args(["--log-level", call.globals.level.name()]);
    if let Some(backend) = &call.globals.events_backend {
        pull.args(["--events-backend", backend]);
    }
    pull.args(["pull", "--policy", when.name()]);
    if call.flags.bool("quiet") {
        pull.arg("--quiet");
    }
    if let Some(platform) = platform {
        pull.args(["--platform", platform]);
    }
    for flag in PASSED {
        if let Some(value) = call.flags.path(flag) {
            let mut word = std::ffi::OsString::from(format!("--{flag}="));
            word.push(value);
            pull.arg(word);
        }
    }
    pull.arg("--").arg(name);
    let id = printed(pull)?;
    if is_here(name, platform, store)? { Ok(None) } else { Ok(Some(known_as(&id, store))) }
}

/// Whether a name leads to an image that can be used. What is damaged is told by who uses it.
fn is_here(name: &str, platform: Option<&str>, store: &Store) -> Result<bool, CommandError> {
    Ok(match platform {
        // Nearly every name ends here.
        None if Reference::parse_local(name).is_ok_and(|name| store.has_name(&name)) => true,
        None => !store.lookup(name).is_err_and(|error| error.is_unknown()),
        Some(platform) => {
            let platform = Platform::parse(platform).map_err(CommandError::user)?;
            store.resolve(name, Some(&platform)).is_ok()
        }
    })
}

/// A name of an image that was pulled, else its id.
fn known_as(id: &str, store: &Store) -> String {
    let names = ImageId::parse(id).ok().zip(store.names().ok());
    let name = names.and_then(|(id, names)| names.of(id).next().map(|named| named.name.to_string()));
    name.unwrap_or_else(|| id.to_owned())
}

/// The sibling that works on images, on this store. It ends with us.
pub(super) fn sibling(place: &Place, store: &Store) -> Result<Command, CommandError> {
    let mut command = Command::new(dispatch::path(Program::Copy)?);
    command.arg("--root").arg(&place.dirs.data).arg("--runroot").arg(&place.dirs.run);
    if let Some(images) = &store.layout().image_store {
        command.arg("--imagestore").arg(&images.data);
    }
    for additional in &store.layout().additional {
        let mut option = std::ffi::OsString::from("additionalimagestore=");
        option.push(additional);
        command.arg("--storage-opt").arg(option);
    }
    command.args(["--storage-driver", place.driver_name()]);
    command.env(dispatch::BUILD, release::id()).env(dispatch::CHILD, std::process::id().to_string());
    Ok(command)
}

/// Runs it, and returns what it printed.
fn printed(mut command: Command) -> Result<String, CommandError> {
    let failed = |error: std::io::Error| CommandError::environment(error).hint("ctr doctor");
    let mut child = command.stdout(Stdio::piped()).spawn().map_err(failed)?;
    let mut text = String::new();
    let read = child.stdout.take().map_or(Ok(0), |mut stdout| stdout.read_to_string(&mut text));
    let status = child.wait().map_err(failed)?;
    match status.code() {
        Some(0) => {
            read.map_err(failed)?;
            Ok(text.trim().to_owned())
        }
        // Why, it has said itself.
        Some(_) => Err(CommandError::quiet(Exit::FAILURE)),
        None => Err(CommandError::internal(format!("cannot pull: ctr-copy ended by {status}"))),
    }
}
