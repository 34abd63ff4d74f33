//! `ctr system …`: the store as a whole.

use std::collections::BTreeMap;
use std::io::{BufRead, IsTerminal, stdin};
use std::path::Path;

use ctr_cli::app::Call;
use ctr_cli::columns::align;
use ctr_cli::exit::Exit;
use ctr_cli::report::CommandError;
use ctr_cli::template::{Report, asks_for_json};
use ctr_cli::ui::Ui;
use ctr_cli::usage::{Flag, Verb};
use ctr_core::events::Status;
use ctr_core::lock::{Lock, Mode};
use ctr_core::rooted::Root;
use ctr_pods::containers::{Containers, Swept};
use ctr_pods::ended;
use ctr_pods::happened::Who;
use ctr_pods::remove::{Removal, seize};
use ctr_store::gc::Budget;
use ctr_store::image_store::Left;
use ctr_store::volume::VolumeError;
use ctr_store::{Layout, Store};

use crate::error;
use crate::place::{Place, waits};

/// `system gc`.
pub const GC: Verb = Verb::new("", "Remove what nothing refers to").long(
    "Removes what a kill or a full disk left behind: layers, blobs and indexes that belong to no image, and the writable \
     layers of containers that are gone. Images and containers are not touched, tagged or not.",
);

/// `system reset`.
pub const RESET: Verb = Verb::new("[options]", "Reset podman storage")
    .long("Ends all containers and removes them, all images, and everything else that is stored.")
    .flags(&[Flag::bool("force", "Do not prompt for confirmation").short('f')]);

/// `system connection list`.
pub const CONNECTIONS: Verb = Verb::new("[options]", "List destination for the Podman service(s)")
    .long("List destination information for the Podman service(s) in podman configuration. There is no service of ours.")
    .flags(&[
        Flag::string("format", "Custom Go template for printing connections").short('f'),
        Flag::bool("quiet", "Custom Go template for printing connections").short('q'),
    ]);

/// The word that a reset asks for.
const WORD: &str = "reset";

/// Sweeps the store.
///
/// # Errors
/// It cannot be read, or A not be entered to delete what was swept.
pub fn gc(call: &Call) -> Result<Exit, CommandError> {
    let place = Place::find(&call.globals)?;
    let ui = &call.ui;
    if !place.dirs.data.exists() {
        ui.line("nothing to remove: there is no store yet")?;
        return Ok(Exit::SUCCESS);
    }
    let before = free(&place);
    // Layers and writable layers hold files of ids that only A can delete.
    let _a = place.enter_to_remove(ui)?;
    let ended = Containers::new(&place.dirs).sweep().map_err(CommandError::environment)?;
    for Swept { record, unseen } in &ended {
        let Some(record) = record else { continue };
        let removed = Who::from(record).event(Status::Remove);
        let events = if *unseen { vec![ended::killed(record), removed] } else { vec![removed] };
        ui.happened(&place.events, &events);
    }
    let ended = ended.len();
    let store = Store::open(&place.layout()).map_err(CommandError::environment)?;
    let ended_volumes = store.volumes().sweep().map_err(CommandError::environment)?;
    let swept = store
        .sweep(Budget::default(), &mut |waiting| waits(waiting, ui))
        .map_err(CommandError::environment)?;
    store.empty_trash().map_err(CommandError::environment)?;
    // What was loaded by a process that died before it could flush is flushed too.
    store.settle().map_err(CommandError::environment)?;
    for id in &swept.damaged {
        ui.warn(&format!(
            "image {} is damaged and was left; `ctr rmi {}` removes it",
            id.short(),
            id.short()
        ));
    }
    let freed = free(&place).saturating_sub(before);
    ui.line(&format!(
        "removed {} trees, {} blobs, {} indexes, {} unfinished pieces and {ended} containers; {} freed",
        swept.trees,
        swept.blobs,
        swept.indexes,
        swept.sessions + ended_volumes,
        ctr_cli::human::size::human(freed)
    ))?;
    Ok(Exit::SUCCESS)
}

/// Free bytes where the store is, and where its images are.
fn free(place: &Place) -> u64 {
    let mut systems = BTreeMap::new();
    for folder in [place.dirs.data.clone(), place.layout().images_at().data] {
        if let Ok(stat) = rustix::fs::statvfs(&folder) {
            systems.insert(stat.f_fsid, stat.f_bfree.saturating_mul(stat.f_frsize));
        }
    }
    systems.values().sum()
}

/// Removes everything.
///
/// # Errors
/// Nobody confirmed it, or something could not be removed.
pub fn reset(call: &Call) -> Result<Exit, CommandError> {
    let place = Place::find(&call.globals)?;
    let ui = &call.ui;
    if !call.flags.bool("force") && !confirmed(&place, ui)? {
        ui.note("nothing was removed");
        return Ok(Exit::SUCCESS);
    }
    let containers = Containers::new(&place.dirs);
    let mut seized = Vec::new();
    for container in containers.list().map_err(CommandError::environment)? {
        let how = Removal { force: true, grace: Some(std::time::Duration::ZERO) };
        let claim = seize(&containers, &container, how, &mut |waiting| waits(waiting, ui));
        seized.extend(claim.map_err(error::of_remove)?);
    }
    let _a = place.enter_to_remove(ui)?;
    for claim in seized {
        claim.discard().map_err(CommandError::environment)?;
    }
    leave_images(&place, ui)?;
    let _alone = alone(&place, ui)?;
    match place.layout().reset_volumes() {
        Err(error @ VolumeError::Away(_)) => ui.warn(&format!("{error}; they were left")),
        other => other.map_err(CommandError::environment)?,
    }
    let run = |folder: &str| place.dirs.run.join(folder);
    for directory in
        [place.dirs.data.clone(), run("containers"), place.layout().transient_containers(), run("names")]
    {
        empty(&directory).map_err(CommandError::environment)?;
    }
    Ok(Exit::SUCCESS)
}

/// Empties the image store that is not our own, unless others use it. In A.
fn leave_images(place: &Place, ui: &Ui) -> Result<(), CommandError> {
    let layout = place.layout();
    if !layout.images_at().data.exists() {
        return Ok(());
    }
    match layout.leave_image_store(&mut |waiting| waits(waiting, ui)).map_err(CommandError::environment)? {
        Left::Nothing => Ok(()),
        Left::Others(others) => {
            let others: Vec<_> = others.iter().map(|store| store.display().to_string()).collect();
            let path = layout.images_at().data;
            ui.warn(&format!(
                "the image store {} was left: {} uses it too",
                path.display(),
                others.join(", ")
            ));
            Ok(())
        }
        Left::Trash(images) => {
            let store = Store::open(&images).map_err(CommandError::environment)?;
            store.empty_trash().map_err(CommandError::environment)
        }
    }
}

/// Keeps others from publishing into what is being removed.
fn alone(place: &Place, ui: &Ui) -> Result<Option<Lock>, CommandError> {
    let path = Layout { image_store: None, ..place.layout() }.gc_lock();
    if !path.exists() {
        return Ok(None);
    }
    let lock = Lock::acquire(&path, Mode::Exclusive, &mut |waiting| waits(waiting, ui));
    lock.map(Some).map_err(CommandError::environment)
}

/// Asks for the word.
fn confirmed(place: &Place, ui: &Ui) -> Result<bool, CommandError> {
    if !stdin().is_terminal() {
        return Err(CommandError::usage(
            "cannot ask before everything is removed: standard input is no terminal",
        )
        .hint("ctr system reset --force"));
    }
    ui.note("this ends all containers and removes:");
    ui.note(&format!("  - all images, containers and volumes, in {}", place.dirs.data.display()));
    let volumes = place.layout().volumes();
    if !volumes.starts_with(&place.dirs.data) {
        ui.note(&format!("  - the volumes, in {}", volumes.display()));
    }
    if let Some(images) = place.layout().image_store {
        ui.note(&format!("  - the images, in {}, unless another store uses them", images.data.display()));
    }
    ui.note(&format!("  - the state of what runs, in {}", place.dirs.run.display()));
    ui.note(&format!("type `{WORD}` to go on:"));
    let mut answer = String::new();
    stdin().lock().read_line(&mut answer).map_err(CommandError::environment)?;
    Ok(answer.trim() == WORD)
}

/// Something could not be removed.
#[derive(Debug, thiserror::Error)]
#[error("cannot remove {path}")]
struct NotEmptied {
    path: String,
    source: Box<dyn std::error::Error + Send + Sync>,
}

/// Removes all that is in a directory.
fn empty(directory: &Path) -> Result<(), NotEmptied> {
    let failed = |path: &Path, source: Box<dyn std::error::Error + Send + Sync>| NotEmptied {
        path: path.display().to_string(),
        source,
    };
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(err) if err.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(err) => return Err(failed(directory, err.into())),
    };
    let root = Root::open(directory).map_err(|err| failed(directory, err.into()))?;
    for entry in entries {
        let entry = entry.map_err(|err| failed(directory, err.into()))?;
        root.remove_tree(entry.file_name()).map_err(|err| failed(&entry.path(), err.into()))?;
    }
    Ok(())
}

/// Prints the empty set of connections.
///
/// # Errors
/// It cannot be written.
pub fn connections(call: &Call) -> Result<Exit, CommandError> {
    let ui = &call.ui;
    if call.flags.bool("quiet") {
        return Ok(Exit::SUCCESS);
    }
    let columns = match call.flags.get("format") {
        None | Some("") => &["Name", "URI", "Identity", "Default", "ReadWrite"][..],
        Some("tls") => &["Name", "URI", "Identity", "TLSCA", "TLSCert", "TLSKey", "Default", "ReadWrite"],
        Some(format) if asks_for_json(format) => {
            ui.line("[]")?;
            return Ok(Exit::SUCCESS);
        }
        Some(format) => {
            let report = Report::parse("list", format).and_then(|report| report.render(Vec::new(), None));
            ui.print(&report.map_err(CommandError::usage)?)?;
            return Ok(Exit::SUCCESS);
        }
    };
    ui.line(&align(&columns.join("\t")))?;
    Ok(Exit::SUCCESS)
}
