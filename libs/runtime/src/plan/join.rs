//! The plan of a process that joins a running container: `exec`.
//!
//! Nobody in the container is asked, and nothing of it is trusted. The process is hidden from the moment before it enters
//! until it execs, so whoever has CAP_SYS_PTRACE inside can neither stop nor read it. What it opens inside is opened below
//! the root of the mount namespace and looked at. It enters with all capabilities over the container's user namespace, and
//! gives up what the command is not to have by the same steps as a first process does.

use ctr_sys::step::{Slot, Step};

use super::builder::{Builder, c_string, slot};
use super::process::{NO_SIZE, Rest, become_user, narrow};
use super::{Bond, Joining, PlanError, Visit, flag};
use crate::spec::{NamespaceKind, Process};

pub(super) fn build(process: &Process, visit: &Visit) -> Result<Joining, PlanError> {
    let mut plan = Builder::default();
    plan.add(Step::Guard {});
    let mounts = [NamespaceKind::Mount];
    let others = visit.namespaces.iter().filter(|kind| **kind != NamespaceKind::Mount);
    let namespaces = others.chain(&mounts).fold(0, |all, kind| all | flag(*kind));
    plan.add(Step::Enter { process: slot::VISITED, namespaces, root: slot::ROOT });
    let stays = matches!(visit.bond, Bond::None | Bond::Leash);
    let forgets = visit.bond == Bond::None;
    if process.terminal {
        terminal(&mut plan, process, forgets);
    }
    if !process.apparmor_profile.is_empty() {
        plan.add(Step::Locate { root: slot::ROOT, path: c"/proc", to: slot::PROC });
    }
    let drains = if forgets && process.terminal { slot::MASTER } else { Slot::NONE };
    let leash = if visit.bond == Bond::Leash { slot::LEASH } else { Slot::NONE };
    plan.add(Step::Descend { stays, drains, leash });
    plan.add(Step::Session {});
    if process.terminal {
        plan.add(Step::Control { terminal: slot::TERMINAL });
    }
    become_user(&mut plan, process, (visit.keep_groups, visit.no_keyring))?;
    plan.add(Step::Workdir { root: slot::ROOT, path: &c_string(&process.cwd)? });
    let rest = Rest {
        dies_with_parent: visit.bond == Bond::Life,
        preserved: &visit.preserved,
        seccomp: visit.seccomp.as_ref(),
        init: false,
        waits: false,
    };
    narrow(&mut plan, process, &rest)?;
    Ok(Joining { steps: plan.finish(), visited: slot::VISITED.0, leash: slot::LEASH.0, bond: visit.bond })
}

/// A terminal in the container's devpts, before the process becomes two: where nobody else wants the master side, the one
/// that stays has it.
fn terminal(plan: &mut Builder, process: &Process, forgets: bool) {
    let (rows, columns) = process.console_size.map_or(NO_SIZE, |size| (size.height, size.width));
    let (devpts, keep, to) = (slot::PTS, if forgets { slot::MASTER } else { Slot::NONE }, slot::TERMINAL);
    plan.add(Step::Locate { root: slot::ROOT, path: c"/dev/pts", to: devpts });
    plan.add(Step::Terminal { devpts, uid: process.user.uid, rows, columns, keep, to });
}
