//! What of a running container is looked at from outside: its namespaces, and who is who in it.

use std::os::fd::OwnedFd;

use ctr_core::rooted::Root;
use ctr_runtime::spec::NamespaceKind;
use ctr_userns::entry;
use rustix::fs::{AtFlags, CWD, Mode, OFlags, openat, statat};
use rustix::io::Errno;

use super::{ExecError, Way};
use crate::containers::Container;
use crate::record::State;
use crate::run::{AccountsError, accounts};
use crate::user::Accounts;

/// The namespaces that a process has to enter: all that the container has of its own. The host's are where we are; if
/// not, they are another host's, as in another container with the same run directory.
pub(super) fn namespaces(container: &Container, state: &State) -> Result<Vec<NamespaceKind>, ExecError> {
    let mut own = vec![NamespaceKind::User, NamespaceKind::Mount];
    for (kind, name, mode) in container.record.host.namespaces() {
        // What another container shares may be the host's.
        let joined = mode.starts_with("container:") && is_shared(state.init.pid, name);
        if mode != "host" && !joined {
            own.push(kind);
        } else if !is_shared(state.init.pid, name) {
            return Err(ExecError::Elsewhere { container: container.record.id.to_string(), kind: name });
        }
    }
    Ok(own)
}

/// Whether a process is in the same namespace as we.
fn is_shared(pid: u32, name: &str) -> bool {
    let look = |who: &str| {
        let stat = statat(CWD, format!("/proc/{who}/ns/{name}"), AtFlags::empty()).ok()?;
        Some((stat.st_dev, stat.st_ino))
    };
    let ours = look("self");
    ours.is_some() && ours == look(&pid.to_string())
}

/// The root directory of a process. Its number may have passed to another one; what is read here is then of no use, as
/// nothing enters by the number.
pub(crate) fn root(state: &State) -> Result<Root, ExecError> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let dir: OwnedFd = openat(CWD, format!("/proc/{}/root", state.init.pid), flags, Mode::empty())
        .map_err(ExecError::Root)?;
    Ok(Root::from_dir(dir))
}

/// The container's passwd and group files, as they are now. Where only ids of the container may read them, we become one
/// who has those.
pub(crate) fn accounts(state: &State, way: Way<'_>) -> Result<Accounts, ExecError> {
    match accounts::read(&root(state)?) {
        Err(error) if is_denied(&error) => {
            // Others find A through the container's own supervisor.
            drop(entry::begin(way.user_run, way.user, false, &mut |_| {})?.finish()?);
            Ok(accounts::read(&root(state)?)?)
        }
        read => Ok(read?),
    }
}

fn is_denied(error: &AccountsError) -> bool {
    error.errno() == Some(Errno::ACCESS)
}
