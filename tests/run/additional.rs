//! Additional image stores: listed, run and inspected where they are, and never changed.

use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use ctr_tests::env::Invocation;
use ctr_tests::image::{Image, Layer};
use ctr_tests::{BUSYBOX, Env, needs};

const FAR: &str = "localhost/far:latest";

/// A store beside the user's own, with an image whose files have several owners.
fn store(env: &Env, name: &str) -> PathBuf {
    let path = env.path(name);
    let layer = Layer::new().file("far", 0o644, "from afar").dir("closed/", 0o700);
    let image = Image::busybox(FAR, [layer]).docker_archive();
    let _loaded = env.ctr(["--root"]).args([&path]).args(["load", "-q"]).stdin(image).run().success();
    path
}

fn with<'a>(env: &'a Env, store: &Path, args: &[&str]) -> Invocation<'a> {
    let option = format!("overlay.additionalimagestore={}", store.display());
    env.ctr(["--storage-opt", &option]).args(args)
}

/// All that is below a path, and when each file there was changed. What a load flushes in the background does not count.
fn picture(path: &Path) -> BTreeMap<PathBuf, (i64, i64)> {
    let mut all = BTreeMap::new();
    let mut todo = vec![path.to_owned()];
    while let Some(path) = todo.pop() {
        let meta = std::fs::symlink_metadata(&path).expect("what was listed");
        if meta.is_dir() {
            // Contents of trees belong to other ids.
            let entries = std::fs::read_dir(&path).into_iter().flatten();
            todo.extend(entries.map(|entry| entry.expect("an entry").path()));
            all.insert(path, (0, 0));
        } else if !path.ends_with("synced") {
            all.insert(path, (meta.ctime(), meta.ctime_nsec()));
        }
    }
    all
}

fn assert_untouched(path: &Path, before: &BTreeMap<PathBuf, (i64, i64)>) {
    let now = picture(path);
    let differs = |(name, time): &(&PathBuf, &(i64, i64))| before.get(*name) != Some(time);
    let new: Vec<_> = now.iter().filter(differs).collect();
    let gone: Vec<_> = before.keys().filter(|name| !now.contains_key(*name)).collect();
    assert!(new.is_empty() && gone.is_empty(), "written: {new:?}, removed: {gone:?}");
}

/// Folders of a store that are ours, not an image's.
fn folders(path: &Path) -> Vec<PathBuf> {
    let mut all = vec![path.to_owned()];
    let mut at = 0;
    while let Some(path) = all.get(at).cloned() {
        at += 1;
        let inner = std::fs::read_dir(&path).expect("a folder").map(|entry| entry.expect("an entry"));
        let inner = inner.filter(|entry| entry.file_type().expect("a kind").is_dir());
        all.extend(
            inner
                .filter(|entry| !["fs", "places"].iter().any(|name| entry.file_name() == *name))
                .map(|it| it.path()),
        );
    }
    all
}

fn set_mode(path: &Path, mode: u32) {
    for folder in folders(path) {
        std::fs::set_permissions(folder, std::fs::Permissions::from_mode(mode)).expect("a mode");
    }
}

fn count(path: &Path) -> usize {
    std::fs::read_dir(path).map_or(0, Iterator::count)
}

#[test]
fn images_of_a_store_that_nobody_may_write_to_are_used_where_they_are() {
    needs!(Userns, Overlay);
    let env = Env::with_busybox();
    let far = store(&env, "far");
    set_mode(&far, 0o500);
    let before = picture(&far);
    let with = |args: &[&str]| with(&env, &far, args);

    let list = ["images", "--format", "{{.Repository}} {{.ReadOnly}}", "--sort", "repository"];
    assert_eq!(with(&list).run().success(), "localhost/busybox false\nlocalhost/far true");
    for (value, name) in [("true", "localhost/far"), ("false", "localhost/busybox")] {
        let filter = format!("readonly={value}");
        let list =
            with(&["images", "--filter", &filter, "--format", "table {{.Repository}}\t{{.IsReadOnly}}"]);
        let list = list.run().success();
        assert!(list.contains(name) && list.lines().count() == 2, "{list}");
    }
    assert_eq!(env.ok(["images", "--format", "{{.Repository}}"]), "localhost/busybox", "only if asked for");
    let id = with(&["image", "inspect", "--format", "{{.Id}}", "far"]).run().success();
    assert_eq!(with(&["inspect", "--format", "{{index .RepoTags 0}}", &id[..12]]).run().success(), FAR);
    assert!(with(&["history", "far"]).run().success().lines().count() > 1);
    let _there = with(&["image", "exists", "far"]).run().success();
    assert!(with(&["image", "diff", "far"]).run().success().contains("/far"));
    let number = ["info", "--format", "{{.Store.ImageStore.Number}}"];
    assert_eq!((with(&number).run().success(), env.ok(number)), ("2".to_owned(), "1".to_owned()));

    let script = "cat /far; echo; stat -c %a /closed; echo new >/far; cat /far";
    let run = ["run", "--rm", FAR, "sh", "-c", script];
    assert_eq!(with(&run).run().success(), "from afar\n700\nnew");
    let mount = ["run", "--rm", "--mount", "type=image,source=far,destination=/i", BUSYBOX, "cat", "/i/far"];
    assert_eq!(with(&mount).run().success(), "from afar");
    let made = with(&["create", "--name", "kept", "far", "cat", "/far"]).run().success();
    assert_eq!(with(&["start", "--attach", "kept"]).run().success(), "from afar");
    assert_eq!(count(&env.store().join("layers")), 1, "busybox is the only layer of ours");
    let said = env.ctr(["start", "--attach", "kept"]).run().fails(125);
    assert!(said.contains("there is no image"), "{said}");
    let _removed = env.ok(["rm", &made]);
    let keep = ["run", "--rm", "--userns", "keep-id", "far", "sh", "-c", "cat /far; echo; id -u"];
    let uid = rustix::process::geteuid().as_raw();
    assert_eq!(with(&keep).run().success(), format!("from afar\n{uid}"));

    let archive = env.path("far.tar");
    let _saved = with(&["save", "-q", "-o"]).args([&archive]).args(["far"]).run().success();
    assert!(std::fs::metadata(&archive).expect("an archive").len() > 1000);
    let said = with(&["rmi", "far"]).run().fails(125);
    assert!(said.contains(&format!("cannot remove read-only image \"{id}\"")), "{said}");
    let said = with(&["rmi", "--force", &id]).run();
    assert!(!said.stdout.contains("Untagged"), "{}", said.stdout);
    let said = with(&["untag", "far"]).run().fails(125);
    assert!(said.contains("read-only image"), "{said}");
    for args in [
        &["image", "prune", "--all", "--force"][..],
        &["system", "prune", "--all", "--force"],
        &["system", "gc"],
    ] {
        let _done = with(args).run().success();
    }
    assert_eq!(with(&["images", "-q"]).run().success().lines().count(), 1, "ours went, theirs did not");
    let _all = with(&["rmi", "--all"]).run().success();
    assert_eq!(with(&["run", "--rm", "far", "cat", "/far"]).run().success(), "from afar");
    assert_untouched(&far, &before);
    set_mode(&far, 0o700);
}

/// A mount that the kernel itself lets nobody write to, root of all the user's ids included.
#[test]
fn a_store_on_a_read_only_mount_is_used_where_it_is() {
    needs!(Userns, Overlay);
    let env = Env::with_busybox();
    let far = store(&env, "far");
    let before = picture(&far);
    let script = "mount --bind \"$FAR\" \"$FAR\" && mount -o remount,bind,ro \"$FAR\" || exit 9
        if touch \"$FAR/version\" 2>/dev/null; then exit 8; fi
        far() { ctr --storage-opt \"overlay.additionalimagestore=$FAR\" \"$@\"; }
        far images --format '{{.Repository}} {{.ReadOnly}}' --sort repository
        far run --rm far cat /far; echo
        far run --rm --userns keep-id far cat /far; echo
        far run --name it far sh -c 'cat /far; echo more >/more'; echo
        far commit -q it localhost/mine >it.id
        far run --rm mine cat /more
        far rm it
        far rmi far 2>&1 | grep -c 'read-only image'
        far system gc >/dev/null
        far run --rm -v kept:/closed far touch /closed/x
        far run --rm -v kept:/closed far ls /closed";
    let session = env.ctr(["unshare", "sh", "-c", script]).var("FAR", &far);
    let expected =
        "localhost/busybox false\nlocalhost/far true\nfrom afar\nfrom afar\nfrom afar\nmore\nit\n1\nx";
    assert_eq!(session.run().success(), expected);
    assert_untouched(&far, &before);
}

#[test]
fn a_tag_and_a_commit_are_of_our_store() {
    needs!(Userns, Overlay);
    let env = Env::new();
    let far = store(&env, "far");
    let before = picture(&far);
    let with = |args: &[&str]| with(&env, &far, args);
    let _tagged = with(&["tag", "far", "localhost/mine:1"]).run().success();
    let list = ["images", "--format", "{{.Repository}} {{.ReadOnly}}", "--sort", "repository"];
    assert_eq!(with(&list).run().success(), "localhost/far true\nlocalhost/mine false");
    assert_eq!(with(&["run", "--rm", "mine:1", "cat", "/far"]).run().success(), "from afar");
    let _made = with(&["run", "--name", "it", "far", "sh", "-c", "echo more >/more"]).run().success();
    let _committed = with(&["commit", "-q", "it", "localhost/more"]).run().success();
    let _gone = with(&["rm", "it"]).run().success();
    assert_eq!(with(&["run", "--rm", "more", "cat", "/far", "/more"]).run().success(), "from afarmore");
    let alone = env.ctr(["run", "--rm", "mine:1", "true"]).run().fails(125);
    assert!(alone.contains("layer") && alone.contains("missing"), "{alone}");
    assert_eq!(with(&["rmi", "mine:1"]).run().success().lines().count(), 2);
    assert_eq!(with(&["run", "--rm", "far", "cat", "/far"]).run().success(), "from afar");
    // What is loaded here is here, whatever others have.
    let layer = Layer::new().file("far", 0o644, "from afar").dir("closed/", 0o700);
    env.ctr(["--storage-opt", &format!("additionalimagestore={}", far.display()), "load", "-q"])
        .stdin(Image::busybox(FAR, [layer]).docker_archive())
        .run()
        .success();
    assert_eq!(env.ok(["run", "--rm", "far", "cat", "/far"]), "from afar");
    let both =
        with(&["images", "-n", "--format", "{{.Repository}}:{{.Tag}} {{.ReadOnly}}", "far"]).run().success();
    assert_eq!(both, format!("{FAR} false\n{FAR} true"));
    assert_untouched(&far, &before);
}

/// As a store looks that another user filled: no tree of it is of our ids.
fn for_other_ids(far: &Path) {
    let keys = folders(far).into_iter().filter(|path| path.join("tree.json").exists());
    for folder in keys {
        std::fs::rename(&folder, folder.with_file_name("0".repeat(32))).expect("a rename");
    }
}

#[test]
fn trees_for_other_ids_are_unpacked_anew_from_what_is_kept() {
    needs!(Userns, Overlay);
    let env = Env::new();
    let far = store(&env, "far");
    for_other_ids(&far);
    let before = picture(&far);
    let with = |args: &[&str]| with(&env, &far, args);
    let run = ["run", "--rm", "far", "sh", "-c", "cat /far; echo; stat -c %u:%g /far"];
    assert_eq!(with(&run).run().success(), "from afar\n0:0");
    assert_eq!(count(&env.store().join("layers")), 2, "in our store");
    assert_eq!(with(&["inspect", "--format", "{{index .RepoTags 0}}", "far"]).run().success(), FAR);
    assert_eq!(
        with(&["images", "--format", "{{.ReadOnly}}"]).run().success(),
        "true",
        "it is not listed twice"
    );
    let mount = ["run", "--rm", "--mount", "type=image,source=far,destination=/i", BUSYBOX, "cat", "/i/far"];
    env.load(&Image::busybox(BUSYBOX, []));
    assert_eq!(with(&mount).run().success(), "from afar");
    let _gone = with(&["rmi", BUSYBOX]).run().success();
    let made = with(&["create", "far", "cat", "/far"]).run().success();
    let _swept = with(&["system", "gc"]).run().success();
    assert_eq!(
        with(&["start", "--attach", &made]).run().success(),
        "from afar",
        "gc keeps what a container needs"
    );
    let _removed = env.ok(["rm", &made]);
    let _swept = with(&["system", "gc"]).run().success();
    assert_eq!((count(&env.store().join("layers")), count(&env.store().join("images"))), (0, 0));
    assert_untouched(&far, &before);
    std::fs::remove_dir_all(far.join("blobs")).expect("the blobs");
    let said = with(&run).run().fails(125);
    assert!(said.contains("is unpacked for other ids, and what it was unpacked from is not kept"), "{said}");
}

#[test]
fn stores_that_are_none() {
    let env = Env::new();
    let file = env.file("file", "");
    let refused = |path: &Path, why: &str| {
        for args in [&["images"][..], &["ps"], &["info"]] {
            let said = with(&env, path, args).run().fails(125);
            let named = format!("cannot use the additional image store {}", path.display());
            assert!(said.contains(&named) && said.contains(why), "{said}");
        }
    };
    refused(&file, "Not a directory");
    refused(&env.path("missing"), "No such file or directory (ENOENT)");
    let said = with(&env, Path::new("relative"), &["ps"]).run().fails(125);
    assert!(said.contains("the path is not absolute"), "{said}");
    let podmans = env.path("podmans");
    std::fs::create_dir_all(podmans.join("overlay-images")).expect("a folder");
    std::fs::write(podmans.join("overlay-images/images.json"), "[]").expect("a file");
    refused(&podmans, "it is one of podman's (containers/storage), which only podman reads");
    let closed = env.path("closed");
    std::fs::create_dir(&closed).expect("a folder");
    std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o000)).expect("a mode");
    refused(&closed, "Permission denied (EACCES)");
    std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o700)).expect("a mode");

    let newer = env.path("newer");
    std::fs::create_dir(&newer).expect("a folder");
    std::fs::write(newer.join("version"), r#"{"format":2}"#).expect("a file");
    let said = with(&env, &newer, &["images"]).run().fails(125);
    assert!(said.contains("was written by a newer version (format 2"), "{said}");
    std::fs::write(newer.join("version"), "{").expect("a file");
    let said = with(&env, &newer, &["images"]).run().fails(125);
    assert!(said.contains("the version file of the store") && said.contains("is damaged"), "{said}");

    let far = store(&env, "far");
    let id = with(&env, &far, &["images", "-q", "--no-trunc"]).run().success();
    let plan = far.join("images").join(id.trim_start_matches("sha256:")).join("plan.json");
    std::fs::write(plan, "{").expect("a file");
    let listed = with(&env, &far, &["images"]).run();
    assert!(listed.stderr.contains("it is in an additional store"), "{}", listed.stderr);
    assert!(listed.success().contains("damaged"));
    let said = with(&env, &far, &["image", "inspect", "far"]).run();
    assert_ne!(said.code(), 0);
}

#[test]
fn storage_conf_names_stores_and_info_lists_them() {
    needs!(Userns, Overlay);
    let env = Env::new();
    let far = store(&env, "shared/ctr");
    let (shared, empty, podmans) = (env.path("shared"), env.path("empty"), env.path("podmans"));
    std::fs::create_dir(&empty).expect("a folder");
    std::fs::create_dir_all(podmans.join("vfs-images")).expect("a folder");
    std::fs::write(podmans.join("vfs-images/images.json"), "[]").expect("a file");
    let conf = format!(
        "[storage]\n[storage.options]\nadditionalimagestores = ['{}', '{}', '$HOME/../work/podmans']",
        shared.display(),
        empty.display()
    );
    let conf = env.file("storage.conf", conf);
    let configured = |args: &[&str]| env.ctr(args).var("CONTAINERS_STORAGE_CONF", &conf);
    let ran = configured(&["run", "--rm", "far", "cat", "/far"]).run();
    assert!(ran.stderr.contains("only podman reads; ignored"), "{}", ran.stderr);
    assert_eq!(ran.success(), "from afar");
    let _listed = configured(&["ps"]).run().success();
    let options = "{{index .Store.GraphOptions \"additionalImageStores\"}}";
    let home = env.home();
    assert_eq!(
        configured(&["info", "--format", options]).run().success(),
        format!("[{} {} {}/../work/podmans]", shared.display(), empty.display(), home.display())
    );
    // Our own store is no other one.
    let root = far.to_str().expect("a path");
    let own = format!("imagestore={root}");
    assert_eq!(
        env.ok(["--root", root, "--storage-opt", &own, "images", "--format", "{{.ReadOnly}}"]),
        "false"
    );
    // Options, and another root, are meant alone.
    for alone in [["--root", "other"], ["--storage-opt", ""]] {
        let said = configured(&alone).args(["run", "--rm", "--pull=never", "far", "true"]).run().fails(125);
        assert!(said.contains("image not known"), "{said}");
    }
    let [one, two] = ["far", "empty"].map(|name| {
        let path = if name == "far" { &far } else { &empty };
        format!("overlay.imagestore={}", path.display())
    });
    let format = "{{index .Store.GraphOptions \"overlay.additionalImageStores\"}} {{index .Store.GraphOptions \"overlay.imagestore\"}}";
    let info = ["info", "--storage-opt", &one, "--storage-opt", &two, "--format", format];
    let (far, empty) = (far.display(), empty.display());
    assert_eq!(env.ok(info), format!("[{far} {empty}] {empty}"));
}
