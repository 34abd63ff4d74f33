//! How many bytes containers take.

use ctr_cli::app::Call;
use ctr_cli::report::CommandError;
use ctr_core::paths::Dirs;
use ctr_core::rooted::{Root, Stat, TreeError};
use ctr_pods::containers::Container;
use ctr_store::Store;

use crate::place::Place;

/// The bytes of one container.
#[derive(Debug, Clone, Copy)]
pub(super) struct Size {
    /// Of what it wrote.
    pub(super) own: u64,
    /// With those of its image.
    pub(super) all: u64,
}

/// Counts the bytes of containers, each in turn.
///
/// # Process context
/// It moves this process into A: files of a container belong to every id, so only there all of them can be seen.
pub(super) fn of<'a>(
    call: &Call,
    place: &Place,
    containers: impl Iterator<Item = &'a Container>,
) -> Result<Vec<Size>, CommandError> {
    let store = Store::open(&place.layout()).map_err(CommandError::environment)?;
    let _a = place.enter(false, &call.ui)?;
    containers.map(|container| measure(&store, &place.dirs, container)).collect()
}

fn measure(store: &Store, dirs: &Dirs, container: &Container) -> Result<Size, CommandError> {
    let record = &container.record;
    let layer = dirs.data.join("containers").join(record.id.as_str()).join("upper");
    let own = match Root::open(&layer) {
        Ok(root) => bytes_below(&root).map_err(CommandError::environment)?,
        Err(error) if error.is_missing() => 0,
        Err(error) => return Err(CommandError::environment(error)),
    };
    let image = record.image.and_then(|id| store.image(id).ok()).map_or(0, |image| image.size);
    Ok(Size { own, all: own.saturating_add(image) })
}

/// The sum of the sizes of all files.
fn bytes_below(root: &Root) -> ctr_core::rooted::Result<u64> {
    let mut sum = 0_u64;
    let listed = |errno| TreeError::Refused { verb: "list", path: "/".into(), errno };
    for entry in root.entries("/")?.sorted().map_err(listed)? {
        let stat: Stat = root.lstat(&entry.name)?;
        if stat.is_dir() {
            sum = sum.saturating_add(bytes_below(&root.sub(&entry.name)?)?);
        } else if stat.kind == rustix::fs::FileType::RegularFile {
            sum = sum.saturating_add(stat.size);
        }
    }
    Ok(sum)
}
