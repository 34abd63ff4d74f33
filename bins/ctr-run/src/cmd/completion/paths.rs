//! Paths inside images and containers, for shells that complete them.
//!
//! They are read layer by layer, as `diff` does: nothing is mounted, and no container is held up. What is in there was
//! written by others, and a shell puts what it is told on the user's command line as it is: a name that a shell would
//! read as anything but itself is not told.

use std::path::Path;

use ctr_cli::Globals;
use ctr_cli::complete::Proposal;
use ctr_cli::log::Level;
use ctr_cli::ui::Ui;
use ctr_cli::voice::Voice;
use ctr_core::limits;
use ctr_pods::containers::Containers;
use ctr_pods::layers;
use ctr_store::Store;
use ctr_store::overlay::View;

use crate::place::Place;

/// The paths of an image that begin with what was typed.
pub(super) fn of_image(name: &str, typed: &str) -> Option<Vec<Proposal>> {
    let (place, store) = open()?;
    let image = store.resolve(name, None).ok()?;
    let a = place.enter(false, &silent()).ok()?;
    let view = layers::of_image(&store, &image, a.key).ok()?;
    Some(proposals(found(&view, typed)?, ""))
}

/// What `cp` takes: containers, then the paths in the one that was typed.
pub(super) fn to_copy(typed: &str) -> Option<Vec<Proposal>> {
    let Some((name, path)) = typed.split_once(':') else {
        let all = super::containers()?.into_iter().filter(|one| one.word.starts_with(typed));
        return Some(all.map(|one| Proposal { word: format!("{}:", one.word), ..one }).collect());
    };
    let (place, store) = open()?;
    let container = Containers::new(&place.dirs).find(name).ok()?;
    let a = place.enter(false, &silent()).ok()?;
    let view = layers::of_container(&store, &container, a.key).ok()?;
    Some(proposals(found(&view, path)?, &format!("{name}:")))
}

fn open() -> Option<(Place, Store)> {
    let place = Place::find(&Globals::here()).ok()?;
    if !place.dirs.data.exists() {
        return None;
    }
    let store = Store::open(&place.layout()).ok()?;
    Some((place, store))
}

/// A shell shows no errors.
fn silent() -> Ui {
    Ui::new(Voice::Ctr, Level::Panic)
}

fn proposals(paths: Vec<String>, before: &str) -> Vec<Proposal> {
    paths.into_iter().map(|path| Proposal::new(format!("{before}{path}"), "")).collect()
}

/// The paths of a view that begin with what was typed, spelled as it was: what is in a directory, if it is one, else what
/// begins like it. Directories end with a slash.
fn found(view: &View, typed: &str) -> Option<Vec<String>> {
    let typed = if typed.is_empty() { "/" } else { typed };
    let is_dir = |path: &str| Some(view.follow(Path::new(path)).ok()??).filter(|node| node.stat.is_dir());
    let (dir, shown, base) = match is_dir(typed) {
        Some(dir) => (dir, typed, ""),
        None => {
            let (shown, base) = typed.split_at(typed.rfind('/').map_or(0, |slash| slash + 1));
            (is_dir(shown)?, shown, base)
        }
    };
    let slash = if shown.is_empty() || shown.ends_with('/') { "" } else { "/" };
    let children = view.few_children(&dir, limits::COMPLETIONS).ok()??;
    if children.is_empty() && base.is_empty() {
        return Some(vec![format!("{shown}{slash}")]);
    }
    let named = children.into_iter().filter_map(|(name, node)| {
        let name = name.into_string().ok().filter(|name| name.starts_with(base) && is_plain(name))?;
        Some(format!("{shown}{slash}{name}{}", if node.stat.is_dir() { "/" } else { "" }))
    });
    Some(named.collect())
}

/// Whether every shell reads a name as itself.
fn is_plain(name: &str) -> bool {
    name.chars().all(|letter| letter.is_alphanumeric() || "._-+@%,:=".contains(letter))
}

#[cfg(test)]
mod tests {
    use std::fs::{create_dir_all, write};
    use std::os::unix::fs::symlink;

    use ctr_core::rooted::Root;

    use super::*;

    #[test]
    fn paths_are_spelled_as_they_were_begun() {
        let dir = tempfile::tempdir().unwrap();
        for folder in ["etc/apk", "usr/bin", "empty", "home"] {
            create_dir_all(dir.path().join(folder)).unwrap();
        }
        for file in ["etc/os-release", "etc/$(id)", "etc/a b", "etc/x\ny", "etc/`a`", "usr/bin/größe"] {
            write(dir.path().join(file), "").unwrap();
        }
        symlink("usr/bin", dir.path().join("bin")).unwrap();
        let view = View::of(vec![Root::open(dir.path()).unwrap()]);
        for (typed, expected) in [
            ("", &["/bin", "/empty/", "/etc/", "/home/", "/usr/"][..]),
            ("/etc", &["/etc/apk/", "/etc/os-release"]),
            ("/etc/", &["/etc/apk/", "/etc/os-release"]),
            ("/etc/os-", &["/etc/os-release"]),
            ("e", &["empty/", "etc/"]),
            ("../../h", &["../../home/"]),
            ("../..", &["../../bin", "../../empty/", "../../etc/", "../../home/", "../../usr/"]),
            ("/empty", &["/empty/"]),
            ("/bin/", &["/bin/größe"]),
            ("/etc/no", &[]),
        ] {
            assert_eq!(found(&view, typed).unwrap(), expected, "{typed}");
        }
        assert_eq!(found(&view, "/none/x"), None);
    }
}
