//! Volumes by themselves: records and names, contents that are filled, packed and unpacked, and what no archive does.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;

use ctr_core::rooted::Root;

use super::{Backing, First, NewVolume, OptionError, Volume, VolumeError};
use crate::testing::{archive, dir, file, hard_link, in_a, names, snapshot, symlink};
use crate::{Driver, Layout, Store};

struct World {
    home: tempfile::TempDir,
    store: Store,
}

fn world() -> World {
    let home = tempfile::tempdir().unwrap();
    let (data, run) = (home.path().join("data"), home.path().join("run"));
    let store = Store::open(&Layout::new(data, run, Driver::Overlay)).unwrap();
    World { home, store }
}

impl World {
    fn make(&self, name: &str) -> Volume {
        self.store.volumes().create(&NewVolume::plain(name.to_owned(), 1)).unwrap()
    }

    /// A record of a container that uses a volume.
    fn user(&self, id: &str, volume: &str) {
        let folder = self.store.layout().containers().join(id);
        fs::create_dir_all(&folder).unwrap();
        let record = serde_json::json!({
            "id": id, "mounts": [{"kind": "bind"}, {"kind": "volume", "volume": volume}]
        });
        fs::write(folder.join("record.json"), record.to_string()).unwrap();
    }

    /// What an image has at a place.
    fn place(&self) -> PathBuf {
        let place = self.home.path().join("image/place");
        fs::create_dir_all(place.join("inner")).unwrap();
        fs::write(place.join("file"), "of the image").unwrap();
        fs::set_permissions(place.join("file"), fs::Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink("/etc/shadow", place.join("inner/link")).unwrap();
        std::os::unix::fs::lchown(place.join("file"), Some(7), Some(8)).unwrap();
        std::os::unix::fs::lchown(&place, Some(7), Some(8)).unwrap();
        fs::set_permissions(&place, fs::Permissions::from_mode(0o1770)).unwrap();
        place
    }
}

fn first(place: Option<&Root>) -> First<'_> {
    First { place, copies: true, adopts: true, uid: 5, gid: 6 }
}

fn top(volume: &Volume) -> (u32, u32, u32) {
    let meta = fs::metadata(volume.mountpoint()).unwrap();
    (meta.uid(), meta.gid(), meta.mode() & 0o7777)
}

#[test]
fn made_once_found_by_its_beginning_and_removed() {
    let world = world();
    let volumes = world.store.volumes();
    world.make("data");
    assert!(matches!(
        volumes.create(&NewVolume::plain("data".to_owned(), 2)),
        Err(VolumeError::Exists(name)) if name == "data"
    ));
    world.make("database");
    assert_eq!(volumes.find("data").unwrap().record.name, "data", "a whole name before beginnings");
    assert!(matches!(volumes.find("dat"), Err(VolumeError::Ambiguous(_))));
    assert_eq!(volumes.find("datab").unwrap().record.name, "database");
    volumes.remove("data").unwrap().delete().unwrap();
    assert!(names(&world.store.layout().trash()).is_empty());
    assert!(matches!(volumes.remove("data"), Err(VolumeError::NotFound(_))));
    assert!(matches!(volumes.get("data"), Err(VolumeError::NotFound(_))));
    assert_eq!(volumes.list().unwrap().good.len(), 1);
}

#[test]
fn names_that_are_none() {
    let world = world();
    let long = "a".repeat(256);
    for name in ["", ".", "..", "a/b", "../x", "-x", ".x", "a b", "a\0", long.as_str()] {
        let error = world.store.volumes().create(&NewVolume::plain(name.to_owned(), 1)).unwrap_err();
        assert!(matches!(error, VolumeError::BadName(_)), "{name:?}");
        assert!(matches!(world.store.volumes().remove(name), Err(VolumeError::NotFound(_))), "{name:?}");
        assert!(matches!(world.store.volumes().find(name), Err(VolumeError::NotFound(_))), "{name:?}");
    }
}

#[test]
fn what_a_container_names_stays() {
    let world = world();
    world.make("used");
    world.user("abc", "used");
    let error = world.store.volumes().remove("used").unwrap_err();
    assert_eq!(
        error.to_string(),
        "volume used is being used by the following container(s): abc: volume is being used"
    );
    fs::remove_dir_all(world.store.layout().containers().join("abc")).unwrap();
    world.store.volumes().remove("used").unwrap().delete().unwrap();
}

#[test]
fn who_is_about_to_use_one_keeps_it() {
    let world = world();
    let held = world.store.volumes().hold(&NewVolume::plain("new".to_owned(), 1)).unwrap();
    assert_eq!(held.volume.record.name, "new");
    let lock = world.store.layout().volumes().join("new/lock");
    assert!(super::try_lock(&lock).unwrap().is_none(), "removing would wait");
    drop(held);
    assert!(super::try_lock(&lock).unwrap().is_some());
}

#[test]
fn what_is_no_volume_is_swept_and_a_broken_one_harms_nobody() {
    let world = world();
    let folder = world.store.layout().volumes();
    world.make("whole");
    world.make("broken");
    fs::write(folder.join("broken/volume.json"), "{").unwrap();
    fs::create_dir_all(folder.join("half/_data")).unwrap();
    fs::create_dir(folder.join("whole/fill-1")).unwrap();
    let listing = world.store.volumes().list().unwrap();
    assert_eq!(listing.good.len(), 1);
    assert_eq!(listing.damaged, ["broken"]);
    // One that has not even a lock is in the making.
    assert_eq!(world.store.volumes().sweep().unwrap(), 2);
    assert_eq!(names(&folder.join("whole")), ["_data", "lock", "volume.json"]);
    assert!(!folder.join("half").exists());
    assert!(folder.join("broken").exists());
}

#[test]
fn options_of_the_local_driver() {
    let of = |pairs: &[(&str, &str)]| {
        let options: BTreeMap<String, String> =
            pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Backing::of(&options)
    };
    assert_eq!(of(&[]).unwrap().backing, Backing::Folder);
    assert_eq!(
        of(&[("o", "uid=5,gid=6,nocopy")]).unwrap(),
        super::Asked { backing: Backing::Folder, uid: Some(5), gid: Some(6) }
    );
    let memory = of(&[("type", "tmpfs"), ("device", "tmpfs"), ("o", "size=2M,mode=700,uid=3")]).unwrap();
    let options = ["size=2M", "mode=700", "uid=3"].map(str::to_owned).to_vec();
    assert_eq!(memory.backing, Backing::Tmpfs { options });
    let bind = of(&[("type", "none"), ("device", "/x"), ("o", "bind,ro")]).unwrap().backing;
    assert!(
        matches!(bind, Backing::Bind { device, options } if device.as_os_str() == "/x" && options == ["bind", "ro"])
    );
    assert_eq!(of(&[("x", "y")]), Err(OptionError::Unknown("x".to_owned())));
    assert_eq!(of(&[("o", "size=5")]), Err(OptionError::Quota));
    assert_eq!(of(&[("type", "tmpfs"), ("o", "inodes=5")]), Err(OptionError::Inodes));
    assert_eq!(of(&[("type", "nfs"), ("device", "h:/x")]), Err(OptionError::RootOnly("nfs".to_owned())));
    assert_eq!(of(&[("device", "/dev/sda")]), Err(OptionError::RootOnly("none".to_owned())));
    assert!(matches!(of(&[("o", "uid=x")]), Err(OptionError::Number { .. })));
    assert!(matches!(of(&[("type", "bind")]), Err(OptionError::NoDevice(_))));
    for (kind, option) in [("bind", "lowerdir=/x"), ("tmpfs", "huge=always"), ("tmpfs", "context=x")] {
        let refused = of(&[("type", kind), ("device", "/x"), ("o", option)]);
        assert!(matches!(refused, Err(OptionError::MountOption { .. })), "{kind} {option}");
    }
}

in_a! {
    fn the_first_container_fills_a_volume_and_no_other() {
        let world = world();
        let place = world.place();
        let root = Root::open(&place).unwrap();
        let mut volume = world.make("v");
        volume.fill(&first(Some(&root))).unwrap();
        let before = snapshot(&place);
        assert_eq!(snapshot(&volume.mountpoint()), before, "owners, modes, times and the top's too");
        assert!(!volume.record.needs_copy_up && !volume.record.needs_chown);
        let folder = world.store.layout().volumes().join("v");
        assert!(!folder.join("fill").exists());
        // What was removed in there stays removed.
        fs::remove_file(volume.mountpoint().join("file")).unwrap();
        let mut again = world.store.volumes().get("v").unwrap();
        again.fill(&first(Some(&root))).unwrap();
        assert!(!again.mountpoint().join("file").exists());
    }

    fn an_empty_place_gives_its_owner_until_something_is_there() {
        let world = world();
        let mut volume = world.make("v");
        volume.fill(&first(None)).unwrap();
        assert_eq!(top(&volume), (5, 6, 0o755), "the user of the process");
        assert!(volume.record.needs_copy_up && volume.record.needs_chown);
        let empty = world.home.path().join("empty");
        fs::create_dir(&empty).unwrap();
        std::os::unix::fs::lchown(&empty, Some(9), Some(9)).unwrap();
        fs::set_permissions(&empty, fs::Permissions::from_mode(0o700)).unwrap();
        volume.fill(&first(Some(&Root::open(&empty).unwrap()))).unwrap();
        assert_eq!(top(&volume), (9, 9, 0o700), "the image's folder");
        fs::write(volume.mountpoint().join("own"), "").unwrap();
        volume.fill(&first(None)).unwrap();
        assert_eq!(top(&volume), (9, 9, 0o700), "it has contents now");
        let place = world.place();
        volume.fill(&first(Some(&Root::open(&place).unwrap()))).unwrap();
        assert_eq!(names(&volume.mountpoint()), ["own"], "what is not empty is not copied into");
    }

    fn nocopy_and_own_owners_are_kept() {
        let world = world();
        let place = world.place();
        let root = Root::open(&place).unwrap();
        let mut volume = world.make("v");
        volume.fill(&First { copies: false, ..first(Some(&root)) }).unwrap();
        assert_eq!(names(&volume.mountpoint()), Vec::<String>::new());
        let mut owned = NewVolume::plain("owned".to_owned(), 1);
        (owned.uid, owned.gid) = (Some(3), Some(4));
        let mut owned = world.store.volumes().create(&owned).unwrap();
        owned.fill(&first(Some(&root))).unwrap();
        assert_eq!(top(&owned), (3, 4, 0o755));
        assert_eq!(names(&owned.mountpoint()), ["file", "inner", "inner/link"]);
    }

    fn what_a_killed_start_had_begun_is_completed() {
        let world = world();
        let mut volume = world.make("v");
        let folder = world.store.layout().volumes().join("v");
        fs::create_dir(folder.join("fill")).unwrap();
        fs::write(folder.join("fill/b"), "of the image").unwrap();
        fs::write(folder.join("fill/c"), "of the image").unwrap();
        fs::write(folder.join("_data/a"), "moved already").unwrap();
        fs::write(folder.join("_data/c"), "newer").unwrap();
        volume.fill(&first(None)).unwrap();
        assert_eq!(names(&volume.mountpoint()), ["a", "b", "c"]);
        assert_eq!(fs::read_to_string(folder.join("_data/c")).unwrap(), "newer");
        assert!(!folder.join("fill").exists() && !volume.record.needs_copy_up);
    }

    fn an_archive_gives_the_same_volume_again() {
        let world = world();
        let place = world.place();
        let mut volume = world.make("one");
        volume.fill(&first(Some(&Root::open(&place).unwrap()))).unwrap();
        let data = volume.mountpoint();
        fs::write(data.join(".wh.name"), "a name like any other").unwrap();
        fs::hard_link(data.join("file"), data.join("other")).unwrap();
        let bytes = volume.export(Vec::new()).unwrap();
        let other = world.make("two");
        other.import(bytes.as_slice()).unwrap();
        let mut wanted = snapshot(&data);
        let mut got = snapshot(&other.mountpoint());
        // The top is the volume's, not the archive's.
        wanted.remove(&PathBuf::new());
        got.remove(&PathBuf::new());
        assert_eq!(got, wanted);
        assert_eq!(top(&other).2, 0o755);
        assert_eq!(other.export(Vec::new()).unwrap(), bytes);
    }

    fn an_archive_is_added_to_what_is_there() {
        let world = world();
        let volume = world.make("v");
        let data = volume.mountpoint();
        fs::create_dir(data.join("dir")).unwrap();
        fs::write(data.join("dir/own"), "stays").unwrap();
        fs::write(data.join("file"), "goes").unwrap();
        fs::set_permissions(data.join("dir"), fs::Permissions::from_mode(0o700)).unwrap();
        volume.import(archive(&[file("dir/new", "n"), file("file", "new")]).as_slice()).unwrap();
        assert_eq!(names(&data), ["dir", "dir/new", "dir/own", "file"]);
        assert_eq!(fs::read_to_string(data.join("file")).unwrap(), "new");
        assert_eq!(fs::metadata(data.join("dir")).unwrap().mode() & 0o7777, 0o700);
    }

    fn hostile_archives_reach_nothing_outside() {
        let world = world();
        let outside = world.home.path().join("outside");
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("canary"), "alive").unwrap();
        let before = snapshot(&outside);
        let away = outside.to_str().unwrap();
        let attacks = [
            vec![file("../../../../outside/canary", "dead")],
            vec![symlink("out", away), file("out/canary", "dead")],
            vec![symlink("out", "../../../../outside"), file("out/canary", "dead"), dir("out/new", 0o777)],
            vec![hard_link("mine", &format!("{away}/canary")), file("mine", "dead")],
            vec![symlink("out", away), hard_link("mine", "out/canary"), file("mine", "dead")],
        ];
        for (number, items) in attacks.iter().enumerate() {
            let volume = world.make(&format!("v{number}"));
            // Refused, or inside: both are fine.
            let _either = volume.import(archive(items).as_slice());
            assert_eq!(snapshot(&outside), before, "attack {number}");
        }
        let volume = world.make("truncated");
        let whole = archive(&[file("a", &"x".repeat(4096))]);
        volume.import(&whole[..2048]).unwrap_err();
        volume.import(b"no archive at all".as_slice()).unwrap_err();
    }
}
