//! `mounts.conf`: which of the files counts, and what of it.

use std::path::{Path, PathBuf};

use ctr_cli::app::Call;
use ctr_cli::report::CommandError;
use ctr_core::{file, limits};
use ctr_pods::subscriptions::{self, Subscription};

/// The files, of which the first that is there counts. Root has none of its own.
const MACHINES: [&str; 2] = ["/etc/containers/mounts.conf", "/usr/share/containers/mounts.conf"];

/// What every container gets a copy of. What cannot be used is said, and left out.
///
/// # Errors
/// A file that is there cannot be read.
pub(super) fn find(call: &Call) -> Result<Vec<Subscription>, CommandError> {
    let Some((path, text)) = file(call)? else { return Ok(Vec::new()) };
    let skip = |why: &dyn std::fmt::Display| {
        let line = format!("Failed to mount subscriptions, skipping entry in {}: {why}", path.display());
        call.ui.warn(&line);
    };
    let mut found = Vec::new();
    for line in subscriptions::parse(&text) {
        match line {
            Ok(one) if is_trusted(&one.source)? => found.push(one),
            Ok(one) => skip(&format_args!("others can write {}", one.source.display())),
            Err(error) => skip(&error),
        }
    }
    Ok(found)
}

/// What is not there now may be at a later start.
fn is_trusted(path: &Path) -> Result<bool, CommandError> {
    let trusted = subscriptions::is_trusted(path).map_err(CommandError::environment)?;
    Ok(trusted.unwrap_or(true))
}

/// The file that counts, with its text. One that others can write is said, and counts as empty.
fn file(call: &Call) -> Result<Option<(PathBuf, String)>, CommandError> {
    for path in places(call) {
        match file::read_text(&path, limits::CONFIG_FILE) {
            Ok(_) if !is_trusted(&path)? => {
                call.ui.warn(&format!("others can write {}; ignored", path.display()));
                return Ok(None);
            }
            Ok(text) => return Ok(Some((path, text))),
            Err(error) if error.is_missing() || error.is_below_a_file() => {}
            Err(error) => return Err(CommandError::environment(error)),
        }
    }
    Ok(None)
}

fn places(call: &Call) -> Vec<PathBuf> {
    if let Some(path) = &call.globals.default_mounts_file {
        return vec![path.clone()];
    }
    let home = std::env::var_os("HOME").map(PathBuf::from).filter(|home| home.is_absolute());
    let own = home.filter(|_| !rustix::process::geteuid().is_root());
    let own = own.map(|home| home.join(".config/containers/mounts.conf"));
    let all = own.into_iter().chain(MACHINES.map(PathBuf::from));
    all.filter(|path| call.globals.config.folders.may_have(path)).collect()
}
