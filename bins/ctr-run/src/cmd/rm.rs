//! `ctr rm`: containers go away.

use std::collections::BTreeSet;

use ctr_cli::app::Call;
use ctr_cli::exit::Exit;
use ctr_cli::report::CommandError;
use ctr_cli::usage::{Arity, Flag, Verb};
use ctr_core::events::Status as Event;
use ctr_pods::containers::{Claim, Container, Containers, ContainersError};
use ctr_pods::dependencies;
use ctr_pods::ended;
use ctr_pods::happened::Who;
use ctr_pods::remove::{Removal, RemoveError, remove_damaged, seize};
use ctr_pods::run::session;
use ctr_pods::stop::{Asked, Stopping};
use ctr_pods::volumes;
use ctr_store::Store;
use ctr_userns::level_a::LevelA;

use super::begin::happened;
use super::select::{self, Rules, Wanted, each, each_begun, grace, wanted};
use super::stop;
use crate::error;
use crate::place::{Place, waits};

/// The verb.
pub const VERB: Verb = Verb::new("[options] CONTAINER [CONTAINER...]", "Remove one or more containers")
    .long("Removes one or more containers. A running one is only removed with --force.")
    .examples(&["rm web", "rm --force --all", "rm -f -t 0 --ignore web"])
    .flags(&[
        Flag::bool("all", "Remove all containers").short('a'),
        Flag::array("cidfile", "Read the container ID from the file"),
        Flag::bool("depend", "Remove container and all containers that depend on the selected container"),
        Flag::array("filter", "Remove the containers that fit the conditions given"),
        Flag::bool("force", "Force removal of a running or unusable container").short('f'),
        Flag::bool("ignore", "Ignore errors when a specified container is missing").short('i'),
        Flag::bool("latest", "Act on the latest container").short('l'),
        Flag::int("time", "Seconds to wait for stop before killing the container").short('t').default("10"),
        Flag::bool("volumes", "Remove anonymous volumes associated with the container").short('v'),
    ])
    .arity(Arity::Any);

/// `container prune`.
pub const PRUNE: Verb = Verb::new("[options]", "Remove all non running containers")
    .long("Removes all containers that were made and do not run.")
    .examples(&["container prune", "container prune --force --filter until=10m"])
    .flags(&[
        Flag::array("filter", "Provide filter values (e.g. 'label=<key>=<value>')"),
        Flag::bool("force", "Do not prompt for confirmation").short('f'),
    ])
    .arity(Arity::None);

/// Removes what was named.
///
/// # Errors
/// One could not be removed; the others were tried all the same.
pub fn run(call: &Call) -> Result<Exit, CommandError> {
    let flags = &call.flags;
    let force = flags.bool("force");
    if flags.has("time") && !force {
        return Err(CommandError::usage("--force option must be specified to use the --time option"));
    }
    let place = Place::find(&call.globals)?;
    let containers = Containers::new(&place.dirs);
    let rules = Rules { ignore: flags.bool("ignore") || force, all: |_| true, narrows: false };
    let wanted = wanted(call, &containers, rules)?;
    let mut remover =
        Remover { with_volumes: flags.bool("volumes"), ..Remover::new(call, &place, &containers) };
    remover.with_dependents = flags.bool("depend") || (flags.bool("all") && !flags.has("filter"));
    let (damaged, wanted): (Wanted, Wanted) =
        wanted.into_iter().partition(|(_, found)| force && useless(found).is_some());
    for (shown, found) in damaged {
        if let Some(id) = useless(&found) {
            remover.remove_damaged(id)?;
        }
        call.ui.line(&shown)?;
    }
    // Of several, all are asked to end before the first is waited for.
    let several = force && wanted.len() > 1;
    let ask = |container: &Container| {
        if several { ask(call, &containers, container) } else { Asked::default() }
    };
    each_begun(call, wanted, error::of_removed, ask, |container, asked| {
        if remover.gone.contains(container.record.id.as_str()) {
            return Ok(false);
        }
        stop::wait(call, &containers, asked.unwrap_or_default()).ok();
        remover.remove(container, Removal { force, grace: grace(flags, container) }).map(|()| true)
    })
}

/// Asks a container to end that nothing keeps from being removed. What goes wrong is said when its turn comes, as then it
/// is asked again.
fn ask(call: &Call, containers: &Containers, container: &Container) -> Asked {
    // One that others need does not end before them, if at all.
    if !dependencies::dependents(containers, container).is_ok_and(|found| found.is_empty()) {
        return Asked::default();
    }
    let how = Stopping { grace: grace(&call.flags, container), patient: false };
    stop::ask(call, containers, container, how).unwrap_or_default()
}

/// The container that is there and cannot be understood.
fn useless(found: &Result<Container, ContainersError>) -> Option<&str> {
    found.as_ref().err().and_then(ContainersError::useless)
}

/// Removes what does not run.
///
/// # Errors
/// Nobody confirmed it, or one could not be removed.
pub fn prune(call: &Call) -> Result<Exit, CommandError> {
    if !call.flags.bool("force")
        && !call.ui.confirm(
            "WARNING! This will remove all non running containers.\nAre you sure you want to continue?",
        )?
    {
        return Ok(Exit::SUCCESS);
    }
    let place = Place::find(&call.globals)?;
    let containers = Containers::new(&place.dirs);
    let ended = select::fitting(&call.flags, &containers, |status| !status.has_command())?;
    let mut remover = Remover::new(call, &place, &containers);
    each(call, select::as_wanted(dependencies::dependents_first(ended)), |container| {
        remover.remove(container, Removal { force: false, grace: None }).map(|()| true)
    })
}

/// Removes containers, moving into A when the first one has files there.
pub(super) struct Remover<'a> {
    call: &'a Call,
    place: &'a Place,
    containers: &'a Containers,
    /// The volumes that nobody named go along.
    with_volumes: bool,
    /// Containers that need one go before it.
    with_dependents: bool,
    /// Those that went for that.
    gone: BTreeSet<String>,
    /// As long as this is here, others can join us in A.
    a: Option<LevelA>,
}

impl<'a> Remover<'a> {
    /// In this process, which from there on is in A.
    pub(super) const fn new(call: &'a Call, place: &'a Place, containers: &'a Containers) -> Self {
        Self {
            call,
            place,
            containers,
            with_volumes: false,
            with_dependents: false,
            gone: BTreeSet::new(),
            a: None,
        }
    }

    /// In this process, which is in A already.
    pub(super) fn in_a(call: &'a Call, place: &'a Place, containers: &'a Containers, a: LevelA) -> Self {
        Self { a: Some(a), ..Self::new(call, place, containers) }
    }

    fn enter(&mut self) -> Result<(), CommandError> {
        if self.a.is_none() {
            self.a = Some(self.place.enter_to_remove(&self.call.ui)?);
        }
        Ok(())
    }

    /// Removes one of which nothing is known.
    fn remove_damaged(&mut self, id: &str) -> Result<(), CommandError> {
        self.enter()?;
        remove_damaged(self.containers, id).map_err(error::of_remove)
    }

    /// Removes those that need this one, or says that there are some.
    fn remove_dependents(&mut self, container: &Container, how: Removal) -> Result<(), CommandError> {
        let runs = container.status().map_err(CommandError::environment)?.has_command();
        if runs && !how.force {
            // That is the first thing to be told.
            return Ok(());
        }
        let found =
            dependencies::dependents(self.containers, container).map_err(CommandError::environment)?;
        if !found.is_empty() && !self.with_dependents {
            let by = found.iter().map(|one| one.record.id.to_string()).collect();
            return Err(error::of_remove(RemoveError::Needed { id: container.record.id.to_string(), by }));
        }
        for dependent in found {
            self.remove(&dependent, how)?;
            let id = dependent.record.id.to_string();
            self.call.ui.line(&id)?;
            self.gone.insert(id);
        }
        Ok(())
    }

    /// Has no list show a container that is held, nor anybody need it who did not a moment ago.
    fn withdraw(&mut self, container: &Container, claim: &Claim, how: Removal) -> Result<(), CommandError> {
        let ui = &self.call.ui;
        let alone = dependencies::keep_alone(container, &mut |waiting| waits(waiting, ui));
        let _alone = alone.map_err(CommandError::environment)?;
        self.remove_dependents(container, how)?;
        claim.withdraw().map_err(error::of_containers)
    }

    /// Removes one.
    pub(super) fn remove(&mut self, container: &Container, how: Removal) -> Result<(), CommandError> {
        self.remove_dependents(container, how)?;
        let ui = &self.call.ui;
        let seized = seize(self.containers, container, how, &mut |waiting| waits(waiting, ui));
        let Some(claim) = seized.map_err(error::of_remove)? else { return Ok(()) };
        if let Some(died) = ended::unseen(self.containers, container) {
            ui.happened(&self.place.events, &[died]);
        }
        self.enter()?;
        // Here, in a session of `unshare`, it would be in the way.
        session::unmount(container, how.force).map_err(super::mount::told)?;
        self.withdraw(container, &claim, how)?;
        let gone = claim.discard();
        if self.with_volumes || container.record.auto_remove {
            let store = Store::open(&self.place.layout()).map_err(CommandError::environment)?;
            volumes::discard(&store, &container.record.volumes()).map_err(CommandError::environment)?;
        }
        if let Some(cidfile) = &container.record.cidfile {
            ctr_core::atomic::remove(cidfile).map_err(CommandError::environment)?;
        }
        gone.map_err(|error: ContainersError| error::of_containers(error))?;
        happened(self.call, self.place, &Who::from(&container.record), &[Event::Remove]);
        Ok(())
    }
}
