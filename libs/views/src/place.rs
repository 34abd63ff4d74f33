//! Where a store has its parts, as options and the configuration say.

use std::path::{Path, PathBuf};

use ctr_cli::Globals;
use ctr_cli::peers::Sentence;
use ctr_cli::report::CommandError;
use ctr_cli::ui::Ui;
use ctr_core::paths::Dirs;
use ctr_store::additional::{self, AdditionalError, Found};
use ctr_store::volume::{PlaceError, VolumePath};
use ctr_store::{Driver, Layout};

/// The layout of the store that the options before the verb choose.
///
/// # Errors
/// Its volumes lie somewhere else than an option says, or an additional store is none.
pub fn layout(globals: &Globals, own: &Dirs, dirs: Dirs, driver: Driver) -> Result<Layout, CommandError> {
    let Dirs { data, run } = dirs;
    let volume_path = volume_path(globals)?;
    let image_store = image_store(globals, own, &data)?;
    let mut additional = additional(globals, &data)?;
    if let Some(images) = &image_store {
        additional.retain(|store| !is_same(store, &images.data));
        // What is there already is run from there, and stays.
        if data.join("version").exists() {
            additional.insert(0, data.clone());
        }
    }
    let transient = globals.transient_store == Some(true);
    let layout = Layout { image_store, volume_path, additional, transient, ..Layout::new(data, run, driver) };
    layout.check_volume_path().map_err(of_place)?;
    Ok(layout)
}

/// Where images are to be, if not where all else is.
fn image_store(globals: &Globals, own: &Dirs, data: &Path) -> Result<Option<Dirs>, CommandError> {
    let Some(named) = &globals.image_store else { return Ok(None) };
    let path = std::path::absolute(named).map_err(CommandError::environment)?;
    let within = |inner: &Path, outer: &Path| inner.ancestors().skip(1).any(|around| is_same(around, outer));
    if is_same(&path, data) {
        return Ok(None);
    }
    if within(&path, data) || within(data, &path) {
        let (path, data) = (path.display(), data.display());
        return Err(CommandError::user(format!(
            "cannot use the image store {path}: it and the store {data} lie in each other"
        )));
    }
    if matches!(additional::find(&path), Ok(Found::Podmans)) {
        return Err(CommandError::user(format!(
            "cannot use the image store {}: it is one of podman's (containers/storage), which only podman reads",
            path.display()
        )));
    }
    Ok(Some(own.rooted(Some(&path), None)))
}

/// Whether two paths lead to the same folder, be it that it is not there yet.
fn is_same(one: &Path, other: &Path) -> bool {
    let real = |path: &Path| std::fs::canonicalize(path).ok();
    one == other || real(one).is_some_and(|one| real(other) == Some(one))
}

/// The additional stores that are ours. A folder where nothing is yet has no images; one of podman's, which a file that
/// podman reads too may name, is not for us, but nobody may ask us to use it.
fn additional(globals: &Globals, data: &Path) -> Result<Vec<PathBuf>, CommandError> {
    let mut stores = Vec::new();
    for asked in &globals.image_stores {
        match additional::find(&asked.path).map_err(CommandError::user)? {
            Found::Store(store) if !stores.contains(&store) && !is_same(&store, data) => stores.push(store),
            Found::Podmans if asked.insists => {
                return Err(CommandError::user(AdditionalError::Podmans(asked.path.clone()))
                    .hint("podman save IMAGE | ctr load"));
            }
            Found::Store(_) | Found::Podmans | Found::Nothing => {}
        }
    }
    Ok(stores)
}

/// Says which stores of the configuration are not used.
pub fn say(globals: &Globals, ui: &Ui) {
    for asked in globals.image_stores.iter().filter(|asked| !asked.insists) {
        if matches!(additional::find(&asked.path), Ok(Found::Podmans)) {
            ui.warn(&format!("{}; ignored", AdditionalError::Podmans(asked.path.clone())));
        }
    }
}

fn volume_path(globals: &Globals) -> Result<Option<VolumePath>, CommandError> {
    if let Some(path) = &globals.volume_path {
        let path = std::path::absolute(path).map_err(CommandError::environment)?;
        return Ok(Some(VolumePath { path, insists: true }));
    }
    let named = globals.config.volume_path();
    Ok(named.map(|path| VolumePath { path: path.components().collect(), insists: false }))
}

/// Volumes that cannot lie where they are to.
#[must_use]
pub fn of_place(error: PlaceError) -> CommandError {
    let said = match &error {
        PlaceError::Mismatch { there, asked, .. } => Some(format!(
            "database volume path \"{}\" does not match our volume path \"{}\": database configuration mismatch",
            there.display(),
            asked.display()
        )),
        _ => None,
    };
    let error = CommandError::user(error);
    match said {
        Some(said) => error.peer(Sentence::Other(said)),
        None => error,
    }
}
