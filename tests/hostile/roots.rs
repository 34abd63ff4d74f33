//! Classes B, C and F: links and worse in the places of a root that a start touches.

use std::os::unix::fs::symlink;

use ctr_tests::image::{Entry, Layer};
use ctr_tests::needs;

use crate::canary::{World, bind, shared};

/// What a start reads, writes, makes or mounts on, and what in the canary looks like it.
const PLACES: [(&str, &str); 20] = [
    ("dev", "dir"),
    ("proc", "dir"),
    ("sys", "dir"),
    ("run", "dir"),
    ("tmp", "dir"),
    ("root", "dir"),
    ("home", "dir"),
    ("etc", "etc"),
    ("var", "dir"),
    ("w", "dir"),
    ("etc/passwd", "etc/passwd"),
    ("etc/group", "etc/group"),
    ("etc/hosts", "etc/hosts"),
    ("etc/resolv.conf", "etc/hosts"),
    ("etc/hostname", "etc/hosts"),
    ("etc/mtab", "etc/hosts"),
    ("etc/localtime", "secret"),
    ("run/.containerenv", "secret"),
    ("run/secrets", "dir"),
    ("usr/share/zoneinfo", "dir"),
];

/// Everything that a start can be asked to do to a root.
const FLAGS: [&str; 12] = [
    "-u",
    "4242:4243",
    "--hostname=evil",
    "--add-host=a:1.2.3.4",
    "-w",
    "/w/new",
    "--tmpfs=/tmp",
    "--tmpfs=/run/secrets/t",
    "--init",
    "--tz=local",
    "--device=/dev/null:/w/device",
    "--passwd-entry=evil:x:$UID:0::/:/bin/sh",
];

#[test]
fn links_in_every_place_lead_nowhere() {
    needs!(Userns);
    let world = World::new();
    let data = shared(&world, "data");
    std::fs::write(data.join("file"), "mounted").expect("a file");
    let volumes = [bind(&data, "/var/lib/data"), bind(&data.join("file"), "/w/file")];
    for (place, prey) in PLACES {
        for target in
            world.links_to(prey).into_iter().chain([world.prey("nothing"), "/".into(), "self".into()])
        {
            world.image(Layer::new().symlink(place, &target));
            let script = format!(
                "cat /{place} /{place}/* /{place}/file; echo bad >/{place}; echo bad >/{place}/file; \
                 mkdir /{place}/d; cat /etc/passwd /etc/hosts; rm -rf /{place}/*; cd /..; cat {}",
                world.prey("secret")
            );
            let flags = volumes.iter().flat_map(|volume| ["-v", volume]).chain(FLAGS);
            let _done = world.survives(world.evil(flags, &script));
            // As root in the container, too.
            let _done = world.survives(world.evil(["-v", &volumes[0]], &script));
        }
    }
}

#[test]
fn the_kernel_s_trees_are_not_mounted_through_links() {
    needs!(Userns);
    let world = World::new();
    for place in ["dev", "proc", "sys"] {
        world.image(Layer::new().symlink(place, "etc"));
        let line = world.refuses(world.evil([""; 0], "true"));
        assert!(line.contains(&format!("/{place}")) && line.contains("symbolic links"), "{line}");
    }
}

#[test]
fn accounts_that_are_no_files_are_refused_in_time() {
    needs!(Userns);
    let world = World::new();
    for file in ["etc/passwd", "etc/group"] {
        world.image(Layer::new().entry(Entry::new(b'6', file, 0o644), ""));
        let line = world.refuses(world.evil(["-u", "4242"], "true"));
        assert!(line.contains(file), "{line}");
        world.image(Layer::new().file(file, 0o644, vec![b'x'; 20 << 20]));
        let line = world.refuses(world.evil(["-u", "4242"], "true"));
        assert!(line.contains(file), "{line}");
        world.image(Layer::new().dir(format!("{file}/"), 0o755));
        let line = world.refuses(world.evil(["-u", "4242"], "true"));
        assert!(line.contains(file), "{line}");
    }
}

/// CVE-2021-30465, CVE-2024-45310 and their like without a race: mounts asked for on links.
#[test]
fn mounts_on_links_stay_in_the_root() {
    needs!(Userns);
    let world = World::new();
    let data = shared(&world, "data");
    std::fs::write(data.join("file"), "mounted").expect("a file");
    let mut layer = Layer::new().symlink("loop", "loop").symlink("in", "proc").symlink("up", "..");
    for (at, target) in world.links_to("").into_iter().enumerate() {
        layer = layer.symlink(format!("l{at}"), target);
    }
    layer = layer.symlink("f", world.prey("secret")).symlink("d", world.prey("nothing/deep"));
    world.image(layer);
    let (folder, file) = (data.display().to_string(), data.join("file").display().to_string());
    for link in
        ["/l0", "/l1", "/l2", "/l3", "/l0/dir", "/l3/new/deep", "/loop", "/up/up/x", "/d", "/d/x", "/f"]
    {
        for flags in [
            vec!["-v".to_owned(), format!("{folder}:{link}")],
            vec!["-v".to_owned(), format!("{file}:{link}")],
            vec!["-v".to_owned(), format!("{file}:{link}/file")],
            vec![format!("--mount=type=bind,src={folder},dst={link}/../x")],
            vec![format!("--mount=type=tmpfs,dst={link}")],
            vec![format!("--mount=type=tmpfs,dst={link}/t,tmpcopyup")],
            vec![format!("--tmpfs={link}/t:rw,size=1m")],
            vec![format!("--device=/dev/null:{link}/null")],
            vec!["-w".to_owned(), link.to_owned()],
            vec!["-w".to_owned(), format!("{link}/made")],
        ] {
            let script = "cat secret */secret /t/*; pwd; echo bad >file; cd ..; cat secret; cd /..; ls";
            let _done = world.survives(world.evil(&flags, script));
        }
    }
}

/// CVE-2019-16884, CVE-2019-19921, CVE-2023-27561: what is mounted over /proc decides what the kernel is told.
#[test]
fn nothing_of_the_user_s_is_mounted_in_proc() {
    needs!(Userns);
    let world = World::new();
    let data = shared(&world, "data");
    std::fs::write(data.join("file"), "fake").expect("a file");
    world.image(Layer::new().symlink("in", "proc").symlink("deep", "/proc/self"));
    for place in
        ["/proc", "/proc/", "//proc", "/./proc/../proc/self", "/proc/self/attr", "/proc/sys/net", "/proc/1"]
    {
        let line = world.refuses(world.evil(["-v", &bind(&data, place)], "true"));
        assert!(line.contains("proc"), "{place}: {line}");
    }
    for place in ["/in/sys", "/in/self/attr", "/deep/attr", "/in"] {
        let line = world.refuses(world.evil(["-v", &bind(&data, place)], "true"));
        assert!(line.contains(place), "{place}: {line}");
    }
}

/// A volume on /dev is the user's; what it has in the places of devices and terminals is not followed.
#[test]
fn a_volume_on_dev_is_not_followed() {
    needs!(Userns);
    let world = World::new();
    let dev = shared(&world, "dev");
    for name in ["null", "zero", "console", "tty", "ptmx", "log", "full"] {
        symlink(world.prey("secret"), dev.join(name)).expect("a link");
    }
    for name in ["pts", "shm", "mqueue", "fd"] {
        symlink(world.prey("dir"), dev.join(name)).expect("a link");
    }
    let volume = bind(&dev, "/dev");
    for flags in
        [vec!["-v", &volume], vec!["-v", &volume, "-t"], vec!["-v", &volume, "--device=/dev/null:/dev/log"]]
    {
        let _done = world.survives(
            world.plain(flags, "cat /dev/console /dev/null /dev/pts/* </dev/null; echo bad >/dev/null"),
        );
    }
}

/// CVE-2024-21626: a directory of the caller's is neither inherited nor a working directory.
#[test]
fn no_descriptor_of_the_caller_arrives() {
    needs!(Userns);
    let world = World::new();
    let start = |workdir: &str, script: &str| {
        let opened = format!("exec ctr \"$@\" 7<'{}' 10<'{}'", world.prey(""), world.prey("secret"));
        world.survives(
            world.env.program("bash", ["-c", &opened, "bash", "run", "--rm", "-w", workdir]).args([
                ctr_tests::BUSYBOX,
                "sh",
                "-c",
                script,
            ]),
        )
    };
    let listed =
        start("/", "ls /proc/self/fd | tr '\\n' ' '; cat /proc/self/fd/7/secret /proc/self/fd/10").stdout;
    assert_eq!(listed, "0 1 2 3 ");
    for number in 3..16 {
        for path in
            [format!("/proc/self/fd/{number}"), format!("/proc/1/fd/{number}"), format!("/dev/fd/{number}")]
        {
            let output = start(&path, "cat secret ../secret");
            assert!(matches!(output.code(), 125..=127), "{path}: {output}");
        }
    }
    for path in ["/proc/self/cwd", "/proc/self/root", "/proc/1/root", "/proc/thread-self/cwd"] {
        let output = start(path, "cat secret ../secret; cd ..; ls canary");
        assert_ne!(output.code(), 0, "{path}: {output}");
    }
}

/// The fixes of 2025 broke these: links of an image work, inside it.
#[test]
fn links_of_an_image_work_inside_it() {
    needs!(Userns);
    let world = World::new();
    let data = shared(&world, "data");
    std::fs::write(data.join("file"), "mounted").expect("a file");
    world.image(
        Layer::new()
            .dir("run/lock/", 0o755)
            .symlink("var/lock", "/run/lock")
            .symlink("var/run", "/run")
            .symlink("var/spool", "../spool")
            .symlink("data", "/srv/data"),
    );
    let volumes = [bind(&data, "/data"), bind(&data, "/var/spool/data")];
    let flags = ["-v", &volumes[0], "-v", &volumes[1], "--tmpfs=/var/run", "-w", "/var/lock"];
    let script = "cat /srv/data/file /spool/data/file; echo; pwd -P; stat -f -c %T /run";
    assert_eq!(world.survives(world.evil(flags, script)).success(), "mountedmounted\n/run/lock\ntmpfs");
}
