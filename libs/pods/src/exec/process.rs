//! The process of a specification that `exec` runs: what the record says of the container, the request on top.

use ctr_core::{file, limits};
use ctr_runtime::agent::{About, Agent};
use ctr_runtime::caps::CapSet;
use ctr_runtime::seccomp::{self, Facts, Profile, Program};
use ctr_runtime::spec::{Capabilities, ConsoleSize, Process, Rlimit, User};

use super::{ExecError, Request};
use crate::containers::Container;
use crate::env::{self, Env};
use crate::record::{Record, State};
use crate::run::calls::kernel;
use crate::run::start::own_limit;
use crate::security::{Seccomp, Security};
use crate::terminal;
use crate::ulimit::Ulimit;
use crate::user::{self, Accounts, GroupAdd, Identity, UserSpec};

/// What home is where nothing says it.
const NO_HOME: &str = "/";

/// Who runs the command.
pub(super) struct Who {
    identity: Identity,
    more_groups: Vec<u32>,
    /// Home of the container's own user.
    usual_home: Option<String>,
    /// It is the container's own user, and was not named otherwise.
    is_usual: bool,
}

/// Finds out who runs it: as the flag says, else as the container was made. Files that cannot be read trouble only whom
/// they have to name.
pub(super) fn who(
    container: &Container,
    request: &Request,
    read: impl FnOnce() -> Result<Accounts, ExecError>,
) -> Result<Who, ExecError> {
    let usual = container.record.process.user.as_str();
    let asked = request.user.as_deref().filter(|user| !user.is_empty()).unwrap_or(usual);
    let spec = UserSpec::parse(asked)?;
    let accounts = match read() {
        Err(_) if spec.is_of_ids() => Accounts::default(),
        accounts => accounts?,
    };
    let more_groups = GroupAdd::parse(&container.record.process.groups)?.ids(&accounts)?;
    let identity = user::identify(&spec, &accounts)?;
    let is_usual = asked == usual;
    // Somebody whom the files do not know any more had no home in them.
    let home = |usual| user::identify(&usual, &accounts).ok().map(|usual| usual.home.unwrap_or_default());
    let usual_home = if is_usual { None } else { home(UserSpec::parse(usual)?) };
    Ok(Who { identity, more_groups, usual_home, is_usual })
}

/// Whether the groups of whoever runs `ctr` are kept.
pub(super) fn keeps_groups(container: &Container) -> bool {
    container.record.process.groups.iter().any(|group| group == "keep-groups")
}

/// Makes the process.
pub(super) fn make(
    container: &Container,
    state: &State,
    request: &Request,
    who: &Who,
) -> Result<Process, ExecError> {
    let record = &container.record;
    let security = Security::parse(&record.host.security_opt)?;
    if let Some(word) = request.words.iter().find(|word| word.contains('\0')) {
        return Err(ExecError::Nul(word.clone()));
    }
    Ok(Process {
        terminal: request.terminal,
        console_size: size().filter(|_| request.terminal),
        user: user(record, who),
        args: request.words.clone(),
        env: environment(state, request, who)?.entries()?,
        cwd: workdir(record, request)?,
        capabilities: Some(capabilities(state, request, who)),
        rlimits: rlimits(state),
        no_new_privileges: security.no_new_privileges,
        apparmor_profile: security.apparmor.filter(|profile| profile != "unconfined").unwrap_or_default(),
        oom_score_adj: None,
    })
}

fn size() -> Option<ConsoleSize> {
    terminal::own_size().map(|size| ConsoleSize { height: size.ws_row, width: size.ws_col })
}

fn user(record: &Record, who: &Who) -> User {
    let identity = &who.identity;
    let mut groups: Vec<u32> = identity.groups.iter().chain(&who.more_groups).copied().collect();
    // The primary group too (CVE-2022-2989).
    groups.push(identity.gid);
    groups.sort_unstable();
    groups.dedup();
    User { uid: identity.uid, gid: identity.gid, umask: Some(record.process.umask), additional_gids: groups }
}

/// The environment of the container's first process, and what the flags say. Another user has another home, unless
/// somebody chose one.
fn environment(state: &State, request: &Request, who: &Who) -> Result<Env, ExecError> {
    let mut env = env::on_top(&state.env, &request.env, &request.host_env)?;
    if request.terminal {
        env.set_default("TERM", "xterm");
    }
    let home = who.identity.home.as_deref().unwrap_or(NO_HOME);
    let is_that_of_another =
        who.usual_home.as_deref().is_some_and(|usual| env.get("HOME").is_some_and(|set| set == usual));
    if is_that_of_another && !request.env.names("HOME") {
        env.set("HOME", home);
    }
    env.set_default("HOME", home);
    Ok(env)
}

fn workdir(record: &Record, request: &Request) -> Result<String, ExecError> {
    match request.workdir.as_deref() {
        Some(dir) if dir.starts_with('/') && !dir.contains('\0') => Ok(dir.to_owned()),
        Some(dir) => Err(ExecError::Relative(dir.to_owned())),
        None if record.process.workdir.starts_with('/') => Ok(record.process.workdir.clone()),
        // An image's relative one is below the root.
        None => Ok(format!("/{}", record.process.workdir)),
    }
}

/// Root has what the container may ever have; its own user what it had; anybody else nothing. What is inheritable stays
/// empty but for a user who is not root.
fn capabilities(state: &State, request: &Request, who: &Who) -> Capabilities {
    let bounding = if request.privileged { CapSet::ALL } else { state.bounding };
    if who.identity.uid == 0 {
        return Capabilities {
            bounding,
            effective: bounding,
            permitted: bounding,
            ..Capabilities::default()
        };
    }
    let kept = if who.is_usual { state.effective.intersection(bounding) } else { CapSet::EMPTY };
    Capabilities { bounding, effective: kept, inheritable: kept, permitted: kept, ambient: kept }
}

/// The limits of the container, as far as we have them ourselves.
fn rlimits(state: &State) -> Vec<Rlimit> {
    let limit = |limit: &Ulimit| {
        let hard = limit.hard.min(own_limit(limit.name));
        Rlimit { kind: limit.oci_name(), hard, soft: limit.soft.min(hard) }
    };
    state.limits.iter().map(limit).collect()
}

/// Which calls the command may make.
#[derive(Debug)]
pub struct Filter {
    /// `None` is all.
    pub(super) program: Option<Program>,
    /// Who answers where it asks.
    pub(super) agent: Option<Agent>,
}

/// The filter of the container, whatever the command may do beyond it.
pub(super) fn filter(container: &Container, state: &State) -> Result<Filter, ExecError> {
    let record = &container.record;
    let facts = Facts { caps: state.bounding, kernel: kernel() };
    let all = Filter { program: None, agent: None };
    let profile = match Security::parse(&record.host.security_opt)?.seccomp {
        Seccomp::Unconfined => return Ok(all),
        Seccomp::Default if record.host.privileged => return Ok(all),
        Seccomp::Default => match seccomp::default_program(&facts) {
            Some(program) => return Ok(Filter { program: Some(program), agent: None }),
            None => seccomp::default_profile(),
        },
        Seccomp::Nested => seccomp::nested(),
        Seccomp::File(path) => {
            let bytes = file::read(&path, limits::SECCOMP_PROFILE)?;
            match Profile::from_json(&bytes).map_err(|source| ExecError::Profile { path, source })? {
                Some(profile) => profile,
                None => return Ok(all),
            }
        }
    };
    let program = seccomp::compile(&profile, &facts)?;
    let asked = profile.listener_path.as_ref().filter(|_| program.notifies());
    let agent = asked.map(|path| Agent::connect(path.as_ref(), about(record, &profile))).transpose()?;
    Ok(Filter { program: Some(program), agent })
}

fn about(record: &Record, profile: &Profile) -> About {
    About {
        id: record.id.to_string(),
        bundle: std::path::PathBuf::new(),
        annotations: record.annotations.iter().cloned().collect(),
        metadata: profile.listener_metadata.clone(),
    }
}
