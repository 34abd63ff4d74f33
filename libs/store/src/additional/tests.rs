//! Additional stores: what is found there, that nothing is written there, and what becomes of names and trees of ours.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use ctr_core::Reference;

use super::{AdditionalError, Found, find};
use crate::gc::Budget;
use crate::image::{Damage, ImageError};
use crate::refs::Target;
use crate::remove::RemoveError;
use crate::session::Session;
use crate::tests::{World, world};
use crate::{Driver, Layout, OpenError, Store};

/// Our store, which has the other's images too.
fn above(world: &World) -> Store {
    let (data, run) = (world.home.path().join("ours"), world.home.path().join("our-run"));
    let additional = vec![world.store.layout().data.clone()];
    Store::open(&Layout { additional, ..Layout::new(data, run, Driver::Overlay) }).unwrap()
}

/// All that is below a path, with what tells that somebody wrote.
fn picture(path: &Path) -> BTreeMap<PathBuf, (i64, i64, u64)> {
    let mut all = BTreeMap::new();
    let mut todo = vec![path.to_owned()];
    while let Some(path) = todo.pop() {
        let meta = fs::symlink_metadata(&path).unwrap();
        if meta.is_dir() {
            todo.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
        all.insert(path, (meta.ctime(), meta.ctime_nsec(), meta.size()));
    }
    all
}

fn sweep(store: &Store) {
    store.sweep(Budget { blobs: 0, ..Budget::default() }, &mut |_| {}).unwrap();
    store.empty_trash().unwrap();
}

#[test]
fn what_is_there_is_found_and_never_written_to() {
    let world = world();
    let (image, target) = world.image(Some("quay.io/team/app:1"), &["a", "b"], "amd64");
    let before = picture(&world.store.layout().data);
    let store = above(&world);
    let id = image.id.to_string();
    for name in ["quay.io/team/app:1", "app:1", &id, &id[..5], &format!("app@{}", target.digest())] {
        assert_eq!(store.resolve(name, None).unwrap_or_else(|error| panic!("{name}: {error}")).id, image.id);
    }
    assert!(store.config(image.id).is_ok() && store.manifest(image.id, image.manifest).is_ok());
    assert!(store.missing_trees(&image, world.key).unwrap().is_empty());
    assert!(store.blob(&image.layers[0]).unwrap().is_some());
    assert_eq!(store.tree_keys(&image.layers[0]).unwrap(), [world.key]);
    assert!(store.images().unwrap().is_empty(), "they are not ours");
    assert!(store.names().unwrap().good.is_empty() && store.names_of_all().unwrap().good.len() == 1);
    assert!(!store.owns(&target).unwrap());
    assert!(matches!(
        store.remove("app:1", true, &mut |_| {}),
        Err(RemoveError::ReadOnly { id: it }) if it == id
    ));
    assert!(matches!(store.remove("other", true, &mut |_| {}), Err(RemoveError::Resolve(_))));
    // What is loaded is unpacked here, and lasts.
    let session = Session::begin(&store).unwrap();
    assert!(session.pin_own_tree(&image.layers[0], world.key).unwrap().is_none());
    assert!(session.pin_own_blob(&image.layers[0]).unwrap().is_none());
    drop(session);
    store.settle().unwrap();
    sweep(&store);
    assert_eq!(picture(&world.store.layout().data), before);
}

#[test]
fn a_name_of_ours_takes_the_documents_over() {
    let world = world();
    let (image, target) = world.image(Some("app"), &["a"], "amd64");
    let (_, index) = {
        let session = Session::begin(&world.store).unwrap();
        let document = serde_json::json!({
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [{
                "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": target.digest(), "size": 1,
            }],
        });
        let bytes = document.to_string();
        let digest = ctr_core::Digest::of(bytes.as_bytes());
        session.publish_index(bytes.as_bytes(), digest, &[(target.digest(), target)]).unwrap();
        session.tag(&Reference::parse_local("all").unwrap(), Target::Index { digest }).unwrap();
        (bytes, Target::Index { digest })
    };
    let before = picture(&world.store.layout().data);
    let store = above(&world);
    for (name, target) in [("mine", target), ("every", index)] {
        let session = Session::begin(&store).unwrap();
        session.adopt(&target).unwrap();
        session.adopt(&target).unwrap();
        session.tag(&Reference::parse_local(name).unwrap(), target).unwrap();
    }
    sweep(&store);
    assert!(store.owns(&target).unwrap() && store.owns(&index).unwrap());
    assert!(store.images().unwrap()[0].image.is_ok(), "its layers are where they were");
    assert_eq!(fs::read_dir(store.layout().layers()).unwrap().count(), 0);
    assert_eq!(picture(&world.store.layout().data), before);
    let removed = store.remove("mine", false, &mut |_| {}).unwrap();
    assert_eq!(removed.len(), 2, "ours can go again");
    assert!(store.resolve("app", None).is_ok());

    // Without the additional store it says what is missing.
    let session = Session::begin(&store).unwrap();
    session.adopt(&target).unwrap();
    session.tag(&Reference::parse_local("mine").unwrap(), target).unwrap();
    drop(session);
    let alone = Layout { additional: Vec::new(), ..store.layout().clone() };
    let alone = Store::open(&alone).unwrap();
    let listed = alone.images().unwrap();
    assert!(matches!(
        listed[0].image,
        Err(ImageError::Damaged { source: Damage::Layer(layer), .. }) if layer == image.layers[0]
    ));
}

#[test]
fn a_lost_tree_of_ours_is_swept_whatever_others_have() {
    let world = world();
    let (image, target) = world.image(Some("app"), &["a"], "amd64");
    let store = above(&world);
    let session = Session::begin(&store).unwrap();
    session.adopt(&target).unwrap();
    session.tag(&Reference::parse_local("mine").unwrap(), target).unwrap();
    drop(session);
    let own = store.layout().layers().join(image.layers[0].hex()).join(world.key.to_string());
    fs::create_dir_all(own.join("fs")).unwrap();
    fs::write(own.join("tree.json"), r#"{"boot_id":"another","size":1,"applied":{}}"#).unwrap();
    assert!(
        store.tree(&image.layers[0], world.key).unwrap().is_some_and(|tree| !tree.path.starts_with(&own))
    );
    sweep(&store);
    assert!(!own.exists());
}

#[test]
fn what_a_path_leads_to() {
    let home = tempfile::tempdir().unwrap();
    let path = |name: &str| home.path().join(name);
    for folder in ["empty", "podmans/overlay-images", "ours", "shared/ctr", "shared/vfs-images"] {
        fs::create_dir_all(path(folder)).unwrap();
    }
    for file in [
        "file",
        "podmans/overlay-images/images.json",
        "ours/version",
        "shared/ctr/version",
        "shared/vfs-images/images.json",
    ] {
        fs::write(path(file), "").unwrap();
    }
    assert_eq!(find(&path("empty")).unwrap(), Found::Nothing);
    assert_eq!(find(&path("podmans")).unwrap(), Found::Podmans);
    assert_eq!(find(&path("ours")).unwrap(), Found::Store(path("ours")));
    assert_eq!(find(&path("shared")).unwrap(), Found::Store(path("shared/ctr")), "beside podman's");
    for name in ["file", "missing", "file/below"] {
        assert!(matches!(find(&path(name)), Err(AdditionalError::Unusable { .. })), "{name}");
    }
    assert!(matches!(find(Path::new("relative")), Err(AdditionalError::Relative(_))));
}

#[test]
fn stores_that_cannot_be_read() {
    let world = world();
    let version = world.store.layout().data.join("version");
    let opened = || {
        let (data, run) = (world.home.path().join("ours"), world.home.path().join("our-run"));
        let additional = vec![world.store.layout().data.clone()];
        Store::open(&Layout { additional, ..Layout::new(data, run, Driver::Overlay) }).map(drop)
    };
    fs::write(&version, r#"{"format":1,"ro_compat":["journal"]}"#).unwrap();
    assert!(opened().is_ok(), "it is only read");
    fs::write(&version, r#"{"format":2}"#).unwrap();
    assert!(matches!(opened(), Err(OpenError::Newer { path, .. }) if path == world.store.layout().data));
    fs::write(&version, "{").unwrap();
    assert!(matches!(opened(), Err(OpenError::Version { .. })));
    fs::remove_file(&version).unwrap();
    assert!(matches!(opened(), Err(OpenError::File(_))));
    assert!(!version.exists());
}
