//! Volumes that lie elsewhere: the decision, what is not ours, removal beside them, and folders that are away.

use std::fs;
use std::path::{Path, PathBuf};

use super::{MARK, PlaceError, VolumePath};
use crate::testing::names;
use crate::volume::{NewVolume, VolumeError};
use crate::{Driver, Layout, OpenError, Store};

struct World {
    home: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        Self { home: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    fn layout(&self, store: &str, asked: Option<(&Path, bool)>) -> Layout {
        let layout = Layout::new(self.path(store), self.path("run"), Driver::Overlay);
        let volume_path = asked.map(|(path, insists)| VolumePath { path: path.to_owned(), insists });
        Layout { volume_path, ..layout }
    }

    fn open(&self, store: &str, path: &Path) -> Result<Store, OpenError> {
        Store::open(&self.layout(store, Some((path, true))))
    }
}

fn make(store: &Store, name: &str) -> Result<(), VolumeError> {
    store.volumes().create(&NewVolume::plain(name.to_owned(), 1)).map(drop)
}

fn refused(opened: Result<Store, OpenError>) -> PlaceError {
    match opened {
        Err(OpenError::Volumes(error)) => error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_first_path_holds_for_all_that_comes_later() {
    let world = World::new();
    let path = world.path("some/where");
    assert_eq!(world.layout("data", Some((&path, true))).volumes_in_time(), path, "before there is a store");
    make(&world.open("data", &path).unwrap(), "one").unwrap();
    let later = Store::open(&world.layout("data", None)).unwrap();
    assert_eq!(later.layout().volumes(), path);
    let volume = later.volumes().get("one").unwrap();
    assert_eq!(volume.mountpoint(), path.join("one/_data"));
    assert!(world.open("data", &path).is_ok());
    std::os::unix::fs::symlink(&path, world.path("alias")).unwrap();
    assert!(world.open("data", &world.path("alias")).is_ok(), "the same folder by another way");

    let other = world.path("other");
    assert!(
        matches!(refused(world.open("data", &other)), PlaceError::Mismatch { there, .. } if there == path)
    );
    assert!(!other.exists());
    let configured = world.layout("data", Some((&other, false)));
    assert_eq!(configured.check_volume_path().unwrap(), Some(other.as_path()), "what a file says gives way");
    assert_eq!(Store::open(&configured).unwrap().layout().volumes(), path);
}

#[test]
fn volumes_in_the_store_stay_there() {
    let world = World::new();
    let path = world.path("elsewhere");
    let store = Store::open(&world.layout("data", None)).unwrap();
    make(&store, "one").unwrap();
    assert!(matches!(refused(world.open("data", &path)), PlaceError::Mismatch { .. }));
    store.volumes().remove("one").unwrap().delete().unwrap();
    assert!(world.open("data", &path).is_ok(), "there is nothing that could be lost");
    assert_eq!(store.layout().volumes(), path);
    // The path that they have anyway.
    let own = world.path("second/volumes");
    make(&world.open("second", &own).unwrap(), "one").unwrap();
    assert!(own.join("one").is_dir() && !own.is_symlink());
    assert!(world.open("second", &own).is_ok());
}

#[test]
fn paths_that_cannot_be_used() {
    let world = World::new();
    fs::write(world.path("file"), "").unwrap();
    for path in ["file", "file/below"] {
        assert!(matches!(refused(world.open("data", &world.path(path))), PlaceError::File(_)), "{path}");
    }
    assert!(matches!(refused(world.open("data", Path::new("relative"))), PlaceError::Relative { .. }));
    for path in ["data", "data/images", "data/volumes/inner"] {
        assert!(
            matches!(refused(world.open("data", &world.path(path))), PlaceError::Inside { .. }),
            "{path}"
        );
    }
    let path = world.path("elsewhere");
    let first = world.open("first", &path).unwrap();
    make(&first, "one").unwrap();
    assert!(matches!(
        refused(world.open("second", &path)),
        PlaceError::Taken { store, .. } if store == world.path("first")
    ));
    // A store that is gone has no volumes any more, who comes next has them.
    fs::remove_dir_all(world.path("first")).unwrap();
    let second = world.open("second", &path).unwrap();
    assert_eq!(second.volumes().get("one").unwrap().record.name, "one");
}

#[test]
fn what_is_not_ours_is_let_alone() {
    let world = World::new();
    let path = world.path("elsewhere");
    for folder in ["photos", "locked", "bare/_data"] {
        fs::create_dir_all(path.join(folder)).unwrap();
    }
    fs::write(path.join("photos/one.jpg"), "").unwrap();
    fs::write(path.join("locked/lock"), "").unwrap();
    fs::write(path.join("locked/contents"), "").unwrap();
    fs::write(path.join("file"), "").unwrap();
    let store = world.open("data", &path).unwrap();
    for name in ["photos", "locked", "bare"] {
        assert!(matches!(make(&store, name), Err(VolumeError::Foreign { .. })), "{name}");
    }
    assert!(make(&store, "file").is_err());
    make(&store, "mine").unwrap();
    fs::write(path.join("mine/README"), "of the user").unwrap();
    assert!(
        store.volumes().hold(&NewVolume::plain("mine".to_owned(), 1)).is_ok(),
        "what is published stays so"
    );
    assert_eq!(store.volumes().sweep().unwrap(), 0);
    assert_eq!(store.volumes().list().unwrap().good.len(), 1);
    store.layout().reset_volumes().unwrap();
    assert_eq!(
        names(&path),
        [
            "bare",
            "bare/_data",
            "file",
            "locked",
            "locked/contents",
            "locked/lock",
            "photos",
            "photos/one.jpg"
        ]
    );
}

/// A removal is through once the record is gone, wherever it was killed after that.
#[test]
fn what_a_killed_removal_left_is_swept_into_the_trash_beside_it() {
    let world = World::new();
    let path = world.path("elsewhere");
    let store = world.open("data", &path).unwrap();
    let trash = path.join(MARK).join("trash");
    for name in ["whole", "unnamed", "moved"] {
        make(&store, name).unwrap();
        fs::write(path.join(name).join("_data/file"), "").unwrap();
    }
    fs::remove_file(path.join("unnamed/volume.json")).unwrap();
    drop(store.volumes().remove("moved").unwrap());
    assert_eq!(names(&trash).iter().filter(|name| !name.contains('/')).count(), 1);
    assert!(store.has_trash());
    assert_eq!(store.volumes().sweep().unwrap(), 1);
    store.empty_trash().unwrap();
    assert!(names(&trash).is_empty() && !store.has_trash());
    assert_eq!(fs::read_dir(&path).unwrap().count(), 2, "the mark, and the one that is whole");
    store.volumes().remove("whole").unwrap().delete().unwrap();
    assert!(names(&trash).is_empty());
}

#[test]
fn nothing_is_made_where_the_folder_is_away() {
    let world = World::new();
    let path = world.path("elsewhere");
    let store = world.open("data", &path).unwrap();
    make(&store, "one").unwrap();
    fs::rename(&path, world.path("unmounted")).unwrap();
    fs::create_dir(&path).unwrap();
    let volumes = store.volumes();
    assert!(matches!(make(&store, "two"), Err(VolumeError::Away(at)) if at == path));
    assert!(matches!(volumes.get("one"), Err(VolumeError::Away(_))));
    assert!(matches!(volumes.find("on"), Err(VolumeError::Away(_))));
    assert!(matches!(volumes.list(), Err(VolumeError::Away(_))));
    assert!(matches!(store.layout().reset_volumes(), Err(VolumeError::Away(_))));
    assert_eq!(volumes.sweep().unwrap(), 0);
    store.empty_trash().unwrap();
    assert!(names(&path).is_empty());
}
