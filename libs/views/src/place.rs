//! Where a store has its parts, as options and the configuration say.

use std::path::PathBuf;

use ctr_cli::Globals;
use ctr_cli::peers::Sentence;
use ctr_cli::report::CommandError;
use ctr_store::volume::{PlaceError, VolumePath};
use ctr_store::{Driver, Layout};

/// The layout of the store that the options before the verb choose.
///
/// # Errors
/// Its volumes lie somewhere else than an option says.
pub fn layout(
    globals: &Globals,
    data: PathBuf,
    run: PathBuf,
    driver: Driver,
) -> Result<Layout, CommandError> {
    let volume_path = volume_path(globals)?;
    let layout = Layout { volume_path, ..Layout::new(data, run, driver) };
    layout.check_volume_path().map_err(of_place)?;
    Ok(layout)
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
