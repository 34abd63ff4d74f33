//! Images apart from their containers: `--imagestore`, and `imagestore` of storage.conf.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use ctr_tests::env::Invocation;
use ctr_tests::image::{Image, Layer};
use ctr_tests::{BUSYBOX, Env, needs};

const NEW: &str = "localhost/new:latest";
const NAMES: [&str; 5] = ["images", "--format", "{{.Repository}} {{.ReadOnly}}", "--sort", "repository"];

fn new_image() -> Vec<u8> {
    Image::busybox(NEW, [Layer::new().file("new", 0o644, "of the image store")]).docker_archive()
}

fn with<'a>(env: &'a Env, images: &Path, args: &[&str]) -> Invocation<'a> {
    env.ctr(["--imagestore"]).args([images]).args(args)
}

/// The same of another store.
fn of_other<'a>(env: &'a Env, images: &Path, args: &[&str]) -> Invocation<'a> {
    env.ctr(["--root"]).args([&env.path("other")]).args(["--imagestore"]).args([images]).args(args)
}

fn count(path: &Path) -> usize {
    std::fs::read_dir(path).map_or(0, Iterator::count)
}

/// A folder on another file system than the store's.
fn elsewhere(env: &Env) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir_in("/dev/shm").expect("a folder");
    let device = |path: &Path| std::fs::metadata(path).expect("a folder").dev();
    assert_ne!(device(folder.path()), device(&env.home()), "/dev/shm is a file system of its own");
    let images = folder.path().join("images");
    (folder, images)
}

#[test]
fn new_images_go_there_and_containers_stay_here() {
    needs!(Userns, Overlay);
    let env = Env::with_busybox();
    let (_folder, images) = elsewhere(&env);
    let with = |args: &[&str]| with(&env, &images, args);
    let layers = count(&env.store().join("layers"));
    let _loaded = with(&["load", "-q"]).stdin(new_image()).run().success();
    assert_eq!((count(&images.join("images")), count(&env.store().join("images"))), (1, 1));
    assert_eq!(count(&env.store().join("layers")), layers, "nothing of it is here");
    assert_eq!(with(&NAMES).run().success(), "localhost/busybox true\nlocalhost/new false");
    assert_eq!(env.ok(NAMES), "localhost/busybox false");
    let number = with(&["info", "--format", "{{.Store.ImageStore.Number}} {{.Store.GraphRoot}}"]);
    assert_eq!(number.run().success(), format!("2 {}", env.store().display()));

    let script = "cat /new; echo; echo more >/more; cat /more";
    assert_eq!(with(&["run", "--rm", "new", "sh", "-c", script]).run().success(), "of the image store\nmore");
    assert_eq!(
        with(&["run", "--rm", "--userns", "keep-id", "new", "cat", "/new"]).run().success(),
        "of the image store"
    );
    assert_eq!(with(&["run", "--rm", BUSYBOX, "echo", "from here"]).run().success(), "from here");
    let id = with(&["run", "-d", "--name", "web", "new", "sh", "-c", "echo changed >/new; exec sleep 1000"]);
    let id = id.run().success();
    let upper = env.store().join("containers").join(&id).join("upper");
    assert!(upper.is_dir() && count(&images.join("containers")) == 0);
    while !upper.join("new").exists() {
        std::thread::yield_now();
    }
    assert!(with(&["diff", "web"]).run().success().contains("C /new"));
    let _committed = with(&["commit", "-q", "web", "localhost/mine"]).run().success();
    assert_eq!((count(&images.join("images")), count(&env.store().join("images"))), (2, 1));
    assert_eq!(with(&["run", "--rm", "mine", "cat", "/new"]).run().success(), "changed");

    // What is about the container alone needs no images; a start does.
    assert_eq!(env.ok(["exec", "web", "cat", "/new"]), "changed");
    assert_eq!(env.ok(["stop", "-t", "0", "web"]), "web");
    let said = env.ctr(["start", "web"]).run().fails(125);
    assert!(said.contains("there is no image"), "{said}");
    assert_eq!(with(&["start", "web"]).run().success(), "web");
    let _swept = env.ok(["system", "gc"]);
    let _swept = with(&["system", "gc"]).run().success();
    assert_eq!(env.ok(["exec", "web", "cat", "/new"]), "changed");
    assert_eq!(env.ok(["rm", "-f", "-t", "0", "web"]), "web");

    // A volume is of the store, and so is its trash, which no rename from here to there would reach.
    let _filled = with(&["run", "--rm", "-v", "named:/etc", "new", "true"]).run().success();
    assert!(env.store().join("volumes/named/_data").is_dir());
    assert_eq!(with(&["volume", "rm", "named"]).run().success(), "named");
    assert_eq!(with(&["run", "--rm", "localhost/hello"]).run().code(), 0);
    assert_eq!(count(&env.store().join("images")), 1, "and that it brings along goes there too");

    let said = with(&["rmi", BUSYBOX]).run().fails(125);
    assert!(said.contains("cannot remove read-only image"), "{said}");
    assert_eq!(with(&["rmi", "mine"]).run().success().lines().count(), 2);
    let _all = with(&["rmi", "--all", "--force"]).run().success();
    let _swept = with(&["system", "gc"]).run().success();
    assert_eq!((count(&images.join("layers")), count(&images.join("trash"))), (0, 0));
    assert_eq!(env.ok(["run", "--rm", BUSYBOX, "echo", "still here"]), "still here");
}

#[test]
fn what_containers_of_another_store_stand_on_is_spared() {
    needs!(Userns, Overlay);
    let env = Env::new();
    let images = env.path("images");
    let alone = |args: &[&str]| env.ctr(["--root"]).args([&images]).args(args);
    let _loaded = with(&env, &images, &["load", "-q"]).stdin(new_image()).run().success();
    let made = of_other(&env, &images, &["create", "--name", "far", "new", "cat", "/new"]).run().success();
    let transient = of_other(&env, &images, &["--transient-store", "create", "new", "true"]).run().success();
    assert_eq!(env.ok(["ps", "-aq"]), "");
    for (number, container) in [&made, &transient].into_iter().enumerate() {
        for who in [&alone as &dyn Fn(&[&str]) -> _, &|args| with(&env, &images, args)] {
            let said = who(&["rmi", "new"]).run().fails(2);
            assert!(
                said.contains("is used by the container") && (number == 0 || said.contains(container)),
                "{said}"
            );
            let _swept = who(&["system", "gc"]).run().success();
            let _pruned = who(&["image", "prune", "--all", "--force"]).run();
        }
        if number == 0 {
            let start = of_other(&env, &images, &["start", "--attach", "far"]).run().success();
            assert_eq!(start, "of the image store");
        }
        let _removed = of_other(&env, &images, &["rm", container]).run().success();
    }
    assert!(alone(&["rmi", "new"]).run().success().contains("Untagged"));
    assert_eq!(count(&images.join("layers")), 0);
}

#[test]
fn the_file_names_one_too_and_some_are_refused() {
    needs!(Userns, Overlay);
    let env = Env::new();
    let (shared, other) = (env.path("shared"), env.path("images"));
    let conf = env.file("storage.conf", format!("[storage]\nimagestore = '{}'", shared.display()));
    let configured = |args: &[&str]| env.ctr(args).var("CONTAINERS_STORAGE_CONF", &conf);
    let _loaded = configured(&["load", "-q"]).stdin(new_image()).run().success();
    assert_eq!(count(&shared.join("ctr/images")), 1, "podman's folder is shared, its store is not");
    assert_eq!(configured(&["run", "--rm", "new", "cat", "/new"]).run().success(), "of the image store");
    assert!(!configured(&["doctor"]).run().success().contains("imagestore"));
    let named = env.path("elsewhere").display().to_string();
    assert_eq!(
        configured(&["--root", &named, "images", "-q"]).run().success(),
        "",
        "it means that store alone"
    );
    let option = other.display().to_string();
    assert_eq!(configured(&["--imagestore", &option, "images", "-q"]).run().success(), "");

    std::fs::create_dir_all(env.path("podmans/overlay-images")).expect("a folder");
    let _theirs = env.file("podmans/overlay-images/images.json", "[]");
    let inside = env.store().join("images");
    for (path, words) in [
        (env.path("podmans"), "it is one of podman's"),
        (inside, "lie in each other"),
        (env.store().join("..").join(".."), "lie in each other"),
    ] {
        let said = with(&env, &path, &["images"]).run().fails(125);
        assert!(said.contains(words) && said.contains("cannot use the image store"), "{said}");
    }
    // The store itself is no other one.
    let _same = with(&env, &env.store(), &["load", "-q"]).stdin(new_image()).run().success();
    assert_eq!(env.ok(NAMES), "localhost/new false");
    assert!(!env.store().join("users").exists());
}

#[test]
fn a_reset_empties_it_unless_another_store_uses_it() {
    needs!(Userns, Overlay);
    let env = Env::new();
    let images = env.path("images");
    let _loaded = with(&env, &images, &["load", "-q"]).stdin(new_image()).run().success();
    let _made = of_other(&env, &images, &["create", "new"]).run().success();
    let reset = ["system", "reset", "--force"];
    let said = with(&env, &images, &reset).run();
    assert!(
        said.stderr.contains("was left") && said.stderr.contains("/other uses it too"),
        "{}",
        said.stderr
    );
    assert_eq!((said.code(), count(&images.join("images"))), (0, 1));
    std::fs::write(images.join("unrelated"), "not ours").expect("a file");
    let said = of_other(&env, &images, &reset).run();
    assert_eq!((said.code(), said.stderr.as_str()), (0, ""));
    for folder in ["images", "layers", "refs", "trash"] {
        assert_eq!(count(&images.join(folder)), 0, "{folder}");
    }
    assert!(images.join("unrelated").exists());
}
