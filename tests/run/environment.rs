//! The environment of a container's command: what it is given, and nothing else.

use ctr_tests::image::{Image, Layer};
use ctr_tests::{BUSYBOX, Env, needs};

fn lines(text: &str) -> Vec<&str> {
    let mut lines: Vec<_> = text.lines().collect();
    lines.sort_unstable();
    lines
}

/// Nothing of the host's comes in by itself: CVE-2021-3602, CVE-2020-14370.
#[test]
fn nothing_of_the_host_is_inherited() {
    needs!(Userns);
    let env = Env::with_busybox();
    let seen =
        env.shell(["--hostname", "h"], "env").var("SECRET", "x").var("LD_PRELOAD_", "y").run().success();
    assert_eq!(
        lines(&seen),
        [
            "HOME=/root",
            "HOSTNAME=h",
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "PWD=/",
            "SHLVL=1",
            "container=podman"
        ]
    );
}

#[test]
fn e_sets_and_passes_on() {
    needs!(Userns);
    let env = Env::with_busybox();
    let flags = [
        "-e",
        "A=1",
        "--env",
        "B=two words",
        "-e",
        "FROM_HOST",
        "-e",
        "ABSENT",
        "-e",
        "EMPTY=",
        "-e",
        "EQ=a=b",
    ];
    let seen = env.shell(flags, "env").var("FROM_HOST", "host").run().success();
    for line in ["A=1", "B=two words", "FROM_HOST=host", "EMPTY=", "EQ=a=b"] {
        assert!(lines(&seen).contains(&line), "{line}: {seen}");
    }
    assert!(!seen.contains("ABSENT"), "{seen}");
}

#[test]
fn e_with_a_star_passes_on_what_starts_so() {
    needs!(Userns);
    let env = Env::with_busybox();
    let seen = env
        .shell(["-e", "MINE_*"], "env")
        .var("MINE_A", "1")
        .var("MINE_B", "2")
        .var("OTHER", "3")
        .run()
        .success();
    assert!(seen.contains("MINE_A=1") && seen.contains("MINE_B=2") && !seen.contains("OTHER"), "{seen}");
}

#[test]
fn env_file_is_read_line_by_line_and_e_wins() {
    needs!(Userns);
    let env = Env::with_busybox();
    let file = env.file("vars", "# a comment\n\nA=1\nB=from the file\nFROM_HOST\nC=a # no comment\n");
    let seen = env.shell(
        ["-e", "B=flag", "--env-file"].map(std::ffi::OsString::from).into_iter().chain([file.into()]),
        "env",
    );
    let seen = seen.var("FROM_HOST", "host").run().success();
    for line in ["A=1", "B=flag", "FROM_HOST=host", "C=a # no comment"] {
        assert!(lines(&seen).contains(&line), "{line}: {seen}");
    }
}

#[test]
fn env_host_brings_all_of_it() {
    needs!(Userns);
    let env = Env::with_busybox();
    let seen = env.shell(["--env-host"], "env").var("FROM_HOST", "host").run().success();
    assert!(lines(&seen).contains(&"FROM_HOST=host"), "{seen}");
}

#[test]
fn unsetenv_takes_out_what_the_image_sets() {
    needs!(Userns);
    let env = Env::new();
    let path = "PATH=/usr/local/bin:/usr/bin:/bin";
    env.load(&Image::busybox(BUSYBOX, []).set("Env", vec![path, "A=1", "B=2"]));
    let seen = env.sh(["--unsetenv", "A"], "env");
    assert!(!lines(&seen).contains(&"A=1") && lines(&seen).contains(&"B=2"), "{seen}");
    let seen = env.sh(["--unsetenv-all", "-e", "C=3"], "/bin/busybox env");
    assert!(!seen.contains("A=1") && !seen.contains("B=2") && lines(&seen).contains(&"C=3"), "{seen}");
}

#[test]
fn http_proxy_passes_the_proxies_on() {
    needs!(Userns);
    let env = Env::with_busybox();
    let with = |flags: &[&str]| {
        env.shell(flags, "env").var("http_proxy", "http://p:1").var("NO_PROXY", "x").run().success()
    };
    let seen = with(&[]);
    assert!(seen.contains("http_proxy=http://p:1") && seen.contains("NO_PROXY=x"), "{seen}");
    let seen = with(&["--http-proxy=false"]);
    assert!(!seen.contains("proxy") && !seen.contains("PROXY"), "{seen}");
}

/// Entries of an image's `Env` never reach into the host's environment: CVE-2026-57231.
#[test]
fn odd_entries_of_an_image_bring_nothing_of_the_host() {
    needs!(Userns);
    for odd in ["", "=", "SECRET", "SECRET*", "*", "=SECRET", "A\nSECRET"] {
        let env = Env::new();
        env.load(&Image::busybox(BUSYBOX, []).set("Env", vec!["PATH=/bin", odd]));
        let output = env.shell([""; 0], "env").var("SECRET", "of the host").run();
        assert!(!output.stdout.contains("of the host"), "{odd:?}: {output}");
        // Whatever it does with such an entry, it does not fall over.
        assert!([0, 125].contains(&output.code()), "{odd:?}: {output}");
    }
}

#[test]
fn tz_and_umask_are_set() {
    needs!(Userns);
    let env = Env::with_busybox();
    assert_eq!(env.sh(["--umask", "0027"], "umask"), "0027");
    assert_eq!(env.sh([""; 0], "umask"), "0022");
    assert_eq!(env.sh(["--tz", "UTC"], "date +%Z"), "UTC");
    let said = env.shell(["--tz", "../../etc/shadow"], "true").run().fails(125);
    assert!(said.contains("timezone"), "{said}");
    let said = env.shell(["--tz", "No/Where"], "true").run().fails(125);
    assert!(said.contains("No/Where"), "{said}");
}

/// A zone of the image, of a place that no host knows.
const ZONES: &str = "usr/share/zoneinfo";

fn with_zones(localtime: &str) -> Image {
    let zone = b"TZif2-the image's own";
    let layer = Layer::new()
        .file(format!("{ZONES}/Image/Own"), 0o644, zone)
        .symlink(format!("{ZONES}/Image/Loop"), "Loop")
        .symlink(format!("{ZONES}/UTC"), "/../../../../../../etc/shadow")
        .file(format!("{ZONES}/Old"), 0o644, "old");
    let layer = match localtime {
        "" => layer,
        "file" => layer.file("etc/localtime", 0o644, "of the image"),
        target => layer.symlink("etc/localtime", target),
    };
    Image::busybox(BUSYBOX, [layer])
}

#[test]
fn tz_is_a_link_where_the_image_has_the_zone() {
    needs!(Userns);
    for localtime in ["", "file", "/usr/share/zoneinfo/Old", "../../gone"] {
        let env = Env::new();
        env.load(&with_zones(localtime));
        let script = "readlink /etc/localtime; cat /etc/localtime; stat -c ' %u:%g' /etc/localtime";
        let seen = env.sh(["--tz", "Image/Own"], script);
        assert_eq!(seen, "../usr/share/zoneinfo/Image/Own\nTZif2-the image's own 0:0", "{localtime}");
    }
    // Also for the root of another map, and again when it starts again.
    let env = Env::new();
    env.load(&with_zones(""));
    let keep = ["--userns", "keep-id", "--user", "0"];
    let seen = env.sh([&["--tz", "Image/Own"][..], &keep].concat(), "stat -c '%u %N' /etc/localtime");
    assert_eq!(seen, "0 '/etc/localtime' -> '../usr/share/zoneinfo/Image/Own'");
    env.ok(["create", "--name", "c", "--tz", "Image/Own", BUSYBOX, "readlink", "/etc/localtime"]);
    for _ in 0..2 {
        assert_eq!(env.ok(["start", "-a", "c"]), "../usr/share/zoneinfo/Image/Own");
    }
    assert_eq!(env.ok(["diff", "c"]), "C /etc\nA /etc/localtime");
}

#[test]
fn tz_of_the_host_does_not_change_the_image_s_zones() {
    needs!(Userns);
    let env = Env::new();
    env.load(&with_zones("/usr/share/zoneinfo/Old"));
    // The image has this one only by a link that leads out of it, which leads nowhere.
    let script = "date +%Z; test -L /etc/localtime || echo file; cat /usr/share/zoneinfo/Old";
    assert_eq!(env.sh(["--tz", "UTC"], script), "UTC\nfile\nold");
    // What the user mounts counts, not what the image has below it.
    let folder = env.path("etc");
    std::fs::create_dir(&folder).expect("a folder");
    std::fs::write(folder.join("localtime"), "mine").expect("a file");
    let mount = format!("{}:/etc", folder.display());
    assert_eq!(env.sh(["--tz", "UTC", "-v", &mount], "test -L /etc/localtime || date +%Z"), "UTC");
    let mount = format!("{}/localtime:/etc/localtime", folder.display());
    assert_eq!(env.sh(["--tz", "Image/Own", "-v", &mount], "cat /etc/localtime"), "mine");
    let said = env.shell(["--tz", "Image/Loop"], "true").run().fails(125);
    assert!(said.contains("Image/Loop"), "{said}");
}
