//! The store as a whole, without unpacking: trees are made by hand.

use std::fs;

use ctr_core::lock::{Lock, Mode};
use ctr_core::oci::media;
use ctr_core::{Digest, Platform, Reference};
use ctr_userns::map::Key;
use serde_json::json;

use crate::gc::Budget;
use crate::image::{Damage, ImageError, Listed};
use crate::refs::Target;
use crate::remove::{RemoveError, Removed};
use crate::session::{NewImage, Session};
use crate::{Driver, Image, Layout, ResolveError, Store};

type Harm = fn(&std::path::Path);

pub(crate) struct World {
    pub(crate) home: tempfile::TempDir,
    pub(crate) store: Store,
    pub(crate) key: Key,
}

pub(crate) fn world() -> World {
    let home = tempfile::tempdir().unwrap();
    let (data, run) = (home.path().join("data"), home.path().join("run"));
    let store = Store::open(&Layout::new(data, run, Driver::Overlay)).unwrap();
    World { home, store, key: "0123456789abcdef0123456789abcdef".parse().unwrap() }
}

impl World {
    /// Publishes a layer with one file as a tree and a blob.
    pub(crate) fn layer(&self, session: &Session, text: &str) -> Digest {
        let digest = Digest::of(text.as_bytes());
        let stage = session.stage().unwrap();
        fs::create_dir(stage.path().join("fs")).unwrap();
        fs::write(stage.path().join("fs/file"), text).unwrap();
        session.publish_tree(&stage, &digest, self.key, text.len() as u64, json!({})).unwrap();
        let stage = session.stage().unwrap();
        fs::write(stage.path().join("data"), text).unwrap();
        session.publish_blob(&stage, &digest, text.len() as u64, digest, "test").unwrap();
        digest
    }

    /// Publishes an image of these layers, and names it.
    pub(crate) fn image(&self, name: Option<&str>, layers: &[&str], architecture: &str) -> (Image, Target) {
        let session = Session::begin(&self.store).unwrap();
        let layers: Vec<_> = layers.iter().map(|text| self.layer(&session, text)).collect();
        let config = json!({
            "architecture": architecture, "os": "linux", "config": {"Env": ["A=b"]},
            "rootfs": {"type": "layers", "diff_ids": layers},
        })
        .to_string();
        let describe = |digest: &Digest| json!({"mediaType": media::OCI_LAYER, "digest": digest, "size": 1});
        let manifest = json!({
            "schemaVersion": 2,
            "config": {"mediaType": media::OCI_CONFIG, "digest": Digest::of(config.as_bytes()), "size": config.len()},
            "layers": layers.iter().map(describe).collect::<Vec<_>>(),
        })
        .to_string();
        let digest = Digest::of(manifest.as_bytes());
        let new = NewImage { manifest: manifest.as_bytes(), digest, config: config.as_bytes(), size: 7 };
        let image = session.publish_image(&new).unwrap();
        let target = Target::Image { id: image.id, manifest: digest };
        if let Some(name) = name {
            session.tag(&Reference::parse_local(name).unwrap(), target).unwrap();
        } else {
            session.keep(target).unwrap();
        }
        (image, target)
    }

    pub(crate) fn sweep(&self) -> crate::gc::Swept {
        let swept = self.store.sweep(Budget::default(), &mut |_| {}).unwrap();
        self.store.empty_trash().unwrap();
        swept
    }

    fn count(&self, folder: &str) -> usize {
        fs::read_dir(self.store.layout().data.join(folder)).unwrap().count()
    }

    fn remove(&self, name: &str) -> Result<Vec<Removed>, RemoveError> {
        self.store.remove(name, false, &mut |_| {})
    }

    fn unknown(&self, name: &str) -> bool {
        matches!(self.store.resolve(name, None), Err(ResolveError::Unknown { .. }))
    }
}

#[test]
fn an_image_is_found_by_every_way_of_naming_it() {
    let world = world();
    let (image, target) = world.image(Some("quay.io/team/app:1"), &["a", "b"], "amd64");
    let id = image.id.to_string();
    let digested = format!("quay.io/team/app@{}", target.digest());
    for name in [
        "quay.io/team/app:1",
        "team/app:1",
        "app:1",
        &id,
        &id[..12],
        &id[..3],
        &format!("sha256:{id}"),
        &digested,
    ] {
        let found = world.store.resolve(name, None).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!((found.id, found.layers.len()), (image.id, 2), "{name}");
    }
    for name in ["quay.io/team/app", "quay.io/team/app:2", "p:1", "ap", "", "../x", "sha256:", "UPPER", "zz"]
    {
        assert!(world.unknown(name), "{name}");
    }
    let text = world.store.resolve("nope", None).unwrap_err().to_string();
    assert_eq!(text, "nope: image not known");
    let arm = Platform::parse("linux/arm64").unwrap();
    assert!(matches!(world.store.resolve("app:1", Some(&arm)), Err(ResolveError::Platform { .. })));
}

#[test]
fn a_name_wins_over_the_beginning_of_an_id() {
    let world = world();
    let (other, _) = world.image(None, &["a"], "amd64");
    let prefix = &other.id.to_string()[..4];
    let (named, _) = world.image(Some(prefix), &["b"], "amd64");
    assert_eq!(world.store.resolve(prefix, None).unwrap().id, named.id);
    assert_eq!(world.store.resolve(&format!("sha256:{prefix}"), None).unwrap().id, other.id);
}

#[test]
fn an_index_means_the_image_of_a_platform() {
    let world = world();
    let (amd, amd_target) = world.image(None, &["a"], "amd64");
    let (arm, arm_target) = world.image(None, &["a"], "arm64");
    let entry = |target: Target, architecture: &str| {
        json!({"mediaType": media::OCI_MANIFEST, "digest": target.digest(), "size": 1,
               "platform": {"os": "linux", "architecture": architecture}})
    };
    let index = json!({"schemaVersion": 2, "mediaType": media::OCI_INDEX, "manifests": [
        entry(amd_target, "amd64"), entry(arm_target, "arm64"),
    ]})
    .to_string();
    let digest = Digest::of(index.as_bytes());
    let session = Session::begin(&world.store).unwrap();
    let here = [(amd_target.digest(), amd_target), (arm_target.digest(), arm_target)];
    session.publish_index(index.as_bytes(), digest, &here).unwrap();
    session.tag(&Reference::parse_local("multi").unwrap(), Target::Index { digest }).unwrap();
    drop(session);
    let resolve = |platform: &str| {
        let platform = Platform::parse(platform).unwrap();
        world.store.resolve("multi", Some(&platform)).map(|image| image.id)
    };
    assert_eq!(resolve("linux/amd64").unwrap(), amd.id);
    assert_eq!(resolve("linux/arm64").unwrap(), arm.id);
    assert!(matches!(resolve("linux/s390x"), Err(ResolveError::Platform { .. })));
    for target in [amd_target, arm_target] {
        fs::remove_file(world.store.kept_path(target)).unwrap();
    }
    let swept = world.sweep();
    assert_eq!((swept.indexes, swept.images), (0, 0), "an index with a name stays, and so do its images");
    let removed = world.remove("multi").unwrap();
    assert_eq!(removed.len(), 4, "a name, an index, two images: {removed:?}");
    world.sweep();
    for folder in ["refs", "images", "indexes", "layers", "blobs", "trash", "partial"] {
        assert_eq!(world.count(folder), 0, "{folder}");
    }
}

#[test]
fn what_nothing_needs_goes_and_what_is_shared_stays() {
    let world = world();
    world.image(Some("one"), &["shared", "one"], "amd64");
    world.image(Some("two"), &["shared", "two"], "amd64");
    assert_eq!(world.sweep(), crate::gc::Swept::default(), "all of it is needed");
    assert_eq!(world.remove("one").unwrap().len(), 2);
    let swept = world.sweep();
    assert_eq!((swept.trees, swept.blobs), (1, 1));
    assert!(world.store.resolve("two", None).is_ok());
    assert_eq!(world.store.images().unwrap().iter().filter(|listed| listed.image.is_ok()).count(), 1);
}

#[test]
fn a_live_session_keeps_what_it_pins() {
    let world = world();
    let session = Session::begin(&world.store).unwrap();
    let layer = world.layer(&session, "pinned");
    let staged = session.stage().unwrap();
    assert_eq!(world.sweep(), crate::gc::Swept::default());
    assert!(world.store.tree(&layer, world.key).unwrap().is_some());
    assert!(staged.path().exists());
    drop(session);
    let swept = world.sweep();
    assert_eq!((swept.trees, swept.blobs, world.count("partial")), (1, 1, 0));
}

#[test]
fn an_image_that_never_got_a_name_is_garbage() {
    let world = world();
    let (image, target) = world.image(Some("x"), &["a"], "amd64");
    let name = Reference::parse_local("x").unwrap();
    assert!(world.store.untag(&name).unwrap());
    assert_eq!(world.sweep().images, 0, "its name was taken on purpose");
    assert_eq!(world.store.images().unwrap().len(), 1);
    fs::remove_file(world.store.kept_path(target)).unwrap();
    assert_eq!(world.store.images().unwrap().len(), 0, "it is not shown before it counts");
    assert_eq!(world.sweep().images, 1);
    assert!(world.unknown(&image.id.to_string()));
}

#[test]
fn a_name_that_moves_on_keeps_what_it_left() {
    let world = world();
    let (old, old_target) = world.image(Some("x"), &["a"], "amd64");
    let (new, _) = world.image(Some("x"), &["b"], "amd64");
    assert_eq!(world.sweep(), crate::gc::Swept::default());
    assert_eq!(world.store.images().unwrap().len(), 2);
    assert_eq!(world.store.resolve("x", None).unwrap().id, new.id);
    let name = Reference::parse_local("y").unwrap();
    world.store.tag(&name, old_target).unwrap();
    world.sweep();
    assert!(!world.store.kept_path(old_target).exists(), "it has a name again");
    assert!(world.store.image(old.id).is_ok());
}

#[test]
fn a_removal_that_was_cut_short_is_a_removal() {
    let world = world();
    let (image, _) = world.image(Some("x"), &["a"], "amd64");
    fs::rename(world.store.image_path(image.id), world.store.layout().trash().join("1")).unwrap();
    assert!(world.unknown("x"));
    assert_eq!(world.store.names().unwrap().good.len(), 0);
    assert_eq!(world.sweep().images, 1, "the name");
    for folder in ["refs", "images", "layers", "blobs", "trash"] {
        assert_eq!(world.count(folder), 0, "{folder}");
    }
}

#[test]
fn a_session_of_the_dead_is_swept() {
    let world = world();
    let dead = world.store.layout().partial().join("dead");
    fs::create_dir_all(dead.join("0/fs")).unwrap();
    fs::write(world.store.layout().refs().join(".tmp-1234"), "half").unwrap();
    assert_eq!(world.sweep().sessions, 2);
    assert_eq!((world.count("partial"), world.count("refs"), world.count("trash")), (0, 0, 0));
}

#[test]
fn containers_keep_their_image_and_their_layers() {
    let world = world();
    let (image, _) = world.image(Some("used"), &["a"], "amd64");
    let folder = world.store.layout().containers().join("c1");
    fs::create_dir_all(&folder).unwrap();
    let record = json!({"id": "c1", "name": "n", "image": image.id, "layers": image.layers, "more": 1});
    fs::write(folder.join("record.json"), record.to_string()).unwrap();
    assert!(matches!(world.remove("used"), Err(RemoveError::InUse { .. })));
    fs::remove_dir_all(world.store.layout().images().join(image.id.to_string())).unwrap();
    assert_eq!(world.sweep().trees, 0, "the container stands on them");
    fs::remove_dir_all(&folder).unwrap();
    assert_eq!(world.sweep().trees, 1);
}

#[test]
fn what_a_killed_supervisor_left_claims_nothing() {
    let world = world();
    let (image, _) = world.image(Some("used"), &["a"], "amd64");
    let folder = world.store.layout().run_containers().join("c1");
    fs::create_dir_all(&folder).unwrap();
    let record = json!({"id": "c1", "image": image.id, "layers": image.layers});
    fs::write(folder.join("record.json"), record.to_string()).unwrap();
    let lock = Lock::try_acquire(&folder.join("lock"), Mode::Exclusive).unwrap().unwrap();
    assert!(matches!(world.remove("used"), Err(RemoveError::InUse { .. })));
    drop(lock);
    assert!(world.store.claims().unwrap().is_empty());
    assert_eq!(world.remove("used").unwrap().len(), 2);
}

#[test]
fn a_tree_without_contents_of_its_own_is_none() {
    let world = world();
    let (image, _) = world.image(Some("x"), &["a"], "amd64");
    let layer = image.layers[0];
    let note = world.store.layout().layers().join(layer.hex()).join(world.key.to_string()).join("tree.json");
    let mut text: serde_json::Value = serde_json::from_slice(&fs::read(&note).unwrap()).unwrap();
    assert!(text.get("data").is_none());
    text["data"] = world.key.to_string().into();
    fs::write(&note, text.to_string()).unwrap();
    assert!(world.store.tree(&layer, world.key).unwrap().is_none());
    assert_eq!(world.store.missing_trees(&image, world.key).unwrap(), [layer]);
}

#[test]
fn what_was_not_flushed_is_lost_with_the_boot() {
    let world = world();
    let (image, _) = world.image(Some("x"), &["a"], "amd64");
    let layer = image.layers[0];
    let folder = world.store.layout().layers().join(layer.hex()).join(world.key.to_string());
    let forget = || {
        let note = folder.join("tree.json");
        let text = fs::read_to_string(&note).unwrap();
        let mut note_json: serde_json::Value = serde_json::from_str(&text).unwrap();
        note_json["boot_id"] = "another".into();
        fs::write(&note, note_json.to_string()).unwrap();
    };
    forget();
    assert!(world.store.tree(&layer, world.key).unwrap().is_none(), "not trusted after another boot");
    assert_eq!(world.store.missing_trees(&image, world.key).unwrap(), [layer]);
    let listed = world.store.images().unwrap();
    assert!(listed[0].image.is_ok(), "its blob can make the tree again");
    fs::write(folder.join("synced"), "").unwrap();
    assert!(world.store.tree(&layer, world.key).unwrap().is_some(), "flushed");
    fs::remove_file(folder.join("synced")).unwrap();
    // The next one that has the layer replaces what cannot be trusted.
    let session = Session::begin(&world.store).unwrap();
    world.layer(&session, "a");
    drop(session);
    assert!(world.store.tree(&layer, world.key).unwrap().is_some());
}

#[test]
fn settling_marks_all_that_was_published() {
    let world = world();
    let (image, _) = world.image(Some("x"), &["a", "b"], "amd64");
    world.store.settle().unwrap();
    for layer in &image.layers {
        let tree = world.store.layout().layers().join(layer.hex()).join(world.key.to_string());
        assert!(tree.join("synced").exists());
        assert!(world.store.layout().blobs().join(layer.hex()).join("synced").exists());
    }
}

#[test]
fn blobs_over_the_budget_go_when_their_trees_are_flushed() {
    let world = world();
    let (image, _) = world.image(Some("x"), &["aaaa", "bbbb"], "amd64");
    let tight = Budget { blobs: 5, ..Budget::default() };
    assert_eq!(world.store.sweep(tight, &mut |_| {}).unwrap().blobs, 0, "trees could be lost still");
    world.store.settle().unwrap();
    assert_eq!(world.store.sweep(tight, &mut |_| {}).unwrap().blobs, 1);
    assert!(world.store.image(image.id).is_ok());
    assert!(world.store.images().unwrap()[0].image.is_ok(), "the tree is enough");
}

#[test]
fn damage_is_local_and_can_be_removed() {
    let world = world();
    world.image(Some("good"), &["a"], "amd64");
    let damages: [(&str, Harm); 3] = [
        ("plan", |image| fs::write(image.join("plan.json"), "{").unwrap()),
        ("gone", |image| fs::remove_file(image.join("plan.json")).unwrap()),
        ("swapped", |image| {
            let text = fs::read_to_string(image.join("plan.json")).unwrap();
            let mut plan: serde_json::Value = serde_json::from_str(&text).unwrap();
            plan["id"] = "0".repeat(64).into();
            fs::write(image.join("plan.json"), plan.to_string()).unwrap();
        }),
    ];
    for (name, damage) in damages {
        let (image, _) = world.image(Some(name), &[name], "amd64");
        damage(&world.store.layout().images().join(image.id.to_string()));
        assert!(
            matches!(world.store.resolve(name, None), Err(ResolveError::Image(ImageError::Damaged { .. }))),
            "{name}"
        );
        let bad: Vec<Listed> =
            world.store.images().unwrap().into_iter().filter(|listed| listed.image.is_err()).collect();
        assert_eq!(bad.len(), 1, "{name}");
        assert!(world.store.resolve("good", None).is_ok());
        assert_eq!(world.sweep().trees, 0, "its layers are still known from its config");
        assert_eq!(world.remove(&image.id.to_string()).unwrap().len(), 2, "{name}");
        assert_eq!(world.store.images().unwrap().len(), 1);
        assert_eq!(world.sweep().trees, 1, "now they are not needed");
    }
}

#[test]
fn an_image_without_its_layer_is_damaged() {
    let world = world();
    let (image, _) = world.image(Some("x"), &["a"], "amd64");
    fs::remove_dir_all(world.store.layout().layers()).unwrap();
    fs::remove_dir_all(world.store.layout().blobs()).unwrap();
    let listed = world.store.images().unwrap();
    let error = listed[0].image.as_ref().unwrap_err();
    assert!(
        matches!(error, ImageError::Damaged { source: Damage::Layer(layer), .. } if *layer == image.layers[0])
    );
}

#[test]
fn a_damaged_image_is_mended_by_loading_it_again() {
    let world = world();
    let (image, _) = world.image(Some("x"), &["a"], "amd64");
    fs::write(world.store.layout().images().join(image.id.to_string()).join("config"), "other").unwrap();
    assert!(world.store.config(image.id).is_err());
    world.image(Some("x"), &["a"], "amd64");
    assert!(world.store.config(image.id).is_ok());
}

#[test]
fn an_error_of_the_disk_does_not_look_like_an_empty_store() {
    let world = world();
    let (image, _) = world.image(Some("x"), &["a"], "amd64");
    let config = world.store.layout().images().join(image.id.to_string()).join("config");
    fs::remove_file(&config).unwrap();
    fs::create_dir(&config).unwrap();
    assert!(world.store.sweep(Budget::default(), &mut |_| {}).is_err());
    assert_eq!(world.count("layers"), 1, "nothing was taken");
}

#[test]
fn a_damaged_name_does_not_cost_its_image() {
    let world = world();
    let (image, _) = world.image(Some("x"), &["a"], "amd64");
    let name = world.store.layout().refs().join("localhost+x:latest");
    fs::write(&name, "{").unwrap();
    assert_eq!(world.sweep(), crate::gc::Swept::default());
    fs::remove_file(&name).unwrap();
    fs::create_dir(&name).unwrap();
    assert!(world.store.sweep(Budget::default(), &mut |_| {}).is_err(), "an error of the disk stops it");
    assert!(world.store.image(image.id).is_ok());
}

#[test]
fn removal_takes_names_first() {
    let world = world();
    let (image, target) = world.image(Some("a:1"), &["a"], "amd64");
    world.store.tag(&Reference::parse_local("a:2").unwrap(), target).unwrap();
    let id = image.id.to_string();
    assert!(matches!(world.remove(&id), Err(RemoveError::SeveralNames { .. })));
    assert_eq!(world.remove("a:1").unwrap().len(), 1);
    assert!(world.unknown("a:1") && world.store.resolve("a:2", None).is_ok());
    assert_eq!(world.remove(&id[..12]).unwrap().len(), 2);
    assert!(world.unknown(&id));
    assert_eq!(world.store.name_history(image.id), Vec::<String>::new());
}

#[test]
fn an_image_may_have_several_manifests() {
    let world = world();
    let (image, first) = world.image(Some("a"), &["a"], "amd64");
    let config = world.store.config_bytes(image.id).unwrap();
    let old = world.store.manifest_bytes(image.id, image.manifest).unwrap();
    let manifest = String::from_utf8(old).unwrap().replace(media::OCI_LAYER, media::OCI_LAYER_GZIP);
    let digest = Digest::of(manifest.as_bytes());
    let session = Session::begin(&world.store).unwrap();
    let new = NewImage { manifest: manifest.as_bytes(), digest, config: &config, size: 7 };
    session.publish_image(&new).unwrap();
    let second = Target::Image { id: image.id, manifest: digest };
    session.tag(&Reference::parse_local("b").unwrap(), second).unwrap();
    drop(session);
    assert_eq!(world.store.resolve("a", None).unwrap().manifest, first.digest());
    assert_eq!(world.store.resolve("b", None).unwrap().manifest, digest);
    assert_eq!(world.store.manifests(image.id).unwrap().len(), 2);
}

#[test]
fn many_at_once_lose_nothing() {
    let world = world();
    std::thread::scope(|scope| {
        for number in 0..8 {
            let world = &world;
            scope.spawn(move || {
                for round in 0..4 {
                    let (name, own) = (format!("i{number}:{round}"), format!("own {number} {round}"));
                    world.image(Some(&name), &["shared", &own], "amd64");
                    if round % 2 == 0 {
                        world.store.sweep(Budget::default(), &mut |_| {}).unwrap();
                    }
                }
            });
        }
    });
    let good = world.store.images().unwrap().into_iter().filter(|listed| listed.image.is_ok()).count();
    assert_eq!(good, 32);
    assert_eq!(world.store.names().unwrap().good.len(), 32);
    assert_eq!((world.sweep().trees, world.count("partial")), (0, 0));
    assert!(world.home.path().exists());
}
