//! Volumes and images in containers.

use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use ctr_tests::image::{Entry, Image, Layer};
use ctr_tests::{BUSYBOX, Env, needs};
use rustix::process::Signal;

/// Contents of an image, with owners of their own.
fn contents() -> Layer {
    Layer::new()
        .entry(Entry::new(b'5', "data/", 0o1770).owner(7, 8), "")
        .entry(Entry::new(b'0', "data/file", 0o640).owner(7, 8), "of the image")
        .entry(Entry::new(b'5', "data/inner/", 0o700).owner(9, 9), "")
        .symlink("data/inner/link", "/etc/shadow")
        .dir("empty/", 0o711)
}

fn with_contents() -> Env {
    let env = Env::new();
    env.load(&Image::busybox(BUSYBOX, [contents()]));
    env
}

fn volumes(env: &Env) -> Vec<String> {
    env.ok(["volume", "ls", "-q"]).lines().map(str::to_owned).collect()
}

fn data_of(env: &Env, volume: &str) -> PathBuf {
    PathBuf::from(env.ok(["volume", "inspect", "--format", "{{.Mountpoint}}", volume]))
}

#[test]
fn a_volume_outlives_its_containers() {
    needs!(Userns);
    let env = Env::with_busybox();
    assert_eq!(env.sh(["-v", "mine:/m"], "echo kept >/m/file; stat -c %u:%a /m"), "0:755");
    assert_eq!(env.sh(["--volume", "mine:/other/place:ro"], "cat /other/place/file"), "kept");
    let said = env.sh(["-v", "mine:/m:ro"], "touch /m/x 2>&1 || true");
    assert!(said.contains("Read-only file system"), "{said}");
    let mount = "grep ' /m ' /proc/self/mountinfo | cut -d' ' -f6";
    let plain = env.sh(["-v", "mine:/m"], mount);
    assert!(plain.contains("nosuid") && plain.contains("nodev") && !plain.contains("noexec"), "{plain}");
    assert!(env.sh(["-v", "mine:/m:noexec"], mount).contains("noexec"));
    assert_eq!(volumes(&env), ["mine"]);
    assert_eq!(std::fs::read_to_string(data_of(&env, "mine").join("file")).expect("the file"), "kept\n");
    let said = env.shell(["-v", "no/name:/m"], "true").run().fails(125);
    assert!(said.contains("names must match"), "{said}");
}

#[test]
fn the_first_use_copies_what_the_image_has() {
    needs!(Userns);
    let env = with_contents();
    let picture = "cd /data; stat -c '%n %u:%g %a' . file inner inner/link; cat file";
    let seen = ". 7:8 1770\nfile 7:8 640\ninner 9:9 700\ninner/link 0:0 777\nof the image";
    assert_eq!(env.sh(["-v", "one:/data"], picture), seen);
    assert_eq!(env.sh(["--mount", "type=volume,source=two,destination=/data"], picture), seen);
    // What was removed in there stays removed, and what is there is not copied over.
    assert_eq!(env.sh(["-v", "one:/data"], "rm /data/file; ls /data"), "inner");
    assert_eq!(env.sh(["-v", "one:/data"], "ls /data"), "inner");
    assert_eq!(env.sh(["-v", "none:/data:nocopy"], "ls /data; stat -c '%u:%g %a' /data"), "7:8 1770");
    assert_eq!(env.sh(["-v", "copied:/data:copy"], "ls /data"), "file\ninner");
    // An empty folder gives its owner and mode, to whoever comes first.
    assert_eq!(env.sh(["-v", "bare:/empty"], "stat -c '%u:%g %a' /empty"), "0:0 711");
    assert_eq!(env.sh(["-u", "5:6", "-v", "own:/new"], "stat -c '%u:%g %a' /new; touch /new/x"), "5:6 755");
    let state = |volume| env.ok(["volume", "inspect", "-f", "{{.NeedsCopyUp}} {{.NeedsChown}}", volume]);
    assert_eq!(state("one"), "false false");
    assert_eq!(state("own"), "true true");
}

/// The same files under the numbers that the container's map gives them, as with podman.
#[test]
fn other_maps_see_the_same_owners_under_other_numbers() {
    needs!(Userns);
    let env = with_contents();
    let id = rustix::process::geteuid().as_raw().to_string();
    let keep = ["--userns", "keep-id", "-u", "0", "-v", "kept:/data"];
    assert_eq!(env.sh(keep, "stat -c %u:%g /data/file"), "7:8");
    // The user's own id is the user's there and root's here.
    let _made = env.sh(["-v", "shared:/m"], "touch /m/of-root");
    assert_eq!(env.sh(["--userns", "keep-id", "-v", "shared:/m"], "stat -c %u /m/of-root"), id);
    let given = ["--userns", "keep-id", "-u", "3", "-v", "shared:/m:U"];
    assert_eq!(env.sh(given, "stat -c %u /m/of-root"), "3");
}

#[test]
fn volumes_without_a_name_go_with_their_container() {
    needs!(Userns);
    let env = with_contents();
    assert_eq!(
        env.sh(["-v", "/data", "--mount", "type=volume,dst=/more"], "ls /data; touch /more/x"),
        "file\ninner"
    );
    assert_eq!(volumes(&env), [""; 0]);
    let mut running = env.shell(["--name", "anon", "-v", "/data"], "echo ready; sleep 1000").start();
    let _ready = running.wait_for("ready");
    let there = volumes(&env);
    assert_eq!(there.len(), 1);
    assert_eq!(there[0].len(), 64);
    assert_eq!(env.ok(["volume", "inspect", "-f", "{{.Anonymous}}", &there[0]]), "true");
    assert_eq!(
        env.ok([
            "inspect",
            "-f",
            "{{range .Mounts}}{{.Type}} {{.Name}} {{.Driver}} {{.Destination}}{{end}}",
            "anon"
        ]),
        format!("volume {} local /data", there[0])
    );
    assert_eq!(env.ok(["ps", "--filter", &format!("volume={}", there[0]), "--format", "{{.Names}}"]), "anon");
    // Not under a running container.
    assert_eq!(env.ok(["volume", "prune", "--force"]), "");
    let _removed = env.ok(["rm", "-f", "-t", "0", "anon"]);
    let _ended = running.finish();
    assert_eq!(volumes(&env), [""; 0]);
    let left = std::fs::read_dir(env.store().join("volumes")).expect("the folder").count();
    assert_eq!(left, 0, "nothing is left of them");
}

#[test]
fn a_start_that_fails_leaves_no_volume_without_a_name() {
    needs!(Userns);
    let env = with_contents();
    let failed = env.ctr(["run", "--rm", "-v", "/data", BUSYBOX, "/no/such/command"]).run();
    assert_eq!(failed.code(), 127, "{failed}");
    let failed = env.ctr(["run", "--rm", "-v", "/data", "-v", "bad/name:/x", BUSYBOX, "true"]).run();
    assert_eq!(failed.code(), 125, "{failed}");
    assert_eq!(volumes(&env), [""; 0]);
}

#[test]
fn volumes_of_the_image() {
    needs!(Userns);
    let env = Env::new();
    let volumes_of_image = serde_json::json!({ "/data": {}, "new/../made": {} });
    env.load(&Image::busybox(BUSYBOX, [contents()]).set("Volumes", volumes_of_image));
    let kinds = "stat -f -c %T /data /made; ls /data; stat -c '%u %a' /made";
    let host = env.program("stat", ["-f", "-c", "%T"]).args([env.root()]).run().success();
    assert_eq!(env.sh([""; 0], kinds), format!("{host}\n{host}\nfile\ninner\n0 755"));
    for same in ["anonymous", "bind"] {
        assert_eq!(env.sh(["--image-volume", same], kinds), format!("{host}\n{host}\nfile\ninner\n0 755"));
    }
    assert_eq!(env.sh(["--image-volume=tmpfs"], "stat -f -c %T /data /made"), "tmpfs\ntmpfs");
    let said = env.sh(["--image-volume", "ignore"], "stat -c %u /data/file; ls /made 2>&1 || true");
    assert!(said.starts_with('7') && said.contains("No such file"), "{said}");
    // What is asked for takes the place of what the image says.
    assert_eq!(env.sh(["-v", "own:/data"], "ls /data"), "file\ninner");
    assert_eq!(volumes(&env), ["own"]);
    assert_eq!(env.sh(["--tmpfs", "/data"], "stat -f -c %T /data"), "tmpfs");
    let said = env.shell(["--image-volume", "other"], "true").run().fails(125);
    assert!(said.contains("invalid image-volume type"), "{said}");
}

/// CVE-2022-23648: paths of an image's volumes, and what lies at them, are the image's to choose.
#[test]
fn volumes_of_an_image_stay_inside_its_root() {
    needs!(Userns);
    let env = Env::new();
    let canary = env.path("canary");
    std::fs::create_dir(&canary).expect("a folder");
    std::fs::write(canary.join("secret"), "of the host").expect("a file");
    let before = ctr_tests::tree::picture(&canary);
    let away = canary.to_str().expect("a path");
    let layer = Layer::new()
        .symlink("out", away)
        .symlink("up", "../../../../../../../../..")
        .dir("trap/", 0o755)
        .symlink("trap/link", format!("{away}/secret"));
    for (path, fails) in [
        ("/out", false),
        ("/../../../out", false),
        ("/up/etc", false),
        ("/up/../out/new", false),
        ("/trap", false),
        ("/proc/self/root/x", true),
        ("/", true),
        ("/a\0b", true),
    ] {
        let volumes_of_image = serde_json::json!({ path: {} });
        env.load(&Image::busybox(BUSYBOX, [layer.clone()]).set("Volumes", volumes_of_image));
        let output =
            env.shell([""; 0], &format!("cat {away}/secret /out/secret /trap/link 2>/dev/null; true")).run();
        assert_eq!(output.code(), if fails { 125 } else { 0 }, "{path}: {output}");
        assert!(!output.stdout.contains("of the host"), "{path}: {output}");
        assert_eq!(ctr_tests::tree::picture(&canary), before, "{path}");
    }
}

#[test]
fn volumes_of_another_container() {
    needs!(Userns);
    let env = Env::with_busybox();
    let bind = format!("{}:/bound", env.path("").display());
    let _file = env.file("f", "bound");
    let flags = ["--name", "first", "-v", "shared:/m", "-v", "/anonymous", "-v", &bind, "--tmpfs", "/memory"];
    let mut running =
        env.shell(flags, "echo x >/m/file; echo y >/anonymous/file; echo ready; sleep 1000").start();
    let _ready = running.wait_for("ready");
    let seen = env.sh(
        ["--volumes-from", "first"],
        "cat /m/file /anonymous/file /bound/f; ls -d /memory 2>/dev/null || true",
    );
    assert_eq!(seen, "x\ny\nbound");
    let said = env.sh(["--volumes-from=first:ro"], "touch /m/x /bound/x 2>&1 || true");
    assert_eq!(said.matches("Read-only file system").count(), 2, "{said}");
    let over = env.sh(["--volumes-from", "first:rw,z", "-v", "other:/m"], "ls /m; cat /anonymous/file");
    assert_eq!(over, "y");
    assert_eq!(volumes(&env).len(), 3, "one of the first's, in use, stays");
    for (wrong, why) in [
        ("absent", "no container with name or ID \"absent\" found"),
        ("first:Z", "invalid option \"Z\""),
        ("first:ro,rw", "cannot set ro or rw options more than once"),
    ] {
        let said = env.shell(["--volumes-from", wrong], "true").run().fails(125);
        assert!(said.contains(why), "{wrong}: {said}");
    }
    running.signal(Signal::KILL);
    let _killed = running.finish();
}

#[test]
fn a_part_of_a_volume_never_leads_out_of_it() {
    needs!(Userns);
    let env = Env::with_busybox();
    let canary = env.path("canary");
    std::fs::create_dir(&canary).expect("a folder");
    std::fs::write(canary.join("secret"), "of the host").expect("a file");
    let away = canary.display();
    let made = format!(
        "mkdir -p /m/a/b; echo deep >/m/a/b/file; ln -s {away} /m/out; ln -s ../../../../../../../../../../.. /m/up; \
         ln -s /a /m/inside; mkfifo /m/pipe"
    );
    let _made = env.sh(["-v", "v:/m"], &made);
    let part = |path: &str| format!("type=volume,src=v,dst=/p,subpath={path}");
    assert_eq!(env.sh(["--mount", &part("a/b")], "cat /p/file"), "deep");
    assert_eq!(env.sh(["--mount", "type=volume,src=v,dst=/p,volume-subpath=/a/b/file"], "cat /p"), "deep");
    // Links inside are followed inside.
    assert_eq!(env.sh(["--mount", &part("inside")], "cat /p/b/file"), "deep");
    assert_eq!(env.sh(["--mount", &part("up/a")], "ls /p"), "b");
    assert_eq!(env.sh(["--mount", &part("../../../a")], "ls /p"), "b");
    for path in ["out", "out/secret", "absent"] {
        let output = env.shell(["--mount", &part(path)], "cat /p /p/secret").run();
        assert_eq!(output.code(), 125, "{path}: {output}");
    }
}

#[test]
fn images_can_be_mounted() {
    needs!(Userns, Overlay);
    let env = with_contents();
    env.load(&Image::new(
        "localhost/files:1",
        [Layer::new().dir("sub/", 0o755).file("sub/f", 0o644, "in").symlink("out", "/sub")],
    ));
    let mount = |more: &str| format!("type=image,source=localhost/files:1,destination=/i{more}");
    assert_eq!(env.sh(["--mount", &mount("")], "cat /i/sub/f; touch /i/x 2>/dev/null || echo no"), "inno");
    assert_eq!(env.sh(["--mount", &mount(",rw=true")], "touch /i/x && ls /i"), "out\nsub\nx");
    assert_eq!(env.sh(["--mount", &mount(",rw=true")], "ls /i"), "out\nsub", "nothing stays");
    assert_eq!(env.sh(["--mount", &mount(",subpath=/sub")], "cat /i/f"), "in");
    assert_eq!(env.sh(["--mount", &mount(",subpath=/out")], "cat /i/f"), "in");
    assert_eq!(env.sh(["--userns", "keep-id", "--mount", &mount("")], "cat /i/sub/f"), "in");
    let said = env.shell(["--mount", "type=image,src=localhost/absent,dst=/i"], "true").run().fails(125);
    assert!(said.contains("absent"), "{said}");
    let mut running = env.shell(["--mount", &mount("")], "echo ready; sleep 1000").start();
    let _ready = running.wait_for("ready");
    let _removed = env.ok(["rmi", "localhost/files:1"]);
    let _swept = env.ok(["system", "gc"]);
    running.signal(Signal::KILL);
    let _killed = running.finish();
}

#[test]
fn writes_to_a_volume_under_o_are_thrown_away() {
    needs!(Userns, Overlay);
    let env = Env::with_busybox();
    let _made = env.sh(["-v", "v:/m"], "echo below >/m/f");
    assert_eq!(env.sh(["-v", "v:/m:O"], "echo above >/m/f; touch /m/g; cat /m/f"), "above");
    assert_eq!(env.sh(["-v", "v:/m"], "cat /m/f; ls /m"), "below\nf");
}

/// What a container leaves in a volume is never followed by the next one's start.
#[test]
fn contents_of_a_volume_are_hostile() {
    needs!(Userns);
    let env = with_contents();
    let canary = env.path("canary");
    std::fs::create_dir(&canary).expect("a folder");
    std::fs::write(canary.join("file"), "of the host").expect("a file");
    let before = ctr_tests::tree::picture(&canary);
    let away = canary.display();
    let _made = env.sh(["-v", "v:/m"], &format!("ln -s {away} /m/link; ln -s {away}/file /m/file"));
    let owner = std::fs::metadata(canary.join("file")).expect("the file").uid();
    // Given away, copied into, exported, imported, removed.
    let _given = env.sh(["-u", "9", "-v", "v:/m:U"], "true");
    let _used = env.sh(["-v", "v:/data"], "true");
    let archive = env.path("v.tar");
    let _out = env.ctr(["volume", "export", "v", "-o"]).args([&archive]).run().success();
    let _in = env.ctr(["volume", "import", "v"]).args([&archive]).run().success();
    let _gone = env.ok(["volume", "rm", "v"]);
    assert_eq!(ctr_tests::tree::picture(&canary), before);
    assert_eq!(std::fs::metadata(canary.join("file")).expect("the file").uid(), owner);
}

#[test]
fn a_later_start_gives_away_only_what_has_another_top() {
    needs!(Userns);
    let env = Env::with_busybox();
    let folder = env.path("given");
    std::fs::create_dir(&folder).expect("a folder");
    std::fs::write(folder.join("file"), "").expect("a file");
    let bind = format!("{}:/m:U", folder.display());
    let shows = ["stat", "-c", "%u:%g", "/m", "/m/file"];
    let run = |name: &str| {
        env.ctr(["run", "--name", name, "-u", "7:8", "-v", &bind, BUSYBOX]).args(shows).run().success()
    };
    let chown = |owner: &str, path: &std::path::Path| {
        let path = path.to_str().expect("a path");
        let _done = env.ok(["unshare", "chown", owner, path]);
    };
    assert_eq!(run("one"), "7:8\n7:8");
    chown("5:6", &folder.join("file"));
    assert_eq!(env.ok(["start", "-a", "one"]), "7:8\n5:6");
    chown("5:6", &folder);
    assert_eq!(env.ok(["start", "-a", "one"]), "7:8\n7:8");
    // What starts for the first time knows nothing of what was there before.
    chown("5:6", &folder.join("file"));
    assert_eq!(run("two"), "7:8\n7:8");
    chown("0:0", &folder);
}
