//! Volumes that lie outside of the store: `--volumepath`, and `volume_path` of containers.conf.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use ctr_tests::env::Invocation;
use ctr_tests::image::{Image, Layer};
use ctr_tests::{BUSYBOX, Env, needs};

use crate::kept::detached;

fn with<'a>(env: &'a Env, path: &Path, args: &[&str]) -> Invocation<'a> {
    env.ctr(["--volumepath"]).args([path]).args(args)
}

fn names(path: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(path)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// A folder on another file system than the store's, where moving to the store's trash would fail.
fn other_file_system(env: &Env) -> tempfile::TempDir {
    let folder = tempfile::tempdir_in("/dev/shm").expect("a folder");
    let device = |path: &Path| std::fs::metadata(path).expect("a folder").dev();
    assert_ne!(device(folder.path()), device(&env.home()), "/dev/shm is a file system of its own");
    folder
}

#[test]
fn volumes_on_another_file_system_are_filled_used_and_removed() {
    needs!(Userns, Overlay);
    let env = Env::new();
    let image = Image::busybox(BUSYBOX, [Layer::new().file("data/file", 0o640, "of the image")]);
    env.load(&image.set("Volumes", serde_json::json!({"/anonymous": {}})));
    let folder = other_file_system(&env);
    let path = folder.path().join("volumes");
    let run =
        ["run", "--rm", "-v", "named:/data", BUSYBOX, "sh", "-c", "cat /data/file; echo more >/data/more"];
    assert_eq!(with(&env, &path, &run).run().success(), "of the image");
    assert_eq!(names(&path), [".ctr", "named"], "the one without a name went with its container");
    assert_eq!(std::fs::read_to_string(path.join("named/_data/more")).expect("a file"), "more\n");
    let info = ["info", "--format", "{{.Store.VolumePath}}"];
    let shown = path.display().to_string();
    assert_eq!(env.ok(info), shown, "the store remembers");
    let mountpoint = ["volume", "inspect", "--format", "{{.Mountpoint}}", "named"];
    assert_eq!(env.ok(mountpoint), format!("{shown}/named/_data"));

    // Whatever comes later finds them without the option: a second container, a monitor, df, removal.
    detached(&env, &["-v", "named:/data"], "one", "sleep 1000");
    let source = "{{range .Mounts}}{{if eq .Destination \"/data\"}}{{.Source}}{{end}}{{end}}";
    assert_eq!(env.ok(["inspect", "--format", source, "one"]), format!("{shown}/named/_data"));
    assert_eq!(names(&path).len(), 3);
    let shared = ["run", "--rm", "--volumes-from", "one", BUSYBOX, "cat", "/data/more"];
    assert_eq!(env.ok(shared), "more");
    let sizes = env.ok(["system", "df", "--format", "{{.Type}} {{.Total}} {{.RawSize}}"]);
    assert!(sizes.contains("Local Volumes 2 17"), "{sizes}");
    let said = env.ctr(["volume", "rm", "named"]).run().fails(2);
    assert!(said.contains("is being used"), "{said}");
    let _replaced = env.ok(["run", "-d", "--rm", "--replace", "--name", "one", BUSYBOX, "true"]);
    let _ended = env.ctr(["wait", "one"]).run();
    // What had no name goes with its monitor.
    while names(&path).len() != 2 {
        std::thread::yield_now();
    }
    let archive = env.path("named.tar");
    let _out = env.ctr(["volume", "export", "-o"]).args([&archive]).args(["named"]).run().success();
    let _in = env.ok(["volume", "create", "copy"]);
    let _in = env.ctr(["volume", "import", "copy"]).args([&archive]).run().success();
    assert!(path.join("copy/_data/more").exists());
    assert_eq!(env.ok(["volume", "rm", "copy"]), "copy");
    assert_eq!(env.ok(["volume", "prune", "--force", "--all"]), "named");
    assert_eq!((names(&path), names(&path.join(".ctr/trash"))), (vec![".ctr".to_owned()], Vec::new()));
    let _swept = env.ok(["system", "gc"]);
}

#[test]
fn the_file_says_where_until_it_is_decided_and_the_option_insists() {
    let env = Env::new();
    let (path, other) = (env.path("volumes"), env.path("other"));
    let conf = |path: &str| env.file("conf", format!("[engine]\nvolume_path = '{path}'"));
    let shown = path.display().to_string();
    let info = ["info", "--format", "{{.Store.VolumePath}}"];
    let configured = |args: &[&str]| env.ctr(args).var("CONTAINERS_CONF_OVERRIDE", env.path("conf"));
    let _file = conf(&shown);
    assert_eq!(configured(&info).run().success(), shown);
    assert!(!path.exists(), "asking makes no folder");
    assert_eq!(env.ok(info), env.store().join("volumes").display().to_string());
    let _made = configured(&["volume", "create", "one"]).run().success();
    assert!(path.join("one/_data").is_dir());

    let _file = conf(&other.display().to_string());
    let made = configured(&["--log-level", "debug", "volume", "create", "two"]).run();
    assert!(made.stderr.contains("Overriding volume path"), "{}", made.stderr);
    let _made = made.success();
    assert_eq!(configured(&info).run().success(), shown);
    assert!(path.join("two/_data").is_dir() && !other.exists());
    for args in [&["ps"][..], &["images"], &["volume", "ls"]] {
        let said = with(&env, &other, args).run().fails(125);
        let store = env.store();
        let words = format!(
            "the volumes of the store {} lie in {shown}, not in {}",
            store.display(),
            other.display()
        );
        assert!(said.contains(&words), "{said}");
    }
    let said = env.named("podman", ["volume", "ls", "--volumepath"]).args([&other]).run().fails(125);
    assert_eq!(
        said.trim_end(),
        format!(
            "Error: database volume path \"{shown}\" does not match our volume path \"{}\": database configuration mismatch",
            other.display()
        )
    );
    assert_eq!(with(&env, &path, &["volume", "ls", "-q"]).run().success(), "one\ntwo");
    assert_eq!(with(&env, Path::new(""), &["volume", "ls", "-q"]).run().success(), "one\ntwo");

    let _file = conf("not/absolute");
    let said = configured(&["volume", "ls"]).run().fails(125);
    assert!(said.contains("volume path must be an absolute path - instead got \"not/absolute\""), "{said}");
    let _file = conf("/var/lib/containers/storage/volumes");
    assert_eq!(configured(&info).run().success(), shown, "what is root's is nobody else's");
}

#[test]
fn folders_that_cannot_have_volumes() {
    let env = Env::new();
    let file = env.file("file", "");
    let said = with(&env, &file, &["volume", "create", "one"]).run().fails(125);
    assert!(said.contains("file"), "{said}");
    let closed = env.path("closed");
    std::fs::create_dir(&closed).expect("a folder");
    std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o500)).expect("a mode");
    let said = with(&env, &closed, &["volume", "create", "one"]).run().fails(125);
    assert!(said.contains("Permission denied (EACCES)"), "{said}");
    let said = with(&env, &env.store().join("images"), &["volume", "create", "one"]).run().fails(125);
    assert!(said.contains("is inside the store"), "{said}");

    let path = env.path("relative");
    let _made = env.ctr(["--volumepath", "relative", "volume", "create", "one"]).run().success();
    let root = env.path("second");
    let second =
        |args: &[&str]| env.ctr(["--root"]).args([&root]).args(["--volumepath"]).args([&path]).args(args);
    let said = second(&["volume", "ls"]).run().fails(125);
    assert!(said.contains("has the volumes of another store"), "{said}");
    std::fs::create_dir(path.join("photos")).expect("a folder");
    std::fs::write(path.join("photos/one.jpg"), "").expect("a file");
    let said = env.ctr(["volume", "create", "photos"]).run().fails(125);
    assert!(said.contains("is not empty, and no volume"), "{said}");
    std::fs::rename(&path, env.path("unmounted")).expect("a rename");
    let said = env.ctr(["volume", "create", "two"]).run().fails(125);
    assert!(said.contains("which is not there"), "{said}");
    assert!(!path.exists());
    std::fs::rename(env.path("unmounted"), &path).expect("a rename");
    assert_eq!(env.ok(["volume", "ls", "-q"]), "one");
}

#[test]
fn a_reset_takes_volumes_and_nothing_else() {
    needs!(Userns);
    let env = Env::with_busybox();
    let folder = other_file_system(&env);
    std::fs::write(folder.path().join("of the user"), "").expect("a file");
    let run = ["run", "--rm", "-v", "named:/v", "-u", "5:6", BUSYBOX, "sh", "-c", "mkdir -m 700 /v/own"];
    let _ran = with(&env, folder.path(), &run).run().success();
    let _made = env.ok(["volume", "create", "other"]);
    assert_eq!(names(folder.path()), [".ctr", "named", "of the user", "other"]);
    let _reset = env.ok(["system", "reset", "--force"]);
    assert_eq!(names(folder.path()), ["of the user"]);
    // Nothing is decided any more.
    let _made = env.ok(["volume", "create", "one"]);
    assert!(env.store().join("volumes/one").is_dir());
}
