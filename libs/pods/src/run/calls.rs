//! Which system calls the container may make.

use std::path::Path;

use ctr_core::{file, limits};
use ctr_runtime::agent::{About, Agent, AgentError};
use ctr_runtime::caps::CapSet;
use ctr_runtime::seccomp::{self, Facts, Kernel, Profile, Program};

use super::RunError;
use super::container::Container;
use crate::security::Seccomp;

/// The program that says which calls the container may make (`None` is all), and who answers where it asks.
pub(super) fn program(
    container: &Container<'_>,
    caps: CapSet,
) -> Result<(Option<Program>, Option<Agent>), RunError> {
    let privileges = &container.request.privileges;
    let facts = Facts { caps, kernel: kernel() };
    let profile = match &privileges.security.seccomp {
        Seccomp::Unconfined => return Ok((None, None)),
        Seccomp::Default if privileges.privileged => return Ok((None, None)),
        Seccomp::Default => match seccomp::default_program(&facts) {
            Some(program) => return Ok((Some(program), None)),
            None => seccomp::default_profile(),
        },
        Seccomp::Nested => seccomp::nested(),
        Seccomp::File(path) => match read_profile(path)? {
            Some(profile) => profile,
            None => return Ok((None, None)),
        },
    };
    let program = seccomp::compile(&profile, &facts)?;
    let path = profile.listener_path.as_ref().filter(|_| program.notifies());
    let agent = path.map(|path| agent(container, path, &profile)).transpose()?;
    Ok((Some(program), agent))
}

/// Connects to the program that a profile names.
fn agent(container: &Container<'_>, path: &str, profile: &Profile) -> Result<Agent, AgentError> {
    let about = About {
        id: container.claim.id.to_string(),
        bundle: container.claim.dir.clone(),
        annotations: container.request.annotations.iter().cloned().collect(),
        metadata: profile.listener_metadata.clone(),
    };
    Agent::connect(Path::new(path), about)
}

fn read_profile(path: &Path) -> Result<Option<Profile>, RunError> {
    let bytes = file::read(path, limits::SECCOMP_PROFILE)?;
    Profile::from_json(&bytes).map_err(|source| RunError::Profile { path: path.to_owned(), source })
}

/// The running kernel; one that does not say its version is taken for an old one.
pub(crate) fn kernel() -> Kernel {
    let system = rustix::system::uname();
    let release = system.release().to_string_lossy();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|number| number.parse().unwrap_or(0));
    Kernel { version: numbers.next().unwrap_or(0), revision: numbers.next().unwrap_or(0) }
}
